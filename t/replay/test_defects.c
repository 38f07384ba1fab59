/* Defects of ACME clients, each against this one: those known of others (the
 * table is in t/defects.md), and those that test_hostile.c has found here. */
#include "replay_test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/encode.h"
#include "core/key.h"
#include "core/reaction.h"

#define HOUR 3600
#define DAY  86400

/* --- lego, CVE-2025-54799: http: was let pass ---------------------------------- */

static void assert_https(void *asked, const char *label,
                         const acme_wire_t *wire, acme_reply_t *reply,
                         apr_pool_t *reply_pool)
{
    (void)label;
    (void)reply;
    (void)reply_pool;
    ++*(int *)asked;
    assert_memory_equal(wire->url, CA_URL "/", strlen(CA_URL "/"));
    assert_false(wire->plain);
}

#define ORDER(status, authz, rest)                                             \
    "{\"status\":\"" status "\",\"authorizations\":[\"" authz "\"]," rest "}"
#define FINALIZE(url) "\"finalize\":\"" url "\""

static const struct {
    ca_rule_t rule;
    acme_msg_t msg;
} plain[] = {
    { { "directory", 0, CA_REPLY, 200,
        "{\"newNonce\":\"http://ca.test/nonce\",\"newAccount\":\"" CA_URL
        "/new-account\",\"newOrder\":\"" CA_URL "/new-order\"}" },
      ACME_E_CA_DIRECTORY },
    { { "directory", 0, CA_REPLY, 200,
        "{\"newNonce\":\"" CA_URL "/nonce\",\"newAccount\":"
        "\"http://ca.test/new-account\",\"newOrder\":\"" CA_URL
        "/new-order\"}" },
      ACME_E_CA_DIRECTORY },
    { { "directory", 0, CA_REPLY, 200,
        "{\"newNonce\":\"" CA_URL "/nonce\",\"newAccount\":\"" CA_URL
        "/new-account\",\"newOrder\":\"http://ca.test/new-order\"}" },
      ACME_E_CA_DIRECTORY },
    { { "newAccount", 0, CA_REPLY, 201, "{}",
        .location = "http://ca.test/account/1" },
      ACME_E_CA_RESOURCE },
    { { "newOrder", 0, CA_REPLY, 201,
        ORDER("pending", CA_URL "/authz/0", FINALIZE(CA_URL "/finalize")),
        .location = "http://ca.test/order" },
      ACME_E_CA_RESOURCE },
    { { "newOrder", 0, CA_REPLY, 201,
        ORDER("pending", "http://ca.test/authz/0",
              FINALIZE(CA_URL "/finalize")),
        .location = CA_URL "/order" },
      ACME_E_CA_RESOURCE },
    { { "newOrder", 0, CA_REPLY, 201,
        ORDER("ready", CA_URL "/authz/0", FINALIZE("http://ca.test/finalize")),
        .location = CA_URL "/order" },
      ACME_E_CA_RESOURCE },
    { { "authorization", 0, CA_REPLY, 200,
        "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":"
        "\"a.example\"},\"challenges\":[{\"type\":\"http-01\",\"token\":\"t\","
        "\"url\":\"http://ca.test/chall/0/http-01\",\"status\":\"pending\"}]}" },
      ACME_E_NO_CHALLENGE },
    { { "finalize", 0, CA_REPLY, 200,
        ORDER(
            "valid", CA_URL "/authz/0",
            FINALIZE(CA_URL
                     "/finalize") ",\"certificate\":\"http://ca.test/cert\"") },
      ACME_E_CA_RESOURCE },
    { { "newOrder", 0, CA_REPLY, 302, "",
        .location = "http://ca.test/new-order" },
      ACME_E_CA_REFUSED },
    { { "certificate", 0, CA_REPLY, 301, "",
        .location = "http://ca.test/cert" },
      ACME_E_CA_REFUSED },
};

static void test_lego_cve_2025_54799_http_is_never_spoken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        const ca_rule_t rules[] = { plain[i].rule, { NULL } };
        replay_t *replay = replay_create("a.example", pool);
        int asked = 0;

        replay->ca->rules = rules;
        replay->ca->tamper = assert_https;
        replay->ca->baton = &asked;
        replay_run(replay);
        assert_failed(replay, plain[i].msg);
        assert_int_equal(asked, replay->ca->requests);
    }
}

