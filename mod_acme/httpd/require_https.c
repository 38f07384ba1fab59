#include "httpd/require_https.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>
#include <string.h>
#include <util_filter.h>

#include "httpd/config.h"
#include "httpd/hostnames.h"
#include "httpd/http01.h"
#include "httpd/log.h"
#include "httpd/tls.h"

#define HSTS "Strict-Transport-Security"

/* Where https for a name is. */
typedef struct target_t {
    const acme_server_config_t *config;
    int port; /* for the address; 443 is left out */
} target_t;

static apr_hash_t *targets; /* name -> target_t; NULL: no names */
static ap_filter_rec_t *hsts_filter;

/* --- plan ------------------------------------------------------------------- */

static apr_status_t forget(void *data)
{
    (void)data;
    targets = NULL;
    return APR_SUCCESS;
}

/* The port under which the outside world reaches a host; 0: it does not. */
static int outside_port(const server_rec *s)
{
    int mapped = acme_config_global()->port_443;
    const server_addr_rec *addr;
    int port = 0;

    for (addr = s->addrs; addr; addr = addr->next) {
        if (mapped && (addr->host_port == mapped || addr->host_port == 0)) {
            return 443;
        }
        /* the world's 443 leads elsewhere */
        if (addr->host_port != 443 && !port) {
            port = addr->host_port;
        }
    }
    return port;
}

static int is_certified(const apr_array_header_t *idents,
                        const acme_ident_t *ident)
{
    int i;

    for (i = 0; i < idents->nelts; i++) {
        const acme_ident_t *one = APR_ARRAY_IDX(idents, i, acme_ident_t *);

        if (acme_ident_equal(one, ident) || acme_ident_covers(one, ident)) {
            return 1;
        }
    }
    return 0;
}

static void add_name(const acme_server_config_t *config, target_t *target,
                     const char *name, apr_pool_t *scratch)
{
    acme_ident_t *ident;

    if (name && !acme_ident_parse(&ident, name, scratch)
        && is_certified(config->managed->idents, ident)) {
        apr_hash_set(targets,
                     apr_pstrdup(apr_hash_pool_get(targets), ident->value),
                     APR_HASH_KEY_STRING, target);
    }
}

static void add_names(const acme_server_config_t *config, target_t *target,
                      const apr_array_header_t *names, apr_pool_t *scratch)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        add_name(config, target, APR_ARRAY_IDX(names, i, const char *),
                 scratch);
    }
}

/* The target of a name, or of the wildcard above it. */
static const target_t *find(const char *name, apr_pool_t *pool)
{
    const char *dot = strchr(name, '.');
    const target_t *found = apr_hash_get(targets, name, APR_HASH_KEY_STRING);

    if (!found && dot && dot != name) {
        found = apr_hash_get(targets, apr_pstrcat(pool, "*", dot, NULL),
                             APR_HASH_KEY_STRING);
    }
    return found;
}

static const target_t *find_any(const server_rec *s, apr_pool_t *pool)
{
    const target_t *found =
        s->server_hostname ? find(s->server_hostname, pool) : NULL;
    int i;

    for (i = 0; !found && s->names && i < s->names->nelts; i++) {
        found = find(APR_ARRAY_IDX(s->names, i, const char *), pool);
    }
    for (i = 0; !found && s->wild_names && i < s->wild_names->nelts; i++) {
        found = find(APR_ARRAY_IDX(s->wild_names, i, const char *), pool);
    }
    return found;
}

/* Of one that stands in this very host: inherited ones are for those it suits. */
static void tell_vain(server_rec *s, apr_pool_t *pool)
{
    const acme_server_config_t *config = acme_config_of(s);

    if (s->is_virtual && config->require_here
        && config->require != ACME_REQUIRE_OFF && !find_any(s, pool)) {
        acme_log_msg(s, pool, ACME_W_REQUIRE_HTTPS,
                     acme_where_text(config->require_where.file,
                                     config->require_where.line, pool),
                     s->server_hostname ? s->server_hostname : "without a name",
                     NULL);
    }
}

static int is_required(const server_rec *base)
{
    const server_rec *s;

    for (s = base; s; s = s->next) {
        if (acme_config_of(s)->require >= ACME_REQUIRE_TEMPORARY) {
            return 1;
        }
    }
    return 0;
}

void acme_require_https_plan(server_rec *base, apr_pool_t *pconf,
                             apr_pool_t *scratch)
{
    apr_pool_t *pool;
    server_rec *s;

    if (!is_required(base)) {
        return;
    }
    targets = apr_hash_make(pconf);
    apr_pool_cleanup_register(pconf, NULL, forget, apr_pool_cleanup_null);
    apr_pool_create(&pool, scratch);
    /* the last in the file comes first, and the first in the file counts */
    for (s = base; s; s = s->next) {
        const acme_server_config_t *config = acme_config_of(s);
        target_t *target;

        if (config->live && config->managed) {
            target = apr_palloc(pconf, sizeof(*target));
            target->config = config;
            target->port = outside_port(s);
            add_names(config, target, s->wild_names, pool);
            add_names(config, target, s->names, pool);
            add_name(config, target, s->server_hostname, pool);
        }
        apr_pool_clear(pool);
    }
    for (s = base; s; s = s->next) {
        tell_vain(s, pool);
    }
    apr_pool_destroy(pool);
}

