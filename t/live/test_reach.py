"""Ways to a CA: by IPv6 alone, with old HTTP."""

import socket

import pytest

SHOP = "shop.example.org"

# --- IPv6 alone, and HTTP of former times -------------------------------------------


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_ca_that_has_ipv6_alone(httpd, make_fakeca, host):
    ca = make_fakeca(
        validate="http", http_port=httpd.http_port, address="::1", host=host
    )
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)


HTTPS = {
    "no-alpn": {"alpn": ()},
    "http-1.1-alone": {"alpn": ("http/1.1",)},
    "connection-close": {"http": "close", "alpn": ()},
    "http-1.0": {"http": "1.0", "alpn": ()},
}


@pytest.mark.parametrize("kind", HTTPS)
def test_ca_with_old_http(httpd, make_fakeca, kind):
    ca = make_fakeca(validate="http", http_port=httpd.http_port, **HTTPS[kind])
    names = [f"h{n}.example.org" for n in range(12)]
    httpd.acme(ca, "AcmeManage on")
    for name in names:
        httpd.vhost(name)
    httpd.start()
    for name in names:
        httpd.wait_cert(name)
    assert len(ca.accounts) == 1 and len(ca.orders) == len(names)
