#include "httpd/config.h"

#include <apr_strings.h>
#include <string.h>

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
    global->externals = apr_hash_make(pool);
    global->account_keys = apr_hash_make(pool);
    global->trusts = apr_hash_make(pool);
    global->of_one_ca = apr_array_make(pool, 1, sizeof(acme_ca_settings_t *));
    global->named_cas = apr_hash_make(pool);
    apr_hash_set(global->named_cas, acme_policy_find_ca(DEFAULT_CA)->url,
                 APR_HASH_KEY_STRING, DEFAULT_CA);
}

void acme_config_init_settings(acme_settings_t *settings)
{
    memset(settings, 0, sizeof(*settings));
    settings->agree_terms = UNSET;
    settings->dns_wait = UNSET;
    settings->must_staple = UNSET;
    settings->key_reuse = UNSET;
    settings->bad_names = UNSET;
    settings->preflight = UNSET;
    settings->renew_set = UNSET;
    settings->renew_mode = UNSET;
    settings->activate = UNSET;
    settings->activate_delay = UNSET;
    settings->warn_set = UNSET;
}

void *acme_config_create(apr_pool_t *pool, server_rec *s)
{
    acme_server_config_t *config = apr_pcalloc(pool, sizeof(*config));

    if (!s->is_virtual) {
        create_global(pool, s);
    }
    acme_config_init_settings(&config->settings);
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

/* Those of outside, then one's own. */
static void merge_hooks(acme_settings_t *merged, const acme_settings_t *over,
                        apr_pool_t *pool)
{
    if (over->hooks) {
        merged->hooks =
            over->hooks_alone || !merged->hooks
                ? over->hooks
                : apr_array_append(pool, merged->hooks, over->hooks);
        merged->hooks_alone |= over->hooks_alone;
    }
    if (over->warn_set != UNSET) {
        merged->warn = over->warn;
        merged->warn_set = over->warn_set;
    }
}

/* When it is renewed, and serves. */
static void merge_times(acme_settings_t *merged, const acme_settings_t *over)
{
    if (over->renew_set != UNSET) {
        merged->renew = over->renew;
        merged->renew_set = over->renew_set;
        merged->no_ari = over->no_ari;
    }
    if (over->renew_mode != UNSET) {
        merged->renew_mode = over->renew_mode;
    }
    if (over->activate != UNSET) {
        merged->activate = over->activate;
        merged->reload_interval = over->reload_interval;
    }
    if (over->activate_delay != UNSET) {
        merged->activate_delay = over->activate_delay;
    }
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
    if (over->proxy) {
        merged.proxy = over->proxy;
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
    if (over->must_staple != UNSET) {
        merged.must_staple = over->must_staple;
    }
    if (over->key_reuse != UNSET) {
        merged.key_reuse = over->key_reuse;
    }
    if (over->bad_names != UNSET) {
        merged.bad_names = over->bad_names;
    }
    if (over->preflight != UNSET) {
        merged.preflight = over->preflight;
    }
    if (over->subject) {
        merged.subject = over->subject;
    }
    merge_times(&merged, over);
    merge_hooks(&merged, over, pool);
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
    if (inner->require == ACME_REQUIRE_UNSET) {
        config->require = outer->require;
        config->require_age = outer->require_age;
        config->require_where = outer->require_where;
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
        if (!ca->preferred_chain) {
            ca->preferred_chain = list->preferred_chain;
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
        if (cas[i].preferred_chain && !*cas[i].preferred_chain) {
            cas[i].preferred_chain = NULL; /* "none" */
        }
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
    policy->proxy =
        settings->proxy && settings->proxy->url ? settings->proxy : NULL;
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
    policy->must_staple = settings->must_staple == 1;
    policy->subject = settings->subject;
    policy->bad_names = settings->bad_names == UNSET
                            ? ACME_BAD_NAMES_SKIP
                            : (acme_bad_names_t)settings->bad_names;
    policy->preflight = settings->preflight == UNSET
                            ? ACME_PREFLIGHT_ADVISE
                            : (acme_preflight_mode_t)settings->preflight;
    policy->key_reuse = settings->key_reuse == UNSET
                            ? ACME_KEY_REUSE_OFF
                            : (acme_key_reuse_t)settings->key_reuse;
    policy->renew = settings->renew;
    policy->renew_set = settings->renew_set == 1;
    policy->no_ari = settings->no_ari;
    policy->renew_mode = settings->renew_mode == UNSET
                             ? ACME_RENEW_AUTO
                             : (acme_renew_mode_t)settings->renew_mode;
    policy->activate = settings->activate == UNSET
                           ? ACME_ACTIVATE_LIVE
                           : (acme_activate_t)settings->activate;
    policy->reload_interval = settings->reload_interval;
    policy->activate_delay =
        settings->activate_delay == UNSET ? 0 : settings->activate_delay;
    policy->hooks = settings->hooks;
    policy->warn = settings->warn;
    policy->warn_set = settings->warn_set == 1;
    return policy;
}

const char *acme_config_why_no_dns(const acme_settings_t *settings)
{
    int command = settings->dns_command && settings->dns_command->nelts;
    int allowed = !settings->challenges;
    int i;

    for (i = 0; settings->challenges && i < settings->challenges->nelts; i++) {
        acme_proof_type_t type =
            APR_ARRAY_IDX(settings->challenges, i, acme_proof_type_t);

        if (type == ACME_PROOF_DNS_PERSIST_01) {
            return NULL;
        }
        allowed |= acme_proof_is_dns(type);
    }
    return !allowed   ? "AcmeChallenges allows none"
           : !command ? "no AcmeDnsCommand is set up"
                      : NULL;
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
    int cas = a->ca_count != b->ca_count, trust = 0, profile = 0, chain = 0;
    int external = 0, key = 0;
    int i;

    for (i = 0; i < a->ca_count && i < b->ca_count; i++) {
        const acme_ca_t *one = &a->cas[i], *other = &b->cas[i];

        cas |= !same_text(one->url, other->url);
        trust |= !same_text(one->trust_file, other->trust_file);
        profile |= !same_text(one->profile, other->profile)
                   || one->profile_required != other->profile_required;
        chain |= !same_text(one->preferred_chain, other->preferred_chain);
        external |= !same_external(one->external, other->external);
        key |= !same_account_key(one->account_key, other->account_key);
    }
    return apr_pstrcat(
        pool, cas ? " AcmeCA" : "", trust ? " AcmeCATrustFile" : "",
        profile ? " AcmeProfile" : "", chain ? " AcmePreferredChain" : "",
        external ? " AcmeExternalAccount" : "", key ? " AcmeAccountKey" : "",
        NULL);
}

static int same_subject(const apr_array_header_t *a,
                        const apr_array_header_t *b)
{
    int i, count = a ? a->nelts : 0;

    if (count != (b ? b->nelts : 0)) {
        return 0;
    }
    for (i = 0; i < count; i++) {
        const acme_csr_attribute_t *one =
            &APR_ARRAY_IDX(a, i, acme_csr_attribute_t);
        const acme_csr_attribute_t *two =
            &APR_ARRAY_IDX(b, i, acme_csr_attribute_t);
        if (strcmp(one->name, two->name) || strcmp(one->value, two->value)) {
            return 0;
        }
    }
    return 1;
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
        acme_proxy_same(a->proxy, b->proxy) ? "" : " AcmeProxy",
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
        a->key_reuse == b->key_reuse ? "" : " AcmeKeyReuse",
        a->bad_names == b->bad_names ? "" : " AcmeBadNames",
        a->preflight == b->preflight ? "" : " AcmePreflight",
        a->must_staple == b->must_staple ? "" : " AcmeMustStaple",
        same_subject(a->subject, b->subject) ? "" : " AcmeSubject",
        a->renew_set == b->renew_set && a->renew.percent == b->renew.percent
                && a->renew.duration == b->renew.duration
                && a->no_ari == b->no_ari
            ? ""
            : " AcmeRenew",
        a->renew_mode == b->renew_mode ? "" : " AcmeRenewMode",
        a->activate == b->activate && a->reload_interval == b->reload_interval
            ? ""
            : " AcmeActivate",
        a->activate_delay == b->activate_delay ? "" : " AcmeActivateDelay",
        same_text(acme_hooks_text(a->hooks, ~0u, pool),
                  acme_hooks_text(b->hooks, ~0u, pool))
            ? ""
            : " AcmeOn",
        a->warn_set == b->warn_set && a->warn.percent == b->warn.percent
                && a->warn.duration == b->warn.duration
            ? ""
            : " AcmeWarn",
        NULL);

    return *text ? text + 1 : text;
}

const char *acme_where_text(const char *file, int line, apr_pool_t *pool)
{
    return file ? apr_pstrcat(pool, file, ":", apr_itoa(pool, line), NULL)
                : "the server configuration";
}
