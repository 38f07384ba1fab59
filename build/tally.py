#!/usr/bin/python3
"""Count what the tests of a run said.

usage: tally.py [file or folder ...]

A folder is a build tree: its automake results (*.trs) count, by the single tests where the program
beside them is a cmocka one. A file is pytest's JUnit XML, or a text of "pass|fail|skip NAME" lines.
Prints what failed and, last, "N passed, N failed, N skipped". Fails if something did, or if
something that should have results has none: a run of no tests has shown nothing.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

CMOCKA = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE),
    "failed": re.compile(r"^\[  FAILED  \] .*?(\d+) test\(s\), listed below", re.MULTILINE),
    "skipped": re.compile(r"^\[  SKIPPED \] .*?(\d+) test\(s\), listed below", re.MULTILINE),
}
AUTOMAKE = {
    "PASS": "passed", "XFAIL": "passed", "SKIP": "skipped",
    "FAIL": "failed", "XPASS": "failed", "ERROR": "failed",
}  # fmt: skip
WORDS = {"pass": "passed", "fail": "failed", "skip": "skipped"}


class Tally:
    """Sums, and the names of what failed."""

    def __init__(self):
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
        self.failures = []

    def add(self, outcome, number, name):
        self.counts[outcome] += number
        if outcome == "failed" and number:
            self.failures.append(name)

    def total(self):
        return sum(self.counts.values())

    def line(self):
        return ", ".join(f"{number} {word}" for word, number in self.counts.items())


def add_build_tree(tally, folder):
    for trs in sorted(folder.rglob("*.trs")):
        add_program(tally, trs, folder)


def add_program(tally, trs, folder):
    """One test program: by cmocka's sums, unless they contradict its exit status.

    A program that crashed, or was ended by a sanitizer behind its last test, has not passed.
    """
    name = str(trs.with_suffix("").relative_to(folder.parent))
    results = re.findall(r"^:test-result: (\w+)", trs.read_text(), re.MULTILINE)
    outcomes = [AUTOMAKE[result] for result in results]
    log = trs.with_suffix(".log")
    text = log.read_text(errors="replace") if log.exists() else ""
    sums = {key: sum(map(int, found.findall(text))) for key, found in CMOCKA.items()}
    if len(outcomes) != 1 or not any(sums.values()) or outcomes == ["skipped"]:
        for outcome in outcomes or ["failed"]:
            tally.add(outcome, 1, name)
        return
    if outcomes == ["failed"] and not sums["failed"]:
        sums["failed"] = 1
    for outcome, number in sums.items():
        tally.add(outcome, number, name)


def add_junit(tally, path):
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        tags = {child.tag for child in case}
        bad = tags & {"failure", "error"}
        tally.add("failed" if bad else "skipped" if "skipped" in tags else "passed", 1, name)


def add_lines(tally, path):
    for line in path.read_text().splitlines():
        word, _, name = line.partition(" ")
        tally.add(WORDS[word], 1, name)


def add(tally, path):
    """False if there was nothing to count."""
    before = tally.total()
    if path.is_dir():
        add_build_tree(tally, path)
    elif path.suffix == ".xml" and path.exists():
        try:
            add_junit(tally, path)
        except ElementTree.ParseError:
            return False
    elif path.exists():
        add_lines(tally, path)
    return tally.total() > before


def main(arguments):
    tally = Tally()
    for path in map(Path, arguments):
        if not add(tally, path):
            tally.add("failed", 1, f"{path.name}: no test has run")
    for name in tally.failures:
        print(f"failed: {name}")
    print(tally.line())
    return 1 if tally.counts["failed"] or not tally.counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
