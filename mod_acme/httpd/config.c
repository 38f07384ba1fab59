#include "httpd/config.h"

#include <apr_strings.h>
#include <http_core.h>
#include <string.h>

#include "httpd/directives.h"
#include "httpd/setters.h"

extern module AP_MODULE_DECLARE_DATA acme_module;

#define UNSET (-1)

#define DEFAULT_CA          "letsencrypt"
#define DEFAULT_CONCURRENCY 128
#define DEFAULT_RETRY_FIRST apr_time_from_sec(60)
#define DEFAULT_DNS_WAIT    apr_time_from_sec(120)

/* --- creating and merging -------------------------------------------------- */

/* Module memory is new with each reading of the configuration; the cleanup is
 * for a build where the module is linked into httpd and stays. */
static acme_global_config_t *global;

acme_global_config_t *acme_config_global(void)
{
    return global;
}

static apr_status_t forget_global(void *data)
{
    (void)data;
    global = NULL;
    return APR_SUCCESS;
}

static void create_global(apr_pool_t *pool, server_rec *s)
{
    global = apr_pcalloc(pool, sizeof(*global));
    apr_pool_cleanup_register(pool, NULL, forget_global, apr_pool_cleanup_null);
    global->server = s;
    global->store = ACME_DEFAULT_STORE;
    global->declared = apr_array_make(pool, 4, sizeof(acme_declared_t *));
    global->declared_names = apr_hash_make(pool);
    global->concurrency = DEFAULT_CONCURRENCY;
    global->retry_first = DEFAULT_RETRY_FIRST;
    global->retry_max = ACME_RETRY_MAX_DEFAULT;
    global->port_80 = 80;
    global->port_443 = 443;
    global->status = 1;
    global->externals = apr_array_make(pool, 1, sizeof(acme_external_t *));
    global->account_keys =
        apr_array_make(pool, 1, sizeof(acme_account_key_t *));
    global->of_one_ca = apr_array_make(pool, 1, sizeof(acme_ca_settings_t *));
    global->named_cas = apr_hash_make(pool);
    apr_hash_set(global->named_cas, acme_policy_find_ca(DEFAULT_CA)->url,
                 APR_HASH_KEY_STRING, DEFAULT_CA);
}

static void init_settings(acme_settings_t *settings)
{
    memset(settings, 0, sizeof(*settings));
    settings->agree_terms = UNSET;
    settings->dns_wait = UNSET;
    settings->renew_set = UNSET;
    settings->renew_mode = UNSET;
}

void *acme_config_create(apr_pool_t *pool, server_rec *s)
{
    acme_server_config_t *config = apr_pcalloc(pool, sizeof(*config));

    if (!s->is_virtual) {
        create_global(pool, s);
    }
    init_settings(&config->settings);
    config->server = s;
    return config;
}

/* The list of over, that of base behind it. */
static acme_ca_settings_t *append(acme_ca_settings_t *over,
                                  acme_ca_settings_t *base, apr_pool_t *pool)
{
    acme_ca_settings_t *list = NULL;
    acme_ca_settings_t **end = &list;

    for (; over && base; over = over->next) {
        acme_ca_settings_t *copy = apr_pmemdup(pool, over, sizeof(*over));

        copy->next = base;
        *end = copy;
        end = &copy->next;
    }
    return list ? list : over ? over : base; /* shared where one is empty */
}

void acme_config_merge_settings(acme_settings_t *out,
                                const acme_settings_t *base,
                                const acme_settings_t *over, apr_pool_t *pool)
{
    acme_settings_t merged = *base;

    if (over->cas) {
        merged.cas = over->cas;
    }
    merged.of_cas = append(over->of_cas, base->of_cas, pool);
    if (over->agree_terms != UNSET) {
        merged.agree_terms = over->agree_terms;
        merged.terms = over->terms;
    }
    if (over->contacts) {
        merged.contacts = over->contacts;
    }
    if (over->challenges) {
        merged.challenges = over->challenges;
    }
    if (over->dns_command) {
        merged.dns_command = over->dns_command;
    }
    if (over->dns_wait != UNSET) {
        merged.dns_wait = over->dns_wait;
        merged.dns_resolvers = over->dns_resolvers;
    }
    if (over->key_type_count) {
        memcpy(merged.key_types, over->key_types, sizeof(merged.key_types));
        merged.key_type_count = over->key_type_count;
    }
    if (over->renew_set != UNSET) {
        merged.renew = over->renew;
        merged.renew_set = over->renew_set;
        merged.no_ari = over->no_ari;
    }
    if (over->renew_mode != UNSET) {
        merged.renew_mode = over->renew_mode;
    }
    *out = merged;
}

