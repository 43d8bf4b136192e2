"""What the policy is asked and what it answers. Values only: no Django, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from approvals.config.channels import Route
from approvals.config.hints import Hints
from approvals.config.identity import Kind
from approvals.config.rules import Remember, Way
from approvals.rules.emergency import Emergency
from approvals.rules.matching import Globs
from approvals.rules.quorum import Quorum
from approvals.rules.timetable import Timetable

Action = Literal["allow", "deny", "hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """The other accounts of a caller, as configuration and database know them at one moment."""

    accounts: frozenset[str]
    """The caller's own and those linked to it now: what gives a right looks here."""
    refusing: frozenset[str]
    """These, those of links that ended lately, and those of an equal verified address: what refuses looks here."""
    addresses: frozenset[str]
    """Keyed digests of the verified e-mail addresses of all of them."""
    stands_in_for: tuple[Caller, ...] = ()
    """People who are away and let the caller decide in their place at this moment, with their own ties; these stand in
    for nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The authenticated principal behind a call, as identity established it from a verified token."""

    iss: str
    sub: str
    kind: Kind
    groups: frozenset[str] = frozenset()
    """Local names and `<issuer name>/<group>`."""
    issuer: str = ""
    """The configured name of the issuer."""
    run: tuple[tuple[str, str], ...] = ()
    """The run claims of a CI job, part of what an approval is bound to."""
    person: str | None = None
    """`iss|sub` of the human being behind a CI job, where the configuration links it to another account."""
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of the claims that rules look at, each with its texts; none for a claim that the token has not."""
    starter: str | None = None
    """`iss|sub` of who started a CI job, as the token says; nobody may know whose account that is."""
    owned_by: tuple[str, ...] = ()
    """Local groups answerable for a CI identity."""
    display: str = ""
    email: str | None = None
    """Only ever a verified address."""
    ties: Ties | None = field(default=None, repr=False, compare=False)
    """Looked up where somebody decides, see `approvals.ties`; never of a caller of the data path."""

    windows: tuple[Window, ...] = ()
    """Where they have access for a while; empty until it was looked up."""

    @property
    def key(self) -> str:
        """`iss|sub`, the account form used in groups, people and rules."""
        return f"{self.iss}|{self.sub}"

    def with_groups(self, groups: frozenset[str]) -> Caller:
        """Return the same caller in these groups instead."""
        return replace(self, groups=groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Access to one connection for a while, which people gave to one caller (and run) who asked for it."""

    id: str
    """Of the approved request."""
    connection: str
    tools: Globs = field(compare=False)
    fingerprint: str
    """Of the terms on which it was given; where the connection has others now, it opens nothing."""
    ends_with_session: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One MCP request to be judged: `name` is the tool, URI or prompt; `arguments` is parsed JSON."""

    caller: Caller
    connection: str
    method: str
    name: str
    arguments: Any = None
    hints: Hints = field(default_factory=dict)
    """What the tool says of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalTerms:
    """All that the hold step needs, in seconds. Where several rules hold a call, the strictest of each."""

    rule: str
    """The first of `rules`, or empty when the connection's default holds."""
    rules: tuple[str, ...]
    require: Quorum
    expires_after: int
    collect_within: int
    comment: Literal["optional", "required", "required_on_deny"]
    reason: Literal["optional", "required"]
    decide_in: tuple[Way, ...]
    mfa: Literal["optional", "required"]
    delegation: Literal["allowed", "forbidden"]
    message: str
    timetable: Timetable
    notify: tuple[Route, ...] = ()
    """Whom to tell; no part of what a decision is bound to."""
    remember: Remember | None = None
    """What an approver may remember at most."""
    emergency: Emergency | None = None
    """Who may approve alone in an emergency."""
    reveal_to: frozenset[str] = frozenset()
    """Which groups of approvers may see a hidden argument, for a reason."""
    fingerprint: str
    """Hex digest of the holding rules as written: equal fingerprints mean the same rules, unchanged."""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, to be stored with the request; `Quorum.parse` reads `require` back."""
        return {
            "rule": self.rule,
            "rules": list(self.rules),
            "require": self.require.document(),
            "expires_after": self.expires_after,
            "collect_within": self.collect_within,
            "comment": self.comment,
            "reason": self.reason,
            "decide_in": list(self.decide_in),
            "mfa": self.mfa,
            "delegation": self.delegation,
            "message": self.message,
            "notify": [route.document() for route in self.notify],
            **self.timetable.document(),
            "remember": self.remember and self.remember.model_dump(mode="json"),
            "break_glass": self.emergency and self.emergency.document(),
            "reveal_to": sorted(self.reveal_to),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoken:
    rules: tuple[str, ...] = ()
    """Every enforced rule that matched, by name in alphabetical order."""
    would: Action | None = None
    """What the verdict had been, had everything in observe mode been enforced; None when it is the same."""
    observed: tuple[str, ...] = ()
    """Rules in observe mode that matched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow(_Spoken):
    """The call may be forwarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(_Spoken):
    """The call must not be forwarded. `rule` is empty unless `by` is "rule"."""

    rule: str = ""
    message: str
    reason: Literal["blocked", "forbidden", "reason_required", "rate_limited", "tool_changed"] = "blocked"
    by: Literal["connection", "tool", "rule", "default"] = "rule"
    """connection: no access or no such connection (403, same text); tool: outside access.tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(_Spoken):
    """People must decide first, on these terms."""

    terms: ApprovalTerms

    @property
    def rule(self) -> str:
        """The rule that holds, or empty when the connection's default does."""
        return self.terms.rule


Verdict = Allow | Block | Hold
