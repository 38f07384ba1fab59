/**
 * Internal to the order: one authorization on its way to "valid". RFC 8555
 * section 7.5. Its states are a table in authz.c.
 */
#ifndef ACME_AUTHZ_H
#define ACME_AUTHZ_H

#include "core/exchange.h"
#include "core/order.h"
#include "core/proof.h"
#include "core/resource.h"

typedef enum acme_authz_state_t {
    ACME_AUTHZ_READ,       /* what is it for, what does it offer? */
    ACME_AUTHZ_PUBLISH,    /* challenge chosen: its proof is to be published */
    ACME_AUTHZ_ANSWER,     /* published: tell the CA, once */
    ACME_AUTHZ_POLL,       /* wait for the CA's verdict */
    ACME_AUTHZ_VALID,      /* proved */
    ACME_AUTHZ_DEACTIVATE, /* order abandoned: so is this, section 7.5.2 */
    ACME_AUTHZ_CLOSED,     /* failed, or of no interest any more */
} acme_authz_state_t;
#define ACME_AUTHZ_STATES 7

/** An answer of which nothing is known is given again after that long. */
#define ACME_AUTHZ_ANSWER_AGAIN apr_time_from_sec(10)

/** Owner: the order's pool. */
typedef struct acme_authz_t {
    const char *url;
    acme_authz_state_t state;
    acme_exchange_t exchange;
    const acme_ident_t *ident; /* one of the order's; NULL: not known yet */
    const char *challenge_url; /* of the chosen challenge, or NULL */
    acme_proof_t proof;        /* token NULL: none chosen yet; key_authorization
                                  NULL: not made yet since a load */
    int publishing;            /* PUBLISH was said, nothing fed yet */
    int visible;               /* the proof is (to be) published */
    int answers;               /* how often the challenge was answered */
    int doubtful;              /* whether the answer has arrived is unknown */
    apr_time_t answer_again;   /* if doubtful and still pending then */
    apr_time_t waiting_since;  /* for the CA's verdict; 0: not yet */
    apr_time_t busy_since;     /* another order has the proof's place; 0: none.
                                  Not saved */
    acme_err_t *refusal;       /* of the answer: told if it stays pending */
    unsigned int offered;      /* ACME_PROOF_BIT; 0: not known */
    unsigned int failed;       /* ACME_PROOF_BIT of those that were tried */
    unsigned int proved; /* ACME_PROOF_BIT of what made it valid, as far as
                                  is known */
    acme_err_t *failure; /* of the last of them: told if none is left */
    acme_err_t *blame;   /* why the order cannot have this name */
} acme_authz_t;

/** "polling"; static. */
const char *acme_authz_state_name(acme_authz_state_t state);

/** Change state: the next request may go at once. */
void acme_authz_enter(acme_order_t *order, acme_authz_t *authz,
                      acme_authz_state_t state);

/** Whether nothing more is expected to happen to it. */
int acme_authz_decided(const acme_authz_t *authz);

/** What it wants done: SEND or PUBLISH.
 *  @return 0: nothing now; step untouched but for an earlier step->until */
int acme_authz_next(acme_step_t *step, acme_order_t *order, acme_authz_t *authz,
                    const acme_session_t *session, apr_time_t now);

/** @return why the order has failed */
acme_err_t *acme_authz_reply(acme_order_t *order, acme_authz_t *authz,
                             const acme_reply_t *reply,
                             apr_time_t now) ACME_MUST_CHECK;

/** @param error  NULL, or why the proof could not be published
 *  @return why the order has failed */
acme_err_t *acme_authz_published(acme_order_t *order, acme_authz_t *authz,
                                 acme_err_t *error,
                                 apr_time_t now) ACME_MUST_CHECK;

/** The order has failed: deactivate what is pending, forget the rest. */
void acme_authz_abandon(acme_authz_t *authz);

/** Take it up again, wherever it was left: what it is known to need is not
 *  asked for twice. */
void acme_authz_revive(acme_authz_t *authz);

/** Complete proof with its key authorization, made in pool. */
void acme_authz_make_proof(acme_authz_t *authz, const acme_session_t *session,
                           apr_pool_t *pool);

#endif
