#include "httpd/status.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <mod_status.h>

#include "core/encode.h"
#include "engine/report.h"
#include "httpd/config.h"
#include "httpd/hits.h"
#include "httpd/live.h"
#include "httpd/page.h"
#include "httpd/reload.h"
#include "httpd/standstill.h"

/* One certificate of one family, on its way to the page. */
typedef struct row_t {
    const char *name; /* "shop.example/ecdsa" */
    acme_status_t status;
    const char *expiry; /* "2027-01-02T03:04:05Z", or "" */
    const char *next;   /* "renew at ...", or "" */
    const char *error;  /* with its number and remedy, or "" */
    const char *ca;     /* "zerossl (not letsencrypt: ...)", or "" */
    const char *limit;  /* what it is held back by, or "" */
    const char *window; /* "... to ...": when the CA suggests to renew, or "" */
} row_t;

static const char *next_text(const acme_status_t *status, apr_pool_t *pool)
{
    const char *action = status->next_action[0] ? status->next_action : "next";

    if (!status->next_time) {
        return status->next_action[0] ? status->next_action : "";
    }
    return apr_pstrcat(pool, action, ", ",
                       acme_time_format(status->next_time, pool), NULL);
}

static const char *error_text(const acme_status_t *status, apr_pool_t *pool)
{
    const acme_msg_entry_t *entry;

    if (!status->error_code) {
        return "";
    }
    entry = acme_msg_entry((acme_msg_t)status->error_code);
    return apr_psprintf(pool, "ACME%04d: %s%s%s", status->error_code,
                        acme_remarks(status)->error,
                        entry->remedy[0] ? ". " : "", entry->remedy);
}

static const char *ca_text(const acme_status_t *status, apr_pool_t *pool)
{
    return acme_remarks(status)->ca_why[0] && status->ca[0] ? apr_pstrcat(
               pool, status->ca, " (", acme_remarks(status)->ca_why, ")", NULL)
           : status->ca[0] ? apr_pstrdup(pool, status->ca)
                           : apr_pstrdup(pool, acme_remarks(status)->ca_why);
}

static const char *window_text(const acme_status_t *status, apr_pool_t *pool)
{
    return status->ari_start
               ? apr_pstrcat(pool, acme_time_format(status->ari_start, pool),
                             " to ", acme_time_format(status->ari_end, pool),
                             NULL)
               : "";
}

/* "50 certificates in 7 days for example.org, next possible at ...". */
static const char *limit_text(const acme_status_t *status, apr_pool_t *pool)
{
    return status->limit_until > apr_time_now()
               ? apr_pstrcat(pool, "the CA allows ",
                             acme_remarks(status)->limit, "; next possible at ",
                             acme_time_format(status->limit_until, pool), NULL)
               : "";
}

/* @return 0 where the table has no slot for it */
static int read_row(row_t *row, const acme_managed_t *managed,
                    acme_family_t family, apr_pool_t *pool)
{
    acme_live_table_t *table = acme_live_table();
    acme_slot_t *slot = table ? acme_live_slot(table, managed->name) : NULL;

    if (!acme_standstill_status(&row->status, managed, family, pool)) {
        if (!slot) {
            return 0;
        }
        acme_live_get_status(&row->status, slot, family, pool);
        acme_reload_amend(&row->status);
    }
    row->name =
        apr_pstrcat(pool, managed->name, "/", acme_family_name(family), NULL);
    row->expiry = row->status.not_after
                      ? acme_time_format(row->status.not_after, pool)
                      : "";
    row->next = next_text(&row->status, pool);
    row->error = error_text(&row->status, pool);
    row->ca = ca_text(&row->status, pool);
    row->limit = limit_text(&row->status, pool);
    row->window = window_text(&row->status, pool);
    return 1;
}

/* What is being written to; pool is cleared after each certificate, because
 * thousands must not pile up in one request. */
typedef struct page_t {
    request_rec *r;
    int flags;
    apr_pool_t *pool;
} page_t;

