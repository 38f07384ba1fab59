#include "httpd/hits.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_config.h>

#include "httpd/shared.h"

/* Changes with any change of the structs below. */
#define LAYOUT "mod_acme-hits-1"

#define WATCHES 8192u /* power of two; untouched ones take no memory */
#define WINDOW  32u   /* a name lies within so many places of its hash */

/* Seconds. An order that is over for the CA may still be asked for by a second
 * vantage point; one whose engine was killed is not open for ever. */
#define LATE_VISITORS (15 * 60)
#define LONGEST_ORDER (24 * 60 * 60)

#define KNOWN (ACME_MAX_HITS - ACME_HITS_OTHERS)
#define MANY  1000000u /* counted so far and no further */

typedef struct place_t {
    _Atomic unsigned int sequence; /* odd while it is written */
    unsigned int opening;          /* of its watch that it is for; 0: none */
    acme_hit_t hit;
} place_t;

/* The visits of one name. */
typedef struct watch_t {
    _Atomic unsigned int sequence; /* odd while name is written */
    _Atomic unsigned int opening;  /* counts the names that were here */
    _Atomic unsigned int until;    /* others are recorded, second since 1970 */
    _Atomic unsigned int known, others; /* so far; others in this order */
    char name[ACME_IDENT_SNI];
    place_t places[ACME_MAX_HITS]; /* known first */
} watch_t;

typedef struct watches_t {
    _Atomic unsigned int tags[WATCHES]; /* hash of the name; 0: free */
    watch_t watches[WATCHES];
} watches_t;

/* Lives in the process pool, across restarts and reloads of the module. */
typedef struct retained_t {
    watches_t *memory;
} retained_t;

struct acme_hits_t {
    watches_t *memory;
};

static acme_hits_t *the_hits;

acme_hits_t *acme_hits(void)
{
    return the_hits;
}

static apr_status_t forget_hits(void *data)
{
    if (the_hits == data) {
        the_hits = NULL;
    }
    return APR_SUCCESS;
}

acme_hits_t *acme_hits_open(server_rec *s, apr_pool_t *pconf)
{
    const char *key = apr_psprintf(s->process->pool, LAYOUT "-%" APR_SIZE_T_FMT,
                                   sizeof(watches_t));
    retained_t *retained = ap_retained_data_get(key);
    acme_hits_t *hits = apr_pcalloc(pconf, sizeof(*hits));

    if (!retained) {
        retained = ap_retained_data_create(key, sizeof(*retained));
    }
    if (!retained->memory) {
        /* all zero: free places */
        retained->memory =
            acme_shared_make(sizeof(watches_t), ACME_W_HITS_MEMORY, s);
    }
    if (!retained->memory) {
        return NULL;
    }
    hits->memory = retained->memory;
    the_hits = hits;
    apr_pool_cleanup_register(pconf, hits, forget_hits, apr_pool_cleanup_null);
    return hits;
}

/* --- finding a name ----------------------------------------------------------- */

/* One form for all that a name can be told by: that of handshakes. */
static int key_of(char key[ACME_IDENT_SNI], const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    acme_ident_t ident = { ACME_IDENT_DNS, name };
    int is_4 = inet_pton(AF_INET, name, address) == 1;

    if (is_4 || inet_pton(AF_INET6, name, address) == 1) {
        ident.type = ACME_IDENT_IP;
        ident.value =
            inet_ntop(is_4 ? AF_INET : AF_INET6, address, text, sizeof(text));
    }
    key[0] = '\0';
    if (strlen(name) < ACME_IDENT_SNI) {
        acme_ident_server_name(key, &ident);
    }
    return key[0] != '\0';
}

/* FNV-1a, for spreading only: names are the same in any case. */
static unsigned int hash_key(const char *key)
{
    unsigned int hash = 2166136261u;

    for (; *key; ++key) {
        hash = (hash ^ (unsigned char)apr_tolower(*key)) * 16777619u;
    }
    return hash ? hash : 1;
}

static int is_of(const watch_t *watch, const char *key)
{
    unsigned int before, after;
    int same;

    before = atomic_load_explicit(&watch->sequence, memory_order_acquire);
    same = !strncasecmp(watch->name, key, sizeof(watch->name));
    atomic_thread_fence(memory_order_acquire);
    after = atomic_load_explicit(&watch->sequence, memory_order_relaxed);
    return same && before == after && !(before & 1);
}

static watch_t *find_key(watches_t *memory, const char *key, unsigned int hash)
{
    unsigned int i;

    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % WATCHES;

        if (atomic_load_explicit(&memory->tags[place], memory_order_acquire)
                == hash
            && is_of(&memory->watches[place], key)) {
            return &memory->watches[place];
        }
    }
    return NULL;
}

static watch_t *find(const acme_hits_t *hits, const char *name)
{
    char key[ACME_IDENT_SNI];

    return hits && name && key_of(key, name)
               ? find_key(hits->memory, key, hash_key(key))
               : NULL;
}

/* --- what the engine says ------------------------------------------------------ */

static unsigned int seconds(apr_time_t time)
{
    return (unsigned int)apr_time_sec(time);
}

/* A free place, or that of the name whose order is over the longest.
 * @return WATCHES: all are of orders that are not over */
static unsigned int choose_place(const watches_t *memory, unsigned int hash,
                                 unsigned int now)
{
    unsigned int i, best = WATCHES, oldest = now;

    for (i = 0; i < WINDOW; ++i) {
        unsigned int place = (hash + i) % WATCHES;
        unsigned int until = atomic_load(&memory->watches[place].until);

        if (!atomic_load(&memory->tags[place])) {
            return place;
        }
        if (until < oldest) {
            oldest = until;
            best = place;
        }
    }
    return best;
}

