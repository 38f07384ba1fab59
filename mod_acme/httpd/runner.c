#include "httpd/runner.h"

#include <pthread.h>
#include <stdatomic.h>

#include <ap_mpm.h>
#include <apr_optional.h>
#include <apr_signal.h>
#include <apr_thread_proc.h>
#include <mod_watchdog.h>

#include "engine/lease.h"
#include "engine/transport.h"
#include "httpd/log.h"

#define WATCHDOG "_acme_"
/* How long a round may wait for the network: also how long a stop may take on
 * MPMs that tell a child nothing but its changed state. */
#define ROUND apr_time_from_sec(1)

typedef struct runner_t {
    server_rec *server;
    const acme_engine_config_t *config;
    acme_store_t *store;
    acme_live_table_t *table;
    acme_lease_t *lease; /* this child's; NULL before its first round */
    apr_pool_t *pool;    /* this child's */
    ap_watchdog_t *watchdog;
    int slow; /* the first tick is over */
} runner_t;

static apr_status_t tick(int state, void *data, apr_pool_t *scratch);

/* One configuration has one runner; the engine is there while it runs, so that
 * a stop can wake it up. */
static runner_t *the_runner;
static acme_engine_t *the_engine;
static int in_tick; /* the watchdog's thread is in our code */
static pthread_mutex_t engine_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left_tick = PTHREAD_COND_INITIALIZER;
static _Atomic int stopping;

static int must_stop(void)
{
    int state = AP_MPMQ_RUNNING;

    return atomic_load(&stopping)
           || ap_mpm_query(AP_MPMQ_MPM_STATE, &state) != APR_SUCCESS
           || state == AP_MPMQ_STOPPING;
}

/* --- the engine's callbacks ------------------------------------------------ */

static void log_message(void *baton, acme_msg_t msg, const char *prefix,
                        const char *text)
{
    runner_t *runner = baton;

    acme_log(runner->server, msg, prefix, text);
}

static acme_err_t *publish(void *baton, const acme_proof_t *proof)
{
    runner_t *runner = baton;

    return acme_live_publish(runner->table, proof,
                             acme_lease_epoch(runner->lease), runner->pool);
}

static void withdraw(void *baton, const acme_proof_t *proof)
{
    runner_t *runner = baton;

    acme_live_withdraw(runner->table, proof);
}

static void activate(void *baton, const acme_managed_t *managed,
                     acme_family_t family, int number)
{
    runner_t *runner = baton;
    acme_slot_t *slot = acme_live_slot(runner->table, managed->name);

    if (slot) {
        acme_live_set_generation(slot, family, number);
    }
}

static void tell_status(void *baton, const acme_managed_t *managed,
                        acme_family_t family, const acme_status_t *status)
{
    runner_t *runner = baton;
    acme_slot_t *slot = acme_live_slot(runner->table, managed->name);

    if (slot) {
        acme_live_set_status(slot, family, status);
    }
}

static apr_time_t now(void *baton)
{
    (void)baton;
    return apr_time_now();
}

static int is_stopping(void *baton)
{
    (void)baton;
    return must_stop();
}

/* --- leading --------------------------------------------------------------- */

static void set_engine(acme_engine_t *engine)
{
    pthread_mutex_lock(&engine_lock);
    the_engine = engine;
    pthread_mutex_unlock(&engine_lock);
}

static acme_err_t *run_engine(runner_t *runner, apr_pool_t *pool)
{
    const acme_engine_callbacks_t callbacks = {
        .baton = runner,
        .log = log_message,
        .publish = publish,
        .withdraw = withdraw,
        .activate = activate,
        .status = tell_status,
        .now = now,
        .stopping = is_stopping,
    };
    acme_engine_t *engine;
    acme_err_t *err;

    ACME_TRY(acme_engine_create(&engine, runner->config, &callbacks,
                                runner->store, pool));
    ACME_TRY(acme_engine_resume(engine));
    /* tokens of orders that are no more; those of saved orders are back */
    acme_live_sweep(runner->table, acme_lease_epoch(runner->lease));
    set_engine(engine);
    err = NULL;
    while (!err && !must_stop()) {
        err = acme_engine_step(engine, ROUND);
    }
    set_engine(NULL);
    return err;
}

/* Leads until the child stops or the lease is lost: the callback does not
 * return in between, since a watchdog's own pause between two calls would slow
 * every request to the CA. */
