/**
 * What is due when: a heap of moments, so that a round of the engine looks at
 * what is due and at nothing else.
 */
#ifndef ACME_TIMER_H
#define ACME_TIMER_H

#include <apr_pools.h>
#include <apr_time.h>

/** Farther away than anything. */
#define ACME_NEVER ((apr_time_t)APR_INT64_MAX)

/** Part of the thing that becomes due; zeroed at first. */
typedef struct acme_timer_t {
    apr_time_t due;
    int place; /* in the heap, from 1; 0: not set */
    int kind;  /* the owner's: what the timer is part of */
} acme_timer_t;

typedef struct acme_timers_t acme_timers_t;

acme_timers_t *acme_timers_create(apr_pool_t *pool);

/** Set, or move. due ACME_NEVER clears it. */
void acme_timer_set(acme_timers_t *timers, acme_timer_t *timer, apr_time_t due);
void acme_timer_clear(acme_timers_t *timers, acme_timer_t *timer);
/** As acme_timer_set, unless it is set to an earlier moment already. */
void acme_timer_hasten(acme_timers_t *timers, acme_timer_t *timer,
                       apr_time_t due);

/** How many are set. */
int acme_timers_count(const acme_timers_t *timers);
/** The earliest; NULL if none is set. */
acme_timer_t *acme_timers_first(const acme_timers_t *timers);

#endif
