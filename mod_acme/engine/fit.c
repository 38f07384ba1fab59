#include "engine/fit.h"

#include <apr_strings.h>

#include "core/cert.h"
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

acme_err_t *acme_fit_names(const acme_fit_t *fit, X509 *leaf, apr_pool_t *pool)
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
    return why ? acme_err_make(pool, ACME_E_PROMOTE, fit->dir,
                               acme_family_name(fit->family), why, NULL)
               : NULL;
}
