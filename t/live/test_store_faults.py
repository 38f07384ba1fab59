"""What can be wrong with the store: httpd starts, says what and where, and serves every whole set.

One store is filled with real certificates for the whole module (filled); each test damages a copy.
SHOP and the hosts of HOSTS have an older set in the archive, BLOG has only one. Faults of single
certificates are tried all in one server, each on a host of its own.
"""

import concurrent.futures
import dataclasses
import datetime
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import pki, proc
from .fakeca import FakeCA
from .httpd import WORKER_USER, Httpd
from .proc import wait_until
from .sealed import seal, secret_of
from .test_issue import acmectl, serial
from .test_many import engine_pid

SHOP, BLOG = "shop.example.org", "blog.example.org"
HOSTS = [f"h{n:02}.example.org" for n in range(26)]
HOW = ("start", "graceful")
pytestmark = pytest.mark.needs_root


def ask(httpd, name):
    done = acmectl(httpd, "renew", name)
    assert done.returncode == 0, done.stdout + done.stderr


def numbered(httpd, mark, pid=r"\d+"):
    """[(number, line)] of our warnings and errors since mark, of one process or all; not those
    that hosts of the filled store are not configured any more."""
    found = re.findall(
        rf"\[acme:(?:error|warn)\] \[pid {pid}:.*?ACME(\d{{4}}): (.*)", httpd.log_since(mark)
    )
    return [(int(number), line) for number, line in found if number not in ("1038", "1039")]


def told(httpd, mark, number, where):
    """The line with this number that names where, and what to do about it."""
    lines = [line for n, line in numbered(httpd, mark) if n == number and where in line]
    assert lines, (number, where, numbered(httpd, mark))
    assert ". " in lines[0]
    return lines


class Place:
    """The store as the damage of one host sees it."""

    def __init__(self, store, name):
        self.store, self.name = store, name
        self.link = store / "certificates" / name / "ecdsa"
        self.set = store / "certificates" / name / "ecdsa.2"
        self.fresh = store / "fresh" / name
        self.placeholder = store / "placeholder" / name
        self.order = store / "work" / name / "ecdsa.order"
        self.blog = store / "certificates" / BLOG / "ecdsa.1"


