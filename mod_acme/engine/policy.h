/**
 * What the administrator wants of one certificate: the settings, already merged
 * and checked, and the names. Made by httpd/ from directives (or by acmectl),
 * read by everything else; immutable once made.
 */
#ifndef ACME_POLICY_H
#define ACME_POLICY_H

#include <apr_tables.h>

#include "core/err.h"
#include "core/ident.h"
#include "core/key.h"
#include "core/proof.h"
#include "core/renewal.h"

typedef enum acme_renew_mode_t {
    ACME_RENEW_AUTO, /* while a virtual host uses it */
    ACME_RENEW_ALWAYS,
    ACME_RENEW_MANUAL, /* only when asked */
} acme_renew_mode_t;

#define ACME_MAX_CAS 4 /* that one certificate may come from */

/** A CA that a certificate may come from, with the settings that hold there:
 *  those that AcmeXxx [ca] sets. */
typedef struct acme_ca_t {
    const char *alias;      /* "letsencrypt", or NULL for a bare URL */
    const char *url;        /* of its directory, never NULL */
    const char *trust_file; /* PEM, readable by the worker; NULL: system */
    const char *profile;    /* or NULL */
    int profile_required;
} acme_ca_t;

/** Settings of a certificate. All strings live as long as the policy. */
typedef struct acme_policy_t {
    const acme_ca_t *cas; /* in order of preference */
    int ca_count;         /* 1.. ACME_MAX_CAS */
    int agree_terms;
    apr_array_header_t *contacts; /* const char *, "mailto:..."; may be empty */
    acme_key_type_t key_types[ACME_FAMILIES]; /* at most one of a family */
    int key_type_count;                       /* 1.. ACME_FAMILIES */
    acme_span_t renew;                        /* before expiry */
    int renew_set; /* 0: the default of acme_renewal_time */
    acme_renew_mode_t renew_mode;
    const apr_array_header_t *challenges; /* acme_proof_type_t, the most
                                             preferred first; NULL or empty:
                                             the default */
    int http_01;     /* outside's port 80 reaches a plain listener */
    int tls_alpn_01; /* outside's port 443 reaches a TLS listener */
    int dns;         /* a program publishes TXT records */
    const char *obstacles[ACME_PROOF_TYPES]; /* words for why one that is not
                                                usable is not; or NULL */
} acme_policy_t;

/** One certificate to manage. */
typedef struct acme_managed_t {
    const char *name;           /* identity: its first identifier's text */
    const char *dir;            /* acme_ident_filename of it */
    apr_array_header_t *idents; /* acme_ident_t *; the first is the identity */
    const acme_policy_t *policy;
    const char *where; /* "shop.conf:12", for messages */
    int in_use;        /* a virtual host serves it */
} acme_managed_t;

/** A CA as AcmeCA names it. */
typedef struct acme_policy_ca_t {
    const char *alias; /* "letsencrypt", or NULL for a bare URL */
    const char *url;   /* of its directory */
} acme_policy_ca_t;

/** The public CA with this alias (in any case) or directory URL, or NULL.
 *  Static. */
const acme_policy_ca_t *acme_policy_find_ca(const char *text);
/** All aliases, with ", " between them. */
const char *acme_policy_ca_aliases(apr_pool_t *pool);

/** The kinds of proof that ident may be proved by: wanted, possible for it, and
 *  usable here; the most preferred first. */
void acme_policy_proofs(acme_proofs_t *proofs, const acme_policy_t *policy,
                        const acme_ident_t *ident);
/** Why those that are wanted cannot be used for ident: "tls-alpn-01: port 443
 *  does not reach this server; http-01: ...", or "". */
const char *acme_policy_obstacles(const acme_policy_t *policy,
                                  const acme_ident_t *ident, apr_pool_t *pool);
/** The wanted ones by name: "tls-alpn-01 http-01 dns-01". */
const char *acme_policy_challenges(const acme_policy_t *policy,
                                   apr_pool_t *pool);

/** Name of the account directory at this CA: alias or host, and eight
 *  hexadecimal digits over the directory URL. Certificates with the same one
 *  share an account. */
const char *acme_policy_account(const acme_ca_t *ca, apr_pool_t *pool);

#endif
