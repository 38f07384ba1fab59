#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/blame.h"
#include "core/encode.h"
#include "core/reaction.h"
#include "engine/activation.h"
#include "engine/events.h"
#include "engine/preflight.h"
#include "engine/solver.h"
#include "engine/saved.h"
#include "engine/skips.h"

#define MAX_STEPS 1000 /* of one order in one go; a hundred names take 500 */

/* --- life ---------------------------------------------------------------------- */

static acme_run_t *run_make(acme_link_t *link, acme_job_t *job)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, link->pool);

    acme_run_t *run = apr_pcalloc(pool, sizeof(*run));
    run->pool = pool;
    run->engine = link->engine;
    run->link = link;
    run->job = job;
    run->timer.kind = ACME_TIMER_RUN;
    run->config.profile = acme_job_ca(job)->profile;
    run->config.profile_required = acme_job_ca(job)->profile_required;
    run->config.replaces =
        acme_job_replaces(job, acme_session_kid(link->session));
    run->config.preferred_chain = acme_job_ca(job)->preferred_chain;
    run->config.must_staple = job->managed->policy->must_staple;
    run->config.subject = job->managed->policy->subject;
    return run;
}

/* From here on the order counts. */
static void run_enter(acme_run_t *run)
{
    acme_link_t *link = run->link;
    acme_job_t *job = run->job;

    run->next = link->runs;
    run->prev = &link->runs;
    if (run->next) {
        run->next->prev = &run->next;
    }
    link->runs = run;
    link->run_count++;
    run->engine->active++;
    job->run = run;
    acme_job_begun(job, acme_engine_now(run->engine));
    acme_timer_clear(run->engine->timers, &job->timer);
    acme_asking_stop(job);
    job->status.state =
        job->renew_at ? ACME_STATE_RENEWING : ACME_STATE_ORDERING;
    job->status.next_time = 0;
    acme_run_poke(run);
}

static void run_leave(acme_run_t *run)
{
    acme_link_t *link = run->link;

    acme_planner_left(run);
    *run->prev = run->next;
    if (run->next) {
        run->next->prev = run->prev;
    }
    link->run_count--;
    if (run->hold) {
        link->holding--;
    }
    else {
        run->engine->active--;
    }
    run->job->run = NULL;
    run->job->status.progress[0] = '\0';
    acme_keys_leave(run);
    acme_timer_clear(run->engine->timers, &run->timer);
    acme_engine_place_free(run->engine);
    acme_link_followed(run->job);
    run->ended = 1;
    if (!run->calls) {
        apr_pool_destroy(run->pool);
    }
}

void acme_run_called(acme_run_t *run)
{
    run->calls--;
    if (run->ended && !run->calls) {
        apr_pool_destroy(run->pool);
    }
}

void acme_run_poke(acme_run_t *run)
{
    acme_timer_hasten(run->engine->timers, &run->timer, ACME_DUE_RUN);
}

static void remove_work(acme_run_t *run)
{
    acme_engine_t *engine = run->engine;
    acme_err_t *err = acme_engine_note(
        engine, acme_store_remove_work(engine->store, run->job->managed->dir,
                                       run->job->family, engine->scratch));
    if (err) {
        acme_engine_log_error(engine, run->job, err);
    }
    run->job->kept = run->job->made = 0;
}

/* --- going on with a saved order ------------------------------------------------ */

