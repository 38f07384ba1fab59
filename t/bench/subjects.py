"""What is compared: plain mod_ssl, mod_md, mod_acme; one class for each.

A subject is t/live's Httpd with a configuration of the bench's own: the
same hosts for all, as little as possible beside them, so that the module is
the only difference. It knows where its module keeps things.
"""
import json
import os
import pathlib
import re
import subprocess
import time

import servers
import stores
from live import httpd


class Unavailable(Exception):
    """This subject cannot run here; says why."""


# All that the bench reads from mod_acme's log, written at debug level, once for
# each of the passes of a start.
HOOKS_USED = re.compile(
    r"ACME\d+: hooks used (\d+) us CPU for (\d+) hosts")

RUNNING = "resuming normal operations"
MODULES = ("mpm_event", "unixd", "authz_core", "mime", "socache_shmcb",
           "ssl")


class Subject(httpd.Httpd):
    """Plain mod_ssl, and what the others add to it."""

    name = "ssl"
    title = "mod_ssl"
    more_modules = ()
    challenge = "http-01"  # by which names are proved; before the start

    def __init__(self, folder, names, directory=None, trust=None,
                 children=None, threads=25, debug=False, key="ecdsa",
                 extra=()):
        """
        directory, trust: the CA's directory URL and what verifies it; may
                          be set later, before the start
        children, threads: a fixed number; without, Debian's settings
        debug: log the module at debug level
        key: ecdsa or rsa
        extra: more lines at server level
        """
        super().__init__(folder)
        self.names, self.key, self.debug = names, key, debug
        self.extra = extra
        self.directory, self.trust = directory, trust
        self.fixed = children and (children, threads)
        self.store = self.folder / "store"
        self.start_timeout = 600
        self.took = None
        self.allow_crash = self.name != "acme"  # not ours to judge
        (self.htdocs / "static.txt").write_text("x" * 87)
        self.available()

    @classmethod
    def available(cls):
        """Raises Unavailable where the module is missing."""

    # -- configuration --

    def config_text(self):
        lines = [
            "ServerName bench.example", "ServerRoot %s" % self.folder,
            "DefaultRuntimeDir %s" % self.run_dir,
            "PidFile %s/httpd.pid" % self.run_dir,
            "ErrorLog %s" % self.error_log,
            "LogLevel notice" + (self.debug_level() if self.debug else ""),
            "Listen 127.0.0.1:%d" % self.http_port,
            "Listen 127.0.0.1:%d" % self.https_port,
            *self._load_modules(), *self._identity(), *self.processes(),
            "TypesConfig /dev/null", "KeepAlive on",
            "MaxKeepAliveRequests 0", "SSLSessionCache none",
            "SSLSessionTickets off", "DocumentRoot %s" % self.htdocs,
            "<Directory %s>" % self.htdocs, "    Require all granted",
            "</Directory>", *self.globals(), *self.extra]
        for name in self.names:
            lines += ["<VirtualHost 127.0.0.1:%d>" % self.https_port,
                      "    ServerName " + name, "    SSLEngine on",
                      *self.host(name), "</VirtualHost>"]
        return "\n".join(lines) + "\n"

    def _load_modules(self):
        # pylint: disable=protected-access
        folder, built_in = httpd._modules_dir(), httpd._built_in()
        for module in MODULES + tuple(self.more_modules):
            if module not in built_in:
                yield "LoadModule %s_module %s/mod_%s.so" % (
                    module, folder, module)

    def processes(self):
        if not self.fixed:  # as Debian's mpm_event.conf
            return ["StartServers 2", "MinSpareThreads 25",
                    "MaxSpareThreads 75", "ThreadsPerChild 25",
                    "MaxRequestWorkers 150"]
        # Spare threads so that all children are wanted all the time: after
        # a graceful restart the event MPM starts no more than that asks for.
        children, threads = self.fixed
        return ["StartServers %d" % children,
                "ServerLimit %d" % (2 * children),
                "ThreadsPerChild %d" % threads,
                "MinSpareThreads %d" % (children * threads),
                "MaxSpareThreads %d" % ((children + 1) * threads),
                "MaxRequestWorkers %d" % (children * threads)]

    def debug_level(self):
        return ""

    def globals(self):
        return []

    def host(self, name):
        return ["    SSLCertificateFile %s/%s.pem" % (self.store, name),
                "    SSLCertificateKeyFile %s/%s.key" % (self.store, name)]

    # -- processes --

    def _wait_serving(self, mark):
        """Closer than t/live's: its pauses and probes would be measured."""
        end, text, at = time.monotonic() + self.start_timeout, b"", mark
        while RUNNING.encode() not in text:
            if not self._process.running() or time.monotonic() > end:
                raise servers.Failed("%s does not start:\n%s" % (
                    self.title, self._log_text()))
            time.sleep(0.002)
            if self.error_log.exists():
                with open(self.error_log, "rb") as log:
                    log.seek(at)
                    fresh = log.read()
                at, text = at + len(fresh), text[-100:] + fresh

    def start(self):
        """As t/live's; `took` says the wall seconds."""
        begin = time.monotonic()
        super().start()
        self.took = time.monotonic() - begin
        return self

    def graceful(self):
        begin = time.monotonic()
        super().graceful()
        self.took = time.monotonic() - begin

    def pids(self):
        """Of the children."""
        return [child.pid for child in self.children()]

    def forget_log(self):
        if self.error_log.exists():
            self.error_log.unlink()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)

    # -- store --

    def fill_store(self, pairs):
        stores.fill_ssl(self.store, self.names, pairs)

    # -- issuing; only for those that do --

    needs_graceful = False

    def all_issued(self):
        """True when the CA's certificates wait for a graceful restart."""
        return True

    def hooks_used(self, text):
        """Microseconds per host inside the module's hooks, if logged."""
        del text