static void test_lego_cve_2025_54799_http_alternate_is_passed_over(void **state)
{
    replay_t *replay = replay_create("a.example", pool);
    int asked = 0;

    (void)state;
    replay->wanted.preferred_chain = "Other Root";
    replay->ca->chain_links = "<http://ca.test/cert/other>;rel=\"alternate\"";
    replay->ca->tamper = assert_https;
    replay->ca->baton = &asked;
    replay_run(replay);
    assert_done(replay);
}

/* --- acme.sh, CVE-2023-38198: what the CA sends was evaluated ------------------- */

static void test_acme_sh_cve_2023_38198_token_is_never_used_unchecked(
    void **state)
{
    static const char *const tokens[] = {
        "../../../etc/passwd",
        "..\\\\..\\\\x",
        "%2e%2e%2fx",
        "$(reboot)",
        "`reboot`",
        "a;reboot",
        "a\\r\\nX: y",
        "a b",
        "<script>",
        "\\u001b[31m",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        const ca_rule_t rules[] = {
            { "authorization", 0, CA_REPLY, 200,
              apr_pstrcat(pool,
                          "{\"status\":\"pending\",\"identifier\":{\"type\":"
                          "\"dns\",\"value\":\"a.example\"},\"challenges\":[{"
                          "\"type\":\"http-01\",\"url\":\"" CA_URL
                          "/chall/0/http-01\",\"status\":\"pending\","
                          "\"token\":\"",
                          tokens[i], "\"}]}", NULL) },
            { NULL },
        };
        replay_t *replay = run("a.example", rules);

        assert_failed(replay, ACME_E_NO_CHALLENGE);
        assert_int_equal(replay->published, 0);
    }
}

/* --- cert-manager #8380, #8610: a useless certificate was ordered in a loop ------ */

static void expire(ca_t *ca, X509 *cert)
{
    ASN1_TIME_set(X509_getm_notBefore(cert),
                  (time_t)apr_time_sec(ca->now) - 2 * DAY);
    ASN1_TIME_set(X509_getm_notAfter(cert),
                  (time_t)apr_time_sec(ca->now) - DAY);
}

static void begin_late(ca_t *ca, X509 *cert)
{
    ASN1_TIME_set(X509_getm_notBefore(cert),
                  (time_t)apr_time_sec(ca->now) + DAY);
}

static void add(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    X509_add_ext(cert, extension, 0);
    X509_EXTENSION_free(extension);
}

static void make_ca(ca_t *ca, X509 *cert)
{
    (void)ca;
    add(cert, NID_basic_constraints, "critical,CA:TRUE");
}

static void add_usage_twice(ca_t *ca, X509 *cert)
{
    (void)ca;
    add(cert, NID_ext_key_usage, "clientAuth");
}

static void make_client(ca_t *ca, X509 *cert)
{
    int at = X509_get_ext_by_NID(cert, NID_ext_key_usage, -1);

    (void)ca;
    X509_EXTENSION_free(X509_delete_ext(cert, at));
    add(cert, NID_ext_key_usage, "clientAuth");
}

static void lose_names(ca_t *ca, X509 *cert)
{
    int at = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);

    (void)ca;
    X509_EXTENSION_free(X509_delete_ext(cert, at));
}

static void rename_issuer(ca_t *ca, X509 *cert)
{
    (void)ca;
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
}

/* One order, one certificate, and no other attempt until tomorrow. */
static void assert_no_loop(void (*on_issue)(ca_t *, X509 *), int wrong_key,
                           acme_msg_t msg)
{
    replay_t *replay = replay_create("a.example", pool);

    replay->ca->on_issue = on_issue;
    replay->ca->wrong_key = wrong_key;
    replay_run(replay);
    assert_failed(replay, msg);
    assert_int_equal(replay->ca->orders, 1);
    assert_int_equal(replay->ca->finalizes, 1);
    assert_int_equal(replay->error->class, ACME_CLASS_CA_FINAL);
    assert_int_equal(acme_reaction(msg)->fate, ACME_FATE_DROP);
}

static void test_cert_manager_8380_certificate_for_another_key_is_no_loop(
    void **state)
{
    (void)state;
    assert_no_loop(NULL, 1, ACME_E_CERT_KEY);
}

static void test_cert_manager_8610_expired_certificate_is_no_loop(void **state)
{
    (void)state;
    assert_no_loop(expire, 0, ACME_E_CERT_DATES);
    assert_no_loop(begin_late, 0, ACME_E_CERT_DATES);
}

