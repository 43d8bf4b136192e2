"""What a browser's push service is sent: a body that the browser alone can read, and who sends it.

RFC 8291 (encryption for Web Push) over RFC 8188 (aes128gcm), and RFC 8292 (VAPID). Both are a few calls of
`cryptography` and PyJWT; docs/decisions says why there is no library between.
"""

from __future__ import annotations

import base64
import os
import struct
import time
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from approvals import keys

RECORD_SIZE: Final = 4096
# A record holds the text, the mark of its end and the tag; more than one record is never needed.
LONGEST: Final = RECORD_SIZE - 17
TOKEN_SECONDS: Final = 12 * 3600  # RFC 8292 allows a day
_CURVE: Final = ec.SECP256R1()
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Unreadable(ValueError):
    """What is to be a browser's key is none."""


def encrypt(
    text: bytes, p256dh: bytes, auth: bytes, *, own: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """Return the text so that only the browser with these keys can read it.

    `own` and `salt` are made anew for each message; only a test gives them. Raises Unreadable for keys that are none,
    ValueError for a text that is too long.
    """
    if len(text) > LONGEST:
        msg = f"at most {LONGEST} bytes fit a push message"
        raise ValueError(msg)
    own, salt = own or ec.generate_private_key(_CURVE), salt or os.urandom(16)
    public = _point(own.public_key())
    secret = own.exchange(ec.ECDH(), browser_key(p256dh, auth))
    key = _expand(secret, auth, b"WebPush: info\0" + p256dh + public, 32)
    content = _expand(key, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _expand(key, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + struct.pack("!IB", RECORD_SIZE, len(public)) + public
    return head + AESGCM(content).encrypt(nonce, text + b"\x02", None)


def browser_key(p256dh: bytes, auth: bytes) -> ec.EllipticCurvePublicKey:
    """Return the browser's public key. Raises Unreadable when it, or the secret beside it, cannot be one."""
    try:
        found = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    except ValueError:
        found = None
    if found is None or len(auth) != 16 or len(p256dh) != 65:
        msg = "not the keys of a browser"
        raise Unreadable(msg)
    return found


def _expand(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@cache
def _identity() -> ec.EllipticCurvePrivateKey:
    """Return the key by which push services know this installation: derived, so that all its processes have it."""
    return ec.derive_private_key(int.from_bytes(keys.derive("web push")) % (_ORDER - 1) + 1, _CURVE)


def public_key() -> str:
    """Return the public half for browsers: Base64 without padding, as they take it."""
    return written(_point(_identity().public_key()))


def authorization(endpoint: str, contact: str) -> str:
    """Return the Authorization field for one push service; `contact` is whom it may write to about us."""
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + TOKEN_SECONDS,
        "sub": f"mailto:{contact}",
    }
    return f"vapid t={jwt.encode(claims, _identity(), algorithm='ES256')}, k={public_key()}"


def written(data: bytes) -> str:
    """Return Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(text: str) -> bytes:
    """Return what such Base64 says. Raises Unreadable."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Unreadable("not Base64 for URLs") from None
