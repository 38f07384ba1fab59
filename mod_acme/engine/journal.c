#include "engine/journal.h"

#include "core/encode.h"
#include "engine/notify.h"
#include "engine/solver.h"

#define MAX_ENTRY (64 * 1024)

acme_err_t *acme_journal_kind(const char **kind, json_t **object,
                              const acme_journal_t *entry, apr_pool_t *pool)
{
    *kind = NULL;
    ACME_TRY(acme_json_parse(object, entry->json, entry->len, MAX_ENTRY,
                             "entry", pool));
    *kind = acme_json_string(*object, "kind");
    return NULL;
}

static const char *take(acme_engine_t *engine, const acme_journal_t *entry,
                        apr_pool_t *pool)
{
    json_t *object;
    const char *kind;
    acme_err_t *err = acme_journal_kind(&kind, &object, entry, pool);

    if (!kind) {
        return err ? err->text : NULL;
    }
    const char *why =
        acme_solver_take(engine->solver, kind, object, entry->id, pool);
    return why ? why
               : acme_notify_take(engine->notify, kind, object, entry->id,
                                  pool);
}

acme_err_t *acme_journal_load(acme_engine_t *engine)
{
    apr_array_header_t *entries;
    acme_err_t *damage;
    apr_pool_t *pool;

    apr_pool_create(&pool, engine->pool);
    acme_err_t *err =
        acme_store_get_journal(&entries, &damage, engine->store, pool);
    if (!err && damage) {
        acme_engine_log_error(engine, NULL, damage);
    }
    for (int i = 0; !err && i < entries->nelts; i++) {
        const acme_journal_t *entry =
            APR_ARRAY_IDX(entries, i, acme_journal_t *);
        const char *why = take(engine, entry, pool);
        if (why) {
            acme_engine_log(engine, NULL, ACME_W_JOURNAL_DAMAGED, entry->id,
                            why, NULL);
        }
    }
    err = acme_err_dup(err, engine->scratch);
    apr_pool_destroy(pool);
    return err;
}
