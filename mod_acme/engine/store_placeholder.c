/* Self-signed pairs for hosts without a certificate yet. Thousands may be made
 * in one start, so none is flushed by itself: a first line in chain.pem, with a
 * digest of all that follows, tells a whole pair from one that a power failure
 * has cut. OpenSSL passes over text before a PEM block. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syncfs */
#endif
#include <apr_strings.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/store_impl.h"

#define MARK "mod_acme placeholder until "
#define MARGIN                                                                 \
    apr_time_from_sec(30 * 86400) /* before its end it is made anew */
#define LIFE apr_time_from_sec(365 * 86400)

/* @param body  of chain.pem, after the first line */
static const char *pair_digest(const char *until, const char *body,
                               const char *key, apr_pool_t *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int done = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
               && EVP_DigestUpdate(ctx, until, strlen(until)) == 1
               && EVP_DigestUpdate(ctx, body, strlen(body)) == 1
               && EVP_DigestUpdate(ctx, key, strlen(key)) == 1
               && EVP_DigestFinal_ex(ctx, digest, &len) == 1;

    EVP_MD_CTX_free(ctx);
    return done ? acme_encode_hex(digest, len, pool) : NULL;
}

static const char *first_line(const char *until, const char *body,
                              const char *key, apr_pool_t *pool)
{
    const char *digest = pair_digest(until, body, key, pool);

    return apr_pstrcat(pool, MARK, until, " sha256 ", digest ? digest : "none",
                       "\n", NULL);
}

static int pair_good(const char *chain, const char *key, apr_time_t now,
                     apr_pool_t *scratch)
{
    const char *body = strchr(chain, '\n');

    if (!body || strncmp(chain, MARK, strlen(MARK)) != 0) {
        return 0;
    }
    body++;
    apr_int64_t until = apr_atoi64(chain + strlen(MARK));
    const char *line = first_line(
        apr_psprintf(scratch, "%" APR_INT64_T_FMT, until), body, key, scratch);
    return strlen(line) == (size_t)(body - chain)
           && strncmp(line, chain, strlen(line)) == 0
           && apr_time_from_sec(until) > now + MARGIN;
}

static acme_err_t *pair_there(int *good, const acme_store_t *store,
                              const char *dir, apr_time_t now,
                              apr_pool_t *scratch)
{
    const acme_place_t *part = &store->parts[ACME_PART_PLACEHOLDER];
    const char *chain, *key;
    apr_size_t len, key_len;

    *good = 0;
    ACME_TRY(acme_fsfile_read(&chain, &len, part,
                              apr_pstrcat(scratch, dir, "/chain.pem", NULL),
                              store->owner, scratch));
    if (!chain) {
        return NULL;
    }
    ACME_TRY(acme_fsfile_read(&key, &key_len, part,
                              apr_pstrcat(scratch, dir, "/key.pem", NULL),
                              store->owner, scratch));
    if (key) {
        *good = pair_good(chain, key, now, scratch);
        OPENSSL_cleanse((void *)(apr_uintptr_t)key, key_len);
    }
    return NULL;
}

/* One key serves all placeholders that a start makes: nobody trusts them, and a
 * thousand keys would take longer than the certificates. */
static acme_err_t *placeholder_key(acme_store_t *store)
{
    if (store->placeholder_pem) {
        return NULL;
    }
    ACME_TRY(acme_key_make(&store->placeholder_key, ACME_KEY_ECDSA_P256,
                           store->pool));
    return acme_key_to_pem(&store->placeholder_pem, store->placeholder_key,
                           store->pool);
}

