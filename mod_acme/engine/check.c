/* "check": whether a CA would find this server at its names, asked for by the
 * administrator. Each way to prove control that is set up is looked at. */
#include "engine/engine_impl.h"

#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/gate.h"
#include "engine/prober.h"
#include "engine/resolver.h"

#define PATIENCE     apr_time_from_sec(10)   /* with one name */
#define PATIENCE_ALL apr_time_from_msec(150) /* more for each further one */
#define TELL_EVERY   apr_time_from_msec(300) /* once there is much to tell */
#define MUCH         16384
#define MAX_RESULT   (ACME_CONTROL_RESULT - 4096)

typedef struct check_t {
    acme_engine_t *engine;
    apr_pool_t *pool; /* its own */
    const char *id;
    apr_time_t since, told;
    json_t *findings;
    apr_size_t size;
    int total, over, problems, omitted;
    int beginning; /* nothing is told before all have begun */
} check_t;

/** One name by one kind of proof. */
typedef struct item_t {
    check_t *check;
    const acme_managed_t *managed;
    const acme_ident_t *ident;
    acme_proof_type_t type;
    int first; /* the one that is tried first */
} item_t;

/* --- answering --------------------------------------------------------------------- */

static void tell(check_t *check, const char *state, const char *text)
{
    json_t *result =
        json_pack("{s:O,s:i,s:i}", "findings", check->findings, "problems",
                  check->problems, "omitted", check->omitted);
    const acme_control_reply_t reply = {
        .state = state,
        .text = text,
        .done = check->over,
        .total = check->total,
        .since = check->since,
        .result = result,
    };

    if (!result && !strcmp(state, "done")) {
        acme_request_fail(check->engine, check->id,
                          acme_err_make(check->engine->scratch, ACME_E_MEMORY,
                                        "telling what was found", NULL));
        return;
    }
    acme_request_reply(check->engine, check->id, &reply);
    json_decref(result);
}

static void conclude(check_t *check)
{
    tell(check, "done",
         check->problems ? apr_psprintf(check->engine->scratch,
                                        "%d to be mended", check->problems)
                         : "nothing that is to be mended was found");
    apr_pool_destroy(check->pool);
}

static void progress(check_t *check, const char *text)
{
    apr_time_t now = acme_engine_now(check->engine);

    if (check->beginning) {
        return;
    }
    if (check->over == check->total) {
        conclude(check);
    }
    else if (check->size < MUCH || now >= check->told + TELL_EVERY
             || now < check->told) {
        check->told = now;
        tell(check, "working", text);
    }
}

/* What is wrong with a way that is only fallen back to is worth knowing, no more. */
static void add(const item_t *item, const acme_err_t *finding)
{
    check_t *check = item->check;
    int problem = item->first && acme_finding_is_problem(finding);
    json_t *one = json_pack(
        "{s:s,s:s,s:s,s:i,s:b,s:s}", "certificate", item->managed->name, "name",
        item->ident->value, "type", acme_proof_type_name(item->type), "code",
        (int)finding->msg, "problem", problem, "text", finding->text);
    apr_size_t size = strlen(finding->text) + strlen(item->ident->value)
                      + strlen(item->managed->name) + 128;

    check->problems += problem;
    if (check->size + size > MAX_RESULT
        || json_array_append_new(check->findings, json_incref(one))) {
        check->omitted++;
    }
    else {
        check->size += size;
    }
    json_decref(one);
}

static void item_over(item_t *item)
{
    item->check->over++;
    progress(item->check, item->ident->value);
}

/* --- by the server's own ports -------------------------------------------------------- */

static void on_visited(void *baton, const apr_array_header_t *findings)
{
    item_t *item = baton;

    for (int i = 0; i < findings->nelts; i++) {
        add(item, APR_ARRAY_IDX(findings, i, const acme_err_t *));
    }
    item_over(item);
}

static void begin_visit(item_t *item)
{
    check_t *check = item->check;
    const acme_policy_t *policy = item->managed->policy;
    const acme_visit_wish_t wish = { item->ident, item->type,
                                     policy->cas[0].alias != NULL,
                                     policy->dns_resolvers,
                                     PATIENCE + check->total * PATIENCE_ALL };

    acme_prober_visit(check->engine->prober, &wish, on_visited, item);
}

/* --- by DNS ------------------------------------------------------------------------------ */

