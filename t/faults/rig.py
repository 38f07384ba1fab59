"""What a point of the harness stands on: the shim, a CA, a store, and what must be true of both."""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import subprocess
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from live import pki
from live.fakeca import FakeCA
from live.httpd import acme_module
from live.proc import free_port, wait_until

HERE = Path(__file__).resolve().parent
COMPLAINT = re.compile(r"free\(\)|malloc|corrupt|invalid|[Aa]ssert|stack smashing")
BUILD = acme_module().parents[2]
SHOP = "shop.example.org"
DAY = 86400
TEMPORARY = re.compile(r"\.new-[0-9a-f]{16}$")
# Comes and goes with the moment at which a run ends; or is put beside what cannot be read.
PASSING = re.compile(
    r"limits\.json$|/ecdsa\.(ari|job|events)$|^store/work(/[^/]*)?$|^store/placeholder/(?!.*\.new-)"
    r"|^store/audit/\d+\.jsonl$|/account\.json\.\d$|^store/replies/[^/]+\.json$"
)

Done = namedtuple("Done", "code text trace")
Op = namedtuple("Op", "kind n traits call what")


class Wrong(AssertionError):
    """Something that must be true after a fault is not."""


def demand(condition, text):
    if not condition:
        raise Wrong(text)


@dataclass(frozen=True)
class Fault:
    """The n-th operation of a kind goes wrong; see shim.c for the actions."""

    kind: str
    n: int
    action: str

    def __str__(self):
        return f"{self.kind} {self.n} {self.action}"

    def spec(self):
        """With errno's number for its name."""
        name = self.action.rstrip("+")
        number = getattr(errno, name, None)
        return f"{self.kind} {self.n} {self.action.replace(name, str(number)) if number else self.action}"


def compile_shim(folder):
    shim = Path(folder) / "shim.so"
    command = ["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", shim, HERE / "shim.c", "-ldl"]
    subprocess.run(command, check=True)
    return shim


def shim_env(shim, root, trace, fault=None, who="self"):
    """What is added to a program's environment."""
    env = {"LD_PRELOAD": shim, "ACME_FAULT_ROOT": root, "ACME_FAULT_TRACE": trace,
           "ACME_FAULT_WHO": who}  # fmt: skip
    if fault:
        env["ACME_FAULT"] = fault.spec()
    return {name: str(value) for name, value in env.items()}


def read_trace(path):
    """The operations counted, and the number of allocations."""
    ops, allocs = [], 0
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        words = line.split(" ", 4)
        if words[0] == "allocs":
            allocs = int(words[1])
        else:
            ops.append(Op(words[0], int(words[1]), words[2][1:], words[3], words[4]))
    return ops, allocs


