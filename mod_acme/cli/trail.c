#include "cli/trail.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <string.h>

#include "cli/survey.h"
#include "cli/worker.h"
#include "engine/audit.h"

#define MOST_ARGS  4
#define LOOK_EVERY apr_time_from_msec(100)
#define PATIENCE   apr_time_from_sec(5)

const char *ctl_asked_by(ctl_t *ctl)
{
    return apr_pstrcat(ctl->pool, " (asked for by ", ctl_who(ctl), ")", NULL);
}

const char *ctl_subject(ctl_t *ctl, const char *dir, const char *family)
{
    return apr_pstrcat(ctl->pool, "[", ctl_identity(ctl, dir, ctl->pool),
                       family ? "/" : "", family ? family : "", "]", NULL);
}

ctl_entry_t ctl_entry(ctl_t *ctl, acme_msg_t msg, const char *subject, ...)
{
    const char *args[MOST_ARGS] = { NULL };
    va_list list;

    va_start(list, subject);
    for (int i = 0; i < MOST_ARGS && (args[i] = va_arg(list, const char *));
         i++) {
    }
    va_end(list);
    const acme_err_t *line =
        acme_err_make(ctl->pool, msg, args[0], args[1], args[2], args[3], NULL);
    return (ctl_entry_t){ msg, subject, line->text };
}

acme_err_t *ctl_write_entry(acme_store_t *store, const ctl_entry_t *entry,
                            apr_pool_t *pool)
{
    acme_audit_t audit = { 0 };
    acme_err_t *err = acme_audit_add(&audit, store, entry->msg, entry->subject,
                                     entry->text, apr_time_now(), pool);

    if (err && err->msg == ACME_W_AUDIT_FILE) { /* it was written */
        ctl_say_error(err, pool);
        return NULL;
    }
    return err;
}

static acme_err_t *write_entry(acme_store_t *store, void *baton,
                               apr_pool_t *pool)
{
    return ctl_write_entry(store, baton, pool);
}

/* Whoever shows the trail next shall see it there; a server that has other things
 * to do finds the request when it has done them. */
static ctl_exit_t await(ctl_t *ctl, const char *id)
{
    apr_time_t end = apr_time_now() + PATIENCE;
    acme_control_reply_t *reply = NULL;

    while (!ctl_interrupted && apr_time_now() < end) {
        acme_err_t *err =
            acme_store_get_reply(&reply, ctl->store, id, ctl->pool);
        if (!err && reply && acme_control_over(reply)) {
            acme_store_remove_request(ctl->store, id, ctl->pool);
            return strcmp(reply->state, "done")
                       ? ctl_say_code(reply->code, reply->text)
                       : CTL_DONE;
        }
        apr_sleep(LOOK_EVERY);
    }
    return CTL_DONE;
}

ctl_exit_t ctl_record_entry(ctl_t *ctl, ctl_entry_t *entry)
{
    acme_control_t request = { .action = "record" };

    if (!ctl_server_runs(ctl)) {
        return ctl_as_worker(ctl, write_entry, entry);
    }
    acme_control_set_number(&request, "code", entry->msg, ctl->pool);
    acme_control_set_text(&request, "subject", entry->subject, ctl->pool);
    acme_control_set_text(&request, "text", entry->text, ctl->pool);
    acme_err_t *err = acme_store_put_request(&request, ctl->store, ctl->pool);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    return await(ctl, request.id);
}
