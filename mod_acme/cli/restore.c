#include "cli/files.h"
#include "cli/survey.h"
#include "cli/worker.h"

#include <apr_strings.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/backup.h"
#include "engine/vault.h"

#define MAX_BACKUP (512 * 1024 * 1024)

typedef struct plan_t {
    acme_backup_t *backup;
    int overwrite, keep;
    char *account_wanted, *set_wanted; /* one octet for each */
    int accounts, sets, same, kept;    /* how many */
    const char *newer;                 /* in the store, in words; or NULL */
} plan_t;

/* --- what is to be done -------------------------------------------------------------- */

/* @return whether what is in the backup goes into the store */
static char decide(plan_t *plan, const char *other, apr_pool_t *pool)
{
    if (plan->keep) {
        plan->kept++;
        return 0;
    }
    if (!plan->overwrite) {
        plan->newer = plan->newer
                          ? apr_pstrcat(pool, plan->newer, ", ", other, NULL)
                          : other;
    }
    return 1;
}

/* One that cannot be read is as good as none: it is put aside. */
static char plan_account(plan_t *plan, ctl_t *ctl,
                         const acme_backup_account_t *one)
{
    acme_account_t *there = NULL;
    acme_err_t *damage =
        acme_store_get_account(&there, ctl->store, one->dir, ctl->pool);

    if (damage || !there) {
        return 1;
    }
    if (EVP_PKEY_eq(there->key, one->account.key) == 1 && there->state.kid) {
        plan->same++;
        return 0;
    }
    return decide(plan, apr_pstrcat(ctl->pool, "the account ", one->dir, NULL),
                  ctl->pool);
}

static char plan_set(plan_t *plan, ctl_t *ctl, const acme_backup_set_t *one)
{
    const acme_record_t *there =
        ctl_record(ctl, one->dir, one->family, ctl->pool);
    const acme_record_t *mine = one->set.record;

    if (!mine || !there) {
        return 1;
    }
    if (!strcmp(there->serial, mine->serial)) {
        plan->same++;
        return 0;
    }
    return there->not_before <= mine->not_before
               ? 1
               : decide(plan, mine->name, ctl->pool);
}

static void make_plan(plan_t *plan, ctl_t *ctl)
{
    const acme_backup_t *backup = plan->backup;

    plan->account_wanted =
        apr_pcalloc(ctl->pool, (apr_size_t)backup->accounts->nelts + 1);
    plan->set_wanted =
        apr_pcalloc(ctl->pool, (apr_size_t)backup->sets->nelts + 1);
    for (int i = 0; i < backup->accounts->nelts; i++) {
        plan->account_wanted[i] = plan_account(
            plan, ctl,
            &APR_ARRAY_IDX(backup->accounts, i, acme_backup_account_t));
        plan->accounts += plan->account_wanted[i];
    }
    for (int i = 0; i < backup->sets->nelts; i++) {
        const acme_backup_set_t *one =
            &APR_ARRAY_IDX(backup->sets, i, acme_backup_set_t);
        plan->set_wanted[i] = plan_set(plan, ctl, one);
        plan->sets += plan->set_wanted[i] && one->chain_pem;
    }
}

/* --- doing it, as the worker ----------------------------------------------------------- */

static acme_err_t *put_account(acme_store_t *store,
                               const acme_backup_account_t *one,
                               apr_pool_t *pool)
{
    ACME_TRY(acme_store_set_account_aside(store, one->dir, pool));
    return acme_store_put_account(store, one->dir, &one->account, pool);
}

static acme_err_t *put_set(acme_store_t *store, const acme_backup_set_t *one,
                           apr_pool_t *pool)
{
    if (one->chain_pem) {
        acme_record_t record = *one->set.record;
        record.files = NULL; /* of a promoted set: this one is not yet */
        ACME_TRY(acme_store_put_fresh(store, one->dir, &record, one->chain_pem,
                                      one->set.key, pool));
    }
    return one->next_key ? acme_store_put_next_key(store, one->dir, one->family,
                                                   one->next_key, pool)
                         : NULL;
}

