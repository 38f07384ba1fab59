/**
 * As much of httpd as directives and requests need, with one server in it, which
 * has one certificate.
 */
#ifndef ACME_FUZZ_HTTPD_H
#define ACME_FUZZ_HTTPD_H

#include <httpd.h>

#include "core/ident.h"

/** The server, configured anew. @param pool  pconf */
server_rec *fuzz_server(apr_pool_t *pool);

/** The same server, for as long as the process lives. */
server_rec *fuzz_lasting_server(void);

/** Of every challenge that is open on fuzz_site. */
#define FUZZ_TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define FUZZ_PROOF FUZZ_TOKEN ".NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

/** shop.example: the one name of its certificate. */
extern const acme_ident_t fuzz_shop;

/** The lasting server, with challenges open: of shop.example (http-01,
 *  tls-alpn-01) and of 2001:db8::1 (http-01). */
server_rec *fuzz_site(void);

/** What ap_rwrite was given since this was called last; "" for nothing. */
const char *fuzz_written(void);

#endif