def at_once(function, items):
    """Call function with each item, some at a time; the results."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, items))


class Filled:
    """A store with certificates of a CA that goes on living: copies of it are what tests break."""

    def __init__(self, folder):
        self.ca = FakeCA(folder / "ca", retry_after=None).start()
        httpd = Httpd(folder / "httpd")
        self.configure(httpd, HOSTS)
        httpd.start()
        names = (SHOP, BLOG, *HOSTS)
        self.old = {name: serial(httpd.wait_cert(name)) for name in names}
        httpd.graceful()
        at_once(lambda name: ask(httpd, name), (SHOP, *HOSTS))
        httpd.graceful()
        self.now = {name: serial(httpd.served_cert(name)) for name in names}
        httpd.stop()
        self.store = httpd.store
        assert [name for name in names if self.now[name] == self.old[name]] == [BLOG]

    def configure(self, httpd, hosts=()):
        httpd.acme(self.ca, "AcmeRetry 1s 2s")
        for name in (SHOP, BLOG, *hosts):
            httpd.vhost(name, https_extra="AcmeManage on")

    def copy_to(self, httpd):
        subprocess.run(["cp", "-a", self.store, httpd.store], check=True)


@pytest.fixture(scope="module")
def filled():
    base = Path(tempfile.mkdtemp(prefix="acme-filled-"))
    base.chmod(0o755)
    with proc.ports():
        made = Filled(base)
        yield made
        made.ca.stop()
    shutil.rmtree(base, ignore_errors=True)


class Case:
    """A server on a copy of the filled store."""

    def __init__(self, httpd, filled, hosts=()):
        self.httpd, self.filled, self.ca = httpd, filled, filled.ca
        filled.configure(httpd, hosts)
        filled.copy_to(httpd)
        self.store = httpd.store
        self.ca.issuance_gate.set()
        self.ca.clear_script()
        self.accounts, self.orders = len(self.ca.accounts), len(self.ca.requests_to("new-order"))

    def new_orders(self):
        return len(self.ca.requests_to("new-order")) - self.orders

    def new_accounts(self):
        return len(self.ca.accounts) - self.accounts

    def breaks(self, how, damage):
        """Damage the store before a start, or before a graceful restart; a mark in the log."""
        if how == "graceful":
            self.httpd.start()
            self.httpd.wait_log(r"ACME1810:")
        mark = self.httpd.mark()
        damage(self.store)
        if how == "graceful":
            self.httpd.graceful()
        else:
            self.httpd.start()
        return mark

    def serves(self, name, what="now"):
        wanted = getattr(self.filled, what)[name]
        assert serial(self.httpd.served_cert(name)) == wanted, (name, what)
        assert self.httpd.get("/", host=name, https=True).status == 200

    def has_placeholder(self, name):
        assert self.httpd.served_cert(name).self_signed
        reply = self.httpd.get("/", host=name, https=True)
        assert reply.status == 503 and int(reply.headers["retry-after"]) > 0

    def renews(self, *names):
        """All is well: a new certificate on request, still there after a reload, no complaint."""
        at_once(lambda name: ask(self.httpd, name), names or (SHOP, BLOG))
        mark = self.httpd.mark()
        self.httpd.graceful()
        for name in names or (SHOP, BLOG):
            new = serial(self.httpd.served_cert(name))
            assert new not in (self.filled.now[name], self.filled.old[name])
        assert numbered(self.httpd, mark) == []


    def breaks_each(self, how, faults, more=lambda place: None):
        """Each fault on a host of its own: the mark, and {host: name of the fault}."""
        assert len(faults) <= len(HOSTS)
        where = dict(zip(HOSTS, faults, strict=False))

        def damage(store):
            for host, fault in where.items():
                faults[fault](Place(store, host))
                more(Place(store, host))

        return self.breaks(how, damage), where


@pytest.fixture
def case(httpd, filled):
    made = Case(httpd, filled)
    yield made
    filled.ca.issuance_gate.set()


@pytest.fixture
def many(httpd, filled):
    """A case with all of HOSTS."""
    made = Case(httpd, filled, HOSTS)
    yield made
    filled.ca.issuance_gate.set()


def own(path, user):
    entry = pwd.getpwnam(user)
    os.lchown(path, entry.pw_uid, entry.pw_gid)


def own_all(path, user):
    subprocess.run(["chown", "-R", "-h", user, path], check=True)


def replace_by_dir(path):
    path.unlink()
    path.mkdir()


def replace_by_link(path, target):
    path.unlink()
    path.symlink_to(target)


def edit_json(path, **members):
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


def rmtree_over(path, text=""):
    """A file where there was a directory."""
    shutil.rmtree(path)
    path.write_text(text)


# --- the store as a whole ------------------------------------------------------------------------

REFUSED = {
    # name: (damage, number, where)
    "secret-missing": (lambda s: (s / "store.json").unlink(), 1103, "store.json"),
    "secret-empty": (lambda s: (s / "store.json").write_text(""), 1103, "store.json"),
    "secret-garbage": (lambda s: (s / "store.json").write_bytes(os.urandom(99)), 1103,
                       "store.json"),
    "secret-short": (lambda s: edit_json(s / "store.json", secret="YWJj"), 1103, "store.json"),
    "newer-version": (lambda s: edit_json(s / "store.json", version=2), 1102, "/store"),
    "secret-directory": (lambda s: replace_by_dir(s / "store.json"), 1103, "store.json"),
    "secret-link": (lambda s: replace_by_link(s / "store.json", "/etc/shadow"), 1103,
                    "store.json"),
    "secret-readable": (lambda s: (s / "store.json").chmod(0o644), 1101, "store.json"),
    "secret-of-another": (lambda s: own(s / "store.json", "nobody"), 1101, "store.json"),
    "root-of-another": (lambda s: own(s, "nobody"), 1101, "/store"),
    "root-of-worker": (lambda s: own(s, WORKER_USER), 1101, "/store"),
    "all-of-worker": (lambda s: own_all(s, WORKER_USER), 1101, "/store"),
    "root-group-writable": (lambda s: s.chmod(0o775), 1101, "/store"),
    "all-writable": (lambda s: subprocess.run(["chmod", "-R", "0777", s], check=True), 1101,
                     "/store"),
    "certificates-of-worker": (lambda s: own(s / "certificates", WORKER_USER), 1101,
                               "/certificates"),
    "control-writable": (lambda s: (s / "control").chmod(0o777), 1101, "/control"),
    "accounts-of-another": (lambda s: own(s / "accounts", "nobody"), 1101, "/accounts"),
    "fresh-is-a-file": (lambda s: rmtree_over(s / "fresh"), 1103, "/fresh"),
    "work-is-a-link": (lambda s: (shutil.rmtree(s / "work"), (s / "work").symlink_to("/tmp")), 1103,
                       "/work"),
    "lock-is-a-directory": (lambda s: replace_by_dir(s / "lock"), 1100, "/lock"),
    "lock-of-another": (lambda s: own(s / "lock", "nobody"), 1101, "/lock"),
}  # fmt: skip


AT_A_RELOAD = ("secret-missing", "newer-version", "root-of-another", "all-of-worker",
               "lock-of-another")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, "start") for name in REFUSED] + [(name, "graceful") for name in AT_A_RELOAD],
)
def test_unusable_store_still_serves_what_is_promoted(case, name, how):
    damage, number, where = REFUSED[name]
    mark = case.breaks(how, damage)
    told(case.httpd, mark, number, where)
    told(case.httpd, mark, 1112, "/store")
    case.serves(SHOP)
    case.serves(BLOG)
    own_lines = numbered(case.httpd, mark, case.httpd.pid)
    assert len(own_lines) == 2, "told once, not for each host or pass"
    assert "ACME1810" not in case.httpd.log_since(mark)
    assert case.new_orders() == 0
    standstill_is_shown(case, number, where)
    if how == "start":
        mended_store_works_again(case)


def standstill_is_shown(case, number, where):
    """Without an engine too: what is served, and why nothing is done about it."""
    section = case.httpd.server_status()
    for name in (SHOP, BLOG):
        key = f"Acme[{name}/ecdsa]"
        assert section[f"{key}State"] == "error", section
        assert section[f"{key}Serial"] == f"{case.filled.now[name]:x}".zfill(
            len(section[f"{key}Serial"])
        )
        assert section[f"{key}Expires"].startswith("20")
        assert section[f"{key}Next"].startswith("nothing")
        assert section[f"{key}Error"].startswith(f"ACME{number}: nothing is issued or renewed: ")
        assert where in section[f"{key}Error"]
    shown = json.loads(case.httpd.acme_status().body)
    assert shown["states"]["error"] == 2
    for one in shown["certificates"]:
        assert one["keys"][0]["error"]["code"] == f"ACME{number}"
        assert where in one["keys"][0]["error"]["text"]


def renewed_live(case, how, damage):
    """Damage the store of a server that has a newer set of SHOP in live service alone; its serial."""
    case.httpd.start()
    ask(case.httpd, SHOP)
    newest = serial(case.httpd.served_cert(SHOP))
    assert newest != case.filled.now[SHOP]
    if how == "start":
        case.httpd.stop()
    damage(case.store)
    if how == "start":
        case.httpd.start()
    else:
        case.httpd.graceful()
    return newest


PROMOTABLE = ["control-writable", "accounts-of-another", "work-is-a-link", "lock-is-a-directory",
              "lock-of-another"]  # fmt: skip


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", PROMOTABLE)
def test_unusable_store_still_promotes_from_parts_that_are_well(case, name, how):
    newest = renewed_live(case, how, REFUSED[name][0])
    told(case.httpd, 0, 1112, "/store")
    assert serial(case.httpd.served_cert(SHOP)) == newest
    case.serves(BLOG)
    assert int(case.httpd.server_status()[f"Acme[{SHOP}/ecdsa]Serial"], 16) == newest


UNTRUSTED = {
    "fresh-of-another": lambda s: own(s / "fresh", "nobody"),
    "fresh-writable": lambda s: (s / "fresh").chmod(0o777),
    **{name: REFUSED[name][0] for name in (
        "secret-of-another", "secret-garbage", "newer-version", "root-of-worker", "all-of-worker",
        "root-group-writable", "certificates-of-worker")},
}  # fmt: skip


@pytest.mark.parametrize("name", UNTRUSTED)
def test_unusable_store_promotes_nothing_where_others_had_their_hands(case, name):
    renewed_live(case, "start", UNTRUSTED[name])
    told(case.httpd, 0, 1112, "/store")
    case.serves(SHOP)
    folder = case.store / "certificates" / SHOP
    assert sorted(one.name for one in folder.iterdir()) == ["ecdsa", "ecdsa.2"]


def mended_store_works_again(case):
    """The repair is a copy from a backup; a graceful restart is enough."""
    shutil.rmtree(case.store)
    case.filled.copy_to(case.httpd)
    case.httpd.graceful()
    case.renews(SHOP)
    case.serves(BLOG)


def no_store(httpd, path):
    httpd.store = Path(path)
    httpd._global[:] = [re.sub(r"^AcmeStore .*", f"AcmeStore {path}", text)
                        for text in httpd._global]  # fmt: skip


NOWHERE = {
    "a-file": lambda folder: (folder / "s").write_text("x"),
    "below-a-file": lambda folder: (folder / "s").write_text("x"),
    "below-nothing": lambda folder: None,
    "dangling-link": lambda folder: (folder / "s").symlink_to(folder / "nothing"),
    "a-fifo": lambda folder: os.mkfifo(folder / "s"),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_store_that_cannot_be_made_gives_placeholders(case, name):
    httpd = case.httpd
    NOWHERE[name](httpd.folder)
    path = httpd.folder / ("s/below" if name.startswith("below") else "s")
    no_store(httpd, path)
    httpd.vhost("own.example.org", cert="self")
    httpd.start()
    told(httpd, 0, 1103 if name in ("a-file", "a-fifo") else 1100, str(path))
    told(httpd, 0, 1112, str(path))
    assert len(numbered(httpd, 0)) == 2
    for host in (SHOP, BLOG):
        case.has_placeholder(host)
    assert httpd.get("/", host="own.example.org", https=True).status == 200
    no_store(httpd, httpd.folder / "store")
    httpd.graceful()
    case.serves(SHOP)
    case.renews()


def test_store_that_is_a_link_to_a_directory_is_used(case):
    case.store.rename(case.store.with_name("elsewhere"))
    case.store.symlink_to("elsewhere")
    case.httpd.start()
    assert numbered(case.httpd, 0) == []
    case.serves(SHOP)
    case.renews()


def test_empty_directory_of_another_is_not_used(case):
    path = case.httpd.folder / "theirs"
    path.mkdir()
    own(path, "nobody")
    no_store(case.httpd, path)
    case.httpd.start()
    told(case.httpd, 0, 1101, str(path))
    case.has_placeholder(SHOP)
    assert not list(path.iterdir())


@pytest.fixture
def mounted(live_dir):
    """A function mounting a small file system at a path; all are gone behind the test."""
    paths = []

    def mount(path, size="4m"):
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path],
                       check=True)  # fmt: skip
        paths.append(path)
        return path

    yield mount
    for path in paths:
        subprocess.run(["umount", "-l", path], check=False)


def fill_up(path):
    """Not one octet is left."""
    with open(path / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(65536))
        except OSError:
            pass


def on_small_disk(case, mounted):
    place = mounted(case.httpd.folder / "disk")
    shutil.rmtree(case.store)
    no_store(case.httpd, place / "store")
    case.filled.copy_to(case.httpd)
    case.store = case.httpd.store
    return place


@pytest.mark.parametrize("how", HOW)
def test_read_only_store_still_serves(case, mounted, how):
    place = on_small_disk(case, mounted)

    def remount(mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", place], check=True)

    if how == "graceful":
        case.httpd.start()
        case.httpd.wait_log(r"ACME1810:")
        # whoever has a file open for writing hinders the remount
        wait_until(lambda: not subprocess.run(["mount", "-o", "remount,ro", place],
                                              capture_output=True, check=False).returncode,
                   10, "read-only")  # fmt: skip
        mark = case.httpd.mark()
        case.httpd.graceful()
    else:
        remount("ro")
        mark = 0
        case.httpd.start()
    told(case.httpd, mark, 1100, str(case.store))
    told(case.httpd, mark, 1112, str(case.store))
    case.serves(SHOP)
    case.serves(BLOG)
    remount("rw")
    case.httpd.graceful()
    case.renews()


def test_new_store_on_a_full_disk(case, mounted):
    place = mounted(case.httpd.folder / "disk", "64k")
    no_store(case.httpd, place / "store")
    fill_up(place)
    case.httpd.start()
    told(case.httpd, 0, 1100, str(place))
    told(case.httpd, 0, 1112, str(place))
    case.has_placeholder(SHOP)


def test_full_disk_keeps_what_serves_and_renews_later(case, mounted):
    place = on_small_disk(case, mounted)
    fill_up(place)
    case.httpd.start()
    case.serves(SHOP)
    case.serves(BLOG)
    done = acmectl(case.httpd, "renew", SHOP, "--timeout", "3")
    assert done.returncode != 0 and "ACME1100" in done.stderr
    (place / "ballast").unlink()
    case.renews()


def test_full_disk_at_promotion_serves_the_fresh_set(case, mounted):
    place = on_small_disk(case, mounted)
    case.httpd.start()
    ask(case.httpd, SHOP)
    new = serial(case.httpd.served_cert(SHOP))
    fill_up(place)
    mark = case.httpd.mark()
    case.httpd.graceful()
    told(case.httpd, mark, 1109, SHOP)
    assert serial(case.httpd.served_cert(SHOP)) == new
    case.serves(BLOG)
    case.httpd.stop()
    case.httpd.start()
    case.httpd.wait_cert(SHOP, lambda served: serial(served) == new)
    (place / "ballast").unlink()
    case.renews()


def test_placeholder_for_a_new_host_on_a_full_disk(case, mounted):
    """Where not even the temporary directory has room."""
    place = on_small_disk(case, mounted)
    fill_up(place)
    small = mounted(case.httpd.folder / "tmp", "4k")
    fill_up(small)
    case.httpd.env.update(TMPDIR=str(small), TMP=str(small), TEMP=str(small))
    case.httpd.vhost("new.example.org", https_extra="AcmeManage on")
    case.httpd.start()
    case.serves(SHOP)
    case.has_placeholder("new.example.org")
    told(case.httpd, 0, 1100, "new.example.org")


# --- one certificate -----------------------------------------------------------------------------


def write(name, content):
    return lambda p: (p.set / name).write_bytes(content)


def cut(name, size):
    return lambda p: os.truncate(p.set / name, size)


def gone(name):
    return lambda p: (p.set / name).unlink()


def fifo(name):
    return lambda p: ((p.set / name).unlink(), os.mkfifo(p.set / name))


def directory(name):
    return lambda p: replace_by_dir(p.set / name)


def link(name, target):
    return lambda p: replace_by_link(p.set / name, target)


def from_blog(*names):
    return lambda p: [shutil.copyfile(p.blog / name, p.set / name) for name in names]


def both(first, second):
    return lambda p: (first(p), second(p))


def flip(name):
    """One bit, in the middle of the file's first PEM block: between two blocks, or in what only
    a root could check, it would do no harm."""

    def damage(place):
        path = place.set / name
        content = bytearray(path.read_bytes())
        middle = content.index(b"-----END") // 2
        while not chr(content[middle]).isalnum():
            middle += 1
        content[middle] ^= 1
        path.write_bytes(content)

    return damage


def big(size):
    return b"-----BEGIN CERTIFICATE-----\n" + b"A" * size + b"\n-----END CERTIFICATE-----\n"


LOST = {
    # the key or the certificate itself is gone
    "link-dangling": lambda p: (shutil.rmtree(p.set), replace_by_link(p.link, "ecdsa.77")),
    "set-gone": lambda p: shutil.rmtree(p.set),
    "set-is-a-file": lambda p: rmtree_over(p.set),
    "record-of-another-and-no-key": both(from_blog("record.json"), gone("key.pem")),
    "key-missing": gone("key.pem"),
    "key-empty": write("key.pem", b""),
    "key-cut": cut("key.pem", 100),
    "key-garbage": write("key.pem", os.urandom(227)),
    "key-bit": flip("key.pem"),
    "key-of-another": from_blog("key.pem"),
    "key-is-a-directory": directory("key.pem"),
    "key-is-a-fifo": fifo("key.pem"),
    "key-is-a-link": link("key.pem", "/etc/shadow"),
    "key-of-another-user": lambda p: own(p.set / "key.pem", WORKER_USER),
    "chain-missing": gone("chain.pem"),
    "chain-empty": write("chain.pem", b""),
    "chain-garbage": write("chain.pem", os.urandom(2000)),
    "chain-cut": cut("chain.pem", 300),
    "chain-bit": flip("chain.pem"),
    "chain-huge": write("chain.pem", big(10_000_000)),
    "chain-half-a-megabyte": write("chain.pem", big(500_000)),
    "chain-of-another": from_blog("chain.pem"),
    "pair-of-another": from_blog("chain.pem", "key.pem"),
    "chain-is-a-link": link("chain.pem", "/dev/zero"),
    "chain-is-a-directory": directory("chain.pem"),
    "all-zero": lambda p: [(p.set / name).write_bytes(bytes(900))
                           for name in ("key.pem", "chain.pem", "record.json")],
}  # fmt: skip


def told_of_each(httpd, mark, where):
    for host, fault in where.items():
        number = 1101 if fault == "key-of-another-user" else 1103
        told(httpd, mark, number, f"certificates/{host}/")


@pytest.mark.parametrize("how", HOW)
def test_damaged_sets_are_mended_from_fresh_ones(many, how):
    mark, where = many.breaks_each(how, LOST)
    told_of_each(many.httpd, mark, where)
    for host in (SHOP, BLOG, *where):
        many.serves(host)
    mark = many.httpd.mark()
    many.httpd.graceful()
    assert numbered(many.httpd, mark) == []
    for host in where:
        many.serves(host)
    assert many.new_orders() == 0


def without_fresh(place):
    shutil.rmtree(place.fresh)


def test_damaged_sets_give_way_to_older_ones(many):
    mark, where = many.breaks_each("start", LOST, without_fresh)
    told_of_each(many.httpd, mark, where)
    many.httpd.wait_log(r"ACME1501: ", since=mark)
    for host in where:
        told(many.httpd, mark, 1113, f"{host}/ecdsa is damaged: set 1,")
        many.serves(host, "old")
    many.serves(SHOP)
    assert many.new_orders() == 0, "an older one is valid still"
    many.renews(*where)


@pytest.mark.parametrize("how", HOW)
def test_damaged_sets_without_others_are_ordered_anew(many, how):
    many.ca.issuance_gate.clear()

    def alone(place):
        without_fresh(place)
        shutil.rmtree(place.store / "archive" / place.name)

    mark, where = many.breaks_each(how, LOST, alone)
    told_of_each(many.httpd, mark, where)
    for host in where:
        told(many.httpd, mark, 1114, f"{host}/ecdsa")
        many.has_placeholder(host)
    many.serves(SHOP)
    many.serves(BLOG)
    many.ca.issuance_gate.set()
    for host in where:
        many.httpd.wait_cert(host)
        assert many.httpd.get("/", host=host, https=True).status == 200
    assert many.new_orders() == len(where)
    mark = many.httpd.mark()
    many.httpd.graceful()
    assert numbered(many.httpd, mark) == []


def test_dangling_link_gives_way_to_the_set_beside_it(case):
    place = Place(case.store, SHOP)
    replace_by_link(place.link, "ecdsa.77")
    without_fresh(place)
    case.httpd.start()
    told(case.httpd, 0, 1103, "ecdsa.77")
    told(case.httpd, 0, 1113, SHOP)
    case.serves(SHOP)
    case.renews()


RECORDS = {
    "empty": write("record.json", b""),
    "missing": gone("record.json"),
    "garbage": write("record.json", b'{ "numb'),
    "of-another": from_blog("record.json"),
    "other-number": lambda p: edit_json(p.set / "record.json", number=9),
    "no-ca": lambda p: edit_json(p.set / "record.json", ca=None),
    "wrong-types": lambda p: edit_json(p.set / "record.json", identifiers="x", serial=[]),
    "directory": directory("record.json"),
    "huge": write("record.json", b" " * 10_000_000),
}  # fmt: skip


def test_damaged_records_do_not_keep_whole_pairs_from_service(many):
    """Without fresh/ to mend it from, the certificate itself says what it is."""
    many.ca.issuance_gate.clear()
    mark, where = many.breaks_each("start", RECORDS, without_fresh)
    told_of_each(many.httpd, mark, where)
    for host in (SHOP, BLOG, *where):
        many.serves(host)
    # where they came from is not known any more: they are ordered anew, once
    many.ca.issuance_gate.set()
    for host in where:
        many.httpd.wait_cert(host, lambda s, h=host: serial(s) != many.filled.now[h])
    assert many.new_orders() == len(where)
    mark = many.httpd.mark()
    many.httpd.graceful()
    assert numbered(many.httpd, mark) == []


def test_unreadable_permissions_are_no_hindrance_for_root(case):
    def damage(store):
        place = Place(store, SHOP)
        for path in place.set.iterdir():
            path.chmod(0)
        place.set.chmod(0)

    case.breaks("start", damage)
    case.serves(SHOP)
    case.serves(BLOG)
    case.renews()


def test_record_without_ca_does_not_end_the_engine(case):
    def damage(store):
        path = Place(store, SHOP).set / "record.json"
        members = json.loads(path.read_text())
        del members["ca"]
        path.write_text(json.dumps(members))

    case.breaks("start", damage)
    case.renews()


def test_certificates_directory_of_a_host_is_a_file(case):
    mark = case.breaks("start", lambda s: rmtree_over(s / "certificates" / SHOP))
    told(case.httpd, mark, 1103, SHOP)
    case.serves(BLOG)
    (case.store / "certificates" / SHOP).unlink()
    case.httpd.graceful()
    case.renews()


def test_both_key_types_one_damaged(case):
    """Families stand for themselves: ECDSA's damage leaves RSA alone."""
    case.httpd.config("AcmeKeyType ecdsa-p256 rsa2048")
    case.httpd.start()
    rsa = case.httpd.wait_cert(
        SHOP, lambda s: s.key_type == "rsa2048" and not s.self_signed,
        sigalgs="rsa_pss_rsae_sha256",
    )  # fmt: skip
    case.httpd.graceful()
    case.httpd.stop()
    (case.store / "certificates" / SHOP / "rsa" / "key.pem").write_text("")
    shutil.rmtree(case.store / "fresh" / SHOP)
    case.ca.issuance_gate.clear()
    case.httpd.start()
    case.serves(SHOP)
    case.ca.issuance_gate.set()
    case.httpd.wait_cert(
        SHOP, lambda s: s.key_type == "rsa2048" and serial(s) != serial(rsa),
        sigalgs="rsa_pss_rsae_sha256",
    )  # fmt: skip
    case.renews()


