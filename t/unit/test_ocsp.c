#include "core_test.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "core/cert.h"
#include "core/ocsp.h"

#define NOW   apr_time_from_sec(APR_INT64_C(1795334400)) /* 2026-11-22 08:00 */
#define HOUR  apr_time_from_sec(3600)
#define DAY   (24 * HOUR)
#define URL   "http://ocsp.ca.test/one"
#define OTHER "http://ocsp.ca.test:8080/two"

/* --- certificates ------------------------------------------------------------ */

static EVP_PKEY *ca_key, *leaf_key, *other_key;
static X509 *ca, *leaf, *other_ca, *sibling, *delegate, *late_delegate;

static void add(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void set_name(X509_NAME *name, const char *common_name)
{
    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                               (const unsigned char *)common_name, -1, -1, 0);
}

static X509 *unsigned_cert(const char *subject, const char *issuer, long serial,
                           EVP_PKEY *key)
{
    X509 *cert = X509_new();

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    set_name(X509_get_subject_name(cert), subject);
    set_name(X509_get_issuer_name(cert), issuer);
    ASN1_TIME_set_string(X509_getm_notBefore(cert), "261101070000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(cert), "270220070000Z");
    X509_set_pubkey(cert, key);
    return cert;
}

static X509 *make_ca(EVP_PKEY *key)
{
    X509 *cert = unsigned_cert("CA", "CA", 1, key);

    add(cert, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(cert, key, EVP_sha256());
    return cert;
}

/* value NULL: without that extension */
static X509 *make_leaf(long serial, EVP_PKEY *key, int nid, const char *value)
{
    X509 *cert = unsigned_cert("leaf", "CA", serial, key);

    add(cert, NID_basic_constraints, "critical,CA:FALSE");
    if (value) {
        add(cert, nid, value);
    }
    X509_sign(cert, ca_key, EVP_sha256());
    return cert;
}

static int setup(void **state)
{
    (void)state;
    ca_key = EVP_EC_gen("P-256");
    leaf_key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    ca = make_ca(ca_key);
    other_ca = make_ca(other_key);
    leaf = make_leaf(4711, leaf_key, NID_info_access, "OCSP;URI:" URL);
    sibling = make_leaf(4712, other_key, NID_ext_key_usage, "serverAuth");
    delegate = make_leaf(4713, other_key, NID_ext_key_usage, "OCSPSigning");
    late_delegate =
        make_leaf(4714, other_key, NID_ext_key_usage, "OCSPSigning");
    ASN1_TIME_set_string(X509_getm_notAfter(late_delegate), "261102070000Z");
    X509_sign(late_delegate, ca_key, EVP_sha256());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    X509_free(ca);
    X509_free(other_ca);
    X509_free(leaf);
    X509_free(sibling);
    X509_free(delegate);
    X509_free(late_delegate);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(leaf_key);
    EVP_PKEY_free(other_key);
    return 0;
}

/* --- responses ----------------------------------------------------------------- */

typedef struct spec_t {
    X509 *about, *issuer, *signer;
    EVP_PKEY *key;
    int status, reason;
    apr_time_t this_update, next_update, revoked_at; /* 0: none */
    int nonce;
    unsigned long flags;
} spec_t;

typedef struct der_t {
    unsigned char *data;
    apr_size_t len;
} der_t;

static spec_t good(void)
{
    spec_t spec = { leaf, ca, ca, ca_key, V_OCSP_CERTSTATUS_GOOD };

    spec.reason = OCSP_REVOKED_STATUS_NOSTATUS;
    spec.this_update = NOW - DAY;
    spec.next_update = NOW + 3 * DAY;
    return spec;
}

static ASN1_GENERALIZEDTIME *time_of(apr_time_t time)
{
    return time < 0
               ? NULL
               : ASN1_GENERALIZEDTIME_set(NULL, (time_t)apr_time_sec(time));
}

static der_t encode(OCSP_RESPONSE *response)
{
    unsigned char *data = NULL;
    int len = i2d_OCSP_RESPONSE(response, &data);
    der_t der = { apr_pmemdup(pool, data, (apr_size_t)len), (apr_size_t)len };

    assert_true(len > 0);
    OPENSSL_free(data);
    OCSP_RESPONSE_free(response);
    return der;
}

static der_t respond(const spec_t *spec)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), spec->about, spec->issuer);
    ASN1_GENERALIZEDTIME *this_update = time_of(spec->this_update);
    ASN1_GENERALIZEDTIME *next_update =
        spec->next_update ? time_of(spec->next_update) : NULL;
    ASN1_GENERALIZEDTIME *revoked_at = time_of(spec->revoked_at);
    OCSP_RESPONSE *response;

    assert_non_null(OCSP_basic_add1_status(basic, id, spec->status,
                                           spec->reason, revoked_at,
                                           this_update, next_update));
    if (spec->nonce) {
        OCSP_basic_add1_nonce(basic, NULL, 16);
    }
    assert_int_equal(OCSP_basic_sign(basic, spec->signer, spec->key,
                                     EVP_sha256(), NULL, spec->flags),
                     1);
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_GENERALIZEDTIME_free(this_update);
    ASN1_GENERALIZEDTIME_free(next_update);
    ASN1_GENERALIZEDTIME_free(revoked_at);
    return encode(response);
}

