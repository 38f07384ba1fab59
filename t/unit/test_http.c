#include "core_test.h"

#include "core/http.h"

#define NOW   apr_time_from_sec(1795334400) /* Sun, 22 Nov 2026 08:00:00 GMT */
#define DAY   86400
#define URN   "urn:ietf:params:acme:error:"
#define NO_IT (-1)

static acme_reply_t reply_of(int status, const char *body)
{
    acme_reply_t reply = { NULL, status, body, strlen(body) };

    return reply;
}

static int retry_after(const char *text)
{
    acme_reply_t reply = reply_of(503, "");
    apr_time_t at;

    reply.retry_after = text;
    at = acme_reply_retry_after(&reply, NOW);
    return at ? (int)apr_time_sec(at - NOW) : NO_IT;
}

static void test_retry_after_takes_seconds_and_dates(void **state)
{
    (void)state;
    assert_int_equal(retry_after("120"), 120);
    assert_int_equal(retry_after("  7  "), 7);
    assert_int_equal(retry_after("0"), 0);
    assert_int_equal(retry_after("Sun, 22 Nov 2026 08:05:00 GMT"), 300);
    assert_int_equal(retry_after("Sunday, 22-Nov-26 08:05:00 GMT"), 300);
}

static void test_retry_after_is_clamped_to_a_day(void **state)
{
    (void)state;
    assert_int_equal(retry_after("86400"), DAY);
    assert_int_equal(retry_after("86401"), DAY);
    assert_int_equal(retry_after("4294967296"), DAY);
    assert_int_equal(retry_after("9223372036854775808999"), DAY);
    assert_int_equal(retry_after("Fri, 01 Jan 2100 00:00:00 GMT"), DAY);
    assert_int_equal(retry_after("Sat, 01 Jan 2000 00:00:00 GMT"), 0);
}

static void test_retry_after_malformed_counts_as_missing(void **state)
{
    static const char *const texts[] = { "",     "-5",          "5s",
                                         "1.5",  "0x10",        "soon",
                                         "5, 6", "Sun, 99 Nov", "\r\n" };
    apr_size_t i;

    (void)state;
    assert_int_equal(retry_after(NULL), NO_IT);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(retry_after(texts[i]), NO_IT);
    }
}

/* Targets with rel, space separated. */
static const char *links(const char *header, const char *rel)
{
    acme_reply_t reply = reply_of(200, "");
    apr_array_header_t *urls;

    reply.links = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(reply.links, const char *) = header;
    urls = acme_reply_links(&reply, rel, NULL, pool);
    return apr_array_pstrcat(pool, urls, ' ');
}

static void test_links_are_read_as_rfc8288_writes_them(void **state)
{
    (void)state;
    assert_string_equal(links("<https://a/1>;rel=\"alternate\"", "alternate"),
                        "https://a/1");
    assert_string_equal(links("<https://a/1> ; REL = Alternate", "alternate"),
                        "https://a/1");
    assert_string_equal(
        links("<https://a/1>; title=\"a, <b>; rel=\\\"up\\\"\"; rel=alternate",
              "alternate"),
        "https://a/1");
    assert_string_equal(
        links("<https://a/1>;rel=up, <https://a/2>;rel=\"x alternate y\" ,"
              "<https://a/3>;flag;rel=alternate",
              "alternate"),
        "https://a/2 https://a/3");
    assert_string_equal(
        links("<https://a/1>;rel=up;rel=alternate", "alternate"), "");
}

static void test_links_that_are_broken_or_unsafe_are_ignored(void **state)
{
    static const char *const headers[] = {
        "",
        "<",
        "<https://a/1",
        "https://a/1;rel=alternate",
        "<https://a/1>",
        "<https://a/1>;",
        "<https://a/1>;rel",
        "<https://a/1>;rel=",
        "<https://a/1>;title=\"unterminated;rel=alternate",
        "<http://a/1>;rel=alternate",
        "</relative>;rel=alternate",
        "<https://a/1>;relx=alternate",
        "<https://a/1>;rel=alternates",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        assert_string_equal(links(headers[i], "alternate"), "");
    }
}

static void test_links_are_bounded(void **state)
{
    const char *header = "<https://a/>;rel=x";
    acme_reply_t reply = reply_of(200, "");
    int i;

    (void)state;
    reply.links = apr_array_make(pool, 1, sizeof(const char *));
    for (i = 0; i < 10; i++) {
        header = apr_pstrcat(pool, header, ",<https://a/>;rel=x", NULL);
    }
    for (i = 0; i < 3; i++) {
        APR_ARRAY_PUSH(reply.links, const char *) = header;
    }
    assert_int_equal(acme_reply_links(&reply, "x", NULL, pool)->nelts, 16);
}

