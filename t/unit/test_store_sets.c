/* Sets: from the worker into service, and what is in the way of it. */
#include "engine/store_impl.h"
#include "store_test.h"

#include <openssl/pem.h>

#define ECDSA ACME_FAMILY_ECDSA

/* --- numbers and rules --------------------------------------------------------------- */

static void test_no_set_is_no_error(void **state)
{
    acme_store_t *store = open_store();
    acme_record_t *record = (acme_record_t *)1;

    (void)state;
    assert_no_err(acme_store_current(&record, store, SHOP, ECDSA, pool));
    assert_null(record);
    assert_no_err(acme_store_newest(&record, store, SHOP, ECDSA, pool));
    assert_null(record);
    assert_null(promote(store, SHOP));
    assert_int_equal(acme_store_newest_number(store, SHOP, ECDSA, pool), 0);
}

static void test_promote_puts_newest_into_service(void **state)
{
    acme_store_t *store = open_store();
    const char *chain, *key;

    (void)state;
    put_sample(store, SHOP " www.shop.example");
    acme_record_t *record = promote(store, SHOP " www.shop.example");
    assert_non_null(record);
    assert_int_equal(record->number, 1);
    assert_string_equal(record->name, SHOP);
    assert_string_equal(record->ca_url, CA_URL);
    assert_int_equal(current_number(store), 1);
    acme_store_current_files(&chain, &key, store, SHOP, ECDSA, 1, pool);
    assert_string_equal(chain,
                        in_store("certificates/" SHOP "/ecdsa.1/chain.pem"));
    assert_string_equal(key, in_store("certificates/" SHOP "/ecdsa.1/key.pem"));
    FILE *file = fopen(key, "r");
    assert_non_null(file);
    EVP_PKEY *pkey = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(pkey);
    EVP_PKEY_free(pkey);
    assert_null(promote(store, SHOP));
}

static void test_numbers_grow_over_everything_seen(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    for (int i = 1; i <= 3; i++) {
        put_sample(store, SHOP);
        assert_int_equal(acme_store_newest_number(store, SHOP, ECDSA, pool), i);
    }
    assert_false(is_there("fresh/" SHOP "/ecdsa.2"));
    assert_int_equal(promote(store, SHOP)->number, 3);
    /* Handshakes go on with the one in service until another is. */
    sample_t next = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW, 3 };
    assert_int_equal(as_worker(sample_put, store, &next), 0);
    assert_true(is_there("fresh/" SHOP "/ecdsa.3"));
    assert_true(is_there("fresh/" SHOP "/ecdsa.4"));
    assert_int_equal(promote(store, SHOP)->number, 4);
    /* Also where the fresh one has gone since. */
    assert_int_equal(
        system(apr_pstrcat(pool, "rm -r ", in_store("fresh/" SHOP), NULL)), 0);
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 5);
}

static void test_families_live_side_by_side(void **state)
{
    acme_store_t *store = open_store();
    sample_t rsa = { SHOP, SHOP, ACME_KEY_RSA2048, NOW };
    acme_record_t *record = NULL;

    (void)state;
    put_sample(store, SHOP);
    assert_int_equal(as_worker(sample_put, store, &rsa), 0);
    assert_int_equal(promote(store, SHOP)->number, 1);
    acme_promotion_t how = { idents(SHOP), NOW, 0, 0, 0, NULL };
    assert_no_err(
        acme_store_promote(&record, store, SHOP, ACME_FAMILY_RSA, &how, pool));
    assert_int_equal(record->number, 1);
    assert_int_equal(record->key_type, ACME_KEY_RSA2048);
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 2);
    assert_no_err(
        acme_store_current(&record, store, SHOP, ACME_FAMILY_RSA, pool));
    assert_int_equal(record->number, 1);
}

static void test_archive_keeps_three(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    for (int i = 1; i <= 6; i++) {
        put_sample(store, SHOP);
        assert_int_equal(promote(store, SHOP)->number, i);
    }
    assert_false(is_there("archive/" SHOP "/ecdsa.1"));
    assert_false(is_there("archive/" SHOP "/ecdsa.2"));
    assert_true(is_there("archive/" SHOP "/ecdsa.3/key.pem"));
    assert_true(is_there("archive/" SHOP "/ecdsa.5/record.json"));
    assert_false(is_there("certificates/" SHOP "/ecdsa.5"));
}

static acme_err_t *try_promote(acme_store_t *store, const char *allowed)
{
    acme_promotion_t how = { idents(allowed), NOW, 0, 0, 0, NULL };
    acme_record_t *record = NULL;

    return acme_store_promote(&record, store, SHOP, ECDSA, &how, pool);
}

