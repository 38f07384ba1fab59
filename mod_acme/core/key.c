#include "core/key.h"

#include <apr_strings.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <strings.h>

#include "core/encode.h"

#define MAX_KEY_DER (16 * 1024)
#define MAX_KEY_PEM (24 * 1024)

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

typedef struct patience_t {
    acme_key_go_on_fn_t *go_on;
    void *baton;
} patience_t;

/* OpenSSL's callback. @return 0 to stop */
static int ask_go_on(EVP_PKEY_CTX *ctx)
{
    const patience_t *patience = EVP_PKEY_CTX_get_app_data(ctx);

    return patience->go_on(patience->baton);
}

EVP_PKEY *acme_key_generate(acme_key_type_t type, acme_key_go_on_fn_t *go_on,
                            void *baton)
{
    const key_kind_t *kind = &kinds[type];
    patience_t patience = { go_on, baton };
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(NULL, kind->group ? "EC" : "RSA", NULL);
    EVP_PKEY *key = NULL;

    if (ctx && EVP_PKEY_keygen_init(ctx) == 1
        && (kind->group ? EVP_PKEY_CTX_set_group_name(ctx, kind->group)
                        : EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, kind->bits))
               == 1) {
        EVP_PKEY_CTX_set_app_data(ctx, &patience);
        EVP_PKEY_CTX_set_cb(ctx, ask_go_on);
        if (EVP_PKEY_generate(ctx, &key) != 1) {
            key = NULL;
        }
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

void acme_key_own(EVP_PKEY *key, apr_pool_t *pool)
{
    apr_pool_cleanup_register(pool, key, release, apr_pool_cleanup_null);
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

static int set_public_ec(X509_PUBKEY *field, EVP_PKEY *key, int curve)
{
    unsigned char *point = NULL;
    size_t len = EVP_PKEY_get1_encoded_public_key(key, &point);

    if (len == 0
        || !X509_PUBKEY_set0_param(field, OBJ_nid2obj(NID_X9_62_id_ecPublicKey),
                                   V_ASN1_OBJECT, OBJ_nid2obj(curve), point,
                                   (int)len)) {
        OPENSSL_free(point);
        return 0;
    }
    return 1; /* the field owns the point */
}

static int set_public_rsa(X509_PUBKEY *field, const EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PublicKey(key, &der);

    if (len <= 0
        || !X509_PUBKEY_set0_param(field, OBJ_nid2obj(NID_rsaEncryption),
                                   V_ASN1_NULL, NULL, der, len)) {
        OPENSSL_free(der);
        return 0;
    }
    return 1;
}

int acme_key_set_public(X509_PUBKEY *field, EVP_PKEY *key)
{
    acme_key_type_t type;

    if (acme_key_type_of(&type, key)) {
        return 0;
    }
    switch (type) {
    case ACME_KEY_ECDSA_P256:
        return set_public_ec(field, key, NID_X9_62_prime256v1);
    case ACME_KEY_ECDSA_P384:
        return set_public_ec(field, key, NID_secp384r1);
    case ACME_KEY_RSA2048:
    case ACME_KEY_RSA3072:
    case ACME_KEY_RSA4096:
        break;
    }
    return set_public_rsa(field, key);
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

acme_err_t *acme_key_to_der(const unsigned char **der, apr_size_t *len,
                            EVP_PKEY *key, apr_pool_t *pool)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    unsigned char *bytes, *end;

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

/* The algorithm is looked up first: d2i_AutoPrivateKey tries every decoder there
 * is, three times as long. */
static EVP_PKEY *parse_pkcs8(const unsigned char **end, apr_size_t len)
{
    const unsigned char *start = *end;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, end, (long)len);
    const ASN1_OBJECT *algorithm = NULL;
    int type = NID_undef;

    if (info && PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info)) {
        type = OBJ_obj2nid(algorithm);
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    if (type != NID_X9_62_id_ecPublicKey && type != NID_rsaEncryption) {
        return NULL;
    }
    *end = start;
    return d2i_PrivateKey(type == NID_rsaEncryption ? EVP_PKEY_RSA
                                                    : EVP_PKEY_EC,
                          NULL, end, (long)len);
}

acme_err_t *acme_key_from_der(EVP_PKEY **key, const unsigned char *der,
                              apr_size_t len, apr_pool_t *pool)
{
    const unsigned char *end = der;
    EVP_PKEY *parsed;

    if (len == 0 || len > MAX_KEY_DER) {
        return acme_err_make(pool, ACME_E_KEY_PARSE, NULL);
    }
    parsed = parse_pkcs8(&end, len);
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
    BIO *bio = BIO_new(BIO_s_secmem()); /* zeroed when freed */
    char *data, *copy;
    long len;

    if (!bio
        || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
               != 1
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

/* Else OpenSSL would ask on the terminal. */
static int no_pass_phrase(char *buffer, int size, int writing, void *baton)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)baton;
    return -1;
}

acme_err_t *acme_key_from_pem(EVP_PKEY **key, const char *pem, apr_size_t len,
                              apr_pool_t *pool)
{
    BIO *bio = len <= MAX_KEY_PEM ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *parsed =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;

    BIO_free(bio);
    if (!parsed) {
        return acme_err_ssl(pool, ACME_E_KEY_PARSE, NULL);
    }
    ERR_clear_error();
    apr_pool_cleanup_register(pool, parsed, release, apr_pool_cleanup_null);
    *key = parsed;
    return NULL;
}

const char *acme_key_tlsa(EVP_PKEY *key, apr_pool_t *pool)
{
    unsigned char *der = NULL, digest[ACME_SHA256];
    int len = i2d_PUBKEY(key, &der);
    const char *text = NULL;

    if (len > 0) {
        acme_sha256(digest, der, (size_t)len);
        text = acme_encode_hex(digest, sizeof(digest), pool);
    }
    OPENSSL_free(der);
    ERR_clear_error();
    return text;
}

int acme_key_sound(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    int sound = ctx && EVP_PKEY_pairwise_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return sound;
}
