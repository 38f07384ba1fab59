/** The account of a link: which it is, how it is made or found, what is kept. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/engine_impl.h"

/* Which of the certificates' settings hold for the account: consent adds up, and
 * so does impatience; of what it can have only one, the first's counts. */
static void add_policy(acme_link_t *link, const acme_policy_t *policy)
{
    apr_array_header_t *all = link->terms;

    if (policy->ca_count > 1) {
        link->config.nonce_patience = ACME_PATIENCE;
    }
    link->agree_terms |= policy->agree_terms;
    for (int i = 0; policy->terms && i < policy->terms->nelts; i++) {
        const char *url = APR_ARRAY_IDX(policy->terms, i, const char *);
        int known = 0;
        for (int k = 0; k < all->nelts && !known; k++) {
            known = !strcmp(APR_ARRAY_IDX(all, k, const char *), url);
        }
        if (!known) {
            APR_ARRAY_PUSH(all, const char *) = url;
        }
    }
}

/* Told once, for the first that differs. */
static void join(acme_link_t *link, const acme_managed_t *managed,
                 const acme_ca_t *ca)
{
    acme_engine_t *engine = link->engine;
    const acme_policy_t *policy = managed->policy, *first;

    first = link->managed->policy;
    add_policy(link, policy);
    const char *differs = acme_policy_account_differences(
        policy, ca, first, link->settings, engine->scratch);
    if (!*differs || link->differing) {
        return;
    }
    link->differing = 1;
    acme_err_t *told =
        acme_err_make(engine->scratch, ACME_W_ACCOUNT_SETTINGS, managed->name,
                      link->managed->name, differs, link->managed->name, NULL);
    acme_link_log(link, told->msg, told->text);
}

acme_link_t *acme_link_for(acme_engine_t *engine, const acme_managed_t *managed,
                           int ca)
{
    const acme_ca_t *settings = &managed->policy->cas[ca];
    const char *dir = acme_policy_account(settings, engine->scratch);
    acme_link_t *link;

    for (link = engine->links; link; link = link->next) {
        if (!strcmp(link->account_dir, dir)) {
            join(link, managed, settings);
            return link;
        }
    }
    link = apr_pcalloc(engine->pool, sizeof(*link));
    link->timer.kind = ACME_TIMER_LINK;
    link->engine = engine;
    link->account_dir = apr_pstrdup(engine->pool, dir);
    link->managed = managed;
    link->settings = settings;
    link->terms = apr_array_make(engine->pool, 1, sizeof(const char *));
    add_policy(link, managed->policy);
    link->state = ACME_SESSION_WAIT;
    link->ca.trust_file = settings->trust_file;
    link->ca.proxy = managed->policy->proxy;
    link->ca.patience = engine->config->patience;
    link->planner = acme_planner_for(engine, settings);
    link->backlog = acme_timers_create(engine->pool);
    link->held = acme_timers_create(engine->pool);
    link->asking.timer.kind = ACME_TIMER_ASK_LINK;
    link->asking.queue = acme_timers_create(engine->pool);
    apr_pool_create(&link->pool, engine->pool);
    apr_pool_create(&link->asking.pool, link->pool);
    link->next = engine->links;
    engine->links = link;
    engine->link_count++;
    return link;
}

acme_err_t *acme_link_may_order(const acme_link_t *link, const acme_job_t *job)
{
    const acme_directory_t *directory = acme_session_directory(link->session);
    if (!directory || !directory->terms
        || acme_policy_agrees(job->managed->policy, directory->terms)) {
        return NULL;
    }
    return acme_err_make(link->engine->scratch, ACME_E_TERMS, directory->terms,
                         NULL);
}

static const acme_account_key_t *own_key(const acme_link_t *link)
{
    const acme_account_key_t *given = link->settings->account_key;
    return given && given->file ? given : NULL;
}

/* The key is on disk before the CA hears of it: an account whose key is lost is
 * of no use to anybody. RFC 8555 section 7.3. */
static acme_err_t *keep_account(acme_link_t *link, EVP_PKEY *key)
{
    acme_account_t *account = apr_pcalloc(link->pool, sizeof(*account));

    account->directory_url = link->settings->url;
    account->key = key;
    ACME_TRY(acme_store_put_account(link->engine->store, link->account_dir,
                                    account, link->engine->scratch));
    link->account = account;
    return NULL;
}

