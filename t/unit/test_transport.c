/* The transport against a small TLS server in a thread of this program, whose
 * behaviour is chosen by the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/transport.h"

#define MAX_CONNECTIONS 1000

static struct {
    SSL_CTX *ctx;
    int listener;
    int port;
    const char *trust_file;
    char last_request[16384];
    volatile int connections;
    pthread_t acceptor, threads[MAX_CONNECTIONS]; /* joined at the end: what
                                    they hold would count as leaked otherwise */
} server;

static apr_pool_t *pool;

/* --- the server ------------------------------------------------------------- */

static void say(SSL *ssl, const char *text)
{
    SSL_write(ssl, text, (int)strlen(text));
}

static void say_many(SSL *ssl, const char *text, int count)
{
    for (int i = 0; i < count; i++) {
        if (SSL_write(ssl, text, (int)strlen(text)) <= 0) {
            return;
        }
    }
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/* @return whether the connection goes on */
static int answer(SSL *ssl, const char *path)
{
    if (!strcmp(path, "/ok")) {
        say(ssl, OK_HEAD "Content-Type: application/json\r\n"
                         "REPLAY-nonce:  abc \r\nLink: <a>;rel=\"up\"\r\n"
                         "link: <b>;rel=\"x\"\r\nLocation: https://l/\r\n"
                         "Retry-After: 3\r\nContent-Length: 2\r\n\r\n{}");
        return 1;
    }
    if (!strcmp(path, "/interim")) {
        say(ssl, "HTTP/1.1 103 Early Hints\r\nReplay-Nonce: early\r\n"
                 "Link: <c>\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\n{}");
        return 1;
    }
    if (!strcmp(path, "/redirect")) {
        say(ssl, "HTTP/1.1 302 Found\r\nLocation: /ok\r\n"
                 "Content-Length: 0\r\n\r\n");
        return 1;
    }
    if (!strcmp(path, "/big")) {
        say(ssl, OK_HEAD "Content-Length: 10000000\r\n\r\n");
        say_many(ssl, "0123456789abcdef", 100000);
    }
    else if (!strcmp(path, "/endless-headers")) {
        say(ssl, OK_HEAD);
        say_many(ssl, "X-Filler: 0123456789abcdef0123456789abcdef\r\n", 20000);
    }
    else if (!strcmp(path, "/endless-header")) {
        say(ssl, OK_HEAD "X-Filler: ");
        say_many(ssl, "0123456789abcdef", 20000);
    }
    else if (!strcmp(path, "/long-nonce")) {
        say(ssl, OK_HEAD "Content-Length: 0\r\nReplay-Nonce: ");
        say_many(ssl, "0123456789abcdef", 513);
        say(ssl, "\r\n\r\n");
    }
    else if (!strcmp(path, "/many-links")) {
        say(ssl, OK_HEAD "Content-Length: 0\r\n");
        say_many(ssl, "Link: <x>;rel=\"up\"\r\n", 100);
        say(ssl, "\r\n");
    }
    else if (!strcmp(path, "/truncated")) {
        say(ssl, OK_HEAD "Content-Length: 100\r\n\r\n{\"a\":");
    }
    return 0;
}

static int serve_one(SSL *ssl)
{
    char *request = server.last_request;
    int have = 0, len;
    char path[64];

    while (!(have && strstr(request, "\r\n\r\n"))) {
        len = SSL_read(ssl, request + have,
                       (int)sizeof(server.last_request) - 1 - have);
        if (len <= 0) {
            return 0;
        }
        have += len;
        request[have] = '\0';
    }
    const char *body = strstr(request, "\r\n\r\n") + 4;
    const char *length = strcasestr(request, "Content-Length:");
    int want = length ? atoi(length + 15) : 0;
    while ((int)strlen(body) < want
           && (len = SSL_read(ssl, request + have,
                              (int)sizeof(server.last_request) - 1 - have))
                  > 0) {
        have += len;
        request[have] = '\0';
    }
    return sscanf(request, "%*s %63s", path) == 1 && answer(ssl, path);
}

static void *serve_connection(void *data)
{
    SSL *ssl = data;
    if (SSL_accept(ssl) == 1) {
        while (serve_one(ssl)) {
        }
        SSL_shutdown(ssl);
    }
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    return NULL;
}

static void *serve(void *unused)
{
    (void)unused;
    int fd;
    while (server.connections < MAX_CONNECTIONS
           && (fd = accept(server.listener, NULL, NULL)) >= 0) {
        SSL *ssl = SSL_new(server.ctx);
        SSL_set_fd(ssl, fd);
        pthread_create(&server.threads[server.connections], NULL,
                       serve_connection, ssl);
        server.connections++;
    }
    return NULL;
}

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    X509_sign(cert, key, EVP_sha256());

    server.ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(server.ctx, cert);
    SSL_CTX_use_PrivateKey(server.ctx, key);
    FILE *file = fopen(server.trust_file, "w");
    assert_non_null(file);
    PEM_write_X509(file, cert);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);

    apr_pool_create(&pool, NULL);
    acme_transport_global_init();
    server.trust_file =
        apr_psprintf(pool, "test-transport-%ld.pem", (long)getpid());
    make_certificate();
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(
        bind(server.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server.listener, 64), 0);
    getsockname(server.listener, (struct sockaddr *)&address, &len);
    server.port = ntohs(address.sin_port);
    pthread_create(&server.acceptor, NULL, serve, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(server.trust_file);
    apr_pool_destroy(pool); /* every client is gone */
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(server.acceptor, NULL);
    for (int i = 0; i < server.connections; i++) {
        pthread_join(server.threads[i], NULL);
    }
    close(server.listener);
    SSL_CTX_free(server.ctx);
    return 0;
}

