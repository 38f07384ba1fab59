/* newOrder with "replaces": RFC 9773 section 5. */
#include "core_test.h"

#include "replay.h"

#define ID "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"

static replay_t *replacing(const ca_rule_t *rules)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->ca->rules = rules;
    replay->ca->renewal_info = 1;
    replay->wanted.replaces = ID;
    return replay;
}

static void assert_done(const replay_t *replay)
{
    if (replay->error) {
        fail_msg("%s", acme_err_line(replay->error, pool));
    }
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->finalizes, 1);
}

static int says_replaces(const replay_t *replay)
{
    return strstr(replay->ca->last_new_order, "\"replaces\":\"" ID "\"")
           != NULL;
}

static int asked(const replay_t *replay)
{
    int *count =
        apr_hash_get(replay->ca->counts, "newOrder", APR_HASH_KEY_STRING);

    return count ? *count : 0;
}

/* How long an order takes that nothing is said against. */
static int usual_seconds(void)
{
    replay_t *replay = replacing(NULL);

    replay_run(replay);
    return replay_seconds(replay);
}

static void test_replaces_is_told_to_a_ca_with_renewal_info(void **state)
{
    replay_t *replay = replacing(NULL);

    (void)state;
    replay_run(replay);
    assert_done(replay);
    assert_true(says_replaces(replay));
    assert_int_equal(asked(replay), 1);
}

static void test_replaces_is_not_told_to_one_without(void **state)
{
    replay_t *replay = replacing(NULL);

    (void)state;
    replay->ca->renewal_info = 0;
    replay_run(replay);
    assert_done(replay);
    assert_false(says_replaces(replay));
}

static const struct {
    int status;
    const char *body;
} refusals[] = {
    { 409, CA_PROBLEM("alreadyReplaced", "replaced already") },
    { 409, CA_PROBLEM("conflict", "cannot indicate an order replaces") },
    { 404, CA_PROBLEM("malformed", "path component is unknown") },
    { 403, CA_PROBLEM("unauthorized", "of another account") },
    { 500, CA_PROBLEM("serverInternal", "could not find an order") },
};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

static void test_replaces_refused_is_asked_without_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < REFUSALS; i++) {
        /* "unauthorized" is asked again once the account was looked at */
        int times = refusals[i].status == 403 ? 2 : 1;
        const ca_rule_t rules[] = {
            { "newOrder", 1, CA_REPLY, refusals[i].status, refusals[i].body },
            { times == 2 ? "newOrder" : NULL, 2, CA_REPLY, refusals[i].status,
              refusals[i].body },
            { NULL },
        };
        replay_t *replay = replacing(rules);

        replay_run(replay);
        assert_done(replay);
        assert_false(says_replaces(replay));
        assert_int_equal(asked(replay), times + 1);
        assert_int_equal(replay_seconds(replay), usual_seconds());
    }
}

static void test_replaces_refused_with_retry_after_waits_for_it(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 500, CA_PROBLEM("serverInternal", "no"),
          "60" },
        { NULL },
    };
    replay_t *replay = replacing(rules);

    (void)state;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay_seconds(replay), 60 + usual_seconds());
}

static void test_replaces_is_left_out_once_and_no_more(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 400, CA_PROBLEM("malformed", "no") },
        { NULL },
    };
    replay_t *replay = replacing(rules);

    (void)state;
    replay_run(replay);
    assert_non_null(replay->error);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_MALFORMED);
    assert_int_equal(asked(replay), 2);
}

static void test_replaces_is_not_what_other_refusals_are_about(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 429, CA_PROBLEM("rateLimited", "later"),
          "3600" },
        { NULL },
    };
    replay_t *replay = replacing(rules);

    (void)state;
    replay_run(replay);
    assert_non_null(replay->error);
    assert_int_equal(replay->error->msg, ACME_E_CA_PROBLEM_RATE);
    assert_int_equal(asked(replay), 1);
}

/* Whoever goes on after a kill does not begin with what was refused. */
static void test_replaces_left_out_stays_so_after_a_kill(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 409, CA_PROBLEM("alreadyReplaced", "no") },
        { NULL },
    };
    int killed = 0;

    (void)state;
    for (int at = 1;; at++) {
        replay_t *replay = replacing(rules);

        replay->kill_at = at;
        replay_run(replay);
        assert_done(replay);
        if (replay->points < at) {
            break;
        }
        killed++;
        assert_false(says_replaces(replay) && asked(replay) > 2);
    }
    assert_in_range(killed, 10, 1000);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_replaces_is_told_to_a_ca_with_renewal_info),
    POOL_TEST(test_replaces_is_not_told_to_one_without),
    POOL_TEST(test_replaces_refused_is_asked_without_at_once),
    POOL_TEST(test_replaces_refused_with_retry_after_waits_for_it),
    POOL_TEST(test_replaces_is_left_out_once_and_no_more),
    POOL_TEST(test_replaces_is_not_what_other_refusals_are_about),
    POOL_TEST(test_replaces_left_out_stays_so_after_a_kill),
};

RUN_TESTS(tests)
