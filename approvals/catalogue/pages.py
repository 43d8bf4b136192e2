"""The catalogue: the tools of each connection as they were accepted, what waits to be, and rules to think about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals.argument_diff import Comparison, compare
from approvals.catalogue import pinning, watching
from approvals.catalogue.models import PinnedConnection, ToolPin
from approvals.catalogue.proposals import Proposal, known_hints, proposals
from approvals.config.hints import HINTS, Hints, hints_of
from approvals.config.loader import ConfigError
from approvals.drafts import with_draft
from approvals.models import ConfigItem
from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.services import unrecorded
from approvals.standing import roles_of
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.schema import Config, Connection
    from approvals.policy import Policy
    from approvals.verdicts import Caller

READERS = frozenset({"admin", "operator", "auditor"})
# So many accepted tools of a connection are written out; the API has all of them.
MOST_SHOWN = 200
STALE = "The definition that waits is another one by now. Nothing was accepted; read it again."


@dataclass(frozen=True, slots=True)
class ToolCard:
    """One tool on the page: what it says of itself, what stands out, and what it would become."""

    pin: ToolPin
    hints: Hints
    own: Hints
    shadows: list[str] = field(default_factory=list)
    """Other connections that have a tool of this name."""

    @property
    def waits(self) -> bool:
        """Whether a definition waits for an admin."""
        return bool(self.pin.pending_digest)

    @property
    def is_unread(self) -> bool:
        """Whether it was trusted as it was first seen, and no admin has accepted it since."""
        return not self.waits and self.pin.accepted_at is None

    @property
    def text(self) -> str:
        """Return the description that is accepted."""
        return str(_parsed(self.pin.definition or self.pin.pending_definition).get("description") or "")

    @property
    def difference(self) -> Comparison:
        """Compare what is accepted with what waits; all of it is new where nothing is accepted."""
        return compare(self.pin.definition or "{}", self.pin.pending_definition)

    @property
    def whole(self) -> Comparison:
        """Return all of the accepted definition, line by line."""
        return compare("{}", self.pin.definition or "{}")

    @property
    def flags(self) -> list[dict[str, str]]:
        """What stands out in the definition that waits, or in the accepted one."""
        found: list[dict[str, str]] = self.pin.pending_flags if self.waits else self.pin.flags
        return found

    @property
    def said(self) -> list[str]:
        """Return the hints in words; those on which an admin has the last word say so."""
        return [
            f"{name.replace('_', ' ')}: {'yes' if self.hints[name] else 'no'}"
            + ("" if self.own.get(name) == self.hints[name] else " (by tool_hints)")
            for name in HINTS
            if name in self.hints
        ]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One connection with its tools."""

    name: str
    connection: Connection
    pinned: PinnedConnection | None
    waiting: list[ToolCard]
    accepted: list[ToolCard]
    gone: list[ToolCard]
    proposals: list[Proposal]

    @property
    def new_ones(self) -> list[ToolCard]:
        """Return the new tools in which nothing stands out: they may be accepted together."""
        return [card for card in self.waiting if not card.pin.digest and not card.flags]

    @property
    def looks(self) -> bool:
        """Whether the gateway looks at its tools without a caller."""
        looks = self.connection.pin_tools and not self.connection.is_for_callers
        return bool(settings.CATALOGUE_SECONDS) and looks

    @property
    def shown(self) -> list[ToolCard]:
        """Return the accepted tools that are written out, flagged ones first."""
        return sorted(self.accepted, key=lambda card: not card.flags)[:MOST_SHOWN]

    @property
    def left_out(self) -> int:
        """How many accepted tools are not written out."""
        return len(self.accepted) - len(self.shown)


def flagged_and_waiting() -> dict[str, int]:
    """Return how many tools wait for an admin, and how many were trusted unread although something stands out."""
    pins = ToolPin.objects.filter(gone_at=None)
    unread = pins.filter(accepted_at=None, pending_digest="").exclude(flags=[])
    return {"waiting": pins.exclude(pending_digest="").count(), "flagged": unread.count()}


@require_GET
@login_required
def catalogue(request: HttpRequest) -> HttpResponse:
    """Show every connection's tools to admins, operators and auditors."""
    caller, policy = viewer(request)
    roles = roles_of(caller, policy)
    if not roles & READERS:
        raise Http404
    shelves = _shelves(policy.config)
    context = {"shelves": shelves, "may_accept": "admin" in roles, "waiting": sum(len(s.waiting) for s in shelves)}
    return render(request, "approvals/catalogue.html", context)


def _shelves(config: Config) -> list[Shelf]:
    pins: dict[str, list[ToolPin]] = {}
    where: dict[str, list[str]] = {}
    for pin in ToolPin.objects.filter(connection__in=config.connections).order_by("tool"):
        pins.setdefault(pin.connection_id, []).append(pin)
        where.setdefault(pin.key, []).append(pin.connection_id)
    known = PinnedConnection.objects.in_bulk(list(config.connections))
    return [_shelf(config, name, known.get(name), pins.get(name, []), where) for name in sorted(config.connections)]


