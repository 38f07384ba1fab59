#include "httpd/start_impl.h"

#include <time.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <mpm_common.h>
#include <unixd.h>

#include "engine/owned.h"
#include "engine/store.h"
#include "httpd/accepts.h"
#include "httpd/config.h"
#include "httpd/emergency.h"
#include "httpd/farewell.h"
#include "httpd/live.h"
#include "httpd/log.h"
#include "httpd/managed.h"
#include "httpd/reload.h"
#include "httpd/require_https.h"
#include "httpd/runner.h"
#include "httpd/secrets.h"
#include "httpd/standstill.h"
#include "httpd/stapling.h"
#include "httpd/tls.h"
#include "httpd/uses.h"
#include "httpd/tlsalpn.h"
#include "httpd/trust.h"

#ifndef ACME_VERSION
#define ACME_VERSION PACKAGE_VERSION
#endif

static start_t *the_start;        /* while post_config lasts */
static apr_uint64_t checking_cpu; /* of check_config, which comes before it */

static apr_uint64_t cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (apr_uint64_t)t.tv_sec * 1000000 + (apr_uint64_t)t.tv_nsec / 1000;
}

static apr_status_t forget_start(void *data)
{
    (void)data;
    the_start = NULL;
    return APR_SUCCESS;
}

int acme_start_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                            apr_pool_t *ptemp, server_rec *s)
{
    apr_uint64_t began = cpu_now();
    int status = acme_config_check(pconf, plog, ptemp, s);

    checking_cpu = cpu_now() - began;
    return status;
}

/* What the first pass finds the second one finds again, and tells. */
static void tell(const start_t *start, server_rec *s, const char *prefix,
                 const acme_err_t *err)
{
    if (start->real) {
        acme_log_err(s, prefix, err, start->scratch);
    }
}

static acme_store_options_t store_options(int create)
{
    const acme_store_options_t options = {
        .root = acme_config_global()->store,
        .worker_uid = ap_unixd_config.user_id,
        .worker_gid = ap_unixd_config.group_id,
        .create = create,
    };

    return options;
}

/* Without a store the server starts all the same: with what is promoted, if that
 * can be read, and else with placeholders that live as long as this
 * configuration. */
static void open_store(start_t *start, server_rec *s)
{
    const acme_store_options_t options = store_options(1);
    acme_err_t *err = acme_store_open(&start->store, &options, start->pconf);

    if (!err) {
        if (start->real) {
            acme_store_prune(start->store, start->now, start->scratch);
        }
        return;
    }
    tell(start, s, "", err);
    start->unusable = 1;
    start->refusal = err;
    err = acme_store_open_rest(&start->store, &options, start->pconf);
    if (err) {
        start->store = NULL;
    }
    tell(start, s, "",
         acme_err_make(start->scratch, ACME_E_STORE_UNUSABLE, options.root,
                       NULL));
}

/* The module is unloaded and loaded again with each pass; this stays. */
static acme_sights_t *retain_seen(server_rec *s)
{
    static const char key[] = "mod_acme-seen-1";
    acme_sights_t **seen = ap_retained_data_get(key);

    if (!seen) {
        seen = ap_retained_data_create(key, sizeof(*seen));
        *seen = acme_sights_make(s->process->pool);
    }
    return *seen;
}

int acme_start_before_ssl(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *s)
{
    apr_uint64_t began = cpu_now();
    start_t *start = apr_pcalloc(pconf, sizeof(*start));

    (void)plog;
    start->real =
        ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG;
    start->pconf = pconf;
    start->installed = acme_installed_create(pconf);
    start->now = apr_time_now();
    start->seen = retain_seen(s);
    start->served = apr_hash_make(pconf);
    apr_pool_create(&start->scratch, pconf);
    if (start->real) {
        acme_secrets_read(s, 1, pconf, ptemp);
        acme_trust_tell(s, ptemp);
    }
    start->plan = acme_managed_plan(s, !start->real, pconf, ptemp);
    if (acme_managed_candidates(start->plan) > 0) {
        open_store(start, s);
        start->recalled = acme_uses_recall(start->store, ptemp);
    }
    start->cpu = checking_cpu + cpu_now() - began;
    the_start = start;
    apr_pool_cleanup_register(pconf, NULL, forget_start, apr_pool_cleanup_null);
    return OK;
}

/* --- per certificate ------------------------------------------------------- */

static void add_files(served_t *served, const char *chain, const char *key)
{
    APR_ARRAY_PUSH(served->chains, const char *) = chain;
    APR_ARRAY_PUSH(served->keys, const char *) = key;
}

