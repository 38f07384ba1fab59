/* check: whether a CA would find the server. The server looks itself where it runs;
 * else we do, at what can be seen without it. */
#include "cli/check.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/survey.h"
#include "core/encode.h"

/* --- what is shown -------------------------------------------------------------------- */

void ctl_put_finding(const char *type, int code, const char *text, int problem)
{
    const acme_msg_entry_t *entry = acme_msg_entry((acme_msg_t)code);

    printf("  %s: %sACME%d: %s\n", type, problem ? "PROBLEM: " : "", code,
           text);
    if (*entry->remedy) {
        printf("    %s\n", entry->remedy);
    }
    fflush(stdout);
}

typedef struct shown_t {
    apr_pool_t *pool;
    size_t count;     /* of findings */
    const char *name; /* that the last one was about; or NULL */
} shown_t;

static const char *text_of(const json_t *one, const char *name,
                           apr_pool_t *pool)
{
    const char *text = acme_json_string(one, name);

    return acme_encode_printable(text ? text : "?", ACME_MAX_DETAIL * 4, pool);
}

/* They are only added to. */
static void show_new(shown_t *shown, const json_t *findings)
{
    apr_pool_t *pool = shown->pool;

    for (; shown->count < json_array_size(findings); shown->count++) {
        const json_t *one = json_array_get(findings, shown->count);
        const char *name = text_of(one, "name", pool);

        if (!shown->name || strcmp(shown->name, name)) {
            printf("%s\n", name);
            shown->name = name;
        }
        ctl_put_finding(text_of(one, "type", pool),
                        (int)json_integer_value(json_object_get(one, "code")),
                        text_of(one, "text", pool),
                        json_is_true(json_object_get(one, "problem")));
    }
}

static void on_progress(void *baton, const acme_control_reply_t *reply)
{
    show_new(baton, json_object_get(reply->result, "findings"));
}

static ctl_exit_t conclude(shown_t *shown, const acme_control_reply_t *reply)
{
    const json_t *result = reply->result;
    json_int_t omitted = json_integer_value(json_object_get(result, "omitted"));

    show_new(shown, json_object_get(result, "findings"));
    if (omitted > 0) {
        printf("and %d more; name one certificate to see all of it\n",
               (int)omitted);
    }
    printf("%s\n", reply->text);
    return json_integer_value(json_object_get(result, "problems")) > 0
               ? CTL_FAILED
               : CTL_DONE;
}

/* --- the command --------------------------------------------------------------------------- */

static ctl_exit_t run_check(ctl_t *ctl)
{
    const char *name = ctl->count ? ctl->operands[0] : NULL;
    acme_control_t request = { .action = "check", .certificate = name };
    acme_control_reply_t *reply = NULL;
    shown_t shown = { .pool = ctl->pool };
    ctl_exit_t status = CTL_NO_SERVER;

    if (ctl_server_comes(ctl)) {
        status = ctl_ask_and_show(ctl, &request, &reply, on_progress, &shown);
    }
    else {
        ctl_say(ctl, ACME_E_CTL_NO_SERVER, ctl->root, NULL);
    }
    if (status == CTL_NO_SERVER) {
        return ctl_check_alone(ctl, name);
    }
    return status == CTL_DONE && reply ? conclude(&shown, reply) : status;
}

const ctl_command_t ctl_check = {
    .name = "check",
    .operands = "[NAME]",
    .least = 0,
    .most = 1,
    .summary = "see whether a CA would find the server, and who is in the way",
    .details =
        "The server looks up the addresses of each name of the certificate NAME "
        "(or of\nall), asks for a token of its own at each of them, and says who "
        "answers instead.\nFor DNS challenges it looks at the program and the "
        "zone's name servers. What is\nmarked PROBLEM is to be mended; the rest "
        "is worth knowing. Where no server runs,\nDNS and who answers at the ports "
        "are looked at, also of a NAME that has no certificate\nyet.",
    .needs = CTL_ASKS,
    .run = run_check,
};
