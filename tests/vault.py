"""A Vault of our own on loopback, which keeps Vault's rules.

Tokens expire, renewal ends at a greatest age, policies say what may be read, a KV engine of version 2 is not one of
version 1, dynamic secrets are leased anew with every read.

    with running_vault() as vault:
        vault.secrets["secret/data/orders"] = {"token": "s3cret"}
        token = vault.token("secret/data/orders")

Time is `vault.clock`, which a test may set. What was asked is kept in `asked`.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]
DENIED: Reply = (403, {"errors": ["permission denied"]})
VERSIONED = (
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use."
)


@dataclass
class Issued:
    """A token: what it may read, and until when it lives; `oldest` is when no renewal helps any more."""

    reads: tuple[str, ...]
    ttl: float
    until: float
    oldest: float
    renewable: bool


@dataclass
class FakeVault:
    """The server, what it holds, and what came."""

    url: str = ""
    namespace: str = ""
    clock: Callable[[], float] = time.monotonic
    sealed: bool = False
    silent: bool = False
    answer: tuple[int, bytes] | None = None  # instead of Vault's own
    secrets: dict[str, dict[str, Any] | None] = field(default_factory=dict)  # None: the newest version is deleted
    plain: dict[str, dict[str, Any]] = field(default_factory=dict)  # of KV engines of version 1
    dynamic: dict[str, int] = field(default_factory=dict)  # path: seconds of its leases
    tokens: dict[str, Issued] = field(default_factory=dict)
    roles: dict[tuple[str, ...], tuple[tuple[str, ...], float, float]] = field(default_factory=dict)
    """What is shown at a login, the mount first: what the token may read, its life, its greatest age."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    leased: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def token(self, *reads: str, ttl: float = 0, oldest: float = 0, renewable: bool = True) -> str:
        """Issue a token that may read these paths; without a life it does not end."""
        value = f"hvs.{uuid.uuid4().hex}"
        now, forever = self.clock(), float("inf")
        self.tokens[value] = Issued(reads, ttl, now + (ttl or forever), now + (oldest or forever), renewable)
        return value

    def count(self, path: str) -> int:
        """Return how often this path was asked for."""
        return sum(one == path for _, one in self.asked)

    def respond(self, verb: str, path: str, token: str, namespace: str, body: dict[str, Any]) -> Reply:
        """Answer one request as Vault does."""
        self.asked.append((verb, path))
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if namespace != self.namespace:
            return DENIED
        if verb == "POST" and path.endswith("/login"):
            return self._login(path.split("/")[1], body)
        issued = self.tokens.get(token)
        return DENIED if issued is None or self.clock() >= issued.until else self._allowed(issued, verb, path, token)

    def _allowed(self, issued: Issued, verb: str, path: str, token: str) -> Reply:
        if path == "auth/token/lookup-self":
            return 200, {"data": {"ttl": self._left(issued), "renewable": issued.renewable, "id": token}}
        if path == "auth/token/renew-self":
            return self._renew(issued, token)
        return self._read(path) if verb == "GET" and path in issued.reads else DENIED

    def _left(self, issued: Issued) -> int:
        return int(issued.until - self.clock()) if issued.ttl else 0

    def _login(self, mount: str, body: dict[str, Any]) -> Reply:
        found = self.roles.get((mount, *(str(body[name]) for name in sorted(body))))
        if found is None:
            return 400, {"errors": ["invalid role or secret ID"]}
        reads, ttl, oldest = found
        value = self.token(*reads, ttl=ttl, oldest=oldest)
        return 200, {"auth": {"client_token": value, "lease_duration": int(ttl), "renewable": True}}

    def _renew(self, issued: Issued, token: str) -> Reply:
        if not issued.renewable:
            return 400, {"errors": ["lease is not renewable"]}
        issued.until = min(self.clock() + issued.ttl, issued.oldest)
        return 200, {"auth": {"client_token": token, "lease_duration": self._left(issued), "renewable": True}}

    def _read(self, path: str) -> Reply:
        if path in self.dynamic:
            self.leased.append(f"v-{uuid.uuid4().hex[:12]}")
            lease = {"lease_id": f"{path}/{uuid.uuid4()}", "lease_duration": self.dynamic[path], "renewable": True}
            return 200, {**lease, "data": {"username": "gateway", "password": self.leased[-1]}}
        if path in self.plain:
            return 200, {"lease_id": "", "lease_duration": 2764800, "data": self.plain[path]}
        about = {"version": 3, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False}
        if path in self.secrets:
            held = self.secrets[path]
            return 200 if held is not None else 404, {"lease_id": "", "data": {"data": held, "metadata": about}}
        mount, _, rest = path.partition("/")
        versioned = f"{mount}/data/{rest}" in self.secrets
        return 404, {"errors": [], "data": None, "warnings": [VERSIONED] if versioned else None}


@contextlib.contextmanager
def running_vault(tls: ssl.SSLContext | None = None) -> Iterator[FakeVault]:
    """Run one until the end of the block."""
    vault = FakeVault()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if vault.silent:
                vault.released.wait()
                return
            fields = self.headers.get("X-Vault-Token", ""), self.headers.get("X-Vault-Namespace", "")
            status, answer = vault.respond(self.command, self.path.removeprefix("/v1/"), *fields, body)
            status, sent = vault.answer or (status, json.dumps(answer).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.send_header("Location", f"{vault.url}/v1/elsewhere")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(sent)

        do_GET = do_POST = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    vault.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        vault.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
