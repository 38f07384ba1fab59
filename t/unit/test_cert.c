#include "core_test.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/cert.h"
#include "core/csr.h"
#include "core/encode.h"

#define NOW apr_time_from_sec(APR_INT64_C(1795334400)) /* 2026-11-22 08:00 */

/* --- certificates to order ------------------------------------------------- */

/* What the tests vary; NULL and 0 mean the good case. */
typedef struct spec_t {
    const char *subject;
    const char *issuer;
    EVP_PKEY *key;
    EVP_PKEY *issuer_key;
    apr_array_header_t *idents;
    const char *not_before; /* ASN.1 text */
    const char *not_after;
    const char *eku; /* "" for none */
    int ca;
} spec_t;

static EVP_PKEY *leaf_key, *ca_key, *root_key;

static apr_status_t free_cert(void *cert)
{
    X509_free(cert);
    return APR_SUCCESS;
}

static void add(X509 *cert, X509_EXTENSION *extension)
{
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void set_name(X509_NAME *name, const char *common_name)
{
    assert_int_equal(X509_NAME_add_entry_by_NID(
                         name, NID_commonName, MBSTRING_UTF8,
                         (const unsigned char *)common_name, -1, -1, 0),
                     1);
}

/* Everything but the signature. */
static X509 *unsigned_cert(const spec_t *spec)
{
    X509 *cert = X509_new();

    apr_pool_cleanup_register(pool, cert, free_cert, apr_pool_cleanup_null);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711);
    set_name(X509_get_subject_name(cert), spec->subject);
    set_name(X509_get_issuer_name(cert), spec->issuer);
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notBefore(cert),
                                          spec->not_before ? spec->not_before
                                                           : "261122070000Z"),
                     1);
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(cert),
                                          spec->not_after ? spec->not_after
                                                          : "270220070000Z"),
                     1);
    X509_set_pubkey(cert, spec->key);
    if (spec->idents) {
        add(cert, acme_csr_names(spec->idents));
    }
    if (!spec->eku || *spec->eku) {
        add(cert, X509V3_EXT_nconf_nid(NULL, NULL, NID_ext_key_usage,
                                       spec->eku ? spec->eku : "serverAuth"));
    }
    add(cert, X509V3_EXT_nconf_nid(NULL, NULL, NID_basic_constraints,
                                   spec->ca ? "critical,CA:TRUE"
                                            : "critical,CA:FALSE"));
    return cert;
}

static X509 *make(const spec_t *spec)
{
    X509 *cert = unsigned_cert(spec);

    assert_true(X509_sign(cert, spec->issuer_key, EVP_sha256()) > 0);
    return cert;
}

static spec_t leaf_spec(void)
{
    spec_t spec = { "leaf", "Intermediate", leaf_key, ca_key,
                    idents("a.org *.b.org 192.0.2.1") };

    return spec;
}

static X509 *intermediate(void)
{
    spec_t spec = { "Intermediate", "Root", ca_key, root_key };

    spec.ca = 1;
    spec.eku = "";
    return make(&spec);
}

/* Concatenated PEM of a NULL-terminated list. */
static const char *pem_of(X509 *first, X509 *second, X509 *third)
{
    X509 *certs[] = { first, second, third };
    BIO *bio = BIO_new(BIO_s_mem());
    const char *pem;
    char *data;
    long len;
    int i;

    for (i = 0; i < 3 && certs[i]; i++) {
        assert_int_equal(PEM_write_bio_X509(bio, certs[i]), 1);
    }
    len = BIO_get_mem_data(bio, &data);
    pem = apr_pstrmemdup(pool, data, (apr_size_t)len);
    BIO_free(bio);
    return pem;
}

static acme_err_t *parse(acme_chain_t **chain, const char *pem)
{
    return acme_chain_parse(chain, pem, strlen(pem), pool);
}

static acme_chain_t *chain_of(X509 *first, X509 *second, X509 *third)
{
    acme_chain_t *chain = NULL;

    assert_no_err(parse(&chain, pem_of(first, second, third)));
    return chain;
}

