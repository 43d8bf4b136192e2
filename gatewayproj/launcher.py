"""Our own server: all in one process (web, Celery worker, beat) without a service, or one web process of several."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings
from django.core.management import call_command

from approvals.database import in_database
from approvals.runtime import runtime
from approvals.slack.socket import Keeper
from gatewayproj.celery import EmbeddedCelery
from gatewayproj.http import LONGEST_MESSAGE, Protocol, WebSocket
from gatewayproj.stdio import StdioServing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

DRAIN_SECONDS = 30


class NotStarted(Exception):
    """The gateway ended while it was starting; its log says why."""


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the launcher decides when to stop, after streams got their end."""

    async def serve_or_raise(self, listener: socket.socket) -> None:
        """Serve until told to stop. Raises NotStarted where uvicorn would end the process."""
        try:
            await self.serve(sockets=[listener])
        except SystemExit as error:
            msg = "the gateway did not start; the reason is in the log"
            raise NotStarted(msg) from error

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Launcher:
    """Starts and stops one gateway in the running event loop. `port` 0 takes a free one.

    `web` leaves out what production runs as processes and commands of their own: worker, beat, migrations.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 8080, web: bool = False) -> None:
        self._host = host
        self._port = port
        self._web = web
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._celery: EmbeddedCelery | None = None
        self._slack: Keeper | None = None
        self._stdio: StdioServing | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def start(self, before: Callable[[], Awaitable[None]] | None = None) -> str:
        """Migrate, run `before`, bind, serve, and return the gateway's address.

        Raises OSError when the port is taken, and whatever `before` raises: nothing is served then.
        """
        if not self._web:
            await in_database(lambda: call_command("migrate", verbosity=0, interactive=False))
        if before is not None:
            await before()
        settings.ALL_IN_ONE = not self._web
        if not self._web:
            await self._start_stdio()
        listener = _bind(self._host, self._port)
        if not settings.PUBLIC_URL:
            settings.PUBLIC_URL = f"http://{_shown(self._host)}:{listener.getsockname()[1]}"
            settings.CSRF_TRUSTED_ORIGINS = [settings.PUBLIC_URL]
        from gatewayproj.asgi import application

        config = uvicorn.Config(
            application,
            http=Protocol,
            ws=WebSocket,
            ws_max_size=LONGEST_MESSAGE,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            date_header=True,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            backlog=4096,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve_or_raise(listener))
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.01)
        if not self._web:
            await self._start_celery()
            self._slack = Keeper(runtime())
            self._slack.start()
        return settings.PUBLIC_URL

    async def _start_stdio(self) -> None:
        """Serve the runner of stdio servers to this process, on a path that is short wherever the state folder is."""
        self._folder = tempfile.TemporaryDirectory(prefix="holdgate-")
        settings.STDIO_SOCKET = Path(self._folder.name) / "stdio.sock"
        house = await in_database(runtime)
        self._stdio = StdioServing(settings.STDIO_SOCKET, house.policies)
        await self._stdio.start()

    async def _start_celery(self) -> None:
        # Celery looks at Django's connections while it is set up, which an event loop's thread may not.
        self._celery = await asyncio.get_running_loop().run_in_executor(None, EmbeddedCelery)
        self._celery.start()

    async def stop(self) -> None:
        """Drain: held calls get their pending result, running ones finish, then everything stops."""
        if self._slack is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._slack.stop)
        if self._celery is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._celery.stop)
        if self._server is not None and self._serving is not None:
            from gatewayproj.asgi import agents, gateway

            agents.begin_shutdown()
            gateway.begin_shutdown()
            self._server.should_exit = True
            await self._serving
        if self._stdio is not None:
            await self._stdio.stop()
        if self._folder is not None:
            self._folder.cleanup()

    async def serve(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Start, wait for SIGTERM or SIGINT, and stop."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.start(before)
        await stopping.wait()
        await self.stop()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _shown(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "localhost"
    return f"[{host}]" if ":" in host else host
