#include "engine/solver.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/persist.h"
#include "engine/command.h"
#include "engine/gate.h"
#include "engine/ending.h"
#include "engine/prober.h"
#include "engine/resolver.h"
#include "engine/txt.h"

#define DNS_PORT 53

struct acme_solver_t {
    acme_engine_t *engine;
    acme_txts_t *txts;
    acme_gates_t *gates;
};

struct acme_pub_t {
    acme_pub_t *next; /* in the run's list */
    acme_run_t *run;
    const acme_proof_t *proof;
    const char *name, *value;      /* of the record; NULL: a gate is opened */
    int again;                     /* it was published before */
    const acme_persist_t *persist; /* NULL: published by program */
    apr_time_t persist_until;      /* of the record found; 0: no end */
    acme_lookup_t *lookup;
    int asked; /* the administrator was asked for the record */
};

/* --- life --------------------------------------------------------------------------- */

static void create_prober(acme_engine_t *engine)
{
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    const acme_prober_config_t config = {
        engine->transport,        engine->resolver, engine->config->port_80,
        engine->config->port_443, callbacks->baton, callbacks->publish,
        callbacks->withdraw,      callbacks->now,
    };

    engine->prober = acme_prober_create(&config, engine->pool);
}

acme_err_t *acme_solver_create(acme_solver_t **result, acme_engine_t *engine)
{
    acme_solver_t *solver = apr_pcalloc(engine->pool, sizeof(*solver));
    acme_watches_t *watches = acme_transport_watches(engine->transport);
    const acme_resolver_config_t config = { watches, DNS_PORT, NULL, 0 };

    solver->engine = engine;
    engine->commands = acme_commands_create(watches, engine->pool);
    ACME_TRY(acme_resolver_create(&engine->resolver, &config, engine->pool));
    solver->txts = acme_txts_create(engine);
    solver->gates = acme_gates_create(engine);
    create_prober(engine);
    *result = solver;
    return NULL;
}

const char *acme_solver_take(acme_solver_t *solver, const char *kind,
                             const json_t *object, const char *id,
                             apr_pool_t *pool)
{
    const char *why = acme_txts_take(solver->txts, kind, object, pool);

    return why ? why : acme_gates_take(solver->gates, kind, object, id, pool);
}

void acme_solver_sweep(acme_solver_t *solver)
{
    acme_txts_sweep(solver->txts);
    acme_gates_sweep(solver->gates);
}

void acme_solver_pump(acme_solver_t *solver)
{
    acme_engine_t *engine = solver->engine;

    acme_commands_run(engine->commands);
    acme_resolver_run(engine->resolver, acme_engine_now(engine));
    acme_prober_pump(engine->prober);
}

apr_interval_time_t acme_solver_wait(const acme_solver_t *solver,
                                     apr_interval_time_t max)
{
    const acme_engine_t *engine = solver->engine;

    max = acme_prober_wait(engine->prober, max);
    return acme_commands_due(engine->commands)
               ? 0
               : acme_resolver_wait(engine->resolver, acme_engine_now(engine),
                                    max);
}

/* --- publications ------------------------------------------------------------------- */

static void unlink_pub(acme_pub_t *pub)
{
    acme_pub_t **link = &pub->run->pubs;

    while (*link != pub) {
        link = &(*link)->next;
    }
    *link = pub->next;
}

/* The run may be gone after that. */
static void done(acme_pub_t *pub, acme_err_t *err)
{
    acme_run_t *run = pub->run;

    unlink_pub(pub);
    if (!run->ended) {
        acme_proving_published(run, pub->proof, err);
        acme_run_poke(run);
    }
    acme_run_called(run);
}

static acme_persist_t *make_persist(const acme_run_t *run,
                                    const acme_proof_t *proof)
{
    const acme_session_t *session = run->link->session;
    const acme_directory_t *directory = acme_session_directory(session);
    acme_persist_t *persist = apr_pcalloc(run->pool, sizeof(*persist));

    persist->ident = proof->ident;
    persist->issuers = proof->issuers;
    persist->hash_prefix =
        proof->hashed && directory
            ? apr_pstrdup(run->pool, directory->account_hash_prefix)
            : NULL;
    persist->account_url = acme_session_kid(session);
    persist->thumbprint = acme_session_thumbprint(session);
    return persist;
}

static acme_pub_t *add_pub(acme_run_t *run, const acme_proof_t *proof)
{
    acme_pub_t *pub = apr_pcalloc(run->pool, sizeof(*pub));

    pub->run = run;
    pub->proof = proof;
    pub->next = run->pubs;
    run->pubs = pub;
    run->calls++; /* it lives until this is done */
    return pub;
}