void *acme_config_merge(apr_pool_t *pool, void *base, void *over)
{
    const acme_server_config_t *outer = base;
    const acme_server_config_t *inner = over;
    acme_server_config_t *config = apr_pmemdup(pool, inner, sizeof(*inner));

    acme_config_merge_settings(&config->settings, &outer->settings,
                               &inner->settings, pool);
    if (inner->manage == ACME_MANAGE_UNSET) {
        config->manage = outer->manage;
        config->manage_name = outer->manage_name;
        config->manage_where = outer->manage_where;
    }
    /* httpd merges before it guesses: the last moment when one can see that
     * there is no ServerName. */
    config->nameless = !inner->server->server_hostname;
    return config;
}

acme_server_config_t *acme_config_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &acme_module);
}

int acme_config_has_own_ca(const acme_settings_t *settings)
{
    int i;

    for (i = 0; settings->cas && i < settings->cas->nelts; i++) {
        if (!APR_ARRAY_IDX(settings->cas, i, const acme_policy_ca_t *)->alias) {
            return 1;
        }
    }
    return 0;
}

/* What is set of it in the list; the first counts. */
static void fill_ca(acme_ca_t *ca, const acme_ca_settings_t *list)
{
    for (; list; list = list->next) {
        if (list->url && strcmp(list->url, ca->url)) {
            continue;
        }
        if (!ca->trust_file) {
            ca->trust_file = list->trust_file;
        }
        if (!ca->profile) {
            ca->profile = list->profile;
            ca->profile_required = list->profile_required;
        }
        if (!ca->external) {
            ca->external = list->external;
        }
        if (!ca->account_key) {
            ca->account_key = list->account_key;
        }
    }
}

static void fill_cas(acme_policy_t *policy, const acme_settings_t *settings,
                     apr_pool_t *pool)
{
    int count = settings->cas ? settings->cas->nelts : 1;
    acme_ca_t *cas = apr_pcalloc(pool, (apr_size_t)count * sizeof(*cas));
    int i;

    for (i = 0; i < count; i++) {
        const acme_policy_ca_t *named =
            settings->cas
                ? APR_ARRAY_IDX(settings->cas, i, const acme_policy_ca_t *)
                : acme_policy_find_ca(DEFAULT_CA);

        cas[i].alias = named->alias;
        cas[i].url = named->url;
        fill_ca(&cas[i], settings->of_cas);
    }
    policy->cas = cas;
    policy->ca_count = count;
}

acme_policy_t *acme_config_policy(const acme_settings_t *settings,
                                  apr_pool_t *pool)
{
    acme_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));

    fill_cas(policy, settings, pool);
    policy->agree_terms = settings->agree_terms == 1;
    policy->terms = settings->terms;
    policy->contacts = settings->contacts
                           ? settings->contacts
                           : apr_array_make(pool, 0, sizeof(const char *));
    policy->challenges = settings->challenges;
    if (settings->dns_command && settings->dns_command->nelts) {
        policy->dns_command = settings->dns_command;
    }
    policy->dns_wait =
        settings->dns_wait == UNSET ? DEFAULT_DNS_WAIT : settings->dns_wait;
    policy->dns_resolvers = settings->dns_resolvers;
    policy->dns = policy->dns_command != NULL;
    policy->key_types[0] = ACME_KEY_ECDSA_P256;
    policy->key_type_count = 1;
    if (settings->key_type_count) {
        memcpy(policy->key_types, settings->key_types,
               sizeof(policy->key_types));
        policy->key_type_count = settings->key_type_count;
    }
    policy->renew = settings->renew;
    policy->renew_set = settings->renew_set == 1;
    policy->no_ari = settings->no_ari;
    policy->renew_mode = settings->renew_mode == UNSET
                             ? ACME_RENEW_AUTO
                             : (acme_renew_mode_t)settings->renew_mode;
    return policy;
}

