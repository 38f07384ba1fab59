/**
 * The addresses of this machine's interfaces.
 */
#ifndef ACME_OWNADDR_H
#define ACME_OWNADDR_H

#include <apr_hash.h>
#include <apr_pools.h>

typedef struct acme_own_t {
    apr_hash_t *addresses; /* as text, in the form of inet_ntop */
    int has_public_v4, has_public_v6;
} acme_own_t;

acme_own_t *acme_own_addresses(apr_pool_t *pool);
/** Loopback addresses count, all of them. */
int acme_own_has(const acme_own_t *own, const char *address);

#endif
