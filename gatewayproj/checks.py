"""System checks of the installation: what `manage.py check --database default` says before anything is started."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
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
