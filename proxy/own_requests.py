"""Requests of the gateway's own to a server: each has an intent before it is sent, and one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from masking import documents
from proxy.answers import Kind, classify
from proxy.envelope import METHOD_NOT_FOUND
from proxy.errors import Fault, UpstreamInvalid, UpstreamTimeout
from proxy.mcp import CAPABILITIES_KEY, VERSION_KEY
from sessions.events import Event
from sessions.ids import uuid7

if TYPE_CHECKING:
    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.transport import Transport

# Seconds beyond the connection's own time after which a request without an end counts as interrupted.
RECOVERY_MARGIN = 40.0
T = TypeVar("T")
# What a result says, and the facts of it that the record keeps. It may raise Fault.
Read = Callable[[dict[str, Any]], tuple[T, dict[str, str]]]


def nothing(result: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Take a result as it is, and keep nothing of it."""
    return result, {}


class OwnRequests:
    """Asks servers in the session and era of an exchange; one per process."""

    def __init__(self, house: Runtime, transport: Transport, background: Background) -> None:
        self._house = house
        self._transport = transport
        self._background = background

    async def ask(
        self,
        exchange: Exchange,
        method: str,
        params: dict[str, Any],
        *,
        read: Read[T],
        deadline: float,
        missing: dict[str, Any] | None = None,
    ) -> T:
        """Ask a server and return what `read` makes of its result. `deadline` is in monotonic seconds.

        A server without the method gives `missing`, where that is something. Raises Fault and RecordUnavailable.
        """
        async with self._recorded(exchange, method) as facts:
            found, kept = read(await self._in_time(exchange, method, params, deadline, missing))
            facts.update(kept)
        return found

    async def tell(self, exchange: Exchange, method: str) -> None:
        """Send a notification. Raises Fault and RecordUnavailable."""
        async with self._recorded(exchange, method):
            body = orjson.dumps({"jsonrpc": "2.0", "method": method})
            async for _ in self._transport.ask(exchange, body, method=method):
                pass

    @asynccontextmanager
    async def _recorded(self, exchange: Exchange, method: str) -> AsyncIterator[dict[str, str]]:
        """Write the intent before, and the end after; what is put into the facts goes into the end."""
        call_id, facts = uuid7(), dict[str, str]()
        record = partial(self._record, exchange, call_id, method)
        try:
            # Who is cancelled here has begun the write all the same: what it begins has an end as well.
            await record("call.intent", {"by": "gateway"}, exchange.connection.timeout + RECOVERY_MARGIN)
            yield facts
        except Fault as fault:
            detail = {"detail": fault.detail} if fault.detail else {}
            await record("call.failed", {"executed": fault.executed, "reason": fault.reason, **detail})
            raise
        except asyncio.CancelledError:
            self._background.run(record("call.cancelled", {"executed": "unknown"}))
            raise
        await record("call.result", {"executed": "true", **facts})

    async def _in_time(
        self, exchange: Exchange, method: str, params: dict[str, Any], deadline: float, missing: dict[str, Any] | None
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self._answer(exchange, method, params, missing)
        except TimeoutError as error:
            raise UpstreamTimeout(f"The upstream did not answer {method} in time.") from error

    async def _answer(
        self, exchange: Exchange, method: str, params: dict[str, Any], missing: dict[str, Any] | None
    ) -> dict[str, Any]:
        request_id = f"holdgate-{uuid7()}"
        if exchange.message.era == "modern":
            params = {**params, "_meta": {VERSION_KEY: exchange.message.version, CAPABILITIES_KEY: {}}}
        body = orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        async for group in self._transport.ask(exchange, body, request_id=request_id, method=method):
            for message in group:
                try:
                    kind, _ = classify(message, request_id)
                    content = documents.read(message.decode("utf-8"))[0] if kind is Kind.ANSWER else {}
                except (ValueError, documents.Unreadable) as error:
                    raise UpstreamInvalid(f"The upstream's answer to {method} is not JSON.") from error
                if kind is Kind.ANSWER:
                    return _result(content, method, missing)
        raise UpstreamInvalid(f"The upstream did not answer {method}.")

    async def _record(
        self,
        exchange: Exchange,
        call_id: str,
        method: str,
        kind: str,
        facts: dict[str, str],
        recover_after: float | None = None,
    ) -> None:
        asked_for = {"for": exchange.call_id} if exchange.call_id else {}
        await self._house.journal.append(
            Event(
                kind=kind,
                call_id=call_id,
                connection=exchange.connection_name,
                method=method,
                policy_revision=exchange.snapshot.revision,
                policy_digest=exchange.snapshot.digest,
                facts={**asked_for, **facts},
                recover_after=recover_after,
            )
        )


def _result(content: dict[str, Any], method: str, missing: dict[str, Any] | None) -> dict[str, Any]:
    """Return the result of an answer. An error is none: it says nothing of what the server has. Raises Fault."""
    error = content.get("error")
    if missing is not None and isinstance(error, dict) and error.get("code") == METHOD_NOT_FOUND:
        return missing
    result = content.get("result")
    if not isinstance(result, dict):
        raise UpstreamInvalid(f"The upstream refused {method}.")
    return result
