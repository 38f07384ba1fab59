#include "engine/resolver_impl.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000 /* of the first try; c-ares doubles it */
#define TRIES      2
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

/* --- servers --------------------------------------------------------------------------- */

static void on_ready(void *baton, int fd, int events)
{
    acme_server_t *server = baton;

    ares_process_fd(server->channel,
                    events & ACME_WATCH_READ ? fd : ARES_SOCKET_BAD,
                    events & ACME_WATCH_WRITE ? fd : ARES_SOCKET_BAD);
}

static void on_socket(void *baton, ares_socket_t fd, int readable, int writable)
{
    acme_server_t *server = baton;

    acme_watch_set(server->resolver->config.watches, fd,
                   (readable ? ACME_WATCH_READ : 0)
                       | (writable ? ACME_WATCH_WRITE : 0),
                   on_ready, server);
}

static void open_channel(acme_server_t *server, const char *address,
                         int recurse)
{
    struct ares_options options = { 0 };
    char lookups[] = "b"; /* no hosts file */

    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES
                    | (recurse ? 0 : ARES_FLAG_NORECURSE);
    options.timeout = server->resolver->config.timeout;
    options.tries = TRIES;
    options.lookups = lookups;
    options.sock_state_cb = on_socket;
    options.sock_state_cb_data = server;
    if (ares_init_options(&server->channel, &options,
                          ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES
                              | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB)
        != ARES_SUCCESS) {
        return;
    }
    if (address
        && ares_set_servers_ports_csv(server->channel, address)
               != ARES_SUCCESS) {
        ares_destroy(server->channel);
        return;
    }
    server->usable = 1;
}

acme_server_t *acme_resolver_server(acme_resolver_t *resolver,
                                    const char *address, int recurse)
{
    apr_pool_t *pool = resolver->servers_pool;
    acme_server_t *server;

    address = address ? address : resolver->config.system;
    const char *key =
        apr_pstrcat(pool, recurse ? "R" : "A", address ? address : "", NULL);
    server = apr_hash_get(resolver->servers, key, APR_HASH_KEY_STRING);
    if (!server) {
        server = apr_pcalloc(pool, sizeof(*server));
        server->resolver = resolver;
        open_channel(server, address, recurse);
        apr_hash_set(resolver->servers, key, APR_HASH_KEY_STRING, server);
    }
    return server;
}

static void close_servers(acme_resolver_t *resolver)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, resolver->servers); i; i = apr_hash_next(i)) {
        acme_server_t *server = apr_hash_this_val(i);
        if (server->usable) {
            ares_destroy(server->channel);
        }
    }
    resolver->servers = NULL;
    apr_pool_clear(resolver->servers_pool);
    resolver->servers = apr_hash_make(resolver->servers_pool);
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

void acme_lookup_ask(acme_lookup_t *lookup, acme_server_t *server,
                     const char *name, acme_dns_type_t type,
                     acme_answer_fn_t *answered, void *baton)
{
    question_t *question = apr_pcalloc(lookup->pool, sizeof(*question));

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
    *resolver->waiting_end = lookup;
    resolver->waiting_end = &lookup->next;
    resolver->waiting_count++;
    return lookup;
}

void acme_lookup_forget(acme_lookup_t *lookup)
{
    lookup->over = 1;
    lookup->due = 0;
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

/* Time-outs of c-ares: no descriptor tells of them. */
static void process_timeouts(acme_resolver_t *resolver)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, resolver->servers); i; i = apr_hash_next(i)) {
        const acme_server_t *server = apr_hash_this_val(i);
        if (server->pending) {
            ares_process_fd(server->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        }
    }
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
        if (lookup->over && !lookup->pending) {
            /* step may have put others in front, never taken one away */
            for (link = &resolver->active; *link != lookup;
                 link = &(*link)->next) {
            }
            *link = lookup->next;
            resolver->active_count--;
            apr_pool_destroy(lookup->pool);
            continue;
        }
        link = &lookup->next;
    }
}

void acme_resolver_run(acme_resolver_t *resolver, apr_time_t now)
{
    if (!resolver->active && !resolver->waiting) {
        return;
    }
    start_waiting(resolver);
    process_timeouts(resolver);
    step_due(resolver, now);
    if (!resolver->active && !resolver->waiting) {
        close_servers(resolver);
    }
}

static apr_interval_time_t wait_of_server(const acme_server_t *server,
                                          apr_interval_time_t max)
{
    struct timeval most = { (time_t)(max / APR_USEC_PER_SEC),
                            (suseconds_t)(max % APR_USEC_PER_SEC) },
                   left;
    const struct timeval *wait = &most;

    if (server->pending) {
        wait = ares_timeout(server->channel, &most, &left);
    }
    return apr_time_from_sec(wait->tv_sec) + wait->tv_usec;
}

apr_interval_time_t acme_resolver_wait(const acme_resolver_t *resolver,
                                       apr_time_t now, apr_interval_time_t max)
{
    apr_interval_time_t wait = max < 0 ? 0 : max;
    apr_hash_index_t *i;

    if (resolver->waiting && resolver->active_count < ACME_RESOLVER_AT_ONCE) {
        return 0;
    }
    for (acme_lookup_t *lookup = resolver->active; lookup;
         lookup = lookup->next) {
        if (!lookup->pending && lookup->due < now + wait) {
            wait = lookup->due > now ? lookup->due - now : 0;
        }
    }
    for (i = resolver->active ? apr_hash_first(NULL, resolver->servers) : NULL;
         i; i = apr_hash_next(i)) {
        wait = wait_of_server(apr_hash_this_val(i), wait);
    }
    return wait;
}

int acme_resolver_count(const acme_resolver_t *resolver)
{
    return resolver->active_count + resolver->waiting_count;
}

/* --- life -------------------------------------------------------------------------------------- */

static apr_status_t resolver_cleanup(void *data)
{
    acme_resolver_t *resolver = data;

    resolver->ending = 1;
    close_servers(resolver);
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
    apr_pool_create(&resolver->servers_pool, pool);
    resolver->servers = apr_hash_make(resolver->servers_pool);
    /* before the pools of the look-ups are gone */
    apr_pool_pre_cleanup_register(pool, resolver, resolver_cleanup);
    *result = resolver;
    return NULL;
}