static void test_promote_foreign_name_refused(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    put_sample(store, SHOP " bank.example");
    acme_err_t *err = try_promote(store, SHOP);
    assert_err(err, ACME_E_PROMOTE);
    assert_non_null(strstr(err->text, "bank.example"));
    assert_int_equal(current_number(store), 1);
}

static void test_promote_without_first_name_refused(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, "www.shop.example");
    assert_err(try_promote(store, SHOP " www.shop.example"), ACME_E_PROMOTE);
    assert_int_equal(current_number(store), 0);
}

static void test_promote_no_name_allowed_refused(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP);
    assert_err(try_promote(store, ""), ACME_E_PROMOTE);
}

static void test_promote_wildcard_does_not_allow_names(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP " www.shop.example");
    assert_err(try_promote(store, SHOP " *.shop.example"), ACME_E_PROMOTE);
}

/* A name was taken out of the configuration: the renewal of what was in service
 * may hold it still. */
static void test_promote_names_of_replaced_set_pass(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP " old.shop.example");
    assert_non_null(promote(store, SHOP " old.shop.example"));
    put_sample(store, SHOP " old.shop.example");
    assert_int_equal(promote(store, SHOP)->number, 2);
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 3);
    put_sample(store, SHOP " old.shop.example");
    assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
}

/* The same before anything was in service: what root wrote into the placeholder
 * tells what was configured, and nothing of the worker's does. */
static void test_promote_names_of_placeholder_pass_at_first(void **state)
{
    acme_store_t *store = open_store();
    const char *chain, *key;

    (void)state;
    assert_no_err(acme_store_placeholder(&chain, &key, store, SHOP,
                                         idents(SHOP " old.shop.example"), NOW,
                                         pool));
    put_sample(store, SHOP " bank.example");
    assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
    put_sample(store, SHOP " old.shop.example");
    assert_int_equal(promote(store, SHOP)->number, 2);
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 3);
    put_sample(store, SHOP " old.shop.example");
    assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
}

static void test_promote_damaged_placeholder_says_nothing(void **state)
{
    acme_store_t *store = open_store();
    const char *chain, *key;

    (void)state;
    assert_no_err(acme_store_placeholder(&chain, &key, store, SHOP,
                                         idents(SHOP " old.shop.example"), NOW,
                                         pool));
    assert_int_equal(truncate(chain, 300), 0);
    put_sample(store, SHOP " old.shop.example");
    assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 2);
}

static void test_promote_expired_refused(void **state)
{
    acme_store_t *store = open_store();
    sample_t old = { SHOP, SHOP, ACME_KEY_ECDSA_P256,
                     NOW - apr_time_from_sec(2 * 365 * 86400) };

    (void)state;
    assert_int_equal(as_worker(sample_put, store, &old), 0);
    assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
}

static const char *say_no(void *why, const acme_set_t *set, apr_pool_t *result)
{
    (void)set;
    (void)result;
    return why;
}

static void test_promote_what_no_handshake_takes_refused(void **state)
{
    static char why[] = "it is too weak";
    acme_store_t *store = open_store();
    acme_promotion_t how = {
        .allowed = idents(SHOP), .now = NOW, .try = say_no, .baton = why
    };
    acme_record_t *record = NULL;

    (void)state;
    put_sample(store, SHOP);
    acme_err_t *err =
        acme_store_promote(&record, store, SHOP, ECDSA, &how, pool);
    assert_err(err, ACME_E_PROMOTE);
    assert_non_null(strstr(err->text, why));
    assert_null(record);
    assert_int_equal(current_number(store), 0);
}

static void make_far(acme_store_t *store, void *baton)
{
    (void)store;
    must_be(mkdir(in_store("fresh/" SHOP "/ecdsa.500000"), 0700) == 0);
    (void)baton;
}

static int is_number(void *baton, const acme_set_t *set)
{
    return set->record->number == *(int *)baton;
}

static void test_newest_that_fits_is_found(void **state)
{
    acme_store_t *store = open_store();
    acme_set_t *set;
    int wanted = 1;
    const acme_choice_t choice = { is_number, &wanted };

    (void)state;
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 1);
    for (int served = 1; served <= 2; served++) {
        sample_t next = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW, served };
        assert_int_equal(as_worker(sample_put, store, &next), 0);
    }
    for (wanted = 1; wanted <= 4; wanted++) {
        assert_no_err(
            acme_store_find_set(&set, store, SHOP, ECDSA, &choice, pool));
        assert_int_equal(set ? set->record->number : 4, wanted);
        assert_true(
            !set || (set->record->from == ACME_RECORD_FRESH) == (wanted > 1));
    }
}

