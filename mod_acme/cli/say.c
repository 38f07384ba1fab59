/* Errors in the words of the log: number, text, remedy. */
#include "cli/acmectl.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_ARGS 4

ctl_exit_t ctl_say_code(int code, const char *text)
{
    const acme_msg_entry_t *entry = acme_msg_entry((acme_msg_t)code);

    fflush(stdout);
    fprintf(stderr, "acmectl: ACME%04d: %s\n", code, text);
    if (*entry->remedy) {
        fprintf(stderr, "  %s\n", entry->remedy);
    }
    return CTL_FAILED;
}

ctl_exit_t ctl_say_error(const acme_err_t *err, apr_pool_t *pool)
{
    return ctl_say_code((int)err->msg, acme_err_line(err, pool));
}

ctl_exit_t ctl_say(const ctl_t *ctl, acme_msg_t msg, ...)
{
    const char *args[MAX_ARGS] = { NULL };
    va_list list;

    va_start(list, msg);
    for (int i = 0; i < MAX_ARGS && (args[i] = va_arg(list, const char *));
         i++) {
    }
    va_end(list);
    return ctl_say_error(
        acme_err_make(ctl->pool, msg, args[0], args[1], args[2], args[3], NULL),
        ctl->pool);
}
