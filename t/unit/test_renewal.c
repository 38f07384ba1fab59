#include "core_test.h"

#include <limits.h>

#include "core/renewal.h"

#define SECOND APR_USEC_PER_SEC
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const unsigned int seeds[] = { 0, 1, 2, 3, 1000, 0x7fffffff, UINT_MAX };
#define SEED_COUNT (sizeof(seeds) / sizeof(seeds[0]))

/* --- durations ------------------------------------------------------------- */

static void assert_duration(const char *text, apr_interval_time_t duration)
{
    acme_span_t span = { -1, -1 };

    assert_no_err(acme_span_parse(&span, text, 0, pool));
    assert_int_equal(span.duration, duration);
    assert_int_equal(span.percent, 0);
}

static void test_span_parse_reads_units(void **state)
{
    (void)state;
    assert_duration("30s", 30 * SECOND);
    assert_duration("10min", 10 * MINUTE);
    assert_duration("12h", 12 * HOUR);
    assert_duration("30d", 30 * DAY);
    assert_duration("4w", 28 * DAY);
    assert_duration("90", 90 * SECOND);
    assert_duration("0", 0);
    assert_duration("2D", 2 * DAY);
    assert_duration("3650d", 3650 * DAY);
}

static void test_span_parse_reads_percentage_where_allowed(void **state)
{
    acme_span_t span;

    (void)state;
    assert_no_err(acme_span_parse(&span, "33%", 1, pool));
    assert_int_equal(span.percent, 33);
    assert_no_err(acme_span_parse(&span, "99%", 1, pool));
    assert_int_equal(span.percent, 99);
    assert_err(acme_span_parse(&span, "33%", 0, pool), ACME_E_DURATION);
    assert_err(acme_span_parse(&span, "0%", 1, pool), ACME_E_DURATION);
    assert_err(acme_span_parse(&span, "100%", 1, pool), ACME_E_DURATION);
}

static void test_span_parse_refuses_others(void **state)
{
    static const char *const bad[] = {
        "",
        "d",
        "-1d",
        "+1d",
        "1.5d",
        "1 d",
        "1m",
        "1y",
        "1dd",
        "30d ",
        " 30d",
        "0x10",
        "3651d",
        "522w",
        "99999999999999999999d",
        "9223372036854775808",
        "18446744073709551617s",
        "33%%",
        "%",
    };
    acme_span_t span = { 42, 43 };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (!acme_span_parse(&span, bad[i], 1, pool)) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
        assert_int_equal(span.duration, 42);
        assert_int_equal(span.percent, 43);
    }
}

static void test_duration_text_largest_unit(void **state)
{
    (void)state;
    assert_string_equal(acme_duration_text(12 * DAY + HOUR, pool), "12 days");
    assert_string_equal(acme_duration_text(DAY, pool), "1 day");
    assert_string_equal(acme_duration_text(36 * HOUR, pool), "36 hours");
    assert_string_equal(acme_duration_text(3 * HOUR, pool), "3 hours");
    assert_string_equal(acme_duration_text(90 * MINUTE, pool), "90 minutes");
    assert_string_equal(acme_duration_text(90 * SECOND, pool), "90 seconds");
    assert_string_equal(acme_duration_text(MINUTE, pool), "1 minute");
    assert_string_equal(acme_duration_text(SECOND + 5, pool), "1 second");
    assert_string_equal(acme_duration_text(SECOND - 1, pool), "0 seconds");
    assert_string_equal(acme_duration_text(0, pool), "0 seconds");
    assert_string_equal(acme_duration_text(-5 * DAY, pool), "0 seconds");
    assert_string_equal(acme_duration_text(INT64_MAX, pool), "106751991 days");
}

/* --- renewal --------------------------------------------------------------- */

static const apr_time_t from = APR_INT64_C(1795334400000000);

/* Age at which a certificate of this life is renewed. */
static apr_interval_time_t age(apr_interval_time_t life,
                               const acme_span_t *span, unsigned int seed)
{
    return acme_renewal_time(from, from + life, span, seed) - from;
}

static void assert_age_near(apr_interval_time_t life, const acme_span_t *span,
                            apr_interval_time_t latest)
{
    apr_size_t i;

    for (i = 0; i < SEED_COUNT; i++) {
        apr_interval_time_t is = age(life, span, seeds[i]);

        assert_true(is <= latest);
        assert_true(is >= latest - life / 50);
    }
}

static void test_renewal_time_default_third_or_half(void **state)
{
    (void)state;
    assert_age_near(90 * DAY, NULL, 60 * DAY);
    assert_age_near(10 * DAY, NULL, 10 * DAY - 10 * DAY / 3);
    assert_age_near(6 * DAY, NULL, 3 * DAY);
}

