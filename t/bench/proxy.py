#!/usr/bin/python3
"""A TLS proxy in front of an ACME CA that adds a network's distance.

Each direction is delayed by half the round trip, byte for byte, so that a
TLS handshake costs round trips as well; a connection's first bytes wait one
more, for the TCP handshake the loopback does at once. The proxy speaks
HTTP/2 (if python3-h2 is there) and HTTP/1.1 to clients and keep-alive
HTTP/1.1 to the CA, and passes Host on, so the CA's URLs lead back here.

One JSON line for each request goes to the log: `sent` is when the client
sent its last byte, `got` when the answer reaches it, both CLOCK_REALTIME.

Commands, one a line on the control port, each answered by a line:
  pass      forward everything (the state at the start)
  closed    refuse every new connection, drop those there are
  swallow   answer challenge POSTs `processing` without passing them on, so
            that orders stay pending and their tokens stay published
  suggest   answer questions for renewal information with a window weeks away
            (the CA behind knows only certificates of its own), forward the rest
  stats     CPU seconds used, connections taken
"""
import argparse
import asyncio
import collections
import json
import re
import ssl
import time

try:
    import h2.config
    import h2.connection
    import h2.events
except ImportError:
    h2 = None

HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "te",
               "upgrade", "proxy-connection", "content-length", "host",
               "http2-settings", "expect"}
BODY_LIMIT = 4 << 20


class BadMessage(Exception):
    pass


TASKS = set()


def begin(coroutine):
    """Lets it run; asyncio itself would lose it to the garbage collector."""
    task = asyncio.ensure_future(coroutine)
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)


class Upstream:
    """Keep-alive connections to the CA, used one exchange at a time."""

    def __init__(self, host, port, context):
        self.host, self.port, self.context = host, port, context
        self.idle = []

    async def fetch(self, method, path, headers, body):
        """One exchange; retried once if a kept connection had died."""
        while self.idle:
            reader, writer = self.idle.pop()
            if reader.at_eof() or writer.is_closing():
                continue
            try:
                return await self.exchange(reader, writer, method, path,
                                           headers, body)
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
        reader, writer = await asyncio.open_connection(
            self.host, self.port, ssl=self.context)
        return await self.exchange(reader, writer, method, path, headers,
                                   body)

    async def exchange(self, reader, writer, method, path, headers, body):
        lines = ["%s %s HTTP/1.1" % (method, path)]
        lines += ["%s: %s" % pair for pair in headers]
        if body or method == "POST":
            lines.append("Content-Length: %d" % len(body))
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
                     + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.rstrip("\r\n").split("\r\n")
        status = int(first.split(" ", 2)[1])
        answer = [tuple(part.strip() for part in line.split(":", 1))
                  for line in rest]
        content = await self.read_body(reader, method, status,
                                       {k.lower(): v for k, v in answer})
        self.idle.append((reader, writer))
        return status, answer, content

    @staticmethod
    async def read_body(reader, method, status, headers):
        if method == "HEAD" or status in (204, 304):
            return b""
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await reader.readexactly(
                int(headers.get("content-length", "0")))
        parts = []
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
            if size == 0:
                return b"".join(parts)


def suggestion():
    """A reply of renewalInfo (RFC 9773) as Let's Encrypt's."""
    window = {name: time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                  time.gmtime(time.time() + day * 86400))
              for name, day in (("start", 59), ("end", 61))}
    return 200, [("Content-Type", "application/json"),
                 ("Retry-After", "21600")], \
        json.dumps({"suggestedWindow": window}).encode()


