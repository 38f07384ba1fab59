/** Keys that somebody else made: PEM of every kind, and JWK as certbot keeps it. */
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdint.h>
#include <string.h>

#include "core/encode.h"
#include "core/key.h"

#define MAX_NUMBER   2048 /* octets of a number in a JWK */
#define MAX_TEXT     (64 * 1024)
#define MIN_RSA_BITS 2048 /* what CAs take */
#define MAX_RSA_BITS 8192

/* --- JWK, RFC 7517 and 7518 section 6 --------------------------------------- */

/* A member as a number, in OpenSSL's secure way of freeing. NULL: not there. */
static BIGNUM *number_member(const json_t *jwk, const char *name,
                             apr_pool_t *pool)
{
    const char *text = acme_json_string(jwk, name);
    const unsigned char *octets;
    apr_size_t len;
    BIGNUM *number;

    if (!text || strlen(text) > 2 * MAX_NUMBER
        || acme_decode_base64url(&octets, &len, text, pool) != APR_SUCCESS
        || !len || len > MAX_NUMBER) {
        return NULL;
    }
    number = BN_bin2bn(octets, (int)len, NULL);
    OPENSSL_cleanse((void *)(uintptr_t)octets, len);
    return number;
}

static EVP_PKEY *key_of_params(const char *type, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1
        && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

#define RSA_NUMBERS 8
static EVP_PKEY *rsa_of_jwk(const json_t *jwk, apr_pool_t *pool)
{
    static const char *const MEMBERS[RSA_NUMBERS][2] = {
        { "n", OSSL_PKEY_PARAM_RSA_N },
        { "e", OSSL_PKEY_PARAM_RSA_E },
        { "d", OSSL_PKEY_PARAM_RSA_D },
        { "p", OSSL_PKEY_PARAM_RSA_FACTOR1 },
        { "q", OSSL_PKEY_PARAM_RSA_FACTOR2 },
        { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 },
        { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 },
        { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
    };
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[RSA_NUMBERS] = { NULL };
    EVP_PKEY *key = NULL;
    int whole = builder != NULL;

    for (int i = 0; i < RSA_NUMBERS; i++) {
        numbers[i] = number_member(jwk, MEMBERS[i][0], pool);
        whole = whole && numbers[i]
                && OSSL_PARAM_BLD_push_BN(builder, MEMBERS[i][1], numbers[i]);
    }
    if (whole) {
        key = key_of_params("RSA", builder);
    }
    for (int i = 0; i < RSA_NUMBERS; i++) {
        BN_clear_free(numbers[i]);
    }
    OSSL_PARAM_BLD_free(builder);
    return key;
}

#define MAX_WIDTH 48 /* octets of a coordinate, P-384 */
static EVP_PKEY *ec_of_jwk(const json_t *jwk, apr_pool_t *pool)
{
    const char *curve = acme_json_string(jwk, "crv");
    int width = !curve                    ? 0
                : !strcmp(curve, "P-256") ? 32
                : !strcmp(curve, "P-384") ? 48
                                          : 0;
    BIGNUM *x = number_member(jwk, "x", pool);
    BIGNUM *y = number_member(jwk, "y", pool);
    BIGNUM *d = number_member(jwk, "d", pool);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    unsigned char point[1 + 2 * MAX_WIDTH] = { POINT_CONVERSION_UNCOMPRESSED };
    EVP_PKEY *key = NULL;

    if (width && x && y && d && builder
        && BN_bn2binpad(x, point + 1, width) == width
        && BN_bn2binpad(y, point + 1 + width, width) == width
        && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                           curve, 0)
        && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, 1 + 2 * (size_t)width)
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, d)) {
        key = key_of_params("EC", builder);
    }
    BN_free(x);
    BN_free(y);
    BN_clear_free(d);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