static void test_certificate_that_serves_no_web_server_is_no_loop(void **state)
{
    (void)state;
    assert_no_loop(make_ca, 0, ACME_E_CERT_USAGE);
    assert_no_loop(make_client, 0, ACME_E_CERT_USAGE);
    assert_no_loop(add_usage_twice, 0, ACME_E_CERT_USAGE);
    assert_no_loop(lose_names, 0, ACME_E_CERT_NAMES);
    assert_no_loop(rename_issuer, 0, ACME_E_CERT_CHAIN);
}

/* --- cert-manager, CVE-2024-12401, and others: what PEM can be ------------------- */

typedef const char *pem_fn_t(const char *leaf, const char *issuer,
                             apr_size_t *len);

#define END "-----END CERTIFICATE-----"

static const char *whole(const char *text, apr_size_t *len)
{
    *len = strlen(text);
    return text;
}

static const char *good(const char *leaf, const char *issuer, apr_size_t *len)
{
    return whole(apr_pstrcat(pool, leaf, issuer, NULL), len);
}

static const char *crlf(const char *leaf, const char *issuer, apr_size_t *len)
{
    const char *text = good(leaf, issuer, len);
    char *made = apr_palloc(pool, 2 * *len + 1), *out = made;

    for (; *text; text++) {
        if (*text == '\n') {
            *out++ = '\r';
        }
        *out++ = *text;
    }
    *out = '\0';
    return whole(made, len);
}

static const char *explained(const char *leaf, const char *issuer,
                             apr_size_t *len)
{
    return whole(apr_pstrcat(pool, "subject: x\n", leaf, "\n\nissuer: y\n",
                             issuer, "\n \n", NULL),
                 len);
}

static const char *no_end(const char *leaf, const char *issuer, apr_size_t *len)
{
    (void)issuer;
    return whole(
        apr_pstrmemdup(pool, leaf, (apr_size_t)(strstr(leaf, END) - leaf)),
        len);
}

static const char *end_cut(const char *leaf, const char *issuer,
                           apr_size_t *len)
{
    const char *text = good(leaf, issuer, len);

    *len -= strlen("--\n"); /* what is behind must not be looked at */
    return text;
}

static const char *nul(const char *leaf, const char *issuer, apr_size_t *len)
{
    char *text = apr_pstrdup(pool, good(leaf, issuer, len));

    text[100] = '\0';
    return text;
}

static const char *der(const char *leaf, const char *issuer, apr_size_t *len)
{
    BIO *bio = BIO_new_mem_buf(leaf, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    unsigned char *octets = NULL;
    int size = i2d_X509(cert, &octets);
    const char *text = apr_pstrmemdup(pool, (char *)octets, (apr_size_t)size);

    (void)issuer;
    *len = (apr_size_t)size;
    OPENSSL_free(octets);
    X509_free(cert);
    BIO_free(bio);
    return text;
}

static const char *thousands(const char *leaf, const char *issuer,
                             apr_size_t *len)
{
    char *text = apr_pcalloc(pool, ACME_MAX_CHAIN + 1), *out = text;

    out = apr_cpystrn(out, leaf, ACME_MAX_CHAIN);
    while ((apr_size_t)(out - text) + strlen(issuer) < ACME_MAX_CHAIN) {
        out = apr_cpystrn(out, issuer, strlen(issuer) + 1);
    }
    return whole(text, len);
}

static const char *huge(const char *leaf, const char *issuer, apr_size_t *len)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
    char *text = apr_palloc(pool, ACME_MAX_CHAIN + 1);

    (void)leaf;
    (void)issuer;
    memset(text, 'A', ACME_MAX_CHAIN);
    memcpy(text, begin, strlen(begin));
    memcpy(text + ACME_MAX_CHAIN - strlen(END), END, strlen(END) + 1);
    return whole(text, len);
}

static const char *with_key(const char *leaf, const char *issuer,
                            apr_size_t *len)
{
    return whole(apr_pstrcat(pool, leaf,
                             "-----BEGIN PRIVATE KEY-----\nMAAA\n"
                             "-----END PRIVATE KEY-----\n",
                             issuer, NULL),
                 len);
}

