#include "core_test.h"

#include "core/nonces.h"
#include "replay.h"

static replay_t *run(const ca_rule_t *rules)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->ca->rules = rules;
    replay_run(replay);
    return replay;
}

static void assert_session_failed(const replay_t *replay, acme_msg_t msg,
                                  int seconds)
{
    assert_true(replay->session_failed);
    if (replay->error->msg != msg) {
        fail_msg("%s", acme_err_line(replay->error, pool));
    }
    assert_int_equal(apr_time_sec(replay->retry_session_at - replay->now),
                     seconds);
}

/* Drive a session alone, its requests answered by the fake CA, to READY.
 * @return number of requests */
static int settle(replay_t *replay, int waiting)
{
    acme_session_step_t step;
    int sent = 0;

    for (;;) {
        acme_reply_t reply = { 0 };
        acme_wire_t *wire;

        acme_session_next(&step, replay->session, waiting, replay->now);
        if (step.state != ACME_SESSION_SEND) {
            assert_int_equal(step.state, ACME_SESSION_READY);
            return sent;
        }
        assert_no_err(
            acme_session_sign(&wire, replay->session, step.request, pool));
        ca_answer(replay->ca, step.request->label, wire, &reply, pool);
        assert_int_equal(acme_session_receive(replay->session, step.request,
                                              &reply, replay->now),
                         ACME_VERDICT_DELIVER);
        acme_session_feed(replay->session, step.request, &reply, replay->now);
        sent++;
    }
}

/* --- account -------------------------------------------------------------- */

static void test_session_known_kid_is_used_without_asking(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.known.kid = CA_URL "/account/1";
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->accounts, 0);
    assert_null(replay->disk_kid);
}

static void test_session_newaccount_says_what_is_configured(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    APR_ARRAY_PUSH(replay->account.contacts, const char *) =
        "mailto:admin@a.example";
    replay->account.eab_kid = "kid-1";
    replay->account.eab_hmac = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ";
    replay->ca->meta = "\"termsOfService\":\"https://ca.test/terms\","
                       "\"externalAccountRequired\":true";
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_non_null(
        strstr(replay->ca->last_account, "\"termsOfServiceAgreed\":true"));
    assert_non_null(strstr(replay->ca->last_account,
                           "\"contact\":[\"mailto:admin@a.example\"]"));
    assert_non_null(
        strstr(replay->ca->last_account, "\"externalAccountBinding\":{"));
}

static void test_session_waits_no_longer_than_is_configured(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 1, CA_REPLY, 400,
          CA_PROBLEM("badSignatureAlgorithm", "no") },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->rules = rules;
    replay->account.retry_first = apr_time_from_sec(2);
    replay->account.retry_max = apr_time_from_sec(2);
    replay_run(replay);
    assert_session_failed(replay, ACME_E_CA_PROBLEM_ALGORITHM, 2);
}

static void test_session_terms_are_never_agreed_by_itself(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.agree_terms = 0;
    replay->ca->meta = "\"termsOfService\":\"https://ca.test/terms\"";
    replay_run(replay);
    assert_session_failed(replay, ACME_E_TERMS, 60);
    assert_int_equal(replay->error->class, ACME_CLASS_CONFIG);
    assert_non_null(strstr(replay->error->text, "https://ca.test/terms"));
    assert_non_null(
        strstr(acme_msg_entry(ACME_E_TERMS)->remedy, "AcmeAgreeTerms"));
    assert_int_equal(replay->ca->accounts, 0);
}

static void test_session_no_terms_no_agreement_is_fine(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.agree_terms = 0;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_string_equal(replay->ca->last_account, "{}");
}

static void test_session_missing_eab_is_told_without_asking(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->meta = "\"externalAccountRequired\":true";
    replay_run(replay);
    assert_session_failed(replay, ACME_E_EAB_MISSING, 60);
    assert_int_equal(replay->ca->accounts, 0);
}

static void test_session_eab_asked_for_by_surprise_is_config(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 0, CA_REPLY, 403,
          CA_PROBLEM("externalAccountRequired", "see our site") },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_CA_PROBLEM_EAB, 60);
    assert_int_equal(replay->error->class, ACME_CLASS_CONFIG);
}

