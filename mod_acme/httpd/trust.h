/**
 * Files of trust anchors: of AcmeCATrustFile, and of proxies in AcmeProxy. The
 * engine reads them; here is only said beforehand what is wrong with them.
 */
#ifndef ACME_TRUST_H
#define ACME_TRUST_H

#include <httpd.h>

#include "httpd/config.h"

/** One that directives name; the place is that of the first. */
typedef struct acme_trust_t {
    const char *path;
    const char *directive;
    acme_where_t where;
} acme_trust_t;

/** A directive names this file. Looked at only under httpd -t, and there once:
 *  a file that is gone must not keep a server from its reload.
 *  @return NULL, or a sentence */
const char *acme_trust_add(const char **path, const char *name, cmd_parms *cmd);

/** Warn of those that cannot be used, each once. */
void acme_trust_tell(server_rec *s, apr_pool_t *scratch);

#endif
