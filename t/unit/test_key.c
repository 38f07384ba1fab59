#include "core_test.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "core/encode.h"
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

/* --- keys that others made ---------------------------------------------------- */

static const char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    const char *text = apr_pstrmemdup(pool, data, (apr_size_t)len);
    BIO_free(bio);
    return text;
}

static EVP_PKEY *adopt(const char *text, const char *phrase)
{
    EVP_PKEY *key = NULL;
    assert_no_err(
        acme_key_adopt(&key, "key", text, strlen(text), phrase, pool));
    assert_int_equal(ERR_peek_error(), 0);
    return key;
}

static void assert_refused(const char *text, const char *phrase,
                           const char *why)
{
    EVP_PKEY *key = NULL;
    acme_err_t *err =
        acme_key_adopt(&key, "key.pem", text, strlen(text), phrase, pool);
    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_ACCOUNT_KEY);
    assert_int_equal(err->class, ACME_CLASS_CONFIG);
    if (!strstr(err->text, why) || !strstr(err->text, "key.pem: ")) {
        fail_msg("%s", err->text);
    }
    assert_null(key);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_adopt_takes_every_kind_of_pem(void **state)
{
    static const acme_key_type_t types[] = { ACME_KEY_ECDSA_P256,
                                             ACME_KEY_ECDSA_P384,
                                             ACME_KEY_RSA2048 };
    (void)state;
    for (int i = 0; i < 3; i++) {
        EVP_PKEY *key;
        const char *plain;
        BIO *old = BIO_new(BIO_s_mem()), *locked = BIO_new(BIO_s_mem());
        assert_no_err(acme_key_make(&key, types[i], pool));
        assert_no_err(acme_key_to_pem(&plain, key, pool));
        assert_int_equal(EVP_PKEY_eq(adopt(plain, NULL), key), 1);
        assert_true(PEM_write_bio_PrivateKey_traditional(old, key, NULL, NULL,
                                                         0, NULL, NULL));
        assert_int_equal(EVP_PKEY_eq(adopt(text_of(old), NULL), key), 1);
        assert_true(PEM_write_bio_PKCS8PrivateKey(
            locked, key, EVP_aes_256_cbc(), "open sesame", 11, NULL, NULL));
        const char *text = text_of(locked);
        assert_int_equal(EVP_PKEY_eq(adopt(text, "open sesame"), key), 1);
        assert_refused(text, "open", "the pass phrase does not open it");
        assert_refused(text, NULL, "it is encrypted");
        old = BIO_new(BIO_s_mem());
        assert_true(PEM_write_bio_PrivateKey_traditional(
            old, key, EVP_aes_128_cbc(), (const unsigned char *)"old", 3, NULL,
            NULL));
        assert_int_equal(EVP_PKEY_eq(adopt(text_of(old), "old"), key), 1);
    }
}

/* RFC 7518 section 6.2; made for this test */
#define EC_JWK(d)                                                              \
    "{\"kty\":\"EC\",\"crv\":\"P-256\","                                       \
    "\"x\":\"PW1QH4GMoB6UFY3hnkuvHiiyHV_3bFb9BAtO1rAeSV0\","                   \
    "\"y\":\"gvgKHDNAa29sBJFTR88IpIeMvFQRUFiM6pKBLI_Rfdc\"" d "}"

