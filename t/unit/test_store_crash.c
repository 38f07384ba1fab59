/* A death at every step: whatever was being written, readers find the old or the
 * new, and the next writer goes on as if nothing had been. */
#include "store_test.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define MAX_STEPS 200

typedef struct scene_t {
    void (*prepare)(acme_store_t *store);
    part_fn_t *act; /* dies on the way */
    uid_t actor;
    void (*check)(acme_store_t *store);    /* what readers find then */
    void (*complete)(acme_store_t *store); /* acting again, undisturbed */
} scene_t;

typedef struct act_t {
    const scene_t *scene;
    int step;
} act_t;

static void act(acme_store_t *store, void *baton)
{
    const act_t *a = baton;

    acme_fsfile_crash_at(a->step);
    a->scene->act(store, NULL);
    acme_fsfile_crash_at(0);
}

/* Names of temporaries below path. */
static int leftovers;
static int count_one(const char *path, const struct stat *st, int type,
                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    leftovers += acme_fsfile_is_temporary(path + ftw->base);
    return 0;
}

static int count_leftovers(const char *part)
{
    leftovers = 0;
    nftw(in_store(part), count_one, 16, FTW_PHYS);
    return leftovers;
}

static void play(const scene_t *scene)
{
    int status = CRASHED, step;

    for (step = 1; status == CRASHED && step < MAX_STEPS; step++) {
        apr_pool_t *outer = pool;
        apr_pool_create(&pool, outer);
        acme_store_t *store = open_store();
        act_t a = { scene, step };
        scene->prepare(store);
        status = in_child(act, store, &a, scene->actor);
        assert_true(status == 0 || status == CRASHED);
        scene->check(store);
        scene->complete(store);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
        apr_pool_destroy(pool);
        pool = outer;
    }
    assert_int_equal(status, 0);
    assert_true(step > 2);
}

/* --- promotion ------------------------------------------------------------------- */