static void lead(runner_t *runner)
{
    apr_pool_t *pool;
    acme_err_t *err;

    apr_pool_create(&pool, runner->pool);
    acme_log_msg(runner->server, pool, ACME_I_ENGINE_STARTS, NULL);
    err = run_engine(runner, pool);
    if (err) {
        acme_log_err(runner->server, "", err, pool);
    }
    acme_log_msg(runner->server, pool, ACME_I_ENGINE_ENDS, NULL);
    apr_pool_destroy(pool);
    acme_lease_release(runner->lease, runner->pool);
}

static void try_to_lead(runner_t *runner, apr_pool_t *scratch)
{
    acme_err_t *err;
    int held = 0;

    if (!runner->lease) {
        runner->lease = acme_lease_create(acme_store_lock_path(runner->store),
                                          runner->pool);
        acme_store_set_lease(runner->store, runner->lease);
    }
    err = acme_lease_try(&held, runner->lease, apr_time_now(), scratch);
    if (err) {
        acme_log_err(runner->server, "", err, scratch);
    }
    else if (held) {
        lead(runner);
    }
}

/* Signals are for the child's main thread: on prefork their handler tears the
 * child down, which waits for us. */
static int enter_tick(void)
{
    int enter;

    apr_setup_signal_thread();
    pthread_mutex_lock(&engine_lock);
    enter = !must_stop();
    in_tick = enter;
    pthread_mutex_unlock(&engine_lock);
    return enter;
}

static void leave_tick(void)
{
    pthread_mutex_lock(&engine_lock);
    in_tick = 0;
    pthread_cond_broadcast(&left_tick);
    pthread_mutex_unlock(&engine_lock);
}

/* The first tick comes at once, so that a restart does not keep orders waiting;
 * from then on children look for the lease once a second. */
static void slow_down(runner_t *runner)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_set_callback_interval) *set =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_set_callback_interval);

    if (!runner->slow && set) {
        set(runner->watchdog, ROUND, runner, tick);
        runner->slow = 1;
    }
}

static apr_status_t tick(int state, void *data, apr_pool_t *scratch)
{
    runner_t *runner = data;

    if (state == AP_WATCHDOG_STATE_RUNNING && runner->pool && enter_tick()) {
        slow_down(runner);
        try_to_lead(runner, scratch);
        leave_tick();
    }
    return APR_SUCCESS;
}

/* Before anything of the child is torn down: mod_watchdog (2.4.71) does not wait
 * for its thread, which would go on in freed memory. Takes one round at most. */
static apr_status_t wait_for_tick(void *data)
{
    (void)data;
    pthread_mutex_lock(&engine_lock);
    atomic_store(&stopping, 1);
    if (the_engine) {
        acme_engine_wakeup(the_engine);
    }
    while (in_tick) {
        pthread_cond_wait(&left_tick, &engine_lock);
    }
    pthread_mutex_unlock(&engine_lock);
    return APR_SUCCESS;
}

/* --- for post_config and children ------------------------------------------ */

static apr_status_t forget_runner(void *data)
{
    (void)data;
    the_runner = NULL;
    return APR_SUCCESS;
}

void acme_runner_start(server_rec *s, const acme_engine_config_t *config,
                       acme_store_t *store, acme_live_table_t *table,
                       apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);

    if (!get || !add) {
        acme_log_msg(s, pconf, ACME_E_NO_WATCHDOG, "", NULL);
        return;
    }
    the_runner = apr_pcalloc(pconf, sizeof(*the_runner));
    apr_pool_cleanup_register(pconf, NULL, forget_runner,
                              apr_pool_cleanup_null);
    the_runner->server = s;
    the_runner->config = config;
    the_runner->store = store;
    the_runner->table = table;
    /* not a singleton: that one wakes up ten times a second in every child */
    if (get(&the_runner->watchdog, WATCHDOG, 0, 0, pconf) != APR_SUCCESS
        || add(the_runner->watchdog, 0, the_runner, tick) != APR_SUCCESS) {
        acme_log_msg(s, pconf, ACME_E_NO_WATCHDOG, "", NULL);
    }
}

void acme_runner_child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)s;
    acme_transport_global_init();
    if (the_runner) {
        apr_pool_create(&the_runner->pool, pchild);
        apr_pool_pre_cleanup_register(pchild, NULL, wait_for_tick);
    }
}

void acme_runner_child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    (void)graceful;
    atomic_store(&stopping, 1);
    pthread_mutex_lock(&engine_lock);
    if (the_engine) {
        acme_engine_wakeup(the_engine);
    }
    pthread_mutex_unlock(&engine_lock);
}
