
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/jws.h"
#include "core/renewal.h"
#include "core/session_impl.h"

#define MAX_TRIES        10 /* signatures of one request; RFC 8555 6.5 */
#define DIRECTORY_LIFE   apr_time_from_sec(24 * 60 * 60)
#define DIRECTORY_RETRY  apr_time_from_sec(60 * 60)
#define DIRECTORY_MIN    apr_time_from_sec(60) /* between two, even after a 404 */
#define FAILURE_FIRST    apr_time_from_sec(60)
#define FAILURE_MAX      apr_time_from_sec(24 * 60 * 60)
#define NONCE_RETRY_MAX  apr_time_from_sec(60)
#define NONCE_GIVE_UP    apr_time_from_sec(60 * 60)
#define MAX_REPLY_HEADER 1024 /* octets of a body nobody reads */

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

static apr_interval_time_t shorter(apr_interval_time_t own,
                                   apr_interval_time_t configured)
{
    return configured && configured < own ? configured : own;
}

void acme_session_fail(acme_session_t *session, const acme_err_t *err,
                       apr_time_t now)
{
    apr_pool_clear(session->error_pool);
    session->error = acme_err_dup(err, session->error_pool);
    session->failures++;
    session->retry_at = session->error->retry_at;
    if (session->retry_at <= now) {
        session->retry_at =
            now
            + acme_retry_delay(
                session->failures,
                shorter(FAILURE_FIRST, session->config->retry_first),
                shorter(FAILURE_MAX, session->config->retry_max), 0);
    }
}

void acme_session_succeed(acme_session_t *session)
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
    session->account = config->known;
    session->contacts =
        config->contacts ? apr_array_pstrcat(pool, config->contacts, ',') : "";
    session->directory_pools[0] = subpool(pool);
    session->directory_pools[1] = subpool(pool);
    session->account_pool = subpool(pool);
    session->error_pool = subpool(pool);
    session->trouble_pool = subpool(pool);
    session->nonces = acme_nonces_create(pool);
    session->nonce_pool = subpool(pool);
    prepare(session, ACME_ASK_DIRECTORY, ACME_METHOD_GET, "directory");
    prepare(session, ACME_ASK_NONCE, ACME_METHOD_HEAD, "newNonce");
    prepare(session, ACME_ASK_ACCOUNT, ACME_METHOD_POST, "newAccount");
    prepare(session, ACME_ASK_UPDATE, ACME_METHOD_POST, "account");
    session->asks[ACME_ASK_DIRECTORY].url = config->directory_url;
    session->asks[ACME_ASK_ACCOUNT].use_jwk = 1;

    err = acme_jws_jwk(&session->jwk, config->key, pool);
    if (!err) {
        err = acme_jws_thumbprint(&session->thumbprint, config->key, pool);
    }
    if (err) {
        acme_session_fail(session, err, 0);
        session->retry_at = APR_INT64_MAX; /* the key will not change */
    }
    return session;
}

/* --- what to ask ---------------------------------------------------------- */

void acme_session_step_send(acme_session_step_t *step, acme_session_t *session,
                            int ask)
{
    step->state = ACME_SESSION_SEND;
    step->request = &session->asks[ask];
    session->under_way[ask]++;
}

/* A CA that answers drop by drop is waited for longer than two directories last. */
static void set_nonce_url(acme_session_t *session)
{
    acme_request_t *request = &session->asks[ACME_ASK_NONCE];

    if (!session->under_way[ACME_ASK_NONCE]) {
        apr_pool_clear(session->nonce_pool);
        request->url = "";
    }
    if (strcmp(request->url, session->directory->new_nonce)) {
        request->url =
            apr_pstrdup(session->nonce_pool, session->directory->new_nonce);
    }
}

void acme_session_step_nonce(acme_session_step_t *step, acme_session_t *session,
                             int wanted, acme_session_state_t otherwise,
                             apr_time_t now)
{
    step->state = otherwise;
    if (wanted > ACME_MAX_NONCES) {
        wanted = ACME_MAX_NONCES;
    }
    if (acme_nonces_count(session->nonces) + session->under_way[ACME_ASK_NONCE]
        >= wanted) {
        return;
    }
    if (now < session->nonce_due) {
        step->until = session->nonce_due;
        return;
    }
    step->until = acme_nonces_pace(session->nonces, now);
    if (!step->until) {
        set_nonce_url(session);
        acme_session_step_send(step, session, ACME_ASK_NONCE);
    }
}

static void step_working(acme_session_step_t *step, acme_session_t *session,
                         int waiting, apr_time_t now)
{
    if (now >= session->directory_due
        && !session->under_way[ACME_ASK_DIRECTORY]) {
        session->directory_time = now;
        acme_session_step_send(step, session, ACME_ASK_DIRECTORY);
    }
    else if (!session->directory) {
        step->state = ACME_SESSION_WAIT;
    }
    else if (acme_session_step_account(step, session, now)) {
        acme_session_step_nonce(step, session, waiting, ACME_SESSION_READY,
                                now);
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
        if (session->account.kid) {
            acme_session_succeed(
                session); /* nothing else stands before the orders */
        }
        return;
    }
    if (session->directory) {
        /* The old one has served until now: orders go on with it. */
        session->directory_due = now + DIRECTORY_RETRY;
        return;
    }
    if (!strstr(err->text, session->config->directory_url)) {
        err = acme_err_wrap(err, pool, session->config->directory_url);
    }
    acme_session_fail(session, err, now);
}

