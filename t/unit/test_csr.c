#include "core_test.h"

#include <openssl/x509v3.h>

#include "core/csr.h"
#include "core/encode.h"
#include "core/key.h"

static EVP_PKEY *key;

static apr_status_t free_request(void *request)
{
    X509_REQ_free(request);
    return APR_SUCCESS;
}

static apr_status_t free_names(void *names)
{
    GENERAL_NAMES_free(names);
    return APR_SUCCESS;
}

static apr_status_t free_extensions(void *extensions)
{
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return APR_SUCCESS;
}

static X509_REQ *request_of(const char *csr)
{
    const unsigned char *der, *end;
    X509_REQ *request;
    apr_size_t len;

    assert_int_equal(acme_decode_base64url(&der, &len, csr, pool), APR_SUCCESS);
    end = der;
    request = d2i_X509_REQ(NULL, &end, (long)len);
    assert_non_null(request);
    apr_pool_cleanup_register(pool, request, free_request,
                              apr_pool_cleanup_null);
    assert_ptr_equal(end, der + len);
    return request;
}

static X509_REQ *make(const apr_array_header_t *names,
                      const acme_csr_options_t *options)
{
    const char *csr = NULL;

    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_csr_make(&csr, key, names, options, pool));
    return request_of(csr);
}

static STACK_OF(X509_EXTENSION) *extensions_of(X509_REQ *request)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);

    assert_non_null(extensions);
    apr_pool_cleanup_register(pool, extensions, free_extensions,
                              apr_pool_cleanup_null);
    return extensions;
}

static GENERAL_NAMES *names_of(X509_REQ *request)
{
    GENERAL_NAMES *names = X509V3_get_d2i(extensions_of(request),
                                          NID_subject_alt_name, NULL, NULL);

    assert_non_null(names);
    apr_pool_cleanup_register(pool, names, free_names, apr_pool_cleanup_null);
    return names;
}

static void assert_name(GENERAL_NAMES *names, int index, int type,
                        const void *data, int len)
{
    int found;
    const ASN1_STRING *value =
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, index), &found);

    assert_int_equal(found, type);
    assert_int_equal(ASN1_STRING_length(value), len);
    assert_memory_equal(ASN1_STRING_get0_data(value), data, (size_t)len);
}

static void test_make_signed_by_key_with_empty_subject(void **state)
{
    X509_REQ *request = make(idents("a.org"), NULL);

    (void)state;
    assert_int_equal(X509_REQ_verify(request, key), 1);
    assert_int_equal(EVP_PKEY_eq(X509_REQ_get0_pubkey(request), key), 1);
    assert_int_equal(X509_REQ_get_version(request), X509_REQ_VERSION_1);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(request)),
                     0);
}

static void test_make_every_key_type_signs(void **state)
{
    const char *csr;
    EVP_PKEY *other;
    int i;

    (void)state;
    for (i = 0; i <= ACME_KEY_RSA2048; i++) {
        assert_no_err(acme_key_make(&other, (acme_key_type_t)i, pool));
        assert_no_err(acme_csr_make(&csr, other, idents("a.org"), NULL, pool));
        assert_int_equal(X509_REQ_verify(request_of(csr), other), 1);
    }
}

static void test_make_names_typed(void **state)
{
    GENERAL_NAMES *names =
        names_of(make(idents("a.org *.b.org 192.0.2.1 2001:db8::1"), NULL));

    (void)state;
    assert_int_equal(sk_GENERAL_NAME_num(names), 4);
    assert_name(names, 0, GEN_DNS, "a.org", 5);
    assert_name(names, 1, GEN_DNS, "*.b.org", 7);
    assert_name(names, 2, GEN_IPADD, "\xc0\x00\x02\x01", 4);
    assert_name(names, 3, GEN_IPADD,
                "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
}

/* The parser lets none of these through; a stored order might. */
static void test_make_commas_stay_in_their_name(void **state)
{
    acme_ident_t hostile = { ACME_IDENT_DNS, "a.org,DNS:evil.org,IP:1.2.3.4" };
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(acme_ident_t *));
    GENERAL_NAMES *names;

    (void)state;
    APR_ARRAY_PUSH(list, acme_ident_t *) = &hostile;
    names = names_of(make(list, NULL));
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_name(names, 0, GEN_DNS, hostile.value, (int)strlen(hostile.value));
}

static apr_array_header_t *long_names(int count)
{
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(acme_ident_t *));
    char label[61];
    int i;

    memset(label, 'a', 60);
    label[60] = '\0';
    for (i = 0; i < count; i++) {
        APR_ARRAY_PUSH(list, acme_ident_t *) = ident(apr_psprintf(
            pool, "%03d.%s.%s.%s.%s.b", i, label, label, label, label));
    }
    return list;
}

static void test_make_hundred_long_names(void **state)
{
    apr_array_header_t *list = long_names(100);
    GENERAL_NAMES *names = names_of(make(list, NULL));
    int i;

    (void)state;
    assert_int_equal(sk_GENERAL_NAME_num(names), 100);
    for (i = 0; i < 100; i++) {
        const char *value = APR_ARRAY_IDX(list, i, acme_ident_t *)->value;

        assert_int_equal(strlen(value), 249);
        assert_name(names, i, GEN_DNS, value, 249);
    }
}

