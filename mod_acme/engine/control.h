/**
 * What an administrator asks of a running server, and what it answers: a verb,
 * what it is about, arguments; a state, how far it is, the outcome. As JSON, in
 * the store (store.h); the verbs are in request.c.
 */
#ifndef ACME_CONTROL_H
#define ACME_CONTROL_H

#include <apr_pools.h>
#include <apr_time.h>
#include <jansson.h>

#include "core/err.h"

#define ACME_CONTROL_ID     16           /* hexadecimal digits */
#define ACME_CONTROL_ARGS   32           /* arguments of one request */
#define ACME_CONTROL_TEXT   4096         /* octets of one that is text */
#define ACME_CONTROL_SECRET (64 * 1024)  /* octets */
#define ACME_CONTROL_RESULT (960 * 1024) /* octets, as JSON */

/** A request. Zeroed first; then action, and what the verb needs. */
typedef struct acme_control_t {
    const char *id;          /* made by acme_store_put_request */
    const char *action;      /* 1..32 of a-z and "-" */
    const char *certificate; /* identity, or another name of it; or NULL */
    const char *account;     /* its directory in accounts/; or NULL */
    json_t *args;       /* text, numbers, booleans by name; or NULL: none. See
                           acme_control_set_text ... */
    const char *secret; /* text that must not be read on disk (a key, an HMAC):
                           sealed there; or NULL */
    int lacks; /* an argument, for want of memory: it cannot be written */
} acme_control_t;

/** An answer, which is replaced by the next until state is "done" or "failed". */
typedef struct acme_control_reply_t {
    const char *state; /* "accepted", "working", "done", "failed"; static */
    const char *text;  /* progress, or the outcome in words; printable */
    int code;          /* message number of a failure, else 0 */
    int done, total;   /* how far, in things of one kind; total 0: not known */
    apr_time_t since;  /* when it was accepted, by the server's clock; or 0 */
    json_t *result; /* an object, of the verb's own shape; or NULL. Written by
                          the worker: nothing in it is printable by itself */
} acme_control_reply_t;

/** Whether this state is the last. */
int acme_control_over(const acme_control_reply_t *reply);

/* --- arguments: the one who asks ----------------------------------------------- */

/** Freed with pool. */
void acme_control_set_text(acme_control_t *request, const char *name,
                           const char *value, apr_pool_t *pool);
void acme_control_set_number(acme_control_t *request, const char *name,
                             apr_int64_t value, apr_pool_t *pool);
void acme_control_set_flag(acme_control_t *request, const char *name,
                           apr_pool_t *pool);

/* --- arguments: the one who answers --------------------------------------------- */

/** NULL where it is absent or no text. Borrowed. */
const char *acme_control_text(const acme_control_t *request, const char *name);
apr_int64_t acme_control_number(const acme_control_t *request, const char *name,
                                apr_int64_t fallback);
int acme_control_flag(const acme_control_t *request, const char *name);

/* --- JSON ------------------------------------------------------------------------ */

/** @param sealed  secret as it is to be written, or NULL
 *  @return E_STORE_REQUEST: something in it is not as above */
acme_err_t *acme_control_format(const char **json,
                                const acme_control_t *request,
                                const char *sealed,
                                apr_pool_t *pool) ACME_MUST_CHECK;
/** @param sealed  of the secret, or NULL; request->secret stays NULL
 *  @return E_STORE_REQUEST, E_MEMORY */
acme_err_t *acme_control_parse(acme_control_t **request, const char **sealed,
                               const char *id, const char *json, apr_size_t len,
                               apr_pool_t *pool) ACME_MUST_CHECK;
acme_err_t *acme_control_format_reply(const char **json,
                                      const acme_control_reply_t *reply,
                                      apr_pool_t *pool) ACME_MUST_CHECK;
/** Trusts nothing. @return E_STORE_REQUEST, E_MEMORY */
acme_err_t *acme_control_parse_reply(acme_control_reply_t **reply,
                                     const char *id, const char *json,
                                     apr_size_t len,
                                     apr_pool_t *pool) ACME_MUST_CHECK;

/** Sixteen hexadecimal digits. */
int acme_control_id_valid(const char *id);

#endif
