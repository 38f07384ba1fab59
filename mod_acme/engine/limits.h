/**
 * What a CA allows in a time, and what of it is spent: published limits, known in
 * advance, and those that it has taught by refusing. Pure bookkeeping; now is an
 * argument.
 *
 * Each limit is a bucket that holds count tokens and gets one back every
 * period / count, as Let's Encrypt counts; full at first.
 */
#ifndef ACME_LIMITS_H
#define ACME_LIMITS_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "core/err.h"
#include "core/ident.h"

typedef enum acme_limit_t {
    ACME_LIMIT_ORDERS,   /* new orders of an account */
    ACME_LIMIT_DOMAIN,   /* certificates with names of a registered domain */
    ACME_LIMIT_SET,      /* certificates for exactly the same names */
    ACME_LIMIT_FAILURES, /* failed validations of a name by an account */
    ACME_LIMIT_ACCOUNTS, /* new accounts from this machine */
} acme_limit_t;
#define ACME_LIMITS 5

typedef struct acme_limit_rule_t {
    int count; /* 0: no such limit */
    apr_interval_time_t period;
} acme_limit_rule_t;

typedef struct acme_limit_rules_t {
    const char *ca_url; /* directory */
    acme_limit_rule_t of[ACME_LIMITS];
} acme_limit_rules_t;

/** Of the CA with this directory; NULL: it is private or not known, and has
 *  none. Static. */
const acme_limit_rules_t *acme_limits_find(const char *ca_url);

typedef struct acme_limits_t acme_limits_t;

/** @param rules  NULL: only what the CA teaches */
acme_limits_t *acme_limits_create(const acme_limit_rules_t *rules,
                                  apr_pool_t *pool);

/** An order as the limits see it. Borrowed. */
typedef struct acme_limits_order_t {
    const char *account;              /* names it among those of the CA */
    const apr_array_header_t *idents; /* acme_ident_t * */
    int renewal; /* of a certificate for the same names: free of ORDERS and
                    DOMAIN */
    int exempt;  /* a renewal in the CA's own window: free of all */
} acme_limits_order_t;

/** Which limit stands before an order, and until when. */
typedef struct acme_limits_wait_t {
    apr_time_t until; /* 0: none does */
    acme_limit_t limit;
    int learned;      /* the CA has refused; limit is ORDERS then */
    const char *what; /* "50 certificates in 7 days for example.org" */
} acme_limits_wait_t;

/** @param pool  of wait->what */
void acme_limits_check(acme_limits_wait_t *wait, acme_limits_t *limits,
                       const acme_limits_order_t *order, apr_time_t now,
                       apr_pool_t *pool);
/** The same for the limit of an account's orders alone. */
void acme_limits_check_account(acme_limits_wait_t *wait, acme_limits_t *limits,
                               const char *account, apr_time_t now,
                               apr_pool_t *pool);
/** From one order of an account to the next, once its bucket is empty. */
apr_interval_time_t acme_limits_pace(const acme_limits_t *limits);

/** The order is about to be sent. */
void acme_limits_spend(acme_limits_t *limits, const acme_limits_order_t *order,
                       apr_time_t now);
/** It came to nothing: DOMAIN and SET count certificates. */
void acme_limits_refund(acme_limits_t *limits, const acme_limits_order_t *order,
                        apr_time_t now);
/** It was not sent after all. */
void acme_limits_cancel(acme_limits_t *limits, const acme_limits_order_t *order,
                        apr_time_t now);
/** A validation failed. */
void acme_limits_fail(acme_limits_t *limits, const char *account,
                      const char *name, apr_time_t now);
/** @return E_LIMIT with retry_at, from pool: no further account now */
acme_err_t *acme_limits_take_account(acme_limits_t *limits, apr_time_t now,
                                     apr_pool_t *pool) ACME_MUST_CHECK;

/** The CA has refused a new order for these names by a rate limit. For one
 *  certificate, or several of one registered domain, that is their own matter;
 *  refusals of two that have nothing in common, without an acceptance in
 *  between, mean all.
 *  @return whether nothing is to be ordered until then */
int acme_limits_refused(acme_limits_t *limits, const apr_array_header_t *idents,
                        apr_time_t until, apr_time_t now);
/** A new order was accepted. */
void acme_limits_accepted(acme_limits_t *limits);
/** How many new orders may be without an answer at once: after a refusal that
 *  meant all, one, then twice as many with each that is accepted. */
int acme_limits_window(const acme_limits_t *limits);

/** Domain that a certificate is counted under, for want of the Public Suffix
 *  List: the last two labels, three where the second is a usual one of country
 *  domains ("co.uk"). Rather too few labels than too many: then certificates are
 *  held back that need not be, but none is refused. An IPv4 address; an IPv6
 *  address up to its /64. */
const char *acme_limits_domain(const acme_ident_t *ident, apr_pool_t *pool);

/** Whether something changed since the last acme_limits_format. */
int acme_limits_dirty(const acme_limits_t *limits);
acme_err_t *acme_limits_format(const char **json, acme_limits_t *limits,
                               apr_time_t now,
                               apr_pool_t *pool) ACME_MUST_CHECK;
/** @return E_CA_JSON, E_MEMORY */
acme_err_t *acme_limits_parse(acme_limits_t *limits, const char *json,
                              apr_size_t len, apr_time_t now,
                              apr_pool_t *scratch) ACME_MUST_CHECK;

#endif
