/**
 * One certificate order, from newOrder to the downloaded chain, as a machine
 * that does no I/O. RFC 8555 section 7.4. Its states are a table in
 * order_states.c, those of its authorizations one in authz.c.
 *
 *   loop: acme_order_next  -> do what it says -> acme_order_feed
 *
 * Authorizations of one order run side by side: next may say SEND or PUBLISH
 * many times before it says WAIT, and replies may be fed in any order.
 */
#ifndef ACME_ORDER_H
#define ACME_ORDER_H

#include <apr_tables.h>
#include <openssl/evp.h>

#include "core/cert.h"
#include "core/csr.h"
#include "core/http.h"
#include "core/proof.h"
#include "core/session.h"

typedef struct acme_order_t acme_order_t;

/** Borrowed for the order's life. */
typedef struct acme_order_config_t {
    const apr_array_header_t *idents; /* acme_ident_t *, 1..ACME_MAX_IDENTS */
    EVP_PKEY *key; /* the certificate's, on disk already; NULL: still being
                      made, and the CSR waits for it */
    const char *profile;         /* or NULL */
    int profile_required;        /* unadvertised: fail, instead of without */
    const char *preferred_chain; /* common name of an issuer, or NULL */
    int must_staple;
    const apr_array_header_t *subject; /* acme_csr_attribute_t, or NULL */
    const char *replaces; /* RFC 9773 section 5: identifier of the certificate
                             that this one replaces, from this CA and account;
                             or NULL */
    const acme_proofs_t *proofs; /* one for each of idents, in that order:
                                    those usable here */
} acme_order_config_t;

acme_order_t *acme_order_create(const acme_order_config_t *config,
                                apr_pool_t *parent);

/** Resume from what acme_order_save wrote, perhaps by a process that was
 *  killed. Requests that may or may not have arrived are asked about, not
 *  repeated blindly.
 *  @param now  where the order is from the future, or a moment in it farther
 *              away than any that is set, a clock was wrong: what it waits for
 *              is due now
 *  @return E_ORDER_LOAD: not ours, or of other names; E_MEMORY */
acme_err_t *acme_order_load(acme_order_t **order,
                            const acme_order_config_t *config, const char *json,
                            apr_size_t len, apr_time_t now,
                            apr_pool_t *parent) ACME_MUST_CHECK;

/** JSON, from pool. Clears the dirty mark. */
acme_err_t *acme_order_save(const char **json, acme_order_t *order,
                            apr_time_t now, apr_pool_t *pool) ACME_MUST_CHECK;
/** Whether something happened that must be on disk before the next SEND. Ask
 *  between acme_order_next and carrying out the SEND it returned: that a
 *  challenge is about to be answered, or a CSR to be sent, is part of it. */
int acme_order_dirty(const acme_order_t *order);

typedef enum acme_step_kind_t {
    ACME_STEP_SEND,     /* send request, feed its reply with acme_order_reply */
    ACME_STEP_PUBLISH,  /* make proof visible, then acme_order_published */
    ACME_STEP_WITHDRAW, /* make it invisible; nothing is fed */
    ACME_STEP_WAIT,     /* until a moment, or (0) until something is fed */
    ACME_STEP_DONE,     /* chain is there and verified */
    ACME_STEP_FAILED,   /* error tells why; every proof was withdrawn */
} acme_step_kind_t;

typedef struct acme_step_t {
    acme_step_kind_t kind;
    acme_request_t *request;
    const acme_proof_t *proof;
    apr_time_t until;
    const char *chain_pem; /* DONE: leaf first */
    acme_err_t *error;
} acme_step_t;

/** The next thing to do. Strings of the step live until the order's pool ends.
 *  @param session  READY: its directory, account and thumbprint are read
 *  A failed order deactivates the authorizations it leaves pending (7.5.2) before it
 *  says FAILED, as far as the CA answers; where the session has failed too,
 *  nobody need wait for that. One that may outlive its error leaves them. */
void acme_order_next(acme_step_t *step, acme_order_t *order,
                     const acme_session_t *session, apr_time_t now);

/** @param request  as handed out by acme_order_next
 *  @param reply    also one with failure set: asked again with a backoff, and
 *                  given up after an hour */
void acme_order_reply(acme_order_t *order, const acme_request_t *request,
                      const acme_reply_t *reply, apr_time_t now);

/** @param proof  as handed out by acme_order_next, or by acme_order_proofs
 *  @param error  NULL, or why it could not be published: the next kind of proof
 *                is tried, or the order fails (of E_COMMAND_FAILED and the
 *                like: with this name); with E_PROOF_BUSY, asked for again at
 *                error->retry_at, for a while */
void acme_order_published(acme_order_t *order, const acme_proof_t *proof,
                          acme_err_t *error, apr_time_t now);

/** Give up: withdraw, deactivate what is pending (unless the order may outlive
 *  error), then FAILED with error. */
void acme_order_cancel(acme_order_t *order, acme_err_t *error);

/** After FAILED with an error that an order may outlive (ACME_FATE_KEEP in
 *  reaction.h): back to where a later attempt finds out what became of it, to be
 *  saved. Nothing of the failure stays. */
void acme_order_rewind(acme_order_t *order);

/** After DONE: what the administrator should know of all the same
 *  (W_PROFILE_MISSING, E_CHAIN_PREFERRED).
 *  @return const acme_err_t *, which live as long as order and pool */
apr_array_header_t *acme_order_remarks(const acme_order_t *order,
                                       apr_pool_t *pool);

/** The proofs that are (to be) visible now: after a load, publish them before
 *  anything is sent. acme_proof_t *; the array is from pool. */
apr_array_header_t *acme_order_proofs(const acme_order_t *order,
                                      const acme_session_t *session,
                                      apr_pool_t *pool);

/** The failure that passes by itself and is being asked again about, at its
 *  retry_at; NULL where the last reply was a good one. Lives until the next
 *  acme_order_reply. */
const acme_err_t *acme_order_trouble(const acme_order_t *order);

/** The newest challenge that came to nothing; another pointer each time. NULL:
 *  there was none. Lives as long as the order. */
const acme_setback_t *acme_order_setback(const acme_order_t *order);

/** What is known of the challenges of one of its names. */
typedef struct acme_tried_t {
    unsigned int offered; /* ACME_PROOF_BIT; all where it is not known */
    unsigned int failed;  /* those that came to nothing */
    unsigned int proved;  /* the one it is proved by; 0: it is not known */
    const acme_err_t
        *blame; /* why the order fails with the name, or NULL. Lives
                                as long as the order */
} acme_tried_t;
/** @return all zero, where nothing is */
acme_tried_t acme_order_tried(const acme_order_t *order,
                              const acme_ident_t *ident);

/** Whether the CA has taken the order: it has a URL. */
int acme_order_accepted(const acme_order_t *order);
/** Whether its certificate is made: that has a URL. */
int acme_order_issued(const acme_order_t *order);

/** For people: "waiting for the CA to validate 2 of 3 names". From pool. */
const char *acme_order_progress(const acme_order_t *order, apr_pool_t *pool);
/** Name of the present state for logs: "authorizing"; static. */
const char *acme_order_state_name(const acme_order_t *order);

#endif
