/* JSON as a CA sends it: directory, order, authorization with its challenges,
 * problem document. */
#include "fuzz.h"

#include "core/encode.h"
#include "core/problem.h"
#include "core/resource.h"

static void must_be_urls(const apr_array_header_t *urls)
{
    int i;

    for (i = 0; i < urls->nelts; i++) {
        FUZZ_MUST(acme_url_valid(APR_ARRAY_IDX(urls, i, const char *)));
    }
}

static void look_at_directory(const char *data, apr_size_t len,
                              apr_pool_t *pool)
{
    acme_directory_t *directory;

    if (!fuzz_ok(acme_directory_parse(&directory, data, len, pool), pool)) {
        return;
    }
    FUZZ_MUST(acme_url_valid(directory->new_nonce));
    FUZZ_MUST(acme_url_valid(directory->new_account));
    FUZZ_MUST(acme_url_valid(directory->new_order));
}

static void look_at_order(const char *data, apr_size_t len, apr_pool_t *pool)
{
    acme_order_resource_t *order;

    if (!fuzz_ok(acme_order_resource_parse(&order, data, len, pool), pool)) {
        return;
    }
    must_be_urls(order->authorizations);
    FUZZ_MUST(order->finalize || order->status == ACME_STATUS_INVALID);
    FUZZ_MUST(order->certificate || order->status != ACME_STATUS_VALID);
    fuzz_ok(order->error, pool);
}

static void look_at_authorization(const char *data, apr_size_t len,
                                  apr_pool_t *pool)
{
    acme_authorization_t *authorization;
    int i;

    if (!fuzz_ok(acme_authorization_parse(&authorization, data, len, pool),
                 pool)) {
        return;
    }
    for (i = 0; i < authorization->challenges->nelts; i++) {
        const acme_challenge_t *challenge = APR_ARRAY_IDX(
            authorization->challenges, i, const acme_challenge_t *);

        FUZZ_MUST(!challenge->url || acme_url_valid(challenge->url));
        FUZZ_MUST(!challenge->token || acme_token_valid(challenge->token));
        fuzz_ok(challenge->error, pool);
    }
}

void fuzz_resource(const char *data, apr_size_t len, apr_pool_t *pool)
{
    json_t *problem;

    look_at_directory(data, len, pool);
    look_at_order(data, len, pool);
    look_at_authorization(data, len, pool);
    if (fuzz_ok(acme_json_parse(&problem, data, len, ACME_MAX_JSON, "problem",
                                pool),
                pool)) {
        acme_problem_type(problem, pool);
        fuzz_ok(acme_problem_of_reply(problem, 400, pool), pool);
        fuzz_ok(acme_problem_parse(problem, pool), pool);
    }
}
