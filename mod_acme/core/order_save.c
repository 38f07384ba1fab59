/* Orders as JSON: everything a process needs that takes over from one that was
 * killed at any moment. */
#include "core/order.h"

#include <apr_strings.h>
#include <string.h>

#include "core/blame.h"
#include "core/encode.h"
#include "core/order_impl.h"

#define VERSION     1
#define CLOCK_SLACK apr_time_from_sec(60)
#define MAX_SAVED   (4 * 1024 * 1024) /* octets; ours, yet from a disk */

/* --- save ----------------------------------------------------------------- */

/* Each returns not 0 where there is no memory: an order that lacks something would
 * be taken for damaged. */

/* What an error says may have come from anywhere. */
static int put_words(json_t *object, const char *name, const char *words,
                     apr_pool_t *pool)
{
    return words ? acme_json_put_text(
               object, name, acme_encode_printable(words, strlen(words), pool))
                 : 0;
}

static int put_texts(json_t *object, const char *name,
                     const apr_array_header_t *texts)
{
    return texts ? json_object_set_new(object, name, acme_json_texts(texts))
                 : 0;
}

static int put_number(json_t *object, const char *name, apr_int64_t value)
{
    return value ? json_object_set_new(object, name, json_integer(value)) : 0;
}

static int put_blames(json_t *object, const apr_array_header_t *blames,
                      apr_pool_t *pool)
{
    json_t *list = blames ? json_array() : NULL;
    int failed = 0;

    for (int i = 0; blames && i < blames->nelts; i++) {
        const acme_blame_t *blame = &APR_ARRAY_IDX(blames, i, acme_blame_t);
        json_t *json = json_object();

        failed |= acme_json_put_text(json, "name", blame->name)
                  | put_number(json, "number", blame->msg)
                  | put_words(json, "text", blame->text, pool);
        failed |= json_array_append_new(list, json);
    }
    return blames ? failed | json_object_set_new(object, "names", list) : 0;
}

static int put_error(json_t *object, const char *name, const acme_err_t *err,
                     apr_pool_t *pool)
{
    json_t *json;
    int failed;

    if (!err) {
        return 0;
    }
    json = json_object();
    failed = put_number(json, "number", err->msg)
             | put_words(json, "text", err->text, pool)
             | put_words(json, "detail", err->detail, pool)
             | put_words(json, "identifier", err->identifier, pool)
             | put_words(json, "instance", err->instance, pool)
             | put_number(json, "retry_at", err->retry_at)
             | put_blames(json, err->blames, pool);
    return failed | json_object_set_new(object, name, json);
}

static int put_exchange(json_t *object, const acme_exchange_t *exchange)
{
    return put_number(object, "due", exchange->due)
           | put_number(object, "polls", exchange->polls)
           | put_number(object, "failures", exchange->failures)
           | put_number(object, "failing_since", exchange->failing_since);
}

static int put_proof(json_t *json, const acme_authz_t *authz)
{
    return acme_json_put_text(json, "challenge", authz->challenge_url)
           | acme_json_put_text(json, "type",
                                acme_proof_type_name(authz->proof.type))
           | acme_json_put_text(json, "token", authz->proof.token)
           | put_texts(json, "issuers", authz->proof.issuers)
           | put_number(json, "hashed", authz->proof.hashed);
}

static int put_authz(json_t *list, const acme_authz_t *authz, apr_pool_t *pool)
{
    json_t *json = json_object();
    int failed =
        acme_json_put_text(json, "url", authz->url)
        | acme_json_put_text(json, "state", acme_authz_state_name(authz->state))
        | put_exchange(json, &authz->exchange)
        | acme_json_put_text(json, "name",
                             authz->ident ? authz->ident->value : NULL)
        | (authz->proof.token ? put_proof(json, authz) : 0)
        | put_number(json, "visible", authz->visible)
        | put_number(json, "answers", authz->answers)
        | put_number(json, "doubtful", authz->doubtful)
        | put_number(json, "answer_again", authz->answer_again)
        | put_number(json, "waiting_since", authz->waiting_since)
        | put_error(json, "refusal", authz->refusal, pool)
        | put_number(json, "offered", authz->offered)
        | put_number(json, "failed", authz->failed)
        | put_number(json, "proved", authz->proved)
        | put_error(json, "blame", authz->blame, pool);

    return failed | json_array_append_new(list, json);
}

static int put_authzs(json_t *object, const acme_order_t *order,
                      apr_pool_t *pool)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; i < order->authzs->nelts; i++) {
        failed |= put_authz(
            list, APR_ARRAY_IDX(order->authzs, i, acme_authz_t *), pool);
    }
    return failed | json_object_set_new(object, "authorizations", list);
}

