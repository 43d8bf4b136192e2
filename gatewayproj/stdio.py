"""Serving the runner of stdio servers on its socket: within the all-in-one server, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings

from approvals import secret_reader
from approvals.stdio_commands import configured
from proxy.credentials import Credentials
from proxy.stdio.door import token
from proxy.stdio.launches import Launches
from proxy.stdio.server import Runner
from proxy.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from approvals.publication import Policies

# What the system takes for the path of a socket, with its end (unix(7)).
LONGEST_PATH = 107
STOP_SECONDS = 2


class CannotServe(Exception):
    """The socket cannot be had; the message says why and what to do."""


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: who starts it decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class StdioServing:
    """The runner on its socket, in the running event loop. Credentials and commands are those of the settings."""

    def __init__(
        self,
        path: Path,
        policies: Policies,
        *,
        credentials: Credentials | None = None,
        commands: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self._path = path
        self._policies = policies
        self._credentials = credentials
        self._commands = commands
        self._lock: int | None = None
        self.runner: Runner | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and serve. Raises CannotServe."""
        listener = self._bind()
        credentials = self._credentials or Credentials(secret_reader.configured())
        commands = configured() if self._commands is None else self._commands
        self.runner = Runner(
            Launches(self._policies, credentials, commands), token(), Upstream(networks=settings.UPSTREAM_NETWORKS)
        )
        config = uvicorn.Config(
            self.runner,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                msg = f"{self._path} cannot be served"
                raise CannotServe(msg)
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End every server, and give the socket back."""
        if self.runner is not None:
            await self.runner.aclose()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        if self._lock is not None:
            os.close(self._lock)

    def _bind(self) -> socket.socket:
        """Take the socket, which nobody else serves. Raises CannotServe."""
        if len(os.fsencode(self._path)) > LONGEST_PATH:
            msg = f"{self._path} is too long for a socket; name a shorter one in HOLDGATE_STDIO_SOCKET"
            raise CannotServe(msg)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink(missing_ok=True)  # of one that was killed
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
        except OSError as error:
            listener.close()
            why = "another runner serves it" if isinstance(error, BlockingIOError) else error.strerror
            msg = f"{self._path}: {why}"
            raise CannotServe(msg) from error
        return listener


async def serve_until_told(path: Path, policies: Policies) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotServe."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = StdioServing(path, policies)
    await serving.start()
    try:
        await stopping.wait()
    finally:
        await serving.stop()
