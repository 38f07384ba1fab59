"""The engine without httpd: t/engine/drive against Pebble and the scripted CA."""

import datetime
import hashlib
import json
import os
import random
import re
import subprocess
import time

import pytest

from . import faults, pki, responder as ocsp
from .fakeca import challenge_error
from .httpd import acme_module
from .proc import Process, free_port, tail, wait_until

BUILD = acme_module().parents[2]
# Where it is there, one under the address sanitizer that watches pools (see build/check).
WATCHED = BUILD / "t/engine/watched/drive"
DRIVE = WATCHED if WATCHED.exists() else BUILD / "t/engine/drive"
SANITIZER = {"ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16"}  # what it holds at its end it may hold


class Drive:
    """Runs of t/engine/drive on one store, one after another."""

    def __init__(self, folder, ca, names, *options, http_port=None, program=DRIVE):
        self.folder = folder
        self.store = folder / "store"
        self.log = folder / "drive.log"
        self.argv = [program, "--store", self.store]
        self.argv += ["--ca", ca.directory_url, "--trust", ca.ca_file]
        self.argv += ["--clock", folder / "clock"]
        self.argv += ["--http", str(http_port or free_port()), *options, *names]
        self.process = None

    def start(self):
        self.process = Process("drive", self.argv, self.log, env=os.environ | SANITIZER)
        return self

    def text(self):
        return self.log.read_text()

    def finish(self, timeout=90):
        """Wait for the end; its exit status."""
        assert self.process.wait(timeout), tail(self.log)
        return self.process.popen.returncode

    def run(self):
        return self.start().finish()

    def wait_text(self, pattern, timeout=30):
        return wait_until(
            lambda: self.log.exists() and re.search(pattern, self.text()),
            timeout,
            lambda: f"{pattern} in the log\n{tail(self.log)}",
        )

    def logs(self):
        return [("drive", tail(self.log))]

    def set_clock(self, seconds):
        """The engine's clock is that far ahead from now on."""
        path = self.folder / "clock"
        path.with_suffix(".new").write_text(f"{seconds}\n")
        path.with_suffix(".new").rename(path)

    def doc(self, name, what="job"):
        path = self.store / "work" / name / f"ecdsa.{what}"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def make_drive(request, live_dir):
    """A function making a Drive in the test's folder."""
    made = []

    def make(ca, names, *options, **more):
        drive = Drive(live_dir, ca, names, *options, **more)
        made.append(drive)
        return drive

    yield make
    for drive in made:
        if drive.process:
            drive.process.kill()
            assert "Sanitizer" not in drive.text()


@pytest.fixture
def ported(make_pebble):
    """A function starting a Pebble and giving the port it validates at."""

    def make(**options):
        port = free_port()
        return make_pebble(http_port=port, **options), port

    return make


def issued(pebble):
    return pebble.log.read_text().count("Issued certificate serial")


def hosts(count):
    return [f"h{n}.example.org" for n in range(count)]


def test_engine_one_certificate_is_issued_and_not_ordered_again(ported, make_drive):
    pebble, port = ported()
    drive = make_drive(pebble, ["shop.example.org,www.shop.example.org"], http_port=port)
    assert drive.run() == 0, drive.text()
    assert "issued by Pebble" in drive.text()
    assert drive.run() == 0
    assert issued(pebble) == 1
    assert drive.doc("shop.example.org", "order") is None
    record = json.loads(
        (drive.store / "fresh/shop.example.org/ecdsa.1/record.json").read_text()
    )
    assert record["number"] == 1


def test_engine_twenty_at_once_share_an_account_and_few_requests(ported, make_drive):
    pebble, port = ported(nonce_reject=5, retry_after=(1, 1))
    drive = make_drive(pebble, hosts(20), http_port=port)
    assert drive.run() == 0, drive.text()
    log = pebble.log.read_text()
    assert issued(pebble) == 20
    assert log.count("POST /sign-me-up") <= 2
    requests = len(re.findall(r"(?:HEAD|GET|POST) /", log))
    assert requests <= 20 * 10.5


