/* Revocation: of the newest certificates of a name, by the account that ordered them
 * or by their own key; and what it leads to. RFC 8555 section 7.6. */
#include <apr_strings.h>
#include <openssl/x509.h>
#include <string.h>

#include "core/encode.h"
#include "engine/duty.h"
#include "engine/events.h"

#define NO_REASON "no reason given"

/** One certificate to be revoked. */
struct acme_target_t {
    acme_target_t *next;
    const char *dir;
    acme_family_t family;
    const acme_record_t *record;
    EVP_PKEY *public_key;
    const unsigned char *der;
    apr_size_t len;
};

/* --- which ---------------------------------------------------------------------- */

static apr_status_t free_octets(void *data)
{
    OPENSSL_free(data);
    return APR_SUCCESS;
}

static acme_err_t *read_target(acme_target_t **target, acme_duty_t *duty,
                               const char *dir, acme_family_t family)
{
    acme_target_t *made = apr_pcalloc(duty->pool, sizeof(*made));
    acme_store_t *store = duty->engine->store;
    unsigned char *der = NULL;
    acme_record_t *record;
    acme_chain_t *chain;

    *target = NULL;
    /* A damaged one is passed over for an older one, which is not meant. */
    ACME_TRY(acme_store_newest(&record, store, dir, family, duty->pool));
    if (!record) {
        return NULL;
    }
    ACME_TRY(acme_store_get_chain(&chain, store, dir, family, record->number,
                                  duty->pool));
    int len = i2d_X509(chain->leaf, &der);
    if (len <= 0) {
        return acme_err_ssl(duty->engine->scratch, ACME_E_MEMORY,
                            "reading a certificate", NULL);
    }
    apr_pool_cleanup_register(duty->pool, der, free_octets,
                              apr_pool_cleanup_null);
    made->dir = apr_pstrdup(duty->pool, dir);
    made->family = family;
    made->record = record;
    made->public_key = X509_get0_pubkey(chain->leaf);
    made->der = der;
    made->len = (apr_size_t)len;
    *target = made;
    return NULL;
}

/* Those that an engine that is gone has begun with: by now there may be newer
 * ones, which are not meant. */
static int is_begun(const json_t *serials, const char *serial)
{
    size_t i;
    json_t *one;

    if (!json_is_array(serials)) {
        return 1;
    }
    json_array_foreach(serials, i, one)
    {
        const char *text = json_string_value(one);
        if (text && !strcmp(text, serial)) {
            return 1;
        }
    }
    return 0;
}

static acme_err_t *find_targets(acme_duty_t *duty, const char *dir,
                                const json_t *serials, const char *name)
{
    acme_target_t **end = &duty->targets;
    int count = 0;

    for (int i = 0; i < ACME_FAMILIES; i++) {
        acme_target_t *target;
        ACME_TRY(read_target(&target, duty, dir, (acme_family_t)i));
        count += target != NULL;
        if (target && is_begun(serials, target->record->serial)
            && (!duty->own_key
                || EVP_PKEY_eq(duty->own_key, target->public_key) == 1)) {
            *end = target;
            end = &target->next;
        }
    }
    if (duty->targets || (serials && count)) {
        return NULL;
    }
    return acme_err_make(duty->engine->scratch,
                         count ? ACME_E_REVOKE_KEY : ACME_E_REVOKE_NONE, name,
                         NULL);
}

/* --- by whom -------------------------------------------------------------------- */

/* The account that ordered it, or else another of the same CA, which may have been
 * authorized for the names, too. */
