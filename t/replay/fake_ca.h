/**
 * A CA of a few hundred lines, for replays: it keeps accounts, orders and
 * authorizations, issues real certificates, and misbehaves exactly where a
 * scenario tells it to. No I/O, no clock, no chance.
 */
#ifndef FAKE_CA_H
#define FAKE_CA_H

#include <apr_hash.h>
#include <apr_tables.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/http.h"

#define CA_URL       "https://ca.test"
#define CA_DIRECTORY CA_URL "/directory"
#define CA_MAX_NAMES 100

/** What a rule does to the n-th request with a label. */
typedef enum ca_act_t {
    CA_REPLY = 1, /* the request is not looked at: this is the answer */
    CA_DROP,      /* it never arrives, and there is no answer */
    CA_LOSE,      /* it arrives and is done, but the answer is lost */
} ca_act_t;

/** A scenario is an array of these; the last has label NULL. */
typedef struct ca_rule_t {
    const char *label; /* of the request: "newOrder" */
    int nth;           /* 1..; 0: each */
    ca_act_t act;
    int status;
    const char *body;
    const char *retry_after, *location, *link; /* headers, or NULL */
    int without_nonce;
    int and_later; /* each from the nth on */
} ca_rule_t;

/** {"type": urn + type, "detail": text} */
#define CA_PROBLEM(type, text)                                                 \
    "{\"type\":\"urn:ietf:params:acme:error:" type "\",\"detail\":\"" text "\"}"

typedef enum ca_authz_state_t {
    CA_AUTHZ_PENDING,
    CA_AUTHZ_VALIDATING,
    CA_AUTHZ_VALID,
    CA_AUTHZ_INVALID,
    CA_AUTHZ_DEACTIVATED,
} ca_authz_state_t;

typedef struct ca_t {
    apr_pool_t *pool;
    const ca_rule_t *rules;
    apr_hash_t *visible; /* token -> key authorization, as published now */

    /* how it is; set before the run */
    const char *meta;            /* members of the directory's meta, or NULL */
    const char *challenge_types; /* "http-01 tls-alpn-01"; offered in order */
    int authz_polls;             /* answers "pending" before the verdict */
    int order_polls;         /* answers "processing" before the certificate */
    const char *retry_after; /* of authorizations and orders under way */
    int preauthorized;       /* the first that many names are valid already */
    int hide_authorizations; /* orders list none, and are ready at once */
    int shuffle;             /* authorizations in reverse order */
    const char *fail_name;   /* its validation fails (or theirs: a list) ... */
    const char *fail_error;  /* ... with this problem document ... */
    const char *fail_types;  /* ... by these challenges; NULL: by any ... */
    int forgiving;           /* ... and its authorization stays pending */
    const char *challenge_extra; /* JSON put in front of the challenges */
    int wrong_key, wrong_name;   /* of the certificate */
    const char *issued_names;    /* "DNS:a.example": instead of the CSR's */
    void (*on_issue)(struct ca_t *ca, X509 *cert); /* before it is signed */
    const char *order_extra;  /* JSON members put into orders: "\"a\":1," */
    const char *authz_extra;  /* the same for authorizations */
    const char *content_type; /* of everything; NULL: as RFC 8555 says */
    int nonce_padding;        /* octets more in each nonce */
    const char *bad_nonce;    /* in place of each, or NULL */
    int nonces_by_newnonce_alone;
    int show_processing; /* a challenge under validation says "processing" */
    int reuse_orders;    /* newOrder gives the one that is there already */
    int renewal_info;    /* the directory has it */
    const char *chain_links; /* Link header of the certificate, or NULL;
                                    /cert/other ends at "Other Root",
                                    /cert/junk is no chain, others are 404 */
    apr_time_t now;

    /* Sees each answer before it goes out, and may spoil it; or NULL. Such a CA
       takes it as it comes that it is asked for nonsense. */
    void (*tamper)(void *baton, const char *label, const acme_wire_t *wire,
                   acme_reply_t *reply, apr_pool_t *pool);
    void *baton;

    /* what happened */
    int requests, accounts, orders, finalizes, deactivated;
    int answers[CA_MAX_NAMES];
    int updates; /* requests to the account's own URL */
    const char *last_new_order, *last_account, *last_update; /* payloads */
    const char *last_csr;                                    /* base64url DER */
    int revoked, rolled, closed;
    apr_hash_t *counts; /* label -> int: for the rules */

    /* its state: one account, one order at a time */
    int account_known; /* 0: accountDoesNotExist */
    const char *jwk;   /* of the account, where keys are told apart; or NULL */
    const char *names[CA_MAX_NAMES];
    int ip[CA_MAX_NAMES];
    ca_authz_state_t authz[CA_MAX_NAMES];
    int authz_left[CA_MAX_NAMES];
    const char *answered[CA_MAX_NAMES]; /* type of the challenge */
    const char *broken[CA_MAX_NAMES];   /* types that failed, or NULL */
    int name_count;
    enum { CA_ORDER_OPEN, CA_ORDER_PROCESSING, CA_ORDER_VALID } order_state;
    int order_left;
    const char *chain, *other_chain;
    int nonces_made;
    apr_hash_t *nonces; /* that are good */
    EVP_PKEY *issuer_key;
    X509 *issuer;
} ca_t;

ca_t *ca_create(apr_pool_t *pool);

/** Answer one request.
 *  @param reply  zeroed; filled in from pool */
void ca_answer(ca_t *ca, const char *label, const acme_wire_t *wire,
               acme_reply_t *reply, apr_pool_t *pool);

#endif
