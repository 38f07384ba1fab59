/**
 * Questions to DNS beside the engine's loop, with c-ares: whether a TXT record
 * can be seen by everybody, which CAs a name allows, and where it leads. Never
 * blocks; nothing an answer holds is kept beyond bounds.
 */
#ifndef ACME_RESOLVER_H
#define ACME_RESOLVER_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "core/caa.h"
#include "core/err.h"
#include "engine/watch.h"

#define ACME_RESOLVER_MAX_NAMED 8  /* resolvers that may be named */
#define ACME_RESOLVER_AT_ONCE   64 /* look-ups; further ones wait */

typedef struct acme_resolver_t acme_resolver_t;
typedef struct acme_lookup_t acme_lookup_t;

typedef struct acme_resolver_config_t {
    acme_watches_t *watches;
    int authority_port; /* of zones' own servers: 53; others in tests */
    const char *system; /* "address:port" to ask in place of the machine's own
                           resolvers (/etc/resolv.conf); NULL: those */
    int timeout; /* milliseconds before a question is put again; 0: 2000 */
} acme_resolver_config_t;

/** @param config  copied */
acme_err_t *acme_resolver_create(acme_resolver_t **resolver,
                                 const acme_resolver_config_t *config,
                                 apr_pool_t *pool) ACME_MUST_CHECK;

/** An address as an administrator writes it: "9.9.9.9", "127.0.0.1:5353",
 *  "2620:fe::fe", "[2620:fe::fe]:53". @return NULL where it is none; else the form
 *  in which it is compared and asked, from pool */
const char *acme_resolver_address(const char *text, apr_pool_t *pool);

/** To be called in each round of the loop. */
void acme_resolver_run(acme_resolver_t *resolver, apr_time_t now);
/** How long the loop may wait until then, at most max. */
apr_interval_time_t acme_resolver_wait(const acme_resolver_t *resolver,
                                       apr_time_t now, apr_interval_time_t max);
/** Look-ups in progress or waiting. */
int acme_resolver_count(const acme_resolver_t *resolver);

/** Nobody wants to know any more: done is not called. */
void acme_lookup_forget(acme_lookup_t *lookup);

/* --- whether a TXT record is to be seen ------------------------------------------ */

typedef enum acme_seen_t {
    ACME_SEEN_YES,     /* each server that answers has it */
    ACME_SEEN_NO,      /* one that answers has not, and the time is over */
    ACME_SEEN_UNKNOWN, /* none could be asked, and the time is over */
} acme_seen_t;

/** What to look for; copied but for baton. */
typedef struct acme_txt_question_t {
    const char *name; /* aliases (CNAME) are followed */
    /** Whether this text is it. */
    int (*is_wanted)(void *baton, const char *text);
    apr_time_t until;                    /* asked again and again up to then */
    const apr_array_header_t *resolvers; /* const char *, acme_resolver_address:
                          ask these, each of which must have it. NULL or empty:
                          the servers of the zone itself, each at all its
                          addresses; one that does not answer at an address,
                          or (three times) at none of them, does not count */
} acme_txt_question_t;

/** @param where  in words: who has it not, or why nobody could be asked; "" for
 *                YES. Lives until the call returns */
typedef void acme_txt_done_fn_t(void *baton, acme_seen_t seen,
                                const char *where);

/** done is called from acme_resolver_run or from a wait, never from here. */
acme_lookup_t *acme_resolver_await_txt(acme_resolver_t *resolver,
                                       const acme_txt_question_t *question,
                                       acme_txt_done_fn_t *done, void *baton);

/* --- which CAs a name allows ------------------------------------------------------- */

/** @param domain   the name itself or the one above it that has CAA records; NULL:
 *                  none has any
 *  @param records  acme_caa_t *; NULL with domain
 *  @param failure  why nothing is known (the others are NULL then), or NULL.
 *                  All live until the call returns */
typedef void acme_caa_done_fn_t(void *baton, const char *domain,
                                const apr_array_header_t *records,
                                const char *failure);

/** RFC 8659 section 3. @param name       without "*."
 *  @param resolvers  as above; NULL or empty: the machine's own */
acme_lookup_t *acme_resolver_find_caa(acme_resolver_t *resolver,
                                      const char *name,
                                      const apr_array_header_t *resolvers,
                                      acme_caa_done_fn_t *done, void *baton);

/* --- where a name leads -------------------------------------------------------------- */

#define ACME_RESOLVER_MAX_ADDRESSES 8 /* of each kind; more are passed over */

/** Lives until the call returns. */
typedef struct acme_hosts_t {
    apr_array_header_t *addresses; /* const char *: those of IPv4 first */
    const char *nowhere;           /* why there certainly are none; or NULL */
    const char *unknown; /* why they are not known, or not all; or NULL */
} acme_hosts_t;

typedef void acme_hosts_done_fn_t(void *baton, const acme_hosts_t *hosts);

/** A and AAAA, aliases followed. @param resolvers  as above */
acme_lookup_t *acme_resolver_find_hosts(acme_resolver_t *resolver,
                                        const char *name,
                                        const apr_array_header_t *resolvers,
                                        acme_hosts_done_fn_t *done,
                                        void *baton);

#endif
