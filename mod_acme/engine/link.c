#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define FAILURES_A_ROUND  32 /* jobs failed at once: each is saved to disk */
#define STARTS_TIME       apr_time_from_msec(50) /* of a round, writing keys */
#define MAX_SESSION_STEPS 64

/** A request that waits to be signed, or is under way. */
struct acme_call_t {
    acme_call_t *next;
    acme_link_t *link;
    acme_run_t *run; /* NULL: the session's own */
    acme_request_t *request;
};

/* --- lists of calls ---------------------------------------------------------- */

static void calls_append(acme_calls_t *calls, acme_call_t *call)
{
    call->next = NULL;
    if (!calls->count) {
        calls->end = &calls->first;
    }
    *calls->end = call;
    calls->end = &call->next;
    calls->count++;
}

static void calls_prepend(acme_calls_t *calls, acme_call_t *call)
{
    if (!calls->count) {
        calls_append(calls, call);
        return;
    }
    call->next = calls->first;
    calls->first = call;
    calls->count++;
}

static acme_call_t *calls_take(acme_calls_t *calls)
{
    acme_call_t *call = calls->first;
    calls->first = call->next;
    calls->count--;
    return call;
}

static acme_call_t *call_make(acme_link_t *link, acme_run_t *run,
                              acme_request_t *request)
{
    acme_call_t *call = link->spare;
    if (call) {
        link->spare = call->next;
    }
    else {
        call = apr_palloc(link->pool, sizeof(*call));
    }
    call->link = link;
    call->run = run;
    call->request = request;
    return call;
}

static void poke(acme_link_t *link)
{
    acme_timer_hasten(link->engine->timers, &link->timer, ACME_DUE_LINK);
}

static const char *prefix_of(const acme_link_t *link, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "[", link->account_dir, "]", NULL);
}

void acme_link_log(acme_link_t *link, acme_msg_t msg, const char *text)
{
    acme_engine_t *engine = link->engine;
    acme_engine_say(engine, msg, prefix_of(link, engine->scratch), text);
}

/* The administrator asks: a session that waits for its next attempt is begun
 * anew, unless something of it is still under way. */
static void forget_failure(acme_link_t *link)
{
    if (link->session && link->state == ACME_SESSION_FAILED && !link->in_flight
        && !link->own.count && !link->run_count) {
        link->session = NULL;
        link->state = ACME_SESSION_WAIT;
        memset(&link->told, 0, sizeof(link->told));
        apr_pool_destroy(link->session_pool);
    }
}

/* --- requests ----------------------------------------------------------------- */

static void deliver(acme_call_t *call, const acme_reply_t *reply)
{
    acme_link_t *link = call->link;
    acme_run_t *run = call->run;
    apr_time_t now = acme_engine_now(link->engine);

    if (!run) {
        acme_session_feed(link->session, call->request, reply, now);
    }
    else if (!run->ended) {
        acme_order_reply(run->order, call->request, reply, now);
        acme_planner_replied(run);
        acme_run_tell_trouble(run);
        acme_proving_learn(run);
        acme_run_poke(run);
    }
    call->next = link->spare;
    link->spare = call;
    if (run) {
        acme_run_called(run);
    }
}

static void on_reply(void *baton, const acme_reply_t *reply)
{
    acme_call_t *call = baton;
    acme_link_t *link = call->link;

    link->in_flight--;
    poke(link);
    if (acme_session_receive(link->session, call->request, reply,
                             acme_engine_now(link->engine))
        == ACME_VERDICT_RESEND) {
        calls_prepend(call->run ? &link->waiting : &link->own, call);
        return;
    }
    deliver(call, reply);
}

static void deliver_failure(acme_call_t *call, acme_err_t *err)
{
    acme_reply_t reply = { .failure = err, .body = "" };
    poke(call->link);
    deliver(call, &reply);
}

/* @return 0 if the call must wait for a nonce or the account */
static int send_call(acme_call_t *call)
{
    acme_link_t *link = call->link;
    acme_engine_t *engine = link->engine;
    acme_wire_t *wire;
    apr_pool_t *pool;

    apr_pool_create(&pool, engine->scratch);
    acme_err_t *err =
        acme_session_sign(&wire, link->session, call->request, pool);
    if (!err && !wire) {
        apr_pool_destroy(pool);
        return 0;
    }
    if (!err) {
        err = acme_transport_send(engine->transport, &link->ca, wire, on_reply,
                                  call);
    }
    if (err) {
        deliver_failure(call, err);
    }
    else {
        link->in_flight++;
    }
    apr_pool_destroy(pool);
    return 1;
}