static const char *rsa_jwk(EVP_PKEY *key, const char *spoilt)
{
    static const char *const members[8][2] = {
        { "n", OSSL_PKEY_PARAM_RSA_N },
        { "e", OSSL_PKEY_PARAM_RSA_E },
        { "d", OSSL_PKEY_PARAM_RSA_D },
        { "p", OSSL_PKEY_PARAM_RSA_FACTOR1 },
        { "q", OSSL_PKEY_PARAM_RSA_FACTOR2 },
        { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 },
        { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 },
        { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
    };
    const char *text = "{\"kty\":\"RSA\"";
    for (int i = 0; i < 8; i++) {
        unsigned char octets[256];
        BIGNUM *number = NULL;
        assert_true(EVP_PKEY_get_bn_param(key, members[i][1], &number));
        int len = BN_bn2bin(number, octets);
        BN_free(number);
        text = apr_pstrcat(
            pool, text, ",\"", members[i][0], "\":\"",
            strcmp(members[i][0], spoilt)
                ? acme_encode_base64url(octets, (apr_size_t)len, pool)
                : "",
            "\"", NULL);
    }
    return apr_pstrcat(pool, text, "}", NULL);
}

/* mod_md's pass phrases are random octets. */
static void test_adopt_opens_pem_with_any_octets_for_a_pass_phrase(void **state)
{
    static const unsigned char phrase[] = { 0x18, 0, 0xff, 'a', 0, 0x80, '\n' };
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *key, *back;
    const char *pem;
    acme_err_t *err;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_RSA2048, pool));
    assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(),
                                              (const char *)phrase,
                                              sizeof(phrase), NULL, NULL));
    pem = text_of(bio);
    assert_no_err(acme_key_adopt_bytes(&back, "account.pem", pem, strlen(pem),
                                       phrase, sizeof(phrase), pool));
    assert_int_equal(EVP_PKEY_eq(back, key), 1);
    err = acme_key_adopt_bytes(&back, "account.pem", pem, strlen(pem), phrase,
                               sizeof(phrase) - 1, pool);
    assert_non_null(err);
    assert_non_null(strstr(err->text, "does not open it"));
}

static void test_adopt_takes_private_jwk_of_certbot(void **state)
{
    EVP_PKEY *key;
    acme_key_type_t type;
    (void)state;
    key = adopt(
        EC_JWK(",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X5fCE9-E9LI\""), NULL);
    assert_int_equal(acme_key_type_of(&type, key), 0);
    assert_int_equal(type, ACME_KEY_ECDSA_P256);
    assert_no_err(acme_key_make(&key, ACME_KEY_RSA2048, pool));
    assert_int_equal(EVP_PKEY_eq(adopt(rsa_jwk(key, ""), NULL), key), 1);
    /* with white space in front, as an editor may leave it */
    assert_int_equal(
        EVP_PKEY_eq(
            adopt(apr_pstrcat(pool, "\n ", rsa_jwk(key, ""), NULL), NULL), key),
        1);
}

static void test_adopt_refuses_in_words_what_is_no_usable_key(void **state)
{
    EVP_PKEY *key;
    const char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    (void)state;
    assert_refused("", NULL, "it holds no private key");
    assert_refused(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
        "\n",
        NULL, "it holds no private key");
    assert_refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE "
                   "KEY-----\n",
                   NULL, "damaged");
    assert_refused("{\"kty\":\"EC\"", NULL, "neither PEM nor a JSON Web Key");
    assert_refused(EC_JWK(""), NULL, "has no private part");
    assert_refused(
        EC_JWK(",\"d\":\"kpsQnnGQmL-YBIffH1136cspYG6-0iY7X5fCE9-E9LI\""), NULL,
        "does not belong to its public part");
    assert_no_err(acme_key_make(&key, ACME_KEY_RSA2048, pool));
    assert_refused(rsa_jwk(key, "q"), NULL, "with all its members");
    key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    assert_true(
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    EVP_PKEY_free(key);
    assert_refused(text_of(bio), NULL, "RSA of 2048 to 8192");
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bio = BIO_new(BIO_s_mem());
    assert_true(
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    EVP_PKEY_free(key);
    pem = text_of(bio);
    assert_refused(pem, NULL, "ECDSA P-256 and P-384");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_type_names_parse_back),
    POOL_TEST(test_family_by_type),
    POOL_TEST(test_make_each_type_survives_der),
    POOL_TEST(test_make_twice_gives_different_keys),
    POOL_TEST(test_type_of_other_keys_refused),
    POOL_TEST(test_from_der_refuses_damage),
    POOL_TEST(test_to_pem_is_unencrypted_pkcs8),
    POOL_TEST(test_written_keys_wiped_with_their_pool),
    POOL_TEST(test_adopt_takes_every_kind_of_pem),
    POOL_TEST(test_adopt_opens_pem_with_any_octets_for_a_pass_phrase),
    POOL_TEST(test_adopt_takes_private_jwk_of_certbot),
    POOL_TEST(test_adopt_refuses_in_words_what_is_no_usable_key),
};

RUN_TESTS(tests)
