#include "core/key.h"

#include <apr_strings.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <strings.h>

#define MAX_KEY_DER (16 * 1024)

typedef struct key_kind_t {
    const char *name;
    const char *group; /* NIST name of the curve; NULL: RSA */
    const char *alias; /* OpenSSL's own name of the curve */
    int bits;
} key_kind_t;

/* By acme_key_type_t. */
static const key_kind_t kinds[ACME_KEY_TYPES] = {
    [ACME_KEY_ECDSA_P256] = { "ecdsa-p256", "P-256", "prime256v1", 256 },
    [ACME_KEY_ECDSA_P384] = { "ecdsa-p384", "P-384", "secp384r1", 384 },
    [ACME_KEY_RSA2048] = { "rsa2048", NULL, NULL, 2048 },
    [ACME_KEY_RSA3072] = { "rsa3072", NULL, NULL, 3072 },
    [ACME_KEY_RSA4096] = { "rsa4096", NULL, NULL, 4096 },
};

const char *acme_key_type_name(acme_key_type_t type)
{
    return kinds[type].name;
}

int acme_key_type_parse(acme_key_type_t *type, const char *name)
{
    int i;

    for (i = 0; i < ACME_KEY_TYPES; i++) {
        if (strcasecmp(kinds[i].name, name) == 0) {
            *type = (acme_key_type_t)i;
            return 0;
        }
    }
    return -1;
}

acme_family_t acme_key_family(acme_key_type_t type)
{
    return kinds[type].group ? ACME_FAMILY_ECDSA : ACME_FAMILY_RSA;
}

const char *acme_family_name(acme_family_t family)
{
    return family == ACME_FAMILY_ECDSA ? "ecdsa" : "rsa";
}

static int is_kind(const key_kind_t *kind, const EVP_PKEY *key)
{
    char group[64];
    size_t length;

    if (!kind->group) {
        return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA
               && EVP_PKEY_get_bits(key) == kind->bits;
    }
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC
           && EVP_PKEY_get_group_name(key, group, sizeof(group), &length) == 1
           && (strcmp(group, kind->group) == 0
               || strcmp(group, kind->alias) == 0);
}

int acme_key_type_of(acme_key_type_t *type, const EVP_PKEY *key)
{
    int i;

    for (i = 0; i < ACME_KEY_TYPES; i++) {
        if (is_kind(&kinds[i], key)) {
            *type = (acme_key_type_t)i;
            return 0;
        }
    }
    return -1;
}

static apr_status_t release(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

acme_err_t *acme_key_make(EVP_PKEY **key, acme_key_type_t type,
                          apr_pool_t *pool)
{
    const key_kind_t *kind = &kinds[type];
    EVP_PKEY *made =
        kind->group ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind->group)
                    : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)kind->bits);

    if (!made) {
        return acme_err_ssl(pool, ACME_E_KEY_MAKE, kind->name, NULL);
    }
    apr_pool_cleanup_register(pool, made, release, apr_pool_cleanup_null);
    *key = made;
    return NULL;
}

typedef struct secret_t {
    void *data;
    apr_size_t len;
} secret_t;

static apr_status_t wipe(void *data)
{
    secret_t *secret = data;

    OPENSSL_cleanse(secret->data, secret->len);
    return APR_SUCCESS;
}

/* Memory that is zeroed when pool is cleaned. */
static void *secret_alloc(apr_size_t len, apr_pool_t *pool)
{
    secret_t *secret = apr_palloc(pool, sizeof(*secret));

    secret->data = apr_pcalloc(pool, len);
    secret->len = len;
    apr_pool_cleanup_register(pool, secret, wipe, apr_pool_cleanup_null);
    return secret->data;
}

/* --- P-256 by hand --------------------------------------------------------- */

/* OpenSSL 3 looks through all its encoders for each key it writes, and reads a
 * public key back after it has written it: half a millisecond for what a start
 * with many new hosts and every order does. The default type is of fixed form. */

/* RFC 5958 section 2 and RFC 5915 section 3, up to the private number. */
static const unsigned char p256_head[] = {
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00,             /* PrivateKeyInfo, v1 */
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, /* id-ecPublicKey */
    0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, /* secp256r1 */
    0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, /* ECPrivateKey */
    0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
};
/* Between it and the public point. */
static const unsigned char p256_middle[] = { 0xa1, 0x44, 0x03, 0x42, 0x00 };

#define P256_NUMBER 32
#define P256_POINT  65 /* 04 x y */
#define P256_DER                                                               \
    (sizeof(p256_head) + P256_NUMBER + sizeof(p256_middle) + P256_POINT)