int acme_config_has_dns(const acme_settings_t *settings)
{
    int command = settings->dns_command && settings->dns_command->nelts;
    int i;

    if (!settings->challenges) {
        return command;
    }
    for (i = 0; i < settings->challenges->nelts; i++) {
        acme_proof_type_t type =
            APR_ARRAY_IDX(settings->challenges, i, acme_proof_type_t);

        if (type == ACME_PROOF_DNS_PERSIST_01
            || (command && acme_proof_is_dns(type))) {
            return 1;
        }
    }
    return 0;
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static int same_texts(const apr_array_header_t *a, const apr_array_header_t *b)
{
    int i;

    if (!a || !b) {
        return (a ? a->nelts : 0) == (b ? b->nelts : 0);
    }
    for (i = 0; i < a->nelts && i < b->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(a, i, const char *),
                   APR_ARRAY_IDX(b, i, const char *))) {
            return 0;
        }
    }
    return a->nelts == b->nelts;
}

static int same_keys(const acme_policy_t *a, const acme_policy_t *b)
{
    int i;

    for (i = 0; i < a->key_type_count && i < b->key_type_count; i++) {
        if (a->key_types[i] != b->key_types[i]) {
            return 0;
        }
    }
    return a->key_type_count == b->key_type_count;
}

static int same_external(const acme_external_t *a, const acme_external_t *b)
{
    return a == b
           || (a && b && same_text(a->file, b->file)
               && (a->file
                   || (same_text(a->kid, b->kid)
                       && same_text(a->hmac, b->hmac))));
}

static int same_account_key(const acme_account_key_t *a,
                            const acme_account_key_t *b)
{
    return a == b
           || (a && b && a->type == b->type && same_text(a->file, b->file)
               && same_text(a->program, b->program));
}

/* Directives in which their CAs differ. */
static const char *ca_differences(const acme_policy_t *a,
                                  const acme_policy_t *b, apr_pool_t *pool)
{
    int cas = a->ca_count != b->ca_count, trust = 0, profile = 0;
    int external = 0, key = 0;
    int i;

    for (i = 0; i < a->ca_count && i < b->ca_count; i++) {
        const acme_ca_t *one = &a->cas[i], *other = &b->cas[i];

        cas |= !same_text(one->url, other->url);
        trust |= !same_text(one->trust_file, other->trust_file);
        profile |= !same_text(one->profile, other->profile)
                   || one->profile_required != other->profile_required;
        external |= !same_external(one->external, other->external);
        key |= !same_account_key(one->account_key, other->account_key);
    }
    return apr_pstrcat(
        pool, cas ? " AcmeCA" : "", trust ? " AcmeCATrustFile" : "",
        profile ? " AcmeProfile" : "", external ? " AcmeExternalAccount" : "",
        key ? " AcmeAccountKey" : "", NULL);
}

const char *acme_config_differences(const acme_policy_t *a,
                                    const acme_policy_t *b, apr_pool_t *pool)
{
    const char *text = apr_pstrcat(
        pool, ca_differences(a, b, pool),
        a->agree_terms == b->agree_terms && same_texts(a->terms, b->terms)
            ? ""
            : " AcmeAgreeTerms",
        same_texts(a->contacts, b->contacts) ? "" : " AcmeContact",
        same_text(acme_policy_challenges(a, pool),
                  acme_policy_challenges(b, pool))
            ? ""
            : " AcmeChallenges",
        same_texts(a->dns_command, b->dns_command) ? "" : " AcmeDnsCommand",
        a->dns_wait == b->dns_wait
                && same_texts(a->dns_resolvers, b->dns_resolvers)
            ? ""
            : " AcmeDnsWait",
        same_keys(a, b) ? "" : " AcmeKeyType",
        a->renew_set == b->renew_set && a->renew.percent == b->renew.percent
                && a->renew.duration == b->renew.duration
                && a->no_ari == b->no_ari
            ? ""
            : " AcmeRenew",
        a->renew_mode == b->renew_mode ? "" : " AcmeRenewMode", NULL);

    return *text ? text + 1 : text;
}

