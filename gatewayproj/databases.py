"""From one DATABASE_URL to Django's DATABASES, with the settings that durability needs."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# FULL: in WAL mode NORMAL may lose the last commits when power fails, and a commit is what we promise.
SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"


def parse(url: str) -> dict[str, Any]:
    """Return the settings of one database from `sqlite:///path` or `postgresql://user:password@host:port/name`.

    Raises ImproperlyConfigured for any other scheme. The message never repeats the URL, which may hold a password.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(unquote(parts.path)[1:])
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            # Under ASGI each request has a thread of its own, which would take a kept connection into its grave.
            # The threads that live on (approvals.database, the record's writer) keep theirs by themselves.
            "CONN_MAX_AGE": 0,
            "OPTIONS": dict(parse_qsl(parts.query)),
        }
    msg = "DATABASE_URL must begin with sqlite:/// or postgresql://"
    raise ImproperlyConfigured(msg)


def direct(database: dict[str, Any], url: str) -> dict[str, Any]:
    """Return what differs from `database` on the way past its pooler; nothing when no address is given for it.

    Raises ImproperlyConfigured when either is not PostgreSQL.
    """
    if not url:
        return {}
    found = parse(url)
    if not found["ENGINE"] == database["ENGINE"] == "django.db.backends.postgresql":
        msg = "DATABASE_DIRECT_URL goes with a DATABASE_URL of PostgreSQL, and must be one itself"
        raise ImproperlyConfigured(msg)
    return found


def _sqlite(path: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        # A read that becomes a write under DEFERRED fails at once, whatever the timeout.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": SQLITE_PRAGMAS},
        # Threads of their own (writer, sequencer) must see the test database: a file, not memory.
        "TEST": {"NAME": f"{path}.test"},
    }
