"""What httpd -t says of a configuration: where, what, and what is allowed instead."""

import re

import pytest

# directive as written, and what is said of it behind its name
REFUSED = [
    ("AcmeManage maybe", '"maybe" is neither on nor off nor the name of an <AcmeCertificate>'),
    ("AcmeManage bad..name", '"bad..name" is neither on nor off nor the name'),
    ("AcmeManage on off", "2 arguments given, 1 is needed (on | off | certificate)"),
    ("AcmeManage", "0 arguments given, 1 is needed"),
    ("AcmeStore /", '"/" is not a path of a directory'),
    ("AcmeStore httpd.conf", "httpd.conf is not a directory"),
    ("AcmeCA http://ca.example/dir", '"http://ca.example/dir" is neither the https URL of an ACME directory nor one of letsencrypt, letsencrypt-staging, zerossl, google'),
    ("AcmeCA letsencypt", '"letsencypt" is neither'),
    ("AcmeCA https://", '"https://" is neither'),
    ("AcmeCA letsencrypt zerossl letsencypt", '"letsencypt" is neither'),
    ("AcmeCA letsencrypt https://acme-v02.api.letsencrypt.org/directory", 'directory" is there twice'),
    ("AcmeCA letsencrypt zerossl google actalis sslcom-ecc", "5 arguments given, 1 to 4 are allowed (alias | URL ...)"),
    ("AcmeAgreeTerms on https://ca.example/terms", '"on" is neither on nor off nor the URL of terms'),
    ("AcmeAgreeTerms https://", '"https://" is neither on nor off nor the URL of terms'),
    ("AcmeAgreeTerms https://ca.example/terms#today https://[::1",
     '"https://[::1" is neither on nor off nor the URL of terms'),
    ("AcmeAgreeTerms ftp://ca.example/terms", '"ftp://ca.example/terms" is neither on nor off nor the URL of terms'),
    ("AcmeExternalAccount kid-1 not_base64!", "the key of the external account binding is not usable: it is not base64"),
    ('AcmeExternalAccount "kid-1 c2VjcmV0"', "a single argument is the path of a file; key identifier and HMAC key are two"),
    ("AcmeExternalAccount c2VjcmV0", "a single argument is the path of a file"),
    ("AcmeExternalAccount kid-1 c2VjcmV0 x", '"kid-1" is neither the https URL'),
    ("AcmeAccountKey ecdsa-p521", '"ecdsa-p521" is neither a key type (rsa2048, rsa3072, rsa4096, ecdsa-p256, ecdsa-p384) nor the path of a file'),
    ("AcmeAccountKey key.pem /bin/phrase", '"/bin/phrase" follows the key\'s file, where only exec: and the path'),
    ("AcmeAccountKey nonesuch key.pem exec:/bin/phrase", '"nonesuch" is neither the https URL'),
    ("AcmeCATrustFile ca.example missing.pem", '"ca.example" is neither the https URL of an ACME directory nor one of'),
    ("AcmeCATrustFile google missing.pem", "missing.pem: No such file or directory"),
    ("AcmeCATrustFile missing.pem", "missing.pem: No such file or directory"),
    ("AcmeCATrustFile httpd.conf", "httpd.conf holds no certificate; a file of PEM certificates is needed"),
    ("AcmeCATrustFile htdocs", "htdocs holds no certificate"),
    ("AcmeAgreeTerms yes", '"yes" is neither on nor off'),
    ("AcmeContact admin", '"admin" is not a mail address; addresses such as'),
    ("AcmeContact admin@example.org,b@example.org", "is not a mail address"),
    ("AcmeContact admin@example.org?subject=x", "is not a mail address"),
    ("AcmeContact a@example.org none", '"none" is not a mail address'),
    ("AcmeChallenges http", '"http" is not a challenge; tls-alpn-01, http-01, dns-01, dns-account-01, dns-persist-01 are'),
    ("AcmeChallenges http-01 http-01", '"http-01" is there twice; each challenge is named once'),
    ("AcmeChallenges", "0 arguments given, 1 to 5 are allowed"),
    ("AcmeProfile sh/ort", '"sh/ort" is not a profile\'s name, which is 1 to 64'),
    ("AcmeProfile ca.example short required", '"ca.example" is neither the https URL'),
    ("AcmeProfile google short must", '"must" follows the profile\'s name'),
    ("AcmeProfile short must", '"must" follows the profile\'s name, where only required is allowed'),
    ("AcmeProxy proxy:3128", "proxy:3128 is not the URL of a proxy: it begins with neither http:// nor"),
    ("AcmeProxy socks5://proxy:1080", "it begins with neither http:// nor https://"),
    ("AcmeProxy http://proxy", "its port is missing"),
    ("AcmeProxy http://me:s3cret@proxy:x", "http://...@proxy:x is not the URL of a proxy"),
    ("AcmeProxy http://proxy:3128 httpd.conf", '"httpd.conf" follows a proxy that begins with http://'),
    ("AcmeProxy https://proxy:3128 httpd.conf", "httpd.conf holds no certificate"),
    ("AcmeProxy https://proxy:3128 missing.pem", "missing.pem: No such file or directory"),
    ("AcmePreferredChain ISRG Root X1", "3 arguments given, 1 to 2 are allowed"),
    ('AcmePreferredChain ISRG "Root X1"', '"ISRG" is neither the https URL of an ACME directory nor one of'),
    ("AcmePreferredChain \x7f", "is not the common name of an issuer, such as"),
    ("AcmePreflight maybe", '"maybe" is none of off, advise and require'),
    ("AcmeBadNames drop", '"drop" is neither skip nor fail'),
    ("AcmeKeyReuse maybe", '"maybe" is none of off, on and next'),
    ("AcmeSubject CN=shop.example.org", "CN=shop.example.org is not an attribute of a certificate's subject: allowed are C, ST, L, O, OU and emailAddress"),
    ("AcmeSubject C=de", "a country is two capital letters"),
    ("AcmeSubject O=a O=b", '"O=b" is a second O; only OU may be there more than once'),
    ("AcmeSubject Example Ltd", "Example is not an attribute"),
    ("AcmeMustStaple yes", '"yes" is neither on nor off'),
    ("AcmeKeyType dsa", '"dsa" is not a key type; rsa2048, rsa3072, rsa4096, ecdsa-p256 and ecdsa-p384 are'),
    ("AcmeKeyType rsa2048 rsa4096", '"rsa2048 rsa4096" are of one family'),
    ("AcmeKeyType rsa2048 ecdsa-p256 rsa4096", "3 arguments given, 1 to 2 are allowed"),
    ("AcmeRenew soon", "soon is not a duration"),
    ("AcmeRenew 0s", '"0s" would renew when it is too late'),
    ("AcmeRenew 100%", "100% is not a duration"),
    ("AcmeRenew 99999999999999999999d", "is not a duration"),
    ("AcmeRenew -5d", "-5d is not a duration"),
    ("AcmeRenew 30d noidea", '"noidea" follows the time, where only noari is allowed'),
    ("AcmeRenew noari", "noari is not a duration"),
    ("AcmeRenewMode sometimes", '"sometimes" is none of auto, always and manual'),
    ("AcmePortMap 8080", '"8080" maps nothing; 80:port and 443:port are allowed'),
    ("AcmePortMap 80:0", '"80:0" maps nothing'),
    ("AcmePortMap 80:65536", '"80:65536" maps nothing'),
    ("AcmePortMap 80:80x", '"80:80x" maps nothing'),
    ("AcmePortMap 81:8080", '"81:8080" maps nothing'),
    ("AcmePortMap 80:8080 80:8081", 'port 80 is mapped twice, again by "80:8081"'),
    ("AcmePortMap 80:8443 443:8443", "80 and 443 cannot both arrive at port 8443"),
    ("AcmeRetry 1ms", "1ms is not a duration"),
    ("AcmeRetry 0", '"0" is not within 1s and 30d'),
    ("AcmeRetry 60s 31d", '"31d" is not within 1s and 30d'),
    ("AcmeRetry 25h", 'the first wait, "25h", is longer than the longest, "24h"'),
    ("AcmeRetry 33%", "33% is not a duration"),
    ("AcmeConcurrency 0", '"0" is not a number from 1 to 10000'),
    ("AcmeConcurrency 10001", '"10001" is not a number from 1 to 10000'),
    ("AcmeConcurrency 99999999999999999999", "is not a number from 1 to 10000"),
    ("AcmeConcurrency ten", '"ten" is not a number'),
    ("AcmeStatus 1", '"1" is neither on nor off'),
]

