"""No secret is shown anywhere, at any level, and none stays in memory where it is not needed."""

import json
import os
import secrets as random
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as s

from . import jose, pki, proc
from .canary import forms, memory, shown
from .fakeca import FakeCA, tokens
from .httpd import WORKER_USER, Httpd
from .miniclient import MiniClient
from .proxy import Proxy
from .sealed import secret_of, unseal
from .test_acmectl import ctl
from .test_events import write_program
from .test_issue import SHOP
from .test_documents import RSA

BLOG, NEWS = "blog.example.org", "news.example.org"
pytestmark = pytest.mark.needs_root


def private(key):
    """The octets of a private key that every encoding of it holds."""
    numbers = key.private_numbers()
    number = numbers.p if hasattr(numbers, "p") else numbers.private_value
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def file_with(path, text, mode=0o600):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


class Watch:
    """What ps could show meanwhile of the processes of a session, and of their environment."""

    def __init__(self, leader):
        self.seen, self._leader, self._ended = set(), leader, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ended.wait(0.01):
            for pid in proc._pids():
                if proc._session(pid) == self._leader:
                    self.seen |= {self._read(pid, "cmdline"), self._read(pid, "environ")}

    @staticmethod
    def _read(pid, name):
        try:
            return Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            return b""

    def end(self):
        self._ended.set()
        self._thread.join()
        return b"\n".join(self.seen)


