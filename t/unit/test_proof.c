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
}

static void test_type_parse_unknown_refused(void **state)
{
    static const char *const bad[] = { "",         "http-02",        "HTTP-01",
                                       "http-01 ", "dns-persist-01", "dns" };
    acme_proof_type_t type = ACME_PROOF_DNS_01;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(acme_proof_type_parse(&type, bad[i]), -1);
        assert_int_equal(type, ACME_PROOF_DNS_01);
    }
}

static void test_key_authorization_joins_with_dot(void **state)
{
    (void)state;
    assert_string_equal(acme_proof_key_authorization("token", "print", pool),
                        "token.print");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_type_names_parse_back),
    POOL_TEST(test_type_parse_unknown_refused),
    POOL_TEST(test_key_authorization_joins_with_dot),
};

RUN_TESTS(tests)
