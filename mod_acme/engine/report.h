/**
 * What is told of a certificate as JSON: by the status page (doc/status.md has
 * the schema) and by acmectl, in the same words.
 */
#ifndef ACME_REPORT_H
#define ACME_REPORT_H

#include <jansson.h>

#include "core/encode.h"

#include "engine/engine.h"

#define ACME_REPORT_VERSION 1 /* members are added, never changed or removed */

/** One certificate; one key for each family that is configured. Borrows all. */
typedef struct acme_report_t {
    const acme_managed_t *managed;
    int key_count;
    acme_key_type_t types[ACME_FAMILIES];
    acme_status_t keys[ACME_FAMILIES];
    int event_counts[ACME_FAMILIES];
    acme_event_t events[ACME_FAMILIES][ACME_MAX_EVENTS];
} acme_report_t;

/** "ACME1301", from pool; "" where the last attempt went well. */
const char *acme_report_error_code(const acme_status_t *status,
                                   apr_pool_t *pool);
/** "waiting for reload ...": why the newest set is not in service; or "". */
const char *acme_report_waiting(const acme_status_t *status, apr_pool_t *pool);
/** "renew", "order", "retry", "nothing" or "", of next_action. From pool. */
const char *acme_report_action(const acme_status_t *status, apr_pool_t *pool);
/** Why that, and why then: "when the CA suggests it". Points into status. */
const char *acme_report_why(const acme_status_t *status);

/** @return a new reference, NULL: there is no memory. Texts are made printable once more: those of a status
 *          may have been cut within a character */
json_t *acme_report_json(const acme_report_t *report, apr_pool_t *scratch);
/** A visit of a name. @return like the above */
json_t *acme_report_hit(const acme_ident_t *ident, const acme_hit_t *hit,
                        apr_pool_t *scratch);
/** Add those of one of the names of a certificate to a list, as many as its share of
 *  the room is for: visitors say how much they take.
 *  @param room   octets left, for so many names; less by what was added */
void acme_report_add_hits(json_t *list, size_t *room, int names,
                          const acme_ident_t *ident, const acme_hit_t *hits,
                          int count, apr_pool_t *scratch);

#endif
