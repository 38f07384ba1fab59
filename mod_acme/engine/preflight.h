/**
 * Before an order (AcmePreflight): whether a CA will find this server at its
 * names, so that a failure at the CA, which counts, is not needed to find out; CAA
 * records (caacheck.h) beside it; and after a failure, what this server saw of it.
 * Advice that holds nothing up for long, unless it is required.
 */
#ifndef ACME_PREFLIGHT_H
#define ACME_PREFLIGHT_H

#include "engine/engine_impl.h"

typedef struct acme_preflight_t acme_preflight_t;

/** For a new order: of a first certificate, after a failure, with other names
 *  than before; of any, where it is required. Not where AcmeDnsWait is 0, nor for
 *  what a program of the administrator opens for validations alone. */
void acme_preflight_begin(acme_run_t *run);

/** @return 1: the order waits (four seconds at most, nine where it is required, ten
 *          for CAA records; run is poked). Once 0, always 0; the order has then been cancelled where
 *          it must not be asked for (E_PREFLIGHT) */
int acme_preflight_waits(acme_run_t *run, apr_time_t now);

/** An error of a validation with what this server saw of it: visits of the CA, and
 *  what was found before the order; of another one just a copy. From the engine's
 *  scratch. */
acme_err_t *acme_preflight_explain(const acme_run_t *run,
                                   const acme_err_t *err);

#endif
