"""What the documents say of the store, of rights, and of servers that share or move one, is so."""

import glob
import os
import re
import shutil
import signal
import stat
import subprocess

import pytest

from . import responder as ocsp
from .fakeca import problem
from .httpd import TOP, WORKER_USER, acme_module
from .proc import Process, wait_until
from .test_acmectl import ctl, taken_up
from .test_events import write_program
from .test_issue import ALIAS, SHOP, acmectl_argv, issue_one, serial

DOC = TOP / "mod_acme/doc"
MAIL, BLOG, NEWS = "mail.example.org", "blog.example.org", "news.example.net"
RSA = "rsa_pss_rsae_sha256"

pytestmark = pytest.mark.needs_root

# --- tables -------------------------------------------------------------------------


def table(page, first):
    """Rows of the table whose heading begins with this cell, as lists of cells."""
    lines = (DOC / page).read_text().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    assert rows
    return rows


KINDS = {"<certificate>": r"[a-z0-9._-]+", "<ca>": r"[a-z0-9.-]+", "<kind>": "(ecdsa|rsa)", "<n>": r"\d+",
         "<id>": "[0-9a-f]+"}  # fmt: skip


def pattern(path):
    parts = re.split(r"(<\w+>)", path.strip("`"))
    return "".join(KINDS.get(part) or re.escape(part) for part in parts)


def layout():
    """[(regex of a path, owner, mode or "link")] as store.md has it."""
    return [(pattern(path), owner, mode) for path, owner, mode, _ in table("store.md", "path")]


def found(store):
    """{path below the store: (owner, mode or "link")}; what is being written is left out."""
    seen = {}
    for path in [store, *store.rglob("*")]:
        try:
            st = path.lstat()
        except FileNotFoundError:
            continue
        name = str(path.relative_to(store))
        if not re.search(r"(^|/)\.(?!epoch-\d+$)", name) or name == ".":
            mode = "link" if stat.S_ISLNK(st.st_mode) else f"{stat.S_IMODE(st.st_mode):04o}"
            seen[name] = (path.owner(), mode)
    return seen


@pytest.fixture
def busy(httpd, make_fakeca, live_dir):
    """A server in whose store there is all that there can be: (httpd, look), where look() gives
    what was found in the store so far."""
    responder = ocsp.ScriptedResponder()
    ca = make_fakeca(validate="http", http_port=httpd.http_port, ocsp=[responder.url])
    responder.serve(ca)
    gate = write_program(live_dir)
    httpd.acme(ca, f"AcmeOn errored,challenge-open,challenge-close {gate}")
    httpd.config(f"SSLStaplingCache shmcb:{httpd.run_dir}/stapling(32768)\nAcmeRetry 1h")
    options = "AcmeManage on\nAcmeKeyType ecdsa-p256 rsa2048\nAcmeKeyReuse next\nSSLUseStapling on\n"
    httpd.vhost(SHOP, [ALIAS], https_extra=options)
    httpd.start()
    both(httpd)
    seen = {}

    def look():
        seen.update(found(httpd.store))
        return seen

    yield httpd, ca, look
    ca.validation_gate.set()
    responder.stop()


def both(httpd):
    httpd.wait_cert(SHOP)
    httpd.wait_cert(SHOP, sigalgs=RSA)


def seen_soon(look, path):
    wait_until(lambda: any(re.fullmatch(path, name) for name in look()), 30, path)


