#include "engine/command.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/encode.h"
#include "core/renewal.h"
#include "engine/command_child.h"

#define PATH_OF_ALL                                                            \
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_UNWAITED 256
#define MAX_READS    64 /* of one output in one go */

struct acme_command_t {
    acme_command_t *next, **prev;
    acme_commands_t *commands;
    apr_pool_t *pool; /* its own */
    const char **argv, **env;
    apr_interval_time_t limit;
    acme_command_callbacks_t callbacks; /* ended NULL: forgotten */
    acme_child_t child;
    char line[ACME_COMMAND_LINE + 1];
    apr_size_t line_len;
    int lines; /* passed on */
    char last[ACME_COMMAND_LINE + 1];
};

/** A list of commands, first in first out. */
typedef struct queue_t {
    acme_command_t *first, **end;
    int count;
} queue_t;

struct acme_commands_t {
    apr_pool_t *pool;
    acme_watches_t *watches;
    queue_t waiting, running;
};

/* Processes that have told their end, or were left to it, and are yet to be
 * waited for: of this process, whoever started them. A full table leaves a
 * process entry to the end of this one, nothing worse. */
static pid_t unwaited[MAX_UNWAITED];
static int unwaited_count;

/* --- queues ------------------------------------------------------------------- */

static void queue_init(queue_t *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
    queue->count = 0;
}

static void queue_add(queue_t *queue, acme_command_t *command)
{
    command->next = NULL;
    command->prev = queue->end;
    *queue->end = command;
    queue->end = &command->next;
    queue->count++;
}

static void queue_remove(queue_t *queue, acme_command_t *command)
{
    *command->prev = command->next;
    if (command->next) {
        command->next->prev = command->prev;
    }
    else {
        queue->end = command->prev;
    }
    queue->count--;
}

/* --- processes ------------------------------------------------------------------ */

static void wait_later(pid_t pid)
{
    if (unwaited_count < MAX_UNWAITED) {
        unwaited[unwaited_count++] = pid;
    }
}

/* By number: httpd and its modules have children of their own in here. */
static void wait_for_ended(void)
{
    int kept = 0;

    for (int i = 0; i < unwaited_count; i++) {
        if (waitpid(unwaited[i], NULL, WNOHANG) == 0) {
            unwaited[kept++] = unwaited[i];
        }
    }
    unwaited_count = kept;
}

static void close_watched(acme_commands_t *commands, int *fd)
{
    if (*fd >= 0) {
        acme_watch_set(commands->watches, *fd, 0, NULL, NULL);
        close(*fd);
        *fd = -1;
    }
}

/* Whatever still runs of it ends by that. */
static void let_go(acme_command_t *command)
{
    acme_child_t *child = &command->child;

    if (child->lifeline >= 0) {
        close(child->lifeline);
        child->lifeline = -1;
    }
    close_watched(command->commands, &child->report);
    close_watched(command->commands, &child->output);
    if (child->pid > 0) {
        wait_later(child->pid);
        child->pid = 0;
    }
}

/* --- output ----------------------------------------------------------------------- */

static void pass_on(acme_command_t *command, const char *line)
{
    if (command->callbacks.output && command->callbacks.ended) {
        command->callbacks.output(command->callbacks.baton, line);
    }
}

static void end_line(acme_command_t *command)
{
    apr_pool_t *scratch;

    if (!command->line_len) {
        return;
    }
    apr_pool_create(&scratch, command->pool);
    command->line[command->line_len] = '\0';
    apr_cpystrn(
        command->last,
        acme_encode_printable(command->line, ACME_COMMAND_LINE, scratch),
        sizeof(command->last));
    command->line_len = 0;
    if (command->lines < ACME_COMMAND_LINES) {
        pass_on(command, command->last);
    }
    else if (command->lines == ACME_COMMAND_LINES) {
        pass_on(command, "(more of its output is not shown)");
    }
    command->lines += command->lines <= ACME_COMMAND_LINES;
    apr_pool_destroy(scratch);
}

static void take_output(acme_command_t *command, const char *data,
                        apr_size_t len)
{
    for (apr_size_t i = 0; i < len; i++) {
        if (data[i] == '\n' || data[i] == '\r') {
            end_line(command);
        }
        else if (command->line_len < ACME_COMMAND_LINE) {
            command->line[command->line_len++] = data[i] ? data[i] : '?';
        }
    }
}

static void on_output(void *baton, int fd, int events)
{
    acme_command_t *command = baton;
    char data[4096];

    (void)events;
    for (int i = 0; i < MAX_READS; i++) {
        ssize_t len = read(fd, data, sizeof(data));
        if (len > 0) {
            take_output(command, data, (apr_size_t)len);
        }
        else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
            close_watched(command->commands, &command->child.output);
            return;
        }
        else {
            return;
        }
    }
}

/* --- its end ------------------------------------------------------------------------ */

static acme_err_t *failure(const char *program, const char *how,
                           apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_COMMAND_FAILED, program, how, NULL);
}

acme_err_t *acme_command_judge(const acme_command_spec_t *spec,
                               const acme_child_report_t *said,
                               apr_pool_t *pool)
{
    const char *program = spec->argv[0];

    switch (said->end) {
    case ACME_CHILD_EXITED:
        return said->value ? failure(
                   program, apr_psprintf(pool, "status %d", said->value), pool)
                           : NULL;
    case ACME_CHILD_SIGNALED:
        return failure(program, apr_psprintf(pool, "signal %d", said->value),
                       pool);
    case ACME_CHILD_TIME:
        return acme_err_make(pool, ACME_E_COMMAND_TIME, program,
                             acme_duration_text(spec->limit, pool), NULL);
    case ACME_CHILD_NO_EXEC:
        return acme_err_os(pool, said->value, ACME_E_COMMAND_START, program,
                           NULL);
    default:
        return failure(program, "nobody knows which status", pool);
    }
}

