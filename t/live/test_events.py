"""Programs of AcmeOn: told of events, and opening the way for challenges."""

import os
import re
import signal
import subprocess
import time

import pytest

from . import faults
from .fakeca import challenge_error
from .httpd import TOP, WORKER_USER
from .proc import wait_until
from .test_engine import make_drive  # noqa: F401  (a fixture)

EVENTS = "renewing renewed installed expiring errored revoked challenge-open challenge-close".split()
NAME = "shop.example.org"


def write_program(folder, body="", name="program"):
    """A program that notes the event it is called for and its environment, and then does body."""
    path = folder / name
    notes = folder / f"{name}.notes"
    notes.mkdir()
    notes.chmod(0o777)
    path.write_text(
        f"""#!/bin/sh
n=$(mktemp {notes}/new.XXXXXX)
printf '%s\\n' "$*" >"$n"
env >>"$n"
mv "$n" "{notes}/$(date +%s%N)"
{body}
"""
    )
    path.chmod(0o755)
    return path


def notes(program):
    """[(arguments, environment)] of the calls, in order."""
    found = []
    folder = program.with_name(f"{program.name}.notes")
    for path in sorted(folder.glob("[0-9]*")):
        args, *env = path.read_text().splitlines()
        found.append((args.split(" "), dict(line.split("=", 1) for line in env)))
    return found


def told(program, *events):
    return [args[0] for args, _ in notes(program) if not events or args[0] in events]


def journal(drive):
    return list((drive.store / "journal").glob("*.json"))


@pytest.fixture
def short_ca(make_fakeca):
    """Certificates of a hundred hours."""
    return make_fakeca(validity=360_000)


# Events, by the engine


def test_issue_is_told_with_arguments_and_a_clean_environment(fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, "echo done")
    on = f"{','.join(EVENTS[:6])} {program} a1 --x"
    drive = make_drive(fakeca, [f"{NAME},www.{NAME}"], "--on", on, "--stay").start()
    wait_until(lambda: len(told(program)) == 2, 30, drive.text)
    drive.wait_text(r"ACME1563 .*program was told of the event renewed")
    assert [args for args, _ in notes(program)] == [
        ["a1", "--x", "renewing", NAME],
        ["a1", "--x", "renewed", NAME],
    ]
    env = notes(program)[1][1]
    assert {key: env[key] for key in env if key in ("ACME_EVENT", "ACME_DOMAIN", "ACME_DOMAINS")} == {
        "ACME_EVENT": "renewed", "ACME_DOMAIN": NAME, "ACME_DOMAINS": f"{NAME} www.{NAME}",
    }  # fmt: skip
    assert env["ACME_STORE"] == str(drive.store)
    assert env["ACME_KEY_TYPE"] == "ecdsa-p256" and env["ACME_CA"] == fakeca.directory_url
    assert env["ACME_NOT_AFTER"] > env["ACME_NOT_BEFORE"] and env["ACME_SERIAL"]
    strange = {key for key in env if not key.startswith("ACME_")}
    assert strange <= {"PATH", "PWD", "_", "SHLVL", "OLDPWD"}
    assert re.search(r"ACME1521 .*program says: done", drive.text())
    assert not journal(drive)


def test_event_that_the_journal_cannot_hold_whole_is_told_all_the_same(fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, "exec sleep 60")
    bent = program.rename(live_dir / os.fsdecode(b"caf\xe9"))
    drive = make_drive(fakeca, [NAME], "--on", f"renewed {bent}", "--stay").start()
    wait_until(lambda: told(program) == ["renewed"], 30, drive.text)
    assert re.search("ACME1001 .*out of memory while writing the journal", drive.text())
    assert not journal(drive)