static acme_pub_t *make_pub(acme_run_t *run, const acme_proof_t *proof)
{
    acme_pub_t *pub = add_pub(run, proof);

    if (proof->type == ACME_PROOF_DNS_PERSIST_01) {
        pub->persist = make_persist(run, proof);
        pub->name = acme_persist_name(proof->ident, run->pool);
        pub->value = acme_persist_line(pub->persist, run->pool);
    }
    else {
        pub->name = acme_proof_record_name(
            proof, acme_session_kid(run->link->session), run->pool);
        pub->value = acme_proof_record_value(proof, run->pool);
    }
    return pub;
}

/* --- looking whether it is there ------------------------------------------------------ */

static int is_wanted(void *baton, const char *text)
{
    acme_pub_t *pub = baton;
    acme_engine_t *engine = pub->run->engine;

    return pub->persist
               ? acme_persist_match(pub->persist, text, acme_engine_now(engine),
                                    &pub->persist_until, engine->scratch)
               : !strcmp(text, pub->value);
}

static acme_err_t *missing(const acme_pub_t *pub, const char *where)
{
    apr_pool_t *pool = pub->run->engine->scratch;
    acme_err_t *err =
        pub->persist
            ? acme_err_make(pool, ACME_E_PERSIST_MISSING,
                            pub->proof->ident->value, pub->value, NULL)
            : acme_err_make(pool, ACME_E_TXT_UNSEEN, pub->name, where, NULL);

    err->identifier = pub->proof->ident->value;
    return err;
}

static void look(acme_pub_t *pub, apr_interval_time_t patience);

/* The first look is short, so that who is to make a record hears of it at once. */
static void ask_for_record(acme_pub_t *pub, const char *where)
{
    acme_run_t *run = pub->run;
    acme_engine_t *engine = run->engine;
    acme_err_t *err = missing(pub, where);

    pub->asked = 1;
    acme_job_troubled(run->job, err, acme_engine_now(engine), engine->scratch);
    acme_engine_log_text(engine, run->job, ACME_W_PERSIST_WANTED, err->text);
    acme_engine_report(engine, run->job);
    look(pub, run->job->managed->policy->dns_wait);
}

static void on_seen(void *baton, acme_seen_t seen, const char *where)
{
    acme_pub_t *pub = baton;
    acme_engine_t *engine = pub->run->engine;

    pub->lookup = NULL;
    if (seen != ACME_SEEN_YES && pub->persist && !pub->asked) {
        ask_for_record(pub, where);
        return;
    }
    if (seen == ACME_SEEN_NO) {
        done(pub, missing(pub, where));
        return;
    }
    if (seen == ACME_SEEN_UNKNOWN) {
        acme_engine_log(engine, pub->run->job, ACME_W_TXT_UNKNOWN, pub->name,
                        where, NULL);
    }
    pub->run->looked |= pub->persist && seen == ACME_SEEN_YES;
    acme_ending_note(&pub->run->ending, pub->name, pub->persist_until);
    done(pub, NULL);
}

static void look(acme_pub_t *pub, apr_interval_time_t patience)
{
    acme_engine_t *engine = pub->run->engine;
    const acme_policy_t *policy = pub->run->job->managed->policy;
    const acme_txt_question_t question = { pub->name, is_wanted,
                                           acme_engine_now(engine) + patience,
                                           policy->dns_resolvers };

    pub->lookup =
        acme_resolver_await_txt(engine->resolver, &question, on_seen, pub);
}

static void on_ready(void *baton, acme_err_t *err)
{
    acme_pub_t *pub = baton;
    apr_interval_time_t wait = pub->run->job->managed->policy->dns_wait;

    pub->run->program_works |= !err;
    if (err || !wait) {
        done(pub, err);
        return;
    }
    look(pub, wait);
}

/* --- publish and withdraw ------------------------------------------------------------------ */

static acme_txt_spec_t spec_of(const acme_pub_t *pub)
{
    const acme_managed_t *managed = pub->run->job->managed;
    const acme_txt_spec_t spec = { pub->name, pub->value, managed->name,
                                   pub->proof->ident->value,
                                   managed->policy->dns_command };

    return spec;
}

/* The proof is shown already: what is open to nobody else need not wait. */
static void on_open(void *baton, acme_err_t *err)
{
    acme_pub_t *pub = baton;

    if (err) {
        err->identifier = pub->proof->ident->value;
    }
    done(pub, err);
}

