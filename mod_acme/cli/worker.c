#include "cli/worker.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The worker is who the lock file belongs to. */
static acme_err_t *become_worker(const char *lock, apr_pool_t *pool)
{
    struct stat st;

    if (geteuid() != 0) {
        return NULL;
    }
    if (stat(lock, &st) != 0 || setgroups(0, NULL) != 0
        || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0) {
        return acme_err_os(pool, errno, ACME_E_STORE_IO, "become the owner of",
                           lock, NULL);
    }
    return NULL;
}

static ctl_exit_t do_work(ctl_t *ctl, ctl_work_fn_t *work, void *baton)
{
    const char *path = acme_store_lock_path(ctl->store);
    acme_lease_t *lease = acme_store_make_lease(ctl->store, ctl->pool);
    int held = 0;
    acme_err_t *err = become_worker(path, ctl->pool);

    if (!err) {
        err = acme_lease_try(&held, lease, apr_time_now(), ctl->pool);
    }
    if (!err && !held) {
        return ctl_say(ctl, ACME_E_CTL_SERVER_RUNS, ctl->root, NULL);
    }
    if (!err) {
        acme_store_set_lease(ctl->store, lease);
        err = work(ctl->store, baton, ctl->pool);
        acme_lease_release(lease, ctl->pool);
    }
    return err ? ctl_say_error(err, ctl->pool) : CTL_DONE;
}

/* A signal to the group reaches the child too: it ends its step. */
static ctl_exit_t await(ctl_t *ctl, pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return ctl_say_error(acme_err_os(ctl->pool, errno, ACME_E_STORE_IO,
                                             "wait for work on", ctl->root,
                                             NULL),
                                 ctl->pool);
        }
    }
    return WIFEXITED(status) ? (ctl_exit_t)WEXITSTATUS(status) : CTL_FAILED;
}

ctl_exit_t ctl_as_worker(ctl_t *ctl, ctl_work_fn_t *work, void *baton)
{
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    if (pid < 0) {
        return ctl_say_error(acme_err_os(ctl->pool, errno, ACME_E_STORE_IO,
                                         "begin to work on", ctl->root, NULL),
                             ctl->pool);
    }
    if (pid == 0) {
        int status = (int)do_work(ctl, work, baton);
        fflush(stdout);
        _exit(status);
    }
    return await(ctl, pid);
}