/* @return 1 if another set is in service now */
static int promote(start_t *start, served_t *served, acme_managed_t *managed,
                   acme_family_t family, server_rec *s)
{
    const apr_array_header_t *allowed =
        acme_managed_allowed(start->plan, managed);
    acme_accepts_t showing = { s, acme_managed_hosts(managed) };
    acme_promotion_t how = {
        .allowed = allowed,
        .now = start->now,
        .delay = managed->policy->activate_delay,
        .try = acme_accepts,
        .baton = &showing,
    };
    acme_record_t *record = NULL;
    acme_err_t *err;

    if (!start->real || !start->store
        || !acme_store_can_promote(start->store)) {
        return 0;
    }
    how.former = managed->former =
        acme_uses_former(start->recalled, managed->name, allowed, start->pconf);
    err = acme_store_promote(&record, start->store, managed->dir, family, &how,
                             start->scratch);
    served->unpromoted[family] |= err || how.waits;
    if (err && !how.unwritten) {
        managed->refused[family] = acme_store_newest_number(
            start->store, managed->dir, family, start->scratch);
    }
    if (err) {
        tell(start, s, managed->name, err);
    }
    else if (record) {
        acme_log_msg(s, start->scratch, ACME_I_PROMOTED, managed->name,
                     acme_family_name(family),
                     apr_itoa(start->scratch, record->number), NULL);
        acme_installed_add(start->installed, start->store, managed, record);
    }
    return record != NULL;
}

static void tell_fallback(const start_t *start, server_rec *s,
                          const acme_managed_t *managed, acme_family_t family,
                          const acme_serving_t *serving)
{
    apr_pool_t *pool = start->scratch;

    if (!serving->number) {
        tell(start, s, managed->name,
             acme_err_make(pool, ACME_E_STORE_NONE, managed->name,
                           acme_family_name(family), NULL));
    }
    else if (serving->from == ACME_RECORD_INSTEAD) {
        tell(start, s, managed->name,
             acme_err_make(pool, ACME_W_STORE_OLDER, managed->name,
                           acme_family_name(family),
                           apr_itoa(pool, serving->number), NULL));
    }
}

/* Damage is mended from fresh/ where the set is still there. */
static void find_current(acme_serving_t *serving, start_t *start,
                         served_t *served, acme_managed_t *managed,
                         acme_family_t family, server_rec *s)
{
    acme_err_t *err =
        acme_store_serving(serving, start->store, start->seen, managed->dir,
                           family, start->now, start->scratch);

    if (err) {
        tell(start, s, managed->name, err);
        if (promote(start, served, managed, family, s)) {
            err = acme_store_serving(serving, start->store, start->seen,
                                     managed->dir, family, start->now,
                                     start->scratch);
        }
    }
    if (err) {
        tell_fallback(start, s, managed, family, serving);
    }
}

/* The set in service of one family, if there is one and it is whole. */
static int use_current(start_t *start, served_t *served,
                       acme_managed_t *managed, acme_family_t family,
                       server_rec *s)
{
    acme_serving_t serving;
    const char *chain, *key;

    find_current(&serving, start, served, managed, family, s);
    if (!serving.number) {
        return 0;
    }
    acme_store_current_files(&chain, &key, start->store, managed->dir, family,
                             serving.number, start->pconf);
    add_files(served, chain, key);
    served->base[family] = serving.number;
    served->serials[family] = apr_pstrdup(start->pconf, serving.serial);
    served->must_staple |= serving.must_staple;
    return 1;
}

static int wants(const acme_policy_t *policy, acme_family_t family)
{
    int i;

    for (i = 0; i < policy->key_type_count; ++i) {
        if (acme_key_family(policy->key_types[i]) == family) {
            return 1;
        }
    }
    return 0;
}

/* Sets of the configured families; where there is none yet, of any family (the
 * key type was changed a moment ago). */
static int use_sets(start_t *start, served_t *served, acme_managed_t *managed,
                    server_rec *s)
{
    int pass, i, found = 0;

    for (pass = 0; pass < 2 && !found; ++pass) {
        for (i = 0; i < ACME_FAMILIES; ++i) {
            if (wants(managed->policy, i) != (pass == 0)) {
                continue;
            }
            promote(start, served, managed, i, s);
            found += use_current(start, served, managed, i, s);
        }
    }
    return found;
}

/* Hosts of one ServerName may have more together than a certificate holds; which
 * of them it leaves out is settled after mod_ssl. */
static const apr_array_header_t *placeholder_names(
    const start_t *start, const acme_managed_t *managed)
{
    apr_array_header_t *names = apr_array_copy_hdr(
        start->pconf, acme_managed_allowed(start->plan, managed));

    if (names->nelts > ACME_MAX_IDENTS) {
        names->nelts = ACME_MAX_IDENTS;
    }
    return names;
}