static acme_err_t *verify(acme_ocsp_t **ocsp, der_t der)
{
    return acme_ocsp_verify(ocsp, der.data, der.len, leaf, ca, NOW, pool);
}

static void assert_refused(const spec_t *spec, const char *why)
{
    acme_ocsp_t *ocsp = NULL;
    acme_err_t *err = verify(&ocsp, respond(spec));

    assert_non_null(err);
    assert_int_equal(err->msg, ACME_E_OCSP);
    assert_non_null(strstr(err->text, why));
    assert_null(ocsp);
    assert_int_equal(ERR_peek_error(), 0);
}

/* --- judging ---------------------------------------------------------------------- */

static void test_verify_good_response_of_the_issuer(void **state)
{
    spec_t spec = good();
    acme_ocsp_t *ocsp;

    (void)state;
    assert_no_err(verify(&ocsp, respond(&spec)));
    assert_false(ocsp->revoked);
    assert_int_equal(ocsp->this_update, NOW - DAY);
    assert_int_equal(ocsp->until, NOW + 3 * DAY);
    spec.nonce = 1; /* we sent none: it means nothing */
    assert_no_err(verify(&ocsp, respond(&spec)));
    spec.flags = OCSP_NOCERTS;
    assert_no_err(verify(&ocsp, respond(&spec)));
}

static void test_verify_delegated_responder(void **state)
{
    spec_t spec = good();
    acme_ocsp_t *ocsp;

    (void)state;
    spec.signer = delegate;
    spec.key = other_key;
    assert_no_err(verify(&ocsp, respond(&spec)));
}

static void test_verify_refuses_other_signers(void **state)
{
    spec_t spec = good();

    (void)state;
    spec.key = other_key;
    spec.signer = sibling; /* of the same CA, but not for that */
    assert_refused(&spec, "not signed by");
    spec.signer = late_delegate;
    assert_refused(&spec, "not signed by");
    spec.signer = other_ca; /* has the same name */
    assert_refused(&spec, "not signed by");
    spec.key = leaf_key;
    spec.signer = leaf; /* vouches for itself */
    assert_refused(&spec, "not signed by");
}

/* Refused; or what was changed means nothing (unused bits of a BIT STRING). */
static void test_verify_refuses_a_changed_response(void **state)
{
    spec_t spec = good();
    acme_ocsp_t *ocsp;
    apr_size_t i;
    der_t der;

    (void)state;
    spec.flags = OCSP_NOCERTS;
    der = respond(&spec);
    for (i = 0; i < der.len; i++) {
        der.data[i] ^= 1;
        if (!verify(&ocsp, der)) {
            assert_false(ocsp->revoked);
            assert_int_equal(ocsp->until, spec.next_update);
        }
        der.data[i] ^= 1;
    }
    assert_no_err(verify(&ocsp, der));
    for (i = 0; i < der.len; i++) {
        der_t cut = { der.data, i };

        assert_non_null(verify(&ocsp, cut));
    }
}

