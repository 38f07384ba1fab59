/* JSON without memory, for a moment or for good: what is read is not called damaged, and
 * what is kept or told is whole or is not written. APR ends the process where there is
 * none; jansson says so. */
#include "core/ari.h"
#include "core/blame.h"
#include "core/http.h"
#include "core/order.h"
#include "core/resource.h"
#include "engine/backup.h"
#include "engine/control.h"
#include "engine/gate_spec.h"
#include "engine/job.h"
#include "engine/limits.h"
#include "engine/report.h"
#include "engine/saved.h"
#include "engine/skips.h"
#include "engine/staple.h"
#include "store_test.h"

#include <jansson.h>

static int left;  /* allocations until the one that fails; 0: none does */
static int stays; /* so does each behind it */
static int none;  /* all do */

/* Of these sizes is the buffer that jansson reads a word into: where it cannot grow, a
 * letter is lost, which nobody is told of. */
static int is_buffer(size_t size)
{
    return size >= 32 && (size & (size - 1)) == 0;
}

static void *allocate(size_t size)
{
    if (none) {
        return NULL;
    }
    if (left == 0 || is_buffer(size) || (left > 1 && left--)) {
        return malloc(size);
    }
    left = stays ? 1 : 0;
    none = stays;
    return NULL;
}

static int setup(void **state)
{
    json_set_alloc_funcs(allocate, free);
    return store_setup(state);
}

#define MEMORY_TEST(test)                                                      \
    cmocka_unit_test_setup_teardown(test, setup, store_teardown)

/* --- reading ----------------------------------------------------------------------- */

typedef acme_err_t *read_fn_t(const char *json, apr_size_t len);

static acme_err_t *read_any(const char *json, apr_size_t len)
{
    json_t *object;

    return acme_json_parse(&object, json, len, 4096, "thing", pool);
}

static acme_err_t *read_directory(const char *json, apr_size_t len)
{
    acme_directory_t *directory;

    return acme_directory_parse(&directory, json, len, pool);
}

static acme_err_t *read_order(const char *json, apr_size_t len)
{
    const acme_order_config_t config = { .idents = idents("a.example") };
    acme_order_t *order;

    return acme_order_load(&order, &config, json, len, NOW, pool);
}

static acme_err_t *read_saved(const char *json, apr_size_t len)
{
    acme_saved_t saved;

    return acme_saved_parse(&saved, json, len, pool);
}

/* The CA has paused it: not "something is wrong" alone. */
static acme_err_t *read_problem(const char *json, apr_size_t len)
{
    const acme_reply_t reply = { .status = 429, .body = json, .len = len };
    acme_err_t *err = acme_reply_error(&reply, NOW, pool);

    return err->msg == ACME_E_CA_PROBLEM_RATE && err->detail ? NULL : err;
}

static acme_err_t *read_record(const char *json, apr_size_t len)
{
    acme_record_t *record;

    return acme_record_parse(&record, json, len, "set 1", pool);
}

static acme_err_t *read_backup(const char *json, apr_size_t len)
{
    acme_backup_t *backup;

    return acme_backup_parse(&backup, json, len, "backup", pool);
}

static acme_err_t *read_request(const char *json, apr_size_t len)
{
    acme_control_t *request;
    const char *sealed;

    return acme_control_parse(&request, &sealed, "id", json, len, pool);
}

static acme_err_t *read_reply(const char *json, apr_size_t len)
{
    acme_control_reply_t *reply;

    return acme_control_parse_reply(&reply, "id", json, len, pool);
}

static acme_err_t *read_staple(const char *json, apr_size_t len)
{
    acme_staple_doc_t *doc;

    return acme_staple_parse(&doc, json, len, pool);
}

static acme_err_t *read_limits(const char *json, apr_size_t len)
{
    return acme_limits_parse(acme_limits_create(NULL, pool), json, len, NOW,
                             pool);
}

