/* Which challenge is taken up, and what comes after one that came to nothing. */
#include "core_test.h"

#include "core/order_impl.h"
#include "replay.h"

#define START "directory newNonce newAccount newOrder"
#define PROVE "authorization challenge authorization"
#define END   "finalize certificate"

static replay_t *failing(const char *types, int forgiving)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->ca->fail_name = "a.example";
    replay->ca->fail_error = CA_PROBLEM("connection", "192.0.2.1: refused");
    replay->ca->fail_types = types;
    replay->ca->forgiving = forgiving;
    replay_run(replay);
    assert_int_equal(apr_hash_count(replay->ca->visible), 0);
    assert_int_equal(replay->published, replay->withdrawn);
    return replay;
}

static void assert_setback(const replay_t *replay, acme_proof_type_t type,
                           int last)
{
    const acme_setback_t *setback = acme_order_setback(replay->order);

    assert_non_null(setback);
    assert_int_equal(setback->type, type);
    assert_string_equal(setback->ident->value, "a.example");
    assert_int_equal(setback->err->msg, ACME_E_CA_PROBLEM_CONNECTION);
    assert_non_null(strstr(setback->err->detail, "192.0.2.1"));
    assert_int_equal(setback->last, last);
}

static void test_choice_next_challenge_of_a_pending_authorization(void **state)
{
    replay_t *replay = failing("http-01", 1);

    (void)state;
    assert_null(replay->error);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(replay->published, 2);
    assert_setback(replay, ACME_PROOF_HTTP_01, 0);
    assert_string_equal(replay->transcript, START " " PROVE " " PROVE " " END);
    assert_non_null(strstr(replay->disk, "\"tls-alpn-01\""));
}

static void test_choice_all_of_them_come_to_nothing(void **state)
{
    replay_t *replay = failing(NULL, 1);

    (void)state;
    assert_non_null(replay->error);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_CONNECTION);
    assert_int_equal(replay->published, 3);
    assert_setback(replay, ACME_PROOF_DNS_01, 1);
}

static void test_choice_nothing_else_on_offer_tells_the_failure(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->challenge_types = "tls-alpn-01";
    replay->ca->fail_name = "a.example";
    replay->ca->fail_error = CA_PROBLEM("connection", "192.0.2.1: refused");
    replay->ca->forgiving = 1;
    replay_run(replay);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_CONNECTION);
    assert_setback(replay, ACME_PROOF_TLS_ALPN_01, 1);
    assert_int_equal(acme_order_setback(replay->order)->offered,
                     ACME_PROOF_BIT(ACME_PROOF_TLS_ALPN_01));
}

static void test_choice_lost_authorization_is_the_orders_end(void **state)
{
    replay_t *replay = failing("http-01", 0);

    (void)state;
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_CONNECTION);
    assert_string_equal(replay->transcript, START " " PROVE);
    assert_setback(replay, ACME_PROOF_HTTP_01, 1);
}

static void test_choice_without_setback_there_is_none(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay_run(replay);
    assert_null(replay->error);
    assert_null(acme_order_setback(replay->order));
}

static void test_choice_proof_that_cannot_be_shown_gives_way(void **state)
{
    replay_t *replay = replay_create("a.example b.example", pool);

    (void)state;
    replay->unpublishable = "http-01";
    replay_run(replay);
    assert_null(replay->error);
    assert_int_equal(replay->published, 2);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(acme_order_setback(replay->order)->err->msg,
                     ACME_E_TOKENS_FULL);
}

static void test_choice_busy_proof_has_its_turn_later(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->busy = 5;
    replay_run(replay);
    assert_null(replay->error);
    assert_null(acme_order_setback(replay->order));
    assert_int_equal(replay->published, 1);
    assert_in_range(replay_seconds(replay), 5, 7);
    assert_string_equal(replay->transcript, START " " PROVE " " END);
}

