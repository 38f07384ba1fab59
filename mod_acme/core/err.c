#include "core/err.h"

#include <apr_errno.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <string.h>

#include "core/encode.h"

/* A line may hold several arguments and a detail, each of ACME_MAX_DETAIL. */
#define MAX_LINE (8 * ACME_MAX_DETAIL)

static const acme_msg_entry_t table[] = {
#define MSG_ROW(number, name, level, class, text, remedy)                        \
    {                                                                            \
        ACME_##name, #name, ACME_LEVEL_##level, ACME_CLASS_##class, text, remedy \
    },
    ACME_MESSAGES(MSG_ROW)
#undef MSG_ROW
};
#define TABLE_COUNT ((int)(sizeof(table) / sizeof(table[0])))

const acme_msg_entry_t *acme_msg_table(int *count)
{
    *count = TABLE_COUNT;
    return table;
}

static const acme_msg_entry_t *find(acme_msg_t msg)
{
    int low = 0, high = TABLE_COUNT - 1;

    while (low <= high) {
        int middle = low + (high - low) / 2;

        if (table[middle].msg == msg) {
            return &table[middle];
        }
        if (table[middle].msg < msg) {
            low = middle + 1;
        }
        else {
            high = middle - 1;
        }
    }
    return NULL;
}

const acme_msg_entry_t *acme_msg_entry(acme_msg_t msg)
{
    const acme_msg_entry_t *entry = find(msg);

    return entry ? entry : find(ACME_E_UNKNOWN);
}

/* Own substitution instead of printf: a format from a table is not a literal,
 * and no argument may be read that the caller did not give. */
static const char *fill(apr_pool_t *pool, const char *text, va_list args)
{
    const char *filled = "";
    const char *from = text;
    const char *mark;
    int ended = 0;

    while ((mark = strchr(from, '%')) != NULL && mark[1]) {
        const char *value = "%";

        if (mark[1] == 's') {
            value = ended ? NULL : va_arg(args, const char *);
            ended = value == NULL;
            value = value ? acme_encode_printable(value, ACME_MAX_DETAIL, pool)
                          : "?";
        }
        filled = apr_pstrcat(
            pool, filled, apr_pstrmemdup(pool, from, (apr_size_t)(mark - from)),
            value, NULL);
        from = mark + 2;
    }
    return apr_pstrcat(pool, filled, from, NULL);
}

static acme_err_t *make(apr_pool_t *pool, acme_msg_t msg, va_list args)
{
    const acme_msg_entry_t *entry = find(msg);
    acme_err_t *err = apr_pcalloc(pool, sizeof(*err));

    if (!entry) {
        err =
            acme_err_make(pool, ACME_E_UNKNOWN, apr_itoa(pool, (int)msg), NULL);
        return err;
    }
    err->msg = entry->msg;
    err->class = entry->class;
    err->text = fill(pool, entry->text, args);
    return err;
}

static void append(acme_err_t *err, apr_pool_t *pool, const char *reason)
{
    err->text =
        apr_pstrcat(pool, err->text, ": ",
                    acme_encode_printable(reason, ACME_MAX_DETAIL, pool), NULL);
}

acme_err_t *acme_err_make(apr_pool_t *pool, acme_msg_t msg, ...)
{
    va_list args;
    acme_err_t *err;

    va_start(args, msg);
    err = make(pool, msg, args);
    va_end(args);
    return err;
}

acme_err_t *acme_err_os(apr_pool_t *pool, apr_status_t rv, acme_msg_t msg, ...)
{
    char reason[256];
    va_list args;
    acme_err_t *err;

    va_start(args, msg);
    err = make(pool, msg, args);
    va_end(args);
    append(err, pool, apr_strerror(rv, reason, sizeof(reason)));
    return err;
}

acme_err_t *acme_err_ssl(apr_pool_t *pool, acme_msg_t msg, ...)
{
    unsigned long code = ERR_get_error();
    char system_reason[256];
    const char *reason = NULL;
    va_list args;
    acme_err_t *err;

    va_start(args, msg);
    err = make(pool, msg, args);
    va_end(args);
    if (code && ERR_SYSTEM_ERROR(code)) {
        reason = apr_strerror(APR_FROM_OS_ERROR(ERR_GET_REASON(code)),
                              system_reason, sizeof(system_reason));
    }
    else if (code) {
        reason = ERR_reason_error_string(code);
    }
    if (code) {
        append(err, pool, reason ? reason : apr_ltoa(pool, (long)code));
    }
    ERR_clear_error();
    return err;
}

acme_err_t *acme_err_wrap(acme_err_t *err, apr_pool_t *pool,
                          const char *context)
{
    if (err) {
        err->text = apr_pstrcat(
            pool, acme_encode_printable(context, ACME_MAX_DETAIL, pool), ": ",
            err->text, NULL);
    }
    return err;
}

static const apr_array_header_t *copy_blames(const apr_array_header_t *blames,
                                             apr_pool_t *pool)
{
    apr_array_header_t *copy;
    int i;

    if (!blames) {
        return NULL;
    }
    copy = apr_array_make(pool, blames->nelts, sizeof(acme_blame_t));
    for (i = 0; i < blames->nelts; i++) {
        acme_blame_t *blame = apr_array_push(copy);

        *blame = APR_ARRAY_IDX(blames, i, acme_blame_t);
        blame->name = apr_pstrdup(pool, blame->name);
        blame->text = apr_pstrdup(pool, blame->text);
    }
    return copy;
}

acme_err_t *acme_err_dup(const acme_err_t *err, apr_pool_t *pool)
{
    acme_err_t *copy;

    if (!err) {
        return NULL;
    }
    copy = apr_pmemdup(pool, err, sizeof(*err));
    copy->text = apr_pstrdup(pool, err->text);
    copy->detail = apr_pstrdup(pool, err->detail);
    copy->identifier = apr_pstrdup(pool, err->identifier);
    copy->instance = apr_pstrdup(pool, err->instance);
    copy->blames = copy_blames(err->blames, pool);
    return copy;
}

const char *acme_err_line(const acme_err_t *err, apr_pool_t *pool)
{
    const char *line = err->text;

    if (err->detail) {
        line = apr_pstrcat(pool, line, " (", err->detail, ")", NULL);
    }
    if (err->identifier) {
        line = apr_pstrcat(pool, line, " [", err->identifier, "]", NULL);
    }
    if (err->instance && !strstr(line, err->instance)) {
        line = apr_pstrcat(pool, line, ", see ", err->instance, NULL);
    }
    /* Once more, in case a field was filled with raw text. */
    return acme_encode_printable(line, MAX_LINE, pool);
}
