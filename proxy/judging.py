"""The verdict on one exchange: access, rules, known methods and known tools; and the entry of a refusal."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from django.db import DatabaseError

from approvals.config.schema import BUILT_IN
from approvals.database import in_database
from approvals.entries import unspoken
from approvals.ties import person_behind
from approvals.verdicts import Allow, Block, Hold
from proxy import replies
from proxy.envelope import INVALID_PARAMS, METHOD_NOT_FOUND
from proxy.faults import record_unavailable
from proxy.large import LARGE, apart
from proxy.mcp import ADDED, DROPPED
from proxy.pipeline import Moved, Reply, Settled
from proxy.recording import decision, entry, request_payloads, rules_read
from proxy.refusals import REASONS, Refusal
from proxy.server_requests import CLOSED, is_allowed
from proxy.tokens import TokenRejected
from sessions.journal import RecordUnavailable, RevisionMoved

if TYPE_CHECKING:
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Verdict
    from proxy.catalogue import Catalogue
    from proxy.counts import Counts
    from proxy.exchange import Exchange
    from proxy.rates import Rates

# What MCP defines, over all revisions. Anything else is refused where a connection enforces.
KNOWN_METHODS = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "subscriptions/listen",
        "tasks/get",
        "tasks/result",
        "tasks/cancel",
        "tasks/list",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
        "notifications/tasks/status",
    }
)
# SQL is parsed at half a megabyte a second: from so many bytes on beside the event loop.
LARGE_SQL = 2048
NO_ACCESS = Block(message="There is no such connection, or you may not use it.", reason="forbidden", by="connection")
TOO_MANY = Block(message="You have made too many calls on this connection; slow down.", reason="rate_limited")
CHANGED = Block(
    message="The tool is not as an admin has accepted it: it is new, or its definition changed.",
    reason="tool_changed",
    by="tool",
)

ACCESS_OVER = "The access that this call rested on has ended."


class Judging:
    """Judges by the policy in force; one per process."""

    def __init__(self, house: Runtime, catalogue: Catalogue, rates: Rates, counts: Counts) -> None:
        self._house = house
        self._catalogue = catalogue
        self._rates = rates
        self._counts = counts

    async def judge(self, exchange: Exchange) -> Verdict:
        """Return the verdict under the current policy and the caller's current standing, and note it as judged."""
        verdict = await self._judged(exchange)
        if _is_without_access(verdict) and exchange.snapshot.policy.access_terms(exchange.connection_name):
            await self._house.windows.refreshed()  # a window may have been opened a moment ago
            verdict = await self._judged(exchange)
        _note_window(exchange, verdict)
        return verdict

    async def _judged(self, exchange: Exchange) -> Verdict:
        snapshot = exchange.snapshot = self._house.policies.current
        exchange.judged = None
        if not await is_known(exchange, snapshot):
            return NO_ACCESS
        exchange.caller = self._house.windows.attach(exchange.caller)
        connection = snapshot.policy.connection(exchange.connection_name)
        if connection is None:
            return NO_ACCESS
        exchange.connection = connection
        if exchange.message.kind == "response" and (block := _not_asked(exchange)):
            return block
        if exchange.is_governed:
            return await self._governed(exchange)
        verdict = self._relayed(exchange)
        if isinstance(verdict, Allow):
            await self._catalogue.note_output(exchange)
        return verdict

    async def _governed(self, exchange: Exchange) -> Verdict:
        """Judge one call by limits, rules and known tools, in this order."""
        snapshot = exchange.snapshot
        if snapshot.policy.may_use(exchange.caller, exchange.connection_name):
            exchange.retry_after = await self._rates.wait_for(exchange)
        if exchange.retry_after:
            return TOO_MANY
        observing = exchange.connection.observing(time.time())
        if self._asks_hints(exchange) and (block := await self._unknown_tool(exchange)) and not observing:
            return block
        judge = partial(snapshot.policy.judged, exchange.call)
        large = LARGE_SQL if snapshot.policy.examines_sql(exchange.connection_name) else LARGE
        verdict, exchange.judged = await apart(len(exchange.message.raw), judge, large=large)
        if isinstance(verdict, Block):
            return verdict
        if exchange.message.kind == "response":
            return verdict if isinstance(verdict, Allow) else _unheld(verdict)
        if block := await self._unknown_tool(exchange):
            # Rules that observe have said what they would, whatever else ends the call.
            return replace(verdict, would="deny") if observing else replace(block, observed=verdict.observed)
        return await _impossible_hold(exchange, verdict) or verdict if isinstance(verdict, Hold) else verdict

    def _asks_hints(self, exchange: Exchange) -> bool:
        """Say whether the tool must be looked up before the call can be judged, by a caller who may use it."""
        policy, connection, name = exchange.snapshot.policy, exchange.connection_name, exchange.message.name or ""
        return policy.may_use(exchange.caller, connection, name) and policy.asks_hints(
            connection, exchange.message.method, name
        )

    def _relayed(self, exchange: Exchange) -> Allow | Block:
        """Lists, notifications and the handshake are not judged one by one: access decides, lists are filtered."""
        if not exchange.snapshot.policy.may_use(exchange.caller, exchange.connection_name):
            return NO_ACCESS
        if exchange.message.kind in {"response", "stream"}:
            return Allow()
        method = exchange.message.method
        if method in (DROPPED if exchange.message.era == "modern" else ADDED):
            return Block(message="The method is unknown here.", by="default")
        if method in KNOWN_METHODS or exchange.connection.observing(time.time()):
            return Allow()
        return Block(message="The method is unknown here.", by="default")

    async def _unknown_tool(self, exchange: Exchange) -> Block | None:
        """Bind the call to its tool's definition; return why it is refused where that is not listed or accepted."""
        if exchange.message.method != "tools/call":
            return None
        digest = await self._catalogue.digest(exchange)
        exchange.tool_digest = digest or ""
        if digest is None:
            return Block(message="The server has no tool of that name.", by="tool")
        return CHANGED if await self._catalogue.holds_back(exchange, digest) else None

    async def block(self, exchange: Exchange, block: Block) -> Moved | Settled:
        """Record that the call was refused and return the refusal, or Moved when the policy did."""
        refusal = _refusal(exchange, block)
        if block.reason == "rate_limited":
            self._counts.add(block.reason, exchange.connection_name)
            return Settled(_reply(exchange, block, refusal, None))
        event = entry(
            exchange,
            "call.blocked",
            payloads=request_payloads(exchange),
            recover_after=None,
            verdict="deny",
            reason=refusal.reason,
            executed="false",
            rules=list(block.rules),
            **rules_read(exchange),
            **unspoken(block),
        )
        try:
            await self._house.journal.append(*exchange.opening, event, revision=exchange.snapshot.revision)
        except RevisionMoved:
            await self._house.refreshed()
            return Moved()
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        exchange.opening = ()
        return Settled(_reply(exchange, block, refusal, self._house.journal.receipt(exchange.call_id)))

    async def unsettled(self, exchange: Exchange) -> Settled:
        """Refuse a call under which the policy moved again and again."""
        refusal = Refusal(
            reason="policy_unavailable",
            executed="false",
            message="The policy changed several times while the call was judged.",
            call_id=exchange.call_id,
            retry_after=1.0,
        )
        try:
            await self._house.journal.append(entry(exchange, "call.refused", reason=refusal.reason, executed="false"))
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        body = replies.error(exchange.message.id, refusal, decision=decision(exchange, "deny", ()))
        return Settled(Reply(body, status=503, headers=(replies.retry_after(1.0),)))


