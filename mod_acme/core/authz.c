#include "core/authz.h"

#include <apr_strings.h>
#include <string.h>

#include "core/choice.h"
#include "core/encode.h"
#include "core/order_impl.h"
#include "core/reaction.h"

#define MAX_ANSWERS 5
/* Some CAs validate for hours; one that takes longer has forgotten it. */
#define LONGEST_WAIT apr_time_from_sec(24 * 60 * 60)
/* For the place where a proof is shown. */
#define BUSY_PATIENCE apr_time_from_sec(60)
#define DEACTIVATION  "{\"status\":\"deactivated\"}"

typedef acme_err_t *on_success_fn_t(acme_order_t *order, acme_authz_t *authz,
                                    const acme_reply_t *reply, apr_time_t now);
typedef acme_err_t *on_error_fn_t(acme_order_t *order, acme_authz_t *authz,
                                  const acme_reply_t *reply, acme_err_t *err,
                                  apr_time_t now);

static on_success_fn_t on_authorization, on_answered, on_deactivated;
static on_error_fn_t on_unreadable, on_answer_error, on_deactivate_error;

/* RFC 8555 section 7.5 as this client goes through it. States without a label
 * send nothing. */
static const struct {
    const char *name;
    const char *label;
    const char *payload;
    on_success_fn_t *on_success;
    on_error_fn_t *on_error;
} states[ACME_AUTHZ_STATES] = {
    [ACME_AUTHZ_READ] = { "reading", "authorization", "", on_authorization,
                          on_unreadable },
    [ACME_AUTHZ_PUBLISH] = { "publishing" },
    [ACME_AUTHZ_ANSWER] = { "answering", "challenge", "{}", on_answered,
                            on_answer_error },
    [ACME_AUTHZ_POLL] = { "polling", "authorization", "", on_authorization,
                          on_unreadable },
    [ACME_AUTHZ_VALID] = { "valid" },
    [ACME_AUTHZ_DEACTIVATE] = { "deactivating", "deactivate", DEACTIVATION,
                                on_deactivated, on_deactivate_error },
    [ACME_AUTHZ_CLOSED] = { "closed" },
};

const char *acme_authz_state_name(acme_authz_state_t state)
{
    return states[state].name;
}

int acme_authz_decided(const acme_authz_t *authz)
{
    return authz->state == ACME_AUTHZ_VALID
           || authz->state == ACME_AUTHZ_CLOSED;
}

void acme_authz_enter(acme_order_t *order, acme_authz_t *authz,
                      acme_authz_state_t state)
{
    authz->state = state;
    acme_exchange_reset(&authz->exchange);
    /* The CA tells whoever asks again; see acme_order_enter. */
    if (state != ACME_AUTHZ_POLL && state != ACME_AUTHZ_VALID) {
        order->dirty = 1;
    }
}

/* --- what to do ----------------------------------------------------------- */

void acme_authz_make_proof(acme_authz_t *authz, const acme_session_t *session,
                           apr_pool_t *pool)
{
    if (!authz->proof.key_authorization) {
        authz->proof.key_authorization = acme_proof_key_authorization(
            authz->proof.token, acme_session_thumbprint(session), pool);
    }
}

static void wait_until(acme_step_t *step, apr_time_t moment)
{
    if (!step->until || moment < step->until) {
        step->until = moment;
    }
}

static int next_publish(acme_step_t *step, acme_order_t *order,
                        acme_authz_t *authz, const acme_session_t *session,
                        apr_time_t now)
{
    if (authz->publishing) {
        return 0;
    }
    if (authz->exchange.due > now) {
        wait_until(step, authz->exchange.due);
        return 0;
    }
    acme_authz_make_proof(authz, session, order->pool);
    authz->publishing = 1;
    authz->visible = 1;
    order->dirty = 1;
    step->kind = ACME_STEP_PUBLISH;
    step->proof = &authz->proof;
    return 1;
}

