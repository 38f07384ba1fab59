/**
 * What the orders of one account at one CA share: directory, account, nonces.
 * Sans-IO, like the order: says what to send, is told what came. Signs for the
 * orders, and keeps badNonce, lost nonces and forgotten accounts away from them.
 */
#ifndef ACME_SESSION_H
#define ACME_SESSION_H

#include <apr_tables.h>
#include <openssl/evp.h>

#include "core/account.h"
#include "core/http.h"
#include "core/resource.h"

typedef struct acme_session_t acme_session_t;

/** Borrowed for the session's life. */
typedef struct acme_session_config_t {
    const char *directory_url; /* acme_url_valid */
    EVP_PKEY *key;             /* the account's; on disk already (7.3, 11.1) */
    int adopted; /* the administrator's own key: its account is there already,
                    and is looked up, never registered */
    int no_account; /* key is a certificate's, which may revoke itself: there are
                       requests with use_jwk only */
    acme_account_state_t known; /* from before */
    int agree_terms; /* the administrator's consent, to the terms that the CA
                        has when it is asked for the account; never assumed */
    apr_array_header_t *terms;    /* const char *: URLs of terms that are agreed
                                     to by name; or NULL */
    apr_array_header_t *contacts; /* const char *: "mailto:..."; may be empty */
    const char *eab_kid;          /* external account binding, or NULL */
    const char *eab_hmac;
    apr_interval_time_t nonce_patience; /* how long there may be no nonce to be
                                           had before that fails; 0: an hour.
                                           At once where the CA puts it off for
                                           an hour or more */
    apr_interval_time_t retry_first,
        retry_max; /* first and longest wait after a
                                           failure, where they are shorter than
                                           a minute and a day; 0: those */
} acme_session_config_t;

acme_session_t *acme_session_create(const acme_session_config_t *config,
                                    apr_pool_t *parent);

typedef enum acme_session_state_t {
    ACME_SESSION_SEND,   /* send step.request (through sign), feed the reply */
    ACME_SESSION_WAIT,   /* nothing to send before until (0: before a reply) */
    ACME_SESSION_READY,  /* orders may go on; nothing to send now (call again
                           at until, if not 0: nonces are paced) */
    ACME_SESSION_FAILED, /* error tells; call again from until on to try anew */
} acme_session_state_t;

typedef struct acme_session_step_t {
    acme_session_state_t state;
    acme_request_t *request;
    apr_time_t until;
    acme_err_t *error; /* lives as long as the session stays failed */
} acme_session_step_t;

/** What the session wants. Call until it is neither SEND.
 *  First the directory (again after a day, or after a 404 on one of its URLs),
 *  then nonces and the account: found by its kid, or registered (newAccount is
 *  idempotent for a key); told of new contacts, once. Afterwards only nonces: few
 *  at once and paced (LE allows bursts of 10 and 20 a second on newNonce).
 *  @param waiting  signed requests that orders want to send now
 *  FAILED: until is 1 min, 10 min, 100 min, then daily away, or as the CA says */
void acme_session_next(acme_session_step_t *step, acme_session_t *session,
                       int waiting, apr_time_t now);

/** Reply to a request of acme_session_next. */
void acme_session_feed(acme_session_t *session, const acme_request_t *request,
                       const acme_reply_t *reply, apr_time_t now);

/** Sign a request, the session's own or an order's. GET and HEAD pass as they
 *  are. *wire NULL (and no error): no nonce at hand, or the session is not
 *  READY (again): ask acme_session_next and come back. Counts request->tries. */
acme_err_t *acme_session_sign(acme_wire_t **wire, acme_session_t *session,
                              acme_request_t *request,
                              apr_pool_t *pool) ACME_MUST_CHECK;

typedef enum acme_verdict_t {
    ACME_VERDICT_DELIVER, /* give the reply to whom it belongs */
    ACME_VERDICT_RESEND,  /* sign and send the same request again, at once */
} acme_verdict_t;

/** Must see every reply first: takes its nonce; RESEND on badNonce (at most 10
 *  tries), and for an order's request where the session can do something about
 *  it, until which it is not READY:
 *  accountDoesNotExist: the account is looked up or registered again, once;
 *  userActionRequired: consent to new terms is given, if config names just them;
 *  unauthorized newOrder: the account is asked whether it is closed. */
acme_verdict_t acme_session_receive(acme_session_t *session,
                                    const acme_request_t *request,
                                    const acme_reply_t *reply, apr_time_t now);

/** NULL until there was one; then the newest. It lives until the next but one is
 *  read, which may be minutes: copy what is kept. */
const acme_directory_t *acme_session_directory(const acme_session_t *session);
/** Account URL, or NULL. */
const char *acme_session_kid(const acme_session_t *session);
/** What to remember; changed since the last call of _saved: persist it. */
const acme_account_state_t *acme_session_account(const acme_session_t *session);
int acme_session_account_changed(const acme_session_t *session);
void acme_session_account_saved(acme_session_t *session);
/** What went wrong with the account without stopping anything, to be told once;
 *  or NULL. Lives until the next call of any function. */
const acme_err_t *acme_session_take_trouble(acme_session_t *session);
/** 43 characters; for key authorizations. */
const char *acme_session_thumbprint(const acme_session_t *session);

#endif
