/* 1000-1099: configuration and start. See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_CONFIG(M)                                                \
    M(1000, E_UNKNOWN, ERR, LOCAL, "unknown message %s",                       \
      "Report this: it is an error in mod_acme.")                              \
    M(1001, E_MEMORY, ERR, LOCAL, "out of memory while %s",                    \
      "Give the server more memory or fewer other tasks.")                     \
    M(1002, E_IDENT_SYNTAX, WARNING, CONFIG, "%s is not a name a certificate can hold: %s", \
      "Correct ServerName or ServerAlias, or leave this host out with AcmeManage off.") \
    M(1004, E_DURATION, ERR, CONFIG, "%s is not a duration: %s",               \
      "Write a number with s, min, h, d or w (30s, 10min, 12h, 30d, 4w), or a percentage such as 33% where it is allowed.") \
    M(1010, E_DIRECTIVE, ERR, CONFIG, "%s: %s", \
      "Correct the directive; the sentence says what is allowed. All are described in the directive reference.") \
    M(1011, E_MANAGE_UNDECLARED, ERR, CONFIG, "%s: AcmeManage %s: no <AcmeCertificate> is called that%s", \
      "Write on, off, or the first name of an <AcmeCertificate>.") \
    M(1012, W_HOST_NAMELESS, WARNING, CONFIG, "the host at %s has no ServerName and is left alone", \
      "Give it a ServerName, or AcmeManage off.") \
    M(1013, W_HOST_NAME, WARNING, CONFIG, "the host at %s is left alone: %s", \
      "Correct its ServerName, or give it AcmeManage off.") \
    M(1014, W_HOST_PRIVATE, WARNING, CONFIG, "the host %s (%s) is left alone, because no public CA certifies that name: %s", \
      "Use a public domain name, set AcmeCA to the URL of a CA of your own, or give it AcmeManage off; a wildcard needs AcmeDnsCommand.") \
    M(1016, W_ALIAS_NAME, WARNING, CONFIG, "of the host %s (%s) an alias is left out of the certificate: %s", \
      "Correct the ServerAlias, or remove it.") \
    M(1017, W_ALIAS_WILDCARD, WARNING, CONFIG, "of the host %s (%s) the alias %s is left out of the certificate: CAs certify a wildcard by a DNS challenge only, and %s", \
      "Set up AcmeDnsCommand (conf/hooks has programs) and, where AcmeChallenges is written, name dns-01 in it; or list the names one by one in ServerAlias, as far as they are known.") \
    M(1018, W_ALIAS_PATTERN, WARNING, CONFIG, "of the host %s (%s) the alias %s is left out of the certificate: no certificate can hold a pattern", \
      "List the names one by one in ServerAlias.") \
    M(1019, W_ALIAS_TAKEN, WARNING, CONFIG, "of the host %s (%s) the alias %s is left out of the certificate: it is already in the certificate %s (%s)", \
      "Remove the alias from one of the two hosts.") \
    M(1020, W_HOST_TAKEN, WARNING, CONFIG, "the host %s (%s) is left alone, because its ServerName is already in the certificate %s (%s)", \
      "Give both hosts the same ServerName, or remove the alias from the other one, or declare one certificate for both with <AcmeCertificate>.") \
    M(1021, W_HOST_CROWDED, WARNING, CONFIG, "the host %s (%s) is left alone, because it has %s names and a certificate holds at most 100", \
      "Split the host, or declare several certificates with <AcmeCertificate>.") \
    M(1022, W_ALIAS_CROWDED, WARNING, CONFIG, "of the host %s (%s) the alias %s is left out of the certificate: with the names of the other hosts called %s it already holds 100", \
      "Split the hosts, or declare several certificates with <AcmeCertificate>.") \
    M(1023, W_OWN_FILES, WARNING, CONFIG, "AcmeManage at %s has no effect: the host %s (%s) has a certificate of its own by SSLCertificateFile", \
      "Remove SSLCertificateFile and SSLCertificateKeyFile from it, or AcmeManage.") \
    M(1024, W_HOST_NO_TLS, WARNING, CONFIG, "AcmeManage at %s has no effect: no virtual host with SSLEngine on has the ServerName %s", \
      "Write SSLEngine on into the host that listens on port 443.") \
    M(1025, W_NO_TLS, WARNING, CONFIG, "AcmeManage at %s has no effect: there is no virtual host with SSLEngine on that could use it", \
      "Load mod_ssl and write SSLEngine on into the hosts that listen on port 443.") \
    M(1026, W_TERMS, WARNING, CONFIG, "AcmeAgreeTerms is not on for %s: nothing is ordered for it from a CA that has terms of service", \
      "Read the CA's terms of service, then write AcmeAgreeTerms on.") \
    M(1027, W_NO_PROOF, WARNING, CONFIG, "control of %s (%s) cannot be proved to the CA, and no certificate is ordered for it: %s", \
      "One way is enough: a Listen for plain HTTP on port 80, or port 443 (AcmePortMap says where the world's ports arrive here), or AcmeDnsCommand, without which no wildcard can be proved. Where AcmeChallenges is written, it must name that way.") \
    M(1028, W_SETTINGS_DIFFER, WARNING, CONFIG, "the host %s (%s) shares the certificate of the host at %s, but has other settings for it (%s): they are not used", \
      "Write the settings of both hosts alike.") \
    M(1029, W_ALIAS_UNDECLARED, WARNING, CONFIG, "of the host %s (%s) the name %s is not in the certificate it uses, %s (%s)", \
      "Add the name to <AcmeCertificate>, or remove it from the host.") \
    M(1030, W_DECLARED_UNUSED, NOTICE, NONE, "the certificate %s (%s) is used by no virtual host with SSLEngine on and is not kept up", \
      "To keep it all the same, write AcmeRenewMode always into it.") \
    M(1031, W_DECLARED_NAME, WARNING, CONFIG, "from the certificate %s (%s) the name %s is left out: %s", \
      "Mend what the sentence says, or remove the name from <AcmeCertificate>.") \
    M(1032, W_DECLARED_UNUSABLE, WARNING, CONFIG, "the certificate %s (%s) is set aside, because of its first name: %s", \
      "Mend what the sentence says, or begin <AcmeCertificate> with another name.") \
    M(1034, W_SSL_CONF_CMD, WARNING, CONFIG, "AcmeManage at %s has no effect: the host %s (%s) has a certificate of its own by SSLOpenSSLConfCmd", \
      "Remove that SSLOpenSSLConfCmd, or AcmeManage.") \
    M(1035, W_ALIAS_ADDRESS, WARNING, CONFIG, "of the host %s (%s) the alias %s is left out of the certificate: few CAs certify addresses, and the others would refuse the whole certificate for it", \
      "Where the CA does, list all names with the addresses in an <AcmeCertificate>.") \
    M(1036, W_TRUST_FILE, WARNING, CONFIG, "%s at %s will not work: %s", \
      "Mend the file: it is looked at with each attempt to reach the CA, which fails until then. httpd -t refuses such a file.") \
    M(1037, W_ACCOUNT_SHARED, WARNING, CONFIG, "%s (%s) shares the account of %s (%s) at the CA %s but not%s: the settings of the latter hold for the account", \
      "Give all certificates of one CA the same AcmeContact, AcmeCATrustFile, AcmeProxy and type in AcmeAccountKey.") \
    M(1038, W_HOST_GONE, WARNING, CONFIG, "%s, which was configured at %s, is not managed any more: no certificate is renewed for it", \
      "Where that was not meant, bring back the virtual host of that ServerName, or its AcmeManage. Else acmectl delete removes what is kept of it.") \
    M(1039, W_HOSTS_GONE, WARNING, CONFIG, "%s more hosts are not managed any more: no certificate is renewed for them", \
      "List them with acmectl status.")                                        \
    M(1040, W_NAMES_GONE, WARNING, CONFIG, "%s (%s) is configured without %s: its next certificate will not have them", \
      "Where that was not meant, bring the names back: ServerName, ServerAlias or AcmeCertificate. Else nothing need be done.") \
    M(1055, W_CA_UNNAMED, WARNING, CONFIG, "%s at %s has no effect: no AcmeCA names the CA %s", \
      "Add the CA to AcmeCA, or correct the name.") \
    M(1056, E_EAB_FILE, ERR, CONFIG, "cannot use the file %s of AcmeExternalAccount: %s", \
      "The file must hold two words, the key identifier and the HMAC key of the CA's web page, and be readable by root alone: chown root, chmod 600. Then restart the server; gracefully is enough.") \
    M(1057, E_ACCOUNT_KEY, ERR, CONFIG, "cannot use the account key %s: %s", \
      "Correct AcmeAccountKey or its file and restart the server; gracefully is enough. No other account is made in its place.") \
    M(1058, E_PASS_PROGRAM, ERR, CONFIG, "the pass phrase program %s for the account key %s failed: %s", \
      "Run it by hand as root, with the key's path as its argument: it must print the pass phrase and end with 0. Only root may be able to change it.") \
    M(1059, W_REQUIRE_HTTPS, WARNING, CONFIG, "AcmeRequireHttps at %s has no effect: no name of the host %s is in a certificate that mod_acme looks after", \
      "Write AcmeManage on into the virtual host of that name that has SSLEngine on, or remove AcmeRequireHttps.") \
    M(1065, E_SUBJECT, ERR, CONFIG, "%s is not an attribute of a certificate's subject: %s", \
      "Write each as one argument, such as C=DE \"O=Example Ltd\"; most public CAs use none of them.") \
    M(1080, E_PROXY_URL, ERR, CONFIG, "%s is not the URL of a proxy: %s", \
      "Write http:// or https://, the proxy's host and its port, such as http://proxy.example.org:3128; a user and password stand before the host, as user:password@, with %40 for an @ in them.")
/* clang-format on */
