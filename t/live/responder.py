"""OCSP responders for the certificates of a FakeCA.

OpensslResponder is `openssl ocsp`; ScriptedResponder can be as wrong as a test wants it to be.
"""

import datetime
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import pki
from .proc import Process, free_port, wait_until


class OpensslResponder:
    """`openssl ocsp`, answering from an index file as `openssl ca` keeps one."""

    def __init__(self, folder, port=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://localhost:{self.port}"
        self.log = self.folder / "openssl-ocsp.log"
        self._ca, self._process = None, None

    def serve(self, ca, delegated=False):
        """Answer for what ca issues, signed by its intermediate or by a delegate."""
        self._ca = ca
        signer = ca.intermediate
        if delegated:
            key = pki.new_key()
            begin = pki.now() - datetime.timedelta(hours=1)
            leaf = pki.Leaf(
                ["responder.invalid"], key.public_key(), begin,
                begin + datetime.timedelta(days=2), usages=[ExtendedKeyUsageOID.OCSP_SIGNING],
            )  # fmt: skip
            signer = pki.Authority(key, ca.intermediate.issue(leaf))
        files = {"ca.pem": pki.cert_pem(ca.intermediate.cert)}
        files["signer.pem"] = pki.cert_pem(signer.cert)
        files["signer.key"] = pki.key_pem(signer.key)
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
        self.start()
        return self

    def start(self):
        """Also again, after stop(). It knows the certificates issued so far."""
        lines = []
        for item in self._ca.certs.values():
            cert = item["cert"]
            end = cert.not_valid_after.strftime("%y%m%d%H%M%SZ")
            serial = f"{cert.serial_number:040X}"
            lines.append(f"V\t{end}\t\t{serial}\tunknown\t/CN={serial}\n")
        (self.folder / "index.txt").write_text("".join(lines))
        argv = [
            "openssl", "ocsp", "-index", "index.txt", "-port", self.port, "-CA", "ca.pem",
            "-rsigner", "signer.pem", "-rkey", "signer.key", "-ndays", "4",
        ]  # fmt: skip
        self.log.unlink(missing_ok=True)
        self._process = Process("openssl ocsp", argv, self.log, cwd=self.folder)
        # A connection that asks nothing, to see whether it is there, would stop it for good.
        wait_until(lambda: "waiting for OCSP" in self.log.read_text(), 10, "openssl ocsp answers")
        return self

    def learn(self):
        """Take in what was issued meanwhile."""
        self.stop()
        self.start()

    def stop(self):
        if self._process:
            self._process.stop()
            self._process = None


class ScriptedResponder:
    """A responder in this process.

    answer(request, responder) -> bytes, or (status, headers, bytes), or None for never. The default
    is what a CA would say. `requests` are those that came so far.
    """

    def __init__(self, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/ocsp"
        self.ca, self.requests, self.answer = None, [], good()
        self.revoked = {}  # serial number: (time, reason)
        self.stopping = threading.Event()
        self._server = None

    def serve(self, ca):
        self.ca = ca
        return self.start()

    def start(self):
        """Also again, after stop()."""
        self.stopping.clear()
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        if self._server:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def cert(self, serial):
        """A copy of it: the CA's own must not be looked into by two threads at a time."""
        with self.ca._lock:
            found = [one["cert"] for one in self.ca.certs.values()]
            cert = [cert for cert in found if cert.serial_number == serial][0]
            return x509.load_pem_x509_certificate(pki.cert_pem(cert))


def _times(age, life):
    begin = pki.now() - datetime.timedelta(seconds=age)
    return begin, begin + datetime.timedelta(seconds=life)


def good(age=60, life=4 * 86400, about=None, signer=None):
    """As it should be, or wrong in one of these: how long ago it was made, for how long it holds;
    about(cert, responder) -> the certificate it is about; signer(responder) -> an Authority."""

    def answer(request, responder):
        cert = responder.cert(request.serial_number)
        if about:
            cert = about(cert, responder)
        issuer = responder.ca.intermediate
        by = signer(responder) if signer else issuer
        status, at, why = ocsp.OCSPCertStatus.GOOD, None, None
        if cert.serial_number in responder.revoked:
            status = ocsp.OCSPCertStatus.REVOKED
            at, why = responder.revoked[cert.serial_number]
        begin, end = _times(age, life)
        return (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=cert, issuer=issuer.cert, algorithm=hashes.SHA1(), cert_status=status,
                this_update=begin, next_update=end, revocation_time=at, revocation_reason=why,
            )  # fmt: skip
            .responder_id(ocsp.OCSPResponderEncoding.NAME, by.cert)
            .certificates([by.cert])
            .sign(by.key, hashes.SHA256())
            .public_bytes(pki.serialization.Encoding.DER)
        )

    return answer


def page(status=200):
    """HTML, as of a captive portal."""
    text = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    return lambda request, responder: (status, {"Content-Type": "text/html"}, text)


def huge(size=50 * 1024 * 1024):
    return lambda request, responder: b"\x30\x84" + b"\x00" * size


def never():
    return lambda request, responder: None


def redirect(url):
    return lambda request, responder: (302, {"Location": url}, b"")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, responder):
        self.responder = responder
        super().__init__(("127.0.0.1", responder.port), _Handler)

    def handle_error(self, request, client_address):
        """A client that goes away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        responder = self.server.responder
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/ocsp-request"
        request = ocsp.load_der_ocsp_request(raw)
        responder.requests.append((time.time(), request))
        reply = responder.answer(request, responder)
        if reply is None:
            self.close_connection = True
            responder.stopping.wait(120)
            return
        if isinstance(reply, bytes):
            reply = (200, {"Content-Type": "application/ocsp-response"}, reply)
        status, headers, body = reply
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


KEY_COMPROMISE = x509.ReasonFlags.key_compromise
