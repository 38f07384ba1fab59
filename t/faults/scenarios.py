"""What is disturbed: each scenario prepares a state, does one thing to it under a fault, brings it
to its end undisturbed, and says what the CA must have then."""

import hashlib
import json
import re
import shutil
from pathlib import Path

from cryptography import x509

from live import jose, pki

from .rig import DAY, SHOP, demand, nearly_over

OTHER = "other.example.org"


class Scenario:
    """One of the classes below; see its text. Counts are of what the CA has when all is over."""

    who = "self"
    accounts, certs, number = 1, 1, 1  # number: of the set in service at the end
    serves = SHOP  # None: nothing is in service at the end
    engine = True

    def __init__(self, rig):
        self.rig = rig
        self.prepare()
        self.tables = rig.snapshot()

    def prepare(self):
        """The state that each point begins with."""

    def act(self, **how):
        """The one run that is disturbed."""
        raise NotImplementedError

    def again(self):
        """The same, undisturbed, until it is done."""
        raise NotImplementedError

    def issue(self, *options):
        self.rig.start()
        done = self.rig.drive(*options)
        demand(done.code == 0, done.text)
        self.rig.start()

    def issue_old(self, *options):
        """One that is due for renewal, though it was not when it was issued."""
        self.rig.ca.on_issue = nearly_over
        self.rig.set_clock(-79 * DAY)
        self.issue(*options)
        self.rig.ca.on_issue = lambda leaf: None
        self.rig.set_clock(0)

    def check(self):
        """What only this scenario knows."""


class Issue(Scenario):
    """A first certificate, from an empty folder on, by http-01."""

    name = "issue"
    options = ()

    def act(self, **how):
        return self.rig.drive("--settle", "--seconds", "8", *self.options, **how)

    def again(self):
        done = self.rig.drive("--seconds", "20", *self.options)
        demand(done.code == 0, f"does not come to its end\n{done.text}")


class IssueDns(Issue):
    """A first certificate by dns-01, with programs for the records and for the gate."""

    name = "issue-dns"
    program = '#!/bin/sh\n[ "$ACME_EVENT" ] && set -- "$ACME_EVENT" "$ACME_DOMAIN" gate\nprintf "%s %s %s\\n" "$1" "$2" "$3" >> "${0%/*}/told"\n'

    def __init__(self, rig):
        self.path = rig.folder / "told.sh"
        self.path.write_text(self.program)
        self.path.chmod(0o755)
        self.told = rig.folder / "told"
        gate = f"challenge-open,challenge-close {self.path}"
        self.options = ("--tidy", "--dns", self.path, "--on", gate)
        super().__init__(rig)

    def act(self, **how):
        self.told.unlink(missing_ok=True)
        return super().act(**how)

    def check(self):
        """What was set up, or opened, is taken away, or shut, behind it."""
        opened = {}
        for line in self.told.read_text().splitlines():
            verb, name, value = line.split(" ", 2)
            opened[name, value] = verb in ("setup", "challenge-open")
        left = [key for key, is_open in opened.items() if is_open]
        demand(not left, f"left over of challenges: {left}")


class Renewal(Issue):
    """A certificate that is due, with the CA's renewal information and a key made ahead."""

    name = "renewal"
    certs, number = 2, 2
    options = ("--in-service", "2", "--reuse", "next")

    def prepare(self):
        self.issue_old("--reuse", "next")
        told = "".join(text for _, _, _, text in self.rig.said)
        self.announced = re.findall(r"TLSA 3 1 1 (\w+) will be", told)[-1]

    def check(self):
        chain = self.rig.store / f"certificates/{SHOP}/ecdsa/chain.pem"
        cert = x509.load_pem_x509_certificate(chain.read_bytes())
        shown = hashlib.sha256(pki.public_der(cert)).hexdigest()
        demand(shown == self.announced, "the key is another than was announced")


class Activation(Issue):
    """A renewed certificate whose time to come into service has come (AcmeActivateDelay); whoever
    has stored it was killed before its order was gone."""

    name = "activation"
    certs, number = 2, 2
    options = ("--delay", "3600", "--in-service", "2")

    def prepare(self):
        self.issue_old()
        work = self.rig.store / f"work/{SHOP}"
        fresh = self.rig.store / f"fresh/{SHOP}/ecdsa.2"
        kept = self.rig.folder / "order"
        self.rig.ca.on_issue = lambda leaf: shutil.copytree(work, kept)
        self.rig.drive_until(
            lambda: fresh.exists() and not self.rig.order_url(), "--delay", "3600"
        )
        self.rig.ca.on_issue = lambda leaf: None
        for name in ("ecdsa.key", "ecdsa.order"):
            shutil.copy2(kept / name, work)
        demand(self.rig.served() == 1, "the second set is in service before its time")

    def act(self, **how):
        self.rig.set_clock(7200)
        return super().act(**how)


class Rollover(Issue):
    """acmectl account rollover, asked for before the engine begins."""

    name = "rollover"
    options = ("--tidy",)
    words = ("account", "rollover")

    def prepare(self):
        self.issue()
        self.rig.ask(*self.words)

    def again(self):
        """Who is told that it has failed asks once more."""
        super().again()
        if self.states() == ["failed"]:
            for path in self.rig.store.glob("replies/*.json"):
                path.unlink()
            self.rig.set_clock(0)
            self.rig.ask(*self.words)
            super().again()

    def states(self):
        return [json.loads(path.read_text())["state"]
                for path in self.rig.store.glob("replies/*.json")]  # fmt: skip

    def check(self):
        demand(self.states() == ["done"], f"answered: {self.states()}")
        (account,) = self.rig.ca.accounts.values()
        demand(self.thumbprint() == jose.thumbprint(account["jwk"]), "the account has another key")
        (path,) = (self.rig.store / "accounts").glob("*/account.json")
        demand("next_key" not in json.loads(path.read_text()), "a next key is left over")

    def thumbprint(self):
        done = self.rig.acmectl("account", "show", "--json")
        demand(done.code == 0, done.text)
        return json.loads(done.text)["accounts"][0]["thumbprint"]


