#include "core/order.h"

#include <apr_strings.h>
#include <string.h>

#include "core/blame.h"
#include "core/encode.h"
#include "core/order_impl.h"
#include "core/reaction.h"

#define SLOW_TIME apr_time_from_sec(60 * 60)
/* For the verdict on the other names, so that all that fail are known at once. */
#define BLAME_WAIT apr_time_from_sec(5 * 60)

const char *acme_order_state_name(const acme_order_t *order)
{
    return acme_order_rows[order->state].name;
}

int acme_order_state_parse(const char *name)
{
    int i;

    for (i = 0; i < ACME_ORDER_STATES; i++) {
        if (!strcmp(acme_order_rows[i].name, name)) {
            return i;
        }
    }
    return -1;
}

static acme_authz_t *authz_at(const acme_order_t *order, int i)
{
    return APR_ARRAY_IDX(order->authzs, i, acme_authz_t *);
}

int acme_order_count_valid(const acme_order_t *order)
{
    int i, count = 0;

    for (i = 0; i < order->authzs->nelts; i++) {
        count += authz_at(order, i)->state == ACME_AUTHZ_VALID;
    }
    return count;
}

acme_tried_t acme_order_tried(const acme_order_t *order,
                              const acme_ident_t *ident)
{
    acme_tried_t tried = { 0 };
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        const acme_authz_t *authz = authz_at(order, i);

        if (authz->ident && acme_ident_equal(authz->ident, ident)) {
            tried.offered = authz->offered ? authz->offered : ~0u;
            tried.failed = authz->failed;
            tried.proved = authz->proved;
            tried.blame = authz->blame;
        }
    }
    return tried;
}

/* To be on disk is what would have to be done twice without. What the CA tells
 * whoever asks again (it has the CSR, it has issued) is not worth two fsyncs. */
void acme_order_enter(acme_order_t *order, acme_order_state_t state)
{
    order->state = state;
    acme_exchange_reset(&order->exchange);
    if (state != ACME_ORDER_PROCESSING && state != ACME_ORDER_DOWNLOAD
        && state != ACME_ORDER_DONE) {
        order->dirty = 1;
    }
}

/* Whether a later attempt goes on with what has failed now. */
static int is_kept(const acme_order_t *order)
{
    return order->error
           && acme_reaction(order->error->msg)->fate == ACME_FATE_KEEP;
}

static void fail(acme_order_t *order, const acme_err_t *err)
{
    int i;

    if (order->error || order->state == ACME_ORDER_DONE) {
        return;
    }
    order->error = acme_err_dup(err, order->pool);
    acme_blame_settle(order->error, order->config->idents, order->pool);
    acme_order_enter(order, ACME_ORDER_ABANDON);
    for (i = 0; i < order->authzs->nelts && !is_kept(order); i++) {
        acme_authz_abandon(authz_at(order, i));
    }
}

void acme_order_rewind(acme_order_t *order)
{
    int i;

    order->error = order->doubt = order->trouble = NULL;
    acme_order_enter(order, order->url ? ACME_ORDER_CHECK : ACME_ORDER_NEW);
    acme_exchange_forgive(&order->exchange);
    order->finalized = 0;
    order->stuck_since = 0;
    order->blamed_since = 0;
    for (i = 0; i < order->authzs->nelts; i++) {
        acme_authz_revive(authz_at(order, i));
        acme_exchange_forgive(&authz_at(order, i)->exchange);
    }
}

/* One name has failed, and the order with it. The others are seen through: what is
 * valid serves the next order as well. */
static void blame(acme_order_t *order, acme_authz_t *authz,
                  const acme_err_t *err, apr_time_t now)
{
    authz->blame = acme_err_dup(err, order->pool);
    authz->blame->identifier = authz->ident->value;
    acme_authz_abandon(authz);
    if (!order->blamed_since) {
        order->blamed_since = now;
    }
    order->dirty = 1;
}

acme_err_t *acme_order_verdict(const acme_order_t *order)
{
    apr_array_header_t *failures =
        apr_array_make(order->scratch, 1, sizeof(const acme_err_t *));
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        if (authz_at(order, i)->blame) {
            APR_ARRAY_PUSH(failures, const acme_err_t *) =
                authz_at(order, i)->blame;
        }
    }
    return acme_blame_join(failures, order->scratch);
}

void acme_order_doubt(acme_order_t *order, const acme_err_t *err)
{
    if (!order->doubt && !order->error) {
        order->doubt = acme_err_dup(err, order->pool);
        acme_order_enter(order, ACME_ORDER_CHECK);
    }
}

