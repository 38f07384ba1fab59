/* Clients of a site, for t/bench/endure: several threads that make full
 * handshakes and verify what they are shown, one that reads a page now and then
 * and times it, one that asks for tokens nobody knows.
 *
 * clients https-port http-port trust.pem threads tokens-a-second name ...
 *
 * A handshake is good if it ends (the leaf's key has signed), the chain is
 * trusted, the name is the leaf's, and an OCSP response, where there is one, is
 * about that leaf. Runs until its standard input ends. Each second a line
 *
 *     second SECONDS GOOD FAILED P50 P99 TOKENS
 *
 * (microseconds of handshakes); for each thing that fails
 *
 *     failed SECONDS WHAT
 *
 * and in the end the times of pages read while tokens were asked for and while
 * they were not (they alternate every two seconds), and how many certificates
 * and OCSP responses were seen:
 *
 *     pages on|off COUNT P50 P95 P99
 *     seen CERTIFICATES STAPLED PAGES-FAILED TOKENS-FAILED
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES     100000 /* of a second, and of pages */
#define SERIALS     65536
#define SERIAL_SIZE 20
#define PAGES       40 /* a second */
#define TURN        2  /* seconds with tokens, and without */
#define PATIENCE    30 /* seconds */

static struct {
    int https, http, tokens_a_second, name_count;
    char **names;
    SSL_CTX *ctx;
    double begin;
    pthread_mutex_t lock;
    int samples[SAMPLES], sample_count;
    int pages[2][SAMPLES], page_count[2];
    unsigned char serials[SERIALS][SERIAL_SIZE];
    int serial_count;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };
static _Atomic int stopping, good, failed, tokens, stapled, pages_failed,
    tokens_failed;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_for(double seconds)
{
    struct timespec t = { (time_t)seconds,
                          (long)((seconds - (double)(time_t)seconds) * 1e9) };

    if (seconds > 0) {
        nanosleep(&t, NULL);
    }
}

static void tell(_Atomic int *count, const char *what, const char *why)
{
    (*count)++;
    printf("failed %.3f %s: %s\n", now() - all.begin, what, why);
    fflush(stdout);
}

/* From another of 200 loopback addresses each time, so that ports in TIME_WAIT
 * are not used up. */
static int connect_to(int port, unsigned turn)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct sockaddr_in to = { .sin_family = AF_INET };
    const struct timeval limit = { PATIENCE, 0 };
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    from.sin_addr.s_addr = htonl(0x7f000002u + turn % 200);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((unsigned short)port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0
        || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- what was shown -------------------------------------------------------------- */

static void note_serial(X509 *leaf)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(leaf);
    unsigned char serial[SERIAL_SIZE] = { 0 };
    int len = ASN1_STRING_length(number);

    memcpy(serial, ASN1_STRING_get0_data(number),
           (size_t)(len > SERIAL_SIZE ? SERIAL_SIZE : len));
    pthread_mutex_lock(&all.lock);
    int i = all.serial_count;
    /* The last ones first: they are what is shown now. */
    while (i > 0 && memcmp(all.serials[i - 1], serial, SERIAL_SIZE)) {
        i--;
    }
    if (!i && all.serial_count < SERIALS) {
        memcpy(all.serials[all.serial_count++], serial, SERIAL_SIZE);
    }
    pthread_mutex_unlock(&all.lock);
}

/* @return NULL: none, or that of this leaf */
static const char *check_staple(SSL *ssl, X509 *leaf)
{
    const unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    const char *why = "the OCSP response is about another certificate";

    if (len <= 0 || !der) {
        return NULL;
    }
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, len);
    OCSP_BASICRESP *basic =
        response ? OCSP_response_get1_basic(response) : NULL;
    OCSP_CERTID *id = sk_X509_num(chain) > 1
                          ? OCSP_cert_to_id(NULL, leaf, sk_X509_value(chain, 1))
                          : NULL;
    if (basic && id && OCSP_resp_find(basic, id, -1) >= 0) {
        why = NULL;
        stapled++;
    }
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return why;
}

