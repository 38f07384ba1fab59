"""Renewal information (RFC 9773): asked for, followed, and what a CA can do wrong with it."""

import datetime
import re
import time

import pytest

from . import fakeca as f
from . import pki
from .proc import wait_until
from .test_engine import Drive, hosts, make_drive, ported  # noqa: F401  (fixtures)
from .test_issue import acmectl, issue_one, serial

SHOP = "shop.example.org"
PAST = {
    "suggestedWindow": {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00Z"},
    "explanationURL": "https://ca.example/docs/incident-7",
}


def window(start, end):
    """{"suggestedWindow": ...} of these seconds from now."""
    now = pki.now()
    moment = lambda seconds: f.rfc3339(now + datetime.timedelta(seconds=seconds))  # noqa: E731
    return {"suggestedWindow": {"start": moment(start), "end": moment(end)}}


def answer(obj, retry_after=3600):
    """What renewalInfo says, whatever the certificate."""
    return f.status(200, f.encode(obj), f.JSON, retry_after)


def field(httpd, key, name=SHOP):
    return httpd.server_status().get(f"Acme[{name}/ecdsa]{key}", "")


def quiet_ca(make_fakeca, httpd, **options):
    return make_fakeca(validate="http", http_port=httpd.http_port, retry_after=None, **options)


# With Pebble


@pytest.mark.all_mpms
def test_ari_revocation_renews_at_once_and_says_why(acme_httpd, pebble):
    """The CA's window moves into the past, and the next answer is taken to heart."""
    first = issue_one(acme_httpd)
    acme_httpd.wait_log(r"ACME1530: .*the CA suggests to renew|ACME1531", 20)
    pebble.set_renewal_info(first.leaf, PAST)
    # an answer is kept for hours: what comes with a new process is asked for anew
    for path in (acme_httpd.store / "work" / SHOP).glob("*.ari"):
        path.unlink()
    mark = acme_httpd.mark()
    acme_httpd.graceful()
    acme_httpd.wait_cert(SHOP, lambda served: serial(served) != serial(first))
    log = acme_httpd.wait_log(r"ACME1531: .*incident-7", 20, mark).group(0)
    assert "2026-01-02T04:00:00Z" in log
    acme_httpd.wait_log(r"order begun \(renew: when the CA suggests it\)", 20, mark)
    # taken as a replacement, at the first attempt
    assert pebble.log.read_text().count("ACME1301") == 0
    assert not re.search(r"ACME13\d\d", acme_httpd.log_since(mark))


def test_ari_window_is_shown_with_its_explanation(acme_httpd, pebble, make_httpd):
    first = issue_one(acme_httpd)
    wait_until(lambda: " to " in field(acme_httpd, "Suggested"), 20, "a window in the status")
    said = dict(window(86400, 2 * 86400), explanationURL="https://ca.example/why?a=1&b=2")
    pebble.set_renewal_info(first.leaf, said)
    (acme_httpd.store / "work" / SHOP / "ecdsa.ari").unlink()
    acme_httpd.graceful()
    wait_until(
        lambda: field(acme_httpd, "Explanation") == said["explanationURL"], 20, "the explanation"
    )
    assert field(acme_httpd, "Suggested").startswith(said["suggestedWindow"]["start"])
    next_action = field(acme_httpd, "Next")
    assert "when the CA suggests it" in next_action
    assert said["suggestedWindow"]["start"] <= next_action.split(", ")[-1]
    assert next_action.split(", ")[-1] <= said["suggestedWindow"]["end"]
    html = acme_httpd.get("/server-status", port=acme_httpd.admin_port).text
    assert 'href="https://ca.example/why?a=1&amp;b=2"' in html
    # the moment stays put, and the CA is not asked again before its time
    asked = pebble.log.read_text().count("GET /draft-ietf-acme-ari-03/renewalInfo")
    acme_httpd.stop()
    acme_httpd.start()
    wait_until(lambda: field(acme_httpd, "Next") == next_action, 20, "the same moment")
    assert pebble.log.read_text().count("GET /draft-ietf-acme-ari-03/renewalInfo") == asked


def test_ari_short_profile_renews_by_itself_again_and_again(httpd, make_pebble):
    """A certificate of two minutes, by profile: served without a break, replaced in time."""
    ca = make_pebble(
        http_port=httpd.http_port, tls_port=httpd.https_port,
        profiles={"classic": 90 * 86400, "blink": 40}, retry_after=(1, 1),
    )  # fmt: skip
    httpd.acme(ca, "AcmeProfile blink required\nAcmeRetry 1s 5s")
    served = issue_one(httpd)
    seen = {serial(served)}
    end = time.monotonic() + 120
    while len(seen) < 4:
        assert time.monotonic() < end, seen
        served = httpd.served_cert(SHOP)
        assert not served.self_signed
        assert served.leaf.not_valid_after > pki.now()
        life = served.leaf.not_valid_after - served.leaf.not_valid_before
        assert life <= datetime.timedelta(seconds=60)
        seen.add(serial(served))
        time.sleep(0.2)
    assert not re.search(r"ACME1514", httpd.log())


def test_profile_required_but_not_offered_orders_nothing(httpd, make_pebble):
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port)
    httpd.acme(ca, "AcmeProfile nonesuch required")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(r"ACME1354: .*nonesuch; it has: default")
    assert httpd.served_cert(SHOP).self_signed


