"""AcmeActivate and AcmeActivateDelay: how certificates come into service, and which never do."""

import contextlib
import json
import os
import re
import shutil
import signal
import struct
import time
from datetime import timedelta
from pathlib import Path

import pytest

from . import pki
from .proc import free_port, wait_until
from .test_acmectl import ctl
from .test_engine import make_drive  # noqa: F401  (a fixture)
from .test_events import notes, told, write_program
from .test_issue import SHOP, issue_one, serial

RELOADS = re.compile(r"^\[([^\]]+)\].*ACME1904", re.MULTILINE)
BY_ADMINISTRATOR = "waiting for reload by the administrator"
BY_ITSELF = "waiting for reload, which comes by itself"


@pytest.fixture
def later_ca(make_fakeca):
    """Certificates of a hundred hours; what is issued from the second on is so by a clock that is
    hours ahead."""
    ca = make_fakeca(validity=360_000)
    ca.hours = 0

    def shift(leaf):
        leaf.not_before += timedelta(hours=ca.hours)
        leaf.not_after += timedelta(hours=ca.hours)

    ca.on_issue = shift
    return ca


def ahead(ca, drive, hours):
    """It is so late now, for both."""
    ca.hours = hours
    drive.set_clock(hours * 3600)


def key_of(server, name=SHOP):
    """What the status page tells of the first key of a certificate."""
    found = json.loads(server.acme_status(f"format=json&certificate={name}").text)
    return found["certificates"][0]["keys"][0]


def waits(server, name=SHOP):
    return (key_of(server, name)["waiting"] or {}).get("text", "")


def serials(server, name=SHOP, count=12):
    """Of as many handshakes, with whichever children."""
    return {serial(server.served_cert(name)) for _ in range(count)}


def promoted(server, name=SHOP):
    chain = server.store / "certificates" / name / "ecdsa" / "chain.pem"
    return pki.load_chain(chain.read_bytes())[0].serial_number


def reloads(server):
    """Moments of the reloads that the server has begun by itself, in seconds of a day."""
    found = [re.search(r"(\d+):(\d+):([\d.]+)", stamp) for stamp in RELOADS.findall(server.log())]
    return [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s in (one.groups() for one in found)]


# --- manual