/* --- asking it -------------------------------------------------------------- */

typedef struct result_t {
    int count;
    int status;
    acme_msg_t failure;
    const char *text, *body, *nonce, *location, *type, *retry_after;
    int links;
} result_t;

static void on_done(void *baton, const acme_reply_t *reply)
{
    result_t *result = baton;
    result->count++;
    result->status = reply->status;
    result->failure = reply->failure ? reply->failure->msg : ACME_M_NONE;
    result->text =
        reply->failure ? apr_pstrdup(pool, reply->failure->text) : NULL;
    result->body = apr_pstrmemdup(pool, reply->body, reply->len);
    result->nonce = apr_pstrdup(pool, reply->nonce);
    result->location = apr_pstrdup(pool, reply->location);
    result->type = apr_pstrdup(pool, reply->content_type);
    result->retry_after = apr_pstrdup(pool, reply->retry_after);
    result->links = reply->links->nelts;
}

static acme_transport_t *make_transport(apr_pool_t *owner)
{
    acme_transport_t *transport;
    assert_null(acme_transport_create(&transport, "9.9", owner));
    return transport;
}

static void finish(acme_transport_t *transport, int seconds)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(seconds);
    while (acme_transport_busy(transport) && apr_time_now() < end) {
        assert_null(acme_transport_poll(transport, apr_time_from_msec(100)));
    }
}

static result_t ask_url(const char *url, const char *trust_file)
{
    result_t result = { 0 };
    apr_pool_t *owner;
    apr_pool_create(&owner, pool);
    acme_transport_t *transport = make_transport(owner);
    acme_transport_ca_t ca = { trust_file };
    acme_wire_t wire = { .method = ACME_METHOD_GET,
                         .url = url,
                         .max_body = 64 * 1024 };
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &result));
    assert_int_equal(result.count, 0);
    finish(transport, 20);
    assert_int_equal(result.count, 1);
    apr_pool_destroy(owner);
    return result;
}

static const char *url_of(const char *path)
{
    return apr_psprintf(pool, "https://127.0.0.1:%d%s", server.port, path);
}

static result_t ask(const char *path)
{
    return ask_url(url_of(path), server.trust_file);
}

/* --- what is asked of libcurl -------------------------------------------------- */

static long low_speed_time, low_speed_limit;
static CURLoption forgotten; /* there is no memory to copy this one's text */

/* In place of libcurl's, which it calls. */
#undef curl_easy_setopt
CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
    CURLcode (*real)(CURL *, CURLoption, ...);
    va_list args;
    CURLcode rc;

    *(void **)&real = dlsym(RTLD_NEXT, "curl_easy_setopt");
    va_start(args, option);
    if (option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB) {
        rc = real(curl, option, va_arg(args, curl_off_t));
    }
    else if (option >= CURLOPTTYPE_OBJECTPOINT && option == forgotten) {
        rc = CURLE_OUT_OF_MEMORY;
    }
    else if (option >= CURLOPTTYPE_OBJECTPOINT) {
        rc = real(curl, option, va_arg(args, void *));
    }
    else {
        long value = va_arg(args, long);

        rc = real(curl, option, value);
        low_speed_time =
            option == CURLOPT_LOW_SPEED_TIME ? value : low_speed_time;
        low_speed_limit =
            option == CURLOPT_LOW_SPEED_LIMIT ? value : low_speed_limit;
    }
    va_end(args);
    return rc;
}

