/**
 * One line of conversation with the CA: at most one request under way, when the
 * next may follow, and how long to put up with failure. The order has one, and
 * each of its authorizations.
 */
#ifndef ACME_EXCHANGE_H
#define ACME_EXCHANGE_H

#include "core/http.h"

/** The farthest that one is put off: as long as Retry-After may say. */
#define ACME_EXCHANGE_LONGEST ACME_MAX_RETRY_AFTER

/** Owner: what contains it; nothing in it is allocated. */
typedef struct acme_exchange_t {
    acme_request_t request;
    int under_way;
    int state;      /* the machine's when it asked: replies to an older one
                          are of no interest any more */
    apr_time_t due; /* no request before */
    int polls;      /* "not yet" in a row */
    int failures;   /* in a row */
    apr_time_t failing_since;
} acme_exchange_t;

/** Start over: a new state, nothing polled yet, the next request at once. */
void acme_exchange_reset(acme_exchange_t *exchange);
/** Start over as if nothing had ever failed. */
void acme_exchange_forgive(acme_exchange_t *exchange);

/** Begin a request; the caller fills in url and payload.
 *  @param state  see there
 *  @param label  static, for the log */
acme_request_t *acme_exchange_begin(acme_exchange_t *exchange, int state,
                                    const char *label);

/** The CA said "not yet": ask again after Retry-After, else after 1, 2, 4 ...
 *  30 seconds, and after an hour of that every five minutes. After 120 times never
 *  sooner than in 30 seconds. */
void acme_exchange_poll(acme_exchange_t *exchange, const acme_reply_t *reply,
                        apr_time_t now);

/** Something went wrong. What passes by itself (no answer, 5xx, rate limits,
 *  unreadable JSON, see reaction.c) is asked again after Retry-After, else after
 *  1, 2, 4 ... 60 seconds, for an hour. After 120 times as above.
 *  @param reply  the one err came of
 *  @return NULL: due is set; else err, which is final for this exchange */
acme_err_t *acme_exchange_retry(acme_exchange_t *exchange,
                                const acme_reply_t *reply, acme_err_t *err,
                                apr_time_t now);

/** Whether acme_exchange_retry would try again, the hour aside. */
int acme_exchange_passes(const acme_reply_t *reply, const acme_err_t *err);

#endif
