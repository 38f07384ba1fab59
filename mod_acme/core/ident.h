/**
 * ACME identifiers: what a certificate is for. RFC 8555 section 9.7.7 (dns),
 * RFC 8738 (ip).
 */
#ifndef ACME_IDENT_H
#define ACME_IDENT_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "core/err.h"

#define ACME_MAX_IDENTS 100

typedef enum acme_ident_type_t {
    ACME_IDENT_DNS,
    ACME_IDENT_IP,
} acme_ident_type_t;

typedef struct acme_ident_t {
    acme_ident_type_t type;
    const char *value; /* dns: lower case, no final dot, "*." kept for a
                          wildcard; ip: RFC 5952 / dotted decimal text */
} acme_ident_t;

/** Parse a host name or an IP literal (brackets allowed around IPv6) as an
 *  administrator writes it. International names must be in A-label form.
 *  @return E_IDENT_SYNTAX: empty, over 253 octets, a label empty, over 63, with
 *          characters other than letters, digits, '-' and '_', with '-' at an
 *          end, a wildcard other than a leading "*.", an all-numeric last
 *          label */
acme_err_t *acme_ident_parse(acme_ident_t **ident, const char *text,
                             apr_pool_t *pool) ACME_MUST_CHECK;

/** NULL if a public CA could certify it, else why not, in words: localhost, a
 *  single label, .local, .internal, .localhost, .invalid, .test and the like of
 *  RFC 6761, private or loopback address, '_' in a label. Static text. Advice:
 *  a private CA may do it all the same. */
const char *acme_ident_why_not_public(const acme_ident_t *ident);

int acme_ident_is_wildcard(const acme_ident_t *ident);
int acme_ident_equal(const acme_ident_t *a, const acme_ident_t *b);

/** Whether pattern ("*.example.org" or a plain name) covers name. RFC 6125
 *  6.4.3: the wildcard stands for exactly one whole label. */
int acme_ident_covers(const acme_ident_t *pattern, const acme_ident_t *name);

/** Whether both arrays of (acme_ident_t *) hold the same set, in any order. */
int acme_idents_equal(const apr_array_header_t *a, const apr_array_header_t *b);
/** Whether every element of sub is in set. Linear in the sum of both. */
int acme_idents_subset(const apr_array_header_t *sub,
                       const apr_array_header_t *set);

/** Both the array and what it points to, from pool. */
apr_array_header_t *acme_idents_copy(const apr_array_header_t *idents,
                                     apr_pool_t *pool);

/** "a.example, b.example and 3 more"; at most show names. Without any: "no
 *  names" of an empty array, "5 names" where show is 0. */
const char *acme_idents_text(const apr_array_header_t *idents, int show,
                             apr_pool_t *pool);

#define ACME_IDENT_SNI 256

/** What a CA calls this identifier in a handshake (SNI): the name; of an address
 *  its reverse name, RFC 8738 section 6. Empty for what has none.
 *  @param sni  ACME_IDENT_SNI octets */
void acme_ident_server_name(char *sni, const acme_ident_t *ident);

/** A file or directory name for a certificate called after this identifier:
 *  "*." becomes "_wildcard."; ':' of IPv6 becomes '-', with a 0 in front of a
 *  leading one. Never "." or "..", no '/', no '-' in front, at most 255 octets;
 *  injective over valid identifiers (names that look like one of these get a
 *  '_' in front or a '.' behind, too long ones a digest). */
const char *acme_ident_filename(const acme_ident_t *ident, apr_pool_t *pool);

#endif
