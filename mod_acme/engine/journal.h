/**
 * What is to be undone, or told, whatever happens: read once after a start. Each
 * kind of entry is written, understood and removed by the file that it is of: DNS
 * records (txt.c), gates (gate.c), events (notify.c). All of these look at the kind
 * first, take up what is theirs, and copy what they keep of it.
 */
#ifndef ACME_JOURNAL_H
#define ACME_JOURNAL_H

#include <jansson.h>

#include "engine/engine_impl.h"

/** Before anything is wanted. Entries that cannot be read are logged.
 *  @return why the journal as a whole cannot be */
acme_err_t *acme_journal_load(acme_engine_t *engine) ACME_MUST_CHECK;

/** Whose an entry is. @param kind  NULL: it names none
 *  @param object  in pool */
acme_err_t *acme_journal_kind(const char **kind, json_t **object,
                              const acme_journal_t *entry,
                              apr_pool_t *pool) ACME_MUST_CHECK;

#endif
