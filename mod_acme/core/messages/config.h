/* 1000-1099: configuration and start. See ../messages.h. */
#define ACME_MESSAGES_CONFIG(M)                                                \
    M(1000, E_UNKNOWN, ERR, LOCAL, "unknown message %s",                       \
      "Report this: it is an error in mod_acme.")                              \
    M(1001, E_MEMORY, ERR, LOCAL, "out of memory while %s",                    \
      "Give the server more memory or fewer other tasks.")                     \
    M(1002, E_IDENT_SYNTAX, WARNING, CONFIG, "%s is not a name a certificate can hold: %s", \
      "Correct ServerName or ServerAlias, or leave this host out with AcmeManage off.") \
    M(1003, E_IDENT_LOCAL, WARNING, CONFIG, "%s is a name no public CA certifies: %s", \
      "Use a public domain name, or leave this host out with AcmeManage off.") \
    M(1004, E_DURATION, ERR, CONFIG, "%s is not a duration: %s",               \
      "Write a number with s, min, h, d or w (30s, 10min, 12h, 30d, 4w), or a percentage such as 33% where it is allowed.")
