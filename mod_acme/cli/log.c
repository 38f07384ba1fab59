/* acmectl log: the audit trail, shown and verified. */
#include "cli/acmectl.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/trail.h"
#include "engine/audit.h"

#define MOST 1000000

/* The last so many lines; or none is dropped. */
typedef struct shown_t {
    ctl_t *ctl;
    char **lines; /* a ring */
    long room, count;
    const char *subject; /* NULL: every one */
    int json;
    int any; /* about the subject */
} shown_t;

static const char *text_of(const json_t *doc, const char *name,
                           apr_pool_t *pool)
{
    const char *text = acme_json_string(doc, name);

    return text ? acme_encode_printable(text, ACME_MAX_DETAIL, pool) : "";
}

/* Of a certificate also what is said of one of its key types. */
static int is_about(const json_t *doc, const char *subject)
{
    const char *text = acme_json_string(doc, "subject");
    size_t len = strlen(subject);

    return text && !strncasecmp(text, subject, len)
           && (!text[len] || text[len] == '/');
}

static void put_line(const shown_t *shown, const char *line)
{
    apr_pool_t *pool;
    json_t *doc;

    apr_pool_create(&pool, shown->ctl->pool);
    acme_err_t *err =
        acme_json_parse(&doc, line, strlen(line), 16384, "audit trail", pool);
    if (shown->json) {
        puts(line);
    }
    else if (!err) {
        printf("%s  %-10s  %s%s%s\n", text_of(doc, "time", pool),
               text_of(doc, "event", pool), text_of(doc, "subject", pool),
               *text_of(doc, "subject", pool) ? ": " : "",
               text_of(doc, "text", pool));
    }
    apr_pool_destroy(pool);
}

static int is_wanted(shown_t *shown, const char *line)
{
    apr_pool_t *pool;
    json_t *doc;
    int wanted = 1;

    if (shown->subject) {
        apr_pool_create(&pool, shown->ctl->pool);
        acme_err_t *err = acme_json_parse(&doc, line, strlen(line), 16384,
                                          "audit trail", pool);
        wanted = !err && is_about(doc, shown->subject);
        shown->any |= wanted;
        apr_pool_destroy(pool);
    }
    return wanted;
}

static void take_line(void *baton, const char *line)
{
    shown_t *shown = baton;
    char **place;

    if (!is_wanted(shown, line)) {
        return;
    }
    if (!shown->room) {
        put_line(shown, line);
        return;
    }
    place = &shown->lines[shown->count++ % shown->room];
    free(*place);
    *place = strdup(line);
}

static void put_kept(shown_t *shown)
{
    long first = shown->count > shown->room ? shown->count - shown->room : 0;

    for (long i = first; shown->room && i < shown->count; i++) {
        char *line = shown->lines[i % shown->room];
        if (line) {
            put_line(shown, line);
            free(line);
        }
    }
}

/* Whoever looks into the directory could take it for one. */
static void tell_strangers(ctl_t *ctl)
{
    apr_array_header_t *paths;
    acme_err_t *err =
        acme_store_list_audit_strangers(&paths, ctl->store, ctl->pool);

    if (err) {
        ctl_say_error(err, ctl->pool);
    }
    else if (paths->nelts) {
        const char *first = acme_encode_printable(
            APR_ARRAY_IDX(paths, 0, const char *), ACME_MAX_DETAIL, ctl->pool);
        ctl_say(ctl, ACME_W_AUDIT_STRANGER,
                paths->nelts == 1 ? first
                                  : apr_psprintf(ctl->pool, "%s and %d more",
                                                 first, paths->nelts - 1),
                NULL);
    }
}

static ctl_exit_t verify(ctl_t *ctl, const acme_audit_report_t *report)
{
    acme_err_t *err = acme_audit_anchor(ctl->store, report, ctl->pool);

    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    if (!report->last) {
        puts("the audit trail is empty");
        return CTL_DONE;
    }
    printf(
        "the audit trail holds together: entries %ld to %ld%s\n",
        (long)report->first, (long)report->last,
        report->torn ? apr_psprintf(
            ctl->pool, ", and %d that their writer was killed in", report->torn)
                     : "");
    if (report->accepted.time) {
        printf("up to entry %ld it was accepted as it is by %s, at %s: %s\n",
               (long)report->accepted.seq, report->accepted.by,
               report->accepted.time, report->accepted.fault);
    }
    printf("SHA-256 of the last entry: %s\n", report->hash);
    return CTL_DONE;
}

