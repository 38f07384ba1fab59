#include "fake_ca.h"

#include <apr_strings.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"
#include "core/key.h"

/* --- certificates --------------------------------------------------------- */

/* A fake CA has no errors to handle: what cannot fail must not. */
#define MUST(expr)                                                             \
    do {                                                                       \
        if (!(expr)) {                                                         \
            abort();                                                           \
        }                                                                      \
    } while (0)

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    MUST(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *begin_certificate(const ca_t *ca, const char *subject,
                               EVP_PKEY *key)
{
    X509 *cert = X509_new();
    time_t now = (time_t)apr_time_sec(ca->now);

    MUST(cert && X509_set_version(cert, 2));
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711));
    MUST(ASN1_TIME_set(X509_getm_notBefore(cert), now - 3600));
    MUST(ASN1_TIME_set(X509_getm_notAfter(cert), now + 90 * 86400));
    MUST(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
                                    MBSTRING_ASC,
                                    (const unsigned char *)subject, -1, -1, 0));
    MUST(X509_set_pubkey(cert, key));
    return cert;
}

static apr_status_t free_cert(void *data)
{
    X509_free(data);
    return APR_SUCCESS;
}

static void make_issuer(ca_t *ca)
{
    MUST(!acme_key_make(&ca->issuer_key, ACME_KEY_ECDSA_P256, ca->pool));
    ca->issuer = begin_certificate(ca, "Fake Intermediate", ca->issuer_key);
    apr_pool_cleanup_register(ca->pool, ca->issuer, free_cert,
                              apr_pool_cleanup_null);
    MUST(X509_set_issuer_name(ca->issuer, X509_get_subject_name(ca->issuer)));
    add_extension(ca->issuer, NID_basic_constraints, "critical,CA:TRUE");
    MUST(X509_sign(ca->issuer, ca->issuer_key, EVP_sha256()));
}

static const char *pem_of(X509 *cert, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;
    const char *pem;

    MUST(PEM_write_bio_X509(bio, cert));
    len = BIO_get_mem_data(bio, &data);
    pem = apr_pstrmemdup(pool, data, (apr_size_t)len);
    BIO_free(bio);
    return pem;
}

static X509_REQ *decode_csr(const char *csr, apr_pool_t *pool)
{
    const unsigned char *der;
    apr_size_t len;
    X509_REQ *req;

    MUST(acme_decode_base64url(&der, &len, csr, pool) == APR_SUCCESS);
    req = d2i_X509_REQ(NULL, &der, (long)len);
    MUST(req && X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
    return req;
}

/* The names go from the CSR into the certificate as they are: whoever wrote the
 * CSR must have got them right. */
static void copy_names(X509 *cert, X509_REQ *req)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    int at = X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1);

    MUST(at >= 0 && X509_add_ext(cert, X509v3_get_ext(extensions, at), -1));
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

/* The issuer's certificate by another root: same name, same key. */
static const char *cross_pem(const ca_t *ca, apr_pool_t *pool)
{
    X509 *cross = begin_certificate(ca, "Fake Intermediate", ca->issuer_key);
    X509_NAME *root = X509_NAME_new();
    const char *pem;

    MUST(root
         && X509_NAME_add_entry_by_txt(root, "CN", MBSTRING_ASC,
                                       (const unsigned char *)"Other Root", -1,
                                       -1, 0)
         && X509_set_issuer_name(cross, root));
    add_extension(cross, NID_basic_constraints, "critical,CA:TRUE");
    MUST(X509_sign(cross, ca->issuer_key, EVP_sha256()));
    pem = pem_of(cross, pool);
    X509_NAME_free(root);
    X509_free(cross);
    return pem;
}

