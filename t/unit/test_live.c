/* The live table without a server: what httpd gives it is made here. */
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

#include "httpd/live.h"
#include "httpd_test.h"

#define THUMB "0123456789012345678901234567890123456789012"

/* --- of httpd and log.c -------------------------------------------------------- */

void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg, ...)
{
    (void)s;
    (void)scratch;
    print_error("message %d\n", (int)msg);
}

static int start(void **state)
{
    (void)state;
    test_start_httpd();
    return 0;
}

/* A configuration: what httpd makes anew at each restart. */
static acme_live_table_t *configure(apr_pool_t **pconf, int first, int count)
{
    acme_live_table_t *table;
    apr_array_header_t *names;
    int i;

    apr_pool_create(pconf, process_pool);
    names = apr_array_make(*pconf, count, sizeof(const char *));
    for (i = first; i < first + count; ++i) {
        APR_ARRAY_PUSH(names, const char *) =
            apr_psprintf(*pconf, "h%d.example.org", i);
    }
    table = acme_live_open(&server, *pconf);
    assert_non_null(table);
    acme_live_add(table, names);
    for (i = 0; i < count; ++i) {
        assert_non_null(
            acme_live_slot(table, APR_ARRAY_IDX(names, i, const char *)));
    }
    return table;
}

static acme_proof_t *proof_of(const char *host, const char *token,
                              apr_pool_t *pool)
{
    acme_proof_t *proof = apr_pcalloc(pool, sizeof(*proof));
    acme_ident_t *ident = apr_pcalloc(pool, sizeof(*ident));

    ident->value = host;
    proof->ident = ident;
    proof->token = token;
    proof->key_authorization = apr_pstrcat(pool, token, "." THUMB, NULL);
    return proof;
}

/* --- slots ----------------------------------------------------------------------- */

static void test_slots_outlive_a_restart_and_never_move(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 100);
    acme_slot_t *slot = acme_live_slot(table, "h42.example.org");
    acme_status_t status = { .state = ACME_STATE_VALID, .set_number = 7 };

    (void)state;
    acme_live_set_generation(slot, ACME_FAMILY_RSA, 7);
    acme_live_set_status(slot, ACME_FAMILY_RSA, &status);
    apr_pool_destroy(pconf);
    assert_null(acme_live_table());
    table = configure(&pconf, 40, 500);
    assert_ptr_equal(acme_live_slot(table, "h42.example.org"), slot);
    assert_int_equal(acme_live_generation(slot, ACME_FAMILY_RSA), 7);
    assert_int_equal(acme_live_generation(slot, ACME_FAMILY_ECDSA), 0);
    memset(&status, 0, sizeof(status));
    acme_live_get_status(&status, slot, ACME_FAMILY_RSA, pconf);
    assert_int_equal(status.set_number, 7);
    assert_null(status.remarks);
    assert_null(acme_live_slot(table, apr_psprintf(pconf, "%0300d", 1)));
}

static void test_slots_many_growing_restarts_lose_none(void **state)
{
    apr_pool_t *pconf;
    int round;

    (void)state;
    for (round = 1; round <= 20; ++round) {
        acme_live_table_t *table = configure(&pconf, 0, round * 200);

        assert_ptr_not_equal(acme_live_slot(table, "h0.example.org"),
                             acme_live_slot(table, "h1.example.org"));
        apr_pool_destroy(pconf);
    }
}

static void test_slots_hosts_added_one_reload_at_a_time_find_room(void **state)
{
    apr_pool_t *pconf;
    int round;

    (void)state;
    for (round = 0; round < 400; ++round) {
        configure(&pconf, round * 10, 10);
        apr_pool_destroy(pconf);
    }
}

