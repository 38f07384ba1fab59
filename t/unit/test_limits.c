/* What a CA allows, and what of it is spent. */
#include "core_test.h"

#include "engine/limits.h"

#define NOW    apr_time_from_sec(1800000000)
#define MINUTE apr_time_from_sec(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define LE     "https://acme-v02.api.letsencrypt.org/directory"
#define ME     "letsencrypt-1"

static acme_limits_t *limits;
static apr_time_t now;

static int limits_setup(void **state)
{
    int failed = pool_setup(state);

    limits = acme_limits_create(acme_limits_find(LE), pool);
    now = NOW;
    return failed;
}

#define LIMITS_TEST(test)                                                      \
    cmocka_unit_test_setup_teardown(test, limits_setup, pool_teardown)

static acme_limits_order_t order(const char *names)
{
    acme_limits_order_t made = { .account = ME, .idents = idents(names) };
    return made;
}

static acme_limits_wait_t check(const acme_limits_order_t *wanted)
{
    acme_limits_wait_t wait;
    acme_limits_check(&wait, limits, wanted, now, pool);
    return wait;
}

/* Order count certificates for <label><n>.<rest>. */
static void spend(int count, const char *label, const char *rest)
{
    for (int i = 0; i < count; i++) {
        acme_limits_order_t one =
            order(apr_psprintf(pool, "%s%d.%s", label, i, rest));
        assert_true(check(&one).until == 0);
        acme_limits_spend(limits, &one, now);
    }
}

static void test_limits_are_known_of_letsencrypt_alone(void **state)
{
    (void)state;
    assert_non_null(acme_limits_find(LE));
    assert_null(acme_limits_find("https://ca.example/directory"));
    limits = acme_limits_create(NULL, pool);
    spend(2000, "www", "example.org");
    assert_false(acme_limits_dirty(limits));
}

static void test_limits_orders_are_300_and_one_more_each_36_seconds(
    void **state)
{
    acme_limits_order_t next = order("next.example");
    acme_limits_wait_t wait;

    (void)state;
    spend(300, "d", "example");
    wait = check(&next);
    assert_int_equal(wait.limit, ACME_LIMIT_ORDERS);
    assert_true(wait.until == now + apr_time_from_sec(36));
    assert_string_equal(wait.what, "300 new orders of an account in 3 hours");
    assert_true(acme_limits_pace(limits) == apr_time_from_sec(36));
    now = wait.until;
    assert_true(check(&next).until == 0);
    acme_limits_spend(limits, &next, now);
    next = order("after.example");
    assert_true(check(&next).until == now + apr_time_from_sec(36));
    now += 3 * HOUR;
    spend(300, "e", "example");
}

static void test_limits_orders_are_each_accounts_own(void **state)
{
    acme_limits_order_t next = order("next.example");

    (void)state;
    spend(300, "d", "example");
    next.account = "letsencrypt-2";
    assert_true(check(&next).until == 0);
}

static void test_limits_certificates_of_a_domain_are_50_a_week(void **state)
{
    acme_limits_order_t next = order("other.example www.example.org");
    acme_limits_wait_t wait;

    (void)state;
    spend(50, "h", "example.org");
    wait = check(&next);
    assert_int_equal(wait.limit, ACME_LIMIT_DOMAIN);
    assert_true(wait.until == now + 7 * DAY / 50);
    assert_string_equal(wait.what,
                        "50 certificates for names of example.org in 7 days");
    next = order("www.example.com");
    assert_true(check(&next).until == 0);
}

static void test_limits_certificates_of_one_set_are_5_a_week(void **state)
{
    acme_limits_order_t one = order("a.example b.example");
    acme_limits_wait_t wait;

    (void)state;
    one.renewal = 1;
    for (int i = 0; i < 5; i++) {
        assert_true(check(&one).until == 0);
        acme_limits_spend(limits, &one, now);
    }
    one = order("b.example a.example");
    wait = check(&one);
    assert_int_equal(wait.limit, ACME_LIMIT_SET);
    assert_true(wait.until == now + 7 * DAY / 5);
    one = order("a.example b.example c.example");
    assert_true(check(&one).until == 0);
}

static void test_limits_failures_of_a_name_are_5_an_hour(void **state)
{
    acme_limits_order_t one = order("good.example bad.example");
    acme_limits_wait_t wait;

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(check(&one).until == 0);
        acme_limits_fail(limits, ME, "bad.example", now);
    }
    wait = check(&one);
    assert_int_equal(wait.limit, ACME_LIMIT_FAILURES);
    assert_true(wait.until == now + 12 * MINUTE);
    one = order("good.example");
    assert_true(check(&one).until == 0);
}

