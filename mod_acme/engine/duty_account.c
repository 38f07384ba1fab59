/* Changes of an account that stay with it: contacts, key, end. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/jws.h"
#include "engine/duty.h"

/* --- the account ------------------------------------------------------------------ */

const char *acme_duty_prefix(const acme_duty_t *duty)
{
    return apr_pstrcat(duty->engine->scratch, "[", duty->account_dir, "]",
                       NULL);
}

acme_err_t *acme_duty_load(acme_duty_t *duty)
{
    ACME_TRY(acme_store_get_account(&duty->account, duty->engine->store,
                                    duty->account_dir, duty->pool));
    return duty->account
               ? NULL
               : acme_err_make(duty->engine->scratch, ACME_E_ACCOUNT_NONE,
                               duty->account_dir, "it is gone", NULL);
}

static acme_err_t *save(acme_duty_t *duty)
{
    return acme_store_put_account(duty->engine->store, duty->account_dir,
                                  duty->account, duty->engine->scratch);
}

acme_duty_t *acme_duty_for_account(acme_engine_t *engine,
                                   const acme_control_t *request, int stored,
                                   const acme_duty_ways_t *ways)
{
    acme_duty_t *duty = acme_duty_make(engine, request, ways);
    const json_t *begun;
    acme_chosen_t chosen;
    acme_err_t *err = acme_duty_recall(&begun, duty, "account");
    if (!err) { /* one that is closed by now would not be meant any more */
        err = acme_duty_choose(&chosen, engine,
                               begun ? json_string_value(begun)
                                     : acme_control_text(request, "ca"),
                               stored, engine->scratch);
    }
    if (!err) {
        err =
            acme_duty_remember(duty, json_pack("{s:s}", "account", chosen.dir));
    }
    if (err) {
        acme_duty_refuse(duty, err);
        return NULL;
    }
    duty->account_dir = apr_pstrdup(duty->pool, chosen.dir);
    duty->config.directory_url = apr_pstrdup(duty->pool, chosen.url);
    duty->ca = acme_duty_ca(engine, chosen.url);
    if (chosen.managed) {
        duty->link = acme_link_for(engine, chosen.managed, chosen.ca);
    }
    return duty;
}

acme_err_t *acme_duty_refuse_own(const acme_duty_t *duty)
{
    const acme_account_key_t *given =
        duty->link ? duty->link->settings->account_key : NULL;

    return given && given->file ? acme_err_make(
               duty->engine->scratch, ACME_E_ACCOUNT_OWN, given->file, NULL)
                                : NULL;
}

/* The account as it is now, for an errand about it. */
static acme_err_t *begin(acme_duty_t *duty, acme_errand_kind_t kind)
{
    ACME_TRY(acme_duty_load(duty));
    duty->config.kind = kind;
    duty->config.directory_url = duty->account->directory_url;
    duty->config.key = duty->account->key;
    duty->config.kid = duty->account->state.kid;
    return NULL;
}

static acme_err_t *keep(acme_duty_t *duty)
{
    duty->account->state.kid = acme_errand_kid(duty->errand);
    duty->account->change = duty->id;
    return save(duty);
}

/* The one that asks was served by an engine that is gone. */
static int was_served(const acme_duty_t *duty)
{
    const char *change = duty->account->change;
    return duty->id && change && !strcmp(change, duty->id)
           && !duty->account->next_key;
}

/* --- contacts --------------------------------------------------------------------- */

static const char *configured_contacts(const acme_duty_t *duty)
{
    const apr_array_header_t *contacts =
        duty->link ? duty->link->managed->policy->contacts : NULL;
    return contacts ? apr_array_pstrcat(duty->pool, contacts, ',') : "";
}

static acme_err_t *contact_begin(acme_duty_t *duty)
{
    return begin(duty, ACME_ERRAND_CONTACTS);
}

