/**
 * The processes of one program: for command.c, and for who must wait for it.
 */
#ifndef ACME_COMMAND_CHILD_H
#define ACME_COMMAND_CHILD_H

#include <sys/types.h>

#include "engine/command.h"

typedef enum acme_child_end_t {
    ACME_CHILD_EXITED = 1, /* value: its status */
    ACME_CHILD_SIGNALED,   /* value: the signal */
    ACME_CHILD_TIME,       /* its time was over: it was ended */
    ACME_CHILD_NO_EXEC,    /* value: errno of execve */
} acme_child_end_t;

/** What comes through the pipe "report", as a whole or not at all. */
typedef struct acme_child_report_t {
    int end; /* acme_child_end_t */
    int value;
} acme_child_report_t;

/** Our ends, none of which a program inherits. */
typedef struct acme_child_t {
    pid_t pid;    /* of the process in between; to be waited for after report */
    int lifeline; /* while it is open the program may go on */
    int report;   /* one acme_child_report_t, then the end */
    int output;   /* does not block */
} acme_child_t;

/** @param limit  milliseconds
 *  @return 0, or errno */
int acme_child_start(acme_child_t *child, char *const *argv, char *const *env,
                     int limit);

/** What a report means, in words (command.c). @param said  end 0: none has come
 *  @return NULL: it ended with status 0. As acme_command_callbacks_t.ended */
acme_err_t *acme_command_judge(const acme_command_spec_t *spec,
                               const acme_child_report_t *said,
                               apr_pool_t *pool);

#endif
