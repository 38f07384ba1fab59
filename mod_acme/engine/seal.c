#include "engine/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

/* Sealed: magic, nonce, tag, ciphertext. */
#define MAGIC       "ACS1"
#define MAGIC_LEN   4
#define NONCE_LEN   12
#define TAG_LEN     16
#define NONCE_AT    MAGIC_LEN
#define TAG_AT      (NONCE_AT + NONCE_LEN)
#define TEXT_AT     (TAG_AT + TAG_LEN)
#define MAX_PAYLOAD (1024 * 1024)

typedef struct plain_t {
    const unsigned char *data;
    apr_size_t len;
} plain_t;

typedef struct secret_t {
    unsigned char *data;
    apr_size_t len;
} secret_t;

static apr_status_t secret_zero(void *data)
{
    secret_t *secret = data;

    OPENSSL_cleanse(secret->data, secret->len);
    return APR_SUCCESS;
}

static unsigned char *secret_alloc(apr_size_t len, apr_pool_t *pool)
{
    secret_t *secret = apr_palloc(pool, sizeof(*secret));

    secret->data = apr_pcalloc(pool, len + 1);
    secret->len = len;
    apr_pool_cleanup_register(pool, secret, secret_zero, secret_zero);
    return secret->data;
}

/* The nonce is random: NIST SP 800-38D section 8.3 allows 2^32 of them under one
 * key, and a store seals a few keys a day. */
static int encrypt(EVP_CIPHER_CTX *ctx, unsigned char *out,
                   const unsigned char *secret, const char *binding,
                   const plain_t *plain)
{
    int n;

    memcpy(out, MAGIC, MAGIC_LEN);
    return RAND_bytes(out + NONCE_AT, NONCE_LEN) == 1
           && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, secret,
                                 out + NONCE_AT)
                  == 1
           && EVP_EncryptUpdate(ctx, NULL, &n, out, MAGIC_LEN) == 1
           && EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)binding,
                                (int)strlen(binding))
                  == 1
           && EVP_EncryptUpdate(ctx, out + TEXT_AT, &n, plain->data,
                                (int)plain->len)
                  == 1
           && EVP_EncryptFinal_ex(ctx, out + TEXT_AT + n, &n) == 1
           && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN,
                                  out + TAG_AT)
                  == 1;
}

acme_err_t *acme_seal(const unsigned char **sealed, apr_size_t *sealed_len,
                      const unsigned char *secret, const char *binding,
                      const unsigned char *data, apr_size_t len,
                      apr_pool_t *pool)
{
    unsigned char *out = apr_palloc(pool, TEXT_AT + len + 1);
    plain_t plain = { data, len };
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done =
        ctx && len <= MAX_PAYLOAD && encrypt(ctx, out, secret, binding, &plain);

    EVP_CIPHER_CTX_free(ctx);
    if (!done) {
        return acme_err_ssl(pool, ACME_E_SEAL_MAKE, binding, NULL);
    }
    *sealed = out;
    *sealed_len = TEXT_AT + len;
    return NULL;
}

static int decrypt(EVP_CIPHER_CTX *ctx, secret_t *plain,
                   const unsigned char *secret, const char *binding,
                   const unsigned char *in)
{
    unsigned char tag[TAG_LEN];
    int n;

    memcpy(tag, in + TAG_AT, TAG_LEN);
    return EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, secret,
                              in + NONCE_AT)
               == 1
           && EVP_DecryptUpdate(ctx, NULL, &n, in, MAGIC_LEN) == 1
           && EVP_DecryptUpdate(ctx, NULL, &n, (const unsigned char *)binding,
                                (int)strlen(binding))
                  == 1
           && EVP_DecryptUpdate(ctx, plain->data, &n, in + TEXT_AT,
                                (int)plain->len)
                  == 1
           && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1
           && EVP_DecryptFinal_ex(ctx, plain->data + n, &n) == 1;
}

acme_err_t *acme_unseal(const unsigned char **data, apr_size_t *len,
                        const unsigned char *secret, const char *binding,
                        const unsigned char *sealed, apr_size_t sealed_len,
                        apr_pool_t *pool)
{
    if (sealed_len < TEXT_AT || sealed_len > TEXT_AT + MAX_PAYLOAD
        || memcmp(sealed, MAGIC, MAGIC_LEN) != 0) {
        return acme_err_make(pool, ACME_E_SEAL, binding, NULL);
    }
    secret_t plain = { NULL, sealed_len - TEXT_AT };
    plain.data = secret_alloc(plain.len, pool);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done = ctx && decrypt(ctx, &plain, secret, binding, sealed);

    EVP_CIPHER_CTX_free(ctx);
    if (!done) {
        OPENSSL_cleanse(plain.data, plain.len);
        return acme_err_make(pool, ACME_E_SEAL, binding, NULL);
    }
    *data = plain.data;
    *len = plain.len;
    return NULL;
}
