/**
 * Programs that AcmeOn names, and what they are told: the kinds of event, and a
 * program's arguments and environment.
 *
 *   PROGRAM [arguments of AcmeOn] EVENT CERTIFICATE [TYPE PORT]
 *
 * TYPE and PORT stand there for challenge-open and challenge-close alone: programs
 * that become root by sudo get no environment.
 */
#ifndef ACME_HOOK_H
#define ACME_HOOK_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/** In the order in which they happen to a certificate. */
typedef enum acme_event_kind_t {
    ACME_EVENT_RENEWING,  /* an order begins */
    ACME_EVENT_RENEWED,   /* it was issued, also for the first time */
    ACME_EVENT_INSTALLED, /* root has promoted it, at a start or reload */
    ACME_EVENT_EXPIRING,  /* it ends soon; daily, until mended */
    ACME_EVENT_ERRORED,   /* an attempt failed */
    ACME_EVENT_REVOKED,   /* the CA says so, or it was done here */
    ACME_EVENT_CHALLENGE_OPEN,
    ACME_EVENT_CHALLENGE_CLOSE,
} acme_event_kind_t;
#define ACME_EVENTS           8
#define ACME_EVENT_BIT(event) (1u << (event))
#define ACME_EVENTS_CHALLENGES                                                 \
    (ACME_EVENT_BIT(ACME_EVENT_CHALLENGE_OPEN)                                 \
     | ACME_EVENT_BIT(ACME_EVENT_CHALLENGE_CLOSE))

#define ACME_HOOK_LIMIT apr_time_from_sec(60) /* of a program's time */

/** One AcmeOn. */
typedef struct acme_hook_t {
    unsigned int events;               /* ACME_EVENT_BIT */
    const apr_array_header_t *command; /* const char *: absolute path of the
                                          program, and arguments */
} acme_hook_t;

/** "renewing" ...; static. */
const char *acme_event_name(acme_event_kind_t event);
/** All of them, with ", " between; static. */
const char *acme_event_names(void);
/** "renewed,errored", in any case. @return NULL and *events; or the word that is
 *  none, from pool */
const char *acme_event_parse(unsigned int *events, const char *text,
                             apr_pool_t *pool);

/** Whether one of these (acme_hook_t *; may be NULL) is for one of the events. */
int acme_hooks_want(const apr_array_header_t *hooks, unsigned int events);
/** A text that is the same for the same programs of these events, or "". */
const char *acme_hooks_text(const apr_array_header_t *hooks,
                            unsigned int events, apr_pool_t *pool);

/** Adds "NAME=value" to an environment (const char *). value NULL: nothing. What
 *  is not printable in it is shown as such. */
void acme_hook_env(apr_array_header_t *env, const char *name,
                   const char *value);

#endif
