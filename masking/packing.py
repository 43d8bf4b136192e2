"""Base64 inside of text: words of it that hold text themselves. Pure.

Read is what decodes to UTF-8, or to UTF-16 with a byte order mark or of Latin letters. Compressed and other binary
data are no text and stay as they are.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from masking.patterns import Pattern, Span

_WORD: Final = r"[A-Za-z0-9+/_\-]"
_LINE_END: Final = r"(?:\r|\\+r)?(?:\n|\\+n)[ \t]{0,8}"  # also as it stands in raw JSON
# Found in every text, and raw JSON, that holds base64 of ten bytes or more: it mixes its letters, as paths, digests
# and most words do not.
PACKED: Final = rf"[A-Z]{_WORD}{{7}}|{_WORD}{{7}}[A-Z]"
_RUN: Final = Pattern(
    rf"{_WORD}{{60,}}(?:{_LINE_END}{_WORD}{{60,}})*(?:{_LINE_END}{_WORD}+)?={{0,2}}|{_WORD}{{14,}}={{0,2}}"
)
_BEGINS: Final = Pattern(rf"{_WORD}{{14}}")  # every run begins so; its end is then found without the way back
_ESCAPED_END: Final = re.compile(rb"\\+[rn]")
_SIGNS: Final = re.compile(rb"[/+_\-]")
_MOST_SIGNS: Final = 8
_LONGEST_MIXED: Final = 1024
_PIECE: Final = Pattern(r"[A-Za-z0-9]{14,}={0,2}")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_BLANKS: Final = b" \t\r\n\v\f"
_FIRST: Final = 64  # characters that show whether the rest is worth decoding
_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Packed(NamedTuple):
    """A text in base64: where it stands (in bytes), the text, its encoding, whether it uses `-` and `_`, and `=`."""

    span: Span
    text: str
    encoding: str
    url_safe: bool
    padded: bool

    def packed(self, text: str) -> str:
        """Return another text in the same way."""
        data = text.encode(self.encoding, "surrogatepass")
        encode = base64.urlsafe_b64encode if self.url_safe else base64.b64encode
        found = encode(data).decode("ascii")
        return found if self.padded else found.rstrip("=")


def packed_in(text: bytes) -> Iterator[Packed]:
    """Yield the texts that stand in base64 in plain text or raw JSON, from left to right."""
    for start, end in _runs(text):
        run = text[start:end]
        if run.islower():
            continue
        if whole := next(
            filter(None, (_opened(run[first:last], start + first) for first, last in _parts(text, start, run))), None
        ):
            yield whole
            continue
        if len(run) > _LONGEST_MIXED:
            continue  # a picture: one of its many words may be text by chance
        for first, last in _PIECE.spans(run):
            piece = None if run[first:last].islower() else _opened(run[first:last], start + first)
            if piece:
                yield piece


def _runs(text: bytes) -> Iterator[Span]:
    position = 0
    while (begins := _BEGINS.span(text, position)) and (run := _RUN.span_at(text, begins[0])):
        position = run[1]
        yield run


def _parts(text: bytes, start: int, run: bytes) -> Iterator[Span]:
    """Yield what of a run may be base64: not the letter of an escape before it, nor a last line that is a word."""
    if text[start - 1 : start] == b"\\":
        yield 1, len(run)
    end = max(run.rfind(b"\n"), run.rfind(b"\\"))
    if end > 0 and len(_compact(run[end:])) == 1 and len(_compact(run[:end])) % 4 == 0:
        yield 0, end  # a last line of one letter holds nothing: it is another text, as the number of a list
    yield 0, len(run)
    for sign in islice(_SIGNS.finditer(run[:_FIRST]), _MOST_SIGNS):  # a path before it
        yield sign.end(), len(run)
    if end > 0:
        yield 0, end


def _compact(run: bytes) -> bytes:
    """Return a run in one piece and in the letters of the standard."""
    whole = _ESCAPED_END.sub(b"", run) if b"\\" in run else run
    return whole.translate(_URL_SAFE, _BLANKS)


def _opened(run: bytes, start: int) -> Packed | None:
    # Most long ones are pictures: their first letters say so, before all of them are looked at.
    if len(run) > 4 * _FIRST and not _text(_bytes(_compact(run[: 4 * _FIRST])[:_FIRST])):
        return None
    compact = _compact(run)
    body = compact.rstrip(b"=")
    if len(body) > _FIRST and not _text(_bytes(body[:_FIRST])):
        return None
    found = _text(_bytes(body))
    if not found:
        return None
    padded = len(compact) != len(body) or len(body) % 4 == 0
    return Packed((start, start + len(run)), *found, b"-" in run or b"_" in run, padded)


def _bytes(body: bytes) -> bytes:
    if len(body) % 4 == 1:
        body = body[:-1]  # cut off
    try:
        return base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return b""


def _text(data: bytes) -> tuple[str, str] | None:
    """Return the text that bytes are, and its encoding."""
    encoding = "utf-8"
    if data[:2] in _MARKS:
        encoding = "utf-16"
    elif data[1::2].count(0) * 2 > len(data) * 0.8:
        encoding = "utf-16-le"
    elif data[::2].count(0) * 2 > len(data) * 0.8:
        encoding = "utf-16-be"
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        text = decoder.decode(data)  # a character that is cut off at the end does not count
    except UnicodeDecodeError:
        return None
    return (text, encoding) if text else None
