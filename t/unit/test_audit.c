/* The audit trail: what is written holds together, and nothing else does. */
#include "core/encode.h"
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
    if (getuid() == 0) {
        assert_int_equal(fchown(fileno(file), WORKER, WORKER), 0);
    }
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

/* The one that begins another file says so. */
static void write_entry_anew(acme_store_t *store, void *baton)
{
    acme_audit_t audit = { 0 };

    (void)baton;
    acme_err_t *err =
        acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                       "issued", NOW, pool);
    must_be(err && err->msg == ACME_W_AUDIT_FILE);
    must_be(strstr(err->text, "0000000002.jsonl") != NULL);
    must(acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                        "issued", NOW, pool));
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

/* Of two crashes in a row. */
static void test_two_half_lines_in_a_row_are_owned_up_to(void **state)
{
    long len;

    open_trail(state);
    add(2);
    for (int i = 0; i < 2; i++) {
        add(1);
        char *text = read_all(FIRST, &len);
        write_all(FIRST, text, len - 40);
    }
    add(1);
    acme_audit_report_t report = verified();
    assert_int_equal(report.last, 3);
    assert_int_equal(report.torn, 2);
}

static const char *file_of(int number)
{
    return apr_psprintf(pool, "audit/%010d.jsonl", number);
}

/* Each entry of the one file gets a file of its own, of its number. */
static void spread(void)
{
    long len;
    int number = 0;

    for (char *line = read_all(FIRST, &len), *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        write_all(file_of(++number), line, end + 1 - line);
    }
}

static void lose(int first, int last)
{
    for (int i = first; i <= last; i++) {
        assert_int_equal(unlink(in_store(file_of(i))), 0);
    }
}

static void anchor(void)
{
    acme_audit_report_t report = verified();

    assert_no_err(acme_audit_anchor(the_store, &report, pool));
}

static void test_beginning_that_was_thrown_away_is_found(void **state)
{
    open_trail(state);
    add(5);
    spread();
    assert_int_equal(verified().last, 5);
    lose(1, 2);
    assert_broken("the beginning is missing before entry 3");
}

static void test_beginning_up_to_the_anchor_must_be_there(void **state)
{
    long len;

    NEEDS_ROOT();
    open_trail(state);
    add(3);
    anchor();
    add(2);
    spread();
    lose(1, 3);
    assert_broken("the beginning is missing before entry 4");
    /* as if they had gone by age: still it must be what followed */
    for (int i = 6; i < 40; i++) {
        write_all(file_of(i), "", 0);
    }
    assert_int_equal(verified().first, 4);
    char *text = read_all(file_of(4), &len);
    char *prev = strstr(text, "\"prev\":\"") + 8;
    *prev = *prev == '0' ? '1' : '0';
    write_all(file_of(4), text, len);
    assert_broken("it does not follow what was last verified: entry 4");
    lose(4, 4);
    assert_broken("entries are missing before entry 5");
}

static void test_files_that_were_rotated_away_are_not_missed(void **state)
{
    long len;

    open_trail(state);
    add(36);
    /* the last of what has gone was half a line */
    char *text = read_all(FIRST, &len);
    write_all(FIRST, text, len - 40);
    add(1);
    spread();
    lose(1, 36);
    write_all(file_of(36), "", 0);
    for (int i = 38; i < 68; i++) {
        write_all(file_of(i), "", 0);
    }
    acme_audit_report_t report = verified();
    assert_int_equal(report.first, 36);
    assert_int_equal(report.last, 36);
}

/* What is wrong with it was looked into by the administrator. */
static void test_gap_that_was_accepted_is_no_fault_any_more(void **state)
{
    acme_audit_report_t report;
    long len;

    NEEDS_ROOT();
    open_trail(state);
    add(6);
    anchor();
    spread();
    lose(3, 4);
    assert_broken("entries are missing before entry 5");
    assert_err(acme_audit_read(&report, the_store, NULL, NULL, pool),
               ACME_E_AUDIT_BROKEN);
    assert_no_err(acme_audit_accept(the_store, &report, "somebody", NOW, pool));
    assert_no_err(acme_audit_read(&report, the_store, NULL, NULL, pool));
    assert_int_equal(report.first, 1);
    assert_int_equal(report.last, 6);
    assert_int_equal(report.accepted.seq, 6);
    assert_string_equal(report.accepted.by, "somebody");
    assert_string_equal(report.accepted.time, acme_time_format(NOW, pool));
    assert_non_null(strstr(report.accepted.fault, "before entry 5"));
    /* but what comes later is */
    add(2);
    assert_no_err(acme_audit_read(&report, the_store, NULL, NULL, pool));
    assert_no_err(acme_audit_anchor(the_store, &report, pool));
    assert_no_err(acme_audit_read(&report, the_store, NULL, NULL, pool));
    assert_int_equal(report.accepted.seq, 6);
    char *text = read_all(file_of(6), &len);
    strstr(text, "{\"seq\":7")[30] ^= 1;
    write_all(file_of(6), text, len);
    assert_broken("changed: entry 8");
}

