/**
 * As much of httpd as directives and requests need, with one server in it, which
 * has one certificate.
 */
#ifndef ACME_FUZZ_HTTPD_H
#define ACME_FUZZ_HTTPD_H

#include <httpd.h>

/** The server, configured anew. @param pool  pconf */
server_rec *fuzz_server(apr_pool_t *pool);

/** The same server, for as long as the process lives. */
server_rec *fuzz_lasting_server(void);

/** What ap_rwrite was given since this was called last; "" for nothing. */
const char *fuzz_written(void);

#endif
