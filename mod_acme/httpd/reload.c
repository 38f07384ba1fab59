#include "httpd/reload.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_env.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <http_config.h>
#include <http_log.h>
#include <mpm_common.h>

#include "core/encode.h"
#include "engine/policy.h"
#include "httpd/log.h"
#include "httpd/look.h"
#include "httpd/shared.h"
#include "httpd/wish.h"

APLOG_USE_MODULE(acme);

/* Changes with any change of the structs below. */
#define LAYOUT "mod_acme-reload-3"

#define PATIENT                                                                \
    apr_time_from_sec(5 * 60) /* with the look at the configuration */
#define SAID 1024             /* octets of what that says last are told */
/* Our own, and if its file has been replaced since: a reload is done by this one,
 * too, whatever is there for the next start. */
#define PROGRAM "/proc/self/exe"

/* Written by the engine, and by the parent in post_config. */
typedef struct wish_t {
    _Atomic apr_int64_t since;    /* 0: nothing is wanted */
    _Atomic apr_int64_t interval; /* the shortest of those who want it */
    _Atomic int held; /* the parent does not: the configuration was changed */
} wish_t;

/* Lives in the process pool, across restarts and reloads of the module; of the
 * parent alone. */
typedef struct retained_t {
    wish_t *wish;
    apr_time_t last; /* attempt of ours */
    /* the shortest of the configuration: whoever writes the wish, every child
     * could, makes no more reloads than the administrator allows */
    apr_interval_time_t least;
} retained_t;

/* The look at the configuration, while it lasts. */
typedef struct look_t {
    server_rec *server;
    apr_proc_t proc;
    FILE *said;
    apr_time_t begun; /* 0: there is none */
    int overdue;      /* it was killed */
    int told;         /* that the configuration has been changed */
} look_t;

static retained_t *the_retained;
static wish_t *the_wish;
static look_t the_look;
static const char
    *the_digest; /* acme_look_digest of what this server has read */

/* --- wanting it ----------------------------------------------------------------- */

void acme_reload_want(apr_interval_time_t interval)
{
    apr_int64_t none = 0;

    if (!the_wish) {
        return;
    }
    if (!atomic_load(&the_wish->since)
        || interval < atomic_load(&the_wish->interval)) {
        atomic_store(&the_wish->interval, interval);
    }
    atomic_compare_exchange_strong(&the_wish->since, &none, apr_time_now());
}

void acme_reload_amend(acme_status_t *status)
{
    if (status->wait == ACME_WAIT_RELOAD && the_wish
        && atomic_load(&the_wish->held)) {
        status->wait = ACME_WAIT_MANUAL;
    }
}

static apr_status_t forget(void *data)
{
    (void)data;
    the_wish = NULL;
    the_retained = NULL;
    if (the_look.said) {
        fclose(the_look.said);
    }
    memset(&the_look, 0, sizeof(the_look));
    return APR_SUCCESS;
}

/* @return 0: nobody could want one */
static apr_interval_time_t least_interval(const apr_array_header_t *managed)
{
    apr_interval_time_t least = 0;
    int i;

    for (i = 0; i < managed->nelts; i++) {
        const acme_policy_t *policy =
            APR_ARRAY_IDX(managed, i, const acme_managed_t *)->policy;

        if (policy->activate == ACME_ACTIVATE_RELOAD
            && (!least || policy->reload_interval < least)) {
            least = policy->reload_interval;
        }
    }
    return least;
}

void acme_reload_settle(server_rec *s, const apr_array_header_t *managed,
                        apr_pool_t *pconf)
{
    retained_t *retained = ap_retained_data_get(LAYOUT);

    if (!retained) {
        retained = ap_retained_data_create(LAYOUT, sizeof(*retained));
    }
    retained->least = least_interval(managed);
    if (!retained->wish && retained->least) {
        retained->wish =
            acme_shared_make(sizeof(wish_t), ACME_E_RELOAD_MEMORY, s);
    }
    if (!retained->wish || !retained->least) {
        return;
    }
    atomic_store(&retained->wish->since, 0);
    atomic_store(&retained->wish->held, 0);
    the_retained = retained;
    the_wish = retained->wish;
    the_digest = acme_look_digest(pconf);
    apr_pool_cleanup_register(pconf, NULL, forget, apr_pool_cleanup_null);
}

/* --- doing it ----------------------------------------------------------------------- */

/* Its last words, and how it ended. */
static const char *what_it_said(const look_t *look, int status,
                                apr_pool_t *pool)
{
    char text[SAID + 1];
    const char *end;
    size_t len;

    if (fseek(look->said, -SAID, SEEK_END) != 0) {
        rewind(look->said); /* it is shorter */
    }
    len = fread(text, 1, SAID, look->said);
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    text[len] = '\0';
    for (char *c = text; *c; c++) {
        *c = *c == '\n' ? ' ' : *c;
    }
    /* httpd does not tell which of the two it was */
    end = look->overdue
              ? "httpd -t took too long, and was killed"
              : apr_psprintf(pool, "httpd -t ended with status or signal %d",
                             status);
    return apr_pstrcat(pool, acme_encode_printable(text, SAID, pool),
                       len ? "; " : "", end, NULL);
}

