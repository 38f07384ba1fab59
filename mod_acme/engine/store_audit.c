/* The audit trail's files: appended to by the worker, under the lease, and read by
 * whoever may. Their names are numbers that grow; the oldest go. */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store_impl.h"

#define SUFFIX      ".jsonl"
#define DIGITS      10
#define FILE_MAX    (512 * 1024) /* then another one is begun */
#define FILES_MAX   32
#define ANCHOR_FILE "audit.json"

typedef struct append_t {
    acme_store_t *store;
    const char *line;
    acme_audit_end_t end;
} append_t;

/* A billion files of half a megabyte are never written: who made one of a higher
 * number was not us. Behind 9999999999 there would be no name of ten digits, and not
 * every long has room for such a number. */
static int is_name(const char *name)
{
    return *name == '0' && strspn(name, "0123456789") == DIGITS
           && !strcmp(name + DIGITS, SUFFIX);
}

static int is_strange(const char *name)
{
    size_t len = strlen(name);

    return len >= strlen(SUFFIX) && !strcmp(name + len - strlen(SUFFIX), SUFFIX)
           && !is_name(name);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static acme_err_t *list(apr_array_header_t **names, const acme_place_t *part,
                        int (*is_wanted)(const char *), apr_pool_t *pool)
{
    apr_array_header_t *all;
    apr_array_header_t *found = apr_array_make(pool, 8, sizeof(const char *));

    ACME_TRY(acme_fsfile_list(&all, part, NULL, pool));
    for (int i = 0; all && i < all->nelts; i++) {
        const char *name = APR_ARRAY_IDX(all, i, const char *);
        if (is_wanted(name)) {
            APR_ARRAY_PUSH(found, const char *) = name;
        }
    }
    qsort(found->elts, (size_t)found->nelts, sizeof(const char *), compare);
    *names = found;
    return NULL;
}

acme_err_t *acme_store_list_audit(apr_array_header_t **names,
                                  acme_store_t *store, apr_pool_t *pool)
{
    return list(names, &store->parts[ACME_PART_AUDIT], is_name, pool);
}

acme_err_t *acme_store_list_audit_strangers(apr_array_header_t **paths,
                                            acme_store_t *store,
                                            apr_pool_t *pool)
{
    const acme_place_t *part = &store->parts[ACME_PART_AUDIT];

    ACME_TRY(list(paths, part, is_strange, pool));
    for (int i = 0; i < (*paths)->nelts; i++) {
        const char **name = &APR_ARRAY_IDX(*paths, i, const char *);
        *name = acme_fsfile_path(part, *name, pool);
    }
    return NULL;
}

/* One that was killed when it had made room has left one less. */
int acme_store_audit_is_rotated(const apr_array_header_t *names)
{
    return names->nelts >= FILES_MAX - 1;
}

acme_err_t *acme_store_get_audit(const char **text, apr_size_t *len,
                                 acme_store_t *store, const char *name,
                                 apr_pool_t *pool)
{
    const acme_place_t *part = &store->parts[ACME_PART_AUDIT];
    acme_err_t *err;

    *text = NULL;
    if (!is_name(name)) {
        return acme_err_make(pool, ACME_E_STORE_NAME, name, NULL);
    }
    err = acme_fsfile_read(text, len, part, name, store->worker, pool);
    /* Behind one that cannot be read another is begun, for good: it is not left for
     * a moment's trouble. */
    return err && err->msg == ACME_E_STORE_IO
               ? acme_fsfile_read(text, len, part, name, store->worker, pool)
               : err;
}

/* @param last  NULL: there is none */
static acme_err_t *next_name(const char **name, const acme_place_t *place,
                             const char *last, apr_pool_t *pool)
{
    long number = last ? strtol(last, NULL, 10) : 0;

    *name = apr_psprintf(pool, "%0*ld" SUFFIX, DIGITS, number + 1);
    return is_name(*name)
               ? NULL
               : acme_err_make(pool, ACME_E_AUDIT_NUMBER,
                               acme_fsfile_path(place, last, pool), NULL);
}

static acme_err_t *write_open(int fd, const append_t *what, const char *name,
                              const char *line, apr_pool_t *scratch)
{
    size_t len = strlen(line);

    /* Opened before our epoch was over: a later one has put a copy in its place
     * (own_last), and what is written here is read by nobody. */
    ACME_TRY(acme_store_prove(what->store, scratch));
    acme_fsfile_step();
    ssize_t written = write(fd, line, len);
    if (written == (ssize_t)len && fdatasync(fd) == 0) {
        return NULL;
    }
    errno = written >= 0 && written < (ssize_t)len ? ENOSPC : errno;
    return acme_fsfile_error("write", &what->store->parts[ACME_PART_AUDIT],
                             name, scratch);
}

static acme_err_t *write_line(const append_t *what, const char *name,
                              const char *line, apr_pool_t *scratch)
{
    const acme_place_t *place = &what->store->parts[ACME_PART_AUDIT];
    struct stat st;
    acme_err_t *err;
    /* O_NONBLOCK: a FIFO put there must not make us wait, nor take the line. */
    int fd = openat(place->fd, name,
                    O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return acme_fsfile_error("open", place, name, scratch);
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        err = write_open(fd, what, name, line, scratch);
    }
    else {
        err = acme_err_os(scratch, EINVAL, ACME_E_STORE_IO, "write",
                          acme_fsfile_path(place, name, scratch), NULL);
    }
    close(fd);
    return err;
}

static acme_err_t *own_last(void *baton, apr_pool_t *scratch)
{
    acme_store_t *store = baton;
    const acme_place_t *place = &store->parts[ACME_PART_AUDIT];
    apr_array_header_t *names;
    acme_fsfile_entry_t entry = { NULL, 0600, NULL, 0 };
    const char *text = NULL;

    ACME_TRY(acme_store_list_audit(&names, store, scratch));
    if (!names->nelts) {
        return NULL;
    }
    entry.name = APR_ARRAY_IDX(names, names->nelts - 1, const char *);
    acme_err_t *unusable =
        acme_store_get_audit(&text, &entry.len, store, entry.name, scratch);
    if (unusable) {
        return NULL; /* nobody adds to it: another one will be begun */
    }
    entry.data = text;
    return text ? acme_fsfile_put(place, &entry, scratch) : NULL;
}

acme_err_t *acme_store_own_audit(acme_store_t *store, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);

    return acme_store_leave(
        store->lease ? acme_store_commit(store, own_last, store, sub) : NULL,
        sub, scratch);
}

