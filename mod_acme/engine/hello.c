/* A handshake at one address: whether tls-alpn-01 would be answered by this
 * server, or whether TLS is spoken at all. Part of probe.h. */
#include "engine/probe.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/encode.h"

#define ALPN                                                                   \
    "\x0a"                                                                     \
    "acme-tls/1"
#define IDENTIFIER "1.3.6.1.5.5.7.1.31" /* RFC 8737 section 3 */
#define MAX_SHOWN  80

struct acme_hello_t {
    acme_watches_t *watches;
    apr_pool_t *pool;
    acme_sight_t *sight;
    acme_probe_done_fn_t *done;
    void *baton;
    const char *expected;
    int alpn;
    int fd; /* -1: closed */
    int connected;
    int over;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* --- what was shown ------------------------------------------------------------------- */

static const char *common_name(X509_NAME *name, apr_pool_t *pool)
{
    char text[MAX_SHOWN];

    if (X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text))
        <= 0) {
        return NULL;
    }
    return acme_encode_printable(text, MAX_SHOWN, pool);
}

static const char *first_dns_name(X509 *cert, apr_pool_t *pool)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const char *found = NULL;
    int i;

    for (i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS) {
            found = acme_encode_printable(
                apr_pstrmemdup(
                    pool, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                    (apr_size_t)ASN1_STRING_length(name->d.dNSName)),
                MAX_SHOWN, pool);
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

static const char *describe(X509 *cert, apr_pool_t *pool)
{
    const char *name = first_dns_name(cert, pool);
    const char *issuer = common_name(X509_get_issuer_name(cert), pool);

    name = name ? name : common_name(X509_get_subject_name(cert), pool);
    return apr_pstrcat(pool, "a certificate for ", name ? name : "nobody",
                       issuer ? " of " : "", issuer, " is shown", NULL);
}

static int proves(X509 *cert, const char *expected)
{
    unsigned char digest[2 + ACME_SHA256] = { 0x04, 0x20 };
    ASN1_OBJECT *oid = OBJ_txt2obj(IDENTIFIER, 1);
    int at = oid ? X509_get_ext_by_OBJ(cert, oid, -1) : -1;
    const ASN1_OCTET_STRING *value =
        at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(cert, at));

    ASN1_OBJECT_free(oid);
    acme_sha256(digest + 2, expected, strlen(expected));
    return value && ASN1_STRING_length(value) == (int)sizeof(digest)
           && !memcmp(ASN1_STRING_get0_data(value), digest, sizeof(digest));
}

static void judge(acme_hello_t *hello)
{
    const unsigned char *protocol = NULL;
    unsigned int len = 0;
    X509 *cert = SSL_get1_peer_certificate(hello->ssl);

    SSL_get0_alpn_selected(hello->ssl, &protocol, &len);
    hello->sight->saw = !hello->alpn ? ACME_SAW_TLS : ACME_SAW_OTHER;
    if (!hello->alpn || !cert) {
        hello->sight->shown = NULL;
    }
    else if (len == sizeof(ALPN) - 2 && !memcmp(protocol, ALPN + 1, len)
             && hello->expected && proves(cert, hello->expected)) {
        hello->sight->saw = ACME_SAW_OURS;
    }
    else {
        hello->sight->shown =
            apr_pstrcat(hello->pool, describe(cert, hello->pool),
                        len ? "" : ", and acme-tls/1 is not known", NULL);
    }
    X509_free(cert);
}

/* --- the handshake ---------------------------------------------------------------------- */

static void close_down(acme_hello_t *hello)
{
    if (hello->fd >= 0) {
        acme_watch_set(hello->watches, hello->fd, 0, NULL, NULL);
        close(hello->fd);
    }
    hello->fd = -1;
    SSL_free(hello->ssl);
    SSL_CTX_free(hello->ctx);
    hello->ssl = NULL;
    hello->ctx = NULL;
}

static void finish(acme_hello_t *hello)
{
    hello->over = 1;
    close_down(hello);
    hello->done(hello->baton, hello->sight);
}

static void finish_with(acme_hello_t *hello, acme_saw_t saw)
{
    hello->sight->saw = saw;
    finish(hello);
}

static void on_failure(acme_hello_t *hello)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

    ERR_clear_error();
    if (reason >= SSL_AD_REASON_OFFSET) { /* an alert: that is TLS */
        finish_with(hello, hello->alpn ? ACME_SAW_OTHER : ACME_SAW_TLS);
    }
    else {
        finish_with(hello, code ? ACME_SAW_GARBAGE : ACME_SAW_CLOSED);
    }
}

