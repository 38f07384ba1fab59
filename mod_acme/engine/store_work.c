/* The worker's own notes: orders in progress, their keys, accounts. */
#include <apr_strings.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "core/encode.h"
#include "engine/control.h"
#include "engine/store_impl.h"

/* One file to put or to remove. */
typedef struct change_t {
    acme_store_t *store;
    acme_part_t part;
    const char *dir;
    const acme_fsfile_entry_t *entry; /* to put, or NULL */
    const char *names[2];             /* to remove, in this order */
} change_t;

static acme_err_t *change_locked(void *baton, apr_pool_t *scratch)
{
    const change_t *change = baton;
    const acme_place_t *part = &change->store->parts[change->part];
    acme_place_t *place;

    if (change->entry) {
        ACME_TRY(acme_fsfile_make(&place, part, change->dir, 0700, scratch));
        acme_fsfile_clean(place, scratch);
        return acme_fsfile_put(place, change->entry, scratch);
    }
    ACME_TRY(acme_fsfile_enter(&place, part, change->dir, scratch));
    for (int i = 0; place && i < 2; i++) {
        if (change->names[i]) {
            ACME_TRY(acme_fsfile_remove(place, change->names[i], scratch));
        }
    }
    return NULL;
}

static acme_err_t *change(change_t *what, apr_pool_t *scratch)
{
    ACME_TRY(acme_store_check_name(what->dir, scratch));
    return acme_store_commit(what->store, change_locked, what, scratch);
}

/* @param data  NULL if there is none */
static acme_err_t *read_file(const char **data, apr_size_t *len,
                             const acme_store_t *store, const change_t *where,
                             apr_pool_t *pool)
{
    acme_place_t *place;
    apr_pool_t *sub = acme_store_subpool(pool);
    acme_err_t *err = acme_store_check_name(where->dir, sub);

    *data = NULL;
    *len = 0;
    if (!err) {
        err = acme_fsfile_enter(&place, &store->parts[where->part], where->dir,
                                sub);
    }
    if (!err && place) {
        err = acme_fsfile_read(data, len, place, where->names[0], store->worker,
                               pool);
    }
    return acme_store_leave(err, sub, pool);
}

/* --- documents ------------------------------------------------------------------- */

static const char *doc_name(acme_family_t family, acme_doc_t doc,
                            apr_pool_t *pool)
{
    static const char *const SUFFIXES[] = {
        [ACME_DOC_ORDER] = ".order",   [ACME_DOC_JOB] = ".job",
        [ACME_DOC_ARI] = ".ari",       [ACME_DOC_OCSP] = ".ocsp",
        [ACME_DOC_EVENTS] = ".events",
    };
    return apr_pstrcat(pool, acme_family_name(family), SUFFIXES[doc], NULL);
}

static const char *key_name(acme_family_t family, apr_pool_t *pool)
{
    return apr_pstrcat(pool, acme_family_name(family), ".key", NULL);
}

acme_err_t *acme_store_put_doc(acme_store_t *store, const char *dir,
                               acme_family_t family, acme_doc_t doc,
                               const char *json, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    acme_fsfile_entry_t entry = { doc_name(family, doc, sub), 0600, json,
                                  strlen(json) };
    change_t what = { store, ACME_PART_WORK, dir, &entry, { NULL, NULL } };

    return acme_store_leave(change(&what, sub), sub, scratch);
}

acme_err_t *acme_store_get_doc(const char **json, apr_size_t *len,
                               acme_store_t *store, const char *dir,
                               acme_family_t family, acme_doc_t doc,
                               apr_pool_t *pool)
{
    const change_t where = {
        store, ACME_PART_WORK, dir, NULL, { doc_name(family, doc, pool), NULL }
    };

    return read_file(json, len, store, &where, pool);
}

