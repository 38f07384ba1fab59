#include "core_test.h"

#include <apr_hash.h>

static void assert_parses(const char *text, acme_ident_type_t type,
                          const char *value)
{
    acme_ident_t *made = ident(text);

    assert_int_equal(made->type, type);
    assert_string_equal(made->value, value);
}

static void test_parse_names_made_canonical(void **state)
{
    (void)state;
    assert_parses("Shop.Example.ORG", ACME_IDENT_DNS, "shop.example.org");
    assert_parses("shop.example.", ACME_IDENT_DNS, "shop.example");
    assert_parses("*.Example.org", ACME_IDENT_DNS, "*.example.org");
    assert_parses("_acme.example", ACME_IDENT_DNS, "_acme.example");
    assert_parses("xn--bcher-kva.example", ACME_IDENT_DNS,
                  "xn--bcher-kva.example");
    assert_parses("1.2.3.4.example", ACME_IDENT_DNS, "1.2.3.4.example");
    assert_parses("localhost", ACME_IDENT_DNS, "localhost");
    assert_parses("a.4a", ACME_IDENT_DNS, "a.4a");
}

static void test_parse_addresses_made_canonical(void **state)
{
    (void)state;
    assert_parses("192.0.2.1", ACME_IDENT_IP, "192.0.2.1");
    assert_parses("2001:DB8:0:0:0:0:0:1", ACME_IDENT_IP, "2001:db8::1");
    assert_parses("[2001:0db8::0001]", ACME_IDENT_IP, "2001:db8::1");
    assert_parses("2001:db8:0:0:1:0:0:1", ACME_IDENT_IP, "2001:db8::1:0:0:1");
    assert_parses("2001:db8:0:1:1:1:1:1", ACME_IDENT_IP,
                  "2001:db8:0:1:1:1:1:1");
    assert_parses("0:0:0:0:0:0:0:0", ACME_IDENT_IP, "::");
    assert_parses("::FFFF:192.0.2.1", ACME_IDENT_IP, "::ffff:192.0.2.1");
}

static void test_parse_refuses_bad_names(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        ".example.org",
        "a..example.org",
        "example.org..",
        "*",
        "*.",
        "**.example.org",
        "a.*.example.org",
        "a*.example.org",
        "*.*.example.org",
        "*example.org",
        "exa mple.org",
        "example.org ",
        "example.org/",
        "example.org:443",
        ("b\xc3\xbc"
         "cher.example"),
        "a,DNS:b.example",
        "a\nb.example",
        "a\\b.example",
        "user@example.org",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.04",
        "example.123",
        "*.1.2.3.4",
        "[192.0.2.1]",
        "[::1",
        "::1]",
        "[]",
        "[",
        "[[::1]]",
        "*.[::1]",
        "2001:db8::1%eth0",
        ":::",
        "-a.example",
        "a-.example",
        "a.-example",
        "../../etc/passwd",
        "example.org\x7f",
    };
    acme_ident_t *made = NULL;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        acme_err_t *err = acme_ident_parse(&made, bad[i], pool);

        if (!err) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
        assert_int_equal(err->msg, ACME_E_IDENT_SYNTAX);
        assert_null(made);
    }
    assert_err(acme_ident_parse(&made, NULL, pool), ACME_E_IDENT_SYNTAX);
}

/* A name of exactly len octets, of labels of 49 and a last one. */
static char *name_of(apr_size_t len)
{
    char *name = apr_palloc(pool, len + 1);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        name[i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
    }
    name[len] = '\0';
    return name;
}

static void test_parse_bounds_lengths(void **state)
{
    char *label = apr_pstrcat(pool, name_of(0), NULL);
    acme_ident_t *made = NULL;

    (void)state;
    assert_string_equal(ident(name_of(253))->value, name_of(253));
    assert_string_equal(
        ident(apr_pstrcat(pool, name_of(253), ".", NULL))->value, name_of(253));
    assert_err(acme_ident_parse(&made, name_of(254), pool),
               ACME_E_IDENT_SYNTAX);
    assert_err(acme_ident_parse(&made, name_of(255), pool),
               ACME_E_IDENT_SYNTAX);
    assert_err(acme_ident_parse(&made, name_of(100000), pool),
               ACME_E_IDENT_SYNTAX);
    label = apr_palloc(pool, 65);
    memset(label, 'a', 64);
    label[63] = '\0';
    assert_string_equal(ident(label)->value, label);
    label[63] = 'a';
    label[64] = '\0';
    assert_err(acme_ident_parse(&made, label, pool), ACME_E_IDENT_SYNTAX);
}

