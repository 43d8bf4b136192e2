"""A stdio server for the tests, without any library: it can do what a server should, and much that none should.

`python tests/stdio_server.py MODE…` misbehaves from its start, its tools when they are called.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

OUT = sys.stdout.buffer
Request = dict[str, Any]
STATE: dict[str, Any] = {"calls": 0, "initialized": 0}


def write(message: dict[str, Any]) -> None:
    OUT.write(json.dumps(message).encode() + b"\n")
    OUT.flush()


def raw(data: bytes) -> None:
    OUT.write(data)
    OUT.flush()


def answer(request: dict[str, Any], **result: Any) -> None:
    write({"jsonrpc": "2.0", "id": request["id"], "result": result})


def text(request: dict[str, Any], said: str) -> None:
    answer(request, content=[{"type": "text", "text": said}], isError=False)


def sleeper(*, own_session: bool) -> int:
    """Begin a process that would outlive this one, with our standard output in its hands."""
    return subprocess.Popen(["sleep", "600"], start_new_session=own_session).pid


def _environment(request: Request, _: Any) -> None:
    text(request, json.dumps(dict(os.environ)))


def _where(request: Request, _: Any) -> None:
    text(request, json.dumps({"cwd": os.getcwd(), "argv": sys.argv[1:], "pid": os.getpid()}))


def _count(request: Request, _: Any) -> None:
    STATE["calls"] += 1
    text(request, str(STATE["calls"]))


def _progress(request: Request, arguments: Any) -> None:
    token = request["params"]["_meta"]["progressToken"]
    for step in range(arguments.get("steps", 3)):
        params = {"progressToken": token, "progress": step, "message": f"step {step}"}
        write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    text(request, "done")


def _log(request: Request, _: Any) -> None:
    params = {"level": "info", "data": "card 4111 1111 1111 1111"}
    write({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
    text(request, "logged")


def _half(request: Request, _: Any) -> None:
    raw(b'{"jsonrpc": "2.0", "id": 1, "res')
    os._exit(0)


def _banner(request: Request, _: Any) -> None:
    raw(b"[INFO] ready\n\nlistening on stdio\n")
    text(request, "after the banner")


def _flood(request: Request, _: Any) -> None:
    for _number in range(100_000):
        raw(b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}\n' * 100)


def _endless(request: Request, _: Any) -> None:
    while True:
        raw(b"x" * 65536)


def _complain(request: Request, arguments: Any) -> None:
    for number in range(arguments["lines"]):
        sys.stderr.write(f"line {number} with card 4111 1111 1111 1111 and {os.environ.get('API_TOKEN')}\n")
    sys.stderr.flush()
    text(request, "complained")


def _eat(request: Request, arguments: Any) -> None:
    eaten = bytearray(arguments["size"])
    text(request, str(len(eaten)))


def _orphans(request: Request, _: Any) -> None:
    text(request, json.dumps([sleeper(own_session=False), sleeper(own_session=True)]))


def _fork(request: Request, arguments: Any) -> None:
    text(request, json.dumps([sleeper(own_session=True) for _ in range(arguments["count"])]))


def _ask(request: Request, _: Any) -> None:
    STATE["asked_by"] = request
    write({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}})


def _announce(request: Request, _: Any) -> None:
    write({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"})
    text(request, "announced")


TOOLS: dict[str, Callable[[Request, Any], object]] = {
    "echo": lambda request, arguments: text(request, arguments.get("text", "")),
    "count": _count,
    "env": _environment,
    "where": _where,
    "progress": _progress,
    "log": _log,
    "slow": lambda request, _: STATE.update(slow=request["id"]),
    "cancelled": lambda request, _: text(request, json.dumps(STATE.get("cancelled"))),
    "die": lambda _, arguments: os._exit(arguments.get("code", 3)),
    "orphans": _orphans,
    "half": _half,
    "garbage": lambda *_: raw(b'{"jsonrpc": "2.0", nonsense}\n'),
    "banner": _banner,
    "latin": lambda *_: raw(b'{"jsonrpc": "2.0", "id": 1, "result": {"a": "\xe9\xff"}}\n'),
    "flood": _flood,
    "endless": _endless,
    "big": lambda request, arguments: text(request, "x" * arguments["size"]),
    "complain": _complain,
    "eat": _eat,
    "fork": _fork,
    "ask": _ask,
    "announce": _announce,
}


def hear(message: dict[str, Any]) -> None:
    match message.get("method"):
        case "initialize":
            STATE["initialized"] += 1
            info = {"name": "hostile", "version": str(STATE["initialized"])}
            version = message["params"]["protocolVersion"]
            answer(message, protocolVersion=version, capabilities={"tools": {}}, serverInfo=info)
        case "tools/list":
            answer(message, tools=[{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS])
        case "tools/call":
            params = message["params"]
            TOOLS[params["name"]](message, params.get("arguments", {}))
        case "notifications/cancelled":
            STATE["cancelled"] = message["params"]["requestId"] == STATE.get("slow")
        case None:
            if message.get("id") == "s1":
                text(STATE["asked_by"], json.dumps(message.get("error", message.get("result"))))
        case _ if "id" in message:
            write({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "unknown"}})


def main(modes: list[str]) -> None:
    if "exits" in modes:
        sys.stderr.write("cannot find the database\n")
        sys.exit(7)
    if "garbage" in modes:
        raw(b'{"nonsense"\n')
    if "stubborn" in modes:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "deaf" in modes:
        time.sleep(600)
    for line in sys.stdin.buffer:
        hear(json.loads(line))
    if "stubborn" in modes:
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1:])
