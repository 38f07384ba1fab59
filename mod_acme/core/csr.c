#include "core/csr.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "core/encode.h"
#include "core/ident.h"
#include "core/key.h"

#define TLSEXT_STATUS_REQUEST 5 /* RFC 6066, named by RFC 7633 */

/* --- the subject ----------------------------------------------------------- */

/* Upper bounds of RFC 5280 appendix A.1, in characters. */
static const struct {
    const char *name;
    int nid;
    apr_size_t most;
} attributes[] = {
    { "C", NID_countryName, 2 },
    { "ST", NID_stateOrProvinceName, 128 },
    { "L", NID_localityName, 128 },
    { "O", NID_organizationName, 64 },
    { "OU", NID_organizationalUnitName, 64 },
    { "emailAddress", NID_pkcs9_emailAddress, 255 },
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

static int find_attribute(const char *name, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < ATTRIBUTES; i++) {
        if (strlen(attributes[i].name) == len
            && !strncasecmp(attributes[i].name, name, len)) {
            return (int)i;
        }
    }
    return -1;
}

/* Characters of UTF-8 text; 0 where it is not that, or has control
 * characters. */
static apr_size_t count_characters(const char *text, apr_pool_t *pool)
{
    apr_size_t len = strlen(text), count = 0;

    if (strcmp(acme_encode_printable(text, len, pool), text)) {
        return 0;
    }
    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static int is_ascii(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text > 0x7e) {
            return 0;
        }
    }
    return 1;
}

/* @return NULL, or what is wrong with it */
static const char *value_fault(int which, const char *value, apr_pool_t *pool)
{
    apr_size_t count = count_characters(value, pool);

    if (!count) {
        return "it is empty, or not printable UTF-8";
    }
    if (attributes[which].nid == NID_countryName) {
        return strlen(value) == 2 && value[0] >= 'A' && value[0] <= 'Z'
                       && value[1] >= 'A' && value[1] <= 'Z'
                   ? NULL
                   : "a country is two capital letters, such as DE";
    }
    if (count > attributes[which].most) {
        return apr_psprintf(pool,
                            "it is longer than %" APR_SIZE_T_FMT " characters",
                            attributes[which].most);
    }
    if (attributes[which].nid == NID_pkcs9_emailAddress
        && (!is_ascii(value) || !strchr(value, '@'))) {
        return "it is not a mail address in ASCII";
    }
    return NULL;
}

acme_err_t *acme_csr_attribute_parse(acme_csr_attribute_t *attribute,
                                     const char *text, apr_pool_t *pool)
{
    const char *equals = strchr(text, '='), *fault;
    int which = equals ? find_attribute(text, (apr_size_t)(equals - text)) : -1;

    fault = which < 0 ? "allowed are C, ST, L, O, OU and emailAddress, each "
                        "with = and a value"
                      : value_fault(which, equals + 1, pool);
    if (fault) {
        return acme_err_make(pool, ACME_E_SUBJECT, text, fault, NULL);
    }
    attribute->name = attributes[which].name;
    attribute->value = apr_pstrdup(pool, equals + 1);
    return NULL;
}

static int set_subject(X509_REQ *request, const apr_array_header_t *subject)
{
    X509_NAME *name = X509_REQ_get_subject_name(request);
    int i;

    for (i = 0; subject && i < subject->nelts; i++) {
        const acme_csr_attribute_t *one =
            &APR_ARRAY_IDX(subject, i, acme_csr_attribute_t);
        int which = find_attribute(one->name, strlen(one->name));

        /* OpenSSL's own tables pick the string type of each. */
        if (which < 0
            || X509_NAME_add_entry_by_NID(
                   name, attributes[which].nid, MBSTRING_UTF8,
                   (const unsigned char *)one->value, -1, -1, 0)
                   != 1) {
            return 0;
        }
    }
    return 1;
}

/* --- names and extensions --------------------------------------------------- */

