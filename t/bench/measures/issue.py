"""From httpd's start until all hosts serve the CA's certificates.

The CA answers over 100 ms of round trip, rejects 5 % of the nonces, gives
Retry-After (3 s for authorizations, 5 for orders) and takes 0, 1 or 2 s for
each of its three looks at a challenge, mostly 2 for the slowest. Every run gets a new CA. A
server that needs a graceful restart gets one, at the moment when all its
certificates wait for it: the best an administrator could do.
"""
import calendar
import email.utils
import re
import time

import load
import procfs
from report import Goal
from servers import Failed, Proxy, pebble, wait_until

GOALS = {
    "wall time": Goal("<= 1/20 of mod_md", ratio=1 / 20),
    "requests per certificate": Goal("<= 10.5", value=10.5),
    "early polls": Goal("none", value=0),
    "CPU per certificate": Goal("<= 1/3 of mod_md", ratio=1 / 3),
}
# Both clocks are one, but a Retry-After is a whole second and a timer may
# round to its millisecond.
TOLERANCE = 0.002
RETRY_AFTER = 3, 5  # authorization, order: Pebble's defaults


def resource(path):
    """What an answer's Retry-After speaks of: finalize means its order."""
    return re.sub(r"/finalize-order/", "/my-order/", path)


def not_before(line):
    """The moment until when this answer tells its reader to wait."""
    value = line.get("retry_after")
    if value is None:
        return None
    if value.isdigit():
        return line["got"] + int(value)
    return calendar.timegm(email.utils.parsedate(value))


def early_polls(requests):
    """Requests sent before the Retry-After given for the same resource."""
    until, early = {}, []
    for line in sorted(requests, key=lambda each: each["sent"]):
        target = resource(line["path"])
        waiting = until.get(target)
        if waiting and line["sent"] < waiting - TOLERANCE \
                and target == line["path"]:
            early.append(dict(line, too_early=waiting - line["sent"]))
        moment = not_before(line)
        if moment:
            until[target] = moment
        elif line["status"] < 400:
            until.pop(target, None)
    return early


def wait_served(subject, root, seconds):
    """Until every host shows a certificate of the CA; checks in turn."""
    end = time.monotonic() + seconds
    for name in subject.names:
        while not load.served(subject.https_port, name, root):
            if time.monotonic() > end:
                raise Failed("%s is not served with the CA's certificate"
                             % name)
            time.sleep(0.1)


def one(bench, key, size, challenge="http-01"):
    """One run of one subject; metric -> (unit, value)."""
    names = bench.names(size)
    folder = bench.folder("issue-" + key)
    subject = bench.subject(key, folder / "httpd", names)
    subject.challenge = challenge
    limit = 60 + 10 * size
    with pebble(folder / "ca", subject, bench.args.validation,
                (1, 1) if bench.args.tiny else RETRY_AFTER) as ca, \
            Proxy(folder / "proxy", ca, bench.args.round_trip) as proxy:
        subject.directory, subject.trust = (proxy.directory_url,
                                            proxy.ca_file)
        root = ca.root_file()
        begin = time.monotonic()
        with subject:
            wait_until(lambda: subject.running()
                       and proxy.downloads() >= size, limit,
                       "%s: all certificates" % subject.title)
            issued = time.monotonic() - begin
            if subject.needs_graceful:
                wait_until(subject.all_issued, 60,
                           "%s: end of its jobs" % subject.title)
                subject.graceful()
            wait_served(subject, root, 60)
            wall = time.monotonic() - begin
            used = procfs.tree_cpu(subject.pid)
        requests = proxy.requests()
        busy = proxy.tell("stats")
    if not busy["h2"]:
        bench.results.note("issue: HTTP/1.1 only, python3-h2 is missing")
    early = early_polls(requests)
    for line in early[:3]:
        bench.say("  early by %.3f s: %s %s" % (
            line["too_early"], line["method"], line["path"]))
    if busy["cpu"] > 0.5 * wall:
        bench.results.note("issue: the proxy was busy %.0f %% of the time"
                           % (100 * busy["cpu"] / wall))
    return {
        "wall time": ("s", wall),
        "issued after": ("s", issued),
        "wall per certificate": ("s", wall / size),
        "requests per certificate": ("", len(requests) / size),
        "early polls": ("", len(early)),
        "CPU per certificate": ("ms", 1000 * used / size),
        "connections to the CA": ("", busy["connections"]),
        "rejected nonces": ("", sum(
            "badNonce" in line.get("problem", "") for line in requests)),
        "proxy CPU of wall": ("%", 100 * busy["cpu"] / wall),
    }


def run(bench):
    size = bench.args.certificates
    for turn in range(bench.args.issue_rounds):
        for key in bench.subjects("md", "acme"):
            bench.say("issue: round %d, %d certificates, %s"
                      % (turn + 1, size, key))
            for metric, (unit, value) in one(bench, key, size).items():
                bench.results.add("issue", size, metric, unit, key, value,
                                  "md", GOALS.get(metric))