static int setup(void **state)
{
    if (pool_setup(state)) {
        return -1;
    }
    assert_no_err(acme_key_make(&leaf_key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_key_make(&ca_key, ACME_KEY_ECDSA_P384, pool));
    assert_no_err(acme_key_make(&root_key, ACME_KEY_ECDSA_P256, pool));
    return 0;
}

#define CERT_TEST(test)                                                        \
    cmocka_unit_test_setup_teardown(test, setup, pool_teardown)

/* --- PEM ------------------------------------------------------------------- */

static X509 *leaf(void)
{
    spec_t spec = leaf_spec();

    return make(&spec);
}

static void test_chain_parse_reverses_to_pem(void **state)
{
    X509 *cert = leaf(), *issuer = intermediate();
    const char *pem = pem_of(cert, issuer, NULL), *back;
    acme_chain_t *chain = chain_of(cert, issuer, NULL);

    (void)state;
    assert_int_equal(X509_cmp(chain->leaf, cert), 0);
    assert_int_equal(sk_X509_num(chain->issuers), 1);
    assert_int_equal(X509_cmp(sk_X509_value(chain->issuers, 0), issuer), 0);
    assert_no_err(acme_chain_to_pem(&back, chain, pool));
    assert_string_equal(back, pem);
}

static void test_chain_parse_leaf_alone(void **state)
{
    acme_chain_t *chain = chain_of(leaf(), NULL, NULL);

    (void)state;
    assert_int_equal(sk_X509_num(chain->issuers), 0);
}

static char *with_crlf(const char *text)
{
    char *copy = apr_palloc(pool, 2 * strlen(text) + 1), *out = copy;

    for (; *text; text++) {
        if (*text == '\n') {
            *out++ = '\r';
        }
        *out++ = *text;
    }
    *out = '\0';
    return copy;
}

static void test_chain_parse_lets_text_and_space_pass(void **state)
{
    const char *pem = pem_of(leaf(), NULL, NULL);
    const char *other = pem_of(intermediate(), NULL, NULL);
    acme_chain_t *chain = NULL;

    (void)state;
    assert_no_err(
        parse(&chain, apr_pstrcat(pool, "subject=/CN=x - y\n\n", pem,
                                  "--- issuer ---\n", other, "\n\n", NULL)));
    assert_int_equal(sk_X509_num(chain->issuers), 1);
    assert_no_err(parse(&chain, with_crlf(pem)));
    /* no line end at the end */
    assert_no_err(acme_chain_parse(&chain, pem, strlen(pem) - 1, pool));
}

static void test_chain_parse_ends_at_len(void **state)
{
    const char *pem = pem_of(leaf(), NULL, NULL);
    const char *longer = apr_pstrcat(pool, pem, "-----BEGIN EVIL-----", NULL);
    acme_chain_t *chain = NULL;

    (void)state;
    assert_no_err(acme_chain_parse(&chain, longer, strlen(pem), pool));
    assert_err(parse(&chain, longer), ACME_E_CHAIN_PARSE);
}

/* RFC 8555 section 11.4. */
static void test_chain_parse_refuses_other_blocks(void **state)
{
    static const char *const others[] = {
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\n",
        "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
        "-----BEGIN X509 CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "-----BEGIN certificate-----\n",
        "-----BEGIN",
        "text -----BEGIN DH PARAMETERS-----\n",
        "------BEGIN CERTIFICATE-----\n",
    };
    const char *pem = pem_of(leaf(), NULL, NULL);
    acme_chain_t *chain = NULL;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_err(parse(&chain, apr_pstrcat(pool, pem, others[i], NULL)),
                   ACME_E_CHAIN_PARSE);
        assert_err(parse(&chain, apr_pstrcat(pool, others[i], pem, NULL)),
                   ACME_E_CHAIN_PARSE);
    }
    /* a good block, but not from the start of its line */
    assert_err(parse(&chain, apr_pstrcat(pool, "-", pem, NULL)),
               ACME_E_CHAIN_PARSE);
    assert_err(parse(&chain, apr_pstrcat(pool, "text ", pem, NULL)),
               ACME_E_CHAIN_PARSE);
    assert_null(chain);
}

