/** Setters of the directives about DNS. */
#include "httpd/setters.h"

#include <apr_strings.h>
#include <http_core.h>
#include <string.h>

#include "engine/resolver.h"

#define MAX_DNS_WAIT apr_time_from_sec(24 * 3600)

const char *acme_setters_dns_command(acme_target_t *to, int argc,
                                     char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *command =
        apr_array_make(pool, argc + 4, sizeof(const char *));

    to->settings->dns_command = command;
    if (argc == 1 && !strcasecmp(argv[0], "none")) {
        return NULL;
    }
    return acme_setters_program(command, argc, argv);
}

const char *acme_setters_dns_wait(acme_target_t *to, int argc,
                                  char *const argv[])
{
    apr_pool_t *pool = to->cmd->pool;
    apr_array_header_t *resolvers =
        apr_array_make(pool, argc, sizeof(const char *));
    acme_span_t span;
    acme_err_t *err = acme_span_parse(&span, argv[0], 0, pool);
    int i;

    if (err) {
        return apr_pstrcat(pool, err->text, ". ",
                           acme_msg_entry(err->msg)->remedy, NULL);
    }
    if (span.duration > MAX_DNS_WAIT) {
        return apr_psprintf(pool, "\"%s\" is longer than 24h", argv[0]);
    }
    for (i = 1; i < argc; i++) {
        const char *address = acme_resolver_address(argv[i], pool);

        if (!address) {
            return apr_psprintf(pool,
                                "\"%s\" is not the address of a resolver; "
                                "9.9.9.9, 127.0.0.1:5353, 2620:fe::fe or "
                                "[2620:fe::fe]:53 are",
                                argv[i]);
        }
        APR_ARRAY_PUSH(resolvers, const char *) = address;
    }
    to->settings->dns_wait = span.duration;
    to->settings->dns_resolvers = resolvers;
    return NULL;
}
