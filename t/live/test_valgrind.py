"""A hundred renewals under valgrind: no error, and no more memory at the end than in between."""

import datetime
import re
import shutil

import pytest

from . import pki
from .proc import wait_until
from .test_many import engine_pid

NAMES = [f"h{n}.example.org" for n in range(5)]
VALGRIND = (
    "valgrind", "--vgdb=no", "--error-exitcode=99", "--trace-children=no", "--leak-check=no",
    "--num-callers=30", "--log-file={log}",
)  # fmt: skip


def short_lived(leaf):
    """Valid for a few seconds only, so that each is due at once."""
    leaf.not_before = pki.now()
    leaf.not_after = leaf.not_before + datetime.timedelta(seconds=4)


def rss(pid):
    """Resident memory of a process in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_hundred_renewals_under_valgrind(make_httpd, make_fakeca, live_dir):
    log = live_dir / "valgrind.%p.log"
    httpd = make_httpd(wrapper=[part.format(log=log) for part in VALGRIND])
    ca = make_fakeca(retry_after=None)
    ca.on_issue = short_lived
    httpd.acme(ca, "AcmeManage on\nAcmeRenew 3s")
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
    early = rss(engine)
    issued(110)
    assert engine_pid(httpd) == engine
    late = rss(engine)
    httpd.stop()
    reports = [path.read_text() for path in live_dir.glob("valgrind.*.log")]
    assert len(reports) > 2
    for report in reports:
        assert "ERROR SUMMARY: 0 errors" in report, report[-6000:]
    # valgrind keeps freed blocks for a while: allow that, not 80 renewals' worth
    assert late - early < 4096, f"{early} KiB after 30, {late} KiB after 110"
