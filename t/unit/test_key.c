#include "core_test.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "core/key.h"

static void test_type_names_parse_back(void **state)
{
    acme_key_type_t type;
    int i;

    (void)state;
    for (i = 0; i < ACME_KEY_TYPES; i++) {
        const char *name = acme_key_type_name((acme_key_type_t)i);

        assert_int_equal(acme_key_type_parse(&type, name), 0);
        assert_int_equal(type, i);
    }
    assert_int_equal(acme_key_type_parse(&type, "ECDSA-P384"), 0);
    assert_int_equal(type, ACME_KEY_ECDSA_P384);
    assert_int_equal(acme_key_type_parse(&type, "rsa1024"), -1);
    assert_int_equal(acme_key_type_parse(&type, "rsa2048 "), -1);
    assert_int_equal(acme_key_type_parse(&type, ""), -1);
    assert_int_equal(type, ACME_KEY_ECDSA_P384);
}

static void test_family_by_type(void **state)
{
    (void)state;
    assert_int_equal(acme_key_family(ACME_KEY_ECDSA_P256), ACME_FAMILY_ECDSA);
    assert_int_equal(acme_key_family(ACME_KEY_ECDSA_P384), ACME_FAMILY_ECDSA);
    assert_int_equal(acme_key_family(ACME_KEY_RSA2048), ACME_FAMILY_RSA);
    assert_int_equal(acme_key_family(ACME_KEY_RSA4096), ACME_FAMILY_RSA);
    assert_string_equal(acme_family_name(ACME_FAMILY_ECDSA), "ecdsa");
    assert_string_equal(acme_family_name(ACME_FAMILY_RSA), "rsa");
}

static void test_make_each_type_survives_der(void **state)
{
    const unsigned char *der;
    EVP_PKEY *key, *back;
    acme_key_type_t type;
    apr_size_t len;
    int i;

    (void)state;
    for (i = 0; i < ACME_KEY_TYPES; i++) {
        assert_no_err(acme_key_make(&key, (acme_key_type_t)i, pool));
        assert_int_equal(acme_key_type_of(&type, key), 0);
        assert_int_equal(type, i);
        assert_no_err(acme_key_to_der(&der, &len, key, pool));
        assert_no_err(acme_key_from_der(&back, der, len, pool));
        assert_int_equal(EVP_PKEY_eq(key, back), 1);
        assert_int_equal(acme_key_type_of(&type, back), 0);
        assert_int_equal(type, i);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

/* What we write by hand is, octet for octet, what OpenSSL would have written. */
static void test_p256_is_written_as_openssl_does(void **state)
{
    EVP_PKEY *key;
    const unsigned char *der;
    unsigned char *theirs = NULL;
    apr_size_t len;
    int i;

    (void)state;
    /* a number or coordinate in 256 begins with a zero */
    for (i = 0; i < 600; i++) {
        PKCS8_PRIV_KEY_INFO *info;

        assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
        assert_no_err(acme_key_to_der(&der, &len, key, pool));
        info = EVP_PKEY2PKCS8(key);
        theirs = NULL;
        assert_int_equal(i2d_PKCS8_PRIV_KEY_INFO(info, &theirs), len);
        assert_memory_equal(der, theirs, len);
        PKCS8_PRIV_KEY_INFO_free(info);
        OPENSSL_free(theirs);
    }
}

static void test_put_public_p256_as_openssl_does(void **state)
{
    X509_PUBKEY *ours = X509_PUBKEY_new(), *theirs = NULL;
    unsigned char *one = NULL, *two = NULL;
    EVP_PKEY *key;
    int len;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_int_equal(acme_key_put_public(ours, key), 1);
    assert_int_equal(X509_PUBKEY_set(&theirs, key), 1);
    len = i2d_X509_PUBKEY(ours, &one);
    assert_true(len > 0);
    assert_int_equal(i2d_X509_PUBKEY(theirs, &two), len);
    assert_memory_equal(one, two, (size_t)len);
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P384, pool));
    assert_int_equal(acme_key_put_public(ours, key), 0);
    assert_int_equal(ERR_peek_error(), 0);
    OPENSSL_free(one);
    OPENSSL_free(two);
    X509_PUBKEY_free(ours);
    X509_PUBKEY_free(theirs);
}

