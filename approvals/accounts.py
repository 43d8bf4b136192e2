"""Whose account is it, and how an account comes to be somebody's: offers, invitations, claims, and their end.

A person links with a one-time token, of which the digest alone is kept. Nothing here takes an account from anybody: one
that is somebody else's already is refused until they let go of it. Each link and its end is one transaction with its
record entry.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from approvals import keys
from approvals.database import database_now
from approvals.models import AccountLink, LinkCode, Person
from approvals.runtime import runtime as this_process
from approvals.ties import STANDING, linked, people_with
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.db.models import QuerySet

    from approvals.config.schema import Config
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller

CODE_LIVES = timedelta(minutes=15)
# So long may the maker of an invitation take to agree to the job that showed it.
CONFIRM_WITHIN = timedelta(hours=1)
# A link that ended refuses for so long: who lets go of an account must not be free to decide what it asks the next day.
FORMER_REFUSES = timedelta(days=90)
_TAKEN = "This account is linked to somebody else. They, or an admin, must let go of it first."
UNKNOWN_CODE = "This link is unknown, used up or too old. Make a new one."


@dataclass(frozen=True, slots=True)
class Linked:
    """The account belongs to the person now."""

    link: AccountLink


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job showed the code; whoever made it must still agree."""

    account: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was linked; the reason is for people to read."""

    reason: str


def person_of(account: str, config: Config) -> Person | None:
    """Return the person whose account this is (`iss|sub` or `slack:TEAM/USER`), or None when that is not known.

    Somebody who signs in with it, or to whom it is linked now. None also where links and configuration name different
    people. The person may be switched off: `standing.caller_of` gives them no group then.
    """
    if own := _person(account):
        return own
    link = AccountLink.objects.filter(STANDING, account=account).first()
    holder = _person(link.holder) if link else None
    told = next((entry.accounts for entry in config.people if account in entry.accounts), ())
    # Who is one human being by the configuration may sign in under several accounts: the first that did.
    named = [found for other in told if (found := _person(other))]
    if holder is None or not named:
        return holder or next(iter(named), None)
    return holder if holder in named else None


def is_claimed(account: str, config: Config) -> bool:
    """Say whether a link or the configuration says whose the account is, also where they do not agree."""
    linked = AccountLink.objects.filter(STANDING, account=account).exists()
    return linked or any(account in entry.accounts for entry in config.people)


def person_by_email(email: str, config: Config) -> Person | None:
    """Return the one active person who signs in with this verified address; None when there is none, or several.

    An address is a weak tie: only for a channel that the configuration tells to match by it.
    """
    logins = [issuer.issuer for issuer in config.issuers if issuer.login]
    found = list(Person.objects.filter(email__iexact=email.strip(), iss__in=logins, is_active=True)[:2])
    return found[0] if len(found) == 1 and email.strip() else None


def offer_link(account: str, display: str) -> str:
    """Return the address of a page where a signed-in person can take this account (`slack:TEAM/USER`) for theirs, once.

    For whoever knows that the account itself asks, and tells the address to nobody else; within 15 minutes. `display`
    is how the page shows whose account it is.
    """
    return _page_of(_code(account=account, display=_legible(display)))


def invite_account(person: Person) -> str:
    """Return a one-time code by which another account of this person is linked to them; earlier ones are void.

    Another sign-in opens it as `link_page(code)`; a CI job shows it to the API. It lives for 15 minutes.
    """
    LinkCode.objects.filter(holder=person.key, used_at=None, claimed_at=None).delete()
    return _code(holder=person.key, display=_legible(str(person)))


def link_page(code: str) -> str:
    """Return the address of the page of a code."""
    return _page_of(code)


def peek(code: str) -> LinkCode | None:
    """Return the offer or invitation of a code without using it up; None when it is of no use any more."""
    return _usable(digest(code)).filter(claimed_at=None).first()


def accept_link(runtime: Runtime, code: str, person: Person) -> Linked | Refused:
    """Use a code up: the offered account is this person's, or this person's account is the inviter's.

    `person` is signed in and has agreed. Raises RecordUnavailable.
    """

    def work() -> tuple[Linked | Refused, Sequence[Event]]:
        found = peek(code)
        if found is None:
            return Refused(UNKNOWN_CODE), ()
        account, holder = (found.account, person.key) if not found.holder else (person.key, found.holder)
        display = found.display if not found.holder else _legible(str(person))
        return _link(runtime, found, account, holder, display=display, by=person.key, method=AccountLink.Method.TOKEN)

    return runtime.journal.transact_now(work)


def claim_code(runtime: Runtime, code: str, caller: Caller) -> Claimed | Refused:
    """Note that a CI job, proven by its own token, showed an invitation: its starter's account wants to be linked.

    Nothing is linked before the inviter agrees, for a code in a job's log is read by others. Raises RecordUnavailable.
    """
    account = caller.starter or ""
    if caller.kind != "ci" or not account:
        return Refused("Only a CI job whose token names who started it (`person_claim`) can show a code.")

    def work() -> tuple[Claimed | Refused, Sequence[Event]]:
        now = database_now()
        mine = _usable(digest(code)).filter(claimed_at=None).exclude(holder="")
        shown = _legible(", ".join(dict.fromkeys((caller.display, caller.sub))))
        if mine.update(account=account, display=shown, claimed_at=now, expires_at=now + CONFIRM_WITHIN) != 1:
            return Refused(UNKNOWN_CODE), ()
        return Claimed(account), ()

    return runtime.journal.transact_now(work)


def claims_of(person: Person) -> list[LinkCode]:
    """Return the accounts of jobs that showed a code of this person and wait for them to agree."""
    rows = LinkCode.objects.filter(holder=person.key, used_at=None, expires_at__gt=database_now())
    return list(rows.exclude(claimed_at=None))


def agree(runtime: Runtime, code_digest: str, person: Person) -> Linked | Refused:
    """Link the account whose job showed a code of this person's. Raises RecordUnavailable."""

    def work() -> tuple[Linked | Refused, Sequence[Event]]:
        found = _usable(code_digest).filter(holder=person.key).exclude(claimed_at=None).first()
        if found is None:
            return Refused(UNKNOWN_CODE), ()
        job = AccountLink.Method.JOB
        return _link(runtime, found, found.account, person.key, display=found.display, by=person.key, method=job)

    return runtime.journal.transact_now(work)


