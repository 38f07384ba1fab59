"""Many hosts and names, changes of configuration, graceful restarts, kills."""

import os
import re
import signal
import threading

import pytest

from . import pki
from .fakeca import problem, silence, tokens
from .proc import free_port, wait_until
from .test_http01 import PREFIX

SHOP, ALIAS, BLOG = "shop.example.org", "www.shop.example.org", "blog.example.org"
STEPS = ["directory", "new-nonce", "new-account", "new-order", "authz", "challenge", "finalize",
         "order", "certificate"]  # fmt: skip


@pytest.fixture
def scripted(httpd, make_fakeca):
    """(httpd, ca): a fake CA that really asks httpd for the challenge."""
    ca = make_fakeca(validate="http", http_port=httpd.http_port, processing_polls=1)
    httpd.acme(ca, "AcmeRetry 1s 2s")
    return httpd, ca


def serial(served):
    return served.leaf.serial_number


def engine_pid(httpd, since=0):
    """The child that runs the engine now, from its own log line."""
    found = re.findall(r"\[pid (\d+):[^\n]*ACME1810:", httpd.log_since(since))
    return int(found[-1]) if found else None


def orders_for(ca, name):
    return [
        one for one in ca.requests_to("new-order")
        if one.payload and one.payload["identifiers"][0]["value"] == name
    ]  # fmt: skip


