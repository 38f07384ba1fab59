/* When a reload that was wished for comes, whoever has written the wish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "httpd/wish.h"

#define NOW   apr_time_from_sec(2000000000)
#define LEAST apr_time_from_sec(3600)

static int is_due(apr_time_t since, apr_interval_time_t interval,
                  apr_time_t last)
{
    const acme_wish_t wish = { since, interval };

    return acme_wish_is_due(&wish, last, LEAST, NOW);
}

static void test_wish_is_granted_when_others_have_joined_in(void **state)
{
    (void)state;
    assert_false(is_due(0, LEAST, 0));
    assert_false(is_due(NOW, LEAST, 0));
    assert_false(is_due(NOW - ACME_WISH_BUNDLE + 1, LEAST, 0));
    assert_true(is_due(NOW - ACME_WISH_BUNDLE, LEAST, 0));
}

static void test_wish_waits_for_the_interval_since_the_last(void **state)
{
    (void)state;
    assert_false(is_due(NOW - ACME_WISH_BUNDLE, LEAST, NOW - LEAST + 1));
    assert_true(is_due(NOW - ACME_WISH_BUNDLE, LEAST, NOW - LEAST));
    assert_false(is_due(NOW - ACME_WISH_BUNDLE, 2 * LEAST, NOW - LEAST));
}

/* A child that was taken over may write any number there. */
static void test_wish_is_not_granted_more_often_than_configured(void **state)
{
    static const apr_int64_t numbers[] = {
        INT64_MIN, INT64_MIN + 1, -1, 0, 1, NOW, INT64_MAX - 1, INT64_MAX
    };
    size_t i, k;

    (void)state;
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
            assert_false(is_due(numbers[i], numbers[k], NOW - 1));
            assert_false(is_due(numbers[i], numbers[k], NOW - LEAST + 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wish_is_granted_when_others_have_joined_in),
        cmocka_unit_test(test_wish_waits_for_the_interval_since_the_last),
        cmocka_unit_test(test_wish_is_not_granted_more_often_than_configured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
