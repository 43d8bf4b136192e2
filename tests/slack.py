"""A Slack of our own on loopback: the Web API that the gateway uses, with Slack's limits, errors and rate limits.

It keeps what it was sent, so that a test can wait for it, and it plays the people: see tests/slack_people.py. In a Grid
organisation (`enterprise`) users have W ids, payloads name no team, and the token belongs to the organisation.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.slack_limits import Refused, check_message, check_view

GUARD = 20.0
# Slack takes about one message a second in a channel, and puts up with short bursts; how short it does not say.
BURST = 5
PER_SECOND = 1.0
TRIGGER_LIVES = 3.0
BOT_TOKEN = "xoxb-fake-bot-token"
APP_TOKEN = "xapp-fake-app-token"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


class TooFast(Refused):
    """More messages than a channel takes; whole seconds to wait, as Slack says them."""

    def __init__(self, seconds: float) -> None:
        super().__init__("ratelimited")
        self.after = math.ceil(seconds)


@dataclass
class Channel:
    """One conversation, and whether the app may write into it."""

    id: str
    member: bool = True
    archived: bool = False
    owed: float = 0.0
    """When everything that was posted will have been paid for, by the monotonic clock."""

    def must_wait(self) -> float:
        """Take one more message, or return how many seconds to wait before the next one."""
        now = time.monotonic()
        ahead = max(self.owed, now) - now
        if ahead > (BURST - 1) / PER_SECOND:
            return ahead - (BURST - 1) / PER_SECOND
        self.owed = now + ahead + 1 / PER_SECOND
        return 0.0


@dataclass
class Posted:
    """A message that the gateway posted; `edits` counts how often it was changed."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread: str = ""
    broadcast: bool = False
    edits: int = 0
    deleted: bool = False

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        """Every button by its action."""
        rows = [block["elements"] for block in self.blocks if block["type"] == "actions"]
        return {element["action_id"]: element for row in rows for element in row}


@dataclass
class FakeSlack:
    """The workspace and everything that happened in it."""

    team: str = "T0ACME"
    enterprise: str = ""
    app: str = "A0GATE"
    channels: dict[str, Channel] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: list[Posted] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    """Ephemeral answers: user, text, and by which way."""
    views: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failing: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Per method, the answers it gives before it works again."""
    triggers: dict[str, float] = field(default_factory=dict)
    response_urls: dict[str, tuple[str, int]] = field(default_factory=dict)
    sockets: str = ""
    """Where Socket Mode clients connect, while somebody plays Slack's end of it."""
    limited: int = 0
    """How many messages were turned away for coming too fast."""
    tokens: set[str] = field(default_factory=lambda: {BOT_TOKEN})
    port: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    _clock: int = 1_700_000_000

    @property
    def url(self) -> str:
        """The address of its Web API."""
        return f"http://127.0.0.1:{self.port}/api/"

    @property
    def bot(self) -> str:
        return "W0BOT" if self.enterprise else "U0BOT"

    def add_channel(self, name: str, **state: bool) -> Channel:
        """Make a channel that the app is a member of."""
        self.channels[name] = Channel(f"C0{len(self.channels):06d}", **state)
        return self.channels[name]

    def add_user(self, user: str, email: str = "", **flags: Any) -> None:
        """Make a user; `flags` are those of users.info."""
        profile = {"email": email} if email else {}
        self.users[user] = {"id": user, "team_id": self.team, "profile": profile, "deleted": False, **flags}

    def fail(self, method: str, *answers: dict[str, Any] | str) -> None:
        """Let a method fail with these answers or error codes, one after the other."""
        made = [{"ok": False, "error": one} if isinstance(one, str) else one for one in answers]
        self.failing.setdefault(method, []).extend(made)

    def wait_for(self, found: Callable[[], Any], what: str = "what was waited for") -> Any:
        """Block until `found` returns something, and return it."""
        deadline = time.monotonic() + GUARD
        with self.changed:
            while not (result := found()):
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come; called: {[name for name, _ in self.calls][-20:]}"
                self.changed.wait(min(left, 0.5))
            return result

    def cards(self, channel: str = "") -> list[Posted]:
        """Return the messages that are no replies in a thread, the newest last."""
        return [one for one in self.messages if not one.thread and channel in ("", one.channel) and not one.deleted]

    def replies(self, card: Posted) -> list[str]:
        """Return the texts in the thread of a message."""
        return [one.text for one in self.messages if one.thread == card.ts]

    def seen(self) -> str:
        """Return everything that ever arrived here, as text: to look for what must not have."""
        return json.dumps([self.calls, self.said], ensure_ascii=False)

    def channel(self, wanted: str) -> Channel:
        """Return a channel by its name or id; a user's id opens a conversation with them."""
        if wanted in self.users:
            return self.channels.setdefault(wanted, Channel(f"D0{len(self.channels):06d}"))
        by_name = self.channels.get(wanted.removeprefix("#"))
        found = by_name or next((one for one in self.channels.values() if one.id == wanted), None)
        if found is None:
            raise Refused("channel_not_found", wanted)
        if found.archived:
            raise Refused("is_archived", wanted)
        if not found.member:
            raise Refused("not_in_channel", wanted)
        return found

    def call(self, method: str, token: str, given: dict[str, Any]) -> dict[str, Any]:
        """Do what one method of the Web API does, and return its answer."""
        with self.changed:
            self.calls.append((method, given))
            self.changed.notify_all()
            if self.failing.get(method):
                return self.failing[method].pop(0)
            if method == "apps.connections.open":
                if token != APP_TOKEN:
                    return {"ok": False, "error": "invalid_auth"}
                return {"ok": True, "url": self.sockets}
            if token not in self.tokens:
                return {"ok": False, "error": "invalid_auth" if token else "not_authed"}
            try:
                return {"ok": True, **_METHODS[method](self, given)}
            except Refused as refused:
                answer = {"ok": False, "error": refused.code, "response_metadata": {"messages": [str(refused)]}}
                if isinstance(refused, TooFast):
                    self.limited += 1
                    answer["retry_after"] = refused.after
                return answer

    def respond(self, key: str, given: dict[str, Any]) -> int:
        """Take what came to a response_url; each takes five. Return the HTTP status."""
        with self.changed:
            user, used = self.response_urls.get(key, ("", 99))
            if used >= 5:
                return 404
            self.response_urls[key] = user, used + 1
            self.said.append({"user": user, "way": "response_url", **given})
            self.changed.notify_all()
            return 200

    def next_ts(self) -> str:
        self._clock += 1
        return f"{self._clock}.{len(self.messages):06d}"

    def find(self, channel: str, ts: str) -> Posted:
        for one in self.messages:
            if (one.channel, one.ts) == (channel, ts) and not one.deleted:
                return one
        raise Refused("message_not_found", ts)