static const char *with_crl(const char *leaf, const char *issuer,
                            apr_size_t *len)
{
    return whole(apr_pstrcat(pool, leaf, issuer,
                             "-----BEGIN X509 CRL-----\nMAAA\n"
                             "-----END X509 CRL-----\n",
                             NULL),
                 len);
}

static const char *garbage_inside(const char *leaf, const char *issuer,
                                  apr_size_t *len)
{
    return whole(apr_pstrcat(pool, apr_pstrmemdup(pool, leaf, 200), "!?",
                             leaf + 200, issuer, NULL),
                 len);
}

static const char *with_headers(const char *leaf, const char *issuer,
                                apr_size_t *len)
{
    const char *rest = strchr(leaf, '\n') + 1;

    return whole(apr_pstrcat(pool, "-----BEGIN CERTIFICATE-----\n",
                             "Proc-Type: 4,ENCRYPTED\n\n", rest, issuer, NULL),
                 len);
}

static const char *trusted(const char *leaf, const char *issuer,
                           apr_size_t *len)
{
    const char *rest = strchr(leaf, '\n') + 1;

    (void)issuer;
    return whole(
        apr_pstrcat(pool, "-----BEGIN TRUSTED CERTIFICATE-----\n", rest, NULL),
        len);
}

static const char *reversed(const char *leaf, const char *issuer,
                            apr_size_t *len)
{
    return whole(apr_pstrcat(pool, issuer, leaf, NULL), len);
}

static const char *twice(const char *leaf, const char *issuer, apr_size_t *len)
{
    return whole(apr_pstrcat(pool, leaf, leaf, issuer, NULL), len);
}

static const char *loop(const char *leaf, const char *issuer, apr_size_t *len)
{
    return whole(apr_pstrcat(pool, leaf, issuer, leaf, issuer, NULL), len);
}

static const char *issuer_alone(const char *leaf, const char *issuer,
                                apr_size_t *len)
{
    (void)leaf;
    return whole(issuer, len);
}

static const char *nothing(const char *leaf, const char *issuer,
                           apr_size_t *len)
{
    (void)leaf;
    (void)issuer;
    return whole("", len);
}

static const struct {
    const char *name;
    pem_fn_t *make;
    acme_msg_t msg; /* 0: goes into service as the good one does */
} chains[] = {
    { "good", good, 0 },
    { "CRLF", crlf, 0 },
    { "text between", explained, 0 },
    { "no END", no_end, ACME_E_CHAIN_PARSE },
    { "END cut", end_cut, ACME_E_CHAIN_PARSE },
    { "NUL", nul, ACME_E_CHAIN_PARSE },
    { "DER", der, ACME_E_CHAIN_PARSE },
    { "thousands", thousands, ACME_E_CHAIN_PARSE },
    { "huge", huge, ACME_E_CHAIN_PARSE },
    { "private key", with_key, ACME_E_CHAIN_PARSE },
    { "CRL", with_crl, ACME_E_CHAIN_PARSE },
    { "garbage inside", garbage_inside, ACME_E_CHAIN_PARSE },
    { "PEM headers", with_headers, ACME_E_CHAIN_PARSE },
    { "TRUSTED", trusted, ACME_E_CHAIN_PARSE },
    { "nothing", nothing, ACME_E_CHAIN_PARSE },
    { "reversed", reversed, ACME_E_CERT_KEY },
    { "issuer alone", issuer_alone, ACME_E_CERT_KEY },
    { "leaf twice", twice, ACME_E_CERT_CHAIN },
    { "loop", loop, ACME_E_CERT_CHAIN },
};

static void put_chain(void *make, const char *label, const acme_wire_t *wire,
                      acme_reply_t *reply, apr_pool_t *reply_pool)
{
    const char *issuer;

    (void)wire;
    (void)reply_pool;
    if (!strcmp(label, "certificate") && reply->status == 200) {
        issuer = strstr(reply->body, END) + strlen(END "\n");
        reply->body = (*(pem_fn_t **)make)(
            apr_pstrmemdup(pool, reply->body,
                           (apr_size_t)(issuer - reply->body)),
            issuer, &reply->len);
    }
}

