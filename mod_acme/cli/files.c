#include "cli/files.h"

#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ctl_exit_t cannot(ctl_t *ctl, const char *path, const char *why)
{
    return ctl_say(ctl, ACME_E_CTL_TARGET, path, why, NULL);
}

static ctl_exit_t failed(ctl_t *ctl, const char *path)
{
    return cannot(ctl, path, strerror(errno));
}

#define BESIDE ".acmectl-"

static const char *beside(ctl_t *ctl, const char *name)
{
    unsigned char random[6] = { 0 };
    if (RAND_bytes(random, sizeof(random)) != 1) {
        random[0] = (unsigned char)getpid();
    }
    return apr_pstrcat(ctl->pool, name, BESIDE,
                       acme_encode_hex(random, sizeof(random), ctl->pool),
                       NULL);
}

/* --- the folder of what is written --------------------------------------------------- */

typedef struct folder_t {
    int fd;           /* locked: one acmectl writes into a folder at a time */
    const char *name; /* of the target in it */
} folder_t;

static int open_folder(folder_t *folder, const char *path, apr_pool_t *pool)
{
    const char *slash = strrchr(path, '/');
    const char *dir =
        !slash ? "."
        : slash == path
            ? "/"
            : apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));

    folder->name = slash ? slash + 1 : path;
    folder->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd < 0 ? -1 : 0;
}

/* "NAME.acmectl-0123456789ab" */
static int is_beside(const char *name, const char *target)
{
    size_t len = strlen(target);

    return !strncmp(name, target, len)
           && !strncmp(name + len, BESIDE, sizeof(BESIDE) - 1)
           && strlen(name + len) == sizeof(BESIDE) - 1 + 12
           && strspn(name + len + sizeof(BESIDE) - 1, "0123456789abcdef") == 12;
}

