/**
 * What acmectl has done goes into the audit trail: the running server writes it
 * there, or where there is none a child that is the server's user.
 */
#ifndef ACME_CTL_TRAIL_H
#define ACME_CTL_TRAIL_H

#include "cli/acmectl.h"

/** One entry. */
typedef struct ctl_entry_t {
    acme_msg_t msg;
    const char *subject; /* "[shop.example/ecdsa]", or "" */
    const char *text;
} ctl_entry_t;

/** " (asked for by root)". */
const char *ctl_asked_by(ctl_t *ctl);
/** @param dir  of the certificate. @param family  NULL: all of them */
const char *ctl_subject(ctl_t *ctl, const char *dir, const char *family);
/** An entry; its text is that of the message, one const char * for each "%s", NULL. */
ctl_entry_t ctl_entry(ctl_t *ctl, acme_msg_t msg, const char *subject,
                      ...) ACME_SENTINEL;

/** Within the work of ctl_as_worker. */
acme_err_t *ctl_write_entry(acme_store_t *store, const ctl_entry_t *entry,
                            apr_pool_t *pool) ACME_MUST_CHECK;
/** Anywhere else. A server that is busy writes it later. */
ctl_exit_t ctl_record_entry(ctl_t *ctl, ctl_entry_t *entry);

#endif
