#include "engine/report.h"

#include <apr_strings.h>
#include <string.h>

static json_t *text(const char *value, apr_pool_t *scratch)
{
    return value && *value ? json_string(
               acme_encode_printable(value, ACME_MAX_DETAIL, scratch))
                           : json_null();
}

/* @return json; NULL, and json is no more: something in it has failed */
static json_t *whole(json_t *json, int failed)
{
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *moment(apr_time_t time, apr_pool_t *scratch)
{
    return time ? json_string(acme_time_format(time, scratch)) : json_null();
}

const char *acme_report_error_code(const acme_status_t *status,
                                   apr_pool_t *pool)
{
    return status->error_code
               ? apr_psprintf(pool, "ACME%04d", status->error_code)
               : "";
}

const char *acme_report_action(const acme_status_t *status, apr_pool_t *pool)
{
    const char *end = strchr(status->next_action, ':');

    return end ? apr_pstrmemdup(pool, status->next_action,
                                (apr_size_t)(end - status->next_action))
               : apr_pstrdup(pool, status->next_action);
}

const char *acme_report_why(const acme_status_t *status)
{
    const char *why = strstr(status->next_action, ": ");

    return why ? why + 2 : "";
}

const char *acme_report_waiting(const acme_status_t *status, apr_pool_t *pool)
{
    switch (status->wait) {
    case ACME_WAIT_DELAY:
        return apr_pstrcat(pool, "waiting until ",
                           acme_time_format(status->wait_until, pool), NULL);
    case ACME_WAIT_RELOAD:
        return "waiting for reload, which comes by itself";
    case ACME_WAIT_MANUAL:
        return "waiting for reload by the administrator";
    case ACME_WAIT_REFUSED:
        return "refused by the last reload, see the error log of that time";
    case ACME_WAIT_NONE:
    default:
        return "";
    }
}

static json_t *waiting_json(const acme_status_t *status, apr_pool_t *scratch)
{
    static const char *const FOR[] = { "", "delay", "reload", "administrator",
                                       "refused" };

    return status->wait
               ? json_pack("{s:s,s:o,s:o}", "for", FOR[status->wait], "text",
                           text(acme_report_waiting(status, scratch), scratch),
                           "until", moment(status->wait_until, scratch))
               : json_null();
}

static json_t *serving_json(const acme_status_t *status, apr_pool_t *scratch)
{
    return status->served_number
               ? json_pack("{s:i,s:o}", "set", status->served_number,
                           "not_after",
                           moment(status->served_not_after, scratch))
               : json_null();
}

static json_t *next_json(const acme_status_t *status, apr_pool_t *scratch)
{
    return json_pack("{s:o,s:o,s:o}", "action",
                     text(acme_report_action(status, scratch), scratch), "why",
                     text(acme_report_why(status), scratch), "time",
                     moment(status->next_time, scratch));
}

static json_t *limit_json(const acme_status_t *status, apr_pool_t *scratch)
{
    return status->limit_until
               ? json_pack("{s:o,s:o}", "what",
                           text(acme_remarks(status)->limit, scratch), "until",
                           moment(status->limit_until, scratch))
               : json_null();
}

static json_t *suggested_json(const acme_status_t *status, apr_pool_t *scratch)
{
    return status->ari_start
               ? json_pack("{s:o,s:o,s:o}", "start",
                           moment(status->ari_start, scratch), "end",
                           moment(status->ari_end, scratch), "explanation",
                           text(acme_remarks(status)->ari_url, scratch))
               : json_null();
}

static json_t *error_json(const acme_status_t *status, apr_pool_t *scratch)
{
    if (!status->error_code) {
        return json_null();
    }
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:i,s:o}", "code",
        text(acme_report_error_code(status, scratch), scratch), "text",
        text(acme_remarks(status)->error, scratch), "remedy",
        text(acme_msg_entry((acme_msg_t)status->error_code)->remedy, scratch),
        "time", moment(status->error_time, scratch), "failures",
        status->failures, "visit", text(acme_remarks(status)->visit, scratch));
}

