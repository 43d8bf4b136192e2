"""Bearer tokens: header field -> token -> signature -> claims, each a step of its own. Pure; no I/O.

A token is a JWT in compact form (RFC 7519, RFC 7515 §7.1), checked as RFC 8725 advises: what it says about
itself chooses neither the algorithm nor the key, and nothing in it is believed before the signature holds.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NewType

import orjson
from jwt.algorithms import AllowedPublicKeys, get_default_algorithms
from jwt.exceptions import PyJWTError

MAX_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 60
MAX_SUBJECT_LENGTH = 500
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
# RFC 7519 §5.1 and RFC 9068 §2.1. Logout tokens, security events, proofs and the like name another type.
_TYPES = frozenset({"jwt", "application/jwt", "at+jwt", "application/at+jwt"})
# The algorithms alone, without the library's own reading of tokens, which looks at each byte in Python: a
# hostile token of 8 KiB would cost milliseconds. Neither `none` nor any symmetric algorithm is among them.
_VERIFIERS = {name: get_default_algorithms()[name] for name in ALGORITHMS}

SignedClaims = NewType("SignedClaims", Mapping[str, Any])
"""Claims whose signature was verified with a key of their configured issuer; nothing else was checked yet."""


class TokenRejected(Exception):
    """The caller could not be authenticated.

    `message` may be shown to the caller. `detail` says more, for the log; neither holds the token or a part
    of it. `error` is the code of RFC 6750 §3.1, None when no credentials came. `retry_after` (seconds) is
    set when the fault is not the caller's: the keys of the issuer cannot be had now.
    """

    reason: Literal["unauthenticated"] = "unauthenticated"

    def __init__(
        self,
        message: str,
        detail: str = "",
        *,
        error: Literal["invalid_request", "invalid_token"] | None = "invalid_token",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail or message
        self.error = error
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token that has the right form. Nothing in it is to be trusted; `repr` does not show it."""

    signed: bytes
    signature: bytes
    issuer: str
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]


def authorization_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the one Authorization field of an ASGI header list, None when there is none.

    Raises TokenRejected for several, since the next hop might read another one than we do.
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if len(values) > 1:
        raise TokenRejected("Send exactly one Authorization header.", error="invalid_request")
    return values[0].decode("latin-1") if values else None


def bearer_token(authorization: str | None) -> str:
    """Return the token of an Authorization field value (RFC 6750 §2.1); raises TokenRejected."""
    if authorization is None:
        raise TokenRejected("A bearer token is required.", error=None)
    # Measured before the pattern looks at it.
    if len(authorization) > MAX_TOKEN_BYTES + len("Bearer "):
        raise TokenRejected("The token is too large.", f"the token is larger than {MAX_TOKEN_BYTES} bytes")
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise TokenRejected(
            "The Authorization header must be `Bearer` and one token.",
            "the Authorization header has another form",
            error="invalid_request",
        )
    return found.group(1)


def read_token(compact: str) -> Token:
    """Take a token apart without trusting it; raises TokenRejected for one that has not the form of a JWT."""
    found = _COMPACT.fullmatch(compact)
    if found is None or len(compact) > MAX_TOKEN_BYTES:
        raise _malformed("it is not three base64url parts")
    header, claims = _json_object(found.group(1)), _json_object(found.group(2))
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or not isinstance(issuer, str):
        raise _malformed("alg or iss is missing or no text")
    if not (kid is None or isinstance(kid, str)):
        raise _malformed("kid is no text")
    _check_header(header)
    signed = compact.rpartition(".")[0].encode()
    return Token(signed, _bytes(found.group(3)), issuer, algorithm, kid, claims)


def _bytes(part: str) -> bytes:
    """Decode base64url without padding; the one spelling of each value is accepted, others are not."""
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:  # binascii.Error is one
        decoded = b""
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise _malformed("a part of it is not base64url")
    return decoded


def _json_object(part: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(_bytes(part))
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise _malformed("a part of it is not a JSON object")
    return parsed


def _check_header(header: Mapping[str, Any]) -> None:
    # RFC 7515 §4.1.11: what is marked as critical must be understood. We understand no extension, and
    # `b64` may not be used in a JWT (RFC 7797 §7).
    if "crit" in header or "b64" in header:
        raise _malformed("it needs an extension that is not supported (crit)")
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise _malformed("its type (typ) is not that of an access or identity token")


def _malformed(detail: str) -> TokenRejected:
    return TokenRejected("The token is not a JSON Web Token that is accepted here.", f"malformed token: {detail}")


def verify_signature(token: Token, key: AllowedPublicKeys, algorithms: Collection[str]) -> SignedClaims:
    """Check the signature with a key and the algorithms configured for it; raises TokenRejected."""
    if token.algorithm not in ALGORITHMS or token.algorithm not in algorithms:
        raise TokenRejected("The token's signature algorithm is not accepted here.", "alg is not configured")
    verifier = _VERIFIERS[token.algorithm]
    try:
        sound = verifier.verify(token.signed, verifier.prepare_key(key), token.signature)
    except (PyJWTError, ValueError, TypeError):  # a key of another family, or a signature of a wrong form
        sound = False
    if not sound:
        raise TokenRejected("The token's signature is not valid.", "the signature does not fit")
    return SignedClaims(token.claims)


def check_claims(claims: SignedClaims, *, issuer: str, now: float) -> None:
    """Check issuer, subject and times with 60 s of leeway; raises TokenRejected. `now` is Unix time."""
    if claims.get("iss") != issuer:
        raise TokenRejected("The token's issuer is not accepted here.", "iss differs from the configured issuer")
    if not _is_subject(claims.get("sub")):
        raise TokenRejected("The token's subject is not usable.", "sub is missing, no text, too long or unprintable")
    if expiry(claims) <= now:
        raise TokenRejected("The token has expired.", "exp lies in the past")
    if _time(claims, "iat") > now + LEEWAY_SECONDS:
        raise TokenRejected("The token is not valid yet.", "iat lies in the future")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY_SECONDS:
        raise TokenRejected("The token is not valid yet.", "nbf lies in the future")


def _is_subject(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_SUBJECT_LENGTH:
        return False
    return value.isprintable() and value == value.strip()


def expiry(claims: SignedClaims) -> float:
    """Return when the token ends for us, leeway included, in seconds since 1970; raises TokenRejected."""
    return _time(claims, "exp") + LEEWAY_SECONDS


def _time(claims: SignedClaims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRejected(f"The token has no usable `{name}`.", f"{name} is missing or not a number")
    return value


def audiences_of(claims: SignedClaims) -> frozenset[str]:
    """Return whom the token is meant for (RFC 7519 §4.1.3); raises TokenRejected."""
    value = claims.get("aud")
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(item, str) and item for item in listed):
        raise TokenRejected("The token names no audience.", "aud is missing or of a wrong form")
    return frozenset(listed)


def check_audience(named: frozenset[str], accepted: Collection[str], *, strict: bool) -> None:
    """Check that the token is meant for us, with `strict` for nobody else beside us; raises TokenRejected."""
    ours = named.intersection(accepted)
    if not ours:
        raise TokenRejected("The token is meant for another audience.", "aud names none of the accepted audiences")
    if strict and ours != named:
        raise TokenRejected(
            "The token is meant for others beside this gateway.",
            "aud names others beside us (strict_audience)",
        )
