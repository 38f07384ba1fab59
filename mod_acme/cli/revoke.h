/**
 * Between revocation by the server and that without one (revoke_alone.c).
 */
#ifndef ACME_CTL_REVOKE_H
#define ACME_CTL_REVOKE_H

#include "cli/acmectl.h"

/** Revoke the newest certificates of ctl's operand by their own keys: no account,
 *  no server. RFC 8555 section 7.6.
 *  @param key     of the one that is meant; NULL: those in the store
 *  @param reason  or ACME_REASON_NONE */
ctl_exit_t ctl_revoke_alone(ctl_t *ctl, EVP_PKEY *key, int reason);

#endif
