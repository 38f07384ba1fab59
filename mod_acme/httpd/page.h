/**
 * SetHandler acme-status: the status page, as HTML without scripts, as JSON
 * (doc/status.md) and for Prometheus. GET and HEAD alone. Of certificates that are
 * not shown only the state is looked at.
 *
 *   page.c       the request: what is asked for, which certificates that are
 *   page_html.c  HTML and its style sheet
 *   page_data.c  JSON, Prometheus
 */
#ifndef ACME_PAGE_H
#define ACME_PAGE_H

#include <httpd.h>

#include "engine/report.h"

#define ACME_PAGE_SIZE   50
#define ACME_PAGE_STATES 7

typedef struct acme_page_t {
    request_rec *r;
    const char *search;      /* part of a name, lower case; or "" */
    const char *certificate; /* this one alone; or "" */
    int state;               /* acme_state_t, or -1: any */
    int number, count;       /* of pages, from 1 */
    int total, matching;     /* certificates */
    int states[ACME_PAGE_STATES];
    apr_array_header_t *shown; /* const acme_managed_t * */
    apr_pool_t *scratch;       /* cleared for each certificate */
} acme_page_t;

int acme_page_handler(request_rec *r);
/** Path of a <Location> of the virtual host of r that has the page; NULL: none that
 *  can be told (patterns cannot). */
const char *acme_page_path(request_rec *r);

/** What there is to say of one. @param pool  of its remarks; NULL: without them */
void acme_page_read(acme_report_t *report, const acme_managed_t *managed,
                    apr_pool_t *pool);
/** And its time-line. */
void acme_page_read_all(acme_report_t *report, const acme_managed_t *managed,
                        apr_pool_t *pool);

void acme_page_html(const acme_page_t *page);
void acme_page_style(request_rec *r);
void acme_page_json(const acme_page_t *page);
void acme_page_prometheus(const acme_page_t *page);

#endif