static void test_limits_accounts_are_10_in_3_hours(void **state)
{
    acme_err_t *err;

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_no_err(acme_limits_take_account(limits, now, pool));
    }
    err = acme_limits_take_account(limits, now, pool);
    assert_int_equal(err->msg, ACME_E_LIMIT);
    assert_true(err->retry_at == now + 18 * MINUTE);
    assert_no_err(acme_limits_take_account(limits, now + 18 * MINUTE, pool));
}

static void test_limits_renewals_are_exempt_as_the_ca_says(void **state)
{
    acme_limits_order_t one = order("h1.example.org");

    (void)state;
    spend(50, "h", "example.org");
    one.renewal = 1;
    assert_true(check(&one).until == 0);
    for (int i = 0; i < 5; i++) {
        acme_limits_spend(limits, &one, now);
    }
    assert_int_equal(check(&one).limit, ACME_LIMIT_SET);
    one.exempt = 1;
    assert_true(check(&one).until == 0);
    acme_limits_spend(limits, &one, now);
    assert_true(check(&one).until == 0);
}

static void test_limits_failed_order_gives_certificates_back(void **state)
{
    acme_limits_order_t one = order("www.example.org");

    (void)state;
    for (int i = 0; i < 60; i++) {
        assert_true(check(&one).until == 0);
        acme_limits_spend(limits, &one, now);
        acme_limits_refund(limits, &one, now);
    }
    assert_true(check(&one).until == 0);
    /* but not the orders */
    spend(240, "d", "example");
    assert_int_equal(check(&one).limit, ACME_LIMIT_ORDERS);
}

static void test_limits_overspent_by_request_is_no_debt(void **state)
{
    acme_limits_order_t one = order("a.example");

    (void)state;
    for (int i = 0; i < 100; i++) {
        acme_limits_spend(limits, &one, now);
    }
    assert_true(check(&one).until == now + 7 * DAY / 5);
}

static void test_limits_domain_is_rather_short_than_long(void **state)
{
    static const char *const pairs[][2] = {
        { "example.org", "example.org" },
        { "a.b.c.example.org", "example.org" },
        { "*.shop.example.org", "example.org" },
        { "www.example.co.uk", "example.co.uk" },
        { "co.uk", "co.uk" },
        { "www.bbc.de", "bbc.de" },
        { "www.com.com", "com.com" },
        { "a.b.github.io", "github.io" },
        { "localhost", "localhost" },
        { "192.0.2.7", "192.0.2.7" },
        { "2001:db8::1", "20010db800000000::/64" },
        { "2001:db8:0:0:1::9", "20010db800000000::/64" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        acme_ident_t made = { .value = pairs[i][0] };
        acme_ident_t *parsed = &made;
        if (strchr(pairs[i][0], '.') || strchr(pairs[i][0], ':')) {
            parsed = ident(pairs[i][0]);
        }
        assert_string_equal(acme_limits_domain(parsed, pool), pairs[i][1]);
    }
}

static acme_limits_t *reload(apr_time_t then)
{
    acme_limits_t *again = acme_limits_create(acme_limits_find(LE), pool);
    const char *json;

    assert_no_err(acme_limits_format(&json, limits, now, pool));
    assert_false(acme_limits_dirty(limits));
    assert_no_err(acme_limits_parse(again, json, strlen(json), then, pool));
    return again;
}

static void test_limits_spent_stays_spent_after_a_restart(void **state)
{
    acme_limits_order_t next = order("next.example.org");
    acme_limits_wait_t before;

    (void)state;
    spend(50, "h", "example.org");
    before = check(&next);
    limits = reload(now);
    assert_true(check(&next).until == before.until);
    /* a file from a clock that was years ahead holds nothing back */
    limits = reload(now - 300 * DAY);
    now -= 300 * DAY;
    assert_true(check(&next).until == 0);
}

static void test_limits_full_buckets_are_forgotten(void **state)
{
    const char *json;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        acme_limits_order_t one =
            order(apr_psprintf(pool, "www.d%d.example", i));
        acme_limits_spend(limits, &one, now);
        now += 2 * DAY;
    }
    assert_no_err(acme_limits_format(&json, limits, now, pool));
    assert_true(strlen(json) < 1000);
}

