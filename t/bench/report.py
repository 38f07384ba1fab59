"""Collects values, prints them as a table, writes them as JSON."""
import json
import os
import platform
import subprocess

import stats

TITLES = {"ssl": "mod_ssl", "md": "mod_md", "acme": "mod_acme",
          "acme alone": "mod_acme, nothing else to do",
          "md file": "file (mod_md)", "acme file": "file (mod_acme)"}


class Goal:
    """What a value of mod_acme must be: a limit, or a ratio's limit."""

    def __init__(self, text, value=None, ratio=None, least=False):
        self.text, self.value = text, value
        self.ratio, self.least = ratio, least

    def met(self, value, ratio):
        limit = self.value if self.value is not None else self.ratio
        actual = value if self.value is not None else ratio
        if actual is None:
            return None
        return actual >= limit if self.least else actual <= limit


class Results:
    """Values by measure, size, metric and subject, in order of arrival."""

    def __init__(self, judge=True):
        """judge: say whether goals are met; sizes must be the goals'."""
        self.judge = judge
        self.series = {}
        self.about = {}
        self.notes = []

    def add(self, measure, size, metric, unit, subject, value,
            reference=None, goal=None):
        """reference: subject whose values the ratio is taken to."""
        key = (measure, size, metric)
        entry = self.series.setdefault(key, {
            "unit": unit, "reference": reference, "goal": goal,
            "values": {}})
        entry["values"].setdefault(subject, []).append(value)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    @staticmethod
    def ratio(entry, subject):
        """(ratio, low, high) to the reference; low and high may be None."""
        reference = entry["reference"]
        values = entry["values"]
        if not reference or subject == reference \
                or reference not in values:
            return None
        tops, bottoms = values[subject], values[reference]
        if not all(bottoms):
            return None
        if len(tops) == len(bottoms) and len(tops) >= 3:
            return stats.ratio_interval(tops, bottoms)
        return stats.median(tops) / stats.median(bottoms), None, None

    def rows(self):
        for (measure, size, metric), entry in self.series.items():
            for subject, values in entry["values"].items():
                ratio = self.ratio(entry, subject)
                goal = entry["goal"] \
                    if self.judge and subject == "acme" else None
                met = goal.met(stats.median(values),
                               ratio[0] if ratio else None) \
                    if goal else None
                yield {"measure": measure, "size": size, "metric": metric,
                       "unit": entry["unit"], "subject": subject,
                       "rounds": len(values),
                       "median": stats.median(values),
                       "low": min(values), "high": max(values),
                       "reference": entry["reference"],
                       "ratio": ratio[0] if ratio else None,
                       "ratio_low": ratio[1] if ratio else None,
                       "ratio_high": ratio[2] if ratio else None,
                       "goal": goal.text if goal else None, "met": met,
                       "values": values}

    def print(self):
        table = [("measure", "size", "metric", "of", "n", "median",
                  "low .. high", "ratio", "goal")]
        last = None
        for row in self.rows():
            head = (row["measure"], str(row["size"]),
                    "%s [%s]" % (row["metric"], row["unit"]))
            table.append((head if head != last else ("", "", "")) + (
                TITLES.get(row["subject"], row["subject"]),
                str(row["rounds"]), number(row["median"]),
                "%s .. %s" % (number(row["low"]), number(row["high"])),
                ratio_text(row), goal_text(row)))
            last = head
        widths = [max(len(line[n]) for line in table)
                  for n in range(len(table[0]))]
        for line in table:
            print("  ".join(cell.rjust(width) if n in (4, 5) else
                            cell.ljust(width) for n, (cell, width)
                            in enumerate(zip(line, widths))).rstrip())
        for note in self.notes:
            print("note: " + note)

    def json(self):
        return json.dumps({"about": self.about, "notes": self.notes,
                           "rows": list(self.rows())}, indent=1)


def number(value):
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return "%.0f" % value
    return "%.3g" % value if abs(value) < 100 else "%.1f" % value


def ratio_text(row):
    if row["ratio"] is None:
        return ""
    text = "%.3g" % row["ratio"]
    if row["ratio_low"] is not None:
        text += " (%.3g..%.3g)" % (row["ratio_low"], row["ratio_high"])
    return text + " of " + TITLES.get(row["reference"], row["reference"])


def goal_text(row):
    if row["goal"] is None:
        return ""
    word = {True: "met", False: "MISSED", None: "?"}[row["met"]]
    return "%s: %s" % (row["goal"], word)


def about():
    """What a reader must know of the machine and the programs."""
    def first_line(*argv):
        try:
            return subprocess.run(
                argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, check=False).stdout.splitlines()[0]
        except (OSError, IndexError):
            return None
    return {"httpd": first_line("apache2", "-v"),
            "openssl": first_line("openssl", "version"),
            "kernel": platform.release(), "cpus": os.cpu_count()}
