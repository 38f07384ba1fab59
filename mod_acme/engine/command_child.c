/* After a fork in a process with threads only what is safe in a signal handler
 * may be called: no memory, no APR, no stdio. */
#include "engine/command_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIME_GRACE                                                             \
    5000 /* milliseconds between asking it to end and ending it */
#define DEAD_GRACE 1000 /* the same, where the engine is gone */

/* Where the process in between has its descriptors. */
enum { LIFELINE = 3, REPORT, OUTPUT, SIGNALS, SIGNALS_IN };
#define FIRST_FREE (SIGNALS_IN + 1)
#define OUT_OF_WAY 64 /* above all of these */

static void on_child(int number)
{
    int saved = errno;
    ssize_t written = write(SIGNALS_IN, "", 1);

    (void)number;
    (void)written; /* full: it is told already */
    errno = saved;
}

static void default_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int i = 1; i < NSIG; i++) {
        sigaction(i, &action, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_from(int first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned int)first, ~0U, 0U) == 0) {
        return;
    }
#endif
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (most > 0 && most < 65536 ? most : 65536); fd++) {
        close(fd);
    }
}

static void report(int end, int value)
{
    acme_child_report_t said = { end, value };
    ssize_t written = write(REPORT, &said, sizeof(said));

    (void)written;
}

/* The program itself. */
static void become(char *const *argv, char *const *env)
{
    setpgid(0, 0);
    default_signals();
    dup2(OUTPUT, 1);
    dup2(OUTPUT, 2);
    fcntl(REPORT, F_SETFD, FD_CLOEXEC);
    close(LIFELINE);
    close_from(OUTPUT);
    umask(077);
    if (chdir("/") == 0) {
        execve(argv[0], argv, env);
    }
    report(ACME_CHILD_NO_EXEC, errno);
    _exit(127);
}

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What it has started ends with it, while its number cannot be another's. */
static void finish(pid_t pid, int timed_out)
{
    int status = 0;

    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (timed_out) {
        report(ACME_CHILD_TIME, 0);
    }
    else if (WIFEXITED(status)) {
        report(ACME_CHILD_EXITED, WEXITSTATUS(status));
    }
    else {
        report(ACME_CHILD_SIGNALED, WTERMSIG(status));
    }
    _exit(0);
}

static void check_end(pid_t pid, int timed_out)
{
    siginfo_t info = { 0 };
    char drained[64];

    while (read(SIGNALS, drained, sizeof(drained)) > 0) {
    }
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0
        && info.si_pid == pid) {
        finish(pid, timed_out);
    }
}

/* Until the program has ended; or, of one that may not be ended (it has become
 * another user's, by sudo), until everything was tried. */
static void watch(pid_t pid, int limit)
{
    struct pollfd fds[] = { { SIGNALS, POLLIN, 0 }, { LIFELINE, POLLIN, 0 } };
    enum { RUNNING, ASKED, KILLED } stage = RUNNING;
    long long until = now_ms() + limit;
    int timed_out = 0;

    for (;;) {
        check_end(pid, timed_out);
        long long left = until - now_ms();
        int wait = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
        /* Whether the engine lives is of no interest any more once it ends. */
        int ready = poll(fds, stage == RUNNING ? 2 : 1, wait);
        int alone = stage == RUNNING && ready > 0 && fds[1].revents;
        if (ready != 0 && !alone) {
            continue;
        }
        if (stage == KILLED) {
            report(ACME_CHILD_TIME, 0);
            _exit(0);
        }
        timed_out |= stage == RUNNING && !alone;
        kill(-pid, stage == RUNNING ? SIGTERM : SIGKILL);
        stage = stage == RUNNING ? ASKED : KILLED;
        until = now_ms() + (timed_out ? TIME_GRACE : DEAD_GRACE);
    }
}

static int signal_pipe(void)
{
    struct sigaction action = { .sa_handler = on_child };
    int ends[2];

    if (pipe(ends) != 0) {
        return -1;
    }
    /* the lowest free ones, which these are */
    if (ends[0] != SIGNALS || ends[1] != SIGNALS_IN) {
        return -1;
    }
    fcntl(SIGNALS, F_SETFL, O_NONBLOCK);
    fcntl(SIGNALS_IN, F_SETFL, O_NONBLOCK);
    return sigaction(SIGCHLD, &action, NULL);
}

static int is_placed(const int from[OUTPUT + 1])
{
    int moved[OUTPUT + 1];

    for (int i = 0; i <= OUTPUT; i++) {
        moved[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD, OUT_OF_WAY);
        if (from[i] >= 0 && moved[i] < 0) {
            return 0;
        }
    }
    for (int i = 0; i <= OUTPUT; i++) {
        if (moved[i] >= 0 && dup2(moved[i], i) < 0) {
            return 0;
        }
    }
    dup2(0, 1);
    dup2(0, 2);
    close_from(OUTPUT + 1);
    return 1;
}

/* The process in between. @param from  descriptors for 0, LIFELINE ... */
static void stand_between(const int from[OUTPUT + 1], char *const *argv,
                          char *const *env, int limit)
{
    setpgid(0, 0); /* httpd's stop must not reach it before its lifeline does */
    default_signals();
    if (!is_placed(from) || signal_pipe() != 0) {
        _exit(1);
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, env);
    }
    if (pid < 0) {
        report(ACME_CHILD_NO_EXEC, errno);
        _exit(1);
    }
    setpgid(pid, pid);
    close(OUTPUT);
    watch(pid, limit);
}

/* pipes[i][0] is read from, [1] written to. @return errno, everything closed */
static int open_pipes(int pipes[3][2], int *null)
{
    int made = 0, failed = 0;

    *null = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (*null >= 0 && made < 3 && pipe2(pipes[made], O_CLOEXEC) == 0) {
        made++;
    }
    if (made == 3) {
        return 0;
    }
    failed = errno;
    for (int i = 0; i < made; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    if (*null >= 0) {
        close(*null);
    }
    return failed;
}

int acme_child_start(acme_child_t *child, char *const *argv, char *const *env,
                     int limit)
{
    enum { LIFE, SAID, OUT };
    int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
    int null, failed;
    sigset_t all, before;

    failed = open_pipes(pipes, &null);
    if (failed) {
        return failed;
    }
    const int from[OUTPUT + 1] = {
        null, -1, -1, pipes[LIFE][0], pipes[SAID][1], pipes[OUT][1]
    };
    /* No handler of httpd's may run in the copy. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        stand_between(from, argv, env, limit);
        _exit(1);
    }
    failed = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(null);
    close(pipes[LIFE][0]);
    close(pipes[SAID][1]);
    close(pipes[OUT][1]);
    child->pid = pid;
    child->lifeline = pipes[LIFE][1];
    child->report = pipes[SAID][0];
    child->output = pipes[OUT][0];
    if (failed) {
        close(child->lifeline);
        close(child->report);
        close(child->output);
        return failed;
    }
    fcntl(child->output, F_SETFL, O_NONBLOCK);
    fcntl(child->report, F_SETFL, O_NONBLOCK);
    return 0;
}
