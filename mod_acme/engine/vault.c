#include "engine/vault.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "core/encode.h"

#define MAGIC    "mod_acme backup 1 scrypt "
#define COST     131072 /* 128 MiB, and a third of a second */
#define BLOCK    8
#define PARALLEL 1
/* What a file may ask of us: it could be anybody's. */
#define MAX_COST     (1 << 20)
#define MAX_BLOCK    8
#define MAX_PARALLEL 4
#define MAX_MEMORY   (1100UL * 1024 * 1024)

#define SALT_LEN   16
#define NONCE_LEN  12
#define TAG_LEN    16
#define KEY_LEN    32
#define MAX_HEADER 160
#define MAX_TEXT   (512 * 1024 * 1024)

typedef struct vault_t {
    unsigned long cost, block, parallel;
    unsigned char salt[SALT_LEN], nonce[NONCE_LEN], key[KEY_LEN];
    const char *header; /* with its line feed */
    apr_size_t header_len;
} vault_t;

static apr_status_t wipe_vault(void *data)
{
    OPENSSL_cleanse(data, sizeof(vault_t));
    return APR_SUCCESS;
}

static vault_t *make_vault(apr_pool_t *pool)
{
    vault_t *vault = apr_pcalloc(pool, sizeof(*vault));
    apr_pool_cleanup_register(pool, vault, wipe_vault, apr_pool_cleanup_null);
    return vault;
}

static int derive(vault_t *vault, const char *phrase)
{
    return EVP_PBE_scrypt(phrase, strlen(phrase), vault->salt, SALT_LEN,
                          vault->cost, vault->block, vault->parallel,
                          MAX_MEMORY, vault->key, KEY_LEN)
           == 1;
}

/* --- sealing -------------------------------------------------------------------------- */

static acme_err_t *not_made(const char *why, apr_pool_t *pool)
{
    return acme_err_ssl(pool, ACME_E_BACKUP_MAKE, why, NULL);
}

static int encrypt(unsigned char *out, const vault_t *vault, const char *text,
                   int len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int part, last;
    int done =
        ctx
        && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->key,
                              vault->nonce)
        && EVP_EncryptUpdate(ctx, NULL, &part,
                             (const unsigned char *)vault->header,
                             (int)vault->header_len)
        && EVP_EncryptUpdate(ctx, out, &part, (const unsigned char *)text, len)
        && EVP_EncryptFinal_ex(ctx, out + part, &last) && part + last == len
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, out + len);
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

acme_err_t *acme_vault_seal(const unsigned char **sealed,
                            apr_size_t *sealed_len, const char *phrase,
                            const char *text, apr_pool_t *pool)
{
    vault_t *vault = make_vault(pool);
    apr_size_t len = strlen(text);

    vault->cost = COST;
    vault->block = BLOCK;
    vault->parallel = PARALLEL;
    if (len > MAX_TEXT) {
        return not_made("it is too big", pool);
    }
    if (RAND_bytes(vault->salt, SALT_LEN) != 1
        || RAND_bytes(vault->nonce, NONCE_LEN) != 1) {
        return not_made("no random numbers", pool);
    }
    if (!derive(vault, phrase)) {
        return not_made("scrypt failed", pool);
    }
    vault->header =
        apr_psprintf(pool, MAGIC "%d %d %d %s %s\n", COST, BLOCK, PARALLEL,
                     acme_encode_base64url(vault->salt, SALT_LEN, pool),
                     acme_encode_base64url(vault->nonce, NONCE_LEN, pool));
    vault->header_len = strlen(vault->header);
    unsigned char *out = apr_palloc(pool, vault->header_len + len + TAG_LEN);
    memcpy(out, vault->header, vault->header_len);
    if (!encrypt(out + vault->header_len, vault, text, (int)len)) {
        return not_made("AES-256-GCM failed", pool);
    }
    *sealed = out;
    *sealed_len = vault->header_len + len + TAG_LEN;
    return NULL;
}

/* --- opening -------------------------------------------------------------------------- */

static int take_octets(unsigned char *out, apr_size_t wanted, const char *text,
                       apr_pool_t *pool)
{
    const unsigned char *octets;
    apr_size_t len;

    if (acme_decode_base64url(&octets, &len, text, pool) != APR_SUCCESS
        || len != wanted) {
        return 0;
    }
    memcpy(out, octets, len);
    return 1;
}

/* @return 0: it has no header as we write it */
static int read_header(vault_t *vault, const unsigned char *sealed,
                       apr_size_t len, apr_pool_t *pool)
{
    char salt[64], nonce[64];
    const unsigned char *end =
        memchr(sealed, '\n', len < MAX_HEADER ? len : MAX_HEADER);

    if (!end) {
        return 0;
    }
    vault->header_len = (apr_size_t)(end + 1 - sealed);
    vault->header =
        apr_pstrmemdup(pool, (const char *)sealed, vault->header_len);
    return sscanf(vault->header, MAGIC "%7lu %2lu %2lu %63s %63s", &vault->cost,
                  &vault->block, &vault->parallel, salt, nonce)
               == 5
           && vault->cost <= MAX_COST && vault->block <= MAX_BLOCK
           && vault->parallel <= MAX_PARALLEL
           && take_octets(vault->salt, SALT_LEN, salt, pool)
           && take_octets(vault->nonce, NONCE_LEN, nonce, pool)
           && len >= vault->header_len + TAG_LEN
           && len - vault->header_len - TAG_LEN <= MAX_TEXT;
}

static int decrypt(unsigned char *out, const vault_t *vault,
                   const unsigned char *in, int len)
{
    unsigned char tag[TAG_LEN];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int part, last;

    memcpy(tag, in + len, TAG_LEN);
    int done = ctx
               && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->key,
                                     vault->nonce)
               && EVP_DecryptUpdate(ctx, NULL, &part,
                                    (const unsigned char *)vault->header,
                                    (int)vault->header_len)
               && EVP_DecryptUpdate(ctx, out, &part, in, len)
               && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag)
               && EVP_DecryptFinal_ex(ctx, out + part, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

typedef struct text_t {
    unsigned char *octets;
    apr_size_t len;
} text_t;

static apr_status_t wipe_text(void *data)
{
    text_t *text = data;
    OPENSSL_cleanse(text->octets, text->len);
    return APR_SUCCESS;
}

acme_err_t *acme_vault_open(const char **result, apr_size_t *len,
                            const char *phrase, const unsigned char *sealed,
                            apr_size_t sealed_len, const char *what,
                            apr_pool_t *pool)
{
    vault_t *vault = make_vault(pool);
    text_t *text = apr_pcalloc(pool, sizeof(*text));

    if (!read_header(vault, sealed, sealed_len, pool)) {
        return acme_err_make(pool, ACME_E_BACKUP_OPEN, what,
                             "it is not a backup of acmectl", NULL);
    }
    if (!derive(vault, phrase)) {
        return acme_err_ssl(pool, ACME_E_BACKUP_OPEN, what, "scrypt failed",
                            NULL);
    }
    text->len = sealed_len - vault->header_len - TAG_LEN;
    text->octets = apr_pcalloc(pool, text->len + 1);
    apr_pool_cleanup_register(pool, text, wipe_text, apr_pool_cleanup_null);
    if (!decrypt(text->octets, vault, sealed + vault->header_len,
                 (int)text->len)) {
        return acme_err_make(pool, ACME_E_BACKUP_OPEN, what,
                             "the pass phrase is another, or it is damaged",
                             NULL);
    }
    *result = (const char *)text->octets;
    *len = text->len;
    return NULL;
}