static void test_limits_file_stays_readable_however_much_is_spent(void **state)
{
    const char *json;

    (void)state;
    for (int i = 0; i < 30000; i++) {
        acme_limits_order_t one = order(apr_psprintf(
            pool, "www.%da-rather-long-name-to-take-up-some-room.example", i));
        acme_limits_spend(limits, &one, now);
    }
    assert_no_err(acme_limits_format(&json, limits, now, pool));
    assert_true(strlen(json) < 1024 * 1024);
    assert_no_err(acme_limits_parse(limits, json, strlen(json), now, pool));
}

static void test_limits_damaged_file_is_told(void **state)
{
    static const char odd[] =
        "{\"buckets\":{\"domain x\":\"soon\"},\"held_until\":-5}";

    (void)state;
    assert_err(acme_limits_parse(limits, "{\"b", 3, now, pool), ACME_E_CA_JSON);
    assert_no_err(acme_limits_parse(limits, odd, sizeof(odd) - 1, now, pool));
}

static int refuse(const char *names, apr_interval_time_t after)
{
    return acme_limits_refused(limits, idents(names), now + after, now);
}

static void test_limits_one_refusal_is_the_certificates_own(void **state)
{
    acme_limits_order_t other = order("other.example");

    (void)state;
    limits = acme_limits_create(NULL, pool);
    assert_false(refuse("a.example.org", HOUR));
    assert_false(refuse("b.example.org c.example.org", HOUR));
    assert_true(check(&other).until == 0);
    assert_in_range(acme_limits_window(limits), 1000, INT_MAX);
}

static void test_limits_two_refusals_mean_all_until_the_first_may(void **state)
{
    acme_limits_order_t other = order("other.example");
    acme_limits_wait_t wait;

    (void)state;
    limits = acme_limits_create(NULL, pool);
    assert_false(refuse("a.example", HOUR));
    assert_true(refuse("b.example", 2 * HOUR));
    assert_true(refuse("c.example", HOUR));
    wait = check(&other);
    assert_true(wait.until == now + HOUR && wait.learned);
    assert_int_equal(acme_limits_window(limits), 1);
    limits = reload(now);
    assert_true(check(&other).until == now + HOUR);
    now += HOUR;
    assert_true(check(&other).until == 0);
    /* one at first, then more with each that is accepted */
    assert_int_equal(acme_limits_window(limits), 1);
    acme_limits_accepted(limits);
    acme_limits_accepted(limits);
    assert_int_equal(acme_limits_window(limits), 4);
}

static void test_limits_acceptance_between_refusals_means_no_hold(void **state)
{
    (void)state;
    limits = acme_limits_create(NULL, pool);
    assert_false(refuse("a.example", HOUR));
    acme_limits_accepted(limits);
    assert_false(refuse("b.example", HOUR));
}

static const struct CMUnitTest tests[] = {
    LIMITS_TEST(test_limits_are_known_of_letsencrypt_alone),
    LIMITS_TEST(test_limits_orders_are_300_and_one_more_each_36_seconds),
    LIMITS_TEST(test_limits_orders_are_each_accounts_own),
    LIMITS_TEST(test_limits_certificates_of_a_domain_are_50_a_week),
    LIMITS_TEST(test_limits_certificates_of_one_set_are_5_a_week),
    LIMITS_TEST(test_limits_failures_of_a_name_are_5_an_hour),
    LIMITS_TEST(test_limits_accounts_are_10_in_3_hours),
    LIMITS_TEST(test_limits_renewals_are_exempt_as_the_ca_says),
    LIMITS_TEST(test_limits_failed_order_gives_certificates_back),
    LIMITS_TEST(test_limits_overspent_by_request_is_no_debt),
    LIMITS_TEST(test_limits_domain_is_rather_short_than_long),
    LIMITS_TEST(test_limits_spent_stays_spent_after_a_restart),
    LIMITS_TEST(test_limits_full_buckets_are_forgotten),
    LIMITS_TEST(test_limits_file_stays_readable_however_much_is_spent),
    LIMITS_TEST(test_limits_damaged_file_is_told),
    LIMITS_TEST(test_limits_one_refusal_is_the_certificates_own),
    LIMITS_TEST(test_limits_two_refusals_mean_all_until_the_first_may),
    LIMITS_TEST(test_limits_acceptance_between_refusals_means_no_hold),
};

RUN_TESTS(tests)