void acme_order_note(acme_order_t *order, const acme_err_t *err,
                     apr_time_t retry_at)
{
    apr_pool_clear(order->trouble_pool);
    order->trouble = acme_err_dup(err, order->trouble_pool);
    order->trouble->retry_at = retry_at;
}

acme_err_t *acme_order_retry(acme_order_t *order, acme_exchange_t *exchange,
                             const acme_reply_t *reply, acme_err_t *err,
                             apr_time_t now)
{
    acme_err_t *final = acme_exchange_retry(exchange, reply, err, now);

    if (!final) {
        acme_order_note(order, err, exchange->due);
    }
    return final;
}

void acme_order_slow(acme_order_t *order, const char *what, apr_time_t since,
                     apr_time_t due, apr_time_t now)
{
    apr_pool_t *pool = order->trouble_pool;

    if (now - since < SLOW_TIME) {
        return;
    }
    apr_pool_clear(pool);
    order->trouble = acme_err_make(pool, ACME_E_ORDER_SLOW, what,
                                   acme_time_format(since, pool), NULL);
    order->trouble->retry_at = due;
    order->dirty = 1; /* a restart must not begin the wait anew */
}

apr_array_header_t *acme_order_remarks(const acme_order_t *order,
                                       apr_pool_t *pool)
{
    apr_array_header_t *remarks =
        apr_array_make(pool, 2, sizeof(const acme_err_t *));

    if (order->without_profile && order->config->profile) {
        const char *has =
            order->profiles
                ? apr_pstrcat(pool, "; it has: ", order->profiles, NULL)
                : "";
        APR_ARRAY_PUSH(remarks, const acme_err_t *) = acme_err_make(
            pool, ACME_W_PROFILE_MISSING, order->config->profile, has, NULL);
    }
    if (order->remark) {
        APR_ARRAY_PUSH(remarks, const acme_err_t *) = order->remark;
    }
    return remarks;
}

const acme_err_t *acme_order_trouble(const acme_order_t *order)
{
    return order->trouble;
}

/* --- making and ending ---------------------------------------------------- */

acme_order_t *acme_order_alloc(const acme_order_config_t *config,
                               apr_pool_t *parent)
{
    acme_order_t *order;
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    order = apr_pcalloc(pool, sizeof(*order));
    order->pool = pool;
    apr_pool_create(&order->request_pool, pool);
    apr_pool_create(&order->scratch, pool);
    apr_pool_create(&order->trouble_pool, pool);
    order->config = config;
    order->authzs =
        apr_array_make(pool, config->idents->nelts, sizeof(acme_authz_t *));
    return order;
}

acme_order_t *acme_order_create(const acme_order_config_t *config,
                                apr_pool_t *parent)
{
    return acme_order_alloc(config, parent);
}

/* Requests of the order carry tag 0, those of its i-th authorization i + 1. */
acme_authz_t *acme_order_add_authz(acme_order_t *order, const char *url)
{
    acme_authz_t *authz = apr_pcalloc(order->pool, sizeof(*authz));

    authz->url = apr_pstrdup(order->pool, url);
    APR_ARRAY_PUSH(order->authzs, acme_authz_t *) = authz;
    authz->exchange.request.tag = order->authzs->nelts;
    return authz;
}

void acme_order_cancel(acme_order_t *order, acme_err_t *error)
{
    fail(order, error);
}

int acme_order_dirty(const acme_order_t *order)
{
    return order->dirty;
}

/* --- stepping ------------------------------------------------------------- */

/* Whether the CA may look at the proof yet, although the order has failed: its
 * answer is on its way, or was given and the authorization is still to be
 * deactivated. Without the proof that would be one more failed validation. */
static int is_looked_at(const acme_order_t *order, const acme_authz_t *authz)
{
    const acme_exchange_t *exchange = &authz->exchange;

    return (exchange->under_way && exchange->state == ACME_AUTHZ_ANSWER)
           || (!is_kept(order) && authz->answers
               && authz->state == ACME_AUTHZ_DEACTIVATE);
}

/* Whether the CA wants to see no more proofs, also of authorizations that it has
 * not let us read. */
static int is_proved(const acme_order_t *order)
{
    return order->state >= ACME_ORDER_FINALIZE
           && order->state <= ACME_ORDER_DONE;
}

