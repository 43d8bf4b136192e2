"""The row of a request that a caller waits for, as it is now."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from django.db import Error as DatabaseFailure

from approvals.database import in_database
from approvals.models import ApprovalRequest
from approvals.states import Status
from approvals.timers import run_due
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.runtime import Runtime

log = logging.getLogger("holdgate.asking")

# After the database failed, the row is read again so much later.
REREAD_SECONDS = 1.0


async def current(house: Runtime, request: ApprovalRequest, moved: asyncio.Event) -> ApprovalRequest:
    """Return the row as it is now. A failure decides nothing: then the caller waits on, with what was read last."""
    try:
        return await in_database(partial(read, house, request.id))
    except (DatabaseFailure, RecordUnavailable) as error:
        log.warning("cannot read an approval that is waited for: %s", type(error).__name__)
        await asyncio.sleep(REREAD_SECONDS)
        moved.set()
        return request


def read(house: Runtime, approval_id: str) -> ApprovalRequest:
    """Return the row as it is now, after what is overdue by the database's clock has been expired."""
    request = ApprovalRequest.objects.get(pk=approval_id)
    if Status(request.status) is Status.PENDING and request.expires_at <= datetime.now(UTC):
        run_due(house)
        request.refresh_from_db()
    return request
