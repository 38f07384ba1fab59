#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/jws.h"
#include "core/session_impl.h"

#define RECOVERY_LIFE apr_time_from_sec(60 * 60) /* between two */
#define PROBE_LIFE    apr_time_from_sec(60 * 60)
#define UPDATE_RETRY  apr_time_from_sec(60 * 60)

/* --- consent ---------------------------------------------------------------- */

static int names_terms(const acme_session_config_t *config, const char *url)
{
    int count = config->terms ? config->terms->nelts : 0;

    for (int i = 0; i < count; i++) {
        if (!strcmp(APR_ARRAY_IDX(config->terms, i, const char *), url)) {
            return 1;
        }
    }
    return 0;
}

static int agrees(const acme_session_config_t *config, const char *url)
{
    return config->agree_terms || (url && names_terms(config, url));
}

/* --- registration ----------------------------------------------------------- */

/* What can be known to fail without asking the CA. */
static acme_err_t *may_register(const acme_session_t *session, apr_pool_t *pool)
{
    const acme_session_config_t *config = session->config;
    const acme_directory_t *directory = session->directory;

    if (config->adopted) {
        return NULL; /* looked up, not registered */
    }
    if (directory->terms && !agrees(config, directory->terms)) {
        return acme_err_make(pool, ACME_E_TERMS, directory->terms, NULL);
    }
    if (directory->external_account_required && !config->eab_kid) {
        return acme_err_make(pool, ACME_E_EAB_MISSING, NULL);
    }
    return NULL;
}

/* Takes the reference to payload.
 * @param failed  something is missing in it, for want of memory */
static acme_err_t *set_payload(acme_request_t *request, json_t *payload,
                               int failed, apr_pool_t *pool)
{
    request->tries = 0;
    return acme_json_message(&request->payload, payload, failed,
                             "asking about an account", pool);
}

/* What is said to register one. */
static int put_registration(json_t *payload, const acme_session_t *session,
                            const char *binding)
{
    const acme_session_config_t *config = session->config;
    int failed = 0;

    if (agrees(config, session->directory->terms)) {
        failed |=
            json_object_set_new(payload, "termsOfServiceAgreed", json_true());
    }
    if (config->contacts && config->contacts->nelts) {
        failed |= json_object_set_new(payload, "contact",
                                      acme_json_texts(config->contacts));
    }
    if (binding) {
        failed |=
            acme_json_put_json(payload, "externalAccountBinding", binding);
    }
    return failed;
}

/* The newAccount request, RFC 8555 sections 7.3, 7.3.1 and 7.3.4. */
static acme_err_t *build_account(acme_session_t *session)
{
    const acme_session_config_t *config = session->config;
    acme_request_t *request = &session->asks[ACME_ASK_ACCOUNT];
    apr_pool_t *pool = session->account_pool;
    const char *binding = NULL;

    request->url = apr_pstrdup(pool, session->directory->new_account);
    if (config->eab_kid && !config->adopted) {
        ACME_TRY(acme_jws_bind(&binding, config->eab_kid, config->eab_hmac,
                               request->url, session->jwk, pool));
    }
    json_t *payload = json_object();
    int failed =
        config->adopted
            ? json_object_set_new(payload, "onlyReturnExisting", json_true())
            : put_registration(payload, session, binding);
    return set_payload(request, payload, failed, pool);
}

/* @return 1 if a request about the account can be made: none is under way, and a
 *         nonce is there for it */
static int may_ask(acme_session_step_t *step, acme_session_t *session,
                   apr_time_t now)
{
    int busy = session->under_way[ACME_ASK_ACCOUNT]
               || session->under_way[ACME_ASK_UPDATE];
    int wanted = busy ? session->account_unsigned : 1;

    if (busy || !acme_nonces_count(session->nonces)) {
        acme_session_step_nonce(step, session, wanted, ACME_SESSION_WAIT, now);
        return 0;
    }
    return 1;
}

