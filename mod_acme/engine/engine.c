#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <openssl/rand.h>
#include <stdarg.h>

#include "core/encode.h"
#include "engine/activation.h"
#include "engine/duty.h"
#include "engine/events.h"
#include "engine/gate.h"
#include "engine/journal.h"
#include "engine/notify.h"
#include "engine/skips.h"
#include "engine/solver.h"
#include "engine/txt.h"

#define MAX_HANDLED   1000 /* things a round, so that replies get their turn */
#define LOOK_INTERVAL apr_time_from_msec(200) /* for requests */
#define TELL_INTERVAL apr_time_from_sec(600)  /* of what stays wrong */
#define CLOCK_SLACK   apr_time_from_sec(60)   /* that it may go back */

/* --- telling the world ---------------------------------------------------------- */

apr_time_t acme_engine_now(const acme_engine_t *engine)
{
    return engine->callbacks->now(engine->callbacks->baton);
}

static const char *prefix_of(const acme_job_t *job, apr_pool_t *pool)
{
    if (!job) {
        return "";
    }
    return apr_psprintf(pool, "[%s/%s%s%s]", job->managed->name,
                        acme_family_name(job->family),
                        job->run ? " order=" : "",
                        job->run ? acme_order_state_name(job->run->order) : "");
}

/* To the log and, where it is of account, to the audit trail. */
void acme_engine_say(acme_engine_t *engine, acme_msg_t msg, const char *prefix,
                     const char *text)
{
    acme_err_t *err = NULL;

    engine->callbacks->log(engine->callbacks->baton, msg, prefix, text);
    if (acme_audit_event(msg) && !engine->lost) {
        err = acme_engine_note(
            engine,
            acme_audit_add(&engine->audit, engine->store, msg, prefix, text,
                           acme_engine_now(engine), engine->scratch));
    }
    if (err && !engine->lost) {
        engine->callbacks->log(engine->callbacks->baton, err->msg, "",
                               acme_err_line(err, engine->scratch));
    }
}

void acme_engine_log_text(acme_engine_t *engine, const acme_job_t *job,
                          acme_msg_t msg, const char *text)
{
    acme_engine_say(engine, msg, prefix_of(job, engine->scratch), text);
}

void acme_engine_log_under(acme_engine_t *engine, const char *prefix,
                           acme_msg_t msg, va_list list)
{
    const char *args[4] = { NULL, NULL, NULL, NULL };
    for (int i = 0; i < 4 && (args[i] = va_arg(list, const char *)); i++) {
    }
    acme_err_t *line = acme_err_make(engine->scratch, msg, args[0], args[1],
                                     args[2], args[3], NULL);
    acme_engine_say(engine, msg, prefix, line->text);
}

void acme_engine_log(acme_engine_t *engine, const acme_job_t *job,
                     acme_msg_t msg, ...)
{
    va_list list;
    va_start(list, msg);
    acme_engine_log_under(engine, prefix_of(job, engine->scratch), msg, list);
    va_end(list);
}

void acme_engine_log_error(acme_engine_t *engine, const acme_job_t *job,
                           const acme_err_t *err)
{
    acme_engine_log_text(engine, job, err->msg,
                         acme_err_line(err, engine->scratch));
}

int acme_engine_is_news(const acme_engine_t *engine, acme_told_t *told,
                        const acme_err_t *err)
{
    apr_time_t now = acme_engine_now(engine);
    acme_msg_t msg = err ? err->msg : ACME_M_NONE;
    int news = msg != told->msg || now < told->time
               || now >= told->time + TELL_INTERVAL;
    if (news) {
        told->msg = msg;
        told->time = now;
    }
    return news && err;
}

void acme_engine_lose(acme_engine_t *engine, const acme_err_t *err)
{
    if (!engine->lost) {
        engine->lost = acme_err_dup(err, engine->lost_pool);
    }
}

void acme_engine_event(acme_engine_t *engine, const acme_job_t *job,
                       const char *text, const char *more)
{
    if (engine->callbacks->event && !engine->lost) {
        engine->callbacks->event(
            engine->callbacks->baton, job->managed, job->family,
            apr_pstrcat(engine->scratch, text, more, NULL));
    }
}

void acme_engine_report(acme_engine_t *engine, acme_job_t *job)
{
    if (!engine->lost) {
        engine->callbacks->status(engine->callbacks->baton, job->managed,
                                  job->family, &job->status);
    }
}

