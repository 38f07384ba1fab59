/**
 * TXT records that a program of the administrator publishes (AcmeDnsCommand):
 * PROGRAM setup|teardown NAME VALUE. Several values may stand at one name; for
 * one name only one program runs at a time. What is to be removed again is in
 * the store's journal before it is set up, and stays there until that has
 * worked: whoever holds the lease next goes on with it.
 */
#ifndef ACME_TXT_H
#define ACME_TXT_H

#include <jansson.h>

#include "engine/engine_impl.h"

typedef struct acme_txts_t acme_txts_t;

/** One record, and for whom; copied. */
typedef struct acme_txt_spec_t {
    const char *name, *value;
    const char *certificate, *domain;  /* for the program's environment */
    const apr_array_header_t *command; /* const char *: program and arguments */
} acme_txt_spec_t;

acme_txts_t *acme_txts_create(acme_engine_t *engine);

/** @param err  NULL: the program has published it */
typedef void acme_txt_ready_fn_t(void *baton, acme_err_t *err);

/** It is to be there. ready is called once, perhaps before this returns; not after
 *  acme_txts_drop. One that the journal knows is published again all the same:
 *  it may not have come so far. */
void acme_txts_want(acme_txts_t *txts, const acme_txt_spec_t *spec,
                    acme_txt_ready_fn_t *ready, void *baton);
/** It was there when an earlier process saved its order, and is still to be: only
 *  where the journal does not know it, it is published anew. */
void acme_txts_adopt(acme_txts_t *txts, const acme_txt_spec_t *spec);
/** It is to go. */
void acme_txts_drop(acme_txts_t *txts, const char *name, const char *value);

/** After a start, before anything is wanted: an entry of the journal.
 *  @return why not; NULL: taken up, or another's */
const char *acme_txts_take(acme_txts_t *txts, const char *kind,
                           const json_t *object, apr_pool_t *pool);
/** When the saved orders were taken up: what none of them wants is to go. */
void acme_txts_sweep(acme_txts_t *txts);

/** Its timer is due. */
void acme_txt_pump(acme_timer_t *timer);

#endif
