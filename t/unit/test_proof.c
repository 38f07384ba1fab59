#include "core_test.h"

#include "core/proof.h"

static void test_type_names_parse_back(void **state)
{
    acme_proof_type_t type;
    int i;

    (void)state;
    for (i = 0; i < ACME_PROOF_TYPES; i++) {
        const char *name = acme_proof_type_name((acme_proof_type_t)i);

        assert_int_equal(acme_proof_type_parse(&type, name), 0);
        assert_int_equal(type, i);
    }
    assert_string_equal(acme_proof_type_name(ACME_PROOF_HTTP_01), "http-01");
    assert_string_equal(acme_proof_type_name(ACME_PROOF_TLS_ALPN_01),
                        "tls-alpn-01");
    assert_string_equal(acme_proof_type_name(ACME_PROOF_DNS_01), "dns-01");
    assert_string_equal(acme_proof_type_name(ACME_PROOF_DNS_ACCOUNT_01),
                        "dns-account-01");
    assert_string_equal(acme_proof_type_name(ACME_PROOF_DNS_PERSIST_01),
                        "dns-persist-01");
}

static void test_type_parse_unknown_refused(void **state)
{
    static const char *const bad[] = { "",         "http-02",        "HTTP-01",
                                       "http-01 ", "dns-persist-02", "dns" };
    acme_proof_type_t type = ACME_PROOF_DNS_01;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(acme_proof_type_parse(&type, bad[i]), -1);
        assert_int_equal(type, ACME_PROOF_DNS_01);
    }
}

static void test_names_of_all_types_are_told(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < ACME_PROOF_TYPES; i++) {
        assert_non_null(strstr(acme_proof_type_names(),
                               acme_proof_type_name((acme_proof_type_t)i)));
    }
}

static void test_unsuitable_by_kind_of_identifier(void **state)
{
    const acme_ident_t name = { ACME_IDENT_DNS, "a.example" };
    const acme_ident_t wildcard = { ACME_IDENT_DNS, "*.a.example" };
    const acme_ident_t address = { ACME_IDENT_IP, "192.0.2.1" };
    int i;

    (void)state;
    for (i = 0; i < ACME_PROOF_TYPES; i++) {
        acme_proof_type_t type = (acme_proof_type_t)i;
        int dns = type != ACME_PROOF_HTTP_01 && type != ACME_PROOF_TLS_ALPN_01;

        assert_int_equal(acme_proof_is_dns(type), dns);
        assert_null(acme_proof_unsuitable(type, &name));
        assert_int_equal(!acme_proof_unsuitable(type, &wildcard), dns);
        assert_int_equal(!acme_proof_unsuitable(type, &address), !dns);
    }
}

static void test_key_authorization_joins_with_dot(void **state)
{
    (void)state;
    assert_string_equal(acme_proof_key_authorization("token", "print", pool),
                        "token.print");
}

/* The vector of draft-ietf-acme-dns-account-label. */
static void test_record_name_by_kind_and_identifier(void **state)
{
    static const char ACCOUNT[] =
        "https://example.com/acme/acct/ExampleAccount";
    const acme_ident_t name = { ACME_IDENT_DNS, "example.org" };
    const acme_ident_t wildcard = { ACME_IDENT_DNS, "*.example.org" };
    acme_proof_t proof = { .type = ACME_PROOF_DNS_01, .ident = &name };

    (void)state;
    assert_string_equal(acme_proof_record_name(&proof, ACCOUNT, pool),
                        "_acme-challenge.example.org");
    proof.ident = &wildcard;
    assert_string_equal(acme_proof_record_name(&proof, ACCOUNT, pool),
                        "_acme-challenge.example.org");
    proof.type = ACME_PROOF_DNS_ACCOUNT_01;
    assert_string_equal(acme_proof_record_name(&proof, ACCOUNT, pool),
                        "_ujmmovf2vn55tgye._acme-challenge.example.org");
}

static void test_record_value_is_the_digest(void **state)
{
    acme_proof_t proof = { .key_authorization = "token.thumb" };

    (void)state;
    assert_string_equal(acme_proof_record_value(&proof, pool),
                        "lCdftpJCXapaZHkBGIZbcubeKW8RmA0jSG_aZN01zbU");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_type_names_parse_back),
    POOL_TEST(test_type_parse_unknown_refused),
    POOL_TEST(test_names_of_all_types_are_told),
    POOL_TEST(test_unsuitable_by_kind_of_identifier),
    POOL_TEST(test_key_authorization_joins_with_dot),
    POOL_TEST(test_record_name_by_kind_and_identifier),
    POOL_TEST(test_record_value_is_the_digest),
};

RUN_TESTS(tests)