static void test_promote_number_far_ahead_refused(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 1);
    assert_int_equal(as_worker(make_far, store, NULL), 0);
    put_sample(store, SHOP);
    assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
    assert_int_equal(current_number(store), 1);
}

static void test_promote_record_lies_certificate_counts(void **state)
{
    acme_store_t *store = open_store();
    acme_record_t *record = NULL;
    acme_set_t *set;

    (void)state;
    put_sample(store, SHOP " bank.example");
    /* The worker claims other names and a long life. */
    const char *path = in_store("fresh/" SHOP "/ecdsa.1/record.json");
    assert_int_equal(
        system(apr_pstrcat(
            pool,
            "sed -i -e s/bank.example/www.shop.example/ "
            "-e s/not_after.*Z/not_after\\\":\\\"2099-01-01T00:00:00Z/ "
            "-e 's/\"name\": \"shop/\"name\": \"bank/' ",
            path, NULL)),
        0);
    if (getuid() == 0) {
        assert_int_equal(chown(path, WORKER, WORKER), 0);
    }
    assert_no_err(acme_store_get_set(&set, store, SHOP, ECDSA, pool));
    assert_true(set->record->not_after < NOW + apr_time_from_sec(400 * 86400));
    assert_err(try_promote(store, SHOP " www.shop.example"), ACME_E_PROMOTE);
    record = promote(store, SHOP " bank.example");
    assert_string_equal(record->name, SHOP);
    assert_true(record->not_after < NOW + apr_time_from_sec(400 * 86400));
    assert_string_equal(APR_ARRAY_IDX(record->idents, 1, acme_ident_t *)->value,
                        "bank.example");
}

/* --- fresh ------------------------------------------------------------------------- */

static void load_look(acme_store_t *store, void *baton)
{
    acme_set_t *set;
    acme_err_t *err;

    (void)baton;
    must(acme_store_load_fresh(&set, store, SHOP, ECDSA, 1, pool));
    must_be(set->record->number == 1);
    must_be(EVP_PKEY_eq(X509_get0_pubkey(set->chain->leaf), set->key) == 1);
    err = acme_store_load_fresh(&set, store, SHOP, ECDSA, 2, pool);
    must_be(err && err->msg == ACME_E_STORE_IO);
    err = acme_store_load_fresh(&set, store, SHOP, ACME_FAMILY_RSA, 1, pool);
    must_be(err && err->msg == ACME_E_STORE_IO);
}

static void test_load_fresh_in_any_child(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP);
    assert_int_equal(as_worker(load_look, store, NULL), 0);
    assert_non_null(promote(store, SHOP));
    assert_int_equal(as_worker(load_look, store, NULL), 0);
}

static int swap_failed(acme_store_t *store, const char *what)
{
    acme_set_t *set;
    acme_err_t *err = acme_store_load_fresh(&set, store, SHOP, ECDSA, 1, pool);

    (void)what;
    return err && (err->msg == ACME_E_SEAL || err->msg == ACME_E_STORE_DAMAGED);
}

