"""The verdict on one exchange: access, rules, known methods and known tools; and the entry of a refusal."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from approvals.policy import local_groups
from approvals.verdicts import Allow, Block, Hold
from proxy import replies
from proxy.envelope import INVALID_PARAMS, METHOD_NOT_FOUND
from proxy.faults import record_unavailable
from proxy.pipeline import Moved, Reply, Settled
from proxy.recording import decision, entry, request_payloads
from proxy.refusals import REASONS, Refusal
from proxy.tokens import TokenRejected
from sessions.journal import RecordUnavailable, RevisionMoved

if TYPE_CHECKING:
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Verdict
    from proxy.catalogue import Catalogue
    from proxy.exchange import Exchange

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
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
        "notifications/tasks/status",
    }
)
# Never passed on, whatever the mode. To the upstream all callers are one, so it would list the tasks of all of them;
# and what a task is told later are arguments that nobody judged.
CLOSED_METHODS = frozenset({"tasks/list", "tasks/update"})
_NO_ACCESS = Block(message="There is no such connection, or you may not use it.", reason="forbidden", by="connection")


class Judging:
    """Judges by the policy in force; one per process."""

    def __init__(self, house: Runtime, catalogue: Catalogue) -> None:
        self._house = house
        self._catalogue = catalogue

    async def judge(self, exchange: Exchange) -> Verdict:
        """Return the verdict under the current policy and the caller's current standing, and note it as judged."""
        snapshot = exchange.snapshot = self._house.policies.current
        if not await _is_known(exchange, snapshot):
            return _NO_ACCESS
        config = snapshot.policy.config
        issued = frozenset(group for group in exchange.caller.groups if "/" in group)
        exchange.caller = replace(exchange.caller, groups=issued | local_groups(config, exchange.caller))
        connection = snapshot.policy.connection(exchange.connection_name)
        if connection is None or exchange.caller.iss not in {issuer.issuer for issuer in config.issuers}:
            return _NO_ACCESS
        exchange.connection = connection
        if not exchange.is_governed:
            return self._relayed(exchange)
        verdict = snapshot.policy.judge(exchange.call)
        if isinstance(verdict, Block):
            return verdict
        if block := await self._unknown_tool(exchange):
            return block
        return _impossible_hold(exchange, verdict) or verdict if isinstance(verdict, Hold) else verdict

    def _relayed(self, exchange: Exchange) -> Allow | Block:
        """Lists, notifications and the handshake are not judged one by one: access decides, lists are filtered."""
        if not exchange.snapshot.policy.may_use(exchange.caller, exchange.connection_name):
            return _NO_ACCESS
        if exchange.message.kind == "response":
            # Requests of servers never reach a caller here, so there is nothing to respond to.
            return Block(message="No request of a server is open.", by="default")
        method = exchange.message.method
        if method in CLOSED_METHODS:
            return Block(message="The method is closed on this gateway.", by="default")
        if method in KNOWN_METHODS or exchange.connection.observing(time.time()):
            return Allow()
        return Block(message="The method is unknown here.", by="default")

    async def _unknown_tool(self, exchange: Exchange) -> Block | None:
        """Bind the call to its tool's definition; a tool that the server does not list is refused when enforced."""
        if exchange.message.method != "tools/call":
            return None
        digest = await self._catalogue.digest(exchange)
        exchange.tool_digest = digest or ""
        if digest is None and not exchange.connection.observing(time.time()):
            return Block(message="The server has no tool of that name.", by="tool")
        return None

    async def block(self, exchange: Exchange, block: Block) -> Moved | Settled:
        """Record that the call was refused and return the refusal, or Moved when the policy did."""
        refusal = _refusal(exchange, block)
        event = entry(
            exchange,
            "call.blocked",
            payloads=request_payloads(exchange),
            verdict="deny",
            reason=refusal.reason,
            executed="false",
            rules=list(block.rules),
        )
        try:
            await self._house.journal.append(*exchange.opening, event, revision=exchange.snapshot.revision)
        except RevisionMoved:
            await self._house.policies.refreshed()
            return Moved()
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        exchange.opening = ()
        return Settled(_reply(exchange, block, refusal))

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


async def _is_known(exchange: Exchange, snapshot: Snapshot) -> bool:
    """Say whether the token still stands for its caller; what it says of them is read anew when the policy moved."""
    if exchange.identify is None or exchange.identified_under == snapshot.revision:
        return True
    try:
        exchange.caller = await exchange.identify(snapshot.policy)
    except TokenRejected:
        return False
    exchange.identified_under = snapshot.revision
    return True


def _impossible_hold(exchange: Exchange, hold: Hold) -> Block | None:
    """Refuse at once a hold that could not be kept apart from its requester, or that lacks the reason it must have."""
    caller = exchange.caller
    if caller.kind == "ci" and not caller.person and not caller.owned_by:
        message = (
            "This call needs an approval, and it is not known who must not give it: the token names no person who "
            "started the job, and the issuer has no `owned_by`. An admin must set `owned_by` (or `person_claim`)."
        )
        return Block(message=message, reason="forbidden", rule=hold.rule, rules=hold.rules)
    if hold.terms.reason == "required" and not exchange.knobs.reason:
        message = "The rule asks for a reason before it asks people."
        return Block(message=message, reason="reason_required", rule=hold.rule, rules=hold.rules)
    return None


def _refusal(exchange: Exchange, block: Block) -> Refusal:
    reason = "invalid_request" if _is_protocol_matter(exchange, block) else block.reason
    return Refusal(
        reason=reason, executed="false", message=block.message, call_id=exchange.call_id, rule=block.rule or None
    )


def _is_protocol_matter(exchange: Exchange, block: Block) -> bool:
    """An unknown method and an unknown tool are errors of the protocol, not decisions of people."""
    unknown_tool = block.by == "tool" and block.reason == "blocked"
    unknown_method = block.by == "default" and not exchange.is_governed
    return unknown_tool or unknown_method


def _reply(exchange: Exchange, block: Block, refusal: Refusal) -> Reply:
    made = decision(exchange, "deny", block.rules, block.would)
    if exchange.message.kind != "request":
        return Reply(orjson.dumps(refusal.fields()), status=REASONS[refusal.reason].status)
    if not _is_protocol_matter(exchange, block):
        status = 403 if block.by == "connection" else 200
        return Reply(replies.refusal(exchange.message, refusal, decision=made), status=status)
    modern = exchange.message.era == "modern"
    unknown_method = not exchange.is_governed
    code = METHOD_NOT_FOUND if unknown_method else INVALID_PARAMS
    body = replies.error(exchange.message.id, refusal, decision=made, code=code)
    return Reply(body, status=404 if modern and unknown_method else 200)
