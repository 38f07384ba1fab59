/** acme_managed_finish: which certificate has which names. */
#include <ap_listen.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/plan.h"

#define SHOW_NAMES 5 /* of a list in a message */

/* "a, b and 3 more" */
static const char *list_text(const apr_array_header_t *names, apr_pool_t *pool)
{
    int count = names->nelts > SHOW_NAMES ? SHOW_NAMES : names->nelts;
    const char *text = "";
    int i;

    for (i = 0; i < count; i++) {
        const char *between = i == 0                  ? ""
                              : i == names->nelts - 1 ? " and "
                                                      : ", ";
        text = apr_pstrcat(pool, text, between,
                           APR_ARRAY_IDX(names, i, const char *), NULL);
    }
    return names->nelts == count ? text
                                 : apr_psprintf(pool, "%s and %d more", text,
                                                names->nelts - count);
}

static const char *place_of(const acme_claim_t *claim, apr_pool_t *pool)
{
    return claim->server ? acme_hostnames_where(claim->server, pool)
                         : claim->candidate->managed.where;
}

static void tell_taken(acme_plan_t *plan, const acme_host_t *host,
                       const acme_ident_t *ident, const acme_claim_t *holder)
{
    ACME_SAY(plan, ACME_W_ALIAS_TAKEN, host->candidate->managed.name,
             acme_hostnames_where(host->server, plan->ptemp), ident->value,
             holder->candidate->managed.name, place_of(holder, plan->ptemp));
}

/* An address among names: a site that answers to its address as well does not
 * mean to have that certified, and most CAs would refuse. */
static int is_strange(const acme_host_t *host, const acme_ident_t *ident)
{
    return ident->type == ACME_IDENT_IP
           && APR_ARRAY_IDX(host->names.idents, 0, acme_ident_t *)->type
                  != ACME_IDENT_IP;
}

/* Count the host's names into the certificate it has made or joined. */
static void count_names(acme_plan_t *plan, const acme_host_t *host)
{
    acme_candidate_t *candidate = host->candidate;
    apr_array_header_t *crowded = NULL;
    int i;

    for (i = 0; i < host->names.idents->nelts; i++) {
        acme_ident_t *ident =
            APR_ARRAY_IDX(host->names.idents, i, acme_ident_t *);
        const acme_claim_t *holder = acme_plan_find_claim(plan, ident->value);

        if (holder) {
            if (holder->candidate != candidate) {
                tell_taken(plan, host, ident, holder);
            }
        }
        else if (is_strange(host, ident)) {
            ACME_SAY(plan, ACME_W_ALIAS_ADDRESS, candidate->managed.name,
                     acme_hostnames_where(host->server, plan->ptemp),
                     ident->value);
        }
        else if (candidate->managed.idents->nelts == ACME_MAX_IDENTS) {
            if (!crowded) {
                crowded = apr_array_make(plan->ptemp, 1, sizeof(const char *));
            }
            APR_ARRAY_PUSH(crowded, const char *) = ident->value;
        }
        else {
            acme_plan_claim(plan, candidate, ident, host->server);
        }
    }
    if (crowded) {
        ACME_SAY(plan, ACME_W_ALIAS_CROWDED, candidate->managed.name,
                 acme_hostnames_where(host->server, plan->ptemp),
                 list_text(crowded, plan->ptemp), candidate->managed.name);
    }
}

/* Names of the host that its declared certificate does not have. */
static void tell_undeclared(acme_plan_t *plan, const acme_host_t *host)
{
    const acme_candidate_t *candidate = host->candidate;
    const apr_array_header_t *wild = host->server->wild_names;
    apr_array_header_t *missing =
        apr_array_make(plan->ptemp, 1, sizeof(const char *));
    int i;

    for (i = 0; i < host->names.idents->nelts; i++) {
        acme_ident_t *ident =
            APR_ARRAY_IDX(host->names.idents, i, acme_ident_t *);

        if (acme_plan_find_covering(plan, ident->value) != candidate) {
            APR_ARRAY_PUSH(missing, const char *) = ident->value;
        }
    }
    for (i = 0; wild && i < wild->nelts; i++) {
        char *name =
            apr_pstrdup(plan->ptemp, APR_ARRAY_IDX(wild, i, const char *));
        const acme_claim_t *found;

        ap_str_tolower(name);
        found = acme_plan_find_claim(plan, name);
        if (!found || found->candidate != candidate) {
            APR_ARRAY_PUSH(missing, const char *) = name;
        }
    }
    if (missing->nelts) {
        ACME_SAY(plan, ACME_W_ALIAS_UNDECLARED, host->server->server_hostname,
                 acme_hostnames_where(host->server, plan->ptemp),
                 list_text(missing, plan->ptemp), candidate->managed.name,
                 candidate->managed.where);
    }
}

