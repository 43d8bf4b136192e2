"""Answers that no honest server gives, each with what the caller has to be told.

A case says which bytes answer the request with an id: in how many pieces, and what comes then.
`@ID@` stands for the id. What a case expects is written down with its family, not taken from what the gateway did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tests.hostile import Turn, head, length
from tests.hostile_scripts import CANARY, CHUNKED, EVENTS, JSON

Pieces = Callable[[bytes], tuple[bytes, ...]]
Then = Literal["keep", "close", "stall"]
SECRET = CANARY.encode()


@dataclass(frozen=True)
class Outcome:
    """What the caller is told: reason and `executed`, or neither where the answer passes."""

    reason: str | None = None
    executed: str | None = None


INVALID = Outcome("upstream_invalid", "unknown")
TOO_MUCH = Outcome("upstream_invalid", "true")
WITHHELD = Outcome("masking_failed", "true")
NOT_FOLLOWED = Outcome("upstream_invalid", "false")
NO_CREDENTIAL = Outcome("credential_unavailable", "false")
BROKEN = Outcome("outcome_unknown", "unknown")
LATE = Outcome("upstream_timeout", "unknown")
FINE = Outcome()


@dataclass(frozen=True)
class Case:
    """One answer."""

    name: str
    pieces: Pieces
    told: Outcome
    then: Then = "keep"

    async def give(self, turn: Turn) -> None:
        """Answer a request with it."""
        for number, piece in enumerate(self.pieces(str(turn.id).encode())):
            if number:
                await asyncio.sleep(0.002)
            await turn.send(piece)
        if self.then == "close":
            turn.writer.close()
        elif self.then == "stall":
            await turn.stall()


def raw(data: bytes) -> Pieces:
    """Send exactly this, with the id in its place."""
    return lambda asked: (data.replace(b"@ID@", asked),)


def body(data: bytes, *fields: bytes, status: int = 200, kind: bytes = JSON) -> Pieces:
    """Send a whole answer with the right length."""

    def pieces(asked: bytes) -> tuple[bytes, ...]:
        said = data.replace(b"@ID@", asked)
        return (head(status, kind, length(said), *fields) + said,)

    return pieces


def stream(data: bytes, *fields: bytes, every: int = 0) -> Pieces:
    """Send this as the body of an event stream, in chunks of so many bytes where it is cut."""

    def pieces(asked: bytes) -> tuple[bytes, ...]:
        said = data.replace(b"@ID@", asked)
        if not every:
            return (head(200, EVENTS, length(said), *fields) + said,)
        cut = [said[at : at + every] for at in range(0, len(said), every)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*cut, b""))
        return (head(200, EVENTS, CHUNKED, *fields) + chunks,)

    return pieces


def event(data: bytes) -> bytes:
    """Return one event."""
    return b"data: " + data + b"\n\n"


def result(value: bytes = b'{"content":[{"type":"text","text":"done"}]}', asked: bytes = b"@ID@") -> bytes:
    """Return an answer with this result."""
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (asked, value)


def family(name: str, told: Outcome, answers: Mapping[str, Pieces], then: Then = "keep") -> Iterator[Case]:
    """Give a case for each answer, all of them told the same."""
    for one, pieces in answers.items():
        yield Case(f"{name}: {one}", pieces, told, then)


def both(name: str, told: Outcome, messages: Mapping[str, bytes]) -> Iterator[Case]:
    """Give each message as a body and as the event of a stream."""
    yield from family(name, told, {one: body(message) for one, message in messages.items()})
    inline = {one: message for one, message in messages.items() if b"\n" not in message and b"\r" not in message}
    streamed = {f"{one}, in a stream": stream(event(message)) for one, message in inline.items() if message.strip()}
    yield from family(name, told, streamed)