/* Proofs are withdrawn as soon as they have served (RFC 8555 section 8.3). */
static int next_withdraw(acme_step_t *step, acme_order_t *order,
                         const acme_session_t *session)
{
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        acme_authz_t *authz = authz_at(order, i);

        if (authz->visible
            && ((order->error && !is_looked_at(order, authz))
                || acme_authz_decided(authz) || is_proved(order)
                || authz->state == ACME_AUTHZ_READ)) {
            acme_authz_make_proof(authz, session, order->pool);
            authz->visible = 0;
            authz->publishing = 0;
            step->kind = ACME_STEP_WITHDRAW;
            step->proof = &authz->proof;
            return 1;
        }
    }
    return 0;
}

static int next_of_authzs(acme_step_t *step, acme_order_t *order,
                          const acme_session_t *session, apr_time_t now)
{
    int i;

    if (is_kept(order)
        || (order->state != ACME_ORDER_AUTHORIZE
            && order->state != ACME_ORDER_ABANDON)) {
        return 0;
    }
    for (i = 0; i < order->authzs->nelts; i++) {
        if (acme_authz_next(step, order, authz_at(order, i), session, now)) {
            return 1;
        }
    }
    return 0;
}

static int waits_for_key(const acme_order_t *order)
{
    return order->state == ACME_ORDER_FINALIZE && !order->config->key;
}

/* A request of the order itself. @return 0: none now, step->until says when */
static int next_request(acme_step_t *step, acme_order_t *order,
                        const acme_session_t *session, apr_time_t now)
{
    acme_exchange_t *exchange = &order->exchange;
    acme_order_build_fn_t *build = acme_order_rows[order->state].build;
    acme_err_t *err;

    if (!build || exchange->under_way || waits_for_key(order)) {
        return 0;
    }
    if (exchange->due > now) {
        step->until = exchange->due;
        return 0;
    }
    apr_pool_clear(order->request_pool);
    step->request = acme_exchange_begin(exchange, (int)order->state,
                                        acme_order_rows[order->state].label);
    err = build(order, session, step->request);
    if (err) {
        exchange->under_way = 0;
        step->request = NULL;
        fail(order, err);
        return 0;
    }
    step->kind = ACME_STEP_SEND;
    return 1;
}

/* Whether nothing is under way and nothing is left to close. */
static int is_quiet(const acme_order_t *order)
{
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        const acme_authz_t *authz = authz_at(order, i);

        if (authz->exchange.under_way
            || (!is_kept(order) && !acme_authz_decided(authz))) {
            return 0;
        }
    }
    return !order->exchange.under_way;
}

static int all_decided(const acme_order_t *order)
{
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        if (!acme_authz_decided(authz_at(order, i))) {
            return 0;
        }
    }
    return 1;
}

/* Move on where the authorizations have brought the order. */
static void advance(acme_order_t *order, apr_time_t now)
{
    if (order->state == ACME_ORDER_AUTHORIZE
        && acme_order_count_valid(order) == order->authzs->nelts) {
        /* It is ready by definition (7.1.6): no need to read it again. */
        acme_order_enter(order, ACME_ORDER_FINALIZE);
    }
    else if (order->state == ACME_ORDER_AUTHORIZE && order->blamed_since
             && (all_decided(order)
                 || now >= order->blamed_since + BLAME_WAIT)) {
        fail(order, acme_order_verdict(order));
    }
    else if (order->state == ACME_ORDER_ABANDON && is_quiet(order)) {
        acme_order_enter(order, ACME_ORDER_FAILED);
    }
}

static void next_end(acme_step_t *step, const acme_order_t *order)
{
    step->kind = ACME_STEP_WAIT;
    if (order->state == ACME_ORDER_DONE) {
        step->kind = ACME_STEP_DONE;
        step->chain_pem = order->chain_pem;
    }
    else if (order->state == ACME_ORDER_FAILED) {
        step->kind = ACME_STEP_FAILED;
        step->error = order->error;
    }
}

void acme_order_next(acme_step_t *step, acme_order_t *order,
                     const acme_session_t *session, apr_time_t now)
{
    acme_order_state_t before;

    do {
        before = order->state;
        memset(step, 0, sizeof(*step));
        if (next_withdraw(step, order, session)
            || next_of_authzs(step, order, session, now)
            || next_request(step, order, session, now)) {
            return;
        }
        advance(order, now);
    } while (order->state != before);
    if (order->state == ACME_ORDER_AUTHORIZE && order->blamed_since
        && (!step->until || step->until > order->blamed_since + BLAME_WAIT)) {
        step->until = order->blamed_since + BLAME_WAIT;
    }
    next_end(step, order);
}

/* --- what is fed ---------------------------------------------------------- */

