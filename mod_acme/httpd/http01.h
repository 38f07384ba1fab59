/**
 * The answer to http-01 (RFC 8555 section 8.3), and what is said on a host that
 * has no certificate yet. Before everything else that handles requests.
 */
#ifndef ACME_HTTP01_H
#define ACME_HTTP01_H

#include <httpd.h>

/** post_read_request at APR_HOOK_REALLY_FIRST: the only position under every
 *  redirect, rewrite, proxy, access rule and SNI check. Answers a token that is
 *  published for the request's Host; DECLINED for everything else, so that other
 *  clients' challenge directories go on working. */
int acme_http01_answer(request_rec *r);

/** Whether it has answered this request. */
int acme_http01_has_answered(const request_rec *r);
/** Whether r asks for something below /.well-known/acme-challenge/.
 *  @param token  what it asks for, or NULL if that can be no token */
int acme_http01_is_challenge(const char **token, const request_rec *r);

/** post_read_request: 503 with Retry-After on TLS hosts that still show their
 *  placeholder. */
int acme_http01_not_yet(request_rec *r);

#endif
