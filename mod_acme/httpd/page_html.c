/* The status for people. Whatever comes from elsewhere is printable, escaped text;
 * of addresses only https is made a link. */
#include "httpd/page.h"

#include <string.h>

#include <apr_strings.h>
#include <http_protocol.h>

#include "core/encode.h"
#include "httpd/hits.h"

static const char STYLE[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#1c2430;"
    "--soft:#566072;--line:#d9dee6;--link:#0b57b0;--ok:#0f6b3a;--okbg:#e2f4e9;"
    "--busy:#0b57b0;--busybg:#e3eefb;--bad:#a4161a;--badbg:#fce8e8;"
    "--calm:#4a5364;--calmbg:#e9ecf1}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b212a;"
    "--text:#e6eaf0;--soft:#a5b0c0;--line:#333c49;--link:#8abaff;--ok:#7fdca4;"
    "--okbg:#143524;--busy:#9cc5ff;--busybg:#172f4f;--bad:#ff9c9c;"
    "--badbg:#47191b;--calm:#c0c8d4;--calmbg:#2a323d}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);"
    "color:var(--text);font:16px/1.5 system-ui,sans-serif}\n"
    "header,main,footer{max-width:64rem;margin:0 auto;padding:0 1rem}"
    "h1{font-size:1.5rem;margin:1.5rem 0 .25rem}p{margin:.25rem 0}"
    "a{color:var(--link)}.soft,footer{color:var(--soft)}"
    "footer{font-size:.875rem;padding:1rem}\n"
    "form{display:flex;flex-wrap:wrap;gap:.75rem;align-items:end;"
    "margin:1rem 0}label{display:block;font-size:.875rem;color:var(--soft)}"
    "input,select,button{font:inherit;color:inherit;background:var(--card);"
    "border:1px solid var(--soft);border-radius:.4rem;padding:.4rem .6rem;"
    "height:2.5rem;margin:0;"
    "max-width:100%}button{cursor:pointer}"
    ":focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
    "article{background:var(--card);border:1px solid var(--line);"
    "border-radius:.6rem;padding:1rem;margin:1rem 0;overflow-wrap:anywhere}"
    "h2{font-size:1.125rem;margin:0}h3{font-size:1rem;margin:1rem 0 .25rem;"
    "display:flex;gap:.5rem;align-items:center}"
    "dl{display:grid;grid-template-columns:9rem 1fr;gap:.25rem 1rem;margin:0}"
    "dt{color:var(--soft)}dd{margin:0}ul{margin:0;padding-left:1.2rem}"
    "@media(max-width:36rem){dl{grid-template-columns:1fr;gap:0}"
    "dd{margin-bottom:.5rem}}\n"
    ".state{font-size:.8125rem;font-weight:600;border-radius:1rem;"
    "padding:.1rem .6rem;color:var(--calm);background:var(--calmbg)}"
    ".valid{color:var(--ok);background:var(--okbg)}"
    ".ordering,.renewing{color:var(--busy);background:var(--busybg)}"
    ".error{color:var(--bad);background:var(--badbg)}"
    ".trouble{color:var(--bad)}nav{display:flex;gap:1rem;margin:1rem 0}\n";

void acme_page_style(request_rec *r)
{
    ap_rputs(STYLE, r);
}

/* Safe between tags and within quotes. */
static const char *safe(const acme_page_t *page, const char *text)
{
    return acme_encode_html(
        acme_encode_printable(text, ACME_MAX_DETAIL, page->scratch),
        page->scratch);
}

static void put(const acme_page_t *page, const char *name, const char *text)
{
    if (*text) {
        ap_rvputs(page->r, "<dt>", name, "</dt><dd>", safe(page, text),
                  "</dd>\n", NULL);
    }
}

static void put_link(const acme_page_t *page, const char *name, const char *url)
{
    const char *text = safe(page, url);

    if (acme_url_valid(url)) {
        ap_rvputs(page->r, "<dt>", name,
                  "</dt><dd><a rel=\"noreferrer\" href=\"", text, "\">", text,
                  "</a></dd>\n", NULL);
    }
}

/* "in 12 days", "2 hours ago", "now" */
static const char *distance(const acme_page_t *page, apr_time_t time)
{
    apr_int64_t left = apr_time_sec(time - page->r->request_time);
    apr_int64_t size = left < 0 ? -left : left;
    apr_int64_t unit = size >= 172800 ? 86400
                       : size >= 7200 ? 3600
                       : size >= 120  ? 60
                                      : 1;
    const char *word = unit == 86400  ? "days"
                       : unit == 3600 ? "hours"
                       : unit == 60   ? "minutes"
                       : size == 1    ? "second"
                                      : "seconds";
    const char *number =
        apr_psprintf(page->scratch, "%" APR_INT64_T_FMT, size / unit);

    return !size ? "now"
                 : apr_pstrcat(page->scratch, left < 0 ? "" : "in ", number,
                               " ", word, left < 0 ? " ago" : "", NULL);
}

/* "2026-12-01T02:03:04Z (in 12 days)" */
static const char *moment(const acme_page_t *page, apr_time_t time)
{
    return apr_pstrcat(page->scratch, acme_time_format(time, page->scratch),
                       " (", distance(page, time), ")", NULL);
}

/* --- one certificate -------------------------------------------------------------- */

/* "renew in 12 days, 2026-12-01T02:03:04Z: when the CA suggests it" */
static const char *next_text(const acme_page_t *page,
                             const acme_status_t *status)
{
    const char *why = acme_report_why(status);

    return status->next_time
               ? apr_pstrcat(page->scratch,
                             acme_report_action(status, page->scratch), " ",
                             distance(page, status->next_time), ", ",
                             acme_time_format(status->next_time, page->scratch),
                             *why ? ": " : "", why, NULL)
               : status->next_action;
}

static void put_error(const acme_page_t *page, const acme_status_t *status)
{
    const acme_msg_entry_t *entry =
        acme_msg_entry((acme_msg_t)status->error_code);

    if (!status->error_code) {
        return;
    }
    ap_rvputs(page->r, "<dt>Last error</dt><dd><span class=\"trouble\">",
              acme_report_error_code(status, page->scratch), ": ",
              safe(page, acme_remarks(status)->error), "</span><br>",
              safe(page, entry->remedy), "</dd>\n", NULL);
    put(page, "At", moment(page, status->error_time));
    put_link(page, "The CA says see", acme_remarks(status)->visit);
}

static void put_limit(const acme_page_t *page, const acme_status_t *status)
{
    if (status->limit_until > page->r->request_time) {
        put(page, "Limit of the CA", acme_remarks(status)->limit);
        put(page, "Next possible", moment(page, status->limit_until));
    }
}

/* A certificate that is there, and not shown to visitors yet. */
static void put_waiting(const acme_page_t *page, const acme_status_t *status)
{
    const char *until =
        status->served_not_after ? moment(page, status->served_not_after) : "";

    if (status->wait) {
        put(page, "Activation", acme_report_waiting(status, page->scratch));
        put(page, "Served until then",
            status->served_number
                ? apr_psprintf(page->scratch, "set %d, valid until %s",
                               status->served_number, until)
                : "the placeholder");
    }
}

static void put_key(const acme_page_t *page, acme_key_type_t type,
                    const acme_status_t *status)
{
    const char *state = acme_state_name(status->state);

    ap_rvputs(page->r, "<h3>", acme_key_type_name(type),
              " <span class=\"state ", state, "\">", state,
              "</span></h3>\n<dl>\n", NULL);
    put(page, "In progress", status->progress);
    put(page, "Issued by", status->issuer);
    put(page, "CA", status->ca);
    put(page, "Not the first CA", acme_remarks(status)->ca_why);
    if (status->not_after) {
        put(page, "Valid from", moment(page, status->not_before));
        put(page, "Valid until", moment(page, status->not_after));
    }
    put_waiting(page, status);
    put(page, "Next", next_text(page, status));
    put_limit(page, status);
    if (status->ari_start) {
        put(page, "The CA suggests",
            apr_pstrcat(page->scratch, moment(page, status->ari_start), " to ",
                        moment(page, status->ari_end), NULL));
    }
    put_link(page, "The CA explains", acme_remarks(status)->ari_url);
    put(page, "Proved by", status->proof);
    put(page, "Left out", acme_remarks(status)->left_out);
    put_error(page, status);
    put(page, "Serial", status->serial);
    put(page, "TLSA 3 1 1", acme_remarks(status)->tlsa);
    put(page, "TLSA, next key", acme_remarks(status)->tlsa_next);
    ap_rputs("</dl>\n", page->r);
}

static void put_events(const acme_page_t *page, const acme_event_t *events,
                       int count)
{
    int i;

    if (!count) {
        return;
    }
    ap_rputs("<details><summary>Time-line of the last orders</summary>\n<ol>\n",
             page->r);
    for (i = 0; i < count; i++) {
        ap_rvputs(page->r, "<li>",
                  acme_time_format(events[i].time, page->scratch), " ",
                  safe(page, events[i].text), "</li>\n", NULL);
    }
    ap_rputs("</ol></details>\n", page->r);
}

static void put_visits(const acme_page_t *page, const acme_managed_t *managed)
{
    int i, j, any = 0;

    for (i = 0; i < managed->idents->nelts; i++) {
        acme_hit_t hits[ACME_MAX_HITS];
        int more,
            count = acme_hits_read(
                hits, &more, acme_hits(),
                APR_ARRAY_IDX(managed->idents, i, const acme_ident_t *), 0);

        for (j = 0; j < count; j++) {
            ap_rputs(any++ ? ""
                           : "<h3>Validation requests seen here</h3>\n<ul>\n",
                     page->r);
            ap_rvputs(page->r, "<li>",
                      acme_time_format(hits[j].time, page->scratch), " ",
                      safe(page, acme_hit_text(&hits[j], page->scratch)),
                      "</li>\n", NULL);
        }
        if (more) {
            ap_rprintf(page->r, "<li>and %d more for something else</li>\n",
                       more);
        }
    }
    ap_rputs(any ? "</ul>\n" : "", page->r);
}

static void put_certificate(const acme_page_t *page,
                            const acme_managed_t *managed)
{
    acme_report_t report;
    int i;

    acme_page_read_all(&report, managed, page->scratch);
    ap_rvputs(
        page->r, "<article>\n<h2><a href=\"?certificate=",
        ap_escape_urlencoded(page->scratch, managed->name), "\">",
        safe(page, managed->name), "</a></h2>\n<p class=\"soft\">",
        safe(page, acme_idents_text(managed->idents,
                                    *page->certificate ? ACME_MAX_IDENTS : 5,
                                    page->scratch)),
        managed->in_use ? "" : "; no virtual host uses it", "</p>\n", NULL);
    for (i = 0; i < report.key_count; i++) {
        put_key(page, report.types[i], &report.keys[i]);
        put_events(page, report.events[i], report.event_counts[i]);
    }
    put_visits(page, managed);
    ap_rputs("</article>\n", page->r);
    apr_pool_clear(page->scratch);
}

/* --- around them ------------------------------------------------------------------ */

static void put_form(const acme_page_t *page)
{
    int i;

    ap_rvputs(page->r,
              "<form method=\"get\" role=\"search\"><div><label for=\"search\">"
              "Name contains</label><input id=\"search\" name=\"search\" "
              "type=\"search\" maxlength=\"255\" value=\"",
              safe(page, page->search),
              "\"></div><div><label for=\"state\">State</label><select "
              "id=\"state\" name=\"state\"><option value=\"\">any</option>",
              NULL);
    for (i = 0; i < ACME_PAGE_STATES; i++) {
        ap_rprintf(page->r, "<option value=\"%s\"%s>%s (%d)</option>",
                   acme_state_name(i), i == page->state ? " selected" : "",
                   acme_state_name(i), page->states[i]);
    }
    ap_rputs("</select></div><button type=\"submit\">Show</button></form>\n",
             page->r);
}

static void put_page_link(const acme_page_t *page, int number,
                          const char *words)
{
    if (number < 1 || number > page->count) {
        return;
    }
    ap_rprintf(
        page->r, "<a href=\"?search=%s&amp;state=%s&amp;page=%d\">%s</a>\n",
        ap_escape_urlencoded(page->scratch, page->search),
        page->state < 0 ? "" : acme_state_name(page->state), number, words);
}

static void put_head(const acme_page_t *page)
{
    ap_rputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
             "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
             "content=\"width=device-width, initial-scale=1\">\n"
             "<title>Certificates</title>\n"
             "<link rel=\"stylesheet\" href=\"?format=css\">\n</head>\n<body>\n"
             "<header>\n<h1>Certificates</h1>\n",
             page->r);
    ap_rprintf(page->r, "<p class=\"soft\">%d managed, %d valid, ", page->total,
               page->states[ACME_STATE_VALID]);
    ap_rprintf(page->r,
               page->states[ACME_STATE_ERROR]
                   ? "<a href=\"?state=error\">%d in trouble</a></p>\n"
                   : "%d in trouble</p>\n",
               page->states[ACME_STATE_ERROR]);
    if (*page->certificate) {
        ap_rputs("<p><a href=\"?\">All certificates</a></p>\n", page->r);
    }
    else {
        put_form(page);
    }
    ap_rputs("</header>\n<main>\n", page->r);
}

