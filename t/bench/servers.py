"""What a measure needs beside httpd: Pebble from t/live, a proxy before it."""
import json
import pathlib
import socket
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from live import pki  # noqa: E402
from live.ca import Pebble  # noqa: E402
from live.proc import (Process, Timeout, accepts, free_port,  # noqa: E402
                       tail, wait_until)

__all__ = ["Failed", "HERE", "Pairs", "Pebble", "Process", "Proxy", "TOP",
           "Timeout", "free_port", "nowhere", "pebble", "wait_until"]


class Failed(AssertionError):
    """A measure could not be taken; says why."""


def nowhere():
    """A directory URL where nobody listens: no CA is reached there."""
    return "https://localhost:%d/dir" % free_port()


class Pairs:
    """Chain and key for each name, made when first asked for.

    They have the shape of Pebble's: ECDSA P-256, 90 days, one intermediate,
    so that they cost a handshake and a store the same.
    """

    def __init__(self, folder):
        root = pki.Authority.root("mod_acme bench root")
        self.authority = root.intermediate("mod_acme bench intermediate")
        self.trust = pathlib.Path(folder) / "trust.pem"
        self.trust.write_bytes(pki.cert_pem(root.cert))
        self.made = {}

    def get(self, name):
        """(chain PEM, key PEM) for name, leaf first, no root."""
        if name not in self.made:
            key, certificate = self.authority.issue_server([name])
            chain = pki.cert_pem(certificate) \
                + pki.cert_pem(self.authority.cert)
            self.made[name] = chain, pki.key_pem(key)
        return self.made[name]


def pebble(folder, subject, va_sleep=0, retry_after=(0, 0)):
    """A Pebble that validates at subject: 5 % rejected nonces, no reuse."""
    return Pebble(folder, subject.http_port, subject.https_port,
                  nonce_reject=5, authz_reuse=0, retry_after=retry_after,
                  va_sleep=va_sleep, strict=False)


class Proxy:
    """proxy.py before a Pebble; see there."""

    def __init__(self, folder, ca, round_trip=100):
        folder = pathlib.Path(folder)
        folder.mkdir()
        certificate, key, self.ca_file = pki.write_server_identity(folder)
        self.log = folder / "requests.jsonl"
        self.log.touch()
        self.port, self.control_port = free_port(), free_port()
        self.directory_url = "https://localhost:%d/dir" % self.port
        self.argv = [
            sys.executable, HERE / "proxy.py",
            "--ca", "127.0.0.1:%d" % ca.port, "--ca-trust", ca.ca_file,
            "--certificate", certificate, "--key", key,
            "--port", self.port, "--control", self.control_port,
            "--log", self.log, "--round-trip", round_trip]
        self.console = folder / "proxy.log"
        self.process = None
        self.read_to, self.seen = 0, []

    def tell(self, word):
        """Sends a command, returns its answer."""
        with socket.create_connection(
                ("127.0.0.1", self.control_port), 10) as control:
            control.sendall(word.encode() + b"\n")
            return json.loads(control.makefile().readline())

    def requests(self):
        """All requests so far, in the order of their answers."""
        with open(self.log, "rb") as log:
            log.seek(self.read_to)
            data = log.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.read_to += len(whole)
        self.seen += [json.loads(line) for line in whole.splitlines()]
        return self.seen

    def downloads(self):
        """How many certificates have been downloaded."""
        return len({line["path"] for line in self.requests()
                    if "/certZ/" in line["path"]
                    and line["status"] == 200})

    def _ready(self):
        if not self.process.running():
            raise Failed("the proxy ended:\n" + tail(self.console))
        return accepts(self.control_port)

    def __enter__(self):
        self.process = Process("proxy", self.argv, self.console)
        try:
            wait_until(self._ready, 10, "proxy")
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *_):
        self.process.stop()