def fill(busy):
    """Let everything happen that leaves something in the store."""
    httpd, ca, look = busy
    seen_soon(look, r"work/.*\.ocsp")
    httpd.graceful()
    ctl(httpd, "renew", SHOP)
    ctl(httpd, "log", "--verify")
    httpd.graceful()  # into the archive
    # one that the CA is still validating
    ca.validation_gate.clear()
    httpd.vhost(MAIL, https_extra="AcmeManage on")
    httpd.graceful()
    seen_soon(look, f"work/{MAIL}/ecdsa.order")
    seen_soon(look, r"journal/.*\.json")
    asking = Process("acmectl", acmectl_argv(httpd, "renew", MAIL), httpd.folder / "asking.log")
    wait_until(lambda: taken_up(asking), 30, "the request is accepted")
    look()
    ca.validation_gate.set()
    httpd.wait_cert(MAIL)
    wait_until(lambda: not asking.running(), 30, "acmectl is done")
    # two that have nothing in common and that it refuses: the rate limit is for all
    ca.script("new-order", problem("rateLimited", "too many", retry_after=3600), times=None)
    for name in (BLOG, NEWS):
        httpd.vhost(name, https_extra="AcmeManage on")
    httpd.graceful()
    for path in (f"work/{NEWS}/ecdsa.job", f"work/{NEWS}/ecdsa.events", "accounts/.*/limits.json"):
        seen_soon(look, path)
    ctl(httpd, "account", "deactivate", "--yes")
    ctl(httpd, "account", "new")
    look()


def test_store_is_as_described(busy):
    httpd, _, look = busy
    fill(busy)
    rows = layout()
    unknown = {}
    used = set()
    for name, (owner, mode) in look().items():
        rows_of = [row for row in rows if re.fullmatch(row[0], name)]
        used.update(row[0] for row in rows_of)
        if not any((owner, mode) == (_user(row[1]), row[2]) for row in rows_of):
            unknown[name] = (owner, mode, rows_of)
    assert not unknown
    # and nothing is described that there is not
    assert [row[0] for row in rows if row[0] not in used] == []


def _user(word):
    return {"root": "root", "worker": WORKER_USER}[word]


ACCESS = """
import os, sys
for path in sys.argv[1:]:
    folder = os.path.dirname(path)
    writable = os.access(path, os.W_OK) or os.access(folder, os.W_OK | os.X_OK)
    print(("r" if os.access(path, os.R_OK) else "") + ("w" if writable else ""))
"""


