"""What each process can get at, and that the user of httpd's children cannot make root reach further.

The table of the security model is compared with programs that try; links and directories are
exchanged under root's hands while root works.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization

from . import pki
from .canary import memory, shown
from .httpd import WORKER_USER
from .proc import Process, free_port, wait_until
from .sealed import secret_of
from .test_documents import found, layout, table
from .test_issue import ALIAS, SHOP, acmectl, acmectl_argv, issue_one
from .test_secrets import held, private

pytestmark = pytest.mark.needs_root

# --- what each process can get at ------------------------------------------------------------

# Tries to read every file below a directory, and the memory of processes; tells of its own
# descriptors. What it could read is printed in hexadecimal, as a hole in a script would.
PROBE = r"""
import ctypes, json, os, sys
store, *pids = open(__file__ + ".args").read().split()
said = {"uid": os.geteuid(), "files": {}, "memory": {}, "open": [], "environment": dict(os.environ)}
def read(path, size=1 << 20, at=None):
    with open(path, "rb", 0) as file:
        if at is not None:
            file.seek(at)
        return file.read(size)
# nobody may list the directory itself, but its parts have names that are known
for part in PARTS:
    top = os.path.join(store, part)
    found = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
    for path in found or [top]:
        try:
            said["files"][os.path.relpath(path, store)] = read(path).hex()
        except OSError:
            pass
libc = ctypes.CDLL(None)
for pid in pids:
    ways = []
    for name in ("mem", "environ", "maps"):
        try:
            read(f"/proc/{pid}/{name}", 1, None if name != "mem" else 0)
            ways.append(name)
        except OSError as err:
            if err.errno == 5:  # there is nothing at that address, but one may look
                ways.append(name)
    try:
        os.listdir(f"/proc/{pid}/fd")
        ways.append("fd")
    except OSError:
        pass
    if libc.ptrace(16, int(pid), 0, 0) == 0:
        ways.append("ptrace")
        os.waitpid(int(pid), 0x40000000)
        libc.ptrace(17, int(pid), 0, 0)
    said["memory"][pid] = ways
