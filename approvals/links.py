"""One-time links that sign a person in: for the demo, which has no identity provider."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from approvals.database import database_now
from approvals.models import SignInLink

if TYPE_CHECKING:
    from approvals.models import Person


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make_sign_in_link(person: Person, *, minutes: int = 30) -> str:
    """Return the path of a link that signs this person in once, within so many minutes.

    Raises RuntimeError outside the demo: a link is a password that travels in the clear.
    """
    if not settings.DEMO:
        msg = "Sign-in links exist only in the demo; use an issuer with `login: true`."
        raise RuntimeError(msg)
    token = secrets.token_urlsafe(32)
    expires = database_now() + timedelta(minutes=minutes)
    SignInLink.objects.create(digest=_digest(token), person=person, expires_at=expires)
    return f"/sign-in/{token}/"


def use_sign_in_link(token: str) -> Person | None:
    """Return whom the link signs in, or None when it is unknown, used, too old, or this is not the demo."""
    if not settings.DEMO:
        return None
    now = database_now()
    fresh = SignInLink.objects.filter(digest=_digest(token), used_at=None, expires_at__gt=now)
    if fresh.update(used_at=now) != 1:
        return None
    return SignInLink.objects.select_related("person").get(digest=_digest(token)).person


def peek_sign_in_link(token: str) -> Person | None:
    """Return whom the link would sign in, without using it up; None as `use_sign_in_link` would."""
    if not settings.DEMO:
        return None
    fresh = SignInLink.objects.filter(digest=_digest(token), used_at=None, expires_at__gt=database_now())
    link = fresh.select_related("person").first()
    return link.person if link else None