static void assert_pair(const char *chain, const char *key)
{
    FILE *file = fopen(chain, "r");
    assert_non_null(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(cert);
    file = fopen(key, "r");
    assert_non_null(file);
    EVP_PKEY *pkey = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(pkey);
    assert_int_equal(X509_check_private_key(cert, pkey), 1);
    X509_free(cert);
    EVP_PKEY_free(pkey);
}

/* Whole, and without a complaint. */
static int assert_current(acme_store_t *store)
{
    const char *chain, *key;
    int number = current_number(store);

    if (number) {
        acme_store_current_files(&chain, &key, store, SHOP, ACME_FAMILY_ECDSA,
                                 number, pool);
        assert_pair(chain, key);
    }
    return number;
}

static void act_promote(acme_store_t *store, void *baton)
{
    acme_promotion_t how = { idents(SHOP), NOW, 0, 0, 0, NULL };
    acme_record_t *record;

    (void)baton;
    must(acme_store_promote(&record, store, SHOP, ACME_FAMILY_ECDSA, &how,
                            pool));
}

static void first_prepare(acme_store_t *store)
{
    put_sample(store, SHOP);
}

static void first_check(acme_store_t *store)
{
    assert_true(assert_current(store) <= 1);
    assert_int_equal(
        acme_store_newest_number(store, SHOP, ACME_FAMILY_ECDSA, pool), 1);
}

static void first_complete(acme_store_t *store)
{
    promote(store, SHOP);
    assert_int_equal(assert_current(store), 1);
    assert_int_equal(count_leftovers("certificates"), 0);
    assert_null(promote(store, SHOP));
}

static void test_first_promotion_dies_at_each_step(void **state)
{
    const scene_t scene = { first_prepare, act_promote, 0, first_check,
                            first_complete };

    (void)state;
    play(&scene);
}

static void second_prepare(acme_store_t *store)
{
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    put_sample(store, SHOP);
}

static void second_check(acme_store_t *store)
{
    assert_in_range(assert_current(store), 1, 2);
}

static void second_complete(acme_store_t *store)
{
    promote(store, SHOP);
    assert_int_equal(assert_current(store), 2);
    assert_int_equal(count_leftovers("certificates"), 0);
    assert_false(is_there("certificates/" SHOP "/ecdsa.1"));
    assert_true(is_there("archive/" SHOP "/ecdsa.1/key.pem"));
}

static void test_second_promotion_dies_at_each_step(void **state)
{
    const scene_t scene = { second_prepare, act_promote, 0, second_check,
                            second_complete };

    (void)state;
    play(&scene);
}

static void fifth_prepare(acme_store_t *store)
{
    for (int i = 0; i < 4; i++) {
        put_sample(store, SHOP);
        assert_non_null(promote(store, SHOP));
    }
    put_sample(store, SHOP);
}

static void fifth_check(acme_store_t *store)
{
    assert_in_range(assert_current(store), 4, 5);
}

static void fifth_complete(acme_store_t *store)
{
    promote(store, SHOP);
    assert_int_equal(count_leftovers("archive"), 0);
    assert_false(is_there("archive/" SHOP "/ecdsa.1"));
    put_sample(store, SHOP);
    promote(store, SHOP);
    assert_int_equal(assert_current(store), 6);
    assert_false(is_there("archive/" SHOP "/ecdsa.1"));
    assert_false(is_there("archive/" SHOP "/ecdsa.2"));
    assert_true(is_there("archive/" SHOP "/ecdsa.3/key.pem"));
    assert_true(is_there("archive/" SHOP "/ecdsa.5/key.pem"));
    assert_int_equal(count_leftovers("archive"), 0);
}

static void test_promotion_with_pruning_dies_at_each_step(void **state)
{
    const scene_t scene = { fifth_prepare, act_promote, 0, fifth_check,
                            fifth_complete };

    (void)state;
    play(&scene);
}

/* The set in service has lost its key: once that is found, the same number is
 * promoted over it. */
static void mend_prepare(acme_store_t *store)
{
    acme_record_t *record;

    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    assert_int_equal(unlink(in_store("certificates/" SHOP "/ecdsa/key.pem")),
                     0);
    assert_err(
        acme_store_current(&record, store, SHOP, ACME_FAMILY_ECDSA, pool),
        ACME_E_STORE_DAMAGED);
}

static void mend_check(acme_store_t *store)
{
    acme_record_t *record;
    acme_err_t *err =
        acme_store_newest(&record, store, SHOP, ACME_FAMILY_ECDSA, pool);

    assert_true(!err || err->msg == ACME_E_STORE_DAMAGED);
    if (getuid() != 0) {
        assert_non_null(record);
    }
}

static void test_mending_promotion_dies_at_each_step(void **state)
{
    const scene_t scene = { mend_prepare, act_promote, 0, mend_check,
                            first_complete };

    (void)state;
    play(&scene);
}

/* --- the worker's puts ------------------------------------------------------------- */

static void act_put_fresh(acme_store_t *store, void *baton)
{
    sample_t sample = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW };

    (void)baton;
    sample_put(store, &sample);
}

static void fresh_look(acme_store_t *store, void *baton)
{
    acme_record_t *record;
    acme_set_t *set;
    int number = acme_store_newest_number(store, SHOP, ACME_FAMILY_ECDSA, pool);

    (void)baton;
    must_be(number == 2 || number == 3);
    must(acme_store_newest(&record, store, SHOP, ACME_FAMILY_ECDSA, pool));
    must_be(record->number == number);
    must(acme_store_load_fresh(&set, store, SHOP, ACME_FAMILY_ECDSA, number,
                               pool));
}

static void fresh_check(acme_store_t *store)
{
    assert_int_equal(as_worker(fresh_look, store, NULL), 0);
    assert_int_equal(assert_current(store), 1);
}

static void fresh_complete(acme_store_t *store)
{
    put_sample(store, SHOP);
    assert_int_equal(count_leftovers("fresh"), 0);
    assert_false(is_there("fresh/" SHOP "/ecdsa.2"));
    assert_in_range(promote(store, SHOP)->number, 3, 4);
}

static void test_put_fresh_dies_at_each_step(void **state)
{
    const scene_t scene = { second_prepare, act_put_fresh, WORKER, fresh_check,
                            fresh_complete };

    (void)state;
    play(&scene);
}