static acme_err_t *load(acme_run_t *run, const char *json, apr_size_t len)
{
    acme_job_t *job = run->job;
    acme_saved_t saved = { 0 };

    ACME_TRY(acme_saved_parse(&saved, json, len, run->pool));
    if (strcmp(saved.account, run->link->account_dir)) {
        int other = acme_job_find_account(job, saved.account, run->pool) >= 0;
        /* Another CA's: one that failed, or whose account is not at hand any
         * more. */
        return acme_err_make(
            run->pool, other ? ACME_E_ORDER_ELSEWHERE : ACME_E_ORDER_CHANGED,
            NULL);
    }
    run->superseded = strcmp(saved.subject, job->subject) != 0;
    acme_proving_choose(run, saved.idents);
    ACME_TRY(acme_keys_resume(run, saved.has_key));
    if (!run->key && saved.has_key) {
        return acme_saved_damaged("its key is missing", run->pool);
    }
    ACME_TRY(acme_order_load(&run->order, &run->config, saved.order,
                             strlen(saved.order), acme_engine_now(run->engine),
                             run->pool));
    if (run->superseded) {
        acme_order_cancel(run->order,
                          acme_err_make(run->pool, ACME_E_ORDER_CHANGED, NULL));
    }
    return run->key || run->superseded ? NULL : acme_keys_begin(run);
}

/* What is wrong with a saved order stays wrong, but for this machine's own
 * trouble in reading it. */
static int hopeless(const acme_err_t *err)
{
    return acme_reaction(err->msg)->fate != ACME_FATE_KEEP;
}

/* @return 1: the job has a run; 0: it has none and no saved order either; -1: it
 *         failed, and was told so */
static int resume(acme_link_t *link, acme_job_t *job, const char *json,
                  apr_size_t len)
{
    acme_engine_t *engine = link->engine;
    acme_run_t *run = run_make(link, job);
    acme_err_t *err = load(run, json, len);

    if (err && hopeless(err)) { /* or there was no memory for a moment */
        apr_pool_destroy(run->pool);
        run = run_make(link, job);
        err = load(run, json, len);
    }
    if (!err) {
        run->resumed = 1;
        acme_proving_recall(run);
        acme_solver_republish_all(run);
        acme_engine_log(engine, job, ACME_I_ORDER_RESUMED,
                        acme_order_state_name(run->order), NULL);
        run_enter(run);
        acme_engine_report(engine, job);
        return 1;
    }
    int gone = hopeless(err);
    if (err->msg == ACME_E_ORDER_CHANGED
        || err->msg == ACME_E_ORDER_ELSEWHERE) {
        acme_engine_log(engine, job, err->msg, NULL);
    }
    else if (gone) {
        acme_engine_log(engine, job, ACME_W_WORK_DAMAGED, err->text, NULL);
    }
    else {
        acme_engine_fail(engine, job, acme_engine_note(engine, err), 0);
    }
    if (gone) {
        remove_work(run);
    }
    apr_pool_destroy(run->pool);
    return gone ? 0 : -1;
}

void acme_run_found(acme_engine_t *engine, acme_job_t *job, const char *saved,
                    apr_size_t len)
{
    acme_saved_t parsed = { 0 };
    int ca = -1;

    if (!acme_saved_parse(&parsed, saved, len, engine->scratch)) {
        ca = acme_job_find_account(job, parsed.account, engine->scratch);
    }
    if (ca >= 0) {
        acme_job_turn_to(job, ca, engine->scratch);
        job->link = acme_link_for(engine, job->managed, ca);
        job->kept = 1;
        job->made = parsed.issued;
    }
}

void acme_run_resume(acme_engine_t *engine, acme_job_t *job, const char *saved,
                     apr_size_t len)
{
    acme_err_t *err = acme_link_open(job->link);
    if (err) {
        acme_engine_fail(engine, job, err, 0);
    }
    else if (!job->link->session || !resume(job->link, job, saved, len)) {
        acme_engine_schedule(engine, job);
    }
}

/* --- a new order ----------------------------------------------------------------- */

static acme_err_t *begin_new(acme_run_t *run)
{
    acme_proving_choose(
        run,
        acme_skips_idents(run->job, acme_engine_now(run->engine), run->pool));
    ACME_TRY(acme_proving_check(run));
    ACME_TRY(acme_keys_begin(run));
    run->order = acme_order_create(&run->config, run->pool);
    acme_planner_begun(run);
    return NULL;
}

