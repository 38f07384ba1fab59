"""The points of a scenario, and one point from its beginning to its end."""

import traceback
from dataclasses import dataclass

from .rig import DAY, Fault, Wrong, demand

# What each fault can befall, by the traits that the shim tells of an operation.
ONCE = {"ENOSPC": "n", "EACCES": "p", "EMFILE": "d", "EROFS": "w", "EIO": "", "short": "h"}
LASTING = {"ENOSPC": "n", "EACCES": "p", "EROFS": "w", "EMFILE": "d", "EIO": ""}
CLOCKS = (DAY, -DAY, 400 * DAY, -1800)
FAULTS = ("kill", *ONCE, *(f"{name}+" for name in LASTING), "ECONNRESET", "ENOMEM", "clock")
ALLOCS = 400  # of tens of thousands, evenly spread


def points(ops, allocs, wanted=FAULTS):
    """Every fault that is worth a run, by what an undisturbed one did."""
    files = [op for op in ops if op.kind == "file"]
    net = [op for op in ops if op.kind == "net"]
    found = []
    if "kill" in wanted:
        found += [Fault("file", op.n, "kill") for op in files if "c" in op.traits]
        found += [Fault("net", op.n, "kill") for op in net]
        found += [Fault("net", op.n, "after") for op in net if "s" in op.traits]
    for faults, mark in ((ONCE, ""), (LASTING, "+")):
        for name, trait in faults.items():
            if name + mark in wanted:
                hit = [op for op in files if trait in op.traits]
                found += [Fault("file", op.n, name + mark) for op in hit]
    if "EMFILE" in wanted:
        found += [Fault("net", op.n, "EMFILE") for op in net if "d" in op.traits]
    if "ECONNRESET" in wanted:
        found += [Fault("net", op.n, "ECONNRESET") for op in net if op.call != "socket"]
    if "ENOMEM" in wanted:
        step = max(1, allocs // ALLOCS)
        found += [Fault("alloc", n, "ENOMEM") for n in range(1, allocs + 1, step)]
    if "clock" in wanted:
        for seconds in CLOCKS:
            hit = [op for op in files if "c" in op.traits] + net
            found += [Fault(op.kind, op.n, f"clock {seconds}") for op in hit]
    return found


@dataclass
class Result:
    fault: Fault
    met: str  # the operation that it befell, or "" where the run ended before
    orders: int  # asked for at the CA
    wrong: str = ""


class Runner:
    """One scenario on one rig."""

    def __init__(self, scenario, rig):
        self.rig = rig
        self.scenario = scenario(rig)
        rig.restore(self.scenario.tables)
        self.before = rig.served() if rig.store.exists() else 0
        done = self.act(traced=True)
        demand(done.code == 0, f"the undisturbed run failed\n{done.text}")
        self.ops, self.allocs = done.trace
        self.finish()
        self.requests = len(rig.ca.requests)
        self.orders = rig.new_orders()
        self.listing = rig.listing()
        rig.check_whole(self.listing)
        rig.check_ca(self.scenario.accounts, self.scenario.certs)

    def points(self, wanted=FAULTS):
        return points(self.ops, self.allocs, wanted)

    def act(self, **how):
        who = self.scenario.who
        return self.scenario.act(**how if who == "self" else {**how, "who": who})

    def finish(self):
        """Bring the scenario to its end as an administrator would: by starting again."""
        scenario, rig = self.scenario, self.rig
        rig.set_clock(DAY + 3600)
        if scenario.engine and scenario.who == "self":
            demand(rig.start().code == 0, "root does not start")
        scenario.again()
        if scenario.serves:
            rig.start(scenario.serves)
            number = rig.served(scenario.serves)
            demand(number == scenario.number, f"set {number} is in service in the end")
        scenario.check()

    def play(self, fault):
        rig = self.rig
        rig.restore(self.scenario.tables)
        # Who was killed cannot know that it had answered; and libcurl sends once more, octet for
        # octet, what got no reply on a connection that was used before: a nonce is used up then, a
        # challenge answered, a key changed.
        twice = "challenge answered twice"
        anew = "badNonce|authorization is valid|key-change: malformed: signature does not verify"
        rig.ca.allow_violations = f"{twice}|{anew}" if fault.kind == "net" else twice
        result = Result(fault, "", 0)
        try:
            self.disturb(fault, result)
        except Wrong as wrong:
            result.wrong = str(wrong)
        except Exception:  # the harness is wrong, or the store in a way it has not thought of
            result.wrong = traceback.format_exc()
        result.orders = rig.new_orders()
        return result

    def disturb(self, fault, result):
        rig = self.rig
        done = self.act(fault=fault)
        ops, _ = done.trace
        met = [op for op in ops if op.call == "FAULT"]
        result.met = f"{met[0].what} {ops[ops.index(met[0]) - 1].what}" if met else ""
        demand(done.code != -9 or (met and fault.action in ("kill", "after")), "killed by another")
        # Ours is known from what is on disk alone: that is all a killed process leaves.
        url, orders = rig.order_url(), rig.new_orders()
        self.still_serves()
        self.finish()
        if url:
            demand(rig.new_orders() == orders, f"ordered anew, though {url} was saved")
        demand(rig.new_orders() <= self.orders + 1, f"{rig.new_orders()} orders")
        limit = 2 * self.requests + 15
        demand(len(rig.ca.requests) <= limit, f"{len(rig.ca.requests)} requests to the CA")
        # One that is over, or not valid yet, by a clock that is an hour off is not taken.
        spare = abs(int(fault.action[6:] or 0)) > 3600 if fault.action.startswith("clock") else 0
        rig.check_ca(self.scenario.accounts, self.scenario.certs, spare)
        rig.check_whole(self.listing)

    def still_serves(self):
        """As the files are at this moment, and as a start takes them."""
        if self.before and self.scenario.serves:
            demand(self.rig.served() >= self.before, "the set in service is gone")