/* --- tests ------------------------------------------------------------------ */

static void test_transport_get_gives_body_and_headers(void **state)
{
    (void)state;
    result_t result = ask("/ok");
    assert_int_equal(result.failure, 0);
    assert_int_equal(result.status, 200);
    assert_string_equal(result.body, "{}");
    assert_string_equal(result.nonce, "abc");
    assert_string_equal(result.location, "https://l/");
    assert_string_equal(result.type, "application/json");
    assert_string_equal(result.retry_after, "3");
    assert_int_equal(result.links, 2);
    assert_non_null(strstr(server.last_request, "User-Agent: mod_acme/9.9 lib"
                                                "curl/"));
    assert_non_null(strstr(server.last_request, "Accept-Language: en\r\n"));
    assert_non_null(strstr(server.last_request, "Accept: application/json\r"));
    assert_null(strcasestr(server.last_request, "accept-encoding"));
}

static void test_transport_post_sends_body_and_type(void **state)
{
    (void)state;
    result_t result = { 0 };
    acme_transport_t *transport = make_transport(pool);
    acme_transport_ca_t ca = { server.trust_file };
    acme_wire_t wire = { .method = ACME_METHOD_POST,
                         .url = url_of("/ok"),
                         .body = "{\"x\":1}",
                         .content_type = "application/jose+json",
                         .max_body = 1024 };
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &result));
    finish(transport, 10);
    assert_int_equal(result.status, 200);
    assert_non_null(strstr(server.last_request, "POST /ok HTTP/1.1\r\n"));
    assert_non_null(
        strstr(server.last_request, "Content-Type: application/jose+json\r\n"));
    assert_non_null(strstr(server.last_request, "\r\n\r\n{\"x\":1}"));
    assert_null(strstr(server.last_request, "Expect:"));

    /* the same handle again, for something else */
    wire.method = ACME_METHOD_HEAD;
    wire.content_type = wire.body = NULL;
    wire.url = url_of("/long-nonce");
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &result));
    finish(transport, 10);
    assert_int_equal(result.failure, 0);
    assert_non_null(strstr(server.last_request, "HEAD /long-nonce HTTP/1.1"));
    assert_null(strstr(server.last_request, "jose"));
}

static void test_transport_interim_headers_are_forgotten(void **state)
{
    (void)state;
    result_t result = ask("/interim");
    assert_int_equal(result.status, 200);
    assert_null(result.nonce);
    assert_int_equal(result.links, 0);
}

static void test_transport_redirect_is_not_followed(void **state)
{
    (void)state;
    result_t result = ask("/redirect");
    assert_int_equal(result.failure, 0);
    assert_int_equal(result.status, 302);
}

static void test_transport_limits_are_kept(void **state)
{
    (void)state;
    assert_int_equal(ask("/big").failure, ACME_E_CA_TOO_BIG);
    assert_int_equal(ask("/endless-headers").failure, ACME_E_CA_TOO_BIG);
    assert_int_equal(ask("/endless-header").failure, ACME_E_CA_TOO_BIG);
    result_t result = ask("/long-nonce");
    assert_int_equal(result.failure, 0);
    assert_null(result.nonce);
    assert_int_equal(ask("/many-links").links, 32);
}

static void test_transport_truncated_body_is_a_failure(void **state)
{
    (void)state;
    result_t result = ask("/truncated");
    assert_int_equal(result.failure, ACME_E_CA_UNREACHABLE);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.body, "");
}

static void test_transport_distrusted_server_is_a_tls_failure(void **state)
{
    (void)state;
    result_t result = ask_url(url_of("/ok"), NULL);
    assert_int_equal(result.failure, ACME_E_CA_TLS);
    assert_non_null(strstr(result.text, "self-signed"));
    /* right root, wrong name */
    const char *url =
        apr_psprintf(pool, "https://localhost:%d/ok", server.port);
    assert_int_equal(ask_url(url, server.trust_file).failure, ACME_E_CA_TLS);
}

static void test_transport_unusable_trust_file_is_named(void **state)
{
    (void)state;
    result_t result = ask_url(url_of("/ok"), "/nonexistent/trust.pem");
    assert_int_equal(result.failure, ACME_E_CA_TRUST_FILE);
    assert_non_null(strstr(result.text, "/nonexistent/trust.pem"));
}

/* Nobody comes to the port, where an answer that is none would be a failure, too. */
static void test_transport_http_url_is_refused(void **state)
{
    int before = server.connections;

    (void)state;
    const char *url = apr_psprintf(pool, "http://127.0.0.1:%d/ok", server.port);
    assert_int_equal(ask_url(url, NULL).failure, ACME_E_CA_UNREACHABLE);
    assert_int_equal(server.connections, before);
}