static acme_err_t *judge(const acme_command_t *command,
                         const acme_child_report_t *said)
{
    const acme_command_spec_t spec = { .argv = command->argv,
                                       .limit = command->limit };
    acme_err_t *err = acme_command_judge(&spec, said, command->pool);

    if (err && err->msg == ACME_E_COMMAND_FAILED && command->last[0]) {
        err->detail = apr_pstrdup(command->pool, command->last);
    }
    return err;
}

static void end(acme_command_t *command, const acme_child_report_t *said)
{
    acme_command_callbacks_t callbacks = command->callbacks;
    acme_commands_t *commands = command->commands;
    acme_err_t *err;

    if (command->child.output >= 0) {
        on_output(command, command->child.output, 0);
    }
    end_line(command);
    let_go(command);
    queue_remove(&commands->running, command);
    err = judge(command, said);
    if (callbacks.ended) {
        callbacks.ended(callbacks.baton, err,
                        said->end == ACME_CHILD_EXITED ? said->value : -1);
    }
    apr_pool_destroy(command->pool);
}

/* One message, then the end: what was written stays readable, whoever has ended
 * in the meantime. */
static void on_report(void *baton, int fd, int events)
{
    acme_child_report_t said = { 0, 0 };
    ssize_t len = read(fd, &said, sizeof(said));

    (void)events;
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (len != (ssize_t)sizeof(said)) {
        said.end = 0;
    }
    end(baton, &said);
}

/* --- life ------------------------------------------------------------------------------ */

static apr_status_t commands_cleanup(void *data)
{
    acme_commands_t *commands = data;

    for (acme_command_t *command = commands->running.first; command;
         command = command->next) {
        let_go(command);
    }
    wait_for_ended();
    return APR_SUCCESS;
}

acme_commands_t *acme_commands_create(acme_watches_t *watches, apr_pool_t *pool)
{
    acme_commands_t *commands = apr_pcalloc(pool, sizeof(*commands));

    commands->pool = pool;
    commands->watches = watches;
    queue_init(&commands->waiting);
    queue_init(&commands->running);
    /* before the pools of the commands are gone */
    apr_pool_pre_cleanup_register(pool, commands, commands_cleanup);
    return commands;
}

/* @return a copy with first in front, NULL at the end */
static const char **copy_list(const char *first, const char *const *list,
                              apr_pool_t *pool)
{
    apr_array_header_t *copy = apr_array_make(pool, 8, sizeof(const char *));

    if (first) {
        APR_ARRAY_PUSH(copy, const char *) = first;
    }
    for (int i = 0; list && list[i]; i++) {
        APR_ARRAY_PUSH(copy, const char *) = apr_pstrdup(pool, list[i]);
    }
    APR_ARRAY_PUSH(copy, const char *) = NULL;
    return (const char **)copy->elts;
}

const char *const *acme_command_env(const char *const *env, apr_pool_t *pool)
{
    return (const char *const *)copy_list(PATH_OF_ALL, env, pool);
}

acme_command_t *acme_command_start(acme_commands_t *commands,
                                   const acme_command_spec_t *spec,
                                   const acme_command_callbacks_t *callbacks)
{
    acme_command_t *command;
    apr_pool_t *pool;

    apr_pool_create(&pool, commands->pool);
    command = apr_pcalloc(pool, sizeof(*command));
    command->pool = pool;
    command->commands = commands;
    command->argv = copy_list(NULL, spec->argv, pool);
    command->env = copy_list(PATH_OF_ALL, spec->env, pool);
    command->limit = spec->limit > 0 ? spec->limit : ACME_COMMAND_LIMIT;
    command->callbacks = *callbacks;
    command->child.lifeline = command->child.report = command->child.output =
        -1;
    queue_add(&commands->waiting, command);
    return command;
}

void acme_command_forget(acme_command_t *command, int stop)
{
    acme_commands_t *commands = command->commands;

    command->callbacks.ended = NULL;
    if (command->child.pid <= 0) {
        queue_remove(&commands->waiting, command);
        apr_pool_destroy(command->pool);
    }
    else if (stop) {
        close(command->child.lifeline);
        command->child.lifeline = -1;
    }
}

/* What cannot be started has ended. */
static void begin(acme_command_t *command)
{
    acme_commands_t *commands = command->commands;
    acme_child_report_t said = { ACME_CHILD_NO_EXEC, 0 };
    apr_time_t most = apr_time_from_sec(24 * 60 * 60);
    apr_time_t limit = command->limit < most ? command->limit : most;

    queue_remove(&commands->waiting, command);
    queue_add(&commands->running, command);
    said.value = acme_child_start(
        &command->child, (char *const *)(void *)command->argv,
        (char *const *)(void *)command->env, (int)(limit / 1000));
    if (said.value) {
        memset(&command->child, 0, sizeof(command->child));
        command->child.lifeline = command->child.report =
            command->child.output = -1;
        end(command, &said);
        return;
    }
    acme_watch_set(commands->watches, command->child.report, ACME_WATCH_READ,
                   on_report, command);
    acme_watch_set(commands->watches, command->child.output, ACME_WATCH_READ,
                   on_output, command);
}

void acme_commands_run(acme_commands_t *commands)
{
    if (unwaited_count) {
        wait_for_ended();
    }
    while (acme_commands_due(commands)) {
        begin(commands->waiting.first);
    }
}

int acme_commands_due(const acme_commands_t *commands)
{
    return commands->waiting.first
           && commands->running.count < ACME_COMMAND_AT_ONCE;
}

int acme_commands_count(const acme_commands_t *commands)
{
    return commands->waiting.count + commands->running.count;
}
