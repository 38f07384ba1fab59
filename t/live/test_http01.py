"""The challenge path: a known token is answered under everything, and nothing else ever is."""

import fcntl
import socket

import pytest

PREFIX = "/.well-known/acme-challenge/"
SHOP, BLOG = "shop.example.org", "blog.example.org"


@pytest.fixture
def waiting(make_waiting):
    return make_waiting()


def raw(port, text):
    """Send octets as they are; the whole answer."""
    with socket.create_connection(("127.0.0.1", port), 10) as conn:
        conn.sendall(text if isinstance(text, bytes) else text.encode())
        conn.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := conn.recv(65536):
            answer += piece
    return answer.decode(errors="replace")


@pytest.mark.all_mpms
@pytest.mark.parametrize(
    "rules, without",
    [
        ("Redirect permanent / https://elsewhere.example/", 301),
        ("RewriteEngine on\nRewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]", 301),
        ("ProxyPass / http://127.0.0.1:1/", 503),
        ("<Location />\nRequire all denied\n</Location>", 403),
        ("<Location />\nAuthType Basic\nAuthName x\nAuthUserFile /nonexistent\n"
         "Require valid-user\n</Location>", 401),
        ("Alias /.well-known/acme-challenge /nonexistent", 404),
    ],
    ids=["redirect", "rewrite", "proxy", "denied", "auth", "alias"],
)  # fmt: skip
def test_known_token_is_answered_under(waiting, rules, without):
    """And nothing else goes round them: no other token, no other path, no other host's token."""
    httpd, _, start = waiting
    known = start(SHOP, BLOG, http_extra=rules)
    token = known[SHOP]
    reply = httpd.get(PREFIX + token, host=SHOP)
    assert reply.status == 200
    assert reply.text.startswith(token + ".") and len(reply.text) == len(token) + 44
    for path in (token + "x", token[:-1], "", known[BLOG], token + "/../../secret"):
        assert httpd.get(PREFIX + path, host=SHOP).status == without, path


def test_known_token_is_answered_for_its_own_host_alone(waiting):
    httpd, _, start = waiting
    known = start(SHOP, BLOG)
    assert httpd.get(PREFIX + known[SHOP], host=SHOP).status == 200
    assert httpd.get(PREFIX + known[BLOG], host=BLOG).status == 200
    assert httpd.get(PREFIX + known[SHOP], host=BLOG).status == 404
    assert httpd.get(PREFIX + known[SHOP], host="other.example.org").status == 404
    assert httpd.get(PREFIX + known[SHOP], host=SHOP.upper() + ":80").status == 200


def test_known_token_where_no_plain_virtual_host_has_the_name(waiting):
    httpd, _, start = waiting
    token = start(SHOP, http=False)[SHOP]
    assert httpd.get(PREFIX + token, host=SHOP).status == 200


@pytest.mark.all_mpms
def test_token_is_gone_after_the_validation(waiting):
    httpd, ca, start = waiting
    token = start(SHOP)[SHOP]
    assert httpd.get(PREFIX + token, host=SHOP).status == 200
    ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    assert httpd.get(PREFIX + token, host=SHOP).status == 404


def test_other_clients_challenge_files_are_left_alone(waiting):
    httpd, _, start = waiting
    start(SHOP)
    folder = httpd.htdocs / SHOP / ".well-known/acme-challenge"
    folder.mkdir(parents=True)
    folder.joinpath("of-certbot").write_text("its answer\n")
    assert httpd.get(PREFIX + "of-certbot", host=SHOP).text == "its answer\n"


def odd_requests(token):
    path = PREFIX + token
    host = f"Host: {SHOP}\r\n"
    return {
        "no-host-1.1": (f"GET {path} HTTP/1.1\r\n\r\n", "400"),
        "no-host-1.0": (f"GET {path} HTTP/1.0\r\n\r\n", "404"),
        "1.0-with-host": (f"GET {path} HTTP/1.0\r\n{host}\r\n", "200"),
        "absolute-form": (f"GET http://{SHOP}{path} HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        "absolute-form-other": (f"GET http://x.example{path} HTTP/1.1\r\n{host}\r\n", "404"),
        "head": (f"HEAD {path} HTTP/1.1\r\n{host}\r\n", "200"),
        "post": (f"POST {path} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n", "404"),
        "odd-method": (f"BREW {path} HTTP/1.1\r\n{host}\r\n", ("404", "405", "501")),
        "query": (f"GET {path}?x=1 HTTP/1.1\r\n{host}\r\n", "200"),
        "encoded-slash": (f"GET {PREFIX}%2f{token} HTTP/1.1\r\n{host}\r\n", "404"),
        "encoded-token": (f"GET {PREFIX}%{ord(token[0]):x}{token[1:]} HTTP/1.1\r\n{host}\r\n", "404"),
        "dots": (f"GET {PREFIX}../acme-challenge/{token}/ HTTP/1.1\r\n{host}\r\n", "404"),
        "backslash": (f"GET {PREFIX}..\\{token} HTTP/1.1\r\n{host}\r\n", "404"),
        "empty-token": (f"GET {PREFIX} HTTP/1.1\r\n{host}\r\n", "404"),
        "long": (f"GET {PREFIX}{'a' * 100000} HTTP/1.1\r\n{host}\r\n", "414"),
        "long-ish": (f"GET {PREFIX}{'a' * 8000} HTTP/1.1\r\n{host}\r\n", ("403", "404")),
        "nul": (f"GET {path}\0x HTTP/1.1\r\n{host}\r\n", "400"),
        "old": (f"GET {path}\r\n", ("400", "404", "")),
        "two-hosts": (f"GET {path} HTTP/1.1\r\nHost: {BLOG}\r\n{host}\r\n", "400"),
    }


def test_odd_requests_get_their_own_answer_and_nothing_breaks(waiting):
    httpd, _, start = waiting
    known = start(SHOP, BLOG)
    for name, (text, expected) in odd_requests(known[SHOP]).items():
        answer = raw(httpd.http_port, text)
        status = answer[9:12] if answer.startswith("HTTP/1.") else ""
        wanted = expected if isinstance(expected, tuple) else (expected,)
        assert status in wanted, (name, answer[:300])
        assert (known[SHOP] + "." in answer) == (status == "200" and name != "head"), name
        assert known[BLOG] not in answer, name
    assert httpd.get(PREFIX + known[SHOP], host=SHOP).status == 200


@pytest.mark.all_mpms
def test_answer_ends_the_connection_and_says_so(waiting):
    httpd, _, start = waiting
    token = start(SHOP)[SHOP]
    answer = raw(httpd.http_port, f"GET {PREFIX}{token} HTTP/1.1\r\nHost: {SHOP}\r\n\r\n")
    assert "connection: close" in answer.lower()
    assert answer.split("\r\n\r\n", 1)[1].startswith(token + ".")


def test_traefik_cve_2023_47124_unknown_tokens_wait_for_nothing(waiting):
    """The store is away and its lock held: a flood of guesses is answered all the same, and the
    known token beside it."""
    httpd, _, start = waiting
    token = start(SHOP)[SHOP]
    with open(httpd.store / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        away = httpd.store.rename(httpd.store.with_name("away"))
        try:
            guesses = "".join(
                f"GET {PREFIX}guess-{n} HTTP/1.1\r\nHost: {SHOP}\r\n\r\n" for n in range(50)
            )
            for _ in range(20):
                answers = raw(httpd.http_port, guesses)
                assert answers.count("HTTP/1.1 404") == 50, answers[:300]
            assert httpd.get(PREFIX + token, host=SHOP).status == 200
        finally:
            away.rename(httpd.store)
