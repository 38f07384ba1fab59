#include "core_test.h"

#include "core/encode.h"

/* --- base64url, hexadecimal ------------------------------------------------ */

static void test_encode_base64url_rfc4648_vectors(void **state)
{
    (void)state;
    assert_string_equal(acme_encode_base64url("", 0, pool), "");
    assert_string_equal(acme_encode_base64url("f", 1, pool), "Zg");
    assert_string_equal(acme_encode_base64url("fo", 2, pool), "Zm8");
    assert_string_equal(acme_encode_base64url("foo", 3, pool), "Zm9v");
    assert_string_equal(acme_encode_base64url("foob", 4, pool), "Zm9vYg");
    assert_string_equal(acme_encode_base64url("\xfb\xff\xbf", 3, pool), "-_-_");
}

static void test_decode_base64url_reverses_every_length(void **state)
{
    unsigned char data[260];
    const unsigned char *back;
    apr_size_t i, len;

    (void)state;
    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char)(i * 37 + 200);
    }
    for (i = 0; i <= sizeof(data); i++) {
        assert_int_equal(
            acme_decode_base64url(&back, &len,
                                  acme_encode_base64url(data, i, pool), pool),
            APR_SUCCESS);
        assert_int_equal(len, i);
        assert_memory_equal(back, data, i);
    }
}

static void test_decode_base64url_refuses_what_is_not_strict(void **state)
{
    static const char *const bad[] = { "Zg==",       "Zm8=",   "=",     "Zm+v",
                                       "Zm/v",       "Zm9v\n", " Zm9v", "Zm 9v",
                                       "A",          "Zm9vY",  "Zh",    "Zm9",
                                       "Zm9v\x80xx", "Z*9v" };
    const unsigned char *data = (const unsigned char *)"untouched";
    apr_size_t i, len = 77;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(acme_decode_base64url(&data, &len, bad[i], pool),
                         APR_EINVAL);
        assert_string_equal((const char *)data, "untouched");
        assert_int_equal(len, 77);
    }
}

static void test_encode_hex_is_lower_case(void **state)
{
    (void)state;
    assert_string_equal(acme_encode_hex("\x00\xab\xff\x09", 4, pool),
                        "00abff09");
    assert_string_equal(acme_encode_hex("", 0, pool), "");
}

/* --- printable, HTML ------------------------------------------------------- */

static void test_encode_cut_text_says_so_behind_a_whole_character(void **state)
{
    char buffer[10];

    (void)state;
    acme_encode_cut(buffer, sizeof(buffer), "123456789");
    assert_string_equal(buffer, "123456789");
    acme_encode_cut(buffer, sizeof(buffer), "1234567890");
    assert_string_equal(buffer, "123456...");
    acme_encode_cut(buffer, sizeof(buffer), "1234\u00e9\u20ac90");
    assert_string_equal(buffer, "1234\u00e9...");
    acme_encode_cut(buffer, sizeof(buffer), "12345\u20ac90");
    assert_string_equal(buffer, "12345...");
}

static void test_encode_printable_keeps_good_text(void **state)
{
    const char *text = "Zertifikat f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x94\x92";

    (void)state;
    assert_string_equal(acme_encode_printable(text, 100, pool), text);
    assert_string_equal(acme_encode_printable("", 0, pool), "");
    assert_null(acme_encode_printable(NULL, 10, pool));
}

static void test_encode_printable_replaces_controls(void **state)
{
    (void)state;
    assert_string_equal(
        acme_encode_printable("a\tb\r\nc\033[31m\x7f", 100, pool),
        "a?b??c?[31m?");
    /* C1: CSI as one character */
    assert_string_equal(acme_encode_printable("x\xc2\x9b"
                                              "31m",
                                              100, pool),
                        "x?31m");
    /* line separators, bidirectional controls */
    assert_string_equal(
        acme_encode_printable("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xd8\x9c"
                              "\xe2\x80\x8f",
                              100, pool),
        "?????");
}

static void test_encode_printable_replaces_bad_utf8(void **state)
{
    (void)state;
    assert_string_equal(acme_encode_printable("\xc0\xaf", 9, pool), "??");
    assert_string_equal(acme_encode_printable("\xe0\x80\xaf", 9, pool), "???");
    assert_string_equal(acme_encode_printable("\xed\xa0\x80", 9, pool), "???");
    assert_string_equal(acme_encode_printable("\xf4\x90\x80\x80", 9, pool),
                        "????");
    assert_string_equal(acme_encode_printable("\xf8\x88\x80\x80", 9, pool),
                        "????");
    assert_string_equal(acme_encode_printable("\x80"
                                              "a",
                                              9, pool),
                        "?a");
    assert_string_equal(acme_encode_printable("a\xe2\x82", 9, pool), "a??");
    assert_string_equal(acme_encode_printable("a\xf0", 9, pool), "a?");
}

