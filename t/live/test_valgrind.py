"""A hundred renewals under valgrind: no error, nothing lost, and no growth.

Memory is watched in two ways, for APR's pools are mapped and valgrind does not know them as heap:
what malloc gave and nobody can reach at the end is an error of valgrind's; pools that grow from
one renewal to the next are seen by the memory that the engine's process has mapped.
"""

import datetime
import re
import shutil
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


def short_lived(leaf):
    """Valid for a few seconds only, so that each is due at once."""
    leaf.not_before = pki.now()
    leaf.not_after = leaf.not_before + datetime.timedelta(seconds=4)


def mapped(pid):
    """KiB of the process's own that belong to no file and are in memory, valgrind's left out."""
    total, counts = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        found = re.match(r"([0-9a-f]+)-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)", line)
        if found:
            counts = not found.group(2) and int(found.group(1), 16) < 0x1000000000
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total

@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_hundred_renewals_under_valgrind(make_httpd, make_fakeca, live_dir):
    log = live_dir / "valgrind.%p.log"
    httpd = make_httpd(wrapper=[part.format(log=log) for part in VALGRIND])
    ca = make_fakeca(retry_after=None, validate="http", http_port=httpd.http_port)
    ca.on_issue = short_lived
    httpd.acme(ca, "AcmeManage on\nAcmeRenew 3s\nStartServers 1")
    for name in NAMES:
        httpd.vhost(name)
    httpd.start()

    def issued(count):
        def enough():
            for name in NAMES:
                httpd.served_cert(name)
            return len(ca.certs) >= count

        wait_until(enough, 240, f"{count} certificates")

    issued(30)
    engine = engine_pid(httpd)
    import os, time
    t=time.time()
    for n in range(30, 200, 10):
        issued(n)
        text = Path(f"/proc/{engine}/smaps").read_text()
        Path(f"/tmp/q/smaps.{n}").write_text(text)
        print("MEM", n, round(time.time()-t), mapped(engine), len(os.listdir(f"/proc/{engine}/fd")))
    assert engine_pid(httpd) == engine
    httpd.stop()
    reports = [path.read_text() for path in live_dir.glob("valgrind.*.log")]
    assert len(reports) > 1
    for report in reports:
        assert "ERROR SUMMARY: 0 errors" in report, report[-16000:]