@pytest.mark.parametrize("seed", range(3))
def test_engine_killed_at_any_moment_never_orders_twice(ported, make_drive, seed):
    pebble, port = ported(retry_after=(1, 1))
    drive = make_drive(pebble, ["--seconds", "150", *hosts(6)], http_port=port)
    chance = random.Random(seed)
    for _ in range(12):
        drive.start()
        if drive.process.wait(chance.uniform(0.05, 0.8)):
            break
        drive.process.kill()
    # an answer that perhaps never arrived is given again a minute later
    assert drive.start().finish(160) == 0, drive.text()
    assert issued(pebble) == 6
    log = pebble.log.read_text()
    assert log.count("POST /finalize-order") == 6
    assert len(set(re.findall(r"There are now (\d+) accounts", log))) <= 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "endpoint",
    ["new-account", "new-order", "authz", "challenge", "finalize", "order", "certificate"],
)
def test_engine_killed_at_each_step_resumes_the_order(make_fakeca, make_drive, endpoint, when):
    ca = make_fakeca(processing_polls=1)
    ca.script(endpoint, faults.silence(), when=when)
    drive = make_drive(ca, ["--seconds", "90", *hosts(1)]).start()
    ca.wait_request(endpoint)
    drive.process.kill()
    assert drive.start().finish(100) == 0, drive.text()
    assert len(ca.certs) == 1
    assert len(ca.accounts) == 1
    # an order whose URL never arrived cannot be known of; any other is gone on with
    assert len(ca.orders) == 1 + (endpoint == "new-order" and when == "after")


def test_engine_restart_keeps_the_backoff(make_fakeca, make_drive):
    ca = make_fakeca()
    ca.script("new-order", faults.problem("rateLimited", retry_after=3600), times=1000)
    drive = make_drive(ca, hosts(1), "--until-failed")
    assert drive.run() == 0, drive.text()
    assert "next attempt at" in drive.text()
    assert drive.doc("h0.example.org")["failures"] == 1
    asked = len(ca.requests_to("new-order"))
    assert drive.run() == 0
    drive.argv.insert(-1, "--stay")
    drive.start()
    time.sleep(2)
    drive.process.kill()
    assert len(ca.requests_to("new-order")) == asked
    # what the administrator changes is tried at once
    drive.argv[drive.argv.index("--stay")] = "--until-failed"
    drive.argv[-1] = "h0.example.org,more.example.org"
    assert drive.run() == 0
    assert len(ca.requests_to("new-order")) == asked + 1


def test_engine_certificate_that_is_due_at_once_is_no_loop(make_fakeca, make_drive):
    ca = make_fakeca()

    def long_ago(leaf):
        leaf.not_before -= datetime.timedelta(days=70)
        leaf.not_after -= datetime.timedelta(days=70)

    ca.on_issue = long_ago
    drive = make_drive(ca, ["--stay", "--seconds", "60", *hosts(1)]).start()
    drive.wait_text("ACME1514 .*failures=2|failures=2(.|\n)*ACME1514")
    drive.process.kill()
    drive.start()
    time.sleep(3)
    assert len(ca.requests_to("new-order")) == 2
    assert drive.doc("h0.example.org")["failures"] == 2
    assert "activate h0.example.org ecdsa 2" in drive.text()


def test_engine_unreachable_ca_is_one_line_and_a_later_attempt(ported, make_drive):
    pebble, port = ported()
    pebble.stop_ca()
    drive = make_drive(pebble, hosts(5), "--until-failed", http_port=port)
    assert drive.run() == 0, drive.text()
    lines = [line for line in drive.text().splitlines() if line.startswith("ACME1200")]
    assert len(lines) == 1
    assert "next attempt at" in lines[0]
    assert drive.doc("h3.example.org")["error_code"] == 1200
    pebble.start()
    drive.argv.remove("--until-failed")
    drive.argv[-5:] = [f"{name},www.{name}" for name in hosts(5)]  # so, no backoff
    assert drive.run() == 0, drive.text()
    assert issued(pebble) == 5


