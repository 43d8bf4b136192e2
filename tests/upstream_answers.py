"""How the fake upstream answers: rightly in both eras, or wrongly in every way that a real one has been seen
to.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.upstream_tools import run_tool

if TYPE_CHECKING:
    from tests.upstream import FakeUpstream

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MODERN = "2026-07-28"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
FAULTS = frozenset(
    {
        "hang",  # executes, then never answers
        "drip",  # executes, then sends a JSON answer of which the last byte never comes
        "reset_before",  # closes the connection when the request has been read, executes nothing
        "reset_after",  # executes, then closes the connection without an answer
        "reset_within",  # executes, then closes the connection within the answer
        "stream_ends",  # executes, then ends an event stream without the answer
        "stream_polls",  # executes, ends an event stream after an event id, and answers the GET with that id
        "redirect",
        "unauthorized",
        "forbidden",
        "html_error",  # 500 with a page
        "json_error",  # 500 with a JSON-RPC error
        "garbage_http",  # bytes that are not HTTP
        "garbage_json",
        "not_json_rpc",
        "plain_text",
        "wrong_id",
        "wrong_length",  # Content-Length beyond the body
        "huge",  # 4 MiB
        "huge_stream",  # an event of 4 MiB
        "accepted",  # 202 without an answer
        "session_lost",  # 404 without a JSON-RPC body
        "gzip",  # an encoding that was not accepted
        "cookie",  # a good answer that sets a cookie
    }
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came in."""

    verb: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the only value of a field, or None."""
        values = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def message(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Answer:
    """One answer, right or wrong."""

    def __init__(self, upstream: FakeUpstream, seen: Seen, scope: Scope, send: Send) -> None:
        self.upstream, self.seen, self.scope, self._send = upstream, seen, scope, send

    @property
    def is_admitted(self) -> bool:
        """Whether the request brings the credential that the server wants; without it nothing is executed."""
        return self.upstream.admits is None or self.upstream.admits(self.seen)

    async def give(self) -> None:
        if not self.is_admitted:
            await self.send(401, b"canary-body", {"www-authenticate": self.upstream.challenge})
        elif self.upstream.fault is not None and self.seen.verb in self.upstream.faulty_verbs - {"POST"}:
            self._cut()
        elif self.seen.verb == "GET" and not self.upstream.offers_stream:
            await self.send(405, b"")
        elif self.seen.verb == "GET":
            await self._open_stream()
        elif self.seen.verb == "DELETE":
            self.upstream.live_sessions.discard(self.seen.header("mcp-session-id") or "")
            await self.send(200, b"")
        else:
            await self._give_message(self.seen.message)

    async def _give_message(self, message: dict[str, Any]) -> None:
        if "id" not in message or "method" not in message:
            await self.send(202, b"")
        elif self.upstream.fault is not None and message["method"] == "tools/call":
            await self._fail(message, self.upstream.fault)
        else:
            await self._answer(message)

    async def _answer(self, message: dict[str, Any]) -> None:
        script = self.upstream.script
        if script is not None and (said := script(message)) is not None:
            return await self._recite(message, said)
        meta = message.get("params", {}).get("_meta", {})
        headers = self._session(message) if VERSION_KEY not in meta else {}
        if headers is None:
            return await self.send(404, b"Session not found", {"content-type": "text/plain"})
        token = meta.get("progressToken")
        notes = [] if token is None else [_progress(token, 1), _progress(token, 2)]
        if self.upstream.stream and self.upstream.notes_first:
            await self._events(notes, headers, more=True)
        outcome = await self._outcome(message, modern=VERSION_KEY in meta)
        body = self._message(message, outcome)
        if not self.upstream.stream:
            status = 404 if VERSION_KEY in meta and outcome.get("code") == -32601 else 200
            return await self.send(status, body, {"content-type": "application/json", **headers})
        if self.upstream.notes_first:
            return await self._events([body])
        return await self._events([*notes, body], headers)

    async def _recite(self, message: dict[str, Any], said: list[dict[str, Any]]) -> None:
        """Send these messages; the ones without a method answer the request.

        `{"until": "released"}` waits in between, and a message with `indent` comes in many lines of its event.
        """
        bodies = [None if "until" in one else _recited(message["id"], one) for one in said]
        if len(bodies) == 1 and bodies[0] and b"\n" not in bodies[0]:
            return await self.send(200, bodies[0], {"content-type": "application/json"})
        await self._events([], {}, more=True)
        for body in bodies:
            if body is None:
                await self.upstream.until_released()
            else:
                await self._events([body.replace(b"\n", b"\r\ndata: ")], more=True)
        return await self._events([])

    def _session(self, message: dict[str, Any]) -> dict[str, str] | None:
        """Return the header fields of the answer, or None when the request names no living session."""
        if not self.upstream.sessions:
            return {}
        if message["method"] == "initialize":
            session = f"{self.upstream.session_prefix}-{len(self.upstream.live_sessions) + 1}"
            self.upstream.live_sessions.add(session)
            return {"mcp-session-id": session}
        return {} if self.seen.header("mcp-session-id") in self.upstream.live_sessions else None

    async def _events(
        self, messages: list[bytes], headers: dict[str, str] | None = None, *, more: bool = False
    ) -> None:
        """Send events, after the head when `headers` are given."""
        if headers is not None:
            await self.start(200, {"content-type": "text/event-stream", **headers})
        for data in messages:
            await self.chunk(b"event: message\r\ndata: " + data + b"\r\n\r\n")
        if not more:
            await self.chunk(b"", more=False)

    async def _outcome(self, message: dict[str, Any], *, modern: bool) -> dict[str, Any]:
        """Return a result, or an error with `code`."""
        params = message.get("params", {})
        if message["method"] == "tools/call":
            result = await run_tool(self.upstream, params["name"], params.get("arguments") or {})
        else:
            result = self._information(message["method"], params, modern=modern)
        return {"resultType": "complete", **result} if modern and "code" not in result else result

    def _information(self, method: str, params: dict[str, Any], *, modern: bool) -> dict[str, Any]:
        info = {"serverInfo": {"name": "fake", "version": "1"}, "capabilities": {"tools": {}}}
        cache = {"ttlMs": 0, "cacheScope": "public"} if modern else {}
        match method:
            case "initialize" if not self.upstream.is_modern_only:
                return {"protocolVersion": params.get("protocolVersion", "2025-11-25"), **info}
            case "server/discover":
                return {"supportedVersions": [MODERN], **cache, **info}
            case "ping":
                return {}
            case "tools/list":
                return self._tools(int(params.get("cursor", 0)), cache)
            case "resources/read":
                content = {"uri": params["uri"], "mimeType": "text/plain", "text": "ada@example.com"}
                return {**cache, "contents": [content]}
        return {"code": -32601, "message": f"Method not found: {method}"}

    def _tools(self, start: int, cache: dict[str, Any]) -> dict[str, Any]:
        """Return the tools from there on, in pages where the server has any."""
        if self.upstream.refuses_lists:
            return {"code": -32603, "message": "Out of order."}
        end = start + self.upstream.page_size if self.upstream.page_size else len(self.upstream.tools)
        more = {"nextCursor": str(end)} if end < len(self.upstream.tools) else {}
        return {**cache, "tools": self.upstream.tools[start:end], **more}

    def _message(self, message: dict[str, Any], outcome: dict[str, Any]) -> bytes:
        member = "error" if "code" in outcome else "result"
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], member: outcome}).encode()

    async def _open_stream(self) -> None:
        await self.start(200, {"content-type": "text/event-stream"})
        if (rest := self.upstream.polled.get(self.seen.header("last-event-id") or "")) is not None:
            await self.chunk(b"data: " + rest + b"\n\n", more=False)
            return
        while self.upstream.flooded < self.upstream.flood:
            note = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"%s"}}\n\n'
            await self.chunk(note % (b"x" * 65536))
            self.upstream.count_flood(65536)
        await self.chunk(b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n')
        await self.upstream.until_released()
        await self.chunk(b"", more=False)

    # Faults

    async def _fail(self, message: dict[str, Any], fault: str) -> None:
        plain = {
            "redirect": (307, b"", {"location": f"http://127.0.0.1:{self.upstream.port}/elsewhere"}),
            "unauthorized": (401, b'{"error":"secret hint"}', {"www-authenticate": "Bearer realm=x"}),
            "forbidden": (403, b"no", {}),
            "html_error": (500, b"<html>postgres://user:pw@db</html>", {"content-type": "text/html"}),
            "json_error": (500, self._message(message, {"code": -32603, "message": "boom"}), {}),
            "garbage_json": (200, b'{"jsonrpc":"2.0","id":', {}),
            "not_json_rpc": (200, b'{"hello":"world"}', {}),
            "plain_text": (200, b"hello", {"content-type": "text/plain"}),
            "accepted": (202, b"", {}),
            "session_lost": (404, b"Session not found", {"content-type": "text/plain"}),
            "gzip": (200, b"\x1f\x8b\x08", {"content-encoding": "gzip"}),
        }
        if fault in plain:
            status, body, headers = plain[fault]
            await self.send(status, body, {"content-type": "application/json", **headers})
        elif fault == "reset_before":
            self._cut()
        else:
            body = self._message(message, await self._outcome(message, modern=False))
            await self._fail_after(fault, body)

    async def _fail_after(self, fault: str, body: bytes) -> None:
        """Fail when the call has been executed."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        raw = {
            "hang": b"",
            "drip": head % len(body) + body[:-1],
            "reset_within": head % (len(body) + 10) + body,
            "wrong_length": head % (len(body) + 10) + body,
            "garbage_http": b"\x00\x01 this is not HTTP\r\n\r\n",
            "reset_after": b"",
        }
        if fault not in raw:
            await self._answer_badly(fault, body)
            return
        self.scope["transport"].write(raw[fault])
        if fault in {"hang", "drip"}:
            await self.upstream.until_released()
        if fault == "reset_after":
            self._cut()
        self.scope["transport"].close()

    async def _answer_badly(self, fault: str, body: bytes) -> None:
        json_type, event_stream = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
        match fault:
            case "wrong_id":
                await self.send(200, body.replace(b'"id": ', b'"id": 99'), json_type)
            case "cookie":
                await self.send(200, body, {**json_type, "set-cookie": "sid=1; Path=/"})
            case "huge":
                await self.send(200, body[:-1] + b" " * (4 << 20) + b"}", json_type)
            case "huge_stream":
                await self.start(200, event_stream)
                await self.chunk(b"data: " + b" " * (4 << 20) + body + b"\n\n", more=False)
            case "stream_ends":
                await self.start(200, event_stream)
                await self.chunk(b": bye\n\n", more=False)
            case "stream_polls":
                self.upstream.polled["event-1"] = body
                await self.start(200, event_stream)
                await self.chunk(b"id: event-1\nretry: 1\ndata:\n\n", more=False)
            case _:
                raise AssertionError(fault)

    def _cut(self) -> None:
        self.scope["transport"].abort()

    async def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        await self.start(status, {"content-length": str(len(body)), **(headers or {})})
        await self.chunk(body, more=False)

    async def start(self, status: int, headers: dict[str, str]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def chunk(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _recited(request_id: Any, one: dict[str, Any]) -> bytes:
    known = {"jsonrpc": "2.0", **({} if "method" in one else {"id": request_id})}
    kept = {name: member for name, member in one.items() if name != "indent"}
    return json.dumps({**known, **kept}, indent=one.get("indent")).encode()


def _progress(token: str | int, value: int) -> bytes:
    params = {"progressToken": token, "progress": value, "total": 2}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).encode()
