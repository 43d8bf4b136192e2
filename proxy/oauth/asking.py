"""One question to a token endpoint, and what its answer gives (RFC 6749 §5): what it says in words goes nowhere."""

from __future__ import annotations

import asyncio
import base64
import re
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from approvals.secrets import Secret
from proxy.errors import CredentialUnavailable
from proxy.fetching import checked_url, fetch
from proxy.oauth.servers import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.config.oauth import OAuth
    from proxy.credentials import Credentials

TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 256 * 1024
ASSERTION_SECONDS = 60
# A token whose life nobody told is asked for anew after this.
UNTOLD_SECONDS = 300.0
LONGEST_SECONDS = 24 * 3600.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_ERROR = re.compile(r"[a-z0-9_]{1,40}")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The curves of RFC 7518 §3.4.
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint gave: the token, for how many seconds it is good, and what renews it."""

    access: Secret
    seconds: float
    refresh: Secret | None = None


class TokenRefused(CredentialUnavailable):
    """The authorization server said no; `error` is its code, such as invalid_grant."""

    def __init__(self, error: str) -> None:
        said = f" ({error})" if error else ""
        message = f"The authorization server of this connection gives the gateway no token{said}."
        super().__init__(message, detail=f"token_refused:{error}" if error else "token_refused")
        self.error = error


async def ask(
    transport: httpx.AsyncBaseTransport,
    endpoint: str,
    oauth: OAuth,
    credentials: Credentials,
    form: Mapping[str, str | tuple[str, ...]],
) -> Granted:
    """Ask as the configured client. Raises CredentialUnavailable, TokenRefused where the server said no."""
    fields, headers = await _client(oauth, endpoint, credentials)
    body = urlencode({**form, **fields}, doseq=True).encode()
    try:
        request = httpx.Request("POST", checked_url(endpoint), headers={**_HEADERS, **headers}, content=body)
        status, answer = await fetch(transport, request, seconds=TIMEOUT_SECONDS, most=MAX_ANSWER_BYTES)
    except TROUBLE as error:
        message = "The token endpoint of this connection's authorization server cannot be reached."
        raise CredentialUnavailable(message, detail="token_endpoint_unreachable") from error
    return _granted(status, answer)


_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": "holdgate",
}


def _granted(status: int, answer: bytes) -> Granted:
    try:
        found = orjson.loads(answer)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        found = {}
    if 400 <= status < 500:
        error = found.get("error")
        raise TokenRefused(error if isinstance(error, str) and _ERROR.fullmatch(error) else "")
    access, refresh = _token(found.get("access_token")), _token(found.get("refresh_token"))
    kind = found.get("token_type")
    if status != 200 or access is None or not isinstance(kind, str) or kind.lower() not in {"bearer", "n_a"}:
        message = "The token endpoint of this connection's authorization server answered with no bearer token."
        raise CredentialUnavailable(message, detail="token_invalid")
    return Granted(access, _seconds(found.get("expires_in")), refresh)


def _token(value: Any) -> Secret | None:
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return UNTOLD_SECONDS
    return min(seconds, LONGEST_SECONDS) if seconds > 0 else 0.0


async def _client(oauth: OAuth, endpoint: str, credentials: Credentials) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields and headers by which the gateway shows which client it is. Raises CredentialUnavailable."""
    if oauth.private_key is not None:
        assertion = await asyncio.to_thread(partial(_assertion, oauth, endpoint))
        return {
            "client_id": oauth.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
        }, {}
    if oauth.client_secret is None:
        return {"client_id": oauth.client_id}, {}
    secret = (await credentials.resolve(oauth.client_secret)).reveal()
    if oauth.client_auth == "post":
        return {"client_id": oauth.client_id, "client_secret": secret}, {}
    pair = f"{quote(oauth.client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749 §2.3.1
    return {}, {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _assertion(oauth: OAuth, endpoint: str) -> str:
    """Return a token that the client signed for this endpoint (RFC 7523 §2.2). Reads the key, so it may block."""
    now = int(time.time())
    claims = {
        "iss": oauth.client_id,
        "sub": oauth.client_id,
        "aud": oauth.issuer or endpoint,
        "jti": str(uuid.uuid4()),
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    try:
        key = load_pem_private_key(Path(str(oauth.private_key).removeprefix("file:")).read_bytes(), None)
        if isinstance(key, rsa.RSAPrivateKey):
            algorithm = "RS256"
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            algorithm = _CURVES[key.curve.name]
        elif isinstance(key, ed25519.Ed25519PrivateKey):
            algorithm = "EdDSA"
        else:
            raise ValueError("the key is of no kind that signs tokens")
        return jwt.encode(claims, key, algorithm, headers={"kid": oauth.key_id} if oauth.key_id else None)
    except (OSError, ValueError, TypeError, KeyError, jwt.PyJWTError) as error:
        message = "The private key of this connection's client (`private_key`) cannot be used."
        raise CredentialUnavailable(message, detail="client_key") from error
