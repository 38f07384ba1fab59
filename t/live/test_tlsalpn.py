"""tls-alpn-01: what the CA sees in a handshake, and what everybody else goes on seeing."""

import hashlib
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509

from . import jose, pki, tls
from .httpd import acme_module
from .test_issue import acmectl, serial

SHOP, BLOG = "shop.example.org", "blog.example.org"
ALPN = "acme-tls/1"
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
RSA = "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"
ECDSA = "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384"
KEYS = ["ecdsa-p256", "rsa2048", "ecdsa-p384 rsa2048"]


class Stage:
    """A server whose names are proved by tls-alpn-01 alone, and a CA that validates when told."""

    def __init__(self, httpd, ca):
        self.httpd, self.ca = httpd, ca
        self._renewals = []

    def start(self, *names, config="", extra=""):
        self.httpd.acme(self.ca, f"AcmeChallenges tls-alpn-01\n{config}")
        for name in names:
            self.httpd.vhost(name, https_extra=f"AcmeManage on\n{extra}")
        self.httpd.start()

    def hold(self):
        self.ca.validation_gate.clear()

    def begin(self, name=SHOP, **options):
        """The first certificate is not validated yet: the host shows its placeholder."""
        self.hold()
        self.start(name, **options)
        self.ca.wait_request("challenge")

    def renew(self, name=SHOP):
        """A certificate is in service, and the CA is about to validate its successor."""
        self.hold()
        asked = len(self.ca.requests_to("challenge"))
        program = acme_module().parents[2] / "acmectl"
        argv = [program, "--store", self.httpd.store, "renew", name]
        self._renewals.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
        self.ca.wait_request("challenge", asked + 1)

    def digests(self, name=SHOP):
        """What may be shown now: of each challenge for name that waits for the CA."""
        found = set()
        for authz in list(self.ca.authzs.values()):
            if authz["identifier"]["value"] == name and authz["status"] == "pending":
                thumbprint = jose.thumbprint(self.ca.accounts[authz["account"]]["jwk"])
                for one in authz["challenges"]:
                    key_auth = f"{one['token']}.{thumbprint}"
                    found.add(hashlib.sha256(key_auth.encode()).digest())
        return found

    def end(self):
        self.ca.validation_gate.set()
        for renewal in self._renewals:
            renewal.wait(60)


@pytest.fixture
def stage(make_httpd, make_fakeca):
    made = []

    def make(**options):
        httpd = make_httpd(**options)
        made.append(Stage(httpd, make_fakeca(validate="http", tls_port=httpd.https_port)))
        return made[-1]

    yield make
    for one in made:
        one.end()


def is_challenge(cert):
    return any(extension.oid == IDENTIFIER for extension in cert.extensions)


def assert_challenge(served, name, digests):
    """RFC 8737 section 3."""
    assert served.alpn == ALPN
    assert len(served.chain) == 1
    assert served.leaf.subject == served.leaf.issuer
    san = served.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(general.value) for general in san.value] == [name]
    found = served.leaf.extensions.get_extension_for_oid(IDENTIFIER)
    assert found.critical
    assert found.value.value in {b"\x04\x20" + digest for digest in digests}


def wait_issued(httpd, keys="ecdsa-p256"):
    for kind in keys.split():
        httpd.wait_cert(SHOP, sigalgs=RSA if kind.startswith("rsa") else ECDSA)


# From end to end, with Pebble


