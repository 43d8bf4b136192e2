"""Which routes the policy names, how each fares, and which of them cannot be relied on: for people who run this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from django.conf import settings
from django.db.models import Count, Min

from approvals import secret_reader, secrets
from approvals.models import OutboundMessage
from approvals.notices import mail, webhooks
from approvals.notices.models import RouteState
from approvals.notices.routes import PATIENCE, key_of
from approvals.secrets import SecretUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.channels import Route
    from approvals.config.rules import Approval
    from approvals.config.schema import Config

Standing = Literal["works", "new", "failing", "dead", "unset"]
LABELS: Final[dict[Standing, str]] = {
    "works": "Works",
    "new": "Not used yet",
    "failing": "Fails",
    "dead": "Dead",
    "unset": "Not set up",
}
NO_LINKS: Final = "links in notifications lead nowhere: set HOLDGATE_PUBLIC_URL"
_KINDS: Final = {"email": "mail to", "webhook": "webhook", "teams": "Teams", "slack": "Slack", "push": "browsers of"}


@dataclass(frozen=True, slots=True)
class Health:
    """One route of the policy, whose it is, and how it fares."""

    channel: str
    target: str
    rules: tuple[str, ...]
    missing: str = ""
    state: RouteState | None = None
    queued: int = 0
    oldest: datetime | None = None

    @property
    def name(self) -> str:
        """The route in words."""
        return f"{_KINDS.get(self.channel, self.channel)} {self.target}"

    @property
    def standing(self) -> Standing:
        """Whether it can be relied on. One failure alone is none: a receiver may restart."""
        if self.missing:
            return "unset"
        if self.state is None:
            return "new"
        if self.state.is_dead:
            return "dead"
        if self.state.failures >= PATIENCE:
            return "failing"
        return "works" if self.state.sent else "new"

    @property
    def label(self) -> str:
        """The standing in words."""
        return LABELS[self.standing]

    @property
    def is_broken(self) -> bool:
        """Whether nobody may hear of a request by it."""
        return self.standing in {"unset", "dead", "failing"}

    @property
    def why(self) -> str:
        """What is wrong, as far as it is known."""
        return self.missing or (self.state.last_error if self.state else "")

    @property
    def brief(self) -> str:
        """The same for anybody who asks: no address, and nothing of the receiver."""
        return f"{self.channel} of {', '.join(self.rules)} does not work"

    @property
    def sentence(self) -> str:
        """What people are told of a broken route."""
        since = self.state.failing_since if self.state and not self.missing else None
        when = f" since {since.astimezone(UTC):%-d %b %Y, %H:%M} UTC" if since else ""
        whose = ", ".join(self.rules)
        return f"{self.name} ({whose}) does not work{when}: {self.why}"


def routes_of(config: Config) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return every route that the policy names, with what names it: rules, connections, fallback, alerts."""
    found: dict[tuple[str, str], list[str]] = {}
    for rule in config.rules:
        for route in (*rule.notify, *_alarms(rule.approval)):
            found.setdefault((route.channel, route.target), []).append(f"rule {rule.name}")
    for name, connection in config.connections.items():
        for route in (*connection.notify, *_alarms(connection.default_approval)):
            found.setdefault((route.channel, route.target), []).append(f"connection {name}")
    for whose, routes in (("fallback", config.channels.fallback), ("alerts", config.channels.alerts)):
        for route in routes:
            found.setdefault((route.channel, route.target), []).append(whose)
    return {route: tuple(dict.fromkeys(whose)) for route, whose in found.items()}


def _alarms(approval: Approval | None) -> Sequence[Route]:
    return approval.break_glass.notify if approval is not None and approval.break_glass is not None else ()


def health_of(config: Config) -> list[Health]:
    """Return every route of the policy with how it fares."""
    named = routes_of(config)
    states = RouteState.objects.in_bulk([key_of(*route) for route in named])
    waiting = {
        (row["channel"], row["target"]): (row["queued"], row["oldest"])
        for row in OutboundMessage.objects.filter(status=OutboundMessage.Status.QUEUED)
        .order_by()
        .values("channel", "target")
        .annotate(queued=Count("id"), oldest=Min("created_at"))
    }
    return [
        Health(*route, rules, missing(config, *route), states.get(key_of(*route)), *waiting.get(route, (0, None)))
        for route, rules in named.items()
    ]


def broken_routes(config: Config, *, brief: bool = False) -> list[str]:
    """Return one sentence for each route that cannot be relied on, and for what all of them need."""
    broken = [health for health in health_of(config) if health.is_broken]
    found = [health.brief if brief else health.sentence for health in broken]
    if routes_of(config) and not settings.PUBLIC_URL:
        found.append(NO_LINKS)
    return found


def missing(config: Config, channel: str, target: str) -> str:
    """Return what is not set up for this route in this process; empty when nothing is known to be.

    What `exec:` and `vault:` name is left alone: pages and checks ask this often, and it may be slow or dear.
    """
    channels = config.channels
    match channel:
        case "email":
            return "" if settings.EMAIL_HOST else mail.NOT_CONFIGURED
        case "webhook" if target in channels.webhooks:
            return next(filter(None, map(_unusable_key, channels.webhooks[target].secret)), "")
        case "teams" if target in channels.teams:
            return _unavailable(channels.teams[target].url)
        case "slack" if channels.slack is not None:
            return _unavailable(channels.slack.bot_token)
    return ""


def _unavailable(reference: str) -> str:
    try:
        _ = secrets.is_slow(reference) or secret_reader.configured().read(reference)
    except SecretUnavailable as error:
        return f"{reference}: {error}"
    return ""


def _unusable_key(reference: str) -> str:
    if secrets.is_slow(reference):
        return ""
    try:
        webhooks.key_of(secret_reader.configured().read(reference).reveal())
    except (SecretUnavailable, webhooks.SecretUnusable) as error:
        return f"{reference}: {error}"
    return ""
