/* From the worker's fresh/ into service: done by root, who trusts nothing that
 * he reads there, before the children start. */
#include <apr_strings.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/fit.h"
#include "engine/store_impl.h"

typedef struct promotion_t {
    acme_store_t *store;
    const char *dir;
    acme_family_t family;
    const apr_array_header_t *allowed;
    apr_time_t now;
    acme_promotion_t *how;
} promotion_t;

/* --- may it go into service? --------------------------------------------------------- */

/* What was there when root last looked: the set to be replaced or, before the first
 * one, the placeholder. */
static const apr_array_header_t *names_before(const promotion_t *p,
                                              const acme_record_t *replaced,
                                              apr_pool_t *pool)
{
    const apr_array_header_t *before =
        replaced ? replaced->idents
                 : acme_store_placeholder_idents(p->store, p->dir, pool);

    return p->how->former ? apr_array_append(pool, before, p->how->former)
                          : before;
}

static acme_err_t *check_set(const promotion_t *p, const acme_set_t *set,
                             const acme_record_t *replaced, apr_pool_t *pool)
{
    const acme_fit_t fit = { p->dir, p->family, p->allowed,
                             names_before(p, replaced, pool), p->now };

    ACME_TRY(acme_fit_set(&fit, set->chain, set->key, pool));
    const char *why =
        p->how->try ? p->how->try(p->how->baton, set, pool) : NULL;
    return why ? acme_err_make(pool, ACME_E_PROMOTE, p->dir,
                               acme_family_name(p->family), why, NULL)
               : NULL;
}

/* --- writing ------------------------------------------------------------------------- */

/* What the certificate says replaces what the worker says of it. */
static acme_err_t *settle_record(acme_record_t *record, const promotion_t *p,
                                 const acme_set_t *set, int number,
                                 apr_pool_t *pool)
{
    record->name = APR_ARRAY_IDX(p->allowed, 0, const acme_ident_t *)->value;
    record->number = number;
    if (acme_key_type_of(&record->key_type, set->key) != 0) {
        return acme_err_make(pool, ACME_E_PROMOTE, p->dir,
                             acme_family_name(p->family),
                             "its key is of no known type", NULL);
    }
    return acme_record_describe(record, set->chain->leaf, pool);
}

static acme_err_t *write_set(const acme_place_t *place, const promotion_t *p,
                             const acme_set_t *set, apr_pool_t *scratch)
{
    const char *chain, *key, *json;
    int number = set->record->number;

    ACME_TRY(acme_chain_to_pem(&chain, set->chain, scratch));
    ACME_TRY(acme_key_to_pem(&key, set->key, scratch));
    set->record->files =
        acme_store_digest(chain, strlen(chain), key, strlen(key), scratch);
    set->record->from = ACME_RECORD_IN_SERVICE;
    ACME_TRY(acme_record_format(&json, set->record, scratch));
    const acme_fsfile_entry_t files[] = {
        { "chain.pem", 0644, chain, strlen(chain) },
        { "key.pem", 0600, key, strlen(key) },
        { "record.json", 0644, json, strlen(json) },
    };
    const acme_fsfile_dir_t dir = { 0755, files, 3, 1 };
    const char *name = acme_store_set_name(p->family, number, scratch);
    /* One of this number may be there of a promotion that was cut off before
     * the next step: it is not in service, and is replaced. */
    ACME_TRY(acme_fsfile_put_dir(place, name, &dir, scratch));
    if (acme_store_linked(p->store, p->dir, p->family) == number) {
        return NULL;
    }
    return acme_fsfile_put_link(place, acme_family_name(p->family), name,
                                scratch);
}

static acme_err_t *prune_archive(const promotion_t *p, apr_pool_t *scratch)
{
    apr_array_header_t *numbers;
    acme_place_t *archive;

    ACME_TRY(acme_fsfile_enter(&archive, &p->store->parts[ACME_PART_ARCHIVE],
                               p->dir, scratch));
    if (!archive) {
        return NULL;
    }
    acme_fsfile_clean(archive, scratch);
    ACME_TRY(acme_store_numbers(&numbers, archive, NULL, p->family, scratch));
    for (int i = ACME_STORE_ARCHIVED; i < numbers->nelts; i++) {
        ACME_TRY(acme_fsfile_remove_dir(
            archive,
            acme_store_set_name(p->family, APR_ARRAY_IDX(numbers, i, int),
                                scratch),
            scratch));
    }
    return NULL;
}

/* All sets but the one in service. */
static acme_err_t *archive_others(const acme_place_t *place,
                                  const promotion_t *p, int in_service,
                                  apr_pool_t *scratch)
{
    apr_array_header_t *numbers;
    acme_place_t *archive = NULL;

    ACME_TRY(acme_store_numbers(&numbers, place, NULL, p->family, scratch));
    for (int i = 0; i < numbers->nelts; i++) {
        int number = APR_ARRAY_IDX(numbers, i, int);
        if (number == in_service) {
            continue;
        }
        if (!archive) {
            ACME_TRY(acme_fsfile_make(&archive,
                                      &p->store->parts[ACME_PART_ARCHIVE],
                                      p->dir, 0700, scratch));
        }
        ACME_TRY(acme_fsfile_move_dir(
            place, archive, acme_store_set_name(p->family, number, scratch),
            scratch));
    }
    return prune_archive(p, scratch);
}

