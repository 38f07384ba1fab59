#include "httpd/runner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <ap_mpm.h>
#include <apr_allocator.h>
#include <apr_optional.h>
#include <apr_signal.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>
#include <http_log.h>
#include <mod_watchdog.h>
#include <openssl/crypto.h>

#include "engine/lease.h"
#include "engine/transport.h"
#include "httpd/hits.h"
#include "httpd/led.h"
#include "httpd/log.h"
#include "httpd/reload.h"
#include "httpd/selftest.h"
#include "httpd/staples.h"

APLOG_USE_MODULE(acme);

#define WATCHDOG "_acme_"
/* How long a round may wait for the network: also how long a stop may take on
 * MPMs that tell a child nothing but its changed state. */
#define ROUND      apr_time_from_sec(1)
#define TELL_AGAIN apr_time_from_sec(600)

/* A child that does not lead looks for the lease each round at first, when that of
 * an earlier generation is about to be released, and less often later: the one
 * that takes a dead leader's place among the children looks at once. */
#define EAGER_TICKS 10
#define PAUSE       apr_time_from_sec(4)

/* What the engine's pools keep of memory that was freed: a start reads a megabyte of
 * the audit trail, and needs it no more. */
#define KEPT_FREE (256 * 1024)

typedef struct runner_t {
    server_rec *server;
    const acme_engine_config_t *config;
    acme_store_t *store;
    acme_live_table_t *table;
    acme_lease_t *lease; /* this child's; NULL before its first round */
    apr_pool_t *pool;    /* this child's */
    int ticks;           /* so far, up to EAGER_TICKS */
    acme_msg_t told;     /* why this child could not lead, last logged */
    apr_time_t told_at;
} runner_t;

/* One configuration has one runner; the engine is there while it runs, so that
 * a stop can wake it up. */
static runner_t *the_runner;
static acme_engine_t *the_engine;
static int in_tick; /* the watchdog's thread is in our code */
static pthread_mutex_t engine_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left_tick = PTHREAD_COND_INITIALIZER;
static pthread_cond_t stop_asked; /* made in each child: its clock is steady */
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

    acme_hits_expect(acme_hits(), proof->ident, apr_time_now());
    return acme_live_publish(runner->table, proof,
                             acme_lease_epoch(runner->lease), runner->pool);
}

static void withdraw(void *baton, const acme_proof_t *proof)
{
    runner_t *runner = baton;

    acme_live_withdraw(runner->table, proof, acme_lease_epoch(runner->lease));
    acme_hits_over(acme_hits(), proof->ident, apr_time_now());
}

