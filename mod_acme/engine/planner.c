/* Limits of CAs at work: who may order now, who must wait, and that what is spent
 * outlives the process. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/blame.h"
#include "core/encode.h"
#include "engine/skips.h"

/** One CA, whatever the accounts. Lives as long as the engine. */
struct acme_planner_t {
    acme_planner_t *next;
    const char *ca_url, *dir;
    acme_limits_t *limits;
    acme_told_t told;
    acme_limit_t told_limit;
};

/* --- life --------------------------------------------------------------------- */

static void tell_lost(acme_engine_t *engine, const acme_planner_t *planner,
                      const acme_err_t *err)
{
    acme_engine_log(engine, NULL, ACME_W_LIMITS_DAMAGED, planner->dir,
                    err->text, NULL);
}

static void load(acme_engine_t *engine, acme_planner_t *planner)
{
    const char *json = NULL;
    apr_size_t len;
    acme_err_t *err = acme_store_get_limits(&json, &len, engine->store,
                                            planner->dir, engine->scratch);
    if (!err && json) {
        err = acme_limits_parse(planner->limits, json, len,
                                acme_engine_now(engine), engine->scratch);
    }
    if (acme_engine_note(engine, err)) {
        tell_lost(engine, planner, err);
    }
}

acme_planner_t *acme_planner_for(acme_engine_t *engine, const acme_ca_t *ca)
{
    acme_planner_t *planner = engine->planners;
    while (planner && strcmp(planner->ca_url, ca->url)) {
        planner = planner->next;
    }
    if (planner) {
        return planner;
    }
    planner = apr_pcalloc(engine->pool, sizeof(*planner));
    planner->ca_url = ca->url;
    planner->dir =
        apr_pstrdup(engine->pool, acme_policy_ca_dir(ca, engine->scratch));
    planner->limits =
        acme_limits_create(engine->config->limits ? engine->config->limits
                                                  : acme_limits_find(ca->url),
                           engine->pool);
    load(engine, planner);
    planner->next = engine->planners;
    engine->planners = planner;
    return planner;
}

/* Before anything is sent that was spent for. */
void acme_planner_save(acme_link_t *link)
{
    acme_engine_t *engine = link->engine;
    acme_planner_t *planner = link->planner;
    const char *json;

    if (!acme_limits_dirty(planner->limits)) {
        return;
    }
    acme_err_t *err = acme_limits_format(
        &json, planner->limits, acme_engine_now(engine), engine->scratch);
    if (!err) {
        err = acme_store_put_limits(engine->store, planner->dir, json,
                                    engine->scratch);
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log_error(engine, NULL, err);
    }
}

acme_err_t *acme_planner_take_account(acme_link_t *link)
{
    acme_engine_t *engine = link->engine;
    ACME_TRY(acme_limits_take_account(
        link->planner->limits, acme_engine_now(engine), engine->scratch));
    acme_planner_save(link);
    return NULL;
}

/* --- whose turn it is ----------------------------------------------------------- */

/* Until when the account has no order left. @return 0: it has */
static apr_time_t account_waits(const acme_link_t *link)
{
    acme_engine_t *engine = link->engine;
    acme_limits_wait_t wait;
    acme_limits_check_account(&wait, link->planner->limits, link->account_dir,
                              acme_engine_now(engine), engine->scratch);
    return wait.until;
}

int acme_planner_has_turn(const acme_link_t *link)
{
    return acme_timers_first(link->backlog)
           || (acme_timers_first(link->held) && !account_waits(link));
}

void acme_planner_wake(acme_link_t *link)
{
    apr_time_t until = acme_timers_first(link->held) ? account_waits(link) : 0;
    if (until) {
        acme_timer_hasten(link->engine->timers, &link->timer, until);
    }
}

acme_job_t *acme_planner_take(acme_link_t *link)
{
    acme_timer_t *turn = acme_timers_first(link->backlog);
    acme_timer_t *held =
        account_waits(link) ? NULL : acme_timers_first(link->held);
    if (!turn || (held && held->due < turn->due)) {
        turn = held;
    }
    if (!turn) {
        return NULL;
    }
    acme_job_t *job = ACME_OWNER(turn, acme_job_t, turn);
    acme_timer_clear(job->held ? link->held : link->backlog, turn);
    job->held = 0;
    return job;
}