const char *acme_where_text(const char *file, int line, apr_pool_t *pool)
{
    return file ? apr_pstrcat(pool, file, ":", apr_itoa(pool, line), NULL)
                : "the server configuration";
}

/* --- the table at work ------------------------------------------------------ */

/* What httpd prints below "Syntax error on line 12 of shop.conf:". */
static const char *refusal(cmd_parms *cmd, const char *name, const char *why)
{
    acme_err_t *err =
        acme_err_make(cmd->pool, ACME_E_DIRECTIVE, name, why, NULL);

    return apr_psprintf(cmd->pool, "ACME%04d: %s", (int)err->msg, err->text);
}

static const char *check_scope(cmd_parms *cmd, acme_scope_t scope)
{
    const char *httpd = ap_check_cmd_context(
        cmd, scope == ACME_SCOPE_SERVER ? GLOBAL_ONLY
                                        : NOT_IN_DIR_CONTEXT | NOT_IN_HTACCESS);
    const char *from;

    if (!httpd) {
        return NULL;
    }
    /* its name, which httpd begins with, stands before all that is said here */
    from = strstr(httpd, "cannot ");
    return apr_pstrcat(cmd->pool, from ? from : httpd, "; it belongs ",
                       scope == ACME_SCOPE_SERVER ? "outside of all sections"
                       : scope == ACME_SCOPE_HOST
                           ? "outside of all sections or in <VirtualHost>"
                           : "outside of all sections, in <VirtualHost> or in "
                             "<AcmeCertificate>",
                       NULL);
}

/* The same directive earlier: what counts only once must not be said twice. */
static const char *check_once(cmd_parms *cmd)
{
    const ap_directive_t *earlier = ap_conftree;

    while (earlier && earlier != cmd->directive) {
        if (!strcasecmp(earlier->directive, cmd->directive->directive)) {
            return apr_psprintf(cmd->pool,
                                "\"%s\" comes too late, it is already set to "
                                "\"%s\" at %s; it is allowed only once",
                                cmd->directive->args, earlier->args,
                                acme_where_text(earlier->filename,
                                                earlier->line_num, cmd->pool));
        }
        earlier = earlier->next;
    }
    return NULL;
}

static const char *check_count(cmd_parms *cmd,
                               const acme_directive_t *directive, int argc)
{
    if (argc >= directive->least && argc <= directive->most) {
        return NULL;
    }
    if (directive->least == directive->most) {
        return apr_psprintf(cmd->pool, "%d arguments given, %d is needed (%s)",
                            argc, directive->least, directive->arguments);
    }
    return apr_psprintf(
        cmd->pool, "%d arguments given, %d to %d are allowed (%s)", argc,
        directive->least, directive->most, directive->arguments);
}

/* The section keeps its certificate in its node of httpd's tree. */
static acme_declared_t *enclosing_section(const cmd_parms *cmd)
{
    const ap_directive_t *node = cmd->directive->parent;

    while (node && strcasecmp(node->directive, ACME_SECTION_NAME)) {
        node = node->parent;
    }
    return node ? node->data : NULL;
}

static const char *set_directive(cmd_parms *cmd, void *dummy, int argc,
                                 char *const argv[])
{
    const acme_directive_t *directive = acme_setters_find(cmd->cmd->name);
    acme_declared_t *declared = enclosing_section(cmd);
    acme_target_t to = { cmd, NULL, acme_config_of(cmd->server) };
    const char *fault;

    (void)dummy;
    to.settings = declared ? &declared->settings : &to.host->settings;
    fault = check_scope(cmd, directive->scope);
    if (!fault) {
        fault = check_count(cmd, directive, argc);
    }
    if (!fault && directive->scope == ACME_SCOPE_SERVER) {
        fault = check_once(cmd);
    }
    if (!fault) {
        fault = directive->setter(&to, argc, argv);
    }
    return fault ? refusal(cmd, directive->name, fault) : NULL;
}

/* --- <AcmeCertificate name ...> ---------------------------------------------- */