static void put_line(const page_t *page, const row_t *row, const char *key,
                     const char *value)
{
    if (*value) {
        ap_rvputs(page->r, "Acme[", row->name, "]", key, ": ",
                  acme_encode_printable(value, ACME_MAX_DETAIL, page->pool),
                  "\n", NULL);
    }
}

static void put_lines(const page_t *page, const row_t *row)
{
    put_line(page, row, "State", acme_state_name(row->status.state));
    put_line(page, row, "Expires", row->expiry);
    put_line(page, row, "Serial", row->status.serial);
    put_line(page, row, "Issuer", row->status.issuer);
    put_line(page, row, "CA", row->ca);
    put_line(page, row, "Waiting",
             acme_report_waiting(&row->status, page->pool));
    put_line(page, row, "Next", row->next);
    put_line(page, row, "Proof", row->status.proof);
    put_line(page, row, "Limit", row->limit);
    put_line(page, row, "Suggested", row->window);
    put_line(page, row, "Explanation", acme_remarks(&row->status)->ari_url);
    put_line(page, row, "LeftOut", acme_remarks(&row->status)->left_out);
    put_line(page, row, "KeyTLSA311", acme_remarks(&row->status)->tlsa);
    put_line(page, row, "NextKeyTLSA311",
             acme_remarks(&row->status)->tlsa_next);
    put_line(page, row, "Progress", row->status.progress);
    put_line(page, row, "Error", row->error);
    put_line(page, row, "Visit", acme_remarks(&row->status)->visit);
}

static const char *state_text(const row_t *row, apr_pool_t *pool)
{
    const char *state = acme_state_name(row->status.state);

    if (row->status.wait) {
        state = apr_pstrcat(pool, state, ", ",
                            acme_report_waiting(&row->status, pool), NULL);
    }
    if (row->status.progress[0]) {
        state = apr_pstrcat(pool, state, " (", row->status.progress, ")", NULL);
    }
    return acme_remarks(&row->status)->left_out[0]
               ? apr_pstrcat(pool, state, ", without ",
                             acme_remarks(&row->status)->left_out, NULL)
               : state;
}

static void put_cell(const page_t *page, const char *text)
{
    ap_rvputs(page->r, "<td>", acme_encode_html(text, page->pool), "</td>",
              NULL);
}

static void put_link(const page_t *page, const char *words, const char *url)
{
    if (acme_url_valid(url)) {
        const char *text = acme_encode_html(url, page->pool);
        ap_rvputs(page->r, "<br />", words, ": <a href=\"", text, "\">", text,
                  "</a>", NULL);
    }
}

/* What is next, and why the CA wants it so. */
static void put_next(const page_t *page, const row_t *row)
{
    ap_rvputs(page->r, "<td>", acme_encode_html(row->next, page->pool), NULL);
    if (*row->limit) {
        ap_rvputs(page->r, "<br />", acme_encode_html(row->limit, page->pool),
                  NULL);
    }
    put_link(page, "the CA explains", acme_remarks(&row->status)->ari_url);
    ap_rputs("</td>", page->r);
}

static void put_error(const page_t *page, const row_t *row)
{
    ap_rvputs(page->r, "<td>", acme_encode_html(row->error, page->pool), NULL);
    put_link(page, "see", *row->error ? acme_remarks(&row->status)->visit : "");
    ap_rputs("</td>", page->r);
}

static void put_table_row(const page_t *page, const row_t *row)
{
    ap_rputs("<tr>", page->r);
    put_cell(page, row->name);
    put_cell(page, state_text(row, page->pool));
    put_cell(page, row->ca);
    put_cell(page, row->expiry);
    put_next(page, row);
    put_cell(page, row->status.proof);
    put_error(page, row);
    ap_rputs("</tr>\n", page->r);
}

