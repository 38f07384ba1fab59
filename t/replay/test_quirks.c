/* What CAs in the field were seen to do, each against the order and the session
 * that have to survive it. */
#include "replay_test.h"

#include "core/encode.h"

#define START "directory newNonce newAccount newOrder"
#define PROVE "authorization challenge authorization"
#define END   "finalize certificate"
#define HOUR  3600
#define DAY   86400

#define HTML_502                                                               \
    "<!DOCTYPE html>\r\n<html><head><title>502 Bad Gateway</title></head>"     \
    "<body><center><h1>502 Bad Gateway</h1></center></body></html>\r\n"

/* Another attempt, with a key of its own, at the CA of one that came to nothing:
 * which gives it the order that is there. */
static replay_t *run_again(const replay_t *before)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->ca = before->ca;
    replay->ca->rules = NULL;
    replay->ca->reuse_orders = 1;
    replay->start = replay->now = before->now;
    replay_run(replay);
    return replay;
}

/* The remedy is what an administrator is given to go by. */
static void assert_remedy(const replay_t *replay, const char *word)
{
    assert_non_null(strstr(acme_msg_entry(replay->error->msg)->remedy, word));
}

/* --- ZeroSSL -------------------------------------------------------------- */

static void test_zerossl_hours_of_processing(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->order_polls = 9;
    replay->ca->retry_after = "3600";
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->ca->finalizes, 1);
    assert_int_equal(replay->ca->orders, 1);
    assert_in_range(replay_seconds(replay), 9 * HOUR, 12 * HOUR);
}

static void test_zerossl_slow_issuance_is_told_after_an_hour(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->preauthorized = 1;
    replay->ca->order_polls = 125;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->told, ACME_E_ORDER_SLOW);
    assert_in_range(replay->told_at, HOUR, HOUR + 300);
    assert_non_null(strstr(replay->told_text, "issuing the certificate since"));

    replay = replay_create("a.example", pool);
    replay->ca->order_polls = 60;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->told, ACME_M_NONE);
}

static void test_zerossl_processing_for_ever_is_given_up_after_days(
    void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->order_polls = 1000000;
    replay_run(replay);
    assert_failed(replay, ACME_E_ORDER_STUCK);
    assert_int_equal(replay->error->class, ACME_CLASS_CA_RETRY);
    assert_in_range(replay_seconds(replay), 3 * DAY, 3 * DAY + HOUR);
    /* An hour each half minute, then each five minutes. */
    assert_in_range(replay->ca->requests, 800, 1100);
}

/* The clock goes on over restarts: no order lives for ever. */
static void test_zerossl_processing_outlives_a_restart(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->order_polls = 1000000;
    replay->kill_at = 700; /* polls are two points each */
    replay_run(replay);
    assert_failed(replay, ACME_E_ORDER_STUCK);
    assert_in_range(replay_seconds(replay), 3 * DAY, 3 * DAY + HOUR);
}

static void test_zerossl_retry_after_of_a_day(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->preauthorized = 1;
    replay->ca->order_polls = 2;
    replay->ca->retry_after = "86400";
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay_seconds(replay), 2 * DAY);
}

static void test_zerossl_html_502_everywhere_passes(void **state)
{
    static const char *const labels[] = { "directory", "newNonce",
                                          "newOrder",  "authorization",
                                          "challenge", "finalize",
                                          "order",     "certificate" };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        const ca_rule_t rules[] = {
            { labels[i], 1, CA_REPLY, 502, HTML_502, .without_nonce = 1 },
            { labels[i], 2, CA_REPLY, 504, "", .without_nonce = 1 },
            { NULL },
        };
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->rules = rules;
        replay->ca->order_polls = 4;
        replay_run(replay);
        if (i == 0) { /* told at once: nothing is lost by it */
            assert_int_equal(replay->error->msg, ACME_E_CA_BUSY);
            assert_true(replay->session_failed);
            continue;
        }
        assert_done(replay);
        assert_int_equal(replay->ca->orders, 1);
        assert_int_equal(replay->ca->finalizes, 1);
    }
}