/* --- errors --------------------------------------------------------------- */

static acme_err_t *error_of(int status, const char *body)
{
    acme_reply_t reply = reply_of(status, body);

    return acme_reply_error(&reply, NOW, pool);
}

static void test_error_types_have_the_class_of_their_reaction(void **state)
{
    static const struct {
        const char *type;
        acme_class_t class;
    } types[] = {
        { "badNonce", ACME_CLASS_CA_RETRY },
        { "orderNotReady", ACME_CLASS_CA_RETRY },
        { "serverInternal", ACME_CLASS_CA_RETRY },
        { "rateLimited", ACME_CLASS_CA_RETRY },
        { "connection", ACME_CLASS_CA_RETRY },
        { "dns", ACME_CLASS_CA_RETRY },
        { "tls", ACME_CLASS_CA_RETRY },
        { "caa", ACME_CLASS_CA_RETRY },
        { "incorrectResponse", ACME_CLASS_CA_RETRY },
        { "badCSR", ACME_CLASS_CA_FINAL },
        { "badPublicKey", ACME_CLASS_CA_FINAL },
        { "badRevocationReason", ACME_CLASS_CA_FINAL },
        { "malformed", ACME_CLASS_CA_FINAL },
        { "rejectedIdentifier", ACME_CLASS_CA_FINAL },
        { "unsupportedIdentifier", ACME_CLASS_CA_FINAL },
        { "unauthorized", ACME_CLASS_CA_FINAL },
        { "externalAccountRequired", ACME_CLASS_CONFIG },
        { "invalidContact", ACME_CLASS_CONFIG },
        { "unsupportedContact", ACME_CLASS_CONFIG },
        { "userActionRequired", ACME_CLASS_CONFIG },
        { "invalidProfile", ACME_CLASS_CONFIG },
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *body =
            apr_pstrcat(pool, "{\"type\":\"" URN, types[i].type, "\"}", NULL);
        assert_int_equal(error_of(400, body)->class, types[i].class);
    }
}

static void test_error_without_known_type_goes_by_status(void **state)
{
    static const char *const bodies[] = {
        "",
        "<html>Bad Gateway</html>",
        "{}",
        "[]",
        "\"words\"",
        "{\"type\":\"" URN "newThing\"}",
        "{\"type\":17}",
        "{\"type\":\"about:blank\"}",
        "{\"type\":\"" URN "badCSR\",\"type\":\"" URN "badCSR\"}",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_equal(error_of(502, bodies[i])->msg, ACME_E_CA_BUSY);
        assert_int_equal(error_of(429, bodies[i])->msg, ACME_E_CA_PROBLEM_RATE);
        assert_int_equal(error_of(403, bodies[i])->msg, ACME_E_CA_REFUSED);
        assert_int_equal(error_of(302, bodies[i])->msg, ACME_E_CA_REFUSED);
    }
    assert_non_null(strstr(error_of(400, bodies[5])->text, "newThing"));
    assert_string_equal(error_of(400, "\"bare words\"")->detail, "bare words");
}

static void test_error_compound_counts_as_the_worst(void **state)
{
    acme_err_t *err = error_of(
        400, "{\"type\":\"" URN "compound\",\"subproblems\":["
             "{\"type\":\"" URN "dns\",\"detail\":\"no A\","
             "\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}},"
             "{\"type\":\"" URN "rejectedIdentifier\","
             "\"identifier\":{\"type\":\"dns\",\"value\":\"b.example\"}},"
             "17,{}]}");

    (void)state;
    assert_int_equal(err->msg, ACME_E_CA_PROBLEM_REJECTED);
    assert_string_equal(err->identifier, "b.example");
    assert_non_null(strstr(err->detail, "a.example: no A"));
    assert_non_null(strstr(err->detail, "b.example: rejectedIdentifier"));
}