static void issue(ca_t *ca, const char *csr, apr_pool_t *scratch)
{
    X509_REQ *req = decode_csr(csr, scratch);
    X509 *cert = begin_certificate(
        ca, "leaf", ca->wrong_key ? ca->issuer_key : X509_REQ_get0_pubkey(req));

    MUST(X509_set_issuer_name(cert, X509_get_subject_name(ca->issuer)));
    if (ca->wrong_name) {
        add_extension(cert, NID_subject_alt_name, "DNS:other.example");
    }
    else if (ca->issued_names) {
        add_extension(cert, NID_subject_alt_name, ca->issued_names);
    }
    else {
        copy_names(cert, req);
    }
    add_extension(cert, NID_ext_key_usage, "serverAuth");
    if (ca->on_issue) {
        ca->on_issue(ca, cert);
    }
    MUST(X509_sign(cert, ca->issuer_key, EVP_sha256()));
    ca->chain = apr_pstrcat(ca->pool, pem_of(cert, scratch),
                            pem_of(ca->issuer, scratch), NULL);
    ca->other_chain = apr_pstrcat(ca->pool, pem_of(cert, scratch),
                                  cross_pem(ca, scratch), NULL);
    ca->last_csr = apr_pstrdup(ca->pool, csr);
    X509_free(cert);
    X509_REQ_free(req);
}

ca_t *ca_create(apr_pool_t *pool)
{
    ca_t *ca = apr_pcalloc(pool, sizeof(*ca));

    ca->pool = pool;
    ca->counts = apr_hash_make(pool);
    ca->nonces = apr_hash_make(pool);
    ca->visible = apr_hash_make(pool);
    ca->challenge_types = "http-01 tls-alpn-01 dns-01";
    ca->authz_polls = 0;
    ca->order_polls = 0;
    ca->account_known = 1;
    ca->now = apr_time_from_sec(1795334400); /* 2026-11-22 08:00 UTC */
    make_issuer(ca);
    return ca;
}

/* --- replies -------------------------------------------------------------- */

static void set_body(acme_reply_t *reply, int status, const char *body)
{
    reply->status = status;
    reply->body = body ? body : "";
    reply->len = strlen(reply->body);
    reply->content_type = "application/json";
}

static void refuse(acme_reply_t *reply, int status, const char *problem)
{
    set_body(reply, status, problem);
    reply->content_type = "application/problem+json";
}

static void give_nonce(ca_t *ca, acme_reply_t *reply)
{
    char *nonce = apr_psprintf(ca->pool, "nonce-%0*d", ca->nonce_padding,
                               ++ca->nonces_made);

    apr_hash_set(ca->nonces, nonce, APR_HASH_KEY_STRING, nonce);
    reply->nonce = ca->bad_nonce ? ca->bad_nonce : nonce;
}

static const char *order_status(const ca_t *ca)
{
    int i;

    if (ca->order_state == CA_ORDER_VALID) {
        return "valid";
    }
    if (ca->order_state == CA_ORDER_PROCESSING) {
        return "processing";
    }
    for (i = 0; i < ca->name_count && !ca->hide_authorizations; i++) {
        if (ca->authz[i] == CA_AUTHZ_INVALID
            || ca->authz[i] == CA_AUTHZ_DEACTIVATED) {
            return "invalid";
        }
        if (ca->authz[i] != CA_AUTHZ_VALID) {
            return "pending";
        }
    }
    return "ready";
}

static void show_order(ca_t *ca, acme_reply_t *reply, int status,
                       apr_pool_t *pool)
{
    const char *list = "", *certificate = "";
    int i;

    for (i = 0; i < ca->name_count && !ca->hide_authorizations; i++) {
        int n = ca->shuffle ? ca->name_count - 1 - i : i;
        list = apr_psprintf(pool, "%s%s\"" CA_URL "/authz/%d\"", list,
                            i ? "," : "", n);
    }
    if (ca->order_state == CA_ORDER_VALID) {
        certificate = ",\"certificate\":\"" CA_URL "/cert\"";
    }
    set_body(reply, status,
             apr_psprintf(pool,
                          "{%s\"status\":\"%s\",\"authorizations\":[%s],"
                          "\"finalize\":\"" CA_URL "/finalize\"%s}",
                          ca->order_extra ? ca->order_extra : "",
                          order_status(ca), list, certificate));
    if (ca->order_state == CA_ORDER_PROCESSING) {
        reply->retry_after = ca->retry_after;
    }
}

