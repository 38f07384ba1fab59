#include "core_test.h"

#include <dlfcn.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>

#include "core/encode.h"
#include "core/jws.h"
#include "core/key.h"

#define URL "https://ca.example/acme/new-order?a=b&c=d/"

/* --- an independent reader of JWK and JWS ----------------------------------- */

static apr_status_t free_key(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

static EVP_PKEY *key_from_params(const char *kind, OSSL_PARAM_BLD *build,
                                 int selection)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *key = NULL;

    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &key, selection, params), 1);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    apr_pool_cleanup_register(pool, key, free_key, apr_pool_cleanup_null);
    return key;
}

static const unsigned char *decoded(apr_size_t *len, const char *text)
{
    const unsigned char *data = NULL;

    assert_non_null(text);
    assert_int_equal(acme_decode_base64url(&data, len, text, pool),
                     APR_SUCCESS);
    return data;
}

static BIGNUM *bn_of(const char *text)
{
    apr_size_t len;
    const unsigned char *data = decoded(&len, text);

    return BN_bin2bn(data, (int)len, NULL);
}

static EVP_PKEY *rsa_key(const char *n_text, const char *e_text)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = bn_of(n_text), *e = bn_of(e_text);
    EVP_PKEY *key;

    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    key = key_from_params("RSA", build, EVP_PKEY_PUBLIC_KEY);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *ec_key(const char *curve, const char *x_text,
                        const char *y_text)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    unsigned char point[97] = { 4 };
    apr_size_t x_len, y_len;
    const unsigned char *x = decoded(&x_len, x_text);
    const unsigned char *y = decoded(&y_len, y_text);
    EVP_PKEY *key;

    assert_int_equal(x_len, strcmp(curve, "P-256") == 0 ? 32 : 48);
    assert_int_equal(y_len, x_len);
    memcpy(point + 1, x, x_len);
    memcpy(point + 1 + x_len, y, y_len);
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve,
                                    0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                     1 + 2 * x_len);
    key = key_from_params("EC", build, EVP_PKEY_PUBLIC_KEY);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *key_of_jwk(const json_t *jwk)
{
    const char *kty = acme_json_string(jwk, "kty");

    assert_non_null(kty);
    if (strcmp(kty, "RSA") == 0) {
        return rsa_key(acme_json_string(jwk, "n"), acme_json_string(jwk, "e"));
    }
    return ec_key(acme_json_string(jwk, "crv"), acme_json_string(jwk, "x"),
                  acme_json_string(jwk, "y"));
}

/* r || s to DER. */
static unsigned char *der_signature(int *der_len, const unsigned char *raw,
                                    apr_size_t len)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    unsigned char *der = NULL;

    ECDSA_SIG_set0(signature, BN_bin2bn(raw, (int)len / 2, NULL),
                   BN_bin2bn(raw + len / 2, (int)len / 2, NULL));
    *der_len = i2d_ECDSA_SIG(signature, &der);
    ECDSA_SIG_free(signature);
    return der;
}

static int verifies(EVP_PKEY *key, const char *alg, const char *input,
                    const char *signature)
{
    int ec = alg[0] == 'E', der_len = 0, good;
    const EVP_MD *digest =
        strcmp(alg, "ES384") == 0 ? EVP_sha384() : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    apr_size_t len;
    const unsigned char *raw = decoded(&len, signature);

    if (ec) {
        assert_int_equal(len, strcmp(alg, "ES384") == 0 ? 96 : 64);
        der = der_signature(&der_len, raw, len);
    }
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, digest, NULL, key), 1);
    good = EVP_DigestVerify(context, ec ? der : raw, ec ? (size_t)der_len : len,
                            (const unsigned char *)input, strlen(input));
    OPENSSL_free(der);
    EVP_MD_CTX_free(context);
    return good == 1;
}

typedef struct jws_t {
    json_t *header;
    const char *payload;
    const char *input;
    const char *signature;
} jws_t;

static jws_t read_jws(const char *body)
{
    json_t *json = NULL;
    const char *protected, *payload;
    const unsigned char *text;
    apr_size_t len;
    jws_t jws;

    assert_no_err(
        acme_json_parse(&json, body, strlen(body), 100000, "JWS", pool));
    assert_int_equal(json_object_size(json), 3);
    protected = acme_json_string(json, "protected");
    payload = acme_json_string(json, "payload");
    text = decoded(&len, protected);
    assert_no_err(acme_json_parse(&jws.header, (const char *)text, len, 100000,
                                  "header", pool));
    jws.payload = (const char *)decoded(&len, payload);
    jws.input = apr_pstrcat(pool, protected, ".", payload, NULL);
    jws.signature = acme_json_string(json, "signature");
    return jws;
}

