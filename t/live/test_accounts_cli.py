"""Accounts and certificates as acmectl changes them at the CA: rollover, contacts, the end; revocation."""

import json
import os
import re
import shutil
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives import serialization as s

from . import faults, jose, pki
from .httpd import WORKER_USER
from .miniclient import MiniClient
from .proc import wait_until
from .test_account import documents, jwk_private, pem, secret_file
from .test_acmectl import trail_closed
from .test_events import notes, write_program
from .test_events import told as told_events
from .test_issue import ALIAS, SHOP, acmectl, acmectl_argv, issue_one, serial
from .test_store_faults import edit_json, forge, own, own_all


def done(httpd, *args):
    told = acmectl(httpd, *args)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def refused(httpd, code, *args):
    told = acmectl(httpd, *args)
    assert told.returncode == 1 and f"ACME{code}: " in told.stderr, told.stdout + told.stderr
    return told.stderr


def shown(httpd):
    return json.loads(done(httpd, "account", "show", "--json"))["accounts"]


def registrations(pebble):
    found = re.findall(r"There are now (\d+) accounts in memory", pebble.log.read_text())
    return int(found[-1]) if found else 0


def in_background(httpd, *args):
    return subprocess.Popen(
        acmectl_argv(httpd, *args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def killing(httpd):
    """An action that ends the server, once, and answers nothing."""
    once, killed = threading.Lock(), threading.Event()

    def act(*_):
        if once.acquire(blocking=False):
            httpd.kill()
            killed.set()
        return faults.Reply(reset=True)

    return act, killed


# What there is


def test_accounts_are_shown_without_their_key(acme_httpd, pebble):
    acme_httpd.config("AcmeContact admin@example.org")
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert(SHOP)
    (account,) = shown(acme_httpd)
    assert account["url"].startswith("https://") and account["status"] == "registered"
    assert account["directory"] == pebble.directory_url
    assert account["key_type"] == "ecdsa-p256" and len(account["thumbprint"]) == 43
    assert account["contacts"] == "mailto:admin@example.org"
    (kept,) = documents(acme_httpd)
    for form in ([], ["--json"], [account["name"]], [pebble.directory_url]):
        text = done(acme_httpd, "account", "show", *form)
        assert account["url"] in text and account["thumbprint"] in text
        assert kept["key"] not in text and "PRIVATE" not in text
    refused(acme_httpd, 1769, "account", "show", "letsencrypt")
    acme_httpd.stop()
    assert shown(acme_httpd) == [account]


# Rollover


@pytest.mark.parametrize("kind", [None, "rsa2048", "ecdsa-p384"])
def test_rollover_at_pebble(acme_httpd, pebble, kind):
    first = serial(issue_one(acme_httpd))
    (before,) = shown(acme_httpd)
    told = done(acme_httpd, "account", "rollover", *(["--type", kind] if kind else []))
    (after,) = shown(acme_httpd)
    assert after["url"] == before["url"] and after["thumbprint"] != before["thumbprint"]
    assert after["key_type"] == (kind or "ecdsa-p256")
    assert after["thumbprint"] in told
    said = acme_httpd.wait_log(r"ACME1751: .*").group(0)
    assert after["thumbprint"] in said and "(asked for by " in said
    done(acme_httpd, "renew", SHOP)
    acme_httpd.restart()
    done(acme_httpd, "renew", SHOP)
    assert serial(acme_httpd.served_cert(SHOP)) != first
    assert registrations(pebble) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_rollover_whose_answer_is_lost_is_found_out(httpd, make_fakeca, when):
    ca = make_fakeca()
    ca.allow_violations = True  # libcurl repeats what was lost on a connection that was used before
    httpd.acme(ca)
    issue_one(httpd)
    (account,) = ca.accounts.values()
    before = account["jwk"]
    ca.script("key-change", faults.reset(), when=when)
    done(httpd, "account", "rollover")
    assert account["jwk"] != before
    assert shown(httpd)[0]["thumbprint"] == jose.thumbprint(account["jwk"])
    done(httpd, "renew", SHOP)
    assert len(ca.accounts) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "forgotten"])
