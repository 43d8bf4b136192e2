"""The rules by which a history is judged: one function each, over plain data, so that a doctored one can be tried.

A history is what the record holds, what the upstreams saw, and what the gateway told its callers and approvers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from sessions.leaf import Leaf

INTENT, RESULT, REPEATED, LATE = "call.intent", "call.result", "call.repeated", "call.late"
# What ends a call that had an intent. Refusals of its repeats carry the same call id and end nothing, and what is
# heard of a call after its end (call.late) does not end it again.
ENDS = frozenset({RESULT, "call.failed", "call.unknown", "call.cancelled", "call.abandoned"})
ANSWERS = ENDS | {"call.blocked", "call.refused", REPEATED}
# Refusals that say themselves that the record, or all that judges, was out of reach: they are written down nowhere. A
# flood is counted, not written down one by one.
UNRECORDED = frozenset({"record_unavailable", "policy_unavailable", "shutting_down", "rate_limited"})
# The entries of which the newest tells where a request stands.
STATIONS = frozenset(
    {
        "approval.requested",
        "approval.approved",
        "approval.denied",
        "approval.expired",
        "approval.cancelled",
        "approval.superseded",
        "approval.lapsed",
        "approval.revoked",
        "approval.resolved",
    }
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A request that reached an upstream, and how many intents were committed when it did; None: nobody could look."""

    connection: str
    method: str
    marker: str
    nth: int  # of this connection
    nth_of_marker: int
    intents: int | None
    intents_of_marker: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A row of the approval requests."""

    id: str
    status: str
    binding: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer said of its call: reason and `executed` are empty when the upstream's own was passed on."""

    call_id: str
    reason: str = ""
    executed: str = ""
    approval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that is judged. `open` are calls that run at this moment; `findings` are the verifier's."""

    entries: Sequence[Leaf]
    sightings: Sequence[Sighting] = ()
    approvals: Sequence[Asked] = ()
    open: Set[str] = field(default_factory=frozenset)
    replies: Sequence[Reply] = ()
    asked: Sequence[str] = ()
    decisions: Sequence[tuple[str, str]] = ()
    findings: Sequence[str] = ()

    def by_call(self) -> Mapping[str, list[Leaf]]:
        """Return the entries of each call, in their order."""
        found: dict[str, list[Leaf]] = defaultdict(list)
        for entry in self.entries:
            found[entry.call].append(entry)
        return found

    def by_approval(self) -> Mapping[str, list[Leaf]]:
        """Return the entries that name each approval, in their order."""
        found: dict[str, list[Leaf]] = defaultdict(list)
        for entry in self.entries:
            if name := str(entry.facts.get("approval") or ""):
                found[name].append(entry)
        return found


def faults_of(history: History) -> list[str]:
    """Return what is wrong with a history, each sentence after the name of the rule that it breaks."""
    return [f"{rule.__name__[1:]}: {fault}" for rule in RULES for fault in rule(history)]


def _intent_first(history: History) -> Iterator[str]:
    """Nothing reached an upstream before its intent was committed, and nothing reached it twice for one intent."""
    calls: dict[str, int] = defaultdict(int)
    for entry in history.entries:
        if entry.kind == INTENT:
            calls[entry.connection] += 1
    for seen in history.sightings:
        committed = calls[seen.connection] if seen.intents is None else seen.intents
        of_marker = seen.nth_of_marker if seen.intents_of_marker is None else seen.intents_of_marker
        if seen.nth > committed or (seen.marker and seen.nth_of_marker > of_marker):
            yield f"no intent before {seen}"


def _one_end(history: History) -> Iterator[str]:
    """Each call has one intent at most, and each intent exactly one end, after it, unless the call still runs."""
    for call, entries in history.by_call().items():
        kinds = [entry.kind for entry in entries if entry.kind == INTENT or entry.kind in ENDS]
        if not kinds:
            continue
        if kinds[0] != INTENT:
            yield f"{call} ended without an intent: {kinds}"
        elif INTENT in kinds[1:]:
            yield f"{call} has two intents: {kinds}"
        elif len(kinds) != (1 if call in history.open else 2):
            yield f"{call} has not one intent and one end: {kinds}"


