#include "engine/preflight.h"

#include <apr_strings.h>
#include <string.h>

#include "core/blame.h"
#include "engine/caacheck.h"
#include "engine/gate.h"
#include "engine/prober.h"

#define PATIENCE          apr_time_from_sec(3)
#define PATIENCE_REQUIRED apr_time_from_sec(8)
#define RESUMED           apr_time_from_sec(3600) /* a CA's visit may be so old */
#define OWN_AGENT         "mod_acme/"

/** One name by one kind of proof. */
typedef struct ask_t {
    acme_preflight_t *preflight;
    const acme_ident_t *ident;
    acme_proof_type_t type;
    acme_visit_t *visit;     /* NULL: over */
    const acme_err_t *worst; /* the first problem, or what cannot be told; NULL:
                                nothing of it */
} ask_t;

struct acme_preflight_t {
    acme_run_t *run;
    int required;
    apr_time_t until;
    apr_time_t over; /* since when nobody but others comes; 0: not yet */
    ask_t *asks;
    int count, pending;
};

/* --- what was found -------------------------------------------------------------------- */

static void take(ask_t *ask, const acme_err_t *finding)
{
    acme_run_t *run = ask->preflight->run;

    if (finding->msg == ACME_I_REACHED) {
        return;
    }
    if (!ask->worst
        || (acme_finding_is_problem(finding)
            && !acme_finding_is_problem(ask->worst))) {
        ask->worst = acme_err_dup(finding, run->pool);
    }
    acme_engine_log_text(run->engine, run->job, finding->msg, finding->text);
}

static void on_visited(void *baton, const apr_array_header_t *findings)
{
    ask_t *ask = baton;
    acme_run_t *run = ask->preflight->run;

    ask->visit = NULL;
    ask->preflight->pending--;
    for (int i = 0; i < findings->nelts && !run->ended; i++) {
        take(ask, APR_ARRAY_IDX(findings, i, const acme_err_t *));
    }
    if (!run->ended && !ask->preflight->pending) {
        acme_run_poke(run);
    }
    acme_run_called(run); /* the run may be gone */
}

/* --- which, and when ---------------------------------------------------------------------- */

static int is_wanted(const acme_run_t *run)
{
    const acme_job_t *job = run->job;
    const acme_policy_t *policy = job->managed->policy;

    if (policy->preflight == ACME_PREFLIGHT_OFF || !policy->dns_wait) {
        return 0;
    }
    /* What has worked so far is not doubted. */
    return policy->preflight == ACME_PREFLIGHT_REQUIRE
           || !job->status.set_number || job->status.failures || job->rounds
           || !job->same_names;
}

static void add(acme_preflight_t *preflight, const acme_ident_t *ident,
                acme_proof_type_t type)
{
    acme_run_t *run = preflight->run;
    const acme_visit_wish_t wish = { ident, type,
                                     acme_job_ca(run->job)->alias != NULL,
                                     run->job->managed->policy->dns_resolvers,
                                     preflight->required ? PATIENCE_REQUIRED
                                                         : PATIENCE };
    ask_t *ask = &preflight->asks[preflight->count++];

    ask->preflight = preflight;
    ask->ident = ident;
    ask->type = type;
    ask->visit = acme_prober_visit(run->engine->prober, &wish, on_visited, ask);
    preflight->pending++;
    run->calls++;
}

/* What a program opens for validations alone (AcmeOn challenge-open) is shut now,
 * as it should be. */
static int can_look(const acme_run_t *run, acme_proof_type_t type)
{
    return !acme_proof_is_dns(type)
           && !acme_gates_needed(run->job->managed->policy, type);
}

/* What comes first is what the CA is asked to try; where the order hangs on it, what
 * it falls back to counts as well. */
static void add_all(acme_preflight_t *preflight, int index)
{
    const acme_run_t *run = preflight->run;
    const acme_ident_t *ident =
        APR_ARRAY_IDX(run->config.idents, index, const acme_ident_t *);
    const acme_proofs_t *proofs = &run->config.proofs[index];
    int count = preflight->required ? proofs->count : proofs->count > 0;

    for (int i = 0; i < count; i++) {
        if (can_look(run, proofs->types[i])) {
            add(preflight, ident, proofs->types[i]);
        }
    }
}