static void test_remarks_come_and_go_one_family_apart(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 3);
    acme_slot_t *slot = acme_live_slot(table, "h1.example.org");
    acme_status_t status = { .set_number = 7 }, read;

    (void)state;
    ACME_REMARK(&status, error, "", pconf);
    assert_null(status.remarks);
    ACME_REMARK(&status, error, "it failed", pconf);
    acme_live_set_status(slot, ACME_FAMILY_RSA, &status);
    acme_live_get_status(&read, slot, ACME_FAMILY_RSA, NULL);
    assert_null(read.remarks);
    acme_live_get_status(&read, slot, ACME_FAMILY_RSA, pconf);
    assert_ptr_not_equal(read.remarks, status.remarks);
    assert_string_equal(acme_remarks(&read)->error, "it failed");
    acme_live_get_status(&read, slot, ACME_FAMILY_ECDSA, pconf);
    assert_string_equal(acme_remarks(&read)->error, "");
    acme_live_get_status(&read, acme_live_slot(table, "h2.example.org"),
                         ACME_FAMILY_RSA, pconf);
    assert_string_equal(acme_remarks(&read)->error, "");
    status.remarks = NULL; /* as an engine has it that begins anew */
    acme_live_set_status(slot, ACME_FAMILY_RSA, &status);
    acme_live_get_status(&read, slot, ACME_FAMILY_RSA, pconf);
    assert_string_equal(acme_remarks(&read)->error, "");
}

static void test_nonsense_in_the_memory_is_made_sound(void **state)
{
    apr_pool_t *pconf;
    acme_slot_t *slot =
        acme_live_slot(configure(&pconf, 0, 1), "h0.example.org");
    acme_remarks_t remarks;
    acme_status_t status, read;

    (void)state;
    memset(&status, 0xff, sizeof(status));
    memset(&remarks, 'x', sizeof(remarks));
    status.remarks = &remarks;
    acme_live_set_status(slot, ACME_FAMILY_ECDSA, &status);
    acme_live_get_status(&read, slot, ACME_FAMILY_ECDSA, pconf);
    assert_int_equal(read.state, ACME_STATE_UNKNOWN);
    assert_int_equal(read.wait, ACME_WAIT_NONE);
    assert_int_equal(strlen(read.serial), sizeof(read.serial) - 1);
    assert_int_equal(strlen(acme_remarks(&read)->error),
                     sizeof(remarks.error) - 1);
    assert_int_equal(strlen(acme_remarks(&read)->left_out),
                     sizeof(remarks.left_out) - 1);
}

/* A status of one letter all over; a reader must never see two. */
static void fill(acme_status_t *status, int letter)
{
    acme_remarks_t *remarks = status->remarks;

    memset(status, letter, sizeof(*status));
    memset(remarks, letter, sizeof(*remarks));
    remarks->error[sizeof(remarks->error) - 1] = '\0';
    status->remarks = remarks;
}

static void test_status_read_while_written_is_whole(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_slot_t *slot = acme_live_slot(table, "h0.example.org");
    acme_remarks_t remarks;
    acme_status_t status = { .remarks = &remarks };
    apr_pool_t *scratch;
    pid_t writer;
    int i, changes = 0;
    char last = 0;

    (void)state;
    fill(&status, 'a');
    acme_live_set_status(slot, ACME_FAMILY_ECDSA, &status);
    if (!(writer = fork())) {
        for (i = 0; i < 500000; ++i) {
            fill(&status, 'a' + i % 26);
            acme_live_set_status(slot, ACME_FAMILY_ECDSA, &status);
            if (i % 100 == 0) {
                usleep(20); /* a reader must come to its end now and then */
            }
        }
        _exit(0);
    }
    apr_pool_create(&scratch, pconf);
    while (waitpid(writer, NULL, WNOHANG) == 0) {
        const char *error;

        acme_live_get_status(&status, slot, ACME_FAMILY_ECDSA, scratch);
        error = acme_remarks(&status)->error;
        assert_int_equal(error[0], status.serial[0]);
        assert_int_equal(error[0], error[sizeof(remarks.error) - 2]);
        assert_int_equal(error[0], status.progress[10]);
        changes += error[0] != last;
        last = error[0];
        apr_pool_clear(scratch);
    }
    assert_true(changes > 10);
}

/* --- tokens ------------------------------------------------------------------------ */

