"""Heads, lengths, encodings, statuses and streams that are wrong, and what of them has to pass."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from tests.corpus.answer_case import (
    BROKEN,
    FINE,
    INVALID,
    LATE,
    NO_CREDENTIAL,
    NOT_FOLLOWED,
    SECRET,
    TOO_MUCH,
    Case,
    Pieces,
    body,
    event,
    family,
    raw,
    result,
    stream,
)
from tests.hostile import head
from tests.hostile_scripts import CHUNKED, EVENTS, JSON

_GOOD = result()
_CANARY_RESULT = _GOOD.replace(b"done", SECRET)
# Where it says no more afterwards, nobody shall send it another request.
_LAST = b"connection: close"


def statuses() -> Iterator[Case]:
    """Give each status with a page, with nothing, and with a result where that is no answer."""
    for status in (*range(400, 419), 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, *range(500, 512), 520, 529, 599):
        told = NO_CREDENTIAL if status in {401, 403} else INVALID
        yield Case(
            f"status: {status} with a page",
            body(b"<h1>" + SECRET + b"</h1>", status=status, kind=b"content-type: text/html"),
            told,
        )
        yield Case(f"status: {status} with a trace", body(b'{"detail":"%s"}' % SECRET, status=status), told)
        yield Case(f"status: {status} with nothing", body(b"", status=status, kind=b""), told)
    where = {
        "another host": b"http://169.254.169.254/latest/meta-data",
        "a file": b"file:///etc/passwd",
        "itself": b"/mcp",
        "a script": b"javascript:alert(1)",
    }
    for status in (300, 301, 302, 303, 304, 305, 306, 307, 308):
        # A 304 has no body, so that what follows its head belongs to nothing.
        told = INVALID if status == 304 else NOT_FOLLOWED
        for name, location in where.items():
            yield Case(f"status: {status} to {name}", body(SECRET, b"location: " + location, status=status), told)
        yield Case(f"status: {status} to nowhere", body(b"", status=status), NOT_FOLLOWED)
    for status in (201, 202, 203, 206, 207, 226, 299):
        yield Case(f"status: {status} with nothing", body(b"", status=status, kind=b""), INVALID)
    for first in (
        b"HTTP/1.1 600 X",
        b"HTTP/1.1 1000 X",
        b"HTTP/1.1 20 X",
        b"HTTP/1.1 -200 X",
        b"HTTP/1.1 2x0 X",
        b"HTTP/1.1",
        b"HTTP/9.9 200 OK",
        b"HTTP/1 200 OK",
        b"XTTP/1.1 200 OK",
        b"200 OK",
        b"\x00",
        b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK",
    ):
        yield Case(
            f"first line: {first!r}",
            raw(first + b"\r\n" + JSON + b"\r\n" + _LAST + b"\r\ncontent-length: 2\r\n\r\n{}"),
            INVALID,
            "stall",
        )


def lengths() -> Iterator[Case]:
    """Give lengths and chunks of which two readers could find different ends."""

    def told(*fields: bytes, data: bytes = _CANARY_RESULT) -> Pieces:
        return raw(head(200, JSON, _LAST, *fields) + data)

    wrong: dict[str, Pieces] = {}
    for length in (b"-1", b"abc", b"+5", b"0x10", b"5,5", b"5 5", b"1e2", b"5;", b"1_0", b"", b"\xd9\xa5", b"5.0"):
        wrong[f"the length {length!r}"] = told(b"content-length: " + length)
    for second in (b"3", b"99", b"x"):
        wrong[f"two lengths, {second!r}"] = told(b"content-length: 60", b"content-length: " + second)
    for coding in (b"xchunked", b"chunked, x", b"gzip", b"identity, gzip", b"chunked, chunked, x"):
        wrong[f"the coding {coding!r}"] = told(b"transfer-encoding: " + coding, b"content-length: 5")
    wrong["a length and chunks"] = told(CHUNKED, b"content-length: 3", data=b"3\r\nabc\r\n0\r\n\r\n")
    size = b"%x" % len(_GOOD)
    for name, data in (
        ("no size", b"\r\n" + _GOOD),
        ("a negative size", b"-5\r\n" + _GOOD),
        ("a size with 0x", b"0x" + size + b"\r\n" + _GOOD),
        ("letters", b"xyz\r\n" + _GOOD),
        ("a size too small", b"5\r\n" + _GOOD),
        ("a huge size", b"f" * 17 + b"\r\n" + _GOOD),
        ("a plus", b"+5\r\n12345\r\n"),
        ("a zero", size + b"\0\r\n" + _GOOD),
        ("underlines", b"1_0\r\n" + _GOOD),
        ("a comma", b"5,\r\n12345\r\n"),
    ):
        wrong[f"chunks: {name}"] = told(CHUNKED, data=data)
    yield from family("length", INVALID, wrong, "stall")
    for name, more in (("by one", 500), ("by a lot", 90_000)):
        yield Case(
            f"length: more than comes, {name}, and it closes", told(b"content-length: %d" % more), BROKEN, "close"
        )
        yield Case(f"length: more than comes, {name}, and it waits", told(b"content-length: %d" % more), LATE, "stall")
    yield Case(
        "length: no line end after a chunk", told(CHUNKED, data=size + b"\r\n" + _GOOD + b"0\r\n\r\n"), LATE, "stall"
    )
    yield Case("length: more than allowed", told(b"content-length: 9999999", data=b" " * 2_000_000), TOO_MUCH, "stall")
    yield Case(
        "length: more than allowed in chunks",
        raw(head(200, JSON, CHUNKED) + (b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n") * 20),
        TOO_MUCH,
        "stall",
    )
    yield Case("length: no last chunk", raw(head(200, JSON, CHUNKED) + b"5\r\n12345\r\n"), BROKEN, "close")


def lines() -> Iterator[Case]:
    """Give fields that are none, too long, too many, or not for the caller."""
    wrong: dict[str, bytes] = {
        "no colon": b"x-note",
        "no name": b": x",
        "a space before the colon": b"content-length : 5",
        "a zero in the value": b"x: a\0b",
        "a zero in the name": b"x\0: a",
        "a space in the name": b"x y: a",
        "a bracket in the name": b"x(: a",
        "a carriage return in the value": b"x: a\rb",
        "too long": b"x: " + b"y" * 70_000,
        "a name too long": b"x" * 70_000 + b": y",
    }
    yield from family("line", INVALID, {name: body(_CANARY_RESULT, line) for name, line in wrong.items()}, "stall")
    for name, line in (
        ("a cookie", b"set-cookie: a=" + SECRET),
        ("a challenge", b"www-authenticate: Bearer realm=" + SECRET),
        ("a policy", b"content-security-policy: default-src *"),
        ("a refresh", b"refresh: 0; url=http://evil.example.com"),
        ("an alternative", b'alt-svc: h3=":443"'),
        ("a link", b"link: <http://evil.example.com>; rel=preload"),
        ("an origin", b"access-control-allow-origin: *"),
        ("a location", b"location: http://evil.example.com"),
        ("a server", b"server: " + SECRET),
        ("a trailer", b"trailer: x"),
        ("a cache", b"cache-control: public, max-age=999999"),
        ("letters", "x: \u00e9".encode()),
        ("a hint", b"x-holdgate: " + SECRET),
        ("a forged refusal", b"holdgate-faults: upstream_unavailable"),
    ):
        yield Case(f"line: {name} is not passed on", body(_GOOD, line), FINE)


def encodings() -> Iterator[Case]:
    """Give bodies that are compressed, said or not, and content types that are none."""
    packed = {
        "gzip": gzip.compress(_GOOD, mtime=0),
        "deflate": zlib.compress(_GOOD),
        "br": b"\x0b\x02\x80hello\x03",
        "zstd": b"\x28\xb5\x2f\xfd",
        "a bomb": gzip.compress(b"0" * 30_000_000, mtime=0),
    }
    yield from family(
        "compressed", INVALID, {f"{name}, and does not say so": body(data) for name, data in packed.items()}
    )
    for coding in (
        "gzip",
        "GZIP",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "compress",
        "identity, gzip",
        "gzip, identity",
        "aes128gcm",
        "gzip;q=0",
        "nonsense",
    ):
        said = packed.get(coding.lower().removeprefix("x-"), _CANARY_RESULT)
        yield Case(f"compressed: {coding}", body(said, f"content-encoding: {coding}".encode()), INVALID)
        yield Case(
            f"compressed: {coding} in a stream",
            stream(event(_CANARY_RESULT), f"content-encoding: {coding}".encode()),
            INVALID,
        )
    kinds = {
        "none": b"",
        "empty": b"content-type:",
        "text": b"content-type: text/plain",
        "a page": b"content-type: text/html",
        "a form": b"content-type: application/x-www-form-urlencoded",
        "JSON lines": b"content-type: application/jsonl",
        "a suffix": b"content-type: application/vnd.api+json",
        "XML": b"content-type: text/xml",
        "bytes": b"content-type: application/octet-stream",
        "multipart": b"content-type: multipart/mixed; boundary=x",
        "a typo": b"content-type: applications/json",
        "anything": b"content-type: */*",
        "a list": b"content-type: text/html, application/json",
        "a picture": b"content-type: image/png",
        "JSON-RPC": b"content-type: application/json-rpc",
    }
    yield from family("content type", INVALID, {name: body(_CANARY_RESULT, kind=kind) for name, kind in kinds.items()})
    yield Case("content type: JSON with a page in it", body(b"<html>" + SECRET), INVALID)
    yield Case("content type: a stream with JSON in it", body(_CANARY_RESULT, kind=EVENTS), BROKEN)
    yield Case("content type: JSON with a stream in it", body(event(_CANARY_RESULT)), INVALID)
    yield Case("content type: in capitals", body(_GOOD, kind=b"Content-Type: APPLICATION/JSON; Charset=UTF-8"), FINE)


def streams() -> Iterator[Case]:
    """Give streams that are framed oddly, say nothing, or say it of nobody."""
    note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"."}}'
    fine: dict[str, bytes] = {
        "carriage returns": event(_GOOD).replace(b"\n", b"\r"),
        "both": event(_GOOD).replace(b"\n", b"\r\n"),
        "a byte order mark": b"\xef\xbb\xbf" + event(_GOOD),
        "no space": b"data:" + _GOOD + b"\n\n",
        "comments": b": " + SECRET + b"\n\n:\n\n" + event(_GOOD),
        "unknown fields": b"foo: " + SECRET + b"\nbar\n" + event(_GOOD),
        "a name": b"event: message\n" + event(_GOOD),
        "an id": b"id: 7\n" + event(_GOOD),
        "a retry": b"retry: 10\n" + event(_GOOD),
        "a retry that is none": b"retry: soon\n" + event(_GOOD),
        "a huge retry": b"retry: 99999999999999999999\n" + event(_GOOD),
        "an id with a zero": b"id: a\0b\n" + event(_GOOD),
        "lines": b"data: {\ndata: " + _GOOD[1:] + b"\n\n",
        "a hundred notes": event(note) * 100 + event(_GOOD),
        "a primer": b"id: 1\ndata:\n\n" + event(_GOOD),
        "another name before": b"event: x\n" + event(SECRET) + event(_GOOD),
        "a line of spaces": b" \n" + event(_GOOD),
        "an id of a kilobyte": b"id: " + b"x" * 1000 + b"\n" + event(_GOOD),
        "empty events": b"\n\n\n" + event(_GOOD),
        "a batch": event(b"[" + note + b"," + _GOOD + b"]"),
    }
    yield from family("stream", FINE, {name: stream(data) for name, data in fine.items()})
    yield from family(
        "stream",
        FINE,
        {f"{name}, byte by byte": stream(data, every=1) for name, data in fine.items() if len(data) < 2000},
    )


def broken_streams() -> Iterator[Case]:
    """Give streams without an answer, and with what is none."""
    note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"."}}'
    broken: dict[str, bytes] = {
        "nothing": b"",
        "a comment": b": x\n\n",
        "only notes": event(note),
        "no blank line": b"data: " + _CANARY_RESULT + b"\n",
        "no line end": b"data: " + _CANARY_RESULT,
        "in capitals": b"DATA: " + _CANARY_RESULT + b"\n\n",
        "a space before the colon": b"data : " + _CANARY_RESULT + b"\n\n",
        "another name": b"event: result\n" + event(_CANARY_RESULT),
        "a mark later": b"\n\xef\xbb\xbfdata: " + _CANARY_RESULT + b"\n\n",
        "vertical tabs": event(_CANARY_RESULT).replace(b"\n", b"\x0b"),
    }
    yield from family("stream", BROKEN, {name: stream(data) for name, data in broken.items()})
    invalid = {
        "a word": event(SECRET),
        "half a message": event(_CANARY_RESULT[:-3]),
        "a page": event(b"<html>"),
        "an empty batch": event(b"[]") + event(b"5"),
        "JSON on two lines cut within a text": event(_CANARY_RESULT.replace(SECRET, SECRET + b"\ndata: x")),
        "a question that is none": event(b'{"jsonrpc":"2.0","id":1,"method":null}'),
        "an answer in a batch to another": event(b"[" + note + b"," + result(asked=b"99999") + b"]"),
        "the closing word of others": event(b"[DONE]"),
    }
    yield from family("stream", INVALID, {name: stream(data) for name, data in invalid.items()})
    for status in (201, 202, 400, 404, 500, 503):
        yield Case(f"stream: with status {status}", body(event(_CANARY_RESULT), status=status, kind=EVENTS), INVALID)
    yield Case("stream: comments without end", raw(head(200, EVENTS) + b": x\n\n" * 10), LATE, "stall")
    yield Case(
        "stream: an event larger than allowed", raw(head(200, EVENTS) + b"data: " + b"x" * 2_000_000), TOO_MUCH, "stall"
    )
    yield Case(
        "stream: notes more than allowed",
        raw(head(200, EVENTS) + event(note.replace(b'"."', b'"' + b"x" * 60_000 + b'"')) * 40),
        INVALID,
        "stall",
    )


def cases() -> Iterator[Case]:
    """Give all of them."""
    yield from statuses()
    yield from lengths()
    yield from lines()
    yield from encodings()
    yield from streams()
    yield from broken_streams()
