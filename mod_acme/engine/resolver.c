#include "engine/resolver_impl.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000 /* of the first try; c-ares doubles it */
#define MAX_ANSWER 65535

typedef struct question_t {
    acme_lookup_t *lookup;
    acme_server_t *server;
    acme_answer_fn_t *answered;
    void *baton;
} question_t;

/* --- addresses --------------------------------------------------------------------- */

static int parse_port(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);

    return *end || end == text || *text == '+' || *text == '-' || port < 1
                   || port > 65535
               ? -1
               : (int)port;
}

const char *acme_resolver_address(const char *text, apr_pool_t *pool)
{
    char *host = apr_pstrdup(pool, text), *colon = strchr(host, ':');
    unsigned char binary[16];
    char canonical[INET6_ADDRSTRLEN];
    const char *port = "53";
    int family;

    if (*host == '[') {
        char *end = strchr(++host, ']');
        if (!end || (end[1] && end[1] != ':')) {
            return NULL;
        }
        port = end[1] ? end + 2 : port;
        *end = '\0';
        family = AF_INET6;
    }
    else if (colon && !strchr(colon + 1, ':')) {
        *colon = '\0';
        port = colon + 1;
        family = AF_INET;
    }
    else {
        family = colon ? AF_INET6 : AF_INET;
    }
    if (parse_port(port) < 0 || inet_pton(family, host, binary) != 1) {
        return NULL;
    }
    inet_ntop(family, binary, canonical, sizeof(canonical));
    return apr_psprintf(pool, family == AF_INET6 ? "[%s]:%d" : "%s:%d",
                        canonical, parse_port(port));
}

/* --- questions --------------------------------------------------------------------------- */

static void step_if_answered(acme_lookup_t *lookup)
{
    if (!lookup->pending && !lookup->over) {
        lookup->due = 0;
    }
}

static void on_answer(void *baton, int status, int timeouts,
                      unsigned char *octets, int len)
{
    question_t *question = baton;
    acme_lookup_t *lookup = question->lookup;
    acme_dns_answer_t *answer = NULL;
    apr_pool_t *scratch;

    (void)timeouts;
    if (lookup->resolver->ending) {
        return;
    }
    question->server->pending--;
    lookup->pending--;
    if (lookup->over) {
        return;
    }
    apr_pool_create(&scratch, lookup->pool);
    if (octets && len > 0 && len <= MAX_ANSWER
        && (status == ARES_SUCCESS || status == ARES_ENODATA
            || status == ARES_ENOTFOUND)) {
        answer = acme_dns_parse(octets, (apr_size_t)len, scratch);
    }
    if (answer && answer->rcode && answer->rcode != ACME_DNS_NXDOMAIN) {
        answer = NULL; /* c-ares lets pass what it does not know */
    }
    question->answered(lookup, question->baton, answer,
                       status == ARES_SUCCESS ? "its answer is of no use"
                                              : ares_strerror(status));
    apr_pool_destroy(scratch);
    step_if_answered(lookup);
}

void acme_lookup_ask(acme_lookup_t *lookup, const acme_whom_t *whom,
                     const char *name, acme_dns_type_t type,
                     acme_answer_fn_t *answered, void *baton)
{
    question_t *question = apr_pcalloc(lookup->round, sizeof(*question));
    acme_server_t *server = acme_resolver_server(lookup->resolver, whom);

    question->lookup = lookup;
    question->server = server;
    question->answered = answered;
    question->baton = baton;
    if (!server->usable) {
        answered(lookup, baton, NULL, "c-ares does not start");
        step_if_answered(lookup);
        return;
    }
    lookup->pending++;
    server->pending++;
    ares_query(server->channel, name, 1, (int)type, on_answer, question);
}

/* --- look-ups ------------------------------------------------------------------------------ */

static const apr_array_header_t *copy_resolvers(
    const apr_array_header_t *resolvers, apr_pool_t *pool)
{
    if (!resolvers || !resolvers->nelts) {
        return NULL;
    }
    apr_array_header_t *copy =
        apr_array_make(pool, resolvers->nelts, sizeof(const char *));
    for (int i = 0; i < resolvers->nelts && i < ACME_RESOLVER_MAX_NAMED; i++) {
        APR_ARRAY_PUSH(copy, const char *) =
            apr_pstrdup(pool, APR_ARRAY_IDX(resolvers, i, const char *));
    }
    return copy;
}

static void queue(acme_lookup_t *lookup)
{
    acme_resolver_t *resolver = lookup->resolver;

    lookup->next = NULL;
    *resolver->waiting_end = lookup;
    resolver->waiting_end = &lookup->next;
    resolver->waiting_count++;
}

acme_lookup_t *acme_lookup_make(acme_resolver_t *resolver, apr_size_t size,
                                const apr_array_header_t *resolvers)
{
    acme_lookup_t *lookup;
    apr_pool_t *pool;

    apr_pool_create(&pool, resolver->pool);
    lookup = apr_pcalloc(pool, size);
    lookup->pool = pool;
    lookup->resolver = resolver;
    lookup->resolvers = copy_resolvers(resolvers, pool);
    apr_pool_create(&lookup->round, pool);
    queue(lookup);
    return lookup;
}

