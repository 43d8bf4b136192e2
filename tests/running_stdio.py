"""The runner of stdio servers on a socket of its own, and a client of it as the gateway is one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from approvals.config.loader import load
from approvals.publication import Policies, compile_snapshot
from approvals.secrets import Secrets
from approvals.vault import Vault
from gatewayproj.stdio import StdioServing
from proxy.credentials import Credentials
from proxy.errors import Fault
from proxy.stdio.door import Door
from proxy.upstream import UpstreamRequest

SERVER = str(Path(__file__).with_name("stdio_server.py"))
COMMANDS = ((sys.executable, SERVER),)
MODERN = "2026-07-28"
T = TypeVar("T")
_kept_by_others: set[int] = set()  # children of this process when the runner was started, such as a session's gateway


def connection(*modes: str, **more: Any) -> dict[str, Any]:
    """Return a stdio connection to the test server; `limits` are merged with a short grace."""
    limits = {"grace": "1s", **more.pop("limits", {})}
    command = more.pop("command", [sys.executable, SERVER, *modes])
    return {"transport": "stdio", "command": command, "default": "allow", "limits": limits, **more}


@dataclass
class Asked:
    """What came of one request."""

    status: int
    session: str | None
    messages: list[dict[str, Any]]
    streamed: bool

    @property
    def result(self) -> dict[str, Any]:
        assert "result" in self.messages[-1], self.messages
        return dict(self.messages[-1]["result"])

    @property
    def said(self) -> str:
        return str(self.result["content"][0]["text"])

    @property
    def data(self) -> Any:
        return json.loads(self.said)


@dataclass
class Client:
    """Speaks to the runner as the gateway does."""

    door: Door
    serving: StdioServing
    policies: Policies
    secrets: dict[str, str] = field(default_factory=dict)
    number: int = 0

    @property
    def pool(self) -> Any:
        assert self.serving.runner is not None
        return self.serving.runner.pool

    def configure(self, **connections: dict[str, Any]) -> None:
        """Bring another configuration into force."""
        text = yaml.safe_dump(json.loads(json.dumps({"version": 1, "connections": connections})))
        revision = self.policies.seen.revision + 1 if self.policies.seen else 1
        self.policies._current = compile_snapshot(load(text), revision=revision, digest="")

    async def send(
        self, name: str, message: dict[str, Any], *, session: str | None = None, era: str = "", **more: Any
    ) -> Asked:
        headers = ((b"mcp-protocol-version", era.encode()),) if era else ()
        owner = (("holdgate-owner", more.pop("owner", "dave")), ("holdgate-run", more.pop("run", "")))
        request = UpstreamRequest(
            url=self.door.url(name),
            body=json.dumps(message).encode(),
            id=message.get("id") if "method" in message else None,
            headers=headers,
            session=session,
            credential=self.door.credential,
            fields=owner,
            timeout=more.pop("timeout", 60.0),
            **more,
        )
        async with await self.door.upstream.exchange(request) as answer:
            got = [json.loads(one) async for one in answer.messages()]
            return Asked(answer.status, answer.session, got, answer.streamed)

    async def ask(self, name: str, method: str, params: dict[str, Any] | None = None, **more: Any) -> Asked:
        self.number += 1
        request_id = more.pop("id", self.number)
        return await self.send(
            name, {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}, **more
        )

    async def call(self, name: str, tool: str, *, meta: dict[str, Any] | None = None, **more: Any) -> Asked:
        params: dict[str, Any] = {"name": tool, "arguments": more.pop("arguments", {})}
        if meta:
            params["_meta"] = meta
        return await self.ask(name, "tools/call", params, **more)

    async def begin(self, name: str, **more: Any) -> str:
        """Shake hands as a legacy client; return the session."""
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        opened = await self.ask(name, "initialize", params, **more)
        assert opened.session, opened
        noted = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        owner = {"owner": more["owner"]} if "owner" in more else {}
        assert (await self.send(name, noted, session=opened.session, **owner)).status == 202
        return opened.session

    async def leave(self, name: str, session: str) -> int:
        request = UpstreamRequest(
            url=self.door.url(name), verb="DELETE", session=session, credential=self.door.credential, timeout=30.0
        )
        async with await self.door.upstream.exchange(request) as answer:
            return answer.status


@contextlib.asynccontextmanager
async def runner(
    secrets: dict[str, str] | None = None, *, vault: Vault | None = None, **connections: dict[str, Any]
) -> AsyncIterator[Client]:
    """Serve the runner with these connections; nothing of it is left at the end."""
    _kept_by_others.clear()
    _kept_by_others.update(_children_of(os.getpid()))
    folder = Path(tempfile.mkdtemp(prefix="hg-"))
    known = secrets if secrets is not None else {}
    policies = Policies()
    credentials = Credentials(Secrets(environ=known, vault=vault))
    serving = StdioServing(folder / "s", policies, credentials=credentials, commands=COMMANDS)
    client = Client(Door(lambda: folder / "s"), serving, policies, known)
    client.configure(**connections)
    try:
        await serving.start()
        yield client
    finally:
        await client.door.upstream.aclose()
        await serving.stop()
        shutil.rmtree(folder)


def within(work: Callable[[], Awaitable[T]], seconds: float = 180.0) -> T:
    """Run it in an event loop of its own."""

    async def main() -> T:
        return await asyncio.wait_for(work(), seconds)

    return asyncio.run(main())


async def refused(asking: Any) -> tuple[str, str, str]:
    """Return reason, effect and sentence of the fault in which this ends."""
    with pytest.raises(Fault) as caught:
        await asking
    return caught.value.reason, caught.value.executed, caught.value.message


def is_alive(pid: int) -> bool:
    """Say whether a process runs, and is more than an entry that its parent has not read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def children(pid: int | None = None) -> list[int]:
    """Return every process below this one, but for what other tests keep running for the whole session."""
    ours = [one for one in _children_of(pid or os.getpid()) if one not in _kept_by_others]
    return ours + [below for one in ours for below in children(one)]


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has just ended
            found += map(int, thread.read_text().split())
    return found


async def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)
    return answer
