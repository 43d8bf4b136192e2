"""Reading HTTP header fields from the raw list, where a repeated field is still visible. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

RawHeaders = Sequence[tuple[bytes, bytes]]

# Clients send the same few Accept fields again and again; longer ones are read without being remembered.
_LONGEST_KEPT = 300
_ENCODED = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
_ZERO_QUALITY = re.compile(r"q=0(\.0{0,3})?")


class Headers:
    """Header fields by lower-case name; every value as it came, read as Latin-1 so that no byte is lost."""

    __slots__ = ("_fields",)

    def __init__(self, raw: RawHeaders) -> None:
        fields: dict[str, list[str]] = {}
        for name, value in raw:
            fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip(" \t"))
        self._fields = fields

    @classmethod
    def of(cls, fields: RawHeaders | Headers) -> Headers:
        """Return the fields as they are when they were read already, for every reading costs the same again."""
        return fields if isinstance(fields, Headers) else cls(fields)

    def first(self, name: str) -> str | None:
        """Return the first value of a field, or None when it is absent."""
        values = self._fields.get(name)
        return values[0] if values else None

    def every(self, name: str) -> list[str]:
        """Return all values of a field in their order."""
        return self._fields.get(name, [])

    def names(self) -> Iterable[str]:
        """Return the names present, lower-case, each once."""
        return self._fields.keys()

    def is_repeated(self, name: str) -> bool:
        """Say whether a field came more than once: two readers could then choose differently."""
        return len(self._fields.get(name, ())) > 1


def accepts(headers: RawHeaders | Headers) -> Literal["json", "sse", "both"]:
    """Return which answers the caller reads: `json` when it names no event stream, or sends no Accept at all.

    Only an explicit `text/event-stream` counts: `*/*` is what curl sends, and curl shows a stream as it is.
    """
    value = ",".join(Headers.of(headers).every("accept"))
    return _accepted(value) if len(value) <= _LONGEST_KEPT else _accepted.__wrapped__(value)


@lru_cache(maxsize=256)
def _accepted(value: str) -> Literal["json", "sse", "both"]:
    named = set(_media_types(value))
    if "text/event-stream" not in named:
        return "json"
    return "both" if named & {"application/json", "application/*", "*/*"} else "sse"


def _media_types(value: str) -> Iterable[str]:
    for entry in value.split(","):
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        if not any(_ZERO_QUALITY.fullmatch(parameter) for parameter in parameters):
            yield media_type


def decode_mirrored(value: str) -> str | None:
    """Return a mirrored value as the body has it; None when its `=?base64?…?=` form does not decode.

    MCP 2026-07-28, Streamable HTTP, "Value encoding": base64 of UTF-8 for what a header field cannot carry.
    Only the canonical spelling is taken, because two spellings of one value would pass one comparison and
    fail another.
    """
    match = _ENCODED.fullmatch(value)
    if match is None:
        return value
    try:
        decoded = base64.b64decode(match[1], validate=True)
        return decoded.decode() if base64.b64encode(decoded).decode() == match[1] else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def encode_mirrored(value: str) -> str:
    """Return a value as a mirrored header field carries it: plain where possible, else `=?base64?…?=`."""
    plain = value.isascii() and value.isprintable() and value == value.strip()
    if plain and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="
