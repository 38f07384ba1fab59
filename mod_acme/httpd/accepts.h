/**
 * Whether mod_ssl will take a set: it ends the server over one that it does not, and
 * the worker can write sets that OpenSSL finds too weak.
 */
#ifndef ACME_ACCEPTS_H
#define ACME_ACCEPTS_H

#include <httpd.h>

#include "engine/store.h"

/** Who is to show it. */
typedef struct acme_accepts_t {
    server_rec *host;                /* that mod_ssl asks for now */
    const apr_array_header_t *hosts; /* server_rec *: all that want it; those
                                        without TLS, or with a certificate of
                                        their own, do not count */
} acme_accepts_t;

/** As acme_try_fn_t; before mod_ssl has read the set: tried for each host, of which
 *  one may want more strength than the others.
 *  @param baton  acme_accepts_t */
const char *acme_accepts(void *baton, const acme_set_t *set, apr_pool_t *pool);

#endif
