"""The way back: each message of the upstream is masked and recorded before its caller may see a byte of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from approvals.states import Status
from masking.documents import Unreadable
from masking.engine import MaskingFailed
from proxy import replies, strictjson
from proxy.answers import LISTS, Kind, classify, served_list
from proxy.errors import MaskingBroken, UpstreamInvalid
from proxy.faults import record_unavailable
from proxy.forwarding import Ending
from proxy.pipeline import Reply
from proxy.recording import approval_meta, decision, entry, outlet_of
from sessions.journal import RecordUnavailable, RevisionMoved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.outlet import Outlet
    from approvals.runtime import Runtime
    from proxy.catalogue import Catalogue
    from proxy.exchange import Exchange, Permit
    from proxy.forwarding import Forwarding
    from proxy.refusals import Executed
    from proxy.server_requests import ServerRequests
    from sessions.events import Event, Payload


SERVER_ERROR = 500
DEEPEST = 200


class Releasing:
    """Masks, records and releases; one per process."""

    def __init__(
        self, house: Runtime, forwarding: Forwarding, catalogue: Catalogue, server_requests: ServerRequests
    ) -> None:
        self._house = house
        self._forwarding = forwarding
        self._catalogue = catalogue
        self._server_requests = server_requests

    async def release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply]:
        """Return what the caller may see of these messages, after it was recorded.

        Raises CallFailed when a message cannot be masked or read; the call is recorded as failed then.
        """
        try:
            return await self._release(exchange, permit, group)
        except MaskingFailed as error:
            broken = MaskingBroken("The upstream's answer could not be masked, so it is withheld.")
            raise await self._forwarding.failed(exchange, permit, broken) from error
        except (ValueError, Unreadable, replies.NotAMessage) as error:
            fault = UpstreamInvalid("The upstream sent something that is not one JSON-RPC message.")
            raise await self._forwarding.failed(exchange, permit, fault) from error

    async def _release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply]:
        notes: list[Reply] = []
        payloads: dict[str, Payload] = {}
        for message in group:
            if _too_deep(message):
                raise MaskingFailed("deeper than can be masked")
            kind, content = classify(message, exchange.message.id)
            if kind is Kind.ANSWER:
                events = [entry(exchange, "call.message", payloads=payloads)] if payloads else []
                return [*notes, await self._answer(exchange, permit, message, content, events)]
            if kind is Kind.REQUEST:
                self._server_requests.answer(exchange, content)
            elif kind is Kind.NOTIFICATION:
                if content["method"] == "notifications/tools/list_changed":
                    self._catalogue.forget(exchange.connection_name)
                reply, payloads[f"message-{len(notes)}"] = self._note(exchange, message)
                notes.append(reply)
        if payloads:
            await self._record(exchange, entry(exchange, "call.message", payloads=payloads))
        return notes

    def _note(self, exchange: Exchange, message: bytes) -> tuple[Reply, Payload]:
        outlet = self._outlet(exchange)
        masked = outlet.for_caller(message)
        body = replies.offset_progress(replies.without_ours(masked.body), exchange.pulses)
        return Reply(body, final=False), outlet.same_for_record(masked, message)

    async def _record(self, exchange: Exchange, event: Event) -> None:
        try:
            await self._house.journal.append(event)
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "unknown") from error

    def _outlet(self, exchange: Exchange) -> Outlet:
        """Return the outlet under the policy in force now: a changed rule governs the next message of a stream."""
        current = self._house.policies.current
        if current.revision > exchange.snapshot.revision:
            exchange.snapshot = current
        return outlet_of(exchange)

    async def _answer(
        self, exchange: Exchange, permit: Permit, message: bytes, content: dict[str, Any], events: Sequence[Event]
    ) -> Reply:
        """Mask the answer and record it; when the policy moved meanwhile, mask it again by the new one."""
        status = Status.FAILED if "error" in content else Status.EXECUTED
        # A server error that speaks JSON-RPC says nothing of what the server had done before.
        executed: Executed = "unknown" if exchange.status >= SERVER_ERROR else "true"
        if executed == "unknown":
            status = Status.OUTCOME_UNKNOWN
        while True:
            body, ending = self._masked(exchange, message, status, executed)
            try:
                await self._forwarding.end(exchange, permit, ending, *events, revision=exchange.snapshot.revision)
            except RevisionMoved:
                exchange.snapshot = await self._house.policies.refreshed()
                continue
            return Reply(
                self._with_meta(exchange, permit, body),
                status=exchange.status,
                headers=exchange.reply_headers,
                streamed=exchange.streamed,
            )

    def _masked(self, exchange: Exchange, message: bytes, status: Status, executed: Executed) -> tuple[bytes, Ending]:
        """Return the caller's view of the answer, and the ending that holds the record's view."""
        outlet = self._outlet(exchange)
        if exchange.message.method in LISTS:
            policy, caller, connection = exchange.snapshot.policy, exchange.caller, exchange.connection_name
            message = served_list(
                message,
                exchange.message.method,
                lambda name, method: policy.visible(caller, connection, name, method),
                outlet.caller_view,
            )
        masked = outlet.for_caller(message, required=exchange.required)
        recorded = outlet.same_for_record(masked, message)
        ending = Ending(
            kind="call.result",
            executed=executed,
            # Kept for callers that come back: written down, so it is the view that excepts nobody.
            answer=bytes(recorded),
            status=status,
            payloads={"answer": recorded},
            masked=tuple(f"{name}:{count}" for name, count in sorted(masked.hits.items())),
        )
        return masked.body, ending

    def _with_meta(self, exchange: Exchange, permit: Permit, body: bytes) -> bytes:
        """Add the decision to an answer of a governed call; other answers only lose what the upstream forged."""
        if not exchange.is_governed:
            return replies.without_ours(body)
        verdict = "hold" if permit.claim else "allow"
        meta = {replies.DECISION: decision(exchange, verdict, permit.rules, permit.would)}
        if permit.claim and exchange.request is not None:
            exchange.request.status = Status.EXECUTED.value
            meta[replies.APPROVAL] = approval_meta(exchange.request, self._house.public_url)
        return replies.with_meta(body, meta)


def _too_deep(message: bytes) -> bool:
    """Say whether the message nests deeper than masking follows; counted only where it could."""
    return message.count(b"[") + message.count(b"{") > DEEPEST and strictjson.is_deeper(message, DEEPEST)
