"""Verified claims -> Caller: kind, groups, run, the person behind a job. Pure.

Everything here may rest on what the token says, since its signature holds; but groups of an unexpected form
refuse the token rather than being skipped: with a group missing, a rule that denies by group would not speak.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import orjson

from approvals.config.identity import is_account
from approvals.rules.groups import local_groups
from approvals.verdicts import Caller
from proxy.tokens import SignedClaims, TokenRejected

if TYPE_CHECKING:
    from approvals.config.schema import Config, Issuer, Kind

MAX_DISPLAY_LENGTH = 120
MAX_EMAIL_LENGTH = 254
MAX_ACCOUNT_LENGTH = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def caller_of(claims: SignedClaims, issuer: Issuer, config: Config) -> Caller:
    """Return who calls, as the policy sees them; raises TokenRejected for groups of an unexpected form."""
    email = _verified_email(claims, issuer)
    starter = _starter(claims, issuer)
    bare = Caller(
        iss=issuer.issuer,
        sub=claims["sub"],
        kind=_kind(claims, issuer),
        groups=frozenset(_issuer_groups(claims, issuer)),
        run=tuple(_run(claims, issuer)),
        person=starter if starter and _is_linked(starter, config) else None,
        starter=starter,
        owned_by=tuple(issuer.owned_by),
        display=_display(claims, email),
        email=email,
        issuer=issuer.name,
        claims=tuple((name, tuple(_texts(_find(claims, name)))) for name in config.claims_asked),
    )
    return replace(bare, groups=bare.groups | local_groups(config, bare))


def _kind(claims: SignedClaims, issuer: Issuer) -> Kind:
    # Where several fit, the kind that may do least: only a person can vote.
    if _holds(issuer.kind.ci, claims):
        return "ci"
    if _holds(issuer.kind.agent, claims):
        return "agent"
    return "person" if _holds(issuer.kind.person, claims) else issuer.kind.default


def _issuer_groups(claims: SignedClaims, issuer: Issuer) -> Iterator[str]:
    named = _named_groups(claims, issuer.groups_claim) if issuer.groups_claim else []
    mapped = (group for group, wanted in issuer.groups.items() if _holds(wanted, claims))
    yield from (f"{issuer.name}/{group}" for group in (*named, *mapped))


def _named_groups(claims: SignedClaims, path: str) -> Sequence[str]:
    """Return the groups that the token names: a list, or one text, as some providers send."""
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, Mapping) and path in elsewhere:
        # OpenID Connect Core §5.6.2; what a directory does when somebody is in too many groups for a token.
        raise TokenRejected("The token does not list its groups.", f"{path} is a distributed claim")
    value = _find(claims, path)
    named = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(_is_plain(group) for group in named):
        raise TokenRejected("The token's groups are not usable.", f"{path} is not a list of plain texts")
    return named


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value != "" and _CONTROL.search(value) is None


def _run(claims: SignedClaims, issuer: Issuer) -> Iterator[tuple[str, str]]:
    """Yield the run claims that the token has, in the order of the configuration, each as text."""
    for name in issuer.run_claims:
        value = _find(claims, name)
        if value is not None:
            yield (
                name,
                value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode(),
            )


def accounts_of(claims: SignedClaims, issuer: Issuer) -> dict[str, str]:
    """Return the further accounts that the issuer says are this person's, each with how to show it (`account_claims`).

    A claim may be one value or a list of them; what does not make an account is none.
    """
    found = {}
    for name, pattern in issuer.account_claims.items():
        value = _find(claims, name)
        for one in value if isinstance(value, list) else [value]:
            account = pattern.replace("*", str(one))
            plain = (isinstance(one, int) and not isinstance(one, bool)) or _is_plain(one)
            if plain and is_account(account) and len(account) <= MAX_ACCOUNT_LENGTH:
                found[account] = f"{name} {one}"
    return found


def _starter(claims: SignedClaims, issuer: Issuer) -> str | None:
    """Return the account (`iss|value`) of the person who started the job."""
    value = _find(claims, issuer.person_claim) if issuer.person_claim else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    account = f"{issuer.issuer}|{value}"
    return account if len(account) <= MAX_ACCOUNT_LENGTH else None


def _is_linked(account: str, config: Config) -> bool:
    """Say whether `people` links the account to another one.

    One that is linked to none could be anybody's; then nobody could be refused for having started the job, so who
    started it counts as unknown and the owners of the CI identity answer for it. A link in the database counts as well,
    and is looked up where the call is held.
    """
    return any(account in person.accounts and len(person.accounts) > 1 for person in config.people)


def _verified_email(claims: SignedClaims, issuer: Issuer) -> str | None:
    email = claims.get("email")
    # Some providers send the flag as text.
    verified = issuer.trust_email or claims.get("email_verified") in (True, "true")
    if not verified or not isinstance(email, str) or len(email) > MAX_EMAIL_LENGTH:
        return None
    email = email.strip()
    return email if email.count("@") == 1 and email.isprintable() and " " not in email else None


def _display(claims: SignedClaims, email: str | None) -> str:
    """Return a name for people to read; it proves nothing and is shown beside `iss|sub`."""
    candidates = (claims.get("name"), claims.get("preferred_username"), email, claims["sub"])
    shown = (_visible(text) for text in candidates if isinstance(text, str))
    return next(text for text in shown if text)[:MAX_DISPLAY_LENGTH]


def _visible(text: str) -> str:
    # Invisible characters and changes of writing direction could make one name look like another.
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _holds(wanted: Mapping[str, Sequence[str]] | None, claims: SignedClaims) -> bool:
    """Say whether every named claim fits one of its globs; nothing wanted never holds."""
    return bool(wanted) and all(
        any(_fits(text, pattern) for text in _texts(_find(claims, name)) for pattern in patterns)
        for name, patterns in (wanted or {}).items()
    )


def _fits(text: str, pattern: str) -> bool:
    # Exact in case, unlike the globs of rules: these give rights, and `refs/heads/Main` is another branch
    # than `refs/heads/main`. `*` and `?` are all there is; fnmatch would read `[` as a set.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _texts(value: object) -> list[str]:
    """Return a claim's value, or the members of a list, as texts to compare; what is neither fits nothing."""
    if isinstance(value, list):
        return [text for member in value if not isinstance(member, list) for text in _texts(member)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)] if isinstance(value, str | int) else []


def _find(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim of this name, or at this path of names joined by dots; None when there is none.

    A name may hold dots itself (`kubernetes.io.namespace`, `https://example.com/groups`): try each split.
    """
    if path in claims:
        return claims[path]
    for dot in (found.start() for found in re.finditer(r"\.", path)):
        inner = claims.get(path[:dot])
        value = _find(inner, path[dot + 1 :]) if isinstance(inner, Mapping) else None
        if value is not None:
            return value
    return None