def decline(code_digest: str, person: Person) -> None:
    """Throw away a code of this person's that a job showed which they do not know."""
    LinkCode.objects.filter(digest=code_digest, holder=person.key, used_at=None).delete()


def sync_claims(runtime: Runtime, person: Person, accounts: Mapping[str, str]) -> None:
    """Make this person's links by claim equal to what the provider just said: accounts, each with how it is shown.

    An account that is somebody else's stays theirs, and that is recorded. Raises RecordUnavailable.
    """
    claim = AccountLink.Method.CLAIM
    known = AccountLink.objects.filter(STANDING, holder=person.key, method=claim)
    if {link.account for link in known} == accounts.keys():
        return

    def work() -> tuple[None, Sequence[Event]]:
        events: list[Event] = []
        for link in known.exclude(account__in=list(accounts)):
            events += _end(runtime, link, by=person.key)
        theirs = linked({person.key}, runtime.policies.current.policy.config)
        for account in accounts.keys() - theirs:
            shown = _legible(accounts[account])
            _, made = _link(runtime, None, account, person.key, display=shown, by=person.key, method=claim)
            events += made
        return None, events

    runtime.journal.transact_now(work)


def unlink(runtime: Runtime, link_id: str, person: Person) -> Linked | Refused:
    """End a link of this person's. It goes on to refuse for 90 days. Raises RecordUnavailable."""

    def work() -> tuple[Linked | Refused, Sequence[Event]]:
        mine = linked({person.key}, runtime.policies.reload().policy.config)
        link = AccountLink.objects.filter(STANDING, pk=link_id).first()
        if link is None or not {link.account, link.holder} <= mine:
            return Refused("There is no such link of yours."), ()
        if link.method == AccountLink.Method.CLAIM:
            return Refused("Your identity provider says that this account is yours; it must be changed there."), ()
        return Linked(link), _end(runtime, link, by=person.key)

    return runtime.journal.transact_now(work)