static void test_token_is_found_for_its_host_alone(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_proof_t *proof = proof_of("h0.example.org", "token-1", pconf);
    char answer[ACME_LIVE_KEY_AUTH + 1];

    (void)state;
    assert_int_equal(
        acme_live_lookup(answer, table, "h0.example.org", "token-1"), 0);
    assert_null(acme_live_publish(table, proof, 1, pconf));
    assert_null(acme_live_publish(table, proof, 1, pconf));
    assert_int_equal(
        acme_live_lookup(answer, table, "H0.example.org", "token-1"), 51);
    assert_string_equal(answer, "token-1." THUMB);
    assert_int_equal(acme_live_lookup(answer, table, NULL, "token-1"), 51);
    assert_int_equal(
        acme_live_lookup(answer, table, "h1.example.org", "token-1"), 0);
    assert_int_equal(
        acme_live_lookup(answer, table, "h0.example.org", "token-"), 0);
    assert_int_equal(
        acme_live_lookup(answer, table, "h0.example.org", "token-1." THUMB), 0);
    assert_int_equal(acme_live_lookup(answer, table, "h0.example.org", ""), 0);
    acme_live_withdraw(table, proof, 1);
    assert_int_equal(
        acme_live_lookup(answer, table, "h0.example.org", "token-1"), 0);
}

/* One that was frozen and gives its order up does not take it from the next. */
static void test_token_published_again_later_outlives_the_earlier(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_proof_t *proof = proof_of("h0.example.org", "token-1", pconf);
    char answer[ACME_LIVE_KEY_AUTH + 1];

    (void)state;
    assert_null(acme_live_publish(table, proof, 1, pconf));
    assert_null(acme_live_publish(table, proof, 2, pconf));
    acme_live_withdraw(table, proof, 1);
    assert_true(acme_live_lookup(answer, table, NULL, "token-1") > 0);
    /* nor where it goes on before it does */
    assert_null(acme_live_publish(table, proof, 1, pconf));
    acme_live_withdraw(table, proof, 1);
    assert_true(acme_live_lookup(answer, table, NULL, "token-1") > 0);
    acme_live_withdraw(table, proof, 2);
    assert_int_equal(acme_live_lookup(answer, table, NULL, "token-1"), 0);
}

static acme_proof_t *alpn_of(const char *host, const char *token,
                             apr_pool_t *pool)
{
    acme_proof_t *proof = proof_of(host, token, pool);

    proof->type = ACME_PROOF_TLS_ALPN_01;
    return proof;
}

static void test_handshake_is_found_by_name_and_http_by_token(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_proof_t *alpn = alpn_of("h0.example.org", "token-1", pconf);
    acme_proof_t *http = proof_of("h1.example.org", "token-2", pconf);
    char answer[ACME_LIVE_KEY_AUTH + 1];
    acme_live_found_t found;

    (void)state;
    assert_false(acme_live_lookup_handshake(&found, table, "h0.example.org"));
    assert_null(acme_live_publish(table, alpn, 1, pconf));
    assert_null(acme_live_publish(table, alpn, 1, pconf));
    assert_null(acme_live_publish(table, http, 1, pconf));
    assert_true(acme_live_lookup_handshake(&found, table, "H0.Example.org"));
    assert_string_equal(found.name, "h0.example.org");
    assert_string_equal(found.key_authorization, "token-1." THUMB);
    assert_int_equal(found.ident_type, ACME_IDENT_DNS);
    assert_false(acme_live_lookup_handshake(&found, table, "h1.example.org"));
    assert_false(acme_live_lookup_handshake(&found, table, ""));
    assert_int_equal(acme_live_lookup(answer, table, NULL, "token-1"), 0);
    assert_true(acme_live_lookup(answer, table, NULL, "token-2") > 0);
    acme_live_withdraw(table, alpn, 1);
    assert_false(acme_live_lookup_handshake(&found, table, "h0.example.org"));
}

