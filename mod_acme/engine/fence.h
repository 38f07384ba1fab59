/**
 * The directory of an epoch of the lease. What its holder writes is made in there
 * and renamed out of it; what it removes is renamed into it. Whoever takes over
 * removes it: then nothing that the one before has begun can reach the store any
 * more, at whatever instruction it was stopped. That asks for no lock, but for
 * mkdir(2), rename(2) and rmdir(2) of one file system, which are atomic between
 * machines, too.
 */
#ifndef ACME_FENCE_H
#define ACME_FENCE_H

#include "engine/fsfile.h"

/** Epochs are below: nobody gets there. */
#define ACME_FENCE_MAX (APR_INT64_MAX / 2)

/** Highest epoch whose directory is there; 0: none. @param ground  where they are */
acme_err_t *acme_fence_highest(apr_int64_t *epoch, const acme_place_t *ground,
                               apr_pool_t *scratch) ACME_MUST_CHECK;

/** Make that of epoch, and remove those before.
 *  @param stage  from pool, which closes it; NULL: another process was first
 *  @return E_STORE_IO: those before may still write, and nothing was made */
acme_err_t *acme_fence_raise(acme_place_t **stage, const acme_place_t *ground,
                             apr_int64_t epoch, apr_pool_t *pool,
                             apr_pool_t *scratch) ACME_MUST_CHECK;

/** @param stands  0: a later epoch has begun */
acme_err_t *acme_fence_look(int *stands, const acme_place_t *ground,
                            apr_int64_t epoch,
                            apr_pool_t *scratch) ACME_MUST_CHECK;

/** The epoch ends of itself. What cannot be removed the next one removes. */
void acme_fence_lower(const acme_place_t *ground, apr_int64_t epoch,
                      apr_pool_t *scratch);

#endif
