/* Renewal information: RFC 9773. */
#include "core_test.h"

#include "core/ari.h"
#include "core/encode.h"

#define NOW    apr_time_from_sec(1800000000) /* 2027-01-15T08:00:00Z */
#define MINUTE apr_time_from_sec(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define ID     "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
#define LATER  (NOW + 1000 * DAY)

#define WINDOW(start, end)                                                     \
    "{\"suggestedWindow\":{\"start\":\"" start "\",\"end\":\"" end "\"}"

static acme_ari_t ari;
static int news;

static int ari_setup(void **state)
{
    memset(&ari, 0, sizeof(ari));
    return pool_setup(state);
}

#define ARI_TEST(test)                                                         \
    cmocka_unit_test_setup_teardown(test, ari_setup, pool_teardown)

static acme_err_t *feed(int status, const char *body, const char *retry_after)
{
    acme_reply_t reply = { .status = status,
                           .body = body,
                           .len = strlen(body),
                           .retry_after = retry_after };

    return acme_ari_feed(&news, &ari, &reply, NOW, 0, pool);
}

static acme_err_t *fail_with(acme_msg_t msg)
{
    acme_reply_t reply = { .failure = acme_err_make(pool, msg, "a", "b", NULL),
                           .body = "" };

    return acme_ari_feed(&news, &ari, &reply, NOW, 0, pool);
}

static void feed_window(const char *body)
{
    assert_no_err(feed(200, body, "3600"));
}

static apr_time_t moment(apr_time_t latest)
{
    return acme_ari_moment(&ari, ID, latest);
}

/* --- the question ------------------------------------------------------------ */

static void test_ari_request_is_a_plain_get_of_the_vector(void **state)
{
    acme_request_t request;

    (void)state;
    assert_no_err(
        acme_ari_request(&request, "https://ca.example/renewal", ID, pool));
    assert_int_equal(request.method, ACME_METHOD_GET);
    assert_string_equal(request.url, "https://ca.example/renewal/" ID);
    assert_null(request.payload);
    assert_no_err(
        acme_ari_request(&request, "https://ca.example/r/", ID, pool));
    assert_string_equal(request.url, "https://ca.example/r/" ID);
}

static void test_ari_request_without_a_usable_url_is_refused(void **state)
{
    char url[ACME_MAX_URL + 1];
    acme_request_t request;

    (void)state;
    memset(url, 'a', sizeof(url) - 1);
    memcpy(url, "https://ca.example/", 19);
    url[sizeof(url) - 1] = '\0';
    assert_err(acme_ari_request(&request, url, ID, pool), ACME_E_CA_RESOURCE);
}

/* --- the answer -------------------------------------------------------------- */

static void test_ari_answer_is_taken_with_its_explanation(void **state)
{
    (void)state;
    feed_window(WINDOW(
        "2027-02-01T00:00:00Z",
        "2027-02-03T00:00:00Z") ",\"explanationURL\":\"https://ca.example/why\"}");
    assert_int_equal(news, 1);
    assert_string_equal(ari.url, "https://ca.example/why");
    assert_int_equal(ari.end - ari.start, 2 * DAY);
    assert_true(ari.next_ask == NOW + HOUR);
    feed_window(WINDOW(
        "2027-02-01T00:00:00Z",
        "2027-02-03T00:00:00Z") ",\"explanationURL\":\"https://ca.example/why\"}");
    assert_int_equal(news, 0);
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z") "}");
    assert_int_equal(news, 1);
    assert_string_equal(ari.url, "");
}

static void test_ari_fractions_and_offsets_are_understood(void **state)
{
    (void)state;
    feed_window(WINDOW("2027-02-01T00:00:00.123456789Z",
                       "2027-02-01T03:00:00+01:00") "}");
    assert_int_equal(ari.end - ari.start, 2 * HOUR);
    assert_int_equal(ari.start % apr_time_from_sec(1), 0);
}

static void test_ari_useless_answers_leave_what_was_known(void **state)
{
    static const char *const bodies[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "{\"suggestedWindow\":null}",
        "{\"suggestedWindow\":[\"2027-02-01T00:00:00Z\"]}",
        "{\"suggestedWindow\":{\"start\":\"2027-02-01T00:00:00Z\"}}",
        "{\"suggestedWindow\":{\"start\":1,\"end\":2}}",
        WINDOW("2027-02-03T00:00:00Z", "2027-02-01T00:00:00Z") "}",
        WINDOW("2027-02-03T00:00:00Z", "2027-02-03T00:00:00Z") "}",
        WINDOW("tomorrow", "2027-02-03T00:00:00Z") "}",
        WINDOW("2027-02-31T00:00:00Z", "2027-03-03T00:00:00Z") "}",
        WINDOW("1969-02-03T00:00:00Z", "2027-02-01T00:00:00Z") "}",
    };
    apr_time_t start;

    (void)state;
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z") "}");
    start = ari.start;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_non_null(feed(200, bodies[i], "60"));
        assert_int_equal(news, 0);
        assert_true(ari.start == start);
        assert_true(ari.next_ask == NOW + 6 * HOUR);
    }
}

