/* What an order asks in each of its states, and what the answers mean: RFC 8555
 * section 7.4 as a table. How it is stepped through is in order.c. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/order_impl.h"
#include "core/reaction.h"

#define STUCK_TIME apr_time_from_sec(60 * 60)
/* Some CAs take hours to issue; one that takes longer does not do it at all. */
#define LONGEST_WAIT apr_time_from_sec(3 * 24 * 60 * 60)

static acme_order_build_fn_t build_new_order, build_read, build_finalize,
    build_download;
static acme_order_success_fn_t on_new_order, on_order, on_chain;
static acme_order_error_fn_t on_new_order_error, on_finalize_error, on_error;

/* RFC 8555 section 7.4 as this client goes through it. States without a builder
 * send nothing of their own; in AUTHORIZE and ABANDON the authorizations do
 * (authz.c). */
const acme_order_row_t acme_order_rows[ACME_ORDER_STATES] = {
    [ACME_ORDER_NEW] = { "ordering", "newOrder", build_new_order, on_new_order,
                         on_new_order_error },
    [ACME_ORDER_CHECK] = { "checking", "order", build_read, on_order,
                           on_error },
    [ACME_ORDER_AUTHORIZE] = { "authorizing" },
    [ACME_ORDER_FINALIZE] = { "finalizing", "finalize", build_finalize,
                              on_order, on_finalize_error },
    [ACME_ORDER_PROCESSING] = { "processing", "order", build_read, on_order,
                                on_error },
    [ACME_ORDER_DOWNLOAD] = { "downloading", "certificate", build_download,
                              on_chain, on_error },
    [ACME_ORDER_ALTERNATE] = { "choosing", "alternate",
                               acme_order_build_alternate,
                               acme_order_on_alternate,
                               acme_order_on_alternate_error },
    [ACME_ORDER_DONE] = { "done" },
    [ACME_ORDER_ABANDON] = { "abandoning" },
    [ACME_ORDER_FAILED] = { "failed" },
};

/* --- requests ------------------------------------------------------------- */

/* @return not 0: there is no memory */
static int put_identifiers(json_t *payload, const apr_array_header_t *idents)
{
    json_t *list = json_array();
    int failed = 0;

    for (int i = 0; i < idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(idents, i, const acme_ident_t *);
        failed |= json_array_append_new(
            list, json_pack("{s:s, s:s}", "type",
                            ident->type == ACME_IDENT_IP ? "ip" : "dns",
                            "value", ident->value));
    }
    return failed | json_object_set_new(payload, "identifiers", list);
}

/* draft-ietf-acme-profiles: names the directory does not list are not asked for.
 * @param profile  NULL: order without one */
static acme_err_t *choose_profile(const char **profile, acme_order_t *order,
                                  const acme_session_t *session)
{
    const acme_order_config_t *config = order->config;
    const apr_array_header_t *offered =
        acme_session_directory(session)->profiles;
    const char *names;
    int i;

    *profile = NULL;
    if (!config->profile || order->without_profile) {
        return NULL;
    }
    for (i = 0; i < offered->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(offered, i, const char *), config->profile)) {
            *profile = config->profile;
            return NULL;
        }
    }
    names = offered->nelts ? apr_array_pstrcat(order->scratch, offered, ' ')
                           : "none";
    if (!config->profile_required) {
        order->without_profile = 1;
        order->dirty = 1;
        order->profiles = apr_pstrdup(order->pool, names);
        return NULL;
    }
    return acme_err_make(order->scratch, ACME_E_PROFILE, config->profile, names,
                         NULL);
}

/* RFC 9773 section 5: only to a CA that knows renewal information. */
static int names_replaced(const acme_order_t *order,
                          const acme_session_t *session)
{
    return order->config->replaces && !order->without_replaces
           && acme_session_directory(session)->renewal_info;
}

static acme_err_t *build_new_order(acme_order_t *order,
                                   const acme_session_t *session,
                                   acme_request_t *request)
{
    const char *profile;

    ACME_TRY(choose_profile(&profile, order, session));
    order->replacing = names_replaced(order, session);
    request->url = apr_pstrdup(order->request_pool,
                               acme_session_directory(session)->new_order);
    json_t *payload = json_object();
    int failed =
        put_identifiers(payload, order->config->idents)
        | acme_json_put_text(payload, "profile", profile)
        | acme_json_put_text(payload, "replaces",
                             order->replacing ? order->config->replaces : NULL);
    return acme_json_message(&request->payload, payload, failed,
                             "asking for an order", order->request_pool);
}

