"""build/deps, with apt-get and dpkg-query played by scripts: nothing is fetched or installed."""

import os
import subprocess
from pathlib import Path

import pytest

from .httpd import TOP
from .proc import wait_until

APT_GET = """#!/bin/sh
# apt-get ... download bind9=1: a package with a named that runs, once the test says go
case " $* " in *" download bind9=1 "*) ;; *) echo "unexpected: $*" >&2; exit 100 ;; esac
echo download >> "$FAKE/calls"
read -r go < "$FAKE/go"
mkdir -p package/DEBIAN package/usr/sbin
printf 'Package: bind9\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y.test>\\nDescription: x\\n' > package/DEBIAN/control
printf '#!/bin/sh\\necho BIND\\n' > package/usr/sbin/named
chmod 755 package/usr/sbin/named
dpkg-deb --build package bind9_1_all.deb
"""
DPKG_QUERY = """#!/bin/sh
case $2 in *Status*) echo installed ;; *) echo 1 ;; esac
"""

pytestmark = pytest.mark.skipif(
    os.access("/usr/sbin/named", os.X_OK), reason="the system's own named is used here"
)


@pytest.fixture
def deps(tmp_path):
    """Starts build/deps test, lets a download go on, and files: the downloads, ACME_DEPS_DIR."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for name, text in (("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY)):
        (fake / name).write_text(text)
        (fake / name).chmod(0o755)
    os.mkfifo(fake / "go")
    go = os.open(fake / "go", os.O_RDWR)  # which waits for nobody
    env = {
        **os.environ,
        "PATH": f"{fake}:{os.environ['PATH']}",
        "FAKE": str(fake),
        "PEBBLE": "/bin/true",
        "ACME_DEPS_DIR": str(tmp_path / "deps"),
    }
    runs = []

    def start():
        runs.append(
            subprocess.Popen(
                [TOP / "build/deps", "test"], env=env, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )
        )  # fmt: skip
        return runs[-1]

    yield start, lambda: os.write(go, b"go\n"), fake / "calls", tmp_path / "deps"
    os.close(go)
    for run in runs:
        if run.poll() is None:
            os.killpg(run.pid, 9)
        run.communicate()


def end(run):
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    return said


def test_deps_unpacked_named_that_does_not_run_is_replaced(deps):
    start, go, calls, folder = deps
    named = folder / "bind9/usr/sbin/named"
    named.parent.mkdir(parents=True)
    named.write_text("#!/nonexistent/interpreter\n")
    named.chmod(0o755)
    run = start()
    go()
    assert f"named is {named}" in end(run)
    assert subprocess.run([named, "-v"], capture_output=True, check=True).stdout == b"BIND\n"
    assert "download" not in end(start())
    assert calls.read_text().split() == ["download"]


def test_deps_two_runs_at_once_fetch_once(deps):
    start, go, calls, folder = deps
    first = start()
    wait_until(calls.exists, 30, "a download")
    second = start()
    lock = folder / "lock"

    def waits():
        try:
            return Path(f"/proc/{second.pid}/fd/9").readlink() == lock
        except OSError:
            return False

    wait_until(waits, 30, "the second run at the lock")
    go()
    end(first)
    end(second)
    assert calls.read_text().split() == ["download"]
    assert sorted(path.name for path in folder.iterdir()) == ["bind9", "lock"]
