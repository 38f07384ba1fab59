"""Fills a server's store with certificates, as if it had obtained them.

fill_ssl, fill_md and fill_acme write pairs (servers.Pairs) where plain
mod_ssl, mod_md and mod_acme look. A layout is known here and nowhere else
in the bench.
"""
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes

import servers  # noqa: F401  (makes t/live importable)
from live import pki
from live.fakeca import cert_id


def write(path, content, mode):
    path = pathlib.Path(path)
    path.write_bytes(content)
    path.chmod(mode)


def fill_ssl(folder, names, pairs):
    """<folder>/<name>.pem and .key, for SSLCertificateFile and -KeyFile."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        chain, key = pairs.get(name)
        write(folder / (name + ".pem"), chain, 0o644)
        write(folder / (name + ".key"), key, 0o600)


def fill_md(folder, names, pairs):
    """mod_md's store: domains/<name>/; it adds md.json by itself."""
    domains = pathlib.Path(folder) / "domains"
    domains.mkdir(parents=True, exist_ok=True)
    for name in names:
        place = domains / name
        place.mkdir(mode=0o700)
        chain, key = pairs.get(name)
        write(place / "pubcert.secp256r1.pem", chain, 0o600)
        write(place / "privkey.secp256r1.pem", key, 0o600)


def moment(value):
    """A certificate's date as the records have it."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def record(name, chain, key, directory):
    """record.json of a promoted set, as engine/record.c writes it."""
    leaf = pki.load_chain(chain)[0]
    return json.dumps({
        "name": name, "key_type": "ecdsa-p256", "number": 1,
        "ca": directory,
        "identifiers": [{"type": "dns", "value": name}],
        "not_before": moment(leaf.not_valid_before),
        "not_after": moment(leaf.not_valid_after),
        "issued": moment(leaf.not_valid_before),
        "serial": "%x" % leaf.serial_number,
        "issuer": pki.common_name(leaf.issuer),
        "fingerprint": leaf.fingerprint(hashes.SHA256()).hex(),
        "files_sha256": hashlib.sha256(chain + b"\0" + key).hexdigest(),
        "ari_id": cert_id(leaf)}, indent=1)


def fill_acme(folder, names, pairs, directory):
    """mod_acme's store, as promoted: certificates/<certificate>/.

    The module adds the rest, its secret too, when it starts.
    """
    folder = pathlib.Path(folder)
    certificates = folder / "certificates"
    certificates.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    certificates.chmod(0o755)
    for name in names:
        place = certificates / name / "ecdsa.1"
        place.mkdir(mode=0o755, parents=True)
        chain, key = pairs.get(name)
        write(place / "chain.pem", chain, 0o644)
        write(place / "key.pem", key, 0o600)
        write(place / "record.json", record(
            name, chain, key, directory).encode(), 0o644)
        place.with_name("ecdsa").symlink_to(place.name)
