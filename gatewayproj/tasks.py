"""Celery tasks of the whole installation. A lost or doubled one changes nothing."""

from __future__ import annotations

from celery import shared_task

from gatewayproj.browser_sessions import SessionStore


@shared_task(name="gatewayproj.clear_sessions", acks_late=True, reject_on_worker_lost=True)
def clear_sessions() -> None:
    """Delete the rows of browser sessions that have ended; nobody can enter by them any more."""
    SessionStore.clear_expired()
