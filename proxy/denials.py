"""The refusal of a call about which people are not asked any more, because they denied too many like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import replies
from proxy.faults import record_unavailable
from proxy.pipeline import Reply, Settled
from proxy.recording import decision, entry, request_payloads
from proxy.refusals import Refusal
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.denials import DeniedTooOften
    from approvals.runtime import Runtime
    from approvals.verdicts import Hold
    from proxy.exchange import Exchange


async def refuse(house: Runtime, exchange: Exchange, hold: Hold, why: DeniedTooOften) -> Settled:
    """Record what was asked for and refuse it. Raises CallFailed when the record does not take it."""
    refusal = Refusal(
        reason="denied",
        executed="false",
        message=str(why),
        call_id=exchange.call_id,
        rule=hold.rule or None,
        retry_after=round(why.seconds),
    )
    event = entry(
        exchange,
        "call.refused",
        payloads=request_payloads(exchange),
        reason=refusal.reason,
        executed=refusal.executed,
        cause="denials",
    )
    try:
        await house.journal.append(*exchange.opening, event)
    except RecordUnavailable as error:
        raise record_unavailable(exchange.call_id, "false") from error
    exchange.opening = ()
    made = decision(exchange, "hold", hold.rules, hold.would)
    receipt = house.journal.receipt(exchange.call_id)
    return Settled(Reply(replies.refusal(exchange.message, refusal, decision=made, receipt=receipt)))
