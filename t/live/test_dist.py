"""make dist: who makes the tarball, where, when and under which umask shows in none of its bytes."""

import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
from datetime import datetime, timezone

import pytest

from .httpd import TOP

NAME = "mod_acme-"
WHEN = 1767225600

pytestmark = pytest.mark.skipif(
    not (TOP / ".git").exists() or not shutil.which("git"), reason="needs a checkout and git"
)


def run(*argv, cwd, env=None, **more):
    done = subprocess.run(
        argv, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300, check=False, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def commit_of_tree(folder):
    """A repository of one commit, of what the tree has now, edits included."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=TOP)
    for name in filter(None, listed.split("\0")):
        if (TOP / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name)
    env = {**os.environ, "GIT_COMMITTER_DATE": f"{WHEN} +0000"}
    git = ["git", "-c", "user.name=a test", "-c", "user.email=", "-c", "gc.auto=0"]
    run("git", "init", "-q", cwd=folder)
    run(*git, "add", "-A", cwd=folder)
    run(*git, "commit", "-q", "-m", "the tree", cwd=folder, env=env)


MADE = re.compile(r"configure|Makefile\.in|config\.h\.in|aclocal\.m4|build/(aux|m4)/[^/]+")


def differences(tarball, folder):
    """What the repository has, and the tarball does not; and the other way round, but for what
    autoreconf has made."""
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        packed = {one.name.partition("/")[2] for one in archive if not one.isdir()}
    listed = {name for name in run("git", "ls-files", cwd=folder).splitlines() if ".gitignore" not in name}
    return listed - packed, {name for name in packed - listed if not MADE.fullmatch(name)}


def tar_of(folder, env, **who):
    """The tarball that is made in a source folder, before it is compressed."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
    if not (folder / "configure").exists():
        run("autoreconf", "-fi", cwd=folder, env=env, **who)
    run("./configure", "-q", f"--cache-file={folder.parent}/config.cache", cwd=folder, env=env, **who)
    run("make", "-s", "dist", cwd=folder, env=env, **who)
    (tarball,) = folder.glob(f"{NAME}*.tar.*")
    return tarball


def without_compression(folder):
    """A PATH whose xz lets all pass: that costs as much as all the rest, and is looked at once."""
    xz = folder / "bin/xz"
    xz.parent.mkdir()
    xz.write_text("#!/bin/sh\nexec cat\n")
    xz.chmod(0o755)
    return f"{xz.parent}:{os.environ['PATH']}"


def test_dist_tarball_is_the_same_wherever_it_is_made(live_dir):
    one, other, again = live_dir / "one", live_dir / "deep/er/other", live_dir / "again"
    one.mkdir()
    commit_of_tree(one)
    other.parent.mkdir(parents=True)
    run("git", "clone", "-q", str(one), str(other), cwd=live_dir, umask=0o077)
    packed = tar_of(one, {"TZ": "UTC", "LC_ALL": "C", "XZ_OPT": "-0 -T4 --check=crc32"}, umask=0o022)
    told = run("xz", "--list", "-vv", str(packed), cwd=live_dir)
    assert "dict=8MiB" in told and "CRC64" in told and re.search(r"Blocks: +1\n", told), told
    first = lzma.decompress(packed.read_bytes())
    assert differences(first, one) == (set(), set())
    path = without_compression(live_dir)

    # another folder, umask, user, zone, language and time of the files
    who = {"umask": 0o077}
    shutil.copy(live_dir / "config.cache", other.parent)
    if os.geteuid() == 0:
        run("chown", "-R", "65534:65534", str(other.parent), cwd=live_dir)
        who |= {"user": 65534, "group": 65534, "extra_groups": []}
    old = datetime(2001, 2, 3, tzinfo=timezone.utc).timestamp()
    for made in other.rglob("*"):
        os.utime(made, (old, old))
    env = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PATH": path}
    assert tar_of(other, env, **who).read_bytes() == first

    # what the tarball itself makes is that tarball, after it was built, too
    again.mkdir()
    run("tar", "xf", str(packed), "--strip-components=1", cwd=again)
    assert (again / "configure").stat().st_mtime == WHEN
    built = ("t/faults/start", "t/faults/start.o", "t/fuzz/test_corpus", "t/fuzz/test_corpus.log",
             "t/fuzz/test_corpus.trs", "t/fuzz/fuzzer", "t/fuzz/fuzzer-main.gcno", "t/live/__pycache__/ca.pyc",
             "t/faults/.libs/start")  # fmt: skip
    for name in built:
        (again / name).parent.mkdir(exist_ok=True)
        (again / name).write_text("built\n")
    assert tar_of(again, {"PATH": path}, umask=0o002).read_bytes() == first
