/**
 * The answer to a client that asks for an OCSP response in the handshake
 * (RFC 6066 section 8). In managed hosts it is ours alone while an engine works for
 * this server (led.h): mod_ssl's own stapling (2.4) knows the certificates of the
 * start only, and asks their responder while the client waits. Its SSLUseStapling
 * is what says that a host staples; its other settings of that name have no effect
 * there as long as ours is at work.
 */
#ifndef ACME_STAPLING_H
#define ACME_STAPLING_H

#include <httpd.h>
#include <openssl/ssl.h>

#include "httpd/tls.h"

/** mod_ssl's SSL_CTX of a host that serves live, with everything set up by
 *  mod_ssl.
 *  @return whether the host has SSLUseStapling */
int acme_stapling_attach(SSL_CTX *ctx, const acme_live_t *live,
                         apr_pool_t *pconf);

#endif
