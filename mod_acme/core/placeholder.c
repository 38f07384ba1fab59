/* The self-signed certificate of cert.h for hosts without one yet. */
#include <openssl/bn.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "core/cert.h"
#include "core/csr.h"
#include "core/ident.h"
#include "core/key.h"

#define YEAR apr_time_from_sec(365 * 86400)

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

static int set_subject(X509 *cert)
{
    static const unsigned char subject[] = "mod_acme placeholder";
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      subject, -1, -1, 0)
               == 1
           && X509_set_issuer_name(cert, name) == 1;
}

acme_err_t *acme_cert_placeholder(X509 **cert, EVP_PKEY *key,
                                  const apr_array_header_t *idents,
                                  apr_time_t now, apr_pool_t *pool)
{
    X509 *made = X509_new();

    if (!made || X509_set_version(made, X509_VERSION_3) != 1
        || !set_serial(made) || !set_subject(made)
        || !ASN1_TIME_set(X509_getm_notBefore(made), (time_t)apr_time_sec(now))
        || !ASN1_TIME_set(X509_getm_notAfter(made),
                          (time_t)apr_time_sec(now + YEAR))
        || !acme_key_set_public(X509_get_X509_PUBKEY(made), key)
        || !add_usage(made) || !add_extension(made, acme_csr_names(idents))
        || X509_sign(made, key, EVP_sha256()) <= 0) {
        X509_free(made);
        return acme_err_ssl(pool, ACME_E_CERT_MAKE,
                            acme_idents_text(idents, 3, pool), NULL);
    }
    apr_pool_cleanup_register(pool, made, release, apr_pool_cleanup_null);
    *cert = made;
    return NULL;
}
