#include "httpd/log.h"

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <stdarg.h>

APLOG_USE_MODULE(acme);

/* No text of the table has more "%s". */
#define MAX_ARGS 6

static int httpd_level(acme_level_t level)
{
    switch (level) {
    case ACME_LEVEL_ERR:
        return APLOG_ERR;
    case ACME_LEVEL_WARNING:
        return APLOG_WARNING;
    case ACME_LEVEL_NOTICE:
        return APLOG_NOTICE;
    case ACME_LEVEL_INFO:
        return APLOG_INFO;
    case ACME_LEVEL_DEBUG:
        break;
    }
    return APLOG_DEBUG;
}

void acme_log(server_rec *s, acme_msg_t msg, const char *prefix,
              const char *text)
{
    const acme_msg_entry_t *entry = acme_msg_entry(msg);
    int remedy = entry->remedy[0] && entry->level <= ACME_LEVEL_WARNING;
    int level = httpd_level(entry->level);
    int bare = prefix[0] && prefix[0] != '[';

    /* On a terminal the date says nothing. */
    if (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST) {
        level |= APLOG_STARTUP;
    }
    ap_log_error(APLOG_MARK, level, 0, s, "ACME%04d: %s%s%s%s%s%s", (int)msg,
                 bare ? "[" : "", prefix,
                 bare        ? "] "
                 : prefix[0] ? " "
                             : "",
                 text, remedy ? ". " : "", remedy ? entry->remedy : "");
}

void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg, ...)
{
    const char *args[MAX_ARGS] = { NULL };
    acme_err_t *err;
    va_list list;
    int i;

    va_start(list, msg);
    for (i = 0; i < MAX_ARGS; i++) {
        args[i] = va_arg(list, const char *);
        if (!args[i]) {
            break;
        }
    }
    va_end(list);
    err = acme_err_make(scratch, msg, args[0], args[1], args[2], args[3],
                        args[4], args[5], NULL);
    acme_log(s, err->msg, "", err->text);
}

void acme_log_err(server_rec *s, const char *prefix, const acme_err_t *err,
                  apr_pool_t *scratch)
{
    acme_log(s, err->msg, prefix, acme_err_line(err, scratch));
}
