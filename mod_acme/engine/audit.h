/**
 * The audit trail: what has been done with accounts and certificates, by whom and
 * when, one JSON object a line. Each line has the SHA-256 of the one before it, so
 * that none can be changed, taken out or put in without all that follow changing as
 * well. What was true at some time is kept by root (the anchor), out of reach of
 * whoever could write all of it anew.
 *
 * The engine tells it by telling the log: a message that is of account is a line
 * in both. A line that a killed writer has left half is ended, and the next says so
 * ("after_torn"). No line has a secret: none has more than the log.
 */
#ifndef ACME_AUDIT_H
#define ACME_AUDIT_H

#include <apr_hash.h>
#include <apr_tables.h>

#include "core/err.h"
#include "engine/store.h"

#define ACME_AUDIT_HASH 65 /* hexadecimal digits and NUL */

/** Where the trail ends. Zeroed: it has not been looked at. */
typedef struct acme_audit_t {
    apr_int64_t seq; /* of the last line; 0: there is none */
    char hash[ACME_AUDIT_HASH];
    int torn;                   /* and it is not whole */
    int open_end;               /* nor does it end */
    const acme_err_t *unusable; /* why nothing can be added to its file */
    int known;
} acme_audit_t;

/** What the newest entries say: of which certificates they tell, and since when. */
typedef struct acme_audit_recent_t {
    apr_time_t since; /* they tell of all that was issued; 0: they do not */
    apr_hash_t *told; /* "issued 4711af" */
    apr_pool_t *pool; /* of told; NULL: they have not been looked at */
} acme_audit_recent_t;

/** Look at the newest two files. @param pool  parent of one of its own, which is to
 *                                             be destroyed when it has served */
acme_err_t *acme_audit_look(acme_audit_recent_t *recent, acme_store_t *store,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Whether an entry is missing about something that was since then.
 *  @param msg  I_ISSUED, I_ACTIVATED */
int acme_audit_lacks(const acme_audit_recent_t *recent, acme_msg_t msg,
                     const char *serial, apr_time_t when);

/** Whether a message is of account. @return "issued" ..., static; or NULL */
const char *acme_audit_event(acme_msg_t msg);

/** Add a line, under the lease. @param audit  of the one writer that there is
 *  @param prefix  as in the log: "[shop.example/ecdsa]", or ""
 *  @return W_AUDIT_FILE: it was added, in a file of its own, since the one before
 *          cannot be used */
acme_err_t *acme_audit_add(acme_audit_t *audit, acme_store_t *store,
                           acme_msg_t msg, const char *prefix, const char *text,
                           apr_time_t now, apr_pool_t *scratch) ACME_MUST_CHECK;

/** What root has seen when it was last verified. */
typedef struct acme_audit_anchor_t {
    apr_int64_t first, seq; /* entries there were */
    char hash[ACME_AUDIT_HASH];
} acme_audit_anchor_t;

/** Faults up to there count no more, by the administrator's word. */
typedef struct acme_audit_accepted_t {
    apr_int64_t seq;
    char hash[ACME_AUDIT_HASH];
    const char *time, *by, *fault; /* NULL: nothing was accepted */
} acme_audit_accepted_t;

/** What became of a look at all of it. */
typedef struct acme_audit_report_t {
    apr_int64_t first, last;        /* lines there are; 0: none */
    int torn;                       /* half lines, owned up to by the next */
    char hash[ACME_AUDIT_HASH];     /* of the last one */
    const char *fault;              /* the first found, in words; or NULL */
    acme_audit_accepted_t accepted; /* once */
} acme_audit_report_t;

/** Called for each whole line, the oldest first. @param line  JSON */
typedef void acme_audit_line_fn_t(void *baton, const char *line);

/** Read all there is, and see whether it holds together, with the anchor too.
 *  @return E_AUDIT_BROKEN: where it does not; all lines are told all the same */
acme_err_t *acme_audit_read(acme_audit_report_t *report, acme_store_t *store,
                            acme_audit_line_fn_t *tell, void *baton,
                            apr_pool_t *pool) ACME_MUST_CHECK;

/** Root: what was just found good is the anchor from now on. */
acme_err_t *acme_audit_anchor(acme_store_t *store,
                              const acme_audit_report_t *report,
                              apr_pool_t *scratch) ACME_MUST_CHECK;
/** Root: the same, though there is a fault. */
acme_err_t *acme_audit_accept(acme_store_t *store,
                              const acme_audit_report_t *report, const char *by,
                              apr_time_t now,
                              apr_pool_t *scratch) ACME_MUST_CHECK;

#endif
