"""What must hold before a process may serve: one mode at a time, a durable database, descriptors for what may wait."""

from __future__ import annotations

import os
import resource
from typing import Final

from django.conf import settings
from django.db import connection

from sessions import installation, permissions
from sessions.setback import set_back

# Beside one per held call: the database, upstreams, pages, people who wait at the API, files.
DESCRIPTORS_BESIDE: Final = 512
HELD_USUALLY: Final = 10_000
HELD_AT_LEAST: Final = 100
DESCRIPTORS_WANTED: Final = 65_536
IN_MEMORY: Final = "memory://"
_DURABILITY: Final = ("fsync", "synchronous_commit", "synchronous_standby_names")


class Refused(Exception):
    """This process must not serve as it is set up; the text says what to change."""


def mode() -> list[str]:
    """Return what is wrong with the mode of this web process: all in one, or one of several."""
    shared = not settings.CELERY_BROKER_URL.startswith(IN_MEMORY)
    if settings.ALL_IN_ONE and shared:
        return [
            "`rungateway` is the whole gateway in one process and takes no broker: unset REDIS_URL and BROKER_URL, or "
            "start it with --web, and the Celery worker and beat beside it"
        ]
    if settings.ALL_IN_ONE and settings.HARDENED:
        return [
            "`rungateway` signs the log and owns its database: with HOLDGATE_HARDENED start it with --web, and "
            "`manage.py run_sequencer` beside it"
        ]
    if not settings.ALL_IN_ONE and connection.vendor == "sqlite":
        return ["several processes need PostgreSQL: set DATABASE_URL, or run `manage.py rungateway` without --web"]
    return []


def timers() -> list[str]:
    """Return what is wrong with a Celery worker or beat of its own."""
    problems = []
    if connection.vendor == "sqlite":
        problems.append("worker and beat need PostgreSQL; on SQLite `manage.py rungateway` runs its own")
    if settings.CELERY_BROKER_URL.startswith(IN_MEMORY):
        problems.append("worker and beat need a broker to meet: set REDIS_URL or BROKER_URL")
    return problems


def set_back_database() -> list[str]:
    """Return how the database contradicts what is anchored: then it was restored from an older copy, or exchanged."""
    found = set_back(installation.anchor())
    if found is None:
        return []
    return [f"{found}. Find out why; `manage.py acknowledge_restore --reason ...` records it, and the gateway starts"]


def record_guard() -> list[str]:
    """Return how this process could change the record of which it is only to add to; nothing on SQLite, a mere file."""
    if connection.vendor != "postgresql":
        return []
    problems = permissions.weaknesses(connection)
    if os.access(installation.log_key(), os.R_OK):
        problems.append(
            f"this process can read the log's key {installation.log_key()}: keep it with run_sequencer alone"
        )
    return problems


def hardened() -> list[str]:
    """Return what stands against serving in the hardened mode; nothing where that was not asked for."""
    return record_guard() if settings.HARDENED else []


def durability() -> list[str]:
    """Return what makes PostgreSQL forget what it said was committed. SQLite is opened with the right settings."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(_DURABILITY)])
        found = dict(cursor.fetchall())
    problems = []
    if found["fsync"] == "off":
        problems.append("PostgreSQL runs with fsync=off: what it commits is lost when its machine fails; turn it on")
    lax = found["synchronous_commit"]
    # `local` waits for its own disk alone; with a synchronous standby that is less than its operator asked for.
    if lax == "off" or (lax == "local" and found["synchronous_standby_names"]):
        problems.append(
            f"PostgreSQL answers this role before its commits are safe (synchronous_commit={lax}): set it to on, also "
            "for the role, the database and in DATABASE_URL"
        )
    return problems


def descriptors() -> None:
    """Allow this process as many open files as its held calls need, and set MAX_HELD to what fits if it was not set.

    Raises Refused when a limit that was set cannot be kept, or next to nothing fits.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = settings.MAX_HELD or HELD_USUALLY
    wanted = max(soft, DESCRIPTORS_WANTED, limit + DESCRIPTORS_BESIDE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    fits = allowed - DESCRIPTORS_BESIDE
    if fits < (settings.MAX_HELD or HELD_AT_LEAST):
        needed = (settings.MAX_HELD or HELD_USUALLY) + DESCRIPTORS_BESIDE
        msg = (
            f"this process may open {allowed} files, and {limit} held calls need {needed}: raise the hard limit "
            "(`ulimit -Hn`, LimitNOFILE= of systemd, --ulimit of a container), or lower HOLDGATE_MAX_HELD"
        )
        raise Refused(msg)
    settings.MAX_HELD = min(limit, fits)


def require(problems: list[str]) -> None:
    """Raise Refused with all problems, if there are any."""
    if problems:
        raise Refused("; ".join(problems))