SERVER_ONLY = [
    "AcmeStore store", "AcmePortMap 80:8080", "AcmeRetry 60s", "AcmeConcurrency 5", "AcmeStatus on",
]  # fmt: skip

# section, the line at fault in it, and what is said
SECTIONS = [
    ("<AcmeCertificate >\n</AcmeCertificate>", "<AcmeCertificate >", "but there are none"),
    (
        "<AcmeCertificate a.test b.test A.test>\n</AcmeCertificate>",
        "<AcmeCertificate a.test b.test A.test>",
        'the name "A.test" is there twice',
    ),
    (
        "<AcmeCertificate a.test b.test>\n</AcmeCertificate>\n"
        "<AcmeCertificate c.test b.test>\n</AcmeCertificate>",
        "<AcmeCertificate c.test b.test>",
        'the name "b.test" is already in the certificate declared at',
    ),
    (
        "<AcmeCertificate a..test>\n</AcmeCertificate>",
        "<AcmeCertificate a..test>",
        "a..test is not a name a certificate can hold",
    ),
    (
        "<AcmeCertificate a.test>\n<AcmeCertificate b.test>\n</AcmeCertificate>\n</AcmeCertificate>",
        "<AcmeCertificate b.test>",
        '"<AcmeCertificate" does not belong in it; only AcmeCA,',
    ),
    (
        "<AcmeCertificate a.test>\nDocumentRoot htdocs\n</AcmeCertificate>",
        "DocumentRoot htdocs",
        '"DocumentRoot" does not belong in it; only AcmeCA,',
    ),
    (
        "<AcmeCertificate a.test>\nAcmeManage on\n</AcmeCertificate>",
        "AcmeManage on",
        '"AcmeManage" does not belong in it',
    ),
    (
        "<AcmeCertificate a.test>\nAcmeKeyType foo\n</AcmeCertificate>",
        "AcmeKeyType foo",
        '"foo" is not a key type',
    ),
    (
        "<VirtualHost *:1>\n<AcmeCertificate a.test>\n</AcmeCertificate>\n</VirtualHost>",
        "<AcmeCertificate a.test>",
        "cannot occur within <VirtualHost> section; it belongs outside of all sections",
    ),
]  # fmt: skip