# --- what the worker's user may plant in fresh/ --------------------------------------------------


def planted(change):
    """A copy of the newest fresh set under the next number: whole, but sealed for another."""

    def damage(place):
        target = place.fresh / "ecdsa.3"
        shutil.copytree(place.fresh / "ecdsa.2", target)
        edit_json(target / "record.json", number=3)
        own_all(target, WORKER_USER)
        change(target)

    return damage


def planted_by_worker(change):
    """The same, with what is put there, of the worker's user."""
    return planted(lambda target: (change(target), own_all(target, WORKER_USER)))


def sparse(path):
    with open(path, "wb") as out:
        out.truncate(5 << 30)


def fresh_of_blog(target):
    shutil.rmtree(target)
    shutil.copytree(target.parents[1] / BLOG / "ecdsa.1", target)
    edit_json(target / "record.json", number=3)


def link_into(target):
    """As far as the worker's user could: to what is root's, and readable."""
    (target / "chain.pem").unlink()
    os.link(target.parents[2] / "certificates" / BLOG / "ecdsa.1/chain.pem", target / "chain.pem")


def days(number):
    return pki.now() + datetime.timedelta(days=number)


def forge(target, names=None, key=None, kind="ecdsa-p256", ca="ecdsa-p256", **fields):
    """As by somebody who runs code in one of httpd's children: whole and sealed as it should be, from
    a CA of his own, with a record that says nothing strange. names: None for the host's alone;
    fields: of pki.Leaf."""
    store, host = target.parents[2], target.parent.name
    root = pki.Authority.root("His own root", pki.new_key(ca))
    own_key = pki.new_key(kind)
    leaf = pki.Leaf(names(host) if names else [host], own_key.public_key(), days(-1), days(89))
    signed = root.issue(dataclasses.replace(leaf, **fields))
    (target / "chain.pem").write_bytes(pki.cert_pem(signed) + pki.cert_pem(root.cert))
    der = (key or own_key).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (target / "key").write_bytes(seal(secret_of(store), f"fresh {host} ecdsa.3", der))


