#include "engine/store.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store_impl.h"

#define LOCK_FILE "lock"

typedef struct layout_t {
    acme_part_t part;
    const char *name;
    mode_t mode;
    int worker; /* belongs to the worker */
} layout_t;

static const layout_t layout[ACME_PARTS] = {
    { ACME_PART_CERTIFICATES, "certificates", 0755, 0 },
    { ACME_PART_PLACEHOLDER, "placeholder", 0700, 0 },
    { ACME_PART_ARCHIVE, "archive", 0700, 0 },
    { ACME_PART_CONTROL, "control", 0755, 0 },
    { ACME_PART_ACCOUNTS, "accounts", 0700, 1 },
    { ACME_PART_WORK, "work", 0700, 1 },
    { ACME_PART_FRESH, "fresh", 0700, 1 },
    { ACME_PART_KEYS, "keys", 0700, 1 },
    { ACME_PART_REPLIES, "replies", 0700, 1 },
    { ACME_PART_JOURNAL, "journal", 0700, 1 },
    { ACME_PART_AUDIT, "audit", 0700, 1 },
};

static acme_err_t *io_error(const char *verb, const char *path,
                            apr_pool_t *pool)
{
    return acme_err_os(pool, errno, ACME_E_STORE_IO, verb, path, NULL);
}

/* As acme_fsfile_read tells it: not the disk is at fault. */
static acme_err_t *not_a_directory(const char *path, apr_pool_t *pool)
{
    return errno == ENOTDIR || errno == ELOOP
               ? acme_err_make(pool, ACME_E_STORE_DAMAGED, path,
                               "it is not a directory", NULL)
               : io_error("open the directory", path, pool);
}

static apr_status_t store_close(void *data)
{
    acme_store_t *store = data;

    OPENSSL_cleanse(store->secret, sizeof(store->secret));
    for (int i = 0; i < ACME_PARTS; i++) {
        if (store->parts[i].fd >= 0) {
            close(store->parts[i].fd);
        }
    }
    if (store->base.fd >= 0) {
        close(store->base.fd);
    }
    return APR_SUCCESS;
}

/* --- ownership ------------------------------------------------------------------- */

acme_err_t *acme_store_check_owner(const struct stat *st, uid_t owner,
                                   mode_t forbidden, const char *path,
                                   apr_pool_t *pool)
{
    if (st->st_uid != owner) {
        return acme_err_make(
            pool, ACME_E_STORE_OWNER, path,
            apr_psprintf(pool,
                         "it belongs to user %ld, it should belong to user %ld",
                         (long)st->st_uid, (long)owner),
            NULL);
    }
    if (st->st_mode & forbidden) {
        return acme_err_make(
            pool, ACME_E_STORE_OWNER, path,
            apr_psprintf(
                pool,
                "its permissions are %04o, others than its owner may %s it",
                (unsigned)(st->st_mode & 07777),
                st->st_mode & forbidden & 022 ? "write" : "read"),
            NULL);
    }
    return NULL;
}

/* To the worker, if it is not: as long as it is root's, nobody else had it in
 * his hands, and an earlier start has died before this step. */
static acme_err_t *hand_over(int fd, struct stat *st, const acme_store_t *store,
                             const char *path, apr_pool_t *pool)
{
    if (st->st_uid != store->owner || st->st_uid == store->worker) {
        return NULL;
    }
    acme_fsfile_step();
    if (fchown(fd, store->worker, store->worker_gid) != 0) {
        return io_error("change the owner of", path, pool);
    }
    st->st_uid = store->worker;
    return NULL;
}

static acme_err_t *settle_part(const acme_place_t *place, const layout_t *l,
                               const acme_store_t *store, int create,
                               apr_pool_t *pool)
{
    struct stat st;

    if (fstat(place->fd, &st) != 0) {
        return io_error("examine", place->path, pool);
    }
    if (l->worker && create) {
        ACME_TRY(hand_over(place->fd, &st, store, place->path, pool));
    }
    ACME_TRY(acme_store_check_owner(
        &st, l->worker ? store->worker : store->owner, 022, place->path, pool));
    acme_fsfile_step();
    /* Also where a start has died before this step, and whatever the umask. */
    if (create && (st.st_mode & 07777) != l->mode
        && fchmod(place->fd, l->mode) != 0) {
        return io_error("set the permissions of", place->path, pool);
    }
    return NULL;
}

