/**
 * Certificates: reading a chain, and deciding whether it may go into service.
 */
#ifndef ACME_CERT_H
#define ACME_CERT_H

#include <apr_tables.h>
#include <apr_time.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/ident.h"
#include "core/key.h"

#define ACME_MAX_CHAIN_LENGTH 10

/** A chain as the server sends it. Owner: the pool it was parsed in. */
typedef struct acme_chain_t {
    X509 *leaf;
    STACK_OF(X509) *issuers; /* in order, without the leaf; may be empty */
} acme_chain_t;

/** Parse a PEM chain. RFC 8555 section 9.1 and 11.4: nothing but CERTIFICATE
 *  blocks (white space and explanatory text between them is let pass, another
 *  BEGIN nowhere), 1 to ACME_MAX_CHAIN_LENGTH of them, in ACME_MAX_CHAIN octets.
 *  Linear in len; frees by a cleanup on pool.
 *  @return E_CHAIN_PARSE, E_MEMORY */
acme_err_t *acme_chain_parse(acme_chain_t **chain, const char *pem,
                             apr_size_t len, apr_pool_t *pool) ACME_MUST_CHECK;

/** PEM of the chain, leaf first. */
acme_err_t *acme_chain_to_pem(const char **pem, const acme_chain_t *chain,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** A time of ASN.1 (also a GeneralizedTime); one before 1970 is 0.
 *  @return 0: malformed */
int acme_cert_time(apr_time_t *time, const ASN1_TIME *asn1);

/** What a certificate says of itself. Strings from pool, sanitised. */
typedef struct acme_cert_info_t {
    apr_time_t not_before, not_after; /* far dates clamped, never negative */
    apr_array_header_t *idents;       /* acme_ident_t *, from the SANs */
    int foreign_names;                /* SANs of other kinds, unparsable, or
                                         after the first 1000 */
    const char *serial;               /* hexadecimal, lower case */
    const char *issuer;               /* common name, or whole name if none */
    const char *fingerprint;          /* SHA-256 of the DER, hexadecimal */
    const char *ari_id; /* RFC 9773 section 4.1; NULL without AKI */
    const char *ocsp;   /* its first responder (ocsp.h); NULL: it has none */
    int must_staple;    /* it demands an OCSP response in each handshake */
    const char *tlsa;   /* acme_key_tlsa of its key */
} acme_cert_info_t;
/** @return E_CHAIN_PARSE: a date is malformed */
acme_err_t *acme_cert_info(acme_cert_info_t **info, X509 *cert,
                           apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether a chain may go into service: leaf's public key is key's, its names
 *  are idents exactly, valid at now (not_before up to an hour ahead is let
 *  pass: clock skew), serverAuth where extended key usage is there, not a CA,
 *  and each certificate up the chain is issued by the next one, by name and by
 *  signature. Trust is not asked: the CA was.
 *  @param idents  NULL: names are not compared
 *  @return E_CERT_KEY, E_CERT_NAMES, E_CERT_DATES, E_CERT_USAGE, E_CERT_CHAIN */
acme_err_t *acme_chain_verify(const acme_chain_t *chain, EVP_PKEY *key,
                              const apr_array_header_t *idents, apr_time_t now,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether any certificate of the chain was issued by this common name. */
int acme_chain_has_issuer(const acme_chain_t *chain, const char *common_name);

/** A self-signed certificate over idents, ECDSA or RSA by key, valid a year
 *  from now, subject "mod_acme placeholder", for a host without one yet.
 *  @param cert    freed by a cleanup on pool
 *  @param idents  1 to ACME_MAX_IDENTS
 *  @return E_CERT_MAKE */
acme_err_t *acme_cert_placeholder(X509 **cert, EVP_PKEY *key,
                                  const apr_array_header_t *idents,
                                  apr_time_t now,
                                  apr_pool_t *pool) ACME_MUST_CHECK;

#define ACME_ALPN_DIGEST 32 /* octets: SHA-256 */

/** What tls-alpn-01 shows to the CA (RFC 8737 section 3, RFC 8738 section 6):
 *  self-signed, ident its only name, and the digest of the key authorization in
 *  a critical extension. Valid for a day.
 *  @param cert  freed by a cleanup on pool
 *  @param key   of any kind that TLS signs with
 *  @return E_CERT_MAKE */
acme_err_t *acme_cert_challenge(X509 **cert, EVP_PKEY *key, acme_ident_t *ident,
                                const unsigned char digest[ACME_ALPN_DIGEST],
                                apr_time_t now,
                                apr_pool_t *pool) ACME_MUST_CHECK;

#endif