static const char *add_name(acme_declared_t *declared, const char *name,
                            cmd_parms *cmd)
{
    acme_ident_t *ident;
    acme_declared_t *other;
    acme_err_t *err = acme_ident_parse(&ident, name, cmd->pool);

    if (err) {
        return err->text;
    }
    other =
        apr_hash_get(global->declared_names, ident->value, APR_HASH_KEY_STRING);
    if (other == declared) {
        return apr_psprintf(cmd->pool, "the name \"%s\" is there twice", name);
    }
    if (other) {
        return apr_psprintf(
            cmd->pool,
            "the name \"%s\" is already in the certificate "
            "declared at %s",
            name,
            acme_where_text(other->where.file, other->where.line, cmd->pool));
    }
    if (declared->idents->nelts == ACME_MAX_IDENTS) {
        return apr_psprintf(cmd->pool,
                            "\"%s\" is one name too many, %d are allowed", name,
                            ACME_MAX_IDENTS);
    }
    APR_ARRAY_PUSH(declared->idents, acme_ident_t *) = ident;
    apr_hash_set(global->declared_names, ident->value, APR_HASH_KEY_STRING,
                 declared);
    return NULL;
}

static const char *add_names(acme_declared_t *declared, const char *arg,
                             cmd_parms *cmd)
{
    const char *end = strrchr(arg, '>');
    const char *fault = NULL;
    const char *names;

    if (!end || end[1]) {
        return "the '>' at its end is missing";
    }
    names = apr_pstrmemdup(cmd->pool, arg, (apr_size_t)(end - arg));
    while (*names && !fault) {
        const char *name = ap_getword_conf(cmd->pool, &names);

        if (*name) {
            fault = add_name(declared, name, cmd);
        }
    }
    if (!fault && !declared->idents->nelts) {
        fault = "it declares a certificate by its names, but there are none";
    }
    return fault;
}

/* Any module's directive would be taken inside the section, and would act on
 * the main server, which nobody means. */
static const char *check_children(cmd_parms *cmd, ap_directive_t *section)
{
    ap_directive_t *child;

    for (child = section->first_child; child; child = child->next) {
        const acme_directive_t *directive = acme_setters_find(child->directive);

        if (directive && directive->scope == ACME_SCOPE_CERTIFICATE) {
            continue;
        }
        cmd->err_directive = child;
        return apr_psprintf(
            cmd->pool, "\"%s\" does not belong in it; only %s",
            child->directive,
            "AcmeCA, AcmeCATrustFile, AcmeAgreeTerms, AcmeContact, "
            "AcmeExternalAccount, AcmeAccountKey, AcmeChallenges, AcmeDnsCommand, AcmeDnsWait, AcmeProfile, "
            "AcmeKeyType, AcmeRenew and AcmeRenewMode do");
    }
    return NULL;
}

static const char *set_section(cmd_parms *cmd, void *dummy, const char *arg)
{
    ap_directive_t *section = cmd->directive;
    acme_declared_t *declared = apr_pcalloc(cmd->pool, sizeof(*declared));
    const char *fault = check_scope(cmd, ACME_SCOPE_SERVER);

    (void)dummy;
    init_settings(&declared->settings);
    declared->idents = apr_array_make(cmd->pool, 4, sizeof(acme_ident_t *));
    declared->where.file = section->filename;
    declared->where.line = section->line_num;
    if (!fault) {
        fault = add_names(declared, arg, cmd);
    }
    if (!fault) {
        fault = check_children(cmd, section);
    }
    if (fault) {
        return refusal(cmd, "<AcmeCertificate>", fault);
    }
    section->data = declared;
    APR_ARRAY_PUSH(global->declared, acme_declared_t *) = declared;
    return ap_walk_config(section->first_child, cmd, cmd->context);
}

/* ACCESS_CONF only so that our own sentence says where they belong. */
const command_rec acme_config_directives[] = {
    AP_INIT_RAW_ARGS(ACME_SECTION_NAME, set_section, NULL,
                     RSRC_CONF | ACCESS_CONF, ACME_SECTION_ARGS),
#define ROW(name, least, most, arguments, fallback, scope, setter, meaning)    \
    AP_INIT_TAKE_ARGV(name, set_directive, NULL, RSRC_CONF | ACCESS_CONF,      \
                      arguments),
    ACME_DIRECTIVES(ROW)
#undef ROW
        { NULL },
};
