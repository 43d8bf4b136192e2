"""What gateway and agent say to each other: binary frames, each one message of a WebSocket. Pure.

kind (1 byte) | stream (4 bytes, big endian) | payload

HELLO     agent     what it is and what it serves (JSON); the first frame, stream 0
WELCOME   gateway   what of that it may serve (JSON), stream 0
HEALTH    agent     how its servers fare (JSON), every some seconds; stream 0
OPEN      gateway   one request: head (JSON) and the first bytes of its body, or all of them
HEAD      agent     the head of an answer (JSON) and the first bytes of its body
DATA      both      more bytes of a body
END       agent     the answer is complete
FAULT     agent     the request failed: reason, effect and sentence (see proxy.stdio.faults)
CREDIT    both      so many more bytes may be sent in this stream (4 bytes)
CANCEL    gateway   nobody waits for the answer any more
LEAVING   agent     no more requests, please: what runs is finished, then the socket is closed; stream 0

An agent begins a request when it has all of it: a request of which a byte is missing was never executed. Of a body
at most WINDOW bytes are on their way that the other side did not take, so that nobody who reads slowly holds up the
rest, or fills a memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

VERSION: Final = 1
PIECE: Final = 64 * 1024  # bytes of a body in one frame
WINDOW: Final = 256 * 1024
# A frame has one piece, and a head that HTTP would take as well.
LARGEST_FRAME: Final = 256 * 1024
MOST_STREAMS: Final = 1000
MOST_CONNECTIONS: Final = 500
MAX_BODY: Final = 1 << 30
_HEADER: Final = struct.Struct(">BI")
_LENGTH: Final = struct.Struct(">I")
_LONGEST_TEXT: Final = 64 * 1024


class Kind(IntEnum):
    """What a frame says."""

    HELLO = 1
    WELCOME = 2
    OPEN = 3
    HEAD = 4
    DATA = 5
    END = 6
    FAULT = 7
    CREDIT = 8
    CANCEL = 9
    HEALTH = 10
    LEAVING = 11


OF_NO_STREAM: Final = frozenset({Kind.HELLO, Kind.WELCOME, Kind.HEALTH, Kind.LEAVING})
FROM_AGENT: Final = frozenset(
    {Kind.HELLO, Kind.HEALTH, Kind.LEAVING, Kind.HEAD, Kind.DATA, Kind.END, Kind.FAULT, Kind.CREDIT}
)
FROM_GATEWAY: Final = frozenset({Kind.WELCOME, Kind.OPEN, Kind.DATA, Kind.CREDIT, Kind.CANCEL})


_LONGEST_WORD: Final = 60
_LARGEST_NUMBER: Final = 2**53


class TunnelBroken(Exception):
    """The other side does not keep to the protocol; the socket is of no more use. The text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `stream` numbers a request of one socket, never twice; 0 is none."""

    kind: Kind
    stream: int = 0
    payload: bytes = field(default=b"", repr=False)

    def encoded(self) -> bytes:
        """Return the bytes of the message."""
        return _HEADER.pack(self.kind, self.stream) + self.payload


def decoded(message: bytes, expected: frozenset[Kind]) -> Frame:
    """Return the frame of a message. Raises TunnelBroken for what is none, or none of those that are expected."""
    if not _HEADER.size <= len(message) <= LARGEST_FRAME:
        raise TunnelBroken("a frame that is too short or too long")
    number, stream = _HEADER.unpack_from(message)
    try:
        kind = Kind(number)
    except ValueError:
        raise TunnelBroken("a frame of a kind that there is not") from None
    if kind not in expected:
        raise TunnelBroken(f"a frame {kind.name} from the side that sends none")
    if (stream == 0) != (kind in OF_NO_STREAM):
        raise TunnelBroken(f"a frame {kind.name} of the wrong stream")
    return Frame(kind, stream, message[_HEADER.size :])


def credit(stream: int, size: int) -> Frame:
    """Return the frame that allows so many more bytes."""
    return Frame(Kind.CREDIT, stream, _LENGTH.pack(size))


def credited(frame: Frame) -> int:
    """Return how many bytes a frame allows. Raises TunnelBroken."""
    if len(frame.payload) != _LENGTH.size:
        raise TunnelBroken("a credit of another length")
    return int(_LENGTH.unpack(frame.payload)[0])


def headed(document: Mapping[str, Any], rest: bytes = b"") -> bytes:
    """Return a payload: the length of the document, the document as JSON, and bytes."""
    head = json.dumps(document, separators=(",", ":")).encode()
    return _LENGTH.pack(len(head)) + head + rest


def parted(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """Return document and bytes of a payload. Raises TunnelBroken."""
    if len(payload) < _LENGTH.size:
        raise TunnelBroken("a head that is cut off")
    end = _LENGTH.size + _LENGTH.unpack_from(payload)[0]
    if end > len(payload):
        raise TunnelBroken("a head that is cut off")
    try:
        document = json.loads(payload[_LENGTH.size : end])
    except (ValueError, RecursionError):
        raise TunnelBroken("a head that is no JSON") from None
    if not isinstance(document, dict):
        raise TunnelBroken("a head that is no object")
    return document, payload[end:]


@dataclass(frozen=True, slots=True)
class Hello:
    """What an agent says of itself: its build, and the names of the connections in its file."""

    build: str
    connections: tuple[str, ...]

    def payload(self) -> bytes:
        """Return the payload of its frame."""
        return headed({"version": VERSION, "build": self.build, "connections": self.connections})

    @classmethod
    def read(cls, payload: bytes) -> Hello:
        """Return what a payload says. Raises TunnelBroken."""
        document, _ = parted(payload)
        if document.get("version") != VERSION:
            raise TunnelBroken(f"an agent that does not speak version {VERSION} of the tunnel")
        names = _texts(document.get("connections"), 63)
        if len(names) > MOST_CONNECTIONS:
            raise TunnelBroken("more connections than an agent may have")
        build = _text(document.get("build"), 100)
        # They are written down, and a database refuses what is no text of its own: NUL, half a surrogate pair.
        if not all(said.isprintable() for said in (build, *names)):
            raise TunnelBroken("a name that cannot be printed")
        return cls(build, names)


def health_of(payload: bytes, connections: Sequence[str]) -> dict[str, dict[str, str | int | float]]:
    """Return how an agent says that each of these connections fares: short printable words and finite numbers.

    Anything else of it is left out: it is stored by the same look that ends who was revoked. Raises TunnelBroken.
    """
    told = parted(payload)[0].get("connections")
    if not isinstance(told, dict) or len(told) > MOST_CONNECTIONS:
        raise TunnelBroken("a health that is none")
    return {
        name: {key: one[key] for key in ("state", "fault", "since", "calls", "faults") if _is_plain(one.get(key))}
        for name, one in told.items()
        if isinstance(one, dict) and name in connections
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_WORD and value.isprintable()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST_NUMBER  # which not-a-number is not


@dataclass(frozen=True, slots=True)
class Opening:
    """The head of a request: to which connection, by which verb, and what the server is to know beside the body.

    `fields` tell the agent for whom it is asked. `size` is the length of the whole body in bytes.
    """

    connection: str
    verb: str
    size: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fields: tuple[tuple[str, str], ...] = ()
    session: str | None = field(default=None, repr=False)
    last_event_id: str | None = None

    def payload(self, first: bytes) -> bytes:
        """Return the payload of its frame, with the first bytes of the body."""
        document = {
            "connection": self.connection,
            "verb": self.verb,
            "size": self.size,
            "headers": self.headers,
            "fields": self.fields,
            "session": self.session,
            "last_event_id": self.last_event_id,
        }
        return headed(document, first)

    @classmethod
    def read(cls, payload: bytes) -> tuple[Opening, bytes]:
        """Return the head and the first bytes of the body. Raises TunnelBroken."""
        document, first = parted(payload)
        size, verb = document.get("size"), document.get("verb")
        if type(size) is not int or not 0 <= size <= MAX_BODY or len(first) > size:
            raise TunnelBroken("a body of another size than was said")
        if verb not in {"POST", "GET", "DELETE"}:
            raise TunnelBroken("a verb that MCP does not have")
        opening = cls(
            connection=_text(document.get("connection"), 63),
            verb=verb,
            size=size,
            headers=_pairs(document.get("headers")),
            fields=_pairs(document.get("fields")),
            session=_optional(document.get("session")),
            last_event_id=_optional(document.get("last_event_id")),
        )
        return opening, first


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer. `is_whole`: the bytes that come along are all of the body, and no END follows."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    is_whole: bool = False

    def payload(self, first: bytes = b"") -> bytes:
        """Return the payload of its frame, with the first bytes of the body."""
        return headed({"status": self.status, "headers": dict(self.headers), "whole": self.is_whole}, first)

    @classmethod
    def read(cls, payload: bytes) -> tuple[Head, bytes]:
        """Return the head and the first bytes of the body. Raises TunnelBroken."""
        document, first = parted(payload)
        status, headers, is_whole = document.get("status"), document.get("headers"), document.get("whole")
        if type(status) is not int or not 100 <= status <= 599 or not isinstance(is_whole, bool):
            raise TunnelBroken("the head of an answer that is none")
        if not isinstance(headers, dict):
            raise TunnelBroken("the head of an answer without fields")
        return cls(status, {name.lower(): _text(value) for name, value in headers.items()}, is_whole), first


def _text(value: Any, longest: int = _LONGEST_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise TunnelBroken("a text that is none, or is too long")
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _texts(value: Any, longest: int) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TunnelBroken("a list that is none")
    return tuple(_text(one, longest) for one in value)


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise TunnelBroken("fields that are none")
    return tuple((_text(name), _text(said)) for name, said in value)
