#include "httpd/farewell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>
#include <http_core.h>
#include <mpm_common.h>
#include <unixd.h>

#include "core/proof.h"
#include "engine/gate_last.h"
#include "httpd/log.h"

#define LONGEST 10 /* seconds that httpd's end waits for it at most */
#define PROGRAM apr_time_from_sec(8)

typedef struct farewell_t {
    server_rec *server;
    acme_store_t *store;
    apr_pool_t *pool;
    pid_t parent;
} farewell_t;

static void tell(void *baton, const acme_gate_spec_t *gate, const char *failure)
{
    const farewell_t *farewell = baton;
    const char *type = acme_proof_type_name(gate->type);
    const char *port = apr_itoa(farewell->pool, gate->port);

    if (failure) {
        acme_log_msg(farewell->server, farewell->pool, ACME_E_GATE_OPEN_STILL,
                     type, port, failure, "the next start", NULL);
    }
    else {
        acme_log_msg(farewell->server, farewell->pool, ACME_I_GATE_SHUT, type,
                     port, NULL);
    }
}

/* As the worker, like all programs of AcmeOn challenge-close. */
static void shut_all(farewell_t *farewell)
{
    acme_err_t *err;

    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    alarm(LONGEST); /* whatever happens */
    if (ap_run_drop_privileges(farewell->pool, farewell->server) != OK
        || (geteuid() == 0 && ap_unixd_config.user_id != 0)) {
        return; /* it has been told */
    }
    err = acme_gate_shut_last(farewell->store, PROGRAM, tell, farewell,
                              farewell->pool);
    if (err) {
        acme_log_err(farewell->server, "", err, farewell->pool);
    }
}

/* The other end is closed when the process ends, and by nothing else. */
static void wait_for(pid_t pid, int fd)
{
    struct pollfd end = { fd, POLLIN, 0 };

    while (poll(&end, 1, LONGEST * 1000) < 0 && errno == EINTR) {
    }
    kill(pid, SIGKILL); /* it would keep the ports of the next httpd */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static apr_status_t bid(void *data)
{
    farewell_t *farewell = data;
    int ends[2];
    pid_t pid;

    if (getpid() != farewell->parent
        || ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_EXITING
        || !acme_store_is_owed(farewell->store, farewell->pool)
        || pipe(ends) != 0) {
        return APR_SUCCESS;
    }
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        shut_all(farewell);
        _exit(0);
    }
    close(ends[1]);
    if (pid > 0) {
        wait_for(pid, ends[0]);
    }
    close(ends[0]);
    return APR_SUCCESS;
}

void acme_farewell_plan(server_rec *s, acme_store_t *store, apr_pool_t *pconf)
{
    farewell_t *farewell = apr_pcalloc(pconf, sizeof(*farewell));

    farewell->server = s;
    farewell->store = store;
    farewell->pool = pconf;
    farewell->parent = getpid();
    /* before what it needs is torn down */
    apr_pool_pre_cleanup_register(pconf, farewell, bid);
}
