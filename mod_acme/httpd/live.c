#include "httpd/live.h"

#include <stdatomic.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_config.h>

#include "httpd/log.h"

/* Changes with any change of the structs below: a newer module that is loaded
 * by a graceful restart must not read an older one's memory. */
#define LAYOUT       "mod_acme-live-3"
#define NAME_MAX_LEN 256
#define SEGMENTS     32
#define FIRST_SLOTS  64
#define TOKENS       32768 /* power of two */
#define WINDOW       32    /* a token lies within so many places of its hash */

/* A status is read again while it is written, but not for good: its writer may
 * have been killed. */
#define READ_SPINS 100
#define READ_TRIES 2000
#define READ_PAUSE 500 /* microseconds */

#define TAG_FREE 0u
#define TAG_BUSY 1u

/* What is told of one certificate and family: large, and mostly of one family.
 * Each family's lie together, so that the pages of the other are never used. */
typedef struct told_t {
    _Atomic unsigned int sequence; /* odd while it is written */
    acme_status_t status;
} told_t;

struct acme_slot_t {
    char name[NAME_MAX_LEN];
    _Atomic int generation[ACME_FAMILIES];
    told_t *told[ACME_FAMILIES]; /* mapped at one address in every process */
};

typedef struct segment_t {
    int capacity;
    int used; /* changed by the parent alone */
    told_t *told[ACME_FAMILIES];
    acme_slot_t slots[];
} segment_t;

typedef struct token_t {
    _Atomic unsigned int sequence; /* odd while it is written */
    apr_int64_t epoch;
    acme_live_found_t found;
} token_t;

typedef struct tokens_t {
    _Atomic unsigned int tags[TOKENS]; /* hash of the key, or TAG_* */
    token_t entries[TOKENS];
} tokens_t;

/* Lives in the process pool, across restarts and reloads of the module. */
typedef struct retained_t {
    int segment_count;
    segment_t *segments[SEGMENTS];
    tokens_t *tokens;
} retained_t;

struct acme_live_table_t {
    retained_t *retained;
    apr_hash_t *slots; /* name -> acme_slot_t */
    apr_pool_t *pool;
    apr_pool_t *process;
    server_rec *server;
};

static acme_live_table_t *the_table;

acme_live_table_t *acme_live_table(void)
{
    return the_table;
}

static apr_status_t forget_table(void *data)
{
    if (the_table == data) {
        the_table = NULL;
    }
    return APR_SUCCESS;
}

static void *share(apr_size_t size, server_rec *s, apr_pool_t *process)
{
    apr_shm_t *shm = NULL;
    apr_status_t rv = apr_shm_create(&shm, size, NULL, process);

    if (rv != APR_SUCCESS) {
        acme_log_err(s, "",
                     acme_err_os(process, rv, ACME_E_LIVE_MEMORY,
                                 apr_off_t_toa(process, (apr_off_t)size), NULL),
                     process);
        return NULL;
    }
    /* anonymous mappings are zero: a slot that is all zero says nothing */
    return apr_shm_baseaddr_get(shm);
}

static retained_t *retain(server_rec *s)
{
    const char *key =
        apr_psprintf(s->process->pool, LAYOUT "-%" APR_SIZE_T_FMT,
                     sizeof(acme_slot_t) + sizeof(told_t) + sizeof(token_t));
    retained_t *retained = ap_retained_data_get(key);

    return retained ? retained
                    : ap_retained_data_create(key, sizeof(*retained));
}

static int free_slots(const retained_t *retained)
{
    int i, count = 0;

    for (i = 0; i < retained->segment_count; ++i) {
        count += retained->segments[i]->capacity - retained->segments[i]->used;
    }
    return count;
}

static segment_t *share_segment(const acme_live_table_t *table, int capacity)
{
    apr_size_t count = (apr_size_t)capacity;
    apr_size_t head = sizeof(segment_t) + count * sizeof(acme_slot_t);
    segment_t *segment = share(head + ACME_FAMILIES * count * sizeof(told_t),
                               table->server, table->process);
    int i;

    for (i = 0; segment && i < ACME_FAMILIES; ++i) {
        segment->told[i] =
            (told_t *)(void *)((char *)segment + head) + (apr_size_t)i * count;
    }
    if (segment) {
        segment->capacity = capacity;
    }
    return segment;
}

/* A new segment for at least need slots, and as many as there are already: so
 * that hosts may be added one reload at a time for years. */
