"""What a list of sessions is narrowed to, as people and programs ask for it, and what comes of it.

Auditors and admins search all calls; everybody else searches their own. Words of arguments are searched by whoever may
read them: an auditor, or a caller among their own. That somebody searched the calls of others is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from django.db.models import Q

from approvals import keys
from approvals.models import Person
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.ties import linked
from sessions import selectors
from sessions.events import Event
from sessions.search import calls
from sessions.search.calls import Found, Wanted
from sessions.search.index import OUTCOMES, VERDICTS

if TYPE_CHECKING:
    from approvals.config.schema import Config
    from approvals.policy import Policy
    from approvals.verdicts import Caller
    from sessions.models import RecordedCall

MAX_TEXT: Final = 200
_PSEUDONYM: Final = frozenset("0123456789abcdef")
# Answered by the sessions themselves, at once; everything else by the index of calls, which follows the log.
_OF_SESSIONS: Final = {"connection", "caller"}


class Unfit(ValueError):
    """A filter cannot be used so; `name` is which, the text says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked for, as it was written; empty is anything. `q` is words of arguments."""

    connection: str = ""
    caller: str = ""
    person: str = ""
    tool: str = ""
    verdict: str = ""
    outcome: str = ""
    rule: str = ""
    masked: str = ""
    exposed: str = ""
    since: str = ""
    until: str = ""
    q: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read a query. PostgreSQL takes no NUL in a text, and nothing that is kept has one."""
        given = {name: query.get(name, "").strip()[:MAX_TEXT] for name in NAMES}
        return cls(**{name: value for name, value in given.items() if "\0" not in value})

    @property
    def given(self) -> dict[str, str]:
        """What was asked for, by name."""
        return {name: value for name in NAMES if (value := getattr(self, name))}

    @property
    def query(self) -> str:
        """Return the query of everything, to be put behind another parameter; empty for nothing."""
        return urlencode(self.given)

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Name, value, and the query without it."""
        given = self.given
        return [
            (name, value, urlencode({key: one for key, one in given.items() if key != name}))
            for name, value in given.items()
        ]


NAMES: Final = tuple(field.name for field in fields(Search))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of sessions, what the next one is asked by (empty at the end), and how many calls fit, if that was asked.

    `is_all` is false where the count stopped at its cap.
    """

    found: list[Found]
    following: str
    calls: int | None = None
    is_all: bool = True


def reads_all(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may list the sessions of others."""
    return bool(roles_of(caller, policy) & {"auditor", "admin"})


def may_search_words(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may search what calls carried: who may read it may."""
    return not reads_all(caller, policy) or "auditor" in roles_of(caller, policy)


def page(search: Search, caller: Caller, policy: Policy, *, cursor: str = "", limit: int = 50) -> Page:
    """Return a page of the sessions that this person may see and that fit.

    Raises Unfit, selectors.CursorInvalid; RecordUnavailable when it could not be recorded that others' were searched.
    """
    wanted = _wanted(search, caller, policy)
    if not search.given.keys() - _OF_SESSIONS:
        own = {wanted.own} if wanted.own else None
        actors = own if wanted.actors is None else set(wanted.actors) & (own or set(wanted.actors))
        rows, following = selectors.recorded_sessions(
            cursor=cursor, limit=limit, connection=search.connection, actors=actors
        )
        return Page([Found(row) for row in rows], following or "")
    before = _before(cursor)
    if not wanted.own:
        _record(search, caller, policy)
    found, after = calls.sessions_with(wanted, before=before, limit=limit)
    number, is_all = calls.count(wanted) if not cursor else (None, True)
    return Page(found, str(after or ""), number, is_all)


def calls_page(
    search: Search, caller: Caller, policy: Policy, *, cursor: str = "", limit: int = 50
) -> tuple[list[RecordedCall], str]:
    """Return a page of the calls that this person may see and that fit, and what the next one is asked by.

    Raises what `page` raises.
    """
    wanted, before = _wanted(search, caller, policy), _before(cursor)
    if not wanted.own:
        _record(search, caller, policy)
    rows, after = calls.calls_of(wanted, before=before, limit=limit)
    return rows, str(after or "")


def _before(cursor: str) -> int:
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20 and int(cursor) < 2**63):
        msg = "not a cursor of this list"
        raise selectors.CursorInvalid(msg)
    return int(cursor or 0)


def _wanted(search: Search, caller: Caller, policy: Policy) -> Wanted:
    if search.q and not may_search_words(caller, policy):
        raise Unfit("q", "An admin does not see what calls carried, and so cannot search it.")
    for name, known in (("verdict", VERDICTS), ("outcome", OUTCOMES)):
        if (value := getattr(search, name)) and value not in known:
            raise Unfit(name, f"must be one of {', '.join(known)}")
    actors: set[str] | None = None
    for name in ("caller", "person"):
        if value := getattr(search, name):
            named = _actors(value, policy.config, whole_person=name == "person")
            actors = named if actors is None else actors & named
    return Wanted(
        own="" if reads_all(caller, policy) else keys.actor(caller.key),
        actors=None if actors is None else tuple(sorted(actors)),
        since=moment("since", search.since),
        until=moment("until", search.until),
        text=search.q,
        **{name: getattr(search, name) for name in _PLAIN},
    )


_PLAIN: Final = ("connection", "tool", "verdict", "outcome", "rule", "masked", "exposed")


def moment(name: str, text: str) -> datetime | None:
    """Return a time that was asked for: RFC 3339, or a date or a time of UTC without an offset. Raises Unfit."""
    if not text:
        return None
    try:
        return selectors.utc(datetime.fromisoformat(text))
    except ValueError:
        raise Unfit(name, "must be a date such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z") from None


def _actors(text: str, config: Config, *, whole_person: bool) -> set[str]:
    """Return the pseudonyms of the accounts that a text names: a pseudonym, iss|sub, a subject, a name, an address.

    `whole_person`: and of every account that is linked to one of them.
    """
    if len(text) == 32 and _PSEUDONYM.issuperset(text) and not whole_person:
        return {text}
    accounts = {text} if "|" in text else {f"{issuer.issuer}|{text}" for issuer in config.issuers}
    accounts.update(one for person in config.people if person.name == text for one in person.accounts)
    known = Person.objects.filter(Q(email__iexact=text) | Q(display=text) | Q(sub=text)).values_list("iss", "sub")
    accounts.update(f"{iss}|{sub}" for iss, sub in known)
    if whole_person:
        accounts = linked(accounts, config)
    return {keys.actor(account) for account in accounts}


def _record(search: Search, caller: Caller, policy: Policy) -> None:
    """Record that somebody searches the calls of others: by what, and the words themselves where they can be erased."""
    snapshot = runtime().policies.current
    outlet = snapshot.outlet("")
    told: dict[str, Any] = dict(search.given)
    event = Event(
        kind="record.searched",
        actor=keys.actor(caller.key),
        policy_revision=policy.revision,
        policy_digest=policy.digest,
        facts={"filters": sorted(told)},
        payloads={"search": outlet.value_for_record(told)},
    )
    runtime().journal.append_now(event)
