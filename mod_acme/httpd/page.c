#include "httpd/page.h"

#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>

#include "httpd/config.h"
#include "httpd/live.h"
#include "httpd/reload.h"
#include "httpd/standstill.h"

#define HANDLER  "acme-status"
#define MAX_WORD 255 /* octets of a search */

/* --- what is asked for ---------------------------------------------------------- */

/* A part of the query string, decoded; "" if it is not there. */
static const char *argument(const request_rec *r, const char *name)
{
    char *rest = apr_pstrdup(r->pool, r->args ? r->args : ""), *part;
    apr_size_t len = strlen(name);

    while ((part = apr_strtok(rest, "&", &rest))) {
        if (!strncmp(part, name, len) && part[len] == '=') {
            char *value = part + len + 1;

            for (part = value; *part; part++) {
                *part = *part == '+' ? ' ' : *part;
            }
            return ap_unescape_url(value) == OK && strlen(value) <= MAX_WORD
                       ? value
                       : "";
        }
    }
    return "";
}

static int state_of(const char *name)
{
    int i;

    for (i = 0; i < ACME_PAGE_STATES; i++) {
        if (!strcmp(name, acme_state_name(i))) {
            return i;
        }
    }
    return -1;
}

static void read_query(acme_page_t *page)
{
    char *search = apr_pstrdup(page->r->pool, argument(page->r, "search"));

    ap_str_tolower(search);
    page->search = search;
    page->certificate = argument(page->r, "certificate");
    page->state = state_of(argument(page->r, "state"));
    page->number = atoi(argument(page->r, "page"));
}

/* --- which certificates that are -------------------------------------------------- */

void acme_page_read(acme_report_t *report, const acme_managed_t *managed,
                    apr_pool_t *pool)
{
    const acme_live_table_t *table = acme_live_table();
    const acme_slot_t *slot =
        table ? acme_live_slot(table, managed->name) : NULL;
    int i;

    memset(report->event_counts, 0, sizeof(report->event_counts));
    memset(report->keys, 0, sizeof(report->keys));
    report->managed = managed;
    report->key_count = managed->policy->key_type_count;
    for (i = 0; i < report->key_count; i++) {
        acme_family_t family = acme_key_family(managed->policy->key_types[i]);

        report->types[i] = managed->policy->key_types[i];
        if (!acme_standstill_status(&report->keys[i], managed, family, pool)
            && slot) {
            acme_live_get_status(&report->keys[i], slot, family, pool);
            acme_reload_amend(&report->keys[i]);
        }
    }
}

void acme_page_read_all(acme_report_t *report, const acme_managed_t *managed,
                        apr_pool_t *pool)
{
    const acme_live_table_t *table = acme_live_table();
    const acme_slot_t *slot =
        table ? acme_live_slot(table, managed->name) : NULL;
    int i;

    acme_page_read(report, managed, pool);
    for (i = 0; slot && i < report->key_count; i++) {
        report->event_counts[i] = acme_live_events(
            report->events[i], slot, acme_key_family(report->types[i]));
    }
}

/* One that is in trouble in one of its keys is in trouble. */
static acme_state_t state_of_all(const acme_managed_t *managed)
{
    static const int GRAVITY[ACME_PAGE_STATES] = {
        [ACME_STATE_ERROR] = 6,    [ACME_STATE_WAITING] = 5,
        [ACME_STATE_ORDERING] = 4, [ACME_STATE_RENEWING] = 3,
        [ACME_STATE_UNKNOWN] = 2,  [ACME_STATE_MANUAL] = 1,
        [ACME_STATE_VALID] = 0,
    };
    acme_report_t report;
    acme_state_t worst;
    int i;

    acme_page_read(&report, managed, NULL);
    worst = report.keys[0].state;
    for (i = 1; i < report.key_count; i++) {
        if (GRAVITY[report.keys[i].state] > GRAVITY[worst]) {
            worst = report.keys[i].state;
        }
    }
    return worst;
}

static int has_word(const acme_managed_t *managed, const char *word)
{
    int i;

    for (i = 0; i < managed->idents->nelts; i++) {
        if (strstr(APR_ARRAY_IDX(managed->idents, i, acme_ident_t *)->value,
                   word)) {
            return 1;
        }
    }
    return 0;
}

