"""Pebble, Let's Encrypt's ACME server for tests, with its DNS server pebble-challtestsrv."""

import json
import os
import signal
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from . import pki
from .proc import Process, accepts, free_port, tail, wait_until

TOP = Path(__file__).resolve().parents[2]
READY_TIMEOUT = 30
DEFAULT_VALIDITY = 90 * 86400


def programs():
    """Where pebble and pebble-challtestsrv are: PEBBLE, else what build/deps unpacked."""
    deps = Path(os.environ.get("ACME_DEPS_DIR") or TOP / "build" / ".deps")
    pebble = Path(os.environ.get("PEBBLE") or deps / "pebble/usr/bin/pebble")
    dns = os.environ.get("PEBBLE_CHALLTESTSRV") or pebble.with_name("pebble-challtestsrv")
    for path in (pebble, Path(dns)):
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"{path} is not there; run build/deps test")
    return pebble, Path(dns)


class Pebble:
    """A running Pebble and its DNS server, on loopback ports of their own.

    folder           where configuration, certificates and logs go
    http_port        where http-01 is validated: httpd's plain port. None: at challtestsrv, which
    tls_port         then answers with what add_http01 and add_tlsalpn01 were given
    nonce_reject     percent of good nonces refused
    authz_reuse      percent of valid authorizations used again (Pebble takes 0 as 1)
    retry_after      (authorization, order) seconds in Retry-After; 0 leaves the header out
    va_sleep         longest time in seconds before a validation; 0 validates at once
    always_valid     take every challenge as met
    strict           Pebble's -strict
    profiles         {name: validity in seconds}. Pebble picks one at random if an order names
                     none, so there is a single one unless a test wants more
    eab              {kid: base64url MAC key}; demands external account binding
    alternate_roots  how many more chains each certificate is offered with
    chain_length     intermediates in a chain
    dns_server       address:port of another DNS server than challtestsrv to ask
    blocklist        domains refused with rejectedIdentifier
    """

    def __init__(
        self,
        folder,
        http_port=None,
        tls_port=None,
        nonce_reject=0,
        authz_reuse=0,
        retry_after=(1, 1),
        va_sleep=0,
        always_valid=False,
        strict=True,
        validity=DEFAULT_VALIDITY,
        profiles=None,
        eab=None,
        alternate_roots=0,
        chain_length=1,
        blocklist=(),
        key_algorithm="ecdsa",
        caa_identities=(),
        dns_server=None,
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "pebble.log"
        self.dns_log = self.folder / "challtestsrv.log"
        self.strict = strict
        self.profiles = profiles or {"default": validity}
        cert, key, self.ca_file = pki.write_server_identity(self.folder)
        self.port, self.management_port = free_port(), free_port()
        self.dns_port, self.dns_management_port = free_port(), free_port()
        self.own_http = http_port is None
        self.own_tls = tls_port is None
        self.http_port = free_port() if self.own_http else http_port
        self.tls_port = free_port() if self.own_tls else tls_port
        self.dns_server = dns_server or f"127.0.0.1:{self.dns_port}"
        self.directory_url = f"https://localhost:{self.port}/dir"
        self.config_file = self.folder / "pebble.json"
        self.config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(cert),
            "privateKey": str(key),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(eab),
            "externalAccountMACKeys": dict(eab or {}),
            "domainBlocklist": list(blocklist),
            "caaIdentities": list(caa_identities),
            "keyAlgorithm": key_algorithm,
            "retryAfter": {"authz": retry_after[0], "order": retry_after[1]},
            "profiles": {
                name: {"description": f"profile {name}", "validityPeriod": seconds}
                for name, seconds in self.profiles.items()
            },
        }
        self.env = {
            "PATH": os.environ.get("PATH", ""),
            "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
            "PEBBLE_AUTHZREUSE": str(authz_reuse),
            "PEBBLE_ALTERNATE_ROOTS": str(alternate_roots),
            "PEBBLE_CHAIN_LENGTH": str(chain_length),
        }
        if va_sleep:
            self.env["PEBBLE_VA_SLEEPTIME"] = str(va_sleep)
        else:
            self.env["PEBBLE_VA_NOSLEEP"] = "1"
        if always_valid:
            self.env["PEBBLE_VA_ALWAYS_VALID"] = "1"
        self._tls = ssl.create_default_context(cafile=str(self.ca_file))
        self._pebble = None
        self._dns = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # Processes

    def start(self):
        """Start what does not run and wait until it answers. Pebble forgets all when stopped."""
        try:
            if not self._dns:
                self._start_dns()
            if not self._pebble:
                self._start_pebble()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """End both."""
        self.stop_ca()
        if self._dns:
            self._dns.stop()
            self._dns = None

    def stop_ca(self):
        """End Pebble alone: an outage. start() brings a CA back that knows no account."""
        if self._pebble:
            self._pebble.stop()
            self._pebble = None

    def pause(self):
        """Freeze Pebble: connections are taken and never answered."""
        self._pebble.send(signal.SIGSTOP)

    def resume(self):
        self._pebble.send(signal.SIGCONT)

    def _start_dns(self):
        http01 = f"127.0.0.1:{self.http_port}" if self.own_http else ""
        tlsalpn01 = f"127.0.0.1:{self.tls_port}" if self.own_tls else ""
        argv = [
            programs()[1],
            "-dnsserver", f"127.0.0.1:{self.dns_port}",
            "-management", f"127.0.0.1:{self.dns_management_port}",
            "-defaultIPv4", "127.0.0.1",
            "-defaultIPv6", "",
            "-http01", http01,
            "-tlsalpn01", tlsalpn01,
            "-https01", "",
            "-doh", "",
        ]  # fmt: skip
        self._dns = Process("challtestsrv", argv, self.dns_log)
        ports = [self.dns_management_port, self.dns_port]
        ports += [self.http_port] if self.own_http else []
        ports += [self.tls_port] if self.own_tls else []
        self._wait_ready(self._dns, lambda: all(accepts(port) for port in ports))

    def _start_pebble(self):
        self.config_file.write_text(json.dumps({"pebble": self.config}, indent=2))
        argv = [programs()[0], "-config", self.config_file]
        argv += ["-dnsserver", self.dns_server]
        argv += ["-strict"] if self.strict else []
        self._pebble = Process("pebble", argv, self.log, env=self.env, cwd=self.folder)
        self._wait_ready(self._pebble, self._answers)

    def _wait_ready(self, process, condition):
        def ready():
            if not process.running():
                raise RuntimeError(f"{process.name} ended at start:\n{tail(process.log)}")
            return condition()

        wait_until(ready, READY_TIMEOUT, lambda: f"{process.name} ready\n{tail(process.log)}")

    def _answers(self):
        try:
            return self.directory() and accepts(self.management_port)
        except OSError:
            return False

    def logs(self):
        """[(title, text)] for a failed test's report."""
        return [("pebble", tail(self.log)), ("challtestsrv", tail(self.dns_log))]

    # What Pebble's own interfaces say

    def _get(self, url):
        with urllib.request.urlopen(url, timeout=10, context=self._tls) as reply:
            return reply.read()

    def _management(self, path):
        return self._get(f"https://localhost:{self.management_port}/{path}")

    def directory(self):
        """The directory object."""
        return json.loads(self._get(self.directory_url))

    def root_pem(self, n=0):
        """The root that chain n of a certificate ends at, as PEM bytes."""
        return self._management(f"roots/{n}")

    def intermediate_pem(self, n=0):
        return self._management(f"intermediates/{n}")

    def root_file(self, n=0):
        """root_pem(n) as a file, to be trusted by a client of httpd."""
        path = self.folder / f"root-{n}.pem"
        path.write_bytes(self.root_pem(n))
        return path

    def cert_status(self, serial):
        """{"Status": "Valid"|"Revoked", "Serial": ..., ...} of an integer serial number.

        None if Pebble did not issue it.
        """
        try:
            return json.loads(self._management(f"cert-status-by-serial/{serial:x}"))
        except urllib.error.HTTPError as err:
            if err.code == 404:
                return None
            raise

    def set_renewal_info(self, cert, answer):
        """Answer renewalInfo for one certificate with this text or object; "" for Pebble's own."""
        text = answer if isinstance(answer, str) else json.dumps(answer)
        body = {"certificate": _pem_text(cert), "ariResponse": text}
        url = f"https://localhost:{self.management_port}/set-renewal-info/"
        self._post(url, body, self._tls)

    # challtestsrv

    def _post(self, url, body, tls=None):
        data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10, context=tls) as reply:
            return reply.read()

    def dns(self, verb, **body):
        """A request of challtestsrv's management interface, such as dns("add-a", host=...)."""
        return self._post(f"http://127.0.0.1:{self.dns_management_port}/{verb}", body)

    def set_default_ipv4(self, address):
        self.dns("set-default-ipv4", ip=address)

    def set_default_ipv6(self, address):
        self.dns("set-default-ipv6", ip=address)

    def add_a(self, host, *addresses):
        self.dns("add-a", host=host, addresses=list(addresses))

    def clear_a(self, host):
        self.dns("clear-a", host=host)

    def add_aaaa(self, host, *addresses):
        self.dns("add-aaaa", host=host, addresses=list(addresses))

    def clear_aaaa(self, host):
        self.dns("clear-aaaa", host=host)

    def set_txt(self, host, value):
        self.dns("set-txt", host=_fqdn(host), value=value)

    def clear_txt(self, host):
        self.dns("clear-txt", host=_fqdn(host))

    def set_cname(self, host, target):
        self.dns("set-cname", host=host, target=target)

    def clear_cname(self, host):
        self.dns("clear-cname", host=host)

    def add_caa(self, host, *policies):
        """Each policy: {"tag": ..., "value": ...}."""
        self.dns("add-caa", host=host, policies=list(policies))

    def clear_caa(self, host):
        self.dns("clear-caa", host=host)

    def set_servfail(self, host):
        self.dns("set-servfail", host=host)

    def clear_servfail(self, host):
        self.dns("clear-servfail", host=host)

    def add_http01(self, token, content):
        self.dns("add-http01", token=token, content=content)

    def del_http01(self, token):
        self.dns("del-http01", token=token)

    def add_tlsalpn01(self, host, content):
        self.dns("add-tlsalpn01", host=host, content=content)

    def del_tlsalpn01(self, host):
        self.dns("del-tlsalpn01", host=host)

    def history(self, kind, host):
        """Requests seen for host: kind is http, dns or tlsalpn01."""
        return json.loads(self.dns(f"{kind}-request-history", host=host))

    def clear_history(self, kind, host):
        self.dns("clear-request-history", host=host, type=kind)


def _fqdn(host):
    return host if host.endswith(".") else host + "."


def _pem_text(cert):
    if isinstance(cert, str):
        return cert
    return (cert if isinstance(cert, bytes) else pki.cert_pem(cert)).decode()
