/* What libcurl hands on of an answer: lines of headers, then the body in pieces.
 * In the input: how many octets may come, the headers, an empty line, the body.
 * Lines end as they do in HTTP. */
#include "engine/transport.c"

#include "fuzz.h"

#define PIECE 1000

static void look_at_value(const char *value)
{
    if (value && *value) {
        FUZZ_MUST(strlen(value) <= MAX_HEADER_VALUE);
        FUZZ_MUST(!strpbrk(value, "\r\n"));
        FUZZ_MUST(!strchr(" \t", *value));
        FUZZ_MUST(!strchr(" \t", value[strlen(value) - 1]));
    }
}

static void look_at_reply(const call_t *call)
{
    const acme_reply_t *reply = &call->reply;
    int i;

    FUZZ_MUST(reply->len <= call->max_body);
    FUZZ_MUST(!reply->len || (call->body && !call->body[reply->len]));
    FUZZ_MUST(reply->links->nelts <= MAX_LINKS);
    for (i = 0; i < reply->links->nelts; i++) {
        FUZZ_MUST(APR_ARRAY_IDX(reply->links, i, const char *));
        look_at_value(APR_ARRAY_IDX(reply->links, i, const char *));
    }
    look_at_value(reply->content_type);
    look_at_value(reply->location);
    look_at_value(reply->nonce);
    look_at_value(reply->retry_after);
}

/* @return whether more is wanted */
static int give(curl_write_callback take, const char *data, apr_size_t len,
                call_t *call)
{
    apr_size_t taken = fuzz_give(take, data, len, call);

    FUZZ_MUST(taken == len || (!taken && call->too_big));
    return taken == len;
}

/* @return where the body begins; NULL: enough was seen */
static const char *give_headers(const char *from, const char *end, call_t *call)
{
    acme_reply_t before;
    int links;

    while (from < end) {
        const char *newline = memchr(from, '\n', (apr_size_t)(end - from));
        const char *next = newline ? newline + 1 : end;

        if (*from == '\n' || (*from == '\r' && from + 1 == newline)) {
            return next;
        }
        before = call->reply;
        links = before.links->nelts;
        if (!give(on_header, from, (apr_size_t)(next - from), call)) {
            return NULL;
        }
        if (next - from > 5 && !memcmp(from, "HTTP/", 5)) {
            FUZZ_MUST(!call->reply.location && !call->reply.nonce);
        }
        else if (memchr(from, '\0', (apr_size_t)(next - from))) {
            FUZZ_MUST(!memcmp(&before, &call->reply, sizeof(before)));
            FUZZ_MUST(before.links->nelts == links);
        }
        from = next;
    }
    return end;
}

void fuzz_transport(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const char *end = data + len, *at = memchr(data, '\n', len);
    call_t call = { .pool = pool,
                    .max_body = strtoul(data, NULL, 10) % 65536,
                    .url = "https://ca.test/",
                    .reply.body = "" };

    call.reply.links = apr_array_make(pool, 2, sizeof(const char *));
    at = at ? give_headers(at + 1, end, &call) : end;
    while (at && at < end) {
        apr_size_t piece = (apr_size_t)(end - at) % PIECE;

        piece = piece ? piece : PIECE;
        at = give(on_body, at, piece, &call) ? at + piece : NULL;
    }
    look_at_reply(&call);
    if (!call.too_big && call.reply.len) { /* a trailer is none of it */
        const char *nonce = call.reply.nonce;

        FUZZ_MUST(give(on_header, "Replay-Nonce: x\r\n", 17, &call)
                  || call.too_big);
        FUZZ_MUST(call.reply.nonce == nonce);
    }
    if (call.too_big) {
        FUZZ_MUST(!fuzz_ok(failure_of(&call, CURLE_WRITE_ERROR), pool));
    }
}
