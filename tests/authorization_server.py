"""A real authorization server for tests, over HTTP on the loopback: it gives tokens, notes who asked, and can fail.

`asked` has the form of every question to the token endpoint. A token is good while it stands in `good`. Refresh tokens
are used once: who comes with an old one ends the whole family, as servers with rotation do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import jwt

CLIENT_ID, CLIENT_SECRET = "holdgate: client", "canary-client-secret/+"
Form = dict[str, list[str]]


class AuthorizationServer(ThreadingHTTPServer):
    """Give tokens to one client, which shows its secret or signs with the key of `client_key`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.token_endpoint = f"{self.issuer}/token"
        self.client_key: Any = None
        self.asked: list[Form] = []
        self.ways: list[str] = []  # how the client showed who it is
        self.good: dict[str, str] = {}  # access token to the subject that it stands for
        self.refresh: dict[str, str] = {}  # refresh token to its subject
        self.used: set[str] = set()
        self.codes: dict[str, tuple[dict[str, str], str]] = {}  # code to what was asked, and who agreed
        self.person = "somebody"  # who sits at the browser
        self.sender = self.issuer  # what an answer names as its sender
        self.denies = False
        self.rotates = True
        self.takes_public_clients = False
        self.seconds: Any = 3600
        self.fault: tuple[int, Any] | None = None
        self.metadata: dict[str, Any] = {}
        self.meanwhile: Callable[[], None] | None = None  # done before a token is given
        self.go = threading.Event()  # answers wait for it
        self.go.set()
        self._lock = threading.Lock()

    def admits(self, seen: Any) -> bool:
        """Say whether a request to a server brings a token that is good."""
        return (seen.header("authorization") or "").removeprefix("Bearer ") in self.good

    def revoke(self) -> None:
        """End every access token."""
        self.good.clear()

    def answer(self, form: Form, authorization: str) -> tuple[int, Any]:
        """Return status and document for one question."""
        with self._lock:
            self.asked.append(form)
            if self.fault is not None:
                return self.fault
            way = self._way(form, authorization)
            self.ways.append(way)
            if not way:
                return 401, {"error": "invalid_client", "error_description": "canary-description"}
            if self.meanwhile is not None:
                self.meanwhile()
            return self._given(form)

    def give(self, subject: str = "", *, refreshable: bool = False) -> dict[str, Any]:
        """Make tokens for a subject."""
        access = f"canary-access-{uuid.uuid4().hex}"
        self.good[access] = subject
        found: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.seconds}
        if refreshable:
            found["refresh_token"] = f"canary-refresh-{uuid.uuid4().hex}"
            self.refresh[found["refresh_token"]] = subject
        return found

    def _given(self, form: Form) -> tuple[int, Any]:
        match form.get("grant_type", [""])[0]:
            case "client_credentials":
                return 200, self.give("client")
            case "authorization_code":
                return self._redeemed(form)
            case "refresh_token":
                return self._refreshed(form["refresh_token"][0])
            case "urn:ietf:params:oauth:grant-type:token-exchange":
                return self._exchanged(form)
        return 400, {"error": "unsupported_grant_type"}

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes back to (RFC 6749 §4.1.2)."""
        back = {"state": query["state"], "iss": self.sender}
        if self.denies:
            return f"{query['redirect_uri']}?{urlencode({**back, 'error': 'access_denied'})}"
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        code = f"canary-code-{uuid.uuid4().hex}"
        self.codes[code] = query, self.person
        return f"{query['redirect_uri']}?{urlencode({**back, 'code': code})}"

    def _redeemed(self, form: Form) -> tuple[int, Any]:
        query, person = self.codes.pop(form["code"][0], ({}, ""))
        digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if query.get("redirect_uri") != form["redirect_uri"][0] or query["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        return 200, self.give(person, refreshable=self.rotates)

    def _refreshed(self, token: str) -> tuple[int, Any]:
        if token in self.used:
            self.refresh.clear()  # somebody has a copy: the whole family ends
        if token not in self.refresh:
            return 400, {"error": "invalid_grant"}
        subject = self.refresh[token]
        if self.rotates:
            del self.refresh[token]
            self.used.add(token)
        return 200, self.give(subject, refreshable=self.rotates)

    def _exchanged(self, form: Form) -> tuple[int, Any]:
        claims = jwt.decode(form["subject_token"][0], options={"verify_signature": False})
        return 200, {**self.give(claims["sub"]), "issued_token_type": form["requested_token_type"][0]}

    def _way(self, form: Form, authorization: str) -> str:
        if authorization.startswith("Basic "):
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
            return "basic" if (unquote(name), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET) else ""
        if form.get("client_id") != [CLIENT_ID]:
            return ""
        if "client_assertion" in form:
            return self._signed(form["client_assertion"][0])
        if "client_secret" not in form:
            return "public" if self.takes_public_clients else ""
        return "post" if form["client_secret"] == [CLIENT_SECRET] else ""

    def _signed(self, assertion: str) -> str:
        algorithm = jwt.get_unverified_header(assertion)["alg"]
        claims = jwt.decode(assertion, self.client_key, [algorithm], audience=[self.issuer, self.token_endpoint])
        return f"signed {algorithm}" if claims["iss"] == claims["sub"] == CLIENT_ID else ""


class _Handler(BaseHTTPRequestHandler):
    server: AuthorizationServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            self._send(302, {}, self.server.authorize(dict(parse_qsl(parts.query))))
            return
        metadata = self.server.metadata.get(parts.path)
        self._send(404 if metadata is None else 200, metadata)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.server.go.wait(10)
        self._send(*self.server.answer(form, self.headers.get("authorization", "")))

    def _send(self, status: int, document: Any, location: str = "") -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("location", location or f"{self.server.issuer}/elsewhere")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def authorization_server() -> Iterator[AuthorizationServer]:
    """Give such a server; it is closed at the end."""
    with AuthorizationServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.go.set()
            server.shutdown()
            thread.join(10)
