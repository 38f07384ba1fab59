/* Sets that the worker has stored: issued, in service by live activation. */
#include <apr_strings.h>
#include <errno.h>
#include <string.h>

#include "engine/store_impl.h"

/* --- fresh: reading -------------------------------------------------------------- */

static acme_err_t *missing(const acme_place_t *place, const char *name,
                           apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_STORE_DAMAGED, place->path,
                         apr_pstrcat(pool, name, " is missing", NULL), NULL);
}

/* Step by step: each directory on the way is the worker's, who could put a
 * symlink there. */
static acme_err_t *enter_fresh(acme_place_t **place, const acme_store_t *store,
                               const char *dir, const char *set,
                               apr_pool_t *scratch)
{
    acme_place_t *parent, *found = NULL;

    ACME_TRY(acme_fsfile_enter(&parent, &store->parts[ACME_PART_FRESH], dir,
                               scratch));
    if (parent) {
        ACME_TRY(acme_fsfile_enter(&found, parent, set, scratch));
    }
    if (!found) {
        return acme_err_os(
            scratch, ENOENT, ACME_E_STORE_IO, "open the directory",
            apr_pstrcat(scratch, store->parts[ACME_PART_FRESH].path, "/", dir,
                        "/", set, NULL),
            NULL);
    }
    *place = found;
    return NULL;
}

static acme_err_t *read_fresh_record(acme_record_t **record,
                                     const acme_store_t *store,
                                     const acme_place_t *place, const char *set,
                                     apr_pool_t *pool)
{
    const char *json;
    apr_size_t len;
    acme_record_t *parsed;

    ACME_TRY(acme_fsfile_read(&json, &len, place, "record.json", store->worker,
                              pool));
    if (!json) {
        return missing(place, "record.json", pool);
    }
    ACME_TRY(acme_record_parse(&parsed, json, len,
                               acme_fsfile_path(place, "record.json", pool),
                               pool));
    acme_family_t family = acme_key_family(parsed->key_type);
    ACME_TRY(acme_store_check_record(
        parsed, family, acme_store_set_number(set, family), place->path, pool));
    *record = parsed;
    return NULL;
}

static const char *fresh_binding(const char *dir, const char *set,
                                 apr_pool_t *pool)
{
    return apr_pstrcat(pool, "fresh ", dir, " ", set, NULL);
}

/* What was unsealed goes with scratch, the key with pool. */
static acme_err_t *read_fresh_key(EVP_PKEY **key, const acme_store_t *store,
                                  const acme_place_t *place,
                                  const char *binding, apr_pool_t *pool,
                                  apr_pool_t *scratch)
{
    const char *sealed;
    const unsigned char *der;
    apr_size_t len, der_len;

    ACME_TRY(
        acme_fsfile_read(&sealed, &len, place, "key", store->worker, scratch));
    if (!sealed) {
        return missing(place, "key", pool);
    }
    ACME_TRY(acme_unseal(&der, &der_len, store->secret, binding,
                         (const unsigned char *)sealed, len, scratch));
    return acme_key_from_der(key, der, der_len, pool);
}

static acme_err_t *read_fresh(acme_set_t **set, const acme_store_t *store,
                              const char *dir, const char *set_name,
                              apr_pool_t *pool)
{
    acme_set_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_pool_t *sub = acme_store_subpool(pool);
    acme_place_t *place = NULL;
    const char *chain;
    apr_size_t len;

    acme_err_t *err = enter_fresh(&place, store, dir, set_name, sub);
    if (!err) {
        err = read_fresh_record(&made->record, store, place, set_name, pool);
    }
    if (!err) {
        err = acme_fsfile_read(&chain, &len, place, "chain.pem", store->worker,
                               pool);
    }
    if (!err && !chain) {
        err = missing(place, "chain.pem", pool);
    }
    if (!err) {
        err = acme_chain_parse(&made->chain, chain, len, pool);
    }
    if (!err) {
        err = read_fresh_key(&made->key, store, place,
                             fresh_binding(dir, set_name, sub), pool, sub);
    }
    if (!err
        && EVP_PKEY_eq(X509_get0_pubkey(made->chain->leaf), made->key) != 1) {
        err = acme_err_make(pool, ACME_E_STORE_DAMAGED, place->path,
                            "its key is of another certificate", NULL);
    }
    ACME_TRY(acme_store_leave(err, sub, pool));
    *set = made;
    return NULL;
}

acme_err_t *acme_store_read_fresh(acme_set_t **set, const acme_store_t *store,
                                  const char *dir, const char *set_name,
                                  apr_pool_t *pool)
{
    acme_err_t *err = read_fresh(set, store, dir, set_name, pool);

    return acme_store_doubts(err) ? read_fresh(set, store, dir, set_name, pool)
                                  : err;
}