/* The certificate is there, and counts at the CA: no second one is ordered. */
static void test_zerossl_html_502_for_hours_keeps_the_order(void **state)
{
    static const ca_rule_t rules[] = {
        { "certificate", 0, CA_REPLY, 502, HTML_502 },
        { NULL },
    };
    static const ca_rule_t still[] = {
        { "order", 0, CA_REPLY, 502, HTML_502 },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);
    const char *saved;

    (void)state;
    assert_failed(replay, ACME_E_ORDER_HELD);
    assert_int_equal(replay->error->class, ACME_CLASS_CA_RETRY);
    assert_in_range(replay_seconds(replay), HOUR, HOUR + 100);

    /* The next attempt goes on with it, and meets the same. */
    acme_order_rewind(replay->order);
    assert_no_err(acme_order_save(&saved, replay->order, replay->now, pool));
    replay->disk = saved;
    replay->ca->rules = still;
    replay->error = NULL;
    replay_run(replay);
    assert_failed(replay, ACME_E_ORDER_HELD);

    acme_order_rewind(replay->order);
    assert_no_err(acme_order_save(&saved, replay->order, replay->now, pool));
    replay->disk = saved;
    replay->ca->rules = NULL;
    replay->error = NULL;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(replay->ca->finalizes, 1);
}

/* --- validation that takes its time: ZeroSSL, Sectigo ---------------------- */

static void test_challenge_processing_for_hours_is_waited_for(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->show_processing = 1;
    replay->ca->authz_polls = 200;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->ca->answers[0], 1);
    assert_true(replay_seconds(replay) > 6 * HOUR);
    assert_int_equal(replay->told, ACME_E_ORDER_SLOW);
    assert_non_null(strstr(replay->told_text, "validating a.example since"));
}

static void test_challenge_processing_for_days_is_given_up(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->show_processing = 1;
    replay->ca->authz_polls = 1000000;
    replay_run(replay);
    assert_failed(replay, ACME_E_AUTHZ_STATE);
    assert_int_equal(replay->error->class, ACME_CLASS_CA_RETRY);
    assert_in_range(replay_seconds(replay), DAY, DAY + HOUR);
}

/* --- Sectigo: orders are reused, in whatever state they are ----------------- */

static void test_sectigo_pending_order_is_gone_on_with(void **state)
{
    static const ca_rule_t rules[] = {
        { "challenge", 0, CA_REPLY, 403, CA_PROBLEM("unauthorized", "no") },
        { "deactivate", 0, CA_REPLY, 500, "" },
        { NULL },
    };
    replay_t *first = run("a.example", rules), *second;

    (void)state;
    assert_non_null(first->error);
    second = run_again(first);
    assert_done(second);
    assert_int_equal(second->ca->finalizes, 1);
    assert_string_equal(second->transcript, START " " PROVE " " END);
}

static void test_sectigo_challenge_under_validation_is_not_answered_again(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 2, CA_REPLY, 404, "", .and_later = 1 },
        { NULL },
    };
    replay_t *first = replay_create("a.example", pool), *second;

    (void)state;
    first->ca->rules = rules;
    first->ca->show_processing = 1;
    first->ca->authz_polls = 5;
    replay_run(first);
    assert_non_null(first->error);
    second = run_again(first);
    assert_done(second);
    assert_int_equal(second->ca->answers[0], 1);
    assert_int_equal(second->published, 1);
}

static void test_sectigo_ready_order_is_finalized(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 0, CA_REPLY, 400, CA_PROBLEM("badCSR", "not today") },
        { NULL },
    };
    replay_t *first = run("a.example", rules), *second;

    (void)state;
    assert_failed(first, ACME_E_CA_PROBLEM_CSR);
    second = run_again(first);
    assert_done(second);
    assert_string_equal(second->transcript, START " " END);
}

/* One that was finalized with a key that nobody has any more. */
static void test_sectigo_finalized_order_gives_a_certificate_of_another_key(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "order", 0, CA_REPLY, 404, "" },
        { NULL },
    };
    int polls;

    (void)state;
    for (polls = 3; polls <= 5; polls += 2) {
        replay_t *first = replay_create("a.example", pool), *second;

        first->ca->rules = rules;
        first->ca->order_polls = polls;
        replay_run(first);
        assert_failed(first, ACME_E_ORDER_GONE);
        second = run_again(first); /* "processing" comes first */
        assert_failed(second, ACME_E_CERT_KEY);
        assert_int_equal(second->ca->finalizes, 1);
        /* Told, and tried again at most daily: no loop. */
        assert_int_equal(second->error->class, ACME_CLASS_CA_FINAL);
    }
}

/* --- DigiCert: authorizations of authorized orders cannot be read ----------- */