static acme_err_t *find_account(acme_account_t **found, acme_duty_t *duty,
                                const acme_record_t *record)
{
    apr_pool_t *scratch = duty->engine->scratch;
    apr_array_header_t *dirs;

    *found = NULL;
    ACME_TRY(acme_store_list_accounts(&dirs, duty->engine->store, scratch));
    for (int i = 0; record->ca_url && i < dirs->nelts; i++) {
        acme_account_t *account = NULL;
        const char *dir = APR_ARRAY_IDX(dirs, i, const char *);
        acme_err_t *err = acme_store_get_account(&account, duty->engine->store,
                                                 dir, duty->pool);
        if (err || !account || account->state.closed
            || strcmp(account->directory_url, record->ca_url) != 0) {
            continue;
        }
        int own = account->state.kid && record->account_url
                  && !strcmp(account->state.kid, record->account_url);
        if (account->next_key && own) {
            return acme_err_make(scratch, ACME_E_ACCOUNT_BUSY, dir, NULL);
        }
        if (own || !*found) {
            *found = account;
        }
        if (own) {
            break;
        }
    }
    return *found ? NULL
                  : acme_err_make(scratch, ACME_E_REVOKE_ACCOUNT,
                                  record->ca_url ? record->ca_url : "?", NULL);
}

static acme_err_t *revoke_begin(acme_duty_t *duty)
{
    acme_errand_config_t *config = &duty->config;
    acme_target_t *target = duty->target ? duty->target->next : duty->targets;
    acme_account_t *account;

    if (!target) {
        duty->outcome = "revoked";
        return NULL;
    }
    memset(config, 0, sizeof(*config));
    config->kind = ACME_ERRAND_REVOKE;
    config->directory_url = target->record->ca_url;
    config->certificate = target->der;
    config->len = target->len;
    config->reason = duty->reason;
    config->by_certificate = duty->own_key != NULL;
    config->key = duty->own_key;
    if (!config->by_certificate) {
        ACME_TRY(find_account(&account, duty, target->record));
        config->key = account->key;
        config->kid = account->state.kid;
    }
    if (!config->directory_url) {
        return acme_err_make(duty->engine->scratch, ACME_E_REVOKE_ACCOUNT, "?",
                             NULL);
    }
    duty->ca = acme_duty_ca(duty->engine, config->directory_url);
    duty->target = target;
    return NULL;
}

/* --- what it leads to ------------------------------------------------------------- */

static acme_job_t *job_of(const acme_duty_t *duty, const acme_target_t *target)
{
    acme_engine_t *engine = duty->engine;
    acme_job_t *job = apr_hash_get(engine->by_name, target->record->name,
                                   APR_HASH_KEY_STRING);

    for (int i = 0; job && i < job->managed->policy->key_type_count; i++) {
        if (job[i].family == target->family
            && !strcmp(job[i].status.serial, target->record->serial)) {
            return &job[i];
        }
    }
    return NULL;
}

/* Of an order in progress, or one that is put off, for the same key. */
static void drop_order(acme_engine_t *engine, acme_job_t *job,
                       const acme_target_t *target)
{
    acme_run_t *run = job->run;
    acme_err_t *err = NULL;

    if (run && !run->hold && run->key
        && EVP_PKEY_eq(run->key, target->public_key) == 1) {
        run->superseded = 1;
        acme_order_cancel(run->order,
                          acme_err_make(run->pool, ACME_E_ORDER_CHANGED, NULL));
        acme_run_poke(run);
    }
    else if (!run) {
        err = acme_engine_note(
            engine, acme_store_remove_work(engine->store, job->managed->dir,
                                           job->family, engine->scratch));
        job->kept = 0;
    }
    if (err) {
        acme_engine_log_error(engine, job, err);
    }
}

static void replace(acme_duty_t *duty, acme_job_t *job,
                    const acme_target_t *target)
{
    acme_engine_t *engine = duty->engine;
    const char *reason = acme_reason_name(duty->reason);
    const acme_err_t *said =
        acme_err_make(engine->scratch, ACME_I_REVOKED, target->record->serial,
                      reason ? reason : NO_REASON, acme_duty_by(duty), NULL);
    const acme_happening_t what = { ACME_EVENT_REVOKED, job, said };

    acme_job_withdraw(job, target->record->serial, duty->reason);
    acme_engine_keep(engine, job);
    if (acme_job_shuns_key(job)) {
        drop_order(engine, job, target);
    }
    acme_events_raise(engine, &what);
    if (!job->run) {
        acme_engine_schedule(engine, job);
    }
}

/* Nobody looks after it now: it must not be taken for a good one when somebody does
 * again. */
