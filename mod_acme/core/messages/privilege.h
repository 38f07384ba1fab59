/* 1970-1979: who can get at what. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_PRIVILEGE(M)                                             \
    M(1970, W_CORE_DUMPS, WARNING, CONFIG, "CoreDumpDirectory lets every program of the user %s read the memory of httpd's children, where the keys of all certificates are", \
      "Take it out of the configuration when the crash that it is for has been looked at.") \
    M(1971, W_STORE_EXPOSED, WARNING, CONFIG, "AcmeStore %s can be exchanged for another directory: %s", \
      "Give that folder to root, and nobody else the right to write to it, or move AcmeStore below /var/lib: root works in whatever has that name at the next start.")
/* clang-format on */
