/**
 * What each directive does with its arguments. The table of directives.h, bound
 * to its setters.
 */
#ifndef ACME_SETTERS_H
#define ACME_SETTERS_H

#include "httpd/config.h"

#define ACME_RETRY_MAX_DEFAULT apr_time_from_sec(24 * 3600)

/** Where a directive may stand; see directives.h. */
typedef enum acme_scope_t {
    ACME_SCOPE_SERVER,
    ACME_SCOPE_HOST,
    ACME_SCOPE_CERTIFICATE,
} acme_scope_t;

/** What a directive acts on. */
typedef struct acme_target_t {
    cmd_parms *cmd;
    acme_settings_t *settings; /* of the host, or of the <AcmeCertificate> */
    acme_server_config_t *host;
} acme_target_t;

typedef struct acme_directive_t {
    const char *name;
    int least, most;       /* number of arguments; never called with others */
    const char *arguments; /* for people */
    acme_scope_t scope;
    /** @return NULL, or a sentence that names the value and what is allowed */
    const char *(*setter)(acme_target_t *to, int argc, char *const argv[]);
} acme_directive_t;

/* --- for setters in several files ------------------------------------------ */

/** An error as a sentence, its remedy behind it. */
const char *acme_setters_sentence(const acme_err_t *err, apr_pool_t *pool);
/** A program and its arguments, by its path from ServerRoot. httpd -t finds it; a
 *  server that starts, or reloads, does so without. What cannot be printed is
 *  refused: logs and the journal have to hold it.
 *  @param command  const char *; to be added to
 *  @return NULL, or a sentence */
const char *acme_setters_program(apr_array_header_t *command, int argc,
                                 char *const argv[]);
/** on or off. @return NULL, or a sentence */
const char *acme_setters_flag(int *flag, const char *text, apr_pool_t *pool);
/** For a directive with an optional leading [ca], an alias or URL as in AcmeCA:
 *  what is to be set, of that CA or, without one, of all. Where two arguments or
 *  more are there and the first is a CA, argc and argv move past it. */
acme_ca_settings_t *acme_setters_of_ca(acme_target_t *to, int *argc,
                                       char *const **argv);
/** "\"x\" is neither the https URL of an ACME directory nor one of ..." */
const char *acme_setters_no_ca(const char *text, apr_pool_t *pool);

/* --- the setters of setters_ca.c ------------------------------------------- */

typedef const char *acme_setter_fn_t(acme_target_t *to, int argc,
                                     char *const argv[]);
acme_setter_fn_t acme_setters_ca;
acme_setter_fn_t acme_setters_trust_file;
acme_setter_fn_t acme_setters_agree_terms;
acme_setter_fn_t acme_setters_contact;
acme_setter_fn_t acme_setters_profile;
acme_setter_fn_t acme_setters_proxy;
acme_setter_fn_t acme_setters_external;
acme_setter_fn_t acme_setters_account_key;

/* --- the setters of setters_dns.c ------------------------------------------ */

acme_setter_fn_t acme_setters_dns_command;
acme_setter_fn_t acme_setters_dns_wait;

/* --- the setters of setters_request.c --------------------------------------- */

acme_setter_fn_t acme_set_bad_names;
acme_setter_fn_t acme_set_preflight;
acme_setter_fn_t acme_set_key_reuse;
acme_setter_fn_t acme_set_must_staple;
acme_setter_fn_t acme_set_preferred_chain;
acme_setter_fn_t acme_set_subject;

/* --- the setters of setters_events.c ----------------------------------------- */

acme_setter_fn_t acme_setters_on;
acme_setter_fn_t acme_setters_warn;

/* --- the setters of setters_activate.c --------------------------------------- */

acme_setter_fn_t acme_setters_activate;
acme_setter_fn_t acme_setters_activate_delay;

/* --- the setter of setters_https.c ------------------------------------------- */

acme_setter_fn_t acme_setters_require_https;

/** By name, case ignored; NULL if we have no such directive. */
const acme_directive_t *acme_setters_find(const char *name);

#endif
