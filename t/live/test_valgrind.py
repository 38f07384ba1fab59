"""A hundred renewals under valgrind: no error, nothing lost, and no growth.

Memory is looked at in two ways. What malloc gave and nobody can reach when the engine's process ends
is an error of valgrind's. What is only kept too long is freed by then: so the process must not grow
from one renewal to the next. APR maps the memory of its pools, which valgrind does not take for
heap, so the two kinds are told apart by their mappings.
"""

import datetime
import re
import shutil
import time
from pathlib import Path

import pytest

from . import pki
from .proc import wait_until
from .test_many import engine_pid

NAMES = [f"h{n}.example.org" for n in range(5)]
SUPPRESSIONS = Path(__file__).with_name("valgrind.supp")
VALGRIND = (
    "valgrind", "--vgdb=no", "--trace-children=no", "--num-callers=30", "--log-file={log}",
    "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
    "--freelist-vol=500000", f"--suppressions={SUPPRESSIONS}",
)  # fmt: skip


# One child with few threads: each gets memory of its own when it first has work.
ONE_CHILD = "StartServers 1\nServerLimit 1\nThreadsPerChild 4\nMaxRequestWorkers 4"
EARLY, LATE = 40, 120
# KiB that may come between. Mapped: well under what 80 renewals keeping 1 KiB each would take. By
# malloc: gaps grow by 400 without any fault, so this sees only what keeps 13 KiB each time.
MAPPED_ROOM, MALLOC_ROOM = 48, 1024
VALGRINDS_OWN = 0x1000000000


def short_lived(leaf):
    """Valid for a few seconds only, so that each is due at once."""
    leaf.not_before = pki.now()
    leaf.not_after = leaf.not_before + datetime.timedelta(seconds=4)


def memory(pid):
    """KiB in memory that a process under valgrind has of its own: (by malloc, mapped).

    valgrind's malloc takes memory that may be executed; its own is above all of the program's.
    """
    sizes = {True: 0, False: 0}
    executable = None
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        found = re.match(r"([0-9a-f]+)-[0-9a-f]+ ..(.). \S+ \S+ \d+\s*(.*)", line)
        if found:
            anonymous = not found.group(3) and int(found.group(1), 16) < VALGRINDS_OWN
            executable = found.group(2) == "x" if anonymous else None
        elif executable is not None and line.startswith("Rss:"):
            sizes[executable] += int(line.split()[1])
    return sizes[True], sizes[False]


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_hundred_renewals_under_valgrind(make_httpd, make_fakeca, live_dir):
    log = live_dir / "valgrind.%p.log"
    httpd = make_httpd(wrapper=[part.format(log=log) for part in VALGRIND])
    ports = {"http_port": httpd.http_port, "tls_port": httpd.https_port}
    ca = make_fakeca(retry_after=None, validate="http", **ports)
    ca.on_issue = short_lived
    httpd.acme(ca, f"AcmeManage on\nAcmeRenew 3s\n{ONE_CHILD}")
    for number, name in enumerate(NAMES):
        challenge = ("http-01", "tls-alpn-01")[number % 2]
        httpd.vhost(name, https_extra=f"AcmeChallenges {challenge}")
    httpd.start()

    def issued(count):
        def enough():
            for name in NAMES:
                httpd.served_cert(name)
            time.sleep(1)
            return len(ca.certs) >= count

        wait_until(enough, 240, f"{count} certificates")

    issued(EARLY)
    engine = engine_pid(httpd)
    early = memory(engine)
    issued(LATE)
    assert engine_pid(httpd) == engine
    late = memory(engine)
    httpd.stop()
    reports = [path.read_text() for path in live_dir.glob("valgrind.*.log")]
    assert len(reports) == 2, "one of the parent, one of its child"
    print(f"KiB by malloc and mapped: {early} after {EARLY}, {late} after {LATE}")
    for report in reports:
        assert "ERROR SUMMARY: 0 errors" in report, report[-16000:]
    assert late[0] - early[0] < MALLOC_ROOM
    assert late[1] - early[1] < MAPPED_ROOM
