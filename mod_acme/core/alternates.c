/* Other chains of the same certificate: RFC 8555 section 7.4.2. They are fetched
 * right after the default one, since an order does not live for ever. None of them
 * is worth failing for: the default one is at hand. */
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"
#include "core/order_impl.h"

#define MAX_FAILURES 4                     /* of one chain: half a minute */
#define MAX_WAIT     apr_time_from_sec(60) /* for it, whatever the CA says */

/* The last certificate's issuer: whom clients must trust. */
static const char *top_of(const acme_chain_t *chain, apr_pool_t *pool)
{
    int count = sk_X509_num(chain->issuers);
    acme_cert_info_t *info;
    acme_err_t *err = acme_cert_info(
        &info,
        count > 0 ? sk_X509_value(chain->issuers, count - 1) : chain->leaf,
        pool);

    return err || !info->issuer ? "?" : info->issuer;
}

static void note_offer(acme_order_t *order, const acme_chain_t *chain)
{
    const char *top = top_of(chain, order->scratch);

    order->offered = order->offered ? apr_pstrcat(order->pool, order->offered,
                                                  ", ", top, NULL)
                                    : apr_pstrdup(order->pool, top);
}

/* Nothing more to look at: the default one it is. */
static void settle(acme_order_t *order)
{
    order->remark =
        acme_err_make(order->pool, ACME_E_CHAIN_PREFERRED,
                      order->config->preferred_chain, order->offered, NULL);
    acme_order_enter(order, ACME_ORDER_DONE);
}

static void next_alternate(acme_order_t *order)
{
    order->alternate++;
    acme_exchange_forgive(&order->exchange);
    if (order->alternate >= order->alternates->nelts) {
        settle(order);
    }
}

void acme_order_choose_chain(acme_order_t *order, const acme_chain_t *chain,
                             const acme_reply_t *reply)
{
    const char *wanted = order->config->preferred_chain;

    if (!wanted || acme_chain_has_issuer(chain, wanted)) {
        acme_order_enter(order, ACME_ORDER_DONE);
        return;
    }
    order->offered = NULL;
    note_offer(order, chain);
    order->alternates =
        acme_reply_links(reply, "alternate", order->certificate, order->pool);
    order->alternate = -1;
    acme_order_enter(order, ACME_ORDER_ALTERNATE);
    next_alternate(order);
}

acme_err_t *acme_order_build_alternate(acme_order_t *order,
                                       const acme_session_t *session,
                                       acme_request_t *request)
{
    (void)session;
    request->url =
        APR_ARRAY_IDX(order->alternates, order->alternate, const char *);
    request->accept = "application/pem-certificate-chain";
    request->max_body = ACME_MAX_CHAIN;
    return NULL;
}

/* @return 1 if it is the preferred one and fit for service */
static int is_preferred(acme_order_t *order, const acme_reply_t *reply,
                        apr_time_t now)
{
    const acme_order_config_t *config = order->config;
    acme_chain_t *chain;
    const char *pem;
    acme_err_t *err =
        acme_chain_parse(&chain, reply->body, reply->len, order->scratch);

    if (!err) {
        err = acme_chain_verify(chain, config->key, config->idents, now,
                                order->scratch);
    }
    if (err) {
        return 0;
    }
    note_offer(order, chain);
    if (!acme_chain_has_issuer(chain, config->preferred_chain)
        || acme_chain_to_pem(&pem, chain, order->pool)) {
        return 0;
    }
    order->chain_pem = pem;
    return 1;
}

acme_err_t *acme_order_on_alternate(acme_order_t *order,
                                    const acme_reply_t *reply, apr_time_t now)
{
    if (is_preferred(order, reply, now)) {
        acme_order_enter(order, ACME_ORDER_DONE);
    }
    else {
        next_alternate(order);
    }
    return NULL;
}

acme_err_t *acme_order_on_alternate_error(acme_order_t *order,
                                          const acme_reply_t *reply,
                                          acme_err_t *err, apr_time_t now)
{
    if (order->exchange.failures >= MAX_FAILURES
        || acme_order_retry(order, &order->exchange, reply, err, now)
        || order->exchange.due > now + MAX_WAIT) {
        next_alternate(order);
    }
    return NULL;
}