def test_rollover_killed_leaves_the_account_usable(httpd, make_fakeca, when, asked):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    (account,) = ca.accounts.values()
    act, killed = killing(httpd)
    ca.script("key-change", act, times=None, when=when)
    ctl = in_background(httpd, "account", "rollover")
    assert killed.wait(30)
    ca.clear_script()
    if not asked:
        ctl.kill()
        ctl.wait()
        for part in ("control", "replies"):
            for path in httpd.store.glob(f"{part}/*.json"):
                path.unlink()
    httpd.start()
    if asked:
        text = ctl.communicate(timeout=90)[0]
        assert ctl.returncode == 0, text
    done(httpd, "renew", SHOP)
    (kept,) = documents(httpd)
    assert "next_key" not in kept
    assert shown(httpd)[0]["thumbprint"] == jose.thumbprint(account["jwk"])
    assert len(ca.accounts) == 1
    assert all(
        one.payload.get("onlyReturnExisting") for one in ca.requests_to("new-account")[1:]
    )


def test_rollover_refused_keeps_the_key(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    (before,) = shown(httpd)
    ca.script("key-change", faults.problem("badPublicKey"))
    refused(httpd, 1305, "account", "rollover")
    assert shown(httpd) == [before]
    done(httpd, "renew", SHOP)


def test_rollover_at_a_ca_without_it_is_refused_and_all_else_goes_on(httpd, make_fakeca):
    """A directory with nothing that RFC 8555 lets a CA leave out, as HARICA's."""
    ca = make_fakeca(ari=False, terms=False)
    ca.directory_lacks = ("keyChange", "revokeCert")
    httpd.acme(ca)
    before = serial(issue_one(httpd))
    said = refused(httpd, 1343, "account", "rollover")
    assert f"{ca.directory_url} has no keyChange" in said
    assert "has no revokeCert" in refused(httpd, 1344, "revoke", SHOP)
    done(httpd, "renew", SHOP)
    assert serial(httpd.served_cert(SHOP)) != before
    httpd.graceful()
    done(httpd, "renew", SHOP)
    assert len(ca.accounts) == 1 and len(ca.certs) == 3


def test_rollover_waits_for_orders_in_progress(httpd, make_fakeca):
    """Control of names is proved by the account's key: it does not change under an order."""
    ca = make_fakeca(processing_polls=2, retry_after=2)
    httpd.acme(ca)
    issue_one(httpd)
    renewal = in_background(httpd, "renew", SHOP)
    ca.wait_request("finalize", 2)
    done(httpd, "account", "rollover")
    assert renewal.wait(60) == 0
    paths = ca.endpoints()
    assert paths.index("key-change") > max(n for n, one in enumerate(paths) if one == "certificate")
    assert "ACME1502" in httpd.log() and "ACME1757" not in httpd.log()


def test_rollover_whose_ca_is_away_says_so_and_is_done_when_it_is_back(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    ca.stop()
    ctl = in_background(httpd, "account", "rollover")
    httpd.wait_log(rf"ACME1200: .*{ca.directory_url}: .*; asked again at 2")
    wait_until(lambda: ctl.stdout.readline().startswith("working: cannot reach the CA"), 10, "acmectl is told")
    ca.start()
    text = ctl.communicate(timeout=90)[0]
    assert ctl.returncode == 0, text
    assert httpd.log().count("; asked again at 2") == 1


# Contacts


def test_contacts_hold_until_the_directive_is_changed(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeContact admin@example.org")
    issue_one(httpd)
    (account,) = ca.accounts.values()
    told = done(httpd, "account", "contact", "a@example.org", "mailto:b@example.org")
    assert account["contact"] == ["mailto:a@example.org", "mailto:b@example.org"]
    assert "AcmeContact" in told
    for _ in range(2):
        httpd.graceful()
        done(httpd, "renew", SHOP)
        assert account["contact"] == ["mailto:a@example.org", "mailto:b@example.org"]
    httpd.clear_config()
    httpd.acme(ca, "AcmeContact other@example.org")
    httpd.vhost(SHOP, [ALIAS], https_extra="AcmeManage on")
    httpd.graceful()
    done(httpd, "renew", SHOP)
    assert account["contact"] == ["mailto:other@example.org"]
    assert "overruled" not in documents(httpd)[0]
    done(httpd, "account", "contact", "none")
    assert account["contact"] == []
    assert shown(httpd)[0]["contacts"] == ""
    assert acmectl(httpd, "account", "contact", "not an address").returncode == 2


# The end, and another account


def test_deactivation_makes_no_other_account(acme_httpd, pebble):
    first = serial(issue_one(acme_httpd))
    assert "--yes" in acmectl(acme_httpd, "account", "deactivate").stderr
    assert shown(acme_httpd)[0]["status"] == "registered"
    refused(acme_httpd, 1762, "account", "new")
    done(acme_httpd, "account", "deactivate", "--yes")
    assert "asked for by" in acme_httpd.wait_log(r"ACME1752: .*").group(0)
    assert shown(acme_httpd)[0]["status"] == "deactivated"
    for _ in range(2):
        said = refused(acme_httpd, 1758, "renew", SHOP)
        assert "acmectl account new" in said
        acme_httpd.restart()
    assert serial(acme_httpd.served_cert(SHOP)) == first
    assert registrations(pebble) == 1
    done(acme_httpd, "account", "new", pebble.directory_url)
    acme_httpd.wait_cert(SHOP, lambda served: serial(served) == first)
    done(acme_httpd, "renew", SHOP)
    assert serial(acme_httpd.served_cert(SHOP)) != first
    assert registrations(pebble) == 2
    assert [one["status"] for one in shown(acme_httpd)] == ["registered"]


def test_deactivation_killed_before_its_last_answer_is_done(httpd, make_fakeca):
    """The store has the end already; which account was meant was not said, and none is left."""
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    act, killed = killing(httpd)
    is_end = lambda exchange: isinstance(exchange.payload, dict) and "status" in exchange.payload  # noqa: E731
    ca.script("account", act, times=None, when="after", matches=is_end)
    ctl = in_background(httpd, "account", "deactivate", "--yes")
    assert killed.wait(30)
    ca.clear_script()
    (path,) = httpd.store.glob("accounts/*/account.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "closed": "2026-11-27T12:00:00Z"}))
    httpd.start()
    text = ctl.communicate(timeout=90)[0]
    assert ctl.returncode == 0 and "done: " in text and "is deactivated" in text
    refused(httpd, 1759, "account", "deactivate", "--yes")


@pytest.mark.parametrize("when", ["before", "after"])
def test_deactivation_killed_is_done_once_more(httpd, make_fakeca, when):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    (account,) = ca.accounts.values()
    act, killed = killing(httpd)
    is_end = lambda exchange: isinstance(exchange.payload, dict) and "status" in exchange.payload  # noqa: E731
    ca.script("account", act, times=None, when=when, matches=is_end)
    ctl = in_background(httpd, "account", "deactivate", "--yes")
    assert killed.wait(30)
    ca.clear_script()
    httpd.start()
    text = ctl.communicate(timeout=90)[0]
    assert ctl.returncode == 0, text
    assert account["status"] == "deactivated"
    assert shown(httpd)[0]["status"] == "deactivated"
    assert len(ca.requests_to("new-account")) == 1


@pytest.mark.parametrize("form", ["pem", "encrypted", "certbot"])
def test_import_uses_the_account_of_a_key(httpd, make_fakeca, form):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    client = MiniClient(ca, pki.new_key("rsa2048")).register()
    text = {
        "pem": lambda: pki.key_pem(client.key),
        "encrypted": lambda: pem(client.key, s.PrivateFormat.PKCS8, b"sesame"),  # short: it is not chosen now
        "certbot": lambda: json.dumps(jwk_private(client.key)),
    }[form]()
    path = secret_file(httpd, "account.key", text)
    more = []
    if form == "encrypted":
        argv = acmectl_argv(httpd, "account", "import", path)
        asked = subprocess.run(argv, capture_output=True, text=True, start_new_session=True, check=False)
        assert asked.returncode == 1 and "ACME1713: " in asked.stderr and "--passphrase-file" in asked.stderr
        wrong = secret_file(httpd, "wrong", "open sesame\n")
        refused(httpd, 1057, "account", "import", path, "--passphrase-file", wrong)
        open_to_all = secret_file(httpd, "open", "sesame\n", mode=0o644)
        refused(httpd, 1713, "account", "import", path, "--passphrase-file", open_to_all)
        more = ["--passphrase-file", secret_file(httpd, "phrase", "sesame\n")]
    told = done(httpd, "account", "import", path, *more)
    assert client.kid in told
    assert client.kid in httpd.wait_log(r"ACME1753: .*").group(0)
    done(httpd, "renew", SHOP)
    assert list(ca.orders.values())[-1]["account"] == client.kid
    httpd.restart()
    done(httpd, "renew", SHOP)
    assert [one["url"] for one in shown(httpd)] == [client.kid]
    assert len(ca.accounts) == 2
    kept = b"".join(one.read_bytes() for one in httpd.store.rglob("*") if one.is_file())
    assert pki.key_pem(client.key)[40:80] not in kept
    assert list(httpd.store.glob("accounts/*/account.json.1"))


def test_import_refuses_a_key_that_the_ca_does_not_know(acme_httpd, pebble):
    issue_one(acme_httpd)
    before = shown(acme_httpd)
    path = secret_file(acme_httpd, "account.key", pki.key_pem(pki.new_key()))
    refused(acme_httpd, 1763, "account", "import", path)
    refused(acme_httpd, 1057, "account", "import", secret_file(acme_httpd, "x", "PRIVATE KEY-----"))
    assert shown(acme_httpd) == before and registrations(pebble) == 1
    done(acme_httpd, "renew", SHOP)


def test_import_replaces_no_account_that_only_cannot_be_read(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    before = shown(httpd)
    path = secret_file(httpd, "account.key", pki.key_pem(MiniClient(ca).register().key))
    (account,) = httpd.store.glob("accounts/*/account.json")
    os.chown(account, 0, 0)
    refused(httpd, 1100, "account", "import", path)
    assert not list(account.parent.glob("account.json.*"))
    own(account, WORKER_USER)
    assert shown(httpd) == before
    done(httpd, "renew", SHOP)
    assert list(ca.orders.values())[-1]["account"] == before[0]["url"]


def test_account_that_only_cannot_be_read_may_be_the_one_that_is_meant(httpd, make_fakeca):
    first, second = make_fakeca(), make_fakeca()
    httpd.acme(first)
    issue_one(httpd)
    httpd.vhost(
        "other.example.org",
        https_extra=f"AcmeManage on\nAcmeCA {second.directory_url}\nAcmeCATrustFile {second.ca_file}",
    )
    httpd.graceful()
    httpd.wait_cert("other.example.org")
    refused(httpd, 1760, "account", "deactivate", "--yes")
    (path,) = [one for one in httpd.store.glob("accounts/*/account.json") if first.directory_url in one.read_text()]
    os.chown(path, 0, 0)
    refused(httpd, 1100, "account", "deactivate", "--yes")
    refused(httpd, 1100, "account", "deactivate", "--yes", first.directory_url)
    done(httpd, "account", "deactivate", "--yes", second.directory_url)
    assert [one["status"] for one in first.accounts.values()] == ["valid"]


def test_import_after_deactivation_goes_on_at_once(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    client = MiniClient(ca).register()
    done(httpd, "account", "deactivate", "--yes")
    refused(httpd, 1758, "renew", SHOP)
    path = secret_file(httpd, "account.key", pki.key_pem(client.key))
    done(httpd, "account", "import", path)
    done(httpd, "renew", SHOP)
    assert len(ca.accounts) == 2


def test_account_of_a_key_file_is_left_to_the_administrator(httpd, make_fakeca):
    ca = make_fakeca()
    client = MiniClient(ca).register()
    path = secret_file(httpd, "account.key", pki.key_pem(client.key))
    httpd.acme(ca, f"AcmeAccountKey {path}")
    issue_one(httpd)
    for command in (["rollover"], ["import", path], ["new"]):
        assert str(path) in refused(httpd, 1761, "account", *command)
    done(httpd, "renew", SHOP)


def test_account_must_be_named_where_there_are_several(httpd, make_fakeca):
    first, second = make_fakeca(), make_fakeca()
    httpd.acme(first)
    httpd.vhost("one.example.org", https_extra="AcmeManage on")
    other = f"AcmeManage on\nAcmeCA {second.directory_url}\nAcmeCATrustFile {second.ca_file}"
    httpd.vhost("two.example.org", https_extra=other)
    httpd.start()
    httpd.wait_cert("one.example.org")
    httpd.wait_cert("two.example.org")
    said = refused(httpd, 1760, "account", "rollover")
    names = [one["name"] for one in shown(httpd)]
    assert len(names) == 2 and all(name in said for name in names)
    refused(httpd, 1759, "account", "rollover", "letsencrypt")
    done(httpd, "account", "rollover", second.directory_url)
    assert not first.requests_to("key-change") and len(second.requests_to("key-change")) == 1
    done(httpd, "account", "rollover", names[0])
    done(httpd, "account", "rollover", names[1])
    assert len(first.requests_to("key-change")) == 1


# Revocation


def test_revoked_certificate_serves_until_the_next_is_there(acme_httpd, pebble, live_dir):
    program = write_program(live_dir)
    acme_httpd.config(f"AcmeOn revoked,renewed {program}")
    first = issue_one(acme_httpd)
    told = done(acme_httpd, "revoke", SHOP)
    assert f"{serial(first):x}" in told.lower().replace(":", "")
    assert pebble.cert_status(serial(first))["Status"] == "Revoked"
    said = acme_httpd.wait_log(r"ACME1755: .*").group(0)
    assert f"[{SHOP}/ecdsa]" in acme_httpd.log() and "asked for by " in said
    second = acme_httpd.wait_cert(SHOP, lambda served: serial(served) != serial(first))
    assert pebble.cert_status(serial(second))["Status"] == "Valid"
    wait_until(lambda: told_events(program, "renewed") == ["renewed"] * 2, 20, acme_httpd.log)
    ((_, env),) = [note for note in notes(program) if note[0][0] == "revoked"]
    assert env["ACME_CERTIFICATE"] == SHOP and f"{serial(first):x}" in env["ACME_SERIAL"].lower()
    assert env["ACME_ERROR_CODE"] == "1755"
    done(acme_httpd, "renew", SHOP)
    assert registrations(pebble) == 1


@pytest.mark.parametrize(
    "reason, number, same",
    [("keyCompromise", 1, False), ("superseded", 4, True), ("5", 5, True), (None, 0, True)],
)
def test_compromised_key_is_not_used_again(httpd, make_fakeca, reason, number, same):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeKeyReuse on")
    first = issue_one(httpd)
    done(httpd, "revoke", SHOP, *(["--reason", reason] if reason else []))
    second = httpd.wait_cert(SHOP, lambda served: serial(served) != serial(first))
    assert (pki.public_der(second.leaf) == pki.public_der(first.leaf)) == same
    assert [one["revoked"] for one in ca.certs.values()] == [number, None]
    done(httpd, "renew", SHOP)
    third = httpd.served_cert(SHOP)
    assert pki.public_der(third.leaf) == pki.public_der(second.leaf)


def test_unknown_reasons_are_usage_and_the_ca_has_its_own_mind(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    first = serial(issue_one(httpd))
    assert "keyCompromise" in acmectl(httpd, "revoke", SHOP, "--reason", "bored").stderr
    refused(httpd, 1306, "revoke", SHOP, "--reason", "certificateHold")
    refused(httpd, 1707, "revoke", "other.example.org")
    assert serial(httpd.served_cert(SHOP)) == first and len(ca.certs) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_revocation_killed_revokes_no_newer_certificate(httpd, make_fakeca, when):
    ca = make_fakeca()
    httpd.acme(ca)
    first = serial(issue_one(httpd))
    act, killed = killing(httpd)
    ca.script("revoke-cert", act, times=None, when=when)
    ctl = in_background(httpd, "revoke", SHOP, "--reason", "keyCompromise")
    assert killed.wait(30)
    ca.clear_script()
    httpd.start()
    text = ctl.communicate(timeout=90)[0]
    assert ctl.returncode == 0, text
    httpd.wait_cert(SHOP, lambda served: serial(served) != first)
    assert [one["revoked"] for one in ca.certs.values()] == [1, None]


def test_both_certificates_of_a_name_are_revoked_and_replaced(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeKeyType ecdsa-p256 rsa2048")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    kinds = ("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256")
    first = {kind: serial(httpd.wait_cert(SHOP, sigalgs=kind)) for kind in kinds}
    done(httpd, "revoke", SHOP)
    for kind in kinds:
        httpd.wait_cert(SHOP, lambda one, old=first[kind]: serial(one) != old, sigalgs=kind)
    assert [one["revoked"] is not None for one in ca.certs.values()] == [True, True, False, False]


def test_certificate_is_revoked_by_its_own_key_when_the_account_is_lost(acme_httpd, pebble):
    first = issue_one(acme_httpd)
    acme_httpd.graceful()  # promoted: root's files
    key = next(acme_httpd.store.glob(f"certificates/{SHOP}/ecdsa.*/key.pem"))
    kept = secret_file(acme_httpd, "shop.key", key.read_bytes())
    wrong = secret_file(acme_httpd, "wrong.key", pki.key_pem(pki.new_key()))
    done(acme_httpd, "account", "deactivate", "--yes")
    assert "--key" in refused(acme_httpd, 1767, "revoke", SHOP)
    refused(acme_httpd, 1766, "revoke", SHOP, "--key", wrong)
    assert pebble.cert_status(serial(first))["Status"] == "Valid"
    done(acme_httpd, "revoke", SHOP, "--key", kept)
    assert pebble.cert_status(serial(first))["Status"] == "Revoked"
    assert registrations(pebble) == 1
    secret = kept.read_text().splitlines()[1]
    for path in acme_httpd.store.rglob("*.json"):
        assert secret not in path.read_text(), path


def test_certificate_of_a_host_that_is_gone_can_be_revoked(acme_httpd, pebble):
    first = issue_one(acme_httpd)
    acme_httpd.clear_config()
    acme_httpd.acme(pebble)
    acme_httpd.vhost("other.example.org", https_extra="AcmeManage on")
    acme_httpd.restart()
    acme_httpd.wait_cert("other.example.org")
    done(acme_httpd, "revoke", SHOP)
    assert pebble.cert_status(serial(first))["Status"] == "Revoked"
    for _ in range(2):
        shown = done(acme_httpd, "show", SHOP)
        assert "ACME1755" in shown and "was revoked" in shown and ": valid" not in shown
        acme_httpd.stop()
    # nor does it serve on, if the host comes back
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert(SHOP, lambda served: serial(served) != serial(first))
    assert "order: it was revoked" in acme_httpd.log()


def test_revocation_that_the_trail_has_no_room_for_is_not_forgotten(acme_httpd, pebble):
    """It is told, and the next start orders another certificate all the same."""
    acme_httpd.config("AcmeRenew 33% noari")  # the CA does not say it
    first = issue_one(acme_httpd)
    acme_httpd.stop()
    with trail_closed(acme_httpd):
        refused(acme_httpd, 1100, "revoke", SHOP, "--trust-file", pebble.ca_file)
    assert pebble.cert_status(serial(first))["Status"] == "Revoked"
    acme_httpd.start()
    acme_httpd.wait_cert(SHOP, lambda served: serial(served) != serial(first))


@pytest.mark.parametrize("given", [False, True], ids=["own-key", "key-file"])
def test_revocation_while_the_server_is_stopped(acme_httpd, pebble, given):
    """By the certificate's own key; the next start orders another one, with another key."""
    acme_httpd.config("AcmeKeyReuse on")
    first = issue_one(acme_httpd)
    acme_httpd.stop()
    more = ["--trust-file", pebble.ca_file]
    if given:
        wrong = secret_file(acme_httpd, "wrong.key", pki.key_pem(pki.new_key()))
        refused(acme_httpd, 1766, "revoke", SHOP, "--key", wrong, *more)
        out = acme_httpd.folder / "exported"
        done(acme_httpd, "export", SHOP, "--dir", out)
        (key,) = [path for path in out.rglob("*") if b"PRIVATE KEY" in path.read_bytes()]
        more += ["--key", key]
    refused(acme_httpd, 1707, "revoke", "other.example.org", *more)
    assert "--trust-file" in refused(acme_httpd, 1948, "revoke", SHOP)
    pebble.pause()
    late = acmectl(acme_httpd, "revoke", SHOP, "--timeout", "1", *more)
    pebble.resume()
    assert late.returncode == 4 and "ACME1947: " in late.stderr
    assert pebble.cert_status(serial(first))["Status"] == "Valid"
    # what somebody who had taken over a child has put above it is passed over
    planted = acme_httpd.store / "fresh" / SHOP / "ecdsa.3"
    shutil.copytree(planted.with_name("ecdsa.1"), planted)
    edit_json(planted / "record.json", number=3)
    own_all(planted, WORKER_USER)
    forge(planted, lambda host: [host, "evil.example"])
    told = acmectl(acme_httpd, "revoke", SHOP, "--reason", "keyCompromise", *more)
    assert told.returncode == 0 and "ACME1109: " in told.stderr and "evil.example" in told.stderr, told
    told = told.stdout
    shutil.rmtree(planted)
    assert "No server runs" in told and f"{serial(first):x}" in told.lower()
    assert pebble.cert_status(serial(first))["Status"] == "Revoked"
    assert "(it was before)" in done(acme_httpd, "revoke", SHOP, "--reason", "keyCompromise", *more)
    acme_httpd.start()
    second = acme_httpd.wait_cert(SHOP, lambda served: serial(served) != serial(first))
    assert pki.public_der(second.leaf) != pki.public_der(first.leaf)
    assert registrations(pebble) == 1
