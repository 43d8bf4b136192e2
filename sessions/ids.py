"""Identifiers made by the server: UUID version 7, which sort by the time they were made."""

from __future__ import annotations

import secrets
import time

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


def uuid7() -> str:
    """Return a new UUIDv7 in text form (RFC 9562 §5.7): 48 bits of Unix milliseconds, then randomness.

    The twelve bits after the version hold the fraction of the millisecond (§6.2, method 3), so that ids
    made by one process within a millisecond still sort by time; the last 62 bits are random.
    """
    milliseconds, fraction = divmod(time.time_ns(), 1_000_000)
    sub_millisecond = (fraction * 4096) // 1_000_000
    number = milliseconds << 80 | _VERSION | sub_millisecond << 64 | _VARIANT | secrets.randbits(62)
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