for fd in os.listdir("/proc/self/fd"):
    try:
        said["open"].append(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
text = json.dumps(said)
if "GATEWAY_INTERFACE" in os.environ:
    print("Content-Type: application/json\n")
    print(text)
elif os.path.isdir(__file__ + ".said"):
    name = os.path.join(__file__ + ".said", str(os.getpid()))
    open(name + ".new", "w").write(text)
    os.rename(name + ".new", name)
else:
    print(text)
"""


def write_probe(folder, name):
    path = folder / name
    parts = [row[0].strip("`").split("/")[0] for row in table("store.md", "path")]
    path.write_text(f"#!{sys.executable}\nPARTS = {sorted(set(parts))}\n{PROBE}")
    path.chmod(0o755)
    return path


class Probes:
    """A server with a certificate that is promoted and one that is not; and programs of all users."""

    def __init__(self, httpd, ca):
        self.httpd = httpd
        cgi = httpd.htdocs / "cgi"
        cgi.mkdir()
        self.cgi = write_probe(cgi, "probe")
        self.hook, self.dns, self.roots = [self._program(httpd.folder, name) for name in ("hook", "dns", "roots")]
        httpd.acme(ca, f"AcmeOn renewing {self.hook}\nAcmeOn installed {self.roots}")
        httpd.config(f"ScriptSock {httpd.run_dir}/cgi.sock")
        httpd.config(f"<Directory {cgi}>\nOptions +ExecCGI\nSetHandler cgi-script\n</Directory>")
        issue_one(httpd, extra=f"AcmeKeyReuse next\nAcmeChallenges dns-01\nAcmeDnsCommand {self.dns}")
        httpd.graceful()
        self._renew()
        pids = [httpd.pid, *[child.pid for child in httpd.children()]]
        for path in (self.cgi, self.hook, self.dns, self.roots):
            path.with_name(path.name + ".args").write_text(" ".join(map(str, [httpd.store, *pids])))
        self.keys = {"sealing secret": secret_of(httpd.store)}
        for path in httpd.store.glob("certificates/*/*[0-9]/key.pem"):
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            self.keys[f"key of {path.parent.name}"] = private(key)

    @staticmethod
    def _program(folder, name):
        path = write_probe(folder, name)
        said = path.with_name(f"{name}.said")
        said.mkdir()
        said.chmod(0o777)
        path.with_name(f"{name}.args").write_text("/nonexistent")
        return path

    def _renew(self):
        assert acmectl(self.httpd, "renew", SHOP).returncode == 0

    def of_cgi(self):
        reply = self.httpd.get("/cgi/probe", port=self.httpd.admin_port)
        assert reply.status == 200, self.httpd.log()[-2000:]
        return json.loads(reply.text)

    def of(self, program, reload=False):
        """What a program of the configuration says when the certificate is renewed."""
        folder = program.with_name(f"{program.name}.said")
        for path in folder.iterdir():
            path.unlink()
        self._renew()
        if reload:
            self.httpd.graceful()
        path = wait_until(lambda: next((p for p in folder.iterdir() if p.suffix != ".new"), None), 30, program.name)
        return json.loads(path.read_text())

    def as_user(self, user, group):
        done = subprocess.run([self.cgi], user=user, group=group, extra_groups=[], capture_output=True, check=True, cwd="/")
        return json.loads(done.stdout)


@pytest.fixture
def probes(make_httpd, make_fakeca):
    return Probes(make_httpd(modules=["cgid"]), make_fakeca())


SEALED = re.compile(r"(fresh/.*/key|keys/.*\.next|accounts/.*/account\.json|work/.*\.key)$")


def cells(probes, said):
    """What the table has of whoever said this."""
    files = {name: bytes.fromhex(text) for name, text in said["files"].items()}
    open_keys = [name for name in files if name == "store.json" or name.endswith("key.pem")]
    sealed = [name for name in files if SEALED.match(name)]
    assert not shown(probes.keys, b"\n".join(files[name] for name in files if name not in open_keys))
    assert any(name.endswith("chain.pem") and name.startswith("certificates") for name in files)
    return ["open" if open_keys else "-", "sealed" if sealed else "-", "open" if any(said["memory"].values()) else "-"]


def cells_of_child(probes, pid):
    """Its files are those of its user; root has given it what it has in memory."""
    _, sealed, _ = cells(probes, probes.as_user(WORKER_USER, WORKER_USER))
    known = held(probes.keys, memory(pid))
    return ["in memory" if set(known) == set(probes.keys) else sorted(known), sealed, "open"]


def test_processes_get_at_what_is_described(probes):
    as_described = {row[0]: row[1:] for row in table("security.md", "who")}
    for child in probes.httpd.children():
        assert cells_of_child(probes, child.pid) == as_described["httpd's children"]
    programs = "programs of `AcmeDnsCommand` and of all other `AcmeOn`"
    roots = "root: httpd's parent, `acmectl`, programs of `AcmeOn installed`"
    runs = [
        (roots, lambda: probes.as_user("root", "root")),
        (programs, lambda: probes.of(probes.hook)),
        (programs, lambda: probes.of(probes.dns)),
        ("scripts of a site as `User`: CGI, mod_cgid", probes.of_cgi),
        ("scripts as users of their own: suexec, php-fpm", lambda: probes.as_user("nobody", "nogroup")),
        (roots, lambda: probes.of(probes.roots, reload=True)),
    ]
    assert {who for who, _ in runs} == set(as_described) - {"httpd's children"}
    for who, run in runs:
        said = run()
        assert cells(probes, said) == as_described[who], who
        assert (said["uid"] == 0) == (who == roots), who
        if "ACME_EVENT" in said["environment"] or who == programs:
            links = [link for link in said["open"] if not re.match(r"/proc/|/dev/null$|pipe:", link)]
            assert not links, "nothing of httpd's is open"
        assert not [link for link in said["open"] if str(probes.httpd.store) in link], who
        assert not shown(probes.keys, json.dumps(said["environment"])), who
    for child in probes.httpd.children():
        assert os.stat(f"/proc/{child.pid}/mem").st_uid == 0, "else the kernel would dump it to the worker's user"
    assert "ACME197" not in probes.httpd.log()
    probes.httpd.config(f"CoreDumpDirectory {probes.httpd.run_dir}")
    probes.httpd.store.parent.chmod(0o777)
    probes.httpd.graceful()
    assert f"others than root can change {probes.httpd.store.parent}." in probes.httpd.wait_log("ACME1971.*").group(0)
    assert f"every program of the user {WORKER_USER} " in probes.httpd.wait_log("ACME1970.*").group(0)


@pytest.mark.parametrize("umask", ["0000", "0077"])
def test_modes_do_not_depend_on_the_umask(make_httpd, make_fakeca, live_dir, umask):
    httpd = make_httpd(wrapper=["sh", "-c", f'umask {umask}; exec "$@"', "sh"])
    httpd.acme(make_fakeca())
    issue_one(httpd, extra="AcmeKeyReuse next")
    for path in (httpd.error_log, httpd.console):
        path.chmod(0o600)
    httpd.graceful()
    phrase = live_dir / "phrase"
    phrase.write_text("of the backup\n")
    phrase.chmod(0o600)
    for args in (["renew", SHOP], ["log", "--verify"], ["export", SHOP, "--dir", live_dir / "exported"],
                 ["backup", live_dir / "backup", "--passphrase-file", phrase]):  # fmt: skip
        argv = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *acmectl_argv(httpd, *args)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    described = [(path, {"root": "root", "worker": WORKER_USER}[owner], mode) for path, owner, mode in layout()]
    there = found(httpd.store)
    assert f"fresh/{SHOP}/ecdsa.2/key" in there and "audit.json" in there
    for name, seen in there.items():
        rows = [row[1:] for row in described if re.fullmatch(row[0], name)]
        assert seen in rows, (name, seen, rows)
    for path in (live_dir / "backup", live_dir / "exported/privkey.pem"):
        assert path.stat().st_mode & 0o777 == 0o600, path


# --- whom root talks to -----------------------------------------------------------------------

SENDS = "connect,sendto,sendmsg,sendmmsg"
FORKS, CHANGES = "clone,clone3,fork,vfork", "setuid,setreuid,setresuid"
# Sockets of this machine alone: httpd's own, syslog, nscd; the kernel's tables of addresses. And for "*" of the
# configuration glibc looks which address would be this side's: nothing is sent.
LOCAL = re.compile(
    r"<UNIX|<NETLINK|sa_family=AF_(UNIX|NETLINK)"
    r'|^connect\(\d+<UDP.*(sa_family=AF_UNSPEC|inet_pton\(AF_INET6, "::",|inet_addr\("0\.0\.0\.0"\))'
)


def strace(trace):
    """What a program is run under; it keeps its process, and all that it starts is followed."""
    return ["strace", "-DDD", "-f", "-yy", "-o", trace, "-e", f"trace={SENDS},{FORKS},{CHANGES}"]


def talks(trace, pid):
    """(calls of root, calls of others) that reach beyond this machine's own sockets, once pid has ended."""
    wait_until(lambda: re.search(rf"^{pid} +\+\+\+ ", trace.read_text(), re.MULTILINE), 30, "the end of the trace")
    calls = [line.split(None, 1) for line in trace.read_text().splitlines()]
    parents, dropped = {}, {}
    for at, (who, call) in enumerate(calls):
        if made := re.match(rf"(?:<\.\.\. )?(?:{FORKS.replace(',', '|')})\b.* = (\d+)", call):
            parents[made[1]] = (who, at)
        elif re.match(rf"({CHANGES.replace(',', '|')})\([1-9].* = 0$", call):
            dropped.setdefault(who, at)

    def is_root(who, at):
        """A process is who its parent was, and a thread who its process was, when it began."""
        while who in parents and at <= dropped.get(who, at):
            who, at = parents[who]
        return at <= dropped.get(who, at)

    found = [(is_root(who, at), f"{who} {call}") for at, (who, call) in enumerate(calls)
             if re.match(rf"({SENDS.replace(',', '|')})\(", call) and not LOCAL.search(call)]  # fmt: skip
    return [[call for root, call in found if root is wanted] for wanted in (True, False)]


TALKER = """
import os, socket, sys
to = ("127.0.0.1", int(sys.argv[1]))
socket.socket(type=socket.SOCK_DGRAM).sendto(b"root", to)
socket.socket(socket.AF_UNIX).connect_ex("/nonexistent")
if os.fork() == 0:
    os.setuid(65534)
    socket.socket().connect_ex(to)
    os._exit(0)
os.wait()
if os.fork() == 0:
    socket.socket().connect_ex(to)
    os._exit(0)
os.wait()
"""


@pytest.fixture
def tracer(live_dir):
    """strace(), where this machine has one that may trace, and it sees who talks."""
    if not shutil.which("strace"):
        pytest.skip("there is no strace to see what processes do")
    trace = live_dir / "talker.trace"
    run = Process("talker", [*strace(trace), sys.executable, "-c", TALKER, free_port()], live_dir / "talker.log")
    assert run.wait(30)
    if "ptrace" in run.log.read_text():
        pytest.skip(f"no process can be traced here: {run.log.read_text()}")
    root, others = talks(trace, run.pid)
    assert len(root) == 2 and "sendto" in root[0] and len(others) == 1, trace.read_text()
    return strace


def test_root_talks_to_nobody(make_httpd, make_fakeca, live_dir, tracer):
    """Over start, issue, promotion at a reload of its own and at another, and the end: neither to a CA nor to
    DNS. Sockets that lead nowhere else than to this machine's programs are not meant."""
    trace = live_dir / "httpd.trace"
    httpd = make_httpd(wrapper=tracer(trace))
    ca = make_fakeca(validate="http", http_port=httpd.http_port, tls_port=httpd.https_port)
    httpd.acme(ca, "AcmeActivate reload 10s")
    issue_one(httpd)
    assert "ACME1904" in httpd.log(), "it has reloaded itself"
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    httpd.graceful()
    assert list(httpd.store.glob(f"certificates/{SHOP}/ecdsa.2"))
    pid = httpd.pid
    httpd.stop()
    root, others = talks(trace, pid)
    if httpd.mpm == "prefork":  # httpd wakes its children by visiting them
        root = [call for call in root if f"htons({httpd.http_port})" not in call]
    assert not root
    assert any("connect" in call and f"htons({ca.port})" in call for call in others)


# --- root's hands -----------------------------------------------------------------------------

# Exchanges each path with what stands beside it as path.x, in one step, again and again.
SWAP = r"""
import ctypes, sys
libc = ctypes.CDLL(None)
paths = [path.encode() for path in sys.argv[1:]]
turns = 0
print("begun", flush=True)
while True:
    for path in paths:
        libc.renameat2(-100, path, -100, path + b".x", 2)
    turns += 1
    if turns % 1000 == 0:
        print(turns, flush=True)
"""

CANARY = "of root alone, and never to be seen"


def swappable(store, outside):
    """What the worker may exchange, with a decoy beside each: a link to what is root's."""
    account = next(store.glob("accounts/*/account.json"))
    fresh = store / "fresh" / SHOP / "ecdsa.2"
    audit = next(store.glob("audit/*.jsonl"))
    decoys = {
        fresh / "chain.pem": outside / "chain.pem", fresh / "key": outside / "key",
        fresh / "record.json": outside / "record.json", fresh: outside, fresh.parent: outside.parent,
        account: outside / "account.json", account.parent: outside, audit: outside / "1.jsonl",
        store / "work" / SHOP: outside,
    }  # fmt: skip
    decoys = {path: target for path, target in decoys.items() if path.exists()}
    assert len(decoys) >= 8
    for path, target in decoys.items():
        path.with_name(path.name + ".x").symlink_to(target)
    return list(decoys)


def snapshot(folder):
    """Everything below folder."""
    seen = {}
    for path in [folder, *folder.rglob("*")]:
        st = path.lstat()
        seen[str(path)] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns, st.st_ctime_ns)
    return seen


