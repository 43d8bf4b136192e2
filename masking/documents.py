"""Reading and writing JSON so that nothing but masked values changes: numbers keep their spelling. Pure."""

import json
from typing import Any, Final, NoReturn

import orjson

MOST_DEPTH: Final = 200
_PLAIN_INTEGER_DIGITS: Final = 19


class Unreadable(Exception):
    """The text is not JSON as RFC 8259 has it, or nested deeper than MOST_DEPTH."""


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


def read(text: str) -> tuple[Any, bool]:
    """Parse JSON; return the value and whether an object in it had a key twice (the last one wins).

    Raises Unreadable.
    """
    doubled = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        found = dict(pairs)
        doubled = doubled or len(found) != len(pairs)
        return found

    try:
        value = json.loads(
            text, object_pairs_hook=members, parse_float=Spelled, parse_int=_integer, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON, or too deep") from error
    return value, doubled


def _default(value: object) -> orjson.Fragment:
    if isinstance(value, Spelled):
        return orjson.Fragment(value.text)
    raise TypeError


def write(value: Any, *, indented: bool = False) -> bytes:
    """Serialise a value that `read` gave, changed or not. Raises Unreadable for lone surrogates."""
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_INDENT_2 if indented else None)
    except TypeError as error:
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
