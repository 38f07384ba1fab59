/* A check without a server: DNS, and whoever answers at the ports. */
#include "cli/check.h"

#include <apr_strings.h>
#include <signal.h>
#include <stdio.h>

#include "engine/policy.h"
#include "engine/prober.h"

#define PATIENCE apr_time_from_sec(10)
#define DNS_PORT 53
#define ROUND    apr_time_from_msec(500)

typedef struct alone_t {
    ctl_t *ctl;
    apr_pool_t *pool;
    acme_ports_t ports;
    acme_transport_t *transport;
    acme_resolver_t *resolver;
    acme_prober_t *prober;
    acme_proof_type_t type;
    int over, problems;
} alone_t;

static apr_time_t now(void *baton)
{
    (void)baton;
    return apr_time_now();
}

static acme_err_t *set_up(alone_t *alone)
{
    acme_transport_global_init();
    ACME_TRY(
        acme_transport_create(&alone->transport, ACME_VERSION, alone->pool));
    const acme_resolver_config_t dns = {
        acme_transport_watches(alone->transport), DNS_PORT, NULL, 0
    };
    ACME_TRY(acme_resolver_create(&alone->resolver, &dns, alone->pool));
    const acme_prober_config_t config = { .transport = alone->transport,
                                          .resolver = alone->resolver,
                                          .port_80 = alone->ports.port_80,
                                          .port_443 = alone->ports.port_443,
                                          .now = now };
    alone->prober = acme_prober_create(&config, alone->pool);
    return NULL;
}

static void on_visited(void *baton, const apr_array_header_t *findings)
{
    alone_t *alone = baton;

    alone->over = 1;
    for (int i = 0; i < findings->nelts; i++) {
        const acme_err_t *one = APR_ARRAY_IDX(findings, i, const acme_err_t *);
        int problem = acme_finding_is_problem(one);

        alone->problems += problem;
        ctl_put_finding(acme_proof_type_name(alone->type), (int)one->msg,
                        one->text, problem);
    }
}

static acme_err_t *look(alone_t *alone, const acme_visit_wish_t *wish)
{
    alone->over = 0;
    acme_prober_visit(alone->prober, wish, on_visited, alone);
    while (!alone->over && !ctl_interrupted) {
        acme_resolver_run(alone->resolver, apr_time_now());
        acme_prober_pump(alone->prober);
        ACME_TRY(acme_transport_poll(
            alone->transport,
            acme_resolver_wait(alone->resolver, apr_time_now(),
                               acme_prober_wait(alone->prober, ROUND))));
    }
    return NULL;
}

/* By each way that the world has to this machine. */
static acme_err_t *look_at(alone_t *alone, const acme_ident_t *ident,
                           int public_ca)
{
    const struct {
        acme_proof_type_t type;
        int port;
    } ways[] = { { ACME_PROOF_HTTP_01, alone->ports.port_80 },
                 { ACME_PROOF_TLS_ALPN_01, alone->ports.port_443 } };

    if (acme_ident_is_wildcard(ident)) {
        return NULL;
    }
    printf("%s\n", ident->value);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        const acme_visit_wish_t wish = { .ident = ident,
                                         .type = ways[i].type,
                                         .public_ca = public_ca,
                                         .patience = PATIENCE };
        if (!ways[i].port || ctl_interrupted) {
            continue;
        }
        alone->type = ways[i].type;
        ACME_TRY(look(alone, &wish));
    }
    return NULL;
}

/* A CA of one's own may ask at addresses that no public one can. */
static int is_public(ctl_t *ctl, const char *dir, apr_pool_t *pool)
{
    for (int family = 0; family < ACME_FAMILIES; family++) {
        const acme_record_t *record =
            ctl_record(ctl, dir, (acme_family_t)family, pool);
        if (record && record->ca_url) {
            return acme_policy_find_ca(record->ca_url) != NULL;
        }
    }
    return 1;
}

static acme_err_t *look_at_certificate(alone_t *alone, const char *dir,
                                       apr_pool_t *pool)
{
    const apr_array_header_t *idents = ctl_names(alone->ctl, dir, pool);
    int public_ca = is_public(alone->ctl, dir, pool);

    for (int i = 0; idents && i < idents->nelts && !ctl_interrupted; i++) {
        ACME_TRY(look_at(alone, APR_ARRAY_IDX(idents, i, const acme_ident_t *),
                         public_ca));
    }
    return NULL;
}

/* Of those that the configuration had last. */
static acme_err_t *look_at_all(alone_t *alone, const apr_array_header_t *uses)
{
    apr_pool_t *each;

    apr_pool_create(&each, alone->pool);
    for (int i = 0; uses && i < uses->nelts && !ctl_interrupted; i++) {
        const acme_use_t *use = &APR_ARRAY_IDX(uses, i, acme_use_t);
        acme_ident_t *ident;
        apr_pool_clear(each);
        ACME_TRY(acme_ident_parse(&ident, use->name, each));
        ACME_TRY(
            look_at_certificate(alone, acme_ident_filename(ident, each), each));
    }
    return NULL;
}

/* A certificate, or a name that may be in one some day. */
static acme_err_t *look_at_one(alone_t *alone, const char *name)
{
    const char *dir = ctl_find_quietly(alone->ctl, name);
    acme_ident_t *ident;

    if (dir) {
        return look_at_certificate(alone, dir, alone->pool);
    }
    ACME_TRY(acme_ident_parse(&ident, name, alone->pool));
    return look_at(alone, ident, 1);
}

ctl_exit_t ctl_check_alone(ctl_t *ctl, const char *name)
{
    alone_t alone = { .ctl = ctl, .pool = ctl->pool };
    apr_array_header_t *uses;
    acme_err_t *err =
        acme_store_get_uses(&uses, &alone.ports, ctl->store, ctl->pool);

    signal(SIGPIPE, SIG_IGN); /* of a handshake that is cut off */
    puts("Without it only DNS and the ports can be looked at:");
    fflush(stdout);
    if (!err) {
        err = set_up(&alone);
    }
    if (!err) {
        err = name ? look_at_one(&alone, name) : look_at_all(&alone, uses);
    }
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    return ctl_interrupted  ? CTL_TIMEOUT
           : alone.problems ? CTL_FAILED
                            : CTL_NO_SERVER;
}
