/* Whether an engine works for this server, over restarts and in children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <apr_general.h>

#include "httpd/led.h"
#include "httpd_test.h"

static int start(void **state)
{
    (void)state;
    test_start_httpd();
    return 0;
}

static void test_led_a_start_has_time_to_find_an_engine(void **state)
{
    apr_time_t now = apr_time_now();

    (void)state;
    acme_led_open(&server, 1);
    assert_true(acme_led_is(now + ACME_LED_BEGIN / 2));
    assert_false(acme_led_is(now + ACME_LED_BEGIN * 2));
}

static void test_led_is_known_in_every_process_and_after_a_restart(void **state)
{
    apr_time_t now = apr_time_now();
    int status = -1;
    pid_t child;

    (void)state;
    acme_led_open(&server, 1);
    if (!(child = fork())) {
        acme_led_tell(now);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    acme_led_open(&server, 1);
    assert_true(acme_led_is(now + ACME_LED_TERM - 1));
    assert_false(acme_led_is(now + ACME_LED_TERM));
}

static void test_led_not_where_no_engine_can_run(void **state)
{
    apr_time_t now = apr_time_now();

    (void)state;
    acme_led_open(&server, 1);
    acme_led_tell(now);
    acme_led_open(&server, 0);
    assert_false(acme_led_is(now));
}

static void test_led_not_for_longer_by_a_clock_set_back(void **state)
{
    apr_time_t now = apr_time_now();

    (void)state;
    acme_led_open(&server, 1);
    acme_led_tell(now);
    assert_false(acme_led_is(now - 2 * ACME_LED_TERM));
    acme_led_tell(now - 2 * ACME_LED_TERM);
    assert_true(acme_led_is(now - 2 * ACME_LED_TERM));
}

static void test_led_missed_is_told_by_one_process_now_and_again(void **state)
{
    apr_time_t now = apr_time_now();
    int status = -1;
    pid_t child;

    (void)state;
    acme_led_open(&server, 1);
    assert_false(acme_led_is_missed(now));
    now += 2 * ACME_LED_BEGIN;
    if (!(child = fork())) {
        _exit(acme_led_is_missed(now) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(acme_led_is_missed(now));
    acme_led_tell(now + ACME_LED_AGAIN);
    assert_false(acme_led_is_missed(now + ACME_LED_AGAIN));
    now += 2 * ACME_LED_AGAIN;
    assert_true(acme_led_is_missed(now));
    assert_false(acme_led_is_missed(now));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, test_stop_httpd)
    const struct CMUnitTest tests[] = {
        TEST(test_led_a_start_has_time_to_find_an_engine),
        TEST(test_led_is_known_in_every_process_and_after_a_restart),
        TEST(test_led_not_where_no_engine_can_run),
        TEST(test_led_not_for_longer_by_a_clock_set_back),
        TEST(test_led_missed_is_told_by_one_process_now_and_again),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