static void tell_wild(acme_plan_t *plan, const acme_host_t *host)
{
    const apr_array_header_t *wild = host->server->wild_names;
    apr_array_header_t *wildcards, *patterns;
    const char *where, *no_dns;
    int i;

    if (!wild || !wild->nelts) {
        return;
    }
    no_dns = acme_config_why_no_dns(&acme_config_of(host->server)->settings);
    wildcards = apr_array_make(plan->ptemp, 1, sizeof(const char *));
    patterns = apr_array_make(plan->ptemp, 1, sizeof(const char *));
    for (i = 0; i < wild->nelts; i++) {
        const char *name = APR_ARRAY_IDX(wild, i, const char *);

        if (!acme_hostnames_is_wildcard(name)) {
            APR_ARRAY_PUSH(patterns, const char *) = name;
        }
        else if (no_dns) {
            APR_ARRAY_PUSH(wildcards, const char *) = name;
        }
    }
    where = acme_hostnames_where(host->server, plan->ptemp);
    if (wildcards->nelts) {
        ACME_SAY(plan, ACME_W_ALIAS_WILDCARD, host->candidate->managed.name,
                 where, list_text(wildcards, plan->ptemp), no_dns);
    }
    if (patterns->nelts) {
        ACME_SAY(plan, ACME_W_ALIAS_PATTERN, host->candidate->managed.name,
                 where, list_text(patterns, plan->ptemp));
    }
}

/* The ServerName is an alias in the certificate of an earlier host, which has the
 * requests for it as well. */
static int is_taken(acme_plan_t *plan, const acme_host_t *host)
{
    const char *name = host->candidate->managed.name;
    const acme_claim_t *holder = acme_plan_find_claim(plan, name);

    if (!holder || holder->candidate == host->candidate) {
        return 0;
    }
    ACME_SAY(plan, ACME_W_HOST_TAKEN, name,
             acme_hostnames_where(host->server, plan->ptemp),
             holder->candidate->managed.name, place_of(holder, plan->ptemp));
    acme_config_of(host->server)->managed = NULL;
    return 1;
}

static void settle_host(acme_plan_t *plan, const acme_host_t *host)
{
    const apr_array_header_t *faults = host->names.faults;
    int i;

    if (host->candidate->declared) {
        tell_undeclared(plan, host);
    }
    else if (is_taken(plan, host)) {
        return;
    }
    else {
        count_names(plan, host);
        tell_wild(plan, host);
    }
    for (i = 0; faults && i < faults->nelts; i++) {
        acme_plan_say(plan, APR_ARRAY_IDX(faults, i, acme_err_t *));
    }
    host->candidate->managed.in_use = 1;
}

/* AcmeManage in a host that cannot use it, nor another one of its name. */
static void tell_no_tls(acme_plan_t *plan, const acme_host_t *host)
{
    const acme_server_config_t *config = acme_config_of(host->server);

    if (config->manage_here && host->server->is_virtual
        && !(host->candidate && host->candidate->has_tls)) {
        ACME_SAY(plan, ACME_W_HOST_NO_TLS,
                 acme_where_text(config->manage_where.file,
                                 config->manage_where.line, plan->ptemp),
                 host->server->server_hostname);
    }
}

/* httpd gives a name's requests to the first host in the file that has it, so
 * names are given in that order, too: plan->hosts backwards. */
static void settle_hosts(acme_plan_t *plan)
{
    int i;

    for (i = 0; i < plan->candidates->nelts; i++) {
        APR_ARRAY_IDX(plan->candidates, i, acme_candidate_t *)->managed.in_use =
            0;
    }
    for (i = plan->hosts->nelts - 1; i >= 0; i--) {
        const acme_host_t *host = APR_ARRAY_IDX(plan->hosts, i, acme_host_t *);

        if (host->accepted) {
            settle_host(plan, host);
        }
        else if (!host->has_tls) {
            tell_no_tls(plan, host);
        }
    }
}