static void test_session_useractionrequired_gives_the_link(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 0, CA_REPLY, 403,
          CA_PROBLEM("userActionRequired", "new terms"),
          .link = "<https://ca.test/terms-2>;rel=\"terms-of-service\"" },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_CA_PROBLEM_ACTION, 60);
    assert_string_equal(replay->error->instance, "https://ca.test/terms-2");
}

static void test_session_existing_account_is_taken(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 1, CA_REPLY, 200, "{\"status\":\"valid\"}",
          .location = CA_URL "/account/7" },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_non_null(replay->chain_pem);
    assert_string_equal(replay->disk_kid, CA_URL "/account/7");
}

static void test_session_closed_account_is_refused(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 1, CA_REPLY, 200, "{\"status\":\"deactivated\"}",
          .location = CA_URL "/account/7" },
        { NULL },
    };

    (void)state;
    assert_session_failed(run(rules), ACME_E_ACCOUNT_CLOSED, 60);
}

static void test_session_account_location_must_be_https(void **state)
{
    static const char *const locations[] = { NULL, "http://ca.test/account" };
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        ca_rule_t rules[] = {
            { "newAccount", 1, CA_REPLY, 201, "{}", .location = locations[i] },
            { NULL },
        };
        assert_session_failed(run(rules), ACME_E_CA_RESOURCE, 60);
    }
}

static void test_session_badsignaturealgorithm_is_final(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 1, CA_REPLY, 400,
          "{\"type\": \"urn:ietf:params:acme:error:badSignatureAlgorithm\","
          "\"detail\": \"ES256 is out\","
          "\"algorithms\": [\"EdDSA\", 7, \"ES384\", \"R\\u0007S\"]}" },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_CA_PROBLEM_ALGORITHM, 60);
    assert_int_equal(replay->error->class, ACME_CLASS_CA_FINAL);
    assert_non_null(strstr(
        acme_err_line(replay->error, pool),
        "account key; it accepts EdDSA, ES384 (AcmeAccountKey ecdsa-p384), R"));
    assert_null(strchr(replay->error->text, 7));
}

/* --- adopted keys ---------------------------------------------------------- */

static replay_t *adopted(const ca_rule_t *rules)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->account.adopted = 1;
    replay->account.agree_terms = 0;
    replay->ca->meta = "\"termsOfService\":\"https://ca.test/terms\"";
    replay->ca->rules = rules;
    replay_run(replay);
    return replay;
}

static void test_session_adopted_key_is_looked_up(void **state)
{
    replay_t *replay = adopted(NULL);

    (void)state;
    assert_non_null(replay->chain_pem);
    assert_string_equal(replay->ca->last_account,
                        "{\"onlyReturnExisting\":true}");
    assert_int_equal(replay->ca->accounts, 0);
}

static void test_session_adopted_key_is_never_registered(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 0, CA_REPLY, 400,
          CA_PROBLEM("accountDoesNotExist", "no such key") },
        { NULL },
    };
    replay_t *replay = adopted(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_ACCOUNT_UNKNOWN, 60);
    assert_int_equal(replay->error->class, ACME_CLASS_CONFIG);
    assert_string_equal(replay->error->detail, "no such key");
    assert_int_equal(replay->ca->accounts, 0);
}

static void test_session_adopted_account_forgotten_is_not_made_anew(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 400,
          CA_PROBLEM("accountDoesNotExist", "who?") },
        { "newAccount", 2, CA_REPLY, 400,
          CA_PROBLEM("accountDoesNotExist", "no such key") },
        { NULL },
    };
    replay_t *replay = adopted(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_ACCOUNT_UNKNOWN, 60);
    assert_int_equal(replay->ca->accounts, 0);
}

/* --- changes --------------------------------------------------------------- */

static replay_t *with_contact(const char *told)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->account.known.kid = CA_URL "/account/1";
    replay->account.known.contacts = told;
    APR_ARRAY_PUSH(replay->account.contacts, const char *) =
        "mailto:new@a.example";
    return replay;
}

static void test_session_changed_contact_is_told_once(void **state)
{
    replay_t *replay = with_contact("mailto:old@a.example");

    (void)state;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_string_equal(replay->ca->last_update,
                        "{\"contact\":[\"mailto:new@a.example\"]}");
    assert_int_equal(replay->ca->updates, 1);
    assert_string_equal(replay->disk_account.contacts, "mailto:new@a.example");
    assert_string_equal(replay->disk_kid, CA_URL "/account/1");
}

