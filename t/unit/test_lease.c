#include "store_test.h"

#include <signal.h>

#include "engine/lease.h"

#define TERM ACME_LEASE_TERM
#define SEC  apr_time_from_sec(1)

static const char *lock_path(void)
{
    return apr_pstrcat(pool, root, "/lock", NULL);
}

static acme_lease_t *lease(void)
{
    return acme_lease_create(lock_path(), pool);
}

static int take(acme_lease_t *l, apr_time_t now)
{
    int held = -1;

    assert_no_err(acme_lease_try(&held, l, now, pool));
    assert_int_equal(held, acme_lease_held(l));
    return held;
}

/* --- one process: two leases of it are as two live holders ------------------------- */

static void test_lease_free_taken_at_once(void **state)
{
    acme_lease_t *a = lease();

    (void)state;
    assert_int_equal(acme_lease_held(a), 0);
    assert_int_equal(acme_lease_epoch(a), 0);
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(acme_lease_epoch(a), 1);
}

static void test_lease_held_refused_until_expired(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(take(b, NOW), 0);
    assert_int_equal(take(b, NOW + TERM - 1), 0);
    assert_int_equal(take(b, NOW + TERM), 1);
    assert_int_equal(acme_lease_epoch(b), 2);
    assert_err(acme_lease_beat(a, NOW + TERM, pool), ACME_E_LEASE_LOST);
    assert_int_equal(acme_lease_held(a), 0);
}

static void test_lease_held_tried_again_keeps_epoch(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(take(a, NOW + 20 * SEC), 1);
    assert_int_equal(acme_lease_epoch(a), 1);
    assert_int_equal(take(b, NOW + TERM + SEC), 0);
}

static void test_lease_beat_keeps_it(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    for (int i = 1; i < 20; i++) {
        assert_no_err(acme_lease_beat(a, NOW + i * 10 * SEC, pool));
        assert_int_equal(take(b, NOW + i * 10 * SEC), 0);
    }
}

static void test_lease_beat_not_due_costs_nothing(void **state)
{
    acme_lease_t *a = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(unlink(lock_path()), 0);
    assert_no_err(acme_lease_beat(a, NOW + SEC, pool));
    assert_int_not_equal(access(lock_path(), F_OK), 0);
    assert_err(acme_lease_beat(a, NOW + ACME_LEASE_BEAT, pool),
               ACME_E_LEASE_LOST);
}

static void test_lease_late_beat_without_rival_keeps_it(void **state)
{
    acme_lease_t *a = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_no_err(acme_lease_beat(a, NOW + 100 * TERM, pool));
    assert_int_equal(acme_lease_epoch(a), 1);
}

static void test_lease_released_taken_at_once(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    acme_lease_release(a, pool);
    assert_int_equal(acme_lease_held(a), 0);
    assert_int_equal(take(b, NOW), 1);
    assert_int_equal(acme_lease_epoch(b), 2);
    acme_lease_release(a, pool); /* not ours any more: nothing happens */
    assert_no_err(acme_lease_beat(b, NOW + 10 * SEC, pool));
}

/* --- clocks ---------------------------------------------------------------------- */

static void test_lease_clock_back_live_holder_keeps_it(void **state)
{
    acme_lease_t *a = lease(), *b = lease();
    apr_time_t then = NOW - apr_time_from_sec(3600);

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    /* For the holder a beat is due at once, by which all is well again. */
    assert_int_equal(take(b, then), 0);
    assert_no_err(acme_lease_beat(a, then, pool));
    assert_int_equal(take(b, then + TERM - 1), 0);
    assert_int_equal(take(b, then + TERM), 1);
}

static void test_lease_clock_back_silent_holder_loses_it(void **state)
{
    acme_lease_t *a = lease(), *b = lease();
    apr_time_t then = NOW - apr_time_from_sec(365 * 86400);

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(take(b, then), 0);
    assert_int_equal(take(b, then + TERM - 1), 0);
    assert_int_equal(take(b, then + TERM), 1);
}

