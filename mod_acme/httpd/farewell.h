/**
 * When httpd ends for good in the middle of a validation: what AcmeOn challenge-open
 * has opened is shut, which an engine would do later. A reload is no end: the next
 * engine goes on.
 */
#ifndef ACME_FAREWELL_H
#define ACME_FAREWELL_H

#include <httpd.h>

#include "engine/store.h"

/** Real pass of post_config, parent. @param store  lives as long as pconf */
void acme_farewell_plan(server_rec *s, acme_store_t *store, apr_pool_t *pconf);

#endif
