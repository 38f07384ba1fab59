/**
 * Secrets in files that root alone can read: of AcmeExternalAccount, and the keys
 * of AcmeAccountKey. Read before the fork, kept in memory only.
 */
#ifndef ACME_SECRETS_H
#define ACME_SECRETS_H

#include <httpd.h>

/** Read all that directives name, each file once; what cannot be used is logged, and told
 *  again by each certificate that needs it (the fault of acme_external_t and
 *  acme_account_key_t).
 *  @param run  whether pass phrase programs may be run; without, an encrypted key
 *              with a program is left unread */
void acme_secrets_read(server_rec *s, int run, apr_pool_t *pconf,
                       apr_pool_t *scratch);

#endif
