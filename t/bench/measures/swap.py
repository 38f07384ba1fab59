"""Memory of a child for each certificate that was swapped live.

Every child shakes hands with every host before (on placeholders; nothing is
ordered but on request), after the first swap and after a renewal of all: the
other children are stopped for those moments, so that none can be missed. The
child that runs the engine holds orders as well; the median of the children
is taken.
"""
import os
import signal
import statistics
import time

import load
import procfs
from report import Goal
from servers import pebble, wait_until

GOALS = {"child's memory per swapped certificate": Goal("<= 10", value=10),
         "child's memory per further swap": Goal("<= 1", value=1)}
CHILDREN = 3
ROUNDS = 10


def visit(client, subject, rounds):
    """Lets each child in turn serve all names; its private bytes then."""
    pids = subject.pids()
    private = {}
    for chosen in pids:
        others = [pid for pid in pids if pid != chosen]
        try:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            client.run(subject.https_port, "1.3", rounds * len(subject.names),
                       subject.names)
            time.sleep(0.1)
            private[chosen] = procfs.memory(chosen)["private"]
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)
    return private


def growth(before, after, count):
    """KiB per certificate, median of the children there all the time."""
    return statistics.median(
        (after[pid] - before[pid]) / count / 1024
        for pid in before if pid in after)


def run(bench):
    if "md" in bench.args.subjects:
        bench.results.note("swap: mod_md swaps nothing live, its "
                           "certificates need a graceful restart")
    if not bench.subjects("acme"):
        return
    size, client = bench.args.swap_hosts, load.Handshakes(bench.work)
    folder = bench.folder("swap")
    subject = bench.subject("acme", folder / "httpd", bench.names(size),
                            children=CHILDREN, threads=4,
                            extra=["AcmeRenewMode manual"])
    with pebble(folder / "ca", subject) as ca:
        subject.directory, subject.trust = ca.directory_url, ca.ca_file
        with subject:
            wait_until(lambda: len(subject.pids()) == CHILDREN, 10,
                       "children")
            bench.say("swap: %d hosts on placeholders" % size)
            visit(client, subject, ROUNDS)  # every thread's arena
            before = visit(client, subject, 2)
            bench.say("swap: issuing")
            subject.renew()
            all_served(subject, ca.root_file())
            first = visit(client, subject, 2)
            add(bench, size, "child's memory per swapped certificate",
                growth(before, first, size))
            bench.say("swap: renewing")
            subject.renew()
            second = visit(client, subject, 2)
            add(bench, size, "child's memory per further swap",
                growth(first, second, size))


def add(bench, size, metric, value):
    bench.results.add("swap", size, metric, "KiB", "acme", value, None,
                      GOALS[metric])


def all_served(subject, root):
    for name in subject.names:
        wait_until(lambda name=name: load.served(
            subject.https_port, name, root), 60,
            "live certificate of " + name)