static void put_pages(const acme_page_t *page)
{
    ap_rputs("<nav aria-label=\"Pages\">\n", page->r);
    put_page_link(page, page->number - 1, "Previous page");
    ap_rprintf(page->r, "<span>Page %d of %d</span>\n", page->number,
               page->count);
    put_page_link(page, page->number + 1, "Next page");
    ap_rputs("</nav>\n", page->r);
}

void acme_page_html(const acme_page_t *page)
{
    int i;

    put_head(page);
    if (!page->shown->nelts) {
        ap_rputs(page->total ? "<p>No certificate is like that.</p>\n"
                             : "<p>No certificates are managed: write "
                               "AcmeManage on into a virtual host.</p>\n",
                 page->r);
    }
    for (i = 0; i < page->shown->nelts; i++) {
        put_certificate(page,
                        APR_ARRAY_IDX(page->shown, i, const acme_managed_t *));
    }
    if (page->count > 1) {
        put_pages(page);
    }
    ap_rvputs(page->r, "</main>\n<footer>",
              acme_time_format(page->r->request_time, page->scratch),
              "; also as <a href=\"?format=json\">JSON</a> and for "
              "<a href=\"?format=prometheus\">Prometheus</a></footer>\n"
              "</body>\n</html>\n",
              NULL);
}
