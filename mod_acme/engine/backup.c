#include "engine/backup.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "core/encode.h"

#define VERSION  1
#define MAX_TEXT 4096

/* --- collecting ----------------------------------------------------------------------- */

acme_backup_t *acme_backup_make(apr_time_t made, apr_pool_t *pool)
{
    acme_backup_t *backup = apr_pcalloc(pool, sizeof(*backup));
    backup->made = made;
    backup->accounts = apr_array_make(pool, 4, sizeof(acme_backup_account_t));
    backup->sets = apr_array_make(pool, 16, sizeof(acme_backup_set_t));
    return backup;
}

static void note(acme_err_t **damage, acme_err_t *err)
{
    *damage = *damage ? *damage : err;
}

static acme_err_t *collect_accounts(acme_backup_t *backup, acme_err_t **damage,
                                    acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *dirs;

    ACME_TRY(acme_store_list_accounts(&dirs, store, pool));
    for (int i = 0; i < dirs->nelts; i++) {
        const char *dir = APR_ARRAY_IDX(dirs, i, const char *);
        acme_account_t *account = NULL;
        acme_err_t *err = acme_store_get_account(&account, store, dir, pool);
        note(damage, err);
        if (!err && account) {
            APR_ARRAY_PUSH(backup->accounts, acme_backup_account_t) =
                (acme_backup_account_t){ dir, *account };
        }
    }
    return NULL;
}

/* One that was replaced between two steps is looked for once more. */
static acme_err_t *get_set(acme_set_t **set, acme_store_t *store,
                           const char *dir, acme_family_t family,
                           apr_pool_t *pool)
{
    acme_err_t *err = acme_store_get_set(set, store, dir, family, pool);
    return err ? acme_store_get_set(set, store, dir, family, pool) : NULL;
}

static acme_err_t *collect_set(acme_backup_t *backup, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               apr_pool_t *pool)
{
    acme_backup_set_t one = { .dir = dir, .family = family };
    acme_set_t *set = NULL;
    acme_err_t *err = get_set(&set, store, dir, family, pool);

    if (!err && set) {
        one.set = *set;
        err = acme_chain_to_pem(&one.chain_pem, set->chain, pool);
    }
    if (!err) {
        err = acme_store_get_next_key(&one.next_key, store, dir, family, pool);
    }
    if (one.chain_pem || one.next_key) {
        APR_ARRAY_PUSH(backup->sets, acme_backup_set_t) = one;
    }
    return err;
}

acme_err_t *acme_backup_collect(acme_backup_t **backup, acme_err_t **damage,
                                acme_store_t *store, apr_time_t now,
                                apr_pool_t *pool)
{
    acme_backup_t *made = acme_backup_make(now, pool);
    apr_array_header_t *dirs;

    *damage = NULL;
    ACME_TRY(collect_accounts(made, damage, store, pool));
    ACME_TRY(acme_store_list(&dirs, store, pool));
    for (int i = 0; i < dirs->nelts; i++) {
        for (int family = 0; family < ACME_FAMILIES; family++) {
            note(damage,
                 collect_set(made, store, APR_ARRAY_IDX(dirs, i, const char *),
                             (acme_family_t)family, pool));
        }
    }
    *backup = made;
    return NULL;
}

/* --- to JSON -------------------------------------------------------------------------- */

static acme_err_t *no_memory(apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_MEMORY, "writing a backup", NULL);
}

static acme_err_t *put_key(json_t *object, const char *name, EVP_PKEY *key,
                           apr_pool_t *pool)
{
    const char *pem;

    if (key) {
        ACME_TRY(acme_key_to_pem(&pem, key, pool));
        if (acme_json_put_text(object, name, pem) != 0) {
            return no_memory(pool);
        }
    }
    return NULL;
}

static acme_err_t *put_account(json_t *list, const acme_backup_account_t *one,
                               apr_pool_t *pool)
{
    const acme_account_state_t *state = &one->account.state;
    json_t *object = json_pack("{s:s, s:s}", "dir", one->dir, "directory",
                               one->account.directory_url);
    int failed =
        acme_json_put_text(object, "kid", state->kid)
        | acme_json_put_text(object, "contacts", state->contacts)
        | acme_json_put_text(object, "terms", state->terms)
        | acme_json_put_text(
            object, "recovered",
            state->recovered ? acme_time_format(state->recovered, pool) : NULL);

    return (failed | json_array_append_new(list, object)) == 0
               ? put_key(object, "key", one->account.key, pool)
               : no_memory(pool);
}

static acme_err_t *put_set(json_t *list, const acme_backup_set_t *one,
                           apr_pool_t *pool)
{
    json_t *object = json_pack("{s:s, s:s}", "dir", one->dir, "family",
                               acme_family_name(one->family));
    int failed = acme_json_put_text(object, "chain", one->chain_pem);
    const char *record;

    if ((failed | json_array_append_new(list, object)) != 0) {
        return no_memory(pool);
    }
    if (one->chain_pem) {
        ACME_TRY(acme_record_format(&record, one->set.record, pool));
        if (acme_json_put_text(object, "record", record) != 0) {
            return no_memory(pool);
        }
        ACME_TRY(put_key(object, "key", one->set.key, pool));
    }
    return put_key(object, "next_key", one->next_key, pool);
}

static acme_err_t *put_all(json_t *doc, const acme_backup_t *backup,
                           apr_pool_t *pool)
{
    json_t *accounts = json_object_get(doc, "accounts");
    json_t *sets = json_object_get(doc, "sets");

    for (int i = 0; i < backup->accounts->nelts; i++) {
        ACME_TRY(put_account(
            accounts,
            &APR_ARRAY_IDX(backup->accounts, i, acme_backup_account_t), pool));
    }
    for (int i = 0; i < backup->sets->nelts; i++) {
        ACME_TRY(put_set(
            sets, &APR_ARRAY_IDX(backup->sets, i, acme_backup_set_t), pool));
    }
    return NULL;
}

