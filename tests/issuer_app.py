"""What the fake issuer of `tests.issuer` answers over HTTP: discovery, keys, the authorization code flow."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlencode

from tests.signing import encoded

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: a JSON document, or a redirect."""

    status: int
    body: object = None
    location: str = ""

    @property
    def content(self) -> bytes:
        """The body as it is sent: bytes as they are, everything else as JSON."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def bad(error: str, why: str) -> Answer:
    """The error answer of RFC 6749 §5.2."""
    return Answer(400, {"error": error, "error_description": why})


@dataclass
class Accounts:
    """Who is known, who sits at the browser, and the codes and access tokens that were given out."""

    client_id: str
    client_secret: str
    only_way: str = ""  # of a client to show who it is; any when empty
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    _present: tuple[str, dict[str, Any]] | None = None
    _codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _access: dict[str, str] = field(default_factory=dict)

    def sign_in(self, sub: str | None, claims: dict[str, Any]) -> None:
        """Choose who sits at the browser."""
        self._present = None if sub is None else (sub, claims)

    def authorize(self, query: Mapping[str, str]) -> Answer:
        """The authorization endpoint (RFC 6749 §4.1.1, RFC 7636 §4.3)."""
        if query.get("client_id") != self.client_id or not query.get("redirect_uri"):
            return bad("invalid_request", "unknown client_id or no redirect_uri")
        if query.get("response_type") != "code" or "openid" not in query.get("scope", "").split():
            return bad("invalid_request", "response_type must be code and scope must hold openid")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            return bad("invalid_request", "PKCE with S256 is required")
        back = {"state": query["state"]} if "state" in query else {}
        if self._present is None:
            return _redirect(query["redirect_uri"], {"error": "access_denied", **back})
        sub, claims = self._present
        code = secrets.token_urlsafe(24)
        self._codes[code] = {**query, "sub": sub, "claims": {"auth_time": int(time.time()), **claims}}
        return _redirect(query["redirect_uri"], {"code": code, **back})

    def redeem(self, form: Mapping[str, str], authorization: str, mint: Callable[..., str]) -> Answer:
        """The token endpoint (RFC 6749 §4.1.3, RFC 7636 §4.6): a code is good for one try."""
        if not self._is_client(form, authorization):
            return Answer(401, {"error": "invalid_client"})
        if form.get("grant_type") != "authorization_code":
            return bad("unsupported_grant_type", "only authorization_code")
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or asked["redirect_uri"] != form.get("redirect_uri"):
            return bad("invalid_grant", "unknown code or another redirect_uri")
        verifier = form.get("code_verifier", "")
        if encoded(hashlib.sha256(verifier.encode()).digest()) != asked["code_challenge"]:
            return bad("invalid_grant", "the code_verifier does not fit the code_challenge")
        access = secrets.token_urlsafe(24)
        self._access[access] = asked["sub"]
        nonce = {"nonce": asked["nonce"]} if "nonce" in asked else {}
        claims = {**self.people.get(asked["sub"], {}), **asked["claims"], **nonce}
        identity = mint(asked["sub"], self.client_id, **claims)
        body = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": identity}
        return Answer(200, {**body, "scope": asked["scope"]})

    def _is_client(self, form: Mapping[str, str], authorization: str) -> bool:
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if self.only_way and self.only_way != ("client_secret_basic" if authorization else "client_secret_post"):
            return False
        if authorization.startswith("Basic "):
            name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
            given = (unquote(name), unquote(password))
        return given == (self.client_id, self.client_secret)

    def userinfo(self, authorization: str) -> Answer:
        """The userinfo endpoint (OpenID Connect Core §5.3)."""
        sub = self._access.get(authorization.removeprefix("Bearer "))
        return Answer(401) if sub is None else Answer(200, {"sub": sub, **self.people.get(sub, {})})

    def log_out(self, query: Mapping[str, str]) -> Answer:
        """End the session at the provider and send the browser back (RP-initiated logout)."""
        self._present = None
        back = query.get("post_logout_redirect_uri")
        state = {"state": query["state"]} if "state" in query else {}
        return _redirect(back, state) if back else Answer(200, {})


def _redirect(address: str, query: Mapping[str, str]) -> Answer:
    joint = "&" if "?" in address else "?"
    return Answer(302, location=f"{address}{joint}{urlencode(query)}" if query else address)


class Issuer(Protocol):
    """What the server needs to know of an issuer."""

    path: str
    is_down: bool
    trickling: set[str]
    instead: dict[str, bytes]
    counts: Counter[str]
    accounts: Accounts

    def jwks(self) -> dict[str, Any]: ...
    def configuration(self) -> dict[str, Any]: ...
    def token(self, sub: Any, aud: Any, **claims: Any) -> str: ...


class IssuerApp:
    """The ASGI application; the first issuer whose path begins the address answers."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = sorted(issuers, key=lambda issuer: -len(issuer.path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = self._answer(scope, dict(parse_qsl(body.decode())))
        if answer is None:
            await _trickle(receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        if answer.location:
            headers.append((b"location", answer.location.encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def _answer(self, scope: Scope, form: Mapping[str, str]) -> Answer | None:
        issuer = next(found for found in self._issuers if scope["path"].startswith(f"{found.path}/"))
        endpoint = scope["path"].removeprefix(issuer.path)
        issuer.counts[endpoint] += 1
        if issuer.is_down:
            return Answer(503)
        if endpoint in issuer.trickling:
            return None
        if endpoint in issuer.instead:
            return Answer(200, issuer.instead[endpoint])
        query = dict(parse_qsl(scope["query_string"].decode()))
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
        answers: dict[str, Callable[[], Answer]] = {
            "/.well-known/openid-configuration": lambda: Answer(200, issuer.configuration()),
            "/jwks": lambda: Answer(200, issuer.jwks()),
            "/authorize": lambda: issuer.accounts.authorize(query),
            "/token": lambda: issuer.accounts.redeem(form, authorization, issuer.token),
            "/userinfo": lambda: issuer.accounts.userinfo(authorization),
            "/logout": lambda: issuer.accounts.log_out({**query, **form}),
        }
        return answers.get(endpoint, lambda: Answer(404))()


async def _trickle(receive: Receive, send: Send) -> None:
    """Begin to answer and never end: a space now and then, until the other side has enough of it."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.wait([gone], timeout=0.1)
