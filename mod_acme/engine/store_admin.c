/* What acmectl needs to see and to clear away: the whole store, as root. */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/store_impl.h"

#define USES_FILE "managed.json"

/* --- what there is ----------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static acme_err_t *add_names(apr_hash_t *seen, apr_array_header_t *found,
                             const acme_place_t *part, apr_pool_t *pool)
{
    apr_array_header_t *names;

    ACME_TRY(acme_fsfile_list(&names, part, NULL, pool));
    for (int i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        if (!acme_fsfile_is_temporary(name)
            && !apr_hash_get(seen, name, APR_HASH_KEY_STRING)) {
            apr_hash_set(seen, name, APR_HASH_KEY_STRING, name);
            APR_ARRAY_PUSH(found, const char *) = name;
        }
    }
    return NULL;
}

static acme_err_t *list_parts(apr_array_header_t **dirs,
                              const acme_store_t *store,
                              const acme_part_t *parts, int count,
                              apr_pool_t *pool)
{
    apr_array_header_t *found = apr_array_make(pool, 16, sizeof(const char *));
    apr_hash_t *seen = apr_hash_make(pool);

    for (int i = 0; i < count; i++) {
        ACME_TRY(add_names(seen, found, &store->parts[parts[i]], pool));
    }
    qsort(found->elts, (size_t)found->nelts, sizeof(const char *), by_name);
    *dirs = found;
    return NULL;
}

acme_err_t *acme_store_list(apr_array_header_t **dirs, acme_store_t *store,
                            apr_pool_t *pool)
{
    static const acme_part_t parts[] = {
        ACME_PART_CERTIFICATES, ACME_PART_PLACEHOLDER, ACME_PART_ARCHIVE,
        ACME_PART_FRESH,        ACME_PART_WORK,        ACME_PART_KEYS,
    };
    return list_parts(dirs, store, parts, sizeof(parts) / sizeof(parts[0]),
                      pool);
}

acme_err_t *acme_store_list_accounts(apr_array_header_t **dirs,
                                     acme_store_t *store, apr_pool_t *pool)
{
    static const acme_part_t accounts = ACME_PART_ACCOUNTS;
    return list_parts(dirs, store, &accounts, 1, pool);
}

const apr_array_header_t *acme_store_names(acme_store_t *store, const char *dir,
                                           apr_pool_t *pool)
{
    return acme_store_placeholder_idents(store, dir, pool);
}

/* --- a set with its key -------------------------------------------------------------- */

static acme_err_t *load_promoted(acme_set_t **set, acme_record_t *record,
                                 const acme_store_t *store, const char *dir,
                                 acme_family_t family, apr_pool_t *pool)
{
    acme_set_t *made = apr_pcalloc(pool, sizeof(*made));
    const acme_place_t *part =
        &store->parts[acme_store_current_part(store, dir, family)];
    const char *base = apr_pstrcat(
        pool, dir, "/", acme_store_set_name(family, record->number, pool), "/",
        NULL);
    const char *chain, *key;
    apr_size_t chain_len, key_len;

    ACME_TRY(acme_fsfile_read(&chain, &chain_len, part,
                              apr_pstrcat(pool, base, "chain.pem", NULL),
                              store->owner, pool));
    ACME_TRY(acme_fsfile_read(&key, &key_len, part,
                              apr_pstrcat(pool, base, "key.pem", NULL),
                              store->owner, pool));
    if (!chain || !key) {
        return acme_err_make(pool, ACME_E_STORE_DAMAGED,
                             acme_fsfile_path(part, base, pool),
                             "a file of it is missing", NULL);
    }
    made->record = record;
    ACME_TRY(acme_chain_parse(&made->chain, chain, chain_len, pool));
    ACME_TRY(acme_key_from_pem(&made->key, key, key_len, pool));
    *set = made;
    return NULL;
}