async def is_known(exchange: Exchange, snapshot: Snapshot) -> bool:
    """Say whether the token still stands for its caller; issuer and groups are read anew when the policy moved."""
    if exchange.identified_under == snapshot.revision:
        return True
    try:
        exchange.caller = await exchange.identify(snapshot.policy)
    except TokenRejected:
        return False
    exchange.identified_under = snapshot.revision
    return True


def _not_asked(exchange: Exchange) -> Block | None:
    """Refuse an answer to nothing that this caller was asked, or to what is not open any more."""
    if not exchange.message.method:
        return Block(message="No request of a server is open.", by="default")
    return None if is_allowed(exchange.connection, exchange.message.method) else Block(message=CLOSED, by="default")


def _unheld(hold: Hold) -> Block:
    message = "An answer to a server cannot wait for people: a rule must allow or deny it."
    return Block(message=message, rule=hold.rule, rules=hold.rules)


async def _impossible_hold(exchange: Exchange, hold: Hold) -> Block | None:
    """Refuse at once a hold that could not be kept apart from its requester, or that lacks the reason it must have."""
    caller = exchange.caller
    if caller.kind == "ci" and not caller.owned_by and not await _is_started_by_somebody_known(exchange):
        message = (
            "This call needs an approval, and it is not known who must not give it: the token names no person who "
            "started the job and is linked to somebody here, and the issuer has no `owned_by`. An admin must set "
            "`owned_by` (or `person_claim`), or whoever started it links the account: My accounts."
        )
        return Block(message=message, reason="forbidden", rule=hold.rule, rules=hold.rules, observed=hold.observed)
    if hold.terms.reason == "required" and not exchange.knobs.reason:
        message = "The rule asks for a reason before it asks people."
        return Block(
            message=message, reason="reason_required", rule=hold.rule, rules=hold.rules, observed=hold.observed
        )
    return None


