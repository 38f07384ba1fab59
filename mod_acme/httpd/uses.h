/**
 * What is managed, told to acmectl by way of the store; and what is not any more, to
 * the error log.
 */
#ifndef ACME_USES_H
#define ACME_USES_H

#include <apr_hash.h>
#include <httpd.h>

#include "engine/store.h"

/** What the last start has noted. @return name -> acme_use_t; empty where nothing is
 *  known; from pool */
apr_hash_t *acme_uses_recall(acme_store_t *store, apr_pool_t *pool);
/** Names that it had for a certificate, and that are not allowed any more.
 *  @return acme_ident_t *, from pool; NULL: none */
const apr_array_header_t *acme_uses_former(apr_hash_t *recalled,
                                           const char *name,
                                           const apr_array_header_t *allowed,
                                           apr_pool_t *pool);

/** At a start, in the real pass, once the plan is finished: it is known then, while
 *  the server is stopped, what is in use. Where nothing is managed any more, the
 *  store of before is told so, if there is one.
 *  @param managed  acme_managed_t *
 *  @param store    NULL: it was not opened */
void acme_uses_note(server_rec *s, const apr_array_header_t *managed,
                    acme_store_t *store, apr_pool_t *scratch);

#endif