/* --- jobs ------------------------------------------------------------------------- */

void acme_engine_schedule(acme_engine_t *engine, acme_job_t *job)
{
    apr_time_t due =
        acme_job_plan(job, acme_engine_now(engine), engine->scratch);
    acme_timer_set(engine->timers, &job->timer, due);
    acme_asking_plan(engine, job);
    acme_engine_report(engine, job);
}

void acme_engine_keep(acme_engine_t *engine, acme_job_t *job)
{
    const char *dir = job->managed->dir;
    const char *json = NULL;
    acme_err_t *err = NULL;

    if (!job->status.failures && !job->request[0] && !job->wished
        && !acme_job_has_turns(job) && !acme_skips_count(job)
        && !job->withdrawn.serial[0]) {
        if (job->has_doc) {
            err = acme_store_remove_doc(engine->store, dir, job->family,
                                        ACME_DOC_JOB, engine->scratch);
        }
        job->has_doc = 0;
    }
    else {
        err = acme_job_format(&json, job, engine->scratch);
        if (!err) {
            err = acme_store_put_doc(engine->store, dir, job->family,
                                     ACME_DOC_JOB, json, engine->scratch);
        }
        job->has_doc = 1;
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log_error(engine, job, err);
    }
}

/* Another CA is asked at once. */
static void turn(acme_engine_t *engine, acme_job_t *job, const acme_err_t *err,
                 const char *failed, int quiet)
{
    acme_err_t *line = acme_err_make(engine->scratch, ACME_W_CA_TURNED,
                                     acme_job_ca_name(job, job->ca), failed,
                                     acme_err_line(err, engine->scratch), NULL);
    if (!quiet) {
        acme_engine_log_text(engine, job, line->msg, line->text);
    }
    acme_asked_progress(engine, job, line->text);
    acme_engine_keep(engine, job);
    acme_engine_schedule(engine, job);
}

void acme_engine_fail(acme_engine_t *engine, acme_job_t *job,
                      const acme_err_t *err, int quiet)
{
    apr_time_t now = acme_engine_now(engine);
    acme_job_retry_t retry = { engine->config->retry_first,
                               engine->config->retry_max, 0 };
    const acme_happening_t what = { ACME_EVENT_ERRORED, job, err };
    if (engine->lost) {
        return; /* the next one to work on it will see for itself */
    }
    if (err->msg == ACME_E_ACCOUNT_BUSY) {
        acme_asked_progress(engine, job, err->text); /* it is only put off */
        acme_engine_schedule(engine, job);
        return;
    }
    RAND_bytes((unsigned char *)&retry.random, sizeof(retry.random));
    const char *failed = acme_job_ca_name(job, job->ca);
    acme_engine_event(
        engine, job,
        apr_psprintf(engine->scratch, "failed: ACME%04d ", (int)err->msg),
        acme_err_line(err, engine->scratch));
    acme_proving_over(job);
    if (acme_job_failed(job, err, &retry, now, engine->scratch)) {
        turn(engine, job, err, failed, quiet);
        return;
    }
    acme_asked_outcome(engine, job, err);
    acme_engine_keep(engine, job);
    acme_engine_schedule(engine, job);
    acme_events_raise(engine, &what);
    if (!quiet) {
        const char *next =
            job->status.next_time ? apr_pstrcat(
                engine->scratch, "next attempt at ",
                acme_time_format(job->status.next_time, engine->scratch), NULL)
                                  : "no further attempt by itself";
        acme_engine_log_text(engine, job, err->msg,
                             apr_pstrcat(engine->scratch,
                                         acme_err_line(err, engine->scratch),
                                         "; ", next, NULL));
    }
}

/* @param err  blames them
 * @return 0: it is a failure like any other */