static void test_cert_manager_cve_2024_12401_pem_of_every_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        replay_t *replay = replay_create("a.example", pool);
        pem_fn_t *make = chains[i].make;
        apr_time_t start = apr_time_now();

        replay->ca->tamper = put_chain;
        replay->ca->baton = &make;
        replay_run(replay);
        if (chains[i].msg) {
            assert_failed(replay, chains[i].msg);
        }
        else {
            assert_done(replay);
            assert_string_equal(replay->chain_pem, replay->ca->chain);
        }
        assert_int_equal(replay->ca->finalizes, 1);
        /* An hour of attempts at it. */
        assert_true(apr_time_now() - start < apr_time_from_sec(20));
    }
}

/* --- found by test_hostile.c ------------------------------------------------------ */

/* An hour of garbage in place of an authorization was followed by the order being
 * asked about each second, for ever. */
static void test_garbled_authorization_is_given_up_after_an_hour(void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 0, CA_REPLY, 200, "{\"status\":\"pending\"}x" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed(replay, ACME_E_CA_JSON);
    assert_in_range(replay_seconds(replay), HOUR, HOUR + 100);
    assert_true(replay->ca->requests < 100);
}

static void garble_polls(void *seen, const char *label, const acme_wire_t *wire,
                         acme_reply_t *reply, apr_pool_t *reply_pool)
{
    (void)wire;
    (void)reply_pool;
    if (!strcmp(label, "authorization") && ++*(int *)seen > 3) {
        reply->body = "<html>";
        reply->len = strlen(reply->body);
    }
}

/* The token of an authorization that could not be read any more stayed there when
 * the order was ready all the same. */
static void test_proof_is_withdrawn_though_its_authorization_is_unreadable(
    void **state)
{
    replay_t *replay = replay_create("a.example b.example", pool);
    int seen = 0;

    (void)state;
    replay->ca->authz_polls = 1;
    replay->ca->tamper = garble_polls;
    replay->ca->baton = &seen;
    replay_run(replay);
    assert_done(replay);
    assert_int_equal(replay->published, 2);
    assert_int_equal(replay->withdrawn, 2);
}

/* Its first finalize URL was believed for as long as the order lived. */
static void test_finalize_url_is_that_of_the_newest_order(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 1, CA_REPLY, 201,
          ORDER("pending", CA_URL "/authz/9", FINALIZE(CA_URL "/elsewhere")),
          .location = CA_URL "/order" },
        { "authorization", 1, CA_REPLY, 200,
          "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\",\"value\":"
          "\"a.example\"},\"challenges\":[]}" },
        { "finalize", 1, CA_REPLY, 503, "" },
        { "order", 1, CA_REPLY, 200,
          ORDER("ready", CA_URL "/authz/9", FINALIZE(CA_URL "/finalize")) },
        { "finalize", 2, CA_REPLY, 200,
          ORDER("valid", CA_URL "/authz/9",
                FINALIZE(CA_URL "/finalize") ",\"certificate\":\"" CA_URL
                                             "/cert\"") },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_non_null(strstr(replay->transcript, "finalize order finalize"));
    assert_non_null(strstr(replay->disk, CA_URL "/finalize"));
    assert_null(strstr(replay->disk, CA_URL "/elsewhere"));
}

/* A nonce that is none was asked for anew without an end, 15 times a second. */
static void test_malformed_nonces_fail_after_an_hour(void **state)
{
    static const char *const nonces[] = { "", "a b", "=", "a\"},{\"" };

    (void)state;
    for (size_t i = 0; i < sizeof(nonces) / sizeof(nonces[0]); i++) {
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->bad_nonce = nonces[i];
        replay_run(replay);
        assert_true(replay->session_failed);
        assert_failed(replay, ACME_E_CA_RESOURCE);
        assert_in_range(replay_seconds(replay), HOUR, HOUR + 100);
        assert_true(replay->ca->requests < 100);
    }
}

static void count(void *asked, const char *label, const acme_wire_t *wire,
                  acme_reply_t *reply, apr_pool_t *reply_pool)
{
    (void)label;
    (void)wire;
    (void)reply;
    (void)reply_pool;
    ++*(int *)asked;
}

