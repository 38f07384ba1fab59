#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/blame.h"
#include "core/reaction.h"
#include "engine/preflight.h"

#define BUSY_AGAIN apr_time_from_sec(1)

static int has_failed(const acme_job_t *job, const acme_ident_t *ident,
                      acme_proof_type_t type)
{
    int position = job->attempt ? acme_job_position(job, ident) : -1;

    return position >= 0 && job->failed[position] & ACME_PROOF_BIT(type);
}

/* --- what is tried, in which order ----------------------------------------------- */

static void add_all(acme_proofs_t *proofs, const acme_proofs_t *all,
                    const acme_job_t *job, const acme_ident_t *ident,
                    int doubted)
{
    for (int i = 0; i < all->count; i++) {
        acme_proof_type_t type = all->types[i];

        if (!(job->doubted & ACME_PROOF_BIT(type)) == !doubted
            && !has_failed(job, ident, type)) {
            proofs->types[proofs->count++] = type;
        }
    }
}

/* To the front with the one that has this bit. */
static void prefer(acme_proofs_t *proofs, unsigned int bit)
{
    int at = 0;

    while (at < proofs->count && ACME_PROOF_BIT(proofs->types[at]) != bit) {
        at++;
    }
    if (at == proofs->count) {
        return;
    }
    acme_proof_type_t preferred = proofs->types[at];
    memmove(&proofs->types[1], proofs->types,
            (size_t)at * sizeof(proofs->types[0]));
    proofs->types[0] = preferred;
}

static void rank(acme_proofs_t *proofs, const acme_job_t *job,
                 const acme_ident_t *ident)
{
    acme_proofs_t all;

    acme_policy_proofs(&all, job->managed->policy, ident);
    prefer(&all, acme_job_proved(job, ident));
    proofs->count = 0;
    add_all(proofs, &all, job, ident, 0);
    add_all(proofs, &all, job, ident, 1);
}

void acme_proving_choose(acme_run_t *run, const apr_array_header_t *idents)
{
    acme_proofs_t *proofs =
        apr_pcalloc(run->pool, sizeof(*proofs) * (size_t)idents->nelts);

    for (int i = 0; i < idents->nelts; i++) {
        rank(&proofs[i], run->job, APR_ARRAY_IDX(idents, i, acme_ident_t *));
    }
    run->config.idents = idents;
    run->config.proofs = proofs;
}

/* Why type is not what ident is proved by. */
static const char *why_not(const acme_job_t *job, const acme_ident_t *ident,
                           acme_proof_type_t type, apr_pool_t *scratch)
{
    const char *obstacle =
        acme_policy_obstacle(job->managed->policy, type, ident);

    if (obstacle) {
        return obstacle;
    }
    if (job->doubted & ACME_PROOF_BIT(type)) {
        return apr_pstrcat(scratch, "it failed: ", job->why[type], NULL);
    }
    for (int i = 0; i < ACME_PROOF_TYPES; i++) {
        if (acme_job_proved(job, ident) == ACME_PROOF_BIT(i)) {
            return apr_pstrcat(scratch,
                               acme_proof_type_name((acme_proof_type_t)i),
                               " has proved it last time", NULL);
        }
    }
    return "the CA does not offer it";
}

/* The same for all that is wanted, where none is left. */
static const char *why_none(const acme_run_t *run, const acme_ident_t *ident)
{
    const char *text = "";
    acme_proofs_t wanted;

    acme_policy_wanted(&wanted, run->job->managed->policy);
    for (int i = 0; i < wanted.count; i++) {
        text = apr_pstrcat(run->pool, text, i ? "; " : "",
                           acme_proof_type_name(wanted.types[i]), ": ",
                           why_not(run->job, ident, wanted.types[i], run->pool),
                           NULL);
    }
    return text;
}

acme_err_t *acme_proving_check(const acme_run_t *run)
{
    apr_array_header_t *faults =
        apr_array_make(run->pool, 1, sizeof(acme_err_t *));

    for (int i = 0; i < run->config.idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(run->config.idents, i, acme_ident_t *);

        if (!run->config.proofs[i].count) {
            acme_err_t *fault = acme_err_make(
                run->pool, ACME_E_NO_PROOF, ident->value,
                run->job->managed->where, why_none(run, ident), NULL);

            fault->identifier = ident->value;
            APR_ARRAY_PUSH(faults, acme_err_t *) = fault;
        }
    }
    return faults->nelts ? acme_blame_join(faults, run->pool) : NULL;
}

/* --- which it is, and why --------------------------------------------------------- */

