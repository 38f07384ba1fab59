#include "cli/files.h"
#include "cli/trail.h"

#include <apr_strings.h>
#include <stdio.h>

#include "engine/backup.h"
#include "engine/vault.h"

static int count_sets(const acme_backup_t *backup)
{
    int count = 0;
    for (int i = 0; i < backup->sets->nelts; i++) {
        count +=
            APR_ARRAY_IDX(backup->sets, i, acme_backup_set_t).chain_pem != NULL;
    }
    return count;
}

static acme_err_t *seal(ctl_file_t *file, acme_backup_t **backup,
                        acme_err_t **damage, ctl_t *ctl, const char *phrase)
{
    const unsigned char *sealed;
    const char *json;

    ACME_TRY(acme_backup_collect(backup, damage, ctl->store, apr_time_now(),
                                 ctl->pool));
    ACME_TRY(acme_backup_format(&json, *backup, ctl->pool));
    ACME_TRY(acme_vault_seal(&sealed, &file->len, phrase, json, ctl->pool));
    file->data = sealed;
    return NULL;
}

static ctl_exit_t record(ctl_t *ctl, const acme_backup_t *backup)
{
    ctl_entry_t entry = ctl_entry(ctl, ACME_I_BACKED_UP, "",
                                  apr_itoa(ctl->pool, backup->accounts->nelts),
                                  apr_itoa(ctl->pool, count_sets(backup)),
                                  ctl->operands[0], ctl_asked_by(ctl), NULL);
    return ctl_record_entry(ctl, &entry);
}

static ctl_exit_t run_backup(ctl_t *ctl)
{
    ctl_file_t file = { .mode = 0600, .group = CTL_NO_GROUP };
    acme_backup_t *backup;
    acme_err_t *damage;
    const char *phrase;
    ctl_exit_t status = ctl_choose_phrase(ctl, &phrase);

    if (status != CTL_DONE) {
        return status;
    }
    acme_err_t *err = seal(&file, &backup, &damage, ctl, phrase);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    status = ctl_put_file(ctl, ctl->operands[0], &file);
    if (status != CTL_DONE) {
        return status;
    }
    printf("done: %d accounts and %d certificates in %s\n",
           backup->accounts->nelts, count_sets(backup), ctl->operands[0]);
    status = record(ctl, backup);
    /* The rest is safe, but nobody shall believe that all of it is. */
    ctl_exit_t told = damage ? ctl_say_error(damage, ctl->pool) : CTL_DONE;
    return status == CTL_DONE ? told : status;
}

const ctl_command_t ctl_backup = {
    .name = "backup",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .summary =
        "write accounts, certificates and their keys to an encrypted file",
    .details =
        "FILE is encrypted with a pass phrase (scrypt, AES-256-GCM), for "
        "acmectl restore. It\nhas the newest set of each certificate, keys "
        "made ahead, and all accounts. The\nserver may run.",
    .needs = CTL_NEEDS_STORE,
    .run = run_backup,
    .options = { CTL_PHRASE_OPTIONS },
};
