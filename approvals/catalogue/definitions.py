"""One tool's definition as a server gave it: its canonical form and its digest. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

from masking import documents


def canonical(definition: Any) -> bytes:
    """Return the definition as JSON whose members are in order. Raises masking.documents.Unreadable."""
    return documents.write(_sorted(definition))


def digest_of(definition: Any) -> str:
    """Return the SHA-256 of all of the definition, in hex; the order of members makes no difference."""
    return hashlib.sha256(canonical(definition)).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