acme_err_t *acme_store_remove_doc(acme_store_t *store, const char *dir,
                                  acme_family_t family, acme_doc_t doc,
                                  apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    change_t what = {
        store, ACME_PART_WORK, dir, NULL, { doc_name(family, doc, sub), NULL }
    };

    return acme_store_leave(change(&what, sub), sub, scratch);
}

/* --- keys of the order in progress, and of the next one -------------------------------------------------- */

static const char *work_binding(const char *dir, acme_family_t family,
                                apr_pool_t *pool)
{
    return apr_pstrcat(pool, "work ", dir, " ", acme_family_name(family), NULL);
}

static acme_err_t *seal_key(const unsigned char **sealed, apr_size_t *len,
                            const acme_store_t *store, const char *binding,
                            EVP_PKEY *key, apr_pool_t *pool)
{
    const unsigned char *der;
    apr_size_t der_len;

    ACME_TRY(acme_key_to_der(&der, &der_len, key, pool));
    return acme_seal(sealed, len, store->secret, binding, der, der_len, pool);
}

/* A key, where it is kept and what it is bound to. */
typedef struct kept_key_t {
    acme_part_t part;
    const char *dir;
    const char *name;
    const char *binding;
} kept_key_t;

static kept_key_t work_key(const char *dir, acme_family_t family,
                           apr_pool_t *pool)
{
    return (kept_key_t){ ACME_PART_WORK, dir, key_name(family, pool),
                         work_binding(dir, family, pool) };
}

static kept_key_t next_key(const char *dir, acme_family_t family,
                           apr_pool_t *pool)
{
    const char *name = acme_family_name(family);
    return (kept_key_t){ ACME_PART_KEYS, dir,
                         apr_pstrcat(pool, name, ".next", NULL),
                         apr_pstrcat(pool, "next ", dir, " ", name, NULL) };
}

static acme_err_t *put_key(acme_store_t *store, const kept_key_t *kept,
                           EVP_PKEY *key, apr_pool_t *scratch)
{
    const unsigned char *sealed;
    apr_size_t len;

    ACME_TRY(seal_key(&sealed, &len, store, kept->binding, key, scratch));
    acme_fsfile_entry_t entry = { kept->name, 0600, sealed, len };
    change_t what = { store, kept->part, kept->dir, &entry, { NULL, NULL } };
    return change(&what, scratch);
}

/* DER and sealed form in scratch, the key in pool. */
static acme_err_t *look_for_key(EVP_PKEY **key, const acme_store_t *store,
                                const kept_key_t *kept, apr_pool_t *pool,
                                apr_pool_t *scratch)
{
    const change_t where = {
        NULL, kept->part, kept->dir, NULL, { kept->name, NULL }
    };
    const char *sealed;
    const unsigned char *der;
    apr_size_t len, der_len;

    *key = NULL;
    ACME_TRY(read_file(&sealed, &len, store, &where, scratch));
    if (!sealed) {
        return NULL;
    }
    ACME_TRY(acme_unseal(&der, &der_len, store->secret, kept->binding,
                         (const unsigned char *)sealed, len, scratch));
    return acme_key_from_der(key, der, der_len, pool);
}

static acme_err_t *get_key(EVP_PKEY **key, const acme_store_t *store,
                           const kept_key_t *kept, apr_pool_t *pool,
                           apr_pool_t *scratch)
{
    acme_err_t *err = look_for_key(key, store, kept, pool, scratch);

    return acme_store_doubts(err)
               ? look_for_key(key, store, kept, pool, scratch)
               : err;
}

acme_err_t *acme_store_put_work_key(acme_store_t *store, const char *dir,
                                    acme_family_t family, EVP_PKEY *key,
                                    apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    const kept_key_t kept = work_key(dir, family, sub);

    return acme_store_leave(put_key(store, &kept, key, sub), sub, scratch);
}

acme_err_t *acme_store_get_work_key(EVP_PKEY **key, acme_store_t *store,
                                    const char *dir, acme_family_t family,
                                    apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);
    const kept_key_t kept = work_key(dir, family, sub);

    return acme_store_leave(get_key(key, store, &kept, pool, sub), sub, pool);
}

