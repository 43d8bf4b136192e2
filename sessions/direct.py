"""Connections to the database itself, for what lives as long as a session does: advisory locks and LISTEN.

Behind a transaction pooler a session is somebody else's a moment later. `settings.DATABASE_DIRECT` leads past it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


# Set in a session that holds a lock: a holder whose machine died is noticed in half a minute instead of two hours.
KEEPALIVES = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"


def _wrapper() -> BaseDatabaseWrapper:
    made = connections.create_connection(DEFAULT_DB_ALIAS)
    if settings.DATABASE_DIRECT:
        made.settings_dict = {**made.settings_dict, **settings.DATABASE_DIRECT}
    return made


def use_in_this_thread() -> None:
    """Let everything that this thread does with the database go past the pooler, until the thread ends."""
    if settings.DATABASE_DIRECT:
        connections[DEFAULT_DB_ALIAS] = _wrapper()


def parameters() -> dict[str, Any]:
    """Return what psycopg connects with to the database itself; for PostgreSQL alone. It holds the password."""
    found: dict[str, Any] = _wrapper().get_connection_params()
    del found["cursor_factory"]  # Django's, and not for connections of an event loop
    return found