/* That libcurl keeps to it, t/live/test_hostile_wire.py tries with three. */
static void test_transport_silence_is_borne_for_forty_seconds(void **state)
{
    (void)state;
    low_speed_time = low_speed_limit = 0;
    assert_int_equal(ask("/ok").status, 200);
    assert_int_equal(low_speed_time, 40);
    assert_int_equal(low_speed_limit, 10);
}

/* Or it would go elsewhere, trust another, or say less than it must. */
static void test_transport_nothing_is_sent_without_memory_for_all_of_it(
    void **state)
{
    static const CURLoption TEXTS[] = {
        CURLOPT_URL,     CURLOPT_USERAGENT, CURLOPT_PROXY,
        CURLOPT_NOPROXY, CURLOPT_CAINFO,    CURLOPT_PROTOCOLS_STR,
    };
    acme_transport_t *transport;

    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        result_t result = { 0 };
        acme_transport_ca_t ca = { server.trust_file };
        acme_wire_t wire = { .method = ACME_METHOD_GET,
                             .url = url_of("/ok"),
                             .max_body = 1024 };
        int before = server.connections;

        transport = make_transport(pool);
        forgotten = TEXTS[i];
        acme_err_t *err =
            acme_transport_send(transport, &ca, &wire, on_done, &result);
        forgotten = 0;
        assert_non_null(err);
        assert_int_equal(err->msg, ACME_E_TRANSPORT);
        assert_false(acme_transport_busy(transport));
        assert_int_equal(server.connections, before);
        assert_null(
            acme_transport_send(transport, &ca, &wire, on_done, &result));
        finish(transport, 20);
        assert_int_equal(result.status, 200);
    }
}

static void test_transport_nobody_listening_is_unreachable(void **state)
{
    (void)state;
    result_t result = ask_url("https://127.0.0.1:1/dir", NULL);
    assert_int_equal(result.failure, ACME_E_CA_UNREACHABLE);
    assert_non_null(strstr(result.text, "https://127.0.0.1:1/dir"));
}

static result_t ask_through(const char *proxy_url)
{
    acme_proxy_t *proxy;
    assert_null(acme_proxy_parse(&proxy, proxy_url, pool));
    result_t result = { 0 };
    apr_pool_t *owner;
    apr_pool_create(&owner, pool);
    acme_transport_t *transport = make_transport(owner);
    acme_transport_ca_t ca = { server.trust_file, proxy };
    acme_wire_t wire = { .method = ACME_METHOD_GET,
                         .url = url_of("/ok"),
                         .max_body = 1024 };
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &result));
    finish(transport, 20);
    assert_int_equal(result.count, 1);

    /* the same handle, without it */
    ca.proxy = NULL;
    result_t direct = { 0 };
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &direct));
    finish(transport, 20);
    assert_int_equal(direct.status, 200);
    apr_pool_destroy(owner);
    return result;
}

static void test_transport_proxy_that_fails_is_named_without_its_password(
    void **state)
{
    (void)state;
    static const char *const proxies[] = {
        "http://me:s3cret@127.0.0.1:1",
        "https://me:s3cret@127.0.0.1:1",
        "http://me:s3cret@proxy.invalid:3128",
        /* speaks TLS, and not with the system's trust */
        NULL,
    };
    for (int i = 0; i < 4; i++) {
        result_t result = ask_through(
            proxies[i] ? proxies[i]
                       : apr_psprintf(pool, "https://me:s3cret@127.0.0.1:%d",
                                      server.port));
        assert_int_equal(result.failure, ACME_E_PROXY);
        assert_non_null(strstr(result.text, "through the proxy http"));
        assert_null(strstr(result.text, "s3cret"));
    }
}

static void test_transport_environment_names_no_proxy(void **state)
{
    (void)state;
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(ask("/ok").status, 200);
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    setenv("no_proxy", "*", 1);
    assert_int_equal(ask_through("http://127.0.0.1:1").failure, ACME_E_PROXY);
    unsetenv("no_proxy");
}

static void test_transport_many_requests_share_few_connections(void **state)
{
    (void)state;
    result_t result = { 0 };
    acme_transport_t *transport = make_transport(pool);
    acme_transport_ca_t ca = { server.trust_file };
    acme_wire_t wire = { .method = ACME_METHOD_GET,
                         .url = url_of("/ok"),
                         .max_body = 1024 };
    int before = server.connections;
    for (int i = 0; i < 100; i++) {
        assert_null(
            acme_transport_send(transport, &ca, &wire, on_done, &result));
    }
    assert_int_equal(acme_transport_busy(transport), 100);
    finish(transport, 20);
    assert_int_equal(result.count, 100);
    assert_int_equal(result.failure, 0);
    /* 8 at once; one of the test before may have been counted late */
    assert_true(server.connections - before <= 10);
}

