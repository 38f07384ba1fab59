/* A reply of a CA as HTTP has it: what its headers say, the error it amounts to,
 * and renewal information. In the input a status line, headers, an empty line and
 * the body. */
#include "fuzz.h"

#include <apr_lib.h>

#include "core/ari.h"
#include "core/encode.h"
#include "message.h"

#define URL "https://ca.test/acme/order/1"
#define NOW apr_time_from_sec(1795334400)

static void look_at_headers(const acme_reply_t *reply, apr_pool_t *pool)
{
    apr_time_t after = acme_reply_retry_after(reply, NOW);
    apr_array_header_t *links = acme_reply_links(reply, "alternate", URL, pool);
    const char *location =
        reply->location ? acme_url_resolve(URL, reply->location, pool) : NULL;
    int i;

    FUZZ_MUST(!after || (after >= NOW && after <= NOW + ACME_MAX_RETRY_AFTER));
    FUZZ_MUST(!location || acme_url_valid(location));
    FUZZ_MUST(links->nelts <= 16);
    for (i = 0; i < links->nelts; i++) {
        FUZZ_MUST(acme_url_valid(APR_ARRAY_IDX(links, i, const char *)));
    }
    acme_reply_links(reply, "up", NULL, pool);
}

static void look_at_ari(const acme_reply_t *reply, apr_pool_t *pool)
{
    static const char ID[] = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    acme_ari_t ari = { 0 }, again = { 0 };
    const char *json;
    int news;

    fuzz_ok(acme_ari_feed(&news, &ari, reply, NOW, 12345, pool), pool);
    FUZZ_MUST(ari.next_ask > NOW && ari.next_ask <= NOW + ACME_MAX_RETRY_AFTER);
    FUZZ_MUST(acme_ari_moment(&ari, ID, NOW) <= NOW);
    FUZZ_MUST(fuzz_ok(acme_ari_format(&json, &ari, ID, pool), pool));
    FUZZ_MUST(fuzz_ok(acme_ari_parse(&again, ID, json, strlen(json), NOW, pool),
                      pool));
    FUZZ_MUST(again.start == ari.start && again.end == ari.end);
}

void fuzz_reply(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_reply_t reply;

    (void)len;
    fuzz_message(&reply, apr_pstrdup(pool, data), pool);
    look_at_headers(&reply, pool);
    look_at_ari(&reply, pool);
    acme_reply_problem_type(&reply, pool);
    FUZZ_MUST(!fuzz_ok(acme_reply_error(&reply, NOW, pool), pool));
}
