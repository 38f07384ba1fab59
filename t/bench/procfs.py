"""What the kernel knows about processes: CPU, memory, wake-ups.

CPU of a living process is its CPU clock (nanoseconds, all its threads,
also those that have ended); of reaped children, the parent's account in
clock ticks.
"""
import os
import pathlib
import re
import time

import servers  # noqa: F401  (makes t/live importable)
from live.proc import stat_fields

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of user and system CPU of one process."""
    return time.clock_gettime((~pid << 3) | 2)


def reaped_cpu(pid):
    """Seconds used by children that pid has waited for."""
    fields = stat_fields(pid)
    return (int(fields[13]) + int(fields[14])) / TICK


def children(pid):
    """Living children of pid, not theirs, zombies left out."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(int(entry))
            if fields and int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry))
    return sorted(found)


def tree(pid):
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def tree_cpu(pid):
    """Seconds used by pid and all its descendants, living and reaped."""
    total = 0.0
    for member in tree(pid):
        try:
            total += cpu(member) + reaped_cpu(member)
        except (OSError, TypeError):  # it has just ended
            pass
    return total


def memory(pid):
    """Bytes: rss; private (not shared with anybody); own.

    Own is this process's share of anonymous and shared memory, without the
    pages of files, which whoever else runs the same programs has in common.
    """
    text = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
    kib = {key: int(value) for key, value in
           re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    return {"rss": kib["Rss"] * 1024,
            "private": (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024,
            "own": (kib["Pss_Anon"] + kib["Pss_Shmem"]) * 1024}


def tree_memory(pid):
    """Bytes that pid and its descendants occupy, each page once."""
    return sum(memory(member)["own"] for member in tree(pid))


def wakeups(pid):
    """Voluntary context switches of all threads of pid's tree so far."""
    total = 0
    for member in tree(pid):
        for status in pathlib.Path("/proc/%d/task" % member).glob(
                "*/status"):
            try:
                found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                  status.read_text(), re.M)
            except OSError:
                continue
            total += int(found.group(1))
    return total