static void judge(look_t *look, int status, apr_pool_t *pool)
{
    switch (status) {
    case 0:
        acme_log_msg(look->server, pool, ACME_I_RELOADS, NULL);
        kill(getpid(), AP_SIG_GRACEFUL);
        break;
    case ACME_LOOK_DIFFERS:
        ap_log_error(APLOG_MARK, APLOG_TRACE1, 0, look->server,
                     "no reload: the configuration has been changed");
        if (!look->told) {
            acme_log_msg(look->server, pool, ACME_W_RELOAD_CHANGED, NULL);
        }
        look->told = 1;
        atomic_store(&the_wish->held, 1);
        break;
    default:
        acme_log_msg(look->server, pool, ACME_E_RELOAD_TEST,
                     what_it_said(look, status, pool), NULL);
    }
}

/* From the parent's main loop, outside of any request: nobody else is at work. At
 * a reload meanwhile, which makes ours needless, pconf's end takes all away. */
static void on_end(int reason, void *data, int status)
{
    look_t *look = data;
    apr_pool_t *pool;

    if (reason == APR_OC_REASON_RESTART) {
        apr_proc_other_child_unregister(data);
        kill(look->proc.pid, SIGTERM);
    }
    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) {
        return;
    }
    apr_proc_other_child_unregister(data);
    apr_pool_create(&pool, look->server->process->pool);
    judge(look, status, pool);
    apr_pool_destroy(pool);
    fclose(look->said);
    look->said = NULL;
    look->begun = 0;
}

static const char **make_argv(const server_rec *s, apr_pool_t *pool)
{
    const process_rec *process = s->process;
    apr_array_header_t *argv =
        apr_array_make(pool, process->argc + 2, sizeof(const char *));
    int i;

    for (i = 0; i < process->argc; i++) {
        APR_ARRAY_PUSH(argv, const char *) = process->argv[i];
    }
    APR_ARRAY_PUSH(argv, const char *) = "-t";
    APR_ARRAY_PUSH(argv, const char *) = NULL;
    return (const char **)(void *)argv->elts;
}

static apr_status_t start_look(look_t *look, apr_pool_t *pool)
{
    int fd = fileno(look->said);
    const char *program =
        access(PROGRAM, X_OK) == 0 ? PROGRAM : look->server->process->argv[0];
    apr_procattr_t *attr;
    apr_file_t *file = NULL;
    apr_status_t rv = apr_procattr_create(&attr, pool);

    if (rv == APR_SUCCESS) {
        rv = apr_os_file_put(&file, &fd, APR_WRITE, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_child_out_set(attr, file, NULL);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_child_err_set(attr, file, NULL);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_error_check_set(attr, 1);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_env_set(ACME_LOOK_VARIABLE, the_digest, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_proc_create(&look->proc, program,
                             make_argv(look->server, pool), NULL, attr, pool);
    }
    apr_env_delete(ACME_LOOK_VARIABLE, pool);
    return rv;
}

static void look_at_configuration(server_rec *s, apr_pool_t *pconf)
{
    apr_pool_t *pool;
    apr_status_t rv;

    apr_pool_create(&pool, pconf);
    the_look.server = s;
    the_look.overdue = 0;
    the_look.said = tmpfile();
    rv = the_look.said ? start_look(&the_look, pool) : APR_FROM_OS_ERROR(errno);
    if (rv == APR_SUCCESS) {
        the_look.begun = apr_time_now();
        apr_proc_other_child_register(&the_look.proc, on_end, &the_look, NULL,
                                      pconf);
    }
    else {
        acme_log_err(
            s, "",
            acme_err_os(pool, rv, ACME_E_RELOAD_RUN, s->process->argv[0], NULL),
            pool);
        if (the_look.said) {
            fclose(the_look.said);
        }
        the_look.said = NULL;
    }
    apr_pool_destroy(pool);
}

static int is_due(apr_time_t now)
{
    const acme_wish_t wish = { atomic_load(&the_wish->since),
                               atomic_load(&the_wish->interval) };

    /* clocks go back, too */
    if (wish.since > now) {
        atomic_store(&the_wish->since, now);
    }
    if (the_retained->last > now) {
        the_retained->last = now;
    }
    return acme_wish_is_due(&wish, the_retained->last, the_retained->least,
                            now);
}

int acme_reload_monitor(apr_pool_t *pconf, server_rec *s)
{
    apr_time_t now;

    if (!the_wish) {
        return DECLINED;
    }
    now = apr_time_now();
    if (the_look.begun) {
        if (now > the_look.begun + PATIENT) {
            the_look.overdue = 1;
            kill(the_look.proc.pid, SIGKILL);
        }
        return DECLINED;
    }
    if (is_due(now)) {
        the_retained->last = now;
        look_at_configuration(s, pconf);
    }
    return DECLINED;
}
