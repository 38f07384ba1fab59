#include "httpd/installed.h"

#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/encode.h"
#include "engine/command.h"
#include "engine/hook.h"
#include "engine/owned.h"
#include "engine/transport.h"
#include "httpd/log.h"

#define ROUND apr_time_from_sec(1)

/** One program for one certificate. */
typedef struct call_t {
    const char *certificate;
    const char **argv, **env; /* NULL at the end */
} call_t;

struct acme_installed_t {
    apr_pool_t *pool;
    apr_array_header_t *calls; /* call_t */
};

/* Of the program that runs. */
typedef struct told_t {
    server_rec *server;
    const call_t *call;
    apr_pool_t *scratch;
} told_t;

acme_installed_t *acme_installed_create(apr_pool_t *pool)
{
    acme_installed_t *installed = apr_pcalloc(pool, sizeof(*installed));

    installed->pool = pool;
    installed->calls = apr_array_make(pool, 1, sizeof(call_t));
    return installed;
}

/* --- what is to be run ------------------------------------------------------ */

static const char **make_env(const acme_store_t *store,
                             const acme_managed_t *managed,
                             const acme_record_t *record, apr_pool_t *pool)
{
    apr_array_header_t *env = apr_array_make(pool, 16, sizeof(const char *));
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    const char *chain, *key;
    int i;

    acme_store_current_files(&chain, &key, store, managed->dir,
                             acme_key_family(record->key_type), record->number,
                             pool);
    for (i = 0; i < record->idents->nelts; i++) {
        APR_ARRAY_PUSH(names, const char *) =
            APR_ARRAY_IDX(record->idents, i, acme_ident_t *)->value;
    }
    acme_hook_env(env, "ACME_EVENT", acme_event_name(ACME_EVENT_INSTALLED));
    acme_hook_env(env, "ACME_CERTIFICATE", managed->name);
    acme_hook_env(env, "ACME_DOMAIN", managed->name);
    acme_hook_env(env, "ACME_DOMAINS", apr_array_pstrcat(pool, names, ' '));
    acme_hook_env(env, "ACME_KEY_TYPE", acme_key_type_name(record->key_type));
    acme_hook_env(env, "ACME_CA", record->ca_url);
    acme_hook_env(env, "ACME_STORE", acme_store_root(store));
    acme_hook_env(env, "ACME_SERIAL", record->serial);
    acme_hook_env(env, "ACME_ISSUER", record->issuer);
    acme_hook_env(env, "ACME_NOT_BEFORE",
                  acme_time_format(record->not_before, pool));
    acme_hook_env(env, "ACME_NOT_AFTER",
                  acme_time_format(record->not_after, pool));
    acme_hook_env(env, "ACME_CHAIN_FILE", chain);
    acme_hook_env(env, "ACME_KEY_FILE", key);
    APR_ARRAY_PUSH(env, const char *) = NULL;
    return (const char **)(void *)env->elts;
}

void acme_installed_add(acme_installed_t *installed, const acme_store_t *store,
                        const acme_managed_t *managed,
                        const acme_record_t *record)
{
    const apr_array_header_t *hooks = managed->policy->hooks;
    int i;

    for (i = 0; hooks && i < hooks->nelts; i++) {
        const acme_hook_t *hook = APR_ARRAY_IDX(hooks, i, acme_hook_t *);
        apr_array_header_t *argv;
        call_t *call;

        if (!(hook->events & ACME_EVENT_BIT(ACME_EVENT_INSTALLED))) {
            continue;
        }
        argv = apr_array_copy(installed->pool, hook->command);
        APR_ARRAY_PUSH(argv, const char *) =
            acme_event_name(ACME_EVENT_INSTALLED);
        APR_ARRAY_PUSH(argv, const char *) = managed->name;
        APR_ARRAY_PUSH(argv, const char *) = NULL;
        call = apr_array_push(installed->calls);
        call->certificate = managed->name;
        call->argv = (const char **)(void *)argv->elts;
        call->env = make_env(store, managed, record, installed->pool);
    }
}

