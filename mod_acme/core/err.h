/**
 * Errors are values: a function that can fail returns acme_err_t *, NULL
 * meaning success. What an error is (number, class, remedy) comes from the one
 * table in messages.h; what happened this time is in the error itself.
 */
#ifndef ACME_ERR_H
#define ACME_ERR_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "core/messages.h"

#if defined(__GNUC__)
#define ACME_MUST_CHECK __attribute__((warn_unused_result))
#define ACME_SENTINEL   __attribute__((sentinel))
#define ACME_NEVER_NULL __attribute__((returns_nonnull))
#else
#define ACME_MUST_CHECK
#define ACME_SENTINEL
#define ACME_NEVER_NULL
#endif

/** A name at fault, where an error is about single names. */
typedef struct acme_blame_t {
    const char *name; /* as the CA or the order writes it */
    acme_msg_t msg;
    const char *text; /* what is wrong with it, one line */
} acme_blame_t;

/** Owner: the pool it was made in; all strings live there too. Every string is
 *  sanitised (acme_encode_printable) and bounded: it may go to a log as is. */
typedef struct acme_err_t {
    acme_msg_t msg;         /* which entry of messages.h */
    acme_class_t class;     /* policy reads this alone */
    const char *text;       /* one sentence, never NULL */
    const char *detail;     /* the CA's own words, or NULL */
    const char *identifier; /* the name at fault, or NULL */
    const char *instance;   /* URL the CA gave for the human, or NULL */
    apr_time_t retry_at;    /* not before this; 0: the CA said nothing */
    const apr_array_header_t *blames; /* acme_blame_t: see blame.h; or NULL */
} acme_err_t;

/**
 * Make an error from its entry in messages.h.
 * @param pool  owner of the result
 * @param msg   entry; its class becomes the error's class
 * @param ...   one const char * for each "%s" of the entry's text, then NULL.
 *              A NULL before the end ends the arguments; missing ones print "?"
 *              A number that is not in the table gives E_UNKNOWN.
 */
acme_err_t *acme_err_make(apr_pool_t *pool, acme_msg_t msg,
                          ...) ACME_SENTINEL ACME_NEVER_NULL;

/** The same for a failed system call: text is followed by ": " and the reason.
 *  @param rv  an APR status (errno wrapped by APR_FROM_OS_ERROR counts) */
acme_err_t *acme_err_os(apr_pool_t *pool, apr_status_t rv, acme_msg_t msg,
                        ...) ACME_SENTINEL ACME_NEVER_NULL;

/** The same for a failed OpenSSL call: takes the thread's error queue, empties
 *  it and appends the first reason. */
acme_err_t *acme_err_ssl(apr_pool_t *pool, acme_msg_t msg,
                         ...) ACME_SENTINEL ACME_NEVER_NULL;

/** Put what was being done in front of the text: "context: text". Once a layer.
 *  Changes err in place and returns it; NULL stays NULL. */
acme_err_t *acme_err_wrap(acme_err_t *err, apr_pool_t *pool,
                          const char *context);

/** A copy whose strings live in pool, for an error that must outlive its own.
 *  NULL stays NULL. */
acme_err_t *acme_err_dup(const acme_err_t *err, apr_pool_t *pool);

/** One line for a log or a page: "text (detail) [identifier], see instance". */
const char *acme_err_line(const acme_err_t *err,
                          apr_pool_t *pool) ACME_NEVER_NULL;

#define ACME_TRY(expr)                                                         \
    do {                                                                       \
        acme_err_t *acme_try_err_ = (expr);                                    \
        if (acme_try_err_) {                                                   \
            return acme_try_err_;                                              \
        }                                                                      \
    } while (0)

#endif
