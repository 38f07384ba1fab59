/**
 * AcmeRequireHttps: plain requests are sent to https, and browsers told to stay
 * there (HSTS, RFC 6797). All of it sleeps until a CA's certificate is in service:
 * a redirect to the placeholder would lock visitors out.
 */
#ifndef ACME_REQUIRE_HTTPS_H
#define ACME_REQUIRE_HTTPS_H

#include <httpd.h>

#define ACME_HSTS_DEFAULT 15768000 /* seconds: half a year */

typedef enum acme_require_t {
    ACME_REQUIRE_UNSET,
    ACME_REQUIRE_OFF,
    ACME_REQUIRE_TEMPORARY,
    ACME_REQUIRE_PERMANENT,
} acme_require_t;

/** With the other hooks: the filter that adds HSTS. */
void acme_require_https_register(void);

/** Real pass of post_config, after acme_managed_finish: which host with TLS has
 *  which name. Warns of hosts in which the directive stands in vain. */
void acme_require_https_plan(server_rec *base, apr_pool_t *pconf,
                             apr_pool_t *scratch);

/** quick_handler, before everything else: the first moment when an answer does not
 *  cost the connection, and when it is known whether the request is for us or for
 *  a forward proxy. Never for the path of http-01. The name in the redirect is one
 *  of a certificate: that asked for, or else the ServerName, and then for this
 *  once only. */
int acme_require_https_redirect(request_rec *r, int lookup);

/** insert_filter and insert_error_filter: HSTS in all that hosts with TLS answer,
 *  unless the answer has one already. */
void acme_require_https_filter(request_rec *r);

#endif
