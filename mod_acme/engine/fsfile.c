#include "engine/fsfile.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/encode.h"

#define LOOKS       100
#define LOOK_EVERY  20 /* milliseconds */
#define TEMP_PREFIX ".new-"
#define TEMP_LENGTH (sizeof(TEMP_PREFIX) - 1 + 16)

/* The only names a directory of ours may hold; nothing else is ever unlinked
 * below it. */
static const char *const own_files[] = {
    "chain.pem",
    "record.json",
    "key.pem",
    "key",
};
#define OWN_FILES (sizeof(own_files) / sizeof(own_files[0]))

static int steps_left, steps_frozen;

void acme_fsfile_crash_at(int steps)
{
    steps_left = steps;
}

void acme_fsfile_freeze_at(int steps)
{
    steps_frozen = steps;
}

/* Called before each change to the file system. */
static int crash_now(void)
{
    if (steps_frozen > 0 && --steps_frozen == 0) {
        raise(SIGSTOP);
    }
    return steps_left > 0 && --steps_left == 0;
}

void acme_fsfile_step(void)
{
    if (crash_now()) {
        _exit(42);
    }
}

const char *acme_fsfile_path(const acme_place_t *place, const char *name,
                             apr_pool_t *pool)
{
    return apr_pstrcat(pool, place->path, "/", name, NULL);
}

acme_err_t *acme_fsfile_error(const char *verb, const acme_place_t *place,
                              const char *name, apr_pool_t *pool)
{
    apr_status_t rv = errno;

    return acme_err_os(pool, rv, ACME_E_STORE_IO, verb,
                       acme_fsfile_path(place, name, pool), NULL);
}

int acme_fsfile_lock(int fd)
{
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i == LOOKS) {
            return 0;
        }
        poll(NULL, 0, LOOK_EVERY);
    }
    return 1;
}

/* --- names of our own -------------------------------------------------------- */

static void temporary_name(char name[TEMP_LENGTH + 1])
{
    unsigned char random[8];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        /* Uniqueness is all that is asked for, and O_EXCL has the last word. */
        memset(random, 0, sizeof(random));
        snprintf((char *)random, sizeof(random), "%x", (unsigned)getpid());
    }
    memcpy(name, TEMP_PREFIX, sizeof(TEMP_PREFIX));
    apr_escape_hex(name + sizeof(TEMP_PREFIX) - 1, random, sizeof(random), 0,
                   NULL);
}

static int is_new(const char *name)
{
    return strlen(name) == TEMP_LENGTH
           && strncmp(name, TEMP_PREFIX, sizeof(TEMP_PREFIX) - 1) == 0
           && strspn(name + sizeof(TEMP_PREFIX) - 1, "0123456789abcdef") == 16;
}

int acme_fsfile_is_temporary(const char *name)
{
    return is_new(name)
           || !strncmp(name, ACME_FSFILE_STAGE, sizeof(ACME_FSFILE_STAGE) - 1);
}

static const acme_place_t *stage_of(const acme_place_t *place)
{
    return place->stage ? place->stage : place;
}

/* --- making directories --------------------------------------------------------- */

/* A umask may have taken even our own permission to enter. Nobody but us can
 * have put anything else there by now. */
static int make_dir(const acme_place_t *parent, const char *name)
{
    acme_fsfile_step();
    return mkdirat(parent->fd, name, 0700) == 0
                   && fchmodat(parent->fd, name, 0700, 0) == 0
               ? 0
               : -1;
}

int acme_fsfile_make_dir(const acme_place_t *parent, const char *name)
{
    char temp[TEMP_LENGTH + 1];

    if (!parent->stage) {
        return make_dir(parent, name);
    }
    temporary_name(temp);
    if (make_dir(parent->stage, temp) != 0) {
        return -1;
    }
    acme_fsfile_step();
    if (renameat(parent->stage->fd, temp, parent->fd, name) == 0) {
        return 0;
    }
    int failed = errno == ENOTEMPTY ? EEXIST : errno;
    unlinkat(parent->stage->fd, temp, AT_REMOVEDIR);
    errno = failed;
    return -1;
}

