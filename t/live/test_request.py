"""What a certificate is asked for with: chain, subject, extensions, many long names."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from . import faults, pki
from .test_issue import SHOP, acmectl, issue_one, serial


def test_request_preferred_chain_of_pebble_is_served(httpd, make_pebble):
    ca = make_pebble(
        http_port=httpd.http_port, tls_port=httpd.https_port, alternate_roots=2, chain_length=2
    )
    roots = [pki.load_chain(ca.root_pem(n))[0] for n in range(3)]
    names = [pki.common_name(root.subject) for root in roots]
    assert len(set(names)) == 3
    httpd.acme(ca, f'AcmePreferredChain "{names[2]}"')
    served = issue_one(httpd)
    assert pki.common_name(served.chain[-1].issuer) == names[2]
    reply = httpd.get("/", host=SHOP, https=True, ca=ca.root_file(2))
    assert reply.status == 200
    httpd.graceful()
    served = httpd.served_cert(SHOP)
    assert pki.common_name(served.chain[-1].issuer) == names[2]
    assert "ACME1413" not in httpd.log()


@pytest.mark.parametrize("relative", [False, True])
def test_request_preferred_chain_after_a_failing_alternate(httpd, make_fakeca, relative):
    ca = make_fakeca(alternates=2, relative_links=relative)
    first = lambda exchange: exchange.path.endswith("/alternate/1")  # noqa: E731
    ca.script("certificate", faults.html(404), times=None, matches=first)
    httpd.acme(ca, 'AcmePreferredChain "Fake Root Two"')
    served = issue_one(httpd)
    assert pki.common_name(served.chain[-1].issuer) == "Fake Root Two"
    paths = [one.path.partition("/alternate/")[2] for one in ca.requests_to("certificate")]
    assert paths == ["", "1", "2"]


def test_request_preferred_chain_holds_for_its_ca_alone(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, f'AcmePreferredChain {ca.directory_url} "Fake Root Two"')
    served = issue_one(httpd, extra='AcmePreferredChain letsencrypt "No Such Root"')
    assert pki.common_name(served.chain[-1].issuer) == "Fake Root Two"
    assert "ACME1413" not in httpd.log()


def test_request_chain_nobody_offers_is_told_and_the_default_served(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, 'AcmePreferredChain "No Such Root"')
    served = issue_one(httpd)
    assert pki.common_name(served.chain[-1].issuer) == "Fake Root One"
    said = httpd.wait_log("ACME1413: .*").group(0)
    for word in ("No Such Root", "Fake Root One", "Fake Root Two", SHOP):
        assert word in said


def csr_of(ca):
    return list(ca.certs.values())[-1]["csr"]


def test_request_subject_and_must_staple_are_in_the_csr(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, 'AcmeSubject C=DE ST=Bayern "O=B\u00e4r, GmbH" OU=a OU=b emailAddress=a@b.example')
    issue_one(httpd, extra="AcmeMustStaple on")
    csr = csr_of(ca)
    oids = [NameOID.COUNTRY_NAME, NameOID.STATE_OR_PROVINCE_NAME, NameOID.ORGANIZATION_NAME]
    oids += [NameOID.ORGANIZATIONAL_UNIT_NAME] * 2 + [NameOID.EMAIL_ADDRESS]
    values = ["DE", "Bayern", "B\u00e4r, GmbH", "a", "b", "a@b.example"]
    assert [(one.oid, one.value) for one in csr.subject] == list(zip(oids, values))
    feature = csr.extensions.get_extension_for_class(x509.TLSFeature).value
    assert list(feature) == [x509.TLSFeatureType.status_request]


def test_request_plain_csr_has_neither(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, "AcmeSubject O=x\nAcmeMustStaple on")
    issue_one(httpd, extra="AcmeSubject none\nAcmeMustStaple off")
    assert not list(csr_of(ca).subject)
    assert len(csr_of(ca).extensions) == 1


@pytest.mark.parametrize("kind", ["badCSR", "unauthorized"])
def test_request_must_staple_refused_is_told_and_the_old_one_serves(httpd, make_fakeca, kind):
    ca = make_fakeca()
    httpd.acme(ca)
    before = serial(issue_one(httpd))
    httpd.config("AcmeMustStaple on")
    httpd.graceful()
    ca.script("finalize", faults.problem(kind, "must-staple is gone"), times=None)
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 1
    said = httpd.wait_log("ACME1390: .*").group(0)
    assert "must-staple is gone" in said and "next attempt at" in said
    assert serial(httpd.served_cert(SHOP)) == before


# 250 octets each, with the top-level domain that no filter of private names minds
LONG = [
    ".".join([f"n{n:02}", "a" * 60, "b" * 60, "c" * 60, "d" * 51, "example.org"])
    for n in range(100)
]


@pytest.mark.parametrize("names", [[f"h{n}.example.org" for n in range(100)], LONG], ids=["short", "long"])
def test_request_hundred_names_in_one_certificate(httpd, make_pebble, names):
    assert names is not LONG or {len(name) for name in names} == {250}
    ca = make_pebble(http_port=httpd.http_port, tls_port=httpd.https_port)
    httpd.acme(ca)
    served = issue_one(httpd, names[0], names[1:])
    assert sorted(served.names) == sorted(names)
    # a name in the middle, and the last one, are served by it and renewed with it
    for name in (names[50], names[99]):
        assert serial(httpd.served_cert(name)) == serial(served)
        reply = httpd.get("/", host=name, https=True, ca=ca.root_file())
        assert reply.text == f"hello from {names[0]}\n"
    httpd.graceful()
    assert serial(httpd.served_cert(names[99])) == serial(served)
    done = acmectl(httpd, "renew", names[99])
    assert done.returncode == 0, done.stdout + done.stderr
    assert serial(httpd.served_cert(names[0])) != serial(served)
    key = f"Acme[{names[0]}/ecdsa]"
    assert httpd.server_status()[f"{key}State"] == "valid"
    # nothing of it was cut off in a log line or came out as garbage
    assert max(map(len, httpd.log().splitlines())) < 4000
