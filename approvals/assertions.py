"""Assertions of identity providers serve once: their ids are remembered for as long as they would be valid."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import IntegrityError, transaction

from approvals.database import database_now
from approvals.keys import keyed_digest
from approvals.models import UsedAssertion


def use_once(issuer: str, assertion: str, until: float) -> bool:
    """Say whether this assertion comes for the first time, and remember it until then (seconds since 1970)."""
    UsedAssertion.objects.filter(until__lt=database_now()).delete()
    try:
        with transaction.atomic():
            UsedAssertion.objects.create(
                digest=keyed_digest("assertion", issuer, assertion), until=datetime.fromtimestamp(until, UTC)
            )
    except IntegrityError:
        return False
    return True
