#include "engine/keymaker.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"

/* Not from a pool: made in one thread, read in the other. */
struct acme_key_wish_t {
    acme_key_wish_t *next;
    acme_keymaker_t *maker;
    acme_key_type_t type;
    acme_keymaker_done_fn_t *done;
    void *baton;
    _Atomic int forgotten;
    EVP_PKEY *key;
    char reason[160];
};

typedef struct wishes_t {
    acme_key_wish_t *first, **end;
} wishes_t;

struct acme_keymaker_t {
    void (*wakeup)(void *baton);
    void *baton;
    pthread_t thread;
    int started;
    _Atomic int ending;
    pthread_mutex_t lock; /* guards the lists */
    pthread_cond_t asked;
    wishes_t urgent, waiting, ready;
};

static void append(wishes_t *wishes, acme_key_wish_t *wish)
{
    wish->next = NULL;
    if (!wishes->first) {
        wishes->end = &wishes->first;
    }
    *wishes->end = wish;
    wishes->end = &wish->next;
}

static acme_key_wish_t *take(wishes_t *wishes)
{
    acme_key_wish_t *wish = wishes->first;
    if (wish) {
        wishes->first = wish->next;
    }
    return wish;
}

static void wish_free(acme_key_wish_t *wish)
{
    EVP_PKEY_free(wish->key);
    free(wish);
}

/* --- the thread ----------------------------------------------------------------- */

static int go_on(void *baton)
{
    acme_key_wish_t *wish = baton;
    return !atomic_load(&wish->forgotten) && !atomic_load(&wish->maker->ending);
}

static void make(acme_key_wish_t *wish)
{
    if (!go_on(wish)) {
        return;
    }
    wish->key = acme_key_generate(wish->type, go_on, wish);
    if (!wish->key) {
        unsigned long code = ERR_get_error();
        ERR_error_string_n(code, wish->reason, sizeof(wish->reason));
    }
    ERR_clear_error();
}

static void *run(void *data)
{
    acme_keymaker_t *maker = data;

    pthread_mutex_lock(&maker->lock);
    while (!atomic_load(&maker->ending)) {
        acme_key_wish_t *wish = take(&maker->urgent);
        if (!wish) {
            wish = take(&maker->waiting);
        }
        if (!wish) {
            pthread_cond_wait(&maker->asked, &maker->lock);
            continue;
        }
        pthread_mutex_unlock(&maker->lock);
        make(wish);
        pthread_mutex_lock(&maker->lock);
        append(&maker->ready, wish);
        maker->wakeup(maker->baton);
    }
    pthread_mutex_unlock(&maker->lock);
    OPENSSL_thread_stop();
    return NULL;
}

/* Signals are for others: on prefork the child's main thread. */
static int start(acme_keymaker_t *maker)
{
    sigset_t all, before;
    int rv;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&maker->thread, NULL, run, maker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    maker->started = rv == 0;
    return rv;
}

/* --- for the engine --------------------------------------------------------------- */

static apr_status_t stop(void *data)
{
    acme_keymaker_t *maker = data;
    acme_key_wish_t *wish;

    if (maker->started) {
        pthread_mutex_lock(&maker->lock);
        atomic_store(&maker->ending, 1);
        pthread_cond_signal(&maker->asked);
        pthread_mutex_unlock(&maker->lock);
        pthread_join(maker->thread, NULL);
    }
    while ((wish = take(&maker->urgent)) || (wish = take(&maker->waiting))
           || (wish = take(&maker->ready))) {
        wish_free(wish);
    }
    pthread_cond_destroy(&maker->asked);
    pthread_mutex_destroy(&maker->lock);
    return APR_SUCCESS;
}

acme_keymaker_t *acme_keymaker_create(void (*wakeup)(void *baton), void *baton,
                                      apr_pool_t *pool)
{
    acme_keymaker_t *maker = apr_pcalloc(pool, sizeof(*maker));
    maker->wakeup = wakeup;
    maker->baton = baton;
    pthread_mutex_init(&maker->lock, NULL);
    pthread_cond_init(&maker->asked, NULL);
    /* Before the transport goes, which the thread wakes up: that one's own
     * cleanup is registered earlier, so it runs later. */
    apr_pool_pre_cleanup_register(pool, maker, stop);
    return maker;
}

acme_err_t *acme_keymaker_ask(acme_key_wish_t **result, acme_keymaker_t *maker,
                              acme_key_type_t type, int urgent,
                              acme_keymaker_done_fn_t *done, void *baton,
                              apr_pool_t *scratch)
{
    acme_key_wish_t *wish = calloc(1, sizeof(*wish));
    int rv = !wish ? APR_ENOMEM : maker->started ? 0 : start(maker);

    if (rv) {
        free(wish);
        return acme_err_os(scratch, rv, ACME_E_KEY_MAKE,
                           acme_key_type_name(type), NULL);
    }
    wish->maker = maker;
    wish->type = type;
    wish->done = done;
    wish->baton = baton;
    pthread_mutex_lock(&maker->lock);
    append(urgent ? &maker->urgent : &maker->waiting, wish);
    pthread_cond_signal(&maker->asked);
    pthread_mutex_unlock(&maker->lock);
    *result = wish;
    return NULL;
}

acme_err_t *acme_keymaker_failure(acme_key_type_t type, const char *reason,
                                  apr_pool_t *pool)
{
    acme_err_t *err =
        acme_err_make(pool, ACME_E_KEY_MAKE, acme_key_type_name(type), NULL);
    err->detail = acme_encode_printable(reason, ACME_MAX_DETAIL, pool);
    return err;
}

/* It is freed when it comes out at the other end. */
void acme_keymaker_forget(acme_keymaker_t *maker, acme_key_wish_t *wish)
{
    (void)maker;
    atomic_store(&wish->forgotten, 1);
}

void acme_keymaker_collect(acme_keymaker_t *maker)
{
    wishes_t ready;

    if (!maker->started) {
        return;
    }
    pthread_mutex_lock(&maker->lock);
    ready = maker->ready;
    maker->ready.first = NULL;
    pthread_mutex_unlock(&maker->lock);
    while (ready.first) {
        acme_key_wish_t *wish = take(&ready);
        if (!atomic_load(&wish->forgotten)) {
            EVP_PKEY *key = wish->key;
            wish->key = NULL;
            wish->done(wish->baton, key, wish->reason);
        }
        wish_free(wish);
    }
}
