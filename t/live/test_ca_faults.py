"""What a CA can do wrong: a numbered message, the old certificate served, and all well afterwards."""

import json
import re
import time
from collections import namedtuple

import pytest

from . import fakeca as f
from . import pki
from .proc import Process, wait_until
from .test_issue import acmectl, acmectl_argv, serial

SHOP = "shop.example.org"


class Issued(namedtuple("Issued", "httpd ca before")):
    """A host with a certificate, the CA it came from, and its serial."""

    asking = None  # acmectl, which waits for the outcome of a renewal


@pytest.fixture
def issued(httpd, make_fakeca):
    ca = make_fakeca(
        validate="http", http_port=httpd.http_port, retry_after=None, processing_polls=1
    )
    ca.allow_violations = True
    httpd.acme(ca, "AcmeRetry 1s 2s")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    made = Issued(httpd, ca, serial(httpd.wait_cert(SHOP)))
    yield made
    if made.asking:
        made.asking.kill()


def renew_meets(issued, number):
    """Ask for a renewal; wait for the message; the old certificate is served all the while.

    number  a pattern for the message's number
    """
    httpd, _, before = issued
    mark = httpd.mark()
    log = httpd.folder / "acmectl.log"
    issued.asking = Process("acmectl", acmectl_argv(httpd, "renew", SHOP), log)
    found = httpd.wait_log(rf"ACME({number}): .*", 20, mark)
    assert issued.asking.popen.poll() != 0, log.read_text()
    assert serial(httpd.served_cert(SHOP)) == before
    return found.group(0)


def recovers(issued):
    """The CA is itself again: what is asked about again goes well by itself, else the next
    attempt renews."""
    httpd, ca, before = issued
    ca.clear_script()
    assert issued.asking.wait(60), issued.asking.log.read_text()
    if issued.asking.popen.returncode != 0:
        done = acmectl(httpd, "renew", SHOP)
        assert done.returncode == 0, done.stdout + done.stderr
    assert serial(httpd.served_cert(SHOP)) != before


def hostile(token):
    """The token of every challenge becomes this."""

    def change(authz):
        for challenge in authz["challenges"]:
            challenge["token"] = token

    return f.edit_json(change)


def url(member, value):
    return f.edit_json(lambda obj: obj.update({member: value}))


