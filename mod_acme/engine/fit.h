/**
 * Which sets may be shown for a managed certificate, whoever has made them: asked by
 * root at a promotion, and by each child before a set serves live.
 */
#ifndef ACME_FIT_H
#define ACME_FIT_H

#include "core/cert.h"
#include "core/key.h"

/** What is managed. */
typedef struct acme_fit_t {
    const char *dir; /* for messages */
    acme_family_t family;
    const apr_array_header_t *allowed; /* acme_ident_t *: names configured, the
                                          identity first */
    const apr_array_header_t *before;  /* the same: those that were configured,
                                          or in service, before; or NULL */
    apr_time_t now;
} acme_fit_t;

/** The key must be of the family, and that of the certificate, which must be valid
 *  now, for servers and not a CA's, in a chain with right signatures. It must be for
 *  the identity, and for no name that is neither configured nor was before: one that
 *  was taken away a moment ago does no harm; one that never was here might. Its own
 *  names count, not its record's.
 *  @return E_PROMOTE with the reason; E_CERT_DATES, which a wrong clock may bring
 *          about; E_MEMORY */
acme_err_t *acme_fit_set(const acme_fit_t *fit, const acme_chain_t *chain,
                         EVP_PKEY *key, apr_pool_t *pool) ACME_MUST_CHECK;

#endif
