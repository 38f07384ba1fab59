/* 1200-1399: reaching the CA (12xx) and what it said (13xx). See ../messages.h. */
#define ACME_MESSAGES_CA(M)                                                    \
    M(1200, E_CA_UNREACHABLE, WARNING, CA_RETRY, "cannot reach the CA at %s: %s", \
      "Check DNS, routing and firewall from this server to the CA; it is tried again by itself.")