/* Where the directory led astray it was believed for a day. */
static void test_directory_that_leads_astray_is_read_again(void **state)
{
    static const char *const bodies[] = {
        "{\"newNonce\":\"" CA_URL "/nonce\",\"newAccount\":"
        "\"https://nowhere.test/x\",\"newOrder\":\"" CA_URL "/new-order\"}",
        "{\"newNonce\":\"" CA_URL "/nonce\",\"newAccount\":\"" CA_URL
        "/new-account\",\"newOrder\":\"https://nowhere.test/x\"}",
        "{\"newNonce\":\"https://nowhere.test/x\",\"newAccount\":\"" CA_URL
        "/new-account\",\"newOrder\":\"" CA_URL "/new-order\"}",
        "{\"newNonce\":\"" CA_URL "/nonce\",\"newAccount\":\"" CA_URL
        "/nonce\",\"newOrder\":\"" CA_URL "/new-order\"}",
    };
    int asked = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const ca_rule_t rules[] = {
            { "directory", 1, CA_REPLY, 200, bodies[i] },
            { NULL },
        };
        replay_t *replay = replay_create("a.example", pool);

        replay->ca->rules = rules;
        replay->ca->tamper = count;
        replay->ca->baton = &asked;
        replay_run(replay);
        if (replay->error) {
            replay_again(replay);
        }
        assert_done(replay);
        assert_true(replay_seconds(replay) < 300);
    }
}

/* "Retry-After: 1" for days was taken at its word. */
static void test_retry_after_of_a_second_does_not_hold_for_days(void **state)
{
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->max_steps = 200000;
    replay->ca->order_polls = 1000000;
    replay->ca->retry_after = "1";
    replay_run(replay);
    assert_failed(replay, ACME_E_ORDER_STUCK);
    assert_true(replay->ca->requests < 9000);
}

/* So it was for an hour where the CA said that it was busy. */
static void test_retry_after_of_a_second_does_not_hold_for_an_hour(void **state)
{
    static const ca_rule_t rules[] = {
        { "newOrder", 0, CA_REPLY, 503, "", .retry_after = "1" },
        { NULL },
    };
    replay_t *replay = run("a.example", rules);

    (void)state;
    assert_failed(replay, ACME_E_CA_BUSY);
    assert_in_range(replay_seconds(replay), HOUR, HOUR + 100);
    assert_true(replay->ca->requests < 300);
}

/* This machine fails while the CA is asked, which has been busy for an hour. */
static void fail_late(void *data, const char *label, const acme_wire_t *wire,
                      acme_reply_t *reply, apr_pool_t *reply_pool)
{
    replay_t *replay = data;

    (void)wire;
    (void)reply;
    if (!strcmp(label, "authorization") && replay_seconds(replay) >= HOUR) {
        acme_order_cancel(
            replay->order,
            acme_err_make(reply_pool, ACME_E_STORE_IO, "x", NULL));
    }
}

/* An order that had failed was asked about again, and then without an end. */
static void test_order_that_has_failed_is_not_looked_at_again(void **state)
{
    static const ca_rule_t rules[] = {
        { "authorization", 0, CA_REPLY, 503, "" },
        { NULL },
    };
    replay_t *replay = replay_create("a.example", pool);

    (void)state;
    replay->ca->rules = rules;
    replay->ca->tamper = fail_late;
    replay->ca->baton = replay;
    replay_run(replay);
    assert_failed(replay, ACME_E_STORE_IO);
    assert_null(strstr(replay->transcript, " order"));
}

static const struct CMUnitTest tests[] = {
    POOL_TEST(test_lego_cve_2025_54799_http_is_never_spoken),
    POOL_TEST(test_lego_cve_2025_54799_http_alternate_is_passed_over),
    POOL_TEST(test_acme_sh_cve_2023_38198_token_is_never_used_unchecked),
    POOL_TEST(test_cert_manager_8380_certificate_for_another_key_is_no_loop),
    POOL_TEST(test_cert_manager_8610_expired_certificate_is_no_loop),
    POOL_TEST(test_certificate_that_serves_no_web_server_is_no_loop),
    POOL_TEST(test_cert_manager_cve_2024_12401_pem_of_every_kind),
    POOL_TEST(test_garbled_authorization_is_given_up_after_an_hour),
    POOL_TEST(test_proof_is_withdrawn_though_its_authorization_is_unreadable),
    POOL_TEST(test_finalize_url_is_that_of_the_newest_order),
    POOL_TEST(test_malformed_nonces_fail_after_an_hour),
    POOL_TEST(test_directory_that_leads_astray_is_read_again),
    POOL_TEST(test_retry_after_of_a_second_does_not_hold_for_days),
    POOL_TEST(test_retry_after_of_a_second_does_not_hold_for_an_hour),
    POOL_TEST(test_order_that_has_failed_is_not_looked_at_again),
};

RUN_TESTS(tests)
