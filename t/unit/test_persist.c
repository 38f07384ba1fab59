#include "core_test.h"

#include "core/persist.h"

#define ACCOUNT "https://ca.example/acct/123"
#define THUMB   "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define NOW     apr_time_from_sec(1800000000)

static acme_persist_t persist(const char *name)
{
    apr_array_header_t *issuers = apr_array_make(pool, 2, sizeof(const char *));
    acme_persist_t made = { ident(name), issuers, NULL, ACCOUNT, THUMB };

    APR_ARRAY_PUSH(issuers, const char *) = "ca.example";
    APR_ARRAY_PUSH(issuers, const char *) = "other.example";
    return made;
}

static apr_time_t until;

static int match(const acme_persist_t *wanted, const char *text)
{
    until = -1;
    return acme_persist_match(wanted, text, NOW, &until, pool);
}

/* The vector of draft -02. */
static void test_digest_of_the_draft(void **state)
{
    (void)state;
    assert_string_equal(
        acme_persist_digest("example.com", THUMB, ACCOUNT, pool),
        "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw");
}

static void test_record_in_the_deployed_form(void **state)
{
    acme_persist_t name = persist("example.com");
    acme_persist_t wildcard = persist("*.example.com");

    (void)state;
    assert_string_equal(acme_persist_name(wildcard.ident, pool),
                        "_validation-persist.example.com");
    assert_string_equal(acme_persist_text(&name, pool),
                        "ca.example; accounturi=" ACCOUNT);
    assert_string_equal(acme_persist_line(&wildcard, pool),
                        "_validation-persist.example.com. IN TXT \"ca.example; "
                        "accounturi=" ACCOUNT "; policy=wildcard\"");
}

static void test_record_in_the_form_of_draft_02(void **state)
{
    acme_persist_t name = persist("example.com");
    static const char TEXT[] =
        "ca.example; accounturi=https://ca.example/hash/sha-256/"
        "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw";

    (void)state;
    name.hash_prefix = "https://ca.example/hash/";
    assert_string_equal(acme_persist_text(&name, pool), TEXT);
    assert_true(match(&name, TEXT));
    assert_true(match(
        &name,
        apr_pstrcat(pool, "ca.example; accounturi=", name.hash_prefix,
                    "sha-256/", acme_persist_digest("*", THUMB, ACCOUNT, pool),
                    NULL)));
    assert_false(match(&name, "ca.example; accounturi=" ACCOUNT));
}

static void test_long_record_is_split_into_strings(void **state)
{
    acme_persist_t name = persist("example.com");
    char url[400];

    (void)state;
    memset(url, 'x', sizeof(url) - 1);
    url[sizeof(url) - 1] = '\0';
    name.account_url = url;
    const char *line = acme_persist_line(&name, pool);
    const char *second = strstr(line, "\" \"");
    assert_non_null(second);
    assert_int_equal(second - strchr(line, '"') - 1, 255);
}

static void test_match_takes_what_the_draft_allows(void **state)
{
    acme_persist_t name = persist("example.com");

    (void)state;
    assert_true(match(&name, "ca.example;accounturi=" ACCOUNT));
    assert_int_equal(until, 0);
    assert_true(match(&name, " OTHER.example ; x=y; AccountURI= " ACCOUNT
                             " ; policy=wildcard"));
    assert_true(match(&name, "ca.example; accounturi=" ACCOUNT
                             "; persistUntil=1800000001"));
    assert_int_equal(until, apr_time_from_sec(1800000001));
}

static void test_match_refuses_all_else(void **state)
{
    static const char *const bad[] = {
        "",
        ";",
        "ca.example",
        "; accounturi=" ACCOUNT,
        "evil.example; accounturi=" ACCOUNT,
        "ca.example; accounturi=" ACCOUNT "4",
        "ca.example; accounturi",
        "ca.example; accounturi=https://x; accounturi=" ACCOUNT,
        "ca.example; accounturi=" ACCOUNT "; persistUntil=1800000000",
        "ca.example; accounturi=" ACCOUNT "; persistUntil=soon",
        "ca.example; accounturi=" ACCOUNT "; persistUntil=-1",
        "ca.example; accounturi=" ACCOUNT "; persistUntil=",
        "ca.example; accounturi=" ACCOUNT
        "; persistUntil=99999999999999999999999999999x",
    };
    acme_persist_t name = persist("example.com");
    acme_persist_t wildcard = persist("*.example.com");
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (match(&name, bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_int_equal(until, -1);
    }
    assert_false(match(&wildcard, "ca.example; accounturi=" ACCOUNT));
    assert_true(match(&wildcard,
                      "ca.example; accounturi=" ACCOUNT "; policy=wildcard"));
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_digest_of_the_draft),
    POOL_TEST(test_record_in_the_deployed_form),
    POOL_TEST(test_record_in_the_form_of_draft_02),
    POOL_TEST(test_long_record_is_split_into_strings),
    POOL_TEST(test_match_takes_what_the_draft_allows),
    POOL_TEST(test_match_refuses_all_else),
};

RUN_TESTS(tests)
