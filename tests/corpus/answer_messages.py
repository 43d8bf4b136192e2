"""Bodies that are no JSON, or no message, or not the answer that was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.corpus.answer_case import (
    FINE,
    INVALID,
    SECRET,
    WITHHELD,
    Case,
    body,
    both,
    event,
    family,
    result,
    stream,
)
from tests.corpus.request_json import VALUES

_TEXT = b'{"content":[{"type":"text","text":"done"}],"x":@}'
# Refused in a request; in an answer nothing is decided by them, and its reader may take them as it likes.
_TAKEN = frozenset({"a number of 401 digits", "a fraction of 401 digits", "a name twice", "a name twice but for case"})


def values() -> Iterator[Case]:
    """Give each value that is none in a result, in an error, beside them, and in a note before the answer."""
    refused = {name: value for name, value in VALUES.items() if name not in _TAKEN}
    places = {
        "in the result": result(_TEXT),
        "in an error": b'{"jsonrpc":"2.0","id":@ID@,"error":{"code":1,"message":"%s","data":@}}' % SECRET,
        "beside the result": result()[:-1] + b',"x":@}',
    }
    for place, message in places.items():
        said = {
            f"{name} {place}": message.replace(b"@", value).replace(value + b"ID" + value, b"@ID@")
            for name, value in refused.items()
        }
        yield from both("value", INVALID, said)
    note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":@}}'
    inline = {name: value for name, value in refused.items() if b"\n" not in value}
    noted = {
        f"{name} in a note": stream(event(note.replace(b"@", value)) + event(result()))
        for name, value in inline.items()
    }
    yield from family("value", INVALID, noted)


def texts() -> Iterator[Case]:
    """Give bytes that are no UTF-8 in what is an answer all the same, and other encodings."""
    wrong = {
        "a lone continuation": b"\x80",
        "two bytes cut": b"\xc3",
        "three bytes cut": b"\xe2\x82",
        "four bytes cut": b"\xf0\x9f\x98",
        "an overlong slash": b"\xc0\xaf",
        "an overlong zero": b"\xc0\x80",
        "a surrogate": b"\xed\xa0\x80",
        "too far": b"\xf4\x90\x80\x80",
        "five bytes": b"\xf8\x88\x80\x80\x80",
        "0xFE": b"\xfe",
        "0xFF": b"\xff",
        "Latin-1": b"caf\xe9",
    }
    yield from both(
        "text",
        WITHHELD,
        {f"{n} in a text": result(_TEXT.replace(b"done", t + SECRET).replace(b"@", b"1")) for n, t in wrong.items()},
    )
    yield from both(
        "text", WITHHELD, {f"{n} in a name": result(b'{"content":[],"a%s":1}' % t) for n, t in wrong.items()}
    )
    text = result(asked=b"1").decode()
    encoded = {name: text.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp500")}
    encoded["a byte order mark"] = b"\xef\xbb\xbf" + result()
    yield from family("encoding", INVALID, {name: body(data) for name, data in encoded.items()})


def documents() -> Iterator[Case]:
    """Give bodies that are no document, or more than one."""
    good = result()
    said = {
        "a zero byte": b"\0",
        "a page": b"<html>" + SECRET + b"</html>",
        "XML": b"<?xml version='1.0'?>",
        "a word": SECRET,
        "YAML": b"jsonrpc: '2.0'",
        "half a message": good[: len(good) // 2],
        "all but a byte": good[:-1],
        "a brace too many": good + b"}",
        "two messages": good + good,
        "a guard before": b")]}'," + good,
        "a function around": b"f(" + good + b")",
        "a zero behind": good + b"\0",
        "MessagePack": b"\x83\xa7jsonrpc\xa32.0",
        "a text": b'"%s"' % SECRET,
        "a number": b"5",
        "null": b"null",
        "true": b"true",
        "a list of nothing": b"[null]",
        "a list of numbers": b"[1,2]",
        "a list in a list": b"[[" + good + b"]]",
        "a hundred thousand brackets": b"[" * 100_000,
        "a hundred thousand objects": b'{"a":' * 100_000,
        "an object of nothing": b"{}",
    }
    yield from both("document", INVALID, said)
    empty = {
        "nothing": b"",
        "spaces": b"   ",
        "a line end": b"\r\n",
        "an empty list": b"[]",
        "two on lines": good + b"\n" + good,
    }
    yield from family("document", INVALID, {name: body(data) for name, data in empty.items()})
    deep = {
        f"{levels} lists": result(b'{"content":[],"x":%s"%s"%s}' % (b"[" * levels, SECRET, b"]" * levels))
        for levels in (250, 500, 900)
    }
    deep |= {
        f"{levels} objects": result(b'{"content":[],"x":%s"%s"%s}' % (b'{"a":' * levels, SECRET, b"}" * levels))
        for levels in (250, 500, 900)
    }
    yield from both("deep", WITHHELD, deep)
    deeper = {
        f"{levels} lists": result(b'{"content":[],"x":%s1%s}' % (b"[" * levels, b"]" * levels))
        for levels in (2000, 50_000)
    }
    yield from both("deep", INVALID, deeper)


_STRANGE: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "false": b"false",
    "a fraction": b"1.5",
    "a text": b'"%s"' % SECRET,
    "an empty text": b'""',
    "a list": b"[]",
    "a list of it": b"[@ID@]",
    "an object": b"{}",
    "an object of it": b'{"id":@ID@}',
    "it and a fraction": b"@ID@.0",
    "it as a text": b'"@ID@"',
    "it with an exponent": b"@ID@e0",
    "another": b"999999999",
    "a negative one": b"-1",
    "it negative": b"-@ID@",
    "a large one": b"9" * 30,
    "zero": b"0",
    "it and more": b"@ID@0",
}


def identities() -> Iterator[Case]:
    """Give answers to somebody else, or to nobody."""
    yield from both("id", INVALID, {f"the id is {name}": result(asked=value) for name, value in _STRANGE.items()})
    errors = {
        f"an error whose id is {n}": b'{"jsonrpc":"2.0","id":%s,"error":{"code":1,"message":"x"}}' % v
        for n, v in _STRANGE.items()
        if n != "null"
    }
    yield from both("id", INVALID, errors)
    good, other = result(), result(asked=b"999999999")
    more = {
        "none": good.replace(b'"id":@ID@,', b""),
        "in capitals": good.replace(b'"id"', b'"ID"'),
        "twice, the other last": good.replace(b'"id"', b'"id":@ID@,"id"').replace(
            b':@ID@,"result', b':999999999,"result'
        ),
        "in a batch of others": b"[" + other + b"]",
    }
    yield from both("id", INVALID, more)
    yield Case("id: another before it in a stream", stream(event(other) + event(good)), INVALID)
    yield Case("id: another after it in a stream", stream(event(good) + event(other)), FINE)
    yield Case("id: it twice in a stream", stream(event(good) + event(good.replace(b"done", SECRET))), FINE)
    last = b"[" + good + b"," + other + b"]"
    yield Case("id: a batch in which another comes last", body(last), INVALID)
    yield Case("id: a batch in which another comes last, in a stream", stream(event(last)), FINE)
    yield Case("id: a batch in which another comes first", body(b"[" + other + b"," + good + b"]"), INVALID)
    # Its server could not read the id, so it knows none.
    yield from both("id", FINE, {"an error without an id": b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}'})


def envelopes() -> Iterator[Case]:
    """Give objects that are no message of JSON-RPC 2.0."""
    good = result()
    said: dict[str, bytes] = {}
    for name, value in {
        **_STRANGE,
        "1.0": b'"1.0"',
        "2": b"2",
        "2.00": b'"2.00"',
        "a space": b'"2.0 "',
        "3.0": b'"3.0"',
    }.items():
        said[f"jsonrpc is {name}"] = good.replace(b'"2.0"', value)
    for name, value in (("none", b""), ("in capitals", b'"JSONRPC":"2.0",'), ("with a capital", b'"Jsonrpc":"2.0",')):
        said[f"jsonrpc {name}"] = good.replace(b'"jsonrpc":"2.0",', value)
    error = b'"error":{"code":1,"message":"%s"}' % SECRET
    said["a result and an error"] = good[:-1] + b"," + error + b"}"
    said["neither"] = b'{"jsonrpc":"2.0","id":@ID@}'
    said["a result in capitals"] = good.replace(b'"result"', b'"RESULT"')
    said["a result with a capital"] = good.replace(b'"result"', b'"Result"')
    said["an error with a capital"] = b'{"jsonrpc":"2.0","id":@ID@,"Error":{"code":1,"message":"x"}}'
    said["a request of it"] = b'{"jsonrpc":"2.0","id":@ID@,"method":5}'
    for name, value in _STRANGE.items():
        if "object" not in name:
            said[f"the result is {name}"] = result(value)
            said[f"the error is {name}"] = b'{"jsonrpc":"2.0","id":@ID@,"error":%s}' % value
    yield from both("envelope", INVALID, said)


def duplicates() -> Iterator[Case]:
    """Give members twice: each reader might take another one, so the gateway writes what it has read, and only that."""
    good = result()
    hidden = b'"result":{"content":[{"type":"text","text":"password=%s"}]},' % SECRET
    said: dict[str, bytes] = {}
    for how, name in (
        ("the same", b"result"),
        ("in capitals", b"RESULT"),
        ("with a capital", b"Result"),
        ("in escapes", b"\\u0072esult"),
        ("with a long s", "re\u017fult".encode()),
    ):
        said[f"the result twice, {how}"] = good.replace(b'"result"', hidden.replace(b"result", name, 1) + b'"result"')
    for how, name in (("the same", b"content"), ("in capitals", b"CONTENT"), ("in escapes", b"\\u0063ontent")):
        twin = b'{"%s":[{"type":"text","text":"password=%s"}],"content":[{"type":"text","text":"done"}]}' % (
            name,
            SECRET,
        )
        said[f"the content twice, {how}"] = result(twin)
    for how, name in (("the same", b"text"), ("in capitals", b"TEXT"), ("in escapes", b"\\u0074ext")):
        twin = b'{"content":[{"type":"text","%s":"password=%s","text":"done"}]}' % (name, SECRET)
        said[f"a text twice, {how}"] = result(twin)
    said["a hidden _meta"] = result(
        b'{"_meta":{"holdgate/decision":{"x":"password=%s"}},"content":[{"type":"text","text":"done"}],"_meta":{}}'
        % SECRET
    )
    said["an id twice, the same"] = good.replace(b'"id"', b'"id":@ID@,"id"')
    yield from both("twice", FINE, said)


def long() -> Iterator[Case]:
    """Give what is allowed, and odd: refusing it would be wrong."""
    letters = json.dumps("é\u20ac\U0001f600e\u0301\u200d\u2028", ensure_ascii=False).encode()
    value = b'{"content":[{"type":"text","text":%s}]}' % letters
    for every in (1, 2, 3, 5, 7):
        yield Case(f"fine: letters cut at {every} bytes", stream(event(result(value)), every=every), FINE)
    said = {
        "escaped names": b'{"\\u006asonrpc":"2.0","\\u0069d":@ID@,"\\u0072esult":{"content":[]}}',
        "spaces": b'{ "jsonrpc" : "2.0" , "id" : @ID@ , "result" : { "content" : [ ] } }',
        "unknown members": result()[:-1] + b',"x":{"y":[1,2.50,1e5]}}',
        "a number of 401 digits": result(_TEXT.replace(b"@", b"0." + b"1" * 401)),
        "100 levels": result(_TEXT.replace(b"@", b"[" * 100 + b"]" * 100)),
        "an error": b'{"jsonrpc":"2.0","id":@ID@,"error":{"code":-32602,"message":"Unknown tool"}}',
        "a zero in a text": result(_TEXT.replace(b"@", b'"\\u0000"')),
    }
    yield from both("fine", FINE, said)


def cases() -> Iterator[Case]:
    """Give all of them."""
    yield from values()
    yield from texts()
    yield from documents()
    yield from identities()
    yield from envelopes()
    yield from duplicates()
    yield from long()
