/* How control of a name may be proved, as configured and as the host can. */
#include "core_test.h"

#include "engine/policy.h"

static const acme_ident_t name = { ACME_IDENT_DNS, "a.example" };
static const acme_ident_t wildcard = { ACME_IDENT_DNS, "*.a.example" };
static const acme_ident_t address = { ACME_IDENT_IP, "192.0.2.1" };

/* "tls-alpn-01 http-01": what is left for ident. */
static const char *proofs_of(const acme_policy_t *policy,
                             const acme_ident_t *ident)
{
    acme_proofs_t proofs;
    const char *text = "";

    acme_policy_proofs(&proofs, policy, ident);
    for (int i = 0; i < proofs.count; i++) {
        text = apr_pstrcat(pool, text, i ? " " : "",
                           acme_proof_type_name(proofs.types[i]), NULL);
    }
    return text;
}

static const apr_array_header_t *challenges(const char *names)
{
    apr_array_header_t *list =
        apr_array_make(pool, 5, sizeof(acme_proof_type_t));
    char *next = NULL, *copy = apr_pstrdup(pool, names), *one;

    for (one = apr_strtok(copy, " ", &next); one;
         one = apr_strtok(NULL, " ", &next)) {
        assert_int_equal(acme_proof_type_parse(apr_array_push(list), one), 0);
    }
    return list;
}

static void test_proofs_by_default_are_those_usable(void **state)
{
    acme_policy_t policy = { .http_01 = 1, .tls_alpn_01 = 1, .dns = 1 };

    (void)state;
    assert_string_equal(proofs_of(&policy, &name),
                        "tls-alpn-01 http-01 dns-01");
    assert_string_equal(proofs_of(&policy, &wildcard), "dns-01");
    assert_string_equal(proofs_of(&policy, &address), "tls-alpn-01 http-01");
    policy.tls_alpn_01 = policy.dns = 0;
    assert_string_equal(proofs_of(&policy, &name), "http-01");
    assert_string_equal(proofs_of(&policy, &wildcard), "");
}

static void test_proofs_follow_the_administrators_order(void **state)
{
    acme_policy_t policy = { .http_01 = 1, .tls_alpn_01 = 1, .dns = 1 };

    (void)state;
    policy.challenges = challenges("dns-account-01 http-01 tls-alpn-01");
    assert_string_equal(proofs_of(&policy, &name),
                        "dns-account-01 http-01 tls-alpn-01");
    assert_string_equal(proofs_of(&policy, &wildcard), "dns-account-01");
    assert_string_equal(acme_policy_challenges(&policy, pool),
                        "dns-account-01 http-01 tls-alpn-01");
    policy.challenges = challenges("");
    assert_string_equal(acme_policy_challenges(&policy, pool),
                        "tls-alpn-01 http-01 dns-01");
}

static void test_obstacles_are_told_for_each_type(void **state)
{
    acme_policy_t policy = { .tls_alpn_01 = 1 };

    (void)state;
    policy.challenges = challenges("tls-alpn-01 http-01 dns-01");
    policy.obstacles[ACME_PROOF_HTTP_01] = "no Listen";
    assert_string_equal(
        acme_policy_obstacles(&policy, &name, pool),
        "http-01: no Listen; dns-01: no AcmeDnsCommand publishes DNS records");
    assert_string_equal(
        acme_policy_obstacles(&policy, &wildcard, pool),
        "tls-alpn-01: it cannot prove a wildcard; http-01: it cannot prove a "
        "wildcard; dns-01: no AcmeDnsCommand publishes DNS records");
    policy.http_01 = policy.dns = 1;
    assert_string_equal(acme_policy_obstacles(&policy, &name, pool), "");
}

/* A record that stays is made by hand: no program is needed. */
static void test_dns_persist_01_needs_no_program(void **state)
{
    acme_policy_t policy = { 0 };
    apr_array_header_t *wanted =
        apr_array_make(pool, 2, sizeof(acme_proof_type_t));
    acme_proofs_t proofs;

    (void)state;
    APR_ARRAY_PUSH(wanted, acme_proof_type_t) = ACME_PROOF_DNS_01;
    APR_ARRAY_PUSH(wanted, acme_proof_type_t) = ACME_PROOF_DNS_PERSIST_01;
    policy.challenges = wanted;
    acme_policy_proofs(&proofs, &policy, ident("*.example.org"));
    assert_int_equal(proofs.count, 1);
    assert_int_equal(proofs.types[0], ACME_PROOF_DNS_PERSIST_01);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_proofs_by_default_are_those_usable),
    POOL_TEST(test_proofs_follow_the_administrators_order),
    POOL_TEST(test_obstacles_are_told_for_each_type),
    POOL_TEST(test_dns_persist_01_needs_no_program),
};

RUN_TESTS(tests)
