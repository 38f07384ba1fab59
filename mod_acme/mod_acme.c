/** The module record and the list of its hooks, nothing else. */
#include <httpd.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>
#include <ap_mpm.h>
#include <mpm_common.h>
#include <mod_ssl.h>
#include <mod_status.h>
#include <openssl/ssl.h>

#include "httpd/config.h"
#include "httpd/hits.h"
#include "httpd/http01.h"
#include "httpd/page.h"
#include "httpd/reload.h"
#include "httpd/require_https.h"
#include "httpd/runner.h"
#include "httpd/start.h"
#include "httpd/status.h"
#include "httpd/tlsalpn.h"

/* mod_ssl_openssl.h is not installed by every distribution. */
APR_DECLARE_EXTERNAL_HOOK(ssl, SSL, int, init_server,
                          (server_rec * s, apr_pool_t *p, int is_proxy,
                           SSL_CTX *ctx))
APR_DECLARE_EXTERNAL_HOOK(ssl, SSL, int, pre_handshake,
                          (conn_rec * c, SSL *ssl, int is_proxy))
APR_DECLARE_EXTERNAL_HOOK(ssl, SSL, int, answer_challenge,
                          (conn_rec * c, const char *server_name, X509 **cert,
                           EVP_PKEY **key))

static void register_hooks(apr_pool_t *pool)
{
    static const char *const before_ssl[] = { "mod_ssl.c", NULL };
    static const char *const after_ssl[] = { "mod_ssl.c", NULL };
    static const char *const before_watchdog[] = { "mod_watchdog.c", NULL };

    (void)pool;
    /* configuration */
    ap_hook_check_config(acme_start_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* start and reload */
    ap_hook_post_config(acme_start_before_ssl, NULL, before_ssl,
                        APR_HOOK_FIRST);
    ap_hook_ssl_add_cert_files(acme_start_cert_files, NULL, NULL,
                               APR_HOOK_MIDDLE);
    ap_hook_ssl_add_fallback_cert_files(acme_start_fallback_files, NULL, NULL,
                                        APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(ssl, init_server, acme_start_ssl_ctx, NULL, NULL,
                      APR_HOOK_LAST);
    ap_hook_post_config(acme_start_after_ssl, after_ssl, before_watchdog,
                        APR_HOOK_LAST);
    /* children */
    ap_hook_child_init(acme_runner_child_init, NULL, NULL,
                       APR_HOOK_REALLY_FIRST);
    ap_hook_child_stopping(acme_runner_child_stopping, NULL, NULL,
                           APR_HOOK_MIDDLE);
    /* the parent, now and then */
    ap_hook_monitor(acme_reload_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    /* handshakes */
    APR_OPTIONAL_HOOK(ssl, pre_handshake, acme_tlsalpn_pre_handshake, NULL,
                      NULL, APR_HOOK_MIDDLE);
    ap_hook_protocol_propose(acme_tlsalpn_propose, NULL, NULL, APR_HOOK_MIDDLE);
    /* before mod_md, which takes every acme-tls/1 for its own */
    ap_hook_protocol_switch(acme_tlsalpn_switch, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_protocol_get(acme_tlsalpn_get, NULL, NULL, APR_HOOK_FIRST);
    APR_OPTIONAL_HOOK(ssl, answer_challenge, acme_tlsalpn_answer, NULL, NULL,
                      APR_HOOK_MIDDLE);
    ap_hook_process_connection(acme_tlsalpn_close, after_ssl, NULL,
                               APR_HOOK_MIDDLE);
    /* requests */
    ap_hook_post_read_request(acme_http01_answer, NULL, NULL,
                              APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(acme_http01_not_yet, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_quick_handler(acme_require_https_redirect, NULL, NULL,
                          APR_HOOK_REALLY_FIRST);
    acme_require_https_register();
    ap_hook_insert_filter(acme_require_https_filter, NULL, NULL,
                          APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(acme_require_https_filter, NULL, NULL,
                                APR_HOOK_MIDDLE);
    ap_hook_handler(acme_page_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(acme_hits_request, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, acme_status_section, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(acme) = {
    STANDARD20_MODULE_STUFF,
    NULL,
    NULL,
    acme_config_create,
    acme_config_merge,
    acme_config_directives,
    register_hooks,
    /* a host without any of our directives has a configuration of its own, too */
    AP_MODULE_FLAG_ALWAYS_MERGE,
};