static int add_segment(acme_live_table_t *table, int need)
{
    retained_t *retained = table->retained;
    int capacity = need + need / 4;
    segment_t *segment;
    int i;

    if (retained->segment_count == SEGMENTS) {
        return 0;
    }
    for (i = 0; i < retained->segment_count; ++i) {
        if (capacity < retained->segments[i]->capacity * 2) {
            capacity = retained->segments[i]->capacity * 2;
        }
    }
    if (capacity < FIRST_SLOTS) {
        capacity = FIRST_SLOTS;
    }
    segment = share_segment(table, capacity);
    if (!segment) {
        return 0;
    }
    retained->segments[retained->segment_count++] = segment;
    return 1;
}

static void index_slots(acme_live_table_t *table)
{
    int i, j;

    for (i = 0; i < table->retained->segment_count; ++i) {
        segment_t *segment = table->retained->segments[i];

        for (j = 0; j < segment->used; ++j) {
            apr_hash_set(table->slots, segment->slots[j].name,
                         APR_HASH_KEY_STRING, &segment->slots[j]);
        }
    }
}

acme_live_table_t *acme_live_open(server_rec *s, apr_pool_t *pconf)
{
    acme_live_table_t *table = apr_pcalloc(pconf, sizeof(*table));

    table->server = s;
    table->process = s->process->pool;
    table->pool = pconf;
    table->retained = retain(s);
    table->slots = apr_hash_make(pconf);
    if (!table->retained->tokens) {
        table->retained->tokens = share(sizeof(tokens_t), s, s->process->pool);
    }
    if (!table->retained->tokens) {
        return NULL;
    }
    index_slots(table);
    the_table = table;
    apr_pool_cleanup_register(pconf, table, forget_table,
                              apr_pool_cleanup_null);
    return table;
}

acme_slot_t *acme_live_slot(const acme_live_table_t *table, const char *name)
{
    return apr_hash_get(table->slots, name, APR_HASH_KEY_STRING);
}

/* One more slot; there is room. */
static void add_slot(acme_live_table_t *table, const char *name)
{
    acme_slot_t *slot;
    int i, k;

    for (i = 0; i < table->retained->segment_count; ++i) {
        segment_t *segment = table->retained->segments[i];

        if (segment->used < segment->capacity) {
            slot = &segment->slots[segment->used];
            apr_cpystrn(slot->name, name, sizeof(slot->name));
            for (k = 0; k < ACME_FAMILIES; ++k) {
                slot->told[k] = &segment->told[k][segment->used];
            }
            segment->used++;
            apr_hash_set(table->slots, slot->name, APR_HASH_KEY_STRING, slot);
            return;
        }
    }
}

void acme_live_add(acme_live_table_t *table, const apr_array_header_t *names)
{
    int i, missing = 0;

    for (i = 0; i < names->nelts; ++i) {
        missing +=
            !acme_live_slot(table, APR_ARRAY_IDX(names, i, const char *));
    }
    missing -= free_slots(table->retained);
    if (missing > 0 && !add_segment(table, missing)) {
        acme_log_msg(table->server, table->pool, ACME_E_LIVE_FULL,
                     apr_itoa(table->pool, missing), NULL);
    }
    for (i = 0; i < names->nelts; ++i) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (!acme_live_slot(table, name) && strlen(name) < NAME_MAX_LEN) {
            add_slot(table, name);
        }
    }
}

int acme_live_generation(const acme_slot_t *slot, acme_family_t family)
{
    return atomic_load_explicit(&slot->generation[family],
                                memory_order_acquire);
}

void acme_live_set_generation(acme_slot_t *slot, acme_family_t family,
                              int number)
{
    atomic_store_explicit(&slot->generation[family], number,
                          memory_order_release);
}

/* A writer that was killed half-way leaves an odd count; the next one goes on
 * from there. */
static unsigned int begin_write(_Atomic unsigned int *sequence)
{
    unsigned int odd = atomic_load(sequence) | 1u;

    atomic_store(sequence, odd);
    atomic_thread_fence(memory_order_seq_cst);
    return odd;
}

static void end_write(_Atomic unsigned int *sequence, unsigned int odd)
{
    atomic_store_explicit(sequence, odd + 1, memory_order_release);
}

void acme_live_set_status(acme_slot_t *slot, acme_family_t family,
                          const acme_status_t *status)
{
    unsigned int odd = begin_write(&slot->told[family]->sequence);

    memcpy(&slot->told[family]->status, status, sizeof(*status));
    end_write(&slot->told[family]->sequence, odd);
}

