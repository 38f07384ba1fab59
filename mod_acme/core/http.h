/**
 * HTTP as the core sees it: what to ask and what was answered, as values. Who
 * carries them (libcurl, a transcript, a fuzzer) is not its business.
 */
#ifndef ACME_HTTP_H
#define ACME_HTTP_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "core/err.h"

typedef enum acme_method_t {
    ACME_METHOD_GET,
    ACME_METHOD_HEAD,
    ACME_METHOD_POST,
} acme_method_t;

/** A request as an order or a session wants it, before it is signed. */
typedef struct acme_request_t {
    acme_method_t method;
    const char *url;     /* acme_url_valid */
    const char *payload; /* POST: JSON, "" for POST-as-GET; else NULL */
    const char *accept;  /* Accept header, NULL: application/json */
    int use_jwk;         /* sign with the key itself instead of the kid */
    apr_size_t max_body; /* octets of the reply's body that are let in */
    const char *label;   /* "newOrder": static, for the log */
    int tag;             /* whose it is: given back with the reply */
    int tries;           /* how often it was signed; kept by the session */
    int epoch;           /* account it was signed for; kept by the session */
} acme_request_t;

/** The same, signed: what goes over the wire. */
typedef struct acme_wire_t {
    acme_method_t method;
    const char *url;
    const char *body;         /* NULL unless POST */
    apr_size_t body_len;      /* of a body that is no text; 0: up to its NUL */
    int plain;                /* http: is meant; for OCSP responders alone */
    const char *content_type; /* NULL unless POST */
    const char *accept;
    apr_size_t max_body;
} acme_wire_t;

/** What came back. All strings are as received (hostile), bounded in size. */
typedef struct acme_reply_t {
    acme_err_t *failure; /* no HTTP answer at all; everything else is unset */
    int status;          /* 100..599 */
    const char *body;    /* NUL terminated after len octets; never NULL */
    apr_size_t len;
    const char *content_type; /* of the last header of that name; or NULL */
    const char *location;
    const char *nonce; /* Replay-Nonce */
    const char *retry_after;
    apr_array_header_t *links; /* const char *: each Link header, at most 32 */
} acme_reply_t;

/** Whether there was an answer of 200..299. */
int acme_reply_is_success(const acme_reply_t *reply);

/** Retry-After counts for no longer than that. */
#define ACME_MAX_RETRY_AFTER apr_time_from_sec(24 * 60 * 60)

/** RFC 8555 section 6.6, RFC 9110 section 10.2.3: delta-seconds or HTTP-date,
 *  as a moment; clamped to now .. now + 1 day.
 *  @return 0 where the header is missing or malformed */
apr_time_t acme_reply_retry_after(const acme_reply_t *reply, apr_time_t now);

/** The absolute form of a reference in a reply. RFC 3986 section 5.2.
 *  @param base  acme_url_valid: what was asked
 *  @return from pool; NULL unless it is acme_url_valid */
const char *acme_url_resolve(const char *base, const char *reference,
                             apr_pool_t *pool);

/** Targets of Link headers with this relation type, in order; acme_url_valid
 *  ones only, at most 16. RFC 8288.
 *  @param base  what relative ones are relative to; NULL: they are left out */
apr_array_header_t *acme_reply_links(const acme_reply_t *reply, const char *rel,
                                     const char *base, apr_pool_t *pool);

/** The error a reply amounts to. RFC 8555 section 6.7 and the reaction table:
 *  problem type decides, else status; E_CA_PROBLEM_* of messages/ca.h. detail,
 *  instance, identifier (worst subproblem's) and retry_at are filled in. A body
 *  that is no problem document (HTML, bare string, empty) is survived.
 *  @return never NULL: call it for replies that are not the expected success */
acme_err_t *acme_reply_error(const acme_reply_t *reply, apr_time_t now,
                             apr_pool_t *pool) ACME_NEVER_NULL;

/** The last part of "urn:ietf:params:acme:error:X" of a reply ("badNonce"), or
 *  "" for a reply without one. From pool. */
const char *acme_reply_problem_type(const acme_reply_t *reply,
                                    apr_pool_t *pool);

#endif