static acme_err_t *make_pair(acme_store_t *store, const char *dir,
                             const apr_array_header_t *idents, apr_time_t now,
                             apr_pool_t *scratch)
{
    const acme_place_t *part = &store->parts[ACME_PART_PLACEHOLDER];
    acme_chain_t chain = { NULL, NULL };
    const char *body, *key_pem;

    ACME_TRY(placeholder_key(store));
    key_pem = store->placeholder_pem;
    ACME_TRY(acme_cert_placeholder(&chain.leaf, store->placeholder_key, idents,
                                   now, scratch));
    ACME_TRY(acme_chain_to_pem(&body, &chain, scratch));
    const char *until =
        apr_psprintf(scratch, "%" APR_INT64_T_FMT, apr_time_sec(now + LIFE));
    const char *text = apr_pstrcat(
        scratch, first_line(until, body, key_pem, scratch), body, NULL);
    const acme_fsfile_entry_t files[] = {
        { "chain.pem", 0644, text, strlen(text) },
        { "key.pem", 0600, key_pem, strlen(key_pem) },
    };
    const acme_fsfile_dir_t made = { 0700, files, 2, 0 };
    return acme_fsfile_put_dir(part, dir, &made, scratch);
}

static acme_err_t *make_locked(acme_store_t *store, const char *dir,
                               const apr_array_header_t *idents, apr_time_t now,
                               apr_pool_t *scratch)
{
    int good;

    /* Another process that starts now may have been faster. */
    ACME_TRY(pair_there(&good, store, dir, now, scratch));
    if (good) {
        return NULL;
    }
    if (!store->placeholders_clean) {
        acme_fsfile_clean(&store->parts[ACME_PART_PLACEHOLDER], scratch);
        store->placeholders_clean = 1;
    }
    ACME_TRY(make_pair(store, dir, idents, now, scratch));
    store->placeholders++;
    return NULL;
}

static acme_err_t *settle_pair(acme_store_t *store, const char *dir,
                               const apr_array_header_t *idents, apr_time_t now,
                               apr_pool_t *scratch)
{
    int good, lock;

    ACME_TRY(acme_store_check_name(dir, scratch));
    acme_err_t *err = pair_there(&good, store, dir, now, scratch);
    if (!err && good) {
        return NULL;
    }
    /* Whatever is wrong with the one there, it is made anew. */
    ACME_TRY(acme_store_lock_root(&lock, store, scratch));
    err = make_locked(store, dir, idents, now, scratch);
    close(lock);
    return err;
}

acme_err_t *acme_store_placeholder(const char **chain, const char **key,
                                   acme_store_t *store, const char *dir,
                                   const apr_array_header_t *idents,
                                   apr_time_t now, apr_pool_t *pool)
{
    const char *root = store->parts[ACME_PART_PLACEHOLDER].path;
    apr_pool_t *sub = acme_store_subpool(pool);

    ACME_TRY(
        acme_store_leave(settle_pair(store, dir, idents, now, sub), sub, pool));
    *chain = apr_pstrcat(pool, root, "/", dir, "/chain.pem", NULL);
    *key = apr_pstrcat(pool, root, "/", dir, "/key.pem", NULL);
    return NULL;
}

static acme_err_t *read_idents(const apr_array_header_t **idents,
                               const acme_store_t *store, const char *dir,
                               apr_pool_t *pool)
{
    acme_cert_info_t *info;
    acme_chain_t *chain;
    const char *pem;
    apr_size_t len;

    ACME_TRY(acme_fsfile_read(&pem, &len, &store->parts[ACME_PART_PLACEHOLDER],
                              apr_pstrcat(pool, dir, "/chain.pem", NULL),
                              store->owner, pool));
    if (pem) {
        ACME_TRY(acme_chain_parse(&chain, pem, len, pool));
        ACME_TRY(acme_cert_info(&info, chain->leaf, pool));
        *idents = info->idents;
    }
    return NULL;
}

const apr_array_header_t *acme_store_placeholder_idents(
    const acme_store_t *store, const char *dir, apr_pool_t *pool)
{
    const apr_array_header_t *idents =
        apr_array_make(pool, 1, sizeof(acme_ident_t *));
    acme_err_t *err = read_idents(&idents, store, dir, pool);

    (void)err; /* damaged: it says nothing */
    return idents;
}

void acme_store_sync(acme_store_t *store)
{
    if (store->placeholders == 0) {
        return;
    }
    store->placeholders = 0;
    /* If this fails they are found damaged after a crash, and made anew. */
#ifdef __linux__
    (void)syncfs(store->parts[ACME_PART_PLACEHOLDER].fd);
#else
    sync();
#endif
}