void acme_live_get_status(acme_status_t *status, const acme_slot_t *slot,
                          acme_family_t family)
{
    const _Atomic unsigned int *sequence = &slot->told[family]->sequence;
    unsigned int before, after;
    int tries = 0;

    do {
        if (tries > READ_SPINS) {
            apr_sleep(READ_PAUSE); /* the writer lost its processor */
        }
        before = atomic_load_explicit(sequence, memory_order_acquire);
        memcpy(status, &slot->told[family]->status, sizeof(*status));
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(sequence, memory_order_relaxed);
    } while ((before != after || (before & 1)) && ++tries < READ_TRIES);
    /* after a killed writer the copy may be torn: terminate the texts */
    status->serial[sizeof(status->serial) - 1] = '\0';
    status->issuer[sizeof(status->issuer) - 1] = '\0';
    status->next_action[sizeof(status->next_action) - 1] = '\0';
    status->error[sizeof(status->error) - 1] = '\0';
    status->progress[sizeof(status->progress) - 1] = '\0';
    status->ca[sizeof(status->ca) - 1] = '\0';
    status->ca_why[sizeof(status->ca_why) - 1] = '\0';
    status->proof[sizeof(status->proof) - 1] = '\0';
    status->visit[sizeof(status->visit) - 1] = '\0';
    status->limit[sizeof(status->limit) - 1] = '\0';
    status->ari_url[sizeof(status->ari_url) - 1] = '\0';
}

/* --- tokens ---------------------------------------------------------------- */

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

apr_size_t acme_live_lookup(char *buffer, const acme_live_table_t *table,
                            const char *host, const char *token)
{
    const tokens_t *tokens = table->retained->tokens;
    unsigned int hash = hash_key(ACME_PROOF_HTTP_01, token);
    acme_live_found_t found;
    unsigned int i;

    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % TOKENS;

        if (atomic_load_explicit(&tokens->tags[place], memory_order_acquire)
                == hash
            && read_entry(&found, &tokens->entries[place])
            && is_token(&found, host, token)) {
            apr_cpystrn(buffer, found.key_authorization,
                        ACME_LIVE_KEY_AUTH + 1);
            return strlen(buffer);
        }
    }
    return 0;
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
    unsigned int odd = begin_write(&entry->sequence);

    entry->epoch = epoch;
    found->type = proof->type;
    found->ident_type = proof->ident->type;
    apr_cpystrn(found->name, proof->ident->value, sizeof(found->name));
    apr_cpystrn(found->key_authorization, proof->key_authorization,
                sizeof(found->key_authorization));
    end_write(&entry->sequence, odd);
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
        unsigned int odd = begin_write(&entry->sequence);

        entry->found.name[0] = '\0';
        entry->found.key_authorization[0] = '\0';
        end_write(&entry->sequence, odd);
        atomic_store_explicit(&tokens->tags[place], TAG_FREE,
                              memory_order_release);
    }
}

/* A handshake shows one digest, so orders for the same name take turns. What an
 * earlier engine left there gives way.
 * @return 1: another order's proof is there */
static int is_taken(tokens_t *tokens, unsigned int hash, const char *sni,
                    apr_int64_t epoch)
{
    acme_live_found_t found;
    int place = find_handshake(&found, tokens, sni);

    if (place < 0 || tokens->entries[place].epoch == epoch) {
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
        tokens->entries[known].epoch = epoch;
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

void acme_live_withdraw(acme_live_table_t *table, const acme_proof_t *proof)
{
    tokens_t *tokens = table->retained->tokens;
    char sni[ACME_IDENT_SNI];
    unsigned int hash = hash_key(
        proof->type, key_of(sni, proof->type, proof->ident, proof->token));
    int place = find_proof(tokens, hash, proof);

    if (place >= 0) {
        free_token(tokens, (unsigned int)place, hash);
    }
}

void acme_live_sweep(acme_live_table_t *table, apr_int64_t epoch)
{
    tokens_t *tokens = table->retained->tokens;
    unsigned int place;

    for (place = 0; place < TOKENS; ++place) {
        unsigned int tag = atomic_load(&tokens->tags[place]);

        if (tag > TAG_BUSY && tokens->entries[place].epoch < epoch) {
            free_token(tokens, place, tag);
        }
    }
}
