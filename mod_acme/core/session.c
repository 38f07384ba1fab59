#include "core/session.h"

#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/jws.h"
#include "core/nonces.h"
#include "core/renewal.h"

#define MAX_TRIES        10 /* signatures of one request; RFC 8555 6.5 */
#define DIRECTORY_LIFE   apr_time_from_sec(24 * 60 * 60)
#define DIRECTORY_RETRY  apr_time_from_sec(60 * 60)
#define DIRECTORY_MIN    apr_time_from_sec(60) /* between two, even after a 404 */
#define RECOVERY_LIFE    apr_time_from_sec(60 * 60)
#define FAILURE_FIRST    apr_time_from_sec(60)
#define FAILURE_MAX      apr_time_from_sec(24 * 60 * 60)
#define NONCE_RETRY_MAX  apr_time_from_sec(60)
#define NONCE_GIVE_UP    apr_time_from_sec(60 * 60)
#define MAX_REPLY_HEADER 1024 /* octets of a body nobody reads */

/* Whose a session's own request is; orders use tags of their own. */
enum { ASK_DIRECTORY, ASK_NONCE, ASK_ACCOUNT, ASKS };

struct acme_session_t {
    apr_pool_t *pool;
    const acme_session_config_t *config;
    const char *thumbprint, *jwk;

    /* The directory, and the one before: requests made from that one may still
     * be under way. */
    acme_directory_t *directory;
    apr_pool_t *directory_pools[2];
    int directory_slot;
    apr_time_t directory_time; /* when it was asked for last; 0: never */
    apr_time_t directory_due;  /* ask again from then on */

    const char *kid; /* NULL: not registered, or forgotten by the CA */
    int account_changed;
    int epoch;                /* grows when the account is registered again */
    apr_time_t recovery_time; /* when that happened last */
    apr_pool_t *account_pool; /* of the newAccount request */

    acme_nonces_t *nonces;
    apr_time_t nonce_due; /* after a failure: not before */
    int nonce_failures;
    apr_time_t nonce_failing_since;

    acme_request_t asks[ASKS];
    int under_way[ASKS];  /* handed out, reply not fed yet */
    int account_unsigned; /* newAccount waits for a nonce */

    acme_err_t *error; /* failed; NULL: not */
    apr_pool_t *error_pool;
    apr_time_t retry_at;
    int failures; /* in a row */
};

static apr_pool_t *subpool(apr_pool_t *parent)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    return pool;
}

static void prepare(acme_session_t *session, int ask, acme_method_t method,
                    const char *label)
{
    acme_request_t *request = &session->asks[ask];

    request->tag = ask;
    request->method = method;
    request->label = label;
    request->max_body =
        method == ACME_METHOD_HEAD ? MAX_REPLY_HEADER : ACME_MAX_JSON;
}

/* --- failure -------------------------------------------------------------- */

static void fail(acme_session_t *session, const acme_err_t *err, apr_time_t now)
{
    apr_pool_clear(session->error_pool);
    session->error = acme_err_dup(err, session->error_pool);
    session->failures++;
    session->retry_at = session->error->retry_at;
    if (session->retry_at <= now) {
        session->retry_at = now
                            + acme_retry_delay(session->failures, FAILURE_FIRST,
                                               FAILURE_MAX, 0);
    }
}

static void succeed(acme_session_t *session)
{
    session->failures = 0;
    session->error = NULL;
}

acme_session_t *acme_session_create(const acme_session_config_t *config,
                                    apr_pool_t *parent)
{
    apr_pool_t *pool = subpool(parent);
    acme_session_t *session = apr_pcalloc(pool, sizeof(*session));
    acme_err_t *err;

    session->pool = pool;
    session->config = config;
    session->kid = config->kid ? apr_pstrdup(pool, config->kid) : NULL;
    session->directory_pools[0] = subpool(pool);
    session->directory_pools[1] = subpool(pool);
    session->account_pool = subpool(pool);
    session->error_pool = subpool(pool);
    session->nonces = acme_nonces_create(pool);
    prepare(session, ASK_DIRECTORY, ACME_METHOD_GET, "directory");
    prepare(session, ASK_NONCE, ACME_METHOD_HEAD, "newNonce");
    prepare(session, ASK_ACCOUNT, ACME_METHOD_POST, "newAccount");
    session->asks[ASK_DIRECTORY].url = config->directory_url;
    session->asks[ASK_ACCOUNT].use_jwk = 1;

    err = acme_jws_jwk(&session->jwk, config->key, pool);
    if (!err) {
        err = acme_jws_thumbprint(&session->thumbprint, config->key, pool);
    }
    if (err) {
        fail(session, err, 0);
        session->retry_at = APR_INT64_MAX; /* the key will not change */
    }
    return session;
}