def forged(names=None, **how):
    return planted(lambda target: forge(target, names, **how))


FORGED = {
    "name-not-managed": forged(lambda host: ["evil.example"]),
    "name-added": forged(lambda host: [host, "evil.example"]),
    "name-of-another": forged(lambda host: [BLOG]),
    "wildcard": forged(lambda host: [host, "*.example.org"]),
    "wildcard-alone": forged(lambda host: ["*.example.org"]),
    "wildcard-of-all": forged(lambda host: [host, "*"]),
    "address": forged(lambda host: [host, "192.0.2.1"]),
    "mail-address": forged(lambda host: [host, "root@example.org"]),
    "no-name": forged(lambda host: []),
    "key-of-another": forged(key=pki.new_key()),
    "key-of-another-kind": forged(kind="rsa2048"),
    "not-begun": forged(not_before=days(1)),
    "authority": forged(is_ca=True),
    "for-clients": forged(usages=[ExtendedKeyUsageOID.CLIENT_AUTH]),
    # mod_ssl would end the server over it
    "too-weak-for-openssl": forged(ca="rsa1024"),
}

PLANTED = {
    "moved-number": planted(lambda t: None),
    "of-another-host": planted_by_worker(fresh_of_blog),
    "no-key": planted(lambda t: (t / "key").unlink()),
    "key-cut": planted(lambda t: os.truncate(t / "key", 20)),
    "key-garbage": planted(lambda t: (t / "key").write_bytes(os.urandom(200))),
    "no-chain": planted(lambda t: (t / "chain.pem").unlink()),
    "chain-cut": planted(lambda t: os.truncate(t / "chain.pem", 100)),
    "no-record": planted(lambda t: (t / "record.json").unlink()),
    "record-garbage": planted(lambda t: (t / "record.json").write_text("[")),
    "empty": planted_by_worker(lambda t: (shutil.rmtree(t), t.mkdir())),
    "link-to-shadow": planted_by_worker(lambda t: replace_by_link(t / "chain.pem", "/etc/shadow")),
    "link-to-secret": planted_by_worker(lambda t: replace_by_link(t / "key",
                                                                  "../../../store.json")),
    "hard-link": planted(link_into),
    "fifo": planted_by_worker(lambda t: ((t / "record.json").unlink(),
                                         os.mkfifo(t / "record.json"))),
    "five-gigabytes": planted(lambda t: sparse(t / "chain.pem")),
    "directory": planted_by_worker(lambda t: replace_by_dir(t / "chain.pem")),
    "set-is-a-file": planted_by_worker(rmtree_over),
    "set-is-a-link": planted_by_worker(lambda t: (shutil.rmtree(t), t.symlink_to("/etc"))),
    "set-is-a-fifo": planted_by_worker(lambda t: (shutil.rmtree(t), os.mkfifo(t))),
}  # fmt: skip