static void test_error_texts_are_printable_and_bounded(void **state)
{
    char *detail = apr_palloc(pool, 20001);
    acme_err_t *err;

    (void)state;
    memset(detail, 'x', 20000);
    detail[20000] = '\0';
    err = error_of(400, apr_pstrcat(pool,
                                    "{\"type\":\"" URN "malformed\","
                                    "\"instance\":\"https://x/\\u001b\","
                                    "\"detail\":\"\\u001b[2J\\r\\n",
                                    detail, "\"}", NULL));
    assert_true(strlen(err->detail) <= 1024);
    assert_null(strpbrk(err->detail, "\033\r\n"));
    assert_null(strpbrk(err->instance, "\033"));
}

static void test_error_takes_retry_after_and_failure(void **state)
{
    acme_reply_t reply = reply_of(503, "");
    acme_err_t *err;

    (void)state;
    reply.retry_after = "30";
    err = acme_reply_error(&reply, NOW, pool);
    assert_int_equal(apr_time_sec(err->retry_at - NOW), 30);

    memset(&reply, 0, sizeof(reply));
    reply.failure = acme_err_make(pool, ACME_E_CA_UNREACHABLE, "x", "y", NULL);
    err = acme_reply_error(&reply, NOW, pool);
    assert_int_equal(err->msg, ACME_E_CA_UNREACHABLE);
    assert_ptr_not_equal(err, reply.failure);
}

static void test_problem_type_is_the_last_part_of_the_urn(void **state)
{
    acme_reply_t reply = reply_of(400, "{\"type\":\"" URN "badNonce\"}");

    (void)state;
    assert_string_equal(acme_reply_problem_type(&reply, pool), "badNonce");
    reply.status = 200;
    assert_string_equal(acme_reply_problem_type(&reply, pool), "");
    reply = reply_of(400, "{\"type\":\"urn:other:badNonce\"}");
    assert_string_equal(acme_reply_problem_type(&reply, pool), "");
}

static void test_resolve_as_in_rfc_3986(void **state)
{
    /* Section 5.4, without the cases that have a fragment. */
    static const char *const cases[][2] = {
        { "https://a/x", "https://a/x" },
        { "g", "https://a/b/c/g" },
        { "./g", "https://a/b/c/g" },
        { "g/", "https://a/b/c/g/" },
        { "/g", "https://a/g" },
        { "//g", "https://g" },
        { "?y", "https://a/b/c/d;p?y" },
        { "g?y", "https://a/b/c/g?y" },
        { ";x", "https://a/b/c/;x" },
        { "", "https://a/b/c/d;p" },
        { ".", "https://a/b/c/" },
        { "./", "https://a/b/c/" },
        { "..", "https://a/b/" },
        { "../g", "https://a/b/g" },
        { "../../g", "https://a/g" },
        { "../../../../g", "https://a/g" },
        { "/./g", "https://a/g" },
        { "/../g", "https://a/g" },
        { "g.", "https://a/b/c/g." },
        { "..g", "https://a/b/c/..g" },
        { "./g/.", "https://a/b/c/g/" },
        { "g/../h", "https://a/b/c/h" },
        { "g?y/../x", "https://a/b/c/g?y/../x" },
        { "http://a/x", NULL },
        { "file:///etc/passwd", NULL },
        { "g#s", NULL },
        { "//user@g/", NULL },
        { "a b", NULL },
    };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *url =
            acme_url_resolve("https://a/b/c/d;p?q", cases[i][0], pool);

        if (cases[i][1]) {
            assert_non_null(url);
            assert_string_equal(url, cases[i][1]);
        }
        else {
            assert_null(url);
        }
    }
    assert_string_equal(acme_url_resolve("https://a", "g", pool),
                        "https://a/g");
    assert_string_equal(acme_url_resolve("https://a?q", "?z", pool),
                        "https://a?z");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_retry_after_takes_seconds_and_dates),
    POOL_TEST(test_retry_after_is_clamped_to_a_day),
    POOL_TEST(test_retry_after_malformed_counts_as_missing),
    POOL_TEST(test_links_are_read_as_rfc8288_writes_them),
    POOL_TEST(test_links_that_are_broken_or_unsafe_are_ignored),
    POOL_TEST(test_links_are_bounded),
    POOL_TEST(test_error_types_have_the_class_of_their_reaction),
    POOL_TEST(test_error_without_known_type_goes_by_status),
    POOL_TEST(test_error_compound_counts_as_the_worst),
    POOL_TEST(test_error_texts_are_printable_and_bounded),
    POOL_TEST(test_error_takes_retry_after_and_failure),
    POOL_TEST(test_problem_type_is_the_last_part_of_the_urn),
    POOL_TEST(test_resolve_as_in_rfc_3986),
};

RUN_TESTS(tests)
