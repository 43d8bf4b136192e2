"""What an upstream says, message by message: which kind it is, and lists filtered to what the caller may use. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson

from approvals.catalogue.definitions import digest_of
from masking import documents
from masking.schemas import served_schema

if TYPE_CHECKING:
    from masking.engine import Masker
    from proxy.envelope import Id

# Where a list stands in a result, what names its entries, and the method that a rule would judge them by.
LISTS = {
    "tools/list": ("tools", "name", "tools/call"),
    "resources/list": ("resources", "uri", "resources/read"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate", "resources/read"),
    "prompts/list": ("prompts", "name", "prompts/get"),
}


class Kind(Enum):
    """What a message of the upstream is to the exchange that waits for it."""

    ANSWER = "answer"
    NOTIFICATION = "notification"
    REQUEST = "request"
    FOREIGN = "foreign"


def classify(message: bytes, request_id: Id | None) -> tuple[Kind, dict[str, Any]]:
    """Return the kind of a message and its content. Raises ValueError when it is not one JSON object."""
    content = orjson.loads(message)
    if not isinstance(content, dict):
        msg = "not one JSON object"
        raise ValueError(msg)
    if "method" in content:
        return (Kind.REQUEST if "id" in content else Kind.NOTIFICATION), content
    same = content.get("id") == request_id and type(content.get("id")) is type(request_id)
    answers = ("result" in content) != ("error" in content)
    # An error that could not name the request (its id was not read) answers the only one there is.
    nameless = content.get("id") is None and "error" in content
    return (Kind.ANSWER if answers and (same or nameless) else Kind.FOREIGN), content


Visible = Callable[[str, str, Any], bool]


def listed_tools(message: bytes) -> dict[str, str] | None:
    """Return the digests of the tools that an answer lists, by name; None when it lists none.

    Raises masking.documents.Unreadable when it is not JSON as RFC 8259 has it.
    """
    content, _ = documents.read(message.decode("utf-8"))
    result = content.get("result")
    tools = result.get("tools") if isinstance(result, dict) else None
    if not isinstance(tools, list):
        return None
    return {one["name"]: digest_of(one) for one in tools if isinstance(one, dict) and isinstance(one.get("name"), str)}


def filtered(method: str, content: dict[str, Any], visible: Visible) -> dict[str, Any] | None:
    """Return the answer of a list without what the caller may not use, or None when nothing had to go.

    `visible(name, method, entry)` is asked for each entry. An entry without a name is dropped: no rule could speak of
    it.
    """
    if method not in LISTS or not isinstance(content.get("result"), dict):
        return None
    key, name_key, judged_as = LISTS[method]
    result = content["result"]
    entries = result.get(key)
    if not isinstance(entries, list):
        return None
    kept = [
        one
        for one in entries
        if isinstance(one, dict) and isinstance(one.get(name_key), str) and visible(one[name_key], judged_as, one)
    ]
    if len(kept) == len(entries):
        return None
    return {**content, "result": {**result, key: kept}}


def readdressed(answer: bytes, request_id: Id | None) -> bytes:
    """Return a kept answer under the id of the request that asks for it now; numbers keep their spelling."""
    content, _ = documents.read(answer.decode("utf-8"))
    return documents.write({**content, "id": request_id})


def described(content: dict[str, Any], masker: Masker) -> dict[str, Any]:
    """Return the answer of `tools/list` with what output schemas list masked like the results themselves."""
    tools = [
        {**tool, "outputSchema": served_schema(tool["outputSchema"], masker)} if "outputSchema" in tool else tool
        for tool in content["result"]["tools"]
    ]
    return {**content, "result": {**content["result"], "tools": tools}}


def private(message: bytes) -> bytes:
    """Return an answer that may be kept for its caller alone, whatever its server said (`cacheScope`, 2026-07-28).

    Lists and contents differ by access, rules and masking from caller to caller, so that nobody may share them.
    Raises masking.documents.Unreadable when it is not JSON as RFC 8259 has it.
    """
    if b"cacheScope" not in message:
        return message
    content, _ = documents.read(message.decode("utf-8"))
    result = content.get("result")
    if not isinstance(result, dict) or result.get("cacheScope") != "public":
        return message
    return documents.write({**content, "result": {**result, "cacheScope": "private"}})


def served_list(message: bytes, method: str, visible: Visible, masker: Masker) -> bytes:
    """Return a list as its caller may see it: filtered, with schemas that results satisfy.

    Where nothing has to change, the same bytes come back.

    Raises masking.documents.Unreadable when it is not JSON as RFC 8259 has it.
    """
    content, _ = documents.read(message.decode("utf-8"))
    kept = filtered(method, content, visible)
    served = content if kept is None else kept
    if method == "tools/list" and isinstance(served.get("result"), dict) and "tools" in served["result"]:
        shown = described(served, masker)
        kept = shown if shown != served else kept
    return message if kept is None else documents.write(kept)