void acme_planner_unhold(acme_link_t *link, acme_job_t *job)
{
    if (job->held) {
        acme_timer_clear(link->held, &job->turn);
        job->held = 0;
    }
}

int acme_planner_window_left(const acme_link_t *link)
{
    return link->unanswered < acme_limits_window(link->planner->limits);
}

/* --- holding back ------------------------------------------------------------------ */

/* @param idents  asked for: the certificate's, but for those that are left out */
static acme_limits_order_t order_of(const acme_link_t *link,
                                    const acme_job_t *job,
                                    const apr_array_header_t *idents,
                                    apr_time_t now)
{
    const acme_ari_t *ari = &job->ari;
    int all = idents->nelts == job->managed->idents->nelts;
    acme_limits_order_t order = { .account = link->account_dir,
                                  .idents = idents,
                                  .renewal = job->same_names && all
                                             && job->from_ca == job->ca };
    order.exempt = ari->start && ari->start <= now && now < ari->end
                   && acme_job_replaces(job, acme_session_kid(link->session));
    return order;
}

/* One line a kind of limit, not one a certificate. */
static void tell_held(acme_link_t *link, const acme_job_t *job,
                      const acme_limits_wait_t *wait)
{
    acme_engine_t *engine = link->engine;
    acme_planner_t *planner = link->planner;
    acme_err_t news = { .msg = ACME_I_LIMIT_HELD };

    if (planner->told_limit != wait->limit) {
        memset(&planner->told, 0, sizeof(planner->told));
    }
    planner->told_limit = wait->limit;
    if (acme_engine_is_news(engine, &planner->told, &news)) {
        acme_engine_log(
            engine, job, ACME_I_LIMIT_HELD, wait->what,
            acme_time_format(wait->until, engine->scratch),
            apr_itoa(engine->scratch, acme_timers_count(link->held) + 1), NULL);
    }
}

/* None may be asked now, but another one before the limit is over. */
static void await_other(acme_engine_t *engine, acme_job_t *job,
                        const acme_err_t *err, apr_time_t now)
{
    acme_job_pass_on(job, err, err->retry_at, now, engine->scratch);
    acme_engine_keep(engine, job);
    acme_engine_schedule(engine, job);
}

/* A limit far away is a reason to ask another CA, as a refusal for it would be. */
static int passes_on(acme_link_t *link, acme_job_t *job,
                     const acme_limits_wait_t *wait)
{
    acme_engine_t *engine = link->engine;
    apr_time_t now = acme_engine_now(engine);
    acme_err_t *err =
        acme_err_make(engine->scratch, ACME_E_LIMIT, wait->what,
                      acme_time_format(wait->until, engine->scratch), NULL);

    err->retry_at = wait->until;
    if (!acme_job_may_pass_on(job, err, now)
        || !acme_job_has_other(job, wait->until)) {
        return 0;
    }
    if (acme_job_has_other(job, now)) {
        acme_engine_fail(engine, job, err, 0);
    }
    else {
        await_other(engine, job, err, now);
    }
    return 1;
}

