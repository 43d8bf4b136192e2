"""Identifiers made by the server: pure, no Django."""

from __future__ import annotations

import secrets
import time
import uuid


def uuid7() -> str:
    """Return a new UUID version 7 as text: milliseconds of Unix time first, 74 random bits after (RFC 9562 §5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
