/* OCSP responses of the certificates in service: fetched, kept, handed to the
 * server. Few are asked for at a time, and nothing else waits for them. */
#include <apr_strings.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/encode.h"
#include "core/renewal.h"
#include "engine/activation.h"
#include "engine/events.h"
#include "engine/staple.h"

#define MAX_QUERIES 8 /* at once, and looked up in one go */
#define RETRY_FIRST apr_time_from_sec(60)
#define RETRY_MAX   apr_time_from_sec(60 * 60)
#define TELL_AGAIN  apr_time_from_sec(24 * 60 * 60)

static unsigned int random_number(void)
{
    unsigned int number = 0;
    RAND_bytes((unsigned char *)&number, sizeof(number));
    return number;
}

static void set_timer(acme_stapling_t *stapling, apr_time_t due)
{
    acme_timer_set(stapling->engine->timers, &stapling->timer, due);
}

/* --- what the server and the job are told ---------------------------------------- */

static void hand_over(acme_stapling_t *stapling, const acme_staple_t *staple)
{
    const acme_engine_callbacks_t *callbacks = stapling->engine->callbacks;
    acme_job_t *job = stapling->job;

    if (callbacks->staple) {
        callbacks->staple(callbacks->baton, job->managed, job->family, staple);
    }
    stapling->until = staple->len ? staple->until : 0;
}

/* A response that says "revoked" is not shown, and neither is an older one that
 * says "good": a new certificate is on its way. */
static void take_revocation(acme_stapling_t *stapling,
                            const acme_staple_t *staple, const char *reason,
                            apr_time_t at)
{
    acme_engine_t *engine = stapling->engine;
    acme_staple_t nothing = *staple;
    acme_job_t *job = stapling->job;

    nothing.len = 0;
    hand_over(stapling, &nothing);
    /* One that is replaced already only waits to leave. */
    if (job->revoked || acme_activation_waits(job)) {
        return;
    }
    job->revoked = 1;
    acme_err_t *err = acme_err_make(
        engine->scratch, ACME_E_OCSP_REVOKED,
        reason ? apr_psprintf(engine->scratch, " (%s)", reason) : "",
        acme_time_format(at, engine->scratch), NULL);
    acme_engine_log_error(engine, job, err);
    acme_job_troubled(job, err, acme_engine_now(engine), engine->scratch);
    const acme_happening_t what = { ACME_EVENT_REVOKED, job, err };
    acme_events_raise(engine, &what);
}

/* --- a certificate's beginning ------------------------------------------------------ */

static acme_stapling_t *stapling_for(acme_engine_t *engine, acme_job_t *job)
{
    acme_stapling_t *stapling = job->stapling;
    if (!stapling) {
        stapling = apr_pcalloc(engine->pool, sizeof(*stapling));
        stapling->engine = engine;
        stapling->job = job;
        stapling->timer.kind = ACME_TIMER_STAPLE;
        job->stapling = stapling;
    }
    stapling->failures = 0;
    stapling->until = 0;
    stapling->told = 0;
    return stapling;
}

static void take_saved(acme_stapling_t *stapling, const acme_staple_doc_t *doc)
{
    apr_time_t now = acme_engine_now(stapling->engine);

    if (!doc || doc->staple.until <= now) {
        set_timer(stapling, now);
        return;
    }
    if (doc->revoked) {
        take_revocation(stapling, &doc->staple, NULL, doc->from);
    }
    else {
        hand_over(stapling, &doc->staple);
    }
    set_timer(stapling, doc->refresh);
}

void acme_stapling_learn(acme_engine_t *engine, acme_job_t *job,
                         const acme_record_t *record, int issued)
{
    acme_staple_doc_t *doc;

    if (!record || !record->ocsp
        || !(job->managed->staple || record->must_staple)) {
        if (job->stapling) {
            acme_timer_clear(engine->timers, &job->stapling->timer);
        }
        if (issued && job->managed->staple) {
            acme_engine_log(engine, job, ACME_I_OCSP_NONE, NULL);
        }
        return;
    }
    acme_stapling_t *stapling = stapling_for(engine, job);
    stapling->must = record->must_staple;
    acme_staple_saved(&doc, engine->store, job->managed->dir, job->family,
                      record->serial, engine->scratch);
    take_saved(stapling, doc);
}

/* --- answers -------------------------------------------------------------------------- */

static void fill_doc(acme_staple_doc_t *doc, const acme_answer_t *answer,
                     const char *serial, int must, apr_time_t now)
{
    const acme_ocsp_t *ocsp = answer->ocsp;

    memset(doc, 0, sizeof(*doc));
    doc->staple =
        (acme_staple_t){ serial, answer->der, answer->len, ocsp->until, must };
    doc->from = ocsp->revoked ? ocsp->revoked_at : ocsp->this_update;
    doc->refresh =
        acme_refresh_time(ocsp->this_update, ocsp->until, now, random_number());
    doc->revoked = ocsp->revoked;
}

static acme_err_t *save_doc(acme_engine_t *engine, const acme_job_t *job,
                            const acme_staple_doc_t *doc)
{
    const char *json;

    ACME_TRY(acme_staple_format(&json, doc, engine->scratch));
    return acme_store_put_doc(engine->store, job->managed->dir, job->family,
                              ACME_DOC_OCSP, json, engine->scratch);
}

acme_err_t *acme_stapling_save(acme_engine_t *engine, const acme_job_t *job,
                               const char *serial, int must,
                               const acme_answer_t *answer)
{
    acme_staple_doc_t doc;

    fill_doc(&doc, answer, serial, must, acme_engine_now(engine));
    return save_doc(engine, job, &doc);
}

