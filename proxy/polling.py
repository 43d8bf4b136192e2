"""Held calls in several answers (2025-11-25, "SSE polling"): each is ended after a while, and the caller comes back.

For callers behind something that cuts long answers. What they sent lies sealed in the database meanwhile, and the last
event of an answer has the handle of it: with that they come back by GET, to whatever process, and wait on for the same
approval. It is a repeat of the same call, which joins; so nothing is asked, approved or run twice.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from django.db import Error as DatabaseFailure

from approvals.database import in_database
from proxy import handles, mcp
from proxy.between import mailbox
from proxy.knobs import Knobs
from proxy.pipeline import Reply
from proxy.transport import POLLING

if TYPE_CHECKING:
    from proxy.exchange import Exchange

log = logging.getLogger("holdgate.asking")


class ComesBack(Exception):
    """This answer ends for now; its caller waits on with another one."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A held call whose caller comes back: what was sent, and of the time for which it may be kept what is left."""

    key: str
    message: mcp.Message
    knobs: Knobs
    pulses: int
    left: float


async def opening(exchange: Exchange) -> Reply | None:
    """Return what opens the answer of a caller who may come back; None where that is not so."""
    if not _is_possible(exchange):
        return None
    if not exchange.parked:
        key = secrets.token_hex(24)
        try:
            await in_database(partial(mailbox.put, key, 1, _written(exchange)))
        except DatabaseFailure as error:
            log.warning("a held call is not parked: %s", type(error).__name__)
            return None  # it is held in one answer, as other calls are
        exchange.parked = key
    exchange.answer_until = time.monotonic() + (exchange.connection.wait.stream or 0)
    return _place(exchange)


def pause(exchange: Exchange) -> Reply:
    """Return what ends the answer for now."""
    exchange.is_paused = exchange.is_resumable = True
    return _place(exchange)


async def taken(held: Any) -> Parked | None:
    """Return the call of a handle; None when it is over."""
    key, approval, pulses, until = held
    found = await in_database(partial(mailbox.after, key, 0))
    if not found or not found[0][1]:
        return None
    kept = orjson.loads(found[0][1])
    fields = [(name.encode(), value.encode()) for name, value in kept["fields"]]
    message = mcp.parse(kept["raw"].encode(), [(b"content-type", b"application/json"), *fields])
    if not isinstance(message, mcp.Message):
        return None
    knobs = replace(Knobs(**kept["knobs"]), approval=approval)
    return Parked(key, message, knobs, pulses, until - time.time())


def resume(exchange: Exchange, parked: Parked) -> None:
    """Let an exchange wait on where another one stopped."""
    exchange.knobs, exchange.parked, exchange.pulses = parked.knobs, parked.key, parked.pulses
    exchange.hold_until = time.monotonic() + max(0.0, parked.left)
    exchange.rated = True  # it was counted when it came first


async def forget(key: str) -> None:
    """Delete a call that has its answer."""
    await in_database(partial(mailbox.take, key))


def _is_possible(exchange: Exchange) -> bool:
    """Say whether this caller can come back, and its connection wants it to."""
    message = exchange.message
    can = message.era == "legacy" and message.version >= POLLING and exchange.session is not None
    return can and exchange.accepts_stream and exchange.connection.wait.stream is not None


def _place(exchange: Exchange) -> Reply:
    until = time.time() + exchange.hold_until - time.monotonic()
    held = [exchange.parked, exchange.approval_id, exchange.pulses, until]
    return Reply(b"", final=False, event_id=handles.give("held", held, handles.holder_of(exchange)))


def _written(exchange: Exchange) -> bytes:
    message = exchange.message
    fields = [("mcp-protocol-version", message.version), ("mcp-session-id", message.session or "")]
    return orjson.dumps({"raw": message.raw.decode(), "fields": fields, "knobs": asdict(exchange.knobs)})