static const char *const authz_names[] = { "pending", "pending", "valid",
                                           "invalid", "deactivated" };

static int has_word(const char *words, const char *word)
{
    apr_size_t len = strlen(word);
    const char *at;

    for (at = words; (at = strstr(at, word)) != NULL; at += len) {
        if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ' ')) {
            return 1;
        }
    }
    return 0;
}

static const char *show_challenges(const ca_t *ca, int n, apr_pool_t *pool)
{
    const char *list = ca->challenge_extra ? ca->challenge_extra : "";
    char *types = apr_pstrdup(pool, ca->challenge_types), *last = NULL, *type;
    int processing = ca->show_processing && ca->authz[n] == CA_AUTHZ_VALIDATING;
    int count = 0;

    for (type = apr_strtok(types, " ", &last); type;
         type = apr_strtok(NULL, " ", &last)) {
        int failed = ca->authz[n] == CA_AUTHZ_INVALID
                     || (ca->broken[n] && has_word(ca->broken[n], type));
        /* draft-ietf-acme-dns-persist: nothing to be shown that is made here */
        const char *made_of =
            strcmp(type, "dns-persist-01")
                ? apr_psprintf(pool, "\"token\":\"token-%d-%s\"", n, type)
                : "\"issuer-domain-names\":[\"ca.test\"]";

        list = apr_psprintf(
            pool,
            "%s%s{\"type\":\"%s\",\"url\":\"" CA_URL "/chall/%d/%s\","
            "%s,\"status\":\"%s\"%s%s}",
            list, count++ ? "," : "", type, n, type, made_of,
            failed       ? "invalid"
            : processing ? "processing"
                         : "pending",
            failed ? ",\"error\":" : "",
            !failed          ? ""
            : ca->fail_error ? ca->fail_error
                             : CA_PROBLEM("incorrectResponse", "not seen"));
    }
    return list;
}

static void show_authz(ca_t *ca, int n, acme_reply_t *reply, apr_pool_t *pool)
{
    const char *name = ca->names[n];
    int wildcard = !strncmp(name, "*.", 2);

    set_body(
        reply, 200,
        apr_psprintf(pool,
                     "{%s\"status\":\"%s\",\"identifier\":{\"type\":\"%s\","
                     "\"value\":\"%s\"}%s,\"challenges\":[%s]}",
                     ca->authz_extra ? ca->authz_extra : "",
                     authz_names[ca->authz[n]], ca->ip[n] ? "ip" : "dns",
                     name + 2 * wildcard, wildcard ? ",\"wildcard\":true" : "",
                     show_challenges(ca, n, pool)));
    reply->retry_after = ca->retry_after;
}

/* --- requests ------------------------------------------------------------- */

/* A member of the JWS, decoded: JSON, or NULL for "" (POST-as-GET). */
static json_t *jws_member(const char *body, const char *name, apr_pool_t *pool)
{
    json_t *jws = json_loads(body, 0, NULL), *member;
    const unsigned char *data;
    apr_size_t len;

    MUST(jws);
    MUST(acme_decode_base64url(&data, &len, acme_json_string(jws, name), pool)
         == APR_SUCCESS);
    member = json_loadb((const char *)data, len, 0, NULL);
    json_decref(jws);
    return member;
}

/* For good; "" for nothing. */
static const char *text_of(const json_t *json, apr_pool_t *pool)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const char *copy = apr_pstrdup(pool, text ? text : "");

    free(text);
    return copy;
}

static void show_account(const ca_t *ca, acme_reply_t *reply, int status)
{
    set_body(reply, status,
             ca->closed ? "{\"status\":\"deactivated\"}"
                        : "{\"status\":\"valid\",\"contact\":[],"
                          "\"orders\":\"" CA_URL "/orders\"}");
}