/* What the certificate says replaces what the worker says of it. */
static acme_err_t *load_fresh(acme_set_t **set, acme_store_t *store,
                              const char *dir, acme_family_t family, int number,
                              apr_pool_t *pool)
{
    acme_set_t *made;

    ACME_TRY(acme_store_load_fresh(&made, store, dir, family, number, pool));
    ACME_TRY(acme_record_describe(made->record, made->chain->leaf, pool));
    *set = made;
    return NULL;
}

acme_err_t *acme_store_get_set(acme_set_t **set, acme_store_t *store,
                               const char *dir, acme_family_t family,
                               apr_pool_t *pool)
{
    acme_record_t *record = NULL;
    acme_err_t *damage = acme_store_newest(&record, store, dir, family, pool);

    *set = NULL;
    return !record ? damage
           : record->from == ACME_RECORD_FRESH
               ? load_fresh(set, store, dir, family, record->number, pool)
               : load_promoted(set, record, store, dir, family, pool);
}

/* @return also with a set: what was damaged */
static acme_err_t *get_promoted(acme_set_t **set, acme_store_t *store,
                                const char *dir, acme_family_t family,
                                apr_pool_t *pool)
{
    acme_record_t *record = NULL;
    acme_err_t *damage = acme_store_current(&record, store, dir, family, pool);

    if (record) {
        ACME_TRY(load_promoted(set, record, store, dir, family, pool));
    }
    return damage;
}

acme_err_t *acme_store_find_set(acme_set_t **set, acme_store_t *store,
                                const char *dir, acme_family_t family,
                                const acme_choice_t *choice, apr_pool_t *pool)
{
    acme_set_t *promoted = NULL, *made;
    apr_array_header_t *numbers = NULL;
    acme_err_t *first = get_promoted(&promoted, store, dir, family, pool);
    acme_err_t *err = acme_store_numbers(
        &numbers, &store->parts[ACME_PART_FRESH], dir, family, pool);

    *set = NULL;
    for (int i = 0; !err && i < numbers->nelts && i < ACME_STORE_TRIES && !*set;
         i++) {
        int number = APR_ARRAY_IDX(numbers, i, int);
        if (promoted && number <= promoted->record->number) {
            break;
        }
        acme_err_t *bad = load_fresh(&made, store, dir, family, number, pool);
        first = first ? first : bad;
        *set = !bad && choice->fits(choice->baton, made) ? made : NULL;
    }
    if (!*set && promoted && choice->fits(choice->baton, promoted)) {
        *set = promoted;
    }
    return first ? first : err;
}

/* --- clearing away ---------------------------------------------------------------------- */

static acme_err_t *remove_tree(const acme_place_t *part, const char *dir,
                               apr_pool_t *scratch)
{
    apr_array_header_t *names;
    acme_place_t *place;

    ACME_TRY(acme_fsfile_enter(&place, part, dir, scratch));
    if (!place) {
        return NULL;
    }
    ACME_TRY(acme_fsfile_list(&names, place, NULL, scratch));
    for (int i = 0; names && i < names->nelts; i++) {
        ACME_TRY(acme_fsfile_remove(
            place, APR_ARRAY_IDX(names, i, const char *), scratch));
    }
    acme_fsfile_step();
    return unlinkat(part->fd, dir, AT_REMOVEDIR) == 0 || errno == ENOENT
               ? NULL
               : acme_fsfile_error("remove the directory", part, dir, scratch);
}

static acme_err_t *remove_parts(const acme_store_t *store, const char *dir,
                                const acme_part_t *parts, int count,
                                apr_pool_t *scratch)
{
    for (int i = 0; i < count; i++) {
        ACME_TRY(remove_tree(&store->parts[parts[i]], dir, scratch));
    }
    return NULL;
}

