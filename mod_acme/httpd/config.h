/**
 * Directives: reading, merging, checking. What they mean is in directives.h
 * (the table), what becomes of them in managed.h.
 */
#ifndef ACME_CONFIG_H
#define ACME_CONFIG_H

#include <httpd.h>
#include <http_config.h>
#include <apr_hash.h>

#include "core/encode.h"
#include "engine/policy.h"
#include "httpd/require_https.h"

struct acme_live_t;

/** Where a directive stands; file is NULL for the main server's own. */
typedef struct acme_where_t {
    const char *file;
    int line;
} acme_where_t;

typedef enum acme_manage_t {
    ACME_MANAGE_UNSET,
    ACME_MANAGE_OFF,
    ACME_MANAGE_ON,
    ACME_MANAGE_NAMED, /* uses the <AcmeCertificate> called manage_name */
} acme_manage_t;

/** What directives with an optional leading [ca] set, for one CA or for all; a
 *  member is unset where it is NULL or -1. In a list, what comes first counts
 *  first: the innermost section, in it what is said of one CA. */
typedef struct acme_ca_settings_t acme_ca_settings_t;
struct acme_ca_settings_t {
    acme_ca_settings_t *next;
    const char *url; /* of the CA's directory; NULL: whichever CA */
    const char *trust_file;
    const char *profile;
    int profile_required;        /* counts with profile */
    const char *preferred_chain; /* "" after "none" */
    const acme_external_t *external;
    const acme_account_key_t *account_key;
    const char *directive; /* the first for this one CA, for messages */
    acme_where_t where;
};

/** Settings that a server, a virtual host and <AcmeCertificate> can hold; each
 *  member has an "unset" value (NULL, -1 or a zero count) for merging. */
typedef struct acme_settings_t {
    apr_array_header_t *cas; /* const acme_policy_ca_t *, from AcmeCA */
    acme_ca_settings_t *of_cas;
    int agree_terms;              /* also 0 where terms are named */
    apr_array_header_t *terms;    /* const char *: URLs, from AcmeAgreeTerms; it
                                  counts with agree_terms */
    apr_array_header_t *contacts; /* "mailto:..."; empty after "none" */
    const acme_proxy_t *proxy;    /* NULL: unset; without a URL after "none" */
    apr_array_header_t *challenges;    /* acme_proof_type_t; NULL: unset */
    apr_array_header_t *dns_command;   /* const char *: program and arguments;
                                        empty after "none" */
    apr_interval_time_t dns_wait;      /* -1: unset */
    apr_array_header_t *dns_resolvers; /* const char *: acme_resolver_address */
    acme_key_type_t key_types[ACME_FAMILIES];
    int key_type_count;          /* 0: unset */
    int must_staple;             /* -1: unset */
    apr_array_header_t *subject; /* acme_csr_attribute_t; empty after "none" */
    int key_reuse;               /* acme_key_reuse_t, or -1 */
    int bad_names;               /* acme_bad_names_t, or -1 */
    int preflight;               /* acme_preflight_mode_t, or -1 */
    acme_span_t renew;
    int renew_set;             /* -1: unset */
    int no_ari;                /* set together with renew */
    int renew_mode;            /* acme_renew_mode_t, or -1 */
    apr_array_header_t *hooks; /* acme_hook_t *: AcmeOn; NULL: unset */
    int hooks_alone;           /* "none" came first: not those of outside */
    int activate;              /* acme_activate_t, or -1 */
    apr_interval_time_t reload_interval; /* set together with activate */
    apr_interval_time_t activate_delay;  /* -1: unset */
    acme_span_t warn;
    int warn_set; /* -1: unset */
} acme_settings_t;

/** <AcmeCertificate name ...> */
typedef struct acme_declared_t {
    apr_array_header_t *idents; /* acme_ident_t *; the first names it */
    acme_settings_t settings;
    acme_where_t where;
} acme_declared_t;

/** Per server and virtual host. Every host has one of its own, also one without
 *  any of our directives: the module record says AP_MODULE_FLAG_ALWAYS_MERGE. */