static void new_account(ca_t *ca, const json_t *header, const json_t *payload,
                        acme_reply_t *reply)
{
    const char *jwk = text_of(json_object_get(header, "jwk"), ca->pool);
    int known = ca->jwk && !strcmp(jwk, ca->jwk);

    ca->last_account = text_of(payload, ca->pool);
    reply->location = CA_URL "/account/1";
    if (json_is_true(json_object_get(payload, "onlyReturnExisting"))) {
        if (ca->jwk && !known) {
            reply->location = NULL;
            refuse(reply, 400, CA_PROBLEM("accountDoesNotExist", "who?"));
            return;
        }
        show_account(ca, reply, 200);
        return;
    }
    ca->accounts++;
    ca->account_known = 1;
    show_account(ca, reply, 201);
}

static void update_account(ca_t *ca, const json_t *payload, acme_reply_t *reply)
{
    const char *status = acme_json_string(payload, "status");

    ca->last_update = text_of(payload, ca->pool);
    ca->updates++;
    ca->closed |= status && !strcmp(status, "deactivated");
    show_account(ca, reply, 200);
}

/* RFC 8555 section 7.3.5; the outer signature is not looked at. */
static void change_key(ca_t *ca, const json_t *payload, acme_reply_t *reply,
                       apr_pool_t *pool)
{
    json_t *inner = jws_member(text_of(payload, pool), "protected", pool);

    ca->jwk = text_of(json_object_get(inner, "jwk"), ca->pool);
    ca->rolled++;
    json_decref(inner);
    set_body(reply, 200, "{}");
}

static void revoke_certificate(ca_t *ca, acme_reply_t *reply)
{
    if (ca->revoked++) {
        refuse(reply, 400, CA_PROBLEM("alreadyRevoked", "it is"));
        return;
    }
    set_body(reply, 200, "");
}

static void new_order(ca_t *ca, const json_t *payload, acme_reply_t *reply,
                      apr_pool_t *pool)
{
    const json_t *list = json_object_get(payload, "identifiers");
    int i;

    ca->last_new_order = text_of(payload, ca->pool);
    ca->orders++;
    if (!ca->reuse_orders || !ca->name_count) {
        ca->order_state = CA_ORDER_OPEN;
        ca->name_count = 0;
    }
    for (i = ca->name_count; i < (int)json_array_size(list); i++) {
        const json_t *ident = json_array_get(list, (size_t)i);

        ca->names[i] = apr_pstrdup(ca->pool, acme_json_string(ident, "value"));
        ca->ip[i] = !strcmp(acme_json_string(ident, "type"), "ip");
        ca->authz[i] =
            i < ca->preauthorized ? CA_AUTHZ_VALID : CA_AUTHZ_PENDING;
        ca->broken[i] = NULL;
    }
    ca->name_count = (int)json_array_size(list);
    show_order(ca, reply, 201, pool);
    reply->location = CA_URL "/order";
}

static void decide(ca_t *ca, int n)
{
    int fails =
        ca->fail_name && has_word(ca->fail_name, ca->names[n])
        && (!ca->fail_types || has_word(ca->fail_types, ca->answered[n]));

    ca->authz[n] = fails ? CA_AUTHZ_INVALID : CA_AUTHZ_VALID;
    if (fails && ca->forgiving) {
        ca->authz[n] = CA_AUTHZ_PENDING;
        ca->broken[n] =
            apr_pstrcat(ca->pool, ca->answered[n], ca->broken[n] ? " " : NULL,
                        ca->broken[n], NULL);
    }
}

static void deactivate_or_read(ca_t *ca, int n, const json_t *payload,
                               acme_reply_t *reply, apr_pool_t *pool)
{
    if (payload) {
        ca->authz[n] = CA_AUTHZ_DEACTIVATED;
        ca->deactivated++;
    }
    else if (ca->authz[n] == CA_AUTHZ_VALIDATING && !ca->authz_left[n]--) {
        decide(ca, n);
    }
    show_authz(ca, n, reply, pool);
}

