#!/usr/bin/python3
"""The first inputs of most targets, into the folder that is given: t/fuzz/corpus began with them.

What is signed is signed with the key in main.c, for the moment that targets take for the present
(2026-11-22). The certificates in ocsp.c were printed by "seeds.py --ocsp".
"""

import base64
import datetime
import hashlib
import ipaddress
import json
import re
import ssl
import struct
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).parent
NOW = datetime.datetime(2026, 11, 22, 8)
DAY = datetime.timedelta(days=1)
CA = "https://ca.test"
URN = "urn:ietf:params:acme:error:"


def fuzz_key():
    lines = re.findall(r'"([^"]*)\\n"', (HERE / "main.c").read_text())
    pem = "\n".join(lines[lines.index("-----BEGIN PRIVATE KEY-----") :]) + "\n"
    return serialization.load_pem_private_key(pem.encode(), None)


KEY = fuzz_key()


# --- certificates ---------------------------------------------------------------------------


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(subject, issuer, names=(), key=KEY, ca=False, extra=(), days=60):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extra:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def leaf(*names, extra=(), **options):
    names = [x509.DNSName(one) for one in names or ("shop.example", "*.shop.example")]
    extra = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), *extra]
    return certificate("leaf", "Fake Intermediate", names, extra=extra, **options)


ISSUER = certificate("Fake Intermediate", "Fake Intermediate", ca=True)


def pem(*certificates):
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key, form=serialization.PrivateFormat.PKCS8, phrase=None):
    seal = serialization.BestAvailableEncryption(phrase) if phrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, seal)


def chains():
    aki = x509.AuthorityKeyIdentifier(b"0" * 20, None, None)
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    aia = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP,
                x509.UniformResourceIdentifier("http://ocsp.ca.test/"),
            )
        ]
    )
    address = certificate(
        "leaf", "Fake Intermediate", [x509.IPAddress(ipaddress.ip_address("2001:db8::1"))]
    )
    other = certificate("leaf", "Fake Intermediate", [x509.RFC822Name("a@shop.example")])
    yield "plain", pem(leaf(), ISSUER)
    yield "extensions", pem(leaf(extra=[aki, feature, aia]), ISSUER)
    yield "address", pem(address, ISSUER)
    yield "mail", pem(other, ISSUER)
    yield "text", b"Some words\n" + pem(leaf()) + b"\r\n and others\n" + pem(ISSUER)
    yield "expired", pem(leaf(days=0))
    yield "key", key_pem(KEY) + pem(leaf())
    yield "html", b"<html>no chain</html>"
    yield "cut", pem(leaf())[:-30]


# --- JSON ---------------------------------------------------------------------------------------

DIRECTORY = {
    "newNonce": f"{CA}/nonce",
    "newAccount": f"{CA}/new-account",
    "newOrder": f"{CA}/new-order",
    "revokeCert": f"{CA}/revoke",
    "keyChange": f"{CA}/key-change",
    "renewalInfo": f"{CA}/renewal",
    "meta": {
        "termsOfService": f"{CA}/terms",
        "website": f"{CA}/",
        "caaIdentities": ["ca.test"],
        "profiles": {"short": "a week", "classic": f"{CA}/classic"},
        "externalAccountRequired": False,
    },
}


def problem(kind, detail="no", **more):
    return {"type": URN + kind, "detail": detail, **more}


def order(status, **more):
    more.setdefault("authorizations", [f"{CA}/authz/0", f"{CA}/authz/1"])
    return {"status": status, "finalize": f"{CA}/finalize", **more}


def challenge(kind, number, **more):
    one = {"type": kind, "url": f"{CA}/chall/{number}/{kind}", "status": "pending"}
    if kind == "dns-persist-01":
        return {**one, "issuer-domain-names": ["ca.test"], **more}
    return {**one, "token": f"token-{number}-{kind}", **more}


def authorization(number=0, status="pending", kinds=("http-01", "tls-alpn-01", "dns-01"), **more):
    one = {
        "status": status,
        "identifier": {"type": "dns", "value": "shop.example"},
        "challenges": [challenge(kind, number) for kind in kinds],
        **more,
    }
    return {**one, "wildcard": True} if number else one


FAILED = challenge("http-01", 0, status="invalid", error=problem("unauthorized", "404"))
COMPOUND = problem(
    "compound",
    subproblems=[
        problem("rejectedIdentifier", identifier={"type": "dns", "value": "shop.example"}),
        problem("caa", identifier={"type": "dns", "value": "*.shop.example"}),
    ],
)


