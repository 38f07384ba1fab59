/**
 * DNS messages as values: what a server has answered, taken apart. RFC 1035.
 * Everything in one is hostile and bounded; who asked and how is not known here.
 */
#ifndef ACME_DNS_H
#define ACME_DNS_H

#include <apr_pools.h>
#include <apr_tables.h>

#define ACME_DNS_MAX_RECORDS 512 /* of one message; the rest is not looked at */
#define ACME_DNS_MAX_TXT     8192 /* octets of one TXT record's text */

typedef enum acme_dns_type_t {
    ACME_DNS_A = 1,
    ACME_DNS_NS = 2,
    ACME_DNS_CNAME = 5,
    ACME_DNS_SOA = 6,
    ACME_DNS_TXT = 16,
    ACME_DNS_AAAA = 28,
    ACME_DNS_CAA = 257,
} acme_dns_type_t;

typedef struct acme_dns_record_t {
    int type;           /* acme_dns_type_t, or one unknown here */
    int answer;         /* of the answer section; else of the ones behind it */
    const char *owner;  /* lower case, no final dot; odd octets as \ddd */
    const char *target; /* CNAME, NS: where it points; else NULL */
    const char *text;   /* TXT: its strings joined, NUL as '?'; else NULL */
    const unsigned char *data; /* as sent: borrowed from the message */
    apr_size_t len;
} acme_dns_record_t;

typedef struct acme_dns_answer_t {
    int rcode; /* 0: fine, 3: no such name; RFC 1035 section 4.1.1 */
    int authoritative;
    int truncated;
    apr_array_header_t *records; /* acme_dns_record_t *, of class IN */
} acme_dns_answer_t;

#define ACME_DNS_NXDOMAIN 3

/** @return NULL for what is no answer; one that breaks off is taken as far as it
 *          goes, since no record is believed because of another. The octets must
 *          live as long as it. */
acme_dns_answer_t *acme_dns_parse(const unsigned char *octets, apr_size_t len,
                                  apr_pool_t *pool);

/** The name that aliases lead to from this one: itself, where there are none. At
 *  most eight are followed. */
const char *acme_dns_canonical(const acme_dns_answer_t *answer,
                               const char *name);

/** The zone a name is in, by the SOA record the answer shows for it: its owner;
 *  NULL where there is none. */
const char *acme_dns_zone(const acme_dns_answer_t *answer, const char *name);

/** Records of one type of a name, or of any name where owner is NULL.
 *  acme_dns_record_t *, answer section only, at most max of them. */
apr_array_header_t *acme_dns_find(const acme_dns_answer_t *answer,
                                  const char *owner, acme_dns_type_t type,
                                  int max, apr_pool_t *pool);

/** Lower case, without a final dot; from pool. */
const char *acme_dns_name(const char *name, apr_pool_t *pool);

#endif