static void test_utf8_valid_is_what_json_holds(void **state)
{
    static const char *const TEXTS[] = {
        "",      "a",    "\xc3\xa4", "\xc0\xaf", "a\xe2\x82", "\xed\xa0\x80",
        "a\xff", "\x80", "\1\x7f"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        json_t *json = json_string(TEXTS[i]);
        assert_int_equal(acme_utf8_valid(TEXTS[i]), json != NULL);
        json_decref(json);
    }
}

static void test_encode_printable_cuts_between_characters(void **state)
{
    (void)state;
    assert_string_equal(acme_encode_printable("abcdef", 6, pool), "abcdef");
    assert_string_equal(acme_encode_printable("abcdefg", 6, pool), "abc...");
    assert_string_equal(
        acme_encode_printable("ab\xe2\x82\xac\xe2\x82\xac", 7, pool), "ab...");
    assert_string_equal(acme_encode_printable("abcdef", 2, pool), "..");
    assert_string_equal(acme_encode_printable("abcdef", 0, pool), "");
}

static void test_encode_printable_any_cut_is_bounded_and_stable(void **state)
{
    const char *text = "a\xc3\xbc\n\xe2\x82\xac\xf0\x9f\x94\x92\xff"
                       "bcd";
    const char *once;
    apr_size_t max;

    (void)state;
    for (max = 0; max <= strlen(text) + 1; max++) {
        once = acme_encode_printable(text, max, pool);
        assert_true(strlen(once) <= max);
        assert_string_equal(acme_encode_printable(once, max, pool), once);
    }
}

static void test_encode_html_escapes_markup(void **state)
{
    (void)state;
    assert_string_equal(acme_encode_html("<a href=\"x\">'&amp;</a>", pool),
                        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&lt;/a&gt;");
    assert_string_equal(acme_encode_html("", pool), "");
    assert_string_equal(acme_encode_html("plain", pool), "plain");
}

/* --- tokens, URLs ---------------------------------------------------------- */

static void test_token_valid_accepts_base64url(void **state)
{
    char longest[ACME_MAX_TOKEN + 2];

    (void)state;
    assert_true(
        acme_token_valid("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"));
    assert_true(acme_token_valid("a"));
    memset(longest, 'a', sizeof(longest));
    longest[ACME_MAX_TOKEN] = '\0';
    assert_true(acme_token_valid(longest));
}

static void test_token_valid_refuses_hostile(void **state)
{
    static const char *const bad[] = {
        "",    "..",  "../../etc/passwd", "..\\x", "a%2fb",
        "a/b", "a b", "a\r\nb",           "$(id)", "`id`",
        "a=",  "a+b", "<script>",         "a\x80", "a.b",
    };
    char longer[ACME_MAX_TOKEN + 2];
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(acme_token_valid(bad[i]));
    }
    memset(longer, 'a', sizeof(longer));
    longer[ACME_MAX_TOKEN + 1] = '\0';
    assert_false(acme_token_valid(longer));
    assert_false(acme_token_valid(NULL));
}

static void test_url_valid_accepts_https(void **state)
{
    static const char *const good[] = {
        "https://ca.example",
        "https://ca.example/",
        "HTTPS://ca.example/dir",
        "https://ca.example:1/a?b=c",
        "https://ca.example:65535/a",
        "https://ca.example?x",
        "https://127.0.0.1:14000/dir",
        "https://[::1]/dir",
        "https://[2001:db8::1]:14000/dir",
        "https://ca.example/a%20b;c,d~e!$&'()*+=:@",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(acme_url_valid(good[i]));
    }
}

static void test_url_valid_refuses_others(void **state)
{
    static const char *const bad[] = {
        "",
        "http://ca.example/",
        "https:/ca.example/",
        "https://",
        "https:///path",
        "https://?x",
        "https://:443/",
        "https://ca.example:/",
        "https://ca.example:0/",
        "https://ca.example:65536/",
        "https://ca.example:000443/",
        "https://ca.example:4a3/",
        "https://ca.example:-1/",
        "https://user@ca.example/",
        "https://user:pass@ca.example/",
        "https://ca.example\\@evil.example/",
        "https://ca.example/#fragment",
        "https://ca.example/a b",
        "https://ca.example/a\r\nHost: x",
        "https://ca.example/\x7f",
        "https://ca.example/\xc3\xbc",
        "https://ca%2eexample/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[nonsense]/",
        "https://[]/",
        "https://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]/",
        " https://ca.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(acme_url_valid(bad[i]));
    }
    assert_false(acme_url_valid(NULL));
}

