/**
 * What every test program of core begins with: cmocka, and a pool that lives for
 * one test, so that the leak checker sees what its cleanups forget.
 */
#ifndef ACME_CORE_TEST_H
#define ACME_CORE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <string.h>

#include "core/err.h"
#include "core/ident.h"

static apr_pool_t *pool;

static inline int pool_setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL) == APR_SUCCESS ? 0 : -1;
}

static inline int pool_teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    pool = NULL;
    return 0;
}

#define POOL_TEST(test)                                                        \
    cmocka_unit_test_setup_teardown(test, pool_setup, pool_teardown)

#define RUN_TESTS(tests)                                                       \
    int main(void)                                                             \
    {                                                                          \
        int failed;                                                            \
                                                                               \
        apr_initialize();                                                      \
        failed = cmocka_run_group_tests(tests, NULL, NULL);                    \
        apr_terminate();                                                       \
        return failed != 0;                                                    \
    }

/* Prints the error that should not be there. */
#define assert_no_err(expr)                                                    \
    do {                                                                       \
        acme_err_t *err_ = (expr);                                             \
        if (err_) {                                                            \
            fail_msg("%s", err_->text);                                        \
        }                                                                      \
    } while (0)

#define assert_err(expr, number)                                               \
    do {                                                                       \
        acme_err_t *err_ = (expr);                                             \
        assert_non_null(err_);                                                 \
        assert_int_equal(err_->msg, number);                                   \
    } while (0)

static inline acme_ident_t *ident(const char *text)
{
    acme_ident_t *made = NULL;

    assert_no_err(acme_ident_parse(&made, text, pool));
    return made;
}

/* Identifiers of a list separated by spaces. */
static inline apr_array_header_t *idents(const char *list)
{
    apr_array_header_t *array = apr_array_make(pool, 4, sizeof(acme_ident_t *));
    char *copy = apr_pstrdup(pool, list), *next = NULL, *word;

    for (word = apr_strtok(copy, " ", &next); word;
         word = apr_strtok(NULL, " ", &next)) {
        APR_ARRAY_PUSH(array, acme_ident_t *) = ident(word);
    }
    return array;
}

#endif
