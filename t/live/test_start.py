"""A real start, where httpd -t has said its word already: what becomes of each host."""

import contextlib
import re
import socket
import threading

import pytest

from . import pki
from .proc import free_port, wait_until
from .test_issue import acmectl
from .test_many import ALIAS, BLOG, SHOP, orders_for, scripted, serial  # noqa: F401


def conf_command(httpd, form):
    """SSLOpenSSLConfCmd with a certificate of the administrator's, written in one of many ways."""
    cert, key = httpd.self_signed([SHOP])
    lines = f"SSLOpenSSLConfCmd Certificate {cert}\nSSLOpenSSLConfCmd PrivateKey {key}"
    if form == "quoted":
        return f'SSLOpenSSLConfCmd "certificate" "{cert}"\nSSLOpenSSLConfCmd "privatekey" "{key}"'
    if form == "included":
        path = httpd.folder / "more.conf"
        path.write_text(lines)
        return f"Include {path}"
    if form == "macro":
        httpd.modules.append("macro")
        httpd.config(f"<Macro own>\n{lines}\n</Macro>")
        return "Use own"
    return f"<IfModule ssl_module>\n{lines}\n</IfModule>" if form == "within" else lines


@pytest.mark.parametrize("form", ["plain", "quoted", "within", "included", "macro", "server"])
def test_host_with_a_certificate_by_conf_command_is_left_alone(scripted, form):  # noqa: F811
    httpd, ca = scripted
    own = conf_command(httpd, form)
    if form == "server":
        httpd.config(own)
        httpd.vhost(SHOP, https_extra="AcmeManage on")
    else:
        httpd.vhost(SHOP, https_extra=f"AcmeManage on\n{own}")
    assert "ACME1034" in httpd.configtest().stderr
    httpd.start()
    for _ in range(2):
        assert httpd.served_cert(SHOP).issuer == "Administrator's own root"
        assert httpd.get("/", host=SHOP, https=True).status == 200
        httpd.wait_log(r"ACME1034: AcmeManage at .*SSLOpenSSLConfCmd")
        httpd.graceful()
    assert not ca.requests
    assert not (httpd.store / "placeholder" / SHOP).exists()


def test_alias_removed_before_the_first_certificate_was_adopted(scripted):  # noqa: F811
    httpd, ca = scripted
    httpd.vhost(SHOP, [ALIAS], https_extra="AcmeManage on")
    httpd.start()
    issued = serial(httpd.wait_cert(SHOP))
    httpd.clear_config().acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.restart()
    assert serial(httpd.served_cert(SHOP)) == issued
    assert "ACME1109" not in httpd.log()
    assert (httpd.store / "certificates" / SHOP / "ecdsa").exists()
    assert len(ca.certs) == 1


def test_alias_that_comes_and_goes_leaves_its_certificate_in_service(httpd, make_fakeca):
    """It was issued and live, and root has never seen it before the alias is gone again."""
    ca = make_fakeca()
    httpd.acme(ca)
    for aliases in ([], [ALIAS]):
        httpd.remove_vhost(SHOP)
        httpd.vhost(SHOP, aliases, https_extra="AcmeManage on")
        httpd.graceful() if httpd.running() else httpd.start()
        issued = serial(httpd.wait_cert(SHOP, lambda s, n=len(aliases): len(s.names) == n + 1 and not s.self_signed))
    httpd.remove_vhost(SHOP)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    for _ in range(2):
        httpd.graceful()
        assert serial(httpd.served_cert(SHOP)) == issued
    assert "ACME1109" not in httpd.log()
    chain = (httpd.store / "certificates" / SHOP / "ecdsa/chain.pem").read_bytes()
    assert pki.load_chain(chain)[0].serial_number == issued and len(ca.certs) == 2


def test_hosts_of_one_name_with_too_many_names_share_a_certificate_of_a_hundred(scripted):  # noqa: F811
    httpd, ca = scripted
    names = [[f"{letter}{n}.example.org" for n in range(60)] for letter in "ab"]
    httpd.vhost(SHOP, names[0], https_extra="AcmeManage on")
    httpd.vhost(SHOP, names[1], http=False, https=free_port(), https_extra="AcmeManage on")
    ca.validation_gate.clear()
    httpd.start()
    placeholder = httpd.served_cert(SHOP)
    assert placeholder.self_signed and len(placeholder.names) == 100
    assert SHOP in placeholder.names
    ca.validation_gate.set()
    issued = httpd.wait_cert(SHOP)
    assert issued.names == sorted([SHOP, *names[0], *names[1][:39]])
    assert httpd.get("/", host=SHOP, https=True).status == 200
    httpd.wait_log("ACME1022: .* and 16 more is left out")
    httpd.graceful()
    assert serial(httpd.served_cert(SHOP)) == serial(issued)
    assert "ACME14" not in httpd.log()


# --- AcmeRenewMode --------------------------------------------------------------


def wait_engine(httpd, since=0):
    """The engine has looked at every certificate and told what comes next."""
    httpd.wait_log("ACME1501:", since=since)
    wait_until(lambda: "AcmeCertificates" in httpd.server_status(), 10, "the status section")


def state(httpd, name):
    return httpd.server_status().get(f"Acme[{name}/ecdsa]State")