static acme_err_t *read_ari(const char *json, apr_size_t len)
{
    acme_ari_t ari;

    return acme_ari_parse(&ari, "id", json, len, NOW, pool);
}

static acme_err_t *read_job(const char *json, apr_size_t len)
{
    acme_job_t job = { .pool = pool, .settings = "x" };

    return acme_job_parse(&job, json, len, pool, pool);
}

static acme_err_t *read_key(const char *json, apr_size_t len)
{
    EVP_PKEY *key;
    acme_err_t *err = acme_key_adopt(&key, "the key", json, len, NULL, pool);

    assert_non_null(err);
    return strstr(err->text, "has no private part") ? NULL : err;
}

static const struct {
    read_fn_t *read;
    const char *json;
} readings[] = {
    { read_any, "{\"a\":[1,\"b\",{\"c\":null}],\"d\":2.5,\"\":\"\"}" },
    { read_directory, "{\"newNonce\":\"https://c.a/n\","
                      "\"newAccount\":\"https://c.a/a\","
                      "\"newOrder\":\"https://c.a/o\"}" },
    { read_order,
      "{\"version\":1,\"names\":[\"a.example\"],\"state\":\"finalizing\","
      "\"url\":\"https://c.a/1\",\"finalize\":\"https://c.a/f\"}" },
    { read_saved, "{\"subject\":\"s\",\"account\":\"a\","
                  "\"names\":[\"a.example\"],\"order\":{\"a\":1}}" },
    { read_problem, "{\"type\":\"urn:ietf:params:acme:error:rateLimited\","
                    "\"detail\":\"too many\"}" },
    { read_record, "{\"name\":\"a.example\",\"key_type\":\"ecdsa-p256\","
                   "\"number\":1,\"identifiers\":"
                   "[{\"type\":\"dns\",\"value\":\"a.example\"}],"
                   "\"not_after\":\"2027-01-01T00:00:00Z\",\"serial\":\"0a\","
                   "\"issuer\":\"CA\",\"fingerprint\":\"ab\"}" },
    { read_backup, "{\"version\":1,\"made\":\"2027-01-01T00:00:00Z\","
                   "\"accounts\":[],\"sets\":[]}" },
    { read_request, "{\"action\":\"renew\",\"arguments\":{\"all\":true}}" },
    { read_reply, "{\"state\":\"done\",\"text\":\"it is\",\"result\":{}}" },
    { read_staple, "{\"serial\":\"0a\",\"response\":\"AAAA\"}" },
    { read_limits, "{\"held_until\":0,\"buckets\":{\"a\":1,\"b\":2}}" },
    { read_ari, "{\"certificate\":\"id\",\"failures\":1}" },
    { read_job, "{\"settings\":\"y\",\"failures\":1}" },
    { read_key, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\"}" },
};
#define READINGS (sizeof(readings) / sizeof(readings[0]))

static acme_err_t *read_with(unsigned which, int n, int for_good, int *met)
{
    const char *json = readings[which].json;

    left = n;
    stays = for_good;
    acme_err_t *err = readings[which].read(json, strlen(json));
    *met = left == 0 || none;
    left = none = 0;
    return err;
}

static void test_json_is_read_after_a_moment_without_memory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < READINGS; i++) {
        int n = 0, met;
        do {
            acme_err_t *err = read_with(i, ++n, 0, &met);
            if (err && readings[i].read == read_saved) { /* it writes, too */
                assert_err(err, ACME_E_MEMORY);
            }
            else {
                assert_no_err(err);
            }
        } while (met);
        assert_true(n > 5);
    }
}

static void test_json_is_not_damaged_for_want_of_memory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < READINGS; i++) {
        int n = 0, met, failures = 0;
        do {
            acme_err_t *err = read_with(i, ++n, 1, &met);
            if (err) {
                assert_err(err, ACME_E_MEMORY);
                failures++;
            }
        } while (met);
        assert_true(failures > 5);
    }
}