static acme_err_t *put_into_service(const promotion_t *p, acme_set_t *set,
                                    int number, apr_pool_t *scratch)
{
    acme_place_t *place;

    ACME_TRY(settle_record(set->record, p, set, number, scratch));
    ACME_TRY(acme_fsfile_make(&place, &p->store->parts[ACME_PART_CERTIFICATES],
                              p->dir, 0755, scratch));
    acme_fsfile_clean(place, scratch);
    ACME_TRY(write_set(place, p, set, scratch));
    /* It is in service now. What fails from here on is done next time. */
    acme_err_t *later = archive_others(place, p, number, scratch);
    (void)later;
    return NULL;
}

/* --- choosing ------------------------------------------------------------------------ */

/* Numbers are not for the worker to use up: what is in service has the last one. */
#define AHEAD 100000

static acme_err_t *try_one(acme_set_t **set, const promotion_t *p, int number,
                           const acme_record_t *replaced, apr_pool_t *scratch)
{
    acme_set_t *read;

    if (number - AHEAD > acme_store_linked(p->store, p->dir, p->family)) {
        return acme_err_make(scratch, ACME_E_PROMOTE, p->dir,
                             acme_family_name(p->family),
                             "its number is too far ahead", NULL);
    }
    ACME_TRY(acme_store_read_fresh(
        &read, p->store, p->dir,
        acme_store_set_name(p->family, number, scratch), scratch));
    ACME_TRY(check_set(p, read, replaced, scratch));
    acme_err_t *err = put_into_service(p, read, number, scratch);
    if (err) {
        p->how->unwritten = 1;
        return err;
    }
    *set = read;
    return NULL;
}

/* The set's own record says when it was issued: all that the worker could do with
 * it is to choose the moment. */
static int is_early(const promotion_t *p, int number,
                    const acme_record_t *replaced, apr_pool_t *scratch)
{
    acme_set_t *read;
    apr_time_t due;

    if (!p->how->delay
        || acme_store_read_fresh(
            &read, p->store, p->dir,
            acme_store_set_name(p->family, number, scratch), scratch)) {
        return 0; /* what is wrong is told when it is tried */
    }
    due = acme_record_ready(read->record, p->how->delay, p->now);
    return p->now < due && (!replaced || p->now < replaced->not_after);
}

static acme_err_t *give_reason(acme_err_t *err, const promotion_t *p,
                               apr_pool_t *pool)
{
    if (err->msg == ACME_E_PROMOTE) {
        return err;
    }
    return acme_err_make(pool, ACME_E_PROMOTE, p->dir,
                         acme_family_name(p->family), acme_err_line(err, pool),
                         NULL);
}

static int is_newer(const promotion_t *p, int number,
                    const acme_record_t *replaced)
{
    return number > acme_store_in_service(p->store, p->dir, p->family)
           && (!replaced || number >= replaced->number);
}

/* Newest first; one that may not go into service is passed over for the next
 * older, as long as that is newer than what is in service. */
static acme_err_t *try_newest(acme_set_t **set, const promotion_t *p,
                              const apr_array_header_t *numbers,
                              const acme_record_t *replaced,
                              apr_pool_t *scratch)
{
    acme_err_t *first = NULL;

    for (int i = 0; i < numbers->nelts && i < ACME_STORE_TRIES && !*set; i++) {
        int number = APR_ARRAY_IDX(numbers, i, int);
        if (!is_newer(p, number, replaced)) {
            break;
        }
        if (is_early(p, number, replaced, scratch)) {
            p->how->waits = 1;
            continue;
        }
        acme_err_t *err = try_one(set, p, number, replaced, scratch);
        first = first ? first : err;
    }
    return *set ? NULL : first;
}

/* All are early, and none has ever been promoted: the oldest is the one that
 * serves, live, or should have been the first to. */
static acme_err_t *try_oldest(acme_set_t **set, const promotion_t *p,
                              const apr_array_header_t *numbers,
                              apr_pool_t *scratch)
{
    int first = numbers->nelts - 1;
    acme_err_t *last = NULL;

    for (int i = first; i >= 0 && first - i < ACME_STORE_TRIES && !*set; i--) {
        last = try_one(set, p, APR_ARRAY_IDX(numbers, i, int), NULL, scratch);
        p->how->waits = i > 0;
    }
    return *set ? NULL : last;
}

