"""acmectl: each command with the server running, stopped and killed, and its refusals."""

import contextlib
import fcntl
import grp
import json
import os
import pty
import pwd
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from . import faults, pki
from .httpd import acme_module
from .proc import Process, wait_until
from .test_issue import ALIAS, SHOP, acmectl, acmectl_argv, issue_one, serial

BLOG, MAIL = "blog.example.org", "mail.example.org"


def ctl(server, *args, code=0):
    """A command that ends with this status. Gives what it printed: standard output, errors."""
    done = acmectl(server, *args)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def certificates(server):
    survey = json.loads(ctl(server, "status", "--json"))
    assert survey["total"] == len(survey["certificates"])
    return survey["server"], {one["name"]: one for one in survey["certificates"]}


def taken_up(asking):
    """Whether this acmectl shows that the server works for it."""
    return re.search("accepted: |working: ", asking.log.read_text())


def hosts(server, *names):
    for name in names:
        server.vhost(name, https_extra="AcmeManage on")
    server.start()
    for name in names:
        server.wait_cert(name)


# --- looking -----------------------------------------------------------------------


def test_acmectl_status_running_and_stopped_tell_the_same(acme_httpd):
    issued = issue_one(acme_httpd)
    server, found = certificates(acme_httpd)
    assert server == "running" and list(found) == [SHOP]
    running = found[SHOP]
    assert running["names"] == [SHOP, ALIAS] and running["managed"] and running["in_use"]
    key = running["keys"][0]
    assert key["state"] == "valid" and int(key["serial"], 16) == serial(issued)
    assert key["next"]["action"] == "renew" and key["next"]["time"]
    assert SHOP in ctl(acme_httpd, "status") and "valid" in ctl(acme_httpd, "status")
    # a worker that was taken over can tell of no more than root has configured
    managed = acme_httpd.store / "managed.json"
    kept = managed.read_text()
    managed.write_text(json.dumps({**json.loads(kept), "certificates": []}))
    done = acmectl(acme_httpd, "status", "--json")
    assert "ACME1720: " in done.stderr and json.loads(done.stdout)["server"] == "silent"
    assert [one["name"] for one in json.loads(done.stdout)["certificates"]] == [SHOP], "by the store"
    managed.write_text(kept)
    acme_httpd.stop()
    server, found = certificates(acme_httpd)
    assert server == "stopped" and list(found) == [SHOP]
    stopped = found[SHOP]
    for member in ("names", "where", "in_use", "managed"):
        assert stopped[member] == running[member]
    for member in ("type", "state", "set", "issuer", "serial", "not_before", "not_after", "ca"):
        assert stopped["keys"][0][member] == key[member], member
    assert "the server is stopped" in ctl(acme_httpd, "status")


def test_acmectl_shows_error_with_number_and_remedy_running_and_stopped(httpd, make_fakeca):
    ca = make_fakeca()
    ca.script("new-order", faults.problem("rejectedIdentifier", detail="not you"), times=None)
    httpd.acme(ca).vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    line = httpd.wait_log(r"ACME(13\d\d): .*not you")
    code = f"ACME{line.group(1)}"
    for shown in (ctl(httpd, "show", SHOP), ctl(httpd, "status")):
        assert f"{code}: " in shown and "not you" in shown
    remedy = ctl(httpd, "explain", code).splitlines()[-1].strip()
    assert remedy in ctl(httpd, "show", SHOP)
    key = certificates(httpd)[1][SHOP]["keys"][0]
    assert key["state"] == "error" and key["error"]["code"] == code
    httpd.stop()
    again = certificates(httpd)[1][SHOP]["keys"][0]
    assert again["state"] == "error"
    assert {**again["error"], "time": 0} == {**key["error"], "time": 0}
    assert f"{code}: " in ctl(httpd, "show", SHOP) and remedy in ctl(httpd, "show", SHOP)


def test_acmectl_status_of_many_asks_for_all_at_once(httpd, make_fakeca):
    """A server looks for requests once a second: of thousands, one by one would take long. An
    answer has room for so many octets, whatever the number of names."""
    ca = make_fakeca()
    httpd.acme(ca)
    ca.stop()  # they are there, and wait
    far = "x" * 40
    for i in range(700):
        names = " ".join(f"{far}-{k}.h{i:03}.example.org" for k in range(99 if i < 200 else 1))
        httpd.config(
            f"<AcmeCertificate h{i:03}.example.org {names}>\nAcmeRenewMode always\n</AcmeCertificate>"
        )
    httpd.start()
    httpd.wait_log("ACME1501")
    asking = Process("acmectl", acmectl_argv(httpd, "status", "--json"), httpd.folder / "ctl.log")
    together = 0
    while asking.running():
        together = max(together, len(list((httpd.store / "control").glob("*.json"))))
    survey = json.loads(asking.log.read_text())
    assert survey["server"] == "running" and survey["total"] == 700
    assert [one["name"] for one in survey["certificates"]] == [f"h{i:03}.example.org" for i in range(700)]
    assert together >= 3


