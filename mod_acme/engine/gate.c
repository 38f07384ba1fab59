#include "engine/gate.h"

#include <apr_strings.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/encode.h"
#include "core/renewal.h"
#include "engine/command.h"
#include "engine/gate_spec.h"

/* Between two orders of a row, so that a hundred of them open it once. */
#define LINGER       apr_time_from_sec(3)
#define REFRESH      apr_time_from_sec(5 * 60)
#define RETRY_FIRST  apr_time_from_sec(10) /* of shutting it */
#define RETRY_MAX    apr_time_from_sec(60 * 60)
#define MAX_FAILURES 170 /* of those: a week */

typedef struct gate_t gate_t;

typedef struct hold_t {
    struct hold_t *next, **prev;
    const acme_proof_t *proof;
    gate_t *gate;
    acme_gate_ready_fn_t *ready; /* NULL: it was called */
    void *baton;
} hold_t;

struct gate_t {
    acme_timer_t timer; /* to shut it, or to open it again */
    acme_gates_t *owner;
    apr_pool_t *pool; /* its own */
    const char *id;
    acme_gate_spec_t spec;
    hold_t *holds;
    acme_command_t *running;
    int closing; /* what runs shuts it */
    int telling; /* those who waited are told */
    int step;    /* which of the programs runs */
    int open;    /* every program has opened it */
    int dirty;   /* it may be open, in part at least */
    int journaled;
    int failures;        /* to shut it, in a row */
    apr_time_t shut_at;  /* not before */
    acme_err_t *failure; /* of one of the programs that shut it */
    apr_pool_t *round;   /* of failure */
};

struct acme_gates_t {
    acme_engine_t *engine;
    apr_hash_t *by_id;
    apr_hash_t *held; /* const acme_proof_t * -> hold_t */
    apr_pool_t *pool; /* of holds */
    hold_t *spare;
};

static void go_on(gate_t *gate);

/* --- what is known ------------------------------------------------------------ */

acme_gates_t *acme_gates_create(acme_engine_t *engine)
{
    acme_gates_t *gates = apr_pcalloc(engine->pool, sizeof(*gates));

    gates->engine = engine;
    gates->by_id = apr_hash_make(engine->pool);
    gates->held = apr_hash_make(engine->pool);
    gates->pool = engine->pool;
    return gates;
}

int acme_gates_needed(const acme_policy_t *policy, acme_proof_type_t type)
{
    return !acme_proof_is_dns(type)
           && acme_hooks_want(policy->hooks, ACME_EVENTS_CHALLENGES);
}

static gate_t *make(acme_gates_t *gates, const acme_gate_spec_t *spec,
                    const char *id)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, gates->engine->pool);
    gate_t *gate = apr_pcalloc(pool, sizeof(*gate));
    gate->timer.kind = ACME_TIMER_GATE;
    gate->owner = gates;
    gate->pool = pool;
    apr_pool_create(&gate->round, pool);
    gate->id = apr_pstrdup(pool, id);
    acme_gate_spec_copy(&gate->spec, spec, pool);
    apr_hash_set(gates->by_id, gate->id, APR_HASH_KEY_STRING, gate);
    return gate;
}

static void destroy(gate_t *gate)
{
    acme_timer_clear(gate->owner->engine->timers, &gate->timer);
    apr_hash_set(gate->owner->by_id, gate->id, APR_HASH_KEY_STRING, NULL);
    apr_pool_destroy(gate->pool);
}

static acme_err_t *write_journal(gate_t *gate)
{
    acme_engine_t *engine = gate->owner->engine;
    const char *json;

    if (gate->journaled || !gate->spec.closes->nelts) {
        return NULL;
    }
    ACME_TRY(acme_gate_spec_format(&json, &gate->spec, engine->scratch));
    acme_err_t *err =
        acme_engine_note(engine, acme_store_put_journal(engine->store, gate->id,
                                                        json, engine->scratch));
    gate->journaled = !err;
    return err;
}

