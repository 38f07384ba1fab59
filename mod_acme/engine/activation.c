#include "engine/activation.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/events.h"
#include "engine/report.h"

/* After a disk did not let the set be read, the next look at it. */
#define LOOK_AGAIN apr_time_from_sec(60)

int acme_activation_waits(const acme_job_t *job)
{
    return job->status.wait != ACME_WAIT_NONE;
}

static void note_served(acme_job_t *job, const acme_record_t *record)
{
    acme_served_t *served = &job->served;

    memset(served, 0, sizeof(*served));
    if (record) {
        served->number = record->number;
        served->not_before = record->not_before;
        served->not_after = record->not_after;
        apr_cpystrn(served->serial, record->serial, sizeof(served->serial));
    }
    job->status.served_number = served->number;
    job->status.served_not_after = served->not_after;
}

static void note_wait(acme_engine_t *engine, acme_job_t *job, acme_wait_t wait,
                      apr_time_t until)
{
    job->status.wait = wait;
    job->status.wait_until = until;
    if (until) {
        acme_timer_set(engine->timers, &job->activation, until);
    }
    else {
        acme_timer_clear(engine->timers, &job->activation);
    }
}

/* Whoever was frozen must not take what the next engine shows out of service: here no
 * commit holds him back. */
static void show(acme_engine_t *engine, const acme_job_t *job, int number)
{
    acme_err_t *err = acme_engine_note(
        engine, acme_store_prove(engine->store, engine->scratch));

    (void)err; /* what cannot be told for now stops no certificate */
    if (!engine->lost) {
        engine->callbacks->activate(engine->callbacks->baton, job->managed,
                                    job->family, number);
    }
}

/* --- the trail ----------------------------------------------------------------- */

void acme_activation_tell_issued(acme_engine_t *engine, const acme_job_t *job,
                                 const acme_record_t *record)
{
    acme_engine_log(engine, job, ACME_I_ISSUED, record->serial,
                    record->issuer ? record->issuer : "?",
                    acme_time_format(record->not_after, engine->scratch),
                    acme_idents_text(record->idents, 3, engine->scratch), NULL);
}

static void tell_activated(acme_engine_t *engine, const acme_job_t *job,
                           const acme_record_t *record)
{
    acme_engine_log(engine, job, ACME_I_ACTIVATED,
                    apr_itoa(engine->scratch, record->number), record->serial,
                    NULL);
}

/* Whether the process before this one was killed when it had done it, and not told
 * it yet. That is looked for once for all jobs. */
static int is_untold(acme_engine_t *engine, const acme_record_t *record,
                     acme_msg_t msg)
{
    if (!engine->recent.pool) {
        /* What cannot be read is told when the trail is written to. */
        acme_err_t *err =
            acme_audit_look(&engine->recent, engine->store, engine->pool);
        (void)err;
    }
    return acme_audit_lacks(&engine->recent, msg, record->serial,
                            record->issued);
}

void acme_activation_loaded(acme_engine_t *engine)
{
    if (engine->recent.pool) {
        apr_pool_destroy(engine->recent.pool);
        memset(&engine->recent, 0, sizeof(engine->recent));
    }
}

/* --- trying it ----------------------------------------------------------------- */

static acme_err_t *shake_hands(acme_engine_t *engine, const acme_job_t *job,
                               const acme_set_t *set, apr_pool_t *pool)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;

    return callbacks->prove
               ? callbacks->prove(callbacks->baton, job->managed, set, pool)
               : NULL;
}

/* A set that cannot be read is as bad as one that no handshake takes. */
static acme_err_t *try_set(acme_engine_t *engine, const acme_job_t *job,
                           int number)
{
    acme_set_t *set;
    apr_pool_t *pool;

    if (!engine->callbacks->prove) {
        return NULL;
    }
    apr_pool_create(&pool, engine->scratch);
    acme_err_t *err = acme_store_load_fresh(
        &set, engine->store, job->managed->dir, job->family, number, pool);
    if (!err) {
        err = shake_hands(engine, job, set, pool);
    }
    err = err ? acme_err_dup(err, engine->scratch) : NULL;
    apr_pool_destroy(pool); /* with the key */
    return err;
}