/* With an entry that says so, so that it can be seen in the trail for good. */
static ctl_exit_t take_as_is(ctl_t *ctl, const char *fault)
{
    acme_audit_report_t report;
    ctl_entry_t entry = ctl_entry(ctl, ACME_I_AUDIT_ACCEPTED, "",
                                  ctl_asked_by(ctl), fault, NULL);
    ctl_exit_t status = ctl_record_entry(ctl, &entry);

    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err =
        acme_audit_read(&report, ctl->store, NULL, NULL, ctl->pool);
    if (err && err->msg == ACME_E_AUDIT_BROKEN) {
        err = acme_audit_accept(ctl->store, &report, ctl_who(ctl),
                                apr_time_now(), ctl->pool);
    }
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    printf("accepted up to entry %ld: %s\n", (long)report.last, fault);
    return CTL_DONE;
}

/* By another of its names it is known to the store, and not in the trail, which goes
 * back further. */
static acme_err_t *read_trail(acme_audit_report_t *report, shown_t *shown,
                              int verifies)
{
    ctl_t *ctl = shown->ctl;
    acme_err_t *err = acme_audit_read(
        report, ctl->store, verifies ? NULL : take_line, shown, ctl->pool);
    const char *dir = !verifies && shown->subject && !shown->any
                          ? ctl_find_quietly(ctl, shown->subject)
                          : NULL;

    if (!dir) {
        return err;
    }
    shown->subject = ctl_identity(ctl, dir, ctl->pool);
    return acme_audit_read(report, ctl->store, take_line, shown, ctl->pool);
}

static ctl_exit_t run_log(ctl_t *ctl)
{
    const char *last = ctl_option(ctl, "--last");
    int accepts = ctl_option(ctl, "--accept") != NULL;
    int verifies = accepts || ctl_option(ctl, "--verify") != NULL;
    acme_audit_report_t report;
    shown_t shown = { ctl,
                      NULL,
                      0,
                      0,
                      ctl->count ? ctl->operands[0] : NULL,
                      ctl_option(ctl, "--json") != NULL };

    if (last) {
        shown.room =
            strspn(last, "0123456789") == strlen(last) && strlen(last) < 9
                ? strtol(last, NULL, 10)
                : 0;
        if (shown.room < 1 || shown.room > MOST) {
            return ctl_say(ctl, ACME_E_AUDIT_OPTION,
                           acme_encode_printable(last, 32, ctl->pool), NULL);
        }
        shown.lines =
            apr_pcalloc(ctl->pool, (apr_size_t)shown.room * sizeof(char *));
    }
    acme_err_t *err = read_trail(&report, &shown, verifies);
    put_kept(&shown);
    if (verifies) {
        tell_strangers(ctl);
    }
    if (err && accepts && err->msg == ACME_E_AUDIT_BROKEN) {
        return take_as_is(ctl, report.fault);
    }
    if (err) { /* what can be read was shown all the same */
        ctl_exit_t status = ctl_say_error(err, ctl->pool);
        return verifies || err->msg != ACME_E_AUDIT_BROKEN ? status : CTL_DONE;
    }
    if (shown.subject && !verifies && !shown.any) {
        const char *dir; /* of one that is known there is nothing to tell */
        return ctl_find(ctl, shown.subject, &dir);
    }
    return verifies ? verify(ctl, &report) : CTL_DONE;
}

const ctl_command_t ctl_log = {
    .name = "log",
    .operands = "[NAME]",
    .most = 1,
    .summary = "show the audit trail: what was done, by whom and when",
    .details =
        "Accounts made and changed, certificates asked for, issued, put into "
        "service and revoked. With NAME, that of one certificate, "
        "by any of its names. Each entry "
        "has the SHA-256 of the one before it. --verify shows none, but says "
        "whether all of it holds together, and with what was found when it was "
        "last verified: also an end that is cut off, or a trail that is "
        "written anew as a whole, is found then, as are files "
        "beside it that look like a part of it.\n\nA trail that has lost something "
        "stays broken, until --accept takes it as it is:\nwhat is written from then "
        "on is verified again, and --verify tells of what was\naccepted, when and "
        "by whom.",
    .needs = CTL_NEEDS_STORE,
    .run = run_log,
    .options = { { "--verify", NULL, "whether it is as it was written" },
                 { "--accept", NULL,
                   "verify it, and take what is wrong as it is" },
                 { "--last", "NUMBER", "no more than so many entries" },
                 { "--json", NULL, "one JSON object a line" } },
};
