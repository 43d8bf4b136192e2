"""The tools of each upstream, as it defines them: a call is bound to the definition that was seen when it was judged.

The gateway lists the tools itself, in the caller's own session and era: before the first governed call, when the
server says that its list changed, and right before a held call is forwarded.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from approvals import keys
from masking import documents
from masking.schemas import required_names
from proxy.answers import Kind, classify
from proxy.errors import Fault, UpstreamInvalid, UpstreamTimeout
from proxy.faults import CallFailed, record_unavailable
from proxy.mcp import CAPABILITIES_KEY, VERSION_KEY
from proxy.recording import entry, request_payloads
from sessions.events import Event
from sessions.ids import uuid7
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.transport import Transport

MOST_PAGES = 100
LIST_AGAIN_SECONDS = 5.0
MOST_TOOLS = 10_000
# Seconds beyond the connection's own time after which a listing without an end counts as interrupted.
RECOVERY_MARGIN = 40.0
_TOO_SLOW = "The upstream did not list its tools in time."


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool definition: the digest of all of it, and the names its results must have."""

    digest: str
    required: frozenset[str]


class Catalogue:
    """The tool definitions of every connection that this process has listed. Bounded by the configuration."""

    def __init__(self, house: Runtime, transport: Transport, background: Background) -> None:
        self._house = house
        self._transport = transport
        self._background = background
        self._tools: dict[str, Mapping[str, Tool]] = {}
        self._listed: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def digest(self, exchange: Exchange) -> str | None:
        """Return the digest of the tool that is called, or None when the server has no such tool."""
        tools = self._tools.get(exchange.connection_name)
        unknown = tools is not None and (exchange.message.name or "") not in tools
        if tools is None or (unknown and self._may_list_again(exchange.connection_name)):
            tools = await self._list_once(exchange, tools)
        tool = tools.get(exchange.message.name or "")
        if tool is not None:
            exchange.required = tool.required
        return None if tool is None else tool.digest

    def _may_list_again(self, connection: str) -> bool:
        """Made-up names must not make the gateway list the tools for each of them."""
        return time.monotonic() - self._listed.get(connection, 0.0) > LIST_AGAIN_SECONDS

    async def refresh(self, exchange: Exchange) -> None:
        """List the tools anew, right before a held call is forwarded."""
        if exchange.message.method == "tools/call":
            self._tools[exchange.connection_name] = await self._list(exchange)

    def forget(self, connection: str) -> None:
        """The server says that its list changed: list it anew before the next governed call."""
        self._tools.pop(connection, None)

    async def _list_once(self, exchange: Exchange, seen: Mapping[str, Tool] | None) -> Mapping[str, Tool]:
        """List the tools, once for all calls that wait for the same list.

        With a server that hangs, nobody waits for the attempts of all who came before: each waits for one.
        """
        name = exchange.connection_name
        turn = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(exchange.connection.timeout):
                await turn.acquire()
        except TimeoutError as error:
            raise await self._refused(exchange, UpstreamTimeout(_TOO_SLOW)) from error
        try:
            tools = self._tools.get(name)
            if tools is None or tools is seen:
                tools = self._tools[name] = await self._list(exchange)
            return tools
        finally:
            turn.release()

    async def _list(self, exchange: Exchange) -> Mapping[str, Tool]:
        call_id = uuid7()
        try:
            recover_after = exchange.connection.timeout + RECOVERY_MARGIN
            await self._record(exchange, call_id, "call.intent", {"by": "gateway"}, recover_after)
            try:
                tools = await self._in_time(exchange)
            except Fault as fault:
                facts = {"executed": fault.executed, "reason": fault.reason}
                await self._record(exchange, call_id, "call.failed", facts)
                raise await self._unlisted(exchange, fault) from fault
            except asyncio.CancelledError:
                cancelled = self._record(exchange, call_id, "call.cancelled", {"executed": "unknown"})
                self._background.run(cancelled)
                raise
            await self._record(exchange, call_id, "call.result", {"executed": "true", "tools": _summary(tools)})
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        self._listed[exchange.connection_name] = time.monotonic()
        return tools

    async def _in_time(self, exchange: Exchange) -> dict[str, Tool]:
        """Read all pages, within the time that the connection gives one call."""
        try:
            async with asyncio.timeout(exchange.connection.timeout):
                return await self._pages(exchange)
        except TimeoutError as error:
            raise UpstreamTimeout(_TOO_SLOW) from error

    async def _refused(self, exchange: Exchange, fault: Fault) -> CallFailed:
        try:
            return await self._unlisted(exchange, fault)
        except RecordUnavailable:
            return record_unavailable(exchange.call_id, "false")

    async def _unlisted(self, exchange: Exchange, fault: Fault) -> CallFailed:
        """Record the refusal of the call that was asked for and return it: only its tool was looked up, nothing ran."""
        event = entry(
            exchange, "call.refused", payloads=request_payloads(exchange), reason=fault.reason, executed="false"
        )
        await self._house.journal.append(*exchange.opening, event)
        exchange.opening = ()
        return CallFailed(type(fault)(fault.message, executed="false").refusal(call_id=exchange.call_id))

    async def _record(
        self, exchange: Exchange, call_id: str, kind: str, facts: dict[str, str], after: float | None = None
    ) -> None:
        await self._house.journal.append(
            Event(
                kind=kind,
                call_id=call_id,
                connection=exchange.connection_name,
                method="tools/list",
                policy_revision=exchange.snapshot.revision,
                policy_digest=exchange.snapshot.digest,
                facts={"for": exchange.call_id, **facts},
                recover_after=after,
            )
        )

    async def _pages(self, exchange: Exchange) -> dict[str, Tool]:
        tools: dict[str, Tool] = {}
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            result = await self._page(exchange, cursor)
            listed = result.get("tools") or []
            if not isinstance(listed, list):
                msg = "The upstream's list of tools is none."
                raise UpstreamInvalid(msg)
            for definition in listed:
                if isinstance(definition, dict) and isinstance(definition.get("name"), str):
                    tools[definition["name"]] = _tool(definition)
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str):
                return tools
            if len(tools) > MOST_TOOLS:
                break
        msg = "The upstream's list of tools does not end."
        raise UpstreamInvalid(msg)

    async def _page(self, exchange: Exchange, cursor: str | None) -> dict[str, Any]:
        request_id = f"holdgate-{uuid7()}"
        params: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        if exchange.message.era == "modern":
            params["_meta"] = {VERSION_KEY: exchange.message.version, CAPABILITIES_KEY: {}}
        request = {"jsonrpc": "2.0", "id": request_id, "method": "tools/list", "params": params}
        async for group in self._transport.ask(
            exchange, orjson.dumps(request), request_id=request_id, method="tools/list"
        ):
            for message in group:
                try:
                    kind, _ = classify(message, request_id)
                    content = documents.read(message.decode("utf-8"))[0] if kind is Kind.ANSWER else {}
                except (ValueError, documents.Unreadable) as error:
                    msg = "The upstream's list of tools is not JSON."
                    raise UpstreamInvalid(msg) from error
                if kind is Kind.ANSWER:
                    result = content.get("result")
                    return result if isinstance(result, dict) else {}
        msg = "The upstream did not answer with its list of tools."
        raise UpstreamInvalid(msg)


def _tool(definition: dict[str, Any]) -> Tool:
    canonical = documents.write(_sorted(definition))
    schema = definition.get("outputSchema")
    required = required_names(schema) if schema is not None else frozenset[str]()
    return Tool(hashlib.sha256(canonical).hexdigest(), required)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _summary(tools: Mapping[str, Tool]) -> str:
    return keys.keyed_digest("tools", *(f"{name}={tool.digest}" for name, tool in sorted(tools.items())))