class Gate:
    """What all connections share: the CA, the log, the mode."""

    def __init__(self, upstream, log, one_way):
        self.upstream, self.log, self.one_way = upstream, log, one_way
        self.mode = "pass"
        self.connections = set()
        self.taken = 0
        self.challenges = {}  # path -> object, as seen in authorizations

    async def answer(self, proto, method, path, headers, body, arrived):
        """Forward one request and log it; returns status, headers, body."""
        if self.mode == "swallow" and method == "POST" \
                and path in self.challenges:
            reply = await self.swallow(path, headers)
        elif self.mode == "suggest" and method == "GET" \
                and "/renewalInfo/" in path:
            reply = suggestion()
        else:
            try:
                reply = await self.upstream.fetch(method, path, headers,
                                                  body)
            except (OSError, asyncio.IncompleteReadError) as error:
                reply = 502, [("Content-Type", "text/plain")], \
                    str(error).encode()
        self.remember(reply[2])
        self.record(proto, method, path, arrived, reply, body)
        return reply

    async def swallow(self, path, headers):
        host = [pair for pair in headers if pair[0].lower() in
                ("host", "user-agent")]
        _, fresh, _ = await self.upstream.fetch("HEAD", "/nonce-plz", host,
                                                b"")
        nonce = [pair for pair in fresh
                 if pair[0].lower() == "replay-nonce"]
        challenge = dict(self.challenges[path], status="processing")
        return 200, nonce + [("Content-Type", "application/json")], \
            json.dumps(challenge).encode()

    def remember(self, content):
        if b'"challenges"' not in content:
            return
        try:
            for challenge in json.loads(content)["challenges"]:
                path = "/" + challenge["url"].split("/", 3)[3]
                self.challenges[path] = challenge
        except (ValueError, KeyError, IndexError):
            pass

    def record(self, proto, method, path, arrived, reply, body):
        status, headers, content = reply
        line = {"sent": arrived - self.one_way,
                "got": time.time() + self.one_way, "proto": proto,
                "method": method, "path": path, "status": status}
        for name, value in headers:
            if name.lower() == "retry-after":
                line["retry_after"] = value
            if name.lower() == "location":
                line["location"] = value
        if status >= 400:
            line["problem"] = content[:300].decode("utf-8", "replace")
        elif b'"status"' in content:
            found = re.search(rb'"status"\s*:\s*"(\w+)"', content)
            line["state"] = found.group(1).decode() if found else None
        if b'"challenges"' in content and status < 400:
            try:
                authz = json.loads(content)
                line["name"] = authz["identifier"]["value"]
                line["tokens"] = {c["type"]: c.get("token")
                                  for c in authz["challenges"]}
            except (ValueError, KeyError):
                pass
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


class Http1:
    """Requests of an HTTP/1.1 connection, one after another."""

    def __init__(self, client):
        self.client, self.buffer, self.busy = client, b"", False

    def receive(self, data):
        self.buffer += data
        if len(self.buffer) > BODY_LIMIT:
            raise BadMessage("request too large")
        self.advance()

    def advance(self):
        if self.busy or b"\r\n\r\n" not in self.buffer:
            return
        head, rest = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [tuple(part.strip() for part in line.split(":", 1))
                   for line in lines]
        fields = {k.lower(): v for k, v in headers}
        if "transfer-encoding" in fields:
            body, rest = self.chunks(rest)
            if body is None:
                return
        else:
            length = int(fields.get("content-length", "0"))
            if len(rest) < length:
                if fields.get("expect"):
                    self.client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body, rest = rest[:length], rest[length:]
        self.buffer, self.busy = rest, True
        method, path, _ = first.split(" ", 2)
        begin(self.serve(method, path, headers, fields, body, time.time()))

    @staticmethod
    def chunks(rest):
        """The decoded body and what follows, or None while incomplete."""
        body = b""
        while b"\r\n" in rest:
            line, rest = rest.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            if len(rest) < size + 2:
                break
            body, rest = body + rest[:size], rest[size + 2:]
            if size == 0:
                return body, rest
        return None, rest

    async def serve(self, method, path, headers, fields, body, arrived):
        kept = [pair for pair in headers
                if pair[0].lower() not in HOP_HEADERS]
        kept.append(("Host", fields.get("host", "")))
        status, answer, content = await self.client.gate.answer(
            "http/1.1", method, path, kept, body, arrived)
        lines = ["HTTP/1.1 %d Whatever" % status]
        lines += ["%s: %s" % pair for pair in answer
                  if pair[0].lower() not in HOP_HEADERS]
        if status not in (204, 304):
            lines.append("Content-Length: %d" % len(content))
        self.client.send("\r\n".join(lines).encode("latin-1")
                         + b"\r\n\r\n" + content)
        self.busy = False
        if fields.get("connection", "").lower() == "close":
            self.client.end()
        else:
            self.advance()


