"""Strict reading of a caller's JSON, so that no two readers can understand it differently. Pure.

RFC 8259 leaves to the reader what duplicate names, lone surrogates or a number out of range mean. A gateway
that judges one reading while the server behind it acts on another can be walked around, so all of these are
refused here. Names that are equal only after NFKC, case folding and removal of control and format characters
count as duplicates as well: some servers match member names without regard to case.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from json.encoder import encode_basestring
from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_NUMBER = 400
# Each value costs microseconds at every step of its way; a body of nothing but brackets would hold all others up.
MAX_VALUES = 100_000
# Normalising sorts runs of combining marks in quadratic time; Unicode's stream-safe format ends them at 30.
MAX_MARKS = 30

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
# Possessive and total: it also consumes an unterminated string, so that a body of quotes costs linear time.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS_ALIKE = bytes.maketrans(b"{}", b"[]")
_NOT_A_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SPACE = re.compile(r"[ \t\n\r]*")


class BadJson(ValueError):
    """The body is not JSON that may be judged. `reason` is safe to show: it never quotes the body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Number(float):
    """A number with a fraction, an exponent or a minus zero: a float that still knows how it was written."""

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, spelling: str) -> Number:
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number

    # float's own answers a float; ours rebuilds the number from its text
    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.spelling,)


def parse(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of one JSON document: plain Python values, numbers with a fraction or exponent as
    `Number`.

    Raises BadJson for invalid UTF-8, a byte order mark, duplicate names (also after folding), NaN and
    Infinity, numbers of more than 400 characters or out of range, lone surrogates, more than `max_depth`
    levels or 100,000 values, and anything after the value.
    """
    text = _text(body, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        msg = f"not valid JSON ({error.msg.lower()} at character {error.pos})"
        raise BadJson(msg) from None
    except RecursionError:
        msg = f"nested deeper than {max_depth} levels"
        raise BadJson(msg) from None
    if _SURROGATE_ESCAPE.search(body):
        _refuse_lone_surrogates(value)
    return value


def elements(body: bytes, *, max_depth: int = MAX_DEPTH) -> list[tuple[Any, bytes]]:
    """Return each element of a JSON array with its own bytes as they came.

    Raises BadJson as `parse` does, and when the document is not an array.
    """
    if not isinstance(parse(body, max_depth=max_depth), list):
        msg = "not an array"
        raise BadJson(msg)
    text = body.decode()
    found: list[tuple[Any, bytes]] = []
    at = _skip_space(text, text.index("[") + 1)
    while text[at] != "]":
        value, end = _DECODER.raw_decode(text, at)
        found.append((value, text[at:end].encode()))
        at = _skip_space(text, end)
        at = _skip_space(text, at + 1) if text[at] == "," else at
    return found


def canonical(value: Any) -> bytes:
    """Return the one spelling of parsed arguments that a decision is bound to.

    Key order is free, numbers count by their spelling (`1.0` is not `1`), strings are exact. No spaces,
    UTF-8.
    """
    parts: list[str] = []
    _write(value, parts.append)
    return "".join(parts).encode()


def fold(name: str) -> str:
    """Return the form in which two member names are compared: NFKC, case folding, without control and format
    characters. Raises BadJson for a name with more combining marks in a row than any writing has.
    """
    if name.isascii() and name.isprintable():
        return name.lower()
    if _longest_run_of_marks(name) > MAX_MARKS:
        msg = "a name has more than 30 combining marks in a row"
        raise BadJson(msg)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _visible(name)).casefold())
    return _visible(folded)


def _longest_run_of_marks(name: str) -> int:
    longest = run = 0
    for character in name:
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    return longest


def _visible(name: str) -> str:
    return "".join(character for character in name if unicodedata.category(character) not in {"Cc", "Cf"})


def _text(body: bytes, max_depth: int) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        msg = "starts with a byte order mark"
        raise BadJson(msg)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        msg = "not valid UTF-8"
        raise BadJson(msg) from None
    if _separators(body) > MAX_VALUES and _separators(_STRING.sub(b"", body)) > MAX_VALUES:
        msg = f"more than {MAX_VALUES} values"
        raise BadJson(msg)
    if body.count(b"[") + body.count(b"{") > max_depth and is_deeper(body, max_depth):
        msg = f"nested deeper than {max_depth} levels"
        raise BadJson(msg)
    return text


def _separators(body: bytes) -> int:
    """Count what stands before a value: no document has more values than that, but for the outermost one."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def is_deeper(body: bytes, levels: int) -> bool:
    """Say whether brackets nest deeper, in linear time and without recursion: each round removes the
    innermost pairs.
    """
    brackets = _STRING.sub(b"", body).translate(_BRACKETS_ALIKE, _NOT_A_BRACKET)
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        msg = "holds a lone surrogate"
        raise BadJson(msg) from None


def _folded(names: Collection[str]) -> set[str]:
    """Return the names folded; those of nearly every object all at once."""
    together = "".join(names)
    if together.isascii() and together.isprintable():
        return set(map(str.lower, names))
    return {fold(name) for name in names}


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(members)
    if len(members) > 1 and len(_folded(result)) != len(members):
        msg = "a member name occurs twice in one object (compared without case and invisible characters)"
        raise BadJson(msg)
    return result


def _integer(spelling: str) -> int | Number:
    _check_length(spelling)
    return Number(spelling) if spelling == "-0" else int(spelling)


def _fraction(spelling: str) -> Number:
    _check_length(spelling)
    number = Number(spelling)
    if not math.isfinite(number):
        msg = "a number is out of range"
        raise BadJson(msg)
    return number


def _check_length(spelling: str) -> None:
    if len(spelling) > MAX_NUMBER:
        msg = f"a number has more than {MAX_NUMBER} characters"
        raise BadJson(msg)


def refuse_constant(_spelling: str) -> NoReturn:
    """Refuse NaN and Infinity: a hook for decoders of the standard library. Raises BadJson."""
    msg = "NaN and Infinity are not JSON"
    raise BadJson(msg)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _write(value: Any, put: Any) -> None:
    match value:
        case str():
            put(encode_basestring(value))
        case None | True | False:
            put({None: "null", True: "true", False: "false"}[value])
        case Number():
            put(value.spelling)
        case int() | float():
            put(repr(value))
        case dict():
            _write_members(sorted(value.items()), put)
        case list() | tuple():
            _write_list(value, put)
        case _:
            msg = f"{type(value).__name__} is not a JSON value"
            raise TypeError(msg)


def _write_members(members: Iterable[tuple[str, Any]], put: Any) -> None:
    before = "{"
    for name, value in members:
        put(before + encode_basestring(name) + ":")
        _write(value, put)
        before = ","
    put("{}" if before == "{" else "}")


def _write_list(values: Iterable[Any], put: Any) -> None:
    before = "["
    for value in values:
        put(before)
        _write(value, put)
        before = ","
    put("[]" if before == "[" else "]")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=refuse_constant
)