@pytest.mark.parametrize(
    "how, faults",
    [("start", PLANTED), ("graceful", PLANTED), ("graceful", FORGED)],
    ids=["start", "graceful", "forged"],
)
def test_planted_fresh_sets_are_refused_and_nothing_else_suffers(many, how, faults):
    mark, where = many.breaks_each(how, faults)
    many.httpd.wait_log(r"ACME1501: ", since=mark)
    for host in where:
        told(many.httpd, mark, 1109, host)
    for host in (SHOP, BLOG, *where):
        many.serves(host)
    # 1902: no handshake takes a key of another kind
    assert not [1 for number, line in numbered(many.httpd, mark) if number >= 1800 and number != 1902]
    assert many.new_orders() == 0
    many.renews(*where)


def test_worker_that_was_taken_over_can_replace_what_is_managed_alone(case):
    """As the security model says: it must be for the configured names; who signed it nobody asks."""
    case.breaks("graceful", lambda store: forged()(Place(store, SHOP)))
    assert case.httpd.served_cert(SHOP).issuer == "His own root"
    case.serves(BLOG)
    for path in (Place(case.store, SHOP).link).resolve().iterdir():
        assert (path.owner(), path.stat().st_nlink) == ("root", 1)


UNFIT = {
    "name-added": (1109, {"names": lambda host: [host, "evil.example"]}),
    "ended": (1409, {"not_before": days(-9), "not_after": days(-1)}),
    "authority": (1109, {"is_ca": True}),
}


