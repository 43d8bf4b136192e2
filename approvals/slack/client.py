"""The one door to Slack's Web API: what the gateway asks of it, and every answer as a value or one of three errors.

Synchronous, for workers and threads; never called in the event loop of the data path.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.webhook import WebhookClient

from approvals import secret_reader
from approvals.slack.blocks import escaped

if TYPE_CHECKING:
    from approvals.config.channels import Slack
    from approvals.slack.card import Message

# A send makes a few calls, and an outbox lease is a minute; a click must be answered within three seconds.
TIMEOUT: Final = 8
QUICK: Final = 2
RETRY_AFTER: Final = 30.0
_HOSTS: Final = (".slack.com", ".slack-gov.com")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Codes that say "not now". Every other code says "not like this": asking again would not change the answer.
_PASSING: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)

# The client would log whole requests at DEBUG.
_log = logging.getLogger("holdgate.slack.client")
_log.setLevel(logging.WARNING)


class SlackError(Exception):
    """What was asked of Slack did not come about. The text holds no secret; `after` is how long Slack asks to wait."""

    after = 0.0


class Refused(SlackError):
    """Slack said no, with one of its codes."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack answered {code}")
        self.code = code


class RateLimited(SlackError):
    """Slack asks to wait so many seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(f"Slack asks to wait for {after:g} s")
        self.after = after


class Unreachable(SlackError):
    """No answer, or none that could be read; what was asked may have been done."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose token it is: workspace, organisation (empty without one), and the bot."""

    team: str
    enterprise: str
    bot: str


def is_slack(url: str) -> bool:
    """Say whether an address is Slack's own; one on this machine counts when the API is set to be there."""
    try:
        there = urlsplit(url)
        host = there.hostname or ""
    except ValueError:
        return False
    if there.scheme == "https" and f".{host}".endswith(_HOSTS) and there.port in (None, 443):
        return True
    api = urlsplit(settings.SLACK_API_URL)
    return host in _LOOPBACK and (there.scheme, host, there.port) == (api.scheme, api.hostname, api.port)


def unsound_address() -> str:
    """Return what is wrong with the setting of the API's address, empty when nothing is."""
    url = settings.SLACK_API_URL
    if is_slack(url) and url.endswith("/api/"):
        return ""
    return "HOLDGATE_SLACK_API_URL must be https://slack.com/api/ or https://slack-gov.com/api/, or loopback in tests."


class Workspace:
    """One Slack app in one workspace, with the token as it is now. Raises the errors above, and SecretUnavailable."""

    def __init__(self, config: Slack, *, timeout: int = TIMEOUT) -> None:
        self._config = config
        self._timeout = timeout

    def identity(self) -> Identity:
        """Return whose token it is; asked once for each token. Raises Refused when it is not of the configured team."""
        identity = _identity(self._token(), self._timeout)
        if self._config.team and self._config.team not in (identity.team, identity.enterprise):
            raise Refused("wrong_team")
        return identity

    def post(self, channel: str, message: Message, *, thread: str = "", broadcast: bool = False) -> dict[str, str]:
        """Post a message, or a reply in a thread; return what it is known by: channel, ts, and the posting app."""
        more = {"thread_ts": thread, "reply_broadcast": broadcast} if thread else {}
        answer = self._call("chat_postMessage", channel=channel, **_content(message), **_QUIET, **more)
        sent = answer.get("message") or {}
        return {"channel": str(answer["channel"]), "ts": str(answer["ts"]), "app": str(sent.get("app_id", ""))}

    def update(self, channel: str, ts: str, message: Message) -> None:
        """Change a message of ours."""
        self._call("chat_update", channel=channel, ts=ts, **_content(message), parse="none")

    def whisper(self, channel: str, user: str, text: str) -> None:
        """Say something that one user alone sees."""
        self._call("chat_postEphemeral", channel=channel, user=user, text=escaped(text), parse="none")

    def respond(self, url: str, text: str) -> None:
        """Say something that the user alone sees, by the response_url of their click."""
        if not is_slack(url):
            raise Refused("foreign_response_url")
        client = WebhookClient(url, timeout=self._timeout, logger=_log, retry_handlers=[])
        try:
            answer = client.send(text=escaped(text), response_type="ephemeral", replace_original=False)
        except (OSError, HTTPException) as error:
            raise Unreachable(f"Slack cannot be reached: {type(error).__name__}") from None
        if answer.status_code != 200:
            raise Refused(f"http_{answer.status_code}")

    def open_view(self, trigger: str, view: dict[str, Any]) -> str:
        """Open a modal for whoever made the trigger; return its id."""
        return str(self._call("views_open", trigger_id=trigger, view=view)["view"]["id"])

    def update_view(self, view_id: str, view: dict[str, Any]) -> None:
        """Change an open modal."""
        self._call("views_update", view_id=view_id, view=view)

    def user(self, user: str) -> Mapping[str, Any]:
        """Return what Slack knows of a user."""
        found = self._call("users_info", user=user)["user"]
        return found if isinstance(found, dict) else {}

    def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        return _call(self._token(), self._timeout, method, **arguments)

    def _token(self) -> str:
        return secret_reader.configured().read(self._config.bot_token).reveal()


_QUIET: Final[dict[str, Any]] = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}


def _content(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": message.blocks}


@lru_cache(maxsize=8)
def _identity(token: str, timeout: int) -> Identity:
    answer = _call(token, timeout, "auth_test")
    return Identity(str(answer.get("team_id") or ""), str(answer.get("enterprise_id") or ""), str(answer["user_id"]))


def web_client(token: str | None = None, timeout: int = TIMEOUT) -> WebClient:
    """Return the official client, for our address of the API. It repeats nothing by itself.

    Raises ImproperlyConfigured when the address is not Slack's: the token would go to somebody else.
    """
    if problem := unsound_address():
        raise ImproperlyConfigured(problem)
    return WebClient(token, base_url=settings.SLACK_API_URL, timeout=timeout, logger=_log, retry_handlers=[])


def _call(token: str, timeout: int, method: str, **arguments: Any) -> Mapping[str, Any]:
    try:
        answer = getattr(web_client(token, timeout), method)(**arguments)
    except SlackApiError as error:
        raise _error(error) from None
    except (OSError, HTTPException, SlackRequestError) as error:
        raise Unreachable(f"Slack cannot be reached: {type(error).__name__}") from None
    data: Mapping[str, Any] = answer.data
    return data


def _error(error: SlackApiError) -> SlackError:
    """Tell the three errors apart. Only Slack's own codes are quoted: anything else may be a page of a proxy."""
    status, code = error.response.status_code, str(error.response.get("error", ""))
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return RateLimited(_seconds(error.response.headers))
    known = code.isascii() and code.replace("_", "").isalnum() and len(code) < 80
    if status >= 500 or not known or code in _PASSING:
        return Unreachable(f"Slack answered {code if known else f'HTTP {status}'}")
    return Refused(code)


def _seconds(headers: Mapping[str, Any]) -> float:
    found = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(found), 3600.0) if found.isdecimal() else RETRY_AFTER