static void test_url_valid_bounds_length(void **state)
{
    char url[ACME_MAX_URL + 2];

    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://ca.example/", 19);
    url[ACME_MAX_URL] = '\0';
    assert_true(acme_url_valid(url));
    url[ACME_MAX_URL] = 'a';
    url[ACME_MAX_URL + 1] = '\0';
    assert_false(acme_url_valid(url));
}

/* --- JSON ------------------------------------------------------------------ */

static acme_err_t *parse(json_t **object, const char *body)
{
    return acme_json_parse(object, body, strlen(body), ACME_MAX_JSON,
                           "directory", pool);
}

static void test_json_parse_reads_object(void **state)
{
    json_t *object = NULL;

    (void)state;
    assert_no_err(parse(&object, " {\"a\":\"b\",\"n\":1,\"z\":null}\n"));
    assert_string_equal(acme_json_string(object, "a"), "b");
    assert_null(acme_json_string(object, "n"));
    assert_null(acme_json_string(object, "z"));
    assert_null(acme_json_string(object, "absent"));
}

static void test_json_parse_stops_at_len(void **state)
{
    json_t *object = NULL;

    (void)state;
    assert_no_err(acme_json_parse(&object, "{}garbage", 2, 2, "x", pool));
    assert_err(acme_json_parse(&object, "{} ", 3, 2, "x", pool),
               ACME_E_CA_JSON);
}

static void test_json_parse_refuses_bad_bodies(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "\"bare string\"",
        "null",
        "{}{}",
        "{} x",
        "<html>502 Bad Gateway</html>",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"b\\u0000c\"}",
        "{'a':1}",
    };
    json_t *object = NULL;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_err(parse(&object, bad[i]), ACME_E_CA_JSON);
        assert_null(object);
    }
}

static void test_json_parse_error_names_subject(void **state)
{
    json_t *object = NULL;
    acme_err_t *err = parse(&object, "{\033[2J");

    (void)state;
    assert_non_null(err);
    assert_int_equal(err->class, ACME_CLASS_CA_RETRY);
    assert_non_null(strstr(err->text, "directory"));
    assert_null(strchr(err->text, '\033'));
}

/* {"a":[[[...]]]} with depth levels in all. */
static const char *nested(int depth)
{
    char *body = apr_pcalloc(pool, (apr_size_t)depth * 2 + 16);

    strcpy(body, "{\"a\":");
    memset(body + 5, '[', (apr_size_t)depth - 1);
    memset(body + 4 + depth, ']', (apr_size_t)depth - 1);
    body[3 + 2 * depth] = '}';
    return body;
}

static void test_json_parse_bounds_depth(void **state)
{
    json_t *object = NULL;

    (void)state;
    assert_no_err(parse(&object, nested(32)));
    assert_err(parse(&object, nested(33)), ACME_E_CA_JSON);
    assert_err(parse(&object, nested(30000)), ACME_E_CA_JSON);
    /* brackets in strings are no levels, escapes do not end them */
    assert_no_err(
        parse(&object,
              "{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"));
}

static void test_json_string_refuses_embedded_nul(void **state)
{
    json_t *object = json_object();

    (void)state;
    json_object_set_new(object, "a", json_stringn("b\0c", 3));
    assert_null(acme_json_string(object, "a"));
    assert_null(acme_json_string(NULL, "a"));
    json_decref(object);
}

/* --- time ------------------------------------------------------------------ */