static const char *why_not(SSL *ssl)
{
    static _Thread_local char text[256];
    long verified = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_last_error();

    if (verified != X509_V_OK) {
        return X509_verify_cert_error_string(verified);
    }
    if (code) {
        ERR_error_string_n(code, text, sizeof(text));
        return text;
    }
    return errno ? strerror(errno) : "the connection was closed";
}

/* @return NULL, or why not */
static const char *shake_hands(SSL *ssl, int fd, const char *name)
{
    ERR_clear_error();
    errno = 0;
    if (SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, name) != 1
        || SSL_set1_host(ssl, name) != 1
        || SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) != 1
        || SSL_connect(ssl) != 1) {
        return why_not(ssl);
    }
    X509 *leaf = SSL_get1_peer_certificate(ssl);
    const char *why = leaf ? check_staple(ssl, leaf) : "no certificate";
    if (leaf) {
        note_serial(leaf);
    }
    X509_free(leaf);
    return why;
}

/* --- threads --------------------------------------------------------------------- */

static void add_sample(double since)
{
    pthread_mutex_lock(&all.lock);
    if (all.sample_count < SAMPLES) {
        all.samples[all.sample_count++] = (int)((now() - since) * 1e6);
    }
    pthread_mutex_unlock(&all.lock);
}

