"""AcmeCA a b: the second when the first fails by its own fault, and back again."""

import itertools
import json
import re

import pytest

from . import fakeca as f
from .proc import wait_until
from .test_engine import hosts, make_drive  # noqa: F401  (fixtures)
from .test_issue import SHOP, acmectl, issue_one, serial


@pytest.fixture
def two(httpd, make_fakeca):
    """(httpd, first, second): set up, not started."""
    first, second = make_fakeca(), make_fakeca()
    configure(httpd, first, second)
    return httpd, first, second


def configure(httpd, first, second, extra=""):
    httpd.acme(first)
    return httpd.config(
        f"AcmeCA {first.directory_url} {second.directory_url}\n"
        f"AcmeCATrustFile {first.directory_url} {first.ca_file}\n"
        f"AcmeCATrustFile {second.directory_url} {second.ca_file}\n"
        f"{extra}"
    )


def of(ca, served):
    """Whether ca issued what is served."""
    return any(item["cert"].serial_number == serial(served) for item in ca.certs.values())


def job(httpd):
    path = httpd.store / "work" / SHOP / "ecdsa.job"
    return json.loads(path.read_text()) if path.exists() else None


def status(httpd):
    return httpd.server_status().get(f"Acme[{SHOP}/ecdsa]CA", "")


def test_all_is_well_with_the_first(two):
    httpd, first, second = two
    assert of(first, issue_one(httpd))
    assert not second.requests
    wait_until(lambda: status(httpd) == first.directory_url, 10, "the CA in the status")


