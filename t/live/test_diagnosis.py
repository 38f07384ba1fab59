"""What stands between a CA and this server, found out and named before and after the CA is asked."""

import ctypes
import http.server
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from .proc import Process, free_port, wait_until
from .test_issue import SHOP, acmectl, acmectl_argv

SLOW = "slow.example.org"


# --- other servers ---------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = self.server.answer(self)
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Front:
    """A server in httpd's place on the outside's port 80."""

    def __init__(self, answer, tls=None):
        self.port = free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.answer = answer
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def make_front(live_dir):
    made = []

    def make(answer, **options):
        made.append(Front(answer, **options))
        return made[-1]

    yield make
    for front in made:
        front.stop()


def nginx(_):
    return 404, {"Server": "nginx/1.22.1"}, "<title>404 Not Found</title>"


def swallowing_proxy(_):
    return 404, {"Server": "Apache", "Via": "1.1 gate.example"}, "gone"


def cloudflare(_):
    return 403, {"Server": "cloudflare", "CF-RAY": "8f1c-FRA"}, "error code: 1020"


def parking(_):
    return 200, {"Server": "openresty"}, "This domain is for sale! Buy this domain."


def redirect_to_www(request):
    return 301, {"Server": "Caddy", "Location": f"https://www.elsewhere.example{request.path}"}, ""


def redirect_to_https(request):
    return 308, {"Server": "Caddy", "Location": f"https://{request.headers['Host']}{request.path}"}, ""


def redirect_to_start(_):
    return 302, {"Location": "/login"}, ""


def redirect_in_a_circle(request):
    return 302, {"Location": request.path}, ""


# --- setting up ------------------------------------------------------------------------------


def set_up(httpd, ca, extra="", port=None, rules=""):
    """One host that is proved by http-01; port: where the outside's port 80 arrives, of which
    httpd has another address only."""
    port = port or httpd.http_port
    dns = f"AcmeDnsWait 5s 127.0.0.1:{ca.dns_port}"
    httpd.acme(ca, f"AcmeChallenges http-01\nAcmeRetry 1h\n{dns}\n{extra}")
    httpd._global[-1] = httpd._global[-1].replace(f"80:{httpd.http_port}", f"80:{port}")
    if port != httpd.http_port:
        httpd.config(f"Listen 127.0.0.9:{port}")
    httpd.vhost(SHOP, extra=rules, https_extra="AcmeManage on")


def pebble_at(make_pebble, httpd, port=None, **options):
    return make_pebble(
        http_port=port or httpd.http_port, tls_port=httpd.https_port, **options
    )


def finding(httpd, number, *words):
    line = httpd.wait_log(rf"ACME{number}: .*").group(0)
    for word in (SHOP, *words):
        assert word in line, line
    return line


def assert_nothing_found(httpd):
    said = httpd.log()
    assert not [n for n in range(1241, 1260) if f"ACME{n}:" in said], said


# --- what is well ------------------------------------------------------------------------------


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_diagnosis_own_rules_are_no_obstacle(httpd, pebble, challenge):
    rules = "<Location />\nRequire all denied\n</Location>\nRewriteEngine on\n"
    rules += "RewriteRule .* https://elsewhere.example/ [R=301,L]\n"
    set_up(httpd, pebble, f"AcmeChallenges {challenge}\nAcmePreflight require", rules=rules)
    httpd.start()
    httpd.wait_cert(SHOP)
    said = httpd.log()
    answered = "ACME1813:" if challenge == "http-01" else "ACME1817:"
    assert said.count(answered) >= 2  # one's own request, and the CA's
    assert_nothing_found(httpd)


def test_diagnosis_redirect_to_https_that_comes_back_is_no_obstacle(
    httpd, make_pebble, make_front
):
    front = make_front(redirect_to_https)
    ca = pebble_at(make_pebble, httpd, front.port, always_valid=True)
    set_up(httpd, ca, "AcmePreflight require", front.port)
    httpd.start()
    httpd.wait_cert(SHOP)
    assert "ACME1813:" in httpd.log()
    assert_nothing_found(httpd)


def test_diagnosis_off_looks_at_nothing(httpd, make_pebble, make_front):
    front = make_front(nginx)
    set_up(httpd, pebble_at(make_pebble, httpd, front.port), "AcmePreflight off", front.port)
    httpd.start()
    httpd.wait_log(r"ACME13\d\d: .*next attempt")
    assert_nothing_found(httpd)


# --- who is in the way --------------------------------------------------------------------------

