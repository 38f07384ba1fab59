#include "engine/duty.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <string.h>

#include "core/encode.h"

#define LOOK_AGAIN apr_time_from_msec(100)
/* How long orders in progress may go on before they are put off. */
#define PATIENCE apr_time_from_sec(60)

/* --- life --------------------------------------------------------------------- */

static apr_status_t free_json(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

acme_err_t *acme_duty_remember(acme_duty_t *duty, json_t *what)
{
    if (!what) {
        return acme_err_make(duty->engine->scratch, ACME_E_MEMORY,
                             "taking up a request", NULL);
    }
    duty->result = what;
    apr_pool_cleanup_register(duty->pool, what, free_json,
                              apr_pool_cleanup_null);
    return NULL;
}

acme_err_t *acme_duty_recall(const json_t **what, const acme_duty_t *duty,
                             const char *member)
{
    acme_control_reply_t *before = NULL;
    acme_err_t *err = duty->id ? acme_store_get_reply(
                          &before, duty->engine->store, duty->id, duty->pool)
                               : NULL;

    *what = !err && before ? json_object_get(before->result, member) : NULL;
    return err && err->msg == ACME_E_MEMORY ? err : NULL;
}

acme_duty_t *acme_duty_make(acme_engine_t *engine,
                            const acme_control_t *request,
                            const acme_duty_ways_t *ways)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, engine->pool);

    acme_duty_t *duty = apr_pcalloc(pool, sizeof(*duty));
    const char *by = request ? acme_control_text(request, "by") : NULL;
    duty->timer.kind = ACME_TIMER_DUTY;
    duty->engine = engine;
    duty->pool = pool;
    duty->ways = ways;
    duty->id = request ? apr_pstrdup(pool, request->id) : NULL;
    duty->by = by ? acme_encode_printable(by, 128, pool) : "";
    duty->reason = ACME_REASON_NONE;
    duty->patience = acme_engine_now(engine) + PATIENCE;
    return duty;
}

static void poke(acme_duty_t *duty)
{
    acme_timer_hasten(duty->engine->timers, &duty->timer, ACME_DUE_LINK);
}

/* @return 0: it could not be stored */
static int answer(acme_duty_t *duty, const char *state, const char *text)
{
    const acme_control_reply_t reply = { .state = state,
                                         .text = text,
                                         .result = duty->result };
    return !duty->id || acme_request_reply(duty->engine, duty->id, &reply);
}

static void leave(acme_duty_t *duty)
{
    acme_engine_t *engine = duty->engine;
    acme_duty_t **at = &engine->duties;

    while (*at && *at != duty) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = duty->next;
    }
    acme_timer_clear(engine->timers, &duty->timer);
    if (duty->wish) {
        acme_keymaker_forget(engine->keymaker, duty->wish);
    }
    if (duty->rests) {
        acme_link_wake(duty->link, duty->other);
    }
    apr_pool_destroy(duty->pool);
}

/* What nobody could go on with after a death is not begun. */
void acme_duty_enter(acme_duty_t *duty)
{
    acme_engine_t *engine = duty->engine;
    acme_duty_t **end = &engine->duties;

    if (!answer(duty, "accepted",
                duty->account_dir ? duty->account_dir : "asked")) {
        leave(duty);
        return;
    }
    while (*end) {
        end = &(*end)->next;
    }
    *end = duty;
    poke(duty);
}

void acme_duty_refuse(acme_duty_t *duty, const acme_err_t *err)
{
    acme_engine_t *engine = duty->engine;

    err = acme_err_dup(err, engine->scratch);
    if (duty->id) {
        acme_request_fail(engine, duty->id, err);
    }
    else {
        acme_engine_log_error(engine, NULL, err);
    }
    leave(duty);
}

static void conclude(acme_duty_t *duty)
{
    answer(duty, "done", duty->outcome);
    leave(duty);
}

acme_duty_t *acme_duty_of(const acme_engine_t *engine, const char *account_dir)
{
    acme_duty_t *duty = engine->duties;

    while (duty
           && (!duty->account_dir || strcmp(duty->account_dir, account_dir))) {
        duty = duty->next;
    }
    return duty;
}

void acme_duty_log(acme_duty_t *duty, const char *prefix, acme_msg_t msg, ...)
{
    va_list list;
    va_start(list, msg);
    acme_engine_log_under(duty->engine, prefix, msg, list);
    va_end(list);
}

