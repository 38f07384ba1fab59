"""An ACME CA that keeps to RFC 8555 until a test tells it not to.

Pebble shows that the client works with a CA; this one shows what the client does when a CA fails,
lies or dawdles. It really verifies requests and really issues certificates. It records each
request, and notes in `violations` what no correct client does, such as using a nonce twice.

    ca.script("finalize", problem("serverInternal", status=503, retry_after=2))
    ca.script("order", edit_json(lambda order: order.update(status="invalid")), when="after")
    ca.script("certificate", truncate(200), nth=2, times=1, when="after")

An action is called as action(exchange, reply). With when="before", it answers in place of the CA,
which has not looked at the request: reply is None. With when="after" the CA has done what was
asked, and the action changes its reply. It may return a Reply, or None for "as it would be".

Endpoints: directory new-nonce new-account account new-order order authz challenge finalize
certificate revoke-cert key-change renewal-info terms.
"""

import base64
import datetime
import hashlib
import http.client
import ipaddress
import itertools
import json
import re
import secrets
import socket
import ssl
import threading
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from . import jose, pki
from .fakehttp import Server
from .faults import (
    ERROR,
    Exchange,
    JSON,
    Problem,
    Reply,
    STATUS,
    big,
    body,
    chain,
    drip,
    duplicate_keys,
    edit_body,
    edit_json,
    encode,
    html,
    http_date,
    no_nonce,
    problem,
    problem_reply,
    reset,
    set_headers,
    silence,
    status,
    subproblem,
    truncate,
)
from .proc import Timeout, free_port

# Tests take the actions from here as well.
__all__ = [
    "Exchange", "FakeCA", "Problem", "Range", "Reply", "big", "body", "cert_id", "chain",
    "challenge_error", "drip", "duplicate_keys", "edit_body", "edit_json", "html", "http_date",
    "no_nonce", "problem", "reset", "rfc3339", "set_headers", "silence", "status", "subproblem",
    "truncate",
]  # fmt: skip

CHAIN = "application/pem-certificate-chain"
KEY_ENDPOINTS = {"new-account"}
EITHER_ENDPOINTS = {"revoke-cert"}
PLAIN_ENDPOINTS = {"directory", "new-nonce", "renewal-info", "terms"}
Range = namedtuple("Range", "start end")


@dataclass
class _Rule:
    endpoint: str
    action: object
    when: str
    nth: int
    times: int
    matches: object
    seen: int = 0

    def applies(self, exchange):
        """Count a request; true for the nth and as many as times from there."""
        if self.endpoint not in ("*", exchange.endpoint):
            return False
        if self.matches and not self.matches(exchange):
            return False
        self.seen += 1
        last = None if self.times is None else self.nth + self.times
        return self.seen >= self.nth and (last is None or self.seen < last)


