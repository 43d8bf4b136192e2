"""A receiver of notifications on this machine: it keeps what came, and answers as it is told.

`receiver()` takes whatever is posted. `teams()` refuses what Microsoft Teams would: too large, or no card.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GUARD = 15.0
TEAMS_LIMIT = 28 * 1024


@dataclass(frozen=True)
class Posted:
    """One request, whatever was answered."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Answering:
    """What to answer: a status, header fields, and whether to be silent until the end of the test instead."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False


@dataclass
class Receiver:
    """A running receiver. `next` are answers for the next requests, in turn; then `answer` holds for all."""

    url: str = ""
    answer: Answering = field(default_factory=Answering)
    next: list[Answering] = field(default_factory=list)
    posted: queue.Queue[Posted] = field(default_factory=queue.Queue)
    released: threading.Event = field(default_factory=threading.Event)
    check: Callable[[Posted], int] = lambda posted: 0

    def wait(self, seconds: float = GUARD) -> Posted:
        """Return the next request that came; fail when none comes."""
        return self.posted.get(timeout=seconds)

    def take(self, posted: Posted) -> Answering:
        """Keep a request and say what to answer."""
        self.posted.put(posted)
        refused = self.check(posted)
        if refused:
            return Answering(refused)
        return self.next.pop(0) if self.next else self.answer


@contextlib.contextmanager
def receiver(check: Callable[[Posted], int] = lambda posted: 0) -> Iterator[Receiver]:
    """Give a receiver that runs as long as the block does."""
    made = Receiver(check=check)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fields = {name.lower(): value for name, value in self.headers.items()}
            answer = made.take(Posted(self.path, fields, body))
            if answer.silent:
                made.released.wait(GUARD)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/hooks/holdgate"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def teams() -> contextlib.AbstractContextManager[Receiver]:
    """Give a receiver that is as strict as Teams."""
    return receiver(_refused_by_teams)


def _refused_by_teams(posted: Posted) -> int:
    if len(posted.body) > TEAMS_LIMIT:
        return 413
    try:
        (attachment,) = posted.json["attachments"]
        card = attachment["content"]
        sound = (
            posted.json["type"] == "message"
            and attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
            and card["type"] == "AdaptiveCard"
            and bool(card["version"])
            and all(element["type"] in {"TextBlock", "RichTextBlock"} for element in card["body"])
            and all(run["text"] for block in card["body"] for run in block["inlines"])
            and all(action["url"].startswith("http") for action in card["actions"])
        )
    except (KeyError, ValueError, TypeError):
        sound = False
    return 0 if sound else 400