def test_engine_request_asks_a_failed_ca_again_at_once(ported, make_drive):
    pebble, port = ported()
    pebble.stop_ca()
    drive = make_drive(pebble, ["--stay", *hosts(1)], http_port=port).start()
    drive.wait_text("h0.example.org error failures=1")
    assert acmectl(drive, "renew", "h0.example.org").returncode == 1
    pebble.start()
    answer = acmectl(drive, "renew", "h0.example.org")
    assert answer.returncode == 0, answer.stderr + drive.text()


@pytest.mark.parametrize("names", ["a.example.org", "a.example.org,b.example.org"])
@pytest.mark.parametrize("gone", [("authz",), ("authz", "order")])
def test_engine_order_outlives_an_outage_of_hours(make_fakeca, make_drive, gone, names):
    ca = make_fakeca()
    ca.allow_violations = True  # to ask about an authorization again
    ca.validation_gate.clear()
    drive = make_drive(ca, ["--retry", "1", "--stay", "--seconds", "90", names]).start()
    ca.wait_request("challenge", len(names.split(",")))
    for endpoint in gone:
        ca.script(endpoint, faults.reset(), times=None)
    drive.wait_text("ACME1200")
    time.sleep(1)
    drive.set_clock(3700)  # the clock runs faster than the test
    if "order" in gone:
        wait_until(lambda: ca.requests_to("order"), 10, "the order to be asked about")
        time.sleep(1)
        drive.set_clock(2 * 3700)
    drive.wait_text("status a.example.org error failures=1")
    ca.clear_script()
    ca.validation_gate.set()
    drive.wait_text("status a.example.org valid")
    states = [authz["status"] for authz in ca.authzs.values()]
    assert states == ["valid"] * len(states)
    assert len(ca.certs) == len(ca.orders) == 1


def test_engine_order_saved_by_a_clock_ahead_goes_on(make_fakeca, make_drive):
    ca = make_fakeca(processing_polls=3)
    ca.issuance_gate.clear()
    drive = make_drive(ca, hosts(1))
    drive.set_clock(365 * 86400)
    drive.start()
    ca.wait_request("order", 2)
    drive.process.kill()
    drive.set_clock(0)
    ca.issuance_gate.set()
    assert drive.start().finish(15) == 0, drive.text()
    assert len(ca.certs) == len(ca.orders) == 1


@pytest.mark.parametrize("where", ["polling", "failed"])
def test_engine_clock_set_back_stalls_nothing(make_fakeca, make_drive, where):
    ca = make_fakeca(processing_polls=2)
    drive = make_drive(ca, hosts(1))
    drive.set_clock(86400)
    if where == "polling":
        ca.issuance_gate.clear()
    else:
        ca.script("new-order", faults.problem("rateLimited"), times=1)
    drive.start()
    ca.wait_request("order" if where == "polling" else "new-order")
    time.sleep(0.5)
    drive.set_clock(0)
    ca.issuance_gate.set()
    assert drive.finish(20) == 0, drive.text()
    assert "ACME1515" in drive.text()
    assert len(ca.certs) == 1


def test_engine_html_for_a_certificate_costs_no_new_order(make_fakeca, make_drive):
    ca = make_fakeca()
    ca.script("certificate", faults.html(200, "Gateway"), times=None)
    drive = make_drive(ca, hosts(1)).start()
    drive.wait_text("ACME1406 .*asked again")
    drive.set_clock(3700)
    drive.wait_text("failures=1")
    ca.wait_request("certificate", 4)
    ca.clear_script()
    assert drive.finish(20) == 0, drive.text()
    assert len(ca.orders) == len(ca.certs) == 1


