/* Makes full TLS handshakes with a server on loopback, one after another,
 * and prints how many succeeded and the seconds they took.
 *
 * handshakes port 1.2|1.3 count name [name ...]
 *
 * Names are taken in turn; nothing is resumed or verified. Each connection
 * comes from another of 200 loopback addresses, so that ports in TIME_WAIT
 * are not used up.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int connect_from(int turn, int port)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct sockaddr_in to = { .sin_family = AF_INET };
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0) {
        return -1;
    }
    from.sin_addr.s_addr = htonl(0x7f000002u + (unsigned)(turn % 200));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((unsigned short)port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0
        || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int handshake(SSL_CTX *ctx, int fd, const char *name)
{
    SSL *ssl = SSL_new(ctx);
    int done = 0;

    if (ssl != NULL && SSL_set_fd(ssl, fd) == 1
        && SSL_set_tlsext_host_name(ssl, name) == 1) {
        done = SSL_connect(ssl) == 1;
        if (done) {
            SSL_shutdown(ssl);
        }
    }
    SSL_free(ssl);
    return done;
}

int main(int argc, char **argv)
{
    struct timespec begin, end;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int version, port, count, good = 0;

    if (argc < 5 || ctx == NULL) {
        fprintf(stderr, "usage: handshakes port 1.2|1.3 count name ...\n");
        return 2;
    }
    port = atoi(argv[1]);
    version = strcmp(argv[2], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    count = atoi(argv[3]);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < count; i++) {
        int fd = connect_from(i, port);

        if (fd >= 0) {
            good += handshake(ctx, fd, argv[4 + i % (argc - 4)]);
            close(fd);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%d %.6f\n", good,
           (double)(end.tv_sec - begin.tv_sec)
               + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    SSL_CTX_free(ctx);
    return good == count ? 0 : 1;
}