static void test_chain_parse_refuses_malformed(void **state)
{
#define BLOCK(body)                                                            \
    "-----BEGIN CERTIFICATE-----\n" body "\n-----END CERTIFICATE-----\n"
    static const char *const bad[] = {
        "",
        "\n",
        "<html>504 Gateway Timeout</html>",
        "MIIBszCCAVk=",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        BLOCK(""),
        BLOCK("A"),
        BLOCK("AAAA"),
        BLOCK("AA=A"),
        BLOCK("A==="),
        BLOCK("===="),
        BLOCK("AA*A"),
        BLOCK("Proc-Type: 4,ENCRYPTED\n\nAAAA"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n",
    };
    acme_chain_t *chain = NULL;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        acme_err_t *err = parse(&chain, bad[i]);

        if (!err) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
        assert_int_equal(err->msg, ACME_E_CHAIN_PARSE);
        assert_int_equal(err->class, ACME_CLASS_CA_RETRY);
        assert_null(chain);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_chain_parse_every_truncation_refused(void **state)
{
    const char *pem = pem_of(leaf(), NULL, NULL);
    acme_chain_t *chain = NULL;
    apr_size_t len;

    (void)state;
    for (len = 0; len + 1 < strlen(pem); len++) {
        assert_err(
            acme_chain_parse(&chain, apr_pmemdup(pool, pem, len), len, pool),
            ACME_E_CHAIN_PARSE);
    }
}

static void test_chain_parse_refuses_octets_after_certificate(void **state)
{
    X509 *cert = leaf();
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    unsigned char *longer = apr_pcalloc(pool, (apr_size_t)len + 3);
    char *text = apr_pcalloc(pool, (apr_size_t)len * 2 + 64);
    acme_chain_t *chain = NULL;

    (void)state;
    memcpy(longer, der, (size_t)len);
    OPENSSL_free(der);
    EVP_EncodeBlock((unsigned char *)text, longer, len);
    assert_no_err(
        parse(&chain, apr_pstrcat(pool, "-----BEGIN CERTIFICATE-----\n", text,
                                  "\n-----END CERTIFICATE-----\n", NULL)));
    EVP_EncodeBlock((unsigned char *)text, longer, len + 3);
    assert_err(
        parse(&chain, apr_pstrcat(pool, "-----BEGIN CERTIFICATE-----\n", text,
                                  "\n-----END CERTIFICATE-----\n", NULL)),
        ACME_E_CHAIN_PARSE);
}

static void test_chain_parse_bounds_count(void **state)
{
    const char *pem = pem_of(leaf(), NULL, NULL), *many = "";
    acme_chain_t *chain = NULL;
    int i;

    (void)state;
    for (i = 0; i < ACME_MAX_CHAIN_LENGTH; i++) {
        many = apr_pstrcat(pool, many, pem, NULL);
    }
    assert_no_err(parse(&chain, many));
    assert_int_equal(sk_X509_num(chain->issuers), ACME_MAX_CHAIN_LENGTH - 1);
    assert_err(parse(&chain, apr_pstrcat(pool, many, pem, NULL)),
               ACME_E_CHAIN_PARSE);
}

/* CVE-2024-12401: time that grows with the square of the length. These take
 * milliseconds; the test's time limit is what fails. */
static void test_chain_parse_pathologies_bounded(void **state)
{
    static const char *const pieces[] = { "-",
                                          "-----BEGI",
                                          "-----BEGIN ",
                                          "-----END CERTIFICATE-----\n",
                                          "-----BEGIN CERTIFICATE-----\n",
                                          "=",
                                          "A",
                                          "\n",
                                          "-----" };
    char *text = apr_palloc(pool, ACME_MAX_CHAIN + 2);
    acme_chain_t *chain = NULL;
    apr_size_t i, at;

    (void)state;
    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        apr_size_t len = strlen(pieces[i]);

        for (at = 0; at <= ACME_MAX_CHAIN; at++) {
            text[at] = pieces[i][at % len];
        }
        assert_err(acme_chain_parse(&chain, text, ACME_MAX_CHAIN, pool),
                   ACME_E_CHAIN_PARSE);
        memcpy(text, "-----BEGIN CERTIFICATE-----\n", 28);
        assert_err(acme_chain_parse(&chain, text, ACME_MAX_CHAIN, pool),
                   ACME_E_CHAIN_PARSE);
    }
}

static void test_chain_parse_bounds_length(void **state)
{
    const char *pem = pem_of(leaf(), NULL, NULL);
    char *text = apr_palloc(pool, ACME_MAX_CHAIN + 1);
    acme_chain_t *chain = NULL;

    (void)state;
    memset(text, '\n', ACME_MAX_CHAIN + 1);
    memcpy(text, pem, strlen(pem));
    assert_no_err(acme_chain_parse(&chain, text, ACME_MAX_CHAIN, pool));
    assert_err(acme_chain_parse(&chain, text, ACME_MAX_CHAIN + 1, pool),
               ACME_E_CHAIN_PARSE);
}

/* --- information ----------------------------------------------------------- */

static acme_cert_info_t *info_of(X509 *cert)
{
    acme_cert_info_t *info = NULL;

    assert_no_err(acme_cert_info(&info, cert, pool));
    return info;
}

static void test_info_reads_what_is_there(void **state)
{
    X509 *cert = leaf();
    acme_cert_info_t *info = info_of(cert);
    unsigned char digest[32];

    (void)state;
    assert_int_equal(info->not_before, NOW - apr_time_from_sec(3600));
    assert_string_equal(acme_time_format(info->not_after, pool),
                        "2027-02-20T07:00:00Z");
    assert_true(
        acme_idents_equal(info->idents, idents("a.org *.b.org 192.0.2.1")));
    assert_int_equal(info->foreign_names, 0);
    assert_string_equal(info->serial, "1267");
    assert_string_equal(info->issuer, "Intermediate");
    assert_int_equal(X509_digest(cert, EVP_sha256(), digest, NULL), 1);
    assert_string_equal(info->fingerprint,
                        acme_encode_hex(digest, sizeof(digest), pool));
    assert_null(info->ari_id);
}

static void set_serial(X509 *cert, const char *hex)
{
    BIGNUM *number = NULL;

    assert_true(BN_hex2bn(&number, hex) > 0);
    assert_non_null(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)));
    BN_free(number);
}

