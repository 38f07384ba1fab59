/**
 * Internal to the order: its fields and its table of states, for order.c
 * (stepping), order_states.c (what is asked and answered), order_save.c and
 * authz.c.
 */
#ifndef ACME_ORDER_IMPL_H
#define ACME_ORDER_IMPL_H

#include "core/authz.h"
#include "core/exchange.h"
#include "core/order.h"

/** RFC 8555 section 7.1.6, as the client goes through it. */
typedef enum acme_order_state_t {
    ACME_ORDER_NEW,        /* newOrder */
    ACME_ORDER_CHECK,      /* read the order: where does it stand? */
    ACME_ORDER_AUTHORIZE,  /* its authorizations are at work */
    ACME_ORDER_FINALIZE,   /* send the CSR */
    ACME_ORDER_PROCESSING, /* wait for the CA to issue */
    ACME_ORDER_DOWNLOAD,   /* fetch the chain */
    ACME_ORDER_ALTERNATE,  /* fetch the other chains, for the preferred one */
    ACME_ORDER_DONE,
    ACME_ORDER_ABANDON, /* failed: withdraw and deactivate first */
    ACME_ORDER_FAILED,
} acme_order_state_t;
#define ACME_ORDER_STATES 10

struct acme_order_t {
    apr_pool_t *pool;
    apr_pool_t *request_pool; /* of the request under way; then cleared */
    apr_pool_t *scratch;      /* cleared with each reply: polling for days
                                 takes no more memory than polling once */
    const acme_order_config_t *config;

    acme_order_state_t state;
    acme_exchange_t exchange;
    apr_array_header_t *authzs; /* acme_authz_t *; empty until known */
    const char *url, *finalize, *certificate; /* NULL until known */
    int finalized;           /* a CSR was sent, perhaps in vain */
    int without_profile;     /* the CA refused it, and it is not required */
    int without_replaces;    /* the CA does not take it as a replacement */
    int replacing;           /* the newOrder under way names what it replaces */
    apr_time_t blamed_since; /* the first name failed; 0: none has */
    apr_time_t stuck_since;  /* the CA shows a status that is none now */
    apr_time_t issuing_since; /* the CA has accepted the CSR, and was seen to
                                 work on it then; 0: not yet */
    acme_err_t *doubt;   /* an authorization cannot be read: an error, unless
                               the order turns out to need it no more. Not
                               saved: who takes over reads it again */
    acme_err_t *error;   /* ABANDON, FAILED */
    acme_err_t *trouble; /* what is being asked again about, or NULL */
    apr_pool_t *trouble_pool;       /* its owner; cleared with each new one */
    acme_setback_t *setback;        /* the newest, or NULL */
    const char *chain_pem;          /* ALTERNATE: the default one; DONE */
    apr_array_header_t *alternates; /* const char *: URLs of other chains; not
                                       saved: who takes over asks anew */
    int alternate;                  /* the one under way */
    const char *offered;            /* issuers of the chains seen, for people */
    acme_err_t *remark;             /* DONE, yet not as wished; or NULL */
    const char *profiles; /* that the CA has, where it lacks the one wanted; or
                             NULL: not known */
    int dirty;
};

/** Fill in url and payload (and accept, max_body) of a request.
 *  @return why the order has failed */
typedef acme_err_t *acme_order_build_fn_t(acme_order_t *order,
                                          const acme_session_t *session,
                                          acme_request_t *request);
/** A reply of 2xx. @return why the order has failed; what is garbled goes to
 *  the state's acme_order_error_fn_t first */
typedef acme_err_t *acme_order_success_fn_t(acme_order_t *order,
                                            const acme_reply_t *reply,
                                            apr_time_t now);
/** Any other reply, or none; err is what it amounts to. @return NULL: it is
 *  asked again; else why the order has failed */
typedef acme_err_t *acme_order_error_fn_t(acme_order_t *order,
                                          const acme_reply_t *reply,
                                          acme_err_t *err, apr_time_t now);

typedef struct acme_order_row_t {
    const char *name;
    const char *label; /* of the request; NULL: none of the order's own */
    acme_order_build_fn_t *build;
    acme_order_success_fn_t *on_success;
    acme_order_error_fn_t *on_error;
} acme_order_row_t;
extern const acme_order_row_t acme_order_rows[ACME_ORDER_STATES];

/** Change state: the next request may go at once. */
void acme_order_enter(acme_order_t *order, acme_order_state_t state);

/** acme_exchange_retry that remembers what there is trouble with. */
acme_err_t *acme_order_retry(acme_order_t *order, acme_exchange_t *exchange,
                             const acme_reply_t *reply, acme_err_t *err,
                             apr_time_t now);

/** What the CA works on, "validating a.example", takes long: after an hour that
 *  is told like trouble.
 *  @param since  when it was seen to begin
 *  @param due    when it is asked about again */
void acme_order_slow(acme_order_t *order, const char *what, apr_time_t since,
                     apr_time_t due, apr_time_t now);
/** Remember err as the trouble that is being asked again about. */
void acme_order_note(acme_order_t *order, const acme_err_t *err,
                     apr_time_t retry_at);
/** The rows of ALTERNATE, in alternates.c. */
acme_order_build_fn_t acme_order_build_alternate;
acme_order_success_fn_t acme_order_on_alternate;
acme_order_error_fn_t acme_order_on_alternate_error;
/** The default chain is there and verified: take it, or look for the preferred
 *  one among those that reply names. */
void acme_order_choose_chain(acme_order_t *order, const acme_chain_t *chain,
                             const acme_reply_t *reply);

/** Why it fails with the names that did; some have failed. */
acme_err_t *acme_order_verdict(const acme_order_t *order);

/** Authorizations that are proved. */
int acme_order_count_valid(const acme_order_t *order);

/** An order in its first state, without authorizations. */
acme_order_t *acme_order_alloc(const acme_order_config_t *config,
                               apr_pool_t *parent);

/** Add an authorization in its first state. */
acme_authz_t *acme_order_add_authz(acme_order_t *order, const char *url);

/** name's state, or -1. */
int acme_order_state_parse(const char *name);

/** An authorization cannot be read: look at the order before giving up. Some
 *  CAs hide authorizations they need no more. */
void acme_order_doubt(acme_order_t *order, const acme_err_t *err);

#endif
