/**
 * One look at one address, as a CA would take it: a request for a token by HTTP,
 * or a handshake. Never blocks; reads no more than it needs; an answer that is
 * not ours is described, not followed, but for a redirect to the same name and
 * path.
 */
#ifndef ACME_PROBE_H
#define ACME_PROBE_H

#include "core/diagnosis.h"
#include "engine/transport.h"

typedef struct acme_probe_t acme_probe_t;
typedef struct acme_hello_t acme_hello_t;

typedef struct acme_probe_question_t {
    const acme_ident_t *ident;
    const char *address;
    int v6;
    int port, tls_port; /* to go to for the outside's 80 and 443 */
    const char *token;
    const char *expected; /* key authorization; NULL: nothing can be ours */
    const char *user_agent;
    apr_interval_time_t patience; /* in all */
} acme_probe_question_t;

/** The probe is over; sight->saw and what belongs to it are set. From
 *  acme_transport_poll or acme_hello_expire, never from where it began. */
typedef void acme_probe_done_fn_t(void *baton, acme_sight_t *sight);

/** A request for the token at port 80. @param question  copied where needed
 *  @param sight  filled in at the end, with strings from pool
 *  @return NULL: there is no memory, nothing will be called */
acme_probe_t *acme_probe_begin(acme_transport_t *transport,
                               const acme_probe_question_t *question,
                               acme_sight_t *sight, acme_probe_done_fn_t *done,
                               void *baton, apr_pool_t *pool);
/** Let go of it, over or not. */
void acme_probe_end(acme_probe_t *probe);

/** A handshake at tls_port. @param alpn  1: for acme-tls/1, and ours is the answer
 *          that proves expected; 0: any, at port, to find out whether TLS is
 *          spoken there (saw TLS, or GARBAGE) */
acme_hello_t *acme_hello_begin(acme_watches_t *watches,
                               const acme_probe_question_t *question, int alpn,
                               acme_sight_t *sight, acme_probe_done_fn_t *done,
                               void *baton, apr_pool_t *pool);
/** Its time is over, if it is not done. */
void acme_hello_expire(acme_hello_t *hello);
void acme_hello_end(acme_hello_t *hello);

#endif