static void test_ari_explanation_that_is_no_page_is_dropped(void **state)
{
    static const char *const urls[] = {
        "javascript:alert(1)",
        "http://ca.example/why",
        "https://ca.example/\\\"><script>",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        feed_window(apr_pstrcat(
            pool, WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z"),
            ",\"explanationURL\":\"", urls[i], "\"}", NULL));
        assert_string_equal(ari.url, "");
    }
}

/* --- when to ask again -------------------------------------------------------- */

static apr_interval_time_t asked_again_after(const char *retry_after)
{
    assert_no_err(
        feed(200, WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z") "}",
             retry_after));
    return ari.next_ask - NOW;
}

static void test_ari_retry_after_is_kept_within_a_minute_and_a_day(void **state)
{
    (void)state;
    assert_true(asked_again_after("21600") == 6 * HOUR);
    assert_true(asked_again_after("0") == MINUTE);
    assert_true(asked_again_after("59") == MINUTE);
    assert_true(asked_again_after("61") == apr_time_from_sec(61));
    assert_true(asked_again_after("86401") == DAY);
    assert_true(asked_again_after("99999999999999") == DAY);
    assert_true(asked_again_after("Fri, 15 Jan 2027 09:00:00 GMT") == HOUR);
    assert_true(asked_again_after("Fri, 15 Jan 2021 09:00:00 GMT") == MINUTE);
}

static void test_ari_without_retry_after_waits_six_hours(void **state)
{
    (void)state;
    assert_true(asked_again_after(NULL) == 6 * HOUR);
    assert_true(asked_again_after("soon") == 6 * HOUR);
    assert_true(asked_again_after("-5") == 6 * HOUR);
}

static void test_ari_timeouts_and_5xx_are_tried_three_times_sooner(void **state)
{
    static const apr_interval_time_t waits[] = { MINUTE, 10 * MINUTE,
                                                 100 * MINUTE, 6 * HOUR,
                                                 6 * HOUR };

    (void)state;
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        assert_non_null(i % 2 ? feed(503, "", NULL)
                              : fail_with(ACME_E_CA_TIMEOUT));
        assert_true(ari.next_ask == NOW + waits[i]);
    }
    asked_again_after("3600");
    assert_int_equal(ari.failures, 0);
    assert_non_null(feed(500, "", NULL));
    assert_true(ari.next_ask == NOW + MINUTE);
}

static void test_ari_refusals_wait_six_hours(void **state)
{
    (void)state;
    assert_non_null(feed(404, "", NULL));
    assert_true(ari.next_ask == NOW + 6 * HOUR);
    assert_non_null(feed(400, "", "60"));
    assert_true(ari.next_ask == NOW + 6 * HOUR);
    assert_non_null(fail_with(ACME_E_CA_UNREACHABLE));
    assert_true(ari.next_ask == NOW + 6 * HOUR);
}

static void test_ari_refusals_with_retry_after_wait_for_that(void **state)
{
    (void)state;
    assert_non_null(feed(503, "", "1800"));
    assert_true(ari.next_ask == NOW + 30 * MINUTE);
    assert_non_null(feed(429, "", "36000"));
    assert_true(ari.next_ask == NOW + 10 * HOUR);
    assert_non_null(feed(429, "", "999999"));
    assert_true(ari.next_ask == NOW + DAY);
}

/* --- the moment --------------------------------------------------------------- */

static void test_ari_moment_stays_put_with_its_window(void **state)
{
    apr_time_t first;

    (void)state;
    assert_true(moment(LATER) == 0);
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z") "}");
    first = moment(LATER);
    assert_in_range(first, ari.start, ari.end - 1);
    feed_window(WINDOW(
        "2027-02-01T00:00:00.5Z",
        "2027-02-03T00:00:00.7Z") ",\"explanationURL\":\"https://ca.example/why\"}");
    assert_true(moment(LATER) == first);
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:01Z") "}");
    assert_true(moment(LATER) != first);
}

