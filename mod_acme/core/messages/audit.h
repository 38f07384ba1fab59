/* 1920-1939: the audit trail. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_AUDIT(M)                                                 \
    M(1920, E_AUDIT_BROKEN, ERR, LOCAL, "the audit trail does not hold together: %s", \
      "Somebody has changed it, or the disk has: compare it with a backup, and find out who could write to AcmeStore/audit. What is written from now on is sound again.") \
    M(1921, E_AUDIT_OPTION, ERR, CONFIG, "--last takes a number of 1 to 1000000, not %s", \
      "Write acmectl log --last 20.")
/* clang-format on */
