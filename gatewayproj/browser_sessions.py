"""Sessions of browsers: in the database, ended by idleness and by age, and what each knows of its sign-in.

Both ends are in the row's own expiry, so that pages, API and WebSocket find an ended session gone alike.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.dispatch import receiver
from django.utils.deprecation import MiddlewareMixin

if TYPE_CHECKING:
    from django.http import HttpRequest

BEGAN, SEEN, PROVIDER = "holdgate_began", "holdgate_seen", "holdgate_provider"
# A row is written anew at most so often, however busy its owner is.
NOTED_EVERY = 60.0


class SessionStore(DatabaseStore):
    """A session that ends when nobody used it for a while, and in any case some hours after the sign-in."""

    def get_session_cookie_age(self) -> int:
        """Return the seconds that are left."""
        idle = int(settings.SESSION_IDLE_SECONDS)
        began = self.get(BEGAN)
        left = idle if began is None else int(began + settings.SESSION_SECONDS - time.time())
        return max(0, min(idle, left))


@receiver(user_logged_in)
def _begin(sender: object, request: HttpRequest, **_: object) -> None:
    """Whoever signs in begins a session, also again and also in the demo."""
    request.session[BEGAN] = request.session[SEEN] = time.time()


class KeepSession(MiddlewareMixin):
    """Keeps the session of somebody who is there. A page that brings itself up to date is no sign of that."""

    def process_request(self, request: HttpRequest) -> None:
        """Note that the person did something, at most once a minute."""
        session, now = request.session, time.time()
        if request.method in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Dest") == "empty":
            return
        pause = min(NOTED_EVERY, settings.SESSION_IDLE_SECONDS / 10)
        if BEGAN in session and now - session.get(SEEN, 0.0) >= pause:
            session[SEEN] = now


@dataclass(frozen=True, slots=True, repr=False)
class AtProvider:
    """Where a session was opened, and what its provider wants to see when it is closed. `repr` shows nothing."""

    issuer: str
    hint: str


def remember_provider(session: SessionBase, where: AtProvider) -> None:
    """Keep on the server's side where this session was opened."""
    session[PROVIDER] = asdict(where)


def provider_of(session: SessionBase) -> AtProvider | None:
    """Return where the session was opened, None for the links of the demo."""
    kept = session.get(PROVIDER)
    return AtProvider(**kept) if kept else None
