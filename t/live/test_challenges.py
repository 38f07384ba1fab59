"""Which challenge is taken: what the administrator wants, the CA offers, the host can, and fails."""

import json
import threading

import pytest

from .fakeca import challenge_error
from .proc import free_port, wait_until
from .test_issue import acmectl

SHOP, WWW, BLOG = "shop.example.org", "www.shop.example.org", "blog.example.org"
BOTH = "AcmeChallenges tls-alpn-01 http-01"


def start(httpd, ca, *names, config="", **options):
    httpd.acme(ca, config)
    httpd.vhost(names[0], names[1:], https_extra="AcmeManage on", **options)
    httpd.start()


def status_of(httpd, key, name=SHOP):
    return httpd.server_status().get(f"Acme[{name}/ecdsa]{key}")


def wait_status(httpd, key, value):
    wait_until(lambda: status_of(httpd, key) == value, 30, lambda: status_of(httpd, key))


def answered(ca):
    """[(name, type)] of the challenges that were answered, in that order."""
    kinds = {
        one["url"]: (authz["identifier"]["value"], one["type"])
        for authz in ca.authzs.values()
        for one in authz["challenges"]
    }
    return [kinds[exchange.url] for exchange in ca.requests_to("challenge")]


@pytest.fixture
def picky(make_fakeca):
    """A CA that takes each challenge as met, but for those in refused: (name, type)."""

    def make(refused, **options):
        ca = make_fakeca(**options)
        ca.challenge_result = lambda identifier, kind: (
            challenge_error("connection", "192.0.2.1: connection refused")
            if (identifier["value"], kind) in refused
            else None
        )
        return ca

    return make


def record_of(httpd, number, name=SHOP):
    path = httpd.store / "fresh" / name / f"ecdsa.{number}" / "record.json"
    return json.loads(path.read_text())


def renewed(httpd, ca):
    """Renew; what was answered for it."""
    before = len(answered(ca))
    result = acmectl(httpd, "renew", SHOP)
    assert result.returncode == 0, result
    return answered(ca)[before:]


# What is taken at first


@pytest.mark.parametrize(
    "wanted, taken",
    [
        ("", "tls-alpn-01"),
        ("AcmeChallenges http-01 tls-alpn-01", "http-01"),
        ("AcmeChallenges tls-alpn-01", "tls-alpn-01"),
    ],
)
def test_preferred_challenge_is_taken(httpd, fakeca, wanted, taken):
    start(httpd, fakeca, SHOP, config=wanted)
    httpd.wait_cert(SHOP)
    assert answered(fakeca) == [(SHOP, taken)]
    wait_status(httpd, "Proof", taken)
    assert "ACME1362" not in httpd.log()  # nothing was passed over


def test_what_the_ca_does_not_offer_is_passed_over_and_told(httpd, make_fakeca):
    ca = make_fakeca(challenges=("http-01", "dns-01"))
    start(httpd, ca, SHOP)
    httpd.wait_cert(SHOP)
    told = "http-01; not by tls-alpn-01: the CA does not offer it"
    assert f"ACME1362: [{SHOP}/ecdsa order=authorizing] control of {SHOP} is proved by {told}" in httpd.log()
    wait_status(httpd, "Proof", told)
    html = httpd.get("/server-status", port=httpd.admin_port).text
    assert told in html


@pytest.mark.parametrize(
    "ports, told",
    [
        ("80:{http} 443:-", "AcmePortMap says that the world's port 443 does not arrive"),
        ("80:{http} 443:1", "the world's port 443 arrives at the local port 1, where no virtual host has SSLEngine on"),
        ("80:{http} 443:{admin}", "where no virtual host has SSLEngine on"),
    ],
    ids=["closed", "nobody", "plain"],
)  # fmt: skip
def test_what_the_host_cannot_is_passed_over_and_told(httpd, fakeca, ports, told):
    httpd.acme(fakeca)
    ports = ports.format(http=httpd.http_port, admin=httpd.admin_port)
    mapped = f"80:{httpd.http_port} 443:{httpd.https_port}"
    httpd._global[-1] = httpd._global[-1].replace(mapped, ports)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    assert answered(fakeca) == [(SHOP, "http-01")]
    assert "not by tls-alpn-01: " in status_of(httpd, "Proof") and told in httpd.log()


def test_no_way_at_all_is_told_for_each_challenge(httpd, fakeca):
    start(httpd, fakeca, SHOP, config="AcmeChallenges dns-01")
    line = httpd.wait_log(rf"ACME1508: .*{SHOP} \(\S+\.conf:\d+\) to the CA: (.*)")[1]
    assert "dns-01: no AcmeDnsCommand publishes DNS records" in line
    assert not fakeca.requests_to("new-order")