def end(runtime: Runtime, link: AccountLink, *, by: str) -> None:
    """End a link for an admin (`iss|sub`), such as that of somebody who left; it goes on to refuse like every other.

    Raises RecordUnavailable.
    """
    runtime.journal.transact_now(lambda: (None, _end(runtime, link, by=by)))


def forget_old_codes() -> None:
    """Delete the codes that nobody can use any more."""
    LinkCode.objects.filter(expires_at__lt=database_now() - timedelta(days=1)).delete()


def digest(code: str) -> str:
    """Return that by which a code is known here."""
    return hashlib.sha256(code.encode()).hexdigest()


def _usable(code_digest: str) -> QuerySet[LinkCode]:
    return LinkCode.objects.filter(digest=code_digest, used_at=None, expires_at__gt=database_now())


def _code(**known: str) -> str:
    code = secrets.token_urlsafe(32)
    LinkCode.objects.create(digest=digest(code), expires_at=database_now() + CODE_LIVES, **known)
    return code


def _page_of(code: str) -> str:
    return f"{settings.PUBLIC_URL}/me/accounts/link/{code}/"


def _legible(text: str) -> str:
    """Return a name from outside as it is kept: masked, without what cannot be seen, and short."""
    seen = "".join(character if character.isprintable() else " " for character in text)
    return this_process().policies.current.outlet("").text(seen)[:200]


def _person(account: str) -> Person | None:
    return people_with([account]).first()


def _link(
    runtime: Runtime, code: LinkCode | None, account: str, holder: str, *, display: str, by: str, method: str
) -> tuple[Linked | Refused, Sequence[Event]]:
    """Make the link and use its code up, or say why not. Runs inside the record's transaction."""
    snapshot = runtime.policies.reload()
    now = database_now()
    if reason := _why_not(account, holder, snapshot.policy.config):
        return Refused(reason), [_entry("link_refused", snapshot, account, holder, by, method)]
    if code is not None and _usable(code.digest).update(used_at=now) != 1:
        return Refused(UNKNOWN_CODE), ()
    link = AccountLink(account=account, holder=holder, display=display, method=method, made_by=by, made_at=now)
    AccountLink.objects.bulk_create([link], ignore_conflicts=True)
    if not AccountLink.objects.filter(pk=link.pk).exists():  # somebody was faster
        return Refused(_TAKEN), ()
    return Linked(link), [_entry("linked", snapshot, account, holder, by, method)]


def _why_not(account: str, holder: str, config: Config) -> str:
    """Return why this account cannot be linked to this person; empty when it can."""
    person = _person(holder)
    if person is None or not person.is_active:
        return "The account that made this link is switched off."
    if account in linked({holder}, config):
        return "This account is yours already."
    others = linked({account}, config) - {account}
    held = AccountLink.objects.filter(STANDING, account=account).exists()
    told = any(account in entry.accounts for entry in config.people)
    return _TAKEN if held or (told and others) else ""


def _end(runtime: Runtime, link: AccountLink, *, by: str) -> Sequence[Event]:
    now = database_now()
    ending = AccountLink.objects.filter(STANDING, pk=link.pk)
    if ending.update(ended_at=now, ended_by=by, refuses_until=now + FORMER_REFUSES) != 1:
        return ()
    return [_entry("unlinked", runtime.policies.current, link.account, link.holder, by, link.method)]


def _entry(what: str, snapshot: Snapshot, account: str, holder: str, by: str, method: str) -> Event:
    """Return the entry `account.<what>`: pseudonyms for good, and the names in a payload that can be erased."""
    names = {"account": account, "holder": holder}
    return Event(
        kind=f"account.{what}",
        actor=keys.actor(by),
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"account": keys.actor(account), "holder": keys.actor(holder), "method": str(method)},
        payloads={"accounts": snapshot.outlet("").value_for_record(names)},
    )
