#include "engine/fence.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One that is not frozen but slow goes on making files for a while. */
#define REMOVE_TRIES 100

static const char *name_of(apr_int64_t epoch, apr_pool_t *pool)
{
    return apr_psprintf(pool, ACME_FSFILE_STAGE "%" APR_INT64_T_FMT, epoch);
}

/* @return 0: it is the name of something else */
static apr_int64_t epoch_of(const char *name)
{
    const size_t len = sizeof(ACME_FSFILE_STAGE) - 1;
    char *end;

    if (strncmp(name, ACME_FSFILE_STAGE, len) != 0) {
        return 0;
    }
    long long epoch = strtoll(name + len, &end, 10);
    return *end == '\0' && epoch > 0 && epoch < ACME_FENCE_MAX ? epoch : 0;
}

acme_err_t *acme_fence_highest(apr_int64_t *epoch, const acme_place_t *ground,
                               apr_pool_t *scratch)
{
    apr_array_header_t *names;

    *epoch = 0;
    ACME_TRY(acme_fsfile_list(&names, ground, NULL, scratch));
    for (int i = 0; names && i < names->nelts; i++) {
        apr_int64_t other = epoch_of(APR_ARRAY_IDX(names, i, const char *));
        *epoch = other > *epoch ? other : *epoch;
    }
    return NULL;
}

static acme_err_t *empty(const acme_place_t *stage, const acme_place_t *ground,
                         int again, apr_pool_t *scratch)
{
    apr_array_header_t *names;

    ACME_TRY(acme_fsfile_list(&names, stage, NULL, scratch));
    for (int i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        acme_fsfile_step();
        if (!again) {
            acme_err_t *left = acme_fsfile_remove(stage, name, scratch);
            (void)left;
        }
        else if (unlinkat(stage->fd, name, 0) != 0
                 && unlinkat(stage->fd, name, AT_REMOVEDIR) != 0) {
            /* It holds what is not ours to remove: beside, where every reader
             * passes over it. */
            (void)renameat(stage->fd, name, ground->fd, name);
        }
    }
    return NULL;
}

/* Once it is removed, rename(2) out of it and into it fails for those who have it
 * open, and so does making anything in it. */
static acme_err_t *remove_one(const acme_place_t *ground, const char *name,
                              apr_pool_t *scratch)
{
    acme_place_t *stage;

    for (int i = 0; i < REMOVE_TRIES; i++) {
        ACME_TRY(acme_fsfile_enter(&stage, ground, name, scratch));
        if (!stage) {
            return NULL;
        }
        stage->stage = NULL;
        ACME_TRY(empty(stage, ground, i > 0, scratch));
        acme_fsfile_step();
        if (unlinkat(ground->fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return NULL;
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            break;
        }
    }
    return acme_fsfile_error("remove", ground, name, scratch);
}

static acme_err_t *remove_before(const acme_place_t *ground, apr_int64_t epoch,
                                 apr_pool_t *scratch)
{
    apr_array_header_t *names;

    ACME_TRY(acme_fsfile_list(&names, ground, NULL, scratch));
    for (int i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        apr_int64_t other = epoch_of(name);
        if (other && other < epoch) {
            ACME_TRY(remove_one(ground, name, scratch));
        }
    }
    return NULL;
}

/* A later one may be there by now. One that comes from now on removes ours. */
static acme_err_t *raise_made(acme_place_t **stage, const acme_place_t *ground,
                              apr_int64_t epoch, apr_pool_t *pool,
                              apr_pool_t *scratch)
{
    acme_place_t *made = NULL;
    apr_int64_t highest;

    ACME_TRY(acme_fence_highest(&highest, ground, scratch));
    if (highest > epoch) {
        return NULL;
    }
    ACME_TRY(remove_before(ground, epoch, scratch));
    ACME_TRY(acme_fsfile_enter(&made, ground, name_of(epoch, scratch), pool));
    if (made) {
        made->stage = NULL;
    }
    *stage = made;
    return NULL;
}

acme_err_t *acme_fence_raise(acme_place_t **stage, const acme_place_t *ground,
                             apr_int64_t epoch, apr_pool_t *pool,
                             apr_pool_t *scratch)
{
    const char *name = name_of(epoch, scratch);

    *stage = NULL;
    if (acme_fsfile_make_dir(ground, name) != 0) {
        return errno == EEXIST ? NULL
                               : acme_fsfile_error("make the directory", ground,
                                                   name, scratch);
    }
    acme_err_t *err = raise_made(stage, ground, epoch, pool, scratch);
    if (!*stage) {
        unlinkat(ground->fd, name, AT_REMOVEDIR);
    }
    return err;
}

acme_err_t *acme_fence_look(int *stands, const acme_place_t *ground,
                            apr_int64_t epoch, apr_pool_t *scratch)
{
    const char *name = name_of(epoch, scratch);
    struct stat st;

    if (fstatat(ground->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        *stands = 1;
        return NULL;
    }
    *stands = 0;
    return errno == ENOENT || errno == ESTALE
               ? NULL
               : acme_fsfile_error("examine", ground, name, scratch);
}

void acme_fence_lower(const acme_place_t *ground, apr_int64_t epoch,
                      apr_pool_t *scratch)
{
    acme_err_t *left = remove_one(ground, name_of(epoch, scratch), scratch);
    (void)left;
}