static const char *ari_id(const char *serial)
{
    static const unsigned char key_id[] = { 0x69, 0x88, 0x5b, 0x6b, 0x87,
                                            0x46, 0x40, 0x41, 0xe1, 0xb3,
                                            0x7b, 0x84, 0x7b, 0xa0, 0xae,
                                            0x2c, 0xde, 0x01, 0xc8, 0xd4 };
    spec_t spec = leaf_spec();
    X509 *cert = unsigned_cert(&spec);
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();

    authority->keyid = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(authority->keyid, key_id, sizeof(key_id));
    assert_int_equal(
        X509_add1_ext_i2d(cert, NID_authority_key_identifier, authority, 0, 0),
        1);
    AUTHORITY_KEYID_free(authority);
    set_serial(cert, serial);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    return info_of(chain_of(cert, NULL, NULL)->leaf)->ari_id;
}

/* The first is the vector of RFC 9773 section 4.1. */
static void test_info_ari_id_keeps_serial_der(void **state)
{
    (void)state;
    assert_string_equal(ari_id("87654321"),
                        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    assert_string_equal(ari_id("7654321f"),
                        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.dlQyHw");
    assert_string_equal(ari_id("80"), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIA");
    assert_string_equal(ari_id("00"), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AA");
    assert_string_equal(ari_id("-01"), "aYhba4dGQEHhs3uEe6CuLN4ByNQ._w");
}

static void test_info_far_dates_clamped(void **state)
{
    spec_t spec = leaf_spec();
    acme_cert_info_t *info;

    (void)state;
    spec.not_before = "500101000000Z"; /* 1950 */
    spec.not_after = "99991231235959Z";
    info = info_of(make(&spec));
    assert_int_equal(info->not_before, 0);
    assert_int_equal(info->not_after,
                     apr_time_from_sec(APR_INT64_C(253402300799)));
    spec.not_before = "00010101000000Z";
    spec.not_after = "00020101000000Z";
    info = info_of(make(&spec));
    assert_int_equal(info->not_before, 0);
    assert_int_equal(info->not_after, 0);
}

/* Adds a SAN of any kind. */
static void push_name(GENERAL_NAMES *names, int type, const char *data, int len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(
        type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    ASN1_STRING_set(value, data, len);
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names, name);
}

static X509 *cert_with_names(GENERAL_NAMES *names)
{
    spec_t spec = leaf_spec();
    X509 *cert;

    spec.idents = NULL;
    cert = unsigned_cert(&spec);
    assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0),
                     1);
    GENERAL_NAMES_free(names);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    return cert;
}

static void test_info_other_names_counted_as_foreign(void **state)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    acme_cert_info_t *info;

    (void)state;
    push_name(names, GEN_DNS, "A.org", 5);
    push_name(names, GEN_EMAIL, "a@a.org", 7);
    push_name(names, GEN_URI, "https://a.org", 13);
    push_name(names, GEN_DNS, "a.org\0.evil.org", 15);
    push_name(names, GEN_DNS, "192.0.2.1", 9); /* Angie: typed as a name */
    push_name(names, GEN_DNS, "::1", 3);
    push_name(names, GEN_DNS, "b.org.", 6);
    push_name(names, GEN_DNS, "", 0);
    push_name(names, GEN_DNS, "a b\033.org", 8);
    push_name(names, GEN_IPADD, "\x01\x02\x03", 3);
    info = info_of(cert_with_names(names));
    assert_int_equal(info->foreign_names, 9);
    assert_true(acme_idents_equal(info->idents, idents("a.org")));
}

static void test_info_names_bounded(void **state)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    acme_cert_info_t *info;
    int i;

    (void)state;
    for (i = 0; i < 1500; i++) {
        const char *name = apr_psprintf(pool, "h%d.org", i);

        push_name(names, GEN_DNS, name, (int)strlen(name));
    }
    info = info_of(cert_with_names(names));
    assert_int_equal(info->idents->nelts, 1000);
    assert_int_equal(info->foreign_names, 500);
}