void acme_preflight_begin(acme_run_t *run)
{
    const apr_array_header_t *idents = run->config.idents;
    acme_preflight_t *preflight;

    acme_caacheck_begin(run);
    run->begun = acme_engine_now(run->engine);
    if (!is_wanted(run)) {
        return;
    }
    preflight = apr_pcalloc(run->pool, sizeof(*preflight));
    preflight->run = run;
    preflight->required =
        run->job->managed->policy->preflight == ACME_PREFLIGHT_REQUIRE;
    preflight->until = acme_engine_now(run->engine)
                       + (preflight->required ? PATIENCE_REQUIRED : PATIENCE);
    preflight->asks = apr_pcalloc(
        run->pool, sizeof(*preflight->asks) * (apr_size_t)(2 * idents->nelts));
    run->preflight = preflight;
    for (int i = 0; i < idents->nelts; i++) {
        add_all(preflight, i);
    }
}

/* --- what it comes to ----------------------------------------------------------------------- */

/* Whether there is a way that was not looked at. */
static int has_other(const acme_run_t *run, const acme_proofs_t *proofs)
{
    for (int i = 0; i < proofs->count; i++) {
        if (!can_look(run, proofs->types[i])) {
            return 1;
        }
    }
    return 0;
}

/* Why the CA need not be asked for this name: each way to prove control of it has
 * something wrong with it, for certain. @return NULL: it may go well */
static const acme_err_t *hopeless(const acme_preflight_t *preflight, int index)
{
    const acme_ident_t *ident = APR_ARRAY_IDX(preflight->run->config.idents,
                                              index, const acme_ident_t *);
    const acme_err_t *worst = NULL;

    if (has_other(preflight->run, &preflight->run->config.proofs[index])) {
        return NULL;
    }
    for (int i = 0; i < preflight->count; i++) {
        const ask_t *ask = &preflight->asks[i];

        if (ask->ident != ident) {
            continue;
        }
        if (!ask->worst || !acme_finding_is_problem(ask->worst)) {
            return NULL;
        }
        worst = worst ? worst : ask->worst;
    }
    return worst;
}

static acme_err_t *refuse(const acme_preflight_t *preflight)
{
    acme_run_t *run = preflight->run;
    apr_array_header_t *faults =
        apr_array_make(run->pool, 1, sizeof(acme_err_t *));

    for (int i = 0; i < run->config.idents->nelts; i++) {
        const acme_err_t *worst = hopeless(preflight, i);

        if (worst) {
            acme_err_t *fault =
                acme_err_make(run->pool, ACME_E_PREFLIGHT, worst->text, NULL);
            fault->identifier = worst->identifier;
            APR_ARRAY_PUSH(faults, acme_err_t *) = fault;
        }
    }
    return faults->nelts ? acme_blame_join(faults, run->pool) : NULL;
}

static void stop_asking(acme_preflight_t *preflight)
{
    for (int i = 0; i < preflight->count; i++) {
        if (preflight->asks[i].visit) {
            acme_visit_forget(preflight->asks[i].visit);
            preflight->asks[i].visit = NULL;
            preflight->run->calls--; /* not its last: it is being worked on */
        }
    }
    preflight->pending = 0;
}

int acme_preflight_waits(acme_run_t *run, apr_time_t now)
{
    acme_preflight_t *preflight = run->preflight;
    acme_err_t *err;

    if (acme_caacheck_waits(run, now)) {
        return 1;
    }
    if (!preflight || preflight->over) {
        return 0;
    }
    if (preflight->pending && now < preflight->until + APR_USEC_PER_SEC) {
        acme_timer_hasten(run->engine->timers, &run->timer,
                          preflight->until + APR_USEC_PER_SEC);
        return 1;
    }
    stop_asking(preflight);
    preflight->over = now;
    err = preflight->required ? refuse(preflight) : NULL;
    if (err) {
        acme_order_cancel(run->order, err);
    }
    return 0;
}

/* --- after a failure -------------------------------------------------------------------------- */

static int is_validation(acme_msg_t msg)
{
    return msg == ACME_E_CA_PROBLEM_CONNECTION
           || msg == ACME_E_CA_PROBLEM_ANSWER || msg == ACME_E_CA_PROBLEM_TLS
           || msg == ACME_E_CA_PROBLEM_DNS;
}