def test_no_child_shows_what_root_would_not_promote_nor_is_it_exported(case, live_dir):
    """The set in service is replaced in the store, behind the back of the engine."""
    case.httpd.start()
    ask(case.httpd, SHOP)
    live = serial(case.httpd.served_cert(SHOP))
    engine = engine_pid(case.httpd)
    exported = live_dir / "exported"
    seen = set()
    for name, (number, how) in UNFIT.items():
        forge(Place(case.store, SHOP).fresh / "ecdsa.3", **how)
        mark = case.httpd.mark()
        for child in case.httpd.children():
            if child.pid != engine:
                case.httpd.kill_child(child.pid)

        def refused():
            seen.add(serial(case.httpd.served_cert(SHOP)))
            return f"ACME{number}" in case.httpd.log_since(mark)  # noqa: B023

        wait_until(refused, 30, f"a new child looks at the set: {name}")
        seen |= {serial(case.httpd.served_cert(SHOP)) for _ in range(20)}
        done = acmectl(case.httpd, "export", SHOP, "--dir", exported)
        assert done.returncode == 1 and f"ACME{number}" in done.stderr, (name, done)
    assert seen <= {live, case.filled.now[SHOP]} and not exported.exists()


def test_thousands_of_planted_sets_do_not_hold_up_the_start(case):
    def damage(store):
        for number in range(100, 3100):
            (store / "fresh" / SHOP / f"ecdsa.{number}").mkdir()

    mark = case.breaks("start", damage)
    case.serves(SHOP)
    assert len(numbered(case.httpd, mark)) < 10
    case.renews()