class Everything:
    """A server that does all that needs secrets, each of which is known here, at trace8.

    SHOP is bound to an external account, behind a proxy that wants a password, proved by http-01;
    BLOG has an account key under a pass phrase, and is proved by dns-01; NEWS has not been
    promoted.
    """

    def __init__(self, folder):
        self.folder, self.said = folder, {}
        self.opened = []  # account keys as they are before they are sealed
        mac, self.phrase, self.backup_phrase = (random.token_bytes(33), *self._words(2))
        self.dns_key, self.password = self._words(2)
        account = pki.new_key()
        self.secrets = {
            "external account key": mac,
            "pass phrase of the account key": self.phrase.encode(),
            "pass phrase of the backup": self.backup_phrase.encode(),
            "credential of the DNS program": self.dns_key.encode(),
            "password of the proxy": self.password.encode(),
            "account key adopted": private(account),
        }
        self.httpd = Httpd(folder / "httpd", modules=("info",), loglevel="trace8")
        where = {"validate": "http", "http_port": self.httpd.http_port}
        self.ca = FakeCA(folder / "ca", eab={"kid-1": jose.b64(mac)}, **where).start()
        self.other = FakeCA(folder / "other").start()
        MiniClient(self.other, account).register()
        self.proxy = Proxy(folder / "proxy", user=("acme", self.password)).start()
        self._configure(jose.b64(mac), account)

    def run(self):
        self.ca.validation_gate.clear()
        self.httpd.start()
        watch = Watch(self.httpd.pid)
        self._work()
        self.said["processes"] = watch.end()

    @staticmethod
    def _words(count):
        """Without characters that some place must escape."""
        return ["canary" + random.token_hex(9) for _ in range(count)]

    def _configure(self, mac, account):
        httpd, folder = self.httpd, self.folder
        cipher = s.BestAvailableEncryption(self.phrase.encode())
        pem = account.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, cipher)
        key = file_with(folder / "account.key", pem)
        program = file_with(folder / "phrase", f"#!/bin/sh\necho {self.phrase}\n", 0o700)
        self.hook = write_program(folder)
        credentials = file_with(folder / "credentials", self.dns_key)
        shutil.chown(credentials, WORKER_USER)
        httpd.acme(self.ca, f"AcmeProxy {self.proxy.url(self.proxy.user)}")
        httpd.config(f"AcmeExternalAccount {self.ca.directory_url} kid-1 {mac}")
        httpd.config("<Location /info>\nSetHandler server-info\n</Location>")
        httpd.config(f"AcmeOn renewing,renewed,errored,challenge-open,challenge-close {self.hook}")
        httpd.config(f"AcmeOn installed {self.hook}")
        reuse = "AcmeManage on\nAcmeKeyType ecdsa-p256 rsa2048\nAcmeKeyReuse next"
        httpd.vhost(SHOP, https_extra=f"{reuse}\nAcmeChallenges http-01")
        httpd.vhost(
            BLOG,
            https_extra=f"AcmeManage on\nAcmeProxy none\nAcmeCA {self.other.directory_url}\n"
            f"AcmeCATrustFile {self.other.ca_file}\nAcmeAccountKey {key} exec:{program}\n"
            f"AcmeChallenges dns-01\nAcmeDnsCommand {self.hook} {credentials}",
        )

    def _work(self):
        httpd = self.httpd
        self.ca.wait_request("challenge")
        token = tokens(self.ca)[SHOP]
        proof = httpd.get(f"/.well-known/acme-challenge/{token}", host=SHOP).body
        assert proof.startswith(f"{token}.".encode())
        self.secrets["key authorization"] = proof  # shown to a CA, but in no log
        self.ca.validation_gate.set()
        httpd.wait_cert(SHOP)
        httpd.wait_cert(SHOP, sigalgs=RSA)
        httpd.wait_cert(BLOG)
        httpd.graceful()
        httpd.vhost(NEWS, https_extra="AcmeManage on\nAcmeChallenges http-01")
        httpd.graceful()
        httpd.wait_cert(NEWS)
        self._learn()
        self._ask()
        self._look()

    def _learn(self):
        """The secrets that mod_acme has made itself."""
        store, secret = self.httpd.store, secret_of(self.httpd.store)
        self.secrets["sealing secret"] = secret
        for path in store.glob("certificates/*/*[0-9]/key.pem"):
            key = s.load_pem_private_key(path.read_bytes(), None)
            self.secrets[f"key of {path.parent.name} of {path.parts[-3]}"] = private(key)
        fresh = unseal(secret, f"fresh {NEWS} ecdsa.1", (store / "fresh" / NEWS / "ecdsa.1/key").read_bytes())
        self.secrets["key not promoted"] = private(s.load_der_private_key(fresh, None))
        for path in store.glob("accounts/*/account.json"):
            sealed = jose.unb64(json.loads(path.read_text())["key"])
            der = unseal(secret, f"account {path.parent.name}", sealed)
            self.secrets[f"account key of {path.parent.name}"] = private(s.load_der_private_key(der, None))
            self.opened.append(der)

    def _ask(self):
        phrase = file_with(self.folder / "backup.phrase", self.backup_phrase)
        backup = self.folder / "acme.backup"
        for args in (
            ["status"], ["status", "--json"], ["show", SHOP], ["log", "--verify"], ["account", "show"],
            ["check", SHOP], ["account", "rollover", self.ca.directory_url], ["renew", SHOP],
            ["export", SHOP, "--dir", self.folder / "exported"],
            ["backup", backup, "--passphrase-file", phrase],
        ):  # fmt: skip
            self.said[f"acmectl {args[0]} {args[1] if args[1:] else ''}"] = ctl(self.httpd, *args)
        self.said["backup"] = backup.read_bytes()

    def _look(self):
        httpd, port = self.httpd, self.httpd.admin_port
        for path in ("info?config", "info", "server-status", "server-status?auto", "acme-status",
                     "acme-status?format=json", "acme-status?format=prometheus", "missing",
                     f"acme-status?certificate={SHOP}", "acme-status?format=none"):  # fmt: skip
            self.said[path] = httpd.get(f"/{path}", port=port).text
        for name in (SHOP, BLOG):
            for path in ("missing", ".well-known/acme-challenge/x"):
                self.said[f"{name}/{path}"] = httpd.get(f"/{path}", host=name).text
        self.said["programs"] = "\n".join(
            path.read_text() for path in self.hook.with_name("program.notes").iterdir()
        )
        dumped = subprocess.run(
            httpd._argv("-t", "-DDUMP_CONFIG", "-DDUMP_VHOSTS", "-DDUMP_RUN_CFG"),
            capture_output=True, env=httpd.env, check=True,
        )  # fmt: skip
        self.said["httpd -D DUMP_CONFIG"] = dumped.stdout + dumped.stderr
        for path in (httpd.error_log, httpd.access_log, httpd.console):
            self.said[path.name] = path.read_bytes()
        for path in httpd.store.rglob("*"):
            if path.is_file() and path.name not in ("key.pem", "store.json"):
                self.said[f"store/{path.relative_to(httpd.store)}"] = path.read_bytes()

    def stop(self):
        self.httpd.stop(check=False)
        self.proxy.stop()
        self.ca.stop()
        self.other.stop()


