/* Where a name leads: its addresses, of both kinds, with aliases followed. */
#include "engine/resolver_impl.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>

typedef struct hosts_t {
    acme_lookup_t base;
    acme_hosts_done_fn_t *done;
    const char *name;
    int asked;
    acme_hosts_t found;
} hosts_t;

static hosts_t *hosts_of(acme_lookup_t *lookup)
{
    return (hosts_t *)(void *)lookup; /* base is its first member */
}

static void take_addresses(hosts_t *hosts, const acme_dns_answer_t *answer,
                           int v6)
{
    apr_pool_t *pool = hosts->base.pool;
    const apr_array_header_t *records = acme_dns_find(
        answer, acme_dns_canonical(answer, hosts->name),
        v6 ? ACME_DNS_AAAA : ACME_DNS_A, ACME_RESOLVER_MAX_ADDRESSES, pool);

    for (int i = 0; i < records->nelts; i++) {
        const acme_dns_record_t *record =
            APR_ARRAY_IDX(records, i, const acme_dns_record_t *);
        char text[INET6_ADDRSTRLEN];

        if (record->len == (v6 ? 16 : 4)
            && inet_ntop(v6 ? AF_INET6 : AF_INET, record->data, text,
                         sizeof(text))) {
            APR_ARRAY_PUSH(hosts->found.addresses, const char *) =
                apr_pstrdup(pool, text);
        }
    }
}

static void take(acme_lookup_t *lookup, void *baton,
                 const acme_dns_answer_t *answer, const char *why)
{
    hosts_t *hosts = hosts_of(lookup);
    int v6 = baton != NULL;

    if (!answer) {
        hosts->found.unknown = apr_psprintf(lookup->pool, "its %s records: %s",
                                            v6 ? "AAAA" : "A", why);
        return;
    }
    if (answer->rcode == ACME_DNS_NXDOMAIN) {
        hosts->found.nowhere = "there is no such name";
        return;
    }
    take_addresses(hosts, answer, v6);
}

static void step(acme_lookup_t *lookup, apr_time_t now)
{
    hosts_t *hosts = hosts_of(lookup);

    (void)now;
    if (!hosts->asked) {
        const acme_whom_t whom = acme_whom_named(lookup);
        hosts->asked = 1;
        acme_lookup_ask(lookup, &whom, hosts->name, ACME_DNS_A, take, NULL);
        acme_lookup_ask(lookup, &whom, hosts->name, ACME_DNS_AAAA, take, hosts);
        if (lookup->pending) {
            return;
        }
    }
    lookup->over = 1;
    if (hosts->found.addresses->nelts) {
        hosts->found.nowhere = NULL;
    }
    else if (!hosts->found.unknown && !hosts->found.nowhere) {
        hosts->found.nowhere = "it has neither A nor AAAA records";
    }
    hosts->done(lookup->baton, &hosts->found);
}

acme_lookup_t *acme_resolver_find_hosts(acme_resolver_t *resolver,
                                        const char *name,
                                        const apr_array_header_t *resolvers,
                                        acme_hosts_done_fn_t *done, void *baton)
{
    acme_lookup_t *lookup =
        acme_lookup_make(resolver, sizeof(hosts_t), resolvers);
    hosts_t *hosts = hosts_of(lookup);

    lookup->step = step;
    lookup->baton = baton;
    hosts->done = done;
    hosts->name = acme_dns_name(name, lookup->pool);
    hosts->found.addresses =
        apr_array_make(lookup->pool, 4, sizeof(const char *));
    return lookup;
}