static void test_lease_clock_back_again_measures_anew(void **state)
{
    acme_lease_t *a = lease(), *b = lease();
    apr_time_t then = NOW - apr_time_from_sec(86400);

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(take(b, then), 0);
    assert_int_equal(take(b, then - TERM), 0);
    assert_int_equal(take(b, then - 1), 0);
    assert_int_equal(take(b, then), 1);
}

/* --- the file -------------------------------------------------------------------- */

static void damage(apr_off_t at, apr_size_t len)
{
    char junk[512];
    int fd = open(lock_path(), O_WRONLY);

    memset(junk, 0x5a, sizeof(junk));
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, len, at), len);
    close(fd);
}

static void test_lease_last_write_torn_former_counts(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);                       /* slot 1 */
    assert_no_err(acme_lease_beat(a, NOW + 10 * SEC, pool)); /* slot 0 */
    damage(100, 40);
    assert_int_equal(take(b, NOW + 20 * SEC), 0);
    assert_no_err(acme_lease_beat(a, NOW + 20 * SEC, pool));
    assert_int_equal(acme_lease_epoch(a), 1);
}

static void test_lease_file_destroyed_is_free_with_higher_epoch(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(take(b, NOW), 0);
    damage(0, 512);
    damage(512, 512);
    assert_int_equal(take(b, NOW), 1);
    assert_int_equal(acme_lease_epoch(b), 2);
    assert_err(acme_lease_beat(a, NOW + 10 * SEC, pool), ACME_E_LEASE_LOST);
}

/* A third, who has seen nothing of the epochs so far, draws the same one. */
static void test_lease_same_epoch_of_another_is_not_ours(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(truncate(lock_path(), 0), 0);
    assert_int_equal(take(b, NOW), 1);
    assert_int_equal(acme_lease_epoch(b), acme_lease_epoch(a));
    assert_err(acme_lease_beat(a, NOW + 10 * SEC, pool), ACME_E_LEASE_LOST);
}

static void test_lease_file_is_a_symlink_refused(void **state)
{
    acme_lease_t *a = lease();
    int held;

    (void)state;
    assert_int_equal(symlink("/tmp/acme_test_elsewhere", lock_path()), 0);
    assert_err(acme_lease_try(&held, a, NOW, pool), ACME_E_STORE_IO);
}

static void test_lease_file_is_a_fifo_refused_without_waiting(void **state)
{
    acme_lease_t *a = lease();
    int held;

    (void)state;
    assert_int_equal(mkfifo(lock_path(), 0600), 0);
    assert_err(acme_lease_try(&held, a, NOW, pool), ACME_E_STORE_IO);
}

/* --- several processes ----------------------------------------------------------- */

static void hold(acme_store_t *store, void *baton)
{
    acme_lease_t *l = lease();
    int held = 0;

    (void)store;
    (void)baton;
    must(acme_lease_try(&held, l, NOW, pool));
    must_be(held);
}

static void test_lease_holder_ended_taken_over_at_once(void **state)
{
    acme_lease_t *a = lease();

    (void)state;
    assert_int_equal(as_root(hold, NULL, NULL), 0);
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(acme_lease_epoch(a), 2);
}

static void test_lease_holder_killed_not_reaped_taken_over(void **state)
{
    acme_lease_t *a = lease();
    siginfo_t info;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        hold(NULL, NULL);
        raise(SIGKILL);
    }
    /* Ended, and left a zombie. */
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(take(a, NOW), 1);
    waitpid(pid, NULL, 0);
}

