/* Visits on their way into memory: who came, for what, and who answered. */
#include "httpd/hits.h"

#include <string.h>

#include <apr_strings.h>
#include <http_ssl.h>

#include "core/encode.h"
#include "httpd/hostnames.h"
#include "httpd/http01.h"
#include "httpd/live.h"

/* A path is told by its end. */
static void copy_end(char *out, apr_size_t size, const char *text)
{
    apr_size_t len = strlen(text);

    if (len >= size) {
        text += len - (size - 1) + 3;
        apr_cpystrn(out, "...", size);
        out += 3;
        size -= 3;
    }
    apr_cpystrn(out, text, size);
}

static void copy_text(char *out, apr_size_t size, const char *text,
                      apr_pool_t *pool)
{
    apr_cpystrn(out, text ? acme_encode_printable(text, size - 1, pool) : "",
                size);
}

static void describe(acme_hit_t *hit, const server_rec *s, const conn_rec *c,
                     apr_pool_t *pool)
{
    hit->time = apr_time_now();
    hit->port = c->local_addr ? c->local_addr->port : 0;
    if (s) {
        copy_text(hit->server, sizeof(hit->server), s->server_hostname, pool);
        copy_end(hit->where, sizeof(hit->where),
                 acme_encode_printable(acme_hostnames_where(s, pool),
                                       ACME_MAX_DETAIL, pool));
    }
}

/* Whose challenge it is that was asked for, if it is anybody's. */
static const char *whose(acme_live_found_t *found, acme_hit_t *hit,
                         const request_rec *r, const char *token)
{
    const acme_live_table_t *table = acme_live_table();

    hit->answered = acme_http01_has_answered(r);
    hit->known = hit->answered
                 || (table && token
                     && acme_live_find_token(found, table, r->hostname, token));
    return hit->answered || !hit->known ? r->hostname : found->name;
}

int acme_hits_request(request_rec *r)
{
    acme_hits_t *hits = acme_hits();
    acme_hit_t hit = { .type = ACME_PROOF_HTTP_01 };
    const request_rec *last = r;
    acme_live_found_t found;
    const char *token, *name;

    if (!hits || r->main || !acme_http01_is_challenge(&token, r)
        || !(name = whose(&found, &hit, r, token))
        || (!hit.known && !acme_hits_expected(hits, name, r->request_time))) {
        return DECLINED;
    }
    while (last->next) {
        last = last->next;
    }
    describe(&hit, r->server, r->connection, r->pool);
    hit.status = last->status;
    hit.tls = ap_ssl_conn_is_ssl(r->connection);
    copy_text(hit.peer, sizeof(hit.peer), r->useragent_ip, r->pool);
    copy_text(hit.host, sizeof(hit.host), r->hostname, r->pool);
    copy_text(hit.agent, sizeof(hit.agent),
              apr_table_get(r->headers_in, "User-Agent"), r->pool);
    acme_hits_add(hits, name, &hit);
    return DECLINED;
}

void acme_hits_handshake(const conn_rec *c, const server_rec *s,
                         const char *name, int known, int answered)
{
    acme_hits_t *hits = acme_hits();
    acme_hit_t hit = {
        .type = ACME_PROOF_TLS_ALPN_01,
        .known = known,
        .answered = answered,
        .tls = 1,
    };

    if (!hits || !name
        || (!known && !acme_hits_expected(hits, name, apr_time_now()))) {
        return;
    }
    describe(&hit, s, c, c->pool);
    copy_text(hit.peer, sizeof(hit.peer), c->client_ip, c->pool);
    copy_text(hit.host, sizeof(hit.host), name, c->pool);
    acme_hits_add(hits, name, &hit);
}