def test_nothing_that_is_exchanged_under_roots_hands_leads_astray(httpd, fakeca, live_dir):
    httpd.acme(fakeca)
    issue_one(httpd)
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    outside = live_dir / "outside/ecdsa.2"
    outside.mkdir(parents=True)
    outside.parent.chmod(0o700)
    for name in ("chain.pem", "key", "key.pem", "record.json", "account.json", "1.jsonl", "ecdsa.job", "ecdsa.order"):
        (outside / name).write_text(f"{CANARY}\n")
    before = snapshot(outside.parent)
    phrase = live_dir / "phrase"
    phrase.write_text("of the backup\n")
    phrase.chmod(0o600)
    user = [f"--reuid={WORKER_USER}", f"--regid={WORKER_USER}", "--clear-groups"]
    argv = ["setpriv", *user, sys.executable, "-c", SWAP]
    swapper = Process("swapper", [*argv, *swappable(httpd.store, outside)], live_dir / "swapper.log")
    said = []
    try:
        wait_until(lambda: "begun" in swapper.log.read_text(), 10, "it exchanges")
        for args in (["status"], ["show", SHOP], ["log", "--verify"], ["account", "show"], ["export", SHOP, "--dir",
                     live_dir / "exported"], ["backup", live_dir / "backup", "--passphrase-file", phrase]):  # fmt: skip
            done = acmectl(httpd, *args)
            said.append(done.stdout + done.stderr)
            httpd.graceful()
        assert re.search(r"\d000", swapper.log.read_text()), "it has exchanged all the time"
    finally:
        swapper.kill()
    text = "\n".join([*said, httpd.log(), httpd.console.read_text()])
    assert SHOP in text and CANARY not in text
    assert snapshot(outside.parent) == before
    assert not httpd.served_cert(SHOP).self_signed
    for path in httpd.store.rglob("certificates/*/*/*"):
        assert path.owner() == "root" and CANARY not in path.read_text(), path
    for path in httpd.store.glob("certificates/*/*/chain.pem"):
        assert pki.names_of(pki.load_chain(path.read_bytes())[0]) == [SHOP, ALIAS]