/* What stays there is shut once more, later. */
static void remove_journal(gate_t *gate)
{
    acme_engine_t *engine = gate->owner->engine;
    acme_err_t *err =
        gate->journaled ? acme_engine_note(
            engine,
            acme_store_remove_journal(engine->store, gate->id, engine->scratch))
                        : NULL;
    gate->journaled = 0;
    if (err) {
        acme_engine_log_error(engine, NULL, err);
    }
}

/* --- who needs it --------------------------------------------------------------- */

static hold_t *add_hold(gate_t *gate, const acme_proof_t *proof)
{
    acme_gates_t *gates = gate->owner;
    hold_t *hold = gates->spare;

    if (hold) {
        gates->spare = hold->next;
    }
    else {
        hold = apr_palloc(gates->pool, sizeof(*hold));
    }
    memset(hold, 0, sizeof(*hold));
    hold->proof = proof;
    hold->gate = gate;
    hold->next = gate->holds;
    hold->prev = &gate->holds;
    if (hold->next) {
        hold->next->prev = &hold->next;
    }
    gate->holds = hold;
    apr_hash_set(gates->held, &hold->proof, sizeof(hold->proof), hold);
    return hold;
}

static void remove_hold(hold_t *hold)
{
    acme_gates_t *gates = hold->gate->owner;

    apr_hash_set(gates->held, &hold->proof, sizeof(hold->proof), NULL);
    *hold->prev = hold->next;
    if (hold->next) {
        hold->next->prev = hold->prev;
    }
    hold->next = gates->spare;
    gates->spare = hold;
}

/* One that waits to be told, or NULL. */
static hold_t *next_waiting(const gate_t *gate)
{
    hold_t *hold = gate->holds;

    while (hold && !hold->ready) {
        hold = hold->next;
    }
    return hold;
}

/* From in there others may be held or dropped. @param err  all are told, and hold it
 * no more */
static void tell_waiting(gate_t *gate, acme_err_t *err)
{
    hold_t *hold;

    gate->telling = 1;
    while ((hold = next_waiting(gate)) != NULL) {
        acme_gate_ready_fn_t *ready = hold->ready;
        void *baton = hold->baton;

        hold->ready = NULL;
        if (err) {
            remove_hold(hold);
        }
        ready(baton, err);
    }
    gate->telling = 0;
}

/* --- programs --------------------------------------------------------------------- */

static const apr_array_header_t *program_of(const gate_t *gate)
{
    const acme_gate_spec_t *spec = &gate->spec;

    if (!gate->closing) {
        return gate->step < spec->opens->nelts ? APR_ARRAY_IDX(
                   spec->opens, gate->step, const apr_array_header_t *)
                                               : NULL;
    }
    /* the last that was opened is shut first */
    return gate->step < spec->closes->nelts
               ? APR_ARRAY_IDX(spec->closes,
                               spec->closes->nelts - 1 - gate->step,
                               const apr_array_header_t *)
               : NULL;
}

static void on_output(void *baton, const char *line)
{
    const gate_t *gate = baton;

    acme_engine_log(gate->owner->engine, NULL, ACME_I_COMMAND_OUTPUT,
                    APR_ARRAY_IDX(program_of(gate), 0, const char *), line,
                    NULL);
}

static void on_ended(void *baton, acme_err_t *err, int status);

static void start_program(gate_t *gate, const apr_array_header_t *program)
{
    acme_engine_t *engine = gate->owner->engine;
    const acme_command_callbacks_t callbacks = { gate, on_output, on_ended };
    acme_event_kind_t event =
        gate->closing ? ACME_EVENT_CHALLENGE_CLOSE : ACME_EVENT_CHALLENGE_OPEN;
    acme_command_spec_t spec = { .limit = ACME_HOOK_LIMIT };

    acme_gate_spec_command(&spec, &gate->spec, program, event,
                           acme_store_root(engine->store), engine->scratch);
    gate->running = acme_command_start(engine->commands, &spec, &callbacks);
}