const char *acme_duty_by(const acme_duty_t *duty)
{
    return *duty->by ? apr_pstrcat(duty->engine->scratch, " (asked for by ",
                                   duty->by, ")", NULL)
                     : "";
}

/* --- the end ------------------------------------------------------------------- */

static void on_done(acme_duty_t *duty)
{
    acme_err_t *err = acme_engine_note(duty->engine, duty->ways->done(duty));

    if (err) {
        acme_duty_refuse(duty, err);
    }
    else if (duty->more) {
        duty->more = 0;
        duty->errand = NULL;
        poke(duty);
    }
    else {
        conclude(duty);
    }
}

static void on_failed(acme_duty_t *duty, const acme_err_t *err)
{
    err = duty->ways->failed ? duty->ways->failed(duty, err) : err;
    if (err) {
        acme_duty_refuse(duty, err);
    }
    else {
        conclude(duty);
    }
}

/* --- on its way ------------------------------------------------------------------ */

static void tell_trouble(acme_duty_t *duty)
{
    const acme_err_t *trouble = acme_errand_trouble(duty->errand);
    acme_engine_t *engine = duty->engine;

    if (!trouble || !acme_engine_is_news(engine, &duty->told, trouble)) {
        return;
    }
    const char *text =
        apr_psprintf(engine->scratch, "%s; asked again at %s",
                     acme_err_line(trouble, engine->scratch),
                     acme_time_format(trouble->retry_at, engine->scratch));
    acme_engine_log_text(engine, NULL, trouble->msg, text);
    answer(duty, "working", text);
}

static void feed(acme_duty_t *duty, const acme_reply_t *reply)
{
    acme_errand_feed(duty->errand, reply, acme_engine_now(duty->engine));
    poke(duty);
}

static void on_reply(void *baton, const acme_reply_t *reply)
{
    acme_duty_t *duty = baton;

    duty->in_flight = 0;
    feed(duty, reply);
}

static void send_step(acme_duty_t *duty, const acme_errand_step_t *step)
{
    acme_engine_t *engine = duty->engine;
    acme_err_t *err = acme_transport_send(engine->transport, &duty->ca,
                                          step->wire, on_reply, duty);
    if (err) {
        const acme_reply_t reply = { .failure = err, .body = "" };
        feed(duty, &reply);
        return;
    }
    duty->in_flight = 1;
}

/* @return 0: it must wait for others that use the account */
static int may_begin(acme_duty_t *duty)
{
    if (!duty->account_dir) {
        return 1;
    }
    if (acme_duty_of(duty->engine, duty->account_dir) != duty) {
        return 0;
    }
    duty->rests = duty->link != NULL;
    return !duty->link || acme_link_rest(duty->link, duty->patience);
}

/* @return 0: it has none */
static int begin(acme_duty_t *duty)
{
    acme_err_t *err = acme_engine_note(duty->engine, duty->ways->begin(duty));

    if (err) {
        acme_duty_refuse(duty, err);
        return 0;
    }
    if (duty->outcome) {
        conclude(duty);
        return 0;
    }
    duty->errand = acme_errand_create(&duty->config, duty->pool);
    return 1;
}

void acme_duty_pump(acme_duty_t *duty)
{
    acme_engine_t *engine = duty->engine;
    apr_time_t now = acme_engine_now(engine);
    acme_errand_step_t step;

    if (duty->in_flight || duty->wish) {
        return;
    }
    if (!duty->errand && !may_begin(duty)) {
        acme_timer_set(engine->timers, &duty->timer, now + LOOK_AGAIN);
        return;
    }
    if (!duty->errand && !begin(duty)) {
        return;
    }
    acme_errand_next(&step, duty->errand, now, engine->scratch);
    switch (step.state) {
    case ACME_ERRAND_SEND:
        send_step(duty, &step);
        break;
    case ACME_ERRAND_DONE:
        on_done(duty);
        break;
    case ACME_ERRAND_FAILED:
        on_failed(duty, step.error);
        break;
    case ACME_ERRAND_WAIT:
    default:
        tell_trouble(duty);
        if (step.until) {
            acme_timer_set(engine->timers, &duty->timer, step.until);
        }
        break;
    }
}