static void use_placeholder(start_t *start, served_t *served,
                            const acme_managed_t *managed, server_rec *s)
{
    const apr_array_header_t *names = placeholder_names(start, managed);
    const char *chain, *key;
    acme_err_t *err = NULL;

    if (!start->unusable) {
        err = acme_store_placeholder(&chain, &key, start->store, managed->dir,
                                     names, start->now, start->pconf);
        if (err) {
            tell(start, s, managed->name, err);
        }
    }
    if (start->unusable || err) {
        err = acme_emergency_placeholder(&chain, &key, names, start->now,
                                         start->pconf);
        if (err) {
            tell(start, s, managed->name, err);
            return;
        }
    }
    add_files(served, chain, key);
}

static served_t *serve(start_t *start, acme_managed_t *managed, server_rec *s)
{
    served_t *served =
        apr_hash_get(start->served, managed->name, APR_HASH_KEY_STRING);

    if (served) {
        return served;
    }
    served = apr_pcalloc(start->pconf, sizeof(*served));
    served->chains = apr_array_make(start->pconf, 1, sizeof(const char *));
    served->keys = apr_array_make(start->pconf, 1, sizeof(const char *));
    if (!start->store || !use_sets(start, served, managed, s)) {
        use_placeholder(start, served, managed, s);
    }
    served->live =
        acme_tls_live(managed, served->base, start->store, start->pconf);
    apr_hash_set(start->served, managed->name, APR_HASH_KEY_STRING, served);
    apr_pool_clear(start->scratch);
    return served;
}

int acme_start_cert_files(server_rec *s, apr_pool_t *pool,
                          apr_array_header_t *cert_files,
                          apr_array_header_t *key_files)
{
    start_t *start = the_start;
    apr_uint64_t began = cpu_now();
    acme_managed_t *managed;
    served_t *served;

    (void)pool;
    if (!start
        || !(managed = acme_managed_tls(start->plan, s, cert_files->nelts))) {
        return DECLINED;
    }
    served = serve(start, managed, s);
    apr_array_cat(cert_files, served->chains);
    apr_array_cat(key_files, served->keys);
    acme_config_of(s)->live = served->live;
    start->hosts++;
    start->cpu += cpu_now() - began;
    return OK;
}

/* A name for the placeholder of a host that may have none that is valid. */
static const apr_array_header_t *fallback_names(const server_rec *s,
                                                apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 1, sizeof(acme_ident_t *));
    acme_ident_t *ident = NULL;

    if (!s->server_hostname
        || acme_ident_parse(&ident, s->server_hostname, pool)) {
        acme_err_t *err = acme_ident_parse(&ident, "left-alone.invalid", pool);

        (void)err; /* a constant that parses */
    }
    APR_ARRAY_PUSH(names, acme_ident_t *) = ident;
    return names;
}

int acme_start_fallback_files(server_rec *s, apr_pool_t *pool,
                              apr_array_header_t *cert_files,
                              apr_array_header_t *key_files)
{
    const acme_server_config_t *config = acme_config_of(s);
    start_t *start = the_start;
    const char *chain, *key;
    acme_err_t *err;

    (void)pool;
    if (!start || config->conf_command
        || (config->manage != ACME_MANAGE_ON
            && config->manage != ACME_MANAGE_NAMED)) {
        return DECLINED;
    }
    err = acme_emergency_placeholder(&chain, &key,
                                     fallback_names(s, start->pconf),
                                     start->now, start->pconf);
    if (err) {
        acme_log_err(s, "", err, start->scratch);
        return DECLINED;
    }
    APR_ARRAY_PUSH(cert_files, const char *) = chain;
    APR_ARRAY_PUSH(key_files, const char *) = key;
    return OK;
}

int acme_start_ssl_ctx(server_rec *s, apr_pool_t *pool, int is_proxy,
                       SSL_CTX *ctx)
{
    acme_server_config_t *config = acme_config_of(s);

    if (!is_proxy && config->live) {
        acme_tls_attach(ctx, config->live);
        config->tls = ctx;
        if (acme_stapling_attach(ctx, config->live, pool)) {
            config->managed->staple = 1;
        }
    }
    /* Also on hosts that are not ours: the CA asks where a name leads to, and
     * its name for an address leads to whichever host is the first. */
    if (!is_proxy && the_start && the_start->store) {
        acme_tlsalpn_allow(s, the_start->pconf);
    }
    return OK;
}

/* --- after mod_ssl ----------------------------------------------------------- */

/* What is kept up without a host (AcmeRenewMode always) is for other programs,
 * which find it where it is adopted. */
