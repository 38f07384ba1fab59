#include "cli/survey.h"
#include "cli/worker.h"

#include <stdio.h>

static acme_err_t *remove_fresh(acme_store_t *store, void *baton,
                                apr_pool_t *pool)
{
    return acme_store_remove_fresh(store, baton, pool);
}

/* The server says whether it is in use, and clears its own part; or, while it is
 * stopped, what it said at its last start counts. */
static ctl_exit_t ask_server(ctl_t *ctl, const char *dir)
{
    acme_control_t request = { .action = "delete" };
    acme_control_reply_t *reply;

    acme_control_set_text(&request, "directory", dir, ctl->pool);
    return ctl_ask(ctl, &request, &reply);
}

static ctl_exit_t act_alone(ctl_t *ctl, char *dir)
{
    int known;
    const acme_use_t *use = ctl_use(ctl, dir, &known);

    if (!known) {
        return ctl_say(ctl, ACME_E_CTL_USE_UNKNOWN, ctl->root, NULL);
    }
    if (use) {
        return ctl_say(ctl, ACME_E_CTL_IN_USE, use->name,
                       use->where ? use->where : "?", NULL);
    }
    return ctl_as_worker(ctl, remove_fresh, dir);
}

static ctl_exit_t run_delete(ctl_t *ctl)
{
    const char *dir;
    ctl_exit_t status = ctl_find(ctl, ctl->operands[0], &dir);

    if (status != CTL_DONE) {
        return status;
    }
    const char *name = ctl_identity(ctl, dir, ctl->pool);
    status = ctl_server_runs(ctl) ? ask_server(ctl, dir)
                                  : act_alone(ctl, apr_pstrdup(ctl->pool, dir));
    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err = acme_store_remove_promoted(ctl->store, dir, ctl->pool);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    printf("done: %s and its keys are deleted\n", name);
    return CTL_DONE;
}

const ctl_command_t ctl_delete = {
    .name = "delete",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .summary = "remove a certificate that is not configured any more",
    .details =
        "Everything that is kept of it goes: the certificate, its keys, older "
        "sets, an order\nin progress. It is not revoked. One that is still "
        "configured is not deleted: the\nrunning server decides, or the "
        "configuration with which it was last started.",
    .needs = CTL_ASKS,
    .run = run_delete,
};