FRONTS = {
    "second-server": (nginx, 1241, ["nginx/1.22.1", "404 Not Found", "127.0.0.1"]),
    "login-page": (redirect_to_start, 1242, ["/login"]),
    "redirect-to-www": (redirect_to_www, 1242, ["https://www.elsewhere.example/", "Caddy"]),
    "redirect-in-a-circle": (redirect_in_a_circle, 1242, []),
    "swallowing-proxy": (swallowing_proxy, 1243, ["gate.example"]),
    "cloudflare": (cloudflare, 1243, ["Cloudflare"]),
    "parking": (parking, 1249, ["for sale"]),
}


@pytest.mark.parametrize("kind", FRONTS)
def test_diagnosis_names_who_answers_instead(httpd, make_pebble, make_front, kind):
    answer, number, words = FRONTS[kind]
    front = make_front(answer)
    set_up(httpd, pebble_at(make_pebble, httpd, front.port), port=front.port)
    httpd.start()
    finding(httpd, number, *words)
    line = httpd.wait_log(r"ACME13\d\d: .*next attempt at.*").group(0)
    assert "the CA's request never reached this server" in line
    assert f"ACME{number}, seen from here" in line
    status = httpd.acme_status().text
    assert "never reached this server" in status


def test_diagnosis_port_is_closed(httpd, make_pebble):
    port = free_port()
    set_up(httpd, pebble_at(make_pebble, httpd, port), port=port)
    httpd.start()
    finding(httpd, 1245, "127.0.0.1", "nothing listens there")
    httpd.wait_log(r"ACME1310: .*never reached this server.*ACME1245")


def test_diagnosis_tls_on_port_80(httpd, make_pebble, make_front):
    tls = httpd.self_signed([SHOP])
    front = make_front(nginx, tls=tls)
    set_up(httpd, pebble_at(make_pebble, httpd, front.port), port=front.port)
    httpd.start()
    finding(httpd, 1248, "speaks TLS")


def test_diagnosis_name_is_not_in_dns(httpd, make_pebble):
    ca = pebble_at(make_pebble, httpd)
    ca.set_default_ipv4("")
    set_up(httpd, ca)
    httpd.start()
    finding(httpd, 1252)


def test_diagnosis_dns_fails(httpd, make_pebble):
    ca = pebble_at(make_pebble, httpd)
    ca.set_servfail(SHOP)
    set_up(httpd, ca)
    httpd.start()
    finding(httpd, 1253)


# --- required --------------------------------------------------------------------------------------


def test_diagnosis_required_the_ca_is_not_asked_until_it_is_mended(
    httpd, make_pebble, make_front
):
    answers = [nginx]
    front = make_front(lambda request: answers[0](request))
    ca = pebble_at(make_pebble, httpd, front.port, always_valid=True)
    set_up(httpd, ca, "AcmePreflight require", front.port)
    httpd.start()
    line = httpd.wait_log(r"ACME1259: .*next attempt at.*").group(0)
    assert "another server answers" in line and "nginx/1.22.1" in line
    assert "ACME1310" not in httpd.log() and httpd.served_cert(SHOP).self_signed
    answers[0] = redirect_to_https
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout + done.stderr
    httpd.wait_cert(SHOP)


# --- a world of one's own -----------------------------------------------------------------------------

HERE, THERE = "5.9.1.1", "5.9.1.2"
HERE6, THERE6 = "2a01:4f8::1", "2a01:4f8::2"
CLONE_NEWNET = 0x40000000
FAR_SERVER = """
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    server_version = "far-away/1.0"
    sys_version = ""
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 80), Handler).serve_forever()
"""


def run(*argv):
    subprocess.run([str(arg) for arg in argv], check=True, capture_output=True)


class World:
    """This test's network: HERE is this machine, THERE another one, reached by a cable."""

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.before = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.folder = folder
        self.made = []

    def enter(self):
        assert self.libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        self.far = Process("far", ["unshare", "-n", "sleep", "600"], self.folder / "far.log")
        own = os.readlink("/proc/self/ns/net")
        path = f"/proc/{self.far.pid}/ns/net"
        wait_until(lambda: os.readlink(path) != own, 10, "the other machine is there")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "far", "netns", self.far.pid)
        run("ip", "addr", "add", f"{HERE}/24", "dev", "near")
        run("ip", "addr", "add", f"{HERE6}/64", "dev", "near", "nodad")
        run("ip", "link", "set", "near", "up")
        for words in ("link set lo up", f"addr add {THERE}/24 dev far",
                      f"addr add {THERE6}/64 dev far nodad", "link set far up"):  # fmt: skip
            self.there("ip", *words.split())
        return self

    def nsenter(self, *argv):
        return ["nsenter", "-t", str(self.far.pid), "-n", *argv]

    def there(self, *argv):
        run(*self.nsenter(*argv))

    def serve_there(self):
        argv = self.nsenter("/usr/bin/python3", "-c", FAR_SERVER)
        self.made.append(Process("server", argv, self.folder / "server.log"))

        def answers():
            try:
                socket.create_connection((THERE, 80), timeout=1).close()
                return True
            except OSError:
                return False

        wait_until(answers, 10, "the other machine serves")

    def leave(self):
        for process in [*self.made, self.far]:
            process.stop()
        assert self.libc.setns(self.before, CLONE_NEWNET) == 0
        os.close(self.before)


