#include "httpd/http01.h"

#include <arpa/inet.h>
#include <string.h>

#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_ssl.h>

#include "core/encode.h"
#include "httpd/config.h"
#include "httpd/live.h"
#include "httpd/log.h"
#include "httpd/tls.h"

#define PREFIX     "/.well-known/acme-challenge/"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

extern module AP_MODULE_DECLARE_DATA acme_module;

/* In the request's configuration of our module: we have answered it. */
static char has_answered;

int acme_http01_has_answered(const request_rec *r)
{
    return r->request_config
           && ap_get_module_config(r->request_config, &acme_module)
                  == &has_answered;
}

/* r->uri is still as it was sent, so an encoded slash is a '%' and no token. */
int acme_http01_is_challenge(const char **token, const request_rec *r)
{
    if (!r->uri || strncmp(r->uri, PREFIX, PREFIX_LEN)) {
        return 0;
    }
    *token = acme_token_valid(r->uri + PREFIX_LEN) ? r->uri + PREFIX_LEN : NULL;
    return 1;
}

/* The Host asked for, an IPv6 address as the CA was told it.
 * @param buffer  INET6_ADDRSTRLEN octets */
static const char *asked_host(char *buffer, const request_rec *r)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET6, r->hostname, address) == 1
        && inet_ntop(AF_INET6, address, buffer, INET6_ADDRSTRLEN)) {
        return buffer;
    }
    return r->hostname;
}

int acme_http01_answer(request_rec *r)
{
    char host[INET6_ADDRSTRLEN];
    acme_live_table_t *table = acme_live_table();
    char body[ACME_LIVE_KEY_AUTH + 1];
    const char *token;
    apr_size_t len;

    if (r->main || !table || !r->hostname || r->method_number != M_GET
        || !acme_http01_is_challenge(&token, r) || !token) {
        return DECLINED;
    }
    len = acme_live_lookup(body, table, asked_host(host, r), token);
    if (!len) {
        return DECLINED;
    }
    ap_set_module_config(r->request_config, &acme_module, &has_answered);
    r->status = HTTP_OK;
    /* answering before the request is handled ends the connection: say so */
    r->connection->keepalive = AP_CONN_CLOSE;
    ap_set_content_type(r, "application/octet-stream");
    ap_set_content_length(r, (apr_off_t)len);
    if (!r->header_only) {
        ap_rwrite(body, (int)len, r);
    }
    acme_log_msg(r->server, r->pool, ACME_I_CHALLENGE_ANSWERED, r->hostname,
                 r->useragent_ip, NULL);
    return DONE;
}

int acme_http01_not_yet(request_rec *r)
{
    const acme_server_config_t *config = acme_config_of(r->server);

    if (r->main || !config->live || acme_tls_ready(config->live)
        || !ap_ssl_conn_is_ssl(r->connection)) {
        return DECLINED;
    }
    apr_table_setn(r->err_headers_out, "Retry-After", "30");
    return HTTP_SERVICE_UNAVAILABLE;
}
