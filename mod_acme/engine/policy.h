/**
 * What the administrator wants of one certificate: the settings, already merged
 * and checked, and the names. Made by httpd/ from directives (or by acmectl),
 * read by everything else; immutable once made.
 */
#ifndef ACME_POLICY_H
#define ACME_POLICY_H

#include <apr_tables.h>

#include "core/csr.h"
#include "core/err.h"
#include "core/ident.h"
#include "core/key.h"
#include "core/proof.h"
#include "core/renewal.h"
#include "engine/hook.h"
#include "engine/proxy.h"

typedef enum acme_renew_mode_t {
    ACME_RENEW_AUTO, /* while a virtual host uses it */
    ACME_RENEW_ALWAYS,
    ACME_RENEW_MANUAL, /* only when asked */
} acme_renew_mode_t;

/** AcmeExternalAccount: who the CA's customer is. Read by root before the fork
 *  where it is in a file; in memory only. */
typedef struct acme_external_t {
    const char *file; /* NULL: it stands in the configuration */
    const char *kid, *hmac;
    acme_err_t *fault; /* it cannot be used; or NULL. With kid: that of the last
                          start, which will do for a registered account */
} acme_external_t;

/** AcmeAccountKey: how the account's key is made, or whose it is. */
typedef struct acme_account_key_t {
    acme_key_type_t type; /* of one that is made */
    const char *file;     /* the administrator's own; or NULL */
    const char *program;  /* prints its pass phrase; or NULL */
    EVP_PKEY *key;        /* read from file, by root before the fork */
    const char *thumbprint;
    acme_err_t *fault; /* it cannot be used; or NULL */
} acme_account_key_t;

#define ACME_MAX_CAS 4 /* that one certificate may come from */

/** A CA that a certificate may come from, with the settings that hold there:
 *  those that AcmeXxx [ca] sets. */
typedef struct acme_ca_t {
    const char *alias;      /* "letsencrypt", or NULL for a bare URL */
    const char *url;        /* of its directory, never NULL */
    const char *trust_file; /* PEM, readable by the worker; NULL: system */
    const char *profile;    /* or NULL */
    int profile_required;
    const char *preferred_chain;     /* an issuer's common name, or NULL */
    const acme_external_t *external; /* or NULL */
    const acme_account_key_t *account_key; /* or NULL: ecdsa-p256 */
} acme_ca_t;
typedef enum acme_key_reuse_t {
    ACME_KEY_REUSE_OFF,  /* a new key with each order */
    ACME_KEY_REUSE_ON,   /* that of the newest set */
    ACME_KEY_REUSE_NEXT, /* one that was made ahead */
} acme_key_reuse_t;

typedef enum acme_bad_names_t {
    ACME_BAD_NAMES_SKIP, /* go on without them, as long as it must be */
    ACME_BAD_NAMES_FAIL, /* all names or no certificate */
} acme_bad_names_t;

typedef enum acme_preflight_mode_t {
    ACME_PREFLIGHT_OFF,
    ACME_PREFLIGHT_ADVISE,
    ACME_PREFLIGHT_REQUIRE, /* the CA is not asked while something is wrong */
} acme_preflight_mode_t;

typedef enum acme_activate_t {
    ACME_ACTIVATE_LIVE,   /* with the next handshake */
    ACME_ACTIVATE_RELOAD, /* by a reload, which this server does by itself */
    ACME_ACTIVATE_MANUAL, /* by a reload, which is the administrator's */
} acme_activate_t;

