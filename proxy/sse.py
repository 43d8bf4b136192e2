"""Server-sent events: an incremental decoder and an encoder. Pure.

The format is WHATWG HTML, "Server-sent events": lines end with CR, LF or CRLF, `data` lines of one event are
joined with LF, a blank line ends the event, a line that begins with a colon is a comment. Data stays bytes:
it is JSON that others read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event, or one line without an end, is larger than the decoder's limit."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `name` is `message` unless the stream said otherwise; `id` is None when the event had none.

    An event without data is reported as well, with empty `data`: MCP opens resumable streams with such a one,
    and `retry` (milliseconds until a client comes back) may come alone.
    """

    data: bytes
    name: str = "message"
    id: str | None = None
    retry: int | None = None


class Decoder:
    """Feed it chunks cut anywhere; it gives back the events that are complete. `limit` is bytes per event."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._size = 0
        self._after_cr = False
        self._at_start = True
        self._data: list[bytes] = []
        self._name = ""
        self._id: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that this chunk completes. Raises EventTooLarge; the decoder is then of no more
        use.
        """
        if self._after_cr and chunk:
            chunk = chunk[1:] if chunk[:1] == b"\n" else chunk
            self._after_cr = False
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines splits at exactly CR, LF and CRLF; a CR at the end has ended its line already.
        lines = (bytes(self._rest) + chunk if self._rest else chunk).splitlines(keepends=True)
        self._rest.clear()
        unfinished = b"" if lines[-1].endswith((b"\r", b"\n")) else lines.pop()
        events = self._read(lines)
        self._keep(unfinished)
        return events

    def _keep(self, piece: bytes) -> None:
        self._rest += piece
        size = self._size + len(self._rest)
        if self._at_start and (self._rest.startswith(_BOM) or _BOM.startswith(self._rest)):
            size -= min(len(_BOM), len(self._rest))  # a mark belongs to no event, wherever it is cut
        if size > self._limit:
            raise EventTooLarge

    def _read(self, lines: list[bytes]) -> list[Event]:
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        events = []
        for ended in lines:
            line = ended.rstrip(b"\r\n")
            if line:
                self._field(line)
            elif (event := self._event()) is not None:
                events.append(event)
        return events

    def _field(self, line: bytes) -> None:
        self._size += len(line)
        if self._size > self._limit:
            raise EventTooLarge
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self._retry = int(value)
        elif name == b"":
            self._size -= len(line)  # keep-alive comments may come for hours without an event

    def _event(self) -> Event | None:
        data, name, event_id, retry = self._data, self._name, self._id, self._retry
        self._clear()
        if not data and event_id is None and retry is None:
            return None
        return Event(data[0] if len(data) == 1 else b"\n".join(data), name or "message", event_id, retry)

    def _clear(self) -> None:
        self._data, self._name, self._id, self._retry = [], "", None, None
        self._size = 0


def encode(data: bytes, *, event_id: str | None = None, retry: int | None = None, name: str = "message") -> bytes:
    """Return one event. Data with line ends becomes several `data` lines; `retry` is in milliseconds.

    Raises ValueError when the id or name holds a line end or NUL, which would forge other fields.
    """
    if b"\n" in data or b"\r" in data:
        data = _LINE_END.sub(b"\ndata: ", data)
    if name == "message" and event_id is None and retry is None:
        return b"event: message\ndata: " + data + b"\n\n"
    head = f"event: {_one_line(name)}\n"
    if event_id is not None:
        head += f"id: {_one_line(event_id)}\n"
    if retry is not None:
        head += f"retry: {retry:d}\n"
    return head.encode() + b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """Return a comment: it keeps a connection alive and reaches no application. Line ends become spaces."""
    return b": " + " ".join(text.splitlines()).encode() + b"\n\n"


def _one_line(value: str) -> str:
    if "\n" in value or "\r" in value or "\0" in value:
        msg = "an event's id and name are one line"
        raise ValueError(msg)
    return value