@pytest.mark.all_mpms
@pytest.mark.parametrize("keys", KEYS)
def test_issue_and_renewal_by_tls_alpn_alone(make_httpd, make_pebble, mpm, keys):
    httpd = make_httpd(mpm=mpm)
    ca = make_pebble(tls_port=httpd.https_port, authz_reuse=0)
    httpd.acme(ca, f"AcmeChallenges tls-alpn-01\nAcmeKeyType {keys}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_issued(httpd, keys)
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert "ACME1817: answered the tls-alpn-01 challenge for shop.example.org" in httpd.log()
    assert "ACME1813" not in httpd.log()
    reply = httpd.get("/", host=SHOP, https=True, ca=ca.root_file())
    assert (reply.status, reply.text) == (200, f"hello from {SHOP}\n")


@pytest.mark.parametrize("verify", ["optional", "require"])
def test_issue_on_a_host_that_asks_for_client_certificates(make_httpd, make_pebble, verify):
    httpd = make_httpd()
    ca = make_pebble(tls_port=httpd.https_port)
    root = httpd.folder / "client-ca.pem"
    root.write_bytes(pki.cert_pem(pki.Authority.root("Client CA").cert))
    httpd.acme(ca, "AcmeChallenges tls-alpn-01")
    httpd.vhost(
        SHOP, https_extra=f"AcmeManage on\nSSLVerifyClient {verify}\nSSLCACertificateFile {root}"
    )
    httpd.start()
    httpd.wait_log("ACME1500.*shop.example.org")


def test_issue_over_ipv6(make_httpd, make_pebble):
    httpd = make_httpd()
    ca = make_pebble(tls_port=httpd.https_port)
    ca.set_default_ipv4("")
    ca.set_default_ipv6("::1")
    httpd.acme(ca, f"AcmeChallenges tls-alpn-01\nListen [::1]:{httpd.https_port}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    assert "for shop.example.org to ::1" in httpd.log()


def test_issue_with_http2_and_without_a_plain_listener(make_httpd, make_pebble):
    httpd = make_httpd(modules=("http2",))
    ca = make_pebble(tls_port=httpd.https_port)
    httpd.acme(ca, "Protocols h2 http/1.1")
    text = httpd._global[-1]
    httpd._global[-1] = text.replace(f"80:{httpd.http_port}", "80:-")
    httpd.vhost(SHOP, https_extra="AcmeManage on", http=False)
    httpd.start()
    httpd.wait_cert(SHOP)
    assert httpd.served_cert(SHOP, alpn=["h2", "http/1.1"]).alpn == "h2"
    assert "ACME1817" in httpd.log()


# What visitors see meanwhile


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("keys", KEYS)
def test_only_the_ca_sees_the_challenge_certificate(stage, keys, version):
    on = stage(modules=("http2",))
    on.begin(config=f"AcmeKeyType {keys}\nProtocols h2 http/1.1")
    look_around(on, [None], version)
    on.ca.validation_gate.set()
    wait_issued(on.httpd, keys)
    on.renew()
    own = {"ecdsa-p256": [ECDSA], "rsa2048": [RSA]}.get(keys, [])
    look_around(on, [None, *own, f"{RSA}:{ECDSA}", f"{ECDSA}:{RSA}"], version, in_service=True)


def look_around(on, sigalgs, version, in_service=False):
    for algorithms in sigalgs:
        for _ in range(2):
            served = on.httpd.served_cert(SHOP, version=version, alpn=[ALPN], sigalgs=algorithms)
            assert_challenge(served, SHOP, on.digests())
            for offer in ([], ["h2", "http/1.1"], [ALPN, "h2"], ["http/1.1", ALPN]):
                plain = on.httpd.served_cert(SHOP, version=version, alpn=offer, sigalgs=algorithms)
                assert not is_challenge(plain.leaf) and plain.alpn != ALPN
                assert plain.self_signed != in_service


@pytest.mark.parametrize("order", ["SSLHonorCipherOrder on", "SSLHonorCipherOrder off"])
@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"])
def test_tls_1_2_cipher_decides_which_key(stage, cipher, order):
    """TLS 1.2 has chosen the kind of certificate before it hears of acme-tls/1."""
    on = stage()
    on.start(SHOP, config=f"AcmeKeyType ecdsa-p256 rsa2048\n{order}")
    wait_issued(on.httpd, "ecdsa-p256 rsa2048")
    on.renew()
    context = tls.unverified_context("1.2", [ALPN])
    context.set_ciphers(cipher)
    with socket.create_connection(("127.0.0.1", on.httpd.https_port), 10) as raw:
        with context.wrap_socket(raw, server_hostname=SHOP) as conn:
            cert = x509.load_der_x509_certificate(conn.getpeercert(True))
            assert is_challenge(cert)
            assert hasattr(cert.public_key(), "curve") == ("ECDSA" in cipher)


def test_handshake_that_fails_before_the_challenge_is_not_told_as_never_come(stage):
    """A placeholder is ECDSA: with TLS 1.2 and RSA alone there is no cipher for it."""
    on = stage()
    only_rsa = "SSLProtocol TLSv1.2\nSSLCipherSuite ECDHE-RSA-AES128-GCM-SHA256"
    on.start(SHOP, config=f"AcmeKeyType rsa2048\n{only_rsa}")
    told = on.httpd.wait_log(r"ACME1322: .*").group(0)
    assert "or its handshake failed before the challenge (SSLProtocol, SSLCipherSuite)" in told


def test_challenge_is_of_its_own_name_alone_and_gone_afterwards(stage):
    on = stage()
    on.hold()
    on.start(SHOP, BLOG)
    on.ca.wait_request("challenge", 2)
    for name in (SHOP, BLOG, SHOP.upper()):
        served = on.httpd.served_cert(name, alpn=[ALPN])
        assert_challenge(served, name.lower(), on.digests(name.lower()))
    for name in ("other.example.org", None):
        with pytest.raises(ssl.SSLError):  # no protocol that was offered
            raise_unless_acme(on.httpd, name)
    on.ca.validation_gate.set()
    on.httpd.wait_cert(SHOP)
    with pytest.raises(ssl.SSLError):
        raise_unless_acme(on.httpd, SHOP)


def raise_unless_acme(httpd, name):
    if httpd.served_cert(name, alpn=[ALPN]).alpn != ALPN:
        raise ssl.SSLError("another protocol")


@pytest.mark.all_mpms
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nothing_is_said_after_the_handshake(stage, mpm, version):
    on = stage(mpm=mpm)
    on.begin()
    context = tls.unverified_context(version, [ALPN])
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", on.httpd.https_port), 10) as raw:
        with context.wrap_socket(raw, server_hostname=SHOP, suppress_ragged_eofs=True) as conn:
            assert conn.selected_alpn_protocol() == ALPN
            assert answer_to(conn, f"GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n") == b""
    assert time.monotonic() - began < 5
    assert "GET / " not in on.httpd.access_log.read_text()


def answer_to(conn, text):
    try:
        conn.sendall(text.encode())
        return conn.recv(65536)
    except (ConnectionError, ssl.SSLError):
        return b""


@pytest.mark.all_mpms
def test_stalled_handshakes_time_out(stage, mpm):
    on = stage(mpm=mpm)
    on.begin(config="Timeout 2")
    stalled = [stall(on.httpd, alpn) for alpn in ([ALPN], ["http/1.1"])]
    for conn in stalled:
        with conn:
            conn.settimeout(15)
            while conn.recv(65536):
                pass


def stall(httpd, alpn):
    """Say hello, hear the server's answer, and fall silent."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = tls.unverified_context("1.2", alpn)
    shy = context.wrap_bio(incoming, outgoing, server_hostname=SHOP)
    with pytest.raises(ssl.SSLWantReadError):
        shy.do_handshake()
    conn = socket.create_connection(("127.0.0.1", httpd.https_port), 10)
    conn.sendall(outgoing.read())
    assert conn.recv(65536)
    return conn


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("tickets", ["on", "off"])
def test_session_of_a_challenge_opens_no_door(stage, version, tickets):
    """Who shook hands as a CA was not asked for a client certificate."""
    on = stage()
    root = on.httpd.folder / "client-ca.pem"
    root.write_bytes(pki.cert_pem(pki.Authority.root("Client CA").cert))
    on.begin(
        extra=f"SSLVerifyClient require\nSSLCACertificateFile {root}\nSSLSessionTickets {tickets}"
    )
    context = tls.unverified_context(version, [ALPN])
    session = None
    with socket.create_connection(("127.0.0.1", on.httpd.https_port), 10) as raw:
        with context.wrap_socket(raw, server_hostname=SHOP) as conn:
            assert conn.selected_alpn_protocol() == ALPN
            answer_to(conn, "x")  # tickets come behind the handshake
            session = conn.session
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", on.httpd.https_port), 10) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=SHOP, session=session) as conn:
                assert not conn.session_reused
                assert answer_to(conn, f"GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n") == b""
        except (ssl.SSLError, ConnectionError):
            pass  # no client certificate, no handshake


@pytest.mark.all_mpms
def test_challenge_outlives_children_and_reloads(stage, mpm):
    on = stage(mpm=mpm)
    on.begin()
    shown = on.digests()
    for child in on.httpd.children():
        on.httpd.kill_child(child.pid)
    assert_challenge(served_again(on.httpd), SHOP, shown)
    on.httpd.graceful()
    assert_challenge(served_again(on.httpd), SHOP, shown)
    on.ca.validation_gate.set()
    on.httpd.wait_cert(SHOP)
    assert len(on.ca.orders) == 1


def served_again(httpd):
    """By a new child, once there is one that listens."""
    return httpd.wait_cert(SHOP, lambda served: served.alpn == ALPN, alpn=[ALPN])


def test_beside_mod_md_each_answers_for_its_own(make_httpd, make_pebble):
    """mod_md takes every connection of acme-tls/1 for its own if it is asked first."""
    httpd = make_httpd(modules=("md",))
    ca = make_pebble(tls_port=httpd.https_port)
    httpd.acme(
        ca,
        "AcmeChallenges tls-alpn-01\nProtocols http/1.1 acme-tls/1\n"
        f"MDStoreDir {httpd.folder}/md\nMDPortMap http:- https:{httpd.https_port}\n"
        f"MDCertificateAuthority {ca.directory_url}\nMDCACertificateFile {ca.ca_file}\n"
        "MDCertificateAgreement accepted\nMDCAChallenges tls-alpn-01\n"
        f"MDContactEmail webmaster@{BLOG}\nMDomain {BLOG}",
    )
    httpd.vhost(BLOG)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log(f"The Managed Domain {BLOG} has been setup")


def test_upgrade_is_neither_offered_nor_taken(stage):
    on = stage()
    on.begin()
    reply = on.httpd.get("/", host=SHOP, headers={"Upgrade": ALPN, "Connection": "Upgrade"})
    assert reply.status == 200 and "upgrade" not in reply.headers
    reply = on.httpd.get("/", host=SHOP, https=True)
    assert reply.status == 503 and "upgrade" not in reply.headers


@pytest.mark.all_mpms
def test_orders_of_two_keys_for_one_name_take_turns(make_httpd, make_fakeca, mpm):
    """A handshake shows one digest: the second order waits until the first is through."""
    httpd = make_httpd(mpm=mpm)
    ca = make_fakeca(validate="http", tls_port=httpd.https_port, validation_polls=2)
    httpd.acme(ca, "AcmeChallenges tls-alpn-01\nAcmeKeyType ecdsa-p256 rsa2048")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_issued(httpd, "ecdsa-p256 rsa2048")
    assert len(ca.orders) == 2
