/* Requests and answers: what may be in them, what is sealed, what an engine that is
 * gone has left behind. */
#include "engine/control.h"
#include "engine/report.h"
#include "store_test.h"

static acme_control_t ask(const char *action)
{
    acme_control_t request = { .action = action };
    return request;
}

static const char *contents(const char *path)
{
    FILE *file = fopen(in_store(path), "r");
    char *text = apr_pcalloc(pool, 65536);

    assert_non_null(file);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

static acme_control_t *only(acme_store_t *store)
{
    apr_array_header_t *requests;
    assert_no_err(acme_store_get_requests(&requests, store, pool));
    assert_int_equal(requests->nelts, 1);
    return APR_ARRAY_IDX(requests, 0, acme_control_t *);
}

static void test_control_arguments_keep_their_kinds(void **state)
{
    acme_store_t *store = open_store();
    acme_control_t request = ask("account-contact");

    (void)state;
    request.account = "ca-01234567";
    acme_control_set_text(&request, "contact", "mailto:\xc3\xa4@b", pool);
    acme_control_set_number(&request, "reason", -4, pool);
    acme_control_set_flag(&request, "all", pool);
    assert_no_err(acme_store_put_request(&request, store, pool));
    const acme_control_t *got = only(store);
    assert_string_equal(got->action, "account-contact");
    assert_null(got->certificate);
    assert_string_equal(got->account, "ca-01234567");
    assert_string_equal(acme_control_text(got, "contact"), "mailto:\xc3\xa4@b");
    assert_null(acme_control_text(got, "reason"));
    assert_int_equal(acme_control_number(got, "reason", 7), -4);
    assert_int_equal(acme_control_number(got, "contact", 7), 7);
    assert_true(acme_control_flag(got, "all"));
    assert_false(acme_control_flag(got, "now"));
    assert_null(got->secret);
}

/* Each name has been visited as often as is kept, by somebody who says a lot. */
static void test_control_answer_has_room_for_visits_of_many_names(void **state)
{
    const acme_ident_t *name = APR_ARRAY_IDX(
        idents("a-rather-long-name.with-some-labels.shop.example"), 0,
        acme_ident_t *);
    acme_hit_t hits[ACME_MAX_HITS];
    size_t room = ACME_CONTROL_RESULT - 4096;
    acme_control_reply_t reply = { .state = "done" }, *got;
    json_t *list = json_array();
    const char *json;

    (void)state;
    memset(hits, 0, sizeof(hits));
    for (int i = 0; i < ACME_MAX_HITS; i++) {
        hits[i].time = NOW;
        memset(hits[i].agent, '"', sizeof(hits[i].agent) - 1);
        memset(hits[i].host, '\\', sizeof(hits[i].host) - 1);
        memset(hits[i].peer, '1', sizeof(hits[i].peer) - 1);
    }
    for (int names = 100; names > 0; names--) {
        acme_report_add_hits(list, &room, names, name, hits, ACME_MAX_HITS,
                             pool);
    }
    assert_true(json_array_size(list) > 300);
    reply.result = json_pack("{s:o}", "visits", list);
    assert_no_err(acme_control_format_reply(&json, &reply, pool));
    assert_no_err(
        acme_control_parse_reply(&got, "id", json, strlen(json), pool));
    assert_int_equal(json_array_size(json_object_get(got->result, "visits")),
                     json_array_size(list));
    json_decref(reply.result);
}

static void test_control_without_arguments_has_none(void **state)
{
    acme_store_t *store = open_store();
    acme_control_t request = ask("renew");

    (void)state;
    assert_no_err(acme_store_put_request(&request, store, pool));
    const acme_control_t *got = only(store);
    assert_null(acme_control_text(got, "x"));
    assert_int_equal(acme_control_number(got, "x", 3), 3);
    assert_false(acme_control_flag(got, "x"));
}

static void test_control_arguments_out_of_bounds_refused(void **state)
{
    acme_store_t *store = open_store();
    char *big = apr_palloc(pool, ACME_CONTROL_TEXT + 2);

    (void)state;
    memset(big, 'x', ACME_CONTROL_TEXT + 1);
    big[ACME_CONTROL_TEXT + 1] = '\0';
    acme_control_t request = ask("x");
    acme_control_set_text(&request, "t", big, pool);
    assert_err(acme_store_put_request(&request, store, pool),
               ACME_E_STORE_REQUEST);
    acme_control_set_text(&request, "t", big + 1, pool);
    assert_no_err(acme_store_put_request(&request, store, pool));
    acme_control_set_text(&request, "t", "\xff", pool); /* not UTF-8 */
    assert_err(acme_store_put_request(&request, store, pool),
               ACME_E_STORE_REQUEST);
    acme_control_t many = ask("x");
    for (int i = 0; i <= ACME_CONTROL_ARGS; i++) {
        char name[3] = { (char)('a' + i % 26), (char)('a' + i / 26), 0 };
        acme_control_set_flag(&many, name, pool);
    }
    assert_err(acme_store_put_request(&many, store, pool),
               ACME_E_STORE_REQUEST);
    acme_control_t nested = ask("x");
    acme_control_set_flag(&nested, "a", pool);
    json_object_set_new(nested.args, "b", json_array());
    assert_err(acme_store_put_request(&nested, store, pool),
               ACME_E_STORE_REQUEST);
}

static void test_control_secret_is_sealed_to_its_request(void **state)
{
    static const char secret[] = "-----BEGIN PRIVATE KEY-----\nhush";
    acme_store_t *store = open_store();
    acme_control_t request = ask("revoke");

    (void)state;
    request.secret = secret;
    assert_no_err(acme_store_put_request(&request, store, pool));
    const char *name = apr_pstrcat(pool, "control/", request.id, ".json", NULL);
    const char *text = contents(name);
    assert_null(strstr(text, "hush"));
    assert_null(strstr(text, "PRIVATE"));
    assert_string_equal(only(store)->secret, secret);
    /* another request with it is no request */
    overwrite("control/0123456789abcdef.json", text);
    assert_string_equal(only(store)->id, request.id);
}

static void begun(acme_store_t *store, void *baton)
{
    const acme_control_t *request = baton;
    acme_control_reply_t reply = { .state = "working",
                                   .text = "on it",
                                   .done = 3,
                                   .total = 5,
                                   .since = apr_time_from_sec(1700000000) };
    apr_array_header_t *requests;

    must(acme_store_get_interrupted(&requests, store, pool));
    must_be(requests->nelts == 0);
    reply.result = json_pack("{s:[i,i]}", "numbers", 1, 2);
    must(acme_store_put_reply(store, request->id, &reply, pool));
    json_decref(reply.result);
    must(acme_store_get_requests(&requests, store, pool));
    must_be(requests->nelts == 0);
    must(acme_store_get_interrupted(&requests, store, pool));
    must_be(requests->nelts == 1);
    must_be(
        !strcmp(APR_ARRAY_IDX(requests, 0, acme_control_t *)->id, request->id));
}

static void ended(acme_store_t *store, void *baton)
{
    const acme_control_t *request = baton;
    acme_control_reply_t reply = { .state = "done" };
    apr_array_header_t *requests;

    must(acme_store_put_reply(store, request->id, &reply, pool));
    must(acme_store_get_interrupted(&requests, store, pool));
    must_be(requests->nelts == 0);
}

static void test_control_interrupted_is_found_again_until_its_end(void **state)
{
    acme_store_t *store = open_store();
    acme_control_t request = ask("renew");
    acme_control_reply_t *reply;

    (void)state;
    assert_no_err(acme_store_put_request(&request, store, pool));
    assert_int_equal(as_worker(begun, store, &request), 0);
    assert_no_err(acme_store_get_reply(&reply, store, request.id, pool));
    assert_false(acme_control_over(reply));
    assert_int_equal(reply->done, 3);
    assert_int_equal(reply->total, 5);
    assert_int_equal(apr_time_sec(reply->since), 1700000000);
    assert_int_equal(json_array_size(json_object_get(reply->result, "numbers")),
                     2);
    assert_int_equal(as_worker(ended, store, &request), 0);
    assert_no_err(acme_store_get_reply(&reply, store, request.id, pool));
    assert_true(acme_control_over(reply));
    assert_null(reply->result);
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_control_arguments_keep_their_kinds),
    STORE_TEST(test_control_answer_has_room_for_visits_of_many_names),
    STORE_TEST(test_control_without_arguments_has_none),
    STORE_TEST(test_control_arguments_out_of_bounds_refused),
    STORE_TEST(test_control_secret_is_sealed_to_its_request),
    STORE_TEST(test_control_interrupted_is_found_again_until_its_end),
};

RUN_TESTS(tests)
