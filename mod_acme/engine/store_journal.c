/* The journal: what was begun outside of the store, and must be undone by whoever
 * comes next if this process dies. */
#include <apr_strings.h>
#include <string.h>

#include "engine/store_impl.h"

#define MAX_ID      64
#define MAX_ENTRIES 20000
#define SUFFIX      ".json"

typedef struct entry_change_t {
    const acme_store_t *store;
    const char *name;
    const char *json; /* NULL: to be removed */
} entry_change_t;

static int id_valid(const char *id, apr_size_t len)
{
    return len >= 1 && len <= MAX_ID && strspn(id, "0123456789abcdef") == len;
}

static acme_err_t *change_entry(void *baton, apr_pool_t *scratch)
{
    const entry_change_t *change = baton;
    const acme_place_t *part = &change->store->parts[ACME_PART_JOURNAL];

    if (!change->json) {
        return acme_fsfile_remove(part, change->name, scratch);
    }
    const acme_fsfile_entry_t entry = { change->name, 0600, change->json,
                                        strlen(change->json) };
    return acme_fsfile_put(part, &entry, scratch);
}

static acme_err_t *commit_entry(acme_store_t *store, const char *id,
                                const char *json, apr_pool_t *scratch)
{
    if (!id_valid(id, strlen(id))) {
        return acme_err_make(scratch, ACME_E_STORE_NAME, id, NULL);
    }
    apr_pool_t *sub = acme_store_subpool(scratch);
    entry_change_t change = { store, apr_pstrcat(sub, id, SUFFIX, NULL), json };
    return acme_store_leave(
        acme_store_commit(store, change_entry, &change, sub), sub, scratch);
}

acme_err_t *acme_store_put_journal(acme_store_t *store, const char *id,
                                   const char *json, apr_pool_t *scratch)
{
    return commit_entry(store, id, json, scratch);
}

acme_err_t *acme_store_remove_journal(acme_store_t *store, const char *id,
                                      apr_pool_t *scratch)
{
    return commit_entry(store, id, NULL, scratch);
}

/* @return NULL: the file is none of ours */
static const char *id_of(const char *name, apr_pool_t *pool)
{
    apr_size_t len = strlen(name), end = sizeof(SUFFIX) - 1;
    const char *id;

    if (len <= end || strcmp(name + len - end, SUFFIX) != 0) {
        return NULL;
    }
    id = apr_pstrndup(pool, name, len - end);
    return id_valid(id, len - end) ? id : NULL;
}

static acme_err_t *read_entry(apr_array_header_t *entries,
                              const acme_store_t *store, const char *name,
                              apr_pool_t *pool)
{
    const char *id = id_of(name, pool);
    acme_journal_t *entry;
    apr_size_t len;
    const char *json;

    if (!id) {
        return NULL;
    }
    ACME_TRY(acme_fsfile_read(&json, &len, &store->parts[ACME_PART_JOURNAL],
                              name, store->worker, pool));
    if (json) {
        entry = apr_palloc(pool, sizeof(*entry));
        entry->id = id;
        entry->json = json;
        entry->len = len;
        APR_ARRAY_PUSH(entries, acme_journal_t *) = entry;
    }
    return NULL;
}

static acme_err_t *clean_entries(void *baton, apr_pool_t *scratch)
{
    const acme_store_t *store = baton;

    acme_fsfile_clean(&store->parts[ACME_PART_JOURNAL], scratch);
    return NULL;
}

acme_err_t *acme_store_get_journal(apr_array_header_t **entries,
                                   acme_err_t **damage, acme_store_t *store,
                                   apr_pool_t *pool)
{
    const acme_place_t *part = &store->parts[ACME_PART_JOURNAL];
    apr_array_header_t *names;
    int unfinished = 0;

    *entries = apr_array_make(pool, 4, sizeof(acme_journal_t *));
    *damage = NULL;
    ACME_TRY(acme_fsfile_list(&names, part, NULL, pool));
    for (int i = 0; names && i < names->nelts && i < MAX_ENTRIES; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        acme_err_t *err = read_entry(*entries, store, name, pool);
        *damage = *damage ? *damage : err;
        unfinished |= acme_fsfile_is_temporary(name);
    }
    if (unfinished) {
        acme_err_t *left = acme_store_commit(store, clean_entries, store, pool);
        (void)left; /* what is never read again */
    }
    return NULL;
}

int acme_store_is_owed(acme_store_t *store, apr_pool_t *scratch)
{
    apr_array_header_t *names = NULL;
    apr_pool_t *sub = acme_store_subpool(scratch);
    acme_err_t *err =
        acme_fsfile_list(&names, &store->parts[ACME_PART_JOURNAL], NULL, sub);
    int owed = 0;

    for (int i = 0; !err && names && i < names->nelts && !owed; i++) {
        owed = id_of(APR_ARRAY_IDX(names, i, const char *), sub) != NULL;
    }
    apr_pool_destroy(sub);
    return owed;
}

const char *acme_store_root(const acme_store_t *store)
{
    return store->base.path;
}
