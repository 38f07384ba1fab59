/**
 * What the tests of the store share: a store in a directory of its own, sets to
 * put into it, and processes that act as root, as the worker, or die.
 */
#ifndef ACME_STORE_TEST_H
#define ACME_STORE_TEST_H

#include "core_test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cert.h"
#include "core/key.h"
#include "engine/fsfile.h"
#include "engine/store.h"

#define WORKER  65534 /* nobody */
#define CRASHED 42    /* exit status of acme_fsfile_crash_at */
#define SHOP    "shop.example"
#define NOW     (apr_time_from_sec(1800000000))
#define CA_URL  "https://ca.example/directory"

static char root[64];

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* The directory itself can be entered by the worker, as /var/lib can. */
static inline int store_setup(void **state)
{
    pool_setup(state);
    umask(027);
    snprintf(root, sizeof(root), "/tmp/acme_test.XXXXXX");
    if (!mkdtemp(root) || chmod(root, 0755) != 0) {
        return -1;
    }
    return 0;
}

static inline int store_teardown(void **state)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return pool_teardown(state);
}

#define STORE_TEST(test)                                                       \
    cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

static inline acme_err_t *try_open(acme_store_t **store, int create)
{
    acme_store_options_t options = { apr_pstrcat(pool, root, "/acme", NULL),
                                     WORKER, WORKER, create };

    return acme_store_open(store, &options, pool);
}

static inline acme_store_t *open_store(void)
{
    acme_store_t *store = NULL;

    assert_no_err(try_open(&store, 1));
    return store;
}

/* Run part in a child, as the worker if we are root.
 * @return its exit status, 1000 + signal if it was killed */
typedef void part_fn_t(acme_store_t *store, void *baton);
static inline int in_child(part_fn_t *part, acme_store_t *store, void *baton,
                           uid_t uid)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (uid && getuid() == 0 && (setgid(uid) != 0 || setuid(uid) != 0)) {
            _exit(99);
        }
        part(store, baton);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
#define as_worker(part, store, baton) in_child(part, store, baton, WORKER)
#define as_root(part, store, baton)   in_child(part, store, baton, 0)

/* In a child: what fails ends it. */
#define must(expr)                                                             \
    do {                                                                       \
        acme_err_t *err_ = (expr);                                             \
        if (err_) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, err_->text);    \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)
#define must_be(expr)                                                          \
    do {                                                                       \
        if (!(expr)) {                                                         \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #expr);     \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

#define NEEDS_ROOT()                                                           \
    do {                                                                       \
        if (getuid() != 0) {                                                   \
            print_message("needs root, to have two users\n");                  \
            skip();                                                            \
        }                                                                      \
    } while (0)

/* A set as the engine stores it; self-signed, which acme_chain_verify lets
 * pass: the CA was asked for trust. */
typedef struct sample_t {
    const char *dir;
    const char *names; /* separated by spaces */
    acme_key_type_t type;
    apr_time_t now;
    int served, refused;
} sample_t;

static inline void sample_put(acme_store_t *store, void *baton)
{
    const sample_t *sample = baton;
    acme_record_t record = { 0 };
    acme_chain_t chain = { NULL, NULL };
    apr_array_header_t *names = idents(sample->names);
    const char *pem;
    EVP_PKEY *key;

    must(acme_key_make(&key, sample->type, pool));
    must(acme_cert_placeholder(&chain.leaf, key, names, sample->now, pool));
    must(acme_chain_to_pem(&pem, &chain, pool));
    must(acme_record_describe(&record, chain.leaf, pool));
    record.name = APR_ARRAY_IDX(names, 0, acme_ident_t *)->value;
    record.key_type = sample->type;
    record.ca_url = CA_URL;
    record.account_url = "https://ca.example/account/1";
    record.issued = sample->now;
    const acme_issued_t issued = { &record, pem, key, sample->served,
                                   sample->refused };
    must(acme_store_put_fresh(store, sample->dir, &issued, pool));
}

/* As the worker puts one for shop.example. */
static inline void put_sample(acme_store_t *store, const char *names)
{
    sample_t sample = { SHOP, names, ACME_KEY_ECDSA_P256, NOW };

    assert_int_equal(as_worker(sample_put, store, &sample), 0);
}

static inline acme_record_t *promote(acme_store_t *store, const char *allowed)
{
    acme_promotion_t how = { idents(allowed), NOW, 0, 0, 0, NULL };
    acme_record_t *record = NULL;

    assert_no_err(acme_store_promote(&record, store, SHOP, ACME_FAMILY_ECDSA,
                                     &how, pool));
    return record;
}

static inline int current_number(acme_store_t *store)
{
    acme_record_t *record = NULL;

    assert_no_err(
        acme_store_current(&record, store, SHOP, ACME_FAMILY_ECDSA, pool));
    return record ? record->number : 0;
}

/* "certificates/shop.example/ecdsa" of the store. */
static inline const char *in_store(const char *path)
{
    return apr_pstrcat(pool, root, "/acme/", path, NULL);
}

static inline int is_there(const char *path)
{
    struct stat st;

    return lstat(in_store(path), &st) == 0;
}

static inline void overwrite(const char *path, const char *text)
{
    FILE *file = fopen(in_store(path), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

#endif
