"""System checks of the installation: what `check --deploy --database default` says before anything is started."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from gatewayproj import soundness


@register(Tags.database)
def the_database_is_durable(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Say what makes PostgreSQL forget; with it the gateway refuses to start."""
    if not databases:
        return []
    try:
        problems = soundness.durability()
    except DatabaseError:
        return []  # it is not there; whatever is started says so
    return [Error(problem, id="holdgate.E001") for problem in problems]


@register(Tags.security, deploy=True)
def the_record_is_guarded(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Say how this role could change the record: an error in the hardened mode, a warning without it.

    Asked with `check --deploy` alone: `migrate` asks the checks of the database, and its role owns the tables.
    """
    try:
        problems = soundness.record_guard()
    except DatabaseError as error:
        told = " ".join(str(error).split())
        return [Warning(f"the guard of the record cannot be looked at: {told}", id="holdgate.W004")]
    if settings.HARDENED:
        return [Error(problem, id="holdgate.E003") for problem in problems]
    hint = "See `manage.py harden`; HOLDGATE_HARDENED=1 makes the gateway refuse to serve like this."
    return [Warning(problem, hint=hint, id="holdgate.W003") for problem in problems]
