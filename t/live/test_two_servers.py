"""Two httpds on one store: one that hangs, wherever it stands, gives way to the other, and writes
nothing when it comes back. And two generations of one httpd."""

import os
import signal
import socket
import threading

import pytest

from .proc import wait_until
from .test_issue import acmectl
from .test_many import SHOP, engine_pid, serial

STEPS = {  # endpoint, when: orders at the CA in the end
    ("new-order", "after"): 2,  # of whose existence nobody was told
    ("finalize", "before"): 1,
    ("certificate", "after"): 1,
}


def contents(store):
    """{path: content} of the worker's part, but for the heartbeat."""
    parts = [store / one for one in ("accounts", "work", "fresh", "keys", "journal", "audit")]
    files = [path for part in parts for path in part.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def state(httpd):
    return httpd.server_status().get(f"Acme[{SHOP}/ecdsa]State")


@pytest.mark.parametrize("endpoint,when", STEPS)
def test_frozen_server_gives_way_to_another_and_writes_nothing(
    make_httpd, make_fakeca, endpoint, when
):
    ca = make_fakeca(ari=False)
    ca.allow_violations = True  # whoever is woken sends anew what it had begun
    first, second = make_httpd(), make_httpd()
    frozen = []

    def freeze(_exchange, _reply):
        frozen.append(engine_pid(first))
        os.kill(frozen[0], signal.SIGSTOP)

    ca.script(endpoint, freeze, when=when)
    for httpd in (first, second):
        httpd.acme(ca, store=first.folder / "store")
        httpd.vhost(SHOP, https_extra="AcmeManage on")
    # One child: none of its siblings takes over.
    first.config("StartServers 1\nServerLimit 1\nMaxRequestWorkers 8\nMaxSpareThreads 8")
    first.start()
    wait_until(lambda: frozen, 30, "the engine is frozen")
    second.start()
    try:
        served = second.wait_cert(SHOP)
        wait_until(lambda: state(second) == "valid", 10, "the other one's work to be done")
        before, asked = contents(first.store), len(ca.requests)
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    first.wait_log(r"ACME1110: another process has taken over the work on .*/store/lock")
    first.wait_log(r"ACME1811:")
    assert contents(first.store) == before
    assert len(ca.requests) == asked
    assert len(ca.requests_to("new-order")) == STEPS[endpoint, when]
    assert len(ca.certs) == len(ca.accounts) == 1
    # It waits for its turn, and serves what the other has brought.
    second.stop()
    assert serial(first.wait_cert(SHOP)) == serial(served)
    assert len(ca.certs) == 1


def test_old_generation_that_serves_on_leaves_the_work_to_the_new(httpd, fakeca):
    httpd.acme(fakeca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    before = httpd.wait_cert(SHOP)
    old = {child.pid for child in httpd.children()}
    with socket.create_connection(("127.0.0.1", httpd.http_port), timeout=30) as slow:
        slow.sendall(f"GET / HTTP/1.1\r\nHost: {SHOP}\r\n".encode())
        mark = httpd.mark()
        httpd.graceful()
        httpd.wait_log(r"ACME1810:", since=mark)
        assert engine_pid(httpd, mark) not in old
        renewing = threading.Thread(target=acmectl, args=(httpd, "renew", SHOP))
        renewing.start()
        httpd.wait_cert(SHOP, lambda served: serial(served) != serial(before))
        renewing.join()
        assert old & {child.pid for child in httpd.children()}
        slow.sendall(b"\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.1 200 ")
    assert len(fakeca.certs) == 2
    assert engine_pid(httpd) not in old