def test_wanted_challenge_that_is_not_offered_is_an_error_that_says_what_is(httpd, make_fakeca):
    ca = make_fakeca(challenges=("dns-01",))
    start(httpd, ca, SHOP)
    httpd.wait_log(f"ACME1353: .*control of {SHOP} .*: the CA offers dns-01, this server can use tls-alpn-01, http-01")


# What comes after one that failed


def test_next_challenge_within_the_authorization_where_it_stays_pending(httpd, picky):
    ca = picky({(SHOP, "tls-alpn-01")}, forgiving=True)
    start(httpd, ca, SHOP, WWW)
    httpd.wait_cert(SHOP)
    assert len(ca.orders) == 1
    assert sorted(answered(ca)) == [
        (SHOP, "http-01"), (SHOP, "tls-alpn-01"), (WWW, "tls-alpn-01"),
    ]  # fmt: skip
    assert f"ACME1361: [{SHOP}/ecdsa order=authorizing] tls-alpn-01 has failed for {SHOP}: " in httpd.log()


def test_next_challenge_in_a_new_order_at_once(httpd, picky):
    ca = picky({(SHOP, "tls-alpn-01")})
    start(httpd, ca, SHOP)
    httpd.wait_cert(SHOP, timeout=20)
    assert answered(ca) == [(SHOP, "tls-alpn-01"), (SHOP, "http-01")]
    assert len(ca.orders) == 2
    log = httpd.log()
    assert f"tls-alpn-01 has failed for {SHOP}: the CA could not connect to this name" in log
    assert "192.0.2.1: connection refused" in log
    proof = status_of(httpd, "Proof")
    assert proof.startswith("http-01; not by tls-alpn-01: it failed: ")
    wait_status(httpd, "State", "valid")
    assert status_of(httpd, "Error") is None


def test_many_names_cost_one_order_more_not_one_each(httpd, picky):
    names = [SHOP] + [f"n{i}.shop.example.org" for i in range(12)]
    ca = picky({(name, "tls-alpn-01") for name in names})
    start(httpd, ca, *names)
    httpd.wait_cert(SHOP, timeout=40)
    assert len(ca.orders) == 2


def test_each_name_by_what_works_for_it(httpd, picky):
    ca = picky({(SHOP, "tls-alpn-01"), (WWW, "http-01")}, authz_reuse=True)
    start(httpd, ca, SHOP, WWW)
    httpd.wait_cert(SHOP, timeout=40)
    assert len(ca.orders) <= 3


def test_name_with_a_way_left_is_not_left_out_with_one_that_has_none(httpd, picky):
    """In the second order BAD fails by its last challenge and WWW by its first."""
    bad = "zzz.shop.example.org"
    refused = {(bad, "tls-alpn-01"), (bad, "http-01"), (WWW, "http-01")}
    ca = picky(refused)
    start(httpd, ca, SHOP, WWW, bad, config="AcmeRetry 1h")
    served = httpd.wait_cert(SHOP, timeout=40)
    assert sorted(served.names) == [SHOP, WWW]
    assert len(ca.orders) == 3
    left_out = [line for line in httpd.log().splitlines() if "ACME1561" in line]
    assert len(left_out) == 1 and f"without {bad} " in left_out[0]
    assert "192.0.2.1: connection refused" in left_out[0]
    assert (WWW, "tls-alpn-01") in answered(ca)[-2:]  # of the two names, in any order


def test_nothing_is_tried_any_more_where_the_first_name_has_no_way_left(httpd, picky):
    refused = {(SHOP, "tls-alpn-01"), (SHOP, "http-01"), (WWW, "http-01")}
    ca = picky(refused)
    start(httpd, ca, SHOP, WWW, config="AcmeRetry 1h")
    httpd.wait_log("ACME1310: .*next attempt at")
    assert len(ca.orders) == 2 and "ACME1561" not in httpd.log()


def test_when_all_fail_it_is_one_failure_and_the_next_attempt_begins_with_the_best(httpd, picky):
    refused = {(SHOP, "tls-alpn-01"), (SHOP, "http-01")}
    ca = picky(refused)
    start(httpd, ca, SHOP, config="AcmeRetry 2s")
    httpd.wait_log("ACME1310: .*next attempt at")
    assert answered(ca) == [(SHOP, "tls-alpn-01"), (SHOP, "http-01")]
    assert status_of(httpd, "State") == "error"
    refused.clear()
    httpd.wait_cert(SHOP, timeout=30)
    assert answered(ca)[2:] == [(SHOP, "tls-alpn-01")]


