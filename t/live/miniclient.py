"""The smallest ACME client that can prove the test CAs right: nothing is retried, nothing kept."""

import json
import ssl
import time
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from . import jose, pki
from .proc import wait_until


class Refused(Exception):
    """The CA's problem document."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem

    @property
    def kind(self):
        return str(self.problem.get("type", "")).rpartition(":")[2]


class MiniClient:
    """Registers with new keys and orders certificates."""

    def __init__(self, ca, key=None):
        self._tls = ssl.create_default_context(cafile=str(ca.ca_file))
        self.key = key or pki.new_key()
        self.kid = None
        self.directory = self.fetch(ca.directory_url)[0]

    def fetch(self, url, data=None, method=None):
        """(object or bytes, headers) of a request."""
        headers = {"User-Agent": "mod_acme-tests", "Content-Type": "application/jose+json"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._tls) as reply:
                return _decoded(reply), reply.headers
        except urllib.error.HTTPError as err:
            raise Refused(err.code, _decoded(err)) from err

    def post(self, target, payload, **protected):
        """A signed POST; payload "" reads. protected adds to or replaces the header's fields."""
        nonce = self.fetch(self.directory["newNonce"], method="HEAD")[1]["Replay-Nonce"]
        signer = {"kid": self.kid} if self.kid else {"jwk": jose.jwk(self.key)}
        head = {"nonce": nonce, "url": target, **signer, **protected}
        return self.fetch(target, jose.sign(self.key, head, payload))

    def register(self, **members):
        payload = {"termsOfServiceAgreed": True, **members}
        self.kid = self.post(self.directory["newAccount"], payload)[1]["Location"]
        return self

    def new_order(self, names, **members):
        """(order, its URL)"""
        identifiers = [{"type": "dns", "value": name} for name in names]
        payload = {"identifiers": identifiers, **members}
        order, headers = self.post(self.directory["newOrder"], payload)
        return order, headers["Location"]

    def prove(self, order, publish, kind="http-01"):
        """publish(name, token, key authorization) before each challenge is answered."""
        for url in order["authorizations"]:
            authz = self.post(url, "")[0]
            if authz["status"] == "valid":
                continue
            challenge = next(one for one in authz["challenges"] if one["type"] == kind)
            token = challenge["token"]
            key_auth = f"{token}.{jose.thumbprint(jose.jwk(self.key))}"
            publish(authz["identifier"]["value"], token, key_auth)
            self.post(challenge["url"], {})
            self.poll(url, "valid")

    def poll(self, url, wanted):
        """Read url until its status is wanted; any final one else is a failure."""

        def arrived():
            obj = self.post(url, "")[0]
            assert obj["status"] in ("pending", "processing", "ready", wanted), obj
            return obj if obj["status"] == wanted else None

        return wait_until(arrived, 20, f"{wanted} at {url}")

    def obtain(self, names, publish=lambda *_: None, kind="http-01"):
        """(chain of certificates, their key, headers of the download)"""
        order, url = self.new_order(names)
        self.prove(order, publish, kind)
        self.poll(url, "ready")
        key = pki.new_key()
        self.post(order["finalize"], {"csr": jose.b64(csr_der(key, names))})
        pem, headers = self.post(self.poll(url, "valid")["certificate"], "")
        return pki.load_chain(pem), key, headers

    def revoke(self, cert):
        der = cert.public_bytes(serialization.Encoding.DER)
        self.post(self.directory["revokeCert"], {"certificate": jose.b64(der)})


def _decoded(reply):
    data = reply.read()
    if "json" not in (reply.headers.get("Content-Type") or ""):
        return data
    return json.loads(data)


def csr_der(key, names):
    """A certificate request for names, as DER."""
    san = x509.SubjectAlternativeName([pki.general_name(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_extension(san, False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def elapsed(call):
    """Seconds a call takes."""
    begin = time.monotonic()
    call()
    return time.monotonic() - begin