static int put_names(json_t *object, const acme_order_t *order)
{
    const apr_array_header_t *idents = order->config->idents;
    json_t *names = json_array();
    int failed = 0;

    for (int i = 0; i < idents->nelts; i++) {
        failed |= json_array_append_new(
            names,
            json_string(APR_ARRAY_IDX(idents, i, const acme_ident_t *)->value));
    }
    return failed | json_object_set_new(object, "names", names);
}

static int put_order(json_t *object, const acme_order_t *order, apr_time_t now,
                     apr_pool_t *pool)
{
    return put_number(object, "version", VERSION)
           | put_number(object, "saved", now) | put_names(object, order)
           | acme_json_put_text(object, "state", acme_order_state_name(order))
           | put_exchange(object, &order->exchange)
           | acme_json_put_text(object, "url", order->url)
           | acme_json_put_text(object, "finalize", order->finalize)
           | acme_json_put_text(object, "certificate", order->certificate)
           | put_number(object, "finalized", order->finalized)
           | put_number(object, "without_profile", order->without_profile)
           | put_number(object, "without_replaces", order->without_replaces)
           | put_number(object, "stuck_since", order->stuck_since)
           | put_number(object, "issuing_since", order->issuing_since)
           | put_number(object, "blamed_since", order->blamed_since)
           | put_error(object, "error", order->error, pool)
           | put_authzs(object, order, pool);
}

acme_err_t *acme_order_save(const char **json, acme_order_t *order,
                            apr_time_t now, apr_pool_t *pool)
{
    json_t *object = json_object();

    if (put_order(object, order, now, pool) != 0) {
        json_decref(object);
        object = NULL;
    }
    ACME_TRY(acme_json_document(json, object, "saving an order", pool));
    order->dirty = 0;
    return NULL;
}

/* --- load ----------------------------------------------------------------- */

static acme_err_t *bad(apr_pool_t *pool, const char *why)
{
    return acme_err_make(pool, ACME_E_ORDER_LOAD, why, NULL);
}

static apr_int64_t get_number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));

    return value > 0 ? (apr_int64_t)value : 0;
}

static int get_count(const json_t *object, const char *name)
{
    apr_int64_t value = get_number(object, name);

    return value < 1000 ? (int)value : 1000;
}

static const char *get_text(const json_t *object, const char *name,
                            apr_pool_t *pool)
{
    const char *text = acme_json_string(object, name);

    return text ? apr_pstrdup(pool, text) : NULL;
}

/* @return -1 for a URL nobody can have saved */
static int get_url(const char **url, const json_t *object, const char *name,
                   apr_pool_t *pool)
{
    *url = get_text(object, name, pool);
    return *url && !acme_url_valid(*url) ? -1 : 0;
}

static void get_blames(acme_err_t *err, const json_t *json, apr_pool_t *pool)
{
    const json_t *list = json_object_get(json, "names");
    apr_size_t i;

    for (i = 0; i < json_array_size(list) && i < ACME_MAX_IDENTS; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = acme_json_string(one, "name");
        const char *text = acme_json_string(one, "text");

        if (name && text) {
            acme_blame_add(err, name, (acme_msg_t)get_number(one, "number"),
                           text, pool);
        }
    }
}

static acme_err_t *get_error(const json_t *object, const char *name,
                             apr_pool_t *pool)
{
    const json_t *json = json_object_get(object, name);
    acme_msg_t msg = (acme_msg_t)get_number(json, "number");
    acme_err_t *err;

    if (!json) {
        return NULL;
    }
    err = acme_err_make(pool, msg, NULL);
    err->text = get_text(json, "text", pool);
    if (!err->text) {
        err->text = acme_msg_entry(msg)->text;
    }
    err->detail = get_text(json, "detail", pool);
    err->identifier = get_text(json, "identifier", pool);
    err->instance = get_text(json, "instance", pool);
    err->retry_at = get_number(json, "retry_at");
    get_blames(err, json, pool);
    return err;
}

static void get_exchange(acme_exchange_t *exchange, const json_t *object)
{
    exchange->due = get_number(object, "due");
    exchange->polls = get_count(object, "polls");
    exchange->failures = get_count(object, "failures");
    exchange->failing_since = get_number(object, "failing_since");
}

static const acme_ident_t *find_name(const acme_order_t *order,
                                     const char *name)
{
    int i;

    for (i = 0; name && i < order->config->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(order->config->idents, i, const acme_ident_t *);
        if (!strcmp(ident->value, name)) {
            return ident;
        }
    }
    return NULL;
}

