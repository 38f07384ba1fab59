/**
 * When a wish for a reload is granted. It lies in memory that every child can write:
 * whatever stands there, the server is not reloaded more often than the administrator
 * allows.
 */
#ifndef ACME_WISH_H
#define ACME_WISH_H

#include <apr_time.h>

#define ACME_WISH_BUNDLE apr_time_from_sec(60) /* how long others may join in */

/** As it was read, once. */
typedef struct acme_wish_t {
    apr_time_t since;             /* not after now; 0: nothing is wanted */
    apr_interval_time_t interval; /* the shortest of those who want it */
} acme_wish_t;

/** @param last   attempt, not after now
 *  @param least  the shortest interval that is configured */
int acme_wish_is_due(const acme_wish_t *wish, apr_time_t last,
                     apr_interval_time_t least, apr_time_t now);

#endif