def resources():
    yield "directory", DIRECTORY
    yield "order", order("pending")
    yield "valid", order("valid", certificate=f"{CA}/cert")
    yield "invalid", order("invalid", error=COMPOUND)
    yield "authz", authorization()
    yield "wildcard", authorization(1, kinds=["dns-01", "dns-account-01", "dns-persist-01"])
    yield "failed", {**authorization(status="invalid"), "challenges": [FAILED]}
    yield "problem", problem("rateLimited", instance=f"{CA}/limits")
    yield "compound", COMPOUND


def replies():
    limited = "429 x\nRetry-After: 120\nContent-Type: application/problem+json\n\n"
    window = {"start": "2026-12-22T08:00:00Z", "end": "2026-12-24T08:00:00.5+01:00"}
    links = f"Link: <{CA}/cert/1>;rel=\"alternate\", </up> ; rel=up\nLink: <a>;rel=\"x alternate\"\n"
    yield "limited", limited + json.dumps(problem("rateLimited"))
    yield "compound", "403 x\nContent-Type: application/problem+json\n\n" + json.dumps(COMPOUND)
    yield "nonce", "400 x\nReplay-Nonce: abc_-\n\n" + json.dumps(problem("badNonce"))
    yield "html", "502 x\nContent-Type: text/html\nRetry-After: Sun, 22 Nov 2026 09:00:00 GMT\n\n<html>"
    yield "links", f"200 x\n{links}Location: ../b/./c?d\n\n"
    yield "renewal", "200 x\nRetry-After: 21600\n\n" + json.dumps(
        {"suggestedWindow": window, "explanationURL": f"{CA}/why"}
    )
    yield "nothing", ""


# --- conversations ---------------------------------------------------------------------------------


def said(label, body=None, status=200, **headers):
    lines = [f"%{label}", f"{status} x"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":")) if body else ""
    return "\n".join([*lines, "", text])


BEGIN = [
    said("directory", DIRECTORY),
    said("newNonce", Replay_Nonce="abc"),
    said("newAccount", {"status": "valid"}, 201, Replay_Nonce="abc", Location=f"{CA}/account/1"),
]


def whole_order(options, *replaced):
    http, dns = authorization(0), authorization(1, kinds=["dns-01"])
    told = pem(leaf(), ISSUER).decode()
    all_said = [
        *BEGIN,
        said("newOrder", order("pending"), 201, Location=f"{CA}/order"),
        said("authorization", http),
        said("authorization", dns),
        said("authorization", {**http, "status": "valid"}),
        said("authorization", {**dns, "status": "valid"}),
        said("challenge", challenge("http-01", 0)),
        said("challenge", challenge("dns-01", 1)),
        said("order", order("ready")),
        said("finalize", order("processing"), Retry_After="5"),
        said("order", order("valid", certificate=f"{CA}/cert")),
        said("certificate", told, Link=f'<{CA}/cert/1>;rel="alternate"'),
        said("alternate", told),
        said("deactivate", {**http, "status": "deactivated"}),
    ]
    labels = {text.split("\n")[0] for text in replaced}
    kept = [text for text in all_said if text.split("\n")[0] not in labels]
    return "\n".join([options]) + "\n" + "".join([*kept, *replaced])


def orders():
    invalid = {**authorization(status="invalid"), "challenges": [FAILED]}
    bad_nonce = said("newOrder", problem("badNonce"), 400, Replay_Nonce="def")
    limited = said("newOrder", problem("rateLimited"), 429, Retry_After="3600")
    begun = said("newOrder", order("pending"), 201, Location=f"{CA}/order")
    yield "whole", whole_order("0")
    yield "killed", whole_order("9")
    yield "killed-late", whole_order("21 mn")
    yield "chosen", whole_order("0 cpb")
    yield "replaces", whole_order("0 ae")
    yield "adopted", whole_order("0 kh")
    yield "invalid", whole_order("0", said("authorization", invalid))
    yield "nonce", whole_order("0", bad_nonce, begun)
    yield "limited", whole_order("0", limited, begun)
    yield "compound", whole_order("0", said("finalize", COMPOUND, 403))
    yield "terms", whole_order("0", said("newOrder", problem("userActionRequired"), 403), begun)
    yield "forgotten", whole_order("0", said("newOrder", problem("accountDoesNotExist"), 400), begun)
    yield "busy", whole_order("0", said("order", "<html>", 503))


