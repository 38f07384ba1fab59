"""TLS handshakes as seen by a client: which certificate a server presents, to whom, over what."""

import re
import socket
import ssl
import subprocess
from dataclasses import dataclass

from cryptography import x509

from . import pki

TIMEOUT = 10
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass
class Served:
    """The outcome of a handshake. chain begins with leaf."""

    chain: list
    version: str
    alpn: str

    @property
    def leaf(self):
        return self.chain[0]

    @property
    def names(self):
        return pki.names_of(self.leaf)

    @property
    def issuer(self):
        return pki.common_name(self.leaf.issuer)

    @property
    def self_signed(self):
        return self.leaf.issuer == self.leaf.subject and len(self.chain) == 1

    @property
    def key_type(self):
        """As in AcmeKeyType."""
        public = self.leaf.public_key()
        if hasattr(public, "curve"):
            return {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384"}[public.curve.name]
        return f"rsa{public.key_size}"


def handshake(port, name, version=None, alpn=(), sigalgs=None, groups=None, host="127.0.0.1"):
    """Shake hands and return what was Served; the certificate is not verified.

    name     SNI, None for none
    version  "1.2" or "1.3" only; None lets both sides choose
    alpn     protocols to offer
    sigalgs  OpenSSL's list, such as "rsa_pss_rsae_sha256", which makes a server with two
    groups   certificates show its RSA one; likewise the list of curves. Both cost a process.
    """
    if sigalgs or groups:
        return _by_openssl(port, name, version, alpn, sigalgs, groups, host)
    return _by_python(port, name, version, alpn, host)


@dataclass
class Stapled:
    """What came with a handshake: the leaf's serial number; and of the OCSP response, if there was
    one, the serial number it is about and what it says of that ("good")."""

    leaf: int
    about: int = None
    status: str = None
    until: str = None

    @property
    def good(self):
        return self.about == self.leaf and self.status == "good"


def stapled(port, name, version=None, sigalgs=None, host="127.0.0.1"):
    """Shake hands as a client that asks for an OCSP response."""
    argv = ["openssl", "s_client", "-status", "-connect", f"{host}:{port}", "-servername", name]
    argv += [f"-tls{version.replace('.', '_')}"] if version else []
    argv += ["-sigalgs", sigalgs] if sigalgs else []
    run = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
    )
    out = run.stdout.decode(errors="replace")
    chain = pki.load_chain(run.stdout)
    if not chain:
        raise ssl.SSLError(f"no handshake: {run.stderr.decode(errors='replace')}")
    leaf = chain[-1].serial_number  # behind those that come with the response
    found = re.search(r"Serial Number: ([0-9A-F]+)\s+Cert Status: (\w+)", out)
    if not found:
        assert "OCSP response: no response sent" in out, out
        return Stapled(leaf)
    until = re.search(r"Next Update: (.*)", out)
    return Stapled(leaf, int(found[1], 16), found[2], until and until[1])


def unverified_context(version=None, alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _by_python(port, name, version, alpn, host):
    context = unverified_context(version, alpn)
    with socket.create_connection((host, port), timeout=TIMEOUT) as raw:
        with context.wrap_socket(raw, server_hostname=name) as conn:
            # Public from Python 3.13 on; Debian 12 has 3.11.
            chain = [item.public_bytes() for item in conn._sslobj.get_unverified_chain()]
            certs = [x509.load_pem_x509_certificate(_bytes(pem)) for pem in chain]
            return Served(certs, conn.version(), conn.selected_alpn_protocol())


def _bytes(pem):
    return pem.encode() if isinstance(pem, str) else pem


def _by_openssl(port, name, version, alpn, sigalgs, groups, host):
    argv = ["openssl", "s_client", "-showcerts", "-connect", f"{host}:{port}"]
    argv += ["-servername", name] if name else ["-noservername"]
    argv += [f"-tls{version.replace('.', '_')}"] if version else []
    argv += ["-alpn", ",".join(alpn)] if alpn else []
    argv += ["-sigalgs", sigalgs] if sigalgs else []
    argv += ["-groups", groups] if groups else []
    run = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
    )
    chain = pki.load_chain(run.stdout)
    if not chain:
        raise ssl.SSLError(f"no handshake: {run.stderr.decode(errors='replace')}")
    out = run.stdout.decode(errors="replace")
    found = re.search(r"^(?:New, |\s+Protocol\s*: )(TLSv1\.\d)", out, re.MULTILINE)
    selected = re.search(r"^ALPN protocol: (.*)$", out, re.MULTILINE)
    return Served(chain, found and found.group(1), selected and selected.group(1).strip())