static void on_key(void *baton, EVP_PKEY *key, const char *reason)
{
    acme_link_t *link = baton;
    acme_engine_t *engine = link->engine;
    acme_err_t *err;

    link->wish = NULL;
    if (key) {
        acme_key_own(key, link->pool);
        err = acme_engine_note(engine, keep_account(link, key));
    }
    else {
        err =
            acme_keymaker_failure(acme_policy_account_key_type(link->settings),
                                  reason, engine->scratch);
    }
    if (err) {
        apr_pool_create(&link->unmade_pool, link->pool);
        link->unmade = acme_err_dup(err, link->unmade_pool);
    }
    acme_timer_hasten(engine->timers, &link->timer, ACME_DUE_LINK);
}

static acme_err_t *take_unmade(acme_link_t *link)
{
    acme_err_t *err = acme_err_dup(link->unmade, link->engine->scratch);

    link->unmade = NULL;
    apr_pool_destroy(link->unmade_pool);
    return err;
}

void acme_link_forget_key(acme_link_t *link)
{
    if (link->wish) {
        acme_keymaker_forget(link->engine->keymaker, link->wish);
        link->wish = NULL;
    }
}

/* RSA takes its time, for which nobody may wait. */
static acme_err_t *make_account(acme_link_t *link)
{
    acme_key_type_t type = acme_policy_account_key_type(link->settings);
    acme_engine_t *engine = link->engine;
    EVP_PKEY *key;

    if (own_key(link)) {
        return keep_account(link, own_key(link)->key);
    }
    ACME_TRY(acme_planner_take_account(link));
    if (acme_key_family(type) == ACME_FAMILY_RSA) {
        return acme_keymaker_ask(&link->wish, engine->keymaker, type, 1, on_key,
                                 link, engine->scratch);
    }
    ACME_TRY(acme_key_make(&key, type, link->pool));
    return keep_account(link, key);
}

/* The administrator has written another key type since, and the CA has never taken
 * the key: as a rule it has refused it. One that may have served is kept. */
static int is_outdated(const acme_link_t *link, const acme_account_t *account)
{
    acme_key_type_t type;

    return !own_key(link) && !account->state.kid && !account->state.recovered
           && !account->state.closed && !account->next_key && !account->change
           && !acme_key_type_of(&type, account->key)
           && type != acme_policy_account_key_type(link->settings);
}

/* Aside rather than away: should the CA's word for it have been lost, the key is
 * still there. */
static acme_err_t *set_outdated_aside(acme_link_t *link,
                                      const acme_account_t *account)
{
    acme_engine_t *engine = link->engine;
    acme_key_type_t type;

    ACME_TRY(acme_store_set_account_aside(engine->store, link->account_dir,
                                          engine->scratch));
    const char *was = acme_key_type_of(&type, account->key)
                          ? "of another type"
                          : acme_key_type_name(type);
    acme_err_t *told = acme_err_make(
        engine->scratch, ACME_I_ACCOUNT_KEY_TYPE, was,
        acme_key_type_name(acme_policy_account_key_type(link->settings)), NULL);
    acme_link_log(link, told->msg, told->text);
    return NULL;
}

static acme_err_t *load_account(acme_link_t *link)
{
    acme_account_t *account = NULL;
    acme_err_t *err = acme_store_get_account(&account, link->engine->store,
                                             link->account_dir, link->pool);
    if (err && err->msg != ACME_E_STORE_DAMAGED && err->msg != ACME_E_SEAL) {
        return err;
    }
    if (err) {
        acme_err_t *told =
            acme_err_make(link->engine->scratch, ACME_W_ACCOUNT_DAMAGED,
                          link->account_dir, err->text, NULL);
        ACME_TRY(acme_store_set_account_aside(
            link->engine->store, link->account_dir, link->engine->scratch));
        acme_link_log(link, told->msg, told->text);
    }
    else if (account && !is_outdated(link, account)) {
        link->account = account;
        return NULL;
    }
    else if (account) {
        ACME_TRY(set_outdated_aside(link, account));
    }
    return make_account(link);
}

/* What could not be read before the fork, in root's words. */
static acme_err_t *check_secrets(const acme_link_t *link)
{
    const acme_external_t *external = link->settings->external;
    acme_err_t *fault = own_key(link) ? own_key(link)->fault : NULL;

    if (!fault && external && !external->kid) {
        fault = external->fault;
    }
    return acme_err_dup(fault, link->engine->scratch);
}