static void test_session_contact_told_before_is_not_told_again(void **state)
{
    replay_t *replay = with_contact("mailto:new@a.example");

    (void)state;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->updates, 0);
}

/* acmectl has told the CA others since. */
static void test_session_overruled_contacts_wait_for_a_change(void **state)
{
    replay_t *replay = with_contact("mailto:by-hand@a.example");

    (void)state;
    replay->account.known.overruled = "mailto:new@a.example";
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->updates, 0);
    replay = with_contact("mailto:by-hand@a.example");
    replay->account.known.overruled = "mailto:older@a.example";
    replay_run(replay);
    assert_int_equal(replay->ca->updates, 1);
    assert_string_equal(replay->disk_account.contacts, "mailto:new@a.example");
    assert_null(replay->disk_account.overruled);
}

static void test_session_contacts_taken_away_are_told(void **state)
{
    replay_t *replay = with_contact("mailto:old@a.example");

    (void)state;
    apr_array_clear(replay->account.contacts);
    replay_run(replay);
    assert_string_equal(replay->ca->last_update, "{\"contact\":[]}");
    assert_string_equal(replay->disk_account.contacts, "");
}

static void test_session_refused_contact_stops_no_order(void **state)
{
    static const ca_rule_t rules[] = {
        { "account", 0, CA_REPLY, 400, CA_PROBLEM("invalidContact", "no") },
        { NULL },
    };
    replay_t *replay = with_contact(NULL);

    (void)state;
    replay->ca->rules = rules;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_string_equal(replay->disk_account.contacts, "mailto:new@a.example");
    const acme_err_t *trouble = acme_session_take_trouble(replay->session);
    assert_int_equal(trouble->msg, ACME_E_CA_PROBLEM_CONTACT);
    assert_null(acme_session_take_trouble(replay->session));
}

static void test_session_contact_not_heard_is_told_an_hour_later(void **state)
{
    static const ca_rule_t rules[] = {
        { "account", 1, CA_REPLY, 503, "" },
        { NULL },
    };
    replay_t *replay = with_contact("");

    (void)state;
    replay->ca->rules = rules;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_false(replay->disk_saved);
    assert_int_equal(settle(replay, 0), 0);
    replay->now += apr_time_from_sec(3600);
    assert_int_equal(settle(replay, 0), 1);
    assert_int_equal(replay->ca->updates, 1);
}

static void test_session_found_account_is_told_the_contact(void **state)
{
    static const ca_rule_t rules[] = {
        { "newAccount", 1, CA_REPLY, 200, "{\"status\":\"valid\"}",
          .location = CA_URL "/account/7" },
        { NULL },
    };
    replay_t *replay = with_contact(NULL);

    (void)state;
    replay->account.known.kid = NULL;
    replay->ca->rules = rules;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->updates, 1);
}

#define NEW_TERMS                                                              \
    CA_PROBLEM("userActionRequired", "new terms"),                             \
        .link = "<https://ca.test/terms-2>;rel=\"terms-of-service\""

static void test_session_new_terms_agreed_by_name_are_told(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 403, NEW_TERMS },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.known.kid = CA_URL "/account/1";
    replay->account.terms = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(replay->account.terms, const char *) =
        "https://ca.test/terms-2";
    replay->ca->rules = rules;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_string_equal(replay->ca->last_update,
                        "{\"termsOfServiceAgreed\":true}");
    assert_int_equal(replay->ca->updates, 1);
    assert_string_equal(replay->disk_account.terms, "https://ca.test/terms-2");
}

static void test_session_new_terms_are_not_agreed_by_on(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 403, NEW_TERMS },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_false(replay->session_failed);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_ACTION);
    assert_string_equal(replay->error->instance, "https://ca.test/terms-2");
    assert_non_null(strstr(acme_err_line(replay->error, pool),
                           "see https://ca.test/terms-2"));
    assert_int_equal(replay->ca->updates, 0);
}

static void test_session_new_terms_are_told_once_if_that_does_not_help(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 403, NEW_TERMS },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.terms = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(replay->account.terms, const char *) =
        "https://ca.test/terms-2";
    replay->ca->rules = rules;
    replay_run(replay);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_ACTION);
    assert_int_equal(replay->ca->updates, 1);
}