/* --- running it --------------------------------------------------------------- */

static void on_output(void *baton, const char *line)
{
    const told_t *told = baton;

    acme_log_msg(told->server, told->scratch, ACME_I_COMMAND_OUTPUT,
                 told->call->argv[0], line, NULL);
}

static void on_ended(void *baton, acme_err_t *err, int status)
{
    const told_t *told = baton;

    (void)status;
    if (err) {
        acme_log_err(told->server, told->call->certificate, err, told->scratch);
    }
    else {
        acme_log_msg(told->server, told->scratch, ACME_I_EVENT_TOLD,
                     told->call->argv[0], acme_event_name(ACME_EVENT_INSTALLED),
                     NULL);
    }
}

/* One after the other: a program that reloads a mail server is not run by five
 * certificates at the same time. */
static void run_all(const apr_array_header_t *calls, server_rec *s,
                    apr_pool_t *pool)
{
    acme_transport_t *transport;
    acme_commands_t *commands;
    acme_err_t *err;
    int i;

    acme_transport_global_init();
    err = acme_transport_create(&transport, "0", pool);
    if (err) {
        acme_log_err(s, "", err, pool);
        return;
    }
    commands = acme_commands_create(acme_transport_watches(transport), pool);
    for (i = 0; i < calls->nelts; i++) {
        told_t told = { s, &APR_ARRAY_IDX(calls, i, call_t), pool };
        const acme_command_callbacks_t callbacks = { &told, on_output,
                                                     on_ended };
        const acme_command_spec_t spec = { told.call->argv, told.call->env,
                                           ACME_HOOK_LIMIT };

        acme_command_start(commands, &spec, &callbacks);
        while (!err && acme_commands_count(commands)) {
            acme_commands_run(commands);
            err = acme_transport_poll(transport, ROUND);
        }
    }
}

/* httpd's listeners above all: its next start needs the ports. */
static void close_others(const server_rec *s)
{
    long most = sysconf(_SC_OPEN_MAX);
    apr_os_file_t log = -1;
    int fd;

    if (s->error_log) {
        apr_os_file_get(&log, s->error_log);
    }
    for (fd = STDERR_FILENO + 1; fd < (most > 0 && most < 65536 ? most : 65536);
         fd++) {
        if (fd != log) {
            close(fd);
        }
    }
}

static void default_signals(void)
{
    static const int OURS[] = { SIGTERM, SIGINT,   SIGHUP,
                                SIGUSR1, SIGWINCH, SIGCHLD };
    sigset_t none;
    size_t i;

    for (i = 0; i < sizeof(OURS) / sizeof(OURS[0]); i++) {
        signal(OURS[i], SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A grandchild: httpd wonders about children that it does not know. */
static void detach(const apr_array_header_t *calls, server_rec *s,
                   apr_pool_t *pool)
{
    pid_t pid = fork();

    if (pid == 0) {
        setsid();
        if (fork() == 0) {
            default_signals();
            close_others(s);
            run_all(calls, s, pool);
        }
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (pid < 0) {
        acme_log_err(s, "",
                     acme_err_os(pool, APR_FROM_OS_ERROR(errno),
                                 ACME_E_COMMAND_START,
                                 APR_ARRAY_IDX(calls, 0, call_t).argv[0], NULL),
                     pool);
    }
}

void acme_installed_run(const acme_installed_t *installed, server_rec *s,
                        apr_pool_t *scratch)
{
    apr_array_header_t *safe = apr_array_make(scratch, 1, sizeof(call_t));
    int i;

    for (i = 0; i < installed->calls->nelts; i++) {
        const call_t *call = &APR_ARRAY_IDX(installed->calls, i, call_t);
        const char *fault = acme_owned_fault(call->argv[0], scratch);

        if (fault) {
            acme_log_msg(s, scratch, ACME_E_HOOK_UNSAFE, call->argv[0], fault,
                         NULL);
        }
        else {
            APR_ARRAY_PUSH(safe, call_t) = *call;
        }
    }
    if (safe->nelts) {
        detach(safe, s, scratch);
    }
}
