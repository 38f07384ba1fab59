"""One bad name must not sink the rest: what is told of it, and how it comes back."""

import re
import json
import time

from . import faults
from .fakeca import challenge_error
from .proc import wait_until
from .test_issue import SHOP, acmectl, issue_one, serial

WWW, BAD, MORE = "www.shop.example.org", "bad.shop.example.org", "more.shop.example.org"
BLOCKED = "blocked.example.net"
# else each name is tried by the next challenge, with an order of its own, before it is bad
ONE_WAY = "AcmeChallenges http-01"
KEY = f"Acme[{SHOP}/ecdsa]"


def spoil(ca, *names, kind="dns"):
    """Let the validation of names fail from now on; without any, of none."""

    def result(identifier, _kind):
        name = identifier["value"]
        return challenge_error(kind, f"no luck with {name}") if name in names else None

    ca.challenge_result = result


def names_of_orders(ca):
    return [sorted(one["value"] for one in order["identifiers"]) for order in ca.orders.values()]


def test_names_refused_by_pebble_is_left_out_and_told(httpd, make_pebble):
    # no more labels than the others have: else Pebble panics at those
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port, blocklist=[BLOCKED])
    httpd.acme(ca, ONE_WAY)
    served = issue_one(httpd, aliases=(WWW, BLOCKED))
    assert sorted(served.names) == [SHOP, WWW]
    said = httpd.wait_log(f"ACME1561: .*{BLOCKED}.*").group(0)
    assert "ACME1320" not in said and "does not issue for this name" in said
    assert "tried again at 20" in said
    wait_until(lambda: BLOCKED in httpd.server_status().get(f"{KEY}LeftOut", ""), 10, "left out")
    wait_until(lambda: httpd.server_status()[f"{KEY}State"] == "valid", 10, "valid")
    status = httpd.server_status()
    assert "ACME1320" in status[f"{KEY}LeftOut"]
    assert f"try to add {BLOCKED}" in status[f"{KEY}Next"]
    page = httpd.get("/server-status", port=httpd.admin_port).text
    assert f"without {BLOCKED}" in page
    (key,) = json.loads(httpd.acme_status().body)["certificates"][0]["keys"]
    assert f"left out (ACME1320): {BLOCKED}" in [event["text"] for event in key["events"]]
    # no loop: the next attempt is a minute away
    orders = ca.log.read_text().count("There are now")
    time.sleep(2)
    assert ca.log.read_text().count("There are now") == orders
    # the set without it is taken over and renewed like any other
    httpd.graceful()
    assert serial(httpd.served_cert(SHOP)) == serial(served)
    wait_until(lambda: BLOCKED in httpd.server_status().get(f"{KEY}LeftOut", ""), 10, "left out")
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert serial(httpd.served_cert(SHOP)) != serial(served)
    assert sorted(httpd.served_cert(SHOP).names) == [SHOP, WWW]


def test_names_failing_ones_come_back_when_they_are_mended(httpd, make_fakeca):
    ca = make_fakeca()
    spoil(ca, BAD, MORE)
    httpd.acme(ca, f"AcmeRetry 1s 3s\n{ONE_WAY}")
    served = issue_one(httpd, aliases=(WWW, BAD, MORE))
    assert sorted(served.names) == [SHOP, WWW]
    # both are known after the first order, and the second one is the certificate's
    assert names_of_orders(ca)[:2] == [sorted([SHOP, WWW, BAD, MORE]), [SHOP, WWW]]
    for name in (BAD, MORE):
        assert "no luck with " + name in httpd.wait_log(f"ACME1561: .*without {name}.*").group(0)
    spoil(ca, MORE)
    httpd.wait_cert(SHOP, lambda served: BAD in served.names)
    httpd.wait_log(f"ACME1562: .*{BAD} is in the certificate again")
    assert sorted(httpd.served_cert(SHOP).names) == sorted([SHOP, WWW, BAD])
    spoil(ca)
    httpd.wait_cert(SHOP, lambda served: MORE in served.names)
    wait_until(lambda: f"{KEY}LeftOut" not in httpd.server_status(), 10, "nothing left out")
    assert httpd.server_status()[f"{KEY}State"] == "valid"


