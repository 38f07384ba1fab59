/* Whom questions are put to: a channel of c-ares each, kept while it is asked. */
#include "engine/resolver_impl.h"

#include <apr_strings.h>

#define TRIES    2
#define MAX_KEPT 64 /* of each kind; beyond, one that is not asked is closed */

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

static apr_status_t close_channel(void *data)
{
    acme_server_t *server = data;

    if (server->usable) {
        ares_destroy(server->channel);
    }
    return APR_SUCCESS;
}

acme_whom_t acme_whom_named(const acme_lookup_t *lookup)
{
    acme_whom_t whom = { NULL, 1 };

    if (lookup->resolvers) {
        whom.address = apr_array_pstrcat(lookup->pool, lookup->resolvers, ',');
    }
    return whom;
}

acme_server_t *acme_resolver_server(acme_resolver_t *resolver,
                                    const acme_whom_t *whom)
{
    apr_hash_t *servers = resolver->servers[whom->recurse];
    const char *address =
        whom->address ? whom->address : resolver->config.system;
    const char *key = address ? address : "";
    acme_server_t *server = apr_hash_get(servers, key, APR_HASH_KEY_STRING);
    apr_pool_t *pool;

    if (server) {
        return server;
    }
    apr_pool_create(&pool, resolver->pool);
    server = apr_pcalloc(pool, sizeof(*server));
    server->resolver = resolver;
    server->pool = pool;
    server->key = apr_pstrdup(pool, key);
    open_channel(server, address, whom->recurse);
    apr_pool_cleanup_register(pool, server, close_channel,
                              apr_pool_cleanup_null);
    apr_hash_set(servers, server->key, APR_HASH_KEY_STRING, server);
    return server;
}

static void close_server(apr_hash_t *servers, acme_server_t *server)
{
    apr_hash_set(servers, server->key, APR_HASH_KEY_STRING, NULL);
    apr_pool_destroy(server->pool);
}

static void close_some(apr_hash_t *servers, unsigned int most, int busy)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, servers); i && apr_hash_count(servers) > most;
         i = apr_hash_next(i)) {
        acme_server_t *server = apr_hash_this_val(i);
        if (busy || !server->pending) {
            close_server(servers, server);
        }
    }
}

void acme_resolver_close_idle(acme_resolver_t *resolver)
{
    close_some(resolver->servers[0], MAX_KEPT, 0);
    close_some(resolver->servers[1], MAX_KEPT, 0);
}

void acme_resolver_close_servers(acme_resolver_t *resolver)
{
    close_some(resolver->servers[0], 0, 1);
    close_some(resolver->servers[1], 0, 1);
}

/* No descriptor tells of these. */
void acme_resolver_process_timeouts(acme_resolver_t *resolver)
{
    for (int recurse = 0; recurse < 2; recurse++) {
        apr_hash_t *servers = resolver->servers[recurse];
        for (apr_hash_index_t *i = apr_hash_first(NULL, servers); i;
             i = apr_hash_next(i)) {
            const acme_server_t *server = apr_hash_this_val(i);
            if (server->pending) {
                ares_process_fd(server->channel, ARES_SOCKET_BAD,
                                ARES_SOCKET_BAD);
            }
        }
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

apr_interval_time_t acme_resolver_wait_servers(const acme_resolver_t *resolver,
                                               apr_interval_time_t max)
{
    for (int recurse = 0; recurse < 2; recurse++) {
        for (apr_hash_index_t *i =
                 apr_hash_first(NULL, resolver->servers[recurse]);
             i; i = apr_hash_next(i)) {
            max = wait_of_server(apr_hash_this_val(i), max);
        }
    }
    return max;
}
