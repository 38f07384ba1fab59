#include "engine/handle.h"

#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT  15L
#define LOW_SPEED_LIMIT  10L /* octets a second */
#define MAX_IDLE_HANDLES 64

void acme_handle_free(acme_handle_t *handle)
{
    curl_easy_cleanup(handle->curl);
    for (int i = 0; i < ACME_TRUSTS; i++) {
        free(handle->trust[i]);
    }
    free(handle);
}

int acme_handle_set_text(CURL *curl, CURLoption option, const char *text)
{
    return curl_easy_setopt(curl, option, text) != CURLE_OUT_OF_MEMORY;
}

/* @return 0: no memory */
static int set_up(CURL *curl, const acme_handles_t *handles)
{
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(curl, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_LIMIT);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SHARE, handles->share);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, handles->on_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, handles->on_header);
    return acme_handle_set_text(curl, CURLOPT_USERAGENT, handles->user_agent);
}

/* What holds of every proxy. @return 0: no memory */
static int set_up_proxy(CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
    /* What the proxy says is not what the CA says. */
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXYAUTH,
                     (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST));
    curl_easy_setopt(curl, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_PROXY_SSLVERSION,
                     (long)CURL_SSLVERSION_TLSv1_2);
    return acme_handle_set_text(curl, CURLOPT_NOPROXY, "");
}

/* What a shell exported to httpd (http_proxy, no_proxy ...) must not decide
 * where CAs are sought: "" is no proxy at all, NULL would be the shell's. */
static int set_proxy(CURL *curl, const acme_proxy_t *proxy)
{
    return acme_handle_set_text(curl, CURLOPT_PROXY, proxy ? proxy->url : "")
           && acme_handle_set_text(curl, CURLOPT_PROXYUSERNAME,
                                   proxy ? proxy->user : NULL)
           && acme_handle_set_text(curl, CURLOPT_PROXYPASSWORD,
                                   proxy && proxy->user ? proxy->password
                                                        : NULL);
}

/* libcurl parses a trust file once for all connections (its CA cache), but
 * only if no trust directory is set beside it, which distributions do. */
static int set_trust(acme_handle_t *handle, int which, const char *file)
{
    static const struct {
        CURLoption file, directory;
    } OPTIONS[ACME_TRUSTS] = {
        [ACME_TRUST_CA] = { CURLOPT_CAINFO, CURLOPT_CAPATH },
        [ACME_TRUST_PROXY] = { CURLOPT_PROXY_CAINFO, CURLOPT_PROXY_CAPATH },
    };
    char **set = &handle->trust[which];

    if (!file || (*set && !strcmp(*set, file))) {
        return 1;
    }
    free(*set);
    *set = strdup(file);
    curl_easy_setopt(handle->curl, OPTIONS[which].directory, NULL);
    return *set
           && acme_handle_set_text(handle->curl, OPTIONS[which].file, file);
}

/* Without a system trust file a handle cannot be turned back to the system's
 * trust once it had another. */
static int fits(const acme_handles_t *handles, const acme_handle_t *handle,
                const char *const trust[])
{
    for (int i = 0; i < ACME_TRUSTS; i++) {
        if (!handles->system_trust && handle->trust[i] && !trust[i]) {
            return 0;
        }
    }
    return 1;
}

static acme_handle_t *make(const acme_handles_t *handles)
{
    acme_handle_t *handle = calloc(1, sizeof(*handle));

    if (!handle || !(handle->curl = curl_easy_init())) {
        free(handle);
        return NULL;
    }
    if (!set_up(handle->curl, handles) || !set_up_proxy(handle->curl)) {
        acme_handle_free(handle);
        return NULL;
    }
    return handle;
}

acme_handle_t *acme_handle_take(acme_handles_t *handles,
                                const acme_transport_ca_t *ca)
{
    const char *trust[ACME_TRUSTS] = { ca->trust_file,
                                       ca->proxy ? ca->proxy->trust_file
                                                 : NULL };
    acme_handle_t **link = &handles->free, *handle;

    while (*link && !fits(handles, *link, trust)) {
        link = &(*link)->next;
    }
    handle = *link;
    if (handle) {
        *link = handle->next;
        handles->free_count--;
    }
    else if (!(handle = make(handles))) {
        return NULL;
    }
    int set = set_proxy(handle->curl, ca->proxy);
    for (int i = 0; set && i < ACME_TRUSTS; i++) {
        set = set_trust(handle, i, trust[i] ? trust[i] : handles->system_trust);
    }
    if (!set) {
        acme_handle_free(handle);
        return NULL;
    }
    return handle;
}

void acme_handle_give(acme_handles_t *handles, acme_handle_t *handle)
{
    if (handles->free_count >= MAX_IDLE_HANDLES) {
        acme_handle_free(handle);
        return;
    }
    handle->next = handles->free;
    handles->free = handle;
    handles->free_count++;
}

void acme_handles_end(acme_handles_t *handles)
{
    while (handles->free) {
        acme_handle_t *handle = handles->free;
        handles->free = handle->next;
        acme_handle_free(handle);
    }
    handles->free_count = 0;
}