static int is_redundant(const apr_array_header_t *idents,
                        const acme_ident_t *ident)
{
    int i;

    for (i = 0; i < idents->nelts; i++) {
        const acme_ident_t *other = APR_ARRAY_IDX(idents, i, acme_ident_t *);

        if (other != ident && acme_ident_is_wildcard(other)
            && acme_ident_covers(other, ident)) {
            return 1;
        }
    }
    return 0;
}

/* What a wildcard of the same certificate covers: some CAs (Let's Encrypt) refuse
 * an order that has both. */
static void drop_redundant(acme_plan_t *plan, acme_candidate_t *candidate)
{
    const apr_array_header_t *all = candidate->managed.idents;
    apr_array_header_t *needed;
    int i;

    for (i = 0;
         i < all->nelts
         && !acme_ident_is_wildcard(APR_ARRAY_IDX(all, i, acme_ident_t *));
         i++) {
    }
    if (i == all->nelts) {
        return;
    }
    needed = apr_array_make(plan->pconf, all->nelts, sizeof(acme_ident_t *));
    for (i = 0; i < all->nelts; i++) {
        acme_ident_t *ident = APR_ARRAY_IDX(all, i, acme_ident_t *);

        if (!is_redundant(all, ident)) {
            APR_ARRAY_PUSH(needed, acme_ident_t *) = ident;
        }
    }
    candidate->managed.idents = needed;
}

/* --- finish ------------------------------------------------------------------ */

static int is_bound(int port)
{
    const ap_listen_rec *listener;

    for (listener = ap_listeners; listener; listener = listener->next) {
        if (listener->bind_addr && listener->bind_addr->port == port) {
            return 1;
        }
    }
    return 0;
}

/* A listener that speaks plain HTTP at this port. */
static int has_plain_listener(const acme_plan_t *plan, int port)
{
    const ap_listen_rec *listener;

    if (plan->tls_ports[port / 8] & 1u << port % 8) {
        return 0;
    }
    for (listener = ap_listeners; listener; listener = listener->next) {
        if (listener->bind_addr && listener->bind_addr->port == port
            && !(listener->protocol
                 && !strcasecmp(listener->protocol, "https"))) {
            return 1;
        }
    }
    return 0;
}

/* Why http-01 cannot work, or NULL. */
static const char *why_no_http(const acme_plan_t *plan)
{
    int port = acme_config_global()->port_80;

    if (!port) {
        return "AcmePortMap says that the world's port 80 does not arrive";
    }
    if (!has_plain_listener(plan, port)) {
        return apr_psprintf(plan->pconf,
                            "the world's port 80 arrives at the local port %d, "
                            "where httpd does not listen for plain HTTP",
                            port);
    }
    return NULL;
}

/* Why tls-alpn-01 cannot work, or NULL. */
static const char *why_no_alpn(const acme_plan_t *plan)
{
    int port = acme_config_global()->port_443;

    if (!port) {
        return "AcmePortMap says that the world's port 443 does not arrive";
    }
    /* Port 0 is any: the main server, and <VirtualHost *:*>. */
    if (!((plan->tls_ports[0] & 1u)
          | (plan->tls_ports[port / 8] & 1u << port % 8))
        || !is_bound(port)) {
        return apr_psprintf(plan->pconf,
                            "the world's port 443 arrives at the local port "
                            "%d, where no virtual host has SSLEngine on",
                            port);
    }
    return NULL;
}

/* Whether a candidate is to be kept up; says why not where somebody wonders. */
static int keep(acme_plan_t *plan, const acme_candidate_t *candidate)
{
    const acme_managed_t *managed = &candidate->managed;

    if (managed->in_use || acme_plan_is_always(candidate)) {
        return 1;
    }
    if (candidate->declared && !candidate->unusable) {
        ACME_SAY(plan, ACME_W_DECLARED_UNUSED, managed->name, managed->where);
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    const acme_managed_t *const *one = a;
    const acme_managed_t *const *two = b;

    return strcmp((*one)->name, (*two)->name);
}

static void tell_terms(acme_plan_t *plan, const apr_array_header_t *managed)
{
    apr_array_header_t *names =
        apr_array_make(plan->ptemp, 1, sizeof(const char *));
    int i;

    for (i = 0; i < managed->nelts; i++) {
        const acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);

        if (!one->policy->agree_terms && !one->policy->terms) {
            APR_ARRAY_PUSH(names, const char *) = one->name;
        }
    }
    if (names->nelts) {
        ACME_SAY(plan, ACME_W_TERMS, list_text(names, plan->ptemp));
    }
}

