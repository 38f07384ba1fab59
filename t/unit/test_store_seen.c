/* What was found whole is not read again, and what was changed is. */
#include "store_test.h"

#define ECDSA ACME_FAMILY_ECDSA
#define CHAIN "certificates/" SHOP "/ecdsa.1/chain.pem"

/* Octets this process has read; asking costs the same each time. */
static long octets_read(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    long octets = -1;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "rchar: %ld", &octets), 1);
    fclose(file);
    return octets;
}

static acme_serving_t serving_at(acme_store_t *store, acme_sights_t *seen,
                                 apr_time_t now)
{
    acme_serving_t serving;

    assert_no_err(
        acme_store_serving(&serving, store, seen, SHOP, ECDSA, now, pool));
    return serving;
}

/* What one look reads, beyond what the measuring reads. */
static long octets_of_look(acme_store_t *store, acme_sights_t *seen,
                           apr_time_t now)
{
    long start = octets_read();
    long idle = octets_read() - start;

    start = octets_read();
    serving_at(store, seen, now);
    return octets_read() - start - idle;
}

static acme_store_t *store_with_set(void)
{
    acme_store_t *store = open_store();

    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    return store;
}

static void test_second_look_reads_nothing(void **state)
{
    acme_store_t *store = store_with_set();
    acme_sights_t *seen = acme_sights_make(pool);
    acme_record_t *record;

    (void)state;
    assert_true(octets_of_look(store, seen, NOW) > 500);
    assert_int_equal(octets_of_look(store, seen, NOW), 0);
    /* By another opening of the store, too. */
    store = open_store();
    assert_int_equal(octets_of_look(store, seen, NOW), 0);
    acme_serving_t serving = serving_at(store, seen, NOW);
    assert_no_err(acme_store_current(&record, store, SHOP, ECDSA, pool));
    assert_int_equal(serving.number, 1);
    assert_string_equal(serving.serial, record->serial);
    assert_int_equal(serving.from, ACME_RECORD_IN_SERVICE);
    assert_false(serving.must_staple);
}

static void test_another_set_is_read(void **state)
{
    acme_store_t *store = store_with_set();
    acme_sights_t *seen = acme_sights_make(pool);

    (void)state;
    acme_serving_t first = serving_at(store, seen, NOW);
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    acme_serving_t second = serving_at(store, seen, NOW);
    assert_int_equal(second.number, 2);
    assert_string_not_equal(first.serial, second.serial);
    assert_int_equal(octets_of_look(store, seen, NOW), 0);
}

/* One octet, in place: neither inode nor size tell. */
static void flip(const char *path)
{
    int fd = open(in_store(path), O_RDWR);
    char octet;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &octet, 1, 100), 1);
    octet = octet == 'A' ? 'B' : 'A';
    assert_int_equal(pwrite(fd, &octet, 1, 100), 1);
    close(fd);
}

static void test_damage_after_the_first_look_is_found(void **state)
{
    acme_store_t *store = store_with_set();
    acme_sights_t *seen = acme_sights_make(pool);
    acme_serving_t serving;

    (void)state;
    assert_int_equal(serving_at(store, seen, NOW).number, 1);
    flip(CHAIN);
    assert_err(
        acme_store_serving(&serving, store, seen, SHOP, ECDSA, NOW, pool),
        ACME_E_STORE_DAMAGED);
    /* And goes on being told. */
    assert_err(
        acme_store_serving(&serving, store, seen, SHOP, ECDSA, NOW, pool),
        ACME_E_STORE_DAMAGED);
}

static void test_missing_file_is_found(void **state)
{
    static const char *const files[] = { "record.json", "chain.pem",
                                         "key.pem" };

    (void)state;
    for (int i = 0; i < 3; i++) {
        acme_store_t *store = store_with_set();
        acme_sights_t *seen = acme_sights_make(pool);
        acme_serving_t serving;

        assert_int_equal(serving_at(store, seen, NOW).number, 1);
        assert_int_equal(
            unlink(in_store(apr_pstrcat(pool, "certificates/" SHOP "/ecdsa.1/",
                                        files[i], NULL))),
            0);
        assert_err(
            acme_store_serving(&serving, store, seen, SHOP, ECDSA, NOW, pool),
            ACME_E_STORE_DAMAGED);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* The next change could have the same time. */
static void test_young_files_are_read_again(void **state)
{
    acme_store_t *store = store_with_set();
    acme_sights_t *seen = acme_sights_make(pool);
    struct stat st;

    (void)state;
    assert_int_equal(stat(in_store(CHAIN), &st), 0);
    apr_time_t young = apr_time_from_sec(st.st_ctime + 1);
    assert_true(octets_of_look(store, seen, young) > 500);
    assert_true(octets_of_look(store, seen, young) > 500);
}

static void test_none_is_no_error(void **state)
{
    acme_store_t *store = open_store();
    acme_sights_t *seen = acme_sights_make(pool);

    (void)state;
    assert_int_equal(serving_at(store, seen, NOW).number, 0);
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_second_look_reads_nothing),
    STORE_TEST(test_another_set_is_read),
    STORE_TEST(test_damage_after_the_first_look_is_found),
    STORE_TEST(test_missing_file_is_found),
    STORE_TEST(test_young_files_are_read_again),
    STORE_TEST(test_none_is_no_error),
};

RUN_TESTS(tests)
