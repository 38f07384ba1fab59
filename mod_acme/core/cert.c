#include "core/cert.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "core/encode.h"
#include "core/ident.h"
#include "core/ocsp.h"

#define BEGIN      "-----BEGIN"
#define BEGIN_CERT "-----BEGIN CERTIFICATE-----"
#define END_CERT   "-----END CERTIFICATE-----"
#define LENGTH(s)  (sizeof(s) - 1)

#define MAX_NAMES      1000 /* SANs that are looked at */
#define MAX_NAME_SHOWN 256
#define MAX_SKEW       apr_time_from_sec(3600)

/* --- PEM ------------------------------------------------------------------- */

/* What is left to read. */
typedef struct input_t {
    const char *at;
    const char *end;
} input_t;

static int starts(const input_t *in, const char *text, apr_size_t len)
{
    return (apr_size_t)(in->end - in->at) >= len
           && memcmp(in->at, text, len) == 0;
}

/* To the next BEGIN of anything. */
static int find_begin(input_t *in)
{
    while (in->at < in->end) {
        in->at = memchr(in->at, '-', (apr_size_t)(in->end - in->at));
        if (!in->at) {
            break;
        }
        if (starts(in, BEGIN, LENGTH(BEGIN))) {
            return 1;
        }
        in->at++;
    }
    in->at = in->end;
    return 0;
}

/* Rest of a line: white space only. */
static int skip_line_end(input_t *in)
{
    while (in->at < in->end
           && (*in->at == ' ' || *in->at == '\t' || *in->at == '\r')) {
        in->at++;
    }
    if (in->at < in->end && *in->at != '\n') {
        return 0;
    }
    return 1;
}

static int is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
           || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* Base64 up to the next '-' into der. @return its length, -1 for malformed */
static int read_base64(unsigned char *der, input_t *in, apr_pool_t *pool)
{
    unsigned char *text = apr_palloc(pool, (apr_size_t)(in->end - in->at) + 1);
    int length = 0, padding = 0, decoded;

    for (; in->at < in->end && *in->at != '-'; in->at++) {
        if (*in->at == '\0' || !strchr(" \t\r\n", *in->at)) {
            if (*in->at == '=' ? ++padding > 2
                               : padding || !is_base64(*in->at)) {
                return -1;
            }
            text[length++] = (unsigned char)*in->at;
        }
    }
    if (length == 0 || length % 4) {
        return -1;
    }
    decoded = EVP_DecodeBlock(der, text, length);
    return decoded < 0 ? -1 : decoded - padding;
}

