#include "httpd/stapling.h"

#include <openssl/tls1.h>

#include "httpd/led.h"
#include "httpd/live.h"
#include "httpd/staples.h"

typedef struct stapler_t {
    const acme_live_t *live;
    int wanted;                    /* SSLUseStapling */
    int (*mod_ssl)(SSL *, void *); /* NULL unless wanted */
} stapler_t;

/* Where no engine fetches responses, for want of a live table, of mod_watchdog or
 * of the store's lease, mod_ssl staples what it was given as if we were not
 * there. */
static int leave_to_mod_ssl(SSL *ssl, const stapler_t *stapler)
{
    return stapler->mod_ssl ? stapler->mod_ssl(ssl, NULL)
                            : SSL_TLSEXT_ERR_NOACK;
}

/* A client has asked for a response; the certificate is chosen.
 * SSL_CTX_set_tlsext_status_cb(3). Reads memory, nothing else. */
static int staple(SSL *ssl, void *data)
{
    const stapler_t *stapler = data;
    const acme_slot_t *slot = acme_tls_slot(stapler->live);
    const X509 *cert = SSL_get_certificate(ssl);
    apr_time_t now = apr_time_now();
    unsigned char *der = NULL;
    int i, len = 0;

    if (!cert || !slot || !acme_live_staples(slot, 0)) {
        return leave_to_mod_ssl(ssl, stapler);
    }
    for (i = 0; i < ACME_FAMILIES && !len; ++i) {
        len = acme_staples_get(&der, acme_live_staples(slot, i),
                               X509_get0_serialNumber(cert), stapler->wanted,
                               now);
    }
    if (!len) {
        return acme_led_is(now) ? SSL_TLSEXT_ERR_NOACK
                                : leave_to_mod_ssl(ssl, stapler);
    }
    SSL_set_tlsext_status_ocsp_resp(ssl, der, len); /* owns der now */
    return SSL_TLSEXT_ERR_OK;
}

int acme_stapling_attach(SSL_CTX *ctx, const acme_live_t *live,
                         apr_pool_t *pconf)
{
    stapler_t *stapler = apr_pcalloc(pconf, sizeof(*stapler));

    SSL_CTX_get_tlsext_status_cb(ctx, &stapler->mod_ssl);
    stapler->wanted = stapler->mod_ssl != NULL;
    stapler->live = live;
    SSL_CTX_set_tlsext_status_cb(ctx, staple);
    SSL_CTX_set_tlsext_status_arg(ctx, stapler);
    return stapler->wanted;
}