@pytest.mark.parametrize("others", [{"classic": "90 days"}, None], ids=["others", "none"])
def test_profile_preferred_but_not_offered_is_gone_without(httpd, make_fakeca, others):
    ca = quiet_ca(make_fakeca, httpd, profiles=others)
    httpd.acme(ca, "AcmeProfile shortlived")
    before = serial(issue_one(httpd))
    assert "profile" not in ca.requests_to("new-order")[0].payload
    has = " ".join(others or ["none"])
    httpd.wait_log(f"ACME1830: .*without the profile shortlived, which .*; it has: {has}\\.")
    mark = httpd.mark()
    # the CA has got it meanwhile: from the next order on, and none is made for it alone
    ca.profiles = {"shortlived": "six days"}
    httpd.graceful()
    httpd.wait_log("ACME1501: .*, 0 orders")
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != before
    assert [one.payload.get("profile") for one in ca.requests_to("new-order")] == [None, "shortlived"]
    assert not re.search(r"ACME1354", httpd.log())
    assert "ACME1830" not in httpd.log_since(mark)


@pytest.mark.parametrize(("hours", "left"), [(160, 80), (45 * 24, 15 * 24), (90 * 24, 30 * 24)])
def test_renewal_is_planned_from_the_real_lifetime(httpd, make_fakeca, hours, left):
    """Half of 160 hours, a third of 45 and of 90 days."""
    ca = quiet_ca(make_fakeca, httpd, ari=False, validity=hours * 3600)
    httpd.acme(ca)
    served = issue_one(httpd)
    wait_until(lambda: field(httpd, "State") == "valid", 20, "valid")
    moment = datetime.datetime.strptime(field(httpd, "Next")[-20:], "%Y-%m-%dT%H:%M:%SZ")
    rest = (served.leaf.not_valid_after - moment).total_seconds() / 3600
    assert left - 0.01 <= rest <= left + hours / 50 + 0.01


# With the scripted CA