def test_engine_saved_order_forgotten_by_the_ca_is_begun_anew_at_once(make_fakeca, make_drive):
    ca = make_fakeca()
    ca.allow_violations = True
    ca.validation_gate.clear()
    drive = make_drive(ca, hosts(1), "--retry", "60").start()
    ca.wait_request("challenge")
    time.sleep(0.5)
    drive.process.kill()
    ca.orders.clear()
    ca.authzs.clear()
    ca.validation_gate.set()
    assert drive.start().finish(20) == 0, drive.text()
    assert "ACME1360" in drive.text() and "failures=1" not in drive.text()
    assert len(ca.requests_to("new-order")) == 2


def test_engine_order_forgotten_again_and_again_backs_off(make_fakeca, make_drive):
    ca = make_fakeca(processing_polls=5)
    ca.script("order", faults.problem("malformed", "no such order", status=404), times=None)
    drive = make_drive(ca, hosts(1), "--retry", "60", "--until-failed")
    assert drive.run() == 0, drive.text()
    assert "ACME1360" in drive.text()
    assert len(ca.requests_to("new-order")) == 1


def test_engine_damaged_order_is_begun_anew(make_fakeca, make_drive):
    ca = make_fakeca()
    ca.script("finalize", faults.silence())
    drive = make_drive(ca, hosts(1)).start()
    ca.wait_request("finalize")
    drive.process.kill()
    (drive.store / "work/h0.example.org/ecdsa.order").write_text("{ torn")
    ca.clear_script()
    assert drive.run() == 0, drive.text()
    assert "ACME1505" in drive.text()


def test_engine_changed_configuration_gives_the_order_up(make_fakeca, make_drive):
    ca = make_fakeca()
    ca.script("finalize", faults.silence())
    drive = make_drive(ca, hosts(1)).start()
    ca.wait_request("finalize")
    drive.process.kill()
    ca.clear_script()
    drive.argv[-1] = "h0.example.org,more.example.org"
    assert drive.run() == 0, drive.text()
    assert "ACME1504" in drive.text()
    record = json.loads((drive.store / "fresh/h0.example.org/ecdsa.1/record.json").read_text())
    assert "more.example.org" in json.dumps(record)


@pytest.mark.parametrize("registered", [False, True])
def test_engine_terms_not_agreed_to_hold_back_that_certificate_alone(
    make_fakeca, make_drive, registered
):
    ca = make_fakeca()
    if registered:
        assert make_drive(ca, ["first.example.org"]).run() == 0
    others = [] if registered else ["a.example.org"]
    drive = make_drive(ca, [*others, "!b.example.org"], "--stay").start()
    for name in others:
        drive.wait_text(f"status {name} valid")
    drive.wait_text(r"ACME1350 \[b.example.org/ecdsa\]")
    assert drive.doc("b.example.org")["error_code"] == 1350
    drive.process.kill()
    ordered = [one.payload["identifiers"][0]["value"] for one in ca.requests_to("new-order")]
    assert "b.example.org" not in ordered


def test_engine_order_rests_when_consent_is_withdrawn(make_fakeca, make_drive):
    ca = make_fakeca()
    ca.script("finalize", faults.silence())
    drive = make_drive(ca, hosts(1)).start()
    ca.wait_request("finalize")
    drive.process.kill()
    asked = len(ca.requests)
    drive.argv[-1:] = ["--until-failed", "!h0.example.org"]
    assert drive.run() == 0, drive.text()
    assert "ACME1350" in drive.text()
    assert set(ca.endpoints()[asked:]) <= {"directory", "new-nonce"}
    drive.argv[-2:] = hosts(1)
    assert drive.run() == 0, drive.text()
    assert len(ca.orders) == 1


