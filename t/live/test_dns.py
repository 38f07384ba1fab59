"""Control proved by DNS: programs that publish records, wildcards, records that stay, CAA."""

import hashlib
import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from . import jose
from .bind import Named
from .httpd import TOP
from .proc import accepts, living, wait_until
from .test_issue import acmectl, serial

APEX, WILD, SHOP = "example.org", "*.example.org", "shop.example.org"
CHALLENGE = "_acme-challenge.example.org"


class Program:
    """A hook in a folder that httpd's children may write in, which notes how it was called.

    before  shell code that runs first, with $verb, $name and $value
    """

    def __init__(self, httpd, pebble, before=""):
        self.folder = httpd.folder / "dns"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.calls_file = self.folder / "calls"
        hook = shutil.copy(TOP / "conf/hooks/dns-challtestsrv", httpd.folder)
        url = f"http://127.0.0.1:{pebble.dns_management_port}"
        self.path = httpd.folder / "program"
        self.path.write_text(
            f"""#!/bin/sh
verb=$1 name=$2 value=$3
cd {self.folder}
echo "$verb $name $value $ACME_EVENT $ACME_CERTIFICATE $ACME_DOMAIN $ACME_STORE" >>calls
{before}
exec {hook} {url} {self.folder} "$@"
"""
        )
        for path in (hook, self.path):
            os.chmod(path, 0o755)

    def calls(self, verb=""):
        """[[verb, name, value, event, certificate, domain, store], ...]"""
        if not self.calls_file.exists():
            return []
        lines = [line.split() for line in self.calls_file.read_text().splitlines()]
        return [line for line in lines if line[0].startswith(verb)]

    def left(self):
        """Values set up and not torn down."""
        values = {call[2] for call in self.calls("setup")}
        return values - {call[2] for call in self.calls("teardown")}


def directives(program, pebble, wait="20s"):
    return f"AcmeDnsCommand {program.path}\nAcmeDnsWait {wait} 127.0.0.1:{pebble.dns_port}\n"


def journal(httpd):
    return list((httpd.store / "journal").glob("*.json"))


def journal_names(httpd):
    return {json.loads(path.read_text())["name"] for path in journal(httpd)}