static void note(const acme_duty_t *duty, const acme_target_t *target)
{
    acme_engine_t *engine = duty->engine;
    acme_err_t *err = acme_engine_note(
        engine, acme_withdrawn_note(engine->store, target->dir, target->family,
                                    target->record->serial, duty->reason,
                                    engine->scratch));
    if (err) {
        acme_engine_log_error(engine, NULL, err);
    }
}

static const char *consequence(const acme_job_t *job)
{
    if (!job) {
        return "this server does not manage it";
    }
    return job->run || job->status.next_time
               ? "another one is ordered at once, and it serves until that is "
                 "there"
               : job->status.next_action;
}

static acme_err_t *revoke_done(acme_duty_t *duty)
{
    const acme_target_t *target = duty->target;
    acme_job_t *job = job_of(duty, target);
    const char *reason = acme_reason_name(duty->reason);
    apr_pool_t *scratch = duty->engine->scratch;
    const char *prefix = apr_psprintf(scratch, "[%s/%s]", target->record->name,
                                      acme_family_name(target->family));

    acme_duty_log(duty, prefix, ACME_I_REVOKED, target->record->serial,
                  reason ? reason : NO_REASON, acme_duty_by(duty), NULL);
    if (job) {
        replace(duty, job, target);
    }
    else {
        note(duty, target);
    }
    const char *line = apr_psprintf(
        duty->pool, "%s certificate with serial %s is revoked%s; %s",
        acme_family_name(target->family), target->record->serial,
        acme_errand_was_done(duty->errand) ? " (it was before)" : "",
        consequence(job));
    duty->text = duty->text
                     ? apr_pstrcat(duty->pool, duty->text, ". ", line, NULL)
                     : line;
    duty->more = target->next != NULL;
    duty->outcome = duty->more ? NULL : duty->text;
    return NULL;
}

/* --- taking up ------------------------------------------------------------------- */

/* What the next engine must know, if this one is killed. */
static acme_err_t *remember(acme_duty_t *duty)
{
    json_t *serials = json_array();
    int failed = 0;

    for (const acme_target_t *target = duty->targets; target;
         target = target->next) {
        failed |=
            json_array_append_new(serials, json_string(target->record->serial));
    }
    if (failed) {
        json_decref(serials);
        serials = NULL;
    }
    return acme_duty_remember(duty, json_pack("{s:o}", "serials", serials));
}

static acme_err_t *prepare(acme_duty_t *duty, const acme_control_t *request,
                           int again)
{
    apr_pool_t *scratch = duty->engine->scratch;
    const char *name = request->certificate ? request->certificate : "?";
    const acme_job_t *job = acme_request_find(duty->engine, name);
    const json_t *serials = NULL;
    acme_ident_t *ident;

    duty->reason =
        (int)acme_control_number(request, "reason", ACME_REASON_NONE);
    if (duty->reason != ACME_REASON_NONE && !acme_reason_name(duty->reason)) {
        return acme_err_make(scratch, ACME_E_REQUEST_ARGUMENT, "reason", NULL);
    }
    if (request->secret) {
        ACME_TRY(acme_key_adopt(&duty->own_key, "the key", request->secret,
                                strlen(request->secret), NULL, duty->pool));
    }
    if (!job) {
        ACME_TRY(acme_ident_parse(&ident, name, scratch));
    }
    if (again) {
        ACME_TRY(acme_duty_recall(&serials, duty, "serials"));
    }
    ACME_TRY(find_targets(
        duty, job ? job->managed->dir : acme_ident_filename(ident, scratch),
        serials, acme_encode_printable(name, 253, scratch)));
    return remember(duty);
}

void acme_duty_revoke(acme_engine_t *engine, const acme_control_t *request,
                      int again)
{
    static const acme_duty_ways_t WAYS = { revoke_begin, revoke_done, NULL };
    acme_duty_t *duty = acme_duty_make(engine, request, &WAYS);
    acme_err_t *err = prepare(duty, request, again);

    if (err) {
        acme_duty_refuse(duty, err);
        return;
    }
    acme_duty_enter(duty);
}
