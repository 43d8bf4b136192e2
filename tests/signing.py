"""Keys and tokens for tests: sound ones, and every way in which a token can be wrong.

Keys are made once per run, since an RSA key takes a while. Tokens are put together by hand, because a library
that signs refuses to make the broken ones.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import Algorithm, get_default_algorithms


@dataclass(frozen=True)
class Key:
    """A private key with the name and the algorithm under which its public part is published."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        """The public part as a JSON Web Key."""
        public = _algorithm(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, message: bytes) -> bytes:
        """Sign as the algorithm's JSON Web Signature says."""
        return _algorithm(self.algorithm).sign(message, self.private)

    def public_pem(self) -> bytes:
        """The public part as a PEM file holds it, which an attacker may try as a shared secret."""
        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


def _algorithm(name: str) -> Algorithm:
    return get_default_algorithms()[name]


@functools.cache
def key(algorithm: str, serial: str) -> Key:
    """Return the key of this algorithm (RS256, PS256, ES256, ES384, EdDSA) and serial, the same each time."""
    private: Any
    match algorithm[:2]:
        case "RS" | "PS":
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ES":
            private = ec.generate_private_key(ec.SECP384R1() if algorithm == "ES384" else ec.SECP256R1())
        case _:
            private = ed25519.Ed25519PrivateKey.generate()
    return Key(f"{algorithm.lower()}-{serial}", algorithm, private)


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def document(value: object) -> str:
    """Return a value as compact JSON in base64url; lone surrogates travel as escapes."""
    return encoded(json.dumps(value, separators=(",", ":")).encode())


def signed(header: Mapping[str, Any], claims: object, by: Key) -> str:
    """Return a compact token; the header is taken as given, also where it does not fit the key.

    `claims` is any JSON value, or the payload's very bytes.
    """
    payload = encoded(claims) if isinstance(claims, bytes) else document(claims)
    message = f"{document(header)}.{payload}"
    return f"{message}.{encoded(by.sign(message.encode()))}"


def unsigned(claims: object, *, algorithm: str = "none", signature: str = "") -> str:
    """Return a token that says that it needs no signature."""
    return f"{document({'alg': algorithm, 'typ': 'JWT'})}.{document(claims)}.{signature}"


def signed_with_public_key(claims: object, of: Key) -> str:
    """Return a token with HS256 whose shared secret is the public key: the known confusion of algorithms."""
    message = f"{document({'alg': 'HS256', 'typ': 'JWT', 'kid': of.kid})}.{document(claims)}"
    return f"{message}.{encoded(hmac.digest(of.public_pem(), message.encode(), hashlib.sha256))}"


def altered(token: str, **claims: Any) -> str:
    """Return the token with claims changed and its signature kept."""
    header, payload, signature = token.split(".")
    return f"{header}.{document({**json.loads(decoded(payload)), **claims})}.{signature}"


def with_broken_signature(token: str) -> str:
    """Return the token with one bit of its signature turned over."""
    message, _, signature = token.rpartition(".")
    data = bytearray(decoded(signature))
    data[0] ^= 1
    return f"{message}.{encoded(bytes(data))}"