static void test_ari_moments_of_many_fill_the_window_evenly(void **state)
{
    int counts[10] = { 0 };

    (void)state;
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-11T00:00:00Z") "}");
    for (int i = 0; i < 10000; i++) {
        char id[64];
        apr_time_t drawn;

        apr_snprintf(id, sizeof(id), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.%d", i);
        drawn = acme_ari_moment(&ari, id, LATER);
        assert_in_range(drawn, ari.start, ari.end - 1);
        counts[(drawn - ari.start) / DAY]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 850, 1150); /* 1000, sigma 30 */
    }
}

static void test_ari_moment_is_never_after_the_latest(void **state)
{
    apr_time_t middle;

    (void)state;
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-11T00:00:00Z") "}");
    middle = ari.start + 2 * DAY;
    for (int i = 0; i < 100; i++) {
        char id[64];

        apr_snprintf(id, sizeof(id), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.%d", i);
        assert_in_range(acme_ari_moment(&ari, id, middle), ari.start,
                        middle - 1);
    }
    assert_true(moment(ari.start) == 0);
    assert_true(moment(ari.start - DAY) == 0);
}

/* --- what is kept --------------------------------------------------------------- */

static void reload(const char *id, apr_time_t now, acme_ari_t *again)
{
    const char *json;

    assert_no_err(acme_ari_format(&json, &ari, ID, pool));
    memset(again, 0, sizeof(*again));
    assert_no_err(acme_ari_parse(again, id, json, strlen(json), now, pool));
}

static void test_ari_kept_answer_is_the_same_after_a_restart(void **state)
{
    acme_ari_t again;
    apr_time_t first;

    (void)state;
    feed_window(WINDOW(
        "2027-02-01T00:00:00.3Z",
        "2027-02-03T00:00:00.9Z") ",\"explanationURL\":\"https://ca.example/why\"}");
    first = moment(LATER);
    ari.rushed = 2;
    ari.failures = 1;
    reload(ID, NOW, &again);
    assert_memory_equal(&again, &ari, sizeof(ari));
    assert_true(acme_ari_moment(&again, ID, LATER) == first);
}

static void test_ari_kept_answer_of_another_certificate_is_let_go(void **state)
{
    acme_ari_t again;

    (void)state;
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z") "}");
    reload("another.id", NOW, &again);
    assert_true(again.start == 0 && again.next_ask == 0);
}

static void test_ari_kept_answer_of_a_clock_ahead_is_asked_anew(void **state)
{
    acme_ari_t again;

    (void)state;
    feed_window(WINDOW("2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z") "}");
    reload(ID, NOW - 30 * DAY, &again);
    assert_true(again.next_ask == 0);
    assert_true(again.start == ari.start);
}

static void test_ari_damaged_file_is_told(void **state)
{
    (void)state;
    assert_err(acme_ari_parse(&ari, ID, "{\"cert", 6, NOW, pool),
               ACME_E_CA_JSON);
    assert_no_err(acme_ari_parse(&ari, ID, "{}", 2, NOW, pool));
}

static const struct CMUnitTest tests[] = {
    ARI_TEST(test_ari_request_is_a_plain_get_of_the_vector),
    ARI_TEST(test_ari_request_without_a_usable_url_is_refused),
    ARI_TEST(test_ari_answer_is_taken_with_its_explanation),
    ARI_TEST(test_ari_fractions_and_offsets_are_understood),
    ARI_TEST(test_ari_useless_answers_leave_what_was_known),
    ARI_TEST(test_ari_explanation_that_is_no_page_is_dropped),
    ARI_TEST(test_ari_retry_after_is_kept_within_a_minute_and_a_day),
    ARI_TEST(test_ari_without_retry_after_waits_six_hours),
    ARI_TEST(test_ari_timeouts_and_5xx_are_tried_three_times_sooner),
    ARI_TEST(test_ari_refusals_wait_six_hours),
    ARI_TEST(test_ari_refusals_with_retry_after_wait_for_that),
    ARI_TEST(test_ari_moment_stays_put_with_its_window),
    ARI_TEST(test_ari_moments_of_many_fill_the_window_evenly),
    ARI_TEST(test_ari_moment_is_never_after_the_latest),
    ARI_TEST(test_ari_kept_answer_is_the_same_after_a_restart),
    ARI_TEST(test_ari_kept_answer_of_another_certificate_is_let_go),
    ARI_TEST(test_ari_kept_answer_of_a_clock_ahead_is_asked_anew),
    ARI_TEST(test_ari_damaged_file_is_told),
};

RUN_TESTS(tests)