acme_err_t *acme_store_load_fresh(acme_set_t **set, acme_store_t *store,
                                  const char *dir, acme_family_t family,
                                  int number, apr_pool_t *pool)
{
    ACME_TRY(acme_store_check_name(dir, pool));
    return acme_store_read_fresh(
        set, store, dir, acme_store_set_name(family, number, pool), pool);
}

acme_err_t *acme_store_is_fresh(int *there, acme_store_t *store,
                                const char *dir, acme_family_t family,
                                int number, apr_pool_t *scratch)
{
    apr_array_header_t *numbers;

    *there = 0;
    ACME_TRY(acme_store_check_name(dir, scratch));
    ACME_TRY(acme_store_numbers(&numbers, &store->parts[ACME_PART_FRESH], dir,
                                family, scratch));
    for (int i = 0; i < numbers->nelts; i++) {
        *there |= APR_ARRAY_IDX(numbers, i, int) == number;
    }
    return NULL;
}

/* --- newest ---------------------------------------------------------------------- */

int acme_store_newest_number(acme_store_t *store, const char *dir,
                             acme_family_t family, apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    apr_array_header_t *numbers;
    int newest = acme_store_linked(store, dir, family);
    acme_err_t *err = acme_store_numbers(
        &numbers, &store->parts[ACME_PART_FRESH], dir, family, sub);

    if (!err && numbers->nelts && APR_ARRAY_IDX(numbers, 0, int) > newest) {
        newest = APR_ARRAY_IDX(numbers, 0, int);
    }
    apr_pool_destroy(sub);
    return newest;
}

/* Opened as for service, so that nobody waits for a set that cannot be loaded.
 * Its certificate says what it is, not the record. */
static acme_err_t *whole_fresh(acme_record_t **record,
                               const acme_store_t *store, const char *dir,
                               const char *set_name, apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);
    acme_set_t *set;

    acme_err_t *err = read_fresh(&set, store, dir, set_name, sub);
    if (!err) {
        err = acme_record_describe(set->record, set->chain->leaf, sub);
    }
    if (!err) {
        err = acme_store_copy_record(record, set->record, pool, sub);
    }
    return acme_store_leave(err, sub, pool);
}

acme_err_t *acme_store_newest(acme_record_t **record, acme_store_t *store,
                              const char *dir, acme_family_t family,
                              apr_pool_t *pool)
{
    apr_array_header_t *numbers;
    acme_record_t *promoted = NULL;

    *record = NULL;
    acme_err_t *first = acme_store_current(&promoted, store, dir, family, pool);
    if (first && !acme_store_is_damage(first)) {
        return first;
    }
    *record = promoted;
    ACME_TRY(acme_store_numbers(&numbers, &store->parts[ACME_PART_FRESH], dir,
                                family, pool));
    for (int i = 0; i < numbers->nelts && i < ACME_STORE_TRIES; i++) {
        int number = APR_ARRAY_IDX(numbers, i, int);
        if (promoted && number <= promoted->number) {
            break;
        }
        const char *name = acme_store_set_name(family, number, pool);
        acme_err_t *err = whole_fresh(record, store, dir, name, pool);
        if (acme_store_doubts(err)) {
            err = whole_fresh(record, store, dir, name, pool);
        }
        if (!err) {
            break;
        }
        first = first ? first : err;
    }
    return first;
}

/* --- chains ------------------------------------------------------------------------ */

static acme_err_t *read_chain(const char **pem, apr_size_t *len,
                              const acme_store_t *store, const char *dir,
                              const char *set, apr_pool_t *pool)
{
    acme_place_t *place;

    ACME_TRY(
        acme_fsfile_read(pem, len, &store->parts[ACME_PART_CERTIFICATES],
                         apr_pstrcat(pool, dir, "/", set, "/chain.pem", NULL),
                         store->owner, pool));
    if (*pem) {
        return NULL;
    }
    ACME_TRY(enter_fresh(&place, store, dir, set, pool));
    ACME_TRY(
        acme_fsfile_read(pem, len, place, "chain.pem", store->worker, pool));
    return *pem ? NULL : missing(place, "chain.pem", pool);
}

acme_err_t *acme_store_get_chain(acme_chain_t **chain, acme_store_t *store,
                                 const char *dir, acme_family_t family,
                                 int number, apr_pool_t *pool)
{
    apr_pool_t *sub = acme_store_subpool(pool);
    acme_err_t *err = acme_store_check_name(dir, sub);
    const char *pem;
    apr_size_t len;

    if (!err) {
        err = read_chain(&pem, &len, store, dir,
                         acme_store_set_name(family, number, sub), sub);
    }
    if (!err) {
        err = acme_chain_parse(chain, pem, len, pool);
    }
    return acme_store_leave(err, sub, pool);
}