static void test_info_unreadable_names_are_foreign(void **state)
{
    spec_t spec = leaf_spec();
    ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
    X509 *cert;

    (void)state;
    spec.idents = NULL;
    assert_int_equal(info_of(make(&spec))->foreign_names, 0);
    cert = unsigned_cert(&spec);
    ASN1_OCTET_STRING_set(junk, (const unsigned char *)"\x30\x05junk", 6);
    add(cert,
        X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk));
    ASN1_OCTET_STRING_free(junk);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    assert_int_equal(info_of(cert)->foreign_names, 1);
    assert_int_equal(info_of(cert)->idents->nelts, 0);
    /* twice the extension */
    spec.idents = idents("a.org");
    cert = unsigned_cert(&spec);
    add(cert, acme_csr_names(idents("b.org")));
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    assert_int_equal(info_of(cert)->foreign_names, 1);
}

static void test_info_issuer_printable_and_never_missing(void **state)
{
    spec_t spec = leaf_spec();
    X509 *cert;
    X509_NAME *name;

    (void)state;
    spec.issuer = "Bad\nCA\033[2J";
    assert_string_equal(info_of(make(&spec))->issuer, "Bad?CA?[2J");
    spec.issuer = "Intermediate";
    cert = unsigned_cert(&spec);
    name = X509_get_issuer_name(cert);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0));
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    assert_string_equal(info_of(cert)->issuer, "");
    X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
                               (const unsigned char *)"Some CA", -1, -1, 0);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    assert_string_equal(info_of(cert)->issuer, "O=Some CA");
}

/* --- judging --------------------------------------------------------------- */

static acme_err_t *verify(const spec_t *spec)
{
    return acme_chain_verify(chain_of(make(spec), intermediate(), NULL),
                             leaf_key, idents("192.0.2.1 a.org *.b.org"), NOW,
                             pool);
}