static void answer_challenge(ca_t *ca, const char *rest, acme_reply_t *reply,
                             apr_pool_t *pool)
{
    int n = atoi(rest);
    const char *type = strchr(rest, '/') + 1;
    const char *token = strcmp(type, "dns-persist-01")
                            ? apr_psprintf(pool, "token-%d-%s", n, type)
                            : "";

    ca->answers[n]++;
    if (!apr_hash_get(ca->visible, token, APR_HASH_KEY_STRING)) {
        /* Answered before it is published: the very thing 8.2 forbids. */
        MUST(ca->tamper);
        ca->authz[n] = CA_AUTHZ_INVALID;
    }
    if (ca->authz[n] != CA_AUTHZ_PENDING) {
        refuse(reply, 409, CA_PROBLEM("conflict", "already under validation"));
        return;
    }
    ca->answered[n] = apr_pstrdup(ca->pool, type);
    ca->authz[n] = CA_AUTHZ_VALIDATING;
    ca->authz_left[n] = ca->authz_polls;
    set_body(reply, 200, "{\"type\":\"http-01\",\"status\":\"pending\"}");
    reply->retry_after = ca->retry_after;
}

static void finalize(ca_t *ca, const json_t *payload, acme_reply_t *reply,
                     apr_pool_t *pool)
{
    if (strcmp(order_status(ca), "ready")) {
        refuse(reply, 403, CA_PROBLEM("orderNotReady", "not ready"));
        return;
    }
    ca->finalizes++;
    issue(ca, acme_json_string(payload, "csr"), pool);
    ca->order_left = ca->order_polls;
    ca->order_state = ca->order_left ? CA_ORDER_PROCESSING : CA_ORDER_VALID;
    show_order(ca, reply, 200, pool);
}

static void read_order(ca_t *ca, acme_reply_t *reply, apr_pool_t *pool)
{
    if (ca->order_state == CA_ORDER_PROCESSING && !--ca->order_left) {
        ca->order_state = CA_ORDER_VALID;
    }
    show_order(ca, reply, 200, pool);
}

static void show_directory(const ca_t *ca, acme_reply_t *reply,
                           apr_pool_t *pool)
{
    set_body(reply, 200,
             apr_psprintf(pool,
                          "{\"newNonce\":\"" CA_URL "/nonce\","
                          "\"newAccount\":\"" CA_URL "/new-account\","
                          "\"newOrder\":\"" CA_URL "/new-order\","
                          "\"revokeCert\":\"" CA_URL "/revoke\","
                          "\"keyChange\":\"" CA_URL "/key-change\",%s"
                          "\"unknown\":[1],\"meta\":{%s}}",
                          ca->renewal_info ? "\"renewalInfo\":\"" CA_URL
                                             "/renewal\","
                                           : "",
                          ca->meta ? ca->meta : ""));
}

/* Who says so by a key and who by an account's URL. */
static int takes_keys(const char *label, const json_t *header)
{
    return !strcmp(label, "newAccount")
           || (!strcmp(label, "revokeCert") && json_object_get(header, "jwk"));
}

/* What RFC 8555 section 6 asks of every signed request. @return 0: refused */
static int check_header(ca_t *ca, const char *label, const acme_wire_t *wire,
                        const json_t *header, acme_reply_t *reply)
{
    const char *nonce = acme_json_string(header, "nonce");
    int fresh =
        nonce && apr_hash_get(ca->nonces, nonce, APR_HASH_KEY_STRING) != NULL;
    int by_key = json_object_get(header, "jwk") != NULL;
    int to_account = !strcmp(wire->url, CA_URL "/new-account");

    MUST(!strcmp(wire->content_type, "application/jose+json"));
    MUST(!strcmp(acme_json_string(header, "url"), wire->url));
    MUST(by_key == takes_keys(label, header));
    MUST(by_key == !json_object_get(header, "kid"));
    MUST(ca->tamper || to_account == !strcmp(label, "newAccount"));
    if (!fresh) {
        refuse(reply, 400, CA_PROBLEM("badNonce", "unknown nonce"));
    }
    else if (to_account != by_key && strcmp(label, "revokeCert")) {
        refuse(reply, 400, CA_PROBLEM("malformed", "signed by whom?"));
    }
    else if (!by_key
             && (!ca->account_known
                 || (ca->tamper
                     && strcmp(acme_json_string(header, "kid"),
                               CA_URL "/account/1")))) {
        refuse(reply, 400, CA_PROBLEM("accountDoesNotExist", "who?"));
    }
    if (fresh) {
        apr_hash_set(ca->nonces, apr_pstrdup(ca->pool, nonce),
                     APR_HASH_KEY_STRING, NULL);
    }
    return !reply->status;
}