@pytest.mark.all_mpms
def test_manual_serves_the_old_one_until_the_administrator_reloads(httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivate manual").vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: waits(httpd) == BY_ADMINISTRATOR, 30, httpd.log)
    assert httpd.served_cert(SHOP).self_signed
    assert httpd.get("/", host=SHOP, https=True).status == 503
    assert BY_ADMINISTRATOR in ctl(httpd, "status")
    assert key_of(httpd)["serving"] is None
    httpd.graceful()
    first = serial(httpd.served_cert(SHOP))
    assert first == promoted(httpd)
    wait_until(lambda: not waits(httpd) and key_of(httpd)["state"] == "valid", 30, httpd.log)

    assert BY_ADMINISTRATOR in ctl(httpd, "renew", SHOP)
    assert waits(httpd) == BY_ADMINISTRATOR
    assert serials(httpd) == {first}
    shown = ctl(httpd, "show", SHOP)
    assert re.search(rf"activation *{BY_ADMINISTRATOR}\n *served *set 1, valid until 2", shown), shown
    assert httpd.server_status()[f"Acme[{SHOP}/ecdsa]Waiting"] == BY_ADMINISTRATOR
    assert BY_ADMINISTRATOR in httpd.acme_status("").text
    assert 'acme_certificate_waiting{certificate="shop.example.org",key_type="ecdsa-p256"} 1' in (
        httpd.acme_status("format=prometheus").text
    )
    assert re.search(r"ACME1901: .*set 2 is waiting .* until then set 1 is served", httpd.log())
    # new children, and the engine in one of them, know what serves
    for child in httpd.children():
        httpd.kill_child(child.pid)
    mark = httpd.mark()
    httpd.wait_log("looking after", 30, mark)
    assert serials(httpd) == {first} and waits(httpd) == BY_ADMINISTRATOR
    httpd.graceful()
    assert len(serials(httpd) | {promoted(httpd)}) == 1 and first != promoted(httpd)
    wait_until(lambda: key_of(httpd)["serving"]["set"] == 2 and not waits(httpd), 30, httpd.log)
    assert not reloads(httpd)


def test_expiring_is_told_of_what_serves_while_its_successor_waits(later_ca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir)
    options = ["--on", f"expiring,renewed {program}", "--warn", "10", "--stay"]
    make_drive(later_ca, [SHOP]).run()
    served = json.loads((live_dir / "store/fresh" / SHOP / "ecdsa.1/record.json").read_text())
    drive = make_drive(later_ca, [SHOP], "--activate", "manual", "--shown", "1", *options)
    ahead(later_ca, drive, 80)
    drive.start()
    drive.wait_text(rf"ACME1901 .*{BY_ADMINISTRATOR}; until then set 1 is served")
    wait_until(lambda: told(program) == ["renewed"], 10, drive.text)
    assert notes(program)[0][1]["ACME_ACTIVATION"] == BY_ADMINISTRATOR
    ahead(later_ca, drive, 95)
    wait_until(lambda: told(program, "expiring") == ["expiring"], 30, drive.text)
    assert re.search(r"ACME1907 .*ends at .*\(set 2\) does not serve yet", drive.text())
    env = notes(program)[-1][1]
    assert env["ACME_ERROR_CODE"] == "1907"
    assert (env["ACME_SERIAL"], env["ACME_NOT_AFTER"]) == (served["serial"], served["not_after"])
    # a new engine knows it as well, and tells it the next day
    drive.process.kill()
    ahead(later_ca, drive, 95 + 25)
    drive.start()
    wait_until(lambda: len(told(program, "expiring")) == 2, 30, drive.text)
    assert "ended at" in notes(program)[-1][1]["ACME_ERROR"]
    assert len(later_ca.certs) == 2


# --- reload


def test_reloads_bring_several_certificates_at_once_and_keep_their_interval(httpd, fakeca):
    names = [SHOP, "blog.example.org", "mail.example.org"]
    httpd.acme(fakeca, "AcmeActivate reload 15s")
    for name in names:
        httpd.vhost(name, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: all(waits(httpd, name) == BY_ITSELF for name in names), 30, httpd.log)
    assert httpd.served_cert(SHOP).self_signed
    for name in names:
        httpd.wait_cert(name, timeout=60)
    assert len(reloads(httpd)) == 1
    before = {name: serial(httpd.served_cert(name)) for name in names}
    wait_until(lambda: all(not waits(httpd, name) for name in names), 30, httpd.log)

    assert BY_ITSELF in ctl(httpd, "renew", SHOP)
    ctl(httpd, "renew", names[1])
    assert serials(httpd) == {before[SHOP]}
    for name in names[:2]:
        httpd.wait_cert(name, lambda s, name=name: serial(s) != before[name], timeout=60)
    assert serial(httpd.served_cert(names[2])) == before[names[2]]
    first, second = reloads(httpd)
    assert (second - first) % 86400 >= 15
    assert promoted(httpd) == serial(httpd.served_cert(SHOP))
    assert not re.search(r"ACME19(05|06)", httpd.log())


def wishes(pid, interval):
    """Where the wish for a reload lies in the memory that processes share."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(text, 16) for text in line.split()[0].split("-"))
            if "rw-s" not in line or end - begin > 65536:
                continue
            memory.seek(begin)
            head = memory.read(64)
            for at in range(0, 48, 8):
                since, wanted = struct.unpack_from("<qq", head, at)
                if wanted == interval and abs(since / 1e6 - time.time()) < 600:
                    yield begin + at


@pytest.mark.needs_root
def test_worker_that_was_taken_over_gets_no_more_reloads_than_are_allowed(httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivate reload 1h").vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: waits(httpd) == BY_ITSELF, 30, httpd.log)
    places = [at for child in httpd.children() for at in wishes(child.pid, 3600 * 10**6)]
    assert places and len(set(places)) == 1

    def wish():
        """Since two minutes ago, as often as you like."""
        for child in httpd.children()[:1]:
            with contextlib.suppress(OSError):  # it has just ended
                with open(f"/proc/{child.pid}/mem", "r+b", 0) as memory:
                    memory.seek(places[0])
                    memory.write(struct.pack("<qq", int((time.time() - 120) * 1e6), 0))
        return reloads(httpd)

    wait_until(wish, 30, httpd.log)
    end = time.monotonic() + 25  # the parent looks every ten seconds
    wait_until(lambda: wish() and time.monotonic() > end, 40, httpd.log)
    assert len(reloads(httpd)) == 1


def test_reload_is_done_only_with_what_the_server_has_read_and_if_that_would_start(
    httpd, fakeca, live_dir, monkeypatch
):
    program, sites = live_dir / "program", live_dir / "sites"
    shutil.copy(shutil.which("apache2", path="/usr/sbin:/usr/bin"), program)
    wrapped = os.environ.get("ACME_HTTPD")  # by build/sanitize: it starts what it is told
    if wrapped:
        httpd.env["ACME_REAL_HTTPD"] = str(program)
    else:
        monkeypatch.setenv("ACME_HTTPD", str(program))
    sites.mkdir()
    httpd.acme(fakeca, f"AcmeActivate reload 10s\nIncludeOptional {sites}/*.conf")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    cert, key = httpd.self_signed(["own.example.org"])
    httpd.vhost("own.example.org", cert=(cert, key))
    binding = "AcmeExternalAccount https://other.example/dir kid-1 "
    as_read = f"{binding}c2VjcmV0LXNlY3JldC1zZWNyZXQ\n"
    (sites / "new.conf").write_text(as_read)
    httpd.start()
    if not wrapped:
        monkeypatch.delenv("ACME_HTTPD")
    httpd.env.pop("ACME_REAL_HTTPD", None)
    # an upgrade of httpd's package: what stands there now is not what runs
    program.unlink()
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    # another program is in the middle of replacing a pair
    good = key.read_bytes()
    key.write_bytes(pki.key_pem(pki.new_key()))
    found = httpd.wait_log(r"ACME1905: .*", 60).group(0)
    assert "ACME1911" in found and f"{cert} and {key}: the key is another" in found
    key.write_bytes(good)
    # the administrator writes a new host, whose key is not there yet
    pair = f"SSLCertificateFile {cert}\nSSLCertificateKeyFile {httpd.self_signed(['x.y'])[1]}\n"
    host = f"ServerName n.example.org\nSSLEngine on\n{pair}"
    (sites / "new.conf").write_text(
        f"<VirtualHost *:{httpd.https_port}>\n{host}</VirtualHost>\n"
    )
    assert httpd.configtest().returncode == 0
    changed = "no reload: the configuration has been changed"
    wait_until(lambda: httpd.log().count(changed) > 1, 60, httpd.log)
    assert httpd.log().count("ACME1910") == 1
    by_hand = "waiting for reload by the administrator"
    assert waits(httpd) == by_hand and by_hand in ctl(httpd, "status")
    (sites / "new.conf").write_text("NoSuchDirective on\n")
    httpd.wait_log(r"ACME1905: .*NoSuchDirective", 60)
    # a change that no line of the configuration shows, as httpd keeps it
    (sites / "new.conf").write_text(f"{binding}b3RoZXItb3RoZXItb3RoZXI\n")
    seen = httpd.log().count(changed)
    wait_until(lambda: httpd.log().count(changed) > seen or reloads(httpd), 60, httpd.log)
    assert httpd.running() and not reloads(httpd)
    assert httpd.served_cert(SHOP).self_signed
    # never mind
    (sites / "new.conf").write_text(f"# as it was\n{as_read}")
    httpd.wait_cert(SHOP, timeout=60)
    assert len(reloads(httpd)) == 1
    assert "ACME1906" not in httpd.log()


def stop_look(server, timeout=40):
    """The next look, stopped as soon as it has begun: it takes a few hundredths of a second."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for pid in map(int, children.read_text().split()):
            with contextlib.suppress(OSError):  # it has just ended
                if b"-t" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    os.kill(pid, signal.SIGSTOP)
                    return pid
        time.sleep(0.002)
    raise AssertionError(f"no look within {timeout} s")


@pytest.mark.all_mpms
def test_look_that_is_killed_is_told_and_the_next_one_reloads(httpd, fakeca, mpm):
    """Each MPM has a way of its own to tell of a process's end; what follows is the same."""
    httpd.acme(fakeca, "AcmeActivate reload 10s").vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: waits(httpd) == BY_ITSELF, 30, httpd.log)
    os.kill(stop_look(httpd), signal.SIGKILL)
    httpd.wait_log(r"ACME1905: .* not valid: .*httpd -t ended with status or signal 9", 20)
    if mpm != "event":
        return
    httpd.wait_cert(SHOP, timeout=60)
    assert len(reloads(httpd)) == 1


