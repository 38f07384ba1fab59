/* What is found where a CA would ask: octets of whoever answers this server's own
 * handshake, or, in the input as DER, the certificate that is shown. Of both,
 * what is told of it. */
#include "engine/hello.c"

#include "fuzz.h"

#define PROOF "token.thumbprint"
#define OTHER "token.another"

static void done(void *baton, acme_sight_t *sight)
{
    (void)sight;
    ++*(int *)baton;
}

static void look_at_certificate(X509 *cert, apr_pool_t *pool)
{
    const char *text = describe(cert, pool);

    FUZZ_MUST(!strcmp(text, acme_encode_printable(text, 512, pool)));
    FUZZ_MUST(!proves(cert, PROOF) || !proves(cert, OTHER));
    X509_free(cert);
}

/* The other end of a connection has said data, and then no more. */
static void look_at_answer(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const acme_ident_t name = { ACME_IDENT_DNS, "shop.example" };
    acme_watches_t *watches = acme_watches_create(pool);
    acme_sight_t sight = { 0 };
    int ends[2], count = 0, turns = 0;
    acme_hello_t hello = { .watches = watches,
                           .pool = pool,
                           .sight = &sight,
                           .done = done,
                           .baton = &count,
                           .expected = PROOF,
                           .alpn = len % 2,
                           .connected = 1 };

    FUZZ_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    hello.fd = ends[0];
    FUZZ_MUST(start_tls(&hello, &name));
    FUZZ_MUST(write(ends[1], data, len) == (ssize_t)len
              && shutdown(ends[1], SHUT_WR) == 0);
    while (!hello.over) {
        FUZZ_MUST(++turns < 100);
        on_ready(&hello, hello.fd, ACME_WATCH_READ);
    }
    FUZZ_MUST(count == 1 && hello.fd < 0 && !hello.ssl);
    FUZZ_MUST(sight.saw == ACME_SAW_CLOSED || sight.saw == ACME_SAW_GARBAGE
              || sight.saw == (hello.alpn ? ACME_SAW_OTHER : ACME_SAW_TLS));
    acme_hello_expire(&hello);
    acme_hello_end(&hello);
    close(ends[1]);
    FUZZ_MUST(count == 1);
}

void fuzz_probe(const char *data, apr_size_t len, apr_pool_t *pool)
{
    const unsigned char *der = (const unsigned char *)data;
    X509 *cert = d2i_X509(NULL, &der, (long)len);

    if (cert) {
        look_at_certificate(cert, pool);
    }
    else {
        look_at_answer(data, len, pool);
    }
    ERR_clear_error();
}