acme_err_t *acme_backup_format(const char **json, const acme_backup_t *backup,
                               apr_pool_t *pool)
{
    json_t *doc =
        json_pack("{s:i, s:s, s:[], s:[]}", "version", VERSION, "made",
                  acme_time_format(backup->made, pool), "accounts", "sets");
    acme_err_t *err = put_all(doc, backup, pool);
    const char *text = acme_json_text(doc, JSON_COMPACT, pool);

    ACME_TRY(err);
    *json = text;
    return text ? NULL : no_memory(pool);
}

/* --- from JSON ------------------------------------------------------------------------ */

typedef struct reading_t {
    acme_backup_t *backup;
    const char *what;
    apr_pool_t *pool;
} reading_t;

static acme_err_t *bad(const reading_t *reading, const char *how)
{
    return acme_err_make(reading->pool, ACME_E_BACKUP_OPEN, reading->what, how,
                         NULL);
}

static const char *copy(const json_t *object, const char *name, apr_size_t max,
                        apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);
    return text && strlen(text) <= max ? apr_pstrdup(pool, text) : NULL;
}

static acme_err_t *get_key(EVP_PKEY **key, const json_t *object,
                           const char *name, apr_pool_t *pool)
{
    const char *pem = acme_json_string(object, name);

    *key = NULL;
    return pem ? acme_key_from_pem(key, pem, strlen(pem), pool) : NULL;
}

static acme_err_t *get_account(const reading_t *reading, const json_t *object)
{
    apr_pool_t *pool = reading->pool;
    acme_backup_account_t one = { .dir = copy(object, "dir", 255, pool) };
    acme_account_state_t *state = &one.account.state;
    const char *recovered = acme_json_string(object, "recovered");

    one.account.directory_url = copy(object, "directory", ACME_MAX_URL, pool);
    state->kid = copy(object, "kid", ACME_MAX_URL, pool);
    state->contacts = copy(object, "contacts", MAX_TEXT, pool);
    state->terms = copy(object, "terms", ACME_MAX_URL, pool);
    state->recovered = recovered ? acme_time_parse_rfc3339(recovered) : 0;
    ACME_TRY(get_key(&one.account.key, object, "key", pool));
    if (!one.dir || !one.account.directory_url || !one.account.key) {
        return bad(reading, "an account in it has no directory or key");
    }
    APR_ARRAY_PUSH(reading->backup->accounts, acme_backup_account_t) = one;
    return NULL;
}

static acme_err_t *get_chain(acme_backup_set_t *one, const reading_t *reading,
                             const json_t *object)
{
    const char *record = acme_json_string(object, "record");
    acme_set_t *set = &one->set;

    ACME_TRY(get_key(&set->key, object, "key", reading->pool));
    if (!record || !set->key) {
        return bad(reading, "a certificate in it has no record or key");
    }
    ACME_TRY(acme_record_parse(&set->record, record, strlen(record),
                               reading->what, reading->pool));
    ACME_TRY(acme_chain_parse(&set->chain, one->chain_pem,
                              strlen(one->chain_pem), reading->pool));
    if (EVP_PKEY_eq(X509_get0_pubkey(set->chain->leaf), set->key) != 1
        || acme_key_family(set->record->key_type) != one->family) {
        return bad(reading, "a key in it is of another certificate");
    }
    return NULL;
}

static acme_err_t *read_set(const reading_t *reading, const json_t *object)
{
    acme_backup_set_t one = { .dir = copy(object, "dir", 255, reading->pool) };
    const char *family = acme_json_string(object, "family");

    if (!one.dir || !family
        || (strcmp(family, "rsa") && strcmp(family, "ecdsa"))) {
        return bad(reading, "a certificate in it has no name or kind");
    }
    one.family = strcmp(family, "rsa") ? ACME_FAMILY_ECDSA : ACME_FAMILY_RSA;
    one.chain_pem = copy(object, "chain", ACME_MAX_CHAIN, reading->pool);
    if (one.chain_pem) {
        ACME_TRY(get_chain(&one, reading, object));
    }
    ACME_TRY(get_key(&one.next_key, object, "next_key", reading->pool));
    APR_ARRAY_PUSH(reading->backup->sets, acme_backup_set_t) = one;
    return NULL;
}

static acme_err_t *get_all(const reading_t *reading, const json_t *doc)
{
    const json_t *item;
    size_t i;

    if (json_integer_value(json_object_get(doc, "version")) != VERSION) {
        return bad(reading, "another version of acmectl has made it");
    }
    json_array_foreach(json_object_get(doc, "accounts"), i, item)
    {
        ACME_TRY(get_account(reading, item));
    }
    json_array_foreach(json_object_get(doc, "sets"), i, item)
    {
        ACME_TRY(read_set(reading, item));
    }
    return NULL;
}

acme_err_t *acme_backup_parse(acme_backup_t **backup, const char *json,
                              apr_size_t len, const char *what,
                              apr_pool_t *pool)
{
    json_t *doc = NULL;
    acme_err_t *err = acme_json_load(&doc, json, len, what, pool);
    if (err && err->msg == ACME_E_MEMORY) {
        return err;
    }
    const char *made = acme_json_string(doc, "made");
    const reading_t reading = {
        acme_backup_make(made ? acme_time_parse_rfc3339(made) : 0, pool), what,
        pool
    };
    err = get_all(&reading, doc);
    json_decref(doc);
    if (!err) {
        *backup = reading.backup;
    }
    return err;
}