int acme_authz_next(acme_step_t *step, acme_order_t *order, acme_authz_t *authz,
                    const acme_session_t *session, apr_time_t now)
{
    acme_exchange_t *exchange = &authz->exchange;
    acme_request_t *request;

    if (authz->state == ACME_AUTHZ_PUBLISH) {
        return next_publish(step, order, authz, session, now);
    }
    if (!states[authz->state].label || exchange->under_way) {
        return 0;
    }
    if (exchange->due > now) {
        wait_until(step, exchange->due);
        return 0;
    }
    request = acme_exchange_begin(exchange, (int)authz->state,
                                  states[authz->state].label);
    request->payload = states[authz->state].payload;
    request->url = authz->url;
    if (authz->state == ACME_AUTHZ_ANSWER) {
        /* On disk before it is sent: whoever resumes must not answer blindly,
         * a second answer may be an error (409). */
        request->url = authz->challenge_url;
        authz->answers++;
        order->dirty = 1;
    }
    step->kind = ACME_STEP_SEND;
    step->request = request;
    return 1;
}

/* Another order of the name has the place. Where there is another way, one that
 * keeps it for long is not waited for. */
static acme_err_t *on_busy(acme_order_t *order, acme_authz_t *authz,
                           acme_err_t *error, apr_time_t now)
{
    if (!authz->busy_since) {
        authz->busy_since = now;
    }
    acme_authz_enter(order, authz, ACME_AUTHZ_PUBLISH);
    authz->publishing = 0;
    authz->visible = 0;
    if (now - authz->busy_since >= LONGEST_WAIT) {
        return error;
    }
    if (now - authz->busy_since >= BUSY_PATIENCE
        && acme_choice_has_another(order, authz)) {
        authz->busy_since = 0;
        return acme_choice_next(order, authz, error);
    }
    authz->exchange.due = error->retry_at;
    return NULL;
}

acme_err_t *acme_authz_published(acme_order_t *order, acme_authz_t *authz,
                                 acme_err_t *error, apr_time_t now)
{
    if (acme_authz_decided(authz) || authz->state == ACME_AUTHZ_DEACTIVATE) {
        return NULL; /* it matters no more */
    }
    if (error && error->msg == ACME_E_PROOF_BUSY) {
        return on_busy(order, authz, error, now);
    }
    if (authz->state != ACME_AUTHZ_PUBLISH) {
        return error;
    }
    authz->publishing = 0;
    authz->busy_since = 0;
    if (error) {
        return acme_choice_next(order, authz, error);
    }
    acme_authz_enter(order, authz,
                     authz->answers ? ACME_AUTHZ_POLL : ACME_AUTHZ_ANSWER);
    return NULL;
}

void acme_authz_abandon(acme_authz_t *authz)
{
    switch (authz->state) {
    case ACME_AUTHZ_PUBLISH:
    case ACME_AUTHZ_ANSWER:
    case ACME_AUTHZ_POLL:
        authz->state = ACME_AUTHZ_DEACTIVATE;
        acme_exchange_reset(&authz->exchange);
        break;
    case ACME_AUTHZ_READ: /* may be valid, and good for a later order */
        authz->state =
            authz->failed ? ACME_AUTHZ_DEACTIVATE : ACME_AUTHZ_CLOSED;
        break;
    case ACME_AUTHZ_VALID:
    case ACME_AUTHZ_DEACTIVATE:
    case ACME_AUTHZ_CLOSED:
        break;
    }
}

void acme_authz_revive(acme_authz_t *authz)
{
    if (authz->state == ACME_AUTHZ_VALID) {
        return;
    }
    /* What is left of the challenges that failed, the CA knows. */
    authz->state = authz->proof.token && !authz->failed ? ACME_AUTHZ_PUBLISH
                                                        : ACME_AUTHZ_READ;
    authz->failed = 0;
    authz->blame = NULL;
    authz->publishing = 0;
    authz->failure = NULL;
    authz->doubtful = authz->answers > 0;
    authz->answer_again = 0;
    acme_exchange_reset(&authz->exchange);
}