/** Settings of a certificate. All strings live as long as the policy. */
typedef struct acme_policy_t {
    const acme_ca_t *cas;      /* in order of preference */
    int ca_count;              /* 1.. ACME_MAX_CAS */
    int agree_terms;           /* to whatever terms a CA has */
    apr_array_header_t *terms; /* const char *: URLs of terms that are agreed to
                                  by name; or NULL */
    apr_array_header_t *contacts; /* const char *, "mailto:..."; may be empty */
    const acme_proxy_t *proxy;    /* on the way to the CAs, or NULL */
    acme_key_type_t key_types[ACME_FAMILIES]; /* at most one of a family */
    int key_type_count;                       /* 1.. ACME_FAMILIES */
    acme_key_reuse_t key_reuse;
    acme_bad_names_t bad_names;
    acme_preflight_mode_t preflight;
    int must_staple;             /* ask for the TLS feature extension */
    apr_array_header_t *subject; /* acme_csr_attribute_t; may be empty */
    acme_span_t renew;           /* before expiry */
    int renew_set;               /* 0: the default of acme_renewal_time */
    int no_ari; /* renew is not only the latest time, but the time */
    acme_renew_mode_t renew_mode;
    const apr_array_header_t *challenges; /* acme_proof_type_t, the most
                                             preferred first; NULL or empty:
                                             the default */
    int http_01;     /* outside's port 80 reaches a plain listener */
    int tls_alpn_01; /* outside's port 443 reaches a TLS listener */
    int dns;         /* a program publishes TXT records */
    const apr_array_header_t *dns_command; /* const char *: that program and its
                                              arguments; NULL: none */
    apr_interval_time_t dns_wait; /* how long to look for a record before the CA
                                     is told; 0: not at all, nor anything else
                                     in DNS */
    const apr_array_header_t *dns_resolvers; /* acme_resolver_address: where to
                                     look; NULL or empty: at the zone's own
                                     servers */
    int port_80,
        port_443; /* local ones, that the world's arrive at; 0: those */
    const apr_array_header_t *hooks;     /* acme_hook_t *: AcmeOn; NULL: none */
    acme_activate_t activate;            /* how a new set comes into service */
    apr_interval_time_t activate_delay;  /* after its issue, not before */
    apr_interval_time_t reload_interval; /* between two reloads of our own */
    acme_span_t warn;                    /* before the end, that it comes */
    int warn_set; /* 0: the default of acme_warning_time */
    const char *obstacles[ACME_PROOF_TYPES]; /* words for why one that is not
                                                usable is not; or NULL */
} acme_policy_t;

/** One certificate to manage. */
typedef struct acme_managed_t {
    const char *name;           /* identity: its first identifier's text */
    const char *dir;            /* acme_ident_filename of it */
    apr_array_header_t *idents; /* acme_ident_t *; the first is the identity */
    const acme_policy_t *policy;
    const char *where;          /* "shop.conf:12", for messages */
    int in_use;                 /* a virtual host serves it */
    int staple;                 /* and one of them has SSLUseStapling */
    int refused[ACME_FAMILIES]; /* set that the last start has refused to put
                                   into service, and said why; 0: none */
    const apr_array_header_t *former; /* acme_ident_t *: names that the last
                                         configuration had and this one has not;
                                         or NULL */
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

/** What the policy asks the CA for beside the names and the key, as text to be
 *  compared: the same for policies that ask for the same. From pool. */
const char *acme_policy_request(const acme_policy_t *policy, apr_pool_t *pool);

/** The kinds of proof that are wanted, whether they can be used or not. */
void acme_policy_wanted(acme_proofs_t *proofs, const acme_policy_t *policy);
/** Why this kind cannot be used for ident, in words that live as long as the
 *  policy; NULL: it can. */
const char *acme_policy_obstacle(const acme_policy_t *policy,
                                 acme_proof_type_t type,
                                 const acme_ident_t *ident);
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
/** Whether the terms of service at this URL are agreed to. */
int acme_policy_agrees(const acme_policy_t *policy, const char *terms);

/** Name of the directory of what is kept of this CA, whatever the account: alias
 *  or host, and eight hexadecimal digits over the directory URL. */
const char *acme_policy_ca_dir(const acme_ca_t *ca, apr_pool_t *pool);

/** Name of the account directory at this CA: alias or host, and eight
 *  hexadecimal digits over the directory URL and what says which account there
 *  is meant: AcmeExternalAccount, and AcmeAccountKey with a file. Certificates
 *  with the same one share an account. */
const char *acme_policy_account(const acme_ca_t *ca, apr_pool_t *pool);
/** What the key of an account that is made for this CA is to be. */
acme_key_type_t acme_policy_account_key_type(const acme_ca_t *ca);
/** Of certificates that share an account at a CA, in what they differ that an
 *  account can have but one of: " its AcmeContact its AcmeProxy", or "".
 *  @param at  the CA as the policy beside it has it */
const char *acme_policy_account_differences(const acme_policy_t *policy,
                                            const acme_ca_t *at,
                                            const acme_policy_t *other,
                                            const acme_ca_t *other_at,
                                            apr_pool_t *pool);

#endif
