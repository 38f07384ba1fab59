"""Fixtures of the live tests.

Each one gives servers in a folder of the test's own and ends them behind it. What they wrote in
their logs is shown where a test fails. ACME_KEEP=1 keeps the folders. ACME_MPM is the MPM to run
all on that do not name another, or several with blanks between them.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from . import proc
from .ca import Pebble
from .fakeca import FakeCA, tokens
from .httpd import MPMS, Httpd

LOGS = pytest.StashKey()
FAILED = pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line("markers", "all_mpms: run the test on event, worker and prefork")
    config.addinivalue_line("markers", "needs_root: needs a worker user apart from the owner")


# What takes minutes begins first, so that nothing waits for it at the end.
LONGEST = ("test_hundred_renewals_under_valgrind", "test_bench_tiny_run_measures_everything")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.originalname not in LONGEST)


def pytest_generate_tests(metafunc):
    """The fixture mpm is event (the first of MPMS), or each where the test is marked all_mpms."""
    if "mpm" in metafunc.fixturenames:
        every = metafunc.definition.get_closest_marker("all_mpms")
        metafunc.parametrize("mpm", MPMS if every else MPMS[:1])


def pytest_runtest_setup(item):
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root: without it httpd's children have no user of their own")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the servers' logs where a test failed, and tell the fixtures that it did."""
    report = (yield).get_result()
    if not report.failed:
        return
    item.stash[FAILED] = True
    for server in item.stash.get(LOGS, []):
        report.sections += [(title, text) for title, text in server.logs() if text]


def watch(request, server):
    """Let a failing test's report show this server's logs."""
    request.node.stash.setdefault(LOGS, []).append(server)
    return server


@pytest.fixture
def live_dir():
    """A folder that the user of httpd's children can get into: pytest's own are for us alone.

    The servers' fixtures stand on this one, so their ports are theirs until they have ended.
    """
    base = Path(tempfile.mkdtemp(prefix="acme-live-"))
    base.chmod(0o755)
    with proc.ports():
        yield base
    if os.environ.get("ACME_KEEP"):
        print(f"kept: {base}")
    else:
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def make_httpd(request, live_dir):
    """A function making an Httpd; its arguments are Httpd's but for the folder.

    Those of one test live in httpd, httpd2, ... and are stopped, with their checks, behind it.
    """
    made = []

    def make(**options):
        number = len(made) + 1
        folder = live_dir / ("httpd" if number == 1 else f"httpd{number}")
        server = watch(request, Httpd(folder, **options))
        made.append(server)
        return server

    yield make
    problems = _stop_all(made, request.node.stash.get(FAILED, False))
    if problems:
        raise problems[0]


def _stop_all(servers, failed):
    """Stop every one before the first complaint: nothing may outlive a test."""
    problems = []
    for server in servers:
        try:
            server.stop(check=not failed)
            if not failed:
                server.assert_no_crash()
        except AssertionError as problem:
            problems.append(problem)
    return problems


@pytest.fixture
def httpd(make_httpd, mpm):
    """One Httpd, not started, on the MPM of the test (see the marker all_mpms)."""
    return make_httpd(mpm=mpm)


@pytest.fixture
def make_pebble(request, live_dir):
    """A function starting a Pebble; its arguments are Pebble's but for the folder.

    For validation at a server under test give http_port and tls_port of it.
    """
    made = []

    def make(**options):
        folder = live_dir / f"pebble{len(made) or ''}"
        server = watch(request, Pebble(folder, **options))
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def pebble(make_pebble, httpd):
    """A Pebble that validates at the fixture httpd."""
    return make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port)


@pytest.fixture
def make_fakeca(request, live_dir):
    """A function starting a FakeCA; its arguments are FakeCA's but for the folder.

    Behind the test the client must not have broken the protocol: see FakeCA.violations.
    """
    made = []

    def make(**options):
        folder = live_dir / f"fakeca{len(made) or ''}"
        server = watch(request, FakeCA(folder, **options))
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.stop()
    if not request.node.stash.get(FAILED, False):
        for server in made:
            server.assert_no_violations()


@pytest.fixture
def fakeca(make_fakeca):
    """A FakeCA that takes every challenge as met."""
    return make_fakeca()


@pytest.fixture
def acme_httpd(httpd, pebble):
    """An Httpd, not started, with mod_acme set up for a Pebble that validates at it."""
    return httpd.acme(pebble)


@pytest.fixture
def make_waiting(httpd, make_fakeca):
    """A function making a server whose CA waits with validating until its gate is set:
    (httpd, ca, start); start(names) says which token each of them has to show: {host: token}."""
    made = []

    def make(*directives):
        ca = make_fakeca(validate="http", http_port=httpd.http_port)
        made.append(ca)
        ca.validation_gate.clear()
        httpd.acme(ca, *directives)

        def start(*names, **options):
            for name in names:
                httpd.vhost(name, https_extra="AcmeManage on", **options)
            httpd.start()
            ca.wait_request("challenge", len(names))
            return tokens(ca)

        return httpd, ca, start

    yield make
    for ca in made:
        ca.validation_gate.set()
