"""Whether another gateway process still lives, by the heartbeat that its journal writes."""

from __future__ import annotations

from django.db.models.functions import Now

from sessions.models import GatewayProcess
from sessions.recovery import DEAD_AFTER


def is_alive(process_id: str) -> bool:
    """Say whether the process has neither stopped nor been silent for longer than 15 seconds, by the database's clock.

    Heartbeats are written by that clock; by another one everybody, or nobody, would be alive.
    """
    beating = GatewayProcess.objects.filter(id=process_id, stopped_at=None, heartbeat_at__gt=Now() - DEAD_AFTER)
    return beating.exists()