/* The reader itself, by a signature that is not ours. */
static void test_verifier_accepts_rfc7515_a3(void **state)
{
    static const char input[] =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    static const char signature[] =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    EVP_PKEY *key =
        ec_key("P-256", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");

    (void)state;
    assert_true(verifies(key, "ES256", input, signature));
    assert_false(verifies(key, "ES256", input + 1, signature));
}

/* --- JWK and thumbprint ---------------------------------------------------- */

static void test_thumbprint_rfc7638_vector(void **state)
{
    static const char n[] =
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    EVP_PKEY *key = rsa_key(n, "AQAB");
    const char *jwk, *thumbprint;

    (void)state;
    assert_no_err(acme_jws_jwk(&jwk, key, pool));
    assert_string_equal(
        jwk, apr_pstrcat(pool, "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"", n,
                         "\"}", NULL));
    assert_no_err(acme_jws_thumbprint(&thumbprint, key, pool));
    assert_string_equal(thumbprint,
                        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

static void test_jwk_ec_members_sorted(void **state)
{
    EVP_PKEY *key =
        ec_key("P-256", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    const char *jwk;

    (void)state;
    assert_no_err(acme_jws_jwk(&jwk, key, pool));
    assert_string_equal(
        jwk,
        "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
}

/* The public key of a private number, so that chosen coordinates come up. */
static EVP_PKEY *key_of_scalar(unsigned int scalar, int *leading_zeros)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = EC_POINT_new(group);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *number = BN_new();
    unsigned char octets[65];
    EVP_PKEY *key;

    BN_set_word(number, scalar);
    assert_int_equal(EC_POINT_mul(group, point, number, NULL, NULL, NULL), 1);
    assert_int_equal(EC_POINT_point2oct(group, point,
                                        POINT_CONVERSION_UNCOMPRESSED, octets,
                                        sizeof(octets), NULL),
                     sizeof(octets));
    *leading_zeros = (octets[1] == 0) + (octets[33] == 0);
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256",
                                    0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, octets,
                                     sizeof(octets));
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number);
    key = key_from_params("EC", build, EVP_PKEY_KEYPAIR);
    OSSL_PARAM_BLD_free(build);
    BN_free(number);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return key;
}

static void test_jwk_coordinates_of_fixed_width(void **state)
{
    unsigned int scalar;
    int zeros, seen = 0;
    json_t *json;
    const char *jwk;

    (void)state;
    for (scalar = 1; scalar <= 600; scalar++) {
        EVP_PKEY *key = key_of_scalar(scalar, &zeros);

        seen += zeros;
        assert_no_err(acme_jws_jwk(&jwk, key, pool));
        assert_no_err(
            acme_json_parse(&json, jwk, strlen(jwk), 1000, "JWK", pool));
        assert_int_equal(strlen(acme_json_string(json, "x")), 43);
        assert_int_equal(strlen(acme_json_string(json, "y")), 43);
        assert_int_equal(EVP_PKEY_eq(key, key_of_jwk(json)), 1);
    }
    /* Else the loop would have shown nothing. */
    assert_true(seen >= 2);
}

static void test_alg_by_key(void **state)
{
    static const char *const algs[ACME_KEY_TYPES] = { "ES256", "ES384", "RS256",
                                                      "RS256", NULL };
    EVP_PKEY *key;
    int i;

    (void)state;
    for (i = 0; i < ACME_KEY_TYPES && algs[i]; i++) {
        assert_no_err(acme_key_make(&key, (acme_key_type_t)i, pool));
        assert_string_equal(acme_jws_alg(key), algs[i]);
    }
}

static void test_other_keys_refused(void **state)
{
    const acme_jws_header_t header = { URL, "nonce", NULL };
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    const char *text;

    (void)state;
    assert_null(acme_jws_alg(key));
    assert_err(acme_jws_jwk(&text, key, pool), ACME_E_JWS_SIGN);
    assert_err(acme_jws_thumbprint(&text, key, pool), ACME_E_JWS_SIGN);
    assert_err(acme_jws_sign(&text, key, &header, "", pool), ACME_E_JWS_SIGN);
    EVP_PKEY_free(key);
}

/* --- signing --------------------------------------------------------------- */

static void test_sign_with_jwk_verifies_with_it(void **state)
{
    const acme_jws_header_t header = { URL, "nonce-_1", NULL };
    const char *body;
    EVP_PKEY *key;
    jws_t jws;
    int i;

    (void)state;
    for (i = 0; i <= ACME_KEY_RSA2048; i++) {
        assert_no_err(acme_key_make(&key, (acme_key_type_t)i, pool));
        assert_no_err(acme_jws_sign(&body, key, &header, "{\"a\":1}", pool));
        jws = read_jws(body);
        assert_int_equal(json_object_size(jws.header), 4);
        assert_string_equal(acme_json_string(jws.header, "url"), URL);
        assert_string_equal(acme_json_string(jws.header, "nonce"), "nonce-_1");
        assert_string_equal(acme_json_string(jws.header, "alg"),
                            acme_jws_alg(key));
        assert_string_equal(jws.payload, "{\"a\":1}");
        assert_true(verifies(key_of_jwk(json_object_get(jws.header, "jwk")),
                             acme_jws_alg(key), jws.input, jws.signature));
    }
}

static void test_sign_with_kid_leaves_jwk_out(void **state)
{
    const acme_jws_header_t header = { URL, "n", "https://ca.example/acct/1" };
    const char *body;
    EVP_PKEY *key;
    jws_t jws;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_jws_sign(&body, key, &header, "", pool));
    jws = read_jws(body);
    assert_int_equal(json_object_size(jws.header), 4);
    assert_string_equal(acme_json_string(jws.header, "kid"),
                        "https://ca.example/acct/1");
    assert_null(json_object_get(jws.header, "jwk"));
    assert_string_equal(jws.payload, "");
    assert_true(verifies(key, "ES256", jws.input, jws.signature));
}

static void test_sign_without_nonce_leaves_it_out(void **state)
{
    const acme_jws_header_t header = { URL, NULL, NULL };
    const char *body;
    EVP_PKEY *key;
    jws_t jws;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_jws_sign(&body, key, &header, "{}", pool));
    jws = read_jws(body);
    assert_int_equal(json_object_size(jws.header), 3);
    assert_null(json_object_get(jws.header, "nonce"));
}

