"""The fixtures of the record's own tests."""

from __future__ import annotations

from tests.record import journal, log

__all__ = ["journal", "log"]
