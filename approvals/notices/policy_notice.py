"""An alert about the configuration, as it may leave the gateway: what loosens, and what waits for a second admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from approvals.alerts import LOOSENED
from approvals.config.document import parse_document
from approvals.models import PolicyRevision
from approvals.notices.notice import Notice
from approvals.proposals import Proposal
from approvals.rules.loosening import loosenings
from approvals.ties import people_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.channels import Channels
    from approvals.config.schema import Config
    from approvals.models import OutboundMessage
    from approvals.runtime import Runtime

# So many of them are told; the page has all.
MOST_TOLD: Final = 20


def notice_of(message: OutboundMessage, runtime: Runtime) -> Notice:
    """Return what an alert says, of what is true now."""
    _, _, which = message.subject.partition("/")
    return (
        _of_revision(message, int(which), runtime)
        if message.event == LOOSENED
        else _of_proposal(message, which, runtime)
    )


def channels_before(message: OutboundMessage, current: Channels) -> Channels:
    """Return the channels in force, and before them, for an alert about a revision, those that stood until then.

    Whoever changes where people are reached is told of there where they were reached.
    """
    if message.event != LOOSENED:
        return current
    before = _config(int(message.subject.partition("/")[2]) - 1).channels
    return current.model_copy(
        update={
            "slack": before.slack or current.slack,
            "email": before.email or current.email,
            "webhooks": {**current.webhooks, **before.webhooks},
            "teams": {**current.teams, **before.teams},
        }
    )


def _of_revision(message: OutboundMessage, number: int, runtime: Runtime) -> Notice:
    row = PolicyRevision.objects.get(number=number)
    second = Proposal.objects.filter(base=number - 1, status=Proposal.Status.PUBLISHED).first()
    found = [str(one) for one in loosenings(_config(number - 1), parse_document(row.document))]
    author = _name(row.author, runtime)
    confirmed = _name(second.ended_by, runtime) if second else ""
    return Notice(
        id=message.pk,
        event=message.event,
        at=message.created_at,
        url=f"{runtime.public_url}/admin/approvals/policyrevision/{number}/change/",
        headline=f"The policy became looser: revision {number} by {author}",
        details=(("Published by", author), ("Confirmed by", confirmed), *_told(found)),
        data=_data(found, author) | {"revision": number, "confirmed_by": confirmed or None},
    )


def _of_proposal(message: OutboundMessage, which: str, runtime: Runtime) -> Notice:
    row = Proposal.objects.get(pk=which)
    author = runtime.policies.reload().outlet("").text(row.display)
    found = [str(one) for one in loosenings(_config(row.base), parse_document(row.document))]
    return Notice(
        id=message.pk,
        event=message.event,
        at=message.created_at,
        url=f"{runtime.public_url}/admin/approvals/configitem/proposals/{row.pk}/",
        headline=f"A publication of {author} waits for a second admin",
        details=(("Proposed by", author), ("It is", row.get_status_display()), *_told(found)),
        data=_data(found, author) | {"proposal": row.pk, "status": row.status, "base": row.base},
    )


def _config(number: int) -> Config:
    row = PolicyRevision.objects.filter(number=number).first()
    return parse_document(row.document if row else None)


def _name(author: str, runtime: Runtime) -> str:
    """Return who published: a person by name, otherwise the account or command; masked."""
    person = people_with([author]).first()
    return runtime.policies.reload().outlet("").text(str(person) if person else author)


def _told(found: Sequence[str]) -> list[tuple[str, str]]:
    told = [("Looser", one) for one in found[:MOST_TOLD]]
    rest = len(found) - len(told)
    return [*told, ("And", f"{rest} more")] if rest else told


def _data(found: Sequence[str], author: str) -> dict[str, Any]:
    return {"author": author, "loosens": list(found)}
