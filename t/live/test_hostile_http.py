"""Hostile requests by everybody's way: to the challenge path, the status page and the redirect.

One server for all of it: SHOP is redirected to its certificate, BLOG has a challenge open, and the
status page is on PAGE. Each request is judged by what no answer may ever be, whatever httpd makes
of it.
"""

import re
import shutil
import socket
import struct
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import hpack
import pytest

from . import proc
from .fakeca import FakeCA, tokens
from .httpd import Httpd

SHOP, BLOG, PAGE = "shop.example.org", "blog.example.org", "status.example.org"
PREFIX = "/.well-known/acme-challenge/"
HTML = '"><script>alert(1)</script>'
INJECTED = "X-Injected"
INSIDE = b"GET /inside HTTP/1.1\r\nHost: inside.example\r\n\r\n"


class Target:
    """Where a request goes: its Host and its path."""

    def __init__(self, server, host, path):
        self.server, self.host, self.path = server, host, path

    def ask(self, *headers, method="GET", path=None, host=None, version="HTTP/1.1", body=b""):
        """Octets of a request; headers may be malformed."""
        host = self.host if host is None else host
        lines = [f"{method} {path or self.path} {version}", f"Host: {host}", *headers, "", ""]
        return "\r\n".join(lines).encode("latin-1") + body


class Server:
    """The httpd, and what its answers must be like."""

    def __init__(self, folder):
        self.httpd = Httpd(folder / "httpd", modules=("http2",))
        self.ca = FakeCA(folder / "ca", validate="http", http_port=self.httpd.http_port)

    def start(self):
        self.ca.start()
        httpd = self.httpd.acme(self.ca, "AcmeChallenges http-01")
        httpd.config("Protocols h2 h2c http/1.1")
        require = "AcmeRequireHttps permanent"
        httpd.vhost(SHOP, https_extra=f"AcmeManage on\n{require}", http_extra=require)
        page = "<Location /acme-status>\nSetHandler acme-status\n</Location>"
        httpd.vhost(PAGE, https=False, extra=page)
        httpd.start()
        httpd.wait_cert(SHOP)
        self.ca.validation_gate.clear()
        httpd.vhost(BLOG, https_extra="AcmeManage on")
        httpd.graceful()
        self.ca.wait_request("challenge", 2)
        self.token = tokens(self.ca)[BLOG]
        self.targets = [
            Target(self, BLOG, PREFIX + self.token),
            Target(self, SHOP, "/a?b"),
            Target(self, PAGE, "/acme-status"),
        ]
        self.is_well()

    def stop(self, check):
        self.ca.validation_gate.set()
        try:
            self.httpd.stop(check)
        finally:
            self.ca.stop()

    def raw(self, octets):
        """All that comes back for them."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.httpd.http_port), 10) as conn:
            try:
                conn.sendall(octets)
                conn.shutdown(socket.SHUT_WR)
                while piece := conn.recv(65536):
                    answer += piece
            except (BrokenPipeError, ConnectionResetError):
                pass  # it would not have more
        return answer

    def is_well(self):
        """Everybody still gets what he should."""
        reply = self.httpd.get(PREFIX + self.token, host=BLOG)
        assert reply.status == 200 and reply.text.startswith(f"{self.token}.")
        assert self.httpd.get("/x", host=SHOP).headers["location"] == f"https://{SHOP}/x"
        assert self.httpd.get("/acme-status", host=PAGE).status == 200

    def faults(self, answer, proof):
        """What is wrong with an answer; proof: whether it may be the challenge's."""
        text = answer.decode("latin-1")
        head = text.partition("\r\n\r\n")[0]
        found = []
        if text and text.startswith("HTTP/") and not re.match(r"HTTP/1\.[01] [1-5]\d\d ", text):
            found.append("status line")
        if re.search(rf"(?im)^{INJECTED}:", head) or re.search(r"\r(?!\n)|\0", head):
            found.append("header injected")
        for location in re.findall(r"(?im)^location: (.*?)\r?$", head):
            url = urlsplit(location)
            if url.scheme != "https" or url.netloc != SHOP or re.search(r"[^!-~]|[\\<>\"]", location):
                found.append(f"Location: {location}")
        if HTML in text or HTML[2:] in text:
            found.append("reflected as it is")
        if re.search(r"(?im)^access-control-", head):
            found.append("opens itself to other sites")
        if "inside" in text:
            found.append("answers a request within a request")
        if f"{self.token}." in text and not proof:
            found.append("shows the proof")
        return found

    def judge(self, requests):
        """requests: {name: (octets, whether they ask for the proof)}. Gives {name: faults}."""
        found = {}
        for name, (octets, proof) in requests.items():
            answer = self.raw(octets)
            if wrong := self.faults(answer, proof):
                found[name] = (wrong, answer[:300])
        self.is_well()
        return found


