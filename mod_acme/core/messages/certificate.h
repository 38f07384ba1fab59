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
      "Check the OpenSSL configuration of this machine.") \
    M(1413, E_CHAIN_PREFERRED, WARNING, CONFIG, "the CA offers no chain with the issuer %s, so its default one is used; there are chains up to: %s", \
      "Correct AcmePreferredChain: it is the common name of an issuer in the chain, written as the CA writes it; or remove it.") \
    M(1414, W_KEY_LOST, WARNING, LOCAL, "the key that was to be used again cannot be read, so a new one is made: %s", \
      "Publish TLSA records for the new key, if there are any for the old one. Restoring AcmeStore from a backup brings back keys.") \
    M(1430, E_OCSP, WARNING, CA_RETRY, "not a usable OCSP response: %s",       \
      "It is asked for again by itself. If it stays so, ask the CA.")          \
    M(1431, E_OCSP_REVOKED, ERR, CA_RETRY, "the CA has revoked the certificate%s, as of %s", \
      "A new one is ordered by itself, unless AcmeRenewMode is manual: then run acmectl renew. Find out why: after a key was stolen change every other use of it, too.") \
    M(1432, W_OCSP_FAILED, WARNING, CA_RETRY, "nothing is stapled, since the OCSP responder %s gives nothing usable: %s; asked again at %s", \
      "Let this server reach the responder's address (firewall, proxy). It is tried again by itself; handshakes go on without a response meanwhile.") \
    M(1433, I_OCSP_STAPLED, INFO, NONE, "an OCSP response valid until %s is stapled from now on", "") \
    M(1434, I_OCSP_LATE, INFO, NONE, "the OCSP responder %s gives nothing usable: %s; what is stapled is valid until %s, asked again at %s", "") \
    M(1435, I_OCSP_NONE, INFO, NONE, "SSLUseStapling has nothing to staple: the certificate names no OCSP responder", "") \
    M(1436, W_MUST_STAPLE_WAITS, WARNING, CA_RETRY, "the new certificate demands an OCSP response in each handshake and waits for the first one, until %s at the latest: %s", \
      "Nothing need be done if it comes within minutes: CAs need a while. Else let this server reach the responder (firewall, proxy).") \
    M(1437, E_MUST_STAPLE_BARE, ERR, CA_RETRY, "the new certificate goes into service without the OCSP response it demands (%s): some clients will refuse it", \
      "Let this server reach the CA's OCSP responder (firewall, proxy): a response is stapled as soon as there is one.")
/* clang-format on */