/* Register, or find what is registered: newAccount is both for one key. */
static void step_register(acme_session_step_t *step, acme_session_t *session,
                          apr_time_t now)
{
    acme_err_t *err = NULL;

    if (!session->under_way[ACME_ASK_ACCOUNT]
        && !session->under_way[ACME_ASK_UPDATE]) {
        apr_pool_clear(session->account_pool);
        err = may_register(session, session->account_pool);
    }
    if (!err) {
        if (!may_ask(step, session, now)) {
            return;
        }
        err = build_account(session);
    }
    if (err) {
        acme_session_fail(session, err, now);
        return;
    }
    session->account_unsigned = 1;
    acme_session_step_send(step, session, ACME_ASK_ACCOUNT);
}

/* --- telling the account ---------------------------------------------------- */

static int contacts_differ(const acme_session_t *session)
{
    const char *told = session->account.contacts;
    const char *overruled = session->account.overruled;

    if (overruled && !strcmp(overruled, session->contacts)) {
        return 0; /* acmectl account contact came after them */
    }
    /* Of an account of which nothing is known, a contact may be news; none is
     * not worth a request. */
    return strcmp(told ? told : "", session->contacts) != 0;
}

static acme_update_t wanted_update(const acme_session_t *session,
                                   apr_time_t now)
{
    if (session->doubted) {
        return ACME_UPDATE_PROBE;
    }
    if (session->terms_asked) {
        return ACME_UPDATE_TERMS;
    }
    if (contacts_differ(session) && now >= session->contacts_due) {
        return ACME_UPDATE_CONTACTS;
    }
    return ACME_UPDATE_NONE;
}

static acme_err_t *build_update(acme_session_t *session)
{
    acme_request_t *request = &session->asks[ACME_ASK_UPDATE];
    apr_pool_t *pool = session->account_pool;

    apr_pool_clear(pool);
    request->url = apr_pstrdup(pool, session->account.kid);
    if (session->update == ACME_UPDATE_PROBE) {
        request->payload = "";
        request->tries = 0;
        return NULL;
    }
    json_t *payload = json_object();
    int failed =
        session->update == ACME_UPDATE_TERMS
            ? json_object_set_new(payload, "termsOfServiceAgreed", json_true())
            : json_object_set_new(payload, "contact",
                                  acme_json_texts(session->config->contacts));
    return set_payload(request, payload, failed, pool);
}

int acme_session_step_account(acme_session_step_t *step,
                              acme_session_t *session, apr_time_t now)
{
    if (session->config->no_account) {
        return 1;
    }
    if (!session->account.kid) {
        step_register(step, session, now);
        return 0;
    }
    if (!session->update) {
        session->update = wanted_update(session, now);
    }
    if (!session->update) {
        return 1;
    }
    if (may_ask(step, session, now)) {
        acme_err_t *err = build_update(session);
        if (err) {
            acme_session_fail(session, err, now);
            return 0;
        }
        session->account_unsigned = 1;
        acme_session_step_send(step, session, ACME_ASK_UPDATE);
    }
    return 0;
}

/* --- what was answered ------------------------------------------------------ */

/* Nothing in the body is needed; a CA that sends none is let pass. */
static acme_err_t *check_status(const acme_reply_t *reply, apr_pool_t *pool)
{
    const char *status = NULL;
    json_t *account;
    acme_err_t *err = acme_json_parse(&account, reply->body, reply->len,
                                      ACME_MAX_JSON, "account", pool);

    if (!err) {
        status = acme_json_string(account, "status");
    }
    else if (err->msg == ACME_E_MEMORY) {
        return err;
    }
    if (status && strcmp(status, "valid")) {
        return acme_err_make(pool, ACME_E_ACCOUNT_CLOSED,
                             acme_encode_printable(status, 32, pool), NULL);
    }
    return NULL;
}