static void test_session_terms_by_name_are_those_and_no_others(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->account.agree_terms = 0;
    replay->account.terms = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(replay->account.terms, const char *) =
        "https://ca.test/terms-1";
    replay->ca->meta = "\"termsOfService\":\"https://ca.test/terms-2\"";
    replay_run(replay);
    assert_session_failed(replay, ACME_E_TERMS, 60);
    replay->ca->meta = "\"termsOfService\":\"https://ca.test/terms-1\"";
    replay->session_failed = 0;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_non_null(
        strstr(replay->ca->last_account, "\"termsOfServiceAgreed\":true"));
}

/* --- closed, forgotten ------------------------------------------------------ */

static void test_session_closed_account_is_told_from_other_refusals(
    void **state)
{
    static const ca_rule_t closed[] = {
        { "newOrder", 0, CA_REPLY, 403, CA_PROBLEM("unauthorized", "no") },
        { "account", 0, CA_REPLY, 403,
          CA_PROBLEM("unauthorized", "account is deactivated") },
        { NULL },
    };
    static const ca_rule_t open[] = {
        { "newOrder", 0, CA_REPLY, 403, CA_PROBLEM("unauthorized", "no") },
        { NULL },
    };
    replay_t *replay = run(closed);

    (void)state;
    assert_session_failed(replay, ACME_E_ACCOUNT_CLOSED, 60);
    assert_string_equal(replay->error->detail, "account is deactivated");
    assert_int_equal(replay->ca->accounts, 1);
    replay = run(open);
    assert_false(replay->session_failed);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_UNAUTHORIZED);
    assert_int_equal(replay->ca->updates, 1);
    assert_string_equal(replay->ca->last_update, "");
}

static void test_session_status_of_account_tells_that_it_is_closed(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 401, CA_PROBLEM("unauthorized", "no") },
        { "account", 0, CA_REPLY, 200, "{\"status\":\"revoked\"}" },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_ACCOUNT_CLOSED, 60);
    assert_non_null(strstr(replay->error->text, "revoked"));
}

static void test_session_recovery_is_remembered_over_a_restart(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 400,
          CA_PROBLEM("accountDoesNotExist", "who?") },
        { NULL },
    };
    replay_t *replay = run(rules);
    int i;

    (void)state;
    /* registered, forgotten, registered again: and no more within the hour */
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_ACCOUNT);
    assert_int_equal(replay->ca->accounts, 2);
    for (i = 0; i < 5; i++) {
        replay->now += apr_time_from_sec(60);
        replay->disk = NULL;
        replay_run(replay);
    }
    assert_int_equal(replay->ca->accounts, 2);
}

static void test_session_account_forgotten_while_told_is_registered(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "account", 1, CA_REPLY, 400,
          CA_PROBLEM("accountDoesNotExist", "who?") },
        { NULL },
    };
    replay_t *replay = with_contact("mailto:old@a.example");

    (void)state;
    replay->ca->rules = rules;
    replay_run(replay);
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->accounts, 1);
    assert_int_equal(replay->ca->updates, 0);
}

/* --- directory ------------------------------------------------------------ */

static void test_session_no_directory_is_told(void **state)
{
    static const char *const bodies[] = {
        "<html>Welcome</html>",
        "{}",
        "[]",
        "",
        ("{\"newNonce\":\"http://ca.test/n\",\"newAccount\":\"https://ca.test/a"
         "\",\"newOrder\":\"https://ca.test/o\"}"),
        "{\"newNonce\":1,\"newAccount\":2,\"newOrder\":3}",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ca_rule_t rules[] = { { "directory", 0, CA_REPLY, 200, bodies[i] },
                              { NULL } };
        replay_t *replay = run(rules);

        assert_session_failed(replay, ACME_E_CA_DIRECTORY, 60);
        assert_non_null(strstr(replay->error->text, CA_DIRECTORY));
    }
}

static void test_session_failure_honours_retry_after(void **state)
{
    static const ca_rule_t rules[] = {
        { "directory", 1, CA_REPLY, 503, "", .retry_after = "300" },
        { NULL },
    };

    (void)state;
    assert_session_failed(run(rules), ACME_E_CA_BUSY, 300);
}