ENDS = {
    # name: (endpoint, action, when, number of the message)
    "html-for-json": ("authz", f.html(200, "Welcome"), "before", r"1[23]\d\d"),
    "html-502": ("new-order", f.html(502), "before", r"1[23]\d\d"),
    "truncated": ("new-order", f.truncate(40), "after", r"1[23]\d\d"),
    "half-json": ("authz", f.edit_body(lambda text: text[:30]), "after", r"1[23]\d\d"),
    "ten-megabytes": ("authz", f.big(), "before", r"1[23]\d\d"),
    "duplicate-keys": ("authz", f.duplicate_keys(status="valid"), "after", r"1[23]\d\d"),
    "reset": ("new-order", f.reset(), "before", r"1[23]\d\d"),
    "503": ("new-order", f.problem("serverInternal", status=503, retry_after=1), "before", r"13\d\d"),
    "token-path": ("authz", hostile("../../../../etc/passwd"), "after", r"13\d\d"),
    "token-shell": ("authz", hostile("$(reboot)"), "after", r"13\d\d"),
    "token-crlf": ("authz", hostile("a\r\nSet-Cookie: x"), "after", r"13\d\d"),
    "token-nul": ("authz", hostile("abc\0def"), "after", "1201"),
    "token-10kB": ("authz", hostile("a" * 10000), "after", r"13\d\d"),
    "http-finalize": ("new-order", url("finalize", "http://localhost/f"), "after", "1206"),
    "file-authz": ("new-order", url("authorizations", ["file:///etc/passwd"]), "after", "1206"),
    "http-certificate": ("order", url("certificate", "http://localhost/c"), "after", "1206"),
    "redirect": ("new-order", f.status(302, headers={"Location": "https://x.example/"}), "before",
                 "1208"),
    "order-invalid": ("order", url("status", "invalid"), "after", r"13\d\d"),
    "unknown-status": ("order", url("status", "dancing"), "after", "1206"),
    "html-certificate": ("certificate", f.html(200, "Gateway"), "before", r"1[34]\d\d"),
    "key-in-certificate": ("certificate", f.edit_body(lambda pem: pem + pki.key_pem(pki.new_key())),
                           "after", r"14\d\d"),
    "rejected": ("new-order", f.problem("rejectedIdentifier", "policy forbids"), "before", r"13\d\d"),
    "rate-limited": ("new-order", f.problem("rateLimited", "too many", retry_after=3600), "before",
                     r"13\d\d"),
    "bad-csr": ("finalize", f.problem("badCSR", "weak key"), "before", r"13\d\d"),
    "escapes-in-detail": ("new-order", f.problem("malformed", "a\x1b[31mred\nACME9999: forged"),
                          "before", r"13\d\d"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_fault_is_told_by_number_and_the_old_certificate_serves(issued, name):
    endpoint, action, when, number = ENDS[name]
    httpd, ca, _ = issued
    ca.script(endpoint, action, when=when, times=None)
    mark = httpd.mark()
    renew_meets(issued, number)
    log = httpd.log_since(mark)
    assert "\x1b" not in log and not re.search(r"^ACME9999", log, re.MULTILINE)
    recovers(issued)


def issue_wrong(ca, change):
    """Certificates that a careful client does not take into service."""
    ca.make_chain = lambda leaf, intermediate, csr: change(leaf, intermediate, csr)


def other_names(leaf):
    leaf.names = ["other.example.org"]


def past(leaf):
    leaf.not_after = pki.now()


CERTIFICATES = {
    "other-names": lambda ca: setattr(ca, "on_issue", other_names),
    "broken-chain": lambda ca: issue_wrong(ca, lambda leaf, *_: [leaf, ca.root2.cert]),
    "other-key": lambda ca: issue_wrong(
        ca, lambda leaf, *_: [ca.intermediate.issue_server([SHOP])[1], ca.intermediate.cert]
    ),
    "no-leaf": lambda ca: issue_wrong(ca, lambda *_: [ca.intermediate.cert]),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_wrong_certificate_never_goes_into_service(issued, name):
    httpd, ca, _ = issued
    kept = ca.on_issue, ca.make_chain
    CERTIFICATES[name](ca)
    renew_meets(issued, r"14\d\d")
    ca.on_issue, ca.make_chain = kept
    recovers(issued)


def test_unreachable_ca_is_told_and_tried_again(issued):
    httpd, ca, before = issued
    ca.stop()
    renew_meets(issued, r"12\d\d")
    ca.start()
    recovers(issued)


def test_ca_with_other_trust_is_refused(httpd, make_fakeca):
    ca, other = make_fakeca(), make_fakeca()
    httpd.acme(ca)
    httpd.config(f"AcmeCATrustFile {other.ca_file}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    assert "certificate" in httpd.wait_log(r"ACME12\d\d: .*").group(0)
    assert ca.endpoints() == []


def test_missing_trust_file_stops_no_start_or_reload_and_is_told(httpd, make_fakeca):
    ca = make_fakeca()
    trust = ca.ca_file.read_bytes()
    path = httpd.folder / "trust.pem"
    httpd.acme(ca, f"AcmeCATrustFile {path}\nAcmeRetry 1s 1s")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    path.write_bytes(trust)
    httpd.start()
    first = serial(httpd.wait_cert(SHOP))
    path.unlink()
    mark = httpd.mark()
    httpd.graceful()
    said = re.findall("ACME1036: .*", httpd.log_since(mark))
    assert len(said) == 1 and "AcmeCATrustFile at " in said[0]
    assert f"cannot read {path}: No such file" in said[0]
    assert acmectl(httpd, "renew", SHOP).returncode != 0
    httpd.wait_log(rf"ACME1260: .*{path}", since=mark)
    assert serial(httpd.served_cert(SHOP)) == first
    path.write_bytes(trust)
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != first


@pytest.mark.parametrize("reload", [False, True], ids=["running", "reloaded"])
def test_renewal_that_was_asked_for_and_failed_is_tried_again(httpd, make_fakeca, reload):
    ca = make_fakeca()
    trust = ca.ca_file.read_bytes()
    path = httpd.folder / "trust.pem"
    path.write_bytes(trust)
    httpd.acme(ca, f"AcmeCATrustFile {path}\nAcmeRetry 1s 1s")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    first = serial(httpd.wait_cert(SHOP))
    path.unlink()
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode != 0
    httpd.wait_log(rf"ACME1260: .*{path}")
    path.write_bytes(trust)
    if reload:
        httpd.graceful()
    wait_until(lambda: serial(httpd.served_cert(SHOP)) != first, 20, lambda: httpd.log())
    wait_until(lambda: "valid" in httpd.server_status().values(), 10, "the end of the trouble")
    assert len(ca.requests_to("new-order")) == 2  # and that was all that was asked for


def test_something_that_is_no_acme_directory_is_told(httpd, make_fakeca):
    ca = make_fakeca()
    ca.script("directory", f.body(json.dumps({"hello": "world"})), times=None)
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(r"ACME1205: .*not an ACME directory")
    wait_until(
        lambda: any("directory" in value for value in httpd.server_status().values()),
        10, "the status to tell it, too",
    )  # fmt: skip


def test_slow_drip_does_not_hold_up_another_certificate(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    slow = "slow.example.org"
    ca.script(
        "new-order", f.drip(1, 1), when="after", times=None,
        matches=lambda e: e.payload and e.payload["identifiers"][0]["value"] == slow,
    )  # fmt: skip
    httpd.acme(ca)
    httpd.vhost(slow, https_extra="AcmeManage on")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP, timeout=15)
    assert httpd.served_cert(slow).self_signed


def test_stuck_processing_is_polled_no_sooner_than_asked(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port, retry_after=2)
    ca.issuance_gate.clear()
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("order", 3)
    ca.issuance_gate.set()
    httpd.wait_cert(SHOP)
    times = [one.time for one in ca.requests_to("finalize", "order")]
    assert all(later - earlier >= 1.95 for earlier, later in zip(times, times[1:]))


def test_retry_after_of_503_is_obeyed(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    ca.script("new-order", f.problem("serverInternal", status=503, retry_after=4))
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    first, second = (one.time for one in ca.requests_to("new-order"))
    assert second - first >= 3.95


def test_lost_nonces_are_fetched_again(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    for endpoint in ("new-account", "new-order", "authz", "challenge", "finalize", "order"):
        ca.script(endpoint, f.no_nonce(), when="after", times=None)
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)


def test_failed_validation_names_the_host_and_what_the_ca_saw(httpd, make_fakeca):
    ca = make_fakeca()
    ca.challenge_result = lambda identifier, kind: {
        "type": f.ERROR + "unauthorized",
        "detail": "Invalid response from 192.0.2.7: 404",
        "status": 403,
    }
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    line = httpd.wait_log(r"ACME13\d\d: .*192\.0\.2\.7.*").group(0)
    assert SHOP in line
    wait_until(lambda: any("192.0.2.7" in v for v in httpd.server_status().values()), 10, "status")


def test_one_host_that_fails_does_not_hold_up_the_others(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    bad = "bad.example.org"
    refuse = f.problem("rejectedIdentifier", "not that one")
    ca.script(
        "new-order", refuse, times=None,
        matches=lambda e: e.payload and e.payload["identifiers"][0]["value"] == bad,
    )  # fmt: skip
    httpd.acme(ca, "AcmeManage on")
    for name in (bad, SHOP, "blog.example.org"):
        httpd.vhost(name)
    began = time.monotonic()
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_cert("blog.example.org")
    assert time.monotonic() - began < 20
    httpd.wait_log(rf"ACME13\d\d: .*{bad}.*not that one")
