#include "engine/events.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"
#include "core/renewal.h"
#include "engine/activation.h"
#include "engine/ending.h"
#include "engine/notify.h"
#include "engine/report.h"

#define DAY  apr_time_from_sec(24 * 60 * 60)
#define SOON (90 * DAY) /* a record of dns-persist-01 ends */

/* --- what was raised last --------------------------------------------------------- */

static void keep(acme_engine_t *engine, acme_job_t *job)
{
    const acme_raised_t *raised = &job->raised;
    apr_pool_t *scratch = engine->scratch;
    json_t *doc = json_pack(
        "{s:i, s:i, s:i, s:s, s:s, s:i, s:s}", "reloaded", raised->reloaded,
        "waits", raised->waits, "wait", (int)raised->wait, "expiring",
        acme_time_format(raised->expiring, scratch), "errored",
        acme_time_format(raised->errored, scratch), "error_code",
        raised->error_code, "revoked", raised->revoked);
    if (job->ending && job->ending->told
        && acme_json_put_text(doc, "proof_ending",
                              acme_time_format(job->ending->told, scratch))) {
        json_decref(doc);
        doc = NULL;
    }
    const char *text;
    acme_err_t *err = acme_json_document(&text, doc, "saving events", scratch);

    if (!err) {
        err = acme_store_put_doc(engine->store, job->managed->dir, job->family,
                                 ACME_DOC_EVENTS, text, scratch);
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log_error(engine, job, err);
    }
}

static apr_time_t get_time(const json_t *doc, const char *name)
{
    const char *text = acme_json_string(doc, name);

    return text ? acme_time_parse_rfc3339(text) : 0;
}

/* Root, who puts a set into service at a reload, writes in no trail of ours. */
static void note_reload(acme_engine_t *engine, acme_job_t *job)
{
    if (job->managed->policy->activate != ACME_ACTIVATE_LIVE
        && job->served.number && !acme_activation_waits(job)
        && job->raised.reloaded != job->served.number) {
        acme_err_t *err = acme_activation_check_reloaded(engine, job);

        job->raised.reloaded = job->served.number;
        acme_engine_log(engine, job, ACME_I_RELOADED,
                        apr_itoa(engine->scratch, job->served.number),
                        job->served.serial, NULL);
        if (err) {
            acme_engine_log_error(engine, job, err);
        }
        keep(engine, job);
    }
}

void acme_events_wait(acme_engine_t *engine, acme_job_t *job)
{
    const char *words = acme_report_waiting(&job->status, engine->scratch);
    acme_raised_t *raised = &job->raised;
    int number = job->status.set_number;

    if (!raised->known /* acme_events_load comes back */
        || (raised->waits == number && raised->wait == job->status.wait)) {
        return;
    }
    raised->waits = number;
    raised->wait = job->status.wait;
    acme_engine_event(engine, job, words, "");
    acme_engine_log(engine, job, ACME_I_WAITS,
                    apr_itoa(engine->scratch, number), words,
                    job->served.number ? apr_psprintf(engine->scratch, "set %d",
                                                      job->served.number)
                                       : "the placeholder",
                    NULL);
    keep(engine, job);
}

static void load(acme_engine_t *engine, acme_job_t *job)
{
    apr_time_t now = acme_engine_now(engine);
    const char *json = NULL, *serial;
    apr_size_t len;
    json_t *doc;
    acme_err_t *err =
        acme_store_get_doc(&json, &len, engine->store, job->managed->dir,
                           job->family, ACME_DOC_EVENTS, engine->scratch);

    /* What cannot be read is raised once more. */
    if (acme_engine_note(engine, err) || !json
        || acme_json_parse(&doc, json, len, ACME_MAX_JSON, "events",
                           engine->scratch)) {
        return;
    }
    serial = acme_json_string(doc, "revoked");
    job->raised.waits = (int)json_integer_value(json_object_get(doc, "waits"));
    job->raised.wait =
        (acme_wait_t)json_integer_value(json_object_get(doc, "wait"));
    job->raised.reloaded =
        (int)json_integer_value(json_object_get(doc, "reloaded"));
    job->raised.expiring = get_time(doc, "expiring");
    job->raised.errored = get_time(doc, "errored");
    job->raised.error_code =
        (int)json_integer_value(json_object_get(doc, "error_code"));
    apr_cpystrn(job->raised.revoked, serial ? serial : "",
                sizeof(job->raised.revoked));
    if (job->raised.expiring > now) { /* by a clock that was ahead */
        job->raised.expiring = 0;
    }
    if (job->raised.errored > now) {
        job->raised.errored = 0;
    }
    if (job->ending) {
        apr_time_t told = get_time(doc, "proof_ending");
        job->ending->told = told > now ? 0 : told;
    }
}

