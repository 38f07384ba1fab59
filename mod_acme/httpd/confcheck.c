/** acme_config_check: what can be told before the server starts. */
#include <apr_hash.h>
#include <apr_strings.h>
#include <http_core.h>
#include <stdlib.h>
#include <string.h>
#include <util_cfgtree.h>

#include "httpd/config.h"
#include "httpd/hostnames.h"
#include "httpd/log.h"
#include "httpd/look.h"
#include "httpd/managed.h"
#include "httpd/secrets.h"

/* What mod_ssl's directives say about one host. mod_ssl tells nobody, and asks
 * its hooks only when the server really starts. */
typedef struct tls_facts_t {
    int engine;               /* -1: nothing said here */
    int cert_files;           /* SSLCertificateFile */
    const char *conf_command; /* where SSLOpenSSLConfCmd gives a certificate */
} tls_facts_t;

/* A host's place in the configuration. Both httpd's tree and server_rec point
 * to the same text. */
typedef struct place_t {
    const char *file;
    apr_uintptr_t line;
} place_t;

typedef struct check_t {
    server_rec *base;
    apr_pool_t *pconf, *ptemp;
    apr_hash_t *hosts; /* place_t -> tls_facts_t */
    tls_facts_t main;
} check_t;

/* SSLOpenSSLConfCmd: a command of OpenSSL, as SSL_CONF_cmd knows them in files,
 * and its value. */
static int gives_certificate(const char *args, apr_pool_t *pool)
{
    const char *command = ap_getword_conf(pool, &args);

    return !strcasecmp(command, "Certificate")
           || !strcasecmp(command, "PrivateKey");
}

static void read_directive(tls_facts_t *facts, const ap_directive_t *node,
                           apr_pool_t *pool)
{
    const char *args = node->args ? node->args : "";

    if (!strcasecmp(node->directive, "SSLEngine")) {
        facts->engine = strcasecmp(args, "off") != 0;
    }
    else if (!strcasecmp(node->directive, "SSLCertificateFile")) {
        facts->cert_files++;
    }
    else if (!strcasecmp(node->directive, "SSLOpenSSLConfCmd")
             && gives_certificate(args, pool)) {
        facts->conf_command =
            acme_where_text(node->filename, node->line_num, pool);
    }
}

static void read_host(check_t *check, const ap_directive_t *section)
{
    tls_facts_t *facts = apr_pcalloc(check->ptemp, sizeof(*facts));
    place_t *place = apr_pcalloc(check->ptemp, sizeof(*place));
    const ap_directive_t *node;

    place->file = section->filename;
    place->line = (apr_uintptr_t)section->line_num;
    facts->engine = -1;
    for (node = section->first_child; node; node = node->next) {
        read_directive(facts, node, check->ptemp);
    }
    apr_hash_set(check->hosts, place, sizeof(*place), facts);
}

static void read_tree(check_t *check)
{
    const ap_directive_t *node;

    check->hosts = apr_hash_make(check->ptemp);
    check->main.engine = 0;
    for (node = ap_conftree; node; node = node->next) {
        if (!strcasecmp(node->directive, "<VirtualHost")) {
            read_host(check, node);
        }
        else {
            read_directive(&check->main, node, check->ptemp);
        }
    }
}

/* As mod_ssl merges: a host inherits SSLEngine, and adds to the files. */
static tls_facts_t facts_of(const check_t *check, const server_rec *s)
{
    const place_t place = { s->defn_name, s->defn_line_number };
    tls_facts_t facts = check->main;
    const tls_facts_t *own;

    own = s->is_virtual ? apr_hash_get(check->hosts, &place, sizeof(place))
                        : NULL;
    if (own) {
        facts.engine = own->engine < 0 ? facts.engine : own->engine;
        facts.cert_files += own->cert_files;
        facts.conf_command =
            own->conf_command ? own->conf_command : facts.conf_command;
    }
    return facts;
}

static int wants_management(const server_rec *s)
{
    acme_manage_t manage = acme_config_of(s)->manage;

    return manage == ACME_MANAGE_ON || manage == ACME_MANAGE_NAMED;
}

/* The identity of the certificate that has the name meant, as a hint. */
static const char *hint(const acme_declared_t *declared, apr_pool_t *pool)
{
    const acme_ident_t *first =
        declared ? APR_ARRAY_IDX(declared->idents, 0, acme_ident_t *) : NULL;

    return first ? apr_pstrcat(pool, "; the one that has this name is called ",
                               first->value, NULL)
                 : "";
}

/* AcmeManage with the name of a certificate, which may be declared further
 * down: so not before everything has been read.
 * @return number of those that are wrong */