def errands():
    account = said("account", {"status": "valid"})
    yield "find", "0\n" + "".join([*BEGIN, account])
    yield "contacts", "1 k\n" + "".join([*BEGIN, said("contacts", {"status": "valid"})])
    yield "rollover", "2 k\n" + "".join([*BEGIN, said("keyChange", {"status": "valid"})])
    yield "doubted", "2 kd\n" + "".join([*BEGIN, account, said("keyChange", problem("conflict"), 409)])
    yield "deactivate", "3 k\n" + "".join([*BEGIN, said("deactivation", {"status": "deactivated"})])
    yield "revoke", "4 kr\n" + "".join([*BEGIN, said("revokeCert")])
    yield "revoked", "4 c\n" + "".join([*BEGIN, said("revokeCert", problem("alreadyRevoked"), 400)])


# --- keys, OCSP ----------------------------------------------------------------------------------------


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwk(key):
    numbers = key.private_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        values = {"n": numbers.public_numbers.n, "e": numbers.public_numbers.e, "d": numbers.d}
        values |= {"p": numbers.p, "q": numbers.q}
        values |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
        kind = {"kty": "RSA"}
    else:
        public = numbers.public_numbers
        values = {"x": public.x, "y": public.y, "d": numbers.private_value}
        kind = {"kty": "EC", "crv": "P-256"}
    for member, value in values.items():
        kind[member] = encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
    return kind


def keys():
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    p384 = ec.generate_private_key(ec.SECP384R1())
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    yield "ec", key_pem(KEY)
    yield "sec1", key_pem(p384, traditional)
    yield "pkcs1", key_pem(rsa_key, traditional)
    yield "encrypted", key_pem(KEY, phrase=b"phrase")
    yield "jwk-ec", jwk(KEY)
    yield "jwk-rsa", jwk(rsa_key)
    yield "der", KEY.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    yield "der-rsa", rsa_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    yield "hmac", encode(b"0123456789abcdef")


def ocsp_pair():
    text = re.findall(r'"([^"]*)\\n"', (HERE / "ocsp.c").read_text())
    parts = "\n".join(text).split("-----END CERTIFICATE-----")
    return [
        x509.load_pem_x509_certificate((part.strip() + "\n-----END CERTIFICATE-----\n").encode())
        for part in parts[:2]
    ]