/* --- redirect --------------------------------------------------------------- */

/* What holds for a plain request to host that belongs to target. The plain host's
 * own word counts first, and off in either of both. */
static acme_require_t required(const acme_server_config_t *host,
                               const target_t *target)
{
    const acme_server_config_t *tls = target->config;

    if (tls->require_here && tls->require == ACME_REQUIRE_OFF) {
        return ACME_REQUIRE_OFF;
    }
    return host->require_here ? host->require : tls->require;
}

/* Lower case; of an IPv6 address the canonical text. NULL: no name at all. */
static const char *certified_name(const char *host, apr_pool_t *pool)
{
    acme_ident_t *ident;

    return host && !acme_ident_parse(&ident, host, pool)
                   && !acme_ident_is_wildcard(ident)
               ? ident->value
               : NULL;
}

/* Octets that no address may hold are encoded; the rest stays as it was sent. */
static const char *clean(const char *text, apr_pool_t *pool)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(pool, 3 * strlen(text) + 1);
    char *end = out;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c)) {
            *end++ = *text;
        }
        else {
            *end++ = '%';
            *end++ = hex[c >> 4];
            *end++ = hex[c & 15];
        }
    }
    *end = '\0';
    return out;
}

static const char *location(const request_rec *r, const char *name, int port)
{
    apr_pool_t *pool = r->pool;
    int is_v6 = strchr(name, ':') != NULL;

    return apr_pstrcat(
        pool, "https://", is_v6 ? "[" : "", name, is_v6 ? "]" : "",
        port == 443 ? "" : apr_psprintf(pool, ":%d", port), clean(r->uri, pool),
        r->args ? "?" : "", r->args ? clean(r->args, pool) : "", NULL);
}

/* What can be redirected, whatever is configured. */
static int is_plain(request_rec *r, int lookup)
{
    const char *token;

    return !lookup && !r->main && !r->prev && r->proxyreq == PROXYREQ_NONE
           && r->uri && r->uri[0] == '/' && r->method_number != M_CONNECT
           && !acme_http01_is_challenge(&token, r)
           && !ap_ssl_conn_is_ssl(r->connection)
           /* "ServerName https://...": somebody in front has done TLS */
           && strcmp(ap_http_scheme(r), "https") != 0;
}

static int status_of(const request_rec *r, int permanent)
{
    /* 301 and 302 may turn any other method into GET */
    if (r->method_number == M_GET) {
        return permanent ? HTTP_MOVED_PERMANENTLY : HTTP_MOVED_TEMPORARILY;
    }
    return permanent ? HTTP_PERMANENT_REDIRECT : HTTP_TEMPORARY_REDIRECT;
}

int acme_require_https_redirect(request_rec *r, int lookup)
{
    const acme_server_config_t *host = acme_config_of(r->server);
    const target_t *target = NULL;
    const char *name;
    acme_require_t require;
    int as_asked;

    if (!targets || !apr_hash_count(targets) || !is_plain(r, lookup)) {
        return DECLINED;
    }
    name = certified_name(r->hostname, r->pool);
    target = name ? find(name, r->pool) : NULL;
    as_asked = target != NULL;
    if (!target) {
        name = certified_name(r->server->server_hostname, r->pool);
        target = name ? find(name, r->pool) : NULL;
    }
    if (!target || !target->port) {
        return DECLINED;
    }
    require = required(host, target);
    if ((require != ACME_REQUIRE_TEMPORARY && require != ACME_REQUIRE_PERMANENT)
        || !acme_tls_covers(target->config->live, name)) {
        return DECLINED;
    }
    apr_table_setn(r->headers_out, "Location", location(r, name, target->port));
    return status_of(r, as_asked && require == ACME_REQUIRE_PERMANENT);
}

/* --- HSTS ------------------------------------------------------------------- */

static apr_status_t add_hsts(ap_filter_t *f, apr_bucket_brigade *brigade)
{
    request_rec *r = f->r;

    if (!apr_table_get(r->headers_out, HSTS)
        && !apr_table_get(r->err_headers_out, HSTS)) {
        apr_table_setn(r->err_headers_out, HSTS,
                       apr_psprintf(r->pool, "max-age=%d",
                                    acme_config_of(r->server)->require_age));
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, brigade);
}

void acme_require_https_filter(request_rec *r)
{
    const acme_server_config_t *config = acme_config_of(r->server);

    if (!r->main && config->require == ACME_REQUIRE_PERMANENT && config->live
        && acme_tls_ready(config->live) && ap_ssl_conn_is_ssl(r->connection)) {
        ap_add_output_filter_handle(hsts_filter, NULL, r, r->connection);
    }
}

void acme_require_https_register(void)
{
    /* behind everything that sets headers, before they are sent */
    hsts_filter = ap_register_output_filter("ACME_HSTS", add_hsts, NULL,
                                            AP_FTYPE_PROTOCOL - 1);
}