/* What is wrong stays wrong, wherever a word ends. */
static void test_json_that_is_wrong_is_not_for_want_of_memory(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "{]",
        "{\"a\"}",
        "{\"a\" \"b\"",
        "{\"a\":}",
        "{\"a\":x}",
        "{\"a\":[1 \"b\"]}",
        "{1:2}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":\"b}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":1,\"a\":1}",
        "\"a\"",
        "[\"a\"]",
        "{\"a\":\"b\"}\"",
        "{\"a\":\"\\ud800\"}",
        "{\"\xff\":1}",
        "{\"a\":1e999}",
        "{\"a\":99999999999999999999}",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_err(read_any(wrong[i], strlen(wrong[i])), ACME_E_CA_JSON);
    }
}

/* --- writing ----------------------------------------------------------------------- */

typedef acme_err_t *write_fn_t(const char **text);

static void assert_whole_or_none(write_fn_t *write)
{
    const char *whole, *text = NULL;
    int n = 0, met, failures = 0;

    stays = 0;
    assert_no_err(write(&whole));
    do {
        left = ++n;
        acme_err_t *err = write(&text);
        met = left == 0;
        left = 0;
        if (err) {
            assert_err(err, ACME_E_MEMORY);
            failures++;
        }
        else {
            assert_string_equal(text, whole);
        }
    } while (met);
    assert_true(failures > 5);
}

static acme_ca_t cas[2] = { { .url = "https://ca.example/dir" },
                            { .url = "https://second.example/dir" } };
static acme_policy_t policy = { .cas = cas,
                                .ca_count = 2,
                                .key_types = { ACME_KEY_ECDSA_P256 },
                                .key_type_count = 1,
                                .bad_names = ACME_BAD_NAMES_SKIP,
                                .http_01 = 1 };
static acme_managed_t managed = {
    .name = SHOP, .dir = SHOP, .policy = &policy, .in_use = 1
};
static acme_job_t job;

static acme_err_t *write_job(const char **text)
{
    return acme_job_format(text, &job, pool);
}

/* What was asked for, is left out, is revoked or has failed at one CA is not forgotten. */
static void test_job_is_saved_whole_or_not(void **state)
{
    const acme_job_retry_t retry = { apr_time_from_sec(60), NOW, 0 };
    acme_err_t *err = acme_err_make(pool, ACME_E_CA_PROBLEM_DNS, NULL);

    (void)state;
    managed.idents = idents("shop.example www.shop.example new.shop.example");
    acme_job_init(&job, &managed, ACME_KEY_ECDSA_P256, pool, pool);
    acme_blame_add(err, "new.shop.example", ACME_E_CA_PROBLEM_DNS, "none",
                   pool);
    acme_skips_add(&job, err, &retry, NOW, pool);
    assert_int_equal(acme_skips_count(&job), 1);
    job.wished = 1;
    job.turns[0].failures = 2;
    job.turns[0].until = NOW;
    apr_cpystrn(job.withdrawn.serial, "0a", sizeof(job.withdrawn.serial));
    assert_whole_or_none(write_job);
}

static acme_limits_t *limits;

static acme_err_t *write_limits(const char **text)
{
    return acme_limits_format(text, limits, NOW, pool);
}

/* What is spent of a limit of the CA's stays spent. */
static void test_limits_are_saved_whole_or_not(void **state)
{
    const acme_limits_order_t order = { .account = "le",
                                        .idents = idents("a.example") };

    (void)state;
    limits = acme_limits_create(
        acme_limits_find("https://acme-v02.api.letsencrypt.org/directory"),
        pool);
    acme_limits_spend(limits, &order, NOW);
    none = 1;
    const char *text;
    assert_err(write_limits(&text), ACME_E_MEMORY);
    none = 0;
    assert_true(acme_limits_dirty(limits)); /* it is still to be saved */
    assert_whole_or_none(write_limits);
}