/* --- reading an authorization --------------------------------------------- */

static const char *full_name(const acme_authorization_t *resource,
                             apr_pool_t *pool)
{
    return resource->wildcard
               ? apr_pstrcat(pool, "*.", resource->ident->value, NULL)
               : resource->ident->value;
}

/* By identifier and wildcard, never by position: RFC 8555 section 7.1.3 gives
 * no order. @return NULL: not one of the order's */
static const acme_ident_t *find_ident(const acme_order_t *order,
                                      const acme_authorization_t *resource)
{
    acme_ident_t wanted = { resource->ident->type,
                            full_name(resource, order->scratch) };
    int i;

    for (i = 0; i < order->config->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(order->config->idents, i, const acme_ident_t *);
        if (acme_ident_equal(ident, &wanted)) {
            return ident;
        }
    }
    return NULL;
}

static acme_err_t *identify(acme_order_t *order, acme_authz_t *authz,
                            const acme_authorization_t *resource)
{
    const acme_ident_t *ident = find_ident(order, resource);

    if (authz->ident ? ident != authz->ident
                     : !ident && resource->status != ACME_STATUS_VALID) {
        return acme_err_make(order->scratch, ACME_E_AUTHZ_FOREIGN,
                             full_name(resource, order->scratch), NULL);
    }
    authz->ident = ident;
    return NULL;
}

/* --- waiting for the verdict ---------------------------------------------- */

static acme_err_t *bad_state(const acme_order_t *order,
                             const acme_authz_t *authz, const char *what)
{
    return acme_err_make(order->scratch, ACME_E_AUTHZ_STATE,
                         authz->ident ? authz->ident->value : "a name", what,
                         NULL);
}

/* The error of the challenge that failed: ours if there is one. */
static acme_err_t *validation_error(const acme_order_t *order,
                                    const acme_authz_t *authz,
                                    const acme_authorization_t *resource)
{
    acme_err_t *err = NULL;
    int i;

    for (i = 0; i < resource->challenges->nelts; i++) {
        const acme_challenge_t *challenge =
            APR_ARRAY_IDX(resource->challenges, i, acme_challenge_t *);
        int ours = authz->challenge_url && challenge->url
                   && !strcmp(challenge->url, authz->challenge_url);

        if (challenge->error && (ours || !err)) {
            err = challenge->error;
        }
    }
    if (!err) {
        return bad_state(order, authz, "invalid");
    }
    if (authz->ident) {
        err->identifier = authz->ident->value;
    }
    return err;
}

/* The status of the chosen challenge; pending if the CA shows it no more. */
static acme_resource_status_t chosen_status(
    const acme_authz_t *authz, const acme_authorization_t *resource)
{
    int i;

    for (i = 0; i < resource->challenges->nelts; i++) {
        const acme_challenge_t *challenge =
            APR_ARRAY_IDX(resource->challenges, i, acme_challenge_t *);
        if (challenge->url && !strcmp(challenge->url, authz->challenge_url)) {
            return challenge->status;
        }
    }
    return ACME_STATUS_PENDING;
}

static acme_err_t *wait_on(acme_order_t *order, acme_authz_t *authz,
                           const acme_reply_t *reply, apr_time_t now)
{
    if (!authz->waiting_since) {
        authz->waiting_since = now;
    }
    if (now - authz->waiting_since >= LONGEST_WAIT) {
        return bad_state(order, authz, "pending");
    }
    acme_exchange_poll(&authz->exchange, reply, now);
    acme_order_slow(
        order,
        apr_pstrcat(order->scratch, "validating ", authz->ident->value, NULL),
        authz->waiting_since, authz->exchange.due, now);
    return NULL;
}