static apr_array_header_t *get_texts(const json_t *object, const char *name,
                                     apr_pool_t *pool)
{
    const json_t *list = json_object_get(object, name);
    apr_array_header_t *texts = apr_array_make(pool, 1, sizeof(const char *));
    apr_size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text) {
            APR_ARRAY_PUSH(texts, const char *) = apr_pstrdup(pool, text);
        }
    }
    return texts->nelts ? texts : NULL;
}

/* What the proof is made of beside its kind. @return -1: damaged */
static int get_proof(acme_proof_t *proof, const json_t *json, apr_pool_t *pool)
{
    if (proof->type != ACME_PROOF_DNS_PERSIST_01) {
        return acme_token_valid(proof->token) ? 0 : -1;
    }
    proof->issuers = get_texts(json, "issuers", pool);
    proof->hashed = get_count(json, "hashed");
    return proof->issuers ? 0 : -1;
}

/* The chosen challenge. @return -1: damaged */
static int get_challenge(acme_order_t *order, acme_authz_t *authz,
                         const json_t *json)
{
    const char *type = acme_json_string(json, "type");

    authz->proof.ident = authz->ident;
    authz->proof.token = get_text(json, "token", order->pool);
    if (get_url(&authz->challenge_url, json, "challenge", order->pool)) {
        return -1;
    }
    if (!authz->proof.token) {
        /* None chosen: fine as long as none is needed. */
        return authz->state == ACME_AUTHZ_PUBLISH
                       || authz->state == ACME_AUTHZ_ANSWER
                       || authz->state == ACME_AUTHZ_POLL || authz->visible
                   ? -1
                   : 0;
    }
    return !type || !authz->ident || !authz->challenge_url
                   || acme_proof_type_parse(&authz->proof.type, type)
                   || get_proof(&authz->proof, json, order->pool)
               ? -1
               : 0;
}

static int parse_authz_state(acme_authz_state_t *state, const char *name)
{
    int i;

    for (i = 0; name && i < ACME_AUTHZ_STATES; i++) {
        if (!strcmp(acme_authz_state_name((acme_authz_state_t)i), name)) {
            *state = (acme_authz_state_t)i;
            return 0;
        }
    }
    return -1;
}

static int load_authz(acme_order_t *order, const json_t *json)
{
    acme_authz_t *authz;
    const char *url;

    if (get_url(&url, json, "url", order->pool) || !url) {
        return -1;
    }
    authz = acme_order_add_authz(order, url);
    if (parse_authz_state(&authz->state, acme_json_string(json, "state"))) {
        return -1;
    }
    get_exchange(&authz->exchange, json);
    authz->ident = find_name(order, acme_json_string(json, "name"));
    authz->visible = get_count(json, "visible");
    authz->answers = get_count(json, "answers");
    authz->doubtful = get_count(json, "doubtful");
    authz->answer_again = get_number(json, "answer_again");
    authz->waiting_since = get_number(json, "waiting_since");
    authz->refusal = get_error(json, "refusal", order->pool);
    authz->offered = (unsigned int)get_count(json, "offered");
    authz->failed = (unsigned int)get_count(json, "failed");
    authz->proved = (unsigned int)get_count(json, "proved");
    authz->blame = get_error(json, "blame", order->pool);
    if (get_challenge(order, authz, json)) {
        return -1;
    }
    if (authz->blame && !authz->ident) {
        return -1;
    }
    if (authz->state == ACME_AUTHZ_CLOSED && !order->error && !authz->blame) {
        /* It could not be read, for which the order was to be looked at first:
         * a doubt that is not saved. */
        acme_authz_revive(authz);
    }
    if (authz->state == ACME_AUTHZ_ANSWER && authz->answers) {
        /* The answer may or may not have been sent: the CA knows. */
        authz->state = ACME_AUTHZ_POLL;
        authz->doubtful = 1;
    }
    return 0;
}

static acme_err_t *check_names(const acme_order_t *order, const json_t *json)
{
    const json_t *names = json_object_get(json, "names");
    apr_size_t i, count = json_array_size(names);

    if (count != (apr_size_t)order->config->idents->nelts) {
        return bad(order->scratch, "it is for other names");
    }
    for (i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (!find_name(order, name)) {
            return bad(order->scratch, "it is for other names");
        }
    }
    return NULL;
}

/* What each state takes for granted. @return -1: damaged */
static int check_state(const acme_order_t *order)
{
    switch (order->state) {
    case ACME_ORDER_NEW:
        return 0;
    case ACME_ORDER_CHECK:
    case ACME_ORDER_PROCESSING:
        return order->url ? 0 : -1;
    case ACME_ORDER_AUTHORIZE:
    case ACME_ORDER_FINALIZE:
        return order->url && order->finalize ? 0 : -1;
    case ACME_ORDER_DOWNLOAD:
    case ACME_ORDER_ALTERNATE:
    case ACME_ORDER_DONE:
        return order->certificate ? 0 : -1;
    case ACME_ORDER_ABANDON:
    case ACME_ORDER_FAILED:
        break;
    }
    return order->error ? 0 : -1;
}

