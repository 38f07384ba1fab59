/**
 * Encodings and the first filter for everything that comes from the network.
 */
#ifndef ACME_ENCODE_H
#define ACME_ENCODE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <jansson.h>

#include "core/err.h"

#define ACME_MAX_JSON   (64 * 1024)  /* octets of a JSON body from a CA */
#define ACME_MAX_CHAIN  (256 * 1024) /* octets of a downloaded chain */
#define ACME_MAX_URL    2048         /* octets of a URL from a CA */
#define ACME_MAX_TOKEN  255          /* characters of a challenge token */
#define ACME_MAX_DETAIL 1024         /* octets kept of a CA's free text */

/** base64url without padding, RFC 7515 section 2. NUL terminated, from pool. */
const char *acme_encode_base64url(const void *data, apr_size_t len,
                                  apr_pool_t *pool);

/** Strict reverse: refuses '=', '+', '/', white space and dangling bits.
 *  @return APR_SUCCESS, or APR_EINVAL with the outputs untouched */
apr_status_t acme_decode_base64url(const unsigned char **data, apr_size_t *len,
                                   const char *text, apr_pool_t *pool);

#define ACME_SHA256 32 /* octets */
/** SHA-256. Where there is no memory it ends the process, as pools do: a wrong digest
 *  is another account, another directory or a break in the audit trail. */
void acme_sha256(unsigned char digest[ACME_SHA256], const void *data,
                 apr_size_t len);

/** Lower-case hexadecimal, from pool. */
const char *acme_encode_hex(const void *data, apr_size_t len, apr_pool_t *pool);

/** Whether text is UTF-8: what JSON can hold. */
int acme_utf8_valid(const char *text);

/** Text in a buffer of size octets, NUL included; "..." at the end where it is cut,
 *  behind a whole character. */
void acme_encode_cut(char *buffer, apr_size_t size, const char *text);

/** Text that may go to a log or a terminal: control characters, DEL, and bytes
 *  that are not valid UTF-8 become '?', bidirectional overrides too; at most
 *  max octets, "..." at the end where cut. text NULL gives NULL. */
const char *acme_encode_printable(const char *text, apr_size_t max,
                                  apr_pool_t *pool);

/** HTML: & < > " ' escaped. */
const char *acme_encode_html(const char *text, apr_pool_t *pool);

/** RFC 8555 section 8: a token is 1..ACME_MAX_TOKEN characters of
 *  [A-Za-z0-9_-]. (The specification asks for 22 or more; short ones are let
 *  pass, since the CA alone suffers.) */
int acme_token_valid(const char *token);

/** https:// URL of at most ACME_MAX_URL octets, with a host, a port of 1..65535
 *  or none, no user information, no fragment, and no characters but those of
 *  RFC 3986. RFC 8555 section 6.1. */
int acme_url_valid(const char *url);
/** The same for another scheme. @param scheme  "http://" */
int acme_url_valid_as(const char *url, const char *scheme);

/** Parse a JSON object: at most max octets, duplicates refused, 32 levels deep
 *  at most.
 *  @param pool  json_decref of *object is registered as its cleanup
 *  @param what  names the thing in the error ("directory")
 *  @return E_CA_JSON; E_MEMORY: whether it is JSON is not known */
acme_err_t *acme_json_parse(json_t **object, const char *body, apr_size_t len,
                            apr_size_t max, const char *what,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** The same of what is our own, of any size. @param object  a new reference */
acme_err_t *acme_json_load(json_t **object, const char *text, apr_size_t len,
                           const char *what, apr_pool_t *pool) ACME_MUST_CHECK;

/** Member of type string without embedded NUL, or NULL where it is absent or of
 *  another type. Borrowed from object. */
const char *acme_json_string(const json_t *object, const char *name);

/** Add a member to an object; none where value is NULL.
 *  @return not 0: there is no memory (of which the "s*" of json_pack() says nothing),
 *          object is NULL, or value is no UTF-8 */
int acme_json_put_text(json_t *object, const char *name, const char *value);
/** Add a value that is given as JSON of our own, compact. @return like the above */
int acme_json_put_json(json_t *object, const char *name, const char *json);

/** @param texts  const char *; or NULL: none
 *  @return NULL: there is no memory for all of them, or one is no UTF-8 */
json_t *acme_json_texts(const apr_array_header_t *texts);

/** Object or array as text, from pool. Takes the reference to json.
 *  @return NULL: there is no memory, or json is NULL */
const char *acme_json_text(json_t *json, size_t flags, apr_pool_t *pool);
/** The same of what is kept in a file: indented, and ended by a line feed.
 *  @param what  "saving an order"
 *  @return E_MEMORY */
acme_err_t *acme_json_document(const char **text, json_t *json,
                               const char *what,
                               apr_pool_t *pool) ACME_MUST_CHECK;
/** The same of what is sent: in one line.
 *  @param failed  not 0: there was no memory for something in it */
acme_err_t *acme_json_message(const char **text, json_t *json, int failed,
                              const char *what,
                              apr_pool_t *pool) ACME_MUST_CHECK;

/** RFC 3339 time with any fraction and offset ("2026-11-22T08:00:00.123Z").
 *  @return 0 where it is not one, or is before 1970 */
apr_time_t acme_time_parse_rfc3339(const char *text);

/** "2026-11-22T08:00:00Z"; from pool. */
const char *acme_time_format(apr_time_t time, apr_pool_t *pool);

#endif