def test_torn_fresh_set_of_a_new_host_is_ordered_anew(case):
    """It was served live, never promoted, and is damaged before the next start."""
    case.httpd.vhost("new.example.org", https_extra="AcmeManage on")
    case.httpd.start()
    first = serial(case.httpd.wait_cert("new.example.org"))
    case.httpd.stop()
    (case.store / "fresh/new.example.org/ecdsa.1/key").write_bytes(b"torn")
    case.ca.issuance_gate.clear()
    case.httpd.start()
    case.has_placeholder("new.example.org")
    case.httpd.wait_log(r"ACME1501: ")
    case.has_placeholder("new.example.org")
    case.serves(SHOP)
    case.ca.issuance_gate.set()
    assert serial(case.httpd.wait_cert("new.example.org")) != first
    case.renews()


def test_torn_fresh_set_at_a_graceful_restart(case):
    """The live table knew it; the new generation must not promise what it cannot load."""
    case.httpd.start()
    ask(case.httpd, SHOP)
    (case.store / "fresh" / SHOP / "ecdsa.3" / "key").write_bytes(b"torn")
    case.ca.issuance_gate.clear()
    mark = case.httpd.mark()
    case.httpd.graceful()
    told(case.httpd, mark, 1109, SHOP)
    case.httpd.wait_log(r"ACME1501: ", since=mark)
    mark = case.httpd.mark()
    for _ in range(10):
        case.serves(SHOP)
    assert numbered(case.httpd, mark) == []
    case.ca.issuance_gate.set()
    case.renews()


# --- placeholders --------------------------------------------------------------------------------

PLACEHOLDERS = {
    "key-garbage": lambda p: (p / "key.pem").write_text("x"),
    "key-empty": lambda p: (p / "key.pem").write_text(""),
    "chain-cut": lambda p: os.truncate(p / "chain.pem", 100),
    "chain-huge": lambda p: (p / "chain.pem").write_bytes(big(10_000_000)),
    "key-directory": lambda p: replace_by_dir(p / "key.pem"),
    "chain-link": lambda p: replace_by_link(p / "chain.pem", "/etc/shadow"),
    "chain-fifo": lambda p: ((p / "chain.pem").unlink(), os.mkfifo(p / "chain.pem")),
    "is-a-file": lambda p: rmtree_over(p, "x"),
    "is-a-link": lambda p: (shutil.rmtree(p), p.symlink_to("/etc")),
    "of-another": lambda p: own_all(p, "nobody"),
    "is-full-of-junk": lambda p: [(p / n).write_text(n) for n in ("a", "b", "chain.pem")],
}


def new_hosts(faults):
    """Hosts without a certificate, one for each fault: {host: fault}."""
    return {f"new-{n}.example.org": fault for n, fault in enumerate(faults)}


@pytest.mark.parametrize("how", HOW)
def test_damaged_placeholders_are_made_anew(case, how):
    case.ca.issuance_gate.clear()
    where = new_hosts(PLACEHOLDERS)
    for host in where:
        case.httpd.vhost(host, https_extra="AcmeManage on")
    case.httpd.start()
    case.has_placeholder(next(iter(where)))
    if how == "start":
        case.httpd.stop()
    for host, fault in where.items():
        PLACEHOLDERS[fault](Place(case.store, host).placeholder)
    getattr(case.httpd, how)()
    case.serves(SHOP)
    for host in where:
        case.has_placeholder(host)
        assert case.httpd.served_cert(host).names == [host]
    case.ca.issuance_gate.set()
    for host in where:
        case.httpd.wait_cert(host)


# --- the worker's own notes ----------------------------------------------------------------------


def account_file(store):
    return next((store / "accounts").glob("*/account.json"))


