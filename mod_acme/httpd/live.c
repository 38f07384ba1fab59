#include "httpd/live_impl.h"

#include <string.h>

#include <apr_strings.h>
#include <http_config.h>

#include "core/encode.h"

#include "httpd/log.h"
#include "httpd/shared.h"

#define FIRST_SLOTS 64

/* A status is read again while it is written, but not for good: its writer may
 * have been killed. */
#define READ_SPINS 100
#define READ_TRIES 2000
#define READ_PAUSE 500 /* microseconds */

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

static retained_t *retain(server_rec *s)
{
    const char *key = apr_psprintf(
        s->process->pool, LAYOUT "-%" APR_SIZE_T_FMT,
        sizeof(acme_slot_t) + sizeof(told_t) + sizeof(acme_remarks_t)
            + sizeof(told_events_t) + sizeof(token_t));
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

/* Room for count things of this size, at *at, which moves on. */
static void *take(char **at, apr_size_t count, apr_size_t size)
{
    void *taken = *at;

    *at += APR_ALIGN(count * size, sizeof(void *));
    return taken;
}

static segment_t *share_segment(const acme_live_table_t *table, int capacity)
{
    apr_pool_t *process = table->server->process->pool;
    apr_size_t count = (apr_size_t)capacity;
    apr_size_t each =
        sizeof(told_t) + sizeof(acme_remarks_t) + sizeof(told_events_t);
    char *at =
        acme_shared_make(count * (sizeof(numbers_t) + ACME_FAMILIES * each)
                             + (1 + 3 * ACME_FAMILIES) * sizeof(void *),
                         ACME_E_LIVE_MEMORY, table->server);
    segment_t *segment;
    int i;

    if (!at) {
        return NULL;
    }
    segment = apr_pcalloc(process, sizeof(*segment));
    segment->number = table->retained->segment_count;
    segment->capacity = capacity;
    segment->slots = apr_pcalloc(process, count * sizeof(acme_slot_t));
    segment->numbers = take(&at, count, sizeof(numbers_t));
    for (i = 0; i < ACME_FAMILIES; ++i) {
        segment->told[i] = take(&at, count, sizeof(told_t));
        segment->remarks[i] = take(&at, count, sizeof(acme_remarks_t));
        segment->events[i] = take(&at, count, sizeof(told_events_t));
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
    table->pool = pconf;
    table->retained = retain(s);
    table->slots = apr_hash_make(pconf);
    if (!table->retained->tokens) {
        table->retained->tokens =
            acme_shared_make(sizeof(tokens_t), ACME_E_LIVE_MEMORY, s);
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
    int i;

    for (i = 0; i < table->retained->segment_count; ++i) {
        segment_t *segment = table->retained->segments[i];

        if (segment->used < segment->capacity) {
            acme_slot_t *slot = &segment->slots[segment->used++];

            slot->name = apr_pstrdup(table->server->process->pool, name);
            slot->segment = segment;
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

int acme_live_add_staples(acme_live_table_t *table)
{
    retained_t *retained = table->retained;
    int i;

    for (i = 0; i < retained->segment_count; ++i) {
        int count = retained->segments[i]->capacity * ACME_FAMILIES;

        table->staples_new[i] = !retained->staples[i];
        if (!retained->staples[i]) {
            retained->staples[i] = acme_shared_make(
                acme_staples_size(count), ACME_W_STAPLE_MEMORY, table->server);
        }
        if (!retained->staples[i]) {
            return 0;
        }
    }
    return 1;
}

static int index_of(const acme_slot_t *slot)
{
    return (int)(slot - slot->segment->slots);
}

acme_staples_t *acme_live_staples(const acme_slot_t *slot, acme_family_t family)
{
    acme_staples_t *first =
        the_table ? the_table->retained->staples[slot->segment->number] : NULL;

    return first ? acme_staples_at(first,
                                   index_of(slot) * ACME_FAMILIES + (int)family)
                 : NULL;
}

int acme_live_staples_new(const acme_live_table_t *table,
                          const acme_slot_t *slot)
{
    return table->staples_new[slot->segment->number];
}

static _Atomic int *generation_of(const acme_slot_t *slot, acme_family_t family)
{
    return &slot->segment->numbers[index_of(slot)].generation[family];
}

int acme_live_generation(const acme_slot_t *slot, acme_family_t family)
{
    return atomic_load_explicit(generation_of(slot, family),
                                memory_order_acquire);
}

void acme_live_set_generation(acme_slot_t *slot, acme_family_t family,
                              int number)
{
    atomic_store_explicit(generation_of(slot, family), number,
                          memory_order_release);
}

/* --- what is told ---------------------------------------------------------------- */

static told_t *told_of(const acme_slot_t *slot, acme_family_t family)
{
    return &slot->segment->told[family][index_of(slot)];
}

static acme_remarks_t *remarks_of(const acme_slot_t *slot, acme_family_t family)
{
    return &slot->segment->remarks[family][index_of(slot)];
}

static acme_event_t *events_of(const acme_slot_t *slot, acme_family_t family)
{
    return slot->segment->events[family][index_of(slot)].ring;
}

void acme_live_set_status(acme_slot_t *slot, acme_family_t family,
                          const acme_status_t *status)
{
    told_t *told = told_of(slot, family);
    unsigned int odd = acme_live_begin_write(&told->sequence);

    memcpy(&told->status, status, sizeof(*status));
    told->status.remarks = NULL;
    if (status->remarks || told->remarked) {
        memcpy(remarks_of(slot, family), acme_remarks(status),
               sizeof(acme_remarks_t));
        told->remarked = 1;
    }
    acme_live_end_write(&told->sequence, odd);
}

/* After a killed writer the copy may be torn; or it is somebody else's nonsense. */
static void make_sound(acme_status_t *status, acme_remarks_t *remarks)
{
    if ((unsigned int)status->state > ACME_STATE_MANUAL) {
        status->state = ACME_STATE_UNKNOWN;
    }
    if ((unsigned int)status->wait > ACME_WAIT_REFUSED) {
        status->wait = ACME_WAIT_NONE;
    }
#define TERMINATE(text) (text)[sizeof(text) - 1] = '\0'
    TERMINATE(status->serial);
    TERMINATE(status->issuer);
    TERMINATE(status->next_action);
    TERMINATE(status->progress);
    TERMINATE(status->ca);
    TERMINATE(status->proof);
    TERMINATE(remarks->limit);
    TERMINATE(remarks->ari_url);
    TERMINATE(remarks->error);
    TERMINATE(remarks->visit);
    TERMINATE(remarks->ca_why);
    TERMINATE(remarks->tlsa);
    TERMINATE(remarks->tlsa_next);
    TERMINATE(remarks->left_out);
#undef TERMINATE
}

void acme_live_get_status(acme_status_t *status, const acme_slot_t *slot,
                          acme_family_t family, apr_pool_t *pool)
{
    const told_t *told = told_of(slot, family);
    acme_remarks_t remarks;
    unsigned int before, after;
    int tries = 0, remarked;

    do {
        if (tries > READ_SPINS) {
            apr_sleep(READ_PAUSE); /* the writer lost its processor */
        }
        before = atomic_load_explicit(&told->sequence, memory_order_acquire);
        memcpy(status, &told->status, sizeof(*status));
        remarked = pool && told->remarked;
        if (remarked) {
            memcpy(&remarks, remarks_of(slot, family), sizeof(remarks));
        }
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&told->sequence, memory_order_relaxed);
    } while ((before != after || (before & 1)) && ++tries < READ_TRIES);
    if (!remarked) {
        memset(&remarks, 0, sizeof(remarks));
    }
    make_sound(status, &remarks);
    status->remarks =
        remarked ? apr_pmemdup(pool, &remarks, sizeof(remarks)) : NULL;
}

void acme_live_add_event(acme_slot_t *slot, acme_family_t family,
                         apr_time_t time, const char *text)
{
    told_t *told = told_of(slot, family);
    unsigned int odd = acme_live_begin_write(&told->sequence);
    acme_event_t *event =
        &events_of(slot, family)[told->event_count % ACME_MAX_EVENTS];

    event->time = time;
    acme_encode_cut(event->text, sizeof(event->text), text);
    told->event_count++;
    acme_live_end_write(&told->sequence, odd);
}

/* In order; @return their number */
static int copy_events(acme_event_t *to, const acme_event_t *ring,
                       unsigned int written)
{
    unsigned int first = written < ACME_MAX_EVENTS ? 0 : written;
    unsigned int i,
        count = written < ACME_MAX_EVENTS ? written : ACME_MAX_EVENTS;

    for (i = 0; i < count; i++) {
        to[i] = ring[(first + i) % ACME_MAX_EVENTS];
        to[i].text[sizeof(to[i].text) - 1] = '\0';
    }
    return (int)count;
}

int acme_live_events(acme_event_t *events, const acme_slot_t *slot,
                     acme_family_t family)
{
    const told_t *told = told_of(slot, family);
    unsigned int before, after;
    int count, tries = 0;

    do {
        before = atomic_load_explicit(&told->sequence, memory_order_acquire);
        count = copy_events(events, events_of(slot, family), told->event_count);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&told->sequence, memory_order_relaxed);
    } while ((before != after || (before & 1)) && ++tries < READ_SPINS);
    return count;
}
