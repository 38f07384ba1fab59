#include "httpd/managed.h"

#include <apr_strings.h>
#include <string.h>
#include <util_cfgtree.h>

#include "httpd/other_md.h"
#include "httpd/plan.h"

#define FEW 8 /* names for which a search is cheaper than a hash */

/* --- claims ---------------------------------------------------------------- */

void acme_plan_say(acme_plan_t *plan, const acme_err_t *err)
{
    if (!plan->quiet) {
        acme_log_err(plan->base, "", err, plan->ptemp);
    }
}

acme_claim_t *acme_plan_find_claim(const acme_plan_t *plan, const char *name)
{
    return apr_hash_get(plan->claims, name, APR_HASH_KEY_STRING);
}

/* The name is candidate's from now on. */
void acme_plan_claim(acme_plan_t *plan, acme_candidate_t *candidate,
                     acme_ident_t *ident, const server_rec *server)
{
    acme_claim_t *made = apr_palloc(plan->ptemp, sizeof(*made));

    made->candidate = candidate;
    made->server = server;
    apr_hash_set(plan->claims, ident->value, APR_HASH_KEY_STRING, made);
    APR_ARRAY_PUSH(candidate->managed.idents, acme_ident_t *) = ident;
}

acme_candidate_t *acme_plan_find_covering(const acme_plan_t *plan,
                                          const char *name)
{
    const char *dot = strchr(name, '.');
    const acme_claim_t *found = acme_plan_find_claim(plan, name);

    if (!found && dot) {
        found = acme_plan_find_claim(plan,
                                     apr_pstrcat(plan->ptemp, "*", dot, NULL));
    }
    return found ? found->candidate : NULL;
}

/* --- plan -------------------------------------------------------------------- */

static acme_candidate_t *make_candidate(acme_plan_t *plan, acme_ident_t *ident,
                                        const acme_settings_t *settings,
                                        const char *where)
{
    acme_candidate_t *candidate = apr_pcalloc(plan->pconf, sizeof(*candidate));
    acme_managed_t *managed = &candidate->managed;

    managed->name = ident->value;
    managed->dir = acme_ident_filename(ident, plan->pconf);
    managed->idents = apr_array_make(plan->pconf, 2, sizeof(acme_ident_t *));
    managed->where = where;
    candidate->policy = acme_config_policy(settings, plan->pconf);
    managed->policy = candidate->policy;
    candidate->hosts = apr_array_make(plan->ptemp, 1, sizeof(server_rec *));
    candidate->allowed = apr_array_make(plan->ptemp, 2, sizeof(acme_ident_t *));
    APR_ARRAY_PUSH(plan->candidates, acme_candidate_t *) = candidate;
    return candidate;
}

static int is_allowed(const acme_candidate_t *candidate,
                      const acme_ident_t *ident)
{
    int i;

    if (candidate->allowed_set) {
        return apr_hash_get(candidate->allowed_set, ident->value,
                            APR_HASH_KEY_STRING)
               != NULL;
    }
    for (i = 0; i < candidate->allowed->nelts; i++) {
        if (acme_ident_equal(
                APR_ARRAY_IDX(candidate->allowed, i, acme_ident_t *), ident)) {
            return 1;
        }
    }
    return 0;
}

static void allow(acme_plan_t *plan, acme_candidate_t *candidate,
                  acme_ident_t *ident)
{
    apr_array_header_t *allowed = candidate->allowed;
    int i;

    if (is_allowed(candidate, ident)) {
        return;
    }
    APR_ARRAY_PUSH(allowed, acme_ident_t *) = ident;
    if (candidate->allowed_set) {
        apr_hash_set(candidate->allowed_set, ident->value, APR_HASH_KEY_STRING,
                     ident);
    }
    else if (allowed->nelts > FEW) {
        candidate->allowed_set = apr_hash_make(plan->ptemp);
        for (i = 0; i < allowed->nelts; i++) {
            acme_ident_t *one = APR_ARRAY_IDX(allowed, i, acme_ident_t *);

            apr_hash_set(candidate->allowed_set, one->value,
                         APR_HASH_KEY_STRING, one);
        }
    }
}