static acme_err_t *write_gate(const char **text)
{
    acme_gate_spec_t spec = { .port = 80,
                              .certificate = SHOP,
                              .domain = SHOP,
                              .opens = apr_array_make(pool, 2, sizeof(void *)),
                              .closes =
                                  apr_array_make(pool, 2, sizeof(void *)) };
    apr_array_header_t *program = apr_array_make(pool, 2, sizeof(char *));

    APR_ARRAY_PUSH(program, const char *) = "/bin/firewall";
    APR_ARRAY_PUSH(program, const char *) = "close";
    APR_ARRAY_PUSH(spec.opens, apr_array_header_t *) = program;
    APR_ARRAY_PUSH(spec.closes, apr_array_header_t *) = program;
    APR_ARRAY_PUSH(spec.closes, apr_array_header_t *) = program;
    return acme_gate_spec_format(text, &spec, pool);
}

/* A program without its last word might close another port. */
static void test_journal_of_gate_is_whole_or_not_written(void **state)
{
    (void)state;
    assert_whole_or_none(write_gate);
}

static acme_err_t *write_report(const char **text)
{
    acme_report_t report = { .managed = &managed,
                             .key_count = 1,
                             .types = { ACME_KEY_ECDSA_P256 },
                             .event_counts = { 1 } };
    acme_status_t *status = &report.keys[0];

    status->error_code = ACME_E_CA_PROBLEM_DNS;
    status->wait = ACME_WAIT_RELOAD;
    status->served_number = 1;
    report.events[0][0].time = NOW;
    return acme_json_message(text, acme_report_json(&report, pool), 0,
                             "reporting", pool);
}

static void test_report_is_whole_or_not_told(void **state)
{
    (void)state;
    managed.idents = idents("shop.example www.shop.example");
    assert_whole_or_none(write_report);
}

/* --- the store's ------------------------------------------------------------------- */

static acme_store_t *store;

static const char *contents(const char *path)
{
    FILE *file = fopen(in_store(path), "re");
    char *text = apr_pcalloc(pool, 4096);

    assert_non_null(file);
    assert_true(fread(text, 1, 4095, file) > 0);
    fclose(file);
    return text;
}

static acme_err_t *write_uses(const char **text)
{
    apr_array_header_t *names = apr_array_make(pool, 2, sizeof(char *));
    const acme_use_t use = { SHOP, "conf:7", 1, names };
    const acme_ports_t ports = { 80, 443 };
    apr_array_header_t *uses = apr_array_make(pool, 1, sizeof(acme_use_t));
    apr_table_t *externals = apr_table_make(pool, 1);

    APR_ARRAY_PUSH(names, const char *) = SHOP;
    APR_ARRAY_PUSH(names, const char *) = "www." SHOP;
    APR_ARRAY_PUSH(uses, acme_use_t) = use;
    apr_table_set(externals, "/etc/eab", "kid");
    ACME_TRY(acme_store_put_uses(store, uses, &ports, externals, pool));
    *text = contents("managed.json");
    return NULL;
}

static void test_uses_are_whole_or_not_written(void **state)
{
    (void)state;
    store = open_store();
    assert_whole_or_none(write_uses);
}

/* What such a file held is not recalled; all else is written. */
static void test_uses_are_written_beside_a_path_that_is_no_text(void **state)
{
    const acme_ports_t ports = { 80, 443 };
    apr_array_header_t *uses = apr_array_make(pool, 1, sizeof(acme_use_t));
    apr_table_t *externals = apr_table_make(pool, 2);

    (void)state;
    store = open_store();
    apr_table_set(externals, "/etc/caf\xe9", "kid-1");
    apr_table_set(externals, "/etc/eab", "kid-2");
    assert_no_err(acme_store_put_uses(store, uses, &ports, externals, pool));
    assert_no_err(acme_store_get_externals(&externals, store, pool));
    assert_string_equal(apr_table_get(externals, "/etc/eab"), "kid-2");
    assert_int_equal(apr_table_elts(externals)->nelts, 1);
}