static acme_err_t *contact_done(acme_duty_t *duty)
{
    acme_account_state_t *state = &duty->account->state;
    const char *told =
        apr_array_pstrcat(duty->pool, duty->config.contacts, ',');
    const char *configured = configured_contacts(duty);
    int differs = strcmp(told, configured) != 0;
    const char *words = *told ? told : "none";

    state->contacts = told;
    state->overruled = differs ? configured : NULL;
    ACME_TRY(keep(duty));
    acme_duty_log(duty, acme_duty_prefix(duty), ACME_I_CONTACTS_SET, words,
                  acme_duty_by(duty), NULL);
    duty->outcome = apr_psprintf(
        duty->pool, "the contacts of %s are now: %s%s%s%s", duty->account_dir,
        words, differs ? "; AcmeContact has other ones (" : "",
        !differs      ? ""
        : *configured ? configured
                      : "none",
        differs ? "), which are told to the CA once that directive is changed"
                : "");
    return NULL;
}

void acme_duty_contact(acme_engine_t *engine, const acme_control_t *request,
                       int again)
{
    static const acme_duty_ways_t WAYS = { contact_begin, contact_done, NULL };
    const char *text = acme_control_text(request, "contacts");
    acme_duty_t *duty = acme_duty_for_account(engine, request, 1, &WAYS);
    char *next = NULL, *word;

    (void)again;
    if (!duty) {
        return;
    }
    duty->config.contacts = apr_array_make(duty->pool, 2, sizeof(char *));
    word = apr_strtok(apr_pstrdup(duty->pool, text ? text : ""), ",", &next);
    for (; word; word = apr_strtok(NULL, ",", &next)) {
        APR_ARRAY_PUSH(duty->config.contacts, const char *) = word;
    }
    acme_duty_enter(duty);
}

/* --- rollover --------------------------------------------------------------------- */

static const char *thumbprint(EVP_PKEY *key, apr_pool_t *pool)
{
    const char *text;
    acme_err_t *err = acme_jws_thumbprint(&text, key, pool);
    return err ? "?" : text;
}

/* The new key is on disk before the CA hears of it. RFC 8555 section 7.3.5. */
static acme_err_t *rollover_begin(acme_duty_t *duty)
{
    ACME_TRY(begin(duty, ACME_ERRAND_ROLLOVER));
    if (was_served(duty)) {
        duty->outcome =
            apr_pstrcat(duty->pool, duty->account_dir, " has a new key", NULL);
        return NULL;
    }
    duty->config.doubted = duty->account->next_key != NULL;
    if (!duty->account->next_key) {
        ACME_TRY(acme_duty_refuse_own(duty));
        duty->account->next_key = duty->new_key;
        duty->account->change = duty->id;
        ACME_TRY(save(duty));
    }
    else {
        acme_duty_log(duty, acme_duty_prefix(duty), ACME_W_ROLLOVER_FOUND,
                      NULL);
    }
    duty->config.new_key = duty->account->next_key;
    return NULL;
}

static acme_err_t *rollover_done(acme_duty_t *duty)
{
    const char *name = thumbprint(duty->account->next_key, duty->pool);
    acme_key_type_t type;

    duty->account->key = duty->account->next_key;
    duty->account->next_key = NULL;
    ACME_TRY(keep(duty));
    int known = !acme_key_type_of(&type, duty->account->key);
    acme_duty_log(duty, acme_duty_prefix(duty), ACME_I_ROLLED_OVER,
                  known ? acme_key_type_name(type) : "?", name,
                  acme_duty_by(duty), NULL);
    duty->outcome = apr_psprintf(
        duty->pool, "%s has a new key (%s), thumbprint %s", duty->account_dir,
        known ? acme_key_type_name(type) : "?", name);
    return NULL;
}

/* Only where the CA has not taken the new key for certain, it is thrown away. */
static const acme_err_t *rollover_failed(acme_duty_t *duty,
                                         const acme_err_t *err)
{
    acme_engine_t *engine = duty->engine;

    if (acme_errand_is_unclear(duty->errand)) {
        return err;
    }
    duty->account->next_key = NULL;
    acme_err_t *failed = acme_engine_note(engine, save(duty));
    if (failed) {
        acme_engine_log_error(engine, NULL, failed);
    }
    return err;
}

static const acme_duty_ways_t ROLLOVER = { rollover_begin, rollover_done,
                                           rollover_failed };