/* A trail that was deleted is begun anew, and a new anchor is made of it. */
static void test_lost_trail_that_was_accepted_begins_anew(void **state)
{
    acme_audit_report_t report;

    NEEDS_ROOT();
    open_trail(state);
    add(6);
    anchor();
    lose(1, 1);
    add(2);
    assert_broken("the end is missing, which went up to entry 6");
    assert_err(acme_audit_read(&report, the_store, NULL, NULL, pool),
               ACME_E_AUDIT_BROKEN);
    assert_no_err(acme_audit_accept(the_store, &report, "somebody", NOW, pool));
    add(6);
    assert_int_equal(verified().last, 8);
}

/* What is told from then on is not lost. */
static void leave_file(void **state, int big)
{
    acme_audit_recent_t recent = { 0 };
    acme_audit_report_t report;
    int lines = 0;

    open_trail(state);
    add(2);
    spread();
    assert_int_equal(big ? truncate(in_store(file_of(2)), 2 * 1024 * 1024)
                         : chown(in_store(file_of(2)), 0, 0),
                     0);
    /* what it may tell of is not told again */
    assert_non_null(acme_audit_look(&recent, the_store, pool));
    assert_false(acme_audit_lacks(&recent, ACME_I_ISSUED, "4711", NOW));
    assert_int_equal(as_worker(write_entry_anew, the_store, NULL), 0);
    add(2);
    assert_false(is_there(file_of(4)));
    acme_err_t *err =
        acme_audit_read(&report, the_store, count_line, &lines, pool);
    assert_err(err, ACME_E_AUDIT_BROKEN);
    assert_non_null(strstr(err->text, "0000000002.jsonl"));
    assert_int_equal(lines, 5);
    assert_no_err(acme_audit_accept(the_store, &report, "somebody", NOW, pool));
    assert_no_err(acme_audit_read(&report, the_store, NULL, NULL, pool));
}

static void test_file_of_another_owner_is_left_and_told(void **state)
{
    NEEDS_ROOT();
    leave_file(state, 0);
}

static void test_file_too_big_is_left_and_told(void **state)
{
    NEEDS_ROOT();
    leave_file(state, 1);
}

/* Under the hands of a process that has written in it. */
static void write_while_taken_away(acme_store_t *store, void *baton)
{
    acme_audit_t audit = { 0 };

    (void)baton;
    must(acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                        "issued", NOW, pool));
    must_be(chmod(in_store(FIRST), 0) == 0);
    acme_err_t *err =
        acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                       "issued", NOW, pool);
    must_be(err && err->msg == ACME_W_AUDIT_FILE);
}

static void test_no_entry_is_lost_with_a_file_that_is_taken_away(void **state)
{
    NEEDS_ROOT();
    open_trail(state);
    assert_int_equal(as_worker(write_while_taken_away, the_store, NULL), 0);
    acme_audit_report_t report = verified(); /* root can read it */
    assert_int_equal(report.last, 2);
}

/* Nobody would ever read from it. */
static void write_while_a_pipe_comes(acme_store_t *store, void *baton)
{
    acme_audit_t audit = { 0 };
    int reader = -1;

    alarm(10);
    must(acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                        "issued", NOW, pool));
    must_be(unlink(in_store(FIRST)) == 0 && mkfifo(in_store(FIRST), 0600) == 0);
    if (*(int *)baton) {
        reader = open(in_store(FIRST), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        must_be(reader >= 0);
    }
    acme_err_t *err =
        acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                       "issued", NOW, pool);
    must_be(err && err->msg == ACME_W_AUDIT_FILE);
}

