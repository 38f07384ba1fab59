#include "cli/bring.h"

#include <apr_strings.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/survey.h"
#include "cli/worker.h"

/* --- what is to be done -------------------------------------------------------------- */

/* @return whether what is in the backup goes into the store */
static char decide(ctl_bring_t *bring, const char *other, apr_pool_t *pool)
{
    if (bring->keep) {
        bring->kept++;
        return 0;
    }
    if (!bring->overwrite) {
        bring->newer = bring->newer
                           ? apr_pstrcat(pool, bring->newer, ", ", other, NULL)
                           : other;
    }
    return 1;
}

/* What is damaged is as good as none. What cannot be read for a moment is there, and
 * not to be replaced unasked. */
static int may_pass(const acme_err_t *err)
{
    return err->msg == ACME_E_STORE_IO || err->msg == ACME_E_MEMORY;
}

static acme_err_t *plan_account(char *wanted, ctl_bring_t *bring, ctl_t *ctl,
                                const acme_backup_account_t *one)
{
    acme_account_t *there = NULL;
    acme_err_t *err = ctl->store ? acme_store_get_account(&there, ctl->store,
                                                          one->dir, ctl->pool)
                                 : NULL;

    *wanted = 1;
    if (err) {
        return may_pass(err) ? err : NULL; /* damaged: it is put aside */
    }
    if (there && EVP_PKEY_eq(there->key, one->account.key) == 1
        && there->state.kid) {
        bring->same++;
        *wanted = 0;
    }
    else if (there) {
        *wanted = decide(bring,
                         apr_pstrcat(ctl->pool, "the account ", one->dir, NULL),
                         ctl->pool);
    }
    return NULL;
}

static acme_err_t *plan_set(char *wanted, ctl_bring_t *bring, ctl_t *ctl,
                            const acme_backup_set_t *one)
{
    const acme_record_t *mine = one->set.record;
    acme_record_t *there = NULL;
    acme_err_t *err = ctl->store ? acme_store_newest(
                          &there, ctl->store, one->dir, one->family, ctl->pool)
                                 : NULL;

    *wanted = 1;
    if (err && may_pass(err)) {
        return err;
    }
    if (err) {
        ctl_say_error(err, ctl->pool);
    }
    if (!mine || !there) {
        return NULL;
    }
    if (!strcmp(there->serial, mine->serial)) {
        bring->same++;
        *wanted = 0;
    }
    else if (there->not_before > mine->not_before) {
        *wanted = decide(bring, mine->name, ctl->pool);
    }
    return NULL;
}

acme_err_t *ctl_bring_plan(ctl_bring_t *bring, ctl_t *ctl)
{
    const acme_backup_t *backup = bring->what;

    bring->account_wanted =
        apr_pcalloc(ctl->pool, (apr_size_t)backup->accounts->nelts + 1);
    bring->set_wanted =
        apr_pcalloc(ctl->pool, (apr_size_t)backup->sets->nelts + 1);
    for (int i = 0; i < backup->accounts->nelts; i++) {
        ACME_TRY(plan_account(
            &bring->account_wanted[i], bring, ctl,
            &APR_ARRAY_IDX(backup->accounts, i, acme_backup_account_t)));
        bring->accounts += bring->account_wanted[i];
    }
    for (int i = 0; i < backup->sets->nelts; i++) {
        const acme_backup_set_t *one =
            &APR_ARRAY_IDX(backup->sets, i, acme_backup_set_t);
        ACME_TRY(plan_set(&bring->set_wanted[i], bring, ctl, one));
        bring->sets += bring->set_wanted[i] && one->chain_pem;
    }
    return NULL;
}

/* --- doing it, as the worker ----------------------------------------------------------- */

static acme_err_t *put_set(acme_store_t *store, const acme_backup_set_t *one,
                           apr_pool_t *pool)
{
    if (one->chain_pem) {
        acme_record_t record = *one->set.record;
        record.files = NULL; /* of a promoted set: this one is not yet */
        const acme_issued_t issued = { &record, one->chain_pem, one->set.key,
                                       0 };
        ACME_TRY(acme_store_put_fresh(store, one->dir, &issued, pool));
    }
    return one->next_key ? acme_store_put_next_key(store, one->dir, one->family,
                                                   one->next_key, pool)
                         : NULL;
}

static acme_err_t *carry_out(acme_store_t *store, void *baton, apr_pool_t *pool)
{
    const ctl_bring_t *bring = baton;
    const acme_backup_t *backup = bring->what;
    apr_pool_t *each;

    apr_pool_create(&each, pool);
    if (bring->accounts || bring->sets) {
        /* First: what is interrupted has begun all the same. */
        ACME_TRY(ctl_write_entry(store, &bring->entry, pool));
    }
    for (int i = 0; i < backup->accounts->nelts; i++) {
        if (bring->account_wanted[i]) {
            const acme_backup_account_t *one =
                &APR_ARRAY_IDX(backup->accounts, i, acme_backup_account_t);
            ACME_TRY(acme_store_replace_account(store, one->dir, &one->account,
                                                each));
        }
    }
    for (int i = 0; i < backup->sets->nelts; i++) {
        apr_pool_clear(each);
        ACME_TRY(acme_store_beat(store, apr_time_now(), pool));
        if (ctl_interrupted) {
            return acme_err_make(pool, ACME_E_RESTORE_HALF, NULL);
        }
        if (bring->set_wanted[i]) {
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

static ctl_exit_t make_store(ctl_t *ctl, const char *name)
{
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

ctl_exit_t ctl_bring_open(ctl_t *ctl, const char *user)
{
    struct stat st;
    /* One that was being made when its maker was killed has not become one. */
    if (stat(ctl->root, &st) != 0
        || acme_store_is_begun(ctl->root, ctl->pool)) {
        return make_store(ctl, user);
    }
    ctl_exit_t status = ctl_open(ctl);
    if (status == CTL_DONE && ctl_server_runs(ctl)) {
        status = ctl_say(ctl, ACME_E_CTL_SERVER_RUNS, ctl->root, NULL);
    }
    return status;
}

ctl_exit_t ctl_bring(ctl_t *ctl, ctl_bring_t *bring, acme_msg_t msg,
                     const char *from)
{
    bring->entry = ctl_entry(ctl, msg, "", apr_itoa(ctl->pool, bring->accounts),
                             apr_itoa(ctl->pool, bring->sets), from,
                             ctl_asked_by(ctl), NULL);
    return ctl_as_worker(ctl, carry_out, bring);
}
