/* Files of the store, each read by whoever reads it. The first line of the input
 * is the file, the rest what is in it; after a '%' comes another file. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/audit.h"
#include "engine/lease.h"
#include "engine/store.h"

#define SET    "certificates/shop.example/ecdsa.1/"
#define FRESH  "fresh/shop.example/ecdsa.2/"
#define LINK   "certificates/shop.example/ecdsa"
#define NOW    apr_time_from_sec(1795334400)
#define FAMILY ACME_FAMILY_ECDSA

typedef void look_fn_t(acme_store_t *store, apr_pool_t *pool);

static void make_folders(apr_pool_t *pool);

static void look_at_uses(acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *uses;
    apr_table_t *externals;
    acme_ports_t ports;

    if (fuzz_ok(acme_store_get_uses(&uses, &ports, store, pool), pool)) {
        FUZZ_MUST(ports.port_80 >= 0 && ports.port_80 <= 65535);
        FUZZ_MUST(ports.port_443 >= 0 && ports.port_443 <= 65535);
    }
    FUZZ_MUST(!fuzz_ok(acme_store_get_externals(&externals, store, pool), pool)
              || externals);
}

static void look_at_account(acme_store_t *store, apr_pool_t *pool)
{
    acme_account_t *account;

    if (fuzz_ok(acme_store_get_account(&account, store, "ca", pool), pool)) {
        FUZZ_MUST(!account || (account->key && account->directory_url));
    }
}

static void look_at_set(acme_store_t *store, apr_pool_t *pool)
{
    acme_record_t *record;
    acme_chain_t *chain;
    acme_set_t *set;

    fuzz_ok(acme_store_current(&record, store, "shop.example", FAMILY, pool),
            pool);
    fuzz_ok(acme_store_newest(&record, store, "shop.example", FAMILY, pool),
            pool);
    fuzz_ok(acme_store_get_set(&set, store, "shop.example", FAMILY, pool),
            pool);
    fuzz_ok(
        acme_store_get_chain(&chain, store, "shop.example", FAMILY, 1, pool),
        pool);
}

static void look_at_fresh(acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *allowed = apr_array_make(pool, 1, sizeof(void *));
    acme_promotion_t how = { allowed, NOW, 0, 0 };
    acme_record_t *promoted;
    acme_ident_t *ident;
    acme_set_t *set;

    FUZZ_MUST(!acme_ident_parse(&ident, "shop.example", pool));
    APR_ARRAY_PUSH(allowed, acme_ident_t *) = ident;
    if (fuzz_ok(
            acme_store_load_fresh(&set, store, "shop.example", FAMILY, 2, pool),
            pool)) {
        FUZZ_MUST(set->record && set->chain && set->key);
    }
    if (fuzz_ok(acme_store_promote(&promoted, store, "shop.example", FAMILY,
                                   &how, pool),
                pool)
        && promoted) {
        look_at_set(store, pool);
        FUZZ_MUST(fuzz_ok(
            acme_store_remove_promoted(store, "shop.example", pool), pool));
        make_folders(pool);
    }
}

static void look_at_journal(acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *entries;
    acme_err_t *damage;

    fuzz_ok(acme_store_get_journal(&entries, &damage, store, pool), pool);
}

static void look_at_request(acme_store_t *store, apr_pool_t *pool)
{
    apr_array_header_t *requests;
    acme_control_reply_t *reply;

    fuzz_ok(acme_store_get_requests(&requests, store, pool), pool);
    fuzz_ok(acme_store_get_interrupted(&requests, store, pool), pool);
    fuzz_ok(acme_store_get_reply(&reply, store, "0123456789abcdef", pool),
            pool);
}

static void look_at_lease(acme_store_t *store, apr_pool_t *pool)
{
    acme_lease_t *lease = acme_store_make_lease(store, pool);
    int held;

    acme_lease_is_taken(lease, NOW);
    if (fuzz_ok(acme_lease_try(&held, lease, NOW, pool), pool) && held) {
        FUZZ_MUST(acme_lease_epoch(lease) > 0);
        fuzz_ok(acme_lease_beat(lease, NOW + ACME_LEASE_BEAT, pool), pool);
        acme_lease_release(lease, pool);
    }
}

static void look_at_audit(acme_store_t *store, apr_pool_t *pool)
{
    acme_audit_report_t report;
    acme_audit_t audit = { 0 };

    fuzz_ok(acme_audit_read(&report, store, NULL, NULL, pool), pool);
    fuzz_ok(acme_audit_add(&audit, store, ACME_I_ISSUED, "", "x", NOW, pool),
            pool);
}

/* The store is opened anew: its own file. */
static void look_at_store(acme_store_t *store, apr_pool_t *pool)
{
    const acme_store_options_t options = { acme_store_root(store), getuid(),
                                           getgid(), 0 };

    fuzz_ok(acme_store_open(&store, &options, pool), pool);
    fuzz_ok(acme_store_open_rest(&store, &options, pool), pool);
}