void acme_run_begin(acme_link_t *link, acme_job_t *job)
{
    acme_engine_t *engine = link->engine;
    const char *json = NULL;
    apr_size_t len;
    if (acme_activation_look_again(engine, job)) {
        return;
    }
    acme_err_t *err = acme_link_may_order(link, job);

    if (err) {
        acme_engine_fail(engine, job, err, 0);
        return;
    }
    err = acme_store_get_doc(&json, &len, engine->store, job->managed->dir,
                             job->family, ACME_DOC_ORDER, engine->scratch);
    if (!err && json && resume(link, job, json, len)) {
        return;
    }
    acme_run_t *run = run_make(link, job);
    if (err && hopeless(err)) {
        acme_engine_log(engine, job, ACME_W_WORK_DAMAGED, err->text, NULL);
        remove_work(run);
        err = NULL;
    }
    if (!err) {
        err = begin_new(run);
    }
    if (err) {
        acme_engine_note(engine, err);
        acme_engine_fail_names(engine, job, run->config.idents, err, err);
        apr_pool_destroy(run->pool);
        return;
    }
    acme_engine_log(engine, job, ACME_I_ORDER_BEGUN, job->status.next_action,
                    NULL);
    acme_engine_event(engine, job, "begun: ", job->status.next_action);
    run_enter(run);
    acme_preflight_begin(run);
    acme_engine_report(engine, job);
    const acme_happening_t what = { ACME_EVENT_RENEWING, job, NULL };
    acme_events_raise(engine, &what);
}

/* --- the end ----------------------------------------------------------------------- */

typedef struct finished_t {
    acme_record_t record;
    acme_err_t
        *refusal; /* why it must never serve; nobody finds it in the store */
    int known; /* stored by one who was killed before he cleaned up: what was to be
                  done with it, the start has done */
} finished_t;

static acme_err_t *store_chain(finished_t *done, acme_run_t *run,
                               const char *chain_pem)
{
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;
    acme_record_t *record = &done->record;
    acme_chain_t *chain;

    ACME_TRY(acme_activation_read_again(engine, job));
    ACME_TRY(acme_chain_parse(&chain, chain_pem, strlen(chain_pem), run->pool));
    ACME_TRY(acme_record_describe(record, chain->leaf, run->pool));
    record->name = job->managed->name;
    record->key_type = job->key_type;
    record->ca_url = acme_job_ca(job)->url;
    record->account_url = acme_session_kid(run->link->session);
    record->profile = acme_job_ca(job)->profile;
    record->issued = acme_engine_now(engine);
    acme_proving_record(record, run);
    record->number = job->status.set_number;
    done->known = record->number && !strcmp(record->serial, job->status.serial);
    if (done->known) {
        return NULL;
    }
    const acme_set_t set = { record, chain, run->key };
    ACME_TRY(acme_activation_prove(&done->refusal, engine, job, &set));
    const acme_issued_t issued = { record, chain_pem, run->key,
                                   job->served.number, done->refusal != NULL };
    acme_err_t *err = acme_store_put_fresh(engine->store, job->managed->dir,
                                           &issued, engine->scratch);
    job->unread |= err != NULL; /* what failed may have been the last sync */
    return err;
}

/* @param back  names that are in it again
 * @return why it does not serve */
static acme_err_t *bring_in(apr_array_header_t **back, acme_run_t *run,
                            const finished_t *done)
{
    const acme_record_t *record = &done->record;
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;

    if (!done->known) {
        acme_engine_event(engine, job, "issued by ",
                          record->issuer ? record->issuer : "?");
        acme_activation_tell_issued(engine, job, record);
    }
    if (done->refusal) {
        return done->refusal;
    }
    acme_job_learn(job, record, engine->scratch);
    acme_asking_keep(engine, job);
    *back = acme_skips_settle(job, engine->scratch);
    return done->known ? NULL : acme_activation_enter(engine, job, record);
}

