"""Renewing what is stored: by one of all processes, and never used before it is stored.

A refresh token that its authorization server replaces is good once. So the new one is stored, sealed, before the token
that came with it is used; who asks at the same time waits for that one's answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from django.db import Error as DatabaseFailure

from approvals.database import in_database
from proxy.errors import CredentialUnavailable
from proxy.oauth import stored
from proxy.oauth.asking import Granted, TokenRefused

if TYPE_CHECKING:
    from approvals.secrets import Secret
    from proxy.oauth.stored import Stored

# How long one waits for another process that renews, and how often one looks.
WAIT_SECONDS = 10.0
PAUSE_SECONDS = 0.1
# What was stored is believed so long: who takes a grant back is heard by every process after that.
LOOK_SECONDS = 15.0
_STORING = (0.0, 0.2, 1.0, 2.0)

Renew = Callable[["Secret"], Awaitable[Granted]]


class NotConnected(Exception):
    """There is no grant, or it has ended; the text is the error code of the authorization server, or empty."""


@dataclass(frozen=True, slots=True)
class _Unstored:
    turn: int
    refresh: Secret
    granted: Granted


class Renewing:
    """One per process. `margin` says of a life in seconds how much of its end is not used."""

    def __init__(self, margin: Callable[[float], float]) -> None:
        self._margin = margin
        self._unstored: dict[str, _Unstored] = {}

    async def token(self, place: str, renew: Renew, refused: Secret | None) -> tuple[Secret, float]:
        """Return an access token of a stored grant that is not the `refused` one, and for how long it may be kept.

        Raises NotConnected and CredentialUnavailable.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            await self._store_what_is_left(place)
            while time.monotonic() < deadline:
                found = await in_database(partial(stored.load, place))
                if found is None or found.ended:
                    raise NotConnected(found.ended if found else "")
                left = found.until - time.time()
                left -= self._margin(left)
                if found.access is not None and left > 0 and found.access != refused:
                    return found.access, min(left, LOOK_SECONDS)
                if not found.refresh.reveal():  # there never was one, and the token that came without it is over
                    raise NotConnected("expired")
                turn = await in_database(partial(stored.lease, place, found.turn))
                if turn is not None:
                    return await self._renewed(place, turn, found, renew)
                await asyncio.sleep(PAUSE_SECONDS)
        except DatabaseFailure as error:
            message = "What renews the token of this connection cannot be read or stored now."
            raise CredentialUnavailable(message, detail="grant_unreadable") from error
        message = "Another process of the gateway renews the token of this connection, and took too long."
        raise CredentialUnavailable(message, detail="grant_busy")

    async def _renewed(self, place: str, turn: int, found: Stored, renew: Renew) -> tuple[Secret, float]:
        try:
            granted = await renew(found.refresh)
        except TokenRefused as error:
            ended = error.error if error.error == "invalid_grant" else ""
            await in_database(partial(stored.give_back, place, turn, ended))
            if ended:
                raise NotConnected(ended) from error
            raise
        except CredentialUnavailable:
            await in_database(partial(stored.give_back, place, turn))
            raise
        refresh = granted.refresh or found.refresh
        if not await self._stored(place, _Unstored(turn, refresh, granted)):
            message = "The token of this connection was replaced while it was renewed; call again."
            raise CredentialUnavailable(message, detail="grant_busy")
        return granted.access, min(max(0.0, granted.seconds - self._margin(granted.seconds)), LOOK_SECONDS)

    async def _stored(self, place: str, new: _Unstored) -> bool:
        """Store what was got, with patience: nobody else has the new refresh token."""
        self._unstored[place] = new
        for pause in _STORING[:-1]:
            try:
                return await self._store_what_is_left(place)
            except DatabaseFailure:
                await asyncio.sleep(pause)
        return await self._store_what_is_left(place)

    async def _store_what_is_left(self, place: str) -> bool:
        """Store what an earlier attempt could not. Raises DatabaseFailure, and then it is left still."""
        new = self._unstored.get(place)
        if new is None:
            return True
        kept = await in_database(partial(stored.keep, place, new.turn, new.refresh, new.granted))
        del self._unstored[place]
        return kept
