/* Accounts that give way to others: kept beside them, account.json.1 ... .9, for one
 * who can make use of them. */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/store_impl.h"

typedef struct aside_t {
    const acme_store_t *store;
    const char *dir;
    int stays; /* until another takes its place */
} aside_t;

static int is_same(const acme_place_t *place, const char *name,
                   const acme_fsfile_entry_t *entry, apr_pool_t *scratch)
{
    const char *data = NULL;
    apr_size_t len;
    acme_err_t *err =
        acme_fsfile_read(&data, &len, place, name, ACME_FSFILE_ANYONE, scratch);

    return !err && data && len == entry->len && !memcmp(data, entry->data, len);
}

/* The first free number; of too many the last is lost. NULL: it is there already, of
 * one who was killed behind this. */
static acme_err_t *choose_name(acme_fsfile_entry_t *entry,
                               const acme_place_t *place, apr_pool_t *scratch)
{
    char *name = apr_pstrdup(scratch, ACME_STORE_ACCOUNT ".1");
    char *digit = &name[strlen(name) - 1];
    struct stat st;

    entry->name = name;
    while (fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (entry->data && is_same(place, name, entry, scratch)) {
            entry->name = NULL;
            return NULL;
        }
        if (*digit == '9') {
            return NULL;
        }
        ++*digit;
    }
    return errno == ENOENT ? NULL
                           : acme_fsfile_error("examine", place, name, scratch);
}

/* A copy first: at no moment is there neither. */
static acme_err_t *set_aside(void *baton, apr_pool_t *scratch)
{
    const aside_t *aside = baton;
    acme_fsfile_entry_t entry = { NULL, 0600, NULL, 0 };
    const char *data = NULL;
    acme_place_t *place;

    ACME_TRY(acme_fsfile_enter(&place, &aside->store->parts[ACME_PART_ACCOUNTS],
                               aside->dir, scratch));
    if (!place) {
        return NULL;
    }
    acme_err_t *unread =
        acme_fsfile_read(&data, &entry.len, place, ACME_STORE_ACCOUNT,
                         ACME_FSFILE_ANYONE, scratch);
    if (unread && !acme_store_is_damage(unread)) {
        return unread; /* for a moment perhaps: it may be as good as ever */
    }
    if (!unread && !data) {
        return NULL;
    }
    entry.data = unread ? NULL : data;
    ACME_TRY(choose_name(&entry, place, scratch));
    if (unread) { /* a link, or a directory in its place */
        return acme_fsfile_rename(place, ACME_STORE_ACCOUNT, entry.name,
                                  scratch);
    }
    if (entry.name) {
        ACME_TRY(acme_fsfile_put(place, &entry, scratch));
    }
    return aside->stays
               ? NULL
               : acme_fsfile_remove(place, ACME_STORE_ACCOUNT, scratch);
}

static acme_err_t *commit_aside(acme_store_t *store, const char *account_dir,
                                int stays, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    aside_t aside = { store, account_dir, stays };
    acme_err_t *err = acme_store_check_name(account_dir, sub);

    if (!err) {
        err = acme_store_commit(store, set_aside, &aside, sub);
    }
    return acme_store_leave(err, sub, scratch);
}

acme_err_t *acme_store_set_account_aside(acme_store_t *store,
                                         const char *account_dir,
                                         apr_pool_t *scratch)
{
    return commit_aside(store, account_dir, 0, scratch);
}

acme_err_t *acme_store_replace_account(acme_store_t *store,
                                       const char *account_dir,
                                       const acme_account_t *account,
                                       apr_pool_t *scratch)
{
    ACME_TRY(commit_aside(store, account_dir, 1, scratch));
    return acme_store_put_account(store, account_dir, account, scratch);
}
