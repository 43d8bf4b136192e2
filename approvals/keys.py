"""Keys of this installation, each derived from one secret for one purpose, and the digests made with them.

Names (pseudonyms, digests, hashes of masking) come from the key of names, which stays. Seals come from the secret key,
which can be exchanged: what it sealed before is opened while it is among the fallbacks.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress
from functools import cache, lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


@cache
def derive(purpose: str) -> bytes:
    """Return the 32-byte key of one purpose, the same for the life of the installation."""
    return _derived(purpose, settings.NAMES_KEY)


@lru_cache(maxsize=64)
def _derived(purpose: str, secret: str) -> bytes:
    """HKDF-SHA-256 (RFC 5869) with the purpose as `info`."""
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"holdgate/{purpose}/v1".encode())
    return kdf.derive(secret.encode())


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
    return nonce + AESGCM(_derived("seal", settings.SECRET_KEY)).encrypt(nonce, plain, context.encode())


def unseal(sealed: bytes, *, context: str) -> bytes:
    """Decrypt what `seal` made, also under a key that is being exchanged.

    Raises cryptography.exceptions.InvalidTag when it is not intact or not of here.
    """
    *others, last = settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS
    for secret in others:
        with suppress(InvalidTag):
            return _opened(secret, sealed, context)
    return _opened(last, sealed, context)


def sealed_anew(sealed: bytes, *, context: str) -> bytes | None:
    """Return what an older key sealed, sealed by the one in force; None when that one sealed it.

    Raises cryptography.exceptions.InvalidTag when no key opens it.
    """
    with suppress(InvalidTag):
        _opened(settings.SECRET_KEY, sealed, context)
        return None
    return seal(unseal(sealed, context=context), context=context)


def _opened(secret: str, sealed: bytes, context: str) -> bytes:
    return AESGCM(_derived("seal", secret)).decrypt(sealed[:12], sealed[12:], context.encode())
