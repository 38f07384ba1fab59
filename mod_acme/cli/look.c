/* Certificates, for people and as JSON. */
#include "cli/survey.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/renewal.h"

/* --- pieces -------------------------------------------------------------------------- */

/* What another process wrote is made printable once more. */
static const char *text_of(const json_t *object, const char *name,
                           apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);
    return text ? acme_encode_printable(text, ACME_MAX_DETAIL, pool) : "";
}

static const char *left_until(const char *moment, apr_pool_t *pool)
{
    apr_interval_time_t left = acme_time_parse_rfc3339(moment) - apr_time_now();
    return left > 0
               ? apr_pstrcat(pool, "in ", acme_duration_text(left, pool), NULL)
               : "over";
}

static void put_error(const json_t *error, const char *indent, apr_pool_t *pool)
{
    if (!json_is_object(error)) {
        return;
    }
    printf("%s%s: %s\n", indent, text_of(error, "code", pool),
           text_of(error, "text", pool));
    if (*text_of(error, "remedy", pool)) {
        printf("%s  %s\n", indent, text_of(error, "remedy", pool));
    }
}

/* --- status --------------------------------------------------------------------------- */

static const char *outlook(const json_t *key, apr_pool_t *pool)
{
    const json_t *next = json_object_get(key, "next");
    const char *action = text_of(next, "action", pool);
    const char *time = text_of(next, "time", pool);
    const char *progress = text_of(key, "progress", pool);
    const char *waiting =
        text_of(json_object_get(key, "waiting"), "text", pool);

    if (*progress) {
        return progress;
    }
    if (*waiting) {
        return waiting;
    }
    return *action && *time ? apr_psprintf(pool, "%s %s", action, time)
                            : action;
}

static void put_row(const json_t *one, const json_t *key, apr_pool_t *pool)
{
    const char *until = text_of(key, "not_after", pool);

    printf("%-28s  %-10s  %-8s  %-34s  %s\n", text_of(one, "name", pool),
           text_of(key, "type", pool), text_of(key, "state", pool),
           *until ? apr_psprintf(pool, "until %.10s (%s)", until,
                                 left_until(until, pool))
                  : "no certificate yet",
           json_is_false(json_object_get(one, "managed"))
               ? "not managed any more"
               : outlook(key, pool));
    put_error(json_object_get(key, "error"), "    ", pool);
}

static void put_all(const json_t *survey, apr_pool_t *pool)
{
    const json_t *one, *key;
    size_t i, k;
    apr_pool_t *each;

    apr_pool_create(&each, pool);
    json_array_foreach(json_object_get(survey, "certificates"), i, one)
    {
        const json_t *keys = json_object_get(one, "keys");
        apr_pool_clear(each);
        json_array_foreach(keys, k, key)
        {
            put_row(one, key, each);
        }
        if (!json_array_size(keys)) {
            printf("%-28s  %-10s  %-8s  no certificate yet\n",
                   text_of(one, "name", each), "", "waiting");
        }
    }
}

static void put_server(const ctl_t *ctl, const json_t *survey)
{
    const char *server = text_of(survey, "server", ctl->pool);
    printf("%d certificates in %s; the server %s\n",
           (int)json_integer_value(json_object_get(survey, "total")), ctl->root,
           !strcmp(server, "running")   ? "runs"
           : !strcmp(server, "stopped") ? "is stopped"
                                        : "does not answer");
}

static void put_json(const json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    puts(text ? text : "{}");
    free(text);
}

static ctl_exit_t run_status(ctl_t *ctl)
{
    json_t *survey;
    ctl_exit_t status = ctl_survey(&survey, ctl, NULL);

    if (status == CTL_DONE && ctl_option(ctl, "--json")) {
        put_json(survey);
    }
    else if (status == CTL_DONE) {
        put_server(ctl, survey);
        put_all(survey, ctl->pool);
    }
    json_decref(survey);
    return status;
}

/* --- show ------------------------------------------------------------------------------ */

static void put_line(const char *label, const char *text)
{
    if (*text) {
        printf("  %-12s %s\n", label, text);
    }
}

static const char *join(const json_t *names, apr_pool_t *pool)
{
    const char *all = "";
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        all = apr_pstrcat(pool, all, i ? ", " : "",
                          acme_encode_printable(text ? text : "?", 255, pool),
                          NULL);
    }
    return all;
}

/* A certificate that is there, and not shown to visitors yet. */
static void put_waiting(const json_t *key, apr_pool_t *pool)
{
    const json_t *waiting = json_object_get(key, "waiting");
    const json_t *serving = json_object_get(key, "serving");

    if (json_is_object(waiting)) {
        put_line("activation", text_of(waiting, "text", pool));
        put_line("served",
                 json_is_object(serving) ? apr_psprintf(
                     pool, "set %d, valid until %s",
                     (int)json_integer_value(json_object_get(serving, "set")),
                     text_of(serving, "not_after", pool))
                                         : "the placeholder");
    }
}

