#include "replay_test.h"

#include "core/encode.h"

#define START "directory newNonce newAccount newOrder"
#define PROVE "authorization challenge authorization"
#define END   "finalize certificate"

static void assert_done_at_once(const replay_t *replay)
{
    assert_done(replay);
    assert_int_equal(replay->ca->finalizes, 1);
}

static void assert_failed_as(const replay_t *replay, acme_msg_t msg,
                             acme_class_t class)
{
    assert_failed(replay, msg);
    assert_int_equal(replay->error->class, class);
}

static int answers(const replay_t *replay)
{
    int i, count = 0;

    for (i = 0; i < replay->ca->name_count; i++) {
        count += replay->ca->answers[i];
    }
    return count;
}

/* --- the straight way ----------------------------------------------------- */

static void test_order_happy_path_asks_no_more_than_needed(void **state)
{
    replay_t *replay = run("a.example", NULL);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript, START " " PROVE " " END);
    assert_int_equal(replay->published, 1);
    assert_int_equal(replay->withdrawn, 1);
}

static void test_order_several_names_share_requests_not_proofs(void **state)
{
    replay_t *replay = run("a.example b.example c.example", NULL);

    (void)state;
    assert_done_at_once(replay);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(answers(replay), 3);
    assert_int_equal(replay->published, 3);
    assert_int_equal(replay->withdrawn, 3);
}

static void test_order_shuffled_authorizations_are_matched_by_name(void **state)
{
    replay_t *replay = replay_create("a.example *.a.example 192.0.2.7", pool);

    (void)state;
    replay->ca->shuffle = 1;
    replay->newest_first = 1;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(answers(replay), 3);
}

static void test_order_hundred_long_names_are_issued(void **state)
{
    const char *names = "";
    replay_t *replay;
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        names = apr_psprintf(
            pool,
            "%s n%02d."
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
            "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc."
            "dddddddddddddddddddddddddddddddddddddddddddddddddd.example",
            names, i);
    }
    replay = replay_create(names, pool);
    replay->ca->shuffle = 1;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(answers(replay), 100);
    /* 100 x (read, answer, poll), and not many nonces fetched for them. */
    assert_in_range(replay->ca->requests, 306, 440);
}

static void test_order_valid_authorizations_are_left_alone(void **state)
{
    replay_t *replay = replay_create("a.example b.example", pool);

    (void)state;
    replay->ca->preauthorized = 1;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay->ca->answers[0], 0);
    assert_int_equal(replay->ca->answers[1], 1);
}

static void test_order_ready_at_once_goes_to_finalize(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->preauthorized = 1;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript, START " " END);
}

static void test_order_without_authorizations_goes_to_finalize(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->hide_authorizations = 1;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript, START " " END);
}

/* --- nonces and accounts, as an order meets them -------------------------- */

static void test_order_badnonce_retries_with_new_nonce(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 400, CA_PROBLEM("badNonce", "stale") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript, START " " PROVE " finalize " END);
}

static void test_order_badnonce_without_nonce_fetches_one(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 400, CA_PROBLEM("badNonce", "stale"),
          .without_nonce = 1 },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript,
                        START " " PROVE " finalize newNonce " END);
}

static void test_order_badnonce_for_ever_is_given_up(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 400, CA_PROBLEM("badNonce", "stale") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_NONCE, ACME_CLASS_CA_RETRY);
    assert_in_range(replay_seconds(replay), 3600, 3700);
}

static void test_order_unknown_account_is_registered_again_once(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.known.kid = CA_URL "/account/forgotten";
    replay->ca->account_known = 0;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay->ca->accounts, 1);
    assert_string_equal(replay->disk_kid, CA_URL "/account/1");
    assert_string_equal(replay->transcript,
                        "directory newNonce newOrder newAccount newOrder " PROVE
                        " " END);
}

static void test_order_account_unknown_for_ever_fails(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 400,
          CA_PROBLEM("accountDoesNotExist", "who?") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_ACCOUNT, ACME_CLASS_CA_FINAL);
    assert_int_equal(replay->ca->accounts, 2);
}

/* --- challenges ----------------------------------------------------------- */

static void test_order_takes_first_configured_challenge_on_offer(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->challenge_types = "dns-01 tls-alpn-01";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript, START " " PROVE " " END);
    assert_non_null(strstr(replay->disk, "\"tls-alpn-01\""));
}

static void test_order_no_usable_challenge_lists_what_is_offered(void **state)
{
    replay_t *replay = replay_create("*.a.example", pool);

    (void)state;
    replay->ca->challenge_types = "http-01 dns-persist-01";
    replay_run(replay);
    assert_failed_as(replay, ACME_E_NO_CHALLENGE, ACME_CLASS_CONFIG);
    assert_non_null(strstr(replay->error->text, "*.a.example"));
    assert_non_null(strstr(replay->error->text,
                           "the CA offers http-01, dns-persist-01, this server "
                           "can use dns-01"));
}

static void test_order_hostile_challenges_are_passed_over(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->challenge_extra =
        "{\"type\":\"http-01\",\"url\":\"" CA_URL "/evil\","
        "\"token\":\"../../etc/passwd\",\"status\":\"pending\"},"
        "{\"type\":\"http-01\",\"url\":\"http://ca.test/evil\","
        "\"token\":\"good\",\"status\":\"pending\"},"
        "{\"type\":\"http-01\",\"status\":\"pending\"},"
        "{\"type\":17},[],null,{},";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(answers(replay), 1);
}

static void prefer(replay_t *replay, acme_proof_type_t type)
{
    acme_proofs_t *proofs = apr_pcalloc(pool, sizeof(*proofs));

    proofs->types[0] = type;
    proofs->count = 1;
    replay->wanted.proofs = proofs;
}

