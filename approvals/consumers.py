"""The live inbox: a WebSocket that carries hints and nothing else. The page then fetches what it shows over
HTTP, where it is checked again who may see it."""

from __future__ import annotations

import weakref
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings

from approvals.origins import Own, host_allowed, origin_allowed
from approvals.runtime import runtime
from approvals.waiting import Waiting

UNAUTHENTICATED = 4401
FOREIGN = 4403

_open: weakref.WeakSet[InboxConsumer] = weakref.WeakSet()
_listening: weakref.WeakSet[Waiting] = weakref.WeakSet()


async def _tell(ids: tuple[str, ...]) -> None:
    """Pass a hint on to every open page of this process."""
    for page in list(_open):
        for approval_id in ids:
            await page.send_json({"id": approval_id})


def _listen() -> None:
    """Subscribe this process to hints, once."""
    waiting = runtime().waiting
    if waiting not in _listening:
        _listening.add(waiting)
        waiting.listen(_tell)


class InboxConsumer(AsyncJsonWebsocketConsumer):
    """One open page of a signed-in person."""

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

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Ignore whatever a page says: it has nothing to say here."""
