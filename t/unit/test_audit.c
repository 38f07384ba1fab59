/* The audit trail: what is written holds together, and nothing else does. */
#include "engine/audit.h"
#include "store_test.h"

#define FIRST "audit/0000000001.jsonl"

static acme_store_t *the_store;
static apr_time_t the_time = NOW;

/* In the worker: so many entries, of a process of its own. */
static void write_entries(acme_store_t *store, void *baton)
{
    acme_audit_t audit = { 0 };

    for (int i = 0; i < *(int *)baton; i++) {
        must(acme_audit_add(
            &audit, store, ACME_I_ISSUED, "[shop.example/ecdsa order=done]",
            "certificate \"issued\"\n by \x01 somebody", the_time, pool));
    }
}

static void add(int count)
{
    assert_int_equal(as_worker(write_entries, the_store, &count), 0);
}

static char *read_all(const char *name, long *len)
{
    FILE *file = fopen(in_store(name), "r");
    char *text = apr_pcalloc(pool, 1 << 20);

    assert_non_null(file);
    *len = (long)fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

static void write_all(const char *name, const char *text, long len)
{
    FILE *file = fopen(in_store(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, (size_t)len, file), len);
    fclose(file);
}

static void count_line(void *baton, const char *line)
{
    assert_non_null(strstr(line, "\"subject\":\"shop.example/ecdsa\""));
    assert_non_null(strstr(line, "\"event\":\"issued\""));
    assert_null(strchr(line, '\n'));
    ++*(int *)baton;
}

static acme_audit_report_t verified(void)
{
    acme_audit_report_t report;
    int lines = 0;

    assert_no_err(
        acme_audit_read(&report, the_store, count_line, &lines, pool));
    assert_int_equal(lines, report.last ? report.last - report.first + 1 : 0);
    return report;
}

static void assert_broken(const char *words)
{
    acme_audit_report_t report;
    acme_err_t *err = acme_audit_read(&report, the_store, NULL, NULL, pool);

    assert_err(err, ACME_E_AUDIT_BROKEN);
    if (!strstr(err->text, words)) {
        fail_msg("\"%s\" is not in: %s", words, err->text);
    }
}

static int open_trail(void **state)
{
    (void)state;
    the_store = open_store();
    return 0;
}

static void test_trail_goes_on_across_processes_and_holds_together(void **state)
{
    open_trail(state);
    assert_int_equal(verified().last, 0);
    add(2);
    add(1);
    add(3);
    acme_audit_report_t report = verified();
    assert_int_equal(report.first, 1);
    assert_int_equal(report.last, 6);
    assert_int_equal(report.torn, 0);
}

static void test_half_line_of_a_killed_writer_is_owned_up_to(void **state)
{
    long len;

    open_trail(state);
    add(3);
    char *text = read_all(FIRST, &len);
    write_all(FIRST, text, len - 40);
    assert_int_equal(verified().torn, 1);
    add(2);
    acme_audit_report_t report = verified();
    assert_int_equal(report.last, 4);
    assert_int_equal(report.torn, 1);
    /* only the end of the line is missing: it counts */
    text = read_all(FIRST, &len);
    write_all(FIRST, text, len - 1);
    add(1);
    assert_int_equal(verified().last, 5);
}

static void test_any_change_is_found(void **state)
{
    long len;

    open_trail(state);
    add(5);
    char *text = read_all(FIRST, &len);
    long last = len - 1;
    while (last > 0 && text[last - 1] != '\n') {
        last--;
    }
    /* of the last line, whose successor is not there yet, the anchor knows */
    for (long i = 0; i < last; i += 7) {
        acme_audit_report_t report;
        char before = text[i];
        text[i] = before == 'x' ? 'y' : 'x';
        write_all(FIRST, text, len);
        acme_err_t *err = acme_audit_read(&report, the_store, NULL, NULL, pool);
        if (!err || err->msg != ACME_E_AUDIT_BROKEN) {
            fail_msg("a change of octet %ld is not found", i);
        }
        text[i] = before;
    }
    write_all(FIRST, text, len);
    assert_int_equal(verified().last, 5);
}

static void test_entry_that_was_taken_out_or_doubled_is_found(void **state)
{
    long len;

    open_trail(state);
    add(4);
    char *text = read_all(FIRST, &len);
    char *second = strchr(text, '\n') + 1;
    char *third = strchr(second, '\n') + 1;
    char *out = apr_pcalloc(pool, (apr_size_t)len * 2);

    memcpy(out, text, (size_t)(second - text));
    strcat(out, third);
    write_all(FIRST, out, (long)strlen(out));
    assert_broken("entry 3");
    memcpy(out, text, (size_t)(third - text));
    out[third - text] = '\0';
    strcat(out, second);
    write_all(FIRST, out, (long)strlen(out));
    assert_broken("entry 2");
}

static void test_anchor_finds_a_cut_end_and_a_trail_written_anew(void **state)
{
    long len;

    NEEDS_ROOT();
    open_trail(state);
    add(4);
    acme_audit_report_t report = verified();
    assert_no_err(acme_audit_anchor(the_store, &report, pool));
    add(1);
    assert_int_equal(verified().last, 5);
    char *text = read_all(FIRST, &len);
    char *fourth = text;
    for (int i = 0; i < 3; i++) {
        fourth = strchr(fourth, '\n') + 1;
    }
    write_all(FIRST, text, fourth - text);
    assert_broken("the end is missing, which went up to entry 4");
    /* by one who can write, as whole as ever */
    assert_int_equal(unlink(in_store(FIRST)), 0);
    the_time = NOW + apr_time_from_sec(1);
    add(6);
    the_time = NOW;
    assert_broken("written anew since it was last verified: entry 4");
}

static void test_files_are_bounded_in_size_and_number(void **state)
{
    apr_array_header_t *names;
    struct stat st;
    int many = 40;

    open_trail(state);
    for (int i = 0; i < 3; i++) {
        /* as if it had grown: the next entry begins another file */
        add(1);
        assert_no_err(acme_store_list_audit(&names, the_store, pool));
        const char *name =
            apr_pstrcat(pool, "audit/",
                        APR_ARRAY_IDX(names, names->nelts - 1, char *), NULL);
        assert_int_equal(stat(in_store(name), &st), 0);
        long len;
        char *text = read_all(name, &len);
        char *grown = apr_palloc(pool, 600 * 1024);
        memset(grown, ' ', 600 * 1024);
        memcpy(grown, text, (size_t)len - 1);
        grown[600 * 1024 - 1] = '\n';
        write_all(name, grown, 600 * 1024);
    }
    add(1);
    assert_no_err(acme_store_list_audit(&names, the_store, pool));
    assert_int_equal(names->nelts, 4);
    for (int i = 0; i < many; i++) {
        FILE *file = fopen(
            in_store(apr_psprintf(pool, "audit/%010d.jsonl", 100 + i)), "w");
        assert_non_null(file);
        assert_int_equal(fchown(fileno(file), st.st_uid, st.st_gid), 0);
        fclose(file);
    }
    assert_no_err(acme_store_list_audit(&names, the_store, pool));
    assert_int_equal(names->nelts, 44);
    /* the newest is full */
    char *full = apr_palloc(pool, 513 * 1024);
    memset(full, '\n', 513 * 1024);
    write_all("audit/0000000139.jsonl", full, 513 * 1024);
    add(1);
    assert_no_err(acme_store_list_audit(&names, the_store, pool));
    assert_int_equal(names->nelts, 32);
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_trail_goes_on_across_processes_and_holds_together),
    STORE_TEST(test_half_line_of_a_killed_writer_is_owned_up_to),
    STORE_TEST(test_any_change_is_found),
    STORE_TEST(test_entry_that_was_taken_out_or_doubled_is_found),
    STORE_TEST(test_anchor_finds_a_cut_end_and_a_trail_written_anew),
    STORE_TEST(test_files_are_bounded_in_size_and_number),
};

RUN_TESTS(tests)