/* Sends what can be sent, in order. The session's own requests are few and each
 * is tried: newNonce needs no nonce, newAccount does. */
static void flush(acme_link_t *link)
{
    for (int left = link->own.count; left > 0; left--) {
        acme_call_t *call = calls_take(&link->own);
        if (!send_call(call)) {
            calls_append(&link->own, call);
        }
    }
    while (link->waiting.count && link->in_flight < ACME_MAX_IN_FLIGHT) {
        acme_call_t *call = calls_take(&link->waiting);
        if (call->run->ended) {
            acme_run_t *run = call->run;
            call->next = link->spare;
            link->spare = call;
            acme_run_called(run);
        }
        else if (!send_call(call)) {
            calls_prepend(&link->waiting, call);
            return;
        }
    }
}

void acme_link_submit(acme_link_t *link, acme_run_t *run,
                      acme_request_t *request)
{
    run->calls++;
    calls_append(&link->waiting, call_make(link, run, request));
    poke(link);
}

/* --- backlog ------------------------------------------------------------------ */

static apr_time_t rank_of(const acme_link_t *link, const acme_job_t *job)
{
    /* A count is less than any moment of these days. */
    return job->requested || !job->renew_at ? ++link->engine->turns
                                            : job->status.not_after;
}

void acme_link_enqueue(acme_link_t *link, acme_job_t *job)
{
    if (job->requested) {
        acme_planner_unhold(link, job);
        forget_failure(link);
    }
    if (!job->held) {
        acme_timer_hasten(link->backlog, &job->turn, rank_of(link, job));
    }
    poke(link);
}

/* A CA that does not answer must not take every place from the others. */
static int place_left(const acme_link_t *link)
{
    const acme_engine_t *engine = link->engine;
    int limit = engine->config->concurrency;
    int share = engine->link_count > 1 ? (limit * 3 + 3) / 4 : limit;
    return engine->active < limit && link->run_count - link->holding < share;
}

/* The job of the same certificate's other kind of key, or NULL. They lie side
 * by side. */
static acme_job_t *sibling_of(acme_job_t *job)
{
    const acme_engine_t *engine = job->link->engine;
    acme_job_t *before = job > engine->jobs ? job - 1 : NULL;
    acme_job_t *after =
        job + 1 < engine->jobs + engine->job_count ? job + 1 : NULL;

    if (before && before->managed == job->managed) {
        return before;
    }
    return after && after->managed == job->managed ? after : NULL;
}

/* A CA may answer newOrder with the pending order of the same names that it has
 * already (Boulder does): two of them at once would finalize the same one. */
static int must_follow(acme_job_t *job)
{
    const acme_job_t *sibling = sibling_of(job);
    job->follows = sibling && sibling->run && sibling->run->link == job->link
                   && !sibling->run->hold;
    return job->follows;
}

void acme_link_followed(acme_job_t *job)
{
    acme_job_t *sibling = sibling_of(job);
    if (sibling && sibling->follows) {
        sibling->follows = 0;
        acme_link_enqueue(sibling->link, sibling);
    }
}

/* @return 0: enough for this round */
static int start_next(acme_link_t *link)
{
    acme_engine_t *engine = link->engine;
    acme_job_t *job = acme_planner_take(link);
    apr_time_t rank = job->turn.due;

    if (must_follow(job)) {
        return 1;
    }
    if (engine->starting <= STARTS_TIME) {
        apr_time_t start = apr_time_now();
        if (!acme_planner_holds(link, job, rank)) {
            acme_run_begin(link, job);
        }
        engine->starting += apr_time_now() - start;
        return 1;
    }
    /* Making keys takes time (RSA): the network comes first. Later than now, so
     * that this round comes to its end. */
    acme_timer_set(link->backlog, &job->turn, rank);
    acme_timer_hasten(engine->timers, &link->timer,
                      acme_engine_now(engine) + 1);
    return 0;
}

static void start_backlog(acme_link_t *link)
{
    while (acme_planner_has_turn(link) && place_left(link)
           && acme_planner_window_left(link) && !link->engine->lost
           && start_next(link)) {
    }
    acme_planner_wake(link); /* for what was held back just now */
    acme_planner_save(link);
}