static int leave_out(acme_engine_t *engine, acme_job_t *job,
                     const apr_array_header_t *idents, const acme_err_t *err)
{
    apr_time_t now = acme_engine_now(engine);
    acme_job_retry_t retry = { engine->config->retry_first,
                               engine->config->retry_max, 0 };

    if (engine->lost
        || (acme_job_may_pass_on(job, err, now)
            && acme_job_has_other(job, now))) {
        return 0; /* another CA may take them all */
    }
    acme_skip_verdict_t verdict = acme_skips_judge(job, idents, err, now);
    if (verdict == ACME_SKIP_NONE) {
        return 0;
    }
    if (verdict == ACME_SKIP_STAY) { /* else the attempt goes on for the rest */
        acme_proving_over(job);
    }
    RAND_bytes((unsigned char *)&retry.random, sizeof(retry.random));
    acme_skips_add(job, err, &retry, now, engine->pool);
    for (int i = 0; i < err->blames->nelts; i++) {
        const acme_blame_t *blame =
            &APR_ARRAY_IDX(err->blames, i, acme_blame_t);
        const acme_skip_t *skip = acme_skips_of(job, blame->name);
        acme_engine_log(
            engine, job, ACME_W_NAME_LEFT_OUT, blame->name, blame->text,
            skip ? acme_time_format(skip->next, engine->scratch) : "?", NULL);
        acme_engine_event(engine, job,
                          apr_psprintf(engine->scratch, "left out (ACME%04d): ",
                                       (int)blame->msg),
                          blame->name);
    }
    return 1;
}

void acme_engine_fail_names(acme_engine_t *engine, acme_job_t *job,
                            const apr_array_header_t *idents,
                            const acme_err_t *err, const acme_err_t *without)
{
    if (!leave_out(engine, job, idents, without)) {
        acme_engine_fail(engine, job, err, 0);
        return;
    }
    acme_job_forgive(job);
    acme_engine_keep(engine, job);
    acme_engine_schedule(engine, job);
}

void acme_engine_place_free(acme_engine_t *engine)
{
    for (acme_link_t *link = engine->links; link; link = link->next) {
        if (acme_timers_first(link->backlog)) {
            acme_timer_hasten(engine->timers, &link->timer, ACME_DUE_LINK);
        }
    }
}

/* --- life ------------------------------------------------------------------------- */

/* Ten thousand certificates take seconds, which a stop must not wait for. */
static acme_err_t *check_stop(const acme_engine_t *engine)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    return callbacks->stopping && callbacks->stopping(callbacks->baton)
               ? acme_err_make(engine->lost_pool, ACME_I_STOPPED, NULL)
               : NULL;
}

static acme_err_t *make_jobs(acme_engine_t *engine)
{
    const apr_array_header_t *managed = engine->config->managed;
    int count = 0;

    for (int i = 0; i < managed->nelts; i++) {
        count +=
            APR_ARRAY_IDX(managed, i, acme_managed_t *)->policy->key_type_count;
    }
    engine->jobs =
        apr_pcalloc(engine->pool, (apr_size_t)(count + 1) * sizeof(acme_job_t));
    for (int i = 0; i < managed->nelts; i++) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        acme_job_t *first = &engine->jobs[engine->job_count];
        ACME_TRY(check_stop(engine));
        acme_link_t *link = acme_link_for(engine, one, 0);
        for (int k = 0; k < one->policy->key_type_count; k++) {
            acme_job_t *job = &engine->jobs[engine->job_count++];
            acme_job_init(job, one, one->policy->key_types[k], engine->pool,
                          engine->scratch);
            job->timer.kind = ACME_TIMER_JOB;
            job->ask.kind = ACME_TIMER_ASK;
            job->warn.kind = ACME_TIMER_WARN;
            job->activation.kind = ACME_TIMER_ACTIVATION;
            job->link = link;
        }
        apr_hash_set(engine->by_name, one->name, APR_HASH_KEY_STRING, first);
        apr_pool_clear(engine->scratch);
    }
    return NULL;
}

/* Nothing is sent, and no program begun, by one whose epoch is over. */
static acme_err_t *prove(void *baton)
{
    acme_engine_t *engine = baton;
    acme_err_t *err = acme_engine_note(
        engine, acme_store_prove(engine->store, engine->scratch));

    return engine->lost ? engine->lost : err;
}

/* From the thread that makes keys. */
static void wake(void *baton)
{
    acme_transport_wakeup(baton);
}