/* --- fresh: writing -------------------------------------------------------------- */

typedef struct put_fresh_t {
    acme_store_t *store;
    const char *dir;
    acme_family_t family;
    const acme_issued_t *issued;
} put_fresh_t;

#define REFUSED "refused."

/* Number of a set that was refused; 0: it is another's name. */
static int refused_number(const char *name, acme_family_t family)
{
    return strncmp(name, REFUSED, sizeof(REFUSED) - 1)
               ? 0
               : acme_store_set_number(name + sizeof(REFUSED) - 1, family);
}

static acme_err_t *highest_refused(int *highest, const put_fresh_t *put,
                                   apr_pool_t *scratch)
{
    apr_array_header_t *names;

    ACME_TRY(acme_fsfile_list(&names, &put->store->parts[ACME_PART_FRESH],
                              put->dir, scratch));
    for (int i = 0; names && i < names->nelts; i++) {
        int number =
            refused_number(APR_ARRAY_IDX(names, i, const char *), put->family);
        *highest = number > *highest ? number : *highest;
    }
    return NULL;
}

/* Above all that exist, damaged and refused ones too: children know sets by their
 * numbers. */
static acme_err_t *next_number(int *next, const put_fresh_t *put,
                               apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_CERTIFICATES,
                                         ACME_PART_FRESH };
    int highest = acme_store_linked(put->store, put->dir, put->family);

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        apr_array_header_t *numbers;
        ACME_TRY(acme_store_numbers(&numbers, &put->store->parts[parts[i]],
                                    put->dir, put->family, scratch));
        if (numbers->nelts && APR_ARRAY_IDX(numbers, 0, int) > highest) {
            highest = APR_ARRAY_IDX(numbers, 0, int);
        }
    }
    ACME_TRY(highest_refused(&highest, put, scratch));
    if (highest >= ACME_STORE_MAX_NUMBER) {
        return acme_err_make(scratch, ACME_E_STORE_DAMAGED, put->dir,
                             "its set numbers are used up", NULL);
    }
    *next = highest + 1;
    return NULL;
}

static acme_err_t *seal_key(acme_fsfile_entry_t *entry, const put_fresh_t *put,
                            const char *set, apr_pool_t *scratch)
{
    const unsigned char *der, *sealed;
    apr_size_t der_len;

    ACME_TRY(acme_key_to_der(&der, &der_len, put->issued->key, scratch));
    ACME_TRY(acme_seal(&sealed, &entry->len, put->store->secret,
                       fresh_binding(put->dir, set, scratch), der, der_len,
                       scratch));
    entry->name = "key";
    entry->mode = 0600;
    entry->data = sealed;
    return NULL;
}

/* The new one is in place: a failure here leaves only what is never read. */
static void remove_older(const acme_place_t *place, const put_fresh_t *put,
                         int number, apr_pool_t *scratch)
{
    apr_array_header_t *names;
    acme_err_t *err = acme_fsfile_list(&names, place, NULL, scratch);

    for (int i = 0; !err && names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        int other = acme_store_set_number(name, put->family);
        int refused = refused_number(name, put->family);
        if ((other && other < number && other != put->issued->served
             && !put->issued->refused)
            || (refused && refused != number)) {
            acme_err_t *kept = acme_fsfile_remove_dir(place, name, scratch);
            (void)kept;
        }
    }
}

static acme_err_t *put_fresh(void *baton, apr_pool_t *scratch)
{
    const put_fresh_t *put = baton;
    acme_fsfile_entry_t files[3];
    acme_place_t *place;
    acme_record_t *readable;
    const char *json;
    int number = 0;

    ACME_TRY(next_number(&number, put, scratch));
    put->issued->record->number = number;
    const char *set = acme_store_set_name(put->family, number, scratch);
    ACME_TRY(acme_record_format(&json, put->issued->record, scratch));
    /* Nothing is stored that could not be read again. */
    ACME_TRY(acme_record_parse(&readable, json, strlen(json), set, scratch));
    files[0] = (acme_fsfile_entry_t){ "chain.pem", 0600, put->issued->chain_pem,
                                      strlen(put->issued->chain_pem) };
    files[1] = (acme_fsfile_entry_t){ "record.json", 0600, json, strlen(json) };
    ACME_TRY(seal_key(&files[2], put, set, scratch));
    ACME_TRY(acme_fsfile_make(&place, &put->store->parts[ACME_PART_FRESH],
                              put->dir, 0700, scratch));
    acme_fsfile_clean(place, scratch);
    acme_fsfile_dir_t dir = { 0700, files, 3, 1 };
    if (put->issued->refused) {
        set = apr_pstrcat(scratch, REFUSED, set, NULL);
    }
    ACME_TRY(acme_fsfile_put_dir(place, set, &dir, scratch));
    remove_older(place, put, number, scratch);
    return NULL;
}

