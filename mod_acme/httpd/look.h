/**
 * The look at the configuration before a reload (reload.h), on the side of the child
 * that does it: "httpd -t", told by its environment what the server has read.
 */
#ifndef ACME_LOOK_H
#define ACME_LOOK_H

#include <httpd.h>

/** In the environment of that child: acme_look_digest of the server. */
#define ACME_LOOK_VARIABLE "ACME_LOOK"
/** Its exit status: it has read something else. No signal, and none of httpd's. */
#define ACME_LOOK_DIFFERS 75

/** SHA-256, in hexadecimal, of the directives that httpd has read, with those of
 *  files that it includes and with the secrets in them, and of the modules that it has
 *  loaded. Not of files that they name. */
const char *acme_look_digest(apr_pool_t *pool);

/** Part of the check_config hook of httpd -t. Nothing outside such a child. Ends the
 *  process with ACME_LOOK_DIFFERS, or tells which files would not let the server
 *  start.
 *  @return how many certificates */
int acme_look_compare(server_rec *s, apr_pool_t *ptemp);

#endif
