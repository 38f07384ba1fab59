/* The memory of visits without a server: what httpd gives it is made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "httpd/hits.h"
#include "httpd_test.h"

#define NOW    apr_time_from_sec(1800000000)
#define MINUTE apr_time_from_sec(60)

static apr_pool_t *pconf;
static const acme_ident_t SHOP = { ACME_IDENT_DNS, "shop.example.org" };

static int start(void **state)
{
    (void)state;
    test_start_httpd();
    apr_pool_create(&pconf, process_pool);
    assert_non_null(acme_hits_open(&server, pconf));
    return 0;
}

static void visit(const char *name, apr_time_t time, int known, int status)
{
    acme_hit_t hit = { .time = time, .known = known, .status = status };

    apr_cpystrn(hit.peer, "192.0.2.1", sizeof(hit.peer));
    acme_hits_add(acme_hits(), name, &hit);
}

static int count(const acme_ident_t *ident, apr_time_t since)
{
    acme_hit_t found[ACME_MAX_HITS];

    return acme_hits_read(found, NULL, acme_hits(), ident, since);
}

static void test_visits_of_names_that_nobody_proves_are_not_kept(void **state)
{
    (void)state;
    visit("shop.example.org", NOW, 1, 404);
    assert_int_equal(count(&SHOP, 0), 0);
    assert_false(acme_hits_expected(acme_hits(), "shop.example.org", NOW));
    acme_hits_expect(acme_hits(), &SHOP, NOW);
    assert_true(acme_hits_expected(acme_hits(), "SHOP.example.org", NOW));
    assert_false(acme_hits_expected(acme_hits(), "blog.example.org", NOW));
    visit("Shop.Example.org", NOW, 1, 200);
    visit("blog.example.org", NOW, 1, 200);
    assert_int_equal(count(&SHOP, 0), 1);
}

static void test_visits_are_expected_a_while_longer_than_the_order(void **state)
{
    (void)state;
    acme_hits_expect(acme_hits(), &SHOP, NOW);
    acme_hits_over(acme_hits(), &SHOP, NOW + MINUTE);
    assert_true(
        acme_hits_expected(acme_hits(), "shop.example.org", NOW + 5 * MINUTE));
    assert_false(
        acme_hits_expected(acme_hits(), "shop.example.org", NOW + 60 * MINUTE));
    acme_hits_expect(acme_hits(), &SHOP, NOW + 90 * MINUTE);
    assert_true(acme_hits_expected(acme_hits(), "shop.example.org",
                                   NOW + 100 * MINUTE));
}

static void test_visits_are_read_in_order_since_a_moment(void **state)
{
    acme_hit_t found[ACME_MAX_HITS];
    int i;

    (void)state;
    acme_hits_expect(acme_hits(), &SHOP, NOW);
    visit("shop.example.org", NOW + 3, 0, 404);
    visit("shop.example.org", NOW + 1, 1, 403);
    for (i = 0; i < 30; i++) {
        visit("shop.example.org", NOW + 10 + i, 1, 200);
    }
    visit("shop.example.org", NOW + 5, 0, 301);
    assert_int_equal(acme_hits_read(found, NULL, acme_hits(), &SHOP, NOW),
                     ACME_MAX_HITS - ACME_HITS_OTHERS + 2);
    assert_int_equal(found[0].time, NOW + 3);
    assert_int_equal(found[1].status, 301);
    assert_int_equal(found[2].time, NOW + 30);
    assert_int_equal(found[11].time, NOW + 39);
    assert_int_equal(count(&SHOP, NOW + 35), 5);
}

static void test_flood_of_guesses_is_counted_and_pushes_out_nothing(
    void **state)
{
    acme_hit_t found[ACME_MAX_HITS];
    int i, uncounted;

    (void)state;
    acme_hits_expect(acme_hits(), &SHOP, NOW);
    visit("shop.example.org", NOW + 1, 1, 200);
    for (i = 0; i < 3000000; i++) {
        visit("shop.example.org", NOW + 2, 0, 404);
    }
    visit("shop.example.org", NOW + 3, 1, 403);
    assert_int_equal(acme_hits_read(found, &uncounted, acme_hits(), &SHOP, 0),
                     2 + ACME_HITS_OTHERS);
    assert_int_equal(found[0].status, 200);
    assert_int_equal(found[1 + ACME_HITS_OTHERS].status, 403);
    assert_in_range(uncounted, 900000, 3000000);
    acme_hits_over(acme_hits(), &SHOP, NOW);
    acme_hits_expect(acme_hits(), &SHOP, NOW + 60 * MINUTE);
    visit("shop.example.org", NOW + 60 * MINUTE, 0, 302);
    assert_int_equal(count(&SHOP, NOW + 60 * MINUTE), 1);
}

static void test_visits_of_an_address_are_found_by_each_of_its_names(
    void **state)
{
    const acme_ident_t address = { ACME_IDENT_IP, "2001:db8::1" };

    (void)state;
    acme_hits_expect(acme_hits(), &address, NOW);
    visit("2001:0db8::0001", NOW, 1, 200);
    visit("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
          ".ip6.arpa",
          NOW, 1, 200);
    assert_int_equal(count(&address, 0), 2);
}

static void test_visits_outlive_a_restart(void **state)
{
    (void)state;
    acme_hits_expect(acme_hits(), &SHOP, NOW);
    visit("shop.example.org", NOW, 1, 200);
    apr_pool_destroy(pconf);
    assert_null(acme_hits());
    apr_pool_create(&pconf, process_pool);
    assert_non_null(acme_hits_open(&server, pconf));
    assert_int_equal(count(&SHOP, 0), 1);
}

/* Far more names than there is room for: the last ones are all there, and none
 * has a visit of another. */
