/* The status for programs: JSON and Prometheus' text format. */
#include "httpd/page.h"

#include <string.h>

#include <apr_strings.h>
#include <http_protocol.h>

#include "core/encode.h"
#include "httpd/config.h"
#include "httpd/hits.h"

static json_t *visits(const acme_managed_t *managed, apr_pool_t *scratch)
{
    json_t *list = json_array();
    int i, j, failed = 0;

    for (i = 0; i < managed->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(managed->idents, i, const acme_ident_t *);
        acme_hit_t hits[ACME_MAX_HITS];
        int count = acme_hits_read(hits, NULL, acme_hits(), ident, 0);

        for (j = 0; j < count; j++) {
            failed |= json_array_append_new(
                list, acme_report_hit(ident, &hits[j], scratch));
        }
    }
    if (failed) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static void put_json(const acme_page_t *page, const acme_managed_t *managed)
{
    acme_report_t report;
    json_t *json;
    const char *text;

    acme_page_read_all(&report, managed, page->scratch);
    json = acme_report_json(&report, page->scratch);
    if (json_object_set_new(json, "visits", visits(managed, page->scratch))) {
        json_decref(json);
        json = NULL;
    }
    text =
        acme_json_text(json, JSON_COMPACT | JSON_ENSURE_ASCII, page->scratch);
    ap_rputs(text ? text : "null", page->r);
    apr_pool_clear(page->scratch);
}

void acme_page_json(const acme_page_t *page)
{
    int i;

    ap_rprintf(page->r,
               "{\"version\":%d,\"time\":\"%s\",\"total\":%d,"
               "\"matching\":%d,\"page\":%d,\"pages\":%d,\"states\":{",
               ACME_REPORT_VERSION,
               acme_time_format(page->r->request_time, page->r->pool),
               page->total, page->matching, page->number, page->count);
    for (i = 0; i < ACME_PAGE_STATES; i++) {
        ap_rprintf(page->r, "%s\"%s\":%d", i ? "," : "", acme_state_name(i),
                   page->states[i]);
    }
    ap_rputs("},\"certificates\":[", page->r);
    for (i = 0; i < page->shown->nelts; i++) {
        ap_rputs(i ? ",\n" : "\n", page->r);
        put_json(page, APR_ARRAY_IDX(page->shown, i, const acme_managed_t *));
    }
    ap_rputs("]}\n", page->r);
}

/* --- Prometheus ------------------------------------------------------------------ */

typedef apr_int64_t value_of(const acme_status_t *status);

static apr_int64_t not_after(const acme_status_t *status)
{
    return apr_time_sec(status->not_after);
}

static apr_int64_t served_not_after(const acme_status_t *status)
{
    return apr_time_sec(status->served_not_after);
}

static apr_int64_t waits(const acme_status_t *status)
{
    return status->wait != ACME_WAIT_NONE;
}

static apr_int64_t next_time(const acme_status_t *status)
{
    return apr_time_sec(status->next_time);
}

static apr_int64_t failures(const acme_status_t *status)
{
    return status->failures;
}

static apr_int64_t error_code(const acme_status_t *status)
{
    return status->error_code;
}

/* Backslash, quote and line feed; other control characters there are none of. */
static const char *escape_label(const char *value, apr_pool_t *pool)
{
    const char *text = acme_encode_printable(value, ACME_MAX_DETAIL, pool);
    char *out = apr_palloc(pool, 2 * strlen(text) + 1), *at = out;

    for (; *text; text++) {
        if (*text == '\\' || *text == '"') {
            *at++ = '\\';
        }
        *at++ = *text;
    }
    *at = '\0';
    return out;
}

static void put_metric(const acme_page_t *page, const char *name,
                       const char *help, value_of *value)
{
    const apr_array_header_t *managed = acme_config_global()->managed;
    int i, j;

    ap_rvputs(page->r, "# HELP ", name, " ", help, "\n# TYPE ", name,
              " gauge\n", NULL);
    for (i = 0; managed && i < managed->nelts; i++) {
        acme_report_t report;

        acme_page_read(&report, APR_ARRAY_IDX(managed, i, acme_managed_t *),
                       NULL);
        for (j = 0; j < report.key_count; j++) {
            ap_rprintf(
                page->r,
                "%s{certificate=\"%s\",key_type=\"%s\"} %" APR_INT64_T_FMT "\n",
                name, escape_label(report.managed->name, page->scratch),
                acme_key_type_name(report.types[j]), value(&report.keys[j]));
        }
        apr_pool_clear(page->scratch);
    }
}

static void put_states(const acme_page_t *page)
{
    const char *name = "acme_certificate_state";
    const apr_array_header_t *managed = acme_config_global()->managed;
    int i, j;

    ap_rvputs(page->r, "# HELP ", name,
              " 1, labelled with the state of the certificate.\n# TYPE ", name,
              " gauge\n", NULL);
    for (i = 0; managed && i < managed->nelts; i++) {
        acme_report_t report;

        acme_page_read(&report, APR_ARRAY_IDX(managed, i, acme_managed_t *),
                       NULL);
        for (j = 0; j < report.key_count; j++) {
            ap_rvputs(page->r, name, "{certificate=\"",
                      escape_label(report.managed->name, page->scratch),
                      "\",key_type=\"", acme_key_type_name(report.types[j]),
                      "\",state=\"", acme_state_name(report.keys[j].state),
                      "\"} 1\n", NULL);
        }
        apr_pool_clear(page->scratch);
    }
}

void acme_page_prometheus(const acme_page_t *page)
{
    put_states(page);
    put_metric(page, "acme_certificate_not_after_timestamp_seconds",
               "End of the certificate, 0 if there is none yet.", not_after);
    put_metric(page, "acme_certificate_served_not_after_timestamp_seconds",
               "End of the certificate that visitors are shown, 0 if they are "
               "shown the placeholder.",
               served_not_after);
    put_metric(page, "acme_certificate_waiting",
               "1 while the newest certificate is not in service yet.", waits);
    put_metric(page, "acme_certificate_next_action_timestamp_seconds",
               "When something is next done for it, 0 if nothing is planned.",
               next_time);
    put_metric(page, "acme_certificate_failures",
               "Attempts that failed in a row.", failures);
    put_metric(page, "acme_certificate_error_code",
               "Number of the last error's message, 0 without one.",
               error_code);
}