/* Exactly this mode, also where a writer died before it could set it. */
static acme_err_t *settle_mode(const acme_place_t *place, mode_t mode,
                               apr_pool_t *pool)
{
    struct stat st;

    if (fstat(place->fd, &st) == 0
        && ((st.st_mode & 07777) == mode || fchmod(place->fd, mode) == 0)) {
        return NULL;
    }
    return acme_err_os(pool, errno, ACME_E_STORE_IO, "set the permissions of",
                       place->path, NULL);
}

acme_err_t *acme_fsfile_make(acme_place_t **place, const acme_place_t *parent,
                             const char *name, mode_t mode, apr_pool_t *pool)
{
    acme_place_t *made;

    ACME_TRY(acme_fsfile_enter(&made, parent, name, pool));
    if (!made) {
        if (acme_fsfile_make_dir(parent, name) != 0 && errno != EEXIST) {
            return acme_fsfile_error("make the directory", parent, name, pool);
        }
        ACME_TRY(acme_fsfile_enter(&made, parent, name, pool));
        acme_fsfile_step();
        if (!made || fsync(parent->fd) != 0) {
            return acme_fsfile_error("make the directory", parent, name, pool);
        }
    }
    ACME_TRY(settle_mode(made, mode, pool));
    *place = made;
    return NULL;
}

/* --- writing ----------------------------------------------------------------- */

static int write_all(int fd, const char *data, apr_size_t len)
{
    if (crash_now()) {
        ssize_t half = write(fd, data, len / 2);
        _exit(half < 0 ? 43 : 42);
    }
    while (len > 0) {
        ssize_t done = write(fd, data, len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -1;
        }
        data += done;
        len -= (apr_size_t)done;
    }
    return 0;
}

static int flush(int fd)
{
    acme_fsfile_step();
    return fsync(fd);
}

static acme_err_t *write_new(const acme_place_t *place, const char *name,
                             const acme_fsfile_entry_t *entry, int flushed,
                             apr_pool_t *pool)
{
    acme_err_t *err = NULL;

    acme_fsfile_step();
    int fd = openat(place->fd, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return acme_fsfile_error("make", place, name, pool);
    }
    if (fchmod(fd, entry->mode) != 0) {
        err = acme_fsfile_error("set the permissions of", place, name, pool);
    }
    else if (write_all(fd, entry->data, entry->len) != 0) {
        err = acme_fsfile_error("write", place, name, pool);
    }
    else if (flushed && flush(fd) != 0) {
        err = acme_fsfile_error("flush", place, name, pool);
    }
    if (close(fd) != 0 && !err) {
        err = acme_fsfile_error("finish writing", place, name, pool);
    }
    return err;
}

/* rename(2) puts no file in place of a directory: there is none by our own
 * doing, but one would hold us up for ever. */
static int rename_file(const acme_place_t *place, const char *from,
                       const char *to, apr_pool_t *scratch)
{
    acme_fsfile_step();
    int failed = renameat(stage_of(place)->fd, from, place->fd, to);
    if (failed && errno == EISDIR
        && !acme_fsfile_remove_dir(place, to, scratch)) {
        failed = renameat(stage_of(place)->fd, from, place->fd, to);
    }
    return failed;
}

static acme_err_t *rename_over(const acme_place_t *place, const char *from,
                               const char *to, apr_pool_t *scratch)
{
    if (rename_file(place, from, to, scratch) != 0) {
        acme_err_t *err = acme_fsfile_error("put in place", place, to, scratch);
        unlinkat(stage_of(place)->fd, from, 0);
        return err;
    }
    if (flush(place->fd) != 0) {
        return acme_fsfile_error("flush the directory of", place, to, scratch);
    }
    return NULL;
}

acme_err_t *acme_fsfile_put(const acme_place_t *place,
                            const acme_fsfile_entry_t *entry,
                            apr_pool_t *scratch)
{
    char temp[TEMP_LENGTH + 1];

    temporary_name(temp);
    acme_err_t *err = write_new(stage_of(place), temp, entry, 1, scratch);
    if (err) {
        unlinkat(stage_of(place)->fd, temp, 0);
        return acme_err_wrap(err, scratch, entry->name);
    }
    return rename_over(place, temp, entry->name, scratch);
}

