/**
 * Which certificates may be shown for a managed one, whoever has made them: asked by
 * root at a promotion, and by each child before a certificate serves live.
 */
#ifndef ACME_FIT_H
#define ACME_FIT_H

#include <openssl/x509.h>

#include "core/key.h"

/** What is managed. */
typedef struct acme_fit_t {
    const char *dir; /* for messages */
    acme_family_t family;
    const apr_array_header_t *allowed; /* acme_ident_t *: names configured, the
                                          identity first */
    const apr_array_header_t *before;  /* the same: those that were configured,
                                          or in service, before; or NULL */
} acme_fit_t;

/** A certificate must be for the identity, and for no name that is neither
 *  configured nor was before: one that was taken away a moment ago does no harm;
 *  one that never was here might. Its own names count, not its record's.
 *  @return E_PROMOTE with the reason */
acme_err_t *acme_fit_names(const acme_fit_t *fit, X509 *leaf,
                           apr_pool_t *pool) ACME_MUST_CHECK;

#endif