static void test_order_challenge_without_token_is_answered(void **state)
{
    replay_t *replay = replay_create("*.a.example", pool);

    (void)state;
    replay->ca->challenge_types = "dns-persist-01 dns-01";
    prefer(replay, ACME_PROOF_DNS_PERSIST_01);
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(answers(replay), 1);
    assert_int_equal(replay->published, 1);
    assert_int_equal(replay->withdrawn, 1);
}

static void test_order_dns_account_01_is_answered(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->challenge_types = "http-01 dns-account-01";
    prefer(replay, ACME_PROOF_DNS_ACCOUNT_01);
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(answers(replay), 1);
}

static void test_order_answer_refused_with_conflict_goes_on_polling(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "challenge", 1, CA_REPLY, 409, CA_PROBLEM("conflict", "busy") },
        { "authorization", 2, CA_REPLY, 200,
          "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\","
          "\"value\":\"a.example\"}}" },
        { "finalize", 1, CA_REPLY, 400, CA_PROBLEM("badCSR", "no") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_CSR, ACME_CLASS_CA_FINAL);
    assert_string_equal(replay->transcript, START " " PROVE " finalize");
}

static void test_order_answer_whose_reply_is_lost_is_not_repeated(void **state)
{
    static const ca_rule_t rules[] = { { "challenge", 1, CA_LOSE }, { NULL } };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_int_equal(answers(replay), 1);
}

static void test_order_answer_that_never_arrived_is_given_again(void **state)
{
    static const ca_rule_t rules[] = {
        { "challenge", 1, CA_DROP },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_int_equal(answers(replay), 1);
    assert_in_range(replay_seconds(replay), 10, 30);
}

static void test_order_refused_answer_fails_if_still_pending(void **state)
{
    static const ca_rule_t rules[] = {
        { "challenge", 0, CA_REPLY, 403, CA_PROBLEM("unauthorized", "no") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_UNAUTHORIZED,
                     ACME_CLASS_CA_FINAL);
    assert_int_equal(replay->ca->deactivated, 1);
}

static void test_order_failed_challenge_tells_name_and_reason(void **state)
{
    replay_t *replay = replay_create("a.example b.example c.example", pool);

    (void)state;
    replay->ca->authz_polls = 3;
    replay->ca->fail_name = "b.example";
    replay->ca->fail_error = CA_PROBLEM(
        "connection", "192.0.2.1: Fetching http://b.example/: refused");
    replay_run(replay);
    assert_failed_as(replay, ACME_E_CA_PROBLEM_CONNECTION, ACME_CLASS_CA_RETRY);
    assert_string_equal(replay->error->identifier, "b.example");
    assert_non_null(strstr(replay->error->detail, "192.0.2.1"));
    assert_int_equal(replay->withdrawn, 3);
}

static void test_order_failed_challenge_deactivates_pending_ones(void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 3, CA_REPLY, 200,
          "{\"status\":\"invalid\",\"identifier\":{\"type\":\"dns\","
          "\"value\":\"a.example\"},\"challenges\":[]}" },
        { NULL },
    };
    replay_t *replay = replay_create("a.example b.example", pool);

    (void)state;
    replay->ca->rules = rules;
    replay->ca->authz_polls = 100000; /* no verdict on the other one */
    replay_run(replay);
    assert_in_range(replay_seconds(replay), 300, 340);
    assert_failed_as(replay, ACME_E_AUTHZ_STATE, ACME_CLASS_CA_RETRY);
    assert_int_equal(replay->ca->deactivated, 1);
    assert_int_equal(replay->ca->authz[1], CA_AUTHZ_DEACTIVATED);
}

static void test_order_unauthorized_validation_is_retried_later(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->fail_name = "a.example";
    replay->ca->fail_error = CA_PROBLEM("unauthorized", "Invalid response");
    replay_run(replay);
    assert_failed_as(replay, ACME_E_CA_PROBLEM_ANSWER, ACME_CLASS_CA_RETRY);
}

static void test_order_foreign_authorization_is_refused(void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 1, CA_REPLY, 200,
          "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\","
          "\"value\":\"evil.example\"},\"challenges\":[]}" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_AUTHZ_FOREIGN, ACME_CLASS_CA_RETRY);
    assert_non_null(strstr(replay->error->text, "evil.example"));
}

static void test_order_unreadable_authorization_of_ready_order_passes(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 1, CA_REPLY, 404, CA_PROBLEM("malformed", "gone") },
        { "order", 1, CA_REPLY, 200,
          "{\"status\":\"ready\",\"authorizations\":[],"
          "\"finalize\":\"" CA_URL "/finalize\"}" },
        { "finalize", 1, CA_REPLY, 400, CA_PROBLEM("badCSR", "no") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_CSR, ACME_CLASS_CA_FINAL);
    assert_string_equal(replay->transcript,
                        START " authorization order finalize");
}

static void test_order_unreadable_authorization_of_pending_order_fails(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 1, CA_REPLY, 404, CA_PROBLEM("malformed", "gone") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_MALFORMED, ACME_CLASS_CA_FINAL);
    assert_string_equal(replay->transcript, START " authorization order");
}

/* --- polling -------------------------------------------------------------- */

static void test_order_polls_authorization_with_growing_pauses(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->authz_polls = 7;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay_seconds(replay), 1 + 2 + 4 + 8 + 16 + 30 + 30 + 30);
}

static void test_order_polls_as_retry_after_says(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->authz_polls = 1;
    replay->ca->order_polls = 2;
    replay->ca->retry_after = "100";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay_seconds(replay), 400);
}

