"""What an upgrade of the package does: the module's file is another while an order is in progress."""

import re
import shutil
from pathlib import Path

import pytest

from .httpd import acme_module
from .test_issue import SHOP, serial


def replace(path):
    """As dpkg does: the new file beside the old one, and renamed."""
    new = path.with_name(f"{path.name}.dpkg-new")
    shutil.copyfile(acme_module(), new)
    new.rename(path)


def loaded(pid, path):
    """Which file of that path a process has: its inode, and whether another has taken its place."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    (found,) = set(re.findall(rf"(\d+) +{re.escape(str(path))}( \(deleted\))?$", maps, re.MULTILINE))
    return int(found[0]), bool(found[1])


def again(httpd):
    httpd.stop()
    httpd.start()


RESTARTS = {"graceful": lambda httpd: httpd.graceful(), "restart": lambda httpd: httpd.restart(), "stop-start": again}
STAGES = {"validating": ("validation_gate", "challenge"), "issuing": ("issuance_gate", "finalize")}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", RESTARTS)
def test_order_in_progress_is_resumed_by_the_module_of_an_upgrade(httpd, make_fakeca, way, stage):
    gate, last = STAGES[stage]
    ca = make_fakeca()
    getattr(ca, gate).clear()
    httpd.acme(ca)
    httpd.acme_file = httpd.folder / "mod_acme.so"
    replace(httpd.acme_file)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request(last)
    before = loaded(httpd.pid, httpd.acme_file)
    replace(httpd.acme_file)
    assert loaded(httpd.pid, httpd.acme_file) == (before[0], True), "the old one runs on"
    mark = httpd.mark()
    RESTARTS[way](httpd)
    httpd.wait_log(r"ACME1501: .*, 1 orders in progress", since=mark)
    assert loaded(httpd.pid, httpd.acme_file) == (httpd.acme_file.stat().st_ino, False)
    getattr(ca, gate).set()
    served = httpd.wait_cert(SHOP)
    asked = ca.endpoints()
    assert [asked.count(one) for one in ("new-account", "new-order", "challenge", "finalize")] == [1, 1, 1, 1], asked
    assert [one["cert"].serial_number for one in ca.certs.values()] == [serial(served)]