acme_err_t *acme_store_put_next_key(acme_store_t *store, const char *dir,
                                    acme_family_t family, EVP_PKEY *key,
                                    apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    const kept_key_t kept = next_key(dir, family, sub);

    return acme_store_leave(put_key(store, &kept, key, sub), sub, scratch);
}

acme_err_t *acme_store_get_next_key(EVP_PKEY **key, acme_store_t *store,
                                    const char *dir, acme_family_t family,
                                    apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);
    const kept_key_t kept = next_key(dir, family, sub);

    return acme_store_leave(get_key(key, store, &kept, pool, sub), sub, pool);
}

acme_err_t *acme_store_remove_next_key(acme_store_t *store, const char *dir,
                                       acme_family_t family,
                                       apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    const kept_key_t kept = next_key(dir, family, sub);
    change_t what = { store, kept.part, dir, NULL, { kept.name, NULL } };

    return acme_store_leave(change(&what, sub), sub, scratch);
}

/* The order first: a key without an order is harmless, an order without its key
 * is not. */
static change_t order_and_key(acme_store_t *store, const char *dir,
                              acme_family_t family, apr_pool_t *scratch)
{
    const change_t both = { store,
                            ACME_PART_WORK,
                            dir,
                            NULL,
                            { doc_name(family, ACME_DOC_ORDER, scratch),
                              key_name(family, scratch) } };
    return both;
}

acme_err_t *acme_store_remove_work(acme_store_t *store, const char *dir,
                                   acme_family_t family, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    change_t what = order_and_key(store, dir, family, sub);

    return acme_store_leave(change(&what, sub), sub, scratch);
}

/* --- what a process that was killed has left ---------------------------------------- */

/* A put that was not finished, or a key whose order is gone or never was. */
static int is_left(change_t *what, const acme_place_t *place,
                   apr_pool_t *scratch)
{
    apr_array_header_t *names = NULL;
    int order = 0, key = 0, unfinished = 0;
    acme_err_t *err = acme_fsfile_list(&names, place, NULL, scratch);

    for (int i = 0; !err && names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        unfinished |= acme_fsfile_is_temporary(name);
        order |= !strcmp(name, what->names[0]);
        key |= !strcmp(name, what->names[1]);
    }
    if (order || !key) {
        what->names[1] = NULL;
    }
    return unfinished || what->names[1];
}

static acme_err_t *tidy_locked(void *baton, apr_pool_t *scratch)
{
    change_t *what = baton;
    acme_place_t *place;

    ACME_TRY(acme_fsfile_enter(&place, &what->store->parts[ACME_PART_WORK],
                               what->dir, scratch));
    if (!place || !is_left(what, place, scratch)) {
        return NULL;
    }
    acme_fsfile_clean(place, scratch);
    return what->names[1] ? acme_fsfile_remove(place, what->names[1], scratch)
                          : NULL;
}

void acme_store_tidy_work(acme_store_t *store, const char *dir,
                          acme_family_t family, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    change_t what = order_and_key(store, dir, family, sub);
    change_t seen = what;
    acme_place_t *place = NULL;
    acme_err_t *err = acme_store_check_name(dir, sub);

    /* Looked at without the lock first: as a rule there is nothing. */
    if (!err) {
        err =
            acme_fsfile_enter(&place, &store->parts[ACME_PART_WORK], dir, sub);
    }
    if (!err && place && is_left(&seen, place, sub)) {
        err = acme_store_commit(store, tidy_locked, &what, sub);
    }
    (void)err; /* what is never read again */
    apr_pool_destroy(sub);
}

/* --- accounts -------------------------------------------------------------------- */

#define MAX_CONTACTS 4096 /* octets of all together */