static void test_order_retry_after_is_clamped(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->order_polls = 1;
    replay->ca->preauthorized = 1;
    replay->ca->retry_after = "99999999999999999999999";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay_seconds(replay), 86400);

    replay = replay_create("a.example", pool);
    replay->ca->order_polls = 1;
    replay->ca->preauthorized = 1;
    replay->ca->retry_after = "0";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay_seconds(replay), 1);
}

static void test_order_processing_for_days_is_waited_for(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->preauthorized = 1;
    replay->ca->order_polls = 700;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(replay->ca->finalizes, 1);
    assert_in_range(replay_seconds(replay), 2 * 86400, 3 * 86400);
}

static void test_order_ready_for_ever_after_finalize_is_given_up(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 0, CA_REPLY, 200,
          "{\"status\":\"ready\",\"finalize\":\"" CA_URL "/finalize\"}" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_ORDER_STUCK, ACME_CLASS_CA_RETRY);
}

/* --- finalize and download ------------------------------------------------ */

static void test_order_notready_is_read_again(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 403, CA_PROBLEM("orderNotReady", "wait") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript,
                        START " " PROVE " finalize order " END);
}

static void test_order_finalize_reply_lost_is_not_finalized_twice(void **state)
{
    static const ca_rule_t rules[] = { { "finalize", 1, CA_LOSE }, { NULL } };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->rules = rules;
    replay->ca->order_polls = 3;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript,
                        START " " PROVE " finalize newNonce order order order "
                              "certificate");
}

static void test_order_finalize_500_waits_and_looks_first(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 500, CA_PROBLEM("serverInternal", "oops"),
          .retry_after = "60" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript,
                        START " " PROVE " finalize order " END);
    assert_int_equal(replay_seconds(replay), 61);
}

static void test_order_finalize_500_for_ever_is_given_up(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 0, CA_REPLY, 500, "<html>oops" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_BUSY, ACME_CLASS_CA_RETRY);
    assert_in_range(replay_seconds(replay), 3600, 3700);
}

static void test_order_badcsr_is_final(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 400, CA_PROBLEM("badCSR", "weak key") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_CSR, ACME_CLASS_CA_FINAL);
    assert_string_equal(replay->error->detail, "weak key");
}

static void test_order_invalid_tells_the_orders_error(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 200,
          "{\"status\":\"invalid\",\"error\":" CA_PROBLEM("caa",
                                                          "forbidden") "}" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_CAA, ACME_CLASS_CA_RETRY);
    assert_string_equal(replay->error->detail, "forbidden");
}

static void test_order_valid_without_certificate_url_is_refused(void **state)
{
    static const ca_rule_t rules[] = {
        { "finalize", 1, CA_REPLY, 200,
          "{\"status\":\"valid\",\"finalize\":\"" CA_URL "/finalize\"}" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_RESOURCE, ACME_CLASS_CA_RETRY);
}

static void test_order_certificate_of_other_key_or_names_fails(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->wrong_key = 1;
    replay_run(replay);
    assert_null(replay->chain_pem);
    assert_int_equal(replay->error->msg, ACME_E_CERT_KEY);

    replay = replay_create("a.example", pool);
    replay->ca->wrong_name = 1;
    replay_run(replay);
    assert_null(replay->chain_pem);
    assert_int_equal(replay->error->msg, ACME_E_CERT_NAMES);
    assert_int_not_equal(replay->error->class, ACME_CLASS_NONE);
}

static void test_order_html_504_for_certificate_is_asked_again(void **state)
{
    static const ca_rule_t rules[] = {
        { "certificate", 1, CA_REPLY, 504, "<html>Gateway Time-out</html>" },
        { "certificate", 2, CA_REPLY, 502, "<html>Bad Gateway</html>" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript,
                        START " " PROVE " " END " certificate certificate");
}

static void test_order_html_for_certificate_is_never_taken(void **state)
{
    static const ca_rule_t rules[] = {
        { "certificate", 0, CA_REPLY, 200, "<html>Gateway Time-out</html>" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_null(replay->chain_pem);
    assert_int_equal(replay->error->msg, ACME_E_CHAIN_PARSE);
    assert_in_range(replay_seconds(replay), 3600, 3700);
}

static void test_order_html_200_for_certificate_is_asked_again(void **state)
{
    static const ca_rule_t rules[] = {
        { "certificate", 1, CA_REPLY, 200, "<html>Gateway</html>" },
        { "certificate", 2, CA_REPLY, 200, "" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_string_equal(replay->transcript,
                        START " " PROVE " " END " certificate certificate");
}

static void test_order_that_the_ca_has_forgotten_is_told(void **state)
{
    static const struct {
        const char *label;
        int status;
        const char *body;
    } answers_of_ca[] = {
        { "order", 404, "" },
        { "order", 410, "" },
        { "order", 400, CA_PROBLEM("malformed", "no such order") },
        { "finalize", 404, CA_PROBLEM("malformed", "no such order") },
        { "certificate", 404, "" },
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(answers_of_ca) / sizeof(answers_of_ca[0]); i++) {
        ca_rule_t rules[] = {
            { answers_of_ca[i].label, 1, CA_REPLY, answers_of_ca[i].status,
              answers_of_ca[i].body },
            { NULL },
        };
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->rules = rules;
        replay->ca->order_polls = 2;
        replay_run(replay);
        assert_failed_as(replay, ACME_E_ORDER_GONE, ACME_CLASS_CA_RETRY);
    }
}

/* --- newOrder ------------------------------------------------------------- */

static void test_order_neworder_lost_is_repeated(void **state)
{
    static const ca_rule_t rules[] = { { "newOrder", 1, CA_LOSE }, { NULL } };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_int_equal(replay->ca->orders, 2);
}

static void test_order_neworder_ratelimited_fails_until_then(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 429,
          CA_PROBLEM("rateLimited", "too many; see https://ca.test/limits"),
          .retry_after = "7200" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_RATE, ACME_CLASS_CA_RETRY);
    assert_int_equal(apr_time_sec(replay->error->retry_at - replay->now), 7200);
}

static void test_order_paused_identifier_needs_a_human(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 429,
          CA_PROBLEM("rateLimited", "visit https://ca.test/unpause?x=1") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_PAUSED, ACME_CLASS_CA_FINAL);
    assert_non_null(strstr(replay->error->detail, "unpause"));
    assert_string_equal(replay->error->instance, "https://ca.test/unpause?x=1");
}

/* Let's Encrypt's address holds a token: it must not be cut off. */
static void test_order_paused_address_is_kept_whole(void **state)
{
    char token[1501];
    const char *url, *body;

    (void)state;
    memset(token, 'x', sizeof(token) - 1);
    token[sizeof(token) - 1] = '\0';
    url = apr_pstrcat(pool, "https://ca.test/unpause?jwt=", token, NULL);
    body = apr_pstrcat(pool,
                       "{\"type\":\"urn:ietf:params:acme:error:rateLimited\","
                       "\"detail\":\"Please visit: ",
                       url, ".\"}", NULL);
    const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 429, body },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    assert_failed_as(replay, ACME_E_CA_PROBLEM_PAUSED, ACME_CLASS_CA_FINAL);
    assert_string_equal(replay->error->instance, url);
    assert_non_null(strstr(acme_err_line(replay->error, pool), url));
}

static void test_order_neworder_busy_is_asked_again(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 503, "", .retry_after = "7" },
        { "newOrder", 2, CA_DROP },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_done_at_once(replay);
    assert_int_equal(replay_seconds(replay), 7 + 2 + 1);
}

static void test_order_rejected_names_are_all_named(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 403,
          "{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\","
          "\"detail\":\"2 names\",\"subproblems\":["
          "{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\","
          "\"detail\":\"blocked\",\"identifier\":{\"type\":\"dns\","
          "\"value\":\"a.example\"}},"
          "{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\","
          "\"detail\":\"policy\",\"identifier\":{\"type\":\"dns\","
          "\"value\":\"b.example\"}}]}" },
        { NULL },
    };
    replay_t *replay = run("a.example b.example c.example", rules);

    (void)state;
    assert_failed_as(replay, ACME_E_CA_PROBLEM_REJECTED, ACME_CLASS_CA_FINAL);
    assert_string_equal(replay->error->identifier, "a.example");
    assert_string_equal(replay->error->detail,
                        "2 names [a.example: blocked; b.example: policy]");
}

