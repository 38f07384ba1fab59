/* Renewals that the administrator asked for: of one certificate, or of all. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/report.h"
#include "engine/skips.h"

/* Jobs begun at a look, each with a file of its own: all of thousands at once
 * would stop everything else for seconds. */
#define AT_ONCE 20

/** A request that was accepted and is worked on. */
struct acme_asked_t {
    acme_asked_t *next;
    apr_pool_t *pool;
    const char *id;
    int first, count;    /* jobs that it is about, in a row */
    int begun;           /* of them; the rest is still to be begun */
    unsigned char *open; /* a bit for each: it is not over */
    int open_count, over, failed;
    int all;          /* of every certificate; else of one */
    int again;        /* an engine that is gone had begun it */
    int now;          /* limits of the CA do not hold it back */
    apr_time_t since; /* when it was accepted */
    int code;         /* of the last failure, or 0 */
    const char *text;
};

static int is_open(const acme_asked_t *asked, int index)
{
    return (asked->open[index / 8] >> (index % 8)) & 1;
}

/* Among the request's jobs. @return -1: it is not about this one, or that one is
 * over */
static int index_of(const acme_engine_t *engine, const acme_asked_t *asked,
                    const acme_job_t *job)
{
    int index = (int)(job - engine->jobs) - asked->first;
    return index >= 0 && index < asked->count && is_open(asked, index) ? index
                                                                       : -1;
}

static acme_asked_t *make(acme_engine_t *engine, const char *id, int first,
                          int count)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, engine->pool);
    acme_asked_t *asked = apr_pcalloc(pool, sizeof(*asked));
    asked->pool = pool;
    asked->id = apr_pstrdup(pool, id);
    asked->first = first;
    asked->count = count;
    asked->open = apr_pcalloc(pool, (apr_size_t)count / 8 + 1);
    asked->since = acme_engine_now(engine);
    asked->next = engine->asked;
    engine->asked = asked;
    return asked;
}

static acme_asked_t *find(acme_engine_t *engine, const char *id)
{
    acme_asked_t *asked = engine->asked;
    while (asked && strcmp(asked->id, id)) {
        asked = asked->next;
    }
    return asked;
}

/* --- answering ---------------------------------------------------------------------- */

static void reply(acme_engine_t *engine, const acme_asked_t *asked,
                  const char *state, const char *text, int code)
{
    const acme_control_reply_t answer = {
        .state = state,
        .text = text,
        .code = code,
        .done = asked->all ? asked->over : 0,
        .total = asked->all ? asked->count : 0,
        .since = asked->since,
    };
    acme_request_reply(engine, asked->id, &answer);
}

void acme_asked_progress(acme_engine_t *engine, const acme_job_t *job,
                         const char *text)
{
    for (acme_asked_t *asked = engine->asked; asked; asked = asked->next) {
        /* Of many, each step of each would be a file written. */
        if (!asked->all && index_of(engine, asked, job) >= 0) {
            reply(engine, asked, "working", text, 0);
        }
    }
}

static void conclude_all(acme_engine_t *engine, const acme_asked_t *asked)
{
    const char *text =
        asked->failed
            ? apr_psprintf(engine->scratch,
                           "%d of %d failed, the last of them so: %s",
                           asked->failed, asked->count, asked->text)
            : apr_psprintf(engine->scratch, "all %d renewed", asked->count);
    reply(engine, asked, asked->failed ? "failed" : "done", text, asked->code);
}

static void conclude(acme_engine_t *engine, const acme_asked_t *asked,
                     const acme_job_t *job)
{
    if (asked->all) {
        conclude_all(engine, asked);
        return;
    }
    if (asked->code) {
        reply(engine, asked, "failed", asked->text, asked->code);
        return;
    }
    const acme_status_t *status = &job->status;
    reply(engine, asked, "done",
          apr_psprintf(engine->scratch,
                       "issued by %s, valid until %s, serial %s%s%s",
                       status->issuer,
                       acme_time_format(status->not_after, engine->scratch),
                       status->serial, status->wait ? "; " : "",
                       acme_report_waiting(status, engine->scratch)),
          0);
}

/* @return whether it was the last, and the request is no more */
static int settle(acme_engine_t *engine, acme_asked_t **link,
                  const acme_job_t *job)
{
    acme_asked_t *asked = *link;

    if (asked->open_count || asked->begun < asked->count) {
        return 0;
    }
    conclude(engine, asked, job);
    *link = asked->next;
    apr_pool_destroy(asked->pool);
    return 1;
}

static void take_off(acme_asked_t *asked, int index, const acme_err_t *err,
                     apr_pool_t *scratch)
{
    asked->open[index / 8] &= (unsigned char)~(1U << (index % 8));
    asked->open_count--;
    asked->over++;
    if (err) {
        asked->failed++;
        asked->code = (int)err->msg;
        asked->text = apr_pstrdup(asked->pool, acme_err_line(err, scratch));
    }
}

