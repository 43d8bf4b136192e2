"""The ways in which an upstream misbehaves, byte by byte, and what the contract says of each.

`SCRIPTS` has them by name: the reason and `executed` that the caller is told, and the coroutine that does it. Where the
reason is None the call succeeds all the same. CANARY stands wherever the upstream says something that nobody may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.hostile import Turn, head, length

Script = Callable[[Turn], Awaitable[None]]
CANARY = "canaryKq7ZrW2pXv9ofTheUpstream"
_CANARY = CANARY.encode()
JSON, EVENTS = b"content-type: application/json", b"content-type: text/event-stream"
CHUNKED = b"transfer-encoding: chunked"
COMMENT = b": " + _CANARY + b"\n\n"


@dataclass(frozen=True, slots=True)
class Expected:
    """A script and what comes of the call that meets it."""

    script: Script
    reason: str | None
    executed: str | None = "unknown"


SCRIPTS: dict[str, Expected] = {}


def told(reason: str | None, executed: str | None = "unknown") -> Callable[[Script], Script]:
    """Note a script under its own name, with what the caller is told."""

    def note(script: Script) -> Script:
        name = script.__name__
        SCRIPTS[name] = Expected(script, reason, executed)
        return script

    return note


TIMEOUT, BROKEN, INVALID = told("upstream_timeout"), told("outcome_unknown"), told("upstream_invalid")
FINE = told(None, None)
NOT_FOLLOWED = told("upstream_invalid", "false")
WITHHELD = told("masking_failed", "true")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(data: bytes) -> bytes:
    """Return one event of a stream."""
    return b"data: " + data + b"\n\n"


def _note(text: str = CANARY) -> bytes:
    return b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}' % text.encode()


# --- it hangs ---


@TIMEOUT
async def hangs_before_the_head(turn: Turn) -> None:
    await turn.stall()


@TIMEOUT
async def hangs_within_the_head(turn: Turn) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\nx-note: " + _CANARY)
    await turn.stall()


@TIMEOUT
async def hangs_after_the_head(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 100"))
    await turn.stall()


@TIMEOUT
async def hangs_within_the_body(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 1000") + turn.message(CANARY))
    await turn.stall()


@TIMEOUT
async def hangs_within_a_chunk(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED) + b"400\r\n" + turn.message(CANARY))
    await turn.stall()


@TIMEOUT
async def hangs_in_a_stream(turn: Turn) -> None:
    await turn.send(head(200, EVENTS) + COMMENT)
    await turn.stall()


@TIMEOUT
async def hangs_within_anevent(turn: Turn) -> None:
    await turn.send(head(200, EVENTS) + b"data: " + turn.message(CANARY))
    await turn.stall()


@TIMEOUT
async def says_to_come_back_much_later(turn: Turn) -> None:
    await turn.send(head(200, EVENTS, b"connection: close") + b"id: 1\nretry: 600000\ndata:\n\n")
    turn.writer.close()


# --- it drips ---


@TIMEOUT
async def drips_its_head(turn: Turn) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\nx-note: ")
    await turn.repeat(b"x", 0.1)


@TIMEOUT
async def drips_its_body(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 1000"))
    await turn.repeat(b" ", 0.1)


@TIMEOUT
async def drips_chunks(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED))
    await turn.repeat(_chunk(b" "), 0.1)


@TIMEOUT
async def drips_comments_for_ever(turn: Turn) -> None:
    await turn.send(head(200, EVENTS))
    await turn.repeat(COMMENT, 0.1)


@TIMEOUT
async def drips_an_event_byte_by_byte(turn: Turn) -> None:
    await turn.send(head(200, EVENTS) + b"data: ")
    await turn.repeat(b" ", 0.1)


@TIMEOUT
async def sends_interim_answers_for_ever(turn: Turn) -> None:
    await turn.repeat(b"HTTP/1.1 103 Early Hints\r\nlink: <" + _CANARY + b">\r\n\r\n", 0.002)


# --- its connection breaks ---


@BROKEN
async def resets_after_the_request(turn: Turn) -> None:
    turn.reset()


@BROKEN
async def resets_after_the_head(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 1000"))
    await asyncio.sleep(0.05)
    turn.reset()


@BROKEN
async def resets_within_the_body(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 1000") + turn.message(CANARY))
    await asyncio.sleep(0.05)
    turn.reset()


@BROKEN
async def resets_within_a_stream(turn: Turn) -> None:
    await turn.send(head(200, EVENTS) + COMMENT)
    await asyncio.sleep(0.05)
    turn.reset()


@BROKEN
async def half_closes_before_the_head(turn: Turn) -> None:
    turn.half_close()
    await turn.stall()


@BROKEN
async def half_closes_within_the_body(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 1000") + turn.message(CANARY))
    turn.half_close()
    await turn.stall()


@BROKEN
async def half_closes_within_a_chunk(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED) + b"400\r\n" + turn.message(CANARY))
    turn.half_close()
    await turn.stall()


@BROKEN
async def half_closes_before_the_last_chunk(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED) + _chunk(turn.message(CANARY)))
    turn.half_close()
    await turn.stall()


@BROKEN
async def ends_a_stream_within_anevent(turn: Turn) -> None:
    await turn.send(head(200, EVENTS, b"connection: close") + b"data: " + turn.message(CANARY) + b"\n")
    turn.writer.close()


@BROKEN
async def always_ends_and_says_come_back(turn: Turn) -> None:
    await turn.send(head(200, EVENTS, b"connection: close") + b"id: 1\nretry: 0\ndata:\n\n")
    turn.writer.close()


@FINE
async def half_closes_after_a_body_without_a_length(turn: Turn) -> None:
    await turn.send(head(200, JSON) + turn.message())
    turn.half_close()
    await turn.stall()


# --- it says too much ---


@FINE
async def answers_twice(turn: Turn) -> None:
    second = turn.message(CANARY, id=turn.id + 1)
    first = turn.message()
    await turn.send(head(200, JSON, length(first)) + first + head(200, JSON, length(second)) + second)


@FINE
async def answers_twice_somewhat_later(turn: Turn) -> None:
    second = turn.message(CANARY, id=turn.id + 1)
    await turn.answer(turn.message())
    await asyncio.sleep(0.1)
    await turn.answer(second)


@FINE
async def answers_a_stream_twice(turn: Turn) -> None:
    stream = event(turn.message()) + event(turn.message(CANARY)) + event(_note())
    await turn.send(head(200, EVENTS, length(stream)) + stream)


@FINE
async def says_more_later(turn: Turn) -> None:
    await turn.answer(turn.message())
    await asyncio.sleep(0.1)
    await turn.send(_CANARY * 10)


@INVALID
async def says_more_than_its_length(turn: Turn) -> None:
    body = turn.message()
    await turn.send(head(200, JSON, length(body)) + body + _CANARY)


@INVALID
async def says_more_after_the_last_chunk(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED) + _chunk(turn.message()) + b"0\r\n\r\n" + _CANARY)


@INVALID
async def tells_a_length_within_its_message(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 20") + turn.message(CANARY))


@told("upstream_invalid", "true")
async def says_more_than_allowed(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: 9999999") + b'{"jsonrpc":')
    await turn.repeat(b" " * 65536)


@INVALID
async def floods_a_stream(turn: Turn) -> None:
    await turn.send(head(200, EVENTS))
    await turn.repeat(COMMENT * 1000)


@told("upstream_invalid", "true")
async def floods_anevent(turn: Turn) -> None:
    await turn.send(head(200, EVENTS) + b"data: ")
    await turn.repeat(b" " * 65536)


@INVALID
async def fails_with_more_than_allowed(turn: Turn) -> None:
    await turn.send(head(500, JSON, b"content-length: 9999999") + b'{"jsonrpc":')
    await turn.repeat(b" " * 65536)


@INVALID
async def has_a_giant_header(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"x-note: " + _CANARY * 40_000))
    await turn.stall()


@INVALID
async def has_headers_without_end(turn: Turn) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\n")
    await turn.repeat(b"".join(b"x-%s-%d: y\r\n" % (_CANARY, number) for number in range(1000)))


@INVALID
async def has_a_giant_status_line(turn: Turn) -> None:
    await turn.send(b"HTTP/1.1 200 " + _CANARY * 40_000 + b"\r\n\r\n")
    await turn.stall()


@FINE
async def has_a_giant_chunk_extension(turn: Turn) -> None:
    body = turn.message()
    await turn.send(head(200, JSON, CHUNKED) + b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(body), _CANARY * 10, body))


# --- it does not say it as HTTP has it ---


@INVALID
async def speaks_something_else(turn: Turn) -> None:
    await turn.send(b"SSH-2.0-" + _CANARY + b"\r\n")
    await turn.stall()


@INVALID
async def tells_two_lengths(turn: Turn) -> None:
    body = turn.message(CANARY)
    await turn.send(head(200, JSON, length(body), b"content-length: 3") + body)
    await turn.stall()


@INVALID
async def tells_a_negative_length(turn: Turn) -> None:
    await turn.send(head(200, JSON, b"content-length: -1") + turn.message(CANARY))
    await turn.stall()


@INVALID
async def tells_a_length_and_chunks(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED, b"content-length: 3") + _chunk(turn.message(CANARY)) + b"0\r\n\r\n")
    await turn.stall()


@INVALID
async def has_a_chunk_that_is_none(turn: Turn) -> None:
    await turn.send(head(200, JSON, CHUNKED) + b"zz\r\n" + turn.message(CANARY) + b"\r\n0\r\n\r\n")
    await turn.stall()


@INVALID
async def switches_protocols(turn: Turn) -> None:
    await turn.send(head(101, b"connection: upgrade", b"upgrade: " + _CANARY))
    await turn.stall()


@INVALID
async def encodes_what_it_says(turn: Turn) -> None:
    await turn.answer(b"\x1f\x8b\x08" + _CANARY, more=b"content-encoding: gzip")
