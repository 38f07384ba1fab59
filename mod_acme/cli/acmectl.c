/**
 * acmectl: what the administrator asks of a running server, put into the store
 * as a request and watched until it is answered.
 */
#include "config.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store.h"

#define EXIT_DONE    0
#define EXIT_FAILED  1
#define EXIT_USAGE   2
#define EXIT_TIMEOUT 3

#define LOOK_EVERY      apr_time_from_msec(200)
#define DEFAULT_TIMEOUT 600
#define MAX_TIMEOUT     86400
/* A server looks for requests every second; one that takes over from a dead
 * process waits for the lease first. */
#define ACCEPT_TIME (ACME_LEASE_TERM + apr_time_from_sec(10))

typedef struct options_t {
    const char *store;
    const char *certificate;
    long timeout; /* seconds */
} options_t;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static const char HELP[] =
    "usage: acmectl [--store DIR] renew NAME [--timeout SECONDS]\n"
    "       acmectl --help | --version\n"
    "\n"
    "renew NAME   order the certificate called NAME anew, now, and wait for it\n"
    "\n"
    "--store DIR        AcmeStore of the server (" ACME_DEFAULT_STORE ")\n"
    "--timeout SECONDS  how long to wait (600)\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no answer in time.\n";

static void tell_error(const acme_err_t *err, apr_pool_t *pool)
{
    const acme_msg_entry_t *entry = acme_msg_entry(err->msg);
    fprintf(stderr, "acmectl: ACME%d: %s\n", (int)err->msg,
            acme_err_line(err, pool));
    if (*entry->remedy) {
        fprintf(stderr, "  %s\n", entry->remedy);
    }
}

static void tell_code(const acme_control_reply_t *reply)
{
    const acme_msg_entry_t *entry = acme_msg_entry((acme_msg_t)reply->code);
    fprintf(stderr, "acmectl: ACME%d: %s\n", reply->code, reply->text);
    if (*entry->remedy) {
        fprintf(stderr, "  %s\n", entry->remedy);
    }
}

/* --- the command line -------------------------------------------------------- */

static int usage(const char *why, const char *what)
{
    fprintf(stderr, "acmectl: %s%s%s\n%s", why, what ? " " : "",
            what ? what : "", HELP);
    return EXIT_USAGE;
}

static int parse_timeout(options_t *options, const char *text)
{
    char *end;
    options->timeout = text ? strtol(text, &end, 10) : 0;
    if (!text || *end || options->timeout < 1
        || options->timeout > MAX_TIMEOUT) {
        return usage("--timeout needs a number of seconds, 1 to 86400", NULL);
    }
    return -1;
}

/* @return an exit status, or -1 to go on */
static int parse(options_t *options, char **argv)
{
    int renew = 0;
    for (argv++; *argv; argv++) {
        if (!strcmp(*argv, "--help") || !strcmp(*argv, "-h")) {
            fputs(HELP, stdout);
            return EXIT_DONE;
        }
        if (!strcmp(*argv, "--version")) {
            puts("acmectl " PACKAGE_VERSION);
            return EXIT_DONE;
        }
        if (!strcmp(*argv, "--store")) {
            options->store = *++argv;
            if (!*argv || **argv != '/') {
                return usage("--store needs an absolute path", NULL);
            }
        }
        else if (!strcmp(*argv, "--timeout")) {
            int status = parse_timeout(options, *++argv);
            if (status >= 0) {
                return status;
            }
        }
        else if (**argv == '-') {
            return usage("unknown option", *argv);
        }
        else if (!renew) {
            if (strcmp(*argv, "renew") != 0) {
                return usage("unknown command", *argv);
            }
            renew = 1;
        }
        else if (options->certificate) {
            return usage("one name at a time, not also", *argv);
        }
        else {
            options->certificate = *argv;
        }
    }
    if (!renew) {
        return usage("say what to do", NULL);
    }
    return options->certificate ? -1 : usage("renew which certificate?", NULL);
}

/* --- asking ------------------------------------------------------------------ */

/* Requests are root's alone (or the owner's, where httpd runs without root), so
 * that a script which runs as the server's user cannot make any. */
