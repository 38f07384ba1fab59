"""What a scripted CA can say instead of the right thing: actions for FakeCA.script()."""

import json
import time
from dataclasses import dataclass, field
from email.utils import formatdate

ERROR = "urn:ietf:params:acme:error:"
JSON = "application/json"
PROBLEM = "application/problem+json"
STATUS = {
    "accountDoesNotExist": 400, "alreadyReplaced": 409, "alreadyRevoked": 400, "badCSR": 400,
    "badNonce": 400, "badPublicKey": 400, "badRevocationReason": 400,
    "badSignatureAlgorithm": 400, "caa": 403, "compound": 400, "conflict": 409,
    "connection": 400, "dns": 400, "externalAccountRequired": 403, "incorrectResponse": 400,
    "invalidContact": 400, "invalidProfile": 400, "malformed": 400, "orderNotReady": 403,
    "rateLimited": 429, "rejectedIdentifier": 400, "serverInternal": 500, "tls": 400,
    "unauthorized": 403, "unsupportedContact": 400, "unsupportedIdentifier": 400,
    "userActionRequired": 403,
}  # fmt: skip
# Breaches of the protocol, told from refusals any client may meet.
VIOLATION_TYPES = {"malformed", "badNonce", "badSignatureAlgorithm"}


class Problem(Exception):
    """A refusal, as a problem document."""

    def __init__(self, kind, detail="", status=None, headers=None, violation=None, **more):
        super().__init__(f"{kind}: {detail}")
        self.status = status or STATUS.get(kind, 400)
        self.headers = dict(headers or {})
        self.body = {"type": ERROR + kind, "detail": detail, "status": self.status, **more}
        self.violation = kind in VIOLATION_TYPES if violation is None else violation


@dataclass
class Reply:
    """What goes over the wire.

    length       Content-Length other than the body's; the connection then ends behind the body
    chunk, delay send the body in pieces of chunk octets, delay seconds apart
    reset        end with a TCP reset after the body, or at once where nothing is to be sent
    silent       send nothing and hold the connection until the client or the test gives up
    """

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    length: int = None
    chunk: int = 0
    delay: float = 0
    reset: bool = False
    silent: bool = False

    def json(self):
        return json.loads(self.body)


@dataclass
class Exchange:
    """A request as it came and, later, what was answered."""

    endpoint: str
    method: str
    path: str
    url: str
    headers: dict
    raw: bytes
    time: float
    number: int = 0
    protected: dict = None
    payload: object = None
    reply: Reply = None
    connection: int = 0

    @property
    def status(self):
        return self.reply.status if self.reply else None


# Actions for FakeCA.script


def problem(kind, detail="said by the test", status=None, retry_after=None, **more):
    """Refuse with a problem document; more: instance, subproblems, identifier, algorithms ..."""

    def action(_exchange, _reply):
        made = problem_reply(Problem(kind, detail, status, **more))
        return _with_retry(made, retry_after)

    return action


def subproblem(kind, name, detail="said by the test"):
    """An entry of subproblems."""
    identifier = {"type": "dns", "value": name}
    return {"type": ERROR + kind, "detail": detail, "identifier": identifier}


def status(code, body=b"", content_type="text/plain", retry_after=None, headers=None):
    """Answer with a bare status, as load balancers do."""

    def action(_exchange, _reply):
        made = Reply(code, {"Content-Type": content_type, **(headers or {})}, encode(body))
        return _with_retry(made, retry_after)

    return action


def html(code=502, text="Bad Gateway"):
    """The page of a proxy whose backend is gone."""
    page = f"<!DOCTYPE html><html><body><h1>{code} {text}</h1></body></html>"
    return status(code, page, "text/html")


def http_date(seconds):
    """A time that many seconds from now, in the form of Retry-After's second kind."""
    return formatdate(time.time() + seconds, usegmt=True)


def body(data, content_type=None):
    """Replace the body; give it as bytes, text or an object."""

    def action(_exchange, reply):
        reply = reply or Reply(headers={"Content-Type": content_type or JSON})
        if content_type:
            reply.headers["Content-Type"] = content_type
        reply.body = encode(data)
        return reply

    return action


def big(size=10 * 1024 * 1024):
    """A body of that size: valid JSON, so that only its size is wrong."""
    return body(b'{"filler":"' + b"x" * (size - 13) + b'"}')


def edit_json(change):
    """Change the reply's object; change(obj) edits it or returns another. For when="after"."""

    def action(_exchange, reply):
        obj = reply.json()
        other = change(obj)
        reply.body = encode(obj if other is None else other)
        return reply

    return action


def edit_body(change):
    """Change the reply's bytes: change(bytes) -> bytes. For when="after"."""

    def action(_exchange, reply):
        reply.body = change(reply.body)
        return reply

    return action


def set_headers(**fields):
    """Set or, with None, drop header fields; Replay_Nonce means Replay-Nonce."""

    def action(_exchange, reply):
        reply = reply or Reply()
        for name, value in fields.items():
            name = name.replace("_", "-")
            reply.headers.pop(name, None)
            # An empty Replay-Nonce of None keeps _send from adding one.
            if value is not None or name == "Replay-Nonce":
                reply.headers[name] = value
        return reply

    return action


def no_nonce():
    """Leave Replay-Nonce out. For when="after"."""
    return set_headers(Replay_Nonce=None)


def duplicate_keys(**members):
    """Prefix the reply's object with members it has already, or may have. For when="after"."""
    extra = ",".join(f"{json.dumps(key)}:{json.dumps(val)}" for key, val in members.items())
    return edit_body(lambda text: b"{" + extra.encode() + b"," + text.lstrip()[1:])


def truncate(size):
    """Promise the whole body and close after size octets. For when="after"."""

    def action(_exchange, reply):
        reply.length = len(reply.body)
        reply.body = reply.body[:size]
        return reply

    return action


def reset(after=None):
    """Reset the connection: at once, or after that many octets of the body (when="after")."""

    def action(_exchange, reply):
        if after is None or reply is None:
            return Reply(status=0, reset=True)
        reply.length = len(reply.body)
        reply.body = reply.body[:after]
        reply.reset = True
        return reply

    return action


def drip(chunk=1, delay=0.1):
    """Send the body in small pieces. For when="after"."""

    def action(_exchange, reply):
        reply.chunk, reply.delay = chunk, delay
        return reply

    return action


def silence():
    """Never answer."""
    return lambda _exchange, _reply: Reply(status=0, silent=True)


def chain(*actions):
    """Several changes to one reply, in turn."""

    def action(exchange, reply):
        for one in actions:
            reply = one(exchange, reply) or reply
        return reply

    return action


def encode(data):
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else json.dumps(data)).encode()


def _with_retry(reply, retry_after):
    if retry_after is not None:
        reply.headers["Retry-After"] = str(retry_after)
    return reply


def problem_reply(err):
    return Reply(err.status, {"Content-Type": PROBLEM, **err.headers}, encode(err.body))