static void *make_handshakes(void *data)
{
    unsigned turn = (unsigned)(size_t)data * 1000003u;

    while (!stopping) {
        const char *name = all.names[++turn % (unsigned)all.name_count];
        double begin = now();
        int fd = connect_to(all.https, turn);
        SSL *ssl = SSL_new(all.ctx);
        if (turn & 1) {
            SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
        }
        const char *why = fd < 0 ? strerror(errno) : shake_hands(ssl, fd, name);
        if (why) {
            tell(&failed, name, why);
        }
        else {
            good++;
            add_sample(begin);
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static int tokens_are_on(void)
{
    return all.tokens_a_second && ((int)(now() - all.begin) / TURN) % 2 == 0;
}

static const char *read_page(unsigned turn)
{
    const char *name = all.names[turn % (unsigned)all.name_count];
    int fd = connect_to(all.https, turn);
    SSL *ssl = SSL_new(all.ctx);
    char text[1024];
    const char *why = fd < 0 ? strerror(errno) : shake_hands(ssl, fd, name);

    int len = snprintf(
        text, sizeof(text),
        "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name);
    if (!why && SSL_write(ssl, text, len) != len) {
        why = "the request could not be sent";
    }
    if (!why) {
        len = SSL_read(ssl, text, sizeof(text) - 1);
        why = len > 12 && !strncmp(text, "HTTP/1.1 200", 12) ? NULL
              : len <= 0                                     ? "no answer"
                                                             : "not 200";
    }
    while (!why && SSL_read(ssl, text, sizeof(text)) > 0) {
    }
    SSL_free(ssl);
    close(fd);
    return why;
}

static void *read_pages(void *data)
{
    double next = now();

    (void)data;
    for (unsigned turn = 0; !stopping; turn++) {
        int on = tokens_are_on();
        double begin = now();
        const char *why = read_page(turn);
        if (why) {
            tell(&pages_failed, "a page", why);
        }
        else if (all.page_count[on] < SAMPLES) {
            all.pages[on][all.page_count[on]++] = (int)((now() - begin) * 1e6);
        }
        next += 1.0 / PAGES;
        pause_for(next - now());
    }
    return NULL;
}

/* Keep-alive, while the server has it so. @return 0: the connection is over */
static int ask_token(int fd, unsigned turn)
{
    char text[4096];
    int len = snprintf(text, sizeof(text),
                       "GET /.well-known/acme-challenge/%08x-nobody-knows-it "
                       "HTTP/1.1\r\nHost: %s\r\n\r\n",
                       turn * 2654435761u,
                       all.names[turn % (unsigned)all.name_count]);

    if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
        return 0;
    }
    ssize_t got = 0, more = 0;
    char *body = NULL;
    do {
        got += more;
        text[got] = '\0';
        body = strstr(text, "\r\n\r\n");
        char *length = strcasestr(text, "Content-Length: ");
        if (body && length && got >= body + 4 - text + atoi(length + 16)) {
            break;
        }
        more = recv(fd, text + got, sizeof(text) - 1 - (size_t)got, 0);
    } while (more > 0);
    if (!got) {
        return 0; /* it was idle, and the server may close such ones */
    }
    tokens++;
    if (strncmp(text, "HTTP/1.1 404", 12)) {
        tell(&tokens_failed, "a token", text[0] ? "not 404" : "no answer");
    }
    return more > 0 && !strcasestr(text, "Connection: close");
}

static void *ask_tokens(void *data)
{
    double next = now();
    int fd = -1;

    (void)data;
    for (unsigned turn = 1; !stopping; turn++) {
        if (!tokens_are_on()) {
            pause_for(0.01);
            next = now();
            continue;
        }
        fd = fd < 0 ? connect_to(all.http, turn) : fd;
        if (fd < 0) {
            tell(&tokens_failed, "a token", strerror(errno));
        }
        else if (!ask_token(fd, turn)) {
            close(fd);
            fd = -1;
        }
        /* They come half of the time. */
        next += 0.5 / all.tokens_a_second;
        pause_for(next - now());
    }
    close(fd);
    return NULL;
}

/* --- telling ---------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int percentile(int *values, int count, int percent)
{
    qsort(values, (size_t)count, sizeof(*values), compare);
    return count ? values[(count - 1) * percent / 100] : 0;
}

static void tell_second(void)
{
    static int values[SAMPLES];

    pthread_mutex_lock(&all.lock);
    int count = all.sample_count;
    memcpy(values, all.samples, (size_t)count * sizeof(*values));
    all.sample_count = 0;
    pthread_mutex_unlock(&all.lock);
    printf("second %.1f %d %d %d %d %d\n", now() - all.begin, (int)good,
           (int)failed, percentile(values, count, 50),
           percentile(values, count, 99), (int)tokens);
    fflush(stdout);
}

static void tell_end(void)
{
    for (int on = 1; on >= 0; on--) {
        int *times = all.pages[on], count = all.page_count[on];
        printf("pages %s %d %d %d %d\n", on ? "on" : "off", count,
               percentile(times, count, 50), percentile(times, count, 95),
               percentile(times, count, 99));
    }
    printf("seen %d %d %d %d\n", all.serial_count, (int)stapled,
           (int)pages_failed, (int)tokens_failed);
}

int main(int argc, char **argv)
{
    pthread_t threads[66];
    int count = argc > 4 ? atoi(argv[4]) : 0;
    struct pollfd input = { STDIN_FILENO, POLLIN, 0 };

    if (argc < 7 || count < 1 || count > 64) {
        fprintf(stderr, "usage: clients https-port http-port trust.pem "
                        "threads tokens-a-second name ...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    all.https = atoi(argv[1]);
    all.http = atoi(argv[2]);
    all.tokens_a_second = atoi(argv[5]);
    all.names = argv + 6;
    all.name_count = argc - 6;
    all.ctx = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_locations(all.ctx, argv[3], NULL) != 1) {
        fprintf(stderr, "clients: cannot read %s\n", argv[3]);
        return 2;
    }
    SSL_CTX_set_verify(all.ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(all.ctx, SSL_SESS_CACHE_OFF);
    all.begin = now();
    for (int i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, make_handshakes, (void *)(size_t)i);
    }
    pthread_create(&threads[count++], NULL, read_pages, NULL);
    if (all.tokens_a_second) {
        pthread_create(&threads[count++], NULL, ask_tokens, NULL);
    }
    while (poll(&input, 1, 1000) == 0) {
        tell_second();
    }
    stopping = 1;
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    tell_second();
    tell_end();
    SSL_CTX_free(all.ctx);
    return 0;
}