static void test_verify_refuses_what_is_no_response(void **state)
{
    static unsigned char html[] = "<!DOCTYPE html><html><body>hello</body>";
    static unsigned char large[ACME_MAX_OCSP + 1];
    der_t der = { html, sizeof(html) - 1 };
    spec_t spec = good();
    acme_ocsp_t *ocsp;

    (void)state;
    assert_err(verify(&ocsp, der), ACME_E_OCSP);
    der = respond(&spec);
    memcpy(large, der.data, der.len);
    der.data = large;
    der.len++; /* something follows it */
    assert_err(verify(&ocsp, der), ACME_E_OCSP);
    der.len = sizeof(large);
    assert_err(verify(&ocsp, der), ACME_E_OCSP);
}

static void test_verify_tells_the_responders_excuse(void **state)
{
    der_t der =
        encode(OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL));
    acme_ocsp_t *ocsp;
    acme_err_t *err = verify(&ocsp, der);

    (void)state;
    assert_non_null(err);
    assert_non_null(strstr(err->text, "trylater"));
}

static void test_verify_refuses_another_certificate(void **state)
{
    spec_t spec = good();

    (void)state;
    spec.about = sibling;
    assert_refused(&spec, "another certificate");
    spec = good();
    spec.issuer = other_ca;
    assert_refused(&spec, "another certificate");
}

static void test_verify_holds_times_against_now(void **state)
{
    spec_t spec = good();
    acme_ocsp_t *ocsp;

    (void)state;
    spec.next_update = NOW - 1;
    assert_refused(&spec, "expired");
    spec.next_update = NOW;
    assert_refused(&spec, "expired");
    spec = good();
    spec.this_update = NOW + HOUR;
    assert_refused(&spec, "future");
    spec.this_update = NOW + HOUR / 15;
    assert_no_err(verify(&ocsp, respond(&spec)));
    spec.next_update = spec.this_update;
    assert_refused(&spec, "expired");
    spec.next_update = 0;
    spec.this_update = NOW - HOUR;
    assert_no_err(verify(&ocsp, respond(&spec)));
    assert_int_equal(ocsp->until, NOW - HOUR + DAY);
    spec.this_update = NOW - 2 * DAY;
    assert_refused(&spec, "expired");
}

static void test_verify_revoked_is_no_error(void **state)
{
    spec_t spec = good();
    acme_ocsp_t *ocsp;

    (void)state;
    spec.status = V_OCSP_CERTSTATUS_REVOKED;
    spec.revoked_at = NOW - HOUR;
    spec.reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE;
    assert_no_err(verify(&ocsp, respond(&spec)));
    assert_true(ocsp->revoked);
    assert_int_equal(ocsp->revoked_at, NOW - HOUR);
    assert_string_equal(ocsp->reason, "keyCompromise");
    spec.reason = OCSP_REVOKED_STATUS_NOSTATUS;
    assert_no_err(verify(&ocsp, respond(&spec)));
    assert_null(ocsp->reason);
}

static void test_verify_unknown_is_not_revoked(void **state)
{
    spec_t spec = good();

    (void)state;
    spec.status = V_OCSP_CERTSTATUS_UNKNOWN;
    assert_refused(&spec, "does not know");
    /* RFC 6960 section 2.2: never issued, or not heard of yet */
    spec.status = V_OCSP_CERTSTATUS_REVOKED;
    spec.reason = OCSP_REVOKED_STATUS_CERTIFICATEHOLD;
    spec.revoked_at = 0;
    assert_refused(&spec, "does not know");
}

static void test_verify_bounds_what_comes_along(void **state)
{
    spec_t spec = good();
    STACK_OF(X509) *certs = sk_X509_new_null();
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf, ca);
    ASN1_GENERALIZEDTIME *from = time_of(spec.this_update);
    ASN1_GENERALIZEDTIME *until = time_of(spec.next_update);
    acme_ocsp_t *ocsp;
    int i;

    (void)state;
    for (i = 0; i < 12; i++) {
        sk_X509_push(certs, sibling);
    }
    OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from,
                           until);
    OCSP_basic_sign(basic, ca, ca_key, EVP_sha256(), certs, 0);
    assert_err(verify(&ocsp, encode(OCSP_response_create(0, basic))),
               ACME_E_OCSP);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_GENERALIZEDTIME_free(from);
    ASN1_GENERALIZEDTIME_free(until);
    sk_X509_free(certs);
}