/* Feed one failure after another without a CA. */
static apr_time_t fail_once(acme_session_t *session, apr_time_t now)
{
    acme_reply_t reply = { NULL, 500, "", 0 };
    acme_session_step_t step;

    acme_session_next(&step, session, 0, now);
    assert_int_equal(step.state, ACME_SESSION_SEND);
    acme_session_feed(session, step.request, &reply, now);
    acme_session_next(&step, session, 0, now);
    assert_int_equal(step.state, ACME_SESSION_FAILED);
    assert_non_null(step.error);
    return step.until;
}

static void test_session_backs_off_1_10_100_minutes_then_daily(void **state)
{
    static const int minutes[] = { 1, 10, 100, 1000, 1440, 1440 };
    replay_t *replay = replay_create("a.example", pool);
    acme_session_t *session = acme_session_create(&replay->account, pool);
    apr_time_t now = replay->now;
    int i;

    (void)state;
    for (i = 0; i < 6; i++) {
        apr_time_t until = fail_once(session, now);

        assert_int_equal(apr_time_sec(until - now), 60 * minutes[i]);
        now = until;
    }
}

static replay_t *ready_session(void)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->session = acme_session_create(&replay->account, pool);
    assert_int_equal(settle(replay, 0), 3);
    return replay;
}

static void test_session_directory_is_read_daily(void **state)
{
    replay_t *replay = ready_session();

    (void)state;
    assert_int_equal(settle(replay, 0), 0);
    replay->now += apr_time_from_sec(86399);
    assert_int_equal(settle(replay, 0), 0);
    replay->now += apr_time_from_sec(1);
    assert_int_equal(settle(replay, 0), 1);
    assert_int_equal(settle(replay, 0), 0);
}

static void test_session_directory_is_read_again_after_404(void **state)
{
    replay_t *replay = ready_session();
    acme_request_t request = { ACME_METHOD_POST, CA_URL "/new-order", "{}" };
    acme_reply_t reply = { NULL, 404, "", 0 };

    (void)state;
    replay->now += apr_time_from_sec(61);
    assert_int_equal(
        acme_session_receive(replay->session, &request, &reply, replay->now),
        ACME_VERDICT_DELIVER);
    assert_int_equal(settle(replay, 0), 1);
    acme_session_receive(replay->session, &request, &reply, replay->now);
    assert_int_equal(settle(replay, 0), 0); /* not more than once a minute */
}

static void test_session_old_directory_serves_while_new_one_fails(void **state)
{
    static const ca_rule_t rules[] = {
        { "directory", 2, CA_REPLY, 500, "" },
        { NULL },
    };
    replay_t *replay = ready_session();

    (void)state;
    replay->ca->rules = rules;
    replay->now += apr_time_from_sec(86400);
    assert_int_equal(settle(replay, 0), 1);
    assert_string_equal(acme_session_directory(replay->session)->new_order,
                        CA_URL "/new-order");
    replay->now += apr_time_from_sec(3600);
    assert_int_equal(settle(replay, 0), 1);
}

/* A newNonce that is answered drop by drop outlives two directories. */
static void test_session_request_keeps_its_url_whatever_the_directory_says(
    void **state)
{
    static const char MOVED[] = "{\"newNonce\":\"" CA_URL "/another-nonce\","
                                "\"newAccount\":\"" CA_URL "/new-account\","
                                "\"newOrder\":\"" CA_URL "/new-order\"}";
    static const ca_rule_t rules[] = {
        { "directory", 0, CA_REPLY, 200, MOVED },
        { NULL },
    };
    replay_t *replay = ready_session();
    acme_session_step_t step;

    (void)state;
    replay->ca->rules = rules;
    acme_session_next(&step, replay->session, 2, replay->now);
    assert_int_equal(step.state, ACME_SESSION_SEND);
    for (int i = 0; i < 2; i++) {
        replay->now += apr_time_from_sec(86400);
        assert_int_equal(settle(replay, 0), 1);
    }
    assert_string_equal(step.request->url, CA_URL "/nonce");
}

/* --- nonces --------------------------------------------------------------- */

