#include "httpd.h"

#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_ssl.h>
#include <util_filter.h>

#include "fuzz.h"
#include "httpd/config.h"
#include "httpd/hostnames.h"
#include "httpd/log.h"
#include "httpd/tls.h"

#undef ap_http_scheme

module AP_MODULE_DECLARE_DATA acme_module; /* its index is 0 */
AP_DECLARE_DATA ap_directive_t *ap_conftree;

static process_rec process;
static char written[512];

/* --- the server -------------------------------------------------------------- */

server_rec *fuzz_server(apr_pool_t *pool)
{
    server_rec *server = apr_pcalloc(pool, sizeof(*server));
    void **configs = apr_pcalloc(pool, sizeof(void *));

    server->process = &process;
    server->server_hostname = apr_pstrdup(pool, "shop.example");
    server->module_config = (struct ap_conf_vector_t *)configs;
    configs[0] = acme_config_create(pool, server);
    return server;
}

server_rec *fuzz_lasting_server(void)
{
    static server_rec *server;

    if (!server) {
        apr_pool_create(&process.pool, NULL);
        server = fuzz_server(process.pool);
    }
    return server;
}

const char *fuzz_written(void)
{
    static char last[sizeof(written)];

    memcpy(last, written, sizeof(written));
    *written = '\0';
    return last;
}

/* --- what httpd has ------------------------------------------------------------ */

AP_DECLARE(char *) ap_server_root_relative(apr_pool_t *p, const char *fname)
{
    return *fname == '/' ? apr_pstrdup(p, fname)
                         : apr_pstrcat(p, "/etc/apache2/", fname, NULL);
}

AP_DECLARE(int) ap_state_query(int query_code)
{
    (void)query_code;
    return AP_SQ_RM_NORMAL;
}

AP_DECLARE(const char *)
ap_check_cmd_context(cmd_parms *cmd, unsigned forbidden)
{
    (void)cmd;
    (void)forbidden;
    return NULL;
}

AP_DECLARE(const char *)
ap_walk_config(ap_directive_t *conftree, cmd_parms *parms,
               ap_conf_vector_t *section_vector)
{
    (void)conftree;
    (void)parms;
    (void)section_vector;
    return NULL;
}

AP_DECLARE(char *) ap_getword_conf(apr_pool_t *p, const char **line)
{
    apr_size_t len = strcspn(*line, " \t");
    char *word = apr_pstrmemdup(p, *line, len);

    *line += len + strspn(*line + len, " \t");
    return word;
}

AP_DECLARE(void *) ap_retained_data_get(const char *key)
{
    (void)key;
    return NULL;
}

AP_DECLARE(void *) ap_retained_data_create(const char *key, apr_size_t size)
{
    (void)key;
    return apr_pcalloc(process.pool, size);
}

AP_DECLARE(int) ap_ssl_conn_is_ssl(conn_rec *c)
{
    (void)c;
    return 0;
}

AP_DECLARE(const char *) ap_run_http_scheme(const request_rec *r)
{
    (void)r;
    return "http";
}

AP_DECLARE(int) ap_rwrite(const void *buf, int nbyte, request_rec *r)
{
    (void)r;
    FUZZ_MUST(nbyte >= 0 && nbyte < (int)sizeof(written));
    memcpy(written, buf, (size_t)nbyte);
    written[nbyte] = '\0';
    return nbyte;
}

AP_DECLARE(void) ap_set_content_type(request_rec *r, const char *ct)
{
    r->content_type = ct;
}

AP_DECLARE(void) ap_set_content_length(request_rec *r, apr_off_t length)
{
    r->clength = length;
}

AP_DECLARE(ap_filter_rec_t *)
ap_register_output_filter(const char *name, ap_out_filter_func filter_func,
                          ap_init_filter_func filter_init, ap_filter_type ftype)
{
    (void)name;
    (void)filter_func;
    (void)filter_init;
    (void)ftype;
    return NULL;
}

AP_DECLARE(ap_filter_t *)
ap_add_output_filter_handle(ap_filter_rec_t *f, void *ctx, request_rec *r,
                            conn_rec *c)
{
    (void)f;
    (void)ctx;
    (void)r;
    (void)c;
    return NULL;
}

AP_DECLARE(void) ap_remove_output_filter(ap_filter_t *f)
{
    (void)f;
}

AP_DECLARE(apr_status_t)
ap_pass_brigade(ap_filter_t *filter, apr_bucket_brigade *bucket)
{
    (void)filter;
    (void)bucket;
    return APR_SUCCESS;
}

AP_DECLARE(int)
ap_array_str_contains(const apr_array_header_t *array, const char *s)
{
    (void)array;
    (void)s;
    return 1;
}

/* --- what the module has -------------------------------------------------------- */

void acme_log_msg(server_rec *s, apr_pool_t *scratch, acme_msg_t msg, ...)
{
    (void)s;
    (void)scratch;
    (void)msg;
}

void acme_log_err(server_rec *s, const char *prefix, const acme_err_t *err,
                  apr_pool_t *scratch)
{
    (void)s;
    (void)prefix;
    fuzz_ok(err, scratch);
}

int acme_tls_ready(const acme_live_t *live)
{
    (void)live;
    return 1;
}

void acme_tls_choose(SSL *ssl, acme_live_t *live)
{
    (void)ssl;
    (void)live;
}

int acme_tls_covers(acme_live_t *live, const char *name)
{
    (void)live;
    (void)name;
    return 1;
}

const char *acme_hostnames_where(const server_rec *s, apr_pool_t *pool)
{
    (void)s;
    return apr_pstrdup(pool, "shop.conf:12");
}
