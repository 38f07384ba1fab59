/**
 * Accounts and certificates of a store as one JSON document, with their keys in the
 * clear: to be sealed at once (vault.h). What is restored is sealed anew, under the
 * secret of the store that it comes into.
 */
#ifndef ACME_BACKUP_H
#define ACME_BACKUP_H

#include "engine/store.h"

typedef struct acme_backup_account_t {
    const char *dir;
    acme_account_t account;
} acme_backup_account_t;

typedef struct acme_backup_set_t {
    const char *dir;
    acme_family_t family;
    acme_set_t set;        /* record NULL: next_key alone */
    const char *chain_pem; /* of the set */
    EVP_PKEY *next_key;    /* made ahead for the next order; or NULL */
} acme_backup_set_t;

typedef struct acme_backup_t {
    apr_time_t made;
    apr_array_header_t *accounts; /* acme_backup_account_t */
    apr_array_header_t *sets;     /* acme_backup_set_t */
} acme_backup_t;

/** An empty one. */
acme_backup_t *acme_backup_make(apr_time_t made, apr_pool_t *pool);
/** All that there is, as it is now. Root.
 *  @param damage  one that had to be left out, and why; NULL: none */
acme_err_t *acme_backup_collect(acme_backup_t **backup, acme_err_t **damage,
                                acme_store_t *store, apr_time_t now,
                                apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_backup_format(const char **json, const acme_backup_t *backup,
                               apr_pool_t *pool) ACME_MUST_CHECK;
/** Every key fits its certificate.
 *  @return E_BACKUP_OPEN */
acme_err_t *acme_backup_parse(acme_backup_t **backup, const char *json,
                              apr_size_t len, const char *what,
                              apr_pool_t *pool) ACME_MUST_CHECK;

#endif
