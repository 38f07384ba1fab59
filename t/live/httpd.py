"""A private httpd for a test: its configuration, its processes, and what it serves."""

import grp
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import pki, tls
from .proc import Process, Timeout, accepts, free_port, stat_fields, tail, wait_until

TOP = Path(__file__).resolve().parents[2]
START_TIMEOUT = 30
STOP_TIMEOUT = 20
WORKER_USER = "www-data"
MPMS = tuple(os.environ.get("ACME_MPM", "event worker prefork").split())
CRASH = re.compile(
    r"segfault|segmentation fault|exit signal|AddressSanitizer|runtime error:"
    r"|LeakSanitizer|double free|corrupted|Assertion .* failed",
    re.IGNORECASE,
)

# Order as in a distribution; what is built into httpd is left out.
MODULES = """
    log_config logio watchdog unixd version authn_core authz_core authz_host authz_user auth_basic
    authn_file access_compat mime dir alias rewrite headers setenvif env proxy proxy_http
    socache_shmcb ssl status
""".split()

MPM_SETTINGS = {
    "event": """
        StartServers 2
        ServerLimit 4
        ThreadsPerChild 8
        MaxRequestWorkers 32
        MinSpareThreads 4
        MaxSpareThreads 32
    """,
    "worker": """
        StartServers 2
        ServerLimit 4
        ThreadsPerChild 8
        MaxRequestWorkers 32
        MinSpareThreads 4
        MaxSpareThreads 32
    """,
    "prefork": """
        StartServers 3
        MinSpareServers 2
        MaxSpareServers 6
        ServerLimit 16
        MaxRequestWorkers 16
    """,
}


class HttpdFailed(AssertionError):
    """httpd did not start, did not stop cleanly, or said something it must never say."""


@dataclass
class Response:
    """A reply to get(). Header names are in lower case; the last of equal ones counts."""

    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode(errors="replace")


@dataclass
class Child:
    """A child process of httpd."""

    pid: int
    mpm: str
    uid: int
    threads: int


def acme_module():
    """The mod_acme.so to test: ACME_MODULE, else what build/check or make built."""
    if os.environ.get("ACME_MODULE"):
        return Path(os.environ["ACME_MODULE"]).resolve()
    outs = Path(os.environ.get("ACME_OUT_DIR") or TOP / "build/out")
    for folder in (outs / "check", TOP):
        path = folder / "mod_acme/.libs/mod_acme.so"
        if path.exists():
            return path
    raise HttpdFailed("no mod_acme.so: run build/check, or set ACME_MODULE to one")


def _modules_dir():
    if os.environ.get("ACME_HTTPD_MODULES"):
        return Path(os.environ["ACME_HTTPD_MODULES"])
    return Path("/usr/lib/apache2/modules")


def _program():
    return os.environ.get("ACME_HTTPD") or shutil.which("apache2", path="/usr/sbin:/usr/bin")


def _built_in():
    """Names of modules that need no LoadModule, such as log_config on Debian."""
    out = subprocess.run([_program(), "-l"], capture_output=True, text=True, check=True).stdout
    return {name[len("mod_") :] for name in re.findall(r"(mod_\w+)\.c", out)}