static int may_ask(const char *store)
{
    struct stat st;
    if (stat(store, &st) != 0) {
        fprintf(stderr,
                "acmectl: there is no store at %s\n"
                "  Name the server's AcmeStore with --store; it is made when "
                "a server with mod_acme starts.\n",
                store);
        return 0;
    }
    if (st.st_uid != geteuid()) {
        fprintf(stderr,
                "acmectl: the store %s belongs to another user\n"
                "  Run acmectl as root (or as the user that starts the "
                "server).\n",
                store);
        return 0;
    }
    return 1;
}

static int is(const acme_control_reply_t *reply, const char *state)
{
    return !strcmp(reply->state, state);
}

/* @return an exit status, or -1 while there is more to come */
static int show(const acme_control_reply_t *reply, char *shown, size_t size)
{
    if (is(reply, "failed")) {
        tell_code(reply);
        return EXIT_FAILED;
    }
    if (is(reply, "done")) {
        printf("done: %s\n", reply->text);
        return EXIT_DONE;
    }
    if (strncmp(shown, reply->text, size - 1) != 0) {
        apr_cpystrn(shown, reply->text, size);
        printf("%s: %s\n", reply->state, reply->text);
        fflush(stdout);
    }
    return -1;
}

static int too_late(const options_t *options, int accepted)
{
    if (accepted) {
        fprintf(stderr,
                "acmectl: not done within %ld seconds; the server goes on\n"
                "  Look at the status page, or wait longer with --timeout.\n",
                options->timeout);
    }
    else {
        fprintf(stderr,
                "acmectl: no server takes requests from %s\n"
                "  Check that httpd runs, with mod_acme and mod_watchdog and "
                "with this AcmeStore.\n",
                options->store);
    }
    return EXIT_TIMEOUT;
}

static int watch(acme_store_t *store, const char *id, const options_t *options,
                 apr_pool_t *pool)
{
    char shown[1024] = "";
    apr_time_t start = apr_time_now();
    apr_interval_time_t limit = apr_time_from_sec(options->timeout);
    int accepted = 0;
    apr_pool_t *round;
    apr_pool_create(&round, pool);

    while (!interrupted) {
        acme_control_reply_t *reply = NULL;
        apr_pool_clear(round);
        acme_err_t *err = acme_store_get_reply(&reply, store, id, round);
        if (err) {
            tell_error(err, round);
            return EXIT_FAILED;
        }
        if (reply) {
            accepted = 1;
            int status = show(reply, shown, sizeof(shown));
            if (status >= 0) {
                return status;
            }
        }
        apr_interval_time_t waited = apr_time_now() - start;
        if (waited > limit || (!accepted && waited > ACCEPT_TIME)) {
            return too_late(options, accepted);
        }
        apr_sleep(LOOK_EVERY);
    }
    fprintf(stderr,
            "acmectl: interrupted; what the server has begun goes on\n");
    return EXIT_TIMEOUT;
}

static int ask(const options_t *options, apr_pool_t *pool)
{
    struct stat st;
    acme_store_t *store;
    acme_store_options_t open = { .root = options->store };
    acme_control_t request = { .action = "renew",
                               .certificate = options->certificate };

    /* The worker's part tells who the worker is. */
    if (stat(apr_pstrcat(pool, options->store, "/replies", NULL), &st) == 0) {
        open.worker_uid = st.st_uid;
        open.worker_gid = st.st_gid;
    }
    acme_err_t *err = acme_store_open(&store, &open, pool);
    if (!err) {
        err = acme_store_put_request(&request, store, pool);
    }
    if (err) {
        tell_error(err, pool);
        return EXIT_FAILED;
    }
    int status = watch(store, request.id, options, pool);
    acme_store_remove_request(store, request.id, pool);
    return status;
}

int main(int argc, char **argv)
{
    options_t options = { .store = ACME_DEFAULT_STORE,
                          .timeout = DEFAULT_TIMEOUT };
    struct sigaction action = { .sa_handler = on_signal };
    apr_pool_t *pool;
    int status = parse(&options, argv);

    (void)argc;
    if (status >= 0) {
        return status;
    }
    if (!may_ask(options.store)) {
        return EXIT_FAILED;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    status = ask(&options, pool);
    apr_pool_destroy(pool);
    return status;
}
