/**
 * Problem documents, RFC 9457 as RFC 8555 section 6.7 uses them: in error
 * replies, and inside orders and challenges. Which error a problem type amounts
 * to is one table in problem.c.
 */
#ifndef ACME_PROBLEM_H
#define ACME_PROBLEM_H

#include <jansson.h>

#include "core/err.h"

/** X of "urn:ietf:params:acme:error:X", printable; "" where the type is absent
 *  or of another kind. From pool. */
const char *acme_problem_type(const json_t *problem, apr_pool_t *pool);

/** The error an error reply amounts to. A "compound" problem, and one of an
 *  unknown type, counts as the worst of its subproblems; all of these are named
 *  in detail.
 *  @param problem  NULL, or of unknown type: status decides
 *  @return never NULL; retry_at unset */
acme_err_t *acme_problem_of_reply(const json_t *problem, int status,
                                  apr_pool_t *pool);

/** A problem object inside an order or a challenge. Like the above, but there
 *  "unauthorized" speaks of what the CA found when it validated, which the next
 *  attempt may mend.
 *  @return NULL if error is not an object */
acme_err_t *acme_problem_parse(const json_t *error, apr_pool_t *pool);

#endif
