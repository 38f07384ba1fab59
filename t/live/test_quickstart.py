"""What a newcomer runs first: build/quickstart, with the product under test in place of a build."""

import os
import re
import signal
import subprocess

import pytest

from .httpd import TOP, acme_module
from .proc import Process, tail, wait_until


@pytest.fixture
def quickstart(live_dir):
    """A function giving Popen's arguments for build/quickstart, and a folder for what it leaves."""
    folder = live_dir / "tmp"
    folder.mkdir()
    folder.chmod(0o755)
    env = {**os.environ, "ACME_BUILD": str(acme_module().parents[2]), "TMPDIR": str(folder)}
    return folder, lambda *args: {"argv": [str(TOP / "build/quickstart"), *args], "env": env}


def test_quickstart_once_shows_everything_and_ends_well(quickstart):
    folder, command = quickstart
    run = command("--once")
    done = subprocess.run(
        run["argv"], env=run["env"], capture_output=True, text=True, timeout=150, check=False
    )
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    for line in (
        r"\$ curl .*--cacert .* https://shop\.example\.org:\d+/\n +hello from shop\.example\.org",
        r"names +shop\.example\.org, www\.shop\.example\.org\n",
        r"names +blog\.example\.org\n",
        r"issuer +Pebble Intermediate",
        r"valid +\d{4}-\d\d-\d\d .* to \d{4}-\d\d-\d\d .* UTC",
        r"status page: http://127\.0\.0\.1:\d+/acme-status",
        r"\$ .*/acmectl --store .* renew shop\.example\.org",
        r"\d\d+ requests meanwhile, 0 failed",
        r"no restart, no reload",
        r"== done\n$",
    ):
        assert re.search(line, said), f"{line} in\n{said}"
    before, after = re.search(r"serial +([0-9a-f]+) +-> +([0-9a-f]+)", said).groups()
    assert before != after
    assert not list(folder.iterdir()), "nothing is left behind"


def test_quickstart_stays_until_ctrl_c_and_cleans_up(quickstart, live_dir):
    folder, command = quickstart
    process = Process("quickstart", log=live_dir / "quickstart.log", **command())
    try:
        wait_until(
            lambda: "== Up. Ctrl-C ends it." in process.log.read_text(), 120,
            lambda: f"quickstart is up:\n{tail(process.log)}",
        )  # fmt: skip
        process.send(signal.SIGINT)
        assert process.wait(30), tail(process.log)
        assert process.popen.returncode == 0, tail(process.log)
    finally:
        left = process.kill()
    assert not left
    assert not list(folder.iterdir())


def test_quickstart_that_fails_says_why(quickstart):
    folder, command = quickstart
    run = command("--once")
    run["env"]["PEBBLE"] = "/nonexistent/pebble"
    done = subprocess.run(
        run["argv"], env=run["env"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert re.search(r"quickstart failed after \d+ s: .*pebble", done.stderr), done.stderr
    assert not list(folder.iterdir())