def test_what_the_ca_does_not_offer_is_no_reason_for_another_order(httpd, picky):
    ca = picky({(SHOP, "tls-alpn-01")}, challenges=("tls-alpn-01", "dns-01"))
    start(httpd, ca, SHOP)
    httpd.wait_log("ACME1310: .*next attempt at")
    assert len(ca.orders) == 1


def test_trouble_of_the_ca_is_no_reason_for_another_challenge(httpd, make_fakeca):
    ca = make_fakeca()
    ca.challenge_result = lambda *_: challenge_error("serverInternal", "out of order")
    start(httpd, ca, SHOP)
    httpd.wait_log("ACME1321: .*next attempt at")
    assert answered(ca) == [(SHOP, "tls-alpn-01")]


def test_with_pebble_a_closed_port_leads_to_http(make_httpd, make_pebble):
    httpd = make_httpd()
    ca = make_pebble(http_port=httpd.http_port, tls_port=free_port())
    start(httpd, ca, SHOP, WWW)
    httpd.wait_cert(SHOP, timeout=30)
    assert "tls-alpn-01 has failed for" in httpd.log() and "ACME1813" in httpd.log()


# What proved a name last is tried first


def test_what_proved_a_name_last_is_tried_first_at_its_renewal(httpd, picky):
    ca = picky({(SHOP, "tls-alpn-01")})
    start(httpd, ca, SHOP)
    httpd.wait_cert(SHOP, timeout=20)
    assert record_of(httpd, 1)["proved_by"] == "http-01"
    assert renewed(httpd, ca) == [(SHOP, "http-01")]
    wait_status(httpd, "Proof", "http-01; not by tls-alpn-01: http-01 has proved it last time")
    httpd.graceful()
    assert renewed(httpd, ca) == [(SHOP, "http-01")]
    assert record_of(httpd, 3)["proved_by"] == "http-01"  # nothing was lost on the way


def test_what_is_remembered_is_forgotten_with_another_setting(httpd, picky):
    refused = {(SHOP, "tls-alpn-01")}
    ca = picky(refused)
    start(httpd, ca, SHOP)
    httpd.wait_cert(SHOP, timeout=20)
    refused.clear()
    httpd.config(BOTH)
    httpd.graceful()
    assert renewed(httpd, ca) == [(SHOP, "tls-alpn-01")]
    assert "proved_by" not in record_of(httpd, 2)


def test_what_is_remembered_is_forgotten_when_it_fails(httpd, picky):
    refused = {(SHOP, "tls-alpn-01")}
    ca = picky(refused)
    start(httpd, ca, SHOP)
    httpd.wait_cert(SHOP, timeout=20)
    refused.clear()
    refused.add((SHOP, "http-01"))
    assert renewed(httpd, ca) == [(SHOP, "http-01"), (SHOP, "tls-alpn-01")]
    assert renewed(httpd, ca) == [(SHOP, "tls-alpn-01")]


def test_each_name_has_its_own_that_is_remembered(httpd, picky):
    ca = picky({(SHOP, "tls-alpn-01")}, authz_reuse=True)
    start(httpd, ca, SHOP, WWW)
    httpd.wait_cert(SHOP, timeout=20)
    record = record_of(httpd, 1)
    words = dict(zip((i["value"] for i in record["identifiers"]), record["proved_by"].split()))
    assert words == {SHOP: "http-01", WWW: "-"}
    ca.authz_reuse = False
    assert sorted(renewed(httpd, ca)) == [(SHOP, "http-01"), (WWW, "tls-alpn-01")]


def test_name_blamed_before_a_kill_has_its_other_ways_still(httpd, picky):
    """WWW is still being validated when the server is killed; SHOP has failed."""
    ports = {"http_port": httpd.http_port, "tls_port": httpd.https_port}
    ca = picky({(SHOP, "tls-alpn-01")}, validate="http", **ports)
    refuse, held = ca.challenge_result, threading.Event()

    def result(identifier, kind):
        if (identifier["value"], kind) == (WWW, "tls-alpn-01"):
            held.wait(30)
        return refuse(identifier, kind)

    ca.challenge_result = result
    start(httpd, ca, SHOP, WWW, config="AcmeRetry 1h")
    httpd.wait_log("ACME1361: .*tls-alpn-01 has failed for")
    order = httpd.store / "work" / SHOP / "ecdsa.order"
    wait_until(lambda: order.exists() and '"blame"' in order.read_text(), 20, "a saved blame")
    httpd.kill()
    httpd.start()
    httpd.wait_log("ACME1503")
    held.set()
    assert sorted(httpd.wait_cert(SHOP, timeout=40).names) == [SHOP, WWW]
    assert "ACME1561" not in httpd.log()
    assert len(ca.orders) == 2
