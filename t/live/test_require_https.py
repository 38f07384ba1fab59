"""AcmeRequireHttps: plain requests go to https once that works, by names of the certificate alone."""

import re
import subprocess

import pytest

from .proc import free_port
from .test_http01 import PREFIX, raw

SHOP, WWW, BLOG = "shop.example.org", "www.shop.example.org", "blog.example.org"
HSTS = "strict-transport-security"
HALF_YEAR = "max-age=15768000"


@pytest.fixture
def issued(acme_httpd):
    """A function starting the server once the given certificates are to come; waits for them."""

    def start(*names):
        acme_httpd.start()
        for name in names:
            acme_httpd.wait_cert(name)
        return acme_httpd

    return start


def site(httpd, name=SHOP, **options):
    options["https_extra"] = "AcmeManage on\n" + options.get("https_extra", "")
    return httpd.vhost(name, **options)


def location(reply):
    """(status, Location) of a Response; the name stands without the test's port."""
    return reply.status, reply.headers.get("location")


def test_sleeps_until_the_certificate_is_there(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    ca.validation_gate.clear()
    httpd.acme(ca, extra="AcmeRequireHttps permanent")
    site(httpd)
    try:
        httpd.start()
        ca.wait_request("challenge")
        reply = httpd.get("/", host=SHOP)
        assert (reply.status, reply.text) == (200, f"hello from {SHOP}\n")
        assert HSTS not in reply.headers
        waiting = httpd.get("/", host=SHOP, https=True)
        assert waiting.status == 503 and HSTS not in waiting.headers
    finally:
        ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    assert location(httpd.get("/", host=SHOP)) == (301, f"https://{SHOP}/")
    assert httpd.get("/", host=SHOP, https=True).headers[HSTS] == HALF_YEAR
    httpd.graceful()
    assert location(httpd.get("/", host=SHOP)) == (301, f"https://{SHOP}/")
    assert httpd.get("/", host=SHOP, https=True).headers[HSTS] == HALF_YEAR


@pytest.mark.all_mpms
@pytest.mark.parametrize("mode", ["temporary", "permanent"])
def test_method_path_and_query_are_kept(acme_httpd, issued, mode):
    acme_httpd.config(f"AcmeRequireHttps {mode}")
    site(acme_httpd, aliases=[WWW])
    httpd = issued(SHOP)
    moved, kept = {"temporary": (302, 307), "permanent": (301, 308)}[mode]
    for method, status in [("GET", moved), ("HEAD", moved), ("POST", kept), ("PUT", kept),
                           ("DELETE", kept), ("OPTIONS", kept), ("BREW", kept)]:  # fmt: skip
        body = b"a=b" if method in ("POST", "PUT") else None
        reply = httpd.get("/a%20b/;c?d=%26&e", host=WWW, method=method, body=body)
        assert location(reply) == (status, f"https://{WWW}/a%20b/;c?d=%26&e"), method
        assert HSTS not in reply.headers
    for path in ("/", "/x//elsewhere.example/", "/?", "/%0d%0aX-Evil:%201", "/@elsewhere.example"):
        assert location(httpd.get(path, host=SHOP)) == (moved, f"https://{SHOP}{path}")
    two = httpd.get("//elsewhere.example/", host=SHOP)
    assert location(two) == (moved, f"https://{SHOP}/elsewhere.example/"), "as httpd reads it"
    assert (HSTS in httpd.get("/", host=SHOP, https=True).headers) == (mode == "permanent")


def test_redirect_does_not_end_the_connection(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps temporary")
    site(acme_httpd)
    httpd = issued(SHOP)
    one = f"POST /x HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 3\r\n\r\nabc"
    answer = raw(httpd.http_port, one * 2)
    assert len(re.findall(r"HTTP/1.1 307 ", answer)) == 2, answer


def hostile():
    """name -> (octets, status, Location or None)."""
    host, shop = f"Host: {SHOP}\r\n", f"https://{SHOP}/"
    return {
        "1.0-without-host": ("GET /a?b HTTP/1.0\r\n\r\n", "302", f"{shop}a?b"),
        "other-host": ("GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", "302", f"{shop}a"),
        "address": ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "302", shop),
        "v6": ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "302", shop),
        "below": (f"GET / HTTP/1.1\r\nHost: x.{SHOP}\r\n\r\n", "302", shop),
        "left-out-alias": ("GET / HTTP/1.1\r\nHost: a.pattern.example\r\n\r\n", "302", shop),
        "upper": (f"GET / HTTP/1.1\r\nHost: {SHOP.upper()}:81\r\n\r\n", "301", shop),
        "absolute": (f"GET http://{SHOP}/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "301", f"{shop}a?b"),
        "absolute-other": (f"GET http://evil.example/a HTTP/1.1\r\n{host}\r\n", "302", f"{shop}a"),
        "user": (f"GET / HTTP/1.1\r\nHost: {SHOP}@evil.example\r\n\r\n", "400", None),
        "two-hosts": (f"GET / HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n", "400", None),
        "no-host": ("GET / HTTP/1.1\r\n\r\n", "400", None),
        "cr": (f"GET /a\rX: y HTTP/1.1\r\n{host}\r\n", "400", None),
        "host-cr": (f"GET / HTTP/1.1\r\nHost: {SHOP}\rX: y\r\n\r\n", "400", None),
        "quotes": (f"GET /\"<>'\\?`{{|}}^ HTTP/1.1\r\n{host}\r\n", "301",
                   f"{shop}%22%3C%3E'%5C?%60%7B%7C%7D%5E"),
        "octets": (f"GET /\xff HTTP/1.1\r\n{host}\r\n".encode("latin-1"), "301", f"{shop}%FF"),
        "star": (f"OPTIONS * HTTP/1.1\r\n{host}\r\n", "200", None),
    }  # fmt: skip


@pytest.mark.parametrize("options", ["Strict", "Unsafe"])
def test_hostile_requests_lead_to_names_of_the_certificate(acme_httpd, issued, options):
    acme_httpd.config(f"HttpProtocolOptions {options}\nAcmeRequireHttps permanent")
    site(acme_httpd, aliases=["*.pattern.example"])
    httpd = issued(SHOP)
    for name, (text, status, wanted) in hostile().items():
        answer = raw(httpd.http_port, text)
        head = answer.partition("\r\n\r\n")[0]
        found = re.search(r"^Location: (.*?)\r?$", head, re.MULTILINE)
        assert not re.search(r"^X: ", head, re.MULTILINE), name
        assert "strict-transport" not in head.lower(), name
        if options == "Unsafe" and not wanted:
            # what it lets through goes to our own names all the same
            assert not found or found[1].startswith(f"https://{SHOP}/"), (name, answer)
            continue
        assert head[9:12] == status, (name, answer)
        assert (found and found[1]) == wanted, (name, answer)


def test_challenge_path_is_never_touched(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps permanent")
    root = site(acme_httpd)
    folder = root / ".well-known/acme-challenge"
    folder.mkdir(parents=True)
    folder.joinpath("of-certbot").write_text("its answer\n")
    httpd = issued(SHOP)
    assert httpd.get("/", host=SHOP).status == 301
    assert httpd.get(PREFIX + "of-certbot", host=SHOP).text == "its answer\n"
    assert httpd.get(PREFIX + "nobodys", host=SHOP).status == 404
    assert httpd.get(PREFIX, host=SHOP).status in (403, 404)


def test_hsts_is_in_every_answer_by_tls_and_once(acme_httpd, issued):
    root = site(
        acme_httpd,
        https_extra="AcmeRequireHttps permanent 1d\n"
        "ErrorDocument 403 /index.html\n"
        '<Location /own>\nHeader set Strict-Transport-Security "max-age=7"\n</Location>\n'
        '<Location /always>\nHeader always set Strict-Transport-Security "max-age=8"\n</Location>\n'
        "<Location /denied>\nRequire all denied\n</Location>\n"
        "Redirect /moved /index.html\n",
    )
    for name in ("own", "always"):
        (root / name).write_text("x")
    httpd = issued(SHOP)
    for path, status, age in [("/", 200, 86400), ("/missing", 404, 86400), ("/denied", 403, 86400),
                              ("/moved", 302, 86400), ("/own", 200, 7), ("/always", 200, 8)]:  # fmt: skip
        reply = httpd.get(path, host=SHOP, https=True)
        assert (reply.status, reply.headers[HSTS]) == (status, f"max-age={age}"), path
    seen = subprocess.run(
        ["curl", "-ski", "--resolve", f"{SHOP}:{httpd.https_port}:127.0.0.1",
         *[f"https://{SHOP}:{httpd.https_port}{path}" for path in ("/", "/own", "/always", "/x")]],
        capture_output=True, text=True, timeout=20, check=True,
    ).stdout  # fmt: skip
    assert len(re.findall(f"(?im)^{HSTS}:", seen)) == 4, seen
    # the host with TLS decides for plain requests to its names
    assert location(httpd.get("/", host=SHOP)) == (301, f"https://{SHOP}/")
    assert HSTS not in httpd.get("/missing", host=SHOP).headers


def test_each_host_says_for_itself(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps permanent")
    site(acme_httpd)
    site(acme_httpd, BLOG, extra="AcmeRequireHttps off")
    site(acme_httpd, "half.example.org", http_extra="AcmeRequireHttps off")
    site(acme_httpd, "other.example.org", https_extra="AcmeRequireHttps off", http=False)
    site(acme_httpd, "soft.example.org", extra="AcmeRequireHttps temporary")
    acme_httpd.vhost("own.example.org", cert="self")
    acme_httpd.vhost("plain.example.org", https=False)
    names = [SHOP, BLOG, "half.example.org", "other.example.org", "soft.example.org"]
    httpd = issued(*names)
    plain = {name: httpd.get("/", host=name) for name in names}
    tls = {name: httpd.get("/", host=name, https=True) for name in names}
    assert {name: reply.status for name, reply in plain.items()} == dict(
        zip(names, (301, 200, 200, 200, 302))
    )
    assert {name: HSTS in reply.headers for name, reply in tls.items()} == dict(
        zip(names, (True, False, True, False, False))
    )
    assert {reply.status for reply in tls.values()} == {200}
    for name in ("own.example.org", "plain.example.org"):
        assert httpd.get("/", host=name).text == f"hello from {name}\n"
    assert HSTS not in httpd.get("/", host="own.example.org", https=True).headers
    assert httpd.get("/server-status", port=httpd.admin_port).status == 200


def test_host_without_a_plain_virtual_host_is_redirected_from_the_server_itself(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps permanent")
    site(acme_httpd, http=False)
    httpd = issued(SHOP)
    assert location(httpd.get("/x", host=SHOP)) == (301, f"https://{SHOP}/x")
    assert httpd.get("/", host="main.invalid").status == 200, "no certificate has its name"


def test_name_that_is_added_waits_for_its_certificate(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    httpd.acme(ca, extra="AcmeRequireHttps permanent")
    site(httpd)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.clear_config().acme(ca, extra="AcmeRequireHttps permanent")
    site(httpd, aliases=[WWW])
    ca.validation_gate.clear()
    try:
        httpd.graceful()
        assert location(httpd.get("/", host=SHOP)) == (301, f"https://{SHOP}/")
        assert httpd.get("/", host=WWW).status == 200
    finally:
        ca.validation_gate.set()
    httpd.wait_cert(WWW, lambda served: WWW in served.names)
    assert location(httpd.get("/", host=WWW)) == (301, f"https://{WWW}/")
    assert location(httpd.get("/", host=SHOP)) == (301, f"https://{SHOP}/")


def test_port_is_that_where_the_outside_arrives(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps temporary")
    port = free_port()
    site(acme_httpd)
    site(acme_httpd, BLOG, https=port)
    httpd = issued(SHOP)
    httpd.wait_cert(BLOG, port=port)
    assert location(httpd.get("/", host=SHOP)) == (302, f"https://{SHOP}/")
    assert location(httpd.get("/", host=BLOG)) == (302, f"https://{BLOG}:{port}/")


def test_tls_before_the_server_is_not_redirected_again(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps permanent")
    site(acme_httpd, http=False)
    acme_httpd.vhost(f"https://{SHOP}", https=False)
    httpd = issued(SHOP)
    assert httpd.get("/", host=SHOP).status == 200


def test_http2_has_hsts_and_h2c_is_redirected(make_httpd, make_pebble):
    httpd = make_httpd(modules=["http2"])
    pebble = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port)
    httpd.acme(pebble, extra="AcmeRequireHttps permanent\nProtocols h2 h2c http/1.1")
    site(httpd)
    httpd.start()
    httpd.wait_cert(SHOP)

    def curl(*args):
        return subprocess.run(
            ["curl", "-skiv", "--connect-to", f"{SHOP}::127.0.0.1:", *args],
            capture_output=True, text=True, timeout=20, check=True,
        ).stdout  # fmt: skip

    for path, status in (("/", 200), ("/missing", 404)):
        said = curl("--http2", f"https://{SHOP}:{httpd.https_port}{path}")
        assert said.startswith(f"HTTP/2 {status}") and f"{HSTS}: {HALF_YEAR}" in said, said
    said = curl("--http2-prior-knowledge", f"http://{SHOP}:{httpd.http_port}/a?b")
    assert said.startswith("HTTP/2 301") and f"location: https://{SHOP}/a?b" in said, said
    assert HSTS not in said


@pytest.mark.parametrize(
    "arguments,said",
    [
        ("on", '"on" is none of off, temporary and permanent'),
        ("temporary 1d", '"1d" follows temporary, where browsers are told nothing'),
        ("permanent -1", "-1 is not a duration"),
        ("permanent 10%", "10% is not a duration"),
        ("permanent 999999999999999999999", "is not a duration"),
    ],
)
def test_other_arguments_are_refused(httpd, arguments, said):
    httpd.load_acme().config(f"AcmeRequireHttps {arguments}")
    done = httpd.configtest()
    assert done.returncode == 1
    assert said in done.stderr and "ACME1010: AcmeRequireHttps" in done.stderr


def test_directive_in_vain_is_told_once(acme_httpd, issued):
    site(acme_httpd)
    acme_httpd.vhost("plain.example.org", https=False, extra="AcmeRequireHttps permanent")
    acme_httpd.vhost("own.example.org", cert="self", extra="AcmeRequireHttps off")
    httpd = issued(SHOP)
    told = re.findall(r"ACME1059: .*", httpd.log())
    assert len(told) == 1 and "no name of the host plain.example.org " in told[0], told


def test_names_below_a_wildcard_are_redirected_to_themselves(httpd, make_fakeca):
    dns = "AcmeChallenges dns-01\nAcmeDnsCommand /bin/true\nAcmeDnsWait 0"
    httpd.acme(make_fakeca(), extra=f"AcmeRequireHttps permanent\n{dns}")
    site(httpd, aliases=[f"*.{SHOP}"])
    httpd.start()
    httpd.wait_cert(SHOP)
    assert location(httpd.get("/x", host=WWW)) == (301, f"https://{WWW}/x")
    # deeper than the certificate goes, though httpd lets it be this host: only for now
    assert location(httpd.get("/x", host=f"a.{WWW}")) == (302, f"https://{SHOP}/x")


def test_address_as_a_name_and_two_kinds_of_key(acme_httpd, issued):
    acme_httpd.config("AcmeRequireHttps permanent")
    site(acme_httpd, "127.0.0.1")
    site(acme_httpd, https_extra="AcmeKeyType ecdsa-p256 rsa2048")
    httpd = issued(SHOP)
    httpd.wait_cert(None, lambda s: not s.self_signed and "127.0.0.1" in s.names)
    assert location(httpd.get("/", host="127.0.0.1")) == (301, "https://127.0.0.1/")
    assert location(httpd.get("/", host=SHOP)) == (301, f"https://{SHOP}/")
