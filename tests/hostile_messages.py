"""More ways in which an upstream misbehaves: good HTTP that is no good MCP, refusals that tell secrets, redirects.

Importing this module adds them to the `SCRIPTS` of `tests.hostile_scripts`, and gives all of them.
"""

from __future__ import annotations

import base64

from tests.hostile import Turn, head, length
from tests.hostile_scripts import CANARY, FINE, INVALID, NOT_FOLLOWED, SCRIPTS, WITHHELD
from tests.hostile_scripts import event as _event

__all__ = ["CANARY", "SCRIPTS"]

_CANARY = CANARY.encode()


# --- it does not say it as MCP has it ---


@INVALID
async def answers_another_request(turn: Turn) -> None:
    await turn.answer(turn.message(CANARY, id=turn.id + 1))


@INVALID
async def answers_with_the_id_as_text(turn: Turn) -> None:
    await turn.answer(turn.message(CANARY, id=str(turn.id)))


@INVALID
async def answers_nobody(turn: Turn) -> None:
    await turn.answer(turn.message(CANARY, id=None))


@INVALID
async def answers_another_request_in_a_stream(turn: Turn) -> None:
    await turn.answer(_event(turn.message(CANARY, id=turn.id + 1)), "text/event-stream")


@INVALID
async def has_garbage_in_a_stream(turn: Turn) -> None:
    await turn.answer(_event(_CANARY), "text/event-stream")


@INVALID
async def ends_within_its_json(turn: Turn) -> None:
    await turn.answer(turn.message(CANARY)[:-2])


@INVALID
async def nests_without_end(turn: Turn) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    await turn.answer(b'{"jsonrpc":"2.0","id":%d,"result":{"a":%s}}' % (turn.id, deep))


@INVALID
async def has_a_number_that_is_none(turn: Turn) -> None:
    await turn.answer(b'{"jsonrpc":"2.0","id":%d,"result":{"a":NaN,"b":"%s"}}' % (turn.id, _CANARY))


@WITHHELD
async def has_bytes_that_are_no_text(turn: Turn) -> None:
    await turn.answer(turn.message("BAD").replace(b"BAD", b"\xff\xfe" + _CANARY))


@INVALID
async def says_it_as_a_page(turn: Turn) -> None:
    await turn.answer(turn.message(CANARY), "text/html")


@INVALID
async def does_not_say_what_it_is(turn: Turn) -> None:
    body = turn.message(CANARY)
    await turn.send(head(200, length(body)) + body)


@INVALID
async def says_nothing(turn: Turn) -> None:
    await turn.send(head(204))


@INVALID
async def streams_with_an_error_status(turn: Turn) -> None:
    await turn.answer(_event(turn.message(CANARY)), "text/event-stream", status=500)


# --- it says what cannot be masked ---


@WITHHELD
async def nests_deeper_than_masking_reads(turn: Turn) -> None:
    deep = b"[" * 300 + b'"' + _CANARY + b'"' + b"]" * 300
    await turn.answer(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[],"x":%s}}' % (turn.id, deep))


@WITHHELD
async def nests_too_deep_in_a_stream(turn: Turn) -> None:
    deep = b"[" * 300 + b'"' + _CANARY + b'"' + b"]" * 300
    await turn.answer(_event(b'{"jsonrpc":"2.0","id":%d,"result":{"x":%s}}' % (turn.id, deep)), "text/event-stream")


@WITHHELD
async def calls_something_base64_that_is_none(turn: Turn) -> None:
    resource = b'{"type":"resource","resource":{"uri":"a:b","mimeType":"text/csv","blob":"*%s*"}}' % _CANARY
    await turn.answer(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[%s]}}' % (turn.id, resource))


@WITHHELD
async def wraps_texts_in_texts_without_end(turn: Turn) -> None:
    text = f"password={CANARY}"
    for _ in range(20):
        text = base64.b64encode(f"x {text}".encode()).decode()
    await turn.answer(turn.message(text))


# --- it says much at once ---


@FINE
async def asks_a_little(turn: Turn) -> None:
    asked = b"".join(_event(_question(number)) for number in range(10))
    await turn.answer(asked + _event(turn.message()), "text/event-stream")


@INVALID
async def asks_without_end(turn: Turn) -> None:
    await turn.send(head(200, b"content-type: text/event-stream"))
    await turn.repeat(b"".join(_event(_question(number)) for number in range(100)), 0.01)


def _question(number: int) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"method":"sampling/createMessage","params":{"x":"%s"}}' % (number, _CANARY)


@FINE
async def reports_thousands_of_times_in_one_event(turn: Turn) -> None:
    await turn.answer(_event(_many(turn)), "text/event-stream")


@FINE
async def reports_thousands_of_times_in_one_body(turn: Turn) -> None:
    await turn.answer(_many(turn))


def _many(turn: Turn) -> bytes:
    """Return a batch of reports and the answer."""
    report = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"."}}'
    return b"[" + b",".join([report] * 3000 + [turn.message()]) + b"]"


# --- it refuses, and tells secrets while it does ---


def _refuses(status: int, name: str) -> None:
    async def script(turn: Turn) -> None:
        await turn.answer(b"stack trace, password=" + _CANARY, "text/plain", status=status, more=b"retry-after: 1")

    script.__name__ = name
    INVALID(script)


for _status in (400, 404, 405, 408, 409, 410, 422, 429, 500, 502, 503, 504):
    _refuses(_status, f"refuses_with_{_status}")


def _redirects(status: int) -> None:
    async def script(turn: Turn) -> None:
        host = turn.seen.header("host")
        where = f"location: http://{host}/elsewhere?{CANARY}".encode()
        await turn.answer(_CANARY, "text/plain", status=status, more=where)

    script.__name__ = f"redirects_with_{status}"
    NOT_FOLLOWED(script)


for _status in (301, 302, 303, 307, 308):
    _redirects(_status)
