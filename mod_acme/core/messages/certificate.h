/* 1400-1499: certificates and keys. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_CERTIFICATE(M)                                           \
    M(1400, E_KEY_MAKE, ERR, LOCAL, "cannot make a key of type %s",            \
      "Check the OpenSSL configuration of this machine.")                      \
    M(1401, E_KEY_PARSE, ERR, LOCAL, "cannot read a private key",              \
      "The key file is damaged: restore the store from a backup, or remove the file so that a new key is made.") \
    M(1402, E_KEY_WRITE, ERR, LOCAL, "cannot write a private key",             \
      "Check the OpenSSL configuration of this machine and its free memory.")  \
    M(1403, E_JWS_SIGN, ERR, LOCAL, "cannot sign a request to the CA: %s",     \
      "Check that the account key is ECDSA P-256, P-384 or RSA, and the OpenSSL configuration of this machine.") \
    M(1404, E_EAB_KEY, ERR, CONFIG, "the key of the external account binding is not usable: %s", \
      "Copy the HMAC key again from the CA's web page, the whole of it and nothing else.") \
    M(1405, E_CSR_MAKE, ERR, LOCAL, "cannot make a certificate signing request: %s", \
      "Check the names of this certificate (at most 100) and the OpenSSL configuration of this machine.") \
    M(1406, E_CHAIN_PARSE, WARNING, CA_RETRY, "not a usable certificate chain: %s", \
      "It is tried again by itself; if it stays, ask the CA what it sends, or check the certificate file.") \
    M(1407, E_CERT_KEY, ERR, CA_FINAL, "the certificate is for another key than ours", \
      "The certificate in use stays. Ask the CA why it certified a key it was not asked for.") \
    M(1408, E_CERT_NAMES, ERR, CA_FINAL, "the certificate is for %s, but %s was asked for", \
      "The certificate in use stays. If the CA adds names by itself, such as www, name them too (ServerAlias or AcmeCertificate), so that they are asked for; else ask the CA.") \
    M(1409, E_CERT_DATES, ERR, CA_FINAL, "the certificate is valid from %s to %s, which is not now", \
      "Check the clock of this machine first; then ask the CA.")               \
    M(1410, E_CERT_USAGE, ERR, CA_FINAL, "the certificate cannot serve TLS: %s", \
      "The certificate in use stays. Choose another profile if the CA has several, or ask the CA.") \
    M(1411, E_CERT_CHAIN, ERR, CA_FINAL, "certificate %s of the chain is not issued by the next one", \
      "The certificate in use stays. Ask the CA, or choose another chain if it has several.") \
    M(1412, E_CERT_MAKE, ERR, LOCAL, "cannot make a self-signed certificate for %s", \
      "Check the OpenSSL configuration of this machine.")
/* clang-format on */
