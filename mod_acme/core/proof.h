/**
 * What is shown to the CA to prove control of an identifier. RFC 8555 section 8.
 */
#ifndef ACME_PROOF_H
#define ACME_PROOF_H

#include <apr_pools.h>

#include "core/ident.h"

typedef enum acme_proof_type_t {
    ACME_PROOF_HTTP_01,
    ACME_PROOF_TLS_ALPN_01,
    ACME_PROOF_DNS_01,
} acme_proof_type_t;
#define ACME_PROOF_TYPES 3

/** "http-01"...; static. */
const char *acme_proof_type_name(acme_proof_type_t type);
/** @return 0 and *type, or -1 for a type this client does not know */
int acme_proof_type_parse(acme_proof_type_t *type, const char *name);

typedef struct acme_proof_t {
    acme_proof_type_t type;
    const acme_ident_t *ident; /* for whom; never a wildcard for http-01 */
    const char *token;         /* acme_token_valid, compared, never echoed */
    const char *key_authorization; /* token "." thumbprint, section 8.1 */
} acme_proof_t;

/** token "." thumbprint; from pool. */
const char *acme_proof_key_authorization(const char *token,
                                         const char *thumbprint,
                                         apr_pool_t *pool);

#endif
