/* 1200-1399: reaching the CA (12xx) and what it said (13xx). See ../messages.h. */
#define ACME_MESSAGES_CA(M)                                                    \
    M(1200, E_CA_UNREACHABLE, WARNING, CA_RETRY, "cannot reach the CA at %s: %s", \
      "Check DNS, routing and firewall from this server to the CA; it is tried again by itself.") \
    M(1201, E_CA_JSON, WARNING, CA_RETRY, "the CA's %s is not usable JSON: %s", \
      "It is tried again by itself; if it stays, check that the directory URL is that of an ACME CA and that no proxy answers in its place.") \
    M(1260, E_CA_TLS, WARNING, CA_RETRY, "cannot trust the CA's server at %s: %s", \
      "Check this machine's clock and its trusted certificates (package ca-certificates); name the root of a private CA with AcmeCATrustFile.") \
    M(1261, E_CA_TIMEOUT, WARNING, CA_RETRY, "the CA at %s took too long: %s", \
      "Check whether a firewall drops packets silently, and the CA's status page; it is tried again by itself.") \
    M(1262, E_CA_TOO_BIG, WARNING, CA_RETRY, "the answer of the CA at %s is too big: %s", \
      "Check that AcmeCA is the URL of an ACME directory and that no proxy answers in its place.") \
    M(1263, E_CA_TRUST_FILE, ERR, LOCAL, "cannot use the trust file %s to check the CA's server: %s", \
      "Check that AcmeCATrustFile names a PEM file with certificates that the server's user can read.") \
    M(1264, E_TRANSPORT, ERR, LOCAL, "cannot start a request to the CA: %s",   \
      "Check memory and open file limits of the server and restart it.")