def line_of(httpd, text):
    """The number of the last line of the configuration that is this text."""
    lines = [line.strip() for line in httpd.conf.read_text().splitlines()]
    return len(lines) - lines[::-1].index(text)


def refused(httpd, at):
    """What httpd -t says, which has to be an error at this line of its configuration."""
    run = httpd.configtest()
    assert run.returncode != 0, run.stderr
    where = f"Syntax error on line {line_of(httpd, at)} of {httpd.conf}:"
    assert where in run.stderr, run.stderr
    return run.stderr


def warned(httpd):
    """The lines of ours that httpd -t prints of a configuration it takes, {number: [text]}."""
    run = httpd.configtest()
    assert run.returncode == 0, run.stderr
    found = {}
    for number, text in re.findall(r"^ACME(\d+): (.*)$", run.stderr, re.MULTILINE):
        found.setdefault(int(number), []).append(text)
    return found


@pytest.fixture
def httpd(make_httpd):
    """With mod_acme and a CA of its own, at which every name is allowed but localhost."""
    server = make_httpd().load_acme()
    return server.config(
        f"AcmePortMap 80:{server.http_port} 443:{server.https_port}\n"
        "AcmeCA https://ca.example/dir\nAcmeAgreeTerms on"
    )


@pytest.mark.parametrize("line, sentence", REFUSED, ids=lambda text: text.replace("/", "|")[:40])
def test_directive_malformed_is_refused_with_place_and_sentence(make_httpd, line, sentence):
    httpd = make_httpd().load_acme().config(line)
    said = refused(httpd, line)
    assert re.search(rf"^ACME1010: {line.split()[0]}: .*{re.escape(sentence)}", said, re.M), said


