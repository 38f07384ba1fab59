#include "engine/fit.h"

#include <apr_strings.h>

#include "core/ident.h"

/* By itself or by a wildcard. */
static int is_for(const apr_array_header_t *idents, const acme_ident_t *one)
{
    for (int i = 0; i < idents->nelts; i++) {
        if (acme_ident_covers(APR_ARRAY_IDX(idents, i, const acme_ident_t *),
                              one)) {
            return 1;
        }
    }
    return 0;
}

static int may_hold(const acme_fit_t *fit, const apr_array_header_t *idents,
                    apr_pool_t *pool)
{
    return acme_idents_subset(idents, fit->allowed)
           || (fit->before
               && acme_idents_subset(
                   idents, apr_array_append(pool, fit->allowed, fit->before)));
}

static acme_err_t *unfit(const acme_fit_t *fit, const char *why,
                         apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_PROMOTE, fit->dir,
                         acme_family_name(fit->family), why, NULL);
}

static acme_err_t *check_names(const acme_fit_t *fit, X509 *leaf,
                               apr_pool_t *pool)
{
    acme_cert_info_t *info;
    const char *why = NULL;
    const acme_ident_t *first =
        APR_ARRAY_IDX(fit->allowed, 0, const acme_ident_t *);

    ACME_TRY(acme_cert_info(&info, leaf, pool));
    if (info->foreign_names) {
        why = "it holds names that are neither host names nor addresses";
    }
    else if (!is_for(info->idents, first)) {
        why = apr_pstrcat(pool, "it is not for ", first->value, NULL);
    }
    else if (!may_hold(fit, info->idents, pool)) {
        why = apr_pstrcat(pool, "it is for names that are not configured: ",
                          acme_idents_text(info->idents, 5, pool), NULL);
    }
    return why ? unfit(fit, why, pool) : NULL;
}

acme_err_t *acme_fit_set(const acme_fit_t *fit, const acme_chain_t *chain,
                         EVP_PKEY *key, apr_pool_t *pool)
{
    acme_key_type_t type;

    if (acme_key_type_of(&type, key) != 0
        || acme_key_family(type) != fit->family) {
        return unfit(fit, "its key is of another type", pool);
    }
    acme_err_t *err = acme_chain_verify(chain, key, NULL, fit->now, pool);
    if (err) {
        return err->msg == ACME_E_MEMORY || err->msg == ACME_E_CERT_DATES
                   ? err
                   : unfit(fit, acme_err_line(err, pool), pool);
    }
    return check_names(fit, chain->leaf, pool);
}
