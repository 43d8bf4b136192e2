"""Reading and writing JSON so that nothing but masked values changes: numbers keep their spelling. Pure.

Most JSON is written by one of a few programs. What one of them writes again letter for letter can be read by the
fastest parser: it lost nothing. All else is read by the parser of the standard library, which shows every number as
it was spelled and every key that stands twice.
"""

import json
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, NamedTuple, NoReturn

import orjson

MOST_DEPTH: Final = 200
_PLAIN_INTEGER_DIGITS: Final = 19


class Unreadable(Exception):
    """The text is not JSON as RFC 8259 has it, or nested deeper than MOST_DEPTH."""


class Style(Enum):
    """How a text was written, and is written again: by whom, so to speak."""

    COMPACT = auto()
    INDENTED = auto()
    SPACED = auto()  # as Python's json does by default
    SPACED_ASCII = auto()


class Parsed(NamedTuple):
    """A value, whether an object in it had a key twice (the last one won), and how to write it again."""

    value: Any
    doubled: bool
    style: Style


class Spelled:
    """A number in the spelling it came in: fractions, exponents, more than 64 bits, minus zero."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spelled) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Spelled({self.text!r})"


def _integer(text: str) -> int | Spelled:
    return Spelled(text) if len(text) >= _PLAIN_INTEGER_DIGITS or text == "-0" else int(text)


def _refuse(constant: str) -> NoReturn:
    raise Unreadable(f"{constant} is no JSON")


class _DoubledError(Exception):
    """An object had a key twice."""


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DoubledError
    return found


def _decoder(members: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=members, parse_float=Spelled, parse_int=_integer, parse_constant=_refuse)


_ONCE: Final = _decoder(_members_once)


def parse(text: str) -> Parsed:
    """Parse JSON. Raises Unreadable."""
    exact = _exact(text)
    if exact:
        return exact
    style = Style.INDENTED if "\n" in text.strip() else Style.COMPACT
    try:
        try:
            return Parsed(_ONCE.decode(text), False, style)
        except _DoubledError:
            return Parsed(_decoder(dict).decode(text), True, style)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON, or too deep") from error


def parse_bytes(document: bytes) -> Parsed:
    """Parse JSON in UTF-8, which most messages are in the shortest form. Raises Unreadable or UnicodeDecodeError."""
    if b'": ' not in document[:_FIRST] and document[1:2] != b"\n":
        try:
            value = orjson.loads(document)
            if orjson.dumps(value) == document:
                return Parsed(value, False, Style.COMPACT)
        except (ValueError, TypeError, RecursionError):
            pass  # the other parser will say what it is
    return parse(document.decode("utf-8"))


def read(text: str) -> tuple[Any, bool]:
    """Parse JSON; return the value and whether an object in it had a key twice (the last one wins).

    Raises Unreadable.
    """
    return parse(text)[:2]


def _exact(text: str) -> Parsed | None:
    """Return a text parsed by the fast parser if what it gives is written as that very text again."""
    style = _style_of(text)
    try:
        value = orjson.loads(text)
        if _DUMPS[style](value) == text:
            return Parsed(value, False, style)
        if style is Style.SPACED_ASCII and _DUMPS[Style.SPACED](value) == text:
            return Parsed(value, False, Style.SPACED)
    except (ValueError, TypeError, RecursionError):
        return None  # no JSON, lone surrogates, or too deep for it: the other parser will say which
    return None


def _style_of(text: str) -> Style:
    """Guess how a text was written by what follows its first key, or else its first member."""
    start = text[:_FIRST]
    if start[1:2] == "\n":
        return Style.INDENTED
    key = start.find('":')
    follows = start[key + 2 : key + 3] if key >= 0 else start.partition(",")[2][:1]
    return Style.SPACED_ASCII if follows == " " else Style.COMPACT


_FIRST: Final = 80
_DUMPS: Final[dict[Style, Callable[[Any], str]]] = {
    Style.COMPACT: lambda value: orjson.dumps(value).decode(),
    Style.INDENTED: lambda value: orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(),
    Style.SPACED: json.JSONEncoder(ensure_ascii=False, check_circular=False).encode,
    Style.SPACED_ASCII: json.JSONEncoder(check_circular=False).encode,
}


def _default(value: object) -> orjson.Fragment:
    if isinstance(value, Spelled):
        return orjson.Fragment(value.text)
    raise TypeError


def write(value: Any, style: Style = Style.COMPACT) -> bytes:
    """Serialise a value that `read` gave, changed or not. Raises Unreadable for lone surrogates."""
    try:
        if style is Style.COMPACT:
            return orjson.dumps(value, default=_default)
        if style is Style.INDENTED:
            return orjson.dumps(value, default=_default, option=orjson.OPT_INDENT_2)
        return _DUMPS[style](value).encode()
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise Unreadable("the value cannot be written as JSON") from error


def unescaped(document: bytes) -> bytes | None:
    """Return the document with nothing escaped that need not be, to search in.

    None where that would not show everything: no JSON, or a key that stands twice in an object.
    """
    try:
        value, doubled = read(document.decode("utf-8"))
        return None if doubled else write(value)
    except (Unreadable, UnicodeDecodeError):
        return None
