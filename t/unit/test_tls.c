/* What a child loads of the sets that the live table names, and when. */
#include "core_test.h"

#include <httpd.h>
#include <http_main.h>

#include "engine/fit.h"
#include "httpd/log.h"
#include "httpd/tls.h"

server_rec *ap_server_conf;
static apr_time_t clock_now;
static int generation, loads;

/* --- of APR, the store, the live table and log.c ------------------------------- */

apr_time_t apr_time_now(void)
{
    return clock_now;
}

acme_err_t *acme_store_load_fresh(acme_set_t **set, acme_store_t *store,
                                  const char *dir, acme_family_t family,
                                  int number, apr_pool_t *scratch)
{
    (void)store;
    (void)family;
    (void)number;
    loads++;
    *set = NULL;
    return acme_err_make(scratch, ACME_E_STORE_IO, "open", dir, NULL);
}

acme_err_t *acme_fit_set(const acme_fit_t *fit, const acme_chain_t *chain,
                         EVP_PKEY *key, apr_pool_t *scratch)
{
    (void)fit;
    (void)chain;
    (void)key;
    (void)scratch;
    return NULL;
}

int acme_live_generation(const acme_slot_t *slot, acme_family_t family)
{
    (void)slot;
    return family == ACME_FAMILY_ECDSA ? generation : 0;
}

void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg, ...)
{
    (void)s;
    (void)scratch;
    (void)msg;
}

void acme_log_err(server_rec *s, const char *prefix, const acme_err_t *err,
                  apr_pool_t *scratch)
{
    (void)s;
    (void)prefix;
    (void)err;
    (void)scratch;
}

/* --- tests -------------------------------------------------------------------------- */

static acme_live_t *follow(void)
{
    static const int base[ACME_FAMILIES] = { 0 };
    acme_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));
    acme_managed_t *managed = apr_pcalloc(pool, sizeof(*managed));
    acme_live_t *live;

    policy->key_types[0] = ACME_KEY_ECDSA_P256;
    policy->key_type_count = 1;
    managed->name = managed->dir = "shop.example";
    managed->policy = policy;
    live = acme_tls_live(managed, base, NULL, pool);
    acme_tls_follow(live, (acme_slot_t *)(void *)managed);
    clock_now = apr_time_from_sec(1000000);
    loads = 0;
    return live;
}

/* @return loads */
static int visit(acme_live_t *live, apr_time_t later)
{
    int before = loads;

    clock_now += later;
    acme_tls_choose(NULL, live);
    return loads - before;
}

static void test_set_that_cannot_be_loaded_is_tried_less_and_less_often(
    void **state)
{
    acme_live_t *live = follow();

    (void)state;
    generation = 1;
    assert_int_equal(visit(live, 0), 1);
    assert_int_equal(visit(live, apr_time_from_sec(4)), 0);
    assert_int_equal(visit(live, apr_time_from_sec(2)), 1);
    assert_int_equal(visit(live, apr_time_from_sec(6)), 0);
    assert_int_equal(visit(live, apr_time_from_sec(5)), 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(visit(live, apr_time_from_sec(1300)), 1);
    }
}

/* It may have been mended since, and fail for a moment only. */
static void test_next_set_does_not_wait_for_what_the_last_one_did(void **state)
{
    acme_live_t *live = follow();

    (void)state;
    generation = 1;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(visit(live, apr_time_from_sec(1300)), 1);
    }
    generation = 2;
    assert_int_equal(visit(live, 0), 1);
    assert_int_equal(visit(live, apr_time_from_sec(6)), 1);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_set_that_cannot_be_loaded_is_tried_less_and_less_often),
    POOL_TEST(test_next_set_does_not_wait_for_what_the_last_one_did),
};

RUN_TESTS(tests)