static void test_digicert_authorization_that_cannot_be_read(void **state)
{
    static const struct {
        int status;
        const char *body;
    } refusals[] = {
        { 404, CA_PROBLEM("malformed", "no such authorization") },
        { 403, CA_PROBLEM("unauthorized", "not yours") },
        { 400, "{}" },
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const ca_rule_t rules[] = {
            { "newOrder", 1, CA_REPLY, 201,
              "{\"status\":\"pending\",\"authorizations\":[\"" CA_URL
              "/authz/0\"],\"finalize\":\"" CA_URL "/finalize\"}",
              .location = CA_URL "/order" },
            { "authorization", 0, CA_REPLY, refusals[i].status,
              refusals[i].body },
            { NULL },
        };
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->rules = rules; /* its state is that of an order done */
        replay_run(replay);
        assert_done(replay);
        assert_string_equal(replay->transcript,
                            START " authorization order " END);
    }
}

/* --- Google ----------------------------------------------------------------- */

static void test_google_dates_of_1970_and_a_profile_nobody_asked_for(
    void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->order_extra = "\"notBefore\":\"1970-01-01T00:00:00Z\","
                              "\"notAfter\":\"1970-01-01T00:00:00Z\","
                              "\"expires\":\"1970-01-01T00:00:00Z\","
                              "\"profile\":\"standard\",";
    replay->ca->order_polls = 40;
    replay->ca->retry_after = "5";
    replay_run(replay);
    assert_done(replay);
    assert_null(strstr(replay->ca->last_new_order, "profile"));
}

/* --- SSL.com ----------------------------------------------------------------- */

static void test_sslcom_external_account_although_not_advertised(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 0, CA_REPLY, 403,
          CA_PROBLEM("externalAccountRequired", "bind it") },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->meta = "\"externalAccountRequired\":false";
    replay->ca->rules = rules;
    replay_run(replay);
    assert_failed(replay, ACME_E_CA_PROBLEM_EAB);
    assert_int_equal(replay->error->class, ACME_CLASS_CONFIG);
    assert_int_equal(replay->ca->accounts, 0);
}

static void test_sslcom_missing_contact_surfaces_as_badcsr(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 0, CA_REPLY, 400,
          CA_PROBLEM("badCSR", "no email address for the account") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed(replay, ACME_E_CA_PROBLEM_CSR);
    assert_remedy(replay, "AcmeContact");
    assert_string_equal(replay->error->detail,
                        "no email address for the account");
}

/* --- HARICA ------------------------------------------------------------------ */

static void test_harica_prevalidated_authorizations_have_no_challenges(
    void **state)
{
    replay_t *replay = replay_create("a.example b.example", pool);

    (void)state;
    replay->ca->challenge_types = "";
    replay->ca->preauthorized = 2;
    replay->ca->order_extra = "\"comment\":\"pending first\",";
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->published, 0);
}

static void test_harica_prevalidated_although_the_order_is_pending(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 201,
          "{\"status\":\"pending\",\"authorizations\":[\"" CA_URL
          "/authz/9\"],\"finalize\":\"" CA_URL "/finalize\"}",
          .location = CA_URL "/order" },
        { "authorization", 1, CA_REPLY, 200,
          "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\",\"value\":"
          "\"a.example\"},\"challenges\":[]}" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done(replay);
    assert_string_equal(replay->transcript, START " authorization " END);
}

static void test_harica_error_that_is_a_bare_string(void **state)
{
    static const ca_rule_t refused[] = {
        { "newOrder", 0, CA_REPLY, 400,
          "\"The domain is not \\u001b[31myours\"" },
        { NULL },
    };
    static const ca_rule_t passing[] = {
        { "newOrder", 1, CA_REPLY, 500, "\"Try again\"" },
        { NULL },
    };
    replay_t *replay = run("a.example", refused);

    (void)state;
    assert_failed(replay, ACME_E_CA_REFUSED);
    assert_non_null(strstr(replay->error->detail, "The domain is not "));
    assert_null(strchr(replay->error->detail, '\033'));
    assert_done(run("a.example", passing));
}

/* --- Actalis ----------------------------------------------------------------- */

/* Names that were not asked for are not proved by us: refused, with the way to
 * ask for them. */
static void test_actalis_adds_www(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->issued_names = "DNS:a.example,DNS:www.a.example";
    replay_run(replay);
    assert_failed(replay, ACME_E_CERT_NAMES);
    assert_int_equal(replay->error->class, ACME_CLASS_CA_FINAL);
    assert_non_null(strstr(replay->error->text, "www.a.example"));
    assert_remedy(replay, "ServerAlias");

    replay = replay_create("a.example www.a.example", pool);
    replay->ca->issued_names = "DNS:a.example,DNS:www.a.example";
    replay_run(replay);
    assert_done(replay);
}