static void test_transport_pool_cleanup_drops_requests_at_once(void **state)
{
    (void)state;
    result_t result = { 0 };
    apr_pool_t *owner;
    apr_pool_create(&owner, pool);
    acme_transport_t *transport = make_transport(owner);
    acme_transport_ca_t ca = { NULL };
    acme_wire_t wire = { .method = ACME_METHOD_GET,
                         .url = "https://resolver.never.answers.example/",
                         .max_body = 1024 };
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &result));
    assert_null(acme_transport_poll(transport, 0));
    apr_time_t start = apr_time_now();
    apr_pool_destroy(owner);
    /* a libcurl that waits for its resolver takes nine seconds */
    assert_true(apr_time_now() - start < apr_time_from_sec(4));
    assert_int_equal(result.count, 0);
}

static void *wake_later(void *data)
{
    usleep(100000);
    acme_transport_wakeup(data);
    return NULL;
}

static void test_transport_wakeup_ends_a_poll(void **state)
{
    (void)state;
    pthread_t thread;
    acme_transport_t *transport = make_transport(pool);
    apr_time_t start = apr_time_now();
    pthread_create(&thread, NULL, wake_later, transport);
    assert_null(acme_transport_poll(transport, apr_time_from_sec(5)));
    pthread_join(thread, NULL);
    assert_true(apr_time_now() - start < apr_time_from_sec(2));
}

/* One whose epoch was over when it was woken must send nothing, whatever it has
 * begun before. */
static acme_err_t *guard(void *baton)
{
    return *(int *)baton ? NULL
                         : acme_err_make(pool, ACME_E_LEASE_LOST, "lock", NULL);
}

static void test_transport_guard_keeps_what_was_begun_from_going_out(
    void **state)
{
    (void)state;
    result_t result = { 0 };
    int may_send = 0;
    acme_transport_t *transport = make_transport(pool);
    acme_transport_ca_t ca = { server.trust_file };
    acme_wire_t wire = { .method = ACME_METHOD_POST,
                         .url = url_of("/ok?guarded"),
                         .body = "{}",
                         .max_body = 1024 };
    acme_transport_guard(transport, guard, &may_send);
    assert_null(acme_transport_send(transport, &ca, &wire, on_done, &result));
    for (int i = 0; i < 10; i++) {
        acme_err_t *err = acme_transport_poll(transport, 10000);
        assert_non_null(err);
        assert_int_equal(err->msg, ACME_E_LEASE_LOST);
    }
    assert_int_equal(result.count, 0);
    assert_null(strstr(server.last_request, "guarded"));
    may_send = 1;
    finish(transport, 10);
    assert_int_equal(result.count, 1);
    assert_non_null(strstr(server.last_request, "guarded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transport_get_gives_body_and_headers),
        cmocka_unit_test(test_transport_post_sends_body_and_type),
        cmocka_unit_test(test_transport_interim_headers_are_forgotten),
        cmocka_unit_test(test_transport_redirect_is_not_followed),
        cmocka_unit_test(test_transport_limits_are_kept),
        cmocka_unit_test(test_transport_truncated_body_is_a_failure),
        cmocka_unit_test(test_transport_distrusted_server_is_a_tls_failure),
        cmocka_unit_test(test_transport_unusable_trust_file_is_named),
        cmocka_unit_test(test_transport_http_url_is_refused),
        cmocka_unit_test(test_transport_silence_is_borne_for_forty_seconds),
        cmocka_unit_test(
            test_transport_nothing_is_sent_without_memory_for_all_of_it),
        cmocka_unit_test(test_transport_nobody_listening_is_unreachable),
        cmocka_unit_test(
            test_transport_proxy_that_fails_is_named_without_its_password),
        cmocka_unit_test(test_transport_environment_names_no_proxy),
        cmocka_unit_test(test_transport_many_requests_share_few_connections),
        cmocka_unit_test(test_transport_pool_cleanup_drops_requests_at_once),
        cmocka_unit_test(test_transport_wakeup_ends_a_poll),
        cmocka_unit_test(
            test_transport_guard_keeps_what_was_begun_from_going_out),
    };
    apr_initialize();
    signal(SIGPIPE, SIG_IGN);
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    apr_terminate();
    return failed;
}
