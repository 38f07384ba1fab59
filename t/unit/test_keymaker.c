/* Keys that are made beside the engine's loop. */
#include "core_test.h"

#include <apr_time.h>
#include <stdatomic.h>

#include "engine/keymaker.h"

static _Atomic int woken;

static void wake(void *baton)
{
    (void)baton;
    atomic_fetch_add(&woken, 1);
}

typedef struct got_t {
    EVP_PKEY *key;
    int count;
    int order;
} got_t;

static int handed_over;

static void take(void *baton, EVP_PKEY *key, const char *reason)
{
    got_t *got = baton;

    assert_string_equal(reason, "");
    got->key = key;
    got->count++;
    got->order = ++handed_over;
}

static acme_keymaker_t *make_maker(void)
{
    atomic_store(&woken, 0);
    handed_over = 0;
    return acme_keymaker_create(wake, NULL, pool);
}

static acme_key_wish_t *ask(acme_keymaker_t *maker, acme_key_type_t type,
                            int urgent, got_t *got)
{
    acme_key_wish_t *wish = NULL;

    assert_no_err(
        acme_keymaker_ask(&wish, maker, type, urgent, take, got, pool));
    return wish;
}

/* As the engine: until that many keys are ready. */
static void collect(acme_keymaker_t *maker, int wanted)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(60);

    while (atomic_load(&woken) < wanted && apr_time_now() < end) {
        apr_sleep(1000);
    }
    acme_keymaker_collect(maker);
}

static void test_keymaker_makes_each_type(void **state)
{
    acme_keymaker_t *maker = make_maker();
    got_t got[ACME_KEY_TYPES] = { { 0 } };
    int i;

    (void)state;
    for (i = 0; i < ACME_KEY_TYPES; i++) {
        ask(maker, (acme_key_type_t)i, 1, &got[i]);
        assert_int_equal(got[i].count, 0);
    }
    collect(maker, ACME_KEY_TYPES);
    for (i = 0; i < ACME_KEY_TYPES; i++) {
        acme_key_type_t type;

        assert_int_equal(got[i].count, 1);
        assert_int_equal(acme_key_type_of(&type, got[i].key), 0);
        assert_int_equal(type, i);
        assert_true(acme_key_sound(got[i].key));
        EVP_PKEY_free(got[i].key);
    }
    acme_keymaker_collect(maker);
    assert_int_equal(got[0].count, 1);
}

static void test_keymaker_urgent_ones_come_first(void **state)
{
    acme_keymaker_t *maker = make_maker();
    got_t first = { 0 }, later = { 0 }, urgent = { 0 };

    (void)state;
    ask(maker, ACME_KEY_RSA3072, 0, &first);
    ask(maker, ACME_KEY_RSA2048, 0, &later);
    ask(maker, ACME_KEY_RSA2048, 1, &urgent);
    collect(maker, 3);
    assert_true(urgent.order < later.order);
    EVP_PKEY_free(first.key);
    EVP_PKEY_free(later.key);
    EVP_PKEY_free(urgent.key);
}

static void test_keymaker_forgotten_wish_is_not_handed_over(void **state)
{
    acme_keymaker_t *maker = make_maker();
    got_t forgotten = { 0 }, late = { 0 }, wanted = { 0 };
    acme_key_wish_t *wish, *ready;

    (void)state;
    wish = ask(maker, ACME_KEY_RSA4096, 1, &forgotten);
    acme_keymaker_forget(maker, wish);
    ready = ask(maker, ACME_KEY_ECDSA_P256, 1, &late);
    ask(maker, ACME_KEY_ECDSA_P256, 1, &wanted);
    while (atomic_load(&woken) < 3) {
        apr_sleep(1000);
    }
    acme_keymaker_forget(maker, ready);
    acme_keymaker_collect(maker);
    assert_int_equal(forgotten.count, 0);
    assert_int_equal(late.count, 0);
    assert_int_equal(wanted.count, 1);
    EVP_PKEY_free(wanted.key);
}

/* RSA 4096 takes seconds, of which an end waits for none. */
static void test_keymaker_ends_without_finishing_its_key(void **state)
{
    got_t got = { 0 };
    apr_time_t start, longest = 0;
    int i, k;

    (void)state;
    for (i = 0; i < 8; i++) {
        apr_pool_t *mine;
        acme_keymaker_t *maker;
        acme_key_wish_t *wish;

        apr_pool_create(&mine, pool);
        maker = acme_keymaker_create(wake, NULL, mine);
        for (k = 0; k < 3; k++) {
            assert_no_err(acme_keymaker_ask(&wish, maker, ACME_KEY_RSA4096, 1,
                                            take, &got, pool));
        }
        apr_sleep(apr_time_from_msec(20 + 25 * i));
        start = apr_time_now();
        apr_pool_destroy(mine);
        if (apr_time_now() - start > longest) {
            longest = apr_time_now() - start;
        }
    }
    assert_int_equal(got.count, 0);
    assert_in_range(longest, 0, apr_time_from_msec(400));
}

/* What it wakes up, which lives in a pool below its own, as the transport does. */
static _Atomic int gone, late;

static void wake_what_may_be_gone(void *baton)
{
    (void)baton;
    atomic_fetch_add(&late, atomic_load(&gone));
}

static apr_status_t go(void *data)
{
    (void)data;
    atomic_store(&gone, 1);
    apr_sleep(apr_time_from_msec(100)); /* time for many keys */
    return APR_SUCCESS;
}

static void test_keymaker_ends_before_what_it_wakes_up(void **state)
{
    apr_pool_t *mine, *below;
    acme_keymaker_t *maker;
    acme_key_wish_t *wish;
    got_t got = { 0 };

    (void)state;
    apr_pool_create(&mine, pool);
    apr_pool_create(&below, mine);
    apr_pool_cleanup_register(below, NULL, go, apr_pool_cleanup_null);
    maker = acme_keymaker_create(wake_what_may_be_gone, NULL, mine);
    for (int i = 0; i < 20000; i++) {
        assert_no_err(acme_keymaker_ask(&wish, maker, ACME_KEY_ECDSA_P256, 1,
                                        take, &got, pool));
    }
    apr_pool_destroy(mine);
    assert_int_equal(late, 0);
    assert_int_equal(got.count, 0);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_keymaker_makes_each_type),
    POOL_TEST(test_keymaker_urgent_ones_come_first),
    POOL_TEST(test_keymaker_forgotten_wish_is_not_handed_over),
    POOL_TEST(test_keymaker_ends_without_finishing_its_key),
    POOL_TEST(test_keymaker_ends_before_what_it_wakes_up),
};

RUN_TESTS(tests)