static void test_handshake_of_an_address_is_found_by_its_reverse_name(
    void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    const acme_ident_t address = { ACME_IDENT_IP, "192.0.2.7" };
    acme_proof_t *proof = alpn_of("", "token-1", pconf);
    acme_live_found_t found;

    (void)state;
    proof->ident = &address;
    assert_null(acme_live_publish(table, proof, 1, pconf));
    assert_false(acme_live_lookup_handshake(&found, table, "192.0.2.7"));
    assert_true(
        acme_live_lookup_handshake(&found, table, "7.2.0.192.in-addr.arpa"));
    assert_string_equal(found.name, "192.0.2.7");
    assert_int_equal(found.ident_type, ACME_IDENT_IP);
    acme_live_withdraw(table, proof, 1);
    assert_false(
        acme_live_lookup_handshake(&found, table, "7.2.0.192.in-addr.arpa"));
}

/* A handshake has room for one digest. */
static void test_handshakes_of_two_orders_take_turns(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_proof_t *one = alpn_of("h0.example.org", "token-1", pconf);
    acme_proof_t *two = alpn_of("h0.example.org", "token-2", pconf);
    acme_live_found_t found;

    (void)state;
    assert_null(acme_live_publish(table, one, 1, pconf));
    assert_int_equal(acme_live_publish(table, two, 1, pconf)->msg,
                     ACME_E_PROOF_BUSY);
    acme_live_withdraw(table, two, 1);
    assert_true(acme_live_lookup_handshake(&found, table, "h0.example.org"));
    assert_string_equal(found.key_authorization, "token-1." THUMB);
    acme_live_withdraw(table, one, 1);
    assert_null(acme_live_publish(table, two, 1, pconf));
    /* what an engine left that is no more gives way */
    assert_null(acme_live_publish(table, one, 2, pconf));
    assert_true(acme_live_lookup_handshake(&found, table, "h0.example.org"));
    assert_string_equal(found.key_authorization, "token-1." THUMB);
    /* not to one that was frozen meanwhile */
    assert_int_equal(acme_live_publish(table, two, 1, pconf)->msg,
                     ACME_E_PROOF_BUSY);
    assert_true(acme_live_lookup_handshake(&found, table, "h0.example.org"));
    assert_string_equal(found.key_authorization, "token-1." THUMB);
    acme_live_sweep(table, 3);
    assert_false(acme_live_lookup_handshake(&found, table, "h0.example.org"));
}

static void test_tokens_of_earlier_engines_are_swept(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    char answer[ACME_LIVE_KEY_AUTH + 1];

    (void)state;
    assert_null(acme_live_publish(
        table, proof_of("h0.example.org", "old", pconf), 1, pconf));
    assert_null(acme_live_publish(
        table, proof_of("h0.example.org", "again", pconf), 1, pconf));
    apr_pool_destroy(pconf);
    table = configure(&pconf, 0, 1);
    assert_true(acme_live_lookup(answer, table, NULL, "old") > 0);
    assert_null(acme_live_publish(
        table, proof_of("h0.example.org", "again", pconf), 2, pconf));
    acme_live_sweep(table, 2);
    assert_int_equal(acme_live_lookup(answer, table, NULL, "old"), 0);
    assert_true(acme_live_lookup(answer, table, NULL, "again") > 0);
}

/* AcmeStore was changed, or a copy put in its place: epochs begin anew, and what is
 * left of the other store's would be in the way for good. */
static void test_tokens_of_another_store_make_room_for_its_first_engine(
    void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_proof_t *theirs = alpn_of("h0.example.org", "token-1", pconf);
    acme_proof_t *ours = alpn_of("h0.example.org", "token-2", pconf);
    acme_proof_t *both = proof_of("h0.example.org", "both", pconf);
    char answer[ACME_LIVE_KEY_AUTH + 1];
    acme_live_found_t found;

    (void)state;
    assert_null(acme_live_publish(table, theirs, 57, pconf));
    assert_null(acme_live_publish(table, both, 57, pconf));
    acme_live_begin(table, 1);
    assert_null(acme_live_publish(table, ours, 1, pconf));
    assert_null(acme_live_publish(table, both, 1, pconf));
    acme_live_sweep(table, 1);
    assert_true(acme_live_lookup_handshake(&found, table, "h0.example.org"));
    assert_string_equal(found.key_authorization, "token-2." THUMB);
    assert_true(acme_live_lookup(answer, table, NULL, "both") > 0);
    acme_live_withdraw(table, both, 1);
    assert_int_equal(acme_live_lookup(answer, table, NULL, "both"), 0);
}

