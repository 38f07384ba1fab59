/**
 * What happens to certificates, told to whoever is to know: every event passes
 * through acme_events_raise. Today these are the programs of AcmeOn (notify.h);
 * whoever else wants to be told is called from there.
 *
 * What is raised again and again, is so at sensible intervals, and a restart does
 * not begin anew: errored when the error is another than the one told last, and
 * daily; expiring daily, until a certificate is there that does not end soon;
 * revoked once for a certificate.
 */
#ifndef ACME_EVENTS_H
#define ACME_EVENTS_H

#include "engine/engine_impl.h"
#include "engine/hook.h"

/** What has happened. The certificate's newest set is in job->status. */
typedef struct acme_happening_t {
    acme_event_kind_t event;
    acme_job_t *job;
    const acme_err_t *err; /* errored, expiring, revoked: why; or NULL */
} acme_happening_t;

/** Cheap where nobody is to be told. */
void acme_events_raise(acme_engine_t *engine, const acme_happening_t *what);

/** When the next warning before the end of the set in service is due; after
 *  everything that changes it. */
void acme_events_plan(acme_engine_t *engine, acme_job_t *job);
/** That time has come. */
void acme_events_due(acme_engine_t *engine, acme_timer_t *timer);
/** A set was issued: tell if the record that its names are proved by ends soon. */
void acme_events_proved(acme_engine_t *engine, acme_job_t *job);
/** The certificate is as it should be: errors told are forgotten. */
void acme_events_mended(acme_engine_t *engine, acme_job_t *job);
/** The newest set does not serve, and the status says why: told once of each set and
 *  reason, also over starts. */
void acme_events_wait(acme_engine_t *engine, acme_job_t *job);

/** After a start, when job's set and failures are known: what was raised last. */
void acme_events_load(acme_engine_t *engine, acme_job_t *job);

#endif