static acme_err_t *build_read(acme_order_t *order,
                              const acme_session_t *session,
                              acme_request_t *request)
{
    (void)session;
    request->url = order->url;
    return NULL;
}

static acme_err_t *build_finalize(acme_order_t *order,
                                  const acme_session_t *session,
                                  acme_request_t *request)
{
    acme_csr_options_t options = { order->config->must_staple,
                                   order->config->subject };
    const char *csr;

    (void)session;
    ACME_TRY(acme_csr_make(&csr, order->config->key, order->config->idents,
                           &options, order->request_pool));
    request->url = order->finalize;
    ACME_TRY(acme_json_message(&request->payload,
                               json_pack("{s:s}", "csr", csr), 0,
                               "finalizing an order", order->request_pool));
    /* On disk before it is sent: whoever resumes asks first. */
    order->finalized = 1;
    order->dirty = 1;
    return NULL;
}

static acme_err_t *build_download(acme_order_t *order,
                                  const acme_session_t *session,
                                  acme_request_t *request)
{
    (void)session;
    request->url = order->certificate;
    request->accept = "application/pem-certificate-chain";
    request->max_body = ACME_MAX_CHAIN;
    return NULL;
}

/* --- where the order stands ----------------------------------------------- */

/* A URL listed twice is one authorization all the same. */
static void adopt_authorizations(acme_order_t *order,
                                 const apr_array_header_t *urls)
{
    int i, j;

    for (i = 0; i < urls->nelts; i++) {
        const char *url = APR_ARRAY_IDX(urls, i, const char *);

        for (j = 0; j < i; j++) {
            if (!strcmp(APR_ARRAY_IDX(urls, j, const char *), url)) {
                break;
            }
        }
        if (j == i) {
            acme_order_add_authz(order, url);
        }
    }
}

/* A status that should have passed: look again, but not for ever. */
static acme_err_t *on_stuck(acme_order_t *order, acme_resource_status_t status,
                            const acme_reply_t *reply, apr_time_t now)
{
    if (!order->stuck_since) {
        order->stuck_since = now;
    }
    if (now - order->stuck_since >= STUCK_TIME) {
        return acme_err_make(order->scratch, ACME_E_ORDER_STUCK,
                             acme_resource_status_name(status), NULL);
    }
    if (order->state == ACME_ORDER_FINALIZE) {
        acme_order_enter(order, ACME_ORDER_PROCESSING);
    }
    else if (order->state == ACME_ORDER_NEW) {
        acme_order_enter(order, ACME_ORDER_CHECK);
    }
    acme_exchange_poll(&order->exchange, reply, now);
    return NULL;
}

static acme_err_t *on_pending(acme_order_t *order,
                              const acme_order_resource_t *resource,
                              const acme_reply_t *reply, apr_time_t now)
{
    if (order->doubt) {
        return order->doubt;
    }
    if (!order->authzs->nelts) {
        adopt_authorizations(order, resource->authorizations);
    }
    if (order->finalized
        || acme_order_count_valid(order) == order->authzs->nelts) {
        return on_stuck(order, ACME_STATUS_PENDING, reply, now);
    }
    acme_order_enter(order, ACME_ORDER_AUTHORIZE);
    return NULL;
}

static acme_err_t *on_ready(acme_order_t *order, const acme_reply_t *reply,
                            apr_time_t now)
{
    if (order->state == ACME_ORDER_FINALIZE
        || order->state == ACME_ORDER_PROCESSING) {
        return on_stuck(order, ACME_STATUS_READY, reply, now);
    }
    acme_order_enter(order, ACME_ORDER_FINALIZE);
    return NULL;
}

static acme_err_t *on_processing(acme_order_t *order, const acme_reply_t *reply,
                                 apr_time_t now)
{
    if (!order->issuing_since) {
        order->issuing_since = now;
    }
    if (now - order->issuing_since >= LONGEST_WAIT) {
        return acme_err_make(order->scratch, ACME_E_ORDER_STUCK, "processing",
                             NULL);
    }
    if (order->state != ACME_ORDER_PROCESSING) {
        acme_order_enter(order, ACME_ORDER_PROCESSING);
    }
    order->stuck_since = 0;
    acme_exchange_poll(&order->exchange, reply, now);
    acme_order_slow(order, "issuing the certificate", order->issuing_since,
                    order->exchange.due, now);
    return NULL;
}