@pytest.fixture
def world(tmp_path):
    """Everything made by the test from here on lives in it: request it first."""
    made = World(tmp_path).enter()
    yield made
    made.leave()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are root's")


@pytest.fixture
def far_httpd(world, make_httpd):
    httpd = make_httpd()
    httpd.config(f"Listen {HERE}:{httpd.http_port}\nListen [{HERE6}]:{httpd.http_port}")
    return httpd


@needs_root
def test_diagnosis_own_public_addresses_are_well(world, far_httpd, make_pebble):
    ca = pebble_at(make_pebble, far_httpd, always_valid=True)
    ca.add_a(SHOP, HERE)
    ca.add_aaaa(SHOP, HERE6)
    set_up(far_httpd, ca, "AcmePreflight require")
    far_httpd.start()
    far_httpd.wait_cert(SHOP)
    assert far_httpd.log().count("ACME1813:") == 2
    assert_nothing_found(far_httpd)


@needs_root
def test_diagnosis_dns_leads_elsewhere(world, far_httpd, make_pebble):
    world.serve_there()
    ca = pebble_at(make_pebble, far_httpd, always_valid=True)
    ca.add_a(SHOP, THERE)
    set_up(far_httpd, ca)
    far_httpd.start()
    finding(far_httpd, 1244, THERE, "far-away/1.0, status 501")
    far_httpd.wait_cert(SHOP)  # advice is no gate


@needs_root
def test_diagnosis_ipv6_leads_elsewhere(world, far_httpd, make_pebble):
    world.serve_there()
    ca = pebble_at(make_pebble, far_httpd, always_valid=True)
    ca.add_a(SHOP, HERE)
    ca.add_aaaa(SHOP, THERE6)
    set_up(far_httpd, ca)
    far_httpd.start()
    finding(far_httpd, 1247, THERE6, "far-away/1.0")


@needs_root
def test_diagnosis_firewall_drops(world, far_httpd, make_pebble):
    world.there("ip", "route", "add", "blackhole", f"{HERE}/32")
    ca = pebble_at(make_pebble, far_httpd, always_valid=True)
    ca.add_a(SHOP, THERE)
    set_up(far_httpd, ca)
    far_httpd.start()
    finding(far_httpd, 1246, THERE, "firewall")
    far_httpd.wait_cert(SHOP)


@needs_root
def test_diagnosis_closed_elsewhere(world, far_httpd, make_pebble):
    ca = pebble_at(make_pebble, far_httpd, always_valid=True)
    ca.add_a(SHOP, THERE)
    set_up(far_httpd, ca)
    far_httpd.start()
    finding(far_httpd, 1245, THERE, "no address of this machine")


@needs_root
def test_diagnosis_behind_a_router_it_cannot_be_told(world, far_httpd, make_pebble):
    run("ip", "addr", "del", f"{HERE}/24", "dev", "near")
    run("ip", "addr", "add", "192.168.7.1/24", "dev", "near")
    run("ip", "route", "add", THERE, "dev", "near")
    ca = pebble_at(make_pebble, far_httpd, always_valid=True)
    ca.add_a(SHOP, THERE)
    far_httpd.clear_config()
    set_up(far_httpd, ca, "AcmePreflight require")
    far_httpd.start()
    finding(far_httpd, 1255, THERE, "no public address")
    far_httpd.wait_cert(SHOP)


# --- acmectl check --------------------------------------------------------------------------------------


def check(httpd, *names):
    done = acmectl(httpd, "check", *names)
    return done.returncode, done.stdout + done.stderr


def test_check_of_a_server_that_is_found(httpd, pebble):
    set_up(httpd, pebble, "AcmeChallenges http-01 tls-alpn-01")
    httpd.start()
    httpd.wait_cert(SHOP)
    status, said = check(httpd, SHOP)
    assert status == 0, said
    assert SHOP in said and "PROBLEM" not in said
    assert "http-01: ACME1240: " in said and "tls-alpn-01: ACME1240: " in said
    assert sorted(check(httpd)[1].splitlines()) == sorted(said.splitlines())
    assert check(httpd, "unknown.example.org")[0] == 1


