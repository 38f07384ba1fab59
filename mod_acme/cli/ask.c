/* A request to the running server, put into the store and watched until it is
 * answered. */
#include "cli/acmectl.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY apr_time_from_msec(200)
/* A server looks for requests every second; one that takes over from a dead
 * process waits for the lease first. */
#define ACCEPT_TIME (ACME_LEASE_TERM + apr_time_from_sec(10))

typedef struct watch_t {
    ctl_t *ctl;
    const char *id, *name; /* of the certificate, or NULL */
    apr_time_t start;
    int accepted;
    ctl_progress_fn_t *progress; /* or NULL: a line is printed */
    void *baton;
    char shown[1280]; /* the last line of progress */
} watch_t;

/* --- what is shown ----------------------------------------------------------------- */

static void show(watch_t *watch, const acme_control_reply_t *reply,
                 apr_pool_t *pool)
{
    if (watch->progress) {
        watch->progress(watch->baton, reply);
        return;
    }
    const char *line = apr_psprintf(pool, "%s: %s", reply->state, reply->text);

    if (reply->total) {
        line = apr_psprintf(pool, "%s: %d of %d, %s", reply->state, reply->done,
                            reply->total, reply->text);
    }
    if (strncmp(watch->shown, line, sizeof(watch->shown) - 1) != 0) {
        apr_cpystrn(watch->shown, line, sizeof(watch->shown));
        puts(line);
        fflush(stdout);
    }
}

/* --- how it ends ------------------------------------------------------------------- */

static ctl_exit_t no_server(const watch_t *watch)
{
    ctl_say(watch->ctl, ACME_E_CTL_NO_SERVER, watch->ctl->root, NULL);
    return CTL_NO_SERVER;
}

static ctl_exit_t too_late(const watch_t *watch)
{
    if (!watch->accepted) {
        return no_server(watch);
    }
    ctl_say(watch->ctl, ACME_E_CTL_TIME,
            apr_psprintf(watch->ctl->pool, "%ld", watch->ctl->timeout), NULL);
    return CTL_TIMEOUT;
}

/* Of a name that nobody knows acmectl can say more than the server. */
static ctl_exit_t refused(const watch_t *watch,
                          const acme_control_reply_t *reply)
{
    const char *dir;

    return watch->name
                   && (reply->code == ACME_E_REQUEST_NAME
                       || reply->code == ACME_E_REVOKE_NONE)
                   && !ctl_find_quietly(watch->ctl, watch->name)
               ? ctl_find(watch->ctl, watch->name, &dir)
               : ctl_say_code(reply->code, reply->text);
}

static ctl_exit_t interrupted(const watch_t *watch)
{
    ctl_say(watch->ctl,
            watch->accepted ? ACME_E_CTL_INTERRUPTED : ACME_E_CTL_WITHDRAWN,
            NULL);
    return CTL_TIMEOUT;
}

/* --- watching ------------------------------------------------------------------------ */

static int is_late(const watch_t *watch)
{
    apr_interval_time_t waited = apr_time_now() - watch->start;
    return waited > apr_time_from_sec(watch->ctl->timeout)
           || (!watch->accepted && waited > ACCEPT_TIME);
}

static ctl_exit_t watch_until(watch_t *watch, acme_control_reply_t **last)
{
    ctl_t *ctl = watch->ctl;
    apr_pool_t *round;
    apr_pool_create(&round, ctl->pool);

    for (;;) {
        /* Looked at before the reply: what was taken up since the look before
         * is not said to be withdrawn. */
        int stop = ctl_interrupted;
        acme_control_reply_t *reply = NULL;
        apr_pool_clear(round);
        acme_err_t *err =
            acme_store_get_reply(&reply, ctl->store, watch->id, round);
        if (err) {
            return ctl_say_error(err, round);
        }
        if (reply && acme_control_over(reply)) {
            *last = reply; /* round stays as it is */
            return strcmp(reply->state, "done") ? refused(watch, reply)
                                                : CTL_DONE;
        }
        if (reply) {
            watch->accepted = 1;
            show(watch, reply, round);
        }
        if (stop) {
            return interrupted(watch);
        }
        if (is_late(watch)) {
            return too_late(watch);
        }
        apr_sleep(LOOK_EVERY);
    }
}

ctl_exit_t ctl_ask(ctl_t *ctl, acme_control_t *request,
                   acme_control_reply_t **reply)
{
    return ctl_ask_and_show(ctl, request, reply, NULL, NULL);
}

ctl_exit_t ctl_ask_and_show(ctl_t *ctl, acme_control_t *request,
                            acme_control_reply_t **reply,
                            ctl_progress_fn_t *progress, void *baton)
{
    acme_err_t *err = acme_store_put_request(request, ctl->store, ctl->pool);

    return err ? ctl_say_error(err, ctl->pool)
               : ctl_await(ctl, request, reply, progress, baton);
}

ctl_exit_t ctl_await(ctl_t *ctl, const acme_control_t *request,
                     acme_control_reply_t **reply, ctl_progress_fn_t *progress,
                     void *baton)
{
    acme_control_reply_t *last = NULL;
    watch_t watch = { .ctl = ctl,
                      .id = request->id,
                      .name = request->certificate,
                      .start = apr_time_now(),
                      .progress = progress,
                      .baton = baton };
    ctl_exit_t status = watch_until(&watch, &last);
    /* One that the server works on it must find again, if it is killed now; what
     * is left of it goes at its next start but one. */
    if (status != CTL_TIMEOUT || !watch.accepted) {
        acme_store_remove_request(ctl->store, request->id, ctl->pool);
    }
    if (reply) {
        *reply = status == CTL_DONE ? last : NULL;
    }
    else if (status == CTL_DONE && last) {
        printf("done: %s\n", last->text);
    }
    return status;
}
