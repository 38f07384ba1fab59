/**
 * Carries requests to CAs: libcurl multi, many at once on few connections
 * (HTTP/2 where the CA speaks it). Everything from the CA is bounded: https
 * only (http only where a request is said to be plain), no redirects, body size,
 * time, and speed. Never blocks.
 */
#ifndef ACME_TRANSPORT_H
#define ACME_TRANSPORT_H

#include <apr_pools.h>
#include <apr_time.h>

#include "core/http.h"
#include "engine/proxy.h"
#include "engine/watch.h"

typedef struct acme_transport_t acme_transport_t;

/** To be called once in each child, before it has threads. */
void acme_transport_global_init(void);

/** @param user_agent  "mod_acme/0.1.0 libcurl/7.88.1 ..." is made from it */
acme_err_t *acme_transport_create(acme_transport_t **transport,
                                  const char *version,
                                  apr_pool_t *pool) ACME_MUST_CHECK;

#define ACME_TRANSPORT_PATIENCE 40

/** Where requests of one CA go; borrowed while requests are under way. */
typedef struct acme_transport_ca_t {
    const char *trust_file; /* PEM, or NULL for the system's trust */
    const acme_proxy_t
        *proxy; /* that they go through, or NULL: none at all, even
                                  where the environment names one */
    int patience; /* seconds of silence, or of less than ten octets a second, after
                     which one is given up; 0: ACME_TRANSPORT_PATIENCE */
} acme_transport_ca_t;

/** @param reply  lives in a pool of its own that ends when the callback returns;
 *                reply->failure is set where there was no HTTP answer
 *                (E_CA_UNREACHABLE, E_CA_TLS, E_CA_TIMEOUT, E_CA_TOO_BIG, E_PROXY) */
typedef void acme_transport_done_fn_t(void *baton, const acme_reply_t *reply);

/** Send; done is called from acme_transport_poll, never from here.
 *  @param wire  copied */
acme_err_t *acme_transport_send(acme_transport_t *transport,
                                const acme_transport_ca_t *ca,
                                const acme_wire_t *wire,
                                acme_transport_done_fn_t *done,
                                void *baton) ACME_MUST_CHECK;

/** A transfer of libcurl that is no request to a CA, in the same poll. Its easy
 *  handle is the owner's, but for CURLOPT_PRIVATE. */
typedef struct acme_transfer_t acme_transfer_t;
struct acme_transfer_t {
    CURL *curl;
    /** Has ended, and is in the poll no more. From acme_transport_poll. */
    void (*ended)(acme_transfer_t *transfer, CURLcode code);
};

/** @return whether it is under way */
int acme_transport_join(acme_transport_t *transport, acme_transfer_t *transfer);
/** It is of no interest any more; ended is not called. */
void acme_transport_part(acme_transport_t *transport,
                         acme_transfer_t *transfer);

/** To be asked before anything goes out: the process may have been frozen for as
 *  long as it pleases since the request was begun. An error ends the poll. */
typedef acme_err_t *acme_transport_guard_fn_t(void *baton);
void acme_transport_guard(acme_transport_t *transport,
                          acme_transport_guard_fn_t *guard, void *baton);

/** Wait at most timeout for something to happen, then call done for what ended.
 *  The only place where the engine waits, and where requests are sent. */
acme_err_t *acme_transport_poll(acme_transport_t *transport,
                                apr_interval_time_t timeout) ACME_MUST_CHECK;

/** Other descriptors that end a poll, and whose owners are told in it. */
acme_watches_t *acme_transport_watches(const acme_transport_t *transport);

/** End a poll of another thread at once. Safe from any thread. */
void acme_transport_wakeup(acme_transport_t *transport);

/** Requests under way. */
int acme_transport_busy(const acme_transport_t *transport);

#endif