def test_names_waits_grow_and_outlive_a_restart(httpd, make_fakeca):
    ca = make_fakeca()
    spoil(ca, BAD)
    httpd.acme(ca, f"AcmeRetry 1s\n{ONE_WAY}")
    issue_one(httpd, aliases=(BAD,))
    # a second, ten seconds, a hundred
    ca.wait_request("new-order", 3)
    wait_until(lambda: len(re.findall("ACME1561", httpd.log())) == 2, 10, "a second time")
    orders = len(ca.orders)
    httpd.stop()
    httpd.start()
    wait_until(lambda: BAD in httpd.server_status().get(f"{KEY}LeftOut", ""), 10, "left out")
    time.sleep(2)
    assert len(ca.orders) == orders
    spoil(ca)
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert sorted(httpd.served_cert(SHOP).names) == sorted([SHOP, BAD])


def test_names_fail_tells_which_and_issues_nothing(httpd, make_fakeca):
    ca = make_fakeca()
    spoil(ca, BAD, MORE, kind="connection")
    httpd.acme(ca, f"AcmeBadNames fail\n{ONE_WAY}")
    httpd.vhost(SHOP, (BAD, MORE), https_extra="AcmeManage on")
    httpd.start()
    said = httpd.wait_log("ACME1310: .*").group(0)
    assert BAD in said and MORE in said and "next attempt at" in said
    error = wait_until(lambda: httpd.server_status().get(f"{KEY}Error"), 10, "an error")
    assert BAD in error and MORE in error
    assert not ca.certs and httpd.served_cert(SHOP).self_signed
    assert "ACME1561" not in httpd.log()


def test_names_identity_is_never_left_out(httpd, make_fakeca):
    ca = make_fakeca()
    spoil(ca, SHOP)
    httpd.acme(ca, ONE_WAY)
    httpd.vhost(SHOP, (WWW,), https_extra="AcmeManage on")
    httpd.start()
    said = httpd.wait_log("ACME1311: .*").group(0)
    assert f"[{SHOP}]" in said
    assert not ca.certs and len(ca.orders) == 1


def test_names_added_bad_one_does_not_keep_the_good_one_out(httpd, make_fakeca):
    ca = make_fakeca()
    spoil(ca, BAD)
    httpd.acme(ca, ONE_WAY)
    before = issue_one(httpd)
    httpd.clear_config()
    httpd.acme(ca, ONE_WAY).vhost(SHOP, (WWW, BAD, MORE), https_extra="AcmeManage on")
    httpd.graceful()
    httpd.wait_cert(SHOP, lambda served: sorted(served.names) == sorted([SHOP, WWW, MORE]))
    assert len(ca.certs) == 2 and serial(before) != serial(httpd.served_cert(SHOP))
    # alone it changes nothing: the certificate has all that can be had
    httpd.clear_config()
    httpd.acme(ca, ONE_WAY).vhost(SHOP, (WWW, MORE, "worse.example.org"), https_extra="AcmeManage on")
    spoil(ca, "worse.example.org")
    httpd.graceful()
    httpd.wait_log("ACME1561: .*without worse.example.org")
    time.sleep(1)
    assert len(ca.certs) == 2


def test_names_in_service_are_kept_until_the_renewal_is_late(httpd, make_fakeca):
    # from half a minute ago, with 45 s left; renewed with 40 s left, late with 20 s left
    ca = make_fakeca(validity=75)
    httpd.acme(ca, f"AcmeRenew 40s\nAcmeRetry 2s 4s\n{ONE_WAY}")
    before = issue_one(httpd)
    spoil(ca, WWW)
    httpd.wait_log("ACME1311: .*next attempt at")
    assert serial(httpd.served_cert(SHOP)) == serial(before)
    served = httpd.wait_cert(SHOP, lambda one: one.names == [SHOP], timeout=60)
    assert len(re.findall("ACME1311: .*next attempt at", httpd.log())) >= 2
    left = before.leaf.not_valid_after - served.leaf.not_valid_before
    assert left.total_seconds() < 30 + 22


def test_names_refused_at_finalize_by_caa(httpd, make_fakeca):
    ca = make_fakeca()
    refusal = faults.problem("caa", f"CAA record for {WWW} prevents issuance")
    ca.script("finalize", refusal)
    httpd.acme(ca, ONE_WAY)
    served = issue_one(httpd)
    assert served.names == [SHOP]
    assert "prevents issuance" in httpd.wait_log(f"ACME1561: .*without {WWW}.*").group(0)
