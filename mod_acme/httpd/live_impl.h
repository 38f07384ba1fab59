/**
 * The live table's memory, shared by the files that look into it: live.c (slots)
 * and live_tokens.c (challenges).
 */
#ifndef ACME_LIVE_IMPL_H
#define ACME_LIVE_IMPL_H

#include <stdatomic.h>

#include "httpd/live.h"
#include "httpd/staples.h"

/* Changes with any change of the structs below: a newer module that is loaded
 * by a graceful restart must not read an older one's memory. */
#define LAYOUT       "mod_acme-live-8"
#define NAME_MAX_LEN 256
#define SEGMENTS     32
#define TOKENS       32768 /* power of two */

/* What is told of one certificate and family. Mostly it is of one family, and
 * few certificates have remarks or had an event: each family's, all remarks and
 * all events lie together, so that pages are never touched that are not used. */
typedef struct told_t {
    _Atomic unsigned int sequence; /* odd while any of it is written */
    int remarked; /* its remarks were written; until then they are not
                             touched */
    unsigned int event_count; /* so far */
    acme_status_t status;     /* remarks: NULL */
} told_t;

typedef struct told_events_t {
    acme_event_t ring[ACME_MAX_EVENTS];
} told_events_t;

typedef struct numbers_t {
    _Atomic int generation[ACME_FAMILIES];
} numbers_t;

struct acme_slot_t {
    const char *name;
    struct segment_t *segment; /* its own */
};

/* Where things are. Each process has its own copy, from before it was forked:
 * root must not go by what a child can write, which is everything that the
 * pointers to shared memory lead to. */
typedef struct segment_t {
    int number;
    int capacity;
    int used; /* changed by the parent alone */
    acme_slot_t *slots;
    /* shared, by the slot's index */
    numbers_t *numbers;
    told_t *told[ACME_FAMILIES];
    acme_remarks_t *remarks[ACME_FAMILIES];
    told_events_t *events[ACME_FAMILIES];
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
    /* Of all slots of a segment, in pairs of families; NULL until they are
     * wanted. Never in shared memory itself: children forked before they were
     * made do not have them. */
    acme_staples_t *staples[SEGMENTS];
    tokens_t *tokens;
} retained_t;

struct acme_live_table_t {
    retained_t *retained;
    int staples_new[SEGMENTS];
    apr_hash_t *slots; /* name -> acme_slot_t */
    apr_pool_t *pool;
    server_rec *server;
};

/* A writer that was killed half-way leaves an odd count; the next one goes on
 * from there. */
static inline unsigned int acme_live_begin_write(_Atomic unsigned int *sequence)
{
    unsigned int odd = atomic_load(sequence) | 1u;

    atomic_store(sequence, odd);
    atomic_thread_fence(memory_order_seq_cst);
    return odd;
}

static inline void acme_live_end_write(_Atomic unsigned int *sequence,
                                       unsigned int odd)
{
    atomic_store_explicit(sequence, odd + 1, memory_order_release);
}

#endif
