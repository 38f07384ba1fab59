"""OCSP responses in handshakes: fetched by the engine, stapled by every child, also after a swap."""

import datetime
import socket
import threading
import time

import pytest

from . import pki, responder as ocsp, tls
from .httpd import acme_module
from .proc import Process, wait_until
from .test_engine import hosts, make_drive  # noqa: F401  (fixtures)
from .test_issue import SHOP, acmectl

RSA, ECDSA = "rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"


@pytest.fixture
def responder():
    made = ocsp.ScriptedResponder()
    yield made
    made.stop()


@pytest.fixture
def openssl_responder(live_dir):
    made = ocsp.OpensslResponder(live_dir / "ocsp")
    yield made
    made.stop()


@pytest.fixture
def make_host(httpd, make_fakeca):
    """A function that configures one managed host, with a CA whose certificates name a responder."""

    def make(*urls, stapling=True, extra="", key_types="ecdsa-p256"):
        ca = make_fakeca(ocsp=urls)
        httpd.acme(ca, f"AcmeKeyType {key_types}")
        httpd.config(f"SSLStaplingCache shmcb:{httpd.run_dir}/stapling(32768)")
        text = "SSLUseStapling on\n" if stapling else ""
        httpd.vhost(SHOP, https_extra=f"AcmeManage on\n{text}{extra}")
        return ca

    return make


def stapled(httpd, **options):
    return tls.stapled(httpd.https_port, SHOP, **options)


def start_acmectl(httpd, *args):
    argv = [acme_module().parents[2] / "acmectl", "--store", httpd.store, *args]
    return Process("acmectl", argv, httpd.folder / "acmectl.log")


def wait_stapled(httpd, timeout=30, other_than=None, **options):
    """Wait for a good response with the certificate served (another one than that number)."""
    last = []

    def good():
        try:
            last[:] = [stapled(httpd, **options)]
        except OSError as err:  # of a pair, this one is not there yet
            last[:] = [err]
            return False
        return last[0].good and last[0].leaf != other_than and last[0]

    return wait_until(good, timeout, lambda: f"stapled: {last}")


def begin(httpd, ca, answering):
    """Start, wait for the certificate and for its response."""
    httpd.start()
    httpd.wait_cert(SHOP)
    if isinstance(answering, ocsp.OpensslResponder):
        answering.serve(ca)
    return wait_stapled(httpd)


@pytest.mark.all_mpms
def test_stapling_begins_on_a_placeholder_and_follows_a_live_swap(httpd, make_host, responder):
    ca = make_host(responder.url)
    responder.serve(ca)
    ca.issuance_gate.clear()
    httpd.start()
    assert stapled(httpd).about is None  # a placeholder has none
    ca.issuance_gate.set()
    httpd.wait_cert(SHOP)
    first = wait_stapled(httpd)
    for version in ("1.2", "1.3"):
        assert stapled(httpd, version=version).good
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    second = wait_stapled(httpd, other_than=first.leaf)
    for version in ("1.2", "1.3") * 6:  # in every child
        assert stapled(httpd, version=version) == second
    assert len(responder.requests) == 2


def test_stapling_by_openssl_ocsp_and_its_delegate(httpd, make_host, openssl_responder):
    ca = make_host(openssl_responder.url)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1432")  # nobody answers yet
    openssl_responder.serve(ca)
    httpd.restart()  # asks at once
    wait_stapled(httpd)
    openssl_responder.stop()
    openssl_responder.serve(ca, delegated=True)
    before = stapled(httpd).leaf
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    httpd.wait_log("ACME1432.*does not know")
    openssl_responder.learn()
    httpd.restart()
    wait_stapled(httpd, other_than=before)


@pytest.mark.all_mpms
def test_stapling_of_a_promoted_certificate_survives_restarts(httpd, make_host, responder):
    ca = make_host(responder.url)
    responder.serve(ca)
    first = begin(httpd, ca, responder)
    responder.stop()
    httpd.graceful()
    assert stapled(httpd) == first
    httpd.stop()
    httpd.start()
    # from the first handshake on: nobody had to be asked, no engine to run
    assert stapled(httpd, version="1.2") == first
    assert stapled(httpd, version="1.3") == first
    httpd.kill()
    httpd.start()
    assert stapled(httpd) == first
    assert len(responder.requests) == 1


