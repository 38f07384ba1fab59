/* Another account in the place of the one there is: one that is there already at the
 * CA (import), or a new one (new). */
#include <apr_strings.h>
#include <string.h>

#include "engine/duty.h"

static acme_err_t *set_aside(acme_duty_t *duty)
{
    return acme_store_set_account_aside(duty->engine->store, duty->account_dir,
                                        duty->engine->scratch);
}

/* --- import ---------------------------------------------------------------------- */

static acme_err_t *import_begin(acme_duty_t *duty)
{
    ACME_TRY(acme_duty_refuse_own(duty));
    acme_err_t *err = acme_duty_load(duty);
    if (err && (err->msg == ACME_E_STORE_IO || err->msg == ACME_E_MEMORY)) {
        return err; /* for a moment perhaps: it may be this very one */
    }
    /* One that is damaged is replaced as well. */
    if (duty->account && EVP_PKEY_eq(duty->account->key, duty->new_key) == 1
        && duty->account->state.kid && !duty->account->state.closed) {
        duty->outcome = apr_pstrcat(duty->pool, "the account is ",
                                    duty->account->state.kid, NULL);
        return NULL;
    }
    duty->config.kind = ACME_ERRAND_FIND;
    duty->config.key = duty->new_key;
    return NULL;
}

static acme_err_t *import_done(acme_duty_t *duty)
{
    const char *kid = acme_errand_kid(duty->errand);
    acme_account_t account = { .directory_url = duty->config.directory_url,
                               .key = duty->new_key,
                               .change = duty->id,
                               .state = { .kid = kid } };

    ACME_TRY(acme_store_replace_account(duty->engine->store, duty->account_dir,
                                        &account, duty->engine->scratch));
    duty->other = 1;
    acme_duty_log(duty, acme_duty_prefix(duty), ACME_I_IMPORTED, kid,
                  acme_duty_by(duty), NULL);
    duty->outcome = apr_psprintf(
        duty->pool, "%s is now the account %s%s", duty->account_dir, kid,
        duty->account ? "; the one before was put aside" : "");
    return NULL;
}

static const acme_err_t *import_failed(acme_duty_t *duty, const acme_err_t *err)
{
    if (err->msg != ACME_E_ACCOUNT_UNKNOWN) {
        return err;
    }
    acme_err_t *unknown =
        acme_err_make(duty->engine->scratch, ACME_E_IMPORT_UNKNOWN,
                      duty->config.directory_url, NULL);
    unknown->detail = err->detail;
    return unknown;
}

void acme_duty_import(acme_engine_t *engine, const acme_control_t *request,
                      int again)
{
    static const acme_duty_ways_t WAYS = { import_begin, import_done,
                                           import_failed };
    acme_duty_t *duty = acme_duty_for_account(engine, request, 0, &WAYS);
    acme_err_t *err;

    (void)again;
    if (!duty) {
        return;
    }
    err = request->secret
              ? acme_key_adopt(&duty->new_key, "the key", request->secret,
                               strlen(request->secret), NULL, duty->pool)
              : acme_err_make(engine->scratch, ACME_E_REQUEST_ARGUMENT, "key",
                              NULL);
    if (err) {
        acme_duty_refuse(duty, err);
        return;
    }
    acme_duty_enter(duty);
}

/* --- new ------------------------------------------------------------------------- */

static void go_aside(acme_duty_t *duty)
{
    duty->other = 1;
    acme_duty_log(duty, acme_duty_prefix(duty), ACME_I_ACCOUNT_ASIDE,
                  acme_duty_by(duty), NULL);
    duty->outcome = apr_pstrcat(
        duty->pool, duty->account_dir,
        " is put aside; a new account is registered for the next order", NULL);
}

static acme_err_t *new_begin(acme_duty_t *duty)
{
    ACME_TRY(acme_duty_refuse_own(duty));
    ACME_TRY(acme_store_get_account(&duty->account, duty->engine->store,
                                    duty->account_dir, duty->pool));
    if (!duty->account) {
        duty->outcome = "there is none; it is registered for the next order";
        return NULL;
    }
    if (duty->account->state.closed) {
        ACME_TRY(set_aside(duty));
        go_aside(duty);
        return NULL;
    }
    duty->config.kind = ACME_ERRAND_FIND;
    duty->config.key = duty->account->key;
    return NULL;
}

/* An account that can be used is not left behind: CAs limit how many are made, and
 * nobody would look after it any more. */
static acme_err_t *new_done(acme_duty_t *duty)
{
    if (duty->again) { /* it is the new one */
        duty->outcome = apr_pstrcat(duty->pool, "the account is ",
                                    acme_errand_kid(duty->errand), NULL);
        return NULL;
    }
    return acme_err_make(duty->engine->scratch, ACME_E_ACCOUNT_OPEN,
                         acme_errand_kid(duty->errand), NULL);
}

static const acme_err_t *new_failed(acme_duty_t *duty, const acme_err_t *err)
{
    if (err->msg != ACME_E_ACCOUNT_CLOSED && err->msg != ACME_E_ACCOUNT_UNKNOWN
        && err->msg != ACME_E_CA_PROBLEM_UNAUTHORIZED) {
        return err;
    }
    acme_err_t *failed = acme_engine_note(duty->engine, set_aside(duty));
    if (!failed) {
        go_aside(duty);
    }
    return failed;
}

void acme_duty_new(acme_engine_t *engine, const acme_control_t *request,
                   int again)
{
    static const acme_duty_ways_t WAYS = { new_begin, new_done, new_failed };
    acme_duty_t *duty = acme_duty_for_account(engine, request, 0, &WAYS);

    if (duty) {
        duty->again = again;
        acme_duty_enter(duty);
    }
}