static void note_withdrawn(acme_store_t *opened, void *baton)
{
    static const char BEFORE[] = "{\"settings\":\"x\",\"wished\":true}\n";
    int n = 0, met;

    (void)baton;
    do {
        const char *text;
        apr_size_t len;
        must(acme_store_put_doc(opened, SHOP, ACME_FAMILY_ECDSA, ACME_DOC_JOB,
                                BEFORE, pool));
        left = ++n;
        acme_err_t *err =
            acme_withdrawn_note(opened, SHOP, ACME_FAMILY_ECDSA, "0a", 1, pool);
        met = left == 0;
        left = 0;
        must_be(!err || err->msg == ACME_E_MEMORY);
        must(acme_store_get_doc(&text, &len, opened, SHOP, ACME_FAMILY_ECDSA,
                                ACME_DOC_JOB, pool));
        must_be(strstr(text, "wished") != NULL);
        must_be(err ? !strcmp(text, BEFORE) : strstr(text, "0a") != NULL);
    } while (met);
    must_be(n > 10);
}

/* What is known of the job besides is not forgotten. */
static void test_withdrawal_is_noted_whole_or_not(void **state)
{
    (void)state;
    stays = 0;
    assert_int_equal(as_worker(note_withdrawn, open_store(), NULL), 0);
}

static void look_for_requests(acme_store_t *opened, void *baton)
{
    const acme_control_t *request = baton;
    acme_control_reply_t reply = { .state = "done" };
    apr_array_header_t *requests;

    none = 1;
    acme_err_t *err = acme_store_get_requests(&requests, opened, pool);
    none = 0;
    must_be(err && err->msg == ACME_E_MEMORY);
    must(acme_store_get_requests(&requests, opened, pool));
    must_be(requests->nelts == 1);
    must(acme_store_put_reply(opened, request->id, &reply, pool));
    none = 1;
    err = acme_store_get_interrupted(&requests, opened, pool);
    none = 0;
    must_be(err && err->msg == ACME_E_MEMORY);
    must(acme_store_get_interrupted(&requests, opened, pool));
    must_be(requests->nelts == 0);
}

/* One that is passed over would not be looked at again; one that is answered would be
 * done again. */
static void test_requests_are_not_passed_over_for_want_of_memory(void **state)
{
    acme_control_t request = { .action = "renew" };

    (void)state;
    store = open_store();
    assert_no_err(acme_store_put_request(&request, store, pool));
    /* as long ago as the clock of its directory tells apart */
    const struct timespec past[2] = { { 1700000000, 0 }, { 1700000000, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, in_store("control"), past, 0), 0);
    assert_int_equal(as_worker(look_for_requests, store, &request), 0);
}

static const struct CMUnitTest tests[] = {
    MEMORY_TEST(test_json_is_read_after_a_moment_without_memory),
    MEMORY_TEST(test_json_is_not_damaged_for_want_of_memory),
    MEMORY_TEST(test_json_that_is_wrong_is_not_for_want_of_memory),
    MEMORY_TEST(test_job_is_saved_whole_or_not),
    MEMORY_TEST(test_limits_are_saved_whole_or_not),
    MEMORY_TEST(test_journal_of_gate_is_whole_or_not_written),
    MEMORY_TEST(test_report_is_whole_or_not_told),
    MEMORY_TEST(test_uses_are_whole_or_not_written),
    MEMORY_TEST(test_uses_are_written_beside_a_path_that_is_no_text),
    MEMORY_TEST(test_withdrawal_is_noted_whole_or_not),
    MEMORY_TEST(test_requests_are_not_passed_over_for_want_of_memory),
};

RUN_TESTS(tests)