def dig(pebble, name):
    argv = ["dig", "+short", "-p", str(pebble.dns_port), "@127.0.0.1", name, "TXT"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.all_mpms
def test_wildcard_and_apex_by_dns_01(acme_httpd, pebble):
    """Two values at one name at the same time; both are gone afterwards."""
    program = Program(acme_httpd, pebble)
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01")
    acme_httpd.vhost(APEX, [WILD], https_extra="AcmeManage on")
    acme_httpd.start()
    served = acme_httpd.wait_cert(APEX)
    assert sorted(served.names) == [WILD, APEX]
    assert acme_httpd.served_cert("any.example.org").names == served.names
    wait_until(lambda: not program.left() and not journal(acme_httpd), 20, program.calls)
    setups = program.calls("setup")
    assert len({call[2] for call in setups}) == 2
    event = ["dns-setup", APEX]
    for call in setups:
        assert call[1] == CHALLENGE
        assert call[3:5] == event and call[6] == str(acme_httpd.store)
    assert {call[5] for call in setups} == {APEX, WILD}
    assert dig(pebble, CHALLENGE) == []
    text = acme_httpd.get("/", host="any.example.org", https=True, ca=pebble.root_file())
    assert text.status == 200


def test_wildcard_mixed_with_names_it_does_not_cover(acme_httpd, pebble):
    """What a wildcard covers is not ordered as well; http-01 or tls-alpn-01 prove the rest."""
    program = Program(acme_httpd, pebble)
    acme_httpd.config(directives(program, pebble))
    acme_httpd.vhost(SHOP, [WILD, APEX, "a.b.example.org"], https_extra="AcmeManage on")
    acme_httpd.start()
    served = acme_httpd.wait_cert(SHOP)
    assert sorted(served.names) == [WILD, "a.b.example.org", APEX]
    assert {call[5] for call in program.calls()} == {WILD}
    acme_httpd.graceful()
    assert serial(acme_httpd.served_cert(SHOP)) == serial(served)
    adopted = acme_httpd.store / "certificates" / SHOP / "ecdsa/chain.pem"
    wait_until(adopted.exists, 10, "adopted")


def test_wildcard_alone_as_declared_certificate(acme_httpd, pebble):
    program = Program(acme_httpd, pebble)
    acme_httpd.config(directives(program, pebble))
    acme_httpd.config(f"<AcmeCertificate {WILD}>\n</AcmeCertificate>")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.vhost("blog.example.org", https_extra=f"AcmeManage {WILD}")
    acme_httpd.start()
    assert acme_httpd.wait_cert(SHOP).names == [WILD]
    assert acme_httpd.wait_cert("blog.example.org").names == [WILD]
    done = acmectl(acme_httpd, "renew", WILD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_key_types_and_both_names_have_four_values_at_one_name(acme_httpd, pebble):
    program = Program(acme_httpd, pebble)
    acme_httpd.config(directives(program, pebble) + "AcmeKeyType rsa2048 ecdsa-p256")
    acme_httpd.config("AcmeChallenges dns-01")
    acme_httpd.vhost(APEX, [WILD], https_extra="AcmeManage on")
    acme_httpd.start()
    for sigalgs in ("rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"):
        assert sorted(acme_httpd.wait_cert(APEX, sigalgs=sigalgs).names) == [WILD, APEX]
    wait_until(lambda: not program.left() and not journal(acme_httpd), 20, program.calls)
    assert len({call[2] for call in program.calls("setup")}) == 4


def test_graceful_in_the_middle_goes_on_with_the_order(acme_httpd, pebble):
    """The next generation's engine sets the record up again, and ends with one certificate."""
    before = "test -e go || test $verb = teardown || sleep 300"
    program = Program(acme_httpd, pebble, before)
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    wait_until(program.calls, 30, "set up")
    (program.folder / "go").touch()
    acme_httpd.graceful()
    acme_httpd.wait_cert(SHOP)
    wait_until(lambda: not program.left() and not journal(acme_httpd), 20, program.calls)
    assert len({call[2] for call in program.calls()}) == 1
    assert pebble.log.read_text().count("Issued certificate serial") == 1


def test_wildcard_without_dns_challenge_is_left_out(acme_httpd):
    acme_httpd.vhost(SHOP, ["*.shop.example.org"], https_extra="AcmeManage on")
    done = acme_httpd.configtest()
    assert done.returncode == 0
    assert re.search(r"ACME1017: .*\*\.shop\.example\.org.*no AcmeDnsCommand is set up", done.stderr)


def test_dns_account_01(acme_httpd, pebble):
    program = Program(acme_httpd, pebble)
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-account-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert(SHOP)
    (name,) = {call[1] for call in program.calls("setup")}
    assert re.fullmatch(r"_[a-z2-7]{16}\._acme-challenge\.shop\.example\.org", name)
    wait_until(lambda: not program.left(), 20, program.calls)


def test_dns_persist_01_shows_the_record_and_takes_it(acme_httpd, pebble):
    wait = f"AcmeDnsWait 3s 127.0.0.1:{pebble.dns_port}\n"
    acme_httpd.config(wait + "AcmeChallenges dns-persist-01\nAcmeRetry 1s 2s")
    acme_httpd.vhost(APEX, [WILD], https_extra="AcmeManage on")
    acme_httpd.start()
    name, text = acme_httpd.wait_log(
        r'ACME1526: .* (_validation-persist\.example\.org)\. IN TXT "([^"]*policy=wildcard)"'
    ).groups()
    status = acme_httpd.server_status()[f"Acme[{APEX}/ecdsa]Error"]
    assert "_validation-persist.example.org. IN TXT" in status
    pebble.set_txt(name, f"{text}; persistUntil=4102444800")
    served = acme_httpd.wait_cert(APEX)
    assert sorted(served.names) == [WILD, APEX]
    assert "ACME1527" not in acme_httpd.log()


def test_dns_persist_01_warns_of_the_end(acme_httpd, pebble):
    wait = f"AcmeDnsWait 3s 127.0.0.1:{pebble.dns_port}\n"
    acme_httpd.config(wait + "AcmeChallenges dns-persist-01\nAcmeRetry 1s 2s")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    found = acme_httpd.wait_log(r'ACME1526: .* (_validation-persist\S+)\. IN TXT "([^"]*)"')
    now = int(subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout)
    pebble.set_txt(found[1], f"{found[2]}; persistUntil={now + 86400}")
    acme_httpd.wait_cert(SHOP)
    assert re.search(r"ACME1527: .*proves control only until 20\d\d-", acme_httpd.log())


@pytest.mark.parametrize("length", [20, 800])
def test_dns_persist_01_record_is_shown_whole(httpd, make_fakeca, pebble, length):
    ca = make_fakeca(challenges=["dns-persist-01"])
    ca.account_prefix = "x" * length
    httpd.acme(ca, "AcmeChallenges dns-persist-01\nAcmeRetry 1h")
    httpd.config(f"AcmeDnsWait 1s 127.0.0.1:{pebble.dns_port}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    told = rf"ACME1526: .* (_validation-persist\.{re.escape(SHOP)}\. IN TXT .*)\. Create"
    record = httpd.wait_log(told)[1]
    (account,) = ca.accounts.values()
    assert account["url"] in record.replace('" "', "")
    shown = {
        "mod_status": httpd.server_status()[f"Acme[{SHOP}/ecdsa]Error"],
        "json": json.loads(httpd.acme_status().body)["certificates"][0]["keys"][0]["error"]["text"],
        "html": html.unescape(httpd.acme_status("").text),
        "acmectl": acmectl(httpd, "show", SHOP).stdout,
    }
    assert not [where for where, text in shown.items() if record not in text], shown


def test_dns_persist_01_in_the_form_of_draft_02(httpd, make_fakeca):
    ca = make_fakeca(challenges=["dns-persist-01"])
    ca.hash_prefix = f"{ca.base}/hash/"
    httpd.acme(ca, "AcmeChallenges dns-persist-01")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    (account,) = ca.accounts.values()
    text = chr(len(SHOP)) + SHOP + jose.thumbprint(account["jwk"]) + account["url"]
    digest = jose.b64(hashlib.sha256(text.encode()).digest())
    record = f'IN TXT "ca.invalid; accounturi={ca.hash_prefix}sha-256/{digest}"'
    assert f"_validation-persist.{SHOP}. {record}" in httpd.log()


def test_program_that_fails_is_shown_with_its_words(acme_httpd, pebble):
    program = Program(acme_httpd, pebble, 'test "$verb" = teardown || { echo no zone; exit 3; }')
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_log(r"ACME1519: .*ended with status 3 \(no zone\).*next attempt at")
    # torn down all the same: it may have done half of it
    wait_until(lambda: not program.left() and not journal(acme_httpd), 20, program.calls)
    assert "no zone" in acme_httpd.server_status()[f"Acme[{SHOP}/ecdsa]Error"]


FAILS = "{ echo no zone; exit 3; }"


def test_program_that_fails_for_one_name_sinks_that_name_alone(acme_httpd, pebble):
    bad = "bad.example.com"
    fails = f'case "$verb $name" in setup*{bad}) {FAILS}; esac'
    program = Program(acme_httpd, pebble, fails)
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01\nAcmeRetry 1s 2s")
    acme_httpd.vhost(SHOP, (bad, APEX), https_extra="AcmeManage on")
    acme_httpd.start()
    assert sorted(acme_httpd.wait_cert(SHOP).names) == [APEX, SHOP]
    assert "(no zone)" in acme_httpd.wait_log(f"ACME1561: .*without {bad}.*").group(0)
    program.path.write_text(program.path.read_text().replace(fails, ""))
    acme_httpd.wait_cert(SHOP, lambda served: bad in served.names)


def test_record_that_nobody_sees_sinks_its_name_alone(acme_httpd, pebble):
    bad = "bad.example.com"
    program = Program(acme_httpd, pebble, f'case "$name" in *{bad}) exit 0; esac')
    acme_httpd.config(directives(program, pebble, "3s") + "AcmeChallenges dns-01\nAcmeRetry 1h")
    acme_httpd.vhost(SHOP, (bad,), https_extra="AcmeManage on")
    acme_httpd.start()
    assert acme_httpd.wait_cert(SHOP).names == [SHOP]
    said = acme_httpd.wait_log(f"ACME1561: .*without {bad}.*").group(0)
    assert f"_acme-challenge.{bad} " in said


@pytest.mark.parametrize("how", ["fails", "cannot-be-run"])
def test_program_that_works_for_no_name_is_no_matter_of_names(acme_httpd, pebble, how):
    program = Program(acme_httpd, pebble, f'test "$verb" = teardown || {FAILS}')
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges http-01 dns-01\nAcmeRetry 1s 2s")
    works = program.path.read_text().replace(FAILS, ":")
    wild = ("*.example.com",) if how == "cannot-be-run" else ("*.example.com", "*.example.net")
    acme_httpd.vhost(SHOP, wild, https_extra="AcmeManage on")
    if how == "cannot-be-run":
        program.path.write_text("#!/nonexistent/interpreter\n")
    acme_httpd.start()
    code = {"fails": "1519", "cannot-be-run": "1518"}[how]
    acme_httpd.wait_log(f"ACME{code}: .*next attempt at")
    assert "ACME1561" not in acme_httpd.log() and acme_httpd.served_cert(SHOP).self_signed
    program.path.write_text(works)
    assert sorted(acme_httpd.wait_cert(SHOP).names) == sorted([SHOP, *wild])


def test_program_that_fails_for_the_only_wildcard_leaves_that_out(acme_httpd, pebble):
    program = Program(acme_httpd, pebble, f'test "$verb" = teardown || {FAILS}')
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges http-01 dns-01\nAcmeRetry 1h")
    acme_httpd.vhost(SHOP, ("*.example.com",), https_extra="AcmeManage on")
    acme_httpd.start()
    assert acme_httpd.wait_cert(SHOP).names == [SHOP]
    assert "(no zone)" in acme_httpd.wait_log("ACME1561: .*").group(0)


def test_record_that_nobody_sees_is_not_told_to_the_ca(acme_httpd, pebble):
    program = Program(acme_httpd, pebble, "exit 0")
    acme_httpd.config(directives(program, pebble, "2s") + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_log(r"ACME1210: .*_acme-challenge\.shop\.example\.org .*127\.0\.0\.1:")
    assert "Pulled a task from the Tasks queue" not in pebble.log.read_text()


def test_dns_that_cannot_be_asked_is_no_obstacle(acme_httpd, pebble):
    program = Program(acme_httpd, pebble)
    acme_httpd.config(f"AcmeDnsCommand {program.path}\nAcmeDnsWait 1s 127.0.0.1:1")
    acme_httpd.config("AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert(SHOP)
    assert re.search(r"ACME1212: .*_acme-challenge\.shop\.example\.org", acme_httpd.log())


@pytest.mark.parametrize("at", ["setup", "published"])
def test_killed_server_tears_down_what_it_had_set_up(acme_httpd, pebble, at):
    """kill -9 of everything, and the order is gone: the journal alone knows of the record."""
    # the program does not come to its end; or it does, and the record is looked for in vain
    before = "test $verb = teardown || sleep 300" if at == "setup" else "exit 0"
    program = Program(acme_httpd, pebble, before)
    acme_httpd.config(directives(program, pebble, "300s") + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    wait_until(program.calls, 30, "set up")
    if at == "published":
        acme_httpd.wait_log(r"ACME1522: ")
    assert journal(acme_httpd)
    acme_httpd.kill()
    for path in (acme_httpd.store / "work").rglob("*.order"):
        path.unlink()
    assert journal(acme_httpd) and program.left()
    acme_httpd.start()
    first = {call[2] for call in program.calls("setup")[:1]}
    wait_until(lambda: not first & program.left(), 30, program.calls)


@pytest.mark.parametrize("how", ["another", "none"])
def test_record_of_a_host_that_is_managed_no_more_is_torn_down(acme_httpd, pebble, how):
    """Also where no host is managed any more, and no engine would be needed else."""
    program = Program(acme_httpd, pebble, "exit 0")  # the record is looked for in vain
    acme_httpd.config(directives(program, pebble, "300s") + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_log(r"ACME1522: ")
    assert journal(acme_httpd)
    acme_httpd.clear_config().acme(pebble)
    if how == "another":
        acme_httpd.vhost("blog.example.org", https_extra="AcmeManage on")
    acme_httpd.graceful()
    wait_until(lambda: not program.left() and not journal(acme_httpd), 20, program.calls)


def test_no_program_outlives_its_server(acme_httpd, pebble):
    program = Program(acme_httpd, pebble, "echo $$ >pid.new; mv pid.new pid; sleep 300")
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    wait_until((program.folder / "pid").exists, 30, "program runs")
    pid = int((program.folder / "pid").read_text())
    assert living(pid)
    for child in acme_httpd.children():
        os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not living(pid), 10, "ended with the engine")


def test_program_that_hangs_holds_up_no_other_order(acme_httpd, pebble):
    """Neither others that need it, nor others that do not, nor a stop."""
    slow, web = f"slow.{APEX}", f"web.{APEX}"
    program = Program(acme_httpd, pebble, f'test "$name" != _acme-challenge.{slow} || exec sleep 300')
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01")
    acme_httpd.vhost(slow, https_extra="AcmeManage on")
    acme_httpd.start()
    wait_until(program.calls, 30, "the program hangs")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.vhost(web, https_extra="AcmeManage on\nAcmeChallenges http-01")
    acme_httpd.graceful()
    before = serial(acme_httpd.wait_cert(SHOP))
    acme_httpd.wait_cert(web)
    assert acmectl(acme_httpd, "renew", SHOP).returncode == 0
    assert serial(acme_httpd.served_cert(SHOP)) != before
    assert acme_httpd.served_cert(slow).self_signed
    wait_until(lambda: journal_names(acme_httpd) == {f"_acme-challenge.{slow}"}, 20, program.calls)
    began = time.monotonic()
    acme_httpd.stop()
    assert time.monotonic() - began < 5


def test_stop_waits_for_no_answer_of_dns(acme_httpd, pebble):
    """Nor is anything lost: the next start goes on with the same record."""
    program = Program(acme_httpd, pebble)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(30)
        wait = f"AcmeDnsWait 1h 127.0.0.1:{silent.getsockname()[1]}"
        acme_httpd.config(f"AcmeDnsCommand {program.path}\n{wait}\nAcmeChallenges dns-01")
        acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
        acme_httpd.start()
        silent.recv(4096)  # asked, and never answered
        for end in (acme_httpd.graceful, acme_httpd.stop):
            began = time.monotonic()
            end()
            assert time.monotonic() - began < 5, end
    acme_httpd.config("AcmeDnsWait 0")
    acme_httpd.start()
    acme_httpd.wait_cert(SHOP)
    assert len({call[2] for call in program.calls()}) == 1
    assert pebble.log.read_text().count("Issued certificate serial") == 1


def test_rfc2136_with_bind_end_to_end(make_httpd, make_pebble, live_dir):
    httpd = make_httpd()
    with Named(live_dir / "named") as named:
        ca = make_pebble(
            http_port=httpd.http_port, tls_port=httpd.https_port,
            dns_server=f"127.0.0.1:{named.port}",
        )  # fmt: skip
        hook = httpd.folder / "dns-rfc2136"
        shutil.copy(TOP / "conf/hooks/dns-rfc2136", hook)
        hook.chmod(0o755)
        httpd.acme(ca, f"AcmeDnsWait 20s 127.0.0.1:{named.port}")
        httpd.config(f"AcmeDnsCommand {hook} 127.0.0.1#{named.port} {named.key_file}")
        httpd.config("AcmeChallenges dns-01")
        httpd.vhost(APEX, [WILD], https_extra="AcmeManage on")
        httpd.start()
        assert sorted(httpd.wait_cert(APEX).names) == [WILD, APEX]
        wait_until(lambda: named.txt(CHALLENGE) == [], 20, "removed")


@pytest.mark.needs_root
def test_servers_of_the_zone_are_found_and_asked(make_httpd, make_pebble, live_dir):
    """No resolver is named: the machine's own (here in a mount namespace) leads to the zone's."""
    if accepts(53):
        pytest.skip("this machine has a name server of its own")
    resolv_conf = live_dir / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    script = f'mount --bind {resolv_conf} /etc/resolv.conf && exec "$@"'
    httpd = make_httpd(wrapper=["unshare", "--mount", "sh", "-c", script, "sh"])
    extra = f"{CHALLENGE}. IN CNAME there.acme.example.org."
    with Named(live_dir / "named", extra=extra, port=53) as named:
        ca = make_pebble(
            http_port=httpd.http_port, tls_port=httpd.https_port, dns_server="127.0.0.1:53"
        )
        for name in ("dns-rfc2136", "dns-follow"):
            hook = httpd.folder / name
            shutil.copy(TOP / "conf/hooks" / name, hook)
            hook.chmod(0o755)
        rfc2136 = f"{httpd.folder}/dns-rfc2136 127.0.0.1 {named.key_file}"
        httpd.acme(ca, "AcmeDnsWait 20s\nAcmeChallenges dns-01")
        httpd.config(f"AcmeDnsCommand {httpd.folder}/dns-follow {rfc2136}")
        httpd.vhost(APEX, [WILD], https_extra="AcmeManage on")
        httpd.start()
        assert sorted(httpd.wait_cert(APEX).names) == [WILD, APEX]
        assert "ACME1212" not in httpd.log(), "nobody was asked"
        wait_until(lambda: named.txt("there.acme.example.org") == [], 20, "removed")


def test_caa_record_that_names_another_ca_is_told(make_httpd, make_pebble):
    httpd = make_httpd()
    ca = make_pebble(
        http_port=httpd.http_port, tls_port=httpd.https_port, caa_identities=["pebble.example"]
    )
    ca.add_caa("example.org.", {"tag": "issue", "value": "other.example"})
    httpd.acme(ca, f"AcmeDnsWait 10s 127.0.0.1:{ca.dns_port}\nAcmeRetry 1s 2s")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    said = httpd.wait_log(r"ACME1213: .*")[0]
    assert 'the CAA records of example.org (0 issue "other.example")' in said
    assert "pebble.example" in said
    assert "There are now 1 orders" not in ca.log.read_text()
    ca.clear_caa("example.org.")
    ca.add_caa("example.org.", {"tag": "issue", "value": "pebble.example"})
    httpd.wait_cert(SHOP)


def test_caa_record_of_one_name_sinks_that_name_alone(make_httpd, make_pebble):
    httpd = make_httpd()
    ca = make_pebble(
        http_port=httpd.http_port, tls_port=httpd.https_port, caa_identities=["pebble.example"]
    )
    alias = "alias.example.com"
    ca.add_caa("example.com.", {"tag": "issue", "value": "other.example"})
    httpd.acme(ca, f"AcmeDnsWait 10s 127.0.0.1:{ca.dns_port}")
    httpd.vhost(SHOP, (alias, "blog.example.org"), https_extra="AcmeManage on")
    httpd.start()
    assert sorted(httpd.wait_cert(SHOP).names) == ["blog.example.org", SHOP]
    said = httpd.wait_log(f"ACME1561: .*without {alias}.*").group(0)
    assert '0 issue "other.example"' in said
    assert "There are now 2 orders" not in ca.log.read_text()
    # the setting that all names or none are wanted holds here, too
    httpd.clear_config()
    wait = f"AcmeDnsWait 10s 127.0.0.1:{ca.dns_port}"
    httpd.acme(ca, f"{wait}\nAcmeBadNames fail\nAcmeRetry 1h")
    httpd.vhost("all.example.org", (alias, "more.example.com"), https_extra="AcmeManage on")
    httpd.graceful()
    said = httpd.wait_log("ACME1213: .*next attempt at").group(0)
    assert f"certify {alias}" in said and "certify more.example.com" in said


def test_caa_record_for_another_account_is_advice(make_httpd, make_pebble):
    httpd = make_httpd()
    ca = make_pebble(
        http_port=httpd.http_port, tls_port=httpd.https_port, caa_identities=["pebble.example"]
    )
    value = "pebble.example; accounturi=https://elsewhere.example/1"
    ca.add_caa("shop.example.org.", {"tag": "issue", "value": value})
    httpd.acme(ca, f"AcmeDnsWait 10s 127.0.0.1:{ca.dns_port}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    assert re.search(r"ACME1214: .*this one is https://localhost:\d+/my-account/", httpd.log())


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("AcmeDnsCommand /nonexistent/program", "not a program that can be executed"),
        ("AcmeDnsCommand /usr/bin", "/usr/bin is not a program that can be executed"),
        ("AcmeDnsCommand /bin/true \udcff\udcfe", '"??" has characters that cannot be printed'),
        ("AcmeDnsWait soon", "soon is not a duration"),
        ("AcmeDnsWait 2d", "longer than 24h"),
        ("AcmeDnsWait 1min dns.example", '"dns.example" is not the address of a resolver'),
        ("AcmeDnsWait 1min 1.2.3.4:0", "is not the address of a resolver"),
    ],
)
def test_refusals(acme_httpd, line, sentence):
    acme_httpd.config(line)
    done = acme_httpd.configtest()
    assert done.returncode != 0
    assert "ACME1010: AcmeDns" in done.stderr and sentence in done.stderr


def test_journal_is_the_workers_alone(acme_httpd, pebble):
    program = Program(acme_httpd, pebble, "test $verb = teardown || sleep 300")
    acme_httpd.config(directives(program, pebble) + "AcmeChallenges dns-01")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    (entry,) = wait_until(lambda: journal(acme_httpd), 30, "journal")
    assert entry.stat().st_mode & 0o777 == 0o600
    assert json.loads(entry.read_text())["name"] == f"_acme-challenge.{SHOP}"
