"""Other proxies, each in an environment of its own: calls per second beside those of the governed gateway.

They are called as their own clients would: with a session of 2025-11-25. None of them records durably, and no policy
or masking is switched on in any.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks import messages
from benchmarks.child import GUARD, ROOT, pin
from benchmarks.paired import one_round, sides
from benchmarks.report import Figure
from benchmarks.world import TARGET_CORE, World, upstream_url
from tests.servers import free_port

CALLERS = 32
WARMUP_SECONDS = 1.0
INSTALL_SECONDS = 600


class NotHere(Exception):
    """A peer cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that serves: how it is called, and what it calls the tools that have another name there."""

    port: int
    path: str = "/mcp"
    names: Mapping[str, str] = field(default_factory=dict)
    authorization: str = ""

    def tool(self, name: str) -> str:
        """Return the peer's name of a tool of the upstream."""
        return self.names.get(name, name)


Start = Callable[[Path, str, str], contextlib.AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Peer:
    """What is measured: a name, what is installed for it, how it is started, and how far we mean to be ahead."""

    name: str
    requirement: str
    start: Start
    target: str
    form: str = ""


def peers(world: World, *, seconds: float, rounds: int, install: bool) -> list[Figure]:
    """Measure each peer in turn with the gateway, 32 callers, one core; without `install` only those that are there."""
    figures: list[Figure] = []
    for peer in PEERS:
        try:
            python = environment(peer.requirement, install)
            with peer.start(python, upstream_url(world.upstream), peer.form) as running:
                figures += _measured(world, peer, running, seconds, rounds)
        except NotHere as why:
            figures.append(Figure("peers c=32", peer.name, f"not measured: {why}"))
    return figures


def _measured(world: World, peer: Peer, running: Running, seconds: float, rounds: int) -> list[Figure]:
    _session_calls(world, running, WARMUP_SECONDS)
    gateway, ours, theirs = sides(world)[2], [], []
    for _ in range(rounds):
        ours.append(one_round(world, gateway, CALLERS, seconds)["rate"])
        theirs.append(_session_calls(world, running, seconds))
    ratio = statistics.median(own / other for own, other in zip(ours, theirs, strict=True))
    shown = f"{ratio:.1f} x ({statistics.median(ours):,.0f}/s against {statistics.median(theirs):,.1f}/s)"
    figures = [Figure("peers c=32", f"calls/s against {peer.name}", shown, peer.target)]
    return figures + _large(world, peer, running, seconds, rounds) + _streamed(world, peer, running, rounds)


def _large(world: World, peer: Peer, running: Running, seconds: float, rounds: int) -> list[Figure]:
    """Fetch answers of 1 MiB, one caller, in turn with the gateway, which masks them."""
    gateway, ours, theirs = sides(world)[2], [], []
    try:
        for _ in range(rounds):
            ours.append(one_round(world, gateway, 1, seconds, messages.LARGE)["rate"])
            theirs.append(_session_calls(world, running, seconds, callers=1, asked=messages.LARGE))
    except NotHere as why:
        return [Figure("peers 1 MiB", peer.name, f"not measured: {why}")]
    ratio = statistics.median(own / other for own, other in zip(ours, theirs, strict=True))
    shown = f"{ratio:.2f} x ({statistics.median(ours):,.1f}/s masked against {statistics.median(theirs):,.1f}/s)"
    return [Figure("peers 1 MiB", f"answers/s against {peer.name}", shown)]


def _streamed(world: World, peer: Peer, running: Running, rounds: int) -> list[Figure]:
    """Read streams of 1,000 events: how long each takes, and how many of the events arrive at all."""
    gateway = sides(world)[2]
    own = world.load.ask(
        do="streams", port=gateway.port, path=gateway.path, count=rounds, masked=True, authorization=world.dave
    )
    try:
        other = _asked(world, do="session_streams", count=rounds, running=running, tool=messages.STREAM)
    except NotHere as why:
        return [Figure("peers stream", peer.name, f"not measured: {why}")]
    times = f"{other['seconds'] * 1000:,.0f} ms with {other['messages'] - 1:,.0f} of 1,000 events"
    shown = f"{own['seconds'] * 1000:,.0f} ms with all, masked, against {times}"
    firsts = f"{own['first']:.1f} ms against {other['first']:.1f} ms"
    return [
        Figure("peers stream", f"a stream of 1,000 events against {peer.name}", shown),
        Figure("peers stream", f"its first byte against {peer.name}", firsts),
    ]


def _session_calls(
    world: World, running: Running, seconds: float, *, callers: int = CALLERS, asked: str = messages.CALL
) -> float:
    answer = _asked(
        world, do="session_calls", running=running, tool=asked, callers=callers, seconds=seconds, asked=asked
    )
    return float(answer["calls"] / answer["seconds"])


def _asked(world: World, *, running: Running, tool: str, **command: Any) -> dict[str, Any]:
    """Let the load ask a peer for a tool. Raises NotHere when it answers wrong."""
    where = {"port": running.port, "path": running.path, "authorization": running.authorization}
    try:
        answer: dict[str, Any] = world.load.ask(tool=running.tool(tool), **where, **command)
    except RuntimeError as fault:
        raise NotHere(f"it answered wrong: {str(fault)[-160:]}") from fault
    return answer


def environment(requirement: str, install: bool) -> Path:
    """Return the Python of the environment in which this is installed. Raises NotHere when it is not."""
    base = os.environ.get("HOLDGATE_BENCH_ENVS") or str(Path.home() / ".cache" / "holdgate-bench")
    folder = Path(base) / requirement.replace("==", "-")
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists():
        return python
    if not install:
        raise NotHere("not installed; the cell alone, with --only, installs it")
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word"])[-1]
        raise NotHere(f"{requirement} could not be installed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"{requirement} was not installed within {INSTALL_SECONDS} s") from error
    done.touch()
    return python


@contextlib.contextmanager
def _fastmcp(python: Path, upstream: str, form: str) -> Iterator[Running]:
    port = free_port()
    command = [str(python), str(ROOT / "benchmarks" / "peer_fastmcp.py"), upstream, str(port), form]
    with _process(command, {}, f"http://127.0.0.1:{port}/mcp"):
        yield Running(port)


@contextlib.contextmanager
def _contextforge(python: Path, upstream: str, _form: str) -> Iterator[Running]:
    """ContextForge as it comes, with authentication, on SQLite; its rate limits and plugins are off."""
    port = free_port()
    secret = secrets.token_urlsafe(48)
    with tempfile.TemporaryDirectory(prefix="holdgate-bench-") as folder:
        env = {
            "DATABASE_URL": f"sqlite:///{folder}/mcp.db", "JWT_SECRET_KEY": secret,
            "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48), "AUTH_REQUIRED": "true",
            "BASIC_AUTH_PASSWORD": secrets.token_urlsafe(24), "PLATFORM_ADMIN_EMAIL": "admin@example.com",
            "PLATFORM_ADMIN_PASSWORD": secrets.token_urlsafe(24), "DEFAULT_USER_PASSWORD": secrets.token_urlsafe(24),
            "RATE_LIMITING_ENABLED": "false", "TOOL_RATE_LIMIT": "1000", "PLUGINS_ENABLED": "false",
            "SSRF_ALLOW_LOCALHOST": "true", "SSRF_ALLOW_PRIVATE_NETWORKS": "true", "LOG_LEVEL": "ERROR",
            "CACHE_TYPE": "memory",
        }  # fmt: skip
        command = [str(python.parent / "mcpgateway"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        address = f"http://127.0.0.1:{port}"
        with _process([*command, "--log-level", "error"], env, f"{address}/health", cwd=folder):
            bearer = f"Bearer {_admin_token(python, env, folder)}"
            with httpx.Client(
                base_url=address, headers={"authorization": bearer}, timeout=GUARD, trust_env=False
            ) as to:
                path, names = _registered(to, upstream)
            yield Running(port, path, names, bearer)


def _admin_token(python: Path, env: dict[str, str], folder: str) -> str:
    command = [str(python), "-m", "mcpgateway.utils.create_jwt_token", "--username", env["PLATFORM_ADMIN_EMAIL"]]
    command += ["--exp", "600", "--secret", env["JWT_SECRET_KEY"], "--admin"]
    made = subprocess.run(
        command, env=_environ(env), cwd=folder, capture_output=True, text=True, timeout=GUARD, check=True
    )
    return made.stdout.strip().splitlines()[-1]


def _registered(client: httpx.Client, upstream: str) -> tuple[str, dict[str, str]]:
    """Register the upstream and a virtual server with its tools; return its path and the names it gave the tools."""
    _posted(client, "/gateways", {"name": "orders", "url": upstream, "transport": "STREAMABLEHTTP"})
    tools = client.get("/tools").json()
    server = {"name": "orders", "associated_tools": [tool["id"] for tool in tools]}
    made = _posted(client, "/servers", {"server": server, "team_id": None, "visibility": "public"})
    names = {str(tool.get("originalName") or tool["name"]): str(tool["name"]) for tool in tools}
    return f"/servers/{made['id']}/mcp", names


def _posted(client: httpx.Client, path: str, document: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=document)
    if answer.status_code not in {200, 201}:
        raise NotHere(f"POST {path}: {answer.status_code} {answer.text[:200]}")
    return dict(answer.json())


@contextlib.contextmanager
def _process(command: list[str], env: dict[str, str], address: str, cwd: str = "") -> Iterator[None]:
    """Run a peer on the core of what is measured until the block ends. Raises NotHere when it does not answer."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=_environ(env), cwd=cwd or ROOT, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 2 * GUARD
            while not _answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise NotHere(f"it does not answer: {log.read()[-300:]!r}")
                time.sleep(0.2)
            pin(process.pid, TARGET_CORE)
            yield
        finally:
            process.kill()
            process.wait()


def _answers(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address, timeout=5, trust_env=False).status_code < 500
    return False


def _environ(more: dict[str, str]) -> dict[str, str]:
    return {**{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}, **more}


PEERS = (
    Peer("FastMCP's proxy, one shared client", "fastmcp==4.1.2", _fastmcp, ">= 8 x", "shared"),
    Peer("FastMCP's proxy as it comes", "fastmcp==4.1.2", _fastmcp, ">= 80 x", "default"),
    Peer("ContextForge as it comes", "mcp-contextforge-gateway==1.0.7", _contextforge, ">= 100 x"),
)
