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
#include "core/renewal.h"

typedef enum acme_renew_mode_t {
    ACME_RENEW_AUTO, /* while a virtual host uses it */
    ACME_RENEW_ALWAYS,
    ACME_RENEW_MANUAL, /* only when asked */
} acme_renew_mode_t;

/** Settings of a certificate. All strings live as long as the policy. */
typedef struct acme_policy_t {
    const char *ca_alias;      /* "letsencrypt", or NULL for a bare URL */
    const char *ca_url;        /* directory URL, never NULL */
    const char *ca_trust_file; /* PEM, readable by the worker; NULL: system */
    int agree_terms;
    apr_array_header_t *contacts; /* const char *, "mailto:..."; may be empty */
    const char *profile;          /* or NULL */
    int profile_required;
    acme_key_type_t key_types[ACME_FAMILIES]; /* at most one of a family */
    int key_type_count;                       /* 1.. ACME_FAMILIES */
    acme_span_t renew;                        /* before expiry */
    int renew_set; /* 0: the default of acme_renewal_time */
    acme_renew_mode_t renew_mode;
    int http_01; /* outside's port 80 reaches a plain listener */
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

/** A public CA that AcmeCA knows by name. */
typedef struct acme_policy_ca_t {
    const char *alias; /* "letsencrypt" */
    const char *url;   /* of its directory */
} acme_policy_ca_t;

/** The CA with this alias (in any case) or directory URL, or NULL. Static. */
const acme_policy_ca_t *acme_policy_find_ca(const char *text);
/** All aliases, with ", " between them. */
const char *acme_policy_ca_aliases(apr_pool_t *pool);

/** Name of the account directory for this policy: alias or host, and eight
 *  hexadecimal digits over the directory URL. Certificates with the same one
 *  share an account. */
const char *acme_policy_account(const acme_policy_t *policy, apr_pool_t *pool);

#endif
