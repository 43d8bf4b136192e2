"""The all-in-one server: web, Celery worker and beat in one process, on SQLite or PostgreSQL, without a service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings
from django.core.management import call_command

from approvals.database import in_database
from gatewayproj.celery import EmbeddedCelery

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
    """Starts and stops one gateway in the running event loop. `port` 0 takes a free one."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._celery: EmbeddedCelery | None = None

    async def start(self, before: Callable[[], Awaitable[None]] | None = None) -> str:
        """Migrate, run `before`, bind, serve, and return the gateway's address.

        Raises OSError when the port is taken, and whatever `before` raises: nothing is served then.
        """
        await in_database(lambda: call_command("migrate", verbosity=0, interactive=False))
        if before is not None:
            await before()
        settings.ALL_IN_ONE = True
        listener = _bind(self._host, self._port)
        if not settings.PUBLIC_URL:
            settings.PUBLIC_URL = f"http://{_shown(self._host)}:{listener.getsockname()[1]}"
            settings.CSRF_TRUSTED_ORIGINS = [settings.PUBLIC_URL]
        from gatewayproj.asgi import application

        config = uvicorn.Config(
            application,
            http="httptools",
            ws="websockets-sansio",
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
        # Celery looks at Django's connections while it is set up, which an event loop's thread may not.
        self._celery = await asyncio.get_running_loop().run_in_executor(None, EmbeddedCelery)
        self._celery.start()
        return settings.PUBLIC_URL

    async def stop(self) -> None:
        """Drain: held calls get their pending result, running ones finish, then everything stops."""
        if self._celery is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._celery.stop)
        if self._server is not None and self._serving is not None:
            from gatewayproj.asgi import gateway

            gateway.begin_shutdown()
            self._server.should_exit = True
            await self._serving

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