def _bound_decision(history: History) -> Iterator[str]:
    """Each intent under an approval follows that approval's own request and decision; none serves two.

    The decision rests on a vote on that very request, on one person who broke the glass for it, or on a use of a grant
    that was made of votes.
    """
    given: dict[str, str] = {}
    asked: dict[str, str] = {}
    votes: set[str] = set()
    used: set[str] = set()
    covered = _covered(history)
    for entry in history.entries:
        approval, binding = str(entry.facts.get("approval") or ""), str(entry.facts.get("binding") or "")
        if entry.kind == "approval.requested":
            asked[approval] = binding
        elif entry.kind == "approval.break_glass" or (
            entry.kind == "approval.voted" and entry.facts.get("decision") == "approve"
        ):
            votes.add(approval)
        elif entry.kind == "approval.approved":
            given[approval] = binding
            decided = approval in votes if not (grant := entry.facts.get("grant")) else (approval, grant) in covered
            if not decided or asked.get(approval) != binding:
                yield f"approval {approval} was given without a vote on that very request"
        elif entry.kind == INTENT and entry.facts.get("verdict") == "hold":
            if given.get(approval) != binding:
                yield f"{entry.call} was begun without a decision on exactly this call"
            if approval in used:
                yield f"approval {approval} served twice"
            used.add(approval)


def _covered(history: History) -> frozenset[tuple[str, str]]:
    """Return which request was approved by which grant, as the entries of the uses say."""
    used = [entry.facts for entry in history.entries if entry.kind == "grant.used"]
    return frozenset((str(facts.get("approval")), str(facts.get("grant"))) for facts in used)


def _kept_memory(history: History) -> Iterator[str]:
    """A grant is made of votes that asked for it, and is used for what it covers, within its limits, before its end."""
    wished: dict[str, list[Leaf]] = defaultdict(list)
    made: dict[str, Leaf] = {}
    uses: dict[str, int] = defaultdict(int)
    over: set[str] = set()
    for entry in history.entries:
        grant, approval = str(entry.facts.get("grant") or ""), str(entry.facts.get("approval") or "")
        if entry.kind == "approval.voted" and entry.facts.get("decision") == "approve":
            wished[approval].append(entry)
        elif entry.kind == "grant.made":
            made[grant] = entry
            if not _wished(entry, wished[approval]):
                yield f"grant {grant} is wider than what those who approved asked for"
        elif entry.kind == "grant.used":
            uses[grant] += 1
            begun = made.get(grant)
            if begun is None or grant in over or begun.facts["covers"] != entry.facts["covers"]:
                yield f"grant {grant} was used for {approval}, which it does not cover"
            elif uses[grant] > _number(begun, "remember_max_uses"):
                yield f"grant {grant} was used more often than it may be"
        elif entry.kind in {"grant.revoked", "grant.expired"}:
            over.add(grant)


def _wished(made: Leaf, votes: Sequence[Leaf]) -> bool:
    """Say whether every one of the votes let at least so much be remembered."""
    limits = ("remember_max_age", "remember_max_uses")
    return bool(votes) and all(
        vote.facts.get("remember_scope") in {made.facts.get("remember_scope"), "same_tool"}
        and all(_number(made, limit) <= _number(vote, limit) for limit in limits)
        for vote in votes
    )


def _number(entry: Leaf, name: str) -> int:
    found = entry.facts.get(name)
    return found if isinstance(found, int) else 0


def _open_access(history: History) -> Iterator[str]:
    """A call whose access rests on a window begins after that was opened and before it ended."""
    opened: set[str] = set()
    for entry in history.entries:
        approval, window = str(entry.facts.get("approval") or ""), str(entry.facts.get("access") or "")
        if entry.kind == "approval.approved":
            opened.add(approval)
        elif entry.kind in STATIONS:
            opened.discard(approval)
        elif entry.kind == INTENT and window and window not in opened:
            yield f"{entry.call} was begun through a window that was not open"


