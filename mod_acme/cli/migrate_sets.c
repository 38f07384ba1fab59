/* Certificates, keys and accounts out of another program's files. */
#include "cli/migrate.h"

#include <apr_strings.h>
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/files.h"
#include "core/contact.h"
#include "core/encode.h"

void ctl_move_leave(ctl_move_t *move, acme_msg_t msg, const char *name,
                    const char *why)
{
    move->left++;
    ctl_say(move->ctl, msg, acme_encode_printable(name, 253, move->ctl->pool),
            why, NULL);
}

/* --- files ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

apr_array_header_t *ctl_move_list(const char *path, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 16, sizeof(char *));
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir) {
        return NULL;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            APR_ARRAY_PUSH(names, const char *) =
                apr_pstrdup(pool, entry->d_name);
        }
    }
    closedir(dir);
    qsort(names->elts, (size_t)names->nelts, sizeof(char *), compare);
    return names;
}

static apr_status_t release(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

json_t *ctl_move_json(ctl_move_t *move, const char *path)
{
    apr_pool_t *pool = move->ctl->pool;
    const unsigned char *data;
    apr_size_t len;
    json_t *json;

    if (ctl_peek_file(move->ctl, path, CTL_MAX_KEY * 4, &data, &len)) {
        return NULL;
    }
    json = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return NULL;
    }
    apr_pool_cleanup_register(pool, json, release, apr_pool_cleanup_null);
    return json;
}

EVP_PKEY *ctl_move_key(ctl_move_t *move, const char *path,
                       const ctl_move_secret_t *secret, const char **why)
{
    apr_pool_t *pool = move->ctl->pool;
    const unsigned char *data;
    EVP_PKEY *key = NULL;
    apr_size_t len;

    *why = ctl_peek_file(move->ctl, path, CTL_MAX_KEY, &data, &len);
    if (*why) {
        *why = apr_pstrcat(pool, path, ": ", *why, NULL);
        return NULL;
    }
    acme_err_t *err = acme_key_adopt_bytes(&key, path, (const char *)data, len,
                                           secret ? secret->data : NULL,
                                           secret ? secret->len : 0, pool);
    if (err) {
        *why = err->text;
        return NULL;
    }
    return key;
}

/* --- certificates ------------------------------------------------------------------ */

/* One of the same family is replaced by a newer one.
 * @return NULL: there is a newer one */
static acme_backup_set_t *place_for(acme_backup_t *what, const char *dir,
                                    acme_family_t family,
                                    const acme_record_t *record)
{
    for (int i = 0; i < what->sets->nelts; i++) {
        acme_backup_set_t *one =
            &APR_ARRAY_IDX(what->sets, i, acme_backup_set_t);
        if (one->family == family && !strcmp(one->dir, dir)) {
            return one->set.record->not_before < record->not_before ? one
                                                                    : NULL;
        }
    }
    return apr_array_push(what->sets);
}

static acme_record_t *record_of(ctl_move_cert_t *cert, acme_key_type_t type,
                                apr_pool_t *pool)
{
    acme_record_t *record = apr_pcalloc(pool, sizeof(*record));

    record->name = APR_ARRAY_IDX(cert->idents, 0, acme_ident_t *)->value;
    record->key_type = type;
    record->ca_url = cert->ca_url;
    record->account_url = cert->account_url;
    record->profile = cert->profile;
    return record;
}

/* The names in it are what counts: they may have been others when it was ordered. */
static const char *check(acme_record_t *record, const acme_set_t *set,
                         const ctl_move_cert_t *cert, apr_pool_t *pool)
{
    acme_err_t *err =
        acme_chain_verify(set->chain, set->key, NULL, apr_time_now(), pool);

    if (!err) {
        err = acme_record_describe(record, set->chain->leaf, pool);
    }
    if (err) {
        return acme_err_line(err, pool);
    }
    record->issued = record->not_before;
    return acme_idents_subset(cert->idents, record->idents)
               ? NULL
               : "it does not have all the names that it is to have";
}

static const char *read_set(ctl_move_t *move, ctl_move_cert_t *cert,
                            acme_backup_set_t *one, const char *chain,
                            const char *key, const ctl_move_secret_t *secret)
{
    apr_pool_t *pool = move->ctl->pool;
    const unsigned char *data;
    acme_key_type_t type;
    apr_size_t len;
    const char *why =
        ctl_peek_file(move->ctl, chain, ACME_MAX_CHAIN, &data, &len);

    if (why) {
        return apr_pstrcat(pool, chain, ": ", why, NULL);
    }
    one->set.key = ctl_move_key(move, key, secret, &why);
    if (!one->set.key) {
        return why;
    }
    if (acme_key_type_of(&type, one->set.key)) {
        return "AcmeKeyType has none like its key";
    }
    acme_err_t *err =
        acme_chain_parse(&one->set.chain, (const char *)data, len, pool);
    if (!err) {
        err = acme_chain_to_pem(&one->chain_pem, one->set.chain, pool);
    }
    if (err) {
        return acme_err_line(err, pool);
    }
    one->family = acme_key_family(type);
    one->set.record = record_of(cert, type, pool);
    return check(one->set.record, &one->set, cert, pool);
}

int ctl_move_take(ctl_move_t *move, ctl_move_cert_t *cert, const char *chain,
                  const char *key, const ctl_move_secret_t *secret, int quiet)
{
    apr_pool_t *pool = move->ctl->pool;
    acme_backup_set_t one = {
        .dir = acme_ident_filename(
            APR_ARRAY_IDX(cert->idents, 0, acme_ident_t *), pool)
    };
    const char *why = read_set(move, cert, &one, chain, key, secret);

    if (why) {
        if (!quiet) {
            ctl_move_leave(move, ACME_W_MIGRATE_CERTIFICATE, cert->name, why);
        }
        return 0;
    }
    acme_backup_set_t *place =
        place_for(move->what, one.dir, one.family, one.set.record);
    if (place) {
        if (place->set.record) {
            cert->types &= ~(1u << place->set.record->key_type);
        }
        cert->types |= 1u << one.set.record->key_type;
        *place = one;
    }
    return 1;
}

/* --- accounts ------------------------------------------------------------------------ */

void ctl_move_account(ctl_move_t *move, const acme_ca_t *ca, EVP_PKEY *key,
                      const char *url, const char *contacts)
{
    apr_pool_t *pool = move->ctl->pool;
    acme_backup_account_t one = { .dir = acme_policy_account(ca, pool) };

    one.account.directory_url = apr_pstrdup(pool, ca->url);
    one.account.key = key;
    one.account.state.kid = apr_pstrdup(pool, url);
    one.account.state.contacts = contacts;
    APR_ARRAY_PUSH(move->what->accounts, acme_backup_account_t) = one;
}
