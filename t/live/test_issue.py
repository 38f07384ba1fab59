"""The main job: from AcmeManage on to a served, renewed and adopted certificate."""

import re
import subprocess

import pytest

from . import pki
from .httpd import acme_module
from .proc import wait_until

SHOP, ALIAS = "shop.example.org", "www.shop.example.org"


def acmectl_argv(httpd, *args):
    """A command of the acmectl beside the module under test."""
    return [acme_module().parents[2] / "acmectl", "--store", httpd.store, *args]


def acmectl(httpd, *args):
    """Run it."""
    argv = acmectl_argv(httpd, *args)
    return subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)


def serial(served):
    return served.leaf.serial_number


def issue_one(httpd, name=SHOP, aliases=(ALIAS,), **options):
    """Start with one managed host and wait for its certificate."""
    httpd.vhost(name, aliases, https_extra="AcmeManage on", **options)
    httpd.start()
    return httpd.wait_cert(name)


@pytest.mark.all_mpms
def test_issue_one_host_is_served_without_reload(acme_httpd, pebble):
    served = issue_one(acme_httpd)
    assert sorted(served.names) == [SHOP, ALIAS]
    assert served.key_type == "ecdsa-p256"
    assert len(served.chain) == 2
    reply = acme_httpd.get("/", host=ALIAS, https=True, ca=pebble.root_file())
    assert (reply.status, reply.text) == (200, f"hello from {SHOP}\n")
    assert acme_httpd.log().count("resuming normal operations") == 1


def test_placeholder_answers_503_until_the_first_certificate(acme_httpd, pebble):
    pebble.pause()
    acme_httpd.vhost(SHOP, https_extra="AcmeManage on")
    acme_httpd.start()
    assert acme_httpd.served_cert(SHOP).self_signed
    reply = acme_httpd.get("/", host=SHOP, https=True)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert acme_httpd.get("/", host=SHOP).status == 200
    pebble.resume()
    acme_httpd.wait_cert(SHOP)
    assert acme_httpd.get("/", host=SHOP, https=True, ca=pebble.root_file()).status == 200


@pytest.mark.all_mpms
def test_renew_on_request_is_live_in_every_child(acme_httpd, pebble):
    before = serial(issue_one(acme_httpd))
    mark = acme_httpd.mark()
    done = acmectl(acme_httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout + done.stderr
    # every handshake from now on: children differ from one to the next
    seen = {serial(acme_httpd.served_cert(SHOP)) for _ in range(40)}
    assert len(seen) == 1 and before not in seen
    assert "resuming normal operations" not in acme_httpd.log_since(mark)


@pytest.mark.all_mpms
def test_graceful_adopts_what_was_issued(acme_httpd, pebble):
    issued = serial(issue_one(acme_httpd))
    acme_httpd.graceful()
    assert serial(acme_httpd.served_cert(SHOP)) == issued
    chain = acme_httpd.store / "certificates" / SHOP / "ecdsa" / "chain.pem"
    assert pki.load_chain(chain.read_bytes())[0].serial_number == issued
    assert (chain.parent / "key.pem").stat().st_mode & 0o777 == 0o600


def test_restart_without_the_ca_serves_what_was_issued(acme_httpd, pebble):
    issued = serial(issue_one(acme_httpd))
    acme_httpd.stop()
    pebble.stop_ca()
    acme_httpd.start()
    assert serial(acme_httpd.served_cert(SHOP)) == issued
    assert acme_httpd.get("/", host=SHOP, https=True, ca=None).status == 200


def test_key_types_rsa_and_ecdsa_are_both_served_and_renewed(acme_httpd, pebble):
    acme_httpd.config("AcmeKeyType rsa2048 ecdsa-p384")
    issue_one(acme_httpd)
    rsa = acme_httpd.wait_cert(
        SHOP, lambda s: s.key_type == "rsa2048" and not s.self_signed,
        sigalgs="rsa_pss_rsae_sha256",
    )  # fmt: skip
    ecdsa = acme_httpd.wait_cert(
        SHOP, lambda s: s.key_type == "ecdsa-p384", sigalgs="ecdsa_secp384r1_sha384"
    )
    acme_httpd.graceful()
    assert serial(acme_httpd.served_cert(SHOP, sigalgs="rsa_pss_rsae_sha256")) == serial(rsa)
    assert serial(acme_httpd.served_cert(SHOP, sigalgs="ecdsa_secp384r1_sha384")) == serial(ecdsa)
    assert acmectl(acme_httpd, "renew", SHOP).returncode == 0
    assert serial(acme_httpd.served_cert(SHOP, sigalgs="rsa_pss_rsae_sha256")) != serial(rsa)
    assert serial(acme_httpd.served_cert(SHOP, sigalgs="ecdsa_secp384r1_sha384")) != serial(ecdsa)


def test_due_certificate_is_renewed_by_itself(httpd, make_pebble):
    # valid for 60 s, to be renewed when 50 s are left
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port, validity=60)
    httpd.acme(ca, "AcmeRenew 50s")
    before = serial(issue_one(httpd))
    httpd.wait_cert(SHOP, lambda served: serial(served) != before, timeout=40)