static acme_err_t *order_reply(acme_order_t *order, const acme_reply_t *reply,
                               apr_time_t now)
{
    acme_exchange_t *exchange = &order->exchange;
    acme_order_state_t state = order->state;
    acme_err_t *err;

    exchange->under_way = 0;
    if (exchange->state != (int)state) {
        return NULL;
    }
    if (acme_reply_is_success(reply)) {
        err = acme_order_rows[state].on_success(order, reply, now);
        /* The doubt is about another reply, and has been tried long enough. */
        if (!err || err == order->doubt || !acme_reaction(err->msg)->garbled) {
            return err;
        }
    }
    else {
        err = acme_err_wrap(acme_reply_error(reply, now, order->scratch),
                            order->scratch, acme_order_rows[state].label);
    }
    return acme_order_rows[state].on_error(order, reply, err, now);
}

/* @return why the order has failed as a whole */
static acme_err_t *as_a_whole(acme_order_t *order, acme_authz_t *authz,
                              acme_err_t *err, apr_time_t now)
{
    if (err && authz->ident && acme_reaction(err->msg)->one_name
        && order->state == ACME_ORDER_AUTHORIZE) {
        blame(order, authz, err, now);
        return NULL;
    }
    return err;
}

static acme_err_t *authz_reply(acme_order_t *order, acme_authz_t *authz,
                               const acme_reply_t *reply, apr_time_t now)
{
    return as_a_whole(order, authz, acme_authz_reply(order, authz, reply, now),
                      now);
}

void acme_order_reply(acme_order_t *order, const acme_request_t *request,
                      const acme_reply_t *reply, apr_time_t now)
{
    acme_err_t *err;

    apr_pool_clear(order->scratch);
    if (acme_reply_is_success(reply)) {
        order->trouble = NULL;
    }
    if (request->tag == 0) {
        err = order_reply(order, reply, now);
    }
    else {
        err = authz_reply(order, authz_at(order, request->tag - 1), reply, now);
    }
    if (err) {
        fail(order, err);
    }
    advance(order, now);
}

void acme_order_published(acme_order_t *order, const acme_proof_t *proof,
                          acme_err_t *error, apr_time_t now)
{
    acme_err_t *err = NULL;
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        acme_authz_t *authz = authz_at(order, i);

        if (proof == &authz->proof) {
            err =
                as_a_whole(order, authz,
                           acme_authz_published(order, authz, error, now), now);
        }
    }
    if (err) {
        fail(order, err);
    }
}

const acme_setback_t *acme_order_setback(const acme_order_t *order)
{
    return order->setback;
}

/* --- what it tells -------------------------------------------------------- */

apr_array_header_t *acme_order_proofs(const acme_order_t *order,
                                      const acme_session_t *session,
                                      apr_pool_t *pool)
{
    apr_array_header_t *proofs =
        apr_array_make(pool, order->authzs->nelts, sizeof(acme_proof_t *));
    int i;

    for (i = 0; i < order->authzs->nelts; i++) {
        acme_authz_t *authz = authz_at(order, i);

        if (authz->visible) {
            acme_authz_make_proof(authz, session, order->pool);
            APR_ARRAY_PUSH(proofs, acme_proof_t *) = &authz->proof;
        }
    }
    return proofs;
}

int acme_order_accepted(const acme_order_t *order)
{
    return order->url != NULL;
}

int acme_order_issued(const acme_order_t *order)
{
    return order->certificate != NULL;
}

const char *acme_order_progress(const acme_order_t *order, apr_pool_t *pool)
{
    int all = order->authzs->nelts;

    switch (order->state) {
    case ACME_ORDER_NEW:
        return "asking the CA for an order";
    case ACME_ORDER_CHECK:
        return "asking the CA where the order stands";
    case ACME_ORDER_AUTHORIZE:
        return apr_psprintf(pool,
                            "waiting for the CA to validate %d of %d names",
                            all - acme_order_count_valid(order), all);
    case ACME_ORDER_FINALIZE:
        return waits_for_key(order) ? "making the key"
                                    : "asking the CA for the certificate";
    case ACME_ORDER_PROCESSING:
        return "waiting for the CA to issue the certificate";
    case ACME_ORDER_DOWNLOAD:
        return "fetching the certificate";
    case ACME_ORDER_ALTERNATE:
        return "looking for the preferred chain";
    case ACME_ORDER_DONE:
        return "certificate received";
    case ACME_ORDER_ABANDON:
        return "giving the order up";
    case ACME_ORDER_FAILED:
        break;
    }
    return "the order has failed";
}
