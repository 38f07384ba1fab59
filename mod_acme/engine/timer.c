#include "engine/timer.h"

#include <stdlib.h>

struct acme_timers_t {
    acme_timer_t **heap; /* malloc: grows, and pools keep what they gave */
    int count, capacity;
};

static apr_status_t timers_cleanup(void *data)
{
    acme_timers_t *timers = data;
    free(timers->heap);
    return APR_SUCCESS;
}

acme_timers_t *acme_timers_create(apr_pool_t *pool)
{
    acme_timers_t *timers = apr_pcalloc(pool, sizeof(*timers));
    apr_pool_cleanup_register(pool, timers, timers_cleanup,
                              apr_pool_cleanup_null);
    return timers;
}

static void put(acme_timers_t *timers, int index, acme_timer_t *timer)
{
    timers->heap[index] = timer;
    timer->place = index + 1;
}

static int rise(acme_timers_t *timers, int index)
{
    acme_timer_t *timer = timers->heap[index];
    while (index > 0 && timers->heap[(index - 1) / 2]->due > timer->due) {
        put(timers, index, timers->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(timers, index, timer);
    return index;
}

static void sink(acme_timers_t *timers, int index)
{
    acme_timer_t *timer = timers->heap[index];
    for (;;) {
        int child = 2 * index + 1;
        if (child + 1 < timers->count
            && timers->heap[child + 1]->due < timers->heap[child]->due) {
            child++;
        }
        if (child >= timers->count || timers->heap[child]->due >= timer->due) {
            break;
        }
        put(timers, index, timers->heap[child]);
        index = child;
    }
    put(timers, index, timer);
}

static void add(acme_timers_t *timers, acme_timer_t *timer)
{
    if (timers->count == timers->capacity) {
        int capacity = timers->capacity ? timers->capacity * 2 : 64;
        acme_timer_t **heap =
            realloc(timers->heap, (size_t)capacity * sizeof(*heap));
        if (!heap) {
            abort(); /* as the pools do */
        }
        timers->heap = heap;
        timers->capacity = capacity;
    }
    put(timers, timers->count++, timer);
}

void acme_timer_set(acme_timers_t *timers, acme_timer_t *timer, apr_time_t due)
{
    if (due == ACME_NEVER) {
        acme_timer_clear(timers, timer);
        return;
    }
    timer->due = due;
    if (!timer->place) {
        add(timers, timer);
    }
    sink(timers, rise(timers, timer->place - 1));
}

void acme_timer_clear(acme_timers_t *timers, acme_timer_t *timer)
{
    if (!timer->place) {
        return;
    }
    int index = timer->place - 1;
    acme_timer_t *last = timers->heap[--timers->count];
    timer->place = 0;
    if (last != timer) {
        put(timers, index, last);
        sink(timers, rise(timers, index));
    }
}

void acme_timer_hasten(acme_timers_t *timers, acme_timer_t *timer,
                       apr_time_t due)
{
    if (!timer->place || timer->due > due) {
        acme_timer_set(timers, timer, due);
    }
}

acme_timer_t *acme_timers_first(const acme_timers_t *timers)
{
    return timers->count ? timers->heap[0] : NULL;
}

int acme_timers_count(const acme_timers_t *timers)
{
    return timers->count;
}
