"""Limits of CAs: those known in advance are kept, those met are learned, and both outlive a kill."""

import datetime
import re
import time

import pytest

from . import fakeca as f
from .proc import wait_until
from .test_ari import field, quiet_ca
from .test_engine import Drive, hosts, make_drive  # noqa: F401  (fixtures)

SHOP, BLOG = "shop.example.org", "blog.example.com"
NO_LIMIT = "0/0"


def orders(ca):
    return ca.requests_to("new-order")


def names_of(exchange):
    return [one["value"] for one in exchange.payload["identifiers"]]


def pauses(exchanges):
    times = [one.time for one in exchanges]
    return [later - earlier for earlier, later in zip(times, times[1:])]


def apart(count):
    """Hosts that have no domain in common."""
    return [f"www.d{n}.example" for n in range(count)]


# Known in advance


def test_limits_orders_are_spread_as_the_ca_allows(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    drive = make_drive(ca, ["--limits", "3/9", *hosts(5)])
    assert drive.run() == 0, drive.text()
    gaps = pauses(orders(ca))
    assert len(gaps) == 4
    assert max(gaps[:2]) < 2 and min(gaps[2:]) > 2.5, gaps
    assert re.search(r"ACME1534 .*3 new orders of an account in 9 seconds", drive.text())
    assert re.search(r"status h\d.example.org waiting .*next=\d+: .*3 new orders", drive.text())
    assert "failures=1" not in drive.text()


def test_limits_spent_is_remembered_after_a_kill(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    drive = make_drive(ca, ["--limits", "3/30", "--seconds", "40", *hosts(4)]).start()
    wait_until(lambda: len(ca.certs) == 3, 20, "three certificates")
    drive.process.kill()
    first = orders(ca)[0].time
    assert drive.start().finish(60) == 0, drive.text()
    assert len(orders(ca)) == 4
    assert orders(ca)[3].time - first > 9


def test_limits_one_domain_holds_up_no_other(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    drive = make_drive(ca, ["--limits", f"{NO_LIMIT},2/10,{NO_LIMIT}", *hosts(3), *apart(6)])
    assert drive.run() == 0, drive.text()
    asked = orders(ca)
    assert max(pauses(asked[:8])) < 2
    assert names_of(asked[8])[0].endswith("example.org") and pauses(asked)[7] > 4
    assert re.search(r"2 certificates for names of example.org in 10 seconds", drive.text())


def test_limits_go_to_those_that_expire_first(make_fakeca, make_drive):  # noqa: F811
    """Certificates that get another name: not free of limits, as renewals are."""
    ca = make_fakeca()
    days = {"h0": 3, "h1": 40, "h2": 10, "h3": 25}

    def older(leaf):
        life = datetime.timedelta(days=90 - days[leaf.names[0].split(".")[0]])
        leaf.not_before -= life
        leaf.not_after -= life

    ca.on_issue = older
    drive = make_drive(ca, hosts(4), "--stay", "--retry", "3600").start()
    wait_until(lambda: len(ca.certs) == 4, 30, lambda: drive.text())
    wait_until(lambda: drive.text().count("ACME1500") == 4, 10, lambda: drive.text())
    drive.process.kill()
    ca.on_issue = lambda leaf: None
    before = len(orders(ca))
    drive.argv = drive.argv[: drive.argv.index("h0.example.org")]
    drive.argv += ["--limits", "1/2", "--stay"]
    drive.argv += [f"h{n}.example.org,www.h{n}.example.org" for n in range(4)]
    drive.start()
    wait_until(lambda: len(ca.certs) == 8, 30, lambda: drive.text())
    assert [names_of(one)[0][:2] for one in orders(ca)[before:]] == ["h0", "h2", "h3", "h1"]


def test_limits_what_is_never_sent_costs_nothing(make_fakeca, make_drive, make_pebble):  # noqa: F811
    ca, names = make_fakeca(), apart(2)
    dns = make_pebble()
    identities = f.edit_json(lambda one: one["meta"].update(caaIdentities=["ca.example"]))
    ca.script("directory", identities, times=None, when="after")
    dns.add_caa(f"{names[0]}.", {"tag": "issue", "value": "other.example"})
    options = ["--limits", "1/3600", "--resolver", f"127.0.0.1:{dns.dns_port}", "--stay"]
    drive = make_drive(ca, [*options, *names], "--retry", "3600").start()
    drive.wait_text(f"ACME1213 .*{names[0]}")
    drive.wait_text(rf"ACME1500 .*{names[1]}", timeout=10)
    assert [names_of(one) for one in orders(ca)] == [[names[1]]]


FAILURES = f"{NO_LIMIT},{NO_LIMIT},{NO_LIMIT},1/600"  # of a name


def bad_names(ca):
    ca.challenge_result = lambda identifier, _: (
        f.challenge_error("dns", "NXDOMAIN") if identifier["value"].startswith("bad") else None
    )


def test_limits_every_name_that_failed_has_failed(make_fakeca, make_drive):  # noqa: F811
    """Not only the one that the failure of the order is called after."""
    ca = make_fakeca()
    bad_names(ca)
    bad = [f"bad.{name}" for name in apart(3)]
    retry = ["--limits", FAILURES, "--retry", "3600"]
    drive = make_drive(ca, [",".join([SHOP, *bad])], *retry, "--stay").start()
    drive.wait_text(f"ACME1500 .*{SHOP}")
    drive.process.kill()
    before = len(orders(ca))
    drive.argv += bad
    drive.start()
    for name in bad:
        drive.wait_text(rf"status {name} waiting .* 1 failed validations of {name} ")
    assert len(orders(ca)) == before


def test_limits_name_left_out_holds_up_no_others(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    bad_names(ca)
    names = [f"{SHOP},bad.example.org"]
    drive = make_drive(ca, names, "--limits", FAILURES, "--retry", "3600", "--stay").start()
    drive.wait_text(rf"ACME1500 .*{SHOP}", timeout=15)
    assert names_of(orders(ca)[-1]) == [SHOP] and len(orders(ca)) == 2


# Learned


def test_limits_refusals_of_several_hold_back_the_others(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    refuse = f.problem("rateLimited", "too many orders", retry_after=4)
    ca.script("new-order", refuse, nth=4, times=4)
    drive = make_drive(ca, ["--concurrency", "4", *apart(24)])
    assert drive.run() == 0, drive.text()
    asked = orders(ca)
    refused = [one for one in asked if one.status == 429]
    assert len(refused) == 4 and len(asked) == 28
    # then nothing for as long as the CA said, and only one at first
    gaps = pauses(asked)
    assert max(gaps) > 3.5
    again = asked[gaps.index(max(gaps)) + 1 :]
    assert again[1].time > again[0].time
    assert re.search(r"ACME1534 .*having refused several", drive.text())


def test_limits_learned_hold_survives_a_kill(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    ca.script("new-order", f.problem("rateLimited", "too many", retry_after=3600), times=None)
    drive = make_drive(ca, ["--stay", "--concurrency", "2", *apart(6)]).start()
    drive.wait_text("ACME1534")
    drive.process.kill()
    asked = len(orders(ca))
    assert asked <= 3
    drive.start()
    drive.wait_text(r"(?s)looking after 6.*looking after 6.*ACME1534")
    time.sleep(1)
    assert len(orders(ca)) == asked


def test_limits_refusal_of_one_holds_up_no_other(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    ca.script(
        "new-order", f.problem("rateLimited", "5 certificates already issued", retry_after=1800),
        times=None, matches=lambda e: e.payload and names_of(e) == [SHOP],
    )  # fmt: skip
    httpd.acme(ca, "AcmeManage on\nAcmeRetry 1s 2s")
    httpd.vhost(SHOP)
    httpd.vhost(BLOG)
    httpd.start()
    httpd.wait_cert(BLOG)
    wait_until(lambda: "ACME1318" in field(httpd, "Error"), 20, "the refusal in the status")
    next_time = datetime.datetime.strptime(field(httpd, "Next")[-20:], "%Y-%m-%dT%H:%M:%SZ")
    wait = (next_time - datetime.datetime.utcnow()).total_seconds()
    assert 1700 < wait <= 1800
    time.sleep(3)
    assert sum(names_of(one) == [SHOP] for one in orders(ca)) == 1


def test_limits_paused_shows_the_page_to_visit(httpd, make_fakeca):
    page = "https://portal.ca.example/sfe/v1/unpause?jwt=" + "a" * 380
    ca = quiet_ca(make_fakeca, httpd)
    detail = f"Your account is temporarily prevented from requesting {SHOP}. Please visit: {page}"
    ca.script("new-order", f.problem("rateLimited", detail), times=None)
    httpd.acme(ca, "AcmeRetry 1s 2s")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    line = httpd.wait_log(r"ACME1319: .*").group(0)
    assert page in line
    wait_until(lambda: field(httpd, "Visit") == page, 20, "the page in the status")
    html = httpd.get("/server-status", port=httpd.admin_port).text
    assert f'<a href="{page}">' in html
    # asked again once a day, also after a restart
    httpd.restart()
    wait_until(lambda: field(httpd, "Visit") == page, 20, "the page in the status")
    time.sleep(2)
    assert len(orders(ca)) == 1


def test_limits_rate_limited_without_retry_after_backs_off(httpd, make_fakeca):
    ca = quiet_ca(make_fakeca, httpd)
    ca.script("new-order", f.problem("rateLimited", "slow down"), times=2)
    httpd.acme(ca, "AcmeRetry 1s 10s")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    first, second = pauses(orders(ca))
    assert 0.9 < first < 5 and second > 8


# Retry-After on every response

REPLIES = {
    "directory": f.status(503, retry_after=3),
    "new-account": f.problem("rateLimited", "too many accounts", retry_after=3),
    "new-nonce": f.status(503, retry_after=3, headers={"Replay-Nonce": None}),
    "new-order": f.problem("serverInternal", status=503, retry_after=3),
    "authz": f.problem("rateLimited", "too many requests", retry_after=3),
    "challenge": f.status(503, retry_after=3),
    "finalize": f.problem("serverInternal", retry_after=3),
    "order": f.status(429, retry_after=3),
    "certificate": f.status(502, "<html>", "text/html", 3),
}


@pytest.mark.parametrize("endpoint", REPLIES)
def test_limits_retry_after_is_honoured_everywhere(make_fakeca, make_drive, endpoint):  # noqa: F811
    ca = make_fakeca(processing_polls=2)
    ca.script(endpoint, REPLIES[endpoint])
    drive = make_drive(ca, [*hosts(1)])
    assert drive.run() == 0, drive.text()
    refused = ca.requests_to(endpoint)[0]
    later = [one for one in ca.requests if one.number > refused.number]
    # a refused CSR is asked about by its order
    next_of = {"finalize": "order", "challenge": "authz"}.get(endpoint, endpoint)
    again = [one for one in later if one.endpoint in (endpoint, next_of)]
    assert again[0].time - refused.time >= 2.95, [(one.endpoint, one.time) for one in later]


def test_limits_retry_after_of_renewal_info_is_honoured(make_fakeca, make_drive):  # noqa: F811
    ca = make_fakeca()
    ca.script("renewal-info", f.status(503, retry_after=300))
    drive = make_drive(ca, ["--stay", *hosts(1)]).start()
    ca.wait_request("renewal-info")
    wait_until(lambda: drive.doc("h0.example.org", "ari"), 20, "that it is kept")
    drive.set_clock(290)
    time.sleep(1.5)
    assert len(ca.requests_to("renewal-info")) == 1
    drive.set_clock(302)
    ca.wait_request("renewal-info", 2)