@pytest.mark.parametrize("line", SERVER_ONLY)
def test_directive_of_the_server_in_a_host_is_refused(make_httpd, line):
    httpd = make_httpd().load_acme()
    httpd.vhost("a.test", extra=line, https=False)
    said = refused(httpd, line)
    assert "cannot occur within <VirtualHost> section; it belongs outside of all sections" in said


@pytest.mark.parametrize("line", SERVER_ONLY)
def test_directive_of_the_server_given_twice_is_refused(make_httpd, line):
    httpd = make_httpd().load_acme().config(line).config(f"{line} ")
    said = refused(httpd, line)
    assert "comes too late, it is already set to" in said
    assert re.search(rf"at {httpd.conf}:\d+; it is allowed only once", said), said


@pytest.mark.parametrize("line", ["AcmeManage on", "AcmeKeyType rsa2048", "AcmeStore store"])
def test_directive_in_a_directory_is_refused(make_httpd, line):
    httpd = make_httpd().load_acme().config(f"<Directory />\n{line}\n</Directory>")
    assert "cannot occur within directory context; it belongs outside" in refused(httpd, line)


@pytest.mark.parametrize("text, at, sentence", SECTIONS, ids=lambda text: text.split("\n")[0][:40])
def test_section_malformed_is_refused_with_place_and_sentence(make_httpd, text, at, sentence):
    httpd = make_httpd().load_acme().config(text)
    assert sentence in refused(httpd, at)


def test_section_of_over_a_hundred_names_is_refused(make_httpd):
    line = f"<AcmeCertificate {' '.join(f'a{i}.test' for i in range(101))}>"
    httpd = make_httpd().load_acme().config(f"{line}\n</AcmeCertificate>")
    assert '"a100.test" is one name too many, 100 are allowed' in refused(httpd, line)


def test_everything_at_its_best_is_taken_in_silence(httpd):
    httpd.self_signed(["x.test"])
    httpd.config(
        "AcmeStore store\n"
        f"AcmeCATrustFile {httpd.own_root_file().name}\n"
        "AcmeContact admin@example.org mailto:other@example.org\n"
        "AcmeProfile shortlived required\n"
        "AcmeKeyType rsa3072 ecdsa-p384\n"
        "AcmeRenew 33%\nAcmeRenewMode auto\nAcmeRetry 1s 2min\nAcmeConcurrency 10000\n"
        "AcmeStatus off\nAcmeManage on\n"
        "<AcmeCertificate decl.test www.decl.test>\n"
        "AcmeCA letsencrypt-staging\nAcmeCA https://other.example/dir\nAcmeContact none\n"
        "AcmeRenewMode manual\nAcmeRenew 12h noari\nAcmeKeyType rsa4096\n</AcmeCertificate>"
    )
    httpd.vhost("a.test", aliases=["www.a.test"])
    httpd.vhost("decl.test", aliases=["www.decl.test"])
    httpd.vhost("named.test", https_extra="AcmeManage off", cert="self")
    assert warned(httpd) == {}


def test_manage_with_an_undeclared_name_is_refused(httpd):
    httpd.vhost("a.test", https_extra="AcmeManage b.test")
    run = httpd.configtest()
    assert run.returncode != 0
    line = line_of(httpd, "AcmeManage b.test")
    assert (
        f"ACME1011: {httpd.conf}:{line}: AcmeManage b.test: no <AcmeCertificate> is called that"
        in run.stderr
    )