static int nothing_is_wanted(void *baton, const char *text)
{
    (void)baton;
    (void)text;
    return 0;
}

/* A server that has it not has answered, which is all that is to be known. */
static void on_asked(void *baton, acme_seen_t seen, const char *where)
{
    item_t *item = baton;
    apr_pool_t *scratch = item->check->engine->scratch;

    add(item, seen == ACME_SEEN_UNKNOWN
                  ? acme_err_make(scratch, ACME_W_ZONE_SILENT,
                                  item->ident->value, where, NULL)
                  : acme_err_make(scratch, ACME_I_ZONE_ANSWERS,
                                  item->ident->value, NULL));
    item_over(item);
}

static void check_program(const item_t *item)
{
    const apr_array_header_t *command = item->managed->policy->dns_command;
    const char *program =
        command ? APR_ARRAY_IDX(command, 0, const char *) : NULL;

    if (program && item->type != ACME_PROOF_DNS_PERSIST_01
        && access(program, X_OK)) {
        apr_pool_t *scratch = item->check->engine->scratch;
        const char *why =
            apr_psprintf(scratch, "%s: %s", program, strerror(errno));

        add(item, acme_err_make(scratch, ACME_W_DNS_PROGRAM, item->ident->value,
                                why, NULL));
    }
}

static void begin_dns(item_t *item)
{
    check_t *check = item->check;
    const char *base = item->ident->value;
    const acme_txt_question_t question = {
        apr_pstrcat(check->pool, "_acme-challenge.",
                    strncmp(base, "*.", 2) ? base : base + 2, NULL),
        nothing_is_wanted, acme_engine_now(check->engine),
        item->managed->policy->dns_resolvers
    };

    check_program(item);
    acme_resolver_await_txt(check->engine->resolver, &question, on_asked, item);
}

/* --- beginning ------------------------------------------------------------------------------ */

/* What a program opens for validations alone is shut, as it should be. */
static int can_look(const acme_managed_t *managed, acme_proof_type_t type)
{
    return !acme_gates_needed(managed->policy, type);
}

static int for_each(check_t *check, const acme_managed_t *managed, int begin)
{
    int count = 0;

    for (int i = 0; i < managed->idents->nelts; i++) {
        const acme_ident_t *ident =
            APR_ARRAY_IDX(managed->idents, i, const acme_ident_t *);
        acme_proofs_t proofs;

        acme_policy_proofs(&proofs, managed->policy, ident);
        for (int k = 0; k < proofs.count; k++) {
            if (!can_look(managed, proofs.types[k])) {
                continue;
            }
            count++;
            if (!begin) {
                continue;
            }
            item_t *item = apr_pcalloc(check->pool, sizeof(*item));
            *item = (item_t){ check, managed, ident, proofs.types[k], k == 0 };
            if (acme_proof_is_dns(item->type)) {
                begin_dns(item);
            }
            else {
                begin_visit(item);
            }
        }
    }
    return count;
}

static apr_status_t release_findings(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

static check_t *make(acme_engine_t *engine, const char *id)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, engine->pool);
    check_t *check = apr_pcalloc(pool, sizeof(*check));

    check->engine = engine;
    check->pool = pool;
    check->id = apr_pstrdup(pool, id);
    check->since = acme_engine_now(engine);
    check->findings = json_array();
    apr_pool_cleanup_register(pool, check->findings, release_findings,
                              apr_pool_cleanup_null);
    return check;
}

void acme_check_accept(acme_engine_t *engine, const acme_control_t *request,
                       int again)
{
    const acme_job_t *one =
        request->certificate ? acme_request_find(engine, request->certificate)
                             : NULL;

    (void)again;
    if (request->certificate && !one) {
        acme_request_fail(
            engine, request->id,
            acme_request_no_certificate(request, engine->scratch));
        return;
    }
    check_t *check = make(engine, request->id);
    check->beginning = 1;
    for (int begin = 0; begin < 2; begin++) {
        int total = 0;
        for (int i = 0; i < engine->config->managed->nelts; i++) {
            const acme_managed_t *managed =
                APR_ARRAY_IDX(engine->config->managed, i, acme_managed_t *);
            if (!one || one->managed == managed) {
                total += for_each(check, managed, begin);
            }
        }
        check->total = total;
    }
    check->beginning = 0;
    if (check->total > check->over) {
        tell(check, "accepted", "looking");
    }
    else {
        conclude(check);
    }
}