static void limit(apr_time_t *time, apr_time_t latest, apr_time_t now)
{
    if (*time > latest) {
        *time = now;
    }
}

static void limit_exchange(acme_exchange_t *exchange,
                           apr_interval_time_t longest, apr_time_t now)
{
    limit(&exchange->due, now + longest, now);
    limit(&exchange->failing_since, now, now);
}

/* A clock that was ahead and is right again would have us wait for years. */
static void check_times(acme_order_t *order, apr_time_t saved, apr_time_t now)
{
    apr_interval_time_t longest =
        saved > now + CLOCK_SLACK ? 0 : ACME_EXCHANGE_LONGEST;
    int i;

    limit_exchange(&order->exchange, longest, now);
    limit(&order->stuck_since, now, now);
    limit(&order->issuing_since, now, now);
    limit(&order->blamed_since, now, now);
    for (i = 0; i < order->authzs->nelts; i++) {
        acme_authz_t *authz = APR_ARRAY_IDX(order->authzs, i, acme_authz_t *);

        limit_exchange(&authz->exchange, longest, now);
        limit(&authz->answer_again, now + ACME_AUTHZ_ANSWER_AGAIN, now);
        limit(&authz->waiting_since, now, now);
        if (authz->blame && !order->blamed_since) {
            order->blamed_since = now; /* or nobody would end the order */
        }
    }
}

/* Where to take up the work again. */
static void resume(acme_order_t *order)
{
    if (order->state == ACME_ORDER_DONE
        || order->state == ACME_ORDER_ALTERNATE) {
        order->state = ACME_ORDER_DOWNLOAD; /* the chain is not saved here */
    }
    if (order->state == ACME_ORDER_FINALIZE && order->finalized) {
        order->state = ACME_ORDER_CHECK; /* sent, perhaps: the CA knows */
        order->finalized = 0;
    }
}

static acme_err_t *load_order(acme_order_t *order, const json_t *json,
                              apr_time_t now)
{
    const json_t *authzs = json_object_get(json, "authorizations");
    const char *state = acme_json_string(json, "state");
    int number = state ? acme_order_state_parse(state) : -1;
    apr_size_t i;

    if (get_number(json, "version") != VERSION || number < 0) {
        return bad(order->scratch, "it is of another version");
    }
    ACME_TRY(check_names(order, json));
    order->state = (acme_order_state_t)number;
    get_exchange(&order->exchange, json);
    if (get_url(&order->url, json, "url", order->pool)
        || get_url(&order->finalize, json, "finalize", order->pool)
        || get_url(&order->certificate, json, "certificate", order->pool)) {
        return bad(order->scratch, "a URL in it is damaged");
    }
    order->finalized = get_count(json, "finalized");
    order->without_profile = get_count(json, "without_profile");
    order->without_replaces = get_count(json, "without_replaces");
    order->stuck_since = get_number(json, "stuck_since");
    order->issuing_since = get_number(json, "issuing_since");
    order->blamed_since = get_number(json, "blamed_since");
    order->error = get_error(json, "error", order->pool);
    for (i = 0; i < json_array_size(authzs); i++) {
        if (i >= ACME_MAX_IDENTS
            || load_authz(order, json_array_get(authzs, i))) {
            return bad(order->scratch, "an authorization in it is damaged");
        }
    }
    if (check_state(order)) {
        return bad(order->scratch, "something is missing in it");
    }
    resume(order);
    check_times(order, get_number(json, "saved"), now);
    return NULL;
}

acme_err_t *acme_order_load(acme_order_t **order,
                            const acme_order_config_t *config, const char *json,
                            apr_size_t len, apr_time_t now, apr_pool_t *parent)
{
    acme_order_t *loaded = acme_order_alloc(config, parent);
    json_t *object;
    acme_err_t *err;

    err = acme_json_parse(&object, json, len, MAX_SAVED, "saved order",
                          loaded->scratch);
    if (err) {
        err = err->msg == ACME_E_MEMORY ? acme_err_dup(err, parent)
                                        : bad(parent, err->text);
    }
    else {
        err = acme_err_dup(load_order(loaded, object, now), parent);
    }
    if (err) {
        apr_pool_destroy(loaded->pool);
        return err;
    }
    *order = loaded;
    return NULL;
}