/* The only one; NULL: there is none. */
static const acme_err_t *remark_of(const replay_t *replay)
{
    apr_array_header_t *remarks = acme_order_remarks(replay->order, pool);

    assert_in_range(remarks->nelts, 0, 1);
    return remarks->nelts ? APR_ARRAY_IDX(remarks, 0, const acme_err_t *)
                          : NULL;
}

static void test_order_profile_is_sent_if_advertised(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->wanted.profile = "shortlived";
    replay->ca->meta = "\"profiles\":{\"shortlived\":\"six days\"}";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_non_null(
        strstr(replay->ca->last_new_order, "\"profile\":\"shortlived\""));
}

static void test_order_profile_unadvertised_is_left_out(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->wanted.profile = "shortlved";
    replay->ca->meta = "\"profiles\":{\"classic\":\"\",\"shortlived\":\"\"}";
    replay_run(replay);
    assert_done_at_once(replay);
    assert_null(strstr(replay->ca->last_new_order, "profile"));
    const acme_err_t *remark = remark_of(replay);
    assert_non_null(remark);
    assert_int_equal(remark->msg, ACME_W_PROFILE_MISSING);
    assert_non_null(strstr(remark->text, "the profile shortlved, which"));
    assert_non_null(strstr(remark->text, "it has: classic shortlived"));
}

static void test_order_profile_required_but_unadvertised_fails(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->wanted.profile = "shortlived";
    replay->wanted.profile_required = 1;
    replay->ca->meta = "\"profiles\":{\"classic\":\"\",\"tlsserver\":\"\"}";
    replay_run(replay);
    assert_failed_as(replay, ACME_E_PROFILE, ACME_CLASS_CONFIG);
    assert_non_null(strstr(replay->error->text, "tlsserver"));
    assert_int_equal(replay->ca->orders, 0);
}

static void test_order_profile_refused_is_left_out_unless_required(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 400, CA_PROBLEM("invalidProfile", "no") },
        { NULL },
    };
    int required;

    (void)state;
    for (required = 0; required < 2; required++) {
        replay_t *replay = replay_create("a.example", pool);

        replay->wanted.profile = "shortlived";
        replay->wanted.profile_required = required;
        replay->ca->meta = "\"profiles\":{\"shortlived\":\"\"}";
        replay->ca->rules = rules;
        replay_run(replay);
        if (required) {
            assert_failed_as(replay, ACME_E_CA_PROBLEM_PROFILE,
                             ACME_CLASS_CONFIG);
        }
        else {
            assert_done_at_once(replay);
            assert_null(strstr(replay->ca->last_new_order, "profile"));
            assert_int_equal(remark_of(replay)->msg, ACME_W_PROFILE_MISSING);
        }
    }
}

/* --- what the CA's problems lead to ---------------------------------------- */

