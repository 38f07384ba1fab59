/* 1900-1919: how certificates come into service. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_ACTIVATION(M)                                            \
    M(1900, I_ACTIVATED, INFO, NONE, "set %s is in service now, serial %s", "") \
    M(1901, I_WAITS, NOTICE, NONE, "set %s is %s; until then %s is served", "") \
    M(1902, E_SELF_TEST, ERR, CONFIG, "handshakes with the new certificate fail at %s: %s", \
      "It does not come into service: what was served before is served on. See whether SSLCipherSuite, SSLProtocol and the security level of the virtual host allow this AcmeKeyType; after a change, reload and run acmectl renew.") \
    M(1903, E_NOT_SERVED, ERR, LOCAL, "set %s was put into service, but is taken back: %s; %s", \
      "See the messages before this one. It is issued and tried anew by itself.") \
    M(1904, I_RELOADS, NOTICE, NONE, "the server is reloaded gracefully now, so that new certificates come into service", "") \
    M(1905, E_RELOAD_TEST, ERR, CONFIG, "the server is not reloaded, though new certificates wait for that, because its configuration is not valid: %s", \
      "Correct what the message names (apachectl configtest shows most of it, too) and reload. It is tried again by itself after the interval of AcmeActivate.") \
    M(1906, E_RELOAD_RUN, ERR, LOCAL, "the server is not reloaded, though new certificates wait for that: %s -t cannot be run", \
      "See why; or reload by hand. It is tried again by itself after the interval of AcmeActivate.") \
    M(1907, W_EXPIRING_WAITS, WARNING, LOCAL, "the certificate in service %s %s, and the one to follow it (set %s) does not serve yet: %s", \
      "Reload the server (apachectl graceful). If it was refused, see the error log of the last reload; AcmeActivate live needs no reload.") \
    M(1908, E_RELOAD_MEMORY, ERR, LOCAL, "cannot get %s octets of shared memory for AcmeActivate reload, so that the server is not reloaded by itself", \
      "Free memory or raise its limit, then restart.")                         \
    M(1909, I_RELOADED, INFO, NONE, "set %s is in service since a reload, serial %s", "") \
    M(1910, W_RELOAD_CHANGED, WARNING, CONFIG, "the server is not reloaded, though new certificates wait for that, because its configuration has been changed since it was read", \
      "When the change is complete, reload (apachectl graceful): that brings the certificates into service, too. If it is taken back, the reload comes by itself. This is said once.") \
    M(1911, E_LOOK_PAIR, ERR, CONFIG, "the server would not start with %s and %s: %s", \
      "Put the certificate and its key there.") \
    M(1912, E_RELOADED_FAILS, ERR, CONFIG, "set %s is in service since a reload, but %s", \
      "See what that reload has changed in the virtual host: SSLCipherSuite, SSLProtocol, SSLOpenSSLConfCmd and the security level must allow this AcmeKeyType. Then reload again.")
/* clang-format on */