/* Whether it has been so for longer than others can wait, or the CA itself says that
 * it will: that is no burst, and told before, not after. */
static int is_out_of_nonces(const acme_session_t *session, apr_time_t asked_for,
                            apr_time_t now)
{
    apr_time_t since = session->nonce_failing_since;
    apr_interval_time_t patience = session->config->nonce_patience
                                       ? session->config->nonce_patience
                                       : NONCE_GIVE_UP;

    return now >= since + patience
           || (asked_for >= since + NONCE_GIVE_UP
               && !acme_nonces_count(session->nonces));
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

    if (acme_reply_is_success(reply) && acme_nonces_valid(reply->nonce)) {
        session->nonce_failures = 0;
        session->nonce_due = 0;
        return;
    }
    if (!session->nonce_failures++) {
        session->nonce_failing_since = now;
    }
    if (!is_out_of_nonces(session, asked_for, now)) {
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
                              "it has no Replay-Nonce of base64url", NULL)
              : acme_reply_error(reply, now, scratch);
    if (!err->retry_at) {
        err->retry_at = asked_for;
    }
    acme_session_fail(session, err, now);
    apr_pool_destroy(scratch);
}

void acme_session_feed(acme_session_t *session, const acme_request_t *request,
                       const acme_reply_t *reply, apr_time_t now)
{
    session->under_way[request->tag]--;
    switch (request->tag) {
    case ACME_ASK_DIRECTORY:
        feed_directory(session, reply, now);
        break;
    case ACME_ASK_NONCE:
        feed_nonce(session, reply, now);
        break;
    case ACME_ASK_ACCOUNT:
        acme_session_feed_account(session, reply, now);
        break;
    default:
        acme_session_feed_update(session, reply, now);
        break;
    }
}

/* --- signing, and replies of every kind ----------------------------------- */

static int is_about_account(const acme_session_t *session,
                            const acme_request_t *request)
{
    return request == &session->asks[ACME_ASK_ACCOUNT]
           || request == &session->asks[ACME_ASK_UPDATE];
}

/* Orders wait until the account is there, and has been told what it must know
 * before. */
static int may_sign(const acme_session_t *session,
                    const acme_request_t *request)
{
    if (request->use_jwk) {
        return 1;
    }
    return session->account.kid && !session->error
           && (is_about_account(session, request)
               || !(session->update || session->doubted
                    || session->terms_asked));
}

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
        if (!may_sign(session, request)) {
            return NULL;
        }
        header.nonce = acme_nonces_take(session->nonces, pool);
        if (!header.nonce) {
            return NULL;
        }
        header.kid = request->use_jwk ? NULL : session->account.kid;
        ACME_TRY(acme_jws_sign(&w->body, session->config->key, &header,
                               request->payload, pool));
        w->content_type = "application/jose+json";
    }
    if (is_about_account(session, request)) {
        session->account_unsigned = 0;
    }
    request->tries++;
    request->epoch = session->epoch;
    *wire = w;
    return NULL;
}

/* Whether nobody answers there, or somebody else than was meant. */
static int is_strange(const acme_reply_t *reply, const char *problem_type)
{
    return reply->failure || reply->status == 404 || reply->status == 405
           || reply->status == 410
           || (reply->status >= 300 && reply->status < 500
               && reply->status != 429
               && (!*problem_type || !strcmp(problem_type, "malformed")));
}

/* A URL of the directory that leads nowhere: perhaps the CA has moved it, or was
 * not itself when it gave the directory. */
static void doubt_directory(acme_session_t *session, const char *url,
                            apr_time_t now)
{
    const acme_directory_t *directory = session->directory;
    apr_time_t soonest = session->directory_time + DIRECTORY_MIN;

    if (directory
        && (!strcmp(url, directory->new_nonce)
            || !strcmp(url, directory->new_account)
            || !strcmp(url, directory->new_order))) {
        session->directory_due = now > soonest ? now : soonest;
    }
}

/* @return whether the same request may go well now */
static int may_resend(acme_session_t *session, const acme_request_t *request,
                      const acme_reply_t *reply, const char *problem_type,
                      apr_time_t now)
{
    if (reply->failure || reply->status < 400
        || request->method != ACME_METHOD_POST || request->tries >= MAX_TRIES) {
        return 0;
    }
    return !strcmp(problem_type, "badNonce")
           || acme_session_mend(session, request, reply, problem_type, now);
}

acme_verdict_t acme_session_receive(acme_session_t *session,
                                    const acme_request_t *request,
                                    const acme_reply_t *reply, apr_time_t now)
{
    apr_pool_t *scratch = subpool(session->pool);
    const char *type = acme_reply_problem_type(reply, scratch);
    int resend;

    if (acme_nonces_put(session->nonces, reply->nonce)) {
        session->nonce_failures = 0; /* there are some again */
    }
    if (is_strange(reply, type)) {
        doubt_directory(session, request->url, now);
    }
    resend = may_resend(session, request, reply, type, now);
    apr_pool_destroy(scratch);
    if (resend && is_about_account(session, request)) {
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
    return session->account.kid;
}

const acme_account_state_t *acme_session_account(const acme_session_t *session)
{
    return &session->account;
}

const acme_err_t *acme_session_take_trouble(acme_session_t *session)
{
    const acme_err_t *trouble = session->trouble;

    session->trouble = NULL;
    return trouble;
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
