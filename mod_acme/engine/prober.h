/**
 * Goes a CA's way to this server: looks a name up, publishes a token of its own,
 * asks for it at each address, and says what came of it (core/diagnosis.h). Many
 * names at once, beside the engine's loop; each within its time. Knows neither
 * jobs nor orders, so that acmectl can use it where no server runs.
 */
#ifndef ACME_PROBER_H
#define ACME_PROBER_H

#include "core/diagnosis.h"
#include "engine/resolver.h"
#include "engine/transport.h"

typedef struct acme_prober_t acme_prober_t;
typedef struct acme_visit_t acme_visit_t;

typedef struct acme_prober_config_t {
    acme_transport_t *transport;
    acme_resolver_t *resolver;
    int port_80, port_443; /* local ports that the outside's arrive at; 0: the
                              same */
    void *baton;
    /** Make a proof visible; NULL: no server runs, so nothing will be ours. */
    acme_err_t *(*publish)(void *baton, const acme_proof_t *proof);
    void (*withdraw)(void *baton, const acme_proof_t *proof);
    apr_time_t (*now)(void *baton);
} acme_prober_config_t;

/** @param config  copied */
acme_prober_t *acme_prober_create(const acme_prober_config_t *config,
                                  apr_pool_t *pool);

/** What to look at. Copied but for ident, which must live as long as the visit. */
typedef struct acme_visit_wish_t {
    const acme_ident_t *ident; /* no wildcard */
    acme_proof_type_t type;    /* ACME_PROOF_HTTP_01, ACME_PROOF_TLS_ALPN_01 */
    int public_ca;             /* the CA asks from the internet */
    const apr_array_header_t *resolvers; /* acme_resolver_address; NULL or
                                            empty: the machine's own */
    apr_interval_time_t patience;        /* in all */
} acme_visit_wish_t;

/** @param findings  acme_err_t *, of acme_diagnose, perhaps none; live until the
 *                   call returns. What came in time, if not all did */
typedef void acme_visited_fn_t(void *baton, const apr_array_header_t *findings);

/** visited is called from acme_prober_pump, once. */
acme_visit_t *acme_prober_visit(acme_prober_t *prober,
                                const acme_visit_wish_t *wish,
                                acme_visited_fn_t *visited, void *baton);
/** Nobody wants to know any more: visited is not called. */
void acme_visit_forget(acme_visit_t *visit);

/** In each round of the loop, and how long that may wait, at most max. */
void acme_prober_pump(acme_prober_t *prober);
apr_interval_time_t acme_prober_wait(const acme_prober_t *prober,
                                     apr_interval_time_t max);

#endif
