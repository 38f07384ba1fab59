/* Which account is meant, and how its CA is reached. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "engine/duty.h"

typedef struct choice_t {
    acme_engine_t *engine;
    const char *text; /* what was written, or NULL */
    int stored;
    apr_pool_t *pool;
    apr_hash_t *seen; /* directories of configured accounts */
    acme_chosen_t found;
    int count;
    const char *names;  /* of all that there are */
    acme_err_t *unread; /* of one that is there; or NULL */
} choice_t;

static const char *alias_of(const char *url)
{
    const acme_policy_ca_t *known = acme_policy_find_ca(url);
    return known && known->alias ? known->alias : NULL;
}

static int is_meant(const choice_t *choice, const acme_chosen_t *one)
{
    const char *alias = alias_of(one->url), *text = choice->text;

    return !text || !strcmp(text, one->dir) || !strcmp(text, one->url)
           || (alias && !strcasecmp(text, alias));
}

/* Where nothing is said, an account that was closed is not meant. */
static int is_there(choice_t *choice, const char *dir, const char **url)
{
    acme_account_t *account;
    acme_err_t *err = acme_store_get_account(&account, choice->engine->store,
                                             dir, choice->pool);
    if (err && (err->msg == ACME_E_STORE_IO || err->msg == ACME_E_MEMORY)) {
        /* for a moment, perhaps */
        choice->unread = err;
    }
    /* Of one that is damaged, nothing can be said or changed. */
    if (err || !account || (!choice->text && account->state.closed)) {
        return 0;
    }
    *url = account->directory_url;
    return 1;
}

static void consider(choice_t *choice, const acme_chosen_t *one)
{
    choice->names = apr_pstrcat(choice->pool, choice->names,
                                *choice->names ? ", " : "", one->dir, NULL);
    if (is_meant(choice, one)) {
        choice->found = *one;
        choice->count++;
    }
}

static void add_configured(choice_t *choice, const acme_managed_t *managed,
                           int ca)
{
    const acme_ca_t *settings = &managed->policy->cas[ca];
    const char *dir = acme_policy_account(settings, choice->pool);
    const char *url = settings->url;

    if (apr_hash_get(choice->seen, dir, APR_HASH_KEY_STRING)) {
        return;
    }
    apr_hash_set(choice->seen, dir, APR_HASH_KEY_STRING, dir);
    if (!choice->stored || is_there(choice, dir, &url)) {
        consider(choice, &(acme_chosen_t){ dir, url, managed, ca });
    }
}

/* Accounts that no host uses any more. */
static acme_err_t *add_others(choice_t *choice)
{
    apr_array_header_t *dirs;

    ACME_TRY(
        acme_store_list_accounts(&dirs, choice->engine->store, choice->pool));
    for (int i = 0; i < dirs->nelts; i++) {
        const char *dir = APR_ARRAY_IDX(dirs, i, const char *), *url;
        if (!apr_hash_get(choice->seen, dir, APR_HASH_KEY_STRING)
            && is_there(choice, dir, &url)) {
            consider(choice, &(acme_chosen_t){ dir, url, NULL, 0 });
        }
    }
    return NULL;
}

acme_err_t *acme_duty_choose(acme_chosen_t *chosen, acme_engine_t *engine,
                             const char *text, int stored, apr_pool_t *pool)
{
    const apr_array_header_t *all = engine->config->managed;
    choice_t choice = { engine, text, stored, pool, apr_hash_make(pool),
                        { 0 },  0,    "",     NULL };

    for (int i = 0; i < all->nelts; i++) {
        const acme_managed_t *managed = APR_ARRAY_IDX(all, i, acme_managed_t *);
        for (int ca = 0; ca < managed->policy->ca_count; ca++) {
            add_configured(&choice, managed, ca);
        }
    }
    if (stored) {
        ACME_TRY(add_others(&choice));
    }
    if (choice.unread && (!text || !choice.count)) {
        return choice.unread; /* it may be the one that is meant */
    }
    if (choice.count == 1) {
        *chosen = choice.found;
        return NULL;
    }
    const char *names = *choice.names ? choice.names : "none";
    return choice.count
               ? acme_err_make(pool, ACME_E_ACCOUNT_WHICH, names, NULL)
               : acme_err_make(pool, ACME_E_ACCOUNT_NONE,
                               text ? acme_encode_printable(text, 253, pool)
                                    : "any CA",
                               names, NULL);
}

acme_transport_ca_t acme_duty_ca(const acme_engine_t *engine, const char *url)
{
    const apr_array_header_t *all = engine->config->managed;
    acme_transport_ca_t way = { .patience = engine->config->patience };

    for (int i = 0; i < all->nelts; i++) {
        const acme_policy_t *policy =
            APR_ARRAY_IDX(all, i, acme_managed_t *)->policy;
        for (int ca = 0; ca < policy->ca_count; ca++) {
            if (!strcmp(policy->cas[ca].url, url)) {
                way.trust_file = policy->cas[ca].trust_file;
                way.proxy = policy->proxy;
                return way;
            }
        }
        way.proxy = policy->proxy; /* as good a guess as any */
    }
    return way;
}
