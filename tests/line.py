"""A plain MCP client over HTTP, which shows everything that came back: every field, comment and note of the stream."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import queue
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

MODERN = "2026-07-28"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
JSON_ONLY, STREAM = "application/json", "application/json, text/event-stream"
GUARD = 40.0
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ids = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """One answer to a POST: the last message, and what came before it."""

    status: int
    headers: httpx.Headers
    body: Any
    notes: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def result(self) -> dict[str, Any]:
        assert "result" in (self.body or {}), (self.status, self.body)
        return dict(self.body["result"])

    @property
    def is_error(self) -> bool:
        """Whether the tool, or the gateway in its stead, said that it failed."""
        return bool(self.result.get("isError"))

    @property
    def said(self) -> str:
        """The text of a tool result."""
        return "\n".join(block["text"] for block in self.result["content"] if block["type"] == "text")

    def ours(self, name: str) -> dict[str, Any]:
        """Return `holdgate/<name>` of a result or of an error."""
        holder = self.body["result"].get("_meta", {}) if "result" in self.body else self.body["error"]["data"]
        return dict(holder.get(f"holdgate/{name}") or {})

    @property
    def decision(self) -> dict[str, Any]:
        return self.ours("decision")

    @property
    def outcome(self) -> tuple[str | None, str | None]:
        """Reason and `executed` of a refusal; two times None for an answer of the upstream."""
        return self.decision.get("reason"), self.decision.get("executed")

    @property
    def approval(self) -> dict[str, Any]:
        return self.ours("approval")


class Held:
    """A call on its way in a thread of its own. `comment()` waits for the next sign of life."""

    def __init__(self, line: Line, message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._comments: queue.Queue[str | None] = queue.Queue()
        self._answer: queue.Queue[Answer | Exception] = queue.Queue()
        self._heard = line.heard
        where = urlsplit(line.url)
        self._connection = http.client.HTTPConnection(where.netloc, timeout=GUARD)
        self._connection.request("POST", where.path, json.dumps(message), line.headers(message, headers))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            response = self._connection.getresponse()
            lines = (line.decode().rstrip("\r\n") for line in iter(response.readline, b""))
            answer = _read(response.status, httpx.Headers(response.getheaders()), lines, self._comments)
            self._heard.append(answer)
            self._answer.put(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._answer.put(error)
        finally:
            self._connection.close()
            self._comments.put(None)

    def comment(self) -> str:
        """Return the next comment of the stream; wait for it. Raises ConnectionError when the stream ends first."""
        found = self._comments.get(timeout=GUARD)
        if found is None:
            self._comments.put(None)
            msg = "the stream has ended"
            raise ConnectionError(msg)
        return found

    @cached_property
    def approval_id(self) -> str:
        """The id of the approval that the first comment names; waits for it."""
        return self.comment().split()[3]

    def answer(self) -> Answer:
        """Return the answer; wait for it. Raises what broke the connection."""
        found = self._answer.get(timeout=GUARD)
        if isinstance(found, Exception):
            raise found
        return found

    def leave(self) -> None:
        """Hang up, as a client does that is killed."""
        if (sock := self._connection.sock) is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(GUARD)


@dataclass(frozen=True)
class Line:
    """One caller at one connection. `heard` collects the answers of whoever shares it."""

    base: str
    connection: str
    token: str
    era: str = "legacy"
    session: str | None = None
    heard: list[Answer] = field(default_factory=list, compare=False, repr=False)

    @property
    def url(self) -> str:
        return f"{self.base}/mcp/{self.connection}"

    def message(self, method: str, params: Mapping[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
        """Return a request of this caller's era."""
        given = dict(params or {})
        if self.era == "modern":
            given["_meta"] = {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}, **given.get("_meta", {})}
        return {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": given, **envelope}

    def headers(self, message: Any, more: Mapping[str, str]) -> dict[str, str]:
        """Return the header fields of a POST; `more` adds or replaces."""
        fields = {"authorization": f"Bearer {self.token}", "content-type": "application/json", "accept": STREAM}
        if self.session:
            fields["mcp-session-id"] = self.session
        if self.era == "modern":
            fields |= {"mcp-protocol-version": MODERN, "mcp-method": message["method"]}
            if name := message["params"].get(_NAMED_BY.get(message["method"], "")):
                fields["mcp-name"] = _mirrored(name)
        else:
            fields["mcp-protocol-version"] = "2025-11-25"
        return {**fields, **{name.replace("_", "-"): value for name, value in more.items()}}

    def post(self, message: Any, **headers: str) -> Answer:
        """Send one message, or a list of them, and read the answer to its end."""
        with (
            httpx.Client(timeout=GUARD, trust_env=False) as client,
            client.stream("POST", self.url, json=message, headers=self.headers(message, headers)) as response,
        ):
            answer = _read(response.status_code, response.headers, response.iter_lines())
        self.heard.append(answer)
        return answer

    def raw(self, verb: str = "POST", content: bytes | None = None, **headers: str) -> httpx.Response:
        """Send exactly these bytes."""
        fields = self.headers({"method": "", "params": {}}, headers)
        return httpx.request(verb, self.url, content=content, headers=fields, timeout=GUARD, trust_env=False)

    def ask(self, method: str, params: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """Send one request."""
        return self.post(self.message(method, params), **headers)

    def call(
        self, tool: str, arguments: Mapping[str, Any], *, meta: Mapping[str, Any] | None = None, **headers: Any
    ) -> Answer:
        """Call a tool; further arguments are header fields, with `_` for `-`."""
        return self.post(self.tool_call(tool, arguments, meta), **headers)

    def begin(
        self, tool: str, arguments: Mapping[str, Any], *, meta: Mapping[str, Any] | None = None, **headers: Any
    ) -> Held:
        """Call a tool in a thread of its own."""
        return Held(self, self.tool_call(tool, arguments, meta), headers)

    def tool_call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a request that calls a tool."""
        more = {} if meta is None else {"_meta": dict(meta)}
        return self.message("tools/call", {"name": tool, "arguments": dict(arguments), **more})

    def initialize(self, capabilities: Mapping[str, Any] | None = None) -> Line:
        """Shake hands as the legacy era does, and return the caller with its session, if it got one."""
        answer = replace(self, session=None).ask(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": dict(capabilities or {}),
                "clientInfo": {"name": "line", "version": "1"},
            },
        )
        session = answer.headers.get("mcp-session-id")
        line = replace(self, session=session)
        note = line.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert note.status == 202, note
        return line


def _mirrored(name: str) -> str:
    if name.isascii() and name.isprintable():
        return name
    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


def _read(
    status: int, headers: httpx.Headers, lines: Iterable[str], comments: queue.Queue[str | None] | None = None
) -> Answer:
    if not headers.get("content-type", "").startswith("text/event-stream"):
        text = "\n".join(lines)
        return Answer(status, headers, json.loads(text) if text else None, text=text)
    messages: list[dict[str, Any]] = []
    said: list[str] = []
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        if line.startswith(":"):
            said.append(line[1:].strip())
            if comments is not None:
                comments.put(said[-1])
        elif line.startswith("data:") and line != "data: ":  # which opens a stream that can be taken up again
            messages.append(json.loads(line[5:]))
    body = messages.pop() if messages else None
    return Answer(status, headers, body, messages, said, "\n".join(seen))
