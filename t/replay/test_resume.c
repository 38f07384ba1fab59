#include "core_test.h"

#include "memory_test.h"
#include "replay.h"

/* A process that is killed at any moment and started again must end with the
 * same certificate, and must not have asked twice for what counts. */

typedef struct scenario_t {
    const char *names;
    int authz_polls, order_polls;
    const char *fail_name, *fail_types;
    int forgiving;
    int failing;                   /* how many those are */
    const char *preferred, *links; /* chain, and what the CA offers */
} scenario_t;

static replay_t *run(const scenario_t *scenario, int kill_at, apr_pool_t *p)
{
    replay_t *replay = replay_create(scenario->names, p);

    replay->kill_at = kill_at;
    replay->ca->authz_polls = scenario->authz_polls;
    replay->ca->order_polls = scenario->order_polls;
    replay->ca->fail_name = scenario->fail_name;
    replay->ca->fail_types = scenario->fail_types;
    replay->ca->forgiving = scenario->forgiving;
    replay->ca->fail_error = CA_PROBLEM("dns", "NXDOMAIN");
    replay->ca->chain_links = scenario->links;
    replay->wanted.preferred_chain = scenario->preferred;
    replay_run(replay);
    return replay;
}

/* Whether the name that fails is proved in another way. */
static int ends_well(const scenario_t *scenario)
{
    return !scenario->fail_name || scenario->forgiving;
}

static void assert_asked_once(const replay_t *replay, int kill_at)
{
    const ca_t *ca = replay->ca;
    int lost = replay->killed_unanswered;
    int lost_order = lost && !strcmp(replay->killed_label, "newOrder");
    int lost_account = lost && !strcmp(replay->killed_label, "newAccount");
    int i;

    if (ca->orders != 1 + lost_order || ca->accounts > 2
        || (ca->accounts == 2 && !lost_account && replay->disk_kid == NULL)) {
        fail_msg("killed at %d: %d orders, %d accounts", kill_at, ca->orders,
                 ca->accounts);
    }
    for (i = 0; i < ca->name_count; i++) {
        /* An order that fails may do so before an answer is given again. */
        if (ca->answers[i] != 1 && !(ca->fail_name && !ca->answers[i])) {
            fail_msg("killed at %d: challenge %d answered %d times", kill_at, i,
                     ca->answers[i]);
        }
    }
}

/* Kill at every point that an undisturbed run passes, one run each. */
static int kill_everywhere(const scenario_t *scenario)
{
    int points = run(scenario, 0, pool)->points, kill_at;

    for (kill_at = 1; kill_at <= points; kill_at++) {
        apr_pool_t *p;
        replay_t *replay;

        apr_pool_create(&p, pool);
        replay = run(scenario, kill_at, p);
        if (ends_well(scenario) ? !replay->chain_pem : !replay->error) {
            fail_msg("killed at %d: %s", kill_at,
                     replay->error ? acme_err_line(replay->error, p)
                                   : "issued all the same");
        }
        if (scenario->failing) {
            assert_non_null(replay->error->blames);
            assert_int_equal(replay->error->blames->nelts, scenario->failing);
        }
        if (scenario->preferred) {
            assert_string_equal(replay->chain_pem, replay->ca->other_chain);
        }
        if (!scenario->forgiving) {
            assert_asked_once(replay, kill_at);
        }
        assert_int_equal(apr_hash_count(replay->ca->visible), 0);
        assert_int_equal(replay->ca->finalizes, ends_well(scenario));
        apr_pool_destroy(p);
    }
    return points;
}

static void test_resume_after_kill_at_every_point_one_name(void **state)
{
    static const scenario_t scenario = { "a.example", 2, 3, NULL };

    (void)state;
    assert_true(kill_everywhere(&scenario) > 25);
}

static void test_resume_after_kill_at_every_point_three_names(void **state)
{
    static const scenario_t scenario = { "a.example *.a.example 2001:db8::7", 1,
                                         1, NULL };

    (void)state;
    assert_true(kill_everywhere(&scenario) > 50);
}

