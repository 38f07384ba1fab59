#include "engine/watch.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

typedef struct watch_t {
    int events;          /* 0: unused */
    unsigned int serial; /* tells it from an earlier one of the same fd */
    acme_watch_fn_t *ready;
    void *baton;
} watch_t;

/** malloc: pools keep what they gave. */
struct acme_watches_t {
    watch_t *by_fd;
    int capacity; /* of by_fd */
    int count;
    int highest; /* no used fd is above it */
    unsigned int serial;
};

static apr_status_t watches_cleanup(void *data)
{
    acme_watches_t *watches = data;

    free(watches->by_fd);
    return APR_SUCCESS;
}

acme_watches_t *acme_watches_create(apr_pool_t *pool)
{
    acme_watches_t *watches = apr_pcalloc(pool, sizeof(*watches));

    apr_pool_cleanup_register(pool, watches, watches_cleanup,
                              apr_pool_cleanup_null);
    return watches;
}

static void grow(acme_watches_t *watches, int fd)
{
    int capacity = watches->capacity ? watches->capacity : 64;

    while (capacity <= fd) {
        capacity *= 2;
    }
    watch_t *by_fd = realloc(watches->by_fd, (size_t)capacity * sizeof(*by_fd));
    if (!by_fd) {
        abort(); /* as the pools do */
    }
    memset(by_fd + watches->capacity, 0,
           (size_t)(capacity - watches->capacity) * sizeof(*by_fd));
    watches->by_fd = by_fd;
    watches->capacity = capacity;
}

void acme_watch_set(acme_watches_t *watches, int fd, int events,
                    acme_watch_fn_t *ready, void *baton)
{
    if (fd < 0 || (!events && fd >= watches->capacity)) {
        return;
    }
    if (fd >= watches->capacity) {
        grow(watches, fd);
    }
    watch_t *watch = &watches->by_fd[fd];
    watches->count += !watch->events - !events;
    if (!watch->events) {
        watch->serial = ++watches->serial;
    }
    watch->events = events;
    watch->ready = ready;
    watch->baton = baton;
    if (events && fd > watches->highest) {
        watches->highest = fd;
    }
}

CURLMcode acme_watches_poll(const acme_watches_t *watches, CURLM *multi,
                            int milliseconds)
{
    unsigned int count = 0;
    struct curl_waitfd *fds =
        watches->count ? calloc((size_t)watches->count, sizeof(*fds)) : NULL;

    for (int fd = 0; fds && fd <= watches->highest; fd++) {
        int events = watches->by_fd[fd].events;
        if (events) {
            fds[count].fd = fd;
            fds[count].events =
                (short)((events & ACME_WATCH_READ ? CURL_WAIT_POLLIN : 0)
                        | (events & ACME_WATCH_WRITE ? CURL_WAIT_POLLOUT : 0));
            count++;
        }
    }
    CURLMcode rc = curl_multi_poll(multi, fds, count, milliseconds, NULL);
    free(fds);
    return rc;
}

static void tell(acme_watches_t *watches, const struct pollfd *polled,
                 unsigned int serial)
{
    const watch_t *watch = &watches->by_fd[polled->fd];
    int ended = polled->revents & (POLLERR | POLLHUP | POLLNVAL);
    int events = (polled->revents & POLLIN ? ACME_WATCH_READ : 0)
                 | (polled->revents & POLLOUT ? ACME_WATCH_WRITE : 0)
                 | (ended ? watch->events : 0);

    if (watch->serial == serial && watch->events & events) {
        watch->ready(watch->baton, polled->fd, watch->events & events);
    }
}

/* Asked again: libcurl (7.88) does not tell of a pipe that is at its end. */
void acme_watches_tell(acme_watches_t *watches)
{
    int count = 0;

    if (!watches->count) {
        return;
    }
    struct pollfd *fds = calloc((size_t)watches->count, sizeof(*fds));
    unsigned int *serials = calloc((size_t)watches->count, sizeof(*serials));
    for (int fd = 0; fds && serials && fd <= watches->highest; fd++) {
        const watch_t *watch = &watches->by_fd[fd];
        if (watch->events) {
            fds[count].fd = fd;
            fds[count].events =
                (short)((watch->events & ACME_WATCH_READ ? POLLIN : 0)
                        | (watch->events & ACME_WATCH_WRITE ? POLLOUT : 0));
            serials[count++] = watch->serial;
        }
    }
    if (count && poll(fds, (nfds_t)count, 0) > 0) {
        for (int i = 0; i < count; i++) {
            if (fds[i].revents) {
                tell(watches, &fds[i], serials[i]);
            }
        }
    }
    free(serials);
    free(fds);
}