class Rig:
    """A folder with a CA that goes on living; what points change is at/."""

    def __init__(self, folder, shim):
        self.folder, self.shim = Path(folder), shim
        self.at, self.store = self.folder / "at", self.folder / "at/store"
        self.at.mkdir(parents=True)
        self.port = free_port()
        self.ca = FakeCA(
            self.folder / "ca", validate="http", http_port=self.port, host="127.0.0.1",
            retry_after=None, alternates=0,
        ).start()  # fmt: skip
        self.said = []

    def stop(self):
        self.ca.stop()

    # Programs

    def run(self, argv, fault=None, traced=False, who="self", timeout=30):
        """Run a program; faults and traces only where they are asked for."""
        trace = self.folder / "trace"
        trace.unlink(missing_ok=True)
        env = dict(os.environ)
        if fault or traced:
            env |= shim_env(self.shim, self.at, trace, fault, who)
        log = self.folder / "log"
        with open(log, "wb") as out:
            popen = subprocess.Popen(
                [str(one) for one in argv], env=env, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                code = popen.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(popen.pid, 9)
                popen.wait()
                code = None
        text = log.read_text(errors="replace")
        self.said.append((argv, fault, code, text))
        done = Done(code, text, read_trace(trace))
        if code is None:
            raise Wrong(f"{Path(argv[0]).name} has not ended within {timeout} s")
        # As APR's pools do, so do timers and digests where there is no memory; the C library tells of
        # what it aborts for.
        ends = code == -6 and fault and fault.action == "ENOMEM" and not COMPLAINT.search(text)
        if code < 0 and code != -9 and not ends:
            raise Wrong(f"{Path(argv[0]).name} died of signal {-code}")
        return done

    def drive(self, *options, **more):
        """The engine without httpd."""
        return self.run(self._drive_argv(options), **more)

    def _drive_argv(self, options):
        return [BUILD / "t/engine/drive", "--store", self.store, "--ca", self.ca.directory_url,
                "--trust", self.ca.ca_file, "--http", self.port, "--clock", self.folder / "clock",
                *options, SHOP]  # fmt: skip

    def drive_until(self, condition, *options):
        """The engine, killed once condition() holds."""
        self._kill_when(condition, self._drive_argv(("--stay", *options)))

    def start(self, *names, **more):
        """What root does at httpd's start."""
        return self.run([BUILD / "t/faults/start", self.store, *(names or (SHOP,))], **more)

    def acmectl(self, *words, **more):
        return self.run([BUILD / "acmectl", "--store", self.store, *words], **more)

    def ask(self, *words):
        """Leave a request of acmectl's in the store, as if it had been interrupted."""
        asked = self.store / "control"
        argv = [BUILD / "acmectl", "--store", self.store, *words]
        self._kill_when(lambda: list(asked.glob("*.json")), argv)

    @staticmethod
    def _kill_when(condition, argv):
        quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
        popen = subprocess.Popen([str(one) for one in argv], **quiet)
        try:
            wait_until(condition, 20, f"what {argv} should do")
        finally:
            popen.kill()
            popen.wait()

    def set_clock(self, seconds):
        """The engine's clock is that far ahead: what waits for a retry is due."""
        (self.folder / "clock").write_text(f"{seconds}\n")

    # The state between two points

    def snapshot(self):
        """What the store and the CA are now, for restore()."""
        kept = self.folder / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        subprocess.run(["cp", "-a", self.at, kept], check=True)
        with self.ca._lock:
            tables = [dict(one) for one in self._tables()]
        return tables

    def restore(self, tables):
        shutil.rmtree(self.at, ignore_errors=True)
        subprocess.run(["cp", "-a", self.folder / "kept", self.at], check=True)
        with self.ca._lock:
            for table, kept in zip(self._tables(), tables):
                table.clear()
                table.update({key: dict(item) for key, item in kept.items()})
            self.ca.requests.clear()
            self.ca.violations.clear()
        self.said.clear()
        self.set_clock(0)

    def _tables(self):
        return self.ca.accounts, self.ca.orders, self.ca.authzs, self.ca.certs

    def new_orders(self):
        """Those that the CA has made an order of: a refusal costs nothing."""
        return sum(one.status == 201 for one in self.ca.requests_to("new-order"))

    # What the store shows

    def order_url(self, name=SHOP):
        """Of the order that is saved, if one is."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.store / f"work/{name}/ecdsa.order").read_text()).get("url")
        return None

    def served(self, name=SHOP):
        """Number of the set in service, 0 if none: a whole pair of files, valid now."""
        link = self.store / f"certificates/{name}/ecdsa"
        if not link.is_symlink():
            return 0
        number = int(os.readlink(link).rpartition(".")[2])
        try:
            check_pair(link)
        except (OSError, ValueError) as err:
            raise Wrong(f"the set in service of {name} is not whole: {err}") from err
        return number

    def listing(self):
        """{path: mode} of all that is there, but for what comes and goes."""
        found = {}
        for folder, folders, files in os.walk(self.at):
            for name in folders + files:
                path = Path(folder) / name
                short = str(path.relative_to(self.at))
                st = path.lstat()
                found[short] = (stat.filemode(st.st_mode), st.st_uid)
        return {path: mode for path, mode in found.items() if not PASSING.search(path)}

    def check_whole(self, wanted):
        """Nothing left over, nothing missing, nothing half; wanted: a listing."""
        found = self.listing()
        temporary = [path for path in found if TEMPORARY.search(path)]
        demand(not temporary, f"left over: {temporary}")
        more = {path: found[path] for path in found if path not in wanted}
        less = {path: wanted[path] for path in wanted if path not in found}
        demand(not more and not less, f"too much: {more}, missing: {less}")
        other = {path: (found[path], wanted[path]) for path in found if found[path] != wanted[path]}
        demand(not other, f"of another mode: {other}")
        for path in self.at.rglob("*.json"):
            try:
                json.loads(path.read_text())
            except ValueError as err:
                raise Wrong(f"{path.relative_to(self.at)}: {err}") from err
        orders = [str(path) for path in (self.store / "work").glob("*/*.order")]
        demand(not orders, f"an order in progress is left: {orders}")
        done = self.acmectl("log", "--verify")
        demand(done.code == 0, f"acmectl log --verify: {done.text}")

    def check_ca(self, accounts, certs, spare=0):
        """spare: how many certificates more there may be."""
        with self.ca._lock:
            found = len(self.ca.accounts), len(self.ca.certs)
        demand(found[0] == accounts and certs <= found[1] <= certs + spare,
               f"the CA has {found[0]} accounts and {found[1]} certificates, "
               f"not {accounts} and {certs}")  # fmt: skip
        self.ca.assert_no_violations()


def check_pair(folder):
    key = pki.serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    cert = x509.load_pem_x509_certificate((folder / "chain.pem").read_bytes())
    record = json.loads((folder / "record.json").read_text())
    if pki.public_der(key) != pki.public_der(cert):
        raise ValueError("key and certificate do not fit")
    if int(record["serial"], 16) != cert.serial_number:
        raise ValueError("the record is of another certificate")
    if not cert.not_valid_before <= pki.now() <= cert.not_valid_after:
        raise ValueError("not valid now")


def nearly_over(leaf):
    """For FakeCA.on_issue: a certificate that is due for renewal."""
    leaf.not_before, leaf.not_after = (
        pki.now() - pki.datetime.timedelta(days=80),
        pki.now() + pki.datetime.timedelta(days=10),
    )