/* verifies() asks for 64 octets; a leading zero comes in one of 128. */
static void test_sign_many_signatures_of_fixed_width(void **state)
{
    const acme_jws_header_t header = { URL, "n", "https://ca.example/1" };
    const char *body;
    apr_size_t len;
    EVP_PKEY *key;
    jws_t jws;
    int i, zeros = 0;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    for (i = 0; i < 20000 && (i < 500 || !zeros); i++) {
        const unsigned char *raw;

        assert_no_err(acme_jws_sign(&body, key, &header, "{}", pool));
        jws = read_jws(body);
        assert_true(verifies(key, "ES256", jws.input, jws.signature));
        raw = decoded(&len, jws.signature);
        zeros += raw[0] == 0 || raw[32] == 0;
    }
    assert_true(zeros > 0);
}

static int names_asked, name_missing = -1;

/* In place of OpenSSL's, which it calls: to name a curve takes memory. */
int EVP_PKEY_get_group_name(const EVP_PKEY *key, char *name, size_t size,
                            size_t *len)
{
    int (*real)(const EVP_PKEY *, char *, size_t, size_t *);

    *(void **)&real = dlsym(RTLD_NEXT, "EVP_PKEY_get_group_name");
    return names_asked++ != name_missing && real(key, name, size, len);
}

/* Else a signature went out as it is of RSA's, and the order was lost. */
static void test_sign_without_memory_for_the_curve_is_no_signature(void **state)
{
    const acme_jws_header_t header = { URL, "n", "https://ca.example/acct/1" };
    int refused = 0;
    EVP_PKEY *key;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P384, pool));
    acme_err_t *err;
    name_missing = 0;
    do { /* until none was missing */
        const char *body;

        names_asked = 0;
        err = acme_jws_sign(&body, key, &header, "{}", pool);
        if (err) {
            assert_int_equal(err->msg, ACME_E_JWS_SIGN);
            refused++;
        }
        else {
            jws_t jws = read_jws(body);
            assert_true(verifies(key, "ES384", jws.input, jws.signature));
        }
    } while (name_missing++ < names_asked || err);
    name_missing = -1;
    assert_true(refused > 0);
}

