/**
 * Which process runs the engine on a store: a lease with an epoch and a
 * heartbeat in the store's file "lock". One holder at a time among all children
 * of all httpds on the store; a dead holder's lease is taken over at once (same
 * machine: its process is gone) or when it has expired (ACME_LEASE_TERM). A
 * holder that was frozen past its term finds its epoch over before it writes.
 */
#ifndef ACME_LEASE_H
#define ACME_LEASE_H

#include <apr_pools.h>
#include <apr_time.h>

#include "core/err.h"

#define ACME_LEASE_TERM apr_time_from_sec(30) /* without a heartbeat */
#define ACME_LEASE_BEAT apr_time_from_sec(8)  /* between heartbeats */

typedef struct acme_lease_t acme_lease_t;

/** @param path  the lock file; opened on each use with O_CLOEXEC|O_NOFOLLOW,
 *               and locked by flock only while the lease is read or changed */
acme_lease_t *acme_lease_create(const char *path, apr_pool_t *pool);

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
/** Whether anybody holds it, as far as can be seen without taking it: writes and
 *  locks nothing. */
int acme_lease_is_taken(acme_lease_t *lease, apr_time_t now);
/** Epoch of our last taking, 1..; 0 before. */
apr_int64_t acme_lease_epoch(const acme_lease_t *lease);

/** Run commit with the lock file locked and the epoch proven to be ours, so that
 *  nobody can take over in between.
 *  @return E_LEASE_LOST without running it, or what commit returns */
typedef acme_err_t *acme_lease_commit_fn_t(void *baton, apr_pool_t *scratch);
acme_err_t *acme_lease_commit(acme_lease_t *lease,
                              acme_lease_commit_fn_t *commit, void *baton,
                              apr_pool_t *scratch) ACME_MUST_CHECK;

#endif
