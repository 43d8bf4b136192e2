"""The people in the fake Slack: they press buttons and send in modals, as Slack would tell the gateway, signed."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.slack import SIGNING_SECRET, FakeSlack, Posted

_count = itertools.count(1)

# Gives the gateway a body with headers; returns status and body of its answer.
Deliver = Callable[[bytes, Mapping[str, str]], tuple[int, bytes]]


def signed(body: bytes, *, at: float | None = None, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """Return the headers with which Slack proves that a body is its own."""
    timestamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={mac}",
    }


def form(payload: Mapping[str, Any]) -> bytes:
    """Return a payload as the body that Slack posts."""
    return urlencode({"payload": json.dumps(payload)}).encode()


def _row(message: Posted, action: str) -> str:
    """Return the name of the row in which a button stands; Slack gives one to a row without."""
    rows = (block for block in message.blocks if block["type"] == "actions")
    named = (row.get("block_id", "b0") for row in rows if any(one["action_id"] == action for one in row["elements"]))
    return str(next(named))


@dataclass
class SlackUser:
    """Somebody in the workspace, with the browser in which they look at it."""

    slack: FakeSlack
    user: str
    deliver: Deliver
    team: str = ""
    last: list[bytes] = field(default_factory=list)

    def click(self, message: Posted, action: str, /, **changes: Any) -> int:
        """Press a button as it stands on a message now; return the HTTP status that Slack got."""
        return self.send(self.clicking(message, action, **changes))[0]

    def clicking(self, message: Posted, action: str, /, **changes: Any) -> dict[str, Any]:
        """Return the payload of a click, some members of it changed."""
        button = message.buttons[action]
        payload = {
            "type": "block_actions",
            **self._whose(),
            "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel},
            "channel": {"id": message.channel, "name": "db-approvals"},
            "message": {"type": "message", "ts": message.ts, "bot_id": "B0GATE", "app_id": self.slack.app},
            "trigger_id": self._trigger(),
            "response_url": self._response_url(),
            "actions": [
                {**button, "type": "button", "action_ts": f"{time.time():.6f}", "block_id": _row(message, action)}
            ],
        }
        return {**payload, **changes}

    def send_in(self, view: Mapping[str, Any], /, **given: str) -> dict[str, Any]:
        """Fill a modal in and send it; return what the gateway answers: empty closes it."""
        status, body = self.send(self.sending_in(view, **given))
        assert status == 200, status
        return dict(json.loads(body)) if body else {}

    def sending_in(self, view: Mapping[str, Any], /, **given: str) -> dict[str, Any]:
        """Return the payload of a modal sent in."""
        values: dict[str, Any] = {}
        for block in view["blocks"]:
            element = block.get("element", {})
            name = element.get("action_id", "")
            if element.get("type") == "plain_text_input":
                values[block["block_id"]] = {name: {"type": element["type"], "value": given.get(name) or None}}
            elif element:
                chosen = given.get(name, element["options"][0]["value"])
                option = next(one for one in element["options"] if one["value"] == chosen)
                values[block["block_id"]] = {name: {"type": element["type"], "selected_option": option}}
        sent = {**view, "state": {"values": values}, "hash": "1700000000.abc"}
        return {"type": "view_submission", **self._whose(), "trigger_id": self._trigger(), "view": sent}

    def send(self, payload: Mapping[str, Any]) -> tuple[int, bytes]:
        """Deliver a payload, signed."""
        body = form(payload)
        self.last.append(body)
        return self.deliver(body, signed(body))

    def again(self) -> int:
        """Deliver the last one once more, as Slack does and as somebody could who recorded it."""
        return self.deliver(self.last[-1], signed(self.last[-1]))[0]

    def heard(self) -> list[str]:
        """Return what this user alone was told."""
        return [one["text"] for one in self.slack.said if one["user"] == self.user]

    def modal(self) -> dict[str, Any]:
        """Return the modal that was opened last, as it is now."""
        return self.slack.views[-1]

    def _whose(self) -> dict[str, Any]:
        home = self.team or self.slack.team
        grid = self.slack.enterprise
        return {
            "api_app_id": self.slack.app,
            "team": None if grid else {"id": home, "domain": "acme"},
            "enterprise": {"id": grid, "name": "Acme"} if grid else None,
            "is_enterprise_install": bool(grid),
            "user": {"id": self.user, "username": self.user.lower(), "team_id": home},
        }

    def _trigger(self) -> str:
        made = f"{next(_count)}.trigger"
        self.slack.triggers[made] = time.monotonic()
        return made

    def _response_url(self) -> str:
        key = f"{next(_count)}"
        self.slack.response_urls[key] = self.user, 0
        return f"http://127.0.0.1:{self.slack.port}/actions/{key}"