static void put_key_times(const json_t *key, apr_pool_t *pool)
{
    const json_t *next = json_object_get(key, "next");
    const json_t *limit = json_object_get(key, "limit");
    const json_t *window = json_object_get(key, "suggested");
    const char *until = text_of(key, "not_after", pool);
    const char *action = text_of(next, "action", pool);
    const char *time = text_of(next, "time", pool);
    const char *why = text_of(window, "explanation", pool);

    if (*until) {
        put_line("valid", apr_psprintf(pool, "%s to %s (%s)",
                                       text_of(key, "not_before", pool), until,
                                       left_until(until, pool)));
    }
    put_waiting(key, pool);
    put_line("next", *action ? apr_psprintf(pool, "%s%s%s: %s", action,
                                            *time ? " " : "", time,
                                            text_of(next, "why", pool))
                             : "");
    if (json_is_object(limit)) {
        put_line("held back", apr_psprintf(pool, "until %s: %s",
                                           text_of(limit, "until", pool),
                                           text_of(limit, "what", pool)));
    }
    if (json_is_object(window)) {
        put_line("CA suggests", apr_psprintf(pool, "%s to %s%s%s",
                                             text_of(window, "start", pool),
                                             text_of(window, "end", pool),
                                             *why ? ": " : "", why));
    }
}

/* In the words of the status page. */
static void put_list(const char *heading, const json_t *list, apr_pool_t *pool)
{
    const json_t *one;
    size_t i;

    if (json_array_size(list)) {
        printf("%s:\n", heading);
    }
    json_array_foreach(list, i, one)
    {
        printf("    %s  %s\n", text_of(one, "time", pool),
               text_of(one, "text", pool));
    }
}

static void put_key(ctl_t *ctl, const char *dir, const json_t *key,
                    apr_pool_t *pool)
{
    acme_key_type_t type;
    const char *set = "";
    int number = (int)json_integer_value(json_object_get(key, "set"));

    printf("%s: %s\n", text_of(key, "type", pool), text_of(key, "state", pool));
    put_line("issued by", text_of(key, "issuer", pool));
    put_line("CA", text_of(key, "ca", pool));
    put_line("", text_of(key, "ca_why", pool));
    put_line("serial", text_of(key, "serial", pool));
    put_key_times(key, pool);
    put_line("in progress", text_of(key, "progress", pool));
    put_line("proof", text_of(key, "proof", pool));
    put_line("left out", text_of(key, "left_out", pool));
    put_line("TLSA 3 1 1", text_of(key, "tlsa", pool));
    put_line("TLSA next", text_of(key, "tlsa_next", pool));
    if (number && !acme_key_type_parse(&type, text_of(key, "type", pool))) {
        const acme_record_t *record =
            ctl_record(ctl, dir, acme_key_family(type), pool);
        int serves = number
                     == (int)json_integer_value(json_object_get(
                         json_object_get(key, "serving"), "set"));
        set = !record                             ? ""
              : record->from != ACME_RECORD_FRESH ? ", in files of the server"
              : serves ? ", in service; in files of the server from its next "
                         "start on"
                       : ", in files of the server from its next start on";
        put_line("set", apr_psprintf(pool, "%d%s", number, set));
    }
    put_error(json_object_get(key, "error"), "  ", pool);
    put_list("  Time-line of the last orders", json_object_get(key, "events"),
             pool);
}

static void put_certificate(ctl_t *ctl, const char *dir, const json_t *one)
{
    const json_t *keys = json_object_get(one, "keys"), *key;
    const char *where = text_of(one, "where", ctl->pool);
    size_t i;

    printf("%s\n", text_of(one, "name", ctl->pool));
    put_line("names", join(json_object_get(one, "names"), ctl->pool));
    put_line("configured",
             json_is_false(json_object_get(one, "managed"))
                 ? "no more: renewed by nobody"
             : json_is_false(json_object_get(one, "in_use")) ? apr_pstrcat(
                   ctl->pool, where, ", but used by no virtual host", NULL)
                                                             : where);
    json_array_foreach(keys, i, key)
    {
        put_key(ctl, dir, key, ctl->pool);
    }
    if (!json_array_size(keys)) {
        puts("no certificate yet");
    }
    put_list("Validation requests seen here", json_object_get(one, "visits"),
             ctl->pool);
}

static ctl_exit_t run_show(ctl_t *ctl)
{
    const char *dir;
    json_t *survey;
    ctl_exit_t status = ctl_find(ctl, ctl->operands[0], &dir);

    if (status != CTL_DONE) {
        return status;
    }
    status = ctl_survey(&survey, ctl, dir);
    const json_t *one =
        json_array_get(json_object_get(survey, "certificates"), 0);
    if (status == CTL_DONE && !one) {
        status = ctl_say(ctl, ACME_E_CTL_NAME,
                         ctl_identity(ctl, dir, ctl->pool), "", NULL);
    }
    else if (status == CTL_DONE && ctl_option(ctl, "--json")) {
        put_json(one);
    }
    else if (status == CTL_DONE) {
        put_certificate(ctl, dir, one);
    }
    json_decref(survey);
    return status;
}

/* --- table ------------------------------------------------------------------------------ */

const ctl_command_t ctl_status = {
    .name = "status",
    .operands = "",
    .summary = "list all certificates: state, end, next action, last error",
    .details =
        "While the server runs it is asked; of certificates that it does not "
        "manage (any\nmore), and while it is stopped, the store tells.",
    .needs = CTL_NEEDS_STORE,
    .run = run_status,
    .options = { { "--json", NULL, "as the status page's JSON has it" } },
};

const ctl_command_t ctl_show = {
    .name = "show",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .summary = "tell all that is known of one certificate",
    .details =
        "NAME is what the certificate is called after, or another of "
        "its names. The time-line\nand the validation requests are known to "
        "the running server alone.",
    .needs = CTL_NEEDS_STORE,
    .run = run_show,
    .options = { { "--json", NULL, "as the status page's JSON has it" } },
};