static acme_saw_t saw_of(int number)
{
    return number == ECONNREFUSED ? ACME_SAW_REFUSED
           : number == ETIMEDOUT  ? ACME_SAW_TIMEOUT
           : number == ECONNRESET ? ACME_SAW_CLOSED
                                  : ACME_SAW_UNREACHABLE;
}

static void on_ready(void *baton, int fd, int events)
{
    acme_hello_t *hello = baton;
    int number = 0, rv;
    socklen_t len = sizeof(number);

    (void)events;
    if (!hello->connected) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len);
        if (number) {
            finish_with(hello, saw_of(number));
            return;
        }
        hello->connected = 1;
    }
    ERR_clear_error();
    rv = SSL_connect(hello->ssl);
    if (rv == 1) {
        judge(hello);
        finish(hello);
        return;
    }
    switch (SSL_get_error(hello->ssl, rv)) {
    case SSL_ERROR_WANT_READ:
        acme_watch_set(hello->watches, fd, ACME_WATCH_READ, on_ready, hello);
        break;
    case SSL_ERROR_WANT_WRITE:
        acme_watch_set(hello->watches, fd, ACME_WATCH_WRITE, on_ready, hello);
        break;
    default:
        on_failure(hello);
        break;
    }
}

/* --- life ---------------------------------------------------------------------------------- */

static int open_socket(const acme_probe_question_t *question, int port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t len = question->v6 ? sizeof(to.v6) : sizeof(to.v4);
    int family = question->v6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memset(&to, 0, sizeof(to));
    to.any.sa_family = (sa_family_t)family;
    if (question->v6) {
        to.v6.sin6_port = htons((unsigned short)port);
    }
    else {
        to.v4.sin_port = htons((unsigned short)port);
    }
    if (fd < 0
        || inet_pton(family, question->address,
                     question->v6 ? (void *)&to.v6.sin6_addr
                                  : (void *)&to.v4.sin_addr)
               != 1) {
        return fd;
    }
    /* What fails at once is found out as what fails later: by asking the
     * socket, which keeps no error of these. */
    if (connect(fd, &to.any, len) && errno != EINPROGRESS) {
        int number = errno;
        close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

static int start_tls(acme_hello_t *hello, const acme_ident_t *ident)
{
    char name[ACME_IDENT_SNI];

    hello->ctx = SSL_CTX_new(TLS_client_method());
    hello->ssl = hello->ctx ? SSL_new(hello->ctx) : NULL;
    if (!hello->ssl) {
        return 0;
    }
    acme_ident_server_name(name, ident);
    SSL_set_verify(hello->ssl, SSL_VERIFY_NONE, NULL);
    if (hello->alpn) {
        SSL_set_alpn_protos(hello->ssl, (const unsigned char *)ALPN,
                            sizeof(ALPN) - 1);
    }
    return (!*name || SSL_set_tlsext_host_name(hello->ssl, name) == 1)
           && SSL_set_fd(hello->ssl, hello->fd) == 1;
}

acme_hello_t *acme_hello_begin(acme_watches_t *watches,
                               const acme_probe_question_t *question, int alpn,
                               acme_sight_t *sight, acme_probe_done_fn_t *done,
                               void *baton, apr_pool_t *pool)
{
    acme_hello_t *hello = apr_pcalloc(pool, sizeof(*hello));

    hello->watches = watches;
    hello->pool = pool;
    hello->sight = sight;
    hello->done = done;
    hello->baton = baton;
    hello->expected = apr_pstrdup(pool, question->expected);
    hello->alpn = alpn;
    hello->fd =
        open_socket(question, alpn ? question->tls_port : question->port);
    if (hello->fd < 0) {
        sight->saw = saw_of(errno);
        return NULL;
    }
    if (!start_tls(hello, question->ident)) {
        acme_hello_end(hello);
        return NULL;
    }
    acme_watch_set(watches, hello->fd, ACME_WATCH_WRITE, on_ready, hello);
    return hello;
}

void acme_hello_expire(acme_hello_t *hello)
{
    if (!hello->over) {
        finish_with(hello,
                    hello->connected ? ACME_SAW_SILENT : ACME_SAW_TIMEOUT);
    }
}

void acme_hello_end(acme_hello_t *hello)
{
    hello->over = 1;
    close_down(hello);
}
