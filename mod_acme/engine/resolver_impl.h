/**
 * What the files of the resolver share; nobody else includes it.
 *
 *   resolver.c        questions, look-ups and their turn
 *   resolver_server.c whom they are put to
 *   resolver_txt.c    who has a TXT record
 *   resolver_caa.c    which CAs a name allows
 *   resolver_host.c   where it leads
 */
#ifndef ACME_RESOLVER_IMPL_H
#define ACME_RESOLVER_IMPL_H

#include <apr_hash.h>
#include <ares.h>

#include "engine/resolver.h"
#include "engine/timer.h"

/** Whom to ask. */
typedef struct acme_whom_t {
    const char *address; /* acme_resolver_address, or several with commas; NULL:
                            the machine's own */
    int recurse;         /* 0: a zone's own: for what it knows itself; else 1 */
} acme_whom_t;

/** One whom questions are put to: c-ares keeps sockets and repeats. Found by its
 *  address at each question, for it does not outlive the last one for long. */
typedef struct acme_server_t {
    acme_resolver_t *resolver;
    apr_pool_t *pool; /* its own */
    const char *key;  /* the address */
    ares_channel channel;
    int usable;  /* the channel is there */
    int pending; /* questions */
} acme_server_t;

struct acme_resolver_t {
    apr_pool_t *pool;
    acme_resolver_config_t config;
    apr_hash_t
        *servers[2]; /* address -> acme_server_t *, by acme_whom_t.recurse */
    acme_lookup_t *active, *waiting, **waiting_end;
    int active_count, waiting_count;
    acme_timers_t *resting; /* without a place, until it is time to ask again */
    int ending;
};

/** Common to all look-ups; the kinds' own begins behind it. */
struct acme_lookup_t {
    acme_timer_t rest; /* its first member */
    acme_lookup_t *next;
    acme_resolver_t *resolver;
    apr_pool_t *pool;  /* its own */
    apr_pool_t *round; /* of what holds up to its next rest */
    apr_time_t due;    /* when step is called; ACME_NEVER: an answer does it */
    int pending;       /* questions */
    int over;          /* told, or forgotten: gone when nothing is pending */
    /** Something is due, or the last answer asked for has come. */
    void (*step)(acme_lookup_t *lookup, apr_time_t now);
    const apr_array_header_t *resolvers; /* copied; NULL: none were named */
    void *baton;
};

/** One whose turn comes at once or later. @param size  of the whole struct */
acme_lookup_t *acme_lookup_make(acme_resolver_t *resolver, apr_size_t size,
                                const apr_array_header_t *resolvers);

/** The resolvers that were named for the look-up, else the machine's own. */
acme_whom_t acme_whom_named(const acme_lookup_t *lookup);

acme_server_t *acme_resolver_server(acme_resolver_t *resolver,
                                    const acme_whom_t *whom);
/** Those whom nobody asks just now and that are too many. Neither is to be called
 *  from an answer. */
void acme_resolver_close_idle(acme_resolver_t *resolver);
void acme_resolver_close_servers(acme_resolver_t *resolver); /* all */
void acme_resolver_process_timeouts(acme_resolver_t *resolver);
/** @return how long none of them has to be seen to, at most max */
apr_interval_time_t acme_resolver_wait_servers(const acme_resolver_t *resolver,
                                               apr_interval_time_t max);

/** @param answer   NULL: there is none; why says so. Lives until the call
 *                  returns, as why
 *  Not called for a look-up that is over. */
typedef void acme_answer_fn_t(acme_lookup_t *lookup, void *baton,
                              const acme_dns_answer_t *answer, const char *why);

/** Ask; answered may be called before this returns. */
void acme_lookup_ask(acme_lookup_t *lookup, const acme_whom_t *whom,
                     const char *name, acme_dns_type_t type,
                     acme_answer_fn_t *answered, void *baton);

#endif
