"""The ready programs in conf/hooks, run as mod_acme runs them, against real or scripted servers."""

import json
import os
import re
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from .bind import Named
from .httpd import TOP

HOOKS = TOP / "conf/hooks"
NAME = "_acme-challenge.shop.example.org"
ONE, TWO = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo", "-oKr_2gkPzVYCVZ_4PZVOGeFCnl6oEQ6S_A7nGoyX1c"


def run(hook, *args, **env):
    """Nothing of this process's environment, as from mod_acme."""
    env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return subprocess.run(
        [HOOKS / hook, *map(str, args)],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def ok(*args, **env):
    done = run(*args, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


PROGRAMS = sorted(path.name for path in HOOKS.iterdir() if path.name.startswith("dns-"))


@pytest.mark.parametrize("hook", PROGRAMS)
@pytest.mark.parametrize(
    "name, value",
    [
        ("a.example.org\nserver evil", ONE),
        ("a.example.org;id", ONE),
        ("$(id).example.org", ONE),
        (NAME, 'x" extra'),
        (NAME, "x\nsend"),
        (NAME, ""),
        ("", ONE),
    ],
)
def test_hook_refuses_what_is_no_name_or_value(hook, name, value, tmp_path):
    args = ["http://127.0.0.1:1/", tmp_path] if hook == "dns-challtestsrv" else ["/dev/null"] * 2
    args = ["127.0.0.1", "/dev/null"] if hook == "dns-rfc2136" else args
    args = args[:1] if hook in ("dns-cloudflare", "dns-follow") else args
    done = run(hook, *args, "setup", name, value)
    assert done.returncode == 1
    assert done.stderr.startswith("not a ")


@pytest.mark.parametrize("hook", PROGRAMS)
def test_hook_says_how_it_is_used(hook):
    done = run(hook)
    assert done.returncode == 1 and done.stderr.startswith(f"usage: {hook} ")
    assert os.access(HOOKS / hook, os.X_OK)
    assert (HOOKS / hook).read_text().startswith("#!/bin/sh\n")
    assert hook in (HOOKS / "README.md").read_text()
    checked = subprocess.run(["/bin/dash", "-n", HOOKS / hook], check=False)
    assert checked.returncode == 0


# dns-rfc2136


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with Named(tmp_path_factory.mktemp("named")) as server:
        yield server


@pytest.mark.parametrize("zone", [(), ("example.org",)], ids=["found", "given"])
def test_rfc2136_values_coexist_and_go_one_by_one(named, zone):
    args = ["dns-rfc2136", f"127.0.0.1#{named.port}", named.key_file, *zone]
    ok(*args, "setup", NAME, ONE)
    ok(*args, "setup", NAME, TWO)
    ok(*args, "setup", NAME, TWO)
    assert named.txt(NAME) == sorted([ONE, TWO])
    ok(*args, "teardown", NAME, ONE)
    assert named.txt(NAME) == [TWO]
    ok(*args, "teardown", NAME, TWO)
    ok(*args, "teardown", NAME, TWO)
    assert named.txt(NAME) == []


def test_rfc2136_refused_update_fails(named, tmp_path):
    key = tmp_path / "wrong.key"
    key.write_text(re.sub(r'secret "..', 'secret "AA', named.key_file.read_text()))
    done = run("dns-rfc2136", f"127.0.0.1#{named.port}", key, "setup", NAME, ONE)
    assert done.returncode != 0 and done.stderr
    assert named.txt(NAME) == []
    done = run("dns-rfc2136", "127.0.0.1", "/nonexistent", "setup", NAME, ONE)
    assert done.returncode == 1 and done.stderr == "cannot read /nonexistent\n"


def test_follow_gives_the_name_that_an_alias_leads_to(tmp_path):
    alias = f"{NAME}. IN CNAME one.acme.example.org.\none.acme IN CNAME two.acme"
    with Named(tmp_path / "aliases", extra=alias) as server:
        env = {"DNS_FOLLOW_DIG": f"-p {server.port} @127.0.0.1"}
        rfc2136 = [HOOKS / "dns-rfc2136", f"127.0.0.1#{server.port}", server.key_file]
        ok("dns-follow", *rfc2136, "setup", NAME, ONE, **env)
        assert server.txt("two.acme.example.org") == [ONE]
        ok("dns-follow", *rfc2136, "teardown", NAME, ONE, **env)
        assert server.txt("two.acme.example.org") == []
        # arguments stay as they are; a name without an alias does, too
        done = run("dns-follow", "/usr/bin/printf", "<%s>", "a b", "$(id)", "setup", "x.example.org", ONE, **env)
        assert done.stdout == f"<a b><$(id)><setup><x.example.org><{ONE}>"


def test_mod_md_programs_are_called_as_by_mod_md():
    for verb in ("setup", "teardown"):
        done = run("dns-mod_md", "/usr/bin/printf", "<%s>", "a b", verb, NAME, ONE)
        assert done.stdout == f"<a b><{verb}><{NAME.removeprefix('_acme-challenge.')}><{ONE}>"
    assert run("dns-mod_md", "setup", NAME, ONE).returncode == 1


# dns-cloudflare, against answers as Cloudflare's API has given them


class Web:
    """answer(method, path, query, body) -> (status, object); requests keeps what was asked."""

    def __init__(self, answer):
        self.requests, self.headers = [], []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def reply(self):
                url = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                web.requests.append((self.command, url.path, body))
                web.headers.append(dict(self.headers))
                status, reply = answer(self.command, url.path, parse_qs(url.query), body)
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = reply

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def web(answer):
    server = Web(answer)
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        thread.join()
        server.server.server_close()


class Cloudflare:
    ZONE = "023e105f4ecef8ad9ca31a8372d0c353"

    def __init__(self, zone="example.org"):
        self.zone, self.records, self.count = zone, {}, 0

    @staticmethod
    def good(result):
        return 200, {"result": result, "success": True, "errors": [], "messages": []}

    @staticmethod
    def bad(status, code, message):
        errors = [{"code": code, "message": message}]
        return status, {"result": None, "success": False, "errors": errors, "messages": []}

    def __call__(self, method, path, query, body):
        records = f"/zones/{self.ZONE}/dns_records"
        if (method, path) == ("GET", "/zones"):
            zone = {"account": {"id": "a" * 32}, "id": self.ZONE, "name": self.zone}
            return self.good([zone] if query["name"] == [self.zone] else [])
        if (method, path) == ("POST", records):
            entry = (body["name"], body["content"])
            if entry in self.records.values():
                return self.bad(400, 81058, "An identical record already exists.")
            self.count += 1
            self.records[f"{self.count:032x}"] = entry
            return self.good({"id": f"{self.count:032x}", **body})
        if (method, path) == ("GET", records):
            found = [
                {"id": key, "type": "TXT", "name": name, "content": content}
                for key, (name, content) in self.records.items()
                if [name] == query["name"]
            ]
            return self.good(found)
        key = path.rpartition("/")[2]
        if method == "DELETE" and key in self.records:
            del self.records[key]
            return self.good({"id": key})
        return self.bad(404, 81044, "Record does not exist.")


@pytest.mark.parametrize("zone", ["example.org", "shop.example.org", NAME])
def test_cloudflare_values_coexist_and_go_one_by_one(zone, tmp_path):
    cloudflare = Cloudflare(zone)
    token = tmp_path / "token"
    token.write_text("Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY\n")
    with web(cloudflare) as server:
        args = ["dns-cloudflare", token]
        env = {"CLOUDFLARE_API": server.url}
        ok(*args, "setup", NAME, ONE, **env)
        ok(*args, "setup", NAME, TWO, **env)
        ok(*args, "setup", NAME, TWO, **env)
        wanted = [(NAME, f'"{ONE}"'), (NAME, f'"{TWO}"')]
        assert sorted(cloudflare.records.values()) == sorted(wanted)
        ok(*args, "teardown", NAME, ONE, **env)
        assert list(cloudflare.records.values()) == [(NAME, f'"{TWO}"')]
        ok(*args, "teardown", NAME, TWO, **env)
        ok(*args, "teardown", NAME, TWO, **env)
        assert not cloudflare.records
    authorization = {headers["Authorization"] for headers in server.headers}
    assert authorization == {f"Bearer {token.read_text().strip()}"}


def test_cloudflare_errors_are_shown(tmp_path):
    token = tmp_path / "token"
    token.write_text("x" * 40)  # without a line end, as some editors leave it
    with web(Cloudflare("other.example")) as server:
        done = run("dns-cloudflare", token, "setup", NAME, ONE, CLOUDFLARE_API=server.url)
        assert done.returncode == 1
        assert done.stderr == f"this token sees no zone that {NAME} is in\n"
    refusal = Cloudflare.bad(403, 9109, "Invalid access token")
    with web(lambda *_: refusal) as server:
        done = run("dns-cloudflare", token, "setup", NAME, ONE, CLOUDFLARE_API=server.url)
        assert done.returncode == 1
        assert done.stderr == "Cloudflare: 9109: Invalid access token\n"
        assert "x" * 40 not in done.stdout + done.stderr


# dns-http


def test_http_sends_what_httpreq_services_take(tmp_path):
    options = tmp_path / "curl"
    options.write_text('user = "me:secret"\n')
    with web(lambda *_: (204, None)) as server:
        ok("dns-http", f"{server.url}/acme/", options, "setup", NAME, ONE)
        ok("dns-http", f"{server.url}/acme", "teardown", NAME, ONE)
    body = {"fqdn": f"{NAME}.", "value": ONE}
    assert server.requests == [("POST", "/acme/present", body), ("POST", "/acme/cleanup", body)]
    assert server.headers[0]["Authorization"] == "Basic bWU6c2VjcmV0"
    assert "Authorization" not in server.headers[1]


def test_http_error_status_fails():
    with web(lambda *_: (500, "broken")) as server:
        done = run("dns-http", server.url, "setup", NAME, ONE)
    assert done.returncode == 1
    assert done.stderr == f"{server.url}/present answered with status 500\n"


# dns-challtestsrv


def test_challtestsrv_values_coexist(pebble, tmp_path):
    url = f"http://127.0.0.1:{pebble.dns_management_port}"
    args = ["dns-challtestsrv", url, tmp_path]

    def values():
        argv = ["dig", "+short", "-p", str(pebble.dns_port), "@127.0.0.1", NAME, "TXT"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return sorted(line.strip('"') for line in done.stdout.splitlines())

    for value in (ONE, TWO, TWO):
        ok(*args, "setup", NAME, value)
    assert values() == sorted([ONE, TWO])
    ok(*args, "teardown", NAME, ONE)
    assert TWO in values()
    ok(*args, "teardown", NAME, TWO)
    ok(*args, "teardown", NAME, TWO)
    assert values() == []
