/* 1400-1499: certificates and keys. See ../messages.h. */
#define ACME_MESSAGES_CERTIFICATE(M)                                           \
    M(1400, E_KEY_MAKE, ERR, LOCAL, "cannot make a key of type %s",            \
      "Check the OpenSSL configuration of this machine.")
