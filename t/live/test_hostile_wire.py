"""What a hostile CA can do below HTTP's meaning: bodies and headers without end, framing that lies,
connections that break or fall silent. Each fault at each endpoint; all of them at one time, since
the engine does nothing but wait.

What the answers can say is tried by t/replay/test_hostile.c.
"""

import gzip
import itertools
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from . import fakeca as f
from .fakeca import Reply
from .proc import free_port, wait_until
from .test_engine import BUILD, Drive
from .test_issue import acmectl, serial

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
        # one that is watched needs more memory than is allowed here
        self.drive = Drive(folder, ca, [f"{name.lower()}.example.org"], *options, program=BUILD / "t/engine/drive")
        self.drive.start()

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


# --- what is asked of a CA beside certificates, by a real server -------------------------------

MEANING = {
    "html": f.html(200, "Welcome"),
    "array": f.body(b"[]"),
    "deep": f.body(b"[" * 50_000),
    "members-of-wrong-types": f.body({"status": [], "contact": 7, "suggestedWindow": "now"}),
}
UNREACHABLE, TIMEOUT, TOO_BIG = 1200, 1203, 1204
NUMBERS = {**dict.fromkeys(BODIES, TOO_BIG), **dict.fromkeys(FRAMING, UNREACHABLE)}
# What is in the body does not matter to an errand; the rest libcurl sends again, or can read.
HARMLESS = {
    *MEANING, "compressed", "bomb", "status-204", "reset", "lengths-differ", "length-huge", "header-folded",
    "nonce-of-strange-octets", "link-without-end",
}  # fmt: skip
# And here the body matters.
READABLE = {"reset", "length-huge", "header-folded", "nonce-of-strange-octets", "link-without-end"}

TELLS, READS = {"matches": lambda one: bool(one.payload)}, {"matches": lambda one: not one.payload}
# What acmectl is told, and the requests of it that are answered wrongly, each once.
ERRANDS = {
    "contacts": ("account contact --ca {url} b@example.org", [("account", TELLS)]),
    "rollover": ("account rollover {url}", [("key-change", TELLS), ("new-account", TELLS)]),
    "revocation": ("revoke {name}", [("revoke-cert", TELLS)]),
    # one who has been told already cannot read that account any more
    "deactivation": ("account deactivate --yes {url}", [("account", TELLS), ("account", READS)]),
}


def carry(server, text, ca, name, errand, actions):
    """Let acmectl ask for it; its CompletedProcess, and the numbers of what was told and asked again."""
    words, requests = ERRANDS[errand]
    for (endpoint, which), action in zip(requests, actions):
        if endpoint == "revoke-cert":  # it is answered with nothing
            action = f.chain(f.body({"status": "valid"}), action)
        ca.script(endpoint, action, when="after", **which)
    before = text()
    done = acmectl(server, *words.format(url=ca.directory_url, name=name).split())
    ca.clear_script()
    pattern = rf"ACME(\d+):? .*{re.escape(ca.base)}/.*; asked again at 2"
    return done, set(map(int, re.findall(pattern, text()[len(before):])))


def assert_done(ca, errands):
    """What the CA has of it all, once."""
    (account,), certs = ca.accounts.values(), ca.certs.values()
    new_key = account["jwk"] != ca.requests_to("new-account")[0].protected["jwk"]
    found = {
        "contacts": account["contact"] == ["mailto:b@example.org"], "rollover": new_key,
        "revocation": [one["revoked"] is None for one in certs] == [False, True],
        "deactivation": account["status"] == "deactivated",
    }  # fmt: skip
    assert {errand for errand in found if found[errand]} == set(errands)
    assert len(certs) == (2 if "revocation" in errands else 1)


