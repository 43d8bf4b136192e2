"""What the fuzzers are fed with: documents that are nearly right, and streams cut anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

# Names that some reader takes for one another.
ALIKE = [
    "id",
    "ID",
    "\\u0069d",
    "i\\u0064",
    "i\u200bd",
    "\uff49\uff44",
    "method",
    "METHOD",
    "m\u00e9thod",
    "me\u0301thod",
    "params",
    "param\u017f",
    "name",
    "n\u00e3me",
    "a",
    "A",
    "",
    " ",
    "\\u0000",
    "k",
    "\u212a",
    "stra\u00dfe",
    "STRASSE",
    "\\ud83d\\ude00",
    "\\ud800",
    "\u0130",
    "i\u0307",
]
NAMES = st.sampled_from(ALIKE)
GOOD = st.sampled_from(
    [
        "null",
        "true",
        "0",
        "-0",
        "-1",
        "1.0",
        "1E-5",
        "9" * 400,
        '""',
        '"\\u00e9"',
        '"\\ud83d\\ude00"',
        '"\\"[{,"',
        "[]",
        "{}",
    ]
)
BAD = st.sampled_from(
    [
        "1e400",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "-Infinity",
        "9" * 401,
        '"\\ud83d"',
        '"\\ude00"',
        '"\\ude00\\ud83d"',
        '"\\x"',
        '"a\tb"',
        "'x'",
        "nul",
        "1_0",
        "",
    ]
)
SPACES = st.sampled_from(["", " ", "\n", "\t", "\r\n"])


def _object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(st.tuples(NAMES, SPACES, inner), max_size=4)
    return members.map(lambda found: "{" + ",".join(f'"{name}"{space}:{value}' for name, space, value in found) + "}")


def _list(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(SPACES, inner), max_size=4).map(
        lambda found: "[" + ",".join(space + value for space, value in found) + "]"
    )


def _nested(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(atoms, lambda inner: _object(inner) | _list(inner), max_leaves=8)


# Good JSON but for its names; a name twice alone; and one bad value somewhere in what is good.
TEXTS = _nested(GOOD)
TWICE = st.lists(NAMES, min_size=2, max_size=2).map(lambda two: f'[{{"{two[0]}":1,"{two[1]}":2}}]')
ONE_BAD = st.tuples(BAD, st.sampled_from(["%s", "[%s]", '{"a":[1,%s]}', '{"a":{"b":%s},"c":1}', '[" ",%s]'])).map(
    lambda both: both[1] % both[0]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [
        b'"',
        b"\\",
        b"\\u",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\0",
        b"\n",
        b"1",
        b"e",
        b"-",
        b".",
        b"NaN",
        b"[" * 70,
        b"]" * 70,
    ]
)


@st.composite
def spoilt(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Give a body with a few pieces put in, cut out or doubled."""
    body = draw(whole)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 4))
        put = draw(st.just(b"") | PIECES | st.just(body[at : at + 20]))
        body = body[:at] + put + body[at + length :]
    return body


BODIES = st.one_of(
    TEXTS.map(str.encode),
    TWICE.map(str.encode),
    ONE_BAD.map(str.encode),
    spoilt(TEXTS.map(str.encode)),
    spoilt(VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))),
    spoilt(VALUES.map(lambda value: json.dumps(value).encode())),
    st.binary(max_size=60),
    st.integers(60, 70).map(lambda levels: b"[" * levels + b"]" * levels),
    st.integers(60, 70).map(lambda levels: b'{"a":' * levels + b'"]"' + b"}" * levels),
)


@st.composite
def cut(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """Give a body in pieces, however it may come from the network."""
    if draw(st.booleans()):
        return [whole[at : at + 1] for at in range(len(whole))]
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]


# Messages as callers send them, with members missing, doubled in other spellings, of other kinds.
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
_SOME = st.sampled_from([None, True, 0, 1, 1.5, "", "x", "echo", [], [1], {}, {"a": 1}, "a\0b"])
_PARAMS = st.dictionaries(
    st.sampled_from(
        ["name", "Name", "arguments", "uri", "_meta", "ref", "task", "taskId", "requestState", "x", "\uff4eame"]
    ),
    _SOME | st.just(_META) | st.just({"type": "ref/prompt", "name": "x"}) | st.just({"progressToken": True}),
    max_size=5,
)
_METHODS = st.sampled_from(
    [
        "tools/call",
        "tools/list",
        "prompts/get",
        "resources/read",
        "initialize",
        "ping",
        "tasks/get",
        "completion/complete",
        "x",
        "",
    ]
)
_GOOD = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={"id": _SOME, "method": _METHODS, "params": _PARAMS | _SOME, "result": _SOME, "error": _SOME, "ID": _SOME},
)
MESSAGES = st.one_of(_GOOD, st.lists(_GOOD, max_size=3)).map(lambda value: json.dumps(value).encode())


def _call(method: str, meta: Any, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}).encode()


# A good call of the newer era, of which one part at a time is another one.
MIRRORED = st.tuples(
    st.sampled_from(
        [
            _call("tools/call", _META, name="echo"),
            _call("tools/call", _META, name="query"),
            _call("prompts/get", _META, name="echo"),
            _call("tools/list", _META),
            _call("tools/call", {}, name="echo"),
            _call("tools/call", {**_META, "io.modelcontextprotocol/protocolVersion": "2025-11-25"}, name="echo"),
        ]
    ),
    st.sampled_from(["2026-07-28", "2025-11-25", "x"]),
    st.sampled_from(["tools/call", "tools/list", "TOOLS/CALL"]),
    st.sampled_from(["echo", "query", "=?base64?ZWNobw==?=", "=?base64?ZWNobw?="]),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"content-type",
                b"content-encoding",
                b"mcp-protocol-version",
                b"mcp-method",
                b"mcp-name",
                b"mcp-session-id",
                b"mcp-param-x",
                b"last-event-id",
                b"accept",
                b"prefer",
                b"idempotency-key",
                b"holdgate-reason",
            ]
        ),
        st.sampled_from(
            [
                b"application/json",
                b"application/json; charset=utf-8",
                b"gzip",
                b"identity",
                b"2026-07-28",
                b"2025-11-25",
                b"2025-03-26",
                b"tools/call",
                b"echo",
                b"=?base64?ZWNobw==?=",
                b"=?base64?!?=",
                b"x",
                b"",
                b"caf\xe9",
                b"wait=5",
                b'wait="',
                b"text/event-stream;q=0",
            ]
        )
        | st.binary(max_size=12),
    ),
    max_size=5,
)

LINES = st.sampled_from(
    b"data: |data|data:x|id: 1|id|id: a\0|event: e|event|retry: 5|retry: x|:|: c|foo: bar|"
    b"\n|\r|\r\n|\n\n|\r\n\r\n|x| |\xc3\xa9|\xff|\xef\xbb\xbf|{}|".split(b"|")
)
STREAMS = st.tuples(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"", b"data: x\n\n"]),
    st.lists(LINES, max_size=30).map(b"".join),
).map(b"".join)