static void test_engine_that_begins_leaves_what_is_there_before_it(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    char answer[ACME_LIVE_KEY_AUTH + 1];

    (void)state;
    assert_null(acme_live_publish(
        table, proof_of("h0.example.org", "early", pconf), 1, pconf));
    assert_null(acme_live_publish(
        table, proof_of("h0.example.org", "own", pconf), 2, pconf));
    acme_live_begin(table, 2);
    assert_true(acme_live_lookup(answer, table, NULL, "early") > 0);
    assert_true(acme_live_lookup(answer, table, NULL, "own") > 0);
}

static void test_tokens_of_128_orders_of_100_names_have_room(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    char answer[ACME_LIVE_KEY_AUTH + 1];
    int i, refused = 0;

    (void)state;
    for (i = 0; i < 12800; ++i) {
        acme_proof_t *proof =
            proof_of("h0.example.org", apr_psprintf(pconf, "t%08d", i), pconf);

        refused += acme_live_publish(table, proof, 1, pconf) != NULL;
    }
    assert_int_equal(refused, 0);
    assert_true(acme_live_lookup(answer, table, NULL, "t00012799") > 0);
}

static void test_token_too_long_is_refused(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_err_t *err = acme_live_publish(
        table,
        proof_of("h0.example.org", apr_psprintf(pconf, "%0300d", 1), pconf), 1,
        pconf);

    (void)state;
    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_TOKENS_FULL);
}

static void test_token_read_while_replaced_is_whole_or_missed(void **state)
{
    apr_pool_t *pconf;
    acme_live_table_t *table = configure(&pconf, 0, 1);
    acme_proof_t *proof = proof_of("h0.example.org", "token-1", pconf);
    char answer[ACME_LIVE_KEY_AUTH + 1];
    int i, seen = 0;
    pid_t writer;

    (void)state;
    if (!(writer = fork())) {
        for (i = 0; i < 1000000; ++i) {
            if (acme_live_publish(table, proof, 1, pconf)) {
                _exit(1);
            }
            acme_live_withdraw(table, proof, 1);
        }
        _exit(0);
    }
    while (waitpid(writer, &i, WNOHANG) == 0) {
        if (acme_live_lookup(answer, table, "h0.example.org", "token-1")) {
            assert_string_equal(answer, "token-1." THUMB);
            seen++;
        }
    }
    assert_int_equal(i, 0);
    assert_true(seen > 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, test_stop_httpd)
    const struct CMUnitTest tests[] = {
        TEST(test_slots_outlive_a_restart_and_never_move),
        TEST(test_slots_many_growing_restarts_lose_none),
        TEST(test_slots_hosts_added_one_reload_at_a_time_find_room),
        TEST(test_remarks_come_and_go_one_family_apart),
        TEST(test_nonsense_in_the_memory_is_made_sound),
        TEST(test_status_read_while_written_is_whole),
        TEST(test_token_is_found_for_its_host_alone),
        TEST(test_token_published_again_later_outlives_the_earlier),
        TEST(test_handshake_is_found_by_name_and_http_by_token),
        TEST(test_handshake_of_an_address_is_found_by_its_reverse_name),
        TEST(test_handshakes_of_two_orders_take_turns),
        TEST(test_tokens_of_earlier_engines_are_swept),
        TEST(test_tokens_of_another_store_make_room_for_its_first_engine),
        TEST(test_engine_that_begins_leaves_what_is_there_before_it),
        TEST(test_tokens_of_128_orders_of_100_names_have_room),
        TEST(test_token_too_long_is_refused),
        TEST(test_token_read_while_replaced_is_whole_or_missed),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