/* One row of the table of reactions: the problem is met by this request. */
typedef struct refusal_t {
    const char *label;
    const char *problem;
    acme_msg_t msg;
    acme_class_t class;
} refusal_t;

#define PROBLEM(type) CA_PROBLEM(type, "said by the CA")

static void assert_refused_once(const refusal_t *refusal)
{
    ca_rule_t rules[] = {
        { refusal->label, 0, CA_REPLY, 400, refusal->problem },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);
    const int *asked =
        apr_hash_get(replay->ca->counts, refusal->label, APR_HASH_KEY_STRING);

    assert_failed_as(replay, refusal->msg, refusal->class);
    assert_non_null(strstr(replay->error->detail, "said by the CA"));
    /* whether the account is closed is found out before it is believed */
    assert_int_equal(*asked, !strcmp(refusal->label, "newOrder")
                                     && strstr(refusal->problem, "unauthorized")
                                 ? 2
                                 : 1);
    assert_int_equal(replay->session_failed,
                     !strcmp(refusal->label, "newAccount"));
}

static void test_refusals_are_told_and_not_repeated(void **state)
{
    static const refusal_t refusals[] = {
        { "newAccount", PROBLEM("badPublicKey"), ACME_E_ACCOUNT_KEY_REFUSED,
          ACME_CLASS_CA_FINAL },
        { "newAccount", PROBLEM("badSignatureAlgorithm"),
          ACME_E_CA_PROBLEM_ALGORITHM, ACME_CLASS_CA_FINAL },
        { "newAccount", PROBLEM("invalidContact"), ACME_E_CA_PROBLEM_CONTACT,
          ACME_CLASS_CONFIG },
        { "newAccount", PROBLEM("unsupportedContact"),
          ACME_E_CA_PROBLEM_CONTACT, ACME_CLASS_CONFIG },
        { "newAccount", PROBLEM("externalAccountRequired"),
          ACME_E_CA_PROBLEM_EAB, ACME_CLASS_CONFIG },
        { "newAccount", PROBLEM("userActionRequired"), ACME_E_CA_PROBLEM_ACTION,
          ACME_CLASS_CONFIG },
        { "newOrder", PROBLEM("badSignatureAlgorithm"),
          ACME_E_CA_PROBLEM_ALGORITHM, ACME_CLASS_CA_FINAL },
        { "newOrder", PROBLEM("malformed"), ACME_E_CA_PROBLEM_MALFORMED,
          ACME_CLASS_CA_FINAL },
        { "newOrder", PROBLEM("unauthorized"), ACME_E_CA_PROBLEM_UNAUTHORIZED,
          ACME_CLASS_CA_FINAL },
        { "newOrder", PROBLEM("unsupportedIdentifier"),
          ACME_E_CA_PROBLEM_UNSUPPORTED, ACME_CLASS_CA_FINAL },
        { "newOrder", PROBLEM("userActionRequired"), ACME_E_CA_PROBLEM_ACTION,
          ACME_CLASS_CONFIG },
        { "finalize", PROBLEM("badPublicKey"), ACME_E_CA_PROBLEM_KEY,
          ACME_CLASS_CA_FINAL },
        { "finalize", PROBLEM("unauthorized"), ACME_E_CA_PROBLEM_UNAUTHORIZED,
          ACME_CLASS_CA_FINAL },
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        assert_refused_once(&refusals[i]);
    }
}

static void test_validation_problems_are_for_a_later_attempt(void **state)
{
    static const struct {
        const char *problem;
        acme_msg_t msg;
    } problems[] = {
        { PROBLEM("caa"), ACME_E_CA_PROBLEM_CAA },
        { PROBLEM("connection"), ACME_E_CA_PROBLEM_CONNECTION },
        { PROBLEM("dns"), ACME_E_CA_PROBLEM_DNS },
        { PROBLEM("incorrectResponse"), ACME_E_CA_PROBLEM_ANSWER },
        { PROBLEM("tls"), ACME_E_CA_PROBLEM_TLS },
        { PROBLEM("unauthorized"), ACME_E_CA_PROBLEM_ANSWER },
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(problems) / sizeof(problems[0]); i++) {
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->fail_name = "a.example";
        replay->ca->fail_error = problems[i].problem;
        replay_run(replay);
        assert_failed_as(replay, problems[i].msg, ACME_CLASS_CA_RETRY);
        assert_string_equal(replay->error->identifier, "a.example");
        assert_int_equal(replay->ca->orders, 1);
    }
}

/* --- a hostile CA --------------------------------------------------------- */

static void test_order_hostile_order_objects_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{\"status\":\"ready\",\"finalize\":\"http://ca.test/f\"}",
        "{\"status\":\"ready\",\"finalize\":\"https://u:p@ca.test/f\"}",
        "{\"status\":\"ready\",\"finalize\":17}",
        "{\"status\":\"ready\"}",
        "{\"status\":\"readyish\",\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"status\":[],\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"status\":\"pending\",\"authorizations\":\"x\","
        "\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"status\":\"pending\",\"authorizations\":[\"ftp://x/\"],"
        "\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"status\":\"pending\",\"authorizations\":[1e400],"
        "\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"status\":\"ready\",\"status\":\"valid\","
        "\"finalize\":\"" CA_URL "/finalize\"}",
        "{\"status\":\"expired\",\"finalize\":\"" CA_URL "/finalize\"}",
        "[]",
        "null",
        "",
        "{",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ca_rule_t rules[] = {
            { "newOrder", 0, CA_REPLY, 201, bodies[i],
              .location = CA_URL "/order" },
            { "order", 0, CA_REPLY, 200, bodies[i] },
            { NULL },
        };
        replay_t *replay = run("a.example", rules);

        assert_null(replay->chain_pem);
        assert_non_null(replay->error);
        assert_int_equal(replay->error->class, ACME_CLASS_CA_RETRY);
        assert_int_equal(replay->ca->finalizes, 0);
    }
}

