/**
 * The plan, shared by the files that make it: managed.c (which host uses which
 * certificate) and settle.c (which names, and what there is to say).
 */
#ifndef ACME_PLAN_H
#define ACME_PLAN_H

#include <apr_hash.h>

#include "httpd/hostnames.h"
#include "httpd/log.h"
#include "httpd/managed.h"

/* A certificate that might come to be. */
typedef struct acme_candidate_t {
    acme_managed_t managed;
    acme_policy_t *policy;           /* managed.policy, still changing */
    const acme_declared_t *declared; /* NULL: made from hosts */
    const char *unusable;            /* why it cannot be obtained, or NULL */
    apr_array_header_t *allowed;     /* acme_ident_t *, of all its hosts */
    apr_hash_t *allowed_set;         /* of allowed; NULL while they are few */
    apr_array_header_t *hosts;       /* server_rec *, that want it */
    const acme_settings_t *settings; /* of a declared one, merged */
    server_rec *giver;               /* host whose settings it has */
    int wanted;                      /* by a host, with TLS or not */
    int has_tls;                     /* by one with TLS, even if left alone */
} acme_candidate_t;

/* A host that AcmeManage wants. */
typedef struct acme_host_t {
    server_rec *server;
    acme_candidate_t *candidate; /* NULL: cannot be managed, for this reason: */
    acme_err_t *fault;
    acme_hostnames_t names;
    int has_tls;  /* mod_ssl has asked for it */
    int accepted; /* and has been given candidate's files */
} acme_host_t;

/* Who has a name. */
typedef struct acme_claim_t {
    acme_candidate_t *candidate;
    const server_rec *server; /* NULL: by declaration */
} acme_claim_t;

struct acme_plan_t {
    server_rec *base;
    int quiet;
    apr_pool_t *pconf, *ptemp;
    apr_array_header_t
        *candidates;           /* acme_candidate_t *, in order of appearance */
    apr_hash_t *by_name;       /* identity -> acme_candidate_t */
    apr_hash_t *declared;      /* acme_declared_t * -> acme_candidate_t */
    apr_hash_t *claims;        /* name -> acme_claim_t */
    apr_array_header_t *hosts; /* acme_host_t *, as httpd lists them: the main
                                       server, then the last in the file first */
    apr_hash_t *by_server;     /* server_rec * -> acme_host_t */
    apr_hash_t *md_names;      /* acme_other_md_names */
    int has_tls;               /* mod_ssl has asked for some host */
    unsigned char tls_ports[65536 / 8];
};

/** Say a message of the table, unless quiet; arguments without the last NULL. */
#define ACME_SAY(plan, ...)                                                    \
    do {                                                                       \
        if (!(plan)->quiet) {                                                  \
            acme_log_msg((plan)->base, (plan)->ptemp, __VA_ARGS__, NULL);      \
        }                                                                      \
    } while (0)

/** The same for an error that has been made. */
void acme_plan_say(acme_plan_t *plan, const acme_err_t *err);
acme_claim_t *acme_plan_find_claim(const acme_plan_t *plan, const char *name);
/** The name is candidate's from now on. */
void acme_plan_claim(acme_plan_t *plan, acme_candidate_t *candidate,
                     acme_ident_t *ident, const server_rec *server);
/** Who has the name itself or a wildcard for it; or NULL. */
acme_candidate_t *acme_plan_find_covering(const acme_plan_t *plan,
                                          const char *name);
/** Whether it is kept up without a host. */
int acme_plan_is_always(const acme_candidate_t *candidate);

#endif
