/* Stapled responses in shared memory, with readers in other threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/ocsp.h"
#include "httpd/staples.h"

#define NOW apr_time_from_sec(1000000)

static acme_staples_t *area;

static int start(void **state)
{
    (void)state;
    area = calloc(1, acme_staples_size(1));
    return area ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    free(area);
    return 0;
}

static ASN1_INTEGER *number(long value)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();

    ASN1_INTEGER_set(serial, value);
    return serial;
}

/* Put len octets, all of them the last of the serial number. */
static void put(const char *serial, int len, apr_time_t until, int must)
{
    unsigned char der[ACME_MAX_OCSP + 1];
    acme_staple_t staple = { serial, der, (apr_size_t)len, until, must };

    memset(der, (int)strtol(serial + strlen(serial) - 2, NULL, 16),
           sizeof(der));
    acme_staples_put(area, &staple);
}

/* @return length, checked to be of that serial number; 0: none */
static int get(long value, int wanted)
{
    ASN1_INTEGER *serial = number(value);
    unsigned char *der = NULL;
    int len = acme_staples_get(&der, area, serial, wanted, NOW), i;

    for (i = 0; i < len; i++) {
        assert_int_equal(der[i], value & 0xff);
    }
    OPENSSL_free(der);
    ASN1_INTEGER_free(serial);
    return len;
}

static void test_response_is_found_by_its_serial(void **state)
{
    (void)state;
    assert_int_equal(get(0x1234, 1), 0);
    put("1234", 500, NOW + 1, 0);
    assert_int_equal(get(0x1234, 1), 500);
    assert_int_equal(get(0x1235, 1), 0);
    assert_int_equal(get(0x34, 1), 0);
    assert_int_equal(get(-0x1234, 1), 0);
}

static void test_response_that_has_ended_is_not_shown(void **state)
{
    (void)state;
    put("1234", 500, NOW, 0);
    assert_int_equal(get(0x1234, 1), 0);
}

static void test_response_is_shown_where_wanted_or_demanded(void **state)
{
    (void)state;
    put("1234", 500, NOW + 1, 0);
    put("1235", 600, NOW + 1, 1);
    assert_int_equal(get(0x1234, 0), 0);
    assert_int_equal(get(0x1235, 0), 600);
}

static void test_two_certificates_side_by_side_the_oldest_goes(void **state)
{
    (void)state;
    put("11", 500, NOW + 1, 0);
    put("22", 600, NOW + 1, 0);
    put("22", 700, NOW + 1, 0);
    assert_int_equal(get(0x11, 1), 500);
    assert_int_equal(get(0x22, 1), 700);
    put("33", 800, NOW + 1, 0);
    assert_int_equal(get(0x11, 1), 0);
    assert_int_equal(get(0x22, 1), 700);
    assert_int_equal(get(0x33, 1), 800);
}

static void test_response_can_be_taken_away(void **state)
{
    (void)state;
    put("11", 500, NOW + 1, 0);
    put("22", 500, NOW + 1, 0);
    put("33", 0, NOW + 1, 0); /* not there */
    put("11", 0, NOW + 1, 0);
    assert_int_equal(get(0x11, 1), 0);
    assert_int_equal(get(0x22, 1), 500);
}

static void test_odd_serials_and_sizes_are_left_out(void **state)
{
    static const char *const SERIALS[] = {
        "", "1", "-11", "xy",
        "11111111111111111111111111111111111111111111111111111111111111111111"
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(SERIALS) / sizeof(SERIALS[0]); i++) {
        unsigned char der[1] = { 0 };
        acme_staple_t staple = { SERIALS[i], der, 1, NOW + 1, 1 };

        acme_staples_put(area, &staple);
    }
    put("11", ACME_MAX_OCSP + 1, NOW + 1, 1);
    assert_int_equal(get(0x11, 1), 0);
    put("11", ACME_MAX_OCSP, NOW + 1, 1);
    assert_int_equal(get(0x11, 1), ACME_MAX_OCSP);
}