acme_err_t *acme_activation_check_reloaded(acme_engine_t *engine,
                                           const acme_job_t *job)
{
    int number = job->served.number;
    acme_err_t *err = try_set(engine, job, number);

    return err && err->msg == ACME_E_SELF_TEST
               ? acme_err_make(engine->scratch, ACME_E_RELOADED_FAILS,
                               apr_itoa(engine->scratch, number), err->text,
                               NULL)
               : NULL;
}

static void tell_refused(acme_engine_t *engine, acme_job_t *job,
                         const acme_err_t *why)
{
    acme_engine_event(engine, job,
                      "refused: ", acme_err_line(why, engine->scratch));
}

static void refuse(acme_engine_t *engine, acme_job_t *job, int number,
                   const acme_err_t *why)
{
    acme_err_t *err = acme_engine_note(
        engine, acme_store_refuse_fresh(engine->store, job->managed->dir,
                                        job->family, number, engine->scratch));

    tell_refused(engine, job, why);
    if (err && !engine->lost) {
        acme_engine_log_error(engine, job, err);
    }
}

/* Passes by itself, and says nothing of the set: a clock may be wrong, and one that
 * has ended is not in the way of the next. */
static int is_passing(const acme_err_t *err)
{
    return err->msg == ACME_E_STORE_IO || err->msg == ACME_E_MEMORY
           || err->msg == ACME_E_CERT_DATES;
}

acme_err_t *acme_activation_prove(acme_err_t **refusal, acme_engine_t *engine,
                                  acme_job_t *job, const acme_set_t *set)
{
    acme_err_t *err = shake_hands(engine, job, set, engine->scratch);

    *refusal = NULL;
    if (err && !is_passing(err)) {
        tell_refused(engine, job, err);
        *refusal = err;
        return NULL;
    }
    return err;
}

/* It is tried again in a while. */
static void put_off(acme_engine_t *engine, acme_job_t *job,
                    const acme_err_t *why)
{
    acme_engine_log_error(engine, job, why);
    note_wait(engine, job, ACME_WAIT_DELAY,
              acme_engine_now(engine) + LOOK_AGAIN);
}

/* --- into service ---------------------------------------------------------------- */

/* @param issued  a moment ago */
static acme_err_t *go_live(acme_engine_t *engine, acme_job_t *job,
                           const acme_record_t *record, int issued)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    int before = job->served.number;
    acme_err_t *err = NULL;

    acme_stapling_learn(engine, job, record, issued);
    show(engine, job, record->number);
    if (callbacks->check) {
        err = callbacks->check(callbacks->baton, job->managed, record,
                               engine->scratch);
    }
    if (err) {
        show(engine, job, before);
    }
    if (err && is_passing(err)) {
        put_off(engine, job, err);
        return NULL;
    }
    if (err) {
        return acme_err_make(
            engine->scratch, ACME_E_NOT_SERVED,
            apr_itoa(engine->scratch, record->number), err->text,
            before
                ? apr_psprintf(engine->scratch, "set %d serves again", before)
                : "the placeholder serves again",
            NULL);
    }
    acme_store_drop_older(engine->store, job->managed->dir, job->family,
                          record->number, engine->scratch);
    note_served(job, record);
    note_wait(engine, job, ACME_WAIT_NONE, 0);
    acme_engine_event(engine, job, "in service", "");
    tell_activated(engine, job, record);
    return NULL;
}

/* The first certificate of a host waits for no clock, and no one outlives its own
 * end for the next one's sake. */
static apr_time_t ready_at(const acme_job_t *job, const acme_record_t *record,
                           apr_time_t now)
{
    apr_time_t due =
        acme_record_ready(record, job->managed->policy->activate_delay, now);

    if (!job->served.number) {
        return 0;
    }
    return due < job->served.not_after ? due : job->served.not_after;
}

/* Root puts it into service, at a reload that he does for us or for his own sake. */
static void wait_for_reload(acme_engine_t *engine, acme_job_t *job,
                            const acme_record_t *record)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    const acme_policy_t *policy = job->managed->policy;
    acme_wait_t wait = policy->activate == ACME_ACTIVATE_MANUAL
                           ? ACME_WAIT_MANUAL
                           : ACME_WAIT_RELOAD;

    if (job->managed->refused[job->family] == record->number) {
        wait = ACME_WAIT_REFUSED;
    }
    note_wait(engine, job, wait, 0);
    if (wait == ACME_WAIT_RELOAD && callbacks->reload) {
        callbacks->reload(callbacks->baton, policy->reload_interval);
    }
    acme_events_wait(engine, job);
}

