/**
 * Private keys: of accounts and of certificates. OpenSSL 3 EVP only.
 */
#ifndef ACME_KEY_H
#define ACME_KEY_H

#include <apr_pools.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"

typedef enum acme_key_type_t {
    ACME_KEY_ECDSA_P256,
    ACME_KEY_ECDSA_P384,
    ACME_KEY_RSA2048,
    ACME_KEY_RSA3072,
    ACME_KEY_RSA4096,
} acme_key_type_t;
#define ACME_KEY_TYPES 5

/** TLS serves one certificate of each family at a time. */
typedef enum acme_family_t {
    ACME_FAMILY_ECDSA,
    ACME_FAMILY_RSA,
} acme_family_t;
#define ACME_FAMILIES 2

/** "ecdsa-p256", "rsa2048" ...; static. */
const char *acme_key_type_name(acme_key_type_t type);
/** @return 0 and *type, or -1 if no type has this name (case ignored) */
int acme_key_type_parse(acme_key_type_t *type, const char *name);
acme_family_t acme_key_family(acme_key_type_t type);
/** "ecdsa", "rsa"; static. */
const char *acme_family_name(acme_family_t family);
/** The type of an existing key. @return 0, or -1 for a key of another kind */
int acme_key_type_of(acme_key_type_t *type, const EVP_PKEY *key);

/** @param pool  EVP_PKEY_free of *key is registered as its cleanup
 *  @return E_KEY_MAKE */
acme_err_t *acme_key_make(EVP_PKEY **key, acme_key_type_t type,
                          apr_pool_t *pool) ACME_MUST_CHECK;

/** Asked now and then while a key is made. @return 0 to give it up */
typedef int acme_key_go_on_fn_t(void *baton);

/** acme_key_make for a thread without pools, which may have to end before an RSA
 *  key is found (seconds).
 *  @return NULL: given up, or OpenSSL failed and its error queue says why */
EVP_PKEY *acme_key_generate(acme_key_type_t type, acme_key_go_on_fn_t *go_on,
                            void *baton);
/** Free key with pool. */
void acme_key_own(EVP_PKEY *key, apr_pool_t *pool);

/** Write the public key into a certificate's or request's key field. What
 *  X509_set_pubkey does, in a thirtieth of the time for EC keys: that one looks
 *  for an encoder anew each time. @return 0 if OpenSSL failed */
int acme_key_set_public(X509_PUBKEY *field, EVP_PKEY *key);

/** PKCS#8 DER, unencrypted; *der is zeroed when pool is cleaned. */
acme_err_t *acme_key_to_der(const unsigned char **der, apr_size_t *len,
                            EVP_PKEY *key, apr_pool_t *pool) ACME_MUST_CHECK;
/** @return E_KEY_PARSE */
acme_err_t *acme_key_from_der(EVP_PKEY **key, const unsigned char *der,
                              apr_size_t len, apr_pool_t *pool) ACME_MUST_CHECK;
/** PKCS#8 PEM, unencrypted, NUL terminated, zeroed when pool is cleaned. */
acme_err_t *acme_key_to_pem(const char **pem, EVP_PKEY *key,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Unencrypted PEM, one key; nobody is ever asked for a pass phrase.
 *  @return E_KEY_PARSE */
acme_err_t *acme_key_from_pem(EVP_PKEY **key, const char *pem, apr_size_t len,
                              apr_pool_t *pool) ACME_MUST_CHECK;
/** A key that somebody else made, for an account: PEM (PKCS#8, SEC1, PKCS#1;
 *  encrypted or not), or a JSON Web Key with its private part, as certbot keeps it
 *  in private_key.json.
 *  @param what    its path, for the message
 *  @param text    NUL terminated after len octets
 *  @param phrase  for encrypted PEM, or NULL
 *  @return E_ACCOUNT_KEY: says what is wrong with it; E_MEMORY */
acme_err_t *acme_key_adopt(EVP_PKEY **key, const char *what, const char *text,
                           apr_size_t len, const char *phrase,
                           apr_pool_t *pool) ACME_MUST_CHECK;
/** The same with a pass phrase of any octets, such as another program keeps.
 *  @param phrase  or NULL */
acme_err_t *acme_key_adopt_bytes(EVP_PKEY **key, const char *what,
                                 const char *text, apr_size_t len,
                                 const void *phrase, apr_size_t phrase_len,
                                 apr_pool_t *pool) ACME_MUST_CHECK;
/** What a TLSA record 3 1 1 says of the key: SHA-256 of its SubjectPublicKeyInfo,
 *  64 hexadecimal digits. RFC 6698 section 2.1. NULL: OpenSSL failed */
const char *acme_key_tlsa(EVP_PKEY *key, apr_pool_t *pool);
/** Whether the private half belongs to the public half. (EVP_PKEY_eq compares
 *  public halves only.) Milliseconds for RSA. */
int acme_key_sound(EVP_PKEY *key);

#endif
