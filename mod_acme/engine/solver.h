/**
 * Proofs made visible and invisible again, whatever their kind: those the server
 * shows by itself (http-01, tls-alpn-01) at once, by the engine's callbacks; DNS
 * records by the administrator's program (txt.h) or hand (dns-persist-01), and
 * then sought in DNS until they are seen.
 */
#ifndef ACME_SOLVER_H
#define ACME_SOLVER_H

#include <jansson.h>

#include "engine/engine_impl.h"

typedef struct acme_solver_t acme_solver_t;
/** A proof of a run on its way; part of the run. */
typedef struct acme_pub_t acme_pub_t;

acme_err_t *acme_solver_create(acme_solver_t **solver,
                               acme_engine_t *engine) ACME_MUST_CHECK;

/** After a start: an entry of the journal (journal.h).
 *  @return why it is not fit for use; NULL: taken up, or another's */
const char *acme_solver_take(acme_solver_t *solver, const char *kind,
                             const json_t *object, const char *id,
                             apr_pool_t *pool);
/** Then, when all saved orders were taken up: what none of them needs goes. */
void acme_solver_sweep(acme_solver_t *solver);

/** Feeds acme_order_published, now or later.
 *  @param proof  as handed out by acme_order_next */
void acme_solver_publish(acme_run_t *run, const acme_proof_t *proof);
void acme_solver_withdraw(acme_run_t *run, const acme_proof_t *proof);
/** The proofs of a saved order, published before; those of one that is left. */
void acme_solver_republish_all(acme_run_t *run);
void acme_solver_withdraw_all(acme_run_t *run);

/** Whether an order that was taken up again has to wait: what must be open for the
 *  challenges it has answered is not, yet. The run is poked when it is. */
int acme_solver_waits(const acme_run_t *run);

/** In words, what a run waits for here; NULL: nothing. */
const char *acme_solver_progress(const acme_run_t *run, apr_pool_t *pool);

/** In each round of the loop, and how long that may wait, at most max. */
void acme_solver_pump(acme_solver_t *solver);
apr_interval_time_t acme_solver_wait(const acme_solver_t *solver,
                                     apr_interval_time_t max);

#endif