def _nothing_lost(history: History) -> Iterator[str]:
    """What somebody was told is in the record: answers, requests, decisions."""
    calls, approvals = history.by_call(), history.by_approval()
    for reply in history.replies:
        if reply.reason not in UNRECORDED and not any(_tells(entry, reply) for entry in calls.get(reply.call_id, ())):
            yield f"no entry tells of {reply}"
    for name in [*history.asked, *(reply.approval for reply in history.replies if reply.approval)]:
        if not any(entry.kind == "approval.requested" for entry in approvals.get(name, ())):
            yield f"request {name} was named and is not there"
    for name, decision in history.decisions:
        votes = [entry for entry in approvals.get(name, ()) if entry.kind in _ACKNOWLEDGED]
        if not any(entry.facts.get("decision", "resolve") == decision for entry in votes):
            yield f"{name}: {decision} was acknowledged and is not there"


_ACKNOWLEDGED = frozenset({"approval.voted", "approval.resolved"})


def _tells(entry: Leaf, reply: Reply) -> bool:
    kind = entry.facts.get("instead_of") if entry.kind == LATE else entry.kind
    if not reply.reason:
        return kind in {RESULT, REPEATED}
    # A fault that was told to one caller may be the end of the call, or a refusal beside it.
    return kind in ANSWERS and (entry.facts.get("reason") == reply.reason or kind in ENDS)


def _told_truly(history: History) -> Iterator[str]:
    """Nobody was told that nothing was executed of a call that was; a held one may run when it is asked for again."""
    calls = history.by_call()
    for reply in history.replies:
        entries = calls.get(reply.call_id, ()) if reply.executed == "false" else ()
        held = any(entry.facts.get("approval") for entry in entries)
        if not held and any(entry.kind in ENDS and entry.facts.get("executed") == "true" for entry in entries):
            yield f"{reply} and yet the record says that it was executed"


def _stands_as_recorded(history: History) -> Iterator[str]:
    """The state of every request is that of its newest entry, and each has its row; what pends, pends still."""
    approvals, rows = history.by_approval(), {row.id: row for row in history.approvals}
    for name, entries in approvals.items():
        if name not in rows and any(entry.kind in STATIONS for entry in entries):
            yield f"request {name} has entries and no row"
    for row in rows.values():
        found = _standing(approvals.get(row.id, ()))
        if row.status not in found:
            yield f"request {row.id} is {row.status}, by its entries it is {' or '.join(sorted(found))}"


def _standing(entries: Sequence[Leaf]) -> frozenset[str]:
    """Return the states in which a request with these entries may be."""
    states, running = frozenset({"never asked"}), ""
    for entry in entries:
        if entry.kind == "approval.requested":
            states = frozenset({"pending"})
        elif entry.kind == "approval.resolved":
            states = frozenset({"failed", "executed"})
        elif entry.kind in STATIONS:
            states = frozenset({entry.kind.removeprefix("approval.")})
        elif entry.kind == INTENT and entry.facts.get("verdict") == "hold":
            states, running = frozenset({"executing"}), entry.call
        elif entry.kind in ENDS and entry.call == running:
            states, running = _AFTER[entry.kind], ""
    return states


_AFTER = {
    RESULT: frozenset({"executed", "failed", "outcome_unknown"}),
    "call.failed": frozenset({"failed"}),
    "call.abandoned": frozenset({"failed"}),
    "call.unknown": frozenset({"outcome_unknown"}),
    "call.cancelled": frozenset({"executed", "failed", "outcome_unknown"}),
}


def _provable(history: History) -> Iterator[str]:
    """The log verifies: dense, untouched, signed."""
    yield from history.findings


RULES: tuple[Callable[[History], Iterator[str]], ...] = (
    _intent_first,
    _one_end,
    _bound_decision,
    _kept_memory,
    _open_access,
    _nothing_lost,
    _told_truly,
    _stands_as_recorded,
    _provable,
)
