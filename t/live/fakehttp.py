"""The HTTPS side of the fake CA: connections, and replies as wrong as a Reply says."""

import itertools
import socket
import ssl
import struct
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .faults import Exchange


class Server(ThreadingHTTPServer):
    """Threads per connection; the TLS handshake happens there, not where connections arrive."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, ca):
        self.ca = ca
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(ca.cert_file, ca.key_file)
        if ca.alpn:
            self.context.set_alpn_protocols(ca.alpn)
        if ":" in ca.address:
            self.address_family = socket.AF_INET6
        self._open, self._guard = {}, threading.Lock()
        self._numbers = itertools.count(1)
        super().__init__((ca.address, ca.port), Handler)

    def finish_request(self, request, client_address):
        request.settimeout(60)
        try:
            conn = self.context.wrap_socket(request, server_side=True)
        except OSError:
            return
        with self._guard:
            number = next(self._numbers)
            self._open[number] = conn
        try:
            Handler(conn, number, self)
        except OSError:
            pass
        finally:
            with self._guard:
                self._open.pop(number, None)
            conn.close()

    def close_all(self):
        """Wake every thread that waits for its client."""
        with self._guard:
            for conn in self._open.values():
                try:
                    conn.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def handle_error(self, request, client_address):
        """A client that goes away is no error of ours; anything else is one of the harness."""
        self.ca.note_violation("the fake CA itself failed:\n" + traceback.format_exc())


class Handler(BaseHTTPRequestHandler):
    """HTTP around FakeCA.handle()."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        """The exchanges are the log."""

    def _any(self):
        ca = self.server.ca
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        fields = {key.lower(): value for key, value in self.headers.items()}
        endpoint = self.path.strip("/").partition("/")[0]
        url = f"https://{fields.get('host', '')}{self.path}"
        exchange = Exchange(
            endpoint, self.command, self.path, url, fields, raw, time.time(),
            connection=self.client_address,
        )  # fmt: skip
        self._send(ca.handle(exchange), ca)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any

    def _send(self, reply, ca):
        if reply.silent:
            self._hold(ca)
            return
        if reply.status:
            self._send_head(reply)
            self._send_body(reply, ca)
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if reply.reset or reply.length is not None:
            self.close_connection = True

    def _send_head(self, reply):
        kind = self.server.ca.http
        self.protocol_version = "HTTP/1.0" if kind == "1.0" else "HTTP/1.1"
        self.send_response(reply.status)
        if kind != "1.1":
            self.close_connection = True
            self.send_header("Connection", "close")
        for name, value in reply.headers.items():
            if value is not None:
                self.send_header(name, value)
        if reply.status != 204 and "Content-Length" not in reply.headers:
            size = len(reply.body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def _send_body(self, reply, ca):
        if self.command == "HEAD" or reply.status == 204:
            return
        step = reply.chunk or max(len(reply.body), 1)
        for start in range(0, len(reply.body), step):
            self.wfile.write(reply.body[start : start + step])
            if reply.delay:
                self.wfile.flush()
                if ca.stopping.wait(reply.delay):
                    return
        self.wfile.flush()

    def _hold(self, ca):
        """Until the client hangs up or the CA stops."""
        self.close_connection = True
        self.connection.settimeout(0.1)
        while not ca.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except socket.timeout:
                continue
            except OSError:
                return
