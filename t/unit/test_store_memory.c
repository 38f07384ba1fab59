/* No memory for a moment: what is kept is not called damaged for that, since damage is
 * given up. APR ends the process where there is none; OpenSSL and jansson say so. */
#include "engine/audit.h"
#include "engine/backup.h"
#include "engine/control.h"
#include "engine/saved.h"
#include "store_test.h"

#include <jansson.h>
#include <openssl/crypto.h>

#define MAX_ALLOCATIONS 20000

static int left; /* allocations until the one that fails; 0: none does */
static int none; /* jansson has no memory at all */

static int fails(void)
{
    return left > 0 && --left == 0;
}

/* Where it has no memory for a longer text jansson loses a letter, and says nothing. */
static int spares_json;

static void *allocate(size_t size)
{
    return fails() ? NULL : malloc(size);
}

static void *json_allocate(size_t size)
{
    return none ? NULL : spares_json ? malloc(size) : allocate(size);
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return allocate(size);
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : realloc(old, size);
}

static void ssl_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

/* Before OpenSSL has allocated anything. */
__attribute__((constructor)) static void take_over_memory(void)
{
    if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1) {
        abort();
    }
    json_set_alloc_funcs(json_allocate, free);
}

typedef acme_err_t *look_fn_t(acme_store_t *store);

static acme_err_t *look_at_set(acme_store_t *store)
{
    acme_set_t *set;

    return acme_store_load_fresh(&set, store, SHOP, ACME_FAMILY_ECDSA, 1, pool);
}

static acme_err_t *look_for_newest(acme_store_t *store)
{
    acme_record_t *record;
    acme_err_t *err =
        acme_store_newest(&record, store, SHOP, ACME_FAMILY_ECDSA, pool);

    must_be(err || (record && record->number == 1));
    return err;
}

static acme_err_t *look_at_account(acme_store_t *store)
{
    acme_account_t *account;

    return acme_store_get_account(&account, store, "ca-00000000", pool);
}

static acme_err_t *look_at_key(acme_store_t *store)
{
    EVP_PKEY *key;

    return acme_store_get_work_key(&key, store, SHOP, ACME_FAMILY_ECDSA, pool);
}

#define TRAIL "audit/0000000001.jsonl"

static acme_err_t *add(acme_audit_t *audit, acme_store_t *store)
{
    return acme_audit_add(audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                          "certificate with serial 47", NOW, pool);
}

/* What one process has told, another goes on with. */
static acme_err_t *add_to_trail(acme_store_t *store)
{
    acme_audit_t before = { 0 }, audit = { 0 };
    int chosen = left;

    left = 0;
    must_be(unlink(in_store(TRAIL)) == 0); /* or the test would take minutes */
    must(add(&before, store));
    left = chosen;
    return add(&audit, store);
}

static acme_err_t *verify_trail(acme_store_t *store)
{
    acme_audit_report_t report;
    spares_json = 1;
    acme_err_t *err = acme_audit_read(&report, store, NULL, NULL, pool);

    spares_json = 0;
    must_be(err || (report.last == 5 && !report.torn));
    return err;
}

static void put(acme_store_t *store, void *baton)
{
    sample_t sample = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW };
    acme_account_t account = { .directory_url = CA_URL };
    acme_audit_t audit = { 0 };

    (void)baton;
    for (int i = 0; i < 5; i++) {
        must(add(&audit, store));
    }
    sample_put(store, &sample);
    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_put_account(store, "ca-00000000", &account, pool));
    must(acme_store_put_work_key(store, SHOP, ACME_FAMILY_ECDSA, account.key,
                                 pool));
}

static void look_at_each(acme_store_t *store, void *baton)
{
    static look_fn_t *const looks[] = { look_at_set,     look_for_newest,
                                        look_at_account, look_at_key,
                                        verify_trail,    add_to_trail };

    (void)baton;
    for (unsigned i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        apr_pool_t *outer = pool;
        int n = 0, met = 1;
        while (met && ++n < MAX_ALLOCATIONS) {
            apr_pool_create(&pool, outer);
            left = n;
            acme_err_t *err = looks[i](store);
            met = left == 0;
            left = 0;
            if (err) {
                fprintf(stderr, "%u: allocation %d: %s\n", i, n, err->text);
                _exit(1);
            }
            apr_pool_destroy(pool);
        }
        pool = outer;
        must_be(n > 10 && n < MAX_ALLOCATIONS);
    }
}

