/* Challenges in the live table: tokens of http-01, certificates of tls-alpn-01. */
#include "httpd/live_impl.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define WINDOW   32 /* a token lies within so many places of its hash */
#define TAG_FREE 0u
#define TAG_BUSY 1u

/* What a challenge is looked up by: http-01 by its token, tls-alpn-01 by the
 * name in the handshake. */
static const char *key_of(char sni[ACME_IDENT_SNI], acme_proof_type_t type,
                          const acme_ident_t *ident, const char *token)
{
    if (type != ACME_PROOF_TLS_ALPN_01) {
        return token;
    }
    acme_ident_server_name(sni, ident);
    return sni;
}

/* FNV-1a, for spreading only: names are the same in any case. */
static unsigned int hash_key(acme_proof_type_t type, const char *key)
{
    unsigned int hash = 2166136261u + (unsigned int)type;

    for (; *key; ++key) {
        hash = (hash ^ (unsigned char)apr_tolower(*key)) * 16777619u;
    }
    return hash > TAG_BUSY ? hash : hash + 2;
}

static int token_matches(const char *key_authorization, const char *token)
{
    apr_size_t len = strlen(token);

    return !strncmp(key_authorization, token, len)
           && key_authorization[len] == '.';
}

/* Copy one entry; 0 if it is being written. */
static int read_entry(acme_live_found_t *found, const token_t *entry)
{
    unsigned int before, after;

    before = atomic_load_explicit(&entry->sequence, memory_order_acquire);
    memcpy(found, &entry->found, sizeof(*found));
    atomic_thread_fence(memory_order_acquire);
    after = atomic_load_explicit(&entry->sequence, memory_order_relaxed);
    found->name[sizeof(found->name) - 1] = '\0';
    found->key_authorization[ACME_LIVE_KEY_AUTH] = '\0';
    return before == after && !(before & 1);
}

static int is_token(const acme_live_found_t *found, const char *host,
                    const char *token)
{
    return found->type == ACME_PROOF_HTTP_01
           && token_matches(found->key_authorization, token)
           && (!host || !strcasecmp(found->name, host));
}

static int is_handshake(const acme_live_found_t *found, const char *sni)
{
    const acme_ident_t ident = { found->ident_type, found->name };
    char name[ACME_IDENT_SNI];

    if (found->type != ACME_PROOF_TLS_ALPN_01) {
        return 0;
    }
    acme_ident_server_name(name, &ident);
    return !strcasecmp(name, sni);
}

static int find_token(acme_live_found_t *found, const tokens_t *tokens,
                      const char *host, const char *token)
{
    unsigned int hash = hash_key(ACME_PROOF_HTTP_01, token);
    unsigned int i;

    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % TOKENS;

        if (atomic_load_explicit(&tokens->tags[place], memory_order_acquire)
                == hash
            && read_entry(found, &tokens->entries[place])
            && is_token(found, host, token)) {
            return 1;
        }
    }
    return 0;
}

apr_size_t acme_live_lookup(char *buffer, const acme_live_table_t *table,
                            const char *host, const char *token)
{
    acme_live_found_t found;

    if (!find_token(&found, table->retained->tokens, host, token)) {
        return 0;
    }
    apr_cpystrn(buffer, found.key_authorization, ACME_LIVE_KEY_AUTH + 1);
    return strlen(buffer);
}

int acme_live_find_token(acme_live_found_t *found,
                         const acme_live_table_t *table, const char *host,
                         const char *token)
{
    const tokens_t *tokens = table->retained->tokens;

    return (host && find_token(found, tokens, host, token))
           || find_token(found, tokens, NULL, token);
}

/* @return the place, or -1 */
static int find_handshake(acme_live_found_t *found, const tokens_t *tokens,
                          const char *sni)
{
    unsigned int hash = hash_key(ACME_PROOF_TLS_ALPN_01, sni);
    unsigned int i;

    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % TOKENS;

        if (atomic_load_explicit(&tokens->tags[place], memory_order_acquire)
                == hash
            && read_entry(found, &tokens->entries[place])
            && is_handshake(found, sni)) {
            return (int)place;
        }
    }
    return -1;
}

int acme_live_lookup_handshake(acme_live_found_t *found,
                               const acme_live_table_t *table, const char *sni)
{
    return find_handshake(found, table->retained->tokens, sni) >= 0;
}

static void write_token(tokens_t *tokens, unsigned int place, unsigned int hash,
                        const acme_proof_t *proof, apr_int64_t epoch)
{
    token_t *entry = &tokens->entries[place];
    acme_live_found_t *found = &entry->found;
    unsigned int odd = acme_live_begin_write(&entry->sequence);

    entry->epoch = epoch;
    found->type = proof->type;
    found->ident_type = proof->ident->type;
    apr_cpystrn(found->name, proof->ident->value, sizeof(found->name));
    apr_cpystrn(found->key_authorization, proof->key_authorization,
                sizeof(found->key_authorization));
    acme_live_end_write(&entry->sequence, odd);
    atomic_store_explicit(&tokens->tags[place], hash, memory_order_release);
}