static json_t *key_json(acme_key_type_t type, const acme_status_t *status,
                        apr_pool_t *scratch)
{
    json_t *key = json_pack(
        "{s:s,s:s,s:i,s:o,s:o,s:o,s:o,s:o}", "type", acme_key_type_name(type),
        "state", acme_state_name(status->state), "set", status->set_number,
        "issuer", text(status->issuer, scratch), "serial",
        text(status->serial, scratch), "not_before",
        moment(status->not_before, scratch), "not_after",
        moment(status->not_after, scratch), "ca", text(status->ca, scratch));

    int failed =
        json_object_set_new(key, "ca_why",
                            text(acme_remarks(status)->ca_why, scratch))
        | json_object_set_new(key, "waiting", waiting_json(status, scratch))
        | json_object_set_new(key, "serving", serving_json(status, scratch))
        | json_object_set_new(key, "next", next_json(status, scratch))
        | json_object_set_new(key, "progress", text(status->progress, scratch))
        | json_object_set_new(key, "proof", text(status->proof, scratch))
        | json_object_set_new(key, "left_out",
                              text(acme_remarks(status)->left_out, scratch))
        | json_object_set_new(key, "tlsa",
                              text(acme_remarks(status)->tlsa, scratch))
        | json_object_set_new(key, "tlsa_next",
                              text(acme_remarks(status)->tlsa_next, scratch))
        | json_object_set_new(key, "limit", limit_json(status, scratch))
        | json_object_set_new(key, "suggested", suggested_json(status, scratch))
        | json_object_set_new(key, "error", error_json(status, scratch));
    return whole(key, failed);
}

static json_t *events_json(const acme_report_t *report, int nth,
                           apr_pool_t *scratch)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; i < report->event_counts[nth]; i++) {
        const acme_event_t *event = &report->events[nth][i];

        failed |= json_array_append_new(
            list, json_pack("{s:o,s:o}", "time", moment(event->time, scratch),
                            "text", text(event->text, scratch)));
    }
    return whole(list, failed);
}

json_t *acme_report_json(const acme_report_t *report, apr_pool_t *scratch)
{
    const acme_managed_t *managed = report->managed;
    json_t *names = json_array(), *keys = json_array();
    int failed = 0;

    for (int i = 0; i < managed->idents->nelts; i++) {
        failed |= json_array_append_new(
            names,
            text(APR_ARRAY_IDX(managed->idents, i, acme_ident_t *)->value,
                 scratch));
    }
    for (int i = 0; i < report->key_count; i++) {
        json_t *key = key_json(report->types[i], &report->keys[i], scratch);

        failed |=
            json_object_set_new(key, "events", events_json(report, i, scratch))
            | json_array_append_new(keys, key);
    }
    json_t *json =
        json_pack("{s:o,s:o,s:o,s:b,s:o}", "name", text(managed->name, scratch),
                  "names", names, "where", text(managed->where, scratch),
                  "in_use", managed->in_use, "keys", keys);
    return whole(json, failed);
}

json_t *acme_report_hit(const acme_ident_t *ident, const acme_hit_t *hit,
                        apr_pool_t *scratch)
{
    json_t *json = json_pack(
        "{s:o,s:o,s:s,s:b,s:b,s:i,s:i,s:o}", "time", moment(hit->time, scratch),
        "name", text(ident->value, scratch), "challenge",
        acme_proof_type_name(hit->type), "known", hit->known, "answered",
        hit->answered, "status", hit->status, "port", hit->port, "peer",
        text(hit->peer, scratch));

    int failed =
        json_object_set_new(json, "text",
                            text(acme_hit_text(hit, scratch), scratch))
        | json_object_set_new(json, "host", text(hit->host, scratch))
        | json_object_set_new(json, "agent", text(hit->agent, scratch))
        | json_object_set_new(json, "virtual_host", text(hit->server, scratch))
        | json_object_set_new(json, "where", text(hit->where, scratch));
    return whole(json, failed);
}

void acme_report_add_hits(json_t *list, size_t *room, int names,
                          const acme_ident_t *ident, const acme_hit_t *hits,
                          int count, apr_pool_t *scratch)
{
    size_t share = *room / (size_t)names;

    for (int i = 0; i < count; i++) {
        json_t *hit = acme_report_hit(ident, &hits[i], scratch);
        size_t octets = json_dumpb(hit, NULL, 0, JSON_COMPACT) + 1;

        if (octets > share || json_array_append_new(list, json_incref(hit))) {
            json_decref(hit);
            return;
        }
        json_decref(hit);
        share -= octets;
        *room -= octets;
    }
}
