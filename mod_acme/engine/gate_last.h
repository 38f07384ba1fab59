/**
 * What must be shut when httpd ends and no engine can do it any more. What may be
 * open is in the journal, and stays there: the next start shuts it once more.
 */
#ifndef ACME_GATE_LAST_H
#define ACME_GATE_LAST_H

#include "engine/gate_spec.h"
#include "engine/store.h"

/** @param failure  NULL: it is shut; else what is wrong, one line */
typedef void acme_gate_last_fn_t(void *baton, const acme_gate_spec_t *spec,
                                 const char *failure);

/** Run the programs of AcmeOn challenge-close for every gate of the journal, one
 *  after the other. Waits for them: for a process that has nothing else to do and is
 *  the worker. An entry that cannot be read is left to the next start.
 *  @param limit  of each program's time */
acme_err_t *acme_gate_shut_last(acme_store_t *store, apr_interval_time_t limit,
                                acme_gate_last_fn_t *told, void *baton,
                                apr_pool_t *pool) ACME_MUST_CHECK;

#endif