static acme_err_t *remove_promoted(const acme_store_t *store, const char *dir,
                                   apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_CERTIFICATES,
                                         ACME_PART_ARCHIVE,
                                         ACME_PART_PLACEHOLDER };
    int lock;

    ACME_TRY(acme_store_check_name(dir, scratch));
    ACME_TRY(acme_store_lock_root(&lock, store, scratch));
    acme_err_t *err = remove_parts(store, dir, parts,
                                   sizeof(parts) / sizeof(parts[0]), scratch);
    close(lock);
    return err;
}

acme_err_t *acme_store_remove_promoted(acme_store_t *store, const char *dir,
                                       apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    return acme_store_leave(remove_promoted(store, dir, sub), sub, scratch);
}

typedef struct clearing_t {
    const acme_store_t *store;
    const char *dir;
} clearing_t;

static acme_err_t *remove_fresh(void *baton, apr_pool_t *scratch)
{
    static const acme_part_t parts[] = { ACME_PART_FRESH, ACME_PART_WORK,
                                         ACME_PART_KEYS };
    const clearing_t *clearing = baton;

    return remove_parts(clearing->store, clearing->dir, parts,
                        sizeof(parts) / sizeof(parts[0]), scratch);
}

acme_err_t *acme_store_remove_fresh(acme_store_t *store, const char *dir,
                                    apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    clearing_t clearing = { store, dir };
    acme_err_t *err = acme_store_check_name(dir, sub);

    if (!err) {
        err = acme_store_commit(store, remove_fresh, &clearing, sub);
    }
    return acme_store_leave(err, sub, scratch);
}

/* --- what is managed -------------------------------------------------------------------- */

/* @return not 0: there is no memory */
static int put_externals(json_t *doc, const apr_table_t *externals)
{
    const apr_array_header_t *rows = apr_table_elts(externals);
    json_t *object = json_object();
    int failed = 0;

    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);
        if (acme_utf8_valid(row->key)) { /* a path may be anything */
            failed |= acme_json_put_text(object, row->key, row->val);
        }
    }
    return failed | json_object_set_new(doc, "externals", object);
}

/* @param all  with all names */
static json_t *format_use(const acme_use_t *use, int all, apr_pool_t *scratch)
{
    json_t *row = json_pack(
        "[s,s,b]", use->name,
        acme_encode_printable(use->where ? use->where : "", 255, scratch),
        use->in_use);

    if (all && use->names
        && json_array_append_new(row, acme_json_texts(use->names))) {
        json_decref(row);
        row = NULL;
    }
    return row;
}

/* @return NULL: no memory */
static const char *format_uses(const apr_array_header_t *uses,
                               const acme_ports_t *ports,
                               const apr_table_t *externals, int all,
                               apr_pool_t *scratch)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; i < uses->nelts; i++) {
        failed |= json_array_append_new(
            list,
            format_use(&APR_ARRAY_IDX(uses, i, acme_use_t), all, scratch));
    }
    json_t *doc =
        json_pack("{s:i, s:[i,i], s:o}", "version", 1, "ports", ports->port_80,
                  ports->port_443, "certificates", list);
    if (failed
        || (!apr_is_empty_table(externals) && put_externals(doc, externals))) {
        json_decref(doc);
        doc = NULL;
    }
    return acme_json_text(doc, JSON_COMPACT, scratch);
}

static acme_err_t *put_uses(const acme_store_t *store,
                            const apr_array_header_t *uses,
                            const acme_ports_t *ports,
                            const apr_table_t *externals, apr_pool_t *scratch)
{
    const char *before;
    apr_size_t len;
    int lock;
    const char *text = format_uses(uses, ports, externals, 1, scratch);

    /* Of very many, what most need. */
    if (text && strlen(text) > ACME_FSFILE_MAX) {
        text = format_uses(uses, ports, externals, 0, scratch);
    }
    if (!text) {
        return acme_err_make(scratch, ACME_E_MEMORY, "writing " USES_FILE,
                             NULL);
    }
    acme_fsfile_entry_t entry = { USES_FILE, 0600, text, strlen(text) };
    acme_err_t *err = acme_fsfile_read(&before, &len, &store->base, USES_FILE,
                                       ACME_FSFILE_ANYONE, scratch);
    if (err || !before || len != entry.len || memcmp(before, text, len) != 0) {
        err = acme_store_lock_root(&lock, store, scratch);
        if (!err) {
            err = acme_fsfile_put(&store->base, &entry, scratch);
            close(lock);
        }
    }
    return err;
}