def test_check_names_the_problem_and_its_remedy(httpd, make_pebble, make_front):
    front = make_front(cloudflare)
    ca = pebble_at(make_pebble, httpd, front.port)
    set_up(httpd, ca, "AcmePreflight off", front.port)
    httpd.start()
    httpd.wait_log(r"ACME13\d\d: .*next attempt")
    status, said = check(httpd, SHOP)
    assert status == 1, said
    assert "http-01: PROBLEM: ACME1243: Cloudflare" in said
    assert "AcmeDnsCommand" in said and "1 to be mended" in said


def test_check_what_is_only_fallen_back_to_is_no_problem(httpd, make_pebble, make_front):
    front = make_front(nginx)
    ca = pebble_at(make_pebble, httpd, front.port)
    set_up(httpd, ca, "AcmeChallenges tls-alpn-01 http-01", front.port)
    httpd.start()
    httpd.wait_cert(SHOP)
    status, said = check(httpd, SHOP)
    assert status == 0, said
    assert "http-01: ACME1241: " in said and "tls-alpn-01: ACME1240: " in said


def test_check_of_dns_looks_at_program_and_zone(httpd, pebble):
    program = httpd.folder / "no-such-program"
    set_up(httpd, pebble, f"AcmeChallenges dns-01\nAcmeDnsCommand {program}")
    httpd.start()
    httpd.wait_log("ACME1518: ")
    status, said = check(httpd, SHOP)
    assert status == 1, said
    assert "dns-01: PROBLEM: ACME1256: " in said and str(program) in said
    assert "dns-01: ACME1258: " in said
    pebble.stop()
    status, said = check(httpd, SHOP)
    assert status == 1 and "ACME1257: " in said, said


def test_check_shows_findings_as_they_come(httpd, make_pebble, make_front):
    asked, gate = threading.Event(), threading.Event()

    def slow_for_one(request):
        if request.headers["Host"] == SLOW:
            asked.set()
            gate.wait(60)
        return nginx(request)

    front = make_front(slow_for_one)
    ca = pebble_at(make_pebble, httpd, front.port, always_valid=True)
    set_up(httpd, ca, "AcmePreflight off", front.port)
    httpd.vhost(SLOW, https_extra="AcmeManage on")
    httpd.start()
    for name in (SHOP, SLOW):
        httpd.wait_cert(name)
    with subprocess.Popen(acmectl_argv(httpd, "check"), stdout=subprocess.PIPE, text=True) as ctl:
        try:
            assert asked.wait(30)
            said = [ctl.stdout.readline(), ctl.stdout.readline()]
        finally:
            gate.set()
        said += ctl.stdout.readlines()
    assert ctl.returncode == 1
    assert said[0] == f"{SHOP}\n" and "http-01: PROBLEM: ACME1241: " in said[1]
    # The other one had not been told that time is up: it waited while this was read.
    slow = said[said.index(f"{SLOW}\n") + 1]
    assert "ACME1241: " in slow and "nginx" in slow, said
    assert said[-1] == "2 to be mended\n"


@pytest.mark.parametrize("names", [(), ("127.0.0.1",)], ids=["all", "one"])
def test_check_while_the_server_is_stopped(httpd, make_pebble, make_front, names):
    """At the ports that the configuration had last, of the certificates it had."""
    front = make_front(nginx)
    ca = pebble_at(make_pebble, httpd, front.port, always_valid=True)
    set_up(httpd, ca, "AcmePreflight off", front.port)
    httpd.config("<AcmeCertificate 127.0.0.1>\nAcmeRenewMode always\n</AcmeCertificate>")
    httpd.start()
    httpd.wait_cert(SHOP)
    wait_until(
        lambda: "valid" in acmectl(httpd, "show", "127.0.0.1").stdout, 60, "a certificate for 127.0.0.1"
    )
    httpd.stop()
    began = time.monotonic()
    status, said = check(httpd, *names)
    took = time.monotonic() - began
    assert status == 1, said
    assert said.startswith("Without it only DNS and the ports can be looked at") and "ACME1702" in said
    parts = said[said.index("\n127.0.0.1\n") :]
    assert "http-01: PROBLEM: ACME1241: " in parts and "nginx" in parts
    assert "tls-alpn-01: ACME1255: " in parts and "nothing else listens there" in parts
    assert (f"\n{SHOP}\n" in said) == (not names)
    assert took < 25  # 40 s would be the time that a dead server is waited for, and a resolver's besides


def test_check_of_a_stopped_server_knows_names_without_certificate(httpd, pebble):
    set_up(httpd, pebble)
    httpd.start()
    httpd.wait_cert(SHOP)
    httpd.stop()
    status, said = check(httpd, "127.0.0.2")
    assert status == 3 and "\n127.0.0.2\n" in said and "http-01: ACME" in said, said
    status, said = check(httpd, "no name")
    assert status == 1 and "no name" in said
