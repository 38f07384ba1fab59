"""Faults at single operations (t/faults): every so many of its points, and a few in a real httpd."""

import os
import re
import signal
import subprocess

import pytest
from faults import rig
from faults.points import FAULTS, Runner
from faults.scenarios import SCENARIOS

from .proc import wait_until
from .test_account import secret_file
from .test_issue import SHOP, acmectl, acmectl_argv, issue_one, serial

# Every so many points of each kind: what all of it has is a matter of t/faults/run.
KILLS, OTHERS = 20, 600
SLOW = ("backup", "first-start", "import", "issue-dns", "restore")


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    for path in (folder, *folder.parents):
        if path.owner() == "root" and len(path.parts) > 2:
            path.chmod(path.stat().st_mode | 0o011)
    return rig.compile_shim(folder)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in SLOW])
def test_faults_leave_nothing_behind(live_dir, shim, name):
    made = rig.Rig(live_dir, shim)
    try:
        runner = Runner(SCENARIOS[name], made)
        others = [one for one in FAULTS if one != "kill"]
        wanted = runner.points(["kill"])[::KILLS] + runner.points(others)[::OTHERS]
        if name == "activation":  # a set that cannot be read for a moment was ordered anew
            wanted += [rig.Fault("file", op.n, "EIO") for op in runner.ops
                       if op.call in ("open", "readdir") and "/fresh/" in op.what][:4]  # fmt: skip
        if name == "renewal":  # and a key that was announced was another, then
            wanted += [rig.Fault("file", op.n, "EIO") for op in runner.ops
                       if op.call != "close" and "/ecdsa.next" in op.what][3:6]  # fmt: skip
            # a set that was there, but for its last sync, came once more
            synced = [op.n for op in runner.ops if op.call == "fsync" and op.what.endswith(f"/fresh/{SHOP}")]
            wanted += [rig.Fault("file", n + 2 * off, "EIO") for n in synced for off in (-1, 0, 1)]
        if name == "revoke":  # where it was in the trail, and not known to whom it concerns
            wanted += [rig.Fault("file", op.n, "kill") for op in runner.ops
                       if "c" in op.traits and re.search("/audit/|/ecdsa.job", op.what)]  # fmt: skip
        wrong = [one for one in map(runner.play, wanted) if one.wrong]
    finally:
        made.stop()
    assert not wrong, "\n".join(f"{name} {one.fault}: {one.met}: {one.wrong}" for one in wrong)


def test_what_cannot_be_answered_is_not_asked_of_the_ca_again_and_again(live_dir, shim):
    made = rig.Rig(live_dir, shim)
    try:
        runner = Runner(SCENARIOS["import"], made)
        runner.points([])
        first = next(op.n for op in runner.ops if op.call == "rename" and "/replies/" in op.what)
        result = runner.play(rig.Fault("file", first, "ENOSPC+"))
        asked = [one.endpoint for one in made.ca.requests]
    finally:
        made.stop()
    assert not result.wrong, result
    assert asked.count("new-account") == 1, asked


def faulty(httpd, shim, fault, who):
    """Let the next start of httpd have a fault; a function telling whether it has come."""
    trace = httpd.folder / "trace"
    httpd.env |= rig.shim_env(shim, httpd.store, trace, fault, who)
    httpd.allow_crash = True
    return lambda: any(one.call == "FAULT" for one in rig.read_trace(trace)[0])


def sound(httpd):
    for name in [one for one in httpd.env if one.startswith(("LD_", "ACME_FAULT"))]:
        del httpd.env[name]


def temporaries(httpd):
    return [path for path in httpd.store.rglob("*") if rig.TEMPORARY.search(str(path))]


@pytest.mark.parametrize("point", ["file 60", "file 200", "net 40"])
def test_child_killed_at_an_operation_is_followed_by_another(httpd, make_fakeca, shim, point):
    ca = make_fakeca(retry_after=None)
    ca.allow_violations = "challenge answered twice"
    httpd.acme(ca)
    kind, n = point.split()
    came = faulty(httpd, shim, rig.Fault(kind, int(n), "kill"), "child")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    served = httpd.wait_cert(SHOP, timeout=100)
    wait_until(came, 10, "the fault")
    assert len(ca.accounts) == len(ca.certs) == 1
    sound(httpd)
    httpd.graceful()
    assert serial(httpd.served_cert(SHOP)) == serial(served)
    assert not temporaries(httpd)


@pytest.mark.parametrize("n", [3, 60, 90])
def test_parent_killed_at_an_operation_starts_again(httpd, make_fakeca, shim, n):
    ca = make_fakeca(retry_after=None)
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    served = httpd.wait_cert(SHOP)
    httpd.stop()
    came = faulty(httpd, shim, rig.Fault("file", n, "kill"), "self")
    with pytest.raises(AssertionError, match="httpd ended"):
        httpd.start()
    assert came()
    sound(httpd)
    httpd.start()
    assert serial(httpd.served_cert(SHOP)) == serial(served)
    assert rig.check_pair(httpd.store / f"certificates/{SHOP}/ecdsa") is None
    assert not temporaries(httpd) and len(ca.certs) == 1


def test_parent_killed_amid_an_order_leaves_children_that_end_it(httpd, make_fakeca):
    ca = make_fakeca(retry_after=None)
    ca.validation_gate.clear()
    httpd.acme(ca)
    httpd.allow_crash = True
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("challenge")
    os.kill(httpd.pid, signal.SIGKILL)
    ca.validation_gate.set()
    served = httpd.wait_cert(SHOP)
    httpd.kill()
    httpd.start()
    assert serial(httpd.served_cert(SHOP)) == serial(served)
    assert acmectl(httpd, "status").returncode == 0
    assert len(ca.accounts) == len(ca.certs) == len(ca.requests_to("new-order")) == 1


def test_restore_replaces_no_set_that_only_cannot_be_read(httpd, make_fakeca, shim):
    """It may be newer than that of the backup."""
    httpd.acme(make_fakeca())
    issue_one(httpd)
    phrase = secret_file(httpd, "phrase", "correct horse battery staple\n")
    words = (httpd.folder / "acme.backup", "--passphrase-file", phrase)
    assert acmectl(httpd, "backup", *words).returncode == 0
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    new = serial(httpd.served_cert(SHOP))
    httpd.stop()

    def restore(fault=None):
        """What it said, and what it did."""
        trace = httpd.folder / f"trace.{fault}"
        env = {**os.environ, **rig.shim_env(shim, httpd.store, trace, fault)}
        argv = acmectl_argv(httpd, "restore", *words)
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 1, done.stdout
        return done.stderr, rig.read_trace(trace)[0]

    said, ops = restore()
    assert "ACME1716" in said
    reads = [op for op in ops if op.call == "open" and re.search(rf"/certificates/{SHOP}(/|$)", op.what)]
    assert reads
    for op in reads:
        said, _ = restore(rig.Fault("file", op.n, "EIO"))
        assert re.search("ACME1100|ACME1716", said), (op, said)
    httpd.start()
    assert serial(httpd.served_cert(SHOP)) == new
