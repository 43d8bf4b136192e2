"""Handles: what an upstream means only for one caller, sealed so that it can travel through that caller.

Behind the gateway all callers are one to the upstream, so it cannot keep them apart: ids of its requests, its
`requestState` and its event ids leave sealed for the caller, connection and session that they were made for. Nobody
else can use one, and any process can open it. A handle is made of small letters alone, so that no masking rule takes it
for something else.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Literal

import orjson
from cryptography.exceptions import InvalidTag

from approvals.keys import seal, unseal

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.legacy import Session

# A request of a server, the state of a call in rounds, a task, a page of the list of tasks, a place in a server's own
# stream, in that of a call, and in that of a call that is held.
Kind = Literal["request", "state", "task", "cursor", "event", "call", "held"]

_LETTERS = string.ascii_lowercase[:16]
_TO_LETTERS = bytes.maketrans(b"0123456789abcdef", _LETTERS.encode())
_FROM_LETTERS = bytes.maketrans(_LETTERS.encode(), b"0123456789abcdef")
_MARK = "hg"
LONGEST = 256 * 1024


def holder(actor: str, connection: str, session: Session | None) -> str:
    """Return whom a handle belongs to: one caller at one connection, in one session where there is one."""
    return "\n".join((actor, connection, session.token if session else ""))


def holder_of(exchange: Exchange) -> str:
    """Return whom the handles of an exchange belong to."""
    return holder(exchange.actor, exchange.connection_name, exchange.session)


def give(kind: Kind, value: Any, holder: str) -> str:
    """Return a handle for a JSON value, which this holder alone can bring back."""
    sealed = seal(orjson.dumps(value), context=_context(kind, holder))
    return _MARK + sealed.hex().encode().translate(_TO_LETTERS).decode()


def take(kind: Kind, handle: Any, holder: str) -> Any | None:
    """Return the value of a handle; None when it is none, of another kind, or another holder's."""
    if not isinstance(handle, str) or not handle.startswith(_MARK) or len(handle) > LONGEST:
        return None
    letters = handle.removeprefix(_MARK)
    if not letters or set(letters) - set(_LETTERS) or len(letters) % 2:
        return None
    sealed = bytes.fromhex(letters.encode().translate(_FROM_LETTERS).decode())
    try:
        return orjson.loads(unseal(sealed, context=_context(kind, holder)))
    except (InvalidTag, ValueError):
        return None


def place(exchange: Exchange, told: int) -> str:
    """Return the handle of the place in a call's stream after so many messages."""
    return give("call", [exchange.call_id, told], holder_of(exchange))


def _context(kind: Kind, holder: str) -> str:
    return f"handle\n{kind}\n{holder}"