def test_engine_other_contacts_for_one_account_are_told_once(make_fakeca, make_drive):
    ca = make_fakeca()
    names = ["a.example.org", "@b.example.org", "@c.example.org"]
    drive = make_drive(ca, names)
    assert drive.run() == 0, drive.text()
    lines = re.findall("ACME1516 .*", drive.text())
    assert len(lines) == 1
    assert "b.example.org shares the account of a.example.org" in lines[0]
    assert "AcmeContact" in lines[0] and "AcmeCATrustFile" not in lines[0]
    assert not ca.requests_to("new-account")[0].payload.get("contact")


def test_engine_trouble_that_lasts_is_told_once(make_fakeca, make_drive):
    drive = make_drive(make_fakeca(), hosts(1), "--stay").start()
    drive.wait_text("status h0.example.org valid")
    (drive.store / "lock").unlink()
    (drive.store / "lock").mkdir()
    drive.set_clock(30)  # a heartbeat is due
    drive.wait_text("ACME1100 .*lock")
    time.sleep(2)
    assert len(re.findall("ACME1100", drive.text())) == 1, drive.text()
    drive.set_clock(700)  # it still lasts
    wait_until(lambda: len(re.findall("ACME1100", drive.text())) == 2, 10, "it to be told again")
    time.sleep(1)
    assert len(re.findall("ACME1100", drive.text())) == 2, drive.text()


def test_engine_slow_issuance_is_told_and_waited_for(make_fakeca, make_drive):
    ca = make_fakeca(processing_polls=1)
    ca.issuance_gate.clear()
    drive = make_drive(ca, hosts(1)).start()
    ca.wait_request("order")
    drive.set_clock(2 * 3600)
    drive.wait_text(r"ACME1263 \[h0.*\] .*issuing the certificate since 20.*asked again at")
    ca.issuance_gate.set()
    drive.set_clock(3 * 3600)
    assert drive.finish() == 0, drive.text()
    assert len(ca.orders) == 1


@pytest.mark.parametrize("at,looked_at", [(2, 0), (5, 1)])
def test_engine_start_is_cut_short_by_a_stop(make_fakeca, make_drive, at, looked_at):
    drive = make_drive(make_fakeca(), hosts(3), "--stop-at", str(at))
    assert drive.run() == 2
    assert "ACME1517" in drive.text() and "ACME1501" not in drive.text()
    assert len(re.findall("status h[0-9].example.org waiting", drive.text())) == looked_at


# --- requests of the administrator ----------------------------------------------


def acmectl(drive, *args, timeout=60):
    argv = [BUILD / "acmectl", "--store", drive.store, *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)


def test_engine_renews_on_request(ported, make_drive):
    pebble, port = ported()
    drive = make_drive(pebble, ["--stay", *hosts(2)], http_port=port).start()
    for name in hosts(2):
        drive.wait_text(f"status {name} valid ")
    answer = acmectl(drive, "renew", "h0.example.org")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "done: issued by Pebble" in answer.stdout
    assert "working: " in answer.stdout
    assert issued(pebble) == 3
    answer = acmectl(drive, "renew", "other.example.org")
    assert answer.returncode == 1
    assert "there is no certificate named other.example.org" in answer.stderr
    left = list((drive.store / "control").iterdir()) + list((drive.store / "replies").iterdir())
    assert left == []


def test_engine_request_outlives_the_engine(make_fakeca, make_drive):
    ca = make_fakeca()
    drive = make_drive(ca, ["--stay", *hosts(1)]).start()
    drive.wait_text("h0.example.org valid")
    ca.script("finalize", faults.silence())
    argv = [BUILD / "acmectl", "--store", drive.store, "renew", "h0.example.org"]
    asking = Process("acmectl", argv, drive.folder / "acmectl.log")
    ca.wait_request("finalize", 2)
    drive.process.kill()
    ca.clear_script()
    drive.start()
    assert asking.wait(60), drive.text()
    assert asking.popen.returncode == 0, asking.log.read_text()


