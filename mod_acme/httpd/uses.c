#include "httpd/uses.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <string.h>
#include <unixd.h>

#include "engine/policy.h"
#include "httpd/config.h"
#include "httpd/log.h"

#define NAMED 20 /* hosts or names that are gone; the rest is counted */

static acme_store_t *open_again(apr_pool_t *pool)
{
    const acme_store_options_t options = {
        .root = acme_config_global()->store,
        .worker_uid = ap_unixd_config.user_id,
        .worker_gid = ap_unixd_config.group_id,
    };
    acme_store_t *store = NULL;
    acme_err_t *none = acme_store_open(&store, &options, pool);

    return none ? NULL : store;
}

apr_hash_t *acme_uses_recall(acme_store_t *store, apr_pool_t *pool)
{
    apr_hash_t *recalled = apr_hash_make(pool);
    apr_array_header_t *uses = NULL;

    if (!store || acme_store_get_uses(&uses, NULL, store, pool)) {
        return recalled; /* what is damaged is written anew */
    }
    for (int i = 0; uses && i < uses->nelts; ++i) {
        const acme_use_t *use = &APR_ARRAY_IDX(uses, i, acme_use_t);
        apr_hash_set(recalled, use->name, APR_HASH_KEY_STRING, use);
    }
    return recalled;
}

static int is_among(const apr_array_header_t *idents, const acme_ident_t *one)
{
    for (int i = 0; i < idents->nelts; ++i) {
        if (acme_ident_equal(APR_ARRAY_IDX(idents, i, const acme_ident_t *),
                             one)) {
            return 1;
        }
    }
    return 0;
}

const apr_array_header_t *acme_uses_former(apr_hash_t *recalled,
                                           const char *name,
                                           const apr_array_header_t *allowed,
                                           apr_pool_t *pool)
{
    const acme_use_t *use = apr_hash_get(recalled, name, APR_HASH_KEY_STRING);
    apr_array_header_t *former = NULL;
    acme_ident_t *ident;

    for (int i = 0; use && use->names && i < use->names->nelts; ++i) {
        const char *one = APR_ARRAY_IDX(use->names, i, const char *);
        if (!acme_ident_parse(&ident, one, pool) && !is_among(allowed, ident)) {
            former = former ? former
                            : apr_array_make(pool, 2, sizeof(acme_ident_t *));
            APR_ARRAY_PUSH(former, acme_ident_t *) = ident;
        }
    }
    return former;
}

/* The last configuration and this one. */
typedef struct change_t {
    server_rec *server;
    apr_hash_t *uses;  /* name -> acme_use_t, of now */
    apr_hash_t *names; /* all names of now, whatever certificate has them */
    apr_pool_t *pool;
    int gone; /* certificates so far */
} change_t;

static change_t look_at(server_rec *s, const apr_array_header_t *uses,
                        apr_pool_t *pool)
{
    change_t change = { s, apr_hash_make(pool), apr_hash_make(pool), pool, 0 };

    for (int i = 0; i < uses->nelts; ++i) {
        const acme_use_t *use = &APR_ARRAY_IDX(uses, i, acme_use_t);
        apr_hash_set(change.uses, use->name, APR_HASH_KEY_STRING, use);
        apr_hash_set(change.names, use->name, APR_HASH_KEY_STRING, use);
        for (int k = 0; use->names && k < use->names->nelts; ++k) {
            apr_hash_set(change.names,
                         APR_ARRAY_IDX(use->names, k, const char *),
                         APR_HASH_KEY_STRING, use);
        }
    }
    return change;
}

/* By itself or by a wildcard. */
static int is_named(const change_t *change, const char *name)
{
    const char *dot = strchr(name, '.');

    return apr_hash_get(change->names, name, APR_HASH_KEY_STRING)
           || (dot
               && apr_hash_get(change->names,
                               apr_pstrcat(change->pool, "*", dot, NULL),
                               APR_HASH_KEY_STRING));
}

