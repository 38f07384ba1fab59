"""JSON Web Signatures as ACME uses them (RFC 8555 section 6.2), for both ends of a test."""

import base64
import hashlib
import hmac
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

CURVES = {
    "ES256": ("P-256", ec.SECP256R1, hashes.SHA256, 32),
    "ES384": ("P-384", ec.SECP384R1, hashes.SHA384, 48),
}


class BadJws(ValueError):
    """Not a JWS, or its signature does not verify."""


class BadAlgorithm(BadJws):
    """An algorithm that ACME does not allow or that does not fit the key."""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    """Strict: ACME has no padding, and a decoder that skips what it does not know hides faults."""
    if not isinstance(text, str) or set(text) - _ALPHABET or len(text) % 4 == 1:
        raise BadJws(f"not base64url without padding: {text!r:.80}")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_ALPHABET = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def _int(text):
    return int.from_bytes(unb64(text), "big")


def _bytes(number, size=None):
    return number.to_bytes(size or (number.bit_length() + 7) // 8, "big")


def jwk(key):
    """The public JWK of a private or public key."""
    public = key.public_key() if hasattr(key, "public_key") else key
    numbers = public.public_numbers()
    if isinstance(public, rsa.RSAPublicKey):
        return {"kty": "RSA", "n": b64(_bytes(numbers.n)), "e": b64(_bytes(numbers.e))}
    name, size = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48)}[public.curve.name]
    x, y = b64(_bytes(numbers.x, size)), b64(_bytes(numbers.y, size))
    return {"kty": "EC", "crv": name, "x": x, "y": y}


def thumbprint(public_jwk):
    """RFC 7638."""
    wanted = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}[public_jwk["kty"]]
    text = json.dumps({key: public_jwk[key] for key in wanted}, separators=(",", ":"))
    return b64(hashlib.sha256(text.encode()).digest())


def public_key(alg, public_jwk):
    """The key of a JWK, which must fit alg and be encoded as its standard says."""
    try:
        if alg == "RS256" and public_jwk["kty"] == "RSA":
            n = unb64(public_jwk["n"])
            if n[:1] == b"\0":
                raise BadJws("RSA modulus with a leading zero")
            return rsa.RSAPublicNumbers(_int(public_jwk["e"]), _int(public_jwk["n"])).public_key()
        if alg in CURVES and public_jwk["kty"] == "EC":
            name, curve, _, size = CURVES[alg]
            if public_jwk["crv"] != name:
                raise BadAlgorithm(f"{alg} does not fit curve {public_jwk['crv']}")
            if any(len(unb64(public_jwk[axis])) != size for axis in "xy"):
                raise BadJws("EC coordinate of the wrong width")
            numbers = ec.EllipticCurvePublicNumbers(
                _int(public_jwk["x"]), _int(public_jwk["y"]), curve()
            )
            return numbers.public_key()
    except (KeyError, TypeError) as err:
        raise BadJws(f"malformed JWK: {err!r}") from err
    raise BadAlgorithm(f"algorithm {alg!r} with this key is not taken")


def sign(key, protected, payload):
    """A flattened JWS as bytes. payload: bytes; str; or an object, written as JSON.

    protected gets its alg from the key.
    """
    if isinstance(payload, (dict, list)):
        payload = json.dumps(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    alg = "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        alg = {"secp256r1": "ES256", "secp384r1": "ES384"}[key.curve.name]
    head = b64(json.dumps({"alg": alg, **protected}).encode())
    body = b64(payload)
    signature = _signature(alg, key, f"{head}.{body}".encode())
    return json.dumps({"protected": head, "payload": body, "signature": b64(signature)}).encode()


def _signature(alg, key, data):
    if alg == "RS256":
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    _, _, digest, size = CURVES[alg]
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest())))
    return _bytes(r, size) + _bytes(s, size)


def parse(raw):
    """(protected object, payload bytes, jws object) of a flattened JWS; nothing is verified."""
    try:
        jws = raw if isinstance(raw, dict) else json.loads(raw)
    except ValueError as err:
        raise BadJws("body is no JSON") from err
    if not isinstance(jws, dict):
        raise BadJws("body is no JSON object")
    if set(jws) != {"protected", "payload", "signature"}:
        raise BadJws(f"not a flattened JWS with protected header only: {sorted(jws)}")
    try:
        protected = json.loads(unb64(jws["protected"]))
    except ValueError as err:
        raise BadJws("protected header is no JSON") from err
    if not isinstance(protected, dict):
        raise BadJws("protected header is no object")
    return protected, unb64(jws["payload"]), jws


def verify(jws, alg, public_jwk):
    """Raise BadJws unless the signature is good."""
    data = f"{jws['protected']}.{jws['payload']}".encode()
    signature = unb64(jws["signature"])
    key = public_key(alg, public_jwk)
    try:
        if alg == "RS256":
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            return
        _, _, digest, size = CURVES[alg]
        if len(signature) != 2 * size:
            raise BadJws(f"{alg} signature of {len(signature)} octets")
        r, s = (int.from_bytes(part, "big") for part in (signature[:size], signature[size:]))
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest()))
    except InvalidSignature as err:
        raise BadJws("signature does not verify") from err


def verify_hmac(jws, mac_key):
    """Raise BadJws unless an external account binding was made with mac_key."""
    data = f"{jws['protected']}.{jws['payload']}".encode()
    wanted = hmac.new(mac_key, data, hashlib.sha256).digest()
    if not hmac.compare_digest(wanted, unb64(jws["signature"])):
        raise BadJws("external account binding does not verify")
