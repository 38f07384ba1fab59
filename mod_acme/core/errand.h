/**
 * One thing that the administrator wants of a CA beside certificates: a
 * revocation, or a change of an account. RFC 8555 sections 7.3.1 to 7.3.6, 7.6.
 * Sans-IO, like the order, with sessions of its own: orders need not know of it.
 *
 *   loop: acme_errand_next -> send, or wait -> acme_errand_feed
 *
 * It never registers an account. What passes by itself is asked again, for an hour;
 * what may have arrived is asked about. One that a killed process began may be begun
 * again: what is done already counts as done.
 */
#ifndef ACME_ERRAND_H
#define ACME_ERRAND_H

#include <apr_tables.h>
#include <openssl/evp.h>

#include "core/http.h"
#include "core/reason.h"

typedef struct acme_errand_t acme_errand_t;

typedef enum acme_errand_kind_t {
    ACME_ERRAND_FIND,       /* is there an account of this key? 7.3.1 */
    ACME_ERRAND_CONTACTS,   /* 7.3.2 */
    ACME_ERRAND_ROLLOVER,   /* another key for the account, 7.3.5 */
    ACME_ERRAND_DEACTIVATE, /* 7.3.6 */
    ACME_ERRAND_REVOKE,     /* 7.6 */
} acme_errand_kind_t;

/** Borrowed for the errand's life. */
typedef struct acme_errand_config_t {
    acme_errand_kind_t kind;
    const char *directory_url;
    EVP_PKEY *key;                /* the account's */
    const char *kid;              /* NULL: looked up by the key */
    apr_array_header_t *contacts; /* CONTACTS: const char *, "mailto:..." */
    EVP_PKEY *new_key;            /* ROLLOVER: on disk already */
    int doubted;        /* ROLLOVER: another process has begun it, and the CA
                             may know the new key */
    int by_certificate; /* REVOKE: key is the certificate's; no account */
    const unsigned char *certificate; /* REVOKE: DER */
    apr_size_t len;
    int reason; /* REVOKE: RFC 5280 section 5.3.1, or ACME_REASON_NONE */
} acme_errand_config_t;

acme_errand_t *acme_errand_create(const acme_errand_config_t *config,
                                  apr_pool_t *parent);

typedef enum acme_errand_state_t {
    ACME_ERRAND_SEND, /* send wire, feed the reply */
    ACME_ERRAND_WAIT, /* nothing to send before until (0: before the reply) */
    ACME_ERRAND_DONE,
    ACME_ERRAND_FAILED, /* error tells why */
} acme_errand_state_t;

typedef struct acme_errand_step_t {
    acme_errand_state_t state;
    acme_wire_t *wire;
    const char *label; /* static, for the log */
    apr_time_t until;
    const acme_err_t *error; /* lives as long as the errand */
} acme_errand_step_t;

/** One request is under way at a time. @param pool  of wire */
void acme_errand_next(acme_errand_step_t *step, acme_errand_t *errand,
                      apr_time_t now, apr_pool_t *pool);
/** The reply to the last SEND, also one with failure set. */
void acme_errand_feed(acme_errand_t *errand, const acme_reply_t *reply,
                      apr_time_t now);

/** URL of the account; NULL: not known (yet). */
const char *acme_errand_kid(const acme_errand_t *errand);
/** DONE: it was so before (revoked already, closed already). */
int acme_errand_was_done(const acme_errand_t *errand);
/** FAILED: it may be that the CA has done it all the same. */
int acme_errand_is_unclear(const acme_errand_t *errand);
/** What passes by itself and is asked again about, or NULL. Until the next feed. */
const acme_err_t *acme_errand_trouble(const acme_errand_t *errand);

#endif