def test_acmectl_failure_tells_number_text_and_remedy(make_fakeca, make_drive):
    ca = make_fakeca()
    drive = make_drive(ca, ["--stay", *hosts(1)]).start()
    drive.wait_text("h0.example.org valid")
    ca.script("new-order", faults.problem("rejectedIdentifier", detail="not you"), times=1000)
    answer = acmectl(drive, "renew", "h0.example.org")
    assert answer.returncode == 1
    assert re.search(r"acmectl: ACME13\d\d: .*not you", answer.stderr)
    assert len(answer.stderr.splitlines()) == 2


def test_acmectl_without_a_server_says_so(make_fakeca, make_drive):
    ca = make_fakeca()
    drive = make_drive(ca, hosts(1))
    assert drive.run() == 0
    answer = acmectl(drive, "renew", "h0.example.org", "--timeout", "2")
    assert answer.returncode == 3
    assert "no server takes requests" in answer.stderr
    assert list((drive.store / "control").iterdir()) == []


def test_acmectl_wrong_usage_is_explained():
    for args in ([], ["renew"], ["frob"], ["renew", "a", "b"], ["--timeout", "x", "renew", "a"]):
        answer = subprocess.run(
            [BUILD / "acmectl", *args], capture_output=True, text=True, check=False
        )
        assert answer.returncode == 2, args
        assert "usage: acmectl" in answer.stderr
    answer = subprocess.run(
        [BUILD / "acmectl", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("acmectl ")


def test_engine_refreshes_ocsp_in_the_second_half_of_its_validity(make_fakeca, make_drive):
    responder = ocsp.ScriptedResponder()
    responder.answer = ocsp.good(age=0, life=4 * 86400)
    ca = make_fakeca(ocsp=[responder.url])
    responder.serve(ca)
    drive = make_drive(ca, ["--stay", "--staple", *hosts(1)]).start()
    drive.wait_text("ACME1433")
    saved = drive.doc("h0.example.org", "ocsp")
    begin, refresh = (datetime.datetime.fromisoformat(saved[key][:-1]) for key in ("from", "refresh"))
    assert 2 <= (refresh - begin) / datetime.timedelta(days=1) <= 2.4
    responder.answer = ocsp.good(age=-2.5 * 86400, life=4 * 86400)
    drive.set_clock(216000)
    drive.wait_text(r"(?s)staple h0.*staple h0")  # taken in: the clock goes on behind it
    assert len(responder.requests) == 2
    # from now on nothing comes: what there is holds on for as long as it is valid
    responder.answer = ocsp.page(503)
    drive.set_clock(475200)
    drive.wait_text("ACME1434")
    assert "ACME1432" not in drive.text()
    drive.set_clock(604800)
    drive.wait_text("ACME1432")
    responder.stop()


@pytest.mark.parametrize("kind", ["rsa4096", "ecdsa-p256"])
def test_engine_killed_while_a_key_is_made_orders_once(make_fakeca, make_drive, kind):
    ca = make_fakeca(validation_polls=1, processing_polls=1)
    drive = make_drive(ca, ["--key", kind, "--seconds", "120", *hosts(2)])
    chance = random.Random(7)
    for _ in range(8):
        drive.start()
        if drive.process.wait(chance.uniform(0.1, 0.7)):
            break
        drive.process.kill()
    assert drive.start().finish(150) == 0, drive.text()
    assert len(ca.certs) == 2
    # an order whose URL never arrived cannot be known of
    assert len(ca.orders) <= 2 + 8


def tlsa(cert):
    return hashlib.sha256(pki.public_der(cert)).hexdigest()


def test_engine_next_key_is_announced_before_it_serves_whatever_is_killed(make_fakeca, make_drive):
    ca = make_fakeca()
    drive = make_drive(ca, ["--reuse", "next", "--stay", "--seconds", "120", *hosts(1)])
    chance = random.Random(3)
    for _ in range(8):
        drive.start()
        drive.wait_text("status h0.example.org valid")
        argv = [BUILD / "acmectl", "--store", drive.store, "renew", "h0.example.org"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
            time.sleep(chance.uniform(0.1, 1.2))
            drive.process.kill()
            asking.kill()
    drive.start()
    drive.wait_text("looking after 1 certificates")
    assert acmectl(drive, "renew", "h0.example.org").returncode == 0, drive.text()
    issued = [tlsa(item["cert"]) for item in ca.certs.values()]
    assert len(issued) >= 3 and len(set(issued)) == len(issued)
    announced = re.findall(r"TLSA 3 1 1 (\w+) will be", drive.text())
    for one in issued[1:]:
        assert one in announced, (issued, announced)


def test_engine_killed_with_a_bad_name_issues_the_rest_once(make_fakeca, make_drive):
    ca = make_fakeca(validation_polls=1, processing_polls=1)
    ca.challenge_result = lambda identifier, _: (
        challenge_error("dns", "NXDOMAIN") if identifier["value"].startswith("bad") else None
    )
    names = "a.example.org,bad1.example.org,b.example.org,bad2.example.org"
    drive = make_drive(ca, ["--retry", "60", "--seconds", "120", names])
    chance = random.Random(5)
    for _ in range(8):
        drive.start()
        if drive.process.wait(chance.uniform(0.1, 0.7)):
            break
        drive.process.kill()
    assert drive.start().finish(150) == 0, drive.text()
    assert len(ca.certs) == 1
    cert = list(ca.certs.values())[0]["cert"]
    assert pki.names_of(cert) == ["a.example.org", "b.example.org"]
    kept = {one["name"]: one["tries"] for one in drive.doc("a.example.org")["left_out"]}
    assert set(kept) == {"bad1.example.org", "bad2.example.org"}


# The key of an account


def account_files(drive):
    return sorted(drive.store.glob("accounts/*/*"))


@pytest.mark.parametrize("kind", ["badPublicKey", "badSignatureAlgorithm"])
def test_engine_account_key_type_is_changed_after_a_refusal(make_fakeca, make_drive, kind):
    ca = make_fakeca()
    ca.script(
        "new-account",
        faults.problem(kind, algorithms=["EdDSA", "ES384"]),
        times=None,
        matches=lambda exchange: exchange.protected["alg"] == "ES256",
    )
    first = make_drive(ca, ["--until-failed", "h.example.org"])
    assert first.run() == 0, first.text()
    told = "AcmeAccountKey ecdsa-p384" if kind == "badSignatureAlgorithm" else "ACME1271"
    assert told in first.text()
    made = account_files(first)
    # no sooner than tomorrow with the same settings, and with the same key
    assert first.doc("h.example.org")["failures"] == 1
    second = make_drive(ca, ["--account-key", "ecdsa-p384", "h.example.org"])
    second.log = second.folder / "second.log"
    assert second.run() == 0, second.text()
    assert "ACME1270" in second.text() and "is ecdsa-p256" in second.text()
    assert [e.protected["alg"] for e in ca.requests_to("new-account")] == ["ES256", "ES384"]
    assert len(account_files(second)) == len(made) + 1  # put aside, not lost
    # one that is registered stays, whatever is written
    third = make_drive(ca, ["--account-key", "rsa2048", "h.example.org", "i.example.org"])
    third.log = third.folder / "third.log"
    assert third.run() == 0, third.text()
    assert len(ca.requests_to("new-account")) == 2


def test_engine_makes_rsa_account_keys_without_standing_still(make_fakeca, make_drive):
    ca = make_fakeca()
    drive = make_drive(ca, ["--account-key", "rsa4096", "--seconds", "120", *hosts(3)])
    assert drive.run() == 0, drive.text()
    assert {e.protected["alg"] for e in ca.requests_to("new-account")} == {"RS256"}
    assert len(ca.requests_to("new-account")) == 1
    # an RSA key of 4096 bits takes a second or more, signing with it milliseconds
    assert int(re.search(r"longest round (\d+) ms", drive.text())[1]) < 250
