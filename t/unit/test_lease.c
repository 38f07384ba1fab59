#include "store_test.h"

#include <errno.h>
#include <openssl/evp.h>
#include <signal.h>

#include "engine/lease.h"

#define TERM ACME_LEASE_TERM
#define SEC  apr_time_from_sec(1)

static const char *lock_path(void)
{
    return apr_pstrcat(pool, root, "/lock", NULL);
}

/* Where stages are made. */
static const char *ground_path(void)
{
    return apr_pstrcat(pool, root, "/ground", NULL);
}

static acme_lease_t *lease(void)
{
    acme_place_t *ground = apr_pcalloc(pool, sizeof(*ground));

    if (mkdir(ground_path(), 0700) != 0) {
        assert_int_equal(errno, EEXIST);
    }
    ground->path = ground_path();
    ground->fd = open(ground->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(ground->fd >= 0);
    return acme_lease_create(lock_path(), ground, pool);
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
    assert_no_err(acme_lease_beat(a, NOW + ACME_LEASE_BEAT, pool));
    assert_int_equal(access(lock_path(), F_OK), 0);
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
    assert_int_equal(take(b, then + 2 * TERM - 2), 0);
    assert_int_equal(take(b, then + 2 * TERM - 1), 1);
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

/* Two servers on one store: the one that is ahead must not take the other for
 * dead, the one behind not wait for ever. */
static void test_lease_clocks_differ_by_minutes_holder_keeps_it(void **state)
{
    acme_lease_t *slow = lease(), *fast = lease();
    apr_time_t ahead = NOW + apr_time_from_sec(9 * 60);

    (void)state;
    assert_int_equal(take(slow, NOW), 1);
    for (int i = 1; i < 10; i++) {
        assert_int_equal(take(fast, ahead + i * ACME_LEASE_BEAT), 0);
        assert_no_err(acme_lease_beat(slow, NOW + i * ACME_LEASE_BEAT, pool));
    }
    assert_int_equal(take(fast, ahead + 10 * ACME_LEASE_BEAT), 0);
    assert_int_equal(take(fast, ahead + 10 * ACME_LEASE_BEAT + TERM), 1);
    /* and back */
    assert_int_equal(take(slow, NOW + 200 * SEC), 0);
    assert_int_equal(take(slow, NOW + 200 * SEC + TERM - 1), 0);
    assert_int_equal(take(slow, NOW + 200 * SEC + TERM), 1);
}

static void test_lease_expired_long_ago_taken_at_once(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(take(b, NOW + TERM + ACME_LEASE_SKEW), 1);
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
    assert_int_equal(take(a, NOW), 1);                       /* both slots */
    assert_no_err(acme_lease_beat(a, NOW + 10 * SEC, pool)); /* slot 1 */
    damage(512 + 100, 40);
    assert_int_equal(take(b, NOW + 20 * SEC), 0);
    assert_no_err(acme_lease_beat(a, NOW + 20 * SEC, pool));
    assert_int_equal(acme_lease_epoch(a), 1);
}

static void test_lease_file_destroyed_is_its_holders_still(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    damage(0, 512);
    damage(512, 512);
    assert_int_equal(take(b, NOW), 0);
    assert_int_equal(take(b, NOW + TERM - 1), 0);
    assert_no_err(acme_lease_beat(a, NOW + TERM - 1, pool));
    assert_int_equal(take(b, NOW + TERM), 0);
}

/* A third, who has seen nothing of the epochs so far, gets a later one. */
static void test_lease_file_emptied_silent_holder_loses_it(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(truncate(lock_path(), 0), 0);
    assert_int_equal(take(b, NOW), 0);
    assert_int_equal(take(b, NOW + TERM), 1);
    assert_int_equal(acme_lease_epoch(b), 2);
    assert_err(acme_lease_beat(a, NOW + TERM, pool), ACME_E_LEASE_LOST);
}

/* What one writes who was frozen between its proof and its heartbeat. */
static void test_lease_slot_of_a_past_epoch_changes_nothing(void **state)
{
    acme_lease_t *a = lease(), *b = lease(), *c = lease();
    char before[2 * 512];
    int fd;

    (void)state;
    assert_int_equal(take(a, NOW), 1);
    fd = open(lock_path(), O_RDWR);
    ssize_t len = pread(fd, before, sizeof(before), 0);
    assert_true(len > 512);
    assert_int_equal(take(b, NOW), 0);
    assert_int_equal(take(b, NOW + TERM), 1);
    assert_int_equal(pwrite(fd, before, (size_t)len, 0), len);
    close(fd);
    assert_err(acme_lease_prove(a, pool), ACME_E_LEASE_LOST);
    assert_no_err(acme_lease_prove(b, pool));
    assert_int_equal(take(c, NOW + 2 * TERM), 0);
    assert_no_err(acme_lease_beat(b, NOW + 2 * TERM, pool));
    assert_int_equal(take(c, NOW + 3 * TERM - 1), 0);
    assert_int_equal(acme_lease_epoch(b), 2);
}

/* By a hand that is not ours: beyond what a file could tell. */
static void test_lease_stage_of_no_possible_epoch_changes_nothing(void **state)
{
    acme_lease_t *a = lease();
    const char *path =
        apr_psprintf(pool, "%s/%s%" APR_INT64_T_FMT, ground_path(),
                     ACME_FSFILE_STAGE, APR_INT64_MAX);

    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(take(a, NOW), 1);
    assert_int_equal(acme_lease_epoch(a), 1);
    assert_no_err(acme_lease_prove(a, pool));
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

static void test_prove_is_of_our_epoch_alone(void **state)
{
    acme_lease_t *a = lease(), *b = lease();

    (void)state;
    assert_err(acme_lease_prove(a, pool), ACME_E_LEASE_LOST);
    assert_int_equal(take(a, NOW), 1);
    assert_no_err(acme_lease_prove(a, pool));
    assert_int_equal(take(b, NOW), 0);
    assert_int_equal(take(b, NOW + TERM), 1);
    assert_err(acme_lease_prove(a, pool), ACME_E_LEASE_LOST);
    assert_int_equal(acme_lease_held(a), 0);
    assert_no_err(acme_lease_prove(b, pool));
}

/* --- the store under a lease ------------------------------------------------------- */

static void note(acme_err_t **last, acme_err_t *err)
{
    *last = err;
}

/* Takes the lease and uses each way of writing; frozen at some step, and woken
 * when another has the lease. Exit status 7 where it saw that in the end. */
static void frozen(acme_store_t *store, void *baton)
{
    acme_lease_t *l = acme_store_make_lease(store, pool);
    acme_account_t account = { .directory_url = CA_URL };
    acme_record_t record = { 0 };
    acme_chain_t chain = { NULL, NULL };
    const char *pem;
    acme_err_t *last;
    EVP_PKEY *key;
    int held = 0;

    must(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    must(acme_cert_placeholder(&chain.leaf, key, idents(SHOP), NOW, pool));
    must(acme_chain_to_pem(&pem, &chain, pool));
    must(acme_record_describe(&record, chain.leaf, pool));
    record.name = SHOP;
    record.key_type = ACME_KEY_ECDSA_P256;
    record.ca_url = CA_URL;
    record.account_url = CA_URL;
    record.issued = NOW;
    account.key = key;
    const acme_issued_t issued = { &record, pem, key, 0 };
    acme_store_set_lease(store, l);
    acme_fsfile_freeze_at(*(int *)baton);
    must(acme_lease_try(&held, l, NOW, pool));
    note(&last, acme_store_put_doc(store, SHOP, ACME_FAMILY_ECDSA,
                                   ACME_DOC_ORDER, "{\"past\":1}", pool));
    note(&last, acme_store_put_account(store, "ca-00000000", &account, pool));
    note(&last, acme_store_set_account_aside(store, "ca-00000000", pool));
    note(&last, acme_store_put_journal(store, "abc", "{\"past\":1}", pool));
    note(&last, acme_store_append_audit(store, "{\"past\":1}", ACME_AUDIT_WHOLE,
                                        pool));
    note(&last, acme_store_append_audit(store, "{\"past\":2}", ACME_AUDIT_WHOLE,
                                        pool));
    note(&last, acme_store_put_fresh(store, SHOP, &issued, pool));
    note(&last, acme_store_put_fresh(store, SHOP, &issued, pool));
    note(&last,
         acme_store_refuse_fresh(store, SHOP, ACME_FAMILY_ECDSA, 1, pool));
    note(&last, acme_store_remove_journal(store, "abc", pool));
    note(&last, acme_store_remove_work(store, SHOP, ACME_FAMILY_ECDSA, pool));
    note(&last, acme_lease_beat(l, NOW + 10 * TERM, pool));
    acme_fsfile_freeze_at(0);
    if (last && last->msg == ACME_E_LEASE_LOST) {
        _exit(7);
    }
    must(last);
    acme_lease_release(l, pool);
}

/* Names and contents of all that is the worker's, but for the lock: a heartbeat
 * that was on its way may still arrive. */
static EVP_MD_CTX *digest;
static int seen;
static int digest_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    char data[4096];

    (void)type;
    (void)ftw;
    seen++;
    EVP_DigestUpdate(digest, path, strlen(path));
    EVP_DigestUpdate(digest, &st->st_ino, sizeof(st->st_ino));
    int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY) : -1;
    ssize_t len;
    while (fd >= 0 && (len = read(fd, data, sizeof(data))) > 0) {
        EVP_DigestUpdate(digest, data, (size_t)len);
    }
    if (fd >= 0) {
        close(fd);
    }
    return 0;
}

static void digest_store(unsigned char sum[EVP_MAX_MD_SIZE])
{
    static const char *const parts[] = { "accounts", "work",    "fresh", "keys",
                                         "replies",  "journal", "audit" };

    digest = EVP_MD_CTX_new();
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    seen = 0;
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        must_be(nftw(in_store(parts[i]), digest_one, 16, FTW_PHYS) == 0);
    }
    must_be(seen > 15);
    EVP_DigestFinal_ex(digest, sum, NULL);
    EVP_MD_CTX_free(digest);
}

/* Takes over, writes what it has to, wakes the other, and finds its own. */
static void take_expired(acme_store_t *store, void *baton)
{
    acme_lease_t *l = acme_store_make_lease(store, pool);
    unsigned char before[EVP_MAX_MD_SIZE], after[EVP_MAX_MD_SIZE];
    const sample_t sample = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW };
    pid_t other = *(pid_t *)baton;
    int held = 0;

    must(acme_lease_try(&held, l, NOW, pool));
    must(acme_lease_try(&held, l, NOW + TERM, pool));
    must(acme_lease_try(&held, l, NOW + 2 * TERM, pool));
    must_be(held);
    acme_store_set_lease(store, l);
    must(acme_store_put_doc(store, SHOP, ACME_FAMILY_ECDSA, ACME_DOC_ORDER,
                            "{}", pool));
    must(acme_store_put_journal(store, "abc", "{}", pool));
    must(acme_store_own_audit(store, pool));
    must(acme_store_append_audit(store, "{}", ACME_AUDIT_WHOLE, pool));
    sample_put(store, (void *)(size_t)&sample);
    digest_store(before);
    must_be(kill(other, SIGCONT) == 0);
    /* Until the woken one has had its say. */
    while (kill(other, 0) == 0) {
        usleep(1000);
    }
    digest_store(after);
    must_be(memcmp(before, after, 32) == 0);
    must(acme_lease_prove(l, pool));
    acme_lease_release(l, pool);
}