/* Tell by what ident is proved, and why not by what is preferred to it. */
static void tell_choice(acme_run_t *run, const acme_proof_t *proof)
{
    apr_pool_t *scratch = run->engine->scratch;
    acme_job_t *job = run->job;
    const char *text = acme_proof_type_name(proof->type);
    acme_proofs_t wanted;
    char shown[sizeof(job->status.proof)];

    acme_policy_wanted(&wanted, job->managed->policy);
    for (int i = 0; i < wanted.count && wanted.types[i] != proof->type; i++) {
        text = apr_pstrcat(
            scratch, text, "; not by ", acme_proof_type_name(wanted.types[i]),
            ": ", why_not(job, proof->ident, wanted.types[i], scratch), NULL);
    }
    acme_encode_cut(shown, sizeof(shown), text);
    if (!strcmp(shown, job->status.proof)) {
        return;
    }
    memcpy(job->status.proof, shown, sizeof(shown));
    if (strcmp(text, acme_proof_type_name(proof->type))) {
        acme_engine_log(run->engine, job, ACME_I_PROOF_CHOSEN,
                        proof->ident->value, text, NULL);
    }
    acme_engine_report(run->engine, job);
}

void acme_proving_published(acme_run_t *run, const acme_proof_t *proof,
                            acme_err_t *err)
{
    if (!err) {
        acme_engine_event(run->engine, run->job,
                          apr_pstrcat(run->engine->scratch,
                                      acme_proof_type_name(proof->type),
                                      " is shown for ", NULL),
                          proof->ident->value);
        tell_choice(run, proof);
    }
    else if (err->msg == ACME_E_PROOF_BUSY) {
        err->retry_at = acme_engine_now(run->engine) + BUSY_AGAIN;
    }
    acme_order_published(run->order, proof, err, acme_engine_now(run->engine));
    acme_proving_learn(run);
}

/* --- what came to nothing --------------------------------------------------------- */

/* What is the CA's own trouble hits every kind of proof alike. */
static int is_of_the_kind(acme_msg_t msg)
{
    return !acme_reaction(msg)->again
           && acme_reaction(msg)->fate == ACME_FATE_DROP;
}

static void lose(acme_run_t *run, int position, unsigned int offered)
{
    if (!run->lost) {
        run->lost =
            apr_pcalloc(run->pool, (size_t)run->job->managed->idents->nelts);
    }
    run->lost[position] = (unsigned char)offered;
}

static void begin_attempt(acme_job_t *job)
{
    if (job->attempt) {
        return;
    }
    apr_pool_create(&job->attempt, job->link->pool);
    job->failed =
        apr_pcalloc(job->attempt, (size_t)job->managed->idents->nelts);
}

void acme_proving_learn(acme_run_t *run)
{
    const acme_setback_t *setback = acme_order_setback(run->order);
    acme_job_t *job = run->job;
    const acme_err_t *err;
    int position;

    if (!setback || setback == run->setback) {
        return;
    }
    run->setback = setback;
    position = acme_job_position(job, setback->ident);
    if (position < 0) {
        return;
    }
    if (setback->last && is_of_the_kind(setback->err->msg)) {
        lose(run, position, setback->offered);
    }
    acme_job_disproved(job, setback->ident, setback->type);
    if (has_failed(job, setback->ident, setback->type)) {
        return;
    }
    begin_attempt(job);
    job->failed[position] |= (unsigned char)ACME_PROOF_BIT(setback->type);
    job->doubted |= ACME_PROOF_BIT(setback->type);
    err = acme_preflight_explain(run, setback->err);
    job->why[setback->type] = apr_pstrdup(job->attempt, err->text);
    acme_engine_event(run->engine, job,
                      apr_pstrcat(run->engine->scratch,
                                  acme_proof_type_name(setback->type),
                                  " failed for ", NULL),
                      setback->ident->value);
    acme_job_troubled(job, err, acme_engine_now(run->engine),
                      run->engine->scratch);
    acme_engine_log(run->engine, job, ACME_W_PROOF_FAILED,
                    acme_proof_type_name(setback->type), setback->ident->value,
                    acme_err_line(err, run->engine->scratch), NULL);
}

static void recall(acme_run_t *run, int position, const acme_tried_t *tried)
{
    acme_job_t *job = run->job;

    begin_attempt(job);
    job->failed[position] |= (unsigned char)tried->failed;
    job->doubted |= tried->failed;
    for (int i = 0; i < ACME_PROOF_TYPES; i++) {
        if (tried->failed & ACME_PROOF_BIT(i) && !job->why[i]) {
            job->why[i] = tried->blame
                              ? apr_pstrdup(job->attempt, tried->blame->text)
                              : "the CA has refused it";
        }
    }
    if (tried->blame && is_of_the_kind(tried->blame->msg)) {
        lose(run, position, tried->offered);
    }
}

void acme_proving_recall(acme_run_t *run)
{
    const apr_array_header_t *idents = run->config.idents;

    for (int i = 0; i < idents->nelts; i++) {
        const acme_ident_t *ident = APR_ARRAY_IDX(idents, i, acme_ident_t *);
        const acme_tried_t tried = acme_order_tried(run->order, ident);
        int position = acme_job_position(run->job, ident);

        if (tried.failed && position >= 0) {
            recall(run, position, &tried);
        }
    }
}

