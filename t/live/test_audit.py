"""The audit trail, as a server writes it and acmectl shows it."""

import contextlib
import json
import os
import re
import signal

import pytest

from .httpd import WORKER_USER
from .proc import Process, wait_until
from .test_acmectl import acmectl_argv, ctl, phrase
from .test_issue import ALIAS, SHOP, acmectl, issue_one, serial
from .test_store_faults import own

__all__ = ["phrase"]


def events(server, *args):
    lines = ctl(server, "log", "--json", *args).splitlines()
    return [json.loads(line) for line in lines]


def trail(server):
    return sorted((server.store / "audit").iterdir())


@pytest.mark.all_mpms
def test_audit_tells_what_was_done_by_whom_and_holds_together(httpd, fakeca):
    httpd.acme(fakeca)
    issue_one(httpd)
    first = serial(httpd.served_cert(SHOP))
    wait_until(lambda: "activated" in ctl(httpd, "log"), 10, httpd.log)
    ctl(httpd, "renew", SHOP)
    ctl(httpd, "revoke", SHOP, "--reason", "superseded")
    found = events(httpd)
    assert [one["event"] for one in found[:5]] == [
        "account", "issued", "activated", "requested", "issued",
    ]  # fmt: skip
    by = {one["event"]: one for one in found}
    assert re.search(r"asked for by \S+ ", by["requested"]["text"])
    assert "superseded" in by["revoked"]["text"]
    assert found[2]["subject"] == f"{SHOP}/ecdsa" and f"{first:x}" in found[2]["text"]
    assert [one["seq"] for one in found] == list(range(1, len(found) + 1))
    assert fakeca.directory_url.rsplit("/", 1)[0] in by["account"]["text"]
    # the engine's next process goes on with it, and so does the next server
    httpd.graceful()
    ctl(httpd, "renew", SHOP)
    assert re.search(r"holds together: entries 1 to \d+\nSHA-256", ctl(httpd, "log", "--verify"))
    httpd.stop()
    assert "holds together" in ctl(httpd, "log", "--verify")
    last = ctl(httpd, "log", SHOP, "--last", "1")
    assert re.fullmatch(rf"2\S+Z  activated   {SHOP}/ecdsa: set \d+ is in service now.*\n", last)
    assert ctl(httpd, "log", ALIAS) == ctl(httpd, "log", SHOP)
    assert "did you mean" in ctl(httpd, "log", SHOP[:-1], code=1) and "certificate" in ctl(httpd, "log", "x.y", code=1)
    assert "PRIVATE" not in trail(httpd)[0].read_text()
    assert trail(httpd)[0].stat().st_mode & 0o777 == 0o600


def test_audit_that_was_changed_is_found(httpd, fakeca):
    httpd.acme(fakeca)
    issue_one(httpd)
    wait_until(lambda: "activated" in ctl(httpd, "log"), 10, httpd.log)
    httpd.stop()
    good = trail(httpd)[0].read_bytes()
    trail(httpd)[0].write_bytes(good.replace(b"Fake Intermediate", b"Another One"))
    assert re.search(r"ACME1920: .*changed: entry 3", ctl(httpd, "log", "--verify", code=1))
    assert "Another One" in ctl(httpd, "log")
    trail(httpd)[0].write_bytes(good)
    ctl(httpd, "log", "--verify")
    trail(httpd)[0].write_bytes(good[: good.index(b"\n") + 1])
    assert "the end is missing" in ctl(httpd, "log", "--verify", code=1)
    trail(httpd)[0].write_bytes(good)
    assert "ACME1921" in ctl(httpd, "log", "--last", "many", code=1)


