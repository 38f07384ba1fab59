/**
 * The anti-replay nonces a session holds, and when it may fetch more.
 * RFC 8555 section 6.5. Memory is bounded whatever the CA sends.
 */
#ifndef ACME_NONCES_H
#define ACME_NONCES_H

#include <apr_pools.h>
#include <apr_time.h>

#define ACME_MAX_NONCES 64         /* more than that: the oldest is dropped */
#define ACME_MAX_NONCE  (8 * 1024) /* octets of one */

typedef struct acme_nonces_t acme_nonces_t;

acme_nonces_t *acme_nonces_create(apr_pool_t *pool);

/** RFC 8555 section 6.5.1: base64url; anything else MUST be ignored. NULL is not. */
int acme_nonces_valid(const char *nonce);

/** Keep a nonce of a reply; NULL and malformed ones are ignored (6.5.1).
 *  @return whether it was kept */
int acme_nonces_put(acme_nonces_t *nonces, const char *nonce);

/** The newest, which is the one a badNonce reply brought; copied to pool. NULL
 *  if there is none. */
const char *acme_nonces_take(acme_nonces_t *nonces, apr_pool_t *pool);

int acme_nonces_count(const acme_nonces_t *nonces);

/** Ask for leave to fetch one: bursts of 8, 15 a second, since Let's Encrypt
 *  allows 10 and 20. @return 0: granted and counted; else the moment to ask
 *  again */
apr_time_t acme_nonces_pace(acme_nonces_t *nonces, apr_time_t now);

#endif