/* Kept up without a host. */
int acme_plan_is_always(const acme_candidate_t *candidate)
{
    return candidate->declared && !candidate->unusable
           && candidate->policy->renew_mode == ACME_RENEW_ALWAYS;
}

static void plan_declared(acme_plan_t *plan, const acme_declared_t *declared)
{
    const acme_settings_t *outer = &acme_config_of(plan->base)->settings;
    acme_ident_t *first = APR_ARRAY_IDX(declared->idents, 0, acme_ident_t *);
    const char *where = acme_where_text(declared->where.file,
                                        declared->where.line, plan->pconf);
    acme_settings_t *settings = apr_palloc(plan->ptemp, sizeof(*settings));
    acme_candidate_t *candidate;
    int i;

    acme_config_merge_settings(settings, outer, &declared->settings,
                               plan->ptemp);
    candidate = make_candidate(plan, first, settings, where);
    candidate->declared = declared;
    candidate->settings = settings;
    candidate->unusable = acme_hostnames_why_not(first, settings, plan->ptemp);
    apr_hash_set(plan->declared, &candidate->declared,
                 sizeof(candidate->declared), candidate);
    if (candidate->unusable) {
        ACME_SAY(plan, ACME_W_DECLARED_UNUSABLE, first->value, where,
                 candidate->unusable);
        return;
    }
    for (i = 0; i < declared->idents->nelts; i++) {
        acme_ident_t *ident =
            APR_ARRAY_IDX(declared->idents, i, acme_ident_t *);
        const char *why = acme_hostnames_why_not(ident, settings, plan->ptemp);

        if (why) {
            ACME_SAY(plan, ACME_W_DECLARED_NAME, first->value, where,
                     ident->value, why);
            continue;
        }
        acme_plan_claim(plan, candidate, ident, NULL);
        allow(plan, candidate, ident);
    }
}

/* The declared certificate that AcmeManage of this host names, or an error. */
static acme_err_t *find_named(acme_candidate_t **candidate, acme_plan_t *plan,
                              const acme_server_config_t *config)
{
    acme_declared_t *declared =
        apr_hash_get(acme_config_global()->declared_names, config->manage_name,
                     APR_HASH_KEY_STRING);
    const char *where = acme_where_text(config->manage_where.file,
                                        config->manage_where.line, plan->ptemp);

    *candidate = declared
                     ? apr_hash_get(plan->declared, &declared, sizeof(declared))
                     : NULL;
    if (!*candidate) {
        return acme_err_make(plan->ptemp, ACME_E_MANAGE_UNDECLARED, where,
                             config->manage_name, "", NULL);
    }
    if ((*candidate)->unusable) {
        return acme_err_make(
            plan->ptemp, ACME_W_DECLARED_UNUSABLE, (*candidate)->managed.name,
            (*candidate)->managed.where, (*candidate)->unusable, NULL);
    }
    return NULL;
}

static acme_candidate_t *find_own(acme_plan_t *plan, const acme_host_t *host)
{
    server_rec *s = host->server;
    acme_ident_t *ident = APR_ARRAY_IDX(host->names.idents, 0, acme_ident_t *);
    acme_candidate_t *candidate =
        apr_hash_get(plan->by_name, ident->value, APR_HASH_KEY_STRING);

    if (!candidate) {
        candidate = make_candidate(plan, ident, &acme_config_of(s)->settings,
                                   acme_hostnames_where(s, plan->pconf));
        candidate->giver = s;
        apr_hash_set(plan->by_name, candidate->managed.name,
                     APR_HASH_KEY_STRING, candidate);
    }
    return candidate;
}

/* The declared certificate that covers the ServerName. While hosts are planned,
 * only declared ones have claims. */
static acme_candidate_t *find_declared(const acme_plan_t *plan,
                                       const server_rec *s)
{
    char *name;

    if (!acme_config_global()->declared->nelts || !s->server_hostname
        || acme_config_of(s)->nameless) {
        return NULL;
    }
    name = apr_pstrdup(plan->ptemp, s->server_hostname);
    ap_str_tolower(name);
    return acme_plan_find_covering(plan, name);
}

