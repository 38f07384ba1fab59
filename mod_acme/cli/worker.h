/**
 * Changes to the part of the store that belongs to the server's user, while no
 * server runs.
 */
#ifndef ACME_CTL_WORKER_H
#define ACME_CTL_WORKER_H

#include <apr_strings.h>

#include "cli/acmectl.h"

typedef acme_err_t *ctl_work_fn_t(acme_store_t *store, void *baton,
                                  apr_pool_t *pool);

/** Run work in a child that is the worker and holds the lease: no server can begin
 *  meanwhile. @return CTL_DONE, or it was told why not */
ctl_exit_t ctl_as_worker(ctl_t *ctl, ctl_work_fn_t *work, void *baton);

#endif