#define KID     "https://ca.example/account/1"
#define NEW_KID "https://ca.example/account/2"

static void put_all(acme_store_t *store, const char *text, const char *kid)
{
    acme_account_t account = { CA_URL, NULL, { .kid = kid } };
    acme_control_reply_t reply = { "working", text, 0 };

    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_put_account(store, "ca-00000000", &account, pool));
    must(acme_store_put_work_key(store, SHOP, ACME_FAMILY_ECDSA, account.key,
                                 pool));
    must(acme_store_put_doc(store, SHOP, ACME_FAMILY_ECDSA, ACME_DOC_ORDER,
                            text, pool));
    must(acme_store_put_reply(store, "0123456789abcdef", &reply, pool));
}

static void put_old(acme_store_t *store, void *baton)
{
    (void)baton;
    put_all(store, "{\"old\":1}", KID);
}

static void put_new(acme_store_t *store, void *baton)
{
    (void)baton;
    put_all(store, "{\"new\":1}", NEW_KID);
}

static void put_prepare(acme_store_t *store)
{
    assert_int_equal(as_worker(put_old, store, NULL), 0);
}

static void put_look(acme_store_t *store, void *baton)
{
    acme_account_t *account;
    acme_control_reply_t *reply;
    EVP_PKEY *key;
    const char *json;
    apr_size_t len;

    (void)baton;
    must(acme_store_get_account(&account, store, "ca-00000000", pool));
    must_be(account && account->key);
    must_be(!strcmp(account->state.kid, KID)
            || !strcmp(account->state.kid, NEW_KID));
    must(acme_store_get_work_key(&key, store, SHOP, ACME_FAMILY_ECDSA, pool));
    must_be(key != NULL);
    must(acme_store_get_doc(&json, &len, store, SHOP, ACME_FAMILY_ECDSA,
                            ACME_DOC_ORDER, pool));
    must_be(json
            && (!strcmp(json, "{\"old\":1}") || !strcmp(json, "{\"new\":1}")));
    must(acme_store_get_reply(&reply, store, "0123456789abcdef", pool));
    must_be(reply && !strcmp(reply->state, "working"));
    /* Account and key change together, before the next is begun. */
    if (!strcmp(json, "{\"new\":1}")) {
        must_be(!strcmp(account->state.kid, NEW_KID));
        must_be(EVP_PKEY_eq(account->key, key) == 1);
    }
}

static void put_check(acme_store_t *store)
{
    assert_int_equal(as_worker(put_look, store, NULL), 0);
}

static void put_complete(acme_store_t *store)
{
    assert_int_equal(as_worker(put_new, store, NULL), 0);
    put_check(store);
    assert_int_equal(count_leftovers("accounts"), 0);
    assert_int_equal(count_leftovers("work"), 0);
    assert_int_equal(count_leftovers("replies"), 0);
}

static void test_worker_puts_die_at_each_step(void **state)
{
    const scene_t scene = { put_prepare, put_new, WORKER, put_check,
                            put_complete };

    (void)state;
    play(&scene);
}

/* An order is over: after a death its key may be left, for the next engine. */
static void act_remove_work(acme_store_t *store, void *baton)
{
    (void)baton;
    must(acme_store_remove_work(store, SHOP, ACME_FAMILY_ECDSA, pool));
}

static void look_at_work(acme_store_t *store, void *baton)
{
    const char *json;
    apr_size_t len;
    EVP_PKEY *key;

    (void)baton;
    acme_store_tidy_work(store, SHOP, ACME_FAMILY_ECDSA, pool);
    must(acme_store_get_doc(&json, &len, store, SHOP, ACME_FAMILY_ECDSA,
                            ACME_DOC_ORDER, pool));
    must(acme_store_get_work_key(&key, store, SHOP, ACME_FAMILY_ECDSA, pool));
    must_be(!json == !key);
}

static void work_complete(acme_store_t *store)
{
    assert_int_equal(as_worker(look_at_work, store, NULL), 0);
    assert_int_equal(as_worker(act_remove_work, store, NULL), 0);
    assert_int_equal(as_worker(look_at_work, store, NULL), 0);
    overwrite("work/" SHOP "/.new-0123456789abcdef", "half");
    assert_int_equal(as_worker(look_at_work, store, NULL), 0);
    assert_int_equal(count_leftovers("work"), 0);
}