/* RFC 8555 section 7.3: 201 for a new account, 200 for one that is there; the
 * account URL is in Location. */
static acme_err_t *on_account(const acme_session_t *session,
                              const acme_reply_t *reply, apr_time_t now,
                              apr_pool_t *pool)
{
    acme_err_t *err;

    if (!acme_reply_is_success(reply)) {
        err = acme_reply_error(reply, now, pool);
        if (err->msg == ACME_E_CA_PROBLEM_ACCOUNT && session->config->adopted) {
            acme_err_t *unknown =
                acme_err_make(pool, ACME_E_ACCOUNT_UNKNOWN, NULL);
            unknown->detail = err->detail;
            return unknown;
        }
        if (err->msg == ACME_E_CA_PROBLEM_KEY) {
            acme_err_t *refused =
                acme_err_make(pool, ACME_E_ACCOUNT_KEY_REFUSED, NULL);
            refused->detail = err->detail;
            refused->instance = err->instance;
            return refused;
        }
        return err;
    }
    if (!reply->location || !acme_url_valid(reply->location)) {
        return acme_err_make(pool, ACME_E_CA_RESOURCE, "newAccount reply",
                             "Location is no https:// URL", NULL);
    }
    return check_status(reply, pool);
}

/* What of a registration the CA has heard now. An account that was there may
 * know other contacts: a newAccount changes none. */
static void learn(acme_session_t *session, const acme_reply_t *reply)
{
    acme_account_state_t *account = &session->account;

    account->kid = apr_pstrdup(session->pool, reply->location);
    if (reply->status == 201) {
        account->contacts = session->contacts;
        account->overruled = NULL;
        account->terms = apr_pstrdup(session->pool, session->directory->terms);
    }
    else if (!session->config->known.kid
             || strcmp(account->kid, session->config->known.kid)) {
        account->contacts = NULL;
    }
    session->account_changed = 1;
}

void acme_session_feed_account(acme_session_t *session,
                               const acme_reply_t *reply, apr_time_t now)
{
    acme_err_t *err;

    apr_pool_clear(session->account_pool);
    err = on_account(session, reply, now, session->account_pool);
    if (err) {
        acme_session_fail(
            session, acme_err_wrap(err, session->account_pool, "newAccount"),
            now);
        return;
    }
    learn(session, reply);
    acme_session_succeed(session);
}

/* Said once in the log; the orders go on. */
static void note_trouble(acme_session_t *session, acme_err_t *err,
                         const char *what)
{
    apr_pool_clear(session->trouble_pool);
    session->trouble = acme_err_wrap(acme_err_dup(err, session->trouble_pool),
                                     session->trouble_pool, what);
}

/* The account may not even be read: it is closed. */
static void on_probe(acme_session_t *session, const acme_reply_t *reply,
                     acme_err_t *err, apr_time_t now)
{
    session->doubted = 0;
    session->probed = now;
    if (!err) {
        err = check_status(reply, session->account_pool);
    }
    else if (err->msg == ACME_E_CA_PROBLEM_UNAUTHORIZED) {
        acme_err_t *closed = acme_err_make(
            session->account_pool, ACME_E_ACCOUNT_CLOSED, "not valid", NULL);
        closed->detail = err->detail;
        err = closed;
    }
    if (err && err->msg == ACME_E_ACCOUNT_CLOSED) {
        session->doubted = 1; /* until it is open again */
        acme_session_fail(session, err, now);
    }
}

/* Whether the CA has heard it, if only to refuse: it is not told again. */
static int is_heard(const acme_reply_t *reply)
{
    return !reply->failure && reply->status < 500 && reply->status != 429;
}

static void on_contacts(acme_session_t *session, const acme_reply_t *reply,
                        acme_err_t *err, apr_time_t now)
{
    if (is_heard(reply)) {
        session->account.contacts = session->contacts;
        session->account.overruled = NULL;
        session->account_changed = 1;
    }
    session->contacts_due = now + UPDATE_RETRY;
    if (err) {
        note_trouble(session, err, "change of contacts");
    }
}

