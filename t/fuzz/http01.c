/* Requests and handshakes, and what is found for them: the answer to http-01, the
 * challenge of tls-alpn-01, the visit as it is remembered, the redirect to https.
 * In the input a line each: method and path, query, Host, SNI, User-Agent. */
#include "fuzz.h"

#include "core/encode.h"
#include "httpd.h"
#include "httpd/hits.h"
#include "httpd/http01.h"
#include "httpd/live.h"
#include "httpd/require_https.h"

static server_rec *server;

static const char *line_of(char **rest)
{
    const char *line = fuzz_part(rest, '\n');

    return line && *line ? line : NULL;
}

static request_rec *make_request(char **rest, apr_pool_t *pool)
{
    request_rec *r = apr_pcalloc(pool, sizeof(*r));
    const char *first = line_of(rest);

    first = first ? first : "G";
    r->pool = pool;
    r->server = server;
    r->connection = apr_pcalloc(pool, sizeof(conn_rec));
    r->connection->pool = pool;
    r->connection->client_ip = apr_pstrdup(pool, "192.0.2.1");
    r->request_config = apr_pcalloc(pool, sizeof(void *));
    r->headers_in = apr_table_make(pool, 1);
    r->headers_out = apr_table_make(pool, 1);
    r->err_headers_out = apr_table_make(pool, 1);
    r->request_time = apr_time_now();
    r->useragent_ip = r->connection->client_ip;
    r->method_number = *first == 'G' ? M_GET : M_POST;
    r->header_only = *first == 'H';
    r->uri = apr_pstrdup(pool, first + 1);
    r->args = apr_pstrdup(pool, line_of(rest));
    r->hostname = line_of(rest);
    return r;
}

static void look_at_answer(request_rec *r)
{
    const char *text;

    if (acme_http01_answer(r) == DONE) {
        FUZZ_MUST(!strcmp(r->uri, "/.well-known/acme-challenge/" FUZZ_TOKEN));
        text = fuzz_written();
        FUZZ_MUST(r->header_only ? !*text : !strcmp(text, FUZZ_PROOF));
        FUZZ_MUST(acme_http01_has_answered(r));
    }
}

/* It leads to a name of ours, in characters that cannot end a header. */
static void look_at_redirect(request_rec *r)
{
    if (acme_require_https_redirect(r, 0) != DECLINED) {
        const char *to = apr_table_get(r->headers_out, "Location"), *c;

        FUZZ_MUST(to && !strncmp(to, "https://shop.example/", 21));
        for (c = to; *c; c++) {
            FUZZ_MUST(*c > ' ' && *c < 0x7f);
        }
    }
}

static void look_at_visits(apr_pool_t *pool)
{
    acme_hit_t found[ACME_MAX_HITS];
    int i, count = acme_hits_read(found, NULL, acme_hits(), &fuzz_shop, 0);

    FUZZ_MUST(count <= ACME_MAX_HITS);
    for (i = 0; i < count; i++) {
        const char *text = acme_hit_text(&found[i], pool);

        FUZZ_MUST(
            !strcmp(text, acme_encode_printable(text, strlen(text) + 1, pool)));
    }
}

void fuzz_http01(const char *data, apr_size_t len, apr_pool_t *pool)
{
    char *rest = apr_pstrdup(pool, data);
    acme_live_found_t found;
    const char *sni, *agent;
    request_rec *r;
    int known;

    (void)len;
    server = fuzz_site();
    r = make_request(&rest, pool);
    sni = line_of(&rest);
    agent = line_of(&rest);
    if (agent) {
        apr_table_setn(r->headers_in, "User-Agent", agent);
    }
    look_at_answer(r);
    look_at_redirect(r);
    acme_hits_request(r);
    if (sni) {
        known = acme_live_lookup_handshake(&found, acme_live_table(), sni);
        FUZZ_MUST(!known || !strcmp(found.key_authorization, FUZZ_PROOF));
        acme_hits_handshake(r->connection, server, sni, known, 0);
    }
    look_at_visits(pool);
}