static void test_choice_place_that_stays_busy_is_given_up_for_another(
    void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->busy = 61;
    replay_run(replay);
    assert_null(replay->error);
    assert_int_equal(acme_order_setback(replay->order)->err->msg,
                     ACME_E_PROOF_BUSY);
    assert_int_equal(replay->published, 1);
    assert_int_equal(replay->ca->orders, 1);
    assert_in_range(replay_seconds(replay), 60, 63);
    assert_non_null(strstr(replay->disk, "\"tls-alpn-01\""));
}

static void test_choice_busy_place_is_waited_for_where_it_is_the_only_way(
    void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->challenge_types = "http-01";
    replay->busy = 200;
    replay->max_steps *= 2;
    replay_run(replay);
    assert_null(replay->error);
    assert_null(acme_order_setback(replay->order));
    assert_in_range(replay_seconds(replay), 200, 203);
}

static void test_choice_refused_answer_leads_to_the_next(void **state)
{
    static const ca_rule_t rules[] = {
        { "challenge", 1, CA_REPLY, 400,
          CA_PROBLEM("malformed", "not this one") },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->rules = rules;
    replay_run(replay);
    assert_null(replay->error);
    assert_int_equal(acme_order_setback(replay->order)->err->msg,
                     ACME_E_CA_PROBLEM_MALFORMED);
    assert_int_equal(replay->published, 2);
    assert_int_equal(replay->withdrawn, 2);
    assert_string_equal(replay->transcript, START " " PROVE " " PROVE " " END);
}

static void test_choice_refusal_of_the_account_is_the_end(void **state)
{
    static const ca_rule_t rules[] = {
        { "challenge", 0, CA_REPLY, 403,
          CA_PROBLEM("userActionRequired", "see our terms") },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->rules = rules;
    replay_run(replay);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_ACTION);
    assert_int_equal(replay->published, 1);
}

/* The others are seen through, so that they need not be proved again. */
static void test_choice_name_whose_program_fails_is_to_blame(void **state)
{
    replay_t *replay = replay_create("a.example b.example c.example", pool);
    const acme_blame_t *blame;

    (void)state;
    replay->ca->challenge_types = "dns-01";
    replay->programless = "b.example";
    replay_run(replay);
    assert_int_equal(replay->error->msg, ACME_E_COMMAND_FAILED);
    assert_non_null(replay->error->blames);
    assert_int_equal(replay->error->blames->nelts, 1);
    blame = &APR_ARRAY_IDX(replay->error->blames, 0, acme_blame_t);
    assert_string_equal(blame->name, "b.example");
    assert_int_equal(replay->published, 2);
    assert_int_equal(acme_order_count_valid(replay->order), 2);
}

/* A wildcard and an address have kinds of proof of their own. */
static void test_choice_by_kind_of_identifier(void **state)
{
    replay_t *replay = replay_create("*.a.example 2001:db8::7", pool);

    (void)state;
    replay->ca->challenge_types = "dns-01 tls-alpn-01";
    replay_run(replay);
    assert_null(replay->error);
    assert_non_null(strstr(replay->disk, "\"dns-01\""));
    assert_non_null(strstr(replay->disk, "\"tls-alpn-01\""));
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_choice_next_challenge_of_a_pending_authorization),
    POOL_TEST(test_choice_all_of_them_come_to_nothing),
    POOL_TEST(test_choice_nothing_else_on_offer_tells_the_failure),
    POOL_TEST(test_choice_lost_authorization_is_the_orders_end),
    POOL_TEST(test_choice_without_setback_there_is_none),
    POOL_TEST(test_choice_proof_that_cannot_be_shown_gives_way),
    POOL_TEST(test_choice_busy_proof_has_its_turn_later),
    POOL_TEST(test_choice_place_that_stays_busy_is_given_up_for_another),
    POOL_TEST(test_choice_busy_place_is_waited_for_where_it_is_the_only_way),
    POOL_TEST(test_choice_refused_answer_leads_to_the_next),
    POOL_TEST(test_choice_refusal_of_the_account_is_the_end),
    POOL_TEST(test_choice_name_whose_program_fails_is_to_blame),
    POOL_TEST(test_choice_by_kind_of_identifier),
};

RUN_TESTS(tests)
