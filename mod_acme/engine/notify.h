/**
 * Programs of AcmeOn that are told of events, beside the orders and in nobody's
 * way: few at once, one at a time for each certificate and program; what waits
 * already is not added a second time, but brought up to date. What must not be
 * lost by a restart is in the store's journal until the program has ended, so that
 * one may be told twice, after a crash.
 */
#ifndef ACME_NOTIFY_H
#define ACME_NOTIFY_H

#include <jansson.h>

#include "engine/engine_impl.h"
#include "engine/hook.h"

#define ACME_NOTIFY_AT_ONCE 4
#define ACME_NOTIFY_WAITING                                                    \
    1000 /* further renewing, expiring, errored are dropped */

typedef struct acme_notify_t acme_notify_t;

acme_notify_t *acme_notify_create(acme_engine_t *engine);

/** After a start: an entry of the journal, of what was not told before. What AcmeOn
 *  does not name any more is forgotten. @return NULL */
const char *acme_notify_take(acme_notify_t *notify, const char *kind,
                             const json_t *object, const char *id,
                             apr_pool_t *pool);

/** Run the programs that the job's AcmeOn names for event. Never fails: what goes
 *  wrong is logged.
 *  @param env  const char *: for them; copied */
void acme_notify_add(acme_notify_t *notify, const acme_job_t *job,
                     acme_event_kind_t event, const apr_array_header_t *env);

/** In each round of the loop, and whether there is something to do now. */
void acme_notify_pump(acme_notify_t *notify);
int acme_notify_due(const acme_notify_t *notify);

#endif