/* Under a lease, as the engine: who takes over removes all that is in its stage. */
static void lead(acme_store_t *store)
{
    acme_lease_t *lease = acme_store_make_lease(store, pool);
    int held = 0;

    acme_store_set_lease(store, lease);
    must(acme_lease_try(&held, lease, NOW, pool));
    must_be(held);
}

static void act_set_aside(acme_store_t *store, void *baton)
{
    (void)baton;
    lead(store);
    must(acme_store_set_account_aside(store, "ca-00000000", pool));
}

/* Another is put in its place: one of them is in use at any moment, and the old one
 * kept once. */
static void act_replace(acme_store_t *store, void *baton)
{
    acme_account_t account = { CA_URL, NULL, { .kid = NEW_KID } };

    (void)baton;
    lead(store);
    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_replace_account(store, "ca-00000000", &account, pool));
}

static void look_at_account(acme_store_t *store, void *baton)
{
    acme_account_t *account;

    (void)baton;
    lead(store);
    must(acme_store_get_account(&account, store, "ca-00000000", pool));
    must_be(account && account->key);
}

static void replace_check(acme_store_t *store)
{
    assert_int_equal(as_worker(look_at_account, store, NULL), 0);
    assert_false(is_there("accounts/ca-00000000/account.json.2"));
}

static void replace_complete(acme_store_t *store)
{
    assert_int_equal(as_worker(act_replace, store, NULL), 0);
    assert_true(is_there("accounts/ca-00000000/account.json.1"));
    assert_int_equal(count_leftovers("accounts"), 0);
}

static void test_replacing_an_account_dies_at_each_step(void **state)
{
    const scene_t scene = { put_prepare, act_replace, WORKER, replace_check,
                            replace_complete };

    (void)state;
    play(&scene);
}

static void take_over(acme_store_t *store, void *baton)
{
    (void)baton;
    lead(store);
}

static void aside_check(acme_store_t *store)
{
    assert_int_equal(as_worker(take_over, store, NULL), 0);
    assert_true(is_there("accounts/ca-00000000/account.json")
                || is_there("accounts/ca-00000000/account.json.1"));
}

static void aside_complete(acme_store_t *store)
{
    assert_int_equal(as_worker(act_set_aside, store, NULL), 0);
    assert_false(is_there("accounts/ca-00000000/account.json"));
    assert_true(is_there("accounts/ca-00000000/account.json.1"));
    assert_false(is_there("accounts/ca-00000000/account.json.2"));
    assert_int_equal(count_leftovers("accounts"), 0);
}

static void test_setting_an_account_aside_dies_at_each_step(void **state)
{
    const scene_t scene = { put_prepare, act_set_aside, WORKER, aside_check,
                            aside_complete };

    (void)state;
    play(&scene);
}

static void nothing(acme_store_t *store)
{
    (void)store;
}

static void test_end_of_an_order_dies_at_each_step(void **state)
{
    const scene_t scene = { put_prepare, act_remove_work, WORKER, nothing,
                            work_complete };

    (void)state;
    play(&scene);
}

/* --- requests ---------------------------------------------------------------------- */

static void act_request(acme_store_t *store, void *baton)
{
    acme_control_t request = { NULL, "renew", SHOP };

    (void)baton;
    must(acme_store_put_request(&request, store, pool));
}

static int open_requests(acme_store_t *store)
{
    apr_array_header_t *requests;

    assert_no_err(acme_store_get_requests(&requests, store, pool));
    for (int i = 0; i < requests->nelts; i++) {
        const acme_control_t *request =
            APR_ARRAY_IDX(requests, i, const acme_control_t *);
        assert_string_equal(request->action, "renew");
        assert_string_equal(request->certificate, SHOP);
    }
    return requests->nelts;
}

static void request_check(acme_store_t *store)
{
    assert_true(open_requests(store) <= 1);
}

