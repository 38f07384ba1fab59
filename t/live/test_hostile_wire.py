"""What a hostile CA can do below HTTP's meaning: bodies and headers without end, framing that lies,
connections that break or fall silent. Each fault at each endpoint; all of them at one time, since
the engine does nothing but wait.

What the answers can say is tried by t/replay/test_hostile.c.
"""

import gzip
import re
import socket

import pytest

from . import fakeca as f
from .fakeca import Reply
from .proc import free_port
from .test_engine import Drive

ENDPOINTS = (
    "directory", "new-nonce", "new-account", "new-order", "authz", "challenge", "finalize", "order",
    "certificate",
)  # fmt: skip
MEMORY = 32 * 1024  # KiB, for all that a CA can send


def with_headers(*lines):
    """More header lines, as they are; a Content-Length among them takes the place of the right one."""

    def action(_exchange, reply):
        if any("content-length" in line.lower() for line in lines):
            reply.headers["Content-Length"] = None
            reply.length = 0  # the connection ends behind it
        reply.headers["X-First"] = "\r\n".join(("1",) + lines)
        return reply

    return action


def endless(unit):
    """A body that ends when the client does: 32 MiB without a Content-Length."""

    def action(_exchange, reply):
        reply.headers["Content-Length"] = None
        reply.length, reply.chunk = 0, 65536
        reply.body = unit * (32 * 1024 * 1024 // len(unit))
        return reply

    return action


def compressed(change=lambda body: body):
    """Nobody asked for that: "Accept-Encoding" was not sent."""

    def action(_exchange, reply):
        reply.headers["Content-Encoding"] = "gzip"
        reply.body = gzip.compress(change(reply.body))
        return reply

    return action


def chunked(text):
    def action(_exchange, reply):
        reply.headers["Content-Length"] = None
        reply.headers["Transfer-Encoding"] = "chunked"
        reply.length, reply.body = 0, text
        return reply

    return action


BODIES = {
    "endless-json": endless(b'{"a":[[[['),
    "endless-space": endless(b" " * 64),
    "endless-pem": endless(b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
    "endless-chunk": chunked(b"fffffff\r\n" + b"x" * 2_000_000),
    "big": f.big(),
    "compressed": compressed(),
    "bomb": compressed(lambda _: b" " * (64 * 1024 * 1024)),
    "endless-header": with_headers("X-Long: " + "x" * 200_000),
    "headers": with_headers(*["X-Filler: 0123456789abcdef"] * 5000),
    "nonce-of-a-megabyte": with_headers("Replay-Nonce: " + "n" * 1_000_000),
}
FRAMING = {
    "reset": f.reset(),
    "reset-in-body": f.reset(5),
    "truncated": f.truncate(5),
    "length-too-long": with_headers("Content-Length: 100000"),
    "length-negative": with_headers("Content-Length: -1"),
    "length-huge": with_headers("Content-Length: 99999999999999999999999"),
    "length-none": with_headers("Content-Length: none"),
    "lengths-differ": with_headers("Content-Length: 3", "Content-Length: 5"),
    "chunk-negative": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk-huge": chunked(b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "chunk-no-number": chunked(b"{}"),
    "encoding-unknown": with_headers("Transfer-Encoding: rot13"),
    "header-without-colon": with_headers("nonsense"),
    "header-folded": with_headers("Replay-Nonce: a", "  b"),
    "nonce-of-strange-octets": with_headers('Replay-Nonce: "},{"'),
    "link-without-end": with_headers("Link: <" + "a" * 9000),
    "status-999": f.status(999, b"{}"),
    "status-204": lambda _exchange, reply: Reply(204),
}
SLOW = {"silence": f.silence(), "drip": f.drip(1, 0.9)}


class Case:
    """An engine and its CA, which does one thing wrong once at each of some endpoints."""

    def __init__(self, name, folder, ca, action, endpoints=ENDPOINTS, more=()):
        self.name, self.ca = name, ca
        ca.allow_violations = True
        for endpoint in endpoints:
            ca.script(endpoint, action, when="after")
        folder.mkdir()
        options = ("--seconds", "100", "--retry", "1", *more)
        self.drive = Drive(folder, ca, [f"{name.lower()}.example.org"], *options).start()

    def complaint(self):
        """What is wrong with how it ended; or None."""
        status = self.drive.finish(120)
        text = self.drive.text()
        memory = int(re.search(r"(\d+) KiB", text).group(1)) if status in (0, 1) else 0
        if status != 0 or memory > MEMORY or len(self.ca.requests) > 150:
            asked = self.ca.endpoints()
            return f"{self.name}: {status}, {memory} KiB, {len(asked)}: {asked[-20:]}\n{text}"
        return None


def run(cases):
    """All at one time: they do little but wait."""
    complaints = [text for text in [case.complaint() for case in cases] if text]
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def make_case(make_fakeca, live_dir):
    """A function starting a Case."""
    made = []

    def make(name, action, *args, **options):
        made.append(Case(name, live_dir / name, make_fakeca(processing_polls=1), action, *args, **options))
        return made[-1]

    yield make
    for case in made:
        case.drive.process.kill()


def test_mod_md_cve_2026_29168_endless_bodies_are_cut_off(make_case):
    run([make_case(name, action) for name, action in BODIES.items()])


def test_framing_that_lies_is_trouble_that_passes(make_case):
    """HTTP is the same at all of them: one of each kind of request and reply is enough."""
    endpoints = ("new-nonce", "new-order", "certificate")
    run([make_case(name, action, endpoints) for name, action in FRAMING.items()])


def test_silence_and_drip_end_in_time_at_every_endpoint(make_case):
    """In three seconds here; in the server it is ACME_TRANSPORT_PATIENCE."""
    run([
        make_case(f"{kind}-{endpoint}", SLOW[kind], (endpoint,), ("--patience", "3"))
        for kind in SLOW
        for endpoint in ENDPOINTS
    ])  # fmt: skip


def test_redirect_leads_nowhere(make_case):
    """It is a refusal, and nobody comes to the port that is named."""
    listener = socket.create_server(("127.0.0.1", free_port()))
    listener.settimeout(0)
    where = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    endpoints = (
        "directory", "new-account", "new-order", "authz", "finalize", "order", "certificate",
    )  # fmt: skip
    cases = [
        make_case(
            endpoint, f.status(code, headers={"Location": where}), (endpoint,), ("--until-failed",)
        )
        for code, endpoint in zip((301, 302, 303, 307, 308, 301, 302), endpoints)
    ]
    run(cases)
    assert all("ACME1208" in case.drive.text() for case in cases)
    with pytest.raises(BlockingIOError):
        listener.accept()
