"""Keys of certificates: each type, two side by side, kept, and made ahead."""

import hashlib
import re
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509

from . import pki
from .proc import wait_until
from .test_issue import SHOP, acmectl, issue_one, serial

TYPES = ["rsa2048", "rsa3072", "rsa4096", "ecdsa-p256", "ecdsa-p384"]


def tlsa(cert):
    """What a TLSA record 3 1 1 says of a certificate."""
    return hashlib.sha256(pki.public_der(cert)).hexdigest()


def renew(httpd):
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", TYPES)
def test_keys_each_type_is_issued_served_and_renewed(acme_httpd, pebble, kind):
    acme_httpd.config(f"AcmeKeyType {kind}")
    served = issue_one(acme_httpd)
    assert served.key_type == kind
    assert acme_httpd.get("/", host=SHOP, https=True, ca=pebble.root_file()).status == 200
    acme_httpd.graceful()
    assert serial(acme_httpd.served_cert(SHOP)) == serial(served)
    renew(acme_httpd)
    again = acme_httpd.served_cert(SHOP)
    assert again.key_type == kind and tlsa(again.leaf) != tlsa(served.leaf)


def test_keys_of_two_kinds_do_not_share_the_order_that_a_ca_gives_again(httpd, make_fakeca):
    """As Boulder does: the second certificate would be made for the first one's key."""
    ca = make_fakeca(order_reuse=True, validation_polls=3, processing_polls=2)
    httpd.acme(ca, "AcmeKeyType ecdsa-p256 rsa2048")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    for sigalgs in ("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"):
        httpd.wait_cert(SHOP, sigalgs=sigalgs)
    assert len(ca.orders) == 2 and "ACME1407" not in httpd.log()


def test_keys_slow_ones_hold_up_neither_orders_nor_a_stop(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    for n in range(20):
        httpd.vhost(f"h{n}.example.org", https_extra="AcmeManage on\nAcmeKeyType rsa4096")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP, timeout=15)
    # by then most of the slow ones wait for their keys, and for nothing else
    status = wait_until(
        lambda: "making the key" in str(httpd.server_status()) and httpd.server_status(), 10, "keys"
    )
    assert len(ca.orders) == 21
    assert sum("making the key" in text for text in status.values()) > 5
    begin = time.monotonic()
    httpd.stop()
    assert time.monotonic() - begin < 3
    # resumed: no order is made twice
    httpd.start()
    httpd.wait_cert("h0.example.org")
    wait_until(lambda: len(ca.certs) >= 3, 60, "certificates of some of them")
    assert len(ca.orders) == 21