static acme_err_t *open_part(acme_store_t *store, const layout_t *l, int create,
                             apr_pool_t *pool)
{
    acme_place_t *place = &store->parts[l->part];

    place->path = acme_fsfile_path(&store->base, l->name, store->pool);
    int made = create && acme_fsfile_make_dir(&store->base, l->name) == 0;
    if (create && !made && errno != EEXIST) {
        return io_error("make the directory", place->path, pool);
    }
    store->made |= made;
    place->fd = openat(store->base.fd, l->name,
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place->fd < 0) {
        return not_a_directory(place->path, pool);
    }
    return settle_part(place, l, store, create, pool);
}

/* Made here, since the worker cannot make a file in root's directory. */
static acme_err_t *make_lock_file(acme_store_t *store, apr_pool_t *pool)
{
    struct stat st;
    acme_err_t *err = NULL;
    int fd =
        openat(store->base.fd, LOCK_FILE,
               O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0) {
        return io_error("open", store->lock_path, pool);
    }
    if (fstat(fd, &st) != 0) {
        err = io_error("examine", store->lock_path, pool);
    }
    else if (!S_ISREG(st.st_mode)) {
        err = acme_err_make(pool, ACME_E_STORE_DAMAGED, store->lock_path,
                            "it is not a regular file", NULL);
    }
    if (!err) {
        err = hand_over(fd, &st, store, store->lock_path, pool);
    }
    if (!err) {
        err = acme_store_check_owner(&st, store->worker, 022, store->lock_path,
                                     pool);
    }
    if (!err && (st.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0) {
        err = io_error("set the permissions of", store->lock_path, pool);
    }
    close(fd);
    return err;
}

/* --- opening --------------------------------------------------------------------- */

static acme_err_t *open_base(acme_store_t *store,
                             const acme_store_options_t *options,
                             apr_pool_t *pool)
{
    const char *path = store->base.path;
    struct stat st;

    acme_fsfile_step();
    store->made =
        options->create && mkdir(path, 0700) == 0 && chmod(path, 0700) == 0;

    if (options->create && !store->made && errno != EEXIST) {
        return io_error("make the directory", path, pool);
    }
    store->base.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->base.fd < 0 || fstat(store->base.fd, &st) != 0) {
        return not_a_directory(path, pool);
    }
    ACME_TRY(acme_store_check_owner(&st, store->owner, 022, path, pool));
    /* One that was there before may be another's by mistake: nothing is taken
     * from its permissions, and no more given than passing through. */
    mode_t mode = store->made ? 0711 : (st.st_mode & 07777) | 0011;
    if (options->create && (st.st_mode & 07777) != mode
        && fchmod(store->base.fd, mode) != 0) {
        return io_error("set the permissions of", path, pool);
    }
    return NULL;
}

/* Who has made the base may read what is above it, as a rule; where not, that has to
 * do without. */