class Httpd:
    """An httpd below folder, on loopback ports of its own.

    mpm      event, worker or prefork; unless told the first of ACME_MPM's, else event
    modules  more modules by name ("http2"), or "name=/path/to/mod_name.so"
    wrapper  a program to run httpd under, such as ["valgrind", "--trace-children=yes"]

    Add to the configuration with vhost() and config(), then start(). Change and graceful() as an
    administrator would. stop() ends it and asserts that nothing crashed and nothing is left.
    """

    def __init__(
        self, folder, mpm=MPMS[0], modules=(), loglevel="info acme:trace2 ssl:info", wrapper=()
    ):
        assert mpm in MPM_SETTINGS, mpm
        self.folder = Path(folder)
        self.wrapper = list(wrapper)
        self.mpm = mpm
        self.modules = list(modules)
        self.loglevel = loglevel
        self.run_dir = self.folder / "run"
        self.htdocs = self.folder / "htdocs"
        self.conf = self.folder / "httpd.conf"
        self.error_log = self.folder / "error.log"
        self.access_log = self.folder / "access.log"
        self.console = self.folder / "console.log"
        self.http_port, self.https_port = free_port(), free_port()
        self.admin_port = free_port()
        self.defines = []
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}
        self.allow_crash = False
        self.acme_loaded = False
        self.acme_file = None  # another file to load than acme_module()
        self._global = []
        self._vhosts = []
        self._process = None
        self._killed = set()
        for path in (self.folder, self.run_dir, self.htdocs):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        self.htdocs.joinpath("index.html").write_text("main server\n")

    # Configuration

    def config(self, text):
        """Add to the server's configuration, before the virtual hosts."""
        self._global.append(text)
        return self

    def clear_config(self):
        """Forget all that config() and vhost() added: to write the configuration anew."""
        self._global.clear()
        self._vhosts.clear()
        return self

    def load_acme(self):
        """Load the module under test."""
        self.acme_loaded = True
        return self

    def acme(self, ca, extra="", store=None, agree=True):
        """What every mod_acme configuration here begins with; ca is a Pebble or a FakeCA."""
        self.load_acme()
        self.store = Path(store) if store else self.folder / "store"
        return self.config(
            f"AcmeStore {self.store}\n"
            f"AcmeCA {ca.directory_url}\n"
            f"AcmeCATrustFile {ca.ca_file}\n"
            f"AcmeAgreeTerms {'on' if agree else 'off'}\n"
            f"AcmePortMap 80:{self.http_port} 443:{self.https_port}\n"
            "AcmeDnsWait 0\n"  # no test depends on this machine's resolvers
            f"{extra}\n"
        )

    def vhost(
        self,
        name,
        aliases=(),
        extra="",
        http=True,
        https=True,
        cert=None,
        http_extra="",
        https_extra="",
    ):
        """Add a virtual host that serves "hello from <name>" from a folder of its own.

        http, https  on which ports: True for the server's own, or a port number for another
        cert         None: no certificate configured, as mod_acme wants it; "self": one made here;
                     or (certificate file, key file)
        extra        directives for both; http_extra and https_extra for one of them

        Returns the document root.
        """
        root = self.htdocs / re.sub(r"[^A-Za-z0-9.-]", "_", name)
        root.mkdir(exist_ok=True)
        root.chmod(0o755)
        root.joinpath("index.html").write_text(f"hello from {name}\n")
        common = f"ServerName {name}\nDocumentRoot {root}\n"
        if aliases:
            common += f"ServerAlias {' '.join(aliases)}\n"
        if http:
            port = self.http_port if http is True else http
            self._vhosts.append((port, f"{common}{extra}\n{http_extra}\n"))
        if https:
            port = self.https_port if https is True else https
            files = self._cert_directives(name, aliases, cert)
            text = f"{common}SSLEngine on\n{files}{extra}\n{https_extra}\n"
            self._vhosts.append((port, text))
        return root

    def remove_vhost(self, name):
        """Take a virtual host out of the configuration again."""
        self._vhosts = [one for one in self._vhosts if not one[1].startswith(f"ServerName {name}\n")]

    def _cert_directives(self, name, aliases, cert):
        if cert is None:
            return ""
        if cert == "self":
            cert = self.self_signed([name, *aliases])
        return f"SSLCertificateFile {cert[0]}\nSSLCertificateKeyFile {cert[1]}\n"

    def self_signed(self, names):
        """Files (certificate, key) of an administrator's own certificate, from a root in ca_file().

        The root is made once per httpd.
        """
        if not hasattr(self, "_own_root"):
            self._own_root = pki.Authority.root("Administrator's own root")
        key, cert = self._own_root.issue_server(names)
        stem = self.folder / f"own-{re.sub('[^A-Za-z0-9.-]', '_', names[0])}"
        files = (stem.with_suffix(".pem"), stem.with_suffix(".key"))
        files[0].write_bytes(pki.cert_pem(cert))
        files[1].write_bytes(pki.key_pem(key))
        return files

    def own_root_file(self):
        """Trust for the certificates of self_signed()."""
        path = self.folder / "own-root.pem"
        path.write_bytes(pki.cert_pem(self._own_root.cert))
        return path

    def config_text(self):
        """The whole configuration file."""
        ports = [self.http_port, self.https_port, self.admin_port]
        ports += [port for port, _ in self._vhosts if port not in ports]
        lines = [
            f"ServerRoot {self.folder}",
            f"DefaultRuntimeDir {self.run_dir}",
            f"PidFile {self.run_dir}/httpd.pid",
            f"Mutex file:{self.run_dir} default",
            f"ErrorLog {self.error_log}",
            'ErrorLogFormat "[%{u}t] [%-m:%l] [pid %P:tid %T] %E: %M"',
            f"LogLevel {self._loglevel()}",
            *self._load_modules(),
            *self._identity(),
            MPM_SETTINGS[self.mpm],
            "TypesConfig /etc/mime.types",
            "ServerName main.invalid",
            f"DocumentRoot {self.htdocs}",
            "GracefulShutdownTimeout 2",
            "Timeout 10",
            "KeepAliveTimeout 5",
            "TraceEnable off",
            "AcceptFilter http none",
            "AcceptFilter https none",
            f'CustomLog {self.access_log} "%h %v %{{local}}p \\"%r\\" %>s %B"',
            f"SSLSessionCache shmcb:{self.run_dir}/sslcache(131072)",
            "ExtendedStatus on",
            "DirectoryIndex index.html",
            f"<Directory {self.folder}>\n    Require all granted\n</Directory>",
            *[f"Listen 127.0.0.1:{port}" for port in dict.fromkeys(ports)],
            *self._global,
            *[f"<VirtualHost *:{port}>\n{text}</VirtualHost>" for port, text in self._vhosts],
            self._admin_vhost(),
        ]
        return "\n".join(lines) + "\n"

    def _loglevel(self):
        """Naming a module that is not loaded is an error in LogLevel."""
        words = self.loglevel.split()
        return " ".join(w for w in words if self.acme_loaded or not w.startswith("acme:"))

    def _load_modules(self):
        folder, built_in = _modules_dir(), _built_in()
        for name in [f"mpm_{self.mpm}", *MODULES, *self.modules]:
            name, _, path = name.partition("=")
            if name not in built_in:
                yield f"LoadModule {name}_module {path or folder / f'mod_{name}.so'}"
        if self.acme_loaded:
            yield f"LoadModule acme_module {self.acme_file or acme_module()}"

    def _identity(self):
        """Root gives its children a user; anybody else keeps their own."""
        if os.geteuid() != 0:
            return []
        return [f"User {WORKER_USER}", f"Group {grp.getgrnam(WORKER_USER).gr_name}"]

    def _admin_vhost(self):
        """A port apart, so that a test's rules for its hosts do not stand in our way."""
        acme = "<Location /acme-status>\nSetHandler acme-status\n</Location>\n"
        return (
            f"<VirtualHost *:{self.admin_port}>\n"
            "ServerName admin.invalid\n"
            "<Location /server-status>\nSetHandler server-status\n</Location>\n"
            f"{acme if self.acme_loaded else ''}"
            "</VirtualHost>"
        )

    def write_config(self):
        self.conf.write_text(self.config_text(), errors="surrogateescape")
        self.conf.chmod(0o644)
        return self.conf

    def _argv(self, *more):
        defines = [f"-D{name}" for name in self.defines]
        return [_program(), "-d", str(self.folder), "-f", str(self.conf), *defines, *more]

    def configtest(self):
        """httpd -t on the present configuration: the CompletedProcess, output in stderr."""
        self.write_config()
        return subprocess.run(
            self._argv("-t"), capture_output=True, text=True, timeout=60, env=self.env, check=False
        )

    # Processes

    def start(self):
        """Start and wait until it serves."""
        assert not self._process, "already started"
        self.write_config()
        mark = self.mark()
        # SIGTERM, because httpd then takes its children along.
        self._process = Process(
            "httpd", [*self.wrapper, *self._argv("-DFOREGROUND")], self.console, env=self.env,
            cwd=self.folder, death_signal=signal.SIGTERM,
        )  # fmt: skip
        try:
            self._wait_serving(mark)
        except BaseException:
            self._process.stop(STOP_TIMEOUT)
            self._process = None
            raise
        return self

    def _wait_serving(self, mark):
        """Serving: its listeners answer and it has said so since mark."""

        def ready():
            if not self._process.running():
                raise HttpdFailed(f"httpd ended:\n{self._log_text()}")
            said = re.search(r"AH\d+: .* resuming normal operations", self.log_since(mark))
            return said and accepts(self.http_port) and accepts(self.https_port)

        wait_until(ready, START_TIMEOUT, lambda: f"httpd serves\n{self._log_text()}")

    def _log_text(self):
        return f"{tail(self.console)}\n{tail(self.error_log)}"

    def graceful(self):
        """Write the configuration and restart gracefully; returns when the new one serves."""
        self.write_config()
        mark = self.mark()
        self._process.send(signal.SIGUSR1)
        self._wait_serving(mark)

    def restart(self):
        """Like graceful(), the other way: children end at once."""
        self.write_config()
        mark = self.mark()
        self._process.send(signal.SIGHUP)
        self._wait_serving(mark)

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return bool(self._process) and self._process.running()

    def stop(self, check=True):
        """End it as `apachectl stop` does, and assert that it went well.

        check=False only ends it: for teardown behind a failure that has been told already.
        """
        if not self._process:
            return
        process, self._process = self._process, None
        alive = process.running()
        forced = process.stop(STOP_TIMEOUT)
        if not check:
            return
        if not alive:
            raise HttpdFailed(f"httpd had ended by itself:\n{self._log_text()}")
        if forced:
            raise HttpdFailed(f"httpd left processes {forced}:\n{self._log_text()}")
        self.assert_no_crash()

    def kill(self):
        """End the whole server at once, as a power failure would."""
        process, self._process = self._process, None
        self._killed.update(process.members())
        process.kill()

    def crashes(self):
        """Lines of the logs that tell of a crash, but for children this test killed."""
        text = self._all(self.error_log) + self._all(self.console)
        return [line for line in text.splitlines() if CRASH.search(line) and not self._ours(line)]

    def _ours(self, line):
        found = re.search(r"child pid (\d+) exit signal", line)
        return bool(found) and int(found.group(1)) in self._killed

    def assert_no_crash(self):
        found = [] if self.allow_crash else self.crashes()
        if found:
            raise HttpdFailed("the log tells of a crash:\n" + "\n".join(found))

    def children(self):
        """httpd's children, oldest first."""
        parent = self.pid
        found = []
        for pid in self._process.members():
            fields = stat_fields(pid)
            if fields and int(fields[1]) == parent:
                found.append(Child(pid, self.mpm, _uid(pid), int(fields[17])))
        return sorted(found, key=lambda child: child.pid)

    def kill_child(self, pid, number=signal.SIGKILL):
        """Signal one of httpd's children; a crash of it is then expected."""
        assert pid in [child.pid for child in self.children()], f"{pid} is no child"
        self._killed.add(pid)
        os.kill(pid, number)

    def user_can_read(self, path):
        """Whether the user of httpd's children may read path, decided by trying."""
        argv = ["head", "-c", "1", str(path)]
        if os.geteuid() == 0:
            argv = ["setpriv", f"--reuid={WORKER_USER}", "--clear-groups"] + argv
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    # Logs

    @staticmethod
    def _all(path):
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def log(self):
        """The whole error log."""
        return self._all(self.error_log)

    def mark(self):
        """A position in the error log, for log_since() and wait_log()."""
        try:
            return self.error_log.stat().st_size
        except FileNotFoundError:
            return 0

    def log_since(self, mark):
        try:
            with open(self.error_log, "rb") as log:
                log.seek(mark)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def wait_log(self, regex, timeout=30, since=0):
        """Wait for a match in the error log from a mark on; returns the match."""
        pattern = re.compile(regex, re.MULTILINE)
        return wait_until(
            lambda: pattern.search(self.log_since(since)),
            timeout,
            lambda: f"{regex!r} in the log, which ends:\n{self._log_text()}",
        )

    def logs(self):
        """[(title, text)] for a failed test's report."""
        return [
            ("httpd error log", tail(self.error_log, 150)),
            ("httpd console", tail(self.console)),
            ("httpd access log", tail(self.access_log, 20)),
        ]

    # What it serves

    def served_cert(self, name, port=None, **options):
        """What is served for the SNI name now: a tls.Served. Options as in tls.handshake()."""
        return tls.handshake(port or self.https_port, name, **options)

    def wait_cert(self, name, predicate=None, timeout=60, **options):
        """Shake hands until predicate(served) is true; returns what was served then.

        Without a predicate: until the certificate is not self-signed.
        """
        predicate = predicate or (lambda served: not served.self_signed)
        last = []

        def matching():
            try:
                served = self.served_cert(name, **options)
            except OSError as err:
                last[:] = [repr(err)]
                return None
            last[:] = [f"served: {served.names} by {served.issuer}"]
            return served if predicate(served) else None

        message = lambda: f"wanted certificate for {name}; {last}\n{self._log_text()}"  # noqa: E731
        return wait_until(matching, timeout, message)

    def get(
        self, path, host="main.invalid", https=False, ca=None, port=None, method="GET",
        headers=None, body=None, sni=None, timeout=10,
    ):  # fmt: skip
        """One request on a connection of its own; redirects are shown, not followed.

        ca   a trust file: then the certificate has to verify for the host
        sni  another server name in the handshake than the Host header's
        """
        port = port or (self.https_port if https else self.http_port)
        context = None
        if https:
            context = tls.unverified_context()
            if ca:
                context = ssl.create_default_context(cafile=str(ca))
        conn = _Connection(port, context, sni or host, timeout)
        try:
            conn.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            reply = conn.getresponse()
            fields = {key.lower(): value for key, value in reply.getheaders()}
            return Response(reply.status, fields, reply.read())
        finally:
            conn.close()

    def server_status(self):
        """mod_status as {key: value}."""
        text = self.get("/server-status?auto", port=self.admin_port).text
        pairs = [line.partition(": ") for line in text.splitlines()]
        return {key: value for key, mid, value in pairs if mid}

    def acme_status(self, query="format=json"):
        """The Response of mod_acme's status page."""
        return self.get(f"/acme-status?{query}", port=self.admin_port)


class _Connection(http.client.HTTPConnection):
    """An HTTP connection to a loopback port whatever the name asked for."""

    def __init__(self, port, context, name, timeout):
        super().__init__("127.0.0.1", port, timeout=timeout)
        self._context = context
        self._name = name

    def connect(self):
        raw = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = raw
        if self._context:
            self.sock = self._context.wrap_socket(raw, server_hostname=self._name)


def _uid(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:
        return -1


__all__ = ["Child", "Httpd", "HttpdFailed", "MPMS", "Response", "Timeout", "acme_module"]