def test_acmectl_show_tells_names_dates_and_what_comes_next(acme_httpd):
    issued = issue_one(acme_httpd)
    for name in (SHOP, ALIAS, SHOP.upper()):
        shown = ctl(acme_httpd, "show", name)
        assert f"{SHOP}, {ALIAS}" in shown and "ecdsa-p256: valid" in shown
        assert f"{serial(issued):x}" in shown and "renew 20" in shown
        assert not re.search(r" $| :", shown, re.MULTILINE), shown
    # with its history, in the words of the status page
    steps = re.search(r"  Time-line of the last orders:\n((?:    2\S+Z  .+\n)+)", shown).group(1)
    assert f"-01 is shown for {SHOP}\n" in steps and steps.endswith("Z  in service\n")
    visits = re.search(r"\nValidation requests seen here:\n((?:    2\S+Z  .+\n)+)$", shown).group(1)
    seen = json.loads(acme_httpd.acme_status(f"format=json&certificate={SHOP}").body)["certificates"][0]["visits"]
    assert visits == "".join(f"    {one['time']}  {one['text']}\n" for one in seen)
    assert json.loads(ctl(acme_httpd, "show", SHOP, "--json"))["name"] == SHOP
    acme_httpd.stop()
    assert f"{serial(issued):x}" in ctl(acme_httpd, "show", ALIAS)


def test_acmectl_half_a_command_lists_what_it_may_go_on_with():
    six = ("show", "import", "rollover", "contact", "deactivate", "new")
    for words, code in ((["account"], 2), (["help", "account"], 0), (["account", "--help"], 0)):
        done = plain(*words)
        said = done.stdout if code == 0 else done.stderr
        assert done.returncode == code and not (done.stderr if code == 0 else done.stdout)
        assert all(f"  account {word} " in said for word in six), words
    for words in (["account", "nothing"], ["help", "account", "nothing"]):
        done = plain(*words)
        assert done.returncode == 2 and "unknown command account nothing" in done.stderr
        assert all(f"  account {word} " in done.stderr for word in six), words


def test_acmectl_unknown_name_lists_near_ones(acme_httpd):
    hosts(acme_httpd, SHOP, BLOG)
    for stop in (False, True):
        if stop:
            acme_httpd.stop()
        for command in ("show", "delete", "revoke", *(() if stop else ("renew", "check"))):
            said = ctl(acme_httpd, command, "shpo.example.org", code=1)
            assert f"ACME1707: there is no certificate named shpo.example.org; did you mean {SHOP}" in said
            assert BLOG not in said
        assert "did you mean" not in ctl(acme_httpd, "show", "other.example.net", code=1)
        assert "ACME1707" in ctl(acme_httpd, "show", "no name\x1b[2J", code=1)


def test_acmectl_status_of_hostile_ca_is_text(httpd, make_fakeca):
    ca = make_fakeca()
    evil = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\nforged: line"
    ca.script("new-order", faults.problem("rejectedIdentifier", detail=evil), times=None)
    httpd.acme(ca).vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log("ACME13")
    for shown in (ctl(httpd, "status"), ctl(httpd, "show", SHOP), ctl(httpd, "status", "--json")):
        assert "\x1b" not in shown and "\u202e" not in shown and "\nforged" not in shown
        assert "owned" in shown


# --- renew --------------------------------------------------------------------------


def test_acmectl_renew_all(acme_httpd):
    names = [f"h{n}.example.org" for n in range(25)]
    hosts(acme_httpd, *names)
    before = {name: serial(acme_httpd.served_cert(name)) for name in names}
    done = ctl(acme_httpd, "renew", "--all")
    assert "done: all 25 renewed" in done and "of 25, " in done
    for name in names:
        assert serial(acme_httpd.served_cert(name)) != before[name]
    assert list((acme_httpd.store / "control").iterdir()) == []