static int has_name(const acme_managed_t *managed, const char *name)
{
    int i;

    for (i = 0; i < managed->idents->nelts; i++) {
        if (!ap_cstr_casecmp(
                APR_ARRAY_IDX(managed->idents, i, acme_ident_t *)->value,
                name)) {
            return 1;
        }
    }
    return 0;
}

static int matches(const acme_page_t *page, const acme_managed_t *managed,
                   acme_state_t state)
{
    if (*page->certificate) {
        return !strcmp(page->certificate, managed->name)
               || has_name(managed, page->certificate);
    }
    return (page->state < 0 || (int)state == page->state)
           && (!*page->search || has_word(managed, page->search));
}

static void select_certificates(acme_page_t *page)
{
    const acme_global_config_t *global = acme_config_global();
    const apr_array_header_t *managed = global ? global->managed : NULL;
    apr_array_header_t *found;
    int i, from;

    page->total = managed ? managed->nelts : 0;
    found = apr_array_make(page->r->pool, page->total + 1,
                           sizeof(const acme_managed_t *));
    for (i = 0; i < page->total; i++) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        acme_state_t state = state_of_all(one);

        page->states[state]++;
        if (matches(page, one, state)) {
            APR_ARRAY_PUSH(found, const acme_managed_t *) = one;
        }
    }
    page->matching = found->nelts;
    page->count = (found->nelts + ACME_PAGE_SIZE - 1) / ACME_PAGE_SIZE;
    page->count = page->count ? page->count : 1;
    page->number = page->number < 1             ? 1
                   : page->number > page->count ? page->count
                                                : page->number;
    from = (page->number - 1) * ACME_PAGE_SIZE;
    page->shown = found;
    found->elts += from * found->elt_size;
    found->nelts -= from;
    if (found->nelts > ACME_PAGE_SIZE) {
        found->nelts = ACME_PAGE_SIZE;
    }
}

/* --- the request -------------------------------------------------------------------- */

static void set_headers(request_rec *r)
{
    apr_table_t *out = r->headers_out;

    apr_table_setn(out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'self'; form-action 'self'; "
                   "base-uri 'none'; frame-ancestors 'none'");
    apr_table_setn(out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(out, "X-Frame-Options", "DENY");
    apr_table_setn(out, "Referrer-Policy", "no-referrer");
    apr_table_setn(out, "Cross-Origin-Resource-Policy", "same-origin");
    apr_table_setn(out, "Cache-Control", "no-store");
}

static int answer(acme_page_t *page, const char *format)
{
    request_rec *r = page->r;

    read_query(page);
    apr_pool_create(&page->scratch, r->pool);
    if (!strcmp(format, "json")) {
        ap_set_content_type(r, "application/json");
        select_certificates(page);
        acme_page_json(page);
    }
    else if (!strcmp(format, "prometheus")) {
        ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
        acme_page_prometheus(page);
    }
    else if (!strcmp(format, "css")) {
        ap_set_content_type(r, "text/css; charset=utf-8");
        acme_page_style(r);
    }
    else if (!*format || !strcmp(format, "html")) {
        ap_set_content_type(r, "text/html; charset=utf-8");
        select_certificates(page);
        acme_page_html(page);
    }
    else {
        return HTTP_BAD_REQUEST;
    }
    return OK;
}

/* SetHandler's word is an expression, mostly a constant one. */
static int has_page(request_rec *r, const core_dir_config *section)
{
    const char *error = NULL, *handler = section->handler;

    if (section->expr_handler) {
        handler = ap_expr_str_exec(r, section->expr_handler, &error);
    }
    return handler && !error && !strcmp(handler, HANDLER);
}

const char *acme_page_path(request_rec *r)
{
    const core_server_config *core =
        ap_get_core_module_config(r->server->module_config);
    int i;

    for (i = 0; i < core->sec_url->nelts; i++) {
        const core_dir_config *section = ap_get_core_module_config(
            APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *));

        if (section->d && !section->r && !section->d_is_fnmatch
            && has_page(r, section)) {
            return section->d;
        }
    }
    return NULL;
}

int acme_page_handler(request_rec *r)
{
    acme_page_t page = { .r = r };

    if (!r->handler || strcmp(r->handler, HANDLER)) {
        return DECLINED;
    }
    r->allowed = AP_METHOD_BIT << M_GET;
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    set_headers(r);
    return answer(&page, argument(r, "format"));
}
