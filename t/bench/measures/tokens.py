"""Requests under /.well-known/acme-challenge/ against a static file.

A token that nobody knows, with keep-alive; and a token of an order in
progress, without. The order is kept in progress by a proxy that answers the
client's challenge POSTs itself, so the CA never validates.
"""
import time
import urllib.error
import urllib.request

import load
import procfs
from report import Goal
from servers import Proxy, pebble, wait_until

GOALS = {
    "rate, unknown token, other host": Goal(
        ">= 0.95 of a file", ratio=0.95, least=True),
    "rate, unknown token": Goal(">= 0.95 of a file", ratio=0.95,
                                least=True),
    "CPU per request, known token": Goal("<= 1 of a file", ratio=1.0),
}
UNKNOWN = "/.well-known/acme-challenge/bm8tc3VjaC10b2tlbi1hbnl3aGVyZQ"


def get(port, path, host):
    request = urllib.request.Request(
        "http://127.0.0.1:%d%s" % (port, path), headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.read().decode()
    except urllib.error.HTTPError:
        return None


def known_token(proxy, subject):
    """(path, host) of a token the server answers, or None."""
    for line in proxy.requests():
        token = (line.get("tokens") or {}).get("http-01")
        if not token:
            continue
        path = "/.well-known/acme-challenge/" + token
        body = get(subject.http_port, path, line["name"])
        if body and body.startswith(token + "."):
            return path, line["name"]
    return None


def run_wrk(bench, subject, path, host, keep_alive):
    """(requests per second, microseconds of CPU per request)"""
    before = sum(procfs.cpu(pid) for pid in subject.pids())
    done, rate, _ = load.wrk(
        "http://127.0.0.1:%d%s" % (subject.http_port, path),
        bench.args.seconds, host, keep_alive)
    used = sum(procfs.cpu(pid) for pid in subject.pids()) - before
    return rate, 1e6 * used / done


def compare(bench, subject, key, what, path, host, keep_alive):
    """Alternates between the path and a file; `of` in the table says which.

    Values of the file are entered under the subject's key + " file", so
    that each subject is compared with a file on its own server.
    """
    for turn in range(bench.args.token_pairs):
        targets = [(key, path), (key + " file", "/static.txt")]
        for name, where in targets if turn % 2 else reversed(targets):
            rate, used = run_wrk(bench, subject, where, host,
                                 keep_alive)
            for metric, unit, value in (
                    ("rate, " + what, "1/s", rate),
                    ("CPU per request, " + what, "us", used)):
                bench.results.add("tokens", bench.title(key), metric,
                                  unit, name, value, key + " file",
                                  GOALS.get(metric))


def run(bench):
    for key in bench.subjects("md", "acme"):
        bench.say("tokens: %d pairs, %s" % (bench.args.token_pairs, key))
        folder = bench.folder("tokens-" + key)
        subject = bench.subject(key, folder / "httpd", bench.names(1),
                                children=1)
        with pebble(folder / "ca", subject) as ca, \
                Proxy(folder / "proxy", ca, 0) as proxy:
            proxy.tell("swallow")
            subject.directory = proxy.directory_url
            subject.trust = proxy.ca_file
            with subject:
                path, host = wait_until(
                    lambda: known_token(proxy, subject), 60,
                    "a token of %s" % subject.title)
                time.sleep(1)
                compare(bench, subject, key, "unknown token",
                        UNKNOWN, host, True)
                compare(bench, subject, key, "unknown token, other host",
                        UNKNOWN, "other.example", True)
                compare(bench, subject, key, "known token",
                        path, host, False)
                compare(bench, subject, key,
                        "known token asked with keep-alive", path, host,
                        True)
                if not get(subject.http_port, path, host):
                    bench.results.note(
                        "tokens: %s's token was gone before the end"
                        % subject.title)
