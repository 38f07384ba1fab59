"""What the server itself saw of a CA's validation: who came, and who answered how."""

import re
import socket
import ssl

import pytest

from .proc import wait_until

PREFIX = "/.well-known/acme-challenge/"
SHOP, BLOG = "shop.example.org", "blog.example.org"


def hits(httpd, name=SHOP):
    """Lines of the visits of a name, without their time."""
    text = httpd.get("/server-status?auto", port=httpd.admin_port).text
    return re.findall(rf"^AcmeHit\[{re.escape(name)}\]: \S+Z (.*)$", text, re.MULTILINE)


def wait_hits(httpd, number, name=SHOP):
    """A visit is written down a moment after its answer."""
    return wait_until(
        lambda: len(found := hits(httpd, name)) >= number and found,
        10,
        lambda: f"{number} visits of {name}, but: {hits(httpd, name)}",
    )


@pytest.fixture
def waiting(make_waiting):
    return make_waiting("AcmeChallenges http-01")


def where(httpd, name, port):
    """The line that the virtual host of name begins at."""
    lines = httpd.conf.read_text().splitlines()
    at = next(
        n for n, line in enumerate(lines)
        if line == f"<VirtualHost *:{port}>" and f"ServerName {name}" in lines[n + 1]
    )  # fmt: skip
    return f"{httpd.conf}:{at + 1}"


@pytest.mark.all_mpms
def test_visit_that_was_answered(waiting):
    httpd, ca, start = waiting
    start(SHOP)
    assert hits(httpd) == []
    ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    assert wait_hits(httpd, 1) == [
        f"http-01 for {SHOP} from 127.0.0.1 at port {httpd.http_port}: "
        f"shown the proof by {SHOP} ({where(httpd, SHOP, httpd.http_port)})"
    ]
    httpd.graceful()
    assert len(hits(httpd)) == 1


def test_visit_that_somebody_else_answered(waiting):
    httpd, _, start = waiting
    known = start(SHOP, BLOG, http_extra="<Location />\nRequire all denied\n</Location>")
    assert httpd.get(PREFIX + "guess", host=SHOP).status == 403
    assert httpd.get(PREFIX + known[SHOP], host=BLOG).status == 403
    assert httpd.get(PREFIX + "guess", host="other.example.org").status in (403, 404)
    assert httpd.get("/", host=SHOP).status == 403
    guess, other = sorted(wait_hits(httpd, 2), key=lambda line: "something else" not in line)
    assert guess.endswith(
        f"something else at {SHOP} from 127.0.0.1 at port {httpd.http_port}: "
        f"answered 403 by {SHOP} ({where(httpd, SHOP, httpd.http_port)})"
    )
    assert f"http-01 for {BLOG} from" in other and f"answered 403 by {BLOG}" in other
    assert hits(httpd, BLOG) == []


def test_flood_of_guesses_leaves_what_matters(waiting):
    httpd, ca, start = waiting
    token = start(SHOP)[SHOP]
    assert httpd.get(PREFIX + token, host=SHOP).status == 200
    for n in range(200):
        httpd.get(f"{PREFIX}guess-{n}", host=SHOP)
    ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    found = wait_hits(httpd, 6)
    assert len([line for line in found if "shown the proof" in line]) == 2
    assert len([line for line in found if "something else" in line]) == 4


def test_names_that_nobody_proves_have_no_visits(waiting):
    httpd, ca, start = waiting
    start(SHOP)
    ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    httpd.vhost(BLOG, https=False)
    httpd.graceful()
    assert httpd.get(PREFIX + "x", host=BLOG).status == 404
    assert "AcmeHit[" + BLOG not in httpd.get("/server-status?auto", port=httpd.admin_port).text


def shake_hands(port, name, alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    with socket.create_connection(("127.0.0.1", port), 10) as conn:
        try:
            with context.wrap_socket(conn, server_hostname=name) as tls:
                return tls.selected_alpn_protocol()
        except ssl.SSLError:
            return None  # httpd chose what was not offered


def test_handshakes(make_httpd, make_fakeca):
    httpd = make_httpd()
    ca = make_fakeca(validate="http", tls_port=httpd.https_port)
    ca.validation_gate.clear()
    httpd.acme(ca, "AcmeChallenges tls-alpn-01")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("challenge")
    assert shake_hands(httpd.https_port, SHOP, ["h2", "http/1.1"]) != "acme-tls/1"
    ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    assert shake_hands(httpd.https_port, SHOP, ["acme-tls/1"]) != "acme-tls/1"
    first, second = wait_hits(httpd, 2)
    host = f"by {SHOP} ({where(httpd, SHOP, httpd.https_port)})"
    begin = f"tls-alpn-01 for %s from 127.0.0.1 at port {httpd.https_port}: "
    assert first == begin % SHOP + f"shown the proof {host}"
    assert second == begin % f"something else at {SHOP}" + f"not shown the proof {host}"


def test_hostile_words_of_visitors_stay_one_line(waiting):
    httpd, _, start = waiting
    token = start(SHOP)[SHOP]
    with socket.create_connection(("127.0.0.1", httpd.http_port), 10) as conn:
        conn.sendall(
            f"GET {PREFIX}{token} HTTP/1.1\r\nHost: {SHOP}\r\n".encode()
            + b"User-Agent: <b>\xff\xfe\x1b[31m" + b"x" * 3000 + b"\r\n\r\n"
        )
        assert conn.recv(100)
    (line,) = wait_hits(httpd, 1)
    assert line.isprintable()