static acme_err_t *promote_locked(acme_set_t **set, const promotion_t *p,
                                  const apr_array_header_t *numbers,
                                  apr_pool_t *scratch)
{
    acme_record_t *replaced = NULL;

    /* Damage there is told by whoever serves it; here it is to be mended. */
    acme_err_t *damage =
        acme_store_current(&replaced, p->store, p->dir, p->family, scratch);
    (void)damage;
    acme_err_t *err = try_newest(set, p, numbers, replaced, scratch);
    if (!*set && !replaced && p->how->waits) {
        err = try_oldest(set, p, numbers, scratch);
    }
    return err ? give_reason(err, p, scratch) : NULL;
}

/* Whether there are just the directories of what is in service: their parent
 * has two links and one for each. Where a file system does not count so, no. */
static int is_tidy(const promotion_t *p)
{
    struct stat st;
    nlink_t links = 2;

    if (fstatat(p->store->parts[ACME_PART_CERTIFICATES].fd, p->dir, &st,
                AT_SYMLINK_NOFOLLOW)
        != 0) {
        return 0;
    }
    for (int family = 0; family < ACME_FAMILIES; family++) {
        links += acme_store_linked(p->store, p->dir, (acme_family_t)family) > 0;
    }
    return st.st_nlink == links;
}

/* The same of the archive, by one look: of one family, it has no more sets than
 * are kept. */
static int is_small(const promotion_t *p)
{
    struct stat st;

    return fstatat(p->store->parts[ACME_PART_ARCHIVE].fd, p->dir, &st,
                   AT_SYMLINK_NOFOLLOW)
               != 0
           || (st.st_nlink >= 2 && st.st_nlink <= 2 + ACME_STORE_ARCHIVED);
}

/* @param but  the set that is to be there
 *  @return how many others are, and more than are kept for a put not finished */
static int count_others(const promotion_t *p, acme_part_t part, int but,
                        apr_pool_t *scratch)
{
    apr_array_header_t *names = NULL;
    int found = 0;
    acme_err_t *err =
        acme_fsfile_list(&names, &p->store->parts[part], p->dir, scratch);

    for (int i = 0; !err && names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        int number = acme_store_set_number(name, p->family);
        found += number && number != but;
        found += acme_fsfile_is_temporary(name) ? ACME_STORE_ARCHIVED + 1 : 0;
    }
    return found;
}

/* Whether a promotion was cut off after its set went into service. */
static int is_unfinished(const promotion_t *p, int in_service,
                         apr_pool_t *scratch)
{
    return (!is_tidy(p)
            && count_others(p, ACME_PART_CERTIFICATES, in_service, scratch))
           || (!is_small(p)
               && count_others(p, ACME_PART_ARCHIVE, 0, scratch)
                      > ACME_STORE_ARCHIVED);
}

static acme_err_t *finish(const promotion_t *p, int in_service,
                          apr_pool_t *scratch)
{
    acme_place_t *place;

    ACME_TRY(acme_fsfile_make(&place, &p->store->parts[ACME_PART_CERTIFICATES],
                              p->dir, 0755, scratch));
    acme_fsfile_clean(place, scratch);
    return archive_others(place, p, in_service, scratch);
}

static acme_err_t *promote(acme_set_t **set, const promotion_t *p,
                           apr_pool_t *scratch)
{
    apr_array_header_t *numbers;
    int lock;

    acme_err_t *err =
        acme_store_numbers(&numbers, &p->store->parts[ACME_PART_FRESH], p->dir,
                           p->family, scratch);
    if (err) {
        return give_reason(err, p, scratch);
    }
    if (numbers->nelts == 0) {
        return NULL;
    }
    int in_service = acme_store_in_service(p->store, p->dir, p->family);
    int newer = APR_ARRAY_IDX(numbers, 0, int) > in_service;
    if (!newer && !is_unfinished(p, in_service, scratch)) {
        return NULL;
    }
    if (newer && p->allowed->nelts == 0) {
        return acme_err_make(scratch, ACME_E_PROMOTE, p->dir,
                             acme_family_name(p->family),
                             "no name is configured for it", NULL);
    }
    ACME_TRY(acme_store_lock_root(&lock, p->store, scratch));
    if (newer) {
        err = promote_locked(set, p, numbers, scratch);
    }
    else {
        /* Nothing but tidiness depends on it. */
        acme_err_t *later = finish(p, in_service, scratch);
        (void)later;
    }
    close(lock);
    return err;
}

acme_err_t *acme_store_promote(acme_record_t **promoted, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               acme_promotion_t *how, apr_pool_t *pool)
{
    const promotion_t p = { store, dir, family, how->allowed, how->now, how };
    apr_pool_t *sub = acme_store_subpool(pool);
    acme_set_t *set = NULL;
    acme_record_t *record = NULL;

    acme_err_t *err = acme_store_check_name(dir, sub);
    if (!err) {
        err = promote(&set, &p, sub);
    }
    if (!err && set) {
        acme_store_acquit(store, dir, family);
        err = acme_store_copy_record(&record, set->record, pool, sub);
    }
    ACME_TRY(acme_store_leave(err, sub, pool));
    *promoted = record;
    return NULL;
}
