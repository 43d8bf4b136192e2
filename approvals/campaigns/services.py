"""Starting, deciding, settling and closing a review of access. Each act and its entry are one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from approvals import keys
from approvals.campaigns.models import Campaign, Line
from approvals.campaigns.standing_access import groups_now, lines, stands
from approvals.database import database_now
from approvals.models import Person
from approvals.standing import roles_of
from approvals.ties import tied
from sessions.events import Event, Fact, Payload

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller

MAX_COMMENT: Final = 4000
MAX_REVIEWERS: Final = 50
_COMMENT_MISSING: Final = "Say why in a comment."


@dataclass(frozen=True, slots=True)
class Refused:
    """Why it was not done, for people to read."""

    message: str
    is_forbidden: bool = False


def may_run(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may start and close reviews, and see all of them: admins and auditors."""
    return bool(roles_of(caller, policy) & {"admin", "auditor"})


def visible(caller: Caller, policy: Policy) -> QuerySet[Campaign]:
    """Return the reviews that this person may see: all, or those that they are to do."""
    rows = Campaign.objects.all()
    if may_run(caller, policy):
        return rows
    return rows.filter(pk__in=[row.pk for row in rows if _is_reviewer(row, caller)])


def to_review(caller: Caller) -> list[Campaign]:
    """Return the reviews that are open and name this person."""
    return [row for row in Campaign.objects.filter(closed_at=None) if _is_reviewer(row, caller)]


def start(house: Runtime, caller: Caller, *, title: str, due: date, reviewers: Sequence[str]) -> Campaign | Refused:
    """Begin a review of all access that the policy in force gives. `reviewers` are ids of people.

    Raises RecordUnavailable.
    """
    snapshot, now = house.policies.current, database_now()
    if not may_run(caller, snapshot.policy):
        return Refused("Admins and auditors start reviews of access.", is_forbidden=True)
    people = list(Person.objects.filter(pk__in=reviewers, is_active=True).order_by("pk")[:MAX_REVIEWERS])
    if not title.strip() or len(title) > 200 or due < now.date() or len(people) != len(set(reviewers)) or not people:
        return Refused("A review needs a name, a day from today on, and reviewers who have signed in here before.")
    campaign = Campaign(
        title=snapshot.outlet("").text(title.strip()),
        policy_revision=snapshot.revision,
        due=due,
        reviewers=[{"account": person.key, "display": str(person)} for person in people],
        started_by=caller.key,
        started_display=caller.display,
        started_at=now,
    )
    found = list(lines(snapshot.policy, now))
    facts: dict[str, Fact] = {
        "lines": len(found), "due": f"{due:%F}", "reviewers": [keys.actor(person.key) for person in people],
    }  # fmt: skip
    about = {"title": campaign.title, "reviewers": campaign.reviewers, "lines": [document(line) for line in found]}
    event = _event(
        snapshot, "review.started", campaign, caller, facts, {"about": snapshot.outlet("").value_for_record(about)}
    )

    def work() -> tuple[Campaign, list[Event]]:
        campaign.save(force_insert=True)
        for line in found:
            line.campaign = campaign
        Line.objects.bulk_create(found)
        return campaign, [event]

    return house.journal.transact_now(work)


def decide(house: Runtime, caller: Caller, line: Line, *, decision: str, comment: str) -> Line | Refused:
    """Note what a reviewer says of a line; it can be said anew until the line is settled or the review closed.

    Raises RecordUnavailable.
    """
    snapshot = house.policies.current
    if problem := may_not_decide(line, caller, snapshot.policy):
        return Refused(problem, is_forbidden=True)
    if decision not in Line.Decision.values:
        return Refused("Choose keep, remove or needs follow-up.")
    if len(comment) > MAX_COMMENT or (decision == Line.Decision.FOLLOW_UP and not comment.strip()):
        return Refused(_COMMENT_MISSING)
    said = snapshot.outlet("").text(comment.strip())
    now = database_now()
    facts: dict[str, Fact] = {"decision": decision, "own": _is_own(line, caller, snapshot.policy)}
    event = _of_line(snapshot, "review.decided", line, caller, facts, said)

    def work() -> tuple[bool, list[Event]]:
        done = _undone(line).update(
            decision=decision, comment=said, decided_by=caller.key, decided_display=caller.display, decided_at=now
        )
        return bool(done), [event] if done else []

    return _again(line) if house.journal.transact_now(work) else Refused("The line is settled, or the review closed.")


def settle(house: Runtime, caller: Caller, line: Line, *, comment: str) -> Line | Refused:
    """Close what a line left to do, with what was done. Access that was to be removed must be gone.

    Raises RecordUnavailable.
    """
    snapshot = house.policies.current
    if not may_run(caller, snapshot.policy) and not _is_reviewer(line.campaign, caller):
        return Refused("This is for reviewers, admins and auditors.", is_forbidden=True)
    if line.decision not in {Line.Decision.REMOVE, Line.Decision.FOLLOW_UP}:
        return Refused("There is nothing to follow up.")
    if not comment.strip() or len(comment) > MAX_COMMENT:
        return Refused("Say what was done.")
    if line.decision == Line.Decision.REMOVE and stands(line, snapshot.policy.config):
        return Refused("The policy in force still gives this access. Take it away first, or decide anew.")
    said, now = snapshot.outlet("").text(comment.strip()), database_now()
    event = _of_line(snapshot, "review.followed_up", line, caller, {"decision": line.decision}, said)

    def work() -> tuple[bool, list[Event]]:
        done = (
            _undone(line)
            .filter(decision=line.decision)
            .update(settled=said, settled_by=caller.key, settled_display=caller.display, settled_at=now)
        )
        return bool(done), [event] if done else []

    return _again(line) if house.journal.transact_now(work) else Refused("The line is settled, or the review closed.")