def test_manage_with_a_further_name_says_what_it_is_called(httpd):
    httpd.config("<AcmeCertificate a.test b.test>\n</AcmeCertificate>")
    httpd.vhost("b.test", https_extra="AcmeManage b.test")
    run = httpd.configtest()
    assert run.returncode != 0
    assert "the one that has this name is called a.test" in run.stderr


def warned_of_host(httpd, number, *words, **vhost):
    """A managed host (and another one, whole) gives just this warning, with its place."""
    httpd.config("AcmeManage on")
    httpd.vhost("whole.test")
    httpd.vhost(**vhost)
    found = warned(httpd)
    assert list(found) == [number] and len(found[number]) == 1, found
    text = found[number][0]
    assert re.search(rf"{re.escape(str(httpd.conf))}:\d+", text), text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize(
    "number, words, vhost",
    [
        (1013, ["bad..test", "left alone"], {"name": "bad..test"}),
        (1014, ["localhost", "left alone"], {"name": "localhost"}),
        (1016, ["a..test", "left out"], {"name": "a.test", "aliases": ["a..test", "b.test"]}),
        (1035, ["10.0.0.1", "left out"], {"name": "a.test", "aliases": ["10.0.0.1"]}),
        (1017, ["*.a.test and *.b.test", "DNS challenge"], {"name": "a.test", "aliases": ["*.a.test", "*.b.test"]}),
        (1018, ["w?w.a.test", "pattern"], {"name": "a.test", "aliases": ["w?w.a.test"]}),
        (1019, ["whole.test", "left out"], {"name": "a.test", "aliases": ["whole.test"]}),
        (1021, ["102 names", "at most 100"], {"name": "a.test", "aliases": [f"a{i}.test" for i in range(101)]}),
        (1023, ["a.test", "SSLCertificateFile"], {"name": "a.test", "https_extra": "AcmeManage on", "cert": "self"}),
        (1024, ["a.test", "SSLEngine on"], {"name": "a.test", "https": False, "extra": "AcmeManage on"}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)  # fmt: skip
def test_host_that_cannot_be_managed_gives_one_warning(httpd, number, words, vhost):
    warned_of_host(httpd, number, *words, **vhost)


def test_host_without_servername_is_left_alone(httpd):
    httpd.config("AcmeManage on")
    httpd.config(f"<VirtualHost 127.0.0.1:{httpd.https_port}>\nSSLEngine on\n</VirtualHost>")
    assert list(warned(httpd)) == [1012]


def test_private_name_at_a_public_ca_is_left_alone(httpd):
    warned_of_host(
        httpd, 1014, "a.test", "no public CA", name="a.test", https_extra="AcmeCA letsencrypt"
    )


def test_url_of_a_public_ca_counts_as_the_public_ca(httpd):
    url = "https://acme-v02.api.letsencrypt.org/directory"
    warned_of_host(httpd, 1014, "a.test", name="a.test", https_extra=f"AcmeCA {url}")


def test_servername_that_is_an_earlier_hosts_alias_is_left_alone(httpd):
    httpd.config("AcmeManage on")
    httpd.vhost("a.test", aliases=["b.test"])
    httpd.vhost("b.test", aliases=["c.test"])
    found = warned(httpd)
    assert list(found) == [1020]
    first, second = [m for m in re.findall(rf"{httpd.conf}:(\d+)", found[1020][0])]
    assert int(second) < int(first)


def test_earlier_host_keeps_its_name_against_a_later_alias(httpd):
    httpd.config("AcmeManage on")
    httpd.vhost("b.test")
    httpd.vhost("a.test", aliases=["b.test"])
    found = warned(httpd)
    assert list(found) == [1019] and "certificate b.test" in found[1019][0]


def test_names_of_hosts_without_tls_are_in_nobodys_way(httpd):
    httpd.config("AcmeManage on")
    httpd.vhost("redirect.test", aliases=["a.test", "*.test"], https=False)
    httpd.vhost("a.test", http=False)
    assert warned(httpd) == {}


def test_hosts_of_one_name_with_different_settings_are_told(httpd):
    httpd.config("AcmeManage on")
    httpd.vhost("a.test", http=False, https_extra="AcmeKeyType rsa2048\nAcmeRenew 10d")
    httpd.vhost("a.test", http=False)
    found = warned(httpd)
    assert list(found) == [1028] and "(AcmeKeyType AcmeRenew)" in found[1028][0]


@pytest.mark.parametrize(
    "line",
    ["AcmeContact a@example.org", "AcmeProxy http://127.0.0.1:1", "AcmeAccountKey rsa2048", "AcmeCATrustFile own.pem"],
)
def test_certificates_of_one_account_with_other_settings_are_told_once(httpd, line):
    own, _ = httpd.self_signed(["a.test"])
    httpd.config("AcmeManage on")
    httpd.vhost("a.test", http=False)
    for name in ("b.test", "c.test"):
        httpd.vhost(name, http=False, https_extra=line.replace("own.pem", str(own)))
    httpd.vhost("d.acme-module.org", http=False, https_extra=f"{line}\nAcmeCA letsencrypt".replace("own.pem", str(own)))
    found = warned(httpd)
    told = found.pop(1037)
    assert len(told) == 1
    places = re.findall(rf"{httpd.conf}:\d+", told[0])
    assert told[0].startswith(f"b.test ({places[0]}) shares the account of a.test ({places[1]}) at the CA https://ca.example/dir")
    assert f"but not its {line.split()[0]}: " in told[0]
    assert not found


def test_declared_certificate_lacks_a_name_of_its_host(httpd):
    httpd.config("<AcmeCertificate a.test>\n</AcmeCertificate>\nAcmeManage on")
    httpd.vhost("a.test", aliases=["www.a.test", "b.test"])
    found = warned(httpd)
    assert list(found) == [1029] and "www.a.test and b.test" in found[1029][0]


def test_declared_certificate_with_a_wildcard_goes_without_it(httpd):
    httpd.config("<AcmeCertificate a.test *.a.test>\n</AcmeCertificate>\nAcmeManage on")
    httpd.vhost("a.test")
    found = warned(httpd)
    assert list(found) == [1031] and "*.a.test" in found[1031][0]


def test_declared_certificate_called_after_a_wildcard_is_set_aside(httpd):
    httpd.config("<AcmeCertificate *.a.test a.test>\n</AcmeCertificate>\nAcmeManage on")
    httpd.vhost("a.test")
    assert list(warned(httpd)) == [1032]


def test_declared_certificate_nobody_uses_is_told(httpd):
    httpd.config("<AcmeCertificate a.test>\n</AcmeCertificate>")
    assert list(warned(httpd)) == [1030]


def test_declared_certificate_kept_always_is_not(httpd):
    httpd.config("<AcmeCertificate a.test>\nAcmeRenewMode always\n</AcmeCertificate>")
    assert warned(httpd) == {}


def test_manage_without_any_tls_is_told_once(httpd):
    httpd.config("AcmeManage on")
    httpd.vhost("a.test", https=False)
    httpd.vhost("b.test", https=False)
    assert list(warned(httpd)) == [1025]


@pytest.mark.parametrize("mapping", ["80:-", "80:{https}", "80:1"])
def test_no_plain_listener_is_told_once(make_httpd, mapping):
    httpd = make_httpd().load_acme()
    httpd.config(
        "AcmeCA https://ca.example/dir\nAcmeAgreeTerms on\nAcmeManage on\n"
        f"AcmePortMap {mapping.format(https=httpd.https_port)}"
    )
    httpd.vhost("a.test")
    httpd.vhost("b.test")
    found = warned(httpd)
    assert list(found) == [1027] and "a.test and b.test" in found[1027][0]


def test_names_without_proof_are_told_once_for_each_reason(make_httpd):
    httpd = make_httpd().load_acme()
    httpd.config(
        "AcmeCA https://ca.example/dir\nAcmeAgreeTerms on\nAcmeManage on\nAcmeDnsCommand /bin/true\n"
        "AcmePortMap 80:- 443:-\nAcmeChallenges dns-01 http-01\n"
        "<AcmeCertificate 192.0.2.1 c.test>\n</AcmeCertificate>\n"
        "<AcmeCertificate 192.0.2.2>\n</AcmeCertificate>"
    )
    httpd.vhost("a.test", https_extra="AcmeChallenges tls-alpn-01")
    httpd.vhost("b.test", ["www.b.test"], https_extra="AcmeChallenges tls-alpn-01")
    httpd.vhost("c.test")
    httpd.config(f"<VirtualHost 127.0.0.1:{httpd.https_port}>\nServerName 192.0.2.2\nSSLEngine on\n</VirtualHost>")
    found = warned(httpd)
    assert list(found) == [1027] and len(found[1027]) == 2, found
    port = [line for line in found[1027] if "a.test, b.test and www.b.test (" in line]
    address = [line for line in found[1027] if "192.0.2.1 and 192.0.2.2 (" in line]
    assert len(port) == len(address) == 1, found
    assert "tls-alpn-01: AcmePortMap says" in port[0] and "http-01" not in port[0]
    assert "dns-01: an address has no place in DNS; http-01: AcmePortMap says" in address[0]
    assert all(re.search(r"\(\S+:\d+\)", line) for line in found[1027])


@pytest.mark.parametrize(
    "directives, why",
    [
        ("", "no AcmeDnsCommand is set up"),
        ("AcmeChallenges dns-01", "no AcmeDnsCommand is set up"),
        ("AcmeDnsCommand /bin/true\nAcmeChallenges http-01", "AcmeChallenges allows none"),
    ],
    ids=["nothing", "command", "challenges"],
)
def test_wildcard_that_cannot_be_proved_says_what_is_missing(make_httpd, directives, why):
    httpd = make_httpd().load_acme()
    httpd.config(f"AcmeCA https://ca.example/dir\nAcmeAgreeTerms on\n{directives}\nAcmePortMap 80:{httpd.http_port}")
    httpd.config("<AcmeCertificate d.test *.d.test>\nAcmeRenewMode always\n</AcmeCertificate>")
    httpd.vhost("a.test", ["*.a.test"], https_extra="AcmeManage on")
    found = warned(httpd)
    found.pop(1027, None)
    assert list(found) == [1017, 1031] or list(found) == [1031, 1017], found
    assert f"*.a.test is left out of the certificate: CAs certify a wildcard by a DNS challenge only, and {why}" in found[1017][0]
    assert f"*.d.test is left out: CAs certify a wildcard by a DNS challenge only, and {why}" in found[1031][0]


@pytest.mark.parametrize("host", ["*:*", "_default_:*", "main server"])
@pytest.mark.parametrize("port, found", [("{https}", []), ("1", [1027]), ("-", [1027])])
def test_host_of_any_port_proves_by_tls_alpn_where_httpd_listens(make_httpd, host, port, found):
    httpd = make_httpd().load_acme()
    httpd.config(
        "AcmeCA https://ca.example/dir\nAcmeAgreeTerms on\nAcmeChallenges tls-alpn-01\n"
        f"AcmePortMap 443:{port.format(https=httpd.https_port)}"
    )
    text = "ServerName a.test\nSSLEngine on\nAcmeManage on"
    httpd.config(text if host == "main server" else f"<VirtualHost {host}>\n{text}\n</VirtualHost>")
    assert list(warned(httpd)) == found


def test_terms_not_agreed_to_are_told_once(httpd):
    httpd.config("AcmeAgreeTerms off\nAcmeManage on")
    for i in range(7):
        httpd.vhost(f"a{i}.test")
    found = warned(httpd)
    assert list(found) == [1026] and len(found[1026]) == 1
    assert "a0.test, a1.test, a2.test, a3.test, a4.test and 2 more" in found[1026][0]
