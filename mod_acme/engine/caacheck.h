/**
 * Before an order: whether the names' CAA records let this CA certify them, so
 * that a failure at the CA, which counts, is not needed to find out. What the CA
 * would say for certain ends the attempt; the rest is advice.
 */
#ifndef ACME_CAACHECK_H
#define ACME_CAACHECK_H

#include "engine/engine_impl.h"

typedef struct acme_caacheck_t acme_caacheck_t;

/** For a new order, its session READY. Does nothing where the CA does not tell
 *  its name in CAA records, or AcmeDnsWait is 0. */
void acme_caacheck_begin(acme_run_t *run);

/** @return 1: the order waits (at most ten seconds; run is poked). Once 0, always 0;
 *          the order has then been cancelled where it has no prospect */
int acme_caacheck_waits(acme_run_t *run, apr_time_t now);

#endif