static void adopt_hostless(start_t *start, server_rec *s,
                           const apr_array_header_t *managed)
{
    int i, family;

    for (i = 0; i < managed->nelts; ++i) {
        acme_managed_t *one = APR_ARRAY_IDX(managed, i, acme_managed_t *);
        served_t unserved = { 0 };

        for (family = 0; family < ACME_FAMILIES && !one->in_use; ++family) {
            if (wants(one->policy, family)) {
                promote(start, &unserved, one, family, s);
            }
        }
    }
    apr_pool_clear(start->scratch);
}

/* @return why no engine will work */
static acme_err_t *run_engine(start_t *start, server_rec *s,
                              acme_live_table_t *table,
                              const apr_array_header_t *managed)
{
    const acme_global_config_t *global = acme_config_global();
    acme_engine_config_t *config = apr_pcalloc(start->pconf, sizeof(*config));

    config->managed = managed;
    config->concurrency = global->concurrency;
    config->port_80 = global->port_80;
    config->port_443 = global->port_443;
    config->retry_first = global->retry_first;
    config->retry_max = global->retry_max;
    config->version = ACME_VERSION;
    return acme_runner_start(s, config, start->store, table, start->pconf);
}

static void begin_engine(start_t *start, server_rec *s,
                         const apr_array_header_t *managed)
{
    acme_err_t *err = start->refusal; /* told where it was met */
    acme_live_table_t *table;

    if (!err && start->store
        && (table = acme_start_fill_table(start, s, managed))
        && (err = run_engine(start, s, table, managed))) {
        tell(start, s, "", err);
    }
    if (err) {
        acme_standstill_begin(err, managed, start->store, start->now,
                              start->pconf);
    }
}

/* Whether a DNS record is to be taken away, or a gate to be shut, of a host that is
 * managed no more: that needs an engine, even for no certificate. */
static int is_owed(start_t *start)
{
    if (!start->store && !start->unusable) {
        const acme_store_options_t options = store_options(0);
        acme_err_t *none =
            acme_store_open(&start->store, &options, start->pconf);

        if (none) {
            start->store = NULL;
        }
    }
    return start->store && !start->unusable
           && acme_store_is_owed(start->store, start->scratch);
}

/* httpd then allows each child to be dumped, and with that to be looked into. */
static void tell_dumps(const start_t *start, server_rec *s)
{
    if (ap_coredumpdir_configured && geteuid() == 0
        && ap_unixd_config.user_id != 0) {
        acme_log_msg(s, start->scratch, ACME_W_CORE_DUMPS,
                     ap_unixd_config.user_name, NULL);
    }
}

/* Whether it belongs to root was looked at when it was opened; by then it may have
 * been any directory of root's. */
static void tell_exposed(const start_t *start, server_rec *s)
{
    const char *path = acme_config_global()->store;
    const char *fault = geteuid() == 0 && ap_unixd_config.user_id != 0
                            ? acme_owned_fault(path, start->scratch)
                            : NULL;

    if (fault) {
        acme_log_msg(s, start->scratch, ACME_W_STORE_EXPOSED, path, fault,
                     NULL);
    }
}

static void begin_service(start_t *start, server_rec *s)
{
    const apr_array_header_t *managed = acme_managed_finish(start->plan);

    if (managed->nelts) {
        tell_dumps(start, s);
    }
    if (start->store && !start->unusable) {
        tell_exposed(start, s);
    }
    if (!start->unusable) {
        acme_uses_note(s, managed, start->store, start->scratch);
    }
    adopt_hostless(start, s, managed);
    acme_reload_settle(s, managed, start->pconf);
    if (managed->nelts || is_owed(start)) {
        begin_engine(start, s, managed);
    }
    if (start->store && !start->unusable) {
        acme_farewell_plan(s, start->store, start->pconf);
    }
    acme_require_https_plan(s, start->pconf, start->scratch);
    acme_installed_run(start->installed, s, start->scratch);
}

int acme_start_after_ssl(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                         server_rec *s)
{
    start_t *start = the_start;
    apr_uint64_t began = cpu_now();

    (void)pconf;
    (void)plog;
    if (start->store && !start->unusable) {
        acme_store_sync(start->store);
    }
    if (start->real) {
        begin_service(start, s);
    }
    /* for both passes of a start: an administrator waits for both */
    start->cpu += cpu_now() - began;
    acme_log_msg(s, ptemp, ACME_D_HOOKS_CPU,
                 apr_psprintf(ptemp, "%" APR_UINT64_T_FMT, start->cpu),
                 apr_itoa(ptemp, start->hosts), NULL);
    the_start = NULL; /* its plan goes with ptemp */
    return OK;
}
