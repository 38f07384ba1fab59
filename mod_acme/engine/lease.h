/**
 * Which process runs the engine on a store: a lease with an epoch, of which a
 * directory tells (fence.h), and a heartbeat in the store's file "lock". One
 * holder at a time among all children of all httpds on the store; a dead holder's
 * lease is taken over at once (same machine: its process is gone), one that is
 * silent after ACME_LEASE_TERM. A holder that was frozen meanwhile finds its epoch
 * over before it writes, wherever it was stopped. Nothing here relies on locks of
 * the file system, nor on clocks that agree.
 */
#ifndef ACME_LEASE_H
#define ACME_LEASE_H

#include <apr_pools.h>
#include <apr_time.h>

#include "core/err.h"
#include "engine/fsfile.h"

#define ACME_LEASE_TERM apr_time_from_sec(30) /* without a heartbeat */
#define ACME_LEASE_BEAT apr_time_from_sec(8)  /* between heartbeats */
/** By how much the clocks of two servers may differ. */
#define ACME_LEASE_SKEW apr_time_from_sec(600)

typedef struct acme_lease_t acme_lease_t;

/** @param path    the lock file; opened on each use with O_CLOEXEC|O_NOFOLLOW
 *  @param ground  where directories of epochs are made; lives as long */
acme_lease_t *acme_lease_create(const char *path, const acme_place_t *ground,
                                apr_pool_t *pool);

/** Take the lease if it is free, released, expired or its holder dead.
 *  @param held  1: we hold it now (new epoch); 0: another does */
acme_err_t *acme_lease_try(int *held, acme_lease_t *lease, apr_time_t now,
                           apr_pool_t *scratch) ACME_MUST_CHECK;

/** Heartbeat if one is due. @return E_LEASE_LOST: another took it over */
acme_err_t *acme_lease_beat(acme_lease_t *lease, apr_time_t now,
                            apr_pool_t *scratch) ACME_MUST_CHECK;

/** Give it back, so that the next one need not wait. */
void acme_lease_release(acme_lease_t *lease, apr_pool_t *scratch);

int acme_lease_held(const acme_lease_t *lease);
/** Whether anybody holds it, as far as can be seen without taking it: writes
 *  nothing. */
int acme_lease_is_taken(acme_lease_t *lease, apr_time_t now);
/** Epoch of our last taking, 1..; 0 before. */
apr_int64_t acme_lease_epoch(const acme_lease_t *lease);

/** That our epoch is not over; to be asked before anything that cannot be undone.
 *  @return E_LEASE_LOST, E_STORE_IO: it cannot be told */
acme_err_t *acme_lease_prove(acme_lease_t *lease,
                             apr_pool_t *scratch) ACME_MUST_CHECK;
/** The stage of our epoch: what is written and removed by way of it is so under
 *  our epoch alone, or fails. While it is held. */
const acme_place_t *acme_lease_stage(const acme_lease_t *lease);

#endif
