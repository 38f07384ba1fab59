/**
 * Names that a certificate goes on without (AcmeBadNames skip): which, since when,
 * and when adding them is tried again. Kept with the job, over restarts.
 */
#ifndef ACME_SKIPS_H
#define ACME_SKIPS_H

#include <jansson.h>

#include "engine/job.h"

/** One name of managed->idents. All zero: it is not left out. */
struct acme_skip_t {
    int tries; /* failures in a row; 0: not left out */
    apr_time_t since, next;
    acme_msg_t code;
    char text[200]; /* what is wrong with it */
};

/** What to make of an order that has failed. */
typedef enum acme_skip_verdict_t {
    ACME_SKIP_NONE, /* a failure, for whatever reason */
    ACME_SKIP_STAY, /* what there is has every name that can be had now */
    ACME_SKIP_REST, /* order the rest of the names at once */
} acme_skip_verdict_t;

/** Whether it is worth going on without the names that err blames. Not without the
 *  first, the certificate's identity. A name that the newest set has is not given
 *  up lightly: before a renewal is late (half of the time between it and the set's
 *  end has passed), or two attempts to add others have failed, it is a failure
 *  like any other.
 *  @param idents  what was ordered */
acme_skip_verdict_t acme_skips_judge(const acme_job_t *job,
                                     const apr_array_header_t *idents,
                                     const acme_err_t *err, apr_time_t now);

/** Leave out what err blames, each until its next try: acme_retry_delay over its
 *  failures so far. @param pool  owner, for the job's life */
void acme_skips_add(acme_job_t *job, const acme_err_t *err,
                    const acme_job_retry_t *retry, apr_time_t now,
                    apr_pool_t *pool);

/** What to order now: all names but those left out. From pool, or the managed
 *  certificate's own array. */
const apr_array_header_t *acme_skips_idents(const acme_job_t *job,
                                            apr_time_t now, apr_pool_t *pool);

/** When the newest set is to be replaced for a name it lacks: 0: now, since one
 *  was added; ACME_NEVER: it has all.
 *  @param name  set to the one that is tried again then; else NULL */
apr_time_t acme_skips_due(const acme_job_t *job, const char **name);

/** Note which of the names the newest set has. */
void acme_skips_compare(acme_job_t *job, const acme_record_t *record,
                        apr_pool_t *scratch);

/** The newest set was learned: what it has is left out no more.
 *  @return const char *, from pool: names that are back */
apr_array_header_t *acme_skips_settle(acme_job_t *job, apr_pool_t *pool);

/** The administrator asks: each is tried again now. */
void acme_skips_hasten(acme_job_t *job);

int acme_skips_count(const acme_job_t *job);
/** NULL if name is not left out. */
const acme_skip_t *acme_skips_of(const acme_job_t *job, const char *name);
/** Into the status: "a.example (ACME1311, next try at ...)". */
void acme_skips_tell(acme_job_t *job, apr_pool_t *scratch);

/** Part of acme_job_format. @return not 0: there is no memory, or doc is NULL */
int acme_skips_format(json_t *doc, const acme_job_t *job, apr_pool_t *scratch);
void acme_skips_parse(acme_job_t *job, const json_t *list, apr_pool_t *pool,
                      apr_pool_t *scratch);
/** Moments that only a wrong clock can have set. */
void acme_skips_check_clock(acme_job_t *job, apr_time_t latest);

#endif
