#include "cli/survey.h"
#include "cli/trail.h"
#include "cli/worker.h"

#include <stdio.h>

typedef struct deletion_t {
    const char *dir;
    ctl_entry_t entry;
} deletion_t;

static acme_err_t *remove_fresh(acme_store_t *store, void *baton,
                                apr_pool_t *pool)
{
    const deletion_t *deletion = baton;

    ACME_TRY(acme_store_remove_fresh(store, deletion->dir, pool));
    return ctl_write_entry(store, &deletion->entry, pool);
}

/* The server says whether it is in use, and clears its own part; or, while it is
 * stopped, what it said at its last start counts. */
static ctl_exit_t ask_server(ctl_t *ctl, const char *dir, const char *name)
{
    acme_control_t request = { .action = "delete", .certificate = name };
    acme_control_reply_t *reply;

    acme_control_set_text(&request, "directory", dir, ctl->pool);
    ctl_sign(ctl, &request);
    return ctl_ask(ctl, &request, &reply);
}

static ctl_exit_t act_alone(ctl_t *ctl, const char *dir)
{
    deletion_t deletion = { dir, ctl_entry(ctl, ACME_I_DELETED,
                                           ctl_subject(ctl, dir, NULL),
                                           ctl_asked_by(ctl), NULL) };
    int known;
    const acme_use_t *use = ctl_use(ctl, dir, &known);

    if (!known) {
        return ctl_say(ctl, ACME_E_CTL_USE_UNKNOWN, ctl->root, NULL);
    }
    if (use) {
        return ctl_say(ctl, ACME_E_CTL_IN_USE, use->name,
                       use->where ? use->where : "?", NULL);
    }
    return ctl_as_worker(ctl, remove_fresh, &deletion);
}

static ctl_exit_t run_delete(ctl_t *ctl)
{
    const char *dir;
    ctl_exit_t status = ctl_find(ctl, ctl->operands[0], &dir);

    if (status != CTL_DONE) {
        return status;
    }
    const char *name = ctl_identity(ctl, dir, ctl->pool);
    status =
        ctl_server_runs(ctl) ? ask_server(ctl, dir, name) : act_alone(ctl, dir);
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
