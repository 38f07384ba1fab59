#include "core/culprit.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "core/encode.h"

#define MAX_SHOWN 80 /* octets of one thing somebody else says */
#define MAX_BODY  8192

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- looking ------------------------------------------------------------------- */

const char *acme_culprit_header(const acme_stranger_t *stranger,
                                const char *name)
{
    apr_size_t len = strlen(name);
    int i;

    for (i = 0; stranger->headers && i < stranger->headers->nelts; i++) {
        const char *line = APR_ARRAY_IDX(stranger->headers, i, const char *);

        if (!strncasecmp(line, name, len) && line[len] == ':') {
            line += len + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

/* words is in lower case. */
static const char *find(const char *text, const char *words)
{
    apr_size_t len = strlen(words), i;
    const char *at;

    for (at = text; *at && at < text + MAX_BODY; at++) {
        for (i = 0; i < len && apr_tolower(at[i]) == words[i]; i++) {
        }
        if (i == len) {
            return at;
        }
    }
    return NULL;
}

/* --- what stands in between ------------------------------------------------------ */

typedef struct product_t {
    const char *header; /* NULL: the page */
    const char *words;  /* in its value; "": any */
    const char *name;
} product_t;

/* What is certain comes before what many send. */
static const product_t products[] = {
    { "cf-ray", "", "Cloudflare" },
    { "server", "cloudflare", "Cloudflare" },
    { "x-amz-cf-id", "", "Amazon CloudFront" },
    { "via", "cloudfront", "Amazon CloudFront" },
    { "server", "cloudfront", "Amazon CloudFront" },
    { "server", "awselb", "a load balancer of Amazon" },
    { "server", "akamai", "Akamai" },
    { "x-akamai-request-id", "", "Akamai" },
    { "x-fastly-request-id", "", "Fastly" },
    { "x-served-by", "cache-", "Fastly" },
    { "x-azure-ref", "", "Azure Front Door" },
    { "server", "microsoft-azure-application-gateway",
      "a gateway of Microsoft Azure" },
    { "x-sucuri-id", "", "Sucuri" },
    { "server", "sucuri", "Sucuri" },
    { "x-iinfo", "", "Imperva" },
    { "x-cdn", "imperva", "Imperva" },
    { "x-cdn", "incapsula", "Imperva" },
    { "cdn-pullzone", "", "bunny.net" },
    { "server", "bunnycdn", "bunny.net" },
    { "server", "ddos-guard", "DDoS-Guard" },
    { "server", "qrator", "Qrator" },
    { "server", "keycdn", "KeyCDN" },
    { "server", "stackpath", "StackPath" },
    { "server", "ecacc", "Edgio" },
    { "server", "gcore", "Gcore" },
    { "x-vercel-id", "", "Vercel" },
    { "x-nf-request-id", "", "Netlify" },
    { "x-github-request-id", "", "GitHub Pages" },
    { "server", "fly/", "Fly.io" },
    { "via", "google", "a load balancer of Google" },
    { "server", "google frontend", "a load balancer of Google" },
    { "x-envoy-upstream-service-time", "", "Envoy" },
    { "server", "envoy", "Envoy" },
    { "x-kong-response-latency", "", "Kong" },
    { "x-varnish", "", "Varnish" },
    { "server", "varnish", "Varnish" },
    { "x-squid-error", "", "Squid" },
    { "server", "squid", "Squid" },
    { "server", "ats/", "Apache Traffic Server" },
    { "server", "bigip", "F5 BIG-IP" },
    { "server", "big-ip", "F5 BIG-IP" },
    { "server", "fortiweb", "a firewall of Fortinet" },
    { "server", "zscaler", "Zscaler" },
    { NULL, "fortiguard", "a firewall of Fortinet" },
    { NULL, "fortinet", "a firewall of Fortinet" },
    { NULL, "sonicwall", "a firewall of SonicWall" },
    { NULL, "palo alto networks", "a firewall of Palo Alto Networks" },
    { NULL, "sophos", "a firewall of Sophos" },
    { NULL, "checkpoint userchec", "a firewall of Check Point" },
    { NULL, "web page blocked", "a web filter" },
    { NULL, "no server is available to handle this request", "HAProxy" },
};

/* Headers that only somebody in between adds, whoever it is. */
static const char *const traces[] = {
    "via",
    "x-cache",
    "x-cache-status",
    "x-proxy-cache",
    "x-cache-hits",
    "x-cdn",
    "x-forwarded-host",
    "x-forwarded-server",
    "proxy-status",
    "cdn-cache",
    "x-proxy-id",
    "proxy-connection",
    "cache-status",
    "x-edge-id",
    "age",
};

static const char *named(const acme_stranger_t *stranger)
{
    apr_size_t i;

    for (i = 0; i < COUNT(products); i++) {
        const char *text =
            products[i].header
                ? acme_culprit_header(stranger, products[i].header)
                : stranger->body;

        if (text && find(text, products[i].words)) {
            return products[i].name;
        }
        if (text && !*products[i].words) {
            return products[i].name;
        }
    }
    return NULL;
}

const char *acme_culprit_between(const acme_stranger_t *stranger,
                                 apr_pool_t *pool)
{
    const char *name = named(stranger);
    apr_size_t i;

    for (i = 0; !name && i < COUNT(traces); i++) {
        const char *value = acme_culprit_header(stranger, traces[i]);

        if (value) {
            name = apr_pstrcat(pool, "a proxy (", traces[i], ": ",
                               acme_encode_printable(value, MAX_SHOWN, pool),
                               ")", NULL);
        }
    }
    if (!name && (stranger->status == 502 || stranger->status == 504)) {
        return "a gateway that finds no server behind it";
    }
    return name;
}

/* --- parking pages ----------------------------------------------------------------- */

static const struct {
    const char *header; /* NULL: the page */
    const char *words, *sign;
} parkings[] = {
    { "x-adblock-key", "", "its header X-Adblock-Key" },
    { "server", "parking", "its header Server: Parking" },
    { "location", "hugedomains.com", "it leads to hugedomains.com" },
    { "location", "/lander", "it leads to /lander" },
    { "location", "sedo.com", "it leads to sedo.com" },
    { "location", "dan.com", "it leads to dan.com" },
    { "location", "afternic.com", "it leads to afternic.com" },
    { "location", "://ww1.", "it leads to a host ww1" },
    { "location", "://ww25.", "it leads to a host ww25" },
    { "location", "://ww38.", "it leads to a host ww38" },
    { NULL, "/lander", "it leads to /lander" },
    { NULL, "sedoparking", "sedoparking" },
    { NULL, "parkingcrew", "parkingcrew" },
    { NULL, "bodis.com", "bodis.com" },
    { NULL, "parklogic", "parklogic" },
    { NULL, "above.com", "above.com" },
    { NULL, "domain is for sale", "\"domain is for sale\"" },
    { NULL, "domain may be for sale", "\"domain may be for sale\"" },
    { NULL, "buy this domain", "\"buy this domain\"" },
    { NULL, "domain is parked", "\"domain is parked\"" },
    { NULL, "domain has expired", "\"domain has expired\"" },
    { NULL, "domain name has expired", "\"domain name has expired\"" },
    { NULL, "parked free", "\"parked free\"" },
    { NULL, "parked domain", "\"parked domain\"" },
    { NULL, "domain parking", "\"domain parking\"" },
    { NULL, "this domain is registered at",
      "\"this domain is registered at\"" },
};

const char *acme_culprit_parking(const acme_stranger_t *stranger)
{
    apr_size_t i;

    for (i = 0; i < COUNT(parkings); i++) {
        const char *text =
            parkings[i].header
                ? acme_culprit_header(stranger, parkings[i].header)
                : stranger->body;

        if (text && (!*parkings[i].words || find(text, parkings[i].words))) {
            return parkings[i].sign;
        }
    }
    return NULL;
}

int acme_culprit_wants_tls(const acme_stranger_t *stranger)
{
    static const char *const complaints[] = {
        "speaking plain http to an ssl-enabled server port", /* httpd */
        "plain http request was sent to https port",         /* nginx */
        "sent an http request to an https server",           /* Go */
        "this combination of host and port requires tls",    /* Tomcat */
    };
    apr_size_t i;

    for (i = 0; i < COUNT(complaints); i++) {
        if (stranger->status == 400 && find(stranger->body, complaints[i])) {
            return 1;
        }
    }
    return 0;
}

/* --- in words ------------------------------------------------------------------------ */

static const char *title_of(const acme_stranger_t *stranger, apr_pool_t *pool)
{
    const char *at = find(stranger->body, "<title"), *end;

    at = at ? strchr(at, '>') : NULL;
    if (!at) {
        return NULL;
    }
    at += 1 + strspn(at + 1, " \t\r\n");
    end = strchr(at, '<');
    while (end && end > at && apr_isspace(end[-1])) {
        end--;
    }
    return end && end > at ? acme_encode_printable(
               apr_pstrmemdup(pool, at, (apr_size_t)(end - at)), MAX_SHOWN,
               pool)
                           : NULL;
}

const char *acme_culprit_describe(const acme_stranger_t *stranger,
                                  apr_pool_t *pool)
{
    const char *server = acme_culprit_header(stranger, "server");
    const char *title = title_of(stranger, pool);

    return apr_pstrcat(
        pool,
        server && *server ? acme_encode_printable(server, MAX_SHOWN, pool)
                          : "a server that does not name itself",
        ", status ", apr_itoa(pool, stranger->status), title ? ", page \"" : "",
        title ? title : "", title ? "\"" : "", NULL);
}
