/**
 * The HTTP proxy that requests to a CA go through (AcmeProxy): its address, and
 * who it lets through.
 */
#ifndef ACME_PROXY_H
#define ACME_PROXY_H

#include <apr_pools.h>

#include "core/err.h"

/** Immutable once made. All strings live as long as it does. */
typedef struct acme_proxy_t {
    const char *url;        /* "http://proxy.example:3128"; fit for a log */
    const char *user;       /* NULL: none is asked for */
    const char *password;   /* with user: never NULL, and never told anybody */
    const char *trust_file; /* PEM, what an https:// proxy is verified against;
                               NULL: the system's trust */
} acme_proxy_t;

/** Read "http[s]://[user[:password]@]host:port[/]". User and password may hold
 *  percent escapes. trust_file is left NULL.
 *  @param proxy  from pool
 *  @return E_PROXY_URL, which does not repeat user and password */
acme_err_t *acme_proxy_parse(acme_proxy_t **proxy, const char *text,
                             apr_pool_t *pool) ACME_MUST_CHECK;

/** Whether both lead the same way, as the same user. NULL: no proxy. */
int acme_proxy_same(const acme_proxy_t *a, const acme_proxy_t *b);

/** All that makes it another one, in one text: a secret, for digests alone. ""
 *  for NULL. */
const char *acme_proxy_text(const acme_proxy_t *proxy, apr_pool_t *pool);

#endif