def test_errored_is_told_when_the_error_changes_and_daily(make_fakeca, make_drive, live_dir):  # noqa: F811
    ca = make_fakeca()
    rejected = ca.script("new-order", faults.problem("rejectedIdentifier"), times=1000)
    program = write_program(live_dir)
    drive = make_drive(ca, [NAME], "--on", f"errored {program}", "--stay", "--retry", "1").start()
    wait_until(lambda: len(told(program)) == 1, 30, drive.text)
    env = notes(program)[0][1]
    assert env["ACME_ERROR_CODE"].isdigit() and env["ACME_ERROR"] and env["ACME_REMEDY"]
    count = len(ca.requests)
    # the same error, and a restart between, tell nothing new
    drive.process.kill()
    drive.set_clock(3600)
    drive.start()
    drive.wait_text(r"looking after")
    assert len(told(program)) == 1 and len(ca.requests) >= count
    drive.set_clock(2 * 86400)
    wait_until(lambda: len(told(program)) == 2, 30, drive.text)
    del rejected


def test_expiring_is_told_daily_across_restarts_until_mended(short_ca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir)
    options = ["--on", f"expiring,renewed {program}", "--warn", "10", "--stay", "--retry", "1"]
    drive = make_drive(short_ca, [NAME], *options).start()
    drive.wait_text("ACME1500 ")
    wait_until(lambda: told(program) == ["renewed"], 10, drive.text)
    broken = faults.problem("serverInternal", status=500)
    short_ca.script("new-order", broken, times=1000)
    ahead = 95 * 3600  # five hours before the end
    drive.set_clock(ahead)
    wait_until(lambda: told(program, "expiring") == ["expiring"], 30, drive.text)
    assert re.search(r"ACME1565 .*ends at", drive.text())
    env = notes(program)[-1][1]
    assert env["ACME_ERROR_CODE"] == "1565" and env["ACME_NOT_AFTER"] in env["ACME_ERROR"]
    drive.process.kill()
    mark = len(drive.text())
    drive.start()
    wait_until(lambda: "looking after" in drive.text()[mark:], 10, drive.text)
    assert len(told(program, "expiring")) == 1
    drive.set_clock(ahead + 25 * 3600)
    wait_until(lambda: len(told(program, "expiring")) == 2, 30, drive.text)
    assert "ended at" in notes(program)[-1][1]["ACME_ERROR"]


def test_hanging_program_delays_no_order_and_is_not_piled_up(fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, "exec sleep 1000")
    names = [f"h{n}.example.org" for n in range(30)]
    drive = make_drive(fakeca, names, "--on", f"renewing,renewed {program}", "--stay").start()
    wait_until(lambda: drive.text().count("ACME1500 ") == 30, 30, drive.text)
    running = subprocess.run(["pgrep", "-fc", "^sleep 1000$"], capture_output=True, text=True, check=False)
    assert len(told(program)) <= 4 and int(running.stdout) >= 0
    # all renewed ones are kept for the next start, none twice
    assert len(journal(drive)) == 30


def test_what_was_not_told_before_a_kill_is_told_after_it(fakeca, make_drive, live_dir):  # noqa: F811
    (live_dir / "wait").touch()
    program = write_program(live_dir, f"test ! -e {live_dir}/wait || exec sleep 1000")
    drive = make_drive(fakeca, [NAME], "--on", f"renewed {program}", "--stay").start()
    wait_until(lambda: len(told(program)) == 1, 30, drive.text)
    drive.process.kill()
    (live_dir / "wait").unlink()
    drive.start()
    wait_until(lambda: told(program) == ["renewed", "renewed"], 30, drive.text)
    wait_until(lambda: not journal(drive), 10, drive.text)
    assert notes(program)[0][1]["ACME_SERIAL"] == notes(program)[1][1]["ACME_SERIAL"]


def test_what_acme_on_names_no_more_is_forgotten(fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, "exec sleep 1000")
    drive = make_drive(fakeca, [NAME], "--on", f"renewed {program}", "--stay").start()
    wait_until(lambda: len(told(program)) == 1, 30, drive.text)
    drive.process.kill()
    assert journal(drive)
    assert make_drive(fakeca, [NAME]).run() == 0
    assert not journal(drive) and len(told(program)) == 1


# The way for challenges, by the engine


def gate(program, more=""):
    return ["--on", f"challenge-open,challenge-close {program}{more}"]


def seen_open(state):
    """A challenge_result that looks whether the way is open."""

    def look(name, kind):
        if not state.exists():
            return challenge_error("connection", f"{name}: shut")
        return None

    return look