@pytest.fixture(scope="module")
def server(request):
    base = Path(tempfile.mkdtemp(prefix="acme-hostile-"))
    base.chmod(0o755)
    failed = request.session.testsfailed
    with proc.ports():
        made = Server(base)
        try:
            made.start()
            yield made
        finally:
            made.stop(request.session.testsfailed == failed)
    shutil.rmtree(base, ignore_errors=True)


def each(server, shapes):
    """Every shape for every target: {"name host": (octets, whether they ask for the proof)}."""
    return {
        f"{name} {target.host}": (shape(target), target.host == BLOG)
        for name, shape in shapes.items()
        for target in server.targets
    }


# --- requests within requests ------------------------------------------------------------


def within(*headers, body=INSIDE):
    return lambda t: t.ask(*headers, body=body)


def chunks(text):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)


LENGTH = f"Content-Length: {len(INSIDE)}"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = {
    "length": within(LENGTH),
    "chunked": within(CHUNKED, body=chunks(INSIDE)),
    "length-and-chunked": within(f"Content-Length: {len(INSIDE) + 5}", CHUNKED, body=b"0\r\n\r\n" + INSIDE),
    "chunked-and-length": within(CHUNKED, f"Content-Length: {len(INSIDE) + 5}", body=b"0\r\n\r\n" + INSIDE),
    "two-lengths": within("Content-Length: 0", LENGTH),
    "two-lengths-in-one": within(f"Content-Length: 0, {len(INSIDE)}"),
    "length-plus": within(f"Content-Length: +{len(INSIDE)}"),
    "length-negative": within("Content-Length: -1"),
    "length-huge": within("Content-Length: 99999999999999999999999"),
    "length-hex": within("Content-Length: 0x10"),
    "coding-unknown": within("Transfer-Encoding: xchunked"),
    "coding-twice": within(CHUNKED, "Transfer-Encoding: identity", LENGTH),
    "coding-not-last": within("Transfer-Encoding: chunked, gzip"),
    "coding-space": within("Transfer-Encoding : chunked", LENGTH),
    "coding-folded": within("Transfer-Encoding:\r\n chunked", LENGTH, body=b"0\r\n\r\n" + INSIDE),
    "coding-tab": within("Transfer-Encoding:\tchunked", LENGTH, body=b"0\r\n\r\n" + INSIDE),
    "coding-cr": within("X: y\rTransfer-Encoding: chunked", LENGTH),
    "coding-nul": within("Transfer-Encoding: chunked\0", LENGTH),
    "chunk-size-cut": within(CHUNKED, body=b"fffffffffffffffff\r\n" + INSIDE),
    "chunk-size-negative": within(CHUNKED, body=b"-1\r\n" + INSIDE),
    "chunk-extension-endless": within(CHUNKED, body=b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n"),
    "trailers": within(CHUNKED, body=b"0\r\nContent-Length: 9\r\nX-Injected: y\r\n\r\n"),
    "expect": within("Expect: 100-continue", LENGTH),
    "upgrade": within("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__",
                      LENGTH),
}  # fmt: skip


def test_no_request_within_a_request_is_answered(server):
    assert server.judge(each(server, SMUGGLED)) == {}


# --- odd requests --------------------------------------------------------------------------

CRLF = f"%0d%0a{INJECTED}: y"


def path(*texts):
    """Put in place of what a target's path ends with."""
    return [lambda t, text=text: t.ask(path=t.path.rpartition("/")[0] + "/" + text) for text in texts]


def host(text):
    return lambda t: t.ask(host=text)


ODD = {
    "0.9": lambda t: f"GET {t.path}\r\n".encode(),
    "1.0-without-host": lambda t: f"GET {t.path} HTTP/1.0\r\n\r\n".encode(),
    "1.1-without-host": lambda t: f"GET {t.path} HTTP/1.1\r\n\r\n".encode(),
    "version-odd": lambda t: t.ask(version="HTTP/1.9"),
    "version-two": lambda t: t.ask(version="HTTP/2.0"),
    "version-html": lambda t: t.ask(version=HTML),
    "absolute": lambda t: t.ask(path=f"http://{t.host}{t.path}", host="evil.example"),
    "absolute-other": lambda t: t.ask(path=f"http://evil.example{t.path}"),
    "absolute-odd-scheme": lambda t: t.ask(path=f"gopher://evil.example{t.path}"),
    "absolute-user": lambda t: t.ask(path=f"http://{t.host}@evil.example{t.path}"),
    "authority": lambda t: t.ask(path="evil.example:443"),
    "connect": lambda t: t.ask(method="CONNECT", path="evil.example:443"),
    "star": lambda t: t.ask(method="OPTIONS", path="*"),
    "double-slash": lambda t: t.ask(path="//evil.example/"),
    "double-slash-encoded": lambda t: t.ask(path="/%2fevil.example/"),
    "backslashes": lambda t: t.ask(path="/\\evil.example/"),
    "slash-and-at": lambda t: t.ask(path="/@evil.example/"),
    "path-crlf": lambda t: t.ask(path=t.path + CRLF),
    "path-cr": lambda t: t.ask(path=f"{t.path}\r{INJECTED}: y"),
    "path-lf": lambda t: t.ask(path=f"{t.path}\n{INJECTED}: y"),
    "query-crlf": lambda t: t.ask(path=f"{t.path.partition('?')[0]}?{CRLF}"),
    "query-html": lambda t: t.ask(path=f"{t.path.partition('?')[0]}?search={HTML}&certificate={HTML}"),
    "query-html-encoded": lambda t: t.ask(
        path=f"{t.path.partition('?')[0]}?search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&format={HTML}"
    ),
    "tab": lambda t: t.ask(path=t.path + "\ta"),
    "headers-huge": lambda t: t.ask(f"X: {'a' * 100_000}"),
    "headers-many": lambda t: t.ask(*[f"X-{n}: y" for n in range(5000)]),
    "header-without-colon": lambda t: t.ask("nonsense"),
    "header-html": lambda t: t.ask(f"{HTML}: y", f"Referer: {HTML}", f"User-Agent: {HTML}"),
    "header-empty-name": lambda t: t.ask(": y"),
    "header-folded-host": lambda t: t.ask(host=f"{t.host}\r\n evil.example"),
    "lf-alone": lambda t: t.ask().replace(b"\r\n", b"\n"),
    "forwarded": lambda t: t.ask("X-Forwarded-Host: evil.example", "Forwarded: host=evil.example",
                                 "X-Forwarded-Proto: https", "X-Original-URL: /x"),
    "range": lambda t: t.ask("Range: bytes=0-1,0-2,0-3", "If-Range: x"),
    "tls": lambda t: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "nothing": lambda t: b"\r\n" * 1000,
    "garbage": lambda t: bytes(range(256)) * 20 + b"\r\n\r\n",
    **{f"method-{name}": lambda t, name=name: t.ask(method=name)
       for name in ("TRACE", "OPTIONS", "PROPFIND", "PUT", "PATCH", "DELETE", "get", "G\0T", HTML, "A" * 9000)},
    **{f"path-{n}": shape for n, shape in enumerate(path(
        "%2e%2e/%2e%2e/etc/passwd", "../../../etc/passwd", "..;/x", "%", "%z", "%00", "a%00b", "\0", "%u0041",
        "%c0%ae%c0%ae/", "\xff\xfe", "a" * 5000, "a" * 100_000, "%41" * 2000, HTML, ".", "..", "./x", "x/", "x;y",
        "%25%30%64%25%30%61", "\x7f", "a b"))},
    **{f"host-{n}": host(text) for n, text in enumerate((
        "", " ", "unknown.example", "evil.example", f"{SHOP}.", f"{SHOP}..", f".{SHOP}", f"{SHOP}:80", f"{SHOP}:443",
        f"{SHOP}:0", f"{SHOP}:99999", f"{SHOP}:-1", f"{SHOP}:x", f"{SHOP}:", f"{SHOP}@evil.example",
        f"evil.example@{SHOP}", f"{SHOP}/evil.example", f"{SHOP}\\evil.example", f"{SHOP}?x", f"{SHOP}#x",
        f"{SHOP},evil.example", f"{SHOP} evil.example", f"{SHOP}\tevil", f"{SHOP}\r{INJECTED}: y",
        f"{SHOP}\n{INJECTED}: y", f"{SHOP}\0.evil.example", f"{SHOP}%00.evil.example", f"{SHOP}{CRLF}", HTML,
        "[::1]", "[::1]:80", "[::1", "::1", "[::1%25eth0]", "[evil.example]", "127.0.0.1", "2130706433", "0x7f.1",
        "b\xc3\xbccher.example", "xn--bcher-kva.example", "xn--", "*", f"*.{SHOP}", "a" * 255, "a" * 9000, "-",
        "localhost", SHOP.upper()))},
}  # fmt: skip


def test_odd_requests_are_answered_without_harm(server):
    assert server.judge(each(server, ODD)) == {}


# --- from other sites -----------------------------------------------------------------------


def state(server):
    """What a request could have set off."""
    store = server.httpd.store
    files = {path.relative_to(store): path.stat().st_mtime_ns for path in (store / "control").rglob("*")}
    return files, len(server.ca.requests_to("new-order", "revoke-cert", "key-change", "new-account"))


def test_other_sites_can_neither_read_nor_set_off_anything(server):
    before = state(server)
    evil = {"Origin": "https://evil.example", "Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site",
            "Content-Type": "application/x-www-form-urlencoded", "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "x", "X-HTTP-Method-Override": "POST", "Cookie": "a=b"}  # fmt: skip
    for query in ("", "format=json", "format=prometheus", "format=css", "format=html", f"certificate={SHOP}",
                  f"action=renew&certificate={SHOP}", f"renew={SHOP}&revoke={SHOP}&reload=1"):  # fmt: skip
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            reply = server.httpd.get(f"/acme-status?{query}", host=PAGE, method=method, headers=evil, body=b"a=b")
            fields = reply.headers
            assert not [name for name in fields if name.startswith("access-control") or name == "set-cookie"]
            if method not in ("GET", "HEAD"):
                assert (reply.status, method) == (405, method)
                continue
            assert reply.status == 200
            policy = dict(part.strip().split(" ", 1) for part in fields["content-security-policy"].split(";"))
            assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert policy["form-action"] == policy["style-src"] == "'self'" and len(policy) == 5
            assert fields["x-content-type-options"] == "nosniff" and fields["x-frame-options"] == "DENY"
            assert fields["cache-control"] == "no-store" and fields["referrer-policy"] == "no-referrer"
            assert fields["cross-origin-resource-policy"] == "same-origin"
    for path in (PREFIX + server.token, "/x"):
        fields = server.httpd.get(path, host=BLOG if "acme" in path else SHOP, headers=evil).headers
        assert not [name for name in fields if name.startswith("access-control") or name == "set-cookie"]
    assert state(server) == before


# --- HTTP/2 -----------------------------------------------------------------------------------

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 3, 4, 7, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def ask(target, more=(), **pseudo):
    """A header block, of whatever octets."""
    asked = {"method": "GET", "scheme": "http", "path": target.path, "authority": target.host, **pseudo}
    pairs = [(f":{name}", value) for name, value in asked.items()]
    return block(*pairs, *more)


def block(*pairs):
    return hpack.Encoder().encode([(name.encode(), value.encode("latin-1")) for name, value in pairs])


class H2:
    """A connection of HTTP/2 without TLS."""

    def __init__(self, port):
        self.conn = socket.create_connection(("127.0.0.1", port), 10)
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    def close(self):
        self.conn.close()

    def send(self, octets):
        """Whether it was taken."""
        try:
            self.conn.sendall(octets)
            return True
        except OSError:
            return False

    def answer(self):
        """[header fields] of the answer on stream 1, and its data, until it ends or is refused."""
        heads, data, decoder = [], b"", hpack.Decoder()
        with self.conn, self.conn.makefile("rb") as lines:
            while len(head := lines.read(9)) == 9:
                kind, flags = head[3], head[4]
                payload = lines.read(int.from_bytes(head[:3], "big"))
                if kind == HEADERS:
                    heads.append(decoder.decode(payload))
                if kind == DATA:
                    data += payload
                if kind in (RST_STREAM, GOAWAY) or kind in (HEADERS, DATA) and flags & END_STREAM:
                    break
        return heads, data


def resident(pids):
    """Memory of these processes, in KiB."""
    return sum(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) for pid in pids)


def test_http2_floods_do_no_harm(server):
    port, pids = server.httpd.http_port, {child.pid for child in server.httpd.children()}
    before = resident(pids)
    for target in server.targets:
        # opened and reset, again and again
        h2 = H2(port)
        for stream in range(1, 4001, 2):
            reset = frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
            if not h2.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, ask(target)) + reset):
                break
        h2.close()
        server.is_well()
        # headers without an end
        h2 = H2(port)
        h2.send(frame(HEADERS, END_STREAM, 1, ask(target)))
        more = frame(CONTINUATION, 0, 1, block(("x", "y" * 4000)))
        for _ in range(5000):
            if not h2.send(more):
                break
        h2.close()
        server.is_well()
    assert pids <= {child.pid for child in server.httpd.children()}
    assert resident(pids) < before + 10_000, "20 MB of headers were kept"