/* The set has been tried. */
static acme_err_t *proceed(acme_engine_t *engine, acme_job_t *job,
                           const acme_record_t *record, int issued)
{
    apr_time_t now = acme_engine_now(engine);
    apr_time_t ready = ready_at(job, record, now);

    if (ready > now) {
        note_wait(engine, job, ACME_WAIT_DELAY, ready);
        acme_events_wait(engine, job);
        return NULL;
    }
    if (job->managed->policy->activate == ACME_ACTIVATE_LIVE) {
        return go_live(engine, job, record, issued);
    }
    wait_for_reload(engine, job, record);
    return NULL;
}

/* @param unread  why there may be a newer one; or NULL */
static acme_record_t *find_newest(acme_engine_t *engine, acme_job_t *job,
                                  acme_err_t **unread)
{
    acme_record_t *newest = NULL;
    acme_err_t *err = acme_engine_note(
        engine, acme_store_newest(&newest, engine->store, job->managed->dir,
                                  job->family, engine->scratch));

    if (err) {
        acme_engine_log_error(engine, job, err);
    }
    *unread = err && is_passing(err) ? err : NULL;
    return newest;
}

static acme_err_t *enter(acme_engine_t *engine, acme_job_t *job,
                         const acme_record_t *record, int issued)
{
    acme_err_t *err;
    acme_err_t *unread;

    note_wait(engine, job, ACME_WAIT_NONE, 0);
    err = proceed(engine, job, record, issued);
    if (err) {
        refuse(engine, job, record->number, err);
        acme_job_learn(job, find_newest(engine, job, &unread), engine->scratch);
    }
    return err;
}

acme_err_t *acme_activation_enter(acme_engine_t *engine, acme_job_t *job,
                                  const acme_record_t *record)
{
    return enter(engine, job, record, 1);
}

/* Of one that the job knows, and that has waited. */
static acme_err_t *try_and_enter(acme_engine_t *engine, acme_job_t *job,
                                 const acme_record_t *newest)
{
    acme_err_t *err = try_set(engine, job, newest->number);
    acme_err_t *unread;

    if (!err) {
        return enter(engine, job, newest, 0);
    }
    if (is_passing(err)) {
        put_off(engine, job, err);
        return NULL;
    }
    note_wait(engine, job, ACME_WAIT_NONE, 0);
    refuse(engine, job, newest->number, err);
    acme_job_learn(job, find_newest(engine, job, &unread), engine->scratch);
    return err;
}

/* --- what there is ------------------------------------------------------------------ */

/* Record of the set that handshakes show by the server's word; where that cannot be
 * loaded any more, of the promoted one. NULL: the placeholder. */
static acme_record_t *find_served(acme_engine_t *engine, const acme_job_t *job,
                                  int number)
{
    acme_record_t *promoted = NULL;
    acme_set_t *set;
    acme_err_t *err =
        acme_store_current(&promoted, engine->store, job->managed->dir,
                           job->family, engine->scratch);

    /* told by find_newest already */
    (void)err;
    if (!number || (promoted && promoted->number >= number)) {
        return promoted;
    }
    err = acme_store_load_fresh(&set, engine->store, job->managed->dir,
                                job->family, number, engine->scratch);
    if (!err) {
        err = acme_record_describe(set->record, set->chain->leaf,
                                   engine->scratch);
    }
    return err ? promoted : set->record;
}

static int shown(const acme_engine_t *engine, const acme_job_t *job)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;

    return callbacks->shown
               ? callbacks->shown(callbacks->baton, job->managed, job->family)
               : 0;
}

/* The newest set is not in service: what is, serves on. */
static void load_waiting(acme_engine_t *engine, acme_job_t *job,
                         const acme_record_t *newest)
{
    int known = shown(engine, job);
    acme_record_t *served = find_served(engine, job, known);
    int number = served ? served->number : 0;
    acme_err_t *err;

    note_served(job, served);
    acme_stapling_learn(engine, job, served, 0);
    if (number != known) {
        show(engine, job, number);
    }
    acme_job_learn(job, newest, engine->scratch);
    err = try_and_enter(engine, job, newest);
    if (err && !engine->lost) {
        acme_engine_log_error(engine, job, err);
    }
}