/* The name that a path is about, or -1. */
static int index_in(const ca_t *ca, const char *path, const char *prefix)
{
    apr_size_t len = strlen(prefix);
    int n = strncmp(path, prefix, len) ? -1 : atoi(path + len);

    return n < ca->name_count ? n : -1;
}

static void show_chain(const ca_t *ca, acme_reply_t *reply, apr_pool_t *pool)
{
    set_body(reply, 200, ca->chain);
    reply->content_type = "application/pem-certificate-chain";
    if (ca->chain_links) {
        reply->links = apr_array_make(pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(reply->links, const char *) = ca->chain_links;
    }
}

static void read_resource(ca_t *ca, const char *path, acme_reply_t *reply,
                          apr_pool_t *pool)
{
    if (index_in(ca, path, "/authz/") >= 0) {
        deactivate_or_read(ca, index_in(ca, path, "/authz/"), NULL, reply,
                           pool);
    }
    else if (!strncmp(path, "/account/", 9)) {
        update_account(ca, NULL, reply);
    }
    else if (!strcmp(path, "/order")) {
        read_order(ca, reply, pool);
    }
    else if (!strcmp(path, "/cert") && ca->chain) {
        show_chain(ca, reply, pool);
    }
    else if (!strcmp(path, "/cert/other") && ca->chain) {
        set_body(reply, 200, ca->other_chain);
    }
    else if (!strcmp(path, "/cert/junk")) {
        set_body(reply, 200, "<html>");
    }
    else {
        refuse(reply, 404, CA_PROBLEM("malformed", "no such resource"));
    }
}

static void change_resource(ca_t *ca, const char *path, const json_t *header,
                            const json_t *payload, acme_reply_t *reply,
                            apr_pool_t *pool)
{
    if (!strcmp(path, "/new-account")
        && !json_object_get(payload, "certificate")) {
        new_account(ca, header, payload, reply);
    }
    else if (!strncmp(path, "/account/", 9)) {
        update_account(ca, payload, reply);
    }
    else if (!strcmp(path, "/new-order")
             && json_array_size(json_object_get(payload, "identifiers"))) {
        new_order(ca, payload, reply, pool);
    }
    else if (index_in(ca, path, "/authz/") >= 0) {
        deactivate_or_read(ca, index_in(ca, path, "/authz/"), payload, reply,
                           pool);
    }
    else if (index_in(ca, path, "/chall/") >= 0 && strchr(path + 7, '/')) {
        answer_challenge(ca, path + 7, reply, pool);
    }
    else if (!strcmp(path, "/finalize") && json_object_get(payload, "csr")) {
        finalize(ca, payload, reply, pool);
    }
    else if (!strcmp(path, "/key-change")
             && json_object_get(payload, "protected")) {
        change_key(ca, payload, reply, pool);
    }
    else if (!strcmp(path, "/revoke")
             && json_object_get(payload, "certificate")) {
        revoke_certificate(ca, reply);
    }
    else {
        refuse(reply, 404, CA_PROBLEM("malformed", "no such resource"));
    }
}

static void handle_post(ca_t *ca, const char *label, const acme_wire_t *wire,
                        acme_reply_t *reply, apr_pool_t *pool)
{
    const char *path = wire->url + strlen(CA_URL);
    json_t *header = jws_member(wire->body, "protected", pool);
    json_t *payload = jws_member(wire->body, "payload", pool);

    if (check_header(ca, label, wire, header, reply)) {
        if (payload) {
            change_resource(ca, path, header, payload, reply, pool);
        }
        else {
            read_resource(ca, path, reply, pool);
        }
    }
    json_decref(header);
    json_decref(payload);
}

static void show_window(const ca_t *ca, acme_reply_t *reply, apr_pool_t *pool)
{
    apr_time_t start = ca->now + apr_time_from_sec(50 * 86400);

    set_body(
        reply, 200,
        apr_psprintf(pool,
                     "{\"suggestedWindow\":{\"start\":\"%s\","
                     "\"end\":\"%s\"},"
                     "\"explanationURL\":\"" CA_URL "/why\"}",
                     acme_time_format(start, pool),
                     acme_time_format(start + apr_time_from_sec(86400), pool)));
    reply->retry_after = "21600";
}

static void handle(ca_t *ca, const char *label, const acme_wire_t *wire,
                   acme_reply_t *reply, apr_pool_t *pool)
{
    if (wire->method == ACME_METHOD_POST) {
        handle_post(ca, label, wire, reply, pool);
    }
    else if (wire->method == ACME_METHOD_HEAD) {
        set_body(reply, 200, "");
    }
    else if (!strncmp(wire->url, CA_URL "/renewal/", strlen(CA_URL) + 9)) {
        show_window(ca, reply, pool);
        return;
    }
    else {
        show_directory(ca, reply, pool);
        return; /* no nonce */
    }
    if (wire->method == ACME_METHOD_HEAD || !ca->nonces_by_newnonce_alone) {
        give_nonce(ca, reply);
    }
}

/* --- misbehaviour --------------------------------------------------------- */

static const ca_rule_t *find_rule(ca_t *ca, const char *label)
{
    const ca_rule_t *rule;
    int *count = apr_hash_get(ca->counts, label, APR_HASH_KEY_STRING);

    if (!count) {
        count = apr_pcalloc(ca->pool, sizeof(*count));
        apr_hash_set(ca->counts, label, APR_HASH_KEY_STRING, count);
    }
    ++*count;
    for (rule = ca->rules; rule && rule->label; rule++) {
        if (!strcmp(rule->label, label)
            && (!rule->nth || rule->nth == *count
                || (rule->and_later && *count > rule->nth))) {
            return rule;
        }
    }
    return NULL;
}

static void lose(acme_reply_t *reply, const char *reason, apr_pool_t *pool)
{
    memset(reply, 0, sizeof(*reply));
    reply->body = "";
    reply->failure =
        acme_err_make(pool, ACME_E_CA_UNREACHABLE, CA_URL, reason, NULL);
}

static void answer_by_rule(ca_t *ca, const ca_rule_t *rule, acme_reply_t *reply,
                           apr_pool_t *pool)
{
    set_body(reply, rule->status, rule->body);
    if (!rule->without_nonce) {
        give_nonce(ca, reply);
    }
    reply->retry_after = rule->retry_after;
    reply->location = rule->location;
    if (rule->link) {
        reply->links = apr_array_make(pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(reply->links, const char *) = rule->link;
    }
}

void ca_answer(ca_t *ca, const char *label, const acme_wire_t *wire,
               acme_reply_t *reply, apr_pool_t *pool)
{
    const ca_rule_t *rule = find_rule(ca, label);

    ca->requests++;
    reply->body = "";
    if (strncmp(wire->url, CA_URL "/", strlen(CA_URL "/"))) {
        MUST(ca->tamper);
        lose(reply, "no such host", pool);
    }
    else if (rule && rule->act == CA_REPLY) {
        answer_by_rule(ca, rule, reply, pool);
    }
    else {
        if (!rule || rule->act == CA_LOSE) {
            handle(ca, label, wire, reply, pool);
            reply->content_type =
                ca->content_type ? ca->content_type : reply->content_type;
        }
        if (rule) {
            lose(reply, "connection reset", pool);
        }
    }
    if (ca->tamper) {
        ca->tamper(ca->baton, label, wire, reply, pool);
    }
}