static acme_err_t *append(void *baton, apr_pool_t *scratch)
{
    const append_t *what = baton;
    const acme_place_t *place = &what->store->parts[ACME_PART_AUDIT];
    apr_array_header_t *names;
    struct stat st;

    ACME_TRY(acme_store_list_audit(&names, what->store, scratch));
    const char *last =
        names->nelts ? APR_ARRAY_IDX(names, names->nelts - 1, const char *)
                     : NULL;
    if (!last || what->end == ACME_AUDIT_UNUSABLE
        || (fstatat(place->fd, last, &st, AT_SYMLINK_NOFOLLOW) == 0
            && st.st_size >= FILE_MAX)) {
        const char *line = apr_pstrcat(scratch, what->line, "\n", NULL);
        acme_fsfile_entry_t entry = { NULL, 0600, line, strlen(line) };
        ACME_TRY(next_name(&entry.name, place, last, scratch));
        for (int i = 0; i <= names->nelts - FILES_MAX; i++) {
            ACME_TRY(acme_fsfile_remove(
                place, APR_ARRAY_IDX(names, i, const char *), scratch));
        }
        return acme_fsfile_put(place, &entry, scratch);
    }
    return write_line(what, last,
                      apr_pstrcat(scratch,
                                  what->end == ACME_AUDIT_HALF ? "\n" : "",
                                  what->line, "\n", NULL),
                      scratch);
}

acme_err_t *acme_store_append_audit(acme_store_t *store, const char *line,
                                    acme_audit_end_t end, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    append_t what = { store, line, end };

    return acme_store_leave(acme_store_commit(store, append, &what, sub), sub,
                            scratch);
}

acme_err_t *acme_store_get_anchor(const char **json, apr_size_t *len,
                                  acme_store_t *store, apr_pool_t *pool)
{
    return acme_fsfile_read(json, len, &store->base, ANCHOR_FILE, store->owner,
                            pool);
}

acme_err_t *acme_store_put_anchor(acme_store_t *store, const char *json,
                                  apr_pool_t *scratch)
{
    const acme_fsfile_entry_t entry = { ANCHOR_FILE, 0600, json, strlen(json) };
    int lock;

    ACME_TRY(acme_store_lock_root(&lock, store, scratch));
    acme_err_t *err = acme_fsfile_put(&store->base, &entry, scratch);
    close(lock);
    return err;
}
