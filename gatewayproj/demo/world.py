"""The demo's own world: a temporary folder, its own database, an environment that nothing else looks into.

`prepare` runs before Django reads its settings, so that the demo needs no second process and leaves nothing
behind. Standard library only.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
POSTGRESQL = frozenset({"postgres", "postgresql"})
# What a developer's or a production shell may say, and what must not reach the demo.
CLEARED = (
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "REDIS_URL",
    "BROKER_URL",
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
)
KEPT = frozenset({"HOLDGATE_LOG_LEVEL"})


class Refused(Exception):
    """The demo does not start here; the message says why."""


@dataclass(frozen=True, slots=True)
class World:
    """Where the demo lives. `server_url` is set when its database lies on a PostgreSQL server."""

    folder: Path
    orders_token: str
    database: str = ""
    server_url: str = ""


_prepared: list[World] = []


def current() -> World:
    """Return the world that `prepare` made. Raises Refused when the process was not started as a demo."""
    if not _prepared:
        raise Refused("The demo must be started by `manage.py demo`, which gives it settings of its own.")
    return _prepared[-1]


def prepare(environ: MutableMapping[str, str]) -> World:
    """Change the environment to the demo's, and see to it that the folder is removed at the end of the
    process.

    Raises Refused where the environment is that of a real gateway.
    """
    if reason := why_not(environ):
        raise Refused(reason)
    url = _database_url(environ)
    for name in list(environ):
        bare = name.removesuffix("_FILE")
        if bare in CLEARED or (name.startswith("HOLDGATE_") and name not in KEPT):
            del environ[name]
    folder = Path(tempfile.mkdtemp(prefix="holdgate-demo-"))
    _remove_at_end(folder)
    token = f"orders-{secrets.token_urlsafe(24)}"
    environ.update(HOLDGATE_DEMO="1", HOLDGATE_STATE_DIR=str(folder), ORDERS_MCP_TOKEN=token)
    world = World(folder, token)
    if url:
        database = f"holdgate_demo_{os.getpid()}"
        world = World(folder, token, database, url)
        environ["DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
    _prepared.append(world)
    return world


def why_not(environ: MutableMapping[str, str]) -> str:
    """Return why no demo may run in this environment, or nothing."""
    if find_spec("mcp") is None:
        return "The demo's own packages are missing: `make demo` installs them (requirements/demo.txt)."
    public = environ.get("HOLDGATE_PUBLIC_URL", "")
    if public and urlsplit(public).hostname not in LOOPBACK:
        return "HOLDGATE_PUBLIC_URL names a public address: this is the environment of a real gateway."
    if environ.get("HOLDGATE_SECRET_KEY") or environ.get("HOLDGATE_SECRET_KEY_FILE"):
        return "HOLDGATE_SECRET_KEY is set: this is the environment of a real gateway."
    return ""


def _database_url(environ: MutableMapping[str, str]) -> str:
    """Return the address of a PostgreSQL server that the environment names, for a database of our
    own on it.
    """
    path = environ.get("DATABASE_URL_FILE")
    url = Path(path).read_text(encoding="utf-8").strip() if path else environ.get("DATABASE_URL", "")
    return url if urlsplit(url).scheme in POSTGRESQL else ""


def _remove_at_end(folder: Path) -> None:
    owner = os.getpid()

    def remove() -> None:
        # A forked child also runs this at its end, while the folder is still the parent's.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