/* The order is as good as done, but this machine cannot take it: its state on
 * disk is kept, and taken up again when the next attempt is due. */
static void suspend(acme_run_t *run, acme_err_t *err)
{
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;

    acme_engine_note(engine, err);
    acme_solver_withdraw_all(run);
    err = acme_err_dup(err, engine->scratch);
    run_leave(run);
    job->kept = 1;
    acme_engine_fail(engine, job, err, 0);
}

void acme_run_leave(acme_run_t *run, const acme_err_t *err)
{
    suspend(run, acme_err_dup(err, run->engine->scratch));
}

void acme_run_finish(acme_run_t *run, const char *chain_pem)
{
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;
    apr_array_header_t *back = NULL;
    finished_t done = { 0 };
    acme_err_t *err = store_chain(&done, run, chain_pem);

    if (err) {
        suspend(run, err);
        return;
    }
    remove_work(run);
    err = bring_in(&back, run, &done);
    if (err) {
        run_leave(run);
        acme_engine_fail(engine, job, err, 0);
        return;
    }
    err = acme_job_succeeded(job, acme_engine_now(engine), engine->scratch);
    acme_proving_over(job);
    for (int i = 0; back && i < back->nelts; i++) {
        acme_engine_log(engine, job, ACME_I_NAME_BACK,
                        APR_ARRAY_IDX(back, i, const char *), NULL);
    }
    apr_array_header_t *remarks =
        acme_order_remarks(run->order, engine->scratch);
    for (int i = 0; i < remarks->nelts; i++) {
        acme_engine_log_error(engine, job,
                              APR_ARRAY_IDX(remarks, i, const acme_err_t *));
    }
    run_leave(run);
    acme_keys_prepare(engine, job);
    acme_asked_outcome(engine, job, NULL);
    const acme_happening_t what = { ACME_EVENT_RENEWED, job, NULL };
    acme_events_raise(engine, &what);
    acme_events_proved(engine, job);
    acme_events_mended(engine, job);
    if (err) {
        acme_engine_fail(engine, job, err, 0);
        return;
    }
    acme_engine_keep(engine, job);
    acme_engine_schedule(engine, job);
}

static acme_err_t *save(acme_run_t *run)
{
    acme_engine_t *engine = run->engine;
    acme_saved_t saved = { run->job->subject,  run->link->account_dir,
                           run->config.idents, NULL,
                           run->key != NULL,   acme_order_issued(run->order) };
    const char *text;

    if (!acme_order_dirty(run->order)) {
        return NULL;
    }
    ACME_TRY(acme_order_save(&saved.order, run->order, acme_engine_now(engine),
                             engine->scratch));
    ACME_TRY(acme_saved_format(&text, &saved, engine->scratch));
    return acme_store_put_doc(engine->store, run->job->managed->dir,
                              run->job->family, ACME_DOC_ORDER, text,
                              engine->scratch);
}

/* Whether the next attempt goes on with an order that has failed. Not for ever:
 * one that does not get better in days is not worth it. */
static int is_kept(const acme_run_t *run, const acme_err_t *err)
{
    return !run->superseded && acme_reaction(err->msg)->fate == ACME_FATE_KEEP
           && run->job->status.failures < ACME_JOB_MAX_KEPT;
}

static void keep(acme_run_t *run)
{
    acme_engine_t *engine = run->engine;
    acme_order_rewind(run->order);
    run->job->kept = 1;
    acme_err_t *err = acme_engine_note(engine, save(run));
    if (err) {
        acme_engine_log_error(engine, run->job, err);
    }
}

