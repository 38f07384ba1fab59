/**
 * Accounts and certificates that come into a store: out of a backup, or from what
 * another program has made.
 */
#ifndef ACME_CTL_BRING_H
#define ACME_CTL_BRING_H

#include "cli/acmectl.h"
#include "cli/trail.h"
#include "engine/backup.h"

typedef struct ctl_bring_t {
    acme_backup_t *what;
    int overwrite, keep; /* where the store has another, or a newer one */
    /* what ctl_bring_plan finds */
    char *account_wanted, *set_wanted; /* one octet for each */
    int accounts, sets, same, kept;    /* how many */
    ctl_entry_t entry;
    const char
        *newer; /* in the store, in words, and neither overwrite nor keep;
                          or NULL */
} ctl_bring_t;

/** The store, which is made where there is none, with no server at work on it.
 *  @param user  of a server's children, for one that is made; or NULL */
ctl_exit_t ctl_bring_open(ctl_t *ctl, const char *user);
/** What is to be done. Where ctl->store is not open, there is nothing in it.
 *  @return E_STORE_IO, E_MEMORY: what is in it cannot be told, for a moment perhaps */
acme_err_t *ctl_bring_plan(ctl_bring_t *bring, ctl_t *ctl) ACME_MUST_CHECK;
/** Do it, and record it: accounts and certificates, how many, from where.
 *  @param msg  I_RESTORED, I_TAKEN_OVER. Sets come to where the next start of the server takes them from. */
ctl_exit_t ctl_bring(ctl_t *ctl, ctl_bring_t *bring, acme_msg_t msg,
                     const char *from);

#endif