static void test_verify_good_chain_passes(void **state)
{
    spec_t spec = leaf_spec(), root = { "Root", "Root", root_key, root_key };

    (void)state;
    assert_no_err(verify(&spec));
    spec.eku = "";
    assert_no_err(verify(&spec));
    spec.eku = "clientAuth,serverAuth";
    assert_no_err(verify(&spec));
    root.ca = 1;
    assert_no_err(
        acme_chain_verify(chain_of(leaf(), intermediate(), make(&root)),
                          leaf_key, NULL, NOW, pool));
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_verify_other_key_refused(void **state)
{
    spec_t spec = leaf_spec();
    EVP_PKEY *rsa;

    (void)state;
    spec.key = root_key;
    assert_err(verify(&spec), ACME_E_CERT_KEY);
    assert_no_err(acme_key_make(&rsa, ACME_KEY_RSA2048, pool));
    spec.key = rsa;
    assert_err(verify(&spec), ACME_E_CERT_KEY);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_verify_names_must_be_exact(void **state)
{
    static const char *const others[] = {
        "a.org *.b.org",
        "a.org *.b.org 192.0.2.2",
        "a.org *.b.org 192.0.2.1 www.a.org",
        "a.org x.b.org 192.0.2.1",
        "c.org",
    };
    spec_t spec = leaf_spec();
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        spec.idents = idents(others[i]);
        assert_err(verify(&spec), ACME_E_CERT_NAMES);
    }
    spec.idents = NULL;
    assert_err(verify(&spec), ACME_E_CERT_NAMES);
}

static void test_verify_foreign_name_refused_unless_not_compared(void **state)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    acme_chain_t *chain;

    (void)state;
    push_name(names, GEN_DNS, "a.org", 5);
    push_name(names, GEN_EMAIL, "a@a.org", 7);
    chain = chain_of(cert_with_names(names), NULL, NULL);
    assert_err(acme_chain_verify(chain, leaf_key, idents("a.org"), NOW, pool),
               ACME_E_CERT_NAMES);
    assert_no_err(acme_chain_verify(chain, leaf_key, NULL, NOW, pool));
}

static void test_verify_dates(void **state)
{
    spec_t spec = leaf_spec();

    (void)state;
    spec.not_before = "261122090000Z"; /* an hour ahead: clock skew */
    assert_no_err(verify(&spec));
    spec.not_before = "261122090001Z";
    assert_err(verify(&spec), ACME_E_CERT_DATES);
    spec.not_before = NULL;
    spec.not_after = "261122080000Z"; /* inclusive, RFC 5280 */
    assert_no_err(verify(&spec));
    spec.not_after = "261122075959Z";
    assert_err(verify(&spec), ACME_E_CERT_DATES);
}

static void test_verify_usage(void **state)
{
    spec_t spec = leaf_spec();

    (void)state;
    spec.eku = "clientAuth";
    assert_err(verify(&spec), ACME_E_CERT_USAGE);
    spec.eku = NULL;
    spec.ca = 1;
    assert_err(verify(&spec), ACME_E_CERT_USAGE);
}

static void test_verify_signatures_up_the_chain(void **state)
{
    spec_t spec = leaf_spec(), other = { "Root", "Root", ca_key, ca_key };
    acme_err_t *err;

    (void)state;
    spec.issuer_key = root_key;
    assert_err(verify(&spec), ACME_E_CERT_CHAIN);
    /* right leaf, but the last certificate is not the intermediate's issuer */
    err = acme_chain_verify(chain_of(leaf(), intermediate(), make(&other)),
                            leaf_key, NULL, NOW, pool);
    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_CERT_CHAIN);
    assert_int_equal(err->class, ACME_CLASS_CA_FINAL);
    assert_non_null(strstr(err->text, "certificate 2 "));
    /* right signatures, but other names; then the leaf twice */
    assert_err(acme_chain_verify(chain_of(leaf(), make(&other), intermediate()),
                                 leaf_key, NULL, NOW, pool),
               ACME_E_CERT_CHAIN);
    assert_err(acme_chain_verify(chain_of(leaf(), leaf(), NULL), leaf_key, NULL,
                                 NOW, pool),
               ACME_E_CERT_CHAIN);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_verify_changed_octet_refused(void **state)
{
    X509 *cert = leaf();
    acme_chain_t *chain;

    (void)state;
    set_serial(cert, "4712");
    chain = chain_of(cert, intermediate(), NULL);
    assert_err(acme_chain_verify(chain, leaf_key, NULL, NOW, pool),
               ACME_E_CERT_CHAIN);
}

