/**
 * Start and reload: what happens in post_config, in order, for all hosts. Read
 * this file to follow a certificate from its directive to the handshake:
 *
 *   acme_start_check_config  what can be told before (config.h)
 *   acme_start_before_ssl    who is to be managed (managed.h); the store
 *   acme_start_cert_files    mod_ssl asks per TLS host: fresh sets are promoted,
 *                            the set in service or a placeholder is handed over
 *   acme_start_ssl_ctx       the callback that follows later issues (tls.h)
 *   acme_start_after_ssl     the live table, the engine (runner.h)
 *
 * httpd runs all of it twice at a start. The first pass adopts nothing and starts
 * no engine; it writes only what is missing: placeholders, which mod_ssl asks for
 * in both passes, and the store they are kept in.
 */
#ifndef ACME_START_H
#define ACME_START_H

#include <httpd.h>
#include <openssl/ssl.h>

int acme_start_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                            apr_pool_t *ptemp, server_rec *s);
int acme_start_before_ssl(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *s);
int acme_start_cert_files(server_rec *s, apr_pool_t *pool,
                          apr_array_header_t *cert_files,
                          apr_array_header_t *key_files);
/** For a host that AcmeManage wants and that cannot be managed: mod_ssl answers
 *  503 on it and starts, instead of ending the start of every site. Not for one
 *  that has a certificate by SSLOpenSSLConfCmd. */
int acme_start_fallback_files(server_rec *s, apr_pool_t *pool,
                              apr_array_header_t *cert_files,
                              apr_array_header_t *key_files);
int acme_start_ssl_ctx(server_rec *s, apr_pool_t *pool, int is_proxy,
                       SSL_CTX *ctx);
int acme_start_after_ssl(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                         server_rec *s);

#endif