static void test_session_fetches_nonces_in_paced_bursts(void **state)
{
    replay_t *replay = ready_session();
    acme_session_step_t step;
    int burst = 0, second = 0;

    (void)state;
    replay->now += apr_time_from_sec(60);
    while (acme_session_next(&step, replay->session, 100, replay->now),
           step.state == ACME_SESSION_SEND) {
        burst++;
    }
    assert_int_equal(burst, 8);
    assert_int_equal(step.state, ACME_SESSION_READY);
    assert_true(step.until > replay->now);
    while (replay->now = step.until, second < 15) {
        acme_session_next(&step, replay->session, 100, replay->now);
        if (step.state == ACME_SESSION_SEND) {
            second++;
            step.until = replay->now;
        }
    }
    assert_in_range(replay->now - replay->start, apr_time_from_sec(60) + 900000,
                    apr_time_from_sec(61) + 100000);
}

static void test_session_fetches_no_more_nonces_than_waiting(void **state)
{
    replay_t *replay = ready_session();
    acme_session_step_t step;
    int asked = 0;

    (void)state;
    /* One is at hand: it came with the account. */
    while (acme_session_next(&step, replay->session, 3, replay->now),
           step.state == ACME_SESSION_SEND) {
        asked++;
    }
    assert_int_equal(asked, 2);
}

static void test_session_nonce_trouble_fails_only_after_an_hour(void **state)
{
    static const ca_rule_t brief[] = {
        { "newNonce", 1, CA_REPLY, 503, "", .retry_after = "5",
          .without_nonce = 1 },
        { "newNonce", 2, CA_REPLY, 200, "", .without_nonce = 1 },
        { NULL },
    };
    static const ca_rule_t lasting[] = {
        { "newNonce", 0, CA_REPLY, 200, "", .without_nonce = 1 },
        { NULL },
    };
    replay_t *replay = run(brief);

    (void)state;
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay_seconds(replay), 5 + 2 + 1);
    replay = run(lasting);
    assert_session_failed(replay, ACME_E_CA_RESOURCE, 60);
    assert_in_range(replay_seconds(replay), 3600, 3700);
    /* where another CA could be asked */
    replay = replay_create("a.example", pool);
    replay->account.nonce_patience = apr_time_from_sec(30);
    replay->ca->rules = lasting;
    replay_run(replay);
    assert_session_failed(replay, ACME_E_CA_RESOURCE, 60);
    assert_in_range(replay_seconds(replay), 30, 40);
}

/* newNonce is asked, and answered so. */
static void refuse_nonce(replay_t *replay, const char *retry_after)
{
    acme_reply_t reply = { NULL, 503, "", 0, .retry_after = retry_after };
    acme_session_step_t step;

    acme_session_next(&step, replay->session, 10, replay->now);
    assert_int_equal(step.state, ACME_SESSION_SEND);
    assert_string_equal(step.request->label, "newNonce");
    acme_session_receive(replay->session, step.request, &reply, replay->now);
    acme_session_feed(replay->session, step.request, &reply, replay->now);
}

static void assert_ready(replay_t *replay)
{
    acme_session_step_t step;

    acme_session_next(&step, replay->session, 0, replay->now);
    assert_int_equal(step.state, ACME_SESSION_READY);
}

static void test_session_nonce_trouble_ends_with_any_nonce(void **state)
{
    acme_request_t request = { ACME_METHOD_POST, CA_URL "/order", "" };
    acme_reply_t reply = { NULL, 200, "{}", 2, .nonce = "of-an-order" };
    replay_t *replay = ready_session();

    (void)state;
    refuse_nonce(replay, NULL);
    acme_session_receive(replay->session, &request, &reply, replay->now);
    replay->now += apr_time_from_sec(7200);
    refuse_nonce(replay, NULL);
    assert_ready(replay);
}

static void test_session_nonce_put_off_for_hours_is_told_at_once(void **state)
{
    static const ca_rule_t rules[] = {
        { "newNonce", 0, CA_REPLY, 503, "", .retry_after = "7200",
          .without_nonce = 1 },
        { NULL },
    };
    replay_t *replay = run(rules);

    (void)state;
    assert_session_failed(replay, ACME_E_CA_BUSY, 7200);
    assert_int_equal(replay_seconds(replay), 0);
    /* unless orders can go on with what is there */
    replay = ready_session();
    refuse_nonce(replay, "7200");
    assert_ready(replay);
}

