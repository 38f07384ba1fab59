/**
 * The file of an order in progress: the machine's own state (acme_order_save) and
 * what must be known before that can be loaded.
 */
#ifndef ACME_SAVED_H
#define ACME_SAVED_H

#include <apr_tables.h>

#include "core/err.h"

typedef struct acme_saved_t {
    const char *subject;              /* acme_job_t's when it was begun */
    const char *account;              /* directory of the account it is of */
    const apr_array_header_t *idents; /* acme_ident_t *, as ordered */
    const char *order;                /* JSON of acme_order_save */
    int has_key; /* the key is on disk; before that no CSR was sent */
    int issued;  /* the certificate is made */
} acme_saved_t;

/** JSON, from pool. */
acme_err_t *acme_saved_format(const char **json, const acme_saved_t *saved,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** @param saved  all members set, from pool
 *  @return E_STORE_DAMAGED, or why it is no JSON */
acme_err_t *acme_saved_parse(acme_saved_t *saved, const char *json,
                             apr_size_t len, apr_pool_t *pool) ACME_MUST_CHECK;

/** E_STORE_DAMAGED of the saved order. */
acme_err_t *acme_saved_damaged(const char *why, apr_pool_t *pool);

#endif
