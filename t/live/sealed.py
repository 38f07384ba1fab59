"""Opens and makes what mod_acme seals, as whoever has the sealing secret can."""

import json
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .jose import unb64

MAGIC, NONCE, TAG = b"ACS1", 12, 16


def secret_of(store):
    """The sealing secret."""
    return unb64(json.loads((store / "store.json").read_text())["secret"])


def unseal(secret, binding, sealed):
    """The octets sealed for binding, such as "account localhost"."""
    assert sealed.startswith(MAGIC)
    nonce, rest = sealed[len(MAGIC) :][:NONCE], sealed[len(MAGIC) + NONCE :]
    text = rest[TAG:] + rest[:TAG]
    return AESGCM(secret).decrypt(nonce, text, MAGIC + binding.encode())


def seal(secret, binding, data):
    nonce = os.urandom(NONCE)
    text = AESGCM(secret).encrypt(nonce, data, MAGIC + binding.encode())
    return MAGIC + nonce + text[-TAG:] + text[:-TAG]
