"""Two network namespaces with a cable between: a server's, where the test itself is meanwhile, and
the world outside of it."""

import ctypes
import itertools
import os
import subprocess
import threading

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


def run(*argv, text=None):
    return subprocess.run(list(map(str, argv)), input=text, capture_output=True, text=True, check=True).stdout


def available():
    """Whether this machine lets us make them."""
    if os.geteuid() != 0:
        return False
    probe = f"acme-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode == 0
    if made:
        run("ip", "netns", "del", probe)
    return made


def _enter(path):
    """The calling thread, and those it makes."""
    with open(path) as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


class Namespaces:
    """with Namespaces() as net: what the test starts is the server; net.outside() is elsewhere."""

    address, gateway = "10.99.0.2", "10.99.0.1"

    def __enter__(self):
        stem = f"acme{os.getpid()}-{next(_numbers)}"
        self.server, self.world = f"{stem}-s", f"{stem}-w"
        self._home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        try:
            for name in (self.server, self.world):
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", self.server, "link", "add", "cable", "type", "veth", "peer", "cable", "netns", self.world)
            for name, address in ((self.server, self.address), (self.world, self.gateway)):
                run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "cable")
                run("ip", "-n", name, "link", "set", "cable", "up")
            _enter(f"/run/netns/{self.server}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        _enter(f"/proc/self/fd/{self._home}")
        os.close(self._home)
        for name in (self.server, self.world):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def outside(self, *argv):
        """Run a program out there; its CompletedProcess."""
        argv = ["ip", "netns", "exec", self.world, *map(str, argv)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    def reachable(self, port):
        """Whether the world gets an answer at this port of the server."""
        url = f"http://{self.address}:{port}/"
        return self.outside("curl", "--silent", "--max-time", "5", "--output", "/dev/null", url).returncode == 0