/* Names that cannot be proved for one and the same reason. */
typedef struct unprovable_t {
    const char *why, *where;   /* where the first of them is */
    apr_array_header_t *names; /* const char * */
} unprovable_t;

static void add_unprovable(apr_hash_t *reasons, const char *why,
                           const acme_managed_t *managed,
                           const acme_ident_t *ident)
{
    apr_pool_t *pool = apr_hash_pool_get(reasons);
    unprovable_t *one = apr_hash_get(reasons, why, APR_HASH_KEY_STRING);

    if (!one) {
        one = apr_palloc(pool, sizeof(*one));
        one->why = apr_pstrdup(pool, why);
        one->where = managed->where;
        one->names = apr_array_make(pool, 1, sizeof(const char *));
        apr_hash_set(reasons, one->why, APR_HASH_KEY_STRING, one);
    }
    APR_ARRAY_PUSH(one->names, const char *) = ident->value;
}

static void find_unprovable(apr_hash_t *reasons, const acme_managed_t *managed,
                            apr_pool_t *scratch)
{
    acme_proofs_t proofs;
    int i;

    for (i = 0; i < managed->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(managed->idents, i, acme_ident_t *);

        acme_policy_proofs(&proofs, managed->policy, ident);
        if (!proofs.count) {
            apr_pool_clear(scratch);
            add_unprovable(
                reasons, acme_policy_obstacles(managed->policy, ident, scratch),
                managed, ident);
        }
    }
}

static int tell_reason(void *rec, const void *key, apr_ssize_t len,
                       const void *value)
{
    acme_plan_t *plan = rec;
    const unprovable_t *one = value;

    (void)key;
    (void)len;
    ACME_SAY(plan, ACME_W_NO_PROOF, list_text(one->names, plan->ptemp),
             one->where, one->why);
    return 1;
}

static void tell_unprovable(acme_plan_t *plan,
                            const apr_array_header_t *managed)
{
    apr_hash_t *reasons = apr_hash_make(plan->ptemp);
    apr_pool_t *scratch;
    int i;

    apr_pool_create(&scratch, plan->ptemp);
    for (i = 0; i < managed->nelts; i++) {
        find_unprovable(reasons, APR_ARRAY_IDX(managed, i, acme_managed_t *),
                        scratch);
    }
    apr_pool_destroy(scratch);
    apr_hash_do(tell_reason, plan, reasons);
}

static void set_usable(acme_policy_t *policy, const char *no_http,
                       const char *no_alpn)
{
    policy->port_80 = acme_config_global()->port_80;
    policy->port_443 = acme_config_global()->port_443;
    policy->http_01 = !no_http;
    policy->obstacles[ACME_PROOF_HTTP_01] = no_http;
    policy->tls_alpn_01 = !no_alpn;
    policy->obstacles[ACME_PROOF_TLS_ALPN_01] = no_alpn;
}

apr_array_header_t *acme_managed_finish(acme_plan_t *plan)
{
    const acme_server_config_t *main_config = acme_config_of(plan->base);
    const char *no_http = why_no_http(plan);
    const char *no_alpn = why_no_alpn(plan);
    apr_array_header_t *managed = apr_array_make(
        plan->pconf, plan->candidates->nelts + 1, sizeof(acme_managed_t *));
    int i;

    settle_hosts(plan);
    for (i = 0; i < plan->candidates->nelts; i++) {
        acme_candidate_t *candidate =
            APR_ARRAY_IDX(plan->candidates, i, acme_candidate_t *);

        if (keep(plan, candidate)) {
            set_usable(candidate->policy, no_http, no_alpn);
            drop_redundant(plan, candidate);
            APR_ARRAY_PUSH(managed, acme_managed_t *) = &candidate->managed;
        }
    }
    if (!plan->has_tls && main_config->manage_here
        && main_config->manage != ACME_MANAGE_OFF) {
        ACME_SAY(plan, ACME_W_NO_TLS,
                 acme_where_text(main_config->manage_where.file,
                                 main_config->manage_where.line, plan->ptemp));
    }
    if (managed->nelts) {
        qsort(managed->elts, (size_t)managed->nelts, sizeof(acme_managed_t *),
              compare_names);
    }
    tell_terms(plan, managed);
    tell_unprovable(plan, managed);
    acme_config_global()->managed = managed;
    return managed;
}
