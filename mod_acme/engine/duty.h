/**
 * Errands of the administrator at CAs: revocations, changes of accounts. What the
 * files duty*.c share; nobody else includes it.
 *
 *   duty.c          one errand: begun, carried, answered
 *   duty_account.c  contacts, rollover, deactivation
 *   duty_adopt.c    another account in the place of one: import, new
 *   duty_choose.c   which account is meant
 *   duty_revoke.c   revocation, and what it leads to
 *
 * Each verb lasts: an engine that is killed leaves the request open, and the next one
 * begins it anew, finding what was done already done.
 */
#ifndef ACME_DUTY_H
#define ACME_DUTY_H

#include "core/errand.h"
#include "engine/engine_impl.h"

/** How a kind of duty goes; each may be called again by the next engine. */
typedef struct acme_duty_ways_t {
    /** Set duty->config for the errand, and keep on disk what must be there before
     *  the CA hears of it. NULL: nothing need be done. */
    acme_err_t *(*begin)(acme_duty_t *duty);
    /** The errand is done. @return what could not be kept of it */
    acme_err_t *(*done)(acme_duty_t *duty);
    /** It failed. @return err, or a better one, or NULL: that is as good as done,
     *  and the rest has been done */
    const acme_err_t *(*failed)(acme_duty_t *duty, const acme_err_t *err);
} acme_duty_ways_t;

typedef struct acme_target_t acme_target_t; /* duty_revoke.c */

struct acme_duty_t {
    acme_timer_t timer;
    acme_duty_t *next;
    acme_engine_t *engine;
    apr_pool_t *pool;
    const char *id; /* of the request, or NULL: nobody waits */
    const char *by; /* who asked, or "" */
    const acme_duty_ways_t *ways;
    acme_transport_ca_t ca;
    acme_errand_config_t config;
    acme_errand_t *errand; /* NULL: not begun */
    int in_flight;
    acme_told_t told;
    const char *outcome; /* in words, for the answer: it is over */
    const char *text;    /* of what is done so far */
    json_t *result;      /* for the answers; or NULL */
    int again;           /* an engine that is gone had begun it */
    int rests;           /* link rests for it */
    int more;            /* it is begun once more, for another thing */

    /* of an account */
    const char *account_dir; /* NULL: no account is changed */
    acme_link_t *link;       /* that uses it, or NULL: it is not configured */
    apr_time_t patience;     /* its orders may go on until then */
    int other;               /* it is another account now */
    acme_account_t *account; /* as on disk */
    EVP_PKEY *new_key;
    acme_key_wish_t *wish; /* it is being made; or NULL */
    acme_key_type_t new_type;

    /* of certificates */
    acme_target_t *targets, *target;
    int reason;
    EVP_PKEY *own_key; /* that of a certificate; or NULL: by the account */
};

/* --- duty.c ------------------------------------------------------------------- */

/** @param request  or NULL */
acme_duty_t *acme_duty_make(acme_engine_t *engine,
                            const acme_control_t *request,
                            const acme_duty_ways_t *ways);
/** For the next engine, if this one is killed: it goes into each answer.
 *  @param what  an object, NULL: there was no memory for it; becomes the duty's
 *  @return E_MEMORY */
acme_err_t *acme_duty_remember(acme_duty_t *duty, json_t *what) ACME_MUST_CHECK;
/** A member of what an engine that is gone remembered of the same request; or NULL.
 *  @return E_MEMORY */
acme_err_t *acme_duty_recall(const json_t **what, const acme_duty_t *duty,
                             const char *member) ACME_MUST_CHECK;
/** From now on it is carried; or it is gone, since it could not be said that it is. */
void acme_duty_enter(acme_duty_t *duty);
/** Not carried: answer, and forget it. */
void acme_duty_refuse(acme_duty_t *duty, const acme_err_t *err);
/** The one that changes this account, or NULL. */
acme_duty_t *acme_duty_of(const acme_engine_t *engine, const char *account_dir);
/** A line about its account or certificate. One const char * per "%s", NULL. */
void acme_duty_log(acme_duty_t *duty, const char *prefix, acme_msg_t msg,
                   ...) ACME_SENTINEL;
/** For a log: " (asked for by root)", or "". */
const char *acme_duty_by(const acme_duty_t *duty);

/* --- duty_account.c ------------------------------------------------------------ */

/** Read the account of the duty from disk. @return E_ACCOUNT_NONE */
acme_err_t *acme_duty_load(acme_duty_t *duty) ACME_MUST_CHECK;
/** E_ACCOUNT_OWN where the key is in a file of the administrator's, which would not
 *  follow. */
acme_err_t *acme_duty_refuse_own(const acme_duty_t *duty) ACME_MUST_CHECK;
/** For the log: "[letsencrypt-0011aabb]". */
const char *acme_duty_prefix(const acme_duty_t *duty);
/** A duty that changes the account meant by the request; or it was answered.
 *  @param stored  0: it need not be there yet, but it must be configured */
acme_duty_t *acme_duty_for_account(acme_engine_t *engine,
                                   const acme_control_t *request, int stored,
                                   const acme_duty_ways_t *ways);

/* --- duty_choose.c ------------------------------------------------------------- */

typedef struct acme_chosen_t {
    const char *dir;               /* in accounts/ */
    const char *url;               /* of the CA's directory */
    const acme_managed_t *managed; /* that is configured with it, or NULL */
    int ca;
} acme_chosen_t;

/** The account at a CA.
 *  @param text    its alias, URL or the account's directory; NULL: the only one
 *  @return E_ACCOUNT_NONE, E_ACCOUNT_WHICH; E_STORE_IO, E_MEMORY: of one that may be
 *          meant */
acme_err_t *acme_duty_choose(acme_chosen_t *chosen, acme_engine_t *engine,
                             const char *text, int stored,
                             apr_pool_t *pool) ACME_MUST_CHECK;
/** How the CA with this directory is reached. */
acme_transport_ca_t acme_duty_ca(const acme_engine_t *engine, const char *url);

#endif