/* One block at a BEGIN. *fault says what is wrong where there is none. */
static X509 *read_block(const char **fault, input_t *in, const char *start,
                        apr_pool_t *pool)
{
    const unsigned char *der, *end;
    unsigned char *bytes;
    X509 *cert;
    int length;

    *fault = "it holds something that is not a certificate";
    if (!starts(in, BEGIN_CERT, LENGTH(BEGIN_CERT))
        || (in->at > start && in->at[-1] != '\n')) {
        return NULL;
    }
    in->at += LENGTH(BEGIN_CERT);
    *fault = "a PEM block is malformed";
    if (!skip_line_end(in)) {
        return NULL;
    }
    bytes = apr_palloc(pool, (apr_size_t)(in->end - in->at) + 4);
    length = read_base64(bytes, in, pool);
    if (length <= 0 || !starts(in, END_CERT, LENGTH(END_CERT))) {
        return NULL;
    }
    in->at += LENGTH(END_CERT);
    if (!skip_line_end(in)) {
        return NULL;
    }
    *fault = "a certificate is not readable";
    end = der = bytes;
    cert = d2i_X509(NULL, &end, length);
    if (cert && end != der + length) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

static apr_status_t release_cert(void *cert)
{
    X509_free(cert);
    return APR_SUCCESS;
}

static apr_status_t release_stack(void *certs)
{
    sk_X509_free(certs);
    return APR_SUCCESS;
}

static acme_err_t *unusable(const char *fault, apr_pool_t *pool)
{
    ERR_clear_error();
    return acme_err_make(pool, ACME_E_CHAIN_PARSE, fault, NULL);
}

/* The blocks of in, at most ACME_MAX_CHAIN_LENGTH, each with its cleanup. */
static acme_err_t *read_blocks(acme_chain_t *chain, input_t *in,
                               apr_pool_t *pool, apr_pool_t *scratch)
{
    const char *start = in->at;
    const char *fault;
    X509 *cert;

    while (find_begin(in)) {
        if (chain->leaf
            && sk_X509_num(chain->issuers) + 1 == ACME_MAX_CHAIN_LENGTH) {
            return unusable("it has too many certificates", pool);
        }
        apr_pool_clear(scratch);
        cert = read_block(&fault, in, start, scratch);
        if (!cert) {
            return unusable(fault, pool);
        }
        apr_pool_cleanup_register(pool, cert, release_cert,
                                  apr_pool_cleanup_null);
        if (!chain->leaf) {
            chain->leaf = cert;
        }
        else if (sk_X509_push(chain->issuers, cert) < 1) {
            return acme_err_make(pool, ACME_E_MEMORY, "reading a chain", NULL);
        }
    }
    return chain->leaf ? NULL : unusable("it has no certificate", pool);
}

acme_err_t *acme_chain_parse(acme_chain_t **chain, const char *pem,
                             apr_size_t len, apr_pool_t *pool)
{
    input_t in = { pem, pem + len };
    acme_chain_t *parsed;
    apr_pool_t *scratch;
    acme_err_t *err;

    if (len > ACME_MAX_CHAIN) {
        return unusable("it is too large", pool);
    }
    parsed = apr_pcalloc(pool, sizeof(*parsed));
    parsed->issuers = sk_X509_new_null();
    if (!parsed->issuers || apr_pool_create(&scratch, pool) != APR_SUCCESS) {
        sk_X509_free(parsed->issuers);
        return acme_err_make(pool, ACME_E_MEMORY, "reading a chain", NULL);
    }
    apr_pool_cleanup_register(pool, parsed->issuers, release_stack,
                              apr_pool_cleanup_null);
    err = read_blocks(parsed, &in, pool, scratch);
    apr_pool_destroy(scratch);
    if (!err) {
        *chain = parsed;
    }
    return err;
}

acme_err_t *acme_chain_to_pem(const char **pem, const acme_chain_t *chain,
                              apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int written = bio && PEM_write_bio_X509(bio, chain->leaf) == 1;
    char *data;
    long len;
    int i;

    for (i = 0; written && i < sk_X509_num(chain->issuers); i++) {
        written =
            PEM_write_bio_X509(bio, sk_X509_value(chain->issuers, i)) == 1;
    }
    if (!written || (len = BIO_get_mem_data(bio, &data)) <= 0) {
        BIO_free(bio);
        return acme_err_make(pool, ACME_E_MEMORY, "writing a chain", NULL);
    }
    *pem = apr_pstrmemdup(pool, data, (apr_size_t)len);
    BIO_free(bio);
    return NULL;
}

/* --- reading a certificate ------------------------------------------------- */

/* Dates outside of what apr_time_t is asked to hold are clamped by OpenSSL's
 * own range (years 0 to 9999) and by 1970. */
int acme_cert_time(apr_time_t *time, const ASN1_TIME *asn1)
{
    apr_time_exp_t exp;
    struct tm tm;

    if (!asn1 || ASN1_TIME_to_tm(asn1, &tm) != 1) {
        return 0;
    }
    if (tm.tm_year < 70) {
        *time = 0;
        return 1;
    }
    memset(&exp, 0, sizeof(exp));
    exp.tm_year = tm.tm_year;
    exp.tm_mon = tm.tm_mon;
    exp.tm_mday = tm.tm_mday;
    exp.tm_hour = tm.tm_hour;
    exp.tm_min = tm.tm_min;
    exp.tm_sec = tm.tm_sec;
    return apr_time_exp_gmt_get(time, &exp) == APR_SUCCESS && *time >= 0;
}

/* NUL terminated; an embedded NUL is made visible, not an end. */
static const char *text_of(const unsigned char *data, int len, apr_pool_t *pool)
{
    char *text = apr_pstrmemdup(pool, (const char *)data, (apr_size_t)len);
    int i;

    for (i = 0; i < len; i++) {
        if (!text[i]) {
            text[i] = '?';
        }
    }
    return acme_encode_printable(text, MAX_NAME_SHOWN, pool);
}

/* A SAN as identifier; NULL for other kinds and for what we would not ask for
 * in that form (a name that parses as an address, a final dot, a NUL). */
static acme_ident_t *ident_of(const GENERAL_NAME *name, apr_pool_t *pool)
{
    char address[INET6_ADDRSTRLEN];
    const ASN1_STRING *value;
    acme_ident_t *ident;
    const char *text;
    int type, len;

    value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_IPADD) {
        return NULL;
    }
    len = ASN1_STRING_length(value);
    if (type == GEN_IPADD) {
        if ((len != 4 && len != 16)
            || !inet_ntop(len == 4 ? AF_INET : AF_INET6,
                          ASN1_STRING_get0_data(value), address,
                          sizeof(address))) {
            return NULL;
        }
        return acme_ident_parse(&ident, address, pool) ? NULL : ident;
    }
    text = text_of(ASN1_STRING_get0_data(value), len, pool);
    if (acme_ident_parse(&ident, text, pool) || ident->type != ACME_IDENT_DNS
        || strcasecmp(ident->value, text) != 0) {
        return NULL;
    }
    return ident;
}

