"""An HTTP proxy that opens tunnels (CONNECT), as companies have them between servers and the world."""

import base64
import hashlib
import re
import secrets
import socket
import socketserver
import ssl
import threading
from pathlib import Path

from . import pki
from .proc import free_port


class Proxy:
    """Starts with start(). Wherever a tunnel is to lead, it leads to loopback: only by way of the
    proxy can a client reach a CA whose name it cannot look up.

    tls         the client talks TLS to the proxy itself, which is certified by trust_file
    user        (name, password) that is let through; None: everybody
    scheme      how it wants to hear them: Basic or Digest
    refusal     a status to answer every CONNECT with, instead of a tunnel

    tunnels holds the targets of those that were opened, refused the number of those that were not;
    odd has requests that were not for a tunnel.
    """

    def __init__(self, folder, tls=False, user=None, scheme="Basic", refusal=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tls, self.user, self.scheme, self.refusal = tls, user, scheme, refusal
        self.cert_file, self.key_file, self.trust_file = pki.write_server_identity(self.folder)
        self.port = free_port()
        self.tunnels, self.refused, self.odd = [], 0, []
        self.nonce = secrets.token_hex(8)
        self._server = None

    def url(self, user=None):
        """With (name, password) in it, or without."""
        who = f"{user[0]}:{user[1]}@" if user else ""
        return f"{'https' if self.tls else 'http'}://{who}localhost:{self.port}"

    def start(self):
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.close_all()
            self._server.server_close()
            self._server = None

    def logs(self):
        lines = [f"tunnel to {target}" for target in self.tunnels]
        return [("proxy", "\n".join([*lines, f"{self.refused} refused", *self.odd]))]

    def refuses(self, method, fields):
        """Status and header to refuse with, or None."""
        if self.refusal:
            return self.refusal, ""
        if not self.user or self._is_user(method, fields.get("proxy-authorization", "")):
            return None
        challenge = 'Basic realm="proxy"'
        if self.scheme == "Digest":
            challenge = f'Digest realm="proxy", nonce="{self.nonce}", qop="auth", algorithm=MD5'
        return 407, f"Proxy-Authenticate: {challenge}\r\n"

    def _is_user(self, method, said):
        name, password = self.user
        if self.scheme == "Basic":
            return said == "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', said))
        if fields.get("username") != name or fields.get("nonce") != self.nonce:
            return False
        one = _md5(f"{name}:proxy:{password}")
        two = _md5(f"{method}:{fields['uri']}")
        middle = f"{self.nonce}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}"
        return fields["response"] == _md5(f"{one}:{middle}:{two}")


def _md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, proxy):
        self.proxy = proxy
        self.context = None
        if proxy.tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(proxy.cert_file, proxy.key_file)
        self._open, self._guard = set(), threading.Lock()
        super().__init__(("127.0.0.1", proxy.port), None)

    def finish_request(self, request, client_address):
        request.settimeout(30)
        try:
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
            self._serve(request)
        except OSError:
            pass
        finally:
            request.close()

    def close_all(self):
        with self._guard:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _serve(self, client):
        """Requests until a tunnel is opened, or the client goes."""
        while head := _read_head(client):
            line, *rest = head.split("\r\n")
            method, target, _ = line.split(" ", 2)
            fields = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in rest)}
            if method != "CONNECT":
                self.proxy.odd.append(line)
                client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                continue
            refusal = self.proxy.refuses(method, fields)
            if refusal:
                self.proxy.refused += 1
                text = f"HTTP/1.1 {refusal[0]} No\r\n{refusal[1]}Content-Length: 4\r\n\r\nNo.\n"
                client.sendall(text.encode())
                continue
            self._tunnel(client, target)
            return

    def _tunnel(self, client, target):
        port = int(target.rpartition(":")[2])
        try:
            far = socket.create_connection(("127.0.0.1", port), 10)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        self.proxy.tunnels.append(target)
        client.sendall(b"HTTP/1.1 200 Connection established\r\nRetry-After: 9999\r\n\r\n")
        client.settimeout(None)
        far.settimeout(None)
        with self._guard:
            self._open |= {client, far}
        back = threading.Thread(target=_pump, args=(far, client), daemon=True)
        back.start()
        _pump(client, far)
        back.join()
        with self._guard:
            self._open -= {client, far}
        far.close()


def _read_head(sock):
    """The lines of a request's head; empty at the end of the connection."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            return ""
        data += piece
    return data[:-4].decode()


def _pump(source, sink):
    """Octets from one to the other until it ends; then the other is told."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for sock in (sink, source):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
