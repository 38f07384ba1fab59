#include "engine/owned.h"

#include <apr_errno.h>
#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINKS  40 /* as Linux */
#define MAX_TARGET 4096

typedef struct walk_t {
    const char *done; /* the way so far, without links; "" is the root */
    const char *rest; /* still to go */
    int links;
    apr_pool_t *pool;
} walk_t;

static const char *os_fault(const char *path, apr_pool_t *pool)
{
    char buffer[128];
    apr_status_t rv = APR_FROM_OS_ERROR(errno);

    return apr_pstrcat(pool, path, ": ",
                       apr_strerror(rv, buffer, sizeof(buffer)), NULL);
}

static int can_be_changed(const struct stat *st)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return 1;
    }
    /* the mode of a link means nothing */
    return !S_ISLNK(st->st_mode) && (st->st_mode & 022)
           && !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX));
}

/* The way goes on where the link says. */
static const char *follow(walk_t *walk, const char *link)
{
    char target[MAX_TARGET];
    ssize_t len = readlink(link, target, sizeof(target) - 1);

    if (len < 0) {
        return os_fault(link, walk->pool);
    }
    target[len] = '\0';
    if (++walk->links > MAX_LINKS) {
        return apr_pstrcat(walk->pool, "too many symbolic links at ", link,
                           NULL);
    }
    if (*target == '/') {
        walk->done = "";
    }
    walk->rest = apr_pstrcat(walk->pool, target, "/", walk->rest, NULL);
    return NULL;
}

static const char *enter(walk_t *walk, const char *path)
{
    struct stat st;

    if (lstat(*path ? path : "/", &st) != 0) {
        return os_fault(path, walk->pool);
    }
    if (can_be_changed(&st)) {
        return apr_pstrcat(walk->pool, "others than root can change ",
                           *path ? path : "/", NULL);
    }
    if (S_ISLNK(st.st_mode)) {
        return follow(walk, path);
    }
    walk->done = path;
    return NULL;
}

const char *acme_owned_fault(const char *path, apr_pool_t *pool)
{
    walk_t walk = { "", path, 0, pool };
    const char *fault = enter(&walk, "");

    while (!fault && *(walk.rest += strspn(walk.rest, "/"))) {
        apr_size_t len = strcspn(walk.rest, "/");
        const char *name = apr_pstrmemdup(pool, walk.rest, len);
        const char *up = strrchr(walk.done, '/');

        walk.rest += len;
        if (!strcmp(name, "..")) {
            walk.done = apr_pstrmemdup(pool, walk.done,
                                       up ? (apr_size_t)(up - walk.done) : 0);
        }
        else if (strcmp(name, ".")) {
            fault = enter(&walk, apr_pstrcat(pool, walk.done, "/", name, NULL));
        }
    }
    return fault;
}
