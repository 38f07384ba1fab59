"""The account at the CA: whose it is, how it is made, found, changed, and never made too often."""

import base64
import json
import os
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as s

from . import fakeca as f
from . import jose, pki
from .miniclient import MiniClient
from .proc import wait_until
from .test_issue import SHOP, acmectl, issue_one, serial

# '+', '/' and '=' in its standard form
MAC = bytes([0xFB, 0xFF, 0xFE] * 11 + [1])
STANDARD = base64.b64encode(MAC).decode()
URLSAFE = base64.urlsafe_b64encode(MAC).decode().rstrip("=")


def secret_file(httpd, name, text, mode=0o600):
    path = httpd.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def documents(httpd):
    """account.json of each account in the store."""
    return [json.loads(path.read_text()) for path in httpd.store.glob("accounts/*/account.json")]


# External account binding


@pytest.mark.parametrize("form", ["url-safe", "standard", "file", "bom"])
def test_external_account_is_bound(httpd, make_pebble, form):
    pebble = make_pebble(http_port=httpd.http_port, eab={"kid-1": URLSAFE})
    told = {"url-safe": f"kid-1 {URLSAFE}", "standard": f"kid-1 {STANDARD}"}.get(form)
    if not told:
        begin = "\ufeff" if form == "bom" else "# from the web page\n"
        told = secret_file(httpd, "eab.txt", f"{begin}kid-1\n  {STANDARD}\n")
        assert os.geteuid() != 0 or not httpd.user_can_read(told)
    httpd.acme(pebble, f"AcmeExternalAccount {told}")
    issue_one(httpd)
    assert len(documents(httpd)) == 1


def test_external_account_is_used_at_registration_alone(httpd, make_fakeca):
    ca = make_fakeca(eab={"kid-1": URLSAFE})
    path = secret_file(httpd, "eab.txt", f"kid-1 {URLSAFE}\n")
    httpd.acme(ca, f"AcmeExternalAccount {path}")
    first = serial(issue_one(httpd))
    ca.eab = {"kid-1": b"used up by now"}
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != first
    assert len(ca.requests_to("new-account")) == 1


