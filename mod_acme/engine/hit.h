/**
 * A visit that may be a CA's validation, as the server saw it: a request for a
 * challenge, or a handshake for acme-tls/1.
 */
#ifndef ACME_HIT_H
#define ACME_HIT_H

#include <apr_pools.h>
#include <apr_time.h>

#include "core/proof.h"

#define ACME_MAX_HITS 14 /* kept of one name */

/** Fixed size: it lies in shared memory. Texts are printable and NUL
 *  terminated; long ones are cut. */
typedef struct acme_hit_t {
    apr_time_t time;
    acme_proof_type_t type; /* http-01 or tls-alpn-01 */
    int known; /* it asked for a challenge that was to be shown just then; else
                     it may be anybody's */
    int answered;    /* by mod_acme, with the proof */
    int status;      /* of the HTTP answer; 0 of handshakes */
    int tls;         /* a request: it came by TLS (after a redirect, mostly) */
    int port;        /* local */
    char peer[48];   /* address that it came from */
    char host[128];  /* Host or SNI as it was sent */
    char agent[96];  /* User-Agent, or "" */
    char server[96]; /* ServerName of the virtual host that answered */
    char where[128]; /* where that one is defined: "shop.conf:12" */
} acme_hit_t;

/** For people: "http-01 for shop.example from 192.0.2.1: answered 403 by
 *  shop.example (shop.conf:12)". From pool. */
const char *acme_hit_text(const acme_hit_t *hit, apr_pool_t *pool);

#endif
