"""Every file in conf/ is a configuration that httpd takes and that mod_acme understands; so is every
block marked as such in the documents."""

import re

import pytest

from .httpd import TOP

FILES = sorted(path for path in (TOP / "conf").rglob("*.conf"))
PAGES = sorted([TOP / "README.md", *(TOP / "mod_acme/doc").glob("*.md"), *(TOP / "conf").rglob("*.md")])
BLOCK = re.compile(r"^( *)```apache\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks():
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield pytest.param(found[2], id=f"{page.stem}-{line}")


BLOCKS = list(blocks())


def secret(httpd, name, text):
    path = httpd.folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def adapted(httpd, text):
    """Names, ports and files of the example replaced by such as are here."""
    own = httpd.self_signed(["intranet.example.org"])
    own[1].chmod(0o600)
    binding = secret(httpd, "eab.txt", "kid c2VjcmV0\n")
    text = re.sub(r"(SSLCertificateFile)\s+\S+", rf"\1 {own[0]}", text)
    text = re.sub(r"(SSLCertificateKeyFile)\s+\S+", rf"\1 {own[1]}", text)
    text = re.sub(r"(AcmeExternalAccount.*) /\S+", rf"\1 {binding}", text)
    text = re.sub(r"(AcmeAccountKey.*) /\S+", rf"\1 {own[1]}", text)
    text = re.sub(r"/usr/local/libexec/mod_acme/", f"{TOP}/conf/hooks/", text)
    text = re.sub(r"/usr/local/sbin/[\w-]+", f"{TOP}/conf/hooks/mail", text)
    # Names for examples are nobody's, and ports 80 and 443 are not ours: mod_acme would
    # warn of it all.
    text = text.replace("192.0.2.1", "1.1.1.1").replace("2001:db8::1", "2606:4700::1111")
    text = re.sub(r"\bexample\.(org|net|com)\b", r"acme-module-\1.org", text)
    text = re.sub(r"(<VirtualHost \*):8?443>", rf"\1:{httpd.https_port}>", text)
    return re.sub(r"(<VirtualHost \*):80>", rf"\1:{httpd.http_port}>", text)


def instead(text, directive, value):
    """The directive with this value, whether the example has it or not."""
    text, count = re.subn(rf"^{directive} .*", f"{directive} {value}", text, flags=re.MULTILINE)
    return text if count else f"{directive} {value}\n{text}"


def check(httpd, text):
    text = adapted(httpd, text)
    text = instead(text, "AcmePortMap", f"80:{httpd.http_port} 443:{httpd.https_port}")
    text = instead(text, "AcmeStore", f"{httpd.folder}/store")
    httpd.load_acme().config(text)
    done = httpd.configtest()
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "ACME" in line]
    assert not said, said


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_taken_by_configtest(httpd, path):
    check(httpd, path.read_text())


@pytest.mark.parametrize("text", BLOCKS)
def test_example_in_a_document_is_taken_by_configtest(httpd, text):
    """A page has said once that the terms must be agreed to; not each of its examples does."""
    check(httpd, f"AcmeAgreeTerms on\n{text}")


def test_there_is_something_to_test():
    assert TOP / "conf/acme.conf" in FILES and len(FILES) >= 4
    assert {"README", "howto", "status"} <= {block.id.rpartition("-")[0] for block in BLOCKS}