static void test_sign_hostile_nonce_stays_a_value(void **state)
{
    acme_jws_header_t header = { URL, "x\",\"jwk\":{},\"a\":\"\\", NULL };
    const char *body = NULL;
    char *nonce = apr_pcalloc(pool, 5001);
    EVP_PKEY *key;

    (void)state;
    assert_no_err(acme_key_make(&key, ACME_KEY_ECDSA_P256, pool));
    assert_no_err(acme_jws_sign(&body, key, &header, "", pool));
    assert_string_equal(acme_json_string(read_jws(body).header, "nonce"),
                        header.nonce);
    memset(nonce, 'a', 5000);
    header.nonce = nonce;
    assert_no_err(acme_jws_sign(&body, key, &header, "", pool));
    assert_string_equal(acme_json_string(read_jws(body).header, "nonce"),
                        nonce);
    header.nonce = "\xff\xfe";
    body = "untouched";
    assert_err(acme_jws_sign(&body, key, &header, "", pool), ACME_E_JWS_SIGN);
    assert_string_equal(body, "untouched");
}

/* --- external account binding ---------------------------------------------- */

static const char *bind_with(const char *hmac_text)
{
    const char *body = NULL;

    assert_no_err(acme_jws_bind(&body, "kid-1", hmac_text, URL,
                                "{\"kty\":\"EC\"}", pool));
    return body;
}

static void test_bind_is_hs256_over_jwk(void **state)
{
    static const unsigned char secret[] = { 0xfb, 0xff, 0xbf, 0x01 };
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len;
    jws_t jws = read_jws(bind_with("-_-_AQ"));

    (void)state;
    assert_int_equal(json_object_size(jws.header), 3);
    assert_string_equal(acme_json_string(jws.header, "alg"), "HS256");
    assert_string_equal(acme_json_string(jws.header, "kid"), "kid-1");
    assert_string_equal(acme_json_string(jws.header, "url"), URL);
    assert_string_equal(jws.payload, "{\"kty\":\"EC\"}");
    HMAC(EVP_sha256(), secret, sizeof(secret), (const unsigned char *)jws.input,
         strlen(jws.input), mac, &mac_len);
    assert_string_equal(jws.signature,
                        acme_encode_base64url(mac, mac_len, pool));
}

static void test_bind_accepts_padding_and_standard_alphabet(void **state)
{
    const char *expected = bind_with("-_-_AQ");

    (void)state;
    assert_string_equal(bind_with("-_-_AQ=="), expected);
    assert_string_equal(bind_with("+/+/AQ"), expected);
    assert_string_equal(bind_with("+/+/AQ=="), expected);
    assert_string_equal(bind_with(" +/+/AQ==\r\n"), expected);
}

static void test_bind_refuses_what_is_no_key(void **state)
{
    static const char *const bad[] = {
        "", " ", "==", "A", "!secret!", "AQ AQ", "AQ===", "A=Q=", "AR"
    };
    char *large = apr_pcalloc(pool, 5001);
    const char *body = NULL;
    acme_err_t *err;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = acme_jws_bind(&body, "kid", bad[i], URL, "{}", pool);
        assert_non_null(err);
        assert_int_equal(err->msg, ACME_E_EAB_KEY);
        assert_int_equal(err->class, ACME_CLASS_CONFIG);
        assert_null(strstr(err->text, "!secret!"));
        assert_null(body);
    }
    memset(large, 'A', 5000);
    assert_err(acme_jws_bind(&body, "kid", large, URL, "{}", pool),
               ACME_E_EAB_KEY);
    assert_err(acme_jws_bind(&body, "\xff", "AQ", URL, "{}", pool),
               ACME_E_EAB_KEY);
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_verifier_accepts_rfc7515_a3),
    POOL_TEST(test_thumbprint_rfc7638_vector),
    POOL_TEST(test_jwk_ec_members_sorted),
    POOL_TEST(test_jwk_coordinates_of_fixed_width),
    POOL_TEST(test_alg_by_key),
    POOL_TEST(test_other_keys_refused),
    POOL_TEST(test_sign_with_jwk_verifies_with_it),
    POOL_TEST(test_sign_with_kid_leaves_jwk_out),
    POOL_TEST(test_sign_without_nonce_leaves_it_out),
    POOL_TEST(test_sign_many_signatures_of_fixed_width),
    POOL_TEST(test_sign_without_memory_for_the_curve_is_no_signature),
    POOL_TEST(test_sign_hostile_nonce_stays_a_value),
    POOL_TEST(test_bind_is_hs256_over_jwk),
    POOL_TEST(test_bind_accepts_padding_and_standard_alphabet),
    POOL_TEST(test_bind_refuses_what_is_no_key),
};

RUN_TESTS(tests)