void acme_asked_outcome(acme_engine_t *engine, acme_job_t *job,
                        const acme_err_t *err)
{
    acme_asked_t **link = &engine->asked;
    job->request[0] = '\0';
    while (*link) {
        acme_asked_t *asked = *link;
        int index = index_of(engine, asked, job);
        if (index < 0) {
            link = &asked->next;
            continue;
        }
        take_off(asked, index, err, engine->scratch);
        if (settle(engine, link, job)) {
            continue;
        }
        if (asked->all) {
            reply(engine, asked, "working",
                  apr_psprintf(engine->scratch, "%s%s", job->managed->name,
                               err ? " failed" : " renewed"),
                  0);
        }
        link = &asked->next;
    }
}

/* --- beginning ------------------------------------------------------------------------ */

static void open_job(acme_engine_t *engine, acme_asked_t *asked, int index)
{
    acme_job_t *job = &engine->jobs[asked->first + index];

    if (!is_open(asked, index)) {
        asked->open[index / 8] |= (unsigned char)(1U << (index % 8));
        asked->open_count++;
    }
    job->requested = asked->now ? ACME_REQUESTED_NOW : ACME_REQUESTED;
    acme_job_forget_turns(job);
    acme_skips_hasten(job);
    apr_cpystrn(job->request, asked->id, sizeof(job->request));
    acme_engine_keep(engine, job);
    if (!job->run) {
        acme_engine_schedule(engine, job);
    }
}

/* An engine that is gone has come to its end with this one, and could not say so.
 * @return 0: it is still to be done */
static int was_over(acme_engine_t *engine, acme_asked_t *asked, int index)
{
    acme_job_t *job = &engine->jobs[asked->first + index];
    apr_time_t since = apr_time_from_sec(apr_time_sec(asked->since));
    int failed = job->status.failures && job->status.error_time >= since;

    if (!asked->again || job->run || (job->issued < since && !failed)) {
        return 0;
    }
    asked->over++;
    if (failed) {
        asked->failed++;
        asked->code = job->status.error_code;
        asked->text =
            apr_pstrdup(asked->pool, acme_remarks(&job->status)->error);
    }
    if (job->request[0]) {
        job->request[0] = '\0';
        job->requested = 0;
        acme_engine_keep(engine, job);
        acme_engine_schedule(engine, job);
    }
    return 1;
}

static void begin_some(acme_engine_t *engine, acme_asked_t *asked)
{
    for (int i = 0; i < AT_ONCE && asked->begun < asked->count;
         asked->begun++) {
        if (!was_over(engine, asked, asked->begun)) {
            open_job(engine, asked, asked->begun);
            i++;
        }
    }
}

void acme_asked_go_on(acme_engine_t *engine)
{
    acme_asked_t **link = &engine->asked;
    while (*link) {
        acme_asked_t *asked = *link;
        const acme_job_t *last = &engine->jobs[asked->first + asked->count - 1];
        begin_some(engine, asked);
        if (!settle(engine, link, last)) {
            link = &asked->next;
        }
    }
}

/* --- taking up -------------------------------------------------------------------------- */

/* What was said of it by the engine that is gone. */
static void recall(acme_engine_t *engine, acme_asked_t *asked)
{
    acme_control_reply_t *before = NULL;
    acme_err_t *err = acme_store_get_reply(&before, engine->store, asked->id,
                                           engine->scratch);
    if (!err && before && before->since) {
        asked->since = before->since;
    }
}

static acme_asked_t *make_for(acme_engine_t *engine,
                              const acme_control_t *request)
{
    const acme_job_t *first;

    if (acme_control_flag(request, "all")) {
        acme_asked_t *asked = make(engine, request->id, 0, engine->job_count);
        asked->all = 1;
        return asked;
    }
    first = request->certificate
                ? acme_request_find(engine, request->certificate)
                : NULL;
    return first ? make(engine, request->id, (int)(first - engine->jobs),
                        first->managed->policy->key_type_count)
                 : NULL;
}

void acme_asked_accept(acme_engine_t *engine, const acme_control_t *request,
                       int again)
{
    acme_asked_t *asked = find(engine, request->id);

    if (asked) {
        return;
    }
    asked = make_for(engine, request);
    if (!asked) {
        acme_request_fail(
            engine, request->id,
            acme_request_no_certificate(request, engine->scratch));
        return;
    }
    asked->now = acme_control_flag(request, "now");
    asked->again = again;
    if (again) {
        recall(engine, asked);
    }
    else {
        const acme_job_t *job = asked->all ? NULL : &engine->jobs[asked->first];
        const char *by = acme_control_text(request, "by");
        acme_engine_log(
            engine, job, ACME_I_REQUESTED,
            by ? apr_pstrcat(engine->scratch, " by ",
                             acme_encode_printable(by, 64, engine->scratch),
                             NULL)
               : "",
            request->id, NULL);
        reply(engine, asked, "accepted",
              job ? job->managed->name : "all certificates", 0);
    }
    acme_asked_go_on(engine);
}