/* --- what to ask ---------------------------------------------------------- */

static void step_send(acme_session_step_t *step, acme_session_t *session,
                      int ask)
{
    step->state = ACME_SESSION_SEND;
    step->request = &session->asks[ask];
    session->under_way[ask]++;
}

/* Fetch a nonce if fewer are here or on their way than wanted (and can be kept).
 * @param otherwise  the state where none is to be fetched now */
static void step_nonce(acme_session_step_t *step, acme_session_t *session,
                       int wanted, acme_session_state_t otherwise,
                       apr_time_t now)
{
    step->state = otherwise;
    if (wanted > ACME_MAX_NONCES) {
        wanted = ACME_MAX_NONCES;
    }
    if (acme_nonces_count(session->nonces) + session->under_way[ASK_NONCE]
        >= wanted) {
        return;
    }
    if (now < session->nonce_due) {
        step->until = session->nonce_due;
        return;
    }
    step->until = acme_nonces_pace(session->nonces, now);
    if (!step->until) {
        session->asks[ASK_NONCE].url = session->directory->new_nonce;
        step_send(step, session, ASK_NONCE);
    }
}

/* What can be known to fail without asking the CA. */
static acme_err_t *may_register(const acme_session_t *session, apr_pool_t *pool)
{
    const acme_session_config_t *config = session->config;
    const acme_directory_t *directory = session->directory;

    if (directory->terms && !config->agree_terms) {
        return acme_err_make(pool, ACME_E_TERMS, directory->terms, NULL);
    }
    if (directory->external_account_required && !config->eab_kid) {
        return acme_err_make(pool, ACME_E_EAB_MISSING, NULL);
    }
    return NULL;
}

static json_t *contact_list(const apr_array_header_t *contacts)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < contacts->nelts; i++) {
        json_array_append_new(
            list, json_string(APR_ARRAY_IDX(contacts, i, const char *)));
    }
    return list;
}

/* The newAccount request, RFC 8555 sections 7.3 and 7.3.4. */
static acme_err_t *build_account(acme_session_t *session)
{
    const acme_session_config_t *config = session->config;
    acme_request_t *request = &session->asks[ASK_ACCOUNT];
    apr_pool_t *pool = session->account_pool;
    json_t *payload = json_object();
    const char *binding;
    char *text;

    request->url = apr_pstrdup(pool, session->directory->new_account);
    request->tries = 0;
    if (config->agree_terms) {
        json_object_set_new(payload, "termsOfServiceAgreed", json_true());
    }
    if (config->contacts && config->contacts->nelts) {
        json_object_set_new(payload, "contact", contact_list(config->contacts));
    }
    if (config->eab_kid) {
        acme_err_t *err =
            acme_jws_bind(&binding, config->eab_kid, config->eab_hmac,
                          request->url, session->jwk, pool);
        if (err) {
            json_decref(payload);
            return err;
        }
        json_object_set_new(payload, "externalAccountBinding",
                            json_loads(binding, 0, NULL));
    }
    text = json_dumps(payload, JSON_COMPACT);
    request->payload = apr_pstrdup(pool, text);
    free(text);
    json_decref(payload);
    return NULL;
}

/* Register, or find what is registered: newAccount is both for one key. */
static void step_account(acme_session_step_t *step, acme_session_t *session,
                         apr_time_t now)
{
    acme_err_t *err;

    if (session->under_way[ASK_ACCOUNT]) {
        step_nonce(step, session, session->account_unsigned, ACME_SESSION_WAIT,
                   now);
        return;
    }
    apr_pool_clear(session->account_pool);
    err = may_register(session, session->account_pool);
    if (!err && !acme_nonces_count(session->nonces)) {
        step_nonce(step, session, 1, ACME_SESSION_WAIT, now);
        return;
    }
    if (!err) {
        err = build_account(session);
    }
    if (err) {
        fail(session, err, now);
        return;
    }
    session->account_unsigned = 1;
    step_send(step, session, ASK_ACCOUNT);
}

static void step_working(acme_session_step_t *step, acme_session_t *session,
                         int waiting, apr_time_t now)
{
    if (now >= session->directory_due && !session->under_way[ASK_DIRECTORY]) {
        session->directory_time = now;
        step_send(step, session, ASK_DIRECTORY);
    }
    else if (!session->directory) {
        step->state = ACME_SESSION_WAIT;
    }
    else if (!session->kid) {
        step_account(step, session, now);
    }
    else {
        step_nonce(step, session, waiting, ACME_SESSION_READY, now);
    }
}