static void read_names(acme_cert_info_t *info, const X509 *cert,
                       apr_pool_t *pool)
{
    int critical = 0, count, i;
    GENERAL_NAMES *names =
        X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);

    info->idents = apr_array_make(pool, 4, sizeof(acme_ident_t *));
    if (!names) {
        /* -1: there is none; else it is twice there or not readable. */
        info->foreign_names = critical == -1 ? 0 : 1;
        ERR_clear_error();
        return;
    }
    count = sk_GENERAL_NAME_num(names);
    for (i = 0; i < count; i++) {
        acme_ident_t *ident =
            i < MAX_NAMES ? ident_of(sk_GENERAL_NAME_value(names, i), pool)
                          : NULL;

        if (ident) {
            APR_ARRAY_PUSH(info->idents, acme_ident_t *) = ident;
        }
        else {
            info->foreign_names++;
        }
    }
    GENERAL_NAMES_free(names);
}

static const char *whole_name(const X509_NAME *name, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text = "";
    char *data;
    long len;

    if (bio
        && X509_NAME_print_ex(bio, name, 0,
                              XN_FLAG_RFC2253
                                  & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)
               >= 0
        && (len = BIO_get_mem_data(bio, &data)) > 0) {
        text = text_of((const unsigned char *)data, (int)len, pool);
    }
    BIO_free(bio);
    return text;
}

static const char *issuer_of(const X509 *cert, apr_pool_t *pool)
{
    const X509_NAME *name = X509_get_issuer_name(cert);
    int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    const char *text;
    int len;

    if (index < 0) {
        return whole_name(name, pool);
    }
    len = ASN1_STRING_to_UTF8(
        &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
    text = len < 0 ? whole_name(name, pool) : text_of(utf8, len, pool);
    OPENSSL_free(utf8);
    return text;
}

static const char *serial_of(const X509 *cert, apr_pool_t *pool)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const char *hex =
        acme_encode_hex(ASN1_STRING_get0_data(serial),
                        (apr_size_t)ASN1_STRING_length(serial), pool);

    return ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER
               ? apr_pstrcat(pool, "-", hex, NULL)
               : hex;
}

/* RFC 9773 section 4.1. The serial's content octets are taken from its DER,
 * since OpenSSL's own form lacks the 00 before a top bit. */
static const char *ari_id_of(X509 *cert, apr_pool_t *pool)
{
    const ASN1_OCTET_STRING *key_id = X509_get0_authority_key_id(cert);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    unsigned char *der = NULL;
    const unsigned char *content;
    const char *id = NULL;
    int len, tag, class;
    long size;

    if (!key_id || ASN1_STRING_length(key_id) == 0) {
        return NULL;
    }
    len = i2d_ASN1_INTEGER(serial, &der);
    content = der;
    if (len > 0 && ASN1_get_object(&content, &size, &tag, &class, len) == 0) {
        id = apr_pstrcat(
            pool,
            acme_encode_base64url(ASN1_STRING_get0_data(key_id),
                                  (apr_size_t)ASN1_STRING_length(key_id), pool),
            ".", acme_encode_base64url(content, (apr_size_t)size, pool), NULL);
    }
    OPENSSL_free(der);
    return id;
}

acme_err_t *acme_cert_info(acme_cert_info_t **info, X509 *cert,
                           apr_pool_t *pool)
{
    acme_cert_info_t *read = apr_pcalloc(pool, sizeof(*read));
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (!acme_cert_time(&read->not_before, X509_get0_notBefore(cert))
        || !acme_cert_time(&read->not_after, X509_get0_notAfter(cert))) {
        return unusable("a date of the certificate is malformed", pool);
    }
    if (X509_digest(cert, EVP_sha256(), digest, NULL) != 1) {
        return unusable("the certificate has no SHA-256 digest", pool);
    }
    read->fingerprint = acme_encode_hex(digest, sizeof(digest), pool);
    read->serial = serial_of(cert, pool);
    read->issuer = issuer_of(cert, pool);
    read->ari_id = ari_id_of(cert, pool);
    read->ocsp = acme_ocsp_responder(cert, 0, pool);
    read->must_staple = acme_ocsp_must_staple(cert);
    read->tlsa = X509_get0_pubkey(cert)
                     ? acme_key_tlsa(X509_get0_pubkey(cert), pool)
                     : NULL;
    read_names(read, cert, pool);
    ERR_clear_error();
    *info = read;
    return NULL;
}

