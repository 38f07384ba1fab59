/**
 * OCSP: asking a CA whether a certificate is still good, and judging the answer,
 * which handshakes then staple. RFC 6960, in the form for many clients of RFC
 * 5019: SHA-1 names the certificate, no nonce (answers come out of caches).
 */
#ifndef ACME_OCSP_H
#define ACME_OCSP_H

#include <apr_pools.h>
#include <apr_time.h>
#include <openssl/x509.h>

#include "core/err.h"

#define ACME_MAX_OCSP 6144 /* octets of a response; most have 500 to 2000 */

/** A responder that cert names and that may be asked: a plain http: URL of
 *  acme_url_valid_as. RFC 5280 section 4.2.2.1.
 *  @param nth  from 0; counted round where it names fewer
 *  @return from pool; NULL: it names none */
const char *acme_ocsp_responder(X509 *cert, int nth, apr_pool_t *pool);

/** Whether cert says that it must never be shown without an OCSP response: TLS
 *  feature status_request. RFC 7633. */
int acme_ocsp_must_staple(const X509 *cert);

/** The question about one certificate, in DER. RFC 6960 section 4.1.
 *  @return E_OCSP: cert or issuer cannot be named in one */
acme_err_t *acme_ocsp_request(const unsigned char **der, apr_size_t *len,
                              X509 *cert, X509 *issuer,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** An answer that its CA has signed. */
typedef struct acme_ocsp_t {
    apr_time_t this_update; /* when that was so */
    apr_time_t until;       /* nextUpdate; a day later where there is none */
    int revoked;            /* 0: good */
    apr_time_t revoked_at;  /* 0 unless revoked */
    const char *reason;     /* "keyCompromise" ..., static; NULL: none given */
} acme_ocsp_t;

/** Judge an answer. Good for use is one for this certificate, signed by issuer
 *  or by one whom issuer has certified for that (id-kp-OCSPSigning), of a time
 *  that holds now (5 minutes of clock skew are let pass). "unknown" is an error,
 *  and so is the "revoked" that responders give for what they have not heard of
 *  yet (certificateHold since 1970, RFC 6960 section 2.2).
 *  @param ocsp  from pool
 *  @return E_OCSP with the reason */
acme_err_t *acme_ocsp_verify(acme_ocsp_t **ocsp, const unsigned char *der,
                             apr_size_t len, X509 *cert, X509 *issuer,
                             apr_time_t now, apr_pool_t *pool) ACME_MUST_CHECK;

#endif
