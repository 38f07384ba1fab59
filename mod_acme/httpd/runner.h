/**
 * Runs the engine in a child: a mod_watchdog callback in every child, the lease
 * decides in which one. Leaves within a second when the child is to stop.
 */
#ifndef ACME_RUNNER_H
#define ACME_RUNNER_H

#include <httpd.h>

#include "engine/engine.h"
#include "httpd/live.h"

/** Real pass of post_config, before mod_watchdog's own: register.
 *  All arguments live as long as pconf.
 *  @return E_NO_WATCHDOG */
acme_err_t *acme_runner_start(server_rec *s, const acme_engine_config_t *config,
                              acme_store_t *store, acme_live_table_t *table,
                              apr_pool_t *pconf) ACME_MUST_CHECK;

/** child_init, before watchdog threads begin. */
void acme_runner_child_init(apr_pool_t *pchild, server_rec *s);
/** child_stopping: end a wait for the network at once. */
void acme_runner_child_stopping(apr_pool_t *pchild, int graceful);

#endif