acme_err_t *acme_store_put_uses(acme_store_t *store,
                                const apr_array_header_t *uses,
                                const acme_ports_t *ports,
                                const apr_table_t *externals,
                                apr_pool_t *scratch)
{
    apr_pool_t *sub = acme_store_subpool(scratch);
    return acme_store_leave(put_uses(store, uses, ports, externals, sub), sub,
                            scratch);
}

static void get_ports(acme_ports_t *ports, const json_t *list)
{
    json_int_t port_80 = json_integer_value(json_array_get(list, 0));
    json_int_t port_443 = json_integer_value(json_array_get(list, 1));

    *ports = (acme_ports_t){ 80, 443 };
    if (json_array_size(list) == 2 && port_80 >= 0 && port_80 < 65536
        && port_443 >= 0 && port_443 < 65536) {
        *ports = (acme_ports_t){ (int)port_80, (int)port_443 };
    }
}

/* @param doc  NULL: nothing has been said */
static acme_err_t *read_uses(json_t **doc, const acme_store_t *store,
                             apr_pool_t *pool)
{
    const char *text;
    apr_size_t len;

    *doc = NULL;
    ACME_TRY(acme_fsfile_read(&text, &len, &store->base, USES_FILE,
                              store->owner, pool));
    return text ? acme_json_parse(doc, text, len, ACME_FSFILE_MAX, USES_FILE,
                                  pool)
                : NULL;
}

acme_err_t *acme_store_get_externals(apr_table_t **externals,
                                     acme_store_t *store, apr_pool_t *pool)
{
    const char *file;
    json_t *doc, *kid;

    *externals = apr_table_make(pool, 2);
    ACME_TRY(read_uses(&doc, store, pool));
    json_object_foreach(json_object_get(doc, "externals"), file, kid)
    {
        if (json_is_string(kid)) {
            apr_table_set(*externals, file, json_string_value(kid));
        }
    }
    return NULL;
}

static apr_array_header_t *get_names(const json_t *list, apr_pool_t *pool)
{
    apr_array_header_t *names;
    size_t i;
    json_t *one;

    if (!json_array_size(list)) {
        return NULL;
    }
    names =
        apr_array_make(pool, (int)json_array_size(list), sizeof(const char *));
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one)) {
            APR_ARRAY_PUSH(names, const char *) = json_string_value(one);
        }
    }
    return names;
}

acme_err_t *acme_store_get_uses(apr_array_header_t **uses, acme_ports_t *ports,
                                acme_store_t *store, apr_pool_t *pool)
{
    json_t *doc, *row;
    size_t i;

    *uses = NULL;
    if (ports) {
        get_ports(ports, NULL);
    }
    ACME_TRY(read_uses(&doc, store, pool));
    if (!doc) {
        return NULL;
    }
    apr_array_header_t *found = apr_array_make(pool, 16, sizeof(acme_use_t));
    if (ports) {
        get_ports(ports, json_object_get(doc, "ports"));
    }
    json_array_foreach(json_object_get(doc, "certificates"), i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0));
        const char *where = json_string_value(json_array_get(row, 1));
        if (name) {
            APR_ARRAY_PUSH(found, acme_use_t) =
                (acme_use_t){ name, where, json_is_true(json_array_get(row, 2)),
                              get_names(json_array_get(row, 3), pool) };
        }
    }
    *uses = found;
    return NULL;
}