static void assert_refused(const apr_array_header_t *list)
{
    const char *csr = NULL;

    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_err(acme_csr_make(&csr, key, list, NULL, pool), ACME_E_CSR_MAKE);
    assert_null(csr);
    assert_null(acme_csr_names(list));
}

static void test_make_counts_out_of_range_refused(void **state)
{
    (void)state;
    assert_refused(idents(""));
    assert_refused(long_names(101));
}

static void test_make_values_of_wrong_type_refused(void **state)
{
    acme_ident_t bad[] = { { ACME_IDENT_IP, "a.org" },
                           { ACME_IDENT_IP, "1.2.3" },
                           { ACME_IDENT_DNS, "" },
                           { ACME_IDENT_DNS, NULL } };
    char *large = apr_pcalloc(pool, 300);
    apr_size_t i;

    (void)state;
    bad[3].value = memset(large, 'a', 254);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        apr_array_header_t *list = idents("first.org");

        APR_ARRAY_PUSH(list, acme_ident_t *) = &bad[i];
        assert_refused(list);
    }
}

static void test_make_must_staple_only_where_asked(void **state)
{
    const acme_csr_options_t staple = { 1, NULL }, plain = { 0, NULL };
    STACK_OF(X509_EXTENSION) *extensions;
    const ASN1_OCTET_STRING *value;
    int index;

    (void)state;
    extensions = extensions_of(make(idents("a.org"), &staple));
    index = X509v3_get_ext_by_NID(extensions, NID_tlsfeature, -1);
    assert_true(index >= 0);
    value = X509_EXTENSION_get_data(sk_X509_EXTENSION_value(extensions, index));
    assert_int_equal(ASN1_STRING_length(value), 5);
    assert_memory_equal(ASN1_STRING_get0_data(value), "\x30\x03\x02\x01\x05",
                        5);
    extensions = extensions_of(make(idents("a.org"), &plain));
    assert_int_equal(X509v3_get_ext_by_NID(extensions, NID_tlsfeature, -1), -1);
    assert_int_equal(sk_X509_EXTENSION_num(extensions), 1);
}

static void test_attribute_forms_and_lengths(void **state)
{
    static const char *const good[] = {
        "C=DE",
        "c=US",
        "ST=Bayern",
        "L=M\xc3\xbcnchen",
        "O=a=b, Inc",
        "OU=x",
        "EMAILADDRESS=a@example.org",
    };
    static const char *const bad[] = {
        "",
        "O",
        "O=",
        "=x",
        "CN=a.example",
        "C=de",
        "C=DEU",
        "C=D",
        "serialNumber=1",
        "O=a\nb",
        "O=\xff\xfe",
        "emailAddress=a",
        "emailAddress=\xc3\xa4@b.example",
    };
    acme_csr_attribute_t one;
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_no_err(acme_csr_attribute_parse(&one, good[i], pool));
        assert_string_equal(one.value, strchr(good[i], '=') + 1);
    }
    assert_string_equal(one.name, "emailAddress");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        acme_err_t *err = acme_csr_attribute_parse(&one, bad[i], pool);

        assert_non_null(err);
        assert_int_equal(err->msg, ACME_E_SUBJECT);
    }
    for (i = 64; i <= 65; i++) {
        char *text = apr_pcalloc(pool, 2 * i + 4);
        unsigned k;

        strcpy(text, "O=");
        for (k = 0; k < i; k++) {
            strcat(text, "\xc3\xa4"); /* characters count, not octets */
        }
        assert_int_equal(acme_csr_attribute_parse(&one, text, pool) != NULL,
                         i == 65);
    }
}

static void test_make_subject_in_the_order_given(void **state)
{
    apr_array_header_t *subject =
        apr_array_make(pool, 6, sizeof(acme_csr_attribute_t));
    const acme_csr_options_t options = { 0, subject };
    static const char *const texts[] = {
        "C=DE",  "ST=Bayern", "L=M\xc3\xbcnchen",          "O=Example, GmbH",
        "OU=IT", "OU=Web",    "emailAddress=a@example.org"
    };
    X509_NAME *name;
    char *line;
    unsigned i;

    (void)state;
    for (i = 0; i < 7; i++) {
        assert_no_err(
            acme_csr_attribute_parse(apr_array_push(subject), texts[i], pool));
    }
    name = X509_REQ_get_subject_name(make(idents("a.org"), &options));
    line = X509_NAME_oneline(name, NULL, 0);
    assert_string_equal(line, "/C=DE/ST=Bayern/L=M\\xC3\\xBCnchen/"
                              "O=Example, GmbH/OU=IT/OU=Web/"
                              "emailAddress=a@example.org");
    OPENSSL_free(line);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_make_signed_by_key_with_empty_subject),
    POOL_TEST(test_make_every_key_type_signs),
    POOL_TEST(test_make_names_typed),
    POOL_TEST(test_make_commas_stay_in_their_name),
    POOL_TEST(test_make_hundred_long_names),
    POOL_TEST(test_make_counts_out_of_range_refused),
    POOL_TEST(test_make_values_of_wrong_type_refused),
    POOL_TEST(test_make_must_staple_only_where_asked),
    POOL_TEST(test_attribute_forms_and_lengths),
    POOL_TEST(test_make_subject_in_the_order_given),
};

RUN_TESTS(tests)
