/**
 * What is kept of an OCSP response between two starts of the server: a document
 * of the store (ACME_DOC_OCSP), one for a certificate's name and family.
 */
#ifndef ACME_STAPLE_H
#define ACME_STAPLE_H

#include "engine/engine.h"

typedef struct acme_staple_doc_t {
    acme_staple_t staple;
    apr_time_t from;    /* thisUpdate */
    apr_time_t refresh; /* when to ask again */
    int revoked;        /* the response says that the certificate is */
} acme_staple_doc_t;

acme_err_t *acme_staple_format(const char **json, const acme_staple_doc_t *doc,
                               apr_pool_t *pool) ACME_MUST_CHECK;
/** @return E_STORE_DAMAGED, E_MEMORY */
acme_err_t *acme_staple_parse(acme_staple_doc_t **doc, const char *json,
                              apr_size_t len, apr_pool_t *pool) ACME_MUST_CHECK;

/** The saved response for the certificate with this serial number, whether it
 *  still holds or not; for everybody who can read the worker's part, root too.
 *  @param doc  NULL if there is none, or none that can be read */
void acme_staple_saved(acme_staple_doc_t **doc, acme_store_t *store,
                       const char *dir, acme_family_t family,
                       const char *serial, apr_pool_t *pool);

#endif
