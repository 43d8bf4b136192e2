"""What a caller is given to show that their call is in the record: signed by the process that wrote the entry. Pure.

The key is of the process, made at its start, and its first entry names it: whoever has the log can check.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sessions.evidence.gwverify.receipts import statement


class Receipts:
    """Signs the receipts of one process, `writer`, of the log `origin`. `public` is its public key, hex."""

    def __init__(self, origin: str, writer: str) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._origin, self._writer = origin, writer
        self.public = self._private.public_key().public_bytes_raw().hex()

    def of(self, entry: str, n: int) -> dict[str, Any]:
        """Return the receipt of an entry: its leaf hash (hex), and its number among those of this process."""
        told = {"origin": self._origin, "writer": self._writer, "n": n, "entry": entry}
        return {**told, "signature": self._private.sign(statement(told)).hex()}
