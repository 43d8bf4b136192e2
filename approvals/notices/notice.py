"""One event of one request as it may leave the gateway: masked for everybody, cut, with nothing invisible in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from approvals.legible import Piece, fields, pieces
from approvals.states import Status
from masking.engine import MaskingFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from approvals.models import ApprovalRequest
    from approvals.outlet import Outlet

LONGEST_LINE: Final = 200
LONGEST_REASON: Final = 1_000
VOTES: Final = 5
LONGEST_ARGUMENTS: Final = 2_000
HIDDEN: Final = b'"[could not be masked]"'
# What asks somebody to decide; once the request is decided, nobody needs to hear it any more.
ASKING: Final = frozenset({"requested", "reminded", "escalated", "nudged"})
# Of interest to a program that follows a request; people would be disturbed by them.
QUIET: Final = frozenset({"voted", "seen", "executing", "executed", "resolved", "delivered"})
TITLES: Final = {
    "requested": "Approval needed",
    "reminded": "Still waiting for approval",
    "escalated": "Escalated, approval needed",
    "nudged": "The requester asks again",
    "approved": "Approved",
    "denied": "Denied",
    "expired": "Expired, nobody decided",
    "cancelled": "Withdrawn",
    "superseded": "Superseded",
    "lapsed": "Approved, but not collected in time",
    "revoked": "Revoked",
    "failed": "Run, and failed",
    "outcome_unknown": "Outcome unknown",
    "break_glass": "BREAK-GLASS USED",
    "reviewed": "Break-glass reviewed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What happened and to which request. Every text is masked; what people read has passed `line` as well."""

    id: str  # of the message: the same at every attempt
    event: str
    at: datetime
    url: str
    approval: str = ""  # empty for a test of a route
    status: str = ""
    connection: str = ""
    method: str = ""
    tool: str = ""
    rule: str = ""
    reason: str = ""
    requester: dict[str, str] | None = None
    behind: str = ""  # who started the job that asks, by name where that is known
    arguments: bytes = b"{}"
    needs: str = ""
    votes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    headline: str = ""  # of an alert, which is about no request; with what it says
    details: tuple[tuple[str, str], ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What happened, to what, on one line; no argument of the call is in it."""
        if self.headline:
            return line(self.headline)
        if not self.approval:
            return "Test: this route of Holdgate works"
        what = TITLES.get(self.event, self.event.replace("_", " ").capitalize())
        return f"{what}: {line(self.tool)} on {self.connection}"

    @property
    def asker(self) -> str:
        """Who asks, by name and kind."""
        who = self.requester or {}
        return f"{line(who.get('display') or who.get('sub', ''))} ({who.get('kind', '')})"

    @property
    def asks(self) -> bool:
        """Whether somebody is to decide."""
        return self.event in ASKING

    @property
    def is_stale(self) -> bool:
        """Whether it would ask for what was decided meanwhile."""
        return self.asks and self.status != Status.PENDING

    @property
    def invitation(self) -> str:
        """What the link is for."""
        return "Sign in, look and decide here" if self.asks else "Look here"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What people are told, each on one line, with its name."""
        if self.headline:
            return [(name, line(value, LONGEST_REASON)) for name, value in self.details if value]
        if not self.approval:
            return []
        found = [
            ("Asked by", self.asker),
            ("On behalf of", line(self.behind)),
            ("Rule", self.rule),
            ("Votes", "; ".join(line(vote) for vote in self.votes[-VOTES:])),
        ]
        if self.asks:
            until = f"{self.expires_at:%Y-%m-%d %H:%M} UTC" if self.expires_at else ""
            reason = line(self.reason, LONGEST_REASON)
            found += [("Needs", line(self.needs)), ("Until", until), ("Reason, as the caller gives it", reason)]
        return [(name, value) for name, value in found if value]

    @property
    def shown_arguments(self) -> str:
        """The arguments for people, one on a line, cut."""
        found = fields(self.arguments.decode())
        lines = [f"{_plain(field.name) or 'arguments'}: {_plain(field.value)}" for field in found]
        whole = "\n".join(lines) or "no arguments"
        rest = len(whole) - LONGEST_ARGUMENTS
        return whole if rest <= 0 else f"{whole[:LONGEST_ARGUMENTS]}\n… {rest} more characters, see the page"


def line(value: str, most: int = LONGEST_LINE) -> str:
    """Return untrusted text on one line, cut, with what is invisible in it written out."""
    shown = " ".join(_plain(pieces(value[: most * 4])).split())
    return shown if len(shown) <= most else f"{shown[:most]}…"


def _plain(found: Iterable[Piece]) -> str:
    return "".join(f"⟨{piece.text}⟩" if piece.kind == "mark" else piece.text for piece in found)


def notice_of(
    message: str,
    event: str,
    at: datetime,
    request: ApprovalRequest,
    outlet: Outlet,
    *,
    public_url: str,
    behind: str = "",
) -> Notice:
    """Return the notice of an event of a request as it stands now, masked by the outlet of its connection.

    `behind` is `ties.name_behind`.
    """
    mask = outlet.text
    votes = [
        f"{mask(vote.who)}: {vote.decision}" + (f", “{mask(vote.comment)}”" if vote.comment else "")
        for vote in request.votes.all()
    ]
    return Notice(
        id=message,
        event=event,
        at=at,
        url=f"{public_url}/approvals/{request.pk}/",
        approval=request.pk,
        status=request.status,
        connection=request.connection,
        method=request.method,
        tool=mask(request.tool),
        rule=request.rule,
        reason=mask(request.reason),
        requester={
            "iss": request.requester_iss,
            "sub": mask(request.requester_sub),
            "kind": request.requester_kind,
            "display": mask(request.requester_display),
            "person": mask(request.requester_person),
        },
        behind=mask(behind),
        arguments=_masked(request.arguments, outlet),
        needs=_needs(request.terms["require"]),
        votes=tuple(votes),
        expires_at=request.expires_at,
    )


def _masked(arguments: str, outlet: Outlet) -> bytes:
    """Return the arguments in the view of the record, which hides more than an approver's; never what is unmasked."""
    try:
        return bytes(outlet.for_record(arguments.encode()))
    except MaskingFailed:
        return HIDDEN


def _needs(require: dict[str, Any]) -> str:
    """Say who must approve: `1 of dba`, `1 of dba and 1 of security`."""
    said = []
    for part in require.get("each", [require]):
        places = part.get("any_of") or part["all_of"]
        word = " or " if part.get("any_of") else " and "
        said.append(word.join(f"{place['count']} of {', '.join(place['groups'])}" for place in places))
    return "; and ".join(said)


def arguments_value(notice: Notice) -> Any:
    """Return the masked arguments as a JSON value."""
    return orjson.loads(notice.arguments)