static const acme_ident_t *ident_of(const acme_run_t *run, const char *name)
{
    for (int i = 0; name && i < run->config.idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(run->config.idents, i, const acme_ident_t *);

        if (!strcasecmp(ident->value, name)) {
            return ident;
        }
    }
    return NULL;
}

/* The kind of proof that has failed last for a name: acme_proving_learn has kept in
 * mind for which it was. */
static acme_proof_type_t type_of(const acme_run_t *run,
                                 const acme_ident_t *ident)
{
    const acme_setback_t *setback = acme_order_setback(run->order);

    for (int i = 0; i < run->config.idents->nelts; i++) {
        if (APR_ARRAY_IDX(run->config.idents, i, const acme_ident_t *) == ident
            && !(setback && acme_ident_equal(setback->ident, ident))) {
            return run->config.proofs[i].types[0];
        }
    }
    return setback ? setback->type : ACME_PROOF_HTTP_01;
}

/* A handshake is seen only once it has come to the challenge's protocol, which in
 * TLS 1.2 is after the choice of a cipher. */
static const char *nothing_came(acme_proof_type_t type)
{
    return type == ACME_PROOF_TLS_ALPN_01
               ? "the CA's request never reached this server, or its handshake "
                 "failed before the challenge (SSLProtocol, SSLCipherSuite)"
               : "the CA's request never reached this server";
}

/* What came here of the CA's, in words. */
static const char *visits(const acme_run_t *run, const acme_ident_t *ident,
                          acme_proof_type_t type)
{
    acme_engine_t *engine = run->engine;
    const acme_engine_callbacks_t *callbacks = engine->callbacks;
    apr_time_t since = run->preflight ? run->preflight->over
                       : run->begun   ? run->begun
                                      : acme_engine_now(engine) - RESUMED;
    acme_hit_t found[ACME_MAX_HITS];
    const acme_hit_t *asked = NULL, *other = NULL;
    int count;

    if (!callbacks->hits || acme_proof_is_dns(type)) {
        return NULL;
    }
    count = callbacks->hits(callbacks->baton, found, ident, since);
    for (int i = 0; i < count; i++) {
        if (found[i].type == type
            && strncmp(found[i].agent, OWN_AGENT, strlen(OWN_AGENT))) {
            *(found[i].known ? &asked : &other) = &found[i];
        }
    }
    if (asked) {
        return apr_pstrcat(
            engine->scratch,
            "a request for the challenge did reach this server: ",
            acme_hit_text(asked, engine->scratch), NULL);
    }
    return other ? apr_pstrcat(
               engine->scratch,
               "no request of the CA for the challenge reached this "
               "server, but this did: ",
               acme_hit_text(other, engine->scratch), NULL)
                 : nothing_came(type);
}

static const char *finding(const acme_run_t *run, const acme_ident_t *ident,
                           acme_proof_type_t type)
{
    const acme_preflight_t *preflight = run->preflight;

    for (int i = 0; preflight && i < preflight->count; i++) {
        const ask_t *ask = &preflight->asks[i];

        if (ask->ident == ident && ask->type == type && ask->worst) {
            return apr_psprintf(run->engine->scratch,
                                "ACME%d, seen from here: %s",
                                (int)ask->worst->msg, ask->worst->text);
        }
    }
    return NULL;
}

static const char *explained(const acme_run_t *run, const char *name,
                             const char *text)
{
    const acme_ident_t *ident = ident_of(run, name);

    if (!ident) {
        return text;
    }
    acme_proof_type_t type = type_of(run, ident);
    const char *came = visits(run, ident, type);
    const char *found = finding(run, ident, type);

    return apr_pstrcat(run->engine->scratch, text, came ? "; " : "",
                       came ? came : "", found ? "; " : "", found, NULL);
}

acme_err_t *acme_preflight_explain(const acme_run_t *run, const acme_err_t *err)
{
    /* Also of what it blames: the order's pool goes before this is told. */
    acme_err_t *copy = acme_err_dup(err, run->engine->scratch);

    if (!is_validation(err->msg)) {
        return copy;
    }
    copy->text = explained(run, err->identifier, err->text);
    for (int i = 0; copy->blames && i < copy->blames->nelts; i++) {
        acme_blame_t *blame = &APR_ARRAY_IDX(copy->blames, i, acme_blame_t);

        if (is_validation(blame->msg)) {
            blame->text = explained(run, blame->name, blame->text);
        }
    }
    return copy;
}
