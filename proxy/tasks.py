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
    from collections.abc import Iterator, Mapping

    from proxy.exchange import Exchange
    from proxy.headers import RawHeaders
    from proxy.mcp import Message

ID = "taskId"
RELATED = "io.modelcontextprotocol/related-task"
LISTING, CURSOR, NEXT = "tasks/list", "cursor", "nextCursor"
_ABOUT_ONE = frozenset({"tasks/get", "tasks/result", "tasks/cancel", "tasks/update"})
_STATUS = frozenset({"notifications/tasks/status", "notifications/tasks"})


def names_task(message: Message) -> bool:
    """Say whether a message is about one task, by its id."""
    return message.method in _ABOUT_ONE and message.name is not None


def opened(message: Message, holder: str) -> Message | Rejection:
    """Return a message about a task with the server's own id in place of the handle that its caller brought."""
    if message.method == LISTING and message.params.get(CURSOR) is not None:
        return _page_opened(message, holder)
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


def _page_opened(message: Message, holder: str) -> Message | Rejection:
    cursor = handles.take("cursor", message.params[CURSOR], holder)
    if cursor is None:
        return Rejection(status=200, code=INVALID_PARAMS, message="There is no such page.", id=message.id)
    content, _ = documents.read(message.raw.decode("utf-8"))
    content["params"][CURSOR] = cursor
    return replace(message, params={**message.params, CURSOR: cursor}, raw=documents.write(content))


def mirrored(headers: RawHeaders, message: Message) -> RawHeaders:
    """Return the header fields of a caller with the server's own id where they name its task."""
    if not names_task(message):
        return headers
    value = encode_mirrored(message.name or "").encode()
    return [(name, value if name.lower() == b"mcp-name" else given) for name, given in headers]


def begun(exchange: Exchange, content: dict[str, Any]) -> str | None:
    """Return the server's id of the task that an answer begins, of which the caller was given the handle."""
    result = content.get("result")
    if not isinstance(result, dict) or names_task(exchange.message):
        return None
    task = result if result.get("resultType") == "task" else result.get("task")
    handle = task.get(ID) if isinstance(task, dict) else None
    held = handles.take("task", handle, handles.holder(exchange.actor, exchange.connection_name, None))
    return None if held is None else str(held[0])


def listed(content: dict[str, Any]) -> list[str]:
    """Return the ids that an answer of `tasks/list` lists."""
    result = content.get("result")
    tasks = result.get("tasks") if isinstance(result, dict) else None
    return [one[ID] for one in tasks if isinstance(one, dict) and isinstance(one.get(ID), str)] if tasks else []


def own_list(exchange: Exchange, content: dict[str, Any], own: Mapping[str, str]) -> bytes:
    """Return a list of tasks with the caller's own alone, ids and cursor as handles; `own` has the tool of each."""
    result = content.get("result")
    if not isinstance(result, dict):
        return documents.write(content)
    of = handles.holder(exchange.actor, exchange.connection_name, None)
    tasks = result.get("tasks")
    mine = [one for one in tasks if isinstance(one, dict) and one.get(ID) in own] if isinstance(tasks, list) else []
    kept = {**result, "tasks": [{**one, ID: handles.give("task", [one[ID], own[one[ID]]], of)} for one in mine]}
    if kept.get(NEXT) is not None:
        kept[NEXT] = handles.give("cursor", kept[NEXT], of)
    return documents.write({**content, "result": kept})


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
