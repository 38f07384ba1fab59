/**
 * Sealing: what the worker writes to disk of keys is encrypted under a secret
 * that root reads before it forks, so that a hole which reads files as the
 * worker's user yields no key. AES-256-GCM; NIST SP 800-38D.
 */
#ifndef ACME_SEAL_H
#define ACME_SEAL_H

#include <apr_pools.h>

#include "core/err.h"

#define ACME_SEAL_SECRET 32

/** @param secret   ACME_SEAL_SECRET octets
 *  @param binding  what the data is and of whom ("fresh shop.example ecdsa 7"):
 *                  authenticated, so that sealed files cannot be swapped
 *  @param sealed   magic, random nonce, tag, ciphertext; from pool */
acme_err_t *acme_seal(const unsigned char **sealed, apr_size_t *sealed_len,
                      const unsigned char *secret, const char *binding,
                      const unsigned char *data, apr_size_t len,
                      apr_pool_t *pool) ACME_MUST_CHECK;

/** @param data  zeroed when pool is cleaned
 *  @return E_SEAL: damaged, of another binding or under another secret */
acme_err_t *acme_unseal(const unsigned char **data, apr_size_t *len,
                        const unsigned char *secret, const char *binding,
                        const unsigned char *sealed, apr_size_t sealed_len,
                        apr_pool_t *pool) ACME_MUST_CHECK;

#endif