static void on_terms(acme_session_t *session, const acme_reply_t *reply,
                     acme_err_t *err)
{
    if (is_heard(reply)) {
        session->account.terms = session->terms_asked;
        session->account_changed = 1;
    }
    session->terms_asked = NULL;
    if (err) {
        note_trouble(session, err, "agreement to terms of service");
    }
}

void acme_session_feed_update(acme_session_t *session,
                              const acme_reply_t *reply, apr_time_t now)
{
    acme_update_t update = session->update;
    acme_err_t *err = NULL;

    if (!update) {
        return; /* the account is another now */
    }
    session->update = ACME_UPDATE_NONE;
    apr_pool_clear(session->account_pool);
    if (!acme_reply_is_success(reply)) {
        err = acme_reply_error(reply, now, session->account_pool);
    }
    if (update == ACME_UPDATE_PROBE) {
        on_probe(session, reply, err, now);
    }
    else if (update == ACME_UPDATE_CONTACTS) {
        on_contacts(session, reply, err, now);
    }
    else {
        on_terms(session, reply, err);
    }
}

/* --- mending ---------------------------------------------------------------- */

/* The CA does not know the account: register it again, unless that was done
 * within the hour and has not helped. */
static int recover(acme_session_t *session, apr_time_t now)
{
    acme_account_state_t *account = &session->account;

    if (account->recovered && account->recovered <= now
        && now < account->recovered + RECOVERY_LIFE) {
        return 0;
    }
    account->recovered = now;
    account->kid = NULL;
    session->account_changed = 1;
    session->epoch++;
    session->update = ACME_UPDATE_NONE;
    session->doubted = 0;
    return 1;
}

/* The CA wants consent to other terms than before, which only counts as given
 * where the administrator has written just their address. */
static int agree(acme_session_t *session, const acme_reply_t *reply,
                 apr_pool_t *scratch)
{
    const apr_array_header_t *links =
        acme_reply_links(reply, "terms-of-service", NULL, scratch);
    const char *url = links->nelts ? APR_ARRAY_IDX(links, 0, const char *)
                                   : session->directory->terms;
    const char *told = session->account.terms;

    if (!url || !names_terms(session->config, url)
        || (told && !strcmp(told, url))) {
        return 0;
    }
    session->terms_asked = apr_pstrdup(session->pool, url);
    return 1;
}

/* An order is refused to a closed account, and to one that may not order this:
 * the account itself tells which. */
static int doubt(acme_session_t *session, const acme_request_t *request,
                 apr_time_t now)
{
    if (strcmp(request->url, session->directory->new_order)
        || (session->probed && session->probed <= now
            && now < session->probed + PROBE_LIFE)) {
        return 0;
    }
    session->doubted = 1;
    return 1;
}

int acme_session_mend(acme_session_t *session, const acme_request_t *request,
                      const acme_reply_t *reply, const char *problem_type,
                      apr_time_t now)
{
    int own = request == &session->asks[ACME_ASK_UPDATE];
    apr_pool_t *scratch;
    int again = 0;

    if (request->use_jwk || !session->directory) {
        return 0;
    }
    if (!strcmp(problem_type, "accountDoesNotExist")) {
        again = request->epoch != session->epoch || recover(session, now);
        return again && !own; /* one's own is thought over first */
    }
    if (own) {
        return 0;
    }
    if (!strcmp(problem_type, "userActionRequired")) {
        apr_pool_create(&scratch, session->pool);
        again = session->terms_asked || agree(session, reply, scratch);
        apr_pool_destroy(scratch);
    }
    else if (!strcmp(problem_type, "unauthorized")) {
        again = session->doubted || doubt(session, request, now);
    }
    return again;
}
