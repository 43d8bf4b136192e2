"""The tools of each upstream, as it defines them: a call is bound to the definition that was seen when it was judged.

The gateway lists the tools itself, in the caller's own session and era: before the first governed call, when the
server says that its list changed, and right before a held call is forwarded; also when a list that a caller was given
shows something else than it knows, and when its own is some minutes old. Without callers `proxy.discovery` lets it
look. Each listing is compared with the pins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseFailure

from approvals.catalogue import pinning
from approvals.config.schema import BUILT_IN
from masking.engine import MaskingFailed
from proxy.answers import listed_tools
from proxy.errors import Fault, MaskingBroken, SessionLost, UpstreamTimeout
from proxy.faults import CallFailed, record_unavailable
from proxy.large import LARGE, apart, masked_apart
from proxy.listing import list_tools
from proxy.outages import Outages
from proxy.recording import entry, outlet_of, request_payloads
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from approvals.runtime import Runtime
    from proxy.exchange import Exchange
    from proxy.listing import Listed, Tool
    from proxy.own_requests import OwnRequests

LIST_AGAIN_SECONDS = 5.0
# A server need not say that its list changed.
STALE_SECONDS = 300.0
_TOO_SLOW = "The upstream did not list its tools in time."


class Catalogue:
    """The tool definitions of every connection that this process has listed. Bounded by the configuration."""

    def __init__(self, house: Runtime, requests: OwnRequests, outages: Outages | None = None) -> None:
        self._house = house
        self._outages = outages or Outages()
        self._requests = requests
        self._tools: dict[str, Mapping[str, Tool]] = {}
        self._listed: dict[str, float] = {}
        self._versions: dict[str, int] = {}  # of the pins, when the tools were listed
        self._locks: dict[str, asyncio.Lock] = {}
        self._changed: set[str] = set()

    async def digest(self, exchange: Exchange) -> str | None:
        """Return the digest of the tool that is called, or None when the server has no such tool."""
        tools = self._fresh(exchange)
        refused = tools is not None and self._is_refused(exchange, tools)
        if tools is None or (refused and self._may_list_again(exchange.connection_name)):
            tools = await self._answering_for(exchange, self._list_once(exchange, tools))
        tool = tools.get(exchange.message.name or "")
        if tool is not None:
            exchange.output = tool.output
            exchange.tool_hints = tool.hints
        return None if tool is None else tool.digest

    async def note_output(self, exchange: Exchange) -> None:
        """Note what the results of the tool must be like whose task is asked for. Raises CallFailed."""
        if not exchange.message.tool:
            return
        tools = self._fresh(exchange)
        if tools is None:
            tools = await self._answering_for(exchange, self._list_once(exchange, tools))
        tool = tools.get(exchange.message.tool)
        exchange.output = None if tool is None else tool.output

    def _is_refused(self, exchange: Exchange, tools: Mapping[str, Tool]) -> bool:
        """Tell whether the call would end here by what was listed: then it is worth another look now and then."""
        name = exchange.message.name or ""
        tool, pins = tools.get(name), self._house.pins
        return tool is None or (is_pinned(exchange) and pins.holds_back(exchange.connection_name, name, tool.digest))

    def _fresh(self, exchange: Exchange) -> Mapping[str, Tool] | None:
        """Return the tools as they were listed, unless that was long ago, or pins say that they moved since."""
        name = exchange.connection_name
        moved = is_pinned(exchange) and self._versions.get(name) != self._house.pins.version(name)
        old = time.monotonic() - self._listed.get(name, 0.0) > STALE_SECONDS
        return None if moved or old else self._tools.get(name)

    def _may_list_again(self, connection: str) -> bool:
        """Made-up names must not make the gateway list the tools for each of them."""
        return time.monotonic() - self._listed.get(connection, 0.0) > LIST_AGAIN_SECONDS

    async def refresh(self, exchange: Exchange) -> None:
        """List the tools anew, right before a held call is forwarded."""
        if exchange.message.method == "tools/call":
            await self._answering_for(exchange, self._list(exchange))

    async def holds_back(self, exchange: Exchange, digest: str) -> bool:
        """Tell whether this definition of the called tool waits for an admin, by the pins of this moment."""
        name, tool, pins = exchange.connection_name, exchange.message.name or "", self._house.pins
        if not is_pinned(exchange) or not pins.holds_back(name, tool, digest):
            return False
        await pins.look()  # it may have been accepted a moment ago
        return pins.holds_back(name, tool, digest)

    async def compare(self, exchange: Exchange, answer: bytes) -> None:
        """Look whether a list that a caller asked for shows what is known; if not, list the tools ourselves.

        Nothing of what one caller's request brings about is taken for the truth about the server. Raises Fault.
        """
        if not is_pinned(exchange):
            return
        digests = await apart(len(answer), partial(listed_tools, answer))
        pins, name = self._house.pins, exchange.connection_name
        if digests is None or pins.agree(name, digests):
            return
        await pins.look()
        if not pins.agree(name, digests):
            await self._list_once(exchange, self._tools.get(name))

    def forget(self, connection: str) -> None:
        """The server says that its list changed: list it anew before the next governed call."""
        self._tools.pop(connection, None)
        self._changed.add(connection)

    def changed(self) -> frozenset[str]:
        """Return the connections whose servers have said so since this was last asked."""
        found, self._changed = frozenset(self._changed), set()
        return found

    async def _answering_for(
        self, exchange: Exchange, listing: Coroutine[Any, Any, Mapping[str, Tool]]
    ) -> Mapping[str, Tool]:
        """Return the listing's tools; where there are none, that is the end of the call they were listed for."""
        try:
            return await listing
        except Fault as fault:
            raise await self._refused(exchange, fault) from fault

    async def _list_once(self, exchange: Exchange, seen: Mapping[str, Tool] | None) -> Mapping[str, Tool]:
        """List the tools, once for all calls that wait for the same list. Raises Fault.

        With a server that hangs, nobody waits for the attempts of all who came before: each waits for one.
        """
        name = exchange.connection_name
        turn = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(exchange.connection.timeout):
                await turn.acquire()
        except TimeoutError as error:
            raise UpstreamTimeout(_TOO_SLOW) from error
        try:
            tools = self._fresh(exchange)
            return await self._list(exchange) if tools is None or tools is seen else tools
        finally:
            turn.release()

    async def look(self, exchange: Exchange) -> None:
        """List the tools for nobody in particular, in an exchange of the gateway's own. Raises Fault and CallFailed."""
        await self._list(exchange)

    async def _list(self, exchange: Exchange) -> Mapping[str, Tool]:
        """List the tools, with its own entries, and compare them with the pins. Raises Fault."""
        name = exchange.connection_name
        before = self._house.pins.version(name)
        try:
            listed = await list_tools(self._requests, exchange)
            moved = await self._pin(exchange, listed) if is_pinned(exchange) else False
        except (RecordUnavailable, DatabaseFailure) as error:
            raise record_unavailable(exchange.call_id, "false") from error
        # Where another process moved them as well, the versions differ: then the next call lists once more.
        self._tools[name], self._versions[name] = listed.tools, before + moved
        self._listed[name] = time.monotonic()
        return listed.tools

    async def _pin(self, exchange: Exchange, listed: Listed) -> bool:
        """Bring the pins up to what was listed; say whether they moved. Raises Fault where it cannot be written."""
        name, pins = exchange.connection_name, self._house.pins
        if pins.agree(name, {one: tool.digest for one, tool in listed.tools.items()}, is_whole=True):
            return False
        try:
            seen = await masked_apart(LARGE, partial(pinning.prepared, listed.definitions, outlet_of(exchange)))
        except MaskingFailed as error:
            msg = "The definitions of the server's tools could not be masked, so they cannot be written down."
            raise MaskingBroken(msg) from error
        moved = await self._house.journal.transact(partial(pinning.note, name, seen, exchange.snapshot))
        await pins.refreshed()
        return moved

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
        noted = self._outages.noted(exchange, event.kind, fault.reason, fault.detail)
        await self._house.journal.append(*exchange.opening, event, *noted)
        exchange.opening = ()
        unlisted = type(fault)(fault.message, executed="false", url=fault.url, retry_after=fault.retry_after)
        refusal = unlisted.refusal(call_id=exchange.call_id)
        status = 404 if isinstance(fault, SessionLost) else None
        return CallFailed(refusal, status=status, receipt=self._house.journal.receipt(exchange.call_id))


def is_pinned(exchange: Exchange) -> bool:
    """Tell whether the definitions of this connection's tools are pinned; the gateway's own are part of it."""
    return exchange.connection.pin_tools and exchange.connection_name != BUILT_IN
