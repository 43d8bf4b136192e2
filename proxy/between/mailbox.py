"""What waits for the next request of a caller: messages of a server, and answers to what it asked, in any process.

A call goes on in one process while its caller speaks to another. So what one has and the other needs lies in the
database, sealed, until it is taken; what nobody takes is deleted after a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cryptography.exceptions import InvalidTag

from approvals.database import database_now
from approvals.keys import seal, unseal
from proxy.models import ParkedMessage

KEPT = timedelta(days=1)


def put(key: str, number: int, body: bytes) -> None:
    """Leave a message. `key` is known to who takes it alone; a number that is taken already changes nothing."""
    ParkedMessage.objects.get_or_create(
        key=key,
        number=number,
        defaults={"body": seal(body, context=_context(key, number)), "created_at": database_now()},
    )


def after(key: str, number: int) -> list[tuple[int, bytes]]:
    """Return the messages beyond a number, with theirs, in order."""
    rows = ParkedMessage.objects.filter(key=key, number__gt=number).order_by("number")
    return [(row.number, _opened(row)) for row in rows]


def take(key: str) -> bool:
    """Delete what lies under a key and say whether there was anything: of many who take it, one gets it."""
    return ParkedMessage.objects.filter(key=key).delete()[0] > 0


def first_of(keys: Sequence[str]) -> dict[str, bytes]:
    """Return the first message of each of these keys that has one."""
    return {row.key: _opened(row) for row in ParkedMessage.objects.filter(key__in=keys, number=1)}


def forget_old() -> int:
    """Delete what nobody took; return how many. Run by the sweep."""
    return ParkedMessage.objects.filter(created_at__lt=database_now() - KEPT).delete()[0]


def _opened(row: ParkedMessage) -> bytes:
    try:
        return unseal(bytes(row.body), context=_context(row.key, row.number))
    except InvalidTag:
        return b""  # sealed under another key: nothing that anybody could read


def _context(key: str, number: int) -> str:
    return f"parked\n{key}\n{number}"