static void test_time_parse_accepts_rfc3339(void **state)
{
    const apr_time_t base = apr_time_from_sec(APR_INT64_C(1795334400));

    (void)state;
    assert_int_equal(acme_time_parse_rfc3339("2026-11-22T08:00:00Z"), base);
    assert_int_equal(acme_time_parse_rfc3339("2026-11-22t08:00:00z"), base);
    assert_int_equal(acme_time_parse_rfc3339("2026-11-22T08:00:00.123Z"),
                     base + 123000);
    assert_int_equal(acme_time_parse_rfc3339("2026-11-22T08:00:00.1234567891Z"),
                     base + 123456);
    assert_int_equal(acme_time_parse_rfc3339("2026-11-22T10:30:00+02:30"),
                     base);
    assert_int_equal(acme_time_parse_rfc3339("2026-11-22T00:00:00-08:00"),
                     base);
    assert_int_equal(acme_time_parse_rfc3339("2024-02-29T00:00:00Z"),
                     apr_time_from_sec(1709164800));
    assert_int_equal(acme_time_parse_rfc3339("2016-12-31T23:59:60Z"),
                     apr_time_from_sec(1483228800));
    assert_int_equal(acme_time_parse_rfc3339("9999-12-31T23:59:59Z"),
                     apr_time_from_sec(APR_INT64_C(253402300799)));
    assert_int_equal(acme_time_parse_rfc3339("1970-01-01T00:00:01Z"),
                     apr_time_from_sec(1));
}

static void test_time_parse_refuses_others(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-11-22",
        "2026-11-22T08:00:00",
        "2026-11-22 08:00:00Z",
        "2026-11-22T08:00Z",
        "2026-11-22T08:00:00.Z",
        "2026-11-22T08:00:00Zx",
        "2026-11-22T08:00:00Z ",
        " 2026-11-22T08:00:00Z",
        "2026-13-22T08:00:00Z",
        "2026-00-22T08:00:00Z",
        "2026-11-31T08:00:00Z",
        "2026-11-00T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2100-02-29T08:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T08:60:00Z",
        "2026-11-22T08:00:61Z",
        "2026-11-22T08:00:00+2:00",
        "2026-11-22T08:00:00+0200",
        "2026-11-22T08:00:00+24:00",
        "2026-11-22T08:00:00+02:60",
        "2026-11-22T08:00:00+02:00Z",
        "2026-1-22T08:00:00Z",
        "+026-11-22T08:00:00Z",
        "99999-11-22T08:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "0000-01-01T00:00:00Z",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (acme_time_parse_rfc3339(bad[i]) != 0) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
    assert_int_equal(acme_time_parse_rfc3339(NULL), 0);
}

static void test_time_format_reverses_parse(void **state)
{
    static const char *const texts[] = {
        "1970-01-01T00:00:01Z",
        "2000-02-29T12:34:56Z",
        "2026-11-22T08:00:00Z",
        "9999-12-31T23:59:59Z",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_string_equal(
            acme_time_format(acme_time_parse_rfc3339(texts[i]), pool),
            texts[i]);
    }
}

static void test_time_format_clamps(void **state)
{
    (void)state;
    assert_string_equal(acme_time_format(-1, pool), "1970-01-01T00:00:00Z");
    assert_string_equal(acme_time_format(INT64_MAX, pool),
                        "9999-12-31T23:59:59Z");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_encode_base64url_rfc4648_vectors),
    POOL_TEST(test_decode_base64url_reverses_every_length),
    POOL_TEST(test_decode_base64url_refuses_what_is_not_strict),
    POOL_TEST(test_encode_hex_is_lower_case),
    POOL_TEST(test_encode_cut_text_says_so_behind_a_whole_character),
    POOL_TEST(test_encode_printable_keeps_good_text),
    POOL_TEST(test_encode_printable_replaces_controls),
    POOL_TEST(test_encode_printable_replaces_bad_utf8),
    POOL_TEST(test_utf8_valid_is_what_json_holds),
    POOL_TEST(test_encode_printable_cuts_between_characters),
    POOL_TEST(test_encode_printable_any_cut_is_bounded_and_stable),
    POOL_TEST(test_encode_html_escapes_markup),
    POOL_TEST(test_token_valid_accepts_base64url),
    POOL_TEST(test_token_valid_refuses_hostile),
    POOL_TEST(test_url_valid_accepts_https),
    POOL_TEST(test_url_valid_refuses_others),
    POOL_TEST(test_url_valid_bounds_length),
    POOL_TEST(test_json_parse_reads_object),
    POOL_TEST(test_json_parse_stops_at_len),
    POOL_TEST(test_json_parse_refuses_bad_bodies),
    POOL_TEST(test_json_parse_error_names_subject),
    POOL_TEST(test_json_parse_bounds_depth),
    POOL_TEST(test_json_string_refuses_embedded_nul),
    POOL_TEST(test_time_parse_accepts_rfc3339),
    POOL_TEST(test_time_parse_refuses_others),
    POOL_TEST(test_time_format_reverses_parse),
    POOL_TEST(test_time_format_clamps),
};

RUN_TESTS(tests)