void acme_session_next(acme_session_step_t *step, acme_session_t *session,
                       int waiting, apr_time_t now)
{
    memset(step, 0, sizeof(*step));
    if (session->error && now >= session->retry_at) {
        session->error = NULL;
    }
    if (!session->error) {
        step_working(step, session, waiting, now);
    }
    if (session->error) {
        step->state = ACME_SESSION_FAILED;
        step->error = session->error;
        step->until = session->retry_at;
    }
}

/* --- what was answered ---------------------------------------------------- */

static acme_err_t *on_directory(acme_session_t *session,
                                const acme_reply_t *reply, apr_time_t now,
                                apr_pool_t *pool)
{
    acme_directory_t *directory;

    if (!acme_reply_is_success(reply)) {
        return acme_reply_error(reply, now, pool);
    }
    ACME_TRY(acme_directory_parse(&directory, reply->body, reply->len, pool));
    session->directory = directory;
    session->directory_slot = !session->directory_slot;
    session->directory_due = now + DIRECTORY_LIFE;
    return NULL;
}

static void feed_directory(acme_session_t *session, const acme_reply_t *reply,
                           apr_time_t now)
{
    apr_pool_t *pool = session->directory_pools[!session->directory_slot];
    acme_err_t *err;

    apr_pool_clear(pool);
    err = on_directory(session, reply, now, pool);
    if (!err) {
        if (session->kid) {
            succeed(session); /* nothing else stands before the orders */
        }
        return;
    }
    if (session->directory) {
        /* The old one has served until now: orders go on with it. */
        session->directory_due = now + DIRECTORY_RETRY;
        return;
    }
    fail(session, acme_err_wrap(err, pool, session->config->directory_url),
         now);
}

/* A single refused newNonce must not stop the orders: Let's Encrypt answers 503
 * to bursts. Only an hour without a nonce counts as failure. */
static void feed_nonce(acme_session_t *session, const acme_reply_t *reply,
                       apr_time_t now)
{
    apr_interval_time_t delay = NONCE_RETRY_MAX;
    apr_time_t asked_for = acme_reply_retry_after(reply, now);
    apr_pool_t *scratch;
    acme_err_t *err;

    if (acme_reply_is_success(reply) && reply->nonce) {
        session->nonce_failures = 0;
        session->nonce_due = 0;
        return;
    }
    if (!session->nonce_failures++) {
        session->nonce_failing_since = now;
    }
    if (now - session->nonce_failing_since < NONCE_GIVE_UP) {
        if (session->nonce_failures <= 6) {
            delay = apr_time_from_sec(1 << (session->nonce_failures - 1));
        }
        session->nonce_due = now + delay > asked_for ? now + delay : asked_for;
        return;
    }
    session->nonce_failures = 0;
    scratch = subpool(session->pool);
    err = acme_reply_is_success(reply)
              ? acme_err_make(scratch, ACME_E_CA_RESOURCE, "newNonce reply",
                              "it has no Replay-Nonce", NULL)
              : acme_reply_error(reply, now, scratch);
    fail(session, err, now);
    apr_pool_destroy(scratch);
}

/* RFC 8555 section 7.3: 201 for a new account, 200 for one that is there; the
 * account URL is in Location. */
static acme_err_t *on_account(const acme_reply_t *reply, apr_time_t now,
                              apr_pool_t *pool)
{
    const char *status = NULL;
    json_t *account;

    if (!acme_reply_is_success(reply)) {
        return acme_reply_error(reply, now, pool);
    }
    if (!reply->location || !acme_url_valid(reply->location)) {
        return acme_err_make(pool, ACME_E_CA_RESOURCE, "newAccount reply",
                             "Location is no https:// URL", NULL);
    }
    /* Nothing in the body is needed; a CA that sends none is let pass. */
    if (!acme_json_parse(&account, reply->body, reply->len, ACME_MAX_JSON,
                         "account", pool)) {
        status = acme_json_string(account, "status");
    }
    if (status && strcmp(status, "valid")) {
        return acme_err_make(pool, ACME_E_ACCOUNT_CLOSED,
                             acme_encode_printable(status, 32, pool), NULL);
    }
    return NULL;
}

static void feed_account(acme_session_t *session, const acme_reply_t *reply,
                         apr_time_t now)
{
    acme_err_t *err;

    apr_pool_clear(session->account_pool);
    err = on_account(reply, now, session->account_pool);
    if (err) {
        fail(session, acme_err_wrap(err, session->account_pool, "newAccount"),
             now);
        return;
    }
    session->kid = apr_pstrdup(session->pool, reply->location);
    session->account_changed = 1;
    succeed(session);
}