static void test_resume_after_kill_at_every_point_of_failure(void **state)
{
    static const scenario_t scenario = { "a.example b.example", 1, 1,
                                         "b.example", .failing = 1 };

    (void)state;
    assert_true(kill_everywhere(&scenario) > 25);
}

static void test_resume_after_kill_at_every_point_between_challenges(
    void **state)
{
    static const scenario_t scenario = {
        "a.example b.example", 1, 1, "b.example", "http-01 tls-alpn-01", 1
    };

    (void)state;
    assert_true(kill_everywhere(&scenario) > 40);
}

static replay_t *run_persistent(int kill_at, apr_pool_t *p)
{
    replay_t *replay = replay_create("*.a.example", p);
    acme_proofs_t *proofs = apr_pcalloc(p, sizeof(*proofs));

    proofs->types[0] = ACME_PROOF_DNS_PERSIST_01;
    proofs->count = 1;
    replay->wanted.proofs = proofs;
    replay->ca->challenge_types = "dns-persist-01";
    replay->ca->authz_polls = 1;
    replay->kill_at = kill_at;
    replay_run(replay);
    return replay;
}

static void test_resume_after_kill_at_every_point_without_a_token(void **state)
{
    int points = run_persistent(0, pool)->points, kill_at;

    (void)state;
    for (kill_at = 1; kill_at <= points; kill_at++) {
        assert_non_null(run_persistent(kill_at, pool)->chain_pem);
    }
}

/* --- a later attempt ------------------------------------------------------ */

/* The order failed, was put back and is taken up by another process. */
static void run_again(replay_t *replay)
{
    acme_order_rewind(replay->order);
    assert_no_err(acme_order_save(&replay->disk, replay->order, replay->now,
                                  replay->pool));
    assert_null(strstr(replay->disk, "\"error\""));
    assert_null(strstr(replay->disk, "\"doubt\""));
    replay->error = NULL;
    replay->ca->rules = NULL;
    apr_hash_clear(replay->ca->visible);
    replay_run(replay);
}

/* The CA is out of reach in part, longer than an order puts up with. */
static void assert_outlives(const ca_rule_t *rules, int authz_polls)
{
    replay_t *replay = replay_create("a.example b.example", pool);

    replay->ca->rules = rules;
    replay->ca->authz_polls = authz_polls;
    replay->ca->order_polls = 3;
    replay_run(replay);
    assert_null(replay->chain_pem);
    assert_int_equal(replay->error->msg, ACME_E_CA_UNREACHABLE);
    assert_int_equal(replay->ca->deactivated, 0);
    assert_int_equal(apr_hash_count(replay->ca->visible), 0);
    run_again(replay);
    if (replay->error) {
        fail_msg("%s", acme_err_line(replay->error, pool));
    }
    assert_non_null(replay->chain_pem);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(replay->ca->finalizes, 1);
    assert_int_equal(replay->ca->answers[0], 1);
    assert_int_equal(replay->ca->answers[1], 1);
    assert_int_equal(apr_hash_count(replay->ca->visible), 0);
}

static void test_resume_after_outage_before_the_first_authorization(
    void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 0, CA_DROP },
        { "order", 0, CA_DROP },
        { NULL },
    };

    (void)state;
    assert_outlives(rules, 1);
}

static void test_resume_after_outage_while_the_ca_validates(void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 3, CA_DROP, .and_later = 1 },
        { "order", 0, CA_DROP },
        { NULL },
    };

    (void)state;
    assert_outlives(rules, 2);
}

/* One name's authorization alone cannot be read; the order can, and is pending:
 * what is doubted then must not be doubted for ever. */
static void test_resume_after_outage_of_one_authorization(void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 1, CA_DROP, .and_later = 1 },
        { NULL },
    };

    (void)state;
    assert_outlives(rules, 2);
}

static void test_resume_after_outage_while_the_ca_issues(void **state)
{
    static const ca_rule_t rules[] = { { "order", 0, CA_DROP }, { NULL } };

    (void)state;
    assert_outlives(rules, 0);
}

