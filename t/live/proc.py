"""Processes, ports and waiting: what every live test stands on.

Everything here follows one rule: a test ends exactly the processes it started, also when it is
killed itself, and waits for conditions instead of for time to pass.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
POLL = 0.02

_libc = ctypes.CDLL(None, use_errno=True)
_reserved = []


class Timeout(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, timeout, what):
    """Poll condition until it returns something true, and return that.

    what names the condition for the message; it may be a callable, asked only on failure.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise Timeout(f"not within {timeout} s: {text}")
        time.sleep(POLL)


@contextlib.contextmanager
def ports():
    """Give back the ports taken inside: a long run would otherwise use up file descriptors."""
    before = len(_reserved)
    try:
        yield
    finally:
        while len(_reserved) > before:
            _reserved.pop().close()


def free_port():
    """A TCP port of 127.0.0.1 that stays ours until the end of ports(), or of this process.

    The reserving socket stays bound, not listening: with SO_REUSEADDR on both sides a server may
    listen on the port, while the kernel gives it to nobody else. So two test runs at a time cannot
    collide.
    """
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        _reserved.append(sock)
        if _udp_free(port):
            return port


def _udp_free(port):
    """DNS servers take the same number on UDP; UDP knows no reservation, so look at least."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def accepts(port, host="127.0.0.1"):
    """True if something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def tail(path, lines=60):
    """The last lines of a file, for a failure's report."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Process:
    """One server process in a session of its own, its output in a file."""

    def __init__(self, name, argv, log, env=None, cwd=None, death_signal=signal.SIGKILL):
        self.name = name
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                [str(arg) for arg in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent(death_signal),
            )

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def send(self, number):
        """Signal the process itself, if it still runs."""
        if self.running():
            os.kill(self.pid, number)

    def members(self):
        """Every living process of this one's session: itself, children, orphans of children."""
        return [pid for pid in _pids() if _session(pid) == self.pid]

    def wait(self, timeout):
        """Wait for the end; True if it came."""
        try:
            self.popen.wait(timeout)
            return True
        except subprocess.TimeoutExpired:
            return False

    def stop(self, timeout=10, number=signal.SIGTERM):
        """End it politely, then by force. Returns the pids that had to be forced."""
        self.send(signal.SIGCONT)
        self.send(number)
        self.wait(timeout)
        return self.kill()

    def kill(self):
        """End what is left of the session by force. Returns the pids it was."""
        left = self.members()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.popen.wait()
        wait_until(lambda: not self.members(), 10, f"processes of {self.name} are gone")
        return left


def _die_with_parent(number):
    """A preexec function: the kernel ends the process when pytest dies, however it dies.

    The kernel looks at the thread that forked, so start processes from pytest's main thread.
    """
    parent = os.getpid()

    def preexec():
        _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return preexec


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stat_fields(pid):
    """The fields of /proc/<pid>/stat from the state on; None if the process is gone.

    They begin behind the command's name, which may hold spaces and parentheses itself.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def living(pid):
    """False also for a zombie: it has ended, its parent is yet to notice."""
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


def _session(pid):
    fields = stat_fields(pid)
    if not fields or fields[0] in "ZX":
        return None
    return int(fields[3])