static void test_why_not_public_names_reserved(void **state)
{
    static const char *const reserved[] = {
        "localhost",   "a.localhost",     "printer",         "*.printer",
        "a.local",     "a.internal",      "a.invalid",       "a.test",
        "a.example",   "www.example.org", "a.home.arpa",     "x.lan",
        "x.onion",     "a_b.acme.org",    "127.0.0.1",       "127.255.0.1",
        "10.1.2.3",    "172.16.0.1",      "172.31.255.255",  "192.168.1.1",
        "169.254.1.1", "100.64.0.1",      "100.127.255.255", "0.0.0.0",
        "192.0.2.1",   "224.0.0.1",       "255.255.255.255", "::1",
        "::",          "fc00::1",         "fdff::1",         "fe80::1",
        "febf::1",     "ff02::1",         "2001:db8::1",     "::ffff:8.8.8.8",
        "4000::1",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (!acme_ident_why_not_public(ident(reserved[i]))) {
            fail_msg("public: %s", reserved[i]);
        }
    }
}

static void test_why_not_public_lets_public_pass(void **state)
{
    static const char *const open[] = {
        "acme.org",        "*.acme.org",    "notlocal.org",
        "mylocalhost.org", "a.latest",      "localhost.acme.org",
        "8.8.8.8",         "172.15.0.1",    "172.32.0.1",
        "100.63.0.1",      "100.128.0.1",   "192.169.0.1",
        "223.255.255.255", "11.0.0.0",      "2606:4700::1111",
        "3fff:1000::1",    "myexample.org",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (acme_ident_why_not_public(ident(open[i]))) {
            fail_msg("not public: %s", open[i]);
        }
    }
}

static void test_covers_wildcard_stands_for_one_label(void **state)
{
    (void)state;
    assert_true(acme_ident_covers(ident("*.a.org"), ident("b.a.org")));
    assert_true(acme_ident_covers(ident("*.a.org"), ident("*.a.org")));
    assert_true(acme_ident_covers(ident("b.a.org"), ident("B.A.org")));
    assert_false(acme_ident_covers(ident("*.a.org"), ident("a.org")));
    assert_false(acme_ident_covers(ident("*.a.org"), ident("c.b.a.org")));
    assert_false(acme_ident_covers(ident("*.a.org"), ident("ba.org")));
    assert_false(acme_ident_covers(ident("*.a.org"), ident("*.b.a.org")));
    assert_false(acme_ident_covers(ident("*.org"), ident("*.a.org")));
    assert_false(acme_ident_covers(ident("b.a.org"), ident("*.a.org")));
    assert_false(acme_ident_covers(ident("192.0.2.1"), ident("192.0.2.2")));
    assert_true(acme_ident_covers(ident("::1"), ident("[0::1]")));
}

static void test_equal_compares_type_too(void **state)
{
    acme_ident_t name = { ACME_IDENT_DNS, "192.0.2.1" };
    apr_array_header_t *names = apr_array_make(pool, 1, sizeof(acme_ident_t *));

    (void)state;
    APR_ARRAY_PUSH(names, acme_ident_t *) = &name;
    assert_false(acme_ident_equal(&name, ident("192.0.2.1")));
    assert_false(acme_idents_equal(names, idents("192.0.2.1")));
    assert_true(acme_ident_equal(ident("a.org"), ident("A.ORG.")));
}

static void test_sets_compared_without_order(void **state)
{
    (void)state;
    assert_true(acme_idents_equal(idents("a.org b.org ::1"),
                                  idents("::1 b.org a.org")));
    assert_true(acme_idents_equal(idents("a.org a.org"), idents("a.org")));
    assert_false(acme_idents_equal(idents("a.org"), idents("a.org b.org")));
    assert_false(acme_idents_equal(idents("a.org b.org"), idents("a.org")));
    assert_false(acme_idents_equal(idents("*.a.org"), idents("b.a.org")));
    assert_true(acme_idents_equal(idents(""), idents("")));
    assert_true(acme_idents_subset(idents(""), idents("a.org")));
    assert_true(acme_idents_subset(idents("b.org"), idents("a.org b.org")));
    assert_false(acme_idents_subset(idents("c.org"), idents("a.org b.org")));
}

