"""Ways to a CA: through a proxy, by IPv6 alone, with old HTTP."""

import socket

import pytest

from .proc import wait_until
from .proxy import Proxy
from .conftest import watch
from .test_issue import acmectl, serial

SHOP, BLOG = "shop.example.org", "blog.example.org"
USER = ("acme", "s3cret%2Fword")  # as it stands in a URL
INSIDE = "ca.inside.invalid"  # no resolver knows it


@pytest.fixture
def make_proxy(request, live_dir):
    """A function starting a Proxy; its arguments are Proxy's but for the folder."""
    made = []

    def make(start=True, **options):
        proxy = watch(request, Proxy(live_dir / f"proxy{len(made)}", **options))
        made.append(proxy)
        return proxy.start() if start else proxy

    yield make
    for proxy in made:
        proxy.stop()


def inside_ca(httpd, make_fakeca):
    """A CA that only the proxy can find."""
    return make_fakeca(validate="http", http_port=httpd.http_port, host=INSIDE)


def everything_said(httpd):
    """Log and status, in which no secret may be."""
    said = [httpd.log(), httpd.console.read_text()]
    for query in ("", "?auto", "?notable"):
        said.append(httpd.get(f"/server-status{query}", port=httpd.admin_port).text)
    return "\n".join(said)


WAYS = {
    "http": {},
    "https": {"tls": True},
    "basic": {"user": ("acme", "s3cret/word")},
    "digest": {"user": ("acme", "s3cret/word"), "scheme": "Digest"},
    "https-basic": {"tls": True, "user": ("acme", "s3cret/word")},
}


@pytest.mark.parametrize("way", WAYS)
def test_ca_is_reached_through_the_proxy(httpd, make_fakeca, make_proxy, way):
    ca = inside_ca(httpd, make_fakeca)
    proxy = make_proxy(**WAYS[way])
    trust = proxy.trust_file if proxy.tls else ""
    httpd.acme(ca, f"AcmeProxy {proxy.url(USER if proxy.user else None)} {trust}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    before = serial(httpd.wait_cert(SHOP))
    assert set(proxy.tunnels) == {f"{INSIDE}:{ca.port}"} and not proxy.odd
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert serial(httpd.wait_cert(SHOP)) != before
    assert "s3cret" not in everything_said(httpd) and "s3cret" not in done.stdout


FAULTS = {
    "down": ({"start": False}, None, "ocalhost|refused"),
    "refuses": ({"refusal": 403}, None, "403"),
    "gateway": ({"refusal": 502}, None, "502"),
    "user-wanted": ({"user": ("acme", "s3cret/word")}, None, "407"),
    "wrong-password": ({"user": ("acme", "s3cret/other")}, USER, "407"),
    "not-trusted": ({"tls": True}, USER, "certificate"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_proxy_that_fails_is_named_and_another_one_tried_at_once(
    httpd, make_fakeca, make_proxy, fault
):
    options, user, words = FAULTS[fault]
    ca = inside_ca(httpd, make_fakeca)
    proxy, good = make_proxy(**options), make_proxy()
    httpd.acme(ca, f"AcmeRetry 1h\nAcmeProxy {proxy.url(user)}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    line = httpd.wait_log(r"ACME1262: .*next attempt at.*").group(0)
    assert INSIDE in line and f"localhost:{proxy.port}" in line
    assert any(word in line for word in words.split("|")), line
    wait_until(lambda: any("proxy" in v for v in httpd.server_status().values()), 10, "status")
    assert "s3cret" not in everything_said(httpd)
    assert httpd.served_cert(SHOP).self_signed and not ca.requests
    httpd.clear_config().acme(ca, f"AcmeRetry 1h\nAcmeProxy {good.url()}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.graceful()
    httpd.wait_cert(SHOP)


def test_missing_trust_file_of_the_proxy_is_named_and_missed_no_longer(
    httpd, make_fakeca, make_proxy
):
    ca, proxy = inside_ca(httpd, make_fakeca), make_proxy(tls=True)
    path = httpd.folder / "proxy.pem"
    httpd.acme(ca, f"AcmeRetry 1s 1s\nAcmeProxy {proxy.url()} {path}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    path.write_bytes(proxy.trust_file.read_bytes())
    httpd.start()
    before = serial(httpd.wait_cert(SHOP))
    path.unlink()
    httpd.graceful()
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode != 0 and "1272" in done.stdout + done.stderr
    line = httpd.wait_log(r"ACME1272: .*").group(0)
    assert f"trust file {path} to check the proxy https://localhost:{proxy.port}" in line
    assert str(ca.ca_file) not in line
    path.write_bytes(proxy.trust_file.read_bytes())
    wait_until(lambda: serial(httpd.served_cert(SHOP)) != before, 20, lambda: httpd.log())


def test_one_certificate_goes_without_the_proxy_of_the_others(httpd, make_fakeca, make_proxy):
    ca, other = inside_ca(httpd, make_fakeca), make_fakeca()
    proxy = make_proxy()
    httpd.acme(ca, f"AcmeProxy {proxy.url()}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.vhost(
        BLOG,
        https_extra=f"AcmeManage on\nAcmeCA {other.directory_url}\n"
        f"AcmeCATrustFile {other.ca_file}\nAcmeProxy none",
    )
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_cert(BLOG)
    assert set(proxy.tunnels) == {f"{INSIDE}:{ca.port}"}


def test_environment_names_no_proxy(httpd, make_fakeca, make_proxy):
    ca = make_fakeca()
    proxy = make_proxy()
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        httpd.env[name] = proxy.url()
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    assert not proxy.tunnels and not proxy.odd


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