ODD_H2 = {
    "plain": lambda t: ask(t),
    "path-crlf": lambda t: ask(t, path=f"{t.path}\r\n{INJECTED}: y"),
    "path-nul": lambda t: ask(t, path=f"{t.path}\0"),
    "path-html": lambda t: ask(t, path=f"/{HTML}"),
    "path-empty": lambda t: ask(t, path=""),
    "path-absolute": lambda t: ask(t, path=f"http://evil.example{t.path}"),
    "path-double-slash": lambda t: ask(t, path="//evil.example/"),
    "method-odd": lambda t: ask(t, method=HTML),
    "method-connect": lambda t: ask(t, method="CONNECT"),
    "scheme-https": lambda t: ask(t, scheme="https"),
    "authority-evil": lambda t: ask(t, authority="evil.example"),
    "authority-user": lambda t: ask(t, authority=f"{t.host}@evil.example"),
    "authority-crlf": lambda t: ask(t, authority=f"{t.host}\r\n{INJECTED}: y"),
    "host-differs": lambda t: ask(t, [("host", "evil.example")]),
    "value-crlf": lambda t: ask(t, [("x", f"y\r\n{INJECTED}: y")]),
    "coding": lambda t: ask(t, [("transfer-encoding", "chunked")]),
    "length": lambda t: ask(t, [("content-length", "5")]),
    "path-twice": lambda t: ask(t, [(":path", "/inside")]),
}


