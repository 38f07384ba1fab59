"""Keys and certificates for tests, with ECDSA throughout because it is fast."""

import datetime
import ipaddress
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def now():
    """The present in UTC without a zone, as the cryptography package of Debian 12 wants it."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


def new_key(kind="ecdsa-p256"):
    """A private key; kind as in the directive AcmeKeyType."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    curve = {"ecdsa-p256": ec.SECP256R1, "ecdsa-p384": ec.SECP384R1}[kind]
    return ec.generate_private_key(curve())


def key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def cert_pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def public_der(key):
    """The SubjectPublicKeyInfo of a private key, a public key, a certificate or a CSR."""
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def names_of(cert):
    """The names in a certificate or CSR, sorted, addresses as text."""
    try:
        san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return sorted(str(general.value) for general in san)


def common_name(name):
    """The common name in an X.509 name, or None."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return found[0].value if found else None


def load_chain(pem):
    """The certificates of a PEM file's bytes, in their order."""
    end = b"-----END CERTIFICATE-----"
    blocks = pem.split(end)[:-1]
    return [x509.load_pem_x509_certificate(block + end + b"\n") for block in blocks]


def general_name(text):
    """A name or an address as it goes into a subjectAltName."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def subject(cn):
    """An X.509 name of one common name, or empty. 64 characters are all a common name holds."""
    if not cn or len(cn) > 64:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


@dataclass
class Leaf:
    """What to certify; a test changes a field to get a certificate that is wrong in it."""

    names: list
    public_key: object
    not_before: datetime.datetime
    not_after: datetime.datetime
    is_ca: bool = False
    usages: list = field(default_factory=lambda: [ExtendedKeyUsageOID.SERVER_AUTH])
    serial: int = field(default_factory=x509.random_serial_number)
    ocsp: list = field(default_factory=list)  # URLs of responders
    must_staple: bool = False


class Authority:
    """A certificate authority: a key and its certificate."""

    def __init__(self, key, cert):
        self.key = key
        self.cert = cert

    @classmethod
    def root(cls, cn, key=None, days=3650):
        key = key or new_key()
        return cls(key, _certify_ca(cn, key, subject(cn), key, days))

    def intermediate(self, cn, key=None, days=1825):
        """A subordinate authority; give the key of another one to cross-sign that."""
        key = key or new_key()
        return Authority(key, _certify_ca(cn, key, self.cert.subject, self.key, days))

    def issue(self, leaf, sign_with=None):
        """Certify a Leaf. sign_with: another key, for a signature that does not verify."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject(leaf.names[0] if leaf.names else None))
            .issuer_name(self.cert.subject)
            .public_key(leaf.public_key)
            .serial_number(leaf.serial)
            .not_valid_before(leaf.not_before)
            .not_valid_after(leaf.not_after)
            .add_extension(x509.BasicConstraints(ca=leaf.is_ca, path_length=None), True)
            .add_extension(_authority_id(self.key), False)
        )
        if leaf.names:
            names = [general_name(name) for name in leaf.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        if leaf.usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.usages), False)
        if leaf.ocsp:
            builder = builder.add_extension(_responders(leaf.ocsp), False)
        if leaf.must_staple:
            feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
            builder = builder.add_extension(feature, False)
        return builder.sign(sign_with or self.key, hashes.SHA256())

    def issue_server(self, names, key=None, days=90):
        """A server's certificate as anybody would have it: (key, certificate)."""
        key = key or new_key()
        begin = now() - datetime.timedelta(hours=1)
        end = begin + datetime.timedelta(days=days)
        return key, self.issue(Leaf(list(names), key.public_key(), begin, end))


def _responders(urls):
    method = x509.oid.AuthorityInformationAccessOID.OCSP
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for url in urls]
    )


def _authority_id(key):
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _certify_ca(cn, key, issuer, issuer_key, days):
    begin = now() - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject(cn))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(_ca_usage(), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(_authority_id(issuer_key), False)
        .sign(issuer_key, hashes.SHA256())
    )


def _ca_usage():
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def write_server_identity(folder, names=("localhost", "127.0.0.1", "::1")):
    """A TLS server's files below folder, from an authority of its own.

    Returns (certificate file, key file, trust file).
    """
    root = Authority.root("Test transport root")
    key, cert = root.issue_server(names)
    files = [folder / "tls-cert.pem", folder / "tls-key.pem", folder / "tls-trust.pem"]
    for path, pem in zip(files, (cert_pem(cert), key_pem(key), cert_pem(root.cert))):
        path.write_bytes(pem)
    return tuple(files)
