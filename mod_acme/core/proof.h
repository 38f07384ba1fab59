/**
 * What is shown to the CA to prove control of an identifier. RFC 8555 section 8.
 */
#ifndef ACME_PROOF_H
#define ACME_PROOF_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "core/ident.h"

/** Only ever appended to: bits of them are saved with an order. */
typedef enum acme_proof_type_t {
    ACME_PROOF_HTTP_01,        /* RFC 8555 section 8.3 */
    ACME_PROOF_TLS_ALPN_01,    /* RFC 8737 */
    ACME_PROOF_DNS_01,         /* RFC 8555 section 8.4 */
    ACME_PROOF_DNS_ACCOUNT_01, /* draft-ietf-acme-dns-account-label */
    ACME_PROOF_DNS_PERSIST_01, /* draft-ietf-acme-dns-persist */
} acme_proof_type_t;
#define ACME_PROOF_TYPES     5
#define ACME_PROOF_BIT(type) (1u << (type))

/** "http-01"...; static. */
const char *acme_proof_type_name(acme_proof_type_t type);
/** @return 0 and *type, or -1 for a type this client does not know */
int acme_proof_type_parse(acme_proof_type_t *type, const char *name);
/** "http-01, tls-alpn-01 ...": all that acme_proof_type_parse knows; static. */
const char *acme_proof_type_names(void);
/** Whether it is shown by a DNS record. */
int acme_proof_is_dns(acme_proof_type_t type);

/** Why this kind of proof does not exist for this identifier, or NULL: RFC 8555
 *  section 8.3 and RFC 8737 section 3 have no wildcards, RFC 8738 section 7 no
 *  DNS. Static text. */
const char *acme_proof_unsuitable(acme_proof_type_t type,
                                  const acme_ident_t *ident);

/** Kinds of proof, the most preferred first; none twice. */
typedef struct acme_proofs_t {
    acme_proof_type_t types[ACME_PROOF_TYPES];
    int count;
} acme_proofs_t;

/** A challenge that came to nothing. */
typedef struct acme_setback_t {
    acme_proof_type_t type;
    const acme_ident_t *ident;
    const acme_err_t *err;
    unsigned int offered; /* ACME_PROOF_BIT of what the CA offered with it; all
                             where that is not known */
    int last;             /* the order has failed of it */
} acme_setback_t;

typedef struct acme_proof_t {
    acme_proof_type_t type;
    const acme_ident_t *ident;     /* for whom; never a wildcard for http-01 */
    const char *token;             /* acme_token_valid, compared, never echoed;
                                  dns-persist-01 has none: "" */
    const char *key_authorization; /* token "." thumbprint, section 8.1 */
    const apr_array_header_t
        *issuers; /* dns-persist-01: const char *, the names
                                          of the CA it offers; else NULL */
    int hashed;   /* dns-persist-01: in the form of draft -02 */
} acme_proof_t;

/** dns-01, dns-account-01: name of the TXT record, without a final dot:
 *  "_acme-challenge.shop.example.org". A wildcard has that of the name below it.
 *  @param account_url  what the label of dns-account-01 is made of */
const char *acme_proof_record_name(const acme_proof_t *proof,
                                   const char *account_url, apr_pool_t *pool);

/** dns-01, dns-account-01: its value, 43 characters. RFC 8555 section 8.4. */
const char *acme_proof_record_value(const acme_proof_t *proof,
                                    apr_pool_t *pool);

/** token "." thumbprint; from pool. */
const char *acme_proof_key_authorization(const char *token,
                                         const char *thumbprint,
                                         apr_pool_t *pool);

#endif