/* Octets that go into the name. @return 0 if ident has no value of its type */
static int name_octets(unsigned char *octets, const acme_ident_t *ident)
{
    apr_size_t length = strlen(ident->value);

    if (ident->type == ACME_IDENT_IP) {
        return inet_pton(AF_INET, ident->value, octets) == 1    ? 4
               : inet_pton(AF_INET6, ident->value, octets) == 1 ? 16
                                                                : 0;
    }
    if (length > 253) {
        return 0;
    }
    memcpy(octets, ident->value, length);
    return (int)length;
}

/* Typed by calls, never through text: a comma in a name stays in the name. */
static GENERAL_NAME *general_name(const acme_ident_t *ident)
{
    int ip = ident->type == ACME_IDENT_IP;
    unsigned char octets[256];
    int length = name_octets(octets, ident);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value =
        ASN1_STRING_type_new(ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    if (!length || !name || !value
        || ASN1_STRING_set(value, octets, length) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, ip ? GEN_IPADD : GEN_DNS, value);
    return name;
}

X509_EXTENSION *acme_csr_names(const apr_array_header_t *idents)
{
    X509_EXTENSION *extension = NULL;
    GENERAL_NAMES *names = NULL;
    int i;

    if (idents->nelts < 1 || idents->nelts > ACME_MAX_IDENTS) {
        return NULL;
    }
    names = GENERAL_NAMES_new();
    for (i = 0; names && i < idents->nelts; i++) {
        GENERAL_NAME *name =
            general_name(APR_ARRAY_IDX(idents, i, acme_ident_t *));

        if (!name || sk_GENERAL_NAME_push(names, name) < 1) {
            GENERAL_NAME_free(name);
            goto cleanup;
        }
    }
    if (names) {
        extension = X509V3_EXT_i2d(NID_subject_alt_name, 0, names);
    }
cleanup:
    GENERAL_NAMES_free(names);
    return extension;
}

static X509_EXTENSION *tls_feature(void)
{
    X509_EXTENSION *extension = NULL;
    TLS_FEATURE *features = TLS_FEATURE_new();
    ASN1_INTEGER *status = ASN1_INTEGER_new();

    if (!features || !status
        || ASN1_INTEGER_set(status, TLSEXT_STATUS_REQUEST) != 1
        || sk_ASN1_INTEGER_push(features, status) < 1) {
        ASN1_INTEGER_free(status);
    }
    else {
        extension = X509V3_EXT_i2d(NID_tlsfeature, 0, features);
    }
    TLS_FEATURE_free(features);
    return extension;
}

/* Takes extension, also where it fails. */
static int push(STACK_OF(X509_EXTENSION) *extensions, X509_EXTENSION *extension)
{
    if (extension && sk_X509_EXTENSION_push(extensions, extension) > 0) {
        return 1;
    }
    X509_EXTENSION_free(extension);
    return 0;
}

static int set_extensions(X509_REQ *request, const apr_array_header_t *idents,
                          const acme_csr_options_t *options)
{
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    int done = extensions && push(extensions, acme_csr_names(idents))
               && (!options || !options->must_staple
                   || push(extensions, tls_feature()))
               && X509_REQ_add_extensions(request, extensions) == 1;

    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return done;
}

acme_err_t *acme_csr_make(const char **csr, EVP_PKEY *key,
                          const apr_array_header_t *idents,
                          const acme_csr_options_t *options, apr_pool_t *pool)
{
    X509_REQ *request = X509_REQ_new();
    unsigned char *der = NULL;
    acme_err_t *err = NULL;
    int length;

    if (!request || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1
        || !acme_key_set_public(X509_REQ_get_X509_PUBKEY(request), key)
        || !set_subject(request, options ? options->subject : NULL)
        || !set_extensions(request, idents, options)
        || X509_REQ_sign(request, key, EVP_sha256()) <= 0
        || (length = i2d_X509_REQ(request, &der)) <= 0) {
        err = acme_err_ssl(pool, ACME_E_CSR_MAKE,
                           acme_idents_text(idents, 3, pool), NULL);
        goto cleanup;
    }
    *csr = acme_encode_base64url(der, (apr_size_t)length, pool);
cleanup:
    OPENSSL_free(der);
    X509_REQ_free(request);
    return err;
}
