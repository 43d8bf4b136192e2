"""Celery tasks: each calls one service. The rows are the truth; a lost or doubled task changes nothing."""

from __future__ import annotations

from celery import shared_task

from approvals import services
from approvals.runtime import runtime


@shared_task(name="approvals.run_due", acks_late=True)
def run_due() -> int:
    """Expire and lapse what is overdue; return how many requests moved."""
    return services.run_due(runtime())