/* One that is not root's child, to be waited for. */
static pid_t as_frozen(acme_store_t *store, int step)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (getuid() == 0 && (setgid(WORKER) != 0 || setuid(WORKER) != 0)) {
            _exit(99);
        }
        frozen(store, &step);
        _exit(0);
    }
    return pid;
}

/* @return 0: step is beyond the last */
static int freeze(int step)
{
    acme_store_t *store = open_store();
    pid_t pid = as_frozen(store, step);
    int status;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (!WIFSTOPPED(status)) {
        assert_int_equal(status, 0);
        return 0;
    }
    pid_t taker = fork();
    if (taker == 0) {
        if (getuid() == 0 && (setgid(WORKER) != 0 || setuid(WORKER) != 0)) {
            _exit(99);
        }
        take_expired(store, &pid);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(waitpid(taker, &status, 0), taker);
    if (status) {
        print_message("frozen at step %d\n", step);
    }
    assert_int_equal(status, 0);
    return 1;
}

static void test_holder_frozen_at_each_step_writes_nothing_when_woken(
    void **state)
{
    int step = 1, more = 1;

    (void)state;
    for (; more; step++) {
        apr_pool_t *outer = pool;
        apr_pool_create(&pool, outer);
        more = freeze(step);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
        apr_pool_destroy(pool);
        pool = outer;
    }
    assert_true(step > 50);
}

static void take_over(acme_store_t *store, apr_time_t now)
{
    acme_lease_t *l = acme_store_make_lease(store, pool);
    int held = 0;

    must(acme_lease_try(&held, l, now, pool));
    must(acme_lease_try(&held, l, now + TERM, pool));
    must_be(held);
    acme_store_set_lease(store, l);
    must(acme_store_put_doc(store, SHOP, ACME_FAMILY_ECDSA, ACME_DOC_ORDER,
                            "{}", pool));
}

static void take_twice(acme_store_t *store, void *baton)
{
    (void)baton;
    umask(0777);
    take_over(store, NOW);
    take_over(store, NOW + TERM);
}

static void test_lease_whatever_the_umask(void **state)
{
    (void)state;
    assert_int_equal(as_worker(take_twice, open_store(), NULL), 0);
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
    STORE_TEST(test_lease_clocks_differ_by_minutes_holder_keeps_it),
    STORE_TEST(test_lease_expired_long_ago_taken_at_once),
    STORE_TEST(test_lease_last_write_torn_former_counts),
    STORE_TEST(test_lease_file_destroyed_is_its_holders_still),
    STORE_TEST(test_lease_file_emptied_silent_holder_loses_it),
    STORE_TEST(test_lease_slot_of_a_past_epoch_changes_nothing),
    STORE_TEST(test_lease_stage_of_no_possible_epoch_changes_nothing),
    STORE_TEST(test_lease_file_is_a_symlink_refused),
    STORE_TEST(test_lease_file_is_a_fifo_refused_without_waiting),
    STORE_TEST(test_lease_holder_ended_taken_over_at_once),
    STORE_TEST(test_lease_holder_killed_not_reaped_taken_over),
    STORE_TEST(test_lease_not_inherited_by_fork),
    STORE_TEST(test_lease_race_has_one_winner),
    STORE_TEST(test_prove_is_of_our_epoch_alone),
    STORE_TEST(test_lease_whatever_the_umask),
    STORE_TEST(test_holder_frozen_at_each_step_writes_nothing_when_woken),
};

RUN_TESTS(tests)
