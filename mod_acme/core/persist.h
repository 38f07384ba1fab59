/**
 * dns-persist-01 (draft-ietf-acme-dns-persist): a TXT record that stays, and says
 * which CA's account may get certificates for a name. Two forms are in use:
 * drafts -00 and -01 have the account's URL in it, -02 a digest of it.
 */
#ifndef ACME_PERSIST_H
#define ACME_PERSIST_H

#include <apr_tables.h>
#include <apr_time.h>

#include "core/ident.h"

#define ACME_PERSIST_MAX_ISSUERS                                               \
    10 /* more, or none, and the challenge is void */

/** What the challenge and the account say. */
typedef struct acme_persist_t {
    const acme_ident_t *ident;
    const apr_array_header_t *issuers; /* const char *, lower case: the CA's own
                                          names, any of which will do */
    const char *hash_prefix; /* -02: URL in front of the digest; NULL: the older
                                form */
    const char *account_url;
    const char *thumbprint; /* of the account key, 43 characters */
} acme_persist_t;

/** "_validation-persist.shop.example.org"; from pool. */
const char *acme_persist_name(const acme_ident_t *ident, apr_pool_t *pool);

/** Draft -02: base64url of the SHA-256 of len8, domain, thumbprint and account URL.
 *  @param domain  of the record, at most 253 octets; "*": of any name */
const char *acme_persist_digest(const char *domain, const char *thumbprint,
                                const char *account_url, apr_pool_t *pool);

/** The text of the record to create. */
const char *acme_persist_text(const acme_persist_t *persist, apr_pool_t *pool);

/** name IN TXT "..." as in a zone file: in strings of at most 255 octets. */
const char *acme_persist_line(const acme_persist_t *persist, apr_pool_t *pool);

/** Whether a TXT record's text will do now.
 *  @param until  when it does no longer; 0: no end is said. Set if it will do */
int acme_persist_match(const acme_persist_t *persist, const char *text,
                       apr_time_t now, apr_time_t *until, apr_pool_t *scratch);

#endif
