#include "cli/bring.h"
#include "cli/files.h"

#include <stdio.h>

#include "engine/vault.h"

#define MAX_BACKUP (512 * 1024 * 1024)

static ctl_exit_t open_backup(ctl_t *ctl, acme_backup_t **backup)
{
    const char *path = ctl->operands[0], *phrase = NULL, *json;
    const unsigned char *sealed;
    apr_size_t len;
    const char *why = ctl_peek_file(ctl, path, MAX_BACKUP, &sealed, &len);
    ctl_exit_t status = why ? ctl_say(ctl, ACME_E_BACKUP_OPEN, path, why, NULL)
                            : ctl_get_phrase(ctl, &phrase, path);

    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err =
        acme_vault_open(&json, &len, phrase, sealed, len, path, ctl->pool);
    if (!err) {
        err = acme_backup_parse(backup, json, len, path, ctl->pool);
    }
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}

static ctl_exit_t run_restore(ctl_t *ctl)
{
    ctl_bring_t plan = { .overwrite = ctl_option(ctl, "--overwrite") != NULL,
                         .keep = ctl_option(ctl, "--keep") != NULL };

    if (plan.overwrite && plan.keep) {
        return ctl_usage(ctl, "--keep or --overwrite, not both", NULL);
    }
    ctl_exit_t status = open_backup(ctl, &plan.what);
    if (status == CTL_DONE) {
        status = ctl_bring_open(ctl, ctl_option(ctl, "--user"));
    }
    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err = ctl_bring_plan(&plan, ctl);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    if (plan.newer) {
        return ctl_say(ctl, ACME_E_RESTORE_NEWER,
                       acme_encode_printable(plan.newer, 512, ctl->pool), NULL);
    }
    status = ctl_bring(ctl, &plan, ACME_I_RESTORED, ctl->operands[0]);
    if (status == CTL_DONE) {
        printf("done: %d accounts and %d certificates restored of the backup "
               "made at %s; %d were there already, %d others were kept\n",
               plan.accounts, plan.sets,
               acme_time_format(plan.what->made, ctl->pool), plan.same,
               plan.kept);
    }
    return status;
}

const ctl_command_t ctl_restore = {
    .name = "restore",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .summary = "bring back what acmectl backup has written",
    .details =
        "The server must be stopped; at its next start it takes what fits its "
        "configuration\ninto service and orders nothing anew. Keys are sealed "
        "with the secret of this store,\nwhich may be another machine's; where "
        "there is none it is made (--user). What is\nnewer in the store, or "
        "another account, is not replaced unless you say so.",
    .needs = CTL_MAKES_STORE,
    .run = run_restore,
    .options = {
        CTL_PHRASE_OPTIONS,
        { "--keep", NULL, "restore the rest, where the store has something newer" },
        { "--overwrite", NULL, "replace also what is newer in the store" },
        { "--user", "USER", "of a store that is made: the server's User" },
    },
};
