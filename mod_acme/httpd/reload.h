/**
 * The reload that AcmeActivate asks for: the engine, in a child, says that it is
 * wanted; the parent does it, in its monitor hook, once a child of its own ("httpd -t",
 * look.h) has found the configuration as it was read, and valid: another one might end
 * the server, and is the administrator's to bring into service.
 */
#ifndef ACME_RELOAD_H
#define ACME_RELOAD_H

#include <httpd.h>

#include "engine/engine.h"

/** Real pass of post_config: a reload has just been done, so that none is wanted.
 *  @param managed  acme_managed_t *: whether any of them could want one */
void acme_reload_settle(server_rec *s, const apr_array_header_t *managed,
                        apr_pool_t *pconf);

/** From a child: as soon as others have had a minute to join in, and interval after
 *  the last one of ours at the earliest. */
void acme_reload_want(apr_interval_time_t interval);
/** Any child: what waits for a reload waits for the administrator's while the parent
 *  does none, because the configuration has been changed. */
void acme_reload_amend(acme_status_t *status);

/** monitor hook: the parent, every ten seconds or so. */
int acme_reload_monitor(apr_pool_t *pconf, server_rec *s);

#endif