/* An order object, whatever it answers: any state may come first, since CAs
 * reuse orders. RFC 8555 section 7.1.6. */
static acme_err_t *on_order(acme_order_t *order, const acme_reply_t *reply,
                            apr_time_t now)
{
    acme_order_resource_t *resource;

    ACME_TRY(acme_order_resource_parse(&resource, reply->body, reply->len,
                                       order->scratch));
    if (resource->finalize
        && (!order->finalize || strcmp(order->finalize, resource->finalize))) {
        order->finalize = apr_pstrdup(order->pool, resource->finalize);
        order->dirty = 1;
    }
    if (resource->status != ACME_STATUS_READY) {
        /* "ready" alone does not show that a failing finalize has passed. */
        order->exchange.failures = 0;
    }
    switch (resource->status) {
    case ACME_STATUS_PENDING:
        return on_pending(order, resource, reply, now);
    case ACME_STATUS_READY:
        return on_ready(order, reply, now);
    case ACME_STATUS_PROCESSING:
        return on_processing(order, reply, now);
    case ACME_STATUS_VALID:
        order->certificate = apr_pstrdup(order->pool, resource->certificate);
        acme_order_enter(order, ACME_ORDER_DOWNLOAD);
        return NULL;
    case ACME_STATUS_INVALID:
        if (order->blamed_since) {
            return acme_order_verdict(order);
        }
        return resource->error
                   ? resource->error
                   : acme_err_make(order->scratch, ACME_E_ORDER_INVALID, NULL);
    case ACME_STATUS_DEACTIVATED:
    case ACME_STATUS_EXPIRED:
    case ACME_STATUS_REVOKED:
        break;
    }
    return acme_err_make(order->scratch, ACME_E_CA_RESOURCE, "order",
                         acme_resource_status_name(resource->status), NULL);
}

/* The order's URL is told here and never again: RFC 8555 section 7.4. */
static acme_err_t *on_new_order(acme_order_t *order, const acme_reply_t *reply,
                                apr_time_t now)
{
    acme_err_t *err;

    if (!reply->location || !acme_url_valid(reply->location)) {
        return acme_err_make(order->scratch, ACME_E_CA_RESOURCE,
                             "newOrder reply", "Location is no https:// URL",
                             NULL);
    }
    order->url = apr_pstrdup(order->pool, reply->location);
    order->dirty = 1;
    err = on_order(order, reply, now);
    if (err && acme_reaction(err->msg)->garbled) {
        /* The order exists: read it again, rather than make another. */
        acme_order_enter(order, ACME_ORDER_CHECK);
        return acme_order_retry(order, &order->exchange, reply, err, now);
    }
    return err;
}

static acme_err_t *read_chain(acme_chain_t **chain, acme_order_t *order,
                              const acme_reply_t *reply, apr_time_t now)
{
    const acme_order_config_t *config = order->config;

    ACME_TRY(acme_chain_parse(chain, reply->body, reply->len, order->scratch));
    return acme_chain_verify(*chain, config->key, config->idents, now,
                             order->scratch);
}

static acme_err_t *on_chain(acme_order_t *order, const acme_reply_t *reply,
                            apr_time_t now)
{
    acme_chain_t *chain;
    acme_err_t *err = read_chain(&chain, order, reply, now);

    /* The order is given up for what is wrong with it: where OpenSSL has no memory
     * for a moment, it says that the certificate is bad. */
    if (err) {
        ACME_TRY(read_chain(&chain, order, reply, now));
    }
    ACME_TRY(acme_chain_to_pem(&order->chain_pem, chain, order->pool));
    acme_order_choose_chain(order, chain, reply);
    return NULL;
}

/* --- refusals ------------------------------------------------------------- */

/* Trouble of the CA's that has lasted for an hour: a new order has the better
 * chance then, unless this one's certificate is made already. */
