/* Which key an order gets, and the one that comes after it (AcmeKeyReuse). An order
 * need not wait for its key: the CA validates names meanwhile. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

static int is_wanted_type(const acme_job_t *job, const EVP_PKEY *key)
{
    acme_key_type_t type;
    return acme_key_type_of(&type, key) == 0 && type == job->key_type;
}

/* What cannot be read for a moment is not. @param err  or NULL */
static int is_lost(const acme_err_t *err)
{
    return err
           && (err->msg == ACME_E_SEAL || err->msg == ACME_E_STORE_DAMAGED
               || err->msg == ACME_E_KEY_PARSE);
}

/* --- the order's ------------------------------------------------------------------ */

/* On disk before the order machine may send it. */
static acme_err_t *use(acme_run_t *run, EVP_PKEY *key)
{
    acme_job_t *job = run->job;
    ACME_TRY(acme_store_put_work_key(run->engine->store, job->managed->dir,
                                     job->family, key, run->engine->scratch));
    run->key = key;
    run->config.key = key;
    return NULL;
}

static void on_key(void *baton, EVP_PKEY *key, const char *reason)
{
    acme_run_t *run = baton;
    acme_err_t *err;

    run->wish = NULL;
    if (key) {
        acme_key_own(key, run->pool);
        err = acme_engine_note(run->engine, use(run, key));
    }
    else {
        err = acme_keymaker_failure(run->job->key_type, reason,
                                    run->engine->scratch);
    }
    if (err) {
        acme_order_cancel(run->order, err);
    }
    acme_run_poke(run);
}

/* Sets stay in fresh/ until the next one is issued, so the key of the one in
 * service is there; only a set that came by another way has none.
 * @param lost  why it is not to be had any more, or NULL */
static acme_err_t *key_in_use(EVP_PKEY **key, acme_err_t **lost,
                              const acme_run_t *run)
{
    const acme_job_t *job = run->job;
    int number = job->status.set_number, there = 0;
    acme_store_t *store = run->engine->store;
    acme_set_t *set;

    if (!number) {
        return NULL;
    }
    acme_err_t *err = acme_store_load_fresh(&set, store, job->managed->dir,
                                            job->family, number, run->pool);
    if (!err) {
        *key = set->key;
        return NULL;
    }
    if (err->msg == ACME_E_STORE_IO) {
        ACME_TRY(acme_store_is_fresh(&there, store, job->managed->dir,
                                     job->family, number, run->pool));
    }
    *lost = there ? NULL : err;
    return there ? err : NULL;
}

static acme_err_t *key_to_come(EVP_PKEY **key, acme_err_t **lost,
                               const acme_run_t *run)
{
    const acme_job_t *job = run->job;
    acme_err_t *err = acme_store_get_next_key(
        key, run->engine->store, job->managed->dir, job->family, run->pool);

    *lost = is_lost(err) ? err : NULL;
    return *lost ? NULL : err;
}

/* Clients may have pinned it: that a disk is away for a moment is no reason to
 * order with another.
 * @param key  NULL: there is none that could be used again */
static acme_err_t *known_key(EVP_PKEY **key, acme_run_t *run)
{
    acme_job_t *job = run->job;
    acme_key_reuse_t reuse = job->managed->policy->key_reuse;
    acme_err_t *lost = NULL;

    *key = NULL;
    /* One that the CA has refused would be refused for ever. */
    if (reuse == ACME_KEY_REUSE_OFF
        || (reuse == ACME_KEY_REUSE_ON && acme_job_shuns_key(job))
        || job->status.error_code == ACME_E_CA_PROBLEM_KEY) {
        return NULL;
    }
    ACME_TRY(reuse == ACME_KEY_REUSE_ON ? key_in_use(key, &lost, run)
                                        : key_to_come(key, &lost, run));
    if (lost) {
        acme_engine_log(run->engine, job, ACME_W_KEY_LOST, lost->text, NULL);
    }
    if (lost || (*key && !is_wanted_type(job, *key))) {
        *key = NULL;
    }
    return NULL;
}

acme_err_t *acme_keys_begin(acme_run_t *run)
{
    acme_engine_t *engine = run->engine;
    acme_job_t *job = run->job;
    EVP_PKEY *key;

    ACME_TRY(known_key(&key, run));
    if (!key && job->family == ACME_FAMILY_RSA) {
        return acme_keymaker_ask(&run->wish, engine->keymaker, job->key_type, 1,
                                 on_key, run, engine->scratch);
    }
    if (!key) {
        ACME_TRY(acme_key_make(&key, job->key_type, run->pool));
    }
    return use(run, key);
}