static void test_make_twice_gives_different_keys(void **state)
{
    EVP_PKEY *a, *b;

    (void)state;
    assert_no_err(acme_key_make(&a, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_key_make(&b, ACME_KEY_ECDSA_P256, pool));
    assert_int_equal(EVP_PKEY_eq(a, b), 0);
}

static void assert_no_type(EVP_PKEY *key)
{
    acme_key_type_t type;

    assert_non_null(key);
    assert_int_equal(acme_key_type_of(&type, key), -1);
    EVP_PKEY_free(key);
}

static void test_type_of_other_keys_refused(void **state)
{
    (void)state;
    assert_no_type(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    assert_no_type(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521"));
    assert_no_type(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"));
    assert_no_type(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024));
}

static void test_from_der_refuses_damage(void **state)
{
    EVP_PKEY *key, *back = NULL;
    const unsigned char *der;
    unsigned char *copy;
    apr_size_t len, cut;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_key_to_der(&der, &len, key, pool));
    for (cut = 0; cut < len; cut++) {
        assert_err(acme_key_from_der(&back, der, cut, pool), ACME_E_KEY_PARSE);
    }
    copy = apr_pcalloc(pool, 32 * 1024);
    memcpy(copy, der, len);
    assert_err(acme_key_from_der(&back, copy, len + 1, pool), ACME_E_KEY_PARSE);
    assert_err(acme_key_from_der(&back, copy, 32 * 1024, pool),
               ACME_E_KEY_PARSE);
    assert_err(
        acme_key_from_der(&back, (const unsigned char *)"hello", 5, pool),
        ACME_E_KEY_PARSE);
    assert_null(back);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_to_pem_is_unencrypted_pkcs8(void **state)
{
    EVP_PKEY *key, *back;
    const char *pem;
    BIO *bio;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_RSA2048, pool));
    assert_no_err(acme_key_to_pem(&pem, key, pool));
    assert_int_equal(strncmp(pem, "-----BEGIN PRIVATE KEY-----\n", 28), 0);
    bio = BIO_new_mem_buf(pem, -1);
    back = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(back);
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    EVP_PKEY_free(back);
    BIO_free(bio);
}

typedef struct watched_t {
    const unsigned char *der;
    apr_size_t der_len;
    const char *pem;
    apr_size_t pem_len;
    int wiped;
} watched_t;

static int all_zero(const void *data, apr_size_t len)
{
    const unsigned char *bytes = data;

    while (len && !bytes[len - 1]) {
        len--;
    }
    return len == 0;
}

/* Registered first, so it runs last, while the memory is still the pool's. */
static apr_status_t look(void *data)
{
    watched_t *watched = data;

    watched->wiped = all_zero(watched->der, watched->der_len)
                     && all_zero(watched->pem, watched->pem_len);
    return APR_SUCCESS;
}

static void test_written_keys_wiped_with_their_pool(void **state)
{
    watched_t watched = { 0 };
    apr_pool_t *brief;
    EVP_PKEY *key;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_int_equal(apr_pool_create(&brief, pool), APR_SUCCESS);
    apr_pool_cleanup_register(brief, &watched, look, apr_pool_cleanup_null);
    assert_no_err(acme_key_to_der(&watched.der, &watched.der_len, key, brief));
    assert_no_err(acme_key_to_pem(&watched.pem, key, brief));
    watched.pem_len = strlen(watched.pem);
    assert_false(all_zero(watched.der, watched.der_len));
    apr_pool_destroy(brief);
    assert_true(watched.wiped);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_type_names_parse_back),
    POOL_TEST(test_family_by_type),
    POOL_TEST(test_make_each_type_survives_der),
    POOL_TEST(test_p256_is_written_as_openssl_does),
    POOL_TEST(test_put_public_p256_as_openssl_does),
    POOL_TEST(test_make_twice_gives_different_keys),
    POOL_TEST(test_type_of_other_keys_refused),
    POOL_TEST(test_from_der_refuses_damage),
    POOL_TEST(test_to_pem_is_unencrypted_pkcs8),
    POOL_TEST(test_written_keys_wiped_with_their_pool),
};

RUN_TESTS(tests)