/* @return 0 if key is another kind of key */
static int p256_point(unsigned char point[P256_POINT], const EVP_PKEY *key)
{
    size_t len = 0;

    return is_kind(&kinds[ACME_KEY_ECDSA_P256], key)
           && EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY,
                                              point, P256_POINT, &len)
                  == 1
           && len == P256_POINT && point[0] == 0x04;
}

static int p256_number(unsigned char number[P256_NUMBER], const EVP_PKEY *key)
{
    BIGNUM *value = NULL;
    int written =
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &value) == 1
        && BN_bn2binpad(value, number, P256_NUMBER) == P256_NUMBER;

    BN_clear_free(value);
    return written;
}

/* @return 0 if key is another kind of key, with nothing of it written */
static int p256_der(unsigned char der[P256_DER], const EVP_PKEY *key)
{
    unsigned char point[P256_POINT];
    unsigned char *at = der;

    if (!p256_point(point, key) || !p256_number(der + sizeof(p256_head), key)) {
        return 0;
    }
    memcpy(at, p256_head, sizeof(p256_head));
    at += sizeof(p256_head) + P256_NUMBER;
    memcpy(at, p256_middle, sizeof(p256_middle));
    memcpy(at + sizeof(p256_middle), point, P256_POINT);
    return 1;
}

int acme_key_put_public(X509_PUBKEY *place, const EVP_PKEY *key)
{
    unsigned char *point = OPENSSL_malloc(P256_POINT);

    if (point && p256_point(point, key)
        && X509_PUBKEY_set0_param(
               place, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
               OBJ_nid2obj(NID_X9_62_prime256v1), point, P256_POINT)
               == 1) {
        return 1;
    }
    OPENSSL_free(point);
    ERR_clear_error();
    return 0;
}

/* --- writing ------------------------------------------------------------------- */

acme_err_t *acme_key_to_der(const unsigned char **der, apr_size_t *len,
                            EVP_PKEY *key, apr_pool_t *pool)
{
    unsigned char *bytes = secret_alloc(P256_DER, pool), *end;
    PKCS8_PRIV_KEY_INFO *info;
    int size;

    if (p256_der(bytes, key)) {
        *der = bytes;
        *len = P256_DER;
        return NULL;
    }
    ERR_clear_error();
    info = EVP_PKEY2PKCS8(key);
    size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    if (size <= 0) {
        PKCS8_PRIV_KEY_INFO_free(info);
        return acme_err_ssl(pool, ACME_E_KEY_WRITE, NULL);
    }
    bytes = end = secret_alloc((apr_size_t)size, pool);
    size = i2d_PKCS8_PRIV_KEY_INFO(info, &end);
    PKCS8_PRIV_KEY_INFO_free(info);
    if (size <= 0) {
        return acme_err_ssl(pool, ACME_E_KEY_WRITE, NULL);
    }
    *der = bytes;
    *len = (apr_size_t)size;
    return NULL;
}

acme_err_t *acme_key_from_der(EVP_PKEY **key, const unsigned char *der,
                              apr_size_t len, apr_pool_t *pool)
{
    const unsigned char *end = der;
    EVP_PKEY *parsed;

    if (len == 0 || len > MAX_KEY_DER) {
        return acme_err_make(pool, ACME_E_KEY_PARSE, NULL);
    }
    parsed = d2i_AutoPrivateKey(NULL, &end, (long)len);
    if (!parsed) {
        return acme_err_ssl(pool, ACME_E_KEY_PARSE, NULL);
    }
    /* Decoders that were tried in vain leave their complaints behind. */
    ERR_clear_error();
    apr_pool_cleanup_register(pool, parsed, release, apr_pool_cleanup_null);
    if (end != der + len) {
        return acme_err_make(pool, ACME_E_KEY_PARSE, NULL);
    }
    *key = parsed;
    return NULL;
}

acme_err_t *acme_key_to_pem(const char **pem, EVP_PKEY *key, apr_pool_t *pool)
{
    const unsigned char *der;
    apr_size_t der_len;
    char *data, *copy;
    long len;
    BIO *bio;

    ACME_TRY(acme_key_to_der(&der, &der_len, key, pool));
    bio = BIO_new(BIO_s_secmem()); /* zeroed when freed */
    if (!bio
        || PEM_write_bio(bio, PEM_STRING_PKCS8INF, "", der, (long)der_len) <= 0
        || (len = BIO_get_mem_data(bio, &data)) <= 0) {
        BIO_free(bio);
        return acme_err_ssl(pool, ACME_E_KEY_WRITE, NULL);
    }
    copy = secret_alloc((apr_size_t)len + 1, pool);
    memcpy(copy, data, (apr_size_t)len);
    BIO_free(bio);
    *pem = copy;
    return NULL;
}