static void put_paragraph(const page_t *page, const row_t *row)
{
    const char *text = apr_pstrcat(
        page->pool, row->name, ": ", state_text(row, page->pool),
        *row->ca ? ", from " : "", row->ca, *row->expiry ? ", expires " : "",
        row->expiry, *row->next ? ", " : "", row->next, *row->limit ? ", " : "",
        row->limit,
        acme_remarks(&row->status)->ari_url[0] ? ", the CA explains: " : "",
        acme_remarks(&row->status)->ari_url,
        *row->status.proof ? ", proved by " : "", row->status.proof,
        *row->error ? ", last error " : "", row->error, NULL);

    ap_rvputs(page->r, "<p>", acme_encode_html(text, page->pool), "</p>\n",
              NULL);
}

/* What came to validate. A line for each visit: time, kind, peer, name; what was
 * answered by whom. */
static void put_hits(const page_t *page, const acme_managed_t *managed)
{
    acme_hit_t hits[ACME_MAX_HITS];
    int i, j, count;

    for (i = 0; i < managed->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(managed->idents, i, const acme_ident_t *);

        count = acme_hits_read(hits, NULL, acme_hits(), ident, 0);
        for (j = 0; j < count; j++) {
            ap_rvputs(page->r, "AcmeHit[", ident->value,
                      "]: ", acme_time_format(hits[j].time, page->pool), " ",
                      acme_hit_text(&hits[j], page->pool), "\n", NULL);
        }
    }
}

static void put_certificate(const page_t *page, const acme_managed_t *managed)
{
    const acme_policy_t *policy = managed->policy;
    int i;

    for (i = 0; i < policy->key_type_count; i++) {
        row_t row;

        if (!read_row(&row, managed, acme_key_family(policy->key_types[i]),
                      page->pool)) {
            continue;
        }
        if (page->flags & AP_STATUS_SHORT) {
            put_lines(page, &row);
        }
        else if (page->flags & AP_STATUS_NOTABLE) {
            put_paragraph(page, &row);
        }
        else {
            put_table_row(page, &row);
        }
    }
    if (page->flags & AP_STATUS_SHORT) {
        put_hits(page, managed);
    }
}

static void put_head(const page_t *page, int count)
{
    const char *path = acme_page_path(page->r);

    if (page->flags & AP_STATUS_SHORT) {
        ap_rprintf(page->r, "AcmeCertificates: %d\n", count);
        return;
    }
    ap_rputs("<hr />\n<h2 id=\"acme\">Certificates of mod_acme</h2>\n",
             page->r);
    if (path) {
        ap_rvputs(
            page->r, "<p><a href=\"",
            acme_encode_html(ap_escape_uri(page->pool, path), page->pool),
            "\">More of each</a>, with search, JSON and Prometheus.</p>\n",
            NULL);
    }
    else {
        ap_rputs("<p>More of each, with search, JSON and Prometheus, where a "
                 "<code>&lt;Location&gt;</code> has <code>SetHandler "
                 "acme-status</code>.</p>\n",
                 page->r);
    }
    if (!(page->flags & AP_STATUS_NOTABLE)) {
        ap_rputs("<table border=\"0\"><tr><th>Certificate</th><th>State</th>"
                 "<th>CA</th><th>Expires</th><th>Next</th>"
                 "<th>Proved by</th><th>Last error</th></tr>\n",
                 page->r);
    }
}

int acme_status_section(request_rec *r, int flags)
{
    const acme_global_config_t *global = acme_config_global();
    const apr_array_header_t *managed = global ? global->managed : NULL;
    page_t page = { r, flags, NULL };
    int i;

    if (!managed || !managed->nelts || !global->status) {
        return DECLINED;
    }
    apr_pool_create(&page.pool, r->pool);
    put_head(&page, managed->nelts);
    for (i = 0; i < managed->nelts; i++) {
        put_certificate(&page, APR_ARRAY_IDX(managed, i, acme_managed_t *));
        apr_pool_clear(page.pool);
    }
    if (!(flags & (AP_STATUS_SHORT | AP_STATUS_NOTABLE))) {
        ap_rputs("</table>\n", r);
    }
    apr_pool_destroy(page.pool);
    return OK;
}