void acme_lookup_forget(acme_lookup_t *lookup)
{
    lookup->over = 1;
    lookup->due = 0;
    if (lookup->rest.place) {
        acme_timer_set(lookup->resolver->resting, &lookup->rest, 0);
    }
}

/* Those whose rest is over wait for their turn behind the others. */
static void wake_resting(acme_resolver_t *resolver, apr_time_t now)
{
    acme_timer_t *first;

    while ((first = acme_timers_first(resolver->resting))
           && first->due <= now) {
        acme_timer_clear(resolver->resting, first);
        queue((acme_lookup_t *)(void *)first); /* its first member */
    }
}

static void start_waiting(acme_resolver_t *resolver)
{
    while (resolver->waiting
           && resolver->active_count < ACME_RESOLVER_AT_ONCE) {
        acme_lookup_t *lookup = resolver->waiting;
        resolver->waiting = lookup->next;
        if (!resolver->waiting) {
            resolver->waiting_end = &resolver->waiting;
        }
        resolver->waiting_count--;
        lookup->next = resolver->active;
        resolver->active = lookup;
        resolver->active_count++;
    }
}

/* Out of its place: gone, or at rest. */
static void leave_place(acme_lookup_t *lookup)
{
    acme_resolver_t *resolver = lookup->resolver;

    resolver->active_count--;
    if (lookup->over) {
        apr_pool_destroy(lookup->pool);
        return;
    }
    apr_pool_clear(lookup->round);
    acme_timer_set(resolver->resting, &lookup->rest, lookup->due);
}

static void step_due(acme_resolver_t *resolver, apr_time_t now)
{
    acme_lookup_t **link = &resolver->active;

    while (*link) {
        acme_lookup_t *lookup = *link;
        /* While it still asks the first answers may be there: a host without
         * a route fails at once. */
        if (!lookup->over && !lookup->pending && lookup->due <= now) {
            lookup->due = ACME_NEVER;
            lookup->step(lookup, now);
        }
        if (!lookup->pending && (lookup->over || lookup->due > now)) {
            *link = lookup->next;
            leave_place(lookup);
            continue;
        }
        link = &lookup->next;
    }
}

void acme_resolver_run(acme_resolver_t *resolver, apr_time_t now)
{
    if (!acme_resolver_count(resolver)) {
        return;
    }
    wake_resting(resolver, now);
    start_waiting(resolver);
    acme_resolver_process_timeouts(resolver);
    step_due(resolver, now);
    if (acme_resolver_count(resolver)) {
        acme_resolver_close_idle(resolver);
    }
    else {
        acme_resolver_close_servers(resolver);
    }
}

apr_interval_time_t acme_resolver_wait(const acme_resolver_t *resolver,
                                       apr_time_t now, apr_interval_time_t max)
{
    apr_interval_time_t wait = max < 0 ? 0 : max;
    const acme_timer_t *first = acme_timers_first(resolver->resting);

    if (resolver->waiting && resolver->active_count < ACME_RESOLVER_AT_ONCE) {
        return 0;
    }
    for (acme_lookup_t *lookup = resolver->active; lookup;
         lookup = lookup->next) {
        if (!lookup->pending && lookup->due <= now) {
            return 0;
        }
    }
    if (first && first->due < now + wait) {
        wait = first->due > now ? first->due - now : 0;
    }
    return acme_resolver_wait_servers(resolver, wait);
}

int acme_resolver_count(const acme_resolver_t *resolver)
{
    return resolver->active_count + resolver->waiting_count
           + acme_timers_count(resolver->resting);
}

/* --- life -------------------------------------------------------------------------------------- */

static apr_status_t resolver_cleanup(void *data)
{
    acme_resolver_t *resolver = data;

    resolver->ending = 1;
    acme_resolver_close_servers(resolver);
    ares_library_cleanup();
    return APR_SUCCESS;
}

acme_err_t *acme_resolver_create(acme_resolver_t **result,
                                 const acme_resolver_config_t *config,
                                 apr_pool_t *pool)
{
    acme_resolver_t *resolver = apr_pcalloc(pool, sizeof(*resolver));
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    if (status != ARES_SUCCESS) {
        return acme_err_make(pool, ACME_E_RESOLVER, ares_strerror(status),
                             NULL);
    }
    resolver->pool = pool;
    resolver->config = *config;
    resolver->config.system = apr_pstrdup(pool, config->system);
    resolver->config.timeout = config->timeout ? config->timeout : TIMEOUT_MS;
    resolver->waiting_end = &resolver->waiting;
    resolver->resting = acme_timers_create(pool);
    for (int recurse = 0; recurse < 2; recurse++) {
        resolver->servers[recurse] = apr_hash_make(pool);
    }
    /* before the pools of the look-ups are gone */
    apr_pool_pre_cleanup_register(pool, resolver, resolver_cleanup);
    *result = resolver;
    return NULL;
}
