#include "engine/hit.h"

#include <apr_strings.h>

/* Who says what to the visitor. */
static const char *answer_text(const acme_hit_t *hit, apr_pool_t *pool)
{
    const char *who = hit->server[0] ? apr_psprintf(pool, " by %s (%s)",
                                                    hit->server, hit->where)
                                     : "";

    if (hit->answered) {
        return apr_pstrcat(pool, "shown the proof", who, NULL);
    }
    if (hit->type == ACME_PROOF_TLS_ALPN_01) {
        return apr_pstrcat(pool, "not shown the proof", who, NULL);
    }
    return apr_psprintf(pool, "answered %d%s", hit->status, who);
}

const char *acme_hit_text(const acme_hit_t *hit, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s for %s%s from %s at port %d: %s",
                        acme_proof_type_name(hit->type),
                        hit->known ? "" : "something else at ", hit->host,
                        hit->peer, hit->port, answer_text(hit, pool));
}