acme_err_t *acme_store_put_fresh(acme_store_t *store, const char *dir,
                                 const acme_issued_t *issued,
                                 apr_pool_t *scratch)
{
    put_fresh_t put = { store, dir, acme_key_family(issued->record->key_type),
                        issued };
    apr_pool_t *sub = acme_store_subpool(scratch);
    acme_err_t *err = acme_store_check_name(dir, sub);

    if (!err) {
        err = acme_store_commit(store, put_fresh, &put, sub);
    }
    return acme_store_leave(err, sub, scratch);
}

typedef struct drop_t {
    acme_store_t *store;
    const char *dir;
    acme_family_t family;
    int number;
} drop_t;

/* An older set, or what is left of one where a process was killed. */
static int is_doomed(const drop_t *drop, const char *name)
{
    int number = acme_store_set_number(name, drop->family);

    return (number && number < drop->number) || acme_fsfile_is_temporary(name);
}

/* @param names  of what is in the directory that is to go */
static acme_err_t *list_doomed(apr_array_header_t **names, const drop_t *drop,
                               apr_pool_t *pool)
{
    apr_array_header_t *all = NULL;

    *names = apr_array_make(pool, 1, sizeof(const char *));
    ACME_TRY(acme_fsfile_list(&all, &drop->store->parts[ACME_PART_FRESH],
                              drop->dir, pool));
    for (int i = 0; all && i < all->nelts; i++) {
        const char *name = APR_ARRAY_IDX(all, i, const char *);
        if (is_doomed(drop, name)) {
            APR_ARRAY_PUSH(*names, const char *) = name;
        }
    }
    return NULL;
}

static acme_err_t *drop_older(void *baton, apr_pool_t *scratch)
{
    const drop_t *drop = baton;
    apr_array_header_t *names;
    acme_place_t *place = NULL;

    ACME_TRY(list_doomed(&names, drop, scratch));
    ACME_TRY(acme_fsfile_enter(&place, &drop->store->parts[ACME_PART_FRESH],
                               drop->dir, scratch));
    for (int i = 0; place && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        if (!acme_fsfile_is_temporary(name)) {
            ACME_TRY(acme_fsfile_remove_dir(place, name, scratch));
        }
    }
    if (place) {
        acme_fsfile_clean(place, scratch);
    }
    return NULL;
}

void acme_store_drop_older(acme_store_t *store, const char *dir,
                           acme_family_t family, int number,
                           apr_pool_t *scratch)
{
    drop_t drop = { store, dir, family, number };
    apr_pool_t *sub = acme_store_subpool(scratch);
    apr_array_header_t *names = NULL;
    acme_err_t *left = acme_store_check_name(dir, sub);

    /* Looked at without the lock first: at a start there is nothing, as a rule. */
    if (!left) {
        left = list_doomed(&names, &drop, sub);
    }
    if (!left && names->nelts) {
        left = acme_store_commit(store, drop_older, &drop, sub);
    }
    (void)left; /* what is never read again */
    apr_pool_destroy(sub);
}

typedef struct refusal_t {
    const acme_store_t *store;
    const char *dir, *set;
} refusal_t;

static acme_err_t *refuse_fresh(void *baton, apr_pool_t *scratch)
{
    const refusal_t *refusal = baton;
    acme_place_t *place;

    ACME_TRY(acme_fsfile_enter(&place, &refusal->store->parts[ACME_PART_FRESH],
                               refusal->dir, scratch));
    if (!place) {
        return NULL;
    }
    /* First what keeps its number from being used again. */
    const acme_fsfile_dir_t mark = { 0700, NULL, 0, 1 };
    ACME_TRY(acme_fsfile_put_dir(
        place, apr_pstrcat(scratch, REFUSED, refusal->set, NULL), &mark,
        scratch));
    return acme_fsfile_remove_dir(place, refusal->set, scratch);
}

acme_err_t *acme_store_refuse_fresh(acme_store_t *store, const char *dir,
                                    acme_family_t family, int number,
                                    apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    refusal_t refusal = { store, dir,
                          acme_store_set_name(family, number, sub) };
    acme_err_t *err = acme_store_check_name(dir, sub);

    if (!err) {
        err = acme_store_commit(store, refuse_fresh, &refusal, sub);
    }
    return acme_store_leave(err, sub, scratch);
}
