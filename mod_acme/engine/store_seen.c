/* What root has found whole in one pass he need not read again in the next: sets
 * are written once, so a file with the same inode, size and time of change is
 * the same file. Reading a set again costs ten times as much as asking for that,
 * and httpd makes two passes at a start and one at each reload. */
#include <apr_strings.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "engine/store_impl.h"

#define MAX_PATH 320
/* A file changed again within one tick of the clock keeps its time of change:
 * what is younger than this is not taken for seen. */
#define SETTLED apr_time_from_sec(2)

typedef struct stamp_t {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
} stamp_t;

static const char *const set_files[] = { "chain.pem", "key.pem",
                                         "record.json" };
#define SET_FILES 3

typedef struct sight_t {
    acme_serving_t serving;
    stamp_t files[SET_FILES];
} sight_t;

struct acme_sights_t {
    apr_pool_t *pool;
    apr_hash_t *sights; /* "<dir>/<family>" -> sight_t * */
};

acme_sights_t *acme_sights_make(apr_pool_t *pool)
{
    acme_sights_t *seen = apr_palloc(pool, sizeof(*seen));

    seen->pool = pool;
    seen->sights = apr_hash_make(pool);
    return seen;
}

static void make_key(char *key, apr_size_t size, const char *dir,
                     acme_family_t family)
{
    snprintf(key, size, "%s/%s", dir, acme_family_name(family));
}

/* @return 0 if one is not there, or not a regular file */
static int look(stamp_t *files, const acme_store_t *store, const char *dir,
                acme_family_t family, int number)
{
    char path[MAX_PATH];
    struct stat st;

    for (int i = 0; i < SET_FILES; i++) {
        snprintf(path, sizeof(path), "%s/%s.%d/%s", dir,
                 acme_family_name(family), number, set_files[i]);
        if (fstatat(store->parts[ACME_PART_CERTIFICATES].fd, path, &st,
                    AT_SYMLINK_NOFOLLOW)
                != 0
            || !S_ISREG(st.st_mode)) {
            return 0;
        }
        files[i].dev = st.st_dev;
        files[i].ino = st.st_ino;
        files[i].size = st.st_size;
        files[i].changed = st.st_ctim;
    }
    return 1;
}

static int same(const stamp_t *a, const stamp_t *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size
           && a->changed.tv_sec == b->changed.tv_sec
           && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* @return 0: it must be read */
static int recall(acme_serving_t *serving, const acme_sights_t *seen,
                  const acme_store_t *store, const char *dir,
                  acme_family_t family)
{
    char key[MAX_PATH];
    stamp_t files[SET_FILES];

    make_key(key, sizeof(key), dir, family);
    const sight_t *sight = apr_hash_get(seen->sights, key, APR_HASH_KEY_STRING);
    if (!sight || store->wary
        || acme_store_linked(store, dir, family) != sight->serving.number
        || !look(files, store, dir, family, sight->serving.number)) {
        return 0;
    }
    for (int i = 0; i < SET_FILES; i++) {
        if (!same(&files[i], &sight->files[i])) {
            return 0;
        }
    }
    *serving = sight->serving;
    return 1;
}

static int settled(const stamp_t *files, apr_time_t now)
{
    for (int i = 0; i < SET_FILES; i++) {
        if (apr_time_from_sec(files[i].changed.tv_sec) > now - SETTLED) {
            return 0;
        }
    }
    return 1;
}

static void remember(acme_sights_t *seen, const char *dir, acme_family_t family,
                     const acme_serving_t *serving, const stamp_t *files)
{
    char key[MAX_PATH];

    make_key(key, sizeof(key), dir, family);
    sight_t *sight = apr_hash_get(seen->sights, key, APR_HASH_KEY_STRING);
    if (!sight) {
        sight = apr_palloc(seen->pool, sizeof(*sight));
        apr_hash_set(seen->sights, apr_pstrdup(seen->pool, key),
                     APR_HASH_KEY_STRING, sight);
    }
    sight->serving = *serving;
    memcpy(sight->files, files, sizeof(sight->files));
}

acme_err_t *acme_store_serving(acme_serving_t *serving, acme_store_t *store,
                               acme_sights_t *seen, const char *dir,
                               acme_family_t family, apr_time_t now,
                               apr_pool_t *pool)
{
    stamp_t files[SET_FILES];
    acme_record_t *record = NULL;

    memset(serving, 0, sizeof(*serving));
    if (recall(serving, seen, store, dir, family)) {
        return NULL;
    }
    /* Before they are read: a change in between is then found the next time. */
    int linked = acme_store_linked(store, dir, family);
    int looked = linked && look(files, store, dir, family, linked);
    acme_err_t *err = acme_store_current(&record, store, dir, family, pool);
    if (!record) {
        return err;
    }
    serving->number = record->number;
    serving->from = record->from;
    serving->must_staple = record->must_staple;
    int fits = strlen(record->serial) < sizeof(serving->serial);
    if (fits) {
        strcpy(serving->serial, record->serial);
    }
    if (!err && fits && looked && linked == record->number && !store->wary
        && settled(files, now)) {
        remember(seen, dir, family, serving, files);
    }
    return err;
}