@pytest.mark.all_mpms
def test_forty_hosts_share_one_account(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    httpd.acme(ca, "AcmeManage on")
    names = [f"h{n}.example.org" for n in range(40)]
    for name in names:
        httpd.vhost(name)
    httpd.vhost("own.example.org", cert="self")
    httpd.vhost("exempt.example.org", cert="self", https_extra="AcmeManage off")
    httpd.start()
    for name in names:
        assert httpd.wait_cert(name).names == [name]
    assert len(ca.accounts) == 1
    assert len(ca.requests_to("new-order")) == 40
    assert httpd.served_cert("own.example.org").issuer == "Administrator's own root"
    assert httpd.served_cert("exempt.example.org").issuer == "Administrator's own root"


def test_hundred_names_in_one_certificate(scripted):
    httpd, ca = scripted
    aliases = [f"a{n}.shop.example.org" for n in range(99)]
    httpd.vhost(SHOP, aliases, https_extra="AcmeManage on")
    httpd.start()
    assert sorted(httpd.wait_cert(SHOP).names) == sorted([SHOP, *aliases])
    assert len(ca.certs) == 1


def test_hosts_of_one_server_name_share_a_certificate(scripted):
    httpd, ca = scripted
    other_port = free_port()
    httpd.vhost(SHOP, [ALIAS], https_extra="AcmeManage on")
    httpd.vhost(SHOP, ["pay.shop.example.org"], http=False, https=other_port,
                https_extra="AcmeManage on")  # fmt: skip
    httpd.start()
    served = httpd.wait_cert(SHOP)
    assert sorted(served.names) == sorted([SHOP, ALIAS, "pay.shop.example.org"])
    assert serial(httpd.served_cert(SHOP, port=other_port)) == serial(served)
    assert len(ca.requests_to("new-order")) == 1


def test_declared_certificate_serves_the_hosts_it_covers(scripted):
    httpd, ca = scripted
    httpd.config(f"<AcmeCertificate {SHOP} {BLOG}>\nAcmeKeyType rsa2048\n</AcmeCertificate>")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.vhost(BLOG, https_extra=f"AcmeManage {SHOP}")
    httpd.start()
    first, second = httpd.wait_cert(SHOP), httpd.wait_cert(BLOG)
    assert serial(first) == serial(second)
    assert first.key_type == "rsa2048"
    assert sorted(first.names) == sorted([SHOP, BLOG])


def test_added_host_is_issued_and_the_others_are_left_alone(scripted):
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    before = serial(httpd.wait_cert(SHOP))
    httpd.vhost(BLOG, https_extra="AcmeManage on")
    httpd.graceful()
    httpd.wait_cert(BLOG)
    assert serial(httpd.served_cert(SHOP)) == before
    assert len(orders_for(ca, SHOP)) == 1


def reconfigure(httpd, ca, aliases=(), extra="", other_ca=None):
    httpd.clear_config()
    httpd.acme(other_ca or ca, f"AcmeRetry 1s 2s\n{extra}")
    httpd.vhost(SHOP, aliases, https_extra="AcmeManage on")
    httpd.graceful()


def test_added_name_is_ordered_at_once_and_a_removed_one_is_not(scripted):
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    reconfigure(httpd, ca, [ALIAS])
    both = httpd.wait_cert(SHOP, lambda served: len(served.names) == 2)
    mark = httpd.mark()
    reconfigure(httpd, ca)
    httpd.wait_log(r"ACME1810:", since=mark)
    wait_until(lambda: httpd.server_status(), 5, "status")
    assert serial(httpd.served_cert(SHOP)) == serial(both)
    assert len(orders_for(ca, SHOP)) == 2


def test_changed_key_type_is_ordered_at_once_while_the_old_one_serves(scripted):
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    assert httpd.wait_cert(SHOP).key_type == "ecdsa-p256"
    ca.issuance_gate.clear()
    reconfigure(httpd, ca, extra="AcmeKeyType rsa2048")
    ca.wait_request("finalize", 2)
    assert httpd.served_cert(SHOP).key_type == "ecdsa-p256"
    ca.issuance_gate.set()
    httpd.wait_cert(SHOP, lambda served: served.key_type == "rsa2048")
    httpd.graceful()
    assert httpd.served_cert(SHOP).key_type == "rsa2048"


def test_other_ca_is_asked_at_once(scripted, make_fakeca):
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    before = serial(httpd.wait_cert(SHOP))
    other = make_fakeca(validate="http", http_port=httpd.http_port)
    reconfigure(httpd, ca, other_ca=other)
    httpd.wait_cert(SHOP, lambda served: serial(served) != before)
    assert len(other.requests_to("new-order")) == 1
    assert len(ca.requests_to("new-order")) == 1


@pytest.mark.all_mpms
@pytest.mark.parametrize("step", STEPS)
def test_killed_engine_is_resumed_at(scripted, step):
    """SIGKILL for the engine's child when the CA has just done what was asked in this step."""
    httpd, ca = scripted
    # A validation that was on its way to the killed child would fail, and the order with it.
    ca.validation_gate.clear()

    def kill(_exchange, _reply):
        httpd.kill_child(engine_pid(httpd))
        ca.validation_gate.set()

    ca.script(step, kill, when="after")
    if STEPS.index(step) > STEPS.index("challenge"):
        ca.validation_gate.set()
    httpd.vhost(SHOP, [ALIAS], https_extra="AcmeManage on")
    httpd.start()
    served = httpd.wait_cert(SHOP)
    assert sorted(served.names) == [SHOP, ALIAS]
    assert len(ca.accounts) == 1
    assert len(ca.certs) == 1
    assert len(ca.requests_to("new-order")) == (2 if step == "new-order" else 1)
    finalized = [one for one in ca.requests_to("finalize") if one.status == 200]
    assert len(finalized) == 1


@pytest.mark.all_mpms
def test_graceful_restart_in_the_middle_of_an_order_goes_on_with_it(scripted):
    httpd, ca = scripted
    ca.validation_gate.clear()
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("challenge")
    mark = httpd.mark()
    httpd.graceful()
    httpd.wait_log(r"ACME1810:", since=mark)
    ca.validation_gate.set()
    httpd.wait_cert(SHOP)
    assert len(ca.requests_to("new-order")) == 1
    assert len(ca.requests_to("challenge")) == 1
    assert len(ca.certs) == 1


@pytest.mark.all_mpms
def test_validation_during_graceful_restarts_is_answered(scripted):
    httpd, ca = scripted
    ca.validation_gate.clear()
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("challenge")
    token = tokens(ca)[SHOP]
    answers, done = [], threading.Event()

    def ask():
        while not done.is_set():
            answers.append(httpd.get(PREFIX + token, host=SHOP).status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(3):
            httpd.graceful()
        # a request that failed has ended the thread
        wait_until(lambda: len(answers) > 20, 30, "every request to be answered")
    finally:
        done.set()
        thread.join()
    assert set(answers) == {200}
    ca.validation_gate.set()


@pytest.mark.all_mpms
def test_stop_does_not_wait_for_the_network(httpd, make_fakeca):
    ca = make_fakeca()
    ca.script("new-order", silence(), times=None)
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: "new-order" in ca.endpoints(), 30, "newOrder to hang")
    began = os.times().elapsed
    httpd.stop()
    assert os.times().elapsed - began < 3


def test_backoff_survives_a_restart(httpd, make_fakeca):
    ca = make_fakeca()
    ca.script("new-order", problem("rejectedIdentifier", "not this name"), times=None)
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(r"ACME1\d\d\d:.*not this name")
    httpd.stop()
    mark = httpd.mark()
    httpd.start()
    httpd.wait_log(r"ACME1810:", since=mark)
    key = f"Acme[{SHOP}/ecdsa]"
    wait_until(lambda: httpd.server_status().get(f"{key}State") == "error", 10, "the old error")
    assert "not this name" in httpd.server_status()[f"{key}Error"]
    assert len(ca.requests_to("new-order")) == 1


def test_frozen_engine_finds_its_lease_gone(scripted):
    """SIGSTOP for the engine's child: another one takes over; the first writes nothing more."""
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    ca.issuance_gate.clear()
    httpd.start()
    ca.wait_request("finalize")
    frozen = engine_pid(httpd)
    os.kill(frozen, signal.SIGSTOP)
    try:
        wait_until(lambda: engine_pid(httpd) != frozen, 60, "another engine")
    finally:
        os.kill(frozen, signal.SIGCONT)
    ca.issuance_gate.set()
    served = httpd.wait_cert(SHOP)
    assert len(ca.certs) == 1
    httpd.graceful()
    assert serial(httpd.served_cert(SHOP)) == serial(served)
    assert pki.load_chain(
        (httpd.store / "certificates" / SHOP / "ecdsa/chain.pem").read_bytes()
    )[0].serial_number == serial(served)  # fmt: skip


def test_host_that_cannot_be_managed_does_not_stop_the_others(scripted):
    """mod_ssl itself ends the start for a TLS host without any certificate."""
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.vhost("localhost", https_extra="AcmeManage on")
    httpd.vhost("bad..example.org", https_extra="AcmeManage on")
    httpd.start()
    assert httpd.wait_cert(SHOP).names == [SHOP]
    assert httpd.get("/", host="localhost", https=True).status == 503
    assert re.search(r"ACME10\d\d: .*localhost", httpd.log())
    assert re.search(r"ACME10\d\d: .*bad\.\.example\.org", httpd.log())


def requests_until(httpd, done):
    """Plain requests, several at a time, until done is set; how many were answered."""
    answered = []

    def ask():
        while not done.is_set():
            answered.append(httpd.get("/", host="main.invalid").status)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    return threads, answered


def test_prefork_child_serves_while_its_engine_works(make_httpd, make_fakeca):
    """One child does both: its thread for the engine must not share an allocator with requests."""
    httpd = make_httpd(mpm="prefork")
    ca = make_fakeca(retry_after=None)
    httpd.acme(ca, "AcmeManage on")
    httpd.config("StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1")
    for number in range(100):
        httpd.vhost(f"h{number}.example.org", http=False)
    httpd.start()
    done = threading.Event()
    threads, answered = requests_until(httpd, done)
    try:
        wait_until(lambda: len(ca.certs) == 100, 90, "a hundred certificates")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(answered) > 100 and set(answered) == {200}
    assert httpd.log().count("ACME1810:") == 1


@pytest.mark.needs_root
def test_unusable_lock_is_told_once_a_child(scripted):
    httpd, _ = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    mark = httpd.mark()
    lock = httpd.store / "lock"
    os.chown(lock, 0, 0)
    lock.chmod(0o600)
    httpd.kill_child(engine_pid(httpd))
    wait_until(lambda: ticks(httpd, mark) >= 6, 20, "several rounds of the children")
    told = re.findall(r"pid (\d+):.*ACME11\d\d: .*lock", httpd.log_since(mark))
    assert told
    # the killed one may have said it as well, before it was
    assert len(told) <= len(set(told)) + 1


def ticks(httpd, mark):
    """How often the lock was tried, told at trace level."""
    return len(re.findall(r"trace.*lease is not to be had", httpd.log_since(mark)))


@pytest.mark.all_mpms
def test_store_of_another_server_is_told_once(scripted, make_httpd, mpm):
    """An httpd beside it, as Debian makes them, with the same AcmeStore and hosts of its own."""
    httpd, ca = scripted
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    other = make_httpd(mpm=mpm)
    other.acme(ca, store=httpd.store)
    other.vhost(BLOG, https_extra="AcmeManage on")
    other.start()
    other.wait_log(r"ACME1115: another server has the work on this store \(.*/store/lock\)")
    assert "ACME1115" not in httpd.log()
    httpd.stop()
    other.wait_log(r"ACME1502: \[blog\.example\.org/ecdsa\] order begun")
    assert other.log().count("ACME1115") == 1
