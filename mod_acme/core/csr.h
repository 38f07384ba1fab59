/**
 * Certificate signing requests. RFC 8555 section 7.4, RFC 2986.
 */
#ifndef ACME_CSR_H
#define ACME_CSR_H

#include <apr_tables.h>
#include <openssl/evp.h>

#include "core/err.h"

typedef struct acme_csr_options_t {
    int must_staple; /* TLS feature extension, RFC 7633 */
} acme_csr_options_t;

/** SANs are exactly idents (acme_ident_t *), through GENERAL_NAME calls; empty
 *  subject, since CAs take the common name from the SANs.
 *  @param csr  base64url DER, from pool
 *  @return E_CSR_MAKE */
acme_err_t *acme_csr_make(const char **csr, EVP_PKEY *key,
                          const apr_array_header_t *idents,
                          const acme_csr_options_t *options, apr_pool_t *pool)
    ACME_MUST_CHECK;

#endif
