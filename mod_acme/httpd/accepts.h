/**
 * Whether mod_ssl will take a set: it ends the server over one that it does not, and
 * the worker can write sets that OpenSSL finds too weak.
 */
#ifndef ACME_ACCEPTS_H
#define ACME_ACCEPTS_H

#include <httpd.h>

#include "engine/store.h"

/** As acme_try_fn_t; before mod_ssl has read the set.
 *  @param host  the server_rec that it is for */
const char *acme_accepts(void *host, const acme_set_t *set, apr_pool_t *pool);

#endif
