"""What an approval is bound to: nothing that a server could act on is left out but `_meta`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.binding import bound_parameters, shown_parameters
from proxy.mcp import Message, parse


def message(method: str, params: dict[str, Any]) -> Message:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    read = parse(json.dumps(body).encode(), [(b"content-type", b"application/json")])
    assert isinstance(read, Message), read
    return read


PLAIN: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "query", "arguments": {"sql": "select 1"}},
    "prompts/get": {"name": "report", "arguments": {"of": "may"}},
    "resources/read": {"uri": "file:///a"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "n", "value": "v"}},
}


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("extra", ["arguments", "task", "context", "x"])
def test_a_parameter_more_or_of_another_value_is_another_call_and_is_shown(method: str, extra: str) -> None:
    params = PLAIN[method]
    without, one, other = (
        message(method, {**params, **more}) for more in ({}, {extra: {"to": "one"}}, {extra: {"to": "other"}})
    )

    assert len({bound_parameters(read) for read in (without, one, other)}) == 3
    assert "other" in json.dumps(shown_parameters(other))


def test_meta_is_no_part_of_the_call() -> None:
    params = PLAIN["tools/call"]
    with_meta = message("tools/call", {**params, "_meta": {"progressToken": 7}})

    assert bound_parameters(with_meta) == bound_parameters(message("tools/call", params))
