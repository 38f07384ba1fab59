/**
 * Programs of the administrator, run beside the engine's loop: DNS records,
 * and whatever else is to happen outside of httpd. Nothing waits for them; who
 * started one is called when it has ended.
 *
 * A program gets its arguments as they are (no shell), /dev/null as standard
 * input, a pipe as standard output and error, no other descriptor, the
 * directory /, umask 077, default signals, and an environment of PATH and what
 * is given, nothing of httpd's. It leads a process group of its own, which is
 * ended with it: what it wants to leave running must begin a session (setsid).
 *
 * Between engine and program stands a small process that waits for it, keeps its
 * time limit, and ends it where the engine's process has died (kill -9, too):
 * no program goes on on its own while the next engine begins. How it ended
 * comes through a pipe, so that nobody else in httpd's process who waits for
 * children, or ignores SIGCHLD, can take it away.
 */
#ifndef ACME_COMMAND_H
#define ACME_COMMAND_H

#include <apr_pools.h>
#include <apr_time.h>

#include "core/err.h"
#include "engine/watch.h"

#define ACME_COMMAND_LIMIT   apr_time_from_sec(120) /* where none is said */
#define ACME_COMMAND_AT_ONCE 16  /* further ones wait for their turn */
#define ACME_COMMAND_LINES   50  /* of output that are passed on */
#define ACME_COMMAND_LINE    400 /* octets of one */

typedef struct acme_commands_t acme_commands_t;
typedef struct acme_command_t acme_command_t;

/** What to run; copied. */
typedef struct acme_command_spec_t {
    const char *const *argv;   /* NULL at the end; [0]: path of the program */
    const char *const *env;    /* "ACME_EVENT=renewed" ..., NULL at the end */
    apr_interval_time_t limit; /* of its time; 0: ACME_COMMAND_LIMIT */
} acme_command_spec_t;

typedef struct acme_command_callbacks_t {
    void *baton;
    /** A line of its output, printable; bounded in length and number. NULL: it
     *  is thrown away. */
    void (*output)(void *baton, const char *line);
    /** It has ended; the handle is gone after that.
     *  @param err  NULL: with status 0. E_COMMAND_FAILED (what happened, and the
     *              last line of its output as detail), E_COMMAND_START,
     *              E_COMMAND_TIME; lives until the call returns
     *  @param status  exit status; -1 where it has none */
    void (*ended)(void *baton, acme_err_t *err, int status);
} acme_command_callbacks_t;

/** Its environment: PATH, and what is given. @param env  NULL at the end */
const char *const *acme_command_env(const char *const *env, apr_pool_t *pool);

/** Where pool ends every program still running is ended, and nobody told. */
acme_commands_t *acme_commands_create(acme_watches_t *watches,
                                      apr_pool_t *pool);

/** Start it, now or when there is a place. Never fails: that it could not be
 *  started is told by ended, from acme_commands_run or a later wait.
 *  @return to be given to acme_command_forget; gone when ended is called */
acme_command_t *acme_command_start(acme_commands_t *commands,
                                   const acme_command_spec_t *spec,
                                   const acme_command_callbacks_t *callbacks);

/** Nobody wants to know any more: the callbacks are not called again. One that
 *  waits for its turn is not begun; one that runs goes on to its end, or is
 *  ended (stop). */
void acme_command_forget(acme_command_t *command, int stop);

/** To be called in each round of the loop: starts what has its turn. */
void acme_commands_run(acme_commands_t *commands);
/** Whether acme_commands_run has something to do now. */
int acme_commands_due(const acme_commands_t *commands);

/** Running and waiting. */
int acme_commands_count(const acme_commands_t *commands);

#endif
