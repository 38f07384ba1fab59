/* Requests of the administrator: which verbs there are, and how they are answered.
 * A verb answers at once or later, until it has said "done" or "failed". */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define ANSWER_PAUSE apr_time_from_sec(10)

typedef struct verb_t {
    const char *action;
    acme_request_fn_t *accept;
    int lasting; /* an engine that is gone may have begun it: accept is called
                    once more by the next. 0: then it has failed */
} verb_t;

static const verb_t VERBS[] = {
    { "check", acme_check_accept, 0 },
    { "renew", acme_asked_accept, 1 },
    { "status", acme_answers_status, 1 },
    { "delete", acme_answers_delete, 1 },
    { "record", acme_answers_record, 1 },
    { "revoke", acme_duty_revoke, 1 },
    { "account-contact", acme_duty_contact, 1 },
    { "account-rollover", acme_duty_rollover, 1 },
    { "account-deactivate", acme_duty_deactivate, 1 },
    { "account-import", acme_duty_import, 1 },
    { "account-new", acme_duty_new, 1 },
};

/* --- answering ---------------------------------------------------------------------- */

int acme_request_reply(acme_engine_t *engine, const char *id,
                       const acme_control_reply_t *reply)
{
    acme_err_t *err =
        acme_engine_note(engine, acme_store_put_reply(engine->store, id, reply,
                                                      engine->scratch));
    if (err) {
        acme_engine_log_error(engine, NULL, err);
        engine->unanswered = acme_engine_now(engine);
    }
    return !err;
}

void acme_request_fail(acme_engine_t *engine, const char *id,
                       const acme_err_t *err)
{
    const acme_control_reply_t reply = {
        .state = "failed",
        .text = acme_err_line(err, engine->scratch),
        .code = (int)err->msg,
    };
    acme_engine_log_error(engine, NULL, err);
    acme_request_reply(engine, id, &reply);
}

/* --- what most verbs need ------------------------------------------------------------ */

acme_job_t *acme_request_find(acme_engine_t *engine, const char *name)
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

acme_err_t *acme_request_no_certificate(const acme_control_t *request,
                                        apr_pool_t *pool)
{
    const char *name = request->certificate ? request->certificate : "?";
    return acme_err_make(pool, ACME_E_REQUEST_NAME,
                         acme_encode_printable(name, 253, pool), NULL);
}

/* --- taking them up ------------------------------------------------------------------ */

static const verb_t *find_verb(const char *action)
{
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (!strcmp(action, VERBS[i].action)) {
            return &VERBS[i];
        }
    }
    return NULL;
}

static void take_up(acme_engine_t *engine, const acme_control_t *request,
                    int again)
{
    const verb_t *verb = find_verb(request->action);

    if (!verb) {
        acme_request_fail(engine, request->id,
                          acme_err_make(engine->scratch, ACME_E_REQUEST_ACTION,
                                        request->action, NULL));
    }
    else if (again && !verb->lasting) {
        acme_request_fail(engine, request->id,
                          acme_err_make(engine->scratch, ACME_E_REQUEST_LOST,
                                        request->action, NULL));
    }
    else {
        verb->accept(engine, request, again);
    }
}

static acme_err_t *take_up_all(acme_engine_t *engine, int again)
{
    apr_array_header_t *requests;
    acme_err_t *err = again ? acme_store_get_interrupted(
                          &requests, engine->store, engine->scratch)
                            : acme_store_get_requests(&requests, engine->store,
                                                      engine->scratch);
    if (err) {
        acme_engine_note(engine, err);
        return err;
    }
    for (int i = 0; i < requests->nelts && !engine->lost; i++) {
        take_up(engine, APR_ARRAY_IDX(requests, i, acme_control_t *), again);
    }
    return NULL;
}

/* What could not be answered is still there, and would be done again at each look:
 * a full disk is not emptied by that, and the CA would be asked as often. */
static int is_paused(acme_engine_t *engine)
{
    apr_time_t now = acme_engine_now(engine);

    if (now < engine->unanswered || now >= engine->unanswered + ANSWER_PAUSE) {
        engine->unanswered = 0;
    }
    return engine->unanswered != 0;
}

acme_err_t *acme_request_look(acme_engine_t *engine)
{
    if (!engine->requests_resumed) {
        ACME_TRY(take_up_all(engine, 1));
        engine->requests_resumed = 1;
    }
    acme_asked_go_on(engine);
    return is_paused(engine) ? NULL : take_up_all(engine, 0);
}
