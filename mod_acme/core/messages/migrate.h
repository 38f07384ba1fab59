/* 1940-1969: coming from other programs; what acmectl does without a server. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_MIGRATE(M)                                               \
    M(1940, E_MIGRATE_CONFIG, ERR, CONFIG, "cannot read the configuration %s: %s", \
      "Name httpd's main configuration file with --config.")                   \
    M(1941, E_MIGRATE_SOURCE, ERR, CONFIG, "cannot take over what %s has in %s: %s", \
      "Name its directory with --from, and run acmectl as root.")              \
    M(1942, E_MIGRATE_NEWER, ERR, CONFIG, "nothing was taken over, since the store has another, or a newer one, of: %s", \
      "Use --keep to take over what is not in the store, or --overwrite to put what the other program has in place of it.") \
    M(1943, W_MIGRATE_CERTIFICATE, WARNING, CONFIG, "the certificate %s is not taken over: %s", \
      "Nothing is lost by that: it is ordered anew if the configuration that was written asks for it.") \
    M(1944, W_MIGRATE_ACCOUNT, WARNING, CONFIG, "the account %s is not taken over: %s", \
      "Certificates that were ordered with it stay valid; they are renewed with the account that mod_acme has at that CA.") \
    M(1945, E_MIGRATE_NOTHING, ERR, CONFIG, "there is nothing to be moved from %s: %s", \
      "Check --config and --from; acmectl help migrate tells what is looked at.") \
    M(1946, W_MANAGED_TWICE, WARNING, CONFIG, "mod_acme leaves the host %s (%s) to mod_md, which has its name %s (%s): one host is managed by one module", \
      "Take the name out of mod_md's MDomain, or remove AcmeManage for this host; acmectl migrate md moves certificates and configuration over.") \
    M(1947, W_REVOKE_UNCLEAR, WARNING, LOCAL, "the CA has not answered; it may have revoked the certificate", \
      "Ask again: what is revoked already counts as done.") \
    M(1948, E_REVOKE_TRUST, ERR, CONFIG, "nothing was revoked: %s", \
      "Name the trust anchors of a private CA with --trust-file, as AcmeCATrustFile does for the server.")
/* clang-format on */
