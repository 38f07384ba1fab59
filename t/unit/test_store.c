/* The store as a whole: opening, permissions, notes of the worker, requests,
 * placeholders. */
#include "store_test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>

#define ECDSA ACME_FAMILY_ECDSA

/* --- opening ------------------------------------------------------------------------- */

static void test_open_without_create_refused(void **state)
{
    acme_store_t *store;

    (void)state;
    assert_err(try_open(&store, 0), ACME_E_STORE_IO);
    assert_false(is_there(""));
    open_store();
    assert_no_err(try_open(&store, 0));
}

/* In place of libc's: which directories the disk would know all of by now. */
static int base_is_flushed, above_is_flushed;

static int is_directory(const struct stat *st, const char *path)
{
    struct stat other;

    return stat(path, &other) == 0 && st->st_ino == other.st_ino;
}

int fsync(int fd)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && is_directory(&st, in_store("."))) {
        base_is_flushed = is_there("lock"); /* made last */
    }
    above_is_flushed |= is_directory(&st, root);
    return 0;
}

static void test_open_flushes_what_it_makes(void **state)
{
    (void)state;
    base_is_flushed = above_is_flushed = 0;
    open_store();
    assert_true(base_is_flushed);
    assert_true(above_is_flushed);
    base_is_flushed = above_is_flushed = 0;
    open_store();
    assert_false(base_is_flushed);
    assert_int_equal(rmdir(in_store("audit")), 0);
    open_store();
    assert_true(base_is_flushed);
    assert_false(above_is_flushed);
}

static void test_open_again_keeps_the_secret(void **state)
{
    char before[256] = "", after[256] = "";

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_store();
        FILE *file = fopen(in_store("store.json"), "r");
        assert_non_null(file);
        assert_true(fread(i ? after : before, 1, 255, file) > 60);
        fclose(file);
    }
    assert_string_equal(before, after);
}

static void test_open_two_stores_have_two_secrets(void **state)
{
    char secrets[2][256] = { "", "" };

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_store();
        FILE *file = fopen(in_store("store.json"), "r");
        assert_non_null(file);
        assert_true(fread(secrets[i], 1, 255, file) > 60);
        fclose(file);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    assert_string_not_equal(secrets[0], secrets[1]);
}

static void test_open_newer_version_refused(void **state)
{
    acme_store_t *store;

    (void)state;
    open_store();
    overwrite("store.json", "{\"version\": 2, \"secret\": 7}");
    assert_err(try_open(&store, 1), ACME_E_STORE_VERSION);
}

static void test_open_damaged_secret_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"version\": 1}",
        "{\"version\": 1, \"secret\": \"AAAA\"}",
        "{\"version\": 0, \"secret\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"version\": 1, \"secret\": \"!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
    };
    acme_store_t *store;

    (void)state;
    open_store();
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        overwrite("store.json", texts[i]);
        assert_err(try_open(&store, 1), ACME_E_STORE_DAMAGED);
    }
}

static void test_open_lost_secret_refused_where_keys_are_sealed(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(unlink(in_store("store.json")), 0);
    store = open_store(); /* nothing was sealed yet */
    put_sample(store, SHOP);
    assert_int_equal(unlink(in_store("store.json")), 0);
    acme_err_t *err = try_open(&store, 1);
    assert_err(err, ACME_E_STORE_DAMAGED);
    assert_non_null(strstr(err->text, "backup"));
    assert_false(is_there("store.json"));
}