static void test_order_location_must_be_https(void **state)
{
    static const char *const locations[] = { NULL, "http://ca.test/order",
                                             "/order", "" };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(locations) / sizeof(locations[0]); i++) {
        ca_rule_t rules[] = {
            { "newOrder", 0, CA_REPLY, 201,
              "{\"status\":\"ready\",\"finalize\":\"" CA_URL "/finalize\"}",
              .location = locations[i] },
            { NULL },
        };
        replay_t *replay = run("a.example", rules);

        assert_failed_as(replay, ACME_E_CA_RESOURCE, ACME_CLASS_CA_RETRY);
    }
}

static void test_order_silent_ca_is_given_up_after_an_hour(void **state)
{
    static const char *const labels[] = { "newOrder", "authorization",
                                          "finalize", "certificate" };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        ca_rule_t rules[] = { { labels[i], 0, CA_DROP }, { NULL } };
        replay_t *replay = run("a.example", rules);

        assert_null(replay->chain_pem);
        assert_int_equal(replay->error->msg, ACME_E_CA_UNREACHABLE);
        assert_in_range(replay_seconds(replay), 3600, 3800);
        assert_true(replay->ca->requests < 300);
    }
}

/* --- other chains ----------------------------------------------------------- */

static replay_t *run_preferring(const char *issuer, const char *links,
                                const ca_rule_t *rules)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->ca->rules = rules;
    replay->ca->chain_links = links;
    replay->wanted.preferred_chain = issuer;
    replay_run(replay);
    assert_done_at_once(replay);
    return replay;
}

static void test_order_preferred_chain_is_taken_from_the_alternates(
    void **state)
{
    static const char *const links[] = {
        "<" CA_URL "/cert/other>;rel=\"alternate\"",
        "</cert/junk>;rel=\"alternate\", </cert/other>;rel=\"alternate\"",
        "<cert/gone>;rel=alternate, <./cert/x/../other>;rel=alternate",
        "<//ca.test/cert/other>;rel=\"alternate\"",
    };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        replay_t *replay = run_preferring("Other Root", links[i], NULL);

        assert_string_equal(replay->chain_pem, replay->ca->other_chain);
        assert_null(remark_of(replay));
    }
}

static void test_order_preferred_chain_by_default_asks_no_more(void **state)
{
    replay_t *replay = run_preferring("Fake Intermediate",
                                      "</cert/other>;rel=\"alternate\"", NULL);

    (void)state;
    assert_string_equal(replay->chain_pem, replay->ca->chain);
    assert_null(remark_of(replay));
    assert_string_equal(replay->transcript, START " " PROVE " " END);
}

static void test_order_without_the_preferred_chain_takes_the_default(
    void **state)
{
    static const char *const links[] = {
        NULL,
        "</cert/other>;rel=\"alternate\", </cert/gone>;rel=\"alternate\"",
        "<http://ca.test/cert/other>;rel=\"alternate\"",
        "</cert/other>;rel=\"index\"",
    };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        replay_t *replay = run_preferring("No Root", links[i], NULL);
        const acme_err_t *remark = remark_of(replay);

        assert_string_equal(replay->chain_pem, replay->ca->chain);
        assert_int_equal(remark->msg, ACME_E_CHAIN_PREFERRED);
        assert_non_null(strstr(remark->text, "No Root"));
        assert_int_equal(strstr(remark->text, "Other Root") != NULL, i == 1);
    }
}

static void test_order_alternate_in_trouble_is_not_waited_for_long(void **state)
{
    static const ca_rule_t rules[] = {
        { "alternate", 0, CA_REPLY, 503, "", NULL },
        { NULL },
    };
    static const ca_rule_t tomorrow[] = {
        { "alternate", 0, CA_REPLY, 503, "", "86400" },
        { NULL },
    };
    static const ca_rule_t once[] = { { "alternate", 1, CA_DROP }, { NULL } };
    const char *link = "</cert/other>;rel=\"alternate\"";
    replay_t *replay = run_preferring("Other Root", link, rules);

    (void)state;
    assert_string_equal(replay->chain_pem, replay->ca->chain);
    assert_in_range(replay_seconds(replay), 2, 60);
    replay = run_preferring("Other Root", link, tomorrow);
    assert_string_equal(replay->chain_pem, replay->ca->chain);
    assert_in_range(replay_seconds(replay), 0, 5);
    replay = run_preferring("Other Root", link, once);
    assert_string_equal(replay->chain_pem, replay->ca->other_chain);
}

static void test_order_alternates_are_bounded(void **state)
{
    const char *links = "</cert/other>;rel=\"index\"";
    replay_t *replay;
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        links =
            apr_psprintf(pool, "%s, </cert/%d>;rel=\"alternate\"", links, i);
    }
    replay = run_preferring("Other Root", links, NULL);
    assert_string_equal(replay->chain_pem, replay->ca->chain);
    assert_in_range(replay->ca->requests, 10, 30);
}

/* --- what is asked for -------------------------------------------------------- */

