"""Who may call and who may decide: issuers, local groups, people, roles."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from approvals.config.values import Duration, Flag, Line, Lines, Name, Patterns, Strict, distinct, problem

Kind = Literal["person", "agent", "ci"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Only signatures that a holder of the public key cannot make; a token never chooses.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Claims = Annotated[dict[Line, Patterns], Field(min_length=1)]

_SLACK = re.compile(r"slack:[A-Za-z0-9]+/[A-Za-z0-9]+\Z")
_EMAIL = re.compile(r"[^@\s|]+@[^@\s|]+\Z")


def web_address(value: str) -> str:
    """Return an absolute http(s) address without user name, password or fragment; else raise."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        sound, parts = False, urlsplit("")
    if not sound or any(character.isspace() for character in value):
        raise problem("must be an absolute http or https address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise problem("must not carry a user name, a password or a fragment")
    return value


def _keys_address(value: str) -> str:
    if value.startswith("file:"):
        if not value.startswith("file:/") or value.endswith("/"):
            raise problem("must name a file by its absolute path, as in file:/etc/holdgate/jwks.json")
        return value
    return web_address(value)


def _account(value: str) -> str:
    issuer, separator, subject = value.partition("|")
    if not ((separator and issuer and subject) or _SLACK.match(value)):
        raise problem("must be iss|sub or slack:TEAM/USER")
    return value


def _member(value: str) -> str:
    issuer, separator, subject = value.partition("|")
    if not ((separator and issuer and subject) or _EMAIL.match(value)):
        raise problem("must be an e-mail address or iss|sub")
    return value


Account = Annotated[Line, AfterValidator(_account)]
Member = Annotated[Line, AfterValidator(_member)]
WebAddress = Annotated[Line, AfterValidator(web_address)]


class KindOfCaller(Strict):
    """What an issuer's callers are: the default, and claim globs (all must hold) that say otherwise.

    Where several of them hold, the one that may do least counts: ci before agent before person.
    """

    default: Kind = "person"
    person: Claims | None = None
    agent: Claims | None = None
    ci: Claims | None = None


class Issuer(Strict):
    """An issuer of bearer tokens. `groups` turns claims into `<name>/<group>`; of one all must hold."""

    name: Name
    issuer: WebAddress
    audiences: Lines = ()
    strict_audience: Flag = False
    jwks_uri: Annotated[Line, AfterValidator(_keys_address)] | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    kind: KindOfCaller = KindOfCaller()
    groups_claim: Line | None = None
    groups: dict[Line, Claims] = {}
    login: Flag = False
    groups_max_age: Duration = 12 * 3600
    run_claims: Annotated[Lines, AfterValidator(distinct("claim"))] = ()
    person_claim: Line | None = None
    owned_by: Lines = ()
    trust_email: Flag = False


class Group(Strict):
    """A local group: verified e-mail addresses of people who sign in, or iss|sub."""

    members: Annotated[tuple[Member, ...], AfterValidator(distinct("member"))] = ()


class Person(Strict):
    """Accounts that are one human being, for refusing and for allowing."""

    name: Line
    accounts: Annotated[tuple[Account, ...], Field(min_length=1), AfterValidator(distinct("account"))]


class Roles(Strict):
    """Groups whose members may configure (admin) or read what was recorded (auditor)."""

    admin: Lines = ()
    auditor: Lines = ()


def unique_people(people: tuple[Person, ...]) -> tuple[Person, ...]:
    """Refuse two people of one name, and an account that belongs to two people."""
    seen: dict[str, str] = {}
    for index, person in enumerate(people):
        for key in (f"name {person.name}", *(f"account {account}" for account in person.accounts)):
            if key in seen:
                raise problem(f"the {key} stands twice", str(index))
            seen[key] = person.name
    return people