def access(user, paths):
    """What the user may do with each of them: "rw", "r", "w" or ""."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", ACCESS, *paths], user=user, group=user if user != "nobody" else "nogroup",
        extra_groups=[], capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    return done.stdout.splitlines() if paths else []


def whole(store, pattern):
    """Files and directories that it stands for; "a/**" is a with all that is in it."""
    names = glob.glob(pattern, root_dir=store, recursive=True)
    return [store / name for name in names if not (store / name).is_symlink()]


def test_rights_are_as_described(busy):
    httpd, _, _ = busy
    fill(busy)
    for child in httpd.children():
        os.kill(child.pid, signal.SIGSTOP)  # a request is not answered
    asking = Process("acmectl", acmectl_argv(httpd, "renew", SHOP), httpd.folder / "asking-again.log")
    wait_until(lambda: list(httpd.store.glob("control/*.json")), 30, "it asks")
    asking.kill()
    rights = table("security.md", "what")
    covered, wrong = set(), []
    for what, root, worker, others in rights:
        patterns = re.findall(r"`([^`]+)`", what)
        files = [path for one in patterns for path in whole(httpd.store, one)]
        assert all(whole(httpd.store, one) for one in patterns), what
        covered.update(files)
        for user, said in (("root", root), (WORKER_USER, worker), ("nobody", others)):
            may = access(user, files)
            expected = said.replace("-", "")
            wrong += [(str(p), user, m, said) for p, m in zip(files, may) if m != expected]
    assert not wrong
    left = [p for p in httpd.store.rglob("*") if p.is_file() and not p.is_symlink() and p not in covered]
    assert not left
    for child in httpd.children():
        os.kill(child.pid, signal.SIGCONT)


# --- what may be deleted -----------------------------------------------------------------


def orders(ca):
    return len(ca.requests_to("new-order"))


def settled(httpd, mark=0):
    """The engine has looked at everything."""
    httpd.wait_log("ACME1501", since=mark)
    wait_until(lambda: "renew" in ctl(httpd, "status"), 20, lambda: ctl(httpd, "status"))


HARMLESS = {
    "at any time": "archive placeholder control replies managed.json lock".split(),
    "notes": ["work", "journal", "audit"],
    "what was promoted": ["fresh"],
}


@pytest.mark.parametrize("what", HARMLESS)
def test_deleting_what_may_be_deleted_costs_no_order(httpd, make_fakeca, what):
    ca = make_fakeca()
    httpd.acme(ca)
    issued = serial(issue_one(httpd))
    httpd.graceful()
    httpd.stop()
    for name in HARMLESS[what]:
        path = httpd.store / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    mark = httpd.mark()
    httpd.start()
    settled(httpd, mark)
    assert serial(httpd.served_cert(SHOP)) == issued
    assert orders(ca) == 1 and len(ca.accounts) == 1
    ctl(httpd, "renew", SHOP)
    assert len(ca.accounts) == 1


def test_store_without_its_secret_serves_and_begins_anew_without_the_four(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issued = serial(issue_one(httpd))
    httpd.graceful()
    httpd.stop()
    (httpd.store / "store.json").unlink()
    mark = httpd.mark()
    httpd.start()
    assert serial(httpd.served_cert(SHOP)) == issued
    httpd.wait_log("ACME1103.*it is missing", since=mark)
    httpd.wait_log("ACME1112", since=mark)
    httpd.stop()
    for name in ("accounts", "work", "fresh", "keys"):
        shutil.rmtree(httpd.store / name)
    httpd.start()
    ctl(httpd, "renew", SHOP)
    assert len(ca.accounts) == 2 and orders(ca) == 2


def test_certificates_alone_are_enough_to_serve(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issued = serial(issue_one(httpd))
    httpd.graceful()
    httpd.stop()
    for path in httpd.store.iterdir():
        if path.name != "certificates":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    mark = httpd.mark()
    httpd.start()
    settled(httpd, mark)
    assert serial(httpd.served_cert(SHOP)) == issued and orders(ca) == 1
    ctl(httpd, "renew", SHOP)
    assert len(ca.accounts) == 2


# --- moved and shared --------------------------------------------------------------------


def another(make_httpd, ca, store, names=((SHOP, ALIAS),)):
    other = make_httpd()
    other.acme(ca, store=store)
    for name, *aliases in names:
        other.vhost(name, aliases, https_extra="AcmeManage on")
    return other


def test_copied_store_serves_and_renews(httpd, make_httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issued = serial(issue_one(httpd))
    httpd.stop()
    copy = httpd.folder / "copy"
    subprocess.run(["cp", "-a", httpd.store, copy], check=True)
    other = another(make_httpd, ca, copy)
    other.start()
    settled(other)
    assert serial(other.served_cert(SHOP)) == issued and orders(ca) == 1
    ctl(other, "renew", SHOP)
    assert len(ca.accounts) == 1


def test_copy_that_lost_its_owners_is_put_right_as_described(httpd, make_httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issued = serial(issue_one(httpd))
    httpd.graceful()
    httpd.stop()
    copy = httpd.folder / "copy"
    subprocess.run(["cp", "-r", httpd.store, copy], check=True)
    other = another(make_httpd, ca, copy)
    other.start()
    assert serial(other.served_cert(SHOP)) == issued
    other.wait_log("ACME1100.*Permission denied")
    other.stop()
    parts = re.search(r"`chown -R www-data` for (.*?), root for", (DOC / "store.md").read_text(), re.S)[1]
    names = re.findall(r"`([^`]+)`", parts)
    assert len(names) == 8
    subprocess.run(["chown", "-R", WORKER_USER, *[copy / name for name in names]], check=True)
    mark = other.mark()
    other.start()
    settled(other, mark)
    assert "ACME1100" not in other.log_since(mark)
    ctl(other, "renew", SHOP)
    assert len(ca.accounts) == 1


def test_two_servers_on_one_store(httpd, make_httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    first = serial(issue_one(httpd))
    other = another(make_httpd, ca, httpd.store, [(SHOP, ALIAS), (BLOG,)])
    other.start()
    assert serial(other.served_cert(SHOP)) == first
    # it takes over what was renewed when it is reloaded
    ctl(httpd, "renew", SHOP)
    second = serial(httpd.served_cert(SHOP))
    assert serial(other.served_cert(SHOP)) == first
    other.graceful()
    assert serial(other.served_cert(SHOP)) == second
    # what only the other one is configured for is not ordered ...
    assert "ACME1512" in ctl(other, "renew", BLOG, code=1)
    assert other.served_cert(BLOG).self_signed
    # ... until that one holds the lease
    ctl(httpd, "renew", SHOP)
    third = serial(httpd.served_cert(SHOP))
    httpd.stop()
    other.wait_cert(SHOP, lambda served: serial(served) == third)
    other.wait_cert(BLOG)
    assert len(ca.accounts) == 1


# --- the how-to ----------------------------------------------------------------------------


def test_program_for_another_daemon_gets_the_certificate(acme_httpd, live_dir):
    """The script that the how-to shows, with the daemon left out."""
    script = re.search(r"```sh\n(#!/bin/sh\n.*?)```", (DOC / "howto.md").read_text(), re.S)[1]
    target = live_dir / "postfix"
    target.mkdir()
    ctl_path = acme_module().parents[2] / "acmectl"
    replaced = {"/usr/local/bin/acmectl": str(ctl_path), "/etc/postfix/tls": str(target / "tls"),
                "--group postfix": f"--group {WORKER_USER}", "systemctl reload postfix": f"touch {target}/reloaded"}  # fmt: skip
    for old, new in replaced.items():
        assert old in script
        script = script.replace(old, new)
    program = live_dir / "mail-certificate"
    program.write_text(script)
    program.chmod(0o755)
    acme_httpd.config(f"<AcmeCertificate {MAIL}>\nAcmeRenewMode always\nAcmeOn installed {program}\n</AcmeCertificate>")
    issue_one(acme_httpd)
    wait_until(lambda: (acme_httpd.store / "fresh" / MAIL / "ecdsa.1").exists(), 30, "a certificate")
    acme_httpd.graceful()
    wait_until(lambda: (target / "reloaded").exists(), 30, acme_httpd.log)
    names = {path.name for path in (target / "tls").iterdir()}
    assert names == {"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"}
    key = (target / "tls/privkey.pem").stat()
    assert key.st_mode & 0o777 == 0o640


def test_another_secret_by_backup_and_restore(httpd, make_fakeca, live_dir):
    ca = make_fakeca()
    httpd.acme(ca)
    issued = serial(issue_one(httpd))
    phrase = live_dir / "phrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o600)
    ctl(httpd, "backup", live_dir / "acme.backup", "--passphrase-file", phrase)
    secret = (httpd.store / "store.json").read_text()
    httpd.stop()
    httpd.store.rename(httpd.folder / "old")
    ctl(httpd, "restore", live_dir / "acme.backup", "--passphrase-file", phrase, "--user", WORKER_USER)
    assert (httpd.store / "store.json").read_text() != secret
    mark = httpd.mark()
    httpd.start()
    settled(httpd, mark)
    assert serial(httpd.served_cert(SHOP)) == issued and orders(ca) == 1
    ctl(httpd, "renew", SHOP)
    assert len(ca.accounts) == 1


# --- without the module -----------------------------------------------------------------


def test_hosts_go_on_without_the_module_as_packaging_says(httpd, fakeca):
    text = (DOC / "packaging.md").read_text()
    (block,) = re.findall(r"```apache\n(.*?!acme_module.*?)```", text, re.DOTALL)
    httpd.config("<IfModule acme_module>").acme(fakeca).config("</IfModule>")
    text = block.replace("/var/lib/apache2/acme", str(httpd.store))
    httpd.config(text.replace("*:443", f"*:{httpd.https_port}"))
    httpd.start()
    first = serial(httpd.wait_cert(SHOP))
    httpd.graceful()
    for loaded in (False, True):
        httpd.acme_loaded = loaded
        httpd.restart()
        assert serial(httpd.served_cert(SHOP)) == first
    assert len(fakeca.certs) == 1 and "ACME" not in httpd.configtest().stderr
