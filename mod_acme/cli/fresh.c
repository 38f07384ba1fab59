/* What root makes of sets that the worker has put. */
#include "cli/survey.h"

#include "core/ident.h"
#include "engine/fit.h"

static void add_name(apr_array_header_t *names, const char *name,
                     apr_pool_t *pool)
{
    acme_ident_t *ident;

    if (!acme_ident_parse(&ident, name, pool)) {
        APR_ARRAY_PUSH(names, acme_ident_t *) = ident;
    }
}

/* What root has written down of the configuration, the identity first. */
static const apr_array_header_t *configured(ctl_t *ctl, const char *dir)
{
    apr_array_header_t *names =
        apr_array_make(ctl->pool, 4, sizeof(acme_ident_t *));
    int known;
    const acme_use_t *use = ctl_use(ctl, dir, &known);

    if (use) {
        add_name(names, use->name, ctl->pool);
    }
    for (int i = 0; use && use->names && i < use->names->nelts; i++) {
        add_name(names, APR_ARRAY_IDX(use->names, i, const char *), ctl->pool);
    }
    return names;
}

/* The worker's word: another daemon gets no more from it than this server would. */
acme_err_t *ctl_check_fresh(ctl_t *ctl, const char *dir, acme_family_t family,
                            const acme_set_t *set)
{
    acme_record_t *promoted = NULL;
    const apr_array_header_t *allowed = configured(ctl, dir);
    acme_err_t *damage =
        acme_store_current(&promoted, ctl->store, dir, family, ctl->pool);
    const apr_array_header_t *before =
        promoted ? promoted->idents
                 : acme_store_names(ctl->store, dir, ctl->pool);

    (void)damage; /* told when it is shown */
    allowed = allowed->nelts ? allowed : before;
    if (!allowed->nelts) {
        return acme_err_make(ctl->pool, ACME_E_PROMOTE, dir,
                             acme_family_name(family),
                             "no name is configured for it", NULL);
    }
    const acme_fit_t fit = { dir, family, allowed, before, apr_time_now() };
    return acme_fit_set(&fit, set->chain, set->key, ctl->pool);
}