static int hits(void *baton, acme_hit_t *found, const acme_ident_t *ident,
                apr_time_t since)
{
    (void)baton;
    return acme_hits_read(found, NULL, acme_hits(), ident, since);
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

static int shown(void *baton, const acme_managed_t *managed,
                 acme_family_t family)
{
    runner_t *runner = baton;
    acme_slot_t *slot = acme_live_slot(runner->table, managed->name);

    return slot ? acme_live_generation(slot, family) : 0;
}

static acme_err_t *prove(void *baton, const acme_managed_t *managed,
                         const acme_set_t *set, apr_pool_t *pool)
{
    runner_t *runner = baton;

    return acme_selftest_prove(runner->server, managed, set, pool);
}

static acme_err_t *check(void *baton, const acme_managed_t *managed,
                         const acme_record_t *record, apr_pool_t *pool)
{
    runner_t *runner = baton;

    return acme_selftest_check(runner->server, managed, record, pool);
}

static void want_reload(void *baton, apr_interval_time_t interval)
{
    (void)baton;
    acme_reload_want(interval);
}

static void amend_status(void *baton, acme_status_t *status)
{
    (void)baton;
    acme_reload_amend(status);
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

static void add_event(void *baton, const acme_managed_t *managed,
                      acme_family_t family, const char *text)
{
    runner_t *runner = baton;
    acme_slot_t *slot = acme_live_slot(runner->table, managed->name);

    if (slot) {
        acme_live_add_event(slot, family, apr_time_now(), text);
    }
}

static int get_events(void *baton, acme_event_t *found,
                      const acme_managed_t *managed, acme_family_t family)
{
    const runner_t *runner = baton;
    const acme_slot_t *slot = acme_live_slot(runner->table, managed->name);

    return slot ? acme_live_events(found, slot, family) : 0;
}

static void staple(void *baton, const acme_managed_t *managed,
                   acme_family_t family, const acme_staple_t *response)
{
    runner_t *runner = baton;
    const acme_slot_t *slot = acme_live_slot(runner->table, managed->name);
    acme_staples_t *area = slot ? acme_live_staples(slot, family) : NULL;

    if (area) {
        acme_staples_put(area, response);
    }
    else if (slot && response->must) {
        acme_log_msg(runner->server, runner->pool, ACME_W_STAPLE_ROOM,
                     managed->name, NULL);
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
        .shown = shown,
        .prove = prove,
        .check = check,
        .reload = want_reload,
        .amend = amend_status,
        .status = tell_status,
        .event = add_event,
        .events = get_events,
        .staple = staple,
        .hits = hits,
        .now = now,
        .stopping = is_stopping,
    };
    acme_engine_t *engine;
    acme_err_t *err;

    ACME_TRY(acme_engine_create(&engine, runner->config, &callbacks,
                                runner->store, pool));
    ACME_TRY(acme_lease_prove(runner->lease, pool));
    acme_live_begin(runner->table, acme_lease_epoch(runner->lease));
    ACME_TRY(acme_engine_resume(engine));
    /* tokens of orders that are no more; those of saved orders are back */
    acme_live_sweep(runner->table, acme_lease_epoch(runner->lease));
    set_engine(engine);
    err = NULL;
    while (!err && !must_stop()) {
        acme_led_tell(apr_time_now());
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
    /* OpenSSL would at the thread's end, but at the child's mod_watchdog does
     * not wait for that. */
    OPENSSL_thread_stop();
}

/* Every child looks every second: what keeps them from leading is told when it
 * changes, and then now and again. */
static void tell_failure(runner_t *runner, const acme_err_t *err,
                         apr_pool_t *scratch)
{
    apr_time_t time = apr_time_now();

    if (runner->told != err->msg || time - runner->told_at >= TELL_AGAIN) {
        runner->told = err->msg;
        runner->told_at = time;
        acme_log_err(runner->server, "", err, scratch);
    }
    ap_log_error(APLOG_MARK, APLOG_TRACE1, 0, runner->server,
                 "the lease is not to be had: %s", err->text);
}

static void try_to_lead(runner_t *runner)
{
    apr_pool_t *scratch;
    acme_err_t *err;
    int held = 0;

    apr_pool_create(&scratch, runner->pool);
    if (!runner->lease) {
        runner->lease = acme_store_make_lease(runner->store, runner->pool);
        acme_store_set_lease(runner->store, runner->lease);
    }
    err = acme_lease_try(&held, runner->lease, apr_time_now(), scratch);
    if (err) {
        tell_failure(runner, err, scratch);
    }
    else {
        runner->told = ACME_M_NONE;
        if (!held && acme_led_is_missed(apr_time_now())) {
            acme_log_msg(runner->server, scratch, ACME_W_STORE_SHARED,
                         acme_store_lock_path(runner->store), NULL);
        }
    }
    apr_pool_destroy(scratch);
    if (held) {
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

/* The watchdog wakes up ten times a second between two ticks, so the pause is
 * made in here; a stop ends it. */
static void pause_tick(runner_t *runner)
{
    int eager = runner->ticks < EAGER_TICKS;
    struct timespec until;
    int rv = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += apr_time_sec(eager ? ROUND : PAUSE);
    runner->ticks += eager;
    pthread_mutex_lock(&engine_lock);
    while (!rv && !must_stop()) {
        rv = pthread_cond_timedwait(&stop_asked, &engine_lock, &until);
    }
    pthread_mutex_unlock(&engine_lock);
}

static apr_status_t tick(int state, void *data, apr_pool_t *scratch)
{
    runner_t *runner = data;

    (void)scratch; /* of mod_watchdog's allocator */
    if (state == AP_WATCHDOG_STATE_RUNNING && runner->pool && enter_tick()) {
        try_to_lead(runner);
        pause_tick(runner);
        leave_tick();
    }
    return APR_SUCCESS;
}

/* Ends whatever the watchdog's thread waits for. Holds engine_lock. */
static void ask_to_stop(void)
{
    atomic_store(&stopping, 1);
    if (the_runner) {
        pthread_cond_broadcast(&stop_asked);
    }
    if (the_engine) {
        acme_engine_wakeup(the_engine);
    }
}

/* Before anything of the child is torn down: mod_watchdog (2.4.71) does not wait
 * for its thread, which would go on in freed memory. Takes one round at most. */
static apr_status_t wait_for_tick(void *data)
{
    (void)data;
    pthread_mutex_lock(&engine_lock);
    ask_to_stop();
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

acme_err_t *acme_runner_start(server_rec *s, const acme_engine_config_t *config,
                              acme_store_t *store, acme_live_table_t *table,
                              apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog = NULL;

    acme_led_open(s, get && add);
    if (!get || !add) {
        return acme_err_make(pconf, ACME_E_NO_WATCHDOG, "", NULL);
    }
    the_runner = apr_pcalloc(pconf, sizeof(*the_runner));
    apr_pool_cleanup_register(pconf, NULL, forget_runner,
                              apr_pool_cleanup_null);
    the_runner->server = s;
    the_runner->config = config;
    the_runner->store = store;
    the_runner->table = table;
    /* Not a singleton: that one wakes up ten times a second in every child. No
     * pause before the first tick: a restart must not keep orders waiting. */
    if (get(&watchdog, WATCHDOG, 0, 0, pconf) != APR_SUCCESS
        || add(watchdog, 0, the_runner, tick) != APR_SUCCESS) {
        acme_led_open(s, 0);
        return acme_err_make(pconf, ACME_E_NO_WATCHDOG, "", NULL);
    }
    return NULL;
}

/* A pool with an allocator of its own: the engine's thread must not share one
 * with the child's main thread, which on prefork has no lock for it. */
static apr_pool_t *own_pool(apr_pool_t *pchild)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *mutex;
    apr_pool_t *pool;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    if (apr_pool_create_ex(&pool, pchild, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    apr_allocator_max_free_set(allocator, KEPT_FREE);
    if (apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool)
        == APR_SUCCESS) {
        apr_allocator_mutex_set(allocator, mutex);
    }
    return pool;
}

void acme_runner_child_init(apr_pool_t *pchild, server_rec *s)
{
    pthread_condattr_t steady;

    (void)s;
    if (the_runner) {
        acme_transport_global_init();
        pthread_condattr_init(&steady);
        pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
        pthread_cond_init(&stop_asked, &steady);
        pthread_condattr_destroy(&steady);
        the_runner->pool = own_pool(pchild);
        apr_pool_pre_cleanup_register(pchild, NULL, wait_for_tick);
    }
}

void acme_runner_child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    (void)graceful;
    pthread_mutex_lock(&engine_lock);
    ask_to_stop();
    pthread_mutex_unlock(&engine_lock);
}