def test_stapling_of_an_rsa_and_ecdsa_pair(httpd, make_host, responder):
    ca = make_host(responder.url, key_types="rsa2048 ecdsa-p256")
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP, lambda served: served.key_type == "rsa2048", sigalgs=RSA)
    before = {kind: wait_stapled(httpd, sigalgs=kind) for kind in (RSA, ECDSA)}
    assert before[RSA].leaf != before[ECDSA].leaf
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    for kind in (RSA, ECDSA):
        wait_stapled(httpd, sigalgs=kind, other_than=before[kind].leaf)
        assert stapled(httpd, sigalgs=kind, version="1.2").good
    httpd.graceful()
    assert all(stapled(httpd, sigalgs=kind).good for kind in (RSA, ECDSA))


def test_stapling_only_where_the_host_wants_it(httpd, make_host, responder):
    ca = make_host(responder.url, stapling=False)
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.graceful()
    assert stapled(httpd).about is None
    assert responder.requests == []


def test_stapling_of_a_certificate_without_responder_is_told(httpd, make_host):
    make_host()
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1435")
    assert stapled(httpd).about is None


def test_stapling_with_the_responder_down_never_harms_handshakes(httpd, make_host, responder):
    ca = make_host(responder.url)
    responder.ca = ca
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log(r"ACME1432.*cannot reach")
    httpd.graceful()
    for version in ("1.2", "1.3"):
        assert stapled(httpd, version=version).about is None


OTHER = pki.Authority.root("Fake Intermediate")


def sibling(the_responder):
    """Another certificate of the same CA, which is not for that."""
    key, cert = the_responder.ca.intermediate.issue_server(["sibling.example.org"])
    return pki.Authority(key, cert)


def other_cert(_cert, the_responder):
    return the_responder.ca.intermediate.issue_server(["other.example.org"])[1]