/* The live table is told in any case: what it knows from before may be a set
 * that is not whole any more, and that no handshake could load. Of one that is
 * promoted, every child has the files. */
static acme_err_t *load(acme_engine_t *engine, acme_job_t *job)
{
    acme_err_t *unread;
    acme_record_t *newest = find_newest(engine, job, &unread);

    job->unread = unread != NULL;
    if (newest && is_untold(engine, newest, ACME_I_ISSUED)) {
        acme_activation_tell_issued(engine, job, newest);
    }
    if (newest && newest->from == ACME_RECORD_FRESH && !engine->lost
        && newest->number != shown(engine, job)) {
        load_waiting(engine, job, newest);
        return unread;
    }
    note_served(job, newest);
    note_wait(engine, job, ACME_WAIT_NONE, 0);
    acme_job_learn(job, newest, engine->scratch);
    acme_stapling_learn(engine, job, newest, 0);
    /* A disk that is away for a moment takes nothing out of service. */
    if (!engine->lost && (newest || !unread)) {
        show(engine, job, newest ? newest->number : 0);
    }
    if (newest && job->managed->policy->activate == ACME_ACTIVATE_LIVE
        && is_untold(engine, newest, ACME_I_ACTIVATED)) {
        tell_activated(engine, job, newest);
    }
    return unread;
}

/* What an engine that was killed did not get to. */
static void tidy(acme_engine_t *engine, acme_job_t *job)
{
    if (!job->run) { /* whose key is there before its order */
        acme_store_tidy_work(engine->store, job->managed->dir, job->family,
                             engine->scratch);
    }
    acme_store_drop_older(engine->store, job->managed->dir, job->family,
                          job->status.served_number, engine->scratch);
}

void acme_activation_load(acme_engine_t *engine, acme_job_t *job)
{
    acme_err_t *unread = load(engine, job);

    (void)unread; /* told; and looked at again before anything is ordered */
    if (!engine->lost) {
        tidy(engine, job);
    }
}

void acme_activation_plan(acme_engine_t *engine, acme_job_t *job)
{
    if (acme_job_outlives_failure(job, acme_engine_now(engine),
                                  engine->scratch)) {
        acme_engine_keep(engine, job);
    }
    acme_engine_schedule(engine, job);
}

/* What cannot be read for so long is lost. */
#define LOOKS 3

acme_err_t *acme_activation_read_again(acme_engine_t *engine, acme_job_t *job)
{
    acme_err_t *err = job->unread ? load(engine, job) : NULL;

    return job->status.failures < LOOKS ? err : NULL;
}

/* A disk that is away for a moment is no reason to order what is there already. */
int acme_activation_look_again(acme_engine_t *engine, acme_job_t *job)
{
    if (!job->unread) {
        return 0;
    }
    acme_err_t *err = load(engine, job);
    if (!err) {
        acme_activation_plan(engine, job);
        return 1;
    }
    if (job->status.failures >= LOOKS) {
        return 0;
    }
    acme_engine_fail(engine, job, err, 0);
    return 1;
}

void acme_activation_due(acme_engine_t *engine, acme_timer_t *timer)
{
    acme_job_t *job = ACME_OWNER(timer, acme_job_t, activation);
    acme_err_t *unread;
    acme_record_t *newest = find_newest(engine, job, &unread);
    acme_err_t *err = NULL;

    if (!newest) {
        note_wait(engine, job, ACME_WAIT_DELAY,
                  acme_engine_now(engine) + LOOK_AGAIN);
        return;
    }
    if (newest->from == ACME_RECORD_FRESH
        && newest->number == job->status.set_number) {
        err = try_and_enter(engine, job, newest);
    }
    else { /* another httpd on this store has put it into service */
        acme_activation_load(engine, job);
    }
    if (err && !engine->lost) {
        acme_engine_fail(engine, job, err, 0);
    }
    acme_events_plan(engine, job);
    acme_engine_report(engine, job);
}
