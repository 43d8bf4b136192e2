"""What an upstream says, message by message: which kind it is, and lists filtered to what the caller may use. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson

from masking import documents
from masking.schemas import relax_schema

if TYPE_CHECKING:
    from collections.abc import Callable

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


def filtered(method: str, content: dict[str, Any], visible: Callable[[str, str], bool]) -> dict[str, Any] | None:
    """Return the answer of a list without what the caller may not use, or None when nothing had to go.

    `visible(name, method)` is asked for each entry. An entry without a name is dropped: no rule could speak of it.
    A filtered list is private to its caller, whatever the server said of caching.
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
        if isinstance(one, dict) and isinstance(one.get(name_key), str) and visible(one[name_key], judged_as)
    ]
    if len(kept) == len(entries):
        return None
    changed = {**result, key: kept}
    if "cacheScope" in changed:
        changed["cacheScope"] = "private"
    return {**content, "result": changed}


def readdressed(answer: bytes, request_id: Id | None) -> bytes:
    """Return a kept answer under the id of the request that asks for it now; numbers keep their spelling."""
    content, _ = documents.read(answer.decode("utf-8"))
    return documents.write({**content, "id": request_id})


def relaxed(content: dict[str, Any], masker: Masker) -> dict[str, Any]:
    """Return the answer of `tools/list` with output schemas that the masked results still satisfy."""
    tools = [
        {**tool, "outputSchema": relax_schema(tool["outputSchema"], masker)} if "outputSchema" in tool else tool
        for tool in content["result"]["tools"]
    ]
    return {**content, "result": {**content["result"], "tools": tools}}


def served_list(message: bytes, method: str, visible: Callable[[str, str], bool], masker: Masker) -> bytes:
    """Return a list as its caller may see it: filtered, schemas relaxed; the same bytes when nothing had to change.

    Raises masking.documents.Unreadable when it is not JSON as RFC 8259 has it.
    """
    content, _ = documents.read(message.decode("utf-8"))
    kept = filtered(method, content, visible)
    served = content if kept is None else kept
    if method == "tools/list" and isinstance(served.get("result"), dict) and "tools" in served["result"]:
        relaxed_list = relaxed(served, masker)
        kept = relaxed_list if relaxed_list != served else kept
    return message if kept is None else documents.write(kept)