acme_err_t *acme_fsfile_put_link(const acme_place_t *place, const char *name,
                                 const char *target, apr_pool_t *scratch)
{
    char temp[TEMP_LENGTH + 1];

    temporary_name(temp);
    acme_fsfile_step();
    if (symlinkat(target, stage_of(place)->fd, temp) != 0) {
        return acme_fsfile_error("make the link", place, name, scratch);
    }
    return rename_over(place, temp, name, scratch);
}

/* --- directories as a whole ---------------------------------------------------- */

static acme_err_t *remove_contents(const acme_place_t *place, const char *name,
                                   apr_pool_t *scratch)
{
    acme_place_t *doomed;
    struct stat st;

    /* What was in the way of a directory may be anything. */
    if (fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
        && !S_ISDIR(st.st_mode)) {
        return unlinkat(place->fd, name, 0) == 0
                   ? NULL
                   : acme_fsfile_error("remove", place, name, scratch);
    }
    ACME_TRY(acme_fsfile_enter(&doomed, place, name, scratch));
    if (!doomed) {
        return NULL;
    }
    for (unsigned i = 0; i < OWN_FILES; i++) {
        acme_fsfile_step();
        if (unlinkat(doomed->fd, own_files[i], 0) != 0 && errno != ENOENT) {
            return acme_fsfile_error("remove", doomed, own_files[i], scratch);
        }
    }
    acme_fsfile_step();
    if (unlinkat(place->fd, name, AT_REMOVEDIR) != 0) {
        return acme_fsfile_error("remove the directory", place, name, scratch);
    }
    return NULL;
}

/* Take name away, to a name of our own in the stage that is left in aside. "" if
 * there was nothing. */
static acme_err_t *put_aside(char aside[TEMP_LENGTH + 1],
                             const acme_place_t *place, const char *name,
                             apr_pool_t *scratch)
{
    temporary_name(aside);
    acme_fsfile_step();
    if (renameat(place->fd, name, stage_of(place)->fd, aside) == 0) {
        return NULL;
    }
    if (errno != ENOENT) {
        return acme_fsfile_error("remove", place, name, scratch);
    }
    aside[0] = '\0';
    return NULL;
}

/* What keeps foreign files stays beside: a stage must not be held up by it. */
static acme_err_t *remove_aside(const acme_place_t *place, const char *aside,
                                apr_pool_t *scratch)
{
    acme_err_t *err = remove_contents(stage_of(place), aside, scratch);

    if (err && place->stage) {
        (void)renameat(place->stage->fd, aside, place->fd, aside);
    }
    return err;
}

acme_err_t *acme_fsfile_remove_dir(const acme_place_t *place, const char *name,
                                   apr_pool_t *scratch)
{
    char aside[TEMP_LENGTH + 1];

    ACME_TRY(put_aside(aside, place, name, scratch));
    return aside[0] ? remove_aside(place, aside, scratch) : NULL;
}

/* rename(2) replaces an empty directory only: an older one of this name has to
 * be put aside first. */
static acme_err_t *move_over(const acme_place_t *from, const char *name,
                             const acme_place_t *to, const char *final,
                             apr_pool_t *scratch)
{
    char aside[TEMP_LENGTH + 1];

    acme_fsfile_step();
    if (renameat(from->fd, name, to->fd, final) == 0) {
        return NULL;
    }
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
        return acme_fsfile_error("put in place", to, final, scratch);
    }
    ACME_TRY(put_aside(aside, to, final, scratch));
    acme_fsfile_step();
    if (renameat(from->fd, name, to->fd, final) != 0) {
        return acme_fsfile_error("put in place", to, final, scratch);
    }
    /* The new one must be sure to be there before the old one goes. */
    if (flush(to->fd) != 0) {
        return acme_fsfile_error("flush the directory of", to, final, scratch);
    }
    if (aside[0]) {
        /* Its remains are passed over by every reader. */
        acme_err_t *kept = remove_aside(to, aside, scratch);
        (void)kept;
    }
    return NULL;
}

