"""Where people hear of what waits for them: the channels of the gateway, and the routes of a rule into them."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from approvals.config.identity import WebAddress
from approvals.config.masking import Fields
from approvals.config.streams import Stream
from approvals.config.values import Flag, Line, Lines, Name, Reference, Strict, distinct, one_or_more, problem
from approvals.origins import LOOPBACK

ChannelKind = Literal["slack", "email", "webhook", "teams", "push"]
KINDS: tuple[ChannelKind, ...] = get_args(ChannelKind)

# A name, or the id of a channel, a group, a direct conversation or a user, as Slack shows it under "About".
_SLACK_TARGET = re.compile(r"(#[^\s#@<>&,]{1,80}|[CGDUW][A-Z0-9]{2,30})\Z")
_MAILBOX = re.compile(r"[^@\s|<>,;:\"()]{1,64}@[^@\s|<>,;:\"()]{1,255}\Z")
_TEAM = re.compile(r"[TE][A-Z0-9]{2,30}\Z")


def _slack_target(value: str) -> str:
    if not _SLACK_TARGET.match(value):
        raise problem("must be a channel such as #db-approvals, or the id of a channel or a user, such as C012AB3CD")
    return value


def _mailbox(value: str) -> str:
    if not _MAILBOX.match(value):
        raise problem("must be one plain e-mail address")
    return value


def _team(value: str) -> str:
    if not _TEAM.match(value):
        raise problem("must be the id of a workspace (T…) or of an organisation (E…)")
    return value


def _encrypted(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise problem("must be https; plain http goes to this machine alone")
    return value


def _few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 2 or len(set(value)) != len(value):
        raise problem("must be one reference, or two different ones while they are exchanged")
    return value


SlackTarget = Annotated[Line, AfterValidator(_slack_target)]
Mailbox = Annotated[Line, AfterValidator(_mailbox)]


class Route(Strict):
    """One way to tell people: a target in exactly one channel."""

    slack: SlackTarget | None = None
    email: Mailbox | None = None
    webhook: Name | None = None
    teams: Name | None = None
    push: Literal["approvers"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise problem(f"needs exactly one of {', '.join(KINDS)}")
        return self

    @property
    def channel(self) -> ChannelKind:
        """The kind of the channel."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def target(self) -> str:
        """Where in the channel: a Slack channel, an address, the name of a webhook."""
        return str(getattr(self, self.channel))

    def document(self) -> dict[str, str]:
        """Return the route as the file writes it: `{"slack": "#db-approvals"}`."""
        return {self.channel: self.target}


Routes = Annotated[tuple[Route, ...], AfterValidator(distinct("route"))]


def _not_push(value: tuple[Route, ...]) -> tuple[Route, ...]:
    if any(route.channel == "push" for route in value):
        raise problem("push tells who may decide a request; alerts go by another channel")
    return value


class Slack(Strict):
    """One Slack app in one workspace or organisation. Secrets are references."""

    bot_token: Reference
    mode: Literal["http", "socket"] = "http"
    signing_secret: Reference | None = None
    app_token: Reference | None = None
    team: Annotated[Line, AfterValidator(_team)] | None = None
    match_email: Flag = False

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.mode == "http" and self.signing_secret is None:
            raise problem("is required where mode is http: clicks are known by it", "signing_secret")
        if self.mode == "socket" and self.app_token is None:
            raise problem("is required where mode is socket", "app_token")
        return self


class Email(Strict):
    """Mail that says what waits, with a link. The mail server is a setting of the installation."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    sender: Annotated[Mailbox, Field(alias="from")]


class Webhook(Strict):
    """A receiver of signed events. With two secrets each event is signed with both, while they are exchanged."""

    url: Annotated[WebAddress, AfterValidator(_encrypted)]
    secret: Annotated[tuple[Reference, ...], BeforeValidator(one_or_more), Field(min_length=1), AfterValidator(_few)]
    arguments: Literal["none", "masked"] = "none"


class Teams(Strict):
    """A Microsoft Teams workflow. Its address lets anybody post, so it is a secret and stands as a reference."""

    url: Reference


class Push(Strict):
    """Notifications in browsers. `contact` is whom a push service may write to about this gateway."""

    contact: Mailbox


class Hide(Strict):
    """What no message shows, beside all that `masking` hides from anybody."""

    detectors: Lines = ()
    fields: Fields = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.detectors and not self.fields:
            raise problem("needs detectors or fields; without them it hides nothing")
        return self


class Channels(Strict):
    """Every channel of the gateway, where a message goes whose own route is dead, and who hears of what loosens."""

    slack: Slack | None = None
    email: Email | None = None
    webhooks: dict[Name, Webhook] = {}
    teams: dict[Name, Teams] = {}
    push: Push | None = None
    hide: Hide | None = None
    fallback: Routes = ()
    alerts: Annotated[Routes, AfterValidator(_not_push)] = ()
    streams: dict[Name, Stream] = {}