/* Whatever came before, the newest is there, and whole. */
static void test_any_sizes_in_any_order_fit(void **state)
{
    static const char *const SERIALS[] = { "11", "22", "33" };
    unsigned int random = 1, i;

    (void)state;
    for (i = 0; i < 20000; i++) {
        int which, len;

        random = random * 1103515245u + 12345u;
        which = (int)(random >> 16) % 3;
        len = (int)((random >> 8) % ACME_MAX_OCSP) + 1;
        put(SERIALS[which], len, NOW + 1, 0);
        assert_int_equal(get(0x11 * (which + 1), 1), len);
    }
}

static _Atomic int done, torn, seen;

static void *read_all_the_time(void *data)
{
    ASN1_INTEGER *serial = data;

    while (!atomic_load(&done)) {
        unsigned char *der = NULL;
        int len = acme_staples_get(&der, area, serial, 1, NOW), i;

        for (i = 1; i < len; i++) {
            if (der[i] != der[0]) {
                atomic_store(&torn, 1);
            }
        }
        atomic_fetch_add(&seen, len > 0);
        OPENSSL_free(der);
    }
    return NULL;
}

static void test_readers_never_see_half_a_response(void **state)
{
    ASN1_INTEGER *serial = number(0x77);
    unsigned char der[3000];
    acme_staple_t staple = { "77", der, sizeof(der), NOW + 1, 0 };
    pthread_t readers[2];
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        pthread_create(&readers[i], NULL, read_all_the_time, serial);
    }
    for (i = 0; i < 20000 || !atomic_load(&seen); i++) {
        memset(der, i & 0xff, sizeof(der));
        staple.len = (apr_size_t)(i % 3000) + 1;
        acme_staples_put(area, &staple);
    }
    atomic_store(&done, 1);
    for (i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&torn), 0);
    ASN1_INTEGER_free(serial);
}

#define AREA_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

/* As a process that was taken over may leave it; the sanitizer looks on. */
static void test_nonsense_in_the_memory_leads_nowhere(void **state)
{
    apr_size_t size = acme_staples_size(1), i;
    unsigned int seed = 7;

    (void)state;
    memset(area, 0xff, size);
    assert_int_equal(get(0x1234, 1), 0);
    put("1234", 5000, NOW + 1, 0);
    assert_int_equal(get(0x1234, 1), 5000);
    for (int round = 0; round < 2000; round++) {
        for (i = 0; i < 64; i++) {
            seed = seed * 1103515245u + 12345u;
            ((unsigned char *)area)[i] = (unsigned char)(seed >> 16);
        }
        put("1234", (int)(seed % 6000), NOW + 1, 0);
        put("1234", 0, NOW + 1, 0);
        (void)get(0x1235, 1);
    }
}

/* Entries that could be right, in places where ours never lie. */
static void test_what_comes_next_finds_room_in_spite_of_nonsense(void **state)
{
    unsigned int seed = 7;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        apr_uint64_t entries[2];
        for (int i = 0; i < 2; i++) {
            seed = seed * 1103515245u + 12345u;
            entries[i] = (apr_uint64_t)(seed >> 24) << 32
                         | (apr_uint64_t)((seed >> 8) % 20000) << 16
                         | (seed >> 4) % 20000;
        }
        int len = (int)(seed % ACME_MAX_OCSP) + 1;
        memcpy(area, entries, sizeof(entries));
        put("11", len, NOW + 1, 0);
        assert_int_equal(get(0x11, 1), len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AREA_TEST(test_response_is_found_by_its_serial),
        AREA_TEST(test_response_that_has_ended_is_not_shown),
        AREA_TEST(test_response_is_shown_where_wanted_or_demanded),
        AREA_TEST(test_two_certificates_side_by_side_the_oldest_goes),
        AREA_TEST(test_response_can_be_taken_away),
        AREA_TEST(test_odd_serials_and_sizes_are_left_out),
        AREA_TEST(test_any_sizes_in_any_order_fit),
        AREA_TEST(test_nonsense_in_the_memory_leads_nowhere),
        AREA_TEST(test_what_comes_next_finds_room_in_spite_of_nonsense),
        AREA_TEST(test_readers_never_see_half_a_response),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