class Md(Subject):
    """mod_md of this httpd."""

    name = "md"
    title = "mod_md"
    more_modules = ("watchdog", "md")
    needs_graceful = True

    @classmethod
    def available(cls):
        # pylint: disable=protected-access
        if not (httpd._modules_dir() / "mod_md.so").exists():
            raise Unavailable("mod_md.so is not installed")

    def globals(self):
        lines = ["MDStoreDir %s" % self.store, "MDBaseServer off",
                 "MDStapling off", "MDMembers manual",
                 "MDPortMap http:%d https:%d" % (self.http_port,
                                                 self.https_port),
                 "MDCertificateAgreement accepted",
                 "MDContactEmail bench@example.org",
                 "MDCAChallenges " + self.challenge,
                 "MDCertificateAuthority " + self.directory,
                 "MDCACertificateFile %s" % self.trust]
        if self.key == "ecdsa":
            lines.append("MDPrivateKeys secp256r1")
        if self.challenge == "tls-alpn-01":
            lines.append("Protocols http/1.1 acme-tls/1")
        return lines + ["MDomain " + name for name in self.names]

    def debug_level(self):
        return " md:debug"

    def host(self, name):
        return []

    def fill_store(self, pairs):
        stores.fill_md(self.store, self.names, pairs)

    def all_issued(self):
        for name in self.names:
            job = self.store / "staging" / name / "job.json"
            try:
                if not json.loads(job.read_text()).get("finished"):
                    return False
            except (OSError, ValueError):
                return False
        return True


class Acme(Subject):
    """mod_acme: ACME_MODULE, or what this tree built."""

    name = "acme"
    title = "mod_acme"
    more_modules = ("watchdog",)

    @classmethod
    def available(cls):
        try:
            module = httpd.acme_module()
        except httpd.HttpdFailed as error:
            raise Unavailable(str(error)) from error
        if not module.exists():
            raise Unavailable("%s is not there" % module)

    def _load_modules(self):
        yield from super()._load_modules()
        yield "LoadModule acme_module %s" % httpd.acme_module()

    def globals(self):
        return ["AcmeStore %s" % self.store, "AcmeAgreeTerms on",
                "AcmePortMap 80:%d 443:%d" % (self.http_port,
                                              self.https_port),
                "AcmeCA " + self.directory,
                "AcmeCATrustFile %s" % self.trust,
                # the names are nobody's, and this machine's resolvers are not to be measured
                "AcmeDnsWait 0",
                "AcmeChallenges " + self.challenge,
                "AcmeKeyType " + {"ecdsa": "ecdsa-p256",
                                  "rsa": "rsa2048"}[self.key],
                "AcmeManage on"]

    def debug_level(self):
        return " acme:debug"

    def host(self, name):
        return []

    def fill_store(self, pairs):
        stores.fill_acme(self.store, self.names, pairs, self.directory)

    def hooks_used(self, text):
        # whatever has to be mended costs more than the start of a whole store
        wrong = re.search(r".*\[acme:(?:error|warn)\].*", text)
        if wrong:
            raise servers.Failed("not a whole store: " + wrong.group())
        used = [(int(us), int(hosts))
                for us, hosts in HOOKS_USED.findall(text)]
        if not used:
            return None
        return sum(us for us, _ in used) / max(n for _, n in used)

    def renew(self, names=None):
        """New certificates for these hosts (all); returns when they are there."""
        tool = pathlib.Path(os.environ.get("ACMECTL")
                            or httpd.acme_module().parents[2]
                            / "acmectl")
        if not tool.exists():
            raise Unavailable("no acmectl at %s: set ACMECTL" % tool)
        asked = [subprocess.Popen(  # pylint: disable=consider-using-with
            [tool, "--store", self.store, "renew", name],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                 for name in names or self.names]
        said = [each.communicate()[1] for each in asked]
        for each, text in zip(asked, said):
            if each.returncode:
                raise servers.Failed("acmectl: " + text.decode())


SUBJECTS = {cls.name: cls for cls in (Subject, Md, Acme)}
