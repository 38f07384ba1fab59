/**
 * Everything that can be wrong with a reply, one thing at a time: each header and
 * each value in its JSON removed, of another type, too large, too deep, hostile.
 */
#ifndef MUTATE_H
#define MUTATE_H

#include <apr_tables.h>

#include "core/http.h"

typedef struct mutation_t {
    const char *what; /* for people: "/finalize = \"file:///etc/passwd\"" */
    const char *path; /* of the value in the JSON that is changed, or NULL */
    int kind;
    const char *value; /* what takes its place, as JSON or as it is */
} mutation_t;

/** Those of a reply, mutation_t; always the same ones for the same reply. */
apr_array_header_t *mutations_of(const acme_reply_t *reply, apr_pool_t *pool);

/** Change reply, which may be another one of the same kind: what the mutation is
 *  about may be missing then, and nothing is changed. */
void mutate(acme_reply_t *reply, const mutation_t *mutation, apr_pool_t *pool);

#endif
