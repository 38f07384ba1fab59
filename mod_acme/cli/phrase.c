/* Pass phrases: never among the arguments, which every user can see, nor in the
 * environment. */
#include "cli/files.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "engine/owned.h"

#define MAX_PHRASE 1024
#define MIN_PHRASE 8

static ctl_exit_t none(ctl_t *ctl, const char *why)
{
    return ctl_say(ctl, ACME_E_CTL_PHRASE, why, NULL);
}

static ctl_exit_t none_from(ctl_t *ctl, const char *path, const char *why)
{
    return none(ctl, apr_pstrcat(ctl->pool, path, ": ", why, NULL));
}

static apr_status_t wipe(void *data)
{
    OPENSSL_cleanse(data, MAX_PHRASE + 2);
    return APR_SUCCESS;
}

static char *room(ctl_t *ctl)
{
    char *line = apr_pcalloc(ctl->pool, MAX_PHRASE + 2);
    apr_pool_cleanup_register(ctl->pool, line, wipe, apr_pool_cleanup_null);
    return line;
}

/* The first line, without its end. @return -1 and errno */
static int read_line(int fd, char *line)
{
    size_t len = 0;

    while (len <= MAX_PHRASE) {
        ssize_t got = read(fd, line + len, 1);
        if (got < 0 && errno == EINTR && !ctl_interrupted) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0 || line[len] == '\n') {
            break;
        }
        len++;
    }
    line[len] = '\0';
    if (len && line[len - 1] == '\r') {
        line[len - 1] = '\0';
    }
    return 0;
}

/* One that is chosen now has to be of some length; one that was, is what it is. */
static ctl_exit_t check(ctl_t *ctl, const char *phrase, int chosen)
{
    size_t len = strlen(phrase);
    return !len ? none(ctl, "it is empty")
           : chosen && len < MIN_PHRASE
               ? none(ctl, "it has fewer than 8 characters")
           : len > MAX_PHRASE ? none(ctl, "it is longer than 1024 octets")
                              : CTL_DONE;
}

/* --- where it comes from ------------------------------------------------------------- */

static ctl_exit_t from_file(ctl_t *ctl, const char *path, char *line)
{
    struct stat st;
    ctl_exit_t status = CTL_DONE;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        status = none_from(ctl, path, strerror(errno));
    }
    else if (S_ISREG(st.st_mode) && (st.st_mode & 077)) {
        status = none_from(ctl, path,
                           "others than its owner may use it (chmod 600 it)");
    }
    else if (read_line(fd, line) != 0) {
        status = none_from(ctl, path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

static pid_t start(const char *path, int *out)
{
    char *const argv[] = { (char *)(apr_uintptr_t)path, NULL };
    int ends[2];

    if (pipe(ends) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(ends[1], STDOUT_FILENO) >= 0) {
            close(ends[0]);
            close(ends[1]);
            execv(path, argv);
        }
        _exit(127);
    }
    close(ends[1]);
    *out = ends[0];
    if (pid < 0) {
        close(ends[0]);
    }
    return pid;
}

/* What it says after its first line is of no use, but must not make it fail. */
static void let_speak(int fd)
{
    char more[1024];
    for (int i = 0; i < 64 && read(fd, more, sizeof(more)) > 0; i++) {
    }
    OPENSSL_cleanse(more, sizeof(more));
}

static ctl_exit_t from_program(ctl_t *ctl, const char *path, char *line)
{
    const char *fault = acme_owned_fault(path, ctl->pool);
    int out, status = -1;

    if (*path != '/' || fault) {
        return none_from(ctl, path,
                         fault ? fault : "the program needs its whole path");
    }
    pid_t pid = start(path, &out);
    if (pid < 0) {
        return none_from(ctl, path, strerror(errno));
    }
    int rv = read_line(out, line);
    let_speak(out);
    close(out);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return rv == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? CTL_DONE
               : none_from(ctl, path, "the program failed");
}

/* Ctrl-C counts from the question on: a signal that came before the wait would be
 * forgotten by a plain read, which then waits for ever.
 * @return 0 once a line is there */
static int ask_and_wait(int tty, const char *question)
{
    struct pollfd wanted = { .fd = tty, .events = POLLIN };
    sigset_t ends, before;
    int ready = -1;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, &before);
    if (write(tty, question, strlen(question)) >= 0) {
        do {
            ready = ctl_interrupted ? -1 : ppoll(&wanted, 1, NULL, &before);
        } while (ready < 0 && errno == EINTR && !ctl_interrupted);
    }
    int failed = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    return ready > 0 ? 0 : -1;
}

/* Quiet first: what is typed from the question on counts. */
static int ask_once(int tty, const char *question, char *line)
{
    struct termios before, quiet;

    if (tcgetattr(tty, &before) != 0) {
        return -1;
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0) {
        return -1;
    }
    int rv = ask_and_wait(tty, question);
    if (rv == 0) {
        rv = read_line(tty, line);
    }
    int failed = errno;
    tcsetattr(tty, TCSADRAIN, &before);
    if (write(tty, "\n", 1) != 1) {
        return -1;
    }
    errno = failed;
    return rv;
}

static ctl_exit_t from_terminal(ctl_t *ctl, char *line, const char *of,
                                int chosen)
{
    const char *question =
        of ? apr_pstrcat(ctl->pool, "Pass phrase of ",
                         acme_encode_printable(of, 512, ctl->pool), ": ", NULL)
           : "Pass phrase: ";
    char *again = room(ctl);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (tty < 0) {
        return none(ctl, "there is no terminal to ask on");
    }
    int rv = ask_once(tty, question, line);
    if (rv == 0 && chosen) {
        rv = ask_once(tty, "Once more: ", again);
    }
    close(tty);
    if (rv != 0) {
        return none(ctl, ctl_interrupted ? "interrupted" : strerror(errno));
    }
    return chosen && strcmp(line, again) ? none(ctl, "those were two")
                                         : CTL_DONE;
}

static ctl_exit_t get(ctl_t *ctl, const char **phrase, const char *of,
                      int chosen)
{
    const char *file = ctl_option(ctl, "--passphrase-file");
    const char *program = ctl_option(ctl, "--passphrase-program");
    char *line = room(ctl);
    ctl_exit_t status;

    if (file && program) {
        return ctl_usage(ctl, "one source of the pass phrase, not two", NULL);
    }
    status = file      ? from_file(ctl, file, line)
             : program ? from_program(ctl, program, line)
                       : from_terminal(ctl, line, of, chosen);
    *phrase = line;
    return status == CTL_DONE ? check(ctl, line, chosen) : status;
}

ctl_exit_t ctl_choose_phrase(ctl_t *ctl, const char **phrase)
{
    return get(ctl, phrase, NULL, 1);
}

ctl_exit_t ctl_get_phrase(ctl_t *ctl, const char **phrase, const char *of)
{
    return get(ctl, phrase, of, 0);
}
