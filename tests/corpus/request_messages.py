"""Good JSON that is no message of MCP: envelopes, parameters, batches, handles of others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.corpus.request_case import (
    CALL,
    FIRST,
    LAST,
    MARK,
    MISMATCH,
    MODERN,
    NO_MESSAGE,
    NO_PARAMS,
    Case,
    Told,
    family,
    post,
    rpc,
)

_GOOD: Mapping[str, Any] = json.loads(CALL)
_LEFT_OUT = object()
_STRANGE: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "a number": 5,
    "a fraction": 1.5,
    "an empty text": "",
    "a list": [],
    "a list of one": [1],
    "an object": {},
    "an object of one": {"a": 1},
}


def changed(**members: Any) -> bytes:
    """Return the call with other members; None stays null."""
    return json.dumps({name: value for name, value in {**_GOOD, **members}.items() if value is not _LEFT_OUT}).encode()


def with_params(**members: Any) -> bytes:
    """Return the call with other parameters."""
    params = {name: value for name, value in {**_GOOD["params"], **members}.items() if value is not _LEFT_OUT}
    return changed(params=params)


def asking(method: str, **params: Any) -> bytes:
    """Return a request of another method, which holds the marker as well."""
    return changed(method=method, params={**params, "marker": MARK})


def _but(*left: str) -> dict[str, Any]:
    return {name: value for name, value in _STRANGE.items() if name not in left}


def envelopes() -> Iterator[Case]:
    """Give messages whose outer members are wrong."""
    bodies: dict[str, bytes] = {
        f"it is {name}": json.dumps(value).encode() for name, value in _but("a list", "a list of one").items()
    }
    bodies |= {f"jsonrpc is {name}": changed(jsonrpc=value) for name, value in _STRANGE.items()}
    for version in ("1.0", "2", "2.0 ", "2.00", "02.0", "2,0", "3.0"):
        bodies[f"jsonrpc is {version!r}"] = changed(jsonrpc=version)
    bodies["no jsonrpc"] = changed(jsonrpc=_LEFT_OUT)
    bodies |= {f"the id is {name}": changed(id=value) for name, value in _but("a number", "an empty text").items()}
    bodies["the id is 1.0"] = CALL.replace(b":7,", b":1.0,")
    bodies["the id is minus zero"] = CALL.replace(b":7,", b":-0,")
    bodies["the id is 1e2"] = CALL.replace(b":7,", b":1e2,")
    bodies |= {f"the method is {name}": changed(method=value) for name, value in _STRANGE.items()}
    bodies["the method is too long"] = changed(method="x" * 257)
    bodies["the method holds a zero"] = changed(method="tools/call\0")
    bodies["no method"] = changed(method=_LEFT_OUT)
    bodies["a result beside the method"] = changed(result={})
    bodies["an error beside the method"] = changed(error={"code": 1, "message": ""})
    bodies["a result and an error"] = changed(method=_LEFT_OUT, result={}, error={})
    bodies["a result without an id"] = changed(method=_LEFT_OUT, id=_LEFT_OUT, result={})
    bodies |= {
        f"a result that is {n}": changed(method=_LEFT_OUT, result=v)
        for n, v in _but("an object", "an object of one").items()
    }
    for name in ("jsonrpc", "id", "method", "params", "result", "error"):
        for spelled in (name.upper(), name.capitalize(), name + "\u200b", name[0] + "\u00ad" + name[1:]):
            alone = {spelled if key == name else key: value for key, value in _GOOD.items()}
            alone = alone if name in _GOOD else {**_GOOD, spelled: {}}
            bodies[f"{name} as {spelled!a}"] = json.dumps(alone, ensure_ascii=False).encode()
    yield from family("envelope", NO_MESSAGE, {name: post(body) for name, body in bodies.items()})
    wrong = {
        f"params is {name}": post(changed(params=value))
        for name, value in _but("null", "an object", "an object of one").items()
    }
    yield from family("envelope", NO_PARAMS, wrong)


def parameters() -> Iterator[Case]:
    """Give calls whose parameters are wrong, for every method that a rule speaks of."""
    bodies: dict[str, bytes] = {}
    for name, value in _but("an object").items():
        bodies[f"name is {name}"] = with_params(name=value)
    bodies["no name"] = with_params(name=_LEFT_OUT)
    for name, value in _but("null", "an object", "an object of one").items():
        bodies[f"arguments are {name}"] = with_params(arguments=value)
        bodies[f"_meta is {name}"] = with_params(_meta=value)
    for name, value in _but("a number", "an empty text", "null").items():
        bodies[f"the progress token is {name}"] = with_params(_meta={"progressToken": value})
    for spelled in (
        "Name",
        "NAME",
        "n\u200bame",
        "Arguments",
        "ARGUMENTS",
        "_Meta",
        "_META",
        "Uri",
        "Task",
        "TaskId",
        "RequestState",
    ):
        meant = spelled.replace("\u200b", "").lower()
        bodies[f"a parameter {spelled!a}"] = with_params(
            **({meant: _LEFT_OUT} if meant in _GOOD["params"] else {}), **{spelled: {}}
        )
    for method, member in (
        ("prompts/get", "name"),
        ("resources/read", "uri"),
        ("resources/subscribe", "uri"),
        ("resources/unsubscribe", "uri"),
        ("tasks/get", "taskId"),
        ("tasks/result", "taskId"),
        ("tasks/cancel", "taskId"),
    ):
        bodies |= {
            f"{method} with {member} {n}": asking(method, **{member: v})
            for n, v in _but("an object", "a list", "false").items()
        }
        bodies[f"{method} without {member}"] = asking(method)
    for name, ref in (
        ("null", None),
        ("a text", "ref/prompt"),
        ("of no type", {"name": "x"}),
        ("of another type", {"type": "ref/x", "name": "x"}),
        ("of two things", {"type": "ref/prompt", "name": "x", "uri": "y"}),
        ("in capitals", {"Type": "ref/prompt", "name": "x"}),
        ("with a second name", {"type": "ref/prompt", "name": "x", "Name": "y"}),
    ):
        told = NO_PARAMS
        if name != "with a second name":
            yield Case(f"parameters: a reference {name}", post(asking("completion/complete", ref=ref)), told)
    yield from family("parameters", NO_PARAMS, {name: post(body) for name, body in bodies.items()})
    zero = {
        "the name holds a zero": with_params(name="echo\0"),
        "a uri holds a zero": asking("resources/read", uri="a\0b"),
    }
    yield from family("parameters", NO_MESSAGE, {name: post(body) for name, body in zero.items()})


def wishes() -> Iterator[Case]:
    """Give wishes in `_meta` that cannot be read."""
    bodies: dict[str, bytes] = {}
    for knob in ("idempotency-key", "reason", "run"):
        for name, value in _but("null", "an empty text").items():
            bodies[f"{knob} is {name}"] = with_params(_meta={f"holdgate/{knob}": value})
        bodies[f"{knob} is too long"] = with_params(_meta={f"holdgate/{knob}": "x" * 2001})
    yield from family("wish", NO_MESSAGE, {name: post(body) for name, body in bodies.items()})


def batches() -> Iterator[Case]:
    """Give batches that are none, and batches where there are none."""
    other = CALL.replace(b":7,", b":8,")
    first = {"mcp-protocol-version": FIRST}
    meta = b'{"io.modelcontextprotocol/protocolVersion":"%s"}' % MODERN.encode()
    modern = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":' + meta + b"}}"
    for version in ("2025-06-18", LAST):
        yield Case(
            f"batch: on {version}",
            post(b"[" + CALL + b"," + other + b"]", {"mcp-protocol-version": version}),
            NO_MESSAGE,
        )
    bodies = {
        "empty": b"[]",
        "of an empty one": b"[[]]",
        "of a batch": b"[[" + CALL + b"]]",
        "of 101": b"[" + b",".join(CALL.replace(b":7,", b":%d," % one) for one in range(101)) + b"]",
        "with the same id twice": b"[" + CALL + b"," + CALL + b"]",
        "with initialize": b"[" + CALL + b',{"jsonrpc":"2.0","id":9,"method":"initialize","params":{}}]',
    }
    bodies |= {
        f"with {name}": b"[" + CALL + b"," + json.dumps(value).encode() + b"]" for name, value in _STRANGE.items()
    }
    bodies["with another version"] = b"[" + CALL + b"," + other.replace(b'"2.0"', b'"1.0"') + b"]"
    yield from family("batch", NO_MESSAGE, {name: post(body, first) for name, body in bodies.items()})
    yield Case(
        "batch: with a call without a name",
        post(b"[" + CALL + b"," + other.replace(b'"name":"echo",', b"") + b"]", first),
        NO_PARAMS,
    )
    yield Case("batch: with a modern element", post(b"[" + CALL + b"," + modern + b"]", first), MISMATCH)
    for field in ("mcp-method", "mcp-name"):
        yield Case(f"batch: with {field}", post(b"[" + CALL + b"," + other + b"]", {**first, field: "x"}), MISMATCH)


def handles() -> Iterator[Case]:
    """Give handles that the gateway never gave out: sessions, tasks, states of rounds, answers to no question."""
    dead = Told(404, -32600)
    for name, session in (
        ("a word", "abc"),
        ("a UUID", "018f0000-0000-7000-8000-000000000000"),
        ("a path", "../../etc/passwd"),
        ("SQL", "'--"),
        ("the longest", "x" * 1024),
        ("a token", "eyJhbGciOiJub25lIn0.e30."),
    ):
        yield Case(f"handle: a session that is {name}", post(CALL, {"mcp-session-id": session}), dead)
    for name, session in (("empty", ""), ("too long", "x" * 1025), ("two words", "a b"), ("not ASCII", "caf\xe9")):
        told = MISMATCH if name == "not ASCII" else NO_MESSAGE
        yield Case(f"handle: a session that is {name}", post(CALL, {"mcp-session-id": session.encode("latin-1")}), told)
    for method in ("tasks/get", "tasks/result", "tasks/cancel"):
        for name, task in (("a word", "abc"), ("a UUID", "018f0000-0000-7000-8000-000000000000"), ("long", "x" * 5000)):
            told = Told(200, -32602)
            yield Case(f"handle: {method} of {name}", post(asking(method, taskId=task)), told)
    for name, outcome in (("result", {"action": "accept"}), ("error", {"code": -1, "message": MARK})):
        for identifier in (1, "1", "abc", 0, "x" * 5000):
            body = json.dumps({"jsonrpc": "2.0", "id": identifier, name: outcome}).encode()
            yield Case(f"handle: a {name} to {identifier!r:.9}, which nobody asked", post(body), Told(400))


def cases() -> Iterator[Case]:
    """Give all of them."""
    yield from envelopes()
    yield from parameters()
    yield from wishes()
    yield from batches()
    yield from handles()


__all__ = ["asking", "cases", "changed", "rpc", "with_params"]
