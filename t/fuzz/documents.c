/* JSON that is kept in the store: what each kind of document is parsed to, and
 * that it survives being written again. */
#include "fuzz.h"

#include "core/ari.h"
#include "core/order.h"
#include "engine/gate_spec.h"
#include "engine/job.h"
#include "engine/journal.h"
#include "engine/limits.h"
#include "engine/record.h"
#include "engine/saved.h"
#include "engine/staple.h"

#define NOW apr_time_from_sec(1795334400)
#define CA  "https://acme-v02.api.letsencrypt.org/directory"

static apr_array_header_t *names(apr_pool_t *pool)
{
    apr_array_header_t *idents = apr_array_make(pool, 2, sizeof(void *));
    acme_ident_t *ident;

    FUZZ_MUST(!acme_ident_parse(&ident, "shop.example", pool));
    APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    FUZZ_MUST(!acme_ident_parse(&ident, "*.shop.example", pool));
    APR_ARRAY_PUSH(idents, acme_ident_t *) = ident;
    return idents;
}

static void look_at_record(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_record_t *record, *again;
    const char *json;

    if (fuzz_ok(acme_record_parse(&record, data, len, "it", pool), pool)) {
        FUZZ_MUST(fuzz_ok(acme_record_format(&json, record, pool), pool));
        FUZZ_MUST(fuzz_ok(
            acme_record_parse(&again, json, strlen(json), "it", pool), pool));
        FUZZ_MUST(again->number == record->number
                  && again->not_after == record->not_after
                  && acme_idents_equal(again->idents, record->idents));
    }
}

static void look_at_saved(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_saved_t saved, again;
    const char *json;

    if (fuzz_ok(acme_saved_parse(&saved, data, len, pool), pool)) {
        FUZZ_MUST(fuzz_ok(acme_saved_format(&json, &saved, pool), pool));
        FUZZ_MUST(
            fuzz_ok(acme_saved_parse(&again, json, strlen(json), pool), pool));
    }
}

static void look_at_order(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const acme_proofs_t proofs[] = { { { ACME_PROOF_HTTP_01 }, 1 },
                                     { { ACME_PROOF_DNS_01 }, 1 } };
    const acme_order_config_t config = { .idents = names(pool),
                                         .key = fuzz_key(),
                                         .proofs = proofs };
    acme_order_t *order, *again;
    const char *json;

    if (fuzz_ok(acme_order_load(&order, &config, data, len, NOW, pool), pool)) {
        acme_order_progress(order, pool);
        acme_order_remarks(order, pool);
        acme_order_tried(order, APR_ARRAY_IDX(config.idents, 0, void *));
        FUZZ_MUST(fuzz_ok(acme_order_save(&json, order, NOW, pool), pool));
        FUZZ_MUST(fuzz_ok(
            acme_order_load(&again, &config, json, strlen(json), NOW, pool),
            pool));
    }
}

static void look_at_limits(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_limits_t *limits = acme_limits_create(acme_limits_find(CA), pool);
    acme_limits_order_t order = { "account", names(pool), 0, 0 };
    acme_limits_wait_t wait;
    const char *json;

    if (fuzz_ok(acme_limits_parse(limits, data, len, NOW, pool), pool)) {
        acme_limits_check(&wait, limits, &order, NOW, pool);
        FUZZ_MUST(!wait.until || wait.until > NOW);
        acme_limits_spend(limits, &order, NOW);
        FUZZ_MUST(acme_limits_window(limits) > 0);
        FUZZ_MUST(fuzz_ok(acme_limits_format(&json, limits, NOW, pool), pool));
    }
}

static void look_at_job(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_ca_t cas[] = { { .url = CA }, { .url = "https://second.test/dir" } };
    const acme_policy_t policy = { .cas = cas,
                                   .ca_count = 2,
                                   .key_types = { ACME_KEY_ECDSA_P256 },
                                   .key_type_count = 1,
                                   .http_01 = 1 };
    const acme_managed_t managed = { .name = "shop.example",
                                     .dir = "shop.example",
                                     .idents = names(pool),
                                     .policy = &policy };
    acme_job_t job;
    const char *json;

    acme_job_init(&job, &managed, ACME_KEY_ECDSA_P256, pool, pool);
    acme_job_learn(&job, NULL, pool);
    if (fuzz_ok(acme_job_parse(&job, data, len, pool, pool), pool)) {
        acme_job_check_clock(&job, apr_time_from_sec(86400), NOW);
        acme_job_plan(&job, NOW, pool);
        FUZZ_MUST(fuzz_ok(acme_job_format(&json, &job, pool), pool));
        FUZZ_MUST(fuzz_ok(acme_job_parse(&job, json, strlen(json), pool, pool),
                          pool));
    }
}

static void look_at_gate(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const acme_journal_t entry = { "ab", data, len };
    acme_gate_spec_t gate = { 0 };
    const char *kind, *json;
    json_t *object;

    if (fuzz_ok(acme_journal_kind(&kind, &object, &entry, pool), pool) && kind
        && !acme_gate_spec_read(&gate, kind, object, pool) && gate.closes) {
        acme_gate_spec_id(&gate, pool);
        FUZZ_MUST(fuzz_ok(acme_gate_spec_format(&json, &gate, pool), pool));
    }
}

void fuzz_documents(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_staple_doc_t *staple;
    acme_ari_t ari = { 0 };
    const char *json;

    look_at_record(data, len, pool);
    look_at_saved(data, len, pool);
    look_at_order(data, len, pool);
    look_at_limits(data, len, pool);
    look_at_job(data, len, pool);
    look_at_gate(data, len, pool);
    if (fuzz_ok(acme_staple_parse(&staple, data, len, pool), pool)) {
        FUZZ_MUST(fuzz_ok(acme_staple_format(&json, staple, pool), pool));
    }
    fuzz_ok(acme_ari_parse(&ari, "aYhb.AIdl", data, len, NOW, pool), pool);
    acme_ari_moment(&ari, "aYhb.AIdl", NOW);
}