/* The place that holds proof already, or -1. */
static int find_proof(tokens_t *tokens, unsigned int hash,
                      const acme_proof_t *proof)
{
    acme_live_found_t found;
    unsigned int i;

    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % TOKENS;

        if (atomic_load(&tokens->tags[place]) == hash
            && read_entry(&found, &tokens->entries[place])
            && found.type == proof->type
            && found.ident_type == proof->ident->type
            && !strcmp(found.name, proof->ident->value)
            && token_matches(found.key_authorization, proof->token)) {
            return (int)place;
        }
    }
    return -1;
}

static void free_token(tokens_t *tokens, unsigned int place, unsigned int hash)
{
    if (atomic_compare_exchange_strong(&tokens->tags[place], &hash, TAG_BUSY)) {
        token_t *entry = &tokens->entries[place];
        unsigned int odd = acme_live_begin_write(&entry->sequence);

        entry->found.name[0] = '\0';
        entry->found.key_authorization[0] = '\0';
        acme_live_end_write(&entry->sequence, odd);
        atomic_store_explicit(&tokens->tags[place], TAG_FREE,
                              memory_order_release);
    }
}

/* A handshake shows one digest, so orders for the same name take turns. What an
 * earlier engine left there gives way; a later one's does not.
 * @return 1: another order's proof is there */
static int is_taken(tokens_t *tokens, unsigned int hash, const char *sni,
                    apr_int64_t epoch)
{
    acme_live_found_t found;
    int place = find_handshake(&found, tokens, sni);

    if (place < 0 || tokens->entries[place].epoch >= epoch) {
        return place >= 0;
    }
    free_token(tokens, (unsigned int)place, hash);
    return 0;
}

acme_err_t *acme_live_publish(acme_live_table_t *table,
                              const acme_proof_t *proof, apr_int64_t epoch,
                              apr_pool_t *pool)
{
    tokens_t *tokens = table->retained->tokens;
    char sni[ACME_IDENT_SNI];
    const char *key = key_of(sni, proof->type, proof->ident, proof->token);
    unsigned int hash = hash_key(proof->type, key);
    int known = find_proof(tokens, hash, proof);
    unsigned int i;

    if (strlen(proof->key_authorization) > ACME_LIVE_KEY_AUTH
        || strlen(proof->ident->value) >= ACME_LIVE_NAME) {
        return acme_err_make(pool, ACME_E_TOKENS_FULL, proof->ident->value,
                             NULL);
    }
    if (known >= 0) {
        if (tokens->entries[known].epoch < epoch) {
            tokens->entries[known].epoch = epoch;
        }
        return NULL;
    }
    if (proof->type == ACME_PROOF_TLS_ALPN_01
        && is_taken(tokens, hash, sni, epoch)) {
        return acme_err_make(pool, ACME_E_PROOF_BUSY, proof->ident->value,
                             NULL);
    }
    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % TOKENS;
        unsigned int expected = TAG_FREE;

        /* A writer killed here leaves the place BUSY for good: one place less,
         * and nobody ever writes into an entry that another still writes. */
        if (atomic_compare_exchange_strong(&tokens->tags[place], &expected,
                                           TAG_BUSY)) {
            write_token(tokens, place, hash, proof, epoch);
            return NULL;
        }
    }
    return acme_err_make(pool, ACME_E_TOKENS_FULL, proof->ident->value, NULL);
}

void acme_live_withdraw(acme_live_table_t *table, const acme_proof_t *proof,
                        apr_int64_t epoch)
{
    tokens_t *tokens = table->retained->tokens;
    char sni[ACME_IDENT_SNI];
    unsigned int hash = hash_key(
        proof->type, key_of(sni, proof->type, proof->ident, proof->token));
    int place = find_proof(tokens, hash, proof);

    if (place >= 0 && tokens->entries[place].epoch <= epoch) {
        free_token(tokens, (unsigned int)place, hash);
    }
}

static int is_earlier(apr_int64_t one, apr_int64_t other)
{
    return one < other;
}

static int is_later(apr_int64_t one, apr_int64_t other)
{
    return one > other;
}

static void remove_all(tokens_t *tokens,
                       int (*is_meant)(apr_int64_t one, apr_int64_t other),
                       apr_int64_t epoch)
{
    unsigned int place;

    for (place = 0; place < TOKENS; ++place) {
        unsigned int tag = atomic_load(&tokens->tags[place]);

        if (tag > TAG_BUSY && is_meant(tokens->entries[place].epoch, epoch)) {
            free_token(tokens, place, tag);
        }
    }
}

void acme_live_begin(acme_live_table_t *table, apr_int64_t epoch)
{
    remove_all(table->retained->tokens, is_later, epoch);
}

void acme_live_sweep(acme_live_table_t *table, apr_int64_t epoch)
{
    remove_all(table->retained->tokens, is_earlier, epoch);
}
