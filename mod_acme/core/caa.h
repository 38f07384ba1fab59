/**
 * CAA records: which CAs may certify a name, and by whose account and which
 * proof. RFC 8659, RFC 8657. To know before an order what the CA would say.
 */
#ifndef ACME_CAA_H
#define ACME_CAA_H

#include "core/dns.h"
#include "core/ident.h"

#define ACME_CAA_MAX 64 /* records of one name that are looked at */

typedef struct acme_caa_t {
    int critical;
    const char *tag;   /* lower case, printable: "issue" */
    const char *value; /* printable */
} acme_caa_t;

/** Those in an answer to a question for CAA records, aliases followed.
 *  acme_caa_t *; empty if there are none. */
apr_array_header_t *acme_caa_parse(const acme_dns_answer_t *answer,
                                   apr_pool_t *pool);

/** What is to be known of the order. */
typedef struct acme_caa_question_t {
    int wildcard;                         /* the name is one */
    const apr_array_header_t *identities; /* const char *: the CA's own names,
                                             meta.caaIdentities; not empty */
    const char *account_url;              /* NULL: not known yet */
    const apr_array_header_t *methods;    /* const char *: proofs that may be
                                             used, "dns-01" */
} acme_caa_question_t;

typedef enum acme_caa_verdict_t {
    ACME_CAA_ALLOWED,
    ACME_CAA_OTHER_CA,      /* none of the records names this CA */
    ACME_CAA_OTHER_ACCOUNT, /* those that do name other accounts */
    ACME_CAA_OTHER_METHOD,  /* or other ways of proof */
    ACME_CAA_CRITICAL,      /* of an unknown kind, marked critical: no CA that
                               does not know it may issue */
} acme_caa_verdict_t;

/** @param records  of the name itself or the nearest above it that has any */
acme_caa_verdict_t acme_caa_judge(const apr_array_header_t *records,
                                  const acme_caa_question_t *question,
                                  apr_pool_t *scratch);

/** "0 issue \"ca.example\", ..." for a message; at most three. From pool. */
const char *acme_caa_text(const apr_array_header_t *records, apr_pool_t *pool);

#endif
