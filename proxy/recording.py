"""Entries of the record about one exchange, and the decision that every governed answer names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from approvals import holding, keys
from approvals.outlet import counts
from masking import documents
from masking.engine import MaskingFailed
from proxy.binding import bound_parameters
from proxy.errors import MaskingBroken
from proxy.faults import CallFailed
from proxy.large import LARGE, masked_apart
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from approvals.models import ApprovalRequest
    from approvals.outlet import Outlet
    from proxy.exchange import Exchange
    from sessions.events import Fact, Payload

LONGEST_METHOD = 100


def outlet_of(exchange: Exchange) -> Outlet:
    """Return the masking outlet of the exchange under the policy that judged it last, with its secrets hidden."""
    known = (*exchange.secrets, *(() if exchange.token is None else (exchange.token,)))
    literals = tuple(secret.reveal() for secret in known)
    return exchange.snapshot.outlet(exchange.connection_name, exchange.caller.groups, literals)


def kept_view(exchange: Exchange, answer: bytes) -> bytes:
    """Return an answer that was kept, as its caller may see it by the rules of this moment. Raises CallFailed."""
    try:
        return outlet_of(exchange).for_caller(answer, schema=exchange.output).body
    except MaskingFailed as error:
        broken = MaskingBroken("The kept answer could not be masked by the rules of now, so it is withheld.")
        raise CallFailed(broken.refusal(call_id=exchange.call_id)) from error


def entry(
    exchange: Exchange,
    kind: str,
    *,
    payloads: Mapping[str, Payload] | None = None,
    recover_after: float | None = None,
    **facts: Fact,
) -> Event:
    """Return an entry about this exchange under the policy that judged it last."""
    if exchange.approval_id:
        facts["approval"] = exchange.approval_id
    if exchange.window:
        facts["access"] = exchange.window
    if exchange.answer_digest:
        facts.setdefault("upstream", exchange.answer_digest)
    if payloads and "request" in payloads and not exchange.approval_id:  # of a held call they stand in its first entry
        facts.setdefault("masked", counts(exchange.request_hits))
    return Event(
        kind=kind,
        call_id=exchange.call_id,
        session=exchange.recorded_session,
        connection=exchange.connection_name,
        method=_method(exchange),
        tool=_name(exchange),
        actor=exchange.actor,
        policy_revision=exchange.snapshot.revision,
        policy_digest=exchange.snapshot.digest,
        facts=facts,
        payloads=payloads or {},
        recover_after=recover_after,
    )


def call_digest_of(exchange: Exchange) -> str:
    """Return what makes a call identical to another: see `holding.call_digest`."""
    return holding.call_digest(exchange.call, bound_parameters(exchange.message), exchange.tool_digest)


def _name(exchange: Exchange) -> str:
    name = exchange.message.name
    return outlet_of(exchange).text(name)[:500] if name else ""


def _is_plain(method: str) -> bool:
    """Say whether a method is made of words, as those of the protocol are; others are masked like any text."""
    return len(method) <= LONGEST_METHOD and method.isascii() and method.replace("/", "").isalpha()


def _method(exchange: Exchange) -> str:
    method = exchange.message.method
    return method if _is_plain(method) else outlet_of(exchange).text(method)[:LONGEST_METHOD]


def request_payloads(exchange: Exchange) -> dict[str, Payload]:
    """Return the masked request as it may be written down, with the caller's reason and what is kept of the verdict.

    What was hidden in it is counted in the exchange, for the entry that brings these payloads.
    """
    outlet = outlet_of(exchange)
    known = exchange.recorded_request
    found = known[1:] if known and known[0] == outlet else _request(exchange, outlet)
    payloads, exchange.request_hits = {"request": found[0]}, found[1]
    if exchange.knobs.reason:
        payloads["reason"] = outlet.value_for_record(exchange.knobs.reason)
    if exchange.judged is not None:
        payloads["judged"] = outlet.judged_for_record(exchange.judged)
    return payloads


async def mask_large_request(exchange: Exchange) -> None:
    """Mask a large request for the record beside the event loop, before a step needs it. Raises MaskingFailed."""
    if len(exchange.message.raw) >= LARGE:
        outlet = outlet_of(exchange)
        payload, hits = await masked_apart(len(exchange.message.raw), partial(_request, exchange, outlet))
        exchange.recorded_request = (outlet, payload, hits)


def _request(exchange: Exchange, outlet: Outlet) -> tuple[Payload, Mapping[str, int]]:
    raw, method = exchange.message.raw, exchange.message.method
    if method and not _is_plain(method):
        content, _ = documents.read(raw.decode("utf-8"))
        raw = documents.write({**content, "method": outlet.text(method)})
    return outlet.counted_for_record(raw)


def request_commitment(exchange: Exchange) -> str:
    """Return the keyed digest of the caller's exact bytes: proof of what was forwarded, without its content."""
    return keys.keyed_digest("request", exchange.message.raw)


def answer_commitment(*messages: bytes) -> str:
    """Return the keyed digest of what a server sent, before it was masked: proof of it, without its content."""
    return keys.keyed_digest("answer", *messages)


def caller_payload(exchange: Exchange) -> Payload:
    """Return who calls, for the first entry of a recorded session: the one place with readable names."""
    caller = exchange.caller
    who = {
        "iss": caller.iss,
        "sub": caller.sub,
        "kind": caller.kind,
        "display": caller.display,
        "groups": sorted(caller.groups),
        "run": dict(caller.run),
        "person": caller.person,
        "claims": {name: list(texts) for name, texts in caller.claims},
    }
    return outlet_of(exchange).value_for_record(who)


def rules_read(exchange: Exchange) -> dict[str, Fact]:
    """Return how many rules were read for this exchange, as a fact of its entry; empty where none is asked."""
    return {"rules_read": exchange.snapshot.policy.rules_read} if exchange.is_governed else {}


def decision(exchange: Exchange, verdict: str, rules: Sequence[str], would: str | None = None) -> dict[str, Any]:
    """Return `holdgate/decision`: what was decided, by which rules, under which revision."""
    found: dict[str, Any] = {"call_id": exchange.call_id, "verdict": verdict}
    if would:
        found["would"] = would
    return {**found, "rules": list(rules), "policy_revision": exchange.snapshot.revision}


def approval_meta(request: ApprovalRequest, public_url: str, retry_after: float | None = None) -> dict[str, Any]:
    """Return `holdgate/approval`: which request it is, where it stands, and when to come back."""
    return {
        "id": request.id,
        "status": request.status,
        "url": f"{public_url}/approvals/{request.id}/",
        "expires_at": request.expires_at.isoformat().replace("+00:00", "Z"),
        "retry_after": retry_after,
    }