def test_refused_by_root_is_told_and_not_reloaded_for_without_end(httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivate reload 10s").vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: waits(httpd) == BY_ITSELF, 30, httpd.log)
    (httpd.store / "fresh" / SHOP / "ecdsa.1/chain.pem").write_text("no certificate\n")
    httpd.wait_log("ACME1109", 60)
    # the engine goes on from what is whole: a new order, and one more reload
    httpd.wait_cert(SHOP, timeout=60)
    assert len(reloads(httpd)) == 2
    assert promoted(httpd) == serial(httpd.served_cert(SHOP))


# --- delay


def test_delay_is_kept_by_live_activation_and_by_reloads(httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivateDelay 12s").vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    first = serial(httpd.wait_cert(SHOP, timeout=10))  # nobody waits for the first
    ctl(httpd, "renew", SHOP)
    assert waits(httpd).startswith("waiting until 2")
    assert serials(httpd) == {first}
    httpd.graceful()
    assert serials(httpd) == {first} == {promoted(httpd)}
    wait_until(lambda: waits(httpd).startswith("waiting until 2"), 10, httpd.log)
    second = serial(httpd.wait_cert(SHOP, lambda s: serial(s) != first, timeout=30))
    httpd.wait_log(r"ACME1900: .*set 2 is in service now")
    httpd.graceful()
    assert serials(httpd) == {second} == {promoted(httpd)}


def test_delay_outlives_the_engine_and_ends_with_what_serves(later_ca, make_drive):  # noqa: F811
    make_drive(later_ca, [SHOP]).run()
    drive = make_drive(later_ca, [SHOP], "--delay", str(30 * 86400), "--shown", "1", "--stay")
    ahead(later_ca, drive, 70)
    drive.start()
    drive.wait_text(r"ACME1901 .*set 2 is waiting until")
    drive.process.kill()
    mark = len(drive.text())
    ahead(later_ca, drive, 99)
    drive.start()
    wait_until(lambda: "ACME1501" in drive.text()[mark:], 20, drive.text)
    assert "ecdsa 2" not in drive.text()
    # said once, though there may be thousands, and a reload each day
    assert drive.text().count("ACME1901") == 1
    ahead(later_ca, drive, 101)
    drive.wait_text(f"activate {SHOP} ecdsa 2\n")
    drive.wait_text("ACME1900 ")


def test_wait_ends_when_another_server_of_the_store_has_the_set_in_service(httpd, make_httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivateDelay 20s").vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    first = serial(httpd.wait_cert(SHOP, timeout=10))
    ctl(httpd, "renew", SHOP)
    until = waits(httpd)
    assert until.startswith("waiting until 2")
    other = make_httpd()
    other.acme(fakeca, store=httpd.store).vhost(SHOP, https_extra="AcmeManage on")
    other.start()
    second = serial(other.wait_cert(SHOP, lambda s: serial(s) != first, timeout=10))
    assert serials(httpd) == {first} and waits(httpd) == until
    assert serial(httpd.wait_cert(SHOP, lambda s: serial(s) != first, timeout=30)) == second
    wait_until(lambda: not waits(httpd) and key_of(httpd)["serving"]["set"] == 2, 10, httpd.log)
    other.graceful()
    assert serials(other) == {second} == serials(httpd)


# --- tried before, and looked at after


def test_pair_that_no_handshake_takes_never_goes_live(httpd, fakeca):
    rsa_only = "SSLProtocol -all +TLSv1.2\nSSLCipherSuite ECDHE-RSA-AES256-GCM-SHA384"
    httpd.acme(fakeca, "AcmeKeyType rsa2048")
    httpd.vhost(SHOP, https_extra=f"AcmeManage on\n{rsa_only}")
    httpd.start()
    first = serial(httpd.wait_cert(SHOP, version="1.2"))
    httpd.graceful()
    httpd.config("AcmeKeyType ecdsa-p256")
    httpd.graceful()
    found = httpd.wait_log(r"ACME1902: .*httpd\.conf:\d+: .*", 30)
    assert "no shared cipher" in found.group(0)
    for _ in range(2):
        assert serial(httpd.served_cert(SHOP, version="1.2")) == first
        error = key_of(httpd)["error"]
        assert error["code"] == "ACME1902" and "SSLCipherSuite" in error["remedy"]
        assert not (httpd.store / "certificates" / SHOP / "ecdsa").exists()
        httpd.restart()
        wait_until(lambda: key_of(httpd)["error"], 20, httpd.log)
    assert len(fakeca.certs) == 2  # and not ordered again and again
    # the administrator mends it
    httpd.remove_vhost(SHOP)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.graceful()
    ctl(httpd, "renew", SHOP)
    assert httpd.served_cert(SHOP).key_type == "ecdsa-p256"


@pytest.mark.needs_root
def test_settings_of_every_host_count_and_those_of_openssl_commands(httpd, fakeca):
    httpd.acme(fakeca, "AcmeActivate manual")
    for port in [True] + [free_port() for _ in range(8)]:
        httpd.vhost(SHOP, http=port is True, https=port, https_extra="AcmeManage on")
    httpd.start()
    wait_until(lambda: waits(httpd) == BY_ADMINISTRATOR, 30, httpd.log)
    picky = "SSLOpenSSLConfCmd SignatureAlgorithms RSA-PSS+SHA256"
    httpd.vhost(SHOP, http=False, https=free_port(), https_extra=f"AcmeManage on\n{picky}")
    httpd.graceful()
    found = httpd.wait_log(r"ACME1912: .*set 1 .*httpd\.conf:\d+: .*", 30).group(0)
    assert "signature algorithm" in found
    assert serial(httpd.served_cert(SHOP)) == promoted(httpd)
    assert "ACME1902" in ctl(httpd, "renew", SHOP, code=1)
    assert not waits(httpd) and not (httpd.store / "fresh" / SHOP / "ecdsa.2").exists()


def test_pair_is_tried_before_it_is_stored_where_root_finds_it(later_ca, make_drive, live_dir):  # noqa: F811
    killed = make_drive(later_ca, [SHOP], "--killed-trying")
    assert killed.run() == -signal.SIGKILL
    assert len(later_ca.certs) == 1 and not list((killed.store / "fresh").glob("*/*"))
    work, kept = (killed.store / "work" / SHOP, live_dir / "kept")
    shutil.copytree(work, kept)
    drive = make_drive(later_ca, [SHOP])  # it goes on with the order
    for run in (1, 2):
        assert drive.run() == 0, drive.text()
        assert len(later_ca.certs) == 1
        assert (drive.text().count("ACME1500 "), drive.text().count("ACME1900 ")) == (1, run)
        assert [path.name for path in (drive.store / "fresh" / SHOP).iterdir()] == ["ecdsa.1"]
        # as if it had been killed when it was stored
        shutil.rmtree(work)
        shutil.copytree(kept, work)


def test_set_that_cannot_be_loaded_for_a_moment_is_tried_again(later_ca, make_drive):  # noqa: F811
    make_drive(later_ca, [SHOP]).run()
    drive = make_drive(later_ca, [SHOP], "--shown", "1", "--unloaded", "2", "--stay")
    ahead(later_ca, drive, 70)
    drive.start()
    drive.wait_text(r"ACME1100 (.|\n)*activate \S+ ecdsa 2\nactivate \S+ ecdsa 1\n|"
                    r"activate \S+ ecdsa 2\nactivate \S+ ecdsa 1\n(.|\n)*ACME1100 ")
    assert "ACME1900" not in drive.text()[drive.text().index("ecdsa 2\n"):]
    ahead(later_ca, drive, 71)
    drive.wait_text("ACME1900 .*set 2 is in service")
    assert "ACME1903" not in drive.text() and len(later_ca.certs) == 2


def test_frozen_engine_takes_nothing_out_of_service_that_the_next_one_shows(later_ca, make_drive):  # noqa: F811
    make_drive(later_ca, [SHOP]).run()
    options = ["--shown", "1", "--unshown", "2", "--frozen-checking", "--stay"]
    frozen = make_drive(later_ca, [SHOP], *options)
    ahead(later_ca, frozen, 70)
    frozen.start()
    frozen.wait_text(r"activate \S+ ecdsa 2\n")
    stat = Path(f"/proc/{frozen.process.popen.pid}/stat")
    wait_until(lambda: ") T " in stat.read_text(), 10, "it is stopped")
    ahead(later_ca, frozen, 71)
    assert make_drive(later_ca, [SHOP], "--shown", "2").run() == 0, frozen.text()
    mark = len(frozen.text())
    os.kill(frozen.process.popen.pid, signal.SIGCONT)
    frozen.finish()
    assert "ACME1110" in frozen.text()[mark:]
    assert f"activate {SHOP}" not in frozen.text()[mark:]


def test_set_that_handshakes_do_not_show_gives_way_to_the_last_good_one(later_ca, make_drive):  # noqa: F811
    make_drive(later_ca, [SHOP]).run()
    options = ["--shown", "1", "--unshown", "2", "--retry", "1", "--stay"]
    drive = make_drive(later_ca, [SHOP], *options)
    ahead(later_ca, drive, 70)
    drive.start()
    drive.wait_text(r"ACME1903 .*set 2 was put into service, but .*; set 1 serves again")
    drive.wait_text("activate shop.example.org ecdsa 3\n")
    told_of = re.findall(r"^activate \S+ ecdsa (\d+)$", drive.text(), re.MULTILINE)
    assert told_of[-3:] == ["2", "1", "3"], drive.text()

    def fresh():
        return {path.name for path in (drive.store / "fresh" / SHOP).iterdir()}

    wait_until(lambda: fresh() == {"ecdsa.3"}, 10, fresh)
