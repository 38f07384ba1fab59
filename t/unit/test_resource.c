#include "core_test.h"

#include "core/resource.h"

#define DIRECTORY                                                              \
    "\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\","           \
    "\"newOrder\":\"https://ca/o\""
#define IDENTIFIER "\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}"

static acme_err_t *parse_directory(acme_directory_t **directory,
                                   const char *body)
{
    return acme_directory_parse(directory, body, strlen(body), pool);
}

static acme_err_t *parse_authorization(acme_authorization_t **authorization,
                                       const char *body)
{
    return acme_authorization_parse(authorization, body, strlen(body), pool);
}

static acme_err_t *parse_order(acme_order_resource_t **order, const char *body)
{
    return acme_order_resource_parse(order, body, strlen(body), pool);
}

/* --- directory ------------------------------------------------------------ */

static void test_directory_minimal_is_enough(void **state)
{
    acme_directory_t *directory;

    (void)state;
    assert_no_err(parse_directory(&directory, "{" DIRECTORY "}"));
    assert_string_equal(directory->new_order, "https://ca/o");
    assert_null(directory->revoke_cert);
    assert_null(directory->terms);
    assert_int_equal(directory->profiles->nelts, 0);
    assert_false(directory->external_account_required);
}

static void test_directory_full_is_read(void **state)
{
    acme_directory_t *directory;

    (void)state;
    assert_no_err(parse_directory(
        &directory,
        "{" DIRECTORY ",\"q7xJ\":\"https://community\",\"keyChange\":null,"
        "\"revokeCert\":\"https://ca/r\",\"renewalInfo\":\"http://ca/ari\","
        "\"meta\":{\"termsOfService\":\"https://ca/t\\u001b\","
        "\"website\":\"https://ca\",\"externalAccountRequired\":true,"
        "\"caaIdentities\":[\"CA.example\",17,\"a b\",\"x.example\"],"
        "\"accountHashPrefix\":\"http://ca/a/\","
        "\"profiles\":{\"classic\":\"x\",\"bad\\u0007\":\"y\"}}}"));
    assert_int_equal(directory->caa_identities->nelts, 2);
    assert_string_equal(
        APR_ARRAY_IDX(directory->caa_identities, 0, const char *),
        "ca.example");
    assert_null(directory->account_hash_prefix); /* not https */
    assert_string_equal(directory->revoke_cert, "https://ca/r");
    assert_null(directory->renewal_info); /* not https */
    assert_string_equal(directory->terms, "https://ca/t?");
    assert_true(directory->external_account_required);
    assert_int_equal(directory->profiles->nelts, 1);
}

static void test_directory_says_what_is_missing(void **state)
{
    acme_directory_t *directory;
    acme_err_t *err;

    (void)state;
    err = parse_directory(&directory, "{\"newNonce\":\"https://ca/n\"}");
    assert_err(err, ACME_E_CA_DIRECTORY);
    assert_non_null(strstr(err->text, "newAccount is missing"));
    err = parse_directory(&directory, "<html></html>");
    assert_err(err, ACME_E_CA_DIRECTORY);
    err = parse_directory(&directory,
                          "{" DIRECTORY ",\"newNonce\":\"https://evil/\"}");
    assert_err(err, ACME_E_CA_DIRECTORY);
}

/* --- order ---------------------------------------------------------------- */

static void test_order_quirks_of_real_cas_are_let_pass(void **state)
{
    acme_order_resource_t *order;

    (void)state;
    assert_no_err(parse_order(
        &order, "{\"status\":\"processing\",\"finalize\":\"https://ca/f\","
                "\"notBefore\":\"1970-01-01T00:00:00Z\",\"expires\":17,"
                "\"error\":null,\"certificate\":null,"
                "\"profile\":\"standard\"}"));
    assert_int_equal(order->status, ACME_STATUS_PROCESSING);
    assert_int_equal(order->authorizations->nelts, 0);
    assert_null(order->error);
    assert_no_err(parse_order(&order, "{\"status\":\"invalid\",\"error\":{}}"));
    assert_int_equal(order->error->class, ACME_CLASS_CA_RETRY);
}

static void test_order_too_many_authorizations_are_refused(void **state)
{
    acme_order_resource_t *order;
    const char *list = "\"https://ca/z\"";
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        list = apr_pstrcat(pool, list, ",\"https://ca/z\"", NULL);
    }
    assert_err(
        parse_order(&order, apr_pstrcat(pool,
                                        "{\"status\":\"pending\",\"finalize\":"
                                        "\"https://ca/f\",\"authorizations\":[",
                                        list, "]}", NULL)),
        ACME_E_CA_RESOURCE);
}

/* --- authorization -------------------------------------------------------- */

static void test_authorization_without_challenges_is_read(void **state)
{
    acme_authorization_t *authorization;

    (void)state;
    assert_no_err(parse_authorization(&authorization,
                                      "{\"status\":\"valid\"," IDENTIFIER "}"));
    assert_int_equal(authorization->status, ACME_STATUS_VALID);
    assert_string_equal(authorization->ident->value, "a.example");
    assert_false(authorization->wildcard);
    assert_int_equal(authorization->challenges->nelts, 0);
}

static void test_authorization_wildcard_either_way(void **state)
{
    acme_authorization_t *authorization;

    (void)state;
    assert_no_err(parse_authorization(
        &authorization,
        "{\"status\":\"pending\",\"wildcard\":true," IDENTIFIER "}"));
    assert_true(authorization->wildcard);
    assert_no_err(parse_authorization(
        &authorization, "{\"status\":\"pending\",\"identifier\":{\"type\":"
                        "\"dns\",\"value\":\"*.a.example\"}}"));
    assert_true(authorization->wildcard);
    assert_string_equal(authorization->ident->value, "a.example");
}

