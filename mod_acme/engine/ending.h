/**
 * Records of dns-persist-01 that say when they end (persistUntil): what was seen when
 * the CA looked last, and when its administrator is to be reminded.
 */
#ifndef ACME_ENDING_H
#define ACME_ENDING_H

#include <apr_time.h>

#include "engine/record.h"

struct acme_job_t;

/** One that was seen: kept where it ends before the one that is kept.
 *  @param until  0: it does not end */
void acme_ending_note(acme_ending_t *ending, const char *name,
                      apr_time_t until);

/** Part of acme_job_learn. */
void acme_ending_learn(struct acme_job_t *job, const acme_record_t *record);

/** 30 and 7 days before the end. @return ACME_NEVER: not (any more) */
apr_time_t acme_ending_due(const struct acme_job_t *job);

#endif
