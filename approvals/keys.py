"""Keys of this installation, each derived from the one secret key for one purpose, and the digests made with them."""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import cache, lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


@cache
def derive(purpose: str) -> bytes:
    """Return the 32-byte key of one purpose (HKDF-SHA-256, RFC 5869, with the purpose as `info`)."""
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"holdgate/{purpose}/v1".encode())
    return kdf.derive(settings.SECRET_KEY.encode())


def keyed_digest(purpose: str, *parts: bytes | str) -> str:
    """Return the HMAC-SHA-256 in hex over the parts, each with its length before it, so that no two lists agree."""
    mac = _begun(purpose).copy()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        mac.update(len(data).to_bytes(8, "big") + data)
    return mac.hexdigest()


@cache
def _begun(purpose: str) -> hmac.HMAC:
    """Return the MAC of a purpose with nothing in it yet, to be copied: setting the key costs more than a digest."""
    return hmac.new(derive(purpose), digestmod=hashlib.sha256)


@lru_cache(maxsize=4096)
def actor(account: str) -> str:
    """Return the pseudonym under which the record knows an account (`iss|sub`): 32 hex digits."""
    return keyed_digest("actor", account)[:32]


def email_digest(email: str | None) -> str:
    """Return the keyed digest of a verified e-mail address, trimmed and case-folded; empty for none."""
    folded = (email or "").strip().casefold()
    return keyed_digest("email", folded) if folded else ""


def seal(plain: bytes, *, context: str) -> bytes:
    """Encrypt with AES-256-GCM under a fresh nonce; the context must be the same again when it is opened."""
    nonce = os.urandom(12)
    return nonce + AESGCM(derive("seal")).encrypt(nonce, plain, context.encode())


def unseal(sealed: bytes, *, context: str) -> bytes:
    """Decrypt what `seal` made. Raises cryptography.exceptions.InvalidTag when it is not intact or not of here."""
    return AESGCM(derive("seal")).decrypt(sealed[:12], sealed[12:], context.encode())