acme_err_t *acme_engine_create(acme_engine_t **result,
                               const acme_engine_config_t *config,
                               const acme_engine_callbacks_t *callbacks,
                               acme_store_t *store, apr_pool_t *pool)
{
    acme_engine_t *engine = apr_pcalloc(pool, sizeof(*engine));
    engine->config = config;
    engine->callbacks = callbacks;
    engine->store = store;
    engine->pool = pool;
    engine->by_name = apr_hash_make(pool);
    engine->timers = acme_timers_create(pool);
    apr_pool_create(&engine->scratch, pool);
    apr_pool_create(&engine->lost_pool, pool);
    ACME_TRY(acme_transport_create(&engine->transport, config->version, pool));
    acme_transport_guard(engine->transport, prove, engine);
    engine->keymaker = acme_keymaker_create(wake, engine->transport, pool);
    engine->notify = acme_notify_create(engine);
    ACME_TRY(acme_solver_create(&engine->solver, engine));
    ACME_TRY(make_jobs(engine));
    *result = engine;
    return NULL;
}

/* --- taking over -------------------------------------------------------------------- */

static void load_failures(acme_engine_t *engine, acme_job_t *job)
{
    const char *json = NULL;
    apr_size_t len;
    acme_err_t *err =
        acme_store_get_doc(&json, &len, engine->store, job->managed->dir,
                           job->family, ACME_DOC_JOB, engine->scratch);
    if (!err && json) {
        err = acme_job_parse(job, json, len, engine->pool, engine->scratch);
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log(engine, job, ACME_W_JOB_DAMAGED, err->text, NULL);
    }
    acme_job_check_clock(job, engine->config->retry_max,
                         acme_engine_now(engine));
    if (job->request[0]) {
        job->requested = ACME_REQUESTED;
    }
}

static void load_order(acme_engine_t *engine, acme_job_t *job)
{
    const char *json = NULL;
    apr_size_t len;
    acme_err_t *err = acme_engine_note(
        engine,
        acme_store_get_doc(&json, &len, engine->store, job->managed->dir,
                           job->family, ACME_DOC_ORDER, engine->scratch));

    /* One that was put off after a failure waits for its next attempt; one that
     * cannot be read is dealt with then, too. */
    if (!err && json) {
        acme_run_found(engine, job, json, len);
    }
    if (!err && json && job->retry_at <= acme_engine_now(engine)) {
        acme_run_resume(engine, job, json, len);
        return;
    }
    acme_activation_plan(engine, job);
}

/* The lease is kept from in here: nobody else knows how long a round takes.
 * Costs nothing where no heartbeat is due. */
static void beat(acme_engine_t *engine)
{
    acme_err_t *err = acme_engine_note(
        engine, acme_store_beat(engine->store, acme_engine_now(engine),
                                engine->scratch));
    if (acme_engine_is_news(engine, &engine->told_beat, err) && !engine->lost) {
        acme_engine_log_error(engine, NULL, err);
    }
}

acme_err_t *acme_engine_resume(acme_engine_t *engine)
{
    acme_err_t *err = acme_engine_note(engine, acme_journal_load(engine));

    if (err && !engine->lost) {
        acme_engine_log_error(engine, NULL, err);
    }
    for (int i = 0; i < engine->job_count && !engine->lost; i++) {
        apr_pool_clear(engine->scratch);
        ACME_TRY(check_stop(engine));
        beat(engine);
        acme_activation_load(engine, &engine->jobs[i]);
        ACME_TRY(engine->lost);
        load_failures(engine, &engine->jobs[i]);
        acme_events_load(engine, &engine->jobs[i]);
        acme_asking_load(engine, &engine->jobs[i]);
        acme_keys_prepare(engine, &engine->jobs[i]);
        load_order(engine, &engine->jobs[i]);
    }
    apr_pool_clear(engine->scratch);
    acme_activation_loaded(engine);
    if (!engine->lost) {
        acme_solver_sweep(engine->solver);
        acme_engine_log(engine, NULL, ACME_I_STARTED,
                        apr_itoa(engine->scratch, engine->job_count),
                        apr_itoa(engine->scratch, engine->active), NULL);
    }
    return engine->lost;
}

/* --- rounds ----------------------------------------------------------------------- */

static void begin_attempt(acme_engine_t *engine, acme_job_t *job)
{
    if (!job->turn.place && job->managed->policy->ca_count > 1) {
        acme_job_choose(job, acme_engine_now(engine), engine->scratch);
        job->link = acme_link_for(engine, job->managed, job->ca);
    }
    acme_link_enqueue(job->link, job);
}

