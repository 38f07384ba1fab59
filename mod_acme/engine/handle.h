/**
 * Internal to the transport: libcurl's easy handles, with everything set that
 * is the same for each request to a CA, and kept to be used again.
 */
#ifndef ACME_HANDLE_H
#define ACME_HANDLE_H

#include <curl/curl.h>

#include "engine/transport.h"

enum { ACME_TRUST_CA, ACME_TRUST_PROXY, ACME_TRUSTS };

typedef struct acme_handle_t {
    struct acme_handle_t *next; /* in the free list */
    CURL *curl;
    char *trust[ACME_TRUSTS]; /* files, as set last; malloc */
} acme_handle_t;

/** Zeroed, then filled in by the transport. */
typedef struct acme_handles_t {
    acme_handle_t *free;
    int free_count;
    const char *user_agent;
    const char *system_trust; /* libcurl's file, or NULL for its directory */
    CURLSH *share;
    curl_write_callback on_body, on_header;
} acme_handles_t;

/** One that goes to this CA as ca says; what belongs to a single request is for
 *  the caller to set. @return NULL: no memory */
acme_handle_t *acme_handle_take(acme_handles_t *handles,
                                const acme_transport_ca_t *ca);
/** It has served, and is in no multi handle any more. */
void acme_handle_give(acme_handles_t *handles, acme_handle_t *handle);
void acme_handle_free(acme_handle_t *handle);
/** All that are free. */
void acme_handles_end(acme_handles_t *handles);

/** What libcurl copies, and keeps as it was where it cannot: then one CA would be
 *  trusted, or reached, by what is said of another. @return 0: no memory */
int acme_handle_set_text(CURL *curl, CURLoption option, const char *text);

#endif