static void test_nonces_are_bounded_newest_first_and_checked(void **state)
{
    acme_nonces_t *nonces = acme_nonces_create(pool);
    char *longest = apr_palloc(pool, ACME_MAX_NONCE + 2);
    int i;

    (void)state;
    assert_false(acme_nonces_put(nonces, NULL));
    assert_false(acme_nonces_put(nonces, ""));
    assert_false(acme_nonces_put(nonces, "a=b"));
    assert_false(acme_nonces_put(nonces, "a\r\nb"));
    memset(longest, 'n', ACME_MAX_NONCE + 1);
    longest[ACME_MAX_NONCE + 1] = '\0';
    assert_false(acme_nonces_put(nonces, longest));
    longest[ACME_MAX_NONCE] = '\0';
    for (i = 0; i < 200; i++) {
        assert_true(acme_nonces_put(nonces, longest));
    }
    for (i = 0; i < 200; i++) {
        assert_true(acme_nonces_put(nonces, apr_psprintf(pool, "n%d", i)));
    }
    assert_int_equal(acme_nonces_count(nonces), ACME_MAX_NONCES);
    for (i = 199; i > 199 - ACME_MAX_NONCES; i--) {
        assert_string_equal(acme_nonces_take(nonces, pool),
                            apr_psprintf(pool, "n%d", i));
    }
    assert_null(acme_nonces_take(nonces, pool));
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_session_known_kid_is_used_without_asking),
    POOL_TEST(test_session_newaccount_says_what_is_configured),
    POOL_TEST(test_session_waits_no_longer_than_is_configured),
    POOL_TEST(test_session_terms_are_never_agreed_by_itself),
    POOL_TEST(test_session_no_terms_no_agreement_is_fine),
    POOL_TEST(test_session_missing_eab_is_told_without_asking),
    POOL_TEST(test_session_eab_asked_for_by_surprise_is_config),
    POOL_TEST(test_session_useractionrequired_gives_the_link),
    POOL_TEST(test_session_existing_account_is_taken),
    POOL_TEST(test_session_closed_account_is_refused),
    POOL_TEST(test_session_account_location_must_be_https),
    POOL_TEST(test_session_badsignaturealgorithm_is_final),
    POOL_TEST(test_session_adopted_key_is_looked_up),
    POOL_TEST(test_session_adopted_key_is_never_registered),
    POOL_TEST(test_session_adopted_account_forgotten_is_not_made_anew),
    POOL_TEST(test_session_changed_contact_is_told_once),
    POOL_TEST(test_session_contact_told_before_is_not_told_again),
    POOL_TEST(test_session_overruled_contacts_wait_for_a_change),
    POOL_TEST(test_session_contacts_taken_away_are_told),
    POOL_TEST(test_session_refused_contact_stops_no_order),
    POOL_TEST(test_session_contact_not_heard_is_told_an_hour_later),
    POOL_TEST(test_session_found_account_is_told_the_contact),
    POOL_TEST(test_session_new_terms_agreed_by_name_are_told),
    POOL_TEST(test_session_new_terms_are_not_agreed_by_on),
    POOL_TEST(test_session_new_terms_are_told_once_if_that_does_not_help),
    POOL_TEST(test_session_terms_by_name_are_those_and_no_others),
    POOL_TEST(test_session_closed_account_is_told_from_other_refusals),
    POOL_TEST(test_session_status_of_account_tells_that_it_is_closed),
    POOL_TEST(test_session_recovery_is_remembered_over_a_restart),
    POOL_TEST(test_session_account_forgotten_while_told_is_registered),
    POOL_TEST(test_session_no_directory_is_told),
    POOL_TEST(test_session_failure_honours_retry_after),
    POOL_TEST(test_session_backs_off_1_10_100_minutes_then_daily),
    POOL_TEST(test_session_directory_is_read_daily),
    POOL_TEST(test_session_directory_is_read_again_after_404),
    POOL_TEST(test_session_old_directory_serves_while_new_one_fails),
    POOL_TEST(test_session_request_keeps_its_url_whatever_the_directory_says),
    POOL_TEST(test_session_fetches_nonces_in_paced_bursts),
    POOL_TEST(test_session_fetches_no_more_nonces_than_waiting),
    POOL_TEST(test_session_nonce_trouble_fails_only_after_an_hour),
    POOL_TEST(test_session_nonce_trouble_ends_with_any_nonce),
    POOL_TEST(test_session_nonce_put_off_for_hours_is_told_at_once),
    POOL_TEST(test_nonces_are_bounded_newest_first_and_checked),
};

RUN_TESTS(tests)
