#include "core/choice.h"

#include <apr_strings.h>
#include <string.h>

#include "core/order_impl.h"

/* What the administrator wants for ident, which is one of the order's. */
static const acme_proofs_t *wanted_proofs(const acme_order_t *order,
                                          const acme_ident_t *ident)
{
    const apr_array_header_t *idents = order->config->idents;
    int i = 0;

    while (APR_ARRAY_IDX(idents, i, const acme_ident_t *) != ident) {
        i++;
    }
    return &order->config->proofs[i];
}

static int is_open(const acme_authz_t *authz, acme_proof_type_t type)
{
    return !(authz->failed & ACME_PROOF_BIT(type))
           && !acme_proof_unsuitable(type, authz->ident);
}

int acme_choice_has_another(const acme_order_t *order,
                            const acme_authz_t *authz)
{
    const acme_proofs_t *proofs = wanted_proofs(order, authz->ident);
    unsigned int offered = authz->offered ? authz->offered : ~0u;
    int i;

    for (i = 0; i < proofs->count; i++) {
        acme_proof_type_t type = proofs->types[i];

        if (type != authz->proof.type && is_open(authz, type)
            && offered & ACME_PROOF_BIT(type)) {
            return 1;
        }
    }
    return 0;
}

void acme_choice_set_back(acme_order_t *order, acme_authz_t *authz,
                          const acme_err_t *err, int last)
{
    acme_setback_t *setback = apr_pcalloc(order->pool, sizeof(*setback));

    authz->failed |= ACME_PROOF_BIT(authz->proof.type);
    if (authz->failure != err) {
        authz->failure = acme_err_dup(err, order->pool);
    }
    setback->type = authz->proof.type;
    setback->ident = authz->ident;
    setback->err = authz->failure;
    setback->offered = authz->offered ? authz->offered : ~0u;
    setback->last = last;
    order->setback = setback;
    order->dirty = 1;
}

acme_err_t *acme_choice_next(acme_order_t *order, acme_authz_t *authz,
                             acme_err_t *err)
{
    acme_choice_set_back(order, authz, err, 0);
    if (!acme_choice_has_another(order, authz)) {
        order->setback->last = 1;
        return err;
    }
    authz->answers = 0;
    authz->doubtful = 0;
    authz->answer_again = 0;
    authz->refusal = NULL;
    acme_authz_enter(order, authz, ACME_AUTHZ_READ);
    return NULL;
}

/* Whether it has what its kind of proof is made of. */
static int is_whole(const acme_challenge_t *challenge, acme_proof_type_t type)
{
    return challenge->url
           && (type == ACME_PROOF_DNS_PERSIST_01 ? challenge->issuers != NULL
                                                 : challenge->token != NULL);
}

static void fill_proof(acme_proof_t *proof, const acme_challenge_t *challenge,
                       apr_pool_t *pool)
{
    int persists = proof->type == ACME_PROOF_DNS_PERSIST_01;
    int i;

    proof->token = persists ? "" : apr_pstrdup(pool, challenge->token);
    proof->key_authorization = NULL;
    proof->issuers = NULL;
    proof->hashed = persists && challenge->issuers_new;
    if (persists) {
        apr_array_header_t *issuers = apr_array_make(
            pool, challenge->issuers->nelts, sizeof(const char *));

        for (i = 0; i < challenge->issuers->nelts; i++) {
            APR_ARRAY_PUSH(issuers, const char *) = apr_pstrdup(
                pool, APR_ARRAY_IDX(challenge->issuers, i, const char *));
        }
        proof->issuers = issuers;
    }
}

static unsigned int all_types(const acme_authorization_t *resource)
{
    unsigned int bits = 0;
    acme_proof_type_t type;
    int i;

    for (i = 0; i < resource->challenges->nelts; i++) {
        const acme_challenge_t *challenge =
            APR_ARRAY_IDX(resource->challenges, i, acme_challenge_t *);

        if (!acme_proof_type_parse(&type, challenge->type)) {
            bits |= ACME_PROOF_BIT(type);
        }
    }
    return bits;
}

static const acme_challenge_t *find_challenge(
    const acme_authorization_t *resource, acme_proof_type_t type)
{
    int i;

    for (i = 0; i < resource->challenges->nelts; i++) {
        const acme_challenge_t *challenge =
            APR_ARRAY_IDX(resource->challenges, i, acme_challenge_t *);
        if (!strcmp(challenge->type, acme_proof_type_name(type))
            && is_whole(challenge, type)
            && (challenge->status == ACME_STATUS_PENDING
                || challenge->status == ACME_STATUS_PROCESSING)) {
            return challenge;
        }
    }
    return NULL;
}

static const char *add_type(const char *list, const char *type,
                            apr_pool_t *pool)
{
    return list ? apr_pstrcat(pool, list, ", ", type, NULL) : type;
}

static acme_err_t *no_challenge(const acme_order_t *order,
                                const acme_authz_t *authz,
                                const acme_authorization_t *resource)
{
    const acme_proofs_t *proofs = wanted_proofs(order, authz->ident);
    const char *offered = NULL, *usable = NULL;
    int i;

    for (i = 0; i < resource->challenges->nelts; i++) {
        offered = add_type(
            offered,
            APR_ARRAY_IDX(resource->challenges, i, acme_challenge_t *)->type,
            order->scratch);
    }
    for (i = 0; i < proofs->count; i++) {
        if (is_open(authz, proofs->types[i])) {
            usable = add_type(usable, acme_proof_type_name(proofs->types[i]),
                              order->scratch);
        }
    }
    return acme_err_make(order->scratch, ACME_E_NO_CHALLENGE,
                         authz->ident->value, offered ? offered : "nothing",
                         usable ? usable : "nothing", NULL);
}

acme_err_t *acme_choice_take(acme_order_t *order, acme_authz_t *authz,
                             const acme_authorization_t *resource)
{
    const acme_proofs_t *proofs = wanted_proofs(order, authz->ident);
    int i;

    authz->offered |= all_types(resource);
    for (i = 0; i < proofs->count; i++) {
        acme_proof_type_t type = proofs->types[i];
        const acme_challenge_t *challenge = find_challenge(resource, type);

        if (challenge && is_open(authz, type)) {
            authz->challenge_url = apr_pstrdup(order->pool, challenge->url);
            authz->proof.type = type;
            authz->proof.ident = authz->ident;
            fill_proof(&authz->proof, challenge, order->pool);
            /* A reused authorization may be under validation already: then
             * it waits for the proof alone. */
            authz->answers = challenge->status == ACME_STATUS_PROCESSING;
            acme_authz_enter(order, authz, ACME_AUTHZ_PUBLISH);
            return NULL;
        }
    }
    if (authz->failure) {
        acme_choice_set_back(order, authz, authz->failure, 1);
        return authz->failure;
    }
    return no_challenge(order, authz, resource);
}