ESCAPES = "\x1b]0;evil\x07\x1b[2J\r\n\x9b31m\u202eevil"


def test_what_the_worker_writes_reaches_roots_terminal_as_text(httpd, fakeca):
    """Names of directories, the audit trail, notes on failures."""
    httpd.acme(fakeca)
    issue_one(httpd)
    httpd.stop()
    store = httpd.store
    own = lambda path: os.chown(path, *(lambda st: (st.st_uid, st.st_gid))(store.joinpath("fresh").stat()))  # noqa: E731
    for part in ("fresh", "work", "keys", "accounts"):
        for name in (ESCAPES, "%s%n%x", "-rf", "a" * 255):
            path = store / part / name.replace("/", "_")
            path.mkdir()
            own(path)
    with open(next(store.glob("audit/*.jsonl")), "a") as trail:
        trail.write(json.dumps({"seq": 99, "time": ESCAPES, "event": ESCAPES, "text": ESCAPES, "code": 1, "who": ESCAPES})
                    + "\n")  # fmt: skip
        odd = "".join(ch for ch in ESCAPES if ch >= " ")  # JSON has the others as escapes
        trail.write(json.dumps({"seq": 100, "time": odd, "event": odd, "prev": "", "text": odd}, ensure_ascii=False)
                    + "\n")  # fmt: skip
    job = store / "work" / SHOP / "ecdsa.job"
    job.parent.mkdir(exist_ok=True)
    job.write_text(json.dumps({"failures": 3, "code": 1200, "error": ESCAPES, "detail": ESCAPES, "text": ESCAPES,
                               "next": "2030-01-01T00:00:00Z", "class": ESCAPES}))  # fmt: skip
    own(job.parent), own(job)
    for args in (["status"], ["show", SHOP], ["log"], ["log", "--json"], ["log", "--verify"], ["account", "show"], ["show", "nobody"],
                 ["status", "--json"], ["delete", ESCAPES, "--yes"]):  # fmt: skip
        done = acmectl(httpd, *args)
        text = done.stdout + done.stderr
        bad = {ch for ch in text if not ch.isprintable() and ch != "\n"}
        assert text and not bad, (args, bad, text)
    record = next(store.glob(f"fresh/{SHOP}/*/record.json"))
    record.write_text(json.dumps(json.loads(record.read_text()) | {"name": SHOP + ESCAPES[-9:]}, ensure_ascii=False))
    done = acmectl(httpd, "export", SHOP, "--pem", httpd.folder / "exported.pem")
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()


