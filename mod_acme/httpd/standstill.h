/**
 * No engine can work for this server, as where its store cannot be used: what the
 * status tells of each certificate then, which no engine is there to tell.
 */
#ifndef ACME_STANDSTILL_H
#define ACME_STANDSTILL_H

#include <httpd.h>

#include "engine/engine.h"
#include "engine/store.h"

/** Parent, real pass of post_config. Until the next one all of these certificates
 *  are in this error, and are what is promoted of them.
 *  @param managed  acme_managed_t *, as long as pconf
 *  @param store    or what is left of it; NULL: nothing */
void acme_standstill_begin(const acme_err_t *why,
                           const apr_array_header_t *managed,
                           acme_store_t *store, apr_time_t now,
                           apr_pool_t *pconf);
/** @param pool  of its remarks; NULL: without them
 *  @return 0: there is no standstill, and the engine's word counts */
int acme_standstill_status(acme_status_t *status, const acme_managed_t *managed,
                           acme_family_t family, apr_pool_t *pool);

#endif