/* --- judging a chain ------------------------------------------------------- */

static acme_err_t *check_names(const acme_cert_info_t *info,
                               const apr_array_header_t *idents,
                               apr_pool_t *pool)
{
    const char *found;

    if (!info->foreign_names && acme_idents_equal(info->idents, idents)) {
        return NULL;
    }
    found = acme_idents_text(info->idents, 5, pool);
    if (info->foreign_names) {
        found = apr_psprintf(pool, "%s and %d of another kind", found,
                             info->foreign_names);
    }
    return acme_err_make(pool, ACME_E_CERT_NAMES, found,
                         acme_idents_text(idents, 5, pool), NULL);
}

static acme_err_t *check_usage(X509 *leaf, apr_pool_t *pool)
{
    const char *fault = NULL;

    if (X509_get_extension_flags(leaf) & EXFLAG_INVALID) {
        fault = "its extensions are malformed";
    }
    else if (X509_check_ca(leaf)) {
        fault = "it is a CA's own certificate";
    }
    else if (!(X509_get_extended_key_usage(leaf) & XKU_SSL_SERVER)) {
        fault = "its extended key usage lacks serverAuth";
    }
    ERR_clear_error();
    return fault ? acme_err_make(pool, ACME_E_CERT_USAGE, fault, NULL) : NULL;
}

/* Names too: clients look for the issuer by name. */
static acme_err_t *check_signatures(const acme_chain_t *chain, apr_pool_t *pool)
{
    X509 *cert = chain->leaf;
    int i;

    for (i = 0; i < sk_X509_num(chain->issuers); i++) {
        X509 *issuer = sk_X509_value(chain->issuers, i);
        EVP_PKEY *key = X509_get0_pubkey(issuer);

        if (!key || X509_verify(cert, key) != 1
            || X509_NAME_cmp(X509_get_issuer_name(cert),
                             X509_get_subject_name(issuer))
                   != 0) {
            ERR_clear_error();
            return acme_err_make(pool, ACME_E_CERT_CHAIN, apr_itoa(pool, i + 1),
                                 NULL);
        }
        cert = issuer;
    }
    return NULL;
}

acme_err_t *acme_chain_verify(const acme_chain_t *chain, EVP_PKEY *key,
                              const apr_array_header_t *idents, apr_time_t now,
                              apr_pool_t *pool)
{
    EVP_PKEY *certified = X509_get0_pubkey(chain->leaf);
    acme_cert_info_t *info;

    if (!certified || EVP_PKEY_eq(certified, key) != 1) {
        ERR_clear_error();
        return acme_err_make(pool, ACME_E_CERT_KEY, NULL);
    }
    ACME_TRY(acme_cert_info(&info, chain->leaf, pool));
    if (idents) {
        ACME_TRY(check_names(info, idents, pool));
    }
    if (info->not_before > now + MAX_SKEW || info->not_after < now) {
        return acme_err_make(pool, ACME_E_CERT_DATES,
                             acme_time_format(info->not_before, pool),
                             acme_time_format(info->not_after, pool), NULL);
    }
    ACME_TRY(check_usage(chain->leaf, pool));
    return check_signatures(chain, pool);
}

static int issued_by(const X509 *cert, const char *common_name)
{
    const X509_NAME *name = X509_get_issuer_name(cert);
    apr_size_t wanted = strlen(common_name);
    int index = -1, found = 0;

    while (!found
           && (index = X509_NAME_get_index_by_NID(name, NID_commonName, index))
                  >= 0) {
        unsigned char *utf8 = NULL;
        int len = ASN1_STRING_to_UTF8(
            &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));

        found = len >= 0 && (apr_size_t)len == wanted
                && memcmp(utf8, common_name, wanted) == 0;
        OPENSSL_free(utf8);
    }
    ERR_clear_error();
    return found;
}

int acme_chain_has_issuer(const acme_chain_t *chain, const char *common_name)
{
    int i, found = issued_by(chain->leaf, common_name);

    for (i = 0; !found && i < sk_X509_num(chain->issuers); i++) {
        found = issued_by(sk_X509_value(chain->issuers, i), common_name);
    }
    return found;
}