static void give_up(acme_run_t *run, const acme_err_t *error)
{
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;
    acme_err_t *err = acme_preflight_explain(run, error);
    /* Taken up for nothing: no attempt of its own, and only one new order. */
    int forgotten =
        run->resumed && acme_reaction(err->msg)->fate == ACME_FATE_ANEW;
    const acme_err_t *without = acme_proving_without(run, err);
    int at_once = run->superseded || forgotten || !without;
    apr_array_header_t *idents =
        acme_idents_copy(run->config.idents, engine->scratch);

    if (is_kept(run, err)) {
        keep(run);
    }
    else {
        acme_planner_failed(run, err);
        remove_work(run);
    }
    if (run->superseded) {
        acme_engine_log(engine, job, ACME_E_ORDER_CHANGED, NULL);
    }
    else if (forgotten) {
        acme_engine_log_error(engine, job, err);
    }
    run_leave(run);
    if (err->msg == ACME_E_CA_PROBLEM_KEY) {
        acme_keys_refused(engine, job);
    }
    if (at_once) {
        acme_engine_schedule(engine, job);
    }
    else {
        acme_engine_fail_names(engine, job, idents, err, without);
    }
}

/* --- the pump ------------------------------------------------------------------------ */

/* @return 0 when the order is over */
static int do_step(acme_run_t *run, const acme_step_t *step)
{
    acme_err_t *err;

    switch (step->kind) {
    case ACME_STEP_SEND:
        err = save(run);
        if (err) {
            suspend(run, err);
            return 0;
        }
        run->sent = 1;
        acme_link_submit(run->link, run, step->request);
        return 1;
    case ACME_STEP_PUBLISH:
        acme_solver_publish(run, step->proof);
        return 1;
    case ACME_STEP_WITHDRAW:
        acme_solver_withdraw(run, step->proof);
        return 1;
    case ACME_STEP_DONE:
        if (!acme_hold_begin(run, step->chain_pem)) {
            acme_run_finish(run, step->chain_pem);
        }
        return 0;
    case ACME_STEP_FAILED:
        give_up(run, step->error);
        return 0;
    case ACME_STEP_WAIT:
    default:
        return 1;
    }
}

/* Whether another CA is to be asked, rather than this one once more. */
static const acme_err_t *tired_of(acme_run_t *run, apr_time_t now)
{
    const acme_err_t *trouble = acme_order_trouble(run->order);

    if (!trouble || !acme_job_may_pass_on(run->job, trouble, now)) {
        run->troubled = 0;
        return NULL;
    }
    if (!run->troubled) {
        run->troubled = now;
    }
    return now >= run->troubled + ACME_PATIENCE ? trouble : NULL;
}

void acme_run_pump(acme_run_t *run)
{
    acme_engine_t *engine = run->engine;
    apr_time_t now = acme_engine_now(engine);
    acme_step_t step = { .kind = ACME_STEP_WAIT };

    if (run->hold) {
        acme_hold_pump(run);
        return;
    }
    run->job->made = acme_order_issued(run->order);
    if (run->link->state != ACME_SESSION_READY) {
        acme_timer_hasten(engine->timers, &run->link->timer, ACME_DUE_LINK);
        return; /* poked when it is */
    }
    /* One that was taken up before the CA's terms were known. */
    acme_err_t *err = acme_link_may_order(run->link, run->job);
    if (err) {
        suspend(run, err);
        return;
    }
    if (acme_preflight_waits(run, now) || acme_solver_waits(run)) {
        return;
    }
    const acme_err_t *trouble = tired_of(run, now);
    if (trouble) {
        acme_run_leave(run, trouble);
        return;
    }
    for (int i = 0; i < MAX_STEPS; i++) {
        memset(&step, 0, sizeof(step));
        acme_order_next(&step, run->order, run->link->session, now);
        if (step.kind == ACME_STEP_WAIT) {
            break;
        }
        if (!do_step(run, &step)) {
            return;
        }
    }
    if (step.kind != ACME_STEP_WAIT) {
        acme_run_poke(run);
    }
    else if (step.until) {
        acme_timer_hasten(engine->timers, &run->timer, step.until);
    }
    if (run->troubled) {
        acme_timer_hasten(engine->timers, &run->timer,
                          run->troubled + ACME_PATIENCE);
    }
    acme_run_tell_progress(run);
}
