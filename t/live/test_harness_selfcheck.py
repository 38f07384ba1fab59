"""The harness checked without mod_acme: what these tests lean on must be able to fail, too."""

import datetime
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import time

import pytest
from cryptography.hazmat.primitives import serialization

from . import fakeca as fake
from . import jose, pki, proc
from .httpd import HttpdFailed
from .miniclient import MiniClient, Refused, csr_der, elapsed


# httpd


@pytest.mark.all_mpms
def test_httpd_each_mpm_serves_over_tls(httpd):
    httpd.vhost("one.example", aliases=["www.one.example"], cert="self")
    httpd.vhost("two.example", cert="self")
    httpd.start()
    trust = httpd.own_root_file()
    for name, text in (("www.one.example", "one"), ("two.example", "two")):
        reply = httpd.get("/", host=name, https=True, ca=trust)
        assert (reply.status, reply.text) == (200, f"hello from {text}.example\n")
        assert httpd.get("/", host=name).text == f"hello from {text}.example\n"
    assert httpd.served_cert("www.one.example").names == ["one.example", "www.one.example"]
    assert httpd.server_status()["ServerMPM"].lower() == httpd.mpm


@pytest.mark.all_mpms
def test_httpd_stop_leaves_no_process(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    pids = [child.pid for child in httpd.children()]
    assert len(pids) >= 2
    httpd.stop()
    assert not [pid for pid in pids if proc.living(pid)]


@pytest.mark.needs_root
def test_httpd_children_run_as_worker(httpd, live_dir):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    assert 0 not in [child.uid for child in httpd.children()]
    secret = live_dir / "secret"
    secret.write_text("x")
    assert httpd.user_can_read(secret)
    secret.chmod(0o600)
    assert not httpd.user_can_read(secret)


def test_httpd_graceful_serves_new_configuration(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    parent = httpd.pid
    before = {child.pid for child in httpd.children()}
    httpd.vhost("later.example", cert="self")
    httpd.graceful()
    assert httpd.served_cert("later.example").names == ["later.example"]
    assert httpd.pid == parent
    proc.wait_until(
        lambda: not before & {child.pid for child in httpd.children()}, 20, "old children gone"
    )


def test_httpd_broken_configuration_tells_why(httpd):
    httpd.config("NoSuchDirective on")
    assert httpd.configtest().returncode != 0
    with pytest.raises(HttpdFailed, match="NoSuchDirective"):
        httpd.start()


def test_httpd_crashed_child_fails_the_test(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    victim = httpd.children()[0].pid
    # Past kill_child(), so that the harness takes it for a crash of httpd's own.
    os.kill(victim, signal.SIGSEGV)
    httpd.wait_log(rf"child pid {victim} exit signal Segmentation")
    with pytest.raises(HttpdFailed, match="Segmentation"):
        httpd.stop()
    httpd.allow_crash = True


def test_httpd_child_killed_by_test_is_no_crash(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    victim = httpd.children()[0].pid
    httpd.kill_child(victim, signal.SIGSEGV)
    httpd.wait_log(rf"child pid {victim} exit signal Segmentation")
    httpd.stop()


def test_httpd_child_killed_at_once_is_replaced(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    before = {child.pid for child in httpd.children()}
    httpd.kill_child(min(before))
    wanted = len(before)

    def replaced():
        now = {child.pid for child in httpd.children()}
        return len(now) == wanted and min(before) not in now

    proc.wait_until(replaced, 20, "another child")


def test_httpd_killed_whole_starts_again(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    pids = [child.pid for child in httpd.children()]
    httpd.kill()
    assert not [pid for pid in pids if proc.living(pid)]
    httpd.start()
    assert httpd.get("/", host="one.example").status == 200


def test_httpd_two_key_types_are_told_apart(httpd):
    httpd.vhost("one.example", cert="self", https_extra=_rsa_beside(httpd, "one.example"))
    httpd.start()
    rsa = httpd.served_cert("one.example", sigalgs="rsa_pss_rsae_sha256")
    assert (rsa.key_type, rsa.version) == ("rsa2048", "TLSv1.3")
    ecdsa = httpd.served_cert("one.example", sigalgs="ecdsa_secp256r1_sha256", version="1.2")
    assert (ecdsa.key_type, ecdsa.version) == ("ecdsa-p256", "TLSv1.2")


def _rsa_beside(httpd, name):
    key, cert = pki.Authority.root("RSA root").issue_server([name], pki.new_key("rsa2048"))
    files = (httpd.folder / "rsa.pem", httpd.folder / "rsa.key")
    files[0].write_bytes(pki.cert_pem(cert))
    files[1].write_bytes(pki.key_pem(key))
    return f"SSLCertificateFile {files[0]}\nSSLCertificateKeyFile {files[1]}"


def test_httpd_alpn_is_seen(make_httpd):
    httpd = make_httpd(modules=["http2"])
    httpd.vhost("one.example", cert="self", https_extra="Protocols h2 http/1.1")
    httpd.start()
    for version in ("1.2", "1.3"):
        served = httpd.served_cert("one.example", alpn=["h2", "http/1.1"], version=version)
        assert served.alpn == "h2"
        assert served.version == f"TLSv{version}"


def test_httpd_runs_under_a_wrapper(make_httpd):
    httpd = make_httpd(wrapper=["env", "WRAPPED=yes"])
    httpd.vhost("one.example", cert="self", http_extra='Header set X-Wrapped "${WRAPPED}"')
    httpd.start()
    assert httpd.get("/", host="one.example").headers["x-wrapped"] == "yes"


def test_httpd_unverified_name_is_refused(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    with pytest.raises(ssl.SSLCertVerificationError):
        httpd.get("/", host="other.example", https=True, ca=httpd.own_root_file())


def test_wait_cert_times_out_with_what_was_served(httpd):
    httpd.vhost("one.example", cert="self")
    httpd.start()
    with pytest.raises(proc.Timeout, match="one.example.*Administrator"):
        httpd.wait_cert("one.example", lambda served: served.names == ["x"], timeout=0.2)


# Processes


def test_processes_die_with_a_killed_pytest(tmp_path):
    """Even SIGKILL to the process that started httpd and Pebble leaves none of them."""
    script = tmp_path / "start.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, signal
            from pathlib import Path
            sys.path.insert(0, sys.argv[1])
            from live.ca import Pebble
            from live.httpd import Httpd
            folder = Path(sys.argv[2])
            pebble = Pebble(folder / "pebble").start()
            httpd = Httpd(folder / "httpd").start()
            pids = httpd._process.members() + pebble._pebble.members() + pebble._dns.members()
            print(*pids, flush=True)
            signal.pause()
            """
        )
    )
    top = str(proc.Path(__file__).parents[1])
    argv = [sys.executable, str(script), top, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) >= 5

    def left():
        return [pid for pid in pids if proc.living(pid)]

    proc.wait_until(lambda: not left(), 20, lambda: f"{left()} are gone")


def test_free_port_is_held_and_can_be_listened_on():
    port = proc.free_port()
    with socket.socket() as other:
        with pytest.raises(OSError):
            other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):
        assert proc.accepts(port)
    assert not proc.accepts(port)


def test_ports_are_given_back():
    with proc.ports():
        port = proc.free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


# Pebble


def test_pebble_issues_by_http01_and_revokes(make_pebble):
    pebble = make_pebble(alternate_roots=1, validity=3600)
    client = MiniClient(pebble).register()
    names = ["a.example", "b.example"]
    certs, key, headers = client.obtain(names, lambda _n, token, auth: pebble.add_http01(token, auth))
    assert pki.names_of(certs[0]) == names
    assert pki.public_der(certs[0]) == pki.public_der(key)
    life = certs[0].not_valid_after - certs[0].not_valid_before
    assert abs(life - datetime.timedelta(hours=1)) < datetime.timedelta(seconds=5)
    assert 'rel="alternate"' in ", ".join(headers.get_all("Link"))
    assert pki.load_chain(pebble.root_pem(0)) != pki.load_chain(pebble.root_pem(1))
    assert len(pebble.history("http", "a.example")) >= 1
    assert pebble.cert_status(certs[0].serial_number)["Status"] == "Valid"
    client.revoke(certs[0])
    assert pebble.cert_status(certs[0].serial_number)["Status"] == "Revoked"


def test_pebble_validates_at_httpd(httpd, pebble):
    root = httpd.vhost("shop.example", cert="self")
    folder = root / ".well-known/acme-challenge"
    folder.mkdir(parents=True)
    httpd.start()

    def publish(_name, token, key_auth):
        folder.joinpath(token).write_text(key_auth)

    certs, _, _ = MiniClient(pebble).register().obtain(["shop.example"], publish)
    assert pki.names_of(certs[0]) == ["shop.example"]
    assert "/.well-known/acme-challenge/" in httpd.access_log.read_text()


def test_pebble_dns01_reads_the_record(make_pebble):
    pebble = make_pebble()

    def publish(name, _token, key_auth):
        digest = jose.hashlib.sha256(key_auth.encode()).digest()
        pebble.set_txt(f"_acme-challenge.{name}", jose.b64(digest))

    certs, _, _ = MiniClient(pebble).register().obtain(["*.w.example"], publish, "dns-01")
    assert pki.names_of(certs[0]) == ["*.w.example"]
    pebble.clear_history("dns", "_acme-challenge.w.example.")


def test_pebble_options_take_effect(make_pebble):
    mac = jose.b64(b"k" * 32)
    pebble = make_pebble(
        eab={"kid-1": mac}, blocklist=["blocked.example"], profiles={"a": 100, "b": 200}
    )
    meta = pebble.directory()["meta"]
    assert meta["externalAccountRequired"] is True
    assert sorted(meta["profiles"]) == ["a", "b"]
    with pytest.raises(Refused) as refused:
        MiniClient(pebble).register()
    assert refused.value.kind == "externalAccountRequired"
    plain = make_pebble(blocklist=["blocked.example"])
    with pytest.raises(Refused) as refused:
        MiniClient(plain).register().new_order(["www.blocked.example"])
    assert refused.value.kind == "rejectedIdentifier"


def test_pebble_rejects_the_asked_share_of_nonces(make_pebble):
    pebble = make_pebble(nonce_reject=90)
    kinds = [_registration_outcome(pebble) for _ in range(20)]
    assert "badNonce" in kinds


def _registration_outcome(ca):
    try:
        MiniClient(ca).register()
        return "registered"
    except Refused as refused:
        return refused.kind


def test_pebble_renewal_info_can_be_set(make_pebble):
    pebble = make_pebble(always_valid=True)
    client = MiniClient(pebble).register()
    certs, _, _ = client.obtain(["a.example"])
    window = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    pebble.set_renewal_info(certs[0], {"suggestedWindow": window})
    url = f"{pebble.directory()['renewalInfo']}/{fake.cert_id(certs[0])}"
    assert client.fetch(url)[0]["suggestedWindow"] == window


def test_pebble_outage_and_return(make_pebble):
    pebble = make_pebble()
    pebble.stop_ca()
    assert not proc.accepts(pebble.port)
    pebble.start()
    assert pebble.directory()["newOrder"]


# The fake CA


def test_fakeca_full_issuance_and_record(fakeca):
    client = MiniClient(fakeca).register()
    certs, key, headers = client.obtain(["a.example", "b.example"])
    assert pki.names_of(certs[0]) == ["a.example", "b.example"]
    assert pki.public_der(certs[0]) == pki.public_der(key)
    assert [pki.common_name(cert.issuer) for cert in certs] == ["Fake Intermediate", "Fake Root One"]
    _assert_signed(certs[0], certs[1])
    _assert_signed(certs[1], fakeca.root.cert)
    url = re.search(r'<([^>]*)>;rel="alternate"', headers["Link"]).group(1)
    other = pki.load_chain(client.post(url, "")[0])
    assert pki.common_name(other[1].issuer) == "Fake Root Two"
    _assert_signed(other[0], other[1])
    order = fakeca.wait_request("new-order")
    assert order.payload["identifiers"][0] == {"type": "dns", "value": "a.example"}
    assert order.protected["kid"] == client.kid
    assert order.status == 201
    client.revoke(certs[0])
    with pytest.raises(Refused) as refused:
        client.revoke(certs[0])
    assert refused.value.kind == "alreadyRevoked"


def _assert_signed(cert, issuer):
    """By OpenSSL's eyes, not by those of the package that signed it."""
    algorithm = fake.x509.oid.SignatureAlgorithmOID.ECDSA_WITH_SHA256
    assert cert.signature_algorithm_oid == algorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    issuer.public_key().verify(
        cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())
    )


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa-p384"])
def test_fakeca_takes_other_account_keys(fakeca, kind):
    client = MiniClient(fakeca, key=pki.new_key(kind)).register()
    assert fakeca.requests_to("new-account")[0].protected["alg"] in ("RS256", "ES384")
    assert client.kid in fakeca.accounts


def test_fakeca_really_validates(make_fakeca, httpd):
    ca = make_fakeca(validate="http", http_port=httpd.http_port, tls_port=httpd.https_port)
    folder = httpd.vhost("shop.example", cert="self") / ".well-known/acme-challenge"
    folder.mkdir(parents=True)
    httpd.start()
    client = MiniClient(ca).register()
    good = lambda _name, token, auth: folder.joinpath(token).write_text(auth)  # noqa: E731
    assert pki.names_of(client.obtain(["shop.example"], good)[0][0]) == ["shop.example"]
    with pytest.raises(AssertionError, match="status 404"):
        client.obtain(["shop.example"])
    wrong = lambda _name, token, auth: folder.joinpath(token).write_text("no")  # noqa: E731
    with pytest.raises(AssertionError, match="incorrectResponse"):
        client.obtain(["shop.example"], wrong)
    with pytest.raises(AssertionError, match="error:tls"):
        client.obtain(["shop.example"], kind="tls-alpn-01")


def test_fakeca_refuses_what_breaks_the_protocol(make_fakeca):
    ca = make_fakeca()
    ca.allow_violations = True
    client = MiniClient(ca).register()
    cases = [
        ("badNonce", {"nonce": "made-up"}),
        ("unauthorized", {"url": f"{ca.base}/elsewhere"}),
        ("malformed", {"jwk": jose.jwk(client.key)}),
        ("badSignatureAlgorithm", {"alg": "HS256"}),
        ("accountDoesNotExist", {"kid": f"{ca.base}/account/999"}),
    ]
    for kind, protected in cases:
        with pytest.raises(Refused) as refused:
            client.post(client.directory["newOrder"], {"identifiers": []}, **protected)
        assert refused.value.kind == kind
    assert len(ca.violations) == 4
    ca.allow_violations = "badNonce"
    with pytest.raises(AssertionError, match="elsewhere"):
        ca.assert_no_violations()
    ca.allow_violations = True


def test_fakeca_refuses_a_wrong_signature(make_fakeca):
    ca = make_fakeca()
    ca.allow_violations = True
    client = MiniClient(ca).register()
    client.key = pki.new_key()
    with pytest.raises(Refused) as refused:
        client.new_order(["a.example"])
    assert refused.value.kind == "malformed"
    assert "does not verify" in refused.value.problem["detail"]


def test_fakeca_knows_what_a_library_sends_anew_from_a_nonce_used_twice(make_fakeca):
    ca = make_fakeca()
    client = MiniClient(ca).register()
    url, order = client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "a.example"}]}
    ca.script("new-order", fake.reset())
    with pytest.raises(OSError):
        client.post(url, order)
    lost = ca.requests_to("new-order")[0].raw
    with pytest.raises(Refused) as refused:
        client.fetch(url, lost)
    assert refused.value.kind == "badNonce" and ca.violations == []
    client.new_order(["a.example"])
    ca.allow_violations = True
    with pytest.raises(Refused):
        client.fetch(url, ca.requests_to("new-order")[-1].raw)
    assert len(ca.violations) == 1


def test_fakeca_refuses_a_nonce_used_before_a_scripted_reply(make_fakeca):
    ca = make_fakeca()
    ca.allow_violations = True
    client = MiniClient(ca).register()
    ca.script("new-order", fake.html(502))
    with pytest.raises(Refused):
        client.new_order(["a.example"])
    spent = ca.requests_to("new-order")[0].protected["nonce"]
    with pytest.raises(Refused) as refused:
        client.post(client.directory["newOrder"], {"identifiers": []}, nonce=spent)
    assert refused.value.kind == "badNonce"


def test_fakeca_script_hits_the_nth_request(fakeca):
    client = MiniClient(fakeca)
    fakeca.script("new-order", fake.problem("rateLimited", retry_after=7), nth=2, times=2)
    client.register()
    outcomes = []
    for _ in range(4):
        try:
            client.new_order(["a.example"])
            outcomes.append(201)
        except Refused as refused:
            outcomes.append(refused.status)
    assert outcomes == [201, 429, 429, 201]
    limited = fakeca.requests_to("new-order")[1].reply
    assert limited.headers["Retry-After"] == "7"


def test_fakeca_before_leaves_state_and_after_does_not(fakeca):
    client = MiniClient(fakeca).register()
    fakeca.script("new-order", fake.reset())
    with pytest.raises(OSError):
        client.new_order(["a.example"])
    assert not fakeca.orders
    fakeca.script("new-order", fake.reset(), when="after")
    with pytest.raises(OSError):
        client.new_order(["a.example"])
    assert len(fakeca.orders) == 1


@pytest.mark.parametrize("action", [fake.truncate(100), fake.reset(after=100)])
def test_fakeca_cuts_a_download_short(fakeca, action):
    fakeca.script("certificate", action, when="after")
    client = MiniClient(fakeca).register()
    with pytest.raises((OSError, ssl.SSLError, fake.http.client.IncompleteRead)):
        client.obtain(["a.example"])
    assert fakeca.requests_to("certificate")


def test_fakeca_body_actions(fakeca):
    client = MiniClient(fakeca)
    url = fakeca.directory_url
    fakeca.script("directory", fake.big(1 << 20))
    assert len(client.fetch(url)[0]["filler"]) == (1 << 20) - 13
    fakeca.script("directory", fake.edit_json(lambda obj: obj.pop("newOrder") and None), when="after")
    assert "newOrder" not in client.fetch(url)[0]
    fakeca.script("directory", fake.duplicate_keys(newOrder="http://evil.invalid/"), when="after")
    client.fetch(url)
    assert fakeca.requests[-1].reply.body.count(b'"newOrder"') == 2
    fakeca.script("directory", fake.drip(chunk=200, delay=0.02), when="after")
    assert elapsed(lambda: client.fetch(url)) >= 0.04
    fakeca.script("directory", fake.status(503, retry_after=fake.http_date(30)))
    with pytest.raises(Refused):
        client.fetch(url)
    assert fakeca.requests[-1].reply.headers["Retry-After"].endswith("GMT")


def test_fakeca_headers_and_nonces(fakeca):
    client = MiniClient(fakeca)
    fakeca.make_nonce = lambda: fake.secrets.token_urlsafe(600)
    client.register()
    assert len(fakeca.requests_to("new-account")[0].protected["nonce"]) == 800
    fakeca.script("new-order", fake.no_nonce(), when="after")
    headers = client.post(client.directory["newOrder"], _identifiers("a.example"))[1]
    assert "Replay-Nonce" not in headers
    headers = client.post(client.directory["newOrder"], _identifiers("a.example"))[1]
    assert headers["Replay-Nonce"]
    change = fake.chain(
        fake.problem("userActionRequired", instance="https://x.invalid/"),
        fake.set_headers(Link='<https://x.invalid/t>;rel="terms-of-service"'),
    )
    fakeca.script("new-order", change)
    with pytest.raises(Refused) as refused:
        client.new_order(["a.example"])
    assert (refused.value.status, refused.value.problem["instance"]) == (403, "https://x.invalid/")
    assert "terms-of-service" in fakeca.requests[-1].reply.headers["Link"]


def _identifiers(*names):
    return {"identifiers": [{"type": "dns", "value": name} for name in names]}


def test_fakeca_processing_and_gates(make_fakeca):
    ca = make_fakeca(processing_polls=2, retry_after=3)
    client = MiniClient(ca).register()
    client.obtain(["a.example"])
    replies = [one.reply for one in ca.requests_to("finalize", "order")]
    stuck = [reply for reply in replies if reply.json()["status"] == "processing"]
    assert len(stuck) == 2
    assert stuck[0].headers["Retry-After"] == "3"
    ca.validation_gate.clear()
    order, _ = client.new_order(["b.example"])
    authz = client.post(order["authorizations"][0], "")[0]
    client.post(authz["challenges"][0]["url"], {})
    assert client.post(order["authorizations"][0], "")[0]["status"] == "pending"
    ca.validation_gate.set()
    client.poll(order["authorizations"][0], "valid")


def test_fakeca_failed_challenge_makes_the_order_invalid(fakeca):
    fakeca.challenge_result = lambda _ident, _kind: fake.challenge_error("dns", "no such name")
    client = MiniClient(fakeca).register()
    order, url = client.new_order(["a.example"])
    with pytest.raises(AssertionError, match="no such name"):
        client.prove(order, lambda *_: None)
    assert client.post(url, "")[0]["error"]["type"].endswith(":dns")


def test_fakeca_wrong_certificates(fakeca):
    client = MiniClient(fakeca).register()
    past = datetime.datetime(2001, 1, 1)

    def spoil(leaf):
        leaf.names, leaf.not_before, leaf.not_after = ["evil.example"], past, past.replace(year=2002)
        leaf.public_key, leaf.is_ca, leaf.usages = pki.new_key().public_key(), True, []

    fakeca.on_issue = spoil
    certs, key, _ = client.obtain(["a.example"])
    assert pki.names_of(certs[0]) == ["evil.example"]
    assert pki.public_der(certs[0]) != pki.public_der(key)
    assert certs[0].not_valid_after.year == 2002
    fakeca.make_chain = lambda leaf, _upper, _csr: [leaf]
    assert len(client.obtain(["a.example"])[0]) == 1


def test_fakeca_csr_has_to_fit_the_order(make_fakeca):
    ca = make_fakeca()
    ca.allow_violations = "badCSR"
    client = MiniClient(ca).register()
    order, url = client.new_order(["a.example"])
    client.prove(order, lambda *_: None)
    for key, names in ((pki.new_key(), ["b.example"]), (client.key, ["a.example"])):
        with pytest.raises(Refused) as refused:
            client.post(order["finalize"], {"csr": jose.b64(csr_der(key, names))})
        assert refused.value.kind == "badCSR"
    assert client.post(url, "")[0]["status"] == "ready"


def test_fakeca_renewal_info_and_replaces(fakeca):
    client = MiniClient(fakeca).register()
    certs, _, _ = client.obtain(["a.example"])
    wanted = fake.cert_id(certs[0])
    window = client.fetch(f"{client.directory['renewalInfo']}/{wanted}")[0]["suggestedWindow"]
    assert window["start"] < window["end"]
    client.new_order(["a.example"], replaces=wanted)
    with pytest.raises(Refused) as refused:
        client.new_order(["a.example"], replaces=wanted)
    assert (refused.value.status, refused.value.kind) == (409, "alreadyReplaced")


def test_fakeca_external_account_binding(make_fakeca):
    mac = b"m" * 32
    ca = make_fakeca(eab={"kid-1": jose.b64(mac)})
    client = MiniClient(ca)
    url = client.directory["newAccount"]
    with pytest.raises(Refused) as refused:
        client.register()
    assert refused.value.kind == "externalAccountRequired"
    head = jose.b64(b'{"alg":"HS256","kid":"kid-1","url":"%s"}' % url.encode())
    payload = jose.b64(jose.json.dumps(jose.jwk(client.key)).encode())
    digest = jose.hmac.new(mac, f"{head}.{payload}".encode(), "sha256").digest()
    binding = {"protected": head, "payload": payload, "signature": jose.b64(digest)}
    client.register(externalAccountBinding=binding)
    assert client.kid in ca.accounts


def test_fakeca_account_key_change(fakeca):
    client = MiniClient(fakeca).register()
    url, new = client.directory["keyChange"], pki.new_key()
    payload = {"account": client.kid, "oldKey": jose.jwk(client.key)}
    inner = jose.sign(new, {"jwk": jose.jwk(new), "url": url}, payload)
    client.post(url, inner)
    client.key = new
    client.new_order(["a.example"])


def test_fakeca_revocation_by_certificate_key(fakeca):
    client = MiniClient(fakeca).register()
    certs, key, _ = client.obtain(["a.example"])
    other = MiniClient(fakeca, key=key)
    other.revoke(certs[0])
    assert [item["revoked"] for item in fakeca.certs.values()] == [0]
    der = certs[0].public_bytes(serialization.Encoding.DER)
    assert fakeca.requests_to("revoke-cert")[0].payload["certificate"] == jose.b64(der)


def test_fakeca_stranger_may_not_revoke(fakeca):
    certs, _, _ = MiniClient(fakeca).register().obtain(["a.example"])
    with pytest.raises(Refused) as refused:
        MiniClient(fakeca).register().revoke(certs[0])
    assert refused.value.kind == "unauthorized"


def test_fakeca_keeps_connections_alive(fakeca):
    conn = fake.http.client.HTTPSConnection(
        "localhost", fakeca.port, context=ssl.create_default_context(cafile=fakeca.ca_file)
    )
    for _ in range(3):
        conn.request("GET", "/directory", headers={"User-Agent": "t"})
        assert conn.getresponse().read()
    conn.close()
    assert len({one.connection for one in fakeca.requests_to("directory")}) == 1


def test_fakeca_silence_ends_with_the_ca(fakeca):
    fakeca.script("directory", fake.silence())
    with pytest.raises(OSError):
        conn = fake.http.client.HTTPSConnection(
            "localhost", fakeca.port, timeout=0.3,
            context=ssl.create_default_context(cafile=fakeca.ca_file),
        )  # fmt: skip
        conn.request("GET", "/directory", headers={"User-Agent": "t"})
        conn.getresponse()
    assert elapsed(fakeca.stop) < 5


def test_fakeca_state_survives_an_outage(fakeca):
    client = MiniClient(fakeca).register()
    fakeca.stop()
    assert not proc.accepts(fakeca.port)
    fakeca.start()
    client.new_order(["a.example"])


def test_fakeca_wait_request_wakes_and_times_out(fakeca):
    client = MiniClient(fakeca)
    assert fakeca.wait_request("directory").time <= time.time()
    with pytest.raises(proc.Timeout, match="new-order"):
        fakeca.wait_request("new-order", timeout=0.1)
    assert client.directory["newNonce"].startswith(fakeca.base)
