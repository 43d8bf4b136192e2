"""What is right, worked out in the slow and obvious way: the oracles that the fuzzers compare with.

They share nothing with the product but the limits: the standard library's decoder and one look at each character.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

MAX_DEPTH, MAX_NUMBER, MAX_VALUES, MAX_MARKS = 64, 400, 100_000, 30


class Refused(Exception):
    """The document may not be judged."""


def strict(body: bytes) -> Any:
    """Return the value of a strict document. Raises Refused."""
    try:
        text = body.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise Refused("UTF-8") from error
    if text.startswith("\ufeff"):
        raise Refused("byte order mark")
    depth, separators = _shape(text)
    if depth > MAX_DEPTH or separators > MAX_VALUES:
        raise Refused("too deep, or too many values")
    decoder = json.JSONDecoder(
        object_pairs_hook=_members, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
    )
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Refused("JSON") from error
    _check_texts(value)
    return value


def _shape(text: str) -> tuple[int, int]:
    """Return how deep brackets nest outside of texts, and how many stand before a value."""
    depth = deepest = separators = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            separators += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
        elif character == ",":
            separators += 1
    return deepest, separators


def same_name(name: str) -> str:
    """Return what of a name counts: compatibility forms, case and invisible characters do not."""
    for _ in range(2):
        name = "".join(one for one in name if unicodedata.category(one) not in {"Cc", "Cf"})
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(one for one in name if unicodedata.category(one) not in {"Cc", "Cf"})


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(names) > 1 and any(_marks(name) > MAX_MARKS for name in names):
        raise Refused("marks")
    for at, name in enumerate(names):
        if any(same_name(name) == same_name(other) for other in names[:at]):
            raise Refused("a name twice")
    return dict(pairs)


def _marks(name: str) -> int:
    runs = re.split("0+", "".join("1" if unicodedata.combining(one) else "0" for one in name))
    return max(map(len, runs))


def _integer(spelling: str) -> int | float:
    if len(spelling) > MAX_NUMBER:
        raise Refused("a long number")
    return float(spelling) if spelling == "-0" else int(spelling)


def _fraction(spelling: str) -> float:
    value = float(spelling)
    if len(spelling) > MAX_NUMBER or value in {float("inf"), float("-inf")}:
        raise Refused("a number out of range")
    return value


def _constant(spelling: str) -> Any:
    raise Refused(spelling)


def _check_texts(value: Any) -> None:
    if isinstance(value, str) and any("\ud800" <= one <= "\udfff" for one in value):
        raise Refused("a lone surrogate")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)


def events(stream: bytes) -> list[tuple[bytes, str, str | None, int | None]]:
    """Return the events of a whole stream, as WHATWG HTML has them; also those without data that name id or retry."""
    text = stream.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\r|\n", text)[:-1]  # what follows the last line end is no line yet
    found: list[tuple[bytes, str, str | None, int | None]] = []
    data: list[bytes] = []
    name, identifier, retry = "", None, None
    for line in lines:
        if line == b"":
            if data or identifier is not None or retry is not None:
                found.append((b"\n".join(data), name or "message", identifier, retry))
            data, name, identifier, retry = [], "", None, None
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            identifier = value.decode("utf-8", "replace")
        elif field == b"retry" and re.fullmatch(rb"[0-9]{1,9}", value):
            retry = int(value)
    return found


def stdio_lines(stream: bytes) -> list[bytes]:
    """Return the frames of the stdio transport: lines that are not blank, without their ends."""
    whole = stream.split(b"\n")[:-1]
    return [line[:-1] if line.endswith(b"\r") else line for line in whole if line.strip()]


__all__ = ["Refused", "events", "same_name", "stdio_lines", "strict"]
