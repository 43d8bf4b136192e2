"""Identifiers made by the server: UUID version 7, which sort by the time they were made."""

from __future__ import annotations

import os
import struct
import time
from datetime import datetime
from typing import Final

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (1 << 62) - 1
_DRAWN: Final = struct.Struct("128Q")

# Drawn in advance: a question to the system costs more than all the rest, and lets go of the interpreter's lock.
_numbers: list[int] = []
# A process that was forked must not give out the numbers of its parent.
os.register_at_fork(after_in_child=_numbers.clear)


def uuid7() -> str:
    """Return a new UUIDv7 in text form (RFC 9562 §5.7): 48 bits of Unix milliseconds, then randomness.

    The twelve bits after the version hold the fraction of the millisecond (§6.2, method 3), so that ids
    made by one process within a millisecond still sort by time; the last 62 bits are random.
    """
    milliseconds, fraction = divmod(time.time_ns(), 1_000_000)
    sub_millisecond = (fraction * 4096) // 1_000_000
    number = milliseconds << 80 | _VERSION | sub_millisecond << 64 | _VARIANT | _random() & _RANDOM_BITS
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def first_id(at: datetime) -> str:
    """Return what sorts before every id that was made at this moment or later, and behind all older ones."""
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-"


def _random() -> int:
    """Return 64 bits of the system's randomness, from any thread."""
    while True:
        try:
            return _numbers.pop()
        except IndexError:
            _numbers.extend(_DRAWN.unpack(os.urandom(_DRAWN.size)))