/* The CA has not taken the answer, and has not validated all the same. */
static acme_err_t *on_refusal(acme_order_t *order, acme_authz_t *authz)
{
    acme_err_t *err = authz->refusal;

    return acme_reaction(err->msg)->account
               ? err
               : acme_choice_next(order, authz, err);
}

/* An answer of which nothing is known is given again after a while, not at
 * once: some CAs call a challenge pending while they validate. */
static acme_err_t *still_pending(acme_order_t *order, acme_authz_t *authz,
                                 const acme_reply_t *reply, int under_way,
                                 apr_time_t now)
{
    if (authz->refusal) {
        return on_refusal(order, authz);
    }
    if (authz->doubtful && under_way) {
        authz->doubtful = 0;
        authz->answer_again = 0;
        order->dirty = 1;
    }
    if (authz->doubtful && !authz->answer_again) {
        authz->answer_again = now + ACME_AUTHZ_ANSWER_AGAIN;
    }
    if (authz->doubtful && now >= authz->answer_again) {
        authz->doubtful = 0;
        authz->answer_again = 0;
        acme_authz_enter(order, authz, ACME_AUTHZ_ANSWER);
        return NULL;
    }
    return wait_on(order, authz, reply, now);
}

static acme_err_t *on_pending(acme_order_t *order, acme_authz_t *authz,
                              const acme_authorization_t *resource,
                              const acme_reply_t *reply, apr_time_t now)
{
    acme_resource_status_t status;

    if (authz->state == ACME_AUTHZ_READ) {
        return acme_choice_take(order, authz, resource);
    }
    status = chosen_status(authz, resource);
    if (status == ACME_STATUS_INVALID) {
        return acme_choice_next(order, authz,
                                validation_error(order, authz, resource));
    }
    return still_pending(order, authz, reply, status == ACME_STATUS_PROCESSING,
                         now);
}

/* The authorization is lost, by the challenge that was chosen or by an earlier
 * attempt at it. */
static acme_err_t *on_invalid(acme_order_t *order, acme_authz_t *authz,
                              const acme_authorization_t *resource)
{
    acme_err_t *err = validation_error(order, authz, resource);

    if (authz->proof.token && authz->ident) {
        acme_choice_set_back(order, authz, err, 1);
    }
    return err;
}

/* By which challenge it is valid, perhaps of an earlier order. */
static unsigned int proved_by(const acme_authz_t *authz,
                              const acme_authorization_t *resource)
{
    acme_proof_type_t type;
    int i;

    for (i = 0; i < resource->challenges->nelts; i++) {
        const acme_challenge_t *challenge =
            APR_ARRAY_IDX(resource->challenges, i, acme_challenge_t *);
        if (challenge->status == ACME_STATUS_VALID
            && !acme_proof_type_parse(&type, challenge->type)) {
            return ACME_PROOF_BIT(type);
        }
    }
    return authz->answers ? ACME_PROOF_BIT(authz->proof.type) : 0;
}

static acme_err_t *on_authorization(acme_order_t *order, acme_authz_t *authz,
                                    const acme_reply_t *reply, apr_time_t now)
{
    acme_authorization_t *resource;

    ACME_TRY(acme_authorization_parse(&resource, reply->body, reply->len,
                                      order->scratch));
    ACME_TRY(identify(order, authz, resource));
    authz->exchange.failures = 0;
    switch (resource->status) {
    case ACME_STATUS_VALID:
        authz->proved = proved_by(authz, resource);
        acme_authz_enter(order, authz, ACME_AUTHZ_VALID);
        return NULL;
    case ACME_STATUS_PENDING:
    case ACME_STATUS_PROCESSING:
        return on_pending(order, authz, resource, reply, now);
    case ACME_STATUS_INVALID:
        acme_authz_enter(order, authz, ACME_AUTHZ_CLOSED);
        return on_invalid(order, authz, resource);
    case ACME_STATUS_READY:
    case ACME_STATUS_DEACTIVATED:
    case ACME_STATUS_EXPIRED:
    case ACME_STATUS_REVOKED:
        break;
    }
    acme_authz_enter(order, authz, ACME_AUTHZ_CLOSED);
    return bad_state(order, authz, acme_resource_status_name(resource->status));
}

