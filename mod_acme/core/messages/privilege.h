/* 1970-1979: who can get at what. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_PRIVILEGE(M)                                             \
    M(1970, W_CORE_DUMPS, WARNING, CONFIG, "CoreDumpDirectory lets every program of the user %s read the memory of httpd's children, where the keys of all certificates are", \
      "Take it out of the configuration when the crash that it is for has been looked at.")
/* clang-format on */