static void test_authorization_wrong_types_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{\"status\":\"valid\"}",
        "{\"status\":\"fine\"," IDENTIFIER "}",
        "{\"status\":\"valid\",\"identifier\":\"a.example\"}",
        "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\"}}",
        "{\"status\":\"valid\",\"identifier\":{\"type\":\"permanent\","
        "\"value\":\"a.example\"}}",
        "{\"status\":\"valid\",\"identifier\":{\"type\":\"ip\","
        "\"value\":\"a.example\"}}",
        "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\","
        "\"value\":\"192.0.2.1\"}}",
        "{\"status\":\"valid\",\"wildcard\":\"yes\"," IDENTIFIER "}",
    };
    acme_authorization_t *authorization;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_err(parse_authorization(&authorization, bodies[i]),
                   ACME_E_CA_RESOURCE);
    }
    assert_err(parse_authorization(
                   &authorization,
                   "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\","
                   "\"value\":\"a\\u0000.example\"}}"),
               ACME_E_CA_JSON);
}

static void test_authorization_odd_challenges_do_not_break_it(void **state)
{
    acme_authorization_t *authorization;
    const acme_challenge_t *challenge;

    (void)state;
    assert_no_err(parse_authorization(
        &authorization,
        "{\"status\":\"pending\"," IDENTIFIER ",\"challenges\":[17,{},"
        "{\"type\":\"dns-persist-01\",\"url\":\"https://ca/p\","
        "\"issuer-domain-names\":[\"ca\"]},"
        "{\"type\":\"http-01\",\"url\":\"http://ca/c\",\"token\":\"a/../b\","
        "\"status\":\"odd\",\"error\":{\"type\":"
        "\"urn:ietf:params:acme:error:unauthorized\"}}]}"));
    assert_int_equal(authorization->challenges->nelts, 2);
    challenge = APR_ARRAY_IDX(authorization->challenges, 0, acme_challenge_t *);
    assert_null(challenge->token);
    assert_int_equal(challenge->issuers->nelts, 1);
    assert_false(challenge->issuers_new);
    challenge = APR_ARRAY_IDX(authorization->challenges, 1, acme_challenge_t *);
    assert_null(challenge->issuers);
    assert_null(challenge->url);
    assert_null(challenge->token);
    assert_int_equal(challenge->status, ACME_STATUS_PENDING);
    assert_int_equal(challenge->error->msg, ACME_E_CA_PROBLEM_ANSWER);
}

static const acme_challenge_t *persist_challenge(const char *members)
{
    acme_authorization_t *authorization;

    assert_no_err(parse_authorization(
        &authorization,
        apr_pstrcat(pool,
                    "{\"status\":\"pending\"," IDENTIFIER
                    ",\"challenges\":[{\"type\":\"dns-persist-01\","
                    "\"url\":\"https://ca/p\",",
                    members, "}]}", NULL)));
    return APR_ARRAY_IDX(authorization->challenges, 0, acme_challenge_t *);
}

static void test_challenge_issuers_of_both_drafts_are_read(void **state)
{
    static const char *const bad[] = {
        "\"issuer-domain-names\":[]",
        "\"issuer-domain-names\":\"ca\"",
        "\"issuer-domain-names\":[\"a;b\"]",
        "\"issuer-domain-names\":[\"ca\",17]",
        "\"issuerDomainNames\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\","
        "\"8\",\"9\",\"10\",\"11\"]",
    };
    const acme_challenge_t *challenge;
    apr_size_t i;

    (void)state;
    challenge = persist_challenge("\"issuerDomainNames\":[\"A.ca\",\"b.ca\"],"
                                  "\"issuer-domain-names\":[\"old\"]");
    assert_true(challenge->issuers_new);
    assert_int_equal(challenge->issuers->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(challenge->issuers, 0, const char *),
                        "a.ca");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(persist_challenge(bad[i])->issuers);
    }
}

static void test_authorization_too_many_challenges_are_refused(void **state)
{
    acme_authorization_t *authorization;
    const char *list = "{}";
    int i;

    (void)state;
    for (i = 0; i < 32; i++) {
        list = apr_pstrcat(pool, list, ",{}", NULL);
    }
    assert_err(
        parse_authorization(&authorization,
                            apr_pstrcat(pool,
                                        "{\"status\":\"pending\"," IDENTIFIER
                                        ",\"challenges\":[",
                                        list, "]}", NULL)),
        ACME_E_CA_RESOURCE);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_directory_minimal_is_enough),
    POOL_TEST(test_directory_full_is_read),
    POOL_TEST(test_directory_says_what_is_missing),
    POOL_TEST(test_order_quirks_of_real_cas_are_let_pass),
    POOL_TEST(test_order_too_many_authorizations_are_refused),
    POOL_TEST(test_authorization_without_challenges_is_read),
    POOL_TEST(test_authorization_wildcard_either_way),
    POOL_TEST(test_authorization_wrong_types_are_refused),
    POOL_TEST(test_authorization_odd_challenges_do_not_break_it),
    POOL_TEST(test_challenge_issuers_of_both_drafts_are_read),
    POOL_TEST(test_authorization_too_many_challenges_are_refused),
};

RUN_TESTS(tests)
