/* One question to an OCSP responder. */
#include <apr_strings.h>

#include "core/ocsp.h"
#include "engine/engine_impl.h"

typedef struct query_t {
    acme_engine_t *engine;
    apr_pool_t *pool; /* its own */
    X509 *cert, *issuer;
    const char *url;
    acme_query_done_fn_t *done;
    void *baton;
} query_t;

static apr_status_t release_certs(void *data)
{
    query_t *query = data;
    X509_free(query->cert);
    X509_free(query->issuer);
    return APR_SUCCESS;
}

static acme_err_t *judge(acme_answer_t *answer, const query_t *query,
                         const acme_reply_t *reply)
{
    apr_time_t now = acme_engine_now(query->engine);

    if (reply->failure) {
        return reply->failure;
    }
    if (reply->status != 200) {
        acme_err_t *err = acme_err_make(
            query->pool, ACME_E_OCSP,
            apr_psprintf(query->pool, "the responder's status is %d",
                         reply->status),
            NULL);
        err->retry_at = acme_reply_retry_after(reply, now);
        return err;
    }
    answer->der = (const unsigned char *)reply->body;
    answer->len = reply->len;
    return acme_ocsp_verify(&answer->ocsp, answer->der, answer->len,
                            query->cert, query->issuer, now, query->pool);
}

static void on_reply(void *baton, const acme_reply_t *reply)
{
    query_t *query = baton;
    acme_answer_t answer = { .url = query->url };

    apr_pool_clear(query->engine->scratch);
    answer.err = judge(&answer, query, reply);
    query->done(query->baton, &answer);
    apr_pool_destroy(query->pool);
}

static acme_err_t *send_query(query_t *query, const acme_transport_ca_t *ca,
                              int nth)
{
    acme_wire_t wire = { .method = ACME_METHOD_POST,
                         .content_type = "application/ocsp-request",
                         .accept = "application/ocsp-response",
                         .max_body = ACME_MAX_OCSP,
                         .plain = 1 };
    const unsigned char *der;

    query->url = acme_ocsp_responder(query->cert, nth, query->pool);
    if (!query->url || !query->issuer) {
        return acme_err_make(query->pool, ACME_E_OCSP,
                             query->url ? "its chain does not hold its issuer"
                                        : "it names no responder",
                             NULL);
    }
    ACME_TRY(acme_ocsp_request(&der, &wire.body_len, query->cert, query->issuer,
                               query->pool));
    wire.url = query->url;
    wire.body = (const char *)der;
    return acme_transport_send(query->engine->transport, ca, &wire, on_reply,
                               query);
}

acme_err_t *acme_query_send(acme_engine_t *engine,
                            const acme_transport_ca_t *ca,
                            const acme_chain_t *chain, int nth,
                            acme_query_done_fn_t *done, void *baton)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, engine->pool);

    query_t *query = apr_pcalloc(pool, sizeof(*query));
    query->engine = engine;
    query->pool = pool;
    query->done = done;
    query->baton = baton;
    query->cert = chain->leaf;
    query->issuer = sk_X509_value(chain->issuers, 0);
    X509_up_ref(query->cert);
    if (query->issuer) {
        X509_up_ref(query->issuer);
    }
    apr_pool_cleanup_register(pool, query, release_certs,
                              apr_pool_cleanup_null);
    acme_err_t *err = send_query(query, ca, nth);
    if (err) {
        err = acme_err_dup(err, engine->scratch);
        apr_pool_destroy(pool);
    }
    return err;
}