class Http2:
    """Requests of an HTTP/2 connection, all at once."""

    def __init__(self, client):
        self.client, self.streams = client, {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        client.send(self.h2.data_to_send())

    def receive(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.streams[event.stream_id] = (event.headers, [])
            elif isinstance(event, h2.events.DataReceived):
                if event.stream_id in self.streams:
                    self.streams[event.stream_id][1].append(event.data)
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                headers, parts = self.streams.pop(event.stream_id)
                begin(self.serve(event.stream_id, headers, b"".join(parts),
                                 time.time()))
            elif isinstance(event, h2.events.StreamReset):
                self.streams.pop(event.stream_id, None)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.client.end()
        self.client.send(self.h2.data_to_send())

    async def serve(self, stream, headers, body, arrived):
        fields = dict(headers)
        kept = [(k, v) for k, v in headers
                if not k.startswith(":") and k not in HOP_HEADERS]
        kept.append(("Host", fields.get(":authority", "")))
        status, answer, content = await self.client.gate.answer(
            "h2", fields[":method"], fields[":path"], kept, body, arrived)
        out = [(":status", str(status))]
        out += [(k.lower(), v) for k, v in answer
                if k.lower() not in HOP_HEADERS]
        try:
            self.h2.send_headers(stream, out, end_stream=not content)
            size = self.h2.max_outbound_frame_size
            for at in range(0, len(content), size):
                self.h2.send_data(stream, content[at:at + size],
                                  end_stream=at + size >= len(content))
        except h2.exceptions.ProtocolError:
            return  # the client has gone
        self.client.send(self.h2.data_to_send())


class Client(asyncio.Protocol):
    """One connection: delay, TLS on memory buffers, then HTTP."""

    def __init__(self, gate, context):
        self.gate = gate
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward,
                                    server_side=True)
        self.arriving, self.leaving = (collections.deque(),
                                       collections.deque())
        self.http, self.first = None, True
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport):
        self.transport = transport
        if self.gate.mode == "closed":
            transport.abort()
            return
        self.gate.taken += 1
        self.gate.connections.add(self)

    def connection_lost(self, _):
        self.gate.connections.discard(self)

    def data_received(self, data):
        delay = self.gate.one_way * (3 if self.first else 1)
        self.first = False
        self.arriving.append(data)
        self.loop.call_later(delay, self.arrived)

    def arrived(self):
        self.inward.write(self.arriving.popleft())
        try:
            if self.http is None:
                self.tls.do_handshake()
                chosen = self.tls.selected_alpn_protocol()
                self.http = Http2(self) if chosen == "h2" else Http1(self)
            while True:
                data = self.tls.read(65536)
                if not data:
                    return self.end()
                self.http.receive(data)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, BadMessage, ValueError):
            self.end()
        finally:
            self.flush()

    def send(self, data):
        if data and not self.transport.is_closing():
            self.tls.write(data)
            self.flush()

    def flush(self):
        data = self.outward.read()
        if data:
            self.later(data)

    def end(self):
        self.later(None)

    def later(self, data):
        self.leaving.append(data)
        self.loop.call_later(self.gate.one_way, self.depart)

    def depart(self):
        data = self.leaving.popleft()
        if data is None:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write(data)


def command(gate, line):
    if line in ("pass", "swallow", "suggest", "closed"):
        gate.mode = line
        if line == "closed":
            for client in list(gate.connections):
                client.transport.abort()
        return {"mode": line}
    return {"cpu": time.process_time(), "connections": gate.taken,
            "h2": h2 is not None}


async def listen(gate, reader, writer):
    while line := await reader.readline():
        answer = command(gate, line.decode().strip())
        writer.write(json.dumps(answer).encode() + b"\n")
    writer.close()


async def main(args):
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(args.certificate, args.key)
    server_tls.set_alpn_protocols((["h2"] if h2 and not args.no_h2 else [])
                                  + ["http/1.1"])
    client_tls = ssl.create_default_context(cafile=args.ca_trust)
    client_tls.check_hostname = False
    host, port = args.ca.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    with open(args.log, "a", encoding="utf-8") as log:
        gate = Gate(Upstream(host, int(port), client_tls), log,
                    args.round_trip / 2000)
        server = await loop.create_server(
            lambda: Client(gate, server_tls), "127.0.0.1", args.port,
            backlog=1024)
        control = await asyncio.start_server(
            lambda reader, writer: listen(gate, reader, writer),
            "127.0.0.1", args.control)
        async with server, control:
            await server.serve_forever()


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ca", required=True, help="host:port of the CA")
    parser.add_argument("--ca-trust", required=True,
                        help="PEM file that verifies the CA")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--round-trip", type=float, default=100,
                        help="milliseconds (100)")
    parser.add_argument("--no-h2", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
