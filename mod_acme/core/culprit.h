/**
 * Who it is that answers in this server's place: products that stand before web
 * servers, and parking pages, recognised by their headers and words. Everything
 * looked at is hostile and bounded.
 */
#ifndef ACME_CULPRIT_H
#define ACME_CULPRIT_H

#include <apr_pools.h>
#include <apr_tables.h>

/** An HTTP answer of somebody else. */
typedef struct acme_stranger_t {
    int status;
    const apr_array_header_t *headers; /* const char *: "Name: value" */
    const char *body;                  /* its beginning, or "" */
} acme_stranger_t;

/** Value of the first header of that name; NULL: there is none. Borrowed. */
const char *acme_culprit_header(const acme_stranger_t *stranger,
                                const char *name);

/** A proxy, CDN, cache, load balancer or firewall: "Cloudflare", "a proxy (Via:
 *  1.1 squid)", "a gateway whose server is away". NULL: nothing tells of one.
 *  From pool, printable. */
const char *acme_culprit_between(const acme_stranger_t *stranger,
                                 apr_pool_t *pool);

/** Whether it is a parking page: of a registrar, a dealer, a host for what has
 *  expired. @return what gives it away, static; or NULL */
const char *acme_culprit_parking(const acme_stranger_t *stranger);

/** Whether it is a web server's complaint that TLS is spoken at its port. */
int acme_culprit_wants_tls(const acme_stranger_t *stranger);

/** In words: "nginx/1.22.1, status 404, page \"Not found\"". From pool, printable. */
const char *acme_culprit_describe(const acme_stranger_t *stranger,
                                  apr_pool_t *pool);

#endif