static void test_order_subject_and_must_staple_are_in_the_request(void **state)
{
    replay_t *replay = replay_create("a.example", pool);
    apr_array_header_t *subject =
        apr_array_make(pool, 2, sizeof(acme_csr_attribute_t));
    const unsigned char *der;
    char *line;
    apr_size_t len;
    X509_REQ *req;

    (void)state;
    assert_null(
        acme_csr_attribute_parse(apr_array_push(subject), "c=DE", pool));
    assert_null(acme_csr_attribute_parse(apr_array_push(subject),
                                         "O=B\xc3\xa4r, Inc,CN=x", pool));
    replay->wanted.subject = subject;
    replay->wanted.must_staple = 1;
    replay_run(replay);
    assert_done_at_once(replay);
    assert_int_equal(
        acme_decode_base64url(&der, &len, replay->ca->last_csr, pool),
        APR_SUCCESS);
    req = d2i_X509_REQ(NULL, &der, (long)len);
    line = X509_NAME_oneline(X509_REQ_get_subject_name(req), NULL, 0);
    assert_string_equal(line, "/C=DE/O=B\\xC3\\xA4r, Inc,CN=x");
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 2);
    OPENSSL_free(line);
    X509_REQ_free(req);
}

static void test_order_must_staple_refused_is_told_as_that(void **state)
{
    static const ca_rule_t rules[][2] = {
        { { "finalize", 1, CA_REPLY, 400,
            CA_PROBLEM("badCSR", "no must-staple here") },
          { NULL } },
        { { "finalize", 1, CA_REPLY, 403,
            CA_PROBLEM("unauthorized", "must-staple is gone") },
          { NULL } },
    };
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->rules = rules[i % 2];
        replay->wanted.must_staple = i < 2;
        replay_run(replay);
        assert_failed_as(replay,
                         i < 2    ? ACME_E_MUST_STAPLE
                         : i == 2 ? ACME_E_CA_PROBLEM_CSR
                                  : ACME_E_CA_PROBLEM_UNAUTHORIZED,
                         ACME_CLASS_CA_FINAL);
        assert_non_null(strstr(replay->error->detail, "must-staple"));
    }
}

/* --- names at fault ------------------------------------------------------------ */

static const char *blamed(const acme_err_t *err)
{
    const char *names = "";
    int i;

    for (i = 0; err->blames && i < err->blames->nelts; i++) {
        const acme_blame_t *blame =
            &APR_ARRAY_IDX(err->blames, i, acme_blame_t);

        assert_true(*blame->text);
        names = apr_psprintf(pool, "%s%s%s=%d", names, i ? " " : "",
                             blame->name, (int)blame->msg);
    }
    return names;
}

static void test_order_all_failing_names_are_told_and_the_others_kept(
    void **state)
{
    replay_t *replay =
        replay_create("a.example b.example *.c.example d.example", pool);

    (void)state;
    replay->ca->fail_name = "b.example *.c.example";
    replay->ca->fail_error = CA_PROBLEM("dns", "NXDOMAIN");
    replay->ca->authz_polls = 2;
    replay_run(replay);
    assert_failed_as(replay, ACME_E_CA_PROBLEM_DNS, ACME_CLASS_CA_RETRY);
    assert_string_equal(blamed(replay->error),
                        "b.example=1311 *.c.example=1311");
    assert_non_null(strstr(replay->error->detail, "*.c.example"));
    assert_int_equal(replay->ca->deactivated, 0);
    assert_int_equal(replay->ca->authz[0], CA_AUTHZ_VALID);
    assert_int_equal(replay->ca->authz[3], CA_AUTHZ_VALID);
}

static void test_order_name_without_a_challenge_is_told(void **state)
{
    replay_t *replay = replay_create("a.example *.b.example", pool);

    (void)state;
    replay->ca->challenge_types = "http-01";
    replay_run(replay);
    assert_failed_as(replay, ACME_E_NO_CHALLENGE, ACME_CLASS_CONFIG);
    assert_string_equal(blamed(replay->error), "*.b.example=1353");
    assert_int_equal(replay->ca->authz[0], CA_AUTHZ_VALID);
}

#define SUB(type, name)                                                        \
    "{\"type\":\"urn:ietf:params:acme:error:" type "\",\"detail\":\"no\","     \
    "\"identifier\":{\"type\":\"dns\",\"value\":\"" name "\"}}"
#define WITH_SUBS(type, subs)                                                  \
    "{\"type\":\"urn:ietf:params:acme:error:" type                             \
    "\",\"detail\":\"refused\",\"subproblems\":[" subs "]}"