class Visitor(threading.Thread):
    """Shakes hands again and again for one family of keys; each is a new connection."""

    def __init__(self, port, ciphers):
        super().__init__(daemon=True)
        self.port, self.stop_now = port, threading.Event()
        self.seen, self.failures = [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        # 1.2, where the ciphers say which certificate it must be
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers(ciphers)

    def run(self):
        while not self.stop_now.is_set():
            try:
                self.seen.append(self.shake_hands())
            except OSError as err:
                self.failures.append((time.monotonic(), repr(err)))

    def shake_hands(self):
        """Chain as it was sent. OpenSSL checks that the key is that of the leaf."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as raw:
            with self.context.wrap_socket(raw, server_hostname=SHOP) as conn:
                pems = [item.public_bytes() for item in conn._sslobj.get_unverified_chain()]
        return [x509.load_pem_x509_certificate(pem if isinstance(pem, bytes) else pem.encode()) for pem in pems]


@pytest.mark.all_mpms
def test_keys_no_handshake_sees_a_torn_pair(acme_httpd, pebble):
    acme_httpd.config("AcmeKeyType rsa2048 ecdsa-p256")
    issue_one(acme_httpd)
    acme_httpd.wait_cert(
        SHOP, lambda one: one.key_type == "rsa2048" and not one.self_signed,
        sigalgs="rsa_pss_rsae_sha256",
    )  # fmt: skip
    acme_httpd.wait_cert(
        SHOP, lambda one: one.key_type == "ecdsa-p256" and not one.self_signed,
        sigalgs="ecdsa_secp256r1_sha256",
    )  # fmt: skip
    visitors = [Visitor(acme_httpd.https_port, f"ECDHE-{kind}-AES128-GCM-SHA256") for kind in ("RSA", "ECDSA")]
    for one in visitors:
        one.start()
    for _ in range(4):
        renew(acme_httpd)
    for one in visitors:
        one.stop_now.set()
        one.join(20)
        assert not one.failures, one.failures[:3]
        serials = {chain[0].serial_number for chain in one.seen}
        # the last set may not have been seen any more
        assert len(serials) >= 4, len(one.seen)
        for chain in one.seen:
            assert len(chain) == 2 and chain[0].issuer == chain[1].subject
    rsa, ecdsa = ([type(chain[0].public_key()).__name__ for chain in one.seen] for one in visitors)
    assert "RSA" in rsa[0] and len(set(rsa)) == 1
    assert "Elliptic" in ecdsa[0] and len(set(ecdsa)) == 1


def test_keys_of_two_families_are_renewed_apart(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeKeyType rsa2048 ecdsa-p256")
    issue_one(httpd)
    wait_until(lambda: len(ca.certs) == 2, 30, "both certificates")
    rsa = httpd.wait_cert(
        SHOP, lambda one: one.key_type == "rsa2048" and not one.self_signed,
        sigalgs="rsa_pss_rsae_sha256",
    )  # fmt: skip
    # another curve: that certificate alone is ordered anew
    httpd.clear_config()
    httpd.acme(ca, "AcmeKeyType rsa2048 ecdsa-p384")
    httpd.vhost(SHOP, ("www.shop.example.org",), https_extra="AcmeManage on")
    httpd.graceful()
    httpd.wait_cert(SHOP, lambda one: one.key_type == "ecdsa-p384")
    assert len(ca.certs) == 3
    assert serial(httpd.served_cert(SHOP, sigalgs="rsa_pss_rsae_sha256")) == serial(rsa)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa2048"])
def test_keys_reuse_on_keeps_the_key(acme_httpd, pebble, kind):
    acme_httpd.config(f"AcmeKeyReuse on\nAcmeKeyType {kind}")
    served = issue_one(acme_httpd)
    renew(acme_httpd)
    again = acme_httpd.served_cert(SHOP)
    assert serial(again) != serial(served) and tlsa(again.leaf) == tlsa(served.leaf)
    acme_httpd.stop()
    acme_httpd.start()
    renew(acme_httpd)
    assert tlsa(acme_httpd.served_cert(SHOP).leaf) == tlsa(served.leaf)
    key = f"Acme[{SHOP}/{kind.rstrip('0123456789').partition('-')[0]}]KeyTLSA311"
    assert acme_httpd.server_status()[key] == tlsa(served.leaf)
    # off again: a new one
    acme_httpd.config("AcmeKeyReuse off")
    acme_httpd.graceful()
    renew(acme_httpd)
    assert tlsa(acme_httpd.served_cert(SHOP).leaf) != tlsa(served.leaf)
    assert key not in acme_httpd.server_status()


def test_keys_reuse_that_the_ca_refuses_ends(httpd, make_fakeca):
    from . import faults

    ca = make_fakeca()
    httpd.acme(ca, "AcmeKeyReuse on")
    served = issue_one(httpd)
    ca.script("finalize", faults.problem("badPublicKey", "compromised"))
    assert acmectl(httpd, "renew", SHOP).returncode == 1
    renew(httpd)
    assert tlsa(httpd.served_cert(SHOP).leaf) != tlsa(served.leaf)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa2048"])
def test_keys_next_is_told_before_it_serves(acme_httpd, pebble, kind):
    acme_httpd.config(f"AcmeKeyReuse next\nAcmeKeyType {kind}")
    prefix = f"Acme[{SHOP}/{kind.rstrip('0123456789').partition('-')[0]}]"
    served = issue_one(acme_httpd)
    for _ in range(2):
        status = wait_until(
            lambda: acme_httpd.server_status().get(f"{prefix}NextKeyTLSA311")
            and acme_httpd.server_status(), 30, "the next key",
        )  # fmt: skip
        announced = status[f"{prefix}NextKeyTLSA311"]
        assert status[f"{prefix}KeyTLSA311"] == tlsa(served.leaf) != announced
        said = rf"ACME1560: .*3 1 1 {tlsa(served.leaf)} is in use.* 3 1 1 {announced} will be"
        assert re.search(said, acme_httpd.log())
        # a restart changes nothing of it
        acme_httpd.stop()
        acme_httpd.start()
        wait_until(
            lambda: acme_httpd.server_status().get(f"{prefix}NextKeyTLSA311") == announced, 10, "it"
        )
        renew(acme_httpd)
        served = acme_httpd.served_cert(SHOP)
        assert tlsa(served.leaf) == announced


@pytest.mark.needs_root
def test_keys_next_is_sealed(acme_httpd, pebble):
    acme_httpd.config("AcmeKeyReuse next")
    issue_one(acme_httpd)
    acme_httpd.wait_log("ACME1560")
    path = acme_httpd.store / "keys" / SHOP / "ecdsa.next"
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in path.read_bytes()
