/* 1920-1939: the audit trail. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_AUDIT(M)                                                 \
    M(1920, E_AUDIT_BROKEN, ERR, LOCAL, "the audit trail does not hold together: %s", \
      "Somebody has changed it, or the disk has: compare it with a backup, and find out who could write to AcmeStore/audit. Once you know, acmectl log --accept takes it as it is: what is written from then on is verified again.") \
    M(1921, E_AUDIT_OPTION, ERR, CONFIG, "--last takes a number of 1 to 1000000, not %s", \
      "Write acmectl log --last 20.") \
    M(1922, W_AUDIT_FILE, WARNING, LOCAL, "the audit trail goes on in a new file: %s", \
      "Nothing is lost but what that file had. Give it back to the user of httpd's children, or keep it elsewhere; then see acmectl log --verify.") \
    M(1923, I_DELETED, NOTICE, NONE, "the certificate and its keys were deleted%s", "") \
    M(1924, I_RESTORED, NOTICE, NONE, "%s accounts and %s certificates are restored from the backup %s%s", "") \
    M(1925, I_TAKEN_OVER, NOTICE, NONE, "%s accounts and %s certificates are taken over from %s%s", "") \
    M(1926, I_EXPORTED, NOTICE, NONE, "the certificate with serial %s and its key were exported to %s%s", "") \
    M(1927, I_BACKED_UP, NOTICE, NONE, "%s accounts and %s certificates, with their keys, were copied to the backup %s%s", "") \
    M(1928, I_AUDIT_ACCEPTED, NOTICE, NONE, "the audit trail was accepted as it is%s: %s", "") \
    M(1929, W_AUDIT_STRANGER, WARNING, LOCAL, "%s: no part of the audit trail has such a name", \
      "It is neither read nor removed. Find out who has put it there, then move it out of AcmeStore/audit.") \
    M(1930, E_AUDIT_NUMBER, ERR, LOCAL, "the audit trail cannot go on in a new file: %s has the last number there is", \
      "Entries are missing until it can. Somebody has put that file there, since so many are never written: find out who, and move it out of AcmeStore/audit.")
/* clang-format on */
