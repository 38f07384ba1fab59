/**
 * Contacts of an account.
 */
#ifndef ACME_CONTACT_H
#define ACME_CONTACT_H

#include <apr_pools.h>

/** "mailto:admin@example.org" of a mail address, with or without "mailto:". RFC 8555
 *  section 7.3: one address, no header fields.
 *  @return from pool; NULL: it is no mail address */
const char *acme_contact_of(const char *text, apr_pool_t *pool);

#endif
