#include "core_test.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <errno.h>

#include "core/encode.h"

static void test_table_sorted_without_duplicates(void **state)
{
    const acme_msg_entry_t *table;
    int count, i;

    (void)state;
    table = acme_msg_table(&count);
    assert_true(count > 10);
    for (i = 1; i < count; i++) {
        assert_true(table[i - 1].msg < table[i].msg);
    }
}

static void test_table_text_takes_strings_only(void **state)
{
    const acme_msg_entry_t *table;
    const char *at;
    int count, i;

    (void)state;
    table = acme_msg_table(&count);
    for (i = 0; i < count; i++) {
        assert_true(table[i].msg >= 1000 && table[i].msg <= 1999);
        for (at = table[i].text; (at = strchr(at, '%')) != NULL; at += 2) {
            assert_true(at[1] == 's' || at[1] == '%');
        }
    }
}

static void test_table_errors_have_class_and_remedy(void **state)
{
    const acme_msg_entry_t *table;
    int count, i;

    (void)state;
    table = acme_msg_table(&count);
    for (i = 0; i < count; i++) {
        if (strncmp(table[i].name, "E_", 2) == 0) {
            assert_int_not_equal(table[i].class, ACME_CLASS_NONE);
            assert_string_not_equal(table[i].remedy, "");
        }
    }
}

static void test_entry_every_number_finds_its_own(void **state)
{
    const acme_msg_entry_t *table;
    int count, i;

    (void)state;
    table = acme_msg_table(&count);
    for (i = 0; i < count; i++) {
        assert_ptr_equal(acme_msg_entry(table[i].msg), &table[i]);
    }
}

static void test_entry_unknown_number_gives_unknown(void **state)
{
    (void)state;
    assert_int_equal(acme_msg_entry((acme_msg_t)0)->msg, ACME_E_UNKNOWN);
    assert_int_equal(acme_msg_entry((acme_msg_t)1099)->msg, ACME_E_UNKNOWN);
    assert_int_equal(acme_msg_entry((acme_msg_t)99999)->msg, ACME_E_UNKNOWN);
}

static void test_make_fills_arguments_in_order(void **state)
{
    acme_err_t *err =
        acme_err_make(pool, ACME_E_DURATION, "3x", "no such unit", NULL);

    (void)state;
    assert_int_equal(err->msg, ACME_E_DURATION);
    assert_int_equal(err->class, ACME_CLASS_CONFIG);
    assert_string_equal(err->text, "3x is not a duration: no such unit");
    assert_null(err->detail);
    assert_null(err->identifier);
    assert_null(err->instance);
    assert_int_equal(err->retry_at, 0);
}

static void test_make_missing_arguments_print_question_mark(void **state)
{
    (void)state;
    assert_string_equal(acme_err_make(pool, ACME_E_DURATION, "3x", NULL)->text,
                        "3x is not a duration: ?");
    assert_string_equal(acme_err_make(pool, ACME_E_DURATION, NULL)->text,
                        "? is not a duration: ?");
}

static void test_make_surplus_arguments_ignored(void **state)
{
    (void)state;
    assert_string_equal(
        acme_err_make(pool, ACME_E_MEMORY, "testing", "more", NULL)->text,
        "out of memory while testing");
}

static void test_make_format_in_argument_stays_text(void **state)
{
    (void)state;
    assert_string_equal(
        acme_err_make(pool, ACME_E_MEMORY, "%s%n%%", NULL)->text,
        "out of memory while %s%n%%");
}

static void test_make_argument_sanitised_and_bounded(void **state)
{
    char *text = apr_palloc(pool, 100001);
    acme_err_t *err;

    (void)state;
    memset(text, 'a', 100000);
    text[100000] = '\0';
    memcpy(text, "\033[2J\r\nFAKE", 10);
    err = acme_err_make(pool, ACME_E_MEMORY, text, NULL);
    assert_memory_equal(err->text, "out of memory while ?[2J??FAKEa", 31);
    assert_int_equal(strlen(err->text),
                     strlen("out of memory while ") + ACME_MAX_DETAIL);
}

static void test_make_unknown_number_named(void **state)
{
    acme_err_t *err = acme_err_make(pool, (acme_msg_t)1098, "x", NULL);

    (void)state;
    assert_int_equal(err->msg, ACME_E_UNKNOWN);
    assert_string_equal(err->text, "unknown message 1098");
}

static void test_os_appends_reason(void **state)
{
    acme_err_t *err = acme_err_os(pool, APR_FROM_OS_ERROR(ENOENT),
                                  ACME_E_MEMORY, "testing", NULL);

    (void)state;
    assert_string_equal(err->text,
                        apr_pstrcat(pool, "out of memory while testing: ",
                                    strerror(ENOENT), NULL));
}