def close(house: Runtime, caller: Caller, campaign: Campaign) -> Campaign | Refused:
    """End a review in which nothing is open. Raises RecordUnavailable."""
    snapshot, now = house.policies.current, database_now()
    if not may_run(caller, snapshot.policy):
        return Refused("Admins and auditors close reviews of access.", is_forbidden=True)
    found = list(campaign.lines.all())
    if still := sum(line.is_open for line in found):
        return Refused(f"{still} lines are still open.")
    counted = Counter(line.decision for line in found)
    facts: dict[str, Fact] = {"lines": len(found), **{name: counted[name] for name in Line.Decision.values}}
    told = {"title": campaign.title, "lines": [document(line) for line in found]}
    event = _event(
        snapshot, "review.closed", campaign, caller, facts, {"about": snapshot.outlet("").value_for_record(told)}
    )

    def work() -> tuple[bool, list[Event]]:
        if any(line.is_open for line in campaign.lines.all()):
            return False, []
        done = Campaign.objects.filter(pk=campaign.pk, closed_at=None).update(
            closed_by=caller.key, closed_display=caller.display, closed_at=now
        )
        return bool(done), [event] if done else []

    if not house.journal.transact_now(work):
        return Refused("Somebody closed it meanwhile, or opened a line again.")
    campaign.refresh_from_db()
    return campaign


def may_not_decide(line: Line, caller: Caller, policy: Policy) -> str:
    """Return why this person may not decide on a line; "" when they may."""
    if line.campaign.closed_at is not None:
        return "The review is closed."
    if not _is_reviewer(line.campaign, caller):
        return "Others were named to review this."
    if _is_own(line, caller, policy) and _another_can(line, caller, policy):
        return "It is your own access; another reviewer can decide on it."
    return ""


def document(line: Line) -> dict[str, Any]:
    """Return a line as the API, and the record under its commitment, have it."""
    told = {name: getattr(line, name) for name in _SHOWN}
    times = {"last_call": line.last_call, "decided_at": line.decided_at, "settled_at": line.settled_at}
    return told | {name: at.isoformat() if at else None for name, at in times.items()}


_SHOWN: Final = (
    "id", "number", "group", "connection", "role", "tools", "kinds", "members", "calls", "decision", "comment",
    "decided_by", "settled", "settled_by",
)  # fmt: skip


def _accounts(caller: Caller, policy: Policy) -> frozenset[str]:
    known = tied(caller, policy).ties
    return frozenset({caller.key}) if known is None else known.refusing | {caller.key}


def _is_reviewer(campaign: Campaign, caller: Caller) -> bool:
    return caller.kind == "person" and caller.key in {one["account"] for one in campaign.reviewers}


def _is_own(line: Line, caller: Caller, policy: Policy) -> bool:
    """Whether the line gives something to this person, under whatever account."""
    return line.group in caller.groups or any(
        line.group in groups_now(person, policy) for person in _people(_accounts(caller, policy))
    )


def _another_can(line: Line, caller: Caller, policy: Policy) -> bool:
    mine = _accounts(caller, policy)
    others = _people({one["account"] for one in line.campaign.reviewers} - mine)
    return any(line.group not in groups_now(person, policy) for person in others if person.is_active)


def _people(accounts: set[str] | frozenset[str]) -> list[Person]:
    subjects = [account.rpartition("|")[2] for account in accounts]
    return [person for person in Person.objects.filter(sub__in=subjects) if person.key in accounts]


def _undone(line: Line) -> QuerySet[Line]:
    return Line.objects.filter(pk=line.pk, settled_at=None, campaign__closed_at=None)


def _again(line: Line) -> Line:
    return Line.objects.select_related("campaign").get(pk=line.pk)


def _of_line(snapshot: Snapshot, kind: str, line: Line, caller: Caller, facts: Mapping[str, Fact], said: str) -> Event:
    about: dict[str, Fact] = {"line": line.number, "group": line.group, "role": line.role}
    about |= {"tools": list(line.tools), **facts}
    payloads = {"comment": snapshot.outlet("").text_for_record(said)} if said else {}
    return _event(snapshot, kind, line.campaign, caller, about, payloads, connection=line.connection)


def _event(
    snapshot: Snapshot, kind: str, campaign: Campaign, caller: Caller, facts: Mapping[str, Fact],
    payloads: Mapping[str, Payload], connection: str = "",
) -> Event:  # fmt: skip
    named = {"iss": caller.iss, "sub": caller.sub, "display": caller.display, "groups": sorted(caller.groups)}
    return Event(
        kind=kind,
        actor=keys.actor(caller.key),
        connection=connection,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"campaign": campaign.pk, **facts},
        payloads={**payloads, "reviewer": snapshot.outlet("").value_for_record(named)},
    )