acme_err_t *acme_keys_resume(acme_run_t *run, int expected)
{
    acme_job_t *job = run->job;
    EVP_PKEY *key;

    ACME_TRY(acme_store_get_work_key(
        &key, run->engine->store, job->managed->dir, job->family, run->pool));
    /* That of an earlier order is no harm, unless it is of another kind. */
    run->key = key && (expected || is_wanted_type(job, key)) ? key : NULL;
    run->config.key = run->key;
    return NULL;
}

void acme_keys_leave(acme_run_t *run)
{
    if (run->wish) {
        acme_keymaker_forget(run->engine->keymaker, run->wish);
        run->wish = NULL;
    }
}

/* --- the coming one ---------------------------------------------------------------- */

static void keep_next(acme_engine_t *engine, acme_job_t *job, EVP_PKEY *key)
{
    acme_status_t *status = &job->status;
    const char *tlsa = acme_key_tlsa(key, engine->scratch);
    acme_err_t *err = acme_engine_note(
        engine, acme_store_put_next_key(engine->store, job->managed->dir,
                                        job->family, key, engine->scratch));
    if (err) {
        acme_engine_log_error(engine, job, err);
        return;
    }
    ACME_REMARK(status, tlsa_next, tlsa ? tlsa : "", job->pool);
    const acme_remarks_t *remarks = acme_remarks(status);
    acme_engine_log(engine, job, ACME_I_NEXT_KEY,
                    remarks->tlsa[0] ? remarks->tlsa : "?", remarks->tlsa_next,
                    NULL);
    acme_engine_report(engine, job);
}

static void on_next_key(void *baton, EVP_PKEY *key, const char *reason)
{
    acme_job_t *job = baton;
    acme_engine_t *engine = job->link->engine;

    job->wish = NULL;
    if (!key) {
        acme_engine_log_error(
            engine, job,
            acme_keymaker_failure(job->key_type, reason, engine->scratch));
        return;
    }
    keep_next(engine, job, key);
    EVP_PKEY_free(key);
}

static acme_err_t *make_next(acme_engine_t *engine, acme_job_t *job)
{
    EVP_PKEY *key;

    if (job->family == ACME_FAMILY_RSA) {
        return acme_keymaker_ask(&job->wish, engine->keymaker, job->key_type, 0,
                                 on_next_key, job, engine->scratch);
    }
    ACME_TRY(acme_key_make(&key, job->key_type, engine->scratch));
    keep_next(engine, job, key);
    return NULL;
}

/* The one that is kept; NULL: a new one is to be made. It has served when the
 * newest set has it: the process that used it may have been killed right then. */
static acme_err_t *find_next(EVP_PKEY **key, acme_engine_t *engine,
                             const acme_job_t *job)
{
    const char *tlsa;
    acme_err_t *err = acme_store_get_next_key(
        key, engine->store, job->managed->dir, job->family, engine->scratch);
    if (err && !is_lost(err)) {
        return err;
    }
    if (err) {
        acme_engine_log(engine, job, ACME_W_KEY_LOST, err->text, NULL);
        *key = NULL;
    }
    tlsa = *key ? acme_key_tlsa(*key, engine->scratch) : NULL;
    if (*key && !tlsa) {
        return acme_err_make(engine->scratch, ACME_E_MEMORY,
                             "reading the next key", NULL);
    }
    if (!tlsa || !strcmp(tlsa, acme_remarks(&job->status)->tlsa)
        || !is_wanted_type(job, *key)) {
        *key = NULL;
    }
    return NULL;
}

void acme_keys_prepare(acme_engine_t *engine, acme_job_t *job)
{
    EVP_PKEY *key = NULL;

    ACME_REMARK(&job->status, tlsa_next, "", job->pool);
    if (job->managed->policy->key_reuse != ACME_KEY_REUSE_NEXT
        || !job->status.set_number || job->wish || engine->lost) {
        return;
    }
    acme_err_t *err = find_next(&key, engine, job);
    if (!err && !key) {
        err = make_next(engine, job);
    }
    else if (!err) {
        ACME_REMARK(&job->status, tlsa_next,
                    acme_key_tlsa(key, engine->scratch), job->pool);
    }
    if (acme_engine_note(engine, err)) {
        acme_engine_log_error(engine, job, err);
    }
}

void acme_keys_refused(acme_engine_t *engine, acme_job_t *job)
{
    if (job->managed->policy->key_reuse != ACME_KEY_REUSE_NEXT) {
        return;
    }
    acme_err_t *err = acme_engine_note(
        engine, acme_store_remove_next_key(engine->store, job->managed->dir,
                                           job->family, engine->scratch));
    if (err) {
        acme_engine_log_error(engine, job, err);
        return;
    }
    acme_keys_prepare(engine, job);
}