static void test_ssl_appends_first_reason_and_empties_queue(void **state)
{
    acme_err_t *err;

    (void)state;
    ERR_clear_error();
    ERR_raise(ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM);
    ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    err = acme_err_ssl(pool, ACME_E_KEY_MAKE, "rsa2048", NULL);
    assert_string_equal(
        err->text, "cannot make a key of type rsa2048: unsupported algorithm");
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_ssl_system_error_has_its_reason(void **state)
{
    acme_err_t *err;

    (void)state;
    ERR_raise(ERR_LIB_SYS, EACCES);
    err = acme_err_ssl(pool, ACME_E_KEY_PARSE, NULL);
    assert_non_null(strstr(err->text, strerror(EACCES)));
}

static void test_ssl_empty_queue_adds_nothing(void **state)
{
    (void)state;
    ERR_clear_error();
    assert_string_equal(acme_err_ssl(pool, ACME_E_KEY_PARSE, NULL)->text,
                        "cannot read a private key");
}

static void test_wrap_puts_context_in_front(void **state)
{
    acme_err_t *err = acme_err_make(pool, ACME_E_MEMORY, "testing", NULL);

    (void)state;
    assert_ptr_equal(acme_err_wrap(err, pool, "a\nb"), err);
    assert_string_equal(err->text, "a?b: out of memory while testing");
    assert_int_equal(err->msg, ACME_E_MEMORY);
}

static void test_wrap_success_stays_success(void **state)
{
    (void)state;
    assert_null(acme_err_wrap(NULL, pool, "context"));
    assert_null(acme_err_dup(NULL, pool));
}

static void test_dup_outlives_its_source(void **state)
{
    apr_pool_t *brief;
    acme_err_t *err, *copy;

    (void)state;
    assert_int_equal(apr_pool_create(&brief, pool), APR_SUCCESS);
    err = acme_err_make(brief, ACME_E_MEMORY, "testing", NULL);
    err->detail = apr_pstrdup(brief, "detail");
    err->identifier = apr_pstrdup(brief, "a.example");
    err->instance = apr_pstrdup(brief, "https://ca.example/e");
    err->retry_at = 42;
    copy = acme_err_dup(err, pool);
    memset((char *)(uintptr_t)err->text, 'x', strlen(err->text));
    memset((char *)(uintptr_t)err->detail, 'x', strlen(err->detail));
    memset((char *)(uintptr_t)err->identifier, 'x', strlen(err->identifier));
    memset((char *)(uintptr_t)err->instance, 'x', strlen(err->instance));
    apr_pool_destroy(brief);
    assert_int_equal(copy->msg, ACME_E_MEMORY);
    assert_int_equal(copy->class, ACME_CLASS_LOCAL);
    assert_string_equal(copy->text, "out of memory while testing");
    assert_string_equal(copy->detail, "detail");
    assert_string_equal(copy->identifier, "a.example");
    assert_string_equal(copy->instance, "https://ca.example/e");
    assert_int_equal(copy->retry_at, 42);
}

static void test_line_joins_what_is_there(void **state)
{
    acme_err_t *err = acme_err_make(pool, ACME_E_MEMORY, "testing", NULL);

    (void)state;
    assert_string_equal(acme_err_line(err, pool),
                        "out of memory while testing");
    err->identifier = "a.example";
    assert_string_equal(acme_err_line(err, pool),
                        "out of memory while testing [a.example]");
    err->detail = "no\nmore";
    assert_string_equal(acme_err_line(err, pool),
                        "out of memory while testing (no?more) [a.example]");
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_table_sorted_without_duplicates),
    POOL_TEST(test_table_text_takes_strings_only),
    POOL_TEST(test_table_errors_have_class_and_remedy),
    POOL_TEST(test_entry_every_number_finds_its_own),
    POOL_TEST(test_entry_unknown_number_gives_unknown),
    POOL_TEST(test_make_fills_arguments_in_order),
    POOL_TEST(test_make_missing_arguments_print_question_mark),
    POOL_TEST(test_make_surplus_arguments_ignored),
    POOL_TEST(test_make_format_in_argument_stays_text),
    POOL_TEST(test_make_argument_sanitised_and_bounded),
    POOL_TEST(test_make_unknown_number_named),
    POOL_TEST(test_os_appends_reason),
    POOL_TEST(test_ssl_appends_first_reason_and_empties_queue),
    POOL_TEST(test_ssl_system_error_has_its_reason),
    POOL_TEST(test_ssl_empty_queue_adds_nothing),
    POOL_TEST(test_wrap_puts_context_in_front),
    POOL_TEST(test_wrap_success_stays_success),
    POOL_TEST(test_dup_outlives_its_source),
    POOL_TEST(test_line_joins_what_is_there),
};

RUN_TESTS(tests)
