#include "engine/proxy.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

/* The text as it may be shown: what stands before the last '@' may be a secret,
 * however malformed the rest is. */
static const char *shown(const char *text, apr_pool_t *pool)
{
    const char *start = strstr(text, "://");
    const char *at = strrchr(text, '@');

    start = start ? start + 3 : text;
    if (!at || at < start) {
        return at ? apr_pstrcat(pool, "...", at, NULL) : text;
    }
    return apr_pstrcat(pool,
                       apr_pstrmemdup(pool, text, (apr_size_t)(start - text)),
                       "...", at, NULL);
}

static acme_err_t *bad(const char *text, const char *why, apr_pool_t *pool)
{
    return acme_err_make(pool, ACME_E_PROXY_URL, shown(text, pool), why, NULL);
}

/* @return NULL where there is nothing, or what cannot stand in a header */
static const char *decode(const char *text, const char *end, apr_pool_t *pool)
{
    const char *decoded = apr_punescape_url(
        pool, apr_pstrmemdup(pool, text, (apr_size_t)(end - text)), NULL, NULL,
        0);
    const char *p;

    for (p = decoded; p && *p; p++) {
        if (apr_iscntrl(*p)) {
            return NULL;
        }
    }
    return decoded;
}

/* user [":" password] */
static int read_user(acme_proxy_t *proxy, const char *text, const char *end,
                     apr_pool_t *pool)
{
    const char *colon = memchr(text, ':', (size_t)(end - text));

    proxy->user = decode(text, colon ? colon : end, pool);
    proxy->password = colon ? decode(colon + 1, end, pool) : "";
    /* RFC 7617 section 2: no colon in a user's name. */
    return proxy->user && *proxy->user && !strchr(proxy->user, ':')
           && proxy->password;
}

/* Whether there is a port: libcurl would take 1080, which nobody expects. */
static int has_port(const char *host)
{
    const char *close = strrchr(host, ']');

    return strchr(close ? close : host, ':') != NULL;
}

acme_err_t *acme_proxy_parse(acme_proxy_t **result, const char *text,
                             apr_pool_t *pool)
{
    acme_proxy_t *proxy = apr_pcalloc(pool, sizeof(*proxy));
    int tls = !strncasecmp(text, "https://", 8);
    const char *start, *end, *at, *p, *host;

    if (!tls && strncasecmp(text, "http://", 7)) {
        return bad(text, "it begins with neither http:// nor https://", pool);
    }
    start = text + (tls ? 8 : 7);
    end = start + strlen(start);
    if (end > start && end[-1] == '/') {
        end--;
    }
    for (at = NULL, p = start; p < end; p++) {
        at = *p == '@' ? p : at;
    }
    if (at && !read_user(proxy, start, at, pool)) {
        return bad(text, "its user or password is malformed", pool);
    }
    start = at ? at + 1 : start;
    host = apr_pstrmemdup(pool, start, (apr_size_t)(end - start));
    if (strpbrk(host, "/?")
        || !acme_url_valid(apr_pstrcat(pool, "https://", host, NULL))) {
        return bad(text, "what follows is no host and port", pool);
    }
    if (!has_port(host)) {
        return bad(text, "its port is missing", pool);
    }
    proxy->url = apr_pstrcat(pool, tls ? "https://" : "http://", host, NULL);
    *result = proxy;
    return NULL;
}

const char *acme_proxy_text(const acme_proxy_t *proxy, apr_pool_t *pool)
{
    return proxy ? apr_pstrcat(pool, proxy->url, "\n",
                               proxy->user ? proxy->user : "", "\n",
                               proxy->password ? proxy->password : "", "\n",
                               proxy->trust_file ? proxy->trust_file : "", NULL)
                 : "";
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

int acme_proxy_same(const acme_proxy_t *a, const acme_proxy_t *b)
{
    return a == b
           || (a && b && same_text(a->url, b->url)
               && same_text(a->user, b->user)
               && same_text(a->password, b->password)
               && same_text(a->trust_file, b->trust_file));
}