void acme_events_load(acme_engine_t *engine, acme_job_t *job)
{
    load(engine, job);
    job->raised.known = 1;
    note_reload(engine, job);
    if (acme_activation_waits(job)) {
        acme_events_wait(engine, job);
    }
    acme_events_plan(engine, job);
}

/* --- whether it is time to --------------------------------------------------------- */

static int is_due_error(acme_raised_t *raised, const acme_err_t *err,
                        apr_time_t now)
{
    int code = err ? (int)err->msg : 0;

    if (raised->errored && raised->error_code == code
        && now < raised->errored + DAY) {
        return 0;
    }
    raised->errored = now;
    raised->error_code = code;
    return 1;
}

/* Keeps in mind that it is. */
static int is_due(acme_engine_t *engine, const acme_happening_t *what)
{
    acme_raised_t *raised = &what->job->raised;
    const char *serial = what->job->served.serial;
    int due = 1;

    switch (what->event) {
    case ACME_EVENT_ERRORED:
        due = is_due_error(raised, what->err, acme_engine_now(engine));
        break;
    case ACME_EVENT_REVOKED:
        due = strcmp(raised->revoked, serial) != 0;
        apr_cpystrn(raised->revoked, serial, sizeof(raised->revoked));
        break;
    case ACME_EVENT_EXPIRING: /* its timer has said so */
        raised->expiring = acme_engine_now(engine);
        break;
    case ACME_EVENT_RENEWING:
    case ACME_EVENT_RENEWED:
    case ACME_EVENT_INSTALLED:
    case ACME_EVENT_CHALLENGE_OPEN:
    case ACME_EVENT_CHALLENGE_CLOSE:
    default:
        return 1;
    }
    if (due) {
        keep(engine, what->job);
    }
    return due;
}

/* --- telling ------------------------------------------------------------------------ */

static const char *moment(apr_time_t time, apr_pool_t *pool)
{
    return time ? acme_time_format(time, pool) : NULL;
}

static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

static void add_error(apr_array_header_t *env, const acme_err_t *err)
{
    const char *remedy = acme_msg_entry(err->msg)->remedy;

    acme_hook_env(env, "ACME_ERROR_CODE", apr_itoa(env->pool, (int)err->msg));
    acme_hook_env(env, "ACME_ERROR", acme_err_line(err, env->pool));
    acme_hook_env(env, "ACME_REMEDY", text_or_null(remedy));
}

/* Of the certificate that the event is about. */
static void add_dates(apr_array_header_t *env, const acme_happening_t *what)
{
    const acme_job_t *job = what->job;
    const acme_status_t *status = &job->status;
    int served =
        what->event == ACME_EVENT_EXPIRING || what->event == ACME_EVENT_REVOKED;

    acme_hook_env(env, "ACME_SERIAL",
                  text_or_null(served ? job->served.serial : status->serial));
    acme_hook_env(env, "ACME_NOT_BEFORE",
                  moment(served ? job->served.not_before : status->not_before,
                         env->pool));
    acme_hook_env(
        env, "ACME_NOT_AFTER",
        moment(served ? job->served.not_after : status->not_after, env->pool));
}

static apr_array_header_t *make_env(acme_engine_t *engine,
                                    const acme_happening_t *what)
{
    apr_pool_t *pool = engine->scratch;
    const acme_job_t *job = what->job;
    const acme_status_t *status = &job->status;
    const apr_array_header_t *idents = job->managed->idents;
    apr_array_header_t *names =
        apr_array_make(pool, idents->nelts, sizeof(const char *));
    apr_array_header_t *env = apr_array_make(pool, 20, sizeof(const char *));

    for (int i = 0; i < idents->nelts; i++) {
        APR_ARRAY_PUSH(names, const char *) =
            APR_ARRAY_IDX(idents, i, acme_ident_t *)->value;
    }
    acme_hook_env(env, "ACME_EVENT", acme_event_name(what->event));
    acme_hook_env(env, "ACME_CERTIFICATE", job->managed->name);
    acme_hook_env(env, "ACME_DOMAIN", job->managed->name);
    acme_hook_env(env, "ACME_DOMAINS", apr_array_pstrcat(pool, names, ' '));
    acme_hook_env(env, "ACME_KEY_TYPE", acme_key_type_name(job->key_type));
    acme_hook_env(env, "ACME_CA", acme_job_ca_name(job, job->ca));
    acme_hook_env(env, "ACME_STORE", acme_store_root(engine->store));
    add_dates(env, what);
    acme_hook_env(env, "ACME_ISSUER", text_or_null(status->issuer));
    acme_hook_env(env, "ACME_ACTIVATION",
                  text_or_null(acme_report_waiting(status, pool)));
    acme_hook_env(env, "ACME_NEXT_TIME", moment(status->next_time, pool));
    if (what->err) {
        add_error(env, what->err);
    }
    return env;
}