class Host:
    """A virtual host with a CA of its own, which answers each errand wrongly, all in one way."""

    def __init__(self, httpd, attack, ca, action):
        self.httpd, self.ca, self.attack, self.action = httpd, ca, attack, action
        self.name = f"{attack}.example.org"
        ca.allow_violations = True
        ca.script("renewal-info", action, when="after")
        own = f"AcmeManage on\nAcmeCA {ca.directory_url}\nAcmeCATrustFile {ca.ca_file}"
        httpd.vhost(self.name, http=False, https_extra=own)

    def served(self):
        """The serial of what is served, if that is the newest of this CA's."""
        newest = list(self.ca.certs.values())[-1]["cert"].serial_number
        found = serial(self.httpd.served_cert(self.name))
        return found if found == newest else None

    def run(self):
        """All of them, one after another; what is wrong with how they ended."""
        return [text for errand in ERRANDS if (text := self._complaint(errand))]

    def _complaint(self, errand):
        before = self.served()
        ways = itertools.repeat(self.action)
        done, told = carry(self.httpd, self.httpd.log, self.ca, self.name, errand, ways)
        if errand == "revocation":
            wait_until(lambda: self.served() not in (before, None), 30, f"{self.name} is served another")
            before = self.served()
        right = told <= {UNREACHABLE} if self.attack in HARMLESS else told == {NUMBERS[self.attack]}
        if done.returncode == 0 and right and before and self.served() == before:
            return None
        return f"{self.name} {errand}: {done.returncode}, {told}, {done.stdout}{done.stderr}"


def peak(pid):
    """KiB."""
    return int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def windows(httpd):
    """How many certificates have renewal information."""
    docs = [json.loads(path.read_text()) for path in httpd.store.glob("work/*/ecdsa.ari")]
    return sum(doc["start"] > "2" for doc in docs)


def test_errands_and_renewal_information_are_asked_again_and_harm_nothing(httpd, make_fakeca):
    httpd.acme(make_fakeca(), "AcmeContact a@example.org")
    attacks = {**BODIES, **FRAMING, **MEANING}
    hosts = [Host(httpd, name, make_fakeca(), action) for name, action in attacks.items()]
    httpd.start()
    engine = int(httpd.wait_log(r"\[pid (\d+).*ACME1501").group(1))
    before = peak(engine)
    for host in hosts:
        httpd.wait_cert(host.name)
    with ThreadPoolExecutor(len(hosts)) as pool:
        complaints = [text for found in pool.map(Host.run, hosts) for text in found]
    assert not complaints, "\n".join(complaints)
    for host in hosts:
        assert_done(host.ca, ERRANDS)
        if host.attack not in READABLE:
            httpd.wait_log(rf"ACME1230: \[{host.name}/ecdsa\] .*; it is asked for again at 2")
    assert engine in [child.pid for child in httpd.children()] and httpd.log().count("ACME1501") == 1
    assert peak(engine) - before < MEMORY
    # put off is not given up: another process begins anew
    for path in httpd.store.glob("work/*/ecdsa.ari"):
        path.unlink()
    httpd.graceful()
    wait_until(lambda: windows(httpd) == len(hosts), 30, lambda: f"{windows(httpd)} of {len(hosts)}")
    assert all(host.served() for host in hosts)


def test_silence_and_drip_end_in_time_in_every_errand(make_fakeca, live_dir):
    """Also where the request before, which was done, got no answer: then it is asked about."""
    cases = []
    for (kind, slow), (errand, (_, requests)) in itertools.product(SLOW.items(), ERRANDS.items()):
        for n in range(len(requests)):
            folder, ca = live_dir / f"{kind}-{errand}-{n}", make_fakeca()
            folder.mkdir()
            ca.allow_violations = True
            actions = [*[f.reset()] * n, f.chain(f.body(b"{" + b" " * 200), slow)]
            name = f"{folder.name}.example.org"
            drive = Drive(folder, ca, [f"@{name}"], "--stay", "--patience", "3", "--seconds", "100")
            cases.append((drive, drive.text, ca, name, errand, actions))
    try:
        for drive, *_ in cases:
            drive.start()
        for drive, _, _, name, *_ in cases:
            drive.wait_text(f"status {name} valid")
        with ThreadPoolExecutor(len(cases)) as pool:
            found = list(pool.map(lambda case: carry(*case), cases))
        for (drive, _, ca, name, errand, _), (done, told) in zip(cases, found):
            assert done.returncode == 0 and TIMEOUT in told <= {TIMEOUT, UNREACHABLE}, (name, told, drive.text())
            if errand == "revocation":
                wait_until(lambda ca=ca: len(ca.certs) == 2, 30, drive.text)
            assert_done(ca, [errand])
    finally:
        for drive, *_ in cases:
            if drive.process:
                drive.process.kill()