/* The binding is needed once: to register. */
static acme_err_t *check_binding(const acme_link_t *link)
{
    const acme_external_t *external = link->settings->external;

    return external && external->fault && !link->account->state.kid
               ? acme_err_dup(external->fault, link->engine->scratch)
               : NULL;
}

static acme_err_t *check_account(acme_link_t *link)
{
    apr_pool_t *scratch = link->engine->scratch;
    apr_time_t closed = link->account->state.closed;

    if (link->account->next_key && !link->resting) {
        acme_duty_recover(link);
    }
    if (link->resting) {
        return acme_err_make(scratch, ACME_E_ACCOUNT_BUSY, link->account_dir,
                             NULL);
    }
    return closed ? acme_err_make(scratch, ACME_E_ACCOUNT_DEACTIVATED,
                                  acme_time_format(closed, scratch), NULL)
                  : NULL;
}

acme_err_t *acme_link_open(acme_link_t *link)
{
    acme_session_config_t *config = &link->config;
    const acme_external_t *external = link->settings->external;
    if (link->session) {
        return NULL;
    }
    ACME_TRY(check_secrets(link));
    if (link->unmade) {
        return take_unmade(link);
    }
    if (!link->account && !link->wish) {
        ACME_TRY(acme_engine_note(link->engine, load_account(link)));
    }
    if (link->wish) {
        return NULL;
    }
    ACME_TRY(check_account(link));
    ACME_TRY(check_binding(link));
    config->directory_url = link->settings->url;
    config->key = link->account->key;
    config->adopted = own_key(link) != NULL;
    config->known = link->account->state;
    config->agree_terms = link->agree_terms;
    config->terms = link->terms;
    config->contacts = link->managed->policy->contacts;
    config->retry_first = link->engine->config->retry_first;
    config->retry_max = link->engine->config->retry_max;
    config->eab_kid = external && external->hmac ? external->kid : NULL;
    config->eab_hmac = external ? external->hmac : NULL;
    apr_pool_create(&link->session_pool, link->pool);
    link->session = acme_session_create(config, link->session_pool);
    return NULL;
}

/* --- what is kept ----------------------------------------------------------------- */

static int is_same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void tell_changes(acme_link_t *link, const acme_account_state_t *before)
{
    const acme_account_state_t *after = &link->account->state;
    acme_engine_t *engine = link->engine;
    acme_err_t *line;

    if (after->kid && !is_same(before->kid, after->kid)) {
        line = acme_err_make(engine->scratch, ACME_I_ACCOUNT, after->kid, NULL);
        acme_link_log(link, line->msg, line->text);
    }
    else if (after->contacts && !is_same(before->contacts, after->contacts)) {
        line = acme_err_make(engine->scratch, ACME_I_CONTACTS,
                             *after->contacts ? after->contacts : "none", NULL);
        acme_link_log(link, line->msg, line->text);
    }
    if (after->terms && before->kid && !is_same(before->terms, after->terms)) {
        line = acme_err_make(engine->scratch, ACME_I_TERMS_AGREED, after->terms,
                             NULL);
        acme_link_log(link, line->msg, line->text);
    }
}

/* Not saved is no great harm: the CA finds the account again by its key, and is
 * told once more what it was told. */
void acme_link_remember(acme_link_t *link)
{
    const acme_err_t *trouble = acme_session_take_trouble(link->session);
    acme_engine_t *engine = link->engine;
    const acme_account_state_t *now;
    acme_account_state_t before = link->account->state;
    acme_err_t *err;

    if (trouble) {
        acme_link_log(link, trouble->msg,
                      acme_err_line(trouble, engine->scratch));
    }
    if (!acme_session_account_changed(link->session)) {
        return;
    }
    acme_session_account_saved(link->session);
    now = acme_session_account(link->session);
    link->account->state = (acme_account_state_t){
        .kid = apr_pstrdup(link->pool, now->kid),
        .contacts = apr_pstrdup(link->pool, now->contacts),
        .terms = apr_pstrdup(link->pool, now->terms),
        .recovered = now->recovered,
        .overruled = apr_pstrdup(link->pool, now->overruled),
        .closed = now->closed,
    };
    err = acme_engine_note(
        engine, acme_store_put_account(engine->store, link->account_dir,
                                       link->account, engine->scratch));
    if (err) {
        acme_link_log(link, err->msg, acme_err_line(err, engine->scratch));
    }
    tell_changes(link, &before);
}
