"""Programs that publish DNS records, by the engine without httpd: failures and numbers."""

import os
import re
import time

import pytest

from .proc import wait_until
from .test_engine import Drive, make_drive  # noqa: F401  (a fixture)


def write_program(folder, body):
    """A program that notes what it was called for, and then does what body says."""
    path = folder / "program"
    path.write_text(f'#!/bin/sh\nverb=$1 name=$2 value=$3\ncd {folder}\n{body}\n')
    path.chmod(0o755)
    return path


def calls(folder):
    path = folder / "calls"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def journal(drive):
    return list((drive.store / "journal").glob("*.json"))


NOTE = 'echo "$verb $name $value" >>calls'


def test_teardown_that_fails_is_tried_again(fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, f"test $verb = setup || test -e mended || exit 1\n{NOTE}")
    drive = make_drive(fakeca, ["shop.example.org"], "--dns", program, "--stay").start()
    drive.wait_text(r"ACME1500 ")
    drive.wait_text(r"ACME1519 .*is to be removed again at")
    assert journal(drive)
    (live_dir / "mended").touch()
    drive.set_clock(90)
    drive.wait_text(r"ACME1523 ")
    assert [call[0] for call in calls(live_dir)] == ["setup", "teardown"]
    assert not journal(drive)


def test_teardown_that_never_works_is_given_up_and_told(fakeca, make_drive, live_dir):  # noqa: F811
    program = write_program(live_dir, "test $verb = setup")
    drive = make_drive(fakeca, ["shop.example.org"], "--dns", program, "--stay").start()
    ahead = 0
    for count in range(1, 10):
        pattern = rf"(?s)(ACME1519 .*removed again at.*?){{{count}}}"
        drive.wait_text(pattern)
        ahead += 2 * 86400
        drive.set_clock(ahead)
    drive.wait_text(r"ACME1524 .*_acme-challenge\.shop\.example\.org")
    assert not journal(drive)


def test_program_that_the_journal_cannot_hold_whole_is_not_begun(fakeca, make_drive, live_dir):  # noqa: F811
    """As on a full disk: the order waits. What is not UTF-8 no directive lets in."""
    program = write_program(live_dir, NOTE).rename(live_dir / os.fsdecode(b"caf\xe9"))
    drive = make_drive(fakeca, ["shop.example.org"], "--dns", program, "--stay").start()
    drive.wait_text(r"ACME1001 .*while writing the journal.*next attempt")
    assert not calls(live_dir) and not journal(drive)


@pytest.mark.parametrize("count", [40])
def test_many_at_once_each_name_by_one_program_at_a_time(
    fakeca, make_drive, live_dir, count  # noqa: F811
):
    """Apex and wildcard share a name; at most sixteen programs run."""
    (live_dir / "running").mkdir()
    program = write_program(
        live_dir,
        f"""mkdir "running/$name" || echo "$name" >>clash
ls running | wc -l >>running.count
sleep 0.05
{NOTE}
rmdir "running/$name"
""",
    )
    names = [f"h{n}.example.org,*.h{n}.example.org" for n in range(count)]
    drive = make_drive(fakeca, names, "--dns", program, "--stay").start()
    wait_until(lambda: drive.text().count("ACME1500 ") == count, 90, drive.text)
    wait_until(lambda: len(calls(live_dir)) == 4 * count, 60, lambda: str(calls(live_dir)))
    wait_until(lambda: not journal(drive), 10, "journal")
    assert not (live_dir / "clash").exists()
    assert max(map(int, (live_dir / "running.count").read_text().split())) <= 16
    done = {(call[1], call[2]): [] for call in calls(live_dir)}
    for verb, name, value in calls(live_dir):
        done[name, value].append(verb)
    assert len(done) == 2 * count
    assert all(verbs == ["setup", "teardown"] for verbs in done.values())


def test_engine_killed_anywhere_leaves_no_record(fakeca, make_drive, live_dir):  # noqa: F811
    """kill -9 after each call of the program; the next run ends what was begun."""
    program = write_program(live_dir, f"{NOTE}\nsleep 0.1")
    for killed_at in range(1, 5):
        before = len(calls(live_dir))
        names = [f"k{killed_at}.example.org,*.k{killed_at}.example.org"]
        drive = make_drive(fakeca, names, "--dns", program, "--stay").start()
        wait_until(lambda: len(calls(live_dir)) >= before + killed_at, 30, drive.text)  # noqa: B023
        drive.process.kill()
        drive = make_drive(fakeca, names, "--dns", program, "--stay").start()
        drive.wait_text(rf"activate k{killed_at}\.example\.org ecdsa [1-9]")
        wait_until(lambda: not journal(drive), 30, lambda: tail_of(drive))  # noqa: B023
        drive.process.kill()
    left = {}
    for verb, name, value in calls(live_dir):
        left[name, value] = verb
    assert set(left.values()) == {"teardown"}


def tail_of(drive: Drive):
    return "\n".join(re.findall(r".*ACME.*", drive.text())[-30:])


DAY = 86400


def persisting(make_fakeca, make_drive, pebble, days):  # noqa: F811
    """A drive with a certificate for a year, by a TXT record that ends in so many days."""
    ca = make_fakeca(challenges=["dns-persist-01"], validity=365 * DAY, ari=False)
    resolver = f"127.0.0.1:{pebble.dns_port}"
    names = ["shop.example.org"]
    drive = make_drive(ca, names, "--persist", "--resolver", resolver, "--stay").start()
    found = drive.wait_text(r'ACME1526 .*(_validation-persist\S+)\. IN TXT "([^"]*)"')
    until = int(time.time()) + days * DAY
    pebble.set_txt(found[1], f"{found[2]}; persistUntil={until}" if days else found[2])
    drive.wait_text(r"ACME1500 ")
    return drive


WARNINGS = r"ACME1527|ACME1273"


def warnings(drive):
    return re.findall(WARNINGS, drive.text())


def test_record_that_ends_before_the_next_renewal_is_told_and_reminded_of(
    make_fakeca, make_drive, pebble  # noqa: F811
):
    drive = persisting(make_fakeca, make_drive, pebble, 150)
    drive.wait_text(r"ACME1527 .*_validation-persist\.shop\.example\.org proves control only until 20")
    drive.set_clock(121 * DAY)
    drive.wait_text(r"(?s)ACME1527.*ACME1273 .*_validation-persist\.shop.* as it was seen at 20")
    drive.process.kill()
    drive.start()  # nothing is told anew by whoever comes next
    drive.wait_text(r"(?s)ACME1501.*ACME1501")
    drive.set_clock(144 * DAY)
    drive.wait_text(r"(?s)ACME1273.*ACME1273")
    assert warnings(drive) == ["ACME1527", "ACME1273", "ACME1273"]


@pytest.mark.parametrize("days", [0, 300])
def test_record_that_outlives_the_next_renewal_is_not_warned_of(
    make_fakeca, make_drive, pebble, days  # noqa: F811
):
    drive = persisting(make_fakeca, make_drive, pebble, days)
    drive.set_clock(250 * DAY)  # its renewal, with which the end is near
    drive.wait_text(r"(?s)ACME1500.*ACME1500.*status")
    before, after = drive.text().split("ACME1502")[1:3]
    assert not re.search(WARNINGS, before)
    assert bool(re.search(WARNINGS, after)) == bool(days)