async def _is_started_by_somebody_known(exchange: Exchange) -> bool:
    try:
        return bool(await in_database(lambda: person_behind(exchange.caller)))
    except DatabaseError as error:
        raise record_unavailable(exchange.call_id, "false") from error


def _is_without_access(verdict: Verdict) -> bool:
    return isinstance(verdict, Block) and verdict.reason == "forbidden" and verdict.by in {"connection", "tool"}


def _note_window(exchange: Exchange, verdict: Verdict) -> None:
    """Note the window on which the call rests, or that it had one which is over."""
    if _is_without_access(verdict):
        exchange.lost_window = exchange.lost_window or bool(exchange.window)
    elif not isinstance(verdict, Block):
        tool = exchange.message.name if exchange.message.method == "tools/call" else None
        exchange.window = exchange.snapshot.policy.window_of(exchange.caller, exchange.connection_name, tool)


def _refusal(exchange: Exchange, block: Block) -> Refusal:
    if exchange.lost_window and _is_without_access(block):
        return Refusal(reason="revoked", executed="false", message=ACCESS_OVER, call_id=exchange.call_id)
    reason = "invalid_request" if _is_protocol_matter(exchange, block) else block.reason
    return Refusal(
        reason=reason,
        executed="false",
        message=block.message,
        call_id=exchange.call_id,
        rule=block.rule or None,
        retry_after=exchange.retry_after or None,
    )


def _is_protocol_matter(exchange: Exchange, block: Block) -> bool:
    """An unknown method and an unknown tool are errors of the protocol, not decisions of people."""
    unknown_tool = block.by == "tool" and block.reason == "blocked"
    unknown_method = block.by == "default" and (not exchange.is_governed or exchange.connection_name == BUILT_IN)
    return unknown_tool or unknown_method


def _reply(exchange: Exchange, block: Block, refusal: Refusal, receipt: dict[str, Any] | None) -> Reply:
    made = decision(exchange, "deny", block.rules, block.would)
    if exchange.message.kind != "request":
        return Reply(orjson.dumps(refusal.fields()), status=REASONS[refusal.reason].status)
    if not _is_protocol_matter(exchange, block):
        status = 403 if block.by == "connection" and refusal.reason == "forbidden" else 200
        headers = (replies.retry_after(exchange.retry_after),) if exchange.retry_after else ()
        body = replies.refusal(exchange.message, refusal, decision=made, receipt=receipt)
        return Reply(body, status=status, headers=headers)
    modern = exchange.message.era == "modern"
    unknown_method = block.by == "default"
    code = METHOD_NOT_FOUND if unknown_method else INVALID_PARAMS
    body = replies.error(exchange.message.id, refusal, decision=made, receipt=receipt, code=code)
    return Reply(body, status=404 if modern and unknown_method else 200)