static void test_names_make_room_for_later_ones(void **state)
{
    enum { NAMES = 40000, LAST = 2000 };
    acme_hit_t found[ACME_MAX_HITS];
    int i, there = 0;

    (void)state;
    for (i = 0; i < NAMES; i++) {
        acme_ident_t ident = { ACME_IDENT_DNS,
                               apr_psprintf(pconf, "h%d.example", i) };
        apr_time_t time = NOW + i * MINUTE;

        acme_hits_expect(acme_hits(), &ident, time);
        visit(ident.value, time, 1, i);
        acme_hits_over(acme_hits(), &ident, time);
    }
    for (i = 0; i < NAMES; i++) {
        acme_ident_t ident = { ACME_IDENT_DNS,
                               apr_psprintf(pconf, "h%d.example", i) };
        int number = acme_hits_read(found, NULL, acme_hits(), &ident, 0);

        assert_in_range(number, 0, 1);
        assert_true(!number || found[0].status == i);
        assert_true(number || i < NAMES - LAST);
        there += number;
    }
    assert_in_range(there, LAST, 8192);
}

/* @return how many of these names have a visit */
static int visit_names(int from, int to)
{
    int i, there = 0;

    for (i = from; i < to; i++) {
        acme_ident_t ident = { ACME_IDENT_DNS,
                               apr_psprintf(pconf, "h%d.example", i) };

        acme_hits_expect(acme_hits(), &ident, NOW);
        visit(ident.value, NOW, 1, 200);
        there += count(&ident, 0) > 0;
    }
    return there;
}

static void test_names_in_progress_are_not_given_up_for_more(void **state)
{
    int there = visit_names(0, 5000);

    (void)state;
    assert_in_range(there, 4990, 5000);
    visit_names(5000, 40000);
    assert_int_equal(visit_names(0, 5000), there);
}

static void write_visits(int letter)
{
    acme_hit_t hit;
    int i;

    memset(&hit, letter, sizeof(hit));
    for (i = 0; i < 300000; i++) {
        acme_hits_add(acme_hits(), "shop.example.org", &hit);
    }
    _exit(0);
}

static void test_visits_read_while_written_are_whole(void **state)
{
    enum { WRITERS = 3 };
    acme_hit_t found[ACME_MAX_HITS];
    int i, number, left = WRITERS, seen = 0;

    (void)state;
    acme_hits_expect(acme_hits(), &SHOP, NOW);
    for (i = 0; i < WRITERS; i++) {
        if (!fork()) {
            write_visits('a' + i);
        }
    }
    while (left) {
        left -= waitpid(-1, NULL, WNOHANG) > 0;
        number = acme_hits_read(found, NULL, acme_hits(), &SHOP, 0);
        for (i = 0; i < number; i++) {
            assert_int_equal(found[i].peer[0], found[i].where[7]);
            assert_int_equal(found[i].peer[0], found[i].agent[50]);
        }
        seen += number;
    }
    assert_true(seen > 1000);
}

static void test_without_memory_nothing_is_recorded(void **state)
{
    acme_hit_t found[ACME_MAX_HITS];

    (void)state;
    acme_hits_expect(NULL, &SHOP, NOW);
    acme_hits_over(NULL, &SHOP, NOW);
    assert_false(acme_hits_expected(NULL, "shop.example.org", NOW));
    assert_int_equal(acme_hits_read(found, NULL, NULL, &SHOP, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, test_stop_httpd)
    const struct CMUnitTest tests[] = {
        TEST(test_visits_of_names_that_nobody_proves_are_not_kept),
        TEST(test_visits_are_expected_a_while_longer_than_the_order),
        TEST(test_visits_are_read_in_order_since_a_moment),
        TEST(test_flood_of_guesses_is_counted_and_pushes_out_nothing),
        TEST(test_visits_of_an_address_are_found_by_each_of_its_names),
        TEST(test_visits_outlive_a_restart),
        TEST(test_names_make_room_for_later_ones),
        TEST(test_names_in_progress_are_not_given_up_for_more),
        TEST(test_visits_read_while_written_are_whole),
        TEST(test_without_memory_nothing_is_recorded),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