class Import(Rollover):
    """acmectl account import, asked for before the engine begins."""

    name = "import"
    accounts = 2

    def prepare(self):
        key = pki.new_key()
        path = self.rig.folder / "account.pem"
        path.write_bytes(pki.key_pem(key))
        path.chmod(0o600)
        self.issue()
        self.url = f"{self.rig.ca.base}/account/imported"
        self.jwk = jose.jwk(key)
        self.rig.ca.accounts[self.url] = {
            "url": self.url, "jwk": self.jwk, "status": "valid", "contact": [],
        }  # fmt: skip
        self.words = ("account", "import", path)
        self.rig.ask(*self.words)

    def check(self):
        demand(self.states() == ["done"], f"answered: {self.states()}")
        demand(self.thumbprint() == jose.thumbprint(self.jwk), "another account is used")


class FirstStart(Scenario):
    """httpd's first start: the store is made, and placeholders."""

    name = "first-start"

    def act(self, **how):
        return self.rig.start(**how)

    def again(self):
        demand(self.rig.start().code == 0, "a second start fails")
        demand(self.rig.drive().code == 0, "no certificate is issued")


class Promotion(Scenario):
    """httpd's start after a first certificate was issued."""

    name = "promotion"

    def prepare(self):
        self.rig.start()
        demand(self.rig.drive().code == 0, "no certificate is issued")

    def act(self, **how):
        return self.rig.start(**how)

    def again(self):
        done = self.rig.start()
        demand(done.code == 0, f"a second start fails\n{done.text}")
        demand(self.rig.drive().code == 0, "the engine does not take over")


class PromotionAgain(Promotion):
    """httpd's start after the fifth certificate: an old one leaves the archive."""

    name = "promotion-again"
    certs, number = 5, 5

    def prepare(self):
        self.issue()
        for number in range(2, 6):
            self.rig.start()
            self.rig.ask("renew", SHOP)
            done = self.rig.drive("--in-service", str(number), "--tidy")
            demand(done.code == 0, done.text)
            for path in (*self.rig.store.glob("control/*"), *self.rig.store.glob("replies/*")):
                path.unlink()


class Command(Scenario):
    """What acmectl does by itself, while the server is stopped."""

    who = "any"
    words = ()

    def act(self, **how):
        return self.rig.acmectl(*self.words, **how)

    def again(self):
        done = self.rig.acmectl(*self.words)
        demand(done.code == 0, f"acmectl cannot be run again\n{done.text}")


class Delete(Command):
    """acmectl delete of a certificate that is not configured any more."""

    name = "delete"
    words = ("delete", SHOP)
    serves = None

    def prepare(self):
        self.issue()
        self.rig.start(OTHER)

    def again(self):
        """Done before the kill was: then there is none of that name."""
        done = self.rig.acmectl(*self.words)
        demand(done.code == 0 or "ACME1707" in done.text, done.text)


class Restore(Command):
    """acmectl restore into a store that is not there yet."""

    name = "restore"

    def prepare(self):
        backup, phrase = self.rig.at / "backup", self.rig.folder / "phrase"
        phrase.write_text("correct horse battery staple\n")
        phrase.chmod(0o600)
        self.issue()
        done = self.rig.acmectl("backup", backup, "--passphrase-file", phrase)
        demand(done.code == 0, done.text)
        self.words = ("restore", backup, "--passphrase-file", phrase, "--user", "root")
        for path in sorted(self.rig.store.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.rig.store.rmdir()


class Backup(Command):
    """acmectl backup."""

    name = "backup"

    def prepare(self):
        phrase = Path(self.rig.folder / "phrase")
        phrase.write_text("correct horse battery staple\n")
        phrase.chmod(0o600)
        self.issue()
        self.words = ("backup", self.rig.at / "backup", "--passphrase-file", phrase)


class Revoke(Command):
    """acmectl revoke, by the certificate's own key; the next start orders another one."""

    name = "revoke"
    certs, number = 2, 2

    def prepare(self):
        self.issue()
        self.words = ("revoke", SHOP, "--trust-file", self.rig.ca.ca_file)

    def again(self):
        """Who reads in the trail that it is revoked need not ask once more."""
        if '"event":"revoked"' in self.trail():
            job = self.rig.store / f"work/{SHOP}/ecdsa.job"
            demand(job.exists() and '"revoked"' in job.read_text(),
                   "the trail has it as revoked, and it is not replaced")  # fmt: skip
        super().again()
        done = self.rig.drive("--in-service", "2")
        demand(done.code == 0, f"no other one is ordered\n{done.text}")

    def check(self):
        demand('"event":"revoked"' in self.trail(), "the trail does not have it")

    def trail(self):
        trail = "".join(path.read_text() for path in self.rig.store.glob("audit/*.jsonl"))
        return trail.replace(" ", "")


SCENARIOS = {
    one.name: one
    for one in (Issue, IssueDns, Renewal, Activation, Rollover, Import, FirstStart, Promotion,
                PromotionAgain, Delete, Restore, Backup, Revoke)
}  # fmt: skip
__all__ = ["DAY", "SCENARIOS", "Scenario"]
