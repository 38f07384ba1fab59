/**
 * What must be opened before a CA can look at a challenge, and shut after it: the
 * programs that AcmeOn names for challenge-open and challenge-close. One gate for
 * all challenges of one kind that have the same programs: it is opened with the
 * first of them, which waits for that, and shut a few seconds after the last.
 *
 * That it is to be shut is in the store's journal before it is opened, and stays
 * there until a program has said that it is: whoever holds the lease next goes on
 * with it. While it is needed it is opened again every few minutes, so that a
 * firewall's entries may end by themselves.
 */
#ifndef ACME_GATE_H
#define ACME_GATE_H

#include <jansson.h>

#include "engine/engine_impl.h"

typedef struct acme_gates_t acme_gates_t;

acme_gates_t *acme_gates_create(acme_engine_t *engine);

/** After a start: before, an entry of the journal (@return why not; NULL: taken up,
 *  or another's), and when all saved orders were taken up, when those that none of
 *  them holds are shut. */
const char *acme_gates_take(acme_gates_t *gates, const char *kind,
                            const json_t *object, const char *id,
                            apr_pool_t *pool);
void acme_gates_sweep(acme_gates_t *gates);

/** Whether something must be opened for challenges of this kind. */
int acme_gates_needed(const acme_policy_t *policy, acme_proof_type_t type);

/** @param err  NULL: it is open. E_GATE_REFUSED (then it is held no more), or why
 *              the journal cannot be written */
typedef void acme_gate_ready_fn_t(void *baton, acme_err_t *err);

/** Open it for this proof, and keep it so until acme_gates_drop. ready is called
 *  once, perhaps before this returns; not after that.
 *  @param proof  lives until then; its address says which it is */
void acme_gates_hold(acme_gates_t *gates, const acme_job_t *job,
                     const acme_proof_t *proof, acme_gate_ready_fn_t *ready,
                     void *baton);
/** Nothing, where it is not held. */
void acme_gates_drop(acme_gates_t *gates, const acme_proof_t *proof);

/** Its timer is due. */
void acme_gate_pump(acme_timer_t *timer);

#endif
