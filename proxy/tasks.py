"""Tasks of servers, passed through: the id of each is a handle of the caller for whom it was made.

To a server all callers are one, so an id alone would open anybody's task. The handle also says which tool made it, for
its result must be like that tool's. Known are both shapes: the experiment of
2025-11-25 (`result.task`, and `related-task` in `_meta`) and the extension of 2026-07-28 (`resultType: task`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from masking import documents
from proxy import handles
from proxy.envelope import INVALID_PARAMS, Rejection
from proxy.headers import encode_mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.exchange import Exchange
    from proxy.headers import RawHeaders
    from proxy.mcp import Message

ID = "taskId"
RELATED = "io.modelcontextprotocol/related-task"
_ABOUT_ONE = frozenset({"tasks/get", "tasks/result", "tasks/cancel"})
_STATUS = frozenset({"notifications/tasks/status", "notifications/tasks"})


def names_task(message: Message) -> bool:
    """Say whether a message is about one task, by its id. Those that are closed need not name one that exists."""
    return message.method in _ABOUT_ONE and message.name is not None


def opened(message: Message, holder: str) -> Message | Rejection:
    """Return a message about a task with the server's own id in place of the handle that its caller brought."""
    if not names_task(message):
        return message
    held = handles.take("task", message.name, holder)
    if held is None:
        status = 400 if message.era == "modern" else 200
        text = "There is no such task of this caller."
        return Rejection(status=status, code=INVALID_PARAMS, message=text, id=message.id)
    task, tool = held
    content, _ = documents.read(message.raw.decode("utf-8"))
    content["params"][ID] = task
    params = {**message.params, ID: task}
    arguments = {name: value for name, value in params.items() if name != "_meta"}
    return replace(message, name=task, params=params, arguments=arguments, raw=documents.write(content), tool=tool)


def mirrored(headers: RawHeaders, message: Message) -> RawHeaders:
    """Return the header fields of a caller with the server's own id where they name its task."""
    if not names_task(message):
        return headers
    value = encode_mirrored(message.name or "").encode()
    return [(name, value if name.lower() == b"mcp-name" else given) for name, given in headers]


def sealed(exchange: Exchange, content: dict[str, Any], message: bytes) -> bytes:
    """Return a message of the server with handles in place of the ids of tasks."""
    if not any(isinstance(holder.get(ID), str) for holder in _named(exchange, content)):
        return message
    whole, _ = documents.read(message.decode("utf-8"))
    of = handles.holder(exchange.actor, exchange.connection_name, None)
    tool = exchange.message.name if exchange.message.method == "tools/call" else exchange.message.tool
    for named in _named(exchange, whole):
        if isinstance(named.get(ID), str):
            named[ID] = handles.give("task", [named[ID], tool], of)
    return documents.write(whole)


def _named(exchange: Exchange, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a message in which the id of a task stands."""
    result, params = content.get("result"), content.get("params")
    if isinstance(result, dict) and (names_task(exchange.message) or result.get("resultType") == "task"):
        yield result
    task = result.get("task") if isinstance(result, dict) else None
    if isinstance(task, dict) and "task" in exchange.message.params:
        yield task
    if isinstance(params, dict) and content.get("method") in _STATUS:
        yield params
    for part in (result, params):
        meta = part.get("_meta") if isinstance(part, dict) else None
        related = meta.get(RELATED) if isinstance(meta, dict) else None
        if isinstance(related, dict):
            yield related