def test_audit_of_an_engine_killed_in_the_middle_of_a_line_goes_on(httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivate manual")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: "waits" in ctl(httpd, "log"), 20, httpd.log)
    httpd.kill()
    path = trail(httpd)[0]
    path.write_bytes(path.read_bytes()[:-30])
    httpd.start()
    wait_until(lambda: events(httpd)[-1]["event"] == "activated", 20, httpd.log)
    assert events(httpd)[-1]["after_torn"] is True
    assert "since a reload" in events(httpd)[-1]["text"]
    assert "and 1 that their writer was killed in" in ctl(httpd, "log", "--verify")


def told(server, count):
    """The last entries: what happened, to what; all of one user's, and of one whole trail."""
    assert "holds together" in ctl(server, "log", "--verify")
    assert {path.stat().st_uid for path in trail(server)} == {(server.store / "audit").stat().st_uid}
    return [(one["event"], one.get("subject")) for one in events(server)[-count:]]


@contextlib.contextmanager
def frozen(server):
    children = [child.pid for child in server.children()]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in children:
        os.kill(pid, signal.SIGCONT)


def server_refuses_to_record(server, *args):
    """One that has not been reloaded with its acmectl, say: it is done, and told that it is not there."""
    log = server.folder / "ctl.log"
    with frozen(server):
        asking = Process("acmectl", acmectl_argv(server, *args), log)
        requests = wait_until(
            lambda: list((server.store / "control").glob("*.json")), 20, log.read_text
        )
        new = server.store / "replies/new"
        new.write_text('{"state": "failed", "code": 1513, "text": "no such action"}')
        own(new, WORKER_USER)
        new.rename(new.with_name(requests[0].name))
        assert asking.wait(10) and asking.popen.returncode == 1, log.read_text()
    assert "ACME1513: no such action" in log.read_text() and "done: " in log.read_text()
    assert not requests[0].exists()


def test_audit_has_what_acmectl_does_by_itself(httpd, fakeca, phrase):
    httpd.acme(fakeca, "AcmeActivate manual")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: "waits" in ctl(httpd, "log"), 20, httpd.log)
    pem, backup = httpd.folder / "shop.pem", httpd.folder / "all.backup"
    server_refuses_to_record(httpd, "backup", backup, *phrase)
    of_all = [("exported", f"{SHOP}/ecdsa"), ("backup", None)]
    for stopped in (False, True):
        if stopped:
            httpd.stop()
        ctl(httpd, "export", SHOP, "--pem", pem)
        ctl(httpd, "backup", backup, *phrase)
        assert told(httpd, 2) == of_all
    texts = [one["text"] for one in events(httpd)[-2:]]
    assert f"exported to {pem} (asked for by " in texts[0]
    assert f"1 accounts and 1 certificates, with their keys, were copied to the backup {backup}" in texts[1]
    httpd.remove_vhost(SHOP)
    httpd.start()
    httpd.stop()
    ctl(httpd, "revoke", SHOP, "--trust-file", fakeca.ca_file)
    ctl(httpd, "delete", SHOP)
    ctl(httpd, "restore", backup, *phrase)
    assert told(httpd, 3) == [("revoked", f"{SHOP}/ecdsa"), ("deleted", SHOP), ("restored", None)]
    httpd.start()
    ctl(httpd, "delete", SHOP)
    assert told(httpd, 1) == [("deleted", SHOP)]
    assert "(asked for by " in events(httpd)[-1]["text"]


def test_audit_with_a_gap_is_accepted_by_the_administrator(httpd, fakeca):
    httpd.acme(fakeca)
    issue_one(httpd)
    wait_until(lambda: "activated" in ctl(httpd, "log"), 10, httpd.log)
    ctl(httpd, "log", "--verify")
    httpd.stop()
    (first,) = trail(httpd)
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:2]))
    assert "the end is missing" in ctl(httpd, "log", "--verify", code=1)
    for running in (False, True):
        if running:
            # whoever has copied it there as root: the trail goes on beside it
            os.chown(first, 0, 0)
            httpd.start()
            ctl(httpd, "renew", SHOP)
            httpd.wait_log("ACME1922")
            shown = acmectl(httpd, "log")
            assert "issued" in shown.stdout and first.name in shown.stderr
            assert first.name in ctl(httpd, "log", "--verify", code=1)
        said = ctl(httpd, "log", "--accept")
        assert re.match(r"accepted up to entry \d+: (the end is missing|/.* has the wrong owner)", said)
        assert events(httpd)[-1]["event"] == "accepted"
        said = ctl(httpd, "log", "--verify")
        assert re.search(r"holds together: .*\nup to entry \d+ it was accepted as it is by \S+, at 2\S+Z: ", said)
    ctl(httpd, "renew", SHOP)
    ctl(httpd, "log", "--verify")


def test_audit_goes_on_beside_files_that_are_none_of_it(httpd, fakeca):
    httpd.acme(fakeca)
    issue_one(httpd)
    wait_until(lambda: "activated" in ctl(httpd, "log"), 10, httpd.log)
    (first,) = trail(httpd)
    strangers = [first.with_name(name) for name in ("9999999999.jsonl", "10000000000.jsonl")]
    for path in strangers:
        path.write_bytes(first.read_bytes())
    httpd.restart()
    ctl(httpd, "renew", SHOP)
    told = acmectl(httpd, "log", "--verify")
    assert told.returncode == 0 and "holds together" in told.stdout
    assert f"ACME1929: {strangers[1]} and 1 more: " in told.stderr
    assert len(events(httpd)) == len(first.read_bytes().splitlines())
    assert trail(httpd) == sorted([first, *strangers])
    for path in strangers:
        path.unlink()
    assert "ACME1929" not in acmectl(httpd, "log", "--verify").stderr


def test_audit_of_an_engine_killed_before_it_told_is_completed(httpd, fakeca):
    httpd.acme(fakeca)
    issued = f"{serial(issue_one(httpd)):x}"
    wait_until(lambda: "activated" in ctl(httpd, "log"), 10, httpd.log)
    httpd.kill()
    (path,) = trail(httpd)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    for _ in range(2):  # and told once
        mark = httpd.mark()
        httpd.start()
        httpd.wait_log("ACME1501", since=mark)
        found = [(one["event"], issued in one["text"]) for one in events(httpd)]
        assert found == [("account", False), ("issued", True), ("activated", True)]
        httpd.stop()
    ctl(httpd, "log", "--verify")