/* --- GoDaddy ----------------------------------------------------------------- */

static void test_godaddy_nonces_of_hundreds_of_octets(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->nonce_padding = 900;
    replay_run(replay);
    assert_done(replay);
    assert_string_equal(replay->transcript, START " " PROVE " " END);
}

static void test_godaddy_expires_is_not_needed_nor_looked_at(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->order_extra = "\"expires\":null,";
    replay->ca->authz_extra = "\"expires\":\"soon\",";
    replay_run(replay);
    assert_done(replay);
}

/* --- and any CA -------------------------------------------------------------- */

static void test_generic_content_types_are_not_relied_on(void **state)
{
    static const char *const types[] = { "application/json; charset=utf-8",
                                         "text/plain", "" };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->content_type = types[i];
        replay_run(replay);
        assert_done(replay);
    }
}

static void test_generic_problem_without_type_is_judged_by_status(void **state)
{
    static const ca_rule_t busy[] = {
        { "newOrder", 1, CA_REPLY, 503, "{\"detail\":\"maintenance\"}" },
        { "finalize", 1, CA_REPLY, 500, "{\"type\":null,\"status\":500}" },
        { NULL },
    };
    static const ca_rule_t refused[] = {
        { "newOrder", 0, CA_REPLY, 403,
          "{\"title\":\"Forbidden\",\"detail\":\"contract has ended\"}" },
        { NULL },
    };
    replay_t *replay;

    (void)state;
    assert_done(run("a.example", busy));
    replay = run("a.example", refused);
    assert_failed(replay, ACME_E_CA_REFUSED);
    assert_string_equal(replay->error->detail, "contract has ended");
}

static void test_generic_replies_without_nonces(void **state)
{
    replay_t *replay = replay_create("a.example b.example", pool);

    (void)state;
    replay->ca->nonces_by_newnonce_alone = 1;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->ca->orders, 1);
}

static void test_generic_times_with_fractions_of_seconds(void **state)
{
    apr_time_t whole = acme_time_parse_rfc3339("2026-11-22T08:00:00Z");

    (void)state;
    assert_true(whole > 0);
    assert_true(acme_time_parse_rfc3339("2026-11-22T08:00:00.123456789Z")
                == whole + 123456);
    assert_true(acme_time_parse_rfc3339("2026-11-22t09:00:00.5+01:00")
                == whole + 500000);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_zerossl_hours_of_processing),
    POOL_TEST(test_zerossl_slow_issuance_is_told_after_an_hour),
    POOL_TEST(test_zerossl_processing_for_ever_is_given_up_after_days),
    POOL_TEST(test_zerossl_processing_outlives_a_restart),
    POOL_TEST(test_zerossl_retry_after_of_a_day),
    POOL_TEST(test_zerossl_html_502_everywhere_passes),
    POOL_TEST(test_zerossl_html_502_for_hours_keeps_the_order),
    POOL_TEST(test_challenge_processing_for_hours_is_waited_for),
    POOL_TEST(test_challenge_processing_for_days_is_given_up),
    POOL_TEST(test_sectigo_pending_order_is_gone_on_with),
    POOL_TEST(test_sectigo_challenge_under_validation_is_not_answered_again),
    POOL_TEST(test_sectigo_ready_order_is_finalized),
    POOL_TEST(test_sectigo_finalized_order_gives_a_certificate_of_another_key),
    POOL_TEST(test_digicert_authorization_that_cannot_be_read),
    POOL_TEST(test_google_dates_of_1970_and_a_profile_nobody_asked_for),
    POOL_TEST(test_sslcom_external_account_although_not_advertised),
    POOL_TEST(test_sslcom_missing_contact_surfaces_as_badcsr),
    POOL_TEST(test_harica_prevalidated_authorizations_have_no_challenges),
    POOL_TEST(test_harica_prevalidated_although_the_order_is_pending),
    POOL_TEST(test_harica_error_that_is_a_bare_string),
    POOL_TEST(test_actalis_adds_www),
    POOL_TEST(test_godaddy_nonces_of_hundreds_of_octets),
    POOL_TEST(test_godaddy_expires_is_not_needed_nor_looked_at),
    POOL_TEST(test_generic_content_types_are_not_relied_on),
    POOL_TEST(test_generic_problem_without_type_is_judged_by_status),
    POOL_TEST(test_generic_replies_without_nonces),
    POOL_TEST(test_generic_times_with_fractions_of_seconds),
};

RUN_TESTS(tests)