static void test_order_refused_names_are_told(void **state)
{
    static const struct {
        const char *label, *problem, *blamed;
    } cases[] = {
        { "newOrder",
          WITH_SUBS("rejectedIdentifier",
                    SUB("rejectedIdentifier", "B.example") "," SUB(
                        "unsupportedIdentifier", "c.example")),
          "b.example=1320 *.c.example=1324" },
        { "newOrder", WITH_SUBS("compound", SUB("caa", "a.example")),
          "a.example=1308" },
        /* as Boulder says it where there is one only */
        { "newOrder",
          CA_PROBLEM("rejectedIdentifier",
                     "Cannot issue for \\\"b.example\\\": forbidden by policy"),
          "b.example=1320" },
        { "finalize",
          CA_PROBLEM("caa", "CAA record for a.example prevents issuance"),
          "a.example=1308" },
        /* nobody can tell */
        { "newOrder", CA_PROBLEM("rejectedIdentifier", "something is wrong"),
          "" },
        { "newOrder",
          CA_PROBLEM("rejectedIdentifier", "a.example and b.example"), "" },
        { "newOrder", CA_PROBLEM("rejectedIdentifier", "x.a.example"), "" },
        { "newOrder",
          WITH_SUBS("rejectedIdentifier",
                    SUB("rejectedIdentifier", "e.example")),
          "" },
        /* about something else */
        { "newOrder", CA_PROBLEM("malformed", "what is a.example?"), "" },
        { "newOrder",
          WITH_SUBS("compound",
                    SUB("malformed", "a.example") "," SUB("caa", "b.example")),
          "" },
    };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ca_rule_t rules[] = {
            { cases[i].label, 1, CA_REPLY, 403, cases[i].problem }, { NULL }
        };
        replay_t *replay = run("a.example b.example *.c.example", rules);

        assert_non_null(replay->error);
        assert_string_equal(blamed(replay->error), cases[i].blamed);
    }
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_order_happy_path_asks_no_more_than_needed),
    POOL_TEST(test_order_several_names_share_requests_not_proofs),
    POOL_TEST(test_order_shuffled_authorizations_are_matched_by_name),
    POOL_TEST(test_order_hundred_long_names_are_issued),
    POOL_TEST(test_order_valid_authorizations_are_left_alone),
    POOL_TEST(test_order_ready_at_once_goes_to_finalize),
    POOL_TEST(test_order_without_authorizations_goes_to_finalize),
    POOL_TEST(test_order_badnonce_retries_with_new_nonce),
    POOL_TEST(test_order_badnonce_without_nonce_fetches_one),
    POOL_TEST(test_order_badnonce_for_ever_is_given_up),
    POOL_TEST(test_order_unknown_account_is_registered_again_once),
    POOL_TEST(test_order_account_unknown_for_ever_fails),
    POOL_TEST(test_order_takes_first_configured_challenge_on_offer),
    POOL_TEST(test_order_no_usable_challenge_lists_what_is_offered),
    POOL_TEST(test_order_hostile_challenges_are_passed_over),
    POOL_TEST(test_order_challenge_without_token_is_answered),
    POOL_TEST(test_order_dns_account_01_is_answered),
    POOL_TEST(test_order_answer_refused_with_conflict_goes_on_polling),
    POOL_TEST(test_order_answer_whose_reply_is_lost_is_not_repeated),
    POOL_TEST(test_order_answer_that_never_arrived_is_given_again),
    POOL_TEST(test_order_refused_answer_fails_if_still_pending),
    POOL_TEST(test_order_failed_challenge_tells_name_and_reason),
    POOL_TEST(test_order_failed_challenge_deactivates_pending_ones),
    POOL_TEST(test_order_unauthorized_validation_is_retried_later),
    POOL_TEST(test_order_foreign_authorization_is_refused),
    POOL_TEST(test_order_unreadable_authorization_of_ready_order_passes),
    POOL_TEST(test_order_unreadable_authorization_of_pending_order_fails),
    POOL_TEST(test_order_polls_authorization_with_growing_pauses),
    POOL_TEST(test_order_polls_as_retry_after_says),
    POOL_TEST(test_order_retry_after_is_clamped),
    POOL_TEST(test_order_processing_for_days_is_waited_for),
    POOL_TEST(test_order_ready_for_ever_after_finalize_is_given_up),
    POOL_TEST(test_order_notready_is_read_again),
    POOL_TEST(test_order_finalize_reply_lost_is_not_finalized_twice),
    POOL_TEST(test_order_finalize_500_waits_and_looks_first),
    POOL_TEST(test_order_finalize_500_for_ever_is_given_up),
    POOL_TEST(test_order_badcsr_is_final),
    POOL_TEST(test_order_invalid_tells_the_orders_error),
    POOL_TEST(test_order_valid_without_certificate_url_is_refused),
    POOL_TEST(test_order_certificate_of_other_key_or_names_fails),
    POOL_TEST(test_order_html_504_for_certificate_is_asked_again),
    POOL_TEST(test_order_html_for_certificate_is_never_taken),
    POOL_TEST(test_order_html_200_for_certificate_is_asked_again),
    POOL_TEST(test_order_that_the_ca_has_forgotten_is_told),
    POOL_TEST(test_order_neworder_lost_is_repeated),
    POOL_TEST(test_order_neworder_ratelimited_fails_until_then),
    POOL_TEST(test_order_paused_identifier_needs_a_human),
    POOL_TEST(test_order_paused_address_is_kept_whole),
    POOL_TEST(test_order_neworder_busy_is_asked_again),
    POOL_TEST(test_order_rejected_names_are_all_named),
    POOL_TEST(test_order_profile_is_sent_if_advertised),
    POOL_TEST(test_order_profile_unadvertised_is_left_out),
    POOL_TEST(test_order_profile_required_but_unadvertised_fails),
    POOL_TEST(test_order_profile_refused_is_left_out_unless_required),
    POOL_TEST(test_refusals_are_told_and_not_repeated),
    POOL_TEST(test_validation_problems_are_for_a_later_attempt),
    POOL_TEST(test_order_hostile_order_objects_are_refused),
    POOL_TEST(test_order_location_must_be_https),
    POOL_TEST(test_order_silent_ca_is_given_up_after_an_hour),
    POOL_TEST(test_order_preferred_chain_is_taken_from_the_alternates),
    POOL_TEST(test_order_preferred_chain_by_default_asks_no_more),
    POOL_TEST(test_order_without_the_preferred_chain_takes_the_default),
    POOL_TEST(test_order_alternate_in_trouble_is_not_waited_for_long),
    POOL_TEST(test_order_alternates_are_bounded),
    POOL_TEST(test_order_subject_and_must_staple_are_in_the_request),
    POOL_TEST(test_order_must_staple_refused_is_told_as_that),
    POOL_TEST(test_order_all_failing_names_are_told_and_the_others_kept),
    POOL_TEST(test_order_name_without_a_challenge_is_told),
    POOL_TEST(test_order_refused_names_are_told),
};

RUN_TESTS(tests)
