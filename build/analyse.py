#!/usr/bin/python3
"""What the analysers found and nobody has explained: analyse.py KNOWN FINDINGS FILES"""

import re
import sys
from pathlib import Path

FINDING = re.compile(r"^(?:\S*/)?(mod_acme/\S+?):(\d+):\d+: (?:warning|error|performance|portability): (.*)$")


def explained(path):
    """[(file, what)]: a line of the file each, "file: what: why"; what is a part of the finding."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [tuple(line.split(": ", 2)) for line in lines if line and not line.startswith("#")]


def main():
    known = explained(Path(sys.argv[1]))
    used, found, showing = set(), set(), False
    for line in Path(sys.argv[2]).read_text(encoding="utf-8", errors="replace").splitlines():
        match = FINDING.match(line)
        if match:
            file, number, text = match.groups()
            reasons = [entry for entry in known if entry[0] == file and entry[1] in text]
            used.update(reasons)
            showing = not reasons
            if showing:
                found.add((file, number, text))
        if showing:
            print(line)
    print(f"{sys.argv[3]} files, {len(found)} findings, {len(used)} explained")
    return 1 if found else 0


sys.exit(main())
