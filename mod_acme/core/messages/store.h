/* 1100-1199: store and lease. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_STORE(M)                                                 \
    M(1100, E_STORE_IO, ERR, LOCAL, "cannot %s %s",                            \
      "Check that the file system is there, has room and belongs to the right user.") \
    M(1101, E_STORE_OWNER, ERR, CONFIG, "%s has the wrong owner or permissions: %s", \
      "Find out who changed it and why. Then set owner and permissions (chown, chmod) as the message says; after a change of User in the server's configuration, chown -R what belonged to the former user.") \
    M(1102, E_STORE_VERSION, ERR, CONFIG, "%s has format version %s, but this mod_acme knows versions up to %s only", \
      "Install the newer mod_acme that has written it, or restore AcmeStore from a backup of the time before.") \
    M(1103, E_STORE_DAMAGED, ERR, LOCAL, "%s is damaged: %s",                  \
      "Restore it from a backup. A damaged certificate is passed over for the last whole one, and comes anew with the next renewal; acmectl renew brings it at once.") \
    M(1104, E_STORE_NAME, ERR, CONFIG, "%s cannot be the name of a directory in the store", \
      "Use another name for this certificate.")                                \
    M(1105, E_STORE_ROLE, ERR, LOCAL, "%s belongs to the server's user: root must not write there", \
      "Report this: it is an error in mod_acme.")                              \
    M(1106, E_STORE_REQUEST, WARNING, CONFIG, "the request %s cannot be passed on: %s", \
      "Name an action and a certificate as acmectl lists them.")               \
    M(1107, E_SEAL, ERR, LOCAL, "the key in %s cannot be opened: it is damaged, belongs to something else, or was sealed by another store", \
      "Restore store.json and this file from the same backup. Without one, move the file away: a new key is made.") \
    M(1108, E_SEAL_MAKE, ERR, LOCAL, "cannot seal the key for %s",             \
      "Check the OpenSSL configuration of this machine: AES-256-GCM must be available.") \
    M(1109, E_PROMOTE, ERR, LOCAL, "the newest certificate of %s (%s) cannot go into service: %s", \
      "What was in service before stays so. Change what the message names, or order a new certificate with acmectl renew.") \
    M(1110, E_LEASE_LOST, WARNING, LOCAL, "another process has taken over the work on %s", \
      "Nothing need be done: this process stops working on the store. If it comes often, look for a machine that is overloaded or suspended.") \
    M(1112, E_STORE_UNUSABLE, ERR, CONFIG, "nothing is issued or renewed, since the store %s cannot be used; promoted certificates are served, hosts without one answer 503", \
      "Mend what the message before this one names, then restart httpd; gracefully is enough.") \
    M(1113, W_STORE_OLDER, WARNING, LOCAL, "%s/%s is damaged: set %s, issued before it, is served instead", \
      "It is renewed when it is due. For a new one at once run acmectl renew with its name.") \
    M(1114, E_STORE_NONE, ERR, LOCAL, "%s/%s is damaged and no older set of it is whole: its hosts answer 503 until there is a new one", \
      "Nothing need be done where the store is usable otherwise: a new one is ordered at once.") \
    M(1115, W_STORE_SHARED, WARNING, CONFIG, "another server has the work on this store (%s), so nothing is issued or renewed by this one", \
      "Give each server an AcmeStore of its own. If no other server has this one, look for an acmectl or an old process of httpd that does not end.")
/* clang-format on */
