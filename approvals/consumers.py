"""The live inbox: a WebSocket that carries hints and nothing else. The page then fetches what it shows over
HTTP, where it is checked again who may see it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings

from approvals.origins import Own, host_allowed, origin_allowed
from approvals.runtime import runtime
from approvals.waiting import Waiting

UNAUTHENTICATED = 4401
FOREIGN = 4403
MOST_NEWS = 1000

_open: weakref.WeakSet[InboxConsumer] = weakref.WeakSet()
_listening: weakref.WeakSet[Waiting] = weakref.WeakSet()


async def _tell(ids: tuple[str, ...]) -> None:
    """Pass a hint on to every open page of this process."""
    for page in list(_open):
        page.hint(ids)


def _listen() -> None:
    """Subscribe this process to hints, once."""
    waiting = runtime().waiting
    if waiting not in _listening:
        _listening.add(waiting)
        waiting.listen(_tell)


class InboxConsumer(AsyncJsonWebsocketConsumer):
    """One open page of a signed-in person."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._news: set[str] = set()
        self._telling: asyncio.Task[None] | None = None

    def hint(self, ids: Iterable[str]) -> None:
        """Send these ids as soon as the page takes them. A page that does not read keeps nobody else waiting."""
        if len(self._news) < MOST_NEWS:  # beyond it looks for itself, every ten seconds
            self._news.update(ids)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(self._tell_news())

    async def _tell_news(self) -> None:
        try:
            while self._news:
                await self.send_json({"id": self._news.pop()})
        except OSError:  # the page is gone; its disconnect follows
            _open.discard(self)

    async def connect(self) -> None:
        """Accept signed-in people from our own pages.

        A page of another site could ride on the session cookie.
        """
        if not self._is_ours():
            await self.close(FOREIGN)
        elif not getattr(self.scope.get("user"), "is_authenticated", False):
            await self.close(UNAUTHENTICATED)
        else:
            _listen()
            await self.accept()
            _open.add(self)

    def _is_ours(self) -> bool:
        headers = {name: value.decode("latin-1") for name, value in self.scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        own = Own(settings.PUBLIC_URL, settings.EXTRA_HOSTS)
        return host_allowed(host, own) and origin_allowed(origin, host, own)

    async def disconnect(self, code: int) -> None:
        """Forget the page."""
        _open.discard(self)
        if self._telling is not None:
            self._telling.cancel()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Ignore whatever a page says: it has nothing to say here."""
