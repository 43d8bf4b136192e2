"""The secrets that this process knows: hidden wherever they appear, whatever the policy says.

What is read by reference is known from its reading on (`approvals.secrets`), what stands in the settings from the start
(`gatewayproj.apps`). Values stay in memory only.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Final
from urllib.parse import unquote, urlsplit

# Shorter ones are words that stand in any text: hiding them would hide nothing and garble everything.
SHORTEST: Final = 6
# Rotation brings new values; of old ones the newest are kept.
_MOST: Final = 256
# What installations leave as it came: these words are no secrets, and stand in ordinary answers.
_NO_SECRETS: Final = frozenset({"postgres", "password", "holdgate", "changeme", "secret", "redis", "guest", "default"})

# The bearer token of the request that is served now: for what is logged meanwhile.
token_in_use: ContextVar[str] = ContextVar("token_in_use", default="")

_lock = threading.Lock()
_values: dict[str, None] = {}
# Tokens that are renewed every few minutes, by what they are for: the newest two, for the older may be good still.
_passing: dict[str, tuple[str, ...]] = {}
_known: tuple[str, ...] = ()


def remember(value: str) -> None:
    """Hide this value from now on; what is too short, or the word of a default installation, is left alone."""
    global _known
    if value in _values or len(value) < SHORTEST or value.lower() in _NO_SECRETS:
        return
    with _lock:
        _values[value] = None
        while len(_values) > _MOST:
            del _values[next(iter(_values))]
        _known = _all()


def remember_passing(purpose: str, value: str) -> None:
    """Hide a token that another one will take the place of; it displaces none of the lasting secrets."""
    global _known
    before = _passing.get(purpose, ())
    if value in before:
        return  # nothing is made anew of what is known already
    with _lock:
        _passing.pop(purpose, None)
        _passing[purpose] = (*before[-1:], value)
        while len(_passing) > _MOST:
            del _passing[next(iter(_passing))]
        _known = _all()


def _all() -> tuple[str, ...]:
    return (*_values, *(one for several in _passing.values() for one in several))


def remember_setting(value: str) -> None:
    """Hide a secret setting: of an address its password, of anything else the whole."""
    if "://" not in value:
        remember(value)
        return
    try:
        parts = urlsplit(value)
    except ValueError:
        remember(value)
        return
    password = parts.password or ""
    if password and password != parts.username:
        remember(password)
        remember(unquote(password))


def literals() -> tuple[str, ...]:
    """Return all of them; the same object until another one is learned."""
    return _known
