"""Hints to other processes, sent in the transaction that changes something: PostgreSQL delivers them at its commit.

A hint carries ids and nothing else, and only transitions of requests, publications and callers that give up send one,
never single events of the record: a transaction that notifies commits alone in its whole database. On SQLite there is
nobody to tell.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUESTS: Final = "holdgate_requests"
POLICY: Final = "holdgate_policy"
# PostgreSQL takes less than 8000 bytes: the sender's name and so many ids of 36 characters.
_IDS_AT_MOST: Final = 200
_SELF: Final = secrets.token_hex(8)


def sender() -> str:
    """Return this process's name in hints. It hears its own, and needs none of them."""
    return f"{_SELF}.{os.getpid()}"


def changed(*ids: str) -> None:
    """Tell the other gateways at the commit of this thread's transaction that these requests changed."""
    for at in range(0, len(ids), _IDS_AT_MOST):
        _notify(REQUESTS, ids[at : at + _IDS_AT_MOST])


def published(revision: int) -> None:
    """Tell the other gateways at the commit of this thread's transaction that there is a new policy."""
    _notify(POLICY, [str(revision)])


def _notify(channel: str, words: Iterable[str]) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [channel, " ".join((sender(), *words))])
