"""System checks: what `manage.py check` says of the policy in force."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DatabaseError

from approvals.publication import Policies
from approvals.reachability import unreachable_quorums


@register(Tags.database)
def quorums_are_reachable(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of every hold that nobody could decide. A database check: asked with `check --database default`."""
    if not databases:
        return []
    try:
        gaps = unreachable_quorums(Policies().reload().policy)
    except DatabaseError:
        return []  # not migrated yet; /readyz says so
    hint = "Add members to the group, or lower the count; until then these calls wait in vain."
    return [Warning(gap, hint=hint, id="holdgate.W001") for gap in gaps]
