/**
 * Why a certificate is revoked: RFC 5280 section 5.3.1.
 */
#ifndef ACME_REASON_H
#define ACME_REASON_H

#define ACME_REASON_NONE        (-1) /* the CA is told none */
#define ACME_REASON_COMPROMISED 1

/** "keyCompromise" of 1; static. NULL for a number without a name, and for
 *  ACME_REASON_NONE. */
const char *acme_reason_name(int reason);
/** By name (case and "-" ignored) or number.
 *  @return 0, or -1 if there is none that an ACME client may give */
int acme_reason_parse(int *reason, const char *text);

#endif
