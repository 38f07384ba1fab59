/* Runs targets: over the inputs kept in corpus/, as a test; or, with libFuzzer,
 * over those it thinks of (ACME_FUZZ_TARGET names the target). */
#include "fuzz.h"

#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_time.h>
#include <ftw.h>
#include <time.h>
#include <unistd.h>

#include "core/encode.h"
#include "core/key.h"

typedef struct target_t {
    const char *name;
    fuzz_target_fn_t *run;
} target_t;

static const target_t TARGETS[] = {
#define ROW(name) { #name, fuzz_##name },
    FUZZ_TARGETS(ROW)
#undef ROW
        { NULL, NULL },
};

/* --- for targets -------------------------------------------------------------- */

int fuzz_ok(const acme_err_t *err, apr_pool_t *pool)
{
    const char *c;

    for (c = err ? acme_err_line(err, pool) : ""; *c; c++) {
        FUZZ_MUST((unsigned char)*c >= ' ' && *c != 0x7f);
    }
    return !err;
}

char *fuzz_part(char **rest, char separator)
{
    char *part = *rest, *end = part ? strchr(part, separator) : NULL;

    *rest = end ? end + 1 : NULL;
    if (end) {
        *end = '\0';
    }
    return part;
}

apr_size_t fuzz_give(fuzz_take_fn_t *take, const char *data, apr_size_t len,
                     void *baton)
{
    char *copy = malloc(len ? len : 1);

    FUZZ_MUST(copy);
    memcpy(copy, data, len);
    apr_size_t taken = take(copy, 1, len, baton);
    free(copy);
    return taken;
}

EVP_PKEY *fuzz_key(void)
{
    static const char PEM[] =
        "-----BEGIN PRIVATE KEY-----\n"
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjNRMwhZE04FW/sVp\n"
        "2tfQCa3At6IxsBq/PlEyjNd+knyhRANCAARGRq/YLb5oTyQUjuFNrT6SDhLtBZsQ\n"
        "aRkyLn+Ovp4NIQiCjCZhRuiEDFfMJB28cg0g+PDO53lPj5R7a6WIv+Cl\n"
        "-----END PRIVATE KEY-----\n";
    static EVP_PKEY *key;
    apr_pool_t *pool;

    if (!key) {
        apr_pool_create(&pool, NULL);
        FUZZ_MUST(!acme_key_from_pem(&key, PEM, sizeof(PEM) - 1, pool));
    }
    return key;
}

static char folder[128];

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
    if (!*folder) {
        const char *above = getenv("TMPDIR");

        snprintf(folder, sizeof(folder), "%s/acme_fuzz.XXXXXX",
                 above ? above : "/tmp");
        FUZZ_MUST(mkdtemp(folder));
        atexit(remove_folder);
    }
    return folder;
}

/* --- running them ---------------------------------------------------------------- */

static const target_t *find(const char *name)
{
    const target_t *target = TARGETS;

    while (target->name && (!name || strcmp(target->name, name))) {
        target++;
    }
    if (!target->name) {
        fprintf(stderr, "there is no target \"%s\"\n", name ? name : "");
        exit(2);
    }
    return target;
}

static void run(const target_t *target, const char *data, apr_size_t len)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    target->run(apr_pstrmemdup(pool, data, len), len, pool);
    apr_pool_destroy(pool);
}

#ifdef ACME_LIBFUZZER

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static const target_t *chosen;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    chosen = find(getenv("ACME_FUZZ_TARGET"));
    return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    run(chosen, (const char *)data, len);
    return 0;
}

#else

#define CORPUS   ACME_TEST_DATA "/fuzz/corpus/"
#define TOO_LONG 5 /* seconds of the processor */

static void run_file(const target_t *target, const char *path, apr_pool_t *pool)
{
    clock_t begun = clock();
    apr_finfo_t info;
    apr_file_t *file;
    char *data;

    /* the last that is said, should the target end the process */
    fprintf(stderr, "%s\r", path);
    FUZZ_MUST(
        apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, pool)
        == APR_SUCCESS);
    FUZZ_MUST(apr_file_info_get(&info, APR_FINFO_SIZE, file) == APR_SUCCESS);
    data = apr_palloc(pool, (apr_size_t)info.size + 1);
    FUZZ_MUST(!info.size
              || apr_file_read_full(file, data, (apr_size_t)info.size, NULL)
                     == APR_SUCCESS);
    run(target, data, (apr_size_t)info.size);
    FUZZ_MUST(clock() - begun < TOO_LONG * CLOCKS_PER_SEC);
}

/* @return how many inputs it has */
static int run_corpus(const target_t *target, apr_pool_t *parent)
{
    apr_pool_t *pool, *each;
    apr_finfo_t info;
    const char *path;
    apr_dir_t *dir;
    int count = 0;

    apr_pool_create(&pool, parent);
    apr_pool_create(&each, pool);
    path = apr_pstrcat(pool, CORPUS, target->name, NULL);
    FUZZ_MUST(apr_dir_open(&dir, path, pool) == APR_SUCCESS);
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        if (*info.name != '.') {
            run_file(target, apr_pstrcat(each, path, "/", info.name, NULL),
                     each);
            apr_pool_clear(each);
            count++;
        }
    }
    apr_pool_destroy(pool);
    return count;
}

static void run_all(apr_pool_t *pool)
{
    const target_t *target;

    for (target = TARGETS; target->name; target++) {
        apr_time_t begun = apr_time_now();
        int count = run_corpus(target, pool);

        FUZZ_MUST(count > 0);
        printf("%s: %d inputs in %d ms\n", target->name, count,
               (int)apr_time_as_msec(apr_time_now() - begun));
    }
}

/* Without arguments all that is in corpus/; else a target, and files for it or,
 * without any, its corpus. */
int main(int argc, char *argv[])
{
    apr_pool_t *pool;
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (argc < 2) {
        run_all(pool);
    }
    else if (argc == 2) {
        FUZZ_MUST(run_corpus(find(argv[1]), pool) > 0);
    }
    for (i = 2; i < argc; i++) {
        run_file(find(argv[1]), argv[i], pool);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

#endif