int acme_planner_holds(acme_link_t *link, acme_job_t *job, apr_time_t rank)
{
    acme_engine_t *engine = link->engine;
    acme_limits_t *limits = link->planner->limits;
    apr_time_t now = acme_engine_now(engine);
    acme_status_t *status = &job->status;
    acme_limits_wait_t wait = { 0 };
    acme_limits_order_t order;
    apr_pool_t *pool;

    status->limit_until = 0;
    ACME_REMARK(status, limit, "", job->pool);
    apr_pool_create(&pool, engine->scratch);
    order = order_of(link, job, acme_skips_idents(job, now, pool), now);
    if (job->requested != ACME_REQUESTED_NOW && !job->kept) {
        acme_limits_check(&wait, limits, &order, now, pool);
    }
    if (wait.until && passes_on(link, job, &wait)) {
        apr_pool_destroy(pool);
        return 1;
    }
    if (wait.until) {
        tell_held(link, job, &wait);
        acme_asked_progress(engine, job,
                            apr_psprintf(pool,
                                         "waits until %s for a limit of "
                                         "the CA: %s",
                                         acme_time_format(wait.until, pool),
                                         wait.what));
        ACME_REMARK(status, limit, wait.what, job->pool);
        status->limit_until = wait.until;
    }
    apr_pool_destroy(pool);
    if (!wait.until) {
        return 0;
    }
    if (wait.limit != ACME_LIMIT_ORDERS) {
        acme_engine_schedule(engine, job);
        return 1;
    }
    status->limit_until +=
        acme_timers_count(link->held) * acme_limits_pace(limits);
    job->held = 1;
    acme_timer_set(link->held, &job->turn, rank);
    acme_job_plan(job, now, engine->scratch);
    acme_engine_report(engine, job);
    return 1;
}

/* --- what became of an order --------------------------------------------------------- */

void acme_planner_begun(acme_run_t *run)
{
    acme_link_t *link = run->link;
    apr_time_t now = acme_engine_now(run->engine);

    run->cost = order_of(link, run->job, run->config.idents, now);
    run->spent = 1;
    run->unanswered = 1;
    link->unanswered++;
    acme_limits_spend(link->planner->limits, &run->cost, now);
}

static void answered(acme_run_t *run)
{
    if (run->unanswered) {
        run->unanswered = 0;
        run->link->unanswered--;
    }
}

void acme_planner_replied(acme_run_t *run)
{
    acme_link_t *link = run->link;
    if (run->unanswered && acme_order_accepted(run->order)) {
        answered(run);
        acme_limits_accepted(link->planner->limits);
    }
}

/* What the CA met at a name, as it counts it. */
static int is_failed_validation(acme_msg_t msg)
{
    return msg == ACME_E_CA_PROBLEM_CAA || msg == ACME_E_CA_PROBLEM_CONNECTION
           || msg == ACME_E_CA_PROBLEM_DNS || msg == ACME_E_CA_PROBLEM_ANSWER
           || msg == ACME_E_CA_PROBLEM_TLS;
}

/* The CA counts each name, whichever the failure is called after. */
static void count_failures(acme_run_t *run, const acme_err_t *err,
                           apr_time_t now)
{
    const acme_link_t *link = run->link;
    acme_limits_t *limits = link->planner->limits;

    for (int i = 0; err->blames && i < err->blames->nelts; i++) {
        const acme_blame_t *blame =
            &APR_ARRAY_IDX(err->blames, i, acme_blame_t);

        if (is_failed_validation(blame->msg)) {
            acme_limits_fail(limits, link->account_dir, blame->name, now);
        }
    }
    if (!err->blames && err->identifier && is_failed_validation(err->msg)) {
        acme_limits_fail(limits, link->account_dir, err->identifier, now);
    }
}

void acme_planner_failed(acme_run_t *run, const acme_err_t *err)
{
    acme_link_t *link = run->link;
    acme_limits_t *limits = link->planner->limits;
    apr_time_t now = acme_engine_now(run->engine);

    if (run->spent && run->sent) {
        run->spent = 0;
        acme_limits_refund(limits, &run->cost, now);
    }
    count_failures(run, err, now);
    if (run->unanswered && err->msg == ACME_E_CA_PROBLEM_RATE) {
        apr_time_t until = err->retry_at > now
                               ? err->retry_at
                               : now + run->engine->config->retry_first;
        acme_limits_refused(limits, run->config.idents, until, now);
    }
}

void acme_planner_left(acme_run_t *run)
{
    answered(run);
    if (run->spent && !run->sent) {
        acme_limits_cancel(run->link->planner->limits, &run->cost,
                           acme_engine_now(run->engine));
        if (acme_timers_first(run->link->held)) {
            acme_timer_hasten(run->engine->timers, &run->link->timer,
                              ACME_DUE_LINK);
        }
    }
    acme_planner_save(run->link);
}