static void test_text_shows_some_and_counts_rest(void **state)
{
    (void)state;
    assert_string_equal(
        acme_idents_text(idents("a.org b.org c.org d.org e.org"), 2, pool),
        "a.org, b.org and 3 more");
    assert_string_equal(acme_idents_text(idents("a.org b.org"), 2, pool),
                        "a.org, b.org");
    assert_string_equal(acme_idents_text(idents("a.org b.org"), 0, pool),
                        "2 names");
    assert_string_equal(acme_idents_text(idents("a.org"), -1, pool), "1 name");
    assert_string_equal(acme_idents_text(idents(""), 3, pool), "no names");
}

static void test_filename_readable(void **state)
{
    (void)state;
    assert_string_equal(acme_ident_filename(ident("a.org"), pool), "a.org");
    assert_string_equal(acme_ident_filename(ident("*.a.org"), pool),
                        "_wildcard.a.org");
    assert_string_equal(acme_ident_filename(ident("192.0.2.1"), pool),
                        "192.0.2.1");
    assert_string_equal(acme_ident_filename(ident("2001:db8::1"), pool),
                        "2001-db8--1");
    assert_string_equal(acme_ident_filename(ident("::1"), pool), "0--1");
}

static void test_filename_injective_over_lookalikes(void **state)
{
    apr_array_header_t *all = idents(
        "*.a.org _wildcard.a.org __wildcard.a.org ___wildcard.a.org "
        "*._wildcard.a.org *.__wildcard.a.org _wildcard._wildcard.a.org "
        "2001:db8::1 2001-db8--1 2001-db8--0 2001-db8--01 ::1 0--1 :: 1:: "
        "0:1:: 0-1--a 0:1::a ::ffff:1.2.3.4 ::1.2.3.4 1.2.3.4 a.org "
        "1:2:3:4:5:6:7:8 1-2-3-4-5-6-7-8 wildcard.a.org _.a.org");
    apr_hash_t *seen = apr_hash_make(pool);
    char *long_name = name_of(251);
    int i;

    (void)state;
    APR_ARRAY_PUSH(all, acme_ident_t *) =
        ident(apr_pstrcat(pool, "*.", long_name, NULL));
    long_name[250] = 'b';
    APR_ARRAY_PUSH(all, acme_ident_t *) =
        ident(apr_pstrcat(pool, "*.", long_name, NULL));
    for (i = 0; i < all->nelts; i++) {
        const char *name =
            acme_ident_filename(APR_ARRAY_IDX(all, i, acme_ident_t *), pool);

        if (apr_hash_get(seen, name, APR_HASH_KEY_STRING)) {
            fail_msg("two identifiers share %s", name);
        }
        apr_hash_set(seen, name, APR_HASH_KEY_STRING, name);
        assert_true(strlen(name) >= 1 && strlen(name) <= 255);
        assert_null(strchr(name, '/'));
        assert_null(strchr(name, ':'));
        assert_true(name[0] != '-' && name[0] != '.');
    }
}

static const char *server_name(const char *text)
{
    char *sni = apr_palloc(pool, ACME_IDENT_SNI);

    acme_ident_server_name(sni, ident(text));
    return sni;
}

static void test_server_name_of_an_address_is_its_reverse(void **state)
{
    (void)state;
    assert_string_equal(server_name("a.org"), "a.org");
    assert_string_equal(server_name("192.0.2.71"), "71.2.0.192.in-addr.arpa");
    assert_string_equal(server_name("2001:db8::567:89ab"),
                        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
                        "8.b.d.0.1.0.0.2.ip6.arpa");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_parse_names_made_canonical),
    POOL_TEST(test_parse_addresses_made_canonical),
    POOL_TEST(test_parse_refuses_bad_names),
    POOL_TEST(test_parse_bounds_lengths),
    POOL_TEST(test_why_not_public_names_reserved),
    POOL_TEST(test_why_not_public_lets_public_pass),
    POOL_TEST(test_covers_wildcard_stands_for_one_label),
    POOL_TEST(test_equal_compares_type_too),
    POOL_TEST(test_sets_compared_without_order),
    POOL_TEST(test_text_shows_some_and_counts_rest),
    POOL_TEST(test_server_name_of_an_address_is_its_reverse),
    POOL_TEST(test_filename_readable),
    POOL_TEST(test_filename_injective_over_lookalikes),
};

RUN_TESTS(tests)