ACCOUNTS = {
    "garbage": lambda p: p.write_bytes(os.urandom(300)),
    "no-members": lambda p: p.write_text("{}"),
    "key-not-ours": lambda p: edit_json(p, key="A" * 300),
    "huge": lambda p: p.write_bytes(b" " * 10_000_000),
    "link": lambda p: replace_by_link(p, "/etc/hostname"),
    "fifo": lambda p: (p.unlink(), os.mkfifo(p)),
    "directory": replace_by_dir,
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_damaged_account_is_set_aside_for_one_new_account(case, name):
    def damage(store):
        ACCOUNTS[name](account_file(store))
        own_all(account_file(store).parent, WORKER_USER)

    mark = case.breaks("start", damage)
    case.serves(SHOP)
    assert case.new_accounts() == 0, "only when it is needed"
    case.renews()
    assert case.new_accounts() == 1
    told(case.httpd, mark, 1506, "account")
    case.httpd.stop()
    case.httpd.start()
    ask(case.httpd, SHOP)
    assert case.new_accounts() == 1
    assert list((case.store / "accounts").glob("*/account.json.*")), "nothing is thrown away"


def test_account_of_another_user_makes_no_new_one(case):
    """It may be whole: nobody but a human can tell why it is theirs."""
    mark = case.breaks("start", lambda s: own(account_file(s), "nobody"))
    done = acmectl(case.httpd, "renew", SHOP, "--timeout", "5")
    assert done.returncode != 0
    told(case.httpd, mark, 1100, "account.json")
    assert case.new_accounts() == 0
    case.serves(SHOP)
    case.serves(BLOG)
    own(account_file(case.store), WORKER_USER)
    case.renews()
    assert case.new_accounts() == 0


ORDERS = {
    "garbage": lambda p: p.write_bytes(os.urandom(300)),
    "empty": lambda p: p.write_text(""),
    "no-members": lambda p: p.write_text("{}"),
    "cut": lambda p: os.truncate(p, 200),
    "huge": lambda p: p.write_bytes(b" " * 10_000_000),
    "link": lambda p: replace_by_link(p, "/etc/hostname"),
    "fifo": lambda p: (p.unlink(), os.mkfifo(p)),
    "key-garbage": lambda p: p.with_name("ecdsa.key").write_bytes(b"x" * 99),
    "key-missing": lambda p: p.with_name("ecdsa.key").unlink(),
    "key-link": lambda p: replace_by_link(p.with_name("ecdsa.key"), "/etc/hostname"),
    "directory": replace_by_dir,
}


def test_damaged_orders_are_begun_anew(case):
    case.ca.issuance_gate.clear()
    where = new_hosts(ORDERS)
    for host in where:
        case.httpd.vhost(host, https_extra="AcmeManage on")
    finalized = len(case.ca.requests_to("finalize"))
    case.httpd.start()
    case.ca.wait_request("finalize", finalized + len(where))
    case.httpd.stop()
    for host, fault in where.items():
        order = Place(case.store, host).order
        ORDERS[fault](order)
        own_all(order.parent, WORKER_USER)
    mark = case.httpd.mark()
    case.httpd.start()
    case.serves(SHOP)
    case.ca.issuance_gate.set()
    for host in where:
        case.httpd.wait_cert(host)
        told(case.httpd, mark, 1505, f"[{host}/ecdsa]")
    assert case.new_orders() == 2 * len(where)


def test_work_of_a_host_is_a_file(case):
    case.httpd.vhost("new.example.org", https_extra="AcmeManage on")
    (case.store / "work/new.example.org").write_text("x")
    own(case.store / "work/new.example.org", WORKER_USER)
    case.httpd.start()
    case.httpd.wait_log(r"ACME1\d\d\d: .*work/new.example.org")
    case.serves(SHOP)
    (case.store / "work/new.example.org").unlink()
    case.httpd.wait_cert("new.example.org")


LOCKS = {"empty": b"", "short": b"garbage", "random": os.urandom(4096), "zero": bytes(1024)}


@pytest.mark.parametrize("name", LOCKS)
def test_garbage_in_the_lock_is_a_free_lock(case, name):
    content = LOCKS[name]
    mark = case.breaks("start", lambda s: (s / "lock").write_bytes(content))
    assert numbered(case.httpd, mark) == []
    case.serves(SHOP)
    case.renews()


def test_junk_among_requests_and_replies(case):
    def damage(store):
        for place, user in (("control", "root"), ("replies", WORKER_USER)):
            folder = store / place
            for n in range(300):
                (folder / f"{n:016x}.json").write_bytes(os.urandom(40))
            (folder / "0123456789abcdef.json").write_text('{"action":"renew","certificate":[]}')
            (folder / "fedcba9876543210.json").mkdir()
            (folder / "..junk").write_text("x")
            (folder / "ffffffffffffffff.json").symlink_to("/etc/shadow")
            os.mkfifo(folder / "eeeeeeeeeeeeeeee.json")
            own_all(folder, user)

    mark = case.breaks("start", damage)
    case.serves(SHOP)
    case.renews()
    assert len(numbered(case.httpd, mark)) < 5


def test_requests_and_replies_of_yesterday_are_removed_at_a_start(case):
    old, new = [], []
    for place in ("control", "replies"):
        for days, made in ((2, old), (0, new)):
            path = case.store / place / f"{days:016x}.json"
            path.write_text('{"state":"done","text":"","code":0}')
            moment = path.stat().st_mtime - days * 86400
            os.utime(path, (moment, moment))
            made.append(path)
    other = case.store / "control" / "notes.txt"
    other.write_text("the administrator's own")
    os.utime(other, (0, 0))
    own_all(case.store / "replies", WORKER_USER)
    case.httpd.start()
    assert [path.exists() for path in old] == [False, False]
    assert [path.exists() for path in new] == [True, True]
    assert other.exists()


# --- what it costs -------------------------------------------------------------------------------


def test_whole_sets_are_told_from_damaged_ones_without_parsing(case):
    """The record of a promoted set holds a digest of its files."""
    record = json.loads((Place(case.store, SHOP).set / "record.json").read_text())
    assert re.fullmatch("[0-9a-f]{64}", record["files_sha256"])
    leaf = pki.load_chain((Place(case.store, SHOP).set / "chain.pem").read_bytes())[0]
    assert int(record["serial"], 16) == leaf.serial_number
