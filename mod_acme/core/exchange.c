#include "core/exchange.h"

#include <string.h>

#include "core/encode.h"
#include "core/reaction.h"

#define POLL_MAX  30  /* seconds */
#define POLL_RARE 300 /* after MANY, which are an hour then */
#define RETRY_MAX 60
#define MANY      120 /* in a row: whatever a CA says that is never done ... */
#define MANY_MIN  30  /* ... is asked no sooner than so */
#define GIVE_UP   apr_time_from_sec(60 * 60)

void acme_exchange_reset(acme_exchange_t *exchange)
{
    exchange->due = 0;
    exchange->polls = 0;
}

void acme_exchange_forgive(acme_exchange_t *exchange)
{
    acme_exchange_reset(exchange);
    exchange->failures = 0;
    exchange->failing_since = 0;
}

acme_request_t *acme_exchange_begin(acme_exchange_t *exchange, int state,
                                    const char *label)
{
    acme_request_t *request = &exchange->request;
    int tag = request->tag;

    memset(request, 0, sizeof(*request));
    request->tag = tag;
    request->method = ACME_METHOD_POST; /* reads too: RFC 8555 section 6.3 */
    request->payload = "";
    request->max_body = ACME_MAX_JSON;
    request->label = label;
    exchange->state = state;
    exchange->under_way = 1;
    return request;
}

/* The moment after Retry-After, else after 2^count seconds, at most max. A CA
 * that says 0 is asked after a second all the same. */
static apr_time_t later(const acme_reply_t *reply, int count, int max,
                        apr_time_t now)
{
    apr_time_t asked_for =
        reply->failure ? 0 : acme_reply_retry_after(reply, now);
    int seconds = count < 6 ? 1 << count : max;

    if (asked_for) {
        apr_time_t soonest =
            now + apr_time_from_sec(count < MANY ? 1 : MANY_MIN);
        return asked_for > soonest ? asked_for : soonest;
    }
    return now + apr_time_from_sec(seconds < max ? seconds : max);
}

void acme_exchange_poll(acme_exchange_t *exchange, const acme_reply_t *reply,
                        apr_time_t now)
{
    int max = exchange->polls < MANY ? POLL_MAX : POLL_RARE;

    exchange->due = later(reply, exchange->polls, max, now);
    if (exchange->polls < MANY) {
        exchange->polls++;
    }
}

int acme_exchange_passes(const acme_reply_t *reply, const acme_err_t *err)
{
    return reply->failure || reply->status >= 500
           || acme_reaction(err->msg)->again;
}

acme_err_t *acme_exchange_retry(acme_exchange_t *exchange,
                                const acme_reply_t *reply, acme_err_t *err,
                                apr_time_t now)
{
    if (!acme_exchange_passes(reply, err)) {
        return err;
    }
    if (!exchange->failures) {
        exchange->failing_since = now;
    }
    else if (now - exchange->failing_since >= GIVE_UP) {
        return err;
    }
    exchange->due = later(reply, exchange->failures, RETRY_MAX, now);
    exchange->failures++;
    return NULL;
}
