/**
 * When: renewal times, backoff, durations. Pure arithmetic; now is an argument.
 */
#ifndef ACME_RENEWAL_H
#define ACME_RENEWAL_H

#include <apr_pools.h>
#include <apr_time.h>

#include "core/err.h"

/** A duration, or a share of a certificate's lifetime. */
typedef struct acme_span_t {
    apr_interval_time_t duration; /* used if percent is 0; >= 0 */
    int percent;                  /* 1..99, or 0 */
} acme_span_t;

/** "30s", "10min", "12h", "30d" or "4w", a bare number is seconds; "33%" if
 *  percent is allowed. At most 10 years. @return E_DURATION */
acme_err_t *acme_span_parse(acme_span_t *span, const char *text, int percent,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** "12 days", "3 hours": for people, in the largest unit of which there are two
 *  or exactly one, rounded down ("36 hours"). Negative ones are "0 seconds". From
 *  pool. */
const char *acme_duration_text(apr_interval_time_t duration, apr_pool_t *pool);

/** The moment to renew: span before not_after. span NULL: a third of the
 *  lifetime, a half if that is under 10 days. Never in the first third of the
 *  lifetime, so that a span longer than it does not order without end. Up to
 *  2 % of the lifetime earlier than that, drawn from seed, so that many
 *  certificates of one day spread; where there is no room for that, the 2 % come
 *  after the first third. */
apr_time_t acme_renewal_time(apr_time_t not_before, apr_time_t not_after,
                             const acme_span_t *span, unsigned int seed);

/** The latest moment to renew: as acme_renewal_time, but without the spread. */
apr_time_t acme_renewal_latest(apr_time_t not_before, apr_time_t not_after,
                               const acme_span_t *span);

/** When to warn that a certificate ends: span before not_after, or with the last
 *  tenth of the lifetime (span NULL). Not before its renewal has had half of the
 *  time that is left from then on.
 *  @param renew_latest  acme_renewal_latest; 0: it is not renewed by itself */
apr_time_t acme_warning_time(apr_time_t not_before, apr_time_t not_after,
                             apr_time_t renew_latest, const acme_span_t *span);

/** Delay before the next attempt after the count-th failure in a row (1..):
 *  first, ten times longer each time, at most max; jitter adds up to a fifth,
 *  still within max. Never overflows (CVE-2025-55753). count below 1 is 1;
 *  first of 0 or less is a second.
 *  @param random  0 .. UINT_MAX, uniform */
apr_interval_time_t acme_retry_delay(int count, apr_interval_time_t first,
                                     apr_interval_time_t max,
                                     unsigned int random);

/** When to fetch anew what holds from one moment until another: halfway, and up
 *  to a tenth of the whole later; but in a week at the latest, and where the half
 *  is past in a quarter of what is left. At least a minute from now.
 *  @param random  0 .. UINT_MAX, uniform */
apr_time_t acme_refresh_time(apr_time_t from, apr_time_t until, apr_time_t now,
                             unsigned int random);

#endif
