/**
 * The engine: keeps every managed certificate issued and renewed. One thread,
 * one loop, many certificates at once; runs in the child that holds the lease
 * (or in acmectl). Knows no httpd: what must be done in the server goes through
 * the callbacks.
 */
#ifndef ACME_ENGINE_H
#define ACME_ENGINE_H

#include <stddef.h>

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "core/ari.h"
#include "core/err.h"
#include "core/proof.h"
#include "engine/hit.h"
#include "engine/limits.h"
#include "engine/policy.h"
#include "engine/store.h"

typedef struct acme_engine_t acme_engine_t;

typedef enum acme_state_t {
    ACME_STATE_UNKNOWN,  /* the engine has not looked yet */
    ACME_STATE_WAITING,  /* none yet, order due or held back */
    ACME_STATE_ORDERING, /* an order is in progress */
    ACME_STATE_VALID,    /* in service, renewal in the future */
    ACME_STATE_RENEWING, /* in service, an order in progress */
    ACME_STATE_ERROR,    /* last attempt failed; see next_time */
    ACME_STATE_MANUAL,   /* in service or not; only on request */
} acme_state_t;
/** "valid" ...; static. */
const char *acme_state_name(acme_state_t state);

/** What is to be told of few certificates at a time, and takes room. Texts as in
 *  acme_status_t; "": nothing. */
typedef struct acme_remarks_t {
    char limit[96]; /* which: "50 certificates in 7 days for example.org" */
    char ari_url[ACME_ARI_URL]; /* the CA's explanation of the window */
    char error[1024]; /* acme_err_line; a DNS record to make is in it whole */
    char visit[512];  /* page that the CA names with the error (not a longer
                         address, which is in the log) */
    char ca_why[224]; /* of several CAs: why not the first */
    char tlsa[65]; /* TLSA 3 1 1 of the newest set; "" unless its key stays */
    char tlsa_next[65]; /* of the key made ahead */
    char left_out[256]; /* names that the set goes without, and why */
} acme_remarks_t;

/** What the newest set waits for before handshakes show it. */
typedef enum acme_wait_t {
    ACME_WAIT_NONE,    /* it is in service; or there is none */
    ACME_WAIT_DELAY,   /* for wait_until */
    ACME_WAIT_RELOAD,  /* for a reload, which comes by itself */
    ACME_WAIT_MANUAL,  /* for the administrator's */
    ACME_WAIT_REFUSED, /* a reload has refused it; nothing comes by itself */
} acme_wait_t;

/** What the world may know of one certificate and family. Fixed size: it is
 *  copied into shared memory. Texts are printable and NUL terminated. */
typedef struct acme_status_t {
    acme_state_t state;
    int set_number;                   /* 0: none */
    apr_time_t not_before, not_after; /* of the newest set; 0: none */
    acme_wait_t wait;                 /* of the newest set */
    int served_number;                /* the set in service; 0: none */
    apr_time_t wait_until, served_not_after;
    apr_time_t next_time;   /* of the next action; 0: none planned */
    apr_time_t error_time;  /* of the last failure */
    int error_code;         /* message number; 0: the last attempt went well */
    int failures;           /* in a row */
    apr_time_t limit_until; /* held back by a limit of the CA; 0: not */
    apr_time_t ari_start, ari_end; /* window that the CA suggests; 0: none */
    char serial[48], issuer[72];
    char next_action[96]; /* "renew", "order", "retry" and why */
    char progress[96];    /* of the order in progress, or "" */
    char ca[80];          /* that the newest set is from; "" if none */
    char proof[192]; /* how control is proved, and why not otherwise; or "" */
    acme_remarks_t *remarks; /* NULL: none so far */
} acme_status_t;

/** To be read; never NULL. */
const acme_remarks_t *acme_remarks(const acme_status_t *status);
/** Set one of the remarks, cut to its room. A first one that says something makes
 *  them, in pool, which must live as long as the status. */
#define ACME_REMARK(status, member, text, pool)                                \
    acme_remark(status, offsetof(acme_remarks_t, member),                      \
                sizeof(((acme_remarks_t *)0)->member), text, pool)
void acme_remark(acme_status_t *status, apr_size_t offset, apr_size_t size,
                 const char *text, apr_pool_t *pool);

#define ACME_MAX_EVENTS 16 /* kept of one certificate and family */

/** A step of an order, for its time-line. As acme_status_t. */
typedef struct acme_event_t {
    apr_time_t time;
    char text[120]; /* "order begun", "in service", "failed: ACME1311 ..." */
} acme_event_t;

/** An OCSP response to be shown in handshakes with one certificate. */
typedef struct acme_staple_t {
    const char *serial;       /* of the certificate, as in its record */
    const unsigned char *der; /* the response */
    apr_size_t len;   /* 1 .. ACME_MAX_OCSP; 0: there is none any more */
    apr_time_t until; /* not to be shown from then on */
    int must;         /* the certificate demands it: whatever its hosts say */
} acme_staple_t;

