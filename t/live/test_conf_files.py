"""Every file in conf/ is a configuration that httpd takes, and that mod_acme understands."""

import re

import pytest

from .httpd import TOP

FILES = sorted(path for path in (TOP / "conf").rglob("*.conf"))


def binding(httpd):
    path = httpd.folder / "eab.txt"
    path.write_text("kid c2VjcmV0\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_taken_by_configtest(httpd, path):
    text = path.read_text()
    own = httpd.self_signed(["intranet.example.org"])
    text = re.sub(r"(SSLCertificateFile)\s+\S+", rf"\1 {own[0]}", text)
    text = re.sub(r"(SSLCertificateKeyFile)\s+\S+", rf"\1 {own[1]}", text)
    text = re.sub(r"(AcmeExternalAccount.*) /\S+", rf"\1 {binding(httpd)}", text)
    text = re.sub(r"(AcmeAccountKey.*) /\S+", rf"\1 {own[1]}", text)
    own[1].chmod(0o600)
    text = re.sub(r"/usr/local/libexec/mod_acme/", f"{TOP}/conf/hooks/", text)
    # Names for examples are nobody's, and ports 80 and 443 are not ours: mod_acme would
    # warn of it all.
    text = text.replace("192.0.2.1", "1.1.1.1").replace("2001:db8::1", "2606:4700::1111")
    text = re.sub(r"\bexample\.(org|net|com)\b", r"acme-module-\1.org", text)
    text = re.sub(r"(<VirtualHost \*):8?443>", rf"\1:{httpd.https_port}>", text)
    ports = f"AcmePortMap 80:{httpd.http_port} 443:{httpd.https_port}"
    text, mapped = re.subn(r"^AcmePortMap .*", ports, text, flags=re.MULTILINE)
    text = text if mapped else f"{ports}\n{text}"
    store = f"AcmeStore {httpd.folder}/store"
    text, placed = re.subn(r"^AcmeStore .*", store, text, flags=re.MULTILINE)
    httpd.load_acme().config(text if placed else f"{store}\n{text}")
    done = httpd.configtest()
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "ACME" in line]
    assert not said, said


def test_there_is_something_to_test():
    assert TOP / "conf/acme.conf" in FILES and len(FILES) >= 4
