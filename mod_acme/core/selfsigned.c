/* The self-signed certificates of cert.h: for hosts without one yet, and for the
 * eyes of a CA alone. */
#include <openssl/bn.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/cert.h"
#include "core/csr.h"
#include "core/ident.h"
#include "core/key.h"

#define HOUR apr_time_from_sec(3600)
#define YEAR (365 * 24 * HOUR)

#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31" /* RFC 8737 section 3 */

static apr_status_t release(void *cert)
{
    X509_free(cert);
    return APR_SUCCESS;
}

/* Takes extension, also where it fails. */
static int add_extension(X509 *cert, X509_EXTENSION *extension)
{
    int added = extension && X509_add_ext(cert, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    return added;
}

/* Fixed texts, nothing of ours goes through the configuration parser. */
static int add_usage(X509 *cert)
{
    return add_extension(cert,
                         X509V3_EXT_nconf_nid(NULL, NULL, NID_basic_constraints,
                                              "critical,CA:FALSE"))
           && add_extension(cert,
                            X509V3_EXT_nconf_nid(NULL, NULL, NID_ext_key_usage,
                                                 "serverAuth"));
}

static int set_serial(X509 *cert)
{
    unsigned char bytes[16];
    BIGNUM *number = NULL;
    int set;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return 0;
    }
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, of fixed length */
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    set = number
          && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return set;
}

static int set_subject(X509 *cert, const char *subject)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)subject, -1, -1, 0)
               == 1
           && X509_set_issuer_name(cert, name) == 1;
}

static int set_dates(X509 *cert, apr_time_t from, apr_time_t to)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)apr_time_sec(from))
           && ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)apr_time_sec(to));
}

/* A certificate that lacks its key, extensions and signature yet; NULL if OpenSSL
 * failed. */
static X509 *begin(const char *subject, apr_time_t from, apr_time_t to)
{
    X509 *made = X509_new();

    if (made && X509_set_version(made, X509_VERSION_3) == 1 && set_serial(made)
        && set_subject(made, subject) && set_dates(made, from, to)) {
        return made;
    }
    X509_free(made);
    return NULL;
}

static int sign(X509 *cert, EVP_PKEY *key)
{
    int has_digest =
        EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");

    return X509_sign(cert, key, has_digest ? NULL : EVP_sha256()) > 0;
}

/* Gives the certificate to pool if it is whole. */
static acme_err_t *finish(X509 **cert, X509 *made, int whole, const char *name,
                          apr_pool_t *pool)
{
    if (!whole) {
        X509_free(made);
        return acme_err_ssl(pool, ACME_E_CERT_MAKE, name, NULL);
    }
    apr_pool_cleanup_register(pool, made, release, apr_pool_cleanup_null);
    *cert = made;
    return NULL;
}

acme_err_t *acme_cert_placeholder(X509 **cert, EVP_PKEY *key,
                                  const apr_array_header_t *idents,
                                  apr_time_t now, apr_pool_t *pool)
{
    X509 *made = begin("mod_acme placeholder", now, now + YEAR);
    int whole = made && acme_key_set_public(X509_get_X509_PUBKEY(made), key)
                && add_usage(made)
                && add_extension(made, acme_csr_names(idents))
                && sign(made, key);

    return finish(cert, made, whole, acme_idents_text(idents, 3, pool), pool);
}

/* --- tls-alpn-01 ------------------------------------------------------------ */

/* Critical, and its value the DER of an OCTET STRING. */
static X509_EXTENSION *acme_identifier(
    const unsigned char digest[ACME_ALPN_DIGEST])
{
    unsigned char der[2 + ACME_ALPN_DIGEST] = { V_ASN1_OCTET_STRING,
                                                ACME_ALPN_DIGEST };
    ASN1_OBJECT *type = OBJ_txt2obj(ACME_IDENTIFIER, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;

    memcpy(der + 2, digest, ACME_ALPN_DIGEST);
    if (type && value && ASN1_OCTET_STRING_set(value, der, sizeof(der)) == 1) {
        extension = X509_EXTENSION_create_by_OBJ(NULL, type, 1, value);
    }
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(type);
    return extension;
}

acme_err_t *acme_cert_challenge(X509 **cert, EVP_PKEY *key, acme_ident_t *ident,
                                const unsigned char digest[ACME_ALPN_DIGEST],
                                apr_time_t now, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 1, sizeof(acme_ident_t *));
    X509 *made = begin("mod_acme challenge", now - HOUR, now + 24 * HOUR);
    int whole;

    APR_ARRAY_PUSH(names, acme_ident_t *) = ident;
    /* used as it is, so the slower way, which knows the key's parts as well */
    whole = made && X509_set_pubkey(made, key) == 1
            && add_extension(made, acme_csr_names(names))
            && add_extension(made, acme_identifier(digest)) && sign(made, key);
    return finish(cert, made, whole, ident->value, pool);
}