static void log_gate(const gate_t *gate, acme_msg_t msg)
{
    acme_engine_t *engine = gate->owner->engine;

    acme_engine_log(engine, NULL, msg, acme_proof_type_name(gate->spec.type),
                    apr_itoa(engine->scratch, gate->spec.port), NULL);
}

static void begin(gate_t *gate, int closing)
{
    acme_timer_clear(gate->owner->engine->timers, &gate->timer);
    apr_pool_clear(gate->round);
    gate->failure = NULL;
    gate->closing = closing;
    gate->step = 0;
    gate->dirty = 1;
    if (closing) {
        gate->open = 0;
    }
}

/* --- opening ---------------------------------------------------------------------- */

static void opened(gate_t *gate)
{
    acme_engine_t *engine = gate->owner->engine;

    if (!gate->open && gate->spec.opens->nelts) {
        log_gate(gate, ACME_I_GATE_OPEN);
    }
    gate->open = 1;
    acme_timer_set(engine->timers, &gate->timer,
                   acme_engine_now(engine) + REFRESH);
    tell_waiting(gate, NULL);
}

static void refused(gate_t *gate, acme_err_t *err)
{
    acme_engine_t *engine = gate->owner->engine;
    acme_err_t *told;

    if (gate->open) { /* as far as we know it still is */
        acme_engine_log_error(engine, NULL, err);
        opened(gate);
        return;
    }
    told = acme_err_make(engine->scratch, ACME_E_GATE_REFUSED,
                         acme_proof_type_name(gate->spec.type),
                         acme_err_line(err, engine->scratch), NULL);
    gate->shut_at = 0;
    tell_waiting(gate, told);
}

/* --- shutting --------------------------------------------------------------------- */

static void retry_later(gate_t *gate)
{
    acme_engine_t *engine = gate->owner->engine;
    unsigned int random = 0;

    if (++gate->failures >= MAX_FAILURES) {
        acme_engine_log(engine, NULL, ACME_E_GATE_LEFT,
                        acme_proof_type_name(gate->spec.type),
                        apr_itoa(engine->scratch, gate->spec.port), NULL);
        remove_journal(gate);
        gate->dirty = 0;
        return;
    }
    RAND_bytes((unsigned char *)&random, sizeof(random));
    gate->shut_at =
        acme_engine_now(engine)
        + acme_retry_delay(gate->failures, RETRY_FIRST, RETRY_MAX, random);
    acme_engine_log(engine, NULL, ACME_E_GATE_OPEN_STILL,
                    acme_proof_type_name(gate->spec.type),
                    apr_itoa(engine->scratch, gate->spec.port),
                    acme_err_line(gate->failure, engine->scratch),
                    acme_time_format(gate->shut_at, engine->scratch), NULL);
}

static void shut(gate_t *gate)
{
    if (gate->failure) {
        retry_later(gate);
        return;
    }
    log_gate(gate, ACME_I_GATE_SHUT);
    remove_journal(gate);
    gate->failures = 0;
    gate->dirty = 0;
}

/* --- one after the other ------------------------------------------------------------ */

/* The next of the programs, or what follows from the last. */
static void next_program(gate_t *gate)
{
    const apr_array_header_t *program = program_of(gate);

    if (program) {
        start_program(gate, program);
    }
    else if (gate->closing) {
        shut(gate);
        go_on(gate);
    }
    else {
        opened(gate);
        go_on(gate);
    }
}

static void on_ended(void *baton, acme_err_t *err, int status)
{
    gate_t *gate = baton;

    (void)status;
    gate->running = NULL;
    if (err && !gate->closing) {
        refused(gate, err);
        go_on(gate);
        return;
    }
    if (err && !gate->failure) {
        gate->failure = acme_err_dup(err, gate->round);
    }
    gate->step++;
    next_program(gate);
}

