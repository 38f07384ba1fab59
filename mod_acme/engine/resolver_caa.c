/* Which CAs a name allows: RFC 8659 section 3, from the name upwards. */
#include "engine/resolver_impl.h"

#include <apr_strings.h>
#include <string.h>

typedef struct caa_t {
    acme_lookup_t base;
    acme_caa_done_fn_t *done;
    acme_whom_t whom;
    const char *name; /* asked for; NULL: all were */
    const apr_array_header_t *records;
    const char *failure;
} caa_t;

static caa_t *caa_of(acme_lookup_t *lookup)
{
    return (caa_t *)(void *)lookup; /* base is its first member */
}

static void take(acme_lookup_t *lookup, void *baton,
                 const acme_dns_answer_t *answer, const char *why)
{
    caa_t *caa = caa_of(lookup);

    (void)baton;
    if (!answer || answer->truncated) {
        caa->failure =
            apr_psprintf(lookup->pool, "the CAA records of %s: %s", caa->name,
                         answer ? "the answer is cut off" : why);
        return;
    }
    apr_pool_t *pool;
    apr_pool_create(&pool, lookup->pool);
    const apr_array_header_t *records = acme_caa_parse(answer, pool);
    if (records->nelts) {
        caa->records = records;
        return;
    }
    apr_pool_destroy(pool);
    const char *dot = strchr(caa->name, '.');
    caa->name = dot && dot[1] ? dot + 1 : NULL;
}

static void ask(caa_t *caa)
{
    acme_lookup_ask(&caa->base, &caa->whom, caa->name, ACME_DNS_CAA, take,
                    NULL);
}

static void step(acme_lookup_t *lookup, apr_time_t now)
{
    caa_t *caa = caa_of(lookup);

    (void)now;
    while (!caa->records && !caa->failure && caa->name) {
        ask(caa);
        if (lookup->pending) {
            return;
        }
    }
    lookup->over = 1;
    if (caa->failure) {
        caa->done(lookup->baton, NULL, NULL, caa->failure);
    }
    else {
        caa->done(lookup->baton, caa->records ? caa->name : NULL, caa->records,
                  NULL);
    }
}

acme_lookup_t *acme_resolver_find_caa(acme_resolver_t *resolver,
                                      const char *name,
                                      const apr_array_header_t *resolvers,
                                      acme_caa_done_fn_t *done, void *baton)
{
    acme_lookup_t *lookup =
        acme_lookup_make(resolver, sizeof(caa_t), resolvers);
    caa_t *caa = caa_of(lookup);

    lookup->step = step;
    lookup->baton = baton;
    caa->done = done;
    caa->name = acme_dns_name(name, lookup->pool);
    caa->whom = acme_whom_named(lookup);
    return lookup;
}