static void test_has_issuer_anywhere_in_chain(void **state)
{
    acme_chain_t *chain = chain_of(leaf(), intermediate(), NULL);

    (void)state;
    assert_true(acme_chain_has_issuer(chain, "Intermediate"));
    assert_true(acme_chain_has_issuer(chain, "Root"));
    assert_false(acme_chain_has_issuer(chain, "leaf"));
    assert_false(acme_chain_has_issuer(chain, "Roo"));
    assert_false(acme_chain_has_issuer(chain, "Root2"));
    assert_false(acme_chain_has_issuer(chain, ""));
}

/* --- tls-alpn-01 ----------------------------------------------------------- */

/* As text: "critical <DER>" of the extension with this OID, or "". */
static const char *extension_of(X509 *cert, const char *oid)
{
    ASN1_OBJECT *type = OBJ_txt2obj(oid, 1);
    int at = X509_get_ext_by_OBJ(cert, type, -1);
    X509_EXTENSION *extension = at < 0 ? NULL : X509_get_ext(cert, at);
    const ASN1_OCTET_STRING *value;

    assert_int_equal(X509_get_ext_by_OBJ(cert, type, at), -1);
    ASN1_OBJECT_free(type);
    if (!extension) {
        return "";
    }
    value = X509_EXTENSION_get_data(extension);
    return apr_pstrcat(
        pool, X509_EXTENSION_get_critical(extension) ? "critical " : "",
        acme_encode_hex(ASN1_STRING_get0_data(value),
                        (apr_size_t)ASN1_STRING_length(value), pool),
        NULL);
}

static void test_challenge_is_what_rfc_8737_asks_for(void **state)
{
    static const char *const kinds[] = { "EC", "RSA", "ED25519" };
    unsigned char digest[ACME_ALPN_DIGEST];
    const char *expected;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(digest); i++) {
        digest[i] = (unsigned char)(0xff - i);
    }
    expected = apr_pstrcat(pool, "critical 0420",
                           acme_encode_hex(digest, sizeof(digest), pool), NULL);
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        EVP_PKEY *key = i == 0   ? EVP_EC_gen("P-256")
                        : i == 1 ? EVP_RSA_gen(2048)
                                 : EVP_PKEY_Q_keygen(NULL, NULL, kinds[i]);
        acme_ident_t name = { ACME_IDENT_DNS, "shop.example.org" };
        X509 *cert;

        assert_no_err(
            acme_cert_challenge(&cert, key, &name, digest, NOW, pool));
        assert_string_equal(extension_of(cert, "1.3.6.1.5.5.7.1.31"), expected);
        /* SEQUENCE of one dNSName, not critical */
        assert_string_equal(extension_of(cert, "2.5.29.17"),
                            "3012821073686f702e6578616d706c652e6f7267");
        assert_int_equal(X509_get_ext_count(cert), 2);
        assert_int_equal(X509_check_private_key(cert, key), 1);
        assert_int_equal(X509_verify(cert, key), 1);
        assert_int_equal(X509_NAME_cmp(X509_get_subject_name(cert),
                                       X509_get_issuer_name(cert)),
                         0);
        assert_true(info_of(cert)->not_before < NOW);
        assert_true(info_of(cert)->not_after > NOW);
        EVP_PKEY_free(key);
    }
}

static void test_challenge_types_an_address_as_one(void **state)
{
    unsigned char digest[ACME_ALPN_DIGEST] = { 0 };
    acme_ident_t ident = { ACME_IDENT_IP, "2001:db8::1" };
    X509 *cert;

    (void)state;
    assert_no_err(
        acme_cert_challenge(&cert, leaf_key, &ident, digest, NOW, pool));
    assert_string_equal(extension_of(cert, "2.5.29.17"),
                        "3012871020010db8000000000000000000000001");
}