/* @param use  of before, and there still */
static void tell_names(const change_t *change, const acme_use_t *use,
                       const acme_use_t *now)
{
    const char *gone = "";
    int count = 0;

    for (int i = 0; use->names && i < use->names->nelts; ++i) {
        const char *name = APR_ARRAY_IDX(use->names, i, const char *);
        if (!is_named(change, name) && ++count <= NAMED) {
            gone = apr_pstrcat(change->pool, gone, count > 1 ? ", " : "", name,
                               NULL);
        }
    }
    if (count > NAMED) {
        gone =
            apr_psprintf(change->pool, "%s and %d more", gone, count - NAMED);
    }
    if (count) {
        acme_log_msg(change->server, change->pool, ACME_W_NAMES_GONE, use->name,
                     now->where ? now->where : "?", gone, NULL);
    }
}

/* A host or a name that is lost by mistake is not found out when its certificate
 * ends. Told once: the next start compares with this one. */
static void tell_gone(server_rec *s, const apr_array_header_t *uses,
                      acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *before;
    change_t change = look_at(s, uses, pool);

    if (acme_store_get_uses(&before, NULL, store, pool) || !before) {
        return; /* what is damaged is written anew */
    }
    for (int i = 0; i < before->nelts; ++i) {
        const acme_use_t *use = &APR_ARRAY_IDX(before, i, acme_use_t);
        const acme_use_t *now =
            apr_hash_get(change.uses, use->name, APR_HASH_KEY_STRING);
        if (now) {
            tell_names(&change, use, now);
        }
        else if (++change.gone <= NAMED) {
            acme_log_msg(s, pool, ACME_W_HOST_GONE, use->name,
                         use->where ? use->where : "?", NULL);
        }
    }
    if (change.gone > NAMED) {
        acme_log_msg(s, pool, ACME_W_HOSTS_GONE,
                     apr_itoa(pool, change.gone - NAMED), NULL);
    }
}

/* A file of AcmeExternalAccount that is gone, or cannot be read, is still known by
 * the key identifier that it held at an earlier start: accounts are told apart by
 * that. @return all that are known */
static apr_table_t *recall_externals(acme_store_t *store, apr_pool_t *pool)
{
    apr_hash_t *all = acme_config_global()->externals;
    apr_table_t *before = apr_table_make(pool, 2), *known;
    apr_hash_index_t *at;

    known = apr_table_make(pool, 2);
    if (store && apr_hash_count(all)
        && acme_store_get_externals(&before, store, pool)) {
        before = apr_table_make(pool, 2); /* damaged: written anew */
    }
    for (at = apr_hash_first(pool, all); at; at = apr_hash_next(at)) {
        acme_external_t *external = apr_hash_this_val(at);
        const char *kid = apr_table_get(before, external->file);

        if (external->fault && !external->kid && kid) {
            external->kid = apr_pstrdup(apr_hash_pool_get(all), kid);
        }
        if (external->kid) {
            apr_table_setn(known, external->file, external->kid);
        }
    }
    return known;
}

static const apr_array_header_t *all_names(const acme_managed_t *managed,
                                           apr_pool_t *pool)
{
    apr_array_header_t *names;

    if (managed->idents->nelts < 2) {
        return NULL;
    }
    names = apr_array_make(pool, managed->idents->nelts, sizeof(const char *));
    for (int i = 0; i < managed->idents->nelts; ++i) {
        APR_ARRAY_PUSH(names, const char *) =
            APR_ARRAY_IDX(managed->idents, i, const acme_ident_t *)->value;
    }
    return names;
}

void acme_uses_note(server_rec *s, const apr_array_header_t *managed,
                    acme_store_t *store, apr_pool_t *scratch)
{
    apr_pool_t *sub;
    apr_pool_create(&sub, scratch);
    apr_array_header_t *uses =
        apr_array_make(sub, managed->nelts + 1, sizeof(acme_use_t));
    int i;

    for (i = 0; i < managed->nelts; ++i) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        APR_ARRAY_PUSH(uses, acme_use_t) =
            (acme_use_t){ one->name, one->where, one->in_use,
                          all_names(one, sub) };
    }
    store = store ? store : open_again(sub);
    if (store) {
        tell_gone(s, uses, store, sub);
    }
    const acme_ports_t ports = { acme_config_global()->port_80,
                                 acme_config_global()->port_443 };
    const apr_table_t *externals = recall_externals(store, sub);
    acme_err_t *err =
        store ? acme_store_put_uses(store, uses, &ports, externals, sub) : NULL;
    if (err) {
        acme_log_err(s, "", err, sub);
    }
    apr_pool_destroy(sub);
}