static const struct {
    const char *path;
    look_fn_t *look;
} FILES[] = {
    { "store.json", look_at_store },
    { "managed.json", look_at_uses },
    { "accounts/ca/account.json", look_at_account },
    { SET "chain.pem", NULL },
    { SET "key.pem", NULL },
    { SET "record.json", look_at_set },
    { "control/0123456789abcdef.json", look_at_request },
    { "replies/0123456789abcdef.json", look_at_request },
    { FRESH "chain.pem", NULL },
    { FRESH "key", NULL },
    { FRESH "record.json", look_at_fresh },
    { "journal/ab.json", look_at_journal },
    { "lock", look_at_lease },
    { "audit.json", NULL },
    { "audit/0000000001.jsonl", look_at_audit },
};
#define COUNT (sizeof(FILES) / sizeof(FILES[0]))

/* --- the files ------------------------------------------------------------------- */

static const char *root;

static const char *path_of(const char *name, apr_pool_t *pool)
{
    return apr_pstrcat(pool, root, "/", name, NULL);
}

static void put(const char *name, const char *data, apr_size_t len,
                apr_pool_t *pool)
{
    int file = open(path_of(name, pool), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    FUZZ_MUST(file >= 0 && write(file, data, len) == (ssize_t)len);
    close(file);
}

static acme_store_t *open_store(int create, apr_pool_t *pool)
{
    const acme_store_options_t options = { root, getuid(), getgid(), create };
    acme_store_t *store;

    FUZZ_MUST(fuzz_ok(acme_store_open(&store, &options, pool), pool));
    return store;
}

/* What a promotion has changed, too. */
static void make_folders(apr_pool_t *pool)
{
    static const char *const folders[] = { "accounts/ca",
                                           "certificates/shop.example",
                                           "certificates/shop.example/ecdsa.1",
                                           "fresh/shop.example",
                                           "fresh/shop.example/ecdsa.2" };
    apr_size_t i;

    for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        FUZZ_MUST(mkdir(path_of(folders[i], pool), 0700) == 0
                  || errno == EEXIST);
    }
}

static void set_up(apr_pool_t *pool)
{
    static char path[192];

    snprintf(path, sizeof(path), "%s/store", fuzz_folder());
    root = path;
    open_store(1, pool);
    make_folders(pool);
}

/* @return its place among FILES; COUNT: no file of ours */
static apr_size_t find(const char *part, apr_size_t len)
{
    apr_size_t i = 0, name;

    for (; i < COUNT; i++) {
        name = strlen(FILES[i].path);
        if (len > name && part[name] == '\n'
            && !memcmp(part, FILES[i].path, name)) {
            break;
        }
    }
    return i;
}

/* @param is_there  of FILES: whether they are in the input */
static void write_files(int *is_there, const char *data, apr_size_t len,
                        apr_pool_t *pool)
{
    const char *end = data + len, *part = data, *next;

    for (; part; part = next) {
        const char *mark = memchr(part, '%', (apr_size_t)(end - part));
        apr_size_t all = (apr_size_t)((mark ? mark : end) - part);
        apr_size_t i = find(part, all);

        next = mark ? mark + 1 : NULL;
        if (i < COUNT) {
            apr_size_t name = strlen(FILES[i].path) + 1;

            put(FILES[i].path, part + name, all - name, pool);
            is_there[i] = 1;
            if (FILES[i].look == look_at_set) {
                FUZZ_MUST(symlink("ecdsa.1", path_of(LINK, pool)) == 0
                          || errno == EEXIST);
            }
        }
    }
}

void fuzz_store(const char *data, apr_size_t len, apr_pool_t *pool)
{
    static const char STORE[] =
        "{\"version\":1,"
        "\"secret\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}";
    int is_there[COUNT] = { 0 };
    acme_store_t *store;
    apr_size_t i;

    if (!root) {
        set_up(pool);
    }
    put("store.json", STORE, sizeof(STORE) - 1, pool);
    store = open_store(0, pool);
    write_files(is_there, data, len, pool);
    for (i = 0; i < COUNT; i++) {
        if (is_there[i] && FILES[i].look) {
            FILES[i].look(store, pool);
        }
    }
    for (i = 0; i < COUNT; i++) {
        if (strcmp(FILES[i].path, "lock")) { /* that always is */
            unlink(path_of(FILES[i].path, pool));
        }
    }
    unlink(path_of(LINK, pool));
}