static void open_it(gate_t *gate)
{
    acme_err_t *err = write_journal(gate);

    if (err) { /* nothing is begun that might not be undone */
        tell_waiting(gate, acme_err_dup(err, gate->owner->engine->scratch));
        go_on(gate);
        return;
    }
    begin(gate, 0);
    next_program(gate);
}

static void shut_it(gate_t *gate)
{
    acme_engine_t *engine = gate->owner->engine;

    if (gate->shut_at > acme_engine_now(engine)) {
        acme_timer_set(engine->timers, &gate->timer, gate->shut_at);
    }
    else if (!gate->spec.closes->nelts) {
        destroy(gate);
    }
    else {
        begin(gate, 1);
        next_program(gate);
    }
}

/* Do what is needed, if anything; it may be gone after that. */
static void go_on(gate_t *gate)
{
    if (gate->running || gate->telling) {
        return; /* looked at again after that */
    }
    if (gate->holds) {
        if (!gate->open) {
            open_it(gate);
        }
        else if (next_waiting(gate)) {
            tell_waiting(gate, NULL);
            go_on(gate);
        }
    }
    else if (gate->dirty) {
        shut_it(gate);
    }
    else {
        destroy(gate);
    }
}

void acme_gate_pump(acme_timer_t *timer)
{
    gate_t *gate = (gate_t *)(void *)timer; /* its first member */

    if (gate->running) {
        return;
    }
    if (gate->holds && gate->open) {
        begin(gate, 0);
        next_program(gate);
        return;
    }
    go_on(gate);
}

/* --- what is wanted ------------------------------------------------------------------- */

void acme_gates_hold(acme_gates_t *gates, const acme_job_t *job,
                     const acme_proof_t *proof, acme_gate_ready_fn_t *ready,
                     void *baton)
{
    acme_gate_spec_t spec;

    acme_gates_drop(gates, proof);
    acme_gate_spec_make(&spec, job->managed, proof, gates->engine->scratch);
    const char *id = acme_gate_spec_id(&spec, gates->engine->scratch);
    gate_t *gate = apr_hash_get(gates->by_id, id, APR_HASH_KEY_STRING);
    if (!gate) {
        gate = make(gates, &spec, id);
    }
    if (gate->open && gate->timer.place
        && !gate->holds) { /* it was to be shut */
        acme_timer_set(gates->engine->timers, &gate->timer,
                       acme_engine_now(gates->engine) + REFRESH);
    }
    hold_t *hold = add_hold(gate, proof);
    hold->ready = ready;
    hold->baton = baton;
    go_on(gate);
}

void acme_gates_drop(acme_gates_t *gates, const acme_proof_t *proof)
{
    hold_t *hold = apr_hash_get(gates->held, &proof, sizeof(proof));

    if (hold) {
        gate_t *gate = hold->gate;

        remove_hold(hold);
        if (!gate->holds) {
            gate->shut_at = acme_engine_now(gates->engine) + LINGER;
        }
        go_on(gate);
    }
}

/* --- after a start ---------------------------------------------------------------------- */

const char *acme_gates_take(acme_gates_t *gates, const char *kind,
                            const json_t *object, const char *id,
                            apr_pool_t *pool)
{
    acme_gate_spec_t spec;
    const char *why = acme_gate_spec_read(&spec, kind, object, pool);

    if (spec.closes) {
        gate_t *gate = make(gates, &spec, id);
        gate->journaled = gate->dirty = 1;
    }
    return why;
}

void acme_gates_sweep(acme_gates_t *gates)
{
    apr_array_header_t *left =
        apr_array_make(gates->engine->pool, 4, sizeof(gate_t *));
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, gates->by_id); i; i = apr_hash_next(i)) {
        APR_ARRAY_PUSH(left, gate_t *) = apr_hash_this_val(i);
    }
    for (int k = 0; k < left->nelts; k++) {
        go_on(APR_ARRAY_IDX(left, k, gate_t *));
    }
}
