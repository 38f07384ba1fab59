/* 1100-1199: store and lease. See ../messages.h. */
#define ACME_MESSAGES_STORE(M)                                                 \
    M(1100, E_STORE_IO, ERR, LOCAL, "cannot %s %s",                            \
      "Check that the file system is there, has room and belongs to the right user.")