/* A thousand certificates that another CA is asked for make one line. */
static void tell_turned(acme_link_t *link, const acme_job_t *last, int count,
                        const acme_err_t *err)
{
    apr_pool_t *scratch = link->engine->scratch;
    const char *failed =
        link->settings->alias ? link->settings->alias : link->settings->url;
    acme_err_t *line =
        acme_err_make(scratch, ACME_W_CA_TURNED,
                      apr_psprintf(scratch, "%s (certificates: %d)",
                                   acme_job_ca_name(last, last->ca), count),
                      failed, acme_err_line(err, scratch), NULL);
    acme_link_log(link, line->msg, line->text);
}

static void fail_backlog(acme_link_t *link, const acme_err_t *err)
{
    acme_job_t *turned = NULL;
    int count = 0;
    acme_err_t *each = acme_err_dup(err, link->engine->scratch);
    if (each->retry_at < link->until) {
        each->retry_at = link->until;
    }
    for (int i = 0; acme_planner_has_turn(link) && i < FAILURES_A_ROUND; i++) {
        acme_job_t *job = acme_planner_take(link);
        int ca = job->ca;
        acme_engine_fail(link->engine, job, each, 1);
        if (job->ca != ca && !job->status.failures) {
            turned = job;
            count++;
        }
    }
    if (turned) {
        tell_turned(link, turned, count, err);
    }
    if (acme_planner_has_turn(link)) {
        poke(link);
    }
}

/* Whether another CA may do better, or it will take long. One that only waits for
 * an OCSP response needs nothing of this one. */
static int is_left(const acme_run_t *run, int final)
{
    const acme_job_t *job = run->job;
    return !run->hold
           && (final || (job->managed->policy->ca_count > 1 && !job->made));
}

/* Orders in progress, too. */
static void leave_runs(acme_link_t *link, const acme_err_t *err)
{
    int final =
        err->class == ACME_CLASS_CONFIG || err->class == ACME_CLASS_CA_FINAL;
    acme_err_t *each = acme_err_dup(err, link->engine->scratch);
    acme_run_t *run = link->runs, *next;
    int left = 0;

    if (each->retry_at < link->until) {
        each->retry_at = link->until;
    }
    for (; run && left < FAILURES_A_ROUND; run = next) {
        next = run->next;
        if (is_left(run, final)) {
            acme_run_leave(run, each);
            left++;
        }
    }
    if (run) {
        poke(link);
    }
}

/* --- the pump ----------------------------------------------------------------- */

/* One line for all the jobs that fail with it. */
static void tell_failure(acme_link_t *link, const acme_session_step_t *step)
{
    apr_pool_t *scratch = link->engine->scratch;
    if (!acme_engine_is_news(link->engine, &link->told, step->error)) {
        return;
    }
    acme_link_log(link, step->error->msg,
                  apr_psprintf(scratch, "%s; next attempt at %s",
                               acme_err_line(step->error, scratch),
                               acme_time_format(step->until, scratch)));
}

static void take_state(acme_link_t *link, const acme_session_step_t *step)
{
    acme_engine_t *engine = link->engine;
    int was_ready = link->state == ACME_SESSION_READY;

    link->state = step->state;
    if (step->state == ACME_SESSION_READY) {
        acme_engine_is_news(engine, &link->told, NULL);
    }
    if (step->state == ACME_SESSION_READY && !was_ready) {
        for (acme_run_t *run = link->runs; run; run = run->next) {
            acme_run_poke(run);
        }
    }
    if (step->state == ACME_SESSION_FAILED) {
        link->until = step->until;
        /* The status first: who reads the line looks there next. */
        fail_backlog(link, step->error);
        leave_runs(link, step->error);
        tell_failure(link, step);
    }
    if (step->until && (acme_planner_has_turn(link) || link->run_count)) {
        acme_timer_hasten(engine->timers, &link->timer, step->until);
    }
}