/** Upward calls; all from the thread that runs the engine. */
typedef struct acme_engine_callbacks_t {
    void *baton;
    /** @param prefix  "[shop.example/ecdsa order=authorizing]", or "" */
    void (*log)(void *baton, acme_msg_t msg, const char *prefix,
                const char *text);
    /** Make a proof visible in every child, at once; idempotent. */
    acme_err_t *(*publish)(void *baton, const acme_proof_t *proof);
    void (*withdraw)(void *baton, const acme_proof_t *proof);
    /** A set is stored and verified: put it into service (its slot's
     *  generation becomes number). 0: the placeholder. */
    void (*activate)(void *baton, const acme_managed_t *managed,
                     acme_family_t family, int number);
    /** Number of the set that handshakes show; 0: none. NULL: the newest. */
    int (*shown)(void *baton, const acme_managed_t *managed,
                 acme_family_t family);
    /** A handshake in memory, with this set and as the certificate's hosts would do
     *  it. NULL: nobody can try. @return E_SELF_TEST, from pool */
    acme_err_t *(*prove)(void *baton, const acme_managed_t *managed,
                         const acme_set_t *set, apr_pool_t *pool);
    /** Whether handshakes show the set that was just activated. NULL: yes.
     *  @return what they show instead, from pool */
    acme_err_t *(*check)(void *baton, const acme_managed_t *managed,
                         const acme_record_t *record, apr_pool_t *pool);
    /** A reload of the server is wanted, which puts what is stored into service.
     *  NULL: somebody will do one. @param interval  to the one before, at least */
    void (*reload)(void *baton, apr_interval_time_t interval);
    /** Bring a status that is about to be told up to what the server alone knows.
     *  NULL: nothing. */
    void (*amend)(void *baton, acme_status_t *status);
    void (*status)(void *baton, const acme_managed_t *managed,
                   acme_family_t family, const acme_status_t *status);
    /** Something happened to an order. NULL: nobody keeps a time-line.
     *  @param text  printable */
    void (*event)(void *baton, const acme_managed_t *managed,
                  acme_family_t family, const char *text);
    /** All of that there is, the oldest first. NULL: nobody keeps one.
     *  @param found  ACME_MAX_EVENTS of them; @return their number */
    int (*events)(void *baton, acme_event_t *found,
                  const acme_managed_t *managed, acme_family_t family);
    /** An OCSP response has come, or must not be shown any more; that of another
     *  certificate of the same family stays. NULL: nothing can be stapled. */
    void (*staple)(void *baton, const acme_managed_t *managed,
                   acme_family_t family, const acme_staple_t *staple);
    /** Visits that may have been the CA's, for ident since then, the oldest first:
     *  none for a published challenge means that no request of the CA has come
     *  here. NULL: nobody looks.
     *  @param found  ACME_MAX_HITS of them; @return their number */
    int (*hits)(void *baton, acme_hit_t *found, const acme_ident_t *ident,
                apr_time_t since);
    apr_time_t (*now)(void *baton);
    /** Whether there is no time for more; asked between two certificates while
     *  the engine starts. NULL: never. */
    int (*stopping)(void *baton);
} acme_engine_callbacks_t;

typedef struct acme_engine_config_t {
    const apr_array_header_t *managed; /* acme_managed_t * */
    int concurrency;                   /* orders in progress at once, 1.. */
    int port_80, port_443; /* local ports that those of the outside world arrive
                              at; 0: the same, or none */
    apr_interval_time_t retry_first, retry_max;
    const char *version;              /* "0.1.0" for User-Agent */
    const acme_limit_rules_t *limits; /* for every CA; NULL: as it publishes */
    int patience;                     /* acme_transport_ca_t of every CA */
} acme_engine_config_t;

/** @param config, callbacks  borrowed for the engine's life
 *  @param store  with a lease set that is held
 *  @return I_STOPPED, among others: callbacks->stopping said so */
acme_err_t *acme_engine_create(acme_engine_t **engine,
                               const acme_engine_config_t *config,
                               const acme_engine_callbacks_t *callbacks,
                               acme_store_t *store,
                               apr_pool_t *pool) ACME_MUST_CHECK;

/** First thing after the lease was taken: activates every set newer than the
 *  promoted one, publishes the proofs of the saved orders, and only then lets
 *  acme_engine_step send anything. Cost is linear in the certificates.
 *  @return I_STOPPED, among others: there is more to publish; the next one
 *          to hold the lease does it */
acme_err_t *acme_engine_resume(acme_engine_t *engine) ACME_MUST_CHECK;

/** One round: look for requests, start what is due, wait at most max_wait for
 *  the network, handle what came.
 *  @return E_LEASE_LOST: stop at once; E_CLOCK_BACK: nothing is due when it
 *          should be any more, so destroy the engine and make a new one */
acme_err_t *acme_engine_step(acme_engine_t *engine,
                             apr_interval_time_t max_wait) ACME_MUST_CHECK;

/** End a step of another thread at once. Any thread. */
void acme_engine_wakeup(acme_engine_t *engine);

/** When the next thing is due (0: now; far future if nothing). */
apr_time_t acme_engine_next_due(const acme_engine_t *engine);

#endif
