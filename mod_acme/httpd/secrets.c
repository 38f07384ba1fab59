#include "httpd/secrets.h"

#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/jws.h"
#include "engine/owned.h"
#include "httpd/config.h"
#include "httpd/log.h"

#define MAX_SECRET      (64 * 1024)    /* octets of a file */
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors begin with it */
#define MAX_PHRASE      1024           /* OpenSSL takes no longer ones */
#define PROGRAM_TIME    apr_time_from_sec(30)

/** Zeroed when its pool is cleaned. */
typedef struct secret_t {
    char *text; /* NUL terminated */
    apr_size_t size;
} secret_t;

static apr_status_t wipe(void *data)
{
    secret_t *secret = data;

    OPENSSL_cleanse(secret->text, secret->size);
    return APR_SUCCESS;
}

static char *secret_alloc(apr_size_t size, apr_pool_t *pool)
{
    secret_t *secret = apr_palloc(pool, sizeof(*secret));

    secret->text = apr_pcalloc(pool, size);
    secret->size = size;
    apr_pool_cleanup_register(pool, secret, wipe, apr_pool_cleanup_null);
    return secret->text;
}

static const char *secret_dup(const char *text, apr_pool_t *pool)
{
    apr_size_t size = strlen(text) + 1;

    return memcpy(secret_alloc(size, pool), text, size);
}

static const char *os_reason(apr_pool_t *pool)
{
    char buffer[128];
    apr_status_t rv = APR_FROM_OS_ERROR(errno);

    return apr_pstrdup(pool, apr_strerror(rv, buffer, sizeof(buffer)));
}

/* --- files ------------------------------------------------------------------- */

/* NULL, or why nobody should trust a secret to this file. */
static const char *why_exposed(const struct stat *st, apr_pool_t *pool)
{
    if (!S_ISREG(st->st_mode)) {
        return "it is not a regular file";
    }
    if (st->st_uid != geteuid()) {
        return apr_psprintf(pool,
                            "it belongs to user number %lu, not to the user "
                            "that starts httpd",
                            (unsigned long)st->st_uid);
    }
    if (st->st_mode & 077) {
        return apr_psprintf(pool,
                            "others can read or write it (its mode is %03o; "
                            "600 is needed)",
                            (unsigned int)(st->st_mode & 0777));
    }
    return st->st_size > MAX_SECRET ? "it is too long" : NULL;
}

static char *read_open(const char **why, int fd, apr_pool_t *pool)
{
    apr_size_t len = 0;
    struct stat st;
    char *text;
    ssize_t got;

    *why = fstat(fd, &st) == 0 ? why_exposed(&st, pool) : os_reason(pool);
    if (*why) {
        return NULL;
    }
    text = secret_alloc(MAX_SECRET + 1, pool);
    while (len < MAX_SECRET) {
        got = read(fd, text + len, MAX_SECRET - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            *why = os_reason(pool);
            return NULL;
        }
        if (got == 0) {
            break;
        }
        len += (apr_size_t)got;
    }
    *why = "it holds octets that are no text";
    return strlen(text) == len ? text : NULL;
}

/* @param why  why it cannot be read; only where NULL is returned */
static char *read_private(const char **why, const char *path, apr_pool_t *pool)
{
    /* not waiting for the writer of a FIFO */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text;

    if (fd < 0) {
        *why = os_reason(pool);
        return NULL;
    }
    text = read_open(why, fd, pool);
    close(fd);
    return text;
}

/* --- AcmeExternalAccount ------------------------------------------------------ */

/* "kid hmac"; lines that begin with '#' are comments. */
static const char *split(const char **kid, const char **hmac, char *text)
{
    char *last = NULL, *line;
    int count = 0;

    if (!strncmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK))) {
        text += strlen(BYTE_ORDER_MARK);
    }
    for (line = apr_strtok(text, "\r\n", &last); line;
         line = apr_strtok(NULL, "\r\n", &last)) {
        char *next = NULL, *word;

        for (word = apr_strtok(line, " \t", &next); word && *word != '#';
             word = apr_strtok(NULL, " \t", &next)) {
            *(count ? hmac : kid) = word;
            count++;
        }
    }
    return count == 2 ? NULL
                      : "it does not hold the two words that are needed, key "
                        "identifier and HMAC key";
}

static void read_external(acme_external_t *external, apr_pool_t *pconf,
                          apr_pool_t *scratch)
{
    const char *kid = NULL, *hmac = NULL, *body, *why;
    char *text = read_private(&why, external->file, scratch);
    acme_err_t *err = NULL;

    if (text) {
        why = split(&kid, &hmac, text);
    }
    if (!why) {
        err = acme_jws_bind(&body, kid, hmac, "", "{}", scratch);
        why = err ? err->text : NULL;
    }
    if (why) {
        external->fault =
            acme_err_make(pconf, ACME_E_EAB_FILE, external->file, why, NULL);
        return;
    }
    external->kid = apr_pstrdup(pconf, kid);
    external->hmac = secret_dup(hmac, pconf);
}

/* --- AcmeAccountKey ------------------------------------------------------------ */