/* --- asking ------------------------------------------------------------------------ */

static void test_request_names_the_certificate(void **state)
{
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf, ca);
    const unsigned char *der;
    OCSP_REQUEST *request;
    apr_size_t len;

    (void)state;
    assert_no_err(acme_ocsp_request(&der, &len, leaf, ca, pool));
    request = d2i_OCSP_REQUEST(NULL, &der, (long)len);
    assert_non_null(request);
    assert_int_equal(OCSP_request_onereq_count(request), 1);
    assert_int_equal(
        OCSP_id_cmp(OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0)),
                    id),
        0);
    assert_int_equal(OCSP_REQUEST_get_ext_count(request), 0);
    OCSP_REQUEST_free(request);
    OCSP_CERTID_free(id);
}

static void test_responder_is_a_plain_http_url(void **state)
{
    static const struct {
        const char *access;
        const char *first, *second;
    } CASES[] = {
        { "OCSP;URI:" URL, URL, URL },
        { "OCSP;URI:" URL ",OCSP;URI:" OTHER, URL, OTHER },
        { "caIssuers;URI:http://x.test/ca.der,OCSP;URI:" OTHER, OTHER, OTHER },
        { "OCSP;URI:https://ocsp.ca.test/,OCSP;URI:" URL, URL, URL },
        { "OCSP;URI:http://user:secret@ca.test/", NULL, NULL },
        { "OCSP;URI:http://ca.test:99999/", NULL, NULL },
        { "OCSP;URI:file:///etc/passwd", NULL, NULL },
        { "OCSP;URI:ldap://ca.test/", NULL, NULL },
        { "OCSP;URI:http://ca.test/a b", NULL, NULL },
        { "OCSP;DNS:ca.test", NULL, NULL },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        X509 *cert = make_leaf(1, leaf_key, NID_info_access, CASES[i].access);
        const char *first = acme_ocsp_responder(cert, 0, pool);
        const char *second = acme_ocsp_responder(cert, 1, pool);

        if (CASES[i].first) {
            assert_string_equal(first, CASES[i].first);
            assert_string_equal(second, CASES[i].second);
        }
        else {
            assert_null(first);
        }
        X509_free(cert);
    }
    assert_null(acme_ocsp_responder(sibling, 0, pool));
}

static void test_must_staple_is_the_tls_feature(void **state)
{
    X509 *must = make_leaf(1, leaf_key, NID_tlsfeature, "status_request");
    X509 *v2 = make_leaf(1, leaf_key, NID_tlsfeature, "status_request_v2");
    acme_cert_info_t *info;

    (void)state;
    assert_true(acme_ocsp_must_staple(must));
    assert_false(acme_ocsp_must_staple(v2));
    assert_false(acme_ocsp_must_staple(leaf));
    assert_no_err(acme_cert_info(&info, must, pool));
    assert_true(info->must_staple);
    assert_null(info->ocsp);
    assert_no_err(acme_cert_info(&info, leaf, pool));
    assert_false(info->must_staple);
    assert_string_equal(info->ocsp, URL);
    X509_free(must);
    X509_free(v2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_verify_good_response_of_the_issuer),
        POOL_TEST(test_verify_delegated_responder),
        POOL_TEST(test_verify_refuses_other_signers),
        POOL_TEST(test_verify_refuses_a_changed_response),
        POOL_TEST(test_verify_refuses_what_is_no_response),
        POOL_TEST(test_verify_tells_the_responders_excuse),
        POOL_TEST(test_verify_refuses_another_certificate),
        POOL_TEST(test_verify_holds_times_against_now),
        POOL_TEST(test_verify_revoked_is_no_error),
        POOL_TEST(test_verify_unknown_is_not_revoked),
        POOL_TEST(test_verify_bounds_what_comes_along),
        POOL_TEST(test_request_names_the_certificate),
        POOL_TEST(test_responder_is_a_plain_http_url),
        POOL_TEST(test_must_staple_is_the_tls_feature),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, setup, teardown);
    apr_terminate();
    return failed != 0;
}
