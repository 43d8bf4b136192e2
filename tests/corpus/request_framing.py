"""What is no HTTP, or HTTP of which two readers could find different ends; bodies too large, cut, or in pieces."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.corpus.request_case import (
    CALL,
    CUT,
    FIELDS,
    FINE,
    MARK,
    NO_HTTP,
    TOO_LARGE,
    Case,
    Told,
    chunked,
    family,
    head,
    post,
)

# Behind each request whose end is doubtful stands another one, which must not be taken for a request of its own.
_BEHIND = post(CALL)
_FIRST = "POST /mcp/orders-db HTTP/1.1"
_CHUNKED = {**FIELDS, "transfer-encoding": "chunked", "x-note": MARK}
_LINE = b"POST /mcp/orders-db HTTP/1.1\r\n"
_REST = head("x", {**FIELDS, "content-length": str(len(CALL))}).split(b"\r\n", 1)[1] + CALL
_UNREADABLE_LENGTHS = (
    "-1",
    "+5",
    "abc",
    "0x10",
    "5 5",
    "5,5",
    "1, 5",
    "5;",
    "1e2",
    "５",
    "0b1",
    "--5",
    "5.0",
    "٥",
    "1_0",
    "18446744073709551616",
    "9" * 40,
)
_CODINGS = (
    "chunked, identity",
    "xchunked",
    "chunkedx",
    "chunked;q=1",
    "identity, chunked, gzip",
    "gzip",
    "chunked, chunked\tx",
    "x, y",
    '"chunked"',
    "chunked\x0b",
    "chun ked",
    "deflate",
    "identity",
)


def lengths() -> Iterator[Case]:
    """Give requests whose length is doubtful."""
    for length in _UNREADABLE_LENGTHS:
        yield Case(f"length: {length[:20]!a}", post(CALL, {"content-length": length.encode()}) + _BEHIND, NO_HTTP)
    for second in (str(len(CALL) + 1), "0", "x"):
        yield Case(
            f"length: and another, {second}",
            post(CALL, more=f"Content-Length: {second}\r\n".encode()) + _BEHIND,
            NO_HTTP,
        )
    for length in ("5", "0", str(len(CALL))):
        told = {**_CHUNKED, "content-length": length}
        yield Case(f"length: {length} and chunks", head(_FIRST, told) + chunked(CALL) + _BEHIND, NO_HTTP)
    for coding in _CODINGS:
        fields = {**FIELDS, "transfer-encoding": coding}
        yield Case(f"coding: {coding!a}", head(_FIRST, fields) + chunked(CALL) + _BEHIND, NO_HTTP)
        both = {**fields, "content-length": str(len(CALL))}
        yield Case(f"coding: {coding!a} and a length", head(_FIRST, both) + CALL + _BEHIND, NO_HTTP)
    for name in (
        "transfer-encoding ",
        "transfer_encoding\0",
        "transfer-encoding\t",
        " transfer-encoding",
        "trans fer-encoding",
    ):
        fields = {**FIELDS, name: "chunked", "content-length": str(len(CALL))}
        yield Case(f"coding: a field {name!r}", head(_FIRST, fields) + CALL + _BEHIND, NO_HTTP)


def chunks() -> Iterator[Case]:
    """Give chunks that are none."""
    body = b"%x" % len(CALL)
    wrong = {
        "no size": b"\r\n" + CALL,
        "a negative size": b"-5\r\n" + CALL,
        "a size with 0x": b"0x" + body + b"\r\n" + CALL,
        "a size of letters": b"xyz\r\n" + CALL,
        "a size too small": b"5\r\n" + CALL,
        "a huge size": b"f" * 17 + b"\r\n" + CALL,
        "a size that overflows": b"1" + b"0" * 16 + b"\r\n" + CALL,
        "a size with a space before": b" " + body + b"\r\n" + CALL,
        "no line end after the data": body + b"\r\n" + CALL + b"0\r\n\r\n",
        "a bare line feed after the size": body + b"\n" + CALL + b"\r\n0\r\n\r\n",
        "a bare line feed after the data": body + b"\r\n" + CALL + b"\n0\r\n\r\n",
        "a carriage return in the size": body[:1] + b"\r" + body[1:] + b"\r\n" + CALL,
        "a zero in the size": body + b"\0\r\n" + CALL,
        "a plus": b"+" + body + b"\r\n" + CALL,
        "a comma": body + b",\r\n" + CALL,
        "underlines": body[:1] + b"_" + body[1:] + b"\r\n" + CALL,
        "a carriage return in an extension": body + b";a\rb\r\n" + CALL,
        "a line feed in an extension": body + b";a=\nb\r\n" + CALL,
        "a zero in an extension": body + b";a\0\r\n" + CALL,
    }
    yield from family("chunk", NO_HTTP, {name: head(_FIRST, _CHUNKED) + data + _BEHIND for name, data in wrong.items()})
    cut = {
        "no last one": chunked(CALL)[:-5],
        "half of one": b"%x\r\n" % (len(CALL) * 2) + CALL,
        "only the last one's size": chunked(CALL)[:-2],
        "nothing": b"",
    }
    yield from family("chunk", CUT, {name: head(_FIRST, _CHUNKED) + data for name, data in cut.items()})


def lines() -> Iterator[Case]:
    """Give first lines that are none."""
    firsts = {
        "no version": "POST /mcp/orders-db",
        "HTTP/0.9": "POST /mcp/orders-db HTTP/0.9",
        "HTTP/2.0": "POST /mcp/orders-db HTTP/2.0",
        "HTTP/3": "POST /mcp/orders-db HTTP/3",
        "HTTP/1.2": "POST /mcp/orders-db HTTP/1.2",
        "http in small letters": "POST /mcp/orders-db http/1.1",
        "HTTPS": "POST /mcp/orders-db HTTPS/1.1",
        "HTTP/1.10": "POST /mcp/orders-db HTTP/1.10",
        "HTTP/11": "POST /mcp/orders-db HTTP/11",
        "no path": "POST HTTP/1.1",
        "no method": "/mcp/orders-db HTTP/1.1",
        "a method in small letters": "post /mcp/orders-db HTTP/1.1",
        "an unknown method": "CALL /mcp/orders-db HTTP/1.1",
        "a method too long": "POSTPOSTPOST /mcp/orders-db HTTP/1.1",
        "a method with a zero": "PO\0ST /mcp/orders-db HTTP/1.1",
        "a space in the path": "POST /mcp/orders-db x HTTP/1.1",
        "a tab between": "POST\t/mcp/orders-db HTTP/1.1",
        "a zero in the path": "POST /mcp/orders-db\0 HTTP/1.1",
        "two versions": "POST /mcp/orders-db HTTP/1.1 HTTP/1.1",
        "ICY": "POST /mcp/orders-db ICY/1.1",
        "a space first": " POST /mcp/orders-db HTTP/1.1",
        "a bare carriage return": "POST /mcp/orders-db\r HTTP/1.1",
    }
    fields = {**FIELDS, "content-length": str(len(CALL))}
    yield from family("first line", NO_HTTP, {name: head(first, fields) + CALL for name, first in firsts.items()})


def broken_lines() -> Iterator[Case]:
    """Give lines of a head that are none."""
    wrong = {
        "no colon": b"x-note\r\n",
        "no name": b": x\r\n",
        "a space before the colon": b"x-note : x\r\n",
        "a tab before the colon": b"x-note\t: x\r\n",
        "a zero in the value": b"x-note: a\0b\r\n",
        "a zero in the name": b"x\0note: a\r\n",
        "a carriage return in the value": b"x-note: a\rb\r\n",
        "a space in the name": b"x note: a\r\n",
        "a bracket in the name": b"x(note): a\r\n",
        "a name not ASCII": b"x-n\xc3\xb6te: a\r\n",
        "a control character in the value": b"x-note: a\x01b\r\n",
        "a delete in the value": b"x-note: a\x7fb\r\n",
        "a bell in the name": b"x\x07: a\r\n",
        "an at sign in the name": b"x@y: a\r\n",
        "a slash in the name": b"x/y: a\r\n",
        "braces": b"{x}: a\r\n",
        "a quote in the name": b'"x": a\r\n',
        "a line of one space": b" \r\n",
        "a line of letters": b"abcdef\r\n",
        "an equals sign for the colon": b"x-note= a\r\n",
        "a folded line first": b" folded: x\r\n",
    }
    yield from family(
        "line",
        NO_HTTP,
        {name: _LINE + line + b"x-mark: " + MARK.encode() + b"\r\n" + _REST for name, line in wrong.items()},
    )
    folded = {
        "by a space": b"x-note: a\r\n b\r\n",
        "by a tab": b"x-note: a\r\n\tb\r\n",
        "a coding": b"transfer-encoding:\r\n chunked\r\n",
        "a length": b"x: y\r\n content-length: 5\r\n",
    }
    yield from family("folded", NO_HTTP, {name: _LINE + line + _REST for name, line in folded.items()})
    long = {
        "a value": b"x-note: " + b"x" * 600_000 + b"\r\n",
        "a name": b"x" * 600_000 + b": y\r\n",
        "thousands of lines": b"".join(b"x-%d: y\r\n" % n for n in range(70_000)),
    }
    yield from family("long", NO_HTTP, {name: _LINE + line + _REST for name, line in long.items()})
    told = {**FIELDS, "content-length": str(len(CALL))}
    yield Case("long: a path", head("POST /mcp/" + "x" * 70_000 + " HTTP/1.1", told) + CALL, NO_HTTP)
    bare = _LINE.replace(b"\r\n", b"\n") + _REST.replace(b"\r\n", b"\n")
    yield Case("line: only line feeds", bare, NO_HTTP)
    yield Case("line: only carriage returns", bare.replace(b"\n", b"\r"), NO_HTTP)


def strange() -> Iterator[Case]:
    """Give other protocols, and requests of HTTP that want something else than to be answered."""
    others = {
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        "SSH": b"SSH-2.0-OpenSSH_9\r\n",
        "SOCKS 4": b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        "SOCKS 5": b"\x05\x01\x00",
        "SMTP": b"EHLO example.com\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "FTP": b"USER anonymous\r\n",
        "PostgreSQL": struct.pack("!II", 8, 80877103),
        "the PROXY protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + _BEHIND,
        "the binary PROXY protocol": b"\r\n\r\n\0\r\nQUIT\n" + _BEHIND,
        "a JSON-RPC line": CALL + b"\n",
        "frames of LSP": b"Content-Length: %d\r\n\r\n" % len(CALL) + CALL,
        "zeros": bytes(400),
        "bytes": bytes(range(128, 256)) * 4,
        "an answer": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "memcached": b"get x\r\n",
        "DNS": b"\x00\x1d\x12\x34\x01\x00\x00\x01",
        "an RDP cookie": b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
        "a request in UTF-16": _BEHIND.decode("latin-1").encode("utf-16"),
    }
    yield from family("protocol", CUT, others)


def sizes() -> Iterator[Case]:
    """Give bodies that are larger than the connection allows (64 KiB), told or not."""
    large = CALL.replace(b'"t"', b'"' + b"x" * 65_536 + b'"')
    yield Case("size: told", post(large), TOO_LARGE)
    for length in ("65537", "99999999", "9223372036854775807", "18446744073709551615"):
        yield Case(f"size: only told, {length}", post(CALL, {"content-length": length}), TOO_LARGE)
    yield Case("size: in one chunk", head(_FIRST, _CHUNKED) + chunked(large), TOO_LARGE)
    pieces = [large[at : at + 1000] for at in range(0, len(large), 1000)]
    yield Case("size: in many chunks", head(_FIRST, _CHUNKED) + chunked(*pieces), TOO_LARGE)
    yield Case("size: spaces", post(b" " * 65_537 + CALL), TOO_LARGE)
    for name, short in (("by a byte", len(CALL) + 1), ("by a lot", 60_000)):
        yield Case(f"size: less than told, {name}", post(CALL, {"content-length": str(short)}), CUT)
    yield Case("size: no length at all", head(_FIRST, FIELDS) + CALL, Told(400, -32700))


_LETTERS = "é\u20ac\U0001f600e\u0301\u200d\u2028"


def fine() -> Iterator[Case]:
    """Give honest calls that came in pieces or look odd: refusing them would be wrong."""
    call = CALL.replace(b'"t"', f'"{_LETTERS}"'.encode())
    yield Case("fine: as usual", post(call), FINE)
    start, letters = call.index("é".encode()), _LETTERS.encode()
    for size in (1, 2, 3, 5, 7):
        pieces = [letters[at : at + size] for at in range(0, len(letters), size)]
        cut = chunked(call[:start], *pieces, call[start + len(letters) :])
        yield Case(f"fine: letters cut, in chunks of {size}", head(_FIRST, _CHUNKED) + cut, FINE)
    for at in range(start + 1, start + len(letters)):
        yield Case(
            f"fine: cut at byte {at - start} of the letters",
            head(_FIRST, _CHUNKED) + chunked(call[:at], call[at:]),
            FINE,
        )
    escaped = CALL.replace(b'"t"', b'"\\u00e9\\ud83d\\ude00\\u2028"')
    yield Case("fine: letters in escapes", post(escaped), FINE)
    yield Case("fine: spaces around", post(b" \r\n\t" + CALL + b"\n "), FINE)
    yield Case("fine: names escaped", post(CALL.replace(b'"name"', b'"\\u006eame"')), FINE)
    yield Case(
        "fine: a size in capitals", head(_FIRST, _CHUNKED) + b"%X\r\n%s\r\n000\r\n\r\n" % (len(CALL), CALL), FINE
    )
    yield Case(
        "fine: fields in capitals",
        post(CALL).replace(b"content-type", b"CONTENT-TYPE").replace(b"host:", b"HOST:"),
        FINE,
    )
    yield Case("fine: a trailing field", head(_FIRST, _CHUNKED) + chunked(CALL)[:-2] + b"x-trailer: y\r\n\r\n", FINE)
    yield Case("fine: an extension", head(_FIRST, _CHUNKED) + b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(CALL), CALL), FINE)
    yield Case("fine: a query", post(CALL).replace(b"orders-db ", b"orders-db?x=1 ", 1), FINE)
    yield Case(
        "fine: forwarded for a stranger",
        post(CALL, {"x-forwarded-for": "evil", "x-forwarded-host": "evil", "forwarded": "host=evil"}),
        FINE,
    )
    yield Case("fine: another method in a field", post(CALL, {"x-http-method-override": "DELETE"}), FINE)
    yield Case("fine: 61 lists", post(CALL.replace(b'"t"', b"[" * 61 + b"]" * 61)), FINE)
    yield Case("fine: a large number", post(CALL.replace(b'"t"', b"1" * 400)), FINE)
    yield Case("fine: a text of controls", post(CALL.replace(b'"t"', b'"\\u0000\\u001f\\u007f\\u202e"')), FINE)


def cases() -> Iterator[Case]:
    """Give all of them."""
    yield from lengths()
    yield from chunks()
    yield from lines()
    yield from broken_lines()
    yield from strange()
    yield from sizes()
    yield from fine()
