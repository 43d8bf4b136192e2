"""The live inbox: a WebSocket that says "something changed" and nothing else, not even what. The page then fetches what
it shows over HTTP, where it is checked again who may see it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from approvals.database import in_database
from approvals.models import Person
from approvals.origins import Own, host_allowed, origin_allowed
from approvals.runtime import runtime
from approvals.selectors import visible_to
from approvals.standing import caller_of
from approvals.waiting import Waiting

UNAUTHENTICATED = 4401
FOREIGN = 4403
# A page that fetches itself again costs more than all hints of a second.
PAUSE_SECONDS = 0.5
MOST_ABOUT = 20
# So often a page looks whether its session still lives, also when no hint says that it ended.
LOOK_SECONDS = 20.0

_open: weakref.WeakSet[InboxConsumer] = weakref.WeakSet()
_listening: weakref.WeakSet[Waiting] = weakref.WeakSet()


def _tell(ids: Iterable[str] | None) -> None:
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
    """One open page of a signed-in person; `?about=<id>` in its address names the only request that it shows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._about: frozenset[str] | None = None
        self._news = False
        self._telling: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._session: Any = None  # of the browser, once connected
        self._person = ""

    def hint(self, ids: Iterable[str] | None) -> None:
        """Say at once, and then twice a second at most, that something moved which this page shows.

        None stands for anything, and the id of a person for their sessions. A page that does not read keeps nobody else
        waiting.
        """
        if ids is not None and self._about is not None and not self._concerns(ids, self._about):
            return
        self._news = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(self._tell_news())

    def _concerns(self, ids: Iterable[str], about: frozenset[str]) -> bool:
        return not (about | {self._person}).isdisjoint(ids)

    async def _tell_news(self) -> None:
        try:
            while self._news:
                self._news = False
                if not await self._may_stay():
                    return
                await self.send_json({"changed": True})
                await asyncio.sleep(PAUSE_SECONDS)
        except OSError:  # the page is gone; its disconnect follows
            _open.discard(self)

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not await self._may_stay():
                return

    async def _may_stay(self) -> bool:
        """Close the page of whoever is not signed in any more: signed out, switched off, idle, or in for too long."""
        if self._session is None or await in_database(lambda: _is_signed_in(self._session, self._person)):
            return True
        _open.discard(self)
        await self.close(UNAUTHENTICATED)
        return False

    async def connect(self) -> None:
        """Accept signed-in people from our own pages.

        A page of another site could ride on the session cookie.
        """
        if not self._is_ours():
            await self.close(FOREIGN)
        elif not getattr(self.scope.get("user"), "is_authenticated", False):
            await self.close(UNAUTHENTICATED)
        else:
            asked = parse_qs(self.scope["query_string"].decode("latin-1")).get("about")
            if asked is not None:
                self._about = await in_database(lambda: _seen(cast("Person", self.scope["user"]), asked[:MOST_ABOUT]))
            self._session, self._person = self.scope.get("session"), cast("Person", self.scope["user"]).pk
            _listen()
            await self.accept()
            _open.add(self)
            self._looking = asyncio.ensure_future(self._look_again())

    def _is_ours(self) -> bool:
        headers = {name: value.decode("latin-1") for name, value in self.scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        own = Own(settings.PUBLIC_URL, settings.EXTRA_HOSTS)
        return host_allowed(host, own) and origin_allowed(origin, host, own)

    async def disconnect(self, code: int) -> None:
        """Forget the page."""
        _open.discard(self)
        for task in (self._telling, self._looking):
            if task is not None:
                task.cancel()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Ignore whatever a page says: it has nothing to say here."""


def _is_signed_in(session: Any, person: str) -> bool:
    """Read the session anew and say whether it still is that of the person who opened the page."""
    request = HttpRequest()
    request.session = session.__class__(session.session_key)
    return get_user(request).pk == person


def _seen(person: Person, ids: list[str]) -> frozenset[str]:
    """Return those of the requests that this person may see: that one moved is nobody else's business."""
    policy = runtime().policies.current.policy
    return frozenset(visible_to(caller_of(person, policy), policy).filter(pk__in=ids).values_list("pk", flat=True))