/* Those who got the directory with a fork can lock it for ever. */
static void test_open_is_not_held_up_by_a_lock_for_good(void **state)
{
    acme_store_t *store = open_store();
    int fd = open(in_store(""), O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_int_equal(unlink(in_store("store.json")), 0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    alarm(20);
    acme_err_t *err = try_open(&store, 1);
    alarm(0);
    assert_err(err, ACME_E_STORE_IO);
    assert_non_null(strstr(err->text, "lock"));
    close(fd);
    assert_no_err(try_open(&store, 1));
}

static void test_open_writable_by_others_refused(void **state)
{
    static const char *const paths[] = {
        "",         "certificates", "placeholder", "archive",   "control",
        "accounts", "fresh",        "lock",        "store.json"
    };
    acme_store_t *store;
    struct stat st;

    (void)state;
    open_store();
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const char *path = in_store(paths[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(chmod(path, (st.st_mode & 07777) | 020), 0);
        acme_err_t *err = try_open(&store, 1);
        assert_err(err, ACME_E_STORE_OWNER);
        assert_non_null(strstr(err->text, paths[i]));
        assert_int_equal(chmod(path, st.st_mode & 07777), 0);
    }
    assert_int_equal(chmod(in_store("store.json"), 0640), 0);
    assert_err(try_open(&store, 1), ACME_E_STORE_OWNER);
}

static void test_open_of_another_owner_refused(void **state)
{
    static const char *const paths[] = { "", "certificates", "store.json",
                                         "fresh", "lock" };
    acme_store_t *store;
    struct stat st;

    NEEDS_ROOT();
    (void)state;
    open_store();
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const char *path = in_store(paths[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(chown(path, 1, 1), 0);
        acme_err_t *err = try_open(&store, 1);
        assert_err(err, ACME_E_STORE_OWNER);
        assert_non_null(strstr(err->text, paths[i]));
        assert_int_equal(chown(path, st.st_uid, st.st_gid), 0);
    }
    assert_no_err(try_open(&store, 1));
}

static void test_open_part_is_a_symlink_refused(void **state)
{
    acme_store_t *store;

    (void)state;
    open_store();
    assert_int_equal(rename(in_store("certificates"), in_store("elsewhere")),
                     0);
    assert_int_equal(symlink("elsewhere", in_store("certificates")), 0);
    assert_err(try_open(&store, 1), ACME_E_STORE_DAMAGED);
}

static void test_open_directory_that_was_there_keeps_permissions(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(mkdir(in_store(""), 0755), 0);
    assert_int_equal(chmod(in_store(""), 0750), 0);
    open_store();
    assert_int_equal(stat(in_store(""), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0751);
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void test_store_leaks_no_descriptor(void **state)
{
    int before = open_descriptors();
    apr_pool_t *outer = pool;
    const char *chain, *key;
    apr_array_header_t *requests;

    (void)state;
    apr_pool_create(&pool, outer);
    acme_store_t *store = open_store();
    int opened = open_descriptors();
    put_sample(store, SHOP);
    promote(store, SHOP);
    current_number(store);
    assert_no_err(acme_store_placeholder(&chain, &key, store, SHOP,
                                         idents(SHOP), NOW, pool));
    assert_no_err(acme_store_get_requests(&requests, store, pool));
    assert_int_equal(open_descriptors(), opened);
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        assert_true(flags < 0 || fd < 3 || before > 3 || flags & FD_CLOEXEC);
    }
    apr_pool_destroy(pool);
    pool = outer;
    assert_int_equal(open_descriptors(), before);
}

/* --- permissions ----------------------------------------------------------------------- */

typedef struct permission_t {
    const char *path;
    mode_t mode;
    int worker;
} permission_t;

static void put_something(acme_store_t *store, void *baton)
{
    acme_account_t account = { .directory_url = CA_URL };
    acme_control_reply_t reply = { "done", "", 0 };

    (void)baton;
    umask(0777);
    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_put_account(store, "ca-00000000", &account, pool));
    must(acme_store_put_work_key(store, SHOP, ECDSA, account.key, pool));
    must(acme_store_put_doc(store, SHOP, ECDSA, ACME_DOC_ORDER, "{}", pool));
    must(acme_store_put_reply(store, "0123456789abcdef", &reply, pool));
    sample_t sample = { SHOP, SHOP, ACME_KEY_ECDSA_P256, NOW };
    sample_put(store, &sample);
    sample_put(store, &sample);
}

static void fill_store(mode_t mask)
{
    acme_control_t request = { NULL, "renew", SHOP };
    const char *chain, *key;

    umask(mask);
    acme_store_t *store = open_store();
    put_sample(store, SHOP);
    assert_non_null(promote(store, SHOP));
    assert_int_equal(as_worker(put_something, store, NULL), 0);
    assert_non_null(promote(store, SHOP));
    assert_no_err(acme_store_placeholder(&chain, &key, store, SHOP,
                                         idents(SHOP), NOW, pool));
    assert_no_err(acme_store_put_request(&request, store, pool));
    assert_int_equal(rename(in_store(apr_pstrcat(pool, "control/", request.id,
                                                 ".json", NULL)),
                            in_store("control/request")),
                     0);
}

static void test_permissions_whatever_the_umask(void **state)
{
    static const mode_t masks[] = { 0, 022, 0777 };
    static const permission_t table[] = {
        { "", 0711, 0 },
        { "store.json", 0600, 0 },
        { "lock", 0600, 1 },
        { "certificates", 0755, 0 },
        { "certificates/" SHOP, 0755, 0 },
        { "certificates/" SHOP "/ecdsa.3", 0755, 0 },
        { "certificates/" SHOP "/ecdsa.3/chain.pem", 0644, 0 },
        { "certificates/" SHOP "/ecdsa.3/record.json", 0644, 0 },
        { "certificates/" SHOP "/ecdsa.3/key.pem", 0600, 0 },
        { "placeholder", 0700, 0 },
        { "placeholder/" SHOP, 0700, 0 },
        { "placeholder/" SHOP "/key.pem", 0600, 0 },
        { "archive", 0700, 0 },
        { "archive/" SHOP, 0700, 0 },
        { "archive/" SHOP "/ecdsa.1/key.pem", 0600, 0 },
        { "control", 0755, 0 },
        { "control/request", 0644, 0 },
        { "accounts", 0700, 1 },
        { "accounts/ca-00000000", 0700, 1 },
        { "accounts/ca-00000000/account.json", 0600, 1 },
        { "work", 0700, 1 },
        { "work/" SHOP, 0700, 1 },
        { "work/" SHOP "/ecdsa.order", 0600, 1 },
        { "work/" SHOP "/ecdsa.key", 0600, 1 },
        { "fresh", 0700, 1 },
        { "fresh/" SHOP, 0700, 1 },
        { "fresh/" SHOP "/ecdsa.3", 0700, 1 },
        { "fresh/" SHOP "/ecdsa.3/key", 0600, 1 },
        { "keys", 0700, 1 },
        { "replies", 0700, 1 },
        { "replies/0123456789abcdef.json", 0600, 1 },
        { "journal", 0700, 1 },
        { "audit", 0700, 1 },
    };
    struct stat st;

    (void)state;
    for (unsigned m = 0; m < sizeof(masks) / sizeof(masks[0]); m++) {
        fill_store(masks[m]);
        for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const permission_t *p = &table[i];
            if (lstat(in_store(p->path), &st) != 0) {
                fail_msg("%s is not there", p->path);
            }
            if ((st.st_mode & 07777) != p->mode) {
                fail_msg("%s is %o", p->path, (unsigned)st.st_mode);
            }
            assert_int_equal(st.st_uid,
                             p->worker && getuid() == 0 ? WORKER : getuid());
        }
        umask(022);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static void worker_reach(acme_store_t *store, void *baton)
{
    static const char *const closed[] = {
        "store.json",
        "certificates/" SHOP "/ecdsa/key.pem",
        "placeholder/" SHOP "/key.pem",
        "archive/" SHOP "/ecdsa.1/chain.pem",
    };
    static const char *const fixed[] = { "x",
                                         "certificates/x",
                                         "certificates/" SHOP "/x",
                                         "certificates/" SHOP "/ecdsa/x",
                                         "placeholder/x",
                                         "archive/x",
                                         "control/x" };
    acme_record_t *record;
    (void)baton;
    for (unsigned i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        must_be(open(in_store(closed[i]), O_RDONLY) < 0);
    }
    for (unsigned i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        must_be(open(in_store(fixed[i]), O_WRONLY | O_CREAT, 0600) < 0);
    }
    must(acme_store_current(&record, store, SHOP, ECDSA, pool));
    must_be(record && record->number == 3);
    must(acme_store_newest(&record, store, SHOP, ECDSA, pool));
    must_be(record && record->number == 3);
}

static void test_worker_reaches_what_it_must_only(void **state)
{
    acme_store_t *store;

    NEEDS_ROOT();
    (void)state;
    fill_store(022);
    assert_no_err(try_open(&store, 1));
    assert_int_equal(as_worker(worker_reach, store, NULL), 0);
}

/* --- notes of the worker ----------------------------------------------------------------- */

static void docs(acme_store_t *store, void *baton)
{
    const char *json;
    apr_size_t len;

    (void)baton;
    must(acme_store_get_doc(&json, &len, store, SHOP, ECDSA, ACME_DOC_ORDER,
                            pool));
    must_be(!json);
    must(acme_store_put_doc(store, SHOP, ECDSA, ACME_DOC_ORDER, "{\"a\":1}",
                            pool));
    must(acme_store_put_doc(store, SHOP, ECDSA, ACME_DOC_JOB, "{\"b\":2}",
                            pool));
    must(acme_store_put_doc(store, SHOP, ACME_FAMILY_RSA, ACME_DOC_JOB,
                            "{\"c\":3}", pool));
    must(acme_store_get_doc(&json, &len, store, SHOP, ECDSA, ACME_DOC_ORDER,
                            pool));
    must_be(len == 7 && !strcmp(json, "{\"a\":1}"));
    must(acme_store_remove_doc(store, SHOP, ECDSA, ACME_DOC_ORDER, pool));
    must(acme_store_remove_doc(store, SHOP, ECDSA, ACME_DOC_ORDER, pool));
    must(acme_store_remove_doc(store, "none.example", ECDSA, ACME_DOC_JOB,
                               pool));
    must(acme_store_get_doc(&json, &len, store, SHOP, ECDSA, ACME_DOC_ORDER,
                            pool));
    must_be(!json);
    must(acme_store_get_doc(&json, &len, store, SHOP, ECDSA, ACME_DOC_JOB,
                            pool));
    must_be(json && !strcmp(json, "{\"b\":2}"));
}

static void test_docs_put_get_remove(void **state)
{
    (void)state;
    assert_int_equal(as_worker(docs, open_store(), NULL), 0);
}

static void work_keys(acme_store_t *store, void *baton)
{
    EVP_PKEY *key, *again;
    acme_err_t *err;

    (void)baton;
    must(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_get_work_key(&again, store, SHOP, ECDSA, pool));
    must_be(!again);
    must(acme_store_put_work_key(store, SHOP, ECDSA, key, pool));
    must(acme_store_get_work_key(&again, store, SHOP, ECDSA, pool));
    must_be(EVP_PKEY_eq(key, again) == 1);
    /* As another family's, or another certificate's, it opens nowhere. */
    must_be(link(in_store("work/" SHOP "/ecdsa.key"),
                 in_store("work/" SHOP "/rsa.key"))
            == 0);
    must_be(rename(in_store("work/" SHOP "/ecdsa.key"),
                   in_store("work/" SHOP "/ecdsa.order"))
            == 0);
    must_be(unlink(in_store("work/" SHOP "/ecdsa.order")) == 0);
    err = acme_store_get_work_key(&again, store, SHOP, ACME_FAMILY_RSA, pool);
    must_be(err && err->msg == ACME_E_SEAL);
    must(acme_store_remove_work(store, SHOP, ACME_FAMILY_RSA, pool));
    must(acme_store_get_work_key(&again, store, SHOP, ACME_FAMILY_RSA, pool));
    must_be(!again);
}

static void use_journal(acme_store_t *store, void *baton)
{
    apr_array_header_t *entries;
    acme_err_t *damage;

    (void)baton;
    must_be(!acme_store_is_owed(store, pool));
    must(acme_store_put_journal(store, "00ff", "{\"a\":1}", pool));
    must_be(acme_store_is_owed(store, pool));
    must(acme_store_put_journal(store, "00ff", "{\"a\":2}", pool));
    must(acme_store_put_journal(store, "11", "{}", pool));
    must(acme_store_get_journal(&entries, &damage, store, pool));
    must_be(!damage && entries->nelts == 2);
    must(acme_store_remove_journal(store, "11", pool));
    must(acme_store_remove_journal(store, "11", pool));
    must(acme_store_get_journal(&entries, &damage, store, pool));
    must_be(!damage && entries->nelts == 1);
    const acme_journal_t *entry = APR_ARRAY_IDX(entries, 0, acme_journal_t *);
    must_be(!strcmp(entry->id, "00ff"));
    must_be(entry->len == 7 && !strcmp(entry->json, "{\"a\":2}"));
    must_be(acme_store_put_journal(store, "../x", "{}", pool) != NULL);
    must_be(acme_store_put_journal(store, "", "{}", pool) != NULL);
}

static void test_journal_put_get_remove(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(as_worker(use_journal, store, NULL), 0);
    assert_true(is_there("journal/00ff.json"));
    assert_false(is_there("journal/11.json"));
}

static void damage_journal(acme_store_t *store, void *baton)
{
    apr_array_header_t *entries;
    acme_err_t *damage;

    (void)baton;
    must(acme_store_put_journal(store, "01", "{}", pool));
    must_be(!symlink("/etc/passwd", in_store("journal/02.json")));
    must(acme_store_get_journal(&entries, &damage, store, pool));
    must_be(entries->nelts == 1 && damage != NULL);
}

static void test_journal_damaged_entry_leaves_the_others(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    assert_int_equal(as_worker(damage_journal, store, NULL), 0);
}

static void test_work_key_sealed_to_its_order(void **state)
{
    (void)state;
    assert_int_equal(as_worker(work_keys, open_store(), NULL), 0);
}

static void next_keys(acme_store_t *store, void *baton)
{
    EVP_PKEY *key, *again;
    acme_err_t *err;

    (void)baton;
    must(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_get_next_key(&again, store, SHOP, ECDSA, pool));
    must_be(!again);
    must(acme_store_put_next_key(store, SHOP, ECDSA, key, pool));
    must(acme_store_get_next_key(&again, store, SHOP, ECDSA, pool));
    must_be(again && EVP_PKEY_eq(key, again) == 1);
    must(acme_store_remove_work(store, SHOP, ECDSA, pool));
    must(acme_store_get_next_key(&again, store, SHOP, ECDSA, pool));
    must_be(again != NULL);
    must_be(rename(in_store("keys/" SHOP "/ecdsa.next"),
                   in_store("keys/" SHOP "/rsa.next"))
            == 0);
    err = acme_store_get_next_key(&again, store, SHOP, ACME_FAMILY_RSA, pool);
    must_be(err && err->msg == ACME_E_SEAL);
    must(acme_store_remove_next_key(store, SHOP, ACME_FAMILY_RSA, pool));
    must(acme_store_get_next_key(&again, store, SHOP, ACME_FAMILY_RSA, pool));
    must_be(!again);
}

static void test_next_key_sealed_to_its_certificate(void **state)
{
    (void)state;
    assert_int_equal(as_worker(next_keys, open_store(), NULL), 0);
}

static void accounts(acme_store_t *store, void *baton)
{
    acme_account_t account = { .directory_url = CA_URL };
    acme_account_t *again;
    acme_err_t *err;

    (void)baton;
    must(acme_store_get_account(&again, store, "ca-1", pool));
    must_be(!again);
    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_put_account(store, "ca-1", &account, pool));
    must(acme_store_get_account(&again, store, "ca-1", pool));
    must_be(again && !again->state.kid
            && !strcmp(again->directory_url, CA_URL));
    must_be(EVP_PKEY_eq(account.key, again->key) == 1);
    account.state.kid = "https://ca.example/account/1";
    must(acme_store_put_account(store, "ca-1", &account, pool));
    must(acme_store_get_account(&again, store, "ca-1", pool));
    must_be(again && !strcmp(again->state.kid, account.state.kid));
    must_be(!again->next_key && !again->change && !again->state.closed);
    must(acme_key_make(&account.next_key, ACME_KEY_ECDSA_P384, pool));
    account.change = "0123456789abcdef";
    account.state.closed = apr_time_from_sec(1800000000);
    account.state.overruled = "mailto:a@b.example";
    must(acme_store_put_account(store, "ca-1", &account, pool));
    must(acme_store_get_account(&again, store, "ca-1", pool));
    must_be(EVP_PKEY_eq(account.key, again->key) == 1);
    must_be(EVP_PKEY_eq(account.next_key, again->next_key) == 1);
    must_be(!strcmp(again->change, account.change));
    must_be(again->state.closed == account.state.closed);
    must_be(!strcmp(again->state.overruled, account.state.overruled));
    must_be(rename(in_store("accounts/ca-1"), in_store("accounts/ca-2")) == 0);
    err = acme_store_get_account(&again, store, "ca-2", pool);
    must_be(err && err->msg == ACME_E_SEAL);
    overwrite("accounts/ca-2/account.json", "{\"directory\":");
    err = acme_store_get_account(&again, store, "ca-2", pool);
    must_be(err && err->msg == ACME_E_STORE_DAMAGED);
}

static void test_account_sealed_to_its_ca(void **state)
{
    (void)state;
    assert_int_equal(as_worker(accounts, open_store(), NULL), 0);
}

#define ACCOUNT "accounts/ca-1/account.json"

typedef acme_err_t *give_way_fn_t(acme_store_t *store);

static acme_err_t *set_aside(acme_store_t *store)
{
    return acme_store_set_account_aside(store, "ca-1", pool);
}

static acme_err_t *replace(acme_store_t *store)
{
    acme_account_t account = { .directory_url = CA_URL };

    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    return acme_store_replace_account(store, "ca-1", &account, pool);
}

static void put_one_account(acme_store_t *store)
{
    acme_account_t account = { .directory_url = CA_URL };

    must(acme_key_make(&account.key, ACME_KEY_ECDSA_P256, pool));
    must(acme_store_put_account(store, "ca-1", &account, pool));
}

static void forget_account(const char *name)
{
    unlink(in_store(name));
    rmdir(in_store(name));
}

/* As much as is needed, and one descriptor more at each try. */
static void give_way_without_descriptors(acme_store_t *store,
                                         give_way_fn_t *give_way)
{
    struct rlimit had, less;
    acme_err_t *err;

    must_be(getrlimit(RLIMIT_NOFILE, &had) == 0);
    less = had;
    less.rlim_cur = 0;
    do {
        less.rlim_cur++;
        must_be(setrlimit(RLIMIT_NOFILE, &less) == 0);
        err = give_way(store);
        must_be(setrlimit(RLIMIT_NOFILE, &had) == 0);
        must_be(!err || err->msg == ACME_E_STORE_IO);
        must_be(!err || is_there(ACCOUNT));
        must_be(less.rlim_cur < 64);
    } while (err);
    must_be(is_there(ACCOUNT ".1") && !is_there(ACCOUNT ".2"));
}

static void give_way_unread(acme_store_t *store, void *baton)
{
    give_way_fn_t *give_way = *(give_way_fn_t **)baton;

    put_one_account(store);
    must_be(chmod(in_store(ACCOUNT), 0) == 0);
    acme_err_t *err = give_way(store);
    must_be(err && err->msg == ACME_E_STORE_IO);
    must_be(strstr(err->text, ACCOUNT) != NULL);
    must_be(is_there(ACCOUNT) && !is_there(ACCOUNT ".1"));
    must_be(chmod(in_store(ACCOUNT), 0600) == 0);
    give_way_without_descriptors(store, give_way);
    forget_account(ACCOUNT);
    forget_account(ACCOUNT ".1");
    /* but what is no file, no moment makes one */
    must_be(mkdir(in_store(ACCOUNT), 0700) == 0);
    must(give_way(store));
    must_be(is_there(ACCOUNT ".1"));
    forget_account(ACCOUNT);
    forget_account(ACCOUNT ".1");
    must_be(symlink("elsewhere", in_store(ACCOUNT)) == 0);
    must(give_way(store));
    must_be(is_there(ACCOUNT ".1"));
}

static void test_account_that_cannot_be_read_for_a_moment_stays(void **state)
{
    give_way_fn_t *ways[] = { set_aside, replace };

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(as_worker(give_way_unread, open_store(), &ways[i]), 0);
        nftw(in_store(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* Everything below path, for a text that must not be there. */
static int found_key;
static int grep_one(const char *path, const struct stat *st, int type,
                    struct FTW *ftw)
{
    char text[4096];
    FILE *file = type == FTW_F ? fopen(path, "r") : NULL;

    (void)st;
    (void)ftw;
    if (file) {
        size_t len = fread(text, 1, sizeof(text), file);
        found_key += memmem(text, len, "PRIVATE", 7) != NULL;
        fclose(file);
    }
    return 0;
}

static void test_no_plain_key_in_the_workers_part(void **state)
{
    static const char *const parts[] = { "accounts", "work", "fresh" };

    (void)state;
    fill_store(022);
    found_key = 0;
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        nftw(in_store(parts[i]), grep_one, 16, FTW_PHYS);
    }
    assert_int_equal(found_key, 0);
    nftw(in_store("certificates"), grep_one, 16, FTW_PHYS);
    assert_int_equal(found_key, 1);
}

/* --- requests ---------------------------------------------------------------------------- */

static int count_requests(acme_store_t *store)
{
    apr_array_header_t *requests = NULL;

    must(acme_store_get_requests(&requests, store, pool));
    return requests->nelts;
}

static void answer(acme_store_t *store, void *baton)
{
    acme_control_t *request = baton;
    acme_control_reply_t reply = { "failed", "no\x1b[2J route", 1200 };
    apr_array_header_t *requests = NULL;

    must(acme_store_get_requests(&requests, store, pool));
    must_be(requests->nelts == 1);
    const acme_control_t *got = APR_ARRAY_IDX(requests, 0, acme_control_t *);
    must_be(!strcmp(got->id, request->id));
    must_be(!strcmp(got->action, "renew"));
    must_be(!strcmp(got->certificate, SHOP));
    must_be(count_requests(store) == 1); /* until it is answered */
    must(acme_store_put_reply(store, request->id, &reply, pool));
    must_be(count_requests(store) == 0);
    must_be(count_requests(store) == 0);
}

static void test_request_goes_and_reply_returns(void **state)
{
    acme_store_t *store = open_store();
    acme_control_t request = { NULL, "renew", SHOP };
    acme_control_reply_t *reply;

    (void)state;
    assert_int_equal(count_requests(store), 0);
    assert_no_err(acme_store_put_request(&request, store, pool));
    assert_int_equal(strlen(request.id), 16);
    assert_no_err(acme_store_get_reply(&reply, store, request.id, pool));
    assert_null(reply);
    assert_int_equal(as_worker(answer, store, &request), 0);
    assert_no_err(acme_store_get_reply(&reply, store, request.id, pool));
    assert_non_null(reply);
    assert_string_equal(reply->state, "failed");
    assert_string_equal(reply->text, "no?[2J route");
    assert_int_equal(reply->code, 1200);
    acme_store_remove_request(store, request.id, pool);
    assert_no_err(acme_store_get_reply(&reply, store, request.id, pool));
    assert_null(reply);
}

/* Made within the same tick of the clock that stamps the directory. */
static void test_request_right_after_a_look_is_seen(void **state)
{
    acme_store_t *store = open_store();

    (void)state;
    for (int i = 1; i <= 200; i++) {
        acme_control_t request = { NULL, "renew", SHOP };
        count_requests(store);
        assert_no_err(acme_store_put_request(&request, store, pool));
        assert_int_equal(count_requests(store), i <= 100 ? i : 100);
    }
}

static void test_request_after_long_quiet_is_seen(void **state)
{
    acme_store_t *store = open_store();
    acme_control_t request = { NULL, "renew", SHOP };
    struct timespec past[2] = { { time(NULL) - 60, 0 },
                                { time(NULL) - 60, 0 } };

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, in_store("control"), past, 0), 0);
    assert_int_equal(count_requests(store), 0);
    assert_int_equal(count_requests(store), 0);
    assert_no_err(acme_store_put_request(&request, store, pool));
    assert_int_equal(count_requests(store), 1);
}

static void test_request_bad_text_refused(void **state)
{
    static const acme_control_t bad[] = {
        { NULL, "", SHOP },        { NULL, NULL, SHOP },
        { NULL, "Renew", SHOP },   { NULL, "renew;", SHOP },
        { NULL, "renew", "" },     { NULL, "renew", "a b" },
        { NULL, "renew", "a\nb" }, { NULL, "renew", "\xff" },
    };
    acme_store_t *store = open_store();

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        acme_control_t request = bad[i];
        assert_err(acme_store_put_request(&request, store, pool),
                   ACME_E_STORE_REQUEST);
    }
    assert_int_equal(count_requests(store), 0);
}

static void test_request_bad_id_refused(void **state)
{
    static const char *const ids[] = { "",
                                       "../../store",
                                       "0123456789abcde",
                                       "0123456789abcdef0",
                                       "0123456789ABCDEF",
                                       "../0123456789abc" };
    acme_store_t *store = open_store();
    acme_control_reply_t reply = { "done", "", 0 };
    acme_control_reply_t *got;

    (void)state;
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_err(acme_store_get_reply(&got, store, ids[i], pool),
                   ACME_E_STORE_REQUEST);
        assert_err(acme_store_put_reply(store, ids[i], &reply, pool),
                   ACME_E_STORE_REQUEST);
        acme_store_remove_request(store, ids[i], pool);
    }
    assert_true(is_there("store.json"));
}

static void test_requests_that_are_none_passed_over(void **state)
{
    static const char *const names[] = {
        "0123456789abcde0.json", "0123456789abcde1.json",
        "0123456789abcde2.json", "0123456789abcde3.txt",
        ".new-0123456789abcdef", "0123456789abcdeX.json",
        "0123456789abcde4.json",
    };
    static const char *const texts[] = {
        "",
        "[]",
        "{\"action\":\"renew\",\"certificate\":\"a b\"}",
        "{\"action\":\"renew\",\"certificate\":\"a.example\"}",
        "{\"action\":\"renew\",\"certificate\":\"a.example\"}",
        "{\"action\":\"renew\",\"certificate\":\"a.example\"}",
        "{\"action\":\"re new\",\"certificate\":\"a.example\"}",
    };
    acme_store_t *store = open_store();

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        overwrite(apr_pstrcat(pool, "control/", names[i], NULL), texts[i]);
    }
    assert_int_equal(count_requests(store), 0);
}

static void trap_reply(acme_store_t *store, void *baton)
{
    (void)store;
    must_be(symlink(in_store("store.json"), in_store(baton)) == 0);
}

static void test_reply_of_the_worker_is_not_trusted(void **state)
{
    acme_store_t *store = open_store();
    acme_control_reply_t *reply;
    char path[] = "replies/0123456789abcdef.json";

    (void)state;
    assert_int_equal(as_worker(trap_reply, store, path), 0);
    assert_err(acme_store_get_reply(&reply, store, "0123456789abcdef", pool),
               ACME_E_STORE_DAMAGED);
    acme_store_remove_request(store, "0123456789abcdef", pool);
    assert_false(is_there(path));
    assert_true(is_there("store.json"));
    overwrite(path, "{\"state\":\"gone\"}");
    if (getuid() == 0) {
        assert_int_equal(chown(in_store(path), WORKER, WORKER), 0);
    }
    assert_err(acme_store_get_reply(&reply, store, "0123456789abcdef", pool),
               ACME_E_STORE_REQUEST);
}

/* --- placeholders -------------------------------------------------------------------------- */

static const char *slurp(const char *path)
{
    char text[8192] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    return apr_pstrdup(pool, text);
}

static const char *placeholder(acme_store_t *store, apr_time_t now)
{
    const char *chain, *key;

    assert_no_err(acme_store_placeholder(&chain, &key, store, SHOP,
                                         idents(SHOP), now, pool));
    FILE *file = fopen(chain, "r");
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    file = fopen(key, "r");
    EVP_PKEY *pkey = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_int_equal(X509_check_private_key(cert, pkey), 1);
    assert_int_equal(X509_check_host(cert, SHOP, 0, 0, NULL), 1);
    X509_free(cert);
    EVP_PKEY_free(pkey);
    return slurp(chain);
}

static void test_placeholder_made_once(void **state)
{
    acme_store_t *store = open_store();
    const char *first = placeholder(store, NOW);

    (void)state;
    assert_string_equal(placeholder(store, NOW), first);
    acme_store_sync(store);
    acme_store_sync(store);
    assert_string_equal(
        placeholder(open_store(), NOW + apr_time_from_sec(300 * 86400)), first);
}

static void test_placeholder_near_its_end_made_anew(void **state)
{
    acme_store_t *store = open_store();
    const char *first = placeholder(store, NOW);

    (void)state;
    assert_string_not_equal(
        placeholder(store, NOW + apr_time_from_sec(340 * 86400)), first);
}

static void test_placeholder_damaged_made_anew(void **state)
{
    static const char *const files[] = { "placeholder/" SHOP "/chain.pem",
                                         "placeholder/" SHOP "/key.pem" };
    acme_store_t *store = open_store();

    (void)state;
    for (int f = 0; f < 2; f++) {
        const char *before = placeholder(store, NOW);
        struct stat st;
        assert_int_equal(stat(in_store(files[f]), &st), 0);
        for (off_t cut = 0; cut < st.st_size; cut += 50) {
            assert_int_equal(truncate(in_store(files[f]), cut), 0);
            const char *after = placeholder(store, NOW);
            assert_string_not_equal(after, before);
            before = after;
        }
        /* As after a power failure: the length is there, the content is not. */
        assert_int_equal(truncate(in_store(files[f]), 100), 0);
        assert_int_equal(truncate(in_store(files[f]), st.st_size), 0);
        assert_string_not_equal(placeholder(store, NOW), before);
        assert_int_equal(unlink(in_store(files[f])), 0);
        placeholder(store, NOW);
    }
}

static void test_placeholder_reads_as_a_chain(void **state)
{
    acme_store_t *store = open_store();
    const char *pem = placeholder(store, NOW);
    acme_chain_t *chain;

    (void)state;
    assert_no_err(acme_chain_parse(&chain, pem, strlen(pem), pool));
}

static const struct CMUnitTest tests[] = {
    STORE_TEST(test_open_without_create_refused),
    STORE_TEST(test_open_flushes_what_it_makes),
    STORE_TEST(test_open_again_keeps_the_secret),
    STORE_TEST(test_open_two_stores_have_two_secrets),
    STORE_TEST(test_open_newer_version_refused),
    STORE_TEST(test_open_damaged_secret_refused),
    STORE_TEST(test_open_lost_secret_refused_where_keys_are_sealed),
    STORE_TEST(test_open_is_not_held_up_by_a_lock_for_good),
    STORE_TEST(test_open_writable_by_others_refused),
    STORE_TEST(test_open_of_another_owner_refused),
    STORE_TEST(test_open_part_is_a_symlink_refused),
    STORE_TEST(test_open_directory_that_was_there_keeps_permissions),
    STORE_TEST(test_store_leaks_no_descriptor),
    STORE_TEST(test_permissions_whatever_the_umask),
    STORE_TEST(test_worker_reaches_what_it_must_only),
    STORE_TEST(test_docs_put_get_remove),
    STORE_TEST(test_journal_put_get_remove),
    STORE_TEST(test_journal_damaged_entry_leaves_the_others),
    STORE_TEST(test_work_key_sealed_to_its_order),
    STORE_TEST(test_next_key_sealed_to_its_certificate),
    STORE_TEST(test_account_sealed_to_its_ca),
    STORE_TEST(test_account_that_cannot_be_read_for_a_moment_stays),
    STORE_TEST(test_no_plain_key_in_the_workers_part),
    STORE_TEST(test_request_goes_and_reply_returns),
    STORE_TEST(test_request_right_after_a_look_is_seen),
    STORE_TEST(test_request_after_long_quiet_is_seen),
    STORE_TEST(test_request_bad_text_refused),
    STORE_TEST(test_request_bad_id_refused),
    STORE_TEST(test_requests_that_are_none_passed_over),
    STORE_TEST(test_reply_of_the_worker_is_not_trusted),
    STORE_TEST(test_placeholder_made_once),
    STORE_TEST(test_placeholder_near_its_end_made_anew),
    STORE_TEST(test_placeholder_damaged_made_anew),
    STORE_TEST(test_placeholder_reads_as_a_chain),
};

RUN_TESTS(tests)
