/**
 * The answer to tls-alpn-01 (RFC 8737): a handshake for acme-tls/1 and nothing
 * else, of a name whose control is being proved, is shown a certificate made for
 * the occasion. Other visitors of the host never see it, and nothing is said
 * after the handshake.
 *
 *   pre_handshake   remember the handshake, so that the others find it
 *   propose         ALPN, TLS 1.2 and 1.3 alike: is it one of ours?
 *   switch, get     then the connection speaks acme-tls/1
 *   answer          mod_ssl asks for the certificate
 *   close           after the handshake: the end
 */
#ifndef ACME_TLSALPN_H
#define ACME_TLSALPN_H

#include <httpd.h>
#include <openssl/ssl.h>

#define ACME_TLSALPN_PROTOCOL "acme-tls/1"

/** Let the host's TLS connections choose acme-tls/1, whatever Protocols says.
 *  In post_config. */
void acme_tlsalpn_allow(server_rec *s, apr_pool_t *pconf);

int acme_tlsalpn_pre_handshake(conn_rec *c, SSL *ssl, int is_proxy);
int acme_tlsalpn_propose(conn_rec *c, request_rec *r, server_rec *s,
                         const apr_array_header_t *offers,
                         apr_array_header_t *proposals);
int acme_tlsalpn_switch(conn_rec *c, request_rec *r, server_rec *s,
                        const char *protocol);
const char *acme_tlsalpn_get(const conn_rec *c);
int acme_tlsalpn_answer(conn_rec *c, const char *server_name, X509 **cert,
                        EVP_PKEY **key);
int acme_tlsalpn_close(conn_rec *c);

#endif