static acme_err_t *carry_out(acme_store_t *store, void *baton, apr_pool_t *pool)
{
    const plan_t *plan = baton;
    const acme_backup_t *backup = plan->backup;
    apr_pool_t *each;

    apr_pool_create(&each, pool);
    for (int i = 0; i < backup->accounts->nelts; i++) {
        if (plan->account_wanted[i]) {
            ACME_TRY(put_account(
                store,
                &APR_ARRAY_IDX(backup->accounts, i, acme_backup_account_t),
                pool));
        }
    }
    for (int i = 0; i < backup->sets->nelts; i++) {
        apr_pool_clear(each);
        ACME_TRY(acme_store_beat(store, apr_time_now(), pool));
        if (ctl_interrupted) {
            return acme_err_make(pool, ACME_E_RESTORE_HALF, NULL);
        }
        if (plan->set_wanted[i]) {
            acme_err_t *err = put_set(
                store, &APR_ARRAY_IDX(backup->sets, i, acme_backup_set_t),
                each);
            if (err) {
                return acme_err_dup(err, pool);
            }
        }
    }
    return NULL;
}

/* --- the store, which may be a new one ---------------------------------------------------- */

static ctl_exit_t make_store(ctl_t *ctl)
{
    const char *name = ctl_option(ctl, "--user");
    acme_store_options_t options = { .root = ctl->root, .create = 1 };

    if (geteuid() == 0) {
        const struct passwd *user = name ? getpwnam(name) : NULL;
        if (!user) {
            return ctl_say(ctl, ACME_E_CTL_WORKER,
                           name ? apr_pstrcat(
                               ctl->pool, "; there is none named ", name, NULL)
                                : "",
                           NULL);
        }
        options.worker_uid = user->pw_uid;
        options.worker_gid = user->pw_gid;
    }
    acme_err_t *err = acme_store_open(&ctl->store, &options, ctl->pool);
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}

static ctl_exit_t open_store(ctl_t *ctl)
{
    struct stat st;
    if (stat(ctl->root, &st) != 0) {
        return make_store(ctl);
    }
    ctl_exit_t status = ctl_open(ctl);
    if (status == CTL_DONE && ctl_server_runs(ctl)) {
        status = ctl_say(ctl, ACME_E_CTL_SERVER_RUNS, ctl->root, NULL);
    }
    return status;
}

static ctl_exit_t open_backup(ctl_t *ctl, acme_backup_t **backup)
{
    const char *path = ctl->operands[0], *phrase, *json;
    const unsigned char *sealed;
    apr_size_t len;
    ctl_exit_t status = ctl_read_file(ctl, path, MAX_BACKUP, &sealed, &len);

    if (status == CTL_DONE) {
        status = ctl_get_phrase(ctl, &phrase, 0);
    }
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
    plan_t plan = { .overwrite = ctl_option(ctl, "--overwrite") != NULL,
                    .keep = ctl_option(ctl, "--keep") != NULL };

    if (plan.overwrite && plan.keep) {
        return ctl_usage(ctl, "--keep or --overwrite, not both", NULL);
    }
    ctl_exit_t status = open_backup(ctl, &plan.backup);
    if (status == CTL_DONE) {
        status = open_store(ctl);
    }
    if (status != CTL_DONE) {
        return status;
    }
    make_plan(&plan, ctl);
    if (plan.newer) {
        return ctl_say(ctl, ACME_E_RESTORE_NEWER,
                       acme_encode_printable(plan.newer, 512, ctl->pool), NULL);
    }
    status = ctl_as_worker(ctl, carry_out, &plan);
    if (status == CTL_DONE) {
        printf("done: %d accounts and %d certificates restored of the backup "
               "made at %s; %d were there already, %d others were kept\n",
               plan.accounts, plan.sets,
               acme_time_format(plan.backup->made, ctl->pool), plan.same,
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