static void request_complete(acme_store_t *store)
{
    int before = open_requests(store);

    act_request(store, NULL);
    assert_int_equal(open_requests(store), before + 1);
    assert_int_equal(count_leftovers("control"), 0);
}

static void test_request_dies_at_each_step(void **state)
{
    const scene_t scene = { nothing, act_request, 0, request_check,
                            request_complete };

    (void)state;
    play(&scene);
}

/* --- placeholders ------------------------------------------------------------------ */

static void act_placeholder(acme_store_t *store, void *baton)
{
    const char *chain, *key;

    (void)baton;
    must(acme_store_placeholder(&chain, &key, store, SHOP, idents(SHOP), NOW,
                                pool));
}

static void placeholder_complete(acme_store_t *store)
{
    const char *chain, *key;

    assert_no_err(acme_store_placeholder(&chain, &key, store, SHOP,
                                         idents(SHOP), NOW, pool));
    assert_pair(chain, key);
    /* Leftovers are looked for by each process, when it makes its first. */
    assert_no_err(acme_store_placeholder(&chain, &key, store, "other.example",
                                         idents(SHOP), NOW, pool));
    assert_int_equal(count_leftovers("placeholder"), 0);
}

static void test_placeholder_dies_at_each_step(void **state)
{
    const scene_t scene = { nothing, act_placeholder, 0, nothing,
                            placeholder_complete };

    (void)state;
    play(&scene);
}

static void broken_placeholder(acme_store_t *store)
{
    assert_int_equal(as_root(act_placeholder, store, NULL), 0);
    overwrite("placeholder/" SHOP "/key.pem", "");
}

static void test_placeholder_mended_dies_at_each_step(void **state)
{
    const scene_t scene = { broken_placeholder, act_placeholder, 0, nothing,
                            placeholder_complete };

    (void)state;
    play(&scene);
}

/* --- the first start ----------------------------------------------------------------- */

static void start(acme_store_t *store, void *baton)
{
    (void)store;
    acme_fsfile_crash_at(*(int *)baton);
    must(try_open(&store, 1));
}

static void test_first_start_dies_at_each_step(void **state)
{
    int status = CRASHED, step;

    (void)state;
    for (step = 1; status == CRASHED && step < MAX_STEPS; step++) {
        status = as_root(start, NULL, &step);
        assert_true(status == 0 || status == CRASHED);
        assert_true(!is_there("lock") || status == 0
                    || !acme_store_is_begun(in_store("."), pool));
        assert_true(is_there("lock") || !is_there(".")
                    || acme_store_is_begun(in_store("."), pool));
        /* The next start goes on with what there is. */
        acme_store_t *store = open_store();
        put_sample(store, SHOP);
        assert_int_equal(promote(store, SHOP)->number, 1);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    assert_int_equal(status, 0);
    assert_true(step > 20);
}

/* Starts that die one after the other, each a step later than the one before. */
static void test_starts_die_in_a_row(void **state)
{
    int step, status = CRASHED;

    (void)state;
    for (step = 1; status == CRASHED && step < MAX_STEPS; step++) {
        status = as_root(start, NULL, &step);
    }
    assert_int_equal(status, 0);
    acme_store_t *store = open_store();
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 1);
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_first_promotion_dies_at_each_step),
    STORE_TEST(test_second_promotion_dies_at_each_step),
    STORE_TEST(test_promotion_with_pruning_dies_at_each_step),
    STORE_TEST(test_mending_promotion_dies_at_each_step),
    STORE_TEST(test_put_fresh_dies_at_each_step),
    STORE_TEST(test_worker_puts_die_at_each_step),
    STORE_TEST(test_end_of_an_order_dies_at_each_step),
    STORE_TEST(test_setting_an_account_aside_dies_at_each_step),
    STORE_TEST(test_replacing_an_account_dies_at_each_step),
    STORE_TEST(test_request_dies_at_each_step),
    STORE_TEST(test_placeholder_dies_at_each_step),
    STORE_TEST(test_placeholder_mended_dies_at_each_step),
    STORE_TEST(test_first_start_dies_at_each_step),
    STORE_TEST(test_starts_die_in_a_row),
};

RUN_TESTS(tests)