/* Two modules that hand mod_ssl files for one host would undo each other's work. */
static acme_err_t *left_to_md(acme_plan_t *plan, const server_rec *s)
{
    const char *where;
    const char *name =
        acme_other_md_has(&where, plan->md_names, s, plan->ptemp);

    return name ? acme_err_make(
               plan->ptemp, ACME_W_MANAGED_TWICE, s->server_hostname,
               acme_hostnames_where(s, plan->ptemp), name, where, NULL)
                : NULL;
}

/* Its candidate, or its fault. */
static void choose(acme_plan_t *plan, acme_host_t *host)
{
    server_rec *s = host->server;
    const acme_server_config_t *config = acme_config_of(s);
    acme_candidate_t *declared = NULL;
    acme_err_t *fault = NULL;

    if (config->manage == ACME_MANAGE_NAMED) {
        fault = find_named(&declared, plan, config);
    }
    else {
        declared = find_declared(plan, s);
    }
    acme_hostnames_read(&host->names, s,
                        declared ? declared->settings : &config->settings,
                        plan->pconf, plan->ptemp);
    if (config->manage == ACME_MANAGE_NAMED) {
        /* Whatever the host is called: its certificate was chosen by hand. */
        host->fault = fault;
    }
    else {
        host->fault = host->names.fault;
    }
    if (plan->md_names && !host->fault) {
        host->fault = left_to_md(plan, s);
    }
    if (!host->fault) {
        host->candidate = declared ? declared : find_own(plan, host);
    }
}

static void plan_host(acme_plan_t *plan, server_rec *s)
{
    acme_host_t *host = apr_pcalloc(plan->ptemp, sizeof(*host));
    const apr_array_header_t *idents;
    int i;

    host->server = s;
    APR_ARRAY_PUSH(plan->hosts, acme_host_t *) = host;
    apr_hash_set(plan->by_server, &host->server, sizeof(host->server), host);
    choose(plan, host);
    if (!host->candidate) {
        return;
    }
    idents = host->names.idents;
    for (i = 0; i < idents->nelts && !host->candidate->declared; i++) {
        allow(plan, host->candidate, APR_ARRAY_IDX(idents, i, acme_ident_t *));
    }
    host->candidate->wanted = 1;
    APR_ARRAY_PUSH(host->candidate->hosts, server_rec *) = s;
    acme_config_of(s)->managed = &host->candidate->managed;
}

/* httpd has put a guess there before anybody could look; the configuration's
 * outermost level tells. */
static int is_main_nameless(void)
{
    const ap_directive_t *node = ap_conftree;

    while (node && strcasecmp(node->directive, "ServerName")) {
        node = node->next;
    }
    return !node;
}

acme_plan_t *acme_managed_plan(server_rec *base, int quiet, apr_pool_t *pconf,
                               apr_pool_t *ptemp)
{
    acme_plan_t *plan = apr_pcalloc(ptemp, sizeof(*plan));
    const apr_array_header_t *declared = acme_config_global()->declared;
    server_rec *s;
    int i;

    plan->base = base;
    plan->quiet = quiet;
    plan->pconf = pconf;
    plan->ptemp = ptemp;
    plan->candidates = apr_array_make(ptemp, 16, sizeof(acme_candidate_t *));
    plan->by_name = apr_hash_make(ptemp);
    plan->declared = apr_hash_make(ptemp);
    plan->claims = apr_hash_make(ptemp);
    plan->hosts = apr_array_make(ptemp, 16, sizeof(acme_host_t *));
    plan->by_server = apr_hash_make(ptemp);
    plan->md_names = acme_other_md_names(ptemp);
    acme_config_of(base)->nameless = is_main_nameless();
    for (i = 0; i < declared->nelts; i++) {
        plan_declared(plan, APR_ARRAY_IDX(declared, i, acme_declared_t *));
    }
    for (s = base; s; s = s->next) {
        acme_server_config_t *config = acme_config_of(s);

        config->managed = NULL;
        if (config->manage == ACME_MANAGE_ON
            || config->manage == ACME_MANAGE_NAMED) {
            plan_host(plan, s);
        }
    }
    return plan;
}