static acme_err_t *on_unreadable(acme_order_t *order, acme_authz_t *authz,
                                 const acme_reply_t *reply, acme_err_t *err,
                                 apr_time_t now)
{
    err = acme_order_retry(order, &authz->exchange, reply, err, now);
    if (err) {
        acme_authz_enter(order, authz, ACME_AUTHZ_CLOSED);
        acme_order_doubt(order, err);
    }
    return NULL;
}

/* --- answering and deactivating ------------------------------------------- */

/* Some CAs validate before they reply. What came of it the authorization tells,
 * which need not be waited for then. */
static int is_validated(const acme_reply_t *reply, apr_pool_t *scratch)
{
    json_t *challenge;
    acme_err_t *err = acme_json_parse(&challenge, reply->body, reply->len,
                                      ACME_MAX_JSON, "challenge", scratch);
    const char *status = err ? NULL : acme_json_string(challenge, "status");

    return status && (!strcmp(status, "valid") || !strcmp(status, "invalid"));
}

static acme_err_t *on_answered(acme_order_t *order, acme_authz_t *authz,
                               const acme_reply_t *reply, apr_time_t now)
{
    authz->exchange.failures = 0;
    acme_authz_enter(order, authz, ACME_AUTHZ_POLL);
    if (!is_validated(reply, order->scratch)) {
        acme_exchange_poll(&authz->exchange, reply, now);
    }
    return NULL;
}

static acme_err_t *on_answer_error(acme_order_t *order, acme_authz_t *authz,
                                   const acme_reply_t *reply, acme_err_t *err,
                                   apr_time_t now)
{
    if (reply->status == 409) {
        /* It is being validated already: Boulder refuses parallel answers. */
        return on_answered(order, authz, reply, now);
    }
    acme_authz_enter(order, authz, ACME_AUTHZ_POLL);
    if (!acme_exchange_passes(reply, err)) {
        /* Perhaps it was validated in the meantime; if not, this is why. */
        authz->refusal = acme_err_dup(err, order->pool);
        return NULL;
    }
    if (authz->answers >= MAX_ANSWERS) {
        return err;
    }
    authz->doubtful = 1;
    return acme_order_retry(order, &authz->exchange, reply, err, now);
}

static acme_err_t *on_deactivated(acme_order_t *order, acme_authz_t *authz,
                                  const acme_reply_t *reply, apr_time_t now)
{
    (void)reply;
    (void)now;
    acme_authz_enter(order, authz, ACME_AUTHZ_CLOSED);
    return NULL;
}

/* A courtesy: not worth a second try. */
static acme_err_t *on_deactivate_error(acme_order_t *order, acme_authz_t *authz,
                                       const acme_reply_t *reply,
                                       acme_err_t *err, apr_time_t now)
{
    (void)err;
    return on_deactivated(order, authz, reply, now);
}

acme_err_t *acme_authz_reply(acme_order_t *order, acme_authz_t *authz,
                             const acme_reply_t *reply, apr_time_t now)
{
    acme_exchange_t *exchange = &authz->exchange;
    acme_err_t *err;

    exchange->under_way = 0;
    if (exchange->state != (int)authz->state) {
        return NULL;
    }
    if (acme_reply_is_success(reply)) {
        err = states[authz->state].on_success(order, authz, reply, now);
        if (!err || !acme_reaction(err->msg)->garbled) {
            return err;
        }
    }
    else {
        err = acme_err_wrap(acme_reply_error(reply, now, order->scratch),
                            order->scratch, states[authz->state].label);
    }
    return states[authz->state].on_error(order, authz, reply, err, now);
}
