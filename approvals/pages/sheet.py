"""The whole of one request on one page: everything that a decision needs, as far as the viewer may see it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from approvals import argument_diff
from approvals.break_glass import may_not_break
from approvals.break_glass import unproven as unproven_alone
from approvals.config.document import parse_document
from approvals.config.loader import ConfigError
from approvals.debts import Debt, debt_of
from approvals.delegation import stand_ins
from approvals.legible import Field, Piece, fields, pieces
from approvals.models import ApprovalRequest, Delegation, PolicyRevision
from approvals.pages.cards import Card
from approvals.prospects import Prospect, commands, prospect
from approvals.recall import may_not_revoke, nudge_from
from approvals.revealing import places_for
from approvals.rules.emergency import BROKEN
from approvals.rules.judged import Told, read, told_of
from approvals.rules.remembering import Memory, offers
from approvals.rules.tracing import Finding, scope, trace
from approvals.runtime import runtime
from approvals.second_factor import SignIn
from approvals.selectors import unproven_factor, visible_to
from approvals.standing import roles_of
from approvals.states import Status
from approvals.ties import name_behind
from masking import documents
from sessions import selectors
from sessions.calls import RecordedCall, recorded_call
from sessions.ids import first_id
from sessions.selectors import RecentCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

    from approvals.argument_diff import Comparison
    from approvals.config.rules import Rule
    from approvals.hidden_places import HiddenPlace

EARLIER = 3
MOST_TWINS = 19
LOOKED_BACK = timedelta(days=30)
MOST_EARLIER = 500
RECENT_CALLS = 10
# People said yes to a request that stands at one of these.
APPROVED = frozenset(
    {Status.APPROVED, Status.EXECUTING, Status.EXECUTED, Status.FAILED, Status.OUTCOME_UNKNOWN, Status.LAPSED}
)
CODE = 12
# The entries of the record that name the digest of the call, and what happened there.
STEPS = {"approval.requested": "Asked for", "approval.approved": "Approved", "call.intent": "Run"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that held the call: what it looks at, and what it found there."""

    rule: str
    scope: list[tuple[str, str]]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class History:
    """How the requests of this caller for this tool ended within LOOKED_BACK."""

    approved: int
    denied: int
    other: int

    @property
    def total(self) -> int:
        return self.approved + self.denied + self.other


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a call: the digest that the record has of it there, and whether it is the one that was asked for.

    Without a digest it has not come to that.
    """

    name: str
    digest: str
    is_same: bool

    @property
    def code(self) -> str:
        return self.digest[:CODE]


class Sheet(Card):
    """One request as one person sees it on its own page."""

    sign_in: SignIn | None = None

    @cached_property
    def unproven(self) -> str:
        """Why the viewer's sign-in does not do for this decision; empty when it does."""
        if self.sign_in is None and self.request.terms["mfa"] == "required":
            return "This request needs a fresh sign-in with a second factor, at your identity provider."
        return unproven_factor(self.request, self.caller, self.sign_in, self.policy, self.now)

    @property
    def sees_rule(self) -> bool:
        """Whether the viewer may see how the rule looks for such calls; whom it stops need not know."""
        decides = not self.caller.groups.isdisjoint(self.request.quorum.groups)
        return (decides and not self.is_own) or bool(roles_of(self.caller, self.policy) & {"admin", "auditor"})

    @cached_property
    def reasons(self) -> list[Reason]:
        """The rules that held it, each with what it found; none when the connection holds by default."""
        rules = _rules_of(self.request.policy_revision)
        held = [rules[name] for name in self.request.terms["rules"] if name in rules]
        value, name = _arguments(self.request) if self.sees_payload else (None, "")
        connection = self.policy.connection(self.request.connection)
        dialect = connection.sql_dialect if connection else None
        return [Reason(rule.name, scope(rule), trace(rule, value, name, dialect)) for rule in held]

    @cached_property
    def recorded(self) -> RecordedCall | None:
        """The call as the record has it, with what was kept of the verdict."""
        return recorded_call(self.request.call_id)

    @cached_property
    def then(self) -> list[Told]:
        """The rules that spoke when it was judged, and where, as that was written down; values only where seen."""
        if self.recorded is None:
            return []
        value, name = _arguments(self.request) if self.sees_payload else (None, "")
        rules = _rules_of(self.request.policy_revision)
        return told_of(read(self.recorded.judged), rules, value, name, with_places=self.sees_payload)

    @property
    def also(self) -> list[str]:
        """Further rules that matched, and decided nothing about it."""
        spoke = [name for name in self.request.terms.get("spoke", ()) if name not in self.request.terms["rules"]]
        return spoke + [f"{name} (observing)" for name in self.request.terms.get("observed", ())]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        hits: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for reason in self.reasons if self.sees_rule else ():
            for place in (place for finding in reason.findings for place in finding.places):
                hits[place.name] += place.spans
        return fields(self.request.arguments, hits) if self.sees_payload else ()

    @property
    def is_long(self) -> bool:
        return any(field.is_long for field in self.fields)

    @property
    def raw(self) -> tuple[Piece, ...]:
        """The arguments as one line of JSON, masked as everywhere."""
        try:
            text = documents.write(documents.read(self.request.arguments)[0]).decode()
        except documents.Unreadable:
            text = self.request.arguments
        return pieces(text) if self.sees_payload else ()

    @cached_property
    def last_approved(self) -> Card | None:
        """The newest earlier call of this tool by this caller that people approved, if the viewer may see it."""
        rows = self._earlier().filter(status__in=[status.value for status in APPROVED]).order_by("-id")[:EARLIER]
        cards = [Card(row, self.caller, self.policy, self.now) for row in rows]
        return next((card for card in cards if card.sees_payload), None)

    @cached_property
    def comparison(self) -> Comparison | None:
        """What differs from the last approved call; None when there is none."""
        if self.last_approved is None or not self.sees_payload:
            return None
        return argument_diff.compare(self.last_approved.request.arguments, self.request.arguments)

    @property
    def run(self) -> list[tuple[str, str]]:
        return sorted(self.request.requester_run.items())

    @cached_property
    def person(self) -> str:
        """Who is behind the caller, as far as it is somebody else."""
        return name_behind(self.request, self.policy.config)

    @property
    def may_revoke(self) -> bool:
        return self.status is Status.APPROVED and not may_not_revoke(self.request, self.caller, self.policy)

    @cached_property
    def may_break(self) -> bool:
        """Whether the viewer may approve this alone, in an emergency."""
        return self.is_pending and not may_not_break(self.request, self.caller, self.policy, via="dashboard")

    @property
    def alone_unproven(self) -> str:
        """What the viewer's sign-in lacks for approving alone."""
        return unproven_alone(self.request, self.caller, self.sign_in, self.policy, self.now)

    @cached_property
    def may_reveal(self) -> list[HiddenPlace]:
        """The hidden values that the viewer may have shown, for a reason that is recorded."""
        return places_for(self.request, self.caller, self.policy, self.now, via="dashboard")

    @cached_property
    def debt(self) -> Debt | None:
        """What an approval in an emergency owes, or owed."""
        if self.request.source != BROKEN:
            return None
        return debt_of(self.request.review, self.caller, self.policy)

    @property
    def nudge_from(self) -> datetime:
        """From when on the requester may bring it to people's minds."""
        return nudge_from(self.request)

    @property
    def may_nudge(self) -> bool:
        return self.nudge_from <= self.now

    @cached_property
    def stand_ins(self) -> list[Delegation]:
        """Who may decide in somebody else's place, while it is open."""
        return stand_ins(self.request, self.policy) if self.is_pending else []

    @property
    def may_resolve(self) -> bool:
        return self.status is Status.OUTCOME_UNKNOWN and not self.why_not

    @property
    def reads_session(self) -> bool:
        """Whether the viewer may open the recorded session that the call belongs to."""
        is_caller = self.request.requester_iss == self.caller.iss and self.request.requester_sub == self.caller.sub
        return is_caller or bool(roles_of(self.caller, self.policy) & {"auditor", "admin"})

    @property
    def offers(self) -> tuple[Memory, ...]:
        """What the viewer may let be remembered with an approval."""
        return offers(self.request.terms)

    @property
    def code(self) -> str:
        """The short code by which approver and caller can compare what they have before them."""
        return self.request.binding[:CODE]

    @cached_property
    def twins(self) -> list[ApprovalRequest]:
        """Identical calls that are waiting too; each needs its own decision."""
        same = visible_to(self.caller, self.policy).filter(call_digest=self.request.call_digest, status=Status.PENDING)
        return list(same.exclude(pk=self.request.pk).order_by("id")[:MOST_TWINS])

    def _earlier(self) -> QuerySet[ApprovalRequest]:
        """Return what this caller asked for with this tool before, as far as the viewer may see it."""
        request = self.request
        return visible_to(self.caller, self.policy).filter(
            connection=request.connection,
            tool=request.tool,
            requester_iss=request.requester_iss,
            requester_sub=request.requester_sub,
            id__lt=request.pk,
            id__gt=first_id(request.created_at - LOOKED_BACK),
        )

    @cached_property
    def earlier(self) -> list[Card]:
        """How the newest of them ended."""
        decided = self._earlier().exclude(status=Status.PENDING).prefetch_related("votes").order_by("-id")[:EARLIER]
        return [Card(row, self.caller, self.policy, self.now) for row in decided]

    @cached_property
    def history(self) -> History:
        """How all of them ended, the newest MOST_EARLIER at most."""
        rows = self._earlier().exclude(status=Status.PENDING).order_by("-id").values_list("status", flat=True)
        counts = Counter(rows[:MOST_EARLIER])
        approved, denied = sum(counts[status.value] for status in APPROVED), counts[Status.DENIED.value]
        return History(approved, denied, sum(counts.values()) - approved - denied)

    @cached_property
    def recent_calls(self) -> list[RecentCall]:
        """The calls of the same run right before this one; what they carried is not told here."""
        if not self.request.session or not (self.sees_payload or self.reads_session):
            return []
        return selectors.recent_calls(self.request.session, before=self.request.call_id, limit=RECENT_CALLS)

    @cached_property
    def prospect(self) -> Prospect | None:
        """What the viewer may expect, if it is they who asked."""
        return prospect(self.request, self.policy, self.now) if self.may_withdraw else None

    @property
    def commands(self) -> list[tuple[str, str]]:
        """What to type to come back for the answer."""
        return commands(self.request, runtime().public_url)

    @cached_property
    def ladder(self) -> list[Rung]:
        """What was asked for, approved and run, by the digests in the record."""
        mine = {
            kind: str(facts.get("call", ""))
            for kind, facts in selectors.facts_of_call(self.request.call_id, STEPS)
            if facts.get("approval") == self.request.pk
        }
        asked = self.request.call_digest
        return [Rung(name, mine.get(kind, ""), mine.get(kind) == asked) for kind, name in STEPS.items()]


def _arguments(request: ApprovalRequest) -> tuple[Any, str]:
    """Return what conditions look at, and how pages name it.

    Other parameters may stand beside the arguments (see `proxy.binding`); then these are one member of what is shown.
    """
    try:
        value = json.loads(request.arguments)
    except (ValueError, RecursionError):
        return None, ""
    if isinstance(value, dict) and value.keys() == {"arguments", "other parameters"}:
        return value["arguments"], "arguments"
    return value, ""


def _rules_of(revision: int) -> Mapping[str, Rule]:
    """Return the rules of a published revision by name; none when it cannot be read any more."""
    digest = PolicyRevision.objects.filter(number=revision).values_list("digest", flat=True).first()
    return _rules(digest) if digest else {}


@lru_cache(maxsize=8)
def _rules(digest: str) -> Mapping[str, Rule]:
    row = PolicyRevision.objects.filter(digest=digest).first()
    try:
        return {rule.name: rule for rule in parse_document(row.document if row else None).in_force.rules}
    except ConfigError:
        return {}
