"""Serving the port for the other processes of this installation, where HOLDGATE_INTERNAL_BIND names one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings

from proxy.tunnel.hop import Hop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.tunnel.door import Agents

STOP_SECONDS = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Internal:
    """The port, in the running event loop."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and serve, and have agents known by its address. Raises OSError when the port cannot be had."""
        if not settings.INTERNAL_BIND:
            return
        host, _, port = settings.INTERNAL_BIND.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        listener = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
        shown = f"[{host}]" if ":" in host else host
        self._agents.address = settings.INTERNAL_URL or f"http://{shown}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            Hop(self._agents),
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

    async def stop(self) -> None:
        """End it."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
