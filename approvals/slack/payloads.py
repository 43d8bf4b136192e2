"""What Slack says that somebody did: a click, or a modal sent in. Pure: JSON in, values out.

That it comes from Slack is proven before. What it says is checked all the same: anybody may have written a text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

_LONGEST: Final = 3_000


class Malformed(Exception):
    """It is not of the form that Slack documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who did it and where they are at home. A workspace within an organisation may go unnamed."""

    user: str
    user_team: str
    team: str
    enterprise: str
    app: str
    name: str = ""
    """As Slack shows them; anybody calls themselves what they like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicked:
    """A button was pressed on a message."""

    by: By
    key: str
    action: str
    value: str
    channel: str
    ts: str
    trigger: str
    response_url: str
    made_by: str
    """The name of the row of buttons: the message of the outbox, see `card.card`."""


@dataclass(frozen=True, slots=True)
class Button:
    """What a button carries: which request, and the version of it that was on the screen."""

    approval: str
    version: int

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return what `card.value_of` wrote. Raises Malformed."""
        approval, _, version = value.partition(":")
        if not approval or len(approval) > 36 or not (version.isascii() and version.isdigit()) or len(version) > 9:
            raise Malformed("the value of a button")
        return cls(approval, int(version))


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a modal was opened with: what is to be decided, and the card on which the button was pressed."""

    approval: str
    version: int
    decision: Literal["approve", "deny"]
    channel: str
    ts: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `document` wrote. Raises Malformed."""
        try:
            told = json.loads(text)
            button, decision = Button.parse(f"{told['approval']}:{told['version']}"), told["decision"]
            where = _text(told["channel"]), _text(told["ts"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Malformed(type(error).__name__) from None
        if decision not in ("approve", "deny"):
            raise Malformed("the decision of a modal")
        return cls(approval=button.approval, version=button.version, decision=decision, channel=where[0], ts=where[1])

    def document(self) -> str:
        """Return it as the text that Slack keeps with a modal."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SentIn:
    """A modal was sent in; `about` is what it was opened with, `given` what was chosen and written in it."""

    by: By
    key: str
    callback: str
    about: About
    given: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Something that asks for no answer: a modal that was closed, a kind that this version does not know."""


def parse(payload: Any) -> Clicked | SentIn | Nothing:
    """Return what a payload says. Raises Malformed."""
    try:
        match payload["type"]:
            case "block_actions":
                return _clicked(payload)
            case "view_submission":
                return _sent_in(payload)
            case str():
                return Nothing()
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise Malformed(type(error).__name__) from None
    raise Malformed("type")


def digest_of(payload: Any) -> str:
    """Return what tells this delivery from every other; the same one repeated has the same."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def _clicked(payload: Mapping[str, Any]) -> Clicked | Nothing:
    action = payload["actions"][0]
    if "value" not in action:
        return Nothing()  # a button that opens a page
    container = payload.get("container") or {}
    return Clicked(
        by=_by(payload),
        key=digest_of(payload),
        action=_text(action["action_id"]),
        value=_text(action["value"]),
        channel=_text((payload.get("channel") or {}).get("id") or container.get("channel_id") or ""),
        ts=_text((payload.get("message") or {}).get("ts") or container.get("message_ts") or ""),
        trigger=_text(payload.get("trigger_id") or ""),
        response_url=_text(payload.get("response_url") or ""),
        made_by=_text(action.get("block_id") or ""),
    )


def _sent_in(payload: Mapping[str, Any]) -> SentIn:
    view = payload["view"]
    given: dict[str, str] = {}
    for elements in view["state"]["values"].values():
        for name, element in elements.items():
            chosen = element.get("selected_option") or {}
            # Longer than Slack's own limit only if somebody else sent it.
            given[name] = _text(chosen.get("value") or element.get("value") or "")
    return SentIn(
        by=_by(payload),
        key=digest_of(payload),
        callback=_text(view["callback_id"]),
        about=About.parse(view["private_metadata"]),
        given=given,
    )


def _by(payload: Mapping[str, Any]) -> By:
    user = payload["user"]
    return By(
        user=_id(user["id"]),
        user_team=_id(user.get("team_id") or ""),
        team=_id((payload.get("team") or {}).get("id") or ""),
        enterprise=_id((payload.get("enterprise") or {}).get("id") or ""),
        app=_id(payload.get("api_app_id") or ""),
        name=_text(user.get("username") or user.get("name") or "")[:80],
    )


def _id(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 40 or not (value == "" or (value.isascii() and value.isalnum())):
        raise Malformed("an id")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise Malformed("a text")
    return value
