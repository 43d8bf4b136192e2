"""What is no JSON, or JSON that two readers could read differently, at every place of a call."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.corpus.request_case import CALL, FIRST, MARK, NO_JSON, Case, family, post

# What may stand for a value, and may not.
VALUES: dict[str, bytes] = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "too large a number": b"1e400",
    "a number of 401 digits": b"1" * 401,
    "a fraction of 401 digits": b"0." + b"1" * 400,
    "a leading zero": b"01",
    "a plus sign": b"+1",
    "a point first": b".5",
    "a point last": b"1.",
    "an exponent without digits": b"1e",
    "two signs": b"--1",
    "a hexadecimal number": b"0x10",
    "a number with underlines": b"1_000",
    "digits of another writing": "١".encode(),
    "a lone high surrogate": b'"\\ud800"',
    "a lone low surrogate": b'"\\udfff"',
    "surrogates in the wrong order": b'"\\udc00\\ud800"',
    "a high surrogate before a letter": b'"\\ud83dx"',
    "a surrogate as a name": b'{"\\ud800":1}',
    "a line feed in a string": b'"a\nb"',
    "a tab in a string": b'"a\tb"',
    "a zero byte in a string": b'"a\0b"',
    "an escape that is none": b'"\\x41"',
    "an escape of a quote": b'"\\\'"',
    "an escape too short": b'"\\u00"',
    "single quotes": b"'a'",
    "no quotes": b"abc",
    "True": b"True",
    "None": b"None",
    "undefined": b"undefined",
    "nothing": b"",
    "a comma at the end of a list": b"[1,]",
    "a comma at the end of an object": b'{"a":1,}',
    "two commas": b"[1,,2]",
    "no comma": b"[1 2]",
    "no colon": b'{"a" 1}',
    "an equals sign": b'{"a"=1}',
    "a name without quotes": b"{a:1}",
    "a number for a name": b"{1:1}",
    "null for a name": b"{null:1}",
    "a comment": b"1/* */",
    "a comment of one line": b"1//\n",
    "a hash comment": b"1#\n",
    "a bracket that is not closed": b"[",
    "a brace that is not closed": b'{"a":1',
    "brackets crossed": b'[{"a":1]}',
    "a string that is not closed": b'"abc',
    "a form feed for a space": b"\x0c1",
    "a no-break space": b"\xc2\xa01",
    "a byte order mark inside": b"\xef\xbb\xbf1",
    "a name twice": b'{"a":1,"a":2}',
    "a name twice but for case": b'{"ab":1,"aB":2}',
}
_M = MARK.encode()
# Where such a value may stand in a call.
PLACES: dict[str, bytes] = {
    "an argument": CALL.replace(b'"t"', b"@"),
    "deep in an argument": CALL.replace(b'"t"', b'[{"a":[0,@]}]'),
    "a parameter": CALL.replace(b'"name"', b'"x":@,"name"'),
    "_meta": CALL.replace(b'"name"', b'"_meta":{"x":@},"name"'),
    "beside the method": CALL[:-1] + b',"x":@}',
    "the id": CALL.replace(b":7,", b":@,"),
}


def values() -> Iterator[Case]:
    """Give each value at each place."""
    for place, call in PLACES.items():
        cases = ((f"{name} as {place}", post(call.replace(b"@", value))) for name, value in VALUES.items())
        yield from family("value", NO_JSON, cases)
    batched = {"mcp-protocol-version": FIRST}
    inside = ((name, post(b"[" + CALL + b"," + value + b"]", batched)) for name, value in VALUES.items() if value)
    yield from family("value in a batch", NO_JSON, inside)


# A member that decides, and the names that some reader takes for the same.
_DECIDES = ("jsonrpc", "id", "method", "params", "name", "arguments", "text", "marker")


def _spellings(name: str) -> dict[str, bytes]:
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in name)
    return {
        "the same": name.encode(),
        "in escapes": "".join(f"\\u{ord(letter):04x}" for letter in name).encode(),
        "in capitals": name.upper().encode(),
        "with a capital": name.capitalize().encode(),
        "in wide letters": wide.encode(),
        "with a zero-width space": (name[0] + "\u200b" + name[1:]).encode(),
        "with an escaped zero": (name[0] + "\\u0000" + name[1:]).encode(),
        "with a soft hyphen": (name + "\u00ad").encode(),
        "with a mark of direction": ("\u200e" + name).encode(),
    }


def duplicates() -> Iterator[Case]:
    """Give each member that decides a second time, before and behind the first, in every spelling."""
    for name in _DECIDES:
        for how, spelled in _spellings(name).items():
            member = b'"%s":"tools/call",' % spelled
            first = b'"%s":' % name.encode()
            yield Case(f"twice: {name} {how}, before", post(CALL.replace(first, member + first, 1)), NO_JSON)
    for name in ("sql", "dry_run"):
        for how, spelled in _spellings(name).items():
            pair = b'{"%s":1,"%s":2}' % (name.encode(), spelled)
            yield Case(f"twice: in an argument, {name} {how}", post(CALL.replace(b'"t"', pair)), NO_JSON)


_TEXT = {
    "a lone continuation": b"\x80",
    "two bytes cut": b"\xc3",
    "three bytes cut": b"\xe2\x82",
    "four bytes cut": b"\xf0\x9f\x98",
    "an overlong slash": b"\xc0\xaf",
    "an overlong quote of three bytes": b"\xe0\x80\xa2",
    "an overlong zero": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond the last character": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "0xFE": b"\xfe",
    "0xFF": b"\xff",
    "Latin-1": b"caf\xe9",
}


def encodings() -> Iterator[Case]:
    """Give bytes that are no UTF-8 at every place, and the whole call in other encodings."""
    slots = {
        "a value": CALL.replace(b'"t"', b'"@"'),
        "a name": CALL.replace(b'"text"', b'"te@xt"'),
        "the tool": CALL.replace(b'"echo"', b'"echo@"'),
        "the method": CALL.replace(b"tools/call", b"tools/call@"),
    }
    for place, slot in slots.items():
        yield from family("text", NO_JSON, {f"{n} in {place}": post(slot.replace(b"@", t)) for n, t in _TEXT.items()})
    text = CALL.decode()
    # What is told apart by its marker does not hold it in these encodings; none of them may be executed either.
    whole = {name: post(text.encode(name)) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")}
    whole |= {"utf-7": post(text.replace('"', "+ACI-").encode()), "EBCDIC": post(text.encode("cp500"))}
    whole["a byte order mark"] = post(b"\xef\xbb\xbf" + CALL)
    whole["base64"] = post(json.dumps(text).encode()[1:-1])
    yield from family("encoding", NO_JSON, whole)


def documents() -> Iterator[Case]:
    """Give bodies that are no document, or more than one, or too much of one."""
    deep = {
        f"{levels} {what}": post(CALL.replace(b'"t"', opened * levels + b"1" + closed * levels))
        for levels in (62, 65, 100, 1000, 10_000)
        for what, opened, closed in (("lists", b"[", b"]"), ("objects", b'{"a":', b"}"))
    }
    bodies = {
        "nothing": b"",
        "spaces": b"   ",
        "a zero byte": b"\0",
        "a form": b"jsonrpc=2.0&method=tools/call",
        "XML": b"<methodCall><methodName>tools/call</methodName></methodCall>",
        "YAML": b"jsonrpc: '2.0'\nmethod: tools/call\n",
        "MessagePack": b"\x83\xa7jsonrpc\xa32.0",
        "half a call": CALL[: len(CALL) // 2],
        "all but the last byte": CALL[:-1],
        "one brace too many": CALL + b"}",
        "two calls": CALL + CALL,
        "two calls on lines": CALL + b"\n" + CALL,
        "an event": b"data: " + CALL + b"\n\n",
        "a zero byte behind": CALL + b"\0",
        "a guard before": b")]}',\n" + CALL,
        "a function around": b"f(" + CALL + b")",
        "a length before": b"%d:" % len(CALL) + CALL,
        "a million brackets": b"[" * 60_000,
        "a million objects": b'{"a":' * 12_000,
        "quotes": b'"' * 60_001,
        "backslashes": b'"' + b"\\" * 60_001,
        "more values than allowed in a string's clothes": b'["' + b"," * 30_000,
    }
    yield from family("document", NO_JSON, {name: post(body) for name, body in bodies.items()})
    yield from family("deep", NO_JSON, deep)


def cases() -> Iterator[Case]:
    """Give all of them."""
    yield from values()
    yield from duplicates()
    yield from encodings()
    yield from documents()