acme_err_t *acme_fsfile_move_dir(const acme_place_t *from,
                                 const acme_place_t *to, const char *name,
                                 apr_pool_t *scratch)
{
    ACME_TRY(move_over(from, name, to, name, scratch));
    if (flush(to->fd) != 0 || flush(from->fd) != 0) {
        return acme_fsfile_error("flush the directory of", from, name, scratch);
    }
    return NULL;
}

/* rename(2) from one name to another of a place could not be stopped. */
acme_err_t *acme_fsfile_rename(const acme_place_t *place, const char *name,
                               const char *final, apr_pool_t *scratch)
{
    char aside[TEMP_LENGTH + 1];

    ACME_TRY(put_aside(aside, place, name, scratch));
    if (!aside[0]) {
        return NULL;
    }
    if (rename_file(place, aside, final, scratch) != 0) {
        acme_err_t *err =
            acme_fsfile_error("put in place", place, final, scratch);
        (void)renameat(stage_of(place)->fd, aside, place->fd, name);
        return err;
    }
    return flush(place->fd) == 0 ? NULL
                                 : acme_fsfile_error("flush the directory of",
                                                     place, final, scratch);
}

static acme_err_t *fill_dir(const acme_place_t *place, const char *temp,
                            const acme_fsfile_dir_t *dir, apr_pool_t *scratch)
{
    acme_place_t *made;

    if (acme_fsfile_make_dir(place, temp) != 0) {
        return acme_fsfile_error("make the directory", place, temp, scratch);
    }
    ACME_TRY(acme_fsfile_enter(&made, place, temp, scratch));
    if (!made) {
        errno = ENOENT;
        return acme_fsfile_error("open the directory", place, temp, scratch);
    }
    for (int i = 0; i < dir->count; i++) {
        ACME_TRY(write_new(made, dir->entries[i].name, &dir->entries[i],
                           dir->flush, scratch));
    }
    if (fchmod(made->fd, dir->mode) != 0) {
        return acme_fsfile_error("set the permissions of", place, temp,
                                 scratch);
    }
    if (dir->flush && flush(made->fd) != 0) {
        return acme_fsfile_error("flush", place, temp, scratch);
    }
    return NULL;
}

acme_err_t *acme_fsfile_put_dir(const acme_place_t *place, const char *name,
                                const acme_fsfile_dir_t *dir,
                                apr_pool_t *scratch)
{
    char temp[TEMP_LENGTH + 1];

    temporary_name(temp);
    const acme_place_t *stage = stage_of(place);
    acme_err_t *err = fill_dir(stage, temp, dir, scratch);
    if (!err) {
        err = move_over(stage, temp, place, name, scratch);
    }
    if (!err && dir->flush && flush(place->fd) != 0) {
        err = acme_fsfile_error("flush the directory of", place, name, scratch);
    }
    if (err) {
        /* A second failure would only hide the first. */
        acme_err_t *again = remove_contents(stage, temp, scratch);
        (void)again;
        return acme_err_wrap(err, scratch, name);
    }
    return NULL;
}

acme_err_t *acme_fsfile_remove(const acme_place_t *place, const char *name,
                               apr_pool_t *scratch)
{
    struct stat st;

    if (place->stage) { /* unlink(2) could not be stopped */
        return acme_fsfile_remove_dir(place, name, scratch);
    }
    acme_fsfile_step();
    if (unlinkat(place->fd, name, 0) == 0 || errno == ENOENT) {
        return NULL;
    }
    int failed = errno;
    if (fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
        && S_ISDIR(st.st_mode)) {
        return acme_fsfile_remove_dir(place, name, scratch);
    }
    errno = failed;
    return acme_fsfile_error("remove", place, name, scratch);
}

void acme_fsfile_clean(const acme_place_t *place, apr_pool_t *scratch)
{
    apr_array_header_t *names = NULL;
    acme_err_t *err = acme_fsfile_list(&names, place, NULL, scratch);

    for (int i = 0; !err && names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        if (!is_new(name)) {
            continue;
        }
        acme_fsfile_step();
        if (unlinkat(place->fd, name, 0) != 0
            && (errno == EISDIR || errno == EPERM)) {
            /* What cannot be removed is passed over by every reader. */
            acme_err_t *kept = remove_contents(place, name, scratch);
            (void)kept;
        }
    }
}
