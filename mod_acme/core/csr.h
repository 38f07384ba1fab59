/**
 * Certificate signing requests. RFC 8555 section 7.4, RFC 2986.
 */
#ifndef ACME_CSR_H
#define ACME_CSR_H

#include <apr_tables.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"

/** One attribute of the subject, RFC 5280 appendix A.1. */
typedef struct acme_csr_attribute_t {
    const char *name;  /* "O": static */
    const char *value; /* UTF-8, of a length the attribute may have */
} acme_csr_attribute_t;

/** Parse "O=Example Ltd". Known are C (two capital letters), ST, L, O, OU and
 *  emailAddress; their names in any case.
 *  @param attribute  its value from pool
 *  @return E_SUBJECT */
acme_err_t *acme_csr_attribute_parse(acme_csr_attribute_t *attribute,
                                     const char *text,
                                     apr_pool_t *pool) ACME_MUST_CHECK;

typedef struct acme_csr_options_t {
    int must_staple;                   /* TLS feature extension, RFC 7633 */
    const apr_array_header_t *subject; /* acme_csr_attribute_t; NULL: empty */
} acme_csr_options_t;

/** SANs are exactly idents (acme_ident_t *), through GENERAL_NAME calls; no
 *  common name in the subject, since CAs take it from the SANs.
 *  @param csr      base64url DER, from pool
 *  @param idents   1 to ACME_MAX_IDENTS
 *  @param options  NULL: none
 *  @return E_CSR_MAKE */
acme_err_t *acme_csr_make(const char **csr, EVP_PKEY *key,
                          const apr_array_header_t *idents,
                          const acme_csr_options_t *options,
                          apr_pool_t *pool) ACME_MUST_CHECK;

/** The extension subjectAltName over idents; the caller frees it.
 *  @return NULL for none or too many of them, for values that are not of their
 *          type, or without memory */
X509_EXTENSION *acme_csr_names(const apr_array_header_t *idents);

#endif
