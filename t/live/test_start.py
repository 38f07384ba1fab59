"""A real start, where httpd -t has said its word already: what becomes of each host."""

import pytest

from .proc import free_port
from .test_many import ALIAS, SHOP, scripted, serial  # noqa: F401


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
