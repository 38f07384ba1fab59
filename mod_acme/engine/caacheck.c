#include "engine/caacheck.h"

#include <apr_strings.h>

#include "core/blame.h"
#include "core/caa.h"
#include "engine/resolver.h"

#define PATIENCE apr_time_from_sec(10)

/** One name's look-up. */
typedef struct ask_t {
    acme_caacheck_t *check;
    const acme_ident_t *ident;
    const acme_proofs_t *proofs;
    acme_lookup_t *lookup; /* NULL: over */
} ask_t;

struct acme_caacheck_t {
    acme_run_t *run;
    apr_time_t until;
    ask_t *asks;
    int count, pending;
    apr_array_header_t *faults; /* acme_err_t *: for certain, one a name */
};

static const char *base_of(const acme_ident_t *ident)
{
    return acme_ident_is_wildcard(ident) ? ident->value + 2 : ident->value;
}

static apr_array_header_t *method_names(const acme_proofs_t *proofs,
                                        apr_pool_t *pool)
{
    apr_array_header_t *names =
        apr_array_make(pool, proofs->count, sizeof(const char *));

    for (int i = 0; i < proofs->count; i++) {
        APR_ARRAY_PUSH(names, const char *) =
            acme_proof_type_name(proofs->types[i]);
    }
    return names;
}

/* --- what it comes to --------------------------------------------------------------- */

static void advise(const ask_t *ask, acme_msg_t msg, const char *domain,
                   const char *text)
{
    acme_run_t *run = ask->check->run;

    acme_engine_log(run->engine, run->job, msg, ask->ident->value, domain, text,
                    acme_session_kid(run->link->session), NULL);
}

static void add_fault(const ask_t *ask, const char *domain, const char *text,
                      const char *identities)
{
    acme_caacheck_t *check = ask->check;
    acme_err_t *fault =
        acme_err_make(check->run->pool, ACME_E_CAA_OTHER_CA, ask->ident->value,
                      domain, text, identities, NULL);

    fault->identifier = ask->ident->value;
    APR_ARRAY_PUSH(check->faults, acme_err_t *) = fault;
}

static void take(ask_t *ask, const char *domain,
                 const apr_array_header_t *records)
{
    acme_run_t *run = ask->check->run;
    apr_pool_t *scratch = run->engine->scratch;
    const acme_session_t *session = run->link->session;
    const apr_array_header_t *identities =
        acme_session_directory(session)->caa_identities;
    const acme_caa_question_t question = { acme_ident_is_wildcard(ask->ident),
                                           identities,
                                           acme_session_kid(session),
                                           method_names(ask->proofs, scratch) };
    const char *text = acme_caa_text(records, scratch);

    switch (acme_caa_judge(records, &question, scratch)) {
    case ACME_CAA_ALLOWED:
        break;
    case ACME_CAA_OTHER_CA:
        add_fault(ask, domain, text,
                  apr_array_pstrcat(scratch, identities, ' '));
        break;
    case ACME_CAA_OTHER_ACCOUNT:
        advise(ask, ACME_W_CAA_ACCOUNT, domain, text);
        break;
    case ACME_CAA_OTHER_METHOD:
        advise(ask, ACME_W_CAA_METHOD, domain, text);
        break;
    case ACME_CAA_CRITICAL:
        advise(ask, ACME_W_CAA_CRITICAL, domain, text);
        break;
    }
}

/* What cannot be looked up is the CA's to judge. */
static void on_caa(void *baton, const char *domain,
                   const apr_array_header_t *records, const char *failure)
{
    ask_t *ask = baton;
    acme_run_t *run = ask->check->run;

    ask->lookup = NULL;
    ask->check->pending--;
    if (failure && !run->ended) {
        acme_engine_log(run->engine, run->job, ACME_D_CAA_UNKNOWN, failure,
                        NULL);
    }
    if (domain && !run->ended) {
        take(ask, domain, records);
    }
    if (!run->ended && !ask->check->pending) {
        acme_run_poke(run);
    }
    acme_run_called(run); /* the run may be gone */
}

/* --- the check ------------------------------------------------------------------------- */

void acme_caacheck_begin(acme_run_t *run)
{
    const acme_policy_t *policy = run->job->managed->policy;
    const acme_directory_t *directory =
        acme_session_directory(run->link->session);
    const apr_array_header_t *idents = run->config.idents;

    if (!policy->dns_wait || !directory || !directory->caa_identities->nelts) {
        return;
    }
    acme_caacheck_t *check = apr_pcalloc(run->pool, sizeof(*check));
    check->run = run;
    check->until = acme_engine_now(run->engine) + PATIENCE;
    check->faults = apr_array_make(run->pool, 1, sizeof(acme_err_t *));
    check->asks = apr_pcalloc(run->pool,
                              sizeof(*check->asks) * (apr_size_t)idents->nelts);
    for (int i = 0; i < idents->nelts; i++) {
        ask_t *ask = &check->asks[check->count];
        ask->ident = APR_ARRAY_IDX(idents, i, const acme_ident_t *);
        if (ask->ident->type != ACME_IDENT_DNS) {
            continue;
        }
        ask->check = check;
        ask->proofs = &run->config.proofs[i];
        ask->lookup =
            acme_resolver_find_caa(run->engine->resolver, base_of(ask->ident),
                                   policy->dns_resolvers, on_caa, ask);
        check->count++;
        check->pending++;
        run->calls++;
    }
    run->caa = check;
}

static void stop_asking(acme_caacheck_t *check)
{
    for (int i = 0; i < check->count; i++) {
        if (check->asks[i].lookup) {
            acme_lookup_forget(check->asks[i].lookup);
            check->asks[i].lookup = NULL;
            check->run->calls--; /* not its last: the run is being worked on */
        }
    }
    check->pending = 0;
}

int acme_caacheck_waits(acme_run_t *run, apr_time_t now)
{
    acme_caacheck_t *check = run->caa;

    if (!check) {
        return 0;
    }
    if (check->pending && now < check->until) {
        acme_timer_hasten(run->engine->timers, &run->timer, check->until);
        return 1;
    }
    stop_asking(check);
    run->caa = NULL;
    if (check->faults->nelts) {
        acme_order_cancel(run->order,
                          acme_blame_join(check->faults, run->pool));
    }
    return 0;
}
