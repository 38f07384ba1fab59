/* The half of fsfile.h that changes nothing. */
#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/fsfile.h"

/* Something else stands where a file or directory of ours should: that stays so
 * until somebody takes it away, unlike a disk that is full or away. */
static acme_err_t *open_error(const char *verb, const acme_place_t *place,
                              const char *name, apr_pool_t *pool)
{
    const char *how = errno == ELOOP     ? "it is a symbolic link"
                      : errno == ENXIO   ? "it is not a regular file"
                      : errno == ENOTDIR ? "it is not a directory"
                                         : NULL;

    return how ? acme_err_make(pool, ACME_E_STORE_DAMAGED,
                               acme_fsfile_path(place, name, pool), how, NULL)
               : acme_fsfile_error(verb, place, name, pool);
}

static apr_status_t place_close(void *data)
{
    const acme_place_t *place = data;

    close(place->fd);
    return APR_SUCCESS;
}

acme_err_t *acme_fsfile_enter(acme_place_t **place, const acme_place_t *parent,
                              const char *name, apr_pool_t *pool)
{
    int fd = openat(parent->fd, name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        *place = NULL;
        return NULL;
    }
    if (fd < 0) {
        return open_error("open the directory", parent, name, pool);
    }
    acme_place_t *made = apr_palloc(pool, sizeof(*made));
    made->fd = fd;
    made->path = acme_fsfile_path(parent, name, pool);
    made->stage = parent->stage;
    apr_pool_cleanup_register(pool, made, place_close, apr_pool_cleanup_null);
    *place = made;
    return NULL;
}

acme_err_t *acme_fsfile_list(apr_array_header_t **names,
                             const acme_place_t *parent, const char *name,
                             apr_pool_t *pool)
{
    /* Not dup: the position of a duplicate is shared with its original, and
     * with every process that has inherited it. */
    int fd = openat(parent->fd, name ? name : ".",
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        *names = NULL;
        return NULL;
    }
    if (fd < 0) {
        return open_error("open the directory", parent, name ? name : "", pool);
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        acme_err_t *err = acme_fsfile_error("read the directory", parent,
                                            name ? name : "", pool);
        close(fd);
        return err;
    }
    apr_array_header_t *found = apr_array_make(pool, 4, sizeof(const char *));
    struct dirent *entry;
    errno = 0;
    while (found->nelts < ACME_FSFILE_LIST && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
            APR_ARRAY_PUSH(found, const char *) =
                apr_pstrdup(pool, entry->d_name);
        }
        errno = 0;
    }
    /* What breaks off is not all there is. */
    acme_err_t *err = errno ? acme_fsfile_error("read the directory", parent,
                                                name ? name : "", pool)
                            : NULL;
    closedir(dir);
    *names = err ? NULL : found;
    return err;
}

static acme_err_t *check_readable(const struct stat *st,
                                  const acme_place_t *place, const char *name,
                                  uid_t owner, apr_pool_t *pool)
{
    if (!S_ISREG(st->st_mode)) {
        return acme_err_make(pool, ACME_E_STORE_DAMAGED,
                             acme_fsfile_path(place, name, pool),
                             "it is not a regular file", NULL);
    }
    if (owner != ACME_FSFILE_ANYONE && st->st_uid != owner) {
        return acme_err_make(
            pool, ACME_E_STORE_OWNER, acme_fsfile_path(place, name, pool),
            apr_psprintf(pool, "it should be of user %ld, not %ld", (long)owner,
                         (long)st->st_uid),
            NULL);
    }
    /* Of our own files nobody else can make links that do harm; whoever keeps
     * backups by links does. None at all: it was replaced just now. */
    if (owner != ACME_FSFILE_ANYONE && owner != geteuid() && st->st_nlink > 1) {
        return acme_err_make(pool, ACME_E_STORE_OWNER,
                             acme_fsfile_path(place, name, pool),
                             "it has a second name (hard link)", NULL);
    }
    if (st->st_size > ACME_FSFILE_MAX) {
        return acme_err_make(pool, ACME_E_STORE_DAMAGED,
                             acme_fsfile_path(place, name, pool),
                             "it is larger than 1 MiB", NULL);
    }
    return NULL;
}

/* Up to size octets: a file that grows under our eyes is not followed. */
static int read_all(int fd, char *buffer, apr_size_t size, apr_size_t *len)
{
    apr_size_t done = 0;

    while (done < size) {
        ssize_t got = read(fd, buffer + done, size - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += (apr_size_t)got;
    }
    *len = done;
    return 0;
}

acme_err_t *acme_fsfile_read(const char **data, apr_size_t *len,
                             const acme_place_t *place, const char *name,
                             uid_t owner, apr_pool_t *pool)
{
    struct stat st;
    acme_err_t *err;
    /* O_NONBLOCK: a FIFO put there must not make us wait. */
    int fd = openat(place->fd, name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        *data = NULL;
        *len = 0;
        return NULL;
    }
    if (fd < 0) {
        return open_error("open", place, name, pool);
    }
    if (fstat(fd, &st) != 0) {
        err = acme_fsfile_error("examine", place, name, pool);
    }
    else {
        err = check_readable(&st, place, name, owner, pool);
    }
    if (!err) {
        char *buffer = apr_palloc(pool, (apr_size_t)st.st_size + 1);
        if (read_all(fd, buffer, (apr_size_t)st.st_size, len) != 0) {
            err = acme_fsfile_error("read", place, name, pool);
        }
        else {
            buffer[*len] = '\0';
            *data = buffer;
        }
    }
    close(fd);
    return err;
}

int acme_fsfile_is_there(const acme_place_t *place, const char *name)
{
    struct stat st;

    return fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(st.st_mode) && st.st_size > 0;
}
