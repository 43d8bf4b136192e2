"""A second admin for what one admin publishes, where the setting asks for it: propose, confirm, withdraw.

It binds the admin's pages and the API. What an operator applies as a file, at a start or by command, needs nobody: who
may do that holds the database and the keys as well.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.conf import settings

from approvals import alerts
from approvals.config.document import diff, document, document_digest, parse_document
from approvals.database import database_now
from approvals.drafts import replace_drafts
from approvals.eligibility import is_same_person
from approvals.keys import actor
from approvals.proposals import Proposal
from approvals.publication import Published, RevisionConflict, publish, revision_in_transaction
from approvals.rules.loosening import loosenings
from approvals.standing import caller_of
from approvals.ties import people_with, retied
from approvals.verdicts import Caller
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from approvals.config.schema import Config
    from approvals.policy import Policy
    from approvals.runtime import Runtime

log = logging.getLogger("holdgate.policy")

_WAITING = Proposal.Status.WAITING


class SecondPersonNeeded(Exception):
    """One admin alone may not publish this; nothing was changed."""


class NotYours(Exception):
    """This admin may not do that with the proposal; the text says why."""


def guard(old: Config, new: Config) -> None:
    """Raise SecondPersonNeeded where the setting asks for a second admin for this change. For `publish`."""
    asked = settings.FOUR_EYES
    if (asked == "all" and diff(old, new)) or (asked == "loosening" and loosenings(old, new)):
        raise SecondPersonNeeded


def propose(
    house: Runtime,
    make: Callable[[], Config],
    *,
    author: str,
    display: str,
    expected: int | None,
    reverts: int | None = None,
    replaces_drafts: bool = False,
) -> Proposal:
    """Keep a configuration for a second admin, and record that. `make` reads it in the transaction.

    Raises RevisionConflict when the policy moved since `expected`, ConfigError and RecordUnavailable.
    """

    def work() -> tuple[Proposal, Sequence[Event]]:
        number = revision_in_transaction()
        if expected is not None and expected != number:
            raise RevisionConflict(number)
        config = make()
        made = Proposal.objects.create(
            document=document(config),
            base=number,
            author=author,
            display=display[:200],
            reverts=reverts,
            replaces_drafts=replaces_drafts,
            proposed_at=database_now(),
        )
        alerts.of_proposal(made.pk, house.policies.current.policy.config, config)
        return made, (_entry(house, "proposed", made, author, digest=document_digest(config)),)

    made = house.journal.transact_now(work, exclusive=True)
    log.warning("a publication waits for a second admin: proposal %s", made.pk)
    return made


def confirm(house: Runtime, proposal: Proposal, person: Caller) -> Published:
    """Bring a proposal into force as its author's, with the name of who confirmed it in the record.

    That `person` is an admin is asked before. Raises NotYours for its author under whatever account, and once it has
    ended; RevisionConflict when it is stale.
    """
    if reason := why_not(proposal, person, house.policies.reload().policy):
        raise NotYours(reason)

    def prepare() -> Config:
        _end(proposal, Proposal.Status.PUBLISHED, person)
        config = parse_document(proposal.document)
        if proposal.replaces_drafts:
            replace_drafts(config)
        return config

    return publish(
        house.journal,
        house.policies,
        prepare,
        author=proposal.author,
        expected=proposal.base,
        facts={"proposal": proposal.pk, "confirmed_by": actor(person.key)}
        | ({} if proposal.reverts is None else {"reverts": proposal.reverts}),
    )


def withdraw(house: Runtime, proposal: Proposal, person: Caller) -> None:
    """End a proposal without publishing it; every admin may. Raises NotYours once it has ended."""

    def work() -> tuple[None, Sequence[Event]]:
        _end(proposal, Proposal.Status.WITHDRAWN, person)
        return None, (_entry(house, "withdrawn", proposal, person.key),)

    house.journal.transact_now(work)


def why_not(proposal: Proposal, person: Caller, policy: Policy) -> str:
    """Return in plain words why this admin may not confirm the proposal; empty when they may.

    As with requests, every account that is or was linked to the author's counts as the author's, and an equal address.
    """
    if proposal.status != _WAITING:
        return "It has ended."
    me = retied(person, policy)
    author = people_with([proposal.author]).first()
    iss, _, sub = proposal.author.partition("|")
    other = Caller(iss=iss, sub=sub, kind="person") if author is None else caller_of(author, policy)
    return "You proposed this; another admin must confirm it." if is_same_person(me, other) else ""


def _end(proposal: Proposal, status: str, person: Caller) -> None:
    waiting = Proposal.objects.filter(pk=proposal.pk, status=_WAITING)
    if not waiting.update(status=status, ended_by=person.key, ended_at=database_now()):
        raise NotYours("Somebody else has ended it in the meantime.")


def _entry(house: Runtime, what: str, proposal: Proposal, by: str, **facts: str) -> Event:
    snapshot = house.policies.current
    return Event(
        kind=f"policy.{what}",
        actor=actor(by),
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"proposal": proposal.pk, "base": proposal.base, **facts},
        payloads={"document": snapshot.outlet("").for_record(proposal.document.encode())} if what == "proposed" else {},
    )