static void test_lease_not_inherited_by_fork(void **state)
{
    acme_lease_t *a = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    pid_t pid = fork();
    if (pid == 0) {
        int held = 1;
        must_be(!acme_lease_held(a));
        acme_err_t *err = acme_lease_beat(a, NOW + 10 * SEC, pool);
        must_be(err && err->msg == ACME_E_LEASE_LOST);
        must(acme_lease_try(&held, a, NOW, pool));
        must_be(!held);
        acme_lease_release(a, pool);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(acme_lease_held(a), 1);
    assert_no_err(acme_lease_beat(a, NOW + 10 * SEC, pool));
}

#define RACERS 4

/* Waits at the gate, tries, tells, and lives until the end. */
static void racer(int gate, int tell, int end)
{
    acme_lease_t *l = lease();
    int held = 0;
    char c;

    must_be(read(gate, &c, 1) == 0);
    for (int tries = 0; tries < 5 && !held; tries++) {
        must(acme_lease_try(&held, l, NOW, pool));
    }
    c = held ? '1' : '0';
    must_be(write(tell, &c, 1) == 1);
    must_be(read(end, &c, 1) == 0);
    _exit(0);
}

static int race(void)
{
    int gate[2], tell[2], end[2], winners = 0;
    char c;

    assert_int_equal(pipe(gate) | pipe(tell) | pipe(end), 0);
    for (int i = 0; i < RACERS; i++) {
        if (fork() == 0) {
            close(gate[1]);
            close(end[1]);
            racer(gate[0], tell[1], end[0]);
        }
    }
    close(gate[1]);
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(read(tell[0], &c, 1), 1);
        winners += c == '1';
    }
    close(end[1]);
    while (wait(NULL) > 0) {
    }
    close(gate[0]);
    close(tell[0]);
    close(tell[1]);
    close(end[0]);
    return winners;
}

static void test_lease_race_has_one_winner(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        assert_int_equal(race(), 1);
    }
}

static acme_err_t *note(void *baton, apr_pool_t *scratch)
{
    (void)scratch;
    ++*(int *)baton;
    return NULL;
}

static acme_err_t *fail_note(void *baton, apr_pool_t *scratch)
{
    ++*(int *)baton;
    return acme_err_make(scratch, ACME_E_SEAL, "x", NULL);
}

static void test_commit_runs_only_under_our_epoch(void **state)
{
    acme_lease_t *a = lease(), *b = lease();
    int runs = 0;

    (void)state;
    assert_err(acme_lease_commit(a, note, &runs, pool), ACME_E_LEASE_LOST);
    assert_int_equal(take(a, NOW), 1);
    assert_no_err(acme_lease_commit(a, note, &runs, pool));
    assert_int_equal(runs, 1);
    assert_err(acme_lease_commit(a, fail_note, &runs, pool), ACME_E_SEAL);
    assert_int_equal(runs, 2);
    assert_int_equal(take(b, NOW + TERM), 1);
    assert_err(acme_lease_commit(a, note, &runs, pool), ACME_E_LEASE_LOST);
    assert_int_equal(runs, 2);
    assert_no_err(acme_lease_commit(b, note, &runs, pool));
}

static acme_err_t *rival(void *baton, apr_pool_t *scratch)
{
    int held = -1;

    ACME_TRY(acme_lease_try(&held, baton, NOW + 1000 * TERM, scratch));
    assert_int_equal(held, 0);
    return NULL;
}

static void test_commit_cannot_be_overtaken(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_no_err(acme_lease_commit(a, rival, b, pool));
    assert_no_err(acme_lease_beat(a, NOW + 10 * SEC, pool));
}

/* --- the store under a lease ------------------------------------------------------- */

/* Takes the lease, stops, and when woken tries each verb that writes. */
static void frozen(acme_store_t *store, void *baton)
{
    acme_lease_t *l = acme_lease_create(acme_store_lock_path(store), pool);
    acme_control_reply_t reply = { "done", "", 0 };
    acme_account_t account = { .directory_url = CA_URL, .key = baton };
    acme_record_t record = { 0 };
    acme_err_t *errs[8];
    int held = 0;

    must(acme_lease_try(&held, l, NOW, pool));
    must_be(held);
    acme_store_set_lease(store, l);
    must(acme_store_put_doc(store, SHOP, ACME_FAMILY_RSA, ACME_DOC_JOB, "{}",
                            pool));
    raise(SIGSTOP);
    errs[0] = acme_store_put_doc(store, SHOP, ACME_FAMILY_ECDSA, ACME_DOC_ORDER,
                                 "{}", pool);
    errs[1] =
        acme_store_put_work_key(store, SHOP, ACME_FAMILY_ECDSA, baton, pool);
    errs[2] = acme_store_put_account(store, "ca-00000000", &account, pool);
    errs[3] = acme_store_put_reply(store, "0123456789abcdef", &reply, pool);
    const acme_issued_t issued = { &record, "", baton, 0 };
    errs[4] = acme_store_put_fresh(store, SHOP, &issued, pool);
    errs[5] = acme_store_remove_work(store, SHOP, ACME_FAMILY_RSA, pool);
    errs[6] =
        acme_store_remove_doc(store, SHOP, ACME_FAMILY_RSA, ACME_DOC_JOB, pool);
    errs[7] = acme_lease_beat(l, NOW + 10 * TERM, pool);
    for (int i = 0; i < 8; i++) {
        must_be(errs[i] && errs[i]->msg == ACME_E_LEASE_LOST);
    }
}

