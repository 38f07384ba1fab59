/* A server that is visited while its names are proved. */
#include "fuzz.h"

#include "httpd.h"
#include "httpd/config.h"
#include "httpd/hits.h"
#include "httpd/http01.h"
#include "httpd/live.h"
#include "httpd/require_https.h"

const acme_ident_t fuzz_shop = { ACME_IDENT_DNS, "shop.example" };
static const acme_ident_t ADDRESS = { ACME_IDENT_IP, "2001:db8::1" };

static void publish(acme_proof_type_t type, const acme_ident_t *ident,
                    apr_pool_t *pool)
{
    const acme_proof_t proof = { type, ident, FUZZ_TOKEN, FUZZ_PROOF };

    FUZZ_MUST(
        fuzz_ok(acme_live_publish(acme_live_table(), &proof, 1, pool), pool));
    acme_hits_expect(acme_hits(), ident, apr_time_now());
}

static void set_up(server_rec *server)
{
    acme_server_config_t *config = acme_config_of(server);
    apr_pool_t *pool = server->process->pool;
    acme_managed_t *managed = apr_pcalloc(pool, sizeof(*managed));

    FUZZ_MUST(acme_live_open(server, pool) && acme_hits_open(server, pool));
    publish(ACME_PROOF_HTTP_01, &fuzz_shop, pool);
    publish(ACME_PROOF_HTTP_01, &ADDRESS, pool);
    publish(ACME_PROOF_TLS_ALPN_01, &fuzz_shop, pool);
    managed->idents = apr_array_make(pool, 1, sizeof(void *));
    APR_ARRAY_PUSH(managed->idents, const acme_ident_t *) = &fuzz_shop;
    config->managed = managed;
    config->live = apr_palloc(pool, 1); /* any: httpd.c asks nothing of it */
    config->require = ACME_REQUIRE_PERMANENT;
    acme_require_https_plan(server, pool, pool);
}

server_rec *fuzz_site(void)
{
    static server_rec *server;

    if (!server) {
        server = fuzz_lasting_server();
        set_up(server);
    }
    return server;
}
