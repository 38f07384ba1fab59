/* check: whether a CA would find the server. The server looks itself where it runs;
 * else we do, at what can be seen without it. */
#include "cli/acmectl.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/encode.h"
#include "engine/prober.h"

#define PATIENCE apr_time_from_sec(10)
#define DNS_PORT 53
#define ROUND    apr_time_from_msec(500)

/* --- what is shown -------------------------------------------------------------------- */

static void put(const char *type, int code, const char *text, int problem)
{
    const acme_msg_entry_t *entry = acme_msg_entry((acme_msg_t)code);

    printf("  %s: %sACME%d: %s\n", type, problem ? "PROBLEM: " : "", code,
           text);
    if (*entry->remedy) {
        printf("    %s\n", entry->remedy);
    }
}

static const char *text_of(const json_t *one, const char *name,
                           apr_pool_t *pool)
{
    const char *text = acme_json_string(one, name);

    return acme_encode_printable(text ? text : "?", ACME_MAX_DETAIL * 4, pool);
}

/* The findings of one name together, though they came as they came. */
static void put_name(const json_t *findings, const char *name, apr_pool_t *pool)
{
    size_t i;
    json_t *one;

    printf("%s\n", name);
    json_array_foreach(findings, i, one)
    {
        if (!strcmp(text_of(one, "name", pool), name)) {
            put(text_of(one, "type", pool),
                (int)json_integer_value(json_object_get(one, "code")),
                text_of(one, "text", pool),
                json_is_true(json_object_get(one, "problem")));
        }
    }
}

static void put_all(const json_t *findings, apr_pool_t *pool)
{
    apr_hash_t *shown = apr_hash_make(pool);
    size_t i;
    json_t *one;

    json_array_foreach(findings, i, one)
    {
        const char *name = text_of(one, "name", pool);

        if (!apr_hash_get(shown, name, APR_HASH_KEY_STRING)) {
            apr_hash_set(shown, name, APR_HASH_KEY_STRING, "");
            put_name(findings, name, pool);
        }
    }
}

static ctl_exit_t show(ctl_t *ctl, const acme_control_reply_t *reply)
{
    const json_t *result = reply->result;
    json_int_t omitted = json_integer_value(json_object_get(result, "omitted"));

    put_all(json_object_get(result, "findings"), ctl->pool);
    if (omitted > 0) {
        printf("and %d more; name one certificate to see all of it\n",
               (int)omitted);
    }
    printf("%s\n", reply->text);
    return json_integer_value(json_object_get(result, "problems")) > 0
               ? CTL_FAILED
               : CTL_DONE;
}

/* --- without a server ------------------------------------------------------------------- */

typedef struct alone_t {
    apr_pool_t *pool;
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
        put(acme_proof_type_name(alone->type), (int)one->msg, one->text,
            problem);
    }
}

static acme_err_t *look(alone_t *alone, const acme_ident_t *ident)
{
    const acme_visit_wish_t wish = { .ident = ident,
                                     .type = alone->type,
                                     .public_ca = 1,
                                     .patience = PATIENCE };

    alone->over = 0;
    acme_prober_visit(alone->prober, &wish, on_visited, alone);
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

static acme_err_t *look_alone(alone_t *alone, const char *name)
{
    static const acme_proof_type_t TYPES[] = { ACME_PROOF_HTTP_01,
                                               ACME_PROOF_TLS_ALPN_01 };
    acme_ident_t *ident;

    ACME_TRY(acme_ident_parse(&ident, name, alone->pool));
    ACME_TRY(set_up(alone));
    printf("%s\n", ident->value);
    for (size_t i = 0;
         i < sizeof(TYPES) / sizeof(TYPES[0]) && !acme_ident_is_wildcard(ident);
         i++) {
        alone->type = TYPES[i];
        ACME_TRY(look(alone, ident));
    }
    return NULL;
}

static ctl_exit_t without_server(ctl_t *ctl)
{
    alone_t alone = { .pool = ctl->pool };
    acme_err_t *err;

    if (!ctl->count) {
        return CTL_NO_SERVER;
    }
    signal(SIGPIPE, SIG_IGN); /* of a handshake that is cut off */
    puts("Without it only DNS and the ports can be looked at:");
    err = look_alone(&alone, ctl->operands[0]);
    if (err) {
        return ctl_say_error(err, ctl->pool);
    }
    return alone.problems ? CTL_FAILED : CTL_NO_SERVER;
}

/* --- the command --------------------------------------------------------------------------- */

static ctl_exit_t run_check(ctl_t *ctl)
{
    acme_control_t request = { .action = "check" };
    acme_control_reply_t *reply = NULL;
    ctl_exit_t status;

    if (ctl->count) {
        request.certificate = ctl->operands[0];
    }
    status = ctl_ask(ctl, &request, &reply);
    if (status == CTL_NO_SERVER) {
        return without_server(ctl);
    }
    return status == CTL_DONE && reply ? show(ctl, reply) : status;
}

const ctl_command_t ctl_check = {
    .name = "check",
    .operands = "[NAME]",
    .least = 0,
    .most = 1,
    .summary = "see whether a CA would find the server, and who is in the way",
    .details =
        "The server looks up the addresses of each name of the certificate NAME "
        "(or of\nall), asks for a token of its own at each of them, and says who "
        "answers instead.\nFor DNS challenges it looks at the program and the "
        "zone's name servers. What is\nmarked PROBLEM is to be mended; the rest "
        "is worth knowing. Where no server runs,\nDNS and the ports of NAME are "
        "looked at.",
    .needs = CTL_ASKS,
    .run = run_check,
};
