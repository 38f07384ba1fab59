#include "httpd/start_impl.h"

#include "engine/staple.h"
#include "httpd/hits.h"
#include "httpd/staples.h"

/* The live table may know a newer set than could be promoted: it stays. */
static void follow(served_t *served, acme_slot_t *slot)
{
    int i;

    for (i = 0; i < ACME_FAMILIES; ++i) {
        if (!served->unpromoted[i]
            || acme_live_generation(slot, i) < served->base[i]) {
            acme_live_set_generation(slot, i, served->base[i]);
        }
    }
    acme_tls_follow(served->live, slot);
}

static int wants_staple(const acme_managed_t *managed, const served_t *served)
{
    return managed->staple || managed->policy->must_staple
           || (served && served->must_staple);
}

static int wants_staples(const start_t *start,
                         const apr_array_header_t *managed)
{
    int i, wanted = 0;

    for (i = 0; i < managed->nelts && !wanted; ++i) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);

        wanted = wants_staple(
            one, apr_hash_get(start->served, one->name, APR_HASH_KEY_STRING));
    }
    return wanted;
}

/* What was fetched before the stop, or before the reload that has made room for
 * it, is stapled from the first handshake on, not only from the moment an engine
 * runs. Root copies it, and judges nothing: the
 * worker could write it to the table as well. */
static void bring_staples(const start_t *start, const served_t *served,
                          const acme_managed_t *managed,
                          const acme_slot_t *slot)
{
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, start->scratch);
    for (i = 0; i < ACME_FAMILIES; ++i) {
        acme_staples_t *area = acme_live_staples(slot, i);
        acme_staple_doc_t *doc = NULL;

        if (area && served->serials[i]) {
            acme_staple_saved(&doc, start->store, managed->dir, i,
                              served->serials[i], pool);
        }
        if (doc && !doc->revoked) {
            acme_staples_put(area, &doc->staple);
        }
    }
    apr_pool_destroy(pool);
}

acme_live_table_t *acme_start_fill_table(start_t *start, server_rec *s,
                                         const apr_array_header_t *managed)
{
    acme_live_table_t *table = acme_live_open(s, start->pconf);
    apr_array_header_t *names = apr_array_make(
        start->scratch, managed->nelts + 1, sizeof(const char *));
    int i;

    for (i = 0; i < managed->nelts; ++i) {
        APR_ARRAY_PUSH(names, const char *) =
            APR_ARRAY_IDX(managed, i, acme_managed_t *)->name;
    }
    if (!table) {
        return NULL;
    }
    acme_hits_open(s, start->pconf);
    acme_live_add(table, names);
    if (wants_staples(start, managed)) {
        acme_live_add_staples(table);
    }
    for (i = 0; i < managed->nelts; ++i) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        acme_slot_t *slot = acme_live_slot(table, one->name);
        served_t *served =
            apr_hash_get(start->served, one->name, APR_HASH_KEY_STRING);

        if (slot && served) {
            follow(served, slot);
            if (wants_staple(one, served)
                && acme_live_staples_new(table, slot)) {
                bring_staples(start, served, one, slot);
            }
        }
    }
    return table;
}
