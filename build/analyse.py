#!/usr/bin/python3
"""Run the analysers and tell what nobody has explained; see build/analyse, which calls this in the
top folder: analyse.py COUNT FLAG... [TOOL [FILE ...]]

An explanation in analyse.known is three lines: "FILE: a part of the finding", "at: the line of code",
and "why: ...". It explains one finding, where the code is still that.
"""

import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KNOWN = Path("build/analyse.known")
KEPT = Path("build/out/analyse")
TOOLS = ("clang-tidy", "cppcheck", "gcc")
FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?:warning|(?:fatal )?error|performance|portability): (.*)$")
ENVIRONMENT = {**os.environ, "LC_ALL": "C"}
PROCESSORS = len(os.sched_getaffinity(0))


def run(command):
    """(what it wrote, whether it could do its work)"""
    done = subprocess.run(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    return done.stdout, done.returncode == 0


def command_of(tool, file, flags):
    """What a tool is called with that reads a file by itself."""
    if tool == "clang-tidy":
        return ["clang-tidy", "--quiet", file, "--", *flags]
    return ["gcc", "-fanalyzer", "-O1", "-c", "-o", "/dev/null", file, *flags]


def read_alone(tool, file, flags, version):
    """What the tool says of the file, or said when the file, with all it includes, was the same."""
    if file != "mod_acme/core/err.c":  # which defines what is a macro there
        flags = ["-include", "build/analyse.h", *flags]
    command = command_of(tool, file, flags)
    text, _ = run(["gcc", "-E", "-CC", file, *flags])
    ours = [version, *command, Path(".clang-tidy").read_text(encoding="utf-8"), text]
    key = hashlib.sha256("\0".join(ours).encode()).hexdigest()
    kept = KEPT / tool / file.replace("/", "+")
    if kept.exists():
        last, said = kept.read_text(encoding="utf-8").split("\n", 1)
        if last == key:
            return said
    said, able = run(command)
    if not able:
        return said + f"{file}:1:1: error: {tool} failed\n"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(f"{key}\n{said}", encoding="utf-8")
    return said


def read_together(files, flags):
    """cppcheck looks at calls from one file into another, and keeps what it needs by itself."""
    kept = KEPT / "cppcheck"
    kept.mkdir(parents=True, exist_ok=True)
    ours = [flag for flag in flags if flag.startswith(("-D", "-I"))]
    # Without httpd's headers this one ends the reading of a file.
    ours.append("-DAPR_DECLARE_EXTERNAL_HOOK(namespace,link,type,name,args)=")
    # varFuncNullUB: NULL is a pointer in all C libraries that httpd runs on
    said, able = run(
        ["cppcheck", "-q", f"-j{PROCESSORS}", f"--cppcheck-build-dir={kept}", "--std=c11"]
        + ["--enable=warning,performance,portability", "--inline-suppr"]
        + ["--suppress=missingIncludeSystem", "--suppress=varFuncNullUB", *ours, *files]
    )
    return said if able else said + f"{files[0]}:1:1: error: cppcheck failed\n"


def explanations():
    lines = [line.strip() for line in KNOWN.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    found = []
    for what, code, why in zip(lines[::3], lines[1::3], lines[2::3]):
        if not code.startswith("at: ") or not why.startswith("why: "):
            sys.exit(f"{KNOWN}: not as its first lines say: {what}")
        found.append((*what.split(": ", 1), code[len("at: ") :]))
    if 3 * len(found) != len(lines):
        sys.exit(f"{KNOWN}: not three lines each")
    return found


def code_at(file, number):
    lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[number - 1].strip() if number <= len(lines) else ""


def judge(said, known):
    """Prints what is not explained. Returns how many findings there are, how many are explained, and
    the explanations that were needed."""
    top = f"{Path.cwd()}/"
    seen, explained, showing = set(), 0, False
    served = {}  # explanation -> line number: it is of one place
    for line in said.splitlines():
        match = FINDING.match(line)
        if match:
            file, number, text = match.group(1).removeprefix(top), int(match.group(2)), match.group(3)
            showing = False
            if (file, number, text) in seen:
                continue
            seen.add((file, number, text))
            code = code_at(file, number)
            reasons = [entry for entry in known if entry[0] == file and entry[1] in text and entry[2] == code]
            reasons = [entry for entry in reasons if served.get(entry, number) == number]
            if reasons:
                served[reasons[0]] = number
                explained += 1
            showing = not reasons
        if showing:
            print(line)
    return len(seen), explained, served


def main():
    count = int(sys.argv[1])
    flags, rest = sys.argv[2 : 2 + count], sys.argv[2 + count :]
    tools = TOOLS if not rest or rest[0] == "all" else rest[:1]
    files = rest[1:] or sorted(map(str, [*Path("mod_acme").glob("*.c"), *Path("mod_acme").glob("*/*.c")]))
    said = []
    with ThreadPoolExecutor(PROCESSORS) as pool:
        for tool in tools:
            print(f"build/analyse: {tool}", flush=True)
            if tool == "cppcheck":
                said.append(read_together(files, flags))
                continue
            version, _ = run([tool, "--version"])
            said += pool.map(lambda file: read_alone(tool, file, flags, version), files)
    known = explanations()
    found, explained, served = judge("".join(said), known)
    idle = [entry for entry in known if entry not in served] if not rest else []
    for file, what, code in idle:
        print(f"{KNOWN}: explains nothing: {file}: {what}: {code}")
    print(f"{len(files)} files, {found} findings, {explained} explained")
    return 1 if found > explained or idle else 0


sys.exit(main())