def test_http2_has_no_odd_requests_either(server):
    found, answered = {}, 0
    for name, shape in ODD_H2.items():
        for target in server.targets:
            h2 = H2(server.httpd.http_port)
            h2.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, shape(target)))
            heads, data = h2.answer()
            answered += len(heads)
            # as it would have been in HTTP/1
            lines = ["HTTP/1.1 " + dict(heads[0])[":status"] + " "] if heads else ["HTTP/1.1 400 "]
            lines += [f"{key}: {value}" for head in heads for key, value in head if key != ":status"]
            answer = "\r\n".join([*lines, "", ""]).encode("latin-1") + data
            if wrong := server.faults(answer, target.host == BLOG):
                found[f"{name} {target.host}"] = (wrong, answer[:300])
    assert found == {} and answered > 20
    server.is_well()


HARMFUL = {
    "header injected": f"HTTP/1.1 301 x\r\nLocation: https://{SHOP}/\r\n{INJECTED}: y\r\n\r\n",
    "cr": f"HTTP/1.1 301 x\r\nLocation: https://{SHOP}/\r{INJECTED}: y\r\n\r\n",
    "elsewhere": "HTTP/1.1 301 x\r\nLocation: https://evil.example/\r\n\r\n",
    "user": f"HTTP/1.1 301 x\r\nLocation: https://{SHOP}@evil.example/\r\n\r\n",
    "port": f"HTTP/1.1 301 x\r\nLocation: https://{SHOP}:81/\r\n\r\n",
    "plain": f"HTTP/1.1 301 x\r\nLocation: http://{SHOP}/\r\n\r\n",
    "backslash": f"HTTP/1.1 301 x\r\nLocation: https://{SHOP}/\\evil.example\r\n\r\n",
    "reflected": f"HTTP/1.1 404 x\r\n\r\n<p>{HTML}",
    "shared": "HTTP/1.1 200 x\r\nAccess-Control-Allow-Origin: *\r\n\r\n",
    "two answers": "HTTP/1.1 200 x\r\n\r\nHTTP/1.1 404 x\r\n\r\n/inside is not here",
}


def test_harm_would_be_seen(server):
    assert not server.faults(b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\nwell", False)
    assert [name for name, text in HARMFUL.items() if not server.faults(text.encode(), False)] == []
    assert server.faults(f"HTTP/1.1 200 x\r\n\r\n{server.token}.x".encode(), False)
