"""A push service on this machine, and a browser that is subscribed there: it alone can read what comes for it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.receiver import Posted, Receiver


def written(data: bytes) -> str:
    """Return Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(text: str) -> bytes:
    """Return what such Base64 says."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Subscribed:
    """One browser with its keys, at an address of a push service."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def p256dh(self) -> bytes:
        """The public key, as browsers tell it."""
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def document(self) -> dict[str, Any]:
        """What JSON.stringify makes of its PushSubscription."""
        keys = {"p256dh": written(self.p256dh), "auth": written(self.auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def reads(self, posted: Posted) -> Any:
        """Decrypt a message (RFC 8291) and return its JSON."""
        salt, rest = posted.body[:16], posted.body[16:]
        sender, sealed = rest[5 : 5 + rest[4]], rest[5 + rest[4] :]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        key = _expand(shared, self.auth, b"WebPush: info\0" + self.p256dh + sender, 32)
        content = _expand(key, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _expand(key, salt, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(content).decrypt(nonce, sealed, None)
        assert plain.endswith(b"\x02"), "the last record ends so"
        return orjson.loads(plain[:-1])


def _expand(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)


def vouched_for(posted: Posted, service: Receiver) -> dict[str, Any]:
    """Verify who sends (RFC 8292) as a push service does, and return the claims."""
    scheme, _, parameters = posted.headers["authorization"].partition(" ")
    assert scheme == "vapid"
    token, key = (part.strip().partition("=")[2] for part in parameters.split(","))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), read(key))
    audience = service.url.removesuffix("/hooks/holdgate")
    claims: dict[str, Any] = jwt.decode(token, public, algorithms=["ES256"], audience=audience)
    return claims
