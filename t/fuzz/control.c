/* What acmectl and the engine write to each other in the store: requests and
 * replies. */
#include "fuzz.h"

#include "core/encode.h"
#include "engine/control.h"

#define ID "0123456789abcdef"

static void look_at_request(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_control_t *request, *again;
    const char *sealed, *json;

    if (!fuzz_ok(acme_control_parse(&request, &sealed, ID, data, len, pool),
                 pool)) {
        return;
    }
    FUZZ_MUST(request->action && !request->secret);
    acme_control_text(request, "key");
    acme_control_number(request, "reason", 0);
    acme_control_flag(request, "wait");
    FUZZ_MUST(fuzz_ok(acme_control_format(&json, request, sealed, pool), pool));
    FUZZ_MUST(fuzz_ok(
        acme_control_parse(&again, &sealed, ID, json, strlen(json), pool),
        pool));
    FUZZ_MUST(!strcmp(request->action, again->action));
}

static void look_at_reply(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_control_reply_t *reply;
    const char *json;

    if (!fuzz_ok(acme_control_parse_reply(&reply, ID, data, len, pool), pool)) {
        return;
    }
    FUZZ_MUST(reply->state);
    FUZZ_MUST(
        !reply->text
        || !strcmp(reply->text, acme_encode_printable(reply->text, len, pool)));
    FUZZ_MUST(reply->done >= 0 && reply->total >= 0);
    acme_control_over(reply);
    fuzz_ok(acme_control_format_reply(&json, reply, pool), pool);
}

void fuzz_control(const char *data, apr_size_t len, apr_pool_t *pool)
{
    look_at_request(data, len, pool);
    look_at_reply(data, len, pool);
}