static void test_resume_after_outage_of_the_download(void **state)
{
    static const ca_rule_t rules[] = { { "certificate", 0, CA_DROP },
                                       { NULL } };

    (void)state;
    assert_outlives(rules, 0);
}

/* Saved between the doubt and the CA's word on the order. */
static void test_load_forgets_a_doubt(void **state)
{
    static const char saved[] =
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"checking\","
        "\"url\":\"" CA_URL "/order\",\"finalize\":\"" CA_URL "/finalize\","
        "\"doubt\":{\"number\":1200,\"text\":\"gone\"},\"authorizations\":["
        "{\"url\":\"" CA_URL "/authz/0\",\"state\":\"closed\","
        "\"name\":\"a.example\",\"failures\":60,\"failing_since\":1}]}";
    replay_t *replay = replay_create("a.example", pool);
    acme_order_t *order;
    const char *again;

    (void)state;
    assert_no_err(acme_order_load(&order, &replay->wanted, saved,
                                  sizeof(saved) - 1, replay->now, pool));
    assert_no_err(acme_order_save(&again, order, replay->now, pool));
    assert_null(strstr(again, "doubt"));
    assert_null(strstr(again, "closed"));
}

/* --- a clock that was wrong ---------------------------------------------- */

static void issue_with_clock_ahead(apr_interval_time_t by)
{
    static const scenario_t scenario = { "a.example", 2, 4, NULL };
    replay_t *ahead;
    int points = run(&scenario, 0, pool)->points, kill_at;
    int issued = 0;

    for (kill_at = 1; kill_at <= points; kill_at++) {
        /* The clock is ahead until it is killed; after that, right. */
        ahead = replay_create("a.example", pool);
        ahead->ca->authz_polls = 2;
        ahead->ca->order_polls = 4;
        ahead->now += by;
        ahead->kill_at = kill_at;
        ahead->killed_at_now = ahead->start;
        replay_run(ahead);
        /* What was issued by then is not valid yet; nothing else may fail. */
        assert_true(ahead->chain_pem || ahead->error->msg == ACME_E_CERT_DATES);
        issued += ahead->chain_pem != NULL;
        assert_true(replay_seconds(ahead) < 120);
    }
    assert_true(issued > 15);
}

static void test_load_of_an_order_from_the_future_is_due_now(void **state)
{
    (void)state;
    issue_with_clock_ahead(2 * 365 * apr_time_from_sec(86400));
    issue_with_clock_ahead(apr_time_from_sec(3600));
}

/* --- loading -------------------------------------------------------------- */

static void test_load_refuses_what_is_not_ours(void **state)
{
    static const char *const saved[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"version\":2,\"names\":[\"a.example\"],\"state\":\"ordering\"}",
        "{\"version\":1,\"names\":[\"b.example\"],\"state\":\"ordering\"}",
        "{\"version\":1,\"names\":[\"a.example\",\"b.example\"],"
        "\"state\":\"ordering\"}",
        "{\"version\":1,\"names\":[17],\"state\":\"ordering\"}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"dreaming\"}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"processing\"}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"failed\"}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"checking\","
        "\"url\":\"http://ca.test/order\"}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"checking\","
        "\"url\":\"https://ca.test/order\",\"authorizations\":[{}]}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"checking\","
        "\"url\":\"https://ca.test/order\",\"authorizations\":["
        "{\"url\":\"https://ca.test/1\",\"state\":\"polling\"}]}",
        "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"checking\","
        "\"url\":\"https://ca.test/order\",\"authorizations\":["
        "{\"url\":\"https://ca.test/1\",\"state\":\"polling\","
        "\"name\":\"a.example\",\"type\":\"http-01\",\"token\":\"../x\","
        "\"challenge\":\"https://ca.test/2\"}]}",
    };
    replay_t *replay = replay_create("a.example", pool);
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(saved) / sizeof(saved[0]); i++) {
        acme_order_t *order = NULL;

        assert_err(acme_order_load(&order, &replay->wanted, saved[i],
                                   strlen(saved[i]), replay->now, pool),
                   ACME_E_ORDER_LOAD);
        assert_null(order);
    }
}