@pytest.mark.needs_root
def test_store_gives_the_worker_no_plain_key(acme_httpd, pebble):
    issue_one(acme_httpd)
    acme_httpd.graceful()
    assert acmectl(acme_httpd, "renew", SHOP).returncode == 0
    files = [path for path in acme_httpd.store.rglob("*") if path.is_file()]
    readable = [path for path in files if acme_httpd.user_can_read(path)]
    assert any("fresh" in str(path) for path in readable)
    for path in readable:
        content = path.read_bytes()
        assert b"PRIVATE KEY" not in content, path
        assert b'"d"' not in content, path
    for name in ("store.json", f"certificates/{SHOP}/ecdsa/key.pem"):
        assert not acme_httpd.user_can_read(acme_httpd.store / name), name


def test_server_status_shows_the_certificate(acme_httpd, pebble):
    issue_one(acme_httpd)
    key = f"Acme[{SHOP}/ecdsa]"
    wait_until(lambda: acme_httpd.server_status().get(f"{key}State") == "valid", 10, "valid")
    status = acme_httpd.server_status()
    assert status["AcmeCertificates"] == "1"
    assert "renew" in status[f"{key}Next"]
    html = acme_httpd.get("/server-status", port=acme_httpd.admin_port).text
    assert SHOP in html and "valid" in html


def test_apachectl_fullstatus_shows_the_certificate(acme_httpd, pebble):
    """apachectl fullstatus prints the page as lynx sees it."""
    issue_one(acme_httpd)
    url = f"http://127.0.0.1:{acme_httpd.admin_port}/server-status"
    done = subprocess.run(["lynx", "-dump", url], capture_output=True, text=True, check=True)
    assert re.search(rf"{SHOP}/ecdsa\s+valid", done.stdout), done.stdout


def test_every_log_line_of_ours_is_numbered(acme_httpd, pebble):
    issue_one(acme_httpd)
    lines = [line for line in acme_httpd.log().splitlines() if re.search(r"\[acme:(?!trace)", line)]
    assert lines
    for line in lines:
        assert re.search(r"ACME1\d{3}: ", line), line


@pytest.mark.all_mpms
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_live_swap_is_the_same_for_every_protocol(make_httpd, make_pebble, mpm, version):
    httpd = make_httpd(mpm=mpm, modules=("http2",) if mpm != "prefork" else ())
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port)
    httpd.acme(ca, "Protocols h2 http/1.1" if mpm != "prefork" else "")
    issue_one(httpd)
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    now = {serial(httpd.served_cert(SHOP)) for _ in range(10)}
    for alpn in ([["h2"]] if mpm != "prefork" else []) + [["http/1.1"], []]:
        served = httpd.served_cert(SHOP, version=version, alpn=alpn)
        assert serial(served) in now and len(now) == 1
        assert served.version == f"TLSv{version}"
        if alpn == ["h2"]:
            assert served.alpn == "h2"


def test_live_swap_on_a_host_that_asks_for_client_certificates(acme_httpd, pebble):
    root = acme_httpd.folder / "client-ca.pem"
    root.write_bytes(pki.cert_pem(pki.Authority.root("Client CA").cert))
    acme_httpd.vhost(
        SHOP, https_extra=f"AcmeManage on\nSSLVerifyClient optional\nSSLCACertificateFile {root}"
    )
    acme_httpd.start()
    before = serial(acme_httpd.wait_cert(SHOP))
    assert acmectl(acme_httpd, "renew", SHOP).returncode == 0
    assert serial(acme_httpd.served_cert(SHOP)) != before
    reply = acme_httpd.get("/", host=SHOP, https=True, ca=pebble.root_file())
    assert reply.status == 200


def test_unmanaged_host_next_to_a_managed_one_keeps_its_own(acme_httpd, pebble):
    acme_httpd.vhost("own.example.org", cert="self")
    issue_one(acme_httpd)
    for _ in range(5):
        assert acme_httpd.served_cert("own.example.org").issuer == "Administrator's own root"
        assert acme_httpd.served_cert(SHOP).issuer.startswith("Pebble Intermediate")


def test_no_secret_in_log_status_or_process_list(acme_httpd, pebble):
    """At the loudest level, and with everything that holds a key or a token in it."""
    acme_httpd.loglevel = "info acme:trace8"
    acme_httpd.config("AcmeChallenges http-01")  # its requests tell us the tokens
    issue_one(acme_httpd)
    assert acmectl(acme_httpd, "renew", SHOP).returncode == 0
    said = acme_httpd.log() + acme_httpd.get("/server-status", port=acme_httpd.admin_port).text
    # tokens are in mod_ssl's and httpd's own lines only where a request asked for them
    ours = "\n".join(line for line in said.splitlines() if "[acme:" in line or "Acme[" in line)
    tokens = re.findall(r"acme-challenge/(\S+)", acme_httpd.access_log.read_text())
    assert tokens
    for secret in ["PRIVATE KEY", *tokens]:
        assert secret not in ours, secret