def _auth_test(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    grid = {"enterprise_id": slack.enterprise, "is_enterprise_install": True} if slack.enterprise else {}
    team = slack.enterprise or slack.team
    return {"url": "https://acme.slack.com/", "team_id": team, "user_id": slack.bot, "bot_id": "B0GATE", **grid}


def _post(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    channel = slack.channel(given["channel"])
    check_message(given.get("text", ""), given.get("blocks", []))
    if given.get("thread_ts"):
        slack.find(channel.id, given["thread_ts"])
    if seconds := channel.must_wait():
        raise TooFast(seconds)
    made = Posted(channel.id, slack.next_ts(), given["text"], given.get("blocks", []), given.get("thread_ts", ""))
    made.broadcast = bool(given.get("reply_broadcast"))
    slack.messages.append(made)
    message = {"type": "message", "user": slack.bot, "bot_id": "B0GATE", "app_id": slack.app, "ts": made.ts}
    return {"channel": channel.id, "ts": made.ts, "message": {**message, "text": made.text}}


def _update(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    check_message(given.get("text", ""), given.get("blocks", []))
    found = slack.find(given["channel"], given["ts"])
    found.text, found.blocks, found.edits = given["text"], given.get("blocks", []), found.edits + 1
    return {"channel": found.channel, "ts": found.ts, "text": found.text}


def _post_ephemeral(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    slack.channel(given["channel"])
    slack.said.append({"user": given["user"], "text": given["text"], "way": "chat.postEphemeral"})
    return {"message_ts": slack.next_ts()}


def _open_view(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    made = slack.triggers.pop(given["trigger_id"], None)
    if made is None:
        raise Refused("exchanged_trigger_id")
    if time.monotonic() - made > TRIGGER_LIVES:
        raise Refused("expired_trigger_id")
    view = json.loads(given["view"]) if isinstance(given["view"], str) else given["view"]
    check_view(view)
    opened = {**view, "id": f"V0{len(slack.views):06d}", "app_id": slack.app, "team_id": slack.team}
    slack.views.append(opened)
    return {"view": opened}


def _update_view(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    view = json.loads(given["view"]) if isinstance(given["view"], str) else given["view"]
    check_view(view)
    for index, one in enumerate(slack.views):
        if one["id"] == given["view_id"]:
            slack.views[index] = {**view, **{name: one[name] for name in ("id", "app_id", "team_id")}}
            return {"view": slack.views[index]}
    raise Refused("not_found")


def _user(slack: FakeSlack, given: dict[str, Any]) -> dict[str, Any]:
    if given["user"] not in slack.users:
        raise Refused("user_not_found")
    return {"user": slack.users[given["user"]]}


_METHODS: dict[str, Callable[[FakeSlack, dict[str, Any]], dict[str, Any]]] = {
    "auth.test": _auth_test,
    "chat.postMessage": _post,
    "chat.update": _update,
    "chat.postEphemeral": _post_ephemeral,
    "views.open": _open_view,
    "views.update": _update_view,
    "users.info": _user,
}


@contextmanager
def fake_slack(**members: Any) -> Iterator[FakeSlack]:
    """Give a running Slack with one channel, `db-approvals`."""
    slack = FakeSlack(**members)
    slack.add_channel("db-approvals")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.startswith("/actions/"):
                self._answer(slack.respond(self.path.removeprefix("/actions/"), json.loads(body)), {"ok": True})
                return
            given = _arguments(self.headers.get("Content-Type", ""), body)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ") or given.pop("token", "")
            answer = slack.call(self.path.removeprefix("/api/"), token, given)
            status = answer.pop("status", 429 if answer.get("error") == "ratelimited" else 200)
            self._answer(status, answer, answer.pop("retry_after", None))

        def _answer(self, status: int, answer: dict[str, Any], retry_after: Any = None) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if retry_after is not None:
                self.send_header("Retry-After", str(retry_after))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    slack.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
        thread.join(GUARD)


def _arguments(content_type: str, body: bytes) -> dict[str, Any]:
    """Read JSON or a form; the official client sends either, whatever the method."""
    if body and "json" in content_type:
        return dict(json.loads(body))
    return {name: values[-1] for name, values in parse_qs(body.decode()).items()}
