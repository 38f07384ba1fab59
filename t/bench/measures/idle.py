"""What a server costs that does nothing: CPU and wake-ups.

All subjects idle at the same time, with valid certificates and Debian's
settings of the event MPM, after ten seconds to settle.
"""
import contextlib
import time

import procfs
from report import Goal
from servers import nowhere

GOALS = {"CPU a minute": Goal("<= 1/3 of mod_md", ratio=1 / 3),
         "wake-ups a second": None}
SETTLE = 10


def run(bench):
    size, seconds = bench.args.idle_hosts, bench.args.idle_seconds
    with contextlib.ExitStack() as stack:
        idle = {}
        for key in bench.subjects("ssl", "md", "acme"):
            subject = bench.subject(
                key, bench.folder("idle-" + key) / "subject",
                bench.names(size),
                directory=nowhere(), trust=bench.pairs.trust)
            subject.fill_store(bench.pairs)
            idle[key] = stack.enter_context(subject)
        bench.say("idle: %d hosts, %d s: %s"
                  % (size, seconds, " ".join(idle)))
        time.sleep(min(SETTLE, 2 * seconds))
        before = {key: reading(subject) for key, subject in idle.items()}
        time.sleep(seconds)
        for key, subject in idle.items():
            after = reading(subject)
            passed = after[0] - before[key][0]
            for metric, unit, value in (
                    ("CPU a minute", "ms",
                     60000 * (after[1] - before[key][1]) / passed),
                    ("wake-ups a second", "1/s",
                     (after[2] - before[key][2]) / passed)):
                bench.results.add("idle", size, metric, unit, key, value,
                                  "md", GOALS[metric])


def reading(subject):
    return (time.monotonic(), procfs.tree_cpu(subject.pid),
            procfs.wakeups(subject.pid))
