"""The demonstration behind build/quickstart; see there."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from t.live.ca import Pebble  # noqa: E402
from t.live.httpd import Httpd  # noqa: E402
from t.live.proc import wait_until  # noqa: E402

SHOP, ALIAS, BLOG = "shop.example.org", "www.shop.example.org", "blog.example.org"


class Failed(Exception):
    """What went wrong, for the person at the terminal."""


def say(text):
    print(f"\n== {text}", flush=True)


def show(text):
    print(f"   {text}", flush=True)


def server(folder, module):
    """A private httpd whose configuration is what the README shows."""
    os.environ["ACME_MODULE"] = str(module)
    return Httpd(folder / "httpd", mpm="event", loglevel="info acme:info")


def configure(httpd, ca):
    httpd.acme(ca)
    for name, aliases in ((SHOP, [ALIAS]), (BLOG, [])):
        httpd.vhost(name, aliases, https_extra="AcmeManage on")


def wait_issued(httpd, names):
    """Follow the certificates until each host serves one of the CA's; tell what changes."""
    told = {}

    def all_served():
        status = httpd.server_status()
        for name in names:
            line = progress(status, name)
            if line and told.get(name) != line:
                told[name] = line
                show(f"{name}: {line}")
        return all(issued(httpd, name) for name in names)

    wait_until(all_served, 90, "the certificates to be served")


def progress(status, name):
    """One line about name from mod_status's page, or ''."""
    fields = [status.get(f"Acme[{name}/ecdsa]{part}", "") for part in ("State", "Progress")]
    return ", ".join(field for field in fields if field)


def issued(httpd, name):
    return not httpd.served_cert(name).self_signed


def hexadecimal(serial):
    """As OpenSSL and acmectl write serial numbers: whole octets."""
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big").hex()


def curl(httpd, root, name):
    """Ask as anybody would, with the CA's root as the only trust."""
    url = f"https://{name}:{httpd.https_port}/"
    argv = ["curl", "-sS", "--cacert", str(root), "--resolve", f"{name}:{httpd.https_port}:127.0.0.1"]
    show(f"$ {' '.join(argv)} {url}")
    done = subprocess.run([*argv, url], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"curl could not verify {name}: {done.stderr.strip()}")
    show(done.stdout.strip())


def describe(httpd, name):
    served = httpd.served_cert(name)
    leaf = served.leaf
    show(f"  names   {', '.join(served.names)}")
    show(f"  issuer  {served.issuer}")
    show(f"  valid   {leaf.not_valid_before} to {leaf.not_valid_after} UTC")
    show(f"  serial  {hexadecimal(leaf.serial_number)}")
    return leaf.serial_number


class Visitors:
    """Requests over new, verified TLS connections, one after another, until stopped."""

    def __init__(self, httpd, root, name):
        self.httpd, self.root, self.name = httpd, root, name
        self.count, self.failures = 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.is_set():
            try:
                reply = self.httpd.get("/", host=self.name, https=True, ca=self.root)
                if reply.status != 200:
                    self.failures.append(f"status {reply.status}")
            except Exception as problem:  # any failure is the finding
                self.failures.append(str(problem))
            self.count += 1


def renew(httpd, root, acmectl, name, before):
    """A renewal while visitors come: another certificate, and none of them notices."""
    main_pid, mark = httpd.pid, httpd.mark()
    with Visitors(httpd, root, name) as visitors:
        argv = [str(acmectl), "--store", str(httpd.store), "renew", name]
        show(f"$ {' '.join(argv)}")
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        for line in (done.stdout + done.stderr).splitlines():
            show(line)
        if done.returncode:
            raise Failed(f"acmectl renew ended with status {done.returncode}")
        served = httpd.wait_cert(name, lambda cert: cert.leaf.serial_number != before, timeout=10)
        count = visitors.count
        wait_until(lambda: visitors.count > count + 20, 10, "visitors after the renewal")
    show(f"  serial  {hexadecimal(before)}  ->  {hexadecimal(served.leaf.serial_number)}")
    show(f"  {visitors.count} requests meanwhile, {len(visitors.failures)} failed")
    if visitors.failures:
        raise Failed(f"a visitor noticed: {visitors.failures[0]}")
    if httpd.pid != main_pid or "resuming normal operations" in httpd.log_since(mark):
        raise Failed("the server was restarted")
    show("  no restart, no reload")


def demonstrate(httpd, ca, acmectl):
    say("4/5 certificates")
    wait_issued(httpd, [SHOP, BLOG])
    root = ca.root_file()
    curl(httpd, root, SHOP)
    serial = describe(httpd, SHOP)
    curl(httpd, root, BLOG)
    describe(httpd, BLOG)
    show(f"status page: http://127.0.0.1:{httpd.admin_port}/acme-status")
    say("5/5 a renewal while visitors come")
    renew(httpd, root, acmectl, SHOP, serial)


def stay(httpd):
    say("Up. Ctrl-C ends it.")
    show(f"status   http://127.0.0.1:{httpd.admin_port}/acme-status")
    show(f"site     https://{SHOP}:{httpd.https_port}/ (at 127.0.0.1)")
    show(f"config   {httpd.conf}")
    show(f"log      {httpd.error_log}")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def log_tail(httpd):
    lines = [line for line in httpd.log().splitlines() if "ACME" in line][-15:]
    return "\n".join(f"   {line}" for line in lines)


def run(options, folder):
    httpd = server(folder, options.build / "mod_acme/.libs/mod_acme.so")
    say("3/5 starting the CA and httpd")
    ca = Pebble(folder / "pebble", http_port=httpd.http_port, tls_port=httpd.https_port)
    try:
        ca.start()
        configure(httpd, ca)
        httpd.start()
        show(f"CA     {ca.directory_url}")
        show(f"httpd  http port {httpd.http_port}, https port {httpd.https_port}, {httpd.folder}")
        demonstrate(httpd, ca, options.build / "acmectl")
        if not options.once:
            stay(httpd)
        say("done")
    except Exception:
        print(log_tail(httpd), file=sys.stderr)
        raise
    finally:
        httpd.stop(check=False)
        ca.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    folder = Path(tempfile.mkdtemp(prefix="acme-quickstart-"))
    folder.chmod(0o755)
    began = time.monotonic()
    try:
        run(options, folder)
    except KeyboardInterrupt:
        return 130
    except (Failed, AssertionError, OSError, subprocess.SubprocessError) as problem:
        print(f"\nquickstart failed after {time.monotonic() - began:.0f} s: {problem}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