static void test_load_of_save_is_the_same(void **state)
{
    static const scenario_t scenario = { "a.example b.example", 1, 1, NULL };
    replay_t *replay = run(&scenario, 0, pool);
    acme_order_t *order;
    const char *once, *again;

    (void)state;
    assert_no_err(acme_order_load(&order, &replay->wanted, replay->disk,
                                  strlen(replay->disk), replay->now, pool));
    assert_false(acme_order_dirty(order));
    assert_no_err(acme_order_save(&once, order, replay->now, pool));
    assert_no_err(acme_order_load(&order, &replay->wanted, once, strlen(once),
                                  replay->now, pool));
    assert_no_err(acme_order_save(&again, order, replay->now, pool));
    assert_string_equal(again, once);
}

static int json_left; /* allocations until the one that fails; 0: none does */

static void *json_allocate(size_t size)
{
    return json_left > 0 && --json_left == 0 ? NULL : malloc(size);
}

/* One that lacks something would be taken for damaged, and ordered anew. */
static void test_save_without_memory_is_whole_or_none(void **state)
{
    static const scenario_t scenario = { "a.example b.example", 1, 1,
                                         "b.example" };
    replay_t *replay = run(&scenario, 0, pool);
    const char *whole, *saved;
    int n = 0, met = 1;

    (void)state;
    assert_no_err(acme_order_save(&whole, replay->order, replay->now, pool));
    json_set_alloc_funcs(json_allocate, free);
    while (met) {
        json_left = ++n;
        acme_err_t *err =
            acme_order_save(&saved, replay->order, replay->now, pool);
        met = json_left == 0;
        json_left = 0;
        if (err) {
            assert_err(err, ACME_E_MEMORY);
        }
        else {
            assert_string_equal(saved, whole);
        }
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(n > 50);
}

static void test_load_of_failed_order_tells_the_same_error(void **state)
{
    static const scenario_t scenario = { "a.example", 0, 0, "a.example" };
    replay_t *replay = run(&scenario, 0, pool);
    acme_order_t *order;
    acme_step_t step;
    const char *saved;

    (void)state;
    assert_no_err(acme_order_save(&saved, replay->order, replay->now, pool));
    assert_no_err(acme_order_load(&order, &replay->wanted, saved, strlen(saved),
                                  replay->now, pool));
    do {
        acme_order_next(&step, order, replay->session, replay->now);
    } while (step.kind == ACME_STEP_WITHDRAW);
    assert_int_equal(step.kind, ACME_STEP_FAILED);
    assert_int_equal(step.error->msg, ACME_E_CA_PROBLEM_DNS);
    assert_int_equal(step.error->class, replay->error->class);
    assert_string_equal(step.error->text, replay->error->text);
    assert_string_equal(step.error->detail, "NXDOMAIN");
    assert_string_equal(step.error->identifier, "a.example");
}

/* --- by hand: no CA, no session that signs --------------------------------- */

#define PENDING_ORDER                                                          \
    "{\"status\":\"pending\",\"finalize\":\"https://ca.test/f\","              \
    "\"authorizations\":[\"https://ca.test/authz/0\"]}"
#define PENDING_AUTHZ                                                          \
    "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\","                \
    "\"value\":\"a.example\"},\"challenges\":[{\"type\":\"http-01\","          \
    "\"url\":\"https://ca.test/c\",\"token\":\"tok\"}]}"
#define PROCESSING_AUTHZ                                                       \
    "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\","                \
    "\"value\":\"a.example\"},\"challenges\":[{\"type\":\"http-01\","          \
    "\"status\":\"processing\",\"url\":\"https://ca.test/c\","                 \
    "\"token\":\"tok\"}]}"
#define PROCESSING_ORDER                                                       \
    "{\"status\":\"processing\",\"finalize\":\"https://ca.test/f\","           \
    "\"authorizations\":[\"https://ca.test/authz/0\"]}"

/* A fresh order beside a session that is ready. */
static acme_order_t *fresh_order(replay_t **replay)
{
    static const scenario_t scenario = { "a.example", 0, 0, NULL };

    *replay = run(&scenario, 0, pool);
    return acme_order_create(&(*replay)->wanted, pool);
}

/* The next thing to do, waiting where it says so. */
static acme_step_t next(replay_t *replay, acme_order_t *order,
                        acme_step_kind_t kind)
{
    acme_step_t step;

    acme_order_next(&step, order, replay->session, replay->now);
    if (step.kind == ACME_STEP_WAIT) {
        assert_true(step.until > replay->now);
        replay->now = step.until;
        acme_order_next(&step, order, replay->session, replay->now);
    }
    assert_int_equal(step.kind, kind);
    return step;
}

static void answer_next(replay_t *replay, acme_order_t *order, const char *body)
{
    acme_step_t step = next(replay, order, ACME_STEP_SEND);
    acme_reply_t reply = { .status = 200,
                           .body = body,
                           .len = strlen(body),
                           .retry_after = replay->poll_every };

    reply.location = CA_URL "/order";
    acme_order_reply(order, step.request, &reply, replay->now);
}

static void test_cancel_withdraws_and_deactivates_before_failed(void **state)
{
    replay_t *replay;
    acme_order_t *order = fresh_order(&replay);
    acme_step_t step;

    (void)state;
    answer_next(replay, order, PENDING_ORDER);
    answer_next(replay, order, PENDING_AUTHZ);
    next(replay, order, ACME_STEP_PUBLISH);
    acme_order_cancel(order, acme_err_make(pool, ACME_E_ORDER_INVALID, NULL));
    acme_order_cancel(order, acme_err_make(pool, ACME_E_MEMORY, "x", NULL));

    step = next(replay, order, ACME_STEP_WITHDRAW);
    assert_string_equal(step.proof->token, "tok");
    step = next(replay, order, ACME_STEP_SEND);
    assert_string_equal(step.request->payload, "{\"status\":\"deactivated\"}");
    assert_string_equal(step.request->url, "https://ca.test/authz/0");
    acme_order_reply(order, step.request,
                     &(acme_reply_t){ .status = 200, .body = "" }, replay->now);
    step = next(replay, order, ACME_STEP_FAILED);
    assert_int_equal(step.error->msg, ACME_E_ORDER_INVALID);
}

/* An order whose only challenge is being answered. */
static acme_order_t *answering(replay_t **replay, const acme_request_t **answer)
{
    acme_order_t *order = fresh_order(replay);
    acme_step_t step;

    answer_next(*replay, order, PENDING_ORDER);
    answer_next(*replay, order, PENDING_AUTHZ);
    step = next(*replay, order, ACME_STEP_PUBLISH);
    acme_order_published(order, step.proof, NULL, (*replay)->now);
    step = next(*replay, order, ACME_STEP_SEND);
    assert_string_equal(step.request->payload, "{}");
    *answer = step.request;
    return order;
}

static void wait_for_reply(replay_t *replay, acme_order_t *order)
{
    acme_step_t step;

    acme_order_next(&step, order, replay->session, replay->now);
    assert_int_equal(step.kind, ACME_STEP_WAIT);
    assert_int_equal(step.until, 0);
}

static void test_proof_stays_while_its_answer_is_on_its_way(void **state)
{
    replay_t *replay;
    const acme_request_t *answer;
    acme_order_t *order = answering(&replay, &answer);
    acme_step_t step;

    (void)state;
    acme_order_cancel(order, acme_err_make(pool, ACME_E_ORDER_INVALID, NULL));
    wait_for_reply(replay, order);
    acme_order_reply(order, answer,
                     &(acme_reply_t){ .status = 200, .body = "{}", .len = 2 },
                     replay->now);
    /* the CA may be looking at it by now: until that is of no interest to it */
    step = next(replay, order, ACME_STEP_SEND);
    assert_string_equal(step.request->payload, "{\"status\":\"deactivated\"}");
    wait_for_reply(replay, order);
    acme_order_reply(order, step.request,
                     &(acme_reply_t){ .status = 200, .body = "" }, replay->now);
    next(replay, order, ACME_STEP_WITHDRAW);
    next(replay, order, ACME_STEP_FAILED);
}

static void test_proof_of_a_kept_order_stays_while_its_answer_is_on_its_way(
    void **state)
{
    replay_t *replay;
    const acme_request_t *answer;
    acme_order_t *order = answering(&replay, &answer);
    static const acme_reply_t lost = { .body = "", .status = 503 };

    (void)state;
    acme_order_cancel(order, acme_err_make(pool, ACME_E_MEMORY, "x", NULL));
    wait_for_reply(replay, order);
    acme_order_reply(order, answer, &lost, replay->now);
    next(replay, order, ACME_STEP_WITHDRAW);
    next(replay, order, ACME_STEP_FAILED);
}

static void test_publish_failure_fails_the_order(void **state)
{
    replay_t *replay;
    acme_order_t *order = fresh_order(&replay);
    acme_step_t step;

    (void)state;
    answer_next(replay, order, PENDING_ORDER);
    answer_next(replay, order, PENDING_AUTHZ);
    step = next(replay, order, ACME_STEP_PUBLISH);
    acme_order_published(
        order, step.proof,
        acme_err_make(pool, ACME_E_STORE_OWNER, "it", "is foreign", NULL),
        replay->now); /* and nothing else is on offer */
    next(replay, order, ACME_STEP_WITHDRAW);
    answer_next(replay, order, ""); /* deactivated */
    step = next(replay, order, ACME_STEP_FAILED);
    assert_int_equal(step.error->msg, ACME_E_STORE_OWNER);
}

/* Saved with the answer on its way: whether it has arrived only the CA knows. */
static acme_order_t *killed_in_answer(replay_t **replay)
{
    acme_order_t *order = fresh_order(replay);
    const char *saved;

    answer_next(*replay, order, PENDING_ORDER);
    answer_next(*replay, order, PENDING_AUTHZ);
    acme_order_published(order, next(*replay, order, ACME_STEP_PUBLISH).proof,
                         NULL, (*replay)->now);
    assert_string_equal(next(*replay, order, ACME_STEP_SEND).request->url,
                        "https://ca.test/c");
    assert_no_err(acme_order_save(&saved, order, (*replay)->now, pool));
    assert_no_err(acme_order_load(&order, &(*replay)->wanted, saved,
                                  strlen(saved), (*replay)->now, pool));
    return order;
}

/* Polls for so many seconds. @return seconds until it answers the challenge
 * again, -1: it does not */
static int answers_again(replay_t *replay, acme_order_t *order,
                         const char *authz, int seconds)
{
    apr_time_t began = replay->now;

    while (replay->now < began + apr_time_from_sec(seconds)) {
        acme_step_t step = next(replay, order, ACME_STEP_SEND);
        acme_reply_t reply = { NULL, 200, authz, strlen(authz) };

        if (!strcmp(step.request->url, "https://ca.test/c")) {
            return (int)apr_time_sec(replay->now - began);
        }
        acme_order_reply(order, step.request, &reply, replay->now);
    }
    return -1;
}

static void test_resume_answers_again_soon_if_the_challenge_is_pending(
    void **state)
{
    replay_t *replay;
    acme_order_t *order = killed_in_answer(&replay);
    int seconds = answers_again(replay, order, PENDING_AUTHZ, 600);

    (void)state;
    assert_in_range(seconds, 5, 20);
}

static void test_resume_does_not_answer_again_if_the_ca_is_at_it(void **state)
{
    replay_t *replay;
    acme_order_t *order = killed_in_answer(&replay);

    (void)state;
    assert_int_equal(answers_again(replay, order, PROCESSING_AUTHZ, 600), -1);
}

static void test_progress_counts_names(void **state)
{
    replay_t *replay;
    acme_order_t *order = fresh_order(&replay);

    (void)state;
    assert_string_equal(acme_order_state_name(order), "ordering");
    answer_next(replay, order, PENDING_ORDER);
    assert_string_equal(acme_order_state_name(order), "authorizing");
    assert_string_equal(acme_order_progress(order, pool),
                        "waiting for the CA to validate 1 of 1 names");
}

/* --- memory --------------------------------------------------------------- */

static void assert_polls_in_constant_memory(replay_t *replay,
                                            acme_order_t *order,
                                            const char *body)
{
    long before;
    int i;

    replay->poll_every = "1"; /* not for longer than an order may take */
    for (i = 0; i < 10; i++) {
        answer_next(replay, order, body);
    }
    before = test_mapped();
    for (i = 0; i < 2000; i++) {
        answer_next(replay, order, body);
    }
    assert_true(test_mapped() <= before + 16384);
}

static void test_polling_an_order_takes_no_more_memory(void **state)
{
    replay_t *replay;
    acme_order_t *order = fresh_order(&replay);

    (void)state;
    assert_polls_in_constant_memory(replay, order, PROCESSING_ORDER);
}

static void test_polling_an_authorization_takes_no_more_memory(void **state)
{
    replay_t *replay;
    acme_order_t *order = fresh_order(&replay);

    (void)state;
    answer_next(replay, order, PENDING_ORDER);
    answer_next(replay, order, PENDING_AUTHZ);
    acme_order_published(order, next(replay, order, ACME_STEP_PUBLISH).proof,
                         NULL, replay->now);
    answer_next(replay, order, "{}"); /* the challenge */
    assert_polls_in_constant_memory(replay, order, PENDING_AUTHZ);
}

static void test_resume_after_kill_at_every_point_preferred_chain(void **state)
{
    static const scenario_t scenario = {
        .names = "a.example",
        .preferred = "Other Root",
        .links = "</cert/gone>;rel=alternate, </cert/other>;rel=alternate"
    };

    (void)state;
    assert_true(kill_everywhere(&scenario) > 25);
}

static void test_resume_after_kill_at_every_point_two_names_fail(void **state)
{
    static const scenario_t scenario = { .names =
                                             "a.example b.example *.c.example",
                                         .authz_polls = 2,
                                         .fail_name = "b.example *.c.example",
                                         .failing = 2 };

    (void)state;
    assert_true(kill_everywhere(&scenario) > 25);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_resume_after_kill_at_every_point_one_name),
    POOL_TEST(test_resume_after_kill_at_every_point_three_names),
    POOL_TEST(test_resume_after_kill_at_every_point_of_failure),
    POOL_TEST(test_resume_after_kill_at_every_point_between_challenges),
    POOL_TEST(test_resume_after_kill_at_every_point_without_a_token),
    POOL_TEST(test_resume_after_outage_before_the_first_authorization),
    POOL_TEST(test_resume_after_outage_while_the_ca_validates),
    POOL_TEST(test_resume_after_outage_of_one_authorization),
    POOL_TEST(test_resume_after_outage_while_the_ca_issues),
    POOL_TEST(test_resume_after_outage_of_the_download),
    POOL_TEST(test_load_forgets_a_doubt),
    POOL_TEST(test_load_of_an_order_from_the_future_is_due_now),
    POOL_TEST(test_load_refuses_what_is_not_ours),
    POOL_TEST(test_load_of_save_is_the_same),
    POOL_TEST(test_save_without_memory_is_whole_or_none),
    POOL_TEST(test_load_of_failed_order_tells_the_same_error),
    POOL_TEST(test_cancel_withdraws_and_deactivates_before_failed),
    POOL_TEST(test_proof_stays_while_its_answer_is_on_its_way),
    POOL_TEST(test_proof_of_a_kept_order_stays_while_its_answer_is_on_its_way),
    POOL_TEST(test_publish_failure_fails_the_order),
    POOL_TEST(test_resume_answers_again_soon_if_the_challenge_is_pending),
    POOL_TEST(test_resume_does_not_answer_again_if_the_ca_is_at_it),
    POOL_TEST(test_progress_counts_names),
    POOL_TEST(test_polling_an_order_takes_no_more_memory),
    POOL_TEST(test_polling_an_authorization_takes_no_more_memory),
    POOL_TEST(test_resume_after_kill_at_every_point_preferred_chain),
    POOL_TEST(test_resume_after_kill_at_every_point_two_names_fail),
};

RUN_TESTS(tests)
