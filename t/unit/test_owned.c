/* Who could put another program in the place of one that root runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/owned.h"

static apr_pool_t *pool;
static const char *root;

static const char *in(const char *name)
{
    return apr_pstrcat(pool, root, "/", name, NULL);
}

static void folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(in(name), 0700), 0);
    assert_int_equal(chmod(in(name), mode), 0);
}

static void program(const char *name, mode_t mode)
{
    int fd = open(in(name), O_CREAT | O_WRONLY, 0700);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chmod(in(name), mode), 0);
}

static void link_to(const char *target, const char *name)
{
    assert_int_equal(symlink(target, in(name)), 0);
}

/* safe/ and open/, a program in each */
static int start(void **state)
{
    char *path;

    (void)state;
    apr_pool_create(&pool, NULL);
    path = apr_pstrdup(pool, "/tmp/acme-owned-XXXXXX");
    root = mkdtemp(path);
    assert_non_null(root);
    folder("safe", 0755);
    folder("open", 0777);
    program("safe/good", 0755);
    program("open/good", 0755);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (system(apr_pstrcat(pool, "rm -rf ", root, NULL)) != 0) {
        return -1;
    }
    apr_pool_destroy(pool);
    return 0;
}

static void expect_good(const char *name)
{
    const char *fault = acme_owned_fault(in(name), pool);

    if (fault) {
        fail_msg("%s: %s", name, fault);
    }
}

static void expect_bad(const char *name, const char *culprit)
{
    const char *fault = acme_owned_fault(in(name), pool);

    assert_non_null(fault);
    assert_string_equal(fault, apr_pstrcat(pool, "others than root can change ",
                                           in(culprit), NULL));
}

static void test_owned_program_in_safe_folders_is_good(void **state)
{
    (void)state;
    expect_good("safe/good");
    expect_good("safe/.././safe//good");
    folder("sticky", 01777);
    program("sticky/good", 0755);
    expect_good("sticky/good");
}

static void test_owned_file_or_folder_others_can_write_is_bad(void **state)
{
    (void)state;
    program("safe/bad", 0775);
    expect_bad("safe/bad", "safe/bad");
    expect_bad("open/good", "open");
    folder("open/inner", 0755);
    program("open/inner/good", 0755);
    expect_bad("open/inner/good", "open");
}

static void test_owned_link_counts_with_all_that_it_leads_through(void **state)
{
    (void)state;
    link_to("good", "safe/near");
    link_to(in("safe/near"), "safe/far");
    expect_good("safe/near");
    expect_good("safe/far");
    link_to(in("open/good"), "safe/out");
    link_to("../open/good", "safe/up");
    expect_bad("safe/out", "open");
    expect_bad("safe/up", "open");
    /* a link on the way that others can turn, to a folder they cannot */
    link_to(in("safe"), "open/folder");
    link_to("../open/folder", "safe/folder");
    expect_bad("open/folder/good", "open");
    expect_bad("safe/folder/good", "open");
}

static void test_owned_link_of_somebody_else_is_bad(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    link_to("good", "safe/theirs");
    assert_int_equal(lchown(in("safe/theirs"), 12345, 12345), 0);
    expect_bad("safe/theirs", "safe/theirs");
    program("safe/bought", 0755);
    assert_int_equal(chown(in("safe/bought"), 12345, 12345), 0);
    expect_bad("safe/bought", "safe/bought");
}

static void test_owned_way_that_ends_nowhere_is_told(void **state)
{
    const char *fault = acme_owned_fault(in("safe/missing"), pool);

    (void)state;
    assert_string_equal(fault,
                        apr_pstrcat(pool, in("safe/missing"),
                                    ": No such file or directory", NULL));
    link_to("two", "safe/one");
    link_to("one", "safe/two");
    fault = acme_owned_fault(in("safe/one"), pool);
    assert_non_null(strstr(fault, "too many symbolic links at "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
        TEST(test_owned_program_in_safe_folders_is_good),
        TEST(test_owned_file_or_folder_others_can_write_is_bad),
        TEST(test_owned_link_counts_with_all_that_it_leads_through),
        TEST(test_owned_link_of_somebody_else_is_bad),
        TEST(test_owned_way_that_ends_nowhere_is_told),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
