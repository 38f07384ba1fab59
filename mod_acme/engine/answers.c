/* Requests that are answered in the round that takes them up. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/report.h"

#define AT_ONCE 200 /* certificates; most take two to four thousand octets */
#define ROOM    (ACME_CONTROL_RESULT - 4096) /* some have a hundred long names */

/* --- status ------------------------------------------------------------------------- */

/* The time-line is the server's: the engine has none of it. */
static void add_events(acme_report_t *report, const acme_engine_t *engine)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;

    for (int i = 0; callbacks->events && i < report->key_count; i++) {
        report->event_counts[i] = callbacks->events(
            callbacks->baton, report->events[i], report->managed,
            acme_key_family(report->types[i]));
    }
}

/* @param room  octets */
static json_t *visits(const acme_engine_t *engine,
                      const acme_managed_t *managed, size_t room)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    int names = managed->idents->nelts;
    json_t *list = json_array();

    for (int i = 0; callbacks->hits && i < names; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(managed->idents, i, const acme_ident_t *);
        acme_hit_t found[ACME_MAX_HITS];
        int count = callbacks->hits(callbacks->baton, found, ident, 0);

        acme_report_add_hits(list, &room, names - i, ident, found, count,
                             engine->scratch);
    }
    return list;
}

/* @param alone  with its history, for which there is no room where all are told of */
static json_t *report_of(acme_engine_t *engine, const acme_job_t *first,
                         int alone)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    acme_report_t *report = apr_pcalloc(engine->scratch, sizeof(*report));

    report->managed = first->managed;
    report->key_count = first->managed->policy->key_type_count;
    for (int i = 0; i < report->key_count; i++) {
        report->types[i] = first[i].key_type;
        report->keys[i] = first[i].status;
        if (callbacks->amend) {
            callbacks->amend(callbacks->baton, &report->keys[i]);
        }
    }
    if (!alone) {
        return acme_report_json(report, engine->scratch);
    }
    add_events(report, engine);
    json_t *json = acme_report_json(report, engine->scratch);
    size_t octets = json_dumpb(json, NULL, 0, JSON_COMPACT);
    if (json_object_set_new(json, "visits",
                            visits(engine, first->managed,
                                   octets < ROOM ? ROOM - octets : 0))) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* @return NULL: there is no memory */
static json_t *report_some(acme_engine_t *engine, apr_int64_t from)
{
    const apr_array_header_t *managed = engine->config->managed;
    json_t *list = json_array();
    size_t octets = 0;

    for (apr_int64_t i = from;
         i >= 0 && i < managed->nelts && i < from + AT_ONCE; i++) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        json_t *report = report_of(
            engine,
            apr_hash_get(engine->by_name, one->name, APR_HASH_KEY_STRING), 0);
        octets += json_dumpb(report, NULL, 0, JSON_COMPACT) + 1;
        if (i > from && octets > ROOM) {
            json_decref(report);
            break;
        }
        if (json_array_append_new(list, report)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void acme_answers_status(acme_engine_t *engine, const acme_control_t *request,
                         int again)
{
    json_t *list;

    (void)again;
    if (request->certificate) {
        const acme_job_t *first =
            acme_request_find(engine, request->certificate);
        list = json_array();
        if (first && json_array_append_new(list, report_of(engine, first, 1))) {
            json_decref(list);
            list = NULL;
        }
    }
    else {
        list = report_some(engine, acme_control_number(request, "from", 0));
    }
    acme_control_reply_t reply = {
        .state = "done",
        .result = json_pack("{s:o, s:i}", "certificates", list, "total",
                            engine->config->managed->nelts),
    };
    if (!reply.result) {
        acme_request_fail(engine, request->id,
                          acme_err_make(engine->scratch, ACME_E_MEMORY,
                                        "telling the status", NULL));
        return;
    }
    acme_request_reply(engine, request->id, &reply);
    json_decref(reply.result);
}

/* --- record ------------------------------------------------------------------------- */

void acme_answers_record(acme_engine_t *engine, const acme_control_t *request,
                         int again)
{
    acme_msg_t msg = (acme_msg_t)acme_control_number(request, "code", 0);
    const char *subject = acme_control_text(request, "subject");
    const char *text = acme_control_text(request, "text");
    const acme_control_reply_t reply = { .state = "done", .text = "recorded" };

    (void)again;
    if (!acme_audit_event(msg) || !subject || !text) {
        acme_request_fail(engine, request->id,
                          acme_err_make(engine->scratch, ACME_E_REQUEST_ACTION,
                                        request->action, NULL));
        return;
    }
    acme_engine_say(engine, msg, subject, text);
    acme_request_reply(engine, request->id, &reply);
}

/* --- delete ------------------------------------------------------------------------- */

static const acme_managed_t *managed_in(const acme_engine_t *engine,
                                        const char *dir)
{
    const apr_array_header_t *managed = engine->config->managed;

    for (int i = 0; i < managed->nelts; i++) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        if (!strcmp(one->dir, dir)) {
            return one;
        }
    }
    return NULL;
}

static void tell_deleted(acme_engine_t *engine, const char *name,
                         const char *by)
{
    apr_pool_t *scratch = engine->scratch;
    const acme_err_t *line = acme_err_make(
        scratch, ACME_I_DELETED,
        by ? apr_pstrcat(scratch, " (asked for by ",
                         acme_encode_printable(by, 64, scratch), ")", NULL)
           : "",
        NULL);
    acme_engine_say(engine, line->msg,
                    apr_pstrcat(scratch, "[",
                                acme_encode_printable(name, 253, scratch), "]",
                                NULL),
                    line->text);
}

void acme_answers_delete(acme_engine_t *engine, const acme_control_t *request,
                         int again)
{
    const char *dir = acme_control_text(request, "directory");
    const char *by = acme_control_text(request, "by");
    const char *name = request->certificate ? request->certificate : dir;
    const acme_managed_t *managed = dir ? managed_in(engine, dir) : NULL;
    acme_err_t *err = NULL;

    (void)again;
    if (managed) {
        err = acme_err_make(engine->scratch, ACME_E_CTL_IN_USE, managed->name,
                            managed->where ? managed->where : "?", NULL);
    }
    else if (!dir) {
        err = acme_request_no_certificate(request, engine->scratch);
    }
    else {
        err =
            acme_engine_note(engine, acme_store_remove_fresh(engine->store, dir,
                                                             engine->scratch));
    }
    if (err) {
        acme_request_fail(engine, request->id, err);
        return;
    }
    tell_deleted(engine, name, by);
    acme_control_reply_t reply = { .state = "done", .text = dir };
    acme_request_reply(engine, request->id, &reply);
}
