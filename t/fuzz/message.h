/**
 * A reply, and a sequence of them, as text.
 */
#ifndef ACME_FUZZ_MESSAGE_H
#define ACME_FUZZ_MESSAGE_H

#include "core/http.h"

/** "400 badNonce\nRetry-After: 5\n\n{...}": status, headers, an empty line, body. A
 *  text without a status is no answer at all.
 *  @param text  cut up */
void fuzz_message(acme_reply_t *reply, char *text, apr_pool_t *pool);

/** Replies to requests of several kinds. */
typedef struct fuzz_script_t fuzz_script_t;

/** Replies with a '%' and the label of the request in front: "%newOrder\n201\n\n{...}".
 *  @param data  copied */
fuzz_script_t *fuzz_script(const char *data, apr_pool_t *pool);

/** The next reply to a request with this label; after the last comes the first
 *  again. None, or too many by now: no answer at all. */
void fuzz_script_answer(fuzz_script_t *script, const char *label,
                        acme_reply_t *reply, apr_pool_t *pool);

#endif
