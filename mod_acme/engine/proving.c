#include "engine/engine_impl.h"

void acme_proving_choose(acme_run_t *run, const apr_array_header_t *idents)
{
    acme_proofs_t *proofs =
        apr_pcalloc(run->pool, sizeof(*proofs) * (size_t)idents->nelts);

    for (int i = 0; i < idents->nelts; i++) {
        acme_policy_proofs(&proofs[i], run->job->managed->policy,
                           APR_ARRAY_IDX(idents, i, acme_ident_t *));
    }
    run->config.idents = idents;
    run->config.proofs = proofs;
}

acme_err_t *acme_proving_check(const acme_run_t *run)
{
    const acme_policy_t *policy = run->job->managed->policy;

    for (int i = 0; i < run->config.idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(run->config.idents, i, acme_ident_t *);

        if (!run->config.proofs[i].count) {
            return acme_err_make(
                run->pool, ACME_E_NO_PROOF, ident->value,
                acme_policy_obstacles(policy, ident, run->pool), NULL);
        }
    }
    return NULL;
}

void acme_proving_published(acme_run_t *run, const acme_proof_t *proof,
                            acme_err_t *err)
{
    acme_order_published(run->order, proof, err);
}
