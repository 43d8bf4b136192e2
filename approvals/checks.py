"""System checks: what `manage.py check` says of the policy in force."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from approvals.notices.health import broken_routes
from approvals.publication import Policies
from approvals.reachability import unreachable_quorums
from approvals.slack.client import unsound_address


@register()
def slack_is_slack(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an address of Slack's API that is not Slack's: the bot token goes there."""
    problem = unsound_address()
    return [Error(problem, id="holdgate.E002")] if problem else []


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


@register(Tags.database)
def routes_work(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of every route of notifications by which nobody may hear of a request."""
    if not databases:
        return []
    try:
        broken = broken_routes(Policies().reload().policy.config)
    except DatabaseError:
        return []  # not migrated yet; /readyz says so
    hint = (
        "Put it right and send a test from /routes/, or name another route; the dashboard shows what waits meanwhile."
    )
    return [Warning(sentence, hint=hint, id="holdgate.W002") for sentence in broken]
