"""A gateway whose answers a test writes down beforehand, for the other side: `manage.py call`.

    with scripted_gateway([tool_result("3 rows")], era="legacy") as gateway:
        ...
        assert gateway.calls[0].headers["prefer"] == "wait=30"

Handshakes and lists are answered by themselves; the script is for `tools/call`, one entry for each of them.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

CUT = "cut"  # the connection breaks without an answer


@dataclass(frozen=True)
class Scripted:
    """One answer: a JSON-RPC message or a plain body, as JSON; with notes before it, as an event stream."""

    body: Mapping[str, Any] | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Came:
    """What came in: the method of the message, the message, and the header fields in lower case."""

    method: str
    message: Mapping[str, Any]
    headers: Mapping[str, str]


def tool_result(text: str, *, is_error: bool = False, **meta: Any) -> Scripted:
    """A tool's own answer."""
    result = {"content": [{"type": "text", "text": text}], "isError": is_error, "_meta": meta}
    return Scripted({"jsonrpc": "2.0", "id": 2, "result": result})


def refusal(reason: str, executed: str = "false", *, notes: tuple[str, ...] = (), **fields: Any) -> Scripted:
    """The gateway's refusal of a tools/call; `approval` among the fields goes to its own place."""
    approval = fields.pop("approval", None)
    decision = {"call_id": "c1", "reason": reason, "executed": executed, "message": f"It is {reason}."}
    meta = {
        "holdgate/decision": {**decision, **fields},
        **({"holdgate/approval": approval} if approval else {}),
    }
    answer = tool_result("REFUSED", is_error=True, **meta)
    return Scripted(answer.body, notes=notes)


class ScriptedGateway:
    """The running server: its address, what came, and what is left of the script."""

    def __init__(self, script: Sequence[Scripted | str], era: Literal["modern", "legacy"]) -> None:
        self.script = list(script)
        self.era = era
        self.came: list[Came] = []
        self.tools: list[dict[str, Any]] = []
        self.approvals: list[dict[str, Any]] = []
        self.url = ""

    @property
    def calls(self) -> list[Came]:
        """The calls that came, without handshakes and lists."""
        return [came for came in self.came if came.method == "tools/call"]

    def answer(self, came: Came) -> Scripted | str:
        """Choose what to answer."""
        match came.method:
            case "tools/call":
                return self.script.pop(0)
            case "server/discover" if self.era == "modern":
                return _result(1, {"supportedVersions": ["2026-07-28"], "capabilities": {}})
            case "initialize" if self.era == "legacy":
                version = {"protocolVersion": "2025-11-25", "capabilities": {}}
                return Scripted(_result(1, version).body, headers={"Mcp-Session-Id": "s1"})
            case "notifications/initialized":
                return Scripted(None, status=202)
            case "tools/list":
                return _result(1, {"tools": self.tools})
        error = {"code": -32601, "message": "unknown method"}
        return Scripted({"jsonrpc": "2.0", "id": 1, "error": error}, status=404)


def _result(request_id: int, value: Mapping[str, Any]) -> Scripted:
    return Scripted({"jsonrpc": "2.0", "id": request_id, "result": value})


class _Handler(BaseHTTPRequestHandler):
    gateway: ScriptedGateway

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        came = Came(message["method"], message, headers)
        self.gateway.came.append(came)
        answer = self.gateway.answer(came)
        if isinstance(answer, str):
            self.close_connection = True
            return
        self._send(answer)

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/v1/approvals/").rstrip("/")
        found = next((approval for approval in self.gateway.approvals if approval["id"] == name), None)
        self._send(Scripted(found or {"reason": "forbidden"}, status=200 if found else 404))

    def do_DELETE(self) -> None:
        self._send(Scripted(None, status=204))

    def _send(self, answer: Scripted) -> None:
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        kind = "application/json"
        if answer.notes:
            kind = "text/event-stream"
            events = [_note(text) for text in answer.notes] + [body]
            body = b": held\n\n" + b"".join(b"data: " + event + b"\n\n" for event in events)
        self.send_response(answer.status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _note(text: str) -> bytes:
    params = {"progressToken": "call", "progress": 1, "message": text}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).encode()


@contextlib.contextmanager
def scripted_gateway(
    script: Sequence[Scripted | str], era: Literal["modern", "legacy"] = "modern"
) -> Iterator[ScriptedGateway]:
    """Serve on a free loopback port for as long as the block lasts."""
    gateway = ScriptedGateway(script, era)
    handler = type("Handler", (_Handler,), {"gateway": gateway})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
