/* 1800-1899: the server: start, live activation, challenges. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_SERVER(M)                                                \
    M(1800, E_LIVE_MEMORY, ERR, LOCAL, "cannot get %s octets of shared memory for the live table", \
      "Certificates are served, but not renewed. Free memory or raise its limit, then restart.") \
    M(1801, E_TOKENS_FULL, ERR, LOCAL, "no room for another challenge of %s",  \
      "Lower AcmeConcurrency; it is tried again by itself.")                   \
    M(1802, E_LIVE_PAIR, ERR, LOCAL, "the new key of %s does not belong to its certificate", \
      "The previous certificate stays in service. Report this.")              \
    M(1803, E_NO_WATCHDOG, ERR, CONFIG, "mod_watchdog is not loaded%s: nothing is issued or renewed", \
      "Add LoadModule watchdog_module (Debian: it is part of apache2) and restart.") \
    M(1804, E_EMERGENCY, ERR, LOCAL, "cannot write a temporary placeholder certificate at %s", \
      "Free room in the temporary directory.")                                \
    M(1805, E_LIVE_FULL, ERR, LOCAL, "the live table has no room for %s more certificates", \
      "They are issued and renewed, and in service from the next restart on: stop and start the server to make room.") \
    M(1810, I_ENGINE_STARTS, INFO, NONE, "this process manages the certificates now", "") \
    M(1811, I_ENGINE_ENDS, INFO, NONE, "this process leaves the certificates to the next one", "") \
    M(1812, I_PROMOTED, NOTICE, NONE, "%s/%s: set %s adopted from live activation", "") \
    M(1813, I_CHALLENGE_ANSWERED, INFO, NONE, "answered the http-01 challenge for %s to %s", "") \
    M(1814, D_HOOKS_CPU, DEBUG, NONE, "hooks used %s us CPU for %s hosts", "") \
    M(1815, I_LIVE_LOADED, INFO, NONE, "%s/%s: set %s is in service in this process", "") \
    M(1816, E_PROOF_BUSY, NOTICE, LOCAL, "another order is proving control of %s by tls-alpn-01 at this moment", \
      "Nothing: it has its turn after that one.")                             \
    M(1817, I_ALPN_ANSWERED, INFO, NONE, "answered the tls-alpn-01 challenge for %s to %s", "") \
    M(1818, E_ALPN_KEY, ERR, LOCAL, "no key to show the tls-alpn-01 challenge of %s with", \
      "Check that the virtual host which answers for this name at port 443 has a certificate, be it a temporary one.") \
    M(1825, W_STAPLE_MEMORY, WARNING, LOCAL, "cannot get %s octets of shared memory for OCSP responses, so none are stapled", \
      "Free memory or raise its limit, then restart.")                         \
    M(1826, W_STAPLE_ROOM, WARNING, LOCAL, "%s: the certificate demands an OCSP response in each handshake, which this server was not prepared for", \
      "Restart gracefully, and write SSLUseStapling on into its virtual hosts.") \
    M(1830, W_PROFILE_MISSING, WARNING, CONFIG, "the certificate was issued without the profile %s, which the CA does not offer%s", \
      "Correct AcmeProfile, or remove it. With \"required\" behind the name nothing is ordered without it.")
/* clang-format on */