static void test_renewal_time_span_before_end(void **state)
{
    acme_span_t days = { 20 * DAY, 0 }, percent = { 0, 25 }, none = { 0, 0 };

    (void)state;
    assert_age_near(90 * DAY, &days, 70 * DAY);
    assert_age_near(100 * DAY, &percent, 75 * DAY);
    assert_age_near(90 * DAY, &none, 90 * DAY);
}

static void test_renewal_time_never_in_first_third(void **state)
{
    const acme_span_t spans[] = {
        { 60 * DAY, 0 },  { 89 * DAY, 0 }, { 90 * DAY, 0 }, { 91 * DAY, 0 },
        { INT64_MAX, 0 }, { 0, 99 },       { 0, 67 },       { 3650 * DAY, 0 },
    };
    apr_size_t i, j;

    (void)state;
    for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        for (j = 0; j < SEED_COUNT; j++) {
            apr_interval_time_t is = age(90 * DAY, &spans[i], seeds[j]);

            assert_true(is >= 30 * DAY);
            assert_true(is <= 30 * DAY + 90 * DAY / 50);
        }
    }
}

static void test_renewal_time_neighbouring_seeds_spread(void **state)
{
    const acme_span_t spans[] = { { 30 * DAY, 0 }, { 100 * DAY, 0 } };
    int bins[4], i, s;

    (void)state;
    for (s = 0; s < 2; s++) {
        apr_interval_time_t lowest =
            (s == 0 ? 60 * DAY : 30 * DAY + 90 * DAY / 50) - 90 * DAY / 50;

        memset(bins, 0, sizeof(bins));
        for (i = 0; i < 1000; i++) {
            apr_interval_time_t over =
                age(90 * DAY, &spans[s], (unsigned int)i) - lowest;

            bins[over * 4 / (90 * DAY / 50 + 1)]++;
        }
        for (i = 0; i < 4; i++) {
            assert_true(bins[i] > 150);
        }
    }
}

static void test_renewal_time_same_seed_same_moment(void **state)
{
    (void)state;
    assert_int_equal(age(90 * DAY, NULL, 7), age(90 * DAY, NULL, 7));
    assert_int_not_equal(age(90 * DAY, NULL, 7), age(90 * DAY, NULL, 8));
}

static void test_renewal_time_survives_odd_dates(void **state)
{
    const acme_span_t percent = { 0, 99 };
    const apr_time_t end = APR_INT64_C(253402300799000000); /* year 9999 */
    apr_size_t i;

    (void)state;
    for (i = 0; i < SEED_COUNT; i++) {
        unsigned int seed = seeds[i];
        apr_time_t at = acme_renewal_time(from, end, NULL, seed);

        assert_true(at > from && at < end);
        at = acme_renewal_time(0, INT64_MAX, &percent, seed);
        assert_true(at >= INT64_MAX / 3);
        at = acme_renewal_time(INT64_MIN, INT64_MAX, NULL, seed);
        assert_true(at >= INT64_MAX / 3);
        assert_int_equal(acme_renewal_time(from, from, NULL, seed), from);
        assert_int_equal(acme_renewal_time(from, from - DAY, NULL, seed), from);
        assert_int_equal(acme_renewal_time(from, INT64_MIN, NULL, seed), from);
    }
}

/* --- backoff --------------------------------------------------------------- */

static void test_retry_delay_grows_tenfold_to_max(void **state)
{
    (void)state;
    assert_int_equal(acme_retry_delay(1, MINUTE, DAY, 0), MINUTE);
    assert_int_equal(acme_retry_delay(2, MINUTE, DAY, 0), 10 * MINUTE);
    assert_int_equal(acme_retry_delay(3, MINUTE, DAY, 0), 100 * MINUTE);
    assert_int_equal(acme_retry_delay(4, MINUTE, DAY, 0), 1000 * MINUTE);
    assert_int_equal(acme_retry_delay(5, MINUTE, DAY, 0), DAY);
    assert_int_equal(acme_retry_delay(500, MINUTE, DAY, UINT_MAX), DAY);
}

static void test_retry_delay_jitter_up_to_a_fifth(void **state)
{
    apr_interval_time_t most = acme_retry_delay(2, MINUTE, DAY, UINT_MAX);
    apr_interval_time_t half = acme_retry_delay(2, MINUTE, DAY, UINT_MAX / 2);

    (void)state;
    assert_true(most <= 12 * MINUTE && most > 12 * MINUTE - SECOND);
    assert_true(half < 11 * MINUTE + SECOND && half > 11 * MINUTE - SECOND);
    /* within max all the same */
    assert_int_equal(acme_retry_delay(1, 9 * MINUTE, 10 * MINUTE, UINT_MAX),
                     10 * MINUTE);
}

