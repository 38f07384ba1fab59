/**
 * What the session's own files share; nobody else includes it.
 *
 *   session.c          directory, nonces, signing, replies of every kind
 *   session_account.c  the account: registered, looked up, told of changes
 */
#ifndef ACME_SESSION_IMPL_H
#define ACME_SESSION_IMPL_H

#include "core/nonces.h"
#include "core/session.h"

/* Whose a session's own request is; orders use tags of their own. */
enum {
    ACME_ASK_DIRECTORY,
    ACME_ASK_NONCE,
    ACME_ASK_ACCOUNT, /* newAccount */
    ACME_ASK_UPDATE,  /* the account's own URL */
    ACME_ASKS
};

/** What an account is asked or told at its own URL, RFC 8555 section 7.3.2. */
typedef enum acme_update_t {
    ACME_UPDATE_NONE,
    ACME_UPDATE_PROBE,    /* is it valid still? */
    ACME_UPDATE_TERMS,    /* the terms of service are agreed to */
    ACME_UPDATE_CONTACTS, /* these are its contacts now */
} acme_update_t;

struct acme_session_t {
    apr_pool_t *pool;
    const acme_session_config_t *config;
    const char *thumbprint, *jwk;
    const char *contacts; /* the configured ones in one text */

    /* The directory, and the one before: requests made from that one may still
     * be under way. */
    acme_directory_t *directory;
    apr_pool_t *directory_pools[2];
    int directory_slot;
    apr_time_t directory_time; /* when it was asked for last; 0: never */
    apr_time_t directory_due;  /* ask again from then on */

    acme_account_state_t account; /* kid NULL: not registered, or forgotten */
    int account_changed;
    int epoch;                /* grows when the account is registered again */
    apr_pool_t *account_pool; /* of the request about the account */
    int account_unsigned;     /* it waits for a nonce */

    acme_update_t update;    /* under way, or wanted next */
    int doubted;             /* an order was told that it may not */
    apr_time_t probed;       /* when that was last looked into */
    const char *terms_asked; /* the CA wants consent to these, which is given */
    apr_time_t contacts_due; /* not told before, after a failure */
    acme_err_t *trouble;     /* that stops nothing, to be told; or NULL */
    apr_pool_t *trouble_pool;

    acme_nonces_t *nonces;
    apr_pool_t *nonce_pool; /* of the URL of those under way */
    apr_time_t nonce_due;   /* after a failure: not before */
    int nonce_failures;
    apr_time_t nonce_failing_since;

    acme_request_t asks[ACME_ASKS];
    int under_way[ACME_ASKS]; /* handed out, reply not fed yet */

    acme_err_t *error; /* failed; NULL: not */
    apr_pool_t *error_pool;
    apr_time_t retry_at;
    int failures; /* in a row */
};

/* --- session.c -------------------------------------------------------------- */

void acme_session_fail(acme_session_t *session, const acme_err_t *err,
                       apr_time_t now);
void acme_session_succeed(acme_session_t *session);
void acme_session_step_send(acme_session_step_t *step, acme_session_t *session,
                            int ask);
/** Fetch a nonce if fewer are here or on their way than wanted (and can be
 *  kept). @param otherwise  the state where none is to be fetched now */
void acme_session_step_nonce(acme_session_step_t *step, acme_session_t *session,
                             int wanted, acme_session_state_t otherwise,
                             apr_time_t now);

/* --- session_account.c ------------------------------------------------------ */

/** Whether the account is there, and knows what it is to know.
 *  @return 0: it is not; step says what is done about it */
int acme_session_step_account(acme_session_step_t *step,
                              acme_session_t *session, apr_time_t now);
void acme_session_feed_account(acme_session_t *session,
                               const acme_reply_t *reply, apr_time_t now);
void acme_session_feed_update(acme_session_t *session,
                              const acme_reply_t *reply, apr_time_t now);
/** A request was refused in a way that the account may be the reason of.
 *  @return whether to send it again, after what acme_session_step_account does */
int acme_session_mend(acme_session_t *session, const acme_request_t *request,
                      const acme_reply_t *reply, const char *problem_type,
                      apr_time_t now);

#endif