static watch_t *claim(watches_t *memory, const char *key, unsigned int hash,
                      unsigned int now)
{
    unsigned int place = choose_place(memory, hash, now), odd;
    watch_t *watch;

    if (place == WATCHES) {
        return NULL;
    }
    watch = &memory->watches[place];
    atomic_store(&memory->tags[place], 0);
    odd = atomic_load(&watch->sequence) | 1u;
    atomic_store(&watch->sequence, odd);
    atomic_thread_fence(memory_order_seq_cst);
    apr_cpystrn(watch->name, key, sizeof(watch->name));
    atomic_store_explicit(&watch->sequence, odd + 1, memory_order_release);
    /* what was here belongs to an earlier opening: it is not read any more */
    atomic_fetch_add(&watch->opening, 1);
    atomic_store(&watch->known, 0);
    atomic_store(&memory->tags[place], hash);
    return watch;
}

void acme_hits_expect(acme_hits_t *hits, const acme_ident_t *ident,
                      apr_time_t now)
{
    char key[ACME_IDENT_SNI];
    unsigned int hash;
    watch_t *watch;

    if (!hits || !key_of(key, ident->value)) {
        return;
    }
    hash = hash_key(key);
    watch = find_key(hits->memory, key, hash);
    if (watch && atomic_load(&watch->until) >= seconds(now)) {
        atomic_store(&watch->until, seconds(now) + LONGEST_ORDER);
        return;
    }
    if (!watch && !(watch = claim(hits->memory, key, hash, seconds(now)))) {
        return;
    }
    atomic_store(&watch->others, 0);
    atomic_store(&watch->until, seconds(now) + LONGEST_ORDER);
}

void acme_hits_over(acme_hits_t *hits, const acme_ident_t *ident,
                    apr_time_t now)
{
    watch_t *watch = find(hits, ident->value);

    if (watch) {
        atomic_store(&watch->until, seconds(now) + LATE_VISITORS);
    }
}

/* --- what visitors do ------------------------------------------------------------ */

int acme_hits_expected(const acme_hits_t *hits, const char *name,
                       apr_time_t now)
{
    const watch_t *watch = find(hits, name);

    return watch && atomic_load(&watch->until) >= seconds(now);
}

/* @return ACME_MAX_HITS: there is none */
static unsigned int next_place(watch_t *watch, int known)
{
    unsigned int count;

    if (known) {
        return atomic_fetch_add(&watch->known, 1) % KNOWN;
    }
    if (atomic_load_explicit(&watch->others, memory_order_relaxed) >= MANY) {
        return ACME_MAX_HITS;
    }
    count = atomic_fetch_add(&watch->others, 1);
    return count < ACME_HITS_OTHERS ? KNOWN + count : ACME_MAX_HITS;
}

void acme_hits_add(acme_hits_t *hits, const char *name, const acme_hit_t *hit)
{
    watch_t *watch = find(hits, name);
    unsigned int opening, number, sequence;
    place_t *place;

    if (!watch) {
        return;
    }
    opening = atomic_load(&watch->opening);
    number = next_place(watch, hit->known);
    if (number == ACME_MAX_HITS) {
        return;
    }
    place = &watch->places[number];
    sequence = atomic_load(&place->sequence);
    /* Who was killed here has taken the place along: one less, no more. */
    if (sequence & 1
        || !atomic_compare_exchange_strong(&place->sequence, &sequence,
                                           sequence + 1)) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst); /* odd before what it tells of */
    place->opening = opening;
    memcpy(&place->hit, hit, sizeof(*hit));
    atomic_store_explicit(&place->sequence, sequence + 2, memory_order_release);
}

/* --- reading --------------------------------------------------------------------- */

/* @return 0: nothing is there, or it is being written */
static int read_place(acme_hit_t *hit, const place_t *place,
                      unsigned int opening)
{
    unsigned int before, after, found;

    before = atomic_load_explicit(&place->sequence, memory_order_acquire);
    found = place->opening;
    memcpy(hit, &place->hit, sizeof(*hit));
    atomic_thread_fence(memory_order_acquire);
    after = atomic_load_explicit(&place->sequence, memory_order_relaxed);
    /* whoever wrote it */
    hit->peer[sizeof(hit->peer) - 1] = hit->host[sizeof(hit->host) - 1] = '\0';
    hit->agent[sizeof(hit->agent) - 1] = '\0';
    hit->server[sizeof(hit->server) - 1] = '\0';
    hit->where[sizeof(hit->where) - 1] = '\0';
    if (hit->type != ACME_PROOF_TLS_ALPN_01) {
        hit->type = ACME_PROOF_HTTP_01;
    }
    return before == after && !(before & 1) && before && found == opening;
}

static void insert(acme_hit_t *found, int count, const acme_hit_t *hit)
{
    while (count > 0 && found[count - 1].time > hit->time) {
        found[count] = found[count - 1];
        --count;
    }
    found[count] = *hit;
}

int acme_hits_read(acme_hit_t *found, int *uncounted, const acme_hits_t *hits,
                   const acme_ident_t *ident, apr_time_t since)
{
    const watch_t *watch = find(hits, ident->value);
    unsigned int opening, others;
    int i, count = 0;

    if (uncounted) {
        *uncounted = 0;
    }
    if (!watch) {
        return 0;
    }
    opening = atomic_load(&watch->opening);
    others = atomic_load(&watch->others);
    for (i = 0; i < ACME_MAX_HITS; ++i) {
        acme_hit_t hit;

        if (read_place(&hit, &watch->places[i], opening) && hit.time >= since) {
            insert(found, count++, &hit);
        }
    }
    if (uncounted && others > ACME_HITS_OTHERS) {
        *uncounted = (int)(others - ACME_HITS_OTHERS);
    }
    return count;
}
