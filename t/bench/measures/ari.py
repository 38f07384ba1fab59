"""Asking the CA about many valid certificates (renewal information, RFC 9773).

All certificates are in the store, and the CA is asked about each of them for
the first time; the proxy answers that itself, with a window weeks away. While
that goes on, one certificate is renewed on request a few times and handshakes
are counted; then both again with nothing else to do. mod_md has no renewal on
request, so its questions alone are counted.
"""
import time

import load
import procfs
from report import Goal
from servers import Proxy, Timeout, pebble, wait_until

GOALS = {
    "requests per certificate": Goal("<= 1.01", value=1.01),
    "connections to the CA": Goal("<= 4", value=4),
    "renewal on request": Goal("<= 1.2 of that with nothing else to do",
                               ratio=1.2),
    "handshake": Goal("<= 1.2 of that with nothing else to do", ratio=1.2),
}
ALONE = "acme alone"


def questions(requests):
    return [line for line in requests
            if line["method"] == "GET" and "renewalInfo/" in line["path"]]


def asked(proxy):
    """About how many certificates the CA has answered."""
    return len({line["path"] for line in questions(proxy.requests())})


def renewal(subject):
    """Seconds from acmectl's start until it says that it is done."""
    begin = time.monotonic()
    subject.renew(subject.names[:1])
    return time.monotonic() - begin


def handshakes(bench, subject, client):
    """Milliseconds of wall time a handshake."""
    count = bench.args.handshakes
    return 1000 * client.run(subject.https_port, "1.3", count,
                             subject.names[:1]) / count


def series(bench, key, subject, client, size):
    for _ in range(bench.args.ari_renewals):
        for metric, unit, value in (
                ("renewal on request", "s", renewal(subject)),
                ("handshake", "ms", handshakes(bench, subject, client))):
            bench.results.add("ari", size, metric, unit, key, value, ALONE,
                              GOALS[metric])


def report(bench, key, proxy, size, began, used):
    lines = questions(proxy.requests())
    others = [line for line in proxy.requests()
              if line["method"] == "GET" and line not in lines]
    for metric, unit, value in (
            ("certificates asked about", "", asked(proxy)),
            ("requests per certificate", "",
             (len(lines) + len(others)) / max(1, asked(proxy))),
            ("connections to the CA", "",
             proxy.tell("stats")["connections"]),
            ("all asked after", "s",
             max(line["got"] for line in lines) - began if lines else 0),
            ("CPU per certificate", "ms", 1000 * used / size)):
        bench.results.add("ari", size, metric, unit, key, value, "md",
                          GOALS.get(metric))


def one(bench, key, client):
    names = bench.names(bench.args.ari_hosts)
    size, folder = len(names), bench.folder("ari-" + key)
    subject = bench.subject(key, folder / "httpd", names)
    with pebble(folder / "ca", subject) as ca, \
            Proxy(folder / "proxy", ca, bench.args.round_trip) as proxy:
        proxy.tell("suggest")
        subject.directory, subject.trust = (proxy.directory_url,
                                            proxy.ca_file)
        subject.fill_store(bench.pairs)
        began = time.time()
        with subject:
            start = procfs.tree_cpu(subject.pid)
            try:
                wait_until(lambda: asked(proxy) > 0, 60, "first question")
                if key == "acme":
                    series(bench, key, subject, client, size)
                    during = asked(proxy)
                wait_until(lambda: asked(proxy) >= size, 60 + size,
                           "%s: all questions" % subject.title)
            except Timeout as reason:
                bench.results.note("ari: %s" % reason)
            report(bench, key, proxy, size, began,
                   procfs.tree_cpu(subject.pid) - start)
            if key == "acme":
                if during >= size:
                    bench.results.note("ari: all was asked before the "
                                       "renewals were done")
                series(bench, ALONE, subject, client, size)


def run(bench):
    client = load.Handshakes(bench.work)
    for key in bench.subjects("md", "acme"):
        bench.say("ari: %d certificates, %s" % (bench.args.ari_hosts, key))
        one(bench, key, client)