typedef struct acme_server_config_t {
    acme_settings_t settings;
    acme_manage_t manage;
    const char *manage_name;
    acme_where_t manage_where; /* of AcmeManage as written for this very host */
    int manage_here;           /* AcmeManage stands in this host itself */
    acme_require_t require;    /* AcmeRequireHttps */
    int require_age;           /* seconds of HSTS; with require */
    int require_here;          /* it stands in this host itself */
    acme_where_t require_where;
    server_rec *server; /* whose configuration this is */
    int nameless;       /* a virtual host without ServerName: httpd puts
                                   a guess there, which nobody asked for */

    /* set in check_config */
    const char *conf_command; /* where SSLOpenSSLConfCmd gives it a certificate,
                                 "shop.conf:12"; or NULL */

    /* set in post_config */
    acme_managed_t *managed;  /* candidate, then certificate; NULL: not ours */
    struct acme_live_t *live; /* what it serves; NULL: not ours */
    struct ssl_ctx_st *tls;   /* mod_ssl's, where live is set */
} acme_server_config_t;

/** What only the main server can say; one of it, in the main server's pool. */
typedef struct acme_global_config_t {
    const char *store;            /* absolute */
    apr_array_header_t *declared; /* acme_declared_t * */
    apr_hash_t *declared_names;   /* any name -> its acme_declared_t */
    server_rec *server;           /* the main server */
    int concurrency;
    apr_interval_time_t retry_first, retry_max;
    int port_80, port_443; /* local ports; 0: unreachable ("-") */
    int status;            /* section on mod_status's page */
    /* Files that directives name, once each. */
    apr_hash_t *externals; /* path -> acme_external_t, to be read */
    apr_hash_t
        *account_keys;  /* path, or path and program -> acme_account_key_t,
                                 to be read */
    apr_hash_t *trusts; /* path -> acme_trust_t of trust.h */
    apr_array_header_t
        *of_one_ca;        /* acme_ca_settings_t * with url: all there are */
    apr_hash_t *named_cas; /* URLs that AcmeCA has named somewhere */
    /* digest of the arguments that no line of httpd's tree has any more: secrets */
    unsigned char hidden[ACME_SHA256];

    /* set in post_config */
    apr_array_header_t *managed; /* acme_managed_t *, by name; or NULL */
} acme_global_config_t;

/** Settings of a host or certificate as a policy: defaults filled in, http_01
 *  and tls_alpn_01 still 0. Borrows the strings. */
acme_policy_t *acme_config_policy(const acme_settings_t *settings,
                                  apr_pool_t *pool);
/** Why no name can be proved by a DNS record, as wildcards must be, to come after
 *  "a DNS challenge is needed, and "; NULL: it can. Static text. */
const char *acme_config_why_no_dns(const acme_settings_t *settings);
/** Directives in which two policies differ: "AcmeCA AcmeKeyType", or "". */
const char *acme_config_differences(const acme_policy_t *a,
                                    const acme_policy_t *b, apr_pool_t *pool);
/** All unset. */
void acme_config_init_settings(acme_settings_t *settings);
/** over wins where it is set. */
void acme_config_merge_settings(acme_settings_t *out,
                                const acme_settings_t *base,
                                const acme_settings_t *over, apr_pool_t *pool);
/** Whether one of its CAs is not a public one: it may certify what it likes. */
int acme_config_has_own_ca(const acme_settings_t *settings);

acme_server_config_t *acme_config_of(const server_rec *s);
/** The one of this configuration; set by create_server_config of the main
 *  server, valid until pconf is cleared. */
acme_global_config_t *acme_config_global(void);

/* for the module record */
void *acme_config_create(apr_pool_t *pool, server_rec *s);
void *acme_config_merge(apr_pool_t *pool, void *base, void *over);
extern const command_rec acme_config_directives[];

/** "shop.conf:12"; "the server configuration" where there is no file. */
const char *acme_where_text(const char *file, int line, apr_pool_t *pool);

/** check_config hook. Refuses AcmeManage with the name of a certificate that is
 *  not declared; all else is messages. Looks for certificates that mod_ssl tells
 *  nobody of (conf_command). Under httpd -t it goes through the whole
 *  planning of managed.h with what ap_conftree tells of SSLEngine and
 *  SSLCertificateFile, so that the warnings of a start are seen beforehand. */
int acme_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                      server_rec *s);

#endif