static const char *account_binding(const char *dir, int next, apr_pool_t *pool)
{
    return apr_pstrcat(pool, next ? "next account " : "account ", dir, NULL);
}

static acme_err_t *account_damaged(const acme_store_t *store, const char *dir,
                                   const char *how, apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_DAMAGED,
                         apr_pstrcat(pool,
                                     store->parts[ACME_PART_ACCOUNTS].path, "/",
                                     dir, "/" ACME_STORE_ACCOUNT, NULL),
                         how, NULL);
}

static const char *copy_text(const json_t *object, const char *name,
                             apr_size_t max, apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);

    return text && strlen(text) <= max ? apr_pstrdup(pool, text) : NULL;
}

static const char *copy_url(const json_t *object, const char *name,
                            apr_pool_t *pool)
{
    return copy_text(object, name, ACME_MAX_URL, pool);
}

/* What is missing is not known. */
static void parse_state(acme_account_state_t *state, const json_t *object,
                        apr_pool_t *pool)
{
    const char *recovered = acme_json_string(object, "recovered");
    const char *closed = acme_json_string(object, "closed");

    state->kid = copy_url(object, "kid", pool);
    state->contacts = copy_text(object, "contacts", MAX_CONTACTS, pool);
    state->terms = copy_url(object, "terms", pool);
    state->recovered = recovered ? acme_time_parse_rfc3339(recovered) : 0;
    state->overruled = copy_text(object, "overruled", MAX_CONTACTS, pool);
    state->closed = closed ? acme_time_parse_rfc3339(closed) : 0;
}

/* @param name  "key" or "next_key" */
static acme_err_t *parse_key(EVP_PKEY **key, const acme_store_t *store,
                             const char *dir, const json_t *object,
                             const char *name, apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);
    const unsigned char *sealed, *der;
    apr_size_t len, der_len;
    apr_pool_t *sub = acme_store_subpool(pool);

    if (!text
        || acme_decode_base64url(&sealed, &len, text, sub) != APR_SUCCESS) {
        return account_damaged(store, dir, "a key of it is missing", pool);
    }
    acme_err_t *err =
        acme_unseal(&der, &der_len, store->secret,
                    account_binding(dir, *name == 'n', sub), sealed, len, sub);
    if (!err) {
        err = acme_key_from_der(key, der, der_len, pool);
    }
    /* What was unsealed must not last as long as the key. */
    return acme_store_leave(err, sub, pool);
}

static acme_err_t *parse_account(acme_account_t *account,
                                 const acme_store_t *store, const char *dir,
                                 const json_t *object, apr_pool_t *pool)
{
    account->directory_url = copy_url(object, "directory", pool);
    account->change = copy_text(object, "change", ACME_CONTROL_ID, pool);
    parse_state(&account->state, object, pool);
    if (!account->directory_url) {
        return account_damaged(store, dir, "it has no directory", pool);
    }
    ACME_TRY(parse_key(&account->key, store, dir, object, "key", pool));
    return json_object_get(object, "next_key") ? parse_key(
               &account->next_key, store, dir, object, "next_key", pool)
                                               : NULL;
}

static acme_err_t *get_account(acme_account_t **account, acme_store_t *store,
                               const char *account_dir, apr_pool_t *pool)
{
    const change_t where = { store,
                             ACME_PART_ACCOUNTS,
                             account_dir,
                             NULL,
                             { ACME_STORE_ACCOUNT, NULL } };
    const char *text;
    apr_size_t len;

    ACME_TRY(read_file(&text, &len, store, &where, pool));
    if (!text) {
        *account = NULL;
        return NULL;
    }
    acme_account_t *made = apr_pcalloc(pool, sizeof(*made));
    json_t *object = NULL;
    acme_err_t *err =
        acme_json_load(&object, text, len, ACME_STORE_ACCOUNT, pool);
    if (!err) {
        err = parse_account(made, store, account_dir, object, pool);
    }
    else if (err->msg != ACME_E_MEMORY) {
        err = account_damaged(store, account_dir, "it is not JSON", pool);
    }
    json_decref(object);
    if (!err) {
        *account = made;
    }
    return err;
}