@pytest.fixture
def everything():
    base = Path(tempfile.mkdtemp(prefix="acme-secrets-"))
    base.chmod(0o755)
    with proc.ports():
        made = Everything(base)
        try:
            made.run()
            yield made
        finally:
            made.stop()
    shutil.rmtree(base, ignore_errors=True)


def test_forms_of_a_secret_are_all_known():
    secret = bytes([0xFB, 0xFF, 0xFE, 0x3F]) * 8
    found = {"it": secret}
    for text in (secret, secret.hex(), secret.hex(":"), jose.b64(b"before" + secret + b"behind"),
                 jose.b64(b"1" + secret), jose.b64(b"22" + secret + b"3"), jose.b64(secret)):  # fmt: skip
        assert shown(found, text) == ["it"], text
    key = pki.new_key("rsa2048")
    assert shown({"key": private(key)}, pki.key_pem(key)) == ["key"]
    assert not shown(found, jose.b64(os.urandom(4000)))


def nothing_is_shown(everything):
    assert len(everything.secrets) >= 14
    # it was all there to be shown
    for place, text in everything.said.items():
        assert text or place == "console.log", place
    for word in ("AcmeProxy", "AcmeExternalAccount", "AcmeAccountKey"):
        assert word in everything.said["info?config"]
    assert b"setup" in everything.said["programs"].encode() and "ACME_EVENT=installed" in everything.said["programs"]
    assert b"apache2" in everything.said["processes"]
    found = {place: shown(everything.secrets, text) for place, text in everything.said.items()}
    assert {place: names for place, names in found.items() if names} == {}


def held(secrets, octets):
    """Where a secret is in these octets: {name: {"text", "octets", "number"}}. OpenSSL keeps numbers
    the other way round."""
    found = {}
    for name, secret in secrets.items():
        ways = {"octets": [secret], "number": [secret[::-1]], "text": forms(secret) - {secret}}
        # malloc writes over the beginning of what is freed
        kinds = {kind for kind, texts in ways.items() if any(text[len(text) // 2 :] in octets for text in texts)}
        if kinds:
            found[name] = kinds
    return found


def memory_is_of_those_who_need_it(everything):
    """Whoever signs with a key has its number, and what OpenSSL may leave of the octets that it was
    read from; nobody has the text of a key, nor what he has no business with."""
    httpd, secrets = everything.httpd, dict(everything.secrets)
    del secrets["key authorization"]
    (engines_own,) = [name for name in secrets if name.startswith("account key of") and
                      secrets[name] != secrets["account key adopted"]]  # fmt: skip
    served = {name for name in secrets if name.startswith("key of")}
    everybodys = {"sealing secret", "external account key", "password of the proxy", "account key adopted"}
    memories = [memory(pid) for pid in (httpd.pid, *[child.pid for child in httpd.children()])]
    assert not any(der in octets for octets in memories for der in everything.opened)
    parent, *children = [held(secrets, octets) for octets in memories]
    engines = [one for one in children if "number" in one.get(engines_own, ())]
    assert len(children) >= 2 and len(engines) == 1
    for one in (parent, *children):
        assert everybodys | served <= set(one)
        assert all("number" in one[name] for name in served)
        as_text = {name for name in one if "text" in one[name]}
        assert as_text == {"external account key"}, "as the configuration has it"
        needed = everybodys | served | {name for name in one if secrets[name] == secrets["account key adopted"]}
        if one is not parent:
            needed.add("key not promoted")
        if one in engines:
            needed.add(engines_own)
        assert set(one) - needed == set()


def test_secrets_are_shown_nowhere_and_stay_with_those_who_need_them(everything):
    nothing_is_shown(everything)
    memory_is_of_those_who_need_it(everything)
