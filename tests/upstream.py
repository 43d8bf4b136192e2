"""A real MCP server for tests: over HTTP on the loopback, of both eras, counting, and able to fail in every
way.

It runs on uvicorn in a thread of its own, so that the code under test meets real sockets. What came in is
kept in `requests` (raw bytes and header fields), what was executed is counted in `executions` (by tool) and
`markers` (by the `marker` argument). `fault` makes the next answers go wrong; see FAULTS.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.upstream_answers import FAULTS, Answer, Scope, Seen, Send
from tests.upstream_tools import TOOLS

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

__all__ = ["FAULTS", "FakeUpstream", "Seen", "running"]

GUARD = 10.0  # seconds after which a test that waits in vain fails


class _Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, which also shows the application its connection, to be cut or abused."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("Scope", self.scope)["transport"] = self.transport


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


class FakeUpstream:
    """The server and what it saw. Use it as a context manager, or through `running()`.

    `stream` answers requests as event streams, with two progress notes where the caller gave a token.
    `sessions` makes legacy requests need a session. `tls` has uvicorn's options for that. `fault` names a failure
    for every request that calls a tool, until it is None again.
    """

    def __init__(self, *, stream: bool = False, sessions: bool = False, tls: dict[str, Any] | None = None) -> None:
        self.stream, self.sessions = stream, sessions
        self.fault: str | None = None
        self.faulty_verbs = {"POST"}
        self.offers_stream = True  # answers the GET of a session
        self.notes_first = False  # progress is sent before the tool runs
        # Says of a request what messages answer it, each without its `id`; None: what the server always says.
        self.script: Callable[[dict[str, Any]], list[dict[str, Any]] | None] | None = None
        self.flood = self.flooded = 0  # bytes of events that a GET is sent, and how many have gone
        self.polled: dict[str, bytes] = {}
        self.requests: list[Seen] = []
        self.executions: Counter[str] = Counter()
        self.markers: Counter[str] = Counter()
        self.disconnects = 0
        self.witness: Callable[[Seen], None] | None = None  # is shown each admitted request before anything is done
        self.admits: Callable[[Seen], bool] | None = None  # who is not admitted gets 401 with `challenge`
        self.challenge = 'Bearer realm="canary-realm", error="invalid_token"'
        self.peers: set[Any] = set()  # the client's address of every connection
        self.live_sessions: set[str] = set()
        self.session_prefix = "session"
        self.tools = [dict(tool) for tool in TOOLS]
        self.page_size = 0  # of the list of tools; 0: all at once
        self.is_modern_only = self.refuses_lists = False
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/mcp"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            **(tls or {}),
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> FakeUpstream:
        self._thread.start()
        assert self._server.is_up.wait(GUARD)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(GUARD)
        self._socket.close()

    @property
    def calls(self) -> list[Seen]:
        """Only the requests that call a tool."""
        return [seen for seen in self.requests if b'"tools/call"' in seen.body]

    def wait_for(self, condition: Callable[[FakeUpstream], bool]) -> None:
        """Block until the condition holds: `upstream.wait_for(lambda it: it.disconnects == 1)`."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), GUARD), "the upstream waited in vain"

    def wait_until_blocked(self) -> None:
        """Block until the flood of a GET stands still, because the reader takes no more."""
        before = -1
        with self._changed:
            while before != self.flooded:
                before = self.flooded
                self._changed.wait_for(lambda: self.flooded != before, 0.3)  # noqa: B023 - used at once

    def release(self) -> None:
        """Let the tool `slow` and the faults that hang go on."""
        self._released.set()

    def hold(self) -> None:
        """Make the tool `slow` wait again."""
        self._released.clear()

    def count_flood(self, size: int) -> None:
        """Count bytes that have gone."""
        with self._changed:
            self.flooded += size
            self._changed.notify_all()

    def note(self, **counts: str) -> None:
        """Count an execution or a marker and wake who waits for it."""
        with self._changed:
            if tool := counts.get("tool"):
                self.executions[tool] += 1
            if marker := counts.get("marker"):
                self.markers[marker] += 1
            self._changed.notify_all()

    # What the server does. Runs in its own thread.

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event["more_body"]:
                break
        seen = Seen(scope["method"], scope["path"], tuple(scope["headers"]), body)
        given = Answer(self, seen, scope, send)
        if self.witness is not None and given.is_admitted:
            self.witness(seen)
        with self._changed:
            self.requests.append(seen)
            self.peers.add(tuple(scope["client"]))
            self._changed.notify_all()
        answer = asyncio.ensure_future(given.give())
        gone = asyncio.ensure_future(receive())
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            with self._changed:
                self.disconnects += 1
                self._changed.notify_all()
        gone.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)

    async def until_released(self) -> None:
        """Wait in the server until a test calls `release`."""
        await asyncio.get_running_loop().run_in_executor(None, self._released.wait, GUARD)


@contextlib.contextmanager
def running(**options: Any) -> Iterator[FakeUpstream]:
    """Serve for the length of a `with` block."""
    with FakeUpstream(**options) as upstream:
        yield upstream