const apr_array_header_t *acme_managed_allowed(acme_plan_t *plan,
                                               const acme_managed_t *managed)
{
    (void)plan;
    /* managed is the first member */
    return ((const acme_candidate_t *)(const void *)managed)->allowed;
}

const apr_array_header_t *acme_managed_hosts(const acme_managed_t *managed)
{
    /* managed is the first member */
    return ((const acme_candidate_t *)(const void *)managed)->hosts;
}

int acme_managed_candidates(const acme_plan_t *plan)
{
    int count = 0;
    int i;

    for (i = 0; i < plan->candidates->nelts; i++) {
        const acme_candidate_t *candidate =
            APR_ARRAY_IDX(plan->candidates, i, acme_candidate_t *);

        count += candidate->wanted || acme_plan_is_always(candidate);
    }
    return count;
}

/* --- TLS --------------------------------------------------------------------- */

static void note_ports(acme_plan_t *plan, const server_rec *s)
{
    const server_addr_rec *addr;

    plan->has_tls = 1;
    for (addr = s->addrs; addr; addr = addr->next) {
        plan->tls_ports[addr->host_port / 8] |=
            (unsigned char)(1u << addr->host_port % 8);
    }
}

/* Of the hosts that share a certificate, the first that mod_ssl asks for gives
 * the settings: they are needed before the others are known. What a host without
 * TLS says counts for nothing. */
static void settle_policy(acme_plan_t *plan, const acme_host_t *host)
{
    server_rec *s = host->server;
    acme_candidate_t *candidate = host->candidate;
    const acme_policy_t *policy;
    const char *differing;

    if (candidate->declared
        || (candidate->giver == s && !candidate->managed.in_use)) {
        return;
    }
    policy = acme_config_policy(&acme_config_of(s)->settings, plan->pconf);
    if (!candidate->managed.in_use) {
        *candidate->policy = *policy;
        candidate->giver = s;
        candidate->managed.where = acme_hostnames_where(s, plan->pconf);
        return;
    }
    differing = acme_config_differences(candidate->policy, policy, plan->ptemp);
    if (*differing) {
        ACME_SAY(plan, ACME_W_SETTINGS_DIFFER, candidate->managed.name,
                 acme_hostnames_where(s, plan->ptemp), candidate->managed.where,
                 differing);
    }
}

/* Where AcmeManage is on for all, a certificate of one's own is an exception that
 * explains itself. */
static void tell_own(acme_plan_t *plan, const server_rec *s, int own_files)
{
    const acme_server_config_t *config = acme_config_of(s);
    const char *where = acme_where_text(config->manage_where.file,
                                        config->manage_where.line, plan->ptemp);

    if (!config->manage_here) {
        return;
    }
    if (own_files) {
        ACME_SAY(plan, ACME_W_OWN_FILES, where, s->server_hostname,
                 acme_hostnames_where(s, plan->ptemp));
    }
    else {
        ACME_SAY(plan, ACME_W_SSL_CONF_CMD, where, s->server_hostname,
                 config->conf_command);
    }
}

acme_managed_t *acme_managed_tls(acme_plan_t *plan, server_rec *s,
                                 int own_files)
{
    acme_server_config_t *config = acme_config_of(s);
    acme_host_t *host = apr_hash_get(plan->by_server, &s, sizeof(s));

    note_ports(plan, s);
    if (!host) {
        return NULL;
    }
    host->has_tls = 1;
    if (host->candidate) {
        host->candidate->has_tls = 1;
    }
    if (own_files || config->conf_command || host->fault) {
        int left = host->fault && host->fault->msg == ACME_W_MANAGED_TWICE;

        if (!left && (own_files || config->conf_command)) {
            tell_own(plan, s, own_files);
        }
        else {
            acme_plan_say(plan, host->fault);
        }
        config->managed = NULL;
        return NULL;
    }
    settle_policy(plan, host);
    host->accepted = 1;
    host->candidate->managed.in_use = 1;
    return &host->candidate->managed;
}