static void test_nothing_is_damaged_for_want_of_memory(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(as_worker(put, store, NULL), 0);
    assert_int_equal(as_worker(look_at_each, store, NULL), 0);
}

/* --- writing ----------------------------------------------------------------------- */

typedef acme_err_t *write_fn_t(const char **text, const void *baton);

static void assert_whole_or_none(write_fn_t *write, const void *baton)
{
    const char *whole, *text;
    int n = 0, met = 1;

    assert_no_err(write(&whole, baton));
    while (met) {
        left = ++n;
        acme_err_t *err = write(&text, baton);
        met = left == 0;
        left = 0;
        if (!err) {
            assert_string_equal(text, whole);
        }
    }
    assert_true(n > 10);
}

static acme_err_t *write_order(const char **text, const void *baton)
{
    return acme_saved_format(text, baton, pool);
}

/* An order that is saved for fewer names, or without what it has come to, would be
 * given up for damaged. */
static void test_order_is_saved_whole_or_not(void **state)
{
    const acme_saved_t order = { "sub",
                                 "ca-00000000",
                                 idents("a.example b.example"),
                                 "{\"version\":1,\"state\":\"new\"}",
                                 1,
                                 0 };

    (void)state;
    assert_whole_or_none(write_order, &order);
}

static acme_err_t *write_backup(const char **text, const void *baton)
{
    return acme_backup_format(text, baton, pool);
}

/* That a key is missing in it would be found when it is too late. */
static void test_backup_is_whole_or_fails(void **state)
{
    acme_store_t *store = open_store();
    acme_backup_t *backup;
    acme_err_t *damage;

    (void)state;
    assert_int_equal(as_worker(put, store, NULL), 0);
    assert_no_err(acme_backup_collect(&backup, &damage, store, NOW, pool));
    assert_null(damage);
    assert_int_equal(backup->accounts->nelts, 1);
    assert_int_equal(backup->sets->nelts, 1);
    assert_whole_or_none(write_backup, backup);
}

static acme_err_t *write_request(const char **text, const void *baton)
{
    acme_control_t request = { .action = "account-contact",
                               .account = "ca-00000000",
                               .certificate = SHOP };

    (void)baton;
    acme_control_set_text(&request, "contacts", "mailto:a@shop.example", pool);
    acme_control_set_number(&request, "reason", 4, pool);
    acme_control_set_flag(&request, "delete", pool);
    return acme_control_format(text, &request, "c2VhbGVk", pool);
}

static acme_err_t *write_answer(const char **text, const void *baton)
{
    const acme_control_reply_t *reply = baton;

    return acme_control_format_reply(text, reply, pool);
}

/* What is asked is not done to another, or to all, nor told as done without what has
 * come of it. */
static void test_request_is_whole_or_fails(void **state)
{
    acme_control_reply_t reply = { .state = "done",
                                   .text = "it is",
                                   .since = NOW,
                                   .result = json_pack("{s:[i]}", "list", 1) };

    (void)state;
    assert_whole_or_none(write_request, NULL);
    assert_whole_or_none(write_answer, &reply);
    json_decref(reply.result);
}

/* Why another file is to be begun is asked anew: it is not remembered from a pool that
 * has gone. */
static void begin_another_file(acme_store_t *store, void *baton)
{
    acme_audit_t audit = { 0 };

    (void)baton;
    must_be(mkdir(in_store(TRAIL), 0700) == 0);
    none = 1;
    acme_err_t *err = add(&audit, store);
    none = 0;
    must_be(err && err->msg == ACME_E_MEMORY);
    for (int i = 0; i < 100; i++) {
        memset(apr_palloc(pool, 8000), 'x', 8000);
    }
    err = add(&audit, store);
    must_be(err && err->msg == ACME_W_AUDIT_FILE);
    must_be(strstr(err->text, TRAIL) != NULL);
}

static void test_audit_file_that_is_left_after_want_of_memory(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(as_worker(begin_another_file, store, NULL), 0);
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_nothing_is_damaged_for_want_of_memory),
    STORE_TEST(test_order_is_saved_whole_or_not),
    STORE_TEST(test_backup_is_whole_or_fails),
    STORE_TEST(test_request_is_whole_or_fails),
    STORE_TEST(test_audit_file_that_is_left_after_want_of_memory),
};

RUN_TESTS(tests)
