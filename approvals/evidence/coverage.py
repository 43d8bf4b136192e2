"""What the record says by now of each promise: counted live, with what is open about it in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from approvals.masks import counting
from approvals.models import ApprovalRequest, PolicyRevision
from approvals.reviews import Review
from approvals.states import Status
from sessions.evidence import standing
from sessions.evidence.promises import PROMISES, Promise

if TYPE_CHECKING:
    from approvals.policy import Policy
    from sessions.evidence.standing import Proof


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at: entries by kind since a moment, the proof as it stands, the policy in force."""

    kinds: Mapping[str, int]
    since: datetime
    now: datetime
    proof: Proof
    policy: Policy

    def of(self, *kinds: str) -> int:
        """Return how many entries there are of these kinds."""
        return sum(self.kinds.get(kind, 0) for kind in kinds)


@dataclass(frozen=True, slots=True)
class Covered:
    """One promise: what was counted for it, and the gaps, one sentence each; none means that nothing is open."""

    promise: Promise
    counted: str
    gaps: tuple[str, ...]


Told = tuple[str, Iterator[str]]


def covered(seen: Seen) -> list[Covered]:
    """Return every promise with what the record says of it."""
    found = []
    for promise in PROMISES:
        counted, gaps = _BY_ID[promise.id](seen)
        found.append(Covered(promise, counted, tuple(gaps)))
    return found


def _intent_first(seen: Seen) -> Told:
    looked, missing = standing.ends_without_intent()
    begun, ended = standing.begun_and_ended(seen.kinds)

    def gaps() -> Iterator[str]:
        if missing:
            yield f"{missing} calls ended that have no intent"

    return f"{begun} forwarded, {ended} ended; each of the newest {looked} ends was looked up", gaps()


def _bound_decision(seen: Seen) -> Told:
    def gaps() -> Iterator[str]:
        if twice := standing.ran_twice(seen.since):
            yield f"{twice} held calls were forwarded more than once"

    of = seen.of
    return (
        f"{of('approval.requested')} asked for, {of('approval.approved')} approved, {of('approval.denied')} denied, "
        f"{of('approval.superseded')} asked again because something had changed"
    ), gaps()


def _masked_everywhere(seen: Seen) -> Told:
    config = seen.policy.config
    rules = config.in_force.masking
    hidden = sum(sum(day.values()) for day in counting.hidden_by_day(seen.since.date()).values())

    def gaps() -> Iterator[str]:
        bare = [
            name for name in sorted(config.connections) if not any(_is_for(rule.connections, name) for rule in rules)
        ]
        if bare:
            yield f"no masking rule speaks of {_listed(bare)}"

    return (
        f"{len(rules)} rules in force; {hidden} values hidden, {counting.behind()} entries still to be counted",
        gaps(),
    )


def _fail_closed(seen: Seen) -> Told:
    observing = sorted(name for name, one in seen.policy.config.connections.items() if one.mode == "observe")

    def gaps() -> Iterator[str]:
        if observing:
            yield f"nothing is held or blocked on {_listed(observing)}, which only observe"

    return f"{seen.of('call.blocked')} blocked, {seen.of('call.refused')} refused", gaps()


def _nothing_lost(seen: Seen) -> Told:
    def gaps() -> Iterator[str]:
        if unknown := ApprovalRequest.objects.filter(status=Status.OUTCOME_UNKNOWN).count():
            yield f"{unknown} interrupted calls wait for somebody to find out what they did"
        if late := standing.never_ended(seen.now):
            yield f"{late} forwarded calls have no end, and nobody has called their outcome unknown"

    of = seen.of
    return (
        f"{of('process.started')} processes started, {of('process.stopped')} stopped; "
        f"{of('call.unknown')} calls with an unknown outcome, {of('approval.resolved')} of them resolved"
    ), gaps()


def _no_self_approval(seen: Seen) -> Told:
    def gaps() -> Iterator[str]:
        if own := standing.voted_on_own(seen.since):
            yield f"{own} votes are of who made the request"
        if owed := Review.objects.filter(closed_at=None).count():
            yield f"{owed} emergencies wait for their review"

    of = seen.of
    return (
        f"{of('approval.voted')} votes, {of('approval.vote_refused')} refused; "
        f"{of('approval.break_glass')} approved alone in an emergency, {of('approval.reviewed')} reviewed"
    ), gaps()


def _secrets_stay(seen: Seen) -> Told:
    connections = seen.policy.config.connections
    own = sum(one.credential is not None for one in connections.values())
    return f"{own} of {len(connections)} connections have a credential, which the gateway alone knows", iter(())


def _rule_at_once(seen: Seen) -> Told:
    published = seen.of("policy.published")
    revisions = PolicyRevision.objects.filter(created_at__gte=seen.since).count()

    def gaps() -> Iterator[str]:
        if revisions > published:
            yield f"{revisions - published} revisions of the policy have no entry in the record"

    return (
        f"revision {seen.policy.revision} in force; {published} publications, "
        f"{seen.of('tool.changed')} changes of tools, {seen.of('tool.accepted')} accepted"
    ), gaps()


def _provable(seen: Seen) -> Told:
    counted = (
        f"{seen.proof.signed} entries under a signed checkpoint, {seen.proof.anchored} anchored; "
        f"{seen.of('evidence.exported')} bundles made, {seen.of('record.read')} sessions of others read"
    )
    return counted, iter(seen.proof.gaps(seen.now))


def _unchanged_clients(seen: Seen) -> Told:
    of = seen.of
    return f"{of('session.started')} sessions of callers, {of('call.intent')} calls forwarded as they came", iter(())


def _is_for(connections: tuple[str, ...], name: str) -> bool:
    return not connections or any(fnmatchcase(name.casefold(), glob.casefold()) for glob in connections)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


_BY_ID: Final[Mapping[str, Callable[[Seen], Told]]] = {
    "intent-first": _intent_first,
    "bound-decision": _bound_decision,
    "masked-everywhere": _masked_everywhere,
    "fail-closed": _fail_closed,
    "nothing-lost": _nothing_lost,
    "no-self-approval": _no_self_approval,
    "secrets-stay": _secrets_stay,
    "rule-at-once": _rule_at_once,
    "provable": _provable,
    "unchanged-clients": _unchanged_clients,
}
