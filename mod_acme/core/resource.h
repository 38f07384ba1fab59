/**
 * ACME resources as the CA sends them, checked and turned into structs.
 * RFC 8555 section 7.1. Every URL in them passed acme_url_valid; every text is
 * printable. Unknown members are ignored; an optional URL that cannot be used
 * counts as absent; else wrong types are refused.
 */
#ifndef ACME_RESOURCE_H
#define ACME_RESOURCE_H

#include <apr_tables.h>
#include <jansson.h>

#include "core/err.h"
#include "core/ident.h"
#include "core/problem.h"
#include "core/proof.h"

typedef struct acme_directory_t {
    const char *new_nonce, *new_account, *new_order;     /* never NULL */
    const char *revoke_cert, *key_change, *renewal_info; /* or NULL */
    const char *terms;   /* meta.termsOfService, or NULL */
    const char *website; /* meta.website, or NULL */
    int external_account_required;
    apr_array_header_t *caa_identities; /* const char *: names of the CA in CAA
                                           records; empty if it tells none */
    const char *account_hash_prefix;    /* meta.accountHashPrefix, or NULL */
    apr_array_header_t *profiles;       /* const char *: names; empty if none */
} acme_directory_t;
/** @return E_CA_DIRECTORY: not an ACME directory (says what is missing) */
acme_err_t *acme_directory_parse(acme_directory_t **directory, const char *body,
                                 apr_size_t len,
                                 apr_pool_t *pool) ACME_MUST_CHECK;

typedef enum acme_resource_status_t {
    ACME_STATUS_PENDING,
    ACME_STATUS_READY,
    ACME_STATUS_PROCESSING,
    ACME_STATUS_VALID,
    ACME_STATUS_INVALID,
    ACME_STATUS_DEACTIVATED,
    ACME_STATUS_EXPIRED,
    ACME_STATUS_REVOKED,
} acme_resource_status_t;
/** "pending" ...; static. */
const char *acme_resource_status_name(acme_resource_status_t status);

typedef struct acme_order_resource_t {
    acme_resource_status_t status;
    apr_array_header_t *authorizations; /* const char *: URLs; may be empty */
    const char *finalize;               /* never NULL unless status invalid */
    const char *certificate;            /* never NULL when valid */
    acme_err_t *error;                  /* of the order, or NULL */
} acme_order_resource_t;
/** @return E_CA_JSON, E_CA_RESOURCE */
acme_err_t *acme_order_resource_parse(acme_order_resource_t **order,
                                      const char *body, apr_size_t len,
                                      apr_pool_t *pool) ACME_MUST_CHECK;

typedef struct acme_challenge_t {
    const char *type;  /* "http-01"; also types unknown here */
    const char *url;   /* NULL where absent or refused */
    const char *token; /* NULL where absent or refused by acme_token_valid */
    apr_array_header_t *issuers; /* dns-persist-01: const char *, lower case, 1
                                    to 10; NULL where absent or refused */
    int issuers_new;             /* from the member of draft -02 */
    acme_resource_status_t status;
    acme_err_t *error; /* why it failed, or NULL */
} acme_challenge_t;

typedef struct acme_authorization_t {
    acme_resource_status_t status;
    acme_ident_t *ident; /* without "*." */
    int wildcard;
    apr_array_header_t *challenges; /* acme_challenge_t *; at most 32 */
} acme_authorization_t;
/** @return E_CA_JSON, E_CA_RESOURCE */
acme_err_t *acme_authorization_parse(acme_authorization_t **authorization,
                                     const char *body, apr_size_t len,
                                     apr_pool_t *pool) ACME_MUST_CHECK;

#endif