def test_gate_is_opened_before_validation_and_shut_after(make_fakeca, make_drive, live_dir):  # noqa: F811
    ca, state = make_fakeca(), live_dir / "open"
    ca.challenge_result = seen_open(state)
    program = write_program(live_dir, f'test "$1" = challenge-open && touch {state} || rm -f {state}')
    drive = make_drive(ca, [NAME], *gate(program), "--stay").start()
    drive.wait_text("ACME1500 ")
    drive.wait_text("ACME1568 ")
    assert [args for args, _ in notes(program)] == [
        ["challenge-open", NAME, "http-01", "80"],
        ["challenge-close", NAME, "http-01", "80"],
    ]
    assert notes(program)[0][1]["ACME_CHALLENGE_TYPE"] == "http-01"
    assert not state.exists() and not journal(drive)


def test_gate_is_shared_by_a_hundred_and_open_as_long_as_one_needs_it(
    make_fakeca, make_drive, live_dir  # noqa: F811
):
    ca, state = make_fakeca(validation_polls=1), live_dir / "open"
    ca.challenge_result = seen_open(state)
    program = write_program(live_dir, f'test "$1" = challenge-open && touch {state} || rm -f {state}')
    names = [f"h{n}.example.org" for n in range(100)]
    options = [*gate(program), "--concurrency", "10", "--stay"]
    drive = make_drive(ca, names, *options).start()
    wait_until(lambda: drive.text().count("ACME1500 ") == 100, 90, drive.text)
    drive.wait_text("ACME1568 ")
    assert told(program) == ["challenge-open", "challenge-close"]
    assert not state.exists()


def test_gate_that_refuses_sends_nothing_and_is_shut(make_fakeca, make_drive, live_dir):  # noqa: F811
    ca = make_fakeca(challenges=("http-01",))
    program = write_program(live_dir, 'echo no >&2; test "$1" != challenge-open')
    drive = make_drive(ca, [NAME], *gate(program), "--until-failed")
    assert drive.run() == 0
    assert re.search(r"ACME1566 .*http-01.*challenge-open refused.*status 1.*no", drive.text())
    assert not [one for one in ca.requests if one.endpoint == "challenge"]
    assert drive.doc(NAME)["error_code"] == 1566
    drive = make_drive(ca, [NAME], *gate(program), "--stay").start()
    wait_until(lambda: "challenge-close" in told(program), 10, drive.text)
    wait_until(lambda: not journal(drive), 10, drive.text)


def test_gate_is_shut_after_a_failed_validation(make_fakeca, make_drive, live_dir):  # noqa: F811
    ca = make_fakeca(challenges=("http-01",))
    ca.challenge_result = lambda name, kind: challenge_error("unauthorized", "no")
    program = write_program(live_dir)
    drive = make_drive(ca, [NAME], *gate(program), "--stay").start()
    drive.wait_text("ACME1568 ")
    assert told(program) == ["challenge-open", "challenge-close"] and not journal(drive)


def test_gate_is_shut_after_a_kill_when_no_order_needs_it(make_fakeca, make_drive, live_dir):  # noqa: F811
    ca = make_fakeca()
    ca.validation_gate.clear()
    program = write_program(live_dir)
    drive = make_drive(ca, [NAME], *gate(program), "--stay").start()
    ca.wait_request("challenge")
    drive.process.kill()
    assert told(program) == ["challenge-open"] and journal(drive)
    # another configuration, that neither has AcmeOn nor this certificate
    other = make_drive(ca, ["other.example.org"], "--stay").start()
    wait_until(lambda: "challenge-close" in told(program), 30, other.text)
    ca.validation_gate.set()


