"""What is wrong with the proof of the record, for the frame of every page.

An anchor that fails or is old, a log that nobody extends. Looked up at most twice a minute in each process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from approvals.database import database_now
from approvals.runtime import runtime
from sessions import installation
from sessions.evidence import standing
from sessions.outside import feeding

if TYPE_CHECKING:
    from approvals.runtime import Runtime

READERS: Final = frozenset({"admin", "auditor", "operator"})
KEPT_SECONDS: Final = 30.0

_of: Runtime | None = None
_until = float("-inf")
_found: list[str] = []


def proof_alarms() -> list[str]:
    """Return one sentence for each thing that admins, auditors and operators must look at; usually none."""
    global _of, _until, _found
    if _of is not runtime() or time.monotonic() >= _until:
        now, places = database_now(), installation.places()
        outside = feeding.problems(places, now) if places else []
        _found = [*standing.alarms(installation.anchor(), now), *outside]
        _of, _until = runtime(), time.monotonic() + KEPT_SECONDS
    return _found
