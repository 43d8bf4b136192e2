"""Whether another gateway process still lives, by the heartbeat that its journal writes."""

from __future__ import annotations

from datetime import UTC, datetime

from sessions.models import GatewayProcess
from sessions.recovery import DEAD_AFTER


def is_alive(process_id: str) -> bool:
    """Say whether the process has neither stopped nor been silent for longer than 15 seconds."""
    since = datetime.now(UTC) - DEAD_AFTER
    return GatewayProcess.objects.filter(id=process_id, stopped_at=None, heartbeat_at__gt=since).exists()
