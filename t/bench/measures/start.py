"""Start and graceful restart with many hosts: CPU, time, memory.

With certificates in the store: every subject starts with the same ones,
plain mod_ssl is the baseline. CPU is the parent's until it serves, so what
children do afterwards does not count. With an empty store: what the first
start costs each new name.
"""
import shutil
import time

import procfs
from report import Goal
from servers import nowhere, wait_until

GOALS = {
    "hooks' CPU per host, start": Goal("<= 100", value=100),
    "hooks' CPU per host, graceful": Goal("<= 100", value=100),
    "memory over mod_ssl per host, fixed part off": Goal("<= 8", value=8),
    "memory over mod_ssl per host, after graceful, fixed part off":
        Goal("<= 8", value=8),
    "more CPU per host with an empty store": Goal("<= 0.3", value=0.3),
}
FIXED = {"children": 2, "threads": 25, "debug": True}


def settle(bench, subject, old=()):
    """Waits until all children are there, and none of the old ones.

    In between, a graceful restart of the event MPM may have no child at
    all. Their memory is read after that, when mod_acme's engine has begun:
    its memory counts.
    """
    old = set(old)

    def settled():
        pids = set(subject.pids())
        return len(pids) >= FIXED["children"] and not pids & old
    wait_until(settled, 10, "children")
    time.sleep(0.3 if bench.args.tiny else 2.5)


def memory(subject, size):
    """KiB per host: whole tree, parent, one child's own."""
    pids = subject.pids()
    return {
        "memory per host": procfs.tree_memory(subject.pid) / size / 1024,
        "parent's RSS per host":
            procfs.memory(subject.pid)["rss"] / size / 1024,
        "child's private memory per host":
            sum(procfs.memory(pid)["private"] for pid in pids)
            / len(pids) / size / 1024,
    }


def cycle(bench, subject, size):
    """A server that has just started, and a graceful restart of it.

    metric -> (unit, value)
    """
    values = {"start": ("s", subject.took),
              "CPU of start per host":
                  ("ms", 1000 * procfs.cpu(subject.pid) / size)}
    settle(bench, subject)
    for metric, value in memory(subject, size).items():
        values[metric] = ("KiB", value)
    hooks = {"start": subject.log()}
    before, at, old = (procfs.cpu(subject.pid), subject.mark(),
                       subject.pids())
    subject.graceful()
    values["graceful"] = ("s", subject.took)
    values["CPU of graceful per host"] = (
        "ms", 1000 * (procfs.cpu(subject.pid) - before) / size)
    hooks["graceful"] = subject.log_since(at)
    settle(bench, subject, old)
    values["memory per host, after graceful"] = (
        "KiB", memory(subject, size)["memory per host"])
    for when, text in hooks.items():
        used = subject.hooks_used(text)
        if used is not None:
            values["hooks' CPU per host, " + when] = ("us", used)
    return values


def over_baseline(bench, size, key, values, baseline, fixed):
    """Differences to plain mod_ssl in the same round.

    fixed: KiB that the module takes for one host over plain mod_ssl, by
    when (see one_host): its code, its libraries. Taken off where the goal
    is about each host.
    """
    names = {"CPU of start per host": "CPU of start over mod_ssl per host",
             "CPU of graceful per host":
                 "CPU of graceful over mod_ssl per host",
             "memory per host": "memory over mod_ssl per host",
             "memory per host, after graceful":
                 "memory over mod_ssl per host, after graceful"}
    for source, metric in names.items():
        unit, value = values[source]
        bench.results.add("start", size, metric, unit, key,
                          value - baseline[source][1], "md",
                          GOALS.get(metric))
        if unit == "KiB":
            metric += ", fixed part off"
            more = (value - baseline[source][1]) * size \
                - fixed[source.replace("memory per host", "")]
            bench.results.add("start", size, metric, unit, key,
                              more / (size - 1), "md", GOALS.get(metric))


def prepared(bench, size, keys):
    """Subjects with filled stores that have been started once."""
    names, made = bench.names(size), {}
    for key in keys:
        subject = bench.subject(
            key, bench.folder("start-" + key) / "httpd", names,
            directory=nowhere(),
            trust=bench.pairs.trust, **FIXED)
        subject.fill_store(bench.pairs)
        made[key] = subject
        bench.say("start: %d hosts, %s: first start, not measured"
                  % (size, key))
        with subject:  # completes the store
            time.sleep(1 if key == "md" else 0)
    return made


def one_host(bench, keys):
    """KiB of the tree with one host: subject -> {"" or when: KiB}."""
    found = {}
    for key, subject in prepared(bench, 1, keys).items():
        with subject:
            settle(bench, subject)
            found[key] = {"": memory(subject, 1)["memory per host"]}
            old = subject.pids()
            subject.graceful()
            settle(bench, subject, old)
            found[key][", after graceful"] = memory(
                subject, 1)["memory per host"]
    return found


def filled(bench, size):
    keys = bench.subjects("ssl", "md", "acme")
    alone = one_host(bench, keys)
    made = prepared(bench, size, keys)
    for key in keys:
        if key != "ssl" and "ssl" in keys:
            bench.results.add("start", 1, "module's fixed memory", "KiB",
                              key, alone[key][""] - alone["ssl"][""], "md")
    for turn in range(bench.args.start_rounds):
        baseline = None
        for key in keys:
            bench.say("start: round %d, %d hosts, %s"
                      % (turn + 1, size, key))
            made[key].forget_log()
            with made[key]:
                values = cycle(bench, made[key], size)
            for metric, (unit, value) in values.items():
                bench.results.add("start", size, metric, unit, key, value,
                                  "ssl", GOALS.get(metric))
            if key == "ssl":
                baseline = values
            elif baseline:
                over_baseline(bench, size, key, values, baseline,
                              {when: alone[key][when]
                               - alone["ssl"][when] for when in alone[key]})


def first_start(bench, key, names, kind):
    """CPU seconds and wall seconds of a start with nothing in the store."""
    folder = bench.folder("empty-" + key)
    subject = bench.subject(
        key, folder / "httpd", names,
        directory=nowhere(),
        trust=bench.pairs.trust, **dict(FIXED, key=kind, debug=False))
    with subject:
        wall, used = subject.took, procfs.cpu(subject.pid)
    again = 0.0
    if kind == "ecdsa":
        shutil.rmtree(subject.store, ignore_errors=True)
        subject.fill_store(bench.pairs)
        with subject:
            time.sleep(0.5)
        with subject:
            again = procfs.cpu(subject.pid)
    shutil.rmtree(folder, ignore_errors=True)
    return used, wall, again


def empty(bench, kind, size):
    names = bench.names(size)
    metric = "%s with an empty store, " + kind
    for turn in range(bench.args.start_rounds):
        for key in bench.subjects("md", "acme"):
            bench.say("start: round %d, %d new hosts, %s, %s"
                      % (turn + 1, size, kind, key))
            used, wall, again = first_start(bench, key, names, kind)
            add = bench.results.add
            add("start", size, metric % "start", "s", key, wall, "md")
            add("start", size, metric % "CPU of start per host", "ms", key,
                1000 * used / size, "md")
            if kind == "ecdsa":
                name = "more CPU per host with an empty store"
                add("start", size, name, "ms", key,
                    1000 * (used - again) / size, "md", GOALS[name])


def run(bench):
    for size in bench.args.hosts:
        filled(bench, size)
    empty(bench, "ecdsa", bench.args.empty_hosts)
    empty(bench, "rsa", bench.args.empty_rsa_hosts)