/* --- placeholder ----------------------------------------------------------- */

static void test_placeholder_passes_own_check(void **state)
{
    static const acme_key_type_t types[] = { ACME_KEY_ECDSA_P256,
                                             ACME_KEY_RSA2048 };
    acme_cert_info_t *info;
    acme_chain_t *chain;
    EVP_PKEY *key;
    X509 *cert;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_no_err(acme_key_make(&key, types[i], pool));
        assert_no_err(
            acme_cert_placeholder(&cert, key, idents("a.org ::1"), NOW, pool));
        chain = chain_of(cert, NULL, NULL);
        assert_no_err(
            acme_chain_verify(chain, key, idents("::1 a.org"), NOW, pool));
        assert_int_equal(X509_verify(chain->leaf, key), 1);
        info = info_of(chain->leaf);
        assert_int_equal(info->not_before, NOW);
        assert_int_equal(info->not_after, NOW + apr_time_from_sec(365 * 86400));
        assert_string_equal(info->issuer, "mod_acme placeholder");
        assert_int_equal(X509_NAME_cmp(X509_get_subject_name(cert),
                                       X509_get_issuer_name(cert)),
                         0);
    }
}

static void test_placeholder_serials_differ(void **state)
{
    X509 *a, *b;

    (void)state;
    assert_no_err(
        acme_cert_placeholder(&a, leaf_key, idents("a.org"), NOW, pool));
    assert_no_err(
        acme_cert_placeholder(&b, leaf_key, idents("a.org"), NOW, pool));
    assert_string_not_equal(info_of(a)->serial, info_of(b)->serial);
    assert_int_equal(strlen(info_of(a)->serial), 32);
}

static void test_placeholder_without_names_refused(void **state)
{
    X509 *cert = NULL;

    (void)state;
    assert_err(acme_cert_placeholder(&cert, leaf_key, idents(""), NOW, pool),
               ACME_E_CERT_MAKE);
    assert_null(cert);
}

static const struct CMUnitTest tests[] = {
    CERT_TEST(test_chain_parse_reverses_to_pem),
    CERT_TEST(test_chain_parse_leaf_alone),
    CERT_TEST(test_chain_parse_lets_text_and_space_pass),
    CERT_TEST(test_chain_parse_ends_at_len),
    CERT_TEST(test_chain_parse_refuses_other_blocks),
    CERT_TEST(test_chain_parse_refuses_malformed),
    CERT_TEST(test_chain_parse_every_truncation_refused),
    CERT_TEST(test_chain_parse_refuses_octets_after_certificate),
    CERT_TEST(test_chain_parse_bounds_count),
    CERT_TEST(test_chain_parse_pathologies_bounded),
    CERT_TEST(test_chain_parse_bounds_length),
    CERT_TEST(test_info_reads_what_is_there),
    CERT_TEST(test_info_ari_id_keeps_serial_der),
    CERT_TEST(test_info_far_dates_clamped),
    CERT_TEST(test_info_other_names_counted_as_foreign),
    CERT_TEST(test_info_names_bounded),
    CERT_TEST(test_info_unreadable_names_are_foreign),
    CERT_TEST(test_info_issuer_printable_and_never_missing),
    CERT_TEST(test_verify_good_chain_passes),
    CERT_TEST(test_verify_other_key_refused),
    CERT_TEST(test_verify_names_must_be_exact),
    CERT_TEST(test_verify_foreign_name_refused_unless_not_compared),
    CERT_TEST(test_verify_dates),
    CERT_TEST(test_verify_usage),
    CERT_TEST(test_verify_signatures_up_the_chain),
    CERT_TEST(test_verify_changed_octet_refused),
    CERT_TEST(test_has_issuer_anywhere_in_chain),
    CERT_TEST(test_challenge_is_what_rfc_8737_asks_for),
    CERT_TEST(test_challenge_types_an_address_as_one),
    CERT_TEST(test_placeholder_passes_own_check),
    CERT_TEST(test_placeholder_serials_differ),
    CERT_TEST(test_placeholder_without_names_refused),
};

RUN_TESTS(tests)
