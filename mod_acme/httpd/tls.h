/**
 * What the handshake of a managed host shows: the files mod_ssl starts with, and
 * the newer pair that a callback puts in its place the moment it is issued.
 */
#ifndef ACME_TLS_H
#define ACME_TLS_H

#include <httpd.h>
#include <openssl/ssl.h>

#include "engine/policy.h"
#include "engine/store.h"
#include "httpd/live.h"

/** What one certificate's hosts serve in this process. Made in pconf before the
 *  fork, so that each child has its own copy of the changing part. */
typedef struct acme_live_t acme_live_t;

/** The pairs mod_ssl was given.
 *  @param base  set number of each family; 0: none. All 0: a placeholder */
acme_live_t *acme_tls_live(const acme_managed_t *managed,
                           const int base[ACME_FAMILIES], acme_store_t *store,
                           apr_pool_t *pconf);

/** Real pass only: from now on follow the slot's generation. */
void acme_tls_follow(acme_live_t *live, acme_slot_t *slot);
acme_slot_t *acme_tls_slot(const acme_live_t *live);
/** Wait until this child has what the live table names, whoever loads it; what
 *  failed for a handshake a moment ago is tried again.
 *  @return why it cannot be loaded */
acme_err_t *acme_tls_settle(acme_live_t *live,
                            apr_pool_t *pool) ACME_MUST_CHECK;

/** mod_ssl's SSL_CTX of a host that serves live. */
void acme_tls_attach(SSL_CTX *ctx, acme_live_t *live);

/** Put what is in service now in place of what mod_ssl was given, as the callback
 *  does. For those who must know it before OpenSSL asks. */
void acme_tls_choose(SSL *ssl, acme_live_t *live);

/** Whether a set from the store is one that root would promote. @return as
 *  acme_fit_set */
acme_err_t *acme_tls_may_show(const acme_live_t *live, const acme_set_t *set,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether a CA's certificate is in service; else the placeholder is. */
int acme_tls_ready(const acme_live_t *live);
/** Whether one is, and whichever a handshake shows has this name (or address): a
 *  name that has been added may still wait for its certificate. */
int acme_tls_covers(acme_live_t *live, const char *name);

#endif