def test_gate_is_opened_again_for_an_order_that_a_kill_left(make_fakeca, make_drive, live_dir):  # noqa: F811
    """As after a reboot, which has shut it: before the CA is asked anything."""
    ca, state, hold = make_fakeca(), live_dir / "open", live_dir / "hold"
    ca.challenge_result = seen_open(state)
    ca.validation_gate.clear()
    program = write_program(
        live_dir,
        f'''while test -e {hold}; do sleep 0.02; done
test "$1" = challenge-open && touch {state} || rm -f {state}''',
    )
    drive = make_drive(ca, [NAME], *gate(program), "--stay").start()
    ca.wait_request("challenge")
    drive.process.kill()
    state.unlink()
    hold.touch()
    asked = len(ca.requests_to("authz"))
    drive.start()
    wait_until(lambda: told(program) == ["challenge-open"] * 2, 30, drive.text)
    drive.wait_text("opening the way for http-01|ACME1503")
    assert len(ca.requests_to("authz")) == asked
    hold.unlink()
    ca.validation_gate.set()
    drive.wait_text("ACME1500 ")
    drive.wait_text("ACME1568 ")
    assert not state.exists() and not journal(drive)


def test_gate_that_cannot_be_shut_is_told_and_tried_again(make_fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, f'test "$1" = challenge-open -o -e {live_dir}/mended')
    drive = make_drive(make_fakeca(), [NAME], *gate(program), "--stay").start()
    drive.wait_text(r"ACME1569 .*may be open still.*shut again at")
    assert journal(drive)
    (live_dir / "mended").touch()
    drive.set_clock(60)
    drive.wait_text("ACME1568 ")
    assert not journal(drive)


def test_gate_is_opened_anew_while_it_is_needed_long(make_fakeca, make_drive, live_dir):  # noqa: F811
    ca = make_fakeca()
    ca.validation_gate.clear()
    program = write_program(live_dir)
    drive = make_drive(ca, [NAME], *gate(program), "--stay").start()
    ca.wait_request("challenge")
    drive.set_clock(301)
    wait_until(lambda: told(program) == ["challenge-open"] * 2, 10, drive.text)
    ca.validation_gate.set()
    drive.wait_text("ACME1568 ")


# Directives


@pytest.mark.parametrize(
    "line, said",
    [
        ("AcmeOn renewd /bin/true", '"renewd" is not an event; renewing, renewed, .*challenge-close are$'),
        ("AcmeOn renewed,,errored /bin/true", '"" is not an event'),
        ("AcmeOn renewed", 'no program for "renewed"'),
        ("AcmeOn nothing", '"nothing" is not an event; .* are, and "none" alone'),
        ("AcmeOn renewed /nonexistent/program", "/nonexistent/program is not a program that can be executed"),
        ("AcmeOn renewed /usr/bin", "/usr/bin is not a program that can be executed"),
        ("AcmeOn renewed /bin/true a\x01b", "characters that cannot be printed"),
        ("AcmeWarn soon", '"?soon"? is not a (time|duration)'),
        ("AcmeWarn 100%", "100%"),
    ],
)
def test_malformed_directive_is_refused_in_words(httpd, line, said):
    httpd.load_acme().config(line)
    done = httpd.configtest()
    assert done.returncode != 0
    assert re.search(said, done.stderr, re.MULTILINE), done.stderr


def test_well_formed_directives_are_taken(httpd):
    httpd.load_acme().config(
        "AcmeWarn 7d\nAcmeOn Renewed,errored /bin/true a b\nAcmeOn none\nAcmeOn expiring /bin/true\n"
    )
    assert httpd.configtest().returncode == 0


def test_reference_has_every_event_and_variable():
    text = (TOP / "mod_acme/doc/events.md").read_text()
    sources = "".join((TOP / f"mod_acme/{name}.c").read_text() for name in ("engine/events", "engine/gate_spec"))
    variables = set(re.findall(r'"(ACME_[A-Z_]+)"', sources))
    assert len(variables) > 10
    for word in [*EVENTS, *variables]:
        assert f"`{word}`" in text, word


# In the server