/* @return E_MEMORY */
static acme_err_t *read_jwk(EVP_PKEY **key, const char **why, const char *text,
                            apr_size_t len, apr_pool_t *pool)
{
    const char *type;
    json_t *jwk;
    acme_err_t *err = acme_json_parse(&jwk, text, len, MAX_TEXT, "key", pool);

    if (err) {
        *why = "it is neither PEM nor a JSON Web Key";
        return err->msg == ACME_E_MEMORY ? err : NULL;
    }
    type = acme_json_string(jwk, "kty");
    if (type && !strcmp(type, "RSA")) {
        *key = rsa_of_jwk(jwk, pool);
    }
    else if (type && !strcmp(type, "EC")) {
        *key = ec_of_jwk(jwk, pool);
    }
    *why = acme_json_string(jwk, "d")
               ? "it is not a JSON Web Key of type RSA or EC with all its "
                 "members"
               : "the JSON Web Key has no private part";
    return NULL;
}

/* --- PEM --------------------------------------------------------------------- */

/* A pass phrase, which may be any octets. */
typedef struct phrase_t {
    const void *data; /* NULL: there is none */
    apr_size_t len;
} phrase_t;

static int give_pass_phrase(char *buffer, int size, int writing, void *baton)
{
    const phrase_t *phrase = baton;

    (void)writing;
    if (!phrase->data || phrase->len > (apr_size_t)size) {
        return -1;
    }
    memcpy(buffer, phrase->data, phrase->len);
    return (int)phrase->len;
}

/* PKCS#8, SEC1 and PKCS#1, encrypted or not. */
static EVP_PKEY *read_pem(const char **why, const char *text, apr_size_t len,
                          phrase_t phrase)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, give_pass_phrase, &phrase)
            : NULL;

    BIO_free(bio);
    if (!strstr(text, "PRIVATE KEY-----")) {
        *why = "it holds no private key in PEM or as a JSON Web Key";
    }
    else if (!strstr(text, "ENCRYPTED")) {
        *why = "its private key is damaged";
    }
    else if (!phrase.data) {
        *why = "it is encrypted: write exec: and the path of a program that "
               "prints the pass phrase behind it";
    }
    else {
        *why = "the pass phrase does not open it";
    }
    return key;
}

/* --- both -------------------------------------------------------------------- */

static const char *why_unfit(EVP_PKEY *key)
{
    acme_key_type_t type;
    int bits = EVP_PKEY_get_bits(key);
    int is_rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;

    if (acme_key_type_of(&type, key)
        && (!is_rsa || bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)) {
        return "CAs take keys of ECDSA P-256 and P-384, and RSA of 2048 to "
               "8192 bits, only";
    }
    return acme_key_sound(key) ? NULL
                               : "its private part does not belong to its "
                                 "public part";
}

static apr_status_t release(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

acme_err_t *acme_key_adopt(EVP_PKEY **key, const char *what, const char *text,
                           apr_size_t len, const char *phrase, apr_pool_t *pool)
{
    return acme_key_adopt_bytes(key, what, text, len, phrase,
                                phrase ? strlen(phrase) : 0, pool);
}

acme_err_t *acme_key_adopt_bytes(EVP_PKEY **key, const char *what,
                                 const char *text, apr_size_t len,
                                 const void *phrase, apr_size_t phrase_len,
                                 apr_pool_t *pool)
{
    const phrase_t secret = { phrase, phrase_len };
    const char *start = text + strspn(text, " \t\r\n");
    const char *why = "it is too long";
    EVP_PKEY *read = NULL;

    if (len <= MAX_TEXT && *start == '{') {
        ACME_TRY(read_jwk(&read, &why, text, len, pool));
    }
    else if (len <= MAX_TEXT) {
        read = read_pem(&why, text, len, secret);
    }
    ERR_clear_error();
    if (read) {
        apr_pool_cleanup_register(pool, read, release, apr_pool_cleanup_null);
        why = why_unfit(read);
    }
    if (why) {
        return acme_err_make(pool, ACME_E_ACCOUNT_KEY, what, why, NULL);
    }
    *key = read;
    return NULL;
}