static int check_manage_names(const check_t *check)
{
    const acme_global_config_t *global = acme_config_global();
    int wrong = 0;
    server_rec *s;

    for (s = check->base; s; s = s->next) {
        const acme_server_config_t *config = acme_config_of(s);
        const acme_declared_t *declared;

        if (config->manage != ACME_MANAGE_NAMED || !config->manage_here) {
            continue;
        }
        declared = apr_hash_get(global->declared_names, config->manage_name,
                                APR_HASH_KEY_STRING);
        if (declared
            && !strcmp(
                APR_ARRAY_IDX(declared->idents, 0, acme_ident_t *)->value,
                config->manage_name)) {
            continue;
        }
        acme_log_msg(check->base, check->ptemp, ACME_E_MANAGE_UNDECLARED,
                     acme_where_text(config->manage_where.file,
                                     config->manage_where.line, check->ptemp),
                     config->manage_name, hint(declared, check->ptemp), NULL);
        wrong++;
    }
    return wrong;
}

/* For acme_managed_tls. mod_ssl applies SSLOpenSSLConfCmd after the files, which
 * is too late to take ours away again. */
static void note_conf_commands(const check_t *check)
{
    server_rec *s;

    for (s = check->base; s; s = s->next) {
        const char *where =
            wants_management(s) ? facts_of(check, s).conf_command : NULL;

        acme_config_of(s)->conf_command =
            where ? apr_pstrdup(check->pconf, where) : NULL;
    }
}

/* What is set for one CA, under a name that is none of AcmeCA's. */
static void check_cas(const check_t *check)
{
    const acme_global_config_t *global = acme_config_global();
    int i;

    for (i = 0; i < global->of_one_ca->nelts; i++) {
        const acme_ca_settings_t *settings =
            APR_ARRAY_IDX(global->of_one_ca, i, acme_ca_settings_t *);

        if (!apr_hash_get(global->named_cas, settings->url,
                          APR_HASH_KEY_STRING)) {
            acme_log_msg(check->base, check->ptemp, ACME_W_CA_UNNAMED,
                         settings->directive,
                         acme_where_text(settings->where.file,
                                         settings->where.line, check->ptemp),
                         settings->url, NULL);
        }
    }
}

/* Who was the first to want an account, as the engine will find. */
typedef struct account_t {
    const acme_managed_t *first;
    const acme_ca_t *ca;
    int told; /* that another one differs, which is said once */
} account_t;

static void join_account(const check_t *check, apr_hash_t *accounts,
                         const acme_managed_t *managed, const acme_ca_t *ca)
{
    const char *dir = acme_policy_account(ca, check->ptemp), *differs;
    account_t *account = apr_hash_get(accounts, dir, APR_HASH_KEY_STRING);

    if (!account) {
        account = apr_pcalloc(check->ptemp, sizeof(*account));
        account->first = managed;
        account->ca = ca;
        apr_hash_set(accounts, dir, APR_HASH_KEY_STRING, account);
        return;
    }
    differs = acme_policy_account_differences(
        managed->policy, ca, account->first->policy, account->ca, check->ptemp);
    if (*differs && !account->told) {
        account->told = 1;
        acme_log_msg(check->base, check->ptemp, ACME_W_ACCOUNT_SHARED,
                     managed->name, managed->where, account->first->name,
                     account->first->where, ca->alias ? ca->alias : ca->url,
                     differs, NULL);
    }
}

/* The engine asks everybody's first CA before it turns to others. */
static void check_accounts(const check_t *check,
                           const apr_array_header_t *managed)
{
    apr_hash_t *accounts = apr_hash_make(check->ptemp);
    int ca, i;

    for (ca = 0; ca < ACME_MAX_CAS; ca++) {
        for (i = 0; i < managed->nelts; i++) {
            const acme_managed_t *one =
                APR_ARRAY_IDX(managed, i, acme_managed_t *);

            if (ca < one->policy->ca_count) {
                join_account(check, accounts, one, &one->policy->cas[ca]);
            }
        }
    }
}

/* httpd -t ends before post_config: play it through with what is known. */
static void rehearse(const check_t *check)
{
    acme_plan_t *plan =
        acme_managed_plan(check->base, 0, check->ptemp, check->ptemp);
    server_rec *s;

    for (s = check->base; s; s = s->next) {
        tls_facts_t facts = facts_of(check, s);

        if (facts.engine) {
            acme_managed_tls(plan, s, facts.cert_files);
        }
    }
    check_accounts(check, acme_managed_finish(plan));
    acme_config_global()->managed = NULL;
}

int acme_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                      server_rec *s)
{
    int testing = ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
    int first_pass =
        ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
    check_t *check = apr_pcalloc(ptemp, sizeof(*check));

    (void)plog;
    check->base = s;
    check->pconf = pconf;
    check->ptemp = ptemp;
    if (check_manage_names(check)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    read_tree(check);
    note_conf_commands(check);
    if (first_pass && !testing) {
        return OK; /* all is said in the second */
    }
    check_cas(check);
    if (testing) {
        acme_secrets_read(check->base, 0, ptemp, ptemp);
        rehearse(check);
        return acme_look_compare(s, ptemp) ? HTTP_INTERNAL_SERVER_ERROR : OK;
    }
    return OK;
}