static void on_key(void *baton, EVP_PKEY *key, const char *reason)
{
    acme_duty_t *duty = baton;
    acme_engine_t *engine = duty->engine;

    duty->wish = NULL;
    if (!key) {
        acme_duty_refuse(duty, acme_keymaker_failure(duty->new_type, reason,
                                                     engine->scratch));
        return;
    }
    acme_key_own(key, duty->pool);
    duty->new_key = key;
    acme_timer_hasten(engine->timers, &duty->timer, ACME_DUE_LINK);
}

static acme_err_t *make_key(acme_duty_t *duty, const char *type_name)
{
    const acme_account_key_t *given =
        duty->link ? duty->link->settings->account_key : NULL;
    acme_key_type_t type = given ? given->type : ACME_KEY_ECDSA_P256;

    if (type_name && acme_key_type_parse(&type, type_name)) {
        return acme_err_make(duty->engine->scratch, ACME_E_REQUEST_ARGUMENT,
                             "type", NULL);
    }
    duty->new_type = type;
    if (acme_key_family(type) == ACME_FAMILY_RSA) { /* takes its time */
        return acme_keymaker_ask(&duty->wish, duty->engine->keymaker, type, 0,
                                 on_key, duty, duty->engine->scratch);
    }
    return acme_key_make(&duty->new_key, type, duty->pool);
}

void acme_duty_rollover(acme_engine_t *engine, const acme_control_t *request,
                        int again)
{
    acme_duty_t *duty = acme_duty_for_account(engine, request, 1, &ROLLOVER);
    acme_duty_t *under_way =
        duty ? acme_duty_of(engine, duty->account_dir) : NULL;

    if (!duty) {
        return;
    }
    if (again && under_way && under_way->ways == &ROLLOVER && !under_way->id) {
        under_way->id = apr_pstrdup(under_way->pool, request->id);
        under_way->by = apr_pstrdup(under_way->pool, duty->by);
        apr_pool_destroy(duty->pool);
        return;
    }
    acme_err_t *err = make_key(duty, acme_control_text(request, "type"));
    if (err) {
        acme_duty_refuse(duty, err);
        return;
    }
    acme_duty_enter(duty);
}

void acme_duty_recover(acme_link_t *link)
{
    acme_duty_t *duty;

    link->resting = 1;
    if (acme_duty_of(link->engine, link->account_dir)) {
        return;
    }
    duty = acme_duty_make(link->engine, NULL, &ROLLOVER);
    duty->account_dir = link->account_dir;
    duty->link = link;
    duty->rests = 1;
    duty->ca = link->ca;
    acme_duty_enter(duty);
}

/* --- the end ---------------------------------------------------------------------- */

static acme_err_t *deactivate_begin(acme_duty_t *duty)
{
    ACME_TRY(begin(duty, ACME_ERRAND_DEACTIVATE));
    if (duty->account->state.closed) {
        duty->outcome =
            apr_pstrcat(duty->pool, duty->account_dir, " is deactivated", NULL);
        return NULL;
    }
    return duty->account->next_key
               ? acme_err_make(duty->engine->scratch, ACME_E_ACCOUNT_BUSY,
                               duty->account_dir, NULL)
               : NULL;
}

static acme_err_t *deactivate_done(acme_duty_t *duty)
{
    const char *kid = acme_errand_kid(duty->errand);

    duty->account->state.closed = acme_engine_now(duty->engine);
    ACME_TRY(keep(duty));
    acme_duty_log(duty, acme_duty_prefix(duty), ACME_I_DEACTIVATED,
                  kid ? kid : "of this key", acme_duty_by(duty), NULL);
    duty->outcome = apr_psprintf(
        duty->pool,
        "%s is deactivated%s; nothing more is ordered with it, and no other "
        "account is made by itself",
        duty->account_dir,
        acme_errand_was_done(duty->errand) ? " (it was closed before)" : "");
    return NULL;
}

void acme_duty_deactivate(acme_engine_t *engine, const acme_control_t *request,
                          int again)
{
    static const acme_duty_ways_t WAYS = { deactivate_begin, deactivate_done,
                                           NULL };
    acme_duty_t *duty = acme_duty_for_account(engine, request, 1, &WAYS);

    (void)again;
    if (duty) {
        acme_duty_enter(duty);
    }
}