void acme_events_raise(acme_engine_t *engine, const acme_happening_t *what)
{
    /* whoever wants to know of everything is told here */
    if (engine->lost
        || !acme_hooks_want(what->job->managed->policy->hooks,
                            ACME_EVENT_BIT(what->event))
        || !is_due(engine, what)) {
        return;
    }
    acme_notify_add(engine->notify, what->job, what->event,
                    make_env(engine, what));
}

/* --- before the end ------------------------------------------------------------------- */

/* Of the set that serves. No renewal is to come before its end where one has come
 * already that does not serve yet. */
static apr_time_t warning_time(const acme_job_t *job)
{
    const acme_policy_t *policy = job->managed->policy;
    int by_itself =
        !acme_activation_waits(job)
        && (policy->renew_mode == ACME_RENEW_ALWAYS
            || (policy->renew_mode == ACME_RENEW_AUTO && job->managed->in_use));

    return acme_warning_time(job->served.not_before, job->served.not_after,
                             by_itself ? job->renew_latest : 0,
                             policy->warn_set ? &policy->warn : NULL);
}

static apr_time_t expiring_due(const acme_job_t *job)
{
    apr_time_t due = warning_time(job);

    return job->raised.expiring && job->raised.expiring >= due
               ? job->raised.expiring + DAY
               : due;
}

void acme_events_plan(acme_engine_t *engine, acme_job_t *job)
{
    apr_time_t due, ending;

    if (!job->served.not_after) {
        acme_timer_clear(engine->timers, &job->warn);
        return;
    }
    due = expiring_due(job);
    ending = acme_ending_due(job);
    acme_timer_set(engine->timers, &job->warn, ending < due ? ending : due);
}

static acme_err_t *expiry(const acme_job_t *job, apr_time_t now,
                          apr_pool_t *scratch)
{
    const acme_status_t *status = &job->status;
    const char *how = job->served.not_after <= now ? "ended at" : "ends at";
    const char *end = acme_time_format(job->served.not_after, scratch);

    if (acme_activation_waits(job)) {
        return acme_err_make(scratch, ACME_W_EXPIRING_WAITS, how, end,
                             apr_itoa(scratch, status->set_number),
                             acme_report_waiting(status, scratch), NULL);
    }
    return acme_err_make(scratch, ACME_W_EXPIRING, how, end,
                         status->error_code ? acme_remarks(status)->error
                                            : "no attempt has failed",
                         NULL);
}

static void tell_expiring(acme_engine_t *engine, acme_job_t *job,
                          apr_time_t now)
{
    acme_err_t *err = expiry(job, now, engine->scratch);
    const acme_happening_t what = { ACME_EVENT_EXPIRING, job, err };

    acme_engine_log_error(engine, job, err);
    acme_events_raise(engine, &what);
    if (job->raised.expiring != now) { /* nobody but the log was told */
        job->raised.expiring = now;
        keep(engine, job);
    }
}

static void tell_ending(acme_engine_t *engine, acme_job_t *job, acme_msg_t msg)
{
    apr_pool_t *scratch = engine->scratch;

    job->ending->told = acme_engine_now(engine);
    acme_engine_log(engine, job, msg, job->ending->name,
                    acme_time_format(job->ending->until, scratch),
                    acme_time_format(job->issued, scratch), NULL);
    keep(engine, job);
}

void acme_events_due(acme_engine_t *engine, acme_timer_t *timer)
{
    acme_job_t *job = ACME_OWNER(timer, acme_job_t, warn);
    apr_time_t now = acme_engine_now(engine);

    if (acme_ending_due(job) <= now) {
        tell_ending(engine, job, ACME_W_PERSIST_ENDING);
    }
    if (expiring_due(job) <= now) {
        tell_expiring(engine, job, now);
    }
    acme_events_plan(engine, job);
}

/* Said when it was seen, if that is soon, or the next renewal comes too late. */
void acme_events_proved(acme_engine_t *engine, acme_job_t *job)
{
    const acme_ending_t *ending = job->ending;

    if (ending && ending->until
        && (ending->until < acme_engine_now(engine) + SOON
            || ending->until < job->renew_latest)) {
        tell_ending(engine, job, ACME_W_PERSIST_ENDS);
    }
}

void acme_events_mended(acme_engine_t *engine, acme_job_t *job)
{
    if (job->raised.errored) {
        job->raised.errored = 0;
        job->raised.error_code = 0;
        keep(engine, job);
    }
    acme_events_plan(engine, job);
}