static acme_err_t *flush_above(const acme_store_t *store, apr_pool_t *pool)
{
    int fd = openat(store->base.fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    acme_err_t *err =
        fd >= 0 && fsync(fd) != 0
            ? io_error("flush the directory of", store->base.path, pool)
            : NULL;

    if (fd >= 0) {
        close(fd);
    }
    return err;
}

static acme_err_t *open_all(acme_store_t *store,
                            const acme_store_options_t *options,
                            apr_pool_t *pool)
{
    ACME_TRY(open_base(store, options, pool));
    if (store->made) {
        ACME_TRY(flush_above(store, pool));
    }
    ACME_TRY(acme_store_settle_secret(store, options->create, pool));
    for (int i = 0; i < ACME_PARTS; i++) {
        ACME_TRY(open_part(store, &layout[i], options->create, pool));
    }
    if (options->create) {
        ACME_TRY(make_lock_file(store, pool));
    }
    acme_fsfile_step();
    return store->made && fsync(store->base.fd) != 0
               ? io_error("flush the directory", store->base.path, pool)
               : NULL;
}

static acme_store_t *make_store(const acme_store_options_t *options,
                                apr_pool_t *pool)
{
    acme_store_t *made = apr_pcalloc(pool, sizeof(*made));

    made->pool = pool;
    made->opener = geteuid();
    made->verdicts = apr_hash_make(pool);
    made->base.fd = -1;
    made->base.path = apr_pstrdup(pool, options->root);
    for (int i = 0; i < ACME_PARTS; i++) {
        made->parts[i].fd = -1;
    }
    made->lock_path = acme_fsfile_path(&made->base, LOCK_FILE, pool);
    made->owner = geteuid();
    made->worker = made->owner == 0 ? options->worker_uid : made->owner;
    made->worker_gid = made->owner == 0 ? options->worker_gid : getegid();
    apr_pool_cleanup_register(pool, made, store_close, apr_pool_cleanup_null);
    return made;
}

static int is_part(const char *name)
{
    for (int i = 0; i < ACME_PARTS; i++) {
        if (!strcmp(name, layout[i].name)) {
            return 1;
        }
    }
    return !strcmp(name, ACME_STORE_FILE) || acme_fsfile_is_temporary(name);
}

int acme_store_is_begun(const char *root, apr_pool_t *scratch)
{
    const acme_place_t above = { AT_FDCWD, root };
    apr_array_header_t *names = NULL;
    acme_err_t *err = acme_fsfile_list(&names, &above, root, scratch);
    int begun = !err && names;

    for (int i = 0; begun && i < names->nelts; i++) {
        begun = is_part(APR_ARRAY_IDX(names, i, const char *));
    }
    return begun;
}

acme_err_t *acme_store_open(acme_store_t **store,
                            const acme_store_options_t *options,
                            apr_pool_t *pool)
{
    acme_store_t *made = make_store(options, pool);
    apr_pool_t *sub = acme_store_subpool(pool);

    ACME_TRY(acme_store_leave(open_all(made, options, sub), sub, pool));
    *store = made;
    return NULL;
}

/* --- opening what is left ---------------------------------------------------------- */

/* Whether others could have written here: then no digest is proof. */
static int is_open_to_others(const acme_store_t *store, const struct stat *st)
{
    return st->st_uid != store->owner || (st->st_mode & 022) != 0;
}

/* Not through a symlink, and of root, or of the worker: after a chown -R of
 * everything the sites shall go on. Nobody else's file is handed to mod_ssl. */
static acme_err_t *open_rest_part(acme_store_t *store, acme_part_t which,
                                  apr_pool_t *pool)
{
    acme_place_t *place = &store->parts[which];
    struct stat st;

    place->path =
        acme_fsfile_path(&store->base, layout[which].name, store->pool);
    place->fd = openat(store->base.fd, layout[which].name,
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place->fd < 0 || fstat(place->fd, &st) != 0) {
        return io_error("open the directory", place->path, pool);
    }
    store->wary |= is_open_to_others(store, &st);
    return acme_store_check_owner(
        &st, st.st_uid == store->worker ? store->worker : store->owner, 0,
        place->path, pool);
}

/* What was issued serves on, though it was not promoted yet, where the trouble
 * is with other parts. */
static acme_err_t *open_promotion(acme_store_t *store, apr_pool_t *pool)
{
    static const acme_part_t parts[] = { ACME_PART_CERTIFICATES,
                                         ACME_PART_ARCHIVE,
                                         ACME_PART_PLACEHOLDER,
                                         ACME_PART_FRESH };
    struct stat st;

    if (fstat(store->base.fd, &st) != 0) {
        return io_error("examine", store->base.path, pool);
    }
    ACME_TRY(
        acme_store_check_owner(&st, store->owner, 022, store->base.path, pool));
    ACME_TRY(acme_store_settle_secret(store, 0, pool));
    for (apr_size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const acme_place_t *place = &store->parts[parts[i]];
        const layout_t *l = &layout[parts[i]];

        ACME_TRY(place->fd >= 0 ? settle_part(place, l, store, 0, pool)
                                : open_part(store, l, 0, pool));
    }
    return NULL;
}

int acme_store_can_promote(const acme_store_t *store)
{
    return !store->bars_promotion;
}

acme_err_t *acme_store_open_rest(acme_store_t **store,
                                 const acme_store_options_t *options,
                                 apr_pool_t *pool)
{
    acme_store_t *made = make_store(options, pool);
    struct stat st;

    made->base.fd =
        open(options->root, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    if (made->base.fd < 0 || fstat(made->base.fd, &st) != 0) {
        return io_error("open the directory", made->base.path, pool);
    }
    made->wary = is_open_to_others(made, &st);
    ACME_TRY(open_rest_part(made, ACME_PART_CERTIFICATES, pool));
    /* Without an archive there is less to fall back to. */
    acme_err_t *err = open_rest_part(made, ACME_PART_ARCHIVE, pool);
    (void)err;
    made->bars_promotion = open_promotion(made, pool) != NULL;
    *store = made;
    return NULL;
}

int acme_store_is_opener(const acme_store_t *store)
{
    return geteuid() == store->opener;
}

acme_lease_t *acme_store_make_lease(const acme_store_t *store, apr_pool_t *pool)
{
    return acme_lease_create(store->lock_path, &store->parts[ACME_PART_WORK],
                             pool);
}

void acme_store_set_lease(acme_store_t *store, acme_lease_t *lease)
{
    store->lease = lease;
}

acme_err_t *acme_store_prove(const acme_store_t *store, apr_pool_t *scratch)
{
    return store->lease ? acme_lease_prove(store->lease, scratch) : NULL;
}

acme_err_t *acme_store_beat(acme_store_t *store, apr_time_t now,
                            apr_pool_t *scratch)
{
    return store->lease ? acme_lease_beat(store->lease, now, scratch) : NULL;
}

const char *acme_store_lock_path(const acme_store_t *store)
{
    return store->lock_path;
}

/* --- what the files of the store share --------------------------------------------- */

apr_pool_t *acme_store_subpool(apr_pool_t *pool)
{
    apr_pool_t *sub;

    /* Out of memory ends the process in APR, as everywhere in httpd. */
    apr_pool_create(&sub, pool);
    return sub;
}

acme_err_t *acme_store_leave(acme_err_t *err, apr_pool_t *sub, apr_pool_t *pool)
{
    acme_err_t *kept = err ? acme_err_dup(err, pool) : NULL;

    apr_pool_destroy(sub);
    return kept;
}

int acme_store_doubts(const acme_err_t *err)
{
    return err && err->msg != ACME_E_STORE_IO;
}

acme_err_t *acme_store_check_name(const char *dir, apr_pool_t *pool)
{
    if (dir[0] == '\0' || dir[0] == '.' || strchr(dir, '/')
        || strlen(dir) > 255) {
        return acme_err_make(pool, ACME_E_STORE_NAME, dir, NULL);
    }
    return NULL;
}

acme_err_t *acme_store_lock_root(int *fd, const acme_store_t *store,
                                 apr_pool_t *pool)
{
    const char *path = acme_fsfile_path(&store->base, ACME_STORE_FILE, pool);
    int opened = openat(store->base.fd, ACME_STORE_FILE,
                        O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (opened < 0) {
        return io_error("open", path, pool);
    }
    while (flock(opened, LOCK_EX) != 0) {
        if (errno != EINTR) {
            acme_err_t *err = io_error("lock", path, pool);
            close(opened);
            return err;
        }
    }
    *fd = opened;
    return NULL;
}

/* All that is written in the worker's part is so by way of stage. */
static void set_stage(acme_store_t *store, const acme_place_t *stage)
{
    for (int i = 0; i < ACME_PARTS; i++) {
        store->parts[layout[i].part].stage = layout[i].worker ? stage : NULL;
    }
}

static acme_err_t *commit_staged(acme_store_t *store, acme_commit_fn_t *commit,
                                 void *baton, apr_pool_t *scratch)
{
    ACME_TRY(acme_lease_prove(store->lease, scratch));
    set_stage(store, acme_lease_stage(store->lease));
    acme_err_t *err = commit(baton, scratch);
    set_stage(store, NULL);
    /* Without its stage it fails somewhere, or finds nothing to do. */
    ACME_TRY(acme_lease_prove(store->lease, scratch));
    return err;
}

acme_err_t *acme_store_commit(acme_store_t *store, acme_commit_fn_t *commit,
                              void *baton, apr_pool_t *scratch)
{
    /* What root made there the worker could not replace; and root must not
     * tread where the worker can lay traps. */
    if (geteuid() != store->worker) {
        return acme_err_make(scratch, ACME_E_STORE_ROLE,
                             store->parts[ACME_PART_FRESH].path, NULL);
    }
    return store->lease ? commit_staged(store, commit, baton, scratch)
                        : commit(baton, scratch);
}

const char *acme_store_set_name(acme_family_t family, int number,
                                apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s.%d", acme_family_name(family), number);
}

int acme_store_set_number(const char *name, acme_family_t family)
{
    const char *prefix = acme_family_name(family);
    size_t len = strlen(prefix);

    if (strncmp(name, prefix, len) != 0 || name[len] != '.') {
        return 0;
    }
    const char *digits = name + len + 1;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 9 || digits[count] || digits[0] == '0') {
        return 0;
    }
    return atoi(digits);
}

static int descending(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;

    return (left < right) - (left > right);
}

acme_err_t *acme_store_numbers(apr_array_header_t **numbers,
                               const acme_place_t *part, const char *dir,
                               acme_family_t family, apr_pool_t *pool)
{
    apr_array_header_t *names;
    apr_array_header_t *found = apr_array_make(pool, 4, sizeof(int));

    ACME_TRY(acme_fsfile_list(&names, part, dir, pool));
    for (int i = 0; names && i < names->nelts; i++) {
        int number = acme_store_set_number(
            APR_ARRAY_IDX(names, i, const char *), family);
        if (number) {
            APR_ARRAY_PUSH(found, int) = number;
        }
    }
    qsort(found->elts, (size_t)found->nelts, sizeof(int), descending);
    *numbers = found;
    return NULL;
}
