"""Certificates for IP addresses (RFC 8738)."""

import ipaddress

import pytest
from cryptography import x509

from .test_issue import acmectl, serial
from .test_tlsalpn import ALPN, IDENTIFIER

V4, V6 = "127.0.0.1", "::1"


def addresses_of(cert):
    """The iPAddress entries, which must not be dNSNames that look like addresses."""
    san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert not san.get_values_for_type(x509.DNSName)
    return [str(one) for one in san.get_values_for_type(x509.IPAddress)]


def listen(httpd, ca, config=""):
    return httpd.acme(
        ca, f"Listen [::1]:{httpd.http_port}\nListen [::1]:{httpd.https_port}\n{config}"
    )


def wait_served(httpd, host, address):
    return httpd.wait_cert(None, lambda s: not s.self_signed and address in s.names, host=host)


@pytest.mark.all_mpms
@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_issue_for_ipv4_as_servername(make_httpd, make_pebble, mpm, challenge):
    httpd = make_httpd(mpm=mpm)
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port, authz_reuse=0)
    httpd.acme(ca, f"AcmeChallenges {challenge}")
    httpd.vhost(V4, https_extra="AcmeManage on")
    httpd.start()
    served = wait_served(httpd, V4, V4)
    assert addresses_of(served.leaf) == [V4]
    reply = httpd.get("/", host=V4, https=True, ca=ca.root_file())
    assert (reply.status, reply.text) == (200, f"hello from {V4}\n")
    assert acmectl(httpd, "renew", V4).returncode == 0
    assert serial(httpd.served_cert(None)) != serial(served)


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_issue_for_both_families_by_declaration(make_httpd, make_pebble, challenge):
    """httpd takes no IPv6 address as ServerName."""
    httpd = make_httpd()
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port, authz_reuse=0)
    listen(httpd, ca, f"AcmeChallenges {challenge}\n<AcmeCertificate {V6} {V4}>\n</AcmeCertificate>")
    httpd.vhost("main.example.org", https_extra=f"AcmeManage {V6}")
    httpd.start()
    served = wait_served(httpd, V6, V6)
    assert sorted(addresses_of(served.leaf)) == sorted([V4, V6])
    assert serial(httpd.served_cert(None)) == serial(served)
    assert acmectl(httpd, "renew", V6).returncode == 0
    served = httpd.served_cert(None, host=V6)
    httpd.graceful()
    assert serial(httpd.served_cert(None)) == serial(served)
    assert (httpd.store / "certificates/0--1/ecdsa/chain.pem").exists()


def test_address_beside_a_name_by_declaration(make_httpd, make_pebble):
    httpd = make_httpd()
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port)
    httpd.acme(ca, f"<AcmeCertificate shop.example.org {V4}>\n</AcmeCertificate>")
    httpd.vhost("shop.example.org", https_extra="AcmeManage on")
    httpd.start()
    served = httpd.wait_cert("shop.example.org")
    assert sorted(served.names) == [V4, "shop.example.org"]


def test_reverse_name_reaches_whichever_host_is_the_first(make_httpd, make_fakeca):
    """No host is called 1.0.0.127.in-addr.arpa: the first one answers, and is not even managed."""
    httpd = make_httpd(modules=("http2",))
    ca = make_fakeca(validate="http", tls_port=httpd.https_port)
    ca.validation_gate.clear()
    httpd.acme(
        ca, "AcmeChallenges tls-alpn-01\nProtocols h2 http/1.1\nSSLStrictSNIVHostCheck on"
    )
    httpd.vhost("own.example.org", cert="self")
    httpd.vhost(V4, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("challenge")
    reverse = ipaddress.ip_address(V4).reverse_pointer
    for version in ("1.2", "1.3"):
        served = httpd.served_cert(reverse, version=version, alpn=[ALPN])
        assert served.alpn == ALPN and addresses_of(served.leaf) == [V4]
        assert served.leaf.extensions.get_extension_for_oid(IDENTIFIER).critical
        for sni in (reverse, "own.example.org", None):
            plain = httpd.served_cert(sni, version=version, alpn=["h2"])
            assert plain.issuer == "Administrator's own root"
    ca.validation_gate.set()
    httpd.wait_log(f"ACME1500.*{V4}")


@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]", "[::1]:80"])
def test_http_token_by_any_spelling_of_the_address(make_httpd, make_fakeca, host):
    httpd = make_httpd()
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    ca.validation_gate.clear()
    listen(httpd, ca, f"<AcmeCertificate {V6}>\n</AcmeCertificate>")
    httpd.vhost("main.example.org", https_extra=f"AcmeManage {V6}")
    httpd.start()
    ca.wait_request("challenge")
    authz = next(iter(ca.authzs.values()))
    token = next(one["token"] for one in authz["challenges"] if one["type"] == "http-01")
    reply = httpd.get(f"/.well-known/acme-challenge/{token}", host=host)
    assert reply.status == 200 and reply.text.startswith(token + ".")
    assert httpd.get(f"/.well-known/acme-challenge/{token}", host="[::2]").status == 404
    ca.validation_gate.set()


def test_order_asks_for_addresses_as_such(make_httpd, make_fakeca):
    httpd = make_httpd()
    ca = make_fakeca()
    httpd.acme(ca, f"<AcmeCertificate {V6} {V4} shop.example.org>\n</AcmeCertificate>")
    httpd.vhost("shop.example.org", https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert("shop.example.org")
    order = ca.requests_to("new-order")[0].payload
    assert sorted((one["type"], one["value"]) for one in order["identifiers"]) == [
        ("dns", "shop.example.org"), ("ip", V4), ("ip", V6),
    ]  # fmt: skip


def test_private_address_is_nothing_for_a_public_ca(httpd):
    httpd.load_acme().config("AcmeCA letsencrypt\nAcmeAgreeTerms on\nAcmeManage on")
    httpd.vhost("10.0.0.1")
    run = httpd.configtest()
    assert "ACME1014" in run.stderr and "it is a private address" in run.stderr