class FakeCA:
    """The CA; see the module's text. Starts with start() or as a context manager.

    folder              for its TLS files
    validate            how challenges are proved. "none": each counts as met. "http": http-01
                        and tls-alpn-01 are really looked at, on http_port and tls_port of loopback.
                        The reply to an answer waits for it a little
    challenges          types offered; without a port to look at one, it is not
    validity            of certificates, in seconds
    processing_polls    how many replies say "processing" before an order is valid, finalize's own
                        being the first; 0: finalize itself answers with "valid"
    validation_polls    likewise "pending" for authorizations, the challenge's own being the first
    retry_after         in replies about what is not ready yet; None leaves it out
    ari, profiles, eab  whether there is renewalInfo; {name: text}; {kid: MAC key as base64url}
    terms               whether there are terms of service to agree to
    authz_reuse         a valid authorization serves later orders of its account as well
    order_reuse         newOrder answers with an order of the same names that is not finalized yet
    alternates          more chains to offer, up to a second root
    address, host       where it listens, and what its URLs call it
    alpn                protocols offered in its TLS; empty: it knows no ALPN
    http                "1.0", "1.1", or "close": 1.1 with each connection for one request
    forgiving           an authorization outlives a challenge that failed
    ocsp                URLs of OCSP responders that certificates name (see responder.py)
    relative_links      alternates are named by relative references

    To change at will: challenge_result(identifier, type) -> None or a problem dict;
    hash_prefix (of accounts in dns-persist-01, which is that of draft -02 then);
    make_token(); make_nonce(); on_issue(leaf) edits a pki.Leaf before it is signed;
    make_chain(leaf_cert, intermediate_cert, csr) -> certificates; renewal_window(cert) -> Range.
    validation_gate and issuance_gate: threading.Events; while clear, no challenge becomes valid,
    no order leaves "processing".
    """

    def __init__(
        self,
        folder,
        validate="none",
        http_port=None,
        tls_port=None,
        challenges=("http-01", "tls-alpn-01", "dns-01"),
        validity=90 * 86400,
        processing_polls=0,
        validation_polls=0,
        retry_after=1,
        ari=True,
        profiles=None,
        eab=None,
        terms=True,
        authz_reuse=False,
        order_reuse=False,
        alternates=1,
        address="127.0.0.1",
        host="localhost",
        alpn=("http/1.1",),
        http="1.1",
        forgiving=False,
        ocsp=(),
        relative_links=False,
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.validate, self.http_port, self.tls_port = validate, http_port, tls_port
        blind = {"http-01": not http_port, "tls-alpn-01": not tls_port} if validate == "http" else {}
        self.challenges = tuple(kind for kind in challenges if not blind.get(kind))
        self.validity = validity
        self.processing_polls, self.validation_polls = processing_polls, validation_polls
        self.retry_after, self.ari, self.profiles = retry_after, ari, dict(profiles or {})
        self.eab = {kid: _decode_mac(mac) for kid, mac in (eab or {}).items()}
        self.terms, self.authz_reuse, self.alternates = terms, authz_reuse, alternates
        self.order_reuse = order_reuse
        self.address, self.alpn, self.http = address, list(alpn), http
        names = dict.fromkeys(["localhost", "127.0.0.1", "::1", host.strip("[]")])
        identity = pki.write_server_identity(self.folder, tuple(names))
        self.cert_file, self.key_file, self.ca_file = identity
        self.forgiving = forgiving
        self.ocsp = list(ocsp)
        self.relative_links = relative_links
        self.port = free_port()
        self.base = f"https://{host}:{self.port}"
        self.directory_url = f"{self.base}/directory"
        self.root = pki.Authority.root("Fake Root One")
        self.root2 = pki.Authority.root("Fake Root Two")
        self.intermediate = self.root.intermediate("Fake Intermediate")
        self.cross = self.root2.intermediate("Fake Intermediate", key=self.intermediate.key)
        self.challenge_result = lambda identifier, kind: None
        self.make_token = lambda: secrets.token_urlsafe(32)
        self.hash_prefix = None
        self.account_prefix = ""  # of the last part of account URLs
        self.directory_lacks = ()  # members it could have
        self.make_nonce = lambda: secrets.token_urlsafe(16)
        self.on_issue = lambda leaf: None
        self.make_chain = None
        self.renewal_window = None
        self.validation_gate, self.issuance_gate = threading.Event(), threading.Event()
        self.validation_gate.set()
        self.issuance_gate.set()
        self.requests, self.violations, self.allow_violations = [], [], False
        self.accounts, self.orders, self.authzs, self.certs = {}, {}, {}, {}
        self._nonces, self._rules, self._ids = set(), [], itertools.count(1)
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self.stopping = threading.Event()
        self._server = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Serve; also again after stop(): what it knows stays, as with a CA after an outage."""
        self.stopping.clear()
        self._server = Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        """Stop serving and close what is open."""
        if self._server:
            self.stopping.set()
            self._server.shutdown()
            self._server.close_all()
            self._server.server_close()
            self._server = None

    # For tests

    def script(self, endpoint, action, nth=1, times=1, when="before", matches=None):
        """Let action answer the nth request of endpoint ("*": any) from now, and times in a row.

        times=None: from then on always. matches(exchange): which requests count at all.
        Several rules: the first that applies acts; the others count the request as well.
        Returns the rule; its `seen` says how many requests it has counted.
        """
        assert when in ("before", "after"), when
        rule = _Rule(endpoint, action, when, nth, times, matches)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear_script(self):
        with self._lock:
            self._rules.clear()

    def requests_to(self, *endpoints):
        """The exchanges so far with these endpoints, oldest first."""
        with self._lock:
            return [one for one in self.requests if one.endpoint in endpoints]

    def endpoints(self):
        """The endpoints in the order they were asked."""
        with self._lock:
            return [one.endpoint for one in self.requests]

    def wait_request(self, endpoint, n=1, timeout=30):
        """Wait until endpoint has been asked n times and answered; returns the nth exchange."""

        def answered():
            found = [one for one in self.requests_to(endpoint) if one.reply]
            return found[n - 1] if len(found) >= n else None

        with self._news:
            if not self._news.wait_for(answered, timeout):
                seen = self.endpoints()
                raise Timeout(f"not within {timeout} s: request {n} of {endpoint}; seen: {seen}")
            return answered()

    def assert_no_violations(self):
        """allow_violations: True for any, or a regular expression for those that match it."""
        allowed = self.allow_violations
        if allowed is True:
            return
        found = [text for text in self.violations if not (allowed and re.search(allowed, text))]
        assert not found, found

    def root_file(self, n=0):
        """A file with root n (0, or 1 for the alternate chain's)."""
        path = self.folder / f"root-{n}.pem"
        path.write_bytes(pki.cert_pem((self.root, self.root2)[n].cert))
        return path

    def logs(self):
        """[(title, text)] for a failed test's report."""
        with self._lock:
            lines = [f"{one.method} {one.path} -> {one.status}" for one in self.requests[-80:]]
            lines += [f"violation: {text}" for text in self.violations]
        return [("fake CA", "\n".join(lines))]

    # A request's way through

    def handle(self, exchange):
        """The Reply for a request. Called in the connection's thread."""
        with self._lock:
            exchange.number = len(self.requests) + 1
            self.requests.append(exchange)
            self._decode(exchange)
            before = self._action(exchange, "before")
            if before and exchange.protected:
                # Spent all the same: a client that uses it again is at fault.
                self._nonces.discard(exchange.protected.get("nonce"))
        reply = before(exchange, None) if before else None
        if reply is None:
            reply = self._process(exchange)
        with self._lock:
            after = self._action(exchange, "after")
        if after:
            reply = after(exchange, reply) or reply
        self._add_nonce(exchange, reply)
        with self._news:
            exchange.reply = reply
            self._news.notify_all()
        return reply

    def _decode(self, exchange):
        """For the record alone; whether it is good is decided later."""
        try:
            exchange.protected, payload, _ = jose.parse(exchange.raw)
            exchange.payload = json.loads(payload) if payload else ""
        except ValueError:
            pass

    def _action(self, exchange, when):
        found = [rule for rule in self._rules if rule.when == when and rule.applies(exchange)]
        return found[0].action if found else None

    def _process(self, exchange):
        try:
            with self._lock:
                reply = self._dispatch(exchange)
            return self._await_validation(exchange) or reply
        except jose.BadJws as err:
            self.note_violation(f"{exchange.method} {exchange.path}: {err}")
            return problem_reply(Problem("malformed", str(err)))
        except Problem as err:
            if err.violation and not self._is_sent_anew(exchange):
                self.note_violation(f"{exchange.method} {exchange.path}: {err}")
            return problem_reply(err)

    def _is_sent_anew(self, exchange):
        """The same octets as a request whose connection ended without a word: HTTP libraries
        (RFC 9110 section 9.2.2 notwithstanding) send it once more where the connection was an
        old one, and then it has the same nonce."""
        with self._lock:
            return any(
                one.raw == exchange.raw and (one.reply is None or not one.reply.status)
                for one in self.requests
                if one is not exchange and exchange.raw
            )

    def note_violation(self, text):
        with self._lock:
            self.violations.append(text)

    def _add_nonce(self, exchange, reply):
        """Replay-Nonce in every reply to a POST and to newNonce, also in errors (6.5)."""
        if exchange.endpoint in PLAIN_ENDPOINTS - {"new-nonce"}:
            return
        if "Replay-Nonce" not in reply.headers:
            nonce = self.make_nonce()
            with self._lock:
                self._nonces.add(nonce)
            reply.headers["Replay-Nonce"] = nonce
        reply.headers.setdefault("Cache-Control", "no-store")

    def _dispatch(self, exchange):
        if not exchange.headers.get("user-agent"):
            raise Problem("malformed", "no User-Agent (RFC 8555 section 6.1)")
        handler = getattr(self, "_do_" + exchange.endpoint.replace("-", "_"), None)
        if not handler:
            raise Problem("malformed", f"no such resource: {exchange.path}", status=404)
        if exchange.endpoint in PLAIN_ENDPOINTS:
            if exchange.method not in ("GET", "HEAD"):
                raise Problem("malformed", f"{exchange.method} {exchange.path}", status=405)
            return handler(exchange)
        if exchange.method != "POST":
            raise Problem("malformed", f"{exchange.method} {exchange.path}", status=405)
        account = self._authenticate(exchange)
        return handler(exchange, account)

    # Who asks (RFC 8555 section 6)

    def _authenticate(self, exchange):
        """Verify a POST's JWS. Returns the account, or the JWK where that signs."""
        if exchange.headers.get("content-type") != "application/jose+json":
            raise Problem("malformed", "Content-Type is not application/jose+json", status=415)
        try:
            protected, payload, jws = jose.parse(exchange.raw)
            self._check_header(exchange, protected)
            signer, key = self._signer(exchange, protected)
            jose.verify(jws, protected["alg"], key)
            exchange.payload = json.loads(payload) if payload else ""
        except jose.BadAlgorithm as err:
            algorithms = ["ES256", "ES384", "RS256"]
            raise Problem("badSignatureAlgorithm", str(err), algorithms=algorithms) from err
        except ValueError as err:
            raise Problem("malformed", str(err)) from err
        self._take_nonce(protected["nonce"])
        return signer

    def _check_header(self, exchange, protected):
        for name in ("alg", "nonce", "url"):
            if not isinstance(protected.get(name), str):
                raise Problem("malformed", f"no {name} in the protected header")
        if protected["url"] != exchange.url:
            detail = f"url {protected['url']!r} is not {exchange.url!r}"
            raise Problem("unauthorized", detail, violation=True)
        if ("jwk" in protected) == ("kid" in protected):
            raise Problem("malformed", "exactly one of jwk and kid has to be there")
        unknown = set(protected) - {"alg", "nonce", "url", "jwk", "kid"}
        if unknown:
            raise Problem("malformed", f"unknown in the protected header: {sorted(unknown)}")

    def _signer(self, exchange, protected):
        by_key = "jwk" in protected
        if by_key and exchange.endpoint not in KEY_ENDPOINTS | EITHER_ENDPOINTS:
            raise Problem("malformed", f"jwk where {exchange.endpoint} wants kid")
        if not by_key and exchange.endpoint in KEY_ENDPOINTS:
            raise Problem("malformed", f"kid where {exchange.endpoint} wants jwk")
        if by_key:
            return protected["jwk"], protected["jwk"]
        account = self.accounts.get(protected["kid"])
        if not account:
            raise Problem("accountDoesNotExist", f"unknown account {protected['kid']}")
        if account["status"] != "valid":
            raise Problem("unauthorized", f"account is {account['status']}")
        return account, account["jwk"]

    def _take_nonce(self, nonce):
        if nonce not in self._nonces:
            raise Problem("badNonce", f"nonce {nonce!r:.60} was not given out, or used already")
        self._nonces.discard(nonce)

    @staticmethod
    def _post_as_get(exchange):
        if exchange.payload != "":
            raise Problem("malformed", "a read has to be a POST-as-GET, with an empty payload")

    @staticmethod
    def _object(exchange):
        if not isinstance(exchange.payload, dict):
            raise Problem("malformed", "the payload has to be an object")
        return exchange.payload

    def _owned(self, table, exchange, account):
        item = table.get(exchange.path)
        if not item:
            raise Problem("malformed", f"no such resource: {exchange.path}", status=404)
        if item["account"] != account["url"]:
            raise Problem("unauthorized", "of another account")
        return item

    def _reply(self, obj, code=200, **headers):
        fields = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        fields["Content-Type"] = JSON
        fields["Link"] = f'<{self.directory_url}>;rel="index"'
        return Reply(code, fields, encode(obj))

    def _not_ready(self):
        return {} if self.retry_after is None else {"Retry_After": self.retry_after}

    # Endpoints without a signature

    def _do_directory(self, _exchange):
        """With a random member, as Let's Encrypt does, to keep clients tolerant."""
        meta = {"website": f"{self.base}/", "caaIdentities": ["ca.invalid"]}
        if self.terms:
            meta["termsOfService"] = f"{self.base}/terms/v1"
        if self.profiles:
            meta["profiles"] = self.profiles
        if self.hash_prefix:
            meta["accountHashPrefix"] = self.hash_prefix
        if self.eab:
            meta["externalAccountRequired"] = True
        names = {
            "newNonce": "new-nonce", "newAccount": "new-account", "newOrder": "new-order",
            "revokeCert": "revoke-cert", "keyChange": "key-change",
        }  # fmt: skip
        if self.ari:
            names["renewalInfo"] = "renewal-info"
        urls = {name: f"{self.base}/{path}" for name, path in names.items()}
        for name in self.directory_lacks:
            del urls[name]
        return self._reply({secrets.token_urlsafe(8): "https://unknown.invalid/", "meta": meta, **urls})

    def _do_new_nonce(self, exchange):
        return Reply(200 if exchange.method == "HEAD" else 204)

    def _do_terms(self, _exchange):
        return Reply(200, {"Content-Type": "text/plain"}, b"Do no harm.\n")

    def _do_renewal_info(self, exchange):
        """RFC 9773 section 4."""
        wanted = exchange.path.rpartition("/")[2]
        for item in self.certs.values():
            if cert_id(item["cert"]) == wanted:
                window = (self.renewal_window or _default_window)(item["cert"])
                obj = {"suggestedWindow": {"start": rfc3339(window.start), "end": rfc3339(window.end)}}
                return self._reply(obj, Retry_After=21600)
        raise Problem("malformed", f"no such certificate: {wanted}", status=404, violation=False)

    # Accounts (7.3)

    def _do_new_account(self, exchange, jwk):
        wanted = self._object(exchange)
        known = [one for one in self.accounts.values() if one["jwk"] == jwk]
        if known:
            if known[0]["status"] != "valid":
                raise Problem("unauthorized", f"account is {known[0]['status']}")
            return self._account_reply(known[0])
        if wanted.get("onlyReturnExisting"):
            raise Problem("accountDoesNotExist", "no account has this key")
        if self.terms and wanted.get("termsOfServiceAgreed") is not True:
            raise Problem("userActionRequired", "the terms of service are to be agreed to", 403)
        self._check_contact(wanted.get("contact", []))
        self._check_binding(wanted, jwk)
        url = f"{self.base}/account/{self.account_prefix}{next(self._ids)}"
        account = {"url": url, "jwk": jwk, "status": "valid", "contact": wanted.get("contact", [])}
        self.accounts[url] = account
        return self._account_reply(account, 201)

    def _account_reply(self, account, code=200):
        obj = {"status": account["status"], "contact": account["contact"]}
        obj["orders"] = f"{account['url']}/orders"
        return self._reply(obj, code, Location=account["url"])

    @staticmethod
    def _check_contact(contact):
        for one in contact:
            if not one.startswith("mailto:"):
                raise Problem("unsupportedContact", f"not mailto: {one}")
            if "@" not in one or "," in one or "?" in one:
                raise Problem("invalidContact", one)

    def _check_binding(self, wanted, jwk):
        """7.3.4"""
        if not self.eab:
            return
        binding = wanted.get("externalAccountBinding")
        if not binding:
            raise Problem("externalAccountRequired", "an external account binding is needed")
        protected, payload, jws = jose.parse(binding)
        if protected.get("alg") != "HS256" or "nonce" in protected:
            raise Problem("malformed", "binding wants alg HS256 and no nonce")
        if protected.get("url") != f"{self.base}/new-account" or json.loads(payload) != jwk:
            raise Problem("malformed", "binding is for another url or key")
        if protected.get("kid") not in self.eab:
            raise Problem("unauthorized", "unknown key identifier in the binding")
        jose.verify_hmac(jws, self.eab[protected["kid"]])

    def _do_account(self, exchange, account):
        if exchange.url != account["url"]:
            raise Problem("unauthorized", "another account")
        wanted = exchange.payload or {}
        if wanted.get("status") == "deactivated":
            account["status"] = "deactivated"
        if "contact" in wanted:
            self._check_contact(wanted["contact"])
            account["contact"] = wanted["contact"]
        return self._account_reply(account)

    def _do_key_change(self, exchange, account):
        """7.3.5"""
        protected, payload, jws = jose.parse(self._object(exchange))
        new = protected.get("jwk")
        if "nonce" in protected or protected.get("url") != exchange.url or not new:
            raise Problem("malformed", "inner JWS wants jwk, the same url and no nonce")
        jose.verify(jws, protected["alg"], new)
        if json.loads(payload) != {"account": account["url"], "oldKey": account["jwk"]}:
            raise Problem("malformed", "inner payload is not this account and its key")
        taken = [one for one in self.accounts.values() if one["jwk"] == new]
        if taken:
            headers = {"Location": taken[0]["url"]}
            raise Problem("conflict", "key is in use", 409, headers)
        account["jwk"] = new
        return self._account_reply(account)

    # Orders (7.4)

    def _do_new_order(self, exchange, account):
        wanted = self._object(exchange)
        identifiers = wanted.get("identifiers")
        if not identifiers or not all(set(one) == {"type", "value"} for one in identifiers):
            raise Problem("malformed", f"identifiers: {identifiers!r}")
        profile = wanted.get("profile")
        if profile is not None and profile not in self.profiles:
            raise Problem("invalidProfile", f"no profile {profile!r}")
        self._check_replaces(wanted.get("replaces"))
        for order in self.orders.values() if self.order_reuse else ():
            same = order["account"] == account["url"] and order["identifiers"] == identifiers
            if same and order["status"] in ("pending", "ready"):
                return self._order_reply(order, 201, Location=self.base + order["path"])
        authzs = [self._authz_for(one, account) for one in identifiers]
        order = {
            "path": f"/order/{next(self._ids)}", "account": account["url"], "status": "pending",
            "identifiers": identifiers, "authzs": authzs, "profile": profile, "polls": 0,
            "replaces": wanted.get("replaces"), "csr": None, "cert": None, "error": None,
        }  # fmt: skip
        self.orders[order["path"]] = order
        return self._order_reply(order, 201, Location=self.base + order["path"])

    def _check_replaces(self, replaces):
        """RFC 9773 section 5; RFC 8555 wants unknown members ignored where there is no ARI."""
        if replaces is None:
            return
        if not self.ari:
            self.note_violation("replaces in newOrder, though the directory has no renewalInfo")
            return
        if replaces not in [cert_id(item["cert"]) for item in self.certs.values()]:
            raise Problem("malformed", f"replaces an unknown certificate: {replaces}")
        for order in self.orders.values():
            if order["replaces"] == replaces and order["status"] != "invalid":
                raise Problem("alreadyReplaced", f"{replaces} is replaced already")

    def _authz_for(self, identifier, account):
        name, wildcard = identifier["value"], identifier["value"].startswith("*.")
        bare = {"type": identifier["type"], "value": name[2:] if wildcard else name}
        for authz in self.authzs.values():
            same = authz["identifier"] == bare and authz["wildcard"] == wildcard
            mine = authz["account"] == account["url"] and authz["status"] == "valid"
            if self.authz_reuse and same and mine:
                return authz["path"]
        number = next(self._ids)
        authz = {
            "path": f"/authz/{number}", "account": account["url"], "status": "pending",
            "identifier": bare, "wildcard": wildcard, "polls": 0, "due": None, "challenges": [],
        }  # fmt: skip
        kinds = [kind for kind in self.challenges if kind.startswith("dns-") or not wildcard]
        for kind in kinds:
            path = f"/challenge/{next(self._ids)}"
            one = {"type": kind, "url": self.base + path, "status": "pending"}
            if kind != "dns-persist-01":
                one["token"] = self.make_token()
            else:
                one["issuerDomainNames" if self.hash_prefix else "issuer-domain-names"] = ["ca.invalid"]
            authz["challenges"].append(one)
        self.authzs[authz["path"]] = authz
        return authz["path"]

    def _do_order(self, exchange, account):
        self._post_as_get(exchange)
        return self._order_reply(self._owned(self.orders, exchange, account))

    def _order_reply(self, order, code=200, **headers):
        self._advance(order)
        obj = {
            "status": order["status"],
            "expires": rfc3339(pki.now() + datetime.timedelta(days=7)),
            "identifiers": order["identifiers"],
            "authorizations": [self.base + path for path in order["authzs"]],
            "finalize": f"{self.base}/finalize/{order['path'].rpartition('/')[2]}",
        }
        if order["profile"]:
            obj["profile"] = order["profile"]
        if order["error"]:
            obj["error"] = order["error"]
        if order["replaces"] and self.ari:
            obj["replaces"] = order["replaces"]
        if order["status"] == "valid":
            obj["certificate"] = self.base + order["cert"]
        if order["status"] == "processing":
            headers.update(self._not_ready())
        return self._reply(obj, code, **headers)

    def _advance(self, order):
        """Bring an order to the status that is due (7.1.6)."""
        if order["status"] == "pending":
            authzs = [self.authzs[path] for path in order["authzs"]]
            states = {authz["status"] for authz in authzs}
            if states == {"valid"}:
                order["status"] = "ready"
            elif states & {"invalid", "deactivated", "expired", "revoked"}:
                order["status"] = "invalid"
                failed = [one["error"] for a in authzs for one in a["challenges"] if "error" in one]
                order["error"] = failed[0] if failed else None
        elif order["status"] == "processing" and self.issuance_gate.is_set():
            if order["polls"] > 0:
                order["polls"] -= 1
            else:
                self._issue(order)

    # Authorizations (7.5)

    def _do_authz(self, exchange, account):
        authz = self._owned(self.authzs, exchange, account)
        if exchange.payload == "":
            self._settle(authz)
        elif self._object(exchange).get("status") == "deactivated":
            authz["status"] = "deactivated"
        else:
            raise Problem("malformed", "an authorization can be read or deactivated")
        obj = {key: authz[key] for key in ("status", "identifier", "challenges")}
        obj["expires"] = rfc3339(pki.now() + datetime.timedelta(days=7))
        if authz["wildcard"]:
            obj["wildcard"] = True
        return self._reply(obj, **(self._not_ready() if authz["status"] == "pending" else {}))

    def _settle(self, authz):
        """Let the outcome of a validation show once it is due."""
        outcome = authz["due"]
        if not outcome or not outcome["ready"].is_set() or authz["status"] != "pending":
            return
        if authz["polls"] > 0:
            authz["polls"] -= 1
            return
        challenge = outcome["challenge"]
        challenge["status"] = "invalid" if outcome["error"] else "valid"
        left = [one for one in authz["challenges"] if one["status"] == "pending"]
        if outcome["error"] and self.forgiving and left:
            authz["due"] = None
        else:
            authz["status"] = challenge["status"]
        if outcome["error"]:
            challenge["error"] = outcome["error"]
        else:
            challenge["validated"] = rfc3339(pki.now())

    def _do_challenge(self, exchange, account):
        authz, challenge = self._find_challenge(exchange.url)
        if authz["account"] != account["url"]:
            raise Problem("unauthorized", "of another account")
        if exchange.payload != "":
            if self._object(exchange) != {}:
                raise Problem("malformed", "a challenge is answered with an empty object")
            self._answer(authz, challenge, account)
        self._settle(authz)
        return self._challenge_reply(authz, challenge)

    def _await_validation(self, exchange):
        """A reply that shows the outcome, if it comes at once: nobody need poll for it then."""
        if exchange.endpoint != "challenge" or not self.validation_gate.is_set():
            return None
        authz, challenge = self._find_challenge(exchange.url)
        outcome = authz["due"]
        if not outcome or authz["status"] != "pending" or not outcome["ready"].wait(0.5):
            return None
        with self._lock:
            self._settle(authz)
            return self._challenge_reply(authz, challenge)

    def _challenge_reply(self, authz, challenge):
        reply = self._reply(challenge)
        reply.headers["Link"] += f', <{self.base}{authz["path"]}>;rel="up"'
        return reply

    def _find_challenge(self, url):
        for authz in self.authzs.values():
            for challenge in authz["challenges"]:
                if challenge["url"] == url:
                    return authz, challenge
        raise Problem("malformed", f"no such challenge: {url}", status=404)

    def _answer(self, authz, challenge, account):
        if authz["status"] != "pending":
            raise Problem("malformed", f"authorization is {authz['status']}")
        if authz["due"]:
            self.note_violation(f"challenge answered twice: {challenge['url']}")
            return
        challenge["status"] = "processing"
        outcome = {"challenge": challenge, "error": None, "ready": threading.Event()}
        authz["due"], authz["polls"] = outcome, self.validation_polls
        args = (authz["identifier"], challenge, account["jwk"], outcome)
        if self.validate == "none" and self.validation_gate.is_set():
            self._validate(*args)
        else:
            threading.Thread(target=self._validate, args=args, daemon=True).start()

    def _validate(self, identifier, challenge, jwk, outcome):
        """Look at a challenge; the result waits in outcome for the next poll."""
        while not self.validation_gate.wait(0.1):
            if self.stopping.is_set():
                return
        error = self.challenge_result(identifier, challenge["type"])
        if error is None and self.validate == "http":
            key_auth = f"{challenge['token']}.{jose.thumbprint(jwk)}"
            look = {"http-01": self._see_http, "tls-alpn-01": self._see_tls}
            see = look.get(challenge["type"])
            error = see and see(identifier["value"], challenge["token"], key_auth)
        outcome["error"] = error
        outcome["ready"].set()

    def _see_http(self, name, token, key_auth):
        """8.3: None, or what is wrong."""
        path = f"/.well-known/acme-challenge/{token}"
        conn = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            conn.request("GET", path, headers={"Host": name, "User-Agent": "fake CA"})
            got = conn.getresponse()
            content = got.read(4096).decode(errors="replace")
        except (OSError, http.client.HTTPException) as err:
            return challenge_error("connection", f"{name}: {err}")
        finally:
            conn.close()
        if got.status != 200:
            return challenge_error("unauthorized", f"{name}: status {got.status}")
        if content.rstrip() != key_auth:
            return challenge_error("incorrectResponse", f"{name}: {content!r:.100}")
        return None

    def _see_tls(self, name, _token, key_auth):
        """RFC 8737 section 3."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["acme-tls/1"])
        try:
            with socket.create_connection(("127.0.0.1", self.tls_port), timeout=10) as raw:
                with context.wrap_socket(raw, server_hostname=server_name(name)) as conn:
                    protocol = conn.selected_alpn_protocol()
                    cert = x509.load_der_x509_certificate(conn.getpeercert(True))
        except ssl.SSLError as err:
            return challenge_error("tls", f"{name}: {err}")
        except OSError as err:
            return challenge_error("connection", f"{name}: {err}")
        if protocol != "acme-tls/1":
            return challenge_error("unauthorized", f"{name}: protocol {protocol}")
        return _wrong_alpn_cert(cert, name, key_auth)

    # Certificates (7.4, 7.6)

    def _do_finalize(self, exchange, account):
        path = "/order/" + exchange.path.rpartition("/")[2]
        order = self.orders.get(path)
        if not order:
            raise Problem("malformed", f"no such order: {path}", status=404)
        if order["account"] != account["url"]:
            raise Problem("unauthorized", "of another account")
        self._advance(order)
        if order["status"] != "ready":
            raise Problem("orderNotReady", f"order is {order['status']}")
        order["csr"] = self._check_csr(self._object(exchange), order, account)
        order["status"], order["polls"] = "processing", self.processing_polls
        return self._order_reply(order, Location=self.base + path)

    def _check_csr(self, wanted, order, account):
        try:
            csr = x509.load_der_x509_csr(jose.unb64(wanted.get("csr")))
        except ValueError as err:
            raise Problem("badCSR", f"not a CSR: {err}", violation=True) from err
        names = sorted(one["value"] for one in order["identifiers"])
        if not csr.is_signature_valid:
            raise Problem("badCSR", "signature of the CSR does not verify", violation=True)
        if pki.names_of(csr) != names:
            raise Problem("badCSR", f"CSR has {pki.names_of(csr)}, not {names}", violation=True)
        common = [one.value for one in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if any(cn not in names for cn in common):
            raise Problem("badCSR", f"common name {common} not among {names}", violation=True)
        if jose_key_der(account["jwk"]) == pki.public_der(csr):
            raise Problem("badCSR", "the CSR's key is the account's", violation=True)
        return csr

    def _issue(self, order):
        begin = pki.now() - datetime.timedelta(seconds=30)
        names = [one["value"] for one in order["identifiers"]]
        end = begin + datetime.timedelta(seconds=self.validity)
        leaf = pki.Leaf(names, order["csr"].public_key(), begin, end, ocsp=list(self.ocsp))
        self.on_issue(leaf)
        cert = self.intermediate.issue(leaf)
        path = f"/certificate/{next(self._ids)}"
        self.certs[path] = {
            "account": order["account"], "cert": cert, "csr": order["csr"], "revoked": None,
        }  # fmt: skip
        order["status"], order["cert"] = "valid", path

    def _do_certificate(self, exchange, account):
        self._post_as_get(exchange)
        path, _, number = exchange.path.partition("/alternate/")
        item = self.certs.get(path)
        if not item or int(number or 0) > self.alternates:
            raise Problem("malformed", f"no such certificate: {path}", status=404)
        if item["account"] != account["url"]:
            raise Problem("unauthorized", "of another account")
        upper = (self.cross if number else self.intermediate).cert
        certs = [item["cert"], upper]
        if self.make_chain:
            certs = self.make_chain(item["cert"], upper, item["csr"])
        links = [f'<{self.directory_url}>;rel="index"']
        others = [n for n in range(self.alternates + 1) if n != int(number or 0)]
        base = "" if self.relative_links else self.base
        for n in others:
            links.append(f'<{base}{path}{f"/alternate/{n}" if n else ""}>;rel="alternate"')
        headers = {"Content-Type": CHAIN, "Link": ", ".join(links)}
        return Reply(200, headers, b"".join(pki.cert_pem(cert) for cert in certs))

    def _do_revoke_cert(self, exchange, signer):
        wanted = self._object(exchange)
        der = jose.unb64(wanted.get("certificate"))
        found = [item for item in self.certs.values() if _der(item["cert"]) == der]
        if not found:
            raise Problem("malformed", "no such certificate", status=404, violation=False)
        item = found[0]
        by_account = item["account"] == signer.get("url")
        if not by_account and jose_key_der(signer) != pki.public_der(item["cert"]):
            raise Problem("unauthorized", "neither the account nor the key of the certificate")
        if item["revoked"] is not None:
            raise Problem("alreadyRevoked", "revoked already")
        reason = wanted.get("reason", 0)
        if reason not in (0, 1, 4, 5):
            raise Problem("badRevocationReason", f"reason {reason}")
        item["revoked"] = reason
        return Reply(200)


def challenge_error(kind, detail):
    """The error of a failed challenge, also for FakeCA.challenge_result."""
    return {"type": ERROR + kind, "detail": detail, "status": STATUS[kind]}


def cert_id(cert):
    """RFC 9773 section 4.1."""
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    serial = cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big")
    return f"{jose.b64(aki.key_identifier)}.{jose.b64(serial)}"


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def jose_key_der(jwk):
    """The SubjectPublicKeyInfo of a JWK; empty for what is no JWK."""
    for alg in ("ES256", "ES384", "RS256"):
        try:
            return pki.public_der(jose.public_key(alg, jwk))
        except jose.BadJws:
            continue
    return b""


def _default_window(cert):
    """The last third of the lifetime, narrowly, as Let's Encrypt says it."""
    life = cert.not_valid_after - cert.not_valid_before
    start = cert.not_valid_after - life / 3
    return Range(start, start + life / 50)


def _decode_mac(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


def server_name(identifier):
    """What stands in SNI for it; RFC 8738 section 6 for an address."""
    try:
        return ipaddress.ip_address(identifier).reverse_pointer
    except ValueError:
        return identifier


def _wrong_alpn_cert(cert, name, key_auth):
    """What is wrong with a tls-alpn-01 certificate, or None."""
    if pki.names_of(cert) != [name]:
        return challenge_error("unauthorized", f"{name}: certificate for {pki.names_of(cert)}")
    oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
    try:
        found = cert.extensions.get_extension_for_oid(oid)
    except x509.ExtensionNotFound:
        return challenge_error("unauthorized", f"{name}: no acmeIdentifier extension")
    wanted = b"\x04\x20" + hashlib.sha256(key_auth.encode()).digest()
    if not found.critical or found.value.value != wanted:
        return challenge_error("unauthorized", f"{name}: wrong acmeIdentifier extension")
    return None


def tokens(ca):
    """Host -> token of http-01, from the authorizations the CA handed out."""
    found = {}
    for exchange in ca.requests_to("authz"):
        authz = exchange.reply.json()
        token = next(c["token"] for c in authz["challenges"] if c["type"] == "http-01")
        found[authz["identifier"]["value"]] = token
    return found
