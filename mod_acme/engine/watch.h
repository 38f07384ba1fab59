/**
 * Descriptors beside libcurl's that the engine's one wait also listens to: of
 * programs (command.h) and of DNS look-ups (resolver.h).
 */
#ifndef ACME_WATCH_H
#define ACME_WATCH_H

#include <apr_pools.h>
#include <curl/curl.h>

#define ACME_WATCH_READ  1
#define ACME_WATCH_WRITE 2

typedef struct acme_watches_t acme_watches_t;

/** @param events  what it is ready for; both, where it is at its end or in
 *                  error, so that a read or write finds out */
typedef void acme_watch_fn_t(void *baton, int fd, int events);

acme_watches_t *acme_watches_create(apr_pool_t *pool);

/** Listen to fd, or listen to other events of it. Before it is closed:
 *  @param events  0: no longer */
void acme_watch_set(acme_watches_t *watches, int fd, int events,
                    acme_watch_fn_t *ready, void *baton);

/** curl_multi_poll, with these descriptors too. */
CURLMcode acme_watches_poll(const acme_watches_t *watches, CURLM *multi,
                            int milliseconds);

/** Call ready of each that is. Descriptors may be set and dropped from there. */
void acme_watches_tell(acme_watches_t *watches);

#endif
