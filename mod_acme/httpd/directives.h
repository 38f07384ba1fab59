/**
 * The one table of directives: command_rec and doc/directives.md are made of
 * it. Includes nothing, so that gendoc can read it without httpd.
 *
 *   D(name, least, most, arguments, default, scope, setter, meaning)
 *
 * least, most  number of arguments, refused otherwise
 * scope        SERVER       the server configuration only, and once
 *              HOST         there and in <VirtualHost>, which inherits it
 *              CERTIFICATE  both, and in <AcmeCertificate>
 * setter       in config.c; refuses with a sentence that says what is allowed
 * meaning      words for the administrator, Markdown
 */
#ifndef ACME_DIRECTIVES_H
#define ACME_DIRECTIVES_H

/* clang-format off */
#define ACME_DIRECTIVES(D) \
    D("AcmeManage", 1, 1, "on | off | certificate", "off", HOST, set_manage, \
      "Whether mod_acme looks after the certificate of a virtual host. `on` at server level manages " \
      "every virtual host with `SSLEngine on` that has no `SSLCertificateFile`; `off` in one exempts it. " \
      "Virtual hosts with the same `ServerName` share one certificate, for all their `ServerName` and " \
      "`ServerAlias` names together. The name of an `<AcmeCertificate>` makes the virtual host use that " \
      "one.") \
    D("AcmeStore", 1, 1, "directory", "fixed when mod_acme was built, usually `/var/lib/apache2/acme`", SERVER, set_store, \
      "The directory where accounts, keys and certificates are kept. A relative path counts from " \
      "`ServerRoot`. Certificates live only here: put it into the backup.") \
    D("AcmeCA", 1, 4, "alias | URL ...", "letsencrypt", CERTIFICATE, acme_setters_ca, \
      "The certificate authority: `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, " \
      "`google-staging`, `sslcom-rsa`, `sslcom-ecc`, `actalis`, or the https URL of an ACME directory. " \
      "Changing it orders anew at once, while the old certificate serves on. Further CAs, up to four together, " \
      "are asked when the one before fails by a fault of its own: out of reach, in trouble, at a rate limit, " \
      "refusing. The first is asked again later, at growing intervals, and at the next renewal. A certificate " \
      "of any of them is as good as one of the first.") \
    D("AcmeCATrustFile", 1, 2, "[ca] PEM file", "the system's trust anchors", CERTIFICATE, acme_setters_trust_file, \
      "Certificates that connections to the CA are verified against, for a CA of your own. A relative " \
      "path counts from `ServerRoot`. The user that httpd's children run as must be able to read it. With a " \
      "CA in front, written as in `AcmeCA`, for that one alone. " \
      "It belongs to the account, which all certificates of a CA share: write the same for all of them (`httpd -t` warns of others).") \
    D("AcmeAgreeTerms", 1, 5, "on | off | URL ...", "off", CERTIFICATE, acme_setters_agree_terms, \
      "`on` says that you have read the CA's terms of service and agree to them. Without it nothing is " \
      "ordered from a CA that has any. The URL of terms in place of `on` agrees to these and no others: " \
      "once the CA publishes new ones, nothing is ordered until you have agreed to them. Where a CA " \
      "refuses an account until it agrees to changed terms (ACME1325), `on` does not speak for them: agree at " \
      "the address that the CA gives, or write the URL of the new terms here, which the CA is told then.") \
    D("AcmeContact", 1, 10, "address ... | none", "none", CERTIFICATE, acme_setters_contact, \
      "Mail addresses given to the CA with the account. Few CAs still use them. A change is told to the CA " \
      "once, with the next order. " \
      "It belongs to the account, which all certificates of a CA share: write the same for all of them (`httpd -t` warns of others).") \
    D("AcmeExternalAccount", 1, 3, "[ca] kid hmac | file", "none", CERTIFICATE, acme_setters_external, \
      "External account binding, for a CA that serves customers of its web site only (`zerossl`, `google`, " \
      "`sslcom-rsa`, `sslcom-ecc`, `actalis`): the key identifier and the HMAC key that the site shows, or " \
      "better a file that holds both, belongs to root, and has mode 600. Needed once, when the account is " \
      "made, but keep the line: it says which account is meant. With a CA in front, written as in `AcmeCA`, for " \
      "that one alone.") \
    D("AcmeAccountKey", 1, 3, "[ca] key type | file [exec:program]", "ecdsa-p256", CERTIFICATE, acme_setters_account_key, \
      "The key of the account at the CA. A key type (`ecdsa-p256`, `ecdsa-p384`, `rsa2048`, `rsa3072`, " \
      "`rsa4096`) says how it is made when there is no account yet. A file brings along an account that another " \
      "client has made: a private key in PEM, or certbot's `private_key.json`; root must own it, with mode 600 or " \
      "400. If it is encrypted, the program behind `exec:` is run by root at a start, with the key's path as its " \
      "argument, and prints the pass phrase. A key that the CA does not know is refused; it is never registered. " \
      "With a CA in front, written as in `AcmeCA`, for that one alone. " \
      "The type belongs to the account, which all certificates of a CA share: write the same for all of them " \
      "(`httpd -t` warns of others).") \
    D("AcmeChallenges", 1, 5, "type ...", "tls-alpn-01 http-01 dns-01", CERTIFICATE, set_challenges, \
      "How control of the names is proved to the CA, the most preferred way first: `tls-alpn-01` answers in " \
      "a handshake at port 443, `http-01` a request at port 80; for `dns-01` and `dns-account-01` the program " \
      "of `AcmeDnsCommand` publishes a DNS record, for `dns-persist-01` you make one yourself, once: the error " \
      "log and the status page show it. Ways that this server cannot go, or that the " \
      "CA does not offer, are passed over; where one fails, the next is tried at once. " \
      "What proved a name then is tried first at its next renewal, until it fails or this directive is changed.") \
    D("AcmeDnsCommand", 1, 20, "program [argument ...] | none", "none", CERTIFICATE, acme_setters_dns_command, \
      "The program that publishes DNS records for `dns-01` and `dns-account-01`. CAs certify wildcards by " \
      "DNS alone: with it, `ServerAlias *.example.org` comes into the certificate, and names that it covers " \
      "are not ordered as well. It is called without a shell, as the user of httpd's children, with its arguments " \
      "and `setup` or `teardown`, the record's name and its value, and may take two minutes. Ready ones, and " \
      "how to write one, are in `conf/hooks`. A relative path counts from `ServerRoot`. Arguments can be read by everybody on the " \
      "machine: secrets belong into files.") \
    D("AcmeDnsWait", 1, 9, "duration [resolver ...]", "2min", CERTIFICATE, acme_setters_dns_wait, \
      "How long to look for a published record before the CA is told, 0 to 24h. Every name server of the " \
      "zone is asked; one that does not answer does not count. If one that answers has it not when the time is " \
      "over, the attempt has failed, and the CA is not asked; if none could be asked, it is. Resolvers " \
      "(`9.9.9.9`, `127.0.0.1:5353`, `[2620:fe::fe]:53`; at most 8) are asked instead where this server sees " \
      "another DNS than the world. `0` looks for nothing in DNS, CAA records included.") \
    D("AcmeProfile", 1, 3, "[ca] name [required]", "the CA's choice", CERTIFICATE, acme_setters_profile, \
      "The profile to ask the CA for, such as `shortlived`. If the CA does not offer it the certificate " \
      "is ordered without, or, with `required`, not at all. With a CA in front, written as in `AcmeCA`, for " \
      "that one alone.") \
    D("AcmePreferredChain", 1, 2, "[ca] issuer's common name | none", "none", CERTIFICATE, acme_set_preferred_chain, \
      "Where the CA offers several chains for a certificate, the one that has this issuer anywhere in it is " \
      "served: `AcmePreferredChain \"ISRG Root X1\"`. All that are offered are looked at right after the issue; if " \
      "none has it, the CA's default chain is used, with a warning that names what there is. Counts from the " \
      "next issue on. With a CA in front, written as in `AcmeCA`, for that one alone.") \
    D("AcmeProxy", 1, 2, "none | URL [CA file]", "none", CERTIFICATE, acme_setters_proxy, \
      "The HTTP proxy that connections to the CA go through, by CONNECT: `http://proxy.example.org:3128`, or " \
      "`https://` for one that is spoken to by TLS, verified against the system's trust or the PEM file given. " \
      "A user and a password stand before the host, `http://user:password@...`, with percent escapes where " \
      "needed; they are shown in no log or status, and not by mod_info. The environment " \
      "(`http_proxy`, `no_proxy` and the like) is not looked at. " \
      "It belongs to the account, which all certificates of a CA share: write the same for all of them (`httpd -t` warns of others).") \
    D("AcmeKeyType", 1, 2, "type ...", "ecdsa-p256", CERTIFICATE, set_key_type, \
      "The kind of the certificate's key: `rsa2048`, `rsa3072`, `rsa4096`, `ecdsa-p256` or `ecdsa-p384`. " \
      "One of RSA and one of ECDSA together give two certificates, and each client gets the one it " \
      "can use.") \
    D("AcmeKeyReuse", 1, 1, "off | on | next", "off", CERTIFICATE, acme_set_key_reuse, \
      "`off`: each certificate has a new key. `on`: it keeps that of the one before, for keys that others have " \
      "pinned. `next`: the key of the next certificate is made ahead, right after an issue, so that it can be " \
      "published before it serves: log and status show what TLSA records (`3 1 1`) say of the key in use and of " \
      "the coming one, `on` of the one in use. A key of another type than `AcmeKeyType`, or one that the CA " \
      "refuses, is never used again.") \
    D("AcmeBadNames", 1, 1, "skip | fail", "skip", CERTIFICATE, acme_set_bad_names, \
      "What becomes of a certificate when the CA refuses some of its names, or cannot validate them. `skip`: it " \
      "is ordered without them, so that the other names do not suffer. Adding them is tried again after the " \
      "waits of `AcmeRetry`, at last daily; log and status say which are left out and why, and visitors of such " \
      "a name get a warning from their browser. A name that the certificate in use has is not given up before " \
      "half of the time between the renewal and the end of that certificate has passed. `fail`: all names or " \
      "no certificate, also if the old one ends meanwhile. The first name (`ServerName`) is never left out.") \
    D("AcmePreflight", 1, 1, "off | advise | require", "advise", CERTIFICATE, acme_set_preflight, \
      "Whether this server goes a CA's way to itself before an order: it looks up every A and AAAA record of each " \
      "name, and asks for a token of its own at each address, or makes a handshake. `advise` says in the log what " \
      "is wrong and who answers instead, takes three seconds at most, and asks the CA in any case; done for a first " \
      "certificate, after a failure, and when names were added, not for renewals of what has worked. `require` does " \
      "so before each order (eight seconds at most) and does not ask the CA for a name that it certainly cannot " \
      "validate in any of the allowed ways; what cannot be told from here, such as behind a router that lets nobody " \
      "reach himself, holds nothing up. `off`, or `AcmeDnsWait 0`, looks at nothing.") \
    D("AcmeSubject", 1, 20, "attribute=value ... | none", "none", CERTIFICATE, acme_set_subject, \
      "Attributes of the certificate's subject to ask for: `C` (two capital letters), `ST`, `L`, `O`, `OU` and " \
      "`emailAddress`, such as `AcmeSubject C=DE \"O=Example Ltd\"`. Public CAs that validate domains alone " \
      "ignore them; some CAs of organizations use or demand them. Counts from the next issue on.") \
    D("AcmeMustStaple", 1, 1, "on | off", "off", CERTIFICATE, acme_set_must_staple, \
      "`on` asks for the extension by which browsers refuse the certificate without a stapled OCSP response " \
      "(RFC 7633). Only for CAs that still have OCSP, and with `SSLUseStapling on`; Let's Encrypt refuses such " \
      "a request. Counts from the next issue on: `acmectl renew` makes one at once.") \
    D("AcmeRenew", 1, 2, "duration | percent [noari]", "a third of the lifetime, half of it if that is under 10 days", CERTIFICATE, set_renew, \
      "How long before its end a certificate is renewed at the latest: `30d`, `12h`, `90min`, or a share of its " \
      "lifetime such as `33%`. Where the CA suggests a time of its own for each certificate (ARI, RFC 9773), that " \
      "is kept if it is earlier, as after a mass revocation it is; `noari` does without. Renewals at the CA's time " \
      "are free of Let's Encrypt's rate limits.") \
    D("AcmeRenewMode", 1, 1, "auto | always | manual", "auto", CERTIFICATE, set_renew_mode, \
      "`auto`: a certificate is obtained and renewed while a virtual host uses it. `always`: also one " \
      "that no virtual host uses, as long as an `<AcmeCertificate>` declares it. `manual`: only when " \
      "`acmectl renew` asks for it.") \
    D("AcmeActivate", 1, 2, "live | reload [interval] | manual", "live", CERTIFICATE, acme_setters_activate, \
      "How a certificate comes into service once it is issued. `live`: with the next handshake, in every child, " \
      "without a reload. `reload`: mod_acme reloads the server gracefully by itself, after `httpd -t` has found " \
      "nothing wrong, and unless the configuration says something else than when the server read it last: a " \
      "change that may be half done is left to the administrator's reload, as is said once in the log; " \
      "certificates that come within a minute share one reload, and there is at most one in the " \
      "interval (`10min`, from 10s to 7d). `manual`: with the administrator's next reload. Until then what was " \
      "served before is served on, at first the placeholder; status page and `acmectl status` say what waits, and " \
      "the event `expiring` is raised about the certificate that is served. Before, and whatever is written " \
      "here, a handshake in memory tries the certificate under the settings of its virtual hosts; one that " \
      "fails it never comes into service.") \
    D("AcmeActivateDelay", 1, 1, "duration", "0", CERTIFICATE, acme_setters_activate_delay, \
      "How long after its issue a certificate comes into service at the earliest, 0 to 30d: for visitors whose " \
      "clocks are slow, and caches such as those of TLSA records. Reloads keep to it as well. It does not hold back " \
      "the first certificate, nor one whose predecessor ends before.") \
    D("AcmeWarn", 1, 1, "duration | percent", "10%", CERTIFICATE, acme_setters_warn, \
      "How long before the end of a certificate that has no successor yet a warning is written, and the event " \
      "`expiring` raised: `7d`, or a share of its lifetime such as `10%`. Again daily, until it is mended. Never " \
      "before a renewal that is planned has had half of the time that is left.") \
    D("AcmeOn", 1, 20, "event[,event ...] program [argument ...] | none", "none", CERTIFICATE, acme_setters_on, \
      "A program to run on an event: `renewing`, `renewed`, `installed`, `expiring`, `errored`, `revoked`, and " \
      "`challenge-open` and `challenge-close`, between which a CA validates. It is called without a shell, with its " \
      "arguments, the event and the certificate's name, and may take a minute; what it is told besides, and as whom it " \
      "runs, is in `events.md`, ready programs in `conf/hooks`. May be given several times; a virtual host and an " \
      "`<AcmeCertificate>` add theirs to those from outside, unless `none` comes first. A relative path counts " \
      "from `ServerRoot`. Arguments can be read by everybody on the machine: secrets belong into files.") \
    D("AcmePortMap", 1, 2, "80:port 443:port", "80:80 443:443", SERVER, set_port_map, \
      "The local ports that the outside world's ports 80 and 443 arrive at, where a router or container " \
      "maps them; `-` for one that does not arrive: `AcmePortMap 80:8080 443:8443`, `AcmePortMap 80:-`.") \
    D("AcmeRequireHttps", 1, 2, "off | temporary | permanent [max-age]", "off", HOST, acme_setters_require_https, \
      "Sends plain requests to https, path and query kept: `temporary` with 302, `permanent` with 301 (307 and 308 where " \
      "the method is neither GET nor HEAD). With `permanent` hosts with TLS also tell browsers to come by https alone (HSTS) for " \
      "max-age: seconds, or a duration such as `180d`; 15768000, half a year, without one, while `permanent 0` takes it back. " \
      "Both wait until a CA's certificate with the name asked for is in service, and `/.well-known/acme-challenge/` is never " \
      "redirected. Write it outside of all sections, or in the virtual host with TLS: that decides for plain requests to its names " \
      "too, whichever virtual host they reach, unless that one has its own `AcmeRequireHttps`. `off` in either of the two is off. " \
      "Requests for a name that no managed certificate has are sent to the `ServerName`, if one has that, and always as `temporary`. " \
      "The port is 443, or that of the virtual host if 443 does not lead there (`AcmePortMap`); where no way leads there, " \
      "nothing is redirected. A header `Strict-Transport-Security` that the site sets itself, say with `includeSubDomains`, is left as it is. " \
      "A plain virtual host behind a proxy that does TLS itself needs `ServerName https://name`, or `off`.") \
    D("AcmeRetry", 1, 2, "first [longest]", "60s 24h", SERVER, set_retry, \
      "How long to wait after a failure before the next attempt; ten times longer after each further " \
      "failure, up to the longest wait. What a CA says itself about when to return is always kept.") \
    D("AcmeConcurrency", 1, 1, "number", "128", SERVER, set_concurrency, \
      "How many certificates may be in progress at once, 1 to 10000. Those that serve nothing yet come first, then " \
      "those that expire first. Let's Encrypt's published rate limits are kept beforehand, and what must wait is " \
      "shown with the time when it is possible; for its limit per registered domain names are counted by their " \
      "last two labels (three as in `shop.co.uk`). The limits of other CAs are learned from their refusals. " \
      "`acmectl renew` waits for limits, too, unless with `--now`.") \
    D("AcmeStatus", 1, 1, "on | off", "on", SERVER, set_status, \
      "Whether the page of mod_status has a section about certificates.")

#define ACME_SECTION_NAME "<AcmeCertificate"
#define ACME_SECTION_ARGS "name [name ...]"
#define ACME_SECTION_MEANING \
    "Declares one certificate by its names, at most 100; the first is what it is called by. Settings inside " \
    "hold for it alone. A virtual host uses it if `AcmeManage` names it, or if `AcmeManage` is `on` and its " \
    "names cover the `ServerName`. It is issued for exactly these names, but for those that a wildcard " \
    "among them covers: aliases of the virtual host that are not among them are left out, with a warning. " \
    "IP addresses are names as well (RFC 8738), where the CA issues for them."
/* clang-format on */

#endif