static void move_session(acme_link_t *link)
{
    apr_time_t now = acme_engine_now(link->engine);
    acme_session_step_t step;

    for (int i = 0; i < MAX_SESSION_STEPS; i++) {
        int places = ACME_MAX_IN_FLIGHT - link->in_flight;
        int waiting =
            link->waiting.count < places ? link->waiting.count : places;
        acme_session_next(&step, link->session, waiting < 0 ? 0 : waiting, now);
        if (step.state != ACME_SESSION_SEND) {
            break;
        }
        calls_append(&link->own, call_make(link, NULL, step.request));
        flush(link);
    }
    if (step.state == ACME_SESSION_SEND) {
        poke(link);
        return;
    }
    take_state(link, &step);
}

void acme_link_pump(acme_link_t *link)
{
    acme_engine_t *engine = link->engine;
    acme_err_t *err;

    acme_planner_wake(link);
    if (!acme_planner_has_turn(link) && !link->run_count && !link->own.count) {
        return; /* no work: the session rests */
    }
    err = acme_link_open(link);
    if (err && err->msg == ACME_E_ACCOUNT_BUSY) {
        return;
    }
    if (err) {
        link->until = acme_engine_now(engine) + engine->config->retry_first;
        if (link->runs) {
            acme_timer_hasten(engine->timers, &link->timer, link->until);
        }
        fail_backlog(link, err);
        if (acme_engine_is_news(engine, &link->told, err)) {
            acme_link_log(link, err->msg, acme_err_line(err, engine->scratch));
        }
        return;
    }
    if (!link->session) {
        return; /* until there is a key for its account */
    }
    flush(link);
    move_session(link);
    acme_link_remember(link);
    flush(link);
    if (link->state == ACME_SESSION_READY && !link->resting) {
        start_backlog(link);
    }
}

/* --- a change of the account ---------------------------------------------------- */

static void put_off(acme_link_t *link)
{
    acme_engine_t *engine = link->engine;
    acme_err_t *busy = acme_err_make(engine->scratch, ACME_E_ACCOUNT_BUSY,
                                     link->account_dir, NULL);
    while (link->runs) {
        acme_run_leave(link->runs, busy);
    }
    while (link->waiting.count) {
        acme_call_t *call = calls_take(&link->waiting);
        acme_run_t *run = call->run;
        call->next = link->spare;
        link->spare = call;
        acme_run_called(run);
    }
}

static void forget_session(acme_link_t *link)
{
    acme_link_forget_key(link);
    while (link->own.count) {
        acme_call_t *call = calls_take(&link->own);
        call->next = link->spare;
        link->spare = call;
    }
    if (link->session) {
        link->session = NULL;
        apr_pool_destroy(link->session_pool);
    }
    link->state = ACME_SESSION_WAIT;
    memset(&link->told, 0, sizeof(link->told));
}

int acme_link_rest(acme_link_t *link, apr_time_t until)
{
    link->resting = 1;
    if (link->runs && acme_engine_now(link->engine) < until) {
        return 0;
    }
    put_off(link);
    if (link->in_flight) {
        return 0; /* no request lasts for long */
    }
    forget_session(link);
    return 1;
}

/* What came of the account being as it was. */
static int is_accounts(int msg)
{
    return msg == ACME_E_ACCOUNT_CLOSED || msg == ACME_E_ACCOUNT_DEACTIVATED
           || msg == ACME_E_ACCOUNT_UNKNOWN
           || msg == ACME_E_CA_PROBLEM_UNAUTHORIZED
           || msg == ACME_E_CA_PROBLEM_ACCOUNT
           || msg == ACME_E_CA_PROBLEM_CONTACT;
}

static void go_on(acme_link_t *link, acme_job_t *job, int other)
{
    acme_engine_t *engine = link->engine;

    if (other && job->kept) {
        acme_err_t *err = acme_engine_note(
            engine, acme_store_remove_work(engine->store, job->managed->dir,
                                           job->family, engine->scratch));
        job->kept = 0;
        if (err) {
            acme_engine_log_error(engine, job, err);
        }
    }
    if (is_accounts(job->status.error_code)) {
        acme_job_forgive(job);
        acme_engine_keep(engine, job);
        acme_engine_schedule(engine, job);
    }
}

void acme_link_wake(acme_link_t *link, int other)
{
    acme_engine_t *engine = link->engine;

    link->resting = 0;
    link->account = NULL;
    forget_session(link);
    for (int i = 0; i < engine->job_count && !engine->lost; i++) {
        acme_job_t *job = &engine->jobs[i];
        if (job->link == link && !job->run) {
            go_on(link, job, other);
        }
    }
    poke(link);
}