static void take_expired(acme_store_t *store, void *baton)
{
    acme_lease_t *l = acme_lease_create(acme_store_lock_path(store), pool);
    int held = 0;

    must(acme_lease_try(&held, l, NOW, pool));
    must_be(!held);
    must(acme_lease_try(&held, l, NOW + TERM, pool));
    must_be(held);
    must_be(kill(*(pid_t *)baton, SIGCONT) == 0);
    /* Live on until the woken one has had its say. */
    while (kill(*(pid_t *)baton, 0) == 0) {
        usleep(1000);
    }
}

static void test_frozen_holder_woken_writes_nothing(void **state)
{
    acme_store_t *store = open_store();
    EVP_PKEY *key;
    int status, taker_status;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0 && (setgid(WORKER) != 0 || setuid(WORKER) != 0)) {
            _exit(99);
        }
        frozen(store, key);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    pid_t taker = fork();
    if (taker == 0) {
        if (getuid() == 0 && (setgid(WORKER) != 0 || setuid(WORKER) != 0)) {
            _exit(99);
        }
        take_expired(store, &pid);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(waitpid(taker, &taker_status, 0), taker);
    assert_int_equal(status, 0);
    assert_int_equal(taker_status, 0);
    assert_true(is_there("work/" SHOP "/rsa.job"));
    assert_false(is_there("work/" SHOP "/ecdsa.order"));
    assert_false(is_there("work/" SHOP "/ecdsa.key"));
    assert_false(is_there("accounts/ca-00000000"));
    assert_false(is_there("replies/0123456789abcdef.json"));
    assert_false(is_there("fresh/" SHOP));
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_lease_free_taken_at_once),
    STORE_TEST(test_lease_held_refused_until_expired),
    STORE_TEST(test_lease_held_tried_again_keeps_epoch),
    STORE_TEST(test_lease_beat_keeps_it),
    STORE_TEST(test_lease_beat_not_due_costs_nothing),
    STORE_TEST(test_lease_late_beat_without_rival_keeps_it),
    STORE_TEST(test_lease_released_taken_at_once),
    STORE_TEST(test_lease_clock_back_live_holder_keeps_it),
    STORE_TEST(test_lease_clock_back_silent_holder_loses_it),
    STORE_TEST(test_lease_clock_back_again_measures_anew),
    STORE_TEST(test_lease_last_write_torn_former_counts),
    STORE_TEST(test_lease_file_destroyed_is_free_with_higher_epoch),
    STORE_TEST(test_lease_same_epoch_of_another_is_not_ours),
    STORE_TEST(test_lease_file_is_a_symlink_refused),
    STORE_TEST(test_lease_file_is_a_fifo_refused_without_waiting),
    STORE_TEST(test_lease_holder_ended_taken_over_at_once),
    STORE_TEST(test_lease_holder_killed_not_reaped_taken_over),
    STORE_TEST(test_lease_not_inherited_by_fork),
    STORE_TEST(test_lease_race_has_one_winner),
    STORE_TEST(test_commit_runs_only_under_our_epoch),
    STORE_TEST(test_commit_cannot_be_overtaken),
    STORE_TEST(test_frozen_holder_woken_writes_nothing),
};

RUN_TESTS(tests)