acme_err_t *acme_store_get_account(acme_account_t **account,
                                   acme_store_t *store, const char *account_dir,
                                   apr_pool_t *pool)
{
    acme_err_t *err = get_account(account, store, account_dir, pool);

    return acme_store_doubts(err)
               ? get_account(account, store, account_dir, pool)
               : err;
}

static acme_err_t *format_key(const char **text, const acme_store_t *store,
                              const char *dir, EVP_PKEY *key, int next,
                              apr_pool_t *scratch)
{
    const unsigned char *sealed;
    apr_size_t len;

    if (!key) {
        *text = NULL;
        return NULL;
    }
    ACME_TRY(seal_key(&sealed, &len, store, account_binding(dir, next, scratch),
                      key, scratch));
    *text = acme_encode_base64url(sealed, len, scratch);
    return NULL;
}

static const char *or_no_time(apr_time_t time, apr_pool_t *pool)
{
    return time ? acme_time_format(time, pool) : NULL;
}

static acme_err_t *put_account(acme_store_t *store, const char *dir,
                               const acme_account_t *account,
                               apr_pool_t *scratch)
{
    const acme_account_state_t *state = &account->state;
    const char *key, *next, *text;

    ACME_TRY(acme_store_check_name(dir, scratch));
    ACME_TRY(format_key(&key, store, dir, account->key, 0, scratch));
    ACME_TRY(format_key(&next, store, dir, account->next_key, 1, scratch));
    json_t *object = json_object();
    int failed = acme_json_put_text(object, "directory", account->directory_url)
                 | acme_json_put_text(object, "kid", state->kid)
                 | acme_json_put_text(object, "contacts", state->contacts)
                 | acme_json_put_text(object, "overruled", state->overruled)
                 | acme_json_put_text(object, "terms", state->terms)
                 | acme_json_put_text(object, "recovered",
                                      or_no_time(state->recovered, scratch))
                 | acme_json_put_text(object, "closed",
                                      or_no_time(state->closed, scratch))
                 | acme_json_put_text(object, "change", account->change)
                 | acme_json_put_text(object, "key", key)
                 | acme_json_put_text(object, "next_key", next);
    if (failed || !key || !account->directory_url) {
        json_decref(object);
        object = NULL;
    }
    ACME_TRY(acme_json_document(&text, object, "writing an account", scratch));
    acme_fsfile_entry_t entry = { ACME_STORE_ACCOUNT, 0600, text,
                                  strlen(text) };
    change_t what = { store, ACME_PART_ACCOUNTS, dir, &entry, { NULL, NULL } };
    return change(&what, scratch);
}

acme_err_t *acme_store_put_account(acme_store_t *store, const char *account_dir,
                                   const acme_account_t *account,
                                   apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);

    return acme_store_leave(put_account(store, account_dir, account, sub), sub,
                            scratch);
}

/* --- limits ----------------------------------------------------------------------- */

#define LIMITS_FILE "limits.json"

acme_err_t *acme_store_get_limits(const char **json, apr_size_t *len,
                                  acme_store_t *store, const char *ca_dir,
                                  apr_pool_t *pool)
{
    const change_t where = {
        store, ACME_PART_ACCOUNTS, ca_dir, NULL, { LIMITS_FILE, NULL }
    };

    return read_file(json, len, store, &where, pool);
}

acme_err_t *acme_store_put_limits(acme_store_t *store, const char *ca_dir,
                                  const char *json, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    acme_fsfile_entry_t entry = { LIMITS_FILE, 0600, json, strlen(json) };
    change_t what = {
        store, ACME_PART_ACCOUNTS, ca_dir, &entry, { NULL, NULL }
    };

    return acme_store_leave(change(&what, sub), sub, scratch);
}