static void handle(acme_engine_t *engine, acme_timer_t *timer)
{
    apr_pool_clear(engine->scratch);
    acme_timer_clear(engine->timers, timer);
    switch (timer->kind) {
    case ACME_TIMER_RUN:
        acme_run_pump(ACME_OWNER(timer, acme_run_t, timer));
        break;
    case ACME_TIMER_DUTY:
        acme_duty_pump(ACME_OWNER(timer, acme_duty_t, timer));
        break;
    case ACME_TIMER_STAPLE:
        acme_stapling_pump(ACME_OWNER(timer, acme_stapling_t, timer));
        break;
    case ACME_TIMER_LINK:
        acme_link_pump(ACME_OWNER(timer, acme_link_t, timer));
        break;
    case ACME_TIMER_ASK:
        acme_asking_due(ACME_OWNER(timer, acme_job_t, ask));
        break;
    case ACME_TIMER_ASK_LINK:
        acme_asking_pump(ACME_OWNER(timer, acme_link_t, asking.timer));
        break;
    case ACME_TIMER_GATE:
        acme_gate_pump(timer);
        break;
    case ACME_TIMER_WARN:
        acme_events_due(engine, timer);
        break;
    case ACME_TIMER_ACTIVATION:
        acme_activation_due(engine, timer);
        break;
    case ACME_TIMER_TXT:
        acme_txt_pump(timer);
        break;
    default:
        begin_attempt(engine, ACME_OWNER(timer, acme_job_t, timer));
        break;
    }
}

static void handle_due(acme_engine_t *engine)
{
    apr_time_t now = acme_engine_now(engine);
    acme_timer_t *timer;

    engine->starting = 0;
    for (int i = 0; i < MAX_HANDLED && !engine->lost; i++) {
        timer = acme_timers_first(engine->timers);
        if (!timer || timer->due > now) {
            break;
        }
        beat(engine); /* where the disk is slow, all of them take long */
        handle(engine, timer);
    }
}

static void look_for_requests(acme_engine_t *engine)
{
    apr_time_t now = acme_engine_now(engine);
    if (engine->lost
        || (now >= engine->looked && now < engine->looked + LOOK_INTERVAL)) {
        return;
    }
    engine->looked = now;
    apr_pool_clear(engine->scratch);
    beat(engine);
    if (engine->lost) {
        return;
    }
    acme_err_t *err = acme_request_look(engine);
    if (acme_engine_is_news(engine, &engine->told_look, err) && !engine->lost) {
        acme_engine_log_error(engine, NULL, err);
    }
}

apr_time_t acme_engine_next_due(const acme_engine_t *engine)
{
    const acme_timer_t *timer = acme_timers_first(engine->timers);
    if (!timer) {
        return ACME_NEVER;
    }
    return timer->due <= acme_engine_now(engine) ? 0 : timer->due;
}

/* Every timer is a moment of the clock. */
static acme_err_t *check_clock(acme_engine_t *engine)
{
    apr_time_t now = acme_engine_now(engine);
    if (now + CLOCK_SLACK < engine->latest) {
        return acme_err_make(
            engine->lost_pool, ACME_E_CLOCK_BACK,
            acme_duration_text(engine->latest - now, engine->lost_pool), NULL);
    }
    if (now > engine->latest) {
        engine->latest = now;
    }
    return NULL;
}

acme_err_t *acme_engine_step(acme_engine_t *engine,
                             apr_interval_time_t max_wait)
{
    ACME_TRY(check_clock(engine));
    ACME_TRY(prove(engine));
    look_for_requests(engine);
    handle_due(engine);
    if (engine->lost) {
        return engine->lost;
    }
    apr_time_t due = acme_engine_next_due(engine);
    apr_interval_time_t wait = max_wait;
    if (due != ACME_NEVER) {
        apr_interval_time_t left = due ? due - acme_engine_now(engine) : 0;
        wait = left < wait ? left : wait;
    }
    wait = acme_notify_due(engine->notify)
               ? 0
               : acme_solver_wait(engine->solver, wait);
    ACME_TRY(acme_transport_poll(engine->transport, wait));
    acme_solver_pump(engine->solver);
    acme_notify_pump(engine->notify);
    apr_pool_clear(engine->scratch);
    acme_keymaker_collect(engine->keymaker);
    handle_due(engine);
    return engine->lost;
}

void acme_engine_wakeup(acme_engine_t *engine)
{
    acme_transport_wakeup(engine->transport);
}
