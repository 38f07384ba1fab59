"""Memory of a child for each certificate that was swapped live.

Every child shakes hands with every host before (on placeholders), after
the first swap and after a renewal of all: the other children are stopped
for those moments, so that none can be missed. The child that runs the
engine holds orders as well; the median of the children is taken.
"""
import os
import signal
import statistics
import time

import load
import procfs
import subjects
from report import Goal
from servers import Proxy, pebble, wait_until

GOALS = {"child's memory per swapped certificate": Goal("<= 10", value=10),
         "child's memory per further swap": Goal("<= 1", value=1)}
CHILDREN = 3


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
                            extra=["AcmeRetry 2s 5s"])
    with pebble(folder / "ca", subject) as ca, \
            Proxy(folder / "proxy", ca, 0) as proxy:
        proxy.tell("closed")
        subject.directory, subject.trust = (proxy.directory_url,
                                            proxy.ca_file)
        root = ca.root_file()
        with subject:
            wait_until(lambda: len(subject.pids()) == CHILDREN, 10,
                       "children")
            bench.say("swap: %d hosts on placeholders" % size)
            visit(client, subject, 20)  # every thread's arena
            before = visit(client, subject, 5)
            proxy.tell("pass")
            bench.say("swap: issuing")
            wait_until(lambda: proxy.downloads() >= size, 300,
                       "certificates")
            all_served(subject, root)
            first = visit(client, subject, 5)
            add(bench, size, "child's memory per swapped certificate",
                growth(before, first, size))
            try:
                subject.renew()
            except subjects.Unavailable as reason:
                bench.results.note("swap: no renewal: %s" % reason)
                return
            bench.say("swap: renewing")
            wait_until(lambda: proxy.downloads() >= 2 * size, 300,
                       "renewed certificates")
            time.sleep(3)
            second = visit(client, subject, 5)
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