def _shelf(
    config: Config, name: str, pinned: PinnedConnection | None, pins: list[ToolPin], where: dict[str, list[str]]
) -> Shelf:
    connection = config.connections[name]
    cards = [_card(connection, name, pin, where) for pin in pins]
    present = [card for card in cards if not card.pin.gone_at]
    waiting = [card for card in present if card.waits]
    accepted = [card for card in present if not card.waits]
    gone = [card for card in cards if card.pin.gone_at]
    found = proposals(config, name, [(card.pin.tool, card.hints) for card in present])
    return Shelf(name, connection, pinned, waiting, accepted, gone, found)


def _card(connection: Connection, name: str, pin: ToolPin, where: dict[str, list[str]]) -> ToolCard:
    definition = _parsed(pin.pending_definition or pin.definition)
    shadows = [other for other in where[pin.key] if other != name]
    return ToolCard(
        pin, known_hints(connection, pin.tool, definition), hints_of(definition.get("annotations")), shadows
    )


def _parsed(definition: str) -> dict[str, Any]:
    found = json.loads(definition or "{}")
    return found if isinstance(found, dict) else {}


def _admin(request: HttpRequest) -> tuple[Caller, Policy]:
    caller, policy = viewer(request)
    if "admin" not in roles_of(caller, policy):
        raise Http404
    return caller, policy


@require_POST
@login_required
def accept(request: HttpRequest, connection: str) -> HttpResponse:
    """Accept the definition whose digest the page showed."""
    admin, _ = _admin(request)
    tool, digest = request.POST.get("tool", ""), request.POST.get("digest", "")
    try:
        outcome = pinning.accept(runtime(), connection=connection, tool=tool, digest=digest, admin=admin)
    except RecordUnavailable as error:
        messages.error(request, unrecorded(error))
        return redirect("catalogue")
    match outcome:
        case pinning.Unknown():
            raise Http404
        case pinning.Stale():
            messages.error(request, STALE)
        case pinning.Accepted(pin):
            messages.success(request, f"{pin.tool} on {connection} is accepted as shown, and recorded.")
    return redirect("catalogue")


@require_POST
@login_required
def accept_new(request: HttpRequest, connection: str) -> HttpResponse:
    """Accept all new tools that the page showed, by the digests that it showed: all of them or none."""
    admin, _ = _admin(request)
    read = [(tool, digest) for digest, _, tool in (one.partition(" ") for one in request.POST.getlist("read"))]
    try:
        outcome = pinning.accept_all(runtime(), connection=connection, read=read, admin=admin)
    except RecordUnavailable as error:
        messages.error(request, unrecorded(error))
        return redirect("catalogue")
    match outcome:
        case pinning.Unknown():
            raise Http404
        case pinning.Stale(pin):
            messages.error(request, f"{pin.tool}: {STALE}")
        case pinning.AllAccepted(pins):
            messages.success(request, f"{len(pins)} tools of {connection} are accepted as shown, and recorded.")
    return redirect("catalogue")


@require_POST
@login_required
def look(request: HttpRequest, connection: str) -> HttpResponse:
    """Let the gateway look at the tools of a connection soon."""
    _, policy = _admin(request)
    if policy.connection(connection) is None:
        raise Http404
    watching.ask(connection)
    messages.success(request, f"The gateway looks at the tools of {connection} in some seconds. Load this page again.")
    return redirect("catalogue")


@require_POST
@login_required
def draft(request: HttpRequest, connection: str, key: str) -> HttpResponse:
    """Make a proposed rule a draft, which observes and governs nothing before it is published."""
    _, policy = _admin(request)
    shelf = next((one for one in _shelves(policy.config) if one.name == connection), None)
    proposal = next((one for one in shelf.proposals if one.key == key), None) if shelf else None
    if proposal is None:
        raise Http404
    name, body = str(proposal.rule["name"]), dict(proposal.rule)
    if ConfigItem.objects.filter(kind=ConfigItem.Kind.RULE, name=name).exists():
        messages.error(request, f"There is a draft {name} already. Edit it in the admin.")
        return redirect("catalogue")
    try:
        with_draft(ConfigItem.Kind.RULE, name, body)
    except ConfigError as error:
        messages.error(request, f"It cannot be a draft yet: {'; '.join(map(str, error.problems))}"[:1000])
        return redirect("catalogue")
    item = ConfigItem.objects.create(kind=ConfigItem.Kind.RULE, name=name, body=body, owner=ConfigItem.Owner.ADMIN)
    messages.success(request, "It is a draft in observe mode. It governs nothing before it is published.")
    return redirect("admin:approvals_configitem_change", item.pk)