/* It may linger after its last word, which httpd's start must not.
 * @return whether it ended by itself and was content */
static int wait_end(int *code, apr_proc_t *proc)
{
    apr_time_t end = apr_time_now() + PROGRAM_TIME;
    apr_exit_why_e exit_why = APR_PROC_EXIT;

    while (apr_proc_wait(proc, code, &exit_why, APR_NOWAIT)
           == APR_CHILD_NOTDONE) {
        if (apr_time_now() >= end) {
            apr_proc_kill(proc, SIGKILL);
            apr_proc_wait(proc, code, &exit_why, APR_WAIT);
            return 0;
        }
        apr_sleep(apr_time_from_msec(10));
    }
    return exit_why == APR_PROC_EXIT && *code == 0;
}

/* One line of its output. @return NULL, or why there is none */
static const char *read_phrase(char *phrase, apr_proc_t *proc, apr_pool_t *pool)
{
    apr_size_t len = 0, got;
    apr_status_t rv = APR_SUCCESS;
    int whole = 0, code = 0, content;

    apr_file_pipe_timeout_set(proc->out, PROGRAM_TIME);
    while (rv == APR_SUCCESS && !whole && len < MAX_PHRASE) {
        got = MAX_PHRASE - len;
        rv = apr_file_read(proc->out, phrase + len, &got);
        len += rv == APR_SUCCESS ? got : 0;
        whole = rv == APR_EOF || strchr(phrase, '\n');
    }
    if (!whole) {
        apr_proc_kill(proc, SIGKILL);
    }
    content = wait_end(&code, proc);
    if (!whole) {
        return rv == APR_SUCCESS
                   ? "it printed more than 1024 characters"
                   : "it did not print a line within 30 seconds and was ended";
    }
    if (!content) {
        return apr_psprintf(pool, "it ended with %d", code);
    }
    phrase[strcspn(phrase, "\r\n")] = '\0';
    return *phrase ? NULL : "it printed nothing";
}

/* By argument vector, without a shell. */
static const char *run_program(char **phrase, const acme_account_key_t *key,
                               apr_pool_t *pool)
{
    const char *argv[] = { key->program, key->file, NULL };
    const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
    const char *why = acme_owned_fault(key->program, pool);
    apr_procattr_t *attr;
    apr_proc_t proc = { 0 };
    apr_status_t rv;
    char reason[128];

    if (why) {
        return why;
    }
    *phrase = secret_alloc(MAX_PHRASE + 1, pool);
    rv = apr_procattr_create(&attr, pool);
    if (rv == APR_SUCCESS) {
        rv =
            apr_procattr_io_set(attr, APR_NO_FILE, APR_FULL_BLOCK, APR_NO_PIPE);
    }
    if (rv == APR_SUCCESS) {
        apr_procattr_cmdtype_set(attr, APR_PROGRAM);
        apr_procattr_error_check_set(attr, 1);
        rv = apr_proc_create(&proc, key->program, argv, env, attr, pool);
    }
    if (rv != APR_SUCCESS) {
        return apr_pstrdup(pool, apr_strerror(rv, reason, sizeof(reason)));
    }
    why = read_phrase(*phrase, &proc, pool);
    apr_file_close(proc.out);
    return why;
}

static acme_err_t *read_key(acme_account_key_t *key, int run, apr_pool_t *pconf,
                            apr_pool_t *scratch)
{
    const char *why;
    char *text = read_private(&why, key->file, scratch), *phrase = NULL;

    if (!text) {
        return acme_err_make(pconf, ACME_E_ACCOUNT_KEY, key->file, why, NULL);
    }
    if (key->program && strstr(text, "ENCRYPTED")) {
        if (!run) {
            return NULL;
        }
        why = run_program(&phrase, key, scratch);
        if (why) {
            return acme_err_make(pconf, ACME_E_PASS_PROGRAM, key->program,
                                 key->file, why, NULL);
        }
    }
    ACME_TRY(acme_key_adopt(&key->key, key->file, text, strlen(text), phrase,
                            pconf));
    return acme_jws_thumbprint(&key->thumbprint, key->key, pconf);
}

/* --- all ----------------------------------------------------------------------- */

void acme_secrets_read(server_rec *s, int run, apr_pool_t *pconf,
                       apr_pool_t *scratch)
{
    const acme_global_config_t *global = acme_config_global();
    apr_hash_index_t *at;
    apr_pool_t *pool;

    apr_pool_create(&pool, scratch);
    for (at = apr_hash_first(scratch, global->externals); at;
         at = apr_hash_next(at)) {
        acme_external_t *external = apr_hash_this_val(at);

        read_external(external, pconf, pool);
        if (external->fault) {
            acme_log_err(s, "", external->fault, pool);
        }
        apr_pool_clear(pool);
    }
    for (at = apr_hash_first(scratch, global->account_keys); at;
         at = apr_hash_next(at)) {
        acme_account_key_t *key = apr_hash_this_val(at);

        key->fault = read_key(key, run, pconf, pool);
        if (key->fault) {
            acme_log_err(s, "", key->fault, pool);
        }
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
}
