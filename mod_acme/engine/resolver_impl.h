/**
 * What the files of the resolver share; nobody else includes it.
 *
 *   resolver.c      channels, questions, look-ups and their turn
 *   resolver_txt.c  who has a TXT record
 *   resolver_caa.c  which CAs a name allows
 *   resolver_host.c where it leads
 */
#ifndef ACME_RESOLVER_IMPL_H
#define ACME_RESOLVER_IMPL_H

#include <apr_hash.h>
#include <ares.h>

#include "engine/resolver.h"
#include "engine/timer.h"

/** One whom questions can be put to: c-ares keeps sockets and repeats. */
typedef struct acme_server_t {
    acme_resolver_t *resolver;
    ares_channel channel;
    int usable;  /* the channel is there */
    int pending; /* questions */
} acme_server_t;

struct acme_resolver_t {
    apr_pool_t *pool;
    acme_resolver_config_t config;
    apr_pool_t *servers_pool; /* cleared when nobody looks anything up */
    apr_hash_t *servers;      /* key -> acme_server_t * */
    acme_lookup_t *active, *waiting, **waiting_end;
    int active_count, waiting_count;
    int ending;
};

/** Common to all look-ups; the kinds' own begins behind it. */
struct acme_lookup_t {
    acme_lookup_t *next;
    acme_resolver_t *resolver;
    apr_pool_t *pool; /* its own */
    apr_time_t due;   /* when step is called; ACME_NEVER: an answer does it */
    int pending;      /* questions */
    int over;         /* told, or forgotten: gone when nothing is pending */
    /** Something is due, or the last answer asked for has come. */
    void (*step)(acme_lookup_t *lookup, apr_time_t now);
    const apr_array_header_t *resolvers; /* copied; NULL: none were named */
    void *baton;
};

/** One whose turn comes at once or later. @param size  of the whole struct */
acme_lookup_t *acme_lookup_make(acme_resolver_t *resolver, apr_size_t size,
                                const apr_array_header_t *resolvers);

/** @param address  acme_resolver_address, or several with commas; NULL: the
 *                  machine's own
 *  @param recurse  0: of a zone: asked for what it knows itself */
acme_server_t *acme_resolver_server(acme_resolver_t *resolver,
                                    const char *address, int recurse);

/** @param answer   NULL: there is none; why says so. Lives until the call
 *                  returns, as why
 *  Not called for a look-up that is over. */
typedef void acme_answer_fn_t(acme_lookup_t *lookup, void *baton,
                              const acme_dns_answer_t *answer, const char *why);

/** Ask; answered may be called before this returns. */
void acme_lookup_ask(acme_lookup_t *lookup, acme_server_t *server,
                     const char *name, acme_dns_type_t type,
                     acme_answer_fn_t *answered, void *baton);

#endif