static void show(acme_run_t *run, const acme_proof_t *proof, int again)
{
    const acme_engine_callbacks_t *callbacks = run->engine->callbacks;
    acme_err_t *err = callbacks->publish(callbacks->baton, proof);

    if (err || !acme_gates_needed(run->job->managed->policy, proof->type)) {
        acme_proving_published(run, proof, err);
        return;
    }
    acme_pub_t *pub = add_pub(run, proof);
    pub->again = again;
    acme_gates_hold(run->engine->solver->gates, run->job, proof, on_open, pub);
}

static void hide(acme_run_t *run, const acme_proof_t *proof)
{
    const acme_engine_callbacks_t *callbacks = run->engine->callbacks;

    callbacks->withdraw(callbacks->baton, proof);
    for (acme_pub_t *pub = run->pubs, *next; pub; pub = next) {
        next = pub->next;
        if (pub->proof == proof) {
            unlink_pub(pub);
            run->calls--; /* not its last: the run is being worked on */
        }
    }
    acme_gates_drop(run->engine->solver->gates, proof);
}

int acme_solver_waits(const acme_run_t *run)
{
    const acme_pub_t *pub = run->pubs;

    while (pub && !pub->again) {
        pub = pub->next;
    }
    return pub != NULL;
}

void acme_solver_publish(acme_run_t *run, const acme_proof_t *proof)
{
    const acme_policy_t *policy = run->job->managed->policy;

    if (!acme_proof_is_dns(proof->type)) {
        show(run, proof, 0);
        return;
    }
    acme_pub_t *pub = make_pub(run, proof);
    if (!pub->persist) {
        const acme_txt_spec_t spec = spec_of(pub);
        acme_txts_want(run->engine->solver->txts, &spec, on_ready, pub);
    }
    else if (policy->dns_wait) {
        look(pub, 0);
    }
    else {
        acme_engine_log_text(run->engine, run->job, ACME_W_PERSIST_WANTED,
                             missing(pub, "")->text);
        done(pub, NULL);
    }
}

static void republish(acme_run_t *run, const acme_proof_t *proof)
{
    if (!acme_proof_is_dns(proof->type)) {
        show(run, proof, 1);
        return;
    }
    if (proof->type != ACME_PROOF_DNS_PERSIST_01
        && run->job->managed->policy->dns_command) {
        acme_pub_t *pub = make_pub(run, proof);
        const acme_txt_spec_t spec = spec_of(pub);
        acme_txts_adopt(run->engine->solver->txts, &spec);
        unlink_pub(pub);
        run->calls--;
    }
}

void acme_solver_withdraw(acme_run_t *run, const acme_proof_t *proof)
{
    if (!acme_proof_is_dns(proof->type)) {
        hide(run, proof);
        return;
    }
    acme_pub_t *own = make_pub(run, proof);
    for (acme_pub_t *pub = run->pubs, *next; pub; pub = next) {
        next = pub->next;
        if (pub != own && (!pub->name || strcmp(pub->name, own->name))) {
            continue;
        }
        if (pub == own || !strcmp(pub->value, own->value)) {
            if (pub->lookup) {
                acme_lookup_forget(pub->lookup);
            }
            unlink_pub(pub);
            run->calls--; /* not its last: the run is being worked on */
        }
    }
    if (!own->persist) {
        acme_txts_drop(run->engine->solver->txts, own->name, own->value);
    }
}

static apr_array_header_t *visible(const acme_run_t *run)
{
    return acme_order_proofs(run->order, run->link->session,
                             run->engine->scratch);
}

void acme_solver_republish_all(acme_run_t *run)
{
    const apr_array_header_t *proofs = visible(run);

    for (int i = 0; i < proofs->nelts; i++) {
        republish(run, APR_ARRAY_IDX(proofs, i, acme_proof_t *));
    }
}

void acme_solver_withdraw_all(acme_run_t *run)
{
    const apr_array_header_t *proofs = visible(run);

    for (int i = 0; i < proofs->nelts; i++) {
        acme_solver_withdraw(run, APR_ARRAY_IDX(proofs, i, acme_proof_t *));
    }
}

const char *acme_solver_progress(const acme_run_t *run, apr_pool_t *pool)
{
    const acme_pub_t *pub = run->pubs;

    if (pub && !pub->name) {
        return apr_pstrcat(pool, "opening the way for ",
                           acme_proof_type_name(pub->proof->type), NULL);
    }
    return pub ? apr_pstrcat(pool,
                             pub->lookup ? "waiting until DNS shows "
                                         : "publishing in DNS ",
                             pub->name, NULL)
               : NULL;
}
