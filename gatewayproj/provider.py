"""An identity provider at which people sign in: where its endpoints are, which keys sign, who we are there.

Everything is read by discovery (OpenID Connect Discovery 1.0 §4), kept for ten minutes, with a time and a
size limit.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import requests
from django.conf import settings
from urllib3.exceptions import HTTPError

from gatewayproj import env
from gatewayproj.guarded import session
from proxy.fetching import checked_url
from proxy.jwks import MAX_DOCUMENT_BYTES, Keys, PublicKey, parse_keys

if TYPE_CHECKING:
    from approvals.config.schema import Issuer

FRESH_SECONDS = 600.0
RETRY_SECONDS = 30.0
# For so long after a failure nobody else waits for a provider that does not answer: anybody may press its button.
PAUSE_SECONDS = 5.0
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint")
# In the discovery document of who names themselves in every answer (RFC 9207 §3).
NAMES_ITSELF = "authorization_response_iss_parameter_supported"
# Single claims can be asked for (Core §5.5).
TAKES_CLAIMS = "claims_parameter_supported"
# How clients show at the token endpoint who they are; the first is what is meant when nothing is said (Discovery §3).
SHOWN_BY = "token_endpoint_auth_methods_supported"
BY_HEADER = "client_secret_basic"
CHUNK_BYTES = 16 * 1024


class SignInFailed(Exception):
    """Somebody could not be signed in. The message is for the log; the person sees a page without detail."""


@dataclass(frozen=True, slots=True, repr=False)
class Client:
    """Who this gateway is at an issuer. `repr` does not show the secret."""

    id: str
    secret: str


def client_of(issuer: Issuer) -> Client | None:
    """Return our client at an issuer with `login: true`; None when it has none and so gets no button."""
    if not issuer.login or issuer.saml is not None:
        return None
    client = Client(env.of_issuer(issuer.name, "CLIENT_ID"), env.of_issuer(issuer.name, "CLIENT_SECRET"))
    return client if client.id else None


@dataclass(slots=True)
class Provider:
    """One issuer as the browser sign-in uses it. Thread-safe; everything blocking is under the lock."""

    issuer: Issuer
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _endpoints: dict[str, str] = field(default_factory=dict)
    _endpoints_until: float = 0.0
    _asked_in_vain: float = float("-inf")
    _keys: Keys | None = None
    _keys_until: float = 0.0
    _asked_at: float = float("-inf")

    def endpoint(self, name: str) -> str:
        """Return one of ENDPOINTS, empty when the provider has none. Raises SignInFailed."""
        with self._lock:
            if time.monotonic() >= self._endpoints_until:
                self._endpoints = self._discovered()
                self._endpoints_until = time.monotonic() + FRESH_SECONDS
            return self._endpoints.get(name, "")

    def _discovered(self) -> dict[str, str]:
        if time.monotonic() - self._asked_in_vain < PAUSE_SECONDS:
            raise SignInFailed("the provider could not be asked a moment ago")
        try:
            return _discover(self.issuer)
        except SignInFailed:
            self._asked_in_vain = time.monotonic()
            raise

    @property
    def names_itself(self) -> bool:
        """Whether every answer of it must name it. Raises SignInFailed."""
        return bool(self.endpoint(NAMES_ITSELF))

    def key(self, kid: str | None, algorithm: str) -> PublicKey:
        """Return the key that a token names; an unknown `kid` asks the issuer again, at most every 30
        seconds.

        Raises SignInFailed when there is none that fits.
        """
        address = self.issuer.jwks_uri or self.endpoint("jwks_uri")
        with self._lock:
            now = time.monotonic()
            found = self._keys.find(kid, algorithm) if self._keys and now < self._keys_until else None
            if found is None and now - self._asked_at >= RETRY_SECONDS:
                self._asked_at = now
                self._keys, self._keys_until = _read_keys(address), now + FRESH_SECONDS
            keys = self._keys if now < self._keys_until else None
            found = keys.find(kid, algorithm) if keys else None
        if found is None:
            raise SignInFailed("the identity token is signed with an unknown key")
        return found


def _read_keys(address: str) -> Keys:
    try:
        if address.startswith("file:"):
            return parse_keys(Path(address[5:]).read_bytes())
        return parse_keys(fetch("GET", address))
    except (ValueError, OSError) as error:
        msg = f"the keys cannot be read: {type(error).__name__}"
        raise SignInFailed(msg) from error


def _discover(issuer: Issuer) -> dict[str, str]:
    found = document(fetch("GET", issuer.issuer.removesuffix("/") + "/.well-known/openid-configuration"))
    if found.get("issuer") != issuer.issuer:
        raise SignInFailed("the discovery document is not of this issuer")
    endpoints = {name: found[name] for name in ENDPOINTS if isinstance(found.get(name), str)}
    for address in endpoints.values():
        if address.startswith("http:") and not issuer.issuer.startswith("http:"):
            raise SignInFailed("the discovery document names an address without https")
        if not address.isascii() or not address.isprintable() or " " in address:
            raise SignInFailed("the discovery document names an address that is none")
    endpoints |= {flag: "true" for flag in (NAMES_ITSELF, TAKES_CLAIMS) if found.get(flag) is True}
    methods = found.get(SHOWN_BY, [BY_HEADER])
    if isinstance(methods, list) and BY_HEADER in methods:
        endpoints[BY_HEADER] = "true"
    if missing := {"authorization_endpoint", "token_endpoint", "jwks_uri"} - endpoints.keys():
        msg = f"the discovery document lacks {', '.join(sorted(missing))}"
        raise SignInFailed(msg)
    return endpoints


def fetch(method: str, address: str, **arguments: Any) -> bytes:
    """Return the body of the provider's answer.

    No redirects, OIDC_TIMEOUT seconds for all of it. Raises SignInFailed unless 200.
    """
    until = time.monotonic() + settings.OIDC_TIMEOUT
    try:
        checked_url(address)
        with (
            session() as asking,
            asking.request(
                method, address, timeout=settings.OIDC_TIMEOUT, allow_redirects=False, stream=True, **arguments
            ) as response,
        ):
            body = _read(response, until)
            status = response.status_code
    except (ValueError, OSError, HTTPError) as error:  # the exceptions of requests are OSErrors
        msg = f"the provider cannot be reached: {type(error).__name__}"
        raise SignInFailed(msg) from error
    if status != requests.codes.ok or len(body) > MAX_DOCUMENT_BYTES:
        msg = f"the provider answered {status} with {len(body)} bytes"
        raise SignInFailed(msg)
    return body


def _read(response: requests.Response, until: float) -> bytes:
    """Read up to the size limit. Raises TimeoutError: who sends a byte now and then would keep us for ever."""
    body = b""
    while len(body) <= MAX_DOCUMENT_BYTES:
        if time.monotonic() > until:
            raise TimeoutError
        chunk = response.raw.read1(CHUNK_BYTES, decode_content=True)
        if not chunk:
            break
        body += chunk
    return body


def document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises SignInFailed."""
    try:
        found = orjson.loads(body)
    except ValueError as error:
        raise SignInFailed("the provider's answer is not JSON") from error
    if not isinstance(found, dict):
        raise SignInFailed("the provider's answer is not a JSON object")
    return found


_providers: dict[str, Provider] = {}
_providers_lock = threading.Lock()


def provider(issuer: Issuer) -> Provider:
    """Return the provider of an issuer as configured now; a changed entry starts with nothing remembered."""
    with _providers_lock:
        return _providers.setdefault(issuer.model_dump_json(), Provider(issuer))