static void test_load_fresh_swapped_files_refused(void **state)
{
    static const char *const files[] = { "key", "chain.pem" };

    (void)state;
    for (int i = 0; i < 2; i++) {
        acme_store_t *store = open_store();
        sample_t other = { "other.example", "other.example",
                           ACME_KEY_ECDSA_P256, NOW };
        put_sample(store, SHOP);
        assert_int_equal(as_worker(sample_put, store, &other), 0);
        const char *to =
            apr_pstrcat(pool, "fresh/" SHOP "/ecdsa.1/", files[i], NULL);
        const char *from =
            apr_pstrcat(pool, "fresh/other.example/ecdsa.1/", files[i], NULL);
        assert_int_equal(rename(in_store(from), in_store(to)), 0);
        assert_true(swap_failed(store, files[i]));
        assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* Set number so and so, issued then, while served serves. */
static void put_at(acme_store_t *store, apr_time_t now, int served)
{
    sample_t sample = { SHOP, SHOP, ACME_KEY_ECDSA_P256, now, served };

    assert_int_equal(as_worker(sample_put, store, &sample), 0);
}

/* A disk that is full, say: the set is as good as before. */
static void test_promote_that_fails_in_writing_is_no_refusal(void **state)
{
    acme_store_t *store = open_store();
    acme_promotion_t how = { idents(SHOP), NOW, 0, 0, 0, NULL };
    acme_record_t *record = NULL;
    const char *path;

    (void)state;
    put_sample(store, SHOP);
    path = in_store("certificates/" SHOP);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_err(acme_store_promote(&record, store, SHOP, ECDSA, &how, pool),
               ACME_E_PROMOTE);
    assert_null(record);
    assert_true(how.unwritten);
    assert_int_equal(unlink(path), 0);
    assert_non_null(promote(store, SHOP));
}

/* What is in service after a reload at that moment, by a delay of a day. */
static int serve_at(acme_store_t *store, apr_time_t now, int *waits)
{
    acme_promotion_t how = { idents(SHOP), now, apr_time_from_sec(86400), 0, 0,
                             NULL };
    acme_record_t *record = NULL;

    assert_no_err(acme_store_promote(&record, store, SHOP, ECDSA, &how, pool));
    *waits = how.waits;
    return acme_store_linked(store, SHOP, ECDSA);
}

static void test_promote_keeps_the_delay_but_for_the_first_set(void **state)
{
    const apr_time_t hour = apr_time_from_sec(3600);
    acme_store_t *store = open_store();
    int waits;

    (void)state;
    put_at(store, NOW, 0);
    /* nothing serves: nothing is waited for */
    assert_int_equal(serve_at(store, NOW + hour, &waits), 1);
    assert_false(waits);
    put_at(store, NOW + 2 * hour, 1);
    assert_int_equal(serve_at(store, NOW + 3 * hour, &waits), 1);
    assert_true(waits);
    assert_int_equal(serve_at(store, NOW + 27 * hour, &waits), 2);
    assert_false(waits);
}

static void test_promote_within_the_delay_takes_the_one_that_is_live(
    void **state)
{
    const apr_time_t hour = apr_time_from_sec(3600);
    acme_store_t *store = open_store();
    int waits;

    (void)state;
    put_at(store, NOW, 0);
    put_at(store, NOW + hour, 1);
    assert_int_equal(serve_at(store, NOW + 2 * hour, &waits), 1);
    assert_true(waits);
    assert_int_equal(serve_at(store, NOW + 25 * hour - 1, &waits), 1);
    assert_true(waits);
    assert_int_equal(serve_at(store, NOW + 25 * hour, &waits), 2);
}

static void test_put_fresh_keeps_the_served_set_and_the_new_one(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_at(store, NOW, 0);
    put_at(store, NOW, 1);
    put_at(store, NOW, 1);
    assert_true(is_there("fresh/" SHOP "/ecdsa.1/key"));
    assert_false(is_there("fresh/" SHOP "/ecdsa.2"));
    assert_true(is_there("fresh/" SHOP "/ecdsa.3/key"));
    put_at(store, NOW, 3);
    assert_false(is_there("fresh/" SHOP "/ecdsa.1"));
    assert_true(is_there("fresh/" SHOP "/ecdsa.3/key"));
}

static void refuse(acme_store_t *store, void *baton)
{
    must(acme_store_refuse_fresh(store, SHOP, ECDSA, *(int *)baton, pool));
}

static void test_refused_set_is_found_by_nobody_and_its_number_not_reused(
    void **state)
{
    acme_store_t *store = open_store();
    acme_record_t *record = NULL;
    int number = 2;

    (void)state;
    put_at(store, NOW, 0);
    put_at(store, NOW, 1);
    assert_int_equal(as_worker(refuse, store, &number), 0);
    assert_no_err(acme_store_newest(&record, store, SHOP, ECDSA, pool));
    assert_int_equal(record->number, 1);
    assert_int_equal(promote(store, SHOP)->number, 1);
    assert_null(promote(store, SHOP));
    put_at(store, NOW, 1);
    assert_false(is_there("fresh/" SHOP "/refused.ecdsa.2"));
    assert_int_equal(promote(store, SHOP)->number, 3);
}

static void test_set_put_as_refused_takes_the_place_of_none(void **state)
{
    acme_store_t *store = open_store();
    sample_t sample = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW };
    acme_record_t *record = NULL;

    (void)state;
    put_at(store, NOW, 0);
    sample.refused = 1;
    assert_int_equal(as_worker(sample_put, store, &sample), 0);
    assert_int_equal(as_worker(sample_put, store, &sample), 0);
    assert_false(is_there("fresh/" SHOP "/refused.ecdsa.2"));
    assert_true(is_there("fresh/" SHOP "/refused.ecdsa.3/key"));
    assert_no_err(acme_store_newest(&record, store, SHOP, ECDSA, pool));
    assert_int_equal(record->number, 1);
    put_at(store, NOW, 0);
    assert_false(is_there("fresh/" SHOP "/refused.ecdsa.3"));
    assert_int_equal(promote(store, SHOP)->number, 4);
}

static void put_unreadable(acme_store_t *store, void *baton)
{
    acme_record_t record = { 0 };
    EVP_PKEY *key;
    acme_err_t *err;

    (void)baton;
    must(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    const acme_issued_t issued = { &record, "", key, 0 };
    err = acme_store_put_fresh(store, SHOP, &issued, pool);
    must_be(err && err->msg == ACME_E_STORE_DAMAGED);
}

static void test_put_fresh_unreadable_record_refused(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(as_worker(put_unreadable, store, NULL), 0);
    assert_false(is_there("fresh/" SHOP));
}

static void test_root_does_not_write_in_the_workers_part(void **state)
{
    acme_store_t *store = open_store();

    NEEDS_ROOT();
    (void)state;
    assert_err(acme_store_put_doc(store, SHOP, ECDSA, ACME_DOC_JOB, "{}", pool),
               ACME_E_STORE_ROLE);
}

static void test_names_that_leave_the_directory_refused(void **state)
{
    static const char *const names[] = {
        "", ".", "..", "../x", "a/b", "/etc", ".new-0123456789abcdef"
    };
    acme_store_t *store = open_store();
    acme_record_t *record;
    const char *chain, *key;

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_err(acme_store_current(&record, store, names[i], ECDSA, pool),
                   ACME_E_STORE_NAME);
        acme_promotion_t how = { idents(SHOP), NOW, 0, 0, 0, NULL };
        assert_err(
            acme_store_promote(&record, store, names[i], ECDSA, &how, pool),
            ACME_E_STORE_NAME);
        assert_err(acme_store_placeholder(&chain, &key, store, names[i],
                                          idents(SHOP), NOW, pool),
                   ACME_E_STORE_NAME);
    }
    char *longest = apr_palloc(pool, 257);
    memset(longest, 'a', 255);
    longest[255] = '\0';
    assert_no_err(acme_store_current(&record, store, longest, ECDSA, pool));
    assert_null(record);
    strcpy(longest + 255, "a");
    assert_err(acme_store_current(&record, store, longest, ECDSA, pool),
               ACME_E_STORE_NAME);
}

/* --- damage ------------------------------------------------------------------------ */

static void test_current_damaged_is_told_and_mended_from_fresh(void **state)
{
    static const char *const files[] = { "record.json", "chain.pem",
                                         "key.pem" };

    (void)state;
    for (int i = 0; i < 3; i++) {
        acme_store_t *store = open_store();
        acme_record_t *record;
        put_sample(store, SHOP);
        assert_non_null(promote(store, SHOP));
        assert_int_equal(
            unlink(in_store(apr_pstrcat(pool, "certificates/" SHOP "/ecdsa/",
                                        files[i], NULL))),
            0);
        assert_err(acme_store_current(&record, store, SHOP, ECDSA, pool),
                   ACME_E_STORE_DAMAGED);
        /* A pair without its record still says what it is. */
        assert_true((record != NULL) == (i == 0));
        assert_int_equal(promote(store, SHOP)->number, 1);
        assert_int_equal(current_number(store), 1);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* Number of the set that acmectl gets, with its key, where there is no fresh one. */
static int set_to_be_had(acme_store_t *store)
{
    acme_set_t *set = NULL;

    assert_int_equal(
        system(apr_pstrcat(pool, "rm -r ", in_store("fresh/" SHOP), NULL)), 0);
    assert_no_err(acme_store_get_set(&set, store, SHOP, ECDSA, pool));
    assert_non_null(set);
    assert_int_equal(EVP_PKEY_eq(set->key, X509_get0_pubkey(set->chain->leaf)),
                     1);
    return set->record->number;
}

static void test_current_damaged_older_beside_used(void **state)
{
    acme_store_t *store = open_store();
    acme_record_t *record;

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    /* As a promotion leaves it that died before its last step. */
    assert_int_equal(rename(in_store("archive/" SHOP "/ecdsa.1"),
                            in_store("certificates/" SHOP "/ecdsa.1")),
                     0);
    overwrite("certificates/" SHOP "/ecdsa.2/key.pem", "-----BEGIN");
    assert_err(acme_store_current(&record, store, SHOP, ECDSA, pool),
               ACME_E_STORE_DAMAGED);
    assert_non_null(record);
    assert_int_equal(record->number, 1);
    assert_int_equal(record->from, ACME_RECORD_INSTEAD);
    assert_int_equal(set_to_be_had(store), 1);
}

static const char *chain_of_current(acme_store_t *store, int number)
{
    const char *chain, *key;

    acme_store_current_files(&chain, &key, store, SHOP, ECDSA, number, pool);
    return chain + strlen(in_store(""));
}

/* The worker cannot see what root has found: it is told by the store itself. */
static void older_is_current(acme_store_t *store, void *baton)
{
    acme_record_t *record;

    (void)baton;
    must(acme_store_current(&record, store, SHOP, ECDSA, pool));
    must_be(record && record->number == 1
            && record->from == ACME_RECORD_INSTEAD);
    remove(in_store("fresh/" SHOP "/ecdsa.2/key"));
    acme_err_t *err = acme_store_newest(&record, store, SHOP, ECDSA, pool);
    must_be(err && err->msg == ACME_E_STORE_DAMAGED);
    must_be(record && record->number == 1);
}

static void test_current_damaged_archived_used(void **state)
{
    acme_store_t *store = open_store();
    acme_record_t *record;

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    assert_string_equal(chain_of_current(store, 2),
                        "certificates/" SHOP "/ecdsa.2/chain.pem");
    overwrite("certificates/" SHOP "/ecdsa.2/key.pem", "-----BEGIN");
    assert_err(acme_store_current(&record, store, SHOP, ECDSA, pool),
               ACME_E_STORE_DAMAGED);
    assert_int_equal(record->number, 1);
    assert_int_equal(record->from, ACME_RECORD_INSTEAD);
    assert_string_equal(chain_of_current(store, 1),
                        "archive/" SHOP "/ecdsa.1/chain.pem");
    if (geteuid() == 0) { /* else the worker sees for itself */
        assert_int_equal(as_worker(older_is_current, store, NULL), 0);
    }
    assert_int_equal(set_to_be_had(store), 1);
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 3);
    assert_int_equal(current_number(store), 3);
    assert_string_equal(chain_of_current(store, 3),
                        "certificates/" SHOP "/ecdsa.3/chain.pem");
}

/* Every octet of the files counts. */
static void test_current_one_bit_is_damage(void **state)
{
    static const char *const files[] = { "chain.pem", "key.pem" };
    acme_store_t *store = open_store();
    acme_record_t *record;

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    for (int i = 0; i < 2; i++) {
        const char *path = in_store(
            apr_pstrcat(pool, "certificates/" SHOP "/ecdsa/", files[i], NULL));
        for (long at = 0; at < 200; at += 7) {
            FILE *file = fopen(path, "r+");
            assert_non_null(file);
            fseek(file, at, SEEK_SET);
            int c = fgetc(file);
            fseek(file, at, SEEK_SET);
            fputc(c ^ 1, file);
            fclose(file);
            assert_err(acme_store_current(&record, store, SHOP, ECDSA, pool),
                       ACME_E_STORE_DAMAGED);
            file = fopen(path, "r+");
            fseek(file, at, SEEK_SET);
            fputc(c, file);
            fclose(file);
            assert_int_equal(current_number(store), 1);
        }
    }
}

/* Of a store that another program has filled. */
static void test_current_without_digest_is_parsed(void **state)
{
    acme_store_t *store = open_store();
    acme_record_t *record;

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    assert_int_equal(
        system(apr_pstrcat(
            pool,
            "sed -i -e /files_sha256/d -e "
            "'s/\\(\"ari_id.*\\|\"fingerprint.*\\),$/\\1/' ",
            in_store("certificates/" SHOP "/ecdsa.1/record.json"), NULL)),
        0);
    assert_int_equal(current_number(store), 1);
    overwrite("certificates/" SHOP "/ecdsa.1/key.pem", "-----BEGIN");
    assert_err(acme_store_current(&record, store, SHOP, ECDSA, pool),
               ACME_E_STORE_DAMAGED);
    assert_null(record);
}

/* What is left of a store without its secret. */
static void test_rest_has_what_is_promoted(void **state)
{
    acme_store_options_t options = { in_store(""), WORKER, WORKER, 0 };
    acme_store_t *store = open_store();
    acme_record_t *record = NULL;

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    assert_int_equal(unlink(in_store("store.json")), 0);
    assert_err(try_open(&store, 1), ACME_E_STORE_DAMAGED);
    assert_true(acme_store_can_promote(store));
    assert_no_err(acme_store_open_rest(&store, &options, pool));
    assert_false(acme_store_can_promote(store));
    assert_int_equal(current_number(store), 1);
    /* Nobody else can vouch for the digest either. */
    overwrite("certificates/" SHOP "/ecdsa.1/key.pem", "-----BEGIN");
    assert_err(acme_store_current(&record, store, SHOP, ECDSA, pool),
               ACME_E_STORE_DAMAGED);
    assert_null(record);
    assert_err(
        acme_store_open_rest(
            &store, &(acme_store_options_t){ in_store("work"), 0, 0, 0 }, pool),
        ACME_E_STORE_IO);
}

static void test_symlink_lost_newest_whole_used(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    assert_int_equal(unlink(in_store("certificates/" SHOP "/ecdsa")), 0);
    assert_int_equal(current_number(store), 1);
    promote(store, SHOP);
    assert_true(is_there("certificates/" SHOP "/ecdsa"));
}

static void test_symlink_to_elsewhere_is_no_set(void **state)
{
    static const char *const targets[] = {
        "../other/ecdsa.1", "ecdsa.01",        "ecdsa.0", "ecdsa.-1", "rsa.1",
        "ecdsa.1/",         "ecdsa.9999999999"
    };
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(mkdir(in_store("certificates/" SHOP), 0755), 0);
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        unlink(in_store("certificates/" SHOP "/ecdsa"));
        assert_int_equal(
            symlink(targets[i], in_store("certificates/" SHOP "/ecdsa")), 0);
        assert_int_equal(current_number(store), 0);
    }
}

static void newest_over_damage(acme_store_t *store, void *baton)
{
    acme_record_t *record;
    acme_err_t *err = acme_store_newest(&record, store, SHOP, ECDSA, pool);

    (void)baton;
    must_be(err && err->msg == ACME_E_STORE_DAMAGED);
    must_be(record && record->number == 2);
}

/* Cuts sets 3 and 4 of fresh/, beside a whole 2. */
static void damage_fresh(void)
{
    const char *copy = apr_pstrcat(
        pool, "cd ", in_store("fresh/" SHOP),
        " && cp -a ecdsa.2 ecdsa.3 && cp -a ecdsa.2 ecdsa.4"
        " && : >ecdsa.3/record.json && rm ecdsa.4/key"
        " && sed -i 's/\"number\": 2/\"number\": 4/' ecdsa.4/record.json",
        getuid() == 0 ? " && chown 65534:65534 ecdsa.4/record.json" : "", NULL);

    assert_int_equal(system(copy), 0);
}

static void test_newest_passes_over_damaged(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    put_sample(store, SHOP);
    damage_fresh();
    assert_int_equal(as_worker(newest_over_damage, store, NULL), 0);
    assert_int_equal(promote(store, SHOP)->number, 2);
    /* The next number is above the damaged ones too. */
    put_sample(store, SHOP);
    assert_int_equal(promote(store, SHOP)->number, 5);
}

/* --- what the worker may lay in root's way --------------------------------------------- */

typedef struct trap_t {
    const char *file; /* of the fresh set, replaced */
    int (*lay)(const char *path);
} trap_t;

static int lay_link_to_secret(const char *path)
{
    return symlink(in_store("store.json"), path);
}

static int lay_link_to_own(const char *path)
{
    return symlink(in_store("fresh/" SHOP "/ecdsa.1/aside"), path);
}

static int lay_fifo(const char *path)
{
    return mkfifo(path, 0600);
}

static int lay_directory(const char *path)
{
    return mkdir(path, 0700);
}

static int lay_second_name(const char *path)
{
    return link(in_store("fresh/" SHOP "/ecdsa.1/aside"), path);
}

static int lay_large(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    return ftruncate(fd, 5000000000) | close(fd);
}

static int lay_nothing(const char *path)
{
    (void)path;
    return 0;
}

static void lay_trap(acme_store_t *store, void *baton)
{
    const trap_t *trap = baton;
    const char *path = apr_pstrcat(pool, in_store("fresh/" SHOP "/ecdsa.1/"),
                                   trap->file, NULL);

    (void)store;
    must_be(rename(path, in_store("fresh/" SHOP "/ecdsa.1/aside")) == 0);
    must_be(trap->lay(path) == 0);
}

static void test_promote_steps_into_no_trap(void **state)
{
    static const char *const files[] = { "record.json", "chain.pem", "key" };
    static int (*const lays[])(const char *) = {
        lay_link_to_secret, lay_link_to_own, lay_fifo,    lay_directory,
        lay_second_name,    lay_large,       lay_nothing,
    };

    (void)state;
    for (int f = 0; f < 3; f++) {
        for (unsigned i = 0; i < sizeof(lays) / sizeof(lays[0]); i++) {
            if (lays[i] == lay_second_name && geteuid() != 0) {
                continue; /* where both are one user it is no trap */
            }
            trap_t trap = { files[f], lays[i] };
            acme_store_t *store = open_store();
            put_sample(store, SHOP);
            assert_int_equal(as_worker(lay_trap, store, &trap), 0);
            alarm(10);
            assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
            alarm(0);
            assert_false(is_there("certificates/" SHOP));
            nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
        }
    }
}

static void lay_set_link(acme_store_t *store, void *baton)
{
    (void)store;
    (void)baton;
    must_be(rename(in_store("fresh/" SHOP "/ecdsa.1"),
                   in_store("fresh/" SHOP "/aside"))
            == 0);
    must_be(symlink("aside", in_store("fresh/" SHOP "/ecdsa.1")) == 0);
}

static void lay_dir_link(acme_store_t *store, void *baton)
{
    (void)store;
    (void)baton;
    must_be(rename(in_store("fresh/" SHOP), in_store("fresh/aside")) == 0);
    must_be(symlink("aside", in_store("fresh/" SHOP)) == 0);
}

static void test_promote_follows_no_directory_link(void **state)
{
    static part_fn_t *const lays[] = { lay_set_link, lay_dir_link };

    (void)state;
    for (int i = 0; i < 2; i++) {
        acme_store_t *store = open_store();
        put_sample(store, SHOP);
        assert_int_equal(as_worker(lays[i], store, NULL), 0);
        assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
        assert_false(is_there("certificates/" SHOP));
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static void lay_other_number(acme_store_t *store, void *baton)
{
    (void)store;
    must_be(rename(in_store("fresh/" SHOP "/ecdsa.1"), in_store(baton)) == 0);
}

static void test_promote_set_under_another_number_refused(void **state)
{
    static const char *const names[] = {
        "fresh/" SHOP "/ecdsa.2",
        "fresh/" SHOP "/ecdsa.999999999",
    };

    (void)state;
    for (int i = 0; i < 2; i++) {
        acme_store_t *store = open_store();
        put_sample(store, SHOP);
        assert_int_equal(
            as_worker(lay_other_number, store, apr_pstrdup(pool, names[i])), 0);
        assert_err(try_promote(store, SHOP), ACME_E_PROMOTE);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static void test_promote_set_of_another_owner_refused(void **state)
{
    acme_store_t *store = open_store();

    NEEDS_ROOT();
    (void)state;
    put_sample(store, SHOP);
    assert_int_equal(chown(in_store("fresh/" SHOP "/ecdsa.1/key"), 1, 1), 0);
    acme_err_t *err = try_promote(store, SHOP);
    assert_err(err, ACME_E_PROMOTE);
    assert_non_null(strstr(err->text, "key"));
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_no_set_is_no_error),
    STORE_TEST(test_promote_puts_newest_into_service),
    STORE_TEST(test_numbers_grow_over_everything_seen),
    STORE_TEST(test_families_live_side_by_side),
    STORE_TEST(test_archive_keeps_three),
    STORE_TEST(test_promote_foreign_name_refused),
    STORE_TEST(test_promote_without_first_name_refused),
    STORE_TEST(test_promote_no_name_allowed_refused),
    STORE_TEST(test_promote_wildcard_does_not_allow_names),
    STORE_TEST(test_promote_names_of_replaced_set_pass),
    STORE_TEST(test_promote_names_of_placeholder_pass_at_first),
    STORE_TEST(test_promote_damaged_placeholder_says_nothing),
    STORE_TEST(test_promote_expired_refused),
    STORE_TEST(test_promote_what_no_handshake_takes_refused),
    STORE_TEST(test_newest_that_fits_is_found),
    STORE_TEST(test_promote_number_far_ahead_refused),
    STORE_TEST(test_promote_record_lies_certificate_counts),
    STORE_TEST(test_load_fresh_in_any_child),
    STORE_TEST(test_load_fresh_swapped_files_refused),
    STORE_TEST(test_promote_that_fails_in_writing_is_no_refusal),
    STORE_TEST(test_promote_keeps_the_delay_but_for_the_first_set),
    STORE_TEST(test_promote_within_the_delay_takes_the_one_that_is_live),
    STORE_TEST(test_put_fresh_keeps_the_served_set_and_the_new_one),
    STORE_TEST(test_refused_set_is_found_by_nobody_and_its_number_not_reused),
    STORE_TEST(test_set_put_as_refused_takes_the_place_of_none),
    STORE_TEST(test_put_fresh_unreadable_record_refused),
    STORE_TEST(test_root_does_not_write_in_the_workers_part),
    STORE_TEST(test_names_that_leave_the_directory_refused),
    STORE_TEST(test_current_damaged_is_told_and_mended_from_fresh),
    STORE_TEST(test_current_damaged_older_beside_used),
    STORE_TEST(test_current_damaged_archived_used),
    STORE_TEST(test_current_one_bit_is_damage),
    STORE_TEST(test_current_without_digest_is_parsed),
    STORE_TEST(test_rest_has_what_is_promoted),
    STORE_TEST(test_symlink_lost_newest_whole_used),
    STORE_TEST(test_symlink_to_elsewhere_is_no_set),
    STORE_TEST(test_newest_passes_over_damaged),
    STORE_TEST(test_promote_steps_into_no_trap),
    STORE_TEST(test_promote_follows_no_directory_link),
    STORE_TEST(test_promote_set_under_another_number_refused),
    STORE_TEST(test_promote_set_of_another_owner_refused),
};

RUN_TESTS(tests)