def test_renew_mode_manual_orders_on_request_alone(scripted):  # noqa: F811
    httpd, ca = scripted
    httpd.config("AcmeRenewMode manual")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.vhost(BLOG, https_extra="AcmeManage on\nAcmeRenewMode auto")
    httpd.start()
    httpd.wait_cert(BLOG)
    wait_until(lambda: state(httpd, SHOP) == "manual", 10, "manual")
    assert not orders_for(ca, SHOP) and httpd.served_cert(SHOP).self_signed
    done = acmectl(httpd, "renew", SHOP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert httpd.wait_cert(SHOP).names == [SHOP]
    mark = httpd.mark()
    httpd.graceful()
    wait_engine(httpd, mark)
    assert state(httpd, SHOP) == "manual"
    assert len(orders_for(ca, SHOP)) == len(orders_for(ca, BLOG)) == 1


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_renew_mode_of_a_certificate_without_a_host(scripted, mode):  # noqa: F811
    httpd, ca = scripted
    mail = "mail.example.org"
    httpd.config(f"<AcmeCertificate {mail}>\nAcmeRenewMode {mode}\n</AcmeCertificate>")
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    if mode == "auto":
        assert "ACME1030: the certificate mail.example.org" in httpd.log()
        assert not orders_for(ca, mail)
        return
    wait_until(lambda: state(httpd, mail) == "valid", 30, "a certificate for the mail server")
    assert "ACME1030" not in httpd.log()
    httpd.graceful()
    chain = httpd.store / "certificates" / mail / "ecdsa/chain.pem"
    assert pki.names_of(pki.load_chain(chain.read_bytes())[0]) == [mail]
    assert len(orders_for(ca, mail)) == 1


# --- CAs that cannot be used ------------------------------------------------------


@contextlib.contextmanager
def speaking(words):
    """A port that says this to whoever comes, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                conn, _ = listener.accept()
                with conn, contextlib.suppress(OSError):
                    conn.sendall(words)
                    conn.shutdown(socket.SHUT_WR)
                    conn.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    "words",
    [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""],
    ids=["http", "ssh", "silence"],
)
def test_ca_port_that_speaks_no_tls(scripted, words):  # noqa: F811
    httpd, ca = scripted
    with speaking(words) as port:
        httpd.vhost(SHOP, https_extra=f"AcmeManage on\nAcmeCA https://localhost:{port}/directory")
        httpd.vhost(BLOG, https_extra="AcmeManage on")
        httpd.start()
        said = httpd.wait_log(rf"ACME120[02]: .*localhost:{port}.*", 30).group()
        assert "next attempt at" in said
        httpd.wait_cert(BLOG)
        assert httpd.get("/", host=SHOP, https=True).status == 503
        wait_until(lambda: state(httpd, SHOP) == "error", 10, "the error in the status")
    assert not orders_for(ca, SHOP)


def test_terms_not_agreed_to_no_account_is_made_and_the_log_says_where_they_are(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca, agree=False)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_log(rf"ACME1350: .*{ca.base}/terms/v1")
    assert re.search(rf"ACME1026: .*{SHOP}", httpd.log())
    assert not ca.accounts and not ca.requests_to("new-account", "new-order")
    assert httpd.served_cert(SHOP).self_signed


def test_terms_that_a_ca_does_not_have_need_no_consent(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port, terms=False)
    httpd.acme(ca, agree=False)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    httpd.wait_cert(SHOP)
    account = ca.requests_to("new-account")[0]
    assert "termsOfServiceAgreed" not in account.payload


# --- growth -----------------------------------------------------------------------


def test_ten_hosts_more_with_each_of_several_reloads(scripted):  # noqa: F811
    httpd, ca = scripted
    httpd.config("AcmeManage on")
    serials = {}
    for turn in range(6):
        names = [f"h{turn}-{n}.example.org" for n in range(10)]
        for name in names:
            httpd.vhost(name)
        if turn:
            httpd.graceful()
        else:
            httpd.start()
        serials.update({name: serial(httpd.wait_cert(name)) for name in names})
    assert {name: serial(httpd.served_cert(name)) for name in serials} == serials
    assert len(ca.accounts) == 1
    assert len(ca.requests_to("new-order")) == len(ca.certs) == 60


def test_hosts_that_are_gone_are_told_by_name_once(httpd, make_fakeca):
    httpd.acme(make_fakeca())
    names = [f"h{i}.example.org" for i in range(23)]
    for name in names:
        httpd.vhost(name, https_extra="AcmeManage on", http=False)
    httpd.start()
    assert "ACME1038" not in httpd.log()
    for name in names[1:]:
        httpd.remove_vhost(name)
    httpd.graceful()
    said = re.findall(r"ACME1038: (\S+), which was configured at", httpd.log())
    assert said == sorted(names[1:])[:20]
    assert len(re.findall("ACME1039: 2 more hosts are not managed any more", httpd.log())) == 1
    httpd.graceful()
    assert httpd.log().count("ACME1038") == 20 and httpd.log().count("ACME1039") == 1


def test_names_that_are_gone_are_told_once(httpd, make_fakeca):
    httpd.acme(make_fakeca())
    aliases = [f"a{i}.example.org" for i in range(3)]
    httpd.vhost("h.example.org", https_extra="AcmeManage on", aliases=aliases)
    httpd.start()
    httpd.remove_vhost("h.example.org")
    httpd.vhost("h.example.org", https_extra="AcmeManage on", aliases=aliases[:1])
    # one of them has a host of its own now
    httpd.vhost(aliases[1], https_extra="AcmeManage on")
    httpd.graceful()
    (where, names) = re.search(r"ACME1040: h.example.org \((\S+)\) is configured without (.*?):", httpd.log()).groups()
    assert names == aliases[2] and re.search(r"\.conf:\d+$", where)
    httpd.graceful()
    assert httpd.log().count("ACME1040") == 1 and "ACME1038" not in httpd.log()
