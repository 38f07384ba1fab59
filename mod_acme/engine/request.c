#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/skips.h"

/** A request that was accepted and is worked on. */
struct acme_asked_t {
    acme_asked_t *next;
    apr_pool_t *pool;
    const char *id;
    acme_job_t *first; /* the certificate's jobs, in a row */
    int count;
    unsigned int open; /* bit n: the n-th of them is not over */
    int code;          /* of the failure told, or 0 */
    const char *text;
};

static void reply(acme_engine_t *engine, const char *id, const char *state,
                  const char *text, int code)
{
    acme_control_reply_t answer = { state, text, code };
    acme_err_t *err = acme_engine_note(
        engine,
        acme_store_put_reply(engine->store, id, &answer, engine->scratch));
    if (err) {
        acme_engine_log_error(engine, NULL, err);
    }
}

static void reply_error(acme_engine_t *engine, const char *id,
                        const acme_err_t *err)
{
    acme_engine_log_error(engine, NULL, err);
    reply(engine, id, "failed", acme_err_line(err, engine->scratch),
          (int)err->msg);
}

/* The certificate's jobs by its identity, or else by any of its names. */
static acme_job_t *find(acme_engine_t *engine, const char *name)
{
    acme_ident_t *ident;
    acme_job_t *job = apr_hash_get(engine->by_name, name, APR_HASH_KEY_STRING);
    if (job || acme_ident_parse(&ident, name, engine->scratch)) {
        return job;
    }
    for (int i = 0; i < engine->job_count; i++) {
        const apr_array_header_t *idents = engine->jobs[i].managed->idents;
        for (int k = 0; k < idents->nelts; k++) {
            if (acme_ident_equal(ident,
                                 APR_ARRAY_IDX(idents, k, acme_ident_t *))) {
                return apr_hash_get(engine->by_name,
                                    engine->jobs[i].managed->name,
                                    APR_HASH_KEY_STRING);
            }
        }
    }
    return NULL;
}

static acme_asked_t *make(acme_engine_t *engine, const char *id,
                          acme_job_t *first)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, engine->pool);
    acme_asked_t *asked = apr_pcalloc(pool, sizeof(*asked));
    asked->pool = pool;
    asked->id = apr_pstrdup(pool, id);
    asked->first = first;
    asked->count = first->managed->policy->key_type_count;
    asked->next = engine->asked;
    engine->asked = asked;
    return asked;
}

static void open_job(acme_engine_t *engine, acme_asked_t *asked, int index)
{
    acme_job_t *job = &asked->first[index];
    asked->open |= 1U << index;
    job->requested = 1;
    acme_job_forget_turns(job);
    acme_skips_hasten(job);
    apr_cpystrn(job->request, asked->id, sizeof(job->request));
    acme_engine_keep(engine, job);
    if (!job->run) {
        acme_engine_schedule(engine, job);
    }
}

static void accept_renew(acme_engine_t *engine, const acme_control_t *request)
{
    acme_job_t *first = find(engine, request->certificate);
    if (!first) {
        reply_error(engine, request->id,
                    acme_err_make(engine->scratch, ACME_E_REQUEST_NAME,
                                  acme_encode_printable(request->certificate,
                                                        253, engine->scratch),
                                  NULL));
        return;
    }
    acme_asked_t *asked = make(engine, request->id, first);
    acme_engine_log(engine, first, ACME_I_REQUESTED, request->id, NULL);
    reply(engine, request->id, "accepted", first->managed->name, 0);
    for (int i = 0; i < asked->count; i++) {
        open_job(engine, asked, i);
    }
}

acme_err_t *acme_asked_look(acme_engine_t *engine)
{
    apr_array_header_t *requests;
    acme_err_t *err =
        acme_store_get_requests(&requests, engine->store, engine->scratch);

    if (err) {
        acme_engine_note(engine, err);
        return err;
    }
    for (int i = 0; i < requests->nelts; i++) {
        const acme_control_t *request =
            APR_ARRAY_IDX(requests, i, acme_control_t *);
        if (!strcmp(request->action, "renew")) {
            accept_renew(engine, request);
        }
        else {
            reply_error(engine, request->id,
                        acme_err_make(engine->scratch, ACME_E_REQUEST_ACTION,
                                      acme_encode_printable(request->action, 32,
                                                            engine->scratch),
                                      NULL));
        }
    }
    return NULL;
}

void acme_asked_resume(acme_engine_t *engine, acme_job_t *job)
{
    acme_asked_t *asked = engine->asked;
    acme_job_t *first =
        apr_hash_get(engine->by_name, job->managed->name, APR_HASH_KEY_STRING);
    while (asked && strcmp(asked->id, job->request)) {
        asked = asked->next;
    }
    if (!asked) {
        asked = make(engine, job->request, first);
    }
    asked->open |= 1U << (job - first);
    job->requested = 1;
}

/* Bit of the job in the request's mask; 0 if the request is not about it. */
static unsigned int bit_of(const acme_asked_t *asked, const acme_job_t *job)
{
    if (job < asked->first || job >= asked->first + asked->count) {
        return 0;
    }
    return asked->open & (1U << (job - asked->first));
}

void acme_asked_progress(acme_engine_t *engine, const acme_job_t *job,
                         const char *text)
{
    for (acme_asked_t *asked = engine->asked; asked; asked = asked->next) {
        if (bit_of(asked, job)) {
            reply(engine, asked->id, "working", text, 0);
        }
    }
}

static void conclude(acme_engine_t *engine, const acme_asked_t *asked,
                     const acme_job_t *job)
{
    if (asked->code) {
        reply(engine, asked->id, "failed", asked->text, asked->code);
        return;
    }
    const acme_status_t *status = &job->status;
    reply(engine, asked->id, "done",
          apr_psprintf(engine->scratch,
                       "issued by %s, valid until %s, serial %s",
                       status->issuer,
                       acme_time_format(status->not_after, engine->scratch),
                       status->serial),
          0);
}

void acme_asked_outcome(acme_engine_t *engine, acme_job_t *job,
                        const acme_err_t *err)
{
    acme_asked_t **link = &engine->asked;
    job->request[0] = '\0';
    while (*link) {
        acme_asked_t *asked = *link;
        unsigned int bit = bit_of(asked, job);
        asked->open &= ~bit;
        if (bit && err) {
            asked->code = (int)err->msg;
            asked->text =
                apr_pstrdup(asked->pool, acme_err_line(err, engine->scratch));
        }
        if (!bit || asked->open) {
            link = &asked->next;
            continue;
        }
        conclude(engine, asked, job);
        *link = asked->next;
        apr_pool_destroy(asked->pool);
    }
}