def test_external_account_file_may_go_once_the_account_is_registered(httpd, make_fakeca):
    ca = make_fakeca(eab={"kid-1": URLSAFE})
    path = secret_file(httpd, "eab.txt", f"kid-1 {URLSAFE}\n")
    httpd.acme(ca, f"AcmeExternalAccount {path}")
    first = serial(issue_one(httpd))
    path.unlink()
    for _ in range(2):  # what is known of it outlives more than one start
        httpd.stop()
        httpd.start()
        done = acmectl(httpd, "renew", SHOP)
        assert done.returncode == 0, done.stdout + done.stderr
    assert serial(httpd.served_cert(SHOP)) != first
    assert len(ca.requests_to("new-account")) == 1 and len(documents(httpd)) == 1
    # nobody is registered at another CA without it
    other = make_fakeca(eab={"kid-1": URLSAFE})
    httpd.clear_config().acme(other, f"AcmeExternalAccount {path}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    mark = httpd.mark()
    httpd.graceful()
    httpd.wait_log(r"ACME1056: \[.*", since=mark)
    assert not other.accounts


def test_external_account_file_is_for_root_alone(httpd, make_fakeca):
    """Also in a folder that no child can enter."""
    ca = make_fakeca(eab={"kid-1": URLSAFE})
    folder = httpd.folder / "secrets"
    folder.mkdir(mode=0o700)
    path = folder / "eab.txt"
    path.write_text(f"kid-1 {URLSAFE}\n")
    path.chmod(0o600)
    httpd.acme(ca, f"AcmeExternalAccount {path}")
    first = serial(issue_one(httpd))
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_uid == os.geteuid()
    if os.geteuid() == 0:
        assert not httpd.user_can_read(path)
        for child in httpd.children():  # nor is it left open in one
            assert child.uid != 0
            links = [os.readlink(one) for one in Path(f"/proc/{child.pid}/fd").iterdir()]
            assert str(path) not in links
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != first
    assert len(ca.requests_to("new-account")) == 1


@pytest.mark.parametrize(
    "text, mode, why",
    [
        (f"kid-1 {URLSAFE}", 0o644, "others can read"),
        (f"kid-1 {URLSAFE} more", 0o600, "two words"),
        ("kid-1 not*base64", 0o600, "it is not base64"),
    ],
)
def test_file_of_external_account_is_refused_in_words(httpd, make_fakeca, text, mode, why):
    ca = make_fakeca(eab={"kid-1": URLSAFE})
    path = secret_file(httpd, "eab.txt", text, mode)
    httpd.acme(ca, f"AcmeExternalAccount {path}")
    assert f"cannot use the file {path} of AcmeExternalAccount: " in httpd.configtest().stderr
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    said = httpd.wait_log(r"ACME1056: \[.*").group(0)
    assert why in said and str(path) in said
    assert URLSAFE not in httpd.log()
    assert not ca.accounts and not documents(httpd)
    secret_file(httpd, "eab.txt", f"kid-1 {URLSAFE}")
    httpd.graceful()
    httpd.wait_cert(SHOP)


def test_missing_and_wrong_external_account_are_told_by_number(httpd, make_fakeca):
    ca = make_fakeca(eab={"kid-1": URLSAFE})
    ca.allow_violations = True
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    assert "AcmeExternalAccount" in httpd.wait_log(r"ACME1351: .*").group(0)
    assert not ca.requests_to("new-account")
    httpd.config(f"AcmeExternalAccount kid-2 {URLSAFE}")
    httpd.graceful()
    assert "AcmeExternalAccount" in httpd.wait_log(r"ACME1323: .*").group(0)
    assert not ca.accounts
    httpd.config(f"AcmeExternalAccount kid-1 {URLSAFE}")
    httpd.graceful()
    httpd.wait_cert(SHOP)


# Keys that were there before


def jwk_private(key):
    """As certbot keeps it in private_key.json."""
    numbers = key.private_numbers()
    encode = lambda n, size=0: jose.b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))  # noqa: E731
    public = jose.jwk(key)
    if public["kty"] == "EC":
        return {**public, "d": encode(numbers.private_value, (key.curve.key_size + 7) // 8)}
    names = {"d": "d", "p": "p", "q": "q", "dp": "dmp1", "dq": "dmq1", "qi": "iqmp"}
    return {**public, **{one: encode(getattr(numbers, of)) for one, of in names.items()}}


def pem(key, form, phrase=None):
    cipher = s.BestAvailableEncryption(phrase) if phrase else s.NoEncryption()
    return key.private_bytes(s.Encoding.PEM, form, cipher)


OLD, PKCS8 = s.PrivateFormat.TraditionalOpenSSL, s.PrivateFormat.PKCS8
KEYS = {
    "pkcs8": ("ecdsa-p256", lambda key: pem(key, PKCS8)),
    "sec1-p384": ("ecdsa-p384", lambda key: pem(key, OLD)),
    "pkcs1": ("rsa2048", lambda key: pem(key, OLD)),
    "certbot-rsa": ("rsa2048", lambda key: json.dumps(jwk_private(key))),
    "certbot-ec": ("ecdsa-p256", lambda key: json.dumps(jwk_private(key))),
    "encrypted": ("ecdsa-p256", lambda key: pem(key, PKCS8, b"open sesame")),
    "encrypted-old": ("rsa2048", lambda key: pem(key, OLD, b"open sesame")),
}


def phrase_program(httpd, text='echo "open sesame"', mode=0o755):
    return secret_file(httpd, "phrase", f"#!/bin/sh\n{text}\n", mode)


@pytest.mark.parametrize("name", KEYS)
def test_existing_account_is_adopted_by_its_key(httpd, make_fakeca, name):
    kind, write = KEYS[name]
    ca = make_fakeca()
    client = MiniClient(ca, pki.new_key(kind)).register()
    path = secret_file(httpd, "account.key", write(client.key), 0o400)
    program = f"exec:{phrase_program(httpd)}" if name.startswith("encrypted") else ""
    httpd.acme(ca, f"AcmeAccountKey {path} {program}")
    issue_one(httpd)
    assert list(ca.accounts) == [client.kid]
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert list(ca.accounts) == [client.kid]
    assert [one["kid"] for one in documents(httpd)] == [client.kid]
    ours = [one for one in ca.requests_to("new-account")[1:]]
    assert [one.payload for one in ours] == [{"onlyReturnExisting": True}]


def test_adopted_account_works_at_pebble(acme_httpd, pebble):
    client = MiniClient(pebble, pki.new_key("rsa2048")).register()
    path = secret_file(acme_httpd, "private_key.json", json.dumps(jwk_private(client.key)))
    acme_httpd.config(f"AcmeAccountKey {path}")
    issue_one(acme_httpd)
    assert documents(acme_httpd)[0]["kid"] == client.kid


def test_unregistered_key_is_refused_and_never_registered(httpd, make_fakeca):
    ca = make_fakeca()
    path = secret_file(httpd, "account.key", pki.key_pem(pki.new_key()))
    httpd.acme(ca, f"AcmeRetry 1s 1s\nAcmeAccountKey {path}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    assert "AcmeAccountKey" in httpd.wait_log(r"ACME1380: .*").group(0)
    httpd.restart()
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode != 0
    assert not ca.accounts
    assert all(one.payload == {"onlyReturnExisting": True} for one in ca.requests_to("new-account"))


FAULTS = {
    "readable": (lambda key: pki.key_pem(key), 0o640, "", r"ACME1057: .*others can read"),
    "no-key": (lambda key: b"hello", 0o600, "", r"ACME1057: .*holds no private key"),
    "damaged": (lambda key: pki.key_pem(key).replace(b"M", b"N"), 0o600, "", r"ACME1057: .*damaged"),
    "locked": (lambda key: pem(key, PKCS8, b"x"), 0o600, "", r"ACME1057: .*exec:"),
    "wrong-phrase": (lambda key: pem(key, PKCS8, b"x"), 0o600, "echo y", r"ACME1057: .*phrase does not"),
    "silent": (lambda key: pem(key, PKCS8, b"x"), 0o600, "true", r"ACME1058: .*printed nothing"),
    "endless": (lambda key: pem(key, PKCS8, b"x"), 0o600, "head -c 2000 /dev/zero | tr '\\0' a",
                r"ACME1058: .*more than 1024"),
    "failing": (lambda key: pem(key, PKCS8, b"x"), 0o600, "echo x; exit 3", r"ACME1058: .*ended with 3"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_unusable_key_is_refused_and_no_account_is_made_instead(httpd, make_fakeca, name):
    write, mode, program, told = FAULTS[name]
    ca = make_fakeca()
    path = secret_file(httpd, "account.key", write(pki.new_key()), mode)
    program = f"exec:{phrase_program(httpd, program)}" if program else ""
    httpd.acme(ca, f"AcmeAccountKey {path} {program}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(told)
    httpd.wait_log(r"ACME105[78]: \[")
    assert not ca.endpoints() and not documents(httpd)


@pytest.mark.needs_root
def test_pass_phrase_program_that_others_can_change_is_not_run(httpd, make_fakeca):
    ca = make_fakeca()
    path = secret_file(httpd, "account.key", pem(pki.new_key(), PKCS8, b"x"))
    program = phrase_program(httpd, f"touch {httpd.folder}/was-run; echo x", 0o777)
    httpd.acme(ca, f"AcmeAccountKey {path} exec:{program}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(rf"ACME1058: .*others than root can change {program}")
    assert not (httpd.folder / "was-run").exists()


@pytest.mark.needs_root
def test_pass_phrase_program_behind_a_link_is_as_safe_as_its_place(httpd, make_fakeca):
    ca = make_fakeca()
    path = secret_file(httpd, "account.key", pem(pki.new_key(), PKCS8, b"x"))
    folder = httpd.folder / "anybodys"
    folder.mkdir()
    folder.chmod(0o777)
    program = phrase_program(httpd, f"touch {httpd.folder}/was-run; echo x").rename(folder / "phrase")
    link = httpd.folder / "link"
    link.symlink_to(program)
    httpd.acme(ca, f"AcmeAccountKey {path} exec:{link}")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(rf"ACME1058: .*others than root can change {folder}\.")
    assert not (httpd.folder / "was-run").exists()


def test_secrets_are_read_once_a_start_however_many_hosts_name_them(httpd, make_fakeca):
    ca = make_fakeca()
    runs = httpd.folder / "runs"
    key = secret_file(httpd, "account.key", pem(pki.new_key(), PKCS8, b"x"))
    program = phrase_program(httpd, f"echo run >> {runs}; echo x")
    eab = secret_file(httpd, "eab.txt", "kid-1")
    httpd.acme(ca)
    for i in range(5):
        extra = f"AcmeAccountKey {key} exec:{program}\nAcmeExternalAccount {eab}"
        httpd.vhost(f"h{i}.example.org", https_extra=f"AcmeManage on\n{extra}")
    assert httpd.configtest().stderr.count("ACME1056: ") == 1
    httpd.start()
    assert runs.read_text() == "run\n"
    assert len(re.findall("ACME1056: cannot use", httpd.log())) == 1
    httpd.graceful()
    assert runs.read_text() == "run\nrun\n"
    httpd.wait_log(r"ACME1056: \[.*cannot use")  # said by the engine


@pytest.mark.parametrize("kind, alg", [("rsa2048", "RS256"), ("ecdsa-p384", "ES384")])
def test_account_key_is_made_of_the_type_wanted(httpd, make_fakeca, kind, alg):
    ca = make_fakeca()
    httpd.acme(ca, f"AcmeAccountKey {kind}")
    issue_one(httpd)
    assert {one.protected["alg"] for one in ca.requests_to("new-account", "new-order")} == {alg}


# Terms and contacts


def test_new_terms_are_told_and_agreed_to_by_name(httpd, make_fakeca):
    ca = make_fakeca()
    terms, human = f"{ca.base}/terms/v2", f"{ca.base}/agree"
    agreed = lambda: [  # noqa: E731
        one for one in ca.requests_to("account") if one.payload == {"termsOfServiceAgreed": True}
    ]
    httpd.acme(ca)
    before = serial(issue_one(httpd))
    refusal = f.problem(
        "userActionRequired", "the terms have changed", instance=human,
        headers={"Link": f'<{terms}>;rel="terms-of-service"'},
    )  # fmt: skip
    ca.script("new-order", refusal, times=None, matches=lambda one: not agreed())
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode != 0 and "1325" in done.stdout + done.stderr
    said = httpd.wait_log(r"ACME1325: .*").group(0)
    assert human in said and terms in said and "AcmeAgreeTerms" in said
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode != 0 and not agreed()  # "on" is not for these
    httpd.config(f"AcmeAgreeTerms {ca.base}/terms/v1 {terms}")
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != before
    assert len(agreed()) == 1
    assert documents(httpd)[0]["terms"] == terms


def test_changed_contact_is_told_once(httpd, make_fakeca):
    """By a CA that does not keep contacts, as most do not."""
    ca = make_fakeca()
    ca.script("account", f.edit_json(lambda obj: obj.pop("contact") and None), when="after", times=None)
    httpd.acme(ca, "AcmeContact old@example.org")
    issue_one(httpd)
    assert not ca.requests_to("account")
    httpd.config("AcmeContact new@example.org")
    for _ in range(3):
        httpd.graceful()
        assert acmectl(httpd, "renew", SHOP).returncode == 0
    told = [one.payload for one in ca.requests_to("account")]
    assert told == [{"contact": ["mailto:new@example.org"]}]
    assert httpd.wait_log("ACME1545: .*").group(0).endswith("mailto:new@example.org")
    httpd.config("AcmeContact none")
    httpd.graceful()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert ca.requests_to("account")[-1].payload == {"contact": []}


# Closed, forgotten, and counted


def test_forgotten_account_is_registered_again_with_the_same_key(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    (before,) = ca.accounts.values()
    ca.accounts.clear()
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    (after,) = ca.accounts.values()
    assert after["jwk"] == before["jwk"] and after["url"] != before["url"]
    assert len(ca.requests_to("new-account")) == 2


def test_closed_account_is_told_as_such(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    issue_one(httpd)
    (account,) = ca.accounts.values()
    account["status"] = "deactivated"
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode != 0
    assert "deactivated" in httpd.wait_log(r"ACME1352: .*").group(0)
    assert len(ca.accounts) == 1 and len(ca.requests_to("new-account")) == 1


def test_account_closed_at_pebble_is_told_as_such(acme_httpd, pebble):
    client = MiniClient(pebble).register()
    path = secret_file(acme_httpd, "account.key", pki.key_pem(client.key))
    acme_httpd.config(f"AcmeAccountKey {path}")
    before = serial(issue_one(acme_httpd))
    client.post(client.kid, {"status": "deactivated"})
    assert acmectl(acme_httpd, "renew", SHOP).returncode != 0
    acme_httpd.wait_log(r"ACME1352: .*")
    assert serial(acme_httpd.served_cert(SHOP)) == before


def test_certificates_with_the_same_settings_share_one_account(httpd, make_fakeca):
    ca = make_fakeca(eab={"kid-1": URLSAFE, "kid-2": STANDARD})
    httpd.acme(ca, f"AcmeExternalAccount kid-1 {URLSAFE}")
    names = [f"host{n}.example.org" for n in range(4)]
    for name in names:
        httpd.vhost(name, https_extra="AcmeManage on")
    other = f"AcmeManage on\nAcmeExternalAccount kid-2 {STANDARD}"
    httpd.vhost("other.example.org", https_extra=other)
    httpd.start()
    for name in [*names, "other.example.org"]:
        httpd.wait_cert(name)
    assert len(ca.accounts) == 2 and len(documents(httpd)) == 2
    by_account = sorted(
        sum(order["account"] == url for order in ca.orders.values()) for url in ca.accounts
    )
    assert by_account == [1, 4]


def test_no_fault_and_no_restart_makes_accounts_pile_up(httpd, make_fakeca):
    """However the CA fails and the server is treated: one key, few registrations."""
    ca = make_fakeca(retry_after=None)
    ca.allow_violations = True
    unknown = f.problem("accountDoesNotExist")
    for nth, action, when in [
        (1, f.status(500), "before"), (2, f.reset(), "before"), (3, f.reset(), "after"),
        (4, f.html(502), "after"), (5, f.body("no json"), "after"),
    ]:  # fmt: skip
        ca.script("new-account", action, nth=nth, when=when)
    ca.script("new-order", unknown, nth=1, times=3)
    httpd.acme(ca, "AcmeRetry 1s 1s")
    names = [f"host{n}.example.org" for n in range(6)]
    for name in names:
        httpd.vhost(name, https_extra="AcmeManage on")
    httpd.start()
    for kill in (False, True, False, True):
        seen = len(ca.requests_to("new-account"))
        acmectl(httpd, "renew", names[0], "--timeout", "4")
        if kill:
            httpd.kill()
            httpd.start()
        else:
            httpd.graceful()
        assert len(ca.requests_to("new-account")) <= seen + 6
    ca.clear_script()
    for name in names:  # those that were told so by the CA wait for a day otherwise
        assert acmectl(httpd, "renew", name).returncode == 0
    # a CA that forgets the account with every order
    ca.script("new-order", unknown, times=None)
    before = len(ca.requests_to("new-account"))
    for name in names:
        acmectl(httpd, "renew", name, "--timeout", "2")
        httpd.graceful()
    after = len(ca.requests_to("new-account"))
    assert after - before <= 2
    keys = {json.dumps(one["jwk"], sort_keys=True) for one in ca.accounts.values()}
    assert len(keys) == 1 and len(ca.accounts) == 1
    assert after <= 24
    ca.clear_script()
    wait_until(lambda: acmectl(httpd, "renew", names[0]).returncode == 0, 60, "a renewal")