def test_hosts_add_their_programs_to_those_of_the_server(acme_httpd, live_dir):
    every = write_program(live_dir, name="every")
    one = write_program(live_dir, name="one")
    acme_httpd.config(f"AcmeManage on\nAcmeOn renewed {every}\n")
    acme_httpd.vhost("plain.example.org")
    acme_httpd.vhost("own.example.org", https_extra=f"AcmeOn renewed {one}")
    acme_httpd.vhost("alone.example.org", https_extra=f"AcmeOn none\nAcmeOn renewed {one}")
    acme_httpd.start()
    wait_until(lambda: len(notes(one)) == 2 and len(notes(every)) == 2, 60, acme_httpd.log)
    assert sorted(args[1] for args, _ in notes(every)) == ["own.example.org", "plain.example.org"]
    assert sorted(args[1] for args, _ in notes(one)) == ["alone.example.org", "own.example.org"]


@pytest.mark.parametrize(
    "body, said",
    [('test "$1" = challenge-open', "ended with status 1"),
     ('test "$1" = challenge-open || exec sleep 1000', None)],
    ids=["fails", "hangs"],
)  # fmt: skip
def test_program_that_shuts_nothing_holds_up_no_stop(make_waiting, live_dir, body, said):
    program = write_program(live_dir, body)
    httpd, _, start = make_waiting(f"AcmeOn challenge-open,challenge-close {program}\nAcmeChallenges http-01")
    start("shop.example.org")
    begun, mark = time.monotonic(), httpd.mark()
    httpd.stop()
    assert time.monotonic() - begun < 15
    assert told(program) == ["challenge-open", "challenge-close"]
    if said:
        assert re.search(f"ACME1569: .*{said}.* the next start", httpd.log_since(mark))


def uid_program(folder, name="installed"):
    (folder / "uid").touch()
    (folder / "uid").chmod(0o666)
    return write_program(folder, f"id -u >>{folder}/uid", name=name)


@pytest.mark.needs_root
def test_installed_runs_as_root_at_promotion_and_delays_nothing(acme_httpd, live_dir):
    program = uid_program(live_dir)
    hanging = write_program(live_dir, "exec sleep 1000", name="hanging")
    acme_httpd.config(f"AcmeOn renewed,installed {program}\nAcmeOn installed {hanging}\n")
    acme_httpd.vhost(NAME, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert(NAME)
    wait_until(lambda: told(program) == ["renewed"], 10, acme_httpd.log)
    acme_httpd.graceful()
    wait_until(lambda: told(program) == ["renewed", "installed"], 10, acme_httpd.log)
    wait_until(lambda: told(hanging) == ["installed"], 10, acme_httpd.log)
    acme_httpd.wait_log("ACME1563.*told of the event installed")
    worker = subprocess.run(["id", "-u", WORKER_USER], capture_output=True, text=True, check=True)
    assert (live_dir / "uid").read_text().split() == [worker.stdout.strip(), "0"]
    env = notes(program)[-1][1]
    chain, key = env["ACME_CHAIN_FILE"], env["ACME_KEY_FILE"]
    assert "BEGIN CERTIFICATE" in open(chain).read() and "PRIVATE KEY" in open(key).read()
    acme_httpd.graceful()  # nothing new
    assert told(program) == ["renewed", "installed"]
    assert "long lost child" not in acme_httpd.log()
    # the ports are free at once, whatever hangs
    acme_httpd.stop()
    acme_httpd.start()
    kill_by_path(hanging)


def kill_by_path(program):
    """End the program, which has become sleep, by its environment."""
    for path in os.listdir("/proc"):
        try:
            env = open(f"/proc/{path}/environ").read() if path.isdigit() else ""
            line = open(f"/proc/{path}/cmdline").read() if env else ""
        except OSError:
            continue
        if "ACME_EVENT=installed" in env and str(program.parent) in env and "sleep" in line:
            os.kill(int(path), signal.SIGKILL)


@pytest.mark.needs_root
def test_installed_is_not_run_where_others_can_change_it(acme_httpd, live_dir):
    folder = live_dir / "loose"
    folder.mkdir()
    program = write_program(folder)
    folder.chmod(0o777)
    acme_httpd.config(f"AcmeOn installed {program}\n")
    acme_httpd.vhost(NAME, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert(NAME)
    acme_httpd.graceful()
    acme_httpd.wait_log(r"ACME1571.*loose/program is not run as root for the event installed: .*loose")
    assert not notes(program)