def test_acmectl_renew_all_tells_what_failed(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    hosts(httpd, SHOP, BLOG, MAIL)
    refusal = faults.problem("rejectedIdentifier", detail="not this one")
    ca.script("new-order", refusal, times=1)
    said = ctl(httpd, "renew", "--all", code=1)
    assert "1 of 3 failed" in said and "not this one" in said and "ACME13" in said


def test_acmectl_renew_without_a_server(acme_httpd):
    issue_one(acme_httpd)
    acme_httpd.stop()
    said = ctl(acme_httpd, "renew", SHOP, "--timeout", "1", code=3)
    assert "ACME1702" in said and "no server takes requests" in said
    assert list((acme_httpd.store / "control").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_acmectl_interrupted_leaves_the_server_at_work(httpd, make_fakeca, number):
    ca = make_fakeca()
    httpd.acme(ca)
    before = serial(issue_one(httpd))
    ca.script("finalize", faults.silence())
    asking = Process("acmectl", acmectl_argv(httpd, "renew", SHOP), httpd.folder / "ctl.log")
    wait_until(lambda: taken_up(asking), 20, "the request to be taken up")
    os.kill(asking.popen.pid, number)
    assert asking.wait(10) and asking.popen.returncode == 4, asking.log.read_text()
    assert "ACME1704" in asking.log.read_text()
    ca.clear_script()
    httpd.wait_cert(SHOP, lambda served: serial(served) != before, timeout=60)


def test_acmectl_says_of_what_was_just_taken_up_that_it_goes_on(httpd, make_fakeca):
    """Taken up between its last look and the interruption: not withdrawn."""
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    ca.script("finalize", faults.silence())
    children = [child.pid for child in httpd.children()]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    asking = Process("acmectl", acmectl_argv(httpd, "renew", SHOP), httpd.folder / "ctl.log")
    wait_until(lambda: list((httpd.store / "control").glob("*.json")), 20, "the request")
    os.kill(asking.popen.pid, signal.SIGSTOP)
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: list((httpd.store / "replies").glob("*.json")), 20, "the reply")
    os.kill(asking.popen.pid, signal.SIGINT)
    os.kill(asking.popen.pid, signal.SIGCONT)
    assert asking.wait(10) and asking.popen.returncode == 4, asking.log.read_text()
    assert "ACME1704" in asking.log.read_text()
    ca.clear_script()


def test_acmectl_not_in_time(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    ca.script("finalize", faults.silence())
    said = ctl(httpd, "renew", SHOP, "--timeout", "3", code=4)
    assert "ACME1703" in said and "not done within 3 seconds" in said


def test_acmectl_killed_and_asked_again(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    before = serial(issue_one(httpd))
    ca.script("finalize", faults.silence())
    asking = Process("acmectl", acmectl_argv(httpd, "renew", SHOP), httpd.folder / "ctl.log")
    wait_until(lambda: taken_up(asking), 20, "the request to be taken up")
    os.kill(asking.popen.pid, signal.SIGKILL)
    asking.wait(10)
    ca.clear_script()
    assert "done: issued by" in ctl(httpd, "renew", SHOP)
    assert serial(httpd.served_cert(SHOP)) != before


@pytest.mark.parametrize("what", [SHOP, "--all"])
def test_acmectl_outlives_the_server_that_worked_for_it(httpd, make_fakeca, what):
    ca = make_fakeca()
    httpd.acme(ca)
    hosts(httpd, SHOP, BLOG, MAIL)
    before = serial(httpd.served_cert(SHOP))
    ca.script("finalize", faults.silence())
    asking = Process("acmectl", acmectl_argv(httpd, "renew", what), httpd.folder / "ctl.log")
    wait_until(lambda: taken_up(asking), 20, "the request to be taken up")
    ca.wait_request("finalize", 4)
    shown = ctl(httpd, "show", SHOP)
    assert what == "--all" or " renew: asked for by" in shown, shown
    httpd.kill()
    ca.clear_script()
    httpd.start()
    assert asking.wait(60), httpd.log()
    text = asking.log.read_text()
    assert asking.popen.returncode == 0 and "done: " in text, text
    assert serial(httpd.served_cert(SHOP)) != before
    # what had been renewed already was not ordered once more
    count = len(ca.certs)
    assert count == (4 if what == SHOP else 6)


# --- delete -------------------------------------------------------------------------


def leftovers(server, name):
    return [str(path) for path in server.store.rglob(name) if path.exists()]


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_acmectl_delete_what_is_not_configured_any_more(acme_httpd, stopped):
    hosts(acme_httpd, SHOP, BLOG)
    acme_httpd.graceful()
    acme_httpd.wait_cert(BLOG)
    if stopped:
        acme_httpd.stop()
    said = ctl(acme_httpd, "delete", BLOG, code=1)
    assert "ACME1708" in said and "configured at" in said and leftovers(acme_httpd, BLOG)
    acme_httpd.remove_vhost(BLOG)
    if stopped:
        acme_httpd.start()
        acme_httpd.stop()
    else:
        acme_httpd.graceful()
        wait_until(lambda: not certificates(acme_httpd)[1][BLOG]["managed"], 30, "the reload")
    _, found = certificates(acme_httpd)
    assert not found[BLOG]["managed"] and found[SHOP]["managed"]
    gone = re.findall(r"ACME1038: (\S+), which was configured at (\S+),", acme_httpd.log())
    assert [name for name, _ in gone] == [BLOG] and "httpd.conf:" in gone[0][1]
    assert "not managed any more" in ctl(acme_httpd, "status")
    assert f"done: {BLOG}" in ctl(acme_httpd, "delete", BLOG)
    assert leftovers(acme_httpd, BLOG) == []
    assert list(certificates(acme_httpd)[1]) == [SHOP]
    assert "ACME1707" in ctl(acme_httpd, "delete", BLOG, code=1)
    assert leftovers(acme_httpd, SHOP)


# --- who may, and how ----------------------------------------------------------------

NEEDS_STORE = (
    ["status"], ["show", SHOP], ["renew", SHOP], ["renew", "--all"], ["delete", SHOP],
    ["backup", "/dev/null/x"], ["export", SHOP, "--dir", "/dev/null/x"],
)  # fmt: skip


@pytest.mark.needs_root
@pytest.mark.parametrize("args", NEEDS_STORE, ids=" ".join)
def test_acmectl_is_for_the_owner_of_the_store_alone(acme_httpd, args):
    issue_one(acme_httpd)
    acme_httpd.wait_log(r"ACME153[01]: ")  # nothing more is written
    before = sorted(str(path) for path in acme_httpd.store.rglob("*"))
    done = subprocess.run(
        acmectl_argv(acme_httpd, *args), user="www-data", group="www-data", extra_groups=[],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1 and "ACME1701" in done.stderr, done.stderr
    assert "root" in done.stderr
    assert sorted(str(path) for path in acme_httpd.store.rglob("*")) == before


@pytest.mark.parametrize("args", NEEDS_STORE, ids=" ".join)
def test_acmectl_without_a_store_says_how_to_name_it(acme_httpd, args):
    assert "ACME1700" in ctl(acme_httpd, *args, code=1)
    assert not acme_httpd.store.exists()
    acme_httpd.store.mkdir()
    acme_httpd.store.joinpath("passwd").write_text("it is another directory")
    assert "ACME1700" in ctl(acme_httpd, *args, code=1)
    assert len(list(acme_httpd.store.iterdir())) == 1


def test_acmectl_store_of_a_newer_version(acme_httpd):
    issue_one(acme_httpd)
    acme_httpd.stop()
    path = acme_httpd.store / "store.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 99'))
    said = ctl(acme_httpd, "status", code=1)
    assert "ACME1102" in said and "99" in said


def test_acmectl_store_by_environment(acme_httpd):
    issue_one(acme_httpd)
    program = acme_module().parents[2] / "acmectl"
    for store, code in ((acme_httpd.store, 0), (acme_httpd.folder / "none", 1)):
        done = subprocess.run(
            [program, "status"], env={"ACME_STORE": str(store)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stderr


def plain(*args):
    program = acme_module().parents[2] / "acmectl"
    return subprocess.run([program, *args], capture_output=True, text=True, check=False)


def test_acmectl_explain_in_every_spelling():
    for code in ("ACME1107", "acme1107", "1107", "ACME1107:"):
        said = plain("explain", code).stdout
        assert said.startswith("ACME1107: the key in ... cannot be opened")
        assert "error: a human must act" in said and "Restore store.json" in said
    every = plain("explain", "--all").stdout
    assert every.count("\nACME") > 200
    assert not re.search(r"a human must act; .*by itself", every)
    for code in ("1", "ACME9999", "x", "-5", "", "11070", "0x453"):
        done = plain("explain", "--", code)
        assert done.returncode == 1 and "ACME1718" in done.stderr, code


def test_acmectl_help_names_every_command_and_option():
    top = plain("--help").stdout
    names = set(re.findall(r"^  ([a-z]+(?: [a-z]+)*)", top, re.MULTILINE))
    assert {"status", "show", "check", "renew", "revoke", "delete", "account show", "account rollover",
            "export", "backup", "restore", "explain"} <= names  # fmt: skip
    assert "Exit status" in top
    for name in names:
        one = plain("help", *name.split())
        assert one.returncode == 0 and f" {name}" in one.stdout.splitlines()[0]
        assert plain(*name.split(), "--help").stdout == one.stdout
    assert plain("--version").stdout.startswith("acmectl ")
    for wrong in (["frob"], [], ["status", "x"], ["show"], ["renew", "--nw", "a"], ["explain"],
                  ["show", "--json=1", "a"], ["renew", "a", "--timeout=0"], ["--store", "x", "status"]):  # fmt: skip
        done = plain(*wrong)
        assert done.returncode == 2 and "usage: " in done.stderr and not done.stdout, wrong


# --- export --------------------------------------------------------------------------


def public(one):
    """The public key of a key or certificate, to be compared."""
    return one.public_key().public_numbers()


def modes(folder):
    return {path.name: oct(path.stat().st_mode & 0o7777) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_acmectl_export_writes_files_that_fit_together(acme_httpd, stopped):
    issued = issue_one(acme_httpd)
    if stopped:
        acme_httpd.stop()
        acme_httpd.start()  # now it is promoted, which is another way to it
        acme_httpd.stop()
    folder = acme_httpd.folder / "out"
    bundle, p12 = acme_httpd.folder / "all.pem", acme_httpd.folder / "all.p12"
    said = ctl(acme_httpd, "export", ALIAS, "--dir", f"{folder}/", "--pem", bundle,
               "--pkcs12", p12, "--no-passphrase")  # fmt: skip
    assert f"done: {SHOP}" in said
    assert modes(folder) == {
        "cert.pem": "0o644", "chain.pem": "0o644", "fullchain.pem": "0o644", "privkey.pem": "0o600"
    }  # fmt: skip
    full = folder.joinpath("fullchain.pem").read_bytes()
    assert full == folder.joinpath("cert.pem").read_bytes() + folder.joinpath("chain.pem").read_bytes()
    chain = pki.load_chain(full)
    assert chain[0].serial_number == serial(issued) and len(chain) == 2
    key = load_pem_private_key(folder.joinpath("privkey.pem").read_bytes(), None)
    assert public(key) == public(chain[0])
    assert bundle.read_bytes() == full + folder.joinpath("privkey.pem").read_bytes()
    own, leaf, more = pkcs12.load_key_and_certificates(p12.read_bytes(), b"")
    assert public(own) == public(leaf) and leaf == chain[0] and more == chain[1:]
    for path in (bundle, p12):
        assert path.stat().st_mode & 0o7777 == 0o600
    # nor what is no file: a device would be gone from the machine
    pipe = acme_httpd.folder / "pipe"
    os.mkfifo(pipe)
    link = acme_httpd.folder / "stdout"
    link.symlink_to(pipe)
    for other in (pipe, link, "-"):
        assert "ACME1712" in ctl(acme_httpd, "export", SHOP, "--pem", other, code=1)
    assert pipe.is_fifo() and link.is_symlink()
    assert list(acme_httpd.folder.glob("*.acmectl-*")) == []


def test_acmectl_export_again_replaces_all_at_once_and_harms_no_others(acme_httpd):
    issue_one(acme_httpd)
    folder = acme_httpd.folder / "out"
    ctl(acme_httpd, "export", SHOP, "--dir", folder)
    before = folder.stat().st_ino
    ctl(acme_httpd, "renew", SHOP)
    ctl(acme_httpd, "export", SHOP, "--dir", folder, "--group", "www-data")
    assert folder.stat().st_ino != before
    key = folder.joinpath("privkey.pem").stat()
    assert key.st_mode & 0o7777 == 0o640 and key.st_gid == grp.getgrnam("www-data").gr_gid
    now = pki.load_chain(folder.joinpath("fullchain.pem").read_bytes())[0]
    assert now.serial_number == serial(acme_httpd.served_cert(SHOP))
    folder.joinpath("other.txt").write_text("mine")
    inode = folder.stat().st_ino
    assert "ACME1712" in ctl(acme_httpd, "export", SHOP, "--dir", folder, code=1)
    assert folder.stat().st_ino == inode and folder.joinpath("other.txt").read_text() == "mine"
    link = acme_httpd.folder / "link"
    link.symlink_to(folder)
    assert "ACME1712" in ctl(acme_httpd, "export", SHOP, "--dir", link, code=1)
    assert "ACME1712" in ctl(acme_httpd, "export", SHOP, "--pem", folder / "no" / "x", code=1)
    assert list(acme_httpd.folder.glob("*.acmectl-*")) == []
    # whoever can read the folder above can lock it, which holds up nobody for good
    reader = os.open(acme_httpd.folder, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    ctl(acme_httpd, "export", SHOP, "--dir", acme_httpd.folder / "locked")
    os.close(reader)


def test_acmectl_export_refusals(httpd, make_fakeca):
    ca = make_fakeca()
    ca.script("new-order", faults.problem("rejectedIdentifier"), times=None)
    httpd.acme(ca).vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log("ACME13")
    out = httpd.folder / "out"
    assert "ACME1711" in ctl(httpd, "export", SHOP, "--dir", out, code=1)
    assert "ACME1707" in ctl(httpd, "export", BLOG, "--dir", out, code=1)
    for wrong in ([], ["--dir", out, "--type", "dsa"], ["--dir", out, "--group", "no-such"]):
        assert "usage: " in ctl(httpd, "export", SHOP, *wrong, code=2)
    assert not out.exists()


def test_acmectl_export_of_two_kinds_of_key(acme_httpd):
    acme_httpd.config("AcmeKeyType rsa2048 ecdsa-p256")
    issue_one(acme_httpd)
    rsa = dict(sigalgs="rsa_pss_rsae_sha256")
    acme_httpd.wait_cert(SHOP, lambda served: served.key_type == "rsa2048", **rsa)
    wait_until(lambda: len(list((acme_httpd.store / "fresh" / SHOP).iterdir())) == 2, 30, "both")
    for kind, expected in (("rsa", "RSA"), ("ecdsa", "Elliptic"), (None, "Elliptic")):
        out = acme_httpd.folder / f"out-{kind}"
        ctl(acme_httpd, "export", SHOP, "--dir", out, *(["--type", kind] if kind else []))
        key = load_pem_private_key(out.joinpath("privkey.pem").read_bytes(), None)
        assert expected in type(key).__name__


# --- backup and restore ----------------------------------------------------------------


@pytest.fixture
def phrase(live_dir):
    path = live_dir / "phrase"
    path.write_text("correct horse battery staple\nnot this line\n")
    path.chmod(0o600)
    return ["--passphrase-file", path]


def counts(ca):
    return len(ca.accounts), len(ca.certs)


def second(make_httpd, ca, first, *hosts):
    """Another machine with the same configuration: its own store, on the ports of the first."""
    other = make_httpd()
    other.http_port, other.https_port = first.http_port, first.https_port
    other.acme(ca)
    for name, aliases in hosts:
        other.vhost(name, aliases, https_extra="AcmeManage on")
    return other


def user_option():
    return ["--user", "www-data"] if os.geteuid() == 0 else []


def test_acmectl_backup_goes_to_another_machine(httpd, make_httpd, make_fakeca, phrase):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeKeyReuse next")
    httpd.vhost(BLOG, https_extra="AcmeManage on")
    issued = serial(issue_one(httpd))
    httpd.wait_cert(BLOG)
    next_keys = [key["tlsa_next"] for one in certificates(httpd)[1].values() for key in one["keys"]]
    assert all(next_keys) and len(next_keys) == 2
    before = counts(ca)
    path = httpd.folder / "acme.backup"
    said = ctl(httpd, "backup", path, *phrase)
    assert "done: 1 accounts and 2 certificates" in said
    assert path.stat().st_mode & 0o7777 == 0o600
    data = path.read_bytes()
    assert data.startswith(b"mod_acme backup 1 scrypt 131072 8 1 ")
    for secret in (b"PRIVATE KEY", b"BEGIN", SHOP.encode(), b"account"):
        assert secret not in data
    httpd.stop()
    other = second(make_httpd, ca, httpd, (SHOP, [ALIAS]), (BLOG, []))
    other.config("AcmeKeyReuse next")
    said = ctl(other, "restore", path, *phrase, *user_option())
    assert "done: 1 accounts and 2 certificates restored" in said
    for name in ("store.json",):
        assert (other.store / name).read_text() != (httpd.store / name).read_text()
    shown = ctl(other, "show", SHOP)
    assert f"{issued:x}" in shown
    other.start()
    assert serial(other.served_cert(SHOP)) == issued and not other.served_cert(BLOG).self_signed
    other.wait_log("ACME1501")
    _, found = certificates(other)
    assert [key["state"] for one in found.values() for key in one["keys"]] == ["valid", "valid"]
    assert sorted(next_keys) == sorted(
        key["tlsa_next"] for one in found.values() for key in one["keys"]
    )
    assert counts(ca) == before
    # and the account is as good as it was: the next renewal is by it
    ctl(other, "renew", SHOP)
    assert counts(ca) == (before[0], before[1] + 1)
    assert serial(other.served_cert(SHOP)) != issued


def test_acmectl_restore_replaces_nothing_newer_unasked(httpd, make_fakeca, phrase):
    ca = make_fakeca()
    httpd.acme(ca)
    old = serial(issue_one(httpd))
    path = httpd.folder / "acme.backup"
    ctl(httpd, "backup", path, *phrase)
    said = ctl(httpd, "restore", path, *phrase, code=1)
    assert "ACME1710" in said
    wait_until(lambda: time.time() > httpd.store.stat().st_mtime + 1.1, 5, "the next second")
    ctl(httpd, "renew", SHOP)
    new = serial(httpd.served_cert(SHOP))
    httpd.stop()
    files = lambda: {p: p.read_bytes() for p in httpd.store.rglob("*") if p.is_file()}  # noqa: E731
    before = files()
    said = ctl(httpd, "restore", path, *phrase, code=1)
    assert "ACME1716" in said and SHOP in said and "--overwrite" in said
    assert files() == before
    assert "usage: " in ctl(httpd, "restore", path, *phrase, "--keep", "--overwrite", code=2)
    said = ctl(httpd, "restore", path, *phrase, "--keep")
    assert "0 accounts and 0 certificates restored" in said and "1 were there already, 1 others were kept" in said
    assert f"{new:x}" in ctl(httpd, "show", SHOP)
    ctl(httpd, "restore", path, *phrase, "--overwrite")
    httpd.start()
    assert serial(httpd.served_cert(SHOP)) == old
    assert counts(ca) == (1, 2)


@contextlib.contextmanager
def trail_closed(httpd):
    """Nothing can be written into the audit trail by who is not root."""
    audit = httpd.store / "audit"
    modes = {path: path.stat().st_mode for path in [audit, *audit.iterdir()]}
    for path in modes:
        path.chmod(0o500)
    yield
    for path, mode in modes.items():
        path.chmod(mode)


def test_acmectl_restore_of_what_is_there_changes_nothing(httpd, make_fakeca, phrase):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    path = httpd.folder / "acme.backup"
    ctl(httpd, "backup", path, *phrase)
    httpd.stop()
    said = ctl(httpd, "restore", path, *phrase)
    assert "0 accounts and 0 certificates restored" in said and "2 were there already" in said
    # lost keys come back
    account = next(iter((httpd.store / "accounts").rglob("account.json")))
    account.write_text("{}")
    with trail_closed(httpd):  # two things are wrong, and both are told
        said = ctl(httpd, "backup", httpd.folder / "other.backup", *phrase, code=1)
    assert "ACME1100" in said and "accounts/" in said
    # not over one that cannot be read: it may be whole
    whose = account.stat()
    os.chown(account, 0, 0)
    said = ctl(httpd, "restore", path, *phrase, code=1)
    assert re.search(rf"ACME1100: cannot open {account}", said)
    assert account.read_text() == "{}" and list(account.parent.iterdir()) == [account]
    os.chown(account, whose.st_uid, whose.st_gid)
    assert "1 accounts and 0 certificates" in ctl(httpd, "restore", path, *phrase)
    httpd.start()
    ctl(httpd, "renew", SHOP)
    assert counts(ca) == (1, 2)


def test_acmectl_restore_refuses_what_is_no_backup_of_that_phrase(httpd, make_fakeca, phrase, live_dir):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    path = httpd.folder / "acme.backup"
    ctl(httpd, "backup", path, *phrase)
    httpd.stop()
    good = path.read_bytes()
    other = live_dir / "other-phrase"
    other.write_text("another phrase\n")
    other.chmod(0o600)
    said = ctl(httpd, "restore", path, "--passphrase-file", other, code=1)
    assert "ACME1714" in said and "pass phrase is another" in said
    header = good.index(b"\n") + 1
    bad = [
        b"", b"\n", good[:-1], good[:header], good[:header + 15], good + b"x",
        good[:header + 5] + bytes([good[header + 5] ^ 1]) + good[header + 6:],
        good.replace(b" 131072 ", b" 262144 ", 1), good.replace(b" 131072 ", b" 99999999 ", 1),
        good.replace(b"backup 1", b"backup 2", 1), b"x" * 5000,
    ]  # fmt: skip
    for data in bad:
        path.write_bytes(data)
        assert "ACME1714" in ctl(httpd, "restore", path, *phrase, code=1), data[:60]
    assert "ACME1714" in ctl(httpd, "restore", httpd.folder / "none", *phrase, code=1)


def test_acmectl_pass_phrases_and_where_they_come_from(httpd, make_fakeca, live_dir):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    out = httpd.folder / "acme.backup"
    secret = live_dir / "secret"
    for text, mode, words in (
        ("long enough phrase", 0o644, "others than its owner"),
        ("short", 0o600, "fewer than 8"),
        ("", 0o600, "it is empty"),
        ("\nsecond line is not it", 0o600, "it is empty"),
        ("x" * 2000, 0o600, "longer than 1024"),
    ):
        secret.write_text(text)
        secret.chmod(mode)
        said = ctl(httpd, "backup", out, "--passphrase-file", secret, code=1)
        assert "ACME1713" in said and words in said
    program = live_dir / "program"
    program.write_text("#!/bin/sh\necho from a program\necho more\n")
    program.chmod(0o755)
    ctl(httpd, "backup", out, "--passphrase-program", program)
    secret.write_text("from a program\n")
    httpd.stop()
    assert "done: " in ctl(httpd, "restore", out, "--passphrase-file", secret)
    out.unlink()
    for text, mode in (("#!/bin/sh\necho from a program; exit 3\n", 0o755), ("x", 0o644)):
        program.write_text(text)
        program.chmod(mode)
        assert "ACME1713" in ctl(httpd, "backup", out, "--passphrase-program", program, code=1)
    program.chmod(0o777)
    assert "ACME1713" in ctl(httpd, "backup", out, "--passphrase-program", program, code=1)
    for wrong in (["--passphrase", "x"], ["--passphrase-file", secret, "--passphrase-program", program]):
        assert "usage: " in ctl(httpd, "backup", out, *wrong, code=2)
    assert not out.exists()


def on_terminal(server, answers, *args):
    """A command with a terminal of its own, on which these answers are typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = [str(arg) for arg in acmectl_argv(server, *args)]
        os.execv(argv[0], argv)
    shown = b""
    while True:
        try:
            more = os.read(terminal, 1024)
        except OSError:
            more = b""
        if not more:
            break
        shown += more
        if shown.endswith(b": ") and answers:
            os.write(terminal, answers.pop(0))
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_acmectl_asks_for_the_phrase_on_a_terminal(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    out = httpd.folder / "acme.backup"
    code, shown = on_terminal(httpd, [b"typed phrase\n", b"typed phrasf\n"], "backup", out)
    assert code == 1 and "those were two" in shown and not out.exists()
    code, shown = on_terminal(httpd, [b"typed phrase\n", b"typed phrase\n"], "backup", out)
    assert code == 0 and "done: " in shown and "typed" not in shown
    httpd.stop()
    code, shown = on_terminal(httpd, [b"typed phrase\n"], "restore", out)
    assert code == 0 and "typed" not in shown
    code, shown = on_terminal(httpd, [b"\x03"], "restore", out)
    assert code == 1 and "interrupted" in shown
    done = subprocess.run(
        acmectl_argv(httpd, "backup", out), start_new_session=True, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1 and "no terminal" in done.stderr


@pytest.mark.needs_root
def test_acmectl_restore_makes_a_store_for_a_user(httpd, make_fakeca, phrase):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    path = httpd.folder / "acme.backup"
    ctl(httpd, "backup", path, *phrase)
    httpd.store = httpd.folder / "new"
    for wrong in ([], ["--user", "no-such-user"]):
        assert "ACME1717" in ctl(httpd, "restore", path, *phrase, *wrong, code=1)
        assert not httpd.store.exists()
    ctl(httpd, "restore", path, *phrase, "--user", "www-data")
    assert pwd.getpwuid((httpd.store / "fresh").stat().st_uid).pw_name == "www-data"
    assert (httpd.store / "certificates").stat().st_uid == 0
    sealed = (httpd.store / "fresh" / SHOP / "ecdsa.1" / "key").read_bytes()
    assert b"PRIVATE" not in sealed


def test_acmectl_restore_killed_goes_on_when_asked_again(httpd, make_fakeca, make_httpd, phrase):
    names = [f"h{n}.example.org" for n in range(30)]
    ca = make_fakeca()
    httpd.acme(ca)
    hosts(httpd, *names)
    path = httpd.folder / "acme.backup"
    ctl(httpd, "backup", path, *phrase)
    httpd.stop()
    other = second(make_httpd, ca, httpd, *[(name, []) for name in names])
    argv = acmectl_argv(other, "restore", path, *phrase, *user_option())
    killed = Process("acmectl", argv, other.folder / "ctl.log")
    fresh = other.store / "fresh"
    wait_until(lambda: fresh.exists() and len(list(fresh.iterdir())) > 2, 30, "half of it")
    os.killpg(os.getpgid(killed.popen.pid), signal.SIGKILL)
    killed.wait(10)
    said = ctl(other, "restore", path, *phrase, *user_option())
    assert "certificates restored" in said
    before = counts(ca)
    other.start()
    for name in names:
        assert not other.served_cert(name).self_signed
    assert counts(ca) == before


# --- manual page and completion ---------------------------------------------------------

TOP = Path(__file__).resolve().parents[2]


def complete(*words, store="/none"):
    script = f"""
        source {TOP}/conf/completion/acmectl
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
        ACME_STORE={store} _acmectl; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_acmectl_completion_knows_commands_options_and_names(tmp_path):
    for name in (SHOP, BLOG, f"_wildcard.{SHOP}"):
        (tmp_path / "certificates" / name).mkdir(parents=True)
    assert complete("acmectl", "re") == ["renew", "revoke", "restore"]
    assert complete("acmectl", "--store", "/x", "re") == ["renew", "revoke", "restore"]
    assert complete("acmectl", "renew", "--a") == ["--all"]
    assert complete("acmectl", "renew", "s", store=tmp_path) == [SHOP]
    assert complete("acmectl", "show", "--store", str(tmp_path), "*") == [f"*.{SHOP}"]
    assert complete("acmectl", "status", "") == []
    assert complete("acmectl", "backup", f"{tmp_path}/cert") == [f"{tmp_path}/certificates"]


def test_acmectl_manual_page_has_every_command_and_option():
    page = subprocess.run(
        ["man", "-l", "--warnings", TOP / "mod_acme/doc/acmectl.8"],
        capture_output=True, text=True, check=True, env={**os.environ, "MANWIDTH": "100"},
    )  # fmt: skip
    assert page.stderr == ""
    for line in plain("--help").stdout.splitlines():
        for command in re.findall(r"^  ([a-z]+(?: [a-z]+)*)", line):
            assert re.search(rf"^   {command}\b", page.stdout, re.MULTILINE), command
            for option in re.findall(r"^  (--\S+)", plain("help", *command.split()).stdout, re.MULTILINE):
                assert option in page.stdout
