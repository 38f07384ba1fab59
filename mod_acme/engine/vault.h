/**
 * What only a pass phrase opens: scrypt (RFC 7914) and AES-256-GCM. A line of text
 * that says how, then what is encrypted and 16 octets of tag; the line is
 * authenticated with it.
 *
 *   mod_acme backup 1 scrypt 131072 8 1 <salt> <nonce>
 */
#ifndef ACME_VAULT_H
#define ACME_VAULT_H

#include <apr_pools.h>

#include "core/err.h"

/** @return E_BACKUP_MAKE */
acme_err_t *acme_vault_seal(const unsigned char **sealed,
                            apr_size_t *sealed_len, const char *phrase,
                            const char *text, apr_pool_t *pool) ACME_MUST_CHECK;

/** @param text  NUL terminated, zeroed when pool is cleaned
 *  @param what  the file's name, for messages
 *  @return E_BACKUP_OPEN: it is none, damaged, or of another pass phrase (those two
 *          cannot be told apart) */
acme_err_t *acme_vault_open(const char **text, apr_size_t *len,
                            const char *phrase, const unsigned char *sealed,
                            apr_size_t sealed_len, const char *what,
                            apr_pool_t *pool) ACME_MUST_CHECK;

#endif
