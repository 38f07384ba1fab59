/**
 * How a stored set comes into service (AcmeActivate, AcmeActivateDelay): tried by a
 * handshake first, then live, or with the next reload; looked at once it is live,
 * and taken back if no handshake shows it. What has not come into service, or had
 * to leave it, changes nothing of what is served.
 */
#ifndef ACME_ACTIVATION_H
#define ACME_ACTIVATION_H

#include "engine/engine_impl.h"

/** After a start: which set is the newest, and which one is served; what is not in
 *  service, and may be, comes into it. What a process that was killed has left goes. */
void acme_activation_load(acme_engine_t *engine, acme_job_t *job);
/** Before an order: whether there is a newer set that could not be read then.
 *  @return 1: there is nothing to order now; the job has been planned anew, or has
 *          failed */
int acme_activation_look_again(acme_engine_t *engine, acme_job_t *job);

/** Before a set is stored: what could not be read at the start may be this very one,
 *  stored by an engine that was killed before its order was gone.
 *  @return why it cannot be read yet */
acme_err_t *acme_activation_read_again(acme_engine_t *engine,
                                       acme_job_t *job) ACME_MUST_CHECK;
/** Plan the next attempt; what has failed and is not wanted any more is forgotten. */
void acme_activation_plan(acme_engine_t *engine, acme_job_t *job);

/** That was the last one. */
void acme_activation_loaded(acme_engine_t *engine);

/** A set has been stored. */
void acme_activation_tell_issued(acme_engine_t *engine, const acme_job_t *job,
                                 const acme_record_t *record);

/** A set that was issued, before it is stored: root may promote what is stored at
 *  any time.
 *  @param refusal  why it must never serve, from scratch; NULL: it may
 *  @return what passes by itself, and says nothing of the set */
acme_err_t *acme_activation_prove(acme_err_t **refusal, acme_engine_t *engine,
                                  acme_job_t *job,
                                  const acme_set_t *set) ACME_MUST_CHECK;
/** It has been stored, and the job has learned of it. Into service with it, or it
 *  waits; the status says for what.
 *  @return why it does not serve, from scratch; it has been refused then, and the
 *          job knows the one before again */
acme_err_t *acme_activation_enter(acme_engine_t *engine, acme_job_t *job,
                                  const acme_record_t *record) ACME_MUST_CHECK;

/** Its time has come. */
void acme_activation_due(acme_engine_t *engine, acme_timer_t *timer);

/** A set that a reload has put into service, tried under the configuration of now.
 *  @return E_RELOADED_FAILS, from scratch; NULL also where it cannot be tried */
acme_err_t *acme_activation_check_reloaded(
    acme_engine_t *engine, const acme_job_t *job) ACME_MUST_CHECK;

/** Whether the newest set is not the one that is served. */
int acme_activation_waits(const acme_job_t *job);

#endif