HOSTILE = {
    "html": (ocsp.page(), "no OCSP response"),
    "status": (ocsp.page(500), "status is 500"),
    "redirect": (ocsp.redirect("http://127.0.0.1:1/"), "status is 302"),
    "empty": (lambda request, responder: b"", "no OCSP response"),
    "huge": (ocsp.huge(), "over its limit"),
    "other certificate": (ocsp.good(about=other_cert), "another certificate"),
    "other signer": (ocsp.good(signer=lambda _: OTHER), "not signed by"),
    "sibling": (ocsp.good(signer=sibling), "not signed by"),
    "expired": (ocsp.good(age=5 * 86400), "expired"),
    "future": (ocsp.good(age=-86400), "future"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_stapling_takes_nothing_from_a_hostile_responder(httpd, make_host, responder, how):
    responder.answer, said = HOSTILE[how]
    responder.serve(make_host(responder.url))
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log(f"ACME1432.*{said}")
    assert stapled(httpd).about is None
    assert len(responder.requests) == 1


def test_stapling_waits_for_a_slow_responder_beside_everything_else(httpd, make_host, responder):
    responder.answer = ocsp.never()
    responder.serve(make_host(responder.url))
    httpd.start()
    httpd.wait_cert(SHOP)
    wait_until(lambda: responder.requests, 20, "it is asked")
    began = time.monotonic()
    assert stapled(httpd).about is None
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert time.monotonic() - began < 10
    mark = time.monotonic()
    httpd.stop()
    assert time.monotonic() - mark < 5


def test_stapling_asks_the_second_responder_where_the_first_fails(httpd, make_host, responder):
    silent = ocsp.ScriptedResponder()  # nobody listens
    responder.serve(make_host(silent.url, responder.url))
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1432")
    assert responder.requests == []
    wait_stapled(httpd, timeout=100)


def test_revoked_certificate_is_told_and_replaced(httpd, make_host, responder):
    ca = make_host(responder.url)
    old = []

    def backdate(leaf):
        leaf.not_before -= datetime.timedelta(hours=7)
        if not old:
            old.append(leaf.serial)
            responder.revoked[leaf.serial] = (pki.now(), ocsp.KEY_COMPROMISE)

    ca.on_issue = backdate
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    found = httpd.wait_log(r"ACME1431: .*revoked the certificate \(keyCompromise\)")
    assert ":error]" in httpd.log()[: found.start()].rpartition("\n")[2]
    now = wait_stapled(httpd, other_than=old[0])
    assert now.leaf != old[0]
    assert len(ca.requests_to("finalize")) == 2


def test_revoked_certificate_that_is_young_is_not_replaced_at_once(httpd, make_host, responder):
    ca = make_host(responder.url)
    ca.on_issue = lambda leaf: responder.revoked.update({leaf.serial: (pki.now(), None)})
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1431")
    assert stapled(httpd).about is None
    mark = httpd.mark()
    httpd.restart()
    httpd.wait_log("ACME1431", since=mark)
    assert len(ca.requests_to("finalize")) == 1


# Must-staple


def demand(leaf):
    leaf.must_staple = True


def test_must_staple_goes_live_with_its_response(httpd, make_host, responder):
    ca = make_host(responder.url)
    ca.on_issue = demand
    gate = []
    allow = ocsp.good()
    responder.answer = lambda request, the: allow(request, the) if gate else ocsp.page(503)(request, the)
    responder.serve(ca)
    httpd.start()
    httpd.wait_log("ACME1436")
    assert httpd.served_cert(SHOP).self_signed
    gate.append(1)
    httpd.wait_cert(SHOP)
    first = stapled(httpd)
    assert first.good  # the first handshake with it already
    gate.clear()
    mark = httpd.mark()
    done = start_acmectl(httpd, "renew", SHOP)
    httpd.wait_log("ACME1436", since=mark)
    assert stapled(httpd) == first
    gate.append(1)
    seen = wait_until(lambda: (one := stapled(httpd)).leaf != first.leaf and one, 60, "it is live")
    assert seen.good
    assert done.wait(60) and done.popen.returncode == 0
    assert len(ca.requests_to("finalize")) == 2


def test_must_staple_without_response_goes_live_in_the_end(httpd, make_host, responder):
    ca = make_host(responder.url)
    ca.on_issue = demand
    responder.ca = ca
    httpd.start()
    httpd.wait_log(r"ACME1436.*cannot reach")
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1437.*not come in time")
    assert stapled(httpd).about is None
    responder.start()
    wait_stapled(httpd, timeout=90)


def test_must_staple_waits_without_taking_a_place_from_others(
    make_fakeca, make_drive, responder  # noqa: F811
):
    ca = make_fakeca(ocsp=[responder.url])
    ca.on_issue = demand
    responder.answer = ocsp.page(503)
    responder.serve(ca)
    drive = make_drive(ca, ["--staple", "--stay", "--concurrency", "1", *hosts(3)]).start()
    wait_until(lambda: drive.text().count("ACME1436") == 3, 15, lambda: drive.text())
    assert "ACME1437" not in drive.text()


def test_stapling_asks_about_all_as_places_become_free(
    make_fakeca, make_drive, responder  # noqa: F811
):
    ca = make_fakeca(ocsp=[responder.url])
    count, gate, busy = 20, threading.Event(), []
    allow = ocsp.good()

    def answer(request, the):
        busy.append(request.serial_number)
        gate.wait(30)
        return allow(request, the)

    responder.answer = answer
    responder.serve(ca)
    drive = make_drive(ca, ["--staple", "--stay", *hosts(count)]).start()
    wait_until(lambda: len(ca.certs) == count, 30, lambda: drive.text())
    wait_until(lambda: drive.text().count("ACME1500") == count, 10, lambda: drive.text())
    assert len(busy) <= 8
    gate.set()
    wait_until(lambda: drive.text().count("ACME1433") == count, 30, lambda: drive.text())
    assert len(set(busy)) == len(busy) == count


def test_stapling_asks_nobody_about_many_certificates_in_many_rounds(
    make_fakeca, make_drive  # noqa: F811
):
    """Without the issuer no question can be made: the same for every one."""
    ca = make_fakeca(ocsp=["http://localhost:1/"])
    ca.make_chain = lambda leaf, intermediate, csr: [leaf]
    drive = make_drive(ca, ["--staple", "--stay", *hosts(20)]).start()
    wait_until(lambda: drive.text().count("ACME1432") == 20, 30, lambda: drive.text())


def test_must_staple_without_responder_is_told(httpd, make_host):
    ca = make_host()
    ca.on_issue = demand
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1437.*names no responder")


def test_must_staple_order_is_resumed_after_a_crash(httpd, make_host, responder):
    ca = make_host(responder.url)
    ca.on_issue = demand
    responder.ca = ca
    httpd.start()
    httpd.wait_log("ACME1436")
    httpd.kill()
    responder.start()
    httpd.start()
    httpd.wait_cert(SHOP)
    assert stapled(httpd).good
    assert len(ca.requests_to("finalize")) == 1


def test_must_staple_host_need_not_ask_for_stapling(httpd, make_host, responder):
    ca = make_host(responder.url, stapling=False)
    ca.on_issue = demand
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1826")  # nobody could know
    httpd.graceful()
    assert wait_stapled(httpd).good


def test_must_staple_by_directive_has_room_for_its_response(httpd, make_host, responder):
    ca = make_host(responder.url, stapling=False, extra="AcmeMustStaple on")
    ca.on_issue = demand
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    assert stapled(httpd).good
    assert "ACME1826" not in httpd.log()


# Where no engine fetches responses


def beside(httpd, make_httpd, ca, extra):
    """Another server on the store of httpd, whose engine has the lease."""
    other = make_httpd()
    other.acme(ca, store=httpd.store)
    other.config(f"SSLStaplingCache shmcb:{other.run_dir}/stapling(32768)")
    other.vhost(SHOP, https_extra=f"AcmeManage on\n{extra}")
    return other


def test_must_staple_host_is_never_bare_after_a_reload_that_makes_its_room(
    httpd, make_httpd, make_host, responder
):
    ca = make_host(responder.url, stapling=False, extra="AcmeMustStaple on")
    ca.on_issue = demand
    responder.serve(ca)
    first = begin(httpd, ca, responder)
    other = beside(httpd, make_httpd, ca, "AcmeMustStaple on")
    other.remove_vhost(SHOP)
    other.vhost("other.example.org", https_extra="AcmeManage on")
    other.start()
    other.vhost(SHOP, https_extra="AcmeManage on\nAcmeMustStaple on")
    other.graceful()
    assert stapled(other) == first
    assert len(responder.requests) == 1


def test_stapling_is_mod_ssls_where_another_server_has_the_store(
    httpd, make_httpd, make_host, responder
):
    """Whose responses do not reach this one."""
    responder.answer = ocsp.page(503)
    ca = make_host(responder.url)
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.wait_log("ACME1432")
    other = beside(httpd, make_httpd, ca, "SSLUseStapling on").start()
    assert stapled(other).about is None  # an engine may be on its way still
    responder.answer = ocsp.good()
    assert wait_stapled(other).leaf == stapled(httpd).leaf


class Relay:
    """A connection that is made now, for a client that comes later to .port."""

    def __init__(self, port):
        self._server = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        client = self._listener.accept()[0]
        back = threading.Thread(target=self._copy, args=(self._server, client), daemon=True)
        back.start()
        self._copy(client, self._server)

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # either end may be gone


def test_stapling_switched_on_by_a_graceful_restart_spares_old_children(
    httpd, make_host, responder
):
    """Room for responses is made behind their back: they must not look for it."""
    ca = make_host(responder.url, stapling=False)
    responder.serve(ca)
    httpd.start()
    httpd.wait_cert(SHOP)
    mark = httpd.mark()
    relay = Relay(httpd.https_port)
    httpd.wait_log("AH01964", since=mark)  # an old child has it
    httpd.clear_config()
    httpd.acme(ca)
    httpd.config(f"SSLStaplingCache shmcb:{httpd.run_dir}/stapling(32768)")
    httpd.vhost(SHOP, https_extra="AcmeManage on\nSSLUseStapling on")
    httpd.graceful()
    assert tls.stapled(relay.port, SHOP).about is None
    assert wait_stapled(httpd).good