def answer(status, **times):
    about, issuer = ocsp_pair()
    values = {"revocation_time": None, "revocation_reason": None, "next_update": NOW + DAY} | times
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=about, issuer=issuer, algorithm=hashes.SHA1(), cert_status=status, this_update=NOW, **values
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
        .sign(KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def answers():
    revoked = {"revocation_time": NOW - DAY, "revocation_reason": x509.ReasonFlags.key_compromise}
    yield "good", answer(ocsp.OCSPCertStatus.GOOD)
    yield "endless", answer(ocsp.OCSPCertStatus.GOOD, next_update=None)
    yield "revoked", answer(ocsp.OCSPCertStatus.REVOKED, **revoked)
    yield "unknown", answer(ocsp.OCSPCertStatus.UNKNOWN)
    yield "later", ocsp.OCSPResponseBuilder.build_unsuccessful(
        ocsp.OCSPResponseStatus.TRY_LATER
    ).public_bytes(serialization.Encoding.DER)


# --- DNS --------------------------------------------------------------------------------------------------


def dns_name(text):
    labels = [label.encode() for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(owner, kind, data):
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def message(*records, flags=0x8400, question="shop.example", kind=16):
    head = struct.pack(">HHHHHH", 1, flags, 1, len(records), 0, 0)
    return head + dns_name(question) + struct.pack(">HH", kind, 1) + b"".join(records)


def dns_answers():
    here = b"\xc0\x0c"  # what was asked about
    caa = [b"\0\x05issueca.test; accounturi=https://ca.test/account/1; validationmethods=dns-01"]
    caa += [b"\x80\x09issuewild;", b"\x80\x03newx", b"\0\x05issue;"]
    persist = b"ca.test; accounturi=https://ca.test/account/1; policy=wildcard; persistUntil=1800000000"
    yield "txt", message(record(here, 16, b"\x05first\x06second"))
    yield "persist", message(record(here, 16, bytes([len(persist)]) + persist))
    yield "caa", message(*(record(here, 257, data) for data in caa), kind=257)
    yield "alias", message(
        record(here, 5, dns_name("a.example")), record(dns_name("a.example"), 16, b"\1x")
    )
    yield "address", message(record(here, 1, b"\1\2\3\4"), record(here, 28, bytes(16)), kind=1)
    yield "soa", message(record(here, 6, dns_name("ns.test") * 2 + bytes(20)), record(here, 2, here))
    yield "none", message(flags=0x8403)
    yield "loop", message(record(b"\xc0\x1e", 5, b"\xc0\x1e"))
    yield "v4", "127.0.0.1:5353"
    yield "v6", "[2620:fe::fe]:53"


# --- lines ------------------------------------------------------------------------------------------------


def directives():
    doc = (HERE / "../../conf").resolve()
    for path in sorted([doc / "acme.conf", *(doc / "examples").glob("*.conf")]):
        lines = [line.strip().lstrip("#").strip() for line in path.read_text().splitlines()]
        yield path.stem, "\n".join(line for line in lines if re.match(r"<?Acme[A-Z]\w+ ", line))
    yield "own", "AcmeCA https://ca.test/dir letsencrypt\nAcmeExternalAccount letsencrypt kid c2VjcmV0"
    yield "proxy", "AcmeProxy http://user:p%40ss@proxy.example:3128\nAcmeKeyType rsa2048 ecdsa-p384"
    yield "times", "AcmeRenew 33% noari\nAcmeRetry 5s 12h\nAcmeActivate reload 1d\nAcmeWarn 5d"
    yield "section", "<AcmeCertificate shop.example www.shop.example>\nAcmeSubject O=x C=DE"
    yield "hooks", 'AcmeOn renewed,errored "bin/tell it" now\nAcmeDnsCommand /bin/dns add\nAcmeOn none'
    yield "dns", "AcmeDnsWait 5min 9.9.9.9 [2620:fe::fe]:53\nAcmeChallenges dns-persist-01 http-01"


def requests():
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    path = f"/.well-known/acme-challenge/{token}"
    yield "answer", f"G{path}\n\nshop.example\nshop.example\nCA"
    yield "address", f"G{path}\n\n2001:DB8:0::1\n1.0.0.0.ip6.arpa\nCA"
    yield "head", f"H{path}\nq=1\nSHOP.example.\n"
    yield "other", f"P{path}x/../y\n\nother.example\nSHOP.EXAMPLE\n\x01\xff"
    yield "redirect", 'G/a b?<">\x7f\nc=d e\r\nshop.example\n'


def texts():
    for text in (
        "shop.example", "*.Shop.Example.", "xn--mnchen-3ya.example", "192.0.2.1", "[2001:db8::1]",
        "_a.local", "mailto:admin@shop.example", "admin@shop.example", "https://ca.test:8443/a/../b?c",
        "//x/../y", "../z", "http://user:pa%20ss@[::1]:3128/", "O=Example Ltd", "C=DE", "keyCompromise",
        "renewed,errored", "a<b>&\"'\x1b\u202e", "YWJj", "shop.co.uk",
    ):  # fmt: skip
        yield hashlib.sha1(text.encode()).hexdigest()[:8], text


def times():
    for text in (
        "2026-11-22T08:00:00Z", "2026-11-22T08:00:00.123+14:00", "1969-12-31T23:59:59-23:59", "120",
        "Sun, 22 Nov 2026 08:00:00 GMT", "Sunday, 22-Nov-26 08:00:00 GMT", "Sun Nov 22 08:00:00 2026",
        "261122080000Z", "20261122080000Z", "99991231235959Z", "30s", "10min", "12h", "30d", "4w", "33%",
        "9223372036854775807", "2026-02-30T25:61:61Z",
    ):  # fmt: skip
        yield hashlib.sha1(text.encode()).hexdigest()[:8], text


# --- what comes before meaning: answers, handshakes ------------------------------------------


def answers_with_headers():
    nonce = "Replay-Nonce: oFvnlFP1wIhRlYS2jTaXbA\r\n"
    link = f'Link: <{CA}/directory>;rel="index"\r\n'
    start = "HTTP/2 200\r\n"
    yield "plain", f"9999\n{start}Content-Type: application/json\r\n{nonce}{link}\r\n{{}}"
    yield "interim", f"9999\nHTTP/1.1 103\r\n{link}Location: {CA}/103\r\n\r\n"
    yield "interim-then-final", f"9\nHTTP/1.1 103\r\nLocation: /a\r\n{start}LOCATION:\t/b \r\n\r\n{{}}"
    yield "too-long", f"4\n{start}{nonce}\r\n12345"
    yield "links", f"9\n{start}{link * 40}\r\n"
    yield "header-too-long", f"9\n{start}Location: /{'a' * 8193}\r\nRetry-After: 1\r\n\r\n"
    yield "odd", "9\nHTTP/\n:\nLocation:\nRetry-After : 5\nReplay-Nonce: a\0b\nLink: x\0\nno colon\n\n"


def client_hello(name, protocols, **versions):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for which, version in versions.items():
        setattr(context, which, version)
    if protocols:
        context.set_alpn_protocols(protocols)
    said = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return said.read()


def hellos():
    cas, old = ["acme-tls/1"], ssl.TLSVersion.TLSv1_2
    yield "ca", client_hello("shop.example", cas)
    yield "ca-in-capitals", client_hello("SHOP.example", cas)
    yield "ca-tls-1.2", client_hello("shop.example", cas, maximum_version=old)
    yield "other-name", client_hello("blog.example", cas)
    yield "no-name", client_hello(None, cas)
    yield "more-than-that", client_hello("shop.example", cas + ["http/1.1"])
    yield "visitor", client_hello("shop.example", ["h2", "http/1.1"])
    yield "plain", client_hello("shop.example", [])
    yield "http", b"GET / HTTP/1.0\r\n\r\n"


def answers_to_probes():
    identifier = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
    digest = b"\x04\x20" + hashlib.sha256(b"token.thumbprint").digest()
    der = serialization.Encoding.DER
    names = [x509.DNSName("shop.example")]
    for one, value in (("proof", digest), ("other-proof", digest[:-1] + b"\0"), ("short", digest[:9])):
        proof = x509.UnrecognizedExtension(identifier, value)
        yield one, certificate("x", "x", names, extra=[proof]).public_bytes(der)
    yield "leaf", leaf().public_bytes(der)
    yield "no-names", certificate("a\x1b[31m\n<b>", "i" * 64).public_bytes(der)
    yield "silence", b""
    yield "alert", b"\x15\x03\x03\0\x02\x02\x28"
    yield "alert-no-protocol", b"\x15\x03\x03\0\x02\x02\x78" + b"\x15"
    yield "http", b"HTTP/1.1 400 Bad Request\r\n\r\n"
    yield "ssh", b"SSH-2.0-OpenSSH_9.2\r\n"


def strangers():
    yield "nginx", "404\nServer: nginx/1.22.1\nContent-Type: text/html\n\n<html><title>404 Not Found</title>"
    yield "cdn", "403\nServer: cloudflare\nCF-RAY: 8a1b\nLocation: https://other.example/\n\n"
    yield "squid", "502\nVia: 1.1 squid (squid/5.7)\nX-Cache: MISS\n\n<h1>Bad Gateway"
    yield "parking", "200\nServer: \x1b[31mx\n\n<title>shop.example is for sale</title> this domain may be for sale"
    yield "tls", "400\n\nYou're speaking plain HTTP to an SSL-enabled server port.<title>\x00&lt;\xff"
    yield "redirect", "302\nlocation: http://shop.example/.well-known/acme-challenge/x\nno colon\n: x\n\n"


# --- other programs -------------------------------------------------------------------------


def files(**contents):
    return b"%".join(
        path.encode() + b"\n" + (text if isinstance(text, bytes) else text.encode())
        for path, text in contents.items()
    )


def md_files(config, **more):
    md = {
        "name": "shop.example", "domains": ["shop.example", "www.shop.example"],
        "contacts": ["mailto:a@shop.example"],
        "ca": {"url": f"{CA}/directory", "account": "ACME-ca-0000"},
    }  # fmt: skip
    account = {"status": "valid", "url": f"{CA}/account/1", "ca-url": f"{CA}/directory",
               "contact": ["mailto:a@shop.example"]}  # fmt: skip
    chain = pem(leaf("shop.example", "www.shop.example", days=20000), ISSUER)
    return files(**{
        "httpd.conf": config,
        "md/md_store.json": '{"version":3.0,"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}',
        "md/domains/shop.example/md.json": json.dumps(md),
        "md/domains/shop.example/pubcert.pem": chain,
        "md/domains/shop.example/privkey.pem": key_pem(KEY),
        "md/accounts/ACME-ca-0000/account.json": json.dumps(account),
        "md/accounts/ACME-ca-0000/account.pem": key_pem(KEY),
        **more,
    })  # fmt: skip


def migrations():
    host = "<VirtualHost *:443>\nServerName shop.example\nServerAlias www.shop.example\nSSLEngine on\n"
    server = "LoadModule md_module modules/mod_md.so\nLoadModule ssl_module modules/mod_ssl.so\n"
    words = (
        "MDCertificateAgreement accepted\nMDContactEmail a@shop.example\nMDPrivateKeys RSA 3072 P-384\n"
        'MDRenewWindow 30d\nMDMustStaple on\nMDPortMap 80:8080 443:-\nMDHttpProxy "http:_proxy:3128"\n'
        "MDProfile shortlived\nMDNotifyCmd notify\nMDChallengeDns01 dns-md\nMDRequireHttps permanent\n"
        "MDCAChallenges http-01 dns-01\nMDExternalAccountBinding kid aG1hYw\nMDStapling on\nMDUnknown x\n"
    )
    yield "md", md_files(f"{server}MDomain shop.example auto\n{words}{host}</VirtualHost>\n")
    yield "md-sections", md_files(
        f"{server}{words}<MDomainSet shop.example>\nMDMember www.shop.example\nMDMembers manual\n"
        f"MDProfile 'a b' required\nMDRenewMode always\n</MDomainSet>\n<MDomain new.example>\n</MDomain>\n"
        f"{host}SSLCertificateFile a.pem\n</VirtualHost>\n"
    )
    yield "md-loadmodule-without-words", md_files("MDomain shop.example\nLoadModule\n")
    renewal = (
        "version = 2.1.0\narchive_dir = certbot/archive/shop\ncert = certbot/live/shop/cert.pem\n"
        "privkey = certbot/live/shop/privkey.pem\nfullchain = certbot/live/shop/fullchain.pem\n"
        "renew_before_expiry = 30 days\n[renewalparams]\naccount = 0123\nauthenticator = dns-x\n"
        f"server = {CA}/directory\nkey_type = ecdsa\nreuse_key = True\npreferred_chain = 'A \"Root'\n"
        "pre_hook = echo \\\nmust_staple = True\nrequired_profile = x y\n[[webroot_map]]\nshop.example = www\n"
    )
    yield "certbot", files(**{
        "httpd.conf": f"{host}SSLCertificateFile certbot/live/shop/fullchain.pem\n</VirtualHost>\n",
        "certbot/renewal/shop.conf": renewal,
        "certbot/live/shop/fullchain.pem": pem(leaf(days=20000), ISSUER),
        "certbot/live/shop/privkey.pem": key_pem(KEY),
        "certbot/accounts/ca.test/directory/0123/regr.json": json.dumps({"uri": f"{CA}/account/1"}),
        "certbot/accounts/ca.test/directory/0123/private_key.json": key_pem(KEY),
        "certbot/renewal-hooks/deploy/x": "",
    })  # fmt: skip
    yield "conf", files(**{
        "httpd.conf": 'Define A "x y"\nDefine B ${A}${A}\nServerRoot .\nInclude sites/*.conf\nInclude none\n'
        "<IfModule !ssl_module>\n<IfDefine B>\nServerName ${B}\n</IfDefine>\n</IfModule>\n"
        "IncludeOptional httpd.conf\nUse VHost a\n<Macro M>\nX y\n</Macro>\n</Files>\n",
        "envvars": "export A=b$SUFFIX\nexport C='d'\nX=1\n",
        "sites/a.conf": f"{host}ServerAlias a \\\n  b\\\n\nServerAlias \"c",
    })  # fmt: skip


SEEDS = {
    "chain": chains, "directives": directives, "dns": dns_answers, "errand": errands,
    "hello": hellos, "http01": requests, "keys": keys, "migrate": migrations, "names": texts,
    "ocsp": answers, "order": orders, "probe": answers_to_probes, "reply": replies,
    "resource": resources, "stranger": strangers, "times": times, "transport": answers_with_headers,
}  # fmt: skip


def octets(data):
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else json.dumps(data)).encode()


def main():
    if sys.argv[1:] == ["--ocsp"]:
        text = pem(leaf(), ISSUER).decode()
        print("\n".join(f'    "{line}\\n"' for line in text.splitlines()))
        return
    for target, make in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for one, data in make():
            (folder / one).write_bytes(octets(data))


if __name__ == "__main__":
    main()
