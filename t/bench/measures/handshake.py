"""Server CPU of full TLS handshakes on a host the module manages.

Two servers with one child each run side by side, one of them plain mod_ssl
with a certificate of the same kind; pairs of runs alternate between them,
and which is first alternates too. CPU is the child's, so the client's share
of the machine does not count. mod_acme's host was swapped live: it started
with a placeholder and got its certificate from Pebble while it ran; mod_md
has its certificate from the start, as it must.
"""
import contextlib
import time

import load
import procfs
import subjects
from report import Goal
from servers import nowhere, pebble, wait_until

FIXED = {"children": 1, "threads": 25}
GOALS = {"CPU per handshake": Goal("<= 1.05 of mod_ssl", ratio=1.05),
         "certificate callback, swapped live": Goal("<= 10", value=10),
         "certificate callback, nothing new": Goal("<= 10", value=10),
         "OCSP callback, stapled": Goal("<= 10", value=10)}
CALLS, SERIES = 20000, 5


@contextlib.contextmanager
def plain(bench, key):
    """A server whose certificates are in its store at the start."""
    subject = bench.subject(
        key, bench.folder("handshake-" + key) / "httpd", bench.names(1),
        trust=bench.pairs.trust, directory=nowhere(), **FIXED)
    subject.fill_store(bench.pairs)
    with subject:
        yield subject


@contextlib.contextmanager
def swapped(bench, key):
    """A server that got its certificates from Pebble while it ran."""
    folder = bench.folder("swapped-" + key)
    subject = bench.subject(key, folder / "httpd", bench.names(1),
                            debug=True, **FIXED)
    with pebble(folder / "ca", subject) as ca:
        subject.directory, subject.trust = ca.directory_url, ca.ca_file
        root = ca.root_file()
        with subject:
            wait_until(lambda: load.served(
                subject.https_port, subject.names[0], root), 120,
                "a live certificate")
            yield subject


def cost(subject, client, version, count):
    """Microseconds of CPU that one handshake took of the child."""
    before = sum(procfs.cpu(pid) for pid in subject.pids())
    client.run(subject.https_port, version, count, subject.names)
    time.sleep(0.05)
    after = sum(procfs.cpu(pid) for pid in subject.pids())
    return 1e6 * (after - before) / count


def compare(bench, key, client):
    server = swapped if key == "acme" else plain
    with plain(bench, "ssl") as base, server(bench, key) as other:
        time.sleep(2)
        pairs = {"ssl": base, key: other}
        for version in ("1.3", "1.2"):
            for subject in pairs.values():
                cost(subject, client, version,
                     min(200, bench.args.handshakes))
            for turn in range(bench.args.pairs):
                order = ["ssl", key]
                for each in order if turn % 2 else reversed(order):
                    # A series of its own for each comparison: pairs
                    # belong together.
                    value = cost(pairs[each], client, version,
                                 bench.args.handshakes)
                    bench.results.add(
                        "handshake", "TLS " + version,
                        "CPU per handshake, with " + subjects.SUBJECTS[
                            key].title, "us", each, value, "ssl",
                        GOALS["CPU per handshake"])


def callback(bench):
    """mod_acme's callbacks by themselves: see callback.c."""
    for _ in range(1 if bench.args.tiny else SERIES):
        nothing, swapped, stapled = load.callback(bench.work, CALLS)
        for metric, value in (("certificate callback, nothing new", nothing),
                              ("certificate callback, swapped live", swapped),
                              ("OCSP callback, stapled", stapled)):
            bench.results.add("handshake", "", metric, "us", "acme", value,
                              None, GOALS[metric])


def run(bench):
    client = load.Handshakes(bench.work)
    for key in bench.subjects("md", "acme"):
        bench.say("handshake: %d pairs of %d, %s and plain mod_ssl"
                  % (bench.args.pairs, bench.args.handshakes, key))
        compare(bench, key, client)
        if key == "acme":
            callback(bench)
