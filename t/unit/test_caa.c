#include "core_test.h"

#include "core/caa.h"
#include "dns_test.h"

#define ACCOUNT "https://ca.example/acct/1"

static apr_array_header_t *list(const char *words)
{
    apr_array_header_t *array = apr_array_make(pool, 4, sizeof(const char *));
    char *copy = apr_pstrdup(pool, words), *next, *word;

    for (word = apr_strtok(copy, " ", &next); word;
         word = apr_strtok(NULL, " ", &next)) {
        APR_ARRAY_PUSH(array, const char *) = word;
    }
    return array;
}

/* records: separated by '|' */
static apr_array_header_t *records(const char *text)
{
    message_t m;
    char *copy = apr_pstrdup(pool, text), *next, *one;

    begin_message(&m, 1, 0x8000, "a.test", ACME_DNS_CAA);
    for (one = apr_strtok(copy, "|", &next); one;
         one = apr_strtok(NULL, "|", &next)) {
        put_record(&m, 0, "a.test", ACME_DNS_CAA, one);
    }
    return acme_caa_parse(acme_dns_parse(m.octets, m.len, pool), pool);
}

static acme_caa_verdict_t judge(const char *text, int wildcard)
{
    acme_caa_question_t question = { wildcard, list("ca.example other.example"),
                                     ACCOUNT, list("http-01 dns-01") };

    return acme_caa_judge(records(text), &question, pool);
}

static void test_issuer_decides(void **state)
{
    (void)state;
    assert_int_equal(judge("0 issue ca.example", 0), ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 issue  CA.example ", 0), ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 ISSUE other.example", 0), ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 issue no.example", 0), ACME_CAA_OTHER_CA);
    assert_int_equal(judge("0 issue ;", 0), ACME_CAA_OTHER_CA);
    assert_int_equal(judge("0 issue sub.ca.example", 0), ACME_CAA_OTHER_CA);
    assert_int_equal(judge("0 issue no.example|0 issue ca.example; x=y", 0),
                     ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 iodef mailto:a@b", 0), ACME_CAA_ALLOWED);
}

static void test_wildcard_asks_issuewild_first(void **state)
{
    (void)state;
    assert_int_equal(judge("0 issue ca.example", 1), ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 issue ca.example|0 issuewild ;", 1),
                     ACME_CAA_OTHER_CA);
    assert_int_equal(judge("0 issue ca.example|0 issuewild ;", 0),
                     ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 issue ;|0 issuewild ca.example", 1),
                     ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 issuewild no.example", 0), ACME_CAA_ALLOWED);
}

static void test_account_and_method_are_compared(void **state)
{
    (void)state;
    assert_int_equal(judge("0 issue ca.example; accounturi=" ACCOUNT, 0),
                     ACME_CAA_ALLOWED);
    assert_int_equal(judge("0 issue ca.example; accounturi=" ACCOUNT "2", 0),
                     ACME_CAA_OTHER_ACCOUNT);
    assert_int_equal(judge("0 issue ca.example;accounturi=https://x/|"
                           "0 issue ca.example;accounturi = " ACCOUNT,
                           0),
                     ACME_CAA_ALLOWED);
    assert_int_equal(
        judge("0 issue ca.example; validationmethods=tls-alpn-01", 0),
        ACME_CAA_OTHER_METHOD);
    assert_int_equal(
        judge("0 issue ca.example; validationmethods=x, dns-01", 0),
        ACME_CAA_ALLOWED);
}

static void test_unknown_critical_record_forbids(void **state)
{
    (void)state;
    assert_int_equal(judge("128 new x|0 issue ca.example", 0),
                     ACME_CAA_CRITICAL);
    assert_int_equal(judge("0 new x|0 issue ca.example", 0), ACME_CAA_ALLOWED);
    assert_int_equal(judge("128 issue ca.example", 0), ACME_CAA_ALLOWED);
}

static void test_text_is_short_and_printable(void **state)
{
    (void)state;
    assert_string_equal(acme_caa_text(records("128 issue \033[1m"), pool),
                        "128 issue \"?[1m\"");
    assert_string_equal(
        acme_caa_text(records("0 a 1|0 a 2|0 a 3|0 a 4|0 a 5"), pool),
        "0 a \"1\", 0 a \"2\", 0 a \"3\" and 2 more");
}

static void test_malformed_record_is_passed_over(void **state)
{
    static const unsigned char BAD[] = { 0, 1, 0x80, 0, 0, 0, 0, 1,  0,
                                         0, 0, 0,    0, 1, 1, 0, 1,  0,
                                         0, 0, 0,    0, 3, 0, 9, 'i' };

    (void)state;
    assert_int_equal(
        acme_caa_parse(acme_dns_parse(BAD, sizeof(BAD), pool), pool)->nelts, 0);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_issuer_decides),
    POOL_TEST(test_wildcard_asks_issuewild_first),
    POOL_TEST(test_account_and_method_are_compared),
    POOL_TEST(test_unknown_critical_record_forbids),
    POOL_TEST(test_text_is_short_and_printable),
    POOL_TEST(test_malformed_record_is_passed_over),
};

RUN_TESTS(tests)
