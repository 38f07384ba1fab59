"""Every file in conf/ is a configuration that httpd takes, and that mod_acme understands."""

import re

import pytest

from .httpd import TOP

FILES = sorted(path for path in (TOP / "conf").rglob("*.conf"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_taken_by_configtest(httpd, path):
    text = path.read_text()
    own = httpd.self_signed(["intranet.example.org"])
    text = re.sub(r"(SSLCertificateFile)\s+\S+", rf"\1 {own[0]}", text)
    text = re.sub(r"(SSLCertificateKeyFile)\s+\S+", rf"\1 {own[1]}", text)
    httpd.load_acme().config(f"AcmeStore {httpd.folder}/store\n{text}")
    done = httpd.configtest()
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "ACME" in line]
    assert not said, said


def test_there_is_something_to_test():
    assert TOP / "conf/acme.conf" in FILES and len(FILES) >= 4