def test_journal_gives_nobody_another_user(httpd, fakeca):
    """Who can write it can have the engine run a program: as the user that he is anyway."""
    httpd.acme(fakeca)
    issue_one(httpd)
    mark = httpd.folder / "mark"
    mark.mkdir()
    mark.chmod(0o777)
    program = httpd.folder / "program"
    program.write_text(f"#!/bin/sh\nid -u >>{mark}/uid\n")
    program.chmod(0o755)
    entry = {"kind": "gate", "type": "http-01", "port": 80, "certificate": SHOP, "domain": SHOP, "open": [],
             "close": [[str(program)]]}  # fmt: skip

    def plant():
        path = httpd.store / "journal" / ("ab" * 16 + ".json")
        path.write_text(json.dumps(entry))
        st = path.parent.stat()
        os.chown(path, st.st_uid, st.st_gid)
        return path

    plant()
    httpd.graceful()
    wait_until(lambda: (mark / "uid").exists() and (mark / "uid").read_text(), 30, httpd.log)
    assert set((mark / "uid").read_text().split()) == {str((httpd.store / "fresh").stat().st_uid)}
    httpd.stop()
    (mark / "uid").unlink()
    path = plant()
    for args in (["status"], ["show", SHOP], ["log", "--verify"], ["check", SHOP], ["account", "show"]):
        acmectl(httpd, *args)
    assert path.exists() and not (mark / "uid").exists(), "acmectl runs none"