static void test_pipe_in_the_place_of_its_file_takes_no_entry(void **state)
{
    for (int read = 0; read < 2; read++) {
        open_trail(state);
        assert_int_equal(as_worker(write_while_a_pipe_comes, the_store, &read),
                         0);
        assert_true(is_there("audit/0000000002.jsonl"));
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* What another has told of is not ours to tell of. */
static void write_of_a_restore(acme_store_t *store, void *baton)
{
    static const acme_msg_t msgs[] = { ACME_I_ISSUED, ACME_I_RESTORED,
                                       ACME_I_ISSUED };
    acme_audit_t audit = { 0 };

    (void)baton;
    for (int i = 0; i < 3; i++) {
        must(acme_audit_add(&audit, store, msgs[i], "[shop.example/ecdsa]",
                            "certificate with serial 11",
                            NOW + apr_time_from_sec(10 * i), pool));
    }
}

static void test_certificates_that_were_restored_are_not_told_anew(void **state)
{
    acme_audit_recent_t recent = { 0 };

    open_trail(state);
    assert_int_equal(as_worker(write_of_a_restore, the_store, NULL), 0);
    assert_no_err(acme_audit_look(&recent, the_store, pool));
    assert_false(acme_audit_lacks(&recent, ACME_I_ISSUED, "22",
                                  NOW + apr_time_from_sec(5)));
    assert_true(acme_audit_lacks(&recent, ACME_I_ISSUED, "22",
                                 NOW + apr_time_from_sec(15)));
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
    memset(full, 'x', 513 * 1024); /* one line: each is looked at */
    full[513 * 1024 - 1] = '\n';
    write_all("audit/0000000139.jsonl", full, 513 * 1024);
    add(1);
    assert_no_err(acme_store_list_audit(&names, the_store, pool));
    assert_int_equal(names->nelts, 32);
}

/* Behind them there would be no name for another file, one day. */
static void test_files_of_numbers_that_nobody_reaches_are_left(void **state)
{
    static const char *const strangers[] = { "audit/1000000000.jsonl",
                                             "audit/10000000000.jsonl",
                                             "audit/9999999999.jsonl" };
    apr_array_header_t *names, *strange;
    long len;
    char *full = apr_palloc(pool, 513 * 1024);

    open_trail(state);
    assert_no_err(acme_store_list_audit_strangers(&strange, the_store, pool));
    assert_int_equal(strange->nelts, 0);
    add(2);
    memset(full, 'x', 513 * 1024);
    full[513 * 1024 - 1] = '\n';
    for (int i = 0; i < 3; i++) {
        write_all(strangers[i], full, 513 * 1024);
    }
    add(2);
    add(1);
    assert_int_equal(verified().last, 5);
    assert_int_equal(verified().torn, 0);
    assert_no_err(acme_store_list_audit(&names, the_store, pool));
    assert_int_equal(names->nelts, 1);
    assert_no_err(acme_store_list_audit_strangers(&strange, the_store, pool));
    assert_int_equal(strange->nelts, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(APR_ARRAY_IDX(strange, i, const char *),
                            in_store(strangers[i]));
        read_all(strangers[i], &len);
        assert_int_equal(len, 513 * 1024);
    }
}

static void write_behind_the_last(acme_store_t *store, void *baton)
{
    acme_audit_t audit = { 0 };

    (void)baton;
    for (int i = 0; i < 2; i++) {
        acme_err_t *err =
            acme_audit_add(&audit, store, ACME_I_ISSUED, "[shop.example/ecdsa]",
                           "issued", NOW, pool);
        must_be(err && err->msg == ACME_E_AUDIT_NUMBER);
        must_be(strstr(err->text, "/0999999999.jsonl") != NULL);
    }
}

static void test_entry_that_has_no_file_to_go_to_is_missed(void **state)
{
    char *full = apr_palloc(pool, 513 * 1024);

    open_trail(state);
    add(2);
    memset(full, 'x', 513 * 1024);
    full[513 * 1024 - 1] = '\n';
    write_all("audit/0999999999.jsonl", full, 513 * 1024);
    assert_int_equal(as_worker(write_behind_the_last, the_store, NULL), 0);
    assert_false(is_there("audit/1000000000.jsonl"));
    assert_int_equal(unlink(in_store("audit/0999999999.jsonl")), 0);
    add(1);
    assert_int_equal(verified().last, 3);
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_trail_goes_on_across_processes_and_holds_together),
    STORE_TEST(test_half_line_of_a_killed_writer_is_owned_up_to),
    STORE_TEST(test_any_change_is_found),
    STORE_TEST(test_entry_that_was_taken_out_or_doubled_is_found),
    STORE_TEST(test_anchor_finds_a_cut_end_and_a_trail_written_anew),
    STORE_TEST(test_two_half_lines_in_a_row_are_owned_up_to),
    STORE_TEST(test_beginning_that_was_thrown_away_is_found),
    STORE_TEST(test_beginning_up_to_the_anchor_must_be_there),
    STORE_TEST(test_files_that_were_rotated_away_are_not_missed),
    STORE_TEST(test_gap_that_was_accepted_is_no_fault_any_more),
    STORE_TEST(test_lost_trail_that_was_accepted_begins_anew),
    STORE_TEST(test_file_of_another_owner_is_left_and_told),
    STORE_TEST(test_file_too_big_is_left_and_told),
    STORE_TEST(test_no_entry_is_lost_with_a_file_that_is_taken_away),
    STORE_TEST(test_pipe_in_the_place_of_its_file_takes_no_entry),
    STORE_TEST(test_certificates_that_were_restored_are_not_told_anew),
    STORE_TEST(test_files_are_bounded_in_size_and_number),
    STORE_TEST(test_files_of_numbers_that_nobody_reaches_are_left),
    STORE_TEST(test_entry_that_has_no_file_to_go_to_is_missed),
};

RUN_TESTS(tests)