static acme_err_t *hold(const acme_order_t *order, acme_err_t *final)
{
    const acme_reaction_t *reaction;
    acme_err_t *held;

    if (!final || !(order->certificate || order->issuing_since)) {
        return final;
    }
    reaction = acme_reaction(final->msg);
    if (reaction->fate == ACME_FATE_KEEP || !reaction->again) {
        return final;
    }
    held = acme_err_make(order->scratch, ACME_E_ORDER_HELD,
                         acme_err_line(final, order->scratch), NULL);
    held->retry_at = final->retry_at;
    return held;
}

/* To a question about an order that is there, these cannot be the answer. */
static acme_err_t *on_error(acme_order_t *order, const acme_reply_t *reply,
                            acme_err_t *err, apr_time_t now)
{
    if (!reply->failure
        && (reply->status == 404 || reply->status == 410
            || err->msg == ACME_E_CA_PROBLEM_MALFORMED)) {
        return acme_err_make(order->scratch, ACME_E_ORDER_GONE,
                             acme_err_line(err, order->scratch), NULL);
    }
    return hold(order,
                acme_order_retry(order, &order->exchange, reply, err, now));
}

/* A certificate is not to be lost for want of a privilege: whatever the CA has
 * against the replacement, it is asked once more without (RFC 9773 section 5).
 * "conflict" is Boulder's, "serverInternal" Pebble's. */
static int refuses_replacement(acme_msg_t msg)
{
    return msg == ACME_E_CA_PROBLEM_REPLACED
           || msg == ACME_E_CA_PROBLEM_CONFLICT
           || msg == ACME_E_CA_PROBLEM_MALFORMED
           || msg == ACME_E_CA_PROBLEM_UNAUTHORIZED
           || msg == ACME_E_CA_PROBLEM_INTERNAL;
}

static acme_err_t *on_new_order_error(acme_order_t *order,
                                      const acme_reply_t *reply,
                                      acme_err_t *err, apr_time_t now)
{
    const acme_order_config_t *config = order->config;

    if (order->replacing && refuses_replacement(err->msg)) {
        order->without_replaces = 1;
        order->dirty = 1;
        order->exchange.due = err->retry_at;
        acme_order_note(order, err, err->retry_at ? err->retry_at : now);
        return NULL;
    }
    if (err->msg == ACME_E_CA_PROBLEM_PROFILE && config->profile
        && !config->profile_required && !order->without_profile) {
        order->without_profile = 1;
        order->dirty = 1;
        return NULL;
    }
    if (err->msg == ACME_E_CA_PROBLEM_RATE || reply->status == 429) {
        return err; /* hours, not seconds: for the policy to wait */
    }
    if (!reply->failure && reply->status == 404) {
        /* The session reads the directory again; perhaps newOrder has moved. */
        err = acme_err_make(order->scratch, ACME_E_CA_BUSY, "404", NULL);
    }
    return acme_order_retry(order, &order->exchange, reply, err, now);
}

/* CAs that have given up OCSP refuse the whole request for this extension, some
 * as badCSR, some as unauthorized. */
static acme_err_t *about_must_staple(const acme_order_t *order, acme_err_t *err)
{
    acme_err_t *told;

    if (err->msg != ACME_E_CA_PROBLEM_CSR
        && err->msg != ACME_E_CA_PROBLEM_UNAUTHORIZED) {
        return err;
    }
    told = acme_err_make(order->scratch, ACME_E_MUST_STAPLE, NULL);
    told->detail = err->detail;
    told->identifier = err->identifier;
    told->instance = err->instance;
    return told;
}

/* Whether the CSR has arrived may be unknown, and "orderNotReady" says the same
 * (RFC 8555 section 7.4): look where the order stands, do not finalize twice. */
static acme_err_t *on_finalize_error(acme_order_t *order,
                                     const acme_reply_t *reply, acme_err_t *err,
                                     apr_time_t now)
{
    if (!reply->failure && (reply->status == 404 || reply->status == 410)) {
        return on_error(order, reply, err, now);
    }
    if (order->config->must_staple && !acme_exchange_passes(reply, err)) {
        err = about_must_staple(order, err);
    }
    err = acme_order_retry(order, &order->exchange, reply, err, now);
    if (!err) {
        order->state = ACME_ORDER_CHECK;
        order->finalized = 0;
        order->dirty = 1;
    }
    return err;
}