def test_ari_is_asked_right_after_issue_without_a_signature(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    httpd.acme(ca)
    issue_one(httpd)
    asked = ca.wait_request("renewal-info")
    assert (asked.method, asked.raw, asked.status) == ("GET", b"", 200)
    assert asked.path.endswith("/" + f.cert_id(next(iter(ca.certs.values()))["cert"]))
    time.sleep(1)
    assert len(ca.requests_to("renewal-info")) == 1


def test_ari_renewal_names_what_it_replaces(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    httpd.acme(ca)
    issue_one(httpd)
    assert "replaces" not in ca.requests_to("new-order")[0].payload
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    old = f.cert_id(next(iter(ca.certs.values()))["cert"])
    assert ca.requests_to("new-order")[-1].payload["replaces"] == old


@pytest.mark.parametrize(
    "refusal", ["alreadyReplaced", "conflict", "malformed", "unauthorized", "serverInternal"]
)
def test_ari_refused_replacement_is_ordered_without_at_once(httpd, make_fakeca, refusal):
    ca = quiet_ca(make_fakeca, httpd)
    httpd.acme(ca)
    before = serial(issue_one(httpd))
    ca.script(
        "new-order", f.problem(refusal, "no such replacement"), times=None,
        matches=lambda e: e.payload and "replaces" in e.payload,
    )  # fmt: skip
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != before
    *refused, taken = ca.requests_to("new-order")[1:]
    # one is sent again after a look at the account
    assert len(refused) == 1 + (refusal == "unauthorized")
    assert all("replaces" in one.payload for one in refused)
    assert "replaces" not in taken.payload
    httpd.wait_log(r"ACME13\d\d: .*no such replacement")


def test_ari_ca_without_renewal_info_is_neither_asked_nor_told(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd, ari=False)
    httpd.acme(ca)
    issue_one(httpd)
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert not ca.requests_to("renewal-info")
    assert "replaces" not in ca.requests_to("new-order")[-1].payload


def test_ari_noari_switches_it_off(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    ca.script("renewal-info", answer(PAST), times=None)
    httpd.acme(ca, "AcmeRenew 33% noari")
    issue_one(httpd)
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert not ca.requests_to("renewal-info")
    assert "replaces" not in ca.requests_to("new-order")[-1].payload
    assert len(ca.certs) == 2


def test_ari_of_another_account_is_not_named_as_replaced(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    httpd.acme(ca)
    issue_one(httpd)
    httpd.stop()
    for path in (httpd.store / "accounts").iterdir():
        (path / "account.json").unlink()
    httpd.start()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert len(ca.accounts) == 2
    assert "replaces" not in ca.requests_to("new-order")[-1].payload


def test_ari_ca_that_is_never_content_gets_no_loop(httpd, make_fakeca):
    """Every certificate is to be replaced at once, the new ones too."""
    ca = quiet_ca(make_fakeca, httpd)
    ca.script("renewal-info", answer(PAST, 60), times=None)
    httpd.acme(ca)
    issue_one(httpd)
    httpd.wait_log(r"ACME1532: .*put off until", 30)
    time.sleep(2)
    assert len(ca.certs) == 2
    assert "renew" in field(httpd, "Next")


def test_ari_useless_answers_are_told_once_and_renewals_go_on(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    ca.script("renewal-info", f.html(200, "Welcome"), times=None)
    httpd.acme(ca, "AcmeManage on")
    names = [f"h{n}.example.org" for n in range(4)]
    for name in names:
        httpd.vhost(name)
    httpd.start()
    for name in names:
        httpd.wait_cert(name)
    ca.wait_request("renewal-info", 4)
    httpd.wait_log(r"ACME1230: ")
    assert acmectl(httpd, "renew", names[0]).returncode == 0
    ca.wait_request("renewal-info", 5)
    assert len(re.findall("ACME1230: ", httpd.log())) == 1


# Without httpd


def work(drive, name):
    return drive.doc(name, "ari")


def test_ari_answer_and_moment_survive_a_kill(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    ca.script("renewal-info", answer(window(86400, 5 * 86400)), times=None)
    drive = make_drive(ca, ["--stay", *hosts(1)]).start()
    wait_until(lambda: work(drive, "h0.example.org"), 20, "an answer")
    drive.process.kill()
    before = work(drive, "h0.example.org")
    drive.start()
    drive.wait_text(r"status h0.example.org valid .*when the CA suggests it")
    time.sleep(1)
    assert work(drive, "h0.example.org") == before
    assert len(ca.requests_to("renewal-info")) == 1
    moments = set(re.findall(r"next=(\d+): renew: when the CA", drive.text()))
    assert max(map(int, moments)) - min(map(int, moments)) <= 5


def test_ari_retry_after_is_obeyed_both_ways(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    ca.script("renewal-info", answer(window(86400, 5 * 86400), 600), times=None)
    drive = make_drive(ca, ["--stay", *hosts(1)]).start()
    ca.wait_request("renewal-info")
    wait_until(lambda: work(drive, "h0.example.org"), 20, "an answer")
    drive.set_clock(590)
    time.sleep(1.5)
    assert len(ca.requests_to("renewal-info")) == 1
    drive.set_clock(601)
    ca.wait_request("renewal-info", 2)


def test_ari_mass_revocation_renews_all_the_most_urgent_first(make_fakeca, make_drive):  # noqa: F811
    """Every window is past at once: paced by the concurrency, soonest expiry first."""
    ca = make_fakeca()
    count = 12
    ages = {}

    def older(leaf):
        """The n-th name's certificate is n days old when it is issued."""
        if leaf.names[0] not in ages:
            ages[leaf.names[0]] = int(re.match(r"h(\d+)", leaf.names[0]).group(1))
            leaf.not_before -= datetime.timedelta(days=ages[leaf.names[0]])
            leaf.not_after -= datetime.timedelta(days=ages[leaf.names[0]])

    ca.on_issue = older
    ca.script("renewal-info", answer(window(86400, 5 * 86400), 21600), times=count)
    drive = make_drive(ca, ["--concurrency", "2", "--seconds", "90", "--stay", *hosts(count)]).start()
    ca.wait_request("renewal-info", count)
    wait_until(lambda: all(work(drive, name) for name in hosts(count)), 20, "all answers")
    issued = len(ca.requests_to("new-order"))
    ca.script("renewal-info", answer(PAST, 21600), times=None)
    # no order goes through before all is known
    gate = f.problem("serverInternal", status=503, retry_after=8)
    ca.script("new-order", gate, times=2)
    drive.set_clock(21700)
    wait_until(lambda: len(ca.certs) == 2 * count, 60, lambda: f"all renewed\n{drive.text()}")
    orders = ca.requests_to("new-order")[issued:]
    ids = [int(o.payload["identifiers"][0]["value"][1:].split(".")[0]) for o in orders]
    rest = [n for n in ids if n not in ids[:2]]
    assert rest == sorted(rest, reverse=True), ids


def test_ari_many_questions_use_few_connections_and_hold_up_nobody(
    make_fakeca, make_drive  # noqa: F811
):
    ca = make_fakeca()
    count = 30
    drive = make_drive(ca, ["--seconds", "60", *hosts(count)])
    assert drive.run() == 0, drive.text()
    for path in drive.store.glob("work/*/ecdsa.ari"):
        path.unlink()
    asked = len(ca.requests_to("renewal-info"))
    # answers come slowly: the others go by
    ca.script("renewal-info", f.silence(), times=2)
    drive.argv[-1] = "new.example.org"
    drive.argv.insert(drive.argv.index("--seconds"), "--stay")
    began = time.time()
    drive.start()
    wait_until(
        lambda: any(pki.names_of(one["cert"]) == ["new.example.org"] for one in ca.certs.values()),
        20, "the new certificate",
    )  # fmt: skip
    assert time.time() - began < 10
    questions = ca.requests_to("renewal-info")[asked:]
    assert 1 <= len(questions) <= 4


def test_ari_ca_in_trouble_is_not_asked_about_each(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    ca.script("renewal-info", f.status(503), times=None)
    drive = make_drive(ca, ["--stay", *hosts(12)]).start()
    wait_until(lambda: len(ca.certs) == 12, 30, lambda: drive.text())
    ca.wait_request("renewal-info")
    time.sleep(2)
    assert len(ca.requests_to("renewal-info")) <= 2
    ca.clear_script()
    drive.set_clock(75)
    ca.wait_request("renewal-info", 12)