void acme_session_feed(acme_session_t *session, const acme_request_t *request,
                       const acme_reply_t *reply, apr_time_t now)
{
    session->under_way[request->tag]--;
    switch (request->tag) {
    case ASK_DIRECTORY:
        feed_directory(session, reply, now);
        break;
    case ASK_NONCE:
        feed_nonce(session, reply, now);
        break;
    default:
        feed_account(session, reply, now);
        break;
    }
}

/* --- signing, and replies of every kind ----------------------------------- */

acme_err_t *acme_session_sign(acme_wire_t **wire, acme_session_t *session,
                              acme_request_t *request, apr_pool_t *pool)
{
    acme_wire_t *w = apr_pcalloc(pool, sizeof(*w));
    acme_jws_header_t header = { request->url, NULL, NULL };

    *wire = NULL;
    w->method = request->method;
    w->url = apr_pstrdup(pool, request->url);
    w->accept = request->accept ? request->accept : "application/json";
    w->max_body = request->max_body;
    if (request->method == ACME_METHOD_POST) {
        if (!request->use_jwk && (!session->kid || session->error)) {
            return NULL;
        }
        header.nonce = acme_nonces_take(session->nonces, pool);
        if (!header.nonce) {
            return NULL;
        }
        header.kid = request->use_jwk ? NULL : session->kid;
        ACME_TRY(acme_jws_sign(&w->body, session->config->key, &header,
                               request->payload, pool));
        w->content_type = "application/jose+json";
    }
    if (request == &session->asks[ASK_ACCOUNT]) {
        session->account_unsigned = 0;
    }
    request->tries++;
    request->epoch = session->epoch;
    *wire = w;
    return NULL;
}

/* A URL of the directory that is gone: perhaps the CA has moved it. */
static void doubt_directory(acme_session_t *session, const char *url,
                            apr_time_t now)
{
    const acme_directory_t *directory = session->directory;

    if (directory
        && (!strcmp(url, directory->new_nonce)
            || !strcmp(url, directory->new_account)
            || !strcmp(url, directory->new_order))
        && now >= session->directory_time + DIRECTORY_MIN) {
        session->directory_due = now;
    }
}

/* The CA does not know the account: register it again, unless that was done
 * within the hour and has not helped. @return whether to send again */
static int recover_account(acme_session_t *session,
                           const acme_request_t *request, apr_time_t now)
{
    if (request->use_jwk) {
        return 0;
    }
    if (request->epoch != session->epoch) {
        return 1; /* was signed for the account that is replaced by now */
    }
    if (session->recovery_time
        && now < session->recovery_time + RECOVERY_LIFE) {
        return 0;
    }
    session->recovery_time = now;
    session->epoch++;
    session->kid = NULL;
    return 1;
}

acme_verdict_t acme_session_receive(acme_session_t *session,
                                    const acme_request_t *request,
                                    const acme_reply_t *reply, apr_time_t now)
{
    apr_pool_t *scratch;
    const char *type;
    int resend = 0;

    if (reply->failure) {
        return ACME_VERDICT_DELIVER;
    }
    acme_nonces_put(session->nonces, reply->nonce);
    if (reply->status == 404) {
        doubt_directory(session, request->url, now);
    }
    if (reply->status < 400 || request->method != ACME_METHOD_POST
        || request->tries >= MAX_TRIES) {
        return ACME_VERDICT_DELIVER;
    }
    scratch = subpool(session->pool);
    type = acme_reply_problem_type(reply, scratch);
    if (!strcmp(type, "badNonce")) {
        resend = 1;
    }
    else if (!strcmp(type, "accountDoesNotExist")) {
        resend = recover_account(session, request, now);
    }
    apr_pool_destroy(scratch);
    if (resend && request == &session->asks[ASK_ACCOUNT]) {
        session->account_unsigned = 1;
    }
    return resend ? ACME_VERDICT_RESEND : ACME_VERDICT_DELIVER;
}

/* --- what it knows -------------------------------------------------------- */

const acme_directory_t *acme_session_directory(const acme_session_t *session)
{
    return session->directory;
}

const char *acme_session_kid(const acme_session_t *session)
{
    return session->kid;
}

int acme_session_account_changed(const acme_session_t *session)
{
    return session->account_changed;
}

void acme_session_account_saved(acme_session_t *session)
{
    session->account_changed = 0;
}

const char *acme_session_thumbprint(const acme_session_t *session)
{
    return session->thumbprint;
}