REFUSALS = {
    "in-trouble": ("directory", f.status(503)),
    "no-acme": ("directory", f.body({"hello": "world"})),
    "rate-limit": ("new-order", f.problem("rateLimited", "too many", retry_after=80000)),
    "paused": ("new-order", f.problem("rateLimited", "see https://ca.example/unpause")),
    "rejected": ("new-order", f.problem("rejectedIdentifier", "not for us")),
    "terms": ("new-order", f.problem("userActionRequired", "new terms")),
    "binding": ("new-account", f.problem("externalAccountRequired", "customers only")),
    "caa": ("finalize", f.problem("caa", "forbidden")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_second_is_asked_when_the_first_refuses(two, name):
    httpd, first, second = two
    endpoint, action = REFUSALS[name]
    first.script(endpoint, action, times=None)
    first.allow_violations = True
    served = issue_one(httpd)
    assert of(second, served)
    said = httpd.wait_log(r"ACME1547: .*").group(0)
    assert re.search(rf"{re.escape(second.directory_url)}( \(certificates: 1\))? is asked now", said)
    assert len(second.orders) == 1
    told = f"{second.directory_url} (not {first.directory_url}: ACME"
    wait_until(lambda: status(httpd).startswith(told), 10, lambda: f"{told}: {status(httpd)}")


def test_first_is_asked_again_at_the_renewal_and_forgiven(two):
    httpd, first, second = two
    first.stop()
    before = serial(issue_one(httpd))
    wait_until(lambda: job(httpd)["cas"][0]["failures"] == 1, 10, "the failure to be kept")
    first.start()
    httpd.graceful()
    httpd.wait_log(r"ACME1501: .*")
    wait_until(lambda: "(not " in status(httpd), 10, "both CAs in the status")
    # what the second has issued is as configured: nothing is ordered anew for it
    assert serial(httpd.served_cert(SHOP)) == before
    assert not first.orders and len(second.orders) == 1
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert of(first, httpd.served_cert(SHOP))
    wait_until(lambda: status(httpd) == first.directory_url, 10, "the first in the status")
    assert job(httpd) is None


def test_renewal_information_is_asked_of_the_ca_that_issued(two):
    """Which the second is: the first knows nothing of the certificate, nor what it replaces."""
    httpd, first, second = two
    first.stop()
    window = {"suggestedWindow": {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00Z"}}
    gate = []
    second.script(
        "renewal-info", f.status(200, f.encode(window), f.JSON, 3600), times=None,
        matches=lambda _: gate,
    )  # fmt: skip
    before = issue_one(httpd)
    assert of(second, before)
    old = f.cert_id(next(iter(second.certs.values()))["cert"])
    assert second.wait_request("renewal-info").path.endswith(f"/{old}")
    kept = httpd.store / "work" / SHOP / "ecdsa.ari"
    wait_until(kept.exists, 20, "the answer is kept")
    first.start()
    gate.append(1)
    kept.unlink()
    httpd.graceful()  # asks anew
    served = httpd.wait_cert(SHOP, lambda served: serial(served) != serial(before))
    httpd.wait_log(r"order begun \(renew: when the CA suggests it\)")
    assert of(second, served)  # the first rests still
    assert second.requests_to("new-order")[-1].payload["replaces"] == old
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert of(first, httpd.served_cert(SHOP))
    assert "replaces" not in first.requests_to("new-order")[0].payload
    new = f.cert_id(next(iter(first.certs.values()))["cert"])
    wait_until(lambda: first.requests_to("renewal-info"), 20, "the first is asked of its own")
    assert {one.path.rpartition("/")[2] for one in first.requests_to("renewal-info")} == {new}


def test_failure_of_the_host_is_not_passed_on(two):
    httpd, first, second = two
    first.challenge_result = lambda identifier, kind: {
        "type": "urn:ietf:params:acme:error:connection", "detail": "port 80 is closed",
    }  # fmt: skip
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(r"ACME1310: .*")
    assert not second.requests
    assert job(httpd)["failures"] == 1


def refuse(ca, name):
    """Let ca take no order with name."""
    asked = {"type": "dns", "value": name}
    refusal = f.problem(
        "rejectedIdentifier", "some names", subproblems=[f.subproblem("rejectedIdentifier", name)]
    )
    matches = lambda exchange: asked in exchange.payload["identifiers"]  # noqa: E731
    ca.script("new-order", refusal, times=None, matches=matches)


BAD = "bad.shop.example.org"


def test_bad_name_of_the_first_is_asked_of_the_second(two):
    httpd, first, second = two
    refuse(first, BAD)
    served = issue_one(httpd, aliases=(BAD,))
    assert of(second, served) and sorted(served.names) == sorted([BAD, SHOP])
    assert "ACME1561" not in httpd.log()
    assert len(first.requests_to("new-order")) == 1


def test_name_that_is_bad_for_all_is_left_out(two):
    httpd, first, second = two
    refuse(first, BAD)
    refuse(second, BAD)
    served = issue_one(httpd, aliases=(BAD,))
    assert served.names == [SHOP] and of(second, served)
    assert len(re.findall("ACME1561", httpd.log())) == 1
    assert len(first.requests_to("new-order")) == 1 and len(second.requests_to("new-order")) == 2
    told = f"Acme[{SHOP}/ecdsa]"
    wait_until(lambda: httpd.server_status().get(told + "State") == "valid", 10, "the end of it")
    assert BAD in httpd.server_status()[told + "LeftOut"]


def test_caa_record_of_a_name_is_a_reason_for_the_second(two, make_pebble):
    httpd, first, second = two
    dns = make_pebble()
    identities = f.edit_json(lambda one: one["meta"].update(caaIdentities=["first.example"]))
    first.script("directory", identities, times=None, when="after")
    dns.add_caa(f"{BAD}.", {"tag": "issue", "value": "ca.invalid"})
    httpd.config(f"AcmeDnsWait 10s 127.0.0.1:{dns.dns_port}")
    served = issue_one(httpd, aliases=(BAD,))
    assert of(second, served) and sorted(served.names) == sorted([BAD, SHOP])
    assert re.search(r"ACME1547: .*ACME1213|ACME1547: .*the CAA records", httpd.log())
    assert not first.requests_to("new-order")


def test_request_of_the_administrator_goes_on_to_the_second(two):
    httpd, first, second = two
    assert of(first, issue_one(httpd))
    first.stop()
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout
    assert of(second, httpd.served_cert(SHOP))
    # and asked again, the first is asked first
    first.start()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert of(first, httpd.served_cert(SHOP))


def test_order_at_the_second_is_taken_up_there_after_a_kill(two):
    httpd, first, second = two
    first.stop()
    second.issuance_gate.clear()
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    second.wait_request("finalize")
    httpd.kill()
    first.start()
    second.issuance_gate.set()
    httpd.start()
    assert of(second, httpd.wait_cert(SHOP))
    assert len(second.orders) == 1 and not first.orders


def test_both_out_of_reach_are_tried_by_turns(two):
    httpd, first, second = two
    httpd.config("AcmeRetry 1s 2s")
    first.stop()
    second.stop()
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(r"ACME1200: \[.*next attempt at")
    wait_until(lambda: (job(httpd) or {}).get("failures"), 30, "a whole round")
    assert [ca["failures"] for ca in job(httpd)["cas"]] == [1, 1]
    second.start()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert of(second, httpd.served_cert(SHOP))


def test_order_in_progress_is_left_when_the_first_stays_away(two):
    """An order that was on its way when the CA went for good."""
    httpd, first, second = two
    first.issuance_gate.clear()
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    first.wait_request("finalize")
    first.stop()
    httpd.kill()
    httpd.start()
    assert of(second, httpd.wait_cert(SHOP))
    assert len(first.orders) == 1


def test_settings_for_one_ca_hold_for_that_one_alone(httpd, make_fakeca):
    first, second = make_fakeca(profiles={"short": "six days"}), make_fakeca()
    url = first.directory_url
    configure(httpd, first, second, f"AcmeProfile {url} short required\n")
    first.script("finalize", f.problem("badCSR", "no"), times=None)
    assert of(second, issue_one(httpd))
    assert first.requests_to("new-order")[0].payload["profile"] == "short"
    assert "profile" not in second.requests_to("new-order")[0].payload


def test_innermost_setting_counts_first_and_in_it_that_for_the_ca(httpd, make_fakeca):
    profiles = {name: "" for name in ("outer", "first", "inner", "second")}
    first, second = make_fakeca(profiles=profiles), make_fakeca(profiles=profiles)
    one, two = first.directory_url, second.directory_url
    configure(httpd, first, second, f"AcmeProfile outer\nAcmeProfile {one} first")
    hosts = {
        "a.example.org": ("", "first", "outer"),
        "b.example.org": ("AcmeProfile inner", "inner", "inner"),
        "c.example.org": (f"AcmeProfile {two} second", "first", "second"),
        "d.example.org": (f"AcmeProfile {two} second\nAcmeProfile inner", "inner", "second"),
    }
    first.script("finalize", f.problem("badCSR", "no"), times=None)
    for name, (text, _, _) in hosts.items():
        httpd.vhost(name, https_extra=f"AcmeManage on\n{text}")
    httpd.start()
    for name, (_, *wanted) in hosts.items():
        httpd.wait_cert(name)
        asked = [
            one.payload["profile"] for ca in (first, second) for one in ca.requests_to("new-order")
            if one.payload["identifiers"][0]["value"] == name
        ]  # fmt: skip
        assert asked == wanted, name


def test_setting_for_a_ca_that_is_not_named_is_told(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeProfile google short")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    said = httpd.configtest().stderr
    assert "ACME1055: AcmeProfile at " in said and "no AcmeCA names the CA https://dv.acme" in said


def test_private_names_may_come_from_ones_own_ca_among_others(two):
    httpd, _, _ = two
    httpd.vhost("wiki.internal", https_extra="AcmeManage on\nAcmeCA letsencrypt https://localhost:1/d")
    assert "ACME1014" not in httpd.configtest().stderr


def test_many_certificates_go_to_the_second_with_few_lines(two):
    httpd, first, second = two
    first.stop()
    names = [f"host{n}.example.org" for n in range(40)]
    for name in names:
        httpd.vhost(name, https_extra="AcmeManage on")
    httpd.start()
    for name in names:
        assert of(second, httpd.wait_cert(name))
    assert len(second.orders) == 40 and len(second.accounts) == 1
    assert httpd.log().count("ACME1547") <= 3


@pytest.fixture
def drive_two(make_fakeca, make_drive, live_dir):  # noqa: F811
    """A function: (drive, first, second), for the names and options given."""

    def make(*arguments):
        first, second = make_fakeca(), make_fakeca()
        trust = live_dir / "both.pem"
        trust.write_bytes(first.ca_file.read_bytes() + second.ca_file.read_bytes())
        drive = make_drive(first, ["--second", second.directory_url, "--trust", trust, *arguments])
        return drive, first, second

    return make


SESSION_FAILED = r"ACME120\d \[localhost.*next attempt at"


def test_certificate_that_is_made_is_waited_for_at_its_ca(drive_two):
    """Whatever trouble the CA has in handing it out, and for however long."""
    drive, first, second = drive_two("--retry", "600", *hosts(1))
    first.script("certificate", f.status(503), times=None)
    drive.start()
    drive.wait_text("asked again at")
    asked = len(first.requests_to("certificate"))
    drive.set_clock(60)
    first.wait_request("certificate", asked + 1)
    drive.set_clock(3700)  # the order is given up for now
    drive.wait_text("ACME1264 .*next attempt at")
    drive.process.kill()
    first.stop()
    drive.start()
    drive.wait_text("(?s)ACME1501.*ACME1501.*0 orders in progress")
    drive.set_clock(4600)
    drive.wait_text(SESSION_FAILED)
    first.clear_script()
    first.start()
    drive.set_clock(90000)
    assert drive.finish() == 0, drive.text()
    assert not second.requests
    assert len(first.orders) == 1 and len(first.certs) == 1


def test_certificate_that_is_made_outlives_the_session_of_its_ca(drive_two):
    drive, first, second = drive_two(*hosts(1))
    first.script("certificate", f.status(503))
    first.script("certificate", lambda exchange, reply: first.stop(), nth=2, when="after")
    drive.start()
    drive.wait_text("(?s)asked again at.*asked again at")
    clock = itertools.count(5, 5)  # nonces are used up, then there are none for long
    wait_until(
        lambda: drive.set_clock(next(clock)) or re.search(SESSION_FAILED, drive.text()),
        30, lambda: drive.text(),
    )  # fmt: skip
    assert not re.search(r"ACME1\d\d\d \[h0.*next attempt at", drive.text())
    first.clear_script()
    first.start()
    drive.set_clock(next(clock) + 100)
    assert drive.finish() == 0, drive.text()
    assert not second.requests
    assert len(first.orders) == 1


def test_known_limit_far_away_is_a_reason_for_the_second(drive_two):
    drive, first, second = drive_two("--limits", "0/0,2/7200,0/0", *hosts(4))
    assert drive.run() == 0, drive.text()
    assert len(first.certs) == 2 and len(second.certs) == 2
    assert re.search(r"ACME1547 .*2 certificates for names of example.org in 2 hours", drive.text())


def test_known_limit_far_away_does_not_hide_a_second_that_is_waited_for(drive_two):
    drive, first, second = drive_two("--stay", "h1.example.org")
    first.script("new-order", f.problem("serverInternal", "not now"), times=None)
    second.script("new-order", f.problem("rateLimited", "later", retry_after=3000), times=None)
    drive.start()
    drive.wait_text("asked again at")
    drive.set_clock(40)  # half a minute is enough of the first
    wait_until(lambda: (drive.doc("h1.example.org") or {}).get("failures"), 30, lambda: drive.text())
    drive.process.kill()
    first.clear_script()
    drive.argv[1:1] = ["--limits", "0/0,1/36000,0/0"]
    drive.argv[-1] = "h0.example.org"
    drive.start()
    wait_until(lambda: len(first.certs) == 1, 30, lambda: drive.text())
    drive.wait_text("ACME1500 ")
    drive.process.kill()
    drive.argv.append("h1.example.org")
    mark = len(drive.text())
    drive.start()
    drive.set_clock(1500)

    def waits():
        """For how long, as the status has it."""
        seen = re.findall(r"status h1.example.org \w+ failures=\d+ next=(\d+):", drive.text()[mark:])
        return int(seen[-1]) if seen else 0

    wait_until(lambda: waits() > 1200, 30, lambda: drive.text())
    assert waits() < 3100, drive.text()
    second.clear_script()
    drive.set_clock(3200)
    wait_until(lambda: len(second.certs) == 1, 30, lambda: drive.text())
    assert len(first.certs) == 1
