/* 1200-1399: reaching the CA (12xx) and what it said (13xx). See ../messages.h. */
/* clang-format off */
#define ACME_MESSAGES_CA(M)                                                    \
    M(1200, E_CA_UNREACHABLE, WARNING, CA_RETRY, "cannot reach the CA at %s: %s", \
      "Check DNS, routing and firewall from this server to the CA; it is tried again by itself.") \
    M(1201, E_CA_JSON, WARNING, CA_RETRY, "the CA's %s is not usable JSON: %s", \
      "It is tried again by itself; if it stays, check that the directory URL is that of an ACME CA and that no proxy answers in its place.") \
    M(1202, E_CA_TLS, WARNING, CA_RETRY, "no trusted connection to the CA at %s: %s", \
      "Update the system's CA certificates, or name the trust anchors of a private CA with AcmeCATrustFile.") \
    M(1203, E_CA_TIMEOUT, WARNING, CA_RETRY, "the CA at %s did not answer in time: %s", \
      "Nothing if it passes; else check the way from this server to the CA and the CA's status page.") \
    M(1204, E_CA_TOO_BIG, WARNING, CA_RETRY, "the CA at %s sent more than it may: %s", \
      "Check that AcmeCA names the CA's directory and that no proxy answers in its place.") \
    M(1205, E_CA_DIRECTORY, WARNING, CA_RETRY, "this is not an ACME directory: %s", \
      "Check the URL in AcmeCA: it must be the CA's ACME directory, beginning with https://.") \
    M(1206, E_CA_RESOURCE, WARNING, CA_RETRY, "the CA's %s is not what RFC 8555 asks for: %s", \
      "Report it to the CA if it lasts; it is tried again by itself.")         \
    M(1207, E_CA_BUSY, WARNING, CA_RETRY, "the CA is in trouble: HTTP status %s", \
      "Nothing if it passes; else look at the CA's status page.")              \
    M(1208, E_CA_REFUSED, WARNING, CA_FINAL, "the CA refused: HTTP status %s", \
      "Read the CA's words; check that AcmeCA names the right directory.")     \
    M(1209, E_RESOLVER, ERR, LOCAL, "cannot ask DNS: %s",                      \
      "Check memory and open file limits of the server and restart it.")       \
    M(1210, E_TXT_UNSEEN, WARNING, LOCAL, "the TXT record %s was not to be seen in time: %s has it not", \
      "Check that the program of AcmeDnsCommand writes to the zone that the world sees, and give slow name servers more time with AcmeDnsWait. Where this server sees another DNS than the world, name a public resolver in AcmeDnsWait.") \
    M(1211, E_PERSIST_MISSING, WARNING, LOCAL, "control of %s is to be proved by a DNS record that is not there; create it: %s", \
      "Create exactly this TXT record, once; it serves all later renewals. It is looked for with each attempt; acmectl renew looks at once.") \
    M(1212, W_TXT_UNKNOWN, WARNING, LOCAL, "the CA is told that the TXT record %s is there without knowing whether it can be seen: %s", \
      "Let this server ask DNS (port 53, UDP and TCP), or name a resolver in AcmeDnsWait; AcmeDnsWait 0 looks for nothing.") \
    M(1213, E_CAA_OTHER_CA, WARNING, CA_RETRY, "this CA may not certify %s: the CAA records of %s (%s) do not name it (%s)", \
      "Add one of the CA's names to the CAA records, or choose a CA that they name with AcmeCA. Where this server sees another DNS than the world, name a public resolver in AcmeDnsWait.") \
    M(1214, W_CAA_ACCOUNT, WARNING, CA_RETRY, "the CA will probably refuse %s: the CAA records of %s (%s) allow other accounts only, and this one is %s", \
      "Put the account's URL into accounturi= of the CAA record.")             \
    M(1215, W_CAA_METHOD, WARNING, CA_RETRY, "the CA will probably refuse %s: the CAA records of %s (%s) do not allow the way it is to be proved", \
      "Add it to validationmethods= of the CAA record, or choose one that is in it with AcmeChallenges.") \
    M(1216, W_CAA_CRITICAL, WARNING, CA_RETRY, "the CA may refuse %s: among the CAA records of %s (%s) is a critical one of an unknown kind", \
      "Remove it, unless the CA is known to understand it.")                   \
    M(1217, D_CAA_UNKNOWN, DEBUG, NONE, "nothing is known of CAA records: %s", "") \
    M(1230, E_ARI, NOTICE, CA_RETRY, "the CA's renewal information is not to be had: %s; it is asked for again at %s", \
      "Nothing: certificates are renewed as AcmeRenew says. If it lasts, look at the CA's status page, or do without by AcmeRenew ... noari.") \
    M(1240, I_REACHED, INFO, NONE, "%s: port %s of %s leads to this server%s", "") \
    M(1241, W_REACH_OTHER, WARNING, NONE, "another server answers for %s at port %s of %s, which is an address of this machine: %s", \
      "Find out what listens there (ss -ltnp), and let it pass requests below /.well-known/acme-challenge/ on to this server unchanged, or give its place to httpd (Listen). AcmePortMap says at which local port the outside's arrives.") \
    M(1242, W_REACH_REDIRECT, WARNING, NONE, "requests for %s at port %s of %s are redirected to %s before they reach this server (%s)", \
      "Exempt /.well-known/acme-challenge/ from the redirect in the proxy, load balancer or other server that makes it. A redirect to https with the same name and path does no harm if port 443 reaches this server.") \
    M(1243, W_REACH_PROXY, WARNING, NONE, "%s stands before %s at port %s of %s, and does not let the CA's question through: %s", \
      "Let it pass requests below /.well-known/acme-challenge/ on to port 80 of this server, unchanged and uncached; or prove control by DNS (AcmeDnsCommand), which no proxy disturbs.") \
    M(1244, W_REACH_ELSEWHERE, WARNING, NONE, "DNS leads %s elsewhere: at port %s of %s, which is no address of this machine, another server answers: %s", \
      "Correct the A and AAAA records of the name. Where a router or load balancer with that address is to pass the port on to this server, correct it there.") \
    M(1245, W_REACH_CLOSED, WARNING, NONE, "port %s of %s is closed, to which DNS leads %s%s", \
      "Let httpd listen there (Listen 80 for http-01, Listen 443 for tls-alpn-01), or correct the router that passes the port on, or the A and AAAA records of the name.") \
    M(1246, W_REACH_FILTERED, WARNING, NONE, "nothing answers at port %s of %s, to which DNS leads %s: a firewall drops what comes there, or nobody is there", \
      "Open the port in the firewall (of the provider too: security group, network ACL), and check that the A and AAAA records of the name lead to this server.") \
    M(1247, W_REACH_IPV6, WARNING, NONE, "%s reaches this server by IPv4, but not by IPv6, which CAs try first: port %s of %s: %s", \
      "Correct the AAAA record of the name, or let that address reach this server (Listen [::]:80, firewall); remove the record if there is no IPv6.") \
    M(1248, W_REACH_TLS, WARNING, NONE, "port %s of %s, to which DNS leads %s, speaks TLS, where the CA will ask in plain HTTP%s", \
      "Serve plain HTTP on port 80 (no SSLEngine in its virtual hosts), and let a proxy in between not end or begin TLS there.") \
    M(1249, W_REACH_PARKED, WARNING, NONE, "a parking page of a registrar or domain dealer answers for %s at port %s of %s: %s", \
      "See that the domain is paid for, and point the A and AAAA records of the name to this server.") \
    M(1250, W_REACH_BROKEN, WARNING, NONE, "what listens at port %s of %s, to which DNS leads %s, gives no answer: %s", \
      "Find out what it is: another program, a firewall that takes connections and lets nothing pass, or a proxy whose server is away.") \
    M(1251, W_REACH_ALPN, WARNING, NONE, "TLS for %s at port %s of %s does not end at this server: %s", \
      "Let port 443 reach this server with nothing in between that ends TLS; or prove control in another way (AcmeChallenges http-01, or dns-01).") \
    M(1252, W_NAME_NOWHERE, WARNING, NONE, "%s has no address in DNS: %s",     \
      "Add an A record (or AAAA) that leads to this server, or remove the name from the host. Where this server sees another DNS than the world, name a public resolver in AcmeDnsWait.") \
    M(1253, W_NAME_LOOKUP, WARNING, NONE, "cannot look up the addresses of %s in DNS: %s", \
      "Check this machine's resolvers (/etc/resolv.conf), or name one in AcmeDnsWait; check the zone's name servers and DNSSEC.") \
    M(1254, W_NAME_INTERNAL, WARNING, NONE, "DNS leads %s to %s, which no CA on the internet can reach: %s", \
      "Point the A and AAAA records of the name to the public address that leads to this server, or prove control by DNS (AcmeDnsCommand).") \
    M(1255, I_CANNOT_TELL, INFO, NONE, "%s: it cannot be told from here whether port %s of %s leads to this server: %s", "") \
    M(1256, W_DNS_PROGRAM, WARNING, NONE, "the program of AcmeDnsCommand for %s cannot be run: %s", \
      "Check that it is there, and that the user of the server's children may execute it and enter every folder above it.") \
    M(1257, W_ZONE_SILENT, WARNING, NONE, "no name server of the zone of %s answers this server: %s", \
      "Let this server ask DNS (port 53, UDP and TCP), or name a resolver in AcmeDnsWait; check the zone's name servers.") \
    M(1258, I_ZONE_ANSWERS, INFO, NONE, "%s: the name servers of its zone answer", "") \
    M(1259, E_PREFLIGHT, WARNING, LOCAL, "the CA was not asked, as AcmePreflight require wants it: %s", \
      "Mend what is said to be wrong: see its own number in the error log, or acmectl check. It is looked at again with the next attempt, acmectl renew makes one at once. AcmePreflight advise asks the CA in any case.") \
    M(1260, E_CA_TRUST_FILE, ERR, LOCAL, "cannot use the trust file %s to check the CA's server: %s", \
      "Check that AcmeCATrustFile names a PEM file with certificates that the server's user can read.") \
    M(1261, E_TRANSPORT, ERR, LOCAL, "cannot start a request to the CA: %s",   \
      "Check memory and open file limits of the server and restart it.")       \
    M(1262, E_PROXY, WARNING, CA_RETRY, "the CA at %s cannot be reached through the proxy %s: %s", \
      "Check AcmeProxy: that the proxy runs there, lets this server connect to the CA, and takes its user and password; it is tried again by itself.") \
    M(1263, E_ORDER_SLOW, WARNING, CA_RETRY, "the CA has been %s since %s", \
      "Nothing: some CAs take hours. If it lasts for days look at the CA's status page, or choose another CA with AcmeCA.") \
    M(1264, E_ORDER_HELD, WARNING, CA_RETRY, "the CA has accepted the order but does not hand the certificate out: %s", \
      "Nothing: the next attempt goes on with this order. If it lasts look at the CA's status page.") \
    M(1270, I_ACCOUNT_KEY_TYPE, NOTICE, NONE, "the account's key is %s and the CA has never taken it, and AcmeAccountKey says %s: the key was put aside, and another one is made", "") \
    M(1271, E_ACCOUNT_KEY_REFUSED, ERR, CA_FINAL, "the CA refused the public key of the account", \
      "Choose another key type with AcmeAccountKey, or name another key file there.") \
    M(1272, E_PROXY_TRUST_FILE, ERR, LOCAL, "cannot use the trust file %s to check the proxy %s: %s", \
      "Check that AcmeProxy names behind the proxy's address a PEM file with certificates that the server's user can read; it is tried again by itself.") \
    M(1273, W_PERSIST_ENDING, WARNING, CONFIG, "the TXT record %s proves control only until %s, as it was seen at %s: renewals after that will fail", \
      "Write a later persistUntil into it, or none; nothing if that is done already: it is looked at with the next renewal.") \
    M(1300, E_CA_PROBLEM_ACCOUNT, ERR, CA_FINAL, "the CA does not know this account", \
      "It was registered anew without success: check that AcmeCA and the account key belong together.") \
    M(1301, E_CA_PROBLEM_REPLACED, WARNING, CA_RETRY, "the CA says that this certificate was replaced already", \
      "Nothing: the next attempt asks without naming the old certificate.")    \
    M(1302, E_CA_PROBLEM_REVOKED, WARNING, CA_FINAL, "the certificate is revoked already", \
      "Nothing.")                                                              \
    M(1303, E_CA_PROBLEM_CSR, ERR, CA_FINAL, "the CA refused the certificate request", \
      "Read the CA's words: often the key type (AcmeKeyType) or a missing contact (AcmeContact) is meant.") \
    M(1304, E_CA_PROBLEM_NONCE, WARNING, CA_RETRY, "the CA refused ten nonces in a row", \
      "Nothing if it passes; else a proxy between this server and the CA may be replaying old replies.") \
    M(1305, E_CA_PROBLEM_KEY, ERR, CA_FINAL, "the CA refused the public key",  \
      "Choose another key type with AcmeKeyType.")           \
    M(1306, E_CA_PROBLEM_REASON, ERR, CA_FINAL, "the CA does not accept this reason for revocation", \
      "Revoke with another reason; most CAs take 0, 1, 4 and 5.")              \
    M(1307, E_CA_PROBLEM_ALGORITHM, ERR, CA_FINAL, "the CA does not accept signatures of this account key", \
      "Write a key type that the CA accepts with AcmeAccountKey, or name another key file there; where it does not say what it accepts: ecdsa-p256 is taken by nearly every CA.")   \
    M(1308, E_CA_PROBLEM_CAA, WARNING, CA_RETRY, "a CAA record forbids this CA to issue", \
      "Add the CA to the CAA record of the name, or choose a CA that is in it with AcmeCA.") \
    M(1309, E_CA_PROBLEM_CONFLICT, WARNING, CA_RETRY, "the CA is busy with the same request", \
      "Nothing: it is tried again by itself.")                                 \
    M(1310, E_CA_PROBLEM_CONNECTION, WARNING, CA_RETRY, "the CA could not connect to this name", \
      "Open port 80 (http-01) or 443 (tls-alpn-01) to the whole internet, and check that every A and AAAA record of the name leads here.") \
    M(1311, E_CA_PROBLEM_DNS, WARNING, CA_RETRY, "the CA could not look up this name", \
      "Check that the name exists in public DNS, that its name servers answer, and that DNSSEC is in order.") \
    M(1312, E_CA_PROBLEM_EAB, ERR, CONFIG, "the CA wants a valid external account binding", \
      "Get key identifier and HMAC key from the CA's web page anew, and write both with AcmeExternalAccount.") \
    M(1313, E_CA_PROBLEM_ANSWER, WARNING, CA_RETRY, "the CA got another answer than ours", \
      "Another server, a proxy or a CDN answers for this name: check where its A and AAAA records lead, and what stands in between.") \
    M(1314, E_CA_PROBLEM_CONTACT, ERR, CONFIG, "the CA refused the contact address", \
      "Correct AcmeContact, or leave it out.")                                 \
    M(1315, E_CA_PROBLEM_PROFILE, ERR, CONFIG, "the CA refused the profile",   \
      "Correct AcmeProfile; the CA's directory lists the profiles it has.")    \
    M(1316, E_CA_PROBLEM_MALFORMED, WARNING, CA_FINAL, "the CA did not understand the request", \
      "Read the CA's words; report it if they show no mistake of yours.")      \
    M(1317, E_CA_PROBLEM_NOT_READY, WARNING, CA_RETRY, "the CA says that the order is not ready", \
      "Nothing: it is tried again by itself.")                                 \
    M(1318, E_CA_PROBLEM_RATE, WARNING, CA_RETRY, "the CA's rate limit is reached", \
      "Nothing: it is tried again when the CA allows it. Use the CA's staging service for experiments.") \
    M(1319, E_CA_PROBLEM_PAUSED, ERR, CA_FINAL, "the CA issues nothing for this name until a human acts", \
      "Open the address in the CA's words and follow it, after mending why validation failed.") \
    M(1320, E_CA_PROBLEM_REJECTED, WARNING, CA_FINAL, "the CA does not issue for this name", \
      "Take the name out (ServerAlias, AcmeCertificate), or choose another CA with AcmeCA.") \
    M(1321, E_CA_PROBLEM_INTERNAL, WARNING, CA_RETRY, "the CA had an internal error", \
      "Nothing if it passes; else look at the CA's status page.")              \
    M(1322, E_CA_PROBLEM_TLS, WARNING, CA_RETRY, "the CA could not do TLS with this name", \
      "Check that port 443 of the name leads to this server and that nothing in between ends TLS.") \
    M(1323, E_CA_PROBLEM_UNAUTHORIZED, ERR, CA_FINAL, "the CA says that this account may not do this", \
      "Check that the account at the CA is in good standing and that AcmeCA names the right directory. If it is said of newAccount: the account was closed, or the values of AcmeExternalAccount are used up; get new ones from the CA's web page.") \
    M(1324, E_CA_PROBLEM_UNSUPPORTED, WARNING, CA_FINAL, "the CA does not certify names of this kind", \
      "Take the name out, or choose a CA that certifies it (IP addresses: few do, some only with AcmeProfile).") \
    M(1325, E_CA_PROBLEM_ACTION, ERR, CONFIG, "the CA wants a human to act first", \
      "Open the address that the CA gives: usually its terms have changed and must be agreed to anew. If it offers no way to agree there, write the address of the new terms into AcmeAgreeTerms; then run acmectl renew.") \
    M(1341, E_REVOKE_FOREIGN, ERR, CA_FINAL, "the CA does not let this account revoke the certificate", \
      "Revoke it by the key of the certificate itself: acmectl revoke NAME --key FILE.")       \
    M(1342, E_KEY_TAKEN, ERR, CA_FINAL, "the new key belongs to another account of the CA already: %s", \
      "Begin the change of keys again: each makes a new key.")                 \
    M(1343, E_NO_ROLLOVER, ERR, CA_FINAL, "this CA offers no change of account keys: %s has no keyChange", \
      "Keep the key, or make another account: acmectl account new, and deactivate the old one before.") \
    M(1344, E_NO_REVOCATION, ERR, CA_FINAL, "this CA offers no revocation by ACME: %s has no revokeCert", \
      "Revoke the certificate on the CA's web page.")                          \
    M(1350, E_TERMS, ERR, CONFIG, "the CA's terms of service are not agreed to: %s", \
      "Read them and, if you agree, write AcmeAgreeTerms on, or their address in place of on.")                 \
    M(1351, E_EAB_MISSING, ERR, CONFIG, "this CA serves only customers with an account: it wants an external account binding", \
      "Get key identifier and HMAC key from the CA's web page, and write both with AcmeExternalAccount.") \
    M(1352, E_ACCOUNT_CLOSED, ERR, CA_FINAL, "the account at the CA is %s",    \
      "A closed account stays closed: have a new one made with acmectl account new, or use another with acmectl account import; one of AcmeAccountKey needs another key.") \
    M(1353, E_NO_CHALLENGE, ERR, CONFIG, "the CA accepts no proof of control of %s that this server can give: the CA offers %s, this server can use %s", \
      "Make one that the CA offers possible here: name it in AcmeChallenges, if that is written and lacks it; http-01 needs port 80, tls-alpn-01 port 443 (Listen, AcmePortMap), dns-01 and dns-account-01 AcmeDnsCommand. Or choose another CA with AcmeCA.") \
    M(1354, E_PROFILE, ERR, CONFIG, "the CA does not offer the profile %s; it has: %s", \
      "Correct AcmeProfile, or leave out \"required\".")                       \
    M(1355, E_ORDER_LOAD, WARNING, LOCAL, "the saved order cannot be resumed: %s", \
      "Nothing: a new order is made.")                                         \
    M(1356, E_ORDER_INVALID, WARNING, CA_RETRY, "the CA gave the order up without saying why", \
      "Nothing if it passes; else ask the CA.")                                \
    M(1357, E_ORDER_STUCK, WARNING, CA_RETRY, "the order does not move on at the CA: it is still %s", \
      "Nothing if it passes; else look at the CA's status page.")              \
    M(1358, E_AUTHZ_STATE, WARNING, CA_RETRY, "the CA's authorization for %s is %s", \
      "Nothing: the next attempt asks for a new one.")                         \
    M(1359, E_AUTHZ_FOREIGN, WARNING, CA_RETRY, "the CA wants control of %s proved, which was not ordered", \
      "Report it to the CA.")                                                  \
    M(1360, E_ORDER_GONE, WARNING, CA_RETRY, "the CA does not know the order any more: %s", \
      "Nothing: a new order is made.")                                         \
    M(1361, W_PROOF_FAILED, WARNING, NONE, "%s has failed for %s: %s",          \
      "If another way is left it is tried at once. What cannot work here is better left out of AcmeChallenges.") \
    M(1362, I_PROOF_CHOSEN, INFO, NONE, "control of %s is proved by %s", "") \
    M(1370, E_LIMIT, WARNING, CA_RETRY, "this server has used up what the CA allows (%s): next possible at %s", \
      "Nothing: it goes on by itself. Use the CA's staging service for experiments.") \
    M(1380, E_ACCOUNT_UNKNOWN, ERR, CONFIG, "the CA knows no account with the key of AcmeAccountKey", \
      "Check that it is the right key and that AcmeCA names the CA it was registered with. mod_acme registers no account with a key that it did not make, and makes no other account instead.") \
    M(1390, E_MUST_STAPLE, ERR, CA_FINAL, "the CA refused the certificate request, which asks for must-staple", \
      "Most CAs have given up OCSP, and must-staple with it: remove AcmeMustStaple, or choose a CA that has OCSP.")
/* clang-format on */