/* CVE-2025-55753: the delay became 0 after enough failures. */
static void test_retry_delay_every_count_within_bounds(void **state)
{
    static const apr_interval_time_t maxima[] = { DAY, 30 * DAY, INT64_MAX };
    apr_size_t m, s;
    apr_int64_t count, step;

    (void)state;
    for (m = 0; m < sizeof(maxima) / sizeof(maxima[0]); m++) {
        for (s = 0; s < SEED_COUNT; s++) {
            apr_interval_time_t before = 0;

            for (count = 1; count <= INT_MAX; count += step) {
                apr_interval_time_t delay =
                    acme_retry_delay((int)count, MINUTE, maxima[m], seeds[s]);

                assert_true(delay >= MINUTE && delay <= maxima[m]);
                assert_true(delay >= before);
                before = delay;
                step = count < 5000 ? 1 : count / 16;
            }
            assert_int_equal(
                acme_retry_delay(INT_MAX, MINUTE, maxima[m], seeds[s]),
                maxima[m]);
        }
    }
}

static void test_retry_delay_survives_odd_arguments(void **state)
{
    (void)state;
    assert_int_equal(acme_retry_delay(0, MINUTE, DAY, 0), MINUTE);
    assert_int_equal(acme_retry_delay(INT_MIN, MINUTE, DAY, 0), MINUTE);
    assert_int_equal(acme_retry_delay(1, 2 * DAY, DAY, UINT_MAX), DAY);
    assert_int_equal(acme_retry_delay(1, 0, DAY, 0), SECOND);
    assert_int_equal(acme_retry_delay(1, -5, DAY, 0), SECOND);
    assert_int_equal(acme_retry_delay(INT_MAX, 0, DAY, 0), DAY);
}

static void test_refresh_time_after_half_of_the_validity(void **state)
{
    const apr_time_t now = 1000 * DAY;
    apr_size_t s;

    (void)state;
    for (s = 0; s < SEED_COUNT; s++) {
        apr_time_t at =
            acme_refresh_time(now - DAY, now + 3 * DAY, now, seeds[s]);

        assert_in_range(at, now + DAY, now + DAY + 4 * DAY / 10);
        /* the half is past: it comes out of a cache */
        at = acme_refresh_time(now - 3 * DAY, now + DAY, now, seeds[s]);
        assert_int_equal(at, now + DAY / 4);
        /* for years: but revocations are to be noticed */
        at = acme_refresh_time(now, now + 3000 * DAY, now, seeds[s]);
        assert_in_range(at, now + 6 * DAY, now + 7 * DAY);
    }
}

static void test_refresh_time_is_never_now(void **state)
{
    const apr_time_t now = 1000 * DAY;

    (void)state;
    assert_int_equal(acme_refresh_time(now - DAY, now + 1, now, 0),
                     now + MINUTE);
    assert_int_equal(acme_refresh_time(now - DAY, now - DAY, now, 0),
                     now + MINUTE);
    assert_int_equal(acme_refresh_time(0, 0, now, UINT_MAX), now + MINUTE);
    assert_int_equal(acme_refresh_time(now, 0, now, 0), now + MINUTE);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_span_parse_reads_units),
    POOL_TEST(test_span_parse_reads_percentage_where_allowed),
    POOL_TEST(test_span_parse_refuses_others),
    POOL_TEST(test_duration_text_largest_unit),
    POOL_TEST(test_renewal_time_default_third_or_half),
    POOL_TEST(test_renewal_time_span_before_end),
    POOL_TEST(test_renewal_time_never_in_first_third),
    POOL_TEST(test_renewal_time_neighbouring_seeds_spread),
    POOL_TEST(test_renewal_time_same_seed_same_moment),
    POOL_TEST(test_renewal_time_survives_odd_dates),
    POOL_TEST(test_retry_delay_grows_tenfold_to_max),
    POOL_TEST(test_retry_delay_jitter_up_to_a_fifth),
    POOL_TEST(test_retry_delay_every_count_within_bounds),
    POOL_TEST(test_retry_delay_survives_odd_arguments),
    POOL_TEST(test_refresh_time_after_half_of_the_validity),
    POOL_TEST(test_refresh_time_is_never_now),
};

RUN_TESTS(tests)