static void remove_at(int at, const char *name, const ctl_file_t *files,
                      int count)
{
    int fd;

    if (unlinkat(at, name, 0) == 0
        || (fd = openat(at, name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
               < 0) {
        return;
    }
    for (int i = 0; i < count; i++) {
        unlinkat(fd, files[i].name, 0);
    }
    close(fd);
    unlinkat(at, name, AT_REMOVEDIR);
}

/* What an acmectl has left that was killed: there may be keys in it. Without the lock
 * it might be another's that is at work, and stays. */
static void clean(const folder_t *folder, const ctl_file_t *files, int count)
{
    if (!acme_fsfile_lock(folder->fd)) {
        return;
    }
    DIR *dir = fdopendir(dup(folder->fd));
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        if (is_beside(entry->d_name, folder->name)) {
            remove_at(folder->fd, entry->d_name, files, count);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* --- one file ---------------------------------------------------------------------- */

static int write_all(int fd, const ctl_file_t *file)
{
    const char *data = file->data;
    apr_size_t left = file->len;

    while (left) {
        ssize_t done = write(fd, data, left);
        if (done < 0 && errno != EINTR) {
            return -1;
        }
        data += done > 0 ? done : 0;
        left -= done > 0 ? (apr_size_t)done : 0;
    }
    return 0;
}

/* Nobody else can read it at any moment before its owner and mode are right. */
static int write_new(int at, const char *name, const ctl_file_t *file)
{
    int fd = openat(at, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    int rv =
        (file->group != CTL_NO_GROUP && fchown(fd, (uid_t)-1, file->group) != 0)
                || fchmod(fd, file->mode) != 0 || write_all(fd, file) != 0
                || fsync(fd) != 0
            ? -1
            : 0;
    return close(fd) == 0 ? rv : -1;
}

/* A file takes the place of a file alone: /dev/stdout would be gone from this
 * machine, and a file "-" is not what whoever names it thinks of. */
static const char *why_not(const char *path)
{
    struct stat st;

    if (!strcmp(path, "-")) {
        return "it is not written to standard output (./- names a file)";
    }
    return stat(path, &st) != 0 || S_ISREG(st.st_mode)
               ? NULL
               : "there is something other than a file";
}

ctl_exit_t ctl_put_file(ctl_t *ctl, const char *path, const ctl_file_t *file)
{
    const char *why = why_not(path);
    folder_t folder;

    if (why) {
        return cannot(ctl, path, why);
    }
    if (open_folder(&folder, path, ctl->pool) != 0) {
        return failed(ctl, path);
    }
    clean(&folder, NULL, 0);
    const char *temp = beside(ctl, folder.name);
    ctl_exit_t status = CTL_DONE;
    if (write_new(folder.fd, temp, file) != 0
        || renameat(folder.fd, temp, folder.fd, folder.name) != 0) {
        status = failed(ctl, path);
        unlinkat(folder.fd, temp, 0);
    }
    else if (fsync(folder.fd) != 0) {
        status = failed(ctl, path);
    }
    close(folder.fd);
    return status;
}

/* --- a directory ------------------------------------------------------------------- */

static int is_ours(const char *name, const ctl_file_t *files, int count)
{
    for (int i = 0; i < count; i++) {
        if (!strcmp(name, files[i].name)) {
            return 1;
        }
    }
    return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Whether it may be replaced. @param there  0: there is none */
static ctl_exit_t look_at(ctl_t *ctl, const char *path, const ctl_file_t *files,
                          int count, int *there)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *there = fd >= 0;
    if (fd < 0) {
        return errno == ENOENT ? CTL_DONE : failed(ctl, path);
    }
    DIR *dir = fdopendir(fd);
    const char *other = NULL;
    struct dirent *entry;
    while (dir && !other && (entry = readdir(dir)) != NULL) {
        if (!is_ours(entry->d_name, files, count)) {
            other = acme_encode_printable(entry->d_name, 64, ctl->pool);
        }
    }
    if (!dir) {
        close(fd);
        return failed(ctl, path);
    }
    closedir(dir);
    return other ? cannot(
               ctl, path,
               apr_pstrcat(ctl->pool, "it has other files (", other, ")", NULL))
                 : CTL_DONE;
}

static int fill(int at, const char *name, const ctl_file_t *files, int count)
{
    if (mkdirat(at, name, 0700) != 0) {
        return -1;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rv = fd < 0 ? -1 : 0;
    for (int i = 0; rv == 0 && i < count; i++) {
        rv = write_new(fd, files[i].name, &files[i]);
    }
    if (rv == 0 && (fchmod(fd, 0755) != 0 || fsync(fd) != 0)) {
        rv = -1;
    }
    if (fd >= 0) {
        close(fd);
    }
    return rv;
}

static ctl_exit_t put_dir(ctl_t *ctl, const char *path, const folder_t *folder,
                          const ctl_file_t *files, int count)
{
    int there;
    ctl_exit_t status = look_at(ctl, path, files, count, &there);

    if (status != CTL_DONE) {
        return status;
    }
    clean(folder, files, count);
    const char *temp = beside(ctl, folder->name);
    if (fill(folder->fd, temp, files, count) != 0
        || renameat2(folder->fd, temp, folder->fd, folder->name,
                     there ? RENAME_EXCHANGE : RENAME_NOREPLACE)
               != 0) {
        status = failed(ctl, path);
        remove_at(folder->fd, temp, files, count);
        return status;
    }
    if (fsync(folder->fd) != 0) {
        status = failed(ctl, path);
    }
    if (there) {
        remove_at(folder->fd, temp, files, count); /* the one of before */
    }
    return status;
}

ctl_exit_t ctl_put_dir(ctl_t *ctl, const char *path, const ctl_file_t *files,
                       int count)
{
    folder_t folder;

    if (open_folder(&folder, path, ctl->pool) != 0) {
        return failed(ctl, path);
    }
    ctl_exit_t status = put_dir(ctl, path, &folder, files, count);
    close(folder.fd);
    return status;
}

/* --- reading ------------------------------------------------------------------------ */

typedef struct content_t {
    unsigned char *data;
    apr_size_t len;
} content_t;

static apr_status_t wipe(void *data)
{
    const content_t *content = data;
    OPENSSL_cleanse(content->data, content->len);
    return APR_SUCCESS;
}

/* Of size octets, and one more for a NUL. */
static content_t *make_room(ctl_t *ctl, apr_size_t size)
{
    content_t *content = apr_palloc(ctl->pool, sizeof(*content));

    content->data = apr_palloc(ctl->pool, size + 1);
    content->len = size;
    apr_pool_cleanup_register(ctl->pool, content, wipe, apr_pool_cleanup_null);
    return content;
}

static const char *fill_from(int fd, unsigned char *data, apr_size_t len)
{
    apr_size_t have = 0;

    while (have < len) {
        ssize_t got = read(fd, data + have, len - have);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            return got ? strerror(errno) : "it was cut while it was read";
        }
        have += got > 0 ? (apr_size_t)got : 0;
    }
    data[len] = '\0';
    return NULL;
}

const char *ctl_peek_file(ctl_t *ctl, const char *path, apr_size_t max,
                          const unsigned char **data, apr_size_t *len)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *why = NULL;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        why = strerror(errno);
    }
    else if (!S_ISREG(st.st_mode)) {
        why = "it is not a file";
    }
    else if (st.st_size > (off_t)max) {
        why = "it is too big";
    }
    else {
        content_t *content = make_room(ctl, (apr_size_t)st.st_size);
        why = fill_from(fd, content->data, content->len);
        *data = content->data;
        *len = content->len;
    }
    if (fd >= 0) {
        close(fd);
    }
    return why;
}

ctl_exit_t ctl_read_file(ctl_t *ctl, const char *path, apr_size_t max,
                         const unsigned char **data, apr_size_t *len)
{
    const char *why = ctl_peek_file(ctl, path, max, data, len);
    return why ? ctl_say(ctl, ACME_E_CTL_FILE, path, why, NULL) : CTL_DONE;
}
