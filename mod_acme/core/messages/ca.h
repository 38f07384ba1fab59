/* 1200-1399: reaching the CA (12xx) and what it said (13xx). See ../messages.h. */
#define ACME_MESSAGES_CA(M)                                                    \
    M(1200, E_CA_UNREACHABLE, WARNING, CA_RETRY, "cannot reach the CA at %s: %s", \
      "Check DNS, routing and firewall from this server to the CA; it is tried again by itself.") \
    M(1201, E_CA_JSON, WARNING, CA_RETRY, "the CA's %s is not usable JSON: %s", \
      "It is tried again by itself; if it stays, check that the directory URL is that of an ACME CA and that no proxy answers in its place.")
