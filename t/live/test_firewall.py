"""A firewall that is open while a CA validates and at no other time; and the programs in conf/hooks
for events, with real firewalls in network namespaces or recorded ones."""

import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from . import netns
from .fakeca import challenge_error
from .httpd import TOP, WORKER_USER
from .proc import wait_until

HOOKS = TOP / "conf/hooks"
NAME = "shop.example.org"
OPEN = ["challenge-open", NAME, "http-01"]
SHUT = ["challenge-close", NAME, "http-01"]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run(hook, *args, **env):
    argv = [HOOKS / hook, *map(str, args)]
    return subprocess.run(
        argv, env={"PATH": PATH, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def ok(*args, **env):
    done = run(*args, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


# Kinds of firewall


class Nftables:
    hook, more = "firewall-nftables", ["inet", "filter", "acme"]

    @staticmethod
    def boot():
        """The administrator's rules: all that is not accepted is refused at once."""
        netns.run("nft", "-f", "-", text="""
            flush ruleset
            table inet filter {
                set acme { type inet_service; flags timeout; }
                chain input {
                    type filter hook input priority filter; policy drop;
                    iifname "lo" accept
                    ct state established,related accept
                    tcp dport @acme accept
                    meta l4proto tcp reject with tcp reset
                }
            }""")  # fmt: skip

    @staticmethod
    def rules():
        return re.sub(r"expires \S+", "", netns.run("nft", "list", "ruleset"))


class Iptables:
    hook, more = "firewall-iptables", []

    @staticmethod
    def boot():
        for program in ("iptables", "ip6tables"):
            for rule in ("-F", "-X mod_acme", "-A INPUT -i lo -j ACCEPT",
                         "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT",
                         "-A INPUT -p tcp -j REJECT --reject-with tcp-reset"):  # fmt: skip
                subprocess.run([program, *rule.split()], capture_output=True, check=rule[:2] not in ("-X",))

    @staticmethod
    def rules():
        return netns.run("iptables", "-S") + netns.run("ip6tables", "-S")


KINDS = [Nftables, Iptables]


@pytest.fixture
def net():
    if not netns.available():
        pytest.skip("no network namespaces can be made here")
    with netns.Namespaces() as made:
        yield made


@pytest.fixture(params=KINDS, ids=lambda kind: kind.hook)
def firewall(request, net):
    firewall = request.param()
    firewall.boot()
    return firewall


# The programs by themselves


def test_hook_opens_and_shuts_and_repeats_do_no_harm(net, firewall):
    before = firewall.rules()
    server = HTTPServer((net.address, 8080), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert not net.reachable(8080)
        args = [firewall.hook, "80,8080", *firewall.more]
        ok(*args, *OPEN, 8080)
        assert net.reachable(8080)
        opened = firewall.rules()
        ok(*args, *OPEN, 8080)
        assert net.reachable(8080) and firewall.rules() == opened
        ok(*args, *OPEN, 80)
        ok(*args, *SHUT, 80)
        assert net.reachable(8080)
        ok(*args, *SHUT, 8080)
        assert not net.reachable(8080) and firewall.rules() == before
        ok(*args, *SHUT, 8080)
        assert firewall.rules() == before
    finally:
        server.shutdown()
        server.server_close()


def test_nftables_entry_ends_by_itself(net):
    Nftables.boot()
    ok("firewall-nftables", "80", *Nftables.more, *OPEN, 80)
    found = json.loads(netns.run("nft", "-j", "list", "set", "inet", "filter", "acme"))
    (entry,) = found["nftables"][-1]["set"]["elem"]
    assert entry["elem"]["val"] == 80 and entry["elem"]["timeout"] == 900


FIREWALLS = {
    "firewall-nftables": ["80", "inet", "filter", "acme"],
    "firewall-iptables": ["80"],
    "firewall-ufw": ["80"],
    "firewall-firewalld": ["80", "public"],
}


@pytest.mark.parametrize("hook", FIREWALLS)
def test_hook_leaves_other_ports_alone_and_refuses_what_it_does_not_know(hook, net, tmp_path):
    netns.run("nft", "flush", "ruleset")
    env = recorder(tmp_path, "ufw", "firewall-cmd")
    args = [hook, *FIREWALLS[hook]]
    ok(*args, *OPEN, 22, **env)
    for wrong in ([*args, *OPEN, "80;id"], [*args, "open", NAME, "http-01", 80], [*args, *OPEN, 80, "more"], [hook]):
        done = run(*wrong, **env)
        assert done.returncode == 1 and done.stderr, wrong
    assert "dport" not in netns.run("nft", "list", "ruleset")
    said = (tmp_path / "said").read_text() if (tmp_path / "said").exists() else ""
    assert not re.search(r"ufw (allow|--force)|--(add|remove)-rich-rule", said), said


def recorder(folder, *programs, body=""):
    """Programs that note what they are called with; the environment to find them by."""
    for program in programs:
        path = folder / program
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{program} $*" >>{folder}/said\n{body}\n')
        path.chmod(0o755)
    return {"FIREWALL_PATH": f"{folder}:{PATH}"}


UFW = """
# As ufw 0.36 answers: "show added" lists rules as they would be typed; a rule is there once.
cd {folder}; touch rules
case "$*" in
    "show added") echo "Added user rules (see 'ufw status' for running firewall):"; cat rules ;;
    "allow "*) grep -qF "ufw allow $2" rules || echo "ufw allow $2 comment '$4'" >>rules; echo "Rule added" ;;
    "--force delete allow "*) grep -vF "ufw allow $4" rules >new || :; mv new rules; echo "Rule deleted" ;;
    *) exit 1 ;;
esac
"""


def test_ufw_rule_is_added_once_and_removed(tmp_path):
    env = recorder(tmp_path, "ufw", body=UFW.format(folder=tmp_path))
    args = ["firewall-ufw", "80"]
    ok(*args, *OPEN, 80, **env)
    ok(*args, *OPEN, 80, **env)
    assert (tmp_path / "rules").read_text() == "ufw allow 80/tcp comment 'mod_acme'\n"
    ok(*args, *SHUT, 80, **env)
    ok(*args, *SHUT, 80, **env)
    assert (tmp_path / "rules").read_text() == ""


@pytest.mark.parametrize("own", ["ufw allow 80/tcp", "ufw allow 80", "ufw allow 80/tcp comment 'web'"])
def test_ufw_rule_of_the_administrator_stays(tmp_path, own):
    env = recorder(tmp_path, "ufw", body=UFW.format(folder=tmp_path))
    (tmp_path / "rules").write_text(f"ufw allow 8080/tcp comment 'mod_acme'\n{own}\n")
    ok("firewall-ufw", "80", *OPEN, 80, **env)
    ok("firewall-ufw", "80", *SHUT, 80, **env)
    assert (tmp_path / "rules").read_text().splitlines()[1:] == [own]


FIREWALLD = """
cd {folder}; touch rules
for last; do :; done
case "$3" in
    --query-rich-rule=*) grep -qxF "${{3#*=}}" rules ;;
    --add-rich-rule=*) test "$4" = --timeout=15m && echo "${{3#*=}}" >>rules ;;
    --remove-rich-rule=*) grep -vxF "${{3#*=}}" rules >new || :; mv new rules ;;
    *) exit 1 ;;
esac
"""


def test_firewalld_rule_is_made_anew_without_a_gap_and_removed(tmp_path):
    env = recorder(tmp_path, "firewall-cmd", body=FIREWALLD.format(folder=tmp_path))
    args = ["firewall-firewalld", "80", "public"]
    seen = []
    for _ in range(3):
        ok(*args, *OPEN, 80, **env)
        (rule,) = (tmp_path / "rules").read_text().splitlines()
        assert re.fullmatch(r'rule priority="-10[12]" port port="80" protocol="tcp" accept', rule)
        seen.append(rule)
    assert seen[0] != seen[1] and seen[0] == seen[2]
    said = (tmp_path / "said").read_text().splitlines()
    changes = [line.split("-rich-rule")[0].rpartition("--")[2] for line in said if "query" not in line]
    assert changes == ["add", "add", "remove", "add", "remove"]
    assert all("--zone=public" in line for line in said)
    ok(*args, *SHUT, 80, **env)
    ok(*args, *SHUT, 80, **env)
    assert (tmp_path / "rules").read_text() == ""


def test_sudoers_example_is_well_formed_and_names_the_programs(tmp_path):
    text = (HOOKS / "firewall.sudoers").read_text()
    path = tmp_path / "mod_acme"
    path.write_text(text.replace("\n#www-data", "\nwww-data"))
    done = subprocess.run(["visudo", "-c", "-f", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for hook, args in FIREWALLS.items():
        assert f"{hook} {' '.join(args)} challenge-open *" in text
        assert f"{hook} {' '.join(args)} challenge-close *" in text


@pytest.mark.parametrize("hook", [*FIREWALLS, "mail", "webhook"])
def test_hook_says_how_it_is_used(hook):
    done = run(hook)
    assert done.returncode == 1 and done.stderr.startswith(f"usage: {hook} ")
    assert (HOOKS / hook).read_text().startswith("#!/bin/sh\n")
    assert hook in (HOOKS / "README.md").read_text()
    assert subprocess.run(["/bin/dash", "-n", HOOKS / hook], check=False).returncode == 0


# Mail and webhook

TOLD = {
    "ACME_EVENT": "errored",
    "ACME_DOMAINS": f"{NAME} www.{NAME}",
    "ACME_ERROR_CODE": "1311",
    "ACME_ERROR": 'the CA says "no" \\ ü $(id) `id`',
    "ACME_REMEDY": "Mend it.",
    "ACME_NOT_AFTER": "2026-11-22T08:00:00Z",
}


def test_mail_has_a_subject_and_says_what_and_what_to_do(tmp_path):
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/args\ncat >{tmp_path}/mail\n')
    sendmail.chmod(0o755)
    ok("mail", "admin@example.org", "errored", NAME, MAIL_SENDMAIL=str(sendmail), **TOLD)
    head, _, body = (tmp_path / "mail").read_text().partition("\n\n")
    assert (tmp_path / "args").read_text() == "-i -t\n"
    assert "To: admin@example.org" in head.splitlines()
    assert f"Subject: [mod_acme] {NAME} could not be renewed" in head.splitlines()
    assert TOLD["ACME_ERROR"] in body and "Mend it." in body and "ACME1311" in body
    for wrong in ("", "a b@example.org", "-bd", "a@b\nBcc: c@d"):
        assert run("mail", wrong, "errored", NAME, MAIL_SENDMAIL=str(sendmail)).returncode == 1


def test_webhook_posts_json_and_keeps_the_url_to_itself(tmp_path):
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(204 if "good" in self.path else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = tmp_path / "url"
    try:
        url.write_text(f"http://127.0.0.1:{server.server_port}/good-secret\n")
        ok("webhook", url, "errored", NAME, **TOLD)
        url.write_text(f"http://127.0.0.1:{server.server_port}/bad-secret\n")
        done = run("webhook", url, "errored", NAME, **TOLD)
    finally:
        server.shutdown()
        server.server_close()
    path, kind, sent = got[0]
    assert path == "/good-secret" and kind == "application/json"
    assert sent["error"] == TOLD["ACME_ERROR"] and sent["certificate"] == NAME
    assert sent["event"] == "errored" and TOLD["ACME_ERROR"] in sent["text"]
    assert done.returncode == 1 and "status 500" in done.stderr and "secret" not in done.stderr
    url.write_text('http://x/"\noutput = "/tmp/x"\n')
    assert run("webhook", url, "errored", NAME).returncode == 1


# A server behind a firewall


class Guarded:
    """An httpd in the server's namespace whose children may run one program as root, by sudo."""

    def __init__(self, net, firewall, ca, make_httpd, folder):
        sudoers = folder / "sudoers"
        program = folder / firewall.hook  # root's, as an installed one
        shutil.copy(HOOKS / firewall.hook, program)
        program.chmod(0o755)
        bind = 'mount --bind "$0" /etc/sudoers && exec "$@"'
        self.httpd = make_httpd(wrapper=["unshare", "-m", "sh", "-c", bind, str(sudoers)])
        self.net, self.firewall, self.ca, self.port = net, firewall, ca, self.httpd.http_port
        command = " ".join([str(program), str(self.port), *firewall.more])
        sudoers.write_text(
            f"{WORKER_USER} ALL=(root) NOPASSWD: {command} challenge-open *, {command} challenge-close *\n"
        )
        sudoers.chmod(0o440)
        self.hooks = f"AcmeOn challenge-open,challenge-close /usr/bin/sudo -n {command}"
        self.seen, self.verdict = [], None
        ca.http_port = self.port
        ca.challenge_result = self.look
        self.configure(self.hooks)

    def configure(self, hooks):
        self.httpd.clear_config()
        self.httpd.acme(self.ca, extra=f"Listen {self.net.address}:{self.port}\nAcmeChallenges http-01\n{hooks}")
        self.httpd.vhost(NAME, https_extra="AcmeManage on")

    def look(self, name, _kind):
        """What the CA sees from outside."""
        self.seen.append(self.net.reachable(self.port))
        return self.verdict or (None if self.seen[-1] else challenge_error("connection", f"{name}: shut"))

    def is_open(self):
        return self.net.reachable(self.port)

    def start_until_validating(self):
        """An order whose validation does not end."""
        self.ca.validation_gate.clear()
        self.httpd.start()
        self.ca.wait_request("challenge")
        assert self.is_open()

    def finish(self, mark=0):
        self.ca.validation_gate.set()
        self.httpd.wait_cert(NAME)
        wait_until(lambda: not self.is_open(), 20, self.httpd.log)
        self.httpd.wait_log("ACME1568", since=mark)
        assert self.seen and all(self.seen)


@pytest.fixture
def guarded(net, firewall, make_fakeca, make_httpd, live_dir):
    ca = make_fakeca(validate="http", http_port=1)
    return Guarded(net, firewall, ca, make_httpd, live_dir)


def test_port_is_open_while_the_ca_validates_and_shut_before_and_after(guarded):
    before = guarded.firewall.rules()
    assert not guarded.is_open()
    guarded.start_until_validating()
    guarded.finish()
    assert guarded.firewall.rules() == before


def test_port_is_shut_after_a_failed_validation(guarded):
    guarded.verdict = challenge_error("unauthorized", "no")
    guarded.httpd.start()
    guarded.httpd.wait_log("ACME1568")
    assert guarded.seen == [True] and not guarded.is_open()


def test_port_is_shut_after_a_kill_of_the_children(guarded):
    guarded.start_until_validating()
    mark = guarded.httpd.mark()
    for child in guarded.httpd.children():
        guarded.httpd.kill_child(child.pid)
    guarded.httpd.wait_log("ACME1503", since=mark, timeout=60)
    assert guarded.is_open()
    guarded.finish(mark)


def test_port_is_shut_after_a_kill_of_the_server_and_a_start(guarded):
    guarded.start_until_validating()
    guarded.httpd.kill()
    mark = guarded.httpd.mark()
    guarded.httpd.start()
    guarded.httpd.wait_log("ACME1567", since=mark, timeout=60)
    assert guarded.is_open()
    guarded.finish(mark)


def test_port_is_shut_when_the_server_is_stopped(guarded):
    before = guarded.firewall.rules()
    guarded.start_until_validating()
    mark = guarded.httpd.mark()
    guarded.httpd.stop()
    assert not guarded.is_open() and guarded.firewall.rules() == before
    assert "ACME1568" in guarded.httpd.log_since(mark)
    guarded.httpd.start()
    guarded.httpd.wait_log("ACME1567", since=mark, timeout=60)
    guarded.finish(mark)


def test_port_stays_open_over_a_reload(guarded):
    guarded.start_until_validating()
    mark = guarded.httpd.mark()
    guarded.httpd.graceful()
    assert guarded.is_open() and "ACME1568" not in guarded.httpd.log_since(mark)
    guarded.finish(mark)


def test_port_is_opened_anew_and_shut_after_a_reboot(guarded):
    guarded.start_until_validating()
    guarded.httpd.kill()
    guarded.firewall.boot()
    assert not guarded.is_open()
    mark = guarded.httpd.mark()
    guarded.httpd.start()
    guarded.httpd.wait_log("ACME1567", since=mark, timeout=60)
    assert guarded.is_open()
    guarded.finish(mark)


def test_port_is_shut_by_the_next_start_though_acme_on_is_gone(guarded):
    before = guarded.firewall.rules()
    guarded.start_until_validating()
    guarded.httpd.kill()
    assert guarded.firewall.rules() != before
    guarded.configure("AcmeRenewMode manual")
    mark = guarded.httpd.mark()
    guarded.httpd.start()
    guarded.httpd.wait_log("ACME1568", since=mark, timeout=60)
    assert not guarded.is_open() and guarded.firewall.rules() == before
    guarded.ca.validation_gate.set()


def test_nothing_is_opened_without_the_right_and_the_ca_is_not_told(guarded):
    (guarded.httpd.folder.parent / "sudoers").write_text("root ALL=(ALL) ALL\n")
    guarded.httpd.start()
    guarded.httpd.wait_log("ACME1566 .*challenge-open refused|ACME1566:.*challenge-open refused")
    assert not guarded.is_open() and not guarded.ca.requests_to("challenge")