static void replan(acme_engine_t *engine, acme_job_t *job)
{
    if (!job->run && !job->turn.place) {
        acme_engine_schedule(engine, job);
    }
}

static void take_answer(acme_stapling_t *stapling, const acme_answer_t *answer)
{
    acme_engine_t *engine = stapling->engine;
    acme_job_t *job = stapling->job;
    int news = stapling->failures || !stapling->until;
    acme_staple_doc_t doc;

    fill_doc(&doc, answer, job->served.serial, stapling->must,
             acme_engine_now(engine));
    acme_err_t *err = acme_engine_note(engine, save_doc(engine, job, &doc));
    if (err) {
        acme_engine_log_error(engine, job, err);
    }
    stapling->failures = 0;
    stapling->told = 0;
    set_timer(stapling, doc.refresh);
    if (answer->ocsp->revoked) {
        take_revocation(stapling, &doc.staple, answer->ocsp->reason,
                        answer->ocsp->revoked_at);
        replan(engine, job);
        return;
    }
    hand_over(stapling, &doc.staple);
    if (job->revoked) { /* it was put on hold, and taken off */
        job->revoked = 0;
        replan(engine, job);
    }
    if (news) {
        acme_engine_log(engine, job, ACME_I_OCSP_STAPLED,
                        acme_time_format(doc.staple.until, engine->scratch),
                        NULL);
    }
}

/* Once while what is stapled holds, once when it does no more, then daily. */
static void tell_failure(acme_stapling_t *stapling, const char *url,
                         const acme_err_t *err, apr_time_t due)
{
    acme_engine_t *engine = stapling->engine;
    apr_time_t now = acme_engine_now(engine);
    const char *line = acme_err_line(err, engine->scratch);
    const char *again = acme_time_format(due, engine->scratch);

    if (stapling->until > now) {
        if (stapling->failures == 1) {
            acme_engine_log(engine, stapling->job, ACME_I_OCSP_LATE, url, line,
                            acme_time_format(stapling->until, engine->scratch),
                            again, NULL);
        }
        return;
    }
    if (!stapling->told || now >= stapling->told + TELL_AGAIN) {
        stapling->told = now;
        acme_engine_log(engine, stapling->job, ACME_W_OCSP_FAILED, url, line,
                        again, NULL);
    }
}

static void fail(acme_stapling_t *stapling, const char *url,
                 const acme_err_t *err)
{
    apr_time_t now = acme_engine_now(stapling->engine);

    if (stapling->failures < 1000) {
        stapling->failures++;
    }
    apr_time_t due = now
                     + acme_retry_delay(stapling->failures, RETRY_FIRST,
                                        RETRY_MAX, random_number());
    if (err->retry_at > due) {
        due = err->retry_at;
    }
    set_timer(stapling, due);
    tell_failure(stapling, url, err, due);
}

/* --- questions --------------------------------------------------------------------- */

static void pump(acme_engine_t *engine);

static void on_answer(void *baton, const acme_answer_t *answer)
{
    acme_stapling_t *stapling = baton;
    acme_engine_t *engine = stapling->engine;
    int number = stapling->number;

    engine->querying--;
    stapling->number = 0;
    if (number == stapling->job->served.number && !engine->lost) {
        if (answer->err) {
            fail(stapling, answer->url, answer->err);
        }
        else {
            take_answer(stapling, answer);
        }
    }
    if (!engine->lost) {
        pump(engine);
    }
}

static void ask(acme_stapling_t *stapling)
{
    acme_engine_t *engine = stapling->engine;
    acme_job_t *job = stapling->job;
    apr_pool_t *pool;
    acme_chain_t *chain;

    apr_pool_create(&pool, engine->scratch);
    acme_err_t *err =
        acme_store_get_chain(&chain, engine->store, job->managed->dir,
                             job->family, job->served.number, pool);
    if (!err) {
        err = acme_query_send(engine, &job->link->ca, chain, stapling->failures,
                              on_answer, stapling);
    }
    if (err) {
        fail(stapling, "of the certificate", err);
    }
    else {
        stapling->number = job->served.number;
        engine->querying++;
    }
    apr_pool_destroy(pool);
}

/* Questions that nobody can be asked leave their place at once: then the next one
 * in the queue wakes us up, since each has cost some reading. */
static void pump(acme_engine_t *engine)
{
    for (int i = 0;
         i < MAX_QUERIES && engine->staplings && engine->querying < MAX_QUERIES;
         i++) {
        acme_stapling_t *stapling = engine->staplings;
        engine->staplings = stapling->next;
        stapling->queued = 0;
        ask(stapling);
    }
    if (engine->staplings && engine->querying < MAX_QUERIES) {
        set_timer(engine->staplings, acme_engine_now(engine) + 1);
    }
}

void acme_stapling_pump(acme_stapling_t *stapling)
{
    acme_engine_t *engine = stapling->engine;

    if (stapling->queued) {
        pump(engine);
        return;
    }
    if (stapling->number) { /* about an older certificate: its turn comes */
        set_timer(stapling, acme_engine_now(engine) + apr_time_from_sec(1));
        return;
    }
    if (!engine->staplings) {
        engine->staplings_end = &engine->staplings;
    }
    stapling->next = NULL;
    stapling->queued = 1;
    *engine->staplings_end = stapling;
    engine->staplings_end = &stapling->next;
    pump(engine);
}
