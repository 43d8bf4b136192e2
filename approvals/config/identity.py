"""Who may call and who may decide: issuers, local groups, people, roles."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from approvals.config.values import Duration, Flag, Line, Lines, Name, Patterns, Strict, distinct, problem

Kind = Literal["person", "agent", "ci"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Only signatures that a holder of the public key cannot make; a token never chooses.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Claims = Annotated[dict[Line, Patterns], Field(min_length=1)]

# Keys of an issuer that mean nothing where there are no tokens.
_OF_TOKENS = (
    "audiences",
    "strict_audience",
    "jwks_uri",
    "algorithms",
    "kind",
    "run_claims",
    "person_claim",
    "owned_by",
)
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


def _metadata_address(value: str) -> str:
    if value.startswith("file:"):
        if not value.startswith("file:/") or value.endswith("/"):
            raise problem("must name a file by its absolute path, as in file:/etc/holdgate/corp.xml")
        return value
    return web_address(value)


def _issuer_id(value: str) -> str:
    return value if value.startswith("urn:") and "|" not in value else web_address(value)


def _account(value: str) -> str:
    if not is_account(value):
        raise problem("must be iss|sub or slack:TEAM/USER")
    return value


def is_account(value: str) -> bool:
    """Say whether this text is an account, as people and links name it."""
    issuer, separator, subject = value.partition("|")
    return bool((separator and issuer and subject) or _SLACK.match(value))


def _member(value: str) -> str:
    issuer, separator, subject = value.partition("|")
    if not ((separator and issuer and subject) or _EMAIL.match(value)):
        raise problem("must be an e-mail address or iss|sub")
    return value


def _account_pattern(value: str) -> str:
    prefix, star, rest = value.partition("*")
    issuer, separator, subject = prefix.partition("|")
    slack = re.match(r"slack:([A-Za-z0-9]+/)?\Z", prefix)
    if not star or rest or not (slack or (separator and issuer and not subject)):
        raise problem("must be an account whose end is *, as in slack:TEAM/* or https://gitlab.com|*")
    return value


Account = Annotated[Line, AfterValidator(_account)]
AccountPattern = Annotated[Line, AfterValidator(_account_pattern)]
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


class SecondFactor(Strict):
    """What shows that a second factor was used: any of these in `amr`, or this `acr`; and which `acr` to ask for.

    By default of RFC 8176 what cannot be a first factor by itself or takes a thing one has; not `sms` and `tel`.
    """

    amr: Lines = ("mfa", "mca", "otp", "hwk", "swk", "sc", "fido", "face", "fpt", "iris", "retina", "vbm")
    acr: Lines = (
        "phr",
        "phrh",
        "https://refeds.org/profile/mfa",
        "http://schemas.openid.net/pape/policies/2007/06/multi-factor",
    )
    ask: Lines = ()


class Saml(Strict):
    """How people sign in by SAML 2.0 at an issuer, whose `issuer` is its entity id. The texts name attributes.

    Without `subject` a person is the persistent NameID.
    """

    metadata: Annotated[Line, AfterValidator(_metadata_address)]
    subject: Line | None = None
    email: Line = "mail"
    display: Line = "displayName"
    unsolicited: Flag = False

    @model_validator(mode="after")
    def _no_address(self) -> Self:
        if self.subject == self.email:
            raise problem("must not be the e-mail address, which is given to somebody else one day", "subject")
        return self


class Issuer(Strict):
    """An issuer of bearer tokens, or of SAML assertions.

    `groups` turns claims or attributes into `<name>/<group>`; of one all must hold. `account_claims` turns them into
    further accounts of who signs in: `*` stands for the claim's value.
    """

    name: Name
    issuer: Annotated[Line, AfterValidator(_issuer_id)]
    audiences: Lines = ()
    strict_audience: Flag = False
    jwks_uri: Annotated[Line, AfterValidator(_keys_address)] | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    kind: KindOfCaller = KindOfCaller()
    groups_claim: Line | None = None
    groups: dict[Line, Claims] = {}
    login: Flag = False
    groups_max_age: Duration = 12 * 3600
    second_factor: SecondFactor | None = None
    run_claims: Annotated[Lines, AfterValidator(distinct("claim"))] = ()
    person_claim: Line | None = None
    owned_by: Lines = ()
    trust_email: Flag = False
    account_claims: dict[Line, AccountPattern] = {}
    saml: Saml | None = None

    @model_validator(mode="after")
    def _claims_of_people(self) -> Self:
        if self.account_claims and not self.login:
            raise problem("belongs to issuers with login: true, for it is read at a sign-in", "account_claims")
        return self

    @model_validator(mode="after")
    def _one_protocol(self) -> Self:
        if self.saml is None:
            if self.issuer.startswith("urn:"):
                raise problem("must be an absolute http or https address", "issuer")
            return self
        if not self.login:
            raise problem("needs login: true beside it", "saml")
        for key in _OF_TOKENS:
            if getattr(self, key) != type(self).model_fields[key].get_default():
                raise problem("belongs to issuers of tokens, and this one speaks SAML", key)
        return self

    @property
    def factors(self) -> SecondFactor:
        """What shows a second factor here, written or by default."""
        return self.second_factor or SecondFactor()


class Group(Strict):
    """A local group: verified e-mail addresses of people who sign in, or iss|sub."""

    members: Annotated[tuple[Member, ...], AfterValidator(distinct("member"))] = ()


class Person(Strict):
    """Accounts that are one human being, for refusing and for allowing."""

    name: Line
    accounts: Annotated[tuple[Account, ...], Field(min_length=1), AfterValidator(distinct("account"))]


class Roles(Strict):
    """Groups whose members may configure (admin), read what was recorded (auditor), or keep it running (operator)."""

    admin: Lines = ()
    auditor: Lines = ()
    operator: Lines = ()


def unique_people(people: tuple[Person, ...]) -> tuple[Person, ...]:
    """Refuse two people of one name, and an account that belongs to two people."""
    seen: dict[str, str] = {}
    for index, person in enumerate(people):
        for key in (f"name {person.name}", *(f"account {account}" for account in person.accounts)):
            if key in seen:
                raise problem(f"the {key} stands twice", str(index))
            seen[key] = person.name
    return people
