/**
 * Renewal information, RFC 9773: what the CA suggests for one certificate, when
 * to ask again, and which moment of the window is taken. Values and decisions;
 * the engine asks.
 */
#ifndef ACME_ARI_H
#define ACME_ARI_H

#include "core/http.h"

#define ACME_ARI_ID  128 /* octets of a certificate's identifier, with NUL */
#define ACME_ARI_URL 192 /* octets of explanationURL that are kept, with NUL */

/** Zeroed: nothing known, to be asked at once. */
typedef struct acme_ari_t {
    apr_time_t start, end; /* suggestedWindow; 0: none known */
    apr_time_t next_ask;   /* not before; 0: at once */
    int failures;          /* in a row */
    int rushed; /* certificates in a row before this one that were replaced
                   young because the CA wanted it */
    char url[ACME_ARI_URL]; /* explanationURL, or "" */
} acme_ari_t;

/** The unauthenticated GET of section 4.1.
 *  @param renewal_info  of the directory
 *  @param cert_id       acme_cert_info_t's ari_id
 *  @return E_CA_RESOURCE: they make no usable URL */
acme_err_t *acme_ari_request(acme_request_t *request, const char *renewal_info,
                             const char *cert_id,
                             apr_pool_t *pool) ACME_MUST_CHECK;

/** What was answered. Sets next_ask: by Retry-After, within a minute and a day
 *  (4.3.2); after a timeout or 5xx in 1, 10 and 100 minutes, after that and for
 *  all else that is wrong in 6 hours (4.3.3), later if Retry-After says so. A
 *  window once known stays until there is another.
 *  @param news    whether window or explanation are others than before
 *  @param random  uniform
 *  @return E_CA_RESOURCE, E_CA_JSON, or what the reply amounts to */
acme_err_t *acme_ari_feed(int *news, acme_ari_t *ari, const acme_reply_t *reply,
                          apr_time_t now, unsigned int random,
                          apr_pool_t *pool) ACME_MUST_CHECK;

/** The moment to renew (4.2): uniformly distributed over the window, as far as
 *  that lies before latest. Drawn from the certificate's identifier and the
 *  window, so that it stays put while these do, whatever is lost.
 *  @return 0: no window before latest is known */
apr_time_t acme_ari_moment(const acme_ari_t *ari, const char *cert_id,
                           apr_time_t latest);

/** JSON with the identifier it belongs to. */
acme_err_t *acme_ari_format(const char **json, const acme_ari_t *ari,
                            const char *cert_id,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Takes it back, if it belongs to cert_id; else *ari is left alone. What a clock
 *  that was ahead has noted counts as never asked.
 *  @return E_CA_JSON, E_MEMORY, *ari as it was */
acme_err_t *acme_ari_parse(acme_ari_t *ari, const char *cert_id,
                           const char *json, apr_size_t len, apr_time_t now,
                           apr_pool_t *pool) ACME_MUST_CHECK;

#endif
