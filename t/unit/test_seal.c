#include "core_test.h"

#include <stdlib.h>

#include "engine/seal.h"

static const unsigned char secret[ACME_SEAL_SECRET] =
    "0123456789abcdef0123456789abcde";
static const unsigned char other[ACME_SEAL_SECRET] =
    "0123456789abcdef0123456789abcdX";
#define BINDING "fresh shop.example ecdsa.7"
#define TEXT    "a private key"

static const unsigned char *sealed(apr_size_t *len)
{
    const unsigned char *data = NULL;

    assert_no_err(acme_seal(&data, len, secret, BINDING,
                            (const unsigned char *)TEXT, strlen(TEXT), pool));
    return data;
}

static void test_seal_opens_to_the_same(void **state)
{
    const unsigned char *data;
    apr_size_t len, sealed_len;
    const unsigned char *box = sealed(&sealed_len);

    (void)state;
    assert_no_err(
        acme_unseal(&data, &len, secret, BINDING, box, sealed_len, pool));
    assert_int_equal(len, strlen(TEXT));
    assert_memory_equal(data, TEXT, len);
}

static void test_seal_of_nothing_opens_to_nothing(void **state)
{
    const unsigned char *box, *data;
    apr_size_t box_len, len = 1;

    (void)state;
    assert_no_err(acme_seal(&box, &box_len, secret, BINDING,
                            (const unsigned char *)"", 0, pool));
    assert_no_err(
        acme_unseal(&data, &len, secret, BINDING, box, box_len, pool));
    assert_int_equal(len, 0);
}

static void test_seal_twice_differs(void **state)
{
    apr_size_t len;
    const unsigned char *first = sealed(&len);
    const unsigned char *second = sealed(&len);

    (void)state;
    assert_memory_not_equal(first, second, len);
}

static void test_sealed_does_not_show_the_text(void **state)
{
    apr_size_t len;
    const unsigned char *box = sealed(&len);

    (void)state;
    assert_null(memmem(box, len, TEXT, strlen(TEXT)));
}

static void test_unseal_another_binding_refused(void **state)
{
    const unsigned char *data;
    apr_size_t len, sealed_len;
    const unsigned char *box = sealed(&sealed_len);

    (void)state;
    assert_err(acme_unseal(&data, &len, secret, "fresh shop.example ecdsa.8",
                           box, sealed_len, pool),
               ACME_E_SEAL);
    assert_err(acme_unseal(&data, &len, other, BINDING, box, sealed_len, pool),
               ACME_E_SEAL);
}

static void test_unseal_every_flipped_bit_refused(void **state)
{
    const unsigned char *data;
    apr_size_t len, sealed_len;
    const unsigned char *box = sealed(&sealed_len);

    (void)state;
    for (apr_size_t i = 0; i < sealed_len * 8; i++) {
        unsigned char *copy = apr_pmemdup(pool, box, sealed_len);
        copy[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_err(
            acme_unseal(&data, &len, secret, BINDING, copy, sealed_len, pool),
            ACME_E_SEAL);
    }
}

static void test_unseal_every_cut_refused(void **state)
{
    const unsigned char *data;
    apr_size_t len, sealed_len;
    const unsigned char *box = sealed(&sealed_len);

    (void)state;
    for (apr_size_t cut = 0; cut < sealed_len; cut++) {
        /* On the heap, for the sanitizer to see what is read beyond the end. */
        unsigned char *copy = malloc(cut ? cut : 1);
        memcpy(copy, box, cut);
        assert_err(acme_unseal(&data, &len, secret, BINDING, copy, cut, pool),
                   ACME_E_SEAL);
        free(copy);
    }
}

/* Runs after the cleanups registered later, and before the memory goes. */
static apr_status_t look(void *baton)
{
    const unsigned char **data = baton;

    for (size_t i = 0; i < strlen(TEXT); i++) {
        assert_int_equal((*data)[i], 0);
    }
    *data = NULL;
    return APR_SUCCESS;
}

static void test_unsealed_zeroed_with_pool(void **state)
{
    const unsigned char *data;
    apr_pool_t *holder;
    apr_size_t len, sealed_len;
    const unsigned char *box = sealed(&sealed_len);

    (void)state;
    apr_pool_create(&holder, pool);
    apr_pool_cleanup_register(holder, &data, look, apr_pool_cleanup_null);
    assert_no_err(
        acme_unseal(&data, &len, secret, BINDING, box, sealed_len, holder));
    assert_memory_equal(data, TEXT, len);
    apr_pool_destroy(holder);
    assert_null(data);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_seal_opens_to_the_same),
    POOL_TEST(test_seal_of_nothing_opens_to_nothing),
    POOL_TEST(test_seal_twice_differs),
    POOL_TEST(test_sealed_does_not_show_the_text),
    POOL_TEST(test_unseal_another_binding_refused),
    POOL_TEST(test_unseal_every_flipped_bit_refused),
    POOL_TEST(test_unseal_every_cut_refused),
    POOL_TEST(test_unsealed_zeroed_with_pool),
};

RUN_TESTS(tests)