/* --- what comes next --------------------------------------------------------------- */

static int has_way(const acme_run_t *run, const acme_ident_t *ident)
{
    int position = acme_job_position(run->job, ident);
    acme_proofs_t left;

    if (position < 0 || !run->lost || !run->lost[position]) {
        return 0;
    }
    rank(&left, run->job, ident);
    for (int i = 0; i < left.count; i++) {
        if (run->lost[position] & ACME_PROOF_BIT(left.types[i])) {
            return 1;
        }
    }
    return 0;
}

/* Which name it failed of, one who was killed has known. */
static int any_has_way(const acme_run_t *run)
{
    const apr_array_header_t *idents = run->config.idents;

    for (int i = 0; i < idents->nelts; i++) {
        if (has_way(run, APR_ARRAY_IDX(idents, i, acme_ident_t *))) {
            return 1;
        }
    }
    return 0;
}

/* Of err's blames those that are wanted, which is asked of each. */
static void keep_blames(acme_err_t *err, const acme_run_t *run,
                        int (*is_wanted)(const acme_run_t *,
                                         const acme_blame_t *))
{
    apr_array_header_t *kept =
        apr_array_make(run->engine->scratch, 1, sizeof(acme_blame_t));

    for (int i = 0; err->blames && i < err->blames->nelts; i++) {
        const acme_blame_t *blame =
            &APR_ARRAY_IDX(err->blames, i, acme_blame_t);

        if (is_wanted(run, blame)) {
            APR_ARRAY_PUSH(kept, acme_blame_t) = *blame;
        }
    }
    err->blames = kept->nelts ? kept : NULL;
}

static int is_no_programs(const acme_run_t *run, const acme_blame_t *blame)
{
    (void)run;
    return blame->msg != ACME_E_COMMAND_FAILED
           && blame->msg != ACME_E_COMMAND_TIME;
}

static int is_hopeless(const acme_run_t *run, const acme_blame_t *blame)
{
    const apr_array_header_t *idents = run->config.idents;

    for (int i = 0; i < idents->nelts; i++) {
        const acme_ident_t *ident = APR_ARRAY_IDX(idents, i, acme_ident_t *);

        if (!strcmp(ident->value, blame->name)) {
            return !has_way(run, ident);
        }
    }
    return 1;
}

static int count_blames(const acme_err_t *err)
{
    return err->blames ? err->blames->nelts : 0;
}

/* A program that works for no name, and for more than one not, is at fault itself:
 * what it takes is to mend it, not to go on without the names. */
static int is_the_programs(const acme_err_t *err, const acme_run_t *run)
{
    acme_err_t others = *err;

    keep_blames(&others, run, is_no_programs);
    return !run->program_works && count_blames(err) - count_blames(&others) > 1;
}

const acme_err_t *acme_proving_without(acme_run_t *run, acme_err_t *err)
{
    const acme_setback_t *setback = run->setback;
    acme_job_t *job = run->job;
    acme_err_t *hopeless = apr_pmemdup(run->engine->scratch, err, sizeof(*err));
    int again;

    keep_blames(hopeless, run, is_hopeless);
    if (is_the_programs(hopeless, run)) {
        err->blames = NULL;
        return err;
    }
    /* Without blames it has failed as a whole, yet perhaps of one name's proof. */
    again = err->blames ? count_blames(hopeless) < count_blames(err)
            : setback   ? setback->last && has_way(run, setback->ident)
                        : run->resumed && any_has_way(run);
    if (!again || !job->attempt || job->rounds >= ACME_PROOF_TYPES) {
        return err;
    }
    job->rounds++;
    return hopeless->blames ? hopeless : NULL;
}

static int is_by_persist(const unsigned char *proved, int count)
{
    for (int i = 0; i < count; i++) {
        if (proved[i] == ACME_PROOF_BIT(ACME_PROOF_DNS_PERSIST_01)) {
            return 1;
        }
    }
    return 0;
}

void acme_proving_record(acme_record_t *record, const acme_run_t *run)
{
    const apr_array_header_t *idents = record->idents;
    unsigned char *proved = apr_pcalloc(run->pool, (size_t)idents->nelts);

    for (int i = 0; i < idents->nelts; i++) {
        proved[i] = (unsigned char)acme_order_tried(
                        run->order, APR_ARRAY_IDX(idents, i, acme_ident_t *))
                        .proved;
    }
    acme_job_keep_proved(record, run->job, proved, run->pool);
    record->ending = run->ending;
    if (!run->looked && run->job->ending && run->job->ending->until
        && is_by_persist(proved, idents->nelts)) {
        record->ending = *run->job->ending; /* proved by an earlier order */
    }
}

void acme_proving_over(acme_job_t *job)
{
    if (job->attempt) {
        apr_pool_destroy(job->attempt);
    }
    job->attempt = NULL;
    job->failed = NULL;
    job->doubted = 0;
    job->rounds = 0;
    memset(job->why, 0, sizeof(job->why));
}
